package partnersite

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
)

// delivery adds projects, their tasks, sign-offs, meetings, files and mails.
func (s *site) delivery(snap *evidence.Snapshot) {
	s.projects(snap)
	s.tasks(snap)
	s.signOffs(snap)
	s.meetings(snap)
	s.attachments(snap)
	s.messages(snap)
	s.customers(snap)
}

func (s *site) projects(snap *evidence.Snapshot) {
	rules := s.in.Mapping.Evidence[config.KindProject]
	customer := map[string]bool{}
	for i := range rules {
		where := compile(rules[i].Where)
		docs := s.docs[rules[i].Doctype]
		for j := range docs {
			if holds(where, &docs[j]) {
				customer[docs[j].Name] = true
			}
		}
	}
	docs := s.docs[doctypeProject]
	snap.Projects = slices.Grow(snap.Projects, len(docs))
	for i := range docs {
		r := &docs[i]
		p := evidence.Project{
			Ref: r.Ref, Title: cmp.Or(r.plain("project_name"), r.Name), Status: r.str("status"), Customer: r.str("customer"),
			Type: r.str("project_type"), Template: r.str("project_template"), SalesOrder: r.str("sales_order"),
			ExpectedStart: r.date("expected_start_date"), ExpectedEnd: r.date("expected_end_date"),
		}
		if len(rules) > 0 {
			p.Internal = !customer[r.Name]
		} else {
			p.Internal = p.Customer == ""
		}
		for _, w := range r.rows("users") {
			p.Members = append(p.Members, w.str("user"))
		}
		p.Members = unique(p.Members)
		if t := s.find("Project Template", p.Template); t != nil {
			for _, w := range t.rows("tasks") {
				p.TemplateTasks = append(p.TemplateTasks, w.str("task"))
			}
			p.TemplateTasks = unique(p.TemplateTasks)
		}
		snap.Projects = append(snap.Projects, p)
	}
}

func (s *site) tasks(snap *evidence.Snapshot) {
	docs := s.docs[doctypeTask]
	parents := s.parents(docs)
	snap.Tasks = slices.Grow(snap.Tasks, len(docs))
	for i := range docs {
		r := &docs[i]
		t := evidence.Task{
			Ref: r.Ref, Project: r.str("project"), Subject: r.plain("subject"), Type: r.str("type"), Status: r.str("status"),
			Group: r.flag("is_group"), Milestone: r.flag("is_milestone"), TemplateTask: r.str("template_task"),
			Parent: parents[i], Start: r.date("exp_start_date"), Review: r.date("review_date"), Ticket: r.str("issue"),
			Assignees: s.assignees(r),
		}
		t.Template = r.flag("is_template") || t.Status == "Template"
		t.Due, t.DueAt = r.when("exp_end_date")
		if !t.DueAt.IsZero() && t.Due.Start(s.loc).Equal(t.DueAt) {
			// An end at midnight (v16) is the end of the day before: on the day
			// itself the site calls the task overdue.
			t.Due = t.Due.AddDays(-1)
		}
		if t.Status == "Completed" {
			t.Completed = r.date("completed_on")
		}
		for _, w := range r.rows("depends_on") {
			if on := w.str("task"); on != r.Name {
				t.DependsOn = append(t.DependsOn, on)
			}
		}
		t.DependsOn = unique(t.DependsOn)
		snap.Tasks = append(snap.Tasks, t)
	}
}

// parents returns the parent of each task, "" where a chain of parents runs in
// a circle: whoever climbs it must get out.
func (s *site) parents(docs []record) []string {
	const unseen, climbing, safe = 0, 1, 2
	out := make([]string, len(docs))
	up := make([]int, len(docs))
	climb := false
	for i := range docs {
		up[i] = -1
		if out[i] = docs[i].str("parent_task"); out[i] == "" {
			continue
		}
		if p, ok := s.position(doctypeTask, out[i]); ok {
			up[i], climb = p, true
		}
	}
	if !climb {
		return out
	}
	state := make([]uint8, len(docs))
	for i := range docs {
		var path []int
		j := i
		for j >= 0 && state[j] == unseen {
			state[j] = climbing
			path = append(path, j)
			j = up[j]
		}
		if j >= 0 && state[j] == climbing {
			for k := j; ; {
				out[k] = ""
				next := up[k]
				up[k] = -1
				if next == j || next < 0 {
					break
				}
				k = next
			}
		}
		for _, k := range path {
			state[k] = safe
		}
	}
	return out
}

// assignees are the users named by the record's own list and by open ToDos.
func (s *site) assignees(r *record) []string {
	var out []string
	switch v := r.value("_assign").(type) {
	case string:
		if v != "" && json.Unmarshal([]byte(clip(v, maxScan)), &out) != nil {
			r.drift("_assign")
			out = nil
		}
	case []any:
		for _, e := range v {
			if u, ok := e.(string); ok {
				out = append(out, u)
			}
		}
	}
	return unique(append(out, s.index.assignees[owner{r.Doctype, r.Name}]...))
}

// signOffKinds pairs what the mapping calls a sign-off with its kind.
var signOffKinds = []struct {
	kind config.Kind
	is   evidence.SignOffKind
}{
	{config.KindSignOffBRD, evidence.SignOffBRD},
	{config.KindSignOffUAT, evidence.SignOffUAT},
	{config.KindSignOffTraining, evidence.SignOffTraining},
	{config.KindSignOffGoLive, evidence.SignOffGoLive},
	{config.KindSignOffScope, evidence.SignOffScope},
	{config.KindSignOffSchedule, evidence.SignOffSchedule},
	{config.KindSignOffInvoiceSchedule, evidence.SignOffInvoiceSchedule},
}

func (s *site) signOffs(snap *evidence.Snapshot) {
	for _, k := range signOffKinds {
		for _, f := range s.firstByProject(k.kind) {
			so := evidence.SignOff{Ref: f.Ref, Project: f.project, Kind: k.is, Done: f.done, Refused: f.refused}
			if f.done || f.refused {
				so.On = f.on
			}
			if f.done {
				s.prove(&so, f, proofs(k.kind, *f.rule))
			}
			so.Replaced = s.index.lostFiles[owner{f.Doctype, f.Name}]
			snap.SignOffs = append(snap.SignOffs, so)
		}
	}
}

// mailWindow is how far from the day of a sign-off the customer's mail or
// contract about it may lie, in days.
const mailWindow = 7

// prove looks for something of the customer's own behind a sign-off. The first
// kind of proof that is found counts.
func (s *site) prove(so *evidence.SignOff, f found, kinds []string) {
	for _, kind := range kinds {
		var refs []evidence.Ref
		var day evidence.Date
		add := func(r *record, on evidence.Date) {
			refs = append(refs, r.Ref)
			if on.After(day) {
				day = on
			}
		}
		// Near to a day that nobody wrote down is only what hangs on the record
		// itself: a project gets mails all the time.
		near := func(on evidence.Date, own bool) bool {
			if so.On.IsZero() {
				return own && !on.IsZero()
			}
			d := on.DaysSince(so.On)
			return !on.IsZero() && d >= -mailWindow && d <= mailWindow
		}
		by := kind
		switch field, isField := strings.CutPrefix(kind, proofField); {
		case isField:
			by = "field"
			url := f.str(field)
			if url == "" {
				continue
			}
			for _, file := range s.index.filesOn[owner{f.Doctype, f.Name}] {
				if file.str("attached_to_field") == field || file.str("file_url") == url {
					add(file, evidence.DateIn(file.Created, s.loc))
				}
			}
			if len(refs) == 0 { // the field names a document that is not among the files we may see
				add(f.record, so.On)
			}
		case kind == proofFile:
			for _, file := range s.index.filesOn[owner{f.Doctype, f.Name}] {
				if f.rule.File == "" || config.Like(f.rule.File, file.str("file_name")) {
					add(file, evidence.DateIn(file.Created, s.loc))
				}
			}
		case kind == proofMail:
			theirs := s.index.customers[s.customerOf(f.record, f.project)]
			for _, on := range []owner{{f.Doctype, f.Name}, {doctypeProject, f.project}} {
				for _, m := range s.index.mailsOn[on] {
					sent, _ := m.when("communication_date")
					if near(sent, on.doctype == f.Doctype) && slices.Contains(theirs, domain(m.str("sender"))) {
						add(m, sent)
					}
				}
				if len(refs) > 0 {
					break
				}
			}
		case kind == proofContract:
			for _, on := range []owner{{f.Doctype, f.Name}, {doctypeProject, f.project}} {
				for _, c := range s.index.contractsOn[on] {
					signed, _ := c.when("signed_on")
					if c.flag("is_signed") && c.stands() && !signed.After(s.today) && (on.doctype == f.Doctype || near(signed, false)) {
						add(c, signed)
					}
				}
			}
		case kind == proofNone:
			add(f.record, so.On)
		}
		if len(refs) == 0 {
			continue
		}
		so.Proven, so.ProofBy, so.Proof = true, by, refs
		if so.On.IsZero() {
			so.On = day
		}
		return
	}
}

// losses notes the records that have lost an attachment or had it exchanged, as
// far as the site's own list of deletions or our earlier captures show it.
func (s *site) losses() {
	deleted := s.docs[doctypeDeleted]
	for i := range deleted {
		r := &deleted[i]
		if r.str("deleted_doctype") != doctypeFile || r.flag("restored") {
			continue
		}
		if was := deletedFields(r); was != nil {
			s.lose(was)
		}
	}
	for _, h := range s.gone {
		if h[0].Doctype != doctypeFile {
			continue
		}
		for _, v := range slices.Backward(h) {
			if !v.Gone {
				s.lose(v.Fields)
				break
			}
		}
	}
	for _, h := range s.edited {
		if h[0].Doctype != doctypeFile {
			continue
		}
		first, _ := spell(h[0].Fields["content_hash"])
		last, _ := spell(h[len(h)-1].Fields["content_hash"])
		if !h[len(h)-1].Gone && first != last && first != "" && last != "" {
			s.lose(h[0].Fields)
		}
	}
}

func (s *site) lose(file map[string]any) {
	doctype, _ := spell(file["attached_to_doctype"])
	name, _ := spell(file["attached_to_name"])
	if name != "" {
		s.index.lostFiles[owner{cut(doctype), cut(name)}] = true
	}
}

var meetingKinds = []struct {
	kind config.Kind
	is   evidence.MeetingKind
}{
	{config.KindHandover, evidence.MeetingHandover},
	{config.KindKickOff, evidence.MeetingKickOff},
	{config.KindSteering, evidence.MeetingSteering},
	{config.KindToSupport, evidence.MeetingHandoverToSupport},
}

func (s *site) meetings(snap *evidence.Snapshot) {
	used := map[owner]bool{}
	add := func(f found, kind evidence.MeetingKind) {
		m := evidence.Meeting{
			Ref: f.Ref, Kind: kind, Project: f.project, Customer: s.customerOf(f.record, f.project),
			On: f.on, At: f.at, Held: f.done,
			Title: cmp.Or(f.plain("subject"), f.plain("title"), f.Name),
		}
		if f.str("status") == "Cancelled" || f.on.IsZero() {
			m.Held = false
		}
		for _, table := range []string{"agenda", "minutes"} {
			field := strings.TrimSuffix(table, "s")
			if table == "minutes" {
				field = "minute"
			}
			for _, w := range f.tableOf(table) {
				if w.plain(field) != "" {
					m.Minutes++
				}
			}
		}
		used[owner{f.Doctype, f.Name}] = true
		snap.Meetings = append(snap.Meetings, m)
	}
	for _, k := range meetingKinds {
		for _, f := range s.firstByProject(k.kind) {
			add(f, k.is)
		}
	}
	for _, f := range s.findAll(config.KindAllHands) {
		add(f, evidence.MeetingAllHands)
	}
	// The rest is kept as it is: a meeting that no rule names may still be asked for.
	events := s.docs[doctypeEvent]
	for i := range events {
		r := &events[i]
		if !used[owner{doctypeEvent, r.Name}] {
			rule := config.Rule{Doctype: doctypeEvent}
			f := found{record: r, rule: &rule, project: s.projectOf(r, "")}
			f.on, f.at = r.when("starts_on")
			f.done = !f.at.After(s.asOf) && !f.on.After(s.today)
			add(f, evidence.MeetingOther)
		}
	}
	for _, r := range s.index.meetingMails {
		if used[owner{doctypeMail, r.Name}] || r.str("reference_doctype") == doctypeEvent && s.find(doctypeEvent, r.str("reference_name")) != nil {
			continue
		}
		rule := config.Rule{Doctype: doctypeMail}
		f := found{record: r, rule: &rule, project: s.projectOf(r, "")}
		f.on, f.at = r.when("communication_date")
		f.done = !f.at.After(s.asOf) && !f.on.After(s.today)
		add(f, evidence.MeetingOther)
	}
}

// tableOf returns the rows of a table that not every holder of meetings has.
func (r *record) tableOf(table string) []row {
	if _, ok := r.Fields[table].([]any); !ok {
		return nil
	}
	return r.rows(table)
}

func (s *site) attachments(snap *evidence.Snapshot) {
	type pattern struct {
		kind  config.Kind
		where []matcher
		rule  config.Rule
	}
	var patterns []pattern
	for _, kind := range config.Kinds() {
		for _, r := range s.in.Mapping.Evidence[kind] {
			if r.Doctype == doctypeFile || r.File != "" {
				patterns = append(patterns, pattern{kind, compile(r.Where), r})
			}
		}
	}
	files := s.docs[doctypeFile]
	for i := range files {
		r := &files[i]
		if r.flag("is_folder") {
			continue
		}
		a := evidence.Attachment{
			Ref: r.Ref, FileName: r.plain("file_name"), URL: r.str("file_url"), ContentHash: r.str("content_hash"), Uploaded: r.Created,
			On: s.ref(r.str("attached_to_doctype"), r.str("attached_to_name")),
		}
		for _, p := range patterns {
			name := r.str("file_name")
			if p.rule.Doctype == doctypeFile && holds(p.where, r) && filed(&p.rule, r) ||
				p.rule.Doctype != doctypeFile && p.rule.Doctype == a.On.Doctype && config.Like(p.rule.File, name) {
				a.Kinds = append(a.Kinds, string(p.kind))
			}
		}
		a.Kinds = unique(a.Kinds)
		snap.Attachments = append(snap.Attachments, a)
	}
}

// direction tells the partner's own mails from those received. Where the API
// does not say (timelines do not), the sender's domain does; a sender without
// one is the site itself. known is false where nobody knows the own domains.
func (s *site) direction(r *record) (sent, known bool) {
	if dir := r.str("sent_or_received"); dir != "" {
		return dir == "Sent", true
	}
	return s.senderIsOwn(r)
}

// senderIsOwn tells by the sender's domain whether the partner wrote the mail.
func (s *site) senderIsOwn(r *record) (own, known bool) {
	d := domain(r.str("sender"))
	return d == "" || slices.Contains(s.domains, d), d == "" || len(s.domains) > 0
}

// staffDomains are the domains of the user ids of the staff.
func (s *site) staffDomains() []string {
	var out []string
	docs := s.docs[doctypeEmployee]
	for i := range docs {
		out = append(out, domain(docs[i].str("user_id")))
	}
	return unique(out)
}

func (s *site) messages(snap *evidence.Snapshot) {
	type pattern struct {
		kind  config.Kind
		where []matcher
	}
	var patterns []pattern
	for _, kind := range config.Kinds() {
		for _, r := range s.in.Mapping.Evidence[kind] {
			if r.Doctype == doctypeMail {
				patterns = append(patterns, pattern{kind, compile(r.Where)})
			}
		}
	}
	mails := s.docs[doctypeMail]
	snap.Messages = slices.Grow(snap.Messages, len(mails))
	for i := range mails {
		r := &mails[i]
		if kind := r.str("communication_type"); kind != "" && kind != "Communication" && kind != "Automated Message" {
			continue
		}
		m := evidence.Message{
			Ref: r.Ref, Medium: cmp.Or(r.str("communication_medium"), "Email"),
			FromDomain: domain(r.str("sender")), Template: r.str("email_template"), Subject: r.plain("subject"),
			About: s.ref(r.str("reference_doctype"), r.str("reference_name")), Project: s.projectOf(r, ""),
		}
		m.Sent, _ = s.direction(r)
		_, m.At = r.when("communication_date")
		if m.At.IsZero() {
			m.At = r.Created
		}
		to := make([]string, 0, 3)
		for _, f := range []string{"recipients", "cc", "bcc"} {
			t, _ := spell(r.value(f))
			to = append(to, t)
		}
		m.ToDomains = domainsOf(to...)
		if len(m.ToDomains) == 0 {
			m.ToDomains = nil
		}
		own := s.domains
		if len(own) == 0 && m.FromDomain != "" {
			// Nobody has said which domains are the partner's: whoever sends a mail
			// to another house writes to somebody outside.
			own = []string{m.FromDomain}
		}
		m.ToCustomer = len(own) > 0 && slices.ContainsFunc(m.ToDomains, func(d string) bool { return !slices.Contains(own, d) })
		for _, w := range r.tableOf("timeline_links") {
			if m.Project == "" && w.str("link_doctype") == doctypeProject {
				m.Project = w.str("link_name")
			}
		}
		m.Attachments = len(s.index.filesOn[owner{doctypeMail, r.Name}])
		if m.Attachments == 0 && r.flag("has_attachment") {
			m.Attachments = 1
		}
		for _, p := range patterns {
			if holds(p.where, r) {
				m.Kinds = append(m.Kinds, string(p.kind))
			}
		}
		m.Kinds = unique(m.Kinds)
		snap.Messages = append(snap.Messages, m)
	}
	s.dispatches(snap)
}

// dispatches adds plans and status reports that a partner keeps in a doctype of
// its own: each stands for the mail that it was sent with. A Project Update goes
// to the partner's own people.
func (s *site) dispatches(snap *evidence.Snapshot) {
	for _, kind := range []config.Kind{config.KindPlan, config.KindStatus} {
		var finds []found
		rules := s.in.Mapping.Evidence[kind]
		for i := range rules {
			if rules[i].Doctype != doctypeMail && rules[i].Doctype != doctypeFile {
				finds = append(finds, s.search(&rules[i])...)
			}
		}
		for _, f := range finds {
			if !f.done {
				continue
			}
			m := evidence.Message{
				Ref: f.Ref, Sent: true, At: f.at, Medium: f.Doctype, ToCustomer: f.Doctype != "Project Update", About: s.ref(doctypeProject, f.project),
				Project: f.project, Kinds: []string{string(kind)}, Subject: cmp.Or(f.plain("subject"), f.plain("title"), f.Name),
				Attachments: len(s.index.filesOn[owner{f.Doctype, f.Name}]),
			}
			if m.At.IsZero() {
				if m.At = f.on.Start(s.loc); m.At.IsZero() {
					m.At = f.Created
				}
			}
			snap.Messages = append(snap.Messages, m)
		}
	}
}

// customerDomains are the mail domains of each customer's contacts and of the
// lead it came from, without the partner's own.
func (s *site) customerDomains() map[string][]string {
	out := map[string][]string{}
	lead := map[string][]string{}
	contacts := s.docs["Contact"]
	for i := range contacts {
		r := &contacts[i]
		mails := []string{domain(r.str("email_id"))}
		for _, w := range r.tableOf("email_ids") {
			mails = append(mails, domain(w.str("email_id")))
		}
		for _, w := range r.tableOf("links") {
			switch w.str("link_doctype") {
			case doctypeCustomer:
				out[w.str("link_name")] = append(out[w.str("link_name")], mails...)
			case doctypeLead:
				lead[w.str("link_name")] = append(lead[w.str("link_name")], mails...)
			}
		}
	}
	docs := s.docs[doctypeCustomer]
	for i := range docs {
		r := &docs[i]
		if l := r.str("lead_name"); l != "" {
			out[r.Name] = append(out[r.Name], lead[l]...)
			if doc := s.find(doctypeLead, l); doc != nil {
				out[r.Name] = append(out[r.Name], domain(doc.str("email_id")))
			}
		}
		if d := domain(r.str("email_id")); d != "" {
			out[r.Name] = append(out[r.Name], d)
		}
	}
	for c, ds := range out {
		out[c] = slices.DeleteFunc(unique(ds), func(d string) bool { return slices.Contains(s.domains, d) })
	}
	return out
}

func (s *site) customers(snap *evidence.Snapshot) {
	sponsors := s.findAll(config.KindSponsor)
	docs := s.docs[doctypeCustomer]
	for i := range docs {
		r := &docs[i]
		c := evidence.Customer{
			Ref: r.Ref, Title: cmp.Or(r.plain("customer_name"), r.Name), Lead: r.str("lead_name"), Domains: s.index.customers[r.Name],
		}
		if len(c.Domains) == 0 {
			c.Domains = nil
		}
		for _, f := range sponsors {
			if f.sponsors(r.Name) {
				c.Sponsor = strings.ToLower(f.str(cmp.Or(f.rule.Fields["email"], "email_id")))
				break
			}
		}
		snap.Customers = append(snap.Customers, c)
	}
	hd := s.docs["HD Customer"]
	for i := range hd {
		r := &hd[i]
		c := evidence.Customer{Ref: r.Ref, Title: cmp.Or(r.plain("customer_name"), r.Name)}
		if d := strings.ToLower(strings.TrimPrefix(r.str("domain"), "@")); d != "" {
			c.Domains = []string{d}
		}
		snap.Customers = append(snap.Customers, c)
	}
}

// sponsors tells whether the find names the sponsor of the customer: it is the
// customer itself, a contact linked to it, or a record with its name.
func (f found) sponsors(customer string) bool {
	if f.Doctype == doctypeCustomer {
		return f.Name == customer
	}
	for _, w := range f.tableOf("links") {
		if w.str("link_doctype") == doctypeCustomer && w.str("link_name") == customer {
			return true
		}
	}
	return f.str(cmp.Or(f.rule.Fields["customer"], "customer")) == customer
}
