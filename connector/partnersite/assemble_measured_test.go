package partnersite_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/rules/measure"
)

// From documents to figures: what is assembled from the site's documents
// measures as the tables do that the site was made from.
func TestMeridianMeasuresAsPublished(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/meridian/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	type ratio struct {
		Total struct{ Value float64 }
	}
	var want struct {
		Overdue      map[string]ratio `json:"overdue_pct"`
		WithVersions map[string]ratio `json:"overdue_pct_with_versions"`
		Tickets      map[string]struct {
			Strict, ERPNext struct{ Value float64 }
			Rating          float64
		}
		Sales map[string]struct {
			Conversion float64
			DemoRating *float64 `json:"demo_rating"`
			DealRating *float64 `json:"deal_rating"`
		}
		Satisfaction map[string]struct{ Stars float64 }
		ToSupport    map[string]map[string]float64 `json:"implementation_to_support_days"`
		ToReady      map[string]map[string]float64 `json:"joining_to_ready_days"`
	}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	s := partnersite.Assemble(meridian(t))
	type key struct{ metric, period string }
	values := map[key]measure.Value{}
	for _, v := range measure.All(&s, measure.Options{Weeks: 13}) {
		if v.Project == "" {
			values[key{v.Metric, v.Period.String()}] = v
		}
	}
	compared := 0
	is := func(metric, period string, want float64) {
		v, ok := values[key{metric, period}]
		if !ok {
			return // before the window
		}
		compared++
		if !v.Has || math.Abs(v.Value-want) > 0.006 {
			t.Errorf("%s %s = %v (%t, %s), want %v", metric, period, v.Value, v.Has, v.Unknown, want)
		}
	}
	for period, r := range want.Overdue {
		is(measure.OverduePct, period, r.Total.Value)
	}
	for period, r := range want.WithVersions {
		if v, ok := values[key{measure.OverduePct, period}]; ok && math.Abs(v.Counts[measure.CountWithVersions]-r.Total.Value) > 0.006 {
			t.Errorf("overdue with the dates of then, %s = %v, want %v", period, v.Counts[measure.CountWithVersions], r.Total.Value)
		}
	}
	for period, r := range want.Tickets {
		is(measure.SLA, period, r.Strict.Value)
		is(measure.TicketFeedback, period, r.Rating)
	}
	for period, r := range want.Sales {
		is(measure.Conversion, period, r.Conversion)
		if r.DemoRating != nil {
			is(measure.DemoFeedback, period, *r.DemoRating)
		}
		if r.DealRating != nil {
			is(measure.SalesFeedback, period, *r.DealRating)
		}
	}
	for period, r := range want.Satisfaction {
		is(measure.Satisfaction, period, r.Stars)
	}
	mean := func(m map[string]float64) float64 {
		sum := 0.0
		for _, v := range m {
			sum += v
		}
		return sum / float64(len(m))
	}
	for period, r := range want.ToSupport {
		is(measure.SupportTAT, period, mean(r))
	}
	for period, r := range want.ToReady {
		is(measure.ReadyTAT, period, mean(r))
	}
	if compared < 60 {
		t.Errorf("%d figures compared, want the sixty of twelve weeks and three months", compared)
	}
	// What the partner wrote down stands beside it; the two figures that were
	// typed wrongly differ.
	for k, differs := range map[key]bool{
		{measure.OverduePct, "2026-W43"}:     false, // 1.4 points are within the tolerance
		{measure.TicketFeedback, "2026-W44"}: true,
		{measure.SLA, "2026-W46"}:            false,
	} {
		if v := values[k]; !v.HasReported || v.Differs != differs {
			t.Errorf("%v: reported %v (%t), measured %v, differs %t; want %t", k, v.Reported, v.HasReported, v.Value, v.Differs, differs)
		}
	}
	if v := values[key{measure.SalesFeedback, "2026-W41"}]; v.Timeliness != measure.Late {
		t.Errorf("deal rating of W41 came %s, want %s", v.Timeliness, measure.Late)
	}
}
