package rules

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/evidence"
)

const (
	// MinSample is the least number of projects, deals or tickets that an audit
	// looks at (S35); a smaller population is taken whole and judged by a person.
	MinSample = 2
	// MaxContinuous is the most that the continuous sample of a month holds.
	MaxContinuous = 20

	// finishedWithin is how long a finished project stays in the population, in
	// months; closedWithin the same for deals and tickets, in days. House defaults.
	finishedWithin = 12
	closedWithin   = 90
)

// ErrNoReason says that a person changed a sample without saying why.
var ErrNoReason = errors.New("say why: a change to a drawn sample needs a reason")

// SourceKey is how a record is named in a draw: site/doctype/name. Sites and
// doctypes hold no slash, so the key is the record's alone.
func SourceKey(r evidence.Ref) string { return r.Site + "/" + r.Doctype + "/" + r.Name }

// ContinuousSeed returns the seed of a partner's sample of one month, so that
// between audits everybody draws the same items from the same population.
func ContinuousSeed(partner string, month evidence.Month) []byte {
	sum := sha256.Sum256([]byte("continuous sample\n" + partner + "\n" + month.String()))
	return sum[:]
}

// SeedHash returns the SHA-256 of a seed in lower-case hex: what is stored at
// once, so that the seed revealed later cannot have been chosen by its result.
func SeedHash(seed []byte) string {
	sum := sha256.Sum256(seed)
	return hex.EncodeToString(sum[:])
}

// Draw draws n of the population: it is ordered by HMAC-SHA256(seed, SourceKey)
// and taken from the front, those that prefer wants before the others. At least
// MinSample are taken, or all where there are fewer. The sample keeps the whole
// population in drawing order, so that anybody who is given the seed can repeat
// it; the order in which the population is passed makes no difference, and a
// record passed twice counts once. A nil prefer prefers nothing.
func Draw(seed []byte, population []evidence.Ref, n int, prefer func(evidence.Ref) bool) Sample {
	order := drawingOrder(seed, population)
	s := Sample{Population: len(order), SeedHash: SeedHash(seed), Names: make([]string, len(order)), Items: []SampleItem{}}
	for i, o := range order {
		s.Names[i] = o.key
	}
	n = min(max(n, MinSample), len(order))
	for _, wanted := range []bool{true, false} {
		for _, o := range order {
			if len(s.Items) < n && (prefer != nil && prefer(o.ref)) == wanted {
				s.Items = append(s.Items, SampleItem{Ref: o.ref})
			}
		}
	}
	return s
}

type drawn struct {
	ref evidence.Ref
	key string
	mac [sha256.Size]byte
}

func drawingOrder(seed []byte, population []evidence.Ref) []drawn {
	order := make([]drawn, 0, len(population))
	seen := make(map[string]bool, len(population))
	mac := hmac.New(sha256.New, seed)
	// Of a record passed in two versions the later is kept, whichever came first.
	refs := slices.Clone(population)
	slices.SortFunc(refs, func(a, b evidence.Ref) int {
		return cmp.Or(a.Compare(b), b.Modified.Compare(a.Modified), b.Seen.Compare(a.Seen), cmp.Compare(a.Hash, b.Hash))
	})
	for _, r := range refs {
		d := drawn{ref: r, key: SourceKey(r)}
		if seen[d.key] {
			continue
		}
		seen[d.key] = true
		mac.Reset()
		mac.Write([]byte(d.key))
		mac.Sum(d.mac[:0])
		order = append(order, d)
	}
	slices.SortFunc(order, func(a, b drawn) int {
		return cmp.Or(slices.Compare(a.mac[:], b.mac[:]), cmp.Compare(a.key, b.key))
	})
	return order
}

// Verify reports whether the seed is the one whose hash was stored, the
// population stands in the order that it gives, and every drawn item is of that
// population, and no more are left out than it holds. It says what differs.
func (s Sample) Verify(seed []byte) error {
	if got := SeedHash(seed); got != s.SeedHash {
		return fmt.Errorf("the seed's SHA-256 is %s, stored was %s: this is not the seed that was used", got, s.SeedHash)
	}
	if len(s.Names) != s.Population {
		return fmt.Errorf("%d names are listed for a population of %d: the list was changed after the draw", len(s.Names), s.Population)
	}
	mac := hmac.New(sha256.New, seed)
	var last []byte
	rank := make(map[string]int, len(s.Names))
	for i, name := range s.Names {
		mac.Reset()
		mac.Write([]byte(name))
		sum := mac.Sum(nil)
		if last != nil && slices.Compare(last, sum) >= 0 {
			return fmt.Errorf("%q stands at rank %d, where the seed does not put it: the list was changed after the draw", name, i+1)
		}
		last, rank[name] = sum, i
	}
	for _, it := range s.Items {
		if it.Added {
			if strings.TrimSpace(it.Reason) == "" {
				return fmt.Errorf("%q was added: %w", SourceKey(it.Ref), ErrNoReason)
			}
			continue
		}
		if _, ok := rank[SourceKey(it.Ref)]; !ok {
			return fmt.Errorf("%q was drawn but is not in the population", SourceKey(it.Ref))
		}
	}
	return nil
}

// Reveal returns the sample with its seed, in hex, once Verify holds.
func (s Sample) Reveal(seed []byte) (Sample, error) {
	if err := s.Verify(seed); err != nil {
		return s, fmt.Errorf("reveal the seed: %w", err)
	}
	s.Seed = hex.EncodeToString(seed)
	return s, nil
}

// AddToSample returns the sample with one more item, chosen by a person for a
// reason. The draw stays as it was. An item that is there already is refused.
func AddToSample(s Sample, ref evidence.Ref, label, reason string) (Sample, error) {
	if strings.TrimSpace(reason) == "" {
		return s, fmt.Errorf("add %q to the sample: %w", SourceKey(ref), ErrNoReason)
	}
	for _, it := range s.Items {
		if it.Ref.Key() == ref.Key() {
			return s, fmt.Errorf("add %q to the sample: it is in it already", SourceKey(ref))
		}
	}
	s.Items = append(slices.Clone(s.Items), SampleItem{Ref: ref, Label: label, Added: true, Reason: reason})
	return s, nil
}

// RemoveFromSample returns the sample with the item marked as removed by a
// person for a reason. It stays in the list, so that what was drawn can be seen.
func RemoveFromSample(s Sample, ref evidence.Ref, reason string) (Sample, error) {
	if strings.TrimSpace(reason) == "" {
		return s, fmt.Errorf("remove %q from the sample: %w", SourceKey(ref), ErrNoReason)
	}
	i := slices.IndexFunc(s.Items, func(it SampleItem) bool { return it.Ref.Key() == ref.Key() })
	if i < 0 {
		return s, fmt.Errorf("remove %q from the sample: it is not in it", SourceKey(ref))
	}
	s.Items = slices.Clone(s.Items)
	s.Items[i].Removed, s.Items[i].Reason = true, reason
	return s, nil
}

// Judged returns the items that count: all that were not removed.
func (s Sample) Judged() []SampleItem {
	out := make([]SampleItem, 0, len(s.Items))
	for _, it := range s.Items {
		if !it.Removed {
			out = append(out, it)
		}
	}
	return out
}

// ContinuousSamples draws the samples of the month that holds the snapshot's
// instant, one per department: up to MaxContinuous items each.
func ContinuousSamples(s *evidence.Snapshot) []Sample {
	return Samples(s, ContinuousSeed(s.Partner, s.Today().YearMonth()), MaxContinuous)
}

// Samples draws n projects, n deals and n tickets, the latter two preferably of
// the projects drawn. The streams are named Project, Deal and Ticket; labels are
// what a person knows the item by. A sample of an audit is frozen by keeping
// what this returned.
func Samples(s *evidence.Snapshot, seed []byte, n int) []Sample {
	projects, leftOut := ProjectPopulation(s)
	p := Draw(seed, projects, n, nil)
	p.Department, p.Stream, p.LeftOut = evidence.Implementation, "Project", leftOut
	p.Complete = complete(s, "Project")

	ofSampled := sampledCustomers(s, p)
	d := Draw(seed, DealPopulation(s), n, ofSampled.deal)
	d.Department, d.Stream = evidence.Sales, "Deal"
	d.Complete = complete(s, streams(s, "deal", "Opportunity", "Quotation")...)

	t := Draw(seed, TicketPopulation(s), n, ofSampled.ticket)
	t.Department, t.Stream = evidence.Support, "Ticket"
	t.Complete = complete(s, streams(s, "ticket", "Issue")...)

	labels := itemLabels(s)
	out := []Sample{p, d, t}
	for i := range out {
		out[i].Drawn = s.AsOf
		for j := range out[i].Items {
			out[i].Items[j].Label = labels[out[i].Items[j].Ref.Key()]
		}
	}
	return out
}

// ProjectPopulation returns the customer projects that are open or were finished
// within twelve months, and how many of that age were left out: internal ones,
// and cancelled ones for which no invoice was ever submitted. Where invoices
// could not be read nobody knows that, so such a project stays in. A project is
// internal when it has no customer or the partner's mapping says so; its end is
// its last completed task, else its last change.
func ProjectPopulation(s *evidence.Snapshot) (population []evidence.Ref, leftOut int) {
	type key struct{ site, name string }
	invoiced := make(map[key]bool)
	for _, inv := range s.Invoices {
		if inv.Submitted && !inv.Cancelled && !inv.Return && !inv.Opening {
			for _, p := range inv.Projects {
				invoiced[key{inv.Site, p}] = true
			}
		}
	}
	_, noInvoices := s.Missing("Sales Invoice")
	ended := make(map[key]evidence.Date)
	for _, t := range s.Tasks {
		if k := (key{t.Site, t.Project}); t.Completed.After(ended[k]) {
			ended[k] = t.Completed
		}
	}
	since := s.Today().AddMonths(-finishedWithin)
	for _, p := range s.Projects {
		k := key{p.Site, p.Name}
		if p.Status != "Open" {
			end := ended[k]
			if end.IsZero() {
				end = evidence.DateIn(p.Modified, s.Location())
			}
			if end.IsZero() {
				end = p.ExpectedEnd
			}
			if end.Before(since) {
				continue
			}
		}
		if p.Customer == "" || p.Internal || p.Status == "Cancelled" && !invoiced[k] && !noInvoices {
			leftOut++
			continue
		}
		population = append(population, p.Ref)
	}
	return population, leftOut
}

// DealPopulation returns the deals won or lost within 90 days: on a site that
// sells by quotation the quotations, else the deals themselves. A deal without
// a date of closing counts by its last change.
func DealPopulation(s *evidence.Snapshot) []evidence.Ref {
	since, today := s.Today().AddDays(-closedWithin), s.Today()
	recent := func(d evidence.Date, r evidence.Ref) bool {
		if d.IsZero() {
			d = evidence.DateIn(r.Modified, s.Location())
		}
		return !d.Before(since) && !d.After(today)
	}
	var out []evidence.Ref
	taken := make(map[evidence.Key]bool)
	quoted := make(map[evidence.Key]bool)
	own := make(map[evidence.Key]bool)
	for _, d := range s.Deals {
		if d.Doctype == "Opportunity" {
			continue
		}
		own[evidence.Key{Site: d.Site, Name: d.Name}] = true
		for _, q := range d.Quotations {
			if d.Doctype != "Quotation" {
				own[evidence.Key{Site: d.Site, Doctype: "Quotation", Name: q}] = true
			}
		}
		if (d.Won || d.Lost) && recent(d.Closed, d.Ref) && !taken[d.Key()] {
			taken[d.Key()] = true
			out = append(out, d.Ref)
		}
	}
	for _, q := range s.Quotations {
		if q.Deal != "" {
			quoted[evidence.Key{Site: q.Site, Name: q.Deal}] = true
		}
		if own[q.Key()] || own[evidence.Key{Site: q.Site, Name: q.Deal}] && q.Deal != "" || taken[q.Key()] || q.Cancelled {
			continue
		}
		closed := q.Won
		if closed.IsZero() {
			closed = q.Lost
		}
		if (!closed.IsZero() || q.Status == "Lost") && recent(closed, q.Ref) {
			taken[q.Key()] = true
			out = append(out, q.Ref)
		}
	}
	for _, d := range s.Deals {
		if d.Doctype == "Opportunity" && (d.Won || d.Lost) && len(d.Quotations) == 0 &&
			!quoted[evidence.Key{Site: d.Site, Name: d.Name}] && recent(d.Closed, d.Ref) {
			out = append(out, d.Ref)
		}
	}
	return out
}

// TicketPopulation returns the tickets resolved within 90 days that were not
// folded into another; one that lost its date counts by its last change.
func TicketPopulation(s *evidence.Snapshot) []evidence.Ref {
	since, today := s.Today().AddDays(-closedWithin), s.Today()
	var out []evidence.Ref
	for _, t := range s.Tickets {
		at := t.Resolved
		if at.IsZero() && t.Closed {
			at = t.Modified
		}
		if d := evidence.DateIn(at, s.Location()); !t.Merged && !d.IsZero() && !d.Before(since) && !d.After(today) {
			out = append(out, t.Ref)
		}
	}
	return out
}

type preference struct{ tickets, deals map[evidence.Key]bool }

func (p preference) ticket(r evidence.Ref) bool { return p.tickets[r.Key()] }
func (p preference) deal(r evidence.Ref) bool   { return p.deals[r.Key()] }

// sampledCustomers finds the tickets and deals of the projects drawn: by the
// project itself, the order behind it, or its customer.
func sampledCustomers(s *evidence.Snapshot, projects Sample) preference {
	type name struct{ site, name string }
	in, customers, orders, quotes := make(map[name]bool), make(map[name]bool), make(map[name]bool), make(map[name]bool)
	for _, it := range projects.Items {
		in[name{it.Ref.Site, it.Ref.Name}] = true
	}
	for _, p := range s.Projects {
		if in[name{p.Site, p.Name}] {
			customers[name{p.Site, p.Customer}] = p.Customer != ""
			orders[name{p.Site, p.SalesOrder}] = p.SalesOrder != ""
		}
	}
	for _, o := range s.Orders {
		if orders[name{o.Site, o.Name}] || in[name{o.Site, o.Project}] {
			for _, q := range o.Quotations {
				quotes[name{o.Site, q}] = true
			}
		}
	}
	out := preference{make(map[evidence.Key]bool), make(map[evidence.Key]bool)}
	for _, t := range s.Tickets {
		out.tickets[t.Key()] = in[name{t.Site, t.Project}] || customers[name{t.Site, t.Customer}]
	}
	for _, q := range s.Quotations {
		out.deals[q.Key()] = quotes[name{q.Site, q.Name}] || orders[name{q.Site, q.Order}] || customers[name{q.Site, q.Party}]
	}
	for _, d := range s.Deals {
		hit := out.deals[d.Key()] || in[name{d.Site, d.Project}] || customers[name{d.Site, d.Customer}]
		for _, q := range d.Quotations {
			hit = hit || quotes[name{d.Site, q}]
		}
		out.deals[d.Key()] = hit
	}
	return out
}

func itemLabels(s *evidence.Snapshot) map[evidence.Key]string {
	out := make(map[evidence.Key]string)
	label := func(r evidence.Ref, text string) {
		if text = strings.ToValidUTF8(text, ""); text == "" {
			text = r.Name
		}
		if rs := []rune(text); len(rs) > 140 {
			text = string(rs[:139]) + "…"
		}
		out[r.Key()] = text
	}
	for _, p := range s.Projects {
		label(p.Ref, p.Title)
	}
	for _, t := range s.Tickets {
		label(t.Ref, t.Subject)
	}
	for _, q := range s.Quotations {
		label(q.Ref, q.Party)
	}
	for _, d := range s.Deals {
		label(d.Ref, d.Customer)
	}
	return out
}

func streams(s *evidence.Snapshot, kind string, fallback ...string) []string {
	if ch := s.Channels[kind]; len(ch.Streams) > 0 {
		return ch.Streams
	}
	return fallback
}

// complete reports whether nothing of the streams was hidden from the draw.
// A doctype that a site does not have hides nothing.
func complete(s *evidence.Snapshot, names ...string) bool {
	for _, g := range s.Gaps {
		if slices.Contains(names, g.Stream) && g.Kind != evidence.Absent {
			return false
		}
	}
	for _, c := range s.Coverage {
		if slices.Contains(names, c.Stream) && !c.Complete {
			return false
		}
	}
	return true
}
