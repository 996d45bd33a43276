package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/packs"
	"github.com/prmsync/prmsync/store"
)

type rulesCmd struct {
	List    rulesListCmd    `cmd:"" default:"withargs" help:"List the criteria."`
	Explain rulesExplainCmd `cmd:"" help:"Say all there is to know about one criterion."`
	Test    rulesTestCmd    `cmd:"" help:"Run a pack's own test files."`
	Diff    rulesDiffCmd    `cmd:"" help:"Say which verdicts of stored evidence another pack would change."`
}

// loadPacks reads the packs of a folder, or those that come with prmsync.
func loadPacks(dir string) ([]*rules.Pack, error) {
	if dir == "" {
		return rules.LoadBuiltin()
	}
	ps, err := rules.Load(os.DirFS(dir))
	if err != nil {
		return nil, usage(err)
	}
	return ps, nil
}

type rulesListCmd struct {
	Packs string `help:"A folder of packs instead of those that come with prmsync." type:"existingdir" placeholder:"DIR"`
	JSON  bool   `help:"Print one JSON document." name:"json"`
}

// Run lists criteria.
func (c rulesListCmd) Run(p process) error {
	ps, err := loadPacks(c.Packs)
	if err != nil {
		return err
	}
	if c.JSON {
		out := map[string][]rules.Description{}
		for _, pk := range ps {
			out[pk.ID.Name] = pk.List()
		}
		return writeJSON(p.stdout, out)
	}
	for _, pk := range ps {
		t := table.NewWriter()
		t.SetOutputMirror(p.stdout)
		t.SetStyle(table.StyleLight)
		t.SetTitle("%s %s: %s", pk.ID.Name, pk.ID.Version, pk.Title)
		t.AppendHeader(table.Row{"Level", "Id", "Statement", "Severity", "Requirements"})
		t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: 60}})
		for _, d := range pk.List() {
			level := ""
			if d.Level > 0 {
				level = fmt.Sprint(d.Level)
			}
			t.AppendRow(table.Row{level, d.ID, d.Title, d.Severity, strings.Join(d.Requirements, " ")})
		}
		t.Render()
	}
	return nil
}

type rulesExplainCmd struct {
	ID    string `arg:"" help:"The criterion's id."`
	Packs string `help:"A folder of packs instead of those that come with prmsync." type:"existingdir" placeholder:"DIR"`
	JSON  bool   `help:"Print one JSON document." name:"json"`
}

// Run explains a criterion.
func (c rulesExplainCmd) Run(p process) error {
	ps, err := loadPacks(c.Packs)
	if err != nil {
		return err
	}
	for _, pk := range ps {
		d, ok := pk.Explain(c.ID)
		if !ok {
			continue
		}
		if c.JSON {
			return writeJSON(p.stdout, d)
		}
		w := p.stdout
		fmt.Fprintf(w, "%s: %s\n", d.ID, d.Title)
		if d.Level > 0 {
			fmt.Fprintf(w, "  level %d, %s, %s\n", d.Level, d.Department, d.Severity)
		}
		line := func(name, text string) {
			if text != "" {
				fmt.Fprintf(w, "  %-12s %s\n", name, text)
			}
		}
		line("source", strings.TrimSpace(strings.Join(d.Requirements, " ")+" "+d.Procedure))
		line("needs", strings.Join(d.Needs, ", "))
		line("for each", d.ForEach)
		line("applies", d.Applies)
		line("expected", d.Expected)
		line("bears", d.Accept)
		line("else", d.NotApplicable)
		line("a person", d.Judge)
		line("remedy", d.Remedy)
		for _, k := range d.Checks {
			line("check", k.Name)
			line("  only", k.Only)
			line("  pass", k.Pass)
			line("  manual", k.Manual)
			line("  observe", k.Observe)
		}
		for _, t := range d.Thresholds {
			house := ""
			if t.House {
				house = " (house default)"
			}
			fmt.Fprintf(w, "  threshold %s = %g %s%s: %s\n", t.Name, t.Value, t.Unit, house, t.About)
		}
		for _, f := range d.Reads {
			fmt.Fprintf(w, "  reads %s (%s): %s\n", f.Name, f.Type, f.About)
		}
		return nil
	}
	return usage(fmt.Errorf("no criterion is named %q; see prmsync rules list", c.ID))
}

type rulesTestCmd struct {
	Packs string `help:"A folder with packs and their test files, instead of those that come with prmsync." type:"existingdir" placeholder:"DIR"`
	JSON  bool   `help:"Print one JSON document." name:"json"`
}

// Run runs pack tests.
func (c rulesTestCmd) Run(p process) error {
	ps, err := loadPacks(c.Packs)
	if err != nil {
		return err
	}
	var results []rules.TestResult
	if c.Packs == "" {
		results, err = rules.TestFolder(ps, packs.Files)
	} else {
		results, err = rules.TestFolder(ps, os.DirFS(c.Packs))
	}
	if err != nil {
		return usage(err)
	}
	failed := 0
	for _, r := range results {
		if r.Problem == "" {
			continue
		}
		failed++
		if !c.JSON {
			fmt.Fprintf(p.stdout, "%s: %s: %s: want %s, got %s: %s\n", r.File, r.Test, r.Criterion, r.Want, r.Got.Outcome, r.Problem)
		}
	}
	if c.JSON {
		if err := writeJSON(p.stdout, results); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.stdout, "%d passed, %d failed\n", len(results)-failed, failed)
	}
	if failed > 0 {
		return fmt.Errorf("%d expectations of the packs' tests do not hold", failed)
	}
	return nil
}

type rulesDiffCmd struct {
	Old  string `arg:"" help:"A folder of packs; \"-\" for those that come with prmsync."`
	New  string `arg:"" help:"Another folder of packs; \"-\" for those that come with prmsync."`
	Pack string `help:"The pack to compare." default:"pmm"`
	JSON bool   `help:"Print one JSON document." name:"json"`
}

// Run judges stored evidence by two packs.
func (c rulesDiffCmd) Run(p process) error {
	var two [2]*rules.Pack
	for i, dir := range []string{c.Old, c.New} {
		if dir == "-" {
			dir = ""
		}
		ps, err := loadPacks(dir)
		if err != nil {
			return err
		}
		if two[i] = rules.PackNamed(ps, c.Pack); two[i] == nil {
			return usage(fmt.Errorf("%s holds no pack %s", dir, c.Pack))
		}
	}
	st, _, err := readable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	inputs, err := storedInputs(p, st)
	if err != nil {
		return err
	}
	changes, err := rules.Diff(two[0], two[1], inputs)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(p.stdout, changes)
	}
	for _, ch := range changes {
		fmt.Fprintf(p.stdout, "%s %s: %s → %s (%s)\n", ch.Partner, ch.Criterion, ch.From, ch.To, ch.Why)
	}
	fmt.Fprintf(p.stdout, "%d of the verdicts of %d partners would differ\n", len(changes), len(inputs))
	return nil
}

// storedInputs are the partners' evidence as it is known now.
func storedInputs(p process, st *store.Store) ([]rules.Input, error) {
	jobs, err := st.Jobs(p.ctx)
	if err != nil {
		return nil, err
	}
	j := newJudge(st)
	now := time.Now()
	var out []rules.Input
	for _, job := range jobs {
		key, ok := strings.CutPrefix(job.Name, "poll:")
		if !ok {
			continue
		}
		snap, err := j.snapshot(p.ctx, key, now)
		if err != nil {
			return nil, err
		}
		out = append(out, rules.Input{Snapshot: &snap, Metrics: measure.All(&snap, measure.Options{}), Samples: rules.ContinuousSamples(&snap)})
	}
	return out, nil
}
