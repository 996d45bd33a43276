package evidence

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Date is a civil date in the zone of the site that holds it. The zero Date
// means "not set"; it sorts before every other date and prints as "".
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// NewDate returns the date, normalised as time.Date does (31 April is 1 May).
func NewDate(year int, month time.Month, day int) Date {
	return dateOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}

// DateIn returns the civil date of t in loc; the zero time has the zero Date.
func DateIn(t time.Time, loc *time.Location) Date {
	if t.IsZero() {
		return Date{}
	}
	return dateOf(t.In(loc))
}

func dateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{Year: y, Month: m, Day: d}
}

// ParseDate reads YYYY-MM-DD; a Datetime's time of day is ignored. An empty s,
// and the years outside 1900 to 2200 that sites use for "never", are the zero
// Date. Impossible dates are an error.
func ParseDate(s string) (Date, error) {
	if s == "" {
		return Date{}, nil
	}
	if len(s) > 10 && (s[10] == ' ' || s[10] == 'T') {
		s = s[:10]
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date (YYYY-MM-DD)", clip(s, 40))
	}
	if t.Year() < 1900 || t.Year() > 2200 {
		return Date{}, nil
	}
	return dateOf(t), nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// IsZero reports whether the date is not set.
func (d Date) IsZero() bool { return d == Date{} }

func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// Compare orders dates; the zero Date comes first.
func (d Date) Compare(o Date) int {
	return cmp.Or(cmp.Compare(d.Year, o.Year), cmp.Compare(d.Month, o.Month), cmp.Compare(d.Day, o.Day))
}

// Before reports whether d is earlier than o.
func (d Date) Before(o Date) bool { return d.Compare(o) < 0 }

// After reports whether d is later than o.
func (d Date) After(o Date) bool { return d.Compare(o) > 0 }

// AddDays returns the date n days later; the zero Date stays zero.
func (d Date) AddDays(n int) Date {
	if d.IsZero() {
		return d
	}
	return dateOf(d.utc().AddDate(0, 0, n))
}

// AddMonths returns the same day n months later, clamped to the end of that
// month: 31 January plus one month is 28 or 29 February, as Frappe's
// add_months has it and time.AddDate has not.
func (d Date) AddMonths(n int) Date {
	if d.IsZero() {
		return d
	}
	first := time.Date(d.Year, d.Month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return Date{Year: first.Year(), Month: first.Month(), Day: min(d.Day, last)}
}

// DaysSince returns the number of days from o to d; 0 when either is not set.
func (d Date) DaysSince(o Date) int {
	if d.IsZero() || o.IsZero() {
		return 0
	}
	return int(d.utc().Sub(o.utc()).Hours() / 24)
}

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return d.utc().Weekday() }

// Start returns the first instant of the date in loc, in UTC.
func (d Date) Start(loc *time.Location) time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, loc).UTC()
}

// Week returns the ISO week that holds the date.
func (d Date) Week() Week {
	if d.IsZero() {
		return Week{}
	}
	y, w := d.utc().ISOWeek()
	return Week{Year: y, Number: w}
}

// YearMonth returns the calendar month that holds the date.
func (d Date) YearMonth() Month { return Month{Year: d.Year, Month: d.Month} }

// String is YYYY-MM-DD, or "" for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day)
}

// MarshalText writes String.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Date) UnmarshalText(b []byte) error {
	v, err := ParseDate(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Week is an ISO 8601 week: Monday to Sunday, the year being that of its
// Thursday. The zero Week means "not set".
type Week struct {
	Year   int
	Number int
}

// ParseWeek reads "2026-W07" or "2026w07".
func ParseWeek(s string) (Week, error) {
	year, num, ok := strings.Cut(strings.ToUpper(strings.TrimSpace(s)), "W")
	y, err1 := strconv.Atoi(strings.TrimSuffix(year, "-"))
	n, err2 := strconv.Atoi(num)
	w := Week{Year: y, Number: n}
	if !ok || err1 != nil || err2 != nil || y < 1900 || y > 2200 || n < 1 || n > 53 || w.Monday().Week() != w {
		return Week{}, fmt.Errorf("%q is not an ISO week (2026-W07)", clip(s, 40))
	}
	return w, nil
}

// IsZero reports whether the week is not set.
func (w Week) IsZero() bool { return w == Week{} }

// Monday returns the first day of the week.
func (w Week) Monday() Date {
	if w.IsZero() {
		return Date{}
	}
	jan4 := NewDate(w.Year, time.January, 4) // always in week 1
	toMonday := (int(jan4.Weekday()) + 6) % 7
	return jan4.AddDays(7*(w.Number-1) - toMonday)
}

// Sunday returns the last day of the week.
func (w Week) Sunday() Date { return w.Monday().AddDays(6) }

// Add returns the week n weeks later.
func (w Week) Add(n int) Week {
	if w.IsZero() {
		return w
	}
	return w.Monday().AddDays(7 * n).Week()
}

// Compare orders weeks.
func (w Week) Compare(o Week) int {
	return cmp.Or(cmp.Compare(w.Year, o.Year), cmp.Compare(w.Number, o.Number))
}

// String is "2026-W07", or "" for the zero Week.
func (w Week) String() string {
	if w.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-W%02d", w.Year, w.Number)
}

// MarshalText writes String.
func (w Week) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (w *Week) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*w = Week{}
		return nil
	}
	v, err := ParseWeek(string(b))
	if err != nil {
		return err
	}
	*w = v
	return nil
}

// Month is a calendar month. The zero Month means "not set".
type Month struct {
	Year  int
	Month time.Month
}

// ParseMonth reads "2026-10".
func ParseMonth(s string) (Month, error) {
	t, err := time.Parse("2006-01", s)
	if err != nil || t.Year() < 1900 || t.Year() > 2200 {
		return Month{}, fmt.Errorf("%q is not a month (2026-10)", clip(s, 40))
	}
	return Month{Year: t.Year(), Month: t.Month()}, nil
}

// IsZero reports whether the month is not set.
func (m Month) IsZero() bool { return m == Month{} }

// First returns the first day of the month.
func (m Month) First() Date {
	if m.IsZero() {
		return Date{}
	}
	return NewDate(m.Year, m.Month, 1)
}

// Last returns the last day of the month.
func (m Month) Last() Date {
	if m.IsZero() {
		return Date{}
	}
	return m.First().AddMonths(1).AddDays(-1)
}

// Add returns the month n months later.
func (m Month) Add(n int) Month {
	if m.IsZero() {
		return m
	}
	return m.First().AddMonths(n).YearMonth()
}

// String is "2026-10", or "" for the zero Month.
func (m Month) String() string {
	if m.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d", m.Year, int(m.Month))
}

// Period is the stretch of time that a metric describes: one ISO week or one
// calendar month. Exactly one field is set; the zero Period is neither.
type Period struct {
	Week  Week
	Month Month
}

// First returns the first day of the period.
func (p Period) First() Date {
	if !p.Week.IsZero() {
		return p.Week.Monday()
	}
	return p.Month.First()
}

// Last returns the last day of the period.
func (p Period) Last() Date {
	if !p.Week.IsZero() {
		return p.Week.Sunday()
	}
	return p.Month.Last()
}

// String is "2026-W07" or "2026-10".
func (p Period) String() string {
	if !p.Week.IsZero() {
		return p.Week.String()
	}
	return p.Month.String()
}

// MarshalText writes String.
func (p Period) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Period) UnmarshalText(b []byte) (err error) {
	*p = Period{}
	s := string(b)
	switch {
	case s == "":
	case strings.ContainsAny(s, "wW"):
		p.Week, err = ParseWeek(s)
	default:
		p.Month, err = ParseMonth(s)
	}
	return err
}
