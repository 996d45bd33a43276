package rules

import (
	"cmp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/prmsync/prmsync/evidence"
)

// deal is a sale: an opportunity with its quotation and lead, or a quotation
// that stands for the sale itself.
type deal struct {
	w     *world
	d     *evidence.Deal // nil when the quotation is the deal
	q     *evidence.Quotation
	lead  *evidence.Lead
	order *evidence.Order
}

type person struct {
	w *world
	p *evidence.Person
}

var (
	dealType   = newFactType("Deal", "A sale, won, lost or open.")
	personType = newFactType("Person", "A member of the partner's staff.")
)

func (w *world) indexSales() {
	if w.indexed.sales {
		return
	}
	w.indexed.sales = true
	w.orders, w.quotations = map[site2name]*evidence.Order{}, map[site2name]*evidence.Quotation{}
	w.deals, w.leads = map[site2name]*evidence.Deal{}, map[site2name]*evidence.Lead{}
	w.customers = map[site2name]*evidence.Customer{}
	for i := range w.s.Orders {
		o := &w.s.Orders[i]
		w.orders[site2name{o.Site, o.Name}] = o
	}
	for i := range w.s.Quotations {
		if q := &w.s.Quotations[i]; !w.late(q.Ref) {
			w.quotations[site2name{q.Site, q.Name}] = q
		}
	}
	for i := range w.s.Deals {
		if d := &w.s.Deals[i]; !w.late(d.Ref) {
			w.deals[site2name{d.Site, d.Name}] = d
		}
	}
	for i := range w.s.Leads {
		l := &w.s.Leads[i]
		w.leads[site2name{l.Site, l.Name}] = l
	}
	for i := range w.s.Customers {
		c := &w.s.Customers[i]
		w.customers[site2name{c.Site, c.Name}] = c
	}
}

func (w *world) indexPeople() {
	if w.indexed.people {
		return
	}
	w.indexed.people = true
	w.persons = map[string]*evidence.Person{}
	for i := range w.s.People {
		p := &w.s.People[i]
		if p.User == "" {
			continue
		}
		key := strings.ToLower(p.User)
		if old, ok := w.persons[key]; !ok || p.Ref.Compare(old.Ref) < 0 {
			w.persons[key] = p
		}
	}
}

// dealOf joins what is known about a sale.
func (w *world) dealOf(d *evidence.Deal, q *evidence.Quotation) *deal {
	w.indexSales()
	out := &deal{w: w, d: d, q: q}
	if out.q == nil && d != nil {
		var names []string
		names = append(names, d.Quotations...)
		slices.Sort(names)
		for _, n := range names {
			if c := w.quotations[site2name{d.Site, n}]; c != nil && !c.Cancelled && (out.q == nil || c.On.Before(out.q.On)) {
				out.q = c
			}
		}
	}
	if out.d == nil && q != nil && q.Deal != "" {
		out.d = w.deals[site2name{q.Site, q.Deal}]
	}
	site := out.site()
	var customer string
	if out.d != nil {
		out.lead = w.leads[site2name{site, out.d.Lead}]
		customer = out.d.Customer
	}
	if out.q != nil {
		if out.lead == nil && out.q.PartyType == "Lead" {
			out.lead = w.leads[site2name{site, out.q.Party}]
		}
		if out.q.PartyType != "Lead" {
			customer = cmp.Or(out.q.Party, customer)
		}
		out.order = w.orders[site2name{site, out.q.Order}]
	}
	if out.lead == nil && customer != "" {
		out.lead = w.leadOf(site, customer)
	}
	return out
}

// leadOf finds the lead that became a customer: by the customer's own link, by
// the company's name, or by the mail domain.
func (w *world) leadOf(site, customer string) *evidence.Lead {
	c := w.customers[site2name{site, customer}]
	if c != nil && c.Lead != "" {
		if l := w.leads[site2name{site, c.Lead}]; l != nil {
			return l
		}
	}
	var found *evidence.Lead
	for i := range w.s.Leads {
		l := &w.s.Leads[i]
		if l.Site != site {
			continue
		}
		match := strings.EqualFold(l.Customer, customer) || c != nil && (strings.EqualFold(l.Customer, c.Title) || l.Domain != "" && slices.Contains(c.Domains, l.Domain))
		if match && (found == nil || l.Ref.Compare(found.Ref) < 0) {
			found = l
		}
	}
	return found
}

func (d *deal) ref() evidence.Ref {
	if d.d != nil && d.d.Doctype != "Opportunity" || d.q == nil {
		return d.d.Ref
	}
	return d.q.Ref
}

func (d *deal) site() string {
	if d.d != nil {
		return d.d.Site
	}
	return d.q.Site
}

func (d *deal) customer() string {
	var name string
	if d.d != nil {
		name = d.d.Customer
	}
	if name == "" && d.q != nil {
		name = d.q.Party
	}
	return cleanText(name, 80)
}

// offered is the day of the quotation, which qualification and scope should
// precede.
func (d *deal) offered() evidence.Date {
	if d.q != nil {
		return d.q.On
	}
	return evidence.Date{}
}

func (d *deal) owner() string {
	if d.d != nil && d.d.Owner != "" {
		return d.d.Owner
	}
	if d.q != nil {
		return cmp.Or(d.q.Owner, d.q.Ref.Owner)
	}
	return ""
}

func (d *deal) qualified() ref.Val {
	const attribute = "deal.qualified"
	l := d.lead
	if l != nil && l.Budget && l.Authority && l.Need && l.Timeline {
		if on := d.offered(); !l.QualifiedOn.IsZero() && !on.IsZero() && l.QualifiedOn.After(on) {
			return types.False
		}
		return types.True
	}
	if l == nil {
		return d.w.unknown(attribute, Unknown{Stream: "Lead", Site: d.site(), Reason: "no lead was found for the deal", Remedy: "link the customer to its lead"})
	}
	if !l.BANTMapped {
		if u := d.w.readableKind(d.site(), kindBANT); u != nil {
			return d.w.unknown(attribute, *u)
		}
		return d.w.unknown(attribute, Unknown{
			Stream: "kind:" + kindBANT, Kind: evidence.Unmapped, Site: d.site(), Reason: "nobody has said where the four answers are kept",
			Remedy: "name the fields for bant in the partner's mapping",
		})
	}
	return d.w.lookup(false, attribute, d.site(), kindBANT)
}

func (d *deal) bantMissing() string {
	if d.lead == nil {
		return ""
	}
	var out []string
	for _, q := range []struct {
		name string
		have bool
	}{{"budget", d.lead.Budget}, {"authority", d.lead.Authority}, {"need", d.lead.Need}, {"timeline", d.lead.Timeline}} {
		if !q.have {
			out = append(out, q.name)
		}
	}
	return strings.Join(out, ", ")
}

// project finds the customer project that the sale became.
func (d *deal) project() *project {
	site := d.site()
	if d.d != nil && d.d.Project != "" {
		for _, p := range d.w.projects {
			if p.p.Site == site && p.p.Name == d.d.Project {
				return p
			}
		}
	}
	if d.q == nil {
		return nil
	}
	for _, p := range d.w.projects {
		if p.p.Site != site {
			continue
		}
		if d.q.Order != "" && (p.p.SalesOrder == d.q.Order || d.order != nil && d.order.Project == p.p.Name) {
			return p
		}
		for _, o := range p.orders {
			if slices.Contains(o.Quotations, d.q.Name) {
				return p
			}
		}
	}
	return nil
}

// deal finds the sale behind the project: through its order, else through the
// deal that names it.
func (p *project) deal() ref.Val {
	const attribute = "project.deal"
	w := p.w
	w.indexSales()
	var names []string
	for _, o := range p.orders {
		names = append(names, o.Quotations...)
	}
	var best *evidence.Quotation
	for _, n := range names {
		if q := w.quotations[site2name{p.p.Site, n}]; q != nil && (best == nil || q.On.Before(best.On)) {
			best = q
		}
	}
	if best != nil {
		return dealType.of(w.dealOf(nil, best))
	}
	var byProject *evidence.Deal
	for i := range w.s.Deals {
		d := &w.s.Deals[i]
		if d.Site == p.p.Site && (d.Project == p.p.Name || byProject == nil && d.Won && d.Customer == p.p.Customer) {
			byProject = d
			if d.Project == p.p.Name {
				break
			}
		}
	}
	if byProject != nil {
		return dealType.of(w.dealOf(byProject, nil))
	}
	for i := range w.s.Quotations {
		q := &w.s.Quotations[i]
		if q.Site == p.p.Site && q.Submitted && !q.Cancelled && q.Party == p.p.Customer && (best == nil || q.On.Before(best.On)) {
			best = q
		}
	}
	if best != nil {
		return dealType.of(w.dealOf(nil, best))
	}
	if u := w.readableKind(p.p.Site, kindDeal); u != nil {
		return w.unknown(attribute, *u)
	}
	return w.unknown(attribute, Unknown{Stream: "kind:" + kindDeal, Site: p.p.Site, Reason: "no quotation or deal was found for the project", Remedy: "link the order to its quotation"})
}

func (p *project) sponsorMails() int {
	p.w.indexSales()
	c := p.w.customers[site2name{p.p.Site, p.p.Customer}]
	if c == nil || c.Sponsor == "" {
		return 0
	}
	_, domain, _ := strings.Cut(c.Sponsor, "@")
	n := 0
	for _, m := range p.messages {
		if m.Sent && slices.Contains(m.ToDomains, strings.ToLower(domain)) {
			n++
		}
	}
	return n
}

// staff lists the people of the project whose designation names one of the
// roles: its members and those to whom tasks are assigned.
func (p *project) staff(roles ...string) ref.Val {
	p.w.indexPeople()
	users := map[string]bool{}
	for _, u := range p.p.Members {
		users[strings.ToLower(u)] = true
	}
	for _, t := range p.tasks {
		for _, u := range t.Assignees {
			users[strings.ToLower(u)] = true
		}
	}
	var found []*evidence.Person
	for u := range users {
		q := p.w.persons[u]
		if q == nil {
			continue
		}
		have := strings.ToLower(q.Designation)
		if slices.ContainsFunc(roles, func(r string) bool { return strings.Contains(have, r) }) {
			found = append(found, q)
		}
	}
	slices.SortFunc(found, func(a, b *evidence.Person) int { return a.Ref.Compare(b.Ref) })
	out := make([]ref.Val, 0, len(found))
	for _, q := range found {
		out = append(out, personType.of(&person{p.w, q}))
	}
	return listVal(out)
}

// certified reports whether the person holds a valid certificate whose course
// names the product.
func (p *person) certified(product string) bool {
	for i := range p.w.s.Certificates {
		c := &p.w.s.Certificates[i]
		if !strings.EqualFold(c.Member, p.p.User) || c.Issued.After(p.w.today) || !c.Expires.IsZero() && c.Expires.Before(p.w.today) {
			continue
		}
		if strings.Contains(strings.ToLower(c.Course), product) {
			return true
		}
	}
	return false
}

// trained finds the first day on which the person had been through a training
// of the kind.
func (w *world) trained(p *evidence.Person, kind string) evidence.Date {
	var first evidence.Date
	for i := range w.s.Trainings {
		t := &w.s.Trainings[i]
		if !t.Held || !slices.Contains(t.Kinds, kind) || !slices.Contains(t.Present, p.Name) || !w.happened(t.On) {
			continue
		}
		if first.IsZero() || t.On.Before(first) {
			first = t.On
		}
	}
	return first
}

func (d *deal) sellerTrained() ref.Val {
	d.w.indexPeople()
	p := d.w.persons[strings.ToLower(d.owner())]
	if p == nil {
		return types.False
	}
	on := d.w.trained(p, "training.sales")
	if on.IsZero() {
		return types.False
	}
	offered := d.offered()
	if offered.IsZero() && d.d != nil {
		offered = d.d.Opened
	}
	inTime := offered.IsZero() || !on.After(offered) || !p.Joined.IsZero() && !on.After(p.Joined.AddMonths(2))
	return types.Bool(inTime)
}

func declareSalesFacts() {
	d := dealType
	addString(d, "name", "the record's name", func(d *deal) string { return cleanText(d.ref().Name, 140) })
	addString(d, "customer", "who buys", (*deal).customer)
	addBool(d, "won", "it was won", func(d *deal) bool {
		return d.d != nil && d.d.Won || d.q != nil && (d.q.Order != "" || !d.q.Won.IsZero())
	})
	addDate(d, "offered_on", "day of the first quotation", (*deal).offered)
	addBool(d, "has_offer", "there is a quotation", func(d *deal) bool { return d.q != nil })
	add(d, "qualified", cel.BoolType, "budget, authority, need and timeline were asked before the quotation", (*deal).qualified)
	addString(d, "bant_missing", "which of the four answers are missing", (*deal).bantMissing)
	add(d, "scope", cel.BoolType, "a requirement document dated before the quotation was found", func(d *deal) ref.Val {
		return d.w.lookup(d.q != nil && len(d.q.Scope) > 0, "deal.scope", d.site(), kindScope)
	})
	addBool(d, "estimated", "a price estimate stands behind the quotation", func(d *deal) bool { return d.q != nil && len(d.q.Estimate) > 0 })
	add(d, "seller_trained", cel.BoolType, "the salesperson was trained on the sales process before the quotation, or within two months of joining", (*deal).sellerTrained)
	addBool(d, "has_project", "a project came from it", func(d *deal) bool { return d.project() != nil })
	add(d, "project", projectType.typ, "the project that came from it", func(d *deal) ref.Val {
		if p := d.project(); p != nil {
			return projectType.of(p)
		}
		return absent("deal.project")
	})

	p := personType
	addString(p, "name", "name of the record", func(p *person) string { return cleanText(p.p.Name, 80) })
	addString(p, "designation", "job title", func(p *person) string { return cleanText(p.p.Designation, 80) })
	addBool(p, "knows_erpnext", "holds a valid certificate of ERPNext", func(p *person) bool { return p.certified("erpnext") })
	addBool(p, "knows_framework", "holds a valid certificate of Frappe Framework", func(p *person) bool { return p.certified("framework") })
}
