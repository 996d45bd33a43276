package partnersite

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// WriteTable writes the report for a person, with colours if wanted.
func (r Report) WriteTable(w io.Writer, colours bool) error {
	p := &printer{w: w, colours: colours}
	mark := map[Health]text.Color{OK: text.FgGreen, Degraded: text.FgYellow, Failed: text.FgRed}[r.Health]
	p.line("%s, site %s (%s): %s", r.Partner, r.Site, r.URL, p.paint(mark, string(r.Health)))
	if r.Failure != "" {
		p.line("  %s", r.Failure)
		if r.Remedy != "" {
			p.line("  → %s", r.Remedy)
		}
		return p.err
	}
	p.line("  user      %s (%s), roles %s", r.User, orUnknown(r.UserType), strings.Join(r.Roles, ", "))
	var apps []string
	for _, a := range sortedKeys(r.Versions) {
		apps = append(apps, a+" "+r.Versions[a])
	}
	p.line("  versions  %s", orUnknown(strings.Join(apps, ", ")))
	tls := "no TLS"
	if r.TLS {
		tls = "TLS"
		if !r.CertificateExpires.IsZero() {
			tls += ", certificate until " + r.CertificateExpires.Format(time.DateOnly)
		}
	}
	p.line("  clock     %s, %+.0f s to ours; %s", r.Zone, r.SkewSeconds, tls)
	p.line("  cost      first read about %s, idle poll %s; this examination %s", r.First, r.Poll, r.Spent)
	p.line("")

	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateRows = false
	t.AppendHeader(table.Row{"Stream", "Rows", "State", "Criteria that suffer", "What helps"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight}, {Number: 4, WidthMax: 40, WidthMaxEnforcer: text.WrapSoft}, {Number: 5, WidthMax: 60, WidthMaxEnforcer: text.WrapSoft}})
	for _, s := range r.Streams {
		state := p.paint(text.FgGreen, "read")
		if s.Timeline {
			state = p.paint(text.FgGreen, "by timelines")
		}
		if s.Gap != "" {
			state = p.paint(text.FgYellow, string(s.Gap))
		}
		rows := fmt.Sprint(s.Rows)
		if s.Hidden > 0 {
			rows += fmt.Sprintf(" of %d", s.Rows+s.Hidden)
		}
		t.AppendRow(table.Row{s.Stream, rows, state, strings.Join(s.Degrades, " "), s.Remedy})
	}
	p.line("%s", t.Render())

	var problems []string
	for _, m := range r.Mapping {
		problems = append(problems, m.String())
	}
	p.list("Mapping", problems)
	p.list("The key can do too much", r.Excess)
	p.list("Note", r.Warnings)
	p.list("Judged with less evidence, or not at all", chunked(r.Degraded, 6))
	p.steps(r.Steps)
	return p.err
}

// String is the cost in words.
func (c Cost) String() string {
	return fmt.Sprintf("%d requests, %.1f s of the site's time", c.Requests, c.ServerSeconds)
}

type printer struct {
	w       io.Writer
	colours bool
	err     error
}

func (p *printer) line(format string, a ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", a...)
	}
}

func (p *printer) paint(c text.Color, s string) string {
	if !p.colours {
		return s
	}
	return c.EscapeSeq() + s + text.Reset.EscapeSeq()
}

func (p *printer) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("\n%s", title)
	for _, l := range lines {
		p.line("  - %s", l)
	}
}

func (p *printer) steps(lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("\nIn the partner's desk, as System Manager")
	for i, l := range lines {
		p.line("  %d. %s", i+1, l)
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// chunked joins words, so many on a line.
func chunked(words []string, n int) []string {
	var out []string
	for c := range slices.Chunk(words, n) {
		out = append(out, strings.Join(c, " "))
	}
	return out
}
