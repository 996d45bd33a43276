package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

// Delivery's bounds: four partners at once, so that two requests are in flight
// (the client sends no more: a Frappe site has few slots, and people use the same
// ones) while what was sent is written down; batches as large as one insert_many
// takes.
const (
	deliverAtOnce = 4
	deliverBatch  = 200
	firstPause    = 5 * time.Second
	longestPause  = 15 * time.Minute
)

// Deliver sends what waits in the outbox, in order for each partner, until
// nothing is left that may be sent now. A change that fails for a while stops
// its partner and is tried again later; one that only a person can settle is
// parked, and the others go on. While the change brake holds, what was queued
// before it tripped stays too. The error is the store's or ctx's.
func (d *Daemon) Deliver(ctx context.Context) error {
	d.deliverMu.Lock()
	defer d.deliverMu.Unlock()
	held, _, err := d.braked(ctx)
	if err != nil {
		return fmt.Errorf("change brake: %w", err)
	}
	// Records of no partner go first: others link to them.
	if err := d.deliverTo(ctx, "", false); err != nil {
		return err
	}
	rounds := 100 // what a round leaves is due later
	if held {
		rounds = 1 // or is held
	}
	for range rounds {
		partners, err := d.o.Store.WaitingPartners(ctx, d.now())
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		if len(partners) == 0 {
			return nil
		}
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			errs  []error
			slots = make(chan struct{}, deliverAtOnce)
		)
		for _, p := range partners {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if err := d.deliverTo(ctx, p, held); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// deliverTo sends one partner's waiting changes until one has to wait; while the
// change brake holds, only those that pass it.
func (d *Daemon) deliverTo(ctx context.Context, partner string, held bool) error {
	for ctx.Err() == nil {
		waiting, err := d.o.Store.Waiting(ctx, partner, d.now(), deliverBatch)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		if held {
			_, made, err := d.o.Store.KnownRecord(ctx, plan.DoctypePartner, partner)
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			waiting = slices.DeleteFunc(waiting, func(q store.Queued) bool { return !made || !passes(q.Change) })
		}
		if len(waiting) == 0 {
			return nil
		}
		for len(waiting) > 0 {
			n := batch(waiting)
			again, err := d.send(ctx, waiting[:n])
			if err != nil || !again {
				return err
			}
			waiting = waiting[n:]
		}
	}
	return ctx.Err()
}

// batch is how many changes at the front can go out in one request: inserts of
// records that nobody edits.
func batch(q []store.Queued) int {
	n := 0
	for n < len(q) && q[n].Change.Op == plan.Insert && bulk(q[n].Change.Doctype) && q[n].Change.Doctype == q[0].Change.Doctype {
		n++
	}
	return max(n, 1)
}

func bulk(doctype string) bool {
	return doctype == plan.DoctypeSnapshot || doctype == plan.DoctypeEvidence || doctype == plan.DoctypeCriterion
}

// send applies some changes and settles them in the outbox. It reports whether
// the partner's next ones may follow.
func (d *Daemon) send(ctx context.Context, q []store.Queued) (bool, error) {
	if len(q) > 1 {
		changes := make([]plan.Change, len(q))
		for i := range q {
			changes[i] = q[i].Change
		}
		applied, err := d.o.PRM.ApplyMany(ctx, changes)
		if err == nil {
			return true, d.sent(ctx, q, applied)
		}
		if _, park := errors.AsType[Refusal](err); !park {
			return d.failed(ctx, q[0], err)
		}
		// One of them is refused: send them one by one to learn which.
		for i := range q {
			if again, err := d.send(ctx, q[i:i+1]); err != nil || !again {
				return again, err
			}
		}
		return true, nil
	}
	applied, err := d.o.PRM.Apply(ctx, q[0].Change)
	if err != nil {
		return d.failed(ctx, q[0], err)
	}
	return true, d.sent(ctx, q, []Applied{applied})
}

func (d *Daemon) sent(ctx context.Context, q []store.Queued, applied []Applied) error {
	d.mu.Lock()
	d.prmUp, d.ready = true, true
	for i := range q {
		switch {
		case applied[i].Unchanged:
			d.tally.Unchanged++
		case q[i].Change.Op == plan.Insert:
			d.tally.Created++
		default:
			d.tally.Updated++
		}
	}
	d.mu.Unlock()
	done := make([]store.Delivery, len(q))
	for i := range q {
		done[i] = store.Delivery{ID: q[i].ID, Known: &applied[i].Known}
		if d.o.Metrics != nil && !applied[i].Unchanged {
			d.o.Metrics.Wrote(string(q[i].Change.Op), applied[i].Conflicts)
		}
		d.log.Debug("written to the PRM", "doctype", q[i].Change.Doctype, "name", q[i].Change.Name, "op", q[i].Change.Op, "reason", q[i].Change.Reason)
	}
	// What the PRM has must be written down even when the end was asked for.
	if err := d.o.Store.Sent(context.WithoutCancel(ctx), d.now(), done...); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// failed parks or postpones a change.
func (d *Daemon) failed(ctx context.Context, q store.Queued, cause error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if r, ok := errors.AsType[Refusal](cause); ok && r.Park() {
		d.log.Error("a change to the PRM waits for a person", "doctype", q.Change.Doctype, "name", q.Change.Name, "err", cause,
			"look", "prmsync outbox list")
		if err := d.o.Store.Park(ctx, q.ID, cause.Error()); err != nil {
			return false, fmt.Errorf("outbox: %w", err)
		}
		return true, nil
	}
	pause := firstPause << min(q.Attempts, 10)
	if w, ok := errors.AsType[Waiter](cause); ok && w.Wait() > pause {
		pause = w.Wait()
	}
	pause = min(pause, longestPause)
	pause += time.Duration(rand.Int64N(int64(pause)/4 + 1)) //nolint:gosec // spreads retries, protects nothing
	d.mu.Lock()
	d.prmUp = false
	d.mu.Unlock()
	d.log.Warn("a change to the PRM is tried again later", "doctype", q.Change.Doctype, "name", q.Change.Name, "attempt", q.Attempts+1, "in", pause, "err", cause)
	if err := d.o.Store.Retry(ctx, q.ID, d.now().Add(pause), cause.Error()); err != nil {
		return false, fmt.Errorf("outbox: %w", err)
	}
	return false, nil
}
