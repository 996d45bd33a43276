package rules_test

import (
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// A ticket is its own answer where its rating is kept on it. Only a change of the
// rating is one of the answer; a clock that runs on is not.
func TestOnlyATicketsRatingIsItsAnswer(t *testing.T) {
	t.Parallel()
	ref := evidence.Ref{Site: "erp", Doctype: "Issue", Name: "ISS-1", Created: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	at := time.Date(2026, 11, 18, 9, 0, 0, 0, time.UTC)
	s := &evidence.Snapshot{
		AsOf: time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC), Zone: "UTC",
		Tickets:  []evidence.Ticket{{Ref: ref, Closed: true, Stars: 4, Rated: true}},
		Feedback: []evidence.Feedback{{Ref: ref, Kind: evidence.FeedbackTicket, Ticket: "ISS-1", Stars: 4, Rated: true}},
		Changes: []evidence.Change{
			{Ref: ref, Field: "total_hold_time", From: "3600", To: "7200", At: at, Own: true},
			{Ref: ref, Field: "custom_stars", From: "0.4", To: "0.8", At: at, Own: true},
		},
	}
	n := 0
	for _, signal := range rules.Signals(s, rules.Occasion{}) {
		if signal.Rule == rules.SignalFeedbackEdited {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d edits of feedback, want one: that of the stars", n)
	}
}
