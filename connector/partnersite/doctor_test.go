package partnersite_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

func (b *bench) doctor() partnersite.Report {
	b.t.Helper()
	r, err := b.reader.Doctor(b.t.Context())
	if err != nil {
		b.t.Fatalf("Doctor: %v", err)
	}
	return r
}

func rendered(t *testing.T, r partnersite.Report) string {
	t.Helper()
	var b strings.Builder
	must(t, r.WriteTable(&b, false))
	return b.String()
}

func TestDoctorOfAGoodKey(t *testing.T) {
	t.Parallel()
	b := served(t)
	r := b.doctor()
	for _, q := range b.site.Requests() {
		if q.Method != "GET" {
			t.Errorf("%s %s: doctor may only GET", q.Method, q.Path)
		}
	}
	if r.User != "prm.reader@meridian.example" || r.UserType != "Website User" || r.Zone != "Europe/Berlin" || r.Versions["erpnext"] != "15.71.1" {
		t.Errorf("identity %q %q, zone %q, versions %v", r.User, r.UserType, r.Zone, r.Versions)
	}
	rows := map[string]int{}
	gaps := map[string]evidence.GapKind{}
	for _, s := range r.Streams {
		rows[s.Stream], gaps[s.Stream] = s.Rows, s.Gap
	}
	if rows["Task"] != 174 || rows["Issue"] != 45 || rows["Weekly Metric"] != 72 || rows["Deleted Document"] != 4 {
		t.Errorf("rows %v", rows)
	}
	if gaps["Event"] != evidence.Hidden || gaps["Company"] != evidence.Forbidden || gaps["Task"] != "" {
		t.Errorf("gaps %v", gaps)
	}
	if len(r.Excess) != 0 {
		t.Errorf("excess %v, want none: the reader can only read", r.Excess)
	}
	if r.Poll.Requests < 35 || r.Poll.Requests > 50 || r.Poll.ServerSeconds <= 0 || r.First.Requests < 200 {
		t.Errorf("costs: first %v, poll %v", r.First, r.Poll)
	}
	got := rendered(t, r)
	for _, want := range []string{"meridian, site erp", "prm.reader@meridian.example", "Europe/Berlin", "Weekly Metric", "requests", "Role Permissions Manager, Add a New Rule: Document Type Company"} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %q:\n%s", want, got)
		}
	}
	j, err := json.Marshal(r)
	must(t, err)
	if strings.Contains(got+string(j), b.secret) {
		t.Error("the report holds the secret")
	}
}

func TestDoctorNamesWhatAMissingRowCosts(t *testing.T) {
	t.Parallel()
	b := served(t)
	must(t, b.site.Revoke("Sales Invoice", "PMM Evidence Reader"))
	r := b.doctor()
	if r.Health != partnersite.Degraded || !slices.Contains(r.Degraded, "esc.sales.p5") || !slices.Contains(r.Degraded, "esc.impl.p3") {
		t.Errorf("health %s, degraded %v; want hand-over and kick-off in it", r.Health, r.Degraded)
	}
	if !slices.ContainsFunc(r.Steps, func(s string) bool { return strings.Contains(s, "Sales Invoice") }) {
		t.Errorf("steps %q do not name Sales Invoice", r.Steps)
	}
}

func TestDoctorWarnsOfAKeyThatCanDoTooMuch(t *testing.T) {
	t.Parallel()
	b := served(t)
	b.key, b.secret = "meridian-export", "meridian-export-secret"
	b.open()
	r := b.doctor()
	text := strings.Join(r.Excess, "\n")
	if !strings.Contains(text, "System Manager") || !strings.Contains(text, "the role Projects User may change") {
		t.Errorf("excess:\n%s", text)
	}
	if !slices.ContainsFunc(r.Steps, func(s string) bool { return strings.Contains(s, "Desk Access") }) {
		t.Errorf("steps %q do not tell how to make a reader", r.Steps)
	}
}

func TestDoctorSeesTheSilentTraps(t *testing.T) {
	t.Parallel()
	b := served(t)
	_, err := b.site.InsertRaw("User Permission", map[string]any{
		"user": "prm.reader@meridian.example", "allow": "Customer",
		"for_value": "Talbach Stadtwerke", "apply_to_all_doctypes": 1,
	})
	must(t, err)
	r := b.doctor()
	i := slices.IndexFunc(r.Streams, func(s partnersite.StreamReport) bool { return s.Stream == "Project" })
	if s := r.Streams[i]; s.Gap != evidence.Hidden || s.Hidden == 0 {
		t.Errorf("Project: %+v, want Hidden with a number", s)
	}

	// A Role Profile has thrown the role away.
	b = served(t)
	b.site.SetRoles("prm.reader@meridian.example")
	r = b.doctor()
	if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "Role Profile") }) {
		t.Errorf("warnings %q do not name the Role Profile", r.Warnings)
	}
}

func TestDoctorOfASiteThatRefuses(t *testing.T) {
	t.Parallel()
	b := served(t)
	b.secret = "wrong"
	b.open()
	r := b.doctor()
	if r.Health != partnersite.Failed || !strings.Contains(r.Remedy, "key") {
		t.Errorf("health %s, failure %q, remedy %q", r.Health, r.Failure, r.Remedy)
	}
	if got := rendered(t, r); !strings.Contains(got, "failed") {
		t.Errorf("the table does not say so:\n%s", got)
	}
}
