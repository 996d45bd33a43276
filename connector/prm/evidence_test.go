package prm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

// captures plans n records of evidence of an audit whose assessment is there.
func captures(t *testing.T, h house, n int) []plan.Change {
	t.Helper()
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"})
	h.insert(t, "PMM Site", map[string]any{"site_key": "meridian-erp", "site_url": "https://erp.meridian.example", "partner": "meridian"})
	h.insert(t, "PMM Assessment", map[string]any{"assessment_key": "meridian-audit-adt-0001", "partner": "meridian", "kind": "Audit"})
	at := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	in := plan.Input{Now: at, Zone: time.UTC, Partner: plan.PartnerFacts{Key: "meridian", Name: "Meridian"}, Sites: []plan.SiteFacts{{Key: "erp", URL: "https://erp.meridian.example"}}}
	c := plan.Collected{Assessment: rules.Assessment{Key: "meridian-audit-adt-0001", Kind: rules.Audit}}
	for i := range n {
		c.Pieces = append(c.Pieces, rules.Piece{
			Ref:   evidence.Ref{Site: "erp", Doctype: "Task", Name: fmt.Sprintf("TASK-%04d", i), Hash: "h", Seen: at, Created: at, Modified: at, Owner: "a@meridian.example"},
			Label: `R&D "plan" <b>`, Kind: rules.PieceTask, Criterion: "impl.followed", Department: evidence.Implementation, Effect: rules.Supports,
		})
	}
	records, note := plan.Evidence(in, c)
	if len(records) != n || note != "" {
		t.Fatalf("%d records, note %q", len(records), note)
	}
	return plan.Diff(records, func(string, string) (plan.Known, bool) { return plan.Known{}, false }, at)
}

func TestEvidenceIsWrittenInOneRequest(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	cs := captures(t, h, 200)
	h.site.KeepLog(true)
	h.site.ResetRequests()
	if _, err := h.prm.ApplyMany(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	if _, writes := h.writes(); writes != 1 {
		t.Errorf("%d writes for 200 records", writes)
	}
	doc := h.site.Docs("PMM Evidence")[0]
	for f, want := range map[string]string{
		"status": "Clean", "effect": "Supports", "site": "meridian-erp", "source_url": "https://erp.meridian.example/app/task/" + fmt.Sprint(doc["source_name"]), "title": `R&D "plan" ‹b›`,
		"captured_on": "2026-03-20 12:00:00", "department": "Implementation", "criterion": "impl.followed", "assessment": "meridian-audit-adt-0001", "partner": "meridian",
	} {
		if got := fmt.Sprint(doc[f]); got != want {
			t.Errorf("%s = %q, want %q", f, got, want)
		}
	}
	if len(fmt.Sprint(doc["name"])) != 64 || doc["name"] != doc["evidence_key"] {
		t.Errorf("named %v", doc["name"])
	}
}

// One key that is taken fails Frappe's whole batch with 409: the others are
// written all the same, and what is there stays as it is.
func TestAKnownKeyDoesNotBlockTheBatch(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	cs := captures(t, h, 5)
	if _, err := h.prm.ApplyMany(t.Context(), cs[2:3]); err != nil {
		t.Fatal(err)
	}
	before := h.site.Doc("PMM Evidence", cs[2].Name)
	for range 2 { // and the whole again
		applied, err := h.prm.ApplyMany(t.Context(), cs)
		if err != nil {
			t.Fatal(err)
		}
		if !applied[2].Unchanged || len(applied) != len(cs) {
			t.Errorf("applied %+v", applied)
		}
	}
	if n := h.site.Count("PMM Evidence"); n != len(cs) {
		t.Errorf("%d records, want %d", n, len(cs))
	}
	if after := h.site.Doc("PMM Evidence", cs[2].Name); after["modified"] != before["modified"] {
		t.Error("what was there was written again")
	}
	// One alone, as delivery sends it after a refusal: it is found, and not updated.
	if a := h.apply(t, cs[2]); !a.Unchanged {
		t.Errorf("applied alone: %+v", a)
	}
}

func TestALostAnswerDoublesNoEvidence(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	cs := captures(t, h, 40)
	heal := h.site.Break(frappetest.Fault{Path: "/api/method/frappe.client.insert_many", DropAnswer: true, Times: 1})
	defer heal()
	if _, err := h.prm.ApplyMany(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	if n := h.site.Count("PMM Evidence"); n != len(cs) {
		t.Errorf("%d records, want %d", n, len(cs))
	}
}

// The daemon never tries to change a record of evidence; the PRM would not let it.
func TestEvidenceCannotBeChanged(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	cs := captures(t, h, 1)
	h.apply(t, cs[0])
	_, err := h.prm.Apply(t.Context(), plan.Change{
		Doctype: plan.DoctypeEvidence, Name: cs[0].Name, Op: plan.Update, Fields: map[string]any{"status": "Changed"}, Base: map[string]any{"status": "Clean"},
	})
	if r, ok := errors.AsType[*prm.Refused](err); !ok || frappe.CategoryOf(r.Unwrap()) != frappe.Forbidden {
		t.Errorf("error %v, want a refusal", err)
	}
	if got := h.site.Doc("PMM Evidence", cs[0].Name)["status"]; got != "Clean" {
		t.Errorf("status %v", got)
	}
}

func TestAFileIsAttachedOnceAndPrivately(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"})
	audit := h.insert(t, "Partner Audit", map[string]any{"partner_team": "meridian", "custom_pmm_partner": "meridian", "custom_kind": "PMM", "status": "Requested"})
	modified := h.site.Doc("Partner Audit", audit)["modified"]
	file := func(content string) plan.Change {
		return plan.Attachments("meridian", []plan.File{{Doctype: plan.DoctypeAudit, Record: audit, Name: "evidence-pack.html", Content: []byte(content)}},
			func(string, string) (plan.Known, bool) { return plan.Known{}, false }, time.Now())[0]
	}
	first := h.apply(t, file("<p>one</p>"))
	if first.Unchanged || !plan.Attached(func(string, string) (plan.Known, bool) { return first.Known, true }, plan.DoctypeAudit, audit, "evidence-pack.html") {
		t.Errorf("applied %+v", first)
	}
	// The same again, and another content under the name after a restored backup.
	for _, content := range []string{"<p>one</p>", "<p>two</p>"} {
		if a := h.apply(t, file(content)); !a.Unchanged {
			t.Errorf("%s: attached again", content)
		}
	}
	files := 0
	for _, f := range h.site.Docs("File") {
		if f["attached_to_name"] != audit {
			continue
		}
		files++
		if fmt.Sprint(f["is_private"]) != "1" || !strings.HasPrefix(fmt.Sprint(f["file_url"]), "/private/files/evidence-pack") {
			t.Errorf("file %v", f)
		}
	}
	if files != 1 {
		t.Errorf("%d files", files)
	}
	if got := h.site.Doc("Partner Audit", audit)["modified"]; got != modified {
		t.Error("attaching moved what a person has open")
	}
}
