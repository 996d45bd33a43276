package daemon_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// death is the point at which a program ends: at the answer to its nth request to
// the PRM, which the PRM has carried out, or at the nth commit of its store,
// which is kept or not. From then on it neither sends nor keeps anything.
type death struct {
	mu       sync.Mutex
	requests int // left until it dies; 0 is never
	commits  int
	refuse   bool // the commit that it dies at is not kept
	armed    bool // the schema's own commits are no part of a cycle
	dead     bool
	kill     context.CancelFunc
	seen     [2]int // requests and commits so far
}

// tick counts, and reports whether this one is the last.
func (d *death) tick(which int, left *int) (last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead || !d.armed {
		return d.dead
	}
	d.seen[which]++
	if *left > 0 {
		*left--
		if *left == 0 {
			d.dead = true
			d.kill()
			return true
		}
	}
	return false
}

// deaths finds the one that a database file waits for.
var deaths sync.Map

var watchCommits = sync.OnceFunc(func() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		h, ok := conn.(sqlite.HookRegisterer)
		if !ok || !strings.Contains(dsn, "_txlock") {
			return nil
		}
		file, _, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
		if v, ok := deaths.Load(file); ok {
			d := v.(*death)
			h.RegisterCommitHook(func() int32 {
				was := d.isDead()
				if last := d.tick(1, &d.commits); was || last && d.refuse {
					return 1
				}
				return 0
			})
		}
		return nil
	})
})

func (d *death) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// mortal is one partner of the PRM with a store of its own.
type mortal struct {
	l     *life
	key   string
	audit string
	proxy *httptest.Server
	file  string

	mu    sync.Mutex
	death *death // of the program that runs now
}

func newMortal(l *life, key string) *mortal {
	l.t.Helper()
	watchCommits()
	m := &mortal{l: l, key: key, file: filepath.Join(l.t.TempDir(), "state.db")}
	target, err := url.Parse(l.site.URL())
	if err != nil {
		l.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(*http.Response) error {
		if d := m.now(); d.tick(0, &d.requests) {
			panic(http.ErrAbortHandler)
		}
		return nil
	}
	m.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.now().isDead() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	l.t.Cleanup(m.proxy.Close)
	if _, err := l.site.Insert("PMM Partner", map[string]any{"partner_key": key, "partner_name": key + " GmbH", "awarded_pmm": 3}); err != nil {
		l.t.Fatal(err)
	}
	m.audit = l.create("Partner Audit", map[string]any{
		"partner_team": key, "custom_pmm_partner": key, "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Completed", "requested_on": "2026-09-01",
		"audit_date": "2026-09-30", "mode_of_audit": "Online",
	})
	if _, err := l.site.Insert("PMM Escalation Request", map[string]any{
		"customer": "Kranz", "contact_name": "A. Kranz", "contact_email": "a@kranz.example", "partner_text": key + " GmbH", "stage": "Implementation", "what_happened": "It stands still.",
	}); err != nil {
		l.t.Fatal(err)
	}
	return m
}

func (m *mortal) now() *death {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.death
}

// live starts the program anew on its store and lets it look so many times, or
// until it dies.
func (m *mortal) live(d *death, looks int) {
	t := m.l.t
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	d.kill = kill
	m.mu.Lock()
	m.death = d
	m.mu.Unlock()
	deaths.Store(m.file, d)
	st, err := store.Open(t.Context(), "sqlite:"+m.file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	d.mu.Lock()
	d.armed = true
	d.mu.Unlock()
	c, err := frappe.New(frappe.Config{URL: m.proxy.URL, Key: m.l.agent[0], Secret: m.l.agent[1], AllowPrivateNetwork: true, ServerSeconds: 1000, MinWait: 1, MaxWait: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := m.l.options
	o.Store, o.PRM, o.Criteria = st, central{prm.New(c, "bare"), m.l.clock}, nil
	program, err := daemon.New(o, []daemon.Partner{{
		Facts: plan.PartnerFacts{Key: m.key, Name: m.key + " GmbH"}, Sites: []daemon.PartnerSite{{Key: "erp", URL: "https://erp." + m.key + ".example", Purpose: "All", Read: silent{}}},
		Schedule: every, Spec: "hourly",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range looks {
		m.l.pass()
		if err := program.Once(ctx); err != nil && !d.isDead() {
			t.Fatalf("%s: %v", m.key, err)
		}
		if d.isDead() {
			return
		}
	}
}

func (m *mortal) ncs() (out []map[string]any) {
	for _, n := range m.l.site.Docs("Partner Non Conformance") {
		if n["partner_audit"] == m.audit {
			out = append(out, n)
		}
	}
	return out
}

func (m *mortal) escalations() (out []map[string]any) {
	for _, e := range m.l.site.Docs("Partner Escalation") {
		if e["partner"] == m.key {
			out = append(out, e)
		}
	}
	return out
}

// people edit what the dead program has left behind.
func (m *mortal) people() {
	m.l.person("Partner Audit", m.audit, map[string]any{"next_actions": "Ours."})
	for _, n := range m.ncs() {
		m.l.person("Partner Non Conformance", fmt.Sprint(n["name"]), map[string]any{"expected_closure": "2026-12-24", "measures_to_close_nc": "Ours.", "status": "WIP"})
	}
	for _, e := range m.escalations() {
		m.l.person("Partner Escalation", fmt.Sprint(e["name"]), map[string]any{"stage": "Support", "severity": "High"})
	}
}

// whole checks what must stand at the end, however often the program died.
func (m *mortal) whole(edited bool) {
	t := m.l.t
	t.Helper()
	assessments := 0
	for _, a := range m.l.site.Docs("PMM Assessment") {
		if a["partner_audit"] != m.audit {
			continue
		}
		assessments++
		st, err := store.Open(t.Context(), "sqlite:"+m.file, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		in, ok, err := st.InputAt(t.Context(), daemon.InputSeed, m.audit, m.l.clock())
		st.Close()
		seed, bad := hex.DecodeString(string(in.Body))
		if err != nil || !ok || bad != nil || !strings.Contains(fmt.Sprint(a["sample_note"]), rules.SeedHash(seed)) {
			t.Errorf("%s: the sample on the PRM is not that of the seed in the store (%t, %v, %v): %v", m.key, ok, err, bad, a["sample_note"])
		}
	}
	if assessments != 1 {
		t.Errorf("%s: %d assessments of one audit", m.key, assessments)
	}
	var keys []string
	for _, n := range m.ncs() {
		keys = append(keys, fmt.Sprint(n["custom_source_key"]))
	}
	slices.Sort(keys)
	if want := []string{programme.SourceKey(m.audit, "impl.cadence"), programme.SourceKey(m.audit, "impl.followed")}; !slices.Equal(keys, want) {
		t.Errorf("%s: NCs %v, want %v", m.key, keys, want)
	}
	m.l.wants("Partner Audit", m.audit, map[string]any{"custom_proposed_outcome": "Withheld"})
	if es := m.escalations(); len(es) != 1 {
		t.Errorf("%s: %d escalations for one request", m.key, len(es))
	}
	firing := map[string]bool{}
	for _, a := range m.l.site.Docs("PMM Alert") {
		if a["partner"] != m.key || a["status"] != "Firing" {
			continue
		}
		k := fmt.Sprint(a["rule"], " ", a["subject_name"])
		if firing[k] {
			t.Errorf("%s: the alert %s fires twice", m.key, k)
		}
		firing[k] = true
	}
	if !edited {
		return
	}
	m.l.wants("Partner Audit", m.audit, map[string]any{"next_actions": "Ours."})
}

// theirs checks that what people entered into the records that were there when
// the program died still stands.
func (m *mortal) theirs(ncs, escalations []map[string]any) {
	for _, n := range ncs {
		m.l.wants("Partner Non Conformance", fmt.Sprint(n["name"]), map[string]any{"expected_closure": "2026-12-24", "measures_to_close_nc": "Ours.", "status": "WIP"})
	}
	for _, e := range escalations {
		m.l.wants("Partner Escalation", fmt.Sprint(e["name"]), map[string]any{"stage": "Support", "severity": "High"})
	}
}

// A program that dies in the middle of a cycle, at each answer of the PRM and at
// each commit of its store, is started again on the same store, after people have
// edited what it left: one assessment, one NC for each finding, one escalation for
// the request, one seed, and what people entered stays.
func TestKilledAtEveryPointOfACycle(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{Raise: true})
	l.judge.set("impl.followed", rules.NotMet)
	l.judge.set("impl.cadence", rules.NotMet)

	unhurt := &death{}
	m := newMortal(l, "unhurt")
	m.live(unhurt, 1)
	requests, commits := unhurt.seen[0], unhurt.seen[1]
	m.live(&death{}, 2)
	m.whole(false)
	if requests < 20 || commits < 10 {
		t.Fatalf("%d requests, %d commits: a cycle that does less than it should", requests, commits)
	}
	var points []*death
	for n := 1; n <= requests; n += killStep {
		points = append(points, &death{requests: n})
	}
	for n := 1; n <= commits; n += killStep {
		points = append(points, &death{commits: n}, &death{commits: n, refuse: true})
	}
	died := 0
	for i, d := range points {
		m := newMortal(l, fmt.Sprintf("k%03d", i))
		m.live(d, 1)
		if d.dead {
			died++
		}
		m.people()
		ncs, escalations := m.ncs(), m.escalations()
		m.live(&death{}, 3)
		m.whole(true)
		m.theirs(ncs, escalations)
		if t.Failed() {
			t.Fatalf("killed at %+v of %d requests and %d commits", d.seen, requests, commits)
		}
	}
	if died < len(points)*9/10 {
		t.Errorf("only %d of %d programs died", died, len(points))
	}
}
