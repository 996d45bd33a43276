package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

// ledger stands for the PRM: what was planned is there the next time, as the
// store returns it.
type ledger struct {
	t    *testing.T
	in   plan.Input
	rows []plan.Known
}

func newLedger(t *testing.T) *ledger {
	in := input()
	in.Assessments = append(in.Assessments, rules.Assessment{Key: "acme-audit-adt-0001", Partner: "acme", Kind: rules.Audit, AsOf: now, Target: rules.Target{Record: "ADT-0001", Level: 4}})
	return &ledger{t: t, in: in}
}

// cycle plans from the pieces and returns what is new, as "criterion name: status".
func (l *ledger) cycle(pieces []rules.Piece, gone ...evidence.Deletion) []string {
	l.t.Helper()
	l.in.Now = l.in.Now.Add(time.Hour)
	l.in.Captured = l.rows
	l.in.Collected = []plan.Collected{{Assessment: l.in.Assessments[1], Pieces: pieces, Deleted: gone}}
	var out []string
	for _, c := range plan.Diff(plan.Wanted(l.in), l.find, l.in.Now) {
		if c.Doctype != plan.DoctypeEvidence {
			continue
		}
		if c.Op != plan.Insert {
			l.t.Errorf("%s of evidence: it is only ever added", c.Op)
		}
		body, err := json.Marshal(c.Fields)
		if err != nil {
			l.t.Fatal(err)
		}
		k := plan.Known{Doctype: c.Doctype, Key: c.Name, Name: c.Name, Written: c.Planned}
		if err := json.Unmarshal(body, &k.Fields); err != nil {
			l.t.Fatal(err)
		}
		l.rows = append(l.rows, k)
		out = append(out, fmt.Sprintf("%s %s: %s", k.Fields["criterion"], k.Fields["source_name"], k.Fields["status"]))
	}
	slices.Sort(out)
	return out
}

func (l *ledger) find(doctype, key string) (plan.Known, bool) {
	for _, k := range l.rows {
		if k.Doctype == doctype && k.Key == key {
			return k, true
		}
	}
	return plan.Known{}, false
}

func (l *ledger) row(status string) map[string]any {
	for _, k := range slices.Backward(l.rows) {
		if k.Fields["status"] == status {
			return k.Fields
		}
	}
	l.t.Fatalf("no row is %s", status)
	return nil
}

func piece(name, hash, criterion string) rules.Piece {
	return rules.Piece{
		Ref: evidence.Ref{
			Site: "erp", Doctype: "Task", Name: name, Hash: hash, Owner: "a@acme.example", Created: now.Add(-48 * time.Hour), Modified: now.Add(-24 * time.Hour), Seen: now.Add(-time.Hour),
		},
		Label: "BRD <signed>", Kind: rules.PieceSignOff, Criterion: criterion, Department: evidence.Implementation, Effect: rules.Supports,
	}
}

func deleted(name string) evidence.Deletion {
	return evidence.Deletion{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: name, Created: now}, At: now.Add(time.Minute), By: "b@acme.example"}
}

func wantRows(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEvidenceIsWrittenOnceAndKeepsItsHistory(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	both := func(hash string) []rules.Piece {
		return []rules.Piece{piece("T1", hash, "impl.followed"), piece("T2", "b", "")}
	}
	wantRows(t, "first", l.cycle(both("a")), "impl.followed T1: Clean", "sample T2: Clean")
	wantRows(t, "nothing new", l.cycle(both("a")))
	wantRows(t, "edited", l.cycle(both("a2")), "impl.followed T1: Changed")
	if row := l.row(plan.IntegrityChanged); row["previous_hash"] != "a" || row["content_hash"] != "a2" {
		t.Errorf("what it was is not said: %v", row)
	}
	wantRows(t, "still edited", l.cycle(both("a2")))
	wantRows(t, "named by another statement too", l.cycle(append(both("a2"), piece("T1", "a2", "impl.plan"))), "impl.plan T1: Changed")
	wantRows(t, "unreadable for a while", l.cycle(nil))
	wantRows(t, "gone", l.cycle(both("a2")[1:], deleted("T1")), "impl.followed T1: Missing", "impl.plan T1: Missing")
	if row := l.row(plan.IntegrityMissing); row["previous_hash"] != "a2" || row["source_url"] != "https://erp.acme.example/app/task/T1" || !strings.Contains(fmt.Sprint(row["excerpt"]), "b@acme.example") {
		t.Errorf("what was there is not said: %v", row)
	}
	wantRows(t, "still gone", l.cycle(both("a2")[1:], deleted("T1"), deleted("never captured")))
	wantRows(t, "back with other content", l.cycle(both("a3")), "impl.followed T1: Changed")
}

func TestEvidenceOfARenamedRecordGoesOn(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.cycle([]rules.Piece{piece("T1", "a", "impl.followed")})
	moved := deleted("T1")
	moved.RenamedTo = "T9"
	wantRows(t, "renamed", l.cycle([]rules.Piece{piece("T9", "a", "impl.followed")}, moved), "impl.followed T9: Clean")
	moved.RenamedTo = "T10"
	wantRows(t, "renamed and edited", l.cycle([]rules.Piece{piece("T10", "x", "impl.followed")}, moved), "impl.followed T10: Changed")
}

func TestIntegrityFollowsCutoffAndSignals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(*rules.Piece)
		want string
	}{
		"as found":                 {func(*rules.Piece) {}, plan.IntegrityClean},
		"after the cutoff":         {func(p *rules.Piece) { p.Late = true }, plan.IntegrityLate},
		"late outweighs a signal":  {func(p *rules.Piece) { p.Late, p.Signal = true, rules.SignalBackdated }, plan.IntegrityLate},
		"changed after the cutoff": {func(p *rules.Piece) { p.ChangedAfter = true }, plan.IntegrityChanged},
		"a proof exchanged":        {func(p *rules.Piece) { p.Signal = rules.SignalSignOffReplaced }, plan.IntegrityChanged},
		"entered afterwards":       {func(p *rules.Piece) { p.Signal = rules.SignalBackdated }, plan.IntegrityBackfilled},
		"typed in one go":          {func(p *rules.Piece) { p.Signal = rules.SignalReportsAtOnce }, plan.IntegrityBackfilled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			p := piece("T1", "a", "impl.followed")
			tt.edit(&p)
			wantRows(t, name, l.cycle([]rules.Piece{p}), "impl.followed T1: "+tt.want)
		})
	}
}

func TestContinuousAssessmentsHaveNoEvidenceRecords(t *testing.T) {
	t.Parallel()
	in := input()
	in.Assessments[0].Verdicts[0].Evidence = []evidence.Ref{piece("T1", "a", "").Ref}
	for _, r := range plan.Wanted(in) {
		if r.Doctype == plan.DoctypeEvidence {
			t.Errorf("%s", r.Reason)
		}
	}
}

func TestTextsOfEvidenceAreSafeAndBounded(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	p := piece("T1", "a", "impl.followed")
	p.Label, p.Of = strings.Repeat("<b>ä\n", 200), "<i>"
	p.Ref.Name = strings.Repeat("x", 600)
	other := piece("C1", "", "gen.certified")
	other.Ref.Site = "prm"
	l.cycle([]rules.Piece{p, other})
	for _, k := range l.rows {
		for f, v := range k.Fields {
			s, _ := v.(string)
			if strings.ContainsAny(s, "<>\n") || f != "excerpt" && len([]rune(s)) > 140 && f != "source_url" {
				t.Errorf("%s = %q", f, s)
			}
		}
		if k.Fields["source_url"] != nil {
			t.Errorf("an address that does not fit was sent: %v", k.Fields["source_url"])
		}
		if !json.Valid([]byte(fmt.Sprint(k.Fields["excerpt"]))) {
			t.Errorf("no JSON: %v", k.Fields["excerpt"])
		}
	}
	if l.rows[0].Fields["site"] != "acme-erp" || l.rows[1].Fields["site"] != nil {
		t.Errorf("sites %v, %v", l.rows[0].Fields["site"], l.rows[1].Fields["site"])
	}
}

// The bound is said, and what was captured once is followed however much comes.
func TestABoundOnEvidenceIsSaid(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	many := make([]rules.Piece, plan.MaxPieces+25)
	for i := range many {
		many[i] = piece(fmt.Sprintf("T%04d", i), "a", "impl.followed")
	}
	if n := len(l.cycle(many)); n != plan.MaxPieces {
		t.Fatalf("%d records, want %d", n, plan.MaxPieces)
	}
	summary := func() string {
		for _, r := range plan.Wanted(l.in) {
			if r.Doctype == plan.DoctypeAssessment && r.Key == "acme-audit-adt-0001" {
				return fmt.Sprint(r.Fields["summary"])
			}
		}
		return ""
	}
	if want := fmt.Sprintf("25 of %d pieces of evidence are not listed: at most %d are.", len(many), plan.MaxPieces); !strings.Contains(summary(), want) {
		t.Errorf("summary %q lacks %q", summary(), want)
	}
	wantRows(t, "the same again", l.cycle(many))
	slices.Reverse(many) // other pieces come first now: those captured stay
	wantRows(t, "in another order", l.cycle(many))
	for round := range 3 {
		for i := range many {
			many[i].Ref.Hash = fmt.Sprint("v", round)
		}
		l.cycle(many)
	}
	if len(l.rows) != plan.MaxCaptures {
		t.Errorf("%d records, want no more than %d", len(l.rows), plan.MaxCaptures)
	}
	if !strings.Contains(summary(), "later versions of evidence are not listed") {
		t.Errorf("summary %q", summary())
	}
}

func TestWhatAnItemLacksIsSaidInTheAssessment(t *testing.T) {
	t.Parallel()
	in := newLedger(t).in
	in.Assessments[1].Collected = []rules.Collection{{
		Stream: "Project", Item: evidence.Ref{Site: "erp", Doctype: "Project", Name: "P1"}, Label: "Kranz rollout", Late: 1,
		Counts:  map[rules.PieceKind]int{rules.PieceProject: 1, rules.PieceDocument: 3, rules.PieceSignOff: 1},
		Lacking: []rules.Lack{{Kind: rules.PieceMail, Reason: "none was found"}},
	}}
	for _, r := range plan.Wanted(in) {
		if r.Doctype == plan.DoctypeAssessment && r.Key == "acme-audit-adt-0001" {
			want := "Project Kranz rollout: 3 documents, 1 sign-off; 1 after the cutoff; lacking: mails (none was found)"
			if got := fmt.Sprint(r.Fields["sample_note"]); got != want {
				t.Errorf("note %q, want %q", got, want)
			}
		}
	}
}

// A frozen verdict may rest on a record that its site has deleted since.
func TestARecordThatIsGoneIsNotCapturedAsIfItWereThere(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.cycle([]rules.Piece{piece("T1", "a", "impl.followed")})
	gone := piece("T1", "a", "impl.followed")
	gone.Gone = true
	other := piece("T2", "b", "impl.followed")
	other.Gone = true
	wantRows(t, "one captured before, one not", l.cycle([]rules.Piece{gone, other}, deleted("T1"), deleted("T2")), "impl.followed T1: Missing", "impl.followed T2: Missing")
	wantRows(t, "the same again", l.cycle([]rules.Piece{gone, other}, deleted("T1"), deleted("T2")))
}
