package programme

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/evidence"
)

// The states of an escalation; people set them under the PRM's workflow.
const (
	EscalationReceived     = "Received"
	EscalationWarned       = "Warning Sent"
	EscalationCalled       = "Customer Call Done"
	EscalationScheduled    = "Re-audit Scheduled"
	EscalationReaudited    = "Re-audit Done"
	EscalationRaised       = "NC Raised"
	EscalationResolved     = "Resolved"
	EscalationCustomerSide = "Closed - Customer Side"
	EscalationNoMiss       = "Closed - No Miss"
	EscalationWithdrawn    = "Withdrawn"
	EscalationReopened     = "Re-opened"
)

// EscalationStates returns every state, in the order of the procedure.
func EscalationStates() []string {
	return []string{
		EscalationReceived, EscalationWarned, EscalationCalled, EscalationScheduled, EscalationReaudited, EscalationRaised,
		EscalationResolved, EscalationCustomerSide, EscalationNoMiss, EscalationWithdrawn, EscalationReopened,
	}
}

// Waiting times in working days; house defaults.
const (
	warningWithin  = 1  // for the warning to the partner
	attendedWithin = 2  // for the first step at all
	calledWithin   = 2  // from the warning to the call
	movedWithin    = 10 // in any other state that has a next step
)

// EscalationNext returns the states that may follow one.
func EscalationNext(status string) []string {
	switch status {
	case EscalationReceived:
		return []string{EscalationWarned, EscalationWithdrawn}
	case EscalationWarned:
		return []string{EscalationCalled, EscalationWithdrawn}
	case EscalationCalled:
		return []string{EscalationCustomerSide, EscalationScheduled, EscalationNoMiss, EscalationWithdrawn}
	case EscalationScheduled:
		return []string{EscalationReaudited, EscalationWithdrawn}
	case EscalationReaudited:
		return []string{EscalationRaised, EscalationNoMiss, EscalationWithdrawn}
	case EscalationRaised:
		return []string{EscalationResolved, EscalationWithdrawn}
	case EscalationCustomerSide, EscalationNoMiss, EscalationResolved, EscalationWithdrawn:
		return []string{EscalationReopened}
	case EscalationReopened:
		return []string{EscalationWarned, EscalationCalled, EscalationWithdrawn}
	}
	return nil
}

// Ended reports whether the escalation needs no next step; a re-opened one does.
func (e Escalation) Ended() bool {
	switch e.Status {
	case EscalationCustomerSide, EscalationNoMiss, EscalationResolved, EscalationWithdrawn:
		return true
	}
	return false
}

// Wait is how long an escalation has stood in its state.
type Wait struct {
	Days int    // working days on the PRM
	Rule string // the alert that follows; "" while there is time
}

// Waiting returns the working days since the escalation came to its state, and
// the rule that is broken: nothing done on it, the warning or the call
// outstanding, no next step (S102, S105, S107).
func (c *Case) Waiting(e Escalation) Wait {
	if e.Ended() {
		return Wait{}
	}
	since := evidence.DateIn(e.StatusSince, c.Zone)
	if e.Status == EscalationReceived && !e.ReceivedOn.IsZero() {
		since = e.ReceivedOn
	}
	if e.Status == EscalationWarned && !e.WarningSent.IsZero() {
		since = e.WarningSent
	}
	w := Wait{Days: c.working(since)}
	switch e.Status {
	case EscalationReceived:
		switch {
		case w.Days > cmp.Or(c.Policy.Unattended, attendedWithin):
			w.Rule = RuleEscalationUnattended
		case w.Days > warningWithin:
			w.Rule = RuleWarningOutstanding
		}
	case EscalationWarned:
		if w.Days > calledWithin {
			w.Rule = RuleCallOutstanding
		}
	case EscalationRaised: // the NC's clock runs
		if ncs := c.ncsAgainst(e); len(ncs) > 0 && !slices.ContainsFunc(ncs, func(n NC) bool { return !n.Resolved() }) && w.Days > movedWithin {
			w.Rule = RuleEscalationStuck
		}
	case EscalationScheduled: // the date of the re-audit decides
		if d := c.ReauditOn(e); !d.IsZero() && c.Today.After(d) && c.working(d) > attendedWithin || d.IsZero() && w.Days > movedWithin {
			w.Rule = RuleEscalationStuck
		}
	default:
		if w.Days > movedWithin {
			w.Rule = RuleEscalationStuck
		}
	}
	return w
}

// ReauditOn is the day of the escalation's re-audit; zero when none is planned.
func (c *Case) ReauditOn(e Escalation) evidence.Date {
	if a, ok := c.reaudit(e); ok {
		return a.Day()
	}
	return evidence.Date{}
}

// reaudit finds the audit of an escalation: the one it names, else the newest
// that names it.
func (c *Case) reaudit(e Escalation) (Audit, bool) {
	if a, ok := c.audit(e.Audit); ok {
		return a, true
	}
	var out Audit
	found := false
	for _, a := range c.Audits {
		if a.Escalation == e.Name && a.Status != AuditCancelled {
			out, found = a, true
		}
	}
	return out, found
}

// ChecklistDue reports whether the re-audit is at most two days off and the
// checklist was not shared before it (S113).
func (c *Case) ChecklistDue(e Escalation) bool {
	d := c.ReauditOn(e)
	if e.Status != EscalationScheduled || d.IsZero() || c.Today.Before(d.AddDays(-2)) {
		return false
	}
	return e.ChecklistShared.IsZero() || !e.ChecklistShared.Before(d)
}

// NCStateOf sums up the NCs of an escalation: None, Open, Overdue, Closed.
// Discarded ones count as never raised.
func (c *Case) NCStateOf(e Escalation) string {
	state := "None"
	for _, n := range c.ncsAgainst(e) {
		switch {
		case n.OverdueOn(c.Today):
			return "Overdue"
		case !n.Resolved():
			state = "Open"
		case n.Status == NCClosed && state == "None":
			state = "Closed"
		}
	}
	return state
}

// Match returns the one partner that a request is about: the one that people
// set, else the only one of that name, else the only one with the contact's mail
// domain named in the request. A request that fits none or several fits nobody:
// why then says so, and a person decides.
func Match(partners []Partner, r Request) (partner, why string) {
	if r.Partner != "" {
		for _, p := range partners {
			if p.Key == r.Partner {
				return p.Key, ""
			}
		}
		return "", "it names " + r.Partner + ", which the PRM does not know"
	}
	said := fold(r.Company)
	if said == "" {
		return "", "it names no partner"
	}
	byName, byDomain := map[string]bool{}, map[string]bool{}
	for _, p := range partners {
		if fold(p.Name) == said || fold(p.Key) == said {
			byName[p.Key] = true
		}
		for _, d := range p.MailDomains {
			if d = strings.ToLower(strings.TrimSpace(d)); d != "" && mentions(r.Company, d) {
				byDomain[p.Key] = true
			}
		}
	}
	for _, hits := range []map[string]bool{byName, byDomain} {
		switch len(hits) {
		case 0:
			continue
		case 1:
			for k := range hits {
				return k, ""
			}
		}
		return "", "several partners fit what the customer wrote"
	}
	return "", "no partner fits what the customer wrote"
}

// mentions reports whether the text holds the domain as a word of its own, so
// that vale.example does not fit nightvale.example.
func mentions(text, domain string) bool {
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r == ' ' || r == '@' || r == '/' || r == ',' || r == ';' || r == '(' || r == ')' || r == '<' || r == '>' || r == '\n' || r == '\t'
	}) {
		w = strings.TrimPrefix(strings.Trim(w, ".:"), "www.")
		if w == domain {
			return true
		}
	}
	return false
}

// fold makes names comparable: case, white space and punctuation do not count.
func fold(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
			b.WriteRune(r)
		}
	}
	return b.String()
}
