package rules_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// meridianSnapshot reads the documents of a real site as the daemon does.
func meridianSnapshot(t testing.TB) *evidence.Snapshot {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := config.LoadMapping("../config/testdata/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../connector/partnersite/testdata/meridian/docs/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents of Meridian: %v", err)
	}
	asOf := time.Date(2026, 11, 20, 18, 0, 0, 0, loc).UTC()
	var docs []evidence.Document
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(bytes.NewReader(b))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			var fields map[string]any
			if err := json.Unmarshal(sc.Bytes(), &fields); err != nil {
				t.Fatal(err)
			}
			text := func(f string) string { s, _ := fields[f].(string); return s }
			moment := func(f string) time.Time {
				at, _ := time.ParseInLocation(time.DateTime, text(f), loc)
				return at.UTC()
			}
			docs = append(docs, evidence.Document{
				Ref:   evidence.Ref{Site: "erp", Doctype: text("doctype"), Name: text("name"), Owner: text("owner"), Created: moment("creation"), Modified: moment("modified"), Seen: asOf},
				Stamp: text("modified"), Fields: fields,
			})
		}
		if sc.Err() != nil {
			t.Fatal(sc.Err())
		}
	}
	s := partnersite.Assemble(partnersite.AssembleInput{
		Partner: "meridian", MailDomains: []string{"meridian.example"}, AsOf: asOf,
		Sites: []partnersite.SiteInput{{
			Site:       evidence.Site{Key: "erp", URL: "https://erp.meridian.example", Zone: "Europe/Berlin", Purpose: "all"},
			DateFormat: "dd.mm.yyyy", Mapping: mapping, Documents: docs,
		}},
	})
	return &s
}

// A real site shows what was planted in it, and nothing else: two go-live dates
// moved after they had lapsed, one date moved on the eve, a signed scan deleted.
// Slips corrected within minutes, planning and the daily label raise nothing.
func TestMeridiansSignals(t *testing.T) {
	t.Parallel()
	var got []string
	for _, s := range rules.Signals(meridianSnapshot(t), rules.Occasion{}) {
		got = append(got, s.Rule+" "+s.Subject.Name)
	}
	want := []string{
		"deleted 5f2e665cec",
		"due_moved_after_lapse TASK-2026-00085", "due_moved_after_lapse TASK-2026-00086",
		"due_moved_unsigned TASK-2026-00093",
		"signoff_replaced TASK-2026-00165",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

// All six customer projects are in the month's sample, the office move is left
// out and counted.
func TestMeridiansSamples(t *testing.T) {
	t.Parallel()
	got := rules.ContinuousSamples(meridianSnapshot(t))
	if p := got[0]; p.Population != 6 || len(p.Items) != 6 || p.LeftOut != 1 || !p.Complete {
		t.Errorf("projects: %d of %d, %d left out, complete %v; want all 6, 1 left out", len(p.Items), p.Population, p.LeftOut, p.Complete)
	}
	for _, s := range got[1:] {
		if len(s.Items) != rules.MaxContinuous || s.Population <= rules.MaxContinuous {
			t.Errorf("%s: %d of %d, want %d of more", s.Stream, len(s.Items), s.Population, rules.MaxContinuous)
		}
	}
}
