package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

func schedule(t *testing.T, open Opener) {
	s := open(t)
	names := func(minute int) string {
		t.Helper()
		var out []string
		for _, j := range must[[]store.Job](t)(s.Due(t.Context(), at(minute))) {
			out = append(out, j.Name)
		}
		return fmt.Sprint(out)
	}
	job := func(name string) store.Job {
		t.Helper()
		for _, j := range must[[]store.Job](t)(s.Jobs(t.Context())) {
			if j.Name == name {
				return j
			}
		}
		t.Fatalf("no job %s", name)
		return store.Job{}
	}
	check(t, s.EnsureJobs(t.Context(), []store.Job{{Name: "poll:a", Spec: "x", NextDue: at(5)}, {Name: "poll:b", Spec: "x", NextDue: at(3)}, {Name: "prm", Spec: "x", NextDue: at(9)}}))
	expect(t, "due", names(2), "[]")
	expect(t, "due", names(5), "[poll:b poll:a]")

	check(t, s.Start(t.Context(), "poll:b", at(5)))
	s = reopen(t, s, open) // killed: still due
	expect(t, "due after a kill", names(5), "[poll:b poll:a]")
	check(t, s.Start(t.Context(), "poll:b", at(6)))
	if j := job("poll:b"); j.Failures != 1 || j.LastError == "" {
		t.Errorf("job begun again after a kill = %+v, want one failure", j)
	}
	check(t, s.Finish(t.Context(), "poll:b", at(7), at(20), errors.New("site down")))
	if j := job("poll:b"); j.Failures != 2 || j.LastError != "site down" || !j.LastStart.Equal(at(6)) || !j.LastEnd.Equal(at(7)) || !j.NextDue.Equal(at(20)) {
		t.Errorf("failed job = %+v", j)
	}
	check(t, s.Start(t.Context(), "poll:b", at(20)))
	check(t, s.Finish(t.Context(), "poll:b", at(21), at(35), nil))
	if j := job("poll:b"); j.Failures != 0 || j.LastError != "" {
		t.Errorf("job after a success = %+v", j)
	}
	// Same spec: the due time stays. New spec: it moves. Left out: it goes.
	check(t, s.EnsureJobs(t.Context(), []store.Job{{Name: "poll:b", Spec: "x", NextDue: at(0)}, {Name: "prm", Spec: "y", NextDue: at(1)}}))
	expect(t, "due after a reload", names(30), "[prm]")
	check(t, s.Finish(t.Context(), "poll:a", at(40), at(50), nil))
	if n := len(must[[]store.Job](t)(s.Jobs(t.Context()))); n != 2 {
		t.Errorf("%d jobs, want 2: a removed one stays removed", n)
	}
}

func assessment(key string, asOf time.Time, outcome rules.Outcome) rules.Assessment {
	return rules.Assessment{
		Key: key, Partner: "meridian", Kind: rules.Continuous, AsOf: asOf, LevelLow: 2, LevelHigh: 3,
		Verdicts: []rules.Verdict{{
			Criterion: "impl.followed", Department: evidence.Implementation, Level: 3, Severity: rules.SeverityNC, Outcome: outcome,
			Items:    []rules.Item{{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: "T", Seen: at(0)}, Label: "UAT <x>"}},
			Unknowns: []rules.Unknown{{Attribute: "project.first_invoice", Kind: evidence.Forbidden}},
			Override: &rules.Override{Outcome: rules.Met, By: "auditor", ValidUntil: evidence.NewDate(2027, 1, 31)},
		}},
		Metrics:  []measure.Value{{Metric: measure.OverduePct, Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: 47}}, Has: true, Value: 12.5}},
		Samples:  []rules.Sample{{Department: evidence.Implementation, Names: []string{"p"}, Drawn: at(0)}},
		Coverage: []evidence.Coverage{{Site: "erp", Stream: "Task", Rows: 3, LastSuccess: asOf, LastComplete: asOf}},
		Pack:     rules.PackID{Name: "pmm", Version: "1", SHA256: "p"},
		Snapshot: "digest of " + asOf.String(),
	}
}

func assessments(t *testing.T, open Opener) {
	s := open(t)
	put := func(a ...rules.Assessment) []string {
		t.Helper()
		return judge(t, s, store.Judgement{Partner: "meridian", At: a[0].AsOf, Assessments: a}).News
	}
	const week47, week48 = "meridian-cont-2026w47", "meridian-cont-2026w48"
	audit := assessment("meridian-audit-ADT-1", at(0), rules.Met)
	audit.Kind = rules.Audit
	if got, want := put(assessment(week47, at(0), rules.Met), audit), []string{week47, audit.Key}; !slices.Equal(got, want) {
		t.Errorf("News = %v, want %v", got, want)
	}
	if got := put(assessment(week47, at(10), rules.Met)); len(got) != 0 {
		t.Errorf("News of the same verdicts later = %v, want none", got)
	}
	if got := put(assessment(week47, at(20), rules.NotMet)); len(got) != 1 {
		t.Errorf("News of a flipped verdict = %v, want one", got)
	}
	put(assessment(week48, at(30), rules.NotMet))
	s = reopen(t, s, open)

	got, ok, err := s.Latest(t.Context(), week47)
	check(t, err)
	if diff := cmp.Diff(store.Held{From: at(20), Until: at(20), Assessment: assessment(week47, at(20), rules.NotMet)}, got); diff != "" || !ok {
		t.Errorf("Latest ok = %v, mismatch (-want +got):\n%s", ok, diff)
	}
	got, _, err = s.LatestOf(t.Context(), "meridian", rules.Continuous)
	check(t, err)
	expect(t, "LatestOf", got.Assessment.Key, week48)
	if _, ok, err := s.LatestOf(t.Context(), "kepler", rules.Continuous); ok || err != nil {
		t.Errorf("LatestOf another partner = %v, %v", ok, err)
	}
	if _, ok, err := s.Latest(t.Context(), "nothing"); ok || err != nil {
		t.Errorf("Latest of nothing = %v, %v", ok, err)
	}
	type stretch struct {
		Key                string
		From, Until, AsOf  time.Time
		LevelLow, Verdicts int
	}
	for _, tt := range []struct {
		since int
		want  []stretch
	}{
		{-1000, []stretch{{week47, at(0), at(10), at(10), 2, 1}, {week47, at(20), at(20), at(20), 2, 1}, {week48, at(30), at(30), at(30), 2, 1}}},
		{11, []stretch{{week47, at(20), at(20), at(20), 2, 1}, {week48, at(30), at(30), at(30), 2, 1}}},
	} {
		var got []stretch
		for _, h := range must[[]store.Held](t)(s.Assessments(t.Context(), "meridian", rules.Continuous, at(tt.since))) {
			got = append(got, stretch{h.Assessment.Key, h.From, h.Until, h.Assessment.AsOf, h.Assessment.LevelLow, len(h.Assessment.Verdicts)})
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Assessments since %d mismatch (-want +got):\n%s", tt.since, diff)
		}
	}

	for _, tt := range []struct{ at, from int }{{-5, 0}, {0, 0}, {15, 0}, {20, 20}, {29, 20}, {99, 30}} {
		h, ok, err := s.HeldAt(t.Context(), "meridian", rules.Continuous, at(tt.at))
		if err != nil || !ok || !h.From.Equal(at(tt.from)) {
			t.Errorf("HeldAt %d = %v from %s (%v), want the one from %s", tt.at, ok, h.From, err, at(tt.from))
		}
	}
	if _, ok, err := s.HeldAt(t.Context(), "nobody", rules.Continuous, at(0)); ok || err != nil {
		t.Errorf("HeldAt of an unknown partner = %v, %v", ok, err)
	}

	// One transaction: a change that cannot be kept undoes the assessment.
	bad := change("a", "1")
	bad.Fields = map[string]any{"f": func() {}}
	if _, err := s.CommitAssessment(t.Context(), store.Judgement{
		Partner: "meridian", At: at(40), Assessments: []rules.Assessment{assessment(week48, at(40), rules.Met)},
		Changes: []plan.Change{change("b", "1"), bad},
	}); err == nil {
		t.Error("CommitAssessment with a change that is no JSON succeeded")
	}
	got, _, err = s.Latest(t.Context(), week48)
	check(t, err)
	if got.Assessment.Verdicts[0].Outcome != rules.NotMet || waiting(t, s, 50) != "" {
		t.Errorf("a failed commit left %v and %q behind", got.Assessment.Verdicts[0].Outcome, waiting(t, s, 50))
	}
}

func alerts(t *testing.T, open Opener) {
	s := open(t)
	ep := func(key, partner string) store.Episode {
		return store.Episode{Alert: programme.Alert{Key: key, Rule: "site_down", Partner: partner, Severity: programme.Critical, Message: "m"}, Pending: at(0)}
	}
	a, b := ep("site_down-meridian-erp-1", "meridian"), ep("site_down-kepler-erp-1", "kepler")
	judge(t, s, store.Judgement{Partner: "meridian", At: at(0), Alerts: []store.Episode{a, b}})
	a.Fired, a.Alert.Firing = at(5), true
	b.Resolved = at(6)
	judge(t, s, store.Judgement{Partner: "meridian", At: at(6), Alerts: []store.Episode{a, b}})
	s = reopen(t, s, open)
	for _, tt := range []struct {
		partner string
		since   int
		want    []store.Episode
	}{
		{"meridian", 100, []store.Episode{a}},
		{"kepler", 7, nil},
		{"kepler", 6, []store.Episode{b}},
		{"*", 0, []store.Episode{b, a}},
	} {
		got := must[[]store.Episode](t)(s.Alerts(t.Context(), tt.partner, at(tt.since)))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Alerts(%s, %d) mismatch (-want +got):\n%s", tt.partner, tt.since, diff)
		}
	}
}

func reach(t *testing.T, open Opener) {
	s := open(t)
	r := func(minute int, gaps ...evidence.Gap) store.Reach {
		seen := at(minute)
		return store.Reach{
			Site: evidence.Site{Key: "erp", URL: "https://erp.example", Zone: "Asia/Kolkata", Versions: map[string]string{"erpnext": "15.1"}}, Seen: seen, Gaps: gaps,
			Coverage: []evidence.Coverage{
				{Site: "erp", Stream: "Task", Rows: 2, LastSuccess: seen, LastComplete: at(-60), Complete: true},
				{Site: "erp", Stream: "Issue", LastSuccess: at(-5), LastComplete: seen},
			},
			Notes: map[string]string{"user": "prmsync@x"},
		}
	}
	if _, ok, err := s.Reach(t.Context(), "meridian", "erp", at(0)); ok || err != nil {
		t.Errorf("Reach of a site never polled = %v, %v", ok, err)
	}
	down := r(20, evidence.Gap{Site: "erp", Stream: "Task", Kind: evidence.Unreachable, Since: at(15), Reason: "timeout"})
	for _, v := range []store.Reach{r(0), r(10), down} {
		check(t, s.PutReach(t.Context(), "meridian", v))
	}
	s = reopen(t, s, open)
	for minute, want := range map[int]store.Reach{-5: r(0), 0: r(0), 9: r(0), 10: r(10), 19: r(10), 20: down, 99: down} {
		got, ok, err := s.Reach(t.Context(), "meridian", "erp", at(minute))
		check(t, err)
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("Reach at %d: ok = %v, mismatch (-want +got):\n%s", minute, ok, diff)
		}
	}
}

func inputs(t *testing.T, open Opener) {
	s := open(t)
	put := func(minute int, body string) bool {
		t.Helper()
		return must[bool](t)(s.PutInput(t.Context(), store.Input{Kind: "mapping", Subject: "meridian", Seen: at(minute), Body: []byte(body)}))
	}
	if _, ok, err := s.InputAt(t.Context(), "mapping", "meridian", at(0)); ok || err != nil {
		t.Errorf("InputAt of nothing = %v, %v", ok, err)
	}
	if !put(0, "a") || put(5, "a") || !put(10, "b") || !put(7, "a") {
		t.Error("PutInput: want changed for a, b and a again; not for a twice")
	}
	s = reopen(t, s, open)
	for minute, want := range map[int]string{-1: "a", 0: "a", 9: "a", 10: "b", 11: "a"} {
		in, ok, err := s.InputAt(t.Context(), "mapping", "meridian", at(minute))
		check(t, err)
		if string(in.Body) != want || !ok || len(in.SHA256) != 64 {
			t.Errorf("InputAt(%d) = %q, %v, want %q", minute, in.Body, ok, want)
		}
	}
	if in, _, _ := s.InputAt(t.Context(), "mapping", "meridian", at(-1)); !in.Seen.Equal(at(0)) {
		t.Errorf("InputAt before the first: Seen = %v, want %v", in.Seen, at(0))
	}
}

func cache(t *testing.T, open Opener) {
	s := open(t)
	check(t, s.PutCached(t.Context(), "meridian", "erp", store.Cached{Item: "zone", Stamp: "1", Fetched: at(0), Body: []byte("UTC")}))
	want := []store.Cached{{Item: "meta:Task", Fetched: at(1), Body: []byte("{}")}, {Item: "zone", Stamp: "2", Fetched: at(1), Body: []byte("IST")}}
	for _, c := range want {
		check(t, s.PutCached(t.Context(), "meridian", "erp", c))
	}
	for _, c := range want {
		got, ok, err := s.Cached(t.Context(), "meridian", "erp", c.Item)
		check(t, err)
		if diff := cmp.Diff(c, got); !ok || diff != "" {
			t.Errorf("Cached %s mismatch (-want +got):\n%s", c.Item, diff)
		}
	}
	if got, ok, err := s.Cached(t.Context(), "meridian", "crm", "zone"); ok || err != nil {
		t.Errorf("Cached of another site = %+v, %v", got, err)
	}
}

func brakes(t *testing.T, open Opener) {
	s := open(t)
	b := store.Brake{ID: "change-1", Kind: "change", Subject: "fleet", Tripped: at(0), Body: []byte(`{"flips":30}`)}
	check(t, s.PutBrake(t.Context(), b))
	if diff := cmp.Diff([]store.Brake{b}, must[[]store.Brake](t)(s.Brakes(t.Context(), at(99)))); diff != "" {
		t.Errorf("Brakes mismatch (-want +got):\n%s", diff)
	}
	check(t, s.ReleaseBrake(t.Context(), "change-1", "asha", at(5)))
	if err := s.ReleaseBrake(t.Context(), "change-1", "asha", at(6)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("second ReleaseBrake = %v, want ErrNotFound", err)
	}
	check(t, s.PutBrake(t.Context(), b)) // found again by a later cycle
	s = reopen(t, s, open)
	if got := must[[]store.Brake](t)(s.Brakes(t.Context(), at(6))); len(got) != 0 {
		t.Errorf("Brakes after release = %+v, want none", got)
	}
	b.Released, b.By = at(5), "asha"
	if diff := cmp.Diff([]store.Brake{b}, must[[]store.Brake](t)(s.Brakes(t.Context(), at(5)))); diff != "" {
		t.Errorf("Brakes mismatch (-want +got):\n%s", diff)
	}
}

// retention: what held at the cut and later is the same bytes as before it.
func retention(t *testing.T, open Opener) {
	s := open(t)
	tomb := func(name string) evidence.Document {
		return evidence.Document{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: name}, Gone: true}
	}
	for i := range 6 { // A has six versions; B is gone at 2, C at 5
		commit(t, s, at(i), task("A", fmt.Sprint(i), nil))
	}
	commit(t, s, at(1), task("B", "1", nil), task("C", "1", nil), task("D", "1", nil))
	commit(t, s, at(2), tomb("B"))
	commit(t, s, at(5), tomb("C"))
	for i := range 6 {
		check(t, s.PutReach(t.Context(), "meridian", store.Reach{Site: evidence.Site{Key: "erp"}, Seen: at(i), Notes: map[string]string{"i": fmt.Sprint(i)}}))
		must[bool](t)(s.PutInput(t.Context(), store.Input{Kind: "pack", Subject: "pmm", Seen: at(i), Body: []byte(fmt.Sprint(i))}))
	}
	a := assessment("k", at(0), rules.Met)
	open_ := store.Episode{Alert: programme.Alert{Key: "open", Partner: "meridian"}, Pending: at(0)}
	done := store.Episode{Alert: programme.Alert{Key: "done", Partner: "meridian"}, Pending: at(0), Resolved: at(1)}
	judge(t, s, store.Judgement{
		Partner: "meridian", At: at(0), Assessments: []rules.Assessment{a}, Alerts: []store.Episode{open_, done},
		Changes: []plan.Change{change("a", "1"), change("b", "1"), change("c", "1"), change("d", "1")},
	})
	judge(t, s, store.Judgement{Partner: "meridian", At: at(5), Assessments: []rules.Assessment{assessment("k", at(5), rules.NotMet)}})
	check(t, s.Sent(t.Context(), at(1), store.Delivery{ID: id(t, s, store.Waiting, "a")}))
	check(t, s.Drop(t.Context(), at(1), id(t, s, store.Waiting, "b")))
	check(t, s.Park(t.Context(), id(t, s, store.Waiting, "c"), "x"))

	// B's tombstone stands at 2: an as-of at the cut no longer shows it, because
	// a record that was gone goes entirely.
	view := func(minute int) string {
		var out string
		for _, d := range versions(t, s, "meridian", at(minute)) {
			if d.Name != "B" {
				out += fmt.Sprint(d.Name, d.Stamp, d.Gone, d.Seen, d.Hash, " ")
			}
		}
		r, _, err := s.Reach(t.Context(), "meridian", "erp", at(minute))
		check(t, err)
		in, _, err := s.InputAt(t.Context(), "pack", "pmm", at(minute))
		check(t, err)
		return out + r.Notes["i"] + string(in.Body)
	}
	newest := func(minute int) string {
		last := map[string]string{}
		for _, d := range versions(t, s, "meridian", at(minute)) {
			last[d.Name] = fmt.Sprint(d.Stamp, d.Gone)
		}
		delete(last, "B")
		return fmt.Sprint(last)
	}
	var before []string
	for m := 3; m < 6; m++ {
		before = append(before, newest(m))
	}
	full := view(3)
	got, err := s.Retain(t.Context(), store.Retention{})
	check(t, err)
	if got != (store.Retained{}) || view(3) != full {
		t.Errorf("Retain of nothing removed %+v", got)
	}
	got, err = s.Retain(t.Context(), store.Retention{Captures: at(3), Assessments: at(3), Outbox: at(3)})
	check(t, err)
	if want := (store.Retained{Captures: 5, Assessments: 1, Outbox: 2}); got != want {
		t.Errorf("Retain = %+v, want %+v", got, want)
	}
	for m := 3; m < 6; m++ {
		if got := newest(m); got != before[m-3] {
			t.Errorf("as of %d after the cut: %s, want %s", m, got, before[m-3])
		}
	}
	expect(t, "reach and input at the cut", view(3)[len(view(3))-2:], "33")
	expect(t, "reach and input at the end", view(9)[len(view(9))-2:], "55")
	expect(t, "reach before the cut", view(0)[len(view(0))-2:], "33")
	if es := must[[]store.Episode](t)(s.Alerts(t.Context(), "*", time.Time{})); len(es) != 1 || es[0].Alert.Key != "open" {
		t.Errorf("alerts = %+v, want the open one", es)
	}
	expect(t, "waiting", waiting(t, s, 9), "d#1")
	expect(t, "parked", short(must[[]store.Queued](t)(s.List(t.Context(), "*", store.Parked, 0))), "c#1")
	// The version after a cut continues the numbers; a record gone is new again.
	if got, want := commit(t, s, at(9), task("A", "9", nil), task("B", "1", nil)), (store.Committed{New: 1, Changed: 1}); got != want {
		t.Errorf("Commit after the cut = %+v, want %+v", got, want)
	}
	again, err := s.Retain(t.Context(), store.Retention{Captures: at(3), Assessments: at(3), Outbox: at(3)})
	check(t, err)
	if again != (store.Retained{}) {
		t.Errorf("the same Retain again removed %+v", again)
	}
}

func sizes(t *testing.T, open Opener) {
	s := open(t)
	commit(t, s, at(0), task("A", "1", nil), task("B", "1", nil))
	commit(t, s, at(1), task("A", "2", nil))
	judge(t, s, store.Judgement{
		Partner: "meridian", At: at(1), Assessments: []rules.Assessment{assessment("k", at(1), rules.Met)},
		Changes: []plan.Change{change("a", "1")}, Known: []plan.Known{{Doctype: "d", Key: "k"}},
	})
	z, err := s.Sizes(t.Context())
	check(t, err)
	z.FileBytes, z.WALBytes = 0, 0 // each database's own
	if want := (store.Sizes{Versions: 3, Records: 2, Assessments: 1, Known: 1, Outbox: 1}); z != want {
		t.Errorf("Sizes = %+v, want %+v", z, want)
	}
	check(t, s.Check(t.Context()))
}
