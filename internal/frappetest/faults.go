package frappetest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Duration is a time.Duration that JSON writes as "250ms".
type Duration struct{ time.Duration }

// UnmarshalJSON reads "250ms" or a number of seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch x := v.(type) {
	case float64:
		d.Duration = time.Duration(x * float64(time.Second))
		return nil
	case string:
		var err error
		d.Duration, err = time.ParseDuration(x)
		return err
	}
	return fmt.Errorf("duration %s: want text such as \"250ms\" or seconds", b)
}

// MarshalJSON writes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// Fault is something that goes wrong with requests. Which requests: all that
// match Path, Method and User, but for the first After of them, every Every-th
// (0 = each), at most Times (0 = for ever). Of several faults that match, the
// first added acts.
type Fault struct {
	// Path is the unescaped path; a trailing * makes it a prefix; empty
	// matches all.
	Path   string `json:"path,omitempty"`
	Method string `json:"method,omitempty"`
	After  int    `json:"after,omitempty"`
	Every  int    `json:"every,omitempty"`
	Times  int    `json:"times,omitempty"`

	// Latency is waited before, PerRow for each row of a list after the work.
	// Both count as server time for the rate limiter.
	Latency Duration `json:"latency,omitzero"`
	PerRow  Duration `json:"per_row,omitzero"`

	// Status answers instead of the site: 429 with JSON as Frappe's, 502 to
	// 504 with a page as nginx's. RetryAfter adds the header. ExcType makes it
	// the JSON of that exception, with its status unless Status says another.
	Status     int    `json:"status,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"`
	ExcType    string `json:"exc_type,omitempty"`
	// Body and ContentType replace what Status would send.
	Body        string `json:"body,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	// Location adds the header, for redirects with Status 301 or 302.
	Location string `json:"location,omitempty"`
	// HTML answers 200 with a page where JSON was asked.
	HTML bool `json:"html,omitempty"`
	// Huge answers 200 with a list of so many bytes, Deep with arrays nested
	// so deep, BadUTF8 with a text that is no UTF-8.
	Huge    int64 `json:"huge,omitempty"`
	Deep    int   `json:"deep,omitempty"`
	BadUTF8 bool  `json:"bad_utf8,omitempty"`

	// Reset breaks the connection before any work, DropAnswer after it: the
	// write has happened and the client cannot know.
	Reset      bool `json:"reset,omitempty"`
	DropAnswer bool `json:"drop_answer,omitempty"`
	// Cut sends the header with the whole length and only so many bytes; -1
	// sends half of them.
	Cut int `json:"cut,omitempty"`
	// Trickle sends so many bytes, waits TricklePause, and so on.
	Trickle      int      `json:"trickle,omitempty"`
	TricklePause Duration `json:"trickle_pause,omitzero"`

	// Hook runs after the answer left, without a lock: churn for a pager.
	Hook func(s *Site, r Request) `json:"-"`

	seen, fired int
}

// faultSet is what goes wrong on a site.
type faultSet struct {
	mu      sync.Mutex
	list    []*Fault
	offset  time.Duration
	answers int
	kills   []kill
	hooks   []func(Request)
}

type kill struct {
	at int
	fn func()
}

// Break adds a fault and gives the function that takes it away.
func (s *Site) Break(f Fault) (heal func()) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	p := &f
	s.faults.list = append(s.faults.list, p)
	return func() {
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		for i, x := range s.faults.list {
			if x == p {
				s.faults.list = append(s.faults.list[:i:i], s.faults.list[i+1:]...)
				return
			}
		}
	}
}

// Heal takes all faults, hooks and the clock offset away.
func (s *Site) Heal() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list, s.faults.hooks, s.faults.kills, s.faults.offset = nil, nil, nil, 0
}

// OffsetClock lets the site's clock go wrong by d.
func (s *Site) OffsetClock(d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.offset = d
}

// AfterRequests calls fn once n more requests have been answered, for tests
// that kill a client in the middle.
func (s *Site) AfterRequests(n int, fn func()) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.kills = append(s.faults.kills, kill{s.faults.answers + n, fn})
}

// OnAnswer calls fn after each answered request, without a lock, so that it
// may change the site: churn during paging.
func (s *Site) OnAnswer(fn func(Request)) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.hooks = append(s.faults.hooks, fn)
}

func (fs *faultSet) clockOffset() time.Duration {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.offset
}

func (f *Fault) matches(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	switch prefix, wild := strings.CutSuffix(f.Path, "*"); {
	case f.Path == "":
		return true
	case wild:
		return strings.HasPrefix(r.URL.Path, prefix)
	}
	return r.URL.Path == f.Path
}

// pick finds the fault that acts on a request and counts.
func (fs *faultSet) pick(r *http.Request) *Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if !f.matches(r) {
			continue
		}
		f.seen++
		n := f.seen - f.After
		if n <= 0 || f.Every > 1 && (n-1)%f.Every != 0 || f.Times > 0 && f.fired >= f.Times {
			continue
		}
		f.fired++
		return f
	}
	return nil
}

// answered runs what waits for an answer.
func (fs *faultSet) answered(s *Site, f *Fault, rec Request) {
	fs.mu.Lock()
	fs.answers++
	var due []func()
	kept := fs.kills[:0:0]
	for _, k := range fs.kills {
		if fs.answers >= k.at {
			due = append(due, k.fn)
		} else {
			kept = append(kept, k)
		}
	}
	fs.kills = kept
	hooks := fs.hooks
	fs.mu.Unlock()
	if f != nil && f.Hook != nil {
		f.Hook(s, rec)
	}
	for _, h := range hooks {
		h(rec)
	}
	for _, fn := range due {
		fn()
	}
}

// pause waits unless the client goes away; false says that it did.
func (f *Fault) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

const nginxPage = "<html>\r\n<head><title>%[1]d %[2]s</title></head>\r\n<body>\r\n<center><h1>%[1]d %[2]s</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"

// answerInstead sends what the fault says in place of the site's answer.
func (f *Fault) answerInstead(s *Site, w http.ResponseWriter, r *http.Request, rec *Request) bool {
	reply := &rawReply{status: f.Status, contentType: f.ContentType, body: []byte(f.Body), headers: map[string]string{}}
	if f.RetryAfter != "" {
		reply.headers["Retry-After"] = f.RetryAfter
	}
	if f.Location != "" {
		reply.headers["Location"] = f.Location
	}
	switch {
	case f.Reset:
		breakConnection(w)
		return true
	case f.ExcType != "":
		e := raise(f.ExcType, "")
		if f.Status != 0 {
			e.status = f.Status
		}
		q := s.newSession("Guest")
		q.req, q.method = r, r.Method
		made := s.errorReply(q, e)
		for k, v := range reply.headers {
			made.headers[k] = v
		}
		reply = made
	case f.Huge > 0:
		writeHuge(w, r, f.Huge, rec)
		return true
	case f.Deep > 0:
		reply.status, reply.contentType = http.StatusOK, "application/json"
		reply.body = []byte(`{"data":` + strings.Repeat("[", f.Deep) + strings.Repeat("]", f.Deep) + "}")
	case f.BadUTF8:
		reply.status, reply.contentType = http.StatusOK, "application/json"
		reply.body = []byte("{\"data\":[{\"name\":\"\xff\xfe broken\"}]}")
	case f.HTML:
		p := page(http.StatusOK, "Welcome", "Sign in to the wireless network")
		reply.status, reply.contentType, reply.body = p.status, p.contentType, p.body
	case f.Status == 0:
		return false
	case f.Body != "":
		if reply.contentType == "" {
			reply.contentType = "application/json"
		}
	case f.Status == http.StatusTooManyRequests:
		reply.contentType = "application/json"
		reply.body = []byte(`{"exception":"frappe.exceptions.TooManyRequestsError","exc_type":"TooManyRequestsError"}`)
	default:
		reply.contentType = "text/html"
		reply.body = fmt.Appendf(nil, nginxPage, f.Status, http.StatusText(f.Status))
	}
	if f.deliver(w, r, reply, rec, nil) {
		return true
	}
	writeRaw(w, reply, rec, nil)
	return true
}

// deliver sends an answer in a broken way; false leaves it to the caller.
func (f *Fault) deliver(w http.ResponseWriter, r *http.Request, reply *rawReply, rec *Request, headers map[string]string) bool {
	switch {
	case f.DropAnswer:
		rec.Status = reply.status
		breakConnection(w)
		return true
	case f.Cut != 0 && len(reply.body) > 0:
		n := f.Cut
		if n < 0 || n >= len(reply.body) {
			n = len(reply.body) / 2
		}
		sendHead(w, reply, headers)
		_, _ = w.Write(reply.body[:n])
		flush(w)
		rec.Status, rec.Sent = reply.status, n
		breakConnection(w)
		return true
	case f.Trickle > 0:
		sendHead(w, reply, headers)
		rec.Status = reply.status
		for b := reply.body; len(b) > 0; {
			n := min(f.Trickle, len(b))
			if _, err := w.Write(b[:n]); err != nil {
				return true
			}
			flush(w)
			rec.Sent += n
			b = b[n:]
			if len(b) > 0 && !f.pause(r, f.TricklePause.Duration) {
				return true
			}
		}
		return true
	}
	return false
}

func sendHead(w http.ResponseWriter, r *rawReply, headers map[string]string) {
	h := w.Header()
	for k, v := range headers {
		h.Set(k, v)
	}
	for k, v := range r.headers {
		h.Set(k, v)
	}
	h.Set("Content-Type", r.contentType)
	h.Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// breakConnection ends the TCP connection with a reset.
func breakConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func writeHuge(w http.ResponseWriter, r *http.Request, size int64, rec *Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	rec.Status = http.StatusOK
	sent := int64(0)
	put := func(s string) bool {
		n, err := w.Write([]byte(s))
		sent += int64(n)
		return err == nil && r.Context().Err() == nil
	}
	ok := put(`{"data":[`)
	chunk := strings.Repeat(`{"name":"HUGE","modified":"2026-01-01 00:00:00.000001","subject":"`+strings.Repeat("x", 900)+`"},`, 64)
	for ok && sent+int64(len(chunk)) < size {
		ok = put(chunk)
	}
	if ok {
		_ = put(`{"name":"LAST"}]}`)
	}
	rec.Sent = int(sent)
}
