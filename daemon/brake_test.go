package daemon_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// paper is a PRM that writes down what it is sent.
type paper struct {
	now func() time.Time

	mu   sync.Mutex
	sent []plan.Change
}

func (*paper) Zone(context.Context) (*time.Location, error) { return time.UTC, nil }
func (*paper) Requests() int64                              { return 0 }

func (p *paper) Read(context.Context, programme.Input) (programme.Input, error) {
	return programme.Input{AsOf: p.now()}, nil
}

func (p *paper) Apply(_ context.Context, c plan.Change) (daemon.Applied, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, c)
	return daemon.Applied{Known: plan.Known{Doctype: c.Doctype, Key: c.Name, Name: c.Name, Fields: c.Fields, Written: p.now()}}, nil
}

func (p *paper) ApplyMany(ctx context.Context, cs []plan.Change) ([]daemon.Applied, error) {
	var out []daemon.Applied
	for _, c := range cs {
		a, err := p.Apply(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// taken returns the doctypes sent since the last call.
func (p *paper) taken() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]int{}
	for _, c := range p.sent {
		out[c.Doctype]++
	}
	p.sent = nil
	return out
}

// verdicts judges each partner on ten criteria, which the test sets.
type verdicts struct {
	mu sync.Mutex
	of map[string][]rules.Outcome
}

func (v *verdicts) set(o rules.Outcome, n int, partners ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range partners {
		v.of[p] = slices.Repeat([]rules.Outcome{rules.Met}, 10)
		for i := range n {
			v.of[p][i] = o
		}
	}
}

func (v *verdicts) Assess(_ context.Context, partner string, at time.Time, _ programme.Input) (daemon.Judged, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := rules.Assessment{
		Key: rules.AssessmentKey(partner, rules.Continuous, evidence.DateIn(at, time.UTC), rules.Target{}), Partner: partner, Kind: rules.Continuous, AsOf: at,
	}
	for i, o := range v.of[partner] {
		a.Verdicts = append(a.Verdicts, rules.Verdict{Criterion: fmt.Sprintf("c%d", i), Level: 2, Outcome: o, Severity: rules.SeverityNC, Department: evidence.Implementation})
	}
	a.LevelLow, a.LevelHigh = rules.Levels(a.Verdicts)
	return daemon.Judged{Snapshot: evidence.Snapshot{Partner: partner, AsOf: at}, Assessments: []rules.Assessment{a}}, nil
}

func (*verdicts) Target(context.Context, daemon.Judged, programme.Input, programme.Commission) (rules.Assessment, error) {
	return rules.Assessment{}, nil
}

// fleetOf is ten partners of ten verdicts each, all Met and on the PRM.
type fleetOf struct {
	t     *testing.T
	now   time.Time
	prm   *paper
	judge *verdicts
	store *store.Store
	keys  []string
	d     *daemon.Daemon
}

func newFleet(t *testing.T) *fleetOf {
	t.Helper()
	f := &fleetOf{t: t, now: time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC), judge: &verdicts{of: map[string][]rules.Outcome{}}}
	f.prm = &paper{now: func() time.Time { return f.now }}
	var err error
	if f.store, err = store.Open(t.Context(), "sqlite::memory:", store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	for i := range 10 {
		f.keys = append(f.keys, fmt.Sprintf("p%d", i))
	}
	f.judge.set(rules.Met, 0, f.keys...)
	f.start()
	f.once(0)
	return f
}

// start begins the daemon anew, as after a restart.
func (f *fleetOf) start() {
	f.t.Helper()
	var partners []daemon.Partner
	for _, k := range f.keys {
		partners = append(partners, daemon.Partner{
			Facts: plan.PartnerFacts{Key: k, Name: k}, Sites: []daemon.PartnerSite{{Key: "erp", URL: "https://" + k + ".example", Purpose: "All", Read: silent{}}},
			Schedule: func(after time.Time) time.Time { return after.Add(time.Hour) }, Spec: "hourly",
		})
	}
	var err error
	if f.d, err = daemon.New(daemon.Options{
		Store: f.store, PRM: f.prm, Judge: f.judge, Clock: func() time.Time { return f.now }, Workers: 1, ChangeBrake: 0.2,
	}, partners); err != nil {
		f.t.Fatal(err)
	}
}

// once lets the time pass and everybody be judged, and returns what was sent.
func (f *fleetOf) once(after time.Duration) map[string]int {
	f.t.Helper()
	f.now = f.now.Add(after)
	if err := f.d.Once(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return f.prm.taken()
}

// holding returns the change brakes that hold.
func (f *fleetOf) holding() []store.Brake {
	f.t.Helper()
	bs, err := f.store.Brakes(f.t.Context(), f.now.Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return slices.DeleteFunc(bs, func(b store.Brake) bool { return b.Kind != "change" })
}

func (f *fleetOf) firing() int {
	f.t.Helper()
	es, err := f.store.Alerts(f.t.Context(), "", f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, e := range es {
		if e.Alert.Rule == programme.RuleChangeBrake && e.Alert.Firing {
			n++
		}
	}
	return n
}

func TestTheChangeBrakeHoldsUntilAPersonApproves(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.judge.set(rules.NotMet, 3, f.keys...) // 30 of 100
	// Twenty of a hundred are the share: the seventh partner trips the brake, and
	// what the first six had queued stays.
	if got := f.once(time.Hour); got[plan.DoctypeAssessment]+got[plan.DoctypePartner] != 0 {
		t.Errorf("%v was written of a round in which the brake tripped", got)
	}
	f.once(time.Hour)
	held := f.holding()
	if len(held) != 1 || f.firing() != 1 {
		t.Fatalf("%d brakes hold and %d alerts fire, want one of each: %+v", len(held), f.firing(), held)
	}
	for _, key := range f.keys {
		h, ok, err := f.store.LatestOf(t.Context(), key, rules.Continuous)
		if err != nil || !ok || h.Assessment.Verdicts[0].Outcome != rules.NotMet {
			t.Errorf("the assessment of %s is not kept while the brake holds: %+v (%v)", key, h, err)
		}
	}

	// Neither a day nor a restart lets anything pass but signs of life.
	f.start()
	for range 26 {
		got := f.once(time.Hour)
		for _, doctype := range []string{plan.DoctypePartner, plan.DoctypeAssessment, plan.DoctypeSnapshot} {
			if got[doctype] != 0 {
				t.Fatalf("at %s %d of %s were written", f.now, got[doctype], doctype)
			}
		}
		if got[plan.DoctypeStatus] == 0 {
			t.Fatalf("at %s no heartbeat went out: %v", f.now, got)
		}
	}
	if len(f.holding()) != 1 || f.firing() != 1 {
		t.Fatalf("after a day %d brakes hold and %d alerts fire", len(f.holding()), f.firing())
	}

	if err := f.store.ReleaseBrake(t.Context(), held[0].ID, "ines", f.now); err != nil {
		t.Fatal(err)
	}
	if got := f.once(time.Hour); got[plan.DoctypeAssessment] != 10 {
		t.Errorf("after the approval %v was written, want the ten assessments that were held back", got)
	}
	f.once(time.Hour)
	if len(f.holding()) != 0 || f.firing() != 0 {
		t.Errorf("after the approval %d brakes hold and %d alerts fire", len(f.holding()), f.firing())
	}

	// The same flips may be undone, and be held again, at once.
	f.judge.set(rules.Met, 0, f.keys...)
	f.once(time.Hour)
	if again := f.holding(); len(again) != 1 || again[0].ID == held[0].ID {
		t.Errorf("flips back within a day of the approval: %+v", again)
	}
}

func TestTheChangeBrakeLetsPass(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *fleetOf){
		"nineteen flips":    func(f *fleetOf) { f.judge.set(rules.NotMet, 10, f.keys[0]); f.judge.set(rules.NotMet, 9, f.keys[1]) },
		"exactly the share": func(f *fleetOf) { f.judge.set(rules.NotMet, 2, f.keys...) },
		"what nobody knows": func(f *fleetOf) { f.judge.set(rules.Insufficient, 10, f.keys...) },
		"new partners": func(f *fleetOf) {
			for i := range 10 {
				k := fmt.Sprintf("new%d", i)
				f.keys = append(f.keys, k)
				f.judge.set(rules.NotMet, 10, k)
			}
			f.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			change(f)
			if got := f.once(time.Hour); got[plan.DoctypeAssessment] == 0 {
				t.Errorf("nothing was written: %v", got)
			}
			if held := f.holding(); len(held) != 0 {
				t.Errorf("held back: %+v", held)
			}
		})
	}
}

// Flips that come slowly, a few each hour, add up over the day; those of days
// ago do not.
func TestTheChangeBrakeAddsUpADay(t *testing.T) {
	t.Parallel()
	slow, fast := newFleet(t), newFleet(t)
	for i := range 10 {
		slow.judge.set(rules.NotMet, 3, slow.keys[i])
		slow.once(13 * time.Hour)
		fast.judge.set(rules.NotMet, 3, fast.keys[i])
		fast.once(time.Hour)
	}
	if held := slow.holding(); len(held) != 0 {
		t.Errorf("30 flips over five days: %+v", held)
	}
	if held := fast.holding(); len(held) != 1 {
		t.Errorf("30 flips within ten hours: %d brakes", len(held))
	}
}

// Partners that came due together are written together: the first of them does
// not go out before the last one is judged, which may trip the brake.
func TestNothingOfARoundIsWrittenBeforeAllAreJudged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ flips, written int }{
		"too many flips": {3, 0},
		"few flips":      {1, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.judge.set(rules.NotMet, c.flips, f.keys...)
			f.now = f.now.Add(time.Hour)
			f.start()
			ctx, end := context.WithCancel(t.Context())
			defer end()
			done := make(chan error, 1)
			go func() { done <- f.d.Run(ctx) }()
			judged := func() bool {
				jobs, err := f.store.Jobs(t.Context())
				if err != nil {
					t.Error(err)
					return true
				}
				return !slices.ContainsFunc(jobs, func(j store.Job) bool { return strings.HasPrefix(j.Name, "poll:") && j.LastEnd.IsZero() })
			}
			for !judged() {
				time.Sleep(5 * time.Millisecond)
			}
			end()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := f.prm.taken(); got[plan.DoctypeAssessment] != c.written {
				t.Errorf("%v was written, want %d assessments", got, c.written)
			}
		})
	}
}

// stuck is a site that does not answer until it is let go.
type stuck struct {
	living
	entered, free chan struct{}
}

func (s stuck) Poll(ctx context.Context) (daemon.SiteState, error) {
	close(s.entered)
	select {
	case <-s.free:
	case <-ctx.Done():
	}
	return s.living.Poll(ctx)
}

// A partner whose site is slow holds up those that came due with it for two
// minutes, not for as long as it takes.
func TestASlowSiteHoldsUpItsRoundForTwoMinutes(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 4, aFew)
	c.options.ChangeBrake = 0.2
	slow := stuck{living{c.clock}, make(chan struct{}), make(chan struct{})}
	partners := c.partners()
	partners[0].Sites[0].Read = slow
	var err error
	if c.d, err = daemon.New(c.options, partners); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.d.Run(ctx) }()
	<-slow.entered
	ended := func() (n int) {
		jobs, err := c.store.Jobs(t.Context())
		if err != nil {
			t.Error(err)
		}
		for _, j := range jobs {
			if strings.HasPrefix(j.Name, "poll:") && !j.LastEnd.IsZero() {
				n++
			}
		}
		return n
	}
	for ended() < 3 {
		time.Sleep(5 * time.Millisecond)
	}
	if n := c.site.Count(plan.DoctypeAssessment); n != 0 {
		t.Errorf("%d assessments were written while one of the round is not judged", n)
	}
	c.pass(3 * time.Minute)
	for c.site.Count(plan.DoctypeAssessment) < 3 {
		if err := c.d.Reload(t.Context(), partners); err != nil { // wakes it: its pauses are real time
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(slow.free)
	for ended() < 4 {
		time.Sleep(5 * time.Millisecond)
	}
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := c.site.Count(plan.DoctypeAssessment); n != 4 {
		t.Errorf("%d assessments, want those of all four", n)
	}
}
