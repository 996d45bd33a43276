package measure_test

import (
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// A stamp that had to be left unset is not a reply that never came.
func TestTicketsWithUnusableStampsAreLeftOut(t *testing.T) {
	t.Parallel()
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	s := &evidence.Snapshot{AsOf: at(20, 18), Zone: "UTC", Tickets: []evidence.Ticket{{
		Ref: evidence.Ref{Site: "erp", Doctype: "Issue", Name: "1", Created: at(10, 9)}, Closed: true, Opened: at(10, 9), Agreement: "SLA",
		ResponseDue: at(10, 12), ResolutionDue: at(11, 9), Resolved: at(10, 15), Unusable: []string{"first_responded_on"},
	}}}
	s.Projects = []evidence.Project{{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: "P", Created: at(1, 9)}}}
	judged := false
	for _, v := range measure.All(s, measure.Options{Weeks: 2}) {
		judged = judged || v.Metric == measure.SLA && v.Period.String() == "2026-W46"
		if v.Metric == measure.SLA && v.Period.String() == "2026-W46" && (v.Has || v.Counts[measure.CountInvalid] != 1) {
			t.Errorf("%+v, want no value and one ticket left out", v)
		}
	}
	if !judged {
		t.Error("the week was not measured")
	}
}

func TestOneRecordMayReportSeveralMetrics(t *testing.T) {
	t.Parallel()
	ref := evidence.Ref{Site: "erp", Doctype: "Weekly Sheet", Name: "2026-W46", Created: time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC)}
	week := evidence.Period{Week: evidence.Week{Year: 2026, Number: 46}}
	on := evidence.NewDate(2026, 11, 16)
	s := &evidence.Snapshot{AsOf: time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC), Zone: "UTC", Projects: []evidence.Project{
		{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: "P", Created: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)}, Status: "Open"},
	}, Reports: []evidence.MetricReport{
		{Ref: ref, Metric: measure.OverduePct, Period: week, Value: 5, HasValue: true, On: on},
		{Ref: ref, Metric: measure.Conversion, Period: week, Value: 50, HasValue: true, On: on},
	}}
	want := map[string]float64{measure.OverduePct: 5, measure.Conversion: 50}
	for _, v := range measure.All(s, measure.Options{Weeks: 2}) {
		if figure, ok := want[v.Metric]; ok && v.Period == week {
			if !v.HasReported || v.Reported != figure {
				t.Errorf("%s: reported %v (%t), want %v", v.Metric, v.Reported, v.HasReported, figure)
			}
			delete(want, v.Metric)
		}
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
}
