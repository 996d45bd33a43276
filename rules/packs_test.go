package rules_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/packs"
)

func builtin(t testing.TB) []*rules.Pack {
	t.Helper()
	ps, err := rules.LoadBuiltin()
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func TestPacksOwnTestsHold(t *testing.T) {
	t.Parallel()
	ps := builtin(t)
	rs, err := rules.TestFolder(ps, packs.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if r.Problem != "" {
			t.Errorf("%s: %s: %s: %s", r.File, r.Test, r.Criterion, r.Problem)
		}
	}
}

// unreachable says which outcomes a criterion cannot have, and why; all others
// must be shown by a test of its pack.
var unreachable = map[string]map[rules.Outcome]string{
	"gen.certified":     {rules.NotApplicable: "every company can be certified"},
	"gen.control":       {rules.NotApplicable: "the three departments are always asked"},
	"gen.improvements":  {rules.NotApplicable: "every company can improve"},
	"gen.feedback_avg":  {rules.NotApplicable: "without ratings it is unknown"},
	"gen.allhands":      {rules.NotApplicable: "a window without any week to look at is unknown"},
	"sales.process":     {rules.NotMet: "without a written process a person decides", rules.NotApplicable: "the department is always asked"},
	"impl.process":      {rules.NotMet: "without a written process a person decides", rules.NotApplicable: "the department is always asked"},
	"support.process":   {rules.NotMet: "without a written process a person decides", rules.NotApplicable: "the department is always asked"},
	"sales.dashboard":   {rules.NotApplicable: "the department is always asked"},
	"impl.dashboard":    {rules.NotApplicable: "the department is always asked"},
	"support.dashboard": {rules.NotApplicable: "the department is always asked"},
	"sales.followed":    {rules.NotApplicable: "an empty sample is unknown"},
	"impl.followed":     {rules.NotApplicable: "an empty sample is unknown"},
	"support.followed":  {rules.NotApplicable: "an empty sample is unknown"},
	"support.ticketing": {rules.NotMet: "a quiet customer is for a person to judge"},
	"esc.sales.p1":      {rules.NotMet: "missing training is for a person to judge", rules.NotApplicable: "a project always came from a sale"},
	"esc.sales.p2":      {rules.NotApplicable: "a project always came from a sale"},
	"esc.sales.p3":      {rules.NotApplicable: "a project always came from a sale"},
	"esc.sales.p4":      {rules.NotMet: "a missing estimate is for a person to judge", rules.NotApplicable: "a project always came from a sale"},
	"esc.impl.p1":       {rules.NotMet: "missing certificates are for a person to judge", rules.NotApplicable: "a project always has somebody in the role"},
	"esc.impl.p2":       {rules.NotMet: "missing certificates are for a person to judge", rules.NotApplicable: "a project always has somebody in the role"},
	"esc.impl.p4":       {rules.NotApplicable: "without a template it is unknown"},
	"esc.impl.p11":      {rules.NotMet: "no ticket is no proof of a miss"},
	"esc.dep.c1":        {rules.Met: "only a person says so; see judged", rules.Insufficient: "it is asked of a person at once"},
	"esc.dep.c2":        {rules.Met: "only a person says so; see judged", rules.Insufficient: "it is asked of a person at once"},
	"esc.support.p1":    {rules.NotApplicable: "without ratings it is unknown"},
	"esc.prep.docs":     {rules.NotApplicable: "it is always asked"},
	"esc.prep.people":   {rules.NotApplicable: "it is always asked", rules.Insufficient: "attendance is asked of a person"},
}

func TestEveryOutcomeOfEveryCriterionIsTested(t *testing.T) {
	t.Parallel()
	ps := builtin(t)
	rs, err := rules.TestFolder(ps, packs.Files)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[rules.Outcome]bool{}
	for _, r := range rs {
		if seen[r.Criterion] == nil {
			seen[r.Criterion] = map[rules.Outcome]bool{}
		}
		var o rules.Outcome
		if err := o.UnmarshalText([]byte(r.Want)); err != nil {
			t.Fatalf("%s: %s: %v", r.File, r.Test, err)
		}
		seen[r.Criterion][o] = true
	}
	for _, id := range slices.Concat(rules.CriterionIDs, rules.EscalationIDs) {
		for _, o := range []rules.Outcome{rules.Met, rules.NotMet, rules.Insufficient, rules.NotApplicable} {
			why, cannot := unreachable[id][o]
			switch {
			case !seen[id][o] && !cannot:
				t.Errorf("%s: no test of its pack expects %s", id, o)
			case cannot && why == "":
				t.Errorf("%s: %s is excused without a reason", id, o)
			}
		}
	}
}

func TestPacksHoldEveryID(t *testing.T) {
	t.Parallel()
	want := slices.Concat(rules.CriterionIDs, rules.EscalationIDs)
	var got []string
	for _, p := range builtin(t) {
		for _, c := range p.List() {
			got = append(got, c.ID)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids of the packs (-wanted +found):\n%s", diff)
	}
}
