package rules_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

func refs(doctype string, n int) []evidence.Ref {
	out := make([]evidence.Ref, n)
	for i := range out {
		out[i] = evidence.Ref{Site: "erp", Doctype: doctype, Name: fmt.Sprintf("%s-%03d", doctype, i)}
	}
	return out
}

func drawnNames(s rules.Sample) []string {
	var out []string
	for _, it := range s.Items {
		out = append(out, it.Ref.Name)
	}
	return out
}

// Over 10,000 seeds every record is drawn equally often: with 19 degrees of
// freedom chi-squared stays under 43.8 in 999 of 1,000 fair draws.
func TestDrawIsUniform(t *testing.T) {
	t.Parallel()
	const draws, population, size = 10_000, 20, 5
	pop := refs("Project", population)
	count := make(map[string]int)
	for i := range draws {
		seed := binary.BigEndian.AppendUint64(nil, uint64(i))
		for _, n := range drawnNames(rules.Draw(seed, pop, size, nil)) {
			count[n]++
		}
	}
	want := float64(draws*size) / population
	chi := 0.0
	for _, r := range pop {
		d := float64(count[r.Name]) - want
		chi += d * d / want
	}
	// A draw without putting back varies less than the plain test supposes.
	chi *= float64(population-1) / float64(population-size)
	if chi > 43.8 {
		t.Errorf("chi-squared = %.1f over %d draws, want at most 43.8: %v", chi, draws, count)
	}
}

func TestDrawIsReproducible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pop := refs("Project", rapid.IntRange(0, 60).Draw(t, "population"))
		seed := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "seed")
		n := rapid.IntRange(-3, 70).Draw(t, "n")
		want := rules.Draw(seed, pop, n, nil)
		shuffled := append(slices.Clone(pop), pop...) // twice over, in another order
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 1))
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(want, rules.Draw(seed, shuffled, n, nil)); diff != "" {
			t.Fatalf("the same draw from a shuffled population (-want +got):\n%s", diff)
		}
		if size := min(max(n, rules.MinSample), len(pop)); len(want.Items) != size || want.Population != len(pop) {
			t.Fatalf("%d items of %d, want %d of %d", len(want.Items), want.Population, size, len(pop))
		}
		if err := want.Verify(seed); err != nil {
			t.Fatalf("Verify: %v", err)
		}
		if err := want.Verify(append(slices.Clone(seed), 0)); err == nil {
			t.Fatal("another seed verifies")
		}
	})
}

func TestDrawPrefers(t *testing.T) {
	t.Parallel()
	pop := refs("Ticket", 40)
	liked := func(r evidence.Ref) bool { return r.Name == "Ticket-007" || r.Name == "Ticket-031" }
	s := rules.Draw([]byte("seed"), pop, 5, liked)
	got := drawnNames(s)
	if len(got) != 5 || !slices.Contains(got[:2], "Ticket-007") || !slices.Contains(got[:2], "Ticket-031") {
		t.Errorf("drew %v, want the two liked ones first and three others", got)
	}
	plain := drawnNames(rules.Draw([]byte("seed"), pop, 40, nil))
	plain = slices.DeleteFunc(plain, func(n string) bool { return n == "Ticket-007" || n == "Ticket-031" })
	if diff := cmp.Diff(plain[:3], got[2:]); diff != "" {
		t.Errorf("the rest is not in drawing order (-want +got):\n%s", diff)
	}
	if err := s.Verify([]byte("seed")); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

// Edge case 14: fewer than two are taken whole.
func TestDrawSmallPopulations(t *testing.T) {
	t.Parallel()
	for population, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 2} {
		s := rules.Draw([]byte("s"), refs("Project", population), 1, nil)
		if len(s.Items) != want || s.Population != population || len(s.Names) != population {
			t.Errorf("of %d drew %d, want %d", population, len(s.Items), want)
		}
	}
}

func TestSampleIsFrozen(t *testing.T) {
	t.Parallel()
	pop := refs("Project", 10)
	s := rules.Draw([]byte("one"), pop, 3, nil)
	if len(s.Items) != 3 {
		t.Fatalf("drawn = %+v", s)
	}
	extra := evidence.Ref{Site: "erp", Doctype: "Project", Name: "PROJ/9"}
	if _, err := rules.AddToSample(s, extra, "Nine", "  "); !errors.Is(err, rules.ErrNoReason) {
		t.Errorf("adding without a reason: %v, want ErrNoReason", err)
	}
	more, err := rules.AddToSample(s, extra, "Nine", "the customer asked about it")
	if err != nil || len(more.Items) != 4 || !more.Items[3].Added || more.Items[3].Reason == "" || len(s.Items) != 3 {
		t.Fatalf("AddToSample = %+v, %v; the first had %d items", more.Items, err, len(s.Items))
	}
	if _, err := rules.AddToSample(more, extra, "Nine", "again"); err == nil {
		t.Error("the same item is added twice")
	}
	if err := more.Verify([]byte("one")); err != nil {
		t.Errorf("Verify after adding: %v", err)
	}
	less, err := rules.RemoveFromSample(more, more.Items[0].Ref, "merged with another")
	if err != nil || len(less.Items) != 4 || len(less.Judged()) != 3 || more.Items[0].Removed {
		t.Errorf("RemoveFromSample = %+v, %v", less.Items, err)
	}
	if _, err := rules.RemoveFromSample(more, more.Items[0].Ref, ""); !errors.Is(err, rules.ErrNoReason) {
		t.Errorf("removing without a reason: %v, want ErrNoReason", err)
	}
	if _, err := rules.RemoveFromSample(s, extra, "not there"); err == nil {
		t.Error("an item that is not in the sample is removed")
	}
	open, err := more.Reveal([]byte("one"))
	if err != nil || open.Seed != "6f6e65" || more.Seed != "" {
		t.Errorf("Reveal = %q, %v", open.Seed, err)
	}
	if _, err := more.Reveal([]byte("two")); err == nil {
		t.Error("a wrong seed is revealed")
	}
}

func TestSampleVerifySeesEveryChange(t *testing.T) {
	t.Parallel()
	seed := []byte("seed")
	tests := []struct {
		name   string
		change func(*rules.Sample)
	}{
		{"another hash", func(s *rules.Sample) { s.SeedHash = rules.SeedHash([]byte("x")) }},
		{"one name less", func(s *rules.Sample) { s.Names = s.Names[1:] }},
		{"two names swapped", func(s *rules.Sample) { s.Names[0], s.Names[1] = s.Names[1], s.Names[0] }},
		{"one name doubled", func(s *rules.Sample) { s.Names[1] = s.Names[0] }},
		{"an item from elsewhere", func(s *rules.Sample) { s.Items[0].Ref.Name = "Other" }},
		{"added without a reason", func(s *rules.Sample) { s.Items[0].Added = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := rules.Draw(seed, refs("Project", 8), 3, nil)
			if err := s.Verify(seed); err != nil {
				t.Fatal(err)
			}
			tt.change(&s)
			if err := s.Verify(seed); err == nil {
				t.Error("Verify = nil")
			}
		})
	}
}

func day(y int, m time.Month, d int) evidence.Date { return evidence.NewDate(y, m, d) }

func TestProjectPopulation(t *testing.T) {
	t.Parallel()
	asOf := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	project := func(name, status, customer string) evidence.Project {
		return evidence.Project{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: name, Modified: asOf.AddDate(0, -1, 0)}, Status: status, Customer: customer, Title: name}
	}
	typed := project("internal by type", "Open", "Ours")
	typed.Internal = true
	s := &evidence.Snapshot{
		AsOf: asOf, Zone: "UTC",
		Projects: []evidence.Project{
			project("open", "Open", "A"), project("done lately", "Completed", "B"), project("done long ago", "Completed", "C"),
			project("no customer", "Open", ""), typed, project("cancelled, invoiced", "Cancelled", "D"),
			project("cancelled, never invoiced", "Cancelled", "E"), project("cancelled, only a draft", "Cancelled", "F"),
		},
		Tasks: []evidence.Task{
			{Ref: evidence.Ref{Site: "erp", Name: "1"}, Project: "done long ago", Completed: day(2025, 11, 19)},
			{Ref: evidence.Ref{Site: "erp", Name: "2"}, Project: "done lately", Completed: day(2025, 11, 20)},
		},
		Invoices: []evidence.Invoice{
			{Ref: evidence.Ref{Site: "erp"}, Projects: []string{"cancelled, invoiced"}, Submitted: true},
			{Ref: evidence.Ref{Site: "erp"}, Projects: []string{"cancelled, only a draft"}},
			{Ref: evidence.Ref{Site: "erp"}, Projects: []string{"cancelled, never invoiced"}, Submitted: true, Return: true},
			{Ref: evidence.Ref{Site: "other"}, Projects: []string{"cancelled, never invoiced"}, Submitted: true},
		},
	}
	names := func() (out []string) {
		pop, _ := rules.ProjectPopulation(s)
		for _, r := range pop {
			out = append(out, r.Name)
		}
		return out
	}
	if diff := cmp.Diff([]string{"open", "done lately", "cancelled, invoiced"}, names()); diff != "" {
		t.Errorf("population (-want +got):\n%s", diff)
	}
	if _, out := rules.ProjectPopulation(s); out != 4 {
		t.Errorf("%d left out, want 4", out)
	}
	s.Gaps = []evidence.Gap{{Site: "erp", Stream: "Sales Invoice", Kind: evidence.Forbidden}}
	if got := names(); !slices.Contains(got, "cancelled, never invoiced") {
		t.Errorf("with invoices unreadable: %v, want the cancelled ones kept", got)
	}
}

func TestSamplesPreferTheSampledProjects(t *testing.T) {
	t.Parallel()
	asOf := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ref := func(doctype, name string) evidence.Ref {
		return evidence.Ref{Site: "erp", Doctype: doctype, Name: name, Modified: asOf.AddDate(0, 0, -3)}
	}
	s := &evidence.Snapshot{Partner: "acme", AsOf: asOf, Zone: "UTC"}
	for i := range 4 {
		n := fmt.Sprint(i)
		s.Projects = append(s.Projects, evidence.Project{Ref: ref("Project", "P"+n), Status: "Open", Customer: "C" + n, SalesOrder: "O" + n, Title: "Project " + n})
		s.Orders = append(s.Orders, evidence.Order{Ref: ref("Sales Order", "O"+n), Quotations: []string{"Q" + n}, Submitted: true})
		s.Quotations = append(s.Quotations, evidence.Quotation{Ref: ref("Quotation", "Q"+n), Party: "L" + n, Submitted: true, Won: day(2026, 11, 1)})
		s.Tickets = append(s.Tickets, evidence.Ticket{Ref: ref("Issue", "T"+n), Customer: "C" + n, Closed: true, Resolved: asOf.AddDate(0, 0, -2), Subject: "Ticket " + n})
	}
	for i := range 40 {
		n := fmt.Sprintf("%02d", i)
		s.Quotations = append(s.Quotations, evidence.Quotation{Ref: ref("Quotation", "X"+n), Party: "Y", Submitted: true, Lost: day(2026, 11, 1)})
		s.Tickets = append(s.Tickets, evidence.Ticket{Ref: ref("Issue", "X"+n), Closed: true, Resolved: asOf.AddDate(0, 0, -2)})
	}
	s.Tickets = append(s.Tickets,
		evidence.Ticket{Ref: ref("Issue", "old"), Closed: true, Resolved: asOf.AddDate(0, 0, -91)},
		evidence.Ticket{Ref: ref("Issue", "open")},
		evidence.Ticket{Ref: ref("Issue", "merged"), Closed: true, Merged: true, Resolved: asOf.AddDate(0, 0, -2)},
		evidence.Ticket{Ref: ref("Issue", "no date"), Closed: true})
	got := rules.Samples(s, []byte("seed"), 2)
	if len(got) != 3 || got[0].Stream != "Project" || got[1].Stream != "Deal" || got[2].Stream != "Ticket" {
		t.Fatalf("samples: %+v", got)
	}
	if got[1].Population != 44 || got[2].Population != 45 {
		t.Errorf("populations %d and %d, want 44 deals and 45 tickets", got[1].Population, got[2].Population)
	}
	digits := func(s rules.Sample, prefix string) (out []string) {
		for _, n := range drawnNames(s) {
			out = append(out, strings.TrimPrefix(n, prefix))
		}
		slices.Sort(out)
		return out
	}
	want := digits(got[0], "P")
	if diff := cmp.Diff(want, digits(got[1], "Q")); diff != "" {
		t.Errorf("deals are not those of the projects drawn (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, digits(got[2], "T")); diff != "" {
		t.Errorf("tickets are not those of the projects drawn (-want +got):\n%s", diff)
	}
	if it := got[0].Items[0]; it.Label != "Project "+strings.TrimPrefix(it.Ref.Name, "P") || !got[0].Complete {
		t.Errorf("item %+v of a complete %v sample", it, got[0].Complete)
	}
}

// The month decides the continuous sample; a hidden row makes it incomplete.
func TestContinuousSamples(t *testing.T) {
	t.Parallel()
	s := &evidence.Snapshot{Partner: "acme", AsOf: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC), Zone: "UTC"}
	for i := range 50 {
		s.Projects = append(s.Projects, evidence.Project{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: fmt.Sprint("P", i)}, Status: "Open", Customer: "C"})
	}
	first := rules.ContinuousSamples(s)[0]
	s.AsOf = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	later := rules.ContinuousSamples(s)[0]
	if len(first.Items) != rules.MaxContinuous || cmp.Diff(first.Items, later.Items) != "" {
		t.Errorf("%d items, and the same through the month: %v", len(first.Items), cmp.Diff(first.Items, later.Items) == "")
	}
	s.AsOf = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	s.Gaps = []evidence.Gap{{Site: "erp", Stream: "Project", Kind: evidence.Hidden}}
	next := rules.ContinuousSamples(s)[0]
	if cmp.Diff(first.Items, next.Items) == "" {
		t.Error("the next month draws the same items")
	}
	if next.Complete || !first.Complete {
		t.Errorf("complete: %v with hidden rows, %v without", next.Complete, first.Complete)
	}
	other := rules.ContinuousSeed("other", evidence.Month{Year: 2026, Month: 11})
	if slices.Equal(other, rules.ContinuousSeed("acme", evidence.Month{Year: 2026, Month: 11})) {
		t.Error("two partners have the same seed")
	}
}

// A deal is in the population once: by its quotation where there is one.
func TestDealPopulation(t *testing.T) {
	t.Parallel()
	s := &evidence.Snapshot{AsOf: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Zone: "UTC"}
	ref := func(doctype, name string) evidence.Ref {
		return evidence.Ref{Site: "erp", Doctype: doctype, Name: name, Modified: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	}
	on, old := day(2026, 8, 22), day(2026, 8, 21) // 90 and 91 days ago
	s.Deals = []evidence.Deal{
		{Ref: ref("CRM Deal", "won"), Won: true, Closed: on, Quotations: []string{"of the CRM deal"}},
		{Ref: ref("CRM Deal", "too old"), Won: true, Closed: old},
		{Ref: ref("CRM Deal", "open")},
		{Ref: ref("CRM Deal", "lost without a date"), Lost: true},
		{Ref: ref("Opportunity", "quoted"), Won: true, Closed: on, Quotations: []string{"of the opportunity"}},
		{Ref: ref("Opportunity", "quoted, says the quotation"), Lost: true, Closed: on},
		{Ref: ref("Opportunity", "never quoted"), Lost: true, Closed: on},
		{Ref: ref("Quotation", "mapped as a deal"), Won: true, Closed: on},
	}
	s.Quotations = []evidence.Quotation{
		{Ref: ref("Quotation", "of the CRM deal"), Won: on},
		{Ref: ref("Quotation", "of the opportunity"), Won: on, Deal: "quoted"},
		{Ref: ref("Quotation", "of the other opportunity"), Status: "Lost", Deal: "quoted, says the quotation"},
		{Ref: ref("Quotation", "cancelled"), Won: on, Cancelled: true},
		{Ref: ref("Quotation", "open"), Status: "Open"},
		{Ref: ref("Quotation", "mapped as a deal"), Won: on},
	}
	var got []string
	for _, r := range rules.DealPopulation(s) {
		got = append(got, r.Name)
	}
	slices.Sort(got)
	want := []string{"lost without a date", "mapped as a deal", "never quoted", "of the opportunity", "of the other opportunity", "won"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("population (-want +got):\n%s", diff)
	}
}
