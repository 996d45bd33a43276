package partnersite_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

func TestBadTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä<b>x</b> ", 1<<17) // over a megabyte
	s := made(t, "",
		doc{"doctype": "Task", "name": "html", "subject": `<script>alert(1)</script><p>a &lt; b</p> <img src=x onerror="x">&nbsp;c < d`},
		doc{"doctype": "Task", "name": "lines", "subject": "one\n\ttwo\u0000\x7f three "},
		doc{"doctype": "Task", "name": "long", "subject": long, "type": long, "project": long},
		doc{"doctype": "Task", "name": "open tag", "subject": "before <a href="},
		doc{"doctype": "Task", "name": "utf8", "subject": "a\xffb", "type": "a\xffb"})
	got := map[string]string{}
	for _, task := range s.Tasks {
		got[task.Name] = task.Subject
		for _, text := range []string{task.Subject, task.Type, task.Project} {
			if n := utf8.RuneCountInString(text); n > 140 || !utf8.ValidString(text) {
				t.Errorf("%s: %d runes, valid %t", task.Name, n, utf8.ValidString(text))
			}
		}
	}
	delete(got, "long")
	want := map[string]string{"html": "alert(1) a < b c < d", "lines": "one two three", "open tag": "before", "utf8": "a\ufffdb"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
}

func TestBadDates(t *testing.T) {
	t.Parallel()
	s := made(t, "",
		doc{"doctype": "Task", "name": "1", "status": "Completed", "exp_end_date": "0001-01-01", "completed_on": "9999-12-31"},
		doc{"doctype": "Task", "name": "2", "status": "Completed", "exp_end_date": "2026-02-31", "completed_on": "tomorrow"},
		doc{"doctype": "Task", "name": "3", "status": "Completed", "exp_end_date": 20261102, "completed_on": []string{"2026-11-02"}},
		doc{"doctype": "Task", "name": "4", "status": "Completed", "exp_end_date": "0001-01-01 00:00:00", "completed_on": "9999-12-31 23:59:59"},
		doc{"doctype": "Task", "name": "5", "status": "Completed", "exp_end_date": "2026-11-02 25:61:00", "completed_on": map[string]any{"a": 1}})
	for _, task := range s.Tasks {
		if !task.Due.IsZero() || !task.DueAt.IsZero() || !task.Completed.IsZero() {
			t.Errorf("%s: due %v %v, completed %v; want nothing made up", task.Name, task.Due, task.DueAt, task.Completed)
		}
	}
	// Three of five tasks hold something unreadable in each field: a drift.
	var got []string
	for _, g := range s.Gaps {
		if g.Kind == evidence.Drifted {
			got = append(got, g.Stream+"."+g.Field)
		}
	}
	wantLines(t, "drifted", got, "Task.completed_on", "Task.exp_end_date")
}

// What no criterion hangs on may be as odd as it likes; a table that is none, or
// a field that the mapping reads, may not.
func TestOnlyEssentialFieldsDrift(t *testing.T) {
	t.Parallel()
	var docs []map[string]any
	for i := range 5 {
		docs = append(docs, doc{"doctype": "Task", "name": fmt.Sprint(i), "_assign": "{", "is_milestone": "yes", "depends_on": "none", "custom_stars": "many"},
			doc{"doctype": "Umfrage", "name": fmt.Sprint(i), "sterne": []any{}, "wann": "gestern", "egal": []any{}})
	}
	s := made(t, "evidence: {feedback.satisfaction: [{doctype: Umfrage, value: sterne, date: wann}]}", docs...)
	var got []string
	for _, g := range s.Gaps {
		if g.Kind == evidence.Drifted {
			got = append(got, g.Stream+"."+g.Field)
		}
	}
	wantLines(t, "drifted", got, "Task.depends_on", "Umfrage.sterne", "Umfrage.wann")
}

func TestOneMistypedDateIsNoDrift(t *testing.T) {
	t.Parallel()
	docs := []map[string]any{{"doctype": "Task", "name": "bad", "exp_end_date": "soon"}, {"doctype": "Task", "name": "bad too", "exp_end_date": 7}}
	for i := range 30 {
		docs = append(docs, doc{"doctype": "Task", "name": fmt.Sprint(i), "exp_end_date": "2026-11-30"})
	}
	for _, g := range made(t, "", docs...).Gaps {
		if g.Kind == evidence.Drifted {
			t.Errorf("%+v", g)
		}
	}
}

func TestTasksInACircle(t *testing.T) {
	t.Parallel()
	s := made(t, "",
		doc{"doctype": "Task", "name": "a", "parent_task": "b", "depends_on": []doc{{"task": "a"}, {"task": "b"}}},
		doc{"doctype": "Task", "name": "b", "parent_task": "c"},
		doc{"doctype": "Task", "name": "c", "parent_task": "a"},
		doc{"doctype": "Task", "name": "d", "parent_task": "a"}, // hangs on the circle
		doc{"doctype": "Task", "name": "e", "parent_task": "e"},
		doc{"doctype": "Task", "name": "f", "parent_task": "elsewhere"})
	got := map[string]string{}
	up := map[string]string{}
	for _, task := range s.Tasks {
		got[task.Name] = task.Parent
		up[task.Name] = task.Parent
	}
	want := map[string]string{"a": "", "b": "", "c": "", "d": "a", "e": "", "f": "elsewhere"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b"}, s.Tasks[0].DependsOn); diff != "" {
		t.Errorf("a depends on (-want +got):\n%s", diff)
	}
}

func TestAThousandProjectsNamedAlike(t *testing.T) {
	t.Parallel()
	var docs []map[string]any
	for i := range 1000 {
		docs = append(docs, doc{"doctype": "Project", "name": fmt.Sprintf("PROJ-%04d", i), "project_name": "ERP", "customer": "Acme"})
	}
	docs = append(docs, doc{"doctype": "Event", "name": "E", "subject": "Kick-off", "starts_on": "2026-11-03 10:00:00", "event_participants": []doc{{"reference_doctype": "Customer", "reference_docname": "Acme"}}})
	s := made(t, `evidence: {kick_off: [{doctype: Event, where: {subject: "Kick-off*"}}]}`, docs...)
	if len(s.Projects) != 1000 {
		t.Fatalf("%d projects", len(s.Projects))
	}
	// A customer with many projects stands for none of them.
	if m := s.Meetings[0]; m.Project != "" || m.Customer != "Acme" || m.Kind != evidence.MeetingKickOff {
		t.Errorf("%+v", m)
	}
}

// Whatever a site sends, in whatever field: no panic, no text too long, no time
// outside of what a site can mean, and the same bytes again.
func TestAnythingInAnyField(t *testing.T) {
	t.Parallel()
	base := meridian(t)
	docs := base.Sites[0].Documents
	byDoctype := map[string][]evidence.Document{}
	var doctypes []string
	for _, d := range docs {
		if byDoctype[d.Doctype] == nil {
			doctypes = append(doctypes, d.Doctype)
		}
		byDoctype[d.Doctype] = append(byDoctype[d.Doctype], d)
	}
	junk := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Float64(), func(f float64) any { return f }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.SampledFrom([]any{
			"0001-01-01", "9999-12-31 23:59:59", "2026-11-31", "2026-W99", "<p>", "\xff",
			[]any{},
			[]any{nil, 1.0, "x", []any{}, map[string]any{}},
			[]any{map[string]any{"task": 1.0, "review": []any{}, "holiday_date": "x", "workday": "Monday", "start_time": "9", "end_time": "-1"}},
			map[string]any{"a": nil},
			`{"changed":[[1,2,3],["a"],[]],"row_changed":[["t",0,"r",[["f"]]],[],["t"]]}`, "[1,2]", `["a"]`, -1.0, 1e300,
		}))
	rapid.Check(t, func(rt *rapid.T) {
		in, site := base, base.Sites[0]
		site.Documents = nil
		// A few records of each doctype, some fields of which hold junk.
		for _, dt := range doctypes {
			of := byDoctype[dt]
			for i := range min(3, len(of)) {
				d := of[len(of)-1-i]
				var fields []string
				for _, f := range sortedFields(d.Fields) {
					if rapid.IntRange(0, 9).Draw(rt, "spoil") == 0 {
						fields = append(fields, f)
					}
				}
				spoiled := with(d.Fields, nil)
				for _, f := range fields {
					spoiled[f] = junk.Draw(rt, f)
				}
				d.Fields = spoiled
				site.Documents = append(site.Documents, d)
			}
		}
		in.AsOf = rapid.SampledFrom([]time.Time{base.AsOf, base.AsOf.AddDate(0, -3, 0)}).Draw(rt, "as of")
		in.Sites = []partnersite.SiteInput{site}
		s := partnersite.Assemble(in)
		again := partnersite.Assemble(in)
		x, err := s.Digest() // a NaN or a year 10000 cannot be written as JSON
		if err != nil {
			rt.Fatal(err)
		}
		if y, err := again.Digest(); err != nil || x != y {
			rt.Fatalf("second digest %s (%v), want %s", y, err, x)
		}
		for _, task := range s.Tasks {
			if task.Due.Year != 0 && (task.Due.Year < 1900 || task.Due.Year > 2200) || utf8.RuneCountInString(task.Subject) > 140 {
				rt.Fatalf("%+v", task)
			}
		}
		for _, f := range s.Feedback {
			if f.Stars < 0 || f.Stars > 5 {
				rt.Fatalf("%+v", f)
			}
		}
	})
}

func sortedFields(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for f := range m {
		out = append(out, f)
	}
	sort.Strings(out)
	return out
}
