package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/rules"
)

// shownItems is how many items of a verdict a screen lists.
const shownItems = 3

// check is a report sorted for a reader: failing first, what is not known
// apart and by its cause, what is missing for the next level.
type check struct {
	rep     rules.Report
	notMet  []rules.ReportVerdict
	causes  []cause
	people  []rules.ReportVerdict
	met     []rules.ReportVerdict
	not     []string // ids that do not apply
	advice  []rules.ReportVerdict
	missing []rules.ReportMissing // for the next level only
	next    int
}

// cause is one thing that could not be known, with what it leaves open.
type cause struct {
	Says     string
	Remedy   string
	Criteria []string
}

func effective(v rules.ReportVerdict) rules.Outcome {
	if v.Override != nil {
		return v.Override.Outcome
	}
	return v.Outcome
}

func sorted(rep rules.Report) check {
	c := check{rep: rep}
	index := map[string]int{}
	for _, v := range rep.Verdicts {
		switch effective(v) {
		case rules.NotMet:
			c.notMet = append(c.notMet, v)
		case rules.Manual:
			c.people = append(c.people, v)
		case rules.Met:
			c.met = append(c.met, v)
		case rules.NotApplicable:
			c.not = append(c.not, v.Criterion)
		case rules.Insufficient:
			says, remedy := "no fact is named", v.Remedy
			if len(v.Unknowns) > 0 {
				u := v.Unknowns[0]
				where := cmp.Or(u.Stream, u.Attribute)
				if u.Site != "" {
					where += " on " + u.Site
				}
				says, remedy = strings.TrimPrefix(where+": ", ": ")+u.Reason, cmp.Or(u.Remedy, v.Remedy)
			}
			i, ok := index[says]
			if !ok {
				i = len(c.causes)
				index[says] = i
				c.causes = append(c.causes, cause{Says: says, Remedy: remedy})
			}
			c.causes[i].Criteria = append(c.causes[i].Criteria, v.Criterion)
		}
		if v.Observation != "" || v.Flag != "" {
			c.advice = append(c.advice, v)
		}
	}
	if rep.Kind != rules.Escalation && rep.LevelLow < 5 {
		c.next = rep.LevelLow + 1
		c.missing = slices.DeleteFunc(slices.Clone(rep.Missing), func(m rules.ReportMissing) bool { return m.Level != c.next })
	}
	return c
}

// headline says the level in words.
func (c check) headline() string {
	r := c.rep
	switch {
	case r.Kind == rules.Escalation:
		return fmt.Sprintf("%d of %d checks not met, %d not known, %d for a person", len(c.notMet), len(r.Verdicts), c.unknown(), len(c.people))
	case r.LevelLow == r.LevelHigh:
		return fmt.Sprintf("Level %d", r.LevelLow)
	}
	return fmt.Sprintf("Level %d is certain, level %d is possible", r.LevelLow, r.LevelHigh)
}

func (c check) unknown() int {
	n := 0
	for _, k := range c.causes {
		n += len(k.Criteria)
	}
	return n
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// plain takes out what could steer a terminal: control characters and marks
// that turn the direction of text.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e || r == 0x200f || r == 0xfeff || r == 0xfffd:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// item is one line for an item: its name, what is wrong with it, where to look.
func itemText(it rules.ReportItem) string {
	text := it.Label
	if text == "" {
		text = strings.TrimSpace(it.Ref.Doctype + " " + it.Ref.Name)
	}
	if it.Note != "" {
		text += ": " + it.Note
	}
	return text
}

func failing(v rules.ReportVerdict) (shown []rules.ReportItem, more int) {
	for _, it := range v.Items {
		if it.OK || it.Unknown || it.Manual {
			continue
		}
		if len(shown) == shownItems {
			more++
			continue
		}
		shown = append(shown, it)
	}
	if len(shown) > 0 && v.MoreItems > 0 && more+len(shown) == len(v.Items) {
		more += v.MoreItems // all that are listed fail: the rest may too
	}
	return shown, more
}

type paint struct{ on bool }

// painted is text of ours, cleaned and perhaps coloured.
type painted string

func (p paint) with(code, s string) painted {
	s = plain(s)
	if !p.on {
		return painted(s)
	}
	return painted("\x1b[" + code + "m" + s + "\x1b[0m")
}

func (p paint) bold(s string) painted   { return p.with("1", s) }
func (p paint) red(s string) painted    { return p.with("31", s) }
func (p paint) yellow(s string) painted { return p.with("33", s) }
func (p paint) green(s string) painted  { return p.with("32", s) }
func (p paint) dim(s string) painted    { return p.with("2", s) }

// CheckText writes the reasoning of one assessment for a terminal, short enough
// for one screen: what is not met with what was measured, expected and the
// records to open; what is not known, by its cause and with the remedy; what a
// person has to judge; what is missing for the next level. Colours are written
// only when colours is set.
func CheckText(w io.Writer, rep rules.Report, colours bool) error {
	c, p := sorted(rep), paint{colours}
	b := bufio.NewWriter(w)
	line := func(format string, args ...any) {
		for i, a := range args {
			if s, ok := a.(string); ok {
				args[i] = plain(s)
			}
		}
		fmt.Fprintf(b, format+"\n", args...)
	}
	line("%s as of %s (%s %s)", p.bold(rep.Partner), instant(rep.AsOf), rep.Pack.Name, rep.Pack.Version)
	line("%s", p.bold(c.headline()))
	if len(c.notMet) > 0 {
		line("\n%s", p.red(fmt.Sprintf("Not met (%d)", len(c.notMet))))
		for _, v := range c.notMet {
			note := ""
			if v.Severity == rules.SeverityObservation {
				note = " (observation)"
			}
			if v.Repeat {
				note += " (again)"
			}
			line("  %s %s%s", levelText(v.Level), p.bold(v.Criterion), note)
			line("      measured %s; expected %s", v.Measured, v.Expected)
			shown, more := failing(v)
			for _, it := range shown {
				line("      - %s  %s", itemText(it), it.Ref.URL)
			}
			if more > 0 {
				line("      - and %d more", more)
			}
			if v.Override != nil {
				line("      judged by %s: %s", v.Override.By, v.Override.Reason)
			}
			if v.Remedy != "" {
				line("      to do: %s", v.Remedy)
			}
		}
	}
	if len(c.causes) > 0 {
		line("\n%s", p.yellow(fmt.Sprintf("Not known (%d), by cause", c.unknown())))
		for _, k := range c.causes {
			line("  %s", k.Says)
			if k.Remedy != "" {
				line("      to do: %s", k.Remedy)
			}
			line("      leaves open: %s", strings.Join(k.Criteria, ", "))
		}
	}
	if len(c.people) > 0 {
		line("\n%s", p.yellow(fmt.Sprintf("For a person to judge (%d)", len(c.people))))
		for _, v := range c.people {
			line("  %s %s: %s", levelText(v.Level), v.Criterion, strings.TrimPrefix(v.Explanation, "A person has to judge this: "))
		}
	}
	if len(c.missing) > 0 {
		line("\n%s", p.bold(fmt.Sprintf("Missing for level %d (%d)", c.next, len(c.missing))))
		last := ""
		for _, m := range c.missing {
			if d := string(m.Department); d != last {
				line("  %s", d)
				last = d
			}
			line("      %s (%s)", m.Criterion, m.Outcome.String())
		}
	}
	if len(c.advice) > 0 {
		line("\nObservations, without effect on the level")
		for _, v := range c.advice {
			line("  %s: %s", v.Criterion, strings.TrimSpace(v.Observation+" "+v.Flag))
		}
	}
	if len(c.met) > 0 {
		line("\n%s %s", p.green(fmt.Sprintf("Met (%d):", len(c.met))), p.dim(ids(c.met)))
	}
	if len(c.not) > 0 {
		line("Not applicable (%d): %s", len(c.not), p.dim(strings.Join(c.not, ", ")))
	}
	return b.Flush()
}

func levelText(level int) string {
	if level == 0 {
		return " "
	}
	return fmt.Sprint(level)
}

func ids(vs []rules.ReportVerdict) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.Criterion
	}
	return strings.Join(out, ", ")
}
