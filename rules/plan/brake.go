package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/prmsync/prmsync/rules"
)

// brakeFloor is the number of flips below which nothing brakes: a small fleet
// has bad days.
const brakeFloor = 20

// Flip is a verdict that went from Met to Not Met or back.
type Flip struct {
	Partner    string
	Assessment string // key of the newer one
	Criterion  string
	From, To   rules.Outcome
}

// String is the flip on one line.
func (f Flip) String() string {
	return fmt.Sprintf("%s %s: %s → %s", f.Partner, f.Criterion, f.From, f.To)
}

// Braked says how much would change at once.
type Braked struct {
	// ID is the same for the same flips, for a person to approve.
	ID       string
	Stop     bool
	Flips    []Flip // by partner and criterion
	Compared int    // verdicts that both sides have
}

// String is the finding on one line.
func (b Braked) String() string {
	return fmt.Sprintf("%d of %d verdicts would flip between Met and Not Met within 24 hours", len(b.Flips), b.Compared)
}

// Brake compares the whole fleet's assessments as they stood 24 hours ago (or
// when a person last let changes pass, if that is later) with those of now.
// More than share of the verdicts compared, and at least 20, flipping between
// Met and Not Met stop all writing until a person approves: rather a faulty rule
// or reader than that many partners changing on one day. What had no verdict
// before, and changes to and from any other outcome, count for nothing; so do
// people's overrides. A share of 0 never stops.
func Brake(before, after []rules.Assessment, share float64) Braked {
	type spot struct{ partner, kind, record, criterion string }
	spots := func(a rules.Assessment, take func(spot, rules.Verdict)) {
		for _, v := range a.Verdicts {
			take(spot{a.Partner, string(a.Kind), a.Target.Record, v.Criterion}, v)
		}
	}
	was := map[spot]rules.Outcome{}
	for _, a := range before {
		spots(a, func(s spot, v rules.Verdict) { was[s] = v.Outcome })
	}
	var b Braked
	for _, a := range after {
		spots(a, func(s spot, v rules.Verdict) {
			old, ok := was[s]
			if !ok {
				return
			}
			b.Compared++
			if old == rules.Met && v.Outcome == rules.NotMet || old == rules.NotMet && v.Outcome == rules.Met {
				b.Flips = append(b.Flips, Flip{Partner: a.Partner, Assessment: a.Key, Criterion: v.Criterion, From: old, To: v.Outcome})
			}
		})
	}
	slices.SortFunc(b.Flips, func(x, y Flip) int {
		return cmp.Or(cmp.Compare(x.Partner, y.Partner), cmp.Compare(x.Criterion, y.Criterion), cmp.Compare(x.Assessment, y.Assessment))
	})
	h := sha256.New()
	for _, f := range b.Flips {
		fmt.Fprintln(h, f.Assessment, f)
	}
	b.ID = "change-" + hex.EncodeToString(h.Sum(nil)[:6])
	b.Stop = share > 0 && len(b.Flips) >= brakeFloor && float64(len(b.Flips)) > share*float64(b.Compared)
	return b
}
