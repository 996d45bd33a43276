package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/store"
)

type runCmd struct{}

// Help is shown by --help.
func (runCmd) Help() string {
	return `Polls every partner's sites when they are due, judges them, and keeps the PRM and
the metrics current, until it is told to end (SIGTERM or Ctrl-C; what is under
way finishes first). SIGHUP reads the configuration anew: a wrong file is
refused whole and the old one stays.

Settings come from the environment (PRMSYNC_…), partners and sites from the file
that PRMSYNC_CONFIG names; docs/settings.md lists them.`
}

// Run runs the daemon.
func (runCmd) Run(p process) error {
	if _, ok := p.env.Lookup("GOGC"); !ok {
		// It sleeps most of the time and shares small machines: memory is dearer
		// here than the tenth of processor time that this costs.
		debug.SetGCPercent(50)
	}
	cfg, err := config.Load(p.ctx, p.env, config.Needs{PRM: true, Partners: true})
	if err != nil {
		return usage(err)
	}
	log := p.logger(cfg.Settings)
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "note", w.String())
	}
	st, err := store.Open(p.ctx, cfg.Settings.DatabaseURL.Reveal(), store.Options{})
	if err != nil {
		return err
	}
	defer st.Close()
	central, err := prmClient(cfg.PRM, cfg.PRM.APIKey, cfg.PRM.APISecret, log)
	if err != nil {
		return err
	}
	defer central.Close()
	w, err := build(p.ctx, st, worksOptions{config: cfg, prm: central, log: log, clock: time.Now})
	if err != nil {
		return err
	}
	defer w.Close()
	ui, err := w.pages(log)
	if err != nil {
		return err
	}
	srv := &daemon.Servers{
		Pages: ui, Listen: cfg.Settings.Listen, Probe: cfg.Settings.ProbeListen, WebConfig: cfg.Settings.WebConfig,
		Gatherer: w.registry, Ready: w.daemon.Ready, Logger: log,
	}
	if err := srv.Open(); errors.Is(err, daemon.ErrWebConfig) {
		return usage(err)
	} else if err != nil {
		return err
	}
	log.Info("running", "version", versionText(), "partners", len(cfg.Partners), "metrics", srv.URL()+"/metrics", "store", st.Name())
	return serveAll(p, w, srv, central, log)
}

// serveAll runs daemon, servers and reloads until the process is told to end.
func serveAll(p process, w *works, srv *daemon.Servers, central *frappe.Client, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() { errs <- w.daemon.Run(ctx) })
	wg.Go(func() { errs <- srv.Serve(ctx) })
	notify(log, sd.SdNotifyReady)
	var first error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case first = <-errs:
			running = false
		case <-hup:
			w.reload(p, srv, central, log)
		}
	}
	notify(log, sd.SdNotifyStopping)
	cancel()
	wg.Wait()
	close(errs)
	for err := range errs {
		first = errors.Join(first, err)
	}
	return first
}

// notify tells systemd, where it started us.
func notify(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Warn("systemd cannot be told", "state", state, "err", err)
	}
}

// reload reads the configuration anew; a wrong one changes nothing but a metric.
func (w *works) reload(p process, srv *daemon.Servers, central *frappe.Client, log *slog.Logger) {
	cfg, err := config.Load(p.ctx, p.env, config.Needs{PRM: true, Partners: true})
	if err == nil {
		err = srv.Reload()
	}
	if err != nil {
		log.Error("the configuration was refused; the old one stays", "err", err)
		if err := w.daemon.Reload(p.ctx, nil); err != nil {
			log.Error("reload", "err", err)
		}
		return
	}
	old := w.clients
	w.clients = nil
	partners, err := w.partnersOf(p.ctx, worksOptions{config: cfg, prm: central, log: log, clock: time.Now})
	if err == nil {
		err = w.daemon.Reload(p.ctx, partners)
	}
	if err != nil {
		log.Error("reload", "err", err)
		w.clients = append(w.clients, old...)
		return
	}
	w.partners = cfg.Partners
	w.prm.prm.SetIntake(cfg.PRM.Intake)
	for _, c := range old {
		c.Close()
	}
	log.Info("configuration reloaded", "partners", len(cfg.Partners))
}

type onceCmd struct {
	Partner []string `help:"Only these partners (repeatable)." placeholder:"KEY"`
	JSON    bool     `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (onceCmd) Help() string {
	return `Does what run does when everything is due, once, and ends: reads the sites, judges,
writes to the PRM. Exit code 3 says that it was done and that something is not met.`
}

// Run does one cycle.
func (c onceCmd) Run(p process) error {
	began := time.Now()
	cfg, err := config.Load(p.ctx, p.env, config.Needs{PRM: true, Partners: true})
	if err != nil {
		return usage(err)
	}
	if err := knownPartners(cfg, c.Partner...); err != nil {
		return err
	}
	log := p.logger(cfg.Settings)
	st, err := store.Open(p.ctx, cfg.Settings.DatabaseURL.Reveal(), store.Options{})
	if err != nil {
		return err
	}
	defer st.Close()
	central, err := prmClient(cfg.PRM, cfg.PRM.APIKey, cfg.PRM.APISecret, log)
	if err != nil {
		return err
	}
	defer central.Close()
	bars := newBars(p)
	w, err := build(p.ctx, st, worksOptions{config: cfg, prm: central, log: log, clock: time.Now, progress: bars.site})
	if err != nil {
		return err
	}
	defer w.Close()
	cycleErr := w.daemon.Once(p.ctx, c.Partner...)
	bars.close()
	doc, err := w.cycleDocument(p.ctx, w.daemon.Tally(), time.Since(began), c.Partner...)
	if err != nil {
		return errors.Join(cycleErr, err)
	}
	if c.JSON {
		if err := writeJSON(p.stdout, doc); err != nil {
			return err
		}
	} else {
		fleetTable(p, p.stdout, doc.Partners, nil)
		fmt.Fprintf(p.stdout, "\nPRM: %d records created, %d updated, %d as they were, in %d requests, %s.\n",
			doc.PRM.Created, doc.PRM.Updated, doc.PRM.Unchanged, doc.PRM.Requests, time.Since(began).Round(time.Millisecond))
	}
	if cycleErr != nil {
		return cycleErr
	}
	if anyNotMet(doc.Partners) {
		return errNotMet
	}
	return nil
}
