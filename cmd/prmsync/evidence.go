package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

// evidenceJSON is one PMM Evidence record.
type evidenceJSON struct {
	Criterion  string `json:"criterion"`
	Department string `json:"department"`
	Integrity  string `json:"integrity"`
	Effect     string `json:"effect"`
	Site       string `json:"site,omitempty"`
	Doctype    string `json:"doctype"`
	Name       string `json:"name"`
	Title      string `json:"title"`
	URL        string `json:"url,omitempty"`
	Captured   string `json:"captured_on"` // the PRM's local time, as it stands there
	Hash       string `json:"content_hash,omitempty"`
	Previous   string `json:"previous_hash,omitempty"`
	Waiting    bool   `json:"waiting,omitempty"` // not on the PRM yet
}

// collectedJSON is what was found on one item of the sample.
type collectedJSON struct {
	Stream  string                  `json:"stream"`
	Item    string                  `json:"item"`
	Label   string                  `json:"label"`
	Found   map[rules.PieceKind]int `json:"found"`
	Late    int                     `json:"after_cutoff"`
	Lacking []lackJSON              `json:"lacking"`
}

type lackJSON struct {
	Kind   rules.PieceKind `json:"kind"`
	Reason string          `json:"reason"`
	Remedy string          `json:"remedy"`
}

type unreadJSON struct {
	Site   string `json:"site"`
	Stream string `json:"stream"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

// gathered is the evidence of one audit or escalation.
type gathered struct {
	Evidence   []evidenceJSON  `json:"evidence"`
	Collected  []collectedJSON `json:"collected"`
	Unreadable []unreadJSON    `json:"unreadable"`
}

// integrities are in the order in which a person should look.
var integrities = []string{plan.IntegrityMissing, plan.IntegrityChanged, plan.IntegrityBackfilled, plan.IntegrityLate, plan.IntegrityClean}

// evidenceOf reads the evidence of an assessment as the store has it: what the
// PRM holds, and what is on its way there.
func (d *desk) evidenceOf(p process, partner string, a rules.Assessment) (gathered, error) {
	out := gathered{Evidence: []evidenceJSON{}, Collected: []collectedJSON{}, Unreadable: []unreadJSON{}}
	if a.Key == "" {
		return out, nil
	}
	open, err := d.store.OpenChanges(p.ctx, partner, plan.DoctypeEvidence)
	if err != nil {
		return out, err
	}
	known, err := d.store.Known(p.ctx, partner)
	if err != nil {
		return out, err
	}
	have := map[string]bool{}
	add := func(key string, fields map[string]any, waiting bool) {
		text := func(f string) string { s, _ := fields[f].(string); return s }
		if have[key] || text("assessment") != a.Key {
			return
		}
		have[key] = true
		out.Evidence = append(out.Evidence, evidenceJSON{
			text("criterion"), text("department"), text("status"), text("effect"), text("site"), text("source_doctype"), text("source_name"), text("title"),
			text("source_url"), text("captured_on"), text("content_hash"), text("previous_hash"), waiting,
		})
	}
	for _, k := range known {
		if k.Doctype == plan.DoctypeEvidence {
			add(k.Key, k.Fields, false)
		}
	}
	for _, c := range open {
		add(c.Name, c.Fields, true)
	}
	slices.SortFunc(out.Evidence, func(a, b evidenceJSON) int {
		return cmp.Or(cmp.Compare(slices.Index(integrities, a.Integrity), slices.Index(integrities, b.Integrity)), cmp.Compare(a.Criterion, b.Criterion),
			cmp.Compare(a.Doctype, b.Doctype), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Captured, b.Captured))
	})
	for _, c := range a.Collected {
		row := collectedJSON{c.Stream, rules.SourceKey(c.Item), plan.Data(c.Label), c.Counts, c.Late, []lackJSON{}}
		for _, l := range c.Lacking {
			row.Lacking = append(row.Lacking, lackJSON(l))
		}
		out.Collected = append(out.Collected, row)
	}
	needed := map[string]bool{}
	for _, v := range a.Verdicts {
		for _, u := range v.Unknowns {
			needed[u.Stream] = true
		}
	}
	for _, g := range a.Gaps {
		if needed[g.Stream] {
			out.Unreadable = append(out.Unreadable, unreadJSON{g.Site, g.Stream, plan.Plain(g.Reason, 200), plan.Plain(g.Remedy, 200)})
		}
	}
	return out, nil
}

// shownEvidence is how many records are printed unless all are asked for.
const shownEvidence = 20

func (g gathered) print(p process, a rules.Assessment, all bool) {
	for _, c := range a.Collected {
		fmt.Fprintln(p.stdout, plan.CollectedLine(c))
		for _, l := range c.Lacking {
			fmt.Fprintf(p.stdout, "  to bring %s: %s\n", l.Kind, l.Remedy)
		}
	}
	for _, u := range g.Unreadable {
		fmt.Fprintf(p.stdout, "Cannot be read: %s of %s: %s; %s\n", u.Stream, u.Site, u.Reason, u.Remedy)
	}
	if len(g.Evidence) == 0 {
		return
	}
	count := map[string]int{}
	for _, e := range g.Evidence {
		count[e.Integrity]++
	}
	var parts []string
	for _, s := range slices.Backward(integrities) {
		if n := count[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(s)))
		}
	}
	fmt.Fprintf(p.stdout, "Evidence: %d records (%s)\n", len(g.Evidence), strings.Join(parts, ", "))
	t := programmeTable(p, "Integrity", "Criterion", "Effect", "Record", "Title", "Captured", "")
	for i, e := range g.Evidence {
		if i == shownEvidence && !all {
			break
		}
		note := ""
		if e.Waiting {
			note = "waits to be written"
		}
		t.AppendRow(table.Row{e.Integrity, e.Criterion, e.Effect, plan.Plain(e.Doctype+" "+e.Name, 40), plan.Plain(e.Title, 40), e.Captured, note})
	}
	t.Render()
	if more := len(g.Evidence) - shownEvidence; more > 0 && !all {
		fmt.Fprintf(p.stdout, "and %d more; --all shows them\n", more)
	}
}
