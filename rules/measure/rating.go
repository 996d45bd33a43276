package measure

import (
	"math"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// lowStars is where a customer's answer calls for a look at the cause [H].
const lowStars = 4

// ratings adds up customers' answers.
type ratings struct {
	sum                         float64
	rated, unrated, low, broken int
	least                       float64
}

func (r *ratings) add(m *meter, v *Value, ref *evidence.Ref, n float64, rated bool) {
	switch {
	case !rated || n == 0:
		r.unrated++
		return
	case !stars(n, rated):
		r.broken++
		return
	}
	r.sum += n
	r.rated++
	if n < lowStars {
		r.low++
	}
	if r.rated == 1 || n < r.least {
		r.least = n
	}
	m.behind(v, ref)
	m.counted(v, ref)
}

// addTicket adds a ticket's rating: its own, else the mean of the answers about
// it that are kept elsewhere.
func (r *ratings) addTicket(m *meter, v *Value, t *evidence.Ticket, apart []*evidence.Feedback) {
	if t.Rated && t.Stars != 0 || len(apart) == 0 {
		r.add(m, v, &t.Ref, t.Stars, t.Rated)
		return
	}
	sum, n := 0.0, 0
	for _, f := range apart {
		if stars(f.Stars, f.Rated) {
			sum, n = sum+f.Stars, n+1
			m.counted(v, &f.Ref)
		}
	}
	if n == 0 {
		r.add(m, v, &t.Ref, 0, false)
		return
	}
	r.add(m, v, &t.Ref, sum/float64(n), true)
}

func (r *ratings) set(v *Value) {
	v.mean(r.sum, r.rated)
	v.count(CountRated, float64(r.rated))
	v.count(CountUnrated, float64(r.unrated))
	v.count(CountInvalid, float64(r.broken))
	if r.rated > 0 {
		v.count(CountLow, float64(r.low))
		v.count(CountMin, math.Min(r.least, 5))
	}
}

// feedback returns the answers of a kind in a fixed order.
func (m *meter) feedback(kind evidence.FeedbackKind) []*evidence.Feedback {
	var out []*evidence.Feedback
	for _, f := range inOrder(m.s.Feedback, func(f *evidence.Feedback) *evidence.Ref { return &f.Ref }) {
		if f.Kind == kind {
			out = append(out, f)
		}
	}
	return out
}

// before reports whether a came before b; a time that is not set came neither
// before nor after.
func before(a, b time.Time) bool { return !a.IsZero() && !b.IsZero() && a.Before(b) }
