package prm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
)

// PRM is the central site, as the runtime user sees it. Safe for concurrent use.
type PRM struct {
	c          *frappe.Client
	deployment string // bare or press

	mu   sync.Mutex
	zone *time.Location

	readMu sync.Mutex
	intake []config.Intake
	held   map[string]*held // by doctype; nil before the first read
	roles  map[string]roles // by user
	reads  int
}

// New returns the PRM behind the client. It sends nothing. intake are the
// doctypes beside the web form in which customers ask for help.
func New(c *frappe.Client, deployment string, intake ...config.Intake) *PRM {
	return &PRM{c: c, deployment: deployment, intake: intake}
}

// SetIntake replaces the doctypes in which customers ask for help; the next read
// reads everything anew.
func (p *PRM) SetIntake(intake []config.Intake) {
	p.readMu.Lock()
	defer p.readMu.Unlock()
	p.intake, p.reads = intake, 0
}

// Zone returns the zone of the PRM's naive times, asked once.
func (p *PRM) Zone(ctx context.Context) (*time.Location, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.zone != nil {
		return p.zone, nil
	}
	l, err := p.c.Locale(ctx)
	if err != nil {
		return nil, fmt.Errorf("the PRM's time zone: %w", err)
	}
	p.zone = l.Zone
	return p.zone, nil
}

// Requests is the number of requests sent so far.
func (p *PRM) Requests() int64 { return p.c.Stats().Requests }

// Refused is a change that the PRM will not take until a person has acted: a
// field was removed, an option renamed, a right taken away.
type Refused struct {
	Doctype, Name string
	Remedy        string
	err           error
}

// Error says what was refused, why, and what helps.
func (e *Refused) Error() string {
	return fmt.Sprintf("%s %s: %v; %s", e.Doctype, e.Name, e.err, e.Remedy)
}

// Unwrap returns the PRM's own error.
func (e *Refused) Unwrap() error { return e.err }

// Park reports that retrying cannot help.
func (e *Refused) Park() bool { return true }

// Later is a change to try again, not before Wait has passed.
type Later struct {
	err  error
	wait time.Duration
}

// Error is the cause's.
func (e *Later) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *Later) Unwrap() error { return e.err }

// Wait is how long the PRM asked us to wait; zero when it named no time.
func (e *Later) Wait() time.Duration { return e.wait }

// classify says what a failed write means for delivery.
func classify(doctype, name string, err error) error {
	e, ok := errors.AsType[*frappe.Error](err)
	if !ok {
		return err
	}
	refuse := func(remedy string) error { return &Refused{Doctype: doctype, Name: name, Remedy: remedy, err: err} }
	switch e.Category {
	case frappe.Forbidden:
		return refuse("give the runtime user the role PMM Sync Agent, or run prmsync provision")
	case frappe.NotFound:
		return refuse("the doctype or a record it links to is missing: run prmsync provision verify")
	case frappe.Invalid, frappe.Misuse:
		return refuse("the PRM's schema differs from what prmsync writes: run prmsync provision verify")
	case frappe.Duplicate:
		return refuse("another record holds the same unique value")
	default:
		return &Later{err: err, wait: e.RetryAfter}
	}
}
