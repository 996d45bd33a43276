package daemon_test

import (
	"slices"
	"testing"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

// What customers write in a portal of the PRM's own becomes one escalation each,
// once; what fits no partner asks a person, and becomes one when corrected.
func TestRequestsOfAPortalBecomeEscalations(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	l.site.Define(frappetest.DocType{
		Name: "Portal Case", Autoname: "CASE-.####", Custom: true,
		Perms:  []frappetest.Perm{{Role: "PMM Sync Agent", Rights: "r"}, {Role: "Partner Manager", Rights: "rwc"}},
		Fields: []frappetest.Field{{Fieldname: "partner", Fieldtype: "Data"}, {Fieldname: "company", Fieldtype: "Data"}, {Fieldname: "area", Fieldtype: "Data"}, {Fieldname: "text", Fieldtype: "Text"}},
	})
	l.central.SetIntake([]config.Intake{{Doctype: "Portal Case", Since: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), Partner: "partner", Customer: "company", Stage: "area", Source: config.PortalSource}})
	first := l.create("Portal Case", map[string]any{"partner": "Vale GmbH", "company": "Kranz <b>AG</b>", "area": "Sales", "text": "Nobody answers."})
	second := l.create("Portal Case", map[string]any{"partner": "Wale", "company": "Ott"})
	l.ask() // the web form stays what it is
	l.on("2026-10-02")
	l.start()
	l.on("2026-10-03")
	escalations := func() map[string]string {
		out := map[string]string{}
		for _, d := range l.site.Docs("Partner Escalation") {
			key, _ := d["source_key"].(string)
			if out[key] != "" {
				t.Errorf("two escalations under %q", key)
			}
			out[key], _ = d["name"].(string)
		}
		return out
	}
	got := escalations()
	if len(got) != 2 || got["Portal Case/"+first] == "" {
		t.Fatalf("escalations %v, want the form's and one of %s", got, first)
	}
	l.wants(plan.DoctypeEscalation, got["Portal Case/"+first], map[string]any{
		"partner": "vale", "customer": "Kranz ‹b›AG‹/b›", "stage": "Sales", "source": "Customer Portal", "status": "Received", "received_on": "2026-10-01",
	})
	unmatched := func() bool {
		return slices.ContainsFunc(l.site.Docs("PMM Alert"), func(d map[string]any) bool {
			return d["rule"] == programme.RuleRequestUnmatched && d["status"] == "Firing" && d["subject_doctype"] == "Portal Case" && d["subject_name"] == second
		})
	}
	if !unmatched() {
		t.Error("nobody is told of a request that fits no partner")
	}
	l.person("Portal Case", second, map[string]any{"partner": "vale"})
	l.on("2026-10-04")
	if got := escalations(); len(got) != 3 || got["Portal Case/"+second] == "" {
		t.Errorf("escalations %v: the corrected request is not among them", got)
	}
	if unmatched() {
		t.Error("the alert of a request that was settled still fires")
	}
	// Without the right to read it others go on, and nothing is taken back.
	if err := l.site.Revoke("Portal Case", "PMM Sync Agent"); err != nil {
		t.Fatal(err)
	}
	l.on("2026-10-05")
	if got := escalations(); len(got) != 3 {
		t.Errorf("escalations %v", got)
	}
}
