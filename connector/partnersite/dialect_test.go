package partnersite_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
)

const reader = "prm.reader@acme.example"

// stock is a bare site of a version with apps, opened to a reader.
func stock(t testing.TB, version string, apps []string, define ...frappetest.DocType) *bench {
	t.Helper()
	site := frappetest.New(t, frappetest.SiteOptions{Version: version, TimeZone: "America/New_York"})
	must(t, site.Install(apps...))
	site.Define(define...)
	types := slices.Concat(frappetest.ReaderTypes, []string{"HD Ticket", "HD Customer", "CRM Lead", "CRM Deal", "CRM Deal Status", "CRM Lead Status", "LMS Certificate"})
	for _, d := range define {
		types = append(types, d.Name)
	}
	cred, err := site.AddReader(reader, types...)
	must(t, err)
	b := &bench{
		t: t, site: site, memory: newMemory(), now: meridianAsOf, key: cred.Key, secret: cred.Secret,
		opts: partnersite.Options{Partner: "acme", Key: "erp", MailDomains: []string{"acme.example"}},
	}
	site.SetClock(func() time.Time { return b.now })
	b.open()
	return b
}

func (b *bench) insert(doctype string, values map[string]any) string {
	b.t.Helper()
	name, err := b.site.InsertRaw(doctype, values)
	must(b.t, err)
	return name
}

func data(fields string) []frappetest.Field {
	var out []frappetest.Field
	for f := range strings.FieldsSeq(fields) {
		name, kind, _ := strings.Cut(f, ":")
		if kind == "" {
			kind = "Data"
		}
		out = append(out, frappetest.Field{Fieldname: name, Fieldtype: kind})
	}
	return out
}

func TestVersion14NamesTheResolutionOtherwise(t *testing.T) {
	t.Parallel()
	b := stock(t, frappetest.V14, []string{"erpnext"}, frappetest.DocType{
		Name: "Issue", Module: "Support",
		Fields: data("subject status customer priority resolution_by:Datetime resolution_date:Datetime response_by:Datetime agreement_status"),
	})
	b.insert("Issue", map[string]any{
		"name": "ISS-1", "subject": "slow", "status": "Closed",
		"resolution_by": "2026-11-02 17:00:00", "resolution_date": "2026-11-02 16:00:00",
	})
	r := b.poll()
	d := b.memory.live("Issue")["ISS-1"]
	if d.Fields["sla_resolution_date"] != "2026-11-02 16:00:00" || d.Fields["sla_resolution_by"] != "2026-11-02 17:00:00" {
		t.Errorf("fields %v, want the resolution under its newest names", d.Fields)
	}
	if d.Fields["resolution_date"] != "2026-11-02 16:00:00" {
		t.Errorf("fields %v, want the site's own name kept for mappings", d.Fields)
	}
	if g := gapsOf(r, "Issue"); len(g) != 0 {
		t.Errorf("gaps %v, want none", g)
	}
}

func TestVersion15WithNeitherNameIsDrift(t *testing.T) {
	t.Parallel()
	b := stock(t, frappetest.V15, []string{"erpnext"}, frappetest.DocType{Name: "Issue", Module: "Support", Fields: data("subject status customer")})
	b.insert("Issue", map[string]any{"name": "ISS-1", "subject": "slow", "status": "Open"})
	r := b.poll()
	if g := gapsOf(r, "Issue"); !slices.Contains(g, evidence.Drifted) {
		t.Errorf("gaps %v, want Drifted", g)
	}
	if len(b.memory.live("Issue")) != 1 {
		t.Error("the ticket was not read")
	}
}

func TestVersion16(t *testing.T) {
	t.Parallel()
	for _, version := range []string{frappetest.V16, frappetest.V16Later} {
		b := stock(t, version, []string{"erpnext"},
			frappetest.DocType{Name: "Task", Module: "Projects", Fields: data(
				"subject project:Data status type is_group:Check exp_start_date:Datetime exp_end_date:Datetime completed_on:Date depends_on_tasks:Code")},
			frappetest.DocType{Name: "Lead", Module: "CRM", Fields: data("status company_name email_id lead_owner utm_source")})
		b.insert("Task", map[string]any{"name": "TASK-1", "subject": "x", "status": "Open", "exp_end_date": "2026-11-20 12:00:00", "depends_on_tasks": "TASK-0,TASK-9,"})
		b.insert("Lead", map[string]any{"name": "LEAD-1", "status": "Open", "utm_source": "Fair", "email_id": "Someone@Customer.example"})
		r := b.poll()
		d := b.memory.live("Task")["TASK-1"]
		if d.Fields["exp_end_date"] != "2026-11-20 12:00:00" {
			t.Errorf("%s: end date %v, want the hour kept", version, d.Fields["exp_end_date"])
		}
		if rows, _ := d.Fields["depends_on"].([]any); len(rows) != 2 {
			t.Errorf("%s: predecessors %v, want two", version, d.Fields["depends_on"])
		}
		if l := b.memory.live("Lead")["LEAD-1"]; l.Fields["utm_source"] != "Fair" || l.Fields["email_id"] != "@customer.example" {
			t.Errorf("%s: lead %v", version, l.Fields)
		}
		// This version does not tell how many Events it hides.
		if g := gapsOf(r, "Event"); !slices.Contains(g, evidence.Hidden) {
			t.Errorf("%s: gaps of Event %v, want Hidden", version, g)
		}
	}
}

func TestASourceOfVersion15IsKeptUnderItsNewestName(t *testing.T) {
	t.Parallel()
	b := stock(t, frappetest.V15, []string{"erpnext"}, frappetest.DocType{Name: "Lead", Module: "CRM", Fields: data("status company_name source")})
	b.insert("Lead", map[string]any{"name": "LEAD-1", "status": "Open", "source": "Fair"})
	b.poll()
	if l := b.memory.live("Lead")["LEAD-1"]; l.Fields["utm_source"] != "Fair" {
		t.Errorf("lead %v", l.Fields)
	}
}

func TestHelpdeskWithoutAgentIsHidden(t *testing.T) {
	t.Parallel()
	b := stock(t, frappetest.V15, []string{"helpdesk"})
	b.insert("HD Ticket", map[string]any{"name": "1", "subject": "x", "status": "Open"})
	if g := gapsOf(b.poll(), "HD Ticket"); !slices.Contains(g, evidence.Hidden) {
		t.Errorf("gaps %v, want Hidden", g)
	}
	b.site.SetRoles(reader, "PMM Evidence Reader", "Agent")
	b.later(61 * time.Minute)
	if g := gapsOf(b.poll(), "HD Ticket"); len(g) != 0 {
		t.Errorf("with the role Agent: gaps %v, want none", g)
	}
}

func TestASiteWithoutERPNext(t *testing.T) {
	t.Parallel()
	b := stock(t, frappetest.V15, []string{"crm"})
	b.insert("CRM Deal", map[string]any{"name": "CRM-DEAL-1", "status": "Won", "organization": "Globex"})
	r := b.poll()
	if len(b.memory.live("CRM Deal")) != 1 {
		t.Errorf("no deal was read; gaps %v", gapsOf(r, "CRM Deal"))
	}
	if g := gapsOf(r, "Project"); !slices.Equal(g, []evidence.GapKind{evidence.Absent}) {
		t.Errorf("gaps of Project %v, want Absent", g)
	}
	if g := gapsOf(r, "HD Ticket"); len(g) != 0 {
		t.Errorf("gaps of HD Ticket %v, want none: nobody expects it", g)
	}
}

// What a partner keeps in doctypes of its own is read by mapping alone.
func TestMappedDoctypesOfThePartnersOwn(t *testing.T) {
	t.Parallel()
	own := data("stage verdict decided:Datetime paper:Attach")
	b := stock(t, frappetest.V15, []string{"erpnext"},
		frappetest.DocType{
			Name: "Stage Gate", Module: "Projects", Custom: true, Submittable: true,
			Fields: append(own, frappetest.Field{Fieldname: "job", Fieldtype: "Link", Options: "Project"}),
		},
		frappetest.DocType{Name: "Monday Numbers", Module: "Projects", Custom: true, Fields: data("wk what figure:Float note")})
	b.opts.Mapping = mapping(t, `
evidence:
  sign_off.brd:
    - {doctype: Stage Gate, where: {stage: Blueprint}, done: {verdict: Yes}, project: job, date: decided, proof: ['field:paper']}
  report:
    - {doctype: Monday Numbers, period: wk, metric: what, metrics: {support.metric.sla: In time}, value: figure, fields: {remark: note}}
`)
	b.open()
	b.insert("Stage Gate", map[string]any{"name": "SG-1", "stage": "Blueprint", "verdict": "Yes", "decided": "2026-10-01 10:00:00", "job": "PROJ-1", "paper": "/private/files/a.pdf", "docstatus": 1})
	b.insert("Monday Numbers", map[string]any{"name": "MN-1", "wk": "2026-W40", "what": "In time", "figure": 92.5})
	r := b.poll()
	g := b.memory.live("Stage Gate")["SG-1"].Fields
	if g["stage"] != "Blueprint" || g["job"] != "PROJ-1" || g["paper"] != "/private/files/a.pdf" || g["docstatus"] != 1.0 {
		t.Errorf("gate %v", g)
	}
	if n := b.memory.live("Monday Numbers")["MN-1"].Fields; n["figure"] != 92.5 || n["wk"] != "2026-W40" {
		t.Errorf("numbers %v", n)
	}
	if g := append(gapsOf(r, "Stage Gate"), gapsOf(r, "Monday Numbers")...); len(g) != 0 {
		t.Errorf("gaps %v, want none", g)
	}
	must(t, b.site.Revoke("Stage Gate", "PMM Evidence Reader"))
	b.later(time.Minute)
	b.poll()
	rep := b.doctor()
	if !slices.Contains(rep.Degraded, "esc.impl.p5") {
		t.Errorf("degraded %v, want the BRD sign-off in it", rep.Degraded)
	}
}
