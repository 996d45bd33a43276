package plan

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/prmsync/prmsync/evidence"
)

// dataLimit is what Frappe allows in a Data field.
const dataLimit = 140

// Plain makes text safe for a plain field of the PRM: control characters go,
// white space is folded, `<` and `>` become ‹ and ›, and at most limit
// characters remain. Frappe sanitises anything that looks like a tag, and a
// field that is stored otherwise than it was sent would be written for ever.
func Plain(s string, limit int) string {
	if len(s) <= limit && clean(s) {
		return s
	}
	var b strings.Builder
	space := false
	for _, r := range strings.ToValidUTF8(s, "�") {
		switch {
		case r == '<':
			r = '‹'
		case r == '>':
			r = '›'
		case unicode.IsSpace(r):
			space = true
			continue
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return cut(b.String(), limit)
}

// clean reports whether the text is ASCII that Plain would leave as it is: most
// is, and planning looks at all of it every time.
func clean(s string) bool {
	space := true // none in front
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f || c == '<' || c == '>' || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return s == "" || !space
}

// Data is Plain at the length of a Data field.
func Data(s string) string { return Plain(s, dataLimit) }

// Lines is Plain for each line of a longer plain text; empty lines go.
func Lines(s string, limit int) string {
	if !strings.Contains(s, "\n") {
		return Plain(s, limit)
	}
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if l := Plain(line, limit); l != "" {
			out = append(out, l)
		}
	}
	return cut(strings.Join(out, "\n"), limit)
}

func cut(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit-1 && len([]rune(s[i:])) > 1 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
		n++
	}
	return s
}

// Datetime is an instant as the PRM's site spells it, in the site's zone; ""
// for the zero time.
func Datetime(t time.Time, prm *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(prm).Format(time.DateTime)
}

// orNull turns an empty text into null: Frappe keeps dates and links empty so.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func date(d evidence.Date) any { return orNull(d.String()) }

// Department is the word of the PRM's Select fields.
func Department(d evidence.Department) string {
	switch d { // those of the packs, without a copy
	case evidence.General, "":
		return "General"
	case evidence.Implementation:
		return "Implementation"
	case evidence.Sales:
		return "Sales"
	case evidence.Support:
		return "Support"
	}
	return strings.ToUpper(string(d[:1])) + string(d[1:])
}

// Number is a figure as people read it: no more than two decimals, none that
// are zero.
func Number(v float64) string {
	s := strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}
