package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/evidence"
)

// Criterion is what people are told about one criterion of a pack.
type Criterion struct {
	ID           string
	Title        string
	Level        int // 0 for a check that belongs to no level
	Department   evidence.Department
	Severity     Severity
	Remedy       string
	Requirements []string // S25, …
	Procedure    string   // heading in the procedure
	Needs        []string // streams and kinds of evidence
	Manual       bool     // only a person can judge it
	Thresholds   []Threshold
}

// Threshold is a number that a criterion compares with, by name.
type Threshold struct {
	Name  string
	Value float64
	Unit  string
	House bool // a house default: no source gives the number
	About string
}

// Source is the criterion's source on one line.
func (c Criterion) Source() string {
	return strings.TrimSpace(strings.Join(c.Requirements, " ") + " " + c.Procedure)
}

// Limits are the criterion's thresholds on one line: "grace 3 days (house default)".
func (c Criterion) Limits() string {
	parts := make([]string, 0, len(c.Thresholds))
	for _, t := range c.Thresholds {
		s := strings.TrimSpace(fmt.Sprintf("%s %g %s", t.Name, t.Value, t.Unit))
		if t.House {
			s += " (house default)"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

// Criteria describes the pack's criteria, in its order.
func (p *Pack) Criteria() []Criterion {
	out := make([]Criterion, 0, len(p.criteria))
	for _, c := range p.criteria {
		d := Criterion{
			ID: c.f.ID, Title: c.f.Title, Level: c.f.Level, Department: c.department, Severity: c.severity, Remedy: c.f.Remedy,
			Requirements: c.f.Source.Requirements, Procedure: c.f.Source.Procedure, Needs: c.f.Needs, Manual: !slices.ContainsFunc(c.checks, func(k check) bool { return k.pass != nil }),
		}
		for _, name := range slices.Sorted(maps.Keys(c.used)) {
			t, ok := c.thresholds[name]
			if !ok || t.Value == nil {
				continue
			}
			d.Thresholds = append(d.Thresholds, Threshold{Name: name, Value: *t.Value, Unit: t.Unit, House: t.House, About: t.About})
		}
		slices.SortFunc(d.Thresholds, func(a, b Threshold) int { return cmp.Compare(a.Name, b.Name) })
		out = append(out, d)
	}
	return out
}
