package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mistake is one thing that is wrong in the environment or in the file. No
// field ever holds a secret.
type Mistake struct {
	Source  string // the file's path as it was given; "" is the environment
	Line    int    // counted from 1; 0 in the environment
	Column  int    // counted from 1; 0 in the environment
	Subject string // the variable or key
	Problem string // what is wrong with it
	Remedy  string // what to do; may be empty
}

// String returns the mistake as one line: where, what, and what to do.
func (m Mistake) String() string {
	var b strings.Builder
	if m.Source != "" {
		b.WriteString(m.Source + ":")
		if m.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", m.Line, m.Column)
		}
		b.WriteString(" ")
	}
	if m.Subject != "" {
		b.WriteString(m.Subject + ": ")
	}
	b.WriteString(m.Problem)
	if m.Remedy != "" {
		b.WriteString("; " + m.Remedy)
	}
	return b.String()
}

// Errors is every mistake that was found, the environment's first, then by line.
// It is what Load returns as its error, to be read back with errors.AsType.
type Errors []Mistake

// Error returns one mistake a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, m := range e {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// settle sorts the mistakes, drops repetitions and takes out what is secret.
func (e Errors) settle(secrets []string) Errors {
	out := slices.Clone(e)
	for i := range out {
		for _, s := range secrets {
			// Shorter than this it is as likely to be an ordinary word.
			if len(s) < 6 {
				continue
			}
			out[i].Subject = strings.ReplaceAll(out[i].Subject, s, redacted)
			out[i].Problem = strings.ReplaceAll(out[i].Problem, s, redacted)
		}
	}
	slices.SortFunc(out, func(a, b Mistake) int {
		return cmp.Or(
			cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Subject, b.Subject),
			cmp.Compare(a.Problem, b.Problem),
		)
	})
	return slices.Compact(out)
}

// shown quotes a value for a message, cut where it would fill the screen.
func shown(text string) string {
	const most = 60
	if !utf8.ValidString(text) {
		return "a text that is not UTF-8"
	}
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return strconv.Quote(text)
}
