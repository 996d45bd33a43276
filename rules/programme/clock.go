package programme

import (
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// The states of an NC.
const (
	NCOpen      = "Open"
	NCWIP       = "WIP"
	NCOnHold    = "On Hold"
	NCClosed    = "Closed"
	NCDiscarded = "Discarded"
)

// DueOn is the last day on which the NC can be closed in time: the date that a
// person set, else the same day of the month after it was raised, clamped to the
// end of that month (31 January: 28 or 29 February). No state moves it: On Hold
// stops nothing, and re-opening keeps the old date. The zero Date means that
// nobody knows when the NC was raised.
func (n NC) DueOn() evidence.Date {
	if !n.Expected.IsZero() {
		return n.Expected
	}
	return n.Raised.AddMonths(1)
}

// ClosedDay is the PRM date on which the NC was closed: the one a person set,
// else the day on which it was first seen closed. The zero Date while it is not.
func (n NC) ClosedDay() evidence.Date {
	if n.Status != NCClosed {
		return evidence.Date{}
	}
	if !n.ClosedOn.IsZero() {
		return n.ClosedOn
	}
	return n.ClosedSeen
}

// OverdueOn reports whether the NC is unresolved after its due date; the due
// date itself still counts as in time.
func (n NC) OverdueOn(today evidence.Date) bool {
	due := n.DueOn()
	return !n.Resolved() && !due.IsZero() && today.After(due)
}

// Late reports whether the NC was closed after its due date. That delays nothing
// any more; it stays on record.
func (n NC) Late() bool {
	due, closed := n.DueOn(), n.ClosedDay()
	return !due.IsZero() && !closed.IsZero() && closed.After(due)
}

// Reopened reports whether the NC is unresolved although it was closed before.
func (n NC) Reopened() bool { return !n.Resolved() && !n.EverClosed.IsZero() }

// Carry returns now with the first sightings that only somebody who keeps
// looking can know: since when an audit is in progress, when an NC without a
// date of closing was first seen closed, since when an escalation stands where
// it stands. last is what the previous Carry returned; a sighting that now
// itself brings is kept.
func Carry(last, now Input, at time.Time) Input {
	zone := zoneOf(now.Zone)
	today := evidence.DateIn(at, zone)
	audits := index(last.Audits, func(a Audit) string { return a.Name })
	for i := range now.Audits {
		a := &now.Audits[i]
		old, had := audits[a.Name]
		began := had && old.Status == a.Status
		switch a.Status {
		case AuditInProgress:
			if a.InProgressSince.IsZero() {
				a.InProgressSince = old.InProgressSince
			}
			if a.InProgressSince.IsZero() {
				a.InProgressSince = at
			}
		case AuditCompleted, AuditOnHold:
			if a.InProgressSince.IsZero() {
				a.InProgressSince = old.InProgressSince
			}
		case AuditScheduled:
			if !began && a.ScheduledSince.IsZero() {
				a.ScheduledSince = old.ScheduledSince
			}
		}
		if a.ScheduledSince.IsZero() {
			a.ScheduledSince = old.ScheduledSince
		}
		if a.ScheduledSince.IsZero() && a.Status == AuditScheduled {
			a.ScheduledSince = at
		}
	}
	ncs := index(last.NCs, func(n NC) string { return n.Name })
	for i := range now.NCs {
		n := &now.NCs[i]
		old := ncs[n.Name]
		if n.EverClosed.IsZero() {
			n.EverClosed = old.EverClosed
		}
		if n.Status != NCClosed {
			continue
		}
		if n.ClosedSeen.IsZero() && old.Status == NCClosed {
			n.ClosedSeen = old.ClosedSeen
		}
		if n.ClosedSeen.IsZero() && n.ClosedOn.IsZero() {
			n.ClosedSeen = today
		}
		if n.EverClosed.IsZero() {
			n.EverClosed = n.ClosedDay()
		}
	}
	escalations := index(last.Escalations, func(e Escalation) string { return e.Name })
	for i := range now.Escalations {
		e := &now.Escalations[i]
		old, had := escalations[e.Name]
		e.Reopened = max(e.Reopened, old.Reopened)
		if had && e.Status == EscalationReopened && old.Status != EscalationReopened {
			e.Reopened++
		}
		if !e.StatusSince.IsZero() {
			continue
		}
		switch {
		case had && old.Status == e.Status:
			e.StatusSince = old.StatusSince
		case had:
			e.StatusSince = at
		case e.Status == EscalationReceived && !e.ReceivedOn.IsZero():
			e.StatusSince = e.ReceivedOn.Start(zone)
		case e.Status == EscalationReceived && !e.Received.IsZero():
			e.StatusSince = e.Received
		case !e.Modified.IsZero() && e.Modified.Before(at):
			e.StatusSince = e.Modified // not changed since, so it stands at least so long
		default:
			e.StatusSince = at
		}
	}
	return now
}

func index[T any](in []T, key func(T) string) map[string]T {
	out := make(map[string]T, len(in))
	for _, v := range in {
		out[key(v)] = v
	}
	return out
}

// Sightings is what of the input Carry needs the next time: names, states and
// first sightings, without anything that people wrote.
func (in Input) Sightings() Input {
	out := Input{Zone: in.Zone}
	for _, a := range in.Audits {
		out.Audits = append(out.Audits, Audit{Name: a.Name, Status: a.Status, InProgressSince: a.InProgressSince, ScheduledSince: a.ScheduledSince})
	}
	for _, n := range in.NCs {
		out.NCs = append(out.NCs, NC{Name: n.Name, Status: n.Status, ClosedSeen: n.ClosedSeen, EverClosed: n.EverClosed})
	}
	for _, e := range in.Escalations {
		out.Escalations = append(out.Escalations, Escalation{Name: e.Name, Status: e.Status, StatusSince: e.StatusSince, Reopened: e.Reopened})
	}
	return out
}
