package frappe_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/frappe"
)

// TestRequestLine: however many and however odd the values are, no request line
// of a read-only client passes 4,094 bytes, and every value is asked for once.
func TestRequestLine(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string]int{}
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if n := len(r.Method + " " + r.RequestURI + " HTTP/1.1\r\n"); n > 4094 {
			t.Errorf("request line of %d bytes", n)
		}
		var filters [][]any
		if err := json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		var rows []string
		for _, f := range filters {
			if f[0] == "parent" {
				for _, v := range f[2].([]any) {
					asked[v.(string)]++
					rows = append(rows, fmt.Sprintf(`{"name":%s,"parent":%s,"idx":1}`, quote("row of "+v.(string)), quote(v.(string))))
				}
			}
		}
		answer(w, 200, `{"data":[`+strings.Join(rows, ",")+`]}`)
	})
	var parents []string
	for i := range 700 {
		parents = append(parents, fmt.Sprintf(`INV-%d/Ä "quoted" & 100%% 🤒`, i))
	}
	parents = append(parents, parents[0], "")
	rows := 0
	for page, err := range client(t, s.URL).Children(t.Context(), frappe.ChildQuery{
		Doctype: "Sales Invoice Item", Parent: "Sales Invoice", Field: "items", Parents: parents, Fields: []string{"project", "amount"},
	}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += len(page)
	}
	if rows != 700 || len(asked) != 700 {
		t.Errorf("%d rows of %d parents, want 700 of 700", rows, len(asked))
	}
	for p, n := range asked {
		if n != 1 {
			t.Errorf("%q was asked for %d times", p, n)
		}
	}
	if n := len(s.requests()); n < 10 {
		t.Errorf("%d requests for 700 long names; the bound was not met", n)
	}
}

// TestWritableListsByPost: where the client may post, one request does.
func TestWritableListsByPost(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Doctype, Parent string
			Fields          []string
			Filters         [][]any
			Limit           int    `json:"limit_page_length"`
			OrderBy         string `json:"order_by"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if body.Doctype != "Item" || body.Parent != "Invoice" || len(body.Filters) != 2 || body.OrderBy != "parent asc, idx asc" || !slices.Contains(body.Fields, "qty") {
			t.Errorf("posted %+v", body)
		}
		answer(w, 200, `{"message":[{"name":"r1"}]}`)
	})
	var parents []string
	for i := range 90 {
		parents = append(parents, fmt.Sprintf("A very long name of an invoice, number %06d, of a customer", i))
	}
	n := 0
	for rows, err := range client(t, s.URL, writable).Children(t.Context(), frappe.ChildQuery{Doctype: "Item", Parent: "Invoice", Parents: parents, Fields: []string{"qty"}}) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(rows)
	}
	if want := []string{"POST /api/method/frappe.client.get_list"}; n != 1 || !slices.Equal(s.requests(), want) {
		t.Errorf("%d rows by %v, want one by %v", n, s.requests(), want)
	}
}

// TestManyFields: a field list too long for the line is widened to all columns
// and cut back to what was asked.
func TestManyFields(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("fields"); got != `["*"]` {
			t.Errorf("fields %s", got)
		}
		answer(w, 200, `{"data":[{"name":"T1","modified":"2026-11-01 10:00:00","custom_field_number_1":1,"secret":"x"}]}`)
	})
	var fields []string
	for i := range 300 {
		fields = append(fields, fmt.Sprint("custom_field_number_", i))
	}
	rows, err := client(t, s.URL).List(t.Context(), frappe.ListQuery{Doctype: "Task", Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]frappe.Doc{{"custom_field_number_1": 1.0}}, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestListInHalves: a chunk whose rows are too many comes in smaller ones.
func TestListInHalves(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		var filters [][]any
		json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
		var rows []string
		for _, v := range filters[0][2].([]any) {
			rows = append(rows, fmt.Sprintf(`{"name":%q,"text":%q}`, v, strings.Repeat("x", 1000)))
		}
		answer(w, 200, `{"data":[`+strings.Join(rows, ",")+`]}`)
	})
	var values []string
	for i := range 50 {
		values = append(values, fmt.Sprint("T", i))
	}
	var got []string
	for rows, err := range client(t, s.URL, func(c *frappe.Config) { c.MaxBody = 8000 }).ListIn(t.Context(), frappe.ListQuery{Doctype: "Task", Fields: []string{"name", "text"}}, "name", values) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			got = append(got, r.Name())
		}
	}
	if diff := cmp.Diff(values, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAlwaysOrdered: a list without order_by has none on older sites, so none
// is ever sent that way.
func TestAlwaysOrdered(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("order_by") == "" || q.Get("limit_page_length") == "" {
			t.Errorf("asked without order or length: %s", r.URL)
		}
		answer(w, 200, `{"data":[]}`)
	})
	c := client(t, s.URL)
	c.List(t.Context(), frappe.ListQuery{Doctype: "Task"})
	c.Exists(t.Context(), "Task", "T1")
	for range c.Scan(t.Context(), "Task", frappe.ScanOptions{}) {
	}
	for range c.Names(t.Context(), "Task") {
	}
	for range c.Children(t.Context(), frappe.ChildQuery{Doctype: "Item", Parent: "Task", Parents: []string{"a"}}) {
	}
	if len(s.requests()) != 5 {
		t.Errorf("%v", s.requests())
	}
}

// TestPageAdapts: quick full pages grow, slow ones shrink.
func TestPageAdapts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sizes []int
	n := 0
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit_page_length"))
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, limit)
		if len(sizes) > 5 {
			answer(w, 200, `{"data":[]}`)
			return
		}
		var rows []string
		for range limit {
			n++
			rows = append(rows, fmt.Sprintf(`{"name":"T%07d","modified":"2026-11-01 10:00:00.%06d"}`, n, n))
		}
		answer(w, 200, `{"data":[`+strings.Join(rows, ",")+`]}`)
	})
	for _, err := range client(t, s.URL).Scan(t.Context(), "Task", frappe.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{500, 1000, 2000, 2000, 2000, 2000}, sizes); diff != "" {
		t.Errorf("page lengths (-want +got):\n%s", diff)
	}
}

// TestDefaultPageIsNotTheEnd: 20 rows where 500 were asked for may mean that
// our page length was lost on the way.
func TestDefaultPageIsNotTheEnd(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 9, 50, 0)
	c.on = false
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("limit_page_length", "20")
		r.URL.RawQuery = q.Encode()
		c.ServeHTTP(w, r)
	})
	n := 0
	for page, err := range client(t, s.URL).Scan(t.Context(), "Task", frappe.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Rows)
	}
	if n != 50 {
		t.Errorf("read %d rows, want 50", n)
	}
}

// TestRowsWithoutTime: rows that an import left without modified come once, and
// do not hide the others.
func TestRowsWithoutTime(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 7 {
		names = append(names, fmt.Sprint("N", i))
	}
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("limit_page_length"))
		var rows []string
		f := q.Get("filters")
		for _, n := range names {
			if f == "" || strings.Contains(f, "not set") && strings.Contains(f, `"name",">"`) && n > f[strings.LastIndex(f, `,"`)+2:strings.LastIndex(f, `"]`)] {
				rows = append(rows, fmt.Sprintf(`{"name":%q,"modified":null}`, n))
			}
		}
		if f == "" || strings.Contains(f, ">=") {
			rows = append(rows, `{"name":"T1","modified":"2026-11-01 10:00:00"}`)
		}
		answer(w, 200, `{"data":[`+strings.Join(rows[:min(limit, len(rows))], ",")+`]}`)
	})
	got := map[string]int{}
	for page, err := range client(t, s.URL).Scan(t.Context(), "Task", frappe.ScanOptions{PageSize: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rows {
			got[r.Name()]++
		}
	}
	want := map[string]int{"T1": 1}
	for _, n := range names {
		want[n] = 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDuplicateNames(t *testing.T) {
	t.Parallel()
	s := script(t, "u", status(200, `{"data":[{"name":"T1","modified":"2026-11-01 10:00:00"},{"name":"T1","modified":"2026-11-01 10:00:00"},{"name":"T1","modified":"2026-11-01 10:00:01"}]}`))
	var got []string
	for page, err := range client(t, s.URL).Scan(t.Context(), "Task", frappe.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rows {
			got = append(got, r.Name()+" "+r.Modified())
		}
	}
	if diff := cmp.Diff([]string{"T1 2026-11-01 10:00:00", "T1 2026-11-01 10:00:01"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCommunicationsWhileMailsVanish: pages of a timeline go by position, so
// mails that are deleted meanwhile must not hide others.
func TestCommunicationsWhileMailsVanish(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var mails []string
	for i := range 300 {
		mails = append(mails, fmt.Sprintf("M%03d", i))
	}
	asked := 0
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		part := mails[min(start, len(mails)):min(start+limit, len(mails))]
		var rows []string
		for _, m := range part {
			rows = append(rows, fmt.Sprintf(`{"name":%q}`, m))
		}
		answer(w, 200, `{"message":[`+strings.Join(rows, ",")+`]}`)
		if asked++; asked == 3 {
			mails = mails[20:] // more than two pages overlap
		}
	})
	got := map[string]int{}
	for rows, err := range client(t, s.URL).Communications(t.Context(), "Project", "P1") {
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rows {
			got[m.Name()]++
		}
	}
	for _, m := range mails {
		if got[m] != 1 {
			t.Errorf("%s came %d times, want once", m, got[m])
		}
	}
}

func TestSiteFacts(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch method := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; method {
		case "frappe.core.doctype.user.user.get_roles":
			answer(w, 200, `{"message":["PMM Evidence Reader","All",7]}`)
		case "frappe.core.doctype.user_permission.user_permission.get_user_permissions":
			answer(w, 200, `{"message":{"Customer":[{"doc":"C1","applicable_for":null},{"doc":"C2"}],"Company":"odd"}}`)
		case "frappe.client.has_permission":
			answer(w, 200, fmt.Sprintf(`{"message":{"has_permission":%v}}`, q.Get("perm_type") == "read"))
		case "frappe.desk.reportview.get_count":
			answer(w, 200, `{"message":8}`)
		case "frappe.client.get_count":
			answer(w, 200, `{"message":12}`)
		case "frappe.client.get_single_value":
			answer(w, 200, `{"message":"America/New_York"}`)
		case "login":
			page(200, "<html>no boot here")(w, r)
		case "Secret":
			answer(w, 403, `{"exc_type":"PermissionError"}`)
		case "frappe.auth.get_logged_user":
			answer(w, 200, `{"message":"u"}`)
		default:
			answer(w, 200, `{"data":[]}`)
		}
	})
	c := client(t, s.URL)
	ctx := t.Context()
	roles, err := c.Roles(ctx, "u")
	if diff := cmp.Diff([]string{"PMM Evidence Reader", "All"}, roles); err != nil || diff != "" {
		t.Errorf("Roles: %v\n%s", err, diff)
	}
	perms, err := c.UserPermissions(ctx)
	if diff := cmp.Diff(map[string][]string{"Customer": {"C1", "C2"}}, perms); err != nil || diff != "" {
		t.Errorf("UserPermissions: %v\n%s", err, diff)
	}
	seen, all, err := c.Hidden(ctx, "Event")
	if err != nil || seen != 8 || all != 12 {
		t.Errorf("Hidden = %d, %d, %v", seen, all, err)
	}
	loc, err := c.Locale(ctx)
	if err != nil || loc.Zone.String() != "America/New_York" {
		t.Errorf("Locale = %v, %v", loc, err)
	}
	for _, tt := range []struct {
		doctype, name, right string
		want                 bool
	}{{"Task", "T1", "read", true}, {"Task", "T1", "write", false}, {"Task", "", "read", true}, {"Secret", "", "read", false}} {
		if got, err := c.HasPermission(ctx, tt.doctype, tt.name, tt.right); err != nil || got != tt.want {
			t.Errorf("HasPermission(%s, %s, %s) = %v, %v", tt.doctype, tt.name, tt.right, got, err)
		}
	}
}

func TestBadZone(t *testing.T) {
	t.Parallel()
	for _, z := range []string{"Mars/Olympus", "../../etc/passwd", "Local"} {
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			page(200, `<script>frappe.boot = {"time_zone":{"system":"`+z+`"}}</script>`)(w, r)
		})
		if l, err := client(t, s.URL).Locale(t.Context()); frappe.CategoryOf(err) != frappe.Malformed {
			t.Errorf("%s: got %v, %v, want malformed", z, l, err)
		}
	}
}

func TestMeta(t *testing.T) {
	t.Parallel()
	var asked []url.Values
	var mu sync.Mutex
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Query())
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		answer(w, 200, `{"docs":[{"name":"Task","istable":0,"is_submittable":1,"fields":[
			{"fieldname":"subject","fieldtype":"Data","reqd":1,"permlevel":0},{"fieldname":"budget","fieldtype":"Currency","permlevel":1},
			{"fieldname":"depends_on","fieldtype":"Table","options":"Task Depends On"},{"fieldname":"x","permlevel":"high"}],
			"permissions":[{"role":"Reader","read":1,"permlevel":0},{"role":"Boss","read":1,"permlevel":1},{"role":"Boss","write":1,"permlevel":2}]},
			{"name":"Task Depends On","istable":1,"fields":[{"fieldname":"task","fieldtype":"Link","options":"Task"}]}]}`)
	})
	c := client(t, s.URL)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.Meta(t.Context(), "Task"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m, err := c.Meta(t.Context(), "Task")
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 {
		t.Errorf("meta was read %d times, want once", len(asked))
	}
	known, unknown := m.Known([]string{"name", "subject", "gone", "depends_on", "parent", "project.customer as customer", "_assign"})
	if diff := cmp.Diff([]string{"name", "subject", "project.customer as customer", "_assign"}, known); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"gone", "depends_on", "parent"}, unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 1}, m.Levels([]string{"Reader", "Boss"})); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	if child := m.Children["Task Depends On"]; child == nil || !child.Table || len(child.Fields) != 1 {
		t.Errorf("child meta %+v", child)
	}
	c.Forget("Task")
	if _, err := c.Meta(t.Context(), "Task"); err != nil || len(asked) != 2 {
		t.Errorf("after Forget: %v, read %d times", err, len(asked))
	}
}
