package rules_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
)

// judged judges by a builtin pack and returns the verdicts by criterion.
func judged(t testing.TB, pack string, in rules.Input) (rules.Assessment, map[string]rules.Verdict) {
	t.Helper()
	if in.Metrics == nil {
		in.Metrics = measure.All(in.Snapshot, measure.Options{})
	}
	a, err := rules.Judge(rules.PackNamed(builtin(t), pack), in)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]rules.Verdict{}
	for _, v := range a.Verdicts {
		out[v.Criterion] = v
	}
	return a, out
}

func civil(s string) evidence.Date {
	d, err := evidence.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

// readable is a partner with nothing but readable streams and complete channels.
func readable() *evidence.Snapshot {
	s := large(0)
	return &evidence.Snapshot{Partner: "p", AsOf: asOf, Zone: "UTC", Sites: s.Sites, Channels: s.Channels, Coverage: s.Coverage}
}

func verdict(level int, o rules.Outcome) rules.Verdict {
	return rules.Verdict{Criterion: fmt.Sprintf("l%d", level), Level: level, Severity: rules.SeverityNC, Outcome: o}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	const m, n, i, a, h = rules.Met, rules.NotMet, rules.Insufficient, rules.NotApplicable, rules.Manual
	tests := []struct {
		name      string
		at        [4]rules.Outcome // of levels 2 to 5
		low, high int
	}{
		{"all met", [4]rules.Outcome{m, m, m, m}, 5, 5},
		{"not applicable counts as met", [4]rules.Outcome{m, a, a, m}, 5, 5},
		{"nothing known", [4]rules.Outcome{i, i, i, i}, 1, 5},
		{"a person has not judged yet", [4]rules.Outcome{m, h, m, m}, 2, 5},
		{"level 4 fails", [4]rules.Outcome{m, m, n, m}, 3, 3},
		{"level 4 fails, level 3 is open", [4]rules.Outcome{m, i, n, m}, 2, 3},
		{"level 2 fails: a miss is never averaged away", [4]rules.Outcome{n, m, m, m}, 1, 1},
		{"level 5 is open", [4]rules.Outcome{m, m, m, i}, 4, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var vs []rules.Verdict
			for k, o := range tt.at {
				vs = append(vs, verdict(k+2, o))
			}
			if low, high := rules.Levels(vs); low != tt.low || high != tt.high {
				t.Errorf("Levels = %d to %d, want %d to %d", low, high, tt.low, tt.high)
			}
		})
	}
	vs := []rules.Verdict{verdict(2, m), verdict(3, n), verdict(4, m), verdict(5, m)}
	vs[1].Severity = rules.SeverityObservation
	if low, high := rules.Levels(vs); low != 5 || high != 5 {
		t.Errorf("with an observation missed Levels = %d to %d, want 5 to 5 (S43)", low, high)
	}
	vs[1].Severity = rules.SeverityNC
	vs[1].Override = &rules.Override{Outcome: m}
	if low, high := rules.Levels(vs); low != 5 || high != 5 {
		t.Errorf("with a person's word Levels = %d to %d, want 5 to 5", low, high)
	}
}

func TestMissingNamesWhatKeepsEachLevel(t *testing.T) {
	t.Parallel()
	vs := []rules.Verdict{
		{Criterion: "a", Level: 4, Severity: rules.SeverityNC, Outcome: rules.NotMet, Department: evidence.Support, Remedy: "do a"},
		{Criterion: "b", Level: 3, Severity: rules.SeverityNC, Outcome: rules.Insufficient, Department: evidence.Sales, Remedy: "do b"},
		{Criterion: "c", Level: 3, Severity: rules.SeverityObservation, Outcome: rules.NotMet, Department: evidence.Sales},
		{Criterion: "d", Level: 3, Severity: rules.SeverityNC, Outcome: rules.NotMet, Department: evidence.Sales, Remedy: "do d"},
		{Criterion: "e", Level: 2, Severity: rules.SeverityNC, Outcome: rules.Met},
	}
	want := []rules.Missing{
		{Level: 3, Department: evidence.Sales, Criterion: "d", Outcome: rules.NotMet, Remedy: "do d"},
		{Level: 3, Department: evidence.Sales, Criterion: "b", Outcome: rules.Insufficient, Remedy: "do b"},
		{Level: 4, Department: evidence.Support, Criterion: "a", Outcome: rules.NotMet, Remedy: "do a"},
	}
	if diff := cmp.Diff(want, rules.MissingFor(vs, 2)); diff != "" {
		t.Errorf("MissingFor (-want +got):\n%s", diff)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	t.Parallel()
	s := large(1500)
	bytesOf := func(s *evidence.Snapshot) string {
		var out []byte
		for _, name := range []string{"pmm", "escalation"} {
			in := rules.Input{Snapshot: s, Samples: rules.ContinuousSamples(s)}
			if name == "escalation" {
				in.Kind, in.Target = rules.Escalation, rules.Target{Project: "Project-000001", Site: "erp", Stage: evidence.Support, Record: "ESC-1"}
			}
			a, _ := judged(t, name, in)
			a.Snapshot = "" // names the input's own bytes
			b, err := json.Marshal(struct {
				V []rules.Verdict
				M []rules.Missing
				L [2]int
			}{a.Verdicts, a.Missing, [2]int{a.LevelLow, a.LevelHigh}})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b...)
		}
		return string(out)
	}
	want := bytesOf(s)
	if got := bytesOf(s); got != want {
		t.Fatal("the same input gives other bytes")
	}
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 7))
		c := *s
		c.Projects, c.Tasks, c.Tickets, c.Messages = shuffled(r, s.Projects), shuffled(r, s.Tasks), shuffled(r, s.Tickets), shuffled(r, s.Messages)
		c.SignOffs, c.Meetings, c.Reports, c.Actions = shuffled(r, s.SignOffs), shuffled(r, s.Meetings), shuffled(r, s.Reports), shuffled(r, s.Actions)
		c.Quotations, c.Orders, c.Invoices, c.Leads = shuffled(r, s.Quotations), shuffled(r, s.Orders), shuffled(r, s.Invoices), shuffled(r, s.Leads)
		c.Coverage, c.Gaps = shuffled(r, s.Coverage), shuffled(r, s.Gaps)
		if got := bytesOf(&c); got != want {
			t.Fatalf("seed %d: shuffled input gives other bytes:\n%s", seed, cmp.Diff(want, got))
		}
	}
}

func shuffled[T any](r *rand.Rand, in []T) []T {
	out := slices.Clone(in)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestNoWeightForAgeSizeOrSuccess holds S58 to S61: the partner's age, the
// number of its projects, "one customer only" and successes outside the scope
// change no verdict.
func TestNoWeightForAgeSizeOrSuccess(t *testing.T) {
	t.Parallel()
	base := func() *evidence.Snapshot {
		s := readable()
		old := asOf.AddDate(-1, 0, 0)
		ref := func(d, n string) evidence.Ref {
			return evidence.Ref{Site: "erp", Doctype: d, Name: n, Created: old, Modified: old, Seen: old}
		}
		for _, n := range []string{"P1", "P2"} {
			s.Projects = append(s.Projects, evidence.Project{Ref: ref("Project", n), Title: n, Status: "Completed", Customer: "C" + n})
			for _, k := range []evidence.SignOffKind{evidence.SignOffBRD, evidence.SignOffUAT, evidence.SignOffTraining, evidence.SignOffGoLive} {
				if n == "P1" && k == evidence.SignOffUAT {
					continue // the single miss, at a single customer
				}
				s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: ref("Sign-off", n+string(k)), Project: n, Kind: k, Done: true, Proven: true, On: civil("2026-03-01")})
			}
		}
		return s
	}
	sample := []rules.Sample{{Stream: "Project", Complete: true, Items: []rules.SampleItem{
		{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: "P1"}}, {Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: "P2"}},
	}}}
	_, want := judged(t, "pmm", rules.Input{Snapshot: base(), Samples: sample})
	if got := want["impl.followed"].Outcome; got != rules.NotMet {
		t.Fatalf("one missing sign-off at one customer is %s, want Not Met (S60)", got)
	}
	changes := map[string]func(*evidence.Snapshot){
		"ten years older": func(s *evidence.Snapshot) {
			s.Projects = append(s.Projects, evidence.Project{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: "OLD", Created: asOf.AddDate(-10, 0, 0)}, Status: "Cancelled", Customer: "C0"})
		},
		"a hundred more projects, all well done": func(s *evidence.Snapshot) {
			for i := range 100 {
				n := fmt.Sprintf("X%d", i)
				s.Projects = append(s.Projects, evidence.Project{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: n, Created: asOf.AddDate(-1, 0, 0)}, Status: "Completed", Customer: n})
				for _, k := range []evidence.SignOffKind{evidence.SignOffBRD, evidence.SignOffUAT, evidence.SignOffTraining, evidence.SignOffGoLive} {
					s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: evidence.Ref{Site: "erp", Doctype: "Sign-off", Name: n + string(k)}, Project: n, Kind: k, Done: true, Proven: true, On: civil("2026-03-01")})
				}
			}
		},
	}
	for name, change := range changes {
		s := base()
		change(s)
		_, got := judged(t, "pmm", rules.Input{Snapshot: s, Samples: sample})
		a, b := want["impl.followed"], got["impl.followed"]
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: the verdict differs (-before +after):\n%s", name, diff)
		}
		esc := func(s *evidence.Snapshot) map[string]rules.Verdict {
			_, v := judged(t, "escalation", rules.Input{Snapshot: s, Kind: rules.Escalation, Target: rules.Target{Project: "P1", Site: "erp", Record: "E"}})
			return v
		}
		if diff := cmp.Diff(esc(base())["esc.impl.p6"], esc(s)["esc.impl.p6"]); diff != "" {
			t.Errorf("%s: the escalation's verdict differs (S75) (-before +after):\n%s", name, diff)
		}
	}
}

func TestBadInputHasADefinedResult(t *testing.T) {
	t.Parallel()
	t.Run("nothing at all", func(t *testing.T) {
		t.Parallel()
		a, vs := judged(t, "pmm", rules.Input{Snapshot: &evidence.Snapshot{Partner: "p", AsOf: asOf}})
		for id, v := range vs {
			if v.Outcome == rules.NotMet || v.Outcome == rules.Met {
				t.Errorf("%s is %s from no evidence", id, v.Outcome)
			}
			if v.Explanation == "" {
				t.Errorf("%s has no explanation", id)
			}
		}
		if a.LevelLow != 1 || a.LevelHigh != 5 {
			t.Errorf("levels %d to %d, want 1 to 5", a.LevelLow, a.LevelHigh)
		}
	})
	t.Run("no snapshot, no pack, no instant", func(t *testing.T) {
		t.Parallel()
		p := builtin(t)[0]
		for _, err := range []error{
			second(rules.Judge(p, rules.Input{})), second(rules.Judge(nil, rules.Input{Snapshot: readable()})), second(rules.Judge(p, rules.Input{Snapshot: &evidence.Snapshot{}})),
		} {
			if err == nil {
				t.Error("Judge took it")
			}
		}
	})
	t.Run("numbers that are none, dates in the wrong order, text that is no text", func(t *testing.T) {
		t.Parallel()
		s := readable()
		p := evidence.Ref{Site: "erp", Doctype: "Project", Name: "P\x00\xff\u202e<script>", Created: asOf.AddDate(3, 0, 0)}
		s.Projects = []evidence.Project{{Ref: p, Title: "\xff\xfe<b>", Status: "Open", Customer: "C", ExpectedStart: evidence.NewDate(9999, 12, 31), ExpectedEnd: evidence.NewDate(1, 1, 1)}, {Ref: p, Status: "Completed", Customer: "C"}}
		s.SignOffs = []evidence.SignOff{{Ref: p, Project: p.Name, Kind: evidence.SignOffGoLive, Done: true, Refused: true, Proven: true, On: evidence.NewDate(9999, 1, 1)}}
		s.Meetings = []evidence.Meeting{{Ref: p, Project: p.Name, Kind: evidence.MeetingKickOff, Held: true, On: evidence.NewDate(1, 1, 1)}}
		s.Tickets = []evidence.Ticket{{Ref: p, Customer: "C", Opened: asOf, Resolved: asOf.AddDate(-1, 0, 0), Hold: -time.Hour, Rated: true, Stars: math.NaN()}}
		s.Feedback = []evidence.Feedback{{Ref: p, Kind: evidence.FeedbackSales, Rated: true, Stars: math.Inf(1), On: civil("2026-11-01")}}
		in := rules.Input{
			Snapshot: s, Samples: rules.ContinuousSamples(s), Kind: rules.Escalation, Target: rules.Target{Project: p.Name},
			Settings: []rules.Setting{{Criterion: "esc.impl.p4", Enabled: true, Thresholds: map[string]float64{"template_share": math.NaN(), "nobody": 1}}},
			Metrics:  []measure.Value{{Metric: measure.SLA, Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: 40}}, Has: true, Value: math.NaN(), Unit: "%"}},
		}
		for _, pack := range []string{"pmm", "escalation"} {
			a, vs := judged(t, pack, in)
			b, err := json.Marshal(a.Report(s))
			if err != nil {
				t.Fatalf("%s: the report cannot be written: %v", pack, err)
			}
			if strings.ContainsRune(string(b), 0x202e) && pack == "escalation" && strings.Contains(vs["esc.impl.p3"].Explanation, "\u202e") {
				t.Error("a mark that turns text reached an explanation")
			}
			for id, v := range vs {
				if strings.Contains(v.Measured+v.Explanation+v.Expected, "NaN") {
					t.Errorf("%s shows a number that is none: %s", id, v.Explanation)
				}
			}
		}
	})
	t.Run("a hundred thousand entries", func(t *testing.T) {
		t.Parallel()
		p, err := rules.ParsePack("many.yaml", []byte("name: many\nversion: \"1\"\ncriteria:\n  - {id: impl.open, title: open, department: implementation, severity: NC, for_each: projects, as: p, pass: p.open, shows: p.status, expected: all open}\n"))
		if err != nil {
			t.Fatal(err)
		}
		s := readable()
		for i := range 100_000 {
			s.Projects = append(s.Projects, evidence.Project{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: fmt.Sprintf("P%06d", i), Modified: asOf}, Title: "t", Status: "Completed", Customer: "C"})
		}
		a, err := rules.Judge(p, rules.Input{Snapshot: s})
		if err != nil {
			t.Fatal(err)
		}
		v := a.Verdicts[0]
		if v.Outcome != rules.NotMet || len(v.Items) > 100 || len(v.Items)+v.MoreItems != 100_000 {
			t.Errorf("%s with %d items and %d more, want Not Met with few items and the rest counted", v.Outcome, len(v.Items), v.MoreItems)
		}
		if !strings.Contains(v.Explanation, "and 99997 more") || len(v.Explanation) > 1000 {
			t.Errorf("explanation %q does not count the rest", v.Explanation)
		}
		if len(v.Evidence) > 1000 {
			t.Errorf("%d records are named as evidence", len(v.Evidence))
		}
	})
}

func second(_ rules.Assessment, err error) error { return err }

func TestVerdictsAreInOrder(t *testing.T) {
	t.Parallel()
	s := readable()
	a, _ := judged(t, "pmm", rules.Input{Snapshot: s})
	rank := map[evidence.Department]int{evidence.General: 0, evidence.Sales: 1, evidence.Implementation: 2, evidence.Support: 3}
	if !slices.IsSortedFunc(a.Verdicts, func(x, y rules.Verdict) int {
		if x.Level != y.Level {
			return x.Level - y.Level
		}
		if x.Department != y.Department {
			return rank[x.Department] - rank[y.Department]
		}
		return strings.Compare(x.Criterion, y.Criterion)
	}) {
		t.Error("verdicts are not in order of level, department and id")
	}
	a, _ = judged(t, "escalation", rules.Input{Snapshot: s, Kind: rules.Escalation, Target: rules.Target{Project: "P", Stage: evidence.Support, Record: "ESC-00001", Suffix: 2}})
	if a.Verdicts[0].Department != evidence.Support || a.Key != "p-esc-ESC-00001-2" || a.LevelHigh != 0 {
		t.Errorf("first is %s of %s, key %s, level %d; want support first, the record's key with its suffix, no level", a.Verdicts[0].Criterion, a.Verdicts[0].Department, a.Key, a.LevelHigh)
	}
}
