package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

// BrakeChange is the kind of the brake that holds the whole fleet's changes.
const BrakeChange = "change"

// brakeWindow is the time over which flips add up.
const brakeWindow = 24 * time.Hour

// swing is how one partner's verdicts moved within the window: outcomes alone.
type swing struct {
	before, after []rules.Assessment
}

// brake reports whether the partner's changes wait for a person: because a
// brake holds, or because with this assessment too many verdicts of the fleet
// would flip at once, which trips it. It holds until a person releases it, even
// when the flips are gone meanwhile. Continuous assessments alone are compared:
// audits and escalations rest on the same criteria and are few.
func (d *Daemon) brake(ctx context.Context, p *Partner, now time.Time, a rules.Assessment) (bool, error) {
	if d.o.ChangeBrake <= 0 {
		return false, nil
	}
	d.brakeMu.Lock()
	defer d.brakeMu.Unlock()
	open, released, err := d.braked(ctx)
	if err != nil || open {
		return open, err
	}
	if d.swings == nil || !released.Equal(d.released) {
		d.swings, d.released = map[string]swing{}, released
	}
	var before, after []rules.Assessment
	for _, key := range d.Keys() {
		if key == p.Facts.Key {
			continue
		}
		s, ok := d.swings[key]
		if !ok {
			if s, err = d.swingOf(ctx, key, released); err != nil {
				return false, err
			}
			d.swings[key] = s
		}
		before, after = append(before, s.before...), append(after, s.after...)
	}
	own := swing{after: []rules.Assessment{outcomesOf(a)}}
	if own.before, err = d.stood(ctx, p.Facts.Key, now, released); err != nil {
		return false, err
	}
	b := plan.Brake(append(before, own.before...), append(after, own.after...), d.o.ChangeBrake)
	if !b.Stop {
		d.swings[p.Facts.Key] = own
		return false, nil
	}
	flips := make([]string, len(b.Flips))
	for i, f := range b.Flips {
		flips[i] = f.String()
	}
	body, err := json.Marshal(flips)
	if err != nil {
		return false, err
	}
	// The same flips may come again after they were approved and undone.
	id := b.ID + "-" + d.now().UTC().Format("20060102150405")
	if err := d.o.Store.PutBrake(ctx, store.Brake{ID: id, Kind: BrakeChange, Subject: "fleet: " + b.String(), Tripped: d.now(), Body: body}); err != nil {
		return false, err
	}
	d.swings = nil
	d.log.Error("writing to the PRM stopped: too many verdicts would flip at once", "brake", id, "flips", len(b.Flips), "of", b.Compared,
		"look", "prmsync plan", "approve", "prmsync plan --approve "+id)
	return true, nil
}

// braked reports whether a change brake holds, and when a person last released
// one within the window.
func (d *Daemon) braked(ctx context.Context) (open bool, released time.Time, err error) {
	if d.o.ChangeBrake <= 0 {
		return false, time.Time{}, nil
	}
	brakes, err := d.o.Store.Brakes(ctx, d.now().Add(-brakeWindow))
	for _, b := range brakes {
		if b.Kind != BrakeChange {
			continue
		}
		open = open || b.Released.IsZero()
		if b.Released.After(released) {
			released = b.Released
		}
	}
	return open, released, err
}

// swingOf is how a partner stands that this process has not judged since it
// started or since changes were let pass.
func (d *Daemon) swingOf(ctx context.Context, key string, released time.Time) (swing, error) {
	held, ok, err := d.o.Store.LatestOf(ctx, key, rules.Continuous)
	if err != nil || !ok {
		return swing{}, err
	}
	now := d.now()
	if p, _, ok := d.partner(key); ok && p.Clock != nil {
		now = p.Clock()
	}
	before, err := d.stood(ctx, key, now, released)
	return swing{before: before, after: []rules.Assessment{outcomesOf(held.Assessment)}}, err
}

// stood is the assessment to compare with: that of a day ago, or of the moment
// when a person let changes pass. A partner younger than that is compared with
// its first one; one that was never assessed with none.
func (d *Daemon) stood(ctx context.Context, key string, now, released time.Time) ([]rules.Assessment, error) {
	since := now.Add(-brakeWindow)
	if released.After(since) {
		since = released
	}
	held, ok, err := d.o.Store.HeldAt(ctx, key, rules.Continuous, since)
	if err != nil || !ok {
		return nil, err
	}
	return []rules.Assessment{outcomesOf(held.Assessment)}, nil
}

// outcomesOf is what the brake compares, so that a fleet fits into memory.
func outcomesOf(a rules.Assessment) rules.Assessment {
	slim := rules.Assessment{Key: a.Key, Partner: a.Partner, Kind: a.Kind, Target: rules.Target{Record: a.Target.Record}}
	for _, v := range a.Verdicts {
		slim.Verdicts = append(slim.Verdicts, rules.Verdict{Criterion: v.Criterion, Outcome: v.Outcome})
	}
	return slim
}

// passing are the changes that go out while the brake holds. They link to the
// partner's record, so that none goes before that was made.
func passing(changes []plan.Change, made bool) []plan.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c plan.Change) bool { return !made || !passes(c) })
}

// passes reports whether a change says nothing about verdicts: the age of the
// data, the state of the sites, alerts.
func passes(c plan.Change) bool {
	return c.Kind == plan.Heartbeat || c.Doctype == plan.DoctypeAlert || c.Doctype == plan.DoctypeSite
}

// roundBound is how long changes wait for the other partners of their round to
// be judged, because a site is slow or some partner is always at work.
const roundBound = 2 * time.Minute

// round is the partners that came due together. A faulty rule or reader shows in
// all of them, so nothing of them is written before the last one is judged and
// the brake has seen them all.
type round struct {
	mu    sync.Mutex
	open  map[string]bool // jobs not judged yet
	began time.Time
}

func (r *round) enter(job string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) == 0 {
		r.open, r.began = map[string]bool{}, now
	}
	r.open[job] = true
}

func (r *round) leave(job string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, job)
}

// complete reports whether what is queued may go out; after roundBound it may,
// and the next round begins.
func (r *round) complete(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) > 0 && now.Sub(r.began) < roundBound {
		return false
	}
	r.began = now
	return true
}

// whyStopped is the brake on one line, for people.
func whyStopped(b store.Brake) string {
	return fmt.Sprintf("Writing to the PRM stopped on %s: %s; prmsync plan --approve %s lets it pass", b.Tripped.UTC().Format(time.DateTime), b.Subject, b.ID)
}
