package metrics_test

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/prmsync/prmsync/metrics"
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
		if !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s lacks a severity or a summary", r.Alert)
		}
		page := path.Base(r.Annotations["runbook_url"])
		text, err := os.ReadFile("../docs/runbooks/" + page)
		if err != nil {
			t.Errorf("%s: no runbook: %v", r.Alert, err)
		}
		for _, part := range []string{"**Meaning.**", "**First look.**", "**Remedy.**"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s: runbook %s lacks %s", r.Alert, page, part)
			}
		}
		// Silent, firing, resolved: three looks at least.
		if n := strings.Count(tests, "alertname: "+r.Alert+"}") + strings.Count(tests, "alertname: "+r.Alert+"\n"); n < 3 {
			t.Errorf("%s has %d tests, want silent, firing and resolved", r.Alert, n)
		}
	}
}
