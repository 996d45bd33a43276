package demo

import (
	"context"
	"fmt"
	"time"
)

// Live lets the sites go on: people finish tasks, bring a scan, grant a right,
// solve tickets, so that verdicts are seen to change. tell is told of each event
// in a few words. It returns when ctx ends.
func (w *World) Live(ctx context.Context, tell func(what string)) {
	member := func(key string) *Member {
		for _, m := range w.Members {
			if m.Key == key && m.Site != nil {
				return m
			}
		}
		return nil
	}
	steps := []func() string{
		func() string { return bringScan(member("cinderpeak")) },
		func() string { return watch(member("brackwater"), "Lead") },
		func() string { return watch(member("brackwater"), "Task") },
		func() string { return finishOverdue(member("brackwater"), 3) },
		func() string { return bringScan(member("brackwater")) },
		func() string { return grant(member("eastgate")) },
		func() string { return finishOverdue(member("cinderpeak"), 2) },
		func() string { return solveTicket(member("amberline")) },
	}
	tick := time.NewTicker(8 * time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if what := steps[i%len(steps)](); what != "" {
			tell(what)
		}
	}
}

func text(d map[string]any, field string) string {
	s, _ := d[field].(string)
	return s
}

// finishOverdue completes some of a site's late tasks.
func finishOverdue(m *Member, n int) string {
	if m == nil {
		return ""
	}
	done := 0
	for _, t := range m.Site.Docs("Task") {
		if done == n {
			break
		}
		if text(t, "status") == "Overdue" && text(t, "project") != "" {
			if m.Site.Set("Task", text(t, "name"), map[string]any{"status": "Completed", "completed_on": m.local().Format(time.DateOnly)}) == nil {
				done++
			}
		}
	}
	if done == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %d late tasks are finished", m.Key, done)
}

// bringScan attaches a customer's signature to a sign-off that lacks one.
func bringScan(m *Member) string {
	if m == nil {
		return ""
	}
	has := map[string]bool{}
	for _, f := range m.Site.Docs("File") {
		if text(f, "attached_to_doctype") == "Task" {
			has[text(f, "attached_to_name")] = true
		}
	}
	for _, t := range m.Site.Docs("Task") {
		name, typ := text(t, "name"), text(t, "type")
		if text(t, "status") != "Completed" || has[name] || len(typ) < 8 || typ[len(typ)-8:] != "Sign-off" {
			continue
		}
		if _, err := m.Site.Insert("File", map[string]any{
			"file_name": "Signed " + name + ".pdf", "file_url": "/private/files/Signed " + name + ".pdf", "attached_to_doctype": "Task", "attached_to_name": name, "is_private": 1,
		}); err != nil {
			return ""
		}
		return fmt.Sprintf("%s: the signed %s of %s is attached", m.Key, typ, text(t, "project"))
	}
	return ""
}

// watch sets up a rule that assigns new records of a doctype.
func watch(m *Member, doctype string) string {
	if m == nil {
		return ""
	}
	if _, err := m.Site.InsertRaw("Assignment Rule", map[string]any{
		"name": "New " + doctype + "s to the team", "document_type": doctype, "disabled": 0, "assign_condition": "status == 'Open'", "priority": 0, "rule": "Round Robin",
	}); err != nil {
		return ""
	}
	return fmt.Sprintf("%s: an assignment rule now watches every new %s", m.Key, doctype)
}

// grant gives the reader a right that it lacked.
func grant(m *Member) string {
	if m == nil {
		return ""
	}
	for _, doctype := range []string{"Issue", "Sales Invoice", "Employee", "Training Event"} {
		if m.granted[doctype] {
			continue
		}
		if m.Site.Grant(doctype, reader, 0, "R") != nil {
			return ""
		}
		if m.granted == nil {
			m.granted = map[string]bool{}
		}
		m.granted[doctype] = true
		return fmt.Sprintf("%s: the key may now read %s", m.Key, doctype)
	}
	return ""
}

// solveTicket resolves an open ticket.
func solveTicket(m *Member) string {
	if m == nil {
		return ""
	}
	for _, t := range m.Site.Docs("Issue") {
		if text(t, "status") == "Open" {
			now := m.local().Format(time.DateTime)
			if m.Site.Set("Issue", text(t, "name"), map[string]any{"status": "Resolved", "sla_resolution_date": now, "agreement_status": "Fulfilled"}) == nil {
				return fmt.Sprintf("%s: ticket %s is solved", m.Key, text(t, "name"))
			}
		}
	}
	return ""
}
