package evidence_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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

// Every doctype whose dates are undone: what it was when it was found, and what
// it was on 15 November 2026, noon.
func TestAsOfTakesBackWhatEachDoctypeDates(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	row := func(kv fields) []any { return []any{kv} }
	for _, tt := range []struct {
		name, doctype string
		found, then   fields
	}{
		{
			"a ticket that was answered and solved later", "Issue",
			fields{"status": "Closed", "agreement_status": "Fulfilled", "first_responded_on": "2026-11-15 12:00:01", "sla_resolution_date": "2026-11-16 09:00:00", "resolution_time": 60.0, "sla_resolution_by": "2026-11-17 09:00:00"},
			fields{"status": "Open", "agreement_status": "First Response Due", "first_responded_on": nil, "sla_resolution_date": nil, "resolution_time": nil, "sla_resolution_by": "2026-11-17 09:00:00"},
		},
		{
			"a ticket that was solved later, older names", "Issue",
			fields{"status": "Resolved", "agreement_status": "Failed", "first_responded_on": "2026-11-15 11:59:59.999999", "resolution_date": "2026-11-16 09:00:00"},
			fields{"status": "Open", "agreement_status": "Resolution Due", "first_responded_on": "2026-11-15 11:59:59.999999", "resolution_date": nil},
		},
		{
			"a Helpdesk ticket and its rating", "HD Ticket",
			fields{"status": "Closed", "status_category": "Resolved", "resolution_date": "2026-11-16 09:00:00", "feedback_rating": 0.8},
			fields{"status": "Open", "status_category": nil, "resolution_date": nil, "feedback_rating": nil},
		},
		{
			"a lead that was qualified later", "Lead",
			fields{"qualification_status": "Qualified", "qualified_by": "s@p", "qualified_on": "2026-11-16"},
			fields{"qualification_status": "Unqualified", "qualified_by": nil, "qualified_on": nil},
		},
		{
			"a CRM deal by its log", "CRM Deal",
			fields{"status": "Won", "closed_date": "2026-11-18", "status_change_log": []any{
				fields{"from": "Demo", "from_date": "2026-11-01 09:00:00", "to": "Offer", "to_date": "2026-11-10 09:00:00"},
				fields{"from": "Offer", "from_date": "2026-11-10 09:00:00", "to": "Won", "to_date": "2026-11-18 09:00:00"},
				fields{"from": "Won", "from_date": "2026-11-18 09:00:00"},
			}},
			fields{"status": "Offer", "closed_date": nil, "lost_reason": nil, "status_change_log": []any{
				fields{"from": "Demo", "from_date": "2026-11-01 09:00:00", "to": "Offer", "to_date": "2026-11-10 09:00:00"},
				fields{"from": "Offer", "from_date": "2026-11-10 09:00:00", "to": nil, "to_date": nil, "to_type": nil},
			}},
		},
		{
			"an offer that was lost later", "Quotation",
			fields{"status": "Lost", "docstatus": 1.0, "valid_till": "2026-12-24"},
			fields{"status": "Open", "docstatus": 1.0, "valid_till": "2026-12-24"},
		},
		{"an offer that ran out", "Quotation", fields{"status": "Expired", "docstatus": 1.0}, fields{"status": "Expired", "docstatus": 1.0}},
		{
			"an order that was cancelled later", "Sales Order",
			fields{"status": "Cancelled", "docstatus": 2.0},
			fields{"status": "To Deliver and Bill", "docstatus": 1.0},
		},
		{"a bill that was cancelled later", "Sales Invoice", fields{"status": "Cancelled", "docstatus": 2.0}, fields{"status": "Unpaid", "docstatus": 1.0}},
		{
			"a contract that was signed later", "Contract",
			fields{"status": "Active", "is_signed": 1.0, "signed_on": "2026-11-16 09:00:00", "signee": "x"},
			fields{"status": "Unsigned", "is_signed": nil, "signed_on": nil, "signee": nil},
		},
		{
			"an action that was done later", "Quality Action",
			fields{"status": "Completed", "resolutions": row(fields{"status": "Completed", "problem": "p"})},
			fields{"status": "Open", "resolutions": row(fields{"status": nil, "problem": "p"})},
		},
		{
			"a course that was held later", "Training Event",
			fields{"event_status": "Completed", "end_time": "2026-11-20 16:00:00", "employees": row(fields{"employee": "E", "attendance": "Present"})},
			fields{"event_status": "Scheduled", "end_time": "2026-11-20 16:00:00", "employees": row(fields{"employee": "E", "attendance": nil})},
		},
		{"a meeting that was held later", "Event", fields{"status": "Completed", "starts_on": "2026-11-16 10:00:00"}, fields{"status": "Open", "starts_on": "2026-11-16 10:00:00"}},
		{"somebody who left later", "Employee", fields{"status": "Left", "relieving_date": "2026-11-30"}, fields{"status": "Active", "relieving_date": nil}},
		{"a project that was closed later", "Project", fields{"status": "Completed", "expected_end_date": "2026-12-01"}, fields{"status": "Open", "expected_end_date": "2026-12-01"}},
		{"an assignment that was closed later", "ToDo", fields{"status": "Closed"}, fields{"status": "Open"}},
		{"a task whose next review is planned", "Task", fields{"status": "Pending Review", "review_date": "2026-11-30"}, fields{"status": "Pending Review", "review_date": "2026-11-30"}},
		{"a task closed in bulk, without a date", "Task", fields{"status": "Completed"}, fields{"status": "Completed"}},
		{"dates that are none", "Task", fields{"status": "Completed", "completed_on": "tomorrow"}, fields{"status": "Completed", "completed_on": "tomorrow"}},
		{"a doctype that nobody knows", "Abnahme", fields{"status": "Completed", "completed_on": "2026-12-01"}, fields{"status": "Completed", "completed_on": "2026-12-01"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := version(at(19, 0), at(18, 9), tt.found)
			v.Doctype = tt.doctype
			got, ok := evidence.AsOf([]evidence.Document{v}, at(15, 12), time.UTC)
			if !ok || !got.Reconstructed {
				t.Fatalf("AsOf = %t, reconstructed %t", ok, got.Reconstructed)
			}
			// What was cleared and was not there is no difference.
			want := tt.then
			for f, v := range want {
				if _, there := got.Fields[f]; v == nil && !there {
					delete(want, f)
				}
			}
			if diff := cmp.Diff(want, got.Fields); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// Everything had happened by the time it was modified last.
			got, _ = evidence.AsOf([]evidence.Document{v}, at(18, 23), time.UTC)
			for _, f := range []string{"status", "qualification_status", "docstatus"} {
				if planned := tt.doctype == "Training Event" || tt.doctype == "Employee"; !planned && got.Fields[f] != tt.found[f] {
					t.Errorf("on the 18th %s = %v, want %v", f, got.Fields[f], tt.found[f])
				}
			}
		})
	}
}

// Whatever the versions: one of those seen is the answer, they are not changed,
// their order does not matter, and later ones do not change what was seen.
func TestAsOfProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(rt, "versions")
		versions := make([]evidence.Document, n)
		for i := range versions {
			v := version(at(1+rapid.IntRange(0, 20).Draw(rt, "seen"), 0), at(1, 9), map[string]any{
				"status": rapid.SampledFrom([]string{"Open", "Completed"}).Draw(rt, "status"), "completed_on": "2026-11-10",
			})
			v.Hash = fmt.Sprint(i)
			v.Gone = rapid.IntRange(0, 4).Draw(rt, "gone") == 0
			versions[i] = v
		}
		when := at(1+rapid.IntRange(0, 22).Draw(rt, "day"), 12)
		got, ok := evidence.AsOf(versions, when, time.UTC)
		again, okAgain := evidence.AsOf(rapid.Permutation(versions).Draw(rt, "order"), when, time.UTC)
		if diff := cmp.Diff(got, again); ok != okAgain || diff != "" {
			rt.Fatalf("another order gives %t, want %t:\n%s", okAgain, ok, diff)
		}
		if ok && got.Reconstructed != got.Seen.After(when) {
			rt.Fatalf("reconstructed %t, seen %v, as of %v", got.Reconstructed, got.Seen, when)
		}
		if ok && got.Gone && got.Seen.After(when) {
			rt.Fatal("it was gone before that was seen")
		}
		for _, v := range versions {
			if v.Fields["completed_on"] != "2026-11-10" || v.Reconstructed {
				rt.Fatalf("a version was changed: %+v", v)
			}
		}
		if ok && !got.Reconstructed {
			more := version(when.Add(time.Hour), at(1, 9), map[string]any{"status": "Cancelled"})
			if later, _ := evidence.AsOf(append(versions, more), when, time.UTC); !cmp.Equal(later, got) {
				rt.Fatalf("a later version changes what was known: %+v", later)
			}
		}
	})
}
