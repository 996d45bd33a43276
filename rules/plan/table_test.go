package plan_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

// The rows of an assessment's verdicts, as they are sent, as they are kept and
// found unchanged, and as a single cell differs.
func TestRowsOfVerdicts(t *testing.T) {
	t.Parallel()
	in := input()
	in.Assessments[0].Verdicts = []rules.Verdict{{
		Criterion: "impl.followed", Title: "Plans are followed", Department: evidence.Implementation, Level: 3, Severity: rules.SeverityNC, Outcome: rules.NotMet,
		Measured: "1 of 2", Expected: "2 of 2", Explanation: "One is\nmissing.", Flag: "look", Evidence: make([]evidence.Ref, 2), Items: []rules.Item{{URL: "https://erp.example/1"}},
	}}
	var change plan.Change
	for _, c := range plan.Diff(plan.Wanted(in), none, now) {
		if c.Doctype == plan.DoctypeAssessment {
			change = c
		}
	}
	want := []map[string]any{{
		"criterion": "impl.followed", "statement": "Plans are followed", "department": "Implementation", "level": 3, "severity": "NC", "verdict": "Not Met", "measured": "1 of 2",
		"expected": "2 of 2", "explanation": "One is\nmissing.", "flag": "look", "evidence_count": 2, "proposed_nc": 0, "evidence_url": "https://erp.example/1",
	}}
	if diff := cmp.Diff(any(want), change.Fields["results"]); diff != "" {
		t.Fatalf("rows (-want +got):\n%s", diff)
	}

	kept := func(alter func(fields map[string]any)) plan.Lookup {
		b, err := json.Marshal(change.Fields)
		if err != nil {
			t.Fatal(err)
		}
		k := plan.Known{Doctype: change.Doctype, Key: change.Name, Written: now}
		if err := json.Unmarshal(b, &k.Fields); err != nil {
			t.Fatal(err)
		}
		alter(k.Fields)
		return func(doctype, key string) (plan.Known, bool) { return k, doctype == k.Doctype && key == k.Key }
	}
	again := func(find plan.Lookup) (n int, rows any) {
		for _, c := range plan.Diff(plan.Wanted(in), find, now) {
			if c.Doctype == plan.DoctypeAssessment {
				n, rows = n+1, c.Fields["results"]
			}
		}
		return n, rows
	}
	if n, rows := again(kept(func(map[string]any) {})); n != 0 {
		t.Errorf("unchanged rows are written again: %v", rows)
	}
	for name, alter := range map[string]func(fields map[string]any){
		"another verdict": func(f map[string]any) { f["results"].([]any)[0].(map[string]any)["verdict"] = "Met" },
		"a row too many":  func(f map[string]any) { f["results"] = append(f["results"].([]any), map[string]any{}) },
		"no rows":         func(f map[string]any) { f["results"] = []any{} },
		"nothing":         func(f map[string]any) { delete(f, "results") },
		"a missing cell":  func(f map[string]any) { delete(f["results"].([]any)[0].(map[string]any), "criterion") },
	} {
		if n, rows := again(kept(alter)); n != 1 || !cmp.Equal(rows, any(want)) {
			t.Errorf("%s: %d changes with %v, want one with all rows", name, n, rows)
		}
	}
}
