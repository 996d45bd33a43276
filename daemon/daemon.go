package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// Site reads one site of a partner into history.
type Site interface {
	// Poll reads what is new and keeps it, together with what could not be seen.
	// A site that does not answer is a state with gaps, not an error; an error
	// means that the store or ctx failed.
	Poll(ctx context.Context) (SiteState, error)
}

// SiteState is what one read of a site left behind.
type SiteState struct {
	Site     evidence.Site
	Gaps     []evidence.Gap
	Coverage []evidence.Coverage
	Metrics  metrics.Site
}

// Judge turns history into an assessment.
type Judge interface {
	// Assess judges the partner from what was known at the instant.
	Assess(ctx context.Context, partner string, at time.Time, people programme.Input) (Judged, error)
	// Target judges one audit or escalation of the partner from the same
	// evidence that Assess returned.
	Target(ctx context.Context, judged Judged, people programme.Input, c programme.Commission) (rules.Assessment, error)
}

// Judged is the result of one assessment of a partner.
type Judged struct {
	Snapshot    evidence.Snapshot
	Assessments []rules.Assessment // Continuous first
}

// PRM is the central site.
type PRM interface {
	// Zone returns the zone of the PRM's naive times.
	Zone(ctx context.Context) (*time.Location, error)
	// Read returns what people decided; last is what the previous call returned.
	Read(ctx context.Context, last programme.Input) (programme.Input, error)
	// Apply makes one change and returns what the PRM then holds.
	Apply(ctx context.Context, c plan.Change) (Applied, error)
	// ApplyMany inserts records of one doctype that nobody edits; the results
	// are in the order of the changes.
	ApplyMany(ctx context.Context, cs []plan.Change) ([]Applied, error)
	// Requests is the number of requests sent so far.
	Requests() int64
}

// Applied is what the PRM holds after a change.
type Applied struct {
	Known     plan.Known
	Unchanged bool // the record stood as wanted already: nothing was written
	Conflicts int  // fields left to the person who had changed them
}

// Refusal is an error of PRM.Apply that a person must settle; the change is
// parked with it, and everything else goes on.
type Refusal interface {
	error
	Park() bool
}

// Waiter is an error of PRM.Apply that names how long to wait.
type Waiter interface {
	error
	Wait() time.Duration
}

// Partner is one partner to be kept current.
type Partner struct {
	Facts    plan.PartnerFacts
	Sites    []PartnerSite
	Schedule func(after time.Time) time.Time // when its next cycle is due
	Spec     string                          // the schedule's text
	// Clock is the partner's time; nil is the daemon's. The demo judges recorded
	// sites at the instant of their recording.
	Clock func() time.Time
}

// PartnerSite is one site of a partner.
type PartnerSite struct {
	Key     string
	URL     string
	Purpose string // All, Delivery, Support, Sales
	Read    Site
}

// Options is everything a daemon is made of. Store, PRM and Judge are required.
type Options struct {
	Store   *store.Store
	PRM     PRM
	Judge   Judge
	Metrics *metrics.Set
	Logger  *slog.Logger     // nil is silent
	Clock   func() time.Time // nil is time.Now
	Version string

	Workers     int           // partners read at once; 0 is 8
	Drain       time.Duration // time to finish after the end was asked for; 0 is 10 s
	ChangeBrake float64       // share of verdicts that may flip within a day; 0 is no brake
	Poor        programme.Poor
	Programme   programme.Policy
	Criteria    []plan.CriterionFacts
	RuleVersion string
	// People is what people decided as far as history knows: the exporter shows it
	// after a restart until the PRM was read again. The zero value is nothing known.
	People programme.Input
}

// Daemon keeps partners current. Its partners may be replaced while it runs.
type Daemon struct {
	o   Options
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex
	partners map[string]*Partner
	order    []string
	locks    map[string]*sync.Mutex
	people   programme.Input
	alerts   []programme.Alert // of no partner
	readOn   time.Time
	zone     *time.Location
	prmUp    bool
	reload   time.Time
	reloadOK bool
	ready    bool
	lag      time.Duration

	tally Tally

	wake      chan struct{} // the schedule may have changed
	deliverMu sync.Mutex    // one delivery at a time
	round     round

	judging chan struct{} // a slot for each processor: evidence fills memory

	brakeMu  sync.Mutex // one comparison of the fleet at a time
	swings   map[string]swing
	released time.Time // when a person last let changes pass, as far as swings know
}

// New returns a daemon for the partners. It does nothing until Run or Once.
func New(o Options, partners []Partner) (*Daemon, error) {
	if o.Store == nil || o.PRM == nil || o.Judge == nil {
		return nil, errors.New("daemon: store, PRM and judge are required")
	}
	d := &Daemon{o: o, log: o.Logger, now: o.Clock, locks: map[string]*sync.Mutex{}, wake: make(chan struct{}, 1), reloadOK: true}
	d.judging = make(chan struct{}, runtime.GOMAXPROCS(0))
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.o.Workers <= 0 {
		d.o.Workers = 8
	}
	if d.o.Drain <= 0 {
		d.o.Drain = 10 * time.Second
	}
	d.replace(partners)
	return d, nil
}

func (d *Daemon) replace(partners []Partner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.partners, d.order = make(map[string]*Partner, len(partners)), nil
	keep := map[string][]string{}
	for i := range partners {
		p := &partners[i]
		d.partners[p.Facts.Key] = p
		d.order = append(d.order, p.Facts.Key)
		keep[p.Facts.Key] = []string{}
		for _, s := range p.Sites {
			keep[p.Facts.Key] = append(keep[p.Facts.Key], s.Key)
		}
		if d.locks[p.Facts.Key] == nil {
			d.locks[p.Facts.Key] = &sync.Mutex{}
		}
	}
	if d.o.Metrics != nil {
		d.o.Metrics.Keep(keep)
	}
}

// Reload replaces the partners: those that stay keep their due times, new ones
// are due at once. A nil list records that a reload was refused and changes
// nothing else.
func (d *Daemon) Reload(ctx context.Context, partners []Partner) error {
	if partners == nil {
		d.mu.Lock()
		d.reloadOK = false
		d.mu.Unlock()
		d.publish(ctx)
		return nil
	}
	d.replace(partners)
	if err := d.schedule(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	d.reloadOK, d.reload = true, d.now()
	d.mu.Unlock()
	d.publish(ctx)
	d.poke()
	return nil
}

func (d *Daemon) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *Daemon) partner(key string) (*Partner, *sync.Mutex, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.partners[key]
	return p, d.locks[key], ok
}

// Keys returns the partners' keys in the order of the configuration.
func (d *Daemon) Keys() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.order...)
}

// Name returns a partner's name, "" for one that is not configured.
func (d *Daemon) Name(key string) string {
	if p, _, ok := d.partner(key); ok {
		return p.Facts.Name
	}
	return ""
}

// Ready reports whether the daemon could work: its store answers and it has
// seen the PRM at least once. A partner's outage is no unreadiness.
func (d *Daemon) Ready(ctx context.Context) error {
	if _, err := d.o.Store.Jobs(ctx); err != nil {
		return fmt.Errorf("state store: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready {
		return errors.New("the PRM has not answered yet")
	}
	return nil
}

// Tally counts what became of records since the daemon was made.
type Tally struct {
	Created   int // inserted on the PRM
	Updated   int // changed there
	Unchanged int // stood as wanted, or wait for their time: no write
}

// Tally returns the counts so far.
func (d *Daemon) Tally() Tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tally
}
