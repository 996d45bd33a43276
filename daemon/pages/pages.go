// Package pages shows a person in a browser how partners, sites and the daemon stand, and programs the same as JSON.
// It reads the store and writes nothing; what is exported to Prometheus belongs to metrics.
package pages

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/store"
)

//go:embed page.html style.css icon.svg
var files embed.FS

// Store is what the pages read; *store.Store is one.
type Store interface {
	LatestOf(ctx context.Context, partner string, kind rules.Kind) (store.Held, bool, error)
	Alerts(ctx context.Context, partner string, since time.Time) ([]store.Episode, error)
	Jobs(ctx context.Context) ([]store.Job, error)
	Depths(ctx context.Context) ([]store.Depth, error)
	Brakes(ctx context.Context, since time.Time) ([]store.Brake, error)
	Sizes(ctx context.Context) (store.Sizes, error)
}

// Options is what the pages are made from.
type Options struct {
	Store Store
	// Live returns what the exporter shows of a partner: the last committed
	// assessment without reading it from disk, and what its sites cost. Nil, or
	// false for a partner, leaves the store.
	Live func(partner string) (metrics.Partner, bool)
	// Links returns the partner's sites, so that records can be linked.
	Links   func(ctx context.Context, partner string) (*evidence.Snapshot, error)
	Keys    func() []string         // the partners, in the order of the configuration
	Name    func(key string) string // a partner's name; nil or "" leaves the key
	Version string
	Now     func() time.Time
	Logger  *slog.Logger // nil is silent
}

type server struct {
	o    Options
	tmpl *template.Template
}

// New returns the handler of all pages and of their JSON twins below /api/.
func New(o Options) (http.Handler, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{o: o}
	var err error
	s.tmpl, err = template.New("page.html").Funcs(template.FuncMap{
		"ago": s.ago, "at": at, "bytes": size, "class": class, "group": group, "levels": levels, "meter": meter, "web": web,
	}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	mux := http.NewServeMux()
	for _, p := range []struct {
		path, twin string
		get        source
	}{
		{"/{$}", "/api/fleet", s.fleet},
		{"/partner/{partner}", "/api/partner/{partner}", s.partner},
		{"/partner/{partner}/site/{site}", "/api/partner/{partner}/site/{site}", s.site},
		{"/operations", "/api/operations", s.operations},
	} {
		mux.HandleFunc("GET "+p.path, s.show(p.get))
		mux.HandleFunc("GET "+p.twin, s.api(p.get))
	}
	for _, name := range []string{"style.css", "icon.svg"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=300")
			http.ServeFileFS(w, r, files, name)
		})
	}
	mux.HandleFunc("GET /", s.show(func(*http.Request) (view, error) { return view{}, unknown("there is no such page") }))
	mux.HandleFunc("GET /api/", s.api(func(*http.Request) (view, error) { return view{}, unknown("there is no such document") }))
	return guard(mux), nil
}

// guard sets on every answer what keeps a page from loading or being loaded
// elsewhere.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// unknown is a partner, site or page that is not there, told to who asked.
type unknown string

func (e unknown) Error() string { return string(e) }

// view is one page: its name and title, and what it shows.
type view struct {
	name, title string
	data        any
}

type source func(*http.Request) (view, error)

// page is what page.html is made from.
type page struct {
	Name, Title string
	Data        any
	Twin        string // path of the JSON twin; "" is none
	Version     string
	Now         time.Time
}

func (s *server) show(get source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := get(r)
		status, said := s.outcome(err)
		p := page{Name: v.name, Title: v.title, Data: v.data, Version: s.o.Version, Now: s.o.Now()}
		switch {
		case err != nil:
			p.Title, p.Data = http.StatusText(status), said
		case r.URL.Path == "/":
			p.Twin = "/api/fleet"
		default:
			p.Twin = "/api" + r.URL.EscapedPath()
		}
		var b bytes.Buffer
		if err := s.tmpl.Execute(&b, p); err != nil {
			status, said = s.outcome(err)
			http.Error(w, said, status)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = b.WriteTo(w)
	}
}

func (s *server) api(get source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := get(r)
		status, said := s.outcome(err)
		if err != nil {
			v.data = map[string]string{"error": said}
		}
		b, err := json.Marshal(v.data)
		if err != nil {
			status, said = s.outcome(err)
			http.Error(w, said, status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(b, '\n'))
	}
}

// outcome is the status of an answer and the words for who asked; a stranger is
// told nothing but that.
func (s *server) outcome(err error) (status int, said string) {
	var u unknown
	switch {
	case err == nil:
		return http.StatusOK, ""
	case errors.As(err, &u):
		return http.StatusNotFound, string(u)
	}
	s.o.Logger.Error("page", "err", err)
	return http.StatusInternalServerError, "this page cannot be made now; the log says why"
}
