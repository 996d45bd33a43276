package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/internal/demo"
)

// An audit and an escalation of the demo, looked at beside the open store.
func TestAuditAndEscalationCommands(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Now().Add(-10 * time.Minute)}
	world, w, url := newWorksAt(t, c)
	today := c.now().Format(time.DateOnly)
	audit, err := world.PRM.Insert("Partner Audit", map[string]any{
		"partner_team": "amberline", "custom_pmm_partner": "amberline", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Scheduled",
		"requested_on": today, "audit_date": c.now().Add(240 * time.Hour).Format(time.DateOnly), "mode_of_audit": "Online",
	})
	if err != nil {
		t.Fatal(err)
	}
	once(t, w)
	env := envconfig.MapLookuper(map[string]string{"PRMSYNC_DATABASE_URL": url})
	command := func(want int, args ...string) []byte {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, env, &stdout, &stderr); code != want {
			t.Fatalf("%s = %d, want %d: %s", strings.Join(args, " "), code, want, &stderr)
		}
		return stdout.Bytes()
	}
	all := decode[[]auditJSON](t, command(exitOK, "audit", "list", "--json"))
	if len(all) != 3 {
		t.Errorf("%d audits, want this one and the two that the demo's partners asked for", len(all))
	}
	if i := slices.IndexFunc(all, func(a auditJSON) bool { return a.Partner == "brackwater" }); i < 0 || !slices.Contains(all[i].Flags, "it names no level") {
		t.Errorf("the request without a level is not flagged: %+v", all)
	}
	list := slices.DeleteFunc(all, func(a auditJSON) bool { return a.Name != audit })
	if len(list) != 1 || list[0].Name != audit || list[0].Level != 4 || len(list[0].Absent) != 4 || list[0].Proposed != "Pending" {
		t.Errorf("list: %+v", list)
	}
	if text := string(command(exitOK, "audit", "list")); !strings.Contains(text, audit) || !strings.Contains(text, "amberline") {
		t.Errorf("list: %s", text)
	}
	if text := string(command(exitOK, "audit", "show", strings.ToLower(audit))); !strings.Contains(text, "Not ticked as present: Founder or CXO") {
		t.Errorf("show: %s", text)
	}
	samples := decode[[]sampleJSON](t, command(exitOK, "audit", "sample", audit, "--json"))
	if len(samples) != 3 || !samples[0].Reproduced || len(samples[0].Items) != 2 || samples[0].Seed != "" || len(samples[0].SeedSHA256) != 64 {
		t.Errorf("sample: %+v", samples)
	}
	if text := string(command(exitOK, "audit", "sample", audit)); !strings.Contains(text, "repeats") {
		t.Errorf("sample: %s", text)
	}
	drawn := map[string]bool{}
	for _, it := range samples[0].Items {
		drawn[it.Key] = true
	}
	other := ""
	for _, name := range samples[0].Names {
		if !drawn[name] {
			other = name
		}
	}
	command(exitUsage, "audit", "sample", audit, "--add", other)
	command(exitUsage, "audit", "sample", audit, "--add", "erp/Project/none", "--reason", "x")
	command(exitOK, "audit", "sample", audit, "--add", other, "--reason", "the customer asked")
	c.add(5 * time.Minute)
	once(t, w)
	more := decode[[]sampleJSON](t, command(exitOK, "audit", "sample", audit, "--json"))
	if n := len(more[0].Items); n != 3 || more[0].Items[2].Key != other || !more[0].Items[2].Added || more[0].Items[2].Reason != "the customer asked" || !more[0].Reproduced {
		t.Errorf("with an addition: %+v", more[0].Items)
	}
	// Taking out asks for a reason too, is listed, and nothing is drawn instead.
	first := more[0].Items[0].Key
	command(exitUsage, "audit", "sample", audit, "--remove", first)
	command(exitUsage, "audit", "sample", audit, "--add", first, "--reason", "twice")
	command(exitUsage, "audit", "sample", audit, "--remove", "erp/Project/none", "--reason", "x")
	command(exitOK, "audit", "sample", audit, "--remove", first, "--reason", "an internal project")
	c.add(10 * time.Minute) // past the instant at which the command kept it
	once(t, w)
	less := decode[[]sampleJSON](t, command(exitOK, "audit", "sample", audit, "--json"))
	if it := less[0].Items[0]; len(less[0].Items) != 3 || it.Key != first || !it.Removed || it.Reason != "an internal project" || !less[0].Reproduced {
		t.Errorf("with one taken out: %+v", less[0].Items)
	}
	for _, d := range world.PRM.Docs("PMM Assessment") {
		if d["partner_audit"] != audit {
			continue
		}
		note, _ := d["sample_note"].(string)
		for _, want := range []string{"Added by a person: " + other + ": the customer asked", "Taken out by a person: " + first + ": an internal project"} {
			if !strings.Contains(note, want) {
				t.Errorf("the note on the PRM lacks %q: %s", want, note)
			}
		}
	}
	ready := decode[readinessJSON](t, command(exitNotMet, "audit", "readiness", "brackwater", "--level", "3", "--json"))
	if ready.Ready || len(ready.Missing) == 0 || len(ready.Departments) == 0 {
		t.Errorf("readiness: %+v", ready)
	}
	command(exitUsage, "audit", "readiness", "brackwater", "--level", "7")
	command(exitUsage, "audit", "show", "ADT-9999")
	escs := decode[[]escalationJSON](t, command(exitOK, "escalation", "list", "--json"))
	if len(escs) != 1 || escs[0].Status != "Received" || escs[0].NCState != "None" || len(escs[0].Checklist) == 0 {
		t.Fatalf("escalations: %+v", escs)
	}
	if text := string(command(exitOK, "escalation", "show", escs[0].Name)); !strings.Contains(text, "esc.impl.p5") || !strings.Contains(text, "next: Warning Sent, Withdrawn") {
		t.Errorf("show: %s", text)
	}
	command(exitOK, "escalation", "list")
	// What the partner gets before the call: questions, no contradictions.
	page := filepath.Join(t.TempDir(), "checklist.html")
	command(exitOK, "escalation", "checklist", escs[0].Name, "-o", page)
	command(exitFailed, "escalation", "checklist", escs[0].Name, "-o", page)
	for _, text := range []string{string(mustRead(t, page)), string(command(exitOK, "escalation", "checklist", escs[0].Name))} {
		for _, want := range []string{"Cinder Peak Partners", escs[0].Customer, "The kick-off took place within a week of invoicing"} {
			if !strings.Contains(text, want) {
				t.Errorf("the checklist lacks %q: %.600s", want, text)
			}
		}
		if strings.Contains(text, "To look into") {
			t.Error("the checklist tells the partner of contradictions")
		}
	}
}

// newWorksAt is newWorks with the store's address.
func newWorksAt(t *testing.T, c *clock) (*demo.World, *works, string) {
	t.Helper()
	w, world := newWorks(t, c)
	name := w.store.Name()
	if !filepath.IsAbs(name) {
		t.Fatalf("the store's name %q is no path", name)
	}
	return world, w, "sqlite:" + name
}
