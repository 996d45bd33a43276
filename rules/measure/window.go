package measure

import (
	"slices"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// FullWeeks returns the last n ISO weeks that had ended before today, oldest
// first. A week has ended when its Sunday is over.
func FullWeeks(today evidence.Date, n int) []evidence.Week {
	if today.IsZero() || n <= 0 {
		return nil
	}
	out := make([]evidence.Week, n)
	w := today.Week()
	for i := range n {
		out[n-1-i] = w.Add(-1 - i)
	}
	return out
}

// FullMonths returns the last n calendar months that had ended before today,
// oldest first.
func FullMonths(today evidence.Date, n int) []evidence.Month {
	if today.IsZero() || n <= 0 {
		return nil
	}
	out := make([]evidence.Month, n)
	m := today.YearMonth()
	for i := range n {
		out[n-1-i] = m.Add(-1 - i)
	}
	return out
}

// Began returns the day of the earliest record of the partner's own work, or
// the zero Date when there is none or none has a creation. Weeks that ended
// before it are in no window: a partner cannot have missed what it was too
// young to do. Master data (staff, customers, procedures) does not count, as
// it may be years older than the work.
func Began(s *evidence.Snapshot) evidence.Date {
	var first time.Time
	see := func(r evidence.Ref) {
		if !r.Created.IsZero() && (first.IsZero() || r.Created.Before(first)) {
			first = r.Created
		}
	}
	each(s.Projects, func(d *evidence.Project) { see(d.Ref) })
	each(s.Tasks, func(d *evidence.Task) { see(d.Ref) })
	each(s.Tickets, func(d *evidence.Ticket) { see(d.Ref) })
	each(s.Reports, func(d *evidence.MetricReport) { see(d.Ref) })
	each(s.Leads, func(d *evidence.Lead) { see(d.Ref) })
	each(s.Deals, func(d *evidence.Deal) { see(d.Ref) })
	each(s.Quotations, func(d *evidence.Quotation) { see(d.Ref) })
	each(s.Orders, func(d *evidence.Order) { see(d.Ref) })
	each(s.Invoices, func(d *evidence.Invoice) { see(d.Ref) })
	each(s.Meetings, func(d *evidence.Meeting) { see(d.Ref) })
	each(s.Feedback, func(d *evidence.Feedback) { see(d.Ref) })
	return evidence.DateIn(first, s.Location())
}

func each[T any](in []T, f func(*T)) {
	for i := range in {
		f(&in[i])
	}
}

// HouseCalendar returns the partner's own holiday list: the company's default,
// else the one its default agreement names, else the only one there is. ok is
// false when none of these decides; then no week is exempt.
func HouseCalendar(s *evidence.Snapshot) (c evidence.Calendar, ok bool) {
	var only, named, def *evidence.Calendar
	list := ""
	if a, ok := houseAgreement(s); ok {
		list = a.HolidayList
	}
	for _, c := range inOrder(s.Calendars, func(c *evidence.Calendar) *evidence.Ref { return &c.Ref }) {
		if c.Default && def == nil {
			def = c
		}
		if list != "" && c.Name == list && named == nil {
			named = c
		}
		only = c
	}
	switch {
	case def != nil:
		return *def, true
	case named != nil:
		return *named, true
	case only != nil && len(s.Calendars) == 1:
		return *only, true
	}
	return evidence.Calendar{}, false
}

// Working reports whether d is a working day: no holiday of c and a weekday on
// which a works. An agreement without any hours works Monday to Friday.
func Working(a evidence.Agreement, c evidence.Calendar, d evidence.Date) bool {
	if d.IsZero() || holiday(c, d) {
		return false
	}
	for _, h := range a.Hours {
		if len(h) > 0 {
			return len(a.Hours[d.Weekday()]) > 0
		}
	}
	return d.Weekday() != time.Saturday && d.Weekday() != time.Sunday
}

// WorkingDays counts the working days after from up to and including to; 0
// when to is not after from, when a date is not set, or beyond 200 years.
func WorkingDays(a evidence.Agreement, c evidence.Calendar, from, to evidence.Date) int {
	if from.IsZero() || to.IsZero() || !to.After(from) || to.DaysSince(from) > 200*366 {
		return 0
	}
	n := 0
	for d := from.AddDays(1); !d.After(to); d = d.AddDays(1) {
		if Working(a, c, d) {
			n++
		}
	}
	return n
}

// Exempt reports whether the partner had no working day in the week, by its
// own holiday list: such a week needs no report. Without a holiday list no week
// is exempt.
func Exempt(s *evidence.Snapshot, w evidence.Week) bool {
	c, ok := HouseCalendar(s)
	if !ok || w.IsZero() {
		return false
	}
	a, _ := houseAgreement(s)
	return exempt(a, c, w)
}

func exempt(a evidence.Agreement, c evidence.Calendar, w evidence.Week) bool {
	for d := w.Monday(); !d.After(w.Sunday()); d = d.AddDays(1) {
		if Working(a, c, d) {
			return false
		}
	}
	return true
}

func holiday(c evidence.Calendar, d evidence.Date) bool {
	if slices.IsSortedFunc(c.Holidays, evidence.Date.Compare) {
		_, found := slices.BinarySearchFunc(c.Holidays, d, evidence.Date.Compare)
		return found
	}
	return slices.Contains(c.Holidays, d)
}
