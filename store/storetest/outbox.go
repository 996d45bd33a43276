package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

func change(name, what string) plan.Change {
	return plan.Change{
		Key: "PMM Assessment/" + name + "#" + what, Partner: "meridian", Doctype: "PMM Assessment", Name: name,
		Op: plan.Update, Fields: map[string]any{"measured": what}, Kind: plan.Outcome, Planned: at(0),
	}
}

func planned(t *testing.T, s *store.Store, when time.Time, changes ...plan.Change) int {
	t.Helper()
	return judge(t, s, store.Judgement{Partner: "meridian", At: when, Changes: changes}).Queued
}

func judge(t *testing.T, s *store.Store, j store.Judgement) store.Judged {
	t.Helper()
	out, err := s.CommitAssessment(t.Context(), j)
	if err != nil {
		t.Fatalf("CommitAssessment: %v", err)
	}
	return out
}

// waiting lists what may be sent at the minute, as "name#what".
func waiting(t *testing.T, s *store.Store, minute int) string {
	t.Helper()
	qs := must[[]store.Queued](t)(s.Waiting(t.Context(), "meridian", at(minute), 100))
	return short(qs)
}

func short(qs []store.Queued) string {
	var out []string
	for _, q := range qs {
		_, k, _ := strings.Cut(q.Change.Key, "/")
		out = append(out, k)
	}
	return strings.Join(out, " ")
}

func id(t *testing.T, s *store.Store, state store.State, name string) int64 {
	t.Helper()
	for _, q := range must[[]store.Queued](t)(s.List(t.Context(), "*", state, 0)) {
		if q.Change.Name == name {
			return q.ID
		}
	}
	t.Fatalf("no %s change of %s", state, name)
	return 0
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func outboxOrder(t *testing.T, open Opener) {
	s := open(t)
	a := change("a", "1")
	a.Op, a.FileName, a.File = plan.Attach, "pack.html", []byte{0, 1, 255}
	a.Base = map[string]any{"measured": nil}
	if n := planned(t, s, at(0), a, change("b", "1"), change("c", "1")); n != 3 {
		t.Errorf("Queued = %d, want 3", n)
	}
	// The newest plan gives the order, old and new changes alike.
	planned(t, s, at(1), change("c", "1"), change("d", "1"), change("b", "1"))
	s = reopen(t, s, open)
	expect(t, "waiting", waiting(t, s, 2), "a#1 c#1 d#1 b#1")

	got := must[[]store.Queued](t)(s.Waiting(t.Context(), "meridian", at(2), 1))
	if diff := cmp.Diff([]store.Queued{{ID: got[0].ID, Change: a, Created: at(0), State: store.Waiting}}, got); diff != "" {
		t.Errorf("Waiting mismatch (-want +got):\n%s", diff)
	}
	check(t, s.Sent(t.Context(), at(3), store.Delivery{ID: got[0].ID}))
	expect(t, "waiting after one was sent", waiting(t, s, 3), "c#1 d#1 b#1")
	sent := must[[]store.Queued](t)(s.List(t.Context(), "meridian", store.Sent, 0))
	if len(sent) != 1 || !sent[0].Ended.Equal(at(3)) || sent[0].Attempts != 1 {
		t.Errorf("sent = %+v", sent)
	}
	for _, bad := range []plan.Change{{Key: "k"}, {Doctype: "d"}} {
		if _, err := s.CommitAssessment(t.Context(), store.Judgement{Partner: "x", At: at(4), Changes: []plan.Change{bad}}); err == nil {
			t.Errorf("a change without key or doctype was queued: %+v", bad)
		}
	}
}

func outboxReplay(t *testing.T, open Opener) {
	s := open(t)
	planned(t, s, at(0), change("a", "1"), change("b", "1"))
	check(t, s.Retry(t.Context(), id(t, s, store.Waiting, "a"), at(5), "502"))
	if n := planned(t, s, at(1), change("a", "1"), change("b", "1"), change("b", "1")); n != 0 {
		t.Errorf("the same plan again queued %d, want 0", n)
	}
	q := must[[]store.Queued](t)(s.List(t.Context(), "meridian", store.Waiting, 0))
	if len(q) != 2 || q[0].Attempts != 1 || q[0].Error != "502" || !q[0].Created.Equal(at(0)) || !q[0].NextAt.Equal(at(5)) {
		t.Errorf("waiting = %+v, want the first with its attempt kept", q)
	}
	// What two partners' plans want of a record of no partner is queued once.
	j := store.Judgement{Partner: "kepler", At: at(2), Changes: []plan.Change{change("a", "1")}}
	if n := judge(t, s, j).Queued; n != 0 {
		t.Errorf("the same key for another partner queued %d, want 0", n)
	}
	// Sent, and wanted again because a person undid it: a change like any other.
	check(t, s.Sent(t.Context(), at(3), store.Delivery{ID: id(t, s, store.Waiting, "b")}))
	if n := planned(t, s, at(4), change("b", "1")); n != 1 {
		t.Errorf("a change wanted again queued %d, want 1", n)
	}
}

func outboxReplaced(t *testing.T, open Opener) {
	s := open(t)
	file := func(name, what string) plan.Change {
		c := change("a", name+what)
		c.Op, c.FileName = plan.Attach, name
		return c
	}
	planned(t, s, at(0), change("a", "1"), file("x", "1"), file("y", "1"), change("b", "1"))
	planned(t, s, at(1), change("a", "2"), file("x", "2"))
	expect(t, "waiting", waiting(t, s, 1), "a#y1 b#1 a#2 a#x2")
	replaced := must[[]store.Queued](t)(s.List(t.Context(), "meridian", store.Replaced, 0))
	expect(t, "replaced", short(replaced), "a#1 a#x1")
	// Within one plan a record may have several changes; none replaces another.
	save := change("b", "save")
	save.Op = plan.Save
	planned(t, s, at(2), change("b", "2"), save)
	expect(t, "waiting", waiting(t, s, 2), "a#y1 a#2 a#x2 b#2 b#save")
	// Back and forth: the first again is a new change, the second gives way.
	planned(t, s, at(3), change("a", "1"))
	expect(t, "waiting", waiting(t, s, 3), "a#y1 a#x2 b#2 b#save a#1")
}

func outboxBackOff(t *testing.T, open Opener) {
	s := open(t)
	planned(t, s, at(0), change("a", "1"), change("b", "1"), change("c", "1"))
	other := change("z", "1")
	other.Partner = "kepler"
	judge(t, s, store.Judgement{Partner: "kepler", At: at(1), Changes: []plan.Change{other}})
	check(t, s.Retry(t.Context(), id(t, s, store.Waiting, "b"), at(10), "timeout"))
	expect(t, "before a backing off change", waiting(t, s, 9), "a#1")
	expect(t, "when its time has come", waiting(t, s, 10), "a#1 b#1 c#1")
	ps := must[[]string](t)(s.WaitingPartners(t.Context(), at(9)))
	expect(t, "partners", fmt.Sprint(ps), "[meridian kepler]")
	check(t, s.Retry(t.Context(), id(t, s, store.Waiting, "a"), at(11), "timeout"))
	expect(t, "when the first backs off", waiting(t, s, 10), "")
	ps = must[[]string](t)(s.WaitingPartners(t.Context(), at(10)))
	expect(t, "partners", fmt.Sprint(ps), "[kepler]")
	check(t, s.Hasten(t.Context()))
	expect(t, "after a restart", waiting(t, s, 10), "a#1 b#1 c#1")
	ds := must[[]store.Depth](t)(s.Depths(t.Context()))
	if diff := cmp.Diff([]store.Depth{{Partner: "kepler", Waiting: 1, Oldest: at(1)}, {Partner: "meridian", Waiting: 3, Oldest: at(0)}}, ds); diff != "" {
		t.Errorf("Depths mismatch (-want +got):\n%s", diff)
	}
}

func outboxParked(t *testing.T, open Opener) {
	s := open(t)
	attach := change("a", "f")
	attach.Op, attach.FileName = plan.Attach, "x"
	planned(t, s, at(0), change("a", "1"), change("b", "1"), attach)
	a := id(t, s, store.Waiting, "a")
	check(t, s.Park(t.Context(), a, "field measured was removed on the PRM"))
	check(t, s.Retry(t.Context(), a, at(1), "late answer")) // no longer waiting: nothing
	expect(t, "behind a parked change", waiting(t, s, 1), "b#1")
	parked := must[[]store.Queued](t)(s.List(t.Context(), "meridian", store.Parked, 0))
	if len(parked) != 1 || parked[0].Error != "field measured was removed on the PRM" || parked[0].Attempts != 1 {
		t.Errorf("parked = %+v", parked)
	}
	planned(t, s, at(1), change("a", "1"), attach)
	expect(t, "parked stays parked when planned again", waiting(t, s, 1), "b#1")
	check(t, s.Requeue(t.Context(), a))
	expect(t, "after requeue", waiting(t, s, 1), "b#1 a#1 a#f")
	check(t, s.Park(t.Context(), a, "again"))
	planned(t, s, at(2), change("a", "2"))
	expect(t, "a newer change takes a parked one's place", waiting(t, s, 2), "b#1 a#f a#2")
	if err := s.Requeue(t.Context(), a); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Requeue of a replaced change = %v, want ErrNotFound", err)
	}
}

func outboxDropped(t *testing.T, open Opener) {
	s := open(t)
	planned(t, s, at(0), change("a", "1"), change("b", "1"))
	a := id(t, s, store.Waiting, "a")
	if err := s.Drop(t.Context(), at(1), a, 999); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Drop of an unknown change = %v, want ErrNotFound", err)
	}
	expect(t, "after a failed drop", waiting(t, s, 1), "a#1 b#1")
	check(t, s.Drop(t.Context(), at(1), a))
	if n := planned(t, s, at(2), change("a", "1"), change("b", "1")); n != 0 {
		t.Errorf("a dropped change planned unaltered queued %d, want 0", n)
	}
	expect(t, "waiting", waiting(t, s, 2), "b#1")
	planned(t, s, at(3), change("a", "2"))
	expect(t, "another change of the record", waiting(t, s, 3), "b#1 a#2")
	check(t, s.Sent(t.Context(), at(4), store.Delivery{ID: id(t, s, store.Waiting, "a")}))
	planned(t, s, at(5), change("a", "1"))
	expect(t, "the dropped one, wanted after another", waiting(t, s, 5), "b#1 a#1")
}

func outboxWhole(t *testing.T, open Opener) {
	s := open(t)
	planned(t, s, at(0), change("a", "1"), change("b", "1"))
	judge(t, s, store.Judgement{Partner: "meridian", At: at(1), Changes: []plan.Change{change("b", "1")}, Whole: true})
	expect(t, "what a whole plan leaves out goes", waiting(t, s, 1), "b#1")
	judge(t, s, store.Judgement{Partner: "kepler", At: at(1), Whole: true})
	expect(t, "another partner's whole plan", waiting(t, s, 1), "b#1")
	judge(t, s, store.Judgement{Partner: "meridian", At: at(2), Whole: true})
	expect(t, "an empty whole plan", waiting(t, s, 2), "")
}

func outboxInFlight(t *testing.T, open Opener) {
	s := open(t)
	planned(t, s, at(0), change("a", "1"))
	flying := id(t, s, store.Waiting, "a")
	planned(t, s, at(1), change("a", "2")) // while the first is under way
	k := plan.Known{Doctype: "PMM Assessment", Key: "a", Name: "a", Fields: map[string]any{"measured": "1"}, Modified: "m1", Written: at(2)}
	for range 2 { // the answer may be told twice
		check(t, s.Sent(t.Context(), at(2), store.Delivery{ID: flying, Known: &k}))
	}
	expect(t, "the newer change still waits", waiting(t, s, 2), "a#2")
	got, ok, err := s.KnownRecord(t.Context(), "PMM Assessment", "a")
	check(t, err)
	if diff := cmp.Diff(k, got); diff != "" || !ok {
		t.Errorf("KnownRecord ok = %v, mismatch (-want +got):\n%s", ok, diff)
	}
	check(t, s.Park(t.Context(), flying, "late")) // sent: nothing
	if n := len(must[[]store.Queued](t)(s.List(t.Context(), "*", store.Parked, 0))); n != 0 {
		t.Errorf("%d parked, want 0", n)
	}
	check(t, s.Sent(t.Context(), at(3), store.Delivery{ID: 12345, Known: &k})) // unknown: nothing
}

func known(t *testing.T, open Opener) {
	s := open(t)
	a := plan.Known{Doctype: "PMM Partner", Key: "meridian", Name: "P-1", Fields: map[string]any{"x": 1.0, "y": "2"}, Modified: "m", Written: at(0)}
	b := plan.Known{Doctype: "PMM Alert", Key: "k", Written: at(0)}
	check(t, s.PutKnown(t.Context(), "meridian", a, b))
	planned(t, s, at(0), plan.Change{Key: "k", Doctype: "PMM Partner", Name: "meridian", Op: plan.Update})
	upd := plan.Known{Doctype: "PMM Partner", Key: "meridian", Name: "P-1", Fields: map[string]any{"y": "3", "t": []any{map[string]any{"r": 1.0}}}, Modified: "m2", Written: at(1)}
	check(t, s.Sent(t.Context(), at(1), store.Delivery{ID: id(t, s, store.Waiting, "meridian"), Known: &upd}))
	s = reopen(t, s, open)
	a.Fields, a.Modified, a.Written = map[string]any{"x": 1.0, "y": "3", "t": []any{map[string]any{"r": 1.0}}}, "m2", at(1)
	b.Fields = map[string]any{}
	got := must[[]plan.Known](t)(s.Known(t.Context(), "meridian"))
	if diff := cmp.Diff([]plan.Known{b, a}, got); diff != "" {
		t.Errorf("Known mismatch (-want +got):\n%s", diff)
	}
	check(t, s.PutKnown(t.Context(), "meridian", upd))
	if got, _, err := s.KnownRecord(t.Context(), "PMM Partner", "meridian"); err != nil || got.Fields["x"] != nil {
		t.Errorf("KnownRecord = %+v, %v; PutKnown must replace", got, err)
	}
	check(t, s.Forget(t.Context(), "PMM Partner", "meridian"))
	if _, ok, err := s.KnownRecord(t.Context(), "PMM Partner", "meridian"); ok || err != nil {
		t.Errorf("KnownRecord after Forget = %v, %v", ok, err)
	}
	if got := must[[]plan.Known](t)(s.Known(t.Context(), "kepler")); len(got) != 0 {
		t.Errorf("Known of another partner = %+v", got)
	}
}
