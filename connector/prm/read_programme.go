package prm

import (
	"cmp"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/programme"
)

// part is one doctype that people keep on the PRM and what is read of it.
type part struct {
	doctype string
	fields  []string
	take    func(frappe.Doc)
}

// filters limits what is read of a doctype of which only some matter.
func filters(doctype string) []frappe.Filter {
	if doctype == "PMM Assessment" {
		return []frappe.Filter{frappe.Where("finalised", "=", 1)}
	}
	return nil
}

// programmeParts are the audits, NCs, escalations, customers' requests and
// finalised assessments, read into in.
func programmeParts(in *programme.Input, zone *time.Location) []part {
	date := func(d frappe.Doc, field string) evidence.Date {
		v, _ := evidence.ParseDate(d.Text(field)) // what is no date is none
		return v
	}
	when := func(d frappe.Doc, field string) time.Time {
		v, _ := frappe.ParseTime(d.Text(field), zone)
		return v
	}
	roles := []string{
		programme.RoleFounder, programme.RoleSales, programme.RoleImplementation, programme.RoleSupport, programme.RoleDeliveryHead,
		programme.RoleSalesHead, programme.RoleProjectManager,
	}
	audit := []string{
		"name", "partner_team", "custom_pmm_partner", "custom_kind", "custom_pmm_level", "status", "mode_of_audit", "requested_on", "proposed_audit_date",
		"audit_date", "custom_outcome", "custom_proposed_outcome", "custom_escalation", "custom_previous_audit", "custom_assessment", "conducted_by", "modified",
	}
	for _, r := range roles {
		audit = append(audit, "custom_"+r+"_present")
	}
	in.Finalised = map[string]bool{}
	return []part{
		{doctype: "Partner Audit", fields: audit, take: func(d frappe.Doc) {
			a := programme.Audit{
				Name: d.Name(), Partner: cmp.Or(d.Text("custom_pmm_partner"), d.Text("partner_team")), Kind: cmp.Or(d.Text("custom_kind"), programme.KindPMM),
				Level: whole(d, "custom_pmm_level"), Status: d.Text("status"), Mode: d.Text("mode_of_audit"), Requested: date(d, "requested_on"),
				Proposed: date(d, "proposed_audit_date"), On: date(d, "audit_date"), Outcome: d.Text("custom_outcome"), ProposedOutcome: d.Text("custom_proposed_outcome"),
				Escalation: d.Text("custom_escalation"), Previous: d.Text("custom_previous_audit"), Assessment: d.Text("custom_assessment"),
				Auditor: d.Text("conducted_by"), Modified: when(d, "modified"), Present: map[string]bool{},
			}
			for _, r := range roles {
				a.Present[r] = d.Bool("custom_" + r + "_present")
			}
			in.Audits = append(in.Audits, a)
		}},
		{doctype: "Partner Non Conformance", fields: []string{
			"name", "partner_team", "custom_pmm_partner", "partner_audit", "custom_escalation", "department", "custom_criterion", "custom_source_key", "status",
			"creation", "expected_closure", "closed_on", "nc_statement", "custom_disputed", "custom_recheck", "custom_overdue", "modified",
		}, take: func(d frappe.Doc) {
			in.NCs = append(in.NCs, programme.NC{
				Name: d.Name(), Partner: cmp.Or(d.Text("custom_pmm_partner"), d.Text("partner_team")), Audit: d.Text("partner_audit"),
				Escalation: d.Text("custom_escalation"), Department: d.Text("department"), Criterion: d.Text("custom_criterion"),
				SourceKey: d.Text("custom_source_key"), Status: d.Text("status"), Raised: evidence.DateIn(when(d, "creation"), zone),
				Expected: date(d, "expected_closure"), ClosedOn: date(d, "closed_on"), Statement: d.Text("nc_statement"), Disputed: d.Bool("custom_disputed"),
				Recheck: d.Text("custom_recheck"), Overdue: d.Bool("custom_overdue"), Modified: when(d, "modified"),
			})
		}},
		{doctype: "Partner Escalation", fields: []string{
			"name", "partner", "source_key", "project_site", "project_ref", "customer", "stage", "severity", "source", "status", "received_on", "creation",
			"warning_sent_on", "customer_call_on", "reaudit", "reaudit_on", "checklist_shared_on", "nc_state", "modified",
		}, take: func(d frappe.Doc) {
			in.Escalations = append(in.Escalations, programme.Escalation{
				Name: d.Name(), Partner: d.Text("partner"), SourceKey: d.Text("source_key"), Site: d.Text("project_site"), Project: d.Text("project_ref"),
				Customer: d.Text("customer"), Stage: d.Text("stage"), Severity: d.Text("severity"), Source: d.Text("source"), Status: d.Text("status"),
				ReceivedOn: date(d, "received_on"), Received: when(d, "creation"), WarningSent: date(d, "warning_sent_on"), CustomerCall: date(d, "customer_call_on"),
				Audit: d.Text("reaudit"), ReauditOn: date(d, "reaudit_on"), ChecklistShared: date(d, "checklist_shared_on"), NCState: d.Text("nc_state"),
				Modified: when(d, "modified"),
			})
		}},
		{doctype: "PMM Escalation Request", fields: []string{
			"name", "status", "customer", "contact_name", "contact_email", "partner_text", "project_text", "stage", "partner", "escalation", "creation",
		}, take: func(d frappe.Doc) {
			in.Requests = append(in.Requests, programme.Request{
				Name: d.Name(), Status: d.Text("status"), Customer: d.Text("customer"), Contact: d.Text("contact_name"), Email: d.Text("contact_email"),
				Company: d.Text("partner_text"), Project: d.Text("project_text"), Stage: d.Text("stage"), Partner: d.Text("partner"),
				Escalation: d.Text("escalation"), Created: when(d, "creation"),
			})
		}},
		{doctype: "PMM Assessment", fields: []string{"name"}, take: func(d frappe.Doc) {
			in.Finalised[d.Name()] = true
		}},
	}
}
