//go:build promtool

package metrics_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEachRuleIsHeldByItsTests silences one rule after the other: the rules'
// own tests must notice each time. Needs promtool.
func TestEachRuleIsHeldByItsTests(t *testing.T) {
	t.Parallel()
	text := mustRead(t, "rules/prmsync.yaml")
	// own keeps the tests that look at the alert, with their file's head: the
	// others cannot notice.
	own := func(alert string) string {
		for _, name := range []string{"rules/prmsync_test.yaml", "rules/prmsync_days_test.yaml"} {
			head, blocks, ok := strings.Cut(string(mustRead(t, name)), "\n  - name: ")
			if !ok {
				t.Fatalf("%s has no tests", name)
			}
			out := ""
			for block := range strings.SplitSeq(blocks, "\n  - name: ") {
				if strings.Contains(block, "alertname: "+alert+"\n") {
					out += "\n  - name: " + block
				}
			}
			if out != "" {
				return head + out
			}
		}
		t.Fatalf("no test looks at %s", alert)
		return ""
	}
	promtool := func(t *testing.T, rules, tests string) error {
		dir := t.TempDir()
		for name, content := range map[string]string{"prmsync.yaml": rules, "prmsync_test.yaml": tests} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "promtool", "test", "rules", "prmsync_test.yaml")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "FAILED") {
			t.Fatalf("promtool: %v: %s", err, out)
		}
		return err
	}
	for _, r := range shippedRules(t) {
		if r.Alert == "" {
			continue
		}
		t.Run(r.Alert, func(t *testing.T) {
			t.Parallel()
			if err := promtool(t, string(text), own(r.Alert)); err != nil {
				t.Fatalf("the shipped rule fails its own tests: %v", err)
			}
			broken := strings.Replace(string(text), "- alert: "+r.Alert+"\n        expr: "+r.Expr, "- alert: "+r.Alert+"\n        expr: vector(0) > 1", 1)
			if broken == string(text) {
				t.Fatal("the rule was not found in the file")
			}
			if promtool(t, broken, own(r.Alert)) == nil {
				t.Error("no test notices that the rule never fires")
			}
		})
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What an operator may call a partner or a site breaks no rule: the summary holds it
// as it is, whatever it looks like in PromQL, in a template or in HTML.
func TestRulesTakeAnyName(t *testing.T) {
	t.Parallel()
	name := `<b>"x"</b>'\ {{ end }} {} $1 שלום ` + "\u202e" + strings.Repeat("W", 200)
	quote := func(s string) string { // of YAML, double
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	label := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"` // of PromQL
	series := "prmsync_site_up{partner=" + label + ",site=" + label + "}"
	firing := "prmsync_alert_firing{partner=" + label + `,rule="decision_needed",severity="Warning"}`
	const runbooks = "https://github.com/prmsync/prmsync/blob/main/docs/runbooks/"
	test := "rule_files: [" + quote(mustAbs(t, "rules/prmsync.yaml")) + "]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n" +
		"      - {series: " + quote(series) + ", values: '0x30'}\n" +
		"      - {series: " + quote(firing) + ", values: '1x30'}\n" +
		"    alert_rule_test:\n      - eval_time: 20m\n        alertname: PrmsyncSiteDown\n        exp_alerts:\n" +
		"          - exp_labels: {severity: critical, concern: site, partner: " + quote(name) + ", site: " + quote(name) + "}\n" +
		"            exp_annotations: {summary: " + quote(name+": site "+name+" does not answer") + ", runbook_url: " + quote(runbooks+"site-down.md") + "}\n" +
		"      - eval_time: 20m\n        alertname: PrmsyncProgramme\n        exp_alerts:\n" +
		"          - exp_labels: {severity: warning, concern: programme, rule: decision_needed, partner: " + quote(name) + "}\n" +
		"            exp_annotations: {summary: " + quote(name+": decision_needed fires 1 times") + ", runbook_url: " + quote(runbooks+"programme.md") + "}\n"
	file := filepath.Join(t.TempDir(), "names_test.yaml")
	if err := os.WriteFile(file, []byte(test), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func mustAbs(t *testing.T, name string) string {
	t.Helper()
	p, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
