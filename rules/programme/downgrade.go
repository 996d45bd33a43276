package programme

import (
	"fmt"
	"strings"

	"github.com/prmsync/prmsync/evidence"
)

// Confirmation is what people have confirmed about one level.
type Confirmation uint8

// The confirmations. The zero value lowers nothing.
const (
	Unconfirmed Confirmation = iota // nobody has decided yet
	Holds                           // the level's processes are followed
	Missed                          // at least one is not
)

// String is the word for a person.
func (c Confirmation) String() string {
	return [...]string{"not decided", "met", "missed"}[min(c, Missed)]
}

// Confirmed is what people have confirmed about the levels that an escalation
// can cost.
type Confirmed struct{ PMM3, PMM4, PMM5 Confirmation }

// Effect is what follows for the level of a partner. It is a pure function of
// what people decided: nothing of it is stored, so that closing the NCs restores
// the level by itself.
type Effect struct {
	Level    int    // effective; 0 when no level is awarded
	Case     string // "1", "2", or "" when none of the two applies
	Proposed int    // a level for a person to decide about; 0 is none
	// Decide is set when a person must decide: a silent case, or verdicts that
	// nobody has confirmed.
	Decide bool
	Why    string // one sentence; "" when the awarded level stands untouched
}

// Lowered reports whether the level in force is below the awarded one.
func (e Effect) Lowered(awarded int) bool { return e.Level < awarded }

// Downgrade returns the level in force. Consequences begin when an NC of an
// escalation is unresolved after its due date, and end when none is (S157-S162):
//
//	case 1: level 5 awarded, PMM 5 missed, PMM 4 met: 4
//	case 2: level 3 or more awarded, PMM 3 missed: 2
//
// PMM 4 missed while PMM 3 is met is a case that the procedure does not name: the
// awarded level stands, 3 is proposed, a person decides. Where a verdict that
// matters is not confirmed nothing is lowered and a person is asked.
func Downgrade(awarded int, c Confirmed, ncs []NC, today evidence.Date) Effect {
	e := Effect{Level: awarded}
	overdue := false
	for _, n := range ncs {
		overdue = overdue || n.OverdueOn(today)
	}
	if !overdue {
		return e
	}
	if awarded < 1 || awarded > 5 {
		e.Decide, e.Why = true, "An escalation's NC is overdue, but no level is awarded; nothing is lowered."
		return e
	}
	if awarded <= 2 {
		return e
	}
	undecided := func(level int) Effect {
		e.Decide = true
		e.Why = fmt.Sprintf("An escalation's NC is overdue; whether PMM %d is met is not decided, so nothing is lowered.", level)
		return e
	}
	switch c.PMM3 {
	case Missed:
		return Effect{Level: 2, Case: "2", Why: fmt.Sprintf("PMM 3 is missed and an escalation's NC is overdue: PMM 2 applies instead of %d until it is closed.", awarded)}
	case Unconfirmed:
		return undecided(3)
	case Holds:
	}
	if awarded == 3 {
		return e
	}
	switch c.PMM4 {
	case Missed:
		e.Proposed, e.Decide = 3, true
		e.Why = fmt.Sprintf("PMM 4 is missed, PMM 3 is met and an escalation's NC is overdue: the procedure names no consequence. PMM %d stands; PMM 3 is proposed.", awarded)
		return e
	case Unconfirmed:
		return undecided(4)
	case Holds:
	}
	if awarded == 4 {
		return e
	}
	switch c.PMM5 {
	case Missed:
		return Effect{Level: 4, Case: "1", Why: "PMM 5 is missed, PMM 4 is met and an escalation's NC is overdue: PMM 4 applies instead of 5 until it is closed."}
	case Unconfirmed:
		return undecided(5)
	case Holds:
	}
	return e
}

// EscalationLevel is the maturity level whose processes a check of the escalation
// list belongs to: reporting in the weekly review and acting on poor figures is
// PMM 4, following the processes PMM 3; how the call was prepared is none. Other
// ids return 0. A house default: the procedure says only that a miss has
// consequences for the level (S154).
func EscalationLevel(criterion string) int {
	rest, ok := strings.CutPrefix(criterion, "esc.")
	if !ok {
		return 0
	}
	area, id, _ := strings.Cut(rest, ".")
	switch {
	case area == "prep":
		return 0
	case strings.HasPrefix(id, "m") && (area == "sales" || area == "impl" || area == "support"):
		return 4
	case id != "":
		return 3
	}
	return 0
}

// level returns the level of a criterion; 0 when nobody knows.
func (c *Case) level(criterion string) int {
	if l := EscalationLevel(criterion); l > 0 {
		return l
	}
	if c.LevelOf != nil && criterion != "" {
		return c.LevelOf(criterion)
	}
	return 0
}

// ConfirmedBy returns what people have confirmed about the levels in an
// escalation. An NC that they raised and that is overdue confirms a miss at the
// level of its criterion. When they have completed the re-audit, a level without
// such an NC is met: its NC was closed, is still in time, or was never raised.
// Before that, or where an overdue NC names no criterion of a level, the other
// levels are not decided.
func (c *Case) ConfirmedBy(e Escalation) Confirmed {
	var missed [6]bool
	unknown := true
	if a, ok := c.reaudit(e); ok && a.Status == AuditCompleted {
		unknown = false
	}
	for _, n := range c.ncsAgainst(e) {
		if !n.OverdueOn(c.Today) {
			continue
		}
		if l := c.level(n.Criterion); l >= 1 && l <= 5 {
			missed[max(l, 3)] = true // a missed level 2 is a missed level 3: levels include each other
		} else {
			unknown = true
		}
	}
	at := func(l int) Confirmation {
		switch {
		case missed[l]:
			return Missed
		case unknown:
			return Unconfirmed
		}
		return Holds
	}
	return Confirmed{PMM3: at(3), PMM4: at(4), PMM5: at(5)}
}

// Effect returns the level in force over all escalations: each counts from the
// awarded level, and the lowest result applies, so that a second one takes no
// second step (edge case 29). An escalation that ended counts as long as its NCs
// are not resolved.
func (c *Case) Effect() Effect {
	out := Effect{Level: c.Partner.AwardedLevel}
	for _, e := range c.Escalations {
		x := Downgrade(c.Partner.AwardedLevel, c.ConfirmedBy(e), c.ncsAgainst(e), c.Today)
		if x.Why != "" {
			x.Why = e.Name + ": " + x.Why
		}
		if x.Level < out.Level {
			out.Level, out.Case, out.Why = x.Level, x.Case, x.Why
		} else if out.Why == "" {
			out.Why = x.Why
		}
		out.Decide = out.Decide || x.Decide
		if x.Proposed > 0 && (out.Proposed == 0 || x.Proposed < out.Proposed) {
			out.Proposed = x.Proposed
		}
	}
	if out.Proposed >= out.Level {
		out.Proposed = 0
	}
	if out.Case == "2" { // nothing that is still to be decided could lower it further
		out.Decide = false
	}
	return out
}
