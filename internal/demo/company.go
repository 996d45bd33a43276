package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// Company describes one made-up partner: who it is and how it works. Its
// documents follow from it and from the day, so that two runs of one day agree.
type Company struct {
	Key    string
	Name   string
	Zone   string
	Seed   uint64
	Habits Habits
}

// Habits are what tells a good house from a poor one.
type Habits struct {
	Age             int     // weeks of history; 0 means a year
	Projects        int     // customer projects
	OverdueShare    float64 // of the tasks that fell due lately
	TicketsPerWeek  int
	LateTickets     float64 // share resolved after their due time
	SkippedReports  int     // of the last twelve weeks
	SkippedAllHands int
	NoScans         int  // sign-offs without a customer's proof
	LateKickOff     bool // kick-off and hand-over more than a week after invoicing
	NoStatusMails   bool
	Untrained       bool // a salesperson without induction
	NoPreventive    bool // no preventive action in the last quarter
	NoControls      bool
	LostDeals       bool // prospects that bought elsewhere
}

// mailDomain is the company's own.
func (c Company) mailDomain() string { return c.Key + ".example" }

// Documents are a site's records by doctype, as its REST API would answer them.
type Documents map[string][]map[string]any

// year is the writer of one company's history.
type year struct {
	Company
	docs  Documents
	rng   *rand.Rand
	today evidence.Date
	seq   map[string]int
	staff []member
	inv   []string
}

type member struct{ id, first, last, designation, dept string }

func (m member) mail(c Company) string {
	return strings.ToLower(m.first[:1]+"."+m.last) + "@" + c.mailDomain()
}

// customers are enough for the largest house of the demo.
var customers = []string{
	"Blue Heron Foods", "Kestrel Tools", "Marlow & Pine", "Quarry Street Clinic", "Tideline Freight",
	"Osprey Textiles", "Granite Dairy", "Lantern Books", "Redwing Motors", "Saltmarsh Seeds",
	"Juniper Optics", "Fernhill Schools",
}

// prospects asked for an offer and bought elsewhere.
var prospects = []string{"Copper Lane Bakery", "Northgate Clinics", "Silverleaf Paper", "Harbour Cycles", "Maple Street Media", "Orchard Tools"}

var firstNames = []string{"Asha", "Jonas", "Mira", "Tomas", "Leila", "Piet", "Nadia", "Oskar", "Ines", "Ravi"}

// phase is one task of the phase model, by its distance from the first invoice.
type phase struct {
	subject, typ string
	start, due   int // days
	milestone    bool
}

var phases = []phase{
	{"Contract handed over to delivery", "Handover from Sales", 1, 4, false},
	{"Kick-off with the customer", "Kick-off", 3, 6, true},
	{"Project plan shared", "", 6, 10, false},
	{"Interviews in every department", "", 8, 18, false},
	{"Requirements written", "", 14, 24, false},
	{"Requirements accepted", "BRD Sign-off", 24, 28, true},
	{"Accounts and taxes set up", "", 28, 40, false},
	{"Items and prices set up", "", 30, 45, false},
	{"Print formats", "", 40, 52, false},
	{"First data import", "", 45, 58, false},
	{"Interfaces built", "", 48, 66, false},
	{"Reports built", "", 55, 70, false},
	{"Acceptance test run", "", 70, 78, false},
	{"Acceptance test accepted", "UAT Sign-off", 78, 82, true},
	{"Key users trained", "", 82, 90, false},
	{"Training accepted", "Training Sign-off", 90, 92, true},
	{"Final data import", "", 92, 96, false},
	{"Go-live accepted", "Go-live Sign-off", 96, 98, true},
	{"Close care", "", 98, 112, false},
	{"Handed over to support", "Handover to Support", 110, 116, false},
}

// Write makes up the company's documents as they stand on the given civil day
// of its zone. The doctypes are those of ERPNext, plus Weekly Metric and
// Customer Survey, which many partners build themselves.
func (c Company) Write(today evidence.Date) Documents {
	y := &year{
		Company: c, docs: Documents{}, today: today,
		rng: rand.New(rand.NewPCG(c.Seed, uint64(len(c.Key)))), seq: map[string]int{},
	}
	y.people()
	y.masters()
	weeks := c.Habits.Age
	if weeks == 0 {
		weeks = 52
	}
	for i := range c.Habits.Projects {
		// The youngest project is a few weeks old, the oldest almost a year;
		// a little under half of them are past their go-live.
		age := min(30, weeks*7/2) + i*max(weeks*7-40, 0)/max(c.Habits.Projects, 1)
		y.project(i, today.AddDays(-age))
	}
	if weeks >= 52 {
		y.internalProject()
	}
	if c.Habits.LostDeals {
		for i, age := range []int{15, 38, 61, 82, 140, 230} {
			y.sell(prospects[i], "office@"+strings.ToLower(strings.ReplaceAll(prospects[i], " ", ""))+".example", today.AddDays(-age+12), false)
		}
	}
	y.support(weeks)
	y.weekly(weeks)
	return y.docs
}

func (y *year) next(series string) int {
	y.seq[series]++
	return y.seq[series]
}

// stamp is a naive local time of the site at an hour of a day; days in the
// future are cut to today, since no site holds tomorrow's creation.
func (y *year) stamp(d evidence.Date, hour, minute int) string {
	if d.After(y.today) {
		d = y.today
		hour, minute = 0, 5
	}
	if d == y.today && hour > 0 {
		hour, minute = 0, 10
	}
	return fmt.Sprintf("%s %02d:%02d:%02d.%06d", d, hour, minute, 7+y.rng.IntN(50), 1000+y.rng.IntN(990000))
}

func (y *year) add(doctype, name, owner, created, modified string, fields map[string]any) {
	d := map[string]any{
		"doctype": doctype, "name": name, "owner": owner, "creation": created, "modified": modified,
		"modified_by": owner, "docstatus": 0, "idx": 0,
	}
	for k, v := range fields {
		d[k] = v
	}
	y.docs[doctype] = append(y.docs[doctype], d)
}

// rows gives child rows the columns that Frappe keeps in each.
func (y *year) rows(child, parenttype, parent, field, stamp string, rows ...map[string]any) []any {
	out := make([]any, 0, len(rows))
	for i, r := range rows {
		r["doctype"], r["parent"], r["parenttype"], r["parentfield"] = child, parent, parenttype, field
		r["idx"], r["name"] = i+1, fmt.Sprintf("r%08d", y.next("row"))
		r["creation"], r["modified"], r["owner"], r["modified_by"], r["docstatus"] = stamp, stamp, "Administrator", "Administrator", 0
		out = append(out, r)
	}
	return out
}

// masterDay is when the site was set up: before the first work.
func (y *year) masterDay() evidence.Date {
	if y.Habits.Age > 0 {
		return y.today.AddDays(-7 * y.Habits.Age)
	}
	return y.today.AddDays(-400)
}

func (y *year) people() {
	roles := []struct{ designation, dept string }{
		{"Managing Director", "Management"},
		{"Delivery Head", "Delivery"},
		{"Project Manager", "Delivery"},
		{"Consultant", "Delivery"},
		{"Developer", "Delivery"},
		{"Sales Head", "Sales"},
		{"Sales Executive", "Sales"},
		{"Support Engineer", "Support"},
	}
	for i, r := range roles {
		m := member{
			first: firstNames[(i+int(y.Seed))%len(firstNames)], last: []string{"Varga", "Lind", "Okafor", "Brandt", "Rao", "Costa", "Meyer", "Novak"}[i],
			designation: r.designation, dept: r.dept, id: fmt.Sprintf("HR-EMP-%05d", i+1),
		}
		y.staff = append(y.staff, m)
		at := y.stamp(y.masterDay(), 9, i)
		y.add("Employee", m.id, "Administrator", at, at, map[string]any{
			"employee": m.id, "first_name": m.first, "last_name": m.last, "employee_name": m.first + " " + m.last,
			"user_id": m.mail(y.Company), "date_of_joining": y.today.AddDays(-700 + 20*i).String(), "status": "Active",
			"designation": m.designation, "department": m.dept, "company": y.Name, "gender": "Prefer not to say",
			"date_of_birth": "1990-04-01",
		})
	}
	y.training("ERP consultant course", y.masterDay().AddDays(4), y.staff[2], y.staff[3], y.staff[4])
	if !y.Habits.Untrained {
		y.training("Sales induction", y.masterDay().AddDays(5), y.staff[5], y.staff[6])
	}
}

func (y *year) training(title string, day evidence.Date, present ...member) {
	at := y.stamp(day, 17, 0)
	var rows []map[string]any
	for _, m := range present {
		rows = append(rows, map[string]any{"employee": m.id, "employee_name": m.first + " " + m.last, "attendance": "Present", "status": "Completed", "is_mandatory": 1})
	}
	name := title + " " + day.String()[:4]
	y.add("Training Event", name, y.staff0(), at, at, map[string]any{
		"event_name": name, "event_status": "Completed", "type": "Workshop", "location": "Head office", "docstatus": 1, "company": y.Name,
		"start_time": y.plain(day.AddDays(-2), 9), "end_time": y.plain(day, 16), "introduction": "<p>Three days.</p>",
		"employees": y.rows("Training Event Employee", "Training Event", name, "employees", at, rows...),
	})
}

func (y *year) staff0() string { return y.staff[0].mail(y.Company) }
func (y *year) pm() string     { return y.staff[2].mail(y.Company) }
func (y *year) sales() string  { return y.staff[6].mail(y.Company) }
func (y *year) agent() string  { return y.staff[7].mail(y.Company) }

func (y *year) plain(d evidence.Date, hour int) string { return fmt.Sprintf("%s %02d:00:00", d, hour) }

func (y *year) masters() {
	at := y.stamp(y.masterDay(), 10, 0)
	y.add("Company", y.Name, "Administrator", at, at, map[string]any{
		"company_name": y.Name, "abbr": strings.ToUpper(y.Key[:3]), "default_currency": "EUR", "country": "Germany", "default_holiday_list": "Working days",
	})
	var days []map[string]any
	for d := y.masterDay(); !d.After(y.today.AddDays(120)); d = d.AddDays(1) {
		if wd := d.Weekday(); wd == time.Saturday || wd == time.Sunday {
			days = append(days, map[string]any{"holiday_date": d.String(), "description": "Weekend", "weekly_off": 1})
		}
	}
	y.add("Holiday List", "Working days", "Administrator", at, at, map[string]any{
		"holiday_list_name": "Working days", "from_date": y.masterDay().String(), "to_date": y.today.AddDays(120).String(), "total_holidays": len(days),
		"holidays": y.rows("Holiday", "Holiday List", "Working days", "holidays", at, days...),
	})
	var hours []map[string]any
	for _, d := range []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"} {
		hours = append(hours, map[string]any{"workday": d, "start_time": "9:00:00", "end_time": "18:00:00"})
	}
	sla := func(name, doctype string, response, resolution int) {
		y.add("Service Level Agreement", name, "Administrator", at, at, map[string]any{
			"service_level": name, "document_type": doctype, "enabled": 1, "default_service_level_agreement": 1, "default_priority": "Medium",
			"apply_sla_for_resolution": 1, "holiday_list": "Working days",
			"support_and_resolution": y.rows("Service Day", "Service Level Agreement", name, "support_and_resolution", at, clone(hours)...),
			"priorities": y.rows("Service Level Priority", "Service Level Agreement", name, "priorities", at,
				map[string]any{"priority": "High", "default_priority": 0, "response_time": response / 2, "resolution_time": resolution / 2},
				map[string]any{"priority": "Medium", "default_priority": 1, "response_time": response, "resolution_time": resolution}),
		})
	}
	y.add("Support Settings", "Support Settings", "Administrator", at, at, map[string]any{"track_service_level_agreement": 1, "close_issue_after_days": 7})
	sla("SLA-Issue-Office hours", "Issue", 2*3600, 18*3600)
	if !y.Habits.NoControls {
		sla("SLA-Lead-Office hours", "Lead", 8*3600, 0)
		rule := func(name, doctype string) {
			y.add("Assignment Rule", name, "Administrator", at, at, map[string]any{"document_type": doctype, "disabled": 0, "assign_condition": "status == 'Open'", "priority": 0, "rule": "Round Robin"})
		}
		rule("Tickets to the desk", "Issue")
		rule("Leads to sales", "Lead")
		note := func(name, doctype, event string) {
			y.add("Notification", name, "Administrator", at, at, map[string]any{
				"document_type": doctype, "enabled": 1, "is_standard": 0, "event": event, "channel": "System Notification", "subject": name,
				"date_changed": "exp_end_date", "days_in_advance": 1,
			})
		}
		note("Task overdue", "Task", "Days After")
		note("Lead unanswered", "Lead", "Days After")
		note("Ticket overdue", "Issue", "Days After")
	}
	for _, p := range []struct{ name, owner string }{
		{"How we sell", y.staff[5].mail(y.Company)}, {"How we deliver", y.staff[1].mail(y.Company)}, {"How we support", y.agent()},
	} {
		y.add("Quality Procedure", p.name, y.staff0(), at, at, map[string]any{
			"quality_procedure_name": p.name, "process_owner": p.owner, "is_group": 0,
			"processes": y.rows("Quality Procedure Process", "Quality Procedure", p.name, "processes", at,
				map[string]any{"process_description": "<p>What starts it, who does it, what it leaves behind.</p>"},
				map[string]any{"process_description": "<p>How a departure is noticed.</p>"}),
		})
	}
	for _, d := range []struct{ name, chart, doctype string }{
		{"Pipeline", "Offers per week", "Quotation"}, {"Delivery", "Tasks due per week", "Task"}, {"Service", "Tickets per week", "Issue"},
	} {
		y.add("Dashboard Chart", d.chart, y.staff0(), at, at, map[string]any{
			"chart_name": d.chart, "chart_type": "Count", "document_type": d.doctype, "based_on": "creation", "timeseries": 1,
			"timespan": "Last Quarter", "time_interval": "Weekly", "filters_json": "[]", "type": "Bar", "is_public": 1,
		})
		y.add("Dashboard", d.name, y.staff0(), at, at, map[string]any{
			"dashboard_name": d.name, "is_standard": 0, "is_default": 0,
			"charts": y.rows("Dashboard Chart Link", "Dashboard", d.name, "charts", at, map[string]any{"chart": d.chart, "width": "Full"}),
		})
	}
	var rows []map[string]any
	for _, p := range phases {
		name := fmt.Sprintf("TASK-2025-%05d", y.next("TASK"))
		y.add("Task", name, "Administrator", at, at, map[string]any{"subject": p.subject, "type": p.typ, "status": "Template", "is_template": 1, "is_group": 0, "is_milestone": b2i(p.milestone)})
		rows = append(rows, map[string]any{"task": name, "subject": p.subject})
	}
	y.add("Project Template", "Phase model", "Administrator", at, at, map[string]any{"tasks": y.rows("Project Template Task", "Project Template", "Phase model", "tasks", at, rows...)})
	for _, t := range []string{"Handover from Sales", "Kick-off", "BRD Sign-off", "UAT Sign-off", "Training Sign-off", "Go-live Sign-off", "Handover to Support", "Scope Change Sign-off", "Schedule Change Sign-off"} {
		y.add("Task Type", t, "Administrator", at, at, map[string]any{"weight": 0})
	}
	for _, g := range []struct{ goal, target string }{{"Satisfied project customers", ">= 4"}, {"Go-live to support, days", "<= 30"}, {"Joining to ready, days", "<= 60"}} {
		y.add("Quality Goal", g.goal, y.staff0(), at, at, map[string]any{
			"goal": g.goal, "frequency": "Monthly", "date": "1",
			"objectives": y.rows("Quality Goal Objective", "Quality Goal", g.goal, "objectives", at, map[string]any{"objective": g.goal, "target": g.target}),
		})
	}
}

func clone(rows []map[string]any) []map[string]any {
	out := make([]map[string]any, len(rows))
	for i, r := range rows {
		out[i] = map[string]any{}
		for k, v := range r {
			out[i][k] = v
		}
	}
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
