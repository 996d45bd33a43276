package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/store"
)

func captures(t *testing.T, open Opener) {
	s := open(t)
	due := func(d string) map[string]any {
		return map[string]any{"exp_end_date": d, "progress": 20.5, "assign": []any{"a", "b"}, "x": nil}
	}
	first := task("TASK-1", "2026-11-20 10:00:00.000001", due("2026-11-20"))
	if got, want := commit(t, s, at(0), first, task("TASK-2", "s", nil)), (store.Committed{New: 2}); got != want {
		t.Errorf("first Commit = %+v, want %+v", got, want)
	}
	if got, want := commit(t, s, at(1), first), (store.Committed{Unchanged: 1}); got != want {
		t.Errorf("Commit of the same = %+v, want %+v", got, want)
	}
	// Silent change: another due date under the same stamp.
	moved := task("TASK-1", first.Stamp, due("2026-12-20"))
	if got, want := commit(t, s, at(2), moved), (store.Committed{Changed: 1}); got != want {
		t.Errorf("Commit of a silent change = %+v, want %+v", got, want)
	}
	touched := task("TASK-1", "2026-11-23 07:00:00.000000", due("2026-12-20"))
	if got, want := commit(t, s, at(3), touched, touched), (store.Committed{Changed: 1, Unchanged: 1}); got != want {
		t.Errorf("Commit of a touched record, twice in the batch = %+v, want %+v", got, want)
	}
	s = reopen(t, s, open)
	var got []string
	for _, d := range versions(t, s, "meridian", at(9)) {
		got = append(got, fmt.Sprint(d.Name, " ", d.Stamp, " ", d.Fields["exp_end_date"], " ", d.Seen.Sub(day)))
		if d.Owner != "ravi@meridian.example" || !d.Modified.Equal(day) || !d.Created.Equal(day.AddDate(0, -1, 0)) || d.Reconstructed || d.Hash == "" {
			t.Errorf("%s: Ref = %+v", d.Name, d.Ref)
		}
	}
	want := []string{
		"TASK-1 2026-11-20 10:00:00.000001 2026-11-20 0s",
		"TASK-1 2026-11-20 10:00:00.000001 2026-12-20 2m0s",
		"TASK-1 2026-11-23 07:00:00.000000 2026-12-20 3m0s",
		"TASK-2 s <nil> 0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Versions mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(due("2026-11-20"), versions(t, s, "meridian", at(0))[0].Fields); diff != "" {
		t.Errorf("Fields mismatch (-want +got):\n%s", diff)
	}
	heads := must[[]store.Head](t)(s.Heads(t.Context(), "meridian", "erp", "Task"))
	if len(heads) != 2 || heads[0].Name != "TASK-1" || heads[0].Stamp != touched.Stamp || heads[0].Version != 3 || !heads[0].Seen.Equal(at(3)) || len(heads[0].Hash) != 64 {
		t.Errorf("Heads = %+v", heads)
	}

	// A hash of the caller's own decides what is a change.
	hashed := task("TASK-3", "s", map[string]any{"a": "1"})
	hashed.Hash = "abc"
	commit(t, s, at(4), hashed)
	hashed.Fields = map[string]any{"a": "2"}
	if got, want := commit(t, s, at(5), hashed), (store.Committed{Unchanged: 1}); got != want {
		t.Errorf("Commit under the same hash = %+v, want %+v", got, want)
	}
}

func tombstones(t *testing.T, open Opener) {
	s := open(t)
	tomb := func(name, to string) evidence.Document {
		return evidence.Document{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: name}, Gone: true, RenamedTo: to}
	}
	commit(t, s, at(0), task("A", "1", map[string]any{"subject": "a"}), task("B", "1", nil))
	if got, want := commit(t, s, at(1), tomb("A", "A2"), tomb("never seen", "")), (store.Committed{Gone: 1, Unchanged: 1}); got != want {
		t.Errorf("Commit of tombstones = %+v, want %+v", got, want)
	}
	if got, want := commit(t, s, at(2), tomb("A", "A2")), (store.Committed{Unchanged: 1}); got != want {
		t.Errorf("Commit of the same tombstone = %+v, want %+v", got, want)
	}
	if heads := must[[]store.Head](t)(s.Heads(t.Context(), "meridian", "erp", "Task")); len(heads) != 1 || heads[0].Name != "B" {
		t.Errorf("Heads = %+v, want B alone", heads)
	}
	gone := versions(t, s, "meridian", at(5))[1]
	if !gone.Gone || gone.RenamedTo != "A2" || gone.Stamp != "1" || gone.Owner == "" || gone.Created.IsZero() || gone.Fields != nil || !gone.Seen.Equal(at(1)) {
		t.Errorf("tombstone = %+v", gone)
	}
	if got, want := commit(t, s, at(3), task("A", "1", map[string]any{"subject": "a"})), (store.Committed{New: 1}); got != want {
		t.Errorf("Commit of a record that is back = %+v, want %+v", got, want)
	}
	// Seen and gone within one batch.
	if got, want := commit(t, s, at(4), task("C", "1", nil), tomb("C", "")), (store.Committed{New: 1, Gone: 1}); got != want {
		t.Errorf("Commit of a record and its tombstone = %+v, want %+v", got, want)
	}
	if n := len(versions(t, s, "meridian", at(5))); n != 6 {
		t.Errorf("%d versions, want 6", n)
	}
}

func asOf(t *testing.T, open Opener) {
	s := open(t)
	old := task("OLD", "1", nil)
	old.Created = at(-1000)
	young := task("YOUNG", "1", nil)
	young.Created = at(5)
	undated := task("UNDATED", "1", nil)
	undated.Created = time.Time{}
	commit(t, s, at(10), old, young, undated)
	old.Stamp = "2"
	commit(t, s, at(20), old)
	// What a record of a deletion holds was there before it.
	deletion := task("X", "1", nil)
	deletion.Doctype, deletion.Created = "Deleted Document", at(30)
	commit(t, s, at(40), deletion)
	tests := []struct {
		at   int
		want string
	}{
		{-1001, "X/1~"},
		{-1000, "X/1~ OLD/1~"},
		{4, "X/1~ OLD/1~"},
		{5, "X/1~ OLD/1~ YOUNG/1~"},
		{10, "X/1~ OLD/1 UNDATED/1 YOUNG/1"},
		{19, "X/1~ OLD/1 UNDATED/1 YOUNG/1"},
		{20, "X/1~ OLD/1 OLD/2 UNDATED/1 YOUNG/1"},
		{40, "X/1 OLD/1 OLD/2 UNDATED/1 YOUNG/1"},
	}
	for _, tt := range tests {
		var got []string
		for _, d := range versions(t, s, "meridian", at(tt.at)) {
			mark := ""
			if d.Reconstructed {
				mark = "~"
			}
			got = append(got, d.Name+"/"+d.Stamp+mark)
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("as of minute %d: %q, want %q", tt.at, got, tt.want)
		}
	}
	if n := len(versions(t, s, "meridian", at(10).Add(-time.Microsecond))); n != 3 {
		t.Errorf("a microsecond before it was seen: %d versions, want the 3 reconstructed", n)
	}
}

func clockSetBack(t *testing.T, open Opener) {
	s := open(t)
	commit(t, s, at(10), task("A", "1", nil))
	commit(t, s, at(5), task("A", "2", nil))
	got := versions(t, s, "meridian", at(10))
	if len(got) != 2 || got[1].Stamp != "2" || !got[1].Seen.Equal(at(10)) {
		t.Errorf("versions = %+v, want the second held at the first one's instant", got)
	}
	if got := versions(t, s, "meridian", at(7)); len(got) != 1 || got[0].Stamp != "1" || !got[0].Reconstructed {
		t.Errorf("as of between: %+v, want the first version alone", got)
	}
}

func foreignText(t *testing.T, open Opener) {
	s := open(t)
	big := strings.Repeat("ü<&>\"", 200_000)
	odd := task("TASK/ä'%_\x00\xff\"", "1", map[string]any{
		"subject": "<script>\u2028\x00</script>", "description": big, "n": 1e300,
		"rows": []any{map[string]any{"date": "9999-12-31", "ok": true}},
	})
	odd.Modified = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	odd.Created = time.Date(1, 2, 3, 0, 0, 0, 0, time.UTC)
	commit(t, s, at(0), odd)
	if got, want := commit(t, s, at(1), odd), (store.Committed{Unchanged: 1}); got != want {
		t.Errorf("Commit of the same = %+v, want %+v", got, want)
	}
	got := versions(t, s, "meridian", at(1))
	if len(got) != 1 {
		t.Fatalf("%d versions, want 1", len(got))
	}
	if got, want := got[0].Name, "TASK/ä'%_\ufffd\ufffd\""; got != want {
		t.Errorf("Name = %q, want %q", got, want)
	}
	if diff := cmp.Diff(odd.Fields, got[0].Fields); diff != "" {
		t.Errorf("Fields mismatch (-want +got):\n%s", diff[:min(len(diff), 500)])
	}
	if !got[0].Modified.Equal(odd.Modified) || !got[0].Created.Equal(odd.Created) {
		t.Errorf("dates = %v, %v", got[0].Modified, got[0].Created)
	}
}

func batchIsWhole(t *testing.T, open Opener) {
	s := open(t)
	bad := task("B", "1", map[string]any{"f": func() {}}) // no JSON
	_, err := s.Commit(t.Context(), store.Batch{
		Partner: "meridian", Seen: at(0),
		Documents: []evidence.Document{task("A", "1", nil), bad},
		Cursors:   []store.Cursor{{Site: "erp", Stream: "Task", Stamp: "1"}},
	})
	if err == nil || !strings.Contains(err.Error(), `Task "B" of site erp`) {
		t.Errorf("Commit = %v, want an error that names the record", err)
	}
	for _, b := range []store.Batch{
		{Seen: at(0)},
		{Partner: "meridian"},
		{Partner: "meridian", Seen: at(0), Documents: []evidence.Document{{}}},
	} {
		if _, err := s.Commit(t.Context(), b); err == nil {
			t.Errorf("Commit(%+v) = nil, want an error", b)
		}
	}
	if n := len(versions(t, s, "meridian", at(1))); n != 0 {
		t.Errorf("%d versions after failed commits, want none", n)
	}
	if _, ok, err := s.Cursor(t.Context(), "meridian", "erp", "Task"); ok || err != nil {
		t.Errorf("Cursor = %v, %v after a failed commit, want none", ok, err)
	}
	commit(t, s, at(2), task("A", "1", nil)) // the store works on
}

func partners(t *testing.T, open Opener) {
	s := open(t)
	commit(t, s, at(0), task("A", "1", nil))
	_, err := s.Commit(t.Context(), store.Batch{Partner: "kepler", Seen: at(0), Documents: []evidence.Document{task("A", "other", nil)}})
	check(t, err)
	for partner, want := range map[string]string{"meridian": "1", "kepler": "other"} {
		if got := versions(t, s, partner, at(1)); len(got) != 1 || got[0].Stamp != want {
			t.Errorf("versions of %s = %+v, want stamp %q alone", partner, got, want)
		}
	}
	if got := versions(t, s, "nobody", at(1)); len(got) != 0 {
		t.Errorf("versions of nobody = %+v", got)
	}
}

// manyVersions crosses the pages in which versions are read, with records whose
// versions lie on both sides.
func manyVersions(t *testing.T, open Opener) {
	s := open(t)
	const records, rounds = 310, 8
	for r := range rounds {
		var docs []evidence.Document
		for i := range records {
			docs = append(docs, task(fmt.Sprintf("T-%04d", i), fmt.Sprint(r), nil))
		}
		commit(t, s, at(r), docs...)
	}
	for _, upTo := range []int{-1, 0, 4, rounds - 1} {
		count := map[string]int{}
		for _, d := range versions(t, s, "meridian", at(upTo)) {
			if want := fmt.Sprint(count[d.Name]); d.Stamp != want {
				t.Fatalf("as of %d: %s version %s, want %s", upTo, d.Name, d.Stamp, want)
			}
			count[d.Name]++
		}
		if len(count) != records {
			t.Errorf("as of %d: %d records, want %d", upTo, len(count), records)
		}
		for name, n := range count {
			if n != max(upTo+1, 1) {
				t.Fatalf("as of %d: %d versions of %s, want %d", upTo, n, name, max(upTo+1, 1))
			}
		}
	}
	// Other calls, writing ones too, may be made while it runs; it may be left.
	for d, err := range s.Versions(t.Context(), "meridian", at(rounds)) {
		check(t, err)
		commit(t, s, at(rounds+1), task(d.Name, "later", nil))
		if d.Name == "T-0003" {
			break
		}
	}
}

func cursors(t *testing.T, open Opener) {
	s := open(t)
	c := store.Cursor{Site: "erp", Stream: "Task", Stamp: "2026-11-20 10:00:00.000001", Name: "T'1", Fields: "d", LastSuccess: at(1)}
	put := func(cs ...store.Cursor) {
		t.Helper()
		_, err := s.Commit(t.Context(), store.Batch{Partner: "meridian", Seen: at(0), Cursors: cs})
		check(t, err)
	}
	put(c, store.Cursor{Site: "crm", Stream: "Lead"})
	c.LastComplete = at(2)
	put(c)
	s = reopen(t, s, open)
	got, ok, err := s.Cursor(t.Context(), "meridian", "erp", "Task")
	check(t, err)
	if diff := cmp.Diff(c, got); diff != "" || !ok {
		t.Errorf("Cursor ok = %v, mismatch (-want +got):\n%s", ok, diff)
	}
	if _, ok, err := s.Cursor(t.Context(), "kepler", "erp", "Task"); ok || err != nil {
		t.Errorf("Cursor of another partner = %v, %v, want none", ok, err)
	}
	all := must[[]store.Cursor](t)(s.Cursors(t.Context(), "meridian"))
	if len(all) != 2 || all[0].Site != "crm" || all[1] != c {
		t.Errorf("Cursors = %+v", all)
	}
}

// shuffled: the order in which records arrive within a read changes nothing.
func shuffled(t *testing.T, open Opener) {
	s := open(t)
	r := rand.New(rand.NewPCG(1, 2))
	var docs []evidence.Document
	for i := range 300 {
		d := task(fmt.Sprintf("T-%d", i), fmt.Sprint(r.IntN(9)), map[string]any{"n": float64(i), "b": "x", "a": map[string]any{"z": 1.0, "y": nil}})
		d.Site = []string{"erp", "crm"}[i%2]
		d.Doctype = []string{"Task", "Issue", "Ä"}[i%3]
		docs = append(docs, d)
	}
	dump := func(partner string) string {
		b, err := json.Marshal(versions(t, s, partner, at(1)))
		check(t, err)
		return string(b)
	}
	var want string
	for i := range 4 {
		partner := fmt.Sprint("p", i)
		for j := 0; j < len(docs); {
			n := min(1+r.IntN(90), len(docs)-j)
			_, err := s.Commit(t.Context(), store.Batch{Partner: partner, Seen: at(0), Documents: docs[j : j+n]})
			check(t, err)
			j += n
		}
		if got := dump(partner); i == 0 {
			want = got
		} else if got != want {
			t.Errorf("order %d gives other versions", i)
		}
		r.Shuffle(len(docs), func(a, b int) { docs[a], docs[b] = docs[b], docs[a] })
	}
}

// cancelled: a call given up leaves nothing behind and the store usable.
func cancelled(t *testing.T, open Opener) {
	s := open(t)
	commit(t, s, at(0), task("A", "1", nil))
	_, err := s.Commit(canceledContext(t), store.Batch{Partner: "meridian", Seen: at(1), Documents: []evidence.Document{task("B", "1", nil)}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want context.Canceled", err)
	}
	for _, err := range s.Versions(canceledContext(t), "meridian", at(1)) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Versions = %v, want context.Canceled", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	docs := make([]evidence.Document, 3000)
	for i := range docs {
		docs[i] = task(fmt.Sprint("C", i), "1", map[string]any{"stop": stopper{i == 2000, cancel}})
	}
	if _, err := s.Commit(ctx, store.Batch{Partner: "meridian", Seen: at(1), Documents: docs}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit cancelled in the middle = %v, want context.Canceled", err)
	}
	if got := versions(t, s, "meridian", at(2)); len(got) != 1 {
		t.Errorf("%d versions, want the first alone", len(got))
	}
	commit(t, s, at(2), task("B", "1", nil))
}

// stopper cancels a context while it is written as JSON.
type stopper struct {
	stop   bool
	cancel context.CancelFunc
}

func (s stopper) MarshalJSON() ([]byte, error) {
	if s.stop {
		s.cancel()
	}
	return []byte("1"), nil
}

// captureLog: each commit that stores something is a leaf; a kept head and a
// proof hold for ever after.
func captureLog(t *testing.T, open Opener) {
	s := open(t)
	head := func() store.LogHead {
		t.Helper()
		return must[store.LogHead](t)(s.LogHead(t.Context()))
	}
	if got := head(); got != (store.LogHead{}) {
		t.Errorf("LogHead of an empty log = %+v", got)
	}
	check(t, s.VerifyLog(t.Context(), store.LogHead{}))
	var heads []store.LogHead
	for i := range 9 {
		commit(t, s, at(i), task("A", fmt.Sprint(i), map[string]any{"i": float64(i)}), task(fmt.Sprint("B", i), "1", nil))
		commit(t, s, at(i), task("A", fmt.Sprint(i), map[string]any{"i": float64(i)})) // nothing new: no leaf
		heads = append(heads, head())
	}
	commit(t, s, at(10), evidence.Document{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: "B0"}, Gone: true})
	commit(t, s, at(2), task("A", "late", nil)) // under a clock set back
	s = reopen(t, s, open)
	if got := head(); got.Size != 11 {
		t.Errorf("Size = %d, want 11", got.Size)
	}
	check(t, s.VerifyLog(t.Context(), heads...))
	n := 0
	for _, d := range versions(t, s, "meridian", at(20)) {
		p, err := s.Prove(t.Context(), "meridian", d.Ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); err != nil || p.Head != head() {
			t.Errorf("proof of %s %s: %v", d.Name, d.Stamp, err)
		}
		for what, bend := range map[string]func(p *store.Proof){
			"capture": func(p *store.Proof) { p.Capture = "-" + p.Capture[1:] },
			"none":    func(p *store.Proof) { p.Capture = "" },
			"header":  func(p *store.Proof) { p.Capture, _, _ = strings.Cut(p.Leaf, "\n") },
			"leaf":    func(p *store.Proof) { p.Leaf += "\nx"; p.Capture = "x" },
			"path":    func(p *store.Proof) { p.Hashes = p.Hashes[1:] },
			"root":    func(p *store.Proof) { p.Head.Root = heads[0].Root },
			"no root": func(p *store.Proof) { p.Head.Root = "" },
		} {
			bent := p
			bend(&bent)
			if err := bent.Check(); !errors.Is(err, store.ErrTampered) {
				t.Errorf("Check of a proof with another %s = %v, want ErrTampered", what, err)
			}
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d versions proven, want 20", n)
	}
	if _, err := s.Prove(t.Context(), "kepler", versions(t, s, "meridian", at(20))[0].Ref); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Prove for another partner = %v, want ErrNotFound", err)
	}
	other := heads[3]
	other.Root = heads[4].Root
	for _, kept := range []store.LogHead{other, {Size: 12, Root: heads[0].Root}} {
		if err := s.VerifyLog(t.Context(), kept); !errors.Is(err, store.ErrTampered) {
			t.Errorf("VerifyLog(%+v) = %v, want ErrTampered", kept, err)
		}
	}
	// A cut removes captures, never what the log says of them.
	_, err := s.Retain(t.Context(), store.Retention{Captures: at(5)})
	check(t, err)
	check(t, s.VerifyLog(t.Context(), heads...))
}
