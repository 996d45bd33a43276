package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

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
		return writeJSON(p.stdout, rows)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(p.stdout, "nothing waits for the PRM")
		return err
	}
	t := table.NewWriter()
	t.SetOutputMirror(p.stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"ID", "State", "Partner", "Record", "Change", "Tries", "Next", "Why it waits"})
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 4, WidthMax: 40, WidthMaxEnforcer: text.WrapSoft},
		{Number: 5, WidthMax: 40, WidthMaxEnforcer: text.WrapSoft},
		{Number: 8, WidthMax: 60, WidthMaxEnforcer: text.WrapSoft},
	})
	for _, r := range rows {
		next := ""
		if !r.NextAt.IsZero() {
			next = r.NextAt.Local().Format(time.DateTime)
		}
		t.AppendRow(table.Row{r.ID, r.State, r.Partner, r.Doctype + " " + r.Name, r.Op + ": " + r.Reason, r.Attempts, next, strings.TrimPrefix(r.Error, r.Doctype+" "+r.Name+": ")})
	}
	t.Render()
	return nil
}

type outboxRetryCmd struct {
	ID      []int64 `arg:"" optional:"" help:"Changes by their ID in the list."`
	All     bool    `help:"All that are parked."`
	Partner string  `help:"With --all: only this partner's." placeholder:"KEY" default:"*"`
	JSON    bool    `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (outboxRetryCmd) Help() string {
	return `Makes changes due at once, after their cause was settled. A running prmsync sends
them at its next look, within a quarter of a minute; without one, prmsync once does.`
}

// Run makes changes due at once.
func (c outboxRetryCmd) Run(p process) error {
	switch {
	case c.All && len(c.ID) > 0:
		return usage(errors.New("--all and IDs exclude each other"))
	case !c.All && c.Partner != "*":
		return usage(errors.New("--partner belongs to --all"))
	case !c.All && len(c.ID) == 0:
		return usage(errors.New("name changes by their ID, or --all; prmsync outbox list shows them"))
	}
	st, err := writable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	ids := c.ID
	if c.All {
		parked, err := st.List(p.ctx, c.Partner, store.Parked, 0)
		if err != nil {
			return err
		}
		ids = []int64{}
		for _, q := range parked {
			ids = append(ids, q.ID)
		}
	}
	if err := st.Requeue(p.ctx, ids...); err != nil {
		return unknownID(err)
	}
	if c.JSON {
		return writeJSON(p.stdout, map[string][]int64{"requeued": ids})
	}
	_, err = fmt.Fprintf(p.stdout, "%s will be sent at the next look\n", countOf(len(ids)))
	return err
}

type outboxDropCmd struct {
	ID   []int64 `arg:"" help:"Changes by their ID in the list."`
	JSON bool    `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (outboxDropCmd) Help() string {
	return `Gives changes up: they are not sent, and not queued again while they are planned
unaltered. What they would have written stays as it is on the PRM.`
}

// Run gives changes up.
func (c outboxDropCmd) Run(p process) error {
	st, err := writable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Drop(p.ctx, time.Now(), c.ID...); err != nil {
		return unknownID(err)
	}
	if c.JSON {
		return writeJSON(p.stdout, map[string][]int64{"dropped": c.ID})
	}
	_, err = fmt.Fprintf(p.stdout, "%s dropped: the PRM stays as it is there\n", countOf(len(c.ID)))
	return err
}

// unknownID makes an ID that names no open change a mistake in the command.
func unknownID(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return usage(err)
	}
	return err
}

func countOf(n int) string {
	if n == 1 {
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}
