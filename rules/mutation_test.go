package rules_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/packs"
)

// survivors are the mutants that no test of the packs can tell from the
// original, each with the reason why that is no gap.
var survivors = map[string]string{
	`pmm: support.ticketing: > -> >= (1) in "pass: \"p.recent_tickets > 0\""`:                                                                 "without tickets the question is put to a person before pass is asked",
	`pmm: impl.plan: > -> >= (1) in "pass: \"p.tasks > 0 && p.dated_share >= dated\""`:                                                        "of no tasks none has a date, so that the share fails all the same",
	`escalation: esc.impl.p1: > -> >= (1) in "pass: \"size(p.managers) > 0 && p.managers.all(m, m.knows_erpnext && m.knows_framework)\""`:     "without anybody in the role the question is put to a person before pass is asked",
	`escalation: esc.impl.p2: > -> >= (1) in "pass: \"size(p.developers) > 0 && p.developers.all(m, m.knows_erpnext && m.knows_framework)\""`: "without anybody in the role the question is put to a person before pass is asked",
}

// mutant is a pack with one comparison or threshold changed.
type mutant struct {
	name     string
	pack     string
	text     string
	criteria []string // those that the change can touch
}

var (
	operator  = regexp.MustCompile(`>=|<=|==|!=| > | < |\bwithin\(|\bat_least\(`)
	threshold = regexp.MustCompile(`\b([a-z_]+): \{value: ([0-9.]+)`)
)

// flips are the ways a comparison can be wrong: off by the edge, and reversed.
var flips = map[string][]string{
	">=": {">", "<"}, "<=": {"<", ">"}, " > ": {" >= ", " <= "}, " < ": {" <= ", " >= "}, "==": {"!="}, "!=": {"=="},
	"within(": {"!within("}, "at_least(": {"!at_least("},
}

// mutants returns every mutant of a pack. Texts that only describe (shows,
// about, measured, expected, titles) decide nothing and are left alone.
func mutants(file, text string) []mutant {
	head, body, _ := strings.Cut(text, "\ncriteria:\n")
	var blocks []string
	for _, b := range strings.Split("\n"+body, "\n  - id: ") {
		if strings.TrimSpace(b) != "" {
			blocks = append(blocks, "  - id: "+b)
		}
	}
	id := func(b string) string {
		first, _, _ := strings.Cut(b, "\n")
		return strings.TrimPrefix(first, "  - id: ")
	}
	var out []mutant
	add := func(name, head string, bs ...string) {
		m := mutant{name: file + ": " + name, pack: file, text: head + "\ncriteria:\n" + strings.Join(bs, "\n")}
		for _, b := range bs {
			m.criteria = append(m.criteria, id(b))
		}
		out = append(out, m)
	}
	// In the head: thresholds of the pack, and definitions.
	users := func(word string) []string {
		return slices.DeleteFunc(slices.Clone(blocks), func(b string) bool { return !strings.Contains(b, word) })
	}
	defined := regexp.MustCompile(`(?m)^  ([a-z_]+):\n    as:`)
	lines := strings.Split(head, "\n")
	current := ""
	for i, line := range lines {
		if m := defined.FindStringSubmatch(line + "\n" + next(lines, i)); m != nil {
			current = m[1]
		}
		for _, v := range changes(line) {
			word := v.word
			if word == "" {
				word = current + "("
			}
			bs := users(word)
			if v.word != "" {
				for _, def := range defined.FindAllStringSubmatch(head, -1) {
					_, is, _ := strings.Cut(head, "  "+def[1]+":\n")
					if strings.Contains(is, v.word) {
						bs = append(bs, users(def[1]+"(")...)
					}
				}
			}
			bs = slices.CompactFunc(bs, func(a, b string) bool { return a == b })
			if len(bs) == 0 {
				continue
			}
			changed := slices.Clone(lines)
			changed[i] = v.line
			add(v.name, strings.Join(changed, "\n"), unique(bs)...)
		}
	}
	for _, b := range blocks {
		ls := strings.Split(b, "\n")
		describing := false
		for i, line := range ls {
			key := strings.TrimLeft(line, " -")
			if k, _, ok := strings.Cut(key, ":"); ok && regexp.MustCompile(`^[a-z_]+$`).MatchString(k) && !strings.HasPrefix(line, "          ") {
				describing = slices.Contains([]string{"title", "remedy", "source", "shows", "about", "measured", "expected", "judge", "not_applicable", "observation", "name", "id"}, k)
			}
			if describing {
				continue
			}
			for _, v := range changes(line) {
				changed := slices.Clone(ls)
				changed[i] = v.line
				add(id(b)+": "+v.name, head, strings.Join(changed, "\n"))
			}
		}
	}
	return out
}

func next(lines []string, i int) string {
	if i+1 < len(lines) {
		return lines[i+1]
	}
	return ""
}

func unique(bs []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(bs, func(b string) bool {
		was := seen[b]
		seen[b] = true
		return was
	})
}

type changedLine struct{ name, line, word string }

func changes(line string) []changedLine {
	var out []changedLine
	for _, m := range threshold.FindAllStringSubmatchIndex(line, -1) {
		name, old := line[m[2]:m[3]], line[m[4]:m[5]]
		v, err := strconv.ParseFloat(old, 64)
		if err != nil {
			continue
		}
		up, down := v+1, v-1
		if strings.Contains(line, `"%"`) || strings.Contains(line, "stars") {
			up, down = v*1.25, v*0.75
		}
		for _, n := range []float64{up, math.Max(0, down)} {
			text := strconv.FormatFloat(n, 'f', -1, 64)
			out = append(out, changedLine{fmt.Sprintf("%s %s -> %s", name, old, text), line[:m[4]] + text + line[m[5]:], name})
		}
	}
	if len(out) > 0 {
		return out
	}
	for n, m := range operator.FindAllStringIndex(line, -1) {
		old := line[m[0]:m[1]]
		for _, flip := range flips[old] {
			out = append(out, changedLine{fmt.Sprintf("%s -> %s (%d) in %q", strings.TrimSpace(old), strings.TrimSpace(flip), n+1, strings.TrimSpace(line)), line[:m[0]] + flip + line[m[1]:], ""})
		}
	}
	return out
}

func TestMutantsOfThePacksAreKilled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pmm", "escalation"} {
		text, err := packs.Files.ReadFile(name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		testText, err := packs.Files.ReadFile(name + "_test.yaml")
		if err != nil {
			t.Fatal(err)
		}
		tests, err := rules.ParseTests(name+"_test.yaml", testText)
		if err != nil {
			t.Fatal(err)
		}
		all := mutants(name, string(text))
		if len(all) < 50 {
			t.Fatalf("%s: only %d mutants were made", name, len(all))
		}
		for i, m := range all {
			if i%everyMutant != 0 {
				continue
			}
			if killed(t, tests, m) == (survivors[m.name] != "") {
				if survivors[m.name] != "" {
					t.Errorf("%s is killed, yet listed as a survivor", m.name)
				} else {
					t.Errorf("%s survives", m.name)
				}
			}
		}
		t.Logf("%s: %d mutants", name, len(all))
	}
}

// killed reports whether a mutant is refused at load or fails a test.
func killed(t *testing.T, tests *rules.ParsedTests, m mutant) bool {
	t.Helper()
	p, err := rules.ParsePack(m.pack+".yaml", []byte(m.text))
	if err != nil {
		t.Fatalf("%s does not load: %v", m.name, err)
	}
	ids := map[string]bool{}
	for _, id := range m.criteria {
		ids[id] = true
	}
	rs, err := rules.RunOnly(tests, p, m.pack, ids)
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	return slices.ContainsFunc(rs, func(r rules.TestResult) bool { return r.Problem != "" })
}
