package schema_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
)

// edited are desk items that people change.
var edited = []string{"Escalations Open", "PMM Partner List"}

// age takes a provisioned site back to what an older schema might have left:
// every third record is not there yet, every third is as it was then, doctypes
// lack fields, options, rights, states and connections, and the version is
// another. It returns how many records it touched.
func age(t *testing.T, site *frappetest.Site, deployment string) int {
	t.Helper()
	n := 0
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	rows := func(doctype, name, field string) []map[string]any {
		out, _ := site.Doc(doctype, name)[field].([]map[string]any)
		return out
	}
	named := func(r map[string]any) string { return fmt.Sprint(r["name"]) }
	for i, st := range schema.Load().For(deployment) {
		if st.Action != "ensure" || !site.Has(st.Doctype) || strings.Contains(st.Note, "left as found") || slices.Contains(edited, st.Name) {
			continue
		}
		doc := site.Doc(st.Doctype, st.Name)
		switch st.Doctype {
		case "Role", "Module Def":
		case "DocType":
			// What others lean on is older than what nothing leans on.
			leaned := fmt.Sprint(doc["autoname"], doc["title_field"], doc["search_fields"], doc["sort_field"])
			fields := rows("DocType", st.Name, "fields")
			last := fields[len(fields)-1]
			for _, f := range fields {
				if text(f["fieldtype"]) == "Select" && text(f["default"]) == "" && strings.Count(text(f["options"]), "\n") > 1 {
					lines := strings.Split(text(f["options"]), "\n")
					must(site.SetSilently("DocField", named(f), map[string]any{"options": strings.Join(lines[:len(lines)-1], "\n")}))
				}
				if text(f["fieldtype"]) == "Data" && !strings.Contains(leaned, text(f["fieldname"])) {
					last = f
				}
			}
			must(site.SetSilently("DocField", named(last), map[string]any{"label": "As it was called", "description": ""}))
			must(site.DeleteRaw("DocField", named(last)))
			for _, field := range []string{"permissions", "states", "links"} {
				if r := rows("DocType", st.Name, field); len(r) > 1 {
					must(site.DeleteRaw(map[string]string{"permissions": "DocPerm", "states": "DocType State", "links": "DocType Link"}[field], named(r[len(r)-1])))
				}
			}
		default:
			switch i % 3 {
			case 0:
				must(site.DeleteRaw(st.Doctype, fmt.Sprint(doc["name"])))
			case 1:
				for _, k := range slices.Sorted(maps.Keys(st.Body)) {
					if v, ok := st.Body[k].(string); ok && slices.Contains([]string{"script", "message", "subject", "html", "color", "description", "label", "json", "content", "success_message", "fields"}, k) && doc[k] != nil && v != st.Name {
						must(site.SetSilently(st.Doctype, fmt.Sprint(doc["name"]), map[string]any{k: "[]"}))
					}
				}
			}
		}
	}
	for i, p := range site.Docs("Custom DocPerm") {
		if strings.HasPrefix(text(p["role"]), "PMM ") && i%2 == 0 {
			must(site.DeleteRaw("Custom DocPerm", named(p)))
		}
	}
	must(site.Set("PMM Sync Status", "PMM Sync Status", map[string]any{"schema_version": "0"}))
	return n
}

func TestAnOlderSchemaIsUpgraded(t *testing.T) {
	t.Parallel()
	for version, on := range map[string][]string{frappetest.V14: {"bare"}, frappetest.V15: deployments, frappetest.V16Later: {"press"}} {
		for _, deployment := range on {
			t.Run(version+"/"+deployment, func(t *testing.T) {
				t.Parallel()
				site, c := provisioned(t, version, deployment)
				want := stateOf(site, deployment)

				site.AddUser("mary@prm.test", "System Manager", "Workspace Manager")
				mary := site.As("mary@prm.test")
				if n := age(t, site, deployment); n < 100 {
					t.Fatalf("only %d records are older", n)
				}
				// What people did meanwhile.
				if _, err := mary.Insert("Custom Field", map[string]any{"dt": "PMM Partner", "fieldname": "custom_region", "label": "Region", "fieldtype": "Data"}); err != nil {
					t.Fatal(err)
				}
				if err := mary.Set("Number Card", "Escalations Open", map[string]any{"color": "#123456"}); err != nil {
					t.Fatal(err)
				}
				if err := mary.Set("Client Script", "PMM Partner List", map[string]any{"script": "// hers"}); err != nil {
					t.Fatal(err)
				}
				res := provision(t, c, deployment)
				for _, i := range res.Items {
					hers := slices.Contains(edited, i.Name)
					if i.Verb == schema.Cannot || (i.Verb == schema.Left) != hers || hers && !strings.Contains(i.Reason, "mary@prm.test") {
						t.Errorf("%s", i)
					}
				}
				got := stateOf(site, deployment)
				for _, theirs := range []string{"Number Card Escalations Open", "Client Script PMM Partner List", "how many Custom Field"} {
					if cmp.Equal(got[theirs], want[theirs]) {
						t.Errorf("%s is as if nobody had touched it", theirs)
					}
					delete(got, theirs)
					delete(want, theirs)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("differs from a fresh one (-fresh +upgraded):\n%s", diff)
				}
				for _, i := range provision(t, c, deployment).Items {
					if i.Verb == schema.Create || i.Verb == schema.Change {
						t.Errorf("again: %s", i)
					}
				}
			})
		}
	}
}

// TestANewerSchemaIsNotTakenBack: an older program on a newer PRM changes
// nothing, and verify says which of the two is behind.
func TestANewerSchemaIsNotTakenBack(t *testing.T) {
	t.Parallel()
	site, c := provisioned(t, frappetest.V15, "bare")
	set := func(version string) {
		t.Helper()
		if err := site.Set("PMM Sync Status", "PMM Sync Status", map[string]any{"schema_version": version}); err != nil {
			t.Fatal(err)
		}
	}
	agent := clientOf(t, site, "sync@prm.test", "PMM Sync Agent")
	verify := func() string {
		t.Helper()
		found, err := schema.Verify(t.Context(), agent, "bare")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(found)
	}
	set("99")
	if _, err := schema.Provision(t.Context(), c, schema.Options{Deployment: "bare"}); err == nil || !strings.Contains(err.Error(), "version 99") || !strings.Contains(err.Error(), "newer prmsync") {
		t.Errorf("provision: %v", err)
	}
	if got := verify(); !strings.Contains(got, "schema version 99") {
		t.Errorf("verify of a newer one: %s", got)
	}
	set("0")
	if got := verify(); !strings.Contains(got, "PMM Sync Status.schema_version") || !strings.Contains(got, "run prmsync provision") {
		t.Errorf("verify of an older one: %s", got)
	}
	provision(t, c, "bare")
	if got := verify(); got != "[]" {
		t.Errorf("verify after the upgrade: %s", got)
	}
}
