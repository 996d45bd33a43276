package programme_test

import (
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/programme"
)

// bed is a partner whose alerts a person snoozes.
type bed struct {
	t     *testing.T
	in    programme.Input
	known map[string]programme.Episode
	now   time.Time
}

// look lets the rules look on a date; is says whether the condition is true.
func (b *bed) look(date string, is bool) (shown []programme.Alert) {
	b.t.Helper()
	b.now = at(b.t, date+"T06:00:00Z")
	b.in.AsOf = b.now
	var open []programme.Episode
	for _, e := range b.known {
		open = append(open, e)
	}
	var conditions []programme.Condition
	if is {
		conditions = append(conditions, programme.Condition{Rule: programme.RuleNCOverdue, Subject: "N1", Doctype: "Partner Non Conformance", Name: "N1", Message: "late"})
	}
	changed, shown := programme.Advance(open, conditions, "p", b.now, programme.HushOf(&b.in, b.now))
	for _, e := range changed {
		b.known[e.Alert.Key] = e
	}
	return shown
}

func counts(as []programme.Alert) (n int) {
	for _, a := range as {
		if a.Counts() {
			n++
		}
	}
	return n
}

func firingOnes(as []programme.Alert) (n int) {
	for _, a := range as {
		if a.Firing {
			n++
		}
	}
	return n
}

func TestSnooze(t *testing.T) {
	t.Parallel()
	b := &bed{t: t, in: programme.Input{Zone: "UTC"}, known: map[string]programme.Episode{}}
	first := b.look("2026-11-02", true)
	if counts(first) != 1 {
		t.Fatalf("it does not fire: %+v", first)
	}
	b.in.Snoozes = []programme.Snooze{{Alert: first[0].Key, Until: day(t, "2026-11-10")}}
	if got := b.look("2026-11-03", true); counts(got) != 0 || firingOnes(got) != 1 || got[0].Until != day(t, "2026-11-10") {
		t.Errorf("snoozed, it is still there and counts nowhere: %+v", got)
	}
	// A restart forgets nothing, nor does a PRM that cannot be read.
	b.in.Gaps = []evidence.Gap{{Stream: "PMM Alert"}}
	snoozes := b.in.Snoozes
	b.in.Snoozes = nil
	if got := b.look("2026-11-04", true); counts(got) != 0 || firingOnes(got) != 1 {
		t.Errorf("unread: %+v", got)
	}
	b.in.Gaps, b.in.Snoozes = nil, snoozes
	// It resolves and comes back before the day: nobody hears of it.
	if got := b.look("2026-11-05", false); firingOnes(got) != 0 {
		t.Errorf("resolved: %+v", got)
	}
	b.in.Snoozes = nil // a resolved alert is not read any more
	if got := b.look("2026-11-06", true); firingOnes(got) != 0 {
		t.Errorf("it came back and fires before its day: %+v", got)
	}
	if got := b.look("2026-11-09", true); firingOnes(got) != 0 {
		t.Errorf("the evening before: %+v", got)
	}
	if got := b.look("2026-11-10", true); counts(got) != 1 {
		t.Errorf("on its day it does not count: %+v", got)
	}
	// Who takes the date away hears of it at once; who moves it, later.
	var key string
	for _, e := range b.known {
		if e.Alert.Firing {
			key = e.Alert.Key
		}
	}
	b.in.Snoozes = []programme.Snooze{{Alert: key, Until: day(t, "2026-12-01")}}
	if got := b.look("2026-11-11", true); counts(got) != 0 {
		t.Errorf("snoozed again: %+v", got)
	}
	b.in.Snoozes[0].Until = day(t, "2026-12-15")
	if got := b.look("2026-12-02", true); counts(got) != 0 {
		t.Errorf("the day was moved: %+v", got)
	}
	b.in.Snoozes = nil
	if got := b.look("2026-12-03", true); counts(got) != 1 {
		t.Errorf("the date was taken away: %+v", got)
	}
	// Acknowledging alone puts nothing off.
	b.in.Snoozes = []programme.Snooze{{Alert: key, Acknowledged: true}}
	if got := b.look("2026-12-04", true); counts(got) != 1 {
		t.Errorf("acknowledged: %+v", got)
	}
}

// A snoozed alert does not make the partner look urgent.
func TestSnoozeAndTheStanding(t *testing.T) {
	t.Parallel()
	c := one(t, programme.Input{Contacts: []programme.Contact{{Partner: "p", Kind: "meeting", At: at(t, "2026-11-23T10:00:00Z")}}})
	a := programme.Alert{Rule: programme.RuleNoContact, Message: "No meeting", Firing: true}
	if s := c.Stand([]programme.Alert{a}); s.InsightCode != "no_contact" {
		t.Errorf("standing %+v", s)
	}
	a.Quiet = true
	if s := c.Stand([]programme.Alert{a}); s.InsightCode == "no_contact" {
		t.Errorf("snoozed: %+v", s)
	}
}
