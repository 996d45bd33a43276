package frappe

import (
	"net/http"
	"sync"
	"time"
)

// Stats is what a client has done since New, for metrics.
type Stats struct {
	Requests       int64              // exchanges sent, probes and repetitions included
	Repetitions    int64              // of those, repetitions of a failed read
	BytesReceived  int64              // bodies, after decompression
	BytesSent      int64              // bodies of writes
	Rows           int64              // list rows decoded
	ServerSeconds  float64            // time the site spent on us, as seen from here
	WaitedSeconds  float64            // time we kept still for the site's sake
	Errors         map[Category]int64 // by category; those never seen are absent
	Breaker        string             // "closed", "half-open" or "open"
	KeyRefused     bool               // nothing is sent because the key was refused
	BudgetLimit    time.Duration      // the site's own limiter; 0: none seen
	BudgetLeft     time.Duration      // what it last said was left
	InFlight       int                // requests under way now
	LastAnswerTook time.Duration      // time to the first byte of the newest answer
	// Skew is how far the site's clock was ahead of ours at the newest answer
	// that told the time, to the second it is told in; SkewKnown says that one did.
	Skew      time.Duration
	SkewKnown bool
	// CertificateExpires is the end of the site's certificate; zero without TLS.
	CertificateExpires time.Time
}

type counters struct {
	mu sync.Mutex
	s  Stats
}

// Stats returns a snapshot of the client's counters.
func (c *Client) Stats() Stats {
	c.stats.mu.Lock()
	out := c.stats.s
	out.Errors = make(map[Category]int64, len(c.stats.s.Errors))
	for k, v := range c.stats.s.Errors {
		out.Errors[k] = v
	}
	c.stats.mu.Unlock()
	out.Breaker = c.breaker.State().String()
	out.KeyRefused, _, _, _ = c.gate.state(c.now())
	c.quota.mu.Lock()
	out.BudgetLimit, out.BudgetLeft = c.quota.limit, c.quota.remaining
	c.quota.mu.Unlock()
	out.InFlight = len(c.slots)
	return out
}

func (s *counters) sent(bytes int, repetition bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Requests++
	s.s.BytesSent += int64(bytes)
	if repetition {
		s.s.Repetitions++
	}
}

func (s *counters) received(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.BytesReceived += bytes
}

func (s *counters) served(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.ServerSeconds += took.Seconds()
	s.s.LastAnswerTook = took
}

// meet learns from an answer the site's clock and its certificate.
func (s *counters) meet(r *http.Response, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		// The header is cut to the second: in the middle, half a second is lost.
		s.s.Skew, s.s.SkewKnown = t.Add(500*time.Millisecond).Sub(now).Truncate(time.Second), true
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		s.s.CertificateExpires = r.TLS.PeerCertificates[0].NotAfter
	}
}

func (s *counters) rows(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Rows += int64(n)
}

func (s *counters) waited(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.WaitedSeconds += d.Seconds()
}

// count books e under its category and returns it.
func (c *Client) count(e *Error) *Error {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	if c.stats.s.Errors == nil {
		c.stats.s.Errors = map[Category]int64{}
	}
	c.stats.s.Errors[e.Category]++
	return e
}
