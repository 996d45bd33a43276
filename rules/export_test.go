package rules

// ParsedTests is a pack's test file, read once and run against many mutants.
type ParsedTests = parsedTests

// ParseTests reads a test file.
var ParseTests = parseTests

// RunOnly runs the tests of some criteria.
func RunOnly(t *ParsedTests, p *Pack, file string, ids map[string]bool) ([]TestResult, error) {
	return t.run(p, file, ids)
}
