package frappe_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/frappe"
)

// The tests here carry the names of the fault scenarios that the project
// promises to survive, as far as one exchange with a site goes.

const (
	whoami = "/api/method/frappe.auth.get_logged_user"
	oneRow = `{"data":[{"name":"T1","modified":"2026-11-01 10:00:00"}]}`
)

// script answers each request with the next step; the last one repeats. The
// identity probe is answered by user, "" meaning 401, and is no step.
func script(t testing.TB, user string, steps ...http.HandlerFunc) *stub {
	var n atomic.Int64
	return newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == whoami {
			if user == "" {
				answer(w, 401, `{"exc_type":"AuthenticationError"}`)
			} else {
				answer(w, 200, `{"message":"`+user+`"}`)
			}
			return
		}
		steps[min(int(n.Add(1)), len(steps))-1](w, r)
	})
}

func status(code int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		answer(w, code, body)
	}
}

func page(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		w.Write([]byte(body))
	}
}

// hijacked gives the raw connection to f after the request was read.
func hijacked(t testing.TB, f func(c net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		f(c)
		c.Close()
	}
}

func halfBody(t testing.TB) http.HandlerFunc {
	return hijacked(t, func(c net.Conn) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(oneRow), oneRow[:20])
	})
}

func reset(t testing.TB) http.HandlerFunc {
	return hijacked(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) })
}

func list(t testing.TB, c *frappe.Client) error {
	rows, err := c.List(t.Context(), frappe.ListQuery{Doctype: "Task"})
	if err == nil && len(rows) != 1 {
		t.Errorf("%d rows, want 1", len(rows))
	}
	return err
}

func TestReadFaults(t *testing.T) {
	t.Parallel()
	ok := status(200, oneRow)
	tests := []struct {
		name  string
		user  string
		steps []http.HandlerFunc
		want  string
		asked int // requests, probes included
	}{
		{"429 with Retry-After", "u", []http.HandlerFunc{status(429, `{"exc_type":"TooManyRequestsError"}`, "Retry-After", "1"), ok}, "ok", 2},
		{"429 without Retry-After", "u", []http.HandlerFunc{status(429, `{}`), status(429, `{}`), ok}, "ok", 3},
		{"429 beyond our patience", "u", []http.HandlerFunc{status(429, `{"exc_type":"TooManyRequestsError"}`, "Retry-After", "3000"), ok}, "rate_limited TooManyRequestsError 429", 1},
		{"429 for ever", "u", []http.HandlerFunc{status(429, `{}`)}, "rate_limited 429", 4},
		{"429 as plain text", "u", []http.HandlerFunc{page(429, "Too Many Requests"), ok}, "ok", 2},
		{"502 burst", "u", []http.HandlerFunc{page(502, "<html>Bad Gateway"), page(502, ""), ok}, "ok", 3},
		{"504 burst", "u", []http.HandlerFunc{page(504, "<html>"), ok}, "ok", 2},
		{"503 burst", "u", []http.HandlerFunc{page(503, "<html>"), ok}, "ok", 2},
		{"502 for ever", "u", []http.HandlerFunc{page(502, "<html>")}, "unavailable 502", 4},
		{"half-body", "u", []http.HandlerFunc{halfBody(t), ok}, "ok", 2},
		{"half-body for ever", "u", []http.HandlerFunc{halfBody(t)}, "unreachable 200", 4},
		{"reset", "u", []http.HandlerFunc{reset(t), ok}, "ok", 2},
		{"lock wait", "u", []http.HandlerFunc{status(500, `{"exc_type":"QueryTimeoutError"}`), status(500, `{"exc_type":"QueryDeadlockError"}`), ok}, "ok", 3},
		{"the site's own bug is not repeated", "u", []http.HandlerFunc{status(500, `{"exc_type":"TypeError"}`)}, "failed TypeError 500", 1},
		{"version 14 names the class elsewhere", "u", []http.HandlerFunc{status(500, `{"exception":"pymysql.err.OperationalError: (1054, \"x\")"}`)}, "failed OperationalError 500", 1},
		{"maintenance mode", "u", []http.HandlerFunc{status(503, `{"exc_type":"SessionStopped"}`)}, "unavailable SessionStopped 503", 1},
		{"HTML login page with status 200", "", []http.HandlerFunc{page(200, "<!DOCTYPE html><title>Login</title>")}, "login_page 200", 2},
		{"HTML behind a JSON type", "u", []http.HandlerFunc{status(200, "<!DOCTYPE html>")}, "malformed 200", 4},
		{"plain text with status 200", "u", []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }}, "malformed 200", 4},
		{"unknown site", "u", []http.HandlerFunc{page(404, "<html>Not Found")}, "not_found 404", 1},
		{"request line too long for the proxy", "u", []http.HandlerFunc{page(400, "<html>")}, "invalid 400", 1},
		{"permission-lost", "u", []http.HandlerFunc{status(403, `{"exc_type":"PermissionError"}`)}, "forbidden PermissionError 403", 2},
		{"version 14 takes a bad secret for a guest", "", []http.HandlerFunc{status(403, `{"exc_type":"PermissionError"}`)}, "unauthorized PermissionError 403", 2},
		{"key-revoked", "", []http.HandlerFunc{status(401, `{"exc_type":"AuthenticationError"}`)}, "unauthorized AuthenticationError 401", 2},
		{"missing data", "u", []http.HandlerFunc{status(200, `{}`)}, "malformed 200", 4},
		{"null data", "u", []http.HandlerFunc{status(200, `{"data":null}`)}, "malformed 200", 4},
		{"rows that are no objects", "u", []http.HandlerFunc{status(200, `{"data":[["T1"]]}`)}, "malformed 200", 4},
		{"null row", "u", []http.HandlerFunc{status(200, `{"data":[null]}`)}, "malformed 200", 4},
		{"invalid UTF-8", "u", []http.HandlerFunc{status(200, "{\"data\":[{\"name\":\"\xff\xfe\"}]}")}, "malformed 200", 4},
		{"JSON nested 10,000 deep", "u", []http.HandlerFunc{status(200, `{"data":[{"name":`+strings.Repeat(`[`, 10_000)+strings.Repeat(`]`, 10_000)+`}]}`)}, "malformed 200", 4},
		{"more rows than asked", "u", []http.HandlerFunc{status(200, `{"data":[`+strings.Repeat(`{"name":"x"},`, 999)+`{"name":"x"}]}`)}, "malformed 200", 4},
		{"redirect", "u", []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		}}, "redirected 302", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := script(t, tt.user, tt.steps...)
			c := client(t, s.URL)
			err := list(t, c)
			if got := outcome(err); got != tt.want {
				t.Errorf("got %q, want %q (%v)", got, tt.want, err)
			}
			if got := len(s.requests()); got != tt.asked {
				t.Errorf("%d requests, want %d: %v", got, tt.asked, s.requests())
			}
			if err != nil && c.Stats().Errors[frappe.CategoryOf(err)] == 0 {
				t.Errorf("the error is not counted: %v", c.Stats().Errors)
			}
			var e *frappe.Error
			if asError(err, &e) && e.Hint == "" {
				t.Errorf("the error has no hint: %v", err)
			}
		})
	}
}

func TestRetryAfterIsWaited(t *testing.T) {
	t.Parallel()
	s := script(t, "u", status(429, `{}`, "Retry-After", "1"), status(200, oneRow))
	start := time.Now()
	if err := list(t, client(t, s.URL)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < time.Second {
		t.Errorf("repeated after %v, want no sooner than the second that was named", took)
	}
}

// TestBudgetOfTheSite: what X-RateLimit-Remaining says is obeyed before a 429
// has to say it, and nothing is sent until the window is over.
func TestBudgetOfTheSite(t *testing.T) {
	t.Parallel()
	s := script(t, "u", status(200, oneRow, "X-RateLimit-Limit", "600000000", "X-RateLimit-Remaining", "2000000", "X-RateLimit-Reset", "1800"))
	c := client(t, s.URL)
	if err := list(t, c); err != nil {
		t.Fatal(err)
	}
	err := list(t, c)
	var e *frappe.Error
	if !asError(err, &e) || e.Category != frappe.RateLimited || e.RetryAfter < 29*time.Minute || e.Status != 0 {
		t.Errorf("got %v, want to be held back for half an hour without asking", err)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if got := c.Stats(); got.BudgetLimit != 10*time.Minute || got.BudgetLeft != 2*time.Second {
		t.Errorf("budget %v of %v, want 2s of 10m", got.BudgetLeft, got.BudgetLimit)
	}
}

// TestServerSecondsPace: what the site spent on us is measured and paid off
// before the next request.
func TestServerSecondsPace(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(100 * time.Millisecond)
		answer(w, 200, oneRow)
	}
	s := script(t, "u", slow)
	c := client(t, s.URL, func(cfg *frappe.Config) { cfg.ServerSeconds, cfg.ServerBurst = 0.5, 50*time.Millisecond })
	start := time.Now()
	for range 3 {
		if err := list(t, c); err != nil {
			t.Fatal(err)
		}
	}
	// Three exchanges of 0.1 s at half a second per second, less the burst: the
	// third cannot begin before the 0.2 s of the first two are paid.
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("three exchanges took %v, want at least 400ms", took)
	}
	if got := c.Stats(); got.ServerSeconds < 0.3 || got.WaitedSeconds == 0 {
		t.Errorf("measured %v server-seconds, waited %v, want at least 0.3 and some", got.ServerSeconds, got.WaitedSeconds)
	}
}

func TestSlowLoris(t *testing.T) {
	t.Parallel()
	trickle := hijacked(t, func(c net.Conn) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
		for range 1000 {
			if _, err := c.Write([]byte(" ")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	s := script(t, "u", trickle)
	start := time.Now()
	err := list(t, client(t, s.URL, func(cfg *frappe.Config) { cfg.ReplyTimeout = 200 * time.Millisecond }))
	if got := frappe.CategoryOf(err); got != frappe.Timeout {
		t.Errorf("got %v, want a timeout", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("gave up after %v", took)
	}
}

func TestBreakerOpensForOneHost(t *testing.T) {
	t.Parallel()
	var healed atomic.Bool
	sick := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if healed.Load() {
			answer(w, 200, oneRow)
			return
		}
		page(502, "<html>")(w, r)
	})
	well := script(t, "u", status(200, oneRow))
	c := client(t, sick.URL, func(cfg *frappe.Config) { cfg.BreakerPause = 300 * time.Millisecond })
	for range 4 {
		_ = list(t, c)
	}
	if n := len(sick.requests()); n != 5 {
		t.Errorf("%d requests reached the failing site, want 5", n)
	}
	if got := c.Stats().Breaker; got != "open" {
		t.Errorf("breaker %s, want open", got)
	}
	if err := list(t, c); frappe.CategoryOf(err) != frappe.BreakerOpen {
		t.Errorf("got %v, want the breaker's refusal", err)
	}
	if err := list(t, client(t, well.URL)); err != nil {
		t.Errorf("the other site suffers too: %v", err)
	}
	healed.Store(true)
	deadline := time.Now().Add(5 * time.Second)
	for list(t, c) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the breaker never closed again")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := c.Stats().Breaker; got != "closed" {
		t.Errorf("breaker %s after the site came back, want closed", got)
	}
}

// TestKeyRevokedMidRun: one confirming probe, then silence, then one probe
// after the pause, and work goes on when the key is good again.
func TestKeyRevokedMidRun(t *testing.T) {
	t.Parallel()
	var good atomic.Bool
	good.Store(true)
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !good.Load():
			answer(w, 401, `{"exc_type":"AuthenticationError"}`)
		case r.URL.Path == whoami:
			answer(w, 200, `{"message":"reader@acme.example"}`)
		default:
			answer(w, 200, oneRow)
		}
	})
	var clock atomic.Pointer[time.Time]
	at := func(t time.Time) { clock.Store(&t) }
	start := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	at(start)
	c := client(t, s.URL, func(cfg *frappe.Config) { cfg.Clock = func() time.Time { return *clock.Load() } })
	if err := list(t, c); err != nil {
		t.Fatal(err)
	}
	good.Store(false)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := list(t, c); frappe.CategoryOf(err) != frappe.Unauthorized {
				t.Errorf("got %v, want unauthorized", err)
			}
		})
	}
	wg.Wait()
	// At most two were in flight when the first answer came, and one probe.
	if n := len(s.requests()); n > 1+2+1 {
		t.Errorf("%d requests, want at most 4: a storm of bad logins locks people out", n)
	}
	if !c.Stats().KeyRefused {
		t.Error("Stats.KeyRefused is false")
	}
	before := len(s.requests())
	at(start.Add(16 * time.Minute))
	_ = list(t, c)
	if got := s.requests()[before:]; !slices.Equal(got, []string{"GET " + whoami}) {
		t.Errorf("after the pause %v was sent, want one probe", got)
	}
	good.Store(true)
	at(start.Add(32 * time.Minute))
	if err := list(t, c); err != nil {
		t.Errorf("the key is good again, but: %v", err)
	}
}

func TestPermissionLostNamesTheDoctype(t *testing.T) {
	t.Parallel()
	s := script(t, "u", status(403, `{"exc_type":"PermissionError"}`))
	c := client(t, s.URL)
	err := list(t, c)
	if err == nil || !strings.Contains(err.Error(), "user lacks read on Task") {
		t.Errorf("got %v, want the missing right by name", err)
	}
	_ = list(t, c)
	if n := len(s.requests()); n != 3 {
		t.Errorf("%d requests for two refusals, want 3: the identity is confirmed once", n)
	}
}

// TestFieldRenamed: a field that the site no longer has is left out and
// reported, and the next scan does not fail first.
func TestFieldRenamed(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "getdoctype") {
			answer(w, 200, `{"docs":[{"name":"Task","fields":[{"fieldname":"subject","fieldtype":"Data"},{"fieldname":"sec","fieldtype":"Section Break"}]}]}`)
			return
		}
		if strings.Contains(r.URL.Query().Get("fields"), "due") || strings.Contains(r.URL.Query().Get("fields"), "sec") {
			answer(w, 417, `{"exc_type":"DataError"}`)
			return
		}
		answer(w, 200, oneRow)
	})
	c := client(t, s.URL)
	for round := range 2 {
		for page, err := range c.Scan(t.Context(), "Task", frappe.ScanOptions{Fields: []string{"subject", "due", "sec"}}) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"due", "sec"}, page.Unknown); diff != "" {
				t.Errorf("round %d: unknown (-want +got):\n%s", round, diff)
			}
			if diff := cmp.Diff([]string{"subject"}, page.Hidden); diff != "" {
				t.Errorf("round %d: hidden (-want +got):\n%s", round, diff)
			}
		}
	}
	if n := len(s.requests()); n != 4 {
		t.Errorf("%d requests, want 4: %v", n, s.requests())
	}
}

// TestTypeChanged: whatever type a field has become, reading it does not fail.
func TestTypeChanged(t *testing.T) {
	t.Parallel()
	s := script(t, "u", status(200, `{"data":[{"name":7,"modified":"2026-11-01 10:00:00","a":"3.5","b":{"x":1},"c":[1,{"y":2}],"d":true,"e":1e300,"f":null,"g":"{\"k\":[1]}"}]}`))
	rows, err := client(t, s.URL).List(t.Context(), frappe.ListQuery{Doctype: "Task"})
	if err != nil {
		t.Fatal(err)
	}
	d := rows[0]
	num := func(key string) string {
		f, okF := d.Float(key)
		i, okI := d.Int(key)
		return fmt.Sprint(f, okF, i, okI)
	}
	got := []any{
		d.Name(), num("a"), d.Text("b"), num("b"), len(d.Rows("c")), len(d.Rows("b")), d.Bool("d"), num("d"),
		num("e"), d.Has("f"), d.Text("f"), d.JSON("g"), d.JSON("a"), d.Bool("missing"),
	}
	want := []any{
		"7", "3.5 true 0 false", "", "0 false 0 false", 1, 0, true, "1 true 1 true",
		"1e+300 true 0 false", false, "",
		map[string]any{"k": []any{1.0}},
		3.5, false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// endless sends JSON that never stops.
func endless(t testing.TB, sent *atomic.Int64) http.HandlerFunc {
	row := []byte(`{"name":"TASK-00001","modified":"2026-11-01 10:00:00","subject":"` + strings.Repeat("x", 4000) + `"},`)
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"data":[`))
		for n := 0; n < 200<<20; n += len(row) {
			if _, err := w.Write(row); err != nil {
				return
			}
			sent.Add(int64(len(row)))
		}
	}
}

func Test200MBResponse(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	s := script(t, "u", endless(t, &sent))
	c := client(t, s.URL)
	if _, err := c.List(t.Context(), frappe.ListQuery{Doctype: "Task", Limit: frappe.All}); frappe.CategoryOf(err) != frappe.Oversized {
		t.Errorf("got %v, want oversized", err)
	}
	if got := c.Stats().BytesReceived; got > 17<<20 {
		t.Errorf("%d bytes were read, want no more than the bound", got)
	}
	s = script(t, "u", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(200<<20))
		answer(w, 200, "{")
	})
	c = client(t, s.URL)
	if _, err := c.List(t.Context(), frappe.ListQuery{Doctype: "Task"}); frappe.CategoryOf(err) != frappe.Oversized {
		t.Errorf("announced: got %v, want oversized", err)
	}
}

// TestMillionRows: as text a million rows are small enough, as documents they
// are not.
func TestMillionRows(t *testing.T) {
	body := []byte(`{"data":[` + strings.Repeat(`{"a":1},`, 1_000_000) + `{"a":1}]}`)
	s := script(t, "u", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	c := client(t, s.URL)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.List(t.Context(), frappe.ListQuery{Doctype: "Task", Limit: frappe.All})
	runtime.ReadMemStats(&after)
	if frappe.CategoryOf(err) != frappe.Oversized {
		t.Errorf("got %v, want oversized", err)
	}
	// The body itself doubles while it grows; a million maps would be 400 MB.
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 96<<20 {
		t.Errorf("%d MiB were allocated", grew>>20)
	}
}

// TestPageShrinks: a page too large for us is asked for in smaller parts until
// it fits, and nothing is lost.
func TestPageShrinks(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 11, 3000, 0)
	c.on = false
	s := newStub(t, c.ServeHTTP)
	cl := client(t, s.URL, func(cfg *frappe.Config) { cfg.MaxBody = 10_000 })
	got := map[string]bool{}
	for page, err := range cl.Scan(t.Context(), "Task", frappe.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rows {
			got[r.Name()] = true
		}
	}
	if len(got) != 3000 {
		t.Errorf("%d rows, want 3000", len(got))
	}
}

// TestIgnoredFilters: a site, or a proxy, that drops our filters must not keep
// us reading for ever.
func TestIgnoredFilters(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, `{"name":"T%03d","modified":"2026-11-01 10:00:00"},`, i)
	}
	body := `{"data":[` + strings.TrimSuffix(b.String(), ",") + `]}`
	s := script(t, "u", status(200, body))
	var last error
	for _, err := range client(t, s.URL).Scan(t.Context(), "Task", frappe.ScanOptions{PageSize: 500}) {
		last = err
	}
	if frappe.CategoryOf(last) != frappe.Malformed {
		t.Errorf("got %v, want malformed", last)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	serve := func() *httptest.Server {
		s := httptest.NewUnstartedServer(status(200, oneRow))
		s.Config.ErrorLog = quietLog()
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	caFile := func(s *httptest.Server) func(*frappe.Config) {
		f := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		return func(cfg *frappe.Config) { cfg.CAFile = f }
	}
	t.Run("unknown issuer", func(t *testing.T) {
		err := list(t, client(t, serve().URL))
		if frappe.CategoryOf(err) != frappe.BadCertificate || !strings.Contains(err.Error(), "ca_file") {
			t.Errorf("got %v, want a bad certificate and the remedy", err)
		}
	})
	t.Run("private CA", func(t *testing.T) {
		s := serve()
		c := client(t, s.URL, caFile(s), func(cfg *frappe.Config) {
			cfg.Clock = func() time.Time { return time.Now().Add(-10 * time.Minute) }
		})
		if err := list(t, c); err != nil {
			t.Error(err)
		}
		got := c.Stats()
		if !got.CertificateExpires.Equal(s.Certificate().NotAfter) {
			t.Errorf("certificate expires %v, want %v", got.CertificateExpires, s.Certificate().NotAfter)
		}
		if !got.SkewKnown || got.Skew < 9*time.Minute || got.Skew > 11*time.Minute {
			t.Errorf("skew %v (known %v), want the ten minutes by which our clock is behind", got.Skew, got.SkewKnown)
		}
	})
	t.Run("wrong host", func(t *testing.T) {
		s := serve()
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		err := list(t, client(t, "https://localhost:"+port, caFile(s)))
		if frappe.CategoryOf(err) != frappe.BadCertificate || !strings.Contains(err.Error(), "another host") {
			t.Errorf("got %v, want a certificate for another host", err)
		}
	})
	t.Run("expired", func(t *testing.T) {
		cert, pool := expired(t)
		s := httptest.NewUnstartedServer(status(200, oneRow))
		s.Config.ErrorLog = quietLog()
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.StartTLS()
		t.Cleanup(s.Close)
		f := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(f, pool, 0o600); err != nil {
			t.Fatal(err)
		}
		err := list(t, client(t, s.URL, func(cfg *frappe.Config) { cfg.CAFile = f }))
		if frappe.CategoryOf(err) != frappe.BadCertificate || !strings.Contains(err.Error(), "expired") {
			t.Errorf("got %v, want an expired certificate", err)
		}
	})
	t.Run("no TLS there", func(t *testing.T) {
		s := script(t, "u", status(200, oneRow))
		err := list(t, client(t, strings.Replace(s.URL, "http:", "https:", 1)))
		if frappe.CategoryOf(err) != frappe.BadCertificate {
			t.Errorf("got %v, want a bad certificate", err)
		}
	})
}

func TestSiteDown(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	err = list(t, client(t, "http://"+addr))
	if frappe.CategoryOf(err) != frappe.Unreachable {
		t.Errorf("got %v, want unreachable", err)
	}
}

// TestErrorsNeverQuoteTheQuery: the text of a transport error repeats the whole
// address unless it is taken apart.
func TestErrorsNeverQuoteTheQuery(t *testing.T) {
	t.Parallel()
	for _, h := range []http.HandlerFunc{reset(t), halfBody(t), page(502, "secret customer"), status(417, `{"exc_type":"ValidationError","_server_messages":"[\"{\\\"message\\\":\\\"secret customer\\\"}\"]"}`)} {
		s := script(t, "u", h)
		_, err := client(t, s.URL).List(t.Context(), frappe.ListQuery{Doctype: "Task", Filters: []frappe.Filter{frappe.Where("customer", "=", "secret customer")}})
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "fields") {
			t.Errorf("got %v", err)
		}
	}
}

func TestErrorMessagesArePlain(t *testing.T) {
	t.Parallel()
	text, _ := json.Marshal(map[string]string{"message": "Could not find <b>Project:</b> P&amp;9\n\x1b[31m" + testSecret})
	msgs, _ := json.Marshal([]string{string(text)})
	body, _ := json.Marshal(map[string]string{"exc_type": "LinkValidationError", "_server_messages": string(msgs)})
	s := script(t, "u", status(417, string(body)))
	err := list(t, client(t, s.URL))
	var e *frappe.Error
	if !asError(err, &e) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Could not find Project: P&9 [31mredacted"}, e.Messages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompressedTransfer(t *testing.T) {
	t.Parallel()
	big := `{"data":[{"name":"T1","modified":"2026-11-01 10:00:00","description":"` + strings.Repeat("all work and no play ", 2000) + `"}]}`
	s := script(t, "u", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding %q, want gzip", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		answer(w, 200, string(zipped(t, []byte(big))))
	})
	if err := list(t, client(t, s.URL)); err != nil {
		t.Error(err)
	}
	// A bomb: small on the wire, far over the bound when unpacked.
	bomb := zipped(t, bytes.Repeat([]byte(" "), 40<<20))
	s = script(t, "u", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		answer(w, 200, string(bomb))
	})
	if err := list(t, client(t, s.URL)); frappe.CategoryOf(err) != frappe.Oversized {
		t.Errorf("got %v, want oversized", err)
	}
	s = script(t, "u", status(200, "not gzip at all", "Content-Encoding", "gzip"))
	if err := list(t, client(t, s.URL)); frappe.CategoryOf(err) != frappe.Malformed {
		t.Errorf("got %v, want malformed", err)
	}
}

func TestTwoInFlight(t *testing.T) {
	t.Parallel()
	var now, most, conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		for {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		answer(w, 200, oneRow)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := client(t, s.URL)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := list(t, c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 2 || conns.Load() > 2 {
		t.Errorf("%d at once over %d connections, want at most 2", most.Load(), conns.Load())
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 1)
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := withCancel(t)
	go func() { <-started; cancel() }()
	_, err := client(t, s.URL).List(ctx, frappe.ListQuery{Doctype: "Task"})
	if frappe.CategoryOf(err) != frappe.Cancelled {
		t.Errorf("got %v, want cancelled", err)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestOwnLimitsAreNotTheSitesFault: callers who run out of their own time do
// not open the breaker for the others.
func TestOwnLimitsAreNotTheSitesFault(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("limit_page_length") == "7" {
			<-r.Context().Done()
			return
		}
		answer(w, 200, oneRow)
	})
	c := client(t, s.URL)
	for range 7 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := c.List(ctx, frappe.ListQuery{Doctype: "Task", Limit: 7})
		cancel()
		if frappe.CategoryOf(err) != frappe.Cancelled || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want our own deadline", err)
		}
	}
	if err := list(t, c); err != nil {
		t.Error(err)
	}
}

func TestNegativeLimits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*frappe.Config){
		"concurrency": func(c *frappe.Config) { c.Concurrency = -1 },
		"budget":      func(c *frappe.Config) { c.ServerSeconds = -1 },
		"timeout":     func(c *frappe.Config) { c.ReplyTimeout = -1 },
	} {
		cfg := frappe.Config{URL: "https://site.example", Key: "k", Secret: "s"}
		change(&cfg)
		if _, err := frappe.New(cfg); err == nil || !strings.Contains(err.Error(), "negative") {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
	s := script(t, "u", status(200, oneRow))
	if err := list(t, client(t, s.URL, func(c *frappe.Config) { c.ServerBurst = 1 })); err != nil {
		t.Errorf("the smallest burst: %v", err)
	}
}

func poolOf(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}
