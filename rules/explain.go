package rules

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/prmsync/prmsync/evidence"
)

// Description is what there is to know about a criterion without reading Go.
type Description struct {
	ID            string
	Title         string
	Level         int
	Department    evidence.Department
	Severity      Severity
	Requirements  []string // "S25"
	Procedure     string
	Remedy        string
	Needs         []string
	ForEach       string // "" when the partner is asked as a whole
	Applies       string
	Checks        []DescribedCheck
	Expected      string
	Accept        string // how many misses it bears, in words
	NotApplicable string
	Judge         string // what a person is asked where the evidence does not decide
	Thresholds    []Threshold
	Reads         []DescribedFact
}

// DescribedCheck is one question of a criterion, as it is written.
type DescribedCheck struct {
	Name, Only, Pass, Manual, Observe string
}

// DescribedFact is a fact that a criterion reads.
type DescribedFact struct {
	Name, Type, About string
}

// List describes the pack's criteria, in the order of verdicts.
func (p *Pack) List() []Description {
	out := make([]Description, 0, len(p.criteria))
	for _, c := range p.criteria {
		out = append(out, p.describe(c))
	}
	return out
}

// Explain describes one criterion; ok is false for an unknown id.
func (p *Pack) Explain(id string) (d Description, ok bool) {
	c := p.byID[id]
	if c == nil {
		return Description{}, false
	}
	return p.describe(c), true
}

func (p *Pack) describe(c *criterion) Description {
	f := &c.f
	d := Description{
		ID: f.ID, Title: trimText(f.Title), Level: f.Level, Department: c.department, Severity: c.severity, Requirements: slices.Clone(f.Source.Requirements),
		Procedure: f.Source.Procedure, Remedy: trimText(f.Remedy), Needs: slices.Clone(f.Needs), ForEach: f.ForEach, Applies: trimText(f.Applies),
		Expected: trimText(f.Expected), NotApplicable: trimText(f.NotApplicable), Judge: trimText(f.Judge),
	}
	checks := f.Checks
	if len(checks) == 0 {
		checks = []checkFile{f.Check}
	}
	var texts []string
	for _, k := range checks {
		d.Checks = append(d.Checks, DescribedCheck{Name: k.Name, Only: trimText(k.Only), Pass: trimText(k.Pass), Manual: trimText(k.Manual), Observe: trimText(k.Observe)})
		texts = append(texts, k.Only, k.Pass, k.Manual, k.Observe, k.Shows, k.About)
	}
	if len(f.Checks) > 0 && f.Check.Only != "" {
		d.Applies = strings.TrimPrefix(d.Applies+"; of each: "+trimText(f.Check.Only), "; ")
	}
	texts = append(texts, f.Applies, f.Measured)
	d.Accept = c.accept()
	for _, n := range sortedKeys(c.used) {
		t := c.thresholds[n]
		d.Thresholds = append(d.Thresholds, Threshold{Name: n, Value: *t.Value, Unit: t.Unit, House: t.House, About: t.About})
	}
	d.Reads = factsIn(texts, p.source.Define)
	return d
}

func (c *criterion) accept() string {
	lim := func(l *limit) string {
		if l.name != "" {
			return l.name
		}
		return formatNumber(l.value)
	}
	var parts []string
	switch {
	case c.f.Accept.Any:
		parts = append(parts, "one that passes suffices")
	case c.share != nil:
		parts = append(parts, "at least "+lim(c.share)+" percent pass")
	case c.missed != nil:
		parts = append(parts, "none missed is Met, up to "+lim(c.missed)+" missed is Met with an observation, more is Not Met")
	default:
		parts = append(parts, "every one passes")
	}
	if c.minimum != nil {
		parts = append(parts, "fewer than "+lim(c.minimum)+" looked at is Insufficient Evidence")
	}
	if c.pop != "" {
		word := map[string]string{"insufficient": Insufficient.String(), "manual": Manual.String(), "not_met": NotMet.String()}[c.f.Accept.Empty]
		if word == "" {
			word = NotApplicable.String()
		}
		parts = append(parts, "none to look at is "+word)
	}
	return strings.Join(parts, "; ")
}

// factsIn lists the facts whose names occur in the texts, definitions followed.
func factsIn(texts []string, defs map[string]defineFile) []DescribedFact {
	all := strings.Join(texts, "\n")
	for name, d := range defs {
		if strings.Contains(all, name+"(") {
			all += "\n" + d.Is
		}
	}
	var out []DescribedFact
	seen := map[string]bool{}
	for _, t := range factTypes() {
		for _, n := range t.order {
			name := t.name + "." + n
			if !seen[name] && mentions(all, n) {
				seen[name] = true
				out = append(out, DescribedFact{Name: name, Type: celTypeName(t.facts[n].typ), About: t.facts[n].doc})
			}
		}
	}
	return out
}

// mentions reports whether a text selects a field of that name.
func mentions(text, field string) bool {
	for i := 0; ; {
		j := strings.Index(text[i:], "."+field)
		if j < 0 {
			return false
		}
		end := i + j + 1 + len(field)
		if end == len(text) || !isWord(text[end]) {
			return true
		}
		i = end
	}
}

func isWord(b byte) bool {
	return b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '('
}

func celTypeName(t *cel.Type) string {
	switch t.Kind() {
	case types.TimestampKind:
		return "date"
	case types.DoubleKind:
		return "number"
	case types.IntKind:
		return "whole number"
	case types.BoolKind:
		return "yes/no"
	case types.StringKind:
		return "text"
	case types.ListKind:
		return "list of " + celTypeName(t.Parameters()[0])
	}
	return t.TypeName()
}

// Vocabulary describes everything that an expression may name: the populations
// of for_each, the facts by type, and the functions.
func Vocabulary() string {
	var b strings.Builder
	ts := factTypes()
	b.WriteString("## What for_each walks over\n\n| word | entries are | |\n|---|---|---|\n")
	for _, n := range sortedKeys(populations) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", n, populations[n].t.name, populations[n].doc)
	}
	b.WriteString("\n## Facts\n")
	for _, t := range ts {
		if len(t.order) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| fact | type | |\n|---|---|---|\n", t.name, t.doc)
		for _, n := range t.order {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", n, celTypeName(t.facts[n].typ), t.facts[n].doc)
		}
	}
	b.WriteString("\n## Functions\n\n| call | |\n|---|---|\n")
	for _, f := range functionDocs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f[0], f[1])
	}
	return b.String()
}
