package programme_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/programme"
)

// The table below was written by hand from the procedure, not from the code. A
// line holds for the awarded level and the verdicts on PMM 3, 4, 5 (m met, x
// missed, - not decided, * any); the first line that fits counts. It is what
// follows while an escalation's NC is overdue.
const downgradeTable = `
awarded 345  effective proposed decide
0       ***  0         0        yes
1       ***  1         0        no
2       ***  2         0        no
3       x**  2         0        no
4       x**  2         0        no
5       x**  2         0        no
3       -**  3         0        yes
4       -**  4         0        yes
5       -**  5         0        yes
3       m**  3         0        no
4       mx*  4         3        yes
4       m-*  4         0        yes
4       mm*  4         0        no
5       mx*  5         3        yes
5       m-*  5         0        yes
5       mmx  4         0        no
5       mm-  5         0        yes
5       mmm  5         0        no
`

type row struct {
	awarded             int
	pattern             string
	effective, proposed int
	decide              bool
}

func table(t *testing.T) []row {
	t.Helper()
	var out []row
	for _, line := range lines(downgradeTable)[1:] {
		var r row
		var decide string
		if _, err := fmt.Sscanf(line, "%d %s %d %d %s", &r.awarded, &r.pattern, &r.effective, &r.proposed, &decide); err != nil {
			t.Fatal(line, err)
		}
		r.decide = decide == "yes"
		out = append(out, r)
	}
	return out
}

func (r row) fits(awarded int, c [3]programme.Confirmation) bool {
	if r.awarded != awarded {
		return false
	}
	for i, p := range r.pattern {
		letter := map[programme.Confirmation]rune{programme.Unconfirmed: '-', programme.Holds: 'm', programme.Missed: 'x'}[c[i]]
		if p != '*' && p != letter {
			return false
		}
	}
	return true
}

// Every awarded level with every combination of verdicts and every set of up to
// two NCs in every state, in time and after it.
func TestDowngradeTruthTable(t *testing.T) {
	t.Parallel()
	today := day(t, "2026-11-24")
	type ncState struct {
		nc      programme.NC
		overdue bool
	}
	var states []ncState
	for _, status := range []string{"Open", "WIP", "On Hold", "Closed", "Discarded"} {
		unresolved := status == "Open" || status == "WIP" || status == "On Hold"
		for _, due := range []string{"2026-11-23", "2026-11-24", "2026-11-25"} {
			n := programme.NC{Status: status, Raised: day(t, "2026-01-01"), Expected: day(t, due)}
			states = append(states, ncState{n, unresolved && due < "2026-11-24"})
			n.EverClosed = day(t, "2026-02-01") // opened again
			states = append(states, ncState{n, unresolved && due < "2026-11-24"})
		}
		computed := programme.NC{Status: status, Raised: day(t, "2026-10-23")}
		states = append(states, ncState{computed, unresolved}, ncState{programme.NC{Status: status, Raised: day(t, "2026-10-24")}, false}, ncState{programme.NC{Status: status}, false})
	}
	rows := table(t)
	n := 0
	confirmations := []programme.Confirmation{programme.Unconfirmed, programme.Holds, programme.Missed}
	for awarded := range 6 {
		for _, c3 := range confirmations {
			for _, c4 := range confirmations {
				for _, c5 := range confirmations {
					sets := [][]ncState{nil}
					for i, a := range states {
						sets = append(sets, []ncState{a})
						for _, b := range states[:i] {
							sets = append(sets, []ncState{a, b})
						}
					}
					for _, set := range sets {
						n++
						want := row{awarded: awarded, effective: awarded}
						overdue := false
						var ncs []programme.NC
						for _, s := range set {
							ncs = append(ncs, s.nc)
							overdue = overdue || s.overdue
						}
						if overdue {
							for _, r := range rows {
								if r.fits(awarded, [3]programme.Confirmation{c3, c4, c5}) {
									want = r
									break
								}
							}
							if want.pattern == "" {
								t.Fatalf("the table has no line for %d %v %v %v", awarded, c3, c4, c5)
							}
						}
						got := programme.Downgrade(awarded, programme.Confirmed{PMM3: c3, PMM4: c4, PMM5: c5}, ncs, today)
						if got.Level != want.effective || got.Proposed != want.proposed || got.Decide != want.decide {
							t.Fatalf("awarded %d, PMM 3 %s, 4 %s, 5 %s, NCs %+v: %+v, want %+v", awarded, c3, c4, c5, ncs, got, want)
						}
						if got.Lowered(awarded) != (got.Case != "") {
							t.Fatalf("lowered without a case, or a case without being lowered: %+v", got)
						}
					}
				}
			}
		}
	}
	if n < 100_000 {
		t.Errorf("only %d combinations", n)
	}
}

func drawCase(t *rapid.T) (programme.Input, string) {
	dates := rapid.IntRange(-70, 40)
	today := evidence.NewDate(2026, 11, 24)
	in := programme.Input{Zone: "UTC", Partners: []programme.Partner{{
		Key: "p", AwardedLevel: rapid.IntRange(0, 5).Draw(t, "awarded"), AwardedTier: rapid.SampledFrom([]string{"", "Entry", "Emerging", "Bronze", "Silver", "Gold"}).Draw(t, "tier"),
	}}}
	for i := range rapid.IntRange(0, 3).Draw(t, "escalations") {
		in.Escalations = append(in.Escalations, programme.Escalation{
			Name: fmt.Sprintf("ESC-%d", i), Partner: "p", Audit: fmt.Sprintf("ADT-%d", i),
			Status: rapid.SampledFrom([]string{"Received", "NC Raised", "Resolved", "Withdrawn", "Re-opened"}).Draw(t, "status"),
		})
		in.Audits = append(in.Audits, programme.Audit{Name: fmt.Sprintf("ADT-%d", i), Partner: "p", Kind: "Re-audit", Status: rapid.SampledFrom([]string{"Scheduled", "Completed"}).Draw(t, "audit")})
		for k := range rapid.IntRange(0, 4).Draw(t, "ncs") {
			in.NCs = append(in.NCs, programme.NC{
				Name: fmt.Sprintf("PNC-%d%d", i, k), Partner: "p", Audit: fmt.Sprintf("ADT-%d", i), Escalation: rapid.SampledFrom([]string{"", fmt.Sprintf("ESC-%d", i)}).Draw(t, "names"),
				Criterion: rapid.SampledFrom([]string{"", "esc.impl.p5", "esc.sales.m1", "impl.rca", "esc.prep.docs"}).Draw(t, "criterion"),
				Status:    rapid.SampledFrom([]string{"Open", "WIP", "On Hold", "Closed", "Discarded"}).Draw(t, "nc"), Raised: today.AddDays(dates.Draw(t, "raised")),
			})
		}
	}
	return in, "p"
}

func levelOf(id string) int {
	return map[string]int{"impl.rca": 5, "impl.followed": 3, "impl.cadence": 4}[id]
}

// Closing or discarding all NCs restores level and tier, whatever went before,
// and only people's fields hold the award.
func TestClosingAllRestores(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, key := drawCase(t)
		now := evidence.NewDate(2026, 11, 24).Start(zone(t, "UTC"))
		c := programme.CaseOf(&in, key, now)
		c.LevelOf = levelOf
		before := c.Effect()
		if before.Level > c.Partner.AwardedLevel {
			t.Fatalf("raised above the award: %+v", before)
		}
		for i := range in.NCs {
			in.NCs[i].Status = rapid.SampledFrom([]string{"Closed", "Discarded"}).Draw(t, "end")
		}
		c = programme.CaseOf(&in, key, now)
		c.LevelOf = levelOf
		e := c.Effect()
		if e.Level != c.Partner.AwardedLevel || e.Decide || e.Case != "" {
			t.Fatalf("not restored: %+v", e)
		}
		s := c.Stand(nil)
		if s.EffectiveLevel != c.Partner.AwardedLevel || s.OpenNCs != 0 {
			t.Fatalf("standing not restored: %+v", s)
		}
	})
}

// The order of escalations and NCs decides nothing.
func TestEffectIgnoresOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, key := drawCase(t)
		now := evidence.NewDate(2026, 11, 24).Start(zone(t, "UTC"))
		effect := func() (int, int, bool) {
			c := programme.CaseOf(&in, key, now)
			c.LevelOf = levelOf
			e := c.Effect()
			return e.Level, e.Proposed, e.Decide
		}
		l, p, d := effect()
		in.NCs = rapid.Permutation(in.NCs).Draw(t, "ncs")
		for i := range in.Escalations {
			in.Escalations[i].Name = fmt.Sprintf("ESC-%d", 9-i) // sorted the other way round
			for k := range in.NCs {
				if in.NCs[k].Escalation == fmt.Sprintf("ESC-%d", i) && in.NCs[k].Audit == fmt.Sprintf("ADT-%d", i) {
					in.NCs[k].Escalation = in.Escalations[i].Name
				}
			}
		}
		if l2, p2, d2 := effect(); l != l2 || p != p2 || d != d2 {
			t.Fatalf("%d %d %t became %d %d %t", l, p, d, l2, p2, d2)
		}
	})
}
