package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/rules/plan"
)

// A person removed a field of PMM Partner. What is parked says so and what
// helps; the person does that, and what was parked is sent.
func TestAPersonSettlesTheOutbox(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.vars["PRMSYNC_PROVISION_API_KEY"], s.vars["PRMSYNC_PROVISION_API_SECRET"] = s.world.Provision.Key, s.world.Provision.Secret
	if _, complaint := s.run(exitFailed, "outbox", "list"); !strings.Contains(complaint, "prmsync once makes it") {
		t.Errorf("before the first cycle: %s", complaint)
	}
	var left []any
	for _, f := range s.world.PRM.Doc("DocType", plan.DoctypePartner)["fields"].([]map[string]any) {
		if f["fieldname"] != "standing" {
			left = append(left, f)
		}
	}
	if err := s.world.PRM.Set("DocType", plan.DoctypePartner, map[string]any{"fields": left}); err != nil {
		t.Fatal(err)
	}
	s.run(exitNotMet, "once")
	if n := s.world.PRM.Count(plan.DoctypeAssessment); n < len(s.world.Members) {
		t.Errorf("%d assessments: everything else must go on", n)
	}

	people, _ := s.run(exitOK, "outbox", "list")
	for _, want := range []string{"parked", "PMM Partner", "the field standing is gone", "run prmsync provision"} {
		if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(people, "│", " ")), " "), want) {
			t.Errorf("outbox list lacks %q:\n%s", want, people)
		}
	}
	type row struct {
		ID                                   int64
		State, Partner, Doctype, Name, Error string
	}
	out, _ := s.run(exitOK, "outbox", "list", "--json")
	rows := decode[[]row](t, []byte(out))
	if len(rows) != len(s.world.Members) || rows[0].State != "parked" || rows[0].Doctype != plan.DoctypePartner || rows[0].Error == "" {
		t.Fatalf("outbox list --json: %s", out)
	}

	for _, wrong := range [][]string{
		{"retry"},
		{"retry", "0"},
		{"retry", "999999"},
		{"retry", "--all", "1"},
		{"retry", "--partner", rows[0].Partner, fmt.Sprint(rows[0].ID)},
		{"retry", "one"},
		{"drop"},
		{"drop", "999999"},
		{"list", "--state", "lost"},
	} {
		if out, complaint := s.run(exitUsage, append([]string{"outbox"}, wrong...)...); out != "" || complaint == "" {
			t.Errorf("%s: %q, %q", wrong, out, complaint)
		}
	}
	if _, complaint := s.run(exitUsage, "outbox", "retry", "999999"); !strings.Contains(complaint, "999999") || !strings.Contains(complaint, "prmsync outbox list") {
		t.Errorf("an unknown ID: %s", complaint)
	}

	s.run(exitOK, "provision", "--yes") // what the error said
	if out, _ := s.run(exitOK, "outbox", "retry", "--all", "--partner", rows[0].Partner); !strings.HasPrefix(out, "1 change will be sent") {
		t.Errorf("retry of one partner's: %s", out)
	}
	if out, _ := s.run(exitOK, "outbox", "retry", "--all", "--json"); decode[map[string][]int64](t, []byte(out))["requeued"][0] != rows[1].ID {
		t.Errorf("retry of the rest: %s", out)
	}
	s.run(exitNotMet, "once")
	if out, _ := s.run(exitOK, "outbox"); !strings.Contains(out, "nothing waits for the PRM") {
		t.Errorf("after the repair:\n%s", out)
	}
	for _, m := range s.world.Members {
		if got := s.world.PRM.Doc(plan.DoctypePartner, m.Key)["standing"]; got == nil || got == "" {
			t.Errorf("%s has no standing after the repair", m.Key)
		}
	}
	if out, _ := s.run(exitOK, "outbox", "list", "--state", "sent", "--limit", "3", "--json"); len(decode[[]row](t, []byte(out))) != 3 {
		t.Errorf("the last sent: %s", out)
	}
}
