package frappe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
)

const (
	testKey    = "k4n4ryk3y0000001"
	testSecret = "c4n4rys3cr3t0002"
)

// stub is a server of which a test sees every request.
type stub struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // verb and path
}

func newStub(t testing.TB, h http.HandlerFunc) *stub {
	t.Helper()
	s := &stub{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stub) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

// client opens url as tests do: on the loopback, with pauses too short to feel.
func client(t testing.TB, url string, change ...func(*frappe.Config)) *frappe.Client {
	t.Helper()
	cfg := frappe.Config{
		URL: url, Key: testKey, Secret: testSecret, ReadOnly: true, AllowPrivateNetwork: true,
		MinWait: time.Millisecond, MaxWait: 2 * time.Second,
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := frappe.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func writable(c *frappe.Config) { c.ReadOnly = false }

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write([]byte(body))
}

func asError(err error, target **frappe.Error) bool { return errors.As(err, target) }
