package measure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// All returns every metric of the snapshot's partner: for each of the last full
// weeks (or months, for the monthly ones) and for the running one, in all and
// per project where the metric is split so, each with the partner's own figure
// beside it. It is sorted by metric, period, project and site; it depends on
// nothing but its arguments, and not on the order of the snapshot's documents.
//
// A metric that had nothing to be computed from has Has false and, where the
// cause is evidence that could not be read, names that in Unknown; it is never
// 0 for want of data. Weeks that ended before the partner's first record are
// left out. A nil snapshot has no metrics.
func All(s *evidence.Snapshot, opts Options) []Value {
	if s == nil || s.AsOf.IsZero() {
		return nil
	}
	m := newMeter(s, opts.withDefaults())
	m.overdue()
	m.satisfaction()
	m.supportTAT()
	m.readyTAT()
	m.sales()
	m.response()
	m.support()
	slices.SortFunc(m.out, func(a, b Value) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), a.Period.First().Compare(b.Period.First()),
			cmp.Compare(a.Project, b.Project), cmp.Compare(a.Site, b.Site))
	})
	return m.out
}

// Pool adds up the numerators and denominators of the values that have one,
// for a figure over a whole window. ok is false when there is nothing to divide
// by.
func Pool(values []Value) (numerator, denominator float64, ok bool) {
	for _, v := range values {
		if v.Has {
			numerator += v.Numerator
			denominator += v.Denominator
		}
	}
	return numerator, denominator, denominator > 0 && finite(numerator) && finite(denominator)
}

// span is one period to measure.
type span struct {
	evidence.Period
	current bool
	t       evidence.Date // the civil date of evaluation: the last day, or today
	end     time.Time     // first instant after t; for the running period the snapshot's own
	exempt  bool
}

type meter struct {
	s      *evidence.Snapshot
	o      Options
	loc    *time.Location
	today  evidence.Date
	site   string // of totals: the only site's key, or "" for several
	weeks  []span
	months []span
	// projects by site and name; open customer projects apart, sorted.
	projects map[projectKey]*evidence.Project
	reports  map[reportKey][]*evidence.MetricReport
	// bursts holds reports that were typed together with those of other periods.
	bursts map[evidence.Key]bool
	out    []Value
}

type projectKey struct{ site, name string }

func newMeter(s *evidence.Snapshot, o Options) *meter {
	m := &meter{s: s, o: o, loc: s.Location(), today: s.Today()}
	if len(s.Sites) == 1 {
		m.site = s.Sites[0].Key
	}
	began := Began(s)
	a, _ := houseAgreement(s)
	c, hasCalendar := HouseCalendar(s)
	add := func(to *[]span, p evidence.Period) {
		if p.Last().Before(began) {
			return
		}
		sp := span{Period: p, t: p.Last(), end: p.Last().AddDays(1).Start(m.loc)}
		if !m.today.After(p.Last()) {
			sp.current, sp.t, sp.end = true, m.today, s.AsOf.Add(time.Nanosecond)
		}
		if !p.Week.IsZero() {
			sp.exempt = hasCalendar && exempt(a, c, p.Week)
		}
		*to = append(*to, sp)
	}
	for _, w := range FullWeeks(m.today, o.Weeks) {
		add(&m.weeks, evidence.Period{Week: w})
	}
	for _, mo := range FullMonths(m.today, o.Months) {
		add(&m.months, evidence.Period{Month: mo})
	}
	add(&m.weeks, evidence.Period{Week: m.today.Week()})
	add(&m.months, evidence.Period{Month: m.today.YearMonth()})
	m.projects = make(map[projectKey]*evidence.Project, len(s.Projects))
	for _, p := range inOrder(s.Projects, func(p *evidence.Project) *evidence.Ref { return &p.Ref }) {
		m.projects[projectKey{p.Site, p.Name}] = p
	}
	m.indexReports()
	return m
}

// emit finishes a value: sorted documents, the partner's own figure beside it,
// no number that is not one.
func (m *meter) emit(v Value, sp span) {
	v.Period, v.Current = sp.Period, sp.current
	if v.Project == "" && v.Site == "" {
		v.Site = m.site
	}
	if !finite(v.Value) || !finite(v.Numerator) || !finite(v.Denominator) || v.Denominator < 0 {
		v.Has, v.Value, v.Numerator, v.Denominator = false, 0, 0, 0
	}
	if !v.Has {
		v.Value = 0
	}
	v.Docs = sortedRefs(v.Docs)
	v.Population = sortedRefs(v.Population)
	if sp.exempt {
		v.count(CountExempt, 1)
	}
	m.setReported(&v, sp)
	for k, f := range v.Counts {
		if !finite(f) {
			delete(v.Counts, k)
		}
	}
	m.out = append(m.out, v)
}

// behind adds a record behind the numerator, counting only beyond the cap.
func (m *meter) behind(v *Value, r *evidence.Ref) { m.list(&v.Docs, &v.DocsMore, r) }

// counted adds a record of the population, counting only beyond the cap.
func (m *meter) counted(v *Value, r *evidence.Ref) { m.list(&v.Population, &v.PopulationMore, r) }

func (m *meter) list(to *[]evidence.Ref, more *int, r *evidence.Ref) {
	if len(*to) >= m.o.PopulationCap {
		*more++
		return
	}
	*to = append(*to, *r)
}

func (v *Value) count(name string, n float64) {
	if v.Counts == nil {
		v.Counts = make(map[string]float64)
	}
	v.Counts[name] = n
}

// ratio sets the value to num of den in percent; without den there is none.
func (v *Value) ratio(num, den int) {
	v.Numerator, v.Denominator = float64(num), float64(den)
	if den > 0 {
		v.Has, v.Value = true, 100*float64(num)/float64(den)
	}
}

// mean sets the value to the mean of n items that add up to sum.
func (v *Value) mean(sum float64, n int) {
	v.Numerator, v.Denominator = sum, float64(n)
	if n > 0 {
		v.Has, v.Value = true, sum/float64(n)
	}
}

// in reports whether d lies in the period, and not after the instant of
// judgement.
func (sp span) in(d evidence.Date) bool {
	return !d.IsZero() && !d.Before(sp.First()) && !d.After(sp.t)
}

// existed reports whether a record that was created at t was there at the end
// of the period. One without a creation is taken to have been.
func (sp span) existed(t time.Time) bool { return t.Before(sp.end) }

// unknown names the gaps that keep a metric from being computed, or returns ""
// when its evidence could be read. kind is the mapped kind of evidence ("" for
// none), streams the doctypes it is read from where the mapping names none.
func (m *meter) unknown(kind string, streams ...string) string {
	return m.unknownBut(kind, nil, streams...)
}

// unknownBut is unknown for a metric that does without some of the kind's
// streams, unless they are the only ones.
func (m *meter) unknownBut(kind string, without []string, streams ...string) string {
	ch, listed := m.s.Channels[kind]
	if kind != "" {
		for _, g := range m.gaps("kind:" + kind) {
			return gapText(g)
		}
		if listed && !ch.Mapped || !listed && len(streams) == 0 {
			return "nobody has said where " + kind + " is kept"
		}
		if len(ch.Streams) > 0 {
			streams = ch.Streams
			if rest := slices.DeleteFunc(slices.Clone(streams), func(s string) bool { return slices.Contains(without, s) }); len(rest) > 0 {
				streams = rest
			}
		}
	}
	var absent, other []evidence.Gap
	for _, st := range streams {
		for _, g := range m.gaps(st) {
			if g.Kind == evidence.Absent {
				absent = append(absent, g)
				continue
			}
			other = append(other, g)
		}
	}
	if len(other) > 0 {
		return gapText(other[0])
	}
	// A doctype that one site lacks is no gap while another place holds the
	// kind: sites have either Issue or HD Ticket.
	if places := len(streams) * max(1, len(m.s.Sites)); len(absent) > 0 && len(absent) >= places {
		return gapText(absent[0])
	}
	return ""
}

// gaps returns the stream's gaps in a fixed order.
func (m *meter) gaps(stream string) []evidence.Gap {
	var out []evidence.Gap
	for _, g := range m.s.Gaps {
		if g.Stream == stream {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b evidence.Gap) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Kind, b.Kind), a.Since.Compare(b.Since), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

func gapText(g evidence.Gap) string {
	reason := strings.ToValidUTF8(g.Reason, "")
	if r := []rune(reason); len(r) > 200 {
		reason = string(r[:200]) + "…"
	}
	where := g.Stream
	if g.Site != "" {
		where += " on " + g.Site
	}
	if reason == "" {
		return fmt.Sprintf("%s: %s", where, g.Kind)
	}
	return fmt.Sprintf("%s: %s (%s)", where, g.Kind, reason)
}

// inOrder returns pointers to the documents sorted by Ref, each record once:
// of several versions of one record the latest stands.
func inOrder[T any](in []T, ref func(*T) *evidence.Ref) []*T {
	out := make([]*T, len(in))
	for i := range in {
		out[i] = &in[i]
	}
	byRef := func(a, b *T) int {
		x, y := ref(a), ref(b)
		return cmp.Or(x.Compare(*y), x.Modified.Compare(y.Modified), x.Seen.Compare(y.Seen), cmp.Compare(x.Hash, y.Hash))
	}
	if !slices.IsSortedFunc(out, byRef) {
		slices.SortStableFunc(out, byRef)
	}
	kept := out[:0]
	for i, d := range out {
		if i+1 < len(out) && ref(d).Compare(*ref(out[i+1])) == 0 {
			continue
		}
		kept = append(kept, d)
	}
	return kept
}

func sortedRefs(in []evidence.Ref) []evidence.Ref {
	slices.SortFunc(in, func(a, b evidence.Ref) int {
		return cmp.Or(a.Compare(b), a.Modified.Compare(b.Modified))
	})
	return slices.CompactFunc(in, func(a, b evidence.Ref) bool { return a.Key() == b.Key() })
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// stars reports whether f is a rating: above 0, at most 5. Frappe keeps 0 for
// "not rated".
func stars(f float64, rated bool) bool { return rated && f > 0 && f <= 5 }
