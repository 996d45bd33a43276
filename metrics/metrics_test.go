package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/programme"
)

var asOf = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func week(s string) evidence.Period {
	w, err := evidence.ParseWeek(s)
	if err != nil {
		panic(err)
	}
	return evidence.Period{Week: w}
}

func partner() metrics.Partner {
	return metrics.Partner{
		Assessment: rules.Assessment{
			Partner: "acme", AsOf: asOf, LevelLow: 2, LevelHigh: 4,
			Verdicts: []rules.Verdict{
				{Criterion: "impl.followed", Outcome: rules.NotMet},
				{Criterion: "impl.unasked", Outcome: rules.NotApplicable},
				{Criterion: "gen.allhands", Outcome: rules.Met, Override: &rules.Override{Outcome: rules.NotMet}},
			},
			Metrics: []measure.Value{
				{Metric: measure.OverduePct, Period: week("2026-W46"), Has: true, Value: 10, Numerator: 1, Denominator: 10},
				{Metric: measure.OverduePct, Period: week("2026-W47"), Has: true, Value: 20, Numerator: 4, Denominator: 20, Counts: map[string]float64{"oldest_overdue_days": 3}},
				{Metric: measure.OverduePct, Period: week("2026-W47"), Project: "PROJ-1", Has: true, Value: 100, Numerator: 1, Denominator: 1},
				{Metric: measure.SLA, Period: week("2026-W47"), Has: true, Value: 75, Numerator: 3, Denominator: 4, Counts: map[string]float64{"open_and_late": 2}},
				{Metric: measure.SLA, Period: week("2026-W40"), Timeliness: measure.Never},
			},
			Gaps: []evidence.Gap{{Site: "erp", Stream: "Task", Kind: evidence.Forbidden}, {Site: "erp", Stream: "Lead", Kind: evidence.Unmapped}},
			Coverage: []evidence.Coverage{
				{Site: "erp", Stream: "Project", Rows: 7, LastSuccess: asOf, Complete: true},
				{Site: "erp", Stream: "Task", Rows: 5, LastSuccess: asOf.Add(-time.Hour), Complete: true},
				{Site: "crm", Stream: "Lead", Rows: 9, LastSuccess: asOf.Add(-2 * time.Hour)},
			},
		},
		Alerts: []programme.Alert{{Rule: "site_down", Severity: programme.Critical, Firing: true}, {Rule: "drift", Severity: programme.Info}},
		Sites:  map[string]metrics.Site{"erp": {Up: true, KeyAccepted: true, LastSuccess: asOf, Errors: map[string]int64{"timeout": 2}}},
	}
}

func TestFiguresOfTheLastAssessment(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	set, err := metrics.New(reg, "1.0.0", "go1.26")
	if err != nil {
		t.Fatal(err)
	}
	set.SetPartner("acme", partner())
	want := `# HELP prmsync_tasks_overdue_ratio Share of tasks of open customer projects whose end date has passed, 0 to 1.
# TYPE prmsync_tasks_overdue_ratio gauge
prmsync_tasks_overdue_ratio{partner="acme"} 0.2
# HELP prmsync_sla_fulfilled_ratio Share of the tickets resolved in the last full week whose response and resolution were in time, 0 to 1.
# TYPE prmsync_sla_fulfilled_ratio gauge
prmsync_sla_fulfilled_ratio{partner="acme"} 0.75
# HELP prmsync_criterion_outcome The current outcome of a criterion that applies: 1 for the outcome named, and only that series exists.
# TYPE prmsync_criterion_outcome gauge
prmsync_criterion_outcome{criterion="gen.allhands",outcome="Not Met",partner="acme"} 1
prmsync_criterion_outcome{criterion="impl.followed",outcome="Not Met",partner="acme"} 1
# HELP prmsync_reports_missing Weeks of the judged window for which a weekly figure was due and is not there.
# TYPE prmsync_reports_missing gauge
prmsync_reports_missing{metric="support.metric.sla",partner="acme"} 1
# HELP prmsync_alert_firing Alerts of the catalogue that are firing, by rule; those that a person snoozed do not count.
# TYPE prmsync_alert_firing gauge
prmsync_alert_firing{partner="acme",rule="site_down",severity="Critical"} 1
# HELP prmsync_site_gaps Streams of the site that cannot be seen, by kind of gap.
# TYPE prmsync_site_gaps gauge
prmsync_site_gaps{kind="Forbidden",partner="acme",site="erp"} 1
prmsync_site_gaps{kind="Unmapped",partner="acme",site="erp"} 1
# HELP prmsync_site_coverage_ratio Share of the streams of the site that were read completely, 0 to 1.
# TYPE prmsync_site_coverage_ratio gauge
prmsync_site_coverage_ratio{partner="acme",site="erp"} 0.5
# HELP prmsync_site_oldest_stream_timestamp_seconds Last complete read of that stream of the site that was read longest ago.
# TYPE prmsync_site_oldest_stream_timestamp_seconds gauge
prmsync_site_oldest_stream_timestamp_seconds{partner="acme",site="erp"} 1.7955072e+09
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"prmsync_tasks_overdue_ratio", "prmsync_sla_fulfilled_ratio", "prmsync_criterion_outcome",
		"prmsync_reports_missing", "prmsync_alert_firing", "prmsync_site_gaps", "prmsync_site_coverage_ratio", "prmsync_site_oldest_stream_timestamp_seconds"); err != nil {
		t.Error(err)
	}
	set.Keep(map[string][]string{})
	if n, err := testutil.GatherAndCount(reg, "prmsync_tasks_overdue_ratio", "prmsync_site_up", "prmsync_criterion_outcome", "prmsync_alert_firing"); err != nil || n != 0 {
		t.Errorf("%d series of a partner that was removed (%v)", n, err)
	}
}

// What a site, a person or an operator may write breaks no label: a scrape stays
// lines of text, the value comes back whole, and a status that a person made up is
// not another series.
func TestLabelsTakeAnyText(t *testing.T) {
	t.Parallel()
	hostile := `<script>alert("x")</script>'"\ {} ` + "\n שלום \u202e " + strings.Repeat("W", 200)
	reg := prometheus.NewPedanticRegistry()
	set, err := metrics.New(reg, "1.0.0", "go1.26")
	if err != nil {
		t.Fatal(err)
	}
	p := partner()
	p.Escalations = map[string]int{"Received": 1, hostile: 2, "Made up": 3}
	p.Sites = map[string]metrics.Site{hostile: {Up: true}}
	set.SetPartner(hostile, p)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint finds %v (%v)", problems, err)
	}
	label := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(hostile)
	want := "# HELP prmsync_escalations Escalations by status.\n# TYPE prmsync_escalations gauge\n" +
		`prmsync_escalations{partner="` + label + `",status="Other"} 5` + "\n" +
		`prmsync_escalations{partner="` + label + `",status="Received"} 1` + "\n" +
		"# HELP prmsync_site_up Whether the last read of the site got an answer: 1 or 0.\n# TYPE prmsync_site_up gauge\n" +
		`prmsync_site_up{partner="` + label + `",site="` + label + `"} 1` + "\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "prmsync_escalations", "prmsync_site_up"); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "prmsync_") && !strings.HasPrefix(line, "go_") && !strings.HasPrefix(line, "process_") {
			t.Errorf("a line of the scrape is %q", line)
		}
	}
}

func TestEveryMetricPassesPromlint(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	set, err := metrics.New(reg, "1.0.0", "go1.26")
	if err != nil {
		t.Fatal(err)
	}
	set.SetPartner("acme", partner())
	set.Cycle(time.Second, false)
	set.Wrote("insert", 1)
	set.SetState(metrics.State{Reloaded: asOf})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, m := range metrics.Catalogue() {
		if m.Help == "" || strings.Contains(m.Name, "percent") {
			t.Errorf("%s: no help, or a percentage", m.Name)
		}
		if m.Unit != "" && !strings.Contains(m.Name, m.Unit) {
			t.Errorf("%s does not name its unit %s", m.Name, m.Unit)
		}
	}
}
