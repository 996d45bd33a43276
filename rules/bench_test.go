package rules_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/packs"
)

var asOf = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// large is a partner with about n documents: tasks, tickets, mails, sign-offs,
// sales and a year of reports.
func large(n int) *evidence.Snapshot {
	day := evidence.DateIn(asOf, time.UTC)
	s := &evidence.Snapshot{Partner: "large", AsOf: asOf, Zone: "Europe/Berlin", Sites: []evidence.Site{{Key: "erp", URL: "https://erp.example"}}, Channels: map[string]evidence.Channel{}}
	ref := func(doctype string, i int) evidence.Ref {
		at := asOf.AddDate(0, 0, -(i%360)-1)
		return evidence.Ref{Site: "erp", Doctype: doctype, Name: fmt.Sprintf("%s-%06d", doctype, i), Created: at, Modified: at, Seen: at, Hash: fmt.Sprintf("%064x", i)}
	}
	projects := max(10, n/250)
	for i := range projects {
		p := fmt.Sprintf("Project-%06d", i)
		status := "Open"
		if i%3 == 0 {
			status = "Completed"
		}
		c := fmt.Sprintf("Customer %d", i)
		s.Projects = append(s.Projects, evidence.Project{Ref: ref("Project", i), Title: "Rollout", Status: status, Customer: c, Template: "T", SalesOrder: fmt.Sprintf("Sales Order-%06d", i), ExpectedStart: day.AddDays(-200), ExpectedEnd: day.AddDays(60 - i%100)})
		s.Orders = append(s.Orders, evidence.Order{Ref: ref("Sales Order", i), Project: p, Submitted: true, Quotations: []string{fmt.Sprintf("Quotation-%06d", i)}})
		s.Quotations = append(s.Quotations, evidence.Quotation{Ref: ref("Quotation", i), Party: c, PartyType: "Customer", Submitted: true, On: day.AddDays(-i % 80), Won: day.AddDays(-i % 70), Order: fmt.Sprintf("Sales Order-%06d", i)})
		s.Leads = append(s.Leads, evidence.Lead{Ref: ref("Lead", i), Customer: c, Received: asOf.AddDate(0, 0, -i%80), FirstResponse: asOf.AddDate(0, 0, -i%80).Add(time.Hour)})
		s.Invoices = append(s.Invoices, evidence.Invoice{Ref: ref("Sales Invoice", i), Projects: []string{p}, On: day.AddDays(-190), Submitted: true})
		for k, kind := range []evidence.SignOffKind{evidence.SignOffBRD, evidence.SignOffUAT, evidence.SignOffTraining, evidence.SignOffGoLive} {
			s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: ref("Sign-off", 4*i+k), Project: p, Kind: kind, Done: i%5 != k, Proven: true, On: day.AddDays(-150 + 20*k)})
		}
		s.Meetings = append(s.Meetings, evidence.Meeting{Ref: ref("Meeting", i), Kind: evidence.MeetingKickOff, Project: p, Held: true, On: day.AddDays(-185)})
	}
	for w := range 40 {
		s.Meetings = append(s.Meetings, evidence.Meeting{Ref: ref("Meeting", 900000+w), Kind: evidence.MeetingAllHands, Held: true, On: day.AddDays(-7 * w)})
		for m, id := range []string{measure.OverduePct, measure.SLA, measure.Conversion, measure.DemoFeedback, measure.SalesFeedback, measure.TicketFeedback} {
			s.Reports = append(s.Reports, evidence.MetricReport{Ref: ref("Weekly Metric", 10*w+m), Metric: id, Period: evidence.Period{Week: day.Week().Add(-w)}, Value: 10, HasValue: true, On: day.AddDays(-7 * w)})
		}
		s.Actions = append(s.Actions, evidence.Action{Ref: ref("Quality Action", w), Kind: evidence.Corrective, Metric: measure.SLA, On: day.AddDays(-7 * w), Cause: "why", Review: ref("Quality Review", w)})
	}
	for i := len(s.Projects) * 9; i < n*6/10; i++ {
		t := evidence.Task{Ref: ref("Task", i), Project: fmt.Sprintf("Project-%06d", i%projects), Subject: "Set up", Status: "Open", Start: day.AddDays(-i % 100), Due: day.AddDays(40 - i%90), TemplateTask: fmt.Sprintf("TT-%d", i%30)}
		if i%2 == 0 {
			t.Status, t.Completed = "Completed", day.AddDays(-i%60)
		}
		s.Tasks = append(s.Tasks, t)
	}
	for i := range n * 2 / 10 {
		opened := asOf.AddDate(0, 0, -i%300).Add(-time.Hour)
		s.Tickets = append(s.Tickets, evidence.Ticket{
			Ref: ref("Issue", i), Customer: fmt.Sprintf("Customer %d", i%projects), Opened: opened, FirstResponse: opened.Add(time.Hour), ResponseDue: opened.Add(2 * time.Hour),
			Resolved: opened.Add(10 * time.Hour), ResolutionDue: opened.Add(time.Duration(i%20) * time.Hour), Closed: true, Agreement: "S", Assignees: []string{"a"}, Stars: float64(i%5 + 1), Rated: i%3 == 0,
		})
	}
	for i := range n * 2 / 10 {
		s.Messages = append(s.Messages, evidence.Message{Ref: ref("Communication", i), Sent: true, ToCustomer: true, Kinds: []string{"status"}, At: asOf.AddDate(0, 0, -i%200), Project: fmt.Sprintf("Project-%06d", i%projects), Subject: "Status"})
	}
	for _, k := range []string{"project", "ticket", "deal", "handover", "kick_off", "steering", "all_hands", "report", "action", "plan", "status", "scope", "bant", "sign_off.brd", "sign_off.uat", "sign_off.training", "sign_off.go_live", "sign_off.schedule"} {
		s.Channels[k] = evidence.Channel{Mapped: true, Authoritative: true, Streams: []string{"Project"}}
	}
	for _, st := range []string{"Project", "Task", "Issue", "Sales Invoice", "Sales Order", "Communication", "Lead", "Quotation", "Service Level Agreement", "Assignment Rule", "Notification"} {
		s.Coverage = append(s.Coverage, evidence.Coverage{Site: "erp", Stream: st, Complete: true, LastSuccess: asOf, LastComplete: asOf})
	}
	return s
}

func documents(s *evidence.Snapshot) int {
	return len(s.Projects) + len(s.Orders) + len(s.Quotations) + len(s.Leads) + len(s.Invoices) + len(s.SignOffs) + len(s.Meetings) + len(s.Reports) + len(s.Actions) + len(s.Tasks) + len(s.Tickets) + len(s.Messages)
}

// BenchmarkBothPacks judges a partner of 50,000 documents by both packs.
func BenchmarkBothPacks(b *testing.B) {
	s := large(50_000)
	ps := builtin(b)
	in := rules.Input{Snapshot: s, Metrics: measure.All(s, measure.Options{}), Samples: rules.ContinuousSamples(s)}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range ps {
			in.Kind = rules.Continuous
			if p.ID.Name == "escalation" {
				in.Kind, in.Target = rules.Escalation, rules.Target{Project: "Project-000001", Site: "erp", Stage: evidence.Implementation}
			}
			if _, err := rules.Judge(p, in); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(documents(s)), "documents")
}

// BenchmarkCollect gathers the evidence of an audit of a partner of 50,000
// documents.
func BenchmarkCollect(b *testing.B) {
	s := large(50_000)
	a := rules.Assessment{Key: "large-audit-adt-0001", Kind: rules.Audit, Samples: rules.Samples(s, []byte("seed"), rules.MinSample)}
	for i := range 40 {
		v := rules.Verdict{Criterion: fmt.Sprintf("impl.c%02d", i), Department: evidence.Implementation}
		for _, t := range s.Tasks[500*i : 500*i+500] {
			v.Evidence = append(v.Evidence, t.Ref)
		}
		a.Verdicts = append(a.Verdicts, v)
	}
	pieces := 0
	b.ReportAllocs()
	for b.Loop() {
		out, _ := rules.Collect(s, a)
		pieces = len(out)
	}
	b.ReportMetric(float64(pieces), "pieces")
}

// BenchmarkSimplestPredicate evaluates the simplest question over 100,000
// entries; one operation is one entry.
func BenchmarkSimplestPredicate(b *testing.B) {
	const entries = 100_000
	p, err := rules.ParsePack("small.yaml", []byte(`name: small
version: "1"
criteria:
  - {id: impl.open, title: open, department: implementation, severity: NC, for_each: projects, as: p, pass: p.open, expected: open}
`))
	if err != nil {
		b.Fatal(err)
	}
	s := &evidence.Snapshot{Partner: "p", AsOf: asOf, Zone: "UTC"}
	for i := range entries {
		s.Projects = append(s.Projects, evidence.Project{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: fmt.Sprint(i)}, Status: "Open", Customer: "C"})
	}
	eval, err := rules.Evaluator(p, s)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		eval()
	}
}

// BenchmarkLoadPacks reads, checks and compiles both packs.
func BenchmarkLoadPacks(b *testing.B) {
	for b.Loop() {
		if _, err := rules.Load(packs.Files); err != nil {
			b.Fatal(err)
		}
	}
}
