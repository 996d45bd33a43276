package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

//go:embed checklist.html
var checklistPage string

//go:embed pack.html
var packPage string

var pageFuncs = template.FuncMap{"plain": plain, "instant": instant, "level": levelText, "department": plan.Department, "outcome": rules.Outcome.String}

var (
	checklistTemplate = page("checklist", checklistPage, pageFuncs)
	packTemplate      = page("pack", packPage, pageFuncs)
)

// Checklist is what a partner is asked in a re-audit, to be shared before the
// call. It holds questions and what answers them, and no verdict.
type Checklist struct {
	Partner    string // its name
	Escalation string // the record's name
	Customer   string
	Project    string
	On         evidence.Date // of the re-audit; zero while it is not set
	Assessment rules.Assessment
}

type checklistItem struct {
	Title, Expected, Remedy string
	Found                   int
}

type checklistPart struct {
	Department evidence.Department
	Items      []checklistItem
}

// ChecklistHTML writes the checklist as one self-contained page, without script
// and outside resource. Its parts stand in the order of the assessment, which has
// the stage of the escalation first. Foreign text is escaped.
func ChecklistHTML(w io.Writer, c Checklist) error {
	var parts []checklistPart
	at := map[evidence.Department]int{}
	for _, v := range c.Assessment.Verdicts {
		i, ok := at[v.Department]
		if !ok {
			i = len(parts)
			at[v.Department] = i
			parts = append(parts, checklistPart{Department: v.Department})
		}
		parts[i].Items = append(parts[i].Items, checklistItem{v.Title, v.Expected, v.Remedy, len(v.Evidence)})
	}
	lines := make([]string, 0, len(c.Assessment.Collected))
	for _, col := range c.Assessment.Collected {
		lines = append(lines, plan.CollectedLine(col))
	}
	if err := checklistTemplate.Execute(w, map[string]any{"C": c, "Parts": parts, "Lines": lines}); err != nil {
		return fmt.Errorf("checklist of %s: %w", c.Escalation, err)
	}
	return nil
}

// Pack is the evidence pack of an audit or escalation, as it stood at one moment.
type Pack struct {
	Partner    string // its name
	Record     string // the audit's or escalation's name
	State      string // of the record
	Assessment rules.Assessment
	Records    []PackRecord
}

// PackRecord is one record of the evidence, as the PRM has it.
type PackRecord struct {
	Criterion, Title, Source, URL, Created, Captured, Integrity, Effect, Hash string
}

type packPart struct {
	Department evidence.Department
	Verdicts   []rules.Verdict
}

// PackHTML writes the pack as one self-contained page, without script and outside
// resource: what the records show by department, what could not be judged apart,
// suggestions, how the sample was drawn and what was found on it, and the records
// of the evidence. Foreign text is escaped; only http(s) addresses become links.
func PackHTML(w io.Writer, p Pack) error {
	var parts []packPart
	var open, advice []rules.Verdict
	at := map[evidence.Department]int{}
	met, missed := 0, 0
	for _, v := range p.Assessment.Verdicts {
		switch o := v.Effective(); {
		case o == rules.Insufficient || o == rules.Manual:
			open = append(open, v)
			continue
		case o == rules.NotMet && v.Severity == rules.SeverityObservation:
			advice = append(advice, v)
			continue
		case o == rules.NotMet:
			missed++
		default:
			met++
		}
		i, ok := at[v.Department]
		if !ok {
			i = len(parts)
			at[v.Department] = i
			parts = append(parts, packPart{Department: v.Department})
		}
		parts[i].Verdicts = append(parts[i].Verdicts, v)
	}
	lines := make([]string, 0, len(p.Assessment.Collected))
	for _, col := range p.Assessment.Collected {
		lines = append(lines, plan.CollectedLine(col))
	}
	err := packTemplate.Execute(w, map[string]any{
		"P": p, "A": p.Assessment, "Parts": parts, "Open": open, "Advice": advice, "Met": met, "Missed": missed, "Lines": lines,
		"Levels": p.Assessment.Kind == rules.Audit,
	})
	if err != nil {
		return fmt.Errorf("evidence pack of %s: %w", p.Record, err)
	}
	return nil
}
