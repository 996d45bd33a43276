package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/config"
)

func TestScheduleNext(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	tests := []struct{ expression, after, want string }{
		{"@every 15m", "2026-11-24T08:00:30Z", "2026-11-24T08:15:30Z"},
		{"*/10 * * * *", "2026-11-24T08:10:00Z", "2026-11-24T08:20:00Z"},
		{"*/10 * * * *", "2026-11-24T13:39:59+05:30", "2026-11-24T08:10:00Z"},
		{"0 2 * * *", "2026-11-24T08:00:00Z", "2026-11-25T02:00:00Z"},
		{"0 2 * * *", "2026-11-24T23:00:00+05:30", "2026-11-25T02:00:00Z"}, // UTC, whatever zone the instant has
		{"CRON_TZ=Asia/Kolkata 0 2 * * *", "2026-11-24T08:00:00Z", "2026-11-24T20:30:00Z"},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"}, // 02:30 is skipped on the 29th
		{"0 0 29 2 *", "2026-11-24T08:00:00Z", "2028-02-29T00:00:00Z"},
	}
	for _, tt := range tests {
		s, err := config.ParseSchedule(tt.expression)
		if err != nil {
			t.Errorf("ParseSchedule(%q): %v", tt.expression, err)
			continue
		}
		if got := s.Next(at(tt.after)); !got.Equal(at(tt.want)) || got.Location() != time.UTC {
			t.Errorf("%q after %s = %s, want %s", tt.expression, tt.after, got, tt.want)
		}
	}
	var never config.Schedule
	if got := never.Next(at("2026-11-24T08:00:00Z")); !got.IsZero() {
		t.Errorf("the zero Schedule fires at %s, want never", got)
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ expression, want string }{
		{"", "the schedule is empty"},
		{"TZ=", "is not a schedule"},
		{"TZ=UTC", "is not a schedule"},
		{"CRON_TZ=", "is not a schedule"},
		{"CRON_TZ=Mars/Olympus * * * * *", "its time zone is unknown"},
		{"* * * *", "is not a schedule"},
		{"* * * * * *", "is not a schedule"},
		{"61 * * * *", "is not a schedule"},
		{"@reboot", "is not a schedule"},
		{"@every 59s", "use 1m or more"},
		{"@every -1h", "use 1m or more"},
		{"@every 9000h", "longer than a year"},
		{"@every soon", "is not a length of time"},
		{"@every", "is not a schedule"},
		{"0 0 31 2 *", "never comes"},
		{"0 0 31 4,6,9,11 *", "never comes"},
		{strings.Repeat("*", 500), "longer than any needs to be"},
	}
	for _, tt := range tests {
		if s, err := config.ParseSchedule(tt.expression); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseSchedule(%q) = %v, %v, want an error with %q", tt.expression, s, err, tt.want)
		}
	}
}

// FuzzSchedule: what is accepted fires later than it was asked for, again and again.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"@every 15m", "*/10 * * * *", "TZ=UTC", "TZ=", "CRON_TZ=Asia/Kolkata 30 6 * * 1-5", "0 0 31 2 *", "@daily", "0 0 29 2 *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		s, err := config.ParseSchedule(expression)
		if err != nil {
			return
		}
		now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
		for range 3 {
			next := s.Next(now)
			if next.Before(now.Add(time.Second)) {
				t.Fatalf("%q after %s = %s, want later", expression, now, next)
			}
			now = next
		}
	})
}
