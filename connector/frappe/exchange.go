package frappe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-resty/resty/v2"
)

// request is one exchange to be made.
type request struct {
	op      string // "list Task", as errors name it
	doctype string
	name    string
	right   string // the right the call needs, for hints; "" is read
	denied  string // what a 403 means here, where it is not a missing right on doctype
	method  string // GET when empty
	path    string // escaped
	query   params
	body    any // encoded as JSON
	form    func(*resty.Request)
	guest   bool          // without credentials
	accept  string        // application/json when empty
	max     int64         // bytes of the reply; Config.MaxBody when 0
	probe   bool          // identity probe: passes the gate, confirms nothing
	once    bool          // no repetition, even of a read
	reads   bool          // only reads, though it is posted
	line    string        // path and query, once target was asked
	took    time.Duration // set by the exchange: time to the first byte of the answer
	// stream takes the body of a success instead of read's buffer.
	stream func(*http.Response) error
}

func (r *request) verb() string {
	if r.method == "" {
		return http.MethodGet
	}
	return r.method
}

// target is path and query as they stand in the request line. The query must
// not change after the first call, except through ask.
func (r *request) target() string {
	if r.line == "" {
		r.line = r.query.after(r.path)
	}
	return r.line
}

// params is a query in the order it was built: a map would be sorted for every
// request.
type params [][2]string

func (p params) get(key string) string {
	for _, kv := range p {
		if kv[0] == key {
			return kv[1]
		}
	}
	return ""
}

func (p params) after(path string) string {
	if len(p) == 0 {
		return path
	}
	size := len(path)
	for _, kv := range p {
		size += 2 + len(kv[0]) + 2*len(kv[1])
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(path)
	sep := byte('?')
	for _, kv := range p {
		b.WriteByte(sep)
		b.WriteString(kv[0])
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(kv[1]))
		sep = '&'
	}
	return b.String()
}

// ask changes one parameter of the query.
func (r *request) ask(key, value string) {
	for i := range r.query {
		if r.query[i][0] == key {
			r.query[i][1] = value
		}
	}
	r.line = ""
}

// maxRequestLine is gunicorn's limit, verb and protocol included.
const maxRequestLine = 4094

func (r *request) tooLong() bool {
	return len(r.verb())+len(r.target())+len("  HTTP/1.1\r\n") > maxRequestLine
}

// do makes the exchange and hands the body of a success to read, which must not
// keep it. Reads are repeated with growing, jittered pauses while the error is
// temporary and the budget of repetitions lasts; writes never are.
func (c *Client) do(ctx context.Context, r *request, read func(body []byte) error) error {
	for try := 0; ; try++ {
		err := c.attempt(ctx, r, read, try > 0)
		if err == nil {
			return nil
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || r.verb() != http.MethodGet && !r.reads || r.once || try >= c.cfg.Retries || !repeatable(e) {
			return err
		}
		wait := c.backoff(try)
		if e.RetryAfter > 0 {
			if e.RetryAfter > c.cfg.MaxWait {
				return err
			}
			wait = e.RetryAfter + rand.N(c.cfg.MinWait+1)
		}
		if !c.retries.AllowN(c.now(), 1) {
			return err
		}
		c.log.Debug("read is repeated", "site", c.site, "op", r.op, "try", try+1, "wait", wait, "err", e)
		c.stats.waited(wait)
		if err := c.sleep(ctx, r.op, wait); err != nil {
			return err
		}
	}
}

// backoff is the pause before a repetition: doubled each time up to MaxWait,
// the upper half of it left to chance so that clients do not march in step.
func (c *Client) backoff(try int) time.Duration {
	wait := min(c.cfg.MinWait<<min(try, 16), c.cfg.MaxWait)
	return wait/2 + rand.N(wait/2+1)
}

// repeatable reports whether the same read may succeed a moment later.
func repeatable(e *Error) bool {
	switch e.Category {
	case Unavailable, Unreachable, Timeout, Malformed:
		// Maintenance lasts longer than any pause we would make, and who let us
		// wait two minutes in vain is not asked the same again.
		return e.Kind != "SessionStopped" && !errors.Is(e.cause, context.DeadlineExceeded)
	case RateLimited:
		return e.Status != 0
	}
	return false
}

// attempt makes one exchange: gate, breaker, pace, slot, send, read, judge.
func (c *Client) attempt(ctx context.Context, r *request, read func([]byte) error, again bool) error {
	if ctx.Err() != nil {
		return c.count(c.netError(ctx, r.op, ctx.Err()))
	}
	withKey := !r.probe && !r.guest
	for {
		if withKey {
			if err := c.pass(ctx, r); err != nil {
				return err
			}
		}
		if err := c.ready(ctx, r.op); err != nil {
			return err
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return c.count(c.netError(ctx, r.op, ctx.Err()))
		}
		if !withKey || c.gate.clear() {
			break
		}
		// The key came under suspicion while we queued.
		<-c.slots
		c.gate.settled(ctx)
		if ctx.Err() != nil {
			return c.count(c.netError(ctx, r.op, ctx.Err()))
		}
	}
	done, err := c.breaker.Allow()
	if err != nil {
		<-c.slots
		return c.count(&Error{
			Op: r.op, Site: c.site, Category: BreakerOpen, RetryAfter: c.cfg.BreakerPause,
			Hint: "the site failed several times in a row; it is left alone for a while",
		})
	}
	e := c.exchange(ctx, r, read, again)
	suspicious := false
	if e != nil && withKey {
		switch e.Category {
		case Unauthorized, Forbidden, LoginPage:
			suspicious = c.gate.doubt(c.now(), e.Category)
		}
	}
	<-c.slots
	if e == nil {
		done(nil)
		return nil
	}
	done(e)
	c.count(e)
	if suspicious {
		c.suspect(ctx, e)
	}
	return e
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keepBuffer is the largest buffer worth keeping between replies.
const keepBuffer = 2 << 20

func (c *Client) exchange(ctx context.Context, r *request, read func([]byte) error, again bool) *Error {
	fail := func(cat Category, status int, hint string) *Error {
		return &Error{Op: r.op, Site: c.site, Status: status, Category: cat, Hint: hint}
	}
	// The limit of a whole exchange, trickled bodies included.
	within, cancel := context.WithTimeout(ctx, c.cfg.ReplyTimeout)
	defer cancel()
	req := c.http.R().SetContext(within)
	accept := r.accept
	if accept == "" {
		accept = "application/json"
	}
	req.Header["Accept"] = []string{accept}
	if !r.guest {
		req.Header["Authorization"] = []string{c.token()}
	}
	sent := 0
	if r.body != nil {
		b, err := encode(r.body)
		if err != nil {
			return fail(Misuse, 0, "the request cannot be written as JSON")
		}
		sent = len(b)
		req.SetHeader("Content-Type", "application/json").SetBody(b)
	}
	if r.form != nil {
		r.form(req)
	}

	c.stats.sent(sent, again)
	start := time.Now() // a duration is measured, not an instant: the clock of tests does not matter
	resp, err := req.Execute(r.verb(), c.site+r.target())
	took := time.Since(start)
	r.took = took
	if err != nil || resp == nil || resp.RawResponse == nil {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		if resp != nil && resp.RawResponse != nil {
			resp.RawResponse.Body.Close()
		}
		e := c.netError(ctx, r.op, err)
		if e.Category == Timeout || e.Category == Unreachable {
			c.charge(took)
			c.stats.served(took)
		}
		c.debug(r, 0, took, 0, e)
		return e
	}
	raw := resp.RawResponse
	defer raw.Body.Close()
	c.charge(took)
	c.stats.served(took)
	c.quota.read(raw.Header, c.now())
	c.stats.meet(raw, c.now())

	e, n := c.judge(ctx, r, raw, read)
	c.stats.received(n)
	if e != nil && e.Category == RateLimited {
		pause := e.RetryAfter
		if pause == 0 {
			pause = c.cfg.MinWait
		}
		c.quota.pause(c.now(), pause)
	}
	c.debug(r, raw.StatusCode, took, n, e)
	return e
}

// judge reads the reply within its bounds and decides what it is.
func (c *Client) judge(ctx context.Context, r *request, raw *http.Response, read func([]byte) error) (*Error, int64) {
	fail := func(cat Category, hint string) *Error {
		return &Error{Op: r.op, Site: c.site, Status: raw.StatusCode, Category: cat, Hint: hint}
	}
	ok := raw.StatusCode >= 200 && raw.StatusCode < 300
	if ok && r.stream != nil {
		body := &counting{r: raw.Body}
		raw.Body = struct {
			io.Reader
			io.Closer
		}{body, raw.Body}
		err := r.stream(raw)
		if err == nil {
			return nil, body.n
		}
		if e, is := errors.AsType[*Error](err); is {
			e.Op, e.Site, e.Status = r.op, c.site, raw.StatusCode
			return e, body.n
		}
		return c.netError(ctx, r.op, err), body.n
	}
	limit := r.max
	if limit == 0 {
		limit = c.cfg.MaxBody
	}
	if !ok {
		limit = min(limit, 1<<20) // error pages with tracebacks reach 300 KB
	}
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer func() {
		if buf.Cap() <= keepBuffer {
			buffers.Put(buf)
		}
	}()
	if ok && raw.ContentLength > limit {
		return fail(Oversized, "the answer is larger than we accept; ask for fewer rows or fields"), 0
	}
	if n := raw.ContentLength; n > 0 && n <= limit {
		buf.Grow(int(n) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(raw.Body, limit+1))
	if err != nil && ok {
		e := c.netError(ctx, r.op, err)
		e.Status = raw.StatusCode
		return e, n
	}
	body := buf.Bytes()
	if !ok {
		return c.statusError(r, raw.StatusCode, raw.Header, body[:min(n, limit)]), n
	}
	if n > limit {
		return fail(Oversized, "the answer is larger than we accept; ask for fewer rows or fields"), n
	}
	if r.accept == "" && !isJSON(raw.Header) {
		if looksLikePage(body) || strings.Contains(raw.Header.Get("Content-Type"), "html") {
			e := fail(LoginPage, "")
			e.Hint = hint(r, e, false)
			return e, n
		}
		return fail(Malformed, "the answer is not JSON; something stands before the site"), n
	}
	if !utf8.Valid(body) {
		return fail(Malformed, "the answer is not valid UTF-8"), n
	}
	if err := read(body); err != nil {
		if e, is := errors.AsType[*Error](err); is {
			e.Op, e.Site, e.Status = r.op, c.site, raw.StatusCode
			return e, n
		}
		return fail(Malformed, "the answer does not have the form that Frappe gives it"), n
	}
	return nil, n
}

func (c *Client) debug(r *request, status int, took time.Duration, n int64, e *Error) {
	if !c.log.Enabled(context.Background(), -4) {
		return
	}
	a := []any{"site", c.site, "op", r.op, "method", r.verb(), "status", status, "took", took, "bytes", n}
	if e != nil {
		a = append(a, "err", e)
	}
	c.log.Debug("exchange", a...)
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
