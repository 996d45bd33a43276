package schema_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
)

// item returns what a run says of one record.
func item(t *testing.T, res schema.Result, doctype, name string) schema.Item {
	t.Helper()
	var found schema.Item
	for _, i := range res.Items {
		if i.Doctype == doctype && i.Name == name {
			if found.Verb != "" && found.Verb != schema.Unchanged && i.Verb != schema.Unchanged {
				t.Errorf("%s %s is reported twice: %s and %s", doctype, name, found, i)
			}
			if found.Verb == "" || found.Verb == schema.Unchanged {
				found = i
			}
		}
	}
	return found
}

func row(t *testing.T, site *frappetest.Site, doctype, role string, level int64) map[string]any {
	t.Helper()
	for _, p := range site.Docs("Custom DocPerm") {
		if p["parent"] == doctype && p["role"] == role && p["permlevel"] == level {
			return p
		}
	}
	return nil
}

// TestRightsGivenInThePermissionManager: from the first row that people set
// there on, Frappe ignores the doctype's own rows.
func TestRightsGivenInThePermissionManager(t *testing.T) {
	t.Parallel()
	site, c := provisioned(t, frappetest.V15, "bare")
	const manager = "frappe.core.page.permission_manager.permission_manager."
	call := func(method, role string, level int, ptype string, value int) {
		t.Helper()
		args := map[string]any{"parent": "PMM Partner", "doctype": "PMM Partner", "role": role, "permlevel": level}
		if ptype != "" {
			args["ptype"], args["value"] = ptype, value
		}
		if _, err := c.CallPost(t.Context(), manager+method, args); err != nil {
			t.Fatal(err)
		}
	}
	site.AddRole("Sales Manager")
	call("add", "Sales Manager", 0, "", 0)
	call("remove", "Partner Manager", 1, "", 0)
	call("update", "PMM Sync Agent", 0, "write", 0)
	call("update", "PMM Auditor", 1, "write", 0)
	call("update", "PMM Auditor", 0, "delete", 1)
	res := provision(t, c, "bare")
	if i := item(t, res, "Custom DocPerm", "PMM Partner/PMM Auditor/1"); i.Verb != schema.Left || !strings.Contains(strings.Join(i.Fields, " "), "write") {
		t.Errorf("the auditor's right that was taken away: %q, want it left and reported", i)
	}
	if i := item(t, res, "Custom DocPerm", "PMM Partner/PMM Sync Agent/0"); i.Verb != schema.Change {
		t.Errorf("the daemon's right: %q, want it given again", i)
	}
	if r := row(t, site, "PMM Partner", "PMM Sync Agent", 0); r == nil || text(r["write"]) != "1" || text(r["delete"]) != "0" {
		t.Errorf("the daemon's row: %v", r)
	}
	if r := row(t, site, "PMM Partner", "Partner Manager", 1); r == nil || text(r["write"]) != "1" {
		t.Errorf("the manager's row that was removed: %v", r)
	}
	if r := row(t, site, "PMM Partner", "PMM Auditor", 0); text(r["delete"]) != "1" {
		t.Errorf("a right that people gave was taken: %v", r)
	}
	if row(t, site, "PMM Partner", "Sales Manager", 0) == nil {
		t.Error("the role that people added is gone")
	}
	again := provision(t, c, "bare")
	if n := again.Count(schema.Create) + again.Count(schema.Change); n != 0 {
		t.Errorf("a third run has %d things to do: %v", n, again.Items)
	}
}

// TestCustomizeForm lays settings over fields that the daemon writes.
func TestCustomizeForm(t *testing.T) {
	t.Parallel()
	site, c := provisioned(t, frappetest.V15, "bare")
	site.AddUser("mary@prm.test", "System Manager")
	mary := site.As("mary@prm.test")
	set := func(field, property, value string) {
		t.Helper()
		if _, err := mary.Insert("Property Setter", map[string]any{
			"doctype_or_field": "DocField", "doc_type": "PMM Partner", "field_name": field, "property": property, "value": value, "property_type": "Text",
		}); err != nil {
			t.Fatal(err)
		}
	}
	set("status", "options", "Act Now\nWatch\nOn Track\nParked\nInactive")
	set("standing", "permlevel", "1")
	set("insight", "label", "Why")
	res := provision(t, c, "bare")
	if i := item(t, res, "Property Setter", "PMM Partner-status-options"); i.Verb != schema.Change {
		t.Errorf("options: %q, want ours added", i)
	}
	if got, want := site.Doc("Property Setter", "PMM Partner-status-options")["value"], "Act Now\nWatch\nOn Track\nParked\nInactive\nUnknown"; got != want {
		t.Errorf("options are %q, want %q", got, want)
	}
	if i := item(t, res, "Property Setter", "PMM Partner-standing-permlevel"); i.Verb != schema.Left || !strings.Contains(i.Reason, "Customize Form") {
		t.Errorf("level: %q, want it reported with the remedy", i)
	}
	if i := item(t, res, "Property Setter", "PMM Partner-insight-label"); i.Verb != "" {
		t.Errorf("a label is people's own: %q", i)
	}
	again := provision(t, c, "bare")
	if n := again.Count(schema.Create) + again.Count(schema.Change); n != 0 {
		t.Errorf("a third run has %d things to do", n)
	}
}

func TestOptionsThatPeopleAddedStay(t *testing.T) {
	t.Parallel()
	for _, deployment := range deployments {
		t.Run(deployment, func(t *testing.T) {
			t.Parallel()
			site, c := provisioned(t, frappetest.V15, deployment)
			if err := site.Set("Custom Field", "Partner Audit-custom_kind", map[string]any{"options": "PMM\nSurprise\nFollow-up"}); err != nil {
				t.Fatal(err)
			}
			provision(t, c, deployment)
			if got, want := site.Doc("Custom Field", "Partner Audit-custom_kind")["options"], "PMM\nSurprise\nFollow-up\nRe-audit"; got != want {
				t.Errorf("options are %q, want %q", got, want)
			}
		})
	}
}

// TestTheRoleOfPartnersStaysAsFound: with desk access its users become desk
// users, on a press site all partners at once.
func TestTheRoleOfPartnersStaysAsFound(t *testing.T) {
	t.Parallel()
	site := prmSite(t, frappetest.V15, "press")
	site.AddRole("Partner")
	if err := site.Set("Role", "Partner", map[string]any{"desk_access": 0}); err != nil {
		t.Fatal(err)
	}
	provision(t, provisioner(t, site), "press")
	if got := text(site.Doc("Role", "Partner")["desk_access"]); got != "0" {
		t.Errorf("desk_access of Partner = %s, want 0 as found", got)
	}
}

func TestAWrongDeploymentIsRefused(t *testing.T) {
	t.Parallel()
	for configured, actual := range map[string]string{"bare": "press", "press": "bare"} {
		site := prmSite(t, frappetest.V15, actual)
		c := provisioner(t, site)
		if _, err := schema.Provision(t.Context(), c, schema.Options{Deployment: configured}); err == nil || !strings.Contains(err.Error(), "set it to "+actual) {
			t.Errorf("%s on a %s site: %v", configured, actual, err)
		}
		if n := site.Count("Custom Field"); n != 0 {
			t.Errorf("%s on a %s site: %d Custom Fields made", configured, actual, n)
		}
		provision(t, c, actual)
		if _, err := schema.Provision(t.Context(), c, schema.Options{Deployment: configured}); err == nil {
			t.Errorf("%s on a provisioned %s site is not refused", configured, actual)
		}
	}
}

// TestRightsOfTheDoctypeItself are kept where people widened them.
func TestRightsOfTheDoctypeItself(t *testing.T) {
	t.Parallel()
	site, c := provisioned(t, frappetest.V15, "bare")
	var rows []any
	for _, p := range site.Doc("DocType", "PMM Site")["permissions"].([]map[string]any) {
		p = maps.Clone(p)
		if p["role"] == "PMM Auditor" {
			p["export"] = 1
			p["share"] = 1
		}
		rows = append(rows, p)
	}
	if err := site.Set("DocType", "PMM Site", map[string]any{"permissions": rows}); err != nil {
		t.Fatal(err)
	}
	if res := provision(t, c, "bare"); res.Count(schema.Change) != 0 {
		t.Errorf("changes: %v", item(t, res, "DocType", "PMM Site"))
	}
}

// TestHowAFieldLooksIsPeoples: Customize Form saves a Custom Field itself. Its
// label is theirs, its guard is not.
func TestHowAFieldLooksIsPeoples(t *testing.T) {
	t.Parallel()
	site, c := provisioned(t, frappetest.V15, "press")
	site.AddUser("mary@prm.test", "System Manager")
	mary := site.As("mary@prm.test")
	const label, guard = "Partner Audit-custom_kind", "Partner Audit-custom_proposed_outcome"
	if err := mary.Set("Custom Field", label, map[string]any{"label": "Sort of audit", "in_list_view": 1}); err != nil {
		t.Fatal(err)
	}
	if err := mary.Set("Custom Field", guard, map[string]any{"label": "Proposal", "read_only": 0}); err != nil {
		t.Fatal(err)
	}
	if err := mary.Set("Workflow State", "Warning Sent", map[string]any{"style": "Inverse"}); err != nil {
		t.Fatal(err)
	}
	res := provision(t, c, "press")
	if i := item(t, res, "Custom Field", label); i.Verb != schema.Left || site.Doc("Custom Field", label)["label"] != "Sort of audit" {
		t.Errorf("a label: %s", i)
	}
	if i := item(t, res, "Workflow State", "Warning Sent"); i.Verb != schema.Left {
		t.Errorf("a colour: %s", i)
	}
	doc := site.Doc("Custom Field", guard)
	if i := item(t, res, "Custom Field", guard); i.Verb != schema.Change || text(doc["read_only"]) != "1" || doc["label"] != "Proposal" {
		t.Errorf("a guard: %s, read_only %v, label %v", i, doc["read_only"], doc["label"])
	}
}
