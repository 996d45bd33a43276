package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/report"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

type escalationCmd struct {
	List escalationListCmd `cmd:"" help:"List the escalations: state, how long it has waited, NCs."`
	Show escalationShowCmd `cmd:"" help:"Show one escalation: the checklist, NCs, what follows for the level."`

	Checklist escalationChecklistCmd `cmd:"" help:"Write the checklist that the partner gets before the call."`
}

type escalationJSON struct {
	Name      string           `json:"name"`
	Partner   string           `json:"partner"`
	Customer  string           `json:"customer"`
	Project   string           `json:"project"`
	Stage     string           `json:"stage"`
	Status    string           `json:"status"`
	Received  evidence.Date    `json:"received"`
	Waits     int              `json:"working_days_in_state"`
	Broken    string           `json:"broken_rule,omitempty"`
	Next      []string         `json:"next_states"`
	ReauditOn evidence.Date    `json:"reaudit_on"`
	Unknown   string           `json:"to_be_named,omitempty"`
	NCState   string           `json:"nc_state"`
	NCs       []ncJSON         `json:"ncs"`
	Effect    effectJSON       `json:"effect"`
	Checklist []escalationItem `json:"checklist"`
	// Contradictions are for the auditor, not for the partner.
	Contradictions []contradictionJSON `json:"contradictions"`
}

// escalationShowJSON is one escalation with its evidence.
type escalationShowJSON struct {
	escalationJSON
	gathered
}

type effectJSON struct {
	Awarded   int    `json:"awarded"`
	Effective int    `json:"effective"`
	Proposed  int    `json:"proposed,omitempty"`
	Case      string `json:"case,omitempty"`
	Decide    bool   `json:"needs_decision"`
	Why       string `json:"why,omitempty"`
}

type escalationItem struct {
	Criterion string        `json:"criterion"`
	Title     string        `json:"title"`
	Outcome   rules.Outcome `json:"outcome"`
	Measured  string        `json:"measured"`
	Expected  string        `json:"expected"`
	Repeat    bool          `json:"repeat"`
}

func escalationOut(c *programme.Case, e programme.Escalation) escalationJSON {
	w := c.Waiting(e)
	received := e.ReceivedOn
	if received.IsZero() {
		received = evidence.DateIn(e.Received, c.Zone)
	}
	x := c.Effect()
	out := escalationJSON{
		Name: e.Name, Partner: e.Partner, Customer: plan.Data(e.Customer), Project: plan.Data(e.Project), Stage: e.Stage, Status: e.Status, Received: received,
		Waits: w.Days, Broken: w.Rule, Next: append([]string{}, programme.EscalationNext(e.Status)...), ReauditOn: c.ReauditOn(e), Unknown: c.Unknown(e),
		NCState: c.NCStateOf(e), NCs: []ncJSON{}, Checklist: []escalationItem{}, Contradictions: contradictionsOf(c.Targeted[e.Name]),
		Effect: effectJSON{c.Partner.AwardedLevel, x.Level, x.Proposed, x.Case, x.Decide, x.Why},
	}
	for _, n := range c.NCs {
		if n.Escalation == e.Name || n.Audit != "" && n.Audit == e.Audit {
			out.NCs = append(out.NCs, ncOut(c, n))
		}
	}
	for _, v := range c.Targeted[e.Name].Verdicts {
		out.Checklist = append(out.Checklist, escalationItem{v.Criterion, v.Title, v.Effective(), v.Measured, v.Expected, v.Repeat})
	}
	return out
}

type escalationListCmd struct {
	Partner string `help:"Only this partner's." placeholder:"KEY"`
	All     bool   `help:"Also those that are over."`
	JSON    bool   `help:"Print one JSON document." name:"json"`
}

// Run lists the escalations as last read from the PRM.
func (l escalationListCmd) Run(p process) error {
	d, err := openDesk(p)
	if err != nil {
		return err
	}
	defer d.store.Close()
	cases, err := d.cases(p, l.Partner)
	if err != nil {
		return err
	}
	rows := []escalationJSON{}
	for _, c := range cases {
		for _, e := range c.Escalations {
			if l.All || !e.Ended() || c.NCStateOf(e) == "Open" || c.NCStateOf(e) == "Overdue" {
				rows = append(rows, escalationOut(&c, e))
			}
		}
	}
	if l.JSON {
		return writeJSON(p.stdout, rows)
	}
	t := programmeTable(p, "Escalation", "Partner", "Customer", "Project", "State", "Received", "Waits", "Re-audit", "NCs", "To do")
	for _, r := range rows {
		t.AppendRow(table.Row{
			r.Name, r.Partner, plan.Plain(r.Customer, 24), plan.Plain(r.Project, 20), r.Status, r.Received, fmt.Sprintf("%d d", r.Waits), r.ReauditOn, r.NCState,
			plan.Plain(cmp.Or(r.Unknown, strings.ReplaceAll(r.Broken, "_", " ")), 50),
		})
	}
	t.Render()
	return nil
}

type escalationShowCmd struct {
	ID   string `arg:"" help:"The escalation, as ESC-00001."`
	All  bool   `help:"Print all records of the evidence, not the first 20."`
	JSON bool   `help:"Print one JSON document." name:"json"`
}

// Run shows one escalation.
func (s escalationShowCmd) Run(p process) error {
	d, err := openDesk(p)
	if err != nil {
		return err
	}
	defer d.store.Close()
	c, e, err := d.findEscalation(p, s.ID)
	if err != nil {
		return err
	}
	out := escalationOut(&c, e)
	found, err := d.evidenceOf(p, e.Partner, c.Targeted[e.Name])
	if err != nil {
		return err
	}
	if s.JSON {
		return writeJSON(p.stdout, escalationShowJSON{out, found})
	}
	s.print(p, out)
	found.print(p, c.Targeted[e.Name], s.All)
	return nil
}

// findEscalation returns the escalation and its partner's case.
func (d *desk) findEscalation(p process, id string) (programme.Case, programme.Escalation, error) {
	for _, e := range d.people.Escalations {
		if strings.EqualFold(e.Name, id) {
			c, err := d.of(p, e.Partner)
			return c, e, err
		}
	}
	return programme.Case{}, programme.Escalation{}, usage(fmt.Errorf("escalation %s is not among those last read from the PRM; see prmsync escalation list", id))
}

type escalationChecklistCmd struct {
	ID  string `arg:"" help:"The escalation, as ESC-00001."`
	Out string `help:"Write to this file, which must not exist." short:"o" placeholder:"FILE"`
}

// Help is shown by --help.
func (escalationChecklistCmd) Help() string {
	return `The page that hangs on the escalation on the PRM once its re-audit is scheduled, as
of now: one HTML page to be sent or printed, with questions and what answers them,
no verdicts and no internal notes. Enter the day on which it was sent under
Checklist Shared On of the escalation.`
}

// Run writes the checklist.
func (s escalationChecklistCmd) Run(p process) error {
	d, err := openDesk(p)
	if err != nil {
		return err
	}
	defer d.store.Close()
	c, e, err := d.findEscalation(p, s.ID)
	if err != nil {
		return err
	}
	as, ok := c.Targeted[e.Name]
	if !ok {
		return usage(fmt.Errorf("%s was not judged yet: %s", e.Name, cmp.Or(c.Unknown(e), "the next cycle does it")))
	}
	list := report.Checklist{
		Partner: cmp.Or(c.Partner.Name, e.Partner), Escalation: e.Name, Customer: e.Customer, Project: e.Project, On: c.ReauditOn(e), Assessment: as,
	}
	if s.Out == "" {
		return report.ChecklistHTML(p.stdout, list)
	}
	f, err := os.OpenFile(s.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("checklist of %s: %w", e.Name, err)
	}
	return errors.Join(report.ChecklistHTML(f, list), f.Close())
}

func (s escalationShowCmd) print(p process, out escalationJSON) {
	fmt.Fprintf(p.stdout, "%s  %s  %s  project %s  %s\n", out.Name, out.Partner, out.Customer, cmp.Or(out.Project, "not named"), out.Status)
	fmt.Fprintf(p.stdout, "Received %s; %d working days in this state; next: %s\n", out.Received, out.Waits, strings.Join(out.Next, ", "))
	if out.Unknown != "" {
		fmt.Fprintf(p.stdout, "%s %s\n", out.Name, out.Unknown)
	}
	if out.Effect.Why != "" {
		fmt.Fprintln(p.stdout, out.Effect.Why)
	}
	ncTable(p, out.NCs)
	contradictionTable(p, out.Contradictions)
	if len(out.Checklist) == 0 {
		return
	}
	t := programmeTable(p, "Asked", "Answer", "Measured", "Expected", "Found before")
	for _, v := range out.Checklist {
		t.AppendRow(table.Row{v.Criterion, v.Outcome, plan.Plain(v.Measured, 45), plan.Plain(v.Expected, 45), yes(v.Repeat)})
	}
	t.Render()
}
