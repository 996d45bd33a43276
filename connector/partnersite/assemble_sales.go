package partnersite

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
)

// selling adds what happens before and beside a project: queries, deals, offers,
// orders, bills and contracts.
func (s *site) selling(snap *evidence.Snapshot) {
	s.trade = s.trades()
	s.leads(snap)
	s.quotations(snap)
	s.deals(snap)
	s.orders(snap)
	s.invoices(snap)
	s.contracts(snap)
}

// trade links offers, orders, projects and leads of one site.
type trade struct {
	orders        map[string][]*record // quotation → its submitted orders, by date
	orderProject  map[string][]string  // order → projects that name it, or that it names
	leadByCompany map[string]string
	leadByDomain  map[string]string
	quotesOf      map[string][]string // deal → quotations
}

func (s *site) trades() trade {
	t := trade{
		orders: map[string][]*record{}, orderProject: map[string][]string{},
		leadByCompany: map[string]string{}, leadByDomain: map[string]string{}, quotesOf: map[string][]string{},
	}
	orders := s.docs[doctypeOrder]
	for i := range orders {
		r := &orders[i]
		if p := r.str("project"); p != "" {
			t.orderProject[r.Name] = append(t.orderProject[r.Name], p)
		}
		if n, _ := r.num("docstatus"); n != 1 || r.date("transaction_date").After(s.today) {
			continue
		}
		var quotes []string
		for _, w := range r.rows("items") {
			quotes = append(quotes, w.str("prevdoc_docname"))
		}
		for _, q := range unique(quotes) {
			t.orders[q] = append(t.orders[q], r)
		}
	}
	for _, os := range t.orders {
		slices.SortStableFunc(os, func(a, b *record) int {
			return cmp.Or(a.date("transaction_date").Compare(b.date("transaction_date")), cmp.Compare(a.Name, b.Name))
		})
	}
	projects := s.docs[doctypeProject]
	for i := range projects {
		if o := projects[i].str("sales_order"); o != "" {
			t.orderProject[o] = append(t.orderProject[o], projects[i].Name)
		}
	}
	for _, doctype := range []string{doctypeLead, doctypeCRMLead} {
		leads := s.docs[doctype]
		for i := range leads {
			r := &leads[i]
			once(t.leadByCompany, strings.ToLower(cmp.Or(r.str("company_name"), r.str("organization"))), r.Name)
			once(t.leadByDomain, domain(cmp.Or(r.str("email_id"), r.str("email"))), r.Name)
		}
	}
	quotes := s.docs[doctypeQuote]
	for i := range quotes {
		if d := s.dealOf(&quotes[i]); d != "" {
			t.quotesOf[d] = append(t.quotesOf[d], quotes[i].Name)
		}
	}
	return t
}

// once keeps a value that only one key has: two leads of one company or of one
// mail provider name neither.
func once(m map[string]string, key, value string) {
	if key == "" {
		return
	}
	if old, ok := m[key]; ok && old != value {
		value = ""
	}
	m[key] = value
}

// dealOf is the opportunity or CRM deal that a quotation was made for.
func (s *site) dealOf(q *record) string {
	if d := cmp.Or(q.str("opportunity"), q.str("crm_deal")); d != "" {
		return d
	}
	for _, w := range q.rows("items") {
		if w.str("prevdoc_doctype") == "Opportunity" {
			return w.str("prevdoc_docname")
		}
	}
	return ""
}

// leadOf is the lead behind a party: itself, the one that the customer was made
// from, or the only one of its company or mail domain.
func (s *site) leadOf(doctype, name string) string {
	switch doctype {
	case doctypeLead, doctypeCRMLead:
		return name
	case "Prospect", "":
		return s.trade.leadByCompany[strings.ToLower(name)]
	}
	title := name
	if c := s.find(doctypeCustomer, name); c != nil {
		if l := c.str("lead_name"); l != "" {
			return l
		}
		title = cmp.Or(c.str("customer_name"), name)
	}
	if l := s.trade.leadByCompany[strings.ToLower(title)]; l != "" {
		return l
	}
	for _, d := range s.index.customers[name] {
		if l := s.trade.leadByDomain[d]; l != "" {
			return l
		}
	}
	return ""
}

// partyName is the customer behind a party; a lead stands for its company.
func (s *site) partyName(doctype, name string) string {
	if doctype != doctypeLead && doctype != doctypeCRMLead {
		return name
	}
	if r := s.find(doctype, name); r != nil {
		return cmp.Or(r.plain("company_name"), r.plain("organization"), r.plain("lead_name"))
	}
	return ""
}

func (s *site) findLead(name string) *record {
	if r := s.find(doctypeLead, name); r != nil {
		return r
	}
	return s.find(doctypeCRMLead, name)
}

// qualified tells whether and when somebody judged the lead worth pursuing.
func qualified(r *record) (bool, evidence.Date) {
	if r == nil {
		return false, evidence.Date{}
	}
	if r.Doctype == doctypeCRMLead {
		yes := r.flag("converted") || r.str("status") == "Qualified"
		var on evidence.Date
		for _, w := range r.rows("status_change_log") {
			if w.str("to") == "Qualified" || w.str("to_type") == "Won" {
				yes, on = true, w.date("to_date")
				break
			}
		}
		return yes, on
	}
	return r.str("qualification_status") == "Qualified", r.date("qualified_on")
}

func (s *site) leads(snap *evidence.Snapshot) {
	type talk struct {
		received []time.Time
		sent     []time.Time
	}
	talks := map[owner]*talk{}
	mails := s.docs[doctypeMail]
	for i := range mails {
		r := &mails[i]
		on := owner{r.str("reference_doctype"), r.str("reference_name")}
		if on.doctype != doctypeLead && on.doctype != doctypeCRMLead || r.str("communication_medium") == "Meeting" {
			continue
		}
		_, at := r.when("communication_date")
		if at.IsZero() {
			continue
		}
		t := talks[on]
		if t == nil {
			t = &talk{}
			talks[on] = t
		}
		switch sent, known := s.direction(r); {
		case !known:
		case !sent:
			t.received = append(t.received, at)
		case r.str("communication_type") != "Automated Message": // no person answered
			t.sent = append(t.sent, at)
		}
	}
	rules := s.in.Mapping.Evidence[config.KindBANT]
	answers := make([][]found, len(rules))
	for i := range rules {
		answers[i] = s.search(&rules[i])
	}
	for _, doctype := range []string{doctypeLead, doctypeCRMLead} {
		docs := s.docs[doctype]
		for i := range docs {
			r := &docs[i]
			l := evidence.Lead{
				Ref: r.Ref, Customer: cmp.Or(r.plain("company_name"), r.plain("organization"), r.plain("lead_name")),
				Owner: cmp.Or(r.str("lead_owner"), r.Ref.Owner), Status: r.str("status"), ResponseDue: r.instant("response_by"),
				Domain: domain(cmp.Or(r.str("email_id"), r.str("email"))),
			}
			l.Qualified, l.QualifiedOn = qualified(r)
			if t := talks[owner{doctype, r.Name}]; t != nil && len(t.received) > 0 {
				l.Received = slices.MinFunc(t.received, time.Time.Compare)
				for _, at := range t.sent {
					if !at.Before(l.Received) && (l.FirstResponse.IsZero() || at.Before(l.FirstResponse)) {
						l.FirstResponse = at
					}
				}
			}
			if l.Received.IsZero() && (r.str("sla") != "" || r.str("service_level_agreement") != "") {
				if l.Received = r.instant("sla_creation"); l.Received.IsZero() {
					l.Received = r.Created
				}
			}
			if at := r.instant("first_responded_on"); l.FirstResponse.IsZero() && !l.Received.IsZero() && !at.Before(l.Received) {
				l.FirstResponse = at
			}
			for j := range rules {
				own := rules[j].Doctype == doctype
				l.BANTMapped = l.BANTMapped || own || rules[j].Doctype != doctypeLead && rules[j].Doctype != doctypeCRMLead
				for _, f := range answers[j] {
					if own && f.Name != r.Name || !own && f.str(cmp.Or(rules[j].Fields["lead"], "lead")) != r.Name {
						continue
					}
					l.Budget = l.Budget || f.filled(rules[j].Fields["budget"])
					l.Authority = l.Authority || f.filled(rules[j].Fields["authority"])
					l.Need = l.Need || f.filled(rules[j].Fields["need"])
					l.Timeline = l.Timeline || f.filled(rules[j].Fields["timeline"])
				}
			}
			snap.Leads = append(snap.Leads, l)
		}
	}
}

// filled tells that a person wrote something into the field; an unticked box and
// a 0 are nothing.
func (r *record) filled(field string) bool {
	if field == "" {
		return false
	}
	if table, child, ok := strings.Cut(field, "."); ok {
		return slices.ContainsFunc(r.rows(table), func(w row) bool { return w.plain(child) != "" })
	}
	v := r.plain(field)
	return v != "" && v != "0"
}

func (s *site) quotations(snap *evidence.Snapshot) {
	estimates := s.behindOffers(config.KindEstimate)
	scopes := s.behindOffers(config.KindScope)
	docs := s.docs[doctypeQuote]
	for i := range docs {
		r := &docs[i]
		n, _ := r.num("docstatus")
		q := evidence.Quotation{
			Ref: r.Ref, Party: r.str("party_name"), PartyType: r.str("quotation_to"), Deal: s.dealOf(r), Owner: r.Ref.Owner,
			Status: r.str("status"), Submitted: n == 1, Cancelled: n == 2, On: r.date("transaction_date"), Expires: r.date("valid_till"),
		}
		if os := s.trade.orders[r.Name]; len(os) > 0 {
			q.Order, q.Won = os[0].Name, os[0].date("transaction_date")
		}
		if q.Status == "Lost" {
			q.Lost = r.since("status", "Lost")
		}
		for _, on := range []owner{
			{doctypeQuote, r.Name},
			{"Opportunity", q.Deal},
			{"CRM Deal", q.Deal},
			{q.PartyType, q.Party},
			{doctypeLead, s.leadOf(q.PartyType, q.Party)},
		} {
			if on.name == "" {
				continue
			}
			for _, f := range estimates[on] {
				q.Estimate = append(q.Estimate, f.Ref)
			}
			for _, f := range scopes[on] {
				if day := f.dated(); !day.IsZero() && !day.After(q.On) {
					q.Scope = append(q.Scope, f.Ref)
				}
			}
		}
		q.Estimate, q.Scope = uniqueRefs(q.Estimate), uniqueRefs(q.Scope)
		snap.Quotations = append(snap.Quotations, q)
	}
}

// dated is the day of a find, or of the record's creation.
func (f found) dated() evidence.Date {
	if !f.on.IsZero() {
		return f.on
	}
	return evidence.DateIn(f.Created, f.site.loc)
}

// behindOffers files the finds of a kind under the records that they hang on.
func (s *site) behindOffers(kind config.Kind) map[owner][]found {
	out := map[owner][]found{}
	for _, f := range s.findAll(kind) {
		var on []owner
		switch f.Doctype {
		case doctypeQuote:
			on = []owner{{doctypeQuote, f.Name}}
		case doctypeFile:
			on = []owner{{f.str("attached_to_doctype"), f.str("attached_to_name")}}
		case doctypeMail:
			on = []owner{{f.str("reference_doctype"), f.str("reference_name")}}
		case doctypeLead, doctypeCRMLead, "Opportunity", "CRM Deal":
			on = []owner{{f.Doctype, f.Name}}
		default:
			for role, doctype := range map[string]string{"quotation": doctypeQuote, "opportunity": "Opportunity", "lead": doctypeLead} {
				if name := f.str(cmp.Or(f.rule.Fields[role], role)); name != "" {
					on = append(on, owner{doctype, name})
				}
			}
		}
		for _, o := range on {
			out[o] = append(out[o], f)
		}
	}
	return out
}

func uniqueRefs(refs []evidence.Ref) []evidence.Ref {
	slices.SortStableFunc(refs, evidence.Ref.Compare)
	return slices.CompactFunc(refs, func(a, b evidence.Ref) bool { return a.Key() == b.Key() })
}

// since is the day on which the field came to have the value: by our own
// captures the modification of the first version that had it after one that had
// not, else the record's last modification, which cannot be before.
func (r *record) since(field, value string) evidence.Date {
	at := r.Modified
	for i := len(r.history) - 1; i >= 0; i-- {
		v := r.history[i]
		if text, _ := spell(v.Fields[field]); v.Gone || text != value {
			break
		}
		at = v.Modified
	}
	return evidence.DateIn(at, r.site.loc)
}

func (s *site) deals(snap *evidence.Snapshot) {
	seen := map[owner]bool{}
	for _, f := range s.findAll(config.KindDeal) {
		on := owner{f.Doctype, f.Name}
		if n, _ := f.num("docstatus"); seen[on] || f.Doctype == doctypeQuote && n != 1 {
			continue
		}
		seen[on] = true
		snap.Deals = append(snap.Deals, s.deal(f))
	}
}

func (s *site) deal(f found) evidence.Deal {
	r := f.record
	d := evidence.Deal{Ref: r.Ref, Status: r.str("status"), Opened: evidence.DateIn(r.Created, s.loc), Owner: r.Ref.Owner}
	if opened := r.date("transaction_date"); !opened.IsZero() {
		d.Opened = opened
	}
	var quotes []string
	switch r.Doctype {
	case doctypeQuote:
		quotes = []string{r.Name}
		d.Lead = s.leadOf(r.str("quotation_to"), r.str("party_name"))
		d.Customer = s.partyName(r.str("quotation_to"), r.str("party_name"))
		if o := s.find("Opportunity", s.dealOf(r)); o != nil {
			d.Owner = cmp.Or(o.str("opportunity_owner"), d.Owner)
			if o.str("opportunity_from") == doctypeLead {
				d.Lead = o.str("party_name")
			}
		}
		d.Lost = d.Status == "Lost"
	case "Opportunity":
		quotes = s.trade.quotesOf[r.Name]
		d.Owner = cmp.Or(r.str("opportunity_owner"), d.Owner)
		d.Lead = s.leadOf(r.str("opportunity_from"), r.str("party_name"))
		d.Customer = s.partyName(r.str("opportunity_from"), r.str("party_name"))
		d.Won, d.Lost = d.Status == "Converted", d.Status == "Lost"
	case "CRM Deal":
		quotes = s.trade.quotesOf[r.Name]
		d.Owner, d.Lead = cmp.Or(r.str("deal_owner"), d.Owner), r.str("lead")
		d.Customer = cmp.Or(r.plain("organization"), r.plain("organization_name"))
		kind := d.Status
		if st := s.find("CRM Deal Status", d.Status); st != nil {
			kind = cmp.Or(st.str("type"), kind)
		}
		d.Won, d.Lost = kind == "Won", kind == "Lost"
		for _, w := range r.rows("status_change_log") {
			d.StageMoves++
			if w.str("to") == d.Status {
				d.Closed = w.date("to_date")
			}
		}
		if day := r.date("closed_date"); !day.IsZero() {
			d.Closed = day
		}
		if !d.Won && !d.Lost {
			d.Closed = evidence.Date{}
		}
	default:
		d.Customer = r.str(cmp.Or(f.rule.Fields["customer"], "customer"))
		d.Owner = cmp.Or(r.str(cmp.Or(f.rule.Fields["owner"], "owner")), d.Owner)
		if q := r.str(cmp.Or(f.rule.Fields["quotation"], "quotation")); q != "" {
			quotes = []string{q}
		}
	}
	// A rule that says what a won and a lost deal looks like dates them, too.
	if len(f.rule.Done) > 0 {
		if d.Won = f.done; d.Won {
			d.Closed = f.on
		}
	}
	if len(f.rule.Refused) > 0 {
		if d.Lost = f.refused; d.Lost {
			d.Closed = f.on
		}
	}
	d.Quotations = slices.Clone(quotes)
	for _, q := range quotes {
		for _, o := range s.trade.orders[q] {
			on := o.date("transaction_date")
			if r.Doctype != "CRM Deal" && (!d.Won || d.Closed.IsZero() || on.Before(d.Closed)) {
				d.Won, d.Lost, d.Closed = true, false, on
			}
			if p := s.trade.orderProject[o.Name]; d.Project == "" && len(p) > 0 {
				d.Project = slices.Min(p)
			}
		}
	}
	if d.Lost && d.Closed.IsZero() {
		d.Closed = r.since("status", d.Status)
	}
	d.Qualified, d.QualifiedOn = qualified(s.findLead(d.Lead))
	return d
}

func (s *site) orders(snap *evidence.Snapshot) {
	docs := s.docs[doctypeOrder]
	for i := range docs {
		r := &docs[i]
		n, _ := r.num("docstatus")
		o := evidence.Order{
			Ref: r.Ref, Customer: r.str("customer"), Project: r.str("project"), On: r.date("transaction_date"),
			Submitted: n == 1, Cancelled: n == 2, AmendedFrom: r.str("amended_from"),
		}
		for _, w := range r.rows("items") {
			o.Quotations = append(o.Quotations, w.str("prevdoc_docname"))
		}
		o.Quotations = unique(o.Quotations)
		var ok bool
		if o.Total, ok = r.num("base_grand_total"); !ok {
			o.Total, _ = r.num("grand_total")
		}
		if rows := r.rows("payment_schedule"); len(rows) > 0 {
			h := sha256.New()
			for _, w := range rows {
				portion, _ := w.num("invoice_portion")
				amount, _ := w.num("payment_amount")
				fmt.Fprintf(h, "%s %.2f %.2f\n", w.date("due_date"), portion, amount)
			}
			o.Schedule = hex.EncodeToString(h.Sum(nil)[:8])
		}
		snap.Orders = append(snap.Orders, o)
	}
}

func (s *site) invoices(snap *evidence.Snapshot) {
	docs := s.docs[doctypeInvoice]
	for i := range docs {
		r := &docs[i]
		n, _ := r.num("docstatus")
		v := evidence.Invoice{
			Ref: r.Ref, Customer: r.str("customer"), On: r.date("posting_date"), Submitted: n == 1, Cancelled: n == 2,
			Return: r.flag("is_return"), Opening: r.str("is_opening") == "Yes",
		}
		projects := []string{r.str("project")}
		for _, w := range r.rows("items") {
			projects = append(projects, w.str("project"))
			v.Orders = append(v.Orders, w.str("sales_order"))
		}
		v.Orders = unique(v.Orders)
		for _, o := range v.Orders {
			projects = append(projects, s.trade.orderProject[o]...)
		}
		v.Projects = unique(projects)
		snap.Invoices = append(snap.Invoices, v)
	}
}

func (s *site) contracts(snap *evidence.Snapshot) {
	docs := s.docs[doctypeContract]
	for i := range docs {
		r := &docs[i]
		c := evidence.Contract{
			Ref: r.Ref, Party: r.str("party_name"), Signed: r.flag("is_signed") && r.stands(), SignedOn: r.date("signed_on"),
			About: s.ref(r.str("document_type"), r.str("document_name")),
		}
		snap.Contracts = append(snap.Contracts, c)
	}
}
