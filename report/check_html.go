package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/prmsync/prmsync/rules"
)

//go:embed check.html
var checkPage string

//go:embed head.html
var headPage string

// page makes a template of one whole page; its head and style are those of all.
func page(name, text string, funcs template.FuncMap) *template.Template {
	return template.Must(template.Must(template.New(name).Funcs(funcs).Parse(headPage)).Parse(text))
}

var checkTemplate = page("check", checkPage, template.FuncMap{
	"effective": effective,
	"item":      itemText,
	"plain":     plain,
	"instant":   instant,
	"level":     levelText,
	"join":      func(ss []string) string { return strings.Join(ss, ", ") },
	"class":     func(o rules.Outcome) string { return strings.ReplaceAll(strings.ToLower(o.String()), " ", "-") },
	"ask":       func(s string) string { return strings.TrimPrefix(s, "A person has to judge this: ") },
})

// CheckHTML writes the reasoning of one assessment as one self-contained page:
// no script, no outside resource, a content security policy that allows neither,
// readable on a phone, in the dark and on paper. Partners' text is escaped; only
// http(s) addresses become links.
func CheckHTML(w io.Writer, rep rules.Report) error {
	c := sorted(rep)
	err := checkTemplate.Execute(w, map[string]any{
		"R": rep, "Headline": c.headline(), "NotMet": c.notMet, "Causes": c.causes, "People": c.people, "Missing": c.missing, "Next": c.next, "Advice": c.advice,
	})
	if err != nil {
		return fmt.Errorf("page of %s: %w", rep.Partner, err)
	}
	return nil
}
