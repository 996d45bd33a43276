package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/rules"
)

// cycleDocument is the JSON of `once` and `demo`.
type cycleDocument struct {
	Partners []rules.Report `json:"partners"`
	PRM      cyclePRM       `json:"prm"`
	TookMS   int64          `json:"took_ms"`
}

type cyclePRM struct {
	Created   int   `json:"created"`
	Updated   int   `json:"updated"`
	Unchanged int   `json:"unchanged"`
	Requests  int64 `json:"requests"`
}

// cycleDocument collects the last assessments of the named partners, of all
// when none is named.
func (w *works) cycleDocument(ctx context.Context, tally daemon.Tally, took time.Duration, keys ...string) (cycleDocument, error) {
	doc := cycleDocument{
		Partners: []rules.Report{}, TookMS: took.Milliseconds(),
		PRM: cyclePRM{Created: tally.Created, Updated: tally.Updated, Unchanged: tally.Unchanged, Requests: w.prm.Requests()},
	}
	if len(keys) == 0 {
		keys = w.daemon.Keys()
	}
	for _, key := range keys {
		held, ok, err := w.store.LatestOf(ctx, key, rules.Continuous)
		if err != nil {
			return doc, err
		}
		if !ok {
			continue
		}
		links, err := w.judge.links(ctx, key)
		if err != nil {
			return doc, err
		}
		doc.Partners = append(doc.Partners, held.Assessment.Report(links))
	}
	return doc, nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// anyNotMet reports whether an NC criterion is missed.
func anyNotMet(rs []rules.Report) bool {
	for _, r := range rs {
		for _, v := range r.Verdicts {
			o := v.Outcome
			if v.Override != nil {
				o = v.Override.Outcome
			}
			if v.Severity == rules.SeverityNC && o == rules.NotMet {
				return true
			}
		}
	}
	return false
}

// fleetTable prints one line a partner: level, what fails first, what is not
// known and why.
func fleetTable(p process, out io.Writer, rs []rules.Report, about map[string]string) {
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateRows = true
	colour := p.colour(out)
	t.AppendHeader(table.Row{"Partner", "Level", "Met", "Fails first", "Not known, and why"})
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 1, WidthMax: 24, WidthMaxEnforcer: text.WrapSoft},
		{Number: 4, WidthMax: 46, WidthMaxEnforcer: text.WrapSoft},
		{Number: 5, WidthMax: 46, WidthMaxEnforcer: text.WrapSoft},
	})
	for _, r := range rs {
		met, missed, unknown := 0, 0, 0
		fails, why := "", ""
		whys := map[string]int{}
		for _, v := range r.Verdicts {
			o := v.Outcome
			if v.Override != nil {
				o = v.Override.Outcome
			}
			switch o {
			case rules.Met, rules.NotApplicable:
				met++
			case rules.NotMet:
				missed++
				if fails == "" || v.Severity == rules.SeverityNC && !strings.Contains(fails, "level") {
					fails = fmt.Sprintf("%s (level %d): %s", v.Criterion, v.Level, v.Measured)
				}
			case rules.Insufficient:
				unknown++
				for _, u := range v.Unknowns {
					whys[u.Reason]++
				}
			case rules.Manual:
				unknown++
			}
		}
		most := 0
		for reason, n := range whys {
			if n > most || n == most && reason < why {
				why, most = reason, n
			}
		}
		if unknown > 0 {
			why = strings.TrimSpace(fmt.Sprintf("%d: %s", unknown, why))
		}
		if fails == "" {
			fails = "nothing"
		}
		if missed > 1 {
			fails += fmt.Sprintf("; and %d more", missed-1)
		}
		level := fmt.Sprintf("%d to %d", r.LevelLow, r.LevelHigh)
		if r.LevelLow == r.LevelHigh {
			level = fmt.Sprint(r.LevelLow)
		}
		if colour {
			c := text.FgGreen
			switch {
			case missed > 0:
				c = text.FgRed
			case unknown > met:
				c = text.FgYellow
			}
			level = c.Sprint(level)
		}
		name := r.Partner
		if a := about[r.Partner]; a != "" {
			name += "\n" + a
		}
		t.AppendRow(table.Row{name, level, fmt.Sprintf("%d of %d", met, len(r.Verdicts)), fails, why})
	}
	t.Render()
}

func demoTable(p process, out io.Writer, w *works, world *demo.World) error {
	doc, err := w.cycleDocument(p.ctx, daemon.Tally{}, 0)
	if err != nil {
		return err
	}
	about := map[string]string{}
	for _, m := range world.Members {
		about[m.Key] = m.About
	}
	fleetTable(p, out, doc.Partners, about)
	return nil
}
