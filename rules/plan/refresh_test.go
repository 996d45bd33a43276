package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

func TestRefreshSavesOnceWhatNothingElseWrites(t *testing.T) {
	t.Parallel()
	read := now.Add(-time.Minute)
	stale := programme.Stale{Doctype: plan.DoctypeNC, Name: "PNC-1", Partner: "acme", Shows: "new@prm.test/Acme"}
	other := stale
	other.Doctype, other.Name = plan.DoctypeAssessment, "acme-cont-2026w01"
	save := func(s programme.Stale, known *plan.Known, planned ...plan.Change) []plan.Change {
		c := programme.Case{Key: "acme", Stale: []programme.Stale{s}}
		find := func(string, string) (plan.Known, bool) {
			if known == nil {
				return plan.Known{}, false
			}
			return *known, true
		}
		return plan.Refresh(&c, planned, map[string]bool{"acme-cont-2026w48": true}, find, read, now)
	}
	first := save(stale, nil)
	if len(first) != 1 || first[0].Op != plan.Save || first[0].Name != "PNC-1" || first[0].Partner != "acme" {
		t.Fatalf("changes %+v", first)
	}
	if diff := cmp.Diff(first, save(stale, nil)); diff != "" {
		t.Errorf("planning twice differs:\n%s", diff)
	}
	saved := &plan.Known{Fields: first[0].Fields, Written: read.Add(-time.Hour)}
	again := stale
	again.Shows = "newer@prm.test/Acme"
	for name, tt := range map[string]struct {
		got  []plan.Change
		want int
	}{
		"saved for it already":           {save(stale, saved), 0},
		"another manager since":          {save(again, saved), 1},
		"written after it was read":      {save(stale, &plan.Known{Written: read.Add(time.Second)}), 0},
		"written before":                 {save(stale, &plan.Known{Written: read.Add(-time.Second)}), 1},
		"written in this cycle":          {save(stale, nil, plan.Change{Doctype: plan.DoctypeNC, Name: "PNC-1", Op: plan.Update}), 0},
		"a file alone writes nothing":    {save(stale, nil, plan.Change{Doctype: plan.DoctypeNC, Name: "PNC-1", Op: plan.Attach}), 1},
		"an assessment of an older week": {save(other, nil), 0},
	} {
		if len(tt.got) != tt.want {
			t.Errorf("%s: %d saves, want %d", name, len(tt.got), tt.want)
		}
	}
}

func TestAFileIsPlannedUntilItIsThere(t *testing.T) {
	t.Parallel()
	file := func(content string) []plan.File {
		return []plan.File{{Doctype: plan.DoctypeAudit, Record: "ADT-1", Name: "pack.html", Content: []byte(content)}}
	}
	first := plan.Attachments("acme", file("one"), none, now)
	if len(first) != 1 || first[0].Op != plan.Attach || string(first[0].File) != "one" || first[0].FileName != "pack.html" {
		t.Fatalf("changes %+v", first)
	}
	later := plan.Attachments("acme", file("two"), none, now.Add(time.Hour))
	if later[0].Key != first[0].Key {
		t.Error("the file that waits would be replaced by a later state")
	}
	held := func(string, string) (plan.Known, bool) {
		return plan.Known{Fields: map[string]any{plan.MarkFile + "pack.html": "/private/files/pack.html"}}, true
	}
	if got := plan.Attachments("acme", file("two"), held, now); len(got) != 0 {
		t.Errorf("attached again: %+v", got)
	}
	if got := plan.Attachments("acme", file(string(make([]byte, plan.MaxFile+1))), none, now); len(got) != 0 {
		t.Error("a file beyond the bound is sent")
	}
}
