package frappetest

import (
	"strconv"
	"time"
)

// The limiter counts seconds of server time in fixed windows, shared by all
// callers of the site.

func (s *Site) rateConfig() (limit, window float64, on bool) {
	var l, w any
	switch c := s.config["rate_limit"].(type) {
	case map[string]any:
		l, w = c["limit"], c["window"]
	case *object:
		l, w = c.get("limit"), c.get("window")
	default:
		return 0, 0, false
	}
	limit, window = flt(l), flt(w)
	return limit, window, window > 0
}

func (s *Site) rateLimited() bool {
	_, _, on := s.rateConfig()
	return on
}

// spent gives the server time used in the running window and the seconds left
// in it.
func (s *Site) spent() (used time.Duration, reset int64) {
	_, window, _ := s.rateConfig()
	now := s.now().Unix()
	w := int64(window)
	current := now / w
	s.statMu.Lock()
	defer s.statMu.Unlock()
	if s.limitAt == -1 {
		s.limitAt = current // set by Configure for the running window
	}
	if s.limitAt != current {
		s.limitAt, s.limitUse = current, 0
	}
	return s.limitUse, (current+1)*w - now
}

// checkRate refuses once the window's budget is gone.
func (s *Site) checkRate() error {
	limit, _, on := s.rateConfig()
	if !on {
		return nil
	}
	used, reset := s.spent()
	if used <= time.Duration(limit*float64(time.Second)) {
		return nil
	}
	e := raise("TooManyRequestsError", "")
	e.headers = map[string]string{"Retry-After": strconv.FormatInt(reset, 10)}
	return e
}

// limitHeaders charges the request and writes what every reply then carries.
func (s *Site) limitHeaders(took time.Duration, reply *rawReply) map[string]string {
	limit, _, _ := s.rateConfig()
	used, reset := s.spent()
	s.statMu.Lock()
	if reply.status != 429 {
		s.limitUse += took
	}
	s.statMu.Unlock()
	left := max(0, time.Duration(limit*float64(time.Second))-used)
	us := left.Microseconds()
	if s.version.wholeSecondLeft {
		us = int64((left+time.Second/2)/time.Second) * 1e6
	}
	h := map[string]string{
		"X-RateLimit-Limit":     strconv.FormatInt(int64(limit*1e6), 10),
		"X-RateLimit-Remaining": strconv.FormatInt(us, 10),
		"X-RateLimit-Reset":     strconv.FormatInt(reset, 10),
	}
	if s.version.usedHeader {
		h["X-RateLimit-Used"] = strconv.FormatInt(took.Microseconds(), 10)
	}
	if reply.status == 429 {
		h["Retry-After"] = strconv.FormatInt(reset, 10)
	}
	return h
}
