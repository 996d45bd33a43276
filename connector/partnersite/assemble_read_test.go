package partnersite_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

// What is kept of a site is much less than what it sends; the meaning must be
// the same. The site is read as its reader sees it, lists, timelines and all,
// and assembled beside the folder that it was made from. Left out is what this
// reader is not shown: which template a mail used, what a file holds, files and
// mails on records of no importance, Company, and names and words of people.
func TestMinimisedDocumentsMeanTheSame(t *testing.T) {
	t.Parallel()
	b := served(t)
	b.now = b.now.Add(-time.Minute)
	reach := b.poll()
	whole := meridian(t)
	read := whole
	read.StaleAfter = 24 * time.Hour
	read.Sites = []partnersite.SiteInput{{
		Site: whole.Sites[0].Site, DateFormat: reach.DateFormat, Mapping: whole.Sites[0].Mapping, Gaps: reach.Gaps, Coverage: reach.Coverage,
	}}
	for _, vs := range b.memory.versions {
		read.Sites[0].Documents = append(read.Sites[0].Documents, vs...)
	}
	want, got := partnersite.Assemble(whole), partnersite.Assemble(read)
	same(t, "projects", want.Projects, got.Projects)
	same(t, "tasks", want.Tasks, got.Tasks)
	same(t, "sign-offs", want.SignOffs, got.SignOffs)
	same(t, "tickets", want.Tickets, got.Tickets)
	same(t, "reports", want.Reports, got.Reports)
	same(t, "meetings", want.Meetings, got.Meetings)
	same(t, "reviews", want.Reviews, got.Reviews)
	same(t, "actions", want.Actions, got.Actions)
	of := slices.DeleteFunc(want.Messages, func(m evidence.Message) bool { return m.About.Doctype == "Training Event" })
	same(t, "messages", of, got.Messages, cmpopts.IgnoreFields(evidence.Message{}, "Template"))
	same(t, "leads", want.Leads, got.Leads, cmpopts.IgnoreFields(evidence.Lead{}, "Customer"))
	same(t, "deals", want.Deals, got.Deals)
	same(t, "quotations", want.Quotations, got.Quotations)
	same(t, "orders", want.Orders, got.Orders)
	same(t, "invoices", want.Invoices, got.Invoices)
	same(t, "customers", want.Customers, got.Customers)
	files := slices.DeleteFunc(want.Attachments, func(a evidence.Attachment) bool { return a.On.Doctype == "Issue" })
	same(t, "attachments", files, got.Attachments, cmpopts.IgnoreFields(evidence.Attachment{}, "ContentHash"))
	same(t, "procedures", want.Procedures, got.Procedures)
	same(t, "agreements", want.Agreements, got.Agreements)
	same(t, "calendars", want.Calendars, got.Calendars, cmpopts.IgnoreFields(evidence.Calendar{}, "Default"))
	same(t, "people", want.People, got.People)
	same(t, "trainings", want.Trainings, got.Trainings)
	same(t, "dashboards", want.Dashboards, got.Dashboards)
	same(t, "controls", want.Controls, got.Controls)
	same(t, "feedback", want.Feedback, got.Feedback)
	same(t, "deletions", want.Deletions, got.Deletions)
	changed := slices.DeleteFunc(want.Changes, func(c evidence.Change) bool { return c.Field == "resolution_details" })
	same(t, "changes", changed, got.Changes)
	for _, c := range got.Coverage {
		if c.Stream == "Task" && (c.Rows != len(got.Tasks) || c.Oldest.IsZero() || c.Newest.IsZero() || !c.Complete) {
			t.Errorf("coverage of Task: %+v", c)
		}
	}
	if g, ok := got.Missing("Event"); !ok || g.Kind != evidence.Hidden {
		t.Errorf("gap of Event: %+v %t, want one for the private kick-off", g, ok)
	}
}

func same[T any](t *testing.T, what string, want, got []T, but ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, append(but, bare, cmpopts.EquateEmpty())...); diff != "" {
		t.Errorf("%s (-folder +read): %d and %d\n%s", what, len(want), len(got), diff)
	}
}
