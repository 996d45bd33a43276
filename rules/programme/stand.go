package programme

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// renewalNotice is how many days before the end of a contract people are told.
const renewalNotice = 30

// insight is one reason to look at a partner, with its place in the list.
type insight struct {
	code, status, reason, says string
	attention                  int
}

// Stand sums up a partner for the list and the form of the PRM: how urgent it
// is, why, and where level and tier stand. alerts are those that fire now.
func (c *Case) Stand(alerts []Alert) Standing {
	p := c.Partner
	effect := c.Effect()
	s := Standing{Activity: "Active", EffectiveLevel: effect.Level, EffectiveTier: EffectiveTier(c.Tiers, p.AwardedTier, effect.Level)}
	active, inactiveWhy := c.Activity()
	if !active {
		s.Activity = "Inactive"
	}
	switch {
	case p.AwardedLevel < 1:
		s.Text, s.LevelText = "–", "Not awarded"
	case effect.Lowered(p.AwardedLevel):
		s.Text = fmt.Sprintf("%d → %d", p.AwardedLevel, effect.Level)
		s.LevelText = fmt.Sprintf("PMM %d", effect.Level)
	default:
		s.Text = fmt.Sprint(p.AwardedLevel)
		s.LevelText = fmt.Sprintf("PMM %d", p.AwardedLevel)
	}
	s.NeedsDecision, s.DecisionNote = c.decision(effect)
	for _, n := range c.NCs {
		if n.Resolved() {
			continue
		}
		s.OpenNCs++
		due := n.DueOn()
		if n.OverdueOn(c.Today) {
			s.OverdueNCs++
		}
		if !due.IsZero() && (s.NextNCDue.IsZero() || due.Before(s.NextNCDue)) {
			s.NextNCDue = due
		}
	}
	for _, e := range c.Escalations {
		if !e.Ended() {
			s.OpenEscalations++
		}
	}
	last, next := c.contacts()
	s.LastEngaged, s.LastEngagedKind = evidence.DateIn(last.At, c.Zone), last.Kind
	s.NextEngaged, s.NextEngagedKind = next.At, next.Kind

	best := insight{code: "on_track", status: "On Track"}
	if l := c.Continuous.LevelLow; l > 0 {
		best.says = fmt.Sprintf("The evidence shows level %d.", l)
	}
	if p.Activity == "Inactive" || !active && s.OpenNCs == 0 && s.OpenEscalations == 0 {
		best = insight{code: "inactive", status: "Inactive", reason: "Inactive", says: inactiveWhy}
	} else if i := c.insights(s, effect, alerts); len(i) > 0 {
		best = i[0]
	}
	s.Status, s.Reason, s.Insight, s.InsightCode, s.Attention = best.status, best.reason, best.says, best.code, best.attention
	return s
}

// insights returns the reasons to look at the partner, the most urgent first: NC
// overdue, escalation unattended, engagement overdue, business down, renewal,
// ready for the next level, certificates short, site unreachable; between them
// what they leave open: NCs that run, decisions, misses, too little evidence.
func (c *Case) insights(s Standing, effect Effect, alerts []Alert) []insight {
	var out []insight
	add := func(code, status, reason string, attention int, format string, args ...any) {
		out = append(out, insight{code, status, reason, fmt.Sprintf(format, args...), attention})
	}
	firing := map[string]Alert{}
	for _, a := range alerts {
		if _, had := firing[a.Rule]; a.Counts() && !had {
			firing[a.Rule] = a
		}
	}
	if s.OverdueNCs > 0 {
		first := c.firstNC()
		says := fmt.Sprintf("%s is overdue since %s", cmp.Or(first.Name, "An NC"), first.DueOn())
		if s.OverdueNCs > 1 {
			says += fmt.Sprintf(", and %d more", s.OverdueNCs-1)
		}
		if effect.Lowered(c.Partner.AwardedLevel) {
			says += fmt.Sprintf("; level %d applies until it is closed", effect.Level)
		}
		add("nc_overdue", "Act Now", "NC overdue", min(90+s.OverdueNCs, 100), "%s.", says)
	}
	for _, e := range c.Escalations {
		w := c.Waiting(e)
		if w.Rule == "" {
			continue
		}
		says := fmt.Sprintf("The escalation of %s waits for %d working days at %q.", cmp.Or(e.Customer, e.Name), w.Days, e.Status)
		if w.Rule == RuleEscalationUnattended {
			add("escalation_unattended", "Act Now", "Escalation", 88, "%s", says)
		} else {
			add("escalation_waiting", "Act Now", "Escalation", 84, "%s", says)
		}
		break
	}
	if s.NeedsDecision {
		add("decision", "Act Now", "Decide", 80, "%s", s.DecisionNote)
	}
	for _, rule := range []string{RuleAuditAttendance, RuleAuditUnreadable, RuleChecklistUnshared} {
		if a, ok := firing[rule]; ok {
			add("audit", "Act Now", "Audit", 78, "%s.", strings.TrimSuffix(a.Message, "."))
			break
		}
	}
	if s.OpenEscalations > 0 && len(out) == 0 {
		add("escalation_open", "Watch", "Escalation", 70, "%d escalation(s) open.", s.OpenEscalations)
	}
	if s.OpenNCs > s.OverdueNCs {
		add("nc_open", "Watch", "NCs open", 68, "%d NCs open; next due %s.", s.OpenNCs, s.NextNCDue)
	}
	if a, ok := firing[RuleNoContact]; ok {
		add("no_contact", "Act Now", "No contact", 66, "%s.", a.Message)
	}
	if a, ok := firing[RuleEngagementOverdue]; ok {
		add("engagement_overdue", "Watch", "Engagement", 64, "%s.", a.Message)
	}
	if what := c.businessDown(); what != "" {
		add("business_down", "Watch", "Business", 60, "%s; find out why.", what)
	}
	if to := c.Partner.Contract.To; !to.IsZero() && !to.Before(c.Today) && to.DaysSince(c.Today) <= renewalNotice {
		add("renewal", "Watch", "Renewal", 56, "The contract ends on %s.", to)
	}
	missed, unknown, first := 0, 0, ""
	for _, v := range c.Continuous.Verdicts {
		if v.Severity != rules.SeverityNC || v.Level > max(c.Partner.AwardedLevel, 2) {
			continue
		}
		switch v.Effective() {
		case rules.NotMet:
			if missed++; first == "" {
				first = v.Title
			}
		case rules.Insufficient:
			unknown++
		case rules.Met, rules.NotApplicable, rules.Manual:
		}
	}
	critical := ""
	for _, a := range alerts {
		if a.Counts() && a.Severity == Critical && a.SubjectDoctype == doctypeSite {
			critical = a.Message
			break
		}
	}
	if missed > 0 {
		add("missed", "Watch", fmt.Sprintf("%d missed", missed), min(40+missed, 54), "%d statements are not met; first: %s.", missed, strings.TrimSuffix(first, "."))
	}
	if low := c.Continuous.LevelLow; low > max(c.Partner.AwardedLevel, 2) && s.OpenNCs == 0 {
		add("ready", "On Track", "Ready", 38, "The evidence shows level %d, above the awarded %d: an audit could be requested.", low, c.Partner.AwardedLevel)
	}
	if need := c.certificatesNeeded(); need > c.Certs && c.Partner.AwardedTier != "" && c.certsReadable() {
		add("certificates_short", "Watch", "Certificate", 36, "%d of %d certificates are there.", c.Certs, need)
	}
	if critical != "" {
		// What can be read says more than that something cannot; a partner with no
		// other reason is unknown as long as its site is silent.
		i := insight{"site", "Act Now", "Site", strings.TrimSuffix(critical, ".") + ".", 74}
		if len(out) == 0 || out[0].attention < 74 {
			out = append([]insight{i}, out...)
		}
	}
	if n := len(c.Continuous.Verdicts); len(out) == 0 && unknown > 0 && unknown > n/4 {
		add("unknown", "Unknown", "No evidence", 30, "%d statements cannot be judged from what we may read.", unknown)
	}
	return out
}

// firstNC is the unresolved NC that is due first.
func (c *Case) firstNC() NC {
	var first NC
	for _, n := range c.NCs {
		if n.OverdueOn(c.Today) && (first.Name == "" || n.DueOn().Before(first.DueOn())) {
			first = n
		}
	}
	return first
}

func (c *Case) certificatesNeeded() int {
	for _, t := range c.Tiers {
		if t.Name == c.Partner.AwardedTier {
			return t.Certs
		}
	}
	return 0
}

func (c *Case) certsReadable() bool {
	for _, g := range c.Everyone.Gaps {
		if g.Stream == "Partner Certificate" {
			return false
		}
	}
	return true
}
