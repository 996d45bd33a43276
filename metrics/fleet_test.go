package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules/programme"
)

// Alerts of no partner are series like the others.
func TestAlertsOfNoPartner(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	set, err := metrics.New(reg, "test", "go")
	if err != nil {
		t.Fatal(err)
	}
	set.SetState(metrics.State{Alerts: []programme.Alert{{Rule: programme.RuleRequestUnmatched, Severity: programme.Warning, Firing: true}, {Rule: programme.RuleOutboxStuck, Severity: programme.Critical}}})
	want := `
# HELP prmsync_alert_firing Alerts of the catalogue that are firing, by rule; those that a person snoozed do not count.
# TYPE prmsync_alert_firing gauge
prmsync_alert_firing{partner="",rule="request_unmatched",severity="Warning"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "prmsync_alert_firing"); err != nil {
		t.Error(err)
	}
}
