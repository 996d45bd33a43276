package measure

import (
	"slices"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// houseHours are Monday to Friday, 9 to 17, for partners whose site keeps no
// agreement from which their working hours could be read.
var houseHours = func() (h [7][]evidence.Hours) {
	for d := time.Monday; d <= time.Friday; d++ {
		h[d] = []evidence.Hours{{From: 9 * 60, To: 17 * 60}}
	}
	return h
}()

// houseAgreement returns the agreement whose hours are taken as the partner's
// own: the default one where it has hours, else the first enabled one.
func houseAgreement(s *evidence.Snapshot) (evidence.Agreement, bool) {
	return agreementFor(s, nil)
}

func agreementFor(s *evidence.Snapshot, doctypes []string) (evidence.Agreement, bool) {
	var best *evidence.Agreement
	rank := -1
	for _, a := range inOrder(s.Agreements, func(a *evidence.Agreement) *evidence.Ref { return &a.Ref }) {
		if !a.Enabled || weekly(a) == 0 {
			continue
		}
		r := 0
		if a.Default {
			r = 1
		}
		if slices.Contains(doctypes, a.Doctype) {
			r += 2
		}
		if r > rank {
			best, rank = a, r
		}
	}
	if best == nil {
		return evidence.Agreement{}, false
	}
	return *best, true
}

// WorkingHours returns the agreement and the holiday list by which working
// time is counted for records of the given doctypes: the agreement that governs
// them, else the partner's default one, else the house's Monday to Friday, 9 to
// 17. The list is the agreement's, else the partner's own, else an empty one.
func WorkingHours(s *evidence.Snapshot, doctypes ...string) (evidence.Agreement, evidence.Calendar) {
	a, ok := agreementFor(s, doctypes)
	if !ok {
		a = evidence.Agreement{Enabled: true, Hours: houseHours}
	}
	for _, c := range inOrder(s.Calendars, func(c *evidence.Calendar) *evidence.Ref { return &c.Ref }) {
		if a.HolidayList != "" && c.Name == a.HolidayList && c.Site == a.Site {
			return a, *c
		}
	}
	c, _ := HouseCalendar(s)
	return a, c
}

// BusinessTime returns the working time between from and to: the hours of a's
// weekdays, without the holidays of c, on the wall clock of loc. A change of
// the clocks therefore neither adds nor takes an hour, as ERPNext has it. It is
// 0 when to is not after from or either is not set, and when a has no hours.
func BusinessTime(a evidence.Agreement, c evidence.Calendar, from, to time.Time, loc *time.Location) time.Duration {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	f, t := wall(from, loc), wall(to, loc)
	if !t.After(f) {
		return 0
	}
	first, last := evidence.DateIn(f, time.UTC), evidence.DateIn(t, time.UTC)
	day := func(d evidence.Date, lo, hi int) (mins time.Duration) {
		if holiday(c, d) {
			return 0
		}
		for _, h := range shifts(a.Hours[d.Weekday()]) {
			if l, u := max(h.From*60, lo), min(h.To*60, hi); u > l {
				mins += time.Duration(u-l) * time.Second
			}
		}
		return mins
	}
	const whole = 24 * 60 * 60
	secs := func(t time.Time) int { return t.Hour()*3600 + t.Minute()*60 + t.Second() }
	if first == last {
		return day(first, secs(f), secs(t))
	}
	sum := day(first, secs(f), whole) + day(last, 0, secs(t))
	// The days between: whole weeks at once, so that a year-9999 date costs
	// no more than a week; then the holidays among them are taken off.
	n := last.DaysSince(first) - 1
	sum += time.Duration(n/7) * weekly(&a)
	for i := range n % 7 {
		d := first.AddDays(1 + i)
		for _, h := range shifts(a.Hours[d.Weekday()]) {
			sum += time.Duration(h.To-h.From) * time.Minute
		}
	}
	seen := make(map[evidence.Date]bool, len(c.Holidays))
	for _, d := range c.Holidays {
		if d.After(first) && d.Before(last) && !seen[d] {
			seen[d] = true
			for _, h := range shifts(a.Hours[d.Weekday()]) {
				sum -= time.Duration(h.To-h.From) * time.Minute
			}
		}
	}
	return sum
}

// wall returns what the clock on the wall in loc shows at t, as a time in UTC
// so that arithmetic on it knows no change of clocks.
func wall(t time.Time, loc *time.Location) time.Time {
	y, m, d := t.In(loc).Date()
	h, mi, s := t.In(loc).Clock()
	return time.Date(y, m, d, h, mi, s, 0, time.UTC)
}

// shifts returns the day's hours in order, without overlaps or nonsense.
func shifts(in []evidence.Hours) []evidence.Hours {
	if len(in) == 1 && in[0].From >= 0 && in[0].From < in[0].To && in[0].To <= 24*60 {
		return in
	}
	out := make([]evidence.Hours, 0, len(in))
	for _, h := range in {
		h.From, h.To = max(h.From, 0), min(h.To, 24*60)
		if h.To > h.From {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b evidence.Hours) int { return a.From - b.From })
	merged := out[:0]
	for _, h := range out {
		if n := len(merged); n > 0 && h.From <= merged[n-1].To {
			merged[n-1].To = max(merged[n-1].To, h.To)
			continue
		}
		merged = append(merged, h)
	}
	return merged
}

func weekly(a *evidence.Agreement) (sum time.Duration) {
	for _, day := range a.Hours {
		for _, h := range shifts(day) {
			sum += time.Duration(h.To-h.From) * time.Minute
		}
	}
	return sum
}
