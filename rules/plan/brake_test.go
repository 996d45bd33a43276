package plan_test

import (
	"fmt"
	"testing"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

// fleet is n verdicts of one partner, of which the first flipped are to.
func fleet(n, changed int, from, to rules.Outcome) []rules.Assessment {
	a := rules.Assessment{Partner: "meridian", Key: "meridian-cont-2026w12", Kind: rules.Continuous}
	for i := range n {
		v := rules.Verdict{Criterion: fmt.Sprintf("c%03d", i), Outcome: from}
		if i < changed {
			v.Outcome = to
		}
		a.Verdicts = append(a.Verdicts, v)
	}
	return []rules.Assessment{a}
}

func TestBrake(t *testing.T) {
	t.Parallel()
	const share = 0.2
	for name, c := range map[string]struct {
		before, after []rules.Assessment
		share         float64
		flips         int
		stop          bool
	}{
		"more than the share flips":     {fleet(100, 0, rules.Met, rules.Met), fleet(100, 21, rules.Met, rules.NotMet), share, 21, true},
		"and back":                      {fleet(100, 0, rules.NotMet, rules.Met), fleet(100, 21, rules.NotMet, rules.Met), share, 21, true},
		"exactly the share passes":      {fleet(100, 0, rules.Met, rules.Met), fleet(100, 20, rules.Met, rules.NotMet), share, 20, false},
		"exactly twenty of few stop":    {fleet(50, 0, rules.Met, rules.Met), fleet(50, 20, rules.Met, rules.NotMet), share, 20, true},
		"nineteen never stop":           {fleet(19, 0, rules.Met, rules.Met), fleet(19, 19, rules.Met, rules.NotMet), share, 19, false},
		"unknown counts for nothing":    {fleet(100, 0, rules.Met, rules.Met), fleet(100, 90, rules.Met, rules.Insufficient), share, 0, false},
		"from unknown neither":          {fleet(100, 0, rules.Insufficient, rules.Met), fleet(100, 90, rules.Insufficient, rules.Met), share, 0, false},
		"a first assessment passes":     {nil, fleet(100, 90, rules.Met, rules.NotMet), share, 0, false},
		"a share of zero never engages": {fleet(100, 0, rules.Met, rules.Met), fleet(100, 90, rules.Met, rules.NotMet), 0, 90, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := plan.Brake(c.before, c.after, c.share)
			if len(b.Flips) != c.flips || b.Stop != c.stop {
				t.Errorf("%d flips, stop %v; want %d, %v (%s)", len(b.Flips), b.Stop, c.flips, c.stop, b)
			}
			if again := plan.Brake(c.before, c.after, c.share); again.ID != b.ID {
				t.Errorf("the ID is %s, then %s", b.ID, again.ID)
			}
		})
	}
}

func TestPlainIsSettled(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", " a  b ": "a b", "a<b>": "a‹b›", "R&D \"x\"": "R&D \"x\"", "tab\there": "tab here", "": "", " ": "", "end ": "end", "0123456789abc": "012345678…",
	} {
		got := plan.Plain(in, 10)
		if got != want {
			t.Errorf("Plain(%q) is %q, want %q", in, got, want)
		}
		if again := plan.Plain(got, 10); again != got {
			t.Errorf("Plain(%q) is %q the second time", got, again)
		}
	}
}
