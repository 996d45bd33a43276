package prm_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

func (h house) apply(t testing.TB, c plan.Change) prm.Applied {
	t.Helper()
	a, err := h.prm.Apply(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// partnerRecord is a PMM Partner as a cycle wants it.
func partnerRecord(insight string) plan.Record {
	return plan.Record{
		Doctype: plan.DoctypePartner, Key: "meridian", Partner: "meridian", Kind: plan.Outcome,
		Once:   map[string]any{"partner_key": "meridian", "partner_name": "Meridian"},
		Fields: map[string]any{"status": "Watch", "insight": plan.Plain(insight, 240), "level_low": 3},
	}
}

func diff(r plan.Record, known *plan.Known) []plan.Change {
	return plan.Diff([]plan.Record{r}, func(string, string) (plan.Known, bool) {
		if known == nil {
			return plan.Known{}, false
		}
		return *known, true
	}, time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC))
}

func TestApplyingTwiceWritesOnce(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	c := diff(partnerRecord(`<b>R&D</b> says "no"`), nil)[0]
	first := h.apply(t, c)
	if first.Unchanged {
		t.Error("the first write is reported as none")
	}
	h.site.KeepLog(true)
	h.site.ResetRequests()
	again := h.apply(t, c)
	if _, writes := h.writes(); !again.Unchanged || writes > 1 { // the refused insert
		t.Errorf("the replay made %d writes, %+v", writes, again)
	}
	if n := h.site.Count("PMM Partner"); n != 1 {
		t.Errorf("%d partners", n)
	}
	if got := diff(partnerRecord(`<b>R&D</b> says "no"`), &first.Known); len(got) != 0 {
		t.Errorf("the text does not settle: %+v", got)
	}
}

func TestAnInsertLeavesWhatPeopleHaveByNow(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian Ltd", "awarded_pmm": 4, "notes": "call on Monday"})
	a := h.apply(t, diff(partnerRecord("x"), nil)[0])
	doc := h.site.Doc("PMM Partner", "meridian")
	if doc["partner_name"] != "Meridian Ltd" || fmt.Sprint(doc["awarded_pmm"]) != "4" || doc["status"] != "Watch" || doc["notes"] != "call on Monday" {
		t.Errorf("document %v", doc)
	}
	if a.Known.Key != "meridian" || a.Unchanged {
		t.Errorf("applied %+v", a)
	}
}

// A record that Frappe names itself is known by a unique field: the second insert
// is refused with 417, finds the first and leaves what people have by now.
func TestATakenUniqueFieldIsTheRecordItself(t *testing.T) {
	t.Parallel()
	for _, version := range []string{frappetest.V14, frappetest.V15, frappetest.V16} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := provisioned(t, version)
			h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"})
			c := plan.Change{
				Doctype: plan.DoctypeEscalation, Name: "request-1", KeyField: "source_key", Op: plan.Insert, Once: []string{"customer", "stage", "source_key"},
				Fields: map[string]any{"source_key": "request-1", "customer": "Kranz", "partner": "meridian", "stage": "Sales"},
			}
			first := h.apply(t, c)
			h.set(t, plan.DoctypeEscalation, first.Known.Name, map[string]any{"stage": "Support"})
			h.site.KeepLog(true)
			again := h.apply(t, c)
			if again.Known.Name != first.Known.Name || !again.Unchanged || h.site.Count(plan.DoctypeEscalation) != 1 {
				t.Errorf("%d escalations; first %+v, again %+v", h.site.Count(plan.DoctypeEscalation), first, again)
			}
			if doc := h.site.Doc(plan.DoctypeEscalation, first.Known.Name); doc["stage"] != "Support" {
				t.Errorf("the person's stage became %v", doc["stage"])
			}
			refused := 0
			for _, r := range h.site.Requests() {
				if r.Method == "POST" && r.Status == 417 {
					refused++
				}
			}
			if refused != 1 {
				t.Errorf("%d inserts were refused with 417, want 1: the test tests less than it says", refused)
			}
		})
	}
}

func TestAFieldOfPeopleIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"})
	nc := h.insert(t, "Partner Non Conformance", map[string]any{"custom_pmm_partner": "meridian", "partner_team": "meridian", "nc_statement": "ours"})
	h.set(t, "Partner Non Conformance", nc, map[string]any{"nc_statement": "theirs", "custom_recheck": "Satisfied"})
	a := h.apply(t, plan.Change{
		Doctype: plan.DoctypeNC, Name: nc, Op: plan.Update, Fields: map[string]any{"nc_statement": "ours, later", "custom_recheck": "Not Satisfied", "status": "Closed"},
		Base: map[string]any{"nc_statement": "ours", "custom_recheck": "Unchecked", "status": "WIP"},
	})
	doc := h.site.Doc("Partner Non Conformance", nc)
	if doc["nc_statement"] != "theirs" || doc["status"] != "Open" {
		t.Errorf("a person's words were overwritten: %v", doc)
	}
	if doc["custom_recheck"] != "Not Satisfied" {
		t.Errorf("what a person altered of ours was not put back: %v", doc["custom_recheck"])
	}
	if a.Conflicts != 2 {
		t.Errorf("%d conflicts, want 2", a.Conflicts)
	}
}

func TestAPersonWhoIsFasterKeepsTheirWords(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	first := h.apply(t, diff(partnerRecord("before"), nil)[0])
	// The person saves between our read and our write, twice.
	n := 0
	h.site.OnAnswer(func(r frappetest.Request) {
		if r.Method == "GET" && strings.Contains(r.Path, "PMM%20Partner/meridian") || strings.HasSuffix(r.Path, "PMM Partner/meridian") {
			if n++; n <= 2 {
				if err := h.site.As(manager).Set("PMM Partner", "meridian", map[string]any{"notes": fmt.Sprintf("edit %d", n)}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	h.apply(t, diff(partnerRecord("after"), &first.Known)[0])
	doc := h.site.Doc("PMM Partner", "meridian")
	if n < 3 || doc["notes"] != "edit 2" || doc["insight"] != "after" {
		t.Errorf("after %d reads: notes %v, insight %v", n, doc["notes"], doc["insight"])
	}
}

func TestSaveFetchesAgain(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	h.insert(t, "PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"})
	nc := h.insert(t, "Partner Non Conformance", map[string]any{"custom_pmm_partner": "meridian", "partner_team": "meridian", "nc_statement": "x"})
	h.set(t, "PMM Partner", "meridian", map[string]any{"partner_manager": manager})
	h.apply(t, plan.Change{Doctype: plan.DoctypeNC, Name: nc, Op: plan.Save})
	if got := h.site.Doc("Partner Non Conformance", nc)["custom_partner_manager"]; got != manager {
		t.Errorf("the manager is %v", got)
	}
}

func TestWhatPeopleBrokeIsParkedByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field map[string]any // as it is now; nil removes it
		says  string
	}{
		"a removed field":    {nil, "insight"},
		"a changed type":     {map[string]any{"fieldtype": "Int"}, "insight"},
		"a right taken away": {map[string]any{}, "PMM Sync Agent"},
		"a renamed field":    {map[string]any{"fieldname": "insights"}, "insight"},
		"a renamed option":   {map[string]any{"options": "Act Now\nKeep an Eye\nUnknown\nOn Track\nInactive"}, "no option Watch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := provisioned(t, "")
			if len(c.field) == 0 && c.field != nil {
				if err := h.site.Revoke("PMM Partner", "PMM Sync Agent"); err != nil {
					t.Fatal(err)
				}
			} else {
				field := "insight"
				if c.field["options"] != nil {
					field = "status"
				}
				h.alter(t, "PMM Partner", field, c.field)
			}
			_, err := h.prm.Apply(context.Background(), diff(partnerRecord("x"), nil)[0])
			refused, ok := errors.AsType[*prm.Refused](err)
			if !ok || !refused.Park() || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want it parked with %q", err, c.says)
			}
			// Everything else goes on.
			h.apply(t, plan.Change{
				Doctype: plan.DoctypeCriterion, Name: "impl.followed", Op: plan.Insert,
				Fields: map[string]any{"criterion_id": "impl.followed", "statement": "Plans are followed", "severity": string(rules.SeverityNC)},
			})
		})
	}
}

// alter edits a field of a doctype as a System Manager would.
func (h house) alter(t testing.TB, doctype, field string, values map[string]any) {
	t.Helper()
	var rows []any
	for _, f := range h.site.Doc("DocType", doctype)["fields"].([]map[string]any) {
		row := maps.Clone(f)
		if row["fieldname"] == field {
			if values == nil {
				continue
			}
			for k, v := range values {
				row[k] = v
			}
		}
		rows = append(rows, row)
	}
	if err := h.site.Set("DocType", doctype, map[string]any{"fields": rows}); err != nil {
		t.Fatal(err)
	}
}

func TestDeliveryOverABadLine(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	heal := h.site.Break(frappetest.Fault{Method: "POST", Every: 2, DropAnswer: true})
	defer heal()
	var cs []plan.Change
	for i := range 20 {
		key := fmt.Sprintf("meridian-all-m-2026w%02d", i+1)
		cs = append(cs, plan.Change{Doctype: plan.DoctypeCriterion, Name: key, Op: plan.Insert, Fields: map[string]any{"criterion_id": key, "statement": "s"}})
	}
	for range 3 { // delivered three times
		if _, err := h.prm.ApplyMany(context.Background(), cs); err != nil {
			t.Fatal(err)
		}
		for _, c := range cs[:5] {
			h.apply(t, c)
		}
	}
	if n := h.site.Count("PMM Criterion"); n != len(cs) {
		t.Errorf("%d criteria, want %d", n, len(cs))
	}
}
