package demo

import (
	"crypto/md5" //nolint:gosec // Frappe names attachments by MD5; nothing is secured by it
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// project writes one customer's way from lead to support. inv is the day of
// the first invoice, from which every phase is counted.
func (y *year) project(i int, inv evidence.Date) {
	customer := customers[i%len(customers)]
	if i >= len(customers) {
		customer = fmt.Sprintf("%s %d", customer, i/len(customers)+1)
	}
	domain := strings.ToLower(strings.NewReplacer(" ", "", "&", "and").Replace(customer)) + ".example"
	contact := "office@" + domain
	order := y.sell(customer, contact, inv, true)
	y.inv = append(y.inv, customer)

	name := fmt.Sprintf("PROJ-%04d", y.next("PROJ"))
	made := y.stamp(inv, 10, 0)
	at := y.stamp(inv, 12, 0)
	sinv := fmt.Sprintf("ACC-SINV-%d-%05d", inv.Year, y.next("SINV"))
	y.add("Sales Invoice", sinv, y.sales(), at, at, map[string]any{
		"customer": customer, "posting_date": inv.String(), "docstatus": 1, "is_return": 0, "is_opening": "No", "status": "Paid", "project": name,
		"company": y.Name, "grand_total": 14400.0, "currency": "EUR", "due_date": inv.AddDays(30).String(),
		"items": y.rows("Sales Invoice Item", "Sales Invoice", sinv, "items", at, map[string]any{"item_code": "ERP project", "qty": 1.0, "rate": 14400.0, "amount": 14400.0, "sales_order": order, "project": name}),
	})

	age := y.today.DaysSince(inv)
	slip := 0
	if y.Habits.LateKickOff {
		slip = 9
	}
	done, open, last := 0, 0, inv
	live := evidence.Date{}
	for k, p := range phases {
		due := inv.AddDays(p.due)
		finished := inv.AddDays(p.due - 1)
		if p.typ == "Kick-off" || p.typ == "Handover from Sales" {
			finished = finished.AddDays(slip)
		}
		status, completed := "Open", evidence.Date{}
		switch {
		case !finished.After(y.today.AddDays(-1)):
			// What fell due in the last five weeks may have been left lying, but
			// never the stages that later work rests on.
			recent := y.today.DaysSince(due) < 35
			if recent && p.typ == "" && y.rng.Float64() < y.Habits.OverdueShare {
				status = "Overdue"
			} else {
				status, completed = "Completed", finished
			}
		case !inv.AddDays(p.start).After(y.today):
			status = "Working"
		}
		if age > 150 { // long over: a house tidies up
			status, completed = "Completed", finished
		}
		task := fmt.Sprintf("TASK-%d-%05d", inv.Year, y.next("TASK"))
		created := y.stamp(inv, 10, k)
		modified := created
		if !completed.IsZero() {
			modified = y.stamp(completed, 16, 45)
			done++
			if completed.After(last) {
				last = completed
			}
		} else {
			open++
		}
		f := map[string]any{
			"subject": p.subject, "project": name, "type": p.typ, "status": status, "is_group": 0, "is_template": 0, "is_milestone": b2i(p.milestone),
			"template_task": fmt.Sprintf("TASK-2025-%05d", k+1), "exp_start_date": inv.AddDays(p.start).String(), "exp_end_date": due.String(),
			"priority": "Medium", "company": y.Name, "depends_on": []any{}, "_assign": fmt.Sprintf("[%q]", y.pm()),
		}
		if !completed.IsZero() {
			f["completed_on"], f["completed_by"], f["progress"] = completed.String(), y.pm(), 100.0
		}
		y.add("Task", task, y.pm(), created, modified, f)
		if strings.HasSuffix(p.typ, "Sign-off") && !completed.IsZero() {
			if p.typ == "Go-live Sign-off" {
				live = completed
			}
			if y.Habits.NoScans > 0 && p.typ != "BRD Sign-off" && age < 150 {
				y.Habits.NoScans--
			} else {
				kind := strings.TrimSuffix(p.typ, " Sign-off")
				y.file("Task", task, fmt.Sprintf("%s signed %s.pdf", kind, name), completed, 15)
			}
		}
	}
	status := "Open"
	if open == 0 {
		status = "Completed"
	}
	y.add("Project", name, y.pm(), made, y.stamp(last, 17, 0), map[string]any{
		"project_name": customer + " rollout", "status": status, "customer": customer, "project_type": "External", "project_template": "Phase model",
		"sales_order": order, "expected_start_date": inv.String(), "expected_end_date": inv.AddDays(116).String(), "company": y.Name, "is_active": "Yes",
		"percent_complete": 100 * float64(done) / float64(done+open), "percent_complete_method": "Task Completion",
		"users": y.rows("Project User", "Project", name, "users", made, map[string]any{"user": y.pm()}, map[string]any{"user": y.staff[4].mail(y.Company)}),
	})
	y.file("Project", name, "Project plan "+name+".pdf", inv.AddDays(min(8, max(age-1, 0))), 11)
	y.plan(name, customer, contact, inv.AddDays(min(9, max(age-1, 0))))
	y.kickOff(name, customer, contact, inv.AddDays(5+slip))
	end := y.today.AddDays(-1)
	if !live.IsZero() && live.Before(end) {
		end = live
	}
	if !y.Habits.NoStatusMails {
		y.statusMails(name, customer, contact, inv.AddDays(5), end)
	}
	y.steering(name, customer, contact, inv, end)
	y.surveys(name, customer, inv, end)
	y.projectUpdates(name, inv, end)
}

// sell writes the lead, the offer and, for a won deal, the order.
func (y *year) sell(customer, contact string, inv evidence.Date, won bool) string {
	lead := fmt.Sprintf("CRM-LEAD-%d-%05d", inv.Year, y.next("LEAD"))
	first := inv.AddDays(-45)
	if y.Habits.Age > 0 { // a young house sells fast
		first = inv.AddDays(-9)
	}
	day := func(n int) evidence.Date { // of the 45, in the time there was
		return first.AddDays(n * inv.DaysSince(first) / 45)
	}
	at := y.stamp(first, 10, 0)
	y.add("Lead", lead, y.sales(), at, y.stamp(day(9), 15, 0), map[string]any{
		"lead_name": "Office of " + customer, "first_name": "Office", "company_name": customer, "email_id": contact, "lead_owner": y.sales(),
		"status": "Converted", "qualification_status": "Qualified", "qualified_by": y.sales(), "qualified_on": day(8).String(), "title": customer,
		"custom_bant_budget": "Approved for this year", "custom_bant_authority": "Managing director", "custom_bant_need": "One system for stock and books",
		"custom_bant_timing": "Within six months", "company": y.Name,
	})
	y.mail("Lead", lead, "Received", contact, y.sales(), "We are looking for an ERP", "", first, 10)
	y.mail("Lead", lead, "Sent", y.sales(), contact, "Re: We are looking for an ERP", "", first, 13)

	offer := day(20)
	qtn := fmt.Sprintf("SAL-QTN-%d-%05d", offer.Year, y.next("QTN"))
	at = y.stamp(offer, 11, 0)
	status := "Ordered"
	if !won {
		status = "Lost"
	}
	y.file("Quotation", qtn, "Scope of "+customer+".pdf", offer.AddDays(-1), 16)
	y.add("Quotation", qtn, y.sales(), at, y.stamp(day(33), 12, 0), map[string]any{
		"quotation_to": "Lead", "party_name": lead, "customer_name": customer, "transaction_date": offer.String(), "valid_till": offer.AddDays(30).String(),
		"status": status, "docstatus": 1, "company": y.Name, "currency": "EUR", "grand_total": 48000.0, "order_type": "Sales",
		"custom_estimate_url": "https://estimator.example/e/" + strings.ToLower(qtn),
		"items":               y.rows("Quotation Item", "Quotation", qtn, "items", at, map[string]any{"item_code": "ERP project", "qty": 1.0, "rate": 48000.0, "amount": 48000.0}),
	})
	y.survey("Demo", "", customer, qtn, offer.AddDays(1), 0.8+0.2*float64(y.rng.IntN(2)))
	decided := day(33)
	y.survey("Deal", "", customer, qtn, decided.AddDays(2), 0.8+0.2*float64(y.rng.IntN(2)))
	if !won {
		return ""
	}
	order := fmt.Sprintf("SAL-ORD-%d-%05d", decided.Year, y.next("ORD"))
	at = y.stamp(decided, 12, 0)
	y.add("Customer", customer, y.sales(), at, at, map[string]any{"customer_name": customer, "customer_type": "Company", "customer_group": "Commercial", "territory": "All Territories", "lead_name": lead})
	person := "Office of " + customer
	y.add("Contact", person, y.sales(), at, at, map[string]any{
		"first_name": "Office of " + customer, "full_name": person, "email_id": contact, "company_name": customer, "status": "Passive",
		"email_ids": y.rows("Contact Email", "Contact", person, "email_ids", at, map[string]any{"email_id": contact, "is_primary": 1}),
		"links":     y.rows("Dynamic Link", "Contact", person, "links", at, map[string]any{"link_doctype": "Customer", "link_name": customer, "link_title": customer}),
	})
	y.add("Sales Order", order, y.sales(), at, at, map[string]any{
		"customer": customer, "customer_name": customer, "transaction_date": decided.String(), "delivery_date": decided.AddDays(150).String(), "docstatus": 1,
		"status": "To Deliver and Bill", "company": y.Name, "currency": "EUR", "grand_total": 48000.0, "order_type": "Sales",
		"items": y.rows("Sales Order Item", "Sales Order", order, "items", at, map[string]any{"item_code": "ERP project", "qty": 1.0, "rate": 48000.0, "amount": 48000.0, "prevdoc_docname": qtn}),
		"payment_schedule": y.rows("Payment Schedule", "Sales Order", order, "payment_schedule", at,
			map[string]any{"due_date": inv.AddDays(30).String(), "invoice_portion": 30.0, "payment_amount": 14400.0},
			map[string]any{"due_date": inv.AddDays(120).String(), "invoice_portion": 70.0, "payment_amount": 33600.0}),
	})
	return order
}

func (y *year) file(doctype, name, fileName string, day evidence.Date, hour int) {
	sum := md5.Sum([]byte(y.Key + fileName)) //nolint:gosec // see the import
	at := y.stamp(day, hour, 30)
	y.add("File", fmt.Sprintf("%010x", y.rng.Uint64()&0xffffffffff), y.pm(), at, at, map[string]any{
		"file_name": fileName, "file_url": "/private/files/" + fileName, "attached_to_doctype": doctype, "attached_to_name": name,
		"content_hash": hex.EncodeToString(sum[:]), "is_private": 1, "is_folder": 0, "file_size": 607, "file_type": "PDF", "folder": "Home/Attachments",
	})
}

func (y *year) mail(doctype, name, direction, from, to, subject, template string, day evidence.Date, hour int) {
	at := fmt.Sprintf("%s %02d:25:00", day, hour)
	y.add("Communication", fmt.Sprintf("c%09x", y.rng.Uint64()&0xfffffffff), "Administrator", at, at, map[string]any{
		"communication_type": "Communication", "communication_medium": "Email", "sent_or_received": direction, "sender": from, "recipients": to,
		"communication_date": at, "subject": subject, "reference_doctype": doctype, "reference_name": name, "email_template": template,
		"status": "Linked", "email_status": "Open", "content": "<p>" + subject + "</p>",
	})
}

func (y *year) event(subject, project, customer, contact string, day evidence.Date, hour int) {
	if day.After(y.today) {
		return
	}
	name := fmt.Sprintf("EV%05d", y.next("EV"))
	at := y.stamp(day.AddDays(-3), 9, 0)
	y.add("Event", name, y.pm(), at, at, map[string]any{
		"subject": subject, "event_category": "Meeting", "event_type": "Public", "status": "Closed", "starts_on": y.plain(day, hour), "ends_on": y.plain(day, hour+1),
		"event_participants": y.rows("Event Participants", "Event", name, "event_participants", at,
			map[string]any{"reference_doctype": "Project", "reference_docname": project},
			map[string]any{"reference_doctype": "Customer", "reference_docname": customer, "email": contact}),
	})
}

func (y *year) kickOff(project, customer, contact string, day evidence.Date) {
	y.event("Kick-off "+customer, project, customer, contact, day, 10)
}

func (y *year) plan(project, customer, contact string, day evidence.Date) {
	y.mail("Project", project, "Sent", y.pm(), contact, "Project plan for "+customer, "", day, 9)
}

func (y *year) statusMails(project, customer, contact string, from, to evidence.Date) {
	for w := from.Week().Add(1); w.Sunday().Before(to) || w.Sunday() == to; w = w.Add(1) {
		y.mail("Project", project, "Sent", y.pm(), contact, fmt.Sprintf("Weekly status CW %d: %s", w.Number, customer), "Weekly Status", w.Monday().AddDays(3), 16)
	}
}

func (y *year) steering(project, customer, contact string, from, to evidence.Date) {
	for m := from.YearMonth(); !m.First().After(to); m = m.Add(1) {
		day := m.First().AddDays(17)
		for day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			day = day.AddDays(1)
		}
		if !day.Before(from) && !day.After(to) {
			y.event("Steering group "+customer, project, customer, contact, day, 14)
		}
	}
}

func (y *year) survey(occasion, project, customer, quotation string, day evidence.Date, stars float64) {
	if day.After(y.today) {
		return
	}
	at := y.stamp(day, 15, 0)
	y.add("Customer Survey", fmt.Sprintf("SUR-%04d", y.next("SUR")), "Administrator", at, at, map[string]any{
		"occasion": occasion, "project": project, "company_name": customer, "quotation": quotation, "answered_on": day.String(), "stars": stars,
	})
}

func (y *year) surveys(project, customer string, from, to evidence.Date) {
	for m := from.YearMonth().Add(1); m.Last().Before(to); m = m.Add(1) {
		stars := 0.8 + 0.2*float64(y.rng.IntN(2))
		y.survey("Project", project, customer, "", m.Last().AddDays(-4), stars)
	}
}

func (y *year) projectUpdates(project string, from, to evidence.Date) {
	for d := from.AddDays(14); d.Before(to); d = d.AddDays(28) {
		name := fmt.Sprintf("PROJ-UPD-%05d", y.next("UPD"))
		at := y.stamp(d, 17, 0)
		y.add("Project Update", name, y.pm(), at, at, map[string]any{"project": project, "date": d.String(), "sent": 1})
	}
}

func (y *year) internalProject() {
	at := y.stamp(y.today.AddDays(-90), 9, 0)
	name := fmt.Sprintf("PROJ-%04d", y.next("PROJ"))
	y.add("Project", name, y.pm(), at, at, map[string]any{"project_name": "New website", "status": "Open", "project_type": "Internal", "company": y.Name, "is_active": "Yes", "users": []any{}})
	y.add("Task", fmt.Sprintf("TASK-%d-%05d", y.today.Year, y.next("TASK")), y.pm(), at, at, map[string]any{
		"subject": "Choose photographs", "project": name, "status": "Overdue", "exp_end_date": y.today.AddDays(-30).String(), "is_group": 0, "is_template": 0, "depends_on": []any{},
	})
}

// support writes the tickets of customers, most of them solved in time.
func (y *year) support(weeks int) {
	if len(y.inv) == 0 {
		return
	}
	first := y.today.Week().Add(-weeks)
	for w := first; w.Compare(y.today.Week()) <= 0; w = w.Add(1) {
		for k := range y.Habits.TicketsPerWeek {
			day := w.Monday().AddDays(k % 5)
			if !day.Before(y.today) {
				continue
			}
			y.ticket(day, 9+k%7, y.inv[y.rng.IntN(len(y.inv))], y.rng.Float64() < y.Habits.LateTickets)
		}
	}
}

func (y *year) ticket(day evidence.Date, hour int, customer string, late bool) {
	name := fmt.Sprintf("ISS-%d-%05d", day.Year, y.next("ISS"))
	opened := fmt.Sprintf("%s %02d:05:00", day, hour)
	due := addWorkdays(day, 2) // 18 business hours of nine a day
	reply, resolvedDay, resolvedHour := hour+1, addWorkdays(day, 1), hour
	if late {
		resolvedDay, resolvedHour = addWorkdays(day, 4), hour
	}
	f := map[string]any{
		"subject":  []string{"Invoice shows the wrong address", "Stock report is slow", "Cannot submit an order", "New user needed", "Label prints twice"}[y.rng.IntN(5)],
		"customer": customer, "status": "Open", "priority": "Medium", "issue_type": "Incident", "opening_date": day.String(), "opening_time": fmt.Sprintf("%d:05:00", hour),
		"company": y.Name, "service_level_agreement": "SLA-Issue-Office hours", "service_level_agreement_creation": opened,
		"response_by": fmt.Sprintf("%s %02d:05:00", day, hour+2), "sla_resolution_by": fmt.Sprintf("%s %02d:05:00", due, hour),
		"agreement_status": "First Response Due", "raised_by": "office@customer.example", "_assign": fmt.Sprintf("[%q]", y.agent()),
	}
	modified := opened
	if !resolvedDay.Before(y.today) { // still open this morning
		f["first_responded_on"] = fmt.Sprintf("%s %02d:05:00", day, reply)
		f["agreement_status"] = "Resolution Due"
	} else {
		modified = fmt.Sprintf("%s %02d:40:00", resolvedDay, resolvedHour)
		f["first_responded_on"] = fmt.Sprintf("%s %02d:05:00", day, reply)
		f["sla_resolution_date"], f["status"] = modified, "Resolved"
		f["agreement_status"] = "Fulfilled"
		if late {
			f["agreement_status"] = "Failed"
		}
		if y.rng.IntN(3) > 0 {
			f["custom_stars"] = 0.8 + 0.2*float64(y.rng.IntN(2))
		}
	}
	y.add("Issue", name, y.agent(), opened, modified, f)
}

func addWorkdays(d evidence.Date, n int) evidence.Date {
	for n > 0 {
		d = d.AddDays(1)
		if wd := d.Weekday(); wd != time.Saturday && wd != time.Sunday {
			n--
		}
	}
	return d
}

// weekly writes what the house reports and reviews: figures before the Monday
// meeting, the meeting, monthly reviews, and the actions they lead to.
func (y *year) weekly(weeks int) {
	last := y.today.Week().Add(-1)
	first := last.Add(-min(weeks-1, 30))
	for w := first; w.Compare(last) <= 0; w = w.Add(1) {
		monday := w.Add(1).Monday()
		if monday.After(y.today) {
			break
		}
		back := y.today.DaysSince(w.Monday()) / 7
		// Older weeks are skipped first, so that the latest figure is there.
		if y.Habits.SkippedReports == 0 || back > 12 || back <= 12-y.Habits.SkippedReports {
			y.figures(w, monday)
		}
		if y.Habits.SkippedAllHands == 0 || back > 12 || back <= 12-y.Habits.SkippedAllHands {
			y.allHands(w, monday)
		}
	}
	for m := y.today.YearMonth().Add(-4); m.Last().Before(y.today.AddDays(-3)); m = m.Add(1) {
		if m.First().Before(y.today.AddDays(-7 * weeks)) {
			continue
		}
		y.review("Satisfied project customers", m.Last().AddDays(2), "4.5", ">= 4")
		y.review("Go-live to support, days", m.Last().AddDays(2), "14", "<= 30")
		y.review("Joining to ready, days", m.Last().AddDays(2), "41", "<= 60")
	}
	if !y.Habits.NoPreventive {
		for k := range 4 {
			y.action("Preventive", "Satisfied project customers", "", y.today.AddDays(-40-80*k), "Check the import file with the customer before the workshop")
		}
	}
}

func (y *year) figures(w evidence.Week, monday evidence.Date) {
	late := y.Habits.LateTickets
	for i, f := range []struct {
		metric string
		value  float64
	}{
		{"Overdue tasks (%)", float64(int(100 * y.Habits.OverdueShare / 4))},
		{"Conversion (%)", 100},
		{"Demo rating", 4.5},
		{"Deal rating", 4.5},
		{"SLA fulfilled (%)", float64(int(100 * (1 - late)))},
		{"Ticket rating", 4.4},
	} {
		at := y.stamp(monday, 8, 20+i)
		y.add("Weekly Metric", fmt.Sprintf("WM-%s-%03d", w, i+1), y.staff[1].mail(y.Company), at, at, map[string]any{"week": w.String(), "metric": f.metric, "value": f.value, "remark": ""})
	}
}

func (y *year) allHands(w evidence.Week, monday evidence.Date) {
	name := fmt.Sprintf("QA-MEET-%02d-%02d-%02d", monday.Year%100, int(monday.Month), monday.Day)
	at := y.stamp(monday, 10, 0)
	y.add("Quality Meeting", name, y.staff0(), at, at, map[string]any{
		"status": "Closed",
		"agenda": y.rows("Quality Meeting Agenda", "Quality Meeting", name, "agenda", at, map[string]any{"agenda": fmt.Sprintf("<p>All-hands: weekly metrics CW %d</p>", w.Number)}),
		"minutes": y.rows("Quality Meeting Minutes", "Quality Meeting", name, "minutes", at,
			map[string]any{"minute": "<p>Figures read out, questions answered.</p>"}),
	})
}

func (y *year) review(goal string, day evidence.Date, value, target string) {
	if day.After(y.today) {
		return
	}
	name := fmt.Sprintf("QA-REV-%05d", y.next("REV"))
	at := y.stamp(day, 9, 20)
	y.add("Quality Review", name, y.staff0(), at, at, map[string]any{
		"goal": goal, "date": day.String(), "status": "Passed",
		"reviews": y.rows("Quality Review Objective", "Quality Review", name, "reviews", at, map[string]any{"objective": goal, "target": target, "review": "<p>" + value + "</p>", "status": "Passed"}),
	})
}

func (y *year) action(kind, goal, review string, day evidence.Date, what string) {
	name := fmt.Sprintf("QA-ACT-%05d", y.next("ACT"))
	at := y.stamp(day, 9, 30)
	y.add("Quality Action", name, y.staff[1].mail(y.Company), at, y.stamp(day.AddDays(10), 15, 0), map[string]any{
		"corrective_preventive": kind, "goal": goal, "review": review, "date": day.String(), "status": "Completed",
		"resolutions": y.rows("Quality Action Resolution", "Quality Action", name, "resolutions", at, map[string]any{
			"problem": "The same question came up in two projects.", "resolution": "<p>" + what + "</p>", "responsible": y.staff[1].mail(y.Company),
			"completion_by": day.AddDays(10).String(), "status": "Completed",
		}),
	})
}
