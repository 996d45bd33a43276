package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
)

// The edge cases of the domain that concern judging, by their number there.

func old(doctype, name string) evidence.Ref {
	at := asOf.AddDate(-1, 0, 0)
	return evidence.Ref{Site: "erp", Doctype: doctype, Name: name, Created: at, Modified: at, Seen: at}
}

// reviews holds an all-hands in each of the last n weeks.
func reviews(n int) []evidence.Meeting {
	var out []evidence.Meeting
	for i := range n {
		out = append(out, evidence.Meeting{Ref: old("Meeting", civil("2026-11-16").AddDays(-7*i).String()), Kind: evidence.MeetingAllHands, Held: true, On: civil("2026-11-16").AddDays(-7 * i)})
	}
	return out
}

func outcome(t *testing.T, pack, id string, in rules.Input) rules.Verdict {
	t.Helper()
	_, vs := judged(t, pack, in)
	v, ok := vs[id]
	if !ok {
		t.Fatalf("no verdict for %s", id)
	}
	return v
}

func want(t *testing.T, v rules.Verdict, o rules.Outcome) {
	t.Helper()
	if v.Outcome != o {
		t.Errorf("%s is %s, want %s (%s)", v.Criterion, v.Outcome, o, v.Explanation)
	}
}

func TestEdge02DaysAreThePartnersOwn(t *testing.T) {
	t.Parallel()
	// 15:30 UTC on Sunday is already Monday in Auckland: there the week is over.
	s := readable()
	s.AsOf, s.Zone = time.Date(2026, 11, 22, 15, 30, 0, 0, time.UTC), "Pacific/Auckland"
	a, _ := judged(t, "pmm", rules.Input{Snapshot: s})
	if !strings.HasSuffix(a.Key, "-cont-2026w48") {
		t.Errorf("key %s, want week 48 of the partner's zone", a.Key)
	}
	s.Zone = "America/New_York"
	if a, _ = judged(t, "pmm", rules.Input{Snapshot: s}); !strings.HasSuffix(a.Key, "-cont-2026w47") {
		t.Errorf("key %s, want week 47 of the partner's zone", a.Key)
	}
}

func TestEdge12SkippingALevelSkipsNoCriterion(t *testing.T) {
	t.Parallel()
	s := readable()
	a, _ := judged(t, "pmm", rules.Input{Snapshot: s, Kind: rules.Audit, Target: rules.Target{Level: 5, Record: "ADT-1"}})
	levels := map[int]bool{}
	for _, m := range a.Missing {
		levels[m.Level] = true
	}
	for l := 2; l <= 4; l++ {
		if !levels[l] {
			t.Errorf("an application for level 5 names nothing missing at level %d", l)
		}
	}
}

func TestEdge13NoProjectsAreUnknownNotFailed(t *testing.T) {
	t.Parallel()
	s := readable()
	want(t, outcome(t, "pmm", "impl.followed", rules.Input{Snapshot: s, Samples: rules.ContinuousSamples(s)}), rules.Insufficient)
}

func TestEdge14OneProjectIsForAPerson(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Projects = []evidence.Project{{Ref: old("Project", "P1"), Status: "Completed", Customer: "C", ExpectedEnd: civil("2026-10-01")}}
	s.Projects[0].Modified = asOf.AddDate(0, -1, 0)
	v := outcome(t, "pmm", "impl.followed", rules.Input{Snapshot: s, Samples: rules.ContinuousSamples(s)})
	want(t, v, rules.Insufficient)
	if len(v.Items) == 0 {
		t.Error("the one project is not listed for the person who decides")
	}
}

func TestEdge15AYoungPartnerIsUnknown(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Meetings = reviews(3)
	for i := range s.Meetings {
		s.Meetings[i].Created = asOf.AddDate(0, 0, -20)
	}
	v := outcome(t, "pmm", "gen.allhands", rules.Input{Snapshot: s})
	want(t, v, rules.Insufficient)
	if !strings.Contains(v.Explanation, "2026-10-31") {
		t.Errorf("explanation %q does not name the first record's day", v.Explanation)
	}
}

func TestEdge16And17LateNeverBackfilledAndZero(t *testing.T) {
	t.Parallel()
	wk := evidence.Week{Year: 2026, Number: 40}
	figures := func(change func(*measure.Value)) []measure.Value {
		var out []measure.Value
		for _, id := range []string{measure.OverduePct, measure.Satisfaction} {
			for _, w := range measure.FullWeeks(civil("2026-11-20"), 12) {
				v := measure.Value{Metric: id, Period: evidence.Period{Week: w}, Has: true, HasReported: true, Timeliness: measure.OnTime, Unit: "%"}
				if w == wk && id == measure.OverduePct {
					change(&v)
				}
				if id == measure.OverduePct {
					out = append(out, v)
				}
			}
			for _, m := range measure.FullMonths(civil("2026-11-20"), 3) {
				if id == measure.Satisfaction {
					out = append(out, measure.Value{Metric: id, Period: evidence.Period{Month: m}, Has: true, Value: 5, HasReported: true, Reported: 5, Timeliness: measure.OnTime})
				}
			}
		}
		return out
	}
	s := readable()
	s.Reports = []evidence.MetricReport{{Ref: old("Weekly Metric", "1")}}
	tests := []struct {
		name     string
		change   func(*measure.Value)
		observed bool
		says     string
	}{
		{"a reported zero is a report", func(*measure.Value) {}, false, ""},
		{"late", func(v *measure.Value) { v.Timeliness = measure.Late }, true, "2026-W40"},
		{"backfilled", func(v *measure.Value) { v.Timeliness = measure.Backfill }, true, "2026-W40"},
		{"never", func(v *measure.Value) { v.HasReported, v.Timeliness = false, measure.Never }, true, "2026-W40"},
		{"said that there was nothing to report", func(v *measure.Value) { v.HasReported, v.NothingSaid = false, true }, false, ""},
	}
	for _, tt := range tests {
		v := outcome(t, "pmm", "impl.cadence", rules.Input{Snapshot: s, Metrics: figures(tt.change)})
		want(t, v, rules.Met)
		if (v.Observation != "") != tt.observed || !strings.Contains(v.Observation, tt.says) {
			t.Errorf("%s: observation %q", tt.name, v.Observation)
		}
	}
}

func TestEdge18WeeksCrossTheYear(t *testing.T) {
	t.Parallel()
	s := readable()
	s.AsOf = time.Date(2027, 1, 8, 12, 0, 0, 0, time.UTC) // Friday of 2027-W01
	for i := range s.Coverage {
		s.Coverage[i].LastSuccess, s.Coverage[i].LastComplete = s.AsOf, s.AsOf
	}
	for i := range 20 {
		if i == 1 {
			continue // no review in 2026-W53
		}
		on := civil("2027-01-04").AddDays(-7 * i)
		s.Meetings = append(s.Meetings, evidence.Meeting{Ref: old("Meeting", on.String()), Kind: evidence.MeetingAllHands, Held: true, On: on})
	}
	a, vs := judged(t, "pmm", rules.Input{Snapshot: s})
	if v := vs["gen.allhands"]; !strings.Contains(v.Observation, "2026-W53") {
		t.Errorf("%s: observation %q, want the missed week 2026-W53 named", v.Outcome, v.Observation)
	}
	if a.Key != "p-cont-2027w01" {
		t.Errorf("key %s, want p-cont-2027w01", a.Key)
	}
}

func TestEdge19AWeekWithoutWorkingDayIsExempt(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Meetings = reviews(20)
	s.Meetings = append(s.Meetings[:4], s.Meetings[6:]...) // two weeks without review
	want(t, outcome(t, "pmm", "gen.allhands", rules.Input{Snapshot: s}), rules.NotMet)
	c := evidence.Calendar{Ref: old("Holiday List", "H"), Default: true}
	for d := civil("2026-10-12"); !d.After(civil("2026-10-18")); d = d.AddDays(1) {
		c.Holidays = append(c.Holidays, d)
	}
	s.Calendars = []evidence.Calendar{c}
	v := outcome(t, "pmm", "gen.allhands", rules.Input{Snapshot: s})
	want(t, v, rules.Met)
	if v.Observation == "" {
		t.Error("the other missed week is no observation")
	}
}

func TestEdge21OneDeadSiteMakesUnknownOnlyWhatItHeld(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Sites = append(s.Sites, evidence.Site{Key: "old", URL: "https://old.example"})
	for _, st := range []string{"Project", "Task"} {
		s.Gaps = append(s.Gaps, evidence.Gap{Site: "old", Stream: st, Kind: evidence.Unreachable, Reason: "no answer"})
	}
	add := func(site, name string, signed bool) {
		r := old("Project", name)
		r.Site, r.Modified = site, asOf.AddDate(0, -1, 0)
		s.Projects = append(s.Projects, evidence.Project{Ref: r, Title: name, Status: "Completed", Customer: name, ExpectedStart: civil("2026-02-25")})
		for _, k := range []evidence.SignOffKind{evidence.SignOffBRD, evidence.SignOffUAT, evidence.SignOffTraining, evidence.SignOffGoLive} {
			o := old("Sign-off", name+string(k))
			o.Site = site
			s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: o, Project: name, Kind: k, Done: signed, Proven: true, On: civil("2026-03-01")})
		}
	}
	add("erp", "P1", true)
	add("erp", "P2", true)
	add("old", "P3", false)
	in := rules.Input{Snapshot: s, Samples: rules.ContinuousSamples(s)}
	v := outcome(t, "pmm", "impl.followed", in)
	want(t, v, rules.Insufficient)
	for _, it := range v.Items {
		if it.Ref.Site == "erp" && !it.OK || it.Ref.Site == "old" && !it.Unknown {
			t.Errorf("item %s of %s: ok %v, unknown %v", it.Label, it.Ref.Site, it.OK, it.Unknown)
		}
	}
	s.SignOffs[1].Done = false // a miss at the living site is one all the same
	want(t, outcome(t, "pmm", "impl.followed", in), rules.NotMet)
}

func TestEdge23ASampledProjectThatVanishedIsNotRedrawn(t *testing.T) {
	t.Parallel()
	s := readable()
	sample := rules.Sample{Stream: "Project", Complete: true, Items: []rules.SampleItem{{Ref: old("Project", "GONE"), Label: "Kranz"}, {Ref: old("Project", "GONE2")}}}
	v := outcome(t, "pmm", "impl.followed", rules.Input{Snapshot: s, Samples: []rules.Sample{sample}})
	want(t, v, rules.Insufficient)
	if len(v.Unknowns) == 0 || !strings.Contains(v.Unknowns[0].Reason, "can no longer be read") {
		t.Errorf("unknowns %+v do not say that the sampled record is gone", v.Unknowns)
	}
}

func TestEdge25ARevokedKeyIsNoRefusalOfThePartner(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Coverage = nil
	s.Gaps = []evidence.Gap{{Site: "erp", Stream: "*", Kind: evidence.Unauthorized, Reason: "the key was refused"}}
	_, vs := judged(t, "pmm", rules.Input{Snapshot: s})
	for id, v := range vs {
		if v.Outcome == rules.NotMet {
			t.Errorf("%s is Not Met though nothing could be read", id)
		}
	}
	if v := vs["gen.allhands"]; len(v.Unknowns) == 0 || v.Unknowns[0].Kind != evidence.Unauthorized || v.Unknowns[0].Remedy == "" {
		t.Errorf("unknowns %+v do not name the refused key and a remedy", v.Unknowns)
	}
}

func TestEdge26APersonsWordHolds(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Meetings = reviews(2) // far too few
	in := rules.Input{Snapshot: s}
	machine := outcome(t, "pmm", "gen.allhands", in)
	want(t, machine, rules.NotMet)
	o := rules.Override{ID: "1", Partner: "p", Criterion: "gen.allhands", Kind: rules.Continuous, Outcome: rules.Met, Reason: "seen", By: "ada", On: asOf.AddDate(0, -2, 0), ValidUntil: civil("2026-11-20"), EvidenceHash: rules.EvidenceHash(machine)}
	judge := func(change func(*rules.Override)) rules.Verdict {
		c := o
		if change != nil {
			change(&c)
		}
		in.Overrides = []rules.Override{c}
		return outcome(t, "pmm", "gen.allhands", in)
	}
	v := judge(nil)
	if v.Effective() != rules.Met || v.Outcome != rules.NotMet || v.Override.Review || v.Flag != "" {
		t.Errorf("effective %s beside %s, review %v, flag %q; want Met beside Not Met and no review", v.Effective(), v.Outcome, v.Override.Review, v.Flag)
	}
	if v := judge(func(o *rules.Override) { o.EvidenceHash = "other" }); !v.Override.Review || v.Effective() != rules.Met || v.Flag == "" {
		t.Error("changed evidence asks for no review, or took the person's word away")
	}
	for name, change := range map[string]func(*rules.Override){
		"it expired yesterday":  func(o *rules.Override) { o.ValidUntil = civil("2026-11-19") },
		"it is another kind's":  func(o *rules.Override) { o.Kind = rules.Audit },
		"it is another's":       func(o *rules.Override) { o.Partner = "q" },
		"it was not given then": func(o *rules.Override) { o.On = asOf.Add(time.Hour) },
	} {
		if v := judge(change); v.Override != nil {
			t.Errorf("%s: the override still holds", name)
		}
	}
}

func TestEdge31BeforeTheInvoiceNoWeekIsCounted(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Projects = []evidence.Project{{Ref: old("Project", "P1"), Status: "Open", Customer: "C"}}
	in := rules.Input{Snapshot: s, Kind: rules.Escalation, Target: rules.Target{Project: "P1", Site: "erp", Stage: evidence.Sales, Record: "E"}}
	want(t, outcome(t, "escalation", "esc.impl.p3", in), rules.NotApplicable)
	want(t, outcome(t, "escalation", "esc.sales.p5", in), rules.NotApplicable)
}

func TestEdge32TheFirstSubmittedInvoiceDecides(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Projects = []evidence.Project{{Ref: old("Project", "P1"), Status: "Open", Customer: "C", SalesOrder: "SO"}}
	s.Meetings = []evidence.Meeting{{Ref: old("Meeting", "K"), Kind: evidence.MeetingKickOff, Project: "P1", Held: true, On: civil("2026-10-12")}}
	inv := func(name, on string, change func(*evidence.Invoice)) {
		v := evidence.Invoice{Ref: old("Sales Invoice", name), Projects: []string{"P1"}, On: civil(on), Submitted: true}
		if change != nil {
			change(&v)
		}
		s.Invoices = append(s.Invoices, v)
	}
	inv("draft", "2026-09-01", func(v *evidence.Invoice) { v.Submitted = false })
	inv("cancelled", "2026-09-02", func(v *evidence.Invoice) { v.Cancelled = true })
	inv("return", "2026-09-03", func(v *evidence.Invoice) { v.Return = true })
	inv("opening", "2026-09-04", func(v *evidence.Invoice) { v.Opening = true })
	inv("second", "2026-10-20", nil)
	inv("first", "2026-10-05", func(v *evidence.Invoice) { v.Projects, v.Orders = nil, []string{"SO"} })
	in := rules.Input{Snapshot: s, Kind: rules.Escalation, Target: rules.Target{Project: "P1", Site: "erp", Record: "E"}}
	v := outcome(t, "escalation", "esc.impl.p3", in)
	want(t, v, rules.Met)
	if !strings.Contains(v.Measured, "2026-10-05") {
		t.Errorf("measured %q, want it counted from 2026-10-05", v.Measured)
	}
}

func TestEdge37EveryAssessmentNamesItsRules(t *testing.T) {
	t.Parallel()
	a, _ := judged(t, "pmm", rules.Input{Snapshot: readable()})
	if a.Pack.Name != "pmm" || a.Pack.Version == "" || len(a.Pack.SHA256) != 64 || len(a.Snapshot) != 64 {
		t.Errorf("pack %+v, snapshot %q", a.Pack, a.Snapshot)
	}
}

func TestAnOutageKeepsTheLastVerdictForADay(t *testing.T) {
	t.Parallel()
	healthy := readable()
	healthy.Meetings = reviews(20)
	before, vs := judged(t, "pmm", rules.Input{Snapshot: healthy})
	want(t, vs["gen.allhands"], rules.Met)
	dead := func(hours int) *evidence.Snapshot {
		s := readable()
		s.AsOf = asOf.Add(time.Duration(hours) * time.Hour)
		s.Meetings = reviews(20)
		s.Gaps = []evidence.Gap{{Site: "erp", Stream: "*", Kind: evidence.Unreachable, Reason: "no answer", Since: asOf.Add(time.Hour)}}
		return s
	}
	v := outcome(t, "pmm", "gen.allhands", rules.Input{Snapshot: dead(24), Previous: &before})
	want(t, v, rules.Met)
	if !v.Carried.Equal(asOf) || !strings.Contains(v.Flag, "2026-11-20") {
		t.Errorf("carried %v, flag %q; want the instant of the verdict that stands", v.Carried, v.Flag)
	}
	v = outcome(t, "pmm", "gen.allhands", rules.Input{Snapshot: dead(25), Previous: &before})
	want(t, v, rules.Insufficient)
	if !v.Carried.IsZero() {
		t.Error("an unknown verdict is marked as carried")
	}
	want(t, outcome(t, "pmm", "gen.allhands", rules.Input{Snapshot: dead(24)}), rules.Insufficient)
}

func TestARepeatIsMarked(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Meetings = reviews(2)
	for _, tt := range []struct {
		on   string
		want bool
	}{{"2024-11-20", true}, {"2024-11-19", false}, {"2026-11-19", true}} {
		v := outcome(t, "pmm", "gen.allhands", rules.Input{Snapshot: s, Findings: []rules.Finding{{Criterion: "gen.allhands", On: civil(tt.on)}}})
		if v.Repeat != tt.want {
			t.Errorf("found on %s: repeat is %v, want %v (S53)", tt.on, v.Repeat, tt.want)
		}
	}
}

func TestSettingsOfPeople(t *testing.T) {
	t.Parallel()
	s := readable()
	s.Meetings = reviews(2)
	in := rules.Input{Snapshot: s, Settings: []rules.Setting{
		{Criterion: "gen.allhands", Enabled: true, Severity: rules.SeverityObservation, Thresholds: map[string]float64{"missed_weeks": 11}},
		{Criterion: "gen.control", Enabled: false},
	}}
	a, vs := judged(t, "pmm", in)
	if v := vs["gen.allhands"]; v.Outcome != rules.Met || v.Severity != rules.SeverityObservation || !strings.Contains(v.Expected, "11 missed") {
		t.Errorf("%s as %s, expected %q; want the person's threshold and severity", v.Outcome, v.Severity, v.Expected)
	}
	if _, ok := vs["gen.control"]; ok {
		t.Error("a switched-off criterion is judged")
	}
	if a.Shown <= 0 || a.Shown > 1 {
		t.Errorf("shown %v, want a share", a.Shown)
	}
}

func TestSinceTellsWhenAnOutcomeChanged(t *testing.T) {
	t.Parallel()
	s := readable()
	first, vs := judged(t, "pmm", rules.Input{Snapshot: s})
	if !vs["gen.allhands"].Since.IsZero() {
		t.Error("a first verdict claims to have changed")
	}
	s2 := readable()
	s2.AsOf = asOf.Add(time.Hour)
	s2.Meetings = reviews(20)
	second, vs := judged(t, "pmm", rules.Input{Snapshot: s2, Previous: &first})
	if !vs["gen.allhands"].Since.Equal(s2.AsOf) {
		t.Errorf("since %v, want %v", vs["gen.allhands"].Since, s2.AsOf)
	}
	s3 := readable()
	s3.AsOf = asOf.Add(2 * time.Hour)
	s3.Meetings = reviews(20)
	if _, vs = judged(t, "pmm", rules.Input{Snapshot: s3, Previous: &second}); !vs["gen.allhands"].Since.Equal(s2.AsOf) {
		t.Errorf("since %v, want it kept at %v", vs["gen.allhands"].Since, s2.AsOf)
	}
}
