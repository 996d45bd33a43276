package rules

import (
	"errors"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// ParsedTests is a pack's test file, read once and run against many mutants.
type ParsedTests = parsedTests

// ParseTests reads a test file.
var ParseTests = parseTests

// RunOnly runs the tests of some criteria.
func RunOnly(t *ParsedTests, p *Pack, file string, ids map[string]bool) ([]TestResult, error) {
	return t.run(p, file, ids)
}

// Evaluator returns one evaluation of the pack's first question over the first
// entry of its population.
func Evaluator(p *Pack, s *evidence.Snapshot) (func(), error) {
	in := &Input{Snapshot: s, StaleAfter: 24 * time.Hour}
	w := newWorld(in)
	j := &judge{p: p, in: in, w: w, partner: partnerType.of(w)}
	c := p.criteria[0]
	pop := w.population(c.pop)
	if len(pop.items) == 0 {
		return nil, errors.New("there is nothing to evaluate")
	}
	sc := &scope{partner: j.partner, as: c.as, counts: &tallies{}}
	i := 0
	return func() {
		sc.item = pop.items[i%len(pop.items)].val
		i++
		if a := j.ask(c.checks[0].pass, sc, ""); !a.yes {
			panic("the predicate does not hold")
		}
	}, nil
}
