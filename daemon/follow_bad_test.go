package daemon_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
)

// What people enter wrongly is named, each by an alert about the record, and
// everything else goes on; put right, the alert resolves.
func TestWhatPeopleEnterWrongly(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{Raise: true})
	if _, err := l.site.Insert("PMM Partner", map[string]any{"partner_key": "other", "partner_name": "Other"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.site.Insert("PMM Site", map[string]any{"site_key": "other-erp", "site_url": "https://erp.other.example", "partner": "other", "purpose": "All", "enabled": 1}); err != nil {
		t.Fatal(err)
	}
	raw := func(doctype string, values map[string]any) string {
		t.Helper()
		name, err := l.site.InsertRaw(doctype, values)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	audit := map[string]any{"custom_pmm_partner": "vale", "partner_team": "vale", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Requested", "mode_of_audit": "Online"}
	with := func(change map[string]any) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]any{audit, change} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	escalation := func(change map[string]any) map[string]any {
		out := map[string]any{"customer": "Kranz", "partner": "vale", "status": "Received", "received_on": "2026-10-01", "nc_state": "None", "project_ref": "P1", "project_site": "vale-erp"}
		for k, v := range change {
			out[k] = v
		}
		return out
	}
	bad := []struct{ what, rule, doctype, name string }{
		{"an audit without a level", programme.RuleAuditFlagged, "Partner Audit", raw("Partner Audit", with(map[string]any{"custom_pmm_level": "", "proposed_audit_date": "2026-11-01"}))},
		{"an audit without a partner", programme.RuleAuditWithoutPartner, "Partner Audit", raw("Partner Audit", with(map[string]any{"custom_pmm_partner": nil, "partner_team": nil, "proposed_audit_date": "2026-11-02"}))},
		{"an audit of a partner that was deleted", programme.RuleAuditWithoutPartner, "Partner Audit", raw("Partner Audit", with(map[string]any{"custom_pmm_partner": "gone", "partner_team": "gone", "proposed_audit_date": "2026-11-03"}))},
		{"dates in the wrong order", programme.RuleAuditFlagged, "Partner Audit", raw("Partner Audit", with(map[string]any{"status": "Scheduled", "custom_pmm_level": "3", "requested_on": "2026-10-01", "audit_date": "2026-09-01"}))},
		{"an NC without an audit", programme.RuleNCOrphan, "Partner Non Conformance", raw("Partner Non Conformance", map[string]any{"custom_pmm_partner": "vale", "nc_statement": "Alone", "status": "Open", "creation": "2026-10-01 09:00:00"})},
		{"an escalation without a project", programme.RuleEscalationUnknown, "Partner Escalation", raw("Partner Escalation", escalation(map[string]any{"project_ref": nil}))},
		{"an escalation of another's site", programme.RuleEscalationUnknown, "Partner Escalation", raw("Partner Escalation", escalation(map[string]any{"project_site": "other-erp"}))},
		{"an escalation of a partner that was merged", programme.RuleEscalationUnknown, "Partner Escalation", raw("Partner Escalation", escalation(map[string]any{"partner": "merged"}))},
	}
	good := raw("Partner Audit", with(map[string]any{"status": "Completed", "audit_date": "2026-09-20"}))
	l.judge.set("impl.cadence", rules.NotMet)
	l.on("2026-10-02")
	told := func(rule, doctype, name string) bool {
		return slices.ContainsFunc(l.site.Docs("PMM Alert"), func(d map[string]any) bool {
			return d["rule"] == rule && d["status"] == "Firing" && d["subject_doctype"] == doctype && d["subject_name"] == name
		})
	}
	for _, b := range bad {
		if !told(b.rule, b.doctype, b.name) {
			t.Errorf("%s: nobody is told of %s", b.what, b.name)
		}
	}
	// The good audit beside them has its NC, the partner its week.
	if ncs := l.names("Partner Non Conformance"); len(ncs) != 2 {
		t.Errorf("NCs %v, want the orphan and one of %s", ncs, good)
	}
	l.wants("Partner Audit", good, map[string]any{"custom_proposed_outcome": "Withheld"})
	l.wants("PMM Partner", "vale", map[string]any{"latest_assessment": "vale-cont-2026w40"})

	l.person("Partner Audit", bad[0].name, map[string]any{"custom_pmm_level": "5"})
	l.person("Partner Escalation", bad[5].name, map[string]any{"project_ref": "P2", "project_site": "vale-erp"})
	l.on("2026-10-03")
	for _, i := range []int{0, 5} {
		if told(bad[i].rule, bad[i].doctype, bad[i].name) {
			t.Errorf("%s: put right, it is told still", bad[i].what)
		}
	}
	for _, d := range l.site.Docs("PMM Assessment") {
		if r := fmt.Sprint(d["partner_audit"]); r == bad[1].name || r == bad[2].name {
			t.Errorf("%s was assessed for nobody: %v", r, d["name"])
		}
	}
}
