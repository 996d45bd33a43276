package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/rules/packs"
	"github.com/prmsync/prmsync/store"
)

// assessedAt is the JSON of the partner's assessment as of the instant, from
// history alone.
func assessedAt(t *testing.T, st *store.Store, partner string, at time.Time) string {
	t.Helper()
	j := newJudge(st)
	people, err := j.peopleAt(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	judged, err := j.Assess(t.Context(), partner, at, people)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(judged.Assessments[0].Report(&judged.Snapshot))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestYesterdayIsJudgedByWhatHeldYesterday changes all that a verdict rests on
// and asks for the day before.
func TestYesterdayIsJudgedByWhatHeldYesterday(t *testing.T) {
	t.Parallel()
	const partner = "cinderpeak"
	c := &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}
	w, world := newWorks(t, c)
	once(t, w)
	yesterday := c.now()
	before := assessedAt(t, w.store, partner, yesterday)
	c.add(24 * time.Hour)

	// The evidence: a task is finished.
	for _, m := range world.Members {
		if m.Key == partner {
			for _, task := range m.Site.Docs("Task") {
				if task["status"] == "Overdue" && task["project"] != "" && task["project"] != nil {
					if err := m.Site.Set("Task", task["name"].(string), map[string]any{"status": "Completed", "completed_on": "2026-11-25"}); err != nil {
						t.Fatal(err)
					}
					break
				}
			}
		}
	}
	// People's decisions: a criterion is switched off, another has a new severity.
	for name, set := range map[string]map[string]any{"gen.control": {"enabled": 0}, "gen.allhands": {"severity_override": "Observation"}} {
		if err := world.PRM.Set("PMM Criterion", name, set); err != nil {
			t.Fatal(err)
		}
	}
	// The mapping: sign-offs are sought elsewhere.
	p := w.partners[2]
	if p.Key != partner {
		t.Fatalf("the third partner is %s", p.Key)
	}
	p.Sites[0].Mapping = config.Mapping{Evidence: map[config.Kind][]config.Rule{config.KindSignOffUAT: {}}}
	if err := w.judge.remember(t.Context(), p, config.Policy{StaleAfter: 24 * time.Hour}, c.now()); err != nil {
		t.Fatal(err)
	}
	// The pack: another version with another statement.
	text, err := packs.Files.ReadFile("pmm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "The weekly review of metrics takes place", "A weekly review of metrics takes place", 1)
	if changed == string(text) {
		t.Fatal("the statement to change was not found")
	}
	if _, err := w.store.PutInput(t.Context(), store.Input{Kind: inputPack, Subject: "pmm", Seen: c.now(), Body: []byte(changed)}); err != nil {
		t.Fatal(err)
	}
	once(t, w)

	if today := assessedAt(t, w.store, partner, c.now()); !strings.Contains(today, "A weekly review of metrics takes place") || strings.Contains(today, `"criterion":"gen.control"`) {
		t.Error("today is not judged by what was changed")
	}
	if diff := cmp.Diff(before, assessedAt(t, w.store, partner, yesterday)); diff != "" {
		t.Errorf("yesterday is judged otherwise today (-then +now):\n%.2000s", diff)
	}
}
