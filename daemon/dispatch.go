package daemon

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prmsync/prmsync/store"
)

// The jobs beside the partners' polls.
const (
	jobDeliver   = "deliver"   // drain the outbox
	jobHeartbeat = "heartbeat" // the age of the data, on the PRM
	pollPrefix   = "poll:"
)

// deliverEvery is how often waiting changes are looked at besides the end of
// each cycle: after a back-off, or when a person requeued one.
const (
	deliverEvery   = 15 * time.Second
	heartbeatEvery = time.Minute
	longestSleep   = 30 * time.Second
)

// schedule makes the rows of the schedule those of the partners.
func (d *Daemon) schedule(ctx context.Context) error {
	now := d.now()
	jobs := []store.Job{
		{Name: jobDeliver, Spec: deliverEvery.String(), NextDue: now},
		{Name: jobHeartbeat, Spec: heartbeatEvery.String(), NextDue: now},
	}
	d.mu.Lock()
	for _, key := range d.order {
		jobs = append(jobs, store.Job{Name: pollPrefix + key, Spec: d.partners[key].Spec, NextDue: now})
	}
	d.mu.Unlock()
	if err := d.o.Store.EnsureJobs(ctx, jobs); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return nil
}

// Run works through what is due until ctx ends, then lets what is under way
// finish within the drain time. It returns nil after an orderly end.
func (d *Daemon) Run(ctx context.Context) error {
	if err := d.schedule(ctx); err != nil {
		return err
	}
	if err := d.restore(ctx); err != nil {
		return err
	}
	if err := d.o.Store.Hasten(ctx); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		running = map[string]bool{}
		slots   = make(chan struct{}, d.o.Workers)
	)
	launch := func(name string) {
		mu.Lock()
		if running[name] {
			mu.Unlock()
			return
		}
		running[name] = true
		mu.Unlock()
		if strings.HasPrefix(name, pollPrefix) {
			d.round.enter(name, d.now())
		}
		wg.Go(func() {
			defer func() {
				d.round.leave(name)
				mu.Lock()
				delete(running, name)
				mu.Unlock()
				d.poke()
			}()
			if strings.HasPrefix(name, pollPrefix) {
				select {
				case slots <- struct{}{}:
					defer func() { <-slots }()
				case <-ctx.Done():
					return // stays due
				}
			}
			d.do(work, name)
		})
	}
	for ctx.Err() == nil {
		sleep := longestSleep
		due, err := d.o.Store.Due(ctx, d.now())
		switch {
		case ctx.Err() != nil:
		case err != nil:
			d.log.Error("schedule cannot be read", "err", err)
		default:
			d.mu.Lock()
			d.lag = 0
			if len(due) > 0 {
				d.lag = max(0, d.now().Sub(due[0].NextDue))
			}
			d.mu.Unlock()
			for _, j := range due {
				launch(j.Name)
			}
			sleep = d.untilNext(ctx)
		}
		d.publish(ctx)
		timer := time.NewTimer(sleep)
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	d.log.Info("ending", "drain", d.o.Drain)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(d.o.Drain):
		cancel() // what is cut off stays due
		<-done
		return nil
	}
}

// untilNext returns how long nothing is due.
func (d *Daemon) untilNext(ctx context.Context) time.Duration {
	jobs, err := d.o.Store.Jobs(ctx)
	if err != nil {
		return time.Second
	}
	now, sleep := d.now(), longestSleep
	for _, j := range jobs {
		if w := j.NextDue.Sub(now); w > 0 && w < sleep {
			sleep = w
		}
	}
	return max(sleep, 10*time.Millisecond)
}

// do runs one job and writes down its end. A panic is that job's failure alone.
func (d *Daemon) do(ctx context.Context, name string) {
	if err := d.o.Store.Start(ctx, name, d.now()); err != nil {
		d.log.Error("job cannot start", "job", name, "err", err)
		return
	}
	err := guarded(func() error { return d.job(ctx, name) })
	if ctx.Err() != nil {
		return // cut off by the end of the drain: it stays due
	}
	if err != nil {
		d.log.Error("job", "job", name, "err", err)
	}
	now := d.now()
	if err := d.o.Store.Finish(ctx, name, now, d.next(name, now), err); err != nil {
		d.log.Error("job cannot be finished", "job", name, "err", err)
	}
}

func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

func (d *Daemon) job(ctx context.Context, name string) error {
	switch name {
	case jobDeliver:
		return d.deliverRound(ctx)
	case jobHeartbeat:
		return d.heartbeat(ctx)
	}
	key := strings.TrimPrefix(name, pollPrefix)
	if err := d.Cycle(ctx, key); err != nil {
		return err
	}
	d.round.leave(name)
	return d.deliverRound(ctx)
}

// deliverRound delivers, unless partners that came due together are still to be
// judged: the last one of them delivers for all.
func (d *Daemon) deliverRound(ctx context.Context) error {
	if d.o.ChangeBrake > 0 && !d.round.complete(d.now()) {
		return nil
	}
	return d.Deliver(ctx)
}

func (d *Daemon) next(name string, now time.Time) time.Time {
	switch name {
	case jobDeliver:
		return now.Add(deliverEvery)
	case jobHeartbeat:
		return now.Add(heartbeatEvery)
	}
	p, _, ok := d.partner(strings.TrimPrefix(name, pollPrefix))
	if !ok {
		return now.Add(time.Hour)
	}
	return p.Schedule(now)
}

// Once runs one cycle of each named partner (of all when none is named) and
// delivers what came of it. It returns all errors joined; one partner's failure
// keeps no other from its cycle.
func (d *Daemon) Once(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		keys = d.Keys()
	}
	// A later run finds the schedule, and status the partners, as if it ran.
	if err := d.schedule(ctx); err != nil {
		return err
	}
	if err := d.restore(ctx); err != nil {
		return err
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, d.o.Workers)
	)
	for _, key := range keys {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := guarded(func() error { return d.Cycle(ctx, key) }); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := d.heartbeat(ctx); err != nil {
		errs = append(errs, err)
	}
	if err := d.Deliver(ctx); err != nil {
		errs = append(errs, err)
	}
	d.publish(ctx)
	return errors.Join(errs...)
}
