package frappe

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var errTime = errors.New("not a Frappe Datetime (2006-01-02 15:04:05.000000, years 1 to 9999)")

// ParseTime reads a Frappe Datetime, which carries no zone: it is the wall
// clock of the site (never the caller's zone). The result is UTC. An empty s is
// the zero time, as an unset field arrives.
//
// A wall time that the clocks passed twice is the earlier of the two instants;
// ParseTimes gives both. One that they skipped is read with the offset that held
// before the change, which moves it forward by the gap, as a clock that nobody
// put forward would show it.
func ParseTime(s string, site *time.Location) (time.Time, error) {
	first, _, err := ParseTimes(s, site)
	return first, err
}

// ParseTimes is ParseTime for a caller who must know: first and last differ only
// where the wall time of the site happened twice.
func ParseTimes(s string, site *time.Location) (first, last time.Time, err error) {
	if s == "" {
		return time.Time{}, time.Time{}, nil
	}
	wall, err := parseWall(s)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	first, last = instants(wall, site)
	for _, t := range []time.Time{first, last} {
		if y := t.Year(); y < 1 || y > 9999 {
			return time.Time{}, time.Time{}, errTime
		}
	}
	return first, last, nil
}

// parseWall reads the text as if its zone were UTC. The form is fixed, since
// package time would accept commas and one-digit hours too.
func parseWall(s string) (time.Time, error) {
	const form = "2006-01-02 15:04:05"
	if len(s) < len(form) || len(s) > len(form)+7 {
		return time.Time{}, errTime
	}
	for i := range len(s) {
		want := byte('0')
		if i < len(form) {
			want = form[i]
		} else if i == len(form) {
			want = '.'
		}
		if digit := want >= '0' && want <= '9'; digit != (s[i] >= '0' && s[i] <= '9') || !digit && s[i] != want {
			return time.Time{}, errTime
		}
	}
	if len(s) == len(form)+1 {
		return time.Time{}, errTime
	}
	t, err := time.Parse(form, s)
	if err != nil || t.Year() < 1 {
		return time.Time{}, errTime
	}
	return t, nil
}

// farthest is more than any zone has ever been from UTC.
const farthest = 16 * time.Hour

// instants returns the first and last instant at which clocks in loc showed
// wall.
func instants(wall time.Time, loc *time.Location) (first, last time.Time) {
	if loc == nil || loc == time.UTC {
		return wall, wall
	}
	guess := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), loc)
	if start, end := guess.ZoneBounds(); (start.IsZero() || guess.Sub(start) > 2*farthest) && (end.IsZero() || end.Sub(guess) > 2*farthest) {
		u := guess.UTC()
		return u, u
	}
	var found bool
	var before time.Time // the reading with the offset that ended last before the wall time
	for t := wall.Add(-farthest).In(loc); ; {
		_, offset := t.Zone()
		start, end := bounds(t)
		u := wall.Add(-time.Duration(offset) * time.Second)
		switch {
		case !end.IsZero() && !u.Before(end):
			before = u
		case start.IsZero() || !u.Before(start):
			if !found {
				first, found = u, true
			}
			last = u
		}
		if end.IsZero() || end.After(wall.Add(farthest)) {
			break
		}
		t = end.In(loc)
	}
	if !found {
		return before, before
	}
	return first, last
}

// bounds is t.ZoneBounds with an end that lies after t. Beyond a zone's table,
// which for many zones begins long ago, package time ends each year after 365
// days; on 31 December of a leap year that is past already.
func bounds(t time.Time) (start, end time.Time) {
	start, end = t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = t.Add(time.Hour)
	}
	return start, end
}

// FormatTime writes t as the site's clock shows it, in Frappe's own spelling:
// six digits of a second, left out when they are zero. The zero time is "".
func FormatTime(t time.Time, site *time.Location) string {
	if t.IsZero() {
		return ""
	}
	if site == nil {
		site = time.UTC
	}
	s := t.In(site).Format("2006-01-02 15:04:05.000000")
	return strings.TrimSuffix(s, ".000000")
}

// ParseClock reads a Frappe Time ("9:05:00", "17:30:00.250000") as the time
// since midnight, below 24 hours.
func ParseClock(s string) (time.Duration, error) {
	if len(s) >= 2 && s[1] == ':' {
		s = "0" + s
	}
	t, err := parseWall("2000-01-01 " + s)
	if err != nil {
		return 0, errors.New("not a Frappe Time (15:04:05)")
	}
	return t.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), nil
}

// Overlap returns how far behind a cursor a read must begin again. base covers
// transactions that commit late; where the site's clock was or will be put back
// within a day of the cursor, the hour that happens twice is added, because
// documents written in it carry times already passed. An unreadable cursor or
// an unknown zone gets base and two hours.
func Overlap(cursor string, site *time.Location, base time.Duration) time.Duration {
	const unknown = 2 * time.Hour
	wall, err := parseWall(cursor)
	if err != nil || site == nil {
		return base + unknown
	}
	near, _ := instants(wall, site)
	back := time.Duration(0)
	for t := near.Add(-24 * time.Hour).In(site); ; {
		_, before := t.Zone()
		_, end := bounds(t)
		if end.IsZero() || end.After(near.Add(24*time.Hour)) {
			break
		}
		t = end.In(site)
		if _, after := t.Zone(); after < before {
			back = max(back, time.Duration(before-after)*time.Second)
		}
	}
	return base + back
}

// earlier moves a raw modified back by d on the site's own clock, without zone
// arithmetic: the texts are compared as texts of that clock.
func earlier(modified string, d time.Duration) (string, error) {
	t, err := parseWall(modified)
	if err != nil {
		return "", fmt.Errorf("cursor: %w", err)
	}
	t = t.Add(-d)
	if t.Year() < 1 {
		return "0001-01-01 00:00:00", nil
	}
	return FormatTime(t, time.UTC), nil
}
