package programme_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/programme"
)

func day(t testing.TB, s string) evidence.Date {
	t.Helper()
	d, err := evidence.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The clock of an NC: same day next month, clamped; a person's date wins.
func TestDueOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ raised, expected, status, want string }{
		{"2027-01-31", "", "Open", "2027-02-28"},
		{"2028-01-31", "", "Open", "2028-02-29"},
		{"2100-01-31", "", "Open", "2100-02-28"},
		{"2026-04-30", "", "Open", "2026-05-30"},
		{"2026-03-31", "", "Open", "2026-04-30"},
		{"2026-12-15", "", "Open", "2027-01-15"},
		{"2028-02-29", "", "Open", "2028-03-29"},
		{"2026-10-05", "", "On Hold", "2026-11-05"}, // On Hold stops nothing
		{"2026-10-05", "", "WIP", "2026-11-05"},
		{"2026-10-05", "2026-10-20", "Open", "2026-10-20"}, // shortened
		{"2026-10-05", "2027-01-31", "On Hold", "2027-01-31"},
		{"", "", "Open", ""},
		{"", "2026-10-20", "Open", "2026-10-20"},
	} {
		n := programme.NC{Raised: day(t, tt.raised), Expected: day(t, tt.expected), Status: tt.status}
		if got := n.DueOn().String(); got != tt.want {
			t.Errorf("raised %q, a person's date %q: due %q, want %q", tt.raised, tt.expected, got, tt.want)
		}
	}
}

func TestOverdueAndLate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, closed, today string
		overdue, late         bool
	}{
		{"Open", "", "2026-11-05", false, false}, // the due day counts
		{"Open", "", "2026-11-06", true, false},
		{"WIP", "", "2026-11-06", true, false},
		{"On Hold", "", "2026-11-06", true, false},
		{"Closed", "2026-11-05", "2026-12-01", false, false},
		{"Closed", "2026-11-06", "2026-12-01", false, true},
		{"Discarded", "", "2026-12-01", false, false},
	} {
		n := programme.NC{Raised: day(t, "2026-10-05"), Status: tt.status, ClosedOn: day(t, tt.closed)}
		if got := n.OverdueOn(day(t, tt.today)); got != tt.overdue {
			t.Errorf("%s on %s: overdue %t", tt.status, tt.today, got)
		}
		if got := n.Late(); got != tt.late {
			t.Errorf("%s, closed %q: late %t", tt.status, tt.closed, got)
		}
	}
}

// The PRM's date decides in every zone, in the hour that a clock change repeats
// and in the one that it leaves out, and for a partner that closes at 23:30.
func TestTodayIsThePRMs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, now, today string }{
		{"Asia/Kolkata", "2026-11-05T18:29:59Z", "2026-11-05"},
		{"Asia/Kolkata", "2026-11-05T18:30:00Z", "2026-11-06"},
		{"America/Los_Angeles", "2026-11-06T07:59:59Z", "2026-11-05"},
		{"Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25"},
		{"Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25"},
		{"Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29"},
		{"Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29"},
		{"Pacific/Auckland", "2026-11-05T11:00:00Z", "2026-11-06"},
		{"no/zone", "2026-11-05T23:00:00Z", "2026-11-05"},
		// 23:30 in New York on the 5th is already the 6th on a PRM in Kolkata.
		{"Asia/Kolkata", "2026-11-05T23:30:00-05:00", "2026-11-06"},
	} {
		c := programme.CaseOf(&programme.Input{Zone: tt.zone}, "p", at(t, tt.now))
		if got := c.Today.String(); got != tt.today {
			t.Errorf("%s in %s: %s, want %s", tt.now, tt.zone, got, tt.today)
		}
	}
}

func TestWaitingCountsWorkingDays(t *testing.T) {
	t.Parallel()
	holidays := evidence.Calendar{Holidays: []evidence.Date{day(t, "2026-11-09"), day(t, "2026-11-10")}}
	for _, tt := range []struct {
		name, now, since string
		calendar         evidence.Calendar
		days             int
		rule             string
	}{
		{"the same day", "2026-11-05T12:00:00Z", "2026-11-05", evidence.Calendar{}, 0, ""},
		{"a Friday, on Monday", "2026-11-09T12:00:00Z", "2026-11-06", evidence.Calendar{}, 1, ""},
		{"a Friday, on Tuesday", "2026-11-10T12:00:00Z", "2026-11-06", evidence.Calendar{}, 2, programme.RuleWarningOutstanding},
		{"a Friday, on Wednesday", "2026-11-11T12:00:00Z", "2026-11-06", evidence.Calendar{}, 3, programme.RuleEscalationUnattended},
		{"over two holidays", "2026-11-11T12:00:00Z", "2026-11-06", holidays, 1, ""},
		{"a Saturday, on Sunday", "2026-11-08T12:00:00Z", "2026-11-07", evidence.Calendar{}, 0, ""},
		{"from the future", "2026-11-05T12:00:00Z", "2026-11-20", evidence.Calendar{}, 0, ""},
	} {
		in := programme.Input{Calendar: tt.calendar, Zone: "UTC", Escalations: []programme.Escalation{{Name: "ESC-1", Partner: "p", Status: "Received", ReceivedOn: day(t, tt.since)}}}
		c := programme.CaseOf(&in, "p", at(t, tt.now))
		if got := c.Waiting(c.Escalations[0]); got.Days != tt.days || got.Rule != tt.rule {
			t.Errorf("%s: %+v, want %d days and %q", tt.name, got, tt.days, tt.rule)
		}
	}
}

// What only somebody who keeps looking can know is carried from one look to the
// next, and neither moves nor is lost.
func TestCarryKeepsFirstSightings(t *testing.T) {
	t.Parallel()
	look := func(audit, nc, esc, closedOn string) programme.Input {
		return programme.Input{
			Zone:        "Asia/Kolkata",
			Audits:      []programme.Audit{{Name: "ADT-1", Status: audit}},
			NCs:         []programme.NC{{Name: "PNC-1", Status: nc, ClosedOn: day(t, closedOn)}},
			Escalations: []programme.Escalation{{Name: "ESC-1", Status: esc}},
		}
	}
	t0 := at(t, "2026-11-05T20:00:00Z") // the 6th in Kolkata
	hour := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Hour) }
	a := programme.Carry(programme.Input{}, look("Scheduled", "Open", "Received", ""), t0)
	b := programme.Carry(a, look("In Progress", "Closed", "Warning Sent", ""), hour(30))
	c := programme.Carry(b, look("Completed", "Closed", "Closed - Customer Side", ""), hour(60))
	d := programme.Carry(c, look("Completed", "Open", "Re-opened", ""), hour(90))
	e := programme.Carry(d, look("Completed", "Closed", "Re-opened", "2026-12-24"), hour(120))
	if got := b.Audits[0].InProgressSince; !got.Equal(hour(30)) {
		t.Errorf("in progress since %s", got)
	}
	if got := c.Audits[0].InProgressSince; !got.Equal(hour(30)) {
		t.Errorf("completed: in progress since %s", got)
	}
	if got := e.Audits[0].ScheduledSince; !got.Equal(t0) {
		t.Errorf("scheduled since %s", got)
	}
	if got := c.NCs[0].ClosedDay().String(); got != "2026-11-07" {
		t.Errorf("closed on %s, want the day of the first sighting", got)
	}
	if n := d.NCs[0]; !n.Reopened() || n.EverClosed.String() != "2026-11-07" {
		t.Errorf("re-opened: %+v", n)
	}
	if got := e.NCs[0].ClosedDay().String(); got != "2026-12-24" {
		t.Errorf("closed again on %s", got)
	}
	if got := b.Escalations[0].StatusSince; !got.Equal(hour(30)) {
		t.Errorf("warned since %s", got)
	}
	if got := e.Escalations[0]; got.Reopened != 1 || !got.StatusSince.Equal(hour(90)) {
		t.Errorf("re-opened %d times, since %s", got.Reopened, got.StatusSince)
	}
	again := programme.Carry(e, look("Completed", "Closed", "Re-opened", "2026-12-24"), hour(121))
	if diff := cmp.Diff(e, again); diff != "" {
		t.Errorf("the same look again differs (-first +second):\n%s", diff)
	}
}
