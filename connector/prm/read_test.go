package prm_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
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
	if reads, writes := h.writes(); reads > 15 || writes != 0 {
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

// Who of the partners' people sees every partner is told on every version, and
// only as long as it is so.
func TestReadFindsPartnersUsersWhoSeeTooMuch(t *testing.T) {
	t.Parallel()
	for _, version := range []string{frappetest.V14, frappetest.V15, frappetest.V16} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := provisioned(t, version)
			h.insert(t, "PMM Partner", map[string]any{"partner_key": "vale", "partner_name": "Vale"})
			if version == frappetest.V14 { // lists users for System Managers alone
				in, err := h.prm.Read(context.Background(), programme.Input{})
				if err != nil || len(in.Gaps) != 1 || in.Gaps[0].Stream != "User" || !strings.Contains(in.Gaps[0].Remedy, "Role Permissions Manager") {
					t.Errorf("%v, gaps %+v", err, in.Gaps)
				}
				if err := h.site.Grant("User", "PMM Sync Agent", 0, "r"); err != nil {
					t.Fatal(err)
				}
			}
			for _, u := range []string{"confined@vale.example", "half@vale.example", "free@vale.example", "gone@vale.example"} {
				h.site.AddUser(u, "Partner")
			}
			h.site.AddUser("ours@prm.test", "Partner", "Partner Manager")
			if err := h.site.SetSilently("User", "gone@vale.example", map[string]any{"enabled": 0}); err != nil {
				t.Fatal(err)
			}
			confine := func(user string, all int) string {
				v := map[string]any{"user": user, "allow": "PMM Partner", "for_value": "vale", "apply_to_all_doctypes": all}
				if all == 0 {
					v["applicable_for"] = "Partner Audit"
				}
				return h.insert(t, "User Permission", v)
			}
			permission := confine("confined@vale.example", 1)
			confine("half@vale.example", 0)
			read := func() []string {
				t.Helper()
				in, err := h.prm.Read(context.Background(), programme.Input{})
				if err != nil {
					t.Fatal(err)
				}
				if len(in.Gaps) > 0 {
					t.Fatalf("gaps: %+v", in.Gaps)
				}
				return in.Unrestricted
			}
			if got, want := read(), []string{"free@vale.example", "half@vale.example"}; !cmp.Equal(got, want) {
				t.Errorf("unrestricted: %v, want %v", got, want)
			}
			confine("free@vale.example", 1)
			if got, want := read(), []string{"half@vale.example"}; !cmp.Equal(got, want) {
				t.Errorf("one was confined: %v, want %v", got, want)
			}
			if err := h.site.Delete("User Permission", permission); err != nil {
				t.Fatal(err)
			}
			if got, want := read(), []string{"confined@vale.example", "half@vale.example"}; !cmp.Equal(got, want) {
				t.Errorf("one was let loose: %v, want %v", got, want)
			}
			if err := h.site.Revoke("User Permission", "PMM Sync Agent"); err != nil {
				t.Fatal(err)
			}
			in, err := h.prm.Read(context.Background(), programme.Input{})
			if err != nil || len(in.Gaps) != 1 || in.Unrestricted != nil {
				t.Errorf("without the right: %v, %+v, %v", err, in.Gaps, in.Unrestricted)
			}
		})
	}
}

// The PRM's clock is compared with ours by the header of its answers.
func TestReadMeasuresThePRMsClock(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	target, err := url.Parse(h.site.URL())
	if err != nil {
		t.Fatal(err)
	}
	off := &atomic.Int64{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(time.Duration(off.Load())).UTC().Format(http.TimeFormat))
		return nil
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(srv.Close)
	key, secret := h.site.AddUser("clock@prm.test", "PMM Sync Agent")
	c, err := frappe.New(frappe.Config{URL: srv.URL, Key: frappe.Secret(key), Secret: frappe.Secret(secret), AllowPrivateNetwork: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := prm.New(c, "bare")
	for _, tt := range []struct{ off, want time.Duration }{{0, 0}, {5 * time.Minute, 5 * time.Minute}, {-30 * time.Second, 0}, {-90 * time.Minute, -90 * time.Minute}, {0, 0}} {
		off.Store(int64(tt.off))
		in, err := p.Read(context.Background(), programme.Input{})
		if err != nil {
			t.Fatal(err)
		}
		if in.Skew != tt.want {
			t.Errorf("the PRM's clock is %v off, read as %v, want %v", tt.off, in.Skew, tt.want)
		}
	}
}
