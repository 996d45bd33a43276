package measure_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// friday is an instant in the middle of a week, 2026-W47.
var friday = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ref(doctype, name string) evidence.Ref {
	return evidence.Ref{Site: "erp", Doctype: doctype, Name: name, Created: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC), Seen: friday}
}

// house is a partner with one open customer project and nothing in it.
func house() *evidence.Snapshot {
	return &evidence.Snapshot{
		Partner: "acme", AsOf: friday, Zone: "UTC", Sites: []evidence.Site{{Key: "erp", Zone: "UTC"}},
		Projects: []evidence.Project{{Ref: ref("Project", "P"), Title: "Pilot", Status: "Open", Customer: "C"}},
	}
}

func one(t *testing.T, s *evidence.Snapshot, metric, period string) measure.Value {
	t.Helper()
	return find(t, measure.All(s, measure.Options{}), metric, period, "")
}

// The edges of the overdue formula, on both sides.
func TestOverdueEdges(t *testing.T) {
	t.Parallel()
	day := func(d int) evidence.Date { return evidence.NewDate(2026, 11, d) }
	task := func(f func(*evidence.Task)) evidence.Task {
		k := evidence.Task{Ref: ref("Task", "T"), Project: "P", Status: "Open", Due: day(14)}
		f(&k)
		return k
	}
	// W46 ends on Sunday, 15 November.
	tests := []struct {
		name    string
		task    evidence.Task
		overdue float64
		counted float64
	}{
		{"due the day before", task(func(*evidence.Task) {}), 1, 1},
		{"due on the day", task(func(k *evidence.Task) { k.Due = day(15) }), 0, 1},
		{"no end date", task(func(k *evidence.Task) { k.Due = evidence.Date{} }), 0, 1},
		{"the label says Overdue, the date does not", task(func(k *evidence.Task) { k.Status, k.Due = "Overdue", day(20) }), 0, 1},
		{"completed on the day", task(func(k *evidence.Task) { k.Status, k.Completed = "Completed", day(15) }), 0, 1},
		{"completed the day after", task(func(k *evidence.Task) { k.Status, k.Completed = "Completed", day(16) }), 1, 1},
		{"completed without a date", task(func(k *evidence.Task) { k.Status = "Completed" }), 0, 1},
		{"reopened, though it has a completion date", task(func(k *evidence.Task) { k.Completed = day(10) }), 1, 1},
		{"under review until the day after", task(func(k *evidence.Task) { k.Status, k.Review = "Pending Review", day(16) }), 0, 1},
		{"under review until the day", task(func(k *evidence.Task) { k.Status, k.Review = "Pending Review", day(15) }), 1, 1},
		{"under review without a date", task(func(k *evidence.Task) { k.Status = "Pending Review" }), 1, 1},
		{"cancelled", task(func(k *evidence.Task) { k.Status = "Cancelled" }), 0, 0},
		{"a heading", task(func(k *evidence.Task) { k.Group = true }), 0, 0},
		{"of a template", task(func(k *evidence.Task) { k.Template = true }), 0, 0},
		{"with the status of a template", task(func(k *evidence.Task) { k.Status = "Template" }), 0, 0},
		{"of no project", task(func(k *evidence.Task) { k.Project = "" }), 0, 0},
		{"of a project that we do not know", task(func(k *evidence.Task) { k.Project = "Q" }), 0, 0},
		{"of a project of that name on another site", task(func(k *evidence.Task) { k.Site = "crm" }), 0, 0},
		{"created on the day", task(func(k *evidence.Task) { k.Created = time.Date(2026, 11, 15, 23, 59, 59, 0, time.UTC) }), 1, 1},
		{"created the day after", task(func(k *evidence.Task) { k.Created = time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC) }), 0, 0},
		{"creation unknown", task(func(k *evidence.Task) { k.Created = time.Time{} }), 1, 1},
		{"due by the hour, later that day", task(func(k *evidence.Task) { k.Due, k.DueAt = day(15), time.Date(2026, 11, 15, 8, 0, 0, 0, time.UTC) }), 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := house()
			s.Tasks = []evidence.Task{tt.task}
			v := one(t, s, measure.OverduePct, "2026-W46")
			if v.Numerator != tt.overdue || v.Denominator != tt.counted || v.Has != (tt.counted > 0) {
				t.Errorf("%v of %v (has %v), want %v of %v", v.Numerator, v.Denominator, v.Has, tt.overdue, tt.counted)
			}
			if age := v.Counts[measure.CountOldestOverdue]; age != tt.overdue { // due on the 14th, judged on the 15th
				t.Errorf("the oldest is %v days overdue, want %v", age, tt.overdue)
			}
		})
	}
}

// Which projects count: the customer decides, and the status of today.
func TestOverdueProjects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		project evidence.Project
		counted bool
	}{
		{"open, for a customer", evidence.Project{Status: "Open", Customer: "C"}, true},
		{"without customer", evidence.Project{Status: "Open"}, false},
		{"for a customer, but called internal", evidence.Project{Status: "Open", Customer: "C", Internal: true}, true},
		{"completed", evidence.Project{Status: "Completed", Customer: "C"}, false},
		{"cancelled", evidence.Project{Status: "Cancelled", Customer: "C"}, false},
		{"of unknown status", evidence.Project{Customer: "C"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := house()
			tt.project.Ref, tt.project.Title = ref("Project", "P"), "Pilot"
			s.Projects = []evidence.Project{tt.project}
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T"), Project: "P", Status: "Open", Due: date("2026-11-01")}}
			if v := one(t, s, measure.OverduePct, "2026-W46"); v.Has != tt.counted {
				t.Errorf("has a value: %v, want %v", v.Has, tt.counted)
			}
		})
	}
}

// As of now a site that keeps the time of day is judged by it.
func TestOverdueByTheHour(t *testing.T) {
	t.Parallel()
	for at, want := range map[time.Time]float64{friday.Add(-time.Second): 1, friday: 0, friday.Add(time.Second): 0} {
		s := house()
		s.Tasks = []evidence.Task{{Ref: ref("Task", "T"), Project: "P", Status: "Open", Due: evidence.DateIn(friday, time.UTC), DueAt: at}}
		if v := one(t, s, measure.OverduePct, "2026-W47"); v.Numerator != want || !v.Current {
			t.Errorf("due %v, now %v: %v overdue, want %v", at, friday, v.Numerator, want)
		}
	}
}

// A past figure is reconstructed unless every version was seen by then.
func TestReconstructed(t *testing.T) {
	t.Parallel()
	s := house()
	s.Tasks = []evidence.Task{{Ref: ref("Task", "T"), Project: "P", Status: "Open", Due: date("2026-11-01")}}
	if v := one(t, s, measure.OverduePct, "2026-W46"); !v.Reconstructed {
		t.Error("seen today, and last week's figure is not reconstructed")
	}
	if v := one(t, s, measure.OverduePct, "2026-W47"); v.Reconstructed {
		t.Error("today's figure is reconstructed")
	}
	sunday := time.Date(2026, 11, 15, 23, 0, 0, 0, time.UTC)
	s.Tasks[0].Seen, s.Projects[0].Seen = sunday, sunday
	if v := one(t, s, measure.OverduePct, "2026-W46"); v.Reconstructed {
		t.Error("seen by the Sunday, and still reconstructed")
	}
	for name, change := range map[string]func(*evidence.Ref){
		"a task seen on the Monday":         func(r *evidence.Ref) { r.Seen = sunday.Add(time.Hour) },
		"a task of which nobody knows when": func(r *evidence.Ref) { r.Seen = time.Time{} },
		"a task worked out":                 func(r *evidence.Ref) { r.Reconstructed = true },
	} {
		s := house()
		s.Projects[0].Seen = sunday
		early := evidence.Task{Ref: ref("Task", "Early"), Project: "P", Status: "Open"}
		early.Seen = sunday
		k := evidence.Task{Ref: ref("Task", "T"), Project: "P", Status: "Open"}
		k.Seen = sunday
		change(&k.Ref)
		s.Tasks = []evidence.Task{early, k, {Ref: early.Ref, Project: "P"}}
		s.Tasks[2].Name = "Z"
		values := measure.All(s, measure.Options{})
		for _, title := range []string{"", "Pilot"} {
			if v := find(t, values, measure.OverduePct, "2026-W46", title); !v.Reconstructed {
				t.Errorf("%s: the figure of %q is certain", name, title)
			}
			if v := find(t, values, measure.OverduePct, "2026-W47", title); v.Reconstructed {
				t.Errorf("%s: today's figure of %q is reconstructed", name, title)
			}
		}
	}
	s.Projects = append(s.Projects, evidence.Project{Ref: ref("Project", "Closed since"), Status: "Completed", Customer: "D"})
	if v := one(t, s, measure.OverduePct, "2026-W46"); !v.Reconstructed {
		t.Error("a project that may have been open then leaves the figure certain")
	}
}

// Where the site keeps versions they tell the end date of then; else our own
// captures do; text that is no date tells nothing.
func TestOverdueWithVersions(t *testing.T) {
	t.Parallel()
	move := func(from string, at time.Time, own bool) evidence.Change {
		return evidence.Change{Ref: ref("Task", "T"), Field: "exp_end_date", From: from, To: "2026-12-01", At: at, Own: own}
	}
	monday := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		changes []evidence.Change
		want    float64
	}{
		{"never moved", nil, 0},
		{"moved after the week", []evidence.Change{move("2026-11-10", monday, false)}, 1},
		{"moved within the week", []evidence.Change{move("2026-11-10", monday.Add(-time.Second), false)}, 0},
		{"moved twice: the first move after the week counts", []evidence.Change{move("2026-11-20", monday.Add(time.Hour), false), move("2026-11-10", monday, false)}, 1},
		{"seen by us alone", []evidence.Change{move("2026-11-10", monday, true)}, 1},
		{"the site saw the move on Sunday, we on Monday", []evidence.Change{move("2026-11-10", monday, true), move("2026-11-10", monday.Add(-time.Hour), false)}, 0},
		{"had no end date then", []evidence.Change{move("", monday, false)}, 0},
		{"not a date", []evidence.Change{move("10.11.2026", monday, false)}, 0},
		{"by the hour, on the Sunday", []evidence.Change{move("2026-11-15 08:00:00", monday, false)}, 0},
		{"at midnight, which ends the Saturday", []evidence.Change{move("2026-11-15 00:00:00", monday, false)}, 1},
		{"another field", []evidence.Change{{Ref: ref("Task", "T"), Field: "subject", From: "2026-11-10", At: monday}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := house()
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T"), Project: "P", Status: "Open", Due: date("2026-12-01")}}
			s.Changes = tt.changes
			v := one(t, s, measure.OverduePct, "2026-W46")
			if v.Numerator != 0 || v.Counts[measure.CountVersionsLate] != tt.want {
				t.Errorf("%v overdue by today's date, %v by that of then; want 0 and %v", v.Numerator, v.Counts[measure.CountVersionsLate], tt.want)
			}
		})
	}
}

// Edge case 13: without projects the figure is not there, and nobody is blamed.
func TestNoProjects(t *testing.T) {
	t.Parallel()
	s := house()
	s.Projects = nil
	s.Channels = map[string]evidence.Channel{"report": {Mapped: true, Authoritative: true}}
	for _, v := range measure.All(s, measure.Options{}) {
		if v.Has || v.Value != 0 || v.Timeliness == measure.Never {
			t.Errorf("%s %s of an empty house: %+v", v.Metric, v.Period, v)
		}
	}
}

// Edge case 15: a young partner has a short window.
func TestYoungPartner(t *testing.T) {
	t.Parallel()
	s := house()
	s.Projects[0].Created = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC) // in W45
	s.People = []evidence.Person{{Ref: evidence.Ref{Name: "old", Created: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	var weeks, months []string
	for _, v := range measure.All(s, measure.Options{}) {
		switch {
		case v.Metric == measure.SLA:
			weeks = append(weeks, v.Period.String())
		case v.Metric == measure.ReadyTAT:
			months = append(months, v.Period.String())
		}
	}
	if diff := cmp.Diff([]string{"2026-W45", "2026-W46", "2026-W47"}, weeks); diff != "" {
		t.Errorf("weeks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"2026-11"}, months); diff != "" {
		t.Errorf("months (-want +got):\n%s", diff)
	}
}

// Edge cases 16 and 17: when a report came, and that 0 is a figure.
func TestReports(t *testing.T) {
	t.Parallel()
	week := evidence.Week{Year: 2026, Number: 44} // ends on 1 November; due by the 4th
	report := func(on string, hour int, value float64) evidence.MetricReport {
		d := date(on)
		return evidence.MetricReport{
			Ref:    evidence.Ref{Site: "erp", Doctype: "Weekly Metric", Name: fmt.Sprint(on, hour, value), Created: d.Start(time.UTC).Add(time.Duration(hour) * time.Hour)},
			Metric: measure.OverduePct, Period: evidence.Period{Week: week}, Value: value, HasValue: true, On: d,
		}
	}
	authoritative := map[string]evidence.Channel{"report": {Mapped: true, Authoritative: true, Streams: []string{"Weekly Metric"}}}
	other := report("2026-11-06", 9, 3)
	other.Name, other.Period.Week = "other", week.Add(-1)
	other.Created = other.Created.Add(10 * time.Minute)
	nothing := report("2026-11-02", 9, 0)
	nothing.HasValue = false
	nan := report("2026-11-02", 9, math.NaN())
	tests := []struct {
		name       string
		reports    []evidence.MetricReport
		change     func(*evidence.Snapshot)
		timeliness measure.Timeliness
		has        bool
		value      float64
	}{
		{"on the last day of grace", []evidence.MetricReport{report("2026-11-04", 9, 50)}, nil, measure.OnTime, true, 50},
		{"a day later", []evidence.MetricReport{report("2026-11-05", 9, 50)}, nil, measure.Late, true, 50},
		{"on the last day before the next was due", []evidence.MetricReport{report("2026-11-11", 9, 50)}, nil, measure.Late, true, 50},
		{"after that", []evidence.MetricReport{report("2026-11-12", 9, 50)}, nil, measure.Backfill, true, 50},
		{"late, together with another week's", []evidence.MetricReport{report("2026-11-06", 9, 50), other}, nil, measure.Backfill, true, 50},
		{"a quarter of an hour after another week's", []evidence.MetricReport{report("2026-11-06", 9, 50), func() evidence.MetricReport {
			r := other
			r.Created = r.Created.Add(5 * time.Minute)
			return r
		}()}, nil, measure.Backfill, true, 50},
		{"a second more", []evidence.MetricReport{report("2026-11-06", 9, 50), func() evidence.MetricReport {
			r := other
			r.Created = r.Created.Add(5*time.Minute + time.Second)
			return r
		}()}, nil, measure.Late, true, 50},
		{"0 is a figure", []evidence.MetricReport{report("2026-11-02", 9, 0)}, nil, measure.OnTime, true, 0},
		{"nothing to report is none", []evidence.MetricReport{nothing}, nil, measure.OnTime, false, 0},
		{"not a number is none", []evidence.MetricReport{nan}, nil, measure.OnTime, false, 0},
		{"a later correction gives the figure, the first report the day", []evidence.MetricReport{report("2026-11-09", 9, 40), report("2026-11-02", 9, 50)}, nil, measure.OnTime, true, 40},
		{"corrected within the day", []evidence.MetricReport{report("2026-11-02", 10, 40), report("2026-11-02", 9, 50)}, nil, measure.OnTime, true, 40},
		{"dated in the future: it is there today", []evidence.MetricReport{func() evidence.MetricReport {
			r := report("2026-11-02", 9, 50)
			r.On = date("2062-11-02")
			return r
		}()}, nil, measure.OnTime, true, 50},
		{"dated in the future, created late", []evidence.MetricReport{func() evidence.MetricReport {
			r := report("2026-11-09", 9, 50)
			r.On = date("2062-11-02")
			return r
		}()}, nil, measure.Late, true, 50},
		{"not there, and silence counts", nil, nil, measure.Never, false, 0},
		{"not there, and the channel is not the only one", nil, func(s *evidence.Snapshot) {
			s.Channels = map[string]evidence.Channel{"report": {Mapped: true}}
		}, measure.Unknown, false, 0},
		{"not there, and nobody has said where", nil, func(s *evidence.Snapshot) {
			s.Channels = map[string]evidence.Channel{"report": {Authoritative: true}}
		}, measure.Unknown, false, 0},
		{"not there, and something else was not read whole", nil, func(s *evidence.Snapshot) {
			s.Coverage = []evidence.Coverage{{Site: "erp", Stream: "Weekly Metric", Complete: true}, {Site: "erp", Stream: "File"}}
		}, measure.Never, false, 0},
		{"not there, and silence proves nothing", nil, func(s *evidence.Snapshot) { s.Channels = nil }, measure.Unknown, false, 0},
		{"not there, and the reports cannot be read", nil, func(s *evidence.Snapshot) {
			s.Gaps = []evidence.Gap{{Site: "erp", Stream: "Weekly Metric", Kind: evidence.Forbidden}}
		}, measure.Unknown, false, 0},
		{"not there, and the reports were not read whole", nil, func(s *evidence.Snapshot) {
			s.Coverage = []evidence.Coverage{{Site: "erp", Stream: "Weekly Metric"}}
		}, measure.Unknown, false, 0},
		{"not there, and there was nothing to report", nil, func(s *evidence.Snapshot) { s.Tasks = nil }, measure.Unknown, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := house()
			s.Channels, s.Reports = authoritative, tt.reports
			s.Tasks = []evidence.Task{{Ref: ref("Task", "1"), Project: "P", Due: date("2026-10-01")}, {Ref: ref("Task", "2"), Project: "P"}}
			if tt.change != nil {
				tt.change(s)
			}
			v := one(t, s, measure.OverduePct, week.String())
			if v.Timeliness != tt.timeliness || v.HasReported != tt.has || v.Reported != tt.value {
				t.Errorf("%s, reported %v (has %v); want %s, %v (%v)", v.Timeliness, v.Reported, v.HasReported, tt.timeliness, tt.value, tt.has)
			}
			if n, several := v.Counts[measure.CountReports]; several != (len(v.ReportedBy) > 1) || several && n != float64(len(v.ReportedBy)) {
				t.Errorf("%v reports are counted, %d are listed", n, len(v.ReportedBy))
			}
			// Nobody reports per project here, so nobody misses to.
			if p := find(t, measure.All(s, measure.Options{}), measure.OverduePct, week.String(), "Pilot"); p.Timeliness != measure.Unknown {
				t.Errorf("the project's own figure: %s", p.Timeliness)
			}
		})
	}
}

// A monthly figure has the same grace, to the next month's.
func TestMonthlyReports(t *testing.T) {
	t.Parallel()
	for on, want := range map[string]measure.Timeliness{"2026-10-03": measure.OnTime, "2026-10-04": measure.Late, "2026-11-03": measure.Late, "2026-11-04": measure.Backfill} {
		s := house()
		s.Reports = []evidence.MetricReport{{Ref: ref("Quality Review", "R"), Metric: measure.Satisfaction, Period: evidence.Period{Month: evidence.Month{Year: 2026, Month: 9}}, Value: 4, HasValue: true, On: date(on)}}
		if v := one(t, s, measure.Satisfaction, "2026-09"); v.Timeliness != want {
			t.Errorf("September's figure on %s: %s, want %s", on, v.Timeliness, want)
		}
	}
}

// Who could have been asked: projects for customers that ran in the month. An
// answer about an internal project is none of a customer.
func TestSatisfactionOfTheMonth(t *testing.T) {
	t.Parallel()
	s := house() // "P" runs
	add := func(name, status string, internal bool, created, done string) {
		p := evidence.Project{Ref: ref("Project", name), Title: name, Status: status, Customer: "C", Internal: internal}
		p.Created = date(created).Start(time.UTC)
		s.Projects = append(s.Projects, p)
		for i, d := range []string{"2026-02-01", done, "2026-03-01"} {
			s.Tasks = append(s.Tasks, evidence.Task{Ref: ref("Task", fmt.Sprint(name, i)), Project: name, Status: "Completed", Completed: date(d)})
		}
		s.Feedback = append(s.Feedback, evidence.Feedback{Ref: ref("Survey", name), Kind: evidence.FeedbackSatisfaction, Project: name, On: date("2026-11-05"), Stars: 5, Rated: true})
	}
	add("ended in October", "Completed", false, "2026-01-05", "2026-10-01")
	add("ended in September", "Completed", false, "2026-01-05", "2026-09-30")
	add("open, quiet since March", "Open", false, "2026-01-05", "2026-03-01")
	add("begun in November", "Open", false, "2026-11-01", "")
	add("called internal", "Open", true, "2026-01-05", "2026-10-10")
	s.Feedback = append(s.Feedback,
		evidence.Feedback{Ref: ref("Survey", "P"), Kind: evidence.FeedbackSatisfaction, Project: "P", On: date("2026-10-05"), Stars: 4, Rated: true},
		evidence.Feedback{Ref: ref("Survey", "internal"), Kind: evidence.FeedbackSatisfaction, Project: "called internal", On: date("2026-10-05"), Stars: 1, Rated: true},
		evidence.Feedback{Ref: ref("Survey", "of no project"), Kind: evidence.FeedbackSatisfaction, On: date("2026-10-05"), Stars: 3, Rated: true})
	v := one(t, s, measure.Satisfaction, "2026-10")
	if v.Value != 3.5 || v.Denominator != 2 || v.Counts[measure.CountOccasions] != 3 || round(v.Counts[measure.CountResponseRate], 2) != 33.33 {
		t.Errorf("October: %v of %v, %v could be asked, response rate %v; want 3.5 of 2, 3, 33.33", v.Value, v.Denominator, v.Counts[measure.CountOccasions], v.Counts[measure.CountResponseRate])
	}
	// September: nobody answered, and somebody could have been asked.
	s.Channels = map[string]evidence.Channel{"report": {Mapped: true, Authoritative: true}, "feedback.satisfaction": {Mapped: true, Streams: []string{"Survey"}}}
	if v := one(t, s, measure.Satisfaction, "2026-09"); v.Has || v.Timeliness != measure.Never || v.Counts[measure.CountOccasions] != 4 {
		t.Errorf("September: %+v, want no value, never reported, 4 that could be asked", v)
	}
	var projects []string
	for _, v := range measure.All(s, measure.Options{}) {
		if v.Metric == measure.Satisfaction && v.Period.String() == "2026-11" && v.Project != "" {
			projects = append(projects, v.Title)
		}
	}
	if diff := cmp.Diff([]string{"begun in November", "ended in October", "ended in September", "open, quiet since March"}, projects); diff != "" {
		t.Errorf("rated in November, also after their end (-want +got):\n%s", diff)
	}
}

// A reported figure stays beside the computed one and differs beyond 2 points,
// 0.1 star or a day, not at it.
func TestDiffers(t *testing.T) {
	t.Parallel()
	overdue := func(reported float64) measure.Value {
		s := house()
		s.Tasks = []evidence.Task{{Ref: ref("Task", "1"), Project: "P", Due: date("2026-10-01")}, {Ref: ref("Task", "2"), Project: "P"}}
		s.Reports = []evidence.MetricReport{{Ref: ref("Weekly Metric", "W"), Metric: measure.OverduePct, Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: 46}}, Value: reported, HasValue: true}}
		return one(t, s, measure.OverduePct, "2026-W46")
	}
	stars := func(reported float64, has bool) measure.Value {
		s := house()
		s.Feedback = []evidence.Feedback{{Ref: ref("Survey", "F"), Kind: evidence.FeedbackDemo, On: date("2026-11-10"), Stars: 4.5, Rated: true}}
		s.Reports = []evidence.MetricReport{{Ref: ref("Weekly Metric", "W"), Metric: measure.DemoFeedback, Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: 46}}, Value: reported, HasValue: has}}
		return one(t, s, measure.DemoFeedback, "2026-W46")
	}
	for _, tt := range []struct {
		name string
		got  measure.Value
		want bool
	}{
		{"2 points", overdue(48), false},
		{"more than 2 points", overdue(47.99), true},
		{"above by more", overdue(52.01), true},
		{"0.1 star", stars(4.4, true), false},
		{"more than 0.1 star", stars(4.39, true), true},
		{"said to be nothing, and there was something", stars(0, false), true},
	} {
		if tt.got.Differs != tt.want {
			t.Errorf("%s: %v against %v differs %v, want %v", tt.name, tt.got.Reported, tt.got.Value, tt.got.Differs, tt.want)
		}
		if tt.got.HasReported && tt.got.Reported == tt.got.Value {
			t.Errorf("%s: the reported figure was replaced", tt.name)
		}
	}
}

// What cannot be read is named, and the metric has no value, not 0.
func TestGapsAreNamed(t *testing.T) {
	t.Parallel()
	all := []string{
		measure.OverduePct, measure.Satisfaction, measure.SupportTAT, measure.ReadyTAT, measure.SLA, measure.TicketFeedback,
		measure.Conversion, measure.DemoFeedback, measure.SalesFeedback, measure.Response,
	}
	streams := map[string][]string{
		"Project": {measure.OverduePct}, "Task": {measure.OverduePct, measure.SupportTAT},
		"Issue": {measure.SLA, measure.TicketFeedback}, "Employee": {measure.ReadyTAT}, "Training Event": {measure.ReadyTAT},
		"Lead": {measure.Response}, "Quotation": {measure.Conversion}, "Sales Order": {measure.Conversion},
		"Customer Survey":            {measure.Satisfaction, measure.DemoFeedback, measure.SalesFeedback},
		"kind:feedback.satisfaction": {measure.Satisfaction}, "kind:feedback.demo": {measure.DemoFeedback},
		"kind:ticket": {measure.SLA, measure.TicketFeedback}, "kind:feedback.ticket": {measure.TicketFeedback}, "kind:project": {measure.OverduePct},
	}
	for stream, affected := range streams {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			s := meridian(t)
			s.Gaps = []evidence.Gap{{Site: "erp", Stream: stream, Kind: evidence.Forbidden, Reason: "no read on it"}}
			seen := make(map[string]bool)
			for _, v := range measure.All(s, measure.Options{}) {
				if v.Project != "" {
					continue
				}
				named := strings.Contains(v.Unknown, stream) && strings.Contains(v.Unknown, "no read on it")
				if slices.Contains(affected, v.Metric) != named || named && (v.Has || v.Value != 0) {
					t.Errorf("%s %s: unknown %q, has %v", v.Metric, v.Period, v.Unknown, v.Has)
				}
				seen[v.Metric] = true
			}
			for _, m := range all {
				if !seen[m] {
					t.Errorf("%s is not there at all", m)
				}
			}
		})
	}
}

// Nobody has said where customers' answers are kept: unknown, and why.
func TestUnmappedFeedback(t *testing.T) {
	t.Parallel()
	v := one(t, house(), measure.DemoFeedback, "2026-W46")
	if v.Has || !strings.Contains(v.Unknown, "feedback.demo") {
		t.Errorf("%+v, want no value and the kind named", v)
	}
}

// A project has a value from its first week on, without one while it has no task.
func TestProjectsOfTheTime(t *testing.T) {
	t.Parallel()
	s := house()
	p := evidence.Project{Ref: ref("Project", "N"), Title: "New", Status: "Open", Customer: "C"}
	p.Created = time.Date(2026, 11, 15, 23, 0, 0, 0, time.UTC) // Sunday of W46
	s.Projects = append(s.Projects, p)
	periods := make(map[string]int)
	for _, v := range measure.All(s, measure.Options{Weeks: 3}) {
		if v.Metric != measure.OverduePct || v.Project == "" {
			continue
		}
		periods[v.Title]++
		if v.Has {
			t.Errorf("%s %s has a value without a task", v.Title, v.Period)
		}
	}
	if diff := cmp.Diff(map[string]int{"Pilot": 4, "New": 2}, periods); diff != "" {
		t.Errorf("periods (-want +got):\n%s", diff)
	}
	// A task older than its project shows that the project was there.
	k := evidence.Task{Ref: ref("Task", "T"), Project: "N", Status: "Open"}
	s.Tasks = []evidence.Task{k}
	if v := find(t, measure.All(s, measure.Options{}), measure.OverduePct, "2026-W45", "New"); !v.Has {
		t.Errorf("the task's week: %+v", v)
	}
}

// Edge case 21: one dead site makes unknown only what it held; a doctype that
// one of two sites lacks is no gap.
func TestSeveralSites(t *testing.T) {
	t.Parallel()
	s := house()
	s.Sites = append(s.Sites, evidence.Site{Key: "desk"})
	p := evidence.Project{Ref: ref("Project", "P"), Title: "Other", Status: "Open", Customer: "D"}
	p.Site = "desk"
	s.Projects = append(s.Projects, p)
	for _, site := range []string{"erp", "desk"} {
		k := evidence.Task{Ref: ref("Task", "T"), Project: "P", Status: "Open", Due: date("2026-11-01")}
		k.Site = site
		s.Tasks = append(s.Tasks, k)
	}
	values := measure.All(s, measure.Options{})
	if v := find(t, values, measure.OverduePct, "2026-W46", ""); v.Denominator != 2 || v.Site != "" {
		t.Errorf("total over two sites: %v of site %q, want 2 of none", v.Denominator, v.Site)
	}
	s.Gaps = []evidence.Gap{{Site: "desk", Stream: "Task", Kind: evidence.Unreachable}}
	values = measure.All(s, measure.Options{})
	if v := find(t, values, measure.OverduePct, "2026-W46", "Pilot"); !v.Has || v.Site != "erp" {
		t.Errorf("the living site's project: %+v", v)
	}
	if v := find(t, values, measure.OverduePct, "2026-W46", "Other"); v.Has || v.Unknown == "" {
		t.Errorf("the dead site's project: %+v", v)
	}
	if v := find(t, values, measure.OverduePct, "2026-W46", ""); v.Has || v.Unknown == "" {
		t.Errorf("the total: %+v", v)
	}
	s.Gaps = []evidence.Gap{{Site: "desk", Stream: "Task", Kind: evidence.Absent}}
	if v := one(t, s, measure.OverduePct, "2026-W46"); !v.Has {
		t.Errorf("a site without the doctype: %+v", v)
	}
	s.Gaps = append(s.Gaps, evidence.Gap{Site: "erp", Stream: "Task", Kind: evidence.Absent})
	if v := one(t, s, measure.OverduePct, "2026-W46"); v.Has {
		t.Errorf("no site with the doctype: %+v", v)
	}
}

// The edges of the service level.
func TestSLAEdges(t *testing.T) {
	t.Parallel()
	opened := time.Date(2026, 11, 10, 9, 0, 0, 0, time.UTC)
	ticket := func(f func(*evidence.Ticket)) evidence.Ticket {
		k := evidence.Ticket{
			Ref: ref("Issue", "I"), Status: "Closed", Closed: true, Opened: opened, Agreement: "Gold", AgreementStatus: "Fulfilled",
			FirstResponse: opened.Add(time.Hour), ResponseDue: opened.Add(time.Hour),
			Resolved: opened.Add(4 * time.Hour), ResolutionDue: opened.Add(4 * time.Hour),
		}
		f(&k)
		return k
	}
	tests := []struct {
		name       string
		ticket     evidence.Ticket
		good, all  float64
		countNamed string
	}{
		{"in time to the second", ticket(func(*evidence.Ticket) {}), 1, 1, ""},
		{"answered a second late, which the site forgives", ticket(func(k *evidence.Ticket) { k.FirstResponse = k.ResponseDue.Add(time.Second) }), 0, 1, measure.CountResponseLate},
		{"resolved a second late", ticket(func(k *evidence.Ticket) { k.Resolved = k.ResolutionDue.Add(time.Second) }), 0, 1, measure.CountResolutionLate},
		{"never answered", ticket(func(k *evidence.Ticket) { k.FirstResponse = time.Time{} }), 0, 1, measure.CountResponseLate},
		{"folded into another", ticket(func(k *evidence.Ticket) { k.Merged = true }), 0, 0, ""},
		{"without agreement", ticket(func(k *evidence.Ticket) { k.Agreement = "" }), 0, 0, measure.CountWithoutAgreement},
		{"answered before it was opened", ticket(func(k *evidence.Ticket) { k.FirstResponse = opened.Add(-time.Hour) }), 0, 0, measure.CountInvalid},
		{"resolved before it was opened", ticket(func(k *evidence.Ticket) { k.Resolved = opened.Add(-time.Hour) }), 0, 0, measure.CountInvalid},
		{"its answer's stamp is unusable", ticket(func(k *evidence.Ticket) { k.FirstResponse, k.Unusable = time.Time{}, []string{"first_responded_on"} }), 0, 0, measure.CountInvalid},
		{"lost its due date", ticket(func(k *evidence.Ticket) { k.ResolutionDue = time.Time{} }), 0, 0, measure.CountNotMeasurable},
		{"closed without a date", ticket(func(k *evidence.Ticket) { k.Resolved = time.Time{} }), 0, 0, measure.CountClosedWithoutDate},
		{"open and late", ticket(func(k *evidence.Ticket) { k.Closed, k.Resolved = false, time.Time{} }), 0, 0, measure.CountOpenAndLate},
		{"resolved the week after: open and late by then", ticket(func(k *evidence.Ticket) { k.Resolved = opened.AddDate(0, 0, 7) }), 0, 0, measure.CountOpenAndLate},
		{"open and late, without agreement", ticket(func(k *evidence.Ticket) { k.Agreement, k.Closed, k.Resolved = "", false, time.Time{} }), 0, 0, ""},
		{"opened after the week", ticket(func(k *evidence.Ticket) {
			k.Closed, k.Resolved, k.Opened, k.ResolutionDue = false, time.Time{}, opened.AddDate(0, 0, 7), opened
		}), 0, 0, ""},
		{"open and paused", ticket(func(k *evidence.Ticket) {
			k.Closed, k.OnHold, k.Resolved, k.ResolutionDue = false, true, time.Time{}, time.Time{}
		}), 0, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := house()
			s.Tickets = []evidence.Ticket{tt.ticket}
			v := one(t, s, measure.SLA, "2026-W46")
			if v.Numerator != tt.good || v.Denominator != tt.all || v.Has != (tt.all > 0) {
				t.Errorf("%v of %v, want %v of %v", v.Numerator, v.Denominator, tt.good, tt.all)
			}
			for _, c := range []string{measure.CountResponseLate, measure.CountResolutionLate, measure.CountWithoutAgreement, measure.CountInvalid, measure.CountNotMeasurable, measure.CountClosedWithoutDate, measure.CountOpenAndLate} {
				want := 0.0
				if c == tt.countNamed {
					want = 1
				}
				if v.Counts[c] != want {
					t.Errorf("%s = %v, want %v", c, v.Counts[c], want)
				}
			}
			if tt.all > 0 && v.Counts[measure.CountERPNext] != 100 {
				t.Errorf("the site's own figure = %v, want 100", v.Counts[measure.CountERPNext])
			}
		})
	}
}

// An agreement that promises only an answer has no resolution to be late with.
func TestSLAOfOnePromise(t *testing.T) {
	t.Parallel()
	opened := time.Date(2026, 11, 10, 9, 0, 0, 0, time.UTC)
	s := house()
	s.Agreements = []evidence.Agreement{{Ref: ref("Service Level Agreement", "Gold"), Enabled: true, Priorities: []evidence.AgreementPriority{{Priority: "High", Response: time.Hour}}}}
	s.Tickets = []evidence.Ticket{{Ref: ref("Issue", "I"), Closed: true, Opened: opened, Agreement: "Gold", FirstResponse: opened, ResponseDue: opened.Add(time.Hour), Resolved: opened.AddDate(0, 0, 2)}}
	if v := one(t, s, measure.SLA, "2026-W46"); v.Numerator != 1 || v.Denominator != 1 {
		t.Errorf("%v of %v, want 1 of 1", v.Numerator, v.Denominator)
	}
}

// Ratings outside their scale are left out and counted, 0 is not rated.
func TestRatings(t *testing.T) {
	t.Parallel()
	s := house()
	for i, stars := range []float64{math.NaN(), math.Inf(1), -1, 5.5, 0, 5, 3} {
		s.Feedback = append(s.Feedback, evidence.Feedback{Ref: ref("Survey", fmt.Sprint(i)), Kind: evidence.FeedbackSales, On: date("2026-11-10"), Stars: stars, Rated: true})
	}
	s.Feedback = append(s.Feedback, evidence.Feedback{Ref: ref("Survey", "not rated"), Kind: evidence.FeedbackSales, On: date("2026-11-10"), Stars: 4})
	v := one(t, s, measure.SalesFeedback, "2026-W46")
	if !v.Has || v.Value != 4 || v.Denominator != 2 || v.Counts[measure.CountInvalid] != 4 || v.Counts[measure.CountUnrated] != 2 || v.Counts[measure.CountLow] != 1 || v.Counts[measure.CountMin] != 3 {
		t.Errorf("%v of %v, counts %v; want 4 of 2", v.Value, v.Denominator, v.Counts)
	}
}

// A rating of a ticket that is kept in another doctype counts for the ticket,
// once, in the week it was resolved.
func TestTicketRatingKeptElsewhere(t *testing.T) {
	t.Parallel()
	opened := time.Date(2026, 11, 10, 9, 0, 0, 0, time.UTC)
	s := house()
	s.Tickets = []evidence.Ticket{{Ref: ref("Issue", "I"), Closed: true, Opened: opened, Resolved: opened.Add(time.Hour)}, {Ref: ref("Issue", "J"), Closed: true, Opened: opened, Resolved: opened.Add(time.Hour)}}
	s.Feedback = []evidence.Feedback{
		{Ref: ref("Survey", "1"), Kind: evidence.FeedbackTicket, Ticket: "I", On: date("2026-11-18"), Stars: 4, Rated: true},
		{Ref: ref("Survey", "2"), Kind: evidence.FeedbackTicket, Ticket: "I", On: date("2026-11-18"), Stars: 2, Rated: true},
	}
	v := one(t, s, measure.TicketFeedback, "2026-W46")
	if v.Value != 3 || v.Denominator != 1 || v.Counts[measure.CountResponseRate] != 50 {
		t.Errorf("%v of %v, response rate %v; want 3 of 1, 50", v.Value, v.Denominator, v.Counts[measure.CountResponseRate])
	}
	if v := one(t, s, measure.TicketFeedback, "2026-W47"); v.Has {
		t.Errorf("counted again by the day of the answer: %+v", v)
	}
	s.Feedback[0].Ticket, s.Feedback[1].Ticket = "gone", ""
	if v := one(t, s, measure.TicketFeedback, "2026-W47"); v.Denominator != 2 || v.Value != 3 {
		t.Errorf("answers about no known ticket, by their own day: %v of %v, want 3 of 2", v.Value, v.Denominator)
	}
	// Where the mapping keeps ratings elsewhere, and that cannot be read.
	s.Channels = map[string]evidence.Channel{"feedback.ticket": {Mapped: true, Streams: []string{"Survey"}}, "ticket": {Mapped: true, Streams: []string{"Issue"}}}
	s.Gaps = []evidence.Gap{{Site: "erp", Stream: "Survey", Kind: evidence.Forbidden}}
	if v := one(t, s, measure.TicketFeedback, "2026-W47"); v.Has || !strings.Contains(v.Unknown, "Survey") {
		t.Errorf("ratings that cannot be read: %+v", v)
	}
	if v := one(t, s, measure.SLA, "2026-W46"); v.Unknown != "" {
		t.Errorf("and the agreements: %q", v.Unknown)
	}
}

// A deal counts once, however many records tell of it.
func TestConversionCountsDealsOnce(t *testing.T) {
	t.Parallel()
	on := date("2026-11-10")
	s := house()
	s.Quotations = []evidence.Quotation{
		{Ref: ref("Quotation", "won"), Deal: "OPP-1", Submitted: true, On: date("2026-11-09"), Won: on},
		{Ref: ref("Quotation", "lost, then ordered"), Submitted: true, Won: on, Lost: date("2026-11-09")},
		{Ref: ref("Quotation", "cancelled"), Cancelled: true, Lost: on},
		{Ref: ref("Quotation", "draft"), On: on},
		{Ref: ref("Quotation", "of the CRM's deal"), Deal: "CRM-1", Submitted: true, Won: on},
		{Ref: ref("Quotation", "lost without a date"), Submitted: true, Status: "Lost", On: date("2026-11-09")},
		{Ref: ref("Quotation", "labelled lost, ordered in August"), Submitted: true, Status: "Lost", Won: date("2026-08-03")},
		{Ref: ref("Quotation", "lost in August"), Submitted: true, Status: "Lost", Lost: date("2026-08-03")},
		{Ref: ref("Quotation", "open"), Submitted: true, Status: "Open"},
	}
	s.Deals = []evidence.Deal{
		{Ref: ref("Opportunity", "OPP-1"), Won: true, Closed: on},
		{Ref: ref("Opportunity", "OPP-2"), Lost: true, Closed: on},
		{Ref: ref("CRM Deal", "CRM-1"), Won: true, Closed: on, Opened: date("2026-11-09")},
		{Ref: ref("Quotation", "won"), Won: true, Closed: on},
		{Ref: ref("CRM Deal", "CRM-2"), Lost: true},
		{Ref: ref("CRM Deal", "CRM-3")},
	}
	v := one(t, s, measure.Conversion, "2026-W46")
	if v.Numerator != 3 || v.Denominator != 4 || v.Counts[measure.CountLostWithoutDate] != 2 {
		t.Errorf("%v of %v, %v lost without a date; want 3 of 4, 2", v.Numerator, v.Denominator, v.Counts[measure.CountLostWithoutDate])
	}
	if v.Counts[measure.CountCohortWon] != 2 || v.Counts[measure.CountCohortLost] != 1 || v.Counts[measure.CountMean] != 75 {
		t.Errorf("cohort %v won, %v lost, own mean %v; want 2, 1, 75", v.Counts[measure.CountCohortWon], v.Counts[measure.CountCohortLost], v.Counts[measure.CountMean])
	}
	if v := one(t, s, measure.Conversion, "2026-W45"); v.Has || v.Denominator != 0 {
		t.Errorf("a week without a closing: %+v", v)
	}
}

// Queries: the limit itself is in time, what may still be answered waits, an
// answer before the question is left out.
func TestResponseEdges(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC) // today; the house works from 9
	due := asked.Add(2 * time.Hour)
	tests := []struct {
		name   string
		lead   evidence.Lead
		want   [2]float64
		counts map[string]float64
	}{
		{"answered", evidence.Lead{Received: asked, FirstResponse: asked.Add(time.Hour)}, [2]float64{1, 1}, map[string]float64{measure.CountAnswered: 1}},
		{"after eight working hours", evidence.Lead{Received: asked.AddDate(0, 0, -1), FirstResponse: asked}, [2]float64{1, 1}, map[string]float64{measure.CountAnswered: 1, measure.CountMaxHours: 8}},
		{"a second more", evidence.Lead{Received: asked.AddDate(0, 0, -1), FirstResponse: asked.Add(time.Second)}, [2]float64{0, 1}, map[string]float64{measure.CountAnswered: 1}},
		{"asked after the instant of judgement", evidence.Lead{Received: friday.Add(time.Hour), ResponseDue: friday}, [2]float64{0, 0}, map[string]float64{measure.CountPending: 0}},
		{"on the due date", evidence.Lead{Received: asked, FirstResponse: due, ResponseDue: due}, [2]float64{1, 1}, map[string]float64{measure.CountAnswered: 1}},
		{"after the due date", evidence.Lead{Received: asked, FirstResponse: due.Add(time.Second), ResponseDue: due}, [2]float64{0, 1}, map[string]float64{measure.CountAnswered: 1}},
		{"waiting within the limit", evidence.Lead{Received: asked}, [2]float64{0, 0}, map[string]float64{measure.CountPending: 1}},
		{"waiting beyond it", evidence.Lead{Received: asked, ResponseDue: due}, [2]float64{0, 1}, map[string]float64{measure.CountUnanswered: 1}},
		{"answered before it was asked", evidence.Lead{Received: asked, FirstResponse: asked.Add(-time.Hour)}, [2]float64{0, 0}, map[string]float64{measure.CountInvalid: 1}},
		{"no query on record", evidence.Lead{FirstResponse: asked}, [2]float64{0, 0}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := house()
			tt.lead.Ref = ref("Lead", "L")
			s.Leads = []evidence.Lead{tt.lead}
			v := one(t, s, measure.Response, "2026-W47")
			if v.Numerator != tt.want[0] || v.Denominator != tt.want[1] {
				t.Errorf("%v of %v, want %v", v.Numerator, v.Denominator, tt.want)
			}
			for c, n := range tt.counts {
				if v.Counts[c] != n {
					t.Errorf("%s = %v, want %v", c, v.Counts[c], n)
				}
			}
		})
	}
}

// Durations that end before they began are contradictions, not figures.
func TestNegativeDurations(t *testing.T) {
	t.Parallel()
	s := house()
	s.SignOffs = []evidence.SignOff{{Ref: ref("Task", "G"), Project: "P", Kind: evidence.SignOffGoLive, Done: true, On: date("2026-10-20")}}
	s.Meetings = []evidence.Meeting{{Ref: ref("Task", "H"), Project: "P", Kind: evidence.MeetingHandoverToSupport, Held: true, On: date("2026-10-10")}}
	s.People = []evidence.Person{{Ref: ref("Employee", "E"), Designation: "Senior Consultant", Joined: date("2026-10-20"), Active: true}}
	s.Trainings = []evidence.Training{{Ref: ref("Training Event", "C"), Kinds: []string{"training.consultant"}, Held: true, On: date("2026-10-10"), Present: []string{"E"}}}
	for _, metric := range []string{measure.SupportTAT, measure.ReadyTAT} {
		if v := one(t, s, metric, "2026-10"); v.Has || v.Counts[measure.CountNegative] != 1 {
			t.Errorf("%s: %+v, want no value and one contradiction", metric, v)
		}
	}
	s.Channels = map[string]evidence.Channel{"sign_off.go_live": {Mapped: true, Streams: []string{"Communication", "File", "Task"}}}
	s.Gaps = []evidence.Gap{{Site: "erp", Stream: "Communication", Kind: evidence.Hidden}}
	s.SignOffs = nil // the date needs no proof, so hidden mails hide nothing of it
	if v := one(t, s, measure.SupportTAT, "2026-10"); v.Has || v.Counts[measure.CountWithoutStart] != 1 {
		t.Errorf("handed over without a go-live: %+v", v)
	}
}

// S58 to S61: age, the number of projects and successes outside the period
// change nothing.
func TestInvariance(t *testing.T) {
	t.Parallel()
	base := meridian(t)
	want := measure.All(base, measure.Options{})
	s := meridian(t)
	for i := range 200 {
		p := evidence.Project{Ref: ref("Project", fmt.Sprint("OLD-", i)), Status: "Completed", Customer: "C"}
		p.Created = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
		s.Projects = append(s.Projects, p)
		s.Tasks = append(s.Tasks, evidence.Task{Ref: ref("Task", fmt.Sprint("OLD-", i)), Project: p.Name, Status: "Completed", Completed: date("2011-01-01"), Due: date("2012-01-01")})
		opened := time.Date(2011, 3, 1, 9, 0, 0, 0, time.UTC)
		s.Tickets = append(s.Tickets, evidence.Ticket{Ref: ref("Issue", fmt.Sprint("OLD-", i)), Agreement: "Gold", Closed: true, Opened: opened, FirstResponse: opened, ResponseDue: opened, Resolved: opened, ResolutionDue: opened, Stars: 5, Rated: true})
		s.Quotations = append(s.Quotations, evidence.Quotation{Ref: ref("Quotation", fmt.Sprint("OLD-", i)), Submitted: true, Won: date("2011-03-01"), On: date("2011-02-01")})
	}
	if diff := cmp.Diff(want, measure.All(s, measure.Options{})); diff != "" {
		t.Errorf("a long past changes the present (-want +got):\n%s", diff)
	}
}

// Options stand in for every house default.
func TestOptions(t *testing.T) {
	t.Parallel()
	s := meridian(t)
	values := measure.All(s, measure.Options{Weeks: 2, Months: 1, PopulationCap: 10, OpenOnly: true, ResponseWithin: time.Minute})
	weeks := make(map[string]bool)
	for _, v := range values {
		if v.Metric == measure.OverduePct {
			weeks[v.Period.String()] = true
			if n := len(v.Population); n > 10 || n+v.PopulationMore != int(v.Denominator) {
				t.Errorf("%s lists %d of %v and %d more", v.Period, n, v.Denominator, v.PopulationMore)
			}
			if v.Denominator != v.Counts[measure.CountOpen] {
				t.Errorf("%s counts %v, of which %v are open", v.Period, v.Denominator, v.Counts[measure.CountOpen])
			}
		}
		if v.Metric == measure.Response && v.Numerator != 0 {
			t.Errorf("%s: %v answered within a minute", v.Period, v.Numerator)
		}
	}
	if len(weeks) != 3 {
		t.Errorf("weeks %v, want two full ones and the running one", weeks)
	}
	n, d, ok := measure.Pool([]measure.Value{{Has: true, Numerator: 1, Denominator: 2}, {Numerator: 9, Denominator: 9}, {Has: true, Numerator: 2, Denominator: 2}})
	if n != 3 || d != 4 || !ok {
		t.Errorf("Pool = %v of %v (%v), want 3 of 4", n, d, ok)
	}
	if _, _, ok := measure.Pool(nil); ok {
		t.Error("a pool of nothing has a figure")
	}
}

func TestAllOfNothing(t *testing.T) {
	t.Parallel()
	if got := measure.All(nil, measure.Options{}); got != nil {
		t.Errorf("All(nil) = %v", got)
	}
	if got := measure.All(&evidence.Snapshot{}, measure.Options{}); got != nil {
		t.Errorf("All of a snapshot without an instant = %v", got)
	}
}

// shuffle puts every slice of the snapshot in another order.
func shuffle(s *evidence.Snapshot, seed uint64) *evidence.Snapshot {
	r := rand.New(rand.NewPCG(seed, 7))
	out := *s
	out.Projects, out.Tasks, out.SignOffs, out.Tickets = mixed(r, s.Projects), mixed(r, s.Tasks), mixed(r, s.SignOffs), mixed(r, s.Tickets)
	out.Reports, out.Meetings, out.Leads, out.Deals = mixed(r, s.Reports), mixed(r, s.Meetings), mixed(r, s.Leads), mixed(r, s.Deals)
	out.Quotations, out.Agreements, out.Calendars = mixed(r, s.Quotations), mixed(r, s.Agreements), mixed(r, s.Calendars)
	out.People, out.Trainings, out.Feedback, out.Changes, out.Gaps = mixed(r, s.People), mixed(r, s.Trainings), mixed(r, s.Feedback), mixed(r, s.Changes), mixed(r, s.Gaps)
	return &out
}

func mixed[T any](r *rand.Rand, in []T) []T {
	out := slices.Clone(in)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Another order of the documents gives the same values, and the snapshot is
// left as it was.
func TestAllDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	s := meridian(t)
	want := measure.All(s, measure.Options{})
	if diff := cmp.Diff(meridian(t), s); diff != "" {
		t.Fatalf("All changed its snapshot (-want +got):\n%s", diff)
	}
	for seed := range uint64(5) {
		if diff := cmp.Diff(want, measure.All(shuffle(s, seed), measure.Options{})); diff != "" {
			t.Fatalf("shuffled with %d (-want +got):\n%s", seed, diff)
		}
	}
}

// Whatever a site says: values are finite, a share lies between 0 and 100, what
// has no value is not 0 of something, and order does not matter.
func TestAllTakesAnything(t *testing.T) {
	t.Parallel()
	when := rapid.Map(rapid.IntRange(-3, 400), func(d int) time.Time {
		switch {
		case d == -1:
			return time.Time{}
		case d == -2:
			return time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
		case d == -3:
			return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		}
		return friday.AddDate(0, 0, d-350).Add(time.Duration(d) * time.Minute)
	})
	day := rapid.Map(when, func(t time.Time) evidence.Date { return evidence.DateIn(t, time.UTC) })
	number := rapid.SampledFrom([]float64{0, 1, 4.5, 5, -3, math.NaN(), math.Inf(1), math.MaxFloat64, -math.MaxFloat64})
	status := rapid.SampledFrom([]string{"Open", "Completed", "Cancelled", "Pending Review", "Overdue", "Lost", ""})
	name := rapid.SampledFrom([]string{"A", "B", "C", "", "P/1"})
	rapid.Check(t, func(t *rapid.T) {
		s := &evidence.Snapshot{AsOf: friday, Zone: rapid.SampledFrom([]string{"UTC", "Asia/Kolkata", "no/such zone"}).Draw(t, "zone"), Sites: []evidence.Site{{Key: "erp"}}}
		next := 0
		r := func(doctype string) evidence.Ref {
			next++
			return evidence.Ref{Site: "erp", Doctype: doctype, Name: fmt.Sprint(doctype, next), Created: when.Draw(t, "created"), Modified: when.Draw(t, "modified"), Seen: when.Draw(t, "seen")}
		}
		kinds := []evidence.FeedbackKind{evidence.FeedbackSatisfaction, evidence.FeedbackDemo, evidence.FeedbackSales, evidence.FeedbackTicket}
		metrics := []string{measure.OverduePct, measure.SLA, measure.Satisfaction, measure.DemoFeedback, "other"}
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			p := evidence.Project{Ref: r("Project"), Status: status.Draw(t, "status"), Customer: name.Draw(t, "customer"), Internal: rapid.Bool().Draw(t, "internal")}
			s.Projects = append(s.Projects, p)
			for range rapid.IntRange(0, 4).Draw(t, "tasks") {
				s.Tasks = append(s.Tasks, evidence.Task{Ref: r("Task"), Project: p.Name, Status: status.Draw(t, "status"), Due: day.Draw(t, "due"), DueAt: when.Draw(t, "due at"), Completed: day.Draw(t, "completed"), Review: day.Draw(t, "review")})
				s.Changes = append(s.Changes, evidence.Change{Ref: s.Tasks[len(s.Tasks)-1].Ref, Field: "exp_end_date", From: day.Draw(t, "from").String(), At: when.Draw(t, "at"), Own: rapid.Bool().Draw(t, "own")})
			}
			s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: r("Task"), Project: p.Name, Kind: evidence.SignOffGoLive, Done: true, On: day.Draw(t, "live")})
			s.Meetings = append(s.Meetings, evidence.Meeting{Ref: r("Event"), Project: p.Name, Kind: evidence.MeetingHandoverToSupport, Held: true, On: day.Draw(t, "over")})
			s.Tickets = append(s.Tickets, evidence.Ticket{
				Ref: r("Issue"), Agreement: name.Draw(t, "agreement"), Closed: rapid.Bool().Draw(t, "closed"), Opened: when.Draw(t, "opened"), FirstResponse: when.Draw(t, "answered"),
				ResponseDue: when.Draw(t, "due"), Resolved: when.Draw(t, "resolved"), ResolutionDue: when.Draw(t, "due"), Hold: time.Duration(rapid.Int64().Draw(t, "hold")), Stars: number.Draw(t, "stars"), Rated: rapid.Bool().Draw(t, "rated"),
			})
			s.Feedback = append(s.Feedback, evidence.Feedback{Ref: r("Survey"), Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Project: p.Name, Ticket: "Issue1", On: day.Draw(t, "on"), Stars: number.Draw(t, "stars"), Rated: true})
			s.Quotations = append(s.Quotations, evidence.Quotation{Ref: r("Quotation"), Submitted: true, Status: status.Draw(t, "status"), On: day.Draw(t, "on"), Won: day.Draw(t, "won"), Lost: day.Draw(t, "lost"), Deal: name.Draw(t, "deal")})
			s.Deals = append(s.Deals, evidence.Deal{Ref: r("CRM Deal"), Won: rapid.Bool().Draw(t, "won"), Lost: true, Closed: day.Draw(t, "closed"), Opened: day.Draw(t, "opened")})
			s.Leads = append(s.Leads, evidence.Lead{Ref: r("Lead"), Received: when.Draw(t, "received"), FirstResponse: when.Draw(t, "answered"), ResponseDue: when.Draw(t, "due")})
			s.People = append(s.People, evidence.Person{Ref: r("Employee"), Designation: "Consultant", Joined: day.Draw(t, "joined"), Left: day.Draw(t, "left"), Active: true})
			s.Trainings = append(s.Trainings, evidence.Training{Ref: r("Training Event"), Kinds: []string{"training.consultant"}, Held: true, On: day.Draw(t, "on"), Present: []string{s.People[0].Name}})
			d := day.Draw(t, "period")
			period := evidence.Period{Week: d.Week()}
			if rapid.Bool().Draw(t, "monthly") {
				period = evidence.Period{Month: d.YearMonth()}
			}
			s.Reports = append(s.Reports, evidence.MetricReport{Ref: r("Weekly Metric"), Metric: rapid.SampledFrom(metrics).Draw(t, "metric"), Period: period, Value: number.Draw(t, "value"), HasValue: rapid.Bool().Draw(t, "has"), Target: number.Draw(t, "target"), HasTarget: true, On: day.Draw(t, "on")})
			s.Agreements = append(s.Agreements, evidence.Agreement{Ref: r("Service Level Agreement"), Enabled: true, Hours: [7][]evidence.Hours{1: {{From: rapid.IntRange(-99, 2000).Draw(t, "from"), To: rapid.IntRange(-99, 2000).Draw(t, "to")}}}})
		}
		if rapid.Bool().Draw(t, "gap") {
			s.Gaps = []evidence.Gap{{Site: "erp", Stream: rapid.SampledFrom([]string{"Task", "Issue", "Lead", "kind:deal"}).Draw(t, "stream"), Kind: evidence.Forbidden, Reason: "\xff<b>"}}
		}
		values := measure.All(s, measure.Options{})
		if len(values) == 0 {
			t.Fatal("no values")
		}
		for _, v := range values {
			for _, f := range []float64{v.Value, v.Numerator, v.Denominator, v.Reported, v.Target} {
				if math.IsNaN(f) || math.IsInf(f, 0) {
					t.Fatalf("not finite: %+v", v)
				}
			}
			for k, f := range v.Counts {
				if math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
					t.Fatalf("%s = %v: %+v", k, f, v)
				}
			}
			if v.Has && (v.Denominator <= 0 || v.Unknown != "" || v.Value < 0 || v.Unit == measure.UnitPercent && v.Value > 100 || v.Unit == measure.UnitStars && v.Value > 5) {
				t.Fatalf("not a value: %+v", v)
			}
			if !v.Has && (v.Value != 0 || v.Denominator != 0 || v.Differs) {
				t.Fatalf("no value, and yet one: %+v", v)
			}
		}
		if !slices.IsSortedFunc(values, func(a, b measure.Value) int { return strings.Compare(a.Metric, b.Metric) }) {
			t.Fatal("not sorted by metric")
		}
		got := measure.All(shuffle(s, rapid.Uint64().Draw(t, "shuffle")), measure.Options{})
		if diff := cmp.Diff(values, got, cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("another order, other values (-want +got):\n%s", diff)
		}
	})
}

// big makes up a partner with 50,000 documents.
func big() *evidence.Snapshot {
	s := &evidence.Snapshot{Partner: "big", AsOf: friday, Zone: "Asia/Kolkata", Sites: []evidence.Site{{Key: "erp"}}}
	r := rand.New(rand.NewPCG(1, 2))
	when := func() time.Time { return friday.Add(-time.Duration(r.IntN(400*24)) * time.Hour) }
	on := func() evidence.Date { return evidence.DateIn(when(), time.UTC) }
	id := func(doctype string, i int) evidence.Ref {
		return evidence.Ref{Site: "erp", Doctype: doctype, Name: fmt.Sprintf("%s-%06d", doctype, i), Created: when(), Seen: friday}
	}
	for i := range 300 {
		s.Projects = append(s.Projects, evidence.Project{Ref: id("Project", i), Title: fmt.Sprint("Project ", i), Status: "Open", Customer: "C"})
	}
	for i := range 27_700 {
		t := evidence.Task{Ref: id("Task", i), Project: s.Projects[i%300].Name, Status: "Open", Due: on()}
		if i%3 == 0 {
			t.Status, t.Completed = "Completed", on()
		}
		s.Tasks = append(s.Tasks, t)
	}
	for i := range 10_000 {
		o := when()
		s.Tickets = append(s.Tickets, evidence.Ticket{Ref: id("Issue", i), Agreement: "A", AgreementStatus: "Fulfilled", Closed: true, Opened: o, FirstResponse: o.Add(time.Hour), ResponseDue: o.Add(2 * time.Hour), Resolved: o.Add(time.Duration(r.IntN(50)) * time.Hour), ResolutionDue: o.Add(30 * time.Hour), Stars: float64(i % 6), Rated: i%6 > 0})
	}
	for i := range 5_000 {
		q := evidence.Quotation{Ref: id("Quotation", i), Submitted: true, On: on()}
		if i%2 == 0 {
			q.Won = on()
		} else {
			q.Lost = on()
		}
		s.Quotations = append(s.Quotations, q)
		s.Feedback = append(s.Feedback, evidence.Feedback{Ref: id("Survey", i), Kind: evidence.FeedbackDemo, On: on(), Stars: 4, Rated: true})
	}
	for i := range 2_000 {
		o := when()
		s.Leads = append(s.Leads, evidence.Lead{Ref: id("Lead", i), Received: o, FirstResponse: o.Add(time.Duration(r.IntN(90)) * time.Hour)})
	}
	return s
}

func BenchmarkAll(b *testing.B) {
	s := big()
	b.ReportAllocs()
	for b.Loop() {
		if len(measure.All(s, measure.Options{})) == 0 {
			b.Fatal("no values")
		}
	}
}
