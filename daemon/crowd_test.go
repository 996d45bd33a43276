package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// crowd is many partners on a real PRM, with a clock
// that the test moves. What the daemon does there is in the site's own log.
type crowd struct {
	t       testing.TB
	site    *frappetest.Site
	manager frappetest.Person
	agent   *frappe.Client
	store   *store.Store
	judge   *panel
	options daemon.Options
	keys    []string
	d       *daemon.Daemon

	mu  sync.Mutex
	now time.Time
}

// panel judges as the test says, and gives figures of weeks that are over.
type panel struct {
	size  int // criteria
	mu    sync.Mutex
	miss  map[string]map[int]bool // by partner: criteria that are Not Met
	notes map[string]string       // by partner: what every title, figure and explanation says
	weeks int                     // figures of each partner
}

// How many criteria a partner is judged on: roughly those of a pack where requests
// are counted, a few where anything may happen to them.
const (
	aPack = 60
	aFew  = 12
)

func criterion(i int) string { return fmt.Sprintf("impl.c%02d", i) }

func (p *panel) flip(partner string, i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.miss[partner] == nil {
		p.miss[partner] = map[int]bool{}
	}
	p.miss[partner][i] = !p.miss[partner][i]
}

func (p *panel) say(partner, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes[partner] = note
}

func (p *panel) figures(weeks int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weeks = weeks
}

func (p *panel) missed(partner string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, is := range p.miss[partner] {
		if is {
			n++
		}
	}
	return n
}

func (p *panel) Assess(_ context.Context, partner string, at time.Time, _ programme.Input) (daemon.Judged, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := rules.Assessment{
		Key: rules.AssessmentKey(partner, rules.Continuous, evidence.DateIn(at, time.UTC), rules.Target{}), Partner: partner, Kind: rules.Continuous, AsOf: at,
		Pack: rules.PackID{Name: "pmm", Version: "1", SHA256: "0123456789abcdef"},
	}
	note := p.notes[partner]
	for i := range p.size {
		v := rules.Verdict{
			Criterion: criterion(i), Title: "Plans are followed " + note, Level: 2 + i%4, Department: evidence.Implementation, Severity: rules.SeverityNC, Outcome: rules.Met,
			Measured: "33 of 34 " + note, Expected: "at least 90 %", Explanation: "Of 34 tasks 33 were closed in the week that the plan names. " + note,
		}
		if p.miss[partner][i] {
			v.Outcome = rules.NotMet
		}
		a.Verdicts = append(a.Verdicts, v)
	}
	a.LevelLow, a.LevelHigh = rules.Levels(a.Verdicts)
	for i := range p.weeks {
		var w evidence.Period
		if err := w.UnmarshalText(fmt.Appendf(nil, "2026-W%02d", 40-i)); err != nil {
			return daemon.Judged{}, err
		}
		a.Metrics = append(a.Metrics, measure.Value{Metric: measure.OverduePct, Site: "erp", Period: w, Has: true, Value: float64(i), Numerator: float64(i), Denominator: 100, Unit: measure.UnitPercent})
	}
	return daemon.Judged{Snapshot: evidence.Snapshot{Partner: partner, AsOf: at}, Assessments: []rules.Assessment{a}}, nil
}

func (*panel) Target(context.Context, daemon.Judged, programme.Input, programme.Commission) (rules.Assessment, error) {
	return rules.Assessment{}, nil
}

// living is a site that answers and on which nothing changes.
type living struct{ now func() time.Time }

func (l living) Poll(context.Context) (daemon.SiteState, error) {
	st := daemon.SiteState{Site: evidence.Site{Key: "erp", Zone: "UTC"}}
	st.Metrics.Up, st.Metrics.LastSuccess = true, l.now()
	return st, nil
}

// provisioned is a bare site after prmsync provision, made once for all tests.
var provisioned = sync.OnceValues(func() (*frappetest.State, error) {
	site, err := frappetest.NewSite(frappetest.SiteOptions{TimeZone: "Asia/Kolkata"})
	if err != nil {
		return nil, err
	}
	srv, err := frappetest.NewServer(frappetest.ServerOptions{}, site)
	if err != nil {
		return nil, err
	}
	defer srv.Close()
	key, secret := site.AddUser("provision@prm.test", "System Manager", "Workspace Manager", "Website Manager")
	client, err := frappe.New(frappe.Config{URL: site.URL(), Key: frappe.Secret(key), Secret: frappe.Secret(secret), AllowPrivateNetwork: true, ServerSeconds: 100})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if _, err := schema.Provision(context.Background(), client, schema.Options{Deployment: "bare"}); err != nil {
		return nil, err
	}
	return site.Snapshot(), nil
})

// newCrowd makes a provisioned PRM for n partners, of which it knows nothing yet,
// and who are judged on so many criteria.
func newCrowd(t testing.TB, n, criteria int) *crowd {
	t.Helper()
	c := &crowd{t: t, now: time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC), judge: &panel{size: criteria, miss: map[string]map[int]bool{}, notes: map[string]string{}, weeks: 3}}
	blank, err := provisioned()
	if err != nil {
		t.Fatal(err)
	}
	c.site = frappetest.New(t, frappetest.SiteOptions{TimeZone: "Asia/Kolkata", Now: c.clock})
	c.site.Restore(blank)
	c.site.AddUser("manager@prm.test", "Partner Manager", "PMM Auditor")
	c.manager = c.site.As("manager@prm.test")
	if c.store, err = store.Open(t.Context(), "sqlite::memory:", store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.store.Close() })
	c.agent = c.client("agent@prm.test", "PMM Sync Agent")
	c.options = daemon.Options{Store: c.store, PRM: central{prm.New(c.agent, "bare"), c.clock}, Judge: c.judge, Clock: c.clock, Version: "test", Logger: slog.New(slog.DiscardHandler)}
	for i := range criteria {
		c.options.Criteria = append(c.options.Criteria, plan.CriterionFacts{
			ID: criterion(i), Title: "Plans are followed", Level: 2 + i%4, Department: evidence.Implementation, Severity: rules.SeverityNC, Method: "Automatic",
		})
	}
	for i := range n {
		c.keys = append(c.keys, fmt.Sprintf("partner%03d", i))
	}
	c.start()
	c.site.ResetRequests()
	return c
}

// client is a client that hardly pauses: its pauses are real time.
func (c *crowd) client(user string, roles ...string) *frappe.Client {
	c.t.Helper()
	key, secret := c.site.AddUser(user, roles...)
	cl, err := frappe.New(frappe.Config{
		URL: c.site.URL(), Key: frappe.Secret(key), Secret: frappe.Secret(secret), AllowPrivateNetwork: true, ServerSeconds: 1000, Clock: c.clock,
		MinWait: time.Microsecond, MaxWait: time.Millisecond, BreakerPause: time.Millisecond,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

func (c *crowd) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *crowd) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// partners are the crowd's, as the configuration gives them.
func (c *crowd) partners() []daemon.Partner {
	var out []daemon.Partner
	for _, k := range c.keys {
		out = append(out, daemon.Partner{
			Facts: plan.PartnerFacts{Key: k, Name: k}, Sites: []daemon.PartnerSite{{Key: "erp", URL: "https://" + k + ".example", Purpose: "All", Read: living{c.clock}}},
			Schedule: func(after time.Time) time.Time { return after.Add(time.Hour) }, Spec: "hourly",
		})
	}
	return out
}

// start begins the daemon anew, as after a restart.
func (c *crowd) start() {
	c.t.Helper()
	var err error
	if c.d, err = daemon.New(c.options, c.partners()); err != nil {
		c.t.Fatal(err)
	}
}

// once lets the time pass and everybody be judged and written.
func (c *crowd) once(after time.Duration) {
	c.t.Helper()
	c.pass(after)
	if err := c.d.Once(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// settle delivers what backs off until nothing waits.
func (c *crowd) settle() {
	c.t.Helper()
	for range 50 {
		if c.open(store.Waiting) == 0 {
			return
		}
		c.pass(20 * time.Minute)
		if err := c.d.Deliver(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
	}
	left, _ := c.store.List(c.t.Context(), "*", store.Waiting, 3)
	c.t.Fatalf("%d changes are never delivered: %+v", c.open(store.Waiting), left)
}

// open counts what the outbox holds in a state.
func (c *crowd) open(s store.State) int {
	c.t.Helper()
	qs, err := c.store.List(c.t.Context(), "*", s, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	return len(qs)
}

// asked is what the PRM was asked since the last call.
type asked struct {
	reads, writes, many int
	of                  map[string]int // writes by doctype, insert_many as such
	docs                map[string]int // PUTs by document
}

func (a asked) String() string {
	return fmt.Sprintf("%d reads, %d writes and %d insert_many: %v", a.reads, a.writes, a.many, a.of)
}

// taken reads the site's log and empties it.
func (c *crowd) taken() asked {
	a := asked{of: map[string]int{}, docs: map[string]int{}}
	for _, r := range c.site.Requests() {
		path, _ := strings.CutPrefix(r.Path, "/api/resource/")
		doctype, _, named := strings.Cut(path, "/")
		switch {
		case r.Method == http.MethodGet:
			a.reads++
		case strings.HasSuffix(r.Path, "insert_many"):
			a.many++
			a.of["insert_many"]++
		default:
			a.writes++
			a.of[doctype]++
			if named {
				a.docs[path]++
			}
		}
	}
	c.site.ResetRequests()
	return a
}

// doctypes that the daemon keeps for each partner.
var kept = []string{plan.DoctypePartner, plan.DoctypeSite, plan.DoctypeAssessment, plan.DoctypeSnapshot, plan.DoctypeAlert, plan.DoctypeCriterion}

// stands checks that the PRM equals what is wanted: another cycle has nothing
// to write, each record that was written is there once, and holds exactly what
// was written last.
func (c *crowd) stands() {
	c.t.Helper()
	c.pass(time.Second)
	c.taken()
	if err := c.d.Once(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	if a := c.taken(); a.writes+a.many != 0 {
		c.t.Errorf("it does not settle: %v", a)
	}
	for _, state := range []store.State{store.Waiting, store.Parked} {
		left, err := c.store.List(c.t.Context(), "*", state, 3)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, q := range left {
			c.t.Errorf("still %s: %s %s: %s", q.State, q.Change.Op, q.Change.Key, q.Error)
		}
	}
	count := map[string]int{}
	for _, key := range append([]string{""}, c.keys...) {
		known, err := c.store.Known(c.t.Context(), key)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, k := range known {
			count[k.Doctype]++
			doc := c.site.Doc(k.Doctype, k.Name)
			if doc == nil {
				c.t.Errorf("%s %s is not there", k.Doctype, k.Name)
				continue
			}
			for f, want := range k.Fields {
				// Seeds are people's from the first day.
				if !slices.Contains(seeds, f) && !stored(want, doc[f]) {
					c.t.Errorf("%s %s: %s is %v, want %v", k.Doctype, k.Name, f, doc[f], want)
				}
			}
		}
	}
	for _, doctype := range kept {
		if n := c.site.Count(doctype); n != count[doctype] {
			c.t.Errorf("%d documents of %s, want %d", n, doctype, count[doctype])
		}
	}
	for _, key := range c.keys {
		a := c.site.Doc(plan.DoctypeAssessment, rules.AssessmentKey(key, rules.Continuous, evidence.DateIn(c.clock(), time.UTC), rules.Target{}))
		if got := fmt.Sprint(a["not_met"]); got != fmt.Sprint(c.judge.missed(key)) {
			c.t.Errorf("the assessment of %s says %s Not Met, want %d", key, got, c.judge.missed(key))
		}
	}
}

var seeds = []string{"partner_name", "purpose", "enabled", "site_url"}

// stored reports whether the site holds a value as it was sent: absent, empty
// and 0 are one to it, and of rows only the columns that were sent count.
func stored(want, have any) bool {
	if rows, ok := want.([]any); ok {
		kids, _ := have.([]map[string]any)
		if len(rows) != len(kids) {
			return false
		}
		for i, r := range rows {
			for f, v := range r.(map[string]any) {
				if !stored(v, kids[i][f]) {
					return false
				}
			}
		}
		return true
	}
	return plain(want) == plain(have)
}

func plain(v any) string {
	switch s := fmt.Sprint(v); s {
	case "<nil>", "0", "false":
		return ""
	case "true":
		return "1"
	default:
		return s
	}
}

// inOrder checks that each partner's first records were made in the order in
// which they link to each other.
func (c *crowd) inOrder() {
	c.t.Helper()
	made := map[[2]string][]string{} // by doctype and partner: when
	order := []string{plan.DoctypePartner, plan.DoctypeSite, plan.DoctypeAssessment, plan.DoctypeSnapshot}
	for _, doctype := range order {
		for _, d := range c.site.Docs(doctype) {
			at := [2]string{doctype, plain(d["partner"])}
			if doctype == plan.DoctypePartner {
				at[1] = plain(d["name"])
			}
			made[at] = append(made[at], plain(d["creation"]))
		}
	}
	for _, key := range c.keys {
		last := ""
		for _, doctype := range order {
			times := made[[2]string{doctype, key}]
			if len(times) == 0 || slices.Min(times) < last {
				c.t.Errorf("the first %s of %s was made at %v, after %s", doctype, key, times, last)
				break
			}
			last = slices.Max(times)
		}
	}
}
