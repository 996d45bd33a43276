package partnersite_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

// utc reads a moment of the table tests.
func utc(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, time.UTC)
	if err != nil {
		panic(err)
	}
	return t
}

func day(s string) evidence.Date {
	d, err := evidence.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

// only returns the values that came out of one record, without versions in
// their refs: name and doctype are what the tables compare.
func only[T any](t *testing.T, in []T, name string) []T {
	t.Helper()
	var out []T
	for _, v := range in {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var r evidence.Ref
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		if r.Name == name {
			out = append(out, v)
		}
	}
	return out
}

// bare compares refs by the record alone.
var bare = cmp.Comparer(func(a, b evidence.Ref) bool { return a.Name == b.Name && a.Doctype == b.Doctype })

func named(doctype, name string) evidence.Ref { return evidence.Ref{Doctype: doctype, Name: name} }

func check[T any](t *testing.T, got []T, want ...T) {
	t.Helper()
	if diff := cmp.Diff(want, got, bare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each case is one document of the sample site and what it means.
func TestADocumentOfEachDoctype(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	staff := func(n string) string { return n + "@meridian.example" }
	for name, run := range map[string]func(t *testing.T){
		"Project": func(t *testing.T) {
			got := only(t, s.Projects, "PROJ-0004")
			if n := len(got[0].TemplateTasks); n != 22 || got[0].TemplateTasks[21] != "TASK-2026-00022" {
				t.Errorf("the template has %d tasks, %v; want 22", n, got[0].TemplateTasks)
			}
			got[0].TemplateTasks = nil
			check(t, got, evidence.Project{
				Ref: named("Project", "PROJ-0004"), Title: "Nord/West Spedition ERP", Status: "Open", Customer: "Nord/West Spedition",
				Type: "External", Template: "Meridian phase model", SalesOrder: "SAL-ORD-2026-00004-1",
				ExpectedStart: day("2026-07-06"), ExpectedEnd: day("2027-02-05"), Members: []string{staff("j.wiek"), staff("m.oehme")},
			})
		},
		"Task assigned by a ToDo": func(t *testing.T) {
			check(t, only(t, s.Tasks, "TASK-2026-00111"), evidence.Task{
				Ref: named("Task", "TASK-2026-00111"), Project: "PROJ-0004", Subject: "User acceptance test", Status: "Overdue",
				TemplateTask: "TASK-2026-00015", Start: day("2026-11-06"), Due: day("2026-11-10"), Assignees: []string{staff("y.tamm")},
			})
		},
		"Task with markup in its subject": func(t *testing.T) {
			if got := only(t, s.Tasks, "TASK-2026-00089")[0].Subject; got != "Gift voucher sync & rounding" {
				t.Errorf("subject %q", got)
			}
		},
		"Task of a template": func(t *testing.T) {
			check(t, only(t, s.Tasks, "TASK-2026-00007"), evidence.Task{
				Ref: named("Task", "TASK-2026-00007"), Subject: "Requirements signed", Type: "BRD Sign-off", Status: "Template", Template: true,
			})
			if got := only(t, s.SignOffs, "TASK-2026-00007"); len(got) > 0 {
				t.Errorf("a template is no sign-off: %+v", got)
			}
		},
		"Customer Acceptance": func(t *testing.T) {
			check(t, only(t, s.SignOffs, "ACC-0001"), evidence.SignOff{
				Ref: named("Customer Acceptance", "ACC-0001"), Project: "PROJ-0004", Kind: evidence.SignOffBRD, Done: true, On: day("2026-08-21"),
				Proven: true, ProofBy: "field", Proof: []evidence.Ref{named("File", "0faa450195")},
			})
			check(t, only(t, s.SignOffs, "ACC-0002"), evidence.SignOff{
				Ref: named("Customer Acceptance", "ACC-0002"), Project: "PROJ-0004", Kind: evidence.SignOffBRD, Refused: true, On: day("2026-08-14"),
			})
		},
		"Issue held and resumed": func(t *testing.T) {
			check(t, only(t, s.Tickets, "ISS-2026-00041"), evidence.Ticket{
				Ref: named("Issue", "ISS-2026-00041"), Subject: "Waiting for customer's sample file", Customer: "Müggelsee Bootsbau",
				Type: "Incident", Priority: "Medium", Status: "Closed", Closed: true,
				Opened: utc("2026-11-02 08:00"), FirstResponse: utc("2026-11-02 09:00"), ResponseDue: utc("2026-11-02 11:00"),
				Resolved: utc("2026-11-05 10:00"), ResolutionDue: utc("2026-11-05 11:00"), Hold: 48 * time.Hour,
				Agreement: "SLA-Issue-Business hours", AgreementStatus: "Fulfilled",
			})
		},
		"Issue that waits for the customer": func(t *testing.T) {
			got := only(t, s.Tickets, "ISS-2026-00042")[0]
			if !got.OnHold || got.Closed || !got.ResolutionDue.IsZero() {
				t.Errorf("%+v, want paused and without a due date", got)
			}
		},
		"Issue without agreement": func(t *testing.T) {
			got := only(t, s.Tickets, "ISS-2026-00043")[0]
			if got.Agreement != "" || got.AgreementStatus != "" || !got.ResponseDue.IsZero() || got.Resolved.IsZero() || got.Stars != 5 || !got.Rated {
				t.Errorf("%+v, want no promise at all, but a resolution and five stars", got)
			}
		},
		"Issue in the hour that came twice": func(t *testing.T) {
			if got := only(t, s.Tickets, "ISS-2026-00039")[0].Opened; !got.Equal(utc("2026-10-25 00:40")) {
				t.Errorf("opened %v, want the first 02:40 of that night", got)
			}
		},
		"Weekly Metric": func(t *testing.T) {
			check(t, only(t, s.Reports, "WM-2026-W40-054"), evidence.MetricReport{
				Ref: named("Weekly Metric", "WM-2026-W40-054"), Metric: "support.metric.sla",
				Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: 40}}, Value: 75, HasValue: true, On: day("2026-10-05"),
				Remark: "See action of this week",
			})
		},
		"Quality Review": func(t *testing.T) {
			check(t, only(t, s.Reviews, "QA-REV-00076"), evidence.Review{
				Ref: named("Quality Review", "QA-REV-00076"), Goal: "Tickets within SLA", Metric: "support.metric.sla",
				On: day("2026-11-09"), Filled: true, By: staff("k.roth"), Status: "Failed",
			})
			check(t, only(t, s.Reports, "QA-REV-00076"), evidence.MetricReport{
				Ref: named("Quality Review", "QA-REV-00076"), Metric: "support.metric.sla",
				Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: 45}}, Value: 75, HasValue: true, Target: 90, HasTarget: true,
				On: day("2026-11-09"), Forum: named("Quality Meeting", "QA-MEET-26-11-09"),
			})
		},
		"Quality Meeting": func(t *testing.T) {
			check(t, only(t, s.Meetings, "QA-MEET-26-11-09"), evidence.Meeting{
				Ref: named("Quality Meeting", "QA-MEET-26-11-09"), Kind: evidence.MeetingAllHands, Title: "QA-MEET-26-11-09",
				On: day("2026-11-09"), Held: true, Minutes: 4,
			})
		},
		"Quality Action": func(t *testing.T) {
			check(t, only(t, s.Actions, "QA-ACT-00089"), evidence.Action{
				Ref: named("Quality Action", "QA-ACT-00089"), Kind: evidence.Corrective, Metric: "support.metric.sla", Goal: "Tickets within SLA",
				Review: named("Quality Review", "QA-REV-00075"), Cause: "High ticket waited for a developer who was on a course.",
				Resolution: "Second developer on call during courses.", Owner: staff("k.roth"), On: day("2026-10-05"), Due: day("2026-10-14"),
				Completed: true, Closed: day("2026-10-14"),
			})
		},
		"Event": func(t *testing.T) {
			check(t, only(t, s.Meetings, "EV00015"), evidence.Meeting{
				Ref: named("Event", "EV00015"), Kind: evidence.MeetingSteering, Title: "Steering group L'Atelier Kranz rollout",
				Project: "PROJ-0003", Customer: "L'Atelier Kranz", On: day("2026-10-12"), At: utc("2026-10-12 11:30"), Held: true,
			})
		},
		"Task as a meeting": func(t *testing.T) {
			check(t, only(t, s.Meetings, "TASK-2026-00088"), evidence.Meeting{
				Ref: named("Task", "TASK-2026-00088"), Kind: evidence.MeetingHandoverToSupport, Title: "Handed over to the help desk",
				Project: "PROJ-0003", Customer: "L'Atelier Kranz",
			})
		},
		"Communication": func(t *testing.T) {
			check(t, only(t, s.Messages, "ebpdmc1pu2"), evidence.Message{
				Ref: named("Communication", "ebpdmc1pu2"), Sent: true, At: utc("2026-11-12 15:30"), Medium: "Email", FromDomain: "meridian.example",
				ToDomains: []string{"talbach-sw.example"}, ToCustomer: true, Template: "Weekly Status", About: named("Project", "PROJ-0005"),
				Project: "PROJ-0005", Kinds: []string{"status"}, Subject: "Weekly status CW 46: Talbach Stadtwerke service desk",
			})
			check(t, only(t, s.Messages, "cq8785gdbc"), evidence.Message{
				Ref: named("Communication", "cq8785gdbc"), At: utc("2026-08-21 08:25"), Medium: "Email", FromDomain: "mueggelsee-boot.example",
				ToDomains: []string{"meridian.example"}, About: named("Task", "TASK-2026-00060"), Project: "PROJ-0002", Subject: "Re: UAT protocol",
			})
		},
		"File": func(t *testing.T) {
			got := only(t, s.Attachments, "c54fb25b27")
			got[0].Uploaded = got[0].Uploaded.Truncate(time.Minute)
			check(t, got, evidence.Attachment{
				Ref: named("File", "c54fb25b27"), FileName: "Project plan M5.pdf", URL: "/private/files/Project plan M5.pdf",
				On: named("Project", "PROJ-0005"), ContentHash: "6df8f5935d92f5c131793426ad64b703", Uploaded: utc("2026-10-17 12:00"), Kinds: []string{"plan"},
			})
		},
		"Lead": func(t *testing.T) {
			check(t, only(t, s.Leads, "CRM-LEAD-2026-00005"), evidence.Lead{
				Ref: named("Lead", "CRM-LEAD-2026-00005"), Customer: "Talbach Stadtwerke", Owner: staff("b.harms"), Status: "Lead",
				Qualified: true, QualifiedOn: day("2026-09-17"), Budget: true, Authority: true, Need: true, BANTMapped: true, Domain: "talbach-sw.example",
			})
			check(t, only(t, s.Leads, "CRM-LEAD-2026-00022"), evidence.Lead{
				Ref: named("Lead", "CRM-LEAD-2026-00022"), Customer: "Enquiry 06", Owner: staff("b.harms"), Status: "Replied", BANTMapped: true,
				Received: utc("2026-10-23 12:30"), FirstResponse: utc("2026-10-26 10:30"), Domain: "enquiry-6.example",
			})
		},
		"Quotation": func(t *testing.T) {
			check(t, only(t, s.Quotations, "SAL-QTN-2026-00004"), evidence.Quotation{
				Ref: named("Quotation", "SAL-QTN-2026-00004"), Party: "Nord/West Spedition", PartyType: "Customer", Deal: "CRM-OPP-2026-00004",
				Owner: staff("s.lueders"), Status: "Ordered", Submitted: true, On: day("2026-06-23"), Expires: day("2026-08-02"),
				Estimate: []evidence.Ref{named("Quotation", "SAL-QTN-2026-00004")}, Order: "SAL-ORD-2026-00004-1", Won: day("2026-07-02"),
			})
			check(t, only(t, s.Deals, "SAL-QTN-2026-00008"), evidence.Deal{
				Ref: named("Quotation", "SAL-QTN-2026-00008"), Lead: "CRM-LEAD-2026-00007", Customer: "Brinkmann Zäune", Owner: staff("b.harms"),
				Status: "Lost", Lost: true, Opened: day("2026-08-04"), Closed: day("2026-08-26"), Quotations: []string{"SAL-QTN-2026-00008"},
			})
			check(t, only(t, s.Deals, "SAL-QTN-2026-00004"), evidence.Deal{
				Ref: named("Quotation", "SAL-QTN-2026-00004"), Lead: "CRM-LEAD-2026-00004", Customer: "Nord/West Spedition", Owner: staff("s.lueders"),
				Status: "Ordered", Won: true, Opened: day("2026-06-23"), Closed: day("2026-07-02"), Project: "PROJ-0004",
				Quotations: []string{"SAL-QTN-2026-00004"}, Qualified: true, QualifiedOn: day("2026-06-11"),
			})
		},
		"Sales Order": func(t *testing.T) {
			cancelled, amended := only(t, s.Orders, "SAL-ORD-2026-00004")[0], only(t, s.Orders, "SAL-ORD-2026-00004-1")[0]
			if cancelled.Schedule == "" || cancelled.Schedule == amended.Schedule {
				t.Errorf("payment schedules %q and %q, want two different ones", cancelled.Schedule, amended.Schedule)
			}
			cancelled.Schedule, amended.Schedule = "", ""
			check(t, []evidence.Order{cancelled, amended},
				evidence.Order{
					Ref: named("Sales Order", "SAL-ORD-2026-00004"), Customer: "Nord/West Spedition", Quotations: []string{"SAL-QTN-2026-00004"},
					On: day("2026-06-29"), Cancelled: true, Total: 72000,
				}, evidence.Order{
					Ref: named("Sales Order", "SAL-ORD-2026-00004-1"), Customer: "Nord/West Spedition", Project: "PROJ-0004",
					Quotations: []string{"SAL-QTN-2026-00004"}, On: day("2026-07-02"), Submitted: true, AmendedFrom: "SAL-ORD-2026-00004", Total: 75500,
				})
		},
		"Customer and Contact": func(t *testing.T) {
			check(t, only(t, s.Customers, "Nord/West Spedition"), evidence.Customer{
				Ref: named("Customer", "Nord/West Spedition"), Title: "Nord/West Spedition", Domains: []string{"nordwest-sped.example"},
			})
		},
		"Customer Survey": func(t *testing.T) {
			check(t, only(t, s.Feedback, "SUR-0006"), evidence.Feedback{
				Ref: named("Customer Survey", "SUR-0006"), Kind: evidence.FeedbackSatisfaction, Project: "PROJ-0003", Customer: "L'Atelier Kranz",
				On: day("2026-09-28"), Stars: 3.5, Rated: true,
			})
			check(t, only(t, s.Feedback, "SUR-0017"), evidence.Feedback{
				Ref: named("Customer Survey", "SUR-0017"), Kind: evidence.FeedbackSales, Customer: "Dornbusch Catering",
				Quotation: "SAL-QTN-2026-00010", On: day("2026-09-09"), Stars: 4, Rated: true,
			})
		},
		"Issue as feedback": func(t *testing.T) {
			check(t, only(t, s.Feedback, "ISS-2026-00018"), evidence.Feedback{
				Ref: named("Issue", "ISS-2026-00018"), Kind: evidence.FeedbackTicket, Customer: "Birkenfeld Optik", Ticket: "ISS-2026-00018",
				On: day("2026-09-30"), Stars: 4.5, Rated: true,
			})
		},
		"Service Level Agreement": func(t *testing.T) {
			work := []evidence.Hours{{From: 8 * 60, To: 17 * 60}}
			check(t, s.Agreements, evidence.Agreement{
				Ref: named("Service Level Agreement", "SLA-Issue-Business hours"), Doctype: "Issue", Enabled: true, Default: true,
				Hours: [7][]evidence.Hours{nil, work, work, work, work, work, nil}, HolidayList: "Berlin 2026",
				Priorities: []evidence.AgreementPriority{
					{Priority: "High", Response: time.Hour, Resolution: 5 * time.Hour},
					{Priority: "Low", Response: 6 * time.Hour, Resolution: 27 * time.Hour},
					{Priority: "Medium", Response: 3 * time.Hour, Resolution: 12 * time.Hour},
				},
			})
		},
		"Holiday List": func(t *testing.T) {
			c := s.Calendars[0]
			if !c.Default || c.From != day("2026-01-01") || c.To != day("2026-12-31") || len(c.Holidays) != 112 || c.Holidays[0] != day("2026-01-01") {
				t.Errorf("calendar %v to %v, default %t, %d holidays from %v", c.From, c.To, c.Default, len(c.Holidays), c.Holidays[0])
			}
		},
		"Employee": func(t *testing.T) {
			check(t, only(t, s.People, "HR-EMP-00009"), evidence.Person{
				Ref: named("Employee", "HR-EMP-00009"), User: staff("c.doerr"), Designation: "Consultant", Department: "Operations - MER",
				Joined: day("2026-10-01"), Active: true,
			})
		},
		"Training Event": func(t *testing.T) {
			check(t, only(t, s.Trainings, "ERP consultant course 2026/2"), evidence.Training{
				Ref: named("Training Event", "ERP consultant course 2026/2"), Title: "ERP consultant course 2026/2", Kinds: []string{"training.consultant"},
				On: day("2026-10-09"), Held: true, Present: []string{"HR-EMP-00008"}, Absent: []string{"HR-EMP-00009"},
			})
		},
		"Dashboard": func(t *testing.T) {
			check(t, only(t, s.Dashboards, "Delivery"), evidence.Dashboard{
				Ref: named("Dashboard", "Delivery"), Title: "Delivery", Departments: []evidence.Department{evidence.Implementation}, Charts: 1,
			})
		},
		"Assignment Rule and Notification": func(t *testing.T) {
			check(t, s.Controls,
				evidence.Control{Ref: named("Assignment Rule", "Urgent tickets"), Kind: "Assignment Rule", On: "Issue", Department: evidence.Support, Enabled: true},
				evidence.Control{Ref: named("Notification", "Task due yesterday"), Kind: "Notification", On: "Task", Department: evidence.Implementation, Enabled: true},
				evidence.Control{Ref: named("Service Level Agreement", "SLA-Issue-Business hours"), Kind: "Service Level Agreement", On: "Issue", Department: evidence.Support, Enabled: true},
			)
		},
		"Quality Procedure": func(t *testing.T) {
			check(t, only(t, s.Procedures, "How we sell"), evidence.Procedure{
				Ref: named("Quality Procedure", "How we sell"), Title: "How we sell", Department: evidence.Sales, Owner: staff("s.lueders"), Steps: 4,
			})
		},
		"Deleted Document": func(t *testing.T) {
			d := only(t, s.Deletions, "TASK-2026-00173")[0]
			if d.By != staff("m.oehme") || evidence.DateIn(d.At, time.UTC) != day("2026-09-22") || d.Created.IsZero() {
				t.Errorf("%+v", d)
			}
		},
		"Version": func(t *testing.T) {
			got := only(t, s.Changes, "TASK-2026-00094")
			var lines []string
			for _, c := range got {
				if c.At.After(utc("2026-10-12 07:40")) {
					lines = append(lines, fmt.Sprintf("%s %q to %q", c.Field, c.From, c.To))
				}
			}
			want := []string{`status "Open" to "Pending Review"`, `review_date "" to "2026-11-24"`}
			if diff := cmp.Diff(want, lines); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); run(t) })
	}
}

// made assembles documents written by hand: each maps a doctype, a name and
// fields, of a site in Berlin, seen on 20 November 2026.
func made(t *testing.T, mapping string, docs ...map[string]any) evidence.Snapshot {
	t.Helper()
	m, err := config.ParseMapping("mapping", []byte(mapping))
	if err != nil {
		t.Fatal(err)
	}
	in := partnersite.AssembleInput{Partner: "p", AsOf: meridianAsOf, MailDomains: []string{"partner.example"}}
	in.Sites = []partnersite.SiteInput{{Site: evidence.Site{Key: "erp", Zone: "Europe/Berlin"}, DateFormat: "dd-mm-yyyy", Mapping: m}}
	for _, d := range docs {
		if _, ok := d["creation"]; !ok {
			d["creation"] = "2026-11-02 09:00:00"
		}
		if _, ok := d["modified"]; !ok {
			d["modified"] = d["creation"]
		}
		line, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		in.Sites[0].Documents = append(in.Sites[0].Documents, document(t, "erp", berlin(), line, meridianAsOf.Add(-time.Hour)))
	}
	return partnersite.Assemble(in)
}

type doc = map[string]any

func TestHelpdeskTickets(t *testing.T) {
	t.Parallel()
	s := made(t, "evidence: {ticket: [{doctype: HD Ticket}], feedback.ticket: [{doctype: HD Ticket, value: feedback_rating, scale: 5}]}",
		doc{
			"doctype": "HD Ticket", "name": "7", "subject": "Printer", "status": "Closed", "status_category": "Resolved", "customer": "Acme", "sla": "Default",
			"ticket_type": "Incident", "priority": "High", "opening_date": "2026-11-02", "opening_time": "8:30:00", "response_by": "2026-11-02 10:00:00",
			"first_responded_on": "2026-11-02 09:10:00", "resolution_by": "2026-11-03 09:00:00", "resolution_date": "2026-11-02 12:00:00",
			"agreement_status": "Fulfilled", "feedback_rating": 0.8, "total_hold_time": 600,
		},
		doc{"doctype": "HD Ticket", "name": "8", "status": "Replied", "status_category": "Paused", "sla": "Default", "is_merged": 1},
		doc{"doctype": "HD Ticket", "name": "9", "status": "Closed", "sla": "Default"}) // 1.14 has no category
	check(t, only(t, s.Tickets, "7"), evidence.Ticket{
		Ref: named("HD Ticket", "7"), Subject: "Printer", Customer: "Acme", Type: "Incident", Priority: "High", Status: "Closed", Closed: true,
		Opened: utc("2026-11-02 07:30"), FirstResponse: utc("2026-11-02 08:10"), ResponseDue: utc("2026-11-02 09:00"),
		Resolved: utc("2026-11-02 11:00"), ResolutionDue: utc("2026-11-03 08:00"), Hold: 10 * time.Minute,
		Agreement: "Default", AgreementStatus: "Fulfilled", Stars: 4, Rated: true,
	})
	if got := only(t, s.Tickets, "8")[0]; !got.Merged || !got.OnHold || got.Closed || got.Rated {
		t.Errorf("merged and paused: %+v", got)
	}
	if got := only(t, s.Tickets, "9")[0]; !got.Closed || !got.Resolved.IsZero() {
		t.Errorf("closed without a date: %+v", got)
	}
}

func TestIssuesOfVersion14HaveShorterNames(t *testing.T) {
	t.Parallel()
	s := made(t, "evidence: {ticket: [{doctype: Issue}]}", doc{
		"doctype": "Issue", "name": "ISS-1", "status": "Resolved", "service_level_agreement": "SLA", "opening_date": "2026-11-02", "opening_time": "9:00:00",
		"resolution_by": "2026-11-03 09:00:00", "resolution_date": "2026-11-02 12:00:00", "first_responded_on": "2026-11-02 09:30:00",
	})
	got := s.Tickets[0]
	if !got.Resolved.Equal(utc("2026-11-02 11:00")) || !got.ResolutionDue.Equal(utc("2026-11-03 08:00")) {
		t.Errorf("resolved %v, due %v", got.Resolved, got.ResolutionDue)
	}
}

func TestAStampInAnotherZoneIsUnset(t *testing.T) {
	t.Parallel()
	s := made(t, "evidence: {ticket: [{doctype: Issue}]}", doc{
		"doctype": "Issue", "name": "ISS-1", "status": "Resolved", "service_level_agreement": "SLA", "creation": "2026-11-02 09:00:00",
		"first_responded_on": "2026-11-02 04:30:00", "sla_resolution_date": "2026-11-02 12:00:00", // the owner sits in New York
	})
	got := s.Tickets[0]
	if !got.FirstResponse.IsZero() || got.Resolved.IsZero() {
		t.Errorf("first response %v, resolved %v; want the first unset", got.FirstResponse, got.Resolved)
	}
	if diff := cmp.Diff([]string{"first_responded_on"}, got.Unusable); diff != "" {
		t.Errorf("unusable (-want +got):\n%s", diff)
	}
}

func TestTasksOfVersion16EndAtAnHour(t *testing.T) {
	t.Parallel()
	s := made(t, "", doc{"doctype": "Task", "name": "A", "status": "Open", "exp_start_date": "2026-11-18 09:00:00", "exp_end_date": "2026-11-20 17:00:00"},
		doc{"doctype": "Task", "name": "B", "status": "Open", "exp_end_date": "2026-11-20 00:00:00"})
	a, b := s.Tasks[0], s.Tasks[1]
	if a.Due != day("2026-11-20") || !a.DueAt.Equal(utc("2026-11-20 16:00")) || a.Start != day("2026-11-18") {
		t.Errorf("A starts %v and ends %v at %v", a.Start, a.Due, a.DueAt)
	}
	// Midnight is the end of the day before: on the 20th the site calls it overdue.
	if b.Due != day("2026-11-19") || !b.DueAt.Equal(utc("2026-11-19 23:00")) {
		t.Errorf("B ends %v at %v", b.Due, b.DueAt)
	}
}

func TestFrappeCRM(t *testing.T) {
	t.Parallel()
	s := made(t, "evidence: {deal: [{doctype: CRM Deal, date: closed_date}]}",
		doc{"doctype": "CRM Deal Status", "name": "Gewonnen", "type": "Won"},
		doc{
			"doctype": "CRM Lead", "name": "L", "organization": "Acme", "email": "a@acme.example", "lead_owner": "s@partner.example", "status": "Qualified",
			"sla": "Std", "sla_creation": "2026-11-02 09:00:00", "response_by": "2026-11-02 13:00:00", "first_responded_on": "2026-11-02 11:00:00", "converted": 1,
			"status_change_log": []doc{{"from": "New", "from_date": "2026-11-02 09:00:00", "to": "Qualified", "to_date": "2026-11-04 10:00:00"}},
		},
		doc{
			"doctype": "CRM Deal", "name": "D", "organization": "Acme", "lead": "L", "deal_owner": "s@partner.example", "status": "Gewonnen", "creation": "2026-11-05 09:00:00",
			"status_change_log": []doc{
				{"from": "Demo", "from_date": "2026-11-05 09:00:00", "to": "Gewonnen", "to_date": "2026-11-12 10:00:00"},
				{"from": "Gewonnen", "from_date": "2026-11-12 10:00:00"},
			},
		})
	check(t, s.Leads, evidence.Lead{
		Ref: named("CRM Lead", "L"), Customer: "Acme", Owner: "s@partner.example", Status: "Qualified", Qualified: true, QualifiedOn: day("2026-11-04"),
		Received: utc("2026-11-02 08:00"), FirstResponse: utc("2026-11-02 10:00"), ResponseDue: utc("2026-11-02 12:00"), Domain: "acme.example",
	})
	check(t, s.Deals, evidence.Deal{
		Ref: named("CRM Deal", "D"), Lead: "L", Customer: "Acme", Owner: "s@partner.example", Status: "Gewonnen", Won: true,
		Opened: day("2026-11-05"), Closed: day("2026-11-12"), StageMoves: 2, Qualified: true, QualifiedOn: day("2026-11-04"),
	})
}

func TestContractsAndSignatures(t *testing.T) {
	t.Parallel()
	s := made(t, "evidence: {sign_off.go_live: [{doctype: Task, where: {type: Go-live Sign-off}, done: {status: Completed}}]}",
		doc{"doctype": "Project", "name": "P", "customer": "Acme"},
		doc{"doctype": "Task", "name": "T", "project": "P", "type": "Go-live Sign-off", "status": "Completed", "completed_on": "2026-11-10"},
		doc{"doctype": "Contract", "name": "C", "docstatus": 1, "party_name": "Acme", "is_signed": 1, "signed_on": "2026-11-12 10:00:00", "document_type": "Project", "document_name": "P"},
		doc{"doctype": "Contract", "name": "Old", "docstatus": 1, "party_name": "Acme", "is_signed": 1, "signed_on": "2026-06-12 10:00:00", "document_type": "Project", "document_name": "P"})
	check(t, s.SignOffs, evidence.SignOff{
		Ref: named("Task", "T"), Project: "P", Kind: evidence.SignOffGoLive, Done: true, On: day("2026-11-10"),
		Proven: true, ProofBy: "contract", Proof: []evidence.Ref{named("Contract", "C")},
	})
	check(t, only(t, s.Contracts, "C"), evidence.Contract{
		Ref: named("Contract", "C"), Party: "Acme", Signed: true, SignedOn: day("2026-11-12"), About: named("Project", "P"),
	})
}

func TestMailsWithoutADirection(t *testing.T) {
	t.Parallel()
	// Timelines do not say which way a mail went, nor which template it used.
	s := made(t, "", doc{"doctype": "Communication", "name": "a", "communication_medium": "Email", "sender": "Ann <ann@partner.example>", "recipients": "bob@acme.example, x@partner.example", "communication_date": "2026-11-03 10:00:00", "reference_doctype": "Project", "reference_name": "P"},
		doc{"doctype": "Communication", "name": "b", "communication_medium": "Email", "sender": "bob@ACME.example", "recipients": "ann@partner.example", "communication_date": "2026-11-03 11:00:00"})
	if a, b := s.Messages[0], s.Messages[1]; !a.Sent || !a.ToCustomer || b.Sent || b.ToCustomer || b.FromDomain != "acme.example" {
		t.Errorf("a %+v\nb %+v", a, b)
	}
}

func TestAPrivateKickOffShowsInItsMeetingMail(t *testing.T) {
	t.Parallel()
	s := made(t, `evidence: {kick_off: [{doctype: Event, where: {subject: "Kick-off*"}}]}`,
		doc{"doctype": "Project", "name": "P", "customer": "Acme"},
		doc{
			"doctype": "Communication", "name": "m", "communication_medium": "Meeting", "subject": "Kick-off Acme", "communication_date": "2026-11-04 10:00:00",
			"reference_doctype": "Event", "reference_name": "EV-hidden", "timeline_links": []doc{{"link_doctype": "Customer", "link_name": "Acme"}},
		})
	check(t, s.Meetings, evidence.Meeting{
		Ref: named("Communication", "m"), Kind: evidence.MeetingKickOff, Title: "Kick-off Acme", Project: "P", Customer: "Acme",
		On: day("2026-11-04"), At: utc("2026-11-04 09:00"), Held: true,
	})
}

func TestReviewsThatASchedulerMade(t *testing.T) {
	t.Parallel()
	s := made(t, `evidence:
  review: [{doctype: Quality Review}]
  report: [{doctype: Quality Review, date: date, metric: goal, metrics: {support.metric.sla: SLA}, value: reviews.review}]`,
		doc{"doctype": "Quality Review", "name": "R", "goal": "SLA", "date": "2026-11-02", "status": "Passed", "modified_by": "Administrator", "reviews": []doc{{"objective": "SLA", "target": ">= 90"}}})
	if len(s.Reports) != 0 || len(s.Reviews) != 1 || s.Reviews[0].Filled {
		t.Errorf("born passed and empty: %+v %+v, want no report and a review that nobody filled", s.Reports, s.Reviews)
	}
}

func TestActionsWithoutResolutionAreNotDone(t *testing.T) {
	t.Parallel()
	s := made(t, "evidence: {action: [{doctype: Quality Action}, {doctype: Non Conformance}]}",
		doc{"doctype": "Quality Action", "name": "A", "status": "Completed", "date": "2026-11-02", "corrective_preventive": "Preventive", "resolutions": []doc{}},
		doc{"doctype": "Non Conformance", "name": "N", "status": "Resolved", "details": "<p>Why</p>", "corrective_action": "<p>Fixed</p>", "preventive_action": "Checked", "process_owner": "h@partner.example"})
	if a := s.Actions[2]; a.Name != "A" || a.Completed || a.Kind != evidence.Preventive {
		t.Errorf("action %+v, want a preventive one that is not completed", a)
	}
	for i, want := range []struct {
		kind evidence.ActionKind
		text string
	}{{evidence.Corrective, "Fixed"}, {evidence.Preventive, "Checked"}} {
		if a := s.Actions[i]; a.Kind != want.kind || a.Resolution != want.text || a.Cause != "Why" || !a.Completed {
			t.Errorf("non-conformance %+v, want %v", a, want)
		}
	}
}

func TestACourseProvenByAResultOrASkill(t *testing.T) {
	t.Parallel()
	s := made(t, `evidence:
  training.consultant:
    - {doctype: Employee Skill Map, where: {employee_skills.skill: ERP}}
    - {doctype: LMS Certificate, where: {course: erp}}
  training.sales: [{doctype: Training Result, where: {training_event: Sales*}}]`,
		doc{"doctype": "Employee", "name": "E1", "user_id": "e1@partner.example", "status": "Active"},
		doc{"doctype": "Employee Skill Map", "name": "E1", "employee": "E1", "employee_skills": []doc{{"skill": "ERP", "evaluation_date": "2026-11-06"}, {"skill": "Golf", "evaluation_date": "2026-11-07"}}},
		doc{"doctype": "LMS Certificate", "name": "C", "member": "E1@partner.example", "course": "erp", "issue_date": "2026-11-09"},
		doc{"doctype": "Training Result", "name": "TR", "docstatus": 1, "training_event": "Sales induction", "employees": []doc{{"employee": "E1", "grade": "A"}}})
	var got []string
	for _, tr := range s.Trainings {
		got = append(got, fmt.Sprint(tr.Title, " ", tr.Kinds, " ", tr.On, " ", tr.Held, " ", tr.Present))
	}
	want := []string{"ERP [training.consultant] 2026-11-06 true [E1]", "erp [training.consultant] 2026-11-09 true [E1]", "Sales induction [training.sales] 2026-11-02 true [E1]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	check(t, s.Certificates, evidence.Certificate{Ref: named("LMS Certificate", "C"), Member: "e1@partner.example", Course: "erp", Issued: day("2026-11-09")})
}

func TestCertificatesOfThePRM(t *testing.T) {
	t.Parallel()
	line := []byte(`{"doctype":"Partner Certificate","name":"PC-1","course":"ERPNext","version":"15","issue_date":"2026-03-01","partner_member_email":"M.Oehme@meridian.example","creation":"2026-03-01 10:00:00"}`)
	in := meridian(t)
	in.PRM = []evidence.Document{document(t, "prm", time.UTC, line, meridianAsOf.Add(-time.Hour))}
	check(t, partnersite.Assemble(in).Certificates, evidence.Certificate{
		Ref: named("Partner Certificate", "PC-1"), Member: "m.oehme@meridian.example", Course: "ERPNext", Version: "15", Issued: day("2026-03-01"),
	})
}

// A custom doctype for sign-offs, one for weekly reports, and a sponsor: by
// mapping alone.
func TestCustomDoctypesByMappingOnly(t *testing.T) {
	t.Parallel()
	s := made(t, `evidence:
  sign_off.uat: [{doctype: Abnahme, where: {art: UAT}, done: {stand: [Ja, Yes]}, refused: {stand: Nein}, project: projekt, date: datum, proof: [none], authoritative: true}]
  report:
    - {doctype: Zahlen, period: monat, value: zufriedenheit, scale: 5, metrics: {impl.metric.satisfaction: "*"}, fields: {remark: notiz}}
    - {doctype: Wochenzahlen, date: tag, metric: name_der_zahl, metrics: {impl.metric.overdue_pct: "Überfällig*"}, value: text}
  sponsor: [{doctype: Contact, where: {designation: Sponsor}, fields: {email: email_id}}]
  scope: [{doctype: File, where: {attached_to_doctype: Lead}, file: "*scope*"}]`,
		doc{"doctype": "Project", "name": "P", "customer": "Acme"},
		doc{"doctype": "Abnahme", "name": "1", "art": "UAT", "stand": "Ja", "projekt": "P", "datum": "2026-11-09 12:00:00"},
		doc{"doctype": "Abnahme", "name": "2", "art": "UAT", "stand": "Nein", "projekt": "P", "datum": "2026-11-03"},
		doc{"doctype": "Abnahme", "name": "3", "art": "UAT", "stand": "Ja", "projekt": "P", "datum": "2026-12-03"}, // not yet
		doc{"doctype": "Zahlen", "name": "Z", "monat": "2026-10", "zufriedenheit": 0.9, "notiz": "<b>gut</b>"},
		doc{"doctype": "Wochenzahlen", "name": "W", "tag": "2026-11-09", "name_der_zahl": "Überfällig in %", "text": "KW 45: 1.234,5 von 20.000, also 6,2 %"},
		doc{"doctype": "Customer", "name": "Acme", "customer_name": "Acme & Co", "lead_name": "L"},
		doc{"doctype": "Lead", "name": "L", "company_name": "Acme", "email_id": "boss@acme.example"},
		doc{"doctype": "Contact", "name": "C", "designation": "Sponsor", "email_id": "Boss@acme.example", "links": []doc{{"link_doctype": "Customer", "link_name": "Acme"}}},
		doc{"doctype": "File", "name": "F", "file_name": "Scope v1.pdf", "attached_to_doctype": "Lead", "attached_to_name": "L", "creation": "2026-11-01 09:00:00"},
		doc{"doctype": "File", "name": "F2", "file_name": "Scope v2.pdf", "attached_to_doctype": "Lead", "attached_to_name": "L", "creation": "2026-11-05 09:00:00"},
		doc{"doctype": "Quotation", "name": "Q", "docstatus": 1, "quotation_to": "Customer", "party_name": "Acme", "transaction_date": "2026-11-02"})
	check(t, s.SignOffs,
		evidence.SignOff{Ref: named("Abnahme", "1"), Project: "P", Kind: evidence.SignOffUAT, Done: true, On: day("2026-11-09"), Proven: true, ProofBy: "none", Proof: []evidence.Ref{named("Abnahme", "1")}},
		evidence.SignOff{Ref: named("Abnahme", "2"), Project: "P", Kind: evidence.SignOffUAT, Refused: true, On: day("2026-11-03")},
		evidence.SignOff{Ref: named("Abnahme", "3"), Project: "P", Kind: evidence.SignOffUAT},
	)
	check(t, s.Reports,
		evidence.MetricReport{Ref: named("Wochenzahlen", "W"), Metric: "impl.metric.overdue_pct", Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: 45}}, Value: 6.2, HasValue: true, On: day("2026-11-09")},
		evidence.MetricReport{Ref: named("Zahlen", "Z"), Metric: "impl.metric.satisfaction", Period: evidence.Period{Month: evidence.Month{Year: 2026, Month: 10}}, Value: 4.5, HasValue: true, On: day("2026-11-02"), Remark: "gut"},
	)
	check(t, s.Customers, evidence.Customer{Ref: named("Customer", "Acme"), Title: "Acme & Co", Lead: "L", Domains: []string{"acme.example"}, Sponsor: "boss@acme.example"})
	check(t, s.Quotations[0].Scope, named("File", "F")) // the second version came after the offer
}

func TestReachIsPassedOnAndGrowsOld(t *testing.T) {
	t.Parallel()
	in := meridian(t)
	hour := func(n int) time.Time { return in.AsOf.Add(-time.Duration(n) * time.Hour) }
	in.StaleAfter = 24 * time.Hour
	in.Sites[0].Coverage = []evidence.Coverage{
		{Stream: "Task", Rows: 174, LastSuccess: hour(23), Complete: true},
		{Stream: "Issue", Rows: 45, LastSuccess: hour(25), Complete: true},
	}
	in.Sites[0].Gaps = []evidence.Gap{
		{Stream: "Task", Kind: evidence.Unreachable, Reason: "no answer"},
		{Stream: "Issue", Kind: evidence.Unreachable, Reason: "no answer"},
		{Stream: "Employee", Kind: evidence.Forbidden, Reason: "no read right"},
	}
	s := partnersite.Assemble(in)
	if _, missing := s.Missing("Task"); missing {
		t.Error("a site that was read an hour ago and does not answer now is no gap yet")
	}
	var got []string
	for _, g := range s.Gaps {
		if g.Kind != evidence.Unmapped {
			got = append(got, g.Site+" "+g.Stream+" "+string(g.Kind))
		}
	}
	want := []string{"erp Employee Forbidden", "erp Issue Stale", "erp Issue Unreachable"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if len(s.Coverage) != 2 || s.Coverage[0].Stream != "Issue" || s.Coverage[1].Site != "erp" {
		t.Errorf("coverage %+v", s.Coverage)
	}
}

func TestAGapOfAWholeSiteIsOneOfEachStream(t *testing.T) {
	t.Parallel()
	in := meridian(t)
	in.Sites[0].Documents = nil
	in.Sites[0].Gaps = []evidence.Gap{{Stream: "*", Kind: evidence.Unreachable, Reason: "never read"}}
	s := partnersite.Assemble(in)
	for _, stream := range []string{"Task", "Sales Invoice", "Deleted Document", "Weekly Metric"} { // the last by mapping alone
		if g, ok := s.Missing(stream); !ok || g.Kind != evidence.Unreachable || g.Site != "erp" {
			t.Errorf("gap of %s: %+v %t", stream, g, ok)
		}
	}
	in.Sites[0].Site.Purpose = "sales"
	in.Sites[0].Mapping = config.Mapping{}
	s = partnersite.Assemble(in)
	if _, ok := s.Missing("Issue"); ok {
		t.Error("a site that serves sales alone owes no tickets")
	}
	if _, ok := s.Missing("Quotation"); !ok {
		t.Error("it owes offers")
	}
}

func TestKindsThatNobodyMapped(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	if g, ok := s.Missing("kind:sign_off.invoice_schedule"); !ok || g.Kind != evidence.Unmapped {
		t.Errorf("gap %+v %t, want Unmapped", g, ok)
	}
	if c := s.Channels["sign_off.brd"]; !c.Mapped || !c.Authoritative || strings.Join(c.Streams, ",") != "Communication,Customer Acceptance,File,Task" {
		t.Errorf("channel of BRD sign-offs: %+v", c)
	}
	if c := s.Channels["kick_off"]; strings.Join(c.Streams, ",") != "Event,Task" || strings.Join(c.Ruling, ",") != "Task" {
		t.Errorf("channel of kick-offs: %+v, want silence to count in Task alone", c)
	}
	if c := s.Channels["steering"]; !c.Mapped || c.Authoritative {
		t.Errorf("channel of steering meetings: %+v, want one whose silence does not count", c)
	}
	if c := s.Channels["sign_off.invoice_schedule"]; c.Mapped {
		t.Errorf("a kind that is switched off is mapped: %+v", c)
	}
}

func TestTwoSitesAreJoined(t *testing.T) {
	t.Parallel()
	in := meridian(t)
	second := partnersite.SiteInput{
		Site: evidence.Site{Key: "desk", Zone: "Asia/Kolkata"},
		Documents: []evidence.Document{document(t, "desk", time.UTC,
			[]byte(`{"doctype":"Task","name":"TASK-2026-00111","subject":"Namesake","status":"Open","creation":"2026-11-02 09:00:00"}`), in.AsOf.Add(-time.Hour))},
	}
	in.Sites = append(in.Sites, second)
	s := partnersite.Assemble(in)
	if s.Zone != "Europe/Berlin" || len(s.Sites) != 2 {
		t.Errorf("zone %s, %d sites; days are those of the first site", s.Zone, len(s.Sites))
	}
	got := only(t, s.Tasks, "TASK-2026-00111")
	if len(got) != 2 || got[0].Site != "desk" || got[0].Project != "" || got[1].Project != "PROJ-0004" {
		t.Errorf("two tasks of one name on two sites: %+v", got)
	}
	if c := s.Channels["ticket"]; !c.Mapped {
		t.Error("one site's mapping is enough to map a kind")
	}
}

func TestPlansInADoctypeOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := made(t, `evidence:
  plan: [{doctype: Projektplan, project: projekt, date: versandt_am}]
  status: [{doctype: Project Update, date: date}]`,
		doc{"doctype": "Project", "name": "P", "customer": "Acme"},
		doc{"doctype": "Projektplan", "name": "PL", "projekt": "P", "versandt_am": "2026-11-06", "title": "Plan 1"},
		doc{"doctype": "Projektplan", "name": "PL2", "projekt": "P", "versandt_am": "2026-12-06"}, // not sent yet
		doc{"doctype": "Project Update", "name": "U", "project": "P", "date": "2026-11-07"})
	check(t, s.Messages,
		evidence.Message{
			Ref: named("Project Update", "U"), Sent: true, At: utc("2026-11-06 23:00"), Medium: "Project Update", About: named("Project", "P"),
			Project: "P", Kinds: []string{"status"}, Subject: "U",
		}, evidence.Message{
			Ref: named("Projektplan", "PL"), Sent: true, At: utc("2026-11-05 23:00"), Medium: "Projektplan", ToCustomer: true, About: named("Project", "P"),
			Project: "P", Kinds: []string{"plan"}, Subject: "Plan 1",
		})
}

func TestARatingBeforeItsTicketWasClosed(t *testing.T) {
	t.Parallel()
	in := meridian(t)
	in.AsOf = utc("2026-09-30 12:00") // ISS-2026-00018 was closed at 14:24
	s := partnersite.Assemble(in)
	got := only(t, s.Tickets, "ISS-2026-00018")[0]
	if got.Closed || got.Rated || !got.Resolved.IsZero() || got.FirstResponse.IsZero() || got.AgreementStatus != "Resolution Due" || !got.Reconstructed {
		t.Errorf("%+v, want answered, open and unrated", got)
	}
	if f := only(t, s.Feedback, "ISS-2026-00018"); len(f) > 0 {
		t.Errorf("feedback %+v before anybody was asked", f)
	}
}

func TestPeriodsAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	const mapping = "evidence: {report: [{doctype: R, period: p, value: v, metrics: {support.metric.sla: x}}]}"
	for _, tt := range []struct{ text, created, want string }{
		{"2026-W45", "2026-11-09", "2026-W45"},
		{"2026w7", "2026-11-09", "2026-W07"},
		{"CW 45/2026", "2026-11-09", "2026-W45"},
		{"Week 7, 2026", "2026-11-09", "2026-W07"},
		{"KW 45", "2026-11-09", "2026-W45"},
		{"KW 52", "2027-01-04", "2026-W52"}, // made in the next year
		{"W1", "2027-01-04", "2027-W01"},
		{"2026-11-02", "2026-11-09", "2026-W45"}, // a day of the week
		{"2026-10", "2026-11-09", "2026-10"},
		{"KW 60", "2026-11-09", ""},
		{"last week", "2026-11-09", ""},
		{"45", "2026-11-09", ""},
		{"W 1 2 3", "2026-11-09", ""},
	} {
		s := made(t, mapping, doc{"doctype": "R", "name": "r", "p": tt.text, "v": 1, "creation": tt.created + " 09:00:00"})
		got := ""
		if len(s.Reports) > 0 {
			got = s.Reports[0].Period.String()
		}
		if got != tt.want {
			t.Errorf("%q of %s is %q, want %q", tt.text, tt.created, got, tt.want)
		}
	}
}

func TestFiguresInTexts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text any
		want float64
		ok   bool
	}{
		{"<p>75 %</p>", 75, true},
		{"<p>4.333</p>", 4.333, true},
		{"4,33 von 5", 4.33, true},
		{"12 of 16 (75 %)", 75, true},
		{"CW 45: 12", 12, true},
		{"Q3 result: 80", 80, true},
		{"1.234,5 &euro;", 1234.5, true},
		{"1,234,567", 1234567, true},
		{"-3 days", -3, true},
		{"between 3-4", 3, true},
		{"2026.11.09", 0, false},
		{"None this month.", 0, false},
		{"n/a", 0, false},
		{33.0, 33, true},
		{true, 1, true},
		{[]any{"1"}, 0, false},
	} {
		s := made(t, "evidence: {report: [{doctype: R, period: p, value: v, metrics: {support.metric.sla: x}}]}",
			doc{"doctype": "R", "name": "r", "p": "2026-W45", "v": tt.text})
		switch {
		case len(s.Reports) == 0:
			if tt.ok {
				t.Errorf("%v: no report", tt.text)
			}
		case s.Reports[0].Value != tt.want || s.Reports[0].HasValue != tt.ok:
			t.Errorf("%v is %v (%t), want %v (%t)", tt.text, s.Reports[0].Value, s.Reports[0].HasValue, tt.want, tt.ok)
		}
	}
}

func TestASignOffClosedInBulkIsNotProvenByAnyMail(t *testing.T) {
	t.Parallel()
	const mapping = "evidence: {sign_off.uat: [{doctype: Task, where: {type: UAT}, done: {status: Completed}, date: completed_on, proof: [mail]}]}"
	base := []map[string]any{
		{"doctype": "Project", "name": "P", "customer": "Acme"},
		{"doctype": "Contact", "name": "C", "email_id": "b@acme.example", "links": []doc{{"link_doctype": "Customer", "link_name": "Acme"}}},
		{"doctype": "Task", "name": "T", "project": "P", "type": "UAT", "status": "Completed"}, // no completed_on
	}
	mail := func(name, doctype, on, at string) map[string]any {
		return doc{
			"doctype": "Communication", "name": name, "sent_or_received": "Received", "communication_medium": "Email", "sender": "b@acme.example",
			"communication_date": at, "reference_doctype": doctype, "reference_name": on,
		}
	}
	s := made(t, mapping, append(base[:3:3], mail("m", "Project", "P", "2026-11-03 10:00:00"))...)
	if so := s.SignOffs[0]; !so.Done || so.Proven || !so.On.IsZero() {
		t.Errorf("a mail on the project: %+v, want no proof and no day", so)
	}
	s = made(t, mapping, append(base[:3:3], mail("m", "Task", "T", "2026-11-03 10:00:00"))...)
	if so := s.SignOffs[0]; !so.Proven || so.On != day("2026-11-03") {
		t.Errorf("a mail on the task: %+v, want proven on its day", so)
	}
	base[2]["completed_on"] = "2026-11-10"
	s = made(t, mapping, append(base[:3:3], mail("m", "Project", "P", "2026-11-17 10:00:00"), mail("n", "Project", "P", "2026-11-18 10:00:00"))...)
	if so := s.SignOffs[0]; !so.Proven || len(so.Proof) != 1 || so.Proof[0].Name != "m" || so.On != day("2026-11-10") {
		t.Errorf("seven days after it, and eight: %+v, want the first as proof", so)
	}
}

func TestAgreementsOfHelpdeskAndCRM(t *testing.T) {
	t.Parallel()
	s := made(t, "",
		doc{
			"doctype": "HD Service Level Agreement", "name": "Default", "enabled": 1, "default_sla": 1, "holiday_list": "HD", "apply_sla_for_resolution": 0,
			"support_and_resolution": []doc{{"workday": "Monday", "start_time": "13:00:00", "end_time": "17:30:00"}, {"workday": "Monday", "start_time": "8:00:00", "end_time": "12:00:00"}, {"workday": "Sunday", "start_time": "0:00:00", "end_time": "23:59:59"}, {"workday": "Friday", "start_time": "9:00:00", "end_time": "9:00:00"}},
			"priorities":             []doc{{"priority": "High", "response_time": 1800, "resolution_time": 7200}},
		},
		doc{
			"doctype": "CRM Service Level Agreement", "name": "Leads", "enabled": 1, "apply_on": "CRM Lead", "holiday_list": "CRM",
			"working_hours": []doc{{"workday": "Tuesday", "start_time": "09:00:00", "end_time": "18:00:00"}},
			"priorities":    []doc{{"priority": "High", "first_response_time": 600}},
		},
		doc{"doctype": "HD Service Holiday List", "name": "HD", "from_date": "2026-01-01", "to_date": "2026-12-31", "holidays": []doc{{"holiday_date": "2026-12-25"}, {"holiday_date": "2026-01-01"}, {"holiday_date": "2026-12-25"}, {"holiday_date": "soon"}}},
		doc{"doctype": "CRM Holiday List", "name": "CRM", "holidays": []doc{{"date": "2026-01-01"}}})
	check(t, s.Agreements,
		evidence.Agreement{
			Ref: named("CRM Service Level Agreement", "Leads"), Doctype: "CRM Lead", Enabled: true, HolidayList: "CRM",
			Hours:      [7][]evidence.Hours{2: {{From: 9 * 60, To: 18 * 60}}},
			Priorities: []evidence.AgreementPriority{{Priority: "High", Response: 10 * time.Minute}},
		},
		evidence.Agreement{
			Ref: named("HD Service Level Agreement", "Default"), Doctype: "HD Ticket", Enabled: true, Default: true, HolidayList: "HD",
			Hours:      [7][]evidence.Hours{0: {{From: 0, To: 24 * 60}}, 1: {{From: 8 * 60, To: 12 * 60}, {From: 13 * 60, To: 17*60 + 30}}},
			Priorities: []evidence.AgreementPriority{{Priority: "High", Response: 30 * time.Minute}}, // only the reply is promised
		})
	check(t, s.Calendars,
		evidence.Calendar{Ref: named("CRM Holiday List", "CRM"), Holidays: []evidence.Date{day("2026-01-01")}},
		evidence.Calendar{Ref: named("HD Service Holiday List", "HD"), From: day("2026-01-01"), To: day("2026-12-31"), Holidays: []evidence.Date{day("2026-01-01"), day("2026-12-25")}})
}

// What every site ships with proves nothing, nor does what is switched off.
func TestWhatThePartnerSetUp(t *testing.T) {
	t.Parallel()
	docs := []map[string]any{
		{"doctype": "Notification", "name": "Own", "enabled": 1, "document_type": "Task"},
		{"doctype": "Notification", "name": "Shipped", "enabled": 1, "is_standard": 1, "document_type": "Task"},
		{"doctype": "Notification", "name": "Off", "enabled": 0, "document_type": "Task"},
		{"doctype": "Assignment Rule", "name": "Off", "disabled": 1, "document_type": "Issue"},
		{"doctype": "Assignment Rule", "name": "On", "disabled": 0, "document_type": "Lead"},
		{"doctype": "Service Level Agreement", "name": "SLA", "enabled": 1, "document_type": "Issue"},
		{"doctype": "HD Service Level Agreement", "name": "HD", "enabled": 1},
		{"doctype": "Dashboard", "name": "Shipped", "is_standard": 1, "charts": []doc{{"chart": "c"}}, "cards": []doc{{"card": "n"}}},
		{"doctype": "Dashboard Chart", "name": "c", "document_type": "Issue"},
		{"doctype": "Number Card", "name": "n", "document_type": "Project"},
		{"doctype": "Insights Dashboard v3", "name": "i", "title": "Sales funnel"},
	}
	controls := func(s evidence.Snapshot) []string {
		var out []string
		for _, c := range s.Controls {
			out = append(out, c.Name+" "+string(c.Department))
		}
		return out
	}
	const mapping = `evidence: {dashboard.sales: [{doctype: Insights Dashboard v3, where: {title: "*sales*"}}]}`
	s := made(t, mapping, docs...)
	wantLines(t, "controls", controls(s), "On sales", "HD support", "Own implementation", "SLA support")
	check(t, s.Dashboards,
		evidence.Dashboard{Ref: named("Dashboard", "Shipped"), Title: "Shipped", Standard: true, Charts: 2, Departments: []evidence.Department{evidence.Implementation, evidence.Support}},
		evidence.Dashboard{Ref: named("Insights Dashboard v3", "i"), Title: "Sales funnel", Departments: []evidence.Department{evidence.Sales}})
	// An agreement is idle on a site that does not track agreements.
	s = made(t, mapping, append(docs, doc{"doctype": "Support Settings", "name": "Support Settings", "track_service_level_agreement": 0})...)
	wantLines(t, "controls without tracking", controls(s), "On sales", "HD support", "Own implementation")
}
