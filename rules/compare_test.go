package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

func TestCompareNamesTheCause(t *testing.T) {
	t.Parallel()
	at := func(o rules.Outcome, change func(*rules.Verdict)) rules.Verdict {
		v := rules.Verdict{
			Criterion: "impl.plan", Title: "Plan", Outcome: o, Measured: "1 of 2", Expected: "all",
			Evidence: []evidence.Ref{{Site: "erp", Doctype: "Task", Name: "T1", Hash: "a"}},
		}
		if change != nil {
			change(&v)
		}
		return v
	}
	gap := func(v *rules.Verdict) {
		v.Unknowns = []rules.Unknown{{Attribute: "Task", Stream: "Task", Site: "erp", Kind: evidence.Forbidden, Reason: "permission denied"}}
	}
	tests := []struct {
		name         string
		before       rules.Verdict
		after        rules.Verdict
		pack1, pack2 string
		want         []rules.Cause
		says         string
	}{
		{"a record changed", at(rules.Met, nil), at(rules.NotMet, func(v *rules.Verdict) { v.Evidence[0].Hash = "b" }), "x", "x", []rules.Cause{rules.CauseData}, "1 changed"},
		{"a record came", at(rules.NotMet, nil), at(rules.Met, func(v *rules.Verdict) { v.Evidence = append(v.Evidence, evidence.Ref{Name: "T2"}) }), "x", "x", []rules.Cause{rules.CauseData}, "1 are new"},
		{"the pack changed", at(rules.Met, nil), at(rules.NotMet, nil), "x", "y", []rules.Cause{rules.CauseRules}, "version 1 to 2"},
		{"a permission was lost", at(rules.Met, nil), at(rules.Insufficient, gap), "x", "x", []rules.Cause{rules.CauseReach}, "Task on erp can no longer be read"},
		{"a permission was given", at(rules.Insufficient, gap), at(rules.Met, nil), "x", "x", []rules.Cause{rules.CauseReach}, "can be read now"},
		{"a person judged", at(rules.Manual, nil), at(rules.Manual, func(v *rules.Verdict) {
			v.Override = &rules.Override{ID: "1", Outcome: rules.Met, By: "Ada", Reason: "seen on site"}
		}), "x", "x", []rules.Cause{rules.CausePeople}, "Ada judged it Met: seen on site"},
		{"only time went by", at(rules.NotApplicable, nil), at(rules.NotMet, nil), "x", "x", []rules.Cause{rules.CauseTime}, "moved on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := rules.Assessment{Verdicts: []rules.Verdict{tt.before}, Pack: rules.PackID{Version: "1", SHA256: tt.pack1}}
			b := rules.Assessment{Verdicts: []rules.Verdict{tt.after}, Pack: rules.PackID{Version: "2", SHA256: tt.pack2}}
			got := rules.Compare(a, b)
			if len(got) != 1 {
				t.Fatalf("Compare = %+v, want one change", got)
			}
			if diff := cmp.Diff(tt.want, got[0].Causes); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			if !strings.Contains(got[0].Says, tt.says) {
				t.Errorf("says %q, want %q in it", got[0].Says, tt.says)
			}
		})
	}
	same := rules.Assessment{Verdicts: []rules.Verdict{at(rules.Met, nil)}}
	if got := rules.Compare(same, same); len(got) != 0 {
		t.Errorf("Compare of equals = %+v, want nothing", got)
	}
}

func TestDiffSaysWhatAnotherPackWouldChange(t *testing.T) {
	t.Parallel()
	const text = `name: small
version: "1"
criteria:
  - id: gen.certified
    title: certified
    level: 2
    department: general
    severity: NC
    thresholds: {least: {value: 2, unit: certificates}}
    pass: partner.certificates >= least
    expected: at least {least}
`
	before, err := rules.ParsePack("a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	after, err := rules.ParsePack("b.yaml", []byte(strings.Replace(text, "value: 2", "value: 3", 1)))
	if err != nil {
		t.Fatal(err)
	}
	two := 2
	s := evidence.Snapshot{Partner: "p", AsOf: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Zone: "UTC"}
	got, err := rules.Diff(before, after, []rules.Input{{Snapshot: &s, CertifiedMembers: &two}})
	if err != nil {
		t.Fatal(err)
	}
	want := []rules.PackChange{{Partner: "p", Criterion: "gen.certified", From: "Met", To: "Not Met", Why: "threshold least went from 2 to 3", Measured: "0 of 1", Expected: "at least 3"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Diff (-want +got):\n%s", diff)
	}
}
