package frappe

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// quota is what the site's own limiter last told us, and until when we keep
// silent because of it. The budget is the site's processing time and is shared
// with the people who work there, so a tenth of it is left to them.
type quota struct {
	mu        sync.Mutex
	limit     time.Duration // budget of a window; 0: the site has no limiter
	remaining time.Duration
	until     time.Time
}

// read takes the limiter's headers: microseconds of server time, seconds to the
// end of the window.
func (q *quota) read(h http.Header, now time.Time) {
	limit, ok := microseconds(h.Get("X-RateLimit-Limit"))
	if !ok || limit <= 0 {
		return
	}
	remaining, ok := microseconds(h.Get("X-RateLimit-Remaining"))
	if !ok {
		return
	}
	reset, err := strconv.Atoi(h.Get("X-RateLimit-Reset"))
	if err != nil || reset < 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit, q.remaining = limit, remaining
	if remaining < limit/10 {
		q.extend(now.Add(time.Duration(min(reset, 86400)) * time.Second))
	}
}

func (q *quota) extend(t time.Time) {
	if t.After(q.until) {
		q.until = t
	}
}

// pause keeps every request of the client back for d.
func (q *quota) pause(now time.Time, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.extend(now.Add(d))
}

func (q *quota) wait(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return max(q.until.Sub(now), 0)
}

func microseconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0) {
		return 0, false
	}
	return time.Duration(min(n, 1e12)) * time.Microsecond, true
}

// charge books server time after it was used; ready waits until what was booked
// is paid off. A single exchange may cost more than the burst.
func (c *Client) charge(took time.Duration) {
	for ms := int(took / time.Millisecond); ms > 0; {
		n := min(ms, c.pace.Burst())
		c.pace.ReserveN(c.now(), n)
		ms -= n
	}
}

func (c *Client) ready(ctx context.Context, op string) error {
	if d := c.quota.wait(c.now()); d > 0 {
		if d > c.cfg.MaxWait {
			return c.count(&Error{
				Op: op, Site: c.site, Category: RateLimited, RetryAfter: d,
				Hint: "the site's time budget is used up; nothing is sent before it is renewed",
			})
		}
		c.stats.waited(d)
		if err := c.sleep(ctx, op, d); err != nil {
			return err
		}
	}
	r := c.pace.ReserveN(c.now(), 1)
	d := r.DelayFrom(c.now())
	if d <= 0 {
		return nil
	}
	if d > c.cfg.ReplyTimeout {
		r.CancelAt(c.now())
		return c.count(&Error{
			Op: op, Site: c.site, Category: RateLimited, RetryAfter: d,
			Hint: "our own budget of the site's time is used up; raise it or poll less often",
		})
	}
	c.stats.waited(d)
	return c.sleep(ctx, op, d)
}

func (c *Client) sleep(ctx context.Context, op string, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return c.netError(ctx, op, ctx.Err())
	}
}

// gate closes when the site refuses the key, so that a revoked key costs one
// confirming probe and not a storm that could lock somebody out.
type gate struct {
	mu     sync.Mutex
	probe  sync.Mutex // held while a probe is under way
	closed bool
	doubts int           // answers that a probe has yet to explain
	calm   chan struct{} // closed when doubts is 0 again; nil while it is
	until  time.Time     // no probe before this
	good   time.Time     // when the key was last seen to work
	user   string        // whom it belongs to; "" when not known
	last   *Error        // what closed the gate
}

// goodFor is how long one confirmed identity spares the next probe.
const goodFor = time.Minute

func (g *gate) state(now time.Time) (closed, mayProbe bool, last *Error, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed, !now.Before(g.until), g.last, g.until
}

func (g *gate) open(now time.Time, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.good, g.user, g.last = false, now, user, nil
}

func (g *gate) shut(until time.Time, e *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.until, g.last = true, until, e
}

// doubt notes an answer that may mean a refused key, and holds the others back
// until suspect has looked into it. It is false when a probe has just shown the
// key to be good, so that only a right can be missing.
func (g *gate) doubt(now time.Time, cat Category) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if cat == Forbidden && g.fresh(now) {
		return false
	}
	if g.doubts++; g.calm == nil {
		g.calm = make(chan struct{})
	}
	return true
}

// explained reports whether another probe has meanwhile told what the answer
// means.
func (g *gate) explained(now time.Time, cat Category) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed || cat == Forbidden && g.fresh(now)
}

func (g *gate) trust() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.doubts--; g.doubts == 0 {
		close(g.calm)
		g.calm = nil
	}
}

// clear reports whether requests with the key may be sent right now.
func (g *gate) clear() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed && g.doubts == 0
}

// settled waits until every doubt is explained, or ctx ends.
func (g *gate) settled(ctx context.Context) {
	g.mu.Lock()
	calm := g.calm
	g.mu.Unlock()
	if calm == nil {
		return
	}
	select {
	case <-calm:
	case <-ctx.Done():
	}
}

// fresh reports whether a probe has shown the key to be good a moment ago. The
// caller holds mu.
func (g *gate) fresh(now time.Time) bool {
	return !g.closed && !g.good.IsZero() && now.Sub(g.good) < goodFor
}

// pass lets a request through, or says why not. After the pause one request
// asks who we are before anything else is sent.
func (c *Client) pass(ctx context.Context, r *request) error {
	closed, mayProbe, last, until := c.gate.state(c.now())
	if !closed {
		return nil
	}
	if mayProbe && c.gate.probe.TryLock() {
		_, err := c.identify(ctx)
		c.gate.probe.Unlock()
		if err == nil {
			return nil
		}
		if closed, _, last, until = c.gate.state(c.now()); !closed {
			return nil
		}
	}
	e := *last
	e.Op, e.RetryAfter = r.op, max(until.Sub(c.now()), time.Second)
	return c.count(&e)
}

// suspect is called when an answer may mean that the key is refused. It asks
// once who we are: a user's name means that only a right is missing.
func (c *Client) suspect(ctx context.Context, e *Error) {
	c.gate.probe.Lock()
	defer c.gate.probe.Unlock()
	defer c.gate.trust()
	if c.gate.explained(c.now(), e.Category) {
		return
	}
	_, err := c.identify(ctx)
	switch CategoryOf(err) {
	case Unauthorized, Forbidden, LoginPage:
		// Version 14 lets a wrong secret pass as Guest, who may not ask this.
		if e.Category == Forbidden {
			e.Category = Unauthorized
			e.Hint = "key or secret is not accepted (the site treats us as Guest); check them under User > Settings > API Access"
		}
		c.log.Warn("key refused", "site", c.site, "pause", c.cfg.CredentialPause)
		c.gate.shut(c.now().Add(c.cfg.CredentialPause), e)
	}
}

// identify asks the site who we are, past the gate.
func (c *Client) identify(ctx context.Context) (string, error) {
	user, err := c.whoami(ctx, true)
	switch CategoryOf(err) {
	case Unauthorized, Forbidden, LoginPage:
		if closed, _, last, _ := c.gate.state(c.now()); closed {
			c.gate.shut(c.now().Add(c.cfg.CredentialPause), last)
		}
	case "":
		if err == nil {
			c.gate.open(c.now(), user)
		}
	}
	return user, err
}
