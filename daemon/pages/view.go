package pages

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// Fleet is the first page.
type Fleet struct {
	// Partners begin with those that need a person most: a critical alert, a site
	// without an answer, something not met, something not known.
	Partners []FleetRow `json:"partners"`
	Alerts   []Alert    `json:"alerts"`
	Well     int        `json:"partners_well"`    // partners with everything met, all read and no alert
	Failing  int        `json:"partners_failing"` // partners with something not met
	Unsure   int        `json:"partners_unsure"`  // partners with something not known
	Dark     int        `json:"partners_dark"`    // partners with a site that does not answer
	Critical int        `json:"alerts_critical"`
	Waiting  int        `json:"outbox_waiting"`
	Parked   int        `json:"outbox_parked"`
	Brakes   int        `json:"brakes"`
}

// FleetRow is one partner on it. AsOf is zero until the partner was judged.
type FleetRow struct {
	Partner   string `json:"partner"`
	Name      string `json:"name"`
	LevelLow  int    `json:"level_low"`
	LevelHigh int    `json:"level_high"`
	Met       int    `json:"met"` // or not applicable
	NotMet    int    `json:"not_met"`
	Unknown   int    `json:"unknown"`     // insufficient evidence, or only a person can say
	Fails     string `json:"fails_first"` // "" when nothing is not met
	// FailsTitle is the statement that Fails names by its id.
	FailsTitle string    `json:"fails_first_title,omitempty"`
	Why        string    `json:"unknown_first,omitempty"`
	AsOf       time.Time `json:"as_of,omitzero"`
	// Evidence is the last success of the site that was read longest ago; zero
	// when one was never read. Dark says that a site cannot be reached now.
	Evidence time.Time `json:"evidence,omitzero"`
	Dark     bool      `json:"dark"`
	Alerts   int       `json:"alerts"`
	Critical int       `json:"alerts_critical"`
}

// rank orders partners: less needs a person sooner.
func (r FleetRow) rank() int {
	switch {
	case r.Critical > 0:
		return 0
	case r.Dark:
		return 1
	case r.NotMet > 0:
		return 2
	case r.Unknown > 0 || r.AsOf.IsZero():
		return 3
	case r.Alerts > 0:
		return 4
	}
	return 5
}

// Alert is one that fires.
type Alert struct {
	Rule     string    `json:"rule"`
	Partner  string    `json:"partner"` // "" for one of no partner
	Severity string    `json:"severity"`
	Message  string    `json:"message"`
	Since    time.Time `json:"since"`
}

// alertGroup is a partner's alerts of one rule. Rule is nil for one that the
// catalogue of this version lacks.
type alertGroup struct {
	First Alert
	More  []Alert
	Rule  *programme.AlertRule
}

// group joins a partner's alerts of one rule, in the order of the first.
func group(all []Alert) []alertGroup {
	var out []alertGroup
	rules := programme.Catalogue()
	at := map[[3]string]int{}
	for _, a := range all {
		k := [3]string{a.Severity, a.Partner, a.Rule}
		if i, ok := at[k]; ok {
			out[i].More = append(out[i].More, a)
			continue
		}
		at[k] = len(out)
		g := alertGroup{First: a}
		if i := slices.IndexFunc(rules, func(r programme.AlertRule) bool { return r.ID == a.Rule }); i >= 0 {
			g.Rule = &rules[i]
		}
		out = append(out, g)
	}
	return out
}

func (s *server) alerts(ctx context.Context, partner string) ([]Alert, error) {
	episodes, err := s.o.Store.Alerts(ctx, partner, s.o.Now())
	if err != nil {
		return nil, err
	}
	out := []Alert{}
	for _, e := range episodes {
		if e.Alert.Counts() {
			out = append(out, Alert{e.Alert.Rule, e.Alert.Partner, string(e.Alert.Severity), e.Alert.Message, e.Alert.Since})
		}
	}
	rank := []string{"Critical", "Warning", "Info"}
	slices.SortStableFunc(out, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, a.Severity), slices.Index(rank, b.Severity)), cmp.Compare(a.Partner, b.Partner))
	})
	return out, nil
}

func (s *server) name(key string) string {
	if s.o.Name != nil {
		return cmp.Or(s.o.Name(key), key)
	}
	return key
}

// assessment is the partner's last committed one, from memory where it is there:
// two hundred of them are too much to read for one page.
func (s *server) assessment(ctx context.Context, key string) (a rules.Assessment, live metrics.Partner, err error) {
	if s.o.Live != nil {
		if p, ok := s.o.Live(key); ok {
			live = p
		}
	}
	if !live.Assessment.AsOf.IsZero() {
		return live.Assessment, live, nil
	}
	held, _, err := s.o.Store.LatestOf(ctx, key, rules.Continuous)
	return held.Assessment, live, err
}

func (s *server) fleet(r *http.Request) (view, error) {
	f := Fleet{Partners: []FleetRow{}}
	var err error
	if f.Alerts, err = s.alerts(r.Context(), "*"); err != nil {
		return view{}, err
	}
	firing, critical := map[string]int{}, map[string]int{}
	for _, a := range f.Alerts {
		firing[a.Partner]++
		if a.Severity == string(programme.Critical) {
			critical[a.Partner]++
			f.Critical++
		}
	}
	for _, key := range s.o.Keys() {
		a, live, err := s.assessment(r.Context(), key)
		if err != nil {
			return view{}, err
		}
		row := fleetRow(a, live)
		row.Partner, row.Name, row.Alerts, row.Critical = key, s.name(key), firing[key], critical[key]
		if row.rank() == 5 {
			f.Well++
		}
		if row.Dark {
			f.Dark++
		}
		if row.NotMet > 0 {
			f.Failing++
		}
		if row.Unknown > 0 || a.AsOf.IsZero() {
			f.Unsure++
		}
		f.Partners = append(f.Partners, row)
	}
	slices.SortStableFunc(f.Partners, func(a, b FleetRow) int { return cmp.Compare(a.rank(), b.rank()) })
	depths, err := s.o.Store.Depths(r.Context())
	if err != nil {
		return view{}, err
	}
	for _, d := range depths {
		f.Waiting += d.Waiting
		f.Parked += d.Parked
	}
	brakes, err := s.o.Store.Brakes(r.Context(), s.o.Now())
	if err != nil {
		return view{}, err
	}
	for _, b := range brakes {
		if b.Released.IsZero() {
			f.Brakes++
		}
	}
	return view{"fleet", "Partners", f}, nil
}

func fleetRow(a rules.Assessment, live metrics.Partner) FleetRow {
	row := FleetRow{LevelLow: a.LevelLow, LevelHigh: a.LevelHigh, AsOf: a.AsOf}
	for _, v := range a.Verdicts {
		switch v.Effective() {
		case rules.Met, rules.NotApplicable:
			row.Met++
		case rules.NotMet:
			row.NotMet++
			if row.Fails == "" {
				row.Fails, row.FailsTitle = v.Criterion+": "+v.Measured, v.Title
			}
		case rules.Insufficient, rules.Manual:
			row.Unknown++
			if row.Why == "" && len(v.Unknowns) > 0 {
				row.Why = v.Unknowns[0].Reason
			}
		}
	}
	read := map[string]time.Time{}
	for _, c := range a.Coverage {
		if t := read[c.Site]; c.LastSuccess.After(t) {
			read[c.Site] = c.LastSuccess
		}
	}
	for site, st := range live.Sites {
		row.Dark = row.Dark || !st.Up
		if t := read[site]; st.LastSuccess.After(t) {
			read[site] = st.LastSuccess
		} else if t.IsZero() {
			read[site] = t // never read: the row says so
		}
	}
	first := true
	for _, t := range read {
		if first || t.Before(row.Evidence) {
			row.Evidence, first = t, false
		}
	}
	for _, g := range a.Gaps {
		row.Dark = row.Dark || g.Kind == evidence.Unreachable || g.Kind == evidence.Unauthorized
	}
	return row
}

// Partner is a partner's page. The report's AsOf is zero until it was judged.
type Partner struct {
	Name   string       `json:"name"`
	Report rules.Report `json:"report"`
	Trends []Trend      `json:"trends"`
	Alerts []Alert      `json:"alerts"`
	Sites  []string     `json:"sites"`

	// For the page alone.
	Sum       FleetRow  `json:"-"`
	Rows      []row     `json:"-"`
	NextLevel int       `json:"-"`
	Next      []missing `json:"-"`
	Later     []missing `json:"-"`
}

// missing is a criterion between the partner and a level, with its title.
type missing struct {
	rules.ReportMissing
	Title string
}

// row is a verdict as the page lists it.
type row struct {
	rules.ReportVerdict
	Effective rules.Outcome
	Overruled bool // a person's word differs from the evidence
	Open      []rules.ReportItem
	Folded    []rules.ReportItem
}

// shown is how many failing records of a verdict stand open.
const shown = 8

func (s *server) known(r *http.Request) (string, error) {
	key := r.PathValue("partner")
	if !slices.Contains(s.o.Keys(), key) {
		return "", unknown("no such partner")
	}
	return key, nil
}

func (s *server) partner(r *http.Request) (view, error) {
	key, err := s.known(r)
	if err != nil {
		return view{}, err
	}
	a, live, err := s.assessment(r.Context(), key)
	if err != nil {
		return view{}, err
	}
	links, err := s.o.Links(r.Context(), key)
	if err != nil {
		return view{}, err
	}
	a.Partner = key
	p := Partner{Name: s.name(key), Report: a.Report(links), Sites: []string{}, Sum: fleetRow(a, live)}
	if a.AsOf.IsZero() {
		p.Report.AsOf = time.Time{}
	}
	rank := []rules.Outcome{rules.NotMet, rules.Insufficient, rules.Manual, rules.Met, rules.NotApplicable}
	slices.SortStableFunc(p.Report.Verdicts, func(x, y rules.ReportVerdict) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, effective(x)), slices.Index(rank, effective(y))), cmp.Compare(x.Level, y.Level))
	})
	titles := map[string]string{}
	for _, v := range p.Report.Verdicts {
		titles[v.Criterion] = v.Title
		w := row{ReportVerdict: v, Effective: effective(v)}
		w.Overruled = w.Effective != v.Outcome
		for _, it := range v.Items {
			if !it.OK && len(w.Open) < shown {
				w.Open = append(w.Open, it)
			} else {
				w.Folded = append(w.Folded, it)
			}
		}
		p.Rows = append(p.Rows, w)
	}
	for _, m := range p.Report.Missing {
		if p.NextLevel == 0 || m.Level < p.NextLevel {
			p.NextLevel = m.Level
		}
	}
	for _, m := range p.Report.Missing {
		if m.Level == p.NextLevel {
			p.Next = append(p.Next, missing{m, titles[m.Criterion]})
		} else {
			p.Later = append(p.Later, missing{m, titles[m.Criterion]})
		}
	}
	for _, t := range []struct{ metric, title string }{{measure.OverduePct, "Overdue tasks"}, {measure.SLA, "Tickets in time"}} {
		p.Trends = append(p.Trends, trend(a, t.metric, t.title))
	}
	if p.Alerts, err = s.alerts(r.Context(), key); err != nil {
		return view{}, err
	}
	for _, site := range links.Sites {
		p.Sites = append(p.Sites, site.Key)
	}
	return view{"partner", p.Name, p}, nil
}

func effective(v rules.ReportVerdict) rules.Outcome {
	if v.Override != nil {
		return v.Override.Outcome
	}
	return v.Outcome
}

// Site is a site's page.
type Site struct {
	Partner  string              `json:"partner"`
	Site     string              `json:"site"`
	URL      string              `json:"url"`
	Cost     *Cost               `json:"cost,omitempty"` // absent until the site was read by this process
	Coverage []evidence.Coverage `json:"coverage"`
	Gaps     []evidence.Gap      `json:"gaps"`

	// For the page alone.
	Name   string   `json:"-"` // of the partner
	Unseen []unseen `json:"-"`
}

// unseen is what keeps streams from being seen for one reason: a site that is
// down hides forty of them.
type unseen struct {
	Kind           evidence.GapKind
	Reason, Remedy string
	Since          time.Time // of the oldest
	Streams        []string
}

// together joins the gaps of one reason, in the order of the first.
func together(gaps []evidence.Gap) []unseen {
	var out []unseen
	for _, g := range gaps {
		stream := cmp.Or(g.Stream, "the whole site")
		i := slices.IndexFunc(out, func(u unseen) bool { return u.Kind == g.Kind && u.Reason == g.Reason && u.Remedy == g.Remedy })
		if i < 0 {
			out = append(out, unseen{g.Kind, g.Reason, g.Remedy, g.Since, []string{stream}})
			continue
		}
		out[i].Streams = append(out[i].Streams, stream)
		if g.Since.Before(out[i].Since) {
			out[i].Since = g.Since
		}
	}
	return out
}

// Cost is what a site was asked since the process was started, and how it stood
// at the last read.
type Cost struct {
	Up            bool             `json:"up"`
	KeyAccepted   bool             `json:"key_accepted"`
	BreakerOpen   bool             `json:"breaker_open"`
	LastSuccess   time.Time        `json:"last_success,omitzero"`
	ClockSkew     float64          `json:"clock_skew_seconds"`
	Requests      int64            `json:"requests"`
	ServerSeconds float64          `json:"server_seconds"`
	Bytes         int64            `json:"received_bytes"`
	Errors        map[string]int64 `json:"errors"`
}

func (s *server) site(r *http.Request) (view, error) {
	key, err := s.known(r)
	if err != nil {
		return view{}, err
	}
	links, err := s.o.Links(r.Context(), key)
	if err != nil {
		return view{}, err
	}
	out := Site{Partner: key, Site: r.PathValue("site"), Coverage: []evidence.Coverage{}, Gaps: []evidence.Gap{}}
	i := slices.IndexFunc(links.Sites, func(x evidence.Site) bool { return x.Key == out.Site })
	if i < 0 {
		return view{}, unknown("no such site")
	}
	out.URL = links.Sites[i].URL
	a, live, err := s.assessment(r.Context(), key)
	if err != nil {
		return view{}, err
	}
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
	out.Name, out.Unseen = s.name(key), together(out.Gaps)
	if st, ok := live.Sites[out.Site]; ok {
		out.Cost = &Cost{
			Up: st.Up, KeyAccepted: st.KeyAccepted, BreakerOpen: st.BreakerOpen, LastSuccess: st.LastSuccess, ClockSkew: st.ClockSkew.Seconds(),
			Requests: st.Requests, ServerSeconds: st.ServerSeconds, Bytes: st.Bytes, Errors: st.Errors,
		}
	}
	return view{"site", key + "/" + out.Site, out}, nil
}

// Operations is the page of the daemon itself.
type Operations struct {
	Waiting int     `json:"outbox_waiting"`
	Parked  int     `json:"outbox_parked"`
	Failing int     `json:"jobs_failing"`
	Held    int     `json:"brakes_held"`
	LagSec  float64 `json:"schedule_lag_seconds"`
	Jobs    []Job   `json:"jobs"`
	Outbox  []Depth `json:"outbox"`
	Brakes  []Brake `json:"brakes"`
	Store   Sizes   `json:"store"`
}

// Late tells whether jobs start later than a poll may take.
func (o Operations) Late() bool { return o.LagSec > 900 }

// Lag is how long the most overdue job has been due, in words.
func (o Operations) Lag() string { return span(time.Duration(o.LagSec * float64(time.Second))) }

// Job is one row of the schedule.
type Job struct {
	Name     string    `json:"name"`
	NextDue  time.Time `json:"next_due"`
	LastEnd  time.Time `json:"last_end,omitzero"`
	Failures int       `json:"failures"` // in a row
	Error    string    `json:"error,omitempty"`
}

// Depth is how full one partner's outbox is.
type Depth struct {
	Partner string    `json:"partner"`
	Waiting int       `json:"waiting"`
	Parked  int       `json:"parked"`
	Oldest  time.Time `json:"oldest,omitzero"`
}

// Brake is a stop that waits for a person, or was released today.
type Brake struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject"`
	Tripped  time.Time `json:"tripped"`
	Released time.Time `json:"released,omitzero"`
	By       string    `json:"by,omitempty"`
}

// Sizes tells how much the store holds.
type Sizes struct {
	FileBytes   int64 `json:"file_bytes"`
	WALBytes    int64 `json:"wal_bytes"`
	Versions    int64 `json:"versions"`
	Records     int64 `json:"records"`
	Assessments int64 `json:"assessments"`
	Known       int64 `json:"known"`
	Outbox      int64 `json:"outbox"`
}

func (s *server) operations(r *http.Request) (view, error) {
	o := Operations{Jobs: []Job{}, Outbox: []Depth{}, Brakes: []Brake{}}
	jobs, err := s.o.Store.Jobs(r.Context())
	if err != nil {
		return view{}, err
	}
	for _, j := range jobs {
		if j.Failures > 0 {
			o.Failing++
		}
		o.LagSec = max(o.LagSec, s.o.Now().Sub(j.NextDue).Seconds())
		o.Jobs = append(o.Jobs, Job{j.Name, j.NextDue, j.LastEnd, j.Failures, j.LastError})
	}
	depths, err := s.o.Store.Depths(r.Context())
	if err != nil {
		return view{}, err
	}
	for _, d := range depths {
		o.Waiting += d.Waiting
		o.Parked += d.Parked
		o.Outbox = append(o.Outbox, Depth(d))
	}
	brakes, err := s.o.Store.Brakes(r.Context(), s.o.Now().Add(-24*time.Hour))
	if err != nil {
		return view{}, err
	}
	for _, b := range brakes {
		if b.Released.IsZero() {
			o.Held++
		}
		o.Brakes = append(o.Brakes, Brake{b.ID, b.Kind, b.Subject, b.Tripped, b.Released, b.By})
	}
	sizes, err := s.o.Store.Sizes(r.Context())
	if err != nil {
		return view{}, err
	}
	o.Store = Sizes(sizes)
	return view{"operations", "Operations", o}, nil
}

var _ Store = (*store.Store)(nil)
