package measure

import (
	"math"
	"time"
)

// Options are the figures that no procedure fixes: every default is the
// house's own and may be changed. A field at its zero value means the default.
type Options struct {
	Weeks  int // full ISO weeks to measure; 12
	Months int // full calendar months to measure; 3
	// LateAfter is the number of days after a period's end by which a report of
	// it is in time; 3.
	LateAfter int
	// Burst is how close together reports of several periods must have been
	// typed to count as typed at once; 15 minutes.
	Burst time.Duration
	// DiffersPoints, DiffersStars and DiffersDays are how far a reported figure
	// may lie from the recomputed one; 2 points, 0.1 star, 1 day.
	DiffersPoints, DiffersStars, DiffersDays float64
	// ResponseWithin is the working time in which a query is to be answered
	// where no agreement governs it; 8 hours (the procedure says 6 to 8).
	ResponseWithin time.Duration
	// ReadyRoles are parts of a designation, in lower case, of the staff who
	// must become ready; "consultant".
	ReadyRoles []string
	// OpenOnly leaves completed tasks out of the denominator of overdue tasks.
	OpenOnly bool
	// PopulationCap is how many records a Value lists as its population, and how
	// many behind its numerator; 500.
	PopulationCap int
}

func (o Options) withDefaults() Options {
	or := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	orF := func(p *float64, v float64) {
		if !(*p > 0) || math.IsInf(*p, 0) {
			*p = v
		}
	}
	or(&o.Weeks, 12)
	or(&o.Months, 3)
	or(&o.LateAfter, 3)
	or(&o.PopulationCap, 500)
	orF(&o.DiffersPoints, 2)
	orF(&o.DiffersStars, 0.1)
	orF(&o.DiffersDays, 1)
	if o.Burst <= 0 {
		o.Burst = 15 * time.Minute
	}
	if o.ResponseWithin <= 0 {
		o.ResponseWithin = 8 * time.Hour
	}
	if len(o.ReadyRoles) == 0 {
		o.ReadyRoles = []string{"consultant"}
	}
	// A century of weeks is more than any window; it bounds the work.
	o.Weeks, o.Months = min(o.Weeks, 5200), min(o.Months, 1200)
	return o
}
