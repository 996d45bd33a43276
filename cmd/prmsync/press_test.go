package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/internal/demo"
)

// onPress is a world whose PRM is a press site, and the settings to run
// prmsync against it.
func onPress(t *testing.T, policy string) (*demo.World, map[string]string) {
	t.Helper()
	day := time.Now()
	world, err := demo.NewWorld(func() time.Time { return day })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	if err := world.PRM.Install("press"); err != nil {
		t.Fatal(err)
	}
	world.MakeAgent() // its role is there before the rights are
	// Three partners tell the story: one that does well, one that does not, and one
	// that is new.
	world.Members = slices.DeleteFunc(world.Members, func(m *demo.Member) bool {
		return !slices.Contains([]string{"amberline", "brackwater", "foxglove"}, m.Key)
	})
	dir := t.TempDir()
	vars := map[string]string{"PRMSYNC_LOG_LEVEL": "error"}
	for _, pair := range realConfig(t, world, dir) {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	vars["PRMSYNC_PROVISION_API_KEY"], vars["PRMSYNC_PROVISION_API_SECRET"] = world.Provision.Key, world.Provision.Secret
	path := filepath.Join(dir, "prmsync.yaml")
	file := strings.Replace(string(mustRead(t, path)), "deployment: bare", "deployment: press", 1)
	for _, m := range world.Members {
		file = strings.Replace(file, "name: "+m.Name+"\n", fmt.Sprintf("name: %s\n    master: {doctype: Team, name: team-%s}\n", m.Name, m.Key), 1)
		if _, err := world.PRM.InsertRaw("Team", map[string]any{
			"name": "team-" + m.Key, "enabled": 1, "erpnext_partner": 1, "company_name": m.Name, "partner_email": "info@" + m.Key + ".example", "partner_tier": "Silver", "partner_status": "Active",
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte(file+policy), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tier := range []struct {
		title string
		usd   int
		pmm   int
	}{{"Emerging", 350, 2}, {"Bronze", 750, 3}, {"Silver", 3150, 4}} {
		if _, err := world.PRM.Insert("Partner Tier", map[string]any{"title": tier.title, "enabled": 1, "target_in_usd": tier.usd, "pmm_required": tier.pmm}); err != nil {
			t.Fatal(err)
		}
	}
	return world, vars
}

func program(t *testing.T, vars map[string]string, want int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, envconfig.MapLookuper(vars), &stdout, &stderr); code != want {
		t.Fatalf("%q = %d, want %d: %s%s", args, code, want, &stdout, &stderr)
	}
	return stdout.String()
}

// native is what press itself and people keep in a record: what is not ours.
func native(doc map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range doc {
		if !strings.HasPrefix(k, "custom_") && k != "modified" && k != "modified_by" {
			out[k] = v
		}
	}
	return out
}

// TestTheWholeJobOnAPressSite provisions a press site and lets two cycles pass:
// press's own records keep their fields, and a second cycle writes nothing.
func TestTheWholeJobOnAPressSite(t *testing.T) {
	t.Parallel()
	world, vars := onPress(t, "")
	site := world.PRM
	if got := program(t, vars, exitOK, "provision", "--yes"); !strings.Contains(got, "0 refused") {
		t.Errorf("provision: %s", got)
	}
	if got := program(t, vars, exitOK, "provision", "verify"); !strings.Contains(got, "0 missing, 0 warnings") {
		t.Errorf("verify: %s", got)
	}
	insert := func(doctype string, values map[string]any) string {
		t.Helper()
		name, err := site.Insert(doctype, values)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	// What people and press's portal know: the team, not our partner.
	audit := insert("Partner Audit", map[string]any{"partner_team": "team-brackwater", "status": "Completed", "audit_date": "2026-10-01", "mode_of_audit": "Online"})
	late := insert("Partner Non Conformance", map[string]any{
		"partner_audit": audit, "nc_statement": "Plans are not kept", "department": "Implementation", "status": "Open", "expected_closure": "2026-01-31",
	})
	for i := range 2 {
		insert("Partner Certificate", map[string]any{"team": "team-amberline", "course": "frappe-developer-certification", "partner_member_email": fmt.Sprintf("c%d@amberline.example", i), "issue_date": "2026-03-01"})
	}
	before := map[string]map[string]any{"audit": native(site.Doc("Partner Audit", audit)), "nc": native(site.Doc("Partner Non Conformance", late))}
	untouched := []string{"Team", "Partner Tier", "Partner Certificate"}
	kept := map[string][]map[string]any{}
	for _, doctype := range untouched {
		kept[doctype] = site.Docs(doctype)
	}

	// A team's address is free text in press, and none of Frappe's e-mail fields
	// takes this one.
	if err := site.SetSilently("Team", "team-foxglove", map[string]any{"partner_email": "sales at foxglove"}); err != nil {
		t.Fatal(err)
	}
	kept["Team"] = site.Docs("Team")

	program(t, vars, exitNotMet, "once")
	program(t, vars, exitNotMet, "once") // the first cycle had not seen the partners it made
	if p := site.Doc("PMM Partner", "brackwater"); p["email"] != "info@brackwater.example" || p["tier_mirror"] != "Silver" {
		t.Errorf("of the team: %v, %v", p["email"], p["tier_mirror"])
	}
	if p := site.Doc("PMM Partner", "foxglove"); plain(p["email"]) != "" || p["tier_mirror"] != "Silver" || plain(p["status"]) == "" {
		t.Errorf("of a team without a proper address: %v, %v, %v", p["email"], p["tier_mirror"], p["status"])
	}
	if p := site.Doc("PMM Partner", "brackwater"); p == nil || p["master_name"] != "team-brackwater" || plain(p["overdue_ncs"]) != "1" {
		t.Errorf("the partner of the late NC: %v", p)
	}
	if nc := site.Doc("Partner Non Conformance", late); plain(nc["custom_overdue"]) != "1" {
		t.Errorf("the late NC: custom_overdue %v", nc["custom_overdue"])
	}
	for doctype, name := range map[string]string{"Partner Audit": audit, "Partner Non Conformance": late} {
		if d := site.Doc(doctype, name); d["custom_pmm_partner"] != "brackwater" || d["custom_partner_name"] == "" {
			t.Errorf("%s names the partner %v, %v; press's form knew the team alone", doctype, d["custom_pmm_partner"], d["custom_partner_name"])
		}
	}
	after := map[string]map[string]any{"audit": native(site.Doc("Partner Audit", audit)), "nc": native(site.Doc("Partner Non Conformance", late))}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("fields of press were written (-before +after):\n%s", diff)
	}
	for _, doctype := range untouched {
		if diff := cmp.Diff(kept[doctype], site.Docs(doctype)); diff != "" {
			t.Errorf("%s was written (-before +after):\n%s", doctype, diff)
		}
	}
	for _, p := range site.Docs("PMM Partner") {
		if plain(p["awarded_pmm"]) != "0" || plain(p["awarded_tier"]) != "" {
			t.Errorf("%s: awarded %v, %v were written; a person awards", p["name"], p["awarded_pmm"], p["awarded_tier"])
		}
	}
	site.KeepLog(true)
	site.ResetRequests()
	program(t, vars, exitNotMet, "once")
	if got := writes(world); len(got) != 0 {
		t.Errorf("%d writes in a cycle without news: %q", len(got), got)
	}
}

// TestAnNCIsRaisedOnceOnAPressSite: press's fields have no level that guards
// them, so that after the insert nothing but our own may be sent.
func TestAnNCIsRaisedOnceOnAPressSite(t *testing.T) {
	t.Parallel()
	world, vars := onPress(t, "policy: {nc_mode: raise}\n")
	site := world.PRM
	program(t, vars, exitOK, "provision", "--yes", "--json")
	audit, err := site.Insert("Partner Audit", map[string]any{
		"partner_team": "team-brackwater", "status": "Scheduled", "audit_date": time.Now().AddDate(0, 0, -1).Format(time.DateOnly), "custom_kind": "PMM", "custom_pmm_level": "3",
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		program(t, vars, exitNotMet, "once")
	}
	if err := site.As("manager@prm.example").Set("Partner Audit", audit, map[string]any{"status": "Completed"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		program(t, vars, exitNotMet, "once")
	}
	raised := site.Docs("Partner Non Conformance")
	if len(raised) == 0 {
		t.Fatal("no NC was raised for a failing partner's completed audit")
	}
	for _, nc := range raised {
		if nc["partner_team"] != "team-brackwater" || nc["partner_audit"] != audit || nc["custom_pmm_partner"] != "brackwater" || nc["status"] != "Open" || plain(nc["nc_description"]) == "" {
			t.Errorf("raised: %v", nc)
		}
	}
	// A person closes one and rewrites another: neither comes back.
	mine := site.As("manager@prm.example")
	if err := mine.Set("Partner Non Conformance", plain(raised[0]["name"]), map[string]any{"status": "Closed", "closed_on": time.Now().Format(time.DateOnly), "nc_description": "settled by phone"}); err != nil {
		t.Fatal(err)
	}
	want := native(site.Doc("Partner Non Conformance", plain(raised[0]["name"])))
	for range 2 {
		program(t, vars, exitNotMet, "once")
	}
	if diff := cmp.Diff(want, native(site.Doc("Partner Non Conformance", plain(raised[0]["name"])))); diff != "" {
		t.Errorf("a person's NC was changed (-theirs +now):\n%s", diff)
	}
	if n := site.Count("Partner Non Conformance"); n != len(raised) {
		t.Errorf("%d NCs, want the %d of before", n, len(raised))
	}
}

func plain(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
