package daemon_test

import (
	"testing"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/rules/programme"
)

// counted is what the desk's card of firing alerts counts for a rule, asked as the
// manager's desk asks.
func (l *life) counted(rule string) int {
	l.t.Helper()
	rows, err := l.manager.List(l.t.Context(), frappe.ListQuery{Doctype: "PMM Alert", Fields: []string{"name"}, Limit: frappe.All, Filters: []frappe.Filter{
		frappe.Where("rule", "=", rule), frappe.Where("status", "=", "Firing"), frappe.Where("acknowledged", "=", 0),
		frappe.Where("snooze_until", "<=", l.clock().Format("2006-01-02")),
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	return len(rows)
}

func (l *life) alert(rule string) (name string, n int) {
	for _, d := range l.site.Docs("PMM Alert") {
		if d["rule"] == rule {
			n++
			if d["status"] == "Firing" {
				name, _ = d["name"].(string)
			}
		}
	}
	return name, n
}

// A year without audit, meeting or call is told on the PRM, until there is one.
func TestAYearWithoutContact(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	meeting := func(on string) {
		t.Helper()
		if _, err := l.site.Insert("Event", map[string]any{
			"subject": "Review", "event_category": "Meeting", "event_type": "Public", "starts_on": on + " 10:00:00", "ends_on": on + " 11:00:00", "status": "Completed",
			"event_participants": []any{map[string]any{"reference_doctype": "PMM Partner", "reference_docname": "vale"}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	l.on("2027-09-30")
	if l.firing(programme.RuleNoContact) {
		t.Error("the PRM has known the partner for less than a year")
	}
	l.on("2027-10-03")
	if !l.firing(programme.RuleNoContact) {
		t.Error("nobody is told that there was never any contact")
	}
	l.wants("PMM Partner", "vale", map[string]any{"insight_code": "no_contact"})
	// The alert is put off by a week, and forgotten by nobody.
	name, n := l.alert(programme.RuleNoContact)
	if n != 1 || l.counted(programme.RuleNoContact) != 1 {
		t.Fatalf("%d alerts, %d counted", n, l.counted(programme.RuleNoContact))
	}
	l.person("PMM Alert", name, map[string]any{"snooze_until": "2027-10-10"})
	l.on("2027-10-04")
	if l.counted(programme.RuleNoContact) != 0 || !l.firing(programme.RuleNoContact) {
		t.Error("a snoozed alert counts, or is gone")
	}
	if code := l.site.Doc("PMM Partner", "vale")["insight_code"]; code == "no_contact" {
		t.Error("a snoozed alert is still the first thing said of the partner")
	}
	l.start()
	l.on("2027-10-09")
	if _, n := l.alert(programme.RuleNoContact); n != 1 || l.counted(programme.RuleNoContact) != 0 {
		t.Error("it came back too early, or twice")
	}
	es, err := l.store.Alerts(t.Context(), "vale", l.clock())
	if err != nil {
		t.Fatal(err)
	}
	recorded := false
	for _, e := range es {
		recorded = recorded || e.Alert.Key == name && e.Alert.Quiet && e.Alert.Until.String() == "2027-10-10"
	}
	if !recorded {
		t.Errorf("the snooze is not on record: %+v", es)
	}
	l.on("2027-10-10")
	if l.counted(programme.RuleNoContact) != 1 {
		t.Error("it did not come back on its day")
	}
	l.wants("PMM Partner", "vale", map[string]any{"insight_code": "no_contact"})
	l.wants("PMM Alert", name, map[string]any{"status": "Firing", "snooze_until": "2027-10-10"})
	meeting("2027-10-10")
	l.on("2027-10-11")
	if l.firing(programme.RuleNoContact) {
		t.Error("it still fires after a meeting")
	}
	l.on("2028-10-10")
	if !l.firing(programme.RuleNoContact) {
		t.Error("the last meeting is more than a year ago")
	}
}

// A partner's user who sees every partner is told, until confined.
func TestAPartnersUserWhoSeesEverything(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	l.site.AddUser("anna@vale.example", "Partner")
	l.on("2026-10-02")
	if !l.firing(programme.RuleUserUnrestricted) {
		t.Error("nobody is told")
	}
	if _, err := l.site.Insert("User Permission", map[string]any{"user": "anna@vale.example", "allow": "PMM Partner", "for_value": "vale", "apply_to_all_doctypes": 1}); err != nil {
		t.Fatal(err)
	}
	l.on("2026-10-03")
	if l.firing(programme.RuleUserUnrestricted) {
		t.Error("it still fires")
	}
}

// What the runtime user may not read on the PRM is told, and the rest goes on.
func TestAPRMThatShowsLess(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	if err := l.site.Revoke("Partner Non Conformance", "PMM Sync Agent"); err != nil {
		t.Fatal(err)
	}
	l.on("2026-10-02")
	l.on("2026-10-03") // held for ten minutes
	if !l.firing(programme.RulePRMUnreadable) {
		t.Error("nobody is told")
	}
	if err := l.site.Grant("Partner Non Conformance", "PMM Sync Agent", 0, "rwc"); err != nil {
		t.Fatal(err)
	}
	l.on("2026-10-04")
	if l.firing(programme.RulePRMUnreadable) {
		t.Error("it still fires")
	}
}
