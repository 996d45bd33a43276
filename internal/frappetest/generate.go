package frappetest

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Partner describes a made-up implementation partner whose site Generate
// fills. The same description gives the same documents.
type Partner struct {
	Seed  uint64
	Name  string    // of the company; "" = Halden Systems
	Tasks int       // about how many; 0 = 150. A task takes about a kilobyte
	End   time.Time // the last moment of its history; zero = the site's now
	Days  int       // length of its history; 0 = 365

	// Shares between 0 and 1 of what goes wrong. Zero is a perfect house.
	Overdue        float64 // of the tasks due in the last weeks
	SLAMissed      float64 // of the tickets
	Unreported     float64 // of the weekly reports
	SignOffMissing float64 // of the scans that should hang on sign-off tasks
	NoAction       float64 // of the poor values without a Corrective action
}

// Healthy and Failing are two houses at the ends.
var (
	Healthy = Partner{Overdue: 0.05, SLAMissed: 0.03}
	Failing = Partner{Overdue: 0.6, SLAMissed: 0.35, Unreported: 0.4, SignOffMissing: 0.5, NoAction: 0.8}
)

// Credentials are the API key of a generated user.
type Credentials struct{ User, Key, Secret string }

// ReaderTypes are the DocTypes a partner opens to the reading user, one row
// each at level 0.
var ReaderTypes = []string{
	"Company", "Project", "Task", "Task Type", "Project Template", "Project Update", "Timesheet", "Issue", "Service Level Agreement", "Holiday List",
	"Lead", "Opportunity", "Quotation", "Sales Order", "Sales Invoice", "Contract", "Customer", "Contact", "Employee", "Training Event",
	"Training Result", "Employee Skill Map", "Communication", "Comment", "Version", "ToDo", "Assignment Rule", "Notification", "Support Settings",
	"Non Conformance", "Deleted Document", "Quality Goal", "Quality Review", "Quality Action", "Quality Meeting", "Quality Feedback", "Quality Procedure",
	"Dashboard", "Dashboard Chart", "Customer Survey",
}

// AddReader makes the reading user that evidence-gathering asks for: a Website
// User with the role PMM Evidence Reader, which may read the given DocTypes
// (those the site lacks are left out).
func (s *Site) AddReader(user string, doctypes ...string) (Credentials, error) {
	const role = "PMM Evidence Reader"
	s.mu.Lock()
	s.rawInsert("Role", role, map[string]any{"role_name": role, "desk_access": int64(0)})
	s.mu.Unlock()
	for _, dt := range doctypes {
		if !s.Has(dt) {
			continue
		}
		if err := s.Grant(dt, role, 0, "re"); err != nil {
			return Credentials{}, err
		}
	}
	key, secret := s.AddUser(user, role)
	return Credentials{user, key, secret}, nil
}

// phases are the tasks of a project in order: subject, type, and when they
// are due as a share of the project's length.
var phases = []struct {
	subject, kind string
	at            float64
}{
	{"Contract handover to delivery", "Handover from Sales", 0.01},
	{"Kick-off workshop", "Kick-off", 0.03},
	{"Project plan sent to customer", "", 0.05},
	{"As-is process interviews", "", 0.10},
	{"Fit-gap analysis", "", 0.15},
	{"Business requirements document", "", 0.20},
	{"Requirements signed", "BRD Sign-off", 0.23},
	{"Chart of accounts and masters", "", 0.30},
	{"Selling and buying setup", "", 0.36},
	{"Stock and warehouse setup", "", 0.42},
	{"Print formats", "", 0.46},
	{"Interfaces", "", 0.52},
	{"Custom reports", "", 0.56},
	{"Data migration, first run", "", 0.60},
	{"Internal test", "", 0.66},
	{"User acceptance test", "", 0.74},
	{"Test result signed", "UAT Sign-off", 0.77},
	{"User training", "", 0.83},
	{"Training signed", "Training Sign-off", 0.85},
	{"Data migration, final", "", 0.90},
	{"Go-live weekend", "", 0.93},
	{"Go-live protocol signed", "Go-live Sign-off", 0.95},
	{"Handover to support", "Handover to Support", 0.99},
}

var (
	firstNames = strings.Fields("Asha Milan Priya Jonas Leena Ravi Clara Omar Ines Tomas Yuki Hanna Dario Meera Felix Nadia Arun Sofia Kiran Petra")
	lastNames  = strings.Fields("Nair Weber Shah Lind Kapoor Moreau Haas Rossi Iyer Novak Costa Bauer Menon Olsen Gupta Keller Dias Sato Voss Rao")
	townNames  = strings.Fields("Harbour Linden Cedar Granite Willow Falcon Amber Cobalt Juniper Meadow Orchid Summit Copper Raven Maple Tidal Birch Quartz Saffron Zephyr")
	tradeNames = strings.Fields("Foods Textiles Optics Pumps Furniture Print Logistics Pharma Tools Paper Cycles Ceramics Polymers Bakery Motors Labs Retail Energy")
	ticketText = []string{
		"Invoice PDF has the wrong address", "Login code does not arrive", "Stock of an article is negative", "Print layout cuts the last line",
		"Report runs into a timeout", "E-mail alert comes twice", "Cannot cancel a delivery note", "Discount is not applied", "User cannot see own tasks",
		"Barcode scanner drops digits", "Payment file is refused by the bank", "New field for the lot number",
	}
	goals = []struct{ name, metric string }{
		{"Overdue tasks, percent", "overdue"},
		{"Conversion of quotations, percent", "conversion"},
		{"Demo rating", "demo"},
		{"Sales feedback", "sales"},
		{"SLA fulfilled, percent", "sla"},
		{"Ticket feedback", "ticket"},
	}
)

// Generate installs ERPNext and HRMS on the site and fills it with the
// history of a partner: people, customers, projects with their phases and
// signed scans, orders and invoices, tickets under an agreement, weekly
// reviews and meetings, mails. It gives the reading user.
func (s *Site) Generate(p Partner) (Credentials, error) {
	if p.Name == "" {
		p.Name = "Halden Systems"
	}
	if p.Tasks <= 0 {
		p.Tasks = 150
	}
	if p.Days <= 0 {
		p.Days = 365
	}
	if err := s.Install("erpnext", "hrms"); err != nil {
		return Credentials{}, err
	}
	s.Define(DocType{
		Name: "Customer Survey", Module: "Quality Management", Autoname: "SURV-.#####", Custom: true, TrackChanges: true,
		Fields: []Field{
			{Fieldname: "occasion", Fieldtype: "Select", Options: "Project\nDemo\nDeal"},
			{Fieldname: "project", Fieldtype: "Link", Options: "Project"},
			{Fieldname: "quotation", Fieldtype: "Link", Options: "Quotation"},
			{Fieldname: "answered_on", Fieldtype: "Datetime"},
			{Fieldname: "stars", Fieldtype: "Rating"},
			{Fieldname: "remark", Fieldtype: "Small Text"},
		},
		Perms: []Perm{{Role: "System Manager", Rights: "rwcd"}, {Role: "Employee", Rights: "rwc"}},
	})
	s.mu.Lock()
	end := p.End
	if end.IsZero() {
		end = s.now()
	}
	l := end.In(s.zone)
	g := &generator{
		s: s, p: p, r: rand.New(rand.NewPCG(p.Seed, 0x9e3779b97f4a7c15)), in: interner{},
		end: time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC),
	}
	g.domain = strings.ToLower(strings.ReplaceAll(p.Name, " ", "-")) + ".example"
	g.start = g.end.AddDate(0, 0, -p.Days)
	err := g.run()
	s.mu.Unlock()
	if err != nil {
		return Credentials{}, fmt.Errorf("generate %s: %w", p.Name, err)
	}
	return s.AddReader("prm.reader@"+g.domain, ReaderTypes...)
}

type generator struct {
	s          *Site
	p          Partner
	r          *rand.Rand
	in         interner
	start, end time.Time
	domain     string
	people     []string // users
	customers  []string
	projects   []genProject
	late       int // open tasks that are overdue
	open       int
	err        error
}

type genProject struct {
	name, customer, mail string
	start                time.Time
	span                 int
	live                 bool
	golive               time.Time
}

func (g *generator) chance(share float64) bool { return g.r.Float64() < share }

func (g *generator) pick(list []string) string { return list[g.r.IntN(len(list))] }

// add stores one document; equal short texts are shared.
func (g *generator) add(doctype, name, owner string, at time.Time, vals map[string]any) {
	for k, v := range vals {
		if t, ok := v.(string); ok {
			vals[k] = g.in.str(t)
		}
	}
	vals["owner"], vals["creation"] = g.in.str(owner), formatTime(at)
	if vals["modified"] == nil {
		vals["modified"] = vals["creation"]
	}
	if vals["modified_by"] == nil {
		vals["modified_by"] = vals["owner"]
	}
	g.s.rawInsert(doctype, name, vals)
}

// child stores a row of a table field.
func (g *generator) child(doctype, parenttype, parent, field string, idx int, at time.Time, vals map[string]any) {
	vals["parent"], vals["parenttype"], vals["parentfield"], vals["idx"] = parent, parenttype, field, int64(idx)
	g.add(doctype, g.s.newHash(), "Administrator", at, vals)
}

func (g *generator) micro(t time.Time) time.Time {
	return t.Add(time.Duration(g.r.IntN(1_000_000)) * time.Microsecond)
}

// at is a moment of a working day.
func (g *generator) at(day time.Time) time.Time {
	d := time.Date(day.Year(), day.Month(), day.Day(), 8, 0, 0, 0, time.UTC)
	return g.micro(d.Add(time.Duration(g.r.IntN(36_000)) * time.Second))
}

func workday(t time.Time) time.Time {
	for t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		t = t.AddDate(0, 0, 1)
	}
	return t
}

// businessAdd adds working time, Monday to Friday from 8 to 18.
func businessAdd(t time.Time, d time.Duration) time.Time {
	for d > 0 {
		open := time.Date(t.Year(), t.Month(), t.Day(), 8, 0, 0, 0, time.UTC)
		shut := open.Add(10 * time.Hour)
		switch {
		case t.Weekday() == time.Saturday || t.Weekday() == time.Sunday || !t.Before(shut):
			t = open.AddDate(0, 0, 1)
			continue
		case t.Before(open):
			t = open
		}
		step := min(d, shut.Sub(t))
		t, d = t.Add(step), d-step
	}
	return t
}

func (g *generator) run() error {
	g.masters()
	g.staff()
	g.delivery()
	g.support()
	g.sales()
	g.quality()
	for _, dt := range sortedKeys(g.s.tableMap()) {
		if m := g.s.metaOf(dt); m != nil && strings.Contains(m.autoname+"#", "#") {
			t := g.s.tableMap()[dt]
			t.byName.descend(func(r *row) bool { g.s.noteSeries(m, r.name); return false })
		}
	}
	return g.err
}

func (g *generator) masters() {
	day0 := g.start.AddDate(0, 0, -30)
	company := g.p.Name
	g.s.rawSet("System Settings", "System Settings", map[string]any{"date_format": "yyyy-mm-dd", "time_format": "HH:mm:ss"})
	g.add("Holiday List", company+" holidays", "Administrator", day0, map[string]any{
		"holiday_list_name": company + " holidays", "from_date": g.start.Format(dateLayout), "to_date": g.end.AddDate(0, 2, 0).Format(dateLayout),
	})
	i := 0
	for d := g.start; d.Before(g.end.AddDate(0, 1, 0)); d = d.AddDate(0, 0, 1) {
		if d.Day() == 1 && (d.Month() == time.January || d.Month() == time.May) {
			i++
			g.child("Holiday", "Holiday List", company+" holidays", "holidays", i, day0, map[string]any{"holiday_date": d.Format(dateLayout), "description": "Public holiday"})
		}
	}
	g.add("Company", company, "Administrator", day0, map[string]any{"company_name": company, "abbr": company[:1], "default_currency": "EUR", "country": "Germany", "default_holiday_list": company + " holidays"})
	for _, ph := range phases {
		if ph.kind != "" {
			g.add("Task Type", ph.kind, "Administrator", day0, map[string]any{"weight": 0.0})
		}
	}
	for _, t := range []string{"External", "Internal"} {
		g.add("Project Type", t, "Administrator", day0, map[string]any{"project_type": t})
	}
	g.add("Support Settings", "Support Settings", "Administrator", day0, map[string]any{"track_service_level_agreement": int64(1), "close_issue_after_days": int64(7)})
	const sla = "SLA-Issue-Business hours"
	g.add("Service Level Agreement", sla, "Administrator", day0, map[string]any{
		"service_level": "Business hours", "document_type": "Issue", "enabled": int64(1), "default_service_level_agreement": int64(1), "apply_sla_for_resolution": int64(1),
		"default_priority": "Medium", "holiday_list": company + " holidays",
	})
	for i, pr := range []struct {
		name      string
		resp, res int
	}{{"Low", 8, 40}, {"Medium", 4, 20}, {"High", 2, 8}} {
		g.add("Issue Priority", pr.name, "Administrator", day0, map[string]any{"name1": pr.name})
		g.child("Service Level Priority", "Service Level Agreement", sla, "priorities", i+1, day0, map[string]any{
			"priority": pr.name, "response_time": float64(pr.resp * 3600), "resolution_time": float64(pr.res * 3600), "default_priority": int64(i & 1),
		})
	}
	for i, d := range []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"} {
		g.child("Service Day", "Service Level Agreement", sla, "support_and_resolution", i+1, day0, map[string]any{"workday": d, "start_time": "8:00:00", "end_time": "18:00:00"})
	}
	for i, st := range []string{"Resolved", "Closed"} {
		g.child("SLA Fulfilled On Status", "Service Level Agreement", sla, "sla_fulfilled_on", i+1, day0, map[string]any{"status": st})
	}
	for _, d := range []string{"Sales pipeline", "Project delivery", "Service desk"} {
		g.add("Dashboard Chart", d, "Administrator", day0, map[string]any{"chart_name": d, "chart_type": "Count", "document_type": "Task", "based_on": "creation", "is_public": int64(1), "filters_json": "[]"})
		g.add("Dashboard", d, "Administrator", day0, map[string]any{"dashboard_name": d, "is_standard": int64(0)})
		g.child("Dashboard Chart Link", "Dashboard", d, "charts", 1, day0, map[string]any{"chart": d, "width": "Full"})
	}
	for _, q := range []string{"How we sell", "How we deliver projects", "How we support"} {
		g.add("Quality Procedure", q, "Administrator", day0, map[string]any{"quality_procedure_name": q, "process_owner": "Administrator"})
		for i, step := range []string{"Prepare", "Do it", "Check", "Improve"} {
			g.child("Quality Procedure Process", "Quality Procedure", q, "processes", i+1, day0, map[string]any{"process_description": step})
		}
	}
	g.add("Notification", "Task is overdue", "Administrator", day0, map[string]any{"document_type": "Task", "event": "Days After", "date_changed": "exp_end_date", "days_in_advance": int64(1), "enabled": int64(1), "is_standard": int64(0), "channel": "Email", "subject": "Overdue: {{ doc.subject }}"})
	g.add("Assignment Rule", "Tickets in turn", "Administrator", day0, map[string]any{"document_type": "Issue", "rule": "Round Robin", "disabled": int64(0), "assign_condition": "status == 'Open'"})
}

func (g *generator) staff() {
	n := min(60, max(8, g.p.Tasks/25))
	day0 := g.start.AddDate(0, 0, -20)
	for i := range n {
		first, last := firstNames[i%len(firstNames)], lastNames[(i*7+i/len(firstNames)*3)%len(lastNames)]
		user := strings.ToLower(fmt.Sprintf("%s.%s%s@%s", first[:1], last, map[bool]string{true: fmt.Sprint(i), false: ""}[i >= len(firstNames)], g.domain))
		g.people = append(g.people, user)
		g.add("User", user, "Administrator", day0, map[string]any{
			"email": user, "first_name": first, "last_name": last, "full_name": first + " " + last, "enabled": int64(1), "user_type": "System User", "time_zone": g.s.zone.String(),
		})
		roles := []string{"Employee", "Projects User"}
		designation := "Consultant"
		switch {
		case i == 0:
			roles, designation = append(roles, "Projects Manager", "Quality Manager", "System Manager"), "Head of Delivery"
		case i%5 == 1:
			roles, designation = append(roles, "Sales User"), "Sales Manager"
		case i%5 == 2:
			roles, designation = append(roles, "Support Team"), "Support Engineer"
		case i%5 == 3:
			designation = "Project Manager"
		}
		for _, r := range roles {
			g.s.ensureRole(r)
		}
		g.s.setRoles(user, roles)
		joined := g.start.AddDate(0, 0, -400+g.r.IntN(300))
		if i == n-1 {
			joined = g.end.AddDate(0, 0, -100)
		}
		emp := fmt.Sprintf("HR-EMP-%05d", i+1)
		g.add("Employee", emp, "Administrator", day0, map[string]any{
			"employee_name": first + " " + last, "first_name": first, "last_name": last, "user_id": user, "status": "Active", "company": g.p.Name,
			"date_of_joining": joined.Format(dateLayout), "designation": designation, "employee": emp, "gender": "Other",
		})
	}
	for i, ev := range []string{"ERP consultant course, spring", "Sales induction", "Framework developer course", "ERP consultant course, autumn"} {
		day := workday(g.start.AddDate(0, 0, (i+1)*g.p.Days/6))
		g.add("Training Event", ev, g.people[0], day, map[string]any{
			"event_name": ev, "event_status": "Completed", "type": "Internet", "company": g.p.Name, "start_time": day.Format(dateLayout) + " 09:00:00",
			"end_time": day.AddDate(0, 0, 2).Format(dateLayout) + " 17:00:00", "docstatus": int64(1),
		})
		for k := range min(n, 12) {
			g.child("Training Event Employee", "Training Event", ev, "employees", k+1, day, map[string]any{
				"employee": fmt.Sprintf("HR-EMP-%05d", k+1), "attendance": map[bool]string{true: "Present", false: "Absent"}[!g.chance(0.05)], "status": "Completed", "docstatus": int64(1),
			})
		}
	}
}

func (g *generator) delivery() {
	count := max(3, g.p.Tasks/len(phases))
	for i := range max(2, count*2/3) {
		name := townNames[i%len(townNames)] + " " + tradeNames[(i/len(townNames)+i*5)%len(tradeNames)]
		if i >= len(townNames)*len(tradeNames)/4 {
			name = fmt.Sprintf("%s %d", name, i)
		}
		day := g.at(g.start.AddDate(0, 0, g.r.IntN(20)))
		g.customers = append(g.customers, name)
		g.add("Customer", name, g.pick(g.people), day, map[string]any{"customer_name": name, "customer_type": "Company", "customer_group": "Commercial", "territory": "Germany"})
	}
	task := 0
	for i := range count {
		g.project(i, &task)
	}
}

func (g *generator) project(i int, task *int) {
	span := 120 + g.r.IntN(110)
	offset := g.r.IntN(max(1, g.p.Days-20))
	if i%3 == 0 {
		offset = max(0, g.p.Days-60-g.r.IntN(100)) // some that are surely open
	}
	start := workday(g.start.AddDate(0, 0, offset))
	customer := g.customers[i%len(g.customers)]
	name := fmt.Sprintf("PROJ-%04d", i+1)
	lead := g.pick(g.people)
	mail := strings.ToLower(strings.ReplaceAll(customer, " ", "-")) + ".example"
	finish := start.AddDate(0, 0, span)
	g.projects = append(g.projects, genProject{name: name, customer: customer, mail: mail, start: start, span: span})
	pr := &g.projects[len(g.projects)-1]
	done, total, last := 0, 0, g.at(start)
	created := g.at(start)
	anyOpen := false
	for _, ph := range phases {
		*task++
		total++
		due := workday(start.AddDate(0, 0, int(ph.at*float64(span))))
		owner := g.pick(g.people)
		vals := map[string]any{
			"subject": ph.subject, "project": name, "status": "Open", "priority": []string{"Low", "Medium", "High"}[g.r.IntN(3)],
			"exp_start_date": due.AddDate(0, 0, -3-g.r.IntN(6)).Format(dateLayout), "exp_end_date": due.Format(dateLayout), "company": g.p.Name,
			"is_group": int64(0), "is_template": int64(0), "is_milestone": int64(0), "progress": 0.0,
		}
		if ph.kind != "" {
			vals["type"] = ph.kind
		}
		taskName := fmt.Sprintf("TASK-%d-%05d", g.start.Year(), *task)
		recent := due.After(g.end.AddDate(0, 0, -45))
		switch {
		case !due.Before(g.end.Truncate(24 * time.Hour)):
			g.open++
			anyOpen = true
			if g.chance(0.15) {
				vals["status"], vals["progress"] = "Working", float64(10*g.r.IntN(9))
			}
		case recent && g.chance(g.p.Overdue):
			g.open++
			g.late++
			anyOpen = true
			vals["status"] = "Overdue" // by the daily job: modified does not move
		default:
			when := due.AddDate(0, 0, g.r.IntN(6)-3)
			if when.After(g.end) {
				when = g.end.AddDate(0, 0, -1)
			}
			if when.Before(start) {
				when = start
			}
			at := g.at(when)
			if at.After(g.end) {
				at = g.end
			}
			done++
			last = at
			vals["status"], vals["progress"], vals["completed_on"], vals["completed_by"] = "Completed", 100.0, when.Format(dateLayout), owner
			vals["modified"], vals["modified_by"] = formatTime(at), g.in.str(owner)
			if ph.kind == "Go-live Sign-off" {
				pr.live, pr.golive = true, when
			}
			if strings.HasSuffix(ph.kind, "Sign-off") && !g.chance(g.p.SignOffMissing) {
				g.scan(taskName, ph.kind, owner, at, *task)
			}
		}
		g.add("Task", taskName, owner, created.Add(time.Duration(total)*time.Second), vals)
	}
	status := "Open"
	if !anyOpen {
		status = "Completed"
	}
	g.add("Project", name, lead, created, map[string]any{
		"project_name": customer + " ERP " + name[5:], "status": status, "customer": customer, "project_type": "External", "company": g.p.Name,
		"expected_start_date": start.Format(dateLayout), "expected_end_date": finish.Format(dateLayout), "percent_complete": roundTo(100*float64(done)/float64(total), 2),
		"modified": formatTime(last), "modified_by": lead,
	})
	for k := range 2 {
		g.child("Project User", "Project", name, "users", k+1, created, map[string]any{"user": g.pick(g.people)})
	}
	g.invoices(i, pr)
	if i < 400 {
		g.mails(pr, lead)
	}
}

// scan hangs a signed paper on a sign-off task.
func (g *generator) scan(task, kind, owner string, at time.Time, n int) {
	if g.p.Tasks > 5_000 {
		n %= 8 // large sites share a few papers
	}
	data := simplePDF(fmt.Sprintf("%s signed %d", strings.TrimSuffix(kind, " Sign-off"), n))
	sum := md5.Sum(data)
	hash := hex.EncodeToString(sum[:])
	file := strings.TrimSuffix(kind, " Sign-off") + fmt.Sprintf(" signed %d.pdf", n)
	url := "/private/files/" + file
	g.s.blobs[url] = data
	id := g.s.newHash()
	g.add("File", id, owner, at, map[string]any{
		"file_name": file, "file_url": url, "is_private": int64(1), "attached_to_doctype": "Task", "attached_to_name": task, "content_hash": hash,
		"file_size": int64(len(data)), "file_type": "PDF", "folder": "Home/Attachments",
	})
	g.add("Comment", g.s.newHash(), owner, at, map[string]any{
		"comment_type": "Attachment", "reference_doctype": "Task", "reference_name": task, "content": "<a href='" + url + "' target='_blank'>" + file + "</a>", "comment_email": owner,
	})
}

func (g *generator) invoices(i int, pr *genProject) {
	order := fmt.Sprintf("SAL-ORD-%d-%05d", g.start.Year(), i+1)
	day := pr.start.AddDate(0, 0, -10)
	total := float64(8000 + 500*g.r.IntN(60))
	seller := g.people[min(1, len(g.people)-1)]
	g.add("Sales Order", order, seller, g.at(day), map[string]any{
		"customer": pr.customer, "transaction_date": day.Format(dateLayout), "docstatus": int64(1), "status": "To Bill", "project": pr.name, "company": g.p.Name,
		"grand_total": total, "base_grand_total": total, "currency": "EUR", "order_type": "Sales", "modified": formatTime(g.at(day.AddDate(0, 0, 4))),
	})
	g.child("Sales Order Item", "Sales Order", order, "items", 1, day, map[string]any{"item_code": "ERP project", "item_name": "ERP project", "qty": 1.0, "rate": total, "amount": total, "project": pr.name, "docstatus": int64(1)})
	bill := workday(pr.start.AddDate(0, 0, -3))
	name := fmt.Sprintf("ACC-SINV-%d-%05d", g.start.Year(), i+1)
	g.add("Sales Invoice", name, seller, g.at(bill), map[string]any{
		"customer": pr.customer, "posting_date": bill.Format(dateLayout), "docstatus": int64(1), "status": "Paid", "project": pr.name, "company": g.p.Name,
		"grand_total": total * 0.3, "outstanding_amount": 0.0, "currency": "EUR", "is_return": int64(0), "is_opening": "No", "due_date": bill.AddDate(0, 0, 14).Format(dateLayout),
	})
	g.child("Sales Invoice Item", "Sales Invoice", name, "items", 1, bill, map[string]any{
		"item_code": "ERP project", "item_name": "ERP project", "qty": 1.0, "rate": total * 0.3, "amount": total * 0.3, "sales_order": order, "project": pr.name, "docstatus": int64(1),
	})
	if pr.live {
		at := g.at(pr.golive.AddDate(0, 0, 14))
		if at.Before(g.end) {
			g.add("Customer Survey", fmt.Sprintf("SURV-%05d", i+1), "Administrator", at, map[string]any{"occasion": "Project", "project": pr.name, "answered_on": formatTime(at), "stars": float64(6+g.r.IntN(5)) / 10})
		}
	}
}

// mails are the weekly status of the last twelve weeks.
func (g *generator) mails(pr *genProject, lead string) {
	for w := 12; w >= 1; w-- {
		day := g.end.AddDate(0, 0, -7*w)
		day = day.AddDate(0, 0, int(time.Thursday)-int(day.Weekday()))
		if day.Before(pr.start) || day.After(pr.start.AddDate(0, 0, pr.span)) || day.After(g.end) || g.chance(g.p.Unreported) {
			continue
		}
		at := g.at(day)
		_, week := day.ISOWeek()
		g.add("Communication", g.s.newHash(), lead, at, map[string]any{
			"communication_type": "Communication", "communication_medium": "Email", "sent_or_received": "Sent", "communication_date": formatTime(at.Truncate(time.Second)),
			"subject": fmt.Sprintf("Weekly status CW %d: %s", week, pr.customer), "content": "<p>Done, next and risks.</p>", "sender": lead,
			"recipients": "project@" + pr.mail, "reference_doctype": "Project", "reference_name": pr.name, "email_template": "Weekly Status", "status": "Linked",
		})
	}
}

func (g *generator) support() {
	n := max(20, g.p.Tasks/3)
	limits := map[string][2]int{"Low": {8, 40}, "Medium": {4, 20}, "High": {2, 8}}
	for i := range n {
		// Tickets come evenly over the history, more of them of late.
		share := float64(i) / float64(n)
		opened := g.start.Add(time.Duration(share * float64(g.end.Sub(g.start))))
		opened = time.Date(opened.Year(), opened.Month(), opened.Day(), 8, 0, 0, 0, time.UTC).Add(time.Duration(g.r.IntN(540)) * time.Minute)
		opened = workday(opened)
		if opened.After(g.end) {
			opened = g.end.Add(-time.Hour)
		}
		prio := []string{"Low", "Medium", "Medium", "High"}[g.r.IntN(4)]
		agent := g.people[(2+5*g.r.IntN(max(1, len(g.people)/5)))%len(g.people)]
		pr := g.projects[g.r.IntN(len(g.projects))]
		replyBy, solveBy := businessAdd(opened, time.Duration(limits[prio][0])*time.Hour), businessAdd(opened, time.Duration(limits[prio][1])*time.Hour)
		vals := map[string]any{
			"subject": g.pick(ticketText), "status": "Open", "priority": prio, "customer": pr.customer, "project": pr.name, "company": g.p.Name,
			"opening_date": opened.Format(dateLayout), "opening_time": strings.TrimPrefix(opened.Format("15:04:05"), "0"), "raised_by": "office@" + pr.mail,
			"service_level_agreement": "SLA-Issue-Business hours", "service_level_agreement_creation": formatTime(opened), "response_by": formatTime(replyBy),
			"sla_resolution_by": formatTime(solveBy), "agreement_status": "First Response Due", "naming_series": "ISS-.YYYY.-", "issue_type": "Incident",
		}
		late := g.chance(g.p.SLAMissed)
		reply := businessAdd(opened, time.Duration(10+g.r.IntN(limits[prio][0]*50))*time.Minute)
		solved := businessAdd(opened, time.Duration(60+g.r.IntN(limits[prio][1]*50))*time.Minute)
		if late {
			solved = businessAdd(solveBy, time.Duration(60+g.r.IntN(1200))*time.Minute)
		}
		if reply.Before(g.end) {
			vals["first_responded_on"] = formatTime(reply)
			vals["agreement_status"] = "Resolution Due"
			vals["modified"], vals["modified_by"] = formatTime(g.micro(reply)), agent
		}
		if solved.Before(g.end) {
			vals["status"], vals["sla_resolution_date"] = "Closed", formatTime(solved)
			vals["agreement_status"] = map[bool]string{true: "Failed", false: "Fulfilled"}[solved.After(solveBy)]
			vals["resolution_time"] = solved.Sub(opened).Seconds()
			vals["modified"], vals["modified_by"] = formatTime(g.micro(solved)), agent
		}
		g.add("Issue", fmt.Sprintf("ISS-%d-%05d", g.start.Year(), i+1), agent, opened, vals)
	}
}

func (g *generator) sales() {
	n := max(15, g.p.Tasks/10)
	seller := g.people[min(1, len(g.people)-1)]
	for i := range n {
		day := workday(g.start.Add(time.Duration(float64(i) / float64(n) * float64(g.end.Sub(g.start)))))
		if day.After(g.end) {
			day = g.end
		}
		company := g.pick(townNames) + " " + g.pick(tradeNames)
		at := g.at(day)
		if at.After(g.end) {
			at = g.end
		}
		g.add("Lead", fmt.Sprintf("CRM-LEAD-%d-%05d", g.start.Year(), i+1), seller, at, map[string]any{
			"lead_name": g.pick(firstNames) + " " + g.pick(lastNames), "company_name": company, "status": "Converted", "lead_owner": seller, "qualification_status": "Qualified",
			"qualified_by": seller, "qualified_on": day.AddDate(0, 0, 2).Format(dateLayout),
		})
		customer := g.customers[i%len(g.customers)]
		won := g.chance(0.4)
		status := map[bool]string{true: "Ordered", false: "Lost"}[won]
		if day.After(g.end.AddDate(0, 0, -21)) {
			status = "Open"
		}
		name := fmt.Sprintf("SAL-QTN-%d-%05d", g.start.Year(), i+1)
		closed := g.at(day.AddDate(0, 0, 15))
		if closed.After(g.end) {
			closed = at
		}
		g.add("Quotation", name, seller, at, map[string]any{
			"quotation_to": "Customer", "party_name": customer, "customer_name": customer, "transaction_date": day.Format(dateLayout), "docstatus": int64(1), "status": status,
			"valid_till": day.AddDate(0, 1, 0).Format(dateLayout), "grand_total": float64(9000 + 100*g.r.IntN(200)), "company": g.p.Name, "modified": formatTime(closed),
		})
		if status != "Open" {
			for _, occasion := range []string{"Demo", "Deal"} {
				g.add("Customer Survey", fmt.Sprintf("SURV-%s-%05d", occasion, i+1), "Administrator", closed, map[string]any{"occasion": occasion, "quotation": name, "answered_on": formatTime(closed), "stars": float64(6+g.r.IntN(5)) / 10})
			}
		}
	}
}

// quality is the weekly rhythm: a meeting each Monday and a review per goal,
// with an action where a value was poor.
func (g *generator) quality() {
	boss := g.people[0]
	for _, goal := range goals {
		g.add("Quality Goal", goal.name, boss, g.start, map[string]any{"goal": goal.name, "frequency": "Weekly", "weekday": "Monday"})
		g.child("Quality Goal Objective", "Quality Goal", goal.name, "objectives", 1, g.start, map[string]any{"objective": goal.name, "target": "80"})
	}
	monday := g.start.AddDate(0, 0, (8-int(g.start.Weekday()))%7)
	review, action := 0, 0
	for ; monday.Before(g.end); monday = monday.AddDate(0, 0, 7) {
		if g.chance(g.p.Unreported / 2) {
			continue // no all-hands this week
		}
		at := g.at(monday)
		if at.After(g.end) {
			break
		}
		meeting := "QA-MEET-" + monday.Format("06-01-02")
		g.add("Quality Meeting", meeting, boss, at, map[string]any{"status": "Closed"})
		minute := 0
		for _, goal := range goals {
			if g.chance(g.p.Unreported) {
				continue
			}
			review++
			value, poor := g.reported(goal.metric)
			name := fmt.Sprintf("QA-REV-%05d", review)
			g.add("Quality Review", name, boss, at, map[string]any{"goal": goal.name, "date": monday.Format(dateLayout), "status": map[bool]string{true: "Failed", false: "Passed"}[poor], "modified": formatTime(at.Add(20 * time.Minute))})
			g.child("Quality Review Objective", "Quality Review", name, "reviews", 1, at, map[string]any{
				"objective": goal.name, "target": "80", "review": "<p>" + string(appendFloat(nil, value)) + "</p>", "status": map[bool]string{true: "Failed", false: "Passed"}[poor],
			})
			if !poor || g.chance(g.p.NoAction) {
				continue
			}
			action++
			act := fmt.Sprintf("QA-ACT-%05d", action)
			g.add("Quality Action", act, boss, at, map[string]any{"review": name, "goal": goal.name, "date": monday.AddDate(0, 0, 1).Format(dateLayout), "corrective_preventive": "Corrective", "status": "Completed"})
			g.child("Quality Action Resolution", "Quality Action", act, "resolutions", 1, at, map[string]any{
				"problem": "Two people were on leave in the same week", "resolution": "Deputies are named in the plan", "responsible": boss, "status": "Completed", "completion_by": monday.AddDate(0, 0, 14).Format(dateLayout),
			})
			minute++
			g.child("Quality Meeting Minutes", "Quality Meeting", meeting, "minutes", minute, at, map[string]any{"document_type": "Quality Action", "document_name": act, "minute": "<p>Agreed</p>"})
		}
	}
}

// reported is the value that people type in for a metric.
func (g *generator) reported(metric string) (value float64, poor bool) {
	switch metric {
	case "overdue":
		v := roundTo(100*g.p.Overdue*(0.3+0.5*g.r.Float64()), 1)
		return v, v > 20
	case "sla":
		v := roundTo(100*(1-g.p.SLAMissed*(0.6+0.8*g.r.Float64())), 1)
		return v, v < 90
	case "conversion":
		return roundTo(30+20*g.r.Float64(), 1), false
	}
	v := roundTo(3.9+g.r.Float64(), 1)
	return v, v < 4
}
