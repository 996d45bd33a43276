package programme

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
)

// The ids of the rules; they are part of keys on the PRM and are never renamed.
const (
	RuleSiteDown       = "site_down"
	RuleKeyRejected    = "key_rejected"
	RulePermissionLost = "permission_lost"
	RuleEvidenceStale  = "evidence_stale"
	RuleDrift          = "drift"
	RuleBraked         = "delete_brake"
	RuleNoSite         = "partner_without_site"
	RuleOverdue        = "tasks_overdue"
	RuleSLA            = "sla_missed"
	RuleReportMissing  = "report_missing"
	RuleTamper         = "tamper_signal"

	RuleAuditAttendance      = "audit_attendance"
	RuleAuditUnreadable      = "audit_evidence_unreadable"
	RuleAuditFlagged         = "audit_flagged"
	RuleAuditWithoutPartner  = "audit_without_partner"
	RuleNCDue7               = "nc_due_7_days"
	RuleNCDue1               = "nc_due_1_day"
	RuleNCOverdue            = "nc_overdue"
	RuleNCOrphan             = "nc_orphan"
	RuleNCUndated            = "nc_closed_undated"
	RuleEscalationUnattended = "escalation_unattended"
	RuleWarningOutstanding   = "warning_outstanding"
	RuleCallOutstanding      = "call_outstanding"
	RuleEscalationStuck      = "escalation_no_next_step"
	RuleEscalationUnknown    = "escalation_unknown"
	RuleRequestUnmatched     = "request_unmatched"
	RuleChecklistUnshared    = "checklist_unshared"
	RuleDowngrade            = "downgrade"
	RuleDecisionNeeded       = "decision_needed"
	RuleNoContact            = "no_contact_in_a_year"
	RuleEngagementOverdue    = "engagement_overdue"
	RuleInactive             = "partner_inactive"
	RuleBusinessDown         = "business_down"
	RulePartnerMissing       = "partner_missing"
	RulePartnerDuplicate     = "partner_duplicate"
	RuleUserUnrestricted     = "partner_user_unrestricted"
	RuleHandoverLate         = "handover_late"
	RuleKickoffLate          = "kickoff_late"
	RuleWeeklyMailMissing    = "weekly_mail_missing"
	RuleSteeringMissing      = "steering_missing"
	RuleMilestoneLate        = "milestone_late"
	RuleAnswersSlow          = "answers_slow"
	RuleOutboxStuck          = "outbox_stuck"
	RuleChangeBrake          = "change_brake"
	RuleClockSkew            = "clock_skew"
	RulePRMUnreadable        = "prm_unreadable"
)

// Catalogue returns every alert rule, by id.
func Catalogue() []AlertRule { return slices.Clone(catalogue()) }

var catalogue = sync.OnceValue(func() []AlertRule {
	both := OnPRM | InPrometheus
	rs := []AlertRule{
		{ID: RuleSiteDown, Title: "Site does not answer", Severity: Critical, Hold: 10 * time.Minute, Subject: "site", Channels: both, Runbook: "site-down", Says: "The partner's site has not answered; verdicts stand until they are too old."},
		{ID: RuleKeyRejected, Title: "Key rejected", Severity: Critical, Subject: "site", Channels: both, Runbook: "key-rejected", Says: "The partner's site no longer accepts our key."},
		{ID: RulePermissionLost, Title: "Permission lost", Severity: Warning, Hold: 10 * time.Minute, Subject: "site", Channels: both, Runbook: "permission-lost", Says: "The key may no longer read something that was read before."},
		{ID: RuleEvidenceStale, Title: "Evidence is stale", Severity: Warning, Subject: "site", Channels: both, Runbook: "evidence-stale", Says: "The last complete read is too old to judge by."},
		{ID: RuleDrift, Title: "Site changed its fields", Severity: Warning, Subject: "site", Channels: both, Runbook: "drift", Says: "A field that we read is gone or has another type."},
		{ID: RuleBraked, Title: "Too much vanished at once", Severity: Critical, Subject: "site", Channels: both, Runbook: "brake-tripped", Says: "Records vanished in such a number that a person should look first."},
		{ID: RuleNoSite, Title: "Partner without a site", Severity: Info, Subject: "partner", Channels: both, Requirements: []string{"S168"}, Runbook: "partner-without-site", Says: "Nothing can be read for this partner."},
		{ID: RuleOverdue, Title: "Many tasks overdue", Severity: Warning, Hold: time.Hour, Subject: "partner", Channels: both, Requirements: []string{"S127"}, Runbook: "tasks-overdue", Says: "More than a fifth of the open customer projects' tasks are past their date."},
		{ID: RuleSLA, Title: "SLA below target", Severity: Warning, Hold: time.Hour, Subject: "partner", Channels: both, Requirements: []string{"S150"}, Runbook: "sla-missed", Says: "Too few tickets of the last full week were answered and resolved in time."},
		{ID: RuleReportMissing, Title: "Weekly report missing", Severity: Warning, Subject: "partner", Channels: both, Requirements: []string{"S25"}, Runbook: "report-missing", Says: "A weekly figure is due and has not been reported."},
		{ID: RuleTamper, Title: "Facts contradict each other", Severity: Warning, Subject: "partner", Channels: OnPRM | InPrometheus, Requirements: []string{"S69", "S70"}, Runbook: "tamper-signal", Says: "Two facts contradict each other; a person should look."},
	}
	rs = append(rs, programmeRules()...)
	slices.SortFunc(rs, func(a, b AlertRule) int { return cmp.Compare(a.ID, b.ID) })
	return rs
})

// ruleOf finds a rule by its id.
func ruleOf(id string) (AlertRule, bool) {
	rs := catalogue()
	i, ok := slices.BinarySearchFunc(rs, id, func(r AlertRule, id string) int { return cmp.Compare(r.ID, id) })
	if !ok {
		return AlertRule{}, false
	}
	return rs[i], true
}

// ShownOnPRM reports whether alerts of the rule become records on the PRM; those
// of a rule that the catalogue does not know do.
func ShownOnPRM(rule string) bool {
	r, ok := ruleOf(rule)
	return !ok || r.Channels&OnPRM != 0
}

// Episode is one alert from the moment its condition was first true. The zero
// Fired means that it is held down, the zero Resolved that it is still true.
type Episode struct {
	Alert    Alert
	Pending  time.Time
	Fired    time.Time
	Resolved time.Time
}

// Condition is a rule that is true now for a subject.
type Condition struct {
	Rule    string
	Subject string // distinguishes episodes of the same rule and partner
	Doctype string // of the record on the PRM that it is about
	Name    string
	Message string
	Refs    []evidence.Ref
}

// SiteFacts is what an alert needs to know of a site.
type SiteFacts struct {
	Key         string // of the configuration
	Record      string // PMM Site on the PRM
	Status      string // Healthy, Degraded, Unreachable, Unauthorized
	LastError   string
	LastSuccess time.Time
	Lost        []string // streams that were once read and no longer are
}

// AlertFacts is what the conditions of one partner follow from.
type AlertFacts struct {
	Now        time.Time
	Partner    string
	Sites      []SiteFacts
	Assessment rules.Assessment // the continuous one
	Poor       Poor
	// Case is what people decided about the partner; nil where the PRM was never
	// read, and then nothing of the programme is true.
	Case *Case
}

// Poor says from where on a metric calls for action; shares are percent, as the
// metrics are.
type Poor struct{ OverdueAbove, SLABelow float64 }

// Conditions returns the rules that are true now, by rule and subject. What a
// dead site makes unknown is one alert about the site, not one per criterion.
func Conditions(f AlertFacts) []Condition {
	var out []Condition
	about := func(rule, subject, message string, refs ...evidence.Ref) {
		out = append(out, Condition{Rule: rule, Subject: subject, Doctype: "PMM Partner", Name: f.Partner, Message: message, Refs: refs})
	}
	down := map[string]bool{}
	for _, s := range f.Sites {
		site := func(rule, message string) {
			out = append(out, Condition{Rule: rule, Subject: s.Key, Doctype: "PMM Site", Name: s.Record, Message: message})
		}
		switch s.Status {
		case "Unreachable":
			down[s.Key] = true
			site(RuleSiteDown, fmt.Sprintf("Site %s of %s does not answer: %s", s.Key, f.Partner, s.LastError))
		case "Unauthorized":
			down[s.Key] = true
			site(RuleKeyRejected, fmt.Sprintf("Site %s of %s no longer accepts the key", s.Key, f.Partner))
		}
		if len(s.Lost) > 0 {
			site(RulePermissionLost, fmt.Sprintf("Site %s of %s no longer lets us read %s", s.Key, f.Partner, strings.Join(s.Lost, ", ")))
		}
	}
	stale, drift, braked := map[string][]string{}, map[string][]string{}, map[string][]string{}
	for _, g := range f.Assessment.Gaps {
		switch g.Kind {
		case evidence.Stale:
			stale[g.Site] = append(stale[g.Site], g.Stream)
		case evidence.Drifted:
			drift[g.Site] = append(drift[g.Site], strings.TrimSuffix(g.Stream+"."+g.Field, "."))
		case evidence.Braked:
			braked[g.Site] = append(braked[g.Site], g.Stream)
		case evidence.Unreachable, evidence.Unauthorized, evidence.Forbidden, evidence.Absent, evidence.Unmapped, evidence.Hidden:
		}
	}
	for _, s := range f.Sites {
		site := func(rule, verb string, what []string) {
			if len(what) == 0 {
				return
			}
			slices.Sort(what)
			more := ""
			if len(what) > 4 {
				what, more = what[:4], fmt.Sprintf(" and %d more", len(what)-4)
			}
			out = append(out, Condition{Rule: rule, Subject: s.Key, Doctype: "PMM Site", Name: s.Record, Message: fmt.Sprintf("Site %s of %s: %s %s%s", s.Key, f.Partner, strings.Join(what, ", "), verb, more)})
		}
		if !down[s.Key] { // a dead site says so itself
			site(RuleEvidenceStale, "last read too long ago", stale[s.Key])
		}
		site(RuleDrift, "changed", drift[s.Key])
		site(RuleBraked, "lost many records at once", braked[s.Key])
	}
	if len(f.Sites) == 0 {
		about(RuleNoSite, "partner", fmt.Sprintf("%s has no site that we could read", f.Partner))
	}
	figures(f, about)
	if f.Case != nil {
		out = append(out, f.Case.conditions()...)
	}
	for _, s := range f.Assessment.Signals {
		about(RuleTamper, contradiction(s), s.Alert(), s.Refs...)
	}
	if f.Case != nil {
		out = append(out, f.Case.contradictions(f.Assessment.Signals)...)
	}
	slices.SortFunc(out, func(a, b Condition) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject))
	})
	return out
}

// contradiction tells two signals apart.
func contradiction(s rules.Signal) string {
	return strings.Join([]string{s.Rule, s.Subject.Site, s.Subject.Doctype, s.Subject.Name}, "-")
}

// contradictions are those that only an escalation or an audit brings out, such
// as a record that was made after it and dated before; each is about the record
// that it concerns. What known holds already is not said twice.
func (c *Case) contradictions(known []rules.Signal) []Condition {
	said := map[string]bool{}
	for _, s := range known {
		said[contradiction(s)] = true
	}
	var out []Condition
	add := func(doctype, name string) {
		for _, s := range c.Targeted[name].Signals {
			if k := contradiction(s); !said[k] {
				said[k] = true
				out = append(out, Condition{Rule: RuleTamper, Subject: k, Doctype: doctype, Name: name, Message: s.Alert(), Refs: s.Refs})
			}
		}
	}
	for _, e := range c.Escalations {
		if !e.Ended() {
			add(doctypeEscalation, e.Name)
		}
	}
	for _, a := range c.Audits {
		if c.assessed(a) {
			add(doctypeAudit, a.Name)
		}
	}
	return out
}

func figures(f AlertFacts, about func(rule, subject, message string, refs ...evidence.Ref)) {
	latest := map[string]measure.Value{}
	missing := map[string][]string{}
	for _, v := range f.Assessment.Metrics {
		if v.Project != "" {
			continue
		}
		if v.Timeliness == measure.Never {
			missing[v.Metric] = append(missing[v.Metric], v.Period.String())
		}
		if old, ok := latest[v.Metric]; v.Has && (!ok || v.Period.Last().After(old.Period.Last())) {
			latest[v.Metric] = v
		}
	}
	if v, ok := latest[measure.OverduePct]; ok && f.Poor.OverdueAbove > 0 && v.Value > f.Poor.OverdueAbove {
		about(RuleOverdue, "tasks", fmt.Sprintf("%.0f of %.0f tasks of open customer projects are overdue", v.Numerator, v.Denominator), v.Docs...)
	}
	if v, ok := latest[measure.SLA]; ok && f.Poor.SLABelow > 0 && v.Value < f.Poor.SLABelow {
		about(RuleSLA, "tickets", fmt.Sprintf("%.0f of %.0f tickets of %s were in time", v.Numerator, v.Denominator, v.Period), v.Docs...)
	}
	for metric, weeks := range missing {
		slices.Sort(weeks)
		about(RuleReportMissing, metric, fmt.Sprintf("%s was not reported for %s", metric, strings.Join(weeks[max(0, len(weeks)-3):], ", ")))
	}
}

// Hush is what people put off, and the PRM's date that decides until when.
type Hush struct {
	Today evidence.Date
	// Until is by the alert's key; nil where it could not be read: what was put off
	// before stays so.
	Until map[string]evidence.Date
}

// HushOf is what people put off as of the instant.
func HushOf(in *Input, at time.Time) Hush {
	h := Hush{Today: evidence.DateIn(at, zoneOf(in.Zone))}
	if !in.AsOf.IsZero() && !slices.ContainsFunc(in.Gaps, func(g evidence.Gap) bool { return g.Stream == doctypeAlert }) {
		h.Until = in.Snoozed()
	}
	return h
}

// quiet reports whether a date until which an alert is put off is still to come.
func (h Hush) quiet(until evidence.Date) bool { return !until.IsZero() && h.Today.Before(until) }

// Advance moves the episodes of one partner on: a condition that is true begins
// or continues one, one that is no longer true resolves it. An alert that a
// person has put off goes on without counting; should it resolve and come back
// before that day, the new episode waits for the day. It returns the episodes
// that changed, and the alerts to be shown: those firing, and those resolved
// since they fired. open holds the episodes that are open, and those resolved
// lately.
func Advance(open []Episode, now []Condition, partner string, at time.Time, hush Hush) (changed []Episode, shown []Alert) {
	id := func(rule, subject string) string { return rule + "\x00" + subject }
	current := map[string]Episode{}
	putOff := map[string]evidence.Date{}
	for _, e := range open {
		k := id(e.Alert.Rule, subjectOf(e.Alert))
		if e.Resolved.IsZero() {
			current[k] = e
			continue
		}
		if e.Alert.Until.After(putOff[k]) {
			putOff[k] = e.Alert.Until
		}
		if !e.Fired.IsZero() {
			shown = append(shown, e.Alert)
		}
	}
	for _, c := range now {
		rule, ok := ruleOf(c.Rule)
		if !ok {
			continue
		}
		k := id(c.Rule, alertSubject(c))
		e, had := current[k]
		delete(current, k)
		if !had {
			e = Episode{Pending: at, Alert: Alert{
				Key: alertKey(c, partner, at), Rule: c.Rule, Partner: partner, Severity: rule.Severity,
				SubjectDoctype: c.Doctype, SubjectName: c.Name, Since: at, Until: putOff[k],
			}}
		}
		before := e
		if until, ok := hush.Until[e.Alert.Key]; ok || hush.Until != nil && !e.Fired.IsZero() && hush.quiet(e.Alert.Until) {
			e.Alert.Until = until // a person moved the day, or took it back
		}
		e.Alert.Quiet = hush.quiet(e.Alert.Until)
		if e.Fired.IsZero() && at.Sub(e.Pending) >= rule.Hold && !e.Alert.Quiet {
			e.Fired = at
			e.Alert.Firing = true
		}
		e.Alert.Message, e.Alert.Refs = c.Message, c.Refs
		if !had || before.Fired != e.Fired || before.Alert.Message != e.Alert.Message || before.Alert.Until != e.Alert.Until || before.Alert.Quiet != e.Alert.Quiet {
			changed = append(changed, e)
		}
		if e.Alert.Firing {
			shown = append(shown, e.Alert)
		}
	}
	for _, e := range current {
		e.Resolved = at
		e.Alert.Firing, e.Alert.Resolved, e.Alert.Quiet = false, at, false
		changed = append(changed, e)
		if !e.Fired.IsZero() {
			shown = append(shown, e.Alert)
		}
	}
	slices.SortFunc(changed, func(a, b Episode) int { return cmp.Compare(a.Alert.Key, b.Alert.Key) })
	slices.SortFunc(shown, func(a, b Alert) int { return cmp.Compare(a.Key, b.Key) })
	return changed, shown
}

// alertKey names an episode: the rule, the partner, the subject and the minute
// in which it began.
func alertKey(c Condition, partner string, at time.Time) string {
	return c.Rule + "-" + partner + "-" + alertSubject(c) + "-" + at.UTC().Format("20060102t1504")
}

// alertSubject is the subject in a form that a key can hold.
func alertSubject(c Condition) string {
	var b strings.Builder
	for _, r := range strings.ToLower(c.Subject) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
		if b.Len() >= 50 { // with rule, partner and instant a key has 140 characters at most
			break
		}
	}
	return b.String()
}

// subjectOf reads the subject back from an alert's key.
func subjectOf(a Alert) string {
	s := strings.TrimPrefix(a.Key, a.Rule+"-"+a.Partner+"-")
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return s[:i]
	}
	return s
}
