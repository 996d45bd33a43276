package prm_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
)

func date(t testing.TB, s string) evidence.Date {
	t.Helper()
	d, err := evidence.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReadSeesWhatPeopleDecided(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	ctx := context.Background()
	h.insert(t, "Partner Tier", map[string]any{"title": "Silver", "enabled": 1, "target_in_usd": 3150, "pmm_required": 4})
	h.insert(t, "PMM Partner", map[string]any{
		"partner_key": "meridian", "partner_name": "Meridian", "partner_manager": manager, "awarded_pmm": 3, "awarded_tier": "Silver", "website": "https://www.meridian.example",
	})
	h.insert(t, "PMM Site", map[string]any{"site_key": "meridian-erp", "site_url": "https://erp.meridian.example", "partner": "meridian", "purpose": "Support", "enabled": 0})
	h.insert(t, "PMM Criterion", map[string]any{"criterion_id": "impl.followed", "statement": "Plans are followed", "enabled": 1, "severity_override": "Observation", "threshold_override": "share=80"})
	h.insert(t, "PMM Assessment", map[string]any{
		"assessment_key": "meridian-cont-2026w12", "partner": "meridian", "kind": "Continuous", "finalised": 1,
		"overrides": []any{map[string]any{"criterion": "impl.followed", "verdict": "Met", "reason": "seen on site", "valid_until": "2026-12-31"}},
	})
	audit := h.insert(t, "Partner Audit", map[string]any{"partner_team": "meridian", "custom_pmm_partner": "meridian", "status": "Scheduled", "custom_pmm_level": "4", "audit_date": "2026-12-01", "custom_founder_present": 1})
	escalation := h.insert(t, "Partner Escalation", map[string]any{
		"customer": "Acme", "partner": "meridian", "status": "Received", "received_on": "2026-11-20", "points": []any{map[string]any{"point": "no plan"}, map[string]any{"point": "no training"}},
	})
	nc := h.insert(t, "Partner Non Conformance", map[string]any{
		"custom_pmm_partner": "meridian", "partner_team": "meridian", "partner_audit": audit, "nc_statement": "No plan", "status": "Open", "expected_closure": "2026-12-20", "custom_source_key": "k1",
	})
	h.insert(t, "PMM Alert", map[string]any{"alert_key": "a1", "message": "Late", "partner": "meridian", "status": "Firing", "severity": "Warning", "rule": "x", "snooze_until": "2026-12-05"})

	in, err := h.prm.Read(ctx, programme.Input{})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Gaps) != 0 {
		t.Errorf("gaps: %+v", in.Gaps)
	}
	if len(in.Partners) != 1 || in.Partners[0].AwardedLevel != 3 || in.Partners[0].Manager != manager || !cmp.Equal(in.Partners[0].MailDomains, []string{"meridian.example"}) {
		t.Errorf("partners: %+v", in.Partners)
	}
	if want := []programme.Site{{Key: "meridian-erp", Partner: "meridian", Purpose: "Support"}}; !cmp.Equal(in.Sites, want) {
		t.Errorf("sites: %+v", in.Sites)
	}
	if want := []rules.Setting{{Criterion: "impl.followed", Enabled: true, Severity: rules.SeverityObservation, Thresholds: map[string]float64{"share": 80}}}; !cmp.Equal(in.Settings, want) {
		t.Errorf("settings: %s", cmp.Diff(want, in.Settings))
	}
	if len(in.Overrides) != 1 || in.Overrides[0].Outcome != rules.Met || in.Overrides[0].Partner != "meridian" || in.Overrides[0].ValidUntil != date(t, "2026-12-31") {
		t.Errorf("overrides: %+v", in.Overrides)
	}
	if !in.Finalised["meridian-cont-2026w12"] {
		t.Error("the finalised assessment is not seen")
	}
	if len(in.Audits) != 1 || in.Audits[0].Name != audit || in.Audits[0].Level != 4 || !in.Audits[0].Present["founder"] || in.Audits[0].On != date(t, "2026-12-01") {
		t.Errorf("audits: %+v", in.Audits)
	}
	if len(in.Escalations) != 1 || in.Escalations[0].Name != escalation || in.Escalations[0].Points != 2 || in.Escalations[0].ReceivedOn != date(t, "2026-11-20") {
		t.Errorf("escalations: %+v", in.Escalations)
	}
	if len(in.NCs) != 1 || in.NCs[0].Name != nc || in.NCs[0].Partner != "meridian" || in.NCs[0].Raised.IsZero() || in.NCs[0].SourceKey != "k1" {
		t.Errorf("NCs: %+v", in.NCs)
	}
	if want := []programme.Snooze{{Alert: "a1", Until: date(t, "2026-12-05")}}; !cmp.Equal(in.Snoozes, want) {
		t.Errorf("snoozes: %+v", in.Snoozes)
	}

	h.site.KeepLog(true)
	h.site.ResetRequests()
	h.set(t, "Partner Non Conformance", nc, map[string]any{"status": "Closed", "closed_on": "2026-11-24"})
	again, err := h.prm.Read(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if again.NCs[0].Status != "Closed" || again.NCs[0].ClosedOn != date(t, "2026-11-24") {
		t.Errorf("the closed NC was not seen: %+v", again.NCs[0])
	}
	if reads, writes := h.writes(); reads > 12 || writes != 0 {
		t.Errorf("a second read took %d reads and %d writes", reads, writes)
	}
}

func TestReadWithoutARightIsAGap(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"})
	if err := h.site.Revoke("Partner Non Conformance", "PMM Sync Agent"); err != nil {
		t.Fatal(err)
	}
	in, err := h.prm.Read(context.Background(), programme.Input{})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Gaps) != 1 || in.Gaps[0].Stream != "Partner Non Conformance" || in.Gaps[0].Kind != evidence.Forbidden {
		t.Errorf("gaps: %+v", in.Gaps)
	}
	if len(in.Partners) != 1 {
		t.Errorf("the others are not read: %+v", in.Partners)
	}
}
