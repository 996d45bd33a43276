package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

type auditCmd struct {
	List      auditListCmd      `cmd:"" help:"List the audits: state, date, findings, what is to be put right."`
	Show      auditShowCmd      `cmd:"" help:"Show one audit: attendance, NCs with their dates, what is missed, the evidence."`
	Readiness auditReadinessCmd `cmd:"" help:"Show what a partner still needs for a level, by department."`
	Sample    auditSampleCmd    `cmd:"" help:"Show how an audit's sample was drawn, and repeat the draw."`
}

// desk is what people decided and what was judged, as the store has it now.
type desk struct {
	store  *store.Store
	judge  *judge
	people programme.Input
	now    time.Time
	levels map[string]int
}

// openDesk reads the store beside a running prmsync; the caller closes the store.
func openDesk(p process) (*desk, error) {
	st, _, err := readable(p.ctx, p)
	if err != nil {
		return nil, err
	}
	d := &desk{store: st, judge: newJudge(st), now: time.Now(), levels: map[string]int{}}
	if d.people, err = d.judge.peopleAt(p.ctx, d.now); err != nil {
		st.Close()
		return nil, err
	}
	if in, ok, err := st.InputAt(p.ctx, daemon.InputSightings, "prm", d.now); err == nil && ok {
		var last programme.Input
		if json.Unmarshal(in.Body, &last) == nil {
			d.people = programme.Carry(last, d.people, d.now)
		}
	}
	criteria, _, err := criteriaFacts()
	if err != nil {
		st.Close()
		return nil, err
	}
	for _, c := range criteria {
		d.levels[c.ID] = c.Level
	}
	return d, nil
}

// of is everything known of a partner, with its last assessments.
func (d *desk) of(p process, partner string) (programme.Case, error) {
	c := programme.CaseOf(&d.people, partner, d.now)
	c.LevelOf = func(id string) int { return d.levels[id] }
	held, ok, err := d.store.LatestOf(p.ctx, partner, rules.Continuous)
	if err != nil {
		return c, err
	}
	if ok {
		c.Continuous = held.Assessment
	}
	for record, key := range c.Records() {
		held, ok, err := d.store.Latest(p.ctx, key)
		if err != nil {
			return c, err
		}
		if ok {
			c.Targeted[record] = held.Assessment
		}
	}
	return c, nil
}

// cases are those of the partner, or with "" of all that have a record.
func (d *desk) cases(p process, partner string) ([]programme.Case, error) {
	keys := d.partners()
	if partner != "" {
		if !slices.Contains(keys, partner) {
			return nil, usage(fmt.Errorf("partner %s has no audit and no escalation on the PRM; those that have: %s", partner, strings.Join(keys, ", ")))
		}
		keys = []string{partner}
	}
	var out []programme.Case
	for _, key := range keys {
		c, err := d.of(p, key)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// partners are the keys that occur, "" among them for records of no partner.
func (d *desk) partners() []string {
	var out []string
	for _, a := range d.people.Audits {
		out = append(out, a.Partner)
	}
	for _, e := range d.people.Escalations {
		out = append(out, e.Partner)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findAudit returns the audit and its partner's case.
func (d *desk) findAudit(p process, id string) (programme.Case, programme.Audit, error) {
	for _, a := range d.people.Audits {
		if strings.EqualFold(a.Name, id) {
			c, err := d.of(p, a.Partner)
			return c, a, err
		}
	}
	return programme.Case{}, programme.Audit{}, usage(fmt.Errorf("audit %s is not among those last read from the PRM; see prmsync audit list", id))
}

type auditJSON struct {
	Name       string          `json:"name"`
	Partner    string          `json:"partner"`
	Kind       string          `json:"kind"`
	Level      int             `json:"level"`
	Status     string          `json:"status"`
	On         evidence.Date   `json:"on"`
	Outcome    string          `json:"outcome"`
	Proposed   string          `json:"proposed_outcome"`
	Because    string          `json:"because"`
	Escalation string          `json:"escalation,omitempty"`
	Previous   string          `json:"previous,omitempty"`
	Assessment string          `json:"assessment,omitempty"`
	Cutoff     time.Time       `json:"cutoff,omitzero"`
	Next       []string        `json:"next_states"`
	Absent     []string        `json:"not_ticked"`
	Flags      []string        `json:"flags"`
	NCs        []ncJSON        `json:"ncs"`
	Undecided  []undecidedJSON `json:"findings_to_decide"`
	// Suggestions are observations: advice that decides nothing.
	Suggestions    []suggestionJSON    `json:"suggestions"`
	Contradictions []contradictionJSON `json:"contradictions"`
}

type suggestionJSON struct {
	Criterion string `json:"criterion"`
	Title     string `json:"title"`
	Says      string `json:"says"`
}

// contradictionJSON is a pair of facts that a person should look into.
type contradictionJSON struct {
	Rule    string    `json:"rule"`
	Subject string    `json:"subject"` // site/doctype/name
	Says    [2]string `json:"says"`
}

func suggestions(vs []rules.Verdict) []suggestionJSON {
	out := []suggestionJSON{}
	for _, v := range vs {
		switch {
		case v.Observation != "":
			out = append(out, suggestionJSON{v.Criterion, v.Title, v.Observation})
		case v.Severity == rules.SeverityObservation && v.Effective() == rules.NotMet:
			out = append(out, suggestionJSON{v.Criterion, v.Title, v.Remedy})
		}
	}
	return out
}

func contradictionsOf(a rules.Assessment) []contradictionJSON {
	out := []contradictionJSON{}
	for _, x := range a.Signals {
		out = append(out, contradictionJSON{x.Rule, rules.SourceKey(x.Subject), [2]string{plan.Plain(x.Says[0], 300), plan.Plain(x.Says[1], 300)}})
	}
	return out
}

func contradictionTable(p process, all []contradictionJSON) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(p.stdout, "To look into; none of it changes a verdict:")
	for _, x := range all {
		fmt.Fprintf(p.stdout, "  %s (%s)\n    %s\n    But: %s\n", plan.Plain(x.Subject, 80), strings.ReplaceAll(x.Rule, "_", " "), x.Says[0], x.Says[1])
	}
}

// auditShowJSON is one audit with its evidence.
type auditShowJSON struct {
	auditJSON
	gathered
}

type ncJSON struct {
	Name      string        `json:"name"`
	Criterion string        `json:"criterion"`
	Status    string        `json:"status"`
	Raised    evidence.Date `json:"raised"`
	Due       evidence.Date `json:"due"`
	Closed    evidence.Date `json:"closed"`
	Overdue   bool          `json:"overdue"`
	Late      bool          `json:"closed_late"`
	Recheck   string        `json:"recheck"`
	Statement string        `json:"statement"`
}

type undecidedJSON struct {
	Criterion string `json:"criterion"`
	Title     string `json:"title"`
	Measured  string `json:"measured"`
	Expected  string `json:"expected"`
	Repeat    bool   `json:"repeat"`
}

func auditOut(c *programme.Case, a programme.Audit) auditJSON {
	out := auditJSON{
		Name: a.Name, Partner: a.Partner, Kind: a.Kind, Level: a.Level, Status: a.Status, On: a.Day(), Outcome: cmp.Or(a.Outcome, programme.Pending),
		Escalation: a.Escalation, Previous: a.Previous, Assessment: a.Assessment, Cutoff: a.InProgressSince,
		Next: append([]string{}, programme.AuditNext(a.Status)...), Absent: append([]string{}, a.Absent()...), Flags: []string{}, NCs: []ncJSON{}, Undecided: []undecidedJSON{},
	}
	out.Proposed, out.Because = c.Propose(a)
	for _, f := range c.Flags(a) {
		out.Flags = append(out.Flags, f.Says)
	}
	for _, n := range c.NCs {
		if n.Audit == a.Name {
			out.NCs = append(out.NCs, ncOut(c, n))
		}
	}
	judged := c.Targeted[a.Name]
	out.Suggestions, out.Contradictions = suggestions(judged.Verdicts), contradictionsOf(judged)
	for _, v := range c.Undecided(a) {
		out.Undecided = append(out.Undecided, undecidedJSON{v.Criterion, v.Title, v.Measured, v.Expected, v.Repeat})
	}
	return out
}

func ncOut(c *programme.Case, n programme.NC) ncJSON {
	return ncJSON{n.Name, n.Criterion, n.Status, n.Raised, n.DueOn(), n.ClosedDay(), n.OverdueOn(c.Today), n.Late(), c.Recheck(n), plan.Plain(n.Statement, 140)}
}

type auditListCmd struct {
	Partner string `help:"Only this partner's." placeholder:"KEY"`
	All     bool   `help:"Also those that are over."`
	JSON    bool   `help:"Print one JSON document." name:"json"`
}

// Run lists the audits as last read from the PRM.
func (l auditListCmd) Run(p process) error {
	d, err := openDesk(p)
	if err != nil {
		return err
	}
	defer d.store.Close()
	cases, err := d.cases(p, l.Partner)
	if err != nil {
		return err
	}
	rows := []auditJSON{}
	for _, c := range cases {
		for _, a := range c.Audits {
			decided := a.Status == programme.AuditCancelled || a.Status == programme.AuditCompleted && (a.Outcome == programme.Awarded || a.Outcome == programme.NotAwarded)
			if l.All || !decided {
				rows = append(rows, auditOut(&c, a))
			}
		}
	}
	if l.JSON {
		return writeJSON(p.stdout, rows)
	}
	t := programmeTable(p, "Audit", "Partner", "Kind", "Level", "State", "On", "Outcome", "Proposed", "NCs open", "To be put right")
	for _, r := range rows {
		open := 0
		for _, n := range r.NCs {
			if n.Status != programme.NCClosed && n.Status != programme.NCDiscarded {
				open++
			}
		}
		t.AppendRow(table.Row{r.Name, r.Partner, r.Kind, level(r.Level), r.Status, r.On, r.Outcome, r.Proposed, open, plan.Plain(strings.Join(r.Flags, "; "), 60)})
	}
	t.Render()
	return nil
}

func level(n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprint(n)
}

func programmeTable(p process, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(p.stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(header)
	return t
}

type auditShowCmd struct {
	ID   string `arg:"" help:"The audit, as ADT-0001."`
	All  bool   `help:"Print all records of the evidence, not the first 20."`
	JSON bool   `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (auditShowCmd) Help() string {
	return `For each item of the sample it says what evidence was found, what is lacking and how
to bring it. The records of the evidence follow, those first that a person should
look at: missing, changed since they were captured, entered later than dated, or
produced after the evidence was frozen.`
}

// Run shows one audit.
func (s auditShowCmd) Run(p process) error {
	d, err := openDesk(p)
	if err != nil {
		return err
	}
	defer d.store.Close()
	c, a, err := d.findAudit(p, s.ID)
	if err != nil {
		return err
	}
	out := auditOut(&c, a)
	as := c.Targeted[a.Name]
	if a.Kind == programme.KindReaudit && a.Escalation != "" {
		as = c.Targeted[a.Escalation] // a re-audit is judged by its escalation's
	}
	found, err := d.evidenceOf(p, a.Partner, as)
	if err != nil {
		return err
	}
	if s.JSON {
		return writeJSON(p.stdout, auditShowJSON{out, found})
	}
	fmt.Fprintf(p.stdout, "%s  %s  %s  level %s  %s  on %s\n", out.Name, out.Partner, out.Kind, level(out.Level), out.Status, cmp.Or(out.On.String(), "no date"))
	fmt.Fprintf(p.stdout, "Outcome %s; proposed %s: %s\n", out.Outcome, cmp.Or(out.Proposed, "none"), out.Because)
	if len(out.Next) > 0 {
		fmt.Fprintf(p.stdout, "Next: %s\n", strings.Join(out.Next, ", "))
	}
	if len(out.Absent) > 0 {
		fmt.Fprintf(p.stdout, "Not ticked as present: %s\n", strings.Join(out.Absent, ", "))
	}
	if !out.Cutoff.IsZero() {
		fmt.Fprintf(p.stdout, "Evidence frozen on %s\n", out.Cutoff.Local().Format(time.DateTime))
	}
	for _, f := range out.Flags {
		fmt.Fprintf(p.stdout, "To be put right: %s\n", f)
	}
	ncTable(p, out.NCs)
	if len(out.Undecided) > 0 {
		t := programmeTable(p, "Finding to decide about", "Measured", "Expected", "Found before")
		for _, u := range out.Undecided {
			t.AppendRow(table.Row{u.Criterion, plan.Plain(u.Measured, 50), plan.Plain(u.Expected, 50), yes(u.Repeat)})
		}
		t.Render()
	}
	for _, x := range out.Suggestions {
		fmt.Fprintf(p.stdout, "Suggestion: %s: %s\n", plan.Plain(x.Title, 100), plan.Plain(x.Says, 200))
	}
	contradictionTable(p, out.Contradictions)
	found.print(p, as, s.All)
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func ncTable(p process, ncs []ncJSON) {
	if len(ncs) == 0 {
		return
	}
	t := programmeTable(p, "NC", "Criterion", "State", "Raised", "Due", "Closed", "", "Evidence now")
	for _, n := range ncs {
		note := ""
		switch {
		case n.Overdue:
			note = "overdue"
		case n.Late:
			note = "closed late"
		}
		t.AppendRow(table.Row{n.Name, n.Criterion, n.Status, n.Raised, n.Due, n.Closed, note, n.Recheck})
	}
	t.Render()
}

type auditReadinessCmd struct {
	Partner string `arg:"" help:"The partner's key."`
	Level   int    `help:"The level to be ready for, 2 to 5." required:"" placeholder:"N"`
	JSON    bool   `help:"Print one JSON document." name:"json"`
}

type readinessJSON struct {
	Partner     string           `json:"partner"`
	Level       int              `json:"level"`
	AsOf        time.Time        `json:"as_of"`
	Ready       bool             `json:"ready"`
	LevelLow    int              `json:"level_low"`
	LevelHigh   int              `json:"level_high"`
	Departments []readinessDept  `json:"departments"`
	Missing     []readinessGap   `json:"missing"`
	Requests    []readinessAudit `json:"requests"`
}

type readinessDept struct {
	Level      int                 `json:"level"`
	Department evidence.Department `json:"department"`
	Met        int                 `json:"met"`
	NotMet     int                 `json:"not_met"`
	Unknown    int                 `json:"unknown"`
}

type readinessGap struct {
	Level      int                 `json:"level"`
	Department evidence.Department `json:"department"`
	Criterion  string              `json:"criterion"`
	Outcome    rules.Outcome       `json:"outcome"`
	Title      string              `json:"title"`
	Remedy     string              `json:"remedy"`
}

type readinessAudit struct {
	Name  string   `json:"name"`
	Level int      `json:"level"`
	Flags []string `json:"flags"`
}

// Run shows the readiness from the last assessment; exit code 3 says that
// something is missing.
func (r auditReadinessCmd) Run(p process) error {
	if r.Level < 2 || r.Level > 5 {
		return usage(fmt.Errorf("--level %d: levels to be ready for are 2 to 5", r.Level))
	}
	d, err := openDesk(p)
	if err != nil {
		return err
	}
	defer d.store.Close()
	c, err := d.of(p, r.Partner)
	if err != nil {
		return err
	}
	if c.Continuous.Key == "" {
		return usage(fmt.Errorf("partner %s was never judged; run prmsync once --partner %s", r.Partner, r.Partner))
	}
	out := readinessJSON{
		Partner: r.Partner, Level: r.Level, AsOf: c.Continuous.AsOf.UTC(), LevelLow: c.Continuous.LevelLow, LevelHigh: c.Continuous.LevelHigh,
		Ready: c.Continuous.LevelLow >= r.Level, Departments: []readinessDept{}, Missing: []readinessGap{}, Requests: []readinessAudit{},
	}
	for _, v := range c.Continuous.Verdicts {
		if v.Level < 2 || v.Level > r.Level || v.Severity != rules.SeverityNC {
			continue
		}
		i := slices.IndexFunc(out.Departments, func(x readinessDept) bool { return x.Level == v.Level && x.Department == v.Department })
		if i < 0 {
			i = len(out.Departments)
			out.Departments = append(out.Departments, readinessDept{Level: v.Level, Department: v.Department})
		}
		x := &out.Departments[i]
		switch v.Effective() {
		case rules.Met, rules.NotApplicable:
			x.Met++
			continue
		case rules.NotMet:
			x.NotMet++
		case rules.Insufficient, rules.Manual:
			x.Unknown++
		}
		out.Missing = append(out.Missing, readinessGap{v.Level, v.Department, v.Criterion, v.Effective(), v.Title, v.Remedy})
	}
	slices.SortStableFunc(out.Departments, func(a, b readinessDept) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Department, b.Department))
	})
	for _, a := range c.Audits {
		if a.Status == programme.AuditRequested {
			row := readinessAudit{Name: a.Name, Level: a.Level, Flags: []string{}}
			for _, f := range c.Flags(a) {
				row.Flags = append(row.Flags, f.Says)
			}
			out.Requests = append(out.Requests, row)
		}
	}
	if r.JSON {
		err = writeJSON(p.stdout, out)
	} else {
		r.print(p, out)
	}
	if err == nil && !out.Ready {
		return errNotMet
	}
	return err
}

func (r auditReadinessCmd) print(p process, out readinessJSON) {
	fmt.Fprintf(p.stdout, "%s as of %s: the evidence shows level %d to %d; asked for: %d\n", out.Partner, out.AsOf.Format(time.RFC3339), out.LevelLow, out.LevelHigh, out.Level)
	t := programmeTable(p, "Level", "Department", "Met", "Not met", "Not known")
	for _, x := range out.Departments {
		t.AppendRow(table.Row{x.Level, x.Department, x.Met, x.NotMet, x.Unknown})
	}
	t.Render()
	for _, m := range out.Missing {
		fmt.Fprintf(p.stdout, "  %d  %-30s %s: %s\n", m.Level, m.Criterion, m.Outcome, m.Remedy)
	}
	for _, q := range out.Requests {
		fmt.Fprintf(p.stdout, "Requested: %s for level %s %s\n", q.Name, level(q.Level), strings.Join(q.Flags, "; "))
	}
}

type auditSampleCmd struct {
	ID     string `arg:"" help:"The audit, as ADT-0001."`
	Add    string `help:"Add this record of the population to the sample; the draw stays as it was." placeholder:"SITE/DOCTYPE/NAME"`
	Remove string `help:"Take this record out of the sample; it stays listed and is judged no more." placeholder:"SITE/DOCTYPE/NAME"`
	Reason string `help:"With --add or --remove: why." placeholder:"TEXT"`
	JSON   bool   `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (auditSampleCmd) Help() string {
	return `The population is put in the order of HMAC-SHA256(seed, site/doctype/name) and taken
from the front; deals and tickets of the drawn projects come first. The SHA-256 of
the seed was stored with the sample. This repeats the order from the seed and says
whether it is the stored one. The seed itself is shown once the audit is under way.

A sample is drawn once: nothing draws it anew. Adding and removing are kept with
their reason and stand in the sample and in its note on the PRM.`
}

type sampleJSON struct {
	Department evidence.Department `json:"department"`
	Stream     string              `json:"stream"`
	Population int                 `json:"population"`
	LeftOut    int                 `json:"left_out"`
	Complete   bool                `json:"complete"`
	SeedSHA256 string              `json:"seed_sha256"`
	Seed       string              `json:"seed,omitempty"`
	Drawn      time.Time           `json:"drawn"`
	Reproduced bool                `json:"reproduced"`
	Differs    string              `json:"differs,omitempty"`
	Items      []sampleItemJSON    `json:"items"`
	Names      []string            `json:"population_in_order"`
}

type sampleItemJSON struct {
	Rank    int    `json:"rank"` // in the drawing order; 0 when a person added it
	Key     string `json:"key"`
	Label   string `json:"label"`
	Added   bool   `json:"added"`
	Removed bool   `json:"removed"`
	Reason  string `json:"reason,omitempty"`
}

// Run repeats the draw.
func (s auditSampleCmd) Run(p process) error {
	d, err := openDesk(p)
	if err != nil {
		return err
	}
	defer d.store.Close()
	c, a, err := d.findAudit(p, s.ID)
	if err != nil {
		return err
	}
	in, ok, err := d.store.InputAt(p.ctx, daemon.InputSeed, a.Name, d.now)
	if err != nil {
		return err
	}
	as, judged := c.Targeted[a.Name]
	if !ok || !judged {
		return usage(fmt.Errorf("%s has no sample yet: it is drawn when the audit is Scheduled", a.Name))
	}
	if s.Add != "" || s.Remove != "" || s.Reason != "" {
		return s.change(p, d, as, a.Name)
	}
	seed, err := hex.DecodeString(string(in.Body))
	if err != nil {
		return errors.New("the seed in history is damaged; restore a backup")
	}
	rows := []sampleJSON{}
	same := true
	for _, x := range as.Samples {
		row := sampleJSON{
			Department: x.Department, Stream: x.Stream, Population: x.Population, LeftOut: x.LeftOut, Complete: x.Complete, SeedSHA256: x.SeedHash,
			Drawn: x.Drawn, Reproduced: true, Items: []sampleItemJSON{}, Names: append([]string{}, x.Names...),
		}
		if err := x.Verify(seed); err != nil {
			row.Reproduced, row.Differs, same = false, err.Error(), false
		}
		if a.Status == programme.AuditInProgress || a.Status == programme.AuditCompleted {
			row.Seed = hex.EncodeToString(seed)
		}
		for _, it := range x.Items {
			key := rules.SourceKey(it.Ref)
			row.Items = append(row.Items, sampleItemJSON{slices.Index(x.Names, key) + 1, key, plan.Data(it.Label), it.Added, it.Removed, plan.Data(it.Reason)})
		}
		rows = append(rows, row)
	}
	if s.JSON {
		err = writeJSON(p.stdout, rows)
	} else {
		for _, r := range rows {
			word := "repeats"
			if !r.Reproduced {
				word = "does not repeat: " + r.Differs
			}
			fmt.Fprintf(p.stdout, "%s: %d of %d drawn on %s, %d left out; SHA-256 of the seed %s; %s\n", r.Stream, len(r.Items), r.Population, r.Drawn.Format(time.RFC3339), r.LeftOut, r.SeedSHA256, word)
			t := programmeTable(p, "Rank", "Record", "Title", "")
			for _, it := range r.Items {
				note := ""
				if it.Added || it.Removed {
					note = map[bool]string{true: "added: ", false: "removed: "}[it.Added] + it.Reason
				}
				t.AppendRow(table.Row{it.Rank, plan.Plain(it.Key, 60), plan.Plain(it.Label, 50), note})
			}
			t.Render()
		}
	}
	if err == nil && !same {
		return errNotMet
	}
	return err
}

// change keeps what a person added or took out; the next cycle judges by it.
func (s auditSampleCmd) change(p process, d *desk, as rules.Assessment, audit string) error {
	if (s.Add == "") == (s.Remove == "") || strings.TrimSpace(s.Reason) == "" {
		return usage(errors.New("name one record of the population with --add or --remove, and say why with --reason; see prmsync audit sample ID --json"))
	}
	change := daemon.SampleAddition{Key: cmp.Or(s.Add, s.Remove), Reason: s.Reason, Removed: s.Remove != ""}
	inSample := func(x rules.Sample) bool {
		return slices.ContainsFunc(x.Judged(), func(it rules.SampleItem) bool { return rules.SourceKey(it.Ref) == change.Key })
	}
	switch {
	case s.Add != "" && !slices.ContainsFunc(as.Samples, func(x rules.Sample) bool { return slices.Contains(x.Names, s.Add) }):
		return usage(fmt.Errorf("--add %s: the population of %s holds no such record", s.Add, audit))
	case s.Add != "" && slices.ContainsFunc(as.Samples, inSample):
		return usage(fmt.Errorf("--add %s: it is in the sample of %s already", s.Add, audit))
	case s.Remove != "" && !slices.ContainsFunc(as.Samples, inSample):
		return usage(fmt.Errorf("--remove %s: it is not in the sample of %s", s.Remove, audit))
	}
	var adds []daemon.SampleAddition
	in, ok, err := d.store.InputAt(p.ctx, daemon.InputSampleAdded, audit, d.now)
	if err != nil {
		return err
	}
	if ok {
		if err := json.Unmarshal(in.Body, &adds); err != nil {
			return fmt.Errorf("additions to the sample of %s in history: %w", audit, err)
		}
	}
	body, err := json.Marshal(append(adds, change))
	if err != nil {
		return err
	}
	st, err := writable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	if _, err := st.PutInput(p.ctx, store.Input{Kind: daemon.InputSampleAdded, Subject: audit, Seen: d.now, Body: body}); err != nil {
		return err
	}
	word := "added to"
	if change.Removed {
		word = "taken out of"
	}
	_, err = fmt.Fprintf(p.stdout, "%s is %s the sample of %s; the next cycle judges by it\n", change.Key, word, audit)
	return err
}
