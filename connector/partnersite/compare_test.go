package partnersite_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// tomorrow is later than every comparison is due.
const tomorrow = 25 * time.Hour

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestASilentOverdueFlipIsSeen(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.SetSilently("Task", "TASK-2026-00122", map[string]any{"status": "Overdue"}))
	b.later(15 * time.Minute)
	b.poll()
	if h := b.memory.history("Task", "TASK-2026-00122"); len(h) != 1 {
		t.Fatalf("a poll saw %d versions, but modified did not move", len(h))
	}
	b.later(tomorrow)
	b.poll()
	h := b.memory.history("Task", "TASK-2026-00122")
	if len(h) != 2 || h[1].Fields["status"] != "Overdue" || h[0].Stamp != h[1].Stamp {
		t.Errorf("after the comparison: %d versions, the last %v, want a second one, Overdue, with the same stamp", len(h), h[len(h)-1].Fields["status"])
	}
}

func TestASilentSLAFlipIsSeen(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.SetSilently("Issue", "ISS-2026-00045", map[string]any{"agreement_status": "Failed"}))
	b.later(time.Minute)
	b.scan()
	h := b.memory.history("Issue", "ISS-2026-00045")
	if len(h) != 2 || h[1].Fields["agreement_status"] != "Failed" {
		t.Errorf("%d versions, the last %v, want a second one, Failed", len(h), h[len(h)-1].Fields["agreement_status"])
	}
}

func TestAChildRowChangedBySQLIsSeen(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.SetSilently("Quality Review Objective", "ej5a5hpisa", map[string]any{"review": "<p>95 %</p>"}))
	b.scan()
	h := b.memory.history("Quality Review", "QA-REV-00076")
	if len(h) != 2 {
		t.Fatalf("%d versions, want 2", len(h))
	}
	if got := h[1].Fields["reviews"].([]any)[0].(map[string]any)["review"]; got != "95 %" {
		t.Errorf("review = %q, want 95 %%", got)
	}
}

func TestARawDeleteIsSeen(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.DeleteRaw("Weekly Metric", "WM-2026-W46-024"))
	b.later(tomorrow)
	r := b.poll()
	h := b.memory.history("Weekly Metric", "WM-2026-W46-024")
	if len(h) != 2 || !h[1].Gone || h[1].RenamedTo != "" {
		t.Errorf("history = %+v, want a tombstone at the end", h)
	}
	if g := gapsOf(r, "Weekly Metric"); len(g) != 0 {
		t.Errorf("gaps %v, want none", g)
	}
}

func TestTheFilesOfADeletedRecordGoWithIt(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.DeleteRaw("Task", "TASK-2026-00084"))
	must(t, b.site.DeleteRaw("File", "680a6e1a03"))
	b.later(tomorrow)
	b.poll()
	if h := b.memory.history("File", "680a6e1a03"); len(h) != 2 || !h[1].Gone {
		t.Errorf("the scan on the deleted task = %+v, want a tombstone", h)
	}
}

func TestADeletionIsSeenAtOnceWhereTheSiteTellsIt(t *testing.T) {
	t.Parallel()
	b := polled(t)
	b.later(10 * time.Minute)
	must(t, b.site.Delete("Weekly Metric", "WM-2026-W46-024"))
	b.later(5 * time.Minute)
	b.poll()
	if h := b.memory.history("Weekly Metric", "WM-2026-W46-024"); len(h) != 2 || !h[1].Gone {
		t.Errorf("history = %+v, want a tombstone in the next poll", h)
	}
}

func TestARenamedRecordIsFollowed(t *testing.T) {
	t.Parallel()
	for _, comments := range []bool{true, false} {
		b := polled(t)
		if !comments {
			must(t, b.site.Revoke("Comment", "PMM Evidence Reader"))
		}
		b.later(10 * time.Minute)
		must(t, b.site.Rename("Task", "TASK-2026-00122", "TASK-TACHO"))
		b.later(tomorrow)
		b.poll()
		h := b.memory.history("Task", "TASK-2026-00122")
		if len(h) != 2 || !h[1].Gone || h[1].RenamedTo != "TASK-TACHO" {
			t.Errorf("comments %v: old name = %+v, want gone to TASK-TACHO", comments, h)
		}
		if h := b.memory.history("Task", "TASK-TACHO"); len(h) != 1 || h[0].Fields["subject"] != "Tachograph file check" {
			t.Errorf("comments %v: new name = %+v", comments, h)
		}
	}
}

func TestALateCommitIsRead(t *testing.T) {
	t.Parallel()
	b := polled(t)
	// Saved 20 minutes before the newest row that was read, committed only now.
	newest := b.memory.cursors["Issue"].Stamp
	at, err := time.ParseInLocation("2006-01-02 15:04:05", newest[:19], berlin())
	must(t, err)
	stamp := at.Add(-20 * time.Minute).Format("2006-01-02 15:04:05.000000")
	row := map[string]any{"name": "ISS-LATE", "subject": "late", "status": "Open", "creation": stamp, "modified": stamp, "owner": "k.roth@meridian.example"}
	_, err = b.site.InsertRaw("Issue", row)
	must(t, err)
	b.later(15 * time.Minute)
	b.poll()
	if len(b.memory.history("Issue", "ISS-LATE")) != 1 {
		t.Error("a row committed behind the cursor was missed")
	}
	// Far behind every overlap it takes a comparison.
	row["name"], row["creation"], row["modified"] = "ISS-IMPORTED", "2026-03-01 10:00:00", "2026-03-01 10:00:00"
	_, err = b.site.InsertRaw("Issue", row)
	must(t, err)
	b.later(tomorrow)
	b.poll()
	if len(b.memory.history("Issue", "ISS-IMPORTED")) != 1 {
		t.Error("a row imported into the past was missed by the comparison")
	}
}

func TestTheDeleteBrake(t *testing.T) {
	t.Parallel()
	all := namesIn(t, "Weekly Metric")
	for _, tt := range []struct {
		name   string
		delete int
		braked bool
	}{
		{"20 percent pass", len(all) / 5, false},
		{"80 percent wait for a person", len(all) * 4 / 5, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := polled(t)
			for _, n := range all[:tt.delete] {
				must(t, b.site.DeleteRaw("Weekly Metric", n))
			}
			b.later(tomorrow)
			r := b.poll()
			left := len(b.memory.live("Weekly Metric"))
			if !tt.braked {
				if left != len(all)-tt.delete || len(gapsOf(r, "Weekly Metric")) != 0 {
					t.Errorf("%d records left, gaps %v; want %d and none", left, gapsOf(r, "Weekly Metric"), len(all)-tt.delete)
				}
				return
			}
			want := []evidence.GapKind{evidence.Braked}
			if left != len(all) || !slices.Equal(gapsOf(r, "Weekly Metric"), want) {
				t.Errorf("%d records left, gaps %v; want all %d and %v", left, gapsOf(r, "Weekly Metric"), len(all), want)
			}
			for _, c := range r.Coverage {
				if c.Stream == "Weekly Metric" && c.Complete {
					t.Error("a braked stream counts as complete")
				}
			}
			b.later(15 * time.Minute)
			b.open() // the brake outlives the process
			if r = b.poll(); !slices.Equal(gapsOf(r, "Weekly Metric"), want) {
				t.Errorf("the next poll has gaps %v, want %v still", gapsOf(r, "Weekly Metric"), want)
			}
			b.memory.released["Weekly Metric"] = r.Gaps[slices.IndexFunc(r.Gaps, func(g evidence.Gap) bool { return g.Kind == evidence.Braked })].Since
			b.later(15 * time.Minute)
			r = b.poll()
			if left := len(b.memory.live("Weekly Metric")); left != len(all)-tt.delete || len(gapsOf(r, "Weekly Metric")) != 0 {
				t.Errorf("released: %d records left, gaps %v; want %d and none", left, gapsOf(r, "Weekly Metric"), len(all)-tt.delete)
			}
			// The release was for those: the rest are held again.
			for _, n := range all[tt.delete:] {
				must(t, b.site.DeleteRaw("Weekly Metric", n))
			}
			b.later(tomorrow)
			if r = b.poll(); !slices.Equal(gapsOf(r, "Weekly Metric"), want) {
				t.Errorf("a second mass deletion has gaps %v, want %v", gapsOf(r, "Weekly Metric"), want)
			}
		})
	}
}

func TestLostAccessIsNoDeletion(t *testing.T) {
	t.Parallel()
	b := polled(t)
	_, err := b.site.InsertRaw("User Permission", map[string]any{
		"user": "prm.reader@meridian.example", "allow": "Customer",
		"for_value": "Talbach Stadtwerke", "apply_to_all_doctypes": 1,
	})
	must(t, err)
	b.later(tomorrow)
	r := b.poll()
	if got, want := len(b.memory.live("Project")), len(namesIn(t, "Project")); got != want {
		t.Errorf("%d projects are held, want %d: none of them was deleted", got, want)
	}
	if g := gapsOf(r, "Project"); !slices.Contains(g, evidence.Hidden) {
		t.Errorf("gaps of Project %v, want Hidden", g)
	}
	for _, g := range r.Gaps {
		if g.Stream == "Project" && g.Kind == evidence.Hidden && !strings.Contains(g.Remedy, "User Permission") {
			t.Errorf("remedy %q does not name the User Permission", g.Remedy)
		}
	}
}
