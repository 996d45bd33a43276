package daemon_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

// ledger writes down, for each partner, which changes the PRM took in which
// order. With twice set each is delivered a second time at once.
type ledger struct {
	daemon.PRM
	twice bool

	mu    sync.Mutex
	taken map[string][]string
}

func (l *ledger) note(cs ...plan.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range cs {
		l.taken[c.Partner] = append(l.taken[c.Partner], c.Key)
	}
}

func (l *ledger) Apply(ctx context.Context, c plan.Change) (daemon.Applied, error) {
	a, err := l.PRM.Apply(ctx, c)
	if l.twice && err == nil {
		a, err = l.PRM.Apply(ctx, c)
	}
	if err == nil {
		l.note(c)
	}
	return a, err
}

func (l *ledger) ApplyMany(ctx context.Context, cs []plan.Change) ([]daemon.Applied, error) {
	as, err := l.PRM.ApplyMany(ctx, cs)
	if l.twice && err == nil {
		as, err = l.PRM.ApplyMany(ctx, cs)
	}
	if err == nil {
		l.note(cs...)
	}
	return as, err
}

// people is what persons entered meanwhile, which nothing may change.
type people struct {
	c *crowd

	mu   sync.Mutex
	last map[[3]string]any // by doctype, name and field
}

func (p *people) edits(doctype, name, field string, value any) {
	if p.c.site.Doc(doctype, name) == nil {
		return // nobody edits what is not there yet
	}
	if err := p.c.manager.Set(doctype, name, map[string]any{field: value}); err != nil {
		p.c.t.Errorf("%s %s: %v", doctype, name, err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[[3]string{doctype, name, field}] = value
}

// keep checks that every word of theirs still stands.
func (p *people) keep() {
	p.c.t.Helper()
	for at, want := range p.last {
		got := p.c.site.Doc(at[0], at[1])[at[2]]
		if rows, ok := want.([]any); ok {
			want = rows[0].(map[string]any)["reason"]
			kids, _ := got.([]map[string]any)
			if len(kids) != len(rows) {
				p.c.t.Errorf("%s: %d rows of a person's, want %d", at, len(kids), len(rows))
				continue
			}
			got = kids[0]["reason"]
		}
		if plain(got) != plain(want) {
			p.c.t.Errorf("%s is %v, and a person had entered %v", at, got, want)
		}
	}
}

// theirs are fields that belong to people, on forms that the daemon writes too.
func (c *crowd) theirs(partner string, n int) (doctype, name, field string, value any) {
	week := rules.AssessmentKey(partner, rules.Continuous, evidence.DateIn(c.clock(), time.UTC), rules.Target{})
	switch n % 5 {
	case 0:
		return plan.DoctypePartner, partner, "notes", fmt.Sprintf("call on Monday, %d", n)
	case 1:
		return plan.DoctypePartner, partner, "awarded_pmm", 2 + n%3
	case 2:
		return plan.DoctypeSite, partner + "-erp", "purpose", []string{"Delivery", "Sales"}[n%2]
	case 3:
		return plan.DoctypeAssessment, week, "auditor_notes", fmt.Sprintf("seen on site, %d", n)
	default:
		return plan.DoctypeAssessment, week, "overrides", []any{map[string]any{"criterion": criterion(n % aFew), "verdict": "Met", "reason": fmt.Sprint("shown in a call ", n)}}
	}
}

// The PRM is away for a day in which everything changes and people go on
// entering what is theirs; then it comes back on a bad line.
func TestThePRMIsAwayForADay(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, crowdSize, aFew)
	l := &ledger{PRM: c.options.PRM, taken: map[string][]string{}}
	c.options.PRM = l
	c.start()
	c.judge.figures(1)
	c.once(0)
	c.stands()

	p := &people{c: c, last: map[[3]string]any{}}
	away := []frappetest.Fault{{Status: 502}, {Reset: true}, {Status: 503}, {HTML: true}, {Status: 500, Body: "{}"}}
	for i := range 12 {
		heal := c.site.Break(away[i%len(away)])
		c.judge.figures(2 * (i + 1))
		for j, k := range c.keys {
			c.judge.flip(k, (i*7+j)%aFew)
			p.edits(c.theirs(k, i*len(c.keys)+j))
		}
		if i == 6 {
			c.start() // a restart in the middle
		}
		c.once(2 * time.Hour)
		heal()
	}
	queued := map[string][]string{}
	for _, k := range c.keys {
		waiting, err := c.store.List(t.Context(), k, store.Waiting, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range waiting {
			queued[k] = append(queued[k], q.Change.Key)
		}
	}
	total := c.open(store.Waiting)
	if total < 25*len(c.keys) {
		t.Fatalf("%d changes wait, want %d: the test tests less than it says", total, 25*len(c.keys))
	}
	l.taken = map[string][]string{}

	c.site.Break(frappetest.Fault{Method: "POST", Every: 7, DropAnswer: true, Times: 20})
	c.site.Break(frappetest.Fault{Method: "PUT", Every: 5, DropAnswer: true, Times: 20})
	c.site.Break(frappetest.Fault{Every: 11, Status: 503, Times: 20})
	began := time.Now()
	c.settle()
	t.Logf("%d changes delivered in %v", total, time.Since(began).Round(time.Millisecond))
	for _, k := range c.keys {
		if diff := cmp.Diff(queued[k], l.taken[k]); diff != "" {
			t.Errorf("changes of %s, as queued and as delivered (-queued +delivered):\n%s", k, diff)
		}
	}
	c.site.Heal()
	c.once(5 * time.Minute) // sees what people decided meanwhile
	c.stands()
	c.inOrder()
	p.keep()
	if n := c.site.Count(plan.DoctypeSnapshot); n != 24*len(c.keys) {
		t.Errorf("%d figures, want %d", n, 24*len(c.keys))
	}
}

// Whatever goes wrong with requests, and however often: afterwards the PRM
// holds what is wanted, nothing twice, and nothing waits for a person.
func TestNoStormHarmsThePRM(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]frappetest.Fault{
		"answers are lost":      {{Method: "POST", Every: 2, DropAnswer: true}, {Method: "PUT", Every: 2, DropAnswer: true}},
		"answers are cut":       {{Method: "POST", Every: 2, Cut: -1}, {Method: "PUT", Every: 2, Cut: -1}},
		"connections break":     {{Every: 3, Reset: true}},
		"somebody was faster":   {{Method: "PUT", Every: 2, ExcType: "TimestampMismatchError"}},
		"always a bit too late": {{Method: "PUT", Times: 40, ExcType: "TimestampMismatchError"}},
		"rows are locked":       {{Method: "PUT", Every: 2, ExcType: "QueryDeadlockError"}, {Method: "POST", Every: 3, ExcType: "QueryTimeoutError"}},
		"the site is overrun":   {{Every: 2, Status: 502}, {Every: 3, Status: 504}},
		"the site fails":        {{Method: "POST", Every: 3, Status: 500, Body: "{}"}, {Method: "PUT", Every: 2, Status: 500, Body: "{}"}},
		"too many requests":     {{Every: 4, Status: 429, RetryAfter: "2"}},
		"a page stands before":  {{Every: 4, HTML: true}},
		"each comes twice":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, 3, aFew)
			l := &ledger{PRM: c.options.PRM, taken: map[string][]string{}, twice: faults == nil}
			c.options.PRM = l
			c.start()
			for _, f := range faults {
				c.site.Break(f)
			}
			c.once(0)
			for i, k := range c.keys {
				c.judge.flip(k, i)
			}
			c.judge.figures(5)
			c.once(time.Hour)
			c.once(time.Hour)
			c.site.Heal()
			c.settle()
			c.stands()
			c.inOrder()
		})
	}
}

// A store that was lost meets a PRM on which most is there already (409): it
// finds its records and doubles none.
func TestALostStoreFindsItsRecords(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 4, aFew)
	c.once(0)
	p := &people{c: c, last: map[[3]string]any{}}
	for i, k := range c.keys {
		for n := range 5 {
			p.edits(c.theirs(k, 5*i+n))
		}
		c.judge.flip(k, i)
	}
	st, err := store.Open(t.Context(), "sqlite::memory:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c.store, c.options.Store = st, st
	c.judge.figures(6) // a batch in which three are known and three are new
	c.start()
	c.once(time.Hour)
	c.settle()
	c.stands()
	p.keep()
}

// Cycles, deliveries, restarts, faults and people follow one another at random,
// people also between any two requests of a delivery. In the end the PRM holds
// what is wanted, nothing twice, and every word of theirs.
func TestPeopleAtAnyMomentOfADelivery(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3, aFew)
	blank, day := c.site.Snapshot(), c.clock()
	faults := []frappetest.Fault{
		{Times: 2, DropAnswer: true},
		{Times: 3, Reset: true},
		{Times: 5, Status: 503},
		{Method: "PUT", Times: 3, ExcType: "TimestampMismatchError"},
		{Times: 2, ExcType: "QueryDeadlockError"},
		{Method: "POST", Times: 2, Cut: -1},
	}
	interrupted := 0
	rapid.Check(t, func(r *rapid.T) {
		c.site.Heal()
		c.site.Restore(blank)
		st, err := store.Open(t.Context(), "sqlite::memory:", store.Options{})
		if err != nil {
			r.Fatal(err)
		}
		defer st.Close()
		c.mu.Lock()
		c.now = day
		c.mu.Unlock()
		c.store, c.options.Store = st, st
		c.judge.miss, c.judge.notes = map[string]map[int]bool{}, map[string]string{}
		c.judge.figures(1)
		c.options.PRM = central{prm.New(c.agent, "bare"), c.clock}
		c.start()
		p := &people{c: c, last: map[[3]string]any{}}
		partner := rapid.SampledFrom(c.keys)
		// A person who saves after a random request, and again a few requests on.
		visit := func(label string) {
			k, n := partner.Draw(r, label+" at"), rapid.IntRange(0, 1000).Draw(r, label)
			c.site.AfterRequests(rapid.IntRange(1, 25).Draw(r, label+" after"), func() {
				interrupted++
				p.edits(c.theirs(k, n))
			})
		}
		figures := 1
		for range rapid.IntRange(3, 8).Draw(r, "steps") {
			switch rapid.SampledFrom([]string{"cycle", "cycle", "cycle", "deliver", "restart", "fault", "edit"}).Draw(r, "step") {
			case "cycle":
				for range rapid.IntRange(0, 3).Draw(r, "flips") {
					c.judge.flip(partner.Draw(r, "of"), rapid.IntRange(0, aFew-1).Draw(r, "criterion"))
				}
				figures += rapid.IntRange(0, 2).Draw(r, "figures")
				c.judge.figures(figures)
				for i := range rapid.IntRange(0, 4).Draw(r, "visits") {
					visit(fmt.Sprint("visit ", i))
				}
				c.once(time.Duration(rapid.IntRange(1, 200).Draw(r, "minutes")) * time.Minute)
			case "deliver":
				c.pass(10 * time.Minute)
				visit("visit")
				if err := c.d.Deliver(t.Context()); err != nil {
					r.Fatal(err)
				}
			case "restart":
				c.options.PRM = central{prm.New(c.agent, "bare"), c.clock}
				c.start()
			case "fault":
				c.site.Break(rapid.SampledFrom(faults).Draw(r, "fault"))
			case "edit":
				p.edits(c.theirs(partner.Draw(r, "whose"), rapid.IntRange(0, 1000).Draw(r, "what")))
			}
		}
		c.site.Heal()
		c.once(time.Hour)
		c.settle()
		c.once(5 * time.Minute) // sees what people decided last
		c.settle()
		c.stands()
		p.keep()
		if t.Failed() {
			r.Fatal("see above")
		}
	})
	if interrupted == 0 {
		t.Error("nobody came in between: the test tests less than it says")
	}
}
