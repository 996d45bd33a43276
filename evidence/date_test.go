package evidence_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/evidence"
)

func date(t *testing.T, s string) evidence.Date {
	t.Helper()
	d, err := evidence.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, want string
		bad      bool
	}{
		{"2026-02-28", "2026-02-28", false},
		{"2028-02-29 23:59:59.999999", "2028-02-29", false},
		{"2026-02-28T10:00:00", "2026-02-28", false},
		{"", "", false},
		{"0001-01-01", "", false}, // how sites write "never"
		{"9999-12-31", "", false},
		{"2026-02-29", "", true},
		{"28-02-2026", "", true},
		{"2026-2-8", "", true},
		{"2026-02-28x", "", true},
		{"soon", "", true},
	} {
		d, err := evidence.ParseDate(tt.in)
		if d.String() != tt.want || (err != nil) != tt.bad {
			t.Errorf("ParseDate(%q) = %q, %v; want %q, error %t", tt.in, d, err, tt.want, tt.bad)
		}
	}
}

// The clock of a non-conformance: the same day of the next month, or its last.
func TestAddMonthsStaysInTheMonth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from   string
		months int
		want   string
	}{
		{"2026-01-31", 1, "2026-02-28"},
		{"2028-01-31", 1, "2028-02-29"},
		{"2026-04-30", 1, "2026-05-30"},
		{"2026-12-31", 2, "2027-02-28"},
		{"2026-03-31", -1, "2026-02-28"},
		{"2026-11-15", 0, "2026-11-15"},
	} {
		if got := date(t, tt.from).AddMonths(tt.months); got.String() != tt.want {
			t.Errorf("%s and %d months = %s, want %s", tt.from, tt.months, got, tt.want)
		}
	}
	if !(evidence.Date{}).AddMonths(1).IsZero() || !(evidence.Date{}).AddDays(1).IsZero() {
		t.Error("a date that is not set has no day after it")
	}
}

func TestWeeksAtTheEndOfTheYear(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ day, week, monday string }{
		{"2026-12-31", "2026-W53", "2026-12-28"}, // a year of 53 weeks
		{"2027-01-03", "2026-W53", "2026-12-28"},
		{"2027-01-04", "2027-W01", "2027-01-04"},
		{"2026-01-01", "2026-W01", "2025-12-29"},
		{"2024-12-30", "2025-W01", "2024-12-30"},
		{"2026-10-25", "2026-W43", "2026-10-19"}, // the clocks go back that night
	} {
		w := date(t, tt.day).Week()
		if w.String() != tt.week || w.Monday().String() != tt.monday || w.Sunday() != w.Monday().AddDays(6) {
			t.Errorf("%s is in %s, from %s to %s; want %s from %s", tt.day, w, w.Monday(), w.Sunday(), tt.week, tt.monday)
		}
	}
	if _, err := evidence.ParseWeek("2025-W53"); err == nil {
		t.Error("2025 has 52 weeks")
	}
	for _, s := range []string{"2026-W07", "2026w07", " 2026W7 "} {
		if w, err := evidence.ParseWeek(s); err != nil || w.String() != "2026-W07" {
			t.Errorf("ParseWeek(%q) = %s, %v", s, w, err)
		}
	}
}

func TestADaysStartIsThatOfTheZone(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if got := date(t, "2026-10-25").Start(berlin); !got.Equal(time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC)) {
		t.Errorf("25 October begins at %v", got)
	}
	// That day has 25 hours.
	if got := date(t, "2026-10-26").Start(berlin).Sub(date(t, "2026-10-25").Start(berlin)); got != 25*time.Hour {
		t.Errorf("it lasts %v", got)
	}
	if got := evidence.DateIn(time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), berlin); got.String() != "2026-10-25" {
		t.Errorf("22:00 UTC is on %s in Berlin", got)
	}
}

func TestPeriodsInJSON(t *testing.T) {
	t.Parallel()
	type record struct {
		On     evidence.Date
		Week   evidence.Period
		Month  evidence.Period
		Unset  evidence.Period
		Unsaid evidence.Date
	}
	in := record{
		On: evidence.NewDate(2026, 11, 16), Week: evidence.Period{Week: evidence.Week{Year: 2026, Number: 46}},
		Month: evidence.Period{Month: evidence.Month{Year: 2026, Month: 10}},
	}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"On":"2026-11-16","Week":"2026-W46","Month":"2026-10","Unset":"","Unsaid":""}`; string(b) != want {
		t.Errorf("JSON %s, want %s", b, want)
	}
	var out record
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("there and back (-want +got):\n%s", diff)
	}
	if in.Month.First().String() != "2026-10-01" || in.Month.Last().String() != "2026-10-31" || in.Week.Last().String() != "2026-11-15" {
		t.Errorf("October is %s to %s, W46 ends %s", in.Month.First(), in.Month.Last(), in.Week.Last())
	}
	for _, bad := range []string{`{"Week":"2026-W60"}`, `{"Month":"2026-13"}`, `{"On":"x"}`} {
		if json.Unmarshal([]byte(bad), &out) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestDatesAreRightOverTwoCenturies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		d := evidence.NewDate(1900, 1, 1).AddDays(rapid.IntRange(0, 109_000).Draw(rt, "day"))
		n := rapid.IntRange(-4000, 4000).Draw(rt, "days")
		if got := d.AddDays(n).DaysSince(d); got != n {
			rt.Fatalf("%s and %d days are %d days later", d, n, got)
		}
		w := d.Week()
		if w.Monday().After(d) || w.Sunday().Before(d) || w.Monday().Weekday() != time.Monday {
			rt.Fatalf("%s is in %s, %s to %s", d, w, w.Monday(), w.Sunday())
		}
		if back, err := evidence.ParseWeek(w.String()); err != nil || back != w || w.Add(1).Monday() != w.Monday().AddDays(7) {
			rt.Fatalf("%s reads back as %s, %v; the next is %s", w, back, err, w.Add(1))
		}
		if back, err := evidence.ParseDate(d.String()); err != nil || back != d && d.Year <= 2200 {
			rt.Fatalf("%s reads back as %s, %v", d, back, err)
		}
		m := d.YearMonth()
		if m.First().After(d) || m.Last().Before(d) || m.Last().AddDays(1) != m.Add(1).First() {
			rt.Fatalf("%s is in %s, %s to %s", d, m, m.First(), m.Last())
		}
	})
}
