package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/store"
)

type outboxCmd struct {
	List  outboxListCmd  `cmd:"" default:"withargs" help:"List changes that wait or are parked."`
	Retry outboxRetryCmd `cmd:"" help:"Send changes again at once."`
	Drop  outboxDropCmd  `cmd:"" help:"Give changes up."`
}

type outboxListCmd struct {
	Partner string `help:"Only this partner's." placeholder:"KEY" default:"*"`
	State   string `help:"waiting, parked, sent, dropped or replaced." enum:"waiting,parked,sent,dropped,replaced,open" default:"open"`
	Limit   int    `help:"At most so many of each state." default:"50"`
	JSON    bool   `help:"Print one JSON document." name:"json"`
}

// readable opens the store beside whoever writes it.
func readable(ctx context.Context, p process) (*store.Store, config.Config, error) {
	cfg, err := config.Load(ctx, p.env, config.Needs{})
	if err != nil {
		return nil, cfg, usage(err)
	}
	st, err := store.OpenReadOnly(ctx, cfg.Settings.DatabaseURL.Reveal())
	return st, cfg, err
}

// writable opens the store for a person's decision, also beside a running
// prmsync, which finds it at its next look.
func writable(ctx context.Context, p process) (*store.Store, error) {
	cfg, err := config.Load(ctx, p.env, config.Needs{})
	if err != nil {
		return nil, usage(err)
	}
	return store.OpenBeside(ctx, cfg.Settings.DatabaseURL.Reveal())
}

// Run lists the outbox.
func (c outboxListCmd) Run(p process) error {
	st, _, err := readable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	states := []store.State{store.State(c.State)}
	if c.State == "open" {
		states = []store.State{store.Parked, store.Waiting}
	}
	type row struct {
		ID       int64       `json:"id"`
		State    store.State `json:"state"`
		Partner  string      `json:"partner"`
		Doctype  string      `json:"doctype"`
		Name     string      `json:"name"`
		Op       string      `json:"op"`
		Reason   string      `json:"reason"`
		Attempts int         `json:"attempts"`
		Created  time.Time   `json:"created"`
		NextAt   time.Time   `json:"next_at,omitzero"`
		Error    string      `json:"error,omitempty"`
	}
	rows := []row{}
	for _, s := range states {
		list, err := st.List(p.ctx, c.Partner, s, c.Limit)
		if err != nil {
			return err
		}
		for _, q := range list {
			rows = append(rows, row{q.ID, q.State, q.Change.Partner, q.Change.Doctype, q.Change.Name, string(q.Change.Op), q.Change.Reason, q.Attempts, q.Created, q.NextAt, q.Error})
		}
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(rows)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(p.stdout, "nothing waits for the PRM")
		return err
	}
	t := table.NewWriter()
	t.SetOutputMirror(p.stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"ID", "State", "Partner", "Record", "Change", "Tries", "Next", "Why it waits"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 4, WidthMax: 40}, {Number: 5, WidthMax: 40}, {Number: 8, WidthMax: 60}})
	for _, r := range rows {
		next := ""
		if !r.NextAt.IsZero() {
			next = r.NextAt.Local().Format(time.DateTime)
		}
		t.AppendRow(table.Row{r.ID, r.State, r.Partner, r.Doctype + " " + r.Name, r.Op + ": " + r.Reason, r.Attempts, next, r.Error})
	}
	t.Render()
	return nil
}

type outboxRetryCmd struct {
	ID []int64 `arg:"" help:"Changes by their ID in the list."`
}

// Run makes changes due at once.
func (c outboxRetryCmd) Run(p process) error {
	st, err := writable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Requeue(p.ctx, c.ID...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%d changes will be sent at the next look\n", len(c.ID))
	return err
}

type outboxDropCmd struct {
	ID []int64 `arg:"" help:"Changes by their ID in the list."`
}

// Run gives changes up.
func (c outboxDropCmd) Run(p process) error {
	st, err := writable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Drop(p.ctx, time.Now(), c.ID...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%d changes dropped; what they would have written stays as it is on the PRM\n", len(c.ID))
	return err
}
