package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules"
)

// The evidence of an audit from the day it is scheduled: captured once, followed
// when the partner edits and deletes, marked late once the audit is under way.
func TestTheEvidenceOfAnAudit(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Now().Add(-2 * time.Hour)}
	world, w, url := newWorksAt(t, c)
	today := c.now().Format(time.DateOnly)
	audit, err := world.PRM.Insert("Partner Audit", map[string]any{
		"partner_team": "amberline", "custom_pmm_partner": "amberline", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Requested",
		"requested_on": today, "audit_date": c.now().Add(240 * time.Hour).Format(time.DateOnly), "mode_of_audit": "Online",
	})
	if err != nil {
		t.Fatal(err)
	}
	person := func(values map[string]any) {
		t.Helper()
		if err := world.PRM.Set("Partner Audit", audit, values); err != nil {
			t.Fatal(err)
		}
	}
	cycle := func() {
		t.Helper()
		c.add(5 * time.Minute)
		if err := w.daemon.Cycle(t.Context(), "amberline"); err != nil {
			t.Fatal(err)
		}
		if err := w.daemon.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	if n := len(rowsOf(world, audit)); n != 0 {
		t.Fatalf("%d records before the audit is scheduled", n)
	}
	person(map[string]any{"status": "Scheduled"})
	cycle()
	first := rowsOf(world, audit)
	kinds := map[string]bool{}
	for _, d := range first {
		kinds[d["source_doctype"].(string)] = true
		if d["status"] != "Clean" || d["criterion"] == "" || d["site"] != "amberline-erp" || d["content_hash"] == "" && d["site"] != nil || d["captured_on"] == nil {
			t.Errorf("record %v", d)
		}
	}
	for _, k := range []string{"Project", "Task", "File", "Communication", "Issue", "Weekly Metric", "Quotation"} {
		if !kinds[k] {
			t.Errorf("no %s among %d records of evidence", k, len(first))
		}
	}
	world.PRM.KeepLog(true)
	world.PRM.ResetRequests()
	cycle()
	for _, r := range writes(world) {
		if strings.Contains(r, "insert_many") || strings.Contains(r, "Evidence") {
			t.Errorf("a quiet cycle wrote %s", r)
		}
	}

	site := member(t, world, "amberline").Site
	project := sampledProject(t, first)
	mails := named(first, "Communication")
	edited, gone := mails[0], mails[1]
	if err := site.Set("Communication", edited, map[string]any{"subject": "What was really agreed", "email_template": nil}); err != nil {
		t.Fatal(err)
	}
	if err := site.Delete("Communication", gone); err != nil {
		t.Fatal(err)
	}
	cycle()
	wantStatus(t, world, audit, edited, "Clean", "Changed")
	wantStatus(t, world, audit, gone, "Clean", "Missing")

	// Frozen: what is deleted now alters no verdict of the audit, though the
	// continuous one sees it.
	person(map[string]any{"status": "In Progress"})
	cycle()
	frozen, continuous := verdictsOf(t, w, rules.Audit), verdictsOf(t, w, rules.Continuous)
	scan := scanOf(t, site, first)
	if err := site.Delete("File", scan); err != nil {
		t.Fatal(err)
	}
	cycle()
	if got := verdictsOf(t, w, rules.Continuous)["impl.followed"]; got == continuous["impl.followed"] {
		t.Errorf("impl.followed is still %q without the scan: the test tests nothing", got)
	}
	for id, got := range verdictsOf(t, w, rules.Audit) {
		if got != frozen[id] {
			t.Errorf("%s of the frozen audit is %q, was %q", id, got, frozen[id])
		}
	}
	wantStatus(t, world, audit, scan, "Clean", "Missing")

	before := len(rowsOf(world, audit))
	c.add(time.Minute)
	late, err := site.Insert("Communication", map[string]any{
		"subject": "Minutes, sent afterwards", "communication_medium": "Email", "communication_type": "Communication", "sent_or_received": "Sent",
		"reference_doctype": "Project", "reference_name": project, "sender": "a@amberline.example", "recipients": "b@customer.example",
		"communication_date": c.now().UTC().Format(time.DateTime), "content": "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	cycle()
	wantStatus(t, world, audit, late, "Late")
	if n := len(rowsOf(world, audit)); n != before+1 {
		t.Errorf("%d records, want %d: evidence is added once", n, before+1)
	}

	// What was captured stays: the runtime user may not touch it.
	row := rowsOf(world, audit)[0]["name"].(string)
	agent := world.PRM.As("prmsync@prm.example")
	if err := agent.Set("PMM Evidence", row, map[string]any{"status": "Clean", "title": "other"}); err == nil {
		t.Error("the runtime user changed a record of evidence")
	}

	env := envconfig.MapLookuper(map[string]string{"PRMSYNC_DATABASE_URL": url})
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"audit", "show", audit, "--json"}, env, &stdout, &stderr); code != exitOK {
		t.Fatalf("audit show = %d: %s", code, &stderr)
	}
	shown := decode[auditShowJSON](t, stdout.Bytes())
	if len(shown.Evidence) != before+1 || shown.Evidence[0].Integrity != "Missing" || shown.Name != audit || len(shown.Collected) != 6 {
		t.Errorf("shown: %d records, %d items, first %+v", len(shown.Evidence), len(shown.Collected), shown.Evidence[0])
	}
	if !slices.ContainsFunc(shown.Collected, func(x collectedJSON) bool { return x.Item == "erp/Project/"+project && x.Late == 1 }) {
		t.Errorf("no item says what came late: %+v", shown.Collected)
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"audit", "show", audit}, env, &stdout, &stderr); code != exitOK {
		t.Fatalf("audit show = %d: %s", code, &stderr)
	}
	for _, want := range []string{"1 late", "1 changed", "2 missing", "lacking: ", "to bring ", "--all shows them", "Evidence frozen on"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &stdout)
		}
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"audit", "show", "--all", audit}, env, &stdout, &stderr); code != exitOK || strings.Count(stdout.String(), "\n") < before {
		t.Errorf("audit show --all = %d: %s", code, &stderr)
	}
}

// verdictsOf are the verdicts of amberline's newest assessment of the kind.
func verdictsOf(t *testing.T, w *works, kind rules.Kind) map[string]string {
	t.Helper()
	held, ok, err := w.store.LatestOf(t.Context(), "amberline", kind)
	if err != nil || !ok {
		t.Fatalf("no %s assessment: %v", kind, err)
	}
	out := map[string]string{}
	for _, v := range held.Assessment.Verdicts {
		out[v.Criterion] = fmt.Sprint(v.Outcome, ": ", v.Measured)
	}
	return out
}

// scanOf is a file of a task among the records: what stands behind a sign-off.
func scanOf(t *testing.T, site *frappetest.Site, rows []map[string]any) string {
	t.Helper()
	captured := named(rows, "File")
	for _, f := range site.Docs("File") {
		if name := f["name"].(string); f["attached_to_doctype"] == "Task" && slices.Contains(captured, name) {
			return name
		}
	}
	t.Fatal("no scan of a sign-off among the evidence")
	return ""
}

func rowsOf(world *demo.World, audit string) []map[string]any {
	var out []map[string]any
	for _, d := range world.PRM.Docs("PMM Evidence") {
		if strings.HasSuffix(fmt.Sprint(d["assessment"]), "-audit-"+audit) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a["name"]), fmt.Sprint(b["name"])) })
	return out
}

func member(t *testing.T, world *demo.World, key string) *demo.Member {
	t.Helper()
	for _, m := range world.Members {
		if m.Key == key && m.Site != nil {
			return m
		}
	}
	t.Fatalf("no partner %s", key)
	return nil
}

// named are records of the doctype that one statement or the sample alone names.
func named(rows []map[string]any, doctype string) []string {
	count := map[string]int{}
	for _, d := range rows {
		if d["source_doctype"] == doctype {
			count[d["source_name"].(string)]++
		}
	}
	var out []string
	for n, k := range count {
		if k == 1 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

func sampledProject(t *testing.T, rows []map[string]any) string {
	t.Helper()
	for _, d := range rows {
		if d["source_doctype"] == "Communication" && strings.Contains(fmt.Sprint(d["excerpt"]), "rollout") {
			for _, p := range rows {
				if p["source_doctype"] == "Project" && strings.Contains(fmt.Sprint(d["excerpt"]), fmt.Sprint(p["title"])) {
					return p["source_name"].(string)
				}
			}
		}
	}
	t.Fatal("no sampled project among the evidence")
	return ""
}

func wantStatus(t *testing.T, world *demo.World, audit, record string, want ...string) {
	t.Helper()
	var got []string
	for _, d := range rowsOf(world, audit) {
		if d["source_name"] == record {
			got = append(got, fmt.Sprint(d["status"]))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s is %v, want %v", record, got, want)
	}
}
