// Package pages shows a person in a browser how partners, sites and the daemon stand, and programs the same as JSON.
// It reads the store and writes nothing; what is exported to Prometheus belongs to metrics.
package pages

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/store"
)

//go:embed page.html style.css
var files embed.FS

// Options is what the pages are made from.
type Options struct {
	Store *store.Store
	// Links returns the partner's sites, so that records can be linked.
	Links   func(ctx context.Context, partner string) (*evidence.Snapshot, error)
	Keys    func() []string // the partners, in the order of the configuration
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
	s.tmpl, err = template.New("page.html").Funcs(template.FuncMap{"ago": s.ago, "class": class, "web": web, "at": func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format("2006-01-02 15:04 UTC")
	}}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.show("fleet", s.fleet))
	mux.HandleFunc("GET /partner/{partner}", s.show("partner", s.partner))
	mux.HandleFunc("GET /partner/{partner}/site/{site}", s.show("site", s.site))
	mux.HandleFunc("GET /operations", s.show("operations", s.operations))
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		guard(w)
		http.ServeFileFS(w, r, files, "style.css")
	})
	mux.HandleFunc("GET /api/fleet", s.api(s.fleet))
	mux.HandleFunc("GET /api/partner/{partner}", s.api(s.partner))
	mux.HandleFunc("GET /api/partner/{partner}/site/{site}", s.api(s.site))
	mux.HandleFunc("GET /api/operations", s.api(s.operations))
	return mux, nil
}

// guard sets what keeps a page from loading or being loaded elsewhere.
func guard(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// errUnknown is a partner or site that is not configured.
type errUnknown string

func (e errUnknown) Error() string { return string(e) }

type source func(*http.Request) (any, error)

func (s *server) show(name string, get source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		guard(w)
		data, err := get(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		var b bytes.Buffer
		if err := s.tmpl.Execute(&b, page{Name: name, Data: data, Version: s.o.Version, Now: s.o.Now()}); err != nil {
			s.fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = b.WriteTo(w)
	}
}

func (s *server) api(get source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		guard(w)
		data, err := get(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(data); err != nil {
			s.o.Logger.Warn("page cannot be sent", "err", err)
		}
	}
}

// fail tells a stranger nothing but what they asked for.
func (s *server) fail(w http.ResponseWriter, err error) {
	if _, ok := err.(errUnknown); ok { //nolint:errorlint // made here and not wrapped
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.o.Logger.Error("page", "err", err)
	http.Error(w, "this page cannot be made now; the log says why", http.StatusInternalServerError)
}

type page struct {
	Name    string
	Data    any
	Version string
	Now     time.Time
}

// Fleet is the first page.
type Fleet struct {
	Partners []FleetRow `json:"partners"`
	Alerts   []Alert    `json:"alerts"`
	Waiting  int        `json:"outbox_waiting"`
	Parked   int        `json:"outbox_parked"`
	Brakes   int        `json:"brakes"`
}

// FleetRow is one partner on it.
type FleetRow struct {
	Partner   string    `json:"partner"`
	LevelLow  int       `json:"level_low"`
	LevelHigh int       `json:"level_high"`
	Met       int       `json:"met"`
	NotMet    int       `json:"not_met"`
	Unknown   int       `json:"unknown"`
	Fails     string    `json:"fails_first"`
	AsOf      time.Time `json:"as_of,omitzero"`
	Alerts    int       `json:"alerts"`
}

// Alert is one that fires.
type Alert struct {
	Rule     string    `json:"rule"`
	Partner  string    `json:"partner"`
	Severity string    `json:"severity"`
	Message  string    `json:"message"`
	Since    time.Time `json:"since"`
}

func (s *server) alerts(ctx context.Context, partner string) ([]Alert, error) {
	episodes, err := s.o.Store.Alerts(ctx, partner, s.o.Now())
	if err != nil {
		return nil, err
	}
	out := []Alert{}
	for _, e := range episodes {
		if e.Alert.Firing {
			out = append(out, Alert{e.Alert.Rule, e.Alert.Partner, string(e.Alert.Severity), e.Alert.Message, e.Alert.Since})
		}
	}
	rank := []string{"Critical", "Warning", "Info"}
	slices.SortStableFunc(out, func(a, b Alert) int {
		return cmp.Compare(slices.Index(rank, a.Severity), slices.Index(rank, b.Severity))
	})
	return out, nil
}

func (s *server) fleet(r *http.Request) (any, error) {
	f := Fleet{Partners: []FleetRow{}}
	var err error
	if f.Alerts, err = s.alerts(r.Context(), "*"); err != nil {
		return nil, err
	}
	firing := map[string]int{}
	for _, a := range f.Alerts {
		firing[a.Partner]++
	}
	for _, key := range s.o.Keys() {
		row := FleetRow{Partner: key, Alerts: firing[key]}
		held, ok, err := s.o.Store.LatestOf(r.Context(), key, rules.Continuous)
		if err != nil {
			return nil, err
		}
		if ok {
			a := held.Assessment
			row.LevelLow, row.LevelHigh, row.AsOf = a.LevelLow, a.LevelHigh, held.Until
			for _, v := range a.Verdicts {
				switch v.Effective() {
				case rules.Met, rules.NotApplicable:
					row.Met++
				case rules.NotMet:
					row.NotMet++
					if row.Fails == "" {
						row.Fails = v.Criterion + ": " + v.Measured
					}
				case rules.Insufficient, rules.Manual:
					row.Unknown++
				}
			}
		}
		f.Partners = append(f.Partners, row)
	}
	depths, err := s.o.Store.Depths(r.Context())
	if err != nil {
		return nil, err
	}
	for _, d := range depths {
		f.Waiting += d.Waiting
		f.Parked += d.Parked
	}
	brakes, err := s.o.Store.Brakes(r.Context(), s.o.Now())
	if err != nil {
		return nil, err
	}
	for _, b := range brakes {
		if b.Released.IsZero() {
			f.Brakes++
		}
	}
	return f, nil
}

// Partner is a partner's page.
type Partner struct {
	Report rules.Report `json:"report"`
	Trends []Trend      `json:"trends"`
	Alerts []Alert      `json:"alerts"`
	Sites  []string     `json:"sites"`
}

// Trend is one metric over the last weeks, oldest first.
type Trend struct {
	Title  string        `json:"title"`
	Points []TrendPoint  `json:"points"`
	Line   template.HTML `json:"-"`
}

// TrendPoint is one week; Has is false where nothing could be computed.
type TrendPoint struct {
	Week  string  `json:"week"`
	Has   bool    `json:"has_value"`
	Value float64 `json:"value"`
}

func (s *server) assessment(r *http.Request) (rules.Assessment, *evidence.Snapshot, error) {
	key := r.PathValue("partner")
	if !slices.Contains(s.o.Keys(), key) {
		return rules.Assessment{}, nil, errUnknown("no such partner")
	}
	held, ok, err := s.o.Store.LatestOf(r.Context(), key, rules.Continuous)
	if err != nil {
		return rules.Assessment{}, nil, err
	}
	if !ok {
		return rules.Assessment{}, nil, errUnknown("nothing is known of this partner yet")
	}
	links, err := s.o.Links(r.Context(), key)
	if err != nil {
		return rules.Assessment{}, nil, err
	}
	return held.Assessment, links, nil
}

func (s *server) partner(r *http.Request) (any, error) {
	a, links, err := s.assessment(r)
	if err != nil {
		return nil, err
	}
	p := Partner{Report: a.Report(links)}
	rank := []rules.Outcome{rules.NotMet, rules.Insufficient, rules.Manual, rules.Met, rules.NotApplicable}
	slices.SortStableFunc(p.Report.Verdicts, func(x, y rules.ReportVerdict) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, x.Outcome), slices.Index(rank, y.Outcome)), cmp.Compare(x.Level, y.Level))
	})
	for _, t := range []struct{ metric, title string }{{measure.OverduePct, "Overdue tasks, %"}, {measure.SLA, "Tickets in time, %"}} {
		p.Trends = append(p.Trends, trend(a, t.metric, t.title))
	}
	if p.Alerts, err = s.alerts(r.Context(), a.Partner); err != nil {
		return nil, err
	}
	for _, site := range links.Sites {
		p.Sites = append(p.Sites, site.Key)
	}
	return p, nil
}

func trend(a rules.Assessment, metric, title string) Trend {
	t := Trend{Title: title, Points: []TrendPoint{}}
	for _, v := range a.Metrics {
		if v.Metric == metric && v.Project == "" && !v.Period.Week.IsZero() && !v.Current {
			t.Points = append(t.Points, TrendPoint{v.Period.String(), v.Has, v.Value})
		}
	}
	slices.SortFunc(t.Points, func(x, y TrendPoint) int { return strings.Compare(x.Week, y.Week) })
	t.Line = t.svg()
	return t
}

// svg draws bars, so that a week without a value is a gap and not a fall to zero.
func (t Trend) svg() template.HTML {
	const width, height = 240, 60
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s"><line x1="0" y1="%d" x2="%d" y2="%d"/>`, width, height, template.HTMLEscapeString(t.Title), height-1, width, height-1)
	n := max(len(t.Points), 1)
	for i, p := range t.Points {
		if !p.Has {
			continue
		}
		h := int(min(max(p.Value, 0), 100) / 100 * (height - 4))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d"><title>%s: %.1f</title></rect>`,
			i*width/n+2, height-1-max(h, 1), max(width/n-4, 2), max(h, 1), template.HTMLEscapeString(p.Week), p.Value)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers and escaped text alone
}

// Site is a site's page.
type Site struct {
	Partner  string              `json:"partner"`
	Site     string              `json:"site"`
	URL      string              `json:"url"`
	Coverage []evidence.Coverage `json:"coverage"`
	Gaps     []evidence.Gap      `json:"gaps"`
}

func (s *server) site(r *http.Request) (any, error) {
	a, links, err := s.assessment(r)
	if err != nil {
		return nil, err
	}
	out := Site{Partner: a.Partner, Site: r.PathValue("site"), Coverage: []evidence.Coverage{}, Gaps: []evidence.Gap{}}
	i := slices.IndexFunc(links.Sites, func(x evidence.Site) bool { return x.Key == out.Site })
	if i < 0 {
		return nil, errUnknown("no such site")
	}
	out.URL = links.Sites[i].URL
	for _, c := range a.Coverage {
		if c.Site == out.Site {
			out.Coverage = append(out.Coverage, c)
		}
	}
	for _, g := range a.Gaps {
		if g.Site == out.Site {
			out.Gaps = append(out.Gaps, g)
		}
	}
	return out, nil
}

// Operations is the page of the daemon itself.
type Operations struct {
	Jobs   []store.Job   `json:"jobs"`
	Outbox []store.Depth `json:"outbox"`
	Brakes []store.Brake `json:"brakes"`
	Sizes  store.Sizes   `json:"sizes"`
}

func (s *server) operations(r *http.Request) (any, error) {
	var o Operations
	var err error
	if o.Jobs, err = s.o.Store.Jobs(r.Context()); err != nil {
		return nil, err
	}
	if o.Outbox, err = s.o.Store.Depths(r.Context()); err != nil {
		return nil, err
	}
	if o.Brakes, err = s.o.Store.Brakes(r.Context(), s.o.Now()); err != nil {
		return nil, err
	}
	if o.Sizes, err = s.o.Store.Sizes(r.Context()); err != nil {
		return nil, err
	}
	return o, nil
}

func (s *server) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := s.o.Now().Sub(t)
	switch {
	case d < 2*time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// class is a style for an outcome or a severity.
func class(v any) string {
	switch fmt.Sprint(v) {
	case "Not Met", "Critical":
		return "bad"
	case "Insufficient Evidence", "Manual", "Warning":
		return "open"
	}
	return "good"
}

// web lets only addresses of the web become links.
func web(u string) bool { return strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://") }
