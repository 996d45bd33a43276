package measure

import (
	"cmp"
	"math"
	"slices"

	"github.com/prmsync/prmsync/evidence"
)

type reportKey struct {
	metric  string
	period  evidence.Period
	project string
}

// indexReports files the partner's reports by what they are about, each list in
// the order in which they were made, and finds those typed in one go.
func (m *meter) indexReports() {
	m.reports = make(map[reportKey][]*evidence.MetricReport)
	m.bursts = make(map[evidence.Key]bool)
	type lane struct{ site, metric, project string }
	lanes := make(map[lane][]*evidence.MetricReport)
	// One record may report several metrics: each is a report of its own.
	reports := make([]*evidence.MetricReport, len(m.s.Reports))
	for i := range m.s.Reports {
		reports[i] = &m.s.Reports[i]
	}
	slices.SortStableFunc(reports, func(a, b *evidence.MetricReport) int {
		return cmp.Or(a.Ref.Compare(b.Ref), a.Modified.Compare(b.Modified), cmp.Compare(a.Metric, b.Metric))
	})
	for _, r := range reports {
		k := reportKey{r.Metric, r.Period, r.Project}
		m.reports[k] = append(m.reports[k], r)
		if !r.Created.IsZero() {
			l := lane{r.Site, r.Metric, r.Project}
			lanes[l] = append(lanes[l], r)
		}
	}
	for _, rs := range m.reports {
		slices.SortStableFunc(rs, byDay)
	}
	for _, rs := range lanes {
		slices.SortStableFunc(rs, func(a, b *evidence.MetricReport) int { return a.Created.Compare(b.Created) })
		for i := 1; i < len(rs); i++ {
			a, b := rs[i-1], rs[i]
			if a.Period != b.Period && b.Created.Sub(a.Created) <= m.o.Burst {
				m.bursts[a.Key()], m.bursts[b.Key()] = true, true
			}
		}
	}
}

func byDay(a, b *evidence.MetricReport) int {
	return cmp.Or(a.On.Compare(b.On), a.Created.Compare(b.Created), a.Ref.Compare(b.Ref))
}

// Due returns the last day on which a report of the period is in time: late
// days after the period's last one.
func Due(p evidence.Period, late int) evidence.Date { return p.Last().AddDays(late) }

// setReported sets what the partner wrote down for the period beside what was
// recomputed. The latest report gives the figure, the first one the day: a
// correction does not make a punctual report late. A record that only says that
// there was nothing counts as a report, not as a figure.
func (m *meter) setReported(v *Value, sp span) {
	rs := m.reports[reportKey{v.Metric, sp.Period, v.Project}]
	for _, r := range rs {
		v.ReportedBy = append(v.ReportedBy, r.Ref)
		if r.HasTarget && finite(r.Target) {
			v.HasTarget, v.Target = true, r.Target
		}
	}
	if len(rs) > 1 {
		v.count(CountReports, float64(len(rs)))
	}
	if len(rs) > 0 {
		last := rs[len(rs)-1]
		if last.HasValue && finite(last.Value) {
			v.HasReported, v.Reported = true, last.Value
		} else {
			v.NothingSaid = !last.HasValue
		}
		v.ReportedOn = rs[0].On
	}
	v.Timeliness = m.timeliness(v, rs, sp)
	if v.HasReported && v.Has {
		v.Differs = math.Abs(v.Reported-v.Value) > m.tolerance(v.Unit)+1e-9
	}
	// Nothing was said and something was there: that is a difference too.
	if v.NothingSaid && v.Has && v.Denominator > 0 {
		v.Differs = true
	}
}

func (m *meter) tolerance(unit string) float64 {
	switch unit {
	case UnitStars:
		return m.o.DiffersStars
	case UnitDays:
		return m.o.DiffersDays
	}
	return m.o.DiffersPoints
}

func (m *meter) timeliness(v *Value, rs []*evidence.MetricReport, sp span) Timeliness {
	due := Due(sp.Period, m.o.LateAfter)
	if len(rs) > 0 {
		// A day in the future is a mistyped one: the report is there today.
		on := rs[0].On
		if on.After(m.today) || on.IsZero() {
			on = m.today
			if c := evidence.DateIn(rs[0].Created, m.loc); !c.IsZero() && c.Before(on) {
				on = c
			}
		}
		switch {
		case !on.After(due):
			return OnTime
		case on.After(Due(next(sp.Period), m.o.LateAfter)), m.bursts[rs[0].Key()]:
			return Backfill
		}
		return Late
	}
	switch {
	case !m.today.After(due), sp.exempt:
		return NotDue
	case m.silenceCounts(v):
		return Never
	}
	return Unknown
}

func next(p evidence.Period) evidence.Period {
	if !p.Week.IsZero() {
		return evidence.Period{Week: p.Week.Add(1)}
	}
	return evidence.Period{Month: p.Month.Add(1)}
}

// silenceCounts reports whether a report that is not there was not made: the
// partner keeps its reports where we look, all of that could be read, it keeps
// no figures per project apart from the company's, and there was something to
// report.
func (m *meter) silenceCounts(v *Value) bool {
	ch, ok := m.s.Channels["report"]
	if !ok || !ch.Mapped || !ch.Authoritative || v.Project != "" {
		return false
	}
	if v.Metric == Response {
		return false // a service level of its own, not a figure of the weekly review
	}
	if m.unknown("report") != "" {
		return false
	}
	for _, c := range m.s.Coverage {
		if !c.Complete && slices.Contains(ch.Streams, c.Stream) {
			return false
		}
	}
	return v.Has || v.Counts[CountOccasions] > 0
}
