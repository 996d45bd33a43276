package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/daemon/pages"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// terminal reports whether people look at w as it is written.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// colour reports whether w takes colours: a terminal, unless NO_COLOR is set.
func (p process) colour(w io.Writer) bool {
	if v, ok := p.env.Lookup("NO_COLOR"); ok && v != "" {
		return false
	}
	return terminal(w)
}

// logger writes to stderr: JSON, or text for people on a terminal.
func (p process) logger(s config.Settings) *slog.Logger {
	if s.LogFormat == "text" || s.LogFormat != "json" && terminal(p.stderr) {
		return slog.New(tint.NewTextHandler(p.stderr, &tint.Options{Level: s.LogLevel, TimeFormat: time.TimeOnly, NoColor: !p.colour(p.stderr)}))
	}
	return slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: s.LogLevel, ReplaceAttr: legible}))
}

// legible writes durations as people do ("1.5s"); JSON would count nanoseconds.
func legible(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Millisecond).String())
	}
	return a
}

// quiet logs warnings alone: for commands that a person waits for.
func (p process) quiet() *slog.Logger {
	return p.logger(config.Settings{LogFormat: "text", LogLevel: slog.LevelWarn})
}

// works is everything that runs a cycle, wired together.
type works struct {
	store    *store.Store
	judge    *judge
	daemon   *daemon.Daemon
	metrics  *metrics.Set
	registry *prometheus.Registry
	prm      *centralSite
	clients  []*frappe.Client
	partners []config.Partner
}

// worksOptions is what the wiring of a cycle needs besides the configuration.
type worksOptions struct {
	config config.Config
	prm    *frappe.Client // nil: no PRM, nothing is written
	log    *slog.Logger
	clock  func() time.Time
	// clocks are the partners' own, by key: recorded sites are judged at the
	// instant of their recording.
	clocks   map[string]func() time.Time
	progress func(partner, site string) partnersite.Progress
	// every, when set, is how often each partner is polled, whatever the
	// configuration says: the demo does not want to wait for minutes.
	every time.Duration
	// readOnly leaves history as it is: the store cannot be written.
	readOnly bool
}

// build wires partners, store and PRM. The caller closes the works; the store
// stays the caller's.
func build(ctx context.Context, st *store.Store, o worksOptions) (*works, error) {
	w := &works{store: st, judge: newJudge(st), registry: prometheus.NewRegistry(), partners: o.config.Partners}
	var err error
	if w.metrics, err = metrics.New(w.registry, versionText(), goVersion()); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	w.prm = &centralSite{judge: w.judge, now: o.clock}
	if o.prm != nil {
		w.prm.prm = prm.New(o.prm, string(o.config.PRM.Deployment), o.config.PRM.Intake...)
	}
	partners, err := w.partnersOf(ctx, o)
	if err != nil {
		w.Close()
		return nil, err
	}
	criteria, version, err := criteriaFacts()
	if err != nil {
		w.Close()
		return nil, err
	}
	people, err := w.judge.peopleAt(ctx, o.clock())
	if err != nil {
		w.Close()
		return nil, err
	}
	w.daemon, err = daemon.New(daemon.Options{
		Store: st, PRM: w.prm, Judge: w.judge, Metrics: w.metrics, Logger: o.log, Clock: o.clock, Version: versionText(),
		ChangeBrake: o.config.Policy.ChangeBrake, Criteria: criteria, RuleVersion: version, People: people,
		Programme: programme.Policy{
			Raise: o.config.Policy.NCMode == config.Raise, Unattended: o.config.Policy.UnattendedDays, Engagement: o.config.Policy.EngagementDays,
		},
		Poor: programme.Poor{OverdueAbove: 100 * o.config.Policy.Poor.Overdue, SLABelow: 100 * o.config.Policy.Poor.SLA},
	}, partners)
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// pages are what a person sees in a browser.
func (w *works) pages(log *slog.Logger) (http.Handler, error) {
	return pages.New(pages.Options{
		Store: w.store, Live: w.metrics.Partner, Links: w.judge.links, Keys: w.daemon.Keys, Name: w.daemon.Name, Version: versionText(), Now: time.Now, Logger: log,
	})
}

// Close drops connections.
func (w *works) Close() {
	for _, c := range w.clients {
		c.Close()
	}
}

// partnersOf opens a reader for every site of the configuration and puts what
// the configuration contributes to verdicts into history.
func (w *works) partnersOf(ctx context.Context, o worksOptions) ([]daemon.Partner, error) {
	var out []daemon.Partner
	for _, p := range o.config.Partners {
		clock := o.clock
		if c := o.clocks[p.Key]; c != nil {
			clock = c
		}
		dp := daemon.Partner{
			Facts: plan.PartnerFacts{Key: p.Key, Name: p.Name, MasterDoctype: p.Master.Doctype, MasterName: p.Master.Name},
			Clock: o.clocks[p.Key],
		}
		var specs []config.Schedule
		for _, s := range p.Sites {
			client, err := frappe.New(siteClient(s, o.log))
			if err != nil {
				return nil, fmt.Errorf("site %s of %s: %w", s.Key, p.Key, err)
			}
			w.clients = append(w.clients, client)
			r := &siteReader{partner: p.Key, key: s.Key, client: client, store: w.store, now: clock}
			opts := partnersite.Options{
				Partner: p.Key, Key: s.Key, URL: s.URL, Zone: s.TimeZone, Purpose: s.Purpose, Mapping: s.Mapping, MailDomains: p.MailDomains,
				DeleteBrake: o.config.Policy.DeleteBrake, Logger: o.log, Clock: clock,
			}
			if o.progress != nil {
				opts.Progress = o.progress(p.Key, s.Key)
			}
			r.site = partnersite.New(client, opts)
			dp.Sites = append(dp.Sites, daemon.PartnerSite{Key: s.Key, URL: s.URL, Purpose: purposeWord(s.Purpose), Read: r})
			specs = append(specs, s.Schedule)
			dp.Spec += s.Key + " " + s.Schedule.String() + "; "
		}
		dp.Schedule = earliest(specs)
		if o.every > 0 {
			dp.Schedule, dp.Spec = func(after time.Time) time.Time { return after.Add(o.every) }, o.every.String()
		}
		out = append(out, dp)
		if o.readOnly {
			continue
		}
		if err := w.judge.remember(ctx, p, o.config.Policy, clock()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// earliest is due whenever one of the schedules is.
func earliest(specs []config.Schedule) func(time.Time) time.Time {
	return func(after time.Time) time.Time {
		next := time.Time{}
		for _, s := range specs {
			if t := s.Next(after); !t.IsZero() && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
		if next.IsZero() {
			return after.Add(time.Hour)
		}
		return next
	}
}

func purposeWord(p config.Purpose) string {
	switch p {
	case config.Delivery:
		return "Delivery"
	case config.Support:
		return "Support"
	case config.Sales:
		return "Sales"
	default:
		return "All"
	}
}

func siteClient(s config.Site, log *slog.Logger) frappe.Config {
	return frappe.Config{
		URL: s.URL, Key: frappe.Secret(s.APIKey.Reveal()), Secret: frappe.Secret(s.APISecret.Reveal()), ReadOnly: true,
		AllowPrivateNetwork: s.AllowPrivateNetwork, CAFile: s.CAFile, Proxy: s.Proxy, Logger: log,
	}
}

func prmClient(c config.PRM, key, secret config.Secret, log *slog.Logger) (*frappe.Client, error) {
	client, err := frappe.New(frappe.Config{
		URL: c.URL, Key: frappe.Secret(key.Reveal()), Secret: frappe.Secret(secret.Reveal()), AllowPrivateNetwork: c.AllowPrivateNetwork, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("PRM: %w", err)
	}
	return client, nil
}

// criteriaFacts is what the PRM shows of our criteria.
func criteriaFacts() ([]plan.CriterionFacts, string, error) {
	all, err := rules.LoadBuiltin()
	if err != nil {
		return nil, "", err
	}
	var out []plan.CriterionFacts
	var versions []string
	for _, p := range all {
		versions = append(versions, p.ID.Name+" "+p.ID.Version)
		for _, c := range p.Criteria() {
			method := "Automatic"
			if c.Manual {
				method = "Manual"
			}
			out = append(out, plan.CriterionFacts{
				ID: c.ID, Title: c.Title, Level: c.Level, Department: c.Department, Severity: c.Severity, Method: method, Threshold: c.Limits(), Source: c.Source(),
			})
		}
	}
	return out, strings.Join(versions, ", "), nil
}

// centralSite is the PRM as the daemon sees it. Without a PRM it reads nothing
// and refuses to write, which a caller that only checks never asks for.
type centralSite struct {
	prm   *prm.PRM
	judge *judge
	now   func() time.Time
}

var _ daemon.PRM = (*centralSite)(nil)

var errNoPRM = errors.New("no PRM is configured")

// Zone implements daemon.PRM.
func (c *centralSite) Zone(ctx context.Context) (*time.Location, error) {
	if c.prm == nil {
		return time.UTC, nil
	}
	return c.prm.Zone(ctx)
}

// Read implements daemon.PRM; what was read enters history.
func (c *centralSite) Read(ctx context.Context, last programme.Input) (programme.Input, error) {
	if c.prm == nil {
		return programme.Input{}, nil
	}
	in, err := c.prm.Read(ctx, last)
	if err != nil {
		return programme.Input{}, err
	}
	in.AsOf = c.now().UTC()
	if err := c.judge.rememberPeople(ctx, in); err != nil {
		return programme.Input{}, err
	}
	return in, nil
}

// Apply implements daemon.PRM.
func (c *centralSite) Apply(ctx context.Context, ch plan.Change) (daemon.Applied, error) {
	if c.prm == nil {
		return daemon.Applied{}, errNoPRM
	}
	a, err := c.prm.Apply(ctx, ch)
	return daemon.Applied(a), err
}

// ApplyMany implements daemon.PRM.
func (c *centralSite) ApplyMany(ctx context.Context, cs []plan.Change) ([]daemon.Applied, error) {
	if c.prm == nil {
		return nil, errNoPRM
	}
	as, err := c.prm.ApplyMany(ctx, cs)
	out := make([]daemon.Applied, len(as))
	for i, a := range as {
		out[i] = daemon.Applied(a)
	}
	return out, err
}

// Requests implements daemon.PRM.
func (c *centralSite) Requests() int64 {
	if c.prm == nil {
		return 0
	}
	return c.prm.Requests()
}
