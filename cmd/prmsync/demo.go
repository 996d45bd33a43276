package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/store"
)

type demoCmd struct {
	Once   bool     `help:"Do one cycle, print what came of it, and end."`
	JSON   bool     `help:"Print one JSON document when the first cycle is done." name:"json"`
	Data   []string `help:"Add a partner whose site serves this folder of recorded documents (repeatable)." type:"existingdir" placeholder:"DIR"`
	Listen string   `help:"Where to serve metrics while the demo runs." default:"127.0.0.1:0"`
	Keep   string   `help:"Keep the state in this file instead of a temporary folder." placeholder:"FILE"`
}

// Help is shown by --help.
func (demoCmd) Help() string {
	return `Starts a PRM and six partners' sites in memory on loopback ports, provisions the
PRM, and runs the real daemon against them: it reads the sites, judges what it
finds, writes the results to the PRM and exports metrics. Without --once it goes
on while the sites live: tasks are finished, scans arrive, and verdicts change.`
}

// Run runs the demo.
func (c demoCmd) Run(p process) error {
	began := time.Now()
	out := p.stdout
	if c.JSON {
		out = io.Discard
	}
	fmt.Fprintln(out, "prmsync demo: a PRM and six partners' sites in memory, read and judged by the real daemon")
	world, err := demo.NewWorld(time.Now)
	if err != nil {
		return err
	}
	defer world.Close()
	for _, dir := range c.Data {
		if _, err := world.AddFolder(dir); err != nil {
			return usage(err)
		}
	}
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if err := provisionDemo(p.ctx, world, out, log); err != nil {
		return err
	}
	path := c.Keep
	if path == "" {
		dir, err := os.MkdirTemp("", "prmsync-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "prmsync.db")
	}
	st, err := store.Open(p.ctx, "sqlite:"+path, store.Options{})
	if err != nil {
		return err
	}
	defer st.Close()
	w, err := demoWorks(p.ctx, st, world, log, time.Now)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.daemon.Once(p.ctx); err != nil {
		return err
	}
	tally := w.daemon.Tally()
	if c.JSON {
		doc, err := w.cycleDocument(p.ctx, tally, time.Since(began))
		if err != nil {
			return err
		}
		if err := writeJSON(p.stdout, doc); err != nil {
			return err
		}
	}
	if err := demoTable(p, out, w, world); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nPRM: %d records created, %d updated, %d as they were, in %d requests. The cycle took %s.\n",
		tally.Created, tally.Updated, tally.Unchanged, w.prm.Requests(), time.Since(began).Round(10*time.Millisecond))
	if c.Once {
		return nil
	}
	return c.live(p, out, w, world, log)
}

// live serves metrics and goes on with the cycles while the sites live.
func (c demoCmd) live(p process, out io.Writer, w *works, world *demo.World, log *slog.Logger) error {
	ui, err := w.pages(log)
	if err != nil {
		return err
	}
	srv := &daemon.Servers{Pages: ui, Listen: c.Listen, Probe: "127.0.0.1:0", Gatherer: w.registry, Ready: w.daemon.Ready, Logger: log}
	if err := srv.Open(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nStatus page: %s/   Metrics: %s/metrics   PRM: %s (in memory)\nThe sites live on; press Ctrl-C to end.\n\n", srv.URL(), srv.URL(), world.PRMURL)
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() { errs <- srv.Serve(ctx) })
	wg.Go(func() { errs <- w.daemon.Run(ctx) })
	wg.Go(func() {
		world.Live(ctx, func(what string) { fmt.Fprintf(out, "%s  site     %s\n", time.Now().Format(time.TimeOnly), what) })
	})
	wg.Go(func() { w.tell(ctx, out) })
	var first error
	select {
	case <-p.ctx.Done():
	case first = <-errs:
	}
	cancel()
	wg.Wait()
	return first
}

// tell prints each verdict that flips.
func (w *works) tell(ctx context.Context, out io.Writer) {
	last := map[string]rules.Outcome{}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		for _, p := range w.partners {
			held, ok, err := w.store.LatestOf(ctx, p.Key, rules.Continuous)
			if err != nil || !ok {
				continue
			}
			for _, v := range held.Assessment.Verdicts {
				k := p.Key + " " + v.Criterion
				if old, had := last[k]; had && old != v.Effective() && !first {
					fmt.Fprintf(out, "%s  verdict  %s: %s → %s (%s)\n", time.Now().Format(time.TimeOnly), k, old, v.Effective(), v.Measured)
				}
				last[k] = v.Effective()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// provisionDemo makes the PRM's doctypes and what people keep there.
func provisionDemo(ctx context.Context, world *demo.World, out io.Writer, log *slog.Logger) error {
	admin, err := frappe.New(frappe.Config{
		URL: world.PRMURL, Key: frappe.Secret(world.Provision.Key), Secret: frappe.Secret(world.Provision.Secret), AllowPrivateNetwork: true, Logger: log,
	})
	if err != nil {
		return err
	}
	defer admin.Close()
	res, err := schema.Provision(ctx, admin, schema.Options{Deployment: "bare"})
	if err != nil {
		return fmt.Errorf("provision the PRM: %w", err)
	}
	if n := res.Count(schema.Cannot); n > 0 {
		return fmt.Errorf("provision the PRM: %d steps were refused", n)
	}
	fmt.Fprintf(out, "PRM provisioned: %d documents made\n\n", res.Count(schema.Create))
	world.MakeAgent()
	if err := world.People(); err != nil {
		return fmt.Errorf("demo: what people keep on the PRM: %w", err)
	}
	return nil
}

// demoWorks wires the daemon to the demo's world.
func demoWorks(ctx context.Context, st *store.Store, world *demo.World, log *slog.Logger, clock func() time.Time) (*works, error) {
	every, err := config.ParseSchedule("@every 1m")
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(ctx, envconfig.MapLookuper(nil), config.Needs{}) // the defaults alone
	if err != nil {
		return nil, err
	}
	cfg.PRM = config.PRM{URL: world.PRMURL, APIKey: config.NewSecret(world.Agent.Key), APISecret: config.NewSecret(world.Agent.Secret), Deployment: config.Bare, AllowPrivateNetwork: true}
	clocks := map[string]func() time.Time{}
	for _, m := range world.Members {
		cfg.Partners = append(cfg.Partners, memberConfig(m, every))
		if at := m.AsOf; !at.IsZero() {
			clocks[m.Key] = func() time.Time { return at }
		}
	}
	client, err := prmClient(cfg.PRM, cfg.PRM.APIKey, cfg.PRM.APISecret, log)
	if err != nil {
		return nil, err
	}
	w, err := build(ctx, st, worksOptions{config: cfg, prm: client, log: log, clock: clock, clocks: clocks, every: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	w.clients = append(w.clients, client)
	return w, nil
}

func memberConfig(m *demo.Member, every config.Schedule) config.Partner {
	return config.Partner{
		Key: m.Key, Name: m.Name, MailDomains: m.MailDomains,
		Sites: []config.Site{{
			Key: "erp", URL: m.URL, APIKey: config.NewSecret(m.Reader.Key), APISecret: config.NewSecret(m.Reader.Secret), Schedule: every,
			Purpose: config.AllPurposes, AllowPrivateNetwork: true, Mapping: m.Mapping,
		}},
	}
}
