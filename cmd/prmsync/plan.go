package main

import (
	"fmt"
	"os/user"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

type planCmd struct {
	Partner []string `help:"Only these partners (repeatable)." placeholder:"KEY"`
	Approve string   `help:"Let pass what the brake of this ID holds back." placeholder:"ID"`
	JSON    bool     `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (planCmd) Help() string {
	return `Judges from what was last read and shows, for each partner, the changes that the
next cycle would queue for the PRM. Writes nothing. When a brake holds changes
back, it is named with its ID; --approve ID lets them pass.`
}

// planned is one change as people and programs read it.
type planned struct {
	Partner string         `json:"partner"`
	Op      plan.Op        `json:"op"`
	Doctype string         `json:"doctype"`
	Name    string         `json:"name"`
	Reason  string         `json:"reason"`
	Fields  map[string]any `json:"fields"`
	Before  map[string]any `json:"before,omitempty"`
}

// Run shows or approves.
func (c planCmd) Run(p process) error {
	if c.Approve != "" {
		return c.approve(p)
	}
	cfg, err := config.Load(p.ctx, p.env, config.Needs{Partners: true})
	if err != nil {
		return usage(err)
	}
	if err := knownPartners(cfg, c.Partner...); err != nil {
		return err
	}
	st, err := store.OpenReadOnly(p.ctx, cfg.Settings.DatabaseURL.Reveal())
	if err != nil {
		return err
	}
	defer st.Close()
	now := time.Now()
	w, err := build(p.ctx, st, worksOptions{config: cfg, log: p.logger(cfg.Settings), clock: time.Now, readOnly: true})
	if err != nil {
		return err
	}
	defer w.Close()
	people, err := w.judge.peopleAt(p.ctx, now)
	if err != nil {
		return err
	}
	keys := c.Partner
	if len(keys) == 0 {
		keys = w.daemon.Keys()
	}
	out := []planned{}
	for _, key := range keys {
		changes, err := w.daemon.Plan(p.ctx, key, now, people)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		for _, ch := range changes {
			out = append(out, planned{ch.Partner, ch.Op, ch.Doctype, ch.Name, ch.Reason, ch.Fields, ch.Base})
		}
	}
	brakes, err := st.Brakes(p.ctx, now)
	if err != nil {
		return err
	}
	about := p.stdout
	if c.JSON {
		if err := writeJSON(p.stdout, out); err != nil {
			return err
		}
		about = p.stderr // the document stays one
	} else {
		for _, ch := range out {
			fmt.Fprintf(p.stdout, "%-7s %s %s: %s\n", ch.Op, ch.Doctype, ch.Name, ch.Reason)
		}
		fmt.Fprintf(p.stdout, "%d changes\n", len(out))
	}
	for _, b := range brakes {
		if b.Released.IsZero() {
			fmt.Fprintf(about, "held back since %s by the %s brake on %s; prmsync plan --approve %s lets it pass\n", b.Tripped.Local().Format(time.DateTime), b.Kind, b.Subject, b.ID)
		}
	}
	return nil
}

func (c planCmd) approve(p process) error {
	st, err := writable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if err := st.ReleaseBrake(p.ctx, c.Approve, who, time.Now()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s may pass\n", c.Approve)
	return err
}
