package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

// Servers are the two listeners: metrics and pages, behind the web
// configuration's TLS and users; and the probes, which must answer without.
type Servers struct {
	Listen    string // host:port of metrics and pages
	Probe     string // host:port of /healthz and /readyz
	WebConfig string // exporter-toolkit's file; "" is none
	Gatherer  prometheus.Gatherer
	Pages     http.Handler // what is served beside /metrics; nil is nothing
	Ready     func(context.Context) error
	Logger    *slog.Logger

	metrics, probe net.Listener
	web            *webConfig
}

// Open checks the web configuration and binds both addresses, so that a wrong
// file and a taken port are errors before any work. Serve closes what it opened.
func (s *Servers) Open() error {
	var err error
	if s.web, err = openWebConfig(s.WebConfig); err != nil {
		return err
	}
	if s.metrics, err = net.Listen("tcp", s.Listen); err != nil {
		s.web.close()
		return fmt.Errorf("PRMSYNC_LISTEN: %w; choose another address or end what holds it", err)
	}
	if s.probe, err = net.Listen("tcp", s.Probe); err != nil {
		s.web.close()
		s.metrics.Close()
		return fmt.Errorf("PRMSYNC_PROBE_LISTEN: %w; choose another address or end what holds it", err)
	}
	return nil
}

// Reload reads the web configuration anew. A wrong file is an error, and the old
// one stays in force.
func (s *Servers) Reload() error {
	if s.WebConfig == "" {
		return nil
	}
	return s.web.read()
}

// URL is where metrics are served, once opened.
func (s *Servers) URL() string {
	if s.web.tls {
		return "https://" + s.metrics.Addr().String()
	}
	return "http://" + s.metrics.Addr().String()
}

// ProbeURL is where the probes are served, once opened.
func (s *Servers) ProbeURL() string { return "http://" + s.probe.Addr().String() }

// Serve answers until ctx ends; then open requests have five seconds.
func (s *Servers) Serve(ctx context.Context) error {
	defer s.web.close()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	if s.Pages != nil {
		mux.Handle("/", s.Pages)
	}
	probes := http.NewServeMux()
	probes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	probes.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Ready(r.Context()); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	logger := s.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	main, probe := server(mux, logger), server(probes, logger)
	errs := make(chan error, 2)
	go func() {
		none, file := false, s.web.path()
		errs <- web.ServeMultiple([]net.Listener{s.metrics}, main, &web.FlagConfig{
			WebListenAddresses: &[]string{s.Listen}, WebConfigFile: &file, WebSystemdSocket: &none,
		}, logger)
	}()
	go func() { errs <- probe.Serve(s.probe) }()
	var first error
	select {
	case <-ctx.Done():
	case first = <-errs:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := errors.Join(main.Shutdown(end), probe.Shutdown(end))
	if first != nil && !errors.Is(first, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.Listen, first)
	}
	return err
}

func server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, 1<<20),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // longer than the slowest scrape
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
