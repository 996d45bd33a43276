package partnersite

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// house adds what the partner has set up: procedures, dashboards, agreements,
// calendars and what shows departures while they happen.
func (s *site) house(snap *evidence.Snapshot) {
	s.procedures(snap)
	s.dashboards(snap)
	s.agreements(snap)
	s.calendars(snap)
	s.controls(snap)
}

// watched says whose work a doctype holds.
var watched = map[string]evidence.Department{
	doctypeLead: evidence.Sales, "Opportunity": evidence.Sales, doctypeQuote: evidence.Sales, doctypeOrder: evidence.Sales,
	doctypeCRMLead: evidence.Sales, "CRM Deal": evidence.Sales, "Prospect": evidence.Sales,
	doctypeProject: evidence.Implementation, doctypeTask: evidence.Implementation, "Timesheet": evidence.Implementation,
	"Project Update": evidence.Implementation,
	doctypeIssue:     evidence.Support, doctypeHDTicket: evidence.Support, "Warranty Claim": evidence.Support,
}

func departmentOf(doctype string) evidence.Department {
	return cmp.Or(watched[doctype], evidence.General)
}

var procedureKinds = []struct {
	kind config.Kind
	is   evidence.Department
}{
	{config.KindSalesProcedure, evidence.Sales},
	{config.KindImplementationProcedure, evidence.Implementation},
	{config.KindSupportProcedure, evidence.Support},
}

func (s *site) procedures(snap *evidence.Snapshot) {
	done := map[owner]bool{}
	add := func(r *record, dept evidence.Department, rule *config.Rule) {
		done[owner{r.Doctype, r.Name}] = true
		p := evidence.Procedure{
			Ref: r.Ref, Department: dept,
			Title: cmp.Or(r.plain("quality_procedure_name"), r.plain(cmp.Or(rule.Fields["title"], "title")), r.plain("file_name"), r.Name),
			Owner: cmp.Or(r.str("process_owner"), r.str(cmp.Or(rule.Fields["owner"], "owner"))),
		}
		if r.Doctype == "Quality Procedure" {
			p.Owner = r.str("process_owner")
			for _, w := range r.rows("processes") {
				if w.plain("process_description") != "" || w.str("procedure") != "" {
					p.Steps++
				}
			}
		} else {
			p.Steps = 1 // a page or a file: it is there, its steps cannot be counted
		}
		snap.Procedures = append(snap.Procedures, p)
	}
	for _, k := range procedureKinds {
		for _, f := range s.findAll(k.kind) {
			add(f.record, k.is, f.rule)
		}
	}
	docs := s.docs["Quality Procedure"]
	for i := range docs {
		if r := &docs[i]; !done[owner{r.Doctype, r.Name}] {
			add(r, evidence.General, &config.Rule{})
		}
	}
}

var dashboardKinds = []struct {
	kind config.Kind
	is   evidence.Department
}{
	{config.KindImplementationDashboard, evidence.Implementation},
	{config.KindSalesDashboard, evidence.Sales},
	{config.KindSupportDashboard, evidence.Support},
}

func (s *site) dashboards(snap *evidence.Snapshot) {
	mapped := map[owner][]evidence.Department{}
	var others []*record
	for _, k := range dashboardKinds {
		for _, f := range s.findAll(k.kind) {
			on := owner{f.Doctype, f.Name}
			if mapped[on] == nil && !slices.Contains(stockDashboards, f.Doctype) {
				others = append(others, f.record)
			}
			mapped[on] = append(mapped[on], k.is)
		}
	}
	add := func(r *record) {
		d := evidence.Dashboard{
			Ref: r.Ref, Title: cmp.Or(r.plain("dashboard_name"), r.plain("title"), r.plain("label"), r.Name), Standard: r.flag("is_standard"),
			Departments: slices.Clone(mapped[owner{r.Doctype, r.Name}]),
		}
		for _, w := range r.tableOf("charts") {
			d.Charts++
			if c := s.find("Dashboard Chart", w.str("chart")); c != nil {
				if dept, ok := watched[c.str("document_type")]; ok {
					d.Departments = append(d.Departments, dept)
				}
			}
		}
		for _, w := range r.tableOf("cards") {
			d.Charts++
			if c := s.find("Number Card", w.str("card")); c != nil {
				if dept, ok := watched[c.str("document_type")]; ok {
					d.Departments = append(d.Departments, dept)
				}
			}
		}
		slices.Sort(d.Departments)
		if d.Departments = slices.Compact(d.Departments); len(d.Departments) == 0 {
			d.Departments = nil
		}
		snap.Dashboards = append(snap.Dashboards, d)
	}
	for _, doctype := range stockDashboards {
		docs := s.docs[doctype]
		for i := range docs {
			add(&docs[i])
		}
	}
	for _, r := range others {
		add(r)
	}
}

var stockDashboards = []string{"Dashboard", "Insights Dashboard", "Insights Dashboard v3"}

// agreementFields are the names under which the three kinds of agreement keep
// the same thing.
var agreementFields = []struct {
	doctype, governs, field, byDefault, hours, response string
}{
	{"Service Level Agreement", doctypeIssue, "document_type", "default_service_level_agreement", "support_and_resolution", "response_time"},
	{"HD Service Level Agreement", doctypeHDTicket, "", "default_sla", "support_and_resolution", "response_time"},
	{"CRM Service Level Agreement", doctypeCRMLead, "apply_on", "default", "working_hours", "first_response_time"},
}

func (s *site) agreements(snap *evidence.Snapshot) {
	for _, k := range agreementFields {
		docs := s.docs[k.doctype]
		for i := range docs {
			r := &docs[i]
			a := evidence.Agreement{
				Ref: r.Ref, Doctype: k.governs, Enabled: r.flag("enabled"), Default: r.flag(k.byDefault), HolidayList: r.str("holiday_list"),
			}
			if k.field != "" {
				a.Doctype = cmp.Or(r.str(k.field), k.governs)
			}
			for _, w := range r.rows(k.hours) {
				day := slices.IndexFunc(weekdays, func(d string) bool { return strings.EqualFold(d, w.str("workday")) })
				from, ok1 := minutes(w.str("start_time"))
				to, ok2 := minutes(w.str("end_time"))
				if day < 0 || !ok1 || !ok2 || to <= from {
					w.drift("workday")
					continue
				}
				a.Hours[day] = append(a.Hours[day], evidence.Hours{From: from, To: to})
			}
			for d := range a.Hours {
				slices.SortFunc(a.Hours[d], func(x, y evidence.Hours) int { return cmp.Or(x.From-y.From, x.To-y.To) })
			}
			for _, w := range r.rows("priorities") {
				response, ok := w.num(k.response)
				if !ok {
					response, _ = w.num("response_time")
				}
				p := evidence.AgreementPriority{Priority: w.str("priority"), Response: seconds(response)}
				if resolve := r.value("apply_sla_for_resolution"); resolve == nil || r.flag("apply_sla_for_resolution") {
					resolution, _ := w.num("resolution_time")
					p.Resolution = seconds(resolution)
				}
				a.Priorities = append(a.Priorities, p)
			}
			slices.SortStableFunc(a.Priorities, func(x, y evidence.AgreementPriority) int { return cmp.Compare(x.Priority, y.Priority) })
			snap.Agreements = append(snap.Agreements, a)
		}
	}
}

var weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

func seconds(n float64) time.Duration {
	if n <= 0 || n > 1e9 {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

// minutes reads a Frappe Time ("8:00:00") as minutes from midnight. 23:59:59 is
// how sites write the end of the day.
func minutes(clock string) (int, bool) {
	d, err := frappe.ParseClock(clock)
	if err != nil {
		return 0, false
	}
	if d >= 24*time.Hour-time.Second {
		return 24 * 60, true
	}
	return int(d / time.Minute), true
}

func (s *site) calendars(snap *evidence.Snapshot) {
	own := map[string]bool{}
	companies := s.docs["Company"]
	for i := range companies {
		own[companies[i].str("default_holiday_list")] = true
	}
	for _, k := range []struct{ doctype, field string }{
		{"Holiday List", "holiday_date"}, {"HD Service Holiday List", "holiday_date"}, {"CRM Holiday List", "date"},
	} {
		docs := s.docs[k.doctype]
		for i := range docs {
			r := &docs[i]
			c := evidence.Calendar{
				Ref: r.Ref, From: r.date("from_date"), To: r.date("to_date"), Default: k.doctype == "Holiday List" && own[r.Name],
			}
			for _, w := range r.rows("holidays") {
				if d := w.date(k.field); !d.IsZero() {
					c.Holidays = append(c.Holidays, d)
				}
			}
			slices.SortFunc(c.Holidays, evidence.Date.Compare)
			c.Holidays = slices.Compact(c.Holidays)
			snap.Calendars = append(snap.Calendars, c)
		}
	}
}

// controls adds what is switched on and was set up by the partner: what every
// site ships with proves nothing, and an agreement is idle while the site does
// not track agreements.
func (s *site) controls(snap *evidence.Snapshot) {
	tracking := true
	settings := s.docs["Support Settings"]
	for i := range settings {
		if settings[i].value("track_service_level_agreement") != nil {
			tracking = settings[i].flag("track_service_level_agreement")
		}
	}
	add := func(r *record, kind, on string) {
		snap.Controls = append(snap.Controls, evidence.Control{Ref: r.Ref, Kind: kind, On: on, Department: departmentOf(on), Enabled: true})
	}
	for _, k := range agreementFields {
		docs := s.docs[k.doctype]
		for i := range docs {
			r := &docs[i]
			on := k.governs
			if k.field != "" {
				on = cmp.Or(r.str(k.field), k.governs)
			}
			if r.flag("enabled") && (tracking || k.doctype != "Service Level Agreement") {
				add(r, "Service Level Agreement", on)
			}
		}
	}
	rules := s.docs["Assignment Rule"]
	for i := range rules {
		if r := &rules[i]; !r.flag("disabled") {
			add(r, "Assignment Rule", r.str("document_type"))
		}
	}
	notes := s.docs["Notification"]
	for i := range notes {
		if r := &notes[i]; r.flag("enabled") && !r.flag("is_standard") {
			add(r, "Notification", r.str("document_type"))
		}
	}
}
