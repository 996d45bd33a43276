package frappe_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/prmsync/prmsync/connector/frappe"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, give, zone, first, last string
	}{
		{"whole second", "2026-11-20 18:00:00", "Europe/Berlin", "2026-11-20T17:00:00Z", ""},
		{"microseconds", "2026-11-20 18:00:00.000001", "Asia/Kolkata", "2026-11-20T12:30:00.000001Z", ""},
		{"short fraction", "2026-11-20 18:00:00.5", "UTC", "2026-11-20T18:00:00.5Z", ""},
		{"the site's zone, not ours", "2026-11-20 18:00:00", "America/New_York", "2026-11-20T23:00:00Z", ""},
		{"twice in autumn", "2026-10-25 02:40:00", "Europe/Berlin", "2026-10-25T00:40:00Z", "2026-10-25T01:40:00Z"},
		{"last minute before it happens twice", "2026-10-25 01:59:59", "Europe/Berlin", "2026-10-24T23:59:59Z", ""},
		{"first of the doubled hour", "2026-10-25 02:00:00", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
		{"after the doubled hour", "2026-10-25 03:00:00", "Europe/Berlin", "2026-10-25T02:00:00Z", ""},
		{"skipped in spring", "2026-03-29 02:30:00", "Europe/Berlin", "2026-03-29T01:30:00Z", ""},
		{"just before the gap", "2026-03-29 01:59:59.999999", "Europe/Berlin", "2026-03-29T00:59:59.999999Z", ""},
		{"just after the gap", "2026-03-29 03:00:00", "Europe/Berlin", "2026-03-29T01:00:00Z", ""},
		{"half an hour twice", "2026-04-05 01:45:00", "Australia/Lord_Howe", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"},
		{"a whole day skipped", "2011-12-30 12:00:00", "Pacific/Apia", "2011-12-30T22:00:00Z", ""},
		{"the last day of a leap year beyond the zone's table", "2040-12-31 12:00:00", "Europe/Berlin", "2040-12-31T11:00:00Z", ""},
		{"its last second", "2040-12-31 23:59:59", "America/New_York", "2041-01-01T04:59:59Z", ""},
		{"the day after", "2401-01-01 00:00:00", "Australia/Lord_Howe", "2400-12-31T13:00:00Z", ""},
		{"year 1", "0001-01-01 00:00:00", "UTC", "0001-01-01T00:00:00Z", ""},
		{"year 9999", "9999-12-31 23:59:59.999999", "UTC", "9999-12-31T23:59:59.999999Z", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loc := zone(t, tt.zone)
			first, last, err := frappe.ParseTimes(tt.give, loc)
			if err != nil {
				t.Fatal(err)
			}
			if tt.last == "" {
				tt.last = tt.first
			}
			if got := first.Format(time.RFC3339Nano); got != tt.first {
				t.Errorf("first of %s in %s is %s, want %s", tt.give, tt.zone, got, tt.first)
			}
			if got := last.Format(time.RFC3339Nano); got != tt.last {
				t.Errorf("last of %s in %s is %s, want %s", tt.give, tt.zone, got, tt.last)
			}
			if one, err := frappe.ParseTime(tt.give, loc); err != nil || !one.Equal(first) {
				t.Errorf("ParseTime gives %v, %v, want the first", one, err)
			}
		})
	}
}

func TestParseTimeRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"2026-11-20", "2026-11-20T18:00:00", "2026-11-20 18:00", "2026-11-20 18:00:00Z", "2026-11-20 18:00:00+01:00",
		"2026-11-20 18:00:00,5", "2026-11-20 18:00:00.", "2026-11-20 18:00:00.1234567", " 2026-11-20 18:00:00",
		"2026-11-20 24:00:00", "2026-11-20 23:59:60", "2026-02-30 00:00:00", "0000-01-01 00:00:00", "20-11-2026 18:00:00",
		"2026-11-20 1:00:00", "٢٠٢٦-11-20 18:00:00", "0000-00-00 00:00:00",
	} {
		if got, err := frappe.ParseTime(s, time.UTC); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", s, got)
		}
	}
	if got, err := frappe.ParseTime("9999-12-31 23:00:00", zone(t, "America/New_York")); err == nil {
		t.Errorf("a time beyond year 9999 in UTC gives %v, want an error", got)
	}
	if got, err := frappe.ParseTime("", time.UTC); err != nil || !got.IsZero() {
		t.Errorf("ParseTime of an unset field = %v, %v, want the zero time", got, err)
	}
}

// TestTimeRoundTrip walks a year of instants in zones with odd rules: the text
// of an instant leads back to it, or to its twin where the clock showed it twice.
func TestTimeRoundTrip(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia"} {
		loc := zone(t, name)
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() == 2026; at = at.Add(37*time.Minute + 7*time.Microsecond) {
			s := frappe.FormatTime(at, loc)
			first, last, err := frappe.ParseTimes(s, loc)
			if err != nil || (!first.Equal(at) && !last.Equal(at)) || frappe.FormatTime(first, loc) != s || frappe.FormatTime(last, loc) != s {
				t.Fatalf("%s: %v became %s became %v, %v (%v)", name, at, s, first, last, err)
			}
		}
	}
}

func TestFormatTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		give time.Time
		want string
	}{
		{time.Time{}, ""},
		{time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC), "2026-07-01 12:00:00"},
		{time.Date(2026, 7, 1, 10, 0, 0, 1000, time.UTC), "2026-07-01 12:00:00.000001"},
		{time.Date(2026, 7, 1, 10, 0, 0, 500_000_000, time.UTC), "2026-07-01 12:00:00.500000"},
		{time.Date(2026, 7, 1, 10, 0, 0, 999, time.UTC), "2026-07-01 12:00:00"},
	}
	for _, tt := range tests {
		if got := frappe.FormatTime(tt.give, zone(t, "Europe/Berlin")); got != tt.want {
			t.Errorf("FormatTime(%v) = %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestParseClock(t *testing.T) {
	t.Parallel()
	clocks := []struct {
		give string
		want time.Duration
		ok   bool
	}{
		{"9:05:00", 9*time.Hour + 5*time.Minute, true},
		{"17:30:00.250000", 17*time.Hour + 30*time.Minute + 250*time.Millisecond, true},
		{"0:00:00", 0, true},
		{"24:00:00", 0, false},
		{"9:5:0", 0, false},
		{"", 0, false},
	}
	for _, tt := range clocks {
		got, err := frappe.ParseClock(tt.give)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseClock(%q) = %v, %v, want %v, ok %v", tt.give, got, err, tt.want, tt.ok)
		}
	}
}

// TestOverlap: around the night when clocks go back the overlap grows by the
// hour that happens twice; elsewhere it does not.
func TestOverlap(t *testing.T) {
	t.Parallel()
	const base = 30 * time.Minute
	berlin := zone(t, "Europe/Berlin")
	tests := []struct {
		cursor string
		zone   *time.Location
		want   time.Duration
	}{
		{"2026-07-01 12:00:00", berlin, base},
		{"2026-10-25 02:59:59.999999", berlin, base + time.Hour},
		{"2026-10-25 03:10:00", berlin, base + time.Hour},
		{"2026-10-24 12:00:00", berlin, base + time.Hour},
		{"2026-10-27 12:00:00", berlin, base},
		{"2026-03-29 03:10:00", berlin, base}, // forward: nothing happens twice
		{"2026-04-05 01:50:00", zone(t, "Australia/Lord_Howe"), base + 30*time.Minute},
		{"2026-10-25 02:30:00", zone(t, "Asia/Kolkata"), base},
		{"2040-12-31 12:00:00", berlin, base}, // the last day of a leap year beyond the zone's table
		{"2026-10-25 02:30:00", nil, base + 2*time.Hour},
		{"soon", berlin, base + 2*time.Hour},
	}
	for _, tt := range tests {
		if got := frappe.Overlap(tt.cursor, tt.zone, base); got != tt.want {
			t.Errorf("Overlap(%q, %v) = %v, want %v", tt.cursor, tt.zone, got, tt.want)
		}
	}
}

// TestChangeOfClocks reads a site whose clock is put back between two reads: a
// document written after that carries an earlier time than one already read.
func TestChangeOfClocks(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 1, 0, 0)
	c.on = false
	c.rows = map[string]string{"BEFORE": "2026-10-25 02:59:30"}
	c.now = time.Date(2026, 10, 25, 0, 59, 30, 0, time.UTC)
	s := newStub(t, c.ServeHTTP)
	cl := client(t, s.URL, func(cfg *frappe.Config) { cfg.Clock = c.clock })
	read := func(since frappe.Cursor) (names []string, at frappe.Cursor) {
		for page, err := range cl.Scan(t.Context(), "Task", frappe.ScanOptions{Since: since, Overlap: 30 * time.Minute, Zone: zone(t, "Europe/Berlin")}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Rows {
				names = append(names, r.Name())
			}
			at = page.Cursor
		}
		return names, at
	}
	_, at := read(frappe.Cursor{})
	c.rows["AFTER"] = "2026-10-25 02:01:00" // ninety seconds later
	names, next := read(at)
	if len(names) != 2 || names[0] != "AFTER" {
		t.Errorf("read %v, want the document of the doubled hour", names)
	}
	if next != at {
		t.Errorf("the cursor went from %v to %v, want it unmoved", at, next)
	}
}

// TestFutureTimes: a time in the future, from an import or a wrong clock, must
// not carry the cursor past everything that is written later.
func TestFutureTimes(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 1, 0, 0)
	c.on = false
	c.rows = map[string]string{"OLD": "2026-10-20 08:00:00", "WRONG": "2099-01-01 00:00:00"}
	s := newStub(t, c.ServeHTTP)
	cl := client(t, s.URL, func(cfg *frappe.Config) { cfg.Clock = c.clock })
	var at frappe.Cursor
	var names []string
	for _, name := range []string{"", "NEW"} {
		if name != "" {
			c.rows[name] = "2026-10-20 08:30:00"
		}
		for page, err := range cl.Scan(t.Context(), "Task", frappe.ScanOptions{Since: at, Overlap: time.Minute, Zone: time.UTC}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Rows {
				names = append(names, r.Name())
			}
			at = page.Cursor
		}
	}
	want := []string{"OLD", "WRONG", "OLD", "NEW", "WRONG"}
	if len(names) != len(want) || names[3] != "NEW" {
		t.Errorf("read %v, want %v", names, want)
	}
}

// TestClockSkew: a site whose clock is ten minutes off in either direction is
// followed by its own clock.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		c := newChurn(t, 2, 300, 50)
		c.now = c.now.Add(skew)
		if missed := c.read(t, byKeyset(t)); missed != 0 {
			t.Errorf("skew %v: missed %d rows", skew, missed)
		}
	}
}
