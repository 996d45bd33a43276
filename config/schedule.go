package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// minInterval is the shortest beat: anything quicker asks sites more often than
// their documents change.
const minInterval = time.Minute

// Schedule is a cron expression of five fields, or "@every 15m", "@hourly" and
// the like. It says when, and owns no timer. Fields are read in UTC unless the
// expression starts with CRON_TZ=Area/City; a time that a zone skips in spring
// is skipped that day. The zero value never fires.
type Schedule struct {
	expression string
	when       cron.Schedule
}

// ParseSchedule reads an expression; its error says what is wrong and the remedy.
// An expression that never fires is an error.
func ParseSchedule(expression string) (Schedule, error) {
	problem, remedy := "", ""
	s := Schedule{expression: expression}
	s.when, problem, remedy = parseCron(expression)
	if problem != "" {
		return Schedule{}, errors.New(problem + "; " + remedy)
	}
	return s, nil
}

// Next returns the first instant after the given one at which s fires, in UTC;
// the zero time if there is none.
func (s Schedule) Next(after time.Time) time.Time {
	if s.when == nil {
		return time.Time{}
	}
	next := s.when.Next(after.UTC())
	if next.IsZero() {
		return time.Time{}
	}
	return next.UTC()
}

// String returns the expression as it was written.
func (s Schedule) String() string { return s.expression }

// Equal reports whether both were written the same.
func (s Schedule) Equal(other Schedule) bool { return s.expression == other.expression }

// parseCron keeps the caller from what the cron package does with some texts: it
// panics on a lone "TZ=UTC", rounds "@every 1ms" up to a second, and accepts
// dates that no calendar has.
func parseCron(expression string) (when cron.Schedule, problem, remedy string) {
	const example = `write five fields as in "*/15 * * * *", or "@every 15m"`
	defer func() {
		if recover() != nil {
			when, problem, remedy = nil, shown(expression)+" is not a schedule", example
		}
	}()
	if strings.TrimSpace(expression) == "" {
		return nil, "the schedule is empty", example
	}
	if len(expression) > 200 {
		return nil, "the schedule is longer than any needs to be", example
	}
	if every, ok := strings.CutPrefix(expression, "@every "); ok {
		d, err := time.ParseDuration(every)
		switch {
		case err != nil:
			return nil, fmt.Sprintf("%s is not a length of time", shown(every)), `write it as in "@every 15m"`
		case d < minInterval:
			return nil, fmt.Sprintf("@every %s is too short", every), "use 1m or more"
		case d > 366*24*time.Hour:
			return nil, fmt.Sprintf("@every %s is longer than a year", every), "use 24h or less"
		}
	}
	when, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, shown(expression) + " is not a schedule: " + cronReason(err), example
	}
	// Any start will do: cron looks five years ahead, past the next leap day.
	if when.Next(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, shown(expression) + " never comes", "name a day that the month has"
	}
	return when, "", ""
}

// cronReason shortens what the parser says to its own words about one field.
func cronReason(err error) string {
	text := err.Error()
	if before, _, ok := strings.Cut(text, ": ["); ok {
		text = before
	}
	if strings.Contains(text, "unknown time zone") || strings.Contains(text, "bad location") {
		return "its time zone is unknown"
	}
	if r := []rune(text); len(r) > 80 {
		text = string(r[:80]) + "…"
	}
	return text
}
