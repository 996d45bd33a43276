package frappetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prmsync/prmsync/internal/frappetest"
)

// vecSite is the vector fixture on a server of its own, and sm's token.
func vecSite(t *testing.T) (*frappetest.Site, string) {
	t.Helper()
	s, creds, err := frappetest.VectorSite(frappetest.V15)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := frappetest.NewServer(frappetest.ServerOptions{}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return s, creds["sm"].Key + ":" + creds["sm"].Secret
}

// fetch is a request whose transport error is of interest.
func fetch(t *testing.T, s *frappetest.Site, token, method, path string, body string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.URL()+strings.ReplaceAll(path, " ", "%20"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+token)
	req.Header.Set("Content-Type", "application/json")
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, b, err
}

const list = "/api/resource/Vec Task"

func TestFaults(t *testing.T) {
	t.Parallel()
	s, token := vecSite(t)
	status := func(want int) {
		t.Helper()
		if st, body := get(t, s, token, list); st != want {
			t.Errorf("status %d, want %d: %.200s", st, want, body)
		}
	}
	s.Break(frappetest.Fault{Path: list, Status: 429, RetryAfter: "3", After: 1, Times: 2})
	status(200)
	res, _, err := fetch(t, s, token, "GET", list, "")
	if err != nil || res.StatusCode != 429 || res.Header.Get("Retry-After") != "3" {
		t.Errorf("throttle: %v %v", res, err)
	}
	status(429)
	status(200)
	s.Heal()

	s.Break(frappetest.Fault{Path: "/api/resource/*", Status: 502})
	res, body, err := fetch(t, s, token, "GET", list, "")
	if err != nil || res.StatusCode != 502 || !strings.Contains(string(body), "nginx") {
		t.Errorf("502: %v %s %v", res, body, err)
	}
	if st, _ := get(t, s, token, "/api/method/ping"); st != 200 {
		t.Errorf("ping outside the fault's path: %d", st)
	}
	s.Heal()

	s.Break(frappetest.Fault{ExcType: "QueryDeadlockError", Times: 1})
	if st, text := get(t, s, token, list); st != 500 || !strings.Contains(text, `"exc_type":"QueryDeadlockError"`) {
		t.Errorf("deadlock: %d %s", st, text)
	}
	status(200)

	s.Break(frappetest.Fault{HTML: true, Times: 1})
	if res, _, err = fetch(t, s, token, "GET", list, ""); err != nil || res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("html: %v %v", res, err)
	}
	s.Break(frappetest.Fault{Reset: true, Times: 1})
	if _, _, err = fetch(t, s, token, "GET", list, ""); err == nil {
		t.Error("reset: no error")
	}
	s.Break(frappetest.Fault{Cut: -1, Times: 1})
	if _, body, err = fetch(t, s, token, "GET", list, ""); err == nil || len(body) == 0 {
		t.Errorf("half body: %d bytes, %v", len(body), err)
	}
	s.Break(frappetest.Fault{Deep: 10_000, Times: 1})
	if _, body, err = fetch(t, s, token, "GET", list, ""); err != nil || json.Valid(body) != true && len(body) < 20_000 {
		t.Errorf("deep: %d bytes, %v", len(body), err)
	}
	s.Break(frappetest.Fault{Huge: 3 << 20, Times: 1})
	if _, body, err = fetch(t, s, token, "GET", list, ""); err != nil || len(body) < 2<<20 || !json.Valid(body) {
		t.Errorf("huge: %d bytes, %v", len(body), err)
	}
	s.Break(frappetest.Fault{BadUTF8: true, Times: 1})
	if _, body, err = fetch(t, s, token, "GET", list, ""); err != nil || utf8.Valid(body) {
		t.Errorf("bad UTF-8: %s, %v", body, err)
	}
	s.Break(frappetest.Fault{Status: 301, Location: "http://elsewhere.example/", Times: 1})
	if res, _, err = fetch(t, s, token, "GET", list, ""); err != nil || res.Header.Get("Location") == "" {
		t.Errorf("redirect: %v %v", res, err)
	}
	s.Break(frappetest.Fault{Trickle: 50, TricklePause: frappetest.Duration{Duration: time.Millisecond}, Times: 1})
	if _, body, err = fetch(t, s, token, "GET", list, ""); err != nil || !json.Valid(body) {
		t.Errorf("trickle: %s, %v", body, err)
	}
	s.Break(frappetest.Fault{Latency: frappetest.Duration{Duration: 20 * time.Millisecond}, PerRow: frappetest.Duration{Duration: time.Millisecond}, Times: 1})
	s.ResetRequests()
	status(200)
	if log := s.Requests(); len(log) != 1 || log[0].Took < 40*time.Millisecond {
		t.Errorf("latency of 20 rows: %+v", log)
	}
}

func TestDroppedAnswerHasHappened(t *testing.T) {
	t.Parallel()
	s, token := vecSite(t)
	s.Break(frappetest.Fault{Method: http.MethodPost, DropAnswer: true, Times: 1})
	_, _, err := fetch(t, s, token, http.MethodPost, list, `{"code":"LOST","subject":"x"}`)
	if err == nil {
		t.Fatal("the answer arrived")
	}
	if s.Doc("Vec Task", "LOST") == nil {
		t.Error("the write did not happen")
	}
	if st, _ := call(t, s, token, http.MethodPost, list, map[string]any{"code": "LOST", "subject": "x"}); st != http.StatusConflict {
		t.Errorf("a repeat answers %d, want 409", st)
	}
}

func TestChurnHooks(t *testing.T) {
	t.Parallel()
	s, token := vecSite(t)
	var pages atomic.Int32
	s.OnAnswer(func(r frappetest.Request) {
		if r.Path == list && pages.Add(1) == 1 {
			if err := s.Set("Vec Task", "T01", map[string]any{"priority": 3}); err != nil {
				t.Error(err)
			}
		}
	})
	killed := make(chan struct{})
	s.AfterRequests(2, func() { close(killed) })
	before := s.Doc("Vec Task", "T01")["modified"]
	get(t, s, token, list)
	get(t, s, token, list)
	<-killed
	if got := s.Doc("Vec Task", "T01"); got["priority"] != int64(3) || got["modified"] == before {
		t.Errorf("after the hook: %v", got)
	}
	if err := s.SetSilently("Vec Task", "T02", map[string]any{"status": "Done"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename("Vec Task", "T03", "T03-A"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteRaw("Vec Task", "T04"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("Vec Task", "T05"); err != nil {
		t.Fatal(err)
	}
	if n := s.Count("Deleted Document"); n != 1 {
		t.Errorf("%d Deleted Documents, want that of T05 only", n)
	}
	s.RevokeKey("sm@vec.test")
	if st, _ := get(t, s, token, list); st != http.StatusUnauthorized {
		t.Errorf("a revoked key answers %d", st)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC) // 02:30 in Berlin, an hour before the clocks go back
	s := frappetest.New(t, frappetest.SiteOptions{TimeZone: "Europe/Berlin", Now: func() time.Time { return at }})
	make1 := func() string {
		t.Helper()
		name, err := s.Insert("ToDo", map[string]any{"description": "x"})
		if err != nil {
			t.Fatal(err)
		}
		return s.Doc("ToDo", name)["modified"].(string)
	}
	first := make1()
	at = at.Add(time.Hour)
	second := make1()
	if !strings.HasPrefix(first, "2026-10-25 02:30:00") || !strings.HasPrefix(second, "2026-10-25 02:30:00") {
		t.Errorf("the ambiguous hour: %s, then %s", first, second)
	}
	s.OffsetClock(-24 * time.Hour)
	if got := make1(); !strings.HasPrefix(got, "2026-10-24") {
		t.Errorf("with the clock a day behind: %s", got)
	}
	s.Heal()
	if err := s.SetTimeZone("America/New_York"); err != nil {
		t.Fatal(err)
	}
	if got := make1(); !strings.HasPrefix(got, "2026-10-24 21:30") {
		t.Errorf("in New York: %s", got)
	}
}

func TestControlPaths(t *testing.T) {
	t.Parallel()
	s, _, err := frappetest.VectorSite(frappetest.V15)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := frappetest.NewServer(frappetest.ServerOptions{Extra: s.Control()}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	post := func(path string, body any, want int) string {
		t.Helper()
		st, text := call(t, s, "", http.MethodPost, path, body)
		if st != want {
			t.Errorf("%s %v: status %d: %s", path, body, st, text)
		}
		return text
	}
	post("/__test/faults", map[string]any{"path": "/api/method/ping", "latency": "1ms", "status": 503, "times": 1}, 200)
	if st, _ := get(t, s, "", "/api/method/ping"); st != 503 {
		t.Errorf("ping under the fault: %d", st)
	}
	post("/__test/do", map[string]any{"op": "insert", "doctype": "Vec Note", "values": map[string]any{"name": "n1", "title": "x"}}, 200)
	post("/__test/do", map[string]any{"op": "rename", "doctype": "Vec Note", "name": "n1", "to": "n2"}, 200)
	post("/__test/do", map[string]any{"op": "no such"}, 400)
	if s.Doc("Vec Note", "n2") == nil {
		t.Error("the renamed note is not there")
	}
	post("/__test/reset", map[string]any{"maintenance_mode": 1}, 200)
	if s.Count("Vec Note") != 0 {
		t.Error("reset left a note")
	}
	if st, _ := get(t, s, "", "/api/method/ping"); st != 503 {
		t.Errorf("ping in maintenance: %d", st)
	}
	dir := t.TempDir()
	post("/__test/save", map[string]any{"dir": dir}, 200)
	again := frappetest.New(t)
	if err := again.LoadFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if n := again.Count("Vec Task"); n != 25 {
		t.Errorf("%d tasks after saving and loading, want 25", n)
	}
	if d := again.Doc("Vec Task", "T01"); d["budget"] != float64(500) || len(d["steps"].([]map[string]any)) != 2 {
		t.Errorf("T01 after saving and loading: %v", d)
	}
}

func TestUnknownVersion(t *testing.T) {
	t.Parallel()
	if _, err := frappetest.NewSite(frappetest.SiteOptions{Version: "13.0.0"}); err == nil {
		t.Error("version 13 is accepted")
	}
	if _, err := frappetest.NewSite(frappetest.SiteOptions{TimeZone: "Nowhere/At all"}); err == nil || errors.Is(err, io.EOF) {
		t.Error("an unknown zone is accepted")
	}
}
