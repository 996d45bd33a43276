package prm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules/plan"
)

// TestAnyOrderOfCyclesFaultsAndEdits lets cycles, replays, faults and a person's
// edits follow one another at random: at the end the PRM holds what was wanted
// last, nothing twice, and every word of the person's.
func TestAnyOrderOfCyclesFaultsAndEdits(t *testing.T) {
	t.Parallel()
	h := provisioned(t, "")
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		key := fmt.Sprintf("partner%d", run)
		known := map[string]plan.Known{}
		now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
		wanted := plan.Record{
			Doctype: plan.DoctypePartner, Key: key, Partner: key, Kind: plan.Outcome,
			Once:   map[string]any{"partner_key": key, "partner_name": "P"},
			Fields: map[string]any{"insight": "", "status": "Watch", "level_low": 0},
		}
		notes := ""
		deliver := func(c plan.Change) {
			for range 50 {
				a, err := h.prm.Apply(context.Background(), c)
				if err == nil {
					k := known[key]
					if k.Fields == nil {
						k = a.Known
					}
					for f, v := range a.Known.Fields {
						k.Fields[f] = v
					}
					known[key] = k
					return
				}
				if later, ok := errors.AsType[*prm.Later](err); !ok {
					r.Fatalf("delivery: %v (%v)", err, later)
				}
			}
			r.Fatal("a change is never delivered")
		}
		var last []plan.Change
		cycle := func() {
			now = now.Add(time.Hour)
			last = plan.Diff([]plan.Record{wanted}, func(_, k string) (plan.Known, bool) { v, ok := known[k]; return v, ok }, now)
			for _, c := range last {
				deliver(c)
			}
		}
		faults := []frappetest.Fault{
			{Times: 2, DropAnswer: true},
			{Times: 2, Reset: true},
			{Times: 3, Status: 503},
			{Method: "PUT", Times: 1, ExcType: "TimestampMismatchError"},
			{Times: 1, ExcType: "QueryDeadlockError"},
		}
		cycle()
		for range rapid.IntRange(3, 12).Draw(r, "steps") {
			switch rapid.SampledFrom([]string{"cycle", "edit", "fault", "replay"}).Draw(r, "step") {
			case "cycle":
				wanted.Fields["insight"] = plan.Plain(rapid.StringMatching(`[a-z<>&"' ]{0,20}`).Draw(r, "insight"), 240)
				wanted.Fields["level_low"] = rapid.IntRange(0, 5).Draw(r, "level")
				wanted.Fields["status"] = rapid.SampledFrom([]string{"Watch", "Act Now", "On Track"}).Draw(r, "status")
				cycle()
			case "edit":
				notes = rapid.StringMatching(`[a-z]{1,10}`).Draw(r, "notes")
				if err := h.site.As(manager).Set("PMM Partner", key, map[string]any{"notes": notes}); err != nil {
					r.Fatal(err)
				}
			case "fault":
				h.site.Break(rapid.SampledFrom(faults).Draw(r, "fault"))
			case "replay":
				for _, c := range last {
					deliver(c)
				}
			}
		}
		h.site.Heal()
		cycle()
		if left := plan.Diff([]plan.Record{wanted}, func(_, k string) (plan.Known, bool) { return known[k], true }, now.Add(time.Hour)); len(left) != 0 {
			r.Fatalf("it does not settle: %+v", left)
		}
		doc := h.site.Doc("PMM Partner", key)
		for f, want := range wanted.Fields {
			if !plan.Same(fmt.Sprint(want), fmt.Sprint(doc[f])) && !(want == "" && doc[f] == nil) {
				r.Fatalf("%s is %v, want %v", f, doc[f], want)
			}
		}
		if got, _ := doc["notes"].(string); got != notes {
			r.Fatalf("the person's notes are %q, want %q", got, notes)
		}
		if n := h.site.Count("PMM Partner"); n != run {
			r.Fatalf("%d partners, want %d", n, run)
		}
	})
}
