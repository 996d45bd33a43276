package frappetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ServerOptions says where a server listens. Logging is left to the caller.
type ServerOptions struct {
	Listen string // host:port; "" = a free port of the loopback
	// Extra answers paths below /__test/ beside the sites.
	Extra http.Handler
}

// Server carries sites over HTTP. A single site answers every host; of several
// the Host header, or X-Frappe-Site-Name, chooses.
type Server struct {
	ln    net.Listener
	http  *http.Server
	mu    sync.RWMutex
	sites []*Site
	// strict makes even a single site refuse other hosts.
	strict bool
	extra  http.Handler
}

// NewServer listens and serves until Close.
func NewServer(o ServerOptions, sites ...*Site) (*Server, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("frappetest server: %w", err)
	}
	s := &Server{ln: ln, extra: o.Extra}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	for _, site := range sites {
		s.Add(site)
	}
	go func() { _ = s.http.Serve(ln) }() // ends with Close
	return s, nil
}

// Add lets the server carry one more site.
func (s *Server) Add(site *Site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	site.server = s
	s.sites = append(s.sites, site)
}

// StrictHosts makes a single site answer its own host only.
func (s *Server) StrictHosts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strict = true
}

// URL is the server's address, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.ln.Addr().String() }

// Close stops the server and drops its connections.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = s.http.Close()
	}
}

// Site gives the site of a host, nil where there is none.
func (s *Server) Site(host string) *Site {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.sites) == 1 && !s.strict {
		return s.sites[0]
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	for _, site := range s.sites {
		if strings.EqualFold(site.host, host) {
			return site
		}
	}
	return nil
}

// ServeHTTP finds the site and lets it answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.extra != nil && strings.HasPrefix(r.URL.Path, "/__test/") {
		s.extra.ServeHTTP(w, r)
		return
	}
	host := r.Header.Get("X-Frappe-Site-Name")
	if host == "" {
		host = r.Host
	}
	site := s.Site(host)
	if site == nil {
		p := page(http.StatusNotFound, host+" does not exist", "")
		writeRaw(w, p, &Request{}, nil)
		return
	}
	site.serve(w, r)
}

// TB is what New needs of a test; *testing.T and *testing.B have it.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New makes a site on a server of its own that ends with the test.
func New(t TB, o ...SiteOptions) *Site {
	t.Helper()
	var opts SiteOptions
	if len(o) > 0 {
		opts = o[0]
	}
	site, err := NewSite(opts)
	if err != nil {
		t.Fatalf("frappetest: %v", err)
	}
	srv, err := NewServer(ServerOptions{}, site)
	if err != nil {
		t.Fatalf("frappetest: %v", err)
	}
	t.Cleanup(srv.Close)
	return site
}
