package partnersite

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
)

// Doctypes that the meaning half knows by name.
const (
	doctypeProject  = "Project"
	doctypeTask     = "Task"
	doctypeFile     = "File"
	doctypeMail     = "Communication"
	doctypeEvent    = "Event"
	doctypeIssue    = "Issue"
	doctypeHDTicket = "HD Ticket"
	doctypeCustomer = "Customer"
	doctypeContract = "Contract"
	doctypeReview   = "Quality Review"
	doctypeMeeting  = "Quality Meeting"
	doctypeAction   = "Quality Action"
	doctypeDeleted  = "Deleted Document"
	doctypeVersion  = "Version"
	doctypeLead     = "Lead"
	doctypeCRMLead  = "CRM Lead"
	doctypeQuote    = "Quotation"
	doctypeOrder    = "Sales Order"
	doctypeInvoice  = "Sales Invoice"
	doctypeEmployee = "Employee"
)

// What may stand behind a sign-off (config.Rule.Proof).
const (
	proofFile     = "file"
	proofMail     = "mail"
	proofContract = "contract"
	proofNone     = "none"
	proofField    = "field:"
)

// happened is the field that says when a record of the doctype took place, for
// rules that name none.
var happened = map[string]string{
	doctypeTask: "completed_on", doctypeEvent: "starts_on", doctypeMail: "communication_date",
	doctypeReview: "date", doctypeAction: "date", doctypeMeeting: "name", doctypeIssue: "sla_resolution_date",
	doctypeHDTicket: "resolution_date", doctypeContract: "signed_on", doctypeQuote: "transaction_date",
	doctypeOrder: "transaction_date", "Opportunity": "transaction_date", doctypeInvoice: "posting_date",
	"CRM Deal": "closed_date", "Training Event": "end_time", "LMS Certificate": "issue_date", "Project Update": "date",
	doctypeLead: "qualified_on",
}

// belongs is the field that names the project, for rules that name none.
var belongs = map[string]string{
	doctypeProject: "name", doctypeFile: "attached_to_doctype:attached_to_name",
	doctypeMail: "reference_doctype:reference_name", doctypeEvent: "event_participants.reference_docname",
	doctypeContract: "document_type:document_name", "ToDo": "reference_type:reference_name",
	"Timesheet": "parent_project", "Comment": "reference_doctype:reference_name",
}

// matcher is a condition made ready.
type matcher struct {
	table, field string
	match        config.Match
}

func compile(c config.Conditions) []matcher {
	out := make([]matcher, 0, len(c))
	for f, m := range c {
		table, field, ok := strings.Cut(f, ".")
		if !ok {
			table, field = "", f
		}
		out = append(out, matcher{table, field, m})
	}
	slices.SortFunc(out, func(a, b matcher) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.field, b.field))
	})
	return out
}

func (m matcher) holds(text string) bool {
	if len(m.match) == 0 {
		return text != ""
	}
	for _, p := range m.match {
		if !strings.Contains(p, "*") {
			// A box that was never ticked may come without a value.
			if strings.EqualFold(p, text) || p == "0" && text == "" {
				return true
			}
		} else if config.Like(p, text) {
			return true
		}
	}
	return false
}

func holds(ms []matcher, r *record) bool {
	for _, m := range ms {
		if m.table == "" {
			s, _ := spell(r.value(m.field))
			if !m.holds(clip(s, maxScan)) {
				return false
			}
			continue
		}
		if !slices.ContainsFunc(r.rows(m.table), func(w row) bool {
			s, _ := spell(w.fields[m.field])
			return m.holds(clip(s, maxScan))
		}) {
			return false
		}
	}
	return true
}

// found is a record that a rule lets through.
type found struct {
	*record
	rule    *config.Rule
	project string
	on      evidence.Date
	at      time.Time // zero when only the day is known
	done    bool
	refused bool
}

// stands reports whether the record exists as something that people did: a
// template is no work, and a cancelled record was taken back.
func (r *record) stands() bool {
	if n, _ := number(r.value("docstatus")); n == 2 {
		return false
	}
	if r.Doctype == doctypeTask {
		status, _ := r.value("status").(string)
		return !r.flag("is_template") && status != "Template" && status != "Cancelled"
	}
	return true
}

// filed reports whether a file has the name that a rule about files asks for.
// In a rule about another doctype the pattern is that of its proof.
func filed(rule *config.Rule, r *record) bool {
	return rule.File == "" || rule.Doctype != doctypeFile || config.Like(rule.File, r.str("file_name"))
}

// search returns what one rule lets through, in the order of names.
func (s *site) search(rule *config.Rule) []found {
	where, done, refused := compile(rule.Where), compile(rule.Done), compile(rule.Refused)
	docs := s.docs[rule.Doctype]
	var out []found
	for i := range docs {
		r := &docs[i]
		if !holds(where, r) || !r.stands() || !filed(rule, r) {
			continue
		}
		f := found{record: r, rule: rule, project: s.projectOf(r, rule.Project)}
		f.on, f.at = r.when(cmp.Or(rule.Date, happened[rule.Doctype]))
		f.refused = len(refused) > 0 && holds(refused, r)
		f.done = holds(done, r) && !f.refused
		// What is dated after the instant has not happened yet.
		if f.at.After(s.asOf) || f.on.After(s.today) {
			f.done, f.refused = false, false
		}
		out = append(out, f)
	}
	return out
}

// all joins what the rules of a kind let through.
func (s *site) findAll(kind config.Kind) []found {
	var out []found
	rules := s.in.Mapping.Evidence[kind]
	for i := range rules {
		out = append(out, s.search(&rules[i])...)
	}
	return out
}

// firstByProject asks the rules of a kind in order: for each project the first
// that finds anything is the one that counts. What belongs to no project that we
// know is kept from every rule.
func (s *site) firstByProject(kind config.Kind) []found {
	rules := s.in.Mapping.Evidence[kind]
	var out []found
	settled := map[string]bool{}
	for i := range rules {
		fs := s.search(&rules[i])
		if rules[i].Doctype == doctypeEvent {
			fs = append(fs, s.hiddenEvents(&rules[i])...)
		}
		var now []string
		for _, f := range fs {
			if f.project != "" && settled[f.project] {
				continue
			}
			out = append(out, f)
			now = append(now, f.project)
		}
		for _, p := range now {
			if p != "" {
				settled[p] = true
			}
		}
	}
	return out
}

// when reads the date of a record: a Date or Datetime field, a field of a child
// table (the latest counts), or `name` for records named by their day.
func (r *record) when(field string) (evidence.Date, time.Time) {
	switch field {
	case "", "creation":
		return evidence.DateIn(r.Created, r.site.loc), r.Created
	case "name":
		if d := dateInName(r.Name); !d.IsZero() {
			return d, time.Time{}
		}
		// Renamed or numbered: such records are named on the day they are made.
		return evidence.DateIn(r.Created, r.site.loc), time.Time{}
	}
	if table, child, ok := strings.Cut(field, "."); ok {
		var last evidence.Date
		for _, w := range r.rows(table) {
			if d := w.date(child); d.After(last) {
				last = d
			}
		}
		return last, time.Time{}
	}
	s, _ := r.value(field).(string)
	if len(s) > 10 {
		t := r.instant(field)
		return evidence.DateIn(t, r.site.loc), t
	}
	return r.date(field), time.Time{}
}

// dateInName finds the day in a name like QA-MEET-26-11-16 or X-2026-11-16-2.
func dateInName(name string) evidence.Date {
	parts := strings.Split(clip(name, 2*maxRunes), "-")
	for i := len(parts) - 3; i >= 0; i-- {
		y := parts[i]
		if len(y) == 2 {
			y = "20" + y
		}
		if d, err := evidence.ParseDate(y + "-" + parts[i+1] + "-" + parts[i+2]); err == nil && !d.IsZero() {
			return d
		}
	}
	return evidence.Date{}
}

// projectOf follows a rule's project field: a link, a Dynamic Link pair
// "doctype_field:name_field", or a field of a child table. A task stands for its
// project, a customer for its only one.
func (s *site) projectOf(r *record, field string) string {
	if field == "" {
		if field = belongs[r.Doctype]; field == "" {
			field = "project"
		}
	}
	if dt, name, ok := strings.Cut(field, ":"); ok {
		return s.projectBehind(r.str(dt), r.str(name))
	}
	if table, child, ok := strings.Cut(field, "."); ok {
		var customers string
		for _, w := range r.rows(table) {
			name := w.str(child)
			doctype := w.str("reference_doctype")
			if doctype == "" {
				doctype = w.str("link_doctype")
			}
			p := s.projectBehind(doctype, name)
			if p != "" && doctype != doctypeCustomer {
				return p
			}
			customers = cmp.Or(customers, p)
		}
		return customers
	}
	name := r.str(field)
	if field == "project" || field == "parent_project" || name == "" {
		return name
	}
	return s.projectBehind("", name)
}

// projectBehind is the project that a linked record belongs to; "" when it
// belongs to none, or to none in particular.
func (s *site) projectBehind(doctype, name string) string {
	if name == "" {
		return ""
	}
	switch doctype {
	case doctypeProject:
		return name
	case doctypeCustomer:
		return s.index.onlyProject[name]
	case "":
		if s.find(doctypeProject, name) != nil {
			return name
		}
		return s.index.onlyProject[name]
	case doctypeTask, doctypeIssue, doctypeOrder, doctypeInvoice:
		if r := s.find(doctype, name); r != nil {
			return r.str("project")
		}
	}
	return ""
}

// customerOf is the customer that a record names or its project has.
func (s *site) customerOf(r *record, project string) string {
	if f := r.str("customer"); f != "" {
		return f
	}
	if r.Doctype == doctypeEvent {
		for _, w := range r.rows("event_participants") {
			if w.str("reference_doctype") == doctypeCustomer {
				return w.str("reference_docname")
			}
		}
	}
	if r.Doctype == doctypeMail {
		for _, w := range r.rows("timeline_links") {
			if w.str("link_doctype") == doctypeCustomer {
				return w.str("link_name")
			}
		}
	}
	if p := s.find(doctypeProject, project); p != nil {
		return p.str("customer")
	}
	return ""
}

// hiddenEvents finds meetings that a private Event hides from us: an Event with
// a customer among its participants leaves a Communication of medium Meeting
// with the same subject, which can be listed. A rule that asks for more of the
// Event than its subject cannot be answered so.
func (s *site) hiddenEvents(rule *config.Rule) []found {
	subject, ok := rule.Where["subject"]
	if !ok || len(rule.Where) > 1 || len(rule.Done) > 0 || len(rule.Refused) > 0 {
		return nil
	}
	m := matcher{match: subject}
	var out []found
	for _, r := range s.index.meetingMails {
		if text, _ := spell(r.value("subject")); !m.holds(clip(text, maxScan)) {
			continue
		}
		if r.str("reference_doctype") != doctypeEvent || s.find(doctypeEvent, r.str("reference_name")) != nil {
			continue
		}
		f := found{record: r, rule: rule}
		f.on, f.at = r.when("communication_date")
		f.done = !f.at.After(s.asOf) && !f.on.After(s.today)
		for _, w := range r.rows("timeline_links") {
			if p := s.projectBehind(w.str("link_doctype"), w.str("link_name")); p != "" {
				f.project = p
				if w.str("link_doctype") == doctypeProject {
					break
				}
			}
		}
		out = append(out, f)
	}
	return out
}

// proofs are what may stand behind a sign-off under the rule. A rule that names
// none takes what stock ERPNext offers; a file is its own proof.
func proofs(kind config.Kind, r config.Rule) []string {
	switch {
	case !strings.HasPrefix(string(kind), "sign_off."):
		return nil
	case len(r.Proof) > 0:
		return r.Proof
	case r.Doctype == doctypeFile:
		return []string{proofNone}
	}
	return []string{proofFile, proofMail, proofContract}
}

// siteIndex holds who belongs to whom, made once.
type siteIndex struct {
	onlyProject  map[string]string // customer → its project, if it has just one
	customers    map[string][]string
	filesOn      map[owner][]*record // attachments by record
	mailsOn      map[owner][]*record // received mails by record
	contractsOn  map[owner][]*record
	meetingMails []*record
	assignees    map[owner][]string
	lostFiles    map[owner]bool // records that have lost an attachment
}

// owner is the record that something hangs on.
type owner struct{ doctype, name string }

// prepare makes the index and what mappings imply for the whole site.
func (s *site) prepare() {
	x := siteIndex{
		onlyProject: map[string]string{}, filesOn: map[owner][]*record{}, mailsOn: map[owner][]*record{},
		contractsOn: map[owner][]*record{}, assignees: map[owner][]string{}, lostFiles: map[owner]bool{},
	}
	several := map[string]bool{}
	projects := s.docs[doctypeProject]
	for i := range projects {
		r := &projects[i]
		c := r.str("customer")
		if c == "" {
			continue
		}
		if _, ok := x.onlyProject[c]; ok || several[c] {
			several[c] = true
			delete(x.onlyProject, c)
			continue
		}
		x.onlyProject[c] = r.Name
	}
	files := s.docs[doctypeFile]
	for i := range files {
		r := &files[i]
		if on := (owner{r.str("attached_to_doctype"), r.str("attached_to_name")}); on.name != "" && !r.flag("is_folder") {
			x.filesOn[on] = append(x.filesOn[on], r)
		}
	}
	contracts := s.docs[doctypeContract]
	for i := range contracts {
		r := &contracts[i]
		if on := (owner{r.str("document_type"), r.str("document_name")}); on.name != "" {
			x.contractsOn[on] = append(x.contractsOn[on], r)
		}
	}
	todos := s.docs["ToDo"]
	for i := range todos {
		r := &todos[i]
		on := owner{r.str("reference_type"), r.str("reference_name")}
		if status := r.str("status"); on.name != "" && (status == "Open" || status == "") {
			x.assignees[on] = append(x.assignees[on], cmp.Or(r.str("allocated_to"), r.str("owner")))
		}
	}
	s.index = x
	if len(s.domains) == 0 {
		s.domains = s.staffDomains()
	}
	mails := s.docs[doctypeMail]
	for i := range mails {
		r := &mails[i]
		if r.str("communication_medium") == "Meeting" {
			s.index.meetingMails = append(s.index.meetingMails, r)
			continue
		}
		if sent, _ := s.direction(r); sent {
			continue
		}
		if on := (owner{r.str("reference_doctype"), r.str("reference_name")}); on.name != "" {
			s.index.mailsOn[on] = append(s.index.mailsOn[on], r)
		}
	}
	s.index.customers = s.customerDomains()
	s.metrics = s.goalMetrics()
	s.status = s.pausing()
	s.losses()
}
