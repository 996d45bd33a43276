package programme

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// The states of an audit; people set them.
const (
	AuditRequested  = "Requested"
	AuditScheduled  = "Scheduled"
	AuditInProgress = "In Progress"
	AuditCompleted  = "Completed"
	AuditOnHold     = "On Hold"
	AuditCancelled  = "Cancelled"
)

// The kinds of audit.
const (
	KindPMM      = "PMM"
	KindReaudit  = "Re-audit"
	KindFollowUp = "Follow-up"
)

// The outcomes of an audit. People decide; the daemon proposes the first three
// and never Not Awarded.
const (
	Pending    = "Pending"
	Awarded    = "Awarded"
	Withheld   = "Withheld"
	NotAwarded = "Not Awarded"
)

// The roles whose presence is ticked on an audit; the keys of Audit.Present.
const (
	RoleFounder        = "founder"
	RoleSales          = "sales"
	RoleImplementation = "implementation"
	RoleSupport        = "support"
	RoleDeliveryHead   = "delivery_head"
	RoleSalesHead      = "sales_head"
	RoleProjectManager = "project_manager"
)

// Roles returns whose presence the audit needs: Founder or CXO and the three
// departments (S15-S18); for a re-audit the delivery head, the sales head and
// the project's manager (S115) and everyone involved, that is the departments
// (S79).
func (a Audit) Roles() []string {
	if a.Kind == KindReaudit {
		return []string{RoleDeliveryHead, RoleSalesHead, RoleProjectManager, RoleSales, RoleImplementation, RoleSupport}
	}
	return []string{RoleFounder, RoleSales, RoleImplementation, RoleSupport}
}

// Attendance says for each needed role whether it is ticked.
func (a Audit) Attendance() map[string]bool {
	out := map[string]bool{}
	for _, r := range a.Roles() {
		out[r] = a.Present[r]
	}
	return out
}

// roleWord names a role for a person.
func roleWord(role string) string {
	return map[string]string{
		RoleFounder: "Founder or CXO", RoleSales: "Sales", RoleImplementation: "Implementation", RoleSupport: "Support",
		RoleDeliveryHead: "delivery head", RoleSalesHead: "sales head", RoleProjectManager: "project manager",
	}[role]
}

// Absent returns the needed roles that nobody ticked, in words.
func (a Audit) Absent() []string {
	var out []string
	for _, r := range a.Roles() {
		if !a.Present[r] {
			out = append(out, roleWord(r))
		}
	}
	return out
}

// Day is the day of the audit: the date that was set, else the one proposed.
func (a Audit) Day() evidence.Date {
	if !a.On.IsZero() {
		return a.On
	}
	return a.Proposed
}

// Live reports whether the audit is under way or still to come: neither
// completed nor cancelled.
func (a Audit) Live() bool {
	switch a.Status {
	case AuditRequested, AuditScheduled, AuditInProgress, AuditOnHold:
		return true
	}
	return false
}

// AuditNext returns the states that may follow one; people move the audit, the
// daemon only says what is out of order.
func AuditNext(status string) []string {
	switch status {
	case AuditRequested:
		return []string{AuditScheduled, AuditOnHold, AuditCancelled}
	case AuditScheduled:
		return []string{AuditInProgress, AuditOnHold, AuditCancelled, AuditRequested}
	case AuditInProgress:
		return []string{AuditCompleted, AuditOnHold, AuditCancelled}
	case AuditOnHold:
		return []string{AuditRequested, AuditScheduled, AuditInProgress, AuditCancelled}
	}
	return nil
}

// Guard returns why the audit should not stand in the state, one sentence each;
// nothing when it may. A state that nobody knows is one reason.
func (c *Case) Guard(a Audit, status string) []string {
	var out []string
	switch status {
	case AuditRequested, AuditScheduled:
		if c.inactive() {
			out = append(out, "the partner is inactive or its contract has ended")
		}
		if status == AuditScheduled && a.Mode == "" {
			out = append(out, "no mode (Online, In-Person or Hybrid) is set")
		}
		if status == AuditScheduled && a.Day().IsZero() {
			out = append(out, "no date is set")
		}
		if status == AuditRequested && !a.Proposed.IsZero() && !a.Requested.IsZero() && !a.Proposed.After(a.Requested) {
			out = append(out, "the proposed date is not after the request")
		}
	case AuditInProgress:
		if absent := a.Absent(); len(absent) > 0 {
			out = append(out, "not ticked as present: "+strings.Join(absent, ", "))
		}
	case AuditCompleted, AuditOnHold, AuditCancelled:
	default:
		out = append(out, fmt.Sprintf("%q is no state of an audit", status))
	}
	return out
}

// Flag is something about an audit that a person should put right.
type Flag struct{ Code, Says string }

// The codes of flags.
const (
	FlagNoLevel   = "no_level"
	FlagDuplicate = "duplicate"
	FlagDates     = "dates"
	FlagGuard     = "guard"
	FlagLink      = "link"
)

// Flags returns what is wrong with an audit that is not over: no level, another
// request for the same, dates in the wrong order, a guard of its state that does
// not hold, an escalation or earlier audit that is not the partner's.
func (c *Case) Flags(a Audit) []Flag {
	var out []Flag
	if !a.Live() && a.Status != AuditCompleted {
		return nil
	}
	if a.Level == 0 && a.Kind != KindReaudit {
		out = append(out, Flag{FlagNoLevel, "it names no level"})
	}
	if !a.On.IsZero() && !a.Requested.IsZero() && a.On.Before(a.Requested) {
		out = append(out, Flag{FlagDates, fmt.Sprintf("it takes place on %s, before it was requested on %s", a.On, a.Requested)})
	}
	if a.Kind == KindReaudit && a.Escalation == "" {
		out = append(out, Flag{FlagLink, "it is a re-audit and names no escalation"})
	}
	if a.Escalation != "" && !slices.ContainsFunc(c.Escalations, func(e Escalation) bool { return e.Name == a.Escalation }) {
		out = append(out, Flag{FlagLink, "its escalation " + a.Escalation + " is not this partner's"})
	}
	if a.Previous != "" {
		if _, ok := c.audit(a.Previous); !ok {
			out = append(out, Flag{FlagLink, "its earlier audit " + a.Previous + " is not this partner's"})
		}
	}
	if !a.Live() {
		return out
	}
	for _, o := range c.Audits {
		// The later of two asks again; the first stands.
		if o.Name < a.Name && o.Live() && o.Kind == a.Kind && o.Escalation == a.Escalation &&
			(!a.Day().IsZero() && o.Day() == a.Day() || a.Status == AuditRequested && a.Level > 0 && o.Level == a.Level) {
			out = append(out, Flag{FlagDuplicate, "it asks for the same as " + o.Name})
			break
		}
	}
	for _, g := range c.Guard(a, a.Status) {
		out = append(out, Flag{FlagGuard, g})
	}
	return out
}

// Propose returns the outcome that follows from the audit's NCs, and why. An
// audit that is not completed is pending, and so is one without a level or with
// misses that nobody has decided about yet. One NC that is neither closed nor
// discarded withholds the award (S44-S46); when the last one is, the award is
// proposed. A person's Not Awarded stands.
func (c *Case) Propose(a Audit) (outcome, why string) {
	switch {
	case a.Status == AuditCancelled:
		return "", "the audit was cancelled"
	case a.Outcome == NotAwarded:
		return NotAwarded, "a person decided so"
	case a.Status != AuditCompleted:
		return Pending, "the audit is not completed"
	}
	open := 0
	first := NC{}
	late := 0
	ncs := c.ncsOf(a.Name)
	for _, n := range ncs {
		if !n.Resolved() {
			open++
			if first.Name == "" || n.DueOn().Before(first.DueOn()) {
				first = n
			}
		}
		if n.Late() {
			late++
		}
	}
	if open > 0 {
		return Withheld, fmt.Sprintf("%d of %d NCs not closed; next due %s", open, len(ncs), first.DueOn())
	}
	if a.Kind == KindReaudit {
		return Pending, "a re-audit awards no level"
	}
	if a.Level == 0 {
		return Pending, "the audit names no level"
	}
	if n := len(c.Undecided(a)); n > 0 {
		return Pending, fmt.Sprintf("%d findings wait for a decision", n)
	}
	why = "no NC was raised"
	if len(ncs) > 0 {
		why = fmt.Sprintf("all %d NCs are closed or discarded", len(ncs))
	}
	if late > 0 {
		why += fmt.Sprintf("; %d closed late", late)
	}
	return Awarded, why
}

// SourceKey is the one key of a finding: the audit and the criterion. Nothing is
// raised twice under it.
func SourceKey(audit, criterion string) string { return audit + "/" + criterion }

// Misses returns the NC criteria up to the level applied for that the audit's
// assessment shows as not met, by criterion; a re-audit counts all of them.
func (c *Case) Misses(a Audit) []rules.Verdict {
	as, ok := c.Targeted[a.Name]
	if !ok && a.Kind == KindReaudit {
		as, ok = c.Targeted[a.Escalation]
	}
	if !ok {
		return nil
	}
	var out []rules.Verdict
	for _, v := range as.Verdicts {
		if v.Severity == rules.SeverityNC && v.Effective() == rules.NotMet && (a.Level == 0 || v.Level <= a.Level) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(x, y rules.Verdict) int { return strings.Compare(x.Criterion, y.Criterion) })
	return out
}

// Undecided returns the misses of a completed audit for which no NC was ever
// raised, discarded ones included: those are proposals.
func (c *Case) Undecided(a Audit) []rules.Verdict {
	if a.Status != AuditCompleted && a.Status != AuditInProgress {
		return nil
	}
	return slices.DeleteFunc(c.Misses(a), func(v rules.Verdict) bool { return c.raised(a, v.Criterion) })
}

func (c *Case) raised(a Audit, criterion string) bool {
	return slices.ContainsFunc(c.NCs, func(n NC) bool {
		return n.SourceKey == SourceKey(a.Name, criterion) || n.Audit == a.Name && n.Criterion == criterion
	})
}

// Recheck says whether the evidence now satisfies the criterion of an NC:
// Satisfied, Not Satisfied, or Unchecked where nothing judges it. It closes
// nothing; people do.
func (c *Case) Recheck(n NC) string {
	v, ok := c.verdict(n)
	if !ok || n.Criterion == "" {
		return "Unchecked"
	}
	switch v.Effective() {
	case rules.Met, rules.NotApplicable:
		return "Satisfied"
	case rules.NotMet:
		return "Not Satisfied"
	case rules.Insufficient, rules.Manual:
	}
	return "Unchecked"
}

// verdict finds the newest answer to the criterion of an NC: of the escalation
// for its own checks, else of the continuous assessment, which sees later
// evidence than a frozen audit.
func (c *Case) verdict(n NC) (rules.Verdict, bool) {
	find := func(a rules.Assessment) (rules.Verdict, bool) {
		for _, v := range a.Verdicts {
			if v.Criterion == n.Criterion {
				return v, true
			}
		}
		return rules.Verdict{}, false
	}
	if v, ok := find(c.Continuous); ok {
		return v, true
	}
	for _, record := range []string{n.Escalation, n.Audit} {
		if a, ok := c.Targeted[record]; ok && record != "" {
			if v, ok := find(a); ok {
				return v, true
			}
		}
	}
	if a, ok := c.audit(n.Audit); ok && a.Escalation != "" {
		return find(c.Targeted[a.Escalation])
	}
	return rules.Verdict{}, false
}

// Findings returns what earlier audits and escalations of the partner found: the
// criteria of NCs that were not discarded. Those of the record being judged are
// left out, or a miss would be its own repeat. The 24 months are the judge's.
func (c *Case) Findings(record string) []rules.Finding {
	var out []rules.Finding
	for _, n := range c.NCs {
		if n.Criterion == "" || n.Status == NCDiscarded || n.Audit == record || n.Escalation == record {
			continue
		}
		if a, ok := c.audit(n.Audit); ok && (a.Escalation == record && record != "") {
			continue
		}
		out = append(out, rules.Finding{Criterion: n.Criterion, On: n.Raised})
	}
	return out
}
