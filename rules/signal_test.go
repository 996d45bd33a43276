package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

var (
	signalAsOf = time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	escalated  = time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)
)

func at(month time.Month, day, hour, minute int) time.Time {
	return time.Date(2026, month, day, hour, minute, 0, 0, time.UTC)
}

func ref(doctype, name string, created time.Time) evidence.Ref {
	return evidence.Ref{Site: "erp", Doctype: doctype, Name: name, Created: created}
}

func delivery() *evidence.Snapshot {
	return &evidence.Snapshot{
		Partner: "acme", AsOf: signalAsOf, Zone: "UTC", Sites: []evidence.Site{{Key: "erp", Zone: "UTC"}},
		Projects: []evidence.Project{
			{Ref: ref("Project", "P1", at(1, 5, 9, 0)), Status: "Open", Customer: "C1"},
			{Ref: ref("Project", "P2", at(1, 5, 9, 0)), Status: "Open"},
		},
	}
}

func dueMove(task string, when time.Time, from, to string) evidence.Change {
	return evidence.Change{Ref: ref("Task", task, time.Time{}), Field: "exp_end_date", From: from, To: to, At: when, By: "pm@acme.example"}
}

func schedule(on evidence.Date) evidence.SignOff {
	return evidence.SignOff{Ref: ref("Task", "SCHED", time.Time{}), Project: "P1", Kind: evidence.SignOffSchedule, Done: true, On: on}
}

func weekReport(name string, week int, created time.Time, remark string) evidence.MetricReport {
	return evidence.MetricReport{
		Ref: ref("Weekly Metric", name, created), Metric: "impl.metric.overdue_pct", Value: 5, HasValue: true, Remark: remark,
		Period: evidence.Period{Week: evidence.Week{Year: 2026, Number: week}}, On: evidence.DateIn(created, time.UTC),
	}
}

func coverage(streams ...string) (out []evidence.Coverage) {
	for _, s := range streams {
		out = append(out, evidence.Coverage{Site: "erp", Stream: s, Complete: true})
	}
	return out
}

// Every signal of the procedure, once raised and once explained.
func TestSignals(t *testing.T) {
	t.Parallel()
	proof := ref("File", "scan.pdf", at(8, 5, 15, 0))
	signOff := func(s *evidence.SignOff) {
		*s = evidence.SignOff{Ref: ref("Task", "BRD", at(1, 5, 9, 0)), Project: "P1", Kind: evidence.SignOffBRD, Done: true, On: day(2026, 8, 4), Proven: true, Proof: []evidence.Ref{proof}}
	}
	tests := []struct {
		name string
		o    rules.Occasion
		give func(*evidence.Snapshot)
		want []string // "rule subject"
	}{
		{"nothing", rules.Occasion{}, func(*evidence.Snapshot) {}, nil},

		{"entered after the escalation, dated before", rules.Occasion{Escalated: escalated}, func(s *evidence.Snapshot) {
			s.Meetings = []evidence.Meeting{{Ref: ref("Event", "E1", at(11, 6, 9, 0)), Project: "P1", Kind: evidence.MeetingSteering, Held: true, On: day(2026, 9, 3)}}
		}, []string{"backdated E1"}},
		{"entered before the escalation", rules.Occasion{Escalated: escalated}, func(s *evidence.Snapshot) {
			s.Meetings = []evidence.Meeting{{Ref: ref("Event", "E1", at(11, 5, 9, 59)), Project: "P1", Held: true, On: day(2026, 9, 3)}}
		}, nil},
		{"held on the day of the escalation", rules.Occasion{Escalated: escalated}, func(s *evidence.Snapshot) {
			s.Meetings = []evidence.Meeting{{Ref: ref("Event", "E1", at(11, 5, 12, 0)), Project: "P1", Held: true, On: day(2026, 11, 5)}}
		}, nil},
		{"said to be entered late", rules.Occasion{Escalated: escalated}, func(s *evidence.Snapshot) {
			s.Meetings = []evidence.Meeting{{Ref: ref("Event", "E1", at(11, 6, 9, 0)), Title: "Steering (entered late)", Project: "P1", Held: true, On: day(2026, 9, 3)}}
		}, nil},
		{"of another project than the escalated one", rules.Occasion{Escalated: escalated, Project: "P9"}, func(s *evidence.Snapshot) {
			s.Meetings = []evidence.Meeting{{Ref: ref("Event", "E1", at(11, 6, 9, 0)), Project: "P1", Held: true, On: day(2026, 9, 3)}}
		}, nil},
		{"company's report in the scope of an escalation", rules.Occasion{Escalated: escalated, Project: "P9"}, func(s *evidence.Snapshot) {
			s.Reports = []evidence.MetricReport{weekReport("R40", 40, at(11, 6, 8, 0), "")}
		}, []string{"backdated R40"}},
		{"training entered after the audit was announced", rules.Occasion{Announced: escalated}, func(s *evidence.Snapshot) {
			s.Trainings = []evidence.Training{{Ref: ref("Training Event", "TE", at(11, 9, 8, 0)), Held: true, On: day(2026, 2, 3)}}
		}, []string{"backdated TE"}},
		{"report typed within its grace", rules.Occasion{Announced: at(11, 2, 9, 0)}, func(s *evidence.Snapshot) {
			s.Reports = []evidence.MetricReport{weekReport("R44", 44, at(11, 3, 8, 0), "")}
		}, nil},
		{"completion day entered after the escalation", rules.Occasion{Escalated: escalated, Project: "P1", Site: "erp"}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(1, 5, 9, 0)), Project: "P1", Status: "Completed", Completed: day(2026, 10, 1)}}
			s.Changes = []evidence.Change{{Ref: ref("Task", "T1", time.Time{}), Field: "completed_on", To: "2026-10-01", At: at(11, 8, 9, 0)}}
		}, []string{"backdated T1"}},
		{"completion day entered when it happened", rules.Occasion{Escalated: escalated}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(1, 5, 9, 0)), Project: "P1", Status: "Completed", Completed: day(2026, 11, 8)}}
			s.Changes = []evidence.Change{{Ref: ref("Task", "T1", time.Time{}), Field: "completed_on", To: "2026-11-08", At: at(11, 8, 9, 0)}}
		}, nil},
		{"proof uploaded after the escalation", rules.Occasion{Escalated: escalated, Project: "P1"}, func(s *evidence.Snapshot) {
			s.SignOffs = make([]evidence.SignOff, 1)
			signOff(&s.SignOffs[0])
			s.SignOffs[0].Proof = []evidence.Ref{ref("File", "new.pdf", at(11, 7, 8, 0)), proof}
		}, []string{"backdated new.pdf"}},

		{"contract, bill, answer and mail entered afterwards", rules.Occasion{Escalated: escalated, Project: "P1"}, func(s *evidence.Snapshot) {
			late, then := at(11, 7, 8, 0), day(2026, 9, 1)
			s.Contracts = []evidence.Contract{{Ref: ref("Contract", "CON", late), Signed: true, SignedOn: then, About: ref("Project", "P1", time.Time{})}}
			s.Invoices = []evidence.Invoice{
				{Ref: ref("Sales Invoice", "INV", late), Projects: []string{"P0", "P1"}, On: then},
				{Ref: ref("Sales Invoice", "other", late), Projects: []string{"P0"}, On: then},
			}
			s.Feedback = []evidence.Feedback{{Ref: ref("Customer Survey", "SUR", late), Project: "P1", On: then}}
			s.Messages = []evidence.Message{{Ref: ref("Communication", "MAIL", late), Project: "P1", At: at(9, 1, 9, 0)}}
			s.Actions = []evidence.Action{{Ref: ref("Quality Action", "QA", late), On: then}}
			s.Reviews = []evidence.Review{{Ref: ref("Quality Review", "QR", late), On: then, Filled: true}, {Ref: ref("Quality Review", "empty", late), On: then}}
		}, []string{"backdated QA", "backdated QR", "backdated MAIL", "backdated CON", "backdated SUR", "backdated INV"}},

		{"uploaded after the cutoff", rules.Occasion{Cutoff: at(11, 18, 9, 0)}, func(s *evidence.Snapshot) {
			s.Attachments = []evidence.Attachment{
				{Ref: ref("File", "late.pdf", at(11, 19, 9, 0)), Uploaded: at(11, 19, 9, 0), Kinds: []string{"plan"}, On: ref("Project", "P1", time.Time{})},
				{Ref: ref("File", "in time.pdf", at(11, 18, 9, 0)), Uploaded: at(11, 18, 9, 0), Kinds: []string{"plan"}},
				{Ref: ref("File", "other.pdf", at(11, 19, 9, 0)), Uploaded: at(11, 19, 9, 0)},
			}
		}, []string{"after_cutoff late.pdf"}},

		{"weekly reports typed in one go", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Reports = []evidence.MetricReport{weekReport("R42", 42, at(11, 9, 8, 4), ""), weekReport("R43", 43, at(11, 9, 8, 1), ""), weekReport("R44", 44, at(11, 9, 8, 2), "")}
		}, []string{"reports_at_once R42"}},
		{"reports a quarter of an hour and a minute apart", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Reports = []evidence.MetricReport{weekReport("R42", 42, at(11, 9, 8, 0), ""), weekReport("R43", 43, at(11, 9, 8, 16), "")}
		}, nil},
		{"two figures of one week", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Reports = []evidence.MetricReport{weekReport("R42", 42, at(11, 9, 8, 0), ""), weekReport("R42b", 42, at(11, 9, 8, 1), "")}
		}, nil},
		{"the missed week is admitted in the remark", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Reports = []evidence.MetricReport{weekReport("R43", 43, at(11, 9, 8, 0), "Forgot to report, entered late"), weekReport("R44", 44, at(11, 9, 8, 1), "")}
		}, nil},
		{"the missed week is admitted in an action", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Reports = []evidence.MetricReport{weekReport("R43", 43, at(11, 9, 8, 0), ""), weekReport("R44", 44, at(11, 9, 8, 1), "")}
			s.Actions = []evidence.Action{{Ref: ref("Quality Action", "A1", at(11, 6, 8, 0)), Metric: "impl.metric.overdue_pct", On: day(2026, 11, 6), Cause: "nobody was in"}}
		}, nil},

		{"end date moved after it had passed", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
			s.Changes = []evidence.Change{dueMove("T1", at(11, 10, 16, 0), "2026-11-06", "2026-11-27")}
		}, []string{"due_moved_after_lapse T1"}},
		{"end date removed after it had passed", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open"}}
			s.Changes = []evidence.Change{dueMove("T1", at(11, 10, 16, 0), "2026-11-06", "")}
		}, []string{"due_moved_after_lapse T1"}},
		{"moved on the very day: not passed yet", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
			s.Changes = []evidence.Change{dueMove("T1", at(11, 6, 16, 0), "2026-11-06", "2026-11-27")}
		}, []string{"due_moved_unsigned T1"}},
		{"the customer signed the new schedule", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
			s.Changes = []evidence.Change{dueMove("T1", at(11, 10, 16, 0), "2026-11-06", "2026-11-27")}
			s.SignOffs = []evidence.SignOff{schedule(day(2026, 11, 12))}
		}, nil},
		{"a schedule signed long before covers nothing", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
			s.Changes = []evidence.Change{dueMove("T1", at(11, 10, 16, 0), "2026-11-06", "2026-11-27")}
			s.SignOffs = []evidence.SignOff{schedule(day(2026, 10, 10))}
		}, []string{"due_moved_after_lapse T1"}},
		{"moved nearer, internal project, or completed before", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{
				{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 1)},
				{Ref: ref("Task", "T2", at(5, 1, 9, 0)), Project: "P2", Status: "Open", Due: day(2026, 11, 27)},
				{Ref: ref("Task", "T3", at(5, 1, 9, 0)), Project: "P1", Status: "Completed", Completed: day(2026, 11, 5), Due: day(2026, 11, 27)},
			}
			s.Changes = []evidence.Change{dueMove("T1", at(11, 10, 16, 0), "2026-11-06", "2026-11-01"), dueMove("T2", at(11, 10, 16, 0), "2026-11-06", "2026-11-27"), dueMove("T3", at(11, 10, 16, 0), "2026-11-06", "2026-11-27")}
		}, nil},
		{"moved ahead eight days after the task was made", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
			s.Changes = []evidence.Change{dueMove("T1", at(5, 9, 9, 0), "2026-07-06", "2026-11-27")}
		}, []string{"due_moved_unsigned T1"}},
		{"dates set while the project was planned", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
			s.Changes = []evidence.Change{dueMove("T1", at(5, 8, 9, 0), "2026-07-06", "2026-11-27")}
		}, nil},
		{"the site moved it behind another task", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{
				{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)},
				{Ref: ref("Task", "T2", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 28), DependsOn: []string{"T1"}},
			}
			s.Changes = []evidence.Change{dueMove("T1", at(11, 10, 16, 0), "2026-11-06", "2026-11-27"), dueMove("T2", at(11, 10, 16, 0), "2026-11-07", "2026-11-28")}
		}, []string{"due_moved_after_lapse T1"}},
		{"one move seen twice, by the site and by us", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
			own := dueMove("T1", at(11, 10, 16, 30), "2026-11-06", "2026-11-27")
			own.Own = true
			s.Changes = []evidence.Change{own, dueMove("T1", at(11, 10, 16, 0), "2026-11-06", "2026-11-27")}
		}, []string{"due_moved_after_lapse T1"}},

		{"rating raised after it was given", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Feedback = []evidence.Feedback{{Ref: ref("Customer Survey", "S1", at(9, 1, 9, 0)), Kind: evidence.FeedbackDemo, Stars: 5, Rated: true}}
			s.Changes = []evidence.Change{{Ref: ref("Customer Survey", "S1", time.Time{}), Field: "stars", From: "0.4", To: "1", At: at(9, 3, 9, 0)}}
		}, []string{"feedback_edited S1"}},
		{"rating given for the first time", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tickets = []evidence.Ticket{{Ref: ref("Issue", "I1", at(9, 1, 9, 0)), Stars: 5, Rated: true}}
			s.Changes = []evidence.Change{{Ref: ref("Issue", "I1", time.Time{}), Field: "custom_stars", From: "0", To: "1", At: at(9, 3, 9, 0)}, {Ref: ref("Issue", "I1", time.Time{}), Field: "hours", From: "1", To: "2", At: at(9, 3, 9, 0)}}
		}, nil},

		{"clock of a ticket started anew", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tickets = []evidence.Ticket{{Ref: ref("Issue", "I1", at(9, 1, 9, 0)), Agreement: "A", Opened: at(9, 1, 9, 0)}}
			s.Changes = []evidence.Change{{Ref: ref("Issue", "I1", time.Time{}), Field: "service_level_agreement_creation", From: "2026-09-01 09:00:00", To: "2026-09-03 09:00:00", At: at(9, 3, 9, 0)}}
		}, []string{"sla_reset I1"}},
		{"due date moved when it had passed", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tickets = []evidence.Ticket{{Ref: ref("Issue", "I1", at(9, 1, 9, 0)), Agreement: "A", Opened: at(9, 1, 9, 0)}}
			s.Changes = []evidence.Change{{Ref: ref("Issue", "I1", time.Time{}), Field: "sla_resolution_by", From: "2026-09-02 09:00:00", To: "2026-09-05 09:00:00", At: at(9, 3, 9, 0)}}
		}, []string{"sla_reset I1"}},
		{"due date moved in time, or by a pause", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tickets = []evidence.Ticket{
				{Ref: ref("Issue", "I1", at(9, 1, 9, 0)), Agreement: "A", Opened: at(9, 1, 9, 0)},
				{Ref: ref("Issue", "I2", at(9, 1, 9, 0)), Agreement: "A", Opened: at(9, 1, 9, 0), Hold: time.Hour},
			}
			for _, c := range []evidence.Change{
				{Ref: ref("Issue", "I1", time.Time{}), From: "2026-09-04 09:00:00", To: "2026-09-05 09:00:00", At: at(9, 3, 9, 0)},
				{Ref: ref("Issue", "I2", time.Time{}), From: "2026-09-02 09:00:00", To: "2026-09-05 09:00:00", At: at(9, 3, 9, 0)},
			} {
				c.Field = "sla_resolution_by"
				s.Changes = append(s.Changes, c)
			}
		}, nil},
		{"the site noted the reset", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Tickets = []evidence.Ticket{{Ref: ref("Issue", "I1", at(9, 1, 9, 0)), Agreement: "A", Opened: at(9, 1, 9, 0)}}
			s.Changes = []evidence.Change{{Ref: ref("Issue", "I1", time.Time{}), Field: "sla_reset", At: at(9, 3, 9, 0)}}
		}, []string{"sla_reset I1"}},

		{"proof deleted months later", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.SignOffs = make([]evidence.SignOff, 1)
			signOff(&s.SignOffs[0])
			s.Deletions = []evidence.Deletion{{Ref: proof, At: at(10, 20, 13, 44), By: "x@acme.example"}}
		}, []string{"deleted scan.pdf"}},
		{"deleted beside the escalated project", rules.Occasion{Escalated: escalated, Project: "P1"}, func(s *evidence.Snapshot) {
			s.Deletions = []evidence.Deletion{{Ref: proof, At: at(10, 20, 13, 44)}, {Ref: ref("Quality Review", "QR", at(9, 1, 9, 0)), At: at(10, 20, 13, 44)}}
		}, []string{"deleted QR"}},
		{"slip corrected, or renamed", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Deletions = []evidence.Deletion{
				{Ref: ref("Task", "T7", at(9, 22, 10, 1)), At: at(9, 22, 10, 12)},
				{Ref: ref("Task", "T8", at(1, 1, 10, 1)), At: at(9, 22, 10, 12), RenamedTo: "T8-A"},
			}
		}, nil},
		{"gone without a trace within the hour", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Deletions = []evidence.Deletion{{Ref: ref("Task", "T7", at(9, 22, 10, 1)), At: at(9, 22, 10, 12), Permanent: true}}
		}, []string{"deleted T7"}},

		{"sign-off file replaced", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.SignOffs = make([]evidence.SignOff, 1)
			signOff(&s.SignOffs[0])
			s.SignOffs[0].Replaced = true
			s.Changes = []evidence.Change{{Ref: proof, Field: "content_hash", From: "aa", To: "bb", At: at(10, 1, 9, 0), Own: true}}
		}, []string{"signoff_replaced BRD"}},
		{"another file with other content", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Changes = []evidence.Change{{Ref: proof, Field: "content_hash", From: "aa", To: "bb", At: at(10, 1, 9, 0), Own: true}}
		}, []string{"content_changed scan.pdf"}},

		{"a change that left no version", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Projects[0].Customer = "" // its moved dates are not what this is about
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1"}, {Ref: ref("Task", "T2", at(5, 1, 9, 0)), Project: "P1"}}
			own := dueMove("T2", at(11, 1, 9, 0), "2026-11-06", "2026-11-27")
			own.Own = true
			label := evidence.Change{Ref: ref("Task", "T2", time.Time{}), Field: "status", From: "Open", To: "Overdue", At: at(11, 1, 9, 0), Own: true}
			s.Changes = []evidence.Change{dueMove("T1", at(6, 1, 9, 0), "2026-11-06", "2026-11-01"), own, {Ref: ref("Task", "T1", time.Time{}), Field: "status", From: "Open", To: "Working", At: at(6, 1, 9, 0)}, label}
		}, []string{"tracking_off T2"}},
		{"a site that never recorded any", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Projects[0].Customer = ""
			s.Tasks = []evidence.Task{{Ref: ref("Task", "T2", at(5, 1, 9, 0)), Project: "P1"}}
			own := dueMove("T2", at(11, 1, 9, 0), "2026-11-06", "2026-11-27")
			own.Own = true
			s.Changes = []evidence.Change{own}
		}, nil},
		{"tracking switched off", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Changes = []evidence.Change{{Ref: ref("Property Setter", "Task-main-track_changes", time.Time{}), Field: "track_changes", From: "1", To: "0", At: at(11, 1, 9, 0)}}
		}, []string{"tracking_off Task-main-track_changes"}},

		{"a ticket's number is missing", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Coverage = coverage("Issue")
			for _, n := range []int{1, 2, 3, 5, 6, 7} {
				s.Tickets = append(s.Tickets, evidence.Ticket{Ref: ref("Issue", fmt.Sprintf("ISS-2026-%05d", n), at(9, n, 9, 0))})
			}
		}, []string{"series_gap ISS-2026-00001"}},
		{"the missing number's deletion is on record", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Coverage = coverage("Issue")
			for _, n := range []int{1, 2, 3, 5, 6, 7} {
				s.Tickets = append(s.Tickets, evidence.Ticket{Ref: ref("Issue", fmt.Sprintf("ISS-2026-%05d", n), at(9, n, 9, 0))})
			}
			s.Deletions = []evidence.Deletion{{Ref: ref("Issue", "ISS-2026-00004", at(9, 4, 9, 0)), At: at(9, 4, 9, 5)}}
		}, nil},
		{"renamed with a suffix, and unpadded numbers", rules.Occasion{}, func(s *evidence.Snapshot) {
			s.Coverage = coverage("Task", "HD Ticket")
			for _, n := range []string{"TASK-0001", "TASK-0002-A", "TASK-0003", "TASK-0004", "TASK-0005", "TASK-0006"} {
				s.Tasks = append(s.Tasks, evidence.Task{Ref: ref("Task", n, at(9, 1, 9, 0))})
			}
			for n := 7; n < 14; n++ {
				if n != 9 {
					s.Tickets = append(s.Tickets, evidence.Ticket{Ref: ref("HD Ticket", fmt.Sprint(n), at(9, 1, 9, 0))})
				}
			}
			s.Deletions = []evidence.Deletion{{Ref: ref("HD Ticket", "9", at(9, 4, 9, 0)), At: at(9, 4, 9, 5)}}
		}, nil},
		{"rows that may be hidden make no gap", rules.Occasion{}, func(s *evidence.Snapshot) {
			for _, n := range []int{1, 2, 3, 5, 6, 7} {
				s.Tickets = append(s.Tickets, evidence.Ticket{Ref: ref("Issue", fmt.Sprintf("ISS-2026-%05d", n), at(9, n, 9, 0))})
			}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := delivery()
			tt.give(s)
			var got []string
			for _, sig := range rules.Signals(s, tt.o) {
				got = append(got, sig.Rule+" "+sig.Subject.Name)
				if sig.Says[0] == "" || sig.Says[1] == "" || sig.Says[0] == sig.Says[1] || len(sig.Refs) == 0 {
					t.Errorf("%+v does not set two facts against each other", sig)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("signals (-want +got):\n%s", diff)
			}
		})
	}
}

// The two facts stand there in words that accuse nobody.
func TestSignalSaysTwoFacts(t *testing.T) {
	t.Parallel()
	s := delivery()
	s.Tasks = []evidence.Task{{Ref: ref("Task", "T1", at(5, 1, 9, 0)), Project: "P1", Status: "Open", Due: day(2026, 11, 27)}}
	s.Changes = []evidence.Change{dueMove("T1", at(11, 10, 16, 5), "2026-11-06", "2026-11-27")}
	s.Zone = "Europe/Berlin"
	got := rules.Signals(s, rules.Occasion{})
	want := [2]string{
		"Task T1 was to end on 2026-11-06 and was not completed by then.",
		"Its end date was moved to 2026-11-27 on 2026-11-10 17:05, without a signed schedule change.",
	}
	if len(got) != 1 || got[0].Says != want || got[0].Project != "P1" || !got[0].At.Equal(at(11, 10, 16, 5)) {
		t.Errorf("got %+v, want %q", got, want)
	}
}

func TestSignalMassCompletion(t *testing.T) {
	t.Parallel()
	audit := day(2026, 11, 18)
	tests := []struct {
		name        string
		late, early int
		status      bool // whether versions tell the hour
		hour        time.Time
		want        int
	}{
		{"ten in two days, none before", 10, 0, false, time.Time{}, 1},
		{"nine in two days", 9, 0, false, time.Time{}, 0},
		{"ten where three in two days are usual", 10, 140, false, time.Time{}, 0},
		{"ten where two in two days are usual", 10, 84, false, time.Time{}, 1},
		{"within 48 hours by the hour", 10, 0, true, at(11, 16, 0, 0), 1},
		{"a minute earlier", 10, 0, true, at(11, 15, 23, 59), 0},
		{"on the day of the audit", 10, 0, true, at(11, 18, 0, 0), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := delivery()
			for i := range tt.late {
				r := ref("Task", fmt.Sprint("L", i), at(5, 1, 9, 0))
				s.Tasks = append(s.Tasks, evidence.Task{Ref: r, Project: "P1", Status: "Completed", Completed: day(2026, 11, 17)})
				if tt.status {
					s.Changes = append(s.Changes, evidence.Change{Ref: r, Field: "status", From: "Open", To: "Completed", At: tt.hour})
				}
			}
			for i := range tt.early {
				s.Tasks = append(s.Tasks, evidence.Task{Ref: ref("Task", fmt.Sprint("E", i), at(5, 1, 9, 0)), Project: "P1", Status: "Completed", Completed: day(2026, 10, 5)})
			}
			got := rules.Signals(s, rules.Occasion{Audit: audit})
			if len(got) != tt.want || tt.want == 1 && (got[0].Rule != rules.SignalMassCompletion || len(got[0].Refs) != tt.late) {
				t.Errorf("%d signals, want %d: %+v", len(got), tt.want, got)
			}
		})
	}
}

// A hundred thousand of one kind end in a hundred, the last of which counts the
// rest; records out of order change nothing.
func TestSignalsAreCappedAndSorted(t *testing.T) {
	t.Parallel()
	s := delivery()
	const n = 2_000
	for i := range n {
		s.Deletions = append(s.Deletions, evidence.Deletion{Ref: ref("Issue", fmt.Sprintf("X%05d", i), at(5, 1, 9, 0)), At: at(9, 1, 9, 0)})
	}
	want := rules.Signals(s, rules.Occasion{})
	if len(want) != 100 || !strings.Contains(want[99].Says[1], "And 1900 more") {
		t.Fatalf("%d signals, the last says %q", len(want), want[len(want)-1].Says[1])
	}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(n, func(i, j int) { s.Deletions[i], s.Deletions[j] = s.Deletions[j], s.Deletions[i] })
	if diff := cmp.Diff(want, rules.Signals(s, rules.Occasion{})); diff != "" {
		t.Errorf("shuffled (-want +got):\n%s", diff)
	}
}

// One signal lists fifty records and counts the rest.
func TestSignalListsFiftyRecords(t *testing.T) {
	t.Parallel()
	s := delivery()
	for i := range 120 {
		s.Tasks = append(s.Tasks, evidence.Task{Ref: ref("Task", fmt.Sprintf("T%03d", i), at(5, 1, 9, 0)), Project: "P1", Status: "Completed", Completed: day(2026, 11, 17)})
	}
	got := rules.Signals(s, rules.Occasion{Audit: day(2026, 11, 18)})
	if len(got) != 1 || len(got[0].Refs) != 50 || !strings.Contains(got[0].Says[1], "it was 120") || !strings.Contains(got[0].Says[1], "70 more records") {
		t.Errorf("got %+v", got)
	}
}

func BenchmarkSignals(b *testing.B) {
	s := delivery()
	s.Coverage = coverage("Task")
	for i := range 25_000 {
		r := ref("Task", fmt.Sprintf("TASK-%06d", i), at(1, 1+i%300, 9, 0))
		s.Tasks = append(s.Tasks, evidence.Task{Ref: r, Project: "P1", Status: "Open", Due: day(2026, 1, i%360)})
		s.Changes = append(s.Changes, evidence.Change{Ref: r, Field: "exp_end_date", From: "2026-06-01", To: "2026-07-01", At: at(1, i%330, 9, 0), Own: i%2 == 0})
	}
	b.ReportAllocs()
	for b.Loop() {
		rules.Signals(s, rules.Occasion{Escalated: escalated, Audit: day(2026, 11, 18)})
	}
}

// Whatever a site says, signals come, in the same order, from any order.
func TestSignalsTakeAnything(t *testing.T) {
	t.Parallel()
	text := rapid.SampledFrom([]string{"", "2026-11-06", "2026-13-40", "1", "0.4", "NaN", "<b>", "\xff\xfe", "2026-09-02 09:00:00", "9999-12-31"})
	field := rapid.SampledFrom([]string{"exp_end_date", "completed_on", "status", "stars", "custom_stars", "sla_resolution_by", "sla_reset", "content_hash", "track_changes", ""})
	when := rapid.Map(rapid.IntRange(-1, 500), func(d int) time.Time {
		if d < 0 {
			return time.Time{}
		}
		return at(1, 1, 0, 0).AddDate(0, 0, d)
	})
	name := rapid.SampledFrom([]string{"A1", "A2", "A3", "A9", "", "A/1"})
	rapid.Check(t, func(t *rapid.T) {
		s := delivery()
		s.Coverage = coverage("Task", "Issue")
		r := func(doctype string) evidence.Ref { return ref(doctype, name.Draw(t, "name"), when.Draw(t, "created")) }
		seenTask := make(map[string]bool)
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			task := evidence.Task{Ref: r("Task"), Project: "P1", Status: "Completed", Completed: evidence.DateIn(when.Draw(t, "done"), time.UTC)}
			if !seenTask[task.Name] {
				seenTask[task.Name] = true
				s.Tasks = append(s.Tasks, task)
			}
			s.Deletions = append(s.Deletions, evidence.Deletion{Ref: r("File"), At: when.Draw(t, "deleted")})
			s.Changes = append(s.Changes, evidence.Change{Ref: r("Task"), Field: field.Draw(t, "field"), From: text.Draw(t, "from"), To: text.Draw(t, "to"), At: when.Draw(t, "at"), Own: rapid.Bool().Draw(t, "own")})
			s.Reports = append(s.Reports, weekReport("R"+fmt.Sprint(len(s.Reports)), rapid.IntRange(1, 53).Draw(t, "week"), when.Draw(t, "typed"), text.Draw(t, "remark")))
			s.Invoices = append(s.Invoices, evidence.Invoice{Ref: r("Sales Invoice"), On: evidence.DateIn(when.Draw(t, "on"), time.UTC)})
		}
		o := rules.Occasion{Escalated: when.Draw(t, "escalated"), Announced: when.Draw(t, "announced"), Cutoff: when.Draw(t, "cutoff"), Audit: day(2026, 11, 18)}
		want := rules.Signals(s, o)
		slices.Reverse(s.Tasks)
		slices.Reverse(s.Changes)
		slices.Reverse(s.Reports)
		if diff := cmp.Diff(want, rules.Signals(s, o)); diff != "" {
			t.Fatalf("another order, other signals (-want +got):\n%s", diff)
		}
	})
	if got := rules.Signals(nil, rules.Occasion{}); got != nil {
		t.Errorf("Signals(nil) = %v", got)
	}
}
