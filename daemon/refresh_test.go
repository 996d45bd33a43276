package daemon_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/rules/programme"
)

// saves are the documents that the daemon wrote since the log was emptied.
func (l *life) saves() []string {
	var out []string
	for _, r := range l.site.Requests() {
		if r.Method == "PUT" {
			path, err := url.PathUnescape(r.Path)
			if err != nil {
				l.t.Fatal(err)
			}
			out = append(out, strings.TrimPrefix(path, "/api/resource/"))
		}
	}
	slices.Sort(out)
	return out
}

// Frappe copies the partner's manager onto a record when the record is
// saved: after a change each open record is saved once, and no other.
func TestANewManagerIsShownByWhatIsOpen(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	for _, u := range []string{"first@prm.test", "second@prm.test"} {
		l.site.AddUser(u, "Partner Manager")
	}
	l.person("PMM Partner", "vale", map[string]any{"partner_manager": "first@prm.test"})
	l.cycle()
	audit := l.create("Partner Audit", map[string]any{
		"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Scheduled", "audit_date": "2026-10-20", "mode_of_audit": "Online",
	})
	over := l.create("Partner Audit", map[string]any{"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "PMM", "custom_pmm_level": "3", "status": "Cancelled"})
	nc := func(status string) string {
		return l.create("Partner Non Conformance", map[string]any{
			"partner_audit": audit, "custom_pmm_partner": "vale", "partner_team": "vale", "department": "Sales", "nc_statement": "x", "status": status,
		})
	}
	open, closed := nc("Open"), nc("Discarded")
	l.cycle()
	l.cycle()
	l.wants("Partner Non Conformance", open, map[string]any{"custom_partner_manager": "first@prm.test"})

	l.site.KeepLog(true)
	l.site.ResetRequests()
	l.cycle()
	if got := l.saves(); len(got) != 0 {
		t.Errorf("a quiet cycle saved %v", got)
	}
	l.person("PMM Partner", "vale", map[string]any{"partner_manager": "second@prm.test"})
	l.site.ResetRequests()
	l.cycle()
	for doctype, name := range map[string]string{"Partner Audit": audit, "Partner Non Conformance": open} {
		l.wants(doctype, name, map[string]any{"custom_partner_manager": "second@prm.test", "custom_partner_name": "Vale GmbH"})
	}
	for _, a := range l.site.Docs("PMM Assessment") {
		l.wants("PMM Assessment", a["name"].(string), map[string]any{"partner_manager": "second@prm.test"})
	}
	l.wants("PMM Site", "vale-erp", map[string]any{"partner_manager": "second@prm.test"})
	l.wants("Partner Audit", over, map[string]any{"custom_partner_manager": "first@prm.test"})
	l.wants("Partner Non Conformance", closed, map[string]any{"custom_partner_manager": "first@prm.test"})
	got := l.saves()
	if once := slices.Compact(slices.Clone(got)); len(once) != len(got) {
		t.Errorf("saved more than once: %v", got)
	}
	l.start()
	l.site.ResetRequests()
	for range 3 {
		l.cycle()
	}
	if got := l.saves(); len(got) != 0 {
		t.Errorf("saved again: %v", got)
	}
}
