package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

type backupCmd struct {
	File string `arg:"" help:"The copy; it must not exist yet."`
}

// Run copies the state store.
func (c backupCmd) Run(p process) error {
	st, _, err := readable(p.ctx, p)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Backup(p.ctx, c.File); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s copied to %s\n", st.Name(), c.File)
	return err
}

type restoreCmd struct {
	File string `arg:"" help:"A copy made by prmsync backup." type:"existingfile"`
}

// Run puts a backup in place.
func (c restoreCmd) Run(p process) error {
	cfg, err := config.Load(p.ctx, p.env, config.Needs{})
	if err != nil {
		return usage(err)
	}
	if err := store.Restore(p.ctx, c.File, cfg.Settings.DatabaseURL.Reveal()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "restored; what the sites and the PRM have said since is read again by the next cycle")
	return err
}

type healthCmd struct {
	Ready bool `help:"Ask whether it could work, not only whether it lives."`
}

// Run asks the probe listener.
func (c healthCmd) Run(p process) error {
	cfg, err := config.Load(p.ctx, p.env, config.Needs{})
	if err != nil {
		return usage(err)
	}
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, "http://"+cfg.Settings.ProbeListen+path, nil)
	if err != nil {
		return usage(fmt.Errorf("PRMSYNC_PROBE_LISTEN: %w", err))
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return fmt.Errorf("no prmsync answers at %s: %w", cfg.Settings.ProbeListen, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", cfg.Settings.ProbeListen, resp.Status)
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}

type statusCmd struct {
	JSON  bool          `help:"Print one JSON document." name:"json"`
	Watch time.Duration `help:"Show it again and again at this interval." placeholder:"5s"`
}

// Help is shown by --help.
func (statusCmd) Help() string {
	return `Reads the state store beside a running prmsync: in one line whether all is well;
partners with their levels, what fails first, what is not known; alerts that fire, the
urgent first; then the schedule, the outbox and brakes that hold.`
}

// status is the JSON of the command.
type status struct {
	At       time.Time      `json:"at"`
	Partners []rules.Report `json:"partners"`
	Jobs     []statusJob    `json:"jobs"`
	Outbox   []statusDepth  `json:"outbox"`
	Alerts   []statusAlert  `json:"alerts"`
	Brakes   []statusBrake  `json:"brakes"`
	Store    map[string]any `json:"store"`
}

type statusJob struct {
	Name     string    `json:"name"`
	NextDue  time.Time `json:"next_due"`
	LastEnd  time.Time `json:"last_end,omitzero"`
	Failures int       `json:"failures"`
	Error    string    `json:"error,omitempty"`
}

type statusDepth struct {
	Partner string    `json:"partner"`
	Waiting int       `json:"waiting"`
	Parked  int       `json:"parked"`
	Oldest  time.Time `json:"oldest,omitzero"`
}

type statusAlert struct {
	Rule     string                  `json:"rule"`
	Partner  string                  `json:"partner"`
	Severity programme.AlertSeverity `json:"severity"`
	Message  string                  `json:"message"`
	Since    time.Time               `json:"since"`
}

type statusBrake struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Tripped time.Time `json:"tripped"`
}

// Run shows the status.
func (c statusCmd) Run(p process) error {
	for {
		s, err := c.read(p)
		if err != nil {
			return err
		}
		if c.JSON {
			err = writeJSON(p.stdout, s)
		} else {
			if c.Watch > 0 && terminal(p.stdout) {
				fmt.Fprint(p.stdout, "\x1b[H\x1b[2J")
			}
			c.print(p, s)
		}
		if err != nil || c.Watch <= 0 {
			return err
		}
		select {
		case <-p.ctx.Done():
			return nil
		case <-time.After(max(c.Watch, time.Second)):
		}
	}
}

func (c statusCmd) read(p process) (status, error) {
	st, _, err := readable(p.ctx, p)
	if err != nil {
		return status{}, err
	}
	defer st.Close()
	s := status{At: time.Now().UTC(), Partners: []rules.Report{}, Jobs: []statusJob{}, Outbox: []statusDepth{}, Alerts: []statusAlert{}, Brakes: []statusBrake{}}
	jobs, err := st.Jobs(p.ctx)
	if err != nil {
		return s, err
	}
	j := newJudge(st)
	for _, job := range jobs {
		s.Jobs = append(s.Jobs, statusJob{Name: job.Name, NextDue: job.NextDue, LastEnd: job.LastEnd, Failures: job.Failures, Error: job.LastError})
	}
	for _, job := range jobs {
		key, ok := strings.CutPrefix(job.Name, "poll:")
		if !ok {
			continue
		}
		held, ok, err := st.LatestOf(p.ctx, key, rules.Continuous)
		if err != nil {
			return s, err
		}
		if ok {
			links, err := j.links(p.ctx, key)
			if err != nil {
				return s, err
			}
			s.Partners = append(s.Partners, held.Assessment.Report(links))
		}
	}
	depths, err := st.Depths(p.ctx)
	if err != nil {
		return s, err
	}
	for _, d := range depths {
		s.Outbox = append(s.Outbox, statusDepth(d))
	}
	episodes, err := st.Alerts(p.ctx, "*", s.At)
	if err != nil {
		return s, err
	}
	for _, e := range episodes {
		if e.Alert.Counts() {
			s.Alerts = append(s.Alerts, statusAlert{e.Alert.Rule, e.Alert.Partner, e.Alert.Severity, plan.Plain(e.Alert.Message, 300), e.Alert.Since})
		}
	}
	brakes, err := st.Brakes(p.ctx, s.At)
	if err != nil {
		return s, err
	}
	for _, b := range brakes {
		if b.Released.IsZero() {
			s.Brakes = append(s.Brakes, statusBrake{b.ID, b.Kind, b.Subject, b.Tripped})
		}
	}
	return s, nil
}

// headline says in one line whether all is well.
func (s status) headline() string {
	well, fail, unsure, critical := 0, 0, 0, 0
	oldest := s.At
	for _, r := range s.Partners {
		missed, unknown := false, false
		for _, v := range r.Verdicts {
			o := v.Outcome
			if v.Override != nil {
				o = v.Override.Outcome
			}
			missed = missed || o == rules.NotMet
			unknown = unknown || o == rules.Insufficient || o == rules.Manual
		}
		switch {
		case !missed && !unknown:
			well++
		case missed:
			fail++
		}
		if unknown {
			unsure++
		}
		if r.AsOf.Before(oldest) {
			oldest = r.AsOf
		}
	}
	for _, a := range s.Alerts {
		if a.Severity == programme.Critical {
			critical++
		}
	}
	if len(s.Partners) == 0 {
		return "No partner was judged yet."
	}
	return fmt.Sprintf("%d partners: %d all well, %d fail something, %d not fully known. %d alerts, %d critical. The oldest verdict is %s old.",
		len(s.Partners), well, fail, unsure, len(s.Alerts), critical, max(s.At.Sub(oldest), 0).Round(time.Second))
}

// alertRows are the alerts as people read them: the urgent ones first, and those of
// one rule about one partner as one row.
func (s status) alertRows() []table.Row {
	rank := []programme.AlertSeverity{programme.Critical, programme.Warning, programme.Info}
	all := slices.Clone(s.Alerts)
	slices.SortStableFunc(all, func(a, b statusAlert) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, a.Severity), slices.Index(rank, b.Severity)), cmp.Compare(a.Partner, b.Partner), cmp.Compare(a.Rule, b.Rule))
	})
	var out []table.Row
	for i := 0; i < len(all); {
		a, n := all[i], 1
		for i+n < len(all) && all[i+n].Rule == a.Rule && all[i+n].Partner == a.Partner && all[i+n].Severity == a.Severity {
			n++
		}
		what := a.Message
		if n > 1 {
			what += fmt.Sprintf("; and %d more", n-1)
		}
		out = append(out, table.Row{string(a.Severity) + " " + a.Rule, a.Partner, a.Since.Local().Format(time.DateTime), what})
		i += n
	}
	return out
}

func (c statusCmd) print(p process, s status) {
	fmt.Fprintln(p.stdout, s.headline())
	fleetTable(p, p.stdout, s.Partners, nil)
	t := table.NewWriter()
	t.SetOutputMirror(p.stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"Alert", "Partner", "Since", "What"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 4, WidthMax: 80, WidthMaxEnforcer: text.WrapSoft}})
	t.AppendRows(s.alertRows())
	if len(s.Alerts) > 0 {
		t.Render()
	}
	waiting, parked := 0, 0
	for _, d := range s.Outbox {
		waiting += d.Waiting
		parked += d.Parked
	}
	fmt.Fprintf(p.stdout, "Outbox: %d waiting, %d parked.", waiting, parked)
	if parked > 0 {
		fmt.Fprint(p.stdout, " See prmsync outbox list.")
	}
	failing := 0
	for _, j := range s.Jobs {
		if j.Failures > 0 {
			failing++
		}
	}
	fmt.Fprintf(p.stdout, "  Jobs: %d, %d failing.", len(s.Jobs), failing)
	for _, b := range s.Brakes {
		fmt.Fprintf(p.stdout, "\nBrake %s holds since %s: %s", b.Kind, b.Tripped.Local().Format(time.DateTime), b.Subject)
	}
	fmt.Fprintln(p.stdout)
}
