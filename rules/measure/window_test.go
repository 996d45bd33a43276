package measure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

func date(s string) evidence.Date {
	d, err := evidence.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

func texts[T interface{ String() string }](in []T) (out []string) {
	for _, e := range in {
		out = append(out, e.String())
	}
	return out
}

// Edge case 18: weeks are ISO, also across a year of 53.
func TestWindows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		got  []string
		want []string
	}{
		{"a week that has 53 before it", texts(measure.FullWeeks(date("2027-01-05"), 3)), []string{"2026-W51", "2026-W52", "2026-W53"}},
		{"on Sunday the week is not over", texts(measure.FullWeeks(date("2026-11-22"), 1)), []string{"2026-W46"}},
		{"on Monday it is", texts(measure.FullWeeks(date("2026-11-23"), 1)), []string{"2026-W47"}},
		{"months", texts(measure.FullMonths(date("2027-01-31"), 3)), []string{"2026-10", "2026-11", "2026-12"}},
		{"no date", texts(measure.FullWeeks(evidence.Date{}, 3)), nil},
		{"none asked for", texts(measure.FullMonths(date("2026-12-04"), 0)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Edge case 2: days are those of the partner's zone, not the daemon's.
func TestWindowsCountInThePartnersZone(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC) // Sunday; Monday in Berlin
	for zone, want := range map[string]string{"UTC": "2026-W47", "Europe/Berlin": "2026-W48", "America/New_York": "2026-W47"} {
		s := &evidence.Snapshot{AsOf: at, Zone: zone}
		for _, v := range measure.All(s, measure.Options{}) {
			if v.Metric == measure.SLA && v.Current && v.Period.String() != want {
				t.Errorf("%s: the running week is %s, want %s", zone, v.Period, want)
			}
		}
	}
}

// office works Monday to Friday from 8 to 17.
func office() (a evidence.Agreement) {
	a.Enabled = true
	for d := time.Monday; d <= time.Friday; d++ {
		a.Hours[d] = []evidence.Hours{{From: 8 * 60, To: 17 * 60}}
	}
	return a
}

func calendar(days ...string) (c evidence.Calendar) {
	for _, d := range days {
		c.Holidays = append(c.Holidays, date(d))
	}
	return c
}

func TestBusinessTime(t *testing.T) {
	t.Parallel()
	loc := berlin(t)
	clock := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, loc)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	split := office()
	split.Hours[time.Monday] = []evidence.Hours{{From: 13 * 60, To: 17 * 60}, {From: 8 * 60, To: 12 * 60}, {From: 9 * 60, To: 12 * 60}, {From: 20 * 60, To: 3 * 60}}
	tests := []struct {
		name     string
		a        evidence.Agreement
		c        evidence.Calendar
		from, to time.Time
		want     time.Duration
	}{
		{"within a day", office(), calendar(), clock("2026-11-16 09:00"), clock("2026-11-16 11:30"), 150 * time.Minute},
		{"over night", office(), calendar(), clock("2026-11-16 16:00"), clock("2026-11-17 09:00"), 2 * time.Hour},
		{"over a weekend", office(), calendar(), clock("2026-11-13 16:00"), clock("2026-11-16 09:00"), 2 * time.Hour},
		{"over a holiday", office(), calendar("2026-11-17"), clock("2026-11-16 16:00"), clock("2026-11-18 09:00"), 2 * time.Hour},
		{"a holiday named twice", office(), calendar("2026-11-17", "2026-11-17"), clock("2026-11-16 16:00"), clock("2026-11-18 09:00"), 2 * time.Hour},
		{"begun on a holiday", office(), calendar("2026-11-16"), clock("2026-11-16 09:00"), clock("2026-11-17 09:00"), time.Hour},
		{"before and after hours", office(), calendar(), clock("2026-11-16 03:00"), clock("2026-11-16 23:00"), 9 * time.Hour},
		{"wholly on a Sunday", office(), calendar(), clock("2026-11-15 03:00"), clock("2026-11-15 23:00"), 0},
		{"two weeks", office(), calendar(), clock("2026-11-02 08:00"), clock("2026-11-16 08:00"), 90 * time.Hour},
		{"the clocks go back within it", office(), calendar(), clock("2026-10-23 16:00"), clock("2026-10-26 09:00"), 2 * time.Hour},
		{"the clocks go forward within it", office(), calendar(), clock("2026-03-27 16:00"), clock("2026-03-30 09:00"), 2 * time.Hour},
		{"shifts out of order, overlapping, backwards", split, calendar(), clock("2026-11-16 00:00"), clock("2026-11-17 00:00"), 8 * time.Hour},
		{"to is before from", office(), calendar(), clock("2026-11-17 09:00"), clock("2026-11-16 09:00"), 0},
		{"the same instant", office(), calendar(), clock("2026-11-17 09:00"), clock("2026-11-17 09:00"), 0},
		{"not set", office(), calendar(), time.Time{}, clock("2026-11-17 09:00"), 0},
		{"an agreement without hours", evidence.Agreement{}, calendar(), clock("2026-11-16 09:00"), clock("2026-11-20 11:30"), 0},
		{"until the end of time", office(), calendar(), time.Date(9000, 1, 6, 8, 0, 0, 0, loc), time.Date(9000, 1, 6+7*1000, 8, 0, 0, 0, loc), 45_000 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := measure.BusinessTime(tt.a, tt.c, tt.from, tt.to, loc); got != tt.want {
				t.Errorf("BusinessTime(%v, %v) = %v, want %v", tt.from, tt.to, got, tt.want)
			}
		})
	}
}

// Counting minute by minute gives the same, in any zone, and a promise runs out
// when exactly that much working time has passed.
func TestBusinessTimeIsWhatCountingGives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom([]string{"UTC", "Asia/Kolkata", "Europe/Berlin", "Pacific/Apia"}).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		var a evidence.Agreement
		for d := range a.Hours {
			for range rapid.IntRange(0, 2).Draw(t, "shifts") {
				a.Hours[d] = append(a.Hours[d], evidence.Hours{From: rapid.IntRange(-10, 1500).Draw(t, "open"), To: rapid.IntRange(-10, 1500).Draw(t, "close")})
			}
		}
		start := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
		var c evidence.Calendar
		for range rapid.IntRange(0, 3).Draw(t, "holidays") {
			c.Holidays = append(c.Holidays, evidence.DateIn(start.AddDate(0, 0, rapid.IntRange(0, 20).Draw(t, "holiday")), time.UTC))
		}
		if rapid.Bool().Draw(t, "sorted") {
			slices.SortFunc(c.Holidays, evidence.Date.Compare)
		}
		// The wall's minutes, so that clocks that go back count once.
		from := start.Add(time.Duration(rapid.IntRange(0, 20*1440).Draw(t, "from")) * time.Minute)
		to := from.Add(time.Duration(rapid.IntRange(0, 12*1440).Draw(t, "length")) * time.Minute)
		var want time.Duration
		for m := from; m.Before(to); m = m.Add(time.Minute) {
			d := evidence.DateIn(m, time.UTC)
			minute := m.Hour()*60 + m.Minute()
			open := slices.ContainsFunc(a.Hours[d.Weekday()], func(h evidence.Hours) bool { return h.From <= minute && minute < h.To })
			if open && !slices.Contains(c.Holidays, d) {
				want += time.Minute
			}
		}
		wall := func(x time.Time) time.Time {
			return time.Date(x.Year(), x.Month(), x.Day(), x.Hour(), x.Minute(), 0, 0, loc)
		}
		f, u := wall(from), wall(to)
		if f.Hour() != from.Hour() || u.Hour() != to.Hour() {
			return // a minute that this zone's clocks left out
		}
		got := measure.BusinessTime(a, c, f, u, loc)
		if got != want {
			t.Fatalf("BusinessTime(%v, %v) = %v, counting gives %v", f, u, got, want)
		}
	})
}

func TestWorkingDays(t *testing.T) {
	t.Parallel()
	c := calendar("2026-11-18")
	tests := []struct {
		from, to string
		want     int
	}{
		{"2026-11-13", "2026-11-20", 4}, // Friday to Friday, Wednesday off
		{"2026-11-20", "2026-11-22", 0},
		{"2026-11-20", "2026-11-20", 0},
		{"2026-11-20", "2026-11-13", 0},
		{"", "2026-11-13", 0},
		{"1900-01-01", "2199-01-01", 0}, // beyond what can be meant
	}
	for _, tt := range tests {
		if got := measure.WorkingDays(office(), c, date(tt.from), date(tt.to)); got != tt.want {
			t.Errorf("WorkingDays(%q, %q) = %d, want %d", tt.from, tt.to, got, tt.want)
		}
	}
	if measure.Working(evidence.Agreement{}, c, date("2026-11-21")) || !measure.Working(evidence.Agreement{}, c, date("2026-11-20")) {
		t.Error("without an agreement Monday to Friday are worked")
	}
}

// Edge case 19: a week without a working day needs no report.
func TestExemptWeek(t *testing.T) {
	t.Parallel()
	week := evidence.Week{Year: 2026, Number: 52}
	s := &evidence.Snapshot{AsOf: time.Date(2027, 1, 21, 12, 0, 0, 0, time.UTC), Zone: "UTC"}
	if measure.Exempt(s, week) {
		t.Error("exempt without a holiday list")
	}
	c := calendar("2026-12-21", "2026-12-22", "2026-12-23", "2026-12-24", "2026-12-25", "2026-12-26", "2026-12-27")
	c.Ref = evidence.Ref{Site: "erp", Doctype: "Holiday List", Name: "Two"}
	c.Default = true
	one := calendar("2026-12-24")
	one.Ref = evidence.Ref{Site: "erp", Doctype: "Holiday List", Name: "One"}
	s.Calendars = []evidence.Calendar{one, c}
	if !measure.Exempt(s, week) || measure.Exempt(s, week.Add(1)) || measure.Exempt(s, evidence.Week{}) {
		t.Error("only the week of holidays is exempt")
	}
	s.Channels = map[string]evidence.Channel{"report": {Mapped: true, Authoritative: true}}
	s.Projects = []evidence.Project{{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: "P"}, Status: "Open", Customer: "C"}}
	s.Tasks = []evidence.Task{{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: "T"}, Project: "P", Status: "Open"}}
	for _, v := range measure.All(s, measure.Options{}) {
		if v.Metric != measure.OverduePct || v.Project != "" || v.Current {
			continue
		}
		want, exempt := measure.Never, 0.0
		if v.Period.Week == week {
			want, exempt = measure.NotDue, 1
		}
		if v.Timeliness != want || v.Counts[measure.CountExempt] != exempt {
			t.Errorf("%s: %s, exempt %v; want %s, %v", v.Period, v.Timeliness, v.Counts[measure.CountExempt], want, exempt)
		}
	}
}
