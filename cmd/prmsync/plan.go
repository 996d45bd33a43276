package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/daemon"
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

// planDocument is the JSON of `plan`.
type planDocument struct {
	Changes []planned  `json:"changes"`
	Held    []heldBack `json:"held"` // by which brakes; empty when none holds
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

// heldBack is a brake that holds.
type heldBack struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // change, or delete
	Subject string    `json:"subject"`
	Since   time.Time `json:"since"`
	Flips   []string  `json:"flips,omitempty"` // of the change brake: "partner criterion: Met → Not Met"
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
	doc := planDocument{Changes: []planned{}, Held: []heldBack{}}
	for _, key := range keys {
		changes, err := w.daemon.Plan(p.ctx, key, now, people)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		for _, ch := range changes {
			doc.Changes = append(doc.Changes, planned{ch.Partner, ch.Op, ch.Doctype, ch.Name, ch.Reason, ch.Fields, ch.Base})
		}
	}
	brakes, err := st.Brakes(p.ctx, now)
	if err != nil {
		return err
	}
	for _, b := range brakes {
		if !b.Released.IsZero() {
			continue
		}
		h := heldBack{ID: b.ID, Kind: b.Kind, Subject: b.Subject, Since: b.Tripped}
		if b.Kind == daemon.BrakeChange {
			if err := json.Unmarshal(b.Body, &h.Flips); err != nil {
				return fmt.Errorf("brake %s: %w", b.ID, err)
			}
		}
		doc.Held = append(doc.Held, h)
	}
	if c.JSON {
		return writeJSON(p.stdout, doc)
	}
	doc.print(p.stdout)
	return nil
}

// flipsShown is how many flips a person is shown of a brake.
const flipsShown = 20

// print writes the plan for people: by partner, what changes and why, then what
// is held back. Figures and evidence, which come by the dozen, are counted.
func (d planDocument) print(w io.Writer) {
	many := map[[2]string]int{}
	partner := ""
	end := func() {
		for _, doctype := range []string{plan.DoctypeSnapshot, plan.DoctypeEvidence} {
			if n := many[[2]string{partner, doctype}]; n > 0 {
				fmt.Fprintf(w, "  %-6s  %d of %s (--json lists them)\n", plan.Insert, n, doctype)
			}
		}
	}
	for i, ch := range d.Changes {
		if i == 0 || ch.Partner != partner {
			end()
			partner = ch.Partner
			fmt.Fprintf(w, "%s\n", partner)
		}
		if ch.Op == plan.Insert && (ch.Doctype == plan.DoctypeSnapshot || ch.Doctype == plan.DoctypeEvidence) {
			many[[2]string{partner, ch.Doctype}]++
			continue
		}
		fmt.Fprintf(w, "  %-6s  %s %s: %s\n", ch.Op, ch.Doctype, ch.Name, ch.Reason)
	}
	end()
	if len(d.Changes) == 0 {
		fmt.Fprintln(w, "nothing to write: the PRM stands as wanted")
	} else {
		fmt.Fprintln(w, countOf(len(d.Changes)))
	}
	for _, h := range d.Held {
		fmt.Fprintf(w, "\nHeld back by the %s brake since %s: %s\n", h.Kind, h.Since.Local().Format(time.DateTime), h.Subject)
		for i, f := range h.Flips {
			if i == flipsShown {
				fmt.Fprintf(w, "  and %d more (--json lists them)\n", len(h.Flips)-flipsShown)
				break
			}
			fmt.Fprintln(w, " ", f)
		}
		fmt.Fprintf(w, "prmsync plan --approve %s lets it pass\n", h.ID)
	}
}

func (c planCmd) approve(p process) error {
	if len(c.Partner) > 0 {
		return usage(errors.New("--approve takes no --partner: a brake is let pass as a whole"))
	}
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
		if errors.Is(err, store.ErrNotFound) {
			return usage(fmt.Errorf("%w; prmsync plan shows them", err))
		}
		return err
	}
	if c.JSON {
		return writeJSON(p.stdout, map[string]string{"approved": c.Approve, "by": who})
	}
	_, err = fmt.Fprintf(p.stdout, "%s may pass: what it held back goes out with each partner's next cycle\n", c.Approve)
	return err
}
