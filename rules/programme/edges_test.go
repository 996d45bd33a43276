package programme_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/programme"
)

const noon = "2026-11-24T12:00:00Z" // a Tuesday

func one(t *testing.T, in programme.Input) programme.Case {
	t.Helper()
	if in.Zone == "" {
		in.Zone = "UTC"
	}
	if in.Partners == nil {
		in.Partners = []programme.Partner{{Key: "p", Name: "Partner", AwardedLevel: 5, AwardedTier: "Gold"}}
	}
	c := programme.CaseOf(&in, "p", at(t, noon))
	c.LevelOf = levelOf
	return c
}

func firing(c programme.Case) []string {
	var out []string
	for _, k := range programme.Conditions(programme.AlertFacts{Now: c.Now, Partner: c.Key, Case: &c, Sites: []programme.SiteFacts{{Key: "erp", Status: "Healthy"}}}) {
		out = append(out, k.Rule)
	}
	return slices.Compact(out)
}

func has(t *testing.T, c programme.Case, rule string, want bool) {
	t.Helper()
	if got := slices.Contains(firing(c), rule); got != want {
		t.Errorf("%s fires: %t, want %t (%v)", rule, got, want, firing(c))
	}
}

func TestEdge01Clamped(t *testing.T) {
	t.Parallel()
	for raised, want := range map[string]string{"2027-01-31": "2027-02-28", "2028-01-31": "2028-02-29", "2026-04-30": "2026-05-30"} {
		if got := (programme.NC{Raised: day(t, raised)}).DueOn().String(); got != want {
			t.Errorf("raised %s: due %s, want %s", raised, got, want)
		}
	}
}

func TestEdge03ClosedLateInTheEvening(t *testing.T) {
	t.Parallel()
	// The partner closes at 23:30; on the PRM it is the next day, and that is the date.
	n := programme.NC{Raised: day(t, "2026-10-24"), Status: "Closed", ClosedOn: evidence.DateIn(at(t, "2026-11-24T23:30:00-05:00"), zone(t, "Asia/Kolkata"))}
	if !n.Late() {
		t.Error("the PRM's date did not decide")
	}
	n.ClosedOn = day(t, "2026-11-24")
	if n.Late() {
		t.Error("the due day does not count")
	}
}

func TestEdge04ClosedWithoutDate(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{NCs: []programme.NC{{Name: "N", Partner: "p", Audit: "A", Status: "Closed", Raised: day(t, "2026-10-01"), ClosedSeen: day(t, "2026-10-20")}}})
	has(t, c, programme.RuleNCUndated, true)
	if c.NCs[0].Late() {
		t.Error("the first sighting was in time")
	}
}

func TestEdge05Reopened(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{NCs: []programme.NC{{Name: "N", Partner: "p", Audit: "A", Status: "Open", Raised: day(t, "2026-10-01"), EverClosed: day(t, "2026-10-20")}}})
	has(t, c, programme.RuleNCOverdue, true)
	if !c.NCs[0].Reopened() || c.NCs[0].DueOn() != day(t, "2026-11-01") {
		t.Errorf("%+v", c.NCs[0])
	}
}

func escalated(t *testing.T, ncs ...programme.NC) programme.Input {
	t.Helper()
	for i := range ncs {
		ncs[i].Name, ncs[i].Partner, ncs[i].Audit = fmt.Sprintf("N%d", i), "p", "A"
	}
	return programme.Input{
		Audits:      []programme.Audit{{Name: "A", Partner: "p", Kind: "Re-audit", Status: "Completed", Escalation: "E", On: day(t, "2026-09-01")}},
		Escalations: []programme.Escalation{{Name: "E", Partner: "p", Audit: "A", Status: "NC Raised", StatusSince: at(t, noon), Project: "P1", Customer: "Kranz"}},
		NCs:         ncs,
	}
}

func TestEdge06Discarded(t *testing.T) {
	t.Parallel()
	in := escalated(t, programme.NC{Criterion: "esc.impl.p5", Status: "Open", Raised: day(t, "2026-10-01")})
	c := one(t, in)
	if e := c.Effect(); e.Level != 2 || e.Case != "2" {
		t.Errorf("%+v", e)
	}
	in.NCs[0].Status = "Discarded"
	c = one(t, in)
	if e := c.Effect(); e.Level != 5 || c.NCStateOf(c.Escalations[0]) != "None" || len(c.Findings("")) != 0 {
		t.Errorf("a discarded NC still counts: %+v", e)
	}
}

func TestEdge07Disputed(t *testing.T) {
	t.Parallel()
	c := one(t, escalated(t, programme.NC{Criterion: "impl.rca", Status: "Open", Raised: day(t, "2026-10-01"), Disputed: true}))
	if e := c.Effect(); e.Level != 4 || e.Case != "1" {
		t.Errorf("a dispute stopped the clock: %+v", e)
	}
	has(t, c, programme.RuleDowngrade, true)
}

func TestEdge08Orphans(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{NCs: []programme.NC{{Name: "N", Partner: "p", Status: "Open", Raised: day(t, "2026-11-20")}}})
	has(t, c, programme.RuleNCOrphan, true)
	fleet := programme.FleetConditions(&programme.Input{NCs: []programme.NC{{Name: "N", Status: "Open"}, {Name: "M", Partner: "merged", Status: "WIP"}, {Name: "O", Status: "Closed"}}}, programme.Work{})
	if len(fleet) != 2 || fleet[0].Rule != programme.RuleNCOrphan {
		t.Errorf("%+v", fleet)
	}
}

func TestEdge09PersonsDate(t *testing.T) {
	t.Parallel()
	n := programme.NC{Status: "Open", Raised: day(t, "2026-11-01"), Expected: day(t, "2026-11-10")}
	if !n.OverdueOn(day(t, "2026-11-11")) {
		t.Error("a shortened date is not respected")
	}
	n.Expected = evidence.Date{}
	if n.DueOn() != day(t, "2026-12-01") {
		t.Error("a removed date is not computed")
	}
}

func TestEdge10CompletedWithoutLevel(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Status: "Completed", On: day(t, "2026-11-20")}}})
	if outcome, _ := c.Propose(c.Audits[0]); outcome != programme.Pending {
		t.Errorf("outcome %s", outcome)
	}
	has(t, c, programme.RuleDecisionNeeded, true)
}

func TestEdge11TwoRequests(t *testing.T) {
	t.Parallel()
	a := programme.Audit{Name: "ADT-1", Partner: "p", Kind: "PMM", Level: 4, Status: "Requested", Requested: day(t, "2026-11-01"), Proposed: day(t, "2026-12-10")}
	b := a
	b.Name, b.Level = "ADT-2", 5 // the same day, as the site lets pass
	d := a
	d.Name, d.Proposed = "ADT-3", day(t, "2026-12-20") // the same level
	c := one(t, programme.Input{Audits: []programme.Audit{d, b, a}})
	has(t, c, programme.RuleAuditFlagged, true)
	ks := c.Commissions(func(string) (string, bool) { return "erp", true })
	if len(ks) != 1 || ks[0].Target.Record != "ADT-1" || ks[0].Target.Level != 4 || ks[0].Freeze {
		t.Errorf("%+v", ks)
	}
}

func TestEdge12SkippedLevel(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{
		Partners: []programme.Partner{{Key: "p", AwardedLevel: 2}},
		Audits:   []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Level: 5, Status: "Completed", On: day(t, "2026-11-20")}},
	})
	c.Targeted["A"] = rules.Assessment{Verdicts: []rules.Verdict{
		{Criterion: "impl.followed", Level: 3, Severity: rules.SeverityNC, Outcome: rules.NotMet},
		{Criterion: "impl.rca", Level: 5, Severity: rules.SeverityNC, Outcome: rules.Met},
	}}
	if m := c.Misses(c.Audits[0]); len(m) != 1 || m[0].Criterion != "impl.followed" {
		t.Errorf("lower levels do not count: %+v", m)
	}
}

func TestEdge13And14LittleEvidenceIsNoMiss(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{})
	c.Continuous.Verdicts = []rules.Verdict{{Criterion: "impl.followed", Level: 3, Severity: rules.SeverityNC, Outcome: rules.Insufficient}}
	if s := c.Stand(nil); s.Status != "Unknown" || s.InsightCode != "unknown" {
		t.Errorf("%+v", s)
	}
}

func TestEdge17ZeroIsAFigure(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{})
	for i := 1; i <= 6; i++ {
		v := measure.Value{Metric: "leads.generated", Period: evidence.Period{Month: c.Today.YearMonth().Add(-i)}, Has: true}
		if i > 3 {
			v.Value = 10
		}
		c.Continuous.Metrics = append(c.Continuous.Metrics, v)
	}
	has(t, c, programme.RuleBusinessDown, true) // no leads at all is a fall
	c.Continuous.Metrics[0].Has = false
	has(t, c, programme.RuleBusinessDown, false) // a missing month is not known
}

func TestEdge20DoubledPartner(t *testing.T) {
	t.Parallel()
	in := programme.Input{Partners: []programme.Partner{{Key: "a", Name: "Same", MailDomains: []string{"same.example"}}, {Key: "b", Name: "Same", MailDomains: []string{"SAME.example"}}, {Key: "c", Name: "Same"}}}
	fleet := programme.FleetConditions(&in, programme.Work{})
	if len(fleet) != 1 || fleet[0].Rule != programme.RulePartnerDuplicate || strings.Contains(fleet[0].Message, "c") && !strings.Contains(fleet[0].Message, "a and b") {
		t.Errorf("%+v", fleet)
	}
	if to, why := programme.Match(in.Partners, programme.Request{Company: "same"}); to != "" || why == "" {
		t.Errorf("a name that three bear fits %q", to)
	}
}

func TestEdge25UnreadableDuringAnAudit(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Level: 3, Mode: "Online", Status: "Scheduled", On: day(t, "2026-11-26")}}})
	c.Targeted["A"] = rules.Assessment{Gaps: []evidence.Gap{{Stream: "Task", Kind: evidence.Unauthorized}}}
	has(t, c, programme.RuleAuditUnreadable, true)
	if len(c.Misses(c.Audits[0])) != 0 {
		t.Error("what cannot be read became a finding")
	}
}

func TestEdge26OverrideCounts(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Level: 3, Status: "Completed"}}})
	v := rules.Verdict{Criterion: "impl.followed", Level: 3, Severity: rules.SeverityNC, Outcome: rules.NotMet}
	c.Targeted["A"] = rules.Assessment{Verdicts: []rules.Verdict{v}}
	if outcome, _ := c.Propose(c.Audits[0]); outcome != programme.Pending {
		t.Errorf("an undecided finding: %s", outcome)
	}
	v.Override = &rules.Override{Outcome: rules.Met}
	c.Targeted["A"] = rules.Assessment{Verdicts: []rules.Verdict{v}}
	if outcome, _ := c.Propose(c.Audits[0]); outcome != programme.Awarded {
		t.Errorf("a person's word does not count: %s", outcome)
	}
}

func TestEdge27WithdrawnWithOpenNCs(t *testing.T) {
	t.Parallel()
	in := escalated(t, programme.NC{Criterion: "esc.impl.p5", Status: "Open", Raised: day(t, "2026-10-01")})
	in.Escalations[0].Status = "Withdrawn"
	c := one(t, in)
	if c.NCStateOf(c.Escalations[0]) != "Overdue" || c.Effect().Level != 2 {
		t.Error("the NCs did not persist")
	}
	has(t, c, programme.RuleDecisionNeeded, true)
	has(t, c, programme.RuleNCOverdue, true)
}

func TestEdge28ReopenedHasAnAssessmentOfItsOwn(t *testing.T) {
	t.Parallel()
	in := escalated(t)
	in.Escalations[0].Status, in.Escalations[0].Reopened = "Re-opened", 1
	c := one(t, in)
	ks := c.Commissions(func(string) (string, bool) { return "erp", true })
	if len(ks) != 1 || ks[0].Target.Suffix != 1 || c.Records()["E"] != "p-esc-E-1" {
		t.Errorf("%+v %v", ks, c.Records())
	}
}

func TestEdge29SecondEscalation(t *testing.T) {
	t.Parallel()
	in := escalated(t, programme.NC{Criterion: "impl.rca", Status: "Open", Raised: day(t, "2026-10-01")})
	in.Audits = append(in.Audits, programme.Audit{Name: "A2", Partner: "p", Kind: "Re-audit", Status: "Completed", Escalation: "E2"})
	in.Escalations = append(in.Escalations, programme.Escalation{Name: "E2", Partner: "p", Audit: "A2", Status: "NC Raised"})
	in.NCs = append(in.NCs, programme.NC{Name: "N9", Partner: "p", Audit: "A2", Criterion: "impl.rca", Status: "Open", Raised: day(t, "2026-10-02")})
	c := one(t, in)
	if e := c.Effect(); e.Level != 4 {
		t.Errorf("two steps for two escalations: %+v", e)
	}
	in.NCs[len(in.NCs)-1].Criterion = "esc.impl.p5"
	c = one(t, in)
	if e := c.Effect(); e.Level != 2 {
		t.Errorf("not the lowest: %+v", e)
	}
}

func TestEdge30UnknownProject(t *testing.T) {
	t.Parallel()
	in := escalated(t)
	in.Escalations[0].Status, in.Escalations[0].Project = "Received", ""
	in.Escalations[0].ReceivedOn = day(t, "2026-11-24")
	c := one(t, in)
	has(t, c, programme.RuleEscalationUnknown, true)
	if ks := c.Commissions(func(string) (string, bool) { return "erp", true }); len(ks) != 0 {
		t.Errorf("judged without a project: %+v", ks)
	}
	in.Escalations[0].Project, in.Escalations[0].Site = "P1", "other-erp"
	in.Sites = []programme.Site{{Key: "p-erp", Partner: "p"}}
	has(t, one(t, in), programme.RuleEscalationUnknown, true)
	in.Escalations[0].Site = "p-erp"
	has(t, one(t, in), programme.RuleEscalationUnknown, false)
}

func TestEdge33LevelUnknown(t *testing.T) {
	t.Parallel()
	in := escalated(t, programme.NC{Criterion: "esc.impl.p5", Status: "Open", Raised: day(t, "2026-10-01")})
	in.Partners = []programme.Partner{{Key: "p", AwardedTier: "Gold"}}
	c := one(t, in)
	if s := c.Stand(nil); s.EffectiveLevel != 0 || s.EffectiveTier != "Gold" || !s.NeedsDecision {
		t.Errorf("%+v", s)
	}
	has(t, c, programme.RuleDecisionNeeded, true)
}

func TestEdge34TierWithoutLevel(t *testing.T) {
	t.Parallel()
	tiers := []programme.Tier{{Name: "Friend", Enabled: true, TargetUSD: 9999}, {Name: "Silver", Enabled: true, TargetUSD: 3150, PMMRequired: 4}}
	if got := programme.EffectiveTier(tiers, "Friend", 2); got != "Friend" {
		t.Errorf("a tier that requires no level was lowered to %q", got)
	}
}

func TestEdge35Inactive(t *testing.T) {
	t.Parallel()
	in := programme.Input{
		Partners: []programme.Partner{{Key: "p", AwardedLevel: 3, Contract: programme.Span{To: day(t, "2026-10-31")}}},
		Audits:   []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Level: 4, Status: "Requested", Requested: day(t, "2026-11-01"), Proposed: day(t, "2026-12-01")}},
		NCs:      []programme.NC{{Name: "N", Partner: "p", Audit: "A", Status: "Open", Raised: day(t, "2026-10-01")}},
	}
	c := one(t, in)
	has(t, c, programme.RuleAuditFlagged, true)
	has(t, c, programme.RuleNCOverdue, true)
	has(t, c, programme.RuleInactive, true)
	if ks := c.Commissions(func(string) (string, bool) { return "erp", true }); len(ks) != 0 {
		t.Errorf("an inactive partner's request is assessed: %+v", ks)
	}
	if s := c.Stand(nil); s.Status != "Act Now" || s.Activity != "Inactive" {
		t.Errorf("an overdue NC of an inactive partner: %+v", s)
	}
}

func TestEdge37FinalisedIsNotJudgedAgain(t *testing.T) {
	t.Parallel()
	in := programme.Input{
		Audits:    []programme.Audit{{Name: "ADT-1", Partner: "p", Kind: "PMM", Level: 4, Status: "Completed"}},
		Finalised: map[string]bool{"p-audit-ADT-1": true},
	}
	c := one(t, in)
	if ks := c.Commissions(func(string) (string, bool) { return "erp", true }); len(ks) != 0 {
		t.Errorf("%+v", ks)
	}
}

// Case 1 and case 2 with the live tiers, and back.
func TestCasesWithTiers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		criterion, text, tier string
		level                 int
	}{{"impl.rca", "5 → 4", "Silver", 4}, {"esc.impl.p5", "5 → 2", "Emerging", 2}, {"impl.followed", "5 → 2", "Emerging", 2}, {"esc.impl.m1", "5", "Gold", 5}} {
		in := escalated(t, programme.NC{Criterion: tt.criterion, Status: "On Hold", Raised: day(t, "2026-10-01")})
		in.Tiers = programme.DefaultTiers()
		c := one(t, in)
		if s := c.Stand(nil); s.Text != tt.text || s.EffectiveTier != tt.tier || s.EffectiveLevel != tt.level || s.NeedsDecision != (tt.level == 5) || s.Status != "Act Now" {
			t.Errorf("%s: %+v", tt.criterion, s)
		}
		in.NCs[0].Status = "Closed"
		in.NCs[0].ClosedOn = day(t, "2026-11-24")
		c = one(t, in)
		if s := c.Stand(nil); s.Text != "5" || s.EffectiveTier != "Gold" || s.OverdueNCs != 0 {
			t.Errorf("%s, closed: %+v", tt.criterion, s)
		}
		if _, unfinished := c.Propose(c.Audits[0]); !strings.Contains(unfinished, "re-audit") {
			t.Errorf("%s: a re-audit proposes an award", tt.criterion)
		}
	}
}

func TestGuards(t *testing.T) {
	t.Parallel()
	all := map[string]bool{"founder": true, "sales": true, "implementation": true, "support": true}
	for _, tt := range []struct {
		name string
		a    programme.Audit
		fire bool
	}{
		{"everybody is ticked", programme.Audit{Kind: "PMM", Status: "In Progress", Present: all}, false},
		{"nobody is", programme.Audit{Kind: "PMM", Status: "In Progress"}, true},
		{"tomorrow", programme.Audit{Kind: "PMM", Status: "Scheduled", On: day(t, "2026-11-25")}, true},
		{"in two days", programme.Audit{Kind: "PMM", Status: "Scheduled", On: day(t, "2026-11-26")}, false},
		{"a re-audit needs other people", programme.Audit{Kind: "Re-audit", Status: "In Progress", Present: all}, true},
		{"over", programme.Audit{Kind: "PMM", Status: "Completed"}, false},
	} {
		tt.a.Name, tt.a.Partner, tt.a.Level, tt.a.Mode = "A", "p", 3, "Online"
		has(t, one(t, programme.Input{Audits: []programme.Audit{tt.a}}), programme.RuleAuditAttendance, tt.fire)
	}
	for _, s := range []string{"Requested", "Scheduled", "In Progress", "On Hold"} {
		if len(programme.AuditNext(s)) == 0 {
			t.Errorf("%s leads nowhere", s)
		}
	}
	if programme.AuditNext("Cancelled") != nil || !slices.Contains(programme.EscalationNext("Withdrawn"), "Re-opened") {
		t.Error("ends are not ends")
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	ncs := func(statuses ...string) (out []programme.NC) {
		for i, s := range statuses {
			out = append(out, programme.NC{Name: fmt.Sprint("N", i), Partner: "p", Audit: "A", Status: s, Raised: day(t, "2026-11-01"), ClosedOn: day(t, "2026-12-20")})
		}
		return out
	}
	for _, tt := range []struct {
		status, outcome string
		ncs             []programme.NC
		want            string
	}{
		{"Completed", "Pending", nil, "Awarded"},
		{"Completed", "Pending", ncs("Open"), "Withheld"},
		{"Completed", "Withheld", ncs("Closed", "Discarded", "On Hold"), "Withheld"},
		{"Completed", "Withheld", ncs("Closed", "Discarded"), "Awarded"}, // late, and awarded
		{"Completed", "Not Awarded", ncs("Closed"), "Not Awarded"},
		{"In Progress", "Pending", nil, "Pending"},
		{"On Hold", "Pending", ncs("Open"), "Pending"},
		{"Cancelled", "Pending", nil, ""},
	} {
		c := one(t, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Level: 4, Status: tt.status, Outcome: tt.outcome}}, NCs: tt.ncs})
		if got, why := c.Propose(c.Audits[0]); got != tt.want {
			t.Errorf("%s, %s, %d NCs: %s (%s), want %s", tt.status, tt.outcome, len(tt.ncs), got, why, tt.want)
		}
	}
}

func TestNoticesBeforeDue(t *testing.T) {
	t.Parallel()
	for raised, want := range map[string]string{
		"2026-11-02": "", "2026-11-01": programme.RuleNCDue7, "2026-10-26": programme.RuleNCDue7, "2026-10-25": programme.RuleNCDue1,
		"2026-10-24": programme.RuleNCDue1, "2026-10-23": programme.RuleNCOverdue,
	} {
		c := one(t, programme.Input{NCs: []programme.NC{{Name: "N", Partner: "p", Audit: "A", Status: "WIP", Raised: day(t, raised)}}})
		for _, rule := range []string{programme.RuleNCDue7, programme.RuleNCDue1, programme.RuleNCOverdue} {
			has(t, c, rule, rule == want)
		}
	}
}

func TestChecklist(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		on, shared string
		want       bool
	}{{"2026-11-27", "", false}, {"2026-11-26", "", true}, {"2026-11-26", "2026-11-20", false}, {"2026-11-26", "2026-11-26", true}, {"2026-11-20", "", true}, {"", "", false}} {
		in := programme.Input{
			Audits:      []programme.Audit{{Name: "A", Partner: "p", Kind: "Re-audit", Status: "Scheduled", Mode: "Online", Escalation: "E", On: day(t, tt.on)}},
			Escalations: []programme.Escalation{{Name: "E", Partner: "p", Status: "Re-audit Scheduled", StatusSince: at(t, noon), ChecklistShared: day(t, tt.shared)}},
		}
		has(t, one(t, in), programme.RuleChecklistUnshared, tt.want)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	ps := []programme.Partner{{Key: "vale", Name: "Vale GmbH", MailDomains: []string{"vale.example"}}, {Key: "nightvale", Name: "Nightvale", MailDomains: []string{"nightvale.example"}}}
	for _, tt := range []struct {
		r    programme.Request
		want string
	}{
		{programme.Request{Company: " vale  gmbh. "}, "vale"},
		{programme.Request{Company: "someone@nightvale.example"}, "nightvale"},
		{programme.Request{Company: "https://www.vale.example/en"}, "vale"},
		{programme.Request{Company: "Vale"}, "vale"},
		{programme.Request{Company: "Val"}, ""},
		{programme.Request{Company: "vale.example and nightvale.example"}, ""},
		{programme.Request{Company: ""}, ""},
		{programme.Request{Company: "Nightvale", Partner: "vale"}, "vale"},
		{programme.Request{Company: "Nightvale", Partner: "gone"}, ""},
	} {
		got, why := programme.Match(ps, tt.r)
		if got != tt.want || (why == "") != (got != "") {
			t.Errorf("%+v fits %q (%s), want %q", tt.r, got, why, tt.want)
		}
	}
	in := programme.Input{Partners: ps, Requests: []programme.Request{{Name: "PER-1", Company: "nobody", Status: "New"}, {Name: "PER-2", Company: "vale", Status: "New"}, {Name: "PER-3", Company: "x", Status: "Rejected"}}}
	if f := programme.FleetConditions(&in, programme.Work{}); len(f) != 1 || f[0].Name != "PER-1" {
		t.Errorf("%+v", f)
	}
}

// What people entered wrongly is named and alerted; nothing of it stops the rest.
func TestBadInput(t *testing.T) {
	t.Parallel()
	good := programme.NC{Name: "N-good", Partner: "p", Audit: "A", Status: "Open", Raised: day(t, "2026-10-01")}
	for _, tt := range []struct {
		name, rule string
		in         programme.Input
		fleet      bool
	}{
		{"an audit without level", programme.RuleAuditFlagged, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Status: "Requested"}}}, false},
		{"dates in the wrong order", programme.RuleAuditFlagged, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Level: 3, Mode: "Online", Status: "Scheduled", Requested: day(t, "2026-11-20"), On: day(t, "2026-11-10"), Present: map[string]bool{}}}}, false},
		{"a re-audit without escalation", programme.RuleAuditFlagged, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "p", Kind: "Re-audit", Status: "Completed"}}}, false},
		{"an audit without partner", programme.RuleAuditWithoutPartner, programme.Input{Audits: []programme.Audit{{Name: "A", Status: "Requested"}}}, true},
		{"an audit of a merged partner", programme.RuleAuditWithoutPartner, programme.Input{Audits: []programme.Audit{{Name: "A", Partner: "merged", Status: "Scheduled"}}}, true},
		{"an NC without audit", programme.RuleNCOrphan, programme.Input{NCs: []programme.NC{{Name: "N", Partner: "p", Status: "Open"}}}, false},
		{"an escalation of a deleted partner", programme.RuleEscalationUnknown, programme.Input{Escalations: []programme.Escalation{{Name: "E", Partner: "gone", Status: "Received"}}}, true},
		{"an escalation without project", programme.RuleEscalationUnknown, programme.Input{Escalations: []programme.Escalation{{Name: "E", Partner: "p", Status: "Received"}}}, false},
		{"a user who sees everybody", programme.RuleUserUnrestricted, programme.Input{Unrestricted: []string{"x@partner.example"}}, true},
	} {
		tt.in.NCs = append(tt.in.NCs, good)
		c := one(t, tt.in)
		has(t, c, programme.RuleNCOverdue, true)
		if !tt.fleet {
			has(t, c, tt.rule, true)
			continue
		}
		found := false
		for _, k := range programme.FleetConditions(c.Everyone, programme.Work{}) {
			found = found || k.Rule == tt.rule
		}
		if !found {
			t.Errorf("%s: %s does not fire", tt.name, tt.rule)
		}
	}
	gone := one(t, programme.Input{})
	gone.Gone = true
	has(t, gone, programme.RulePartnerMissing, true)
}

func TestEngagement(t *testing.T) {
	t.Parallel()
	meeting := func(on string, planned bool) programme.Contact {
		return programme.Contact{Partner: "p", Kind: "meeting", At: at(t, on+"T10:00:00Z"), Planned: planned}
	}
	for _, tt := range []struct {
		name     string
		contacts []programme.Contact
		want     []string
	}{
		{"a week ago", []programme.Contact{meeting("2026-11-17", false)}, nil},
		{"eight days ago, Gold", []programme.Contact{meeting("2026-11-16", false)}, []string{programme.RuleEngagementOverdue}},
		{"one is planned", []programme.Contact{meeting("2026-11-16", false), meeting("2026-11-30", true)}, nil},
		{"a year and a day", []programme.Contact{meeting("2025-11-23", false)}, []string{programme.RuleEngagementOverdue, programme.RuleNoContact, programme.RuleInactive}},
		{"never, as far as we know", nil, nil},
	} {
		c := one(t, programme.Input{Contacts: tt.contacts})
		slices.Sort(tt.want)
		if got := firing(c); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	hidden := one(t, programme.Input{Contacts: []programme.Contact{meeting("2025-01-01", false)}, Gaps: []evidence.Gap{{Stream: "Event"}}})
	has(t, hidden, programme.RuleNoContact, false) // what cannot be read is no silence
	for since, want := range map[string]bool{"2025-11-23": true, "2025-11-24": false} {
		never := one(t, programme.Input{Partners: []programme.Partner{{Key: "p", Name: "P", AwardedTier: "Gold", Since: day(t, since)}}})
		has(t, never, programme.RuleNoContact, want)
	}
}

func TestProjectAlerts(t *testing.T) {
	t.Parallel()
	miss := func(id, label string) rules.Verdict {
		return rules.Verdict{Criterion: id, Title: id, Severity: rules.SeverityNC, Level: 3, Outcome: rules.NotMet, Items: []rules.Item{{Ref: evidence.Ref{Doctype: "Project", Name: "P1"}, Label: label, Note: "not held"}}}
	}
	c := one(t, programme.Input{})
	c.Continuous.Verdicts = []rules.Verdict{
		miss("impl.followed", "Kranz: kick-off"), miss("impl.followed", "Kranz: status mails"), miss("impl.followed", "Kranz: steering meetings"),
		miss("sales.followed", "Kranz: hand-over"), miss("impl.plan", "Kranz"), miss("sales.response", ""),
	}
	ofProject := []string{programme.RuleKickoffLate, programme.RuleWeeklyMailMissing, programme.RuleSteeringMissing, programme.RuleHandoverLate, programme.RuleMilestoneLate}
	for _, rule := range append([]string{programme.RuleAnswersSlow}, ofProject...) {
		has(t, c, rule, true)
	}
	// A project that is over stays a verdict, and is an alert no more.
	c.Over = map[evidence.Key]bool{{Doctype: "Project", Name: "P1"}: true}
	has(t, c, programme.RuleAnswersSlow, true)
	for _, rule := range ofProject {
		has(t, c, rule, false)
	}
	// Unless a customer's escalation of it is under way.
	c.Escalations = []programme.Escalation{{Name: "E", Partner: "p", Project: "P1", Status: "Customer Call Done"}}
	c.Targeted["E"] = rules.Assessment{Kind: rules.Escalation, Target: rules.Target{Record: "E", Project: "P1"}, Verdicts: []rules.Verdict{miss("esc.impl.p3", "Kranz")}}
	has(t, c, programme.RuleKickoffLate, true)
	c.Escalations[0].Status = "Withdrawn"
	has(t, c, programme.RuleKickoffLate, false)
}

func TestWorkConditions(t *testing.T) {
	t.Parallel()
	w := programme.Work{Parked: 2, ChangeBrake: "stopped"}
	in := programme.Input{
		Skew: -2 * time.Minute, Unrestricted: []string{"a@vale.example"},
		Gaps: []evidence.Gap{{Stream: "Event", Reason: "no"}, {Stream: "Event", Reason: "no"}},
	}
	var got []string
	for _, k := range programme.FleetConditions(&in, w) {
		got = append(got, k.Rule)
	}
	if want := []string{programme.RuleChangeBrake, programme.RuleClockSkew, programme.RuleOutboxStuck, programme.RuleUserUnrestricted, programme.RulePRMUnreadable}; !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Reasons fit the list's column, in words that accuse nobody.
func TestStandingIsShortAndNeutral(t *testing.T) {
	t.Parallel()
	in := escalated(t, programme.NC{Criterion: "esc.impl.p5", Status: "Open", Raised: day(t, "2026-10-01")})
	for _, status := range []string{"Open", "Closed"} {
		in.NCs[0].Status = status
		c := one(t, in)
		s := c.Stand(nil)
		if n := len([]rune(s.Reason)); n > 11 {
			t.Errorf("%q has %d characters", s.Reason, n)
		}
		for _, w := range []string{"fail", "score", "guilty", "violat", "fraud", "bad"} {
			if strings.Contains(strings.ToLower(s.Insight+s.DecisionNote), w) {
				t.Errorf("%q says %q", s.Insight, w)
			}
		}
	}
}

func BenchmarkProgramme(b *testing.B) {
	in := programme.Input{Zone: "Asia/Kolkata", Tiers: programme.DefaultTiers()}
	for i := range 200 {
		in.Partners = append(in.Partners, programme.Partner{Key: fmt.Sprint("p", i), Name: fmt.Sprint("Partner ", i), AwardedLevel: 1 + i%5, AwardedTier: "Gold", MailDomains: []string{fmt.Sprint("p", i, ".example")}})
	}
	criteria := []string{"esc.impl.p5", "esc.sales.m1", "impl.rca", "impl.followed"}
	for i := range 50 {
		in.Audits = append(in.Audits, programme.Audit{Name: fmt.Sprint("A", i), Partner: fmt.Sprint("p", i), Kind: "PMM", Level: 4, Mode: "Online", Status: "Scheduled", On: day(b, "2026-12-01")})
	}
	for i := range 100 {
		in.Escalations = append(in.Escalations, programme.Escalation{Name: fmt.Sprint("E", i), Partner: fmt.Sprint("p", i), Audit: fmt.Sprint("R", i), Status: "NC Raised", StatusSince: at(b, noon), Project: "P"})
		in.Audits = append(in.Audits, programme.Audit{Name: fmt.Sprint("R", i), Partner: fmt.Sprint("p", i), Kind: "Re-audit", Status: "Completed", Escalation: fmt.Sprint("E", i), On: day(b, "2026-10-01")})
	}
	for i := range 300 {
		in.NCs = append(in.NCs, programme.NC{Name: fmt.Sprint("N", i), Partner: fmt.Sprint("p", i%100), Audit: fmt.Sprint("R", i%100), Criterion: criteria[i%4], Status: "Open", Raised: day(b, "2026-10-15")})
	}
	now := at(b, noon)
	for b.Loop() {
		for i := range in.Partners {
			c := programme.CaseOf(&in, in.Partners[i].Key, now)
			c.LevelOf = levelOf
			_, shown := programme.Advance(nil, programme.Conditions(programme.AlertFacts{Now: now, Partner: c.Key, Case: &c}), c.Key, now, programme.HushOf(&in, now))
			c.Stand(shown)
			c.Commissions(func(string) (string, bool) { return "erp", true })
			for _, a := range c.Audits {
				c.Propose(a)
			}
		}
		programme.FleetConditions(&in, programme.Work{})
	}
}

// What contradicts an escalation or an audit is told about it, with both facts,
// and once, until it is over.
func TestContradictionsOfAnEscalation(t *testing.T) {
	t.Parallel()
	signal := rules.Signal{Rule: rules.SignalBackdated, Subject: evidence.Ref{Site: "erp", Doctype: "Task", Name: "T1"}, Says: [2]string{"It is dated 1 May.", "It was made on 9 June."}}
	c := one(t, programme.Input{
		Escalations: []programme.Escalation{{Name: "E", Partner: "p", Project: "P1", Status: "Customer Call Done", StatusSince: at(t, noon)}},
		Audits:      []programme.Audit{{Name: "A", Partner: "p", Kind: "PMM", Level: 3, Mode: "Online", Status: "Scheduled", On: day(t, "2026-12-20")}},
	})
	c.Targeted["E"] = rules.Assessment{Signals: []rules.Signal{signal}}
	c.Targeted["A"] = rules.Assessment{Signals: []rules.Signal{signal}}
	told := func(known ...rules.Signal) (out []programme.Condition) {
		facts := programme.AlertFacts{Now: c.Now, Partner: "p", Case: &c, Assessment: rules.Assessment{Signals: known}}
		for _, k := range programme.Conditions(facts) {
			if k.Rule == programme.RuleTamper {
				out = append(out, k)
			}
		}
		return out
	}
	if got := told(); len(got) != 1 || got[0].Doctype != "Partner Escalation" || got[0].Name != "E" || !strings.Contains(got[0].Message, "1 May") || !strings.Contains(got[0].Message, "9 June") {
		t.Errorf("told %+v", got)
	}
	if got := told(signal); len(got) != 1 || got[0].Doctype != "PMM Partner" {
		t.Errorf("known already: %+v", got)
	}
	c.Escalations[0].Status = "Withdrawn"
	if got := told(); len(got) != 1 || got[0].Doctype != "Partner Audit" {
		t.Errorf("of the audit: %+v", got)
	}
	c.Audits[0].Status = "Cancelled"
	if got := told(); len(got) != 0 {
		t.Errorf("over: %+v", got)
	}
}
