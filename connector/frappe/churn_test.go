package frappe_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
)

// churn is a doctype whose rows change while they are read: between any two
// pages some rows are saved again, some are made, some committed late with a
// time that has passed already, some deleted, and some mass updates give many
// rows the same time.
type churn struct {
	t    testing.TB
	mu   sync.Mutex
	rand *rand.Rand
	now  time.Time
	rows map[string]string // name → modified
	list []string          // the names of rows, and perhaps of deleted ones
	made int
	on   bool
	size int
	ties int
}

func newChurn(t testing.TB, seed uint64, rows, ties int) *churn {
	c := &churn{t: t, rand: rand.New(rand.NewPCG(seed, seed)), now: time.Date(2026, 10, 20, 9, 0, 0, 0, time.UTC), rows: map[string]string{}, on: true, size: rows, ties: ties}
	for range rows {
		c.insert(c.now.Add(-time.Duration(c.rand.IntN(200*24*3600)) * time.Second))
	}
	c.tie(ties)
	return c
}

func (c *churn) stamp(t time.Time) string { return frappe.FormatTime(t, time.UTC) }

func (c *churn) insert(at time.Time) {
	c.made++
	name := fmt.Sprintf("TASK-%07d", c.made)
	c.rows[name] = c.stamp(at)
	c.list = append(c.list, name)
}

// tie gives n rows the same time.
func (c *churn) tie(n int) {
	c.now = c.now.Add(time.Millisecond)
	for _, name := range c.pick(n) {
		c.rows[name] = c.stamp(c.now)
	}
}

// pick draws n rows.
func (c *churn) pick(n int) []string {
	var out []string
	for i := 0; i < len(c.list) && len(out) < n; i++ {
		j := i + c.rand.IntN(len(c.list)-i)
		c.list[i], c.list[j] = c.list[j], c.list[i]
		if _, ok := c.rows[c.list[i]]; ok {
			out = append(out, c.list[i])
		}
	}
	return out
}

// work is what people do between two pages.
func (c *churn) work() {
	n := c.size / 200
	for _, name := range c.pick(n) {
		c.now = c.now.Add(time.Duration(c.rand.IntN(900)) * time.Microsecond)
		c.rows[name] = c.stamp(c.now)
	}
	for range n {
		c.now = c.now.Add(time.Duration(c.rand.IntN(900)) * time.Microsecond)
		c.insert(c.now)
	}
	for range n / 4 { // saved up to 25 minutes ago, committed now
		c.insert(c.now.Add(-time.Duration(c.rand.IntN(25*60)) * time.Second))
	}
	for _, name := range c.pick(n / 4) {
		delete(c.rows, name)
	}
	if c.rand.IntN(8) == 0 {
		c.tie(c.ties / 10)
	}
	c.now = c.now.Add(time.Second)
}

func (c *churn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit_page_length"))
	start, _ := strconv.Atoi(q.Get("limit_start"))
	all, any := conditions(c.t, q.Get("filters")), conditions(c.t, q.Get("or_filters"))
	type row struct{ name, modified string }
	var rows []row
	for name, modified := range c.rows {
		ok := true
		for _, f := range all {
			ok = ok && f.holds(name, modified)
		}
		if ok && len(any) > 0 && !slices.ContainsFunc(any, func(f condition) bool { return f.holds(name, modified) }) {
			ok = false
		}
		if ok {
			rows = append(rows, row{name, modified})
		}
	}
	switch q.Get("order_by") {
	case "modified asc, name asc":
		// Sorting all rows for each page would be nearly all the time of the test:
		// first those are left out that come after a bound beyond the page.
		if need := 2 * (start + limit); len(rows) > 2*need {
			sample := make([]string, 400)
			for i := range sample {
				sample[i] = rows[c.rand.IntN(len(rows))].modified
			}
			slices.Sort(sample)
			bound := sample[len(sample)*need/len(rows)]
			near := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.modified > bound })
			if len(near) >= start+limit {
				rows = near
			}
		}
		slices.SortFunc(rows, func(a, b row) int {
			return cmp.Or(strings.Compare(a.modified, b.modified), strings.Compare(a.name, b.name))
		})
	case "name asc":
		slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	default:
		c.t.Errorf("order_by %q", q.Get("order_by"))
	}
	rows = rows[min(start, len(rows)):]
	rows = rows[:min(limit, len(rows))]
	var b strings.Builder
	b.WriteString(`{"data":[`)
	for i, r := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":%q,"modified":%q}`, r.name, r.modified)
	}
	b.WriteString(`]}`)
	answer(w, 200, b.String())
	if c.on {
		c.work()
	}
}

type condition struct{ field, op, value string }

func conditions(t testing.TB, s string) (out []condition) {
	if s == "" {
		return nil
	}
	var raw [][]string
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		t.Errorf("filters %s: %v", s, err)
	}
	for _, f := range raw {
		out = append(out, condition{f[0], f[1], f[2]})
	}
	return out
}

func (f condition) holds(name, modified string) bool {
	v := name
	if f.field == "modified" {
		v = modified
	}
	switch f.op {
	case ">":
		return v > f.value
	case ">=":
		return v >= f.value
	}
	return false
}

// read follows the stream twice: once while it changes, once more from the
// stored cursor after it came to rest. It returns how many rows of the truth
// are missing or old.
func (c *churn) read(t *testing.T, pages func(cl *frappe.Client, since frappe.Cursor, got map[string]string) frappe.Cursor) int {
	t.Helper()
	s := newStub(t, c.ServeHTTP)
	cl := client(t, s.URL, func(cfg *frappe.Config) { cfg.Clock = c.clock })
	got := map[string]string{}
	cursor := pages(cl, frappe.Cursor{}, got)
	c.mu.Lock()
	c.on = false
	c.mu.Unlock()
	pages(cl, cursor, got)
	c.mu.Lock()
	defer c.mu.Unlock()
	missed := 0
	for name, modified := range c.rows {
		if got[name] != modified {
			missed++
		}
	}
	return missed
}

func (c *churn) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func byKeyset(t *testing.T) func(*frappe.Client, frappe.Cursor, map[string]string) frappe.Cursor {
	return func(cl *frappe.Client, since frappe.Cursor, got map[string]string) frappe.Cursor {
		at := since
		for page, err := range cl.Scan(t.Context(), "Task", frappe.ScanOptions{Since: since, Overlap: 30 * time.Minute, Zone: time.UTC, PageSize: churnPage}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Rows {
				got[r.Name()] = r.Modified()
			}
			at = page.Cursor
		}
		return at
	}
}

// byOffset is how a naive client pages.
func byOffset(t *testing.T) func(*frappe.Client, frappe.Cursor, map[string]string) frappe.Cursor {
	return func(cl *frappe.Client, since frappe.Cursor, got map[string]string) frappe.Cursor {
		at := since
		for start := 0; ; start += churnPage {
			q := frappe.ListQuery{Doctype: "Task", Start: start, Limit: churnPage}
			if since.Modified != "" {
				q.Filters = []frappe.Filter{frappe.Where("modified", ">=", since.Modified)}
			}
			rows, err := cl.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				got[r.Name()] = r.Modified()
				at = frappe.Cursor{Modified: r.Modified(), Name: r.Name()}
			}
			if len(rows) < churnPage {
				return at
			}
		}
	}
}

func TestChurnDuringRead(t *testing.T) {
	t.Parallel()
	for seed := range uint64(churnSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			if missed := newChurn(t, seed, churnRows, churnTies).read(t, byKeyset(t)); missed != 0 {
				t.Errorf("missed %d rows, want 0", missed)
			}
		})
	}
}

// TestChurnDefeatsOffsetPaging proves that the churn is one that a naive reader
// does not survive.
func TestChurnDefeatsOffsetPaging(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		if missed := newChurn(t, seed, churnRows, churnTies).read(t, byOffset(t)); missed == 0 {
			t.Errorf("seed %d: offset paging missed nothing, so the churn tests nothing", seed)
		}
	}
}

// TestTieStorm reads 10,000 rows that all carry the same time.
func TestTieStorm(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 7, 10_000, 10_000)
	c.on = false
	s := newStub(t, c.ServeHTTP)
	got := map[string]int{}
	for page, err := range client(t, s.URL).Scan(t.Context(), "Task", frappe.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rows {
			got[r.Name()]++
		}
	}
	if len(got) != 10_000 {
		t.Errorf("read %d rows, want 10000", len(got))
	}
	for name, n := range got {
		if n != 1 {
			t.Errorf("%s came %d times", name, n)
		}
	}
}

// TestNamesUnderChurn: whatever else happens, a row that is there all the while
// comes exactly once in a walk by name.
func TestNamesUnderChurn(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 3, 5000, 100)
	before := map[string]bool{}
	for name := range c.rows {
		before[name] = true
	}
	s := newStub(t, c.ServeHTTP)
	got := map[string]int{}
	for page, err := range client(t, s.URL).Names(t.Context(), "Task") {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rows {
			got[r.Name()]++
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range before {
		if _, still := c.rows[name]; still && got[name] != 1 {
			t.Errorf("%s came %d times, want once", name, got[name])
		}
	}
}

// TestDelete20: a fifth of the rows vanishes, and the walk by name shows which.
func TestDelete20(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 5, 1000, 0)
	c.on = false
	s := newStub(t, c.ServeHTTP)
	cl := client(t, s.URL)
	names := func() map[string]bool {
		out := map[string]bool{}
		for page, err := range cl.Names(t.Context(), "Task") {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Rows {
				out[r.Name()] = true
			}
		}
		return out
	}
	before := names()
	gone := c.pick(200)
	for _, name := range gone {
		delete(c.rows, name)
	}
	after := names()
	if len(before) != 1000 || len(after) != 800 {
		t.Fatalf("%d names before, %d after, want 1000 and 800", len(before), len(after))
	}
	for _, name := range gone {
		if after[name] {
			t.Errorf("%s is deleted and still listed", name)
		}
	}
}
