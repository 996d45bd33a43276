package evidence_test

import (
	"math"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

func TestLinksOpenTheRecord(t *testing.T) {
	t.Parallel()
	s := evidence.Snapshot{Sites: []evidence.Site{
		{Key: "erp", URL: "https://erp.acme.example/"}, {Key: "odd", URL: "javascript:alert(1)"},
	}}
	for _, tt := range []struct {
		ref  evidence.Ref
		want string
	}{
		{evidence.Ref{Site: "erp", Doctype: "Task", Name: "TASK-1"}, "https://erp.acme.example/app/task/TASK-1"},
		{evidence.Ref{Site: "erp", Doctype: "Customer Acceptance", Name: "Nord/West & Söhne?#"}, "https://erp.acme.example/app/customer-acceptance/Nord%2FWest%20&%20S%C3%B6hne%3F%23"},
		{evidence.Ref{Site: "odd", Doctype: "Task", Name: "T"}, ""}, // nobody is sent anywhere but to a web page
		{evidence.Ref{Site: "elsewhere", Doctype: "Task", Name: "T"}, ""},
	} {
		if got := s.Link(tt.ref); got != tt.want {
			t.Errorf("Link(%s %s) = %q, want %q", tt.ref.Doctype, tt.ref.Name, got, tt.want)
		}
	}
}

func TestMissingNamesTheGap(t *testing.T) {
	t.Parallel()
	s := evidence.Snapshot{Gaps: []evidence.Gap{{Site: "erp", Stream: "Task", Kind: evidence.Drifted, Field: "exp_end_date"}}}
	if g, ok := s.Missing("Task"); !ok || g.Field != "exp_end_date" {
		t.Errorf("Missing(Task) = %+v, %t", g, ok)
	}
	if g, ok := s.Missing("Issue"); ok {
		t.Errorf("Missing(Issue) = %+v", g)
	}
}

func TestTodayIsThatOfThePartner(t *testing.T) {
	t.Parallel()
	s := evidence.Snapshot{AsOf: time.Date(2026, 11, 20, 20, 0, 0, 0, time.UTC), Zone: "Asia/Kolkata"}
	if got := s.Today().String(); got != "2026-11-21" {
		t.Errorf("today is %s, want the 21st", got)
	}
	s.Zone = "Nowhere/At all"
	if got := s.Today().String(); got != "2026-11-20" {
		t.Errorf("today is %s, want that of UTC", got)
	}
}

func TestDigestTellsSnapshotsApart(t *testing.T) {
	t.Parallel()
	of := func(s evidence.Snapshot) string {
		t.Helper()
		d, err := s.Digest()
		if err != nil || len(d) != 64 {
			t.Fatalf("digest %q, %v", d, err)
		}
		return d
	}
	a := evidence.Snapshot{Partner: "a", Tasks: []evidence.Task{{Ref: evidence.Ref{Name: "T"}}}}
	b := a
	if of(a) != of(b) {
		t.Error("equal snapshots have different digests")
	}
	b.Gaps = []evidence.Gap{{Stream: "Task"}}
	if of(a) == of(b) {
		t.Error("a gap makes no difference")
	}
	b.Orders = []evidence.Order{{Total: math.NaN()}}
	if d, err := b.Digest(); err == nil {
		t.Errorf("digest of what cannot be written = %q", d)
	}
}
