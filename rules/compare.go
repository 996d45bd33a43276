package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/evidence"
)

// Cause is what made a verdict differ between two assessments.
type Cause string

// The causes. Several may be at work at once.
const (
	CauseData   Cause = "data"   // the records that it rests on differ
	CauseRules  Cause = "rules"  // the pack differs
	CauseReach  Cause = "reach"  // what could be read differs
	CausePeople Cause = "people" // a person's word or setting differs
	CauseTime   Cause = "time"   // the same records, but a window or a due day has moved on
)

// Changed is one verdict that differs between two assessments.
type Changed struct {
	Criterion string
	Title     string
	From, To  string // outcomes; "" where there was no verdict
	Causes    []Cause
	Says      string // one neutral sentence
}

// Compare says for every verdict that differs between two assessments of one
// partner what made it differ. It is in the order of the later one's verdicts,
// then of those that only the earlier one has.
func Compare(a, b Assessment) []Changed {
	before := map[string]*Verdict{}
	for i := range a.Verdicts {
		before[a.Verdicts[i].Criterion] = &a.Verdicts[i]
	}
	samePack := a.Pack.SHA256 == b.Pack.SHA256
	var out []Changed
	for i := range b.Verdicts {
		v := &b.Verdicts[i]
		u := before[v.Criterion]
		delete(before, v.Criterion)
		if u == nil {
			c := Changed{Criterion: v.Criterion, Title: v.Title, To: v.Effective().String(), Causes: []Cause{CauseRules}, Says: "It was not asked before."}
			if samePack {
				c.Causes, c.Says = []Cause{CausePeople}, "It was switched on."
			}
			out = append(out, c)
			continue
		}
		if u.Effective() == v.Effective() {
			continue
		}
		out = append(out, changed(u, v, samePack, a, b))
	}
	for _, id := range sortedKeys(before) {
		u := before[id]
		c := Changed{Criterion: id, Title: u.Title, From: u.Effective().String(), Causes: []Cause{CauseRules}, Says: "It is no longer asked."}
		if samePack {
			c.Causes, c.Says = []Cause{CausePeople}, "It was switched off."
		}
		out = append(out, c)
	}
	return out
}

func changed(u, v *Verdict, samePack bool, a, b Assessment) Changed {
	c := Changed{Criterion: v.Criterion, Title: v.Title, From: u.Effective().String(), To: v.Effective().String()}
	var says []string
	if !sameWord(u.Override, v.Override) {
		c.Causes = append(c.Causes, CausePeople)
		switch {
		case v.Override != nil:
			says = append(says, fmt.Sprintf("%s judged it %s: %s", cleanText(v.Override.By, 80), v.Override.Outcome, cleanText(v.Override.Reason, 140)))
		default:
			says = append(says, "a person's judgement no longer holds")
		}
	}
	machine := u.Outcome != v.Outcome
	if machine && !samePack {
		c.Causes = append(c.Causes, CauseRules)
		says = append(says, fmt.Sprintf("the rules changed from version %s to %s", a.Pack.Version, b.Pack.Version))
	}
	if machine && reachKey(u) != reachKey(v) {
		c.Causes = append(c.Causes, CauseReach)
		if gap := newGap(u, v); gap != "" {
			says = append(says, gap)
		} else {
			says = append(says, "what could not be read before can be read now")
		}
	}
	if machine {
		if gone, come, altered := refChanges(u.Evidence, v.Evidence); gone+come+altered > 0 {
			c.Causes = append(c.Causes, CauseData)
			says = append(says, fmt.Sprintf("of the records behind it %d are new, %d changed and %d no longer count", come, altered, gone))
		} else if len(c.Causes) == 0 && figuresDiffer(v.Criterion, a, b) {
			c.Causes = append(c.Causes, CauseData)
			says = append(says, "the figures behind it differ")
		}
	}
	if machine && u.Expected != v.Expected && samePack {
		c.Causes = append(c.Causes, CausePeople)
		says = append(says, "a threshold was set: "+v.Expected)
	}
	if len(c.Causes) == 0 {
		c.Causes = append(c.Causes, CauseTime)
		says = append(says, "the records are the same; a window or a due day has moved on")
	}
	says = append(says, "measured before: "+cmp.Or(u.Measured, "nothing")+", now: "+cmp.Or(v.Measured, "nothing"))
	c.Says = sentence(strings.Join(says, "; "))
	return c
}

func sameWord(a, b *Override) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && a.Outcome == b.Outcome
}

// reachKey names what a verdict could not see, without the words around it.
func reachKey(v *Verdict) string {
	var b strings.Builder
	for _, u := range v.Unknowns {
		if u.Kind != "" {
			fmt.Fprintf(&b, "%s\n%s\n%s\n", u.Site, u.Stream, u.Kind)
		}
	}
	return b.String()
}

func newGap(u, v *Verdict) string {
	for _, g := range v.Unknowns {
		if g.Kind == "" {
			continue
		}
		known := slices.ContainsFunc(u.Unknowns, func(o Unknown) bool { return o.Kind == g.Kind && o.Stream == g.Stream && o.Site == g.Site })
		if !known {
			return strings.TrimSpace(g.Stream+" on "+cmp.Or(g.Site, "the site")) + " can no longer be read: " + g.Reason
		}
	}
	return ""
}

func refChanges(a, b []evidence.Ref) (gone, come, altered int) {
	before := map[evidence.Key]string{}
	for _, r := range a {
		before[r.Key()] = r.Hash
	}
	for _, r := range b {
		h, ok := before[r.Key()]
		switch {
		case !ok:
			come++
		case h != r.Hash:
			altered++
		}
		delete(before, r.Key())
	}
	return len(before), come, altered
}

// figuresDiffer reports whether a metric's own values differ in periods that
// both assessments hold.
func figuresDiffer(id string, a, b Assessment) bool {
	at := map[string]float64{}
	for _, m := range a.Metrics {
		if m.Metric == id && m.Has {
			at[m.Period.String()+m.Project] = m.Value
		}
	}
	for _, m := range b.Metrics {
		if v, ok := at[m.Period.String()+m.Project]; ok && m.Metric == id && v != m.Value {
			return true
		}
	}
	return false
}

// PackChange is a verdict that another pack would give for the same evidence.
type PackChange struct {
	Partner   string
	Criterion string
	From, To  string // outcomes; "" where the pack does not ask it
	Why       string // what differs in the criterion
	Measured  string
	Expected  string
}

// Diff judges the same inputs by two packs and lists the verdicts that differ,
// in order of input and criterion, each with what differs in the criterion.
func Diff(before, after *Pack, inputs []Input) ([]PackChange, error) {
	var out []PackChange
	for _, in := range inputs {
		a, err := Judge(before, in)
		if err != nil {
			return nil, fmt.Errorf("judge by %s %s: %w", before.ID.Name, before.ID.Version, err)
		}
		b, err := Judge(after, in)
		if err != nil {
			return nil, fmt.Errorf("judge by %s %s: %w", after.ID.Name, after.ID.Version, err)
		}
		now := map[string]Verdict{}
		for _, v := range b.Verdicts {
			now[v.Criterion] = v
		}
		for _, c := range Compare(a, b) {
			v := now[c.Criterion]
			out = append(out, PackChange{
				Partner: a.Partner, Criterion: c.Criterion, From: c.From, To: c.To,
				Why: differs(before.byID[c.Criterion], after.byID[c.Criterion]), Measured: v.Measured, Expected: v.Expected,
			})
		}
	}
	return out, nil
}

// differs names the parts of a criterion that were changed.
func differs(a, b *criterion) string {
	switch {
	case a == nil:
		return "the criterion is new"
	case b == nil:
		return "the criterion is gone"
	}
	var parts []string
	note := func(name, x, y string) {
		if trimText(x) != trimText(y) {
			parts = append(parts, name)
		}
	}
	names := map[string]bool{}
	for n := range a.used {
		names[n] = true
	}
	for n := range b.used {
		names[n] = true
	}
	for _, n := range sortedKeys(names) {
		switch x, y := a.thresholds[n].Value, b.thresholds[n].Value; {
		case x == nil || !a.used[n]:
			parts = append(parts, "threshold "+n+" is new")
		case y == nil || !b.used[n]:
			parts = append(parts, "threshold "+n+" is gone")
		case *x != *y:
			parts = append(parts, fmt.Sprintf("threshold %s went from %s to %s", n, formatNumber(*x), formatNumber(*y)))
		}
	}
	note("applies", a.f.Applies, b.f.Applies)
	note("for_each", a.f.ForEach, b.f.ForEach)
	note("accept", fmt.Sprint(a.f.Accept), fmt.Sprint(b.f.Accept))
	note("needs", strings.Join(a.f.Needs, " "), strings.Join(b.f.Needs, " "))
	checks := func(c *criterion) []checkFile {
		if len(c.f.Checks) == 0 {
			return []checkFile{c.f.Check}
		}
		return append([]checkFile{{Only: c.f.Check.Only}}, c.f.Checks...)
	}
	x, y := checks(a), checks(b)
	if len(x) != len(y) {
		parts = append(parts, "the number of checks")
	} else {
		for i := range x {
			at := strings.TrimSpace(x[i].Name + " ")
			note(strings.TrimSpace(at+" only"), x[i].Only, y[i].Only)
			note(strings.TrimSpace(at+" pass"), x[i].Pass, y[i].Pass)
			note(strings.TrimSpace(at+" manual"), x[i].Manual, y[i].Manual)
		}
	}
	if a.severity != b.severity || a.f.Level != b.f.Level {
		parts = append(parts, "level or severity")
	}
	if len(parts) == 0 {
		return "a definition that it uses"
	}
	return strings.Join(parts, ", ")
}
