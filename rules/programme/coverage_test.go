package programme_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
)

// mustRows are the requirements between S8 and S162 and from S202 to S206 that
// the product has to do something for.
const mustRows = `S10 S11 S12 S13 S15 S16 S17 S18 S20 S21 S22 S23 S24 S25 S26 S27 S28 S29 S30 S31 S32 S33 S34 S35 S36 S37 S38 S39 S40 S41 S42 S43
S44 S45 S46 S53 S58 S59 S60 S61 S62 S63 S64 S69 S70 S74 S75 S79 S81 S82 S83 S84 S85 S86 S88 S98 S99 S102 S103 S104 S105 S108 S109 S111 S112 S113 S114
S115 S116 S117 S118 S119 S120 S121 S122 S123 S124 S125 S126 S127 S128 S129 S130 S131 S132 S133 S134 S135 S136 S137 S138 S139 S140 S141 S142 S143 S144
S145 S146 S147 S148 S149 S150 S151 S152 S153 S154 S155 S156 S157 S158 S159 S160 S161 S162 S202 S204 S205 S206`

// covered says where a requirement that is no criterion is done and tested; code
// and tests are FILE:NAME.
var covered = []struct{ rows, what, code, test string }{
	{"S10", "a request opens an assessment for its level", "rules/programme/commission.go:Commissions", "daemon/follow_test.go:TestLifeOfAnAudit"},
	{"S11", "the level is stored with the request; one without is flagged", "rules/programme/audit.go:FlagNoLevel", "rules/programme/edges_test.go:TestBadInput"},
	{"S12", "readiness by level and department, any time", "cmd/prmsync/audit.go:auditReadinessCmd", "cmd/prmsync/audit_test.go:TestAuditAndEscalationCommands"},
	{"S13", "the rule set and its hash stand in every assessment", "rules/plan/wanted.go:rule_set", "rules/edge_test.go:TestEdge37EveryAssessmentNamesItsRules"},
	{"S15 S16 S17 S18", "Founder or CXO and three departments must be ticked", "rules/programme/audit.go:Absent", "rules/programme/edges_test.go:TestGuards"},
	{"S24 S27", "levels include each other", "rules/judge.go:Levels", "rules/judge_test.go:TestLevels"},
	{"S33 S36", "what was sampled is written with its links", "rules/plan/wanted.go:samples", "daemon/follow_test.go:TestLifeOfAnAudit"},
	{"S34 S37", "random, repeatable from the seed", "rules/sample.go:Draw", "rules/sample_test.go:TestDrawIsUniform"},
	{"S42", "observations are drafted in the assessment", "rules/verdict.go:Observation", "rules/packs_test.go:TestPacksOwnTestsHold"},
	{"S43", "observations decide no level", "rules/judge.go:SeverityNC", "rules/judge_test.go:TestLevels"},
	{"S44", "an NC stays open until people close it", "rules/programme/people.go:Resolved", "daemon/follow_test.go:TestLifeOfAnAudit"},
	{"S45 S157", "one month, clamped; a person's date wins; reminders at 7 and 1 days", "rules/programme/clock.go:DueOn", "rules/programme/clock_test.go:TestDueOn"},
	{"S46", "withheld until the last NC is closed, then proposed", "rules/programme/audit.go:Propose", "rules/programme/edges_test.go:TestOutcomes"},
	{"S53", "repeats within 24 months are marked", "rules/programme/audit.go:Findings", "rules/edge_test.go:TestARepeatIsMarked"},
	{"S58 S59 S61", "no weight for age, size or success", "rules/judge.go:Judge", "rules/judge_test.go:TestNoWeightForAgeSizeOrSuccess"},
	{"S33 S36 S40", "the records behind the sample are collected and written down", "rules/plan/evidence.go:Evidence", "cmd/prmsync/evidence_test.go:TestTheEvidenceOfAnAudit"},
	{"S82 S83 S84 S85 S86", "plans, mails, tickets, notes and reports of the project are collected, and what is lacking is said", "rules/collect.go:Collect", "rules/collect_test.go:TestASampledProjectIsCollectedDownToItsRecords"},
	{"S63", "every verdict names its records", "rules/plan/wanted.go:evidence_count", "rules/packs_test.go:TestPacksOwnTestsHold"},
	{"S64", "effects are followed to the end: no state without a next step", "rules/programme/escalation.go:RuleEscalationStuck", "rules/programme/clock_test.go:TestWaitingCountsWorkingDays"},
	{"S69 S70", "contradictions are signals for a person", "rules/signal.go:Signals", "rules/signal_test.go:TestSignals"},
	{"S70", "a record of evidence is compared with its earlier capture", "rules/plan/evidence.go:integrity", "rules/plan/evidence_test.go:TestEvidenceIsWrittenOnceAndKeepsItsHistory"},
	{"S88", "what came after the cutoff is kept, marked late and does not count", "cmd/prmsync/judge.go:frozen", "cmd/prmsync/evidence_test.go:TestTheEvidenceOfAnAudit"},
	{"S75", "evidence of the escalated project alone", "rules/collect.go:item", "rules/collect_test.go:TestAnEscalationIsCollectedFromItsProjectAlone"},
	{"S74 S75", "strictly the escalated project", "rules/programme/commission.go:departmentOf", "daemon/follow_test.go:TestLifeOfAnEscalation"},
	{"S79 S115", "who must attend a re-audit", "rules/programme/audit.go:Roles", "rules/programme/edges_test.go:TestGuards"},
	{"S81", "one assessment for each escalation", "rules/judge.go:AssessmentKey", "rules/programme/edges_test.go:TestEdge28ReopenedHasAnAssessmentOfItsOwn"},
	{"S98", "the web form's request becomes one escalation", "rules/plan/wanted_programme.go:request", "daemon/follow_test.go:TestLifeOfAnEscalation"},
	{"S99", "what a portal or another form of the PRM keeps becomes one escalation too", "connector/prm/intake.go:requests", "daemon/follow_intake_test.go:TestRequestsOfAPortalBecomeEscalations"},
	{"S102", "none sits without a next step", "rules/programme/escalation.go:Waiting", "rules/programme/clock_test.go:TestWaitingCountsWorkingDays"},
	{"S103 S155 S158 S159 S161", "cases 1 and 2 after the due date; silent cases for people", "rules/programme/downgrade.go:Downgrade", "rules/programme/downgrade_test.go:TestDowngradeTruthTable"},
	{"S104 S160 S162", "the tier in force follows the level", "rules/programme/tier.go:EffectiveTier", "rules/programme/edges_test.go:TestCasesWithTiers"},
	{"S105", "the warning is outstanding", "rules/programme/escalation.go:RuleWarningOutstanding", "rules/programme/clock_test.go:TestWaitingCountsWorkingDays"},
	{"S108 S109", "points are logged in a table that the partner sees", "connector/prm/schema/schema.json:PMM Escalation Point", "connector/prm/schema/provision_test.go:TestASecondRunHasNothingToDo"},
	{"S111", "closed on the customer's side", "rules/programme/escalation.go:EscalationCustomerSide", "daemon/follow_test.go:TestLifeClosedOnTheCustomersSide"},
	{"S112", "a re-audit for that project", "rules/programme/escalation.go:reaudit", "daemon/follow_test.go:TestLifeOfAnEscalation"},
	{"S113 S114", "the checklist is shared before the re-audit", "rules/programme/escalation.go:ChecklistDue", "rules/programme/edges_test.go:TestChecklist"},
	{"S113 S114", "the checklist hangs on the escalation before the call", "report/documents.go:ChecklistHTML", "daemon/documents_test.go:TestTheChecklistIsThereBeforeTheReaudit"},
	{"S116 S117", "the stage is kept and weighs", "rules/programme/commission.go:departmentOf", "rules/packs_test.go:TestPacksOwnTestsHold"},
	{"S126 S132 S139 S140", "alerts about the project", "rules/programme/conditions.go:projects", "rules/programme/edges_test.go:TestProjectAlerts"},
	{"S154", "each check belongs to a level", "rules/programme/downgrade.go:EscalationLevel", "rules/programme/downgrade_test.go:TestEffectIgnoresOrder"},
	{"S156 S205", "an NC is proposed or raised, once", "rules/plan/wanted_programme.go:raised", "daemon/follow_test.go:TestLifeOfAnAudit"},
	{"S202", "a year without contact", "rules/programme/conditions.go:RuleNoContact", "rules/programme/edges_test.go:TestEngagement"},
	{"S204", "what people decide by is on the partner's form", "rules/plan/wanted.go:verdictsJSON", "daemon/follow_test.go:TestLifeOfAnAudit"},
	{"S206", "a follow-up is an audit linked to the earlier one", "rules/programme/audit.go:KindFollowUp", "rules/programme/coverage_test.go:TestFollowUp"},
}

type done struct{ what, code, test []string }

func coverage(t *testing.T) map[string]*done {
	t.Helper()
	out := map[string]*done{}
	add := func(row, what, code, test string) {
		if out[row] == nil {
			out[row] = &done{}
		}
		d := out[row]
		if !slices.Contains(d.what, what) {
			d.what, d.code = append(d.what, what), append(d.code, code)
		}
		if !slices.Contains(d.test, test) {
			d.test = append(d.test, test)
		}
	}
	for _, c := range covered {
		for row := range strings.FieldsSeq(c.rows) {
			add(row, c.what, c.code, c.test)
		}
	}
	packs, err := rules.LoadBuiltin()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		for _, c := range p.Criteria() {
			for _, row := range c.Requirements {
				add(row, "`"+c.ID+"`", fmt.Sprintf("rules/packs/%s.yaml:%s", p.ID.Name, c.ID), "rules/packs_test.go:TestEveryOutcomeOfEveryCriterionIsTested")
			}
		}
	}
	return out
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	have := coverage(t)
	texts := map[string]string{}
	text := func(file string) string {
		if _, ok := texts[file]; !ok {
			b, err := os.ReadFile(filepath.Join("../..", file))
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(b)
		}
		return texts[file]
	}
	var b strings.Builder
	b.WriteString("# What the programme does for each requirement\n\nMade by `go generate ./rules/programme`; a test compares it, and that the named code\nand tests exist. A criterion of a pack is tested by the pack's own test file.\n\n| requirement | what | code | test |\n|---|---|---|---|\n")
	rows := strings.Fields(mustRows)
	slices.SortFunc(rows, func(a, b string) int { return cmp.Compare(number(t, a), number(t, b)) })
	for _, row := range rows {
		d := have[row]
		if d == nil {
			t.Errorf("%s is covered by nothing", row)
			continue
		}
		for _, c := range d.code {
			file, name, _ := strings.Cut(c, ":")
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(text(file)) {
				t.Errorf("%s: %s does not hold %s", row, file, name)
			}
		}
		for _, c := range d.test {
			file, name, _ := strings.Cut(c, ":")
			if !strings.Contains(text(file), "func "+name+"(") {
				t.Errorf("%s: %s has no test %s", row, file, name)
			}
		}
		short := d.code
		if len(short) > 4 {
			short = append(slices.Clone(short[:4]), fmt.Sprintf("and %d more", len(d.code)-4))
		}
		what := d.what
		if len(what) > 4 {
			what = append(slices.Clone(what[:4]), fmt.Sprintf("and %d more", len(d.what)-4))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row, strings.Join(what, "; "), strings.Join(short, ", "), strings.Join(d.test, ", "))
	}
	b.WriteString("\n## Edge cases\n\nThe numbers are those of the tests' names.\n\n| number | what | test |\n|--:|---|---|\n")
	for i, e := range edges {
		tests := strings.Fields(e.test)
		for _, c := range tests {
			file, name, _ := strings.Cut(c, ":")
			if !strings.Contains(text(file), "func "+name+"(") {
				t.Errorf("edge case %d: %s has no test %s", i+1, file, name)
			}
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", i+1, e.what, strings.Join(tests, ", "))
	}
	document(t, "../../docs/coverage-programme.md", b.String())
}

// edges says which test holds which edge case of the procedures: FILE:NAME.
var edges = []struct{ what, test string }{
	{"raised 31 January: due 28 or 29 February", "rules/programme/edges_test.go:TestEdge01Clamped"},
	{"three zones: the PRM's date decides deadlines, the partner's its weeks", "rules/programme/clock_test.go:TestTodayIsThePRMs rules/edge_test.go:TestEdge02DaysAreThePartnersOwn"},
	{"closed at 23:30 partner time", "rules/programme/edges_test.go:TestEdge03ClosedLateInTheEvening"},
	{"closed without a date: the first sighting counts", "rules/programme/edges_test.go:TestEdge04ClosedWithoutDate"},
	{"re-opened: the old due date", "rules/programme/edges_test.go:TestEdge05Reopened"},
	{"discarded: as never raised", "rules/programme/edges_test.go:TestEdge06Discarded"},
	{"disputed: the clock runs", "rules/programme/edges_test.go:TestEdge07Disputed"},
	{"an NC without audit or partner", "rules/programme/edges_test.go:TestEdge08Orphans"},
	{"a person's date wins", "rules/programme/edges_test.go:TestEdge09PersonsDate"},
	{"completed without NC and without level", "rules/programme/edges_test.go:TestEdge10CompletedWithoutLevel"},
	{"two requests for one date", "rules/programme/edges_test.go:TestEdge11TwoRequests"},
	{"a level skipped", "rules/programme/edges_test.go:TestEdge12SkippedLevel rules/edge_test.go:TestEdge12SkippingALevelSkipsNoCriterion"},
	{"no projects", "rules/programme/edges_test.go:TestEdge13And14LittleEvidenceIsNoMiss rules/edge_test.go:TestEdge13NoProjectsAreUnknownNotFailed"},
	{"one project", "rules/programme/edges_test.go:TestEdge13And14LittleEvidenceIsNoMiss rules/edge_test.go:TestEdge14OneProjectIsForAPerson"},
	{"a partner without history", "rules/edge_test.go:TestEdge15AYoungPartnerIsUnknown"},
	{"late, never, backfilled", "rules/edge_test.go:TestEdge16And17LateNeverBackfilledAndZero"},
	{"0 reported or nothing", "rules/programme/edges_test.go:TestEdge17ZeroIsAFigure"},
	{"weeks across the year", "rules/edge_test.go:TestEdge18WeeksCrossTheYear"},
	{"holidays", "rules/edge_test.go:TestEdge19AWeekWithoutWorkingDayIsExempt rules/programme/clock_test.go:TestWaitingCountsWorkingDays"},
	{"one company twice", "rules/programme/edges_test.go:TestEdge20DoubledPartner"},
	{"several sites, one dead", "rules/edge_test.go:TestEdge21OneDeadSiteMakesUnknownOnlyWhatItHeld"},
	{"one site for two partners", "config/load_test.go:TestFileMistakes"},
	{"a sampled project that is gone", "rules/edge_test.go:TestEdge23ASampledProjectThatVanishedIsNotRedrawn"},
	{"a renamed record", "connector/partnersite/compare_test.go:TestARenamedRecordIsFollowed rules/plan/evidence_test.go:TestEvidenceOfARenamedRecordGoesOn"},
	{"a key revoked during an audit", "rules/programme/edges_test.go:TestEdge25UnreadableDuringAnAudit rules/edge_test.go:TestEdge25ARevokedKeyIsNoRefusalOfThePartner"},
	{"a person's override", "rules/programme/edges_test.go:TestEdge26OverrideCounts rules/edge_test.go:TestEdge26APersonsWordHolds"},
	{"withdrawn with NCs open", "rules/programme/edges_test.go:TestEdge27WithdrawnWithOpenNCs daemon/follow_test.go:TestLifeWithdrawn"},
	{"an escalation re-opened", "rules/programme/edges_test.go:TestEdge28ReopenedHasAnAssessmentOfItsOwn"},
	{"a second escalation: no double step", "rules/programme/edges_test.go:TestEdge29SecondEscalation"},
	{"a project under another name", "rules/programme/edges_test.go:TestEdge30UnknownProject"},
	{"an escalation before the invoice", "rules/edge_test.go:TestEdge31BeforeTheInvoiceNoWeekIsCounted"},
	{"several invoices", "rules/edge_test.go:TestEdge32TheFirstSubmittedInvoiceDecides"},
	{"a downgrade without an awarded level", "rules/programme/edges_test.go:TestEdge33LevelUnknown"},
	{"a tier that asks for no level", "rules/programme/edges_test.go:TestEdge34TierWithoutLevel"},
	{"a partner inactive or out of contract", "rules/programme/edges_test.go:TestEdge35Inactive"},
	{"names that differ by case alone", "rules/plan/plan_test.go:TestEdge36NamesThatDifferByCase"},
	{"another rule set between audits", "rules/programme/edges_test.go:TestEdge37FinalisedIsNotJudgedAgain rules/edge_test.go:TestEdge37EveryAssessmentNamesItsRules"},
	{"personal data: excerpts, hashes, links", "rules/plan/evidence_test.go:TestTextsOfEvidenceAreSafeAndBounded"},
	{"versions of Frappe", "internal/frappetest/provision_test.go:TestProvisioning"},
}

func number(t *testing.T, row string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(row, "S"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A customer portal's request and a web form's of the same name are two.
func TestRequestsOfOtherDoctypesKeepApart(t *testing.T) {
	t.Parallel()
	form, portal := programmeRequest("R-1", ""), programmeRequest("R-1", "Portal Complaint")
	if form.Key() == portal.Key() || form.Key() != "R-1" {
		t.Errorf("keys %q and %q", form.Key(), portal.Key())
	}
	long := strings.Repeat("n", 139)
	a, b := programmeRequest(long+"a", "Portal Complaint"), programmeRequest(long+"b", "Portal Complaint")
	if a.Key() == b.Key() || len(a.Key()) > 140 || len(b.Key()) > 140 {
		t.Errorf("long keys %q and %q", a.Key(), b.Key())
	}
}

// A follow-up is an audit of its own, judged like any other, linked to the
// earlier one; a link to somebody else's audit is flagged.
func TestFollowUp(t *testing.T) {
	t.Parallel()
	c := followUp(t)
	ks := c.Commissions(func(string) (string, bool) { return "erp", true })
	if len(ks) != 1 || ks[0].Target.Record != "ADT-2" || len(ks[0].Findings) != 1 {
		t.Errorf("%+v", ks)
	}
	c.Audits[1].Previous = "ADT-of-another"
	if f := c.Flags(c.Audits[1]); len(f) != 1 || !strings.Contains(f[0].Says, "ADT-of-another") {
		t.Errorf("%+v", f)
	}
}

func programmeRequest(name, doctype string) programme.Request {
	return programme.Request{Name: name, Doctype: doctype, Company: "Vale"}
}

func followUp(t *testing.T) programme.Case {
	t.Helper()
	return one(t, programme.Input{
		Audits: []programme.Audit{
			{Name: "ADT-1", Partner: "p", Kind: "PMM", Level: 4, Status: "Completed", Outcome: "Not Awarded"},
			{Name: "ADT-2", Partner: "p", Kind: "Follow-up", Level: 4, Status: "Requested", Requested: day(t, "2026-11-20"), Proposed: day(t, "2026-12-10"), Previous: "ADT-1"},
		},
		NCs: []programme.NC{{Name: "N", Partner: "p", Audit: "ADT-1", Criterion: "impl.followed", Status: "Closed", Raised: day(t, "2026-05-01"), ClosedOn: day(t, "2026-05-20")}},
	})
}
