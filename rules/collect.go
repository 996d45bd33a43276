package rules

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// PieceKind is what a record is to a person who looks through evidence.
type PieceKind string

// The kinds of pieces. A record of several kinds counts as the last of them.
const (
	PieceRecord   PieceKind = "record"   // anything else
	PieceFeedback PieceKind = "feedback" // in a record of its own
	PieceTask     PieceKind = "task"
	PieceProject  PieceKind = "project"
	PieceDeal     PieceKind = "deal" // opportunity, quotation, order, lead, contract, invoice
	PieceTicket   PieceKind = "ticket"
	PieceMeeting  PieceKind = "meeting"
	PieceMail     PieceKind = "mail"
	PieceReport   PieceKind = "report" // a figure written down, a review, an action
	PieceDocument PieceKind = "document"
	PieceSignOff  PieceKind = "sign-off"
)

// Effect is what a piece does for the statement that names it.
type Effect string

// The effects, in the words of the PRM.
const (
	Supports    Effect = "Supports"
	Contradicts Effect = "Contradicts"
	Context     Effect = "Context"
)

// Piece is one record that stands behind an audit or an escalation: a verdict
// names it, or it was found on an item of the sample or on the project.
type Piece struct {
	Ref        evidence.Ref
	Label      string // a person's name for it, as the site has it
	Kind       PieceKind
	On         evidence.Date // the day that it gives itself; zero: none
	Criterion  string        // of the verdict that names it; "" for one of the sample
	Department evidence.Department
	Effect     Effect
	Of         string // what it was found on: the label of the sample's item
	Late       bool   // it came to be after the cutoff: kept, and does not count (S88)
	// Signal is the rule of a contradiction about the record; "" without one.
	Signal string
	// ChangedAfter is set when its content changed after the cutoff.
	ChangedAfter bool
	// Gone is set when the site has deleted it since: Ref is what it was.
	Gone bool
}

// Collection is what was found on one item of the sample, or on the escalated
// project.
type Collection struct {
	Stream string // Project, Deal, Ticket
	Item   evidence.Ref
	Label  string
	Counts map[PieceKind]int
	Late   int // of them after the cutoff
	// Lacking are the kinds of which nothing was found, as long as there is time.
	Lacking []Lack
}

// Lack is a kind of evidence of which nothing was found on an item.
type Lack struct {
	Kind   PieceKind
	Reason string
	Remedy string
}

// Collect returns the records behind the assessment of an audit or escalation:
// those that its verdicts name, and for each item of the sample (or for the
// escalated project alone, S75) its documents, sign-offs, mails, tickets, reports
// and what else hangs on it (S36, S40). A record that several verdicts name comes
// once for each; one of the sample that a verdict names does not come again. The
// pieces stand in the order in which a person needs them, so that a bound leaves
// out the least; equal input gives equal order.
func Collect(s *evidence.Snapshot, a Assessment) ([]Piece, []Collection) {
	c := newCollector(s, a)
	for i := range a.Verdicts {
		c.out = slices.Grow(c.out, len(a.Verdicts[i].Evidence))
		c.named(&a.Verdicts[i])
	}
	for _, sample := range a.Samples {
		for _, it := range sample.Judged() {
			c.item(sample.Stream, sample.Department, it.Ref, it.Label)
		}
	}
	if a.Kind == Escalation && a.Target.Project != "" {
		c.item("Project", evidence.Implementation, evidence.Ref{Site: a.Target.Site, Doctype: "Project", Name: a.Target.Project}, "")
	}
	c.produced()
	c.sort()
	return c.out, c.items
}

type described struct {
	ref   evidence.Ref
	kind  PieceKind
	label string
	on    evidence.Date
}

type collector struct {
	s         *evidence.Snapshot
	a         *Assessment
	w         *world
	known     map[evidence.Key]described
	files     map[evidence.Key][]evidence.Ref
	mails     map[evidence.Key][]evidence.Ref
	signal    map[evidence.Key]string
	moved     map[evidence.Key]bool // content changed after the cutoff
	gone      map[evidence.Key]bool // deleted since
	byVerdict map[evidence.Key]bool
	out       []Piece
	items     []Collection
}

func newCollector(s *evidence.Snapshot, a Assessment) *collector {
	// Without a cutoff: what came later is collected too, and marked.
	c := &collector{
		s: s, a: &a, w: newWorld(&Input{Snapshot: s, StaleAfter: 24 * time.Hour}), known: make(map[evidence.Key]described, len(s.Tasks)+len(s.Tickets)+len(s.Messages)+len(s.Attachments)+len(s.Reports)), files: map[evidence.Key][]evidence.Ref{},
		mails: map[evidence.Key][]evidence.Ref{}, signal: map[evidence.Key]string{}, moved: map[evidence.Key]bool{}, gone: map[evidence.Key]bool{}, byVerdict: map[evidence.Key]bool{},
	}
	c.describe()
	for _, d := range s.Deletions {
		if d.RenamedTo == "" {
			c.gone[d.Key()] = true
		}
	}
	for _, f := range s.Attachments {
		c.files[f.On.Key()] = append(c.files[f.On.Key()], f.Ref)
	}
	for _, m := range s.Messages {
		if m.About.Name != "" {
			c.mails[m.About.Key()] = append(c.mails[m.About.Key()], m.Ref)
		}
	}
	for _, sig := range a.Signals {
		switch sig.Rule {
		case SignalBackdated, SignalContentChanged, SignalSignOffReplaced, SignalFeedbackEdited:
			c.signal[sig.Subject.Key()] = sig.Rule
		case SignalReportsAtOnce:
			for _, r := range sig.Refs {
				c.signal[r.Key()] = sig.Rule
			}
		}
	}
	if !a.Cutoff.IsZero() {
		for _, ch := range s.Changes {
			if ch.Own && ch.At.After(a.Cutoff) {
				c.moved[ch.Key()] = true
			}
		}
	}
	return c
}

// describe says of each record what a person would call it.
func (c *collector) describe() {
	s := c.s
	put := func(r evidence.Ref, kind PieceKind, label string, on evidence.Date) {
		if old, ok := c.known[r.Key()]; ok {
			label, on = cmp.Or(label, old.label), cmp.Or(on, old.on)
		}
		c.known[r.Key()] = described{r, kind, label, on}
	}
	day := func(t time.Time) evidence.Date { return evidence.DateIn(t, c.w.loc) }
	for _, d := range s.Feedback {
		put(d.Ref, PieceFeedback, "", d.On)
	}
	for _, d := range s.Procedures {
		put(d.Ref, PieceDocument, d.Title, evidence.Date{})
	}
	for _, d := range s.Dashboards {
		put(d.Ref, PieceRecord, d.Title, evidence.Date{})
	}
	for _, d := range s.Certificates {
		put(d.Ref, PieceRecord, d.Course, d.Issued)
	}
	for _, d := range s.Trainings {
		put(d.Ref, PieceRecord, d.Title, d.On)
	}
	for _, d := range s.Tasks {
		put(d.Ref, PieceTask, d.Subject, d.Completed)
	}
	for _, d := range s.Projects {
		put(d.Ref, PieceProject, d.Title, evidence.Date{})
	}
	for _, d := range s.Leads {
		put(d.Ref, PieceDeal, d.Customer, day(d.Received))
	}
	for _, d := range s.Deals {
		put(d.Ref, PieceDeal, d.Customer, d.Closed)
	}
	for _, d := range s.Quotations {
		put(d.Ref, PieceDeal, d.Party, d.On)
	}
	for _, d := range s.Orders {
		put(d.Ref, PieceDeal, d.Customer, d.On)
	}
	for _, d := range s.Invoices {
		put(d.Ref, PieceDeal, d.Customer, d.On)
	}
	for _, d := range s.Contracts {
		put(d.Ref, PieceDeal, d.Party, d.SignedOn)
	}
	for _, d := range s.Tickets {
		put(d.Ref, PieceTicket, d.Subject, day(d.Opened))
	}
	for _, d := range s.Meetings {
		put(d.Ref, PieceMeeting, d.Title, d.On)
	}
	for _, d := range s.Messages {
		put(d.Ref, PieceMail, d.Subject, day(d.At))
	}
	for _, d := range s.Actions {
		put(d.Ref, PieceReport, cmp.Or(d.Resolution, d.Cause, d.Goal), d.On)
	}
	for _, d := range s.Reviews {
		put(d.Ref, PieceReport, cmp.Or(d.Goal, d.Metric), d.On)
	}
	for _, d := range s.Reports {
		put(d.Ref, PieceReport, strings.TrimSpace(d.Metric+" "+d.Period.String()), d.On)
	}
	for _, d := range s.Attachments {
		put(d.Ref, PieceDocument, d.FileName, day(d.Uploaded))
	}
	for _, d := range s.SignOffs {
		put(d.Ref, PieceSignOff, "", d.On)
	}
}

// piece describes the record as it stands now; a verdict kept through an outage
// may name an older version.
func (c *collector) piece(r evidence.Ref) Piece {
	d, ok := c.known[r.Key()]
	if !ok {
		d = described{ref: r, kind: PieceRecord}
	}
	p := Piece{Ref: d.ref, Label: d.label, Kind: d.kind, On: d.on, Effect: Context, Signal: c.signal[r.Key()], ChangedAfter: c.moved[r.Key()]}
	p.Gone = !ok && c.gone[r.Key()]
	if cut := c.a.Cutoff; !cut.IsZero() {
		p.Late = d.ref.Created.After(cut) || d.ref.Created.IsZero() && d.ref.Seen.After(cut)
	}
	return p
}

// named adds what a verdict rests on.
func (c *collector) named(v *Verdict) {
	effects := make(map[evidence.Key]Effect, len(v.Items))
	rest := Context
	for _, it := range v.Items {
		e := Contradicts
		switch {
		case it.Unknown || it.Manual:
			e = Context
		case it.OK:
			e = Supports
		}
		if _, ok := effects[it.Ref.Key()]; !ok {
			effects[it.Ref.Key()] = e
		}
		if v.MoreItems > 0 {
			rest = e // those beyond the last one listed are like it
		}
	}
	refs := slices.Clone(v.Evidence)
	for _, it := range v.Items {
		if it.Ref.Name != "" && effects[it.Ref.Key()] != Context {
			refs = append(refs, it.Ref)
		}
	}
	slices.SortFunc(refs, evidence.Ref.Compare)
	refs = slices.CompactFunc(refs, func(a, b evidence.Ref) bool { return a.Key() == b.Key() })
	for _, r := range refs {
		p := c.piece(r)
		p.Criterion, p.Department, p.Effect = v.Criterion, v.Department, rest
		if e, ok := effects[r.Key()]; ok {
			p.Effect = e
		}
		c.byVerdict[r.Key()] = true
		c.out = append(c.out, p)
	}
}

// item adds what hangs on one item of the sample.
func (c *collector) item(stream string, dept evidence.Department, ref evidence.Ref, label string) {
	d, ok := c.known[ref.Key()]
	if ok {
		ref, label = d.ref, cmp.Or(label, d.label)
	}
	label = cleanText(cmp.Or(label, ref.Name), 140)
	col := Collection{Stream: stream, Item: ref, Label: label, Counts: map[PieceKind]int{}}
	seen := map[evidence.Key]bool{}
	var add func(r evidence.Ref)
	add = func(r evidence.Ref) {
		if r.Name == "" || seen[r.Key()] {
			return
		}
		seen[r.Key()] = true
		p := c.piece(r)
		p.Department, p.Of = dept, label
		col.Counts[p.Kind]++
		if p.Late {
			col.Late++
		}
		if !c.byVerdict[r.Key()] {
			c.out = append(c.out, p)
		}
		for _, f := range c.files[r.Key()] {
			add(f)
		}
		for _, m := range c.mails[r.Key()] {
			add(m)
		}
	}
	if ok {
		add(ref)
	}
	var wanted []PieceKind
	switch stream {
	case "Project":
		wanted = []PieceKind{PieceDocument, PieceSignOff, PieceTask, PieceMail, PieceTicket, PieceReport}
		c.ofProject(ref, add)
	case "Deal":
		wanted = []PieceKind{PieceDocument, PieceMail}
		c.ofDeal(ref, add)
	default:
		wanted = []PieceKind{PieceMail}
		for _, f := range c.s.Feedback {
			if f.Ticket == ref.Name && f.Site == ref.Site && f.Ticket != "" {
				add(f.Ref)
			}
		}
	}
	for _, k := range wanted {
		if col.Counts[k] == 0 {
			col.Lacking = append(col.Lacking, c.lack(k, ref.Site))
		}
	}
	c.items = append(c.items, col)
}

func (c *collector) ofProject(ref evidence.Ref, add func(evidence.Ref)) {
	mine := func(site, project string) bool { return project == ref.Name && site == ref.Site }
	for _, o := range c.s.SignOffs {
		if mine(o.Site, o.Project) {
			add(o.Ref)
			for _, p := range o.Proof {
				add(p)
			}
		}
	}
	for _, r := range c.s.Reports {
		if mine(r.Site, r.Project) {
			add(r.Ref)
		}
	}
	for _, m := range c.s.Messages {
		if mine(m.Site, m.Project) {
			add(m.Ref)
		}
	}
	for _, m := range c.s.Meetings {
		if mine(m.Site, m.Project) {
			add(m.Ref)
		}
	}
	for _, f := range c.s.Feedback {
		if mine(f.Site, f.Project) {
			add(f.Ref)
		}
	}
	for _, t := range c.s.Tasks {
		if mine(t.Site, t.Project) && !t.Template {
			add(t.Ref)
		}
	}
	if p := c.w.byProject[ref.Key()]; p != nil { // also by the customer and the order
		for _, t := range p.tickets {
			add(t.Ref)
		}
		for _, o := range p.orders {
			add(o.Ref)
		}
		for _, v := range p.invoices {
			add(v.Ref)
		}
	}
	for _, k := range c.s.Contracts {
		if k.About.Key() == ref.Key() {
			add(k.Ref)
		}
	}
}

func (c *collector) ofDeal(ref evidence.Ref, add func(evidence.Ref)) {
	var d *evidence.Deal
	var q *evidence.Quotation
	for i := range c.s.Deals {
		if c.s.Deals[i].Key() == ref.Key() {
			d = &c.s.Deals[i]
		}
	}
	for i := range c.s.Quotations {
		if c.s.Quotations[i].Key() == ref.Key() {
			q = &c.s.Quotations[i]
		}
	}
	if d == nil && q == nil {
		return
	}
	x := c.w.dealOf(d, q)
	if x.d != nil {
		add(x.d.Ref)
	}
	if x.q != nil {
		add(x.q.Ref)
		for _, r := range slices.Concat(x.q.Estimate, x.q.Scope) {
			add(r)
		}
		for _, f := range c.s.Feedback {
			if f.Quotation == x.q.Name && f.Site == x.q.Site {
				add(f.Ref)
			}
		}
	}
	if x.lead != nil {
		add(x.lead.Ref)
	}
	if x.order != nil {
		add(x.order.Ref)
	}
}

// lack says why there is nothing of a kind: it could not be read, or nothing is
// there.
func (c *collector) lack(k PieceKind, site string) Lack {
	out := Lack{Kind: k, Reason: "none was found"}
	var u *Unknown
	switch k {
	case PieceDocument:
		u, out.Remedy = c.w.readable(site, "File"), "attach it to the record on the partner's site"
	case PieceMail:
		u, out.Remedy = c.w.readable(site, streamMail), "send mails from the record, or link them to it"
	case PieceTask:
		u, out.Remedy = c.w.readable(site, streamTask), "plan the work as tasks of the project"
	case PieceTicket:
		u, out.Remedy = c.w.readableKind(site, "ticket"), "name the project or its customer on the ticket; nothing is wanted where no ticket was needed"
	case PieceReport:
		u, out.Remedy = c.w.readableKind(site, "report"), "name the project on the report"
	case PieceSignOff:
		out.Remedy = "attach the customer's acceptance, or say in the mapping where it is kept"
		for _, kind := range []evidence.SignOffKind{evidence.SignOffBRD, evidence.SignOffUAT, evidence.SignOffTraining, evidence.SignOffGoLive} {
			if u = c.w.readableKind(site, kindOfSignOff(kind)); u == nil {
				break
			}
		}
	}
	if u != nil {
		out.Reason, out.Remedy = cmp.Or(u.Stream, "it")+" cannot be read: "+u.Reason, cmp.Or(u.Remedy, out.Remedy)
	}
	return out
}

// produced adds what was produced after the cutoff and hangs on no item: it is
// kept, and marked late.
func (c *collector) produced() {
	have := make(map[evidence.Key]bool, len(c.out))
	for _, p := range c.out {
		have[p.Ref.Key()] = true
	}
	for _, sig := range c.a.Signals {
		if sig.Rule != SignalAfterCutoff || have[sig.Subject.Key()] {
			continue
		}
		have[sig.Subject.Key()] = true
		p := c.piece(sig.Subject)
		p.Late = true
		c.out = append(c.out, p)
	}
}

// sort brings first what a person has to look at; within that it deals out the
// criteria and items in turn, so that none fills a bound alone.
func (c *collector) sort() {
	rank := func(p *Piece) int {
		switch {
		case p.Late || p.Signal != "" || p.ChangedAfter:
			return 0
		case p.Effect == Contradicts:
			return 1
		case p.Criterion == "" && p.Kind != PieceTask && p.Kind != PieceRecord:
			return 2
		case p.Effect == Supports:
			return 3
		}
		return 4
	}
	type group struct {
		rank          int
		criterion, of string
		kind          PieceKind
	}
	// A piece is large: sort where they are.
	all := make([]*placed, 0, len(c.out))
	for i := range c.out {
		p := &c.out[i]
		all = append(all, &placed{rank: rank(p), p: p})
	}
	slices.SortStableFunc(all, func(a, b *placed) int { return a.compare(b) })
	all = slices.CompactFunc(all, func(a, b *placed) bool { return a.p.Ref.Key() == b.p.Ref.Key() && a.p.Criterion == b.p.Criterion })
	turn := map[group]int{}
	for _, x := range all {
		g := group{rank: x.rank, criterion: x.p.Criterion, of: x.p.Of}
		if x.p.Criterion == "" {
			g.kind = x.p.Kind
		}
		x.turn = turn[g]
		turn[g]++
	}
	slices.SortFunc(all, func(a, b *placed) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.turn, b.turn), a.compare(b))
	})
	out := make([]Piece, len(all))
	for i, x := range all {
		out[i] = *x.p
	}
	c.out = out
}

// placed is a piece with its place in the order.
type placed struct {
	rank, turn int
	p          *Piece
}

func (x *placed) compare(o *placed) int {
	return cmp.Or(x.p.Ref.Compare(o.p.Ref), cmp.Compare(x.p.Criterion, o.p.Criterion))
}
