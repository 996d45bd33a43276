package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/report"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

type checkCmd struct {
	Partner string `help:"The partner to judge, by its key in the configuration." placeholder:"KEY"`
	URL     string `help:"Judge the site at this address without a configuration; the key comes from PRMSYNC_SITE_API_KEY and PRMSYNC_SITE_API_SECRET." name:"url"`
	Data    string `help:"Judge a folder of recorded documents, at the instant of their recording." type:"existingdir" placeholder:"DIR"`
	Mapping string `help:"With --url or --data: where the evidence lies." type:"existingfile" placeholder:"FILE"`
	Private bool   `help:"With --url: the site may have a private address and plain http." name:"allow-private-network"`
	Level   int    `help:"Ask for readiness for this level (2 to 5): only what it needs is shown." placeholder:"N"`
	AsOf    string `help:"Judge what was known at this instant (RFC 3339); the sites are not asked." placeholder:"TIME"`
	Compare string `help:"With --as-of: say what changed between that instant and this one, and why." placeholder:"TIME"`
	Explain string `help:"Show everything about one criterion." placeholder:"ID"`
	Format  string `help:"text, md or html." enum:"text,md,html" default:"text"`
	JSON    bool   `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (checkCmd) Help() string {
	return `Reads the partner's sites and says for each criterion what was measured, what is
expected, which records it rests on, and what is not known and why. Nothing is
written to the PRM.

  prmsync check --partner meridian
  prmsync check --partner meridian --as-of 2026-11-19T18:30:00+05:30 --json
  prmsync check --url https://erp.example --level 4

Exit code 3 says that the check was made and that something is not met.`
}

// Run judges one partner.
func (c checkCmd) Run(p process) error {
	if c.Level != 0 && (c.Level < 2 || c.Level > 5) {
		return usage(fmt.Errorf("--level %d: levels to be ready for are 2 to 5", c.Level))
	}
	at, err := instant("--as-of", c.AsOf)
	if err != nil {
		return err
	}
	to, err := instant("--compare", c.Compare)
	if err != nil {
		return err
	}
	if !to.IsZero() && at.IsZero() {
		return usage(errors.New("--compare needs --as-of: the earlier of the two instants"))
	}
	j, key, snap, a, closeAll, err := c.judged(p, at)
	if err != nil {
		return err
	}
	defer closeAll()
	if !to.IsZero() {
		return c.compare(p, j, key, a, to)
	}
	if c.Level > 0 {
		a.Verdicts = slices.DeleteFunc(a.Verdicts, func(v rules.Verdict) bool { return v.Level > c.Level })
		a.Missing = slices.DeleteFunc(a.Missing, func(m rules.Missing) bool { return m.Level > c.Level })
	}
	if c.Explain != "" {
		i := slices.IndexFunc(a.Verdicts, func(v rules.Verdict) bool { return v.Criterion == c.Explain })
		if i < 0 {
			return usage(fmt.Errorf("--explain %s: no such criterion; see prmsync rules list", c.Explain))
		}
		a.Verdicts = a.Verdicts[i : i+1]
	}
	rep := a.Report(&snap)
	if err := c.print(p, rep); err != nil {
		return err
	}
	if anyNotMet([]rules.Report{rep}) {
		return errNotMet
	}
	return nil
}

func (c checkCmd) print(p process, rep rules.Report) error {
	if c.JSON {
		return writeJSON(p.stdout, rep)
	}
	switch c.Format {
	case "md":
		return report.CheckMarkdown(p.stdout, rep)
	case "html":
		return report.CheckHTML(p.stdout, rep)
	default:
		return report.CheckText(p.stdout, rep, p.colour(p.stdout))
	}
}

// compare says for each changed verdict whether the data, the rules or the
// reach of the source changed.
func (c checkCmd) compare(p process, j *judge, key string, before rules.Assessment, at time.Time) error {
	people, err := j.peopleAt(p.ctx, at)
	if err != nil {
		return err
	}
	judged, err := j.Assess(p.ctx, key, at, people)
	if err != nil {
		return err
	}
	changes := rules.Compare(before, judged.Assessments[0])
	if c.JSON {
		return writeJSON(p.stdout, changes)
	}
	if len(changes) == 0 {
		fmt.Fprintf(p.stdout, "No verdict of %s differs between %s and %s.\n", key, before.AsOf.Format(time.RFC3339), at.Format(time.RFC3339))
	}
	for _, ch := range changes {
		fmt.Fprintf(p.stdout, "%s: %s → %s. %s\n", ch.Criterion, ch.From, ch.To, ch.Says)
	}
	return nil
}

func instant(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usage(fmt.Errorf("%s %q: write the instant as 2026-11-19T18:30:00+05:30", flag, text))
	}
	return t, nil
}

// judged reads what there is to read and judges it.
func (c checkCmd) judged(p process, at time.Time) (j *judge, key string, snap evidence.Snapshot, a rules.Assessment, closeAll func(), err error) {
	fail := func(err error) (*judge, string, evidence.Snapshot, rules.Assessment, func(), error) {
		return nil, "", evidence.Snapshot{}, rules.Assessment{}, nil, err
	}
	n := 0
	for _, s := range []string{c.Partner, c.URL, c.Data} {
		if s != "" {
			n++
		}
	}
	if n > 1 {
		return fail(usage(errors.New("--partner, --url and --data exclude each other")))
	}
	if c.URL != "" || c.Data != "" {
		return c.single(p, at)
	}
	needs := config.Needs{Partners: true}
	cfg, err := config.Load(p.ctx, p.env, needs)
	if err != nil {
		return fail(usage(err))
	}
	switch {
	case c.Partner == "" && len(cfg.Partners) == 1:
		key = cfg.Partners[0].Key
	case c.Partner == "":
		return fail(usage(fmt.Errorf("--partner: name one of %s", partnerKeys(cfg))))
	default:
		if err := knownPartners(cfg, c.Partner); err != nil {
			return fail(err)
		}
		key = c.Partner
	}
	log := p.quiet()
	url := cfg.Settings.DatabaseURL.Reveal()
	st, err := store.Open(p.ctx, url, store.Options{})
	live := at.IsZero()
	if errors.Is(err, store.ErrInUse) {
		// A daemon keeps it current: judge what it has read.
		st, err = store.OpenReadOnly(p.ctx, url)
		if live && err == nil {
			fmt.Fprintln(p.stderr, "prmsync: a running prmsync reads the sites; this judges what it has read")
			live, at = false, time.Now()
		}
	}
	if err != nil {
		return fail(err)
	}
	closeAll = func() { st.Close() }
	if !live {
		j = newJudge(st)
		people, err := j.peopleAt(p.ctx, at)
		if err != nil {
			closeAll()
			return fail(err)
		}
		return j.one(p.ctx, key, at, people, closeAll)
	}
	cfg.Partners = slices.DeleteFunc(cfg.Partners, func(q config.Partner) bool { return q.Key != key })
	var central *frappe.Client
	if cfg.PRM.URL != "" && cfg.PRM.APIKey.IsSet() {
		if central, err = prmClient(cfg.PRM, cfg.PRM.APIKey, cfg.PRM.APISecret, log); err != nil {
			closeAll()
			return fail(err)
		}
	}
	bars := newBars(p)
	defer bars.close()
	w, err := build(p.ctx, st, worksOptions{config: cfg, prm: central, log: log, clock: time.Now, progress: bars.site})
	if err != nil {
		closeAll()
		return fail(err)
	}
	return w.readAndJudge(p, key, time.Now, closeAll)
}

// one judges a partner from history alone.
func (j *judge) one(ctx context.Context, key string, at time.Time, people programme.Input, closeAll func()) (*judge, string, evidence.Snapshot, rules.Assessment, func(), error) {
	judged, err := j.Assess(ctx, key, at, people)
	if err != nil {
		closeAll()
		return nil, "", evidence.Snapshot{}, rules.Assessment{}, nil, err
	}
	return j, key, judged.Snapshot, judged.Assessments[0], closeAll, nil
}

// readAndJudge polls the partner's sites and judges at once.
func (w *works) readAndJudge(p process, key string, clock func() time.Time, closeStore func()) (*judge, string, evidence.Snapshot, rules.Assessment, func(), error) {
	closeAll := func() { w.Close(); closeStore() }
	var people programme.Input
	if w.prm.prm != nil {
		in, err := w.prm.Read(p.ctx, programme.Input{})
		if err != nil {
			fmt.Fprintln(p.stderr, "prmsync: the PRM does not answer; its certificates and people's decisions are not known:", err)
		}
		people = in
	}
	if err := w.daemon.Read(p.ctx, key); err != nil {
		closeAll()
		return nil, "", evidence.Snapshot{}, rules.Assessment{}, nil, err
	}
	return w.judge.one(p.ctx, key, clock(), people, closeAll)
}

// single judges one site, or one folder, that no configuration names.
func (c checkCmd) single(p process, at time.Time) (*judge, string, evidence.Snapshot, rules.Assessment, func(), error) {
	fail := func(err error) (*judge, string, evidence.Snapshot, rules.Assessment, func(), error) {
		return nil, "", evidence.Snapshot{}, rules.Assessment{}, nil, err
	}
	cfg, err := config.Load(p.ctx, p.env, config.Needs{Site: c.URL != ""})
	if err != nil {
		return fail(usage(err))
	}
	every, err := config.ParseSchedule("@hourly")
	if err != nil {
		return fail(err)
	}
	clock := time.Now
	closers := []func(){}
	closeAll := func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	var partner config.Partner
	if c.Data != "" {
		m, err := demo.ServeFolder(c.Data)
		if err != nil {
			return fail(usage(err))
		}
		closers = append(closers, m.Close)
		partner = memberConfig(m, every)
		if !m.AsOf.IsZero() {
			clock = clockAt(m.AsOf)
		}
		if !at.IsZero() {
			clock = clockAt(at)
		}
	} else {
		partner = urlPartner(c.URL, c.Private, cfg.Settings, every)
	}
	if c.Mapping != "" {
		if partner.Sites[0].Mapping, err = config.LoadMapping(c.Mapping); err != nil {
			closeAll()
			return fail(usage(err))
		}
	}
	bars := newBars(p)
	closers = append(closers, bars.close)
	st, err := store.Open(p.ctx, "sqlite::memory:", store.Options{})
	if err != nil {
		closeAll()
		return fail(err)
	}
	closers = append(closers, func() { st.Close() })
	cfg.Partners = []config.Partner{partner}
	w, err := build(p.ctx, st, worksOptions{config: cfg, log: p.quiet(), clock: clock, progress: bars.site})
	if err != nil {
		closeAll()
		return fail(err)
	}
	if c.URL != "" && !at.IsZero() {
		clock = clockAt(at)
	}
	return w.readAndJudge(p, partner.Key, clock, closeAll)
}

func partnerKeys(cfg config.Config) string {
	var keys []string
	for _, p := range cfg.Partners {
		keys = append(keys, p.Key)
	}
	return strings.Join(keys, ", ")
}

// knownPartners refuses a partner that the configuration does not name.
func knownPartners(cfg config.Config, keys ...string) error {
	for _, key := range keys {
		if !slices.ContainsFunc(cfg.Partners, func(p config.Partner) bool { return p.Key == key }) {
			return usage(fmt.Errorf("partner %q is not in %s; it names %s", key, filepath.Base(cfg.Settings.ConfigPath), partnerKeys(cfg)))
		}
	}
	return nil
}
