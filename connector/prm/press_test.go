package prm_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules/programme"
)

// TestReadOnAPressSite reads what press's own doctypes hold: they know a team
// where ours know the partner.
func TestReadOnAPressSite(t *testing.T) {
	t.Parallel()
	site := frappetest.New(t, frappetest.SiteOptions{Version: frappetest.V15})
	if err := site.Install("press"); err != nil {
		t.Fatal(err)
	}
	key, secret := site.AddUser("provision@prm.test", "System Manager", "Workspace Manager", "Website Manager")
	if _, err := schema.Provision(t.Context(), client(t, site, key, secret), schema.Options{Deployment: "press"}); err != nil {
		t.Fatal(err)
	}
	site.AddUser(manager, "Partner Manager")
	key, secret = site.AddUser("sync@prm.test", "PMM Sync Agent")
	c := client(t, site, key, secret)
	h := house{site: site, c: c, prm: prm.New(c, "press")}

	for name, partner := range map[string]int{"team-1": 1, "team-2": 0} { // the second is a customer's
		if _, err := site.InsertRaw("Team", map[string]any{
			"name": name, "erpnext_partner": partner, "partner_email": "info@" + name + ".example", "partner_tier": "Silver", "frappe_partnership_date": "2023-05-01",
		}); err != nil {
			t.Fatal(err)
		}
	}
	h.insert(t, "Partner Tier", map[string]any{"title": "Silver", "enabled": 1, "target_in_usd": 3150.5, "certificates_required": 2, "pmm_required": 4})
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian", "awarded_pmm": 3, "awarded_tier": "Silver", "master_doctype": "Team", "master_name": "team-1"})
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "other", "partner_name": "Other", "master_doctype": "Team", "master_name": "team-2"})
	certificate := h.insert(t, "Partner Certificate", map[string]any{"team": "team-1", "course": "frappe-developer-certification", "issue_date": "2026-01-15"})
	audit := h.insert(t, "Partner Audit", map[string]any{"partner_team": "team-1", "status": "Requested", "proposed_audit_date": "2026-12-01"})
	nc := h.insert(t, "Partner Non Conformance", map[string]any{"partner_audit": audit, "nc_statement": "No plan", "status": "Open", "custom_pmm_partner": "meridian"})

	in, err := h.prm.Read(t.Context(), programme.Input{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range in.Gaps {
		t.Errorf("gap: %s %s: %s", g.Stream, g.Field, g.Reason)
	}
	want := map[string]programme.Master{"meridian": {Read: true, Email: "info@team-1.example", Tier: "Silver"}, "other": {}}
	got := map[string]programme.Master{}
	for _, p := range in.Partners {
		got[p.Key] = p.Master
		if p.Key == "meridian" && (p.AwardedLevel != 3 || p.AwardedTier != "Silver" || p.Contract.From != date(t, "2023-05-01")) {
			t.Errorf("the partner: %+v", p)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("masters (-want +got):\n%s", diff)
	}
	if want := []programme.Tier{{Name: "Silver", Enabled: true, TargetUSD: 3150.5, Certs: 2, PMMRequired: 4}}; !cmp.Equal(in.Tiers, want) {
		t.Errorf("tiers: %+v", in.Tiers)
	}
	if in.CertPartner[certificate] != "meridian" {
		t.Errorf("the certificate is %q's", in.CertPartner[certificate])
	}
	if len(in.Audits) != 1 || in.Audits[0].Partner != "meridian" || !in.Audits[0].Unlinked || in.Audits[0].Proposed != date(t, "2026-12-01") {
		t.Errorf("audits: %+v", in.Audits)
	}
	if len(in.NCs) != 1 || in.NCs[0].Name != nc || in.NCs[0].Partner != "meridian" || in.NCs[0].Unlinked || in.NCs[0].Audit != audit {
		t.Errorf("NCs: %+v", in.NCs)
	}
}
