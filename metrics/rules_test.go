package metrics_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules/programme"
)

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

func shippedRules(t *testing.T) []rule {
	t.Helper()
	b, err := metrics.Rules.ReadFile("rules/prmsync.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f ruleFile
	if err := yaml.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	var out []rule
	for _, g := range f.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

var metricName = regexp.MustCompile(`prmsync_[a-z_]+`)

func TestRulesUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range metrics.Catalogue() {
		known[m.Name] = true
	}
	for _, r := range shippedRules(t) {
		names := metricName.FindAllString(r.Expr, -1)
		if len(names) == 0 && !strings.HasPrefix(r.Expr, "up{") {
			t.Errorf("%s%s uses no metric of ours: %s", r.Alert, r.Record, r.Expr)
		}
		for _, n := range names {
			if !known[n] {
				t.Errorf("%s%s uses %s, which is not exported", r.Alert, r.Record, n)
			}
		}
	}
}

func TestEachAlertHasSeverityRunbookAndTests(t *testing.T) {
	t.Parallel()
	var tests string
	for _, name := range []string{"rules/prmsync_test.yaml", "rules/prmsync_days_test.yaml"} {
		b, err := metrics.Rules.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests += string(b)
	}
	for _, r := range shippedRules(t) {
		if r.Alert == "" {
			continue
		}
		if !slices.Contains([]string{"info", "warning", "critical", "{{ toLower $labels.severity }}"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s lacks a severity or a summary", r.Alert)
		}
		// Silent, firing, resolved: three looks at least.
		if n := strings.Count(tests, "alertname: "+r.Alert+"}") + strings.Count(tests, "alertname: "+r.Alert+"\n"); n < 3 {
			t.Errorf("%s has %d tests, want silent, firing and resolved", r.Alert, n)
		}
		_, page, _ := strings.Cut(r.Annotations["runbook_url"], "/blob/main/docs/")
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Errorf("%s: no runbook: %v", r.Alert, err)
		}
		for _, part := range []string{"**Meaning.**", "**First look.**", "**Remedy.**"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s: runbook %s lacks %s", r.Alert, page, part)
			}
		}
	}
}

// Every alert of the catalogue that is meant for Prometheus reaches a person by one
// of the shipped rules: by its own number, by name, or by the rule for all others.
func TestEveryCatalogueAlertHasARule(t *testing.T) {
	t.Parallel()
	own := map[string]string{
		programme.RuleSiteDown: "PrmsyncSiteDown", programme.RuleKeyRejected: "PrmsyncKeyRejected", programme.RulePermissionLost: "PrmsyncPermissionLost",
		programme.RuleEvidenceStale: "PrmsyncEvidenceStale", programme.RuleDrift: "PrmsyncDrift", programme.RuleOverdue: "PrmsyncTasksOverdue",
		programme.RuleSLA: "PrmsyncSLASlowBurn", programme.RuleReportMissing: "PrmsyncReportMissing", programme.RuleTamper: "PrmsyncTamperSignal",
		programme.RuleOutboxStuck: "PrmsyncOutboxStuck", programme.RuleChangeBrake: "PrmsyncBrakeTripped", programme.RuleBraked: "PrmsyncBrakeTripped",
		programme.RuleNCDue7: "PrmsyncNCDueSoon", programme.RuleNCDue1: "PrmsyncNCDueSoon", programme.RuleNCOverdue: "PrmsyncNCOverdue",
		programme.RuleEscalationUnattended: "PrmsyncEscalationUnattended",
	}
	rs := shippedRules(t)
	matcher := regexp.MustCompile(`prmsync_alert_firing\{rule(=~|!~|=)"([^"]+)"\}`)
	for _, c := range programme.Catalogue() {
		if c.Channels&programme.InPrometheus == 0 {
			continue
		}
		var by []string
		for _, r := range rs {
			m := matcher.FindStringSubmatch(r.Expr)
			if m != nil && regexp.MustCompile("^(?:"+m[2]+")$").MatchString(c.ID) != (m[1] == "!~") {
				by = append(by, r.Alert)
			}
			if r.Alert != "" && r.Alert == own[c.ID] {
				by = append(by, r.Alert)
			}
		}
		if len(by) != 1 {
			t.Errorf("%s reaches a person by %v, want one rule", c.ID, by)
		}
	}
}
