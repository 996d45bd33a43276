package daemon

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/report"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

// documents renders the files for people that the PRM does not hold yet: the
// evidence pack of an audit when it is scheduled and again when its evidence is
// frozen, and the checklist of an escalation once its re-audit is scheduled. Nothing of a
// customer's own documents is among them.
func (d *Daemon) documents(p *Partner, c *programme.Case, collected []plan.Collected, captured []map[string]any, find plan.Lookup) []plan.File {
	var out []plan.File
	add := func(doctype, record, name, reason string, write func(io.Writer) error) {
		if plan.Attached(find, doctype, record, name) {
			return
		}
		var page bytes.Buffer
		if err := write(&page); err != nil {
			d.log.Error("a document cannot be made", "record", record, "file", name, "err", err)
			return
		}
		if page.Len() > plan.MaxFile {
			d.log.Error("a document is too large to be attached", "record", record, "file", name, "bytes", page.Len(), "most", plan.MaxFile)
			return
		}
		out = append(out, plan.File{Doctype: doctype, Record: record, Name: name, Content: page.Bytes(), Reason: reason})
	}
	assessed := func(record string) (rules.Assessment, bool) {
		a := c.Targeted[record]
		return a, slices.ContainsFunc(collected, func(x plan.Collected) bool { return x.Assessment.Key == a.Key && a.Key != "" })
	}
	for _, a := range c.Audits {
		record := a.Name
		if a.Kind == programme.KindReaudit && a.Escalation != "" {
			record = a.Escalation
		}
		as, ok := assessed(record)
		name, reason := "evidence-pack-"+fileWord(a.Name)+".html", "evidence pack of "+a.Name+", frozen"
		switch a.Status {
		case programme.AuditScheduled:
			name, reason = "evidence-pack-"+fileWord(a.Name)+"-before.html", "evidence pack of "+a.Name+", before the audit"
		case programme.AuditInProgress, programme.AuditCompleted:
		default:
			continue
		}
		if ok {
			add(plan.DoctypeAudit, a.Name, name, reason, func(w io.Writer) error {
				return report.PackHTML(w, report.Pack{
					Partner: cmp.Or(c.Partner.Name, p.Facts.Name), Record: a.Name, State: a.Status, Assessment: as, Records: packRecords(captured, as.Key),
				})
			})
		}
	}
	for _, e := range c.Escalations {
		as, ok := assessed(e.Name)
		if !ok || e.Status != programme.EscalationScheduled {
			continue
		}
		name := "checklist-" + fileWord(strings.TrimPrefix(as.Key, c.Key+"-esc-")) + ".html"
		add(plan.DoctypeEscalation, e.Name, name, "checklist of "+e.Name, func(w io.Writer) error {
			return report.ChecklistHTML(w, report.Checklist{
				Partner: cmp.Or(c.Partner.Name, p.Facts.Name), Escalation: e.Name, Customer: e.Customer, Project: projectTitle(as), On: c.ReauditOn(e), Assessment: as,
			})
		})
	}
	return out
}

// projectTitle is what people call the escalated project.
func projectTitle(a rules.Assessment) string {
	for _, c := range a.Collected {
		return cmp.Or(c.Label, a.Target.Project)
	}
	return a.Target.Project
}

// fileWord is a record's name as part of a file's.
func fileWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' {
			return r
		}
		return '_'
	}, s)
}

// packRecords are the captures of an assessment's evidence, by criterion.
func packRecords(captured []map[string]any, assessment string) []report.PackRecord {
	var out []report.PackRecord
	for _, f := range captured {
		text := func(k string) string { s, _ := f[k].(string); return s }
		if text("assessment") != assessment {
			continue
		}
		out = append(out, report.PackRecord{
			Criterion: text("criterion"), Title: text("title"), Source: text("source_doctype") + " " + text("source_name"), URL: text("source_url"),
			Created: text("source_created"), Captured: text("captured_on"), Integrity: text("status"), Effect: text("effect"), Hash: text("content_hash"),
		})
	}
	slices.SortFunc(out, func(a, b report.PackRecord) int {
		return cmp.Or(cmp.Compare(a.Criterion, b.Criterion), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Captured, b.Captured))
	})
	return out
}
