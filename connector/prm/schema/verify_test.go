package schema_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
)

func clientOf(t *testing.T, site *frappetest.Site, user string, roles ...string) *frappe.Client {
	t.Helper()
	key, secret := site.AddUser(user, roles...)
	c, err := frappe.New(frappe.Config{
		URL: site.URL(), Key: frappe.Secret(key), Secret: frappe.Secret(secret), AllowPrivateNetwork: true, ServerSeconds: 1000, MinWait: 1, MaxWait: 2, BreakerFailures: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func provision(t *testing.T, c *frappe.Client, deployment string) schema.Result {
	t.Helper()
	res, err := schema.Provision(t.Context(), c, schema.Options{Deployment: deployment})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestVerifyFindsWhatPeopleChanged(t *testing.T) {
	t.Parallel()
	site, _ := provisioned(t, frappetest.V15, "bare")
	verify := func(user string, roles ...string) string {
		found, err := schema.Verify(context.Background(), clientOf(t, site, user, roles...), "bare")
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range found {
			lines = append(lines, f.String())
		}
		return strings.Join(lines, "\n")
	}
	if got := verify("sync@prm.test", "PMM Sync Agent"); got != "" {
		t.Errorf("a fresh PRM: %s", got)
	}
	if got := verify("mighty@prm.test", "PMM Sync Agent", "System Manager"); !strings.Contains(got, "warning: User: the runtime user also has the role System Manager") {
		t.Errorf("a mighty user: %q", got)
	}
	var rows []any
	for _, f := range site.Doc("DocType", "PMM Partner")["fields"].([]map[string]any) {
		row := maps.Clone(f)
		switch row["fieldname"] {
		case "insight":
			continue
		case "status":
			row["options"] = "Act Now\nUnknown\nOn Track\nInactive"
		case "standing":
			row["permlevel"] = 1
		}
		rows = append(rows, row)
	}
	if err := site.Set("DocType", "PMM Partner", map[string]any{"fields": rows}); err != nil {
		t.Fatal(err)
	}
	if err := site.Grant("PMM Site", "PMM Sync Agent", 0, "rwcd"); err != nil {
		t.Fatal(err)
	}
	got := verify("sync2@prm.test", "PMM Sync Agent")
	for _, want := range []string{
		"PMM Partner.insight: the field is gone", "PMM Partner.status: the option Watch is gone", "PMM Partner.standing: its permission level is 1",
		"PMM Site: PMM Sync Agent may delete at level 0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
}

// TestVerifyOnAPressSite finds what is missing in press's own doctypes.
func TestVerifyOnAPressSite(t *testing.T) {
	t.Parallel()
	site := prmSite(t, frappetest.V15, "press")
	verify := func(user string) string {
		found, err := schema.Verify(t.Context(), clientOf(t, site, user, "PMM Sync Agent"), "press")
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range found {
			lines = append(lines, f.String())
		}
		return strings.Join(lines, "\n")
	}
	if got := verify("early@prm.test"); !strings.Contains(got, "missing: PMM Partner: it is missing") || !strings.Contains(got, "missing: Partner Audit.custom_kind: the field is gone") ||
		!strings.Contains(got, "missing: Partner Audit: PMM Sync Agent may not write at level 0") {
		t.Errorf("before provisioning: %s", got)
	}
	provision(t, provisioner(t, site), "press")
	if got := verify("sync@prm.test"); got != "" {
		t.Errorf("a fresh PRM: %s", got)
	}
	if err := site.Grant("Partner Audit", "PMM Sync Agent", 1, "rw"); err != nil {
		t.Fatal(err)
	}
	if err := site.Revoke("Partner Tier", "PMM Sync Agent"); err != nil {
		t.Fatal(err)
	}
	var rows []any
	for _, f := range site.Doc("DocType", "Partner Non Conformance")["fields"].([]map[string]any) {
		if f["fieldname"] != "expected_closure" {
			rows = append(rows, maps.Clone(f))
		}
	}
	if err := site.Set("DocType", "Partner Non Conformance", map[string]any{"fields": rows}); err != nil {
		t.Fatal(err)
	}
	if _, err := site.Insert("Custom Field", map[string]any{"dt": "PMM Partner", "fieldname": "custom_region", "label": "Region", "fieldtype": "Data", "reqd": 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := site.Insert("Property Setter", map[string]any{
		"doctype_or_field": "DocField", "doc_type": "PMM Partner", "field_name": "standing", "property": "read_only", "value": "0", "property_type": "Check",
	}); err != nil {
		t.Fatal(err)
	}
	got := verify("sync2@prm.test")
	for _, want := range []string{
		"warning: Partner Audit: PMM Sync Agent may write at level 1, and should not", "missing: Partner Tier: PMM Sync Agent may not read at level 0",
		"missing: Partner Non Conformance.expected_closure: press does not have the field", "warning: PMM Partner.custom_region: people made this field of theirs mandatory",
		"missing: PMM Partner.standing: people can edit it",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
}

func TestProvisionRefusesAUserWithoutTheRole(t *testing.T) {
	t.Parallel()
	site := frappetest.New(t)
	_, err := schema.Provision(context.Background(), clientOf(t, site, "p@prm.test", "System Manager"), schema.Options{Deployment: "bare"})
	if err == nil || !strings.Contains(err.Error(), "Workspace Manager") {
		t.Errorf("got %v, want the missing role named", err)
	}
}

func TestWhatPeopleAddedSurvives(t *testing.T) {
	t.Parallel()
	site, c := provisioned(t, frappetest.V15, "bare")
	site.AddUser("mary@prm.test", "System Manager")
	mary := site.As("mary@prm.test")
	if _, err := mary.Insert("Custom Field", map[string]any{"dt": "PMM Partner", "fieldname": "custom_region", "label": "Region", "fieldtype": "Data"}); err != nil {
		t.Fatal(err)
	}
	if err := mary.Set("Number Card", "NCs Overdue", map[string]any{"color": "#123456", "filters_json": "[]"}); err != nil {
		t.Fatal(err)
	}
	if err := site.Grant("PMM Partner", "Sales Manager", 0, "r"); err != nil {
		t.Fatal(err)
	}
	// An upgrade: the older schema lacked a field and had fewer options.
	var rows []any
	for _, f := range site.Doc("DocType", "PMM Partner")["fields"].([]map[string]any) {
		row := maps.Clone(f)
		switch row["fieldname"] {
		case "insight_code":
			continue
		case "activity":
			row["options"] = "Active\nInactive\nPaused" // an option that people added
		}
		rows = append(rows, row)
	}
	if err := site.Set("DocType", "PMM Partner", map[string]any{"fields": rows}); err != nil {
		t.Fatal(err)
	}
	if err := site.Set("PMM Sync Status", "PMM Sync Status", map[string]any{"schema_version": "0"}); err != nil {
		t.Fatal(err)
	}
	res := provision(t, c, "bare")
	left := false
	for _, i := range res.Items {
		if i.Verb == schema.Left && i.Name == "NCs Overdue" && strings.Contains(i.Reason, "mary@prm.test") {
			left = true
		}
	}
	if !left {
		t.Error("the changed card is not reported as left")
	}
	if got := site.Doc("Number Card", "NCs Overdue")["color"]; got != "#123456" {
		t.Errorf("the changed card was changed back: %v", got)
	}
	if !site.Has("PMM Partner") || site.Doc("Custom Field", "PMM Partner-custom_region") == nil {
		t.Error("the added field is gone")
	}
	fields := map[string]string{}
	for _, f := range site.Doc("DocType", "PMM Partner")["fields"].([]map[string]any) {
		options, _ := f["options"].(string)
		fields[f["fieldname"].(string)] = options
	}
	if _, ok := fields["insight_code"]; !ok {
		t.Error("the new field was not added")
	}
	if !strings.Contains(fields["activity"], "Paused") {
		t.Errorf("an option was removed: %q", fields["activity"])
	}
	granted := false
	for _, p := range site.Docs("Custom DocPerm") {
		granted = granted || p["parent"] == "PMM Partner" && p["role"] == "Sales Manager"
	}
	if !granted {
		t.Error("the added permission is gone")
	}
	again := provision(t, c, "bare")
	if n := again.Count(schema.Create) + again.Count(schema.Change); n != 0 {
		t.Errorf("a third run has %d things to do", n)
	}
}

func TestTheDocumentIsGenerated(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/prm-schema.md"
	want := schema.Document()
	if os.Getenv("PRMSYNC_WRITE_DOCS") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // a public document
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != want {
		t.Errorf("docs/prm-schema.md is not what the schema says; write it with PRMSYNC_WRITE_DOCS=1 go test ./connector/prm/schema -run Generated (%v)", err)
	}
}

// TestTheRuntimeUserCanDoNoHarm tries what the daemon's key must never allow.
func TestTheRuntimeUserCanDoNoHarm(t *testing.T) {
	t.Parallel()
	site, _ := provisioned(t, frappetest.V15, "bare")
	c := clientOf(t, site, "sync@prm.test", "PMM Sync Agent")
	ctx := context.Background()
	if _, err := c.Insert(ctx, "PMM Partner", "partner_key", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Insert(ctx, "PMM Evidence", "evidence_key", map[string]any{"evidence_key": "k", "partner": "meridian"}); err != nil {
		t.Fatal(err)
	}
	nc, err := c.Insert(ctx, "Partner Non Conformance", "", map[string]any{"partner_team": "meridian", "custom_pmm_partner": "meridian", "nc_statement": "x", "status": "Closed"})
	if err != nil {
		t.Fatal(err)
	}
	for act, try := range map[string]func() error{
		"delete a partner": func() error {
			_, err := c.CallPost(ctx, "frappe.client.delete", map[string]any{"doctype": "PMM Partner", "name": "meridian"})
			return err
		},
		"change evidence": func() error {
			doc, err := c.Get(ctx, "PMM Evidence", "k")
			if err != nil {
				t.Error(err)
			}
			_, err = c.Update(ctx, "PMM Evidence", "k", doc.Modified(), map[string]any{"title": "another"})
			return err
		},
		"add a field": func() error {
			_, err := c.Insert(ctx, "Custom Field", "", map[string]any{"dt": "PMM Partner", "fieldname": "custom_x", "fieldtype": "Data", "label": "X"})
			return err
		},
		"add a doctype": func() error {
			_, err := c.Insert(ctx, "DocType", "", map[string]any{"name": "X", "module": "Partner", "custom": 1})
			return err
		},
		"confine a user": func() error {
			_, err := c.Insert(ctx, "User Permission", "", map[string]any{"user": "sync@prm.test", "allow": "PMM Partner", "for_value": "meridian"})
			return err
		},
		"change a certificate": func() error {
			_, err := c.Insert(ctx, "Partner Certificate", "", map[string]any{"team": "meridian", "course": "x"})
			return err
		},
	} {
		if err := try(); err == nil {
			t.Errorf("the runtime user can %s", act)
		}
	}
	doc, err := c.Get(ctx, "Partner Non Conformance", nc.Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(ctx, "Partner Non Conformance", nc.Name, doc.Modified(), map[string]any{"status": "Closed", "custom_overdue": 1}); err != nil {
		t.Fatal(err)
	}
	have := site.Doc("Partner Non Conformance", nc.Name)
	if have["status"] != "Open" || text(have["custom_overdue"]) != "1" {
		t.Errorf("status %v, overdue %v; want a person's field untouched and ours written", have["status"], have["custom_overdue"])
	}
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
