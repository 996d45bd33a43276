package programme

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// The doctypes of the PRM that alerts are about.
const (
	doctypePartner    = "PMM Partner"
	doctypeSite       = "PMM Site"
	doctypeAudit      = "Partner Audit"
	doctypeNC         = "Partner Non Conformance"
	doctypeEscalation = "Partner Escalation"
	doctypeRequest    = "PMM Escalation Request"
	doctypeAlert      = "PMM Alert"
)

const (
	// auditSoon is how many days before an audit unreadable evidence is urgent [H].
	auditSoon = 14
	// yearly is how many days may pass without any contact (S202).
	yearly = 365
)

// conditions returns what is true of the partner's audits, NCs, escalations,
// level and engagement.
func (c *Case) conditions() []Condition {
	var out []Condition
	say := func(rule, doctype, name, subject, format string, args ...any) {
		out = append(out, Condition{Rule: rule, Subject: subject, Doctype: doctype, Name: name, Message: fmt.Sprintf(format, args...)})
	}
	partner := func(rule, subject, format string, args ...any) {
		say(rule, doctypePartner, c.Key, subject, format, args...)
	}
	if c.Gone && !slices.ContainsFunc(c.Everyone.Gaps, func(g evidence.Gap) bool { return g.Stream == doctypePartner }) {
		partner(RulePartnerMissing, "partner", "%s is no longer on the PRM; it was deleted or merged", c.Key)
	}
	for _, a := range c.Audits {
		c.auditConditions(a, say)
	}
	for _, n := range c.NCs {
		if n.Status == NCClosed && n.ClosedOn.IsZero() {
			say(RuleNCUndated, doctypeNC, n.Name, n.Name, "%s is closed without a date; %s counts", n.Name, n.ClosedDay())
		}
		if n.Resolved() {
			continue
		}
		if n.Audit == "" {
			say(RuleNCOrphan, doctypeNC, n.Name, n.Name, "%s names no audit", n.Name)
		}
		due := n.DueOn()
		switch left := due.DaysSince(c.Today); {
		case due.IsZero():
		case left < 0:
			say(RuleNCOverdue, doctypeNC, n.Name, n.Name, "%s was due on %s: %s", n.Name, due, n.Statement)
		case left <= 1:
			say(RuleNCDue1, doctypeNC, n.Name, n.Name, "%s is due on %s: %s", n.Name, due, n.Statement)
		case left <= 7:
			say(RuleNCDue7, doctypeNC, n.Name, n.Name, "%s is due on %s: %s", n.Name, due, n.Statement)
		}
	}
	for _, e := range c.Escalations {
		if w := c.Waiting(e); w.Rule != "" {
			say(w.Rule, doctypeEscalation, e.Name, e.Name, "%s of %s is at %q for %d working days", e.Name, e.Customer, e.Status, w.Days)
		}
		if c.ChecklistDue(e) {
			say(RuleChecklistUnshared, doctypeEscalation, e.Name, e.Name, "The checklist of %s is not shared; the re-audit is on %s", e.Name, c.ReauditOn(e))
		}
		if why := c.Unknown(e); why != "" && !e.Ended() {
			say(RuleEscalationUnknown, doctypeEscalation, e.Name, e.Name, "%s %s", e.Name, why)
		}
	}
	effect := c.Effect()
	if effect.Lowered(c.Partner.AwardedLevel) {
		partner(RuleDowngrade, "level", "%s", effect.Why)
	}
	if decide, note := c.decision(effect); decide {
		partner(RuleDecisionNeeded, "decision", "%s", note)
	}
	c.engagement(partner)
	c.projects(partner)
	return out
}

func (c *Case) auditConditions(a Audit, say func(rule, doctype, name, subject, format string, args ...any)) {
	for _, f := range c.Flags(a) {
		if f.Code == FlagGuard && a.Status == AuditInProgress {
			continue // attendance has its own alert
		}
		say(RuleAuditFlagged, doctypeAudit, a.Name, a.Name+"-"+f.Code, "%s: %s", a.Name, f.Says)
	}
	day := a.Day()
	soon := !day.IsZero() && !c.Today.Before(day.AddDays(-1))
	if absent := a.Absent(); len(absent) > 0 && (a.Status == AuditScheduled && soon || a.Status == AuditInProgress) {
		say(RuleAuditAttendance, doctypeAudit, a.Name, a.Name, "%s on %s: not ticked as present: %s", a.Name, day, strings.Join(absent, ", "))
	}
	if as, ok := c.Targeted[a.Name]; ok && (a.Status == AuditScheduled || a.Status == AuditInProgress) && !day.IsZero() && !c.Today.Before(day.AddDays(-auditSoon)) {
		var streams []string
		for _, g := range as.Gaps {
			if g.Kind != evidence.Absent && g.Kind != evidence.Unmapped {
				streams = append(streams, g.Stream)
			}
		}
		slices.Sort(streams)
		if streams = slices.Compact(streams); len(streams) > 0 {
			more := ""
			if len(streams) > 4 {
				more, streams = fmt.Sprintf(" and %d more", len(streams)-4), streams[:4]
			}
			say(RuleAuditUnreadable, doctypeAudit, a.Name, a.Name, "%s is on %s and cannot read %s%s", a.Name, day, strings.Join(streams, ", "), more)
		}
	}
}

// Unknown says what of the escalation a person must still name: the project, or
// its site where the partner has several; "" when it can be judged.
func (c *Case) Unknown(e Escalation) string {
	if e.Project == "" {
		return "names no project; link the one that the customer means"
	}
	if e.Site == "" {
		if len(c.Sites) > 1 {
			return "names no site, and the partner has several"
		}
		return ""
	}
	if !slices.ContainsFunc(c.Sites, func(s Site) bool { return s.Key == e.Site }) {
		return "names the site " + e.Site + ", which is not the partner's"
	}
	if as, ok := c.Targeted[e.Name]; ok && !c.seen(as, e.Project) {
		return "names the project " + e.Project + ", which its site does not have"
	}
	return ""
}

// seen reports whether an escalation's assessment found the project: one that it
// did not find has no project metric, item or evidence.
func (c *Case) seen(a rules.Assessment, project string) bool {
	for _, v := range a.Verdicts {
		if slices.ContainsFunc(v.Items, func(it rules.Item) bool { return it.Ref.Doctype == "Project" && it.Ref.Name == project }) ||
			slices.ContainsFunc(v.Evidence, func(r evidence.Ref) bool { return r.Doctype == "Project" && r.Name == project }) {
			return true
		}
	}
	// Without any project record in any verdict the pack names none: no conclusion.
	for _, v := range a.Verdicts {
		if slices.ContainsFunc(v.Items, func(it rules.Item) bool { return it.Ref.Doctype == "Project" }) {
			return false
		}
	}
	return true
}

// decision returns whether a person must decide, and about what.
func (c *Case) decision(effect Effect) (bool, string) {
	var notes []string
	if effect.Decide {
		notes = append(notes, effect.Why)
	}
	for _, a := range c.Audits {
		switch outcome, why := c.Propose(a); {
		case a.Status != AuditCompleted:
		case outcome == Awarded && a.Outcome != Awarded:
			notes = append(notes, fmt.Sprintf("%s: award of PMM %d is proposed; %s.", a.Name, a.Level, why))
		case outcome == Withheld && a.Outcome == Awarded:
			notes = append(notes, fmt.Sprintf("%s is awarded although %s.", a.Name, why))
		case outcome == Pending && len(c.Undecided(a)) > 0:
			notes = append(notes, fmt.Sprintf("%s: %s.", a.Name, why))
		case outcome == Pending && a.Level == 0 && a.Kind != KindReaudit && a.Outcome != Awarded && a.Outcome != Withheld:
			notes = append(notes, fmt.Sprintf("%s is completed and names no level.", a.Name))
		}
	}
	for _, e := range c.Escalations {
		if state := c.NCStateOf(e); e.Status == EscalationWithdrawn && (state == "Open" || state == "Overdue") {
			notes = append(notes, fmt.Sprintf("%s was withdrawn while NCs are open; they stand until a person decides.", e.Name))
		}
	}
	if len(notes) == 0 {
		return false, ""
	}
	if len(notes) > 1 {
		return true, fmt.Sprintf("%s And %d more.", notes[0], len(notes)-1)
	}
	return true, notes[0]
}

// last returns the newest contact up to now, audits included, and the next one
// planned.
func (c *Case) contacts() (last, next Contact) {
	take := func(k Contact) {
		switch {
		case k.At.IsZero():
		case !k.At.After(c.Now):
			if k.At.After(last.At) && !k.Planned {
				last = k
			}
		case next.At.IsZero() || k.At.Before(next.At):
			next = k
		}
	}
	for _, k := range c.Contacts {
		take(k)
	}
	for _, a := range c.Audits {
		d := a.Day()
		if d.IsZero() || a.Status == AuditCancelled || a.Status == AuditOnHold || a.Status == AuditRequested {
			continue
		}
		at := d.Start(c.Zone)
		if a.Status == AuditCompleted && !at.After(c.Now) || a.Status != AuditCompleted {
			take(Contact{Partner: c.Key, Kind: "audit", At: at, Planned: at.After(c.Now)})
		}
	}
	return last, next
}

// quiet is how many days ago the last contact was; -1 when there never was one.
func (c *Case) quiet() int {
	last, _ := c.contacts()
	if last.At.IsZero() {
		return -1
	}
	return c.Today.DaysSince(evidence.DateIn(last.At, c.Zone))
}

func (c *Case) engagement(partner func(rule, subject, format string, args ...any)) {
	if c.Partner.Activity == "Inactive" || !c.Known {
		return
	}
	// Contacts that cannot be read prove no silence.
	for _, g := range c.Everyone.Gaps {
		if g.Stream == "Event" || g.Stream == "Communication" {
			return
		}
	}
	days, every := c.quiet(), c.EngagementDays()
	last, next := c.contacts()
	since := c.Partner.Contract.From
	if since.IsZero() {
		since = c.Partner.Since
	}
	if days > yearly || days < 0 && !since.IsZero() && c.Today.DaysSince(since) > yearly {
		partner(RuleNoContact, "contact", "No audit, meeting or call with %s for more than a year", cmp.Or(c.Partner.Name, c.Key))
	}
	if days > every && next.At.IsZero() {
		partner(RuleEngagementOverdue, "engagement", "The last %s was %d days ago; %d days is the interval", cmp.Or(last.Kind, "contact"), days, every)
	}
	if active, why := c.Activity(); !active && c.Partner.Activity == "" {
		partner(RuleInactive, "activity", "%s", why)
	}
	if what := c.businessDown(); what != "" {
		partner(RuleBusinessDown, "business", "%s", what)
	}
}

// Activity reports whether the partner counts as active, and why not: a person's
// word first, then the end of the contract, then no contact for twice the
// interval.
func (c *Case) Activity() (active bool, why string) {
	switch c.Partner.Activity {
	case "Active":
		return true, ""
	case "Inactive":
		return false, "Set inactive by a person."
	}
	if to := c.Partner.Contract.To; !to.IsZero() && to.Before(c.Today) {
		return false, fmt.Sprintf("The contract ended on %s.", to)
	}
	_, next := c.contacts()
	if days, every := c.quiet(), c.EngagementDays(); days > 2*every && next.At.IsZero() {
		return false, fmt.Sprintf("No contact for %d days, twice the interval of %d.", days, every)
	}
	return true, ""
}

// businessDown compares the sums of the last three full months with those of
// the three before: revenue and leads.
func (c *Case) businessDown() string {
	month := c.Today.YearMonth()
	for _, m := range []struct{ id, word string }{{"contribution", "Revenue"}, {"leads.generated", "Leads generated"}} {
		sums, seen := [2]float64{}, [2]int{}
		for _, v := range c.Continuous.Metrics {
			if v.Metric != m.id || v.Period.Month.IsZero() || !v.Has || v.Project != "" {
				continue
			}
			for q := range 2 {
				for i := 1; i <= 3; i++ {
					if v.Period.Month == month.Add(-3*q-i) {
						sums[q] += v.Value
						seen[q]++
					}
				}
			}
		}
		if seen[0] >= 3 && seen[1] >= 3 && sums[1] > 0 && sums[0] <= 0.7*sums[1] {
			return fmt.Sprintf("%s fell by %.0f %% against the quarter before", m.word, 100*(1-sums[0]/sums[1]))
		}
	}
	return ""
}

// projects turns misses that name their project into alerts about it: of open
// projects, and of those whose escalation has not ended. What a project that is
// over missed is a verdict still, but nobody can catch up on it.
func (c *Case) projects(partner func(rule, subject, format string, args ...any)) {
	type miss struct{ rule, subject string }
	said := map[miss]bool{}
	add := func(rule, project, text string) {
		if k := (miss{rule, project}); !said[k] {
			said[k] = true
			partner(rule, cmp.Or(project, "projects"), "%s", text)
		}
	}
	// Two sites of a partner may each have a PROJ-0001.
	subject := func(site, project string) string { return strings.TrimPrefix(site+"-"+project, "-") }
	ofCheck := map[string]string{"kick-off": RuleKickoffLate, "status mails": RuleWeeklyMailMissing, "steering meetings": RuleSteeringMissing, "handover": RuleHandoverLate, "hand-over": RuleHandoverLate}
	ofCriterion := map[string]string{
		"esc.sales.p5": RuleHandoverLate, "esc.impl.p3": RuleKickoffLate, "esc.impl.p9": RuleWeeklyMailMissing, "esc.impl.p10": RuleSteeringMissing,
		"impl.plan": RuleMilestoneLate,
	}
	all := []rules.Assessment{c.Continuous}
	for _, e := range c.Escalations {
		if a, ok := c.Targeted[e.Name]; ok && !e.Ended() {
			all = append(all, a)
		}
	}
	for _, a := range all {
		for _, v := range a.Verdicts {
			if v.Criterion == "sales.response" && v.Effective() == rules.NotMet {
				add(RuleAnswersSlow, "answers", fmt.Sprintf("Queries answered in time: %s; expected %s", v.Measured, v.Expected))
			}
			rule := ofCriterion[v.Criterion]
			if rule != "" && v.Effective() == rules.NotMet && len(v.Items) == 0 {
				add(rule, subject(a.Target.Site, a.Target.Project), fmt.Sprintf("%s: %s", v.Title, v.Measured))
			}
			for _, it := range v.Items {
				if it.OK || it.Unknown || it.Manual {
					continue
				}
				r := rule
				if v.Effective() != rules.NotMet {
					r = ""
				}
				if strings.HasSuffix(v.Criterion, ".followed") {
					if i := strings.LastIndex(it.Label, ": "); i >= 0 {
						r = ofCheck[it.Label[i+2:]]
					}
				}
				if r != "" && it.Ref.Doctype == "Project" && a.Kind != rules.Escalation && c.Over[it.Ref.Key()] {
					continue
				}
				if r != "" {
					add(r, cmp.Or(subject(it.Ref.Site, it.Ref.Name), subject(a.Target.Site, a.Target.Project)), fmt.Sprintf("%s: %s", cmp.Or(it.Label, v.Title), it.Note))
				}
			}
		}
	}
}

// Work is how the daemon itself fares.
type Work struct {
	Now         time.Time
	OutboxOld   time.Duration // age of the oldest change that waits
	Parked      int           // changes that wait for a person
	ChangeBrake string        // why writing stopped; "" while it has not
	// Partners are the configured ones.
	Partners []string
}

// FleetConditions returns what is true across partners: requests that fit no
// partner, audits and NCs that name none, doubled partners, users who see too
// much, and how the daemon itself fares.
func FleetConditions(in *Input, w Work) []Condition {
	var out []Condition
	say := func(rule, doctype, name, subject, format string, args ...any) {
		out = append(out, Condition{Rule: rule, Subject: subject, Doctype: doctype, Name: name, Message: fmt.Sprintf(format, args...)})
	}
	known := map[string]bool{}
	domains := map[string][]string{}
	for _, p := range in.Partners {
		known[p.Key] = true
		for _, d := range p.MailDomains {
			d = strings.ToLower(strings.TrimSpace(d))
			if d != "" && !slices.Contains(domains[d], p.Key) {
				domains[d] = append(domains[d], p.Key)
			}
		}
	}
	unreadable := slices.ContainsFunc(in.Gaps, func(g evidence.Gap) bool { return g.Stream == doctypePartner })
	for d, ps := range domains {
		if len(ps) > 1 {
			slices.Sort(ps)
			say(RulePartnerDuplicate, doctypePartner, ps[0], d, "%s share the mail domain %s", strings.Join(ps, " and "), d)
		}
	}
	for _, a := range in.Audits {
		if a.Live() && !unreadable && !known[a.Partner] {
			say(RuleAuditWithoutPartner, doctypeAudit, a.Name, a.Name, "%s names %s", a.Name, unknownPartner(a.Partner))
		}
	}
	for _, n := range in.NCs {
		if !n.Resolved() && !unreadable && !known[n.Partner] {
			say(RuleNCOrphan, doctypeNC, n.Name, n.Name, "%s names %s", n.Name, unknownPartner(n.Partner))
		}
	}
	for _, e := range in.Escalations {
		if !e.Ended() && !unreadable && !known[e.Partner] {
			say(RuleEscalationUnknown, doctypeEscalation, e.Name, e.Name, "%s names %s", e.Name, unknownPartner(e.Partner))
		}
	}
	for _, r := range in.Requests {
		if r.Escalation != "" || r.Status == "Rejected" || Taken(in.Escalations, r) {
			continue
		}
		if to, why := Match(in.Partners, r); to == "" && !unreadable {
			say(RuleRequestUnmatched, cmp.Or(r.Doctype, doctypeRequest), r.Name, r.Name, "%s: %s", r.Name, why)
		}
	}
	unread := map[string][]string{}
	for _, g := range in.Gaps {
		text := g.Reason
		if g.Remedy != "" {
			text += ": " + g.Remedy
		}
		unread[g.Stream] = append(unread[g.Stream], text)
	}
	for _, u := range in.Unrestricted {
		say(RuleUserUnrestricted, "", "", u, "The user %s of a partner has no User Permission and sees every partner", u)
	}
	switch {
	case w.Parked > 0:
		say(RuleOutboxStuck, "", "", "outbox", "%d changes wait for a person; see prmsync outbox list", w.Parked)
	case w.OutboxOld > time.Hour:
		say(RuleOutboxStuck, "", "", "outbox", "The oldest change waits for %s", w.OutboxOld.Round(time.Minute))
	}
	if w.ChangeBrake != "" {
		say(RuleChangeBrake, "", "", "brake", "%s", w.ChangeBrake)
	}
	if in.Skew != 0 {
		how := "ahead of"
		if in.Skew < 0 {
			how = "behind"
		}
		say(RuleClockSkew, "", "", "clock", "The PRM's clock is %d minutes %s ours", int(in.Skew.Abs().Minutes()), how)
	}
	for stream, reasons := range unread {
		slices.Sort(reasons)
		say(RulePRMUnreadable, "", "", stream, "%s", strings.Join(slices.Compact(reasons), "; "))
	}
	slices.SortFunc(out, func(a, b Condition) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject))
	})
	return out
}

func unknownPartner(key string) string {
	if key == "" {
		return "no partner"
	}
	return "the partner " + key + ", which the PRM does not have"
}

// Taken reports whether an escalation was made from the request already.
func Taken(es []Escalation, r Request) bool {
	return slices.ContainsFunc(es, func(e Escalation) bool { return e.SourceKey != "" && e.SourceKey == r.Key() })
}

// keyLimit is how long a text of a Data field can be.
const keyLimit = 140

// Key is the source key of the escalation that the request becomes: its name,
// with its doctype where that is not the web form's. What is too long ends in a
// digest, so that keys stay different.
func (r Request) Key() string {
	if r.Doctype == "" || r.Doctype == doctypeRequest {
		return r.Name
	}
	key := r.Doctype + "/" + r.Name
	if len(key) <= keyLimit {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return strings.ToValidUTF8(key[:keyLimit-13], "") + "-" + hex.EncodeToString(sum[:6])
}
