package evidence_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
)

func at(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }

func version(seen, modified time.Time, fields map[string]any) evidence.Document {
	return evidence.Document{
		Ref:    evidence.Ref{Site: "erp", Doctype: "Task", Name: "T", Created: at(1, 9), Modified: modified, Seen: seen},
		Stamp:  modified.Format(time.DateTime),
		Fields: fields,
	}
}

func TestAsOfTakesTheNewestVersionSeenByThen(t *testing.T) {
	t.Parallel()
	open := version(at(2, 0), at(1, 9), map[string]any{"status": "Open"})
	late := version(at(9, 0), at(1, 9), map[string]any{"status": "Overdue"}) // flipped without a modification
	gone := version(at(12, 0), at(1, 9), nil)
	gone.Gone = true
	all := []evidence.Document{gone, open, late}
	for _, tt := range []struct {
		at     time.Time
		status any
		gone   bool
	}{
		{at(2, 0), "Open", false},
		{at(8, 23), "Open", false},
		{at(9, 0), "Overdue", false},
		{at(12, 0), nil, true},
	} {
		got, ok := evidence.AsOf(all, tt.at, nil)
		if !ok || got.Fields["status"] != tt.status || got.Gone != tt.gone || got.Reconstructed {
			t.Errorf("AsOf(%v) = %+v, %t; want status %v, gone %t", tt.at, got, ok, tt.status, tt.gone)
		}
	}
}

func TestAsOfUndoesWhatCameLater(t *testing.T) {
	t.Parallel()
	fields := map[string]any{"status": "Completed", "completed_on": "2026-11-05", "completed_by": "a@b", "exp_end_date": "2026-11-30"}
	first := version(at(10, 0), at(5, 12), fields)
	second := version(at(11, 0), at(10, 12), map[string]any{"status": "Cancelled"})

	got, ok := evidence.AsOf([]evidence.Document{second, first}, at(4, 12), nil)
	want := map[string]any{"status": "Open", "completed_on": nil, "completed_by": nil, "exp_end_date": "2026-11-30"}
	if diff := cmp.Diff(want, got.Fields); !ok || !got.Reconstructed || diff != "" {
		t.Errorf("as of the 4th: ok %t, reconstructed %t, fields (-want +got):\n%s", ok, got.Reconstructed, diff)
	}
	if fields["status"] != "Completed" {
		t.Error("AsOf changed the version that it was given")
	}
	// The day itself is not after the 5th, whatever the hour.
	got, ok = evidence.AsOf([]evidence.Document{first}, at(5, 1), nil)
	if !ok || got.Fields["status"] != "Completed" || !got.Reconstructed {
		t.Errorf("as of the 5th: %v %t, want Completed", got.Fields, ok)
	}
	if _, ok = evidence.AsOf([]evidence.Document{first}, at(1, 8), nil); ok {
		t.Error("a record was there before its creation")
	}
}

func TestAsOfCountsDaysInTheZoneOfTheSite(t *testing.T) {
	t.Parallel()
	kolkata := time.FixedZone("IST", 5*3600+1800)
	v := version(at(10, 0), at(6, 0), map[string]any{"status": "Completed", "completed_on": "2026-11-06"})
	for zone, want := range map[*time.Location]string{kolkata: "Completed", time.UTC: "Open"} {
		got, _ := evidence.AsOf([]evidence.Document{v}, at(5, 20), zone) // already the 6th in India
		if got.Fields["status"] != want {
			t.Errorf("in %v: %v, want %s", zone, got.Fields["status"], want)
		}
	}
}
