package metrics

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/programme"
)

// Metric is one entry of the catalogue: every metric that is exported.
type Metric struct {
	Name   string
	Help   string
	Type   string // gauge, counter, histogram
	Unit   string // "" for a plain number
	Labels []string

	desc *prometheus.Desc
}

// The label names. Their values come from the configuration or a catalogue,
// never from documents, so that the number of series is bounded:
// docs/metrics.md counts them.
const (
	lPartner    = "partner"
	lSite       = "site"
	lCriterion  = "criterion"
	lDepartment = "department"
	lOutcome    = "outcome"
	lMetric     = "metric"
	lStatus     = "status"
	lKind       = "kind"
	lRule       = "rule"
	lSeverity   = "severity"
)

// Catalogue returns every metric, by name.
func Catalogue() []Metric {
	return slices.SortedFunc(maps.Values(byName()), func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
}

func byName() map[string]Metric {
	out := map[string]Metric{}
	for _, m := range []Metric{
		{Name: "prmsync_build_info", Help: "Which prmsync runs: always 1.", Type: "gauge", Labels: []string{"version", "goversion"}},
		{Name: "prmsync_tasks", Help: "Tasks of open customer projects.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_tasks_overdue", Help: "Tasks of open customer projects whose end date has passed.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_tasks_overdue_ratio", Help: "Share of tasks of open customer projects whose end date has passed, 0 to 1.", Type: "gauge", Unit: "ratio", Labels: []string{lPartner}},
		{Name: "prmsync_task_oldest_overdue_age_seconds", Help: "Time since the end of the day on which the oldest overdue task was due.", Type: "gauge", Unit: "seconds", Labels: []string{lPartner}},
		{Name: "prmsync_sla_fulfilled_ratio", Help: "Share of the tickets resolved in the last full week whose response and resolution were in time, 0 to 1.", Type: "gauge", Unit: "ratio", Labels: []string{lPartner}},
		{Name: "prmsync_sla_tickets", Help: "Tickets with an agreement resolved in the last full week.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_tickets_open_late", Help: "Open tickets whose resolution is past due.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_satisfaction_stars", Help: "Mean rating of project customers in the last month that has any, 0 to 5.", Type: "gauge", Unit: "stars", Labels: []string{lPartner}},
		{Name: "prmsync_ticket_feedback_stars", Help: "Mean rating of resolved tickets in the last week that has any, 0 to 5.", Type: "gauge", Unit: "stars", Labels: []string{lPartner}},
		{Name: "prmsync_reports_missing", Help: "Weeks of the judged window for which a weekly figure was due and is not there.", Type: "gauge", Labels: []string{lPartner, lMetric}},
		{Name: "prmsync_criterion_outcome", Help: "The current outcome of a criterion that applies: 1 for the outcome named, and only that series exists.", Type: "gauge", Labels: []string{lPartner, lCriterion, lOutcome}},
		{Name: "prmsync_level_low", Help: "Highest maturity level that the evidence shows to hold.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_level_high", Help: "Highest maturity level that the evidence does not refute.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_assessment_timestamp_seconds", Help: "Instant of the last committed assessment.", Type: "gauge", Unit: "seconds", Labels: []string{lPartner}},
		{Name: "prmsync_tamper_signals", Help: "Contradictions in the evidence that a person should look at.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_ncs_open", Help: "Non-conformances that are neither closed nor discarded.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_ncs_overdue", Help: "Open non-conformances past their due date.", Type: "gauge", Labels: []string{lPartner}},
		{Name: "prmsync_nc_next_due_timestamp_seconds", Help: "End of the day on which the next open non-conformance is due.", Type: "gauge", Unit: "seconds", Labels: []string{lPartner}},
		{Name: "prmsync_escalations", Help: "Escalations by status.", Type: "gauge", Labels: []string{lPartner, lStatus}},
		{Name: "prmsync_alert_firing", Help: "Alerts of the catalogue that are firing, by rule; those that a person snoozed do not count.", Type: "gauge", Labels: []string{lPartner, lRule, lSeverity}},

		{Name: "prmsync_site_up", Help: "Whether the last read of the site got an answer: 1 or 0.", Type: "gauge", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_key_accepted", Help: "Whether the site accepts the key: 1 or 0.", Type: "gauge", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_last_success_timestamp_seconds", Help: "End of the last read of the site in which no stream failed for want of an answer.", Type: "gauge", Unit: "seconds", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_clock_skew_seconds", Help: "The site's clock minus ours, by the Date of its answers.", Type: "gauge", Unit: "seconds", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_requests_total", Help: "Requests sent to the site.", Type: "counter", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_server_seconds_total", Help: "Time the site spent on our requests.", Type: "counter", Unit: "seconds", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_errors_total", Help: "Failed exchanges with the site by kind.", Type: "counter", Labels: []string{lPartner, lSite, lKind}},
		{Name: "prmsync_site_breaker_open", Help: "Whether the site is left alone for a while after repeated failures: 1 or 0.", Type: "gauge", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_gaps", Help: "Streams of the site that cannot be seen, by kind of gap.", Type: "gauge", Labels: []string{lPartner, lSite, lKind}},
		{Name: "prmsync_site_oldest_stream_timestamp_seconds", Help: "Last complete read of that stream of the site that was read longest ago.", Type: "gauge", Unit: "seconds", Labels: []string{lPartner, lSite}},
		{Name: "prmsync_site_coverage_ratio", Help: "Share of the streams of the site that were read completely, 0 to 1.", Type: "gauge", Unit: "ratio", Labels: []string{lPartner, lSite}},

		{Name: "prmsync_outbox_changes", Help: "Changes that wait to be written to the PRM.", Type: "gauge"},
		{Name: "prmsync_outbox_parked", Help: "Changes that wait for a person.", Type: "gauge"},
		{Name: "prmsync_outbox_oldest_age_seconds", Help: "Age of the oldest waiting change.", Type: "gauge", Unit: "seconds"},
		{Name: "prmsync_prm_up", Help: "Whether the last exchange with the PRM got an answer: 1 or 0.", Type: "gauge"},
		{Name: "prmsync_prm_writes_total", Help: "Documents written to the PRM by kind of write.", Type: "counter", Labels: []string{lKind}},
		{Name: "prmsync_prm_requests_total", Help: "Requests sent to the PRM.", Type: "counter"},
		{Name: "prmsync_prm_conflicts_total", Help: "Fields that a person had changed and that were left as they are.", Type: "counter"},
		{Name: "prmsync_brake_tripped", Help: "Whether a brake waits for a person: 1 or 0.", Type: "gauge", Labels: []string{lKind}},
		{Name: "prmsync_cycles_total", Help: "Cycles of partners by result.", Type: "counter", Labels: []string{lStatus}},
		{Name: "prmsync_cycle_duration_seconds", Help: "How long a partner's cycle took.", Type: "histogram", Unit: "seconds"},
		{Name: "prmsync_schedule_lag_seconds", Help: "How long the most overdue job has been due.", Type: "gauge", Unit: "seconds"},
		{Name: "prmsync_store_bytes", Help: "Size of the state store.", Type: "gauge", Unit: "bytes"},
		{Name: "prmsync_store_free_bytes", Help: "Free space where the state store lies.", Type: "gauge", Unit: "bytes"},
		{Name: "prmsync_config_reload_success", Help: "Whether the last reload of the configuration was taken: 1 or 0.", Type: "gauge"},
		{Name: "prmsync_config_reload_timestamp_seconds", Help: "Last reload of the configuration that was taken.", Type: "gauge", Unit: "seconds"},
	} {
		m.desc = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		out[m.Name] = m
	}
	return out
}

// Set is what is exported. The business figures are those of the last
// committed assessment, handed in at start as well, so that a restart does not
// blank them. Safe for concurrent use.
type Set struct {
	cat      map[string]Metric
	cycles   *prometheus.CounterVec
	duration prometheus.Histogram
	writes   *prometheus.CounterVec
	conflict prometheus.Counter

	mu       sync.Mutex
	partners map[string]*Partner
	state    State
}

// Partner is what is shown of one partner.
type Partner struct {
	Assessment rules.Assessment
	// People says that what people decided is known: Standing and Escalations hold.
	People   bool
	Standing programme.Standing
	// Escalations counts by status; Alerts are the firing ones.
	Escalations map[string]int
	Alerts      []programme.Alert
	Sites       map[string]Site
}

// Site is the technical state of one partner site.
type Site struct {
	Up            bool
	KeyAccepted   bool
	LastSuccess   time.Time
	ClockSkew     time.Duration
	Requests      int64
	ServerSeconds float64
	Bytes         int64
	Errors        map[string]int64 // by category
	BreakerOpen   bool
}

// State is the technical state of the daemon.
type State struct {
	OutboxWaiting   int
	OutboxParked    int
	OutboxOldest    time.Duration
	PRMUp           bool
	PRMRequests     int64
	Brakes          map[string]bool
	ScheduleLag     time.Duration
	StoreBytes      int64
	StoreFree       int64 // negative when unknown
	ReloadSucceeded bool
	Reloaded        time.Time
	// Alerts are those of no partner; their partner label is empty.
	Alerts []programme.Alert
}

// New returns a set that is registered with reg, together with the Go runtime's
// and the process's own collectors. version and goVersion name the build.
func New(reg prometheus.Registerer, version, goVersion string) (*Set, error) {
	s := &Set{cat: byName(), partners: map[string]*Partner{}}
	get := func(name string) prometheus.Opts { return prometheus.Opts{Name: name, Help: s.cat[name].Help} }
	s.cycles = prometheus.NewCounterVec(prometheus.CounterOpts(get("prmsync_cycles_total")), []string{lStatus})
	s.writes = prometheus.NewCounterVec(prometheus.CounterOpts(get("prmsync_prm_writes_total")), []string{lKind})
	s.conflict = prometheus.NewCounter(prometheus.CounterOpts(get("prmsync_prm_conflicts_total")))
	s.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "prmsync_cycle_duration_seconds", Help: s.cat["prmsync_cycle_duration_seconds"].Help,
		Buckets: []float64{0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000},
	})
	// At zero from the start, so that rate sees the first.
	for _, k := range []string{"insert", "update", "attach", "save"} {
		s.writes.WithLabelValues(k)
	}
	for _, status := range []string{"done", "failed"} {
		s.cycles.WithLabelValues(status)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "prmsync_build_info", Help: s.cat["prmsync_build_info"].Help,
		ConstLabels: prometheus.Labels{"version": version, "goversion": goVersion},
	})
	build.Set(1)
	for _, c := range []prometheus.Collector{
		s, s.cycles, s.writes, s.conflict, s.duration, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SetPartner shows a partner as of its last committed assessment.
func (s *Set) SetPartner(key string, p Partner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.partners[key]; ok && p.Sites == nil {
		p.Sites = old.Sites
	}
	s.partners[key] = &p
}

// SetSite shows a partner's site as it was after its last read.
func (s *Set) SetSite(partner, site string, st Site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.partners[partner]
	if !ok {
		p = &Partner{}
		s.partners[partner] = p
	}
	if p.Sites == nil {
		p.Sites = map[string]Site{}
	}
	p.Sites[site] = st
}

// Partner returns what is shown of a partner, and false when nothing is yet.
// What it holds is shared: look, do not change.
func (s *Set) Partner(key string) (Partner, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.partners[key]
	if !ok {
		return Partner{}, false
	}
	out := *p
	out.Sites = maps.Clone(p.Sites)
	return out, true
}

// Keep drops every partner that is not named, and every site of those named
// that is not listed with it: what was removed from the configuration ends.
func (s *Set) Keep(sites map[string][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, p := range s.partners {
		keep, ok := sites[key]
		if !ok {
			delete(s.partners, key)
			continue
		}
		maps.DeleteFunc(p.Sites, func(site string, _ Site) bool { return !slices.Contains(keep, site) })
	}
}

// SetState shows the daemon's own state.
func (s *Set) SetState(st State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
}

// Cycle counts one cycle of a partner.
func (s *Set) Cycle(took time.Duration, failed bool) {
	status := "done"
	if failed {
		status = "failed"
	}
	s.cycles.WithLabelValues(status).Inc()
	s.duration.Observe(took.Seconds())
}

// Wrote counts one document written to the PRM, and the fields in it that were
// left to the person who had changed them.
func (s *Set) Wrote(op string, conflicts int) {
	s.writes.WithLabelValues(op).Inc()
	s.conflict.Add(float64(conflicts))
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range s.cat {
		if s.collected(m) {
			ch <- m.desc
		}
	}
}

// collected tells the metrics that Collect makes from those that register
// themselves.
func (s *Set) collected(m Metric) bool {
	switch m.Name {
	case "prmsync_build_info", "prmsync_cycles_total", "prmsync_prm_writes_total", "prmsync_prm_conflicts_total", "prmsync_cycle_duration_seconds":
		return false
	}
	return true
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put := func(name string, v float64, labels ...string) {
		m := s.cat[name]
		t := prometheus.GaugeValue
		if m.Type == "counter" {
			t = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(m.desc, t, v, labels...)
	}
	for key, p := range s.partners {
		s.partner(put, key, p)
	}
	st := s.state
	put("prmsync_outbox_changes", float64(st.OutboxWaiting))
	put("prmsync_outbox_parked", float64(st.OutboxParked))
	put("prmsync_outbox_oldest_age_seconds", st.OutboxOldest.Seconds())
	put("prmsync_prm_up", b2f(st.PRMUp))
	put("prmsync_prm_requests_total", float64(st.PRMRequests))
	for _, kind := range []string{"change", "delete"} {
		put("prmsync_brake_tripped", b2f(st.Brakes[kind]), kind)
	}
	alerts(put, "", st.Alerts)
	put("prmsync_schedule_lag_seconds", st.ScheduleLag.Seconds())
	put("prmsync_store_bytes", float64(st.StoreBytes))
	if st.StoreFree >= 0 {
		put("prmsync_store_free_bytes", float64(st.StoreFree))
	}
	put("prmsync_config_reload_success", b2f(st.ReloadSucceeded))
	if !st.Reloaded.IsZero() {
		put("prmsync_config_reload_timestamp_seconds", seconds(st.Reloaded))
	}
}

type putter func(name string, v float64, labels ...string)

func (s *Set) partner(put putter, key string, p *Partner) {
	a := p.Assessment
	if !a.AsOf.IsZero() {
		put("prmsync_level_low", float64(a.LevelLow), key)
		put("prmsync_level_high", float64(a.LevelHigh), key)
		put("prmsync_assessment_timestamp_seconds", seconds(a.AsOf), key)
		put("prmsync_tamper_signals", float64(len(a.Signals)), key)
		for _, v := range a.Verdicts {
			// What does not apply has no outcome to look at, and is a quarter of all.
			if o := v.Effective(); o != rules.NotApplicable {
				put("prmsync_criterion_outcome", 1, key, v.Criterion, o.String())
			}
		}
		figures(put, key, a)
	}
	if p.People {
		put("prmsync_ncs_open", float64(p.Standing.OpenNCs), key)
		put("prmsync_ncs_overdue", float64(p.Standing.OverdueNCs), key)
		if d := p.Standing.NextNCDue; !d.IsZero() {
			put("prmsync_nc_next_due_timestamp_seconds", seconds(d.AddDays(1).Start(time.UTC)), key)
		}
	}
	// Statuses are few and ours; another, which a person made up, is "Other".
	states := map[string]int{}
	for status, n := range p.Escalations {
		if !slices.Contains(programme.EscalationStates(), status) {
			status = "Other"
		}
		states[status] += n
	}
	for status, n := range states {
		put("prmsync_escalations", float64(n), key, status)
	}
	alerts(put, key, p.Alerts)
	for site, st := range p.Sites {
		s.site(put, key, site, st, a)
	}
}

// alerts counts the firing ones by rule.
func alerts(put putter, partner string, all []programme.Alert) {
	firing := map[[2]string]int{}
	for _, al := range all {
		if al.Counts() {
			firing[[2]string{al.Rule, string(al.Severity)}]++
		}
	}
	for rs, n := range firing {
		put("prmsync_alert_firing", float64(n), partner, rs[0], rs[1])
	}
}

func (s *Set) site(put putter, partner, site string, st Site, a rules.Assessment) {
	put("prmsync_site_up", b2f(st.Up), partner, site)
	put("prmsync_site_key_accepted", b2f(st.KeyAccepted), partner, site)
	if !st.LastSuccess.IsZero() {
		put("prmsync_site_last_success_timestamp_seconds", seconds(st.LastSuccess), partner, site)
	}
	put("prmsync_site_clock_skew_seconds", st.ClockSkew.Seconds(), partner, site)
	put("prmsync_site_requests_total", float64(st.Requests), partner, site)
	put("prmsync_site_server_seconds_total", st.ServerSeconds, partner, site)
	for kind, n := range st.Errors {
		put("prmsync_site_errors_total", float64(n), partner, site, kind)
	}
	put("prmsync_site_breaker_open", b2f(st.BreakerOpen), partner, site)
	gaps := map[string]int{}
	for _, g := range a.Gaps {
		if g.Site == site {
			gaps[string(g.Kind)]++
		}
	}
	for kind, n := range gaps {
		put("prmsync_site_gaps", float64(n), partner, site, kind)
	}
	// Not one series for each of the forty streams: the site's page lists them.
	streams, whole, oldest := map[string]bool{}, 0, time.Time{}
	for _, g := range a.Gaps {
		// What a site does not have, or what nobody wants, is not missing.
		if g.Site == site && g.Stream != "" && g.Kind != evidence.Absent && g.Kind != evidence.Unmapped {
			streams[g.Stream] = true
		}
	}
	for _, c := range a.Coverage {
		if c.Site != site {
			continue
		}
		if c.Complete && !streams[c.Stream] {
			whole++
		}
		streams[c.Stream] = true
		if t := c.LastSuccess; !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	if len(streams) > 0 {
		put("prmsync_site_coverage_ratio", float64(whole)/float64(len(streams)), partner, site)
	}
	if !oldest.IsZero() {
		put("prmsync_site_oldest_stream_timestamp_seconds", seconds(oldest), partner, site)
	}
}

// figures exports the latest value of each metric for the whole partner.
func figures(put putter, key string, a rules.Assessment) {
	latest := map[string]measure.Value{}
	missing := map[string]int{}
	for _, v := range a.Metrics {
		if v.Project != "" {
			continue
		}
		if v.Timeliness == measure.Never {
			missing[v.Metric]++
		}
		if v.Current && v.Metric != measure.OverduePct {
			continue // the running week or month is not over
		}
		if old, ok := latest[v.Metric]; v.Has && (!ok || v.Period.Last().After(old.Period.Last())) {
			latest[v.Metric] = v
		}
	}
	for metric, n := range missing {
		put("prmsync_reports_missing", float64(n), key, metric)
	}
	if v, ok := latest[measure.OverduePct]; ok {
		put("prmsync_tasks", v.Denominator, key)
		put("prmsync_tasks_overdue", v.Numerator, key)
		if v.Denominator > 0 {
			put("prmsync_tasks_overdue_ratio", v.Numerator/v.Denominator, key)
		}
		if days, ok := v.Counts[measure.CountOldestOverdue]; ok {
			put("prmsync_task_oldest_overdue_age_seconds", days*24*3600, key)
		}
	}
	if v, ok := latest[measure.SLA]; ok {
		put("prmsync_sla_fulfilled_ratio", v.Value/100, key)
		put("prmsync_sla_tickets", v.Denominator, key)
		put("prmsync_tickets_open_late", v.Counts[measure.CountOpenAndLate], key)
	}
	if v, ok := latest[measure.Satisfaction]; ok {
		put("prmsync_satisfaction_stars", v.Value, key)
	}
	if v, ok := latest[measure.TicketFeedback]; ok {
		put("prmsync_ticket_feedback_stars", v.Value, key)
	}
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
