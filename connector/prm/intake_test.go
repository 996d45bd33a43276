package prm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules/programme"
)

// feedback is a form of the PRM's own, which the runtime user may read.
func feedback(t testing.TB) house {
	t.Helper()
	h := provisioned(t, "")
	h.site.Define(frappetest.DocType{
		Name: "Partner Feedback", Custom: true, Perms: []frappetest.Perm{{Role: "PMM Sync Agent", Rights: "r"}, {Role: "Partner Manager", Rights: "rwc"}},
		Fields: []frappetest.Field{
			{Fieldname: "kind", Fieldtype: "Select", Options: "Praise\nComplaint"},
			{Fieldname: "about", Fieldtype: "Data"},
			{Fieldname: "company", Fieldtype: "Data"},
			{Fieldname: "full_name", Fieldtype: "Data"},
			{Fieldname: "address", Fieldtype: "Data"},
			{Fieldname: "project", Fieldtype: "Data"},
			{Fieldname: "department", Fieldtype: "Data"},
		},
	})
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "vale", "partner_name": "Vale GmbH", "website": "https://vale.example", "master_doctype": "User", "master_name": manager})
	return h
}

func intake() config.Intake {
	return config.Intake{
		Doctype: "Partner Feedback", Since: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Where: map[string]string{"kind": "Complaint"},
		Partner: "about", Customer: "company", Contact: "full_name", Email: "address", Project: "project", Stage: "department", Source: config.PortalSource,
	}
}

func TestReadTakesRequestsFromMappedDoctypes(t *testing.T) {
	t.Parallel()
	h := feedback(t)
	write := func(about, kind string) string {
		return h.insert(t, "Partner Feedback", map[string]any{
			"about": about, "kind": kind, "company": "Kranz", "full_name": "A. Kranz", "address": "a@kranz.example", "project": "rollout", "department": "support",
		})
	}
	names := map[string]string{}
	for _, about := range []string{"vale", manager, "VALE gmbh", "see www.vale.example", "Somebody Else", ""} {
		names[write(about, "Complaint")] = about
	}
	write("vale", "Praise")
	old := write("vale", "Complaint")
	if err := h.site.SetSilently("Partner Feedback", old, map[string]any{"creation": "2019-12-31 23:00:00"}); err != nil {
		t.Fatal(err)
	}
	in, err := prm.New(h.c, "bare", intake()).Read(context.Background(), programme.Input{})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Gaps) > 0 {
		t.Errorf("gaps: %+v", in.Gaps)
	}
	if len(in.Requests) != len(names) {
		t.Fatalf("%d requests, want %d: no praise, and nothing from before", len(in.Requests), len(names))
	}
	for _, r := range in.Requests {
		to, why := programme.Match(in.Partners, r)
		want := "vale"
		if about := names[r.Name]; about == "" || about == "Somebody Else" {
			want = ""
		}
		if to != want || (to == "") != (why != "") {
			t.Errorf("%q is taken for %q (%s)", names[r.Name], to, why)
		}
		if r.Key() != "Partner Feedback/"+r.Name || r.Customer != "Kranz" || r.Stage != "Support" || r.Source != "Customer Portal" || r.Project != "rollout" || r.Contact != "A. Kranz" || r.Email != "a@kranz.example" {
			t.Errorf("request: %+v", r)
		}
	}
}

// A field or right that is not there is named, and nothing else suffers.
func TestIntakeThatDoesNotFit(t *testing.T) {
	t.Parallel()
	h := feedback(t)
	h.insert(t, "Partner Feedback", map[string]any{"about": "vale", "kind": "Complaint", "company": "Kranz"})
	const none = evidence.GapKind("")
	for _, tt := range []struct {
		name     string
		change   func(i *config.Intake)
		want     string // in the finding of the check; "" for none
		gap      evidence.GapKind
		requests int
	}{
		{"it fits", func(*config.Intake) {}, "", none, 1},
		{"no such customer field", func(i *config.Intake) { i.Customer = "firm" }, "Partner Feedback.firm: prm.intake reads it as customer", evidence.Drifted, 1},
		{"no such partner field", func(i *config.Intake) { i.Partner = "team" }, "Partner Feedback.team: prm.intake reads it as partner", evidence.Drifted, 0},
		{"no such doctype", func(i *config.Intake) { i.Doctype = "Partner Fedback" }, "Partner Fedback: prm.intake names it, and it is missing", evidence.Forbidden, 0},
		{"not to be read", func(i *config.Intake) { i.Doctype = "Error Log" }, "Error Log: prm.intake names it", evidence.Forbidden, 0},
		{"no such option", func(i *config.Intake) { i.Where = map[string]string{"kind": "Complain"} }, `asks for "Complain"`, none, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := intake()
			tt.change(&i)
			in, err := prm.New(h.c, "bare", i).Read(context.Background(), programme.Input{})
			if err != nil {
				t.Fatal(err)
			}
			if len(in.Partners) != 1 || len(in.Requests) != tt.requests {
				t.Errorf("%d partners, %d requests", len(in.Partners), len(in.Requests))
			}
			if (len(in.Gaps) > 0) != (tt.gap != none) || len(in.Gaps) > 0 && in.Gaps[0].Kind != tt.gap {
				t.Errorf("gaps: %+v", in.Gaps)
			}
			found, err := prm.VerifyIntake(context.Background(), h.c, []config.Intake{i})
			if err != nil {
				t.Fatal(err)
			}
			if (len(found) > 0) != (tt.want != "") || len(found) > 0 && !strings.Contains(found[0].String(), tt.want) {
				t.Errorf("found %v, want %q", found, tt.want)
			}
		})
	}
}
