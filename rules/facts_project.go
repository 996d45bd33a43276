package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// project is one customer project with everything that hangs on it.
type project struct {
	w        *world
	p        *evidence.Project
	tasks    []*evidence.Task
	signOffs []*evidence.SignOff
	meetings []*evidence.Meeting
	messages []*evidence.Message
	tickets  []*evidence.Ticket
	invoices []*evidence.Invoice
	orders   []*evidence.Order
	changes  []*evidence.Change
	files    []*evidence.Attachment

	signOffMemo map[evidence.SignOffKind]*signOff
}

// signOff is one stage's acceptance in one project.
type signOff struct {
	p    *project
	kind evidence.SignOffKind
	best *evidence.SignOff // nil: no record at all
}

type meeting struct{ m *evidence.Meeting }

type ticket struct {
	w *world
	t *evidence.Ticket
}

var (
	projectType = newFactType("Project", "A customer project.")
	signOffType = newFactType("SignOff", "A customer's acceptance of one stage of a project.")
	meetingType = newFactType("Meeting", "Something held at a date.")
	ticketType  = newFactType("Ticket", "A support request.")
)

// indexProjects groups the snapshot's records by the customer project they
// belong to. Internal projects are nobody's customer project.
func (w *world) indexProjects() {
	s := w.s
	byName := make(map[site2name]*project, len(s.Projects))
	byCustomer := map[site2name][]*project{}
	byOrder := map[site2name][]*project{}
	for i := range s.Projects {
		p := &s.Projects[i]
		if p.Internal || p.Customer == "" || w.late(p.Ref) {
			continue
		}
		key := site2name{p.Site, p.Name}
		if old, dup := byName[key]; dup {
			if p.Modified.After(old.p.Modified) {
				old.p = p
			}
			continue
		}
		pr := &project{w: w, p: p, signOffMemo: map[evidence.SignOffKind]*signOff{}}
		byName[key] = pr
		w.byProject[p.Key()] = pr
		w.projects = append(w.projects, pr)
		byCustomer[site2name{p.Site, p.Customer}] = append(byCustomer[site2name{p.Site, p.Customer}], pr)
		if p.SalesOrder != "" {
			byOrder[site2name{p.Site, p.SalesOrder}] = append(byOrder[site2name{p.Site, p.SalesOrder}], pr)
		}
	}
	slices.SortFunc(w.projects, func(a, b *project) int { return a.p.Ref.Compare(b.p.Ref) })
	at := func(site, name string) *project {
		if name == "" {
			return nil
		}
		return byName[site2name{site, name}]
	}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		if p := at(t.Site, t.Project); p != nil && !t.Template && !w.late(t.Ref) {
			p.tasks = append(p.tasks, t)
		}
	}
	for i := range s.SignOffs {
		if o := &s.SignOffs[i]; !w.late(o.Ref) {
			if p := at(o.Site, o.Project); p != nil {
				p.signOffs = append(p.signOffs, o)
			}
		}
	}
	for i := range s.Meetings {
		if m := &s.Meetings[i]; !w.late(m.Ref) {
			if p := at(m.Site, m.Project); p != nil {
				p.meetings = append(p.meetings, m)
			}
		}
	}
	for i := range s.Messages {
		if m := &s.Messages[i]; !w.late(m.Ref) {
			if p := at(m.Site, m.Project); p != nil {
				p.messages = append(p.messages, m)
			}
		}
	}
	for i := range s.Tickets {
		t := &s.Tickets[i]
		if t.Merged || w.late(t.Ref) {
			continue
		}
		if p := at(t.Site, t.Project); p != nil {
			p.tickets = append(p.tickets, t)
		} else if t.Project == "" && t.Customer != "" {
			for _, p := range byCustomer[site2name{t.Site, t.Customer}] {
				p.tickets = append(p.tickets, t)
			}
		}
	}
	for i := range s.Orders {
		o := &s.Orders[i]
		if !o.Submitted || o.Cancelled || w.late(o.Ref) {
			continue
		}
		seen := map[*project]bool{}
		if p := at(o.Site, o.Project); p != nil {
			p.orders, seen[p] = append(p.orders, o), true
		}
		for _, p := range byOrder[site2name{o.Site, o.Name}] {
			if !seen[p] {
				p.orders = append(p.orders, o)
			}
		}
	}
	for i := range s.Invoices {
		v := &s.Invoices[i]
		if !v.Submitted || v.Cancelled || v.Return || v.Opening || w.late(v.Ref) {
			continue
		}
		seen := map[*project]bool{}
		for _, name := range v.Projects {
			if p := at(v.Site, name); p != nil && !seen[p] {
				p.invoices, seen[p] = append(p.invoices, v), true
			}
		}
		for _, o := range v.Orders {
			for _, p := range byOrder[site2name{v.Site, o}] {
				if !seen[p] {
					p.invoices, seen[p] = append(p.invoices, v), true
				}
			}
		}
	}
	taskOf := map[evidence.Key]*project{}
	for _, p := range w.projects {
		for _, t := range p.tasks {
			taskOf[t.Key()] = p
		}
	}
	for i := range s.Changes {
		c := &s.Changes[i]
		p := w.byProject[c.Key()]
		if p == nil {
			p = taskOf[c.Key()]
		}
		if p != nil && !c.At.After(w.asOf) {
			p.changes = append(p.changes, c)
		}
	}
	for i := range s.Attachments {
		a := &s.Attachments[i]
		if w.late(a.Ref) {
			continue
		}
		if p := w.byProject[a.On.Key()]; p != nil {
			p.files = append(p.files, a)
		} else if p := taskOf[a.On.Key()]; p != nil {
			p.files = append(p.files, a)
		}
	}
	for _, p := range w.projects {
		p.sort()
	}
}

// sort makes what follows independent of the snapshot's order.
func (p *project) sort() {
	slices.SortFunc(p.tasks, func(a, b *evidence.Task) int { return a.Ref.Compare(b.Ref) })
	slices.SortFunc(p.signOffs, func(a, b *evidence.SignOff) int { return a.Ref.Compare(b.Ref) })
	slices.SortFunc(p.meetings, func(a, b *evidence.Meeting) int { return cmp.Or(a.On.Compare(b.On), a.Ref.Compare(b.Ref)) })
	slices.SortFunc(p.messages, func(a, b *evidence.Message) int { return cmp.Or(a.At.Compare(b.At), a.Ref.Compare(b.Ref)) })
	slices.SortFunc(p.tickets, func(a, b *evidence.Ticket) int { return cmp.Or(a.Opened.Compare(b.Opened), a.Ref.Compare(b.Ref)) })
	slices.SortFunc(p.orders, func(a, b *evidence.Order) int { return cmp.Or(a.On.Compare(b.On), a.Ref.Compare(b.Ref)) })
	slices.SortFunc(p.invoices, func(a, b *evidence.Invoice) int { return cmp.Or(a.On.Compare(b.On), a.Ref.Compare(b.Ref)) })
	slices.SortFunc(p.changes, func(a, b *evidence.Change) int {
		return cmp.Or(a.At.Compare(b.At), a.Ref.Compare(b.Ref), cmp.Compare(a.Field, b.Field), cmp.Compare(a.To, b.To))
	})
	slices.SortFunc(p.files, func(a, b *evidence.Attachment) int { return a.Ref.Compare(b.Ref) })
}

func (p *project) title() string { return cleanText(cmp.Or(p.p.Title, p.p.Name), 80) }

func (p *project) subject() subject {
	return subject{val: projectType.of(p), ref: p.p.Ref, label: p.title(), site: p.p.Site}
}

// first returns the earliest meeting of the kind that was held by the day of
// judgement.
func (p *project) first(kind evidence.MeetingKind) *evidence.Meeting {
	for _, m := range p.meetings {
		if m.Kind == kind && m.Held && p.w.happened(m.On) {
			return m
		}
	}
	return nil
}

func (p *project) meeting(kind evidence.MeetingKind, evidenceKind, attribute string) ref.Val {
	if m := p.first(kind); m != nil {
		return meetingType.of(&meeting{m})
	}
	if u := p.w.silence(p.p.Site, evidenceKind); u != nil {
		return p.w.unknown(attribute, *u)
	}
	return absent(attribute)
}

func (p *project) firstInvoice() ref.Val {
	const attribute = "project.first_invoice"
	for _, v := range p.invoices {
		if p.w.happened(v.On) {
			return dateVal(v.On, attribute)
		}
	}
	if u := p.w.readable(p.p.Site, streamInvoice); u != nil {
		return p.w.unknown(attribute, *u)
	}
	return p.w.unknown(attribute, Unknown{
		Stream: streamInvoice, Site: p.p.Site, Reason: "no submitted invoice was found for the project; it may be kept elsewhere",
		Remedy: "link the first invoice to the project or to its order",
	})
}

// signOffs

var stageWords = map[evidence.SignOffKind][]string{
	evidence.SignOffBRD:      {"brd", "requirement"},
	evidence.SignOffUAT:      {"uat", "acceptance"},
	evidence.SignOffTraining: {"training"},
	evidence.SignOffGoLive:   {"go-live", "go live", "golive"},
}

// kindOfSignOff is the kind of evidence in a partner's mapping.
func kindOfSignOff(k evidence.SignOffKind) string {
	switch k {
	case evidence.SignOffBRD:
		return "sign_off.brd"
	case evidence.SignOffUAT:
		return "sign_off.uat"
	case evidence.SignOffTraining:
		return "sign_off.training"
	case evidence.SignOffGoLive:
		return "sign_off.go_live"
	case evidence.SignOffScope:
		return "sign_off.scope"
	case evidence.SignOffSchedule:
		return "sign_off.schedule"
	case evidence.SignOffInvoiceSchedule:
		return "sign_off.invoice_schedule"
	}
	return "sign_off"
}

func (p *project) signOff(k evidence.SignOffKind) *signOff {
	if s, ok := p.signOffMemo[k]; ok {
		return s
	}
	s := &signOff{p: p, kind: k}
	rank := func(o *evidence.SignOff) int {
		switch {
		case o.Done && o.Proven && !o.Refused:
			return 3
		case o.Done && !o.Refused:
			return 2
		case o.Refused:
			return 1
		}
		return 0
	}
	// The strongest record stands for the stage; a customer that declined and
	// later accepted has accepted. Changes are dated by their latest sign-off.
	latest := k == evidence.SignOffScope || k == evidence.SignOffSchedule || k == evidence.SignOffInvoiceSchedule
	for _, o := range p.signOffs {
		if o.Kind != k || o.Done && !o.On.IsZero() && !p.w.happened(o.On) {
			continue
		}
		switch {
		case s.best == nil || rank(o) > rank(s.best):
			s.best = o
		case rank(o) == rank(s.best) && (latest && o.On.After(s.best.On) || !latest && !o.On.IsZero() && (s.best.On.IsZero() || o.On.Before(s.best.On))):
			s.best = o
		}
	}
	p.signOffMemo[k] = s
	return s
}

func (s *signOff) attribute(name string) string {
	return "project." + strings.TrimPrefix(kindOfSignOff(s.kind), "sign_off.") + "." + name
}

// signed answers whether the customer accepted, with something of its own
// behind it.
func (s *signOff) signed() ref.Val {
	w, site, kind := s.p.w, s.p.p.Site, kindOfSignOff(s.kind)
	if s.best != nil && s.best.Done && s.best.Proven && !s.best.Refused {
		return types.True
	}
	if s.best != nil && s.best.Done && !s.best.Refused && !w.s.Channels[kind].Authoritative {
		return w.unknown(s.attribute("signed"), Unknown{
			Stream: "kind:" + kind, Site: site,
			Reason: "it is ticked, but nothing of the customer's was found behind it", Remedy: "attach the signed document to " + s.best.Name,
		})
	}
	if s.best != nil {
		// The record that should carry the signature is there and does not.
		if u := w.readableKind(site, kind); u != nil {
			return w.unknown(s.attribute("signed"), *u)
		}
		return types.False
	}
	return w.lookup(false, s.attribute("signed"), site, kind)
}

func (s *signOff) on() ref.Val {
	v := s.signed()
	switch {
	case types.IsUnknown(v):
		return v
	case v == types.True:
		return dateVal(s.best.On, s.attribute("on"))
	}
	return absent(s.attribute("on"))
}

// later are the stages that come after one: their sign-off shows that it was
// reached, and it should not be dated after theirs.
var later = map[evidence.SignOffKind][]evidence.SignOffKind{
	evidence.SignOffBRD:      {evidence.SignOffUAT, evidence.SignOffGoLive},
	evidence.SignOffUAT:      {evidence.SignOffGoLive},
	evidence.SignOffTraining: {evidence.SignOffGoLive},
}

func (s *signOff) inOrder() bool {
	if s.best == nil || !s.best.Done || s.best.On.IsZero() {
		return true
	}
	for _, k := range later[s.kind] {
		if n := s.p.signOff(k); n.best != nil && n.best.Done && !n.best.On.IsZero() && s.best.On.After(n.best.On) {
			return false
		}
	}
	return true
}

// task finds the task that plans the sign-off, whichever record proves it.
func (s *signOff) task() *evidence.Task {
	if s.best != nil && s.best.Doctype == streamTask {
		for _, t := range s.p.tasks {
			if t.Name == s.best.Name {
				return t
			}
		}
	}
	for _, text := range []func(*evidence.Task) string{func(t *evidence.Task) string { return t.Type }, func(t *evidence.Task) string { return t.Subject }} {
		for _, t := range s.p.tasks {
			have := strings.ToLower(text(t))
			if !strings.Contains(have, "sign") {
				continue
			}
			for _, word := range stageWords[s.kind] {
				if strings.Contains(have, word) {
					return t
				}
			}
		}
	}
	return nil
}

// reached answers whether the project has gone past the stage: a later sign-off
// is given, a task of the following phase is completed, the project has ended.
// A planned date that has merely passed does not make it so.
func (s *signOff) reached() ref.Val {
	p := s.p
	if p.p.Status == "Completed" {
		return types.True
	}
	for _, k := range later[s.kind] {
		if n := p.signOff(k); n.best != nil && n.best.Done && !n.best.Refused {
			return types.True
		}
	}
	if s.kind == evidence.SignOffGoLive && p.first(evidence.MeetingHandoverToSupport) != nil {
		return types.True
	}
	if plan := s.task(); plan != nil {
		for _, t := range p.tasks {
			if t == plan || t.Group || t.Status != "Completed" || !t.Completed.IsZero() && !p.w.happened(t.Completed) {
				continue
			}
			begin := t.Start
			if begin.IsZero() {
				begin = t.Due
			}
			if slices.Contains(t.DependsOn, plan.Name) || !plan.Due.IsZero() && begin.After(plan.Due) {
				return types.True
			}
		}
	}
	if u := p.w.readable(p.p.Site, streamTask); u != nil {
		return p.w.unknown(s.attribute("reached"), *u)
	}
	return types.False
}

// state says in words how the sign-off stands.
func (s *signOff) state() string {
	switch {
	case s.best == nil:
		return "no sign-off found"
	case s.best.Refused:
		return "declined by the customer"
	case s.best.Done && s.best.Proven && !s.inOrder():
		return "signed on " + s.best.On.String() + ", after the stage that follows it"
	case s.best.Done && s.best.Proven:
		return "signed on " + s.best.On.String()
	case s.best.Done:
		return "ticked without a document of the customer's"
	}
	return "not signed"
}

// span returns the first and the last day between which a running project owes
// the customer news: kick-off to go-live or today. ok is false when its start
// is not known; why is then the unknown to answer with.
func (p *project) span(attribute string) (from, to evidence.Date, why ref.Val) {
	from = p.p.ExpectedStart
	switch m := p.meeting(evidence.MeetingKickOff, kindKickOff, attribute); {
	case types.IsUnknown(m) && from.IsZero():
		return from, to, m
	default:
		if k := p.first(evidence.MeetingKickOff); k != nil {
			from = k.On
		}
	}
	if from.IsZero() {
		return from, to, p.w.unknown(attribute, Unknown{Stream: "kind:" + kindKickOff, Site: p.p.Site, Reason: "neither a kick-off nor a start date is known", Remedy: "give the project a start date"})
	}
	to = p.ended()
	if g := p.signOff(evidence.SignOffGoLive); g.best != nil && g.best.Done && p.w.happened(g.best.On) {
		to = g.best.On
	}
	return from, to, nil
}

// ended is the last day on which the project was worked on: today for a running
// one, else its last completed task, or its last change.
func (p *project) ended() evidence.Date {
	if p.p.Status == "Open" {
		return p.w.today
	}
	var last evidence.Date
	for _, t := range p.tasks {
		if t.Completed.After(last) && p.w.happened(t.Completed) {
			last = t.Completed
		}
	}
	if last.IsZero() {
		last = evidence.DateIn(p.p.Modified, p.w.loc)
	}
	if last.IsZero() || last.After(p.w.today) {
		return p.w.today
	}
	return last
}

// statusMails answers, for each full ISO week from kick-off to go-live, whether
// a status mail went to the customer.
func (p *project) statusMails() ref.Val {
	const attribute = "project.status_mails"
	from, to, why := p.span(attribute)
	if why != nil {
		return why
	}
	sent := map[evidence.Week]bool{}
	for _, m := range p.messages {
		if m.Sent && m.ToCustomer && isStatus(m) {
			sent[evidence.DateIn(m.At, p.w.loc).Week()] = true
		}
	}
	var out []ref.Val
	first := from.Week()
	if first.Monday() != from {
		first = first.Add(1)
	}
	for wk, n := first, 0; n < 520 && wk.Sunday().Before(to) && wk.Sunday().Before(p.w.today); wk, n = wk.Add(1), n+1 {
		if measure.Exempt(p.w.s, wk) && !sent[wk] {
			continue
		}
		out = append(out, p.w.lookup(sent[wk], attribute, p.p.Site, kindStatus))
	}
	return listVal(out)
}

func isStatus(m *evidence.Message) bool {
	return slices.Contains(m.Kinds, kindStatus) || slices.Contains(m.Kinds, "weekly_status")
}

// steering answers, for each full calendar month from kick-off to go-live,
// whether a steering meeting with the customer was held.
func (p *project) steering() ref.Val {
	const attribute = "project.steering"
	from, to, why := p.span(attribute)
	if why != nil {
		return why
	}
	held := map[evidence.Month]bool{}
	for _, m := range p.meetings {
		if m.Kind == evidence.MeetingSteering && m.Held && p.w.happened(m.On) {
			held[m.On.YearMonth()] = true
		}
	}
	var out []ref.Val
	mo := from.YearMonth()
	if mo.First() != from {
		mo = mo.Add(1)
	}
	for n := 0; n < 120 && mo.Last().Before(to) && mo.Last().Before(p.w.today); mo, n = mo.Add(1), n+1 {
		out = append(out, p.w.lookup(held[mo], attribute, p.p.Site, kindSteering))
	}
	return listVal(out)
}

// hypercare returns the tickets opened from go-live to n days after it.
func (p *project) hypercare() []ref.Val {
	g := p.signOff(evidence.SignOffGoLive)
	if g.best == nil || !g.best.Done || g.best.On.IsZero() {
		return nil
	}
	var out []ref.Val
	for _, t := range p.tickets {
		on := evidence.DateIn(t.Opened, p.w.loc)
		if !on.Before(g.best.On) && !on.After(g.best.On.AddDays(hypercareDays)) && !t.Opened.After(p.w.asOf) {
			out = append(out, ticketType.of(&ticket{p.w, t}))
		}
	}
	return out
}

// hypercareDays is how long the intensive period after go-live lasts [H].
const hypercareDays = 30

// slip finds the day on which the project's end was first moved to a later one,
// or passed while the project was open.
func (p *project) slip() (evidence.Date, string) {
	var on evidence.Date
	var what string
	note := func(d evidence.Date, text string) {
		if !d.IsZero() && (on.IsZero() || d.Before(on)) {
			on, what = d, text
		}
	}
	if p.p.Status == "Open" && !p.p.ExpectedEnd.IsZero() && p.p.ExpectedEnd.Before(p.w.today) {
		note(p.p.ExpectedEnd.AddDays(1), "the planned end "+p.p.ExpectedEnd.String()+" has passed")
	}
	if g := p.signOff(evidence.SignOffGoLive); g.best != nil && g.best.Done && !p.p.ExpectedEnd.IsZero() && g.best.On.After(p.p.ExpectedEnd) {
		note(p.p.ExpectedEnd.AddDays(1), "go-live came after the planned end "+p.p.ExpectedEnd.String())
	}
	for _, c := range p.changes {
		if !p.movesEnd(c) {
			continue
		}
		from, err1 := evidence.ParseDate(c.From)
		to, err2 := evidence.ParseDate(c.To)
		if err1 != nil || err2 != nil || from.IsZero() || !to.After(from) {
			continue
		}
		at := evidence.DateIn(c.At, p.w.loc)
		if !at.After(p.planned()) {
			continue // the plan was still being made
		}
		note(at, "the end was moved from "+from.String()+" to "+to.String())
	}
	return on, what
}

// planned is the day on which the project's first plan stood: the kick-off, or
// a week after the project was entered where none is known. Dates that a
// template brings are set to the project's own until then.
func (p *project) planned() evidence.Date {
	if k := p.first(evidence.MeetingKickOff); k != nil && !k.On.IsZero() {
		return k.On
	}
	return evidence.DateIn(p.p.Created, p.w.loc).AddDays(7)
}

// movesEnd reports whether the change touches the project's end: its own end
// date, or that of its go-live.
func (p *project) movesEnd(c *evidence.Change) bool {
	if c.Doctype == streamProject {
		return c.Field == "expected_end_date"
	}
	if c.Field != "exp_end_date" {
		return false
	}
	for _, t := range p.tasks {
		if t.Name == c.Name {
			for _, text := range []string{t.Type, t.Subject} {
				text = strings.ToLower(text)
				if strings.HasPrefix(text, "go-live") || strings.HasPrefix(text, "go live") {
					return true
				}
			}
		}
	}
	return false
}

func (p *project) slipped() ref.Val {
	if on, _ := p.slip(); !on.IsZero() {
		return types.True
	}
	// Without a history from the start nobody can say that the end never moved.
	created := evidence.DateIn(p.p.Created, p.w.loc)
	for _, c := range p.w.s.Changes {
		if !c.Own && c.Site == p.p.Site && c.Doctype == streamProject {
			return types.False // the site itself keeps versions of projects
		}
	}
	if seen := evidence.DateIn(p.p.Seen, p.w.loc); !created.IsZero() && !seen.IsZero() && seen.DaysSince(created) <= 1 {
		return types.False
	}
	return p.w.unknown("project.slipped", Unknown{
		Stream: streamProject, Site: p.p.Site,
		Reason: "whether the end date was moved before prmsync first saw the project is not recorded", Remedy: "switch on change tracking for Project, or let a person judge",
	})
}

// growth is by how much the number of tasks grew after kick-off, in percent.
func (p *project) growth() ref.Val {
	const attribute = "project.task_growth"
	k := p.first(evidence.MeetingKickOff)
	if k == nil {
		v := p.meeting(evidence.MeetingKickOff, kindKickOff, attribute)
		if types.IsUnknown(v) {
			return v
		}
		return types.Double(0)
	}
	before, after := 0, 0
	for _, t := range p.tasks {
		switch d := evidence.DateIn(t.Created, p.w.loc); {
		case t.Group:
		case d.IsZero() || !d.After(k.On):
			before++
		default:
			after++
		}
	}
	if before == 0 {
		return types.Double(0)
	}
	return types.Double(100 * float64(after) / float64(before))
}

// templateShare is the share of the template's tasks that the project has, in
// percent. What a template holds is told by itself, else by the projects made
// from it.
func (p *project) templateShare() ref.Val {
	const attribute = "project.template_share"
	if p.p.Template == "" {
		return p.w.unknown(attribute, Unknown{
			Stream: streamProject, Site: p.p.Site, Reason: "the project names no template; a plan kept in a spreadsheet cannot be seen",
			Remedy: "make projects from a template, or let a person judge the plan",
		})
	}
	want := map[string]bool{}
	for _, name := range p.p.TemplateTasks {
		want[name] = true
	}
	for _, o := range p.w.projects {
		if len(p.p.TemplateTasks) == 0 && o.p.Site == p.p.Site && o.p.Template == p.p.Template {
			for _, t := range o.tasks {
				if t.TemplateTask != "" {
					want[t.TemplateTask] = true
				}
			}
		}
	}
	if len(want) == 0 {
		return p.w.unknown(attribute, Unknown{Stream: "Project Template", Site: p.p.Site, Reason: "which tasks the template holds is not known", Remedy: "grant read on Project Template"})
	}
	have := map[string]bool{}
	subjects := map[string]bool{}
	for _, t := range p.tasks {
		if t.Status != "Cancelled" {
			have[t.TemplateTask] = true
			subjects[strings.ToLower(strings.TrimSpace(t.Subject))] = true
		}
	}
	n := 0
	for name := range want {
		if have[name] || subjects[p.w.templateSubject(p.p.Site, name)] {
			n++
		}
	}
	return types.Double(100 * float64(n) / float64(len(want)))
}

// templateSubject is the subject of a template's task, in lower case.
func (w *world) templateSubject(site, name string) string {
	if w.templates == nil {
		w.templates = map[site2name]string{}
		for i := range w.s.Tasks {
			if t := &w.s.Tasks[i]; t.Template {
				w.templates[site2name{t.Site, t.Name}] = strings.ToLower(strings.TrimSpace(t.Subject))
			}
		}
	}
	if s := w.templates[site2name{site, name}]; s != "" {
		return s
	}
	return "\x00"
}

// hasPlan reports whether a plan document or its dispatch was found.
func (p *project) hasPlan() bool {
	return slices.ContainsFunc(p.files, func(a *evidence.Attachment) bool { return slices.Contains(a.Kinds, kindPlan) }) ||
		slices.ContainsFunc(p.messages, func(m *evidence.Message) bool { return slices.Contains(m.Kinds, kindPlan) })
}

// leaves are the tasks that are work: no headings, no cancelled ones.
func (p *project) leaves() []*evidence.Task {
	return slices.DeleteFunc(slices.Clone(p.tasks), func(t *evidence.Task) bool { return t.Group || t.Status == "Cancelled" })
}

// whole answers with v unless the stream could not be read whole.
func (p *project) whole(attribute, stream string, v func() ref.Val) ref.Val {
	if u := p.w.readable(p.p.Site, stream); u != nil {
		return p.w.unknown(attribute, *u)
	}
	return v()
}

// enough answers with a count that is either above nothing or proven to be it.
func (p *project) enough(attribute, kind string, n int) ref.Val {
	if n == 0 {
		if u := p.w.readableKind(p.p.Site, kind); u != nil {
			return p.w.unknown(attribute, *u)
		}
	}
	return types.Int(n)
}

// ratings are the stars of the customer's last rated tickets, newest first.
func (p *project) ratings() []ref.Val {
	var rated []*evidence.Ticket
	for _, t := range p.tickets {
		if t.Rated && t.Stars > 0 && t.Stars <= 5 && !t.Opened.After(p.w.asOf) {
			rated = append(rated, t)
		}
	}
	at := func(t *evidence.Ticket) time.Time {
		if t.Resolved.IsZero() {
			return t.Opened
		}
		return t.Resolved
	}
	slices.SortFunc(rated, func(a, b *evidence.Ticket) int { return cmp.Or(at(b).Compare(at(a)), a.Ref.Compare(b.Ref)) })
	out := make([]ref.Val, 0, lastRated)
	for _, t := range rated[:min(len(rated), lastRated)] {
		out = append(out, types.Double(t.Stars))
	}
	return out
}

const (
	// lastRated is how many of the customer's last rated tickets are looked at.
	lastRated = 5
	// minRated is how many of them there must be for a mean to say anything [H].
	minRated = 3
)

func declareProjectFacts() {
	t := projectType
	addString(t, "name", "the record's name", func(p *project) string { return cleanText(p.p.Name, 140) })
	addString(t, "title", "the project's title", (*project).title)
	addString(t, "customer", "who it is for", func(p *project) string { return cleanText(p.p.Customer, 140) })
	addString(t, "status", "Open, Completed or Cancelled", func(p *project) string { return p.p.Status })
	addString(t, "template", "the template it was made from", func(p *project) string { return cleanText(p.p.Template, 140) })
	addBool(t, "open", "it is running", func(p *project) bool { return p.p.Status == "Open" })
	addDate(t, "expected_start", "planned first day", func(p *project) evidence.Date { return p.p.ExpectedStart })
	addDate(t, "expected_end", "planned last day", func(p *project) evidence.Date { return p.p.ExpectedEnd })
	add(t, "first_invoice", cel.TimestampType, "day of the first submitted invoice that is no return and no opening entry; unknown when none is found", (*project).firstInvoice)
	add(t, "invoiced", cel.BoolType, "an invoice was found", func(p *project) ref.Val {
		v := p.firstInvoice()
		if u, ok := v.(*types.Unknown); ok {
			if p.w.readable(p.p.Site, streamInvoice) == nil {
				return types.False
			}
			return u
		}
		return types.True
	})
	add(t, "handover", meetingType.typ, "the hand-over from sales", func(p *project) ref.Val { return p.meeting(evidence.MeetingHandover, kindHandover, "project.handover") })
	add(t, "kick_off", meetingType.typ, "the first formal meeting with the customer", func(p *project) ref.Val { return p.meeting(evidence.MeetingKickOff, kindKickOff, "project.kick_off") })
	add(t, "to_support", meetingType.typ, "the hand-over to support", func(p *project) ref.Val {
		return p.meeting(evidence.MeetingHandoverToSupport, kindToSupport, "project.to_support")
	})
	for _, k := range []struct {
		name string
		kind evidence.SignOffKind
		doc  string
	}{
		{"brd", evidence.SignOffBRD, "acceptance of the requirements"},
		{"uat", evidence.SignOffUAT, "acceptance of the tests"},
		{"training", evidence.SignOffTraining, "acceptance of the training"},
		{"go_live", evidence.SignOffGoLive, "acceptance of the go-live"},
		{"scope", evidence.SignOffScope, "latest acceptance of a changed scope"},
		{"schedule", evidence.SignOffSchedule, "latest acceptance of a changed timeline"},
		{"invoice_schedule", evidence.SignOffInvoiceSchedule, "latest acceptance of a changed invoice schedule"},
	} {
		add(t, k.name, signOffType.typ, k.doc, func(p *project) ref.Val { return signOffType.of(p.signOff(k.kind)) })
	}
	add(t, "template_share", cel.DoubleType, "percent of the template's tasks that the project has; unknown without a template", (*project).templateShare)
	add(t, "status_mails", cel.ListType(cel.BoolType), "for each full week from kick-off to go-live: a status mail went to the customer", (*project).statusMails)
	add(t, "steering", cel.ListType(cel.BoolType), "for each full month from kick-off to go-live: a steering meeting was held", (*project).steering)
	add(t, "hypercare", ticketType.list(), "tickets opened within 30 days of go-live", func(p *project) ref.Val { return listVal(p.hypercare()) })
	add(t, "hypercare_logged", cel.BoolType, "there are such tickets; unknown when there are none, as a quiet customer looks the same", func(p *project) ref.Val {
		if len(p.hypercare()) > 0 {
			return types.True
		}
		if u := p.w.readableKind(p.p.Site, kindTicket); u != nil {
			return p.w.unknown("project.hypercare_logged", *u)
		}
		return p.w.unknown("project.hypercare_logged", Unknown{
			Stream: "kind:" + kindTicket, Site: p.p.Site, Reason: "no ticket was opened within 30 days of go-live; a quiet customer and requests handled elsewhere look the same",
			Remedy: "enter the customer's requests as tickets",
		})
	})
	addBool(t, "hypercare_over", "30 days have passed since go-live", func(p *project) bool {
		g := p.signOff(evidence.SignOffGoLive)
		return g.best != nil && g.best.Done && !g.best.On.IsZero() && p.w.today.After(g.best.On.AddDays(hypercareDays))
	})
	addInt(t, "extra_orders", "orders beyond the first, without amendments", func(p *project) int {
		n := 0
		for _, o := range p.orders {
			if o.AmendedFrom == "" {
				n++
			}
		}
		return max(0, n-1)
	})
	addInt(t, "amended_orders", "orders that amend an earlier one", func(p *project) int {
		n := 0
		for _, o := range p.orders {
			if o.AmendedFrom != "" {
				n++
			}
		}
		return n
	})
	add(t, "orders_known", cel.BoolType, "the orders could be read; unknown otherwise", func(p *project) ref.Val {
		return p.whole("project.orders_known", streamOrder, func() ref.Val { return types.True })
	})
	add(t, "task_growth", cel.DoubleType, "percent by which the tasks grew after kick-off", (*project).growth)
	add(t, "slipped", cel.BoolType, "the end was moved or has passed; unknown where moves before the first sighting may have gone unseen", (*project).slipped)
	addBool(t, "slip_seen", "a move or a passed end was seen", func(p *project) bool { on, _ := p.slip(); return !on.IsZero() })
	addDate(t, "slipped_on", "day of the first move, or the day after the end that passed", func(p *project) evidence.Date { on, _ := p.slip(); return on })
	addString(t, "slip_note", "what was seen of it", func(p *project) string { _, what := p.slip(); return what })
	add(t, "tasks", cel.IntType, "tasks, without headings and cancelled ones", func(p *project) ref.Val {
		return p.whole("project.tasks", streamTask, func() ref.Val { return types.Int(len(p.leaves())) })
	})
	add(t, "dated_share", cel.DoubleType, "percent of the tasks that have an end date", func(p *project) ref.Val {
		return p.whole("project.dated_share", streamTask, func() ref.Val {
			ts := p.leaves()
			if len(ts) == 0 {
				return types.Double(0)
			}
			n := 0
			for _, t := range ts {
				if !t.Due.IsZero() {
					n++
				}
			}
			return types.Double(100 * float64(n) / float64(len(ts)))
		})
	})
	add(t, "updated_on", cel.TimestampType, "day on which one of its tasks was last touched", func(p *project) ref.Val {
		return p.whole("project.updated_on", streamTask, func() ref.Val {
			var last time.Time
			for _, t := range p.tasks {
				if t.Modified.After(last) && !t.Modified.After(p.w.asOf) {
					last = t.Modified
				}
			}
			return dateVal(evidence.DateIn(last, p.w.loc), "project.updated_on")
		})
	})
	add(t, "plan_shared", cel.BoolType, "a plan document or its dispatch was found", func(p *project) ref.Val {
		return p.w.lookup(p.hasPlan(), "project.plan_shared", p.p.Site, kindPlan)
	})
	add(t, "plan_found", cel.BoolType, "the same, where not found counts as not handed in", func(p *project) ref.Val {
		if p.hasPlan() {
			return types.True
		}
		if u := p.w.readableKind(p.p.Site, kindPlan); u != nil {
			return p.w.unknown("project.plan_found", *u)
		}
		return types.False
	})
	add(t, "mails", cel.IntType, "mails on the project", func(p *project) ref.Val {
		if n := len(p.messages); n > 0 {
			return types.Int(n)
		}
		return p.whole("project.mails", streamMail, func() ref.Val { return types.Int(0) })
	})
	add(t, "notes", cel.IntType, "meetings held", func(p *project) ref.Val {
		n := 0
		for _, m := range p.meetings {
			if m.Held && p.w.happened(m.On) {
				n++
			}
		}
		return p.enough("project.notes", kindKickOff, n)
	})
	add(t, "tickets", cel.IntType, "the customer's tickets", func(p *project) ref.Val { return p.enough("project.tickets", kindTicket, len(p.tickets)) })
	add(t, "recent_tickets", cel.IntType, "the customer's tickets of the last 90 days", func(p *project) ref.Val {
		n := 0
		for _, t := range p.tickets {
			if d := evidence.DateIn(t.Opened, p.w.loc); p.w.happened(d) && !d.Before(p.w.today.AddDays(-90)) {
				n++
			}
		}
		return p.enough("project.recent_tickets", kindTicket, n)
	})
	add(t, "ratings", cel.ListType(cel.DoubleType), "stars of the customer's last five rated tickets, newest first; unknown with fewer than three", func(p *project) ref.Val {
		if u := p.w.readableKind(p.p.Site, kindTicket); u != nil {
			return p.w.unknown("project.ratings", *u)
		}
		rs := p.ratings()
		if len(rs) < minRated {
			return p.w.unknown("project.ratings", Unknown{
				Stream: "kind:" + kindTicket, Site: p.p.Site, Reason: fmt.Sprintf("the customer rated %d tickets; at least %d are needed", len(rs), minRated),
				Remedy: "ask the customer to rate its tickets",
			})
		}
		return listVal(rs)
	})
	add(t, "managers", personType.list(), "staff of the project whose designation is that of a manager", func(p *project) ref.Val { return p.staff("manager", "lead", "head") })
	add(t, "developers", personType.list(), "staff of the project whose designation is that of a developer, engineer or consultant", func(p *project) ref.Val {
		return p.staff("developer", "engineer", "consultant", "programmer")
	})
	add(t, "deal", dealType.typ, "the deal that the project came from", (*project).deal)
	add(t, "sponsor_mails", cel.IntType, "mails sent to the customer's sponsor", func(p *project) ref.Val { return types.Int(p.sponsorMails()) })

	s := signOffType
	addString(s, "kind", "what is accepted", func(s *signOff) string { return string(s.kind) })
	add(s, "signed", cel.BoolType, "accepted, with something of the customer's behind it", (*signOff).signed)
	add(s, "on", cel.TimestampType, "day of the acceptance", (*signOff).on)
	add(s, "reached", cel.BoolType, "the project has gone past the stage", (*signOff).reached)
	addBool(s, "in_order", "it is not dated after the stage that follows", (*signOff).inOrder)
	addBool(s, "refused", "the customer declined", func(s *signOff) bool { return s.best != nil && s.best.Refused })
	addBool(s, "replaced", "its document changed or vanished since it was first seen", func(s *signOff) bool { return s.best != nil && s.best.Replaced })
	addString(s, "state", "how it stands, in words", (*signOff).state)

	m := meetingType
	addDate(m, "on", "day", func(m *meeting) evidence.Date { return m.m.On })
	addString(m, "title", "subject", func(m *meeting) string { return cleanText(m.m.Title, 140) })

	k := ticketType
	addString(k, "name", "the record's name", func(t *ticket) string { return cleanText(t.t.Name, 140) })
	addString(k, "subject", "subject", func(t *ticket) string { return cleanText(t.t.Subject, 80) })
	addBool(k, "closed", "resolved or closed", func(t *ticket) bool { return t.t.Closed })
	addBool(k, "has_owner", "somebody is assigned, or one of the staff entered it", func(t *ticket) bool {
		return len(t.t.Assignees) > 0 || slices.ContainsFunc(t.w.s.People, func(p evidence.Person) bool { return p.User != "" && strings.EqualFold(p.User, t.t.Owner) })
	})
	addBool(k, "answered", "there was a first reply", func(t *ticket) bool { return !t.t.FirstResponse.IsZero() && !t.t.FirstResponse.After(t.w.asOf) })
	addBool(k, "has_agreement", "a service level agreement applies", func(t *ticket) bool { return t.t.Agreement != "" })
	addBool(k, "resolved", "it has a date of resolution", func(t *ticket) bool { return !t.t.Resolved.IsZero() && !t.t.Resolved.After(t.w.asOf) })
	addBool(k, "late", "open, and past the day on which it was to be resolved", func(t *ticket) bool {
		return !t.t.Closed && !t.t.OnHold && !t.t.ResolutionDue.IsZero() && t.w.asOf.After(t.t.ResolutionDue)
	})
}
