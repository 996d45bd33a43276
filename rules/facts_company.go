package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// The window in which rhythms are judged, and how long after a period its
// report may come. House defaults, the same that measure uses.
const (
	windowWeeks  = 12
	windowMonths = 3
	reportGrace  = 3
	// actionReach is how many days after a period an action may be decided and
	// still answer it: the report's grace and one week.
	actionReach = reportGrace + 7
)

// metricInfo is what is fixed about a metric: whose it is and how often it is
// reported.
type metricInfo struct {
	id      string
	dept    evidence.Department
	title   string
	monthly bool
	cadence bool // the procedures ask for it to be reported at a rhythm
}

var metricCatalogue = []metricInfo{
	{measure.Conversion, evidence.Sales, "conversion", false, true},
	{measure.DemoFeedback, evidence.Sales, "demo feedback", false, true},
	{measure.SalesFeedback, evidence.Sales, "sales feedback", false, true},
	{measure.Response, evidence.Sales, "answers in time", false, false},
	{measure.OverduePct, evidence.Implementation, "overdue tasks", false, true},
	{measure.Satisfaction, evidence.Implementation, "satisfaction", true, true},
	{measure.SupportTAT, evidence.Implementation, "days from go-live to support", true, false},
	{measure.ReadyTAT, evidence.Implementation, "days from joining to ready", true, false},
	{measure.SLA, evidence.Support, "SLA fulfilled", false, true},
	{measure.TicketFeedback, evidence.Support, "ticket feedback", false, true},
}

// figure is one metric in one period.
type figure struct {
	w      *world
	info   metricInfo
	period evidence.Period
	v      *measure.Value // nil when it was not computed
}

// metric is one metric over the whole window.
type metric struct {
	w       *world
	info    metricInfo
	figures []*figure
}

// period is a week or month in which one department owes reports.
type period struct {
	w       *world
	dept    evidence.Department
	period  evidence.Period
	figures []*figure
}

type week struct {
	w    *world
	week evidence.Week
}

type department struct {
	w  *world
	id evidence.Department
}

type action struct {
	w *world
	a *evidence.Action
	// metric is the one it is looked at for: what followed is judged by it.
	metric *metric
}

type procedure struct{ p *evidence.Procedure }

type dashboard struct{ d *evidence.Dashboard }

var (
	partnerType    = newFactType("Partner", "The partner as a whole. Its age, its size and its other successes are no facts on purpose.")
	departmentType = newFactType("Department", "Sales, implementation or support.")
	weekType       = newFactType("Week", "One full ISO week of the window.")
	periodType     = newFactType("Period", "A week or month in which one department owes its reports.")
	figureType     = newFactType("Figure", "One metric in one period: recomputed, and what the partner reported.")
	metricType     = newFactType("Metric", "One metric over the window.")
	actionType     = newFactType("Action", "A corrective or preventive action.")
	procedureType  = newFactType("Procedure", "A process written down.")
	dashboardType  = newFactType("Dashboard", "A page of charts.")
)

func deptTitle(d evidence.Department) string { return string(d) }

// indexMetrics groups the computed values by metric and period, and the
// reviews and reports that actions refer to.
func (w *world) indexMetrics() {
	if w.indexed.metrics {
		return
	}
	w.indexed.metrics = true
	w.values = map[valueKey]*measure.Value{}
	for i := range w.in.Metrics {
		v := &w.in.Metrics[i]
		if v.Project != "" || v.Current {
			continue
		}
		key := valueKey{v.Metric, v.Period}
		// One value for several sites comes first, else the first site's.
		if old, ok := w.values[key]; !ok || v.Site < old.Site {
			w.values[key] = v
		}
	}
	w.reviews = map[evidence.Key]*evidence.Review{}
	for i := range w.s.Reviews {
		r := &w.s.Reviews[i]
		w.reviews[r.Key()] = r
	}
	w.forums = map[evidence.Key]map[string]bool{}
	hold := func(k evidence.Key, metric string) {
		if w.forums[k] == nil {
			w.forums[k] = map[string]bool{}
		}
		w.forums[k][metric] = true
	}
	for i := range w.s.Reports {
		if r := &w.s.Reports[i]; r.Forum.Name != "" {
			hold(r.Forum.Key(), r.Metric)
		}
	}
	for i := range w.s.Meetings {
		if m := &w.s.Meetings[i]; m.Kind == evidence.MeetingAllHands {
			hold(m.Key(), "*")
		}
	}
	w.figures = map[string][]*figure{}
	weeks, months := measure.FullWeeks(w.today, windowWeeks), measure.FullMonths(w.today, windowMonths)
	for _, info := range metricCatalogue {
		add := func(p evidence.Period) {
			if !w.began.IsZero() && p.Last().Before(w.began) {
				return
			}
			w.figures[info.id] = append(w.figures[info.id], &figure{w: w, info: info, period: p, v: w.values[valueKey{info.id, p}]})
		}
		if info.monthly {
			for _, m := range months {
				add(evidence.Period{Month: m})
			}
			continue
		}
		for _, wk := range weeks {
			add(evidence.Period{Week: wk})
		}
	}
}

// young tells that the partner's own work began inside the window: then nothing
// can be said about rhythms yet.
func (w *world) young(first evidence.Date) *Unknown {
	switch {
	case w.began.IsZero():
		return &Unknown{Attribute: "window", Reason: "no record of the partner's own work was found", Remedy: "wait until there is work to look at"}
	case w.began.After(first):
		return &Unknown{Attribute: "window", Reason: fmt.Sprintf("the partner's first record is of %s; the window begins on %s", w.began, first), Remedy: "wait until the window is full"}
	}
	return nil
}

func (w *world) due(p evidence.Period) evidence.Date { return p.Last().AddDays(reportGrace) }

func (f *figure) attribute(name string) string { return f.info.id + "." + name }

func (f *figure) value() ref.Val {
	switch {
	case f.v == nil:
		return f.w.unknown(f.attribute("value"), Unknown{Stream: f.info.id, Reason: "it was not computed for " + f.period.String(), Remedy: "wait for the next cycle"})
	case f.v.Has:
		return types.Double(f.v.Value)
	case f.v.Unknown != "":
		return f.w.unknown(f.attribute("value"), Unknown{Stream: f.info.id, Site: f.v.Site, Reason: cleanText(f.v.Unknown, 200)})
	}
	return absent(f.attribute("value"))
}

// nothing reports whether there was nothing to measure in the period.
func (f *figure) nothing() bool {
	return f.v != nil && !f.v.Has && f.v.Unknown == "" && f.v.Counts[measure.CountOccasions] == 0
}

func (f *figure) said() bool { return f.v != nil && (f.v.HasReported || f.v.NothingSaid) }

// number is what a period is judged by: the recomputed value, and the reported
// one only where none can be computed.
func (f *figure) number() ref.Val {
	if f.v != nil && !f.v.Has && f.v.HasReported {
		return types.Double(f.v.Reported)
	}
	return f.value()
}

func (f *figure) exempt() bool {
	return !f.period.Week.IsZero() && measure.Exempt(f.w.s, f.period.Week)
}

// reported answers whether the partner wrote the figure down. wanted is false
// where no report was owed: nothing happened, or the whole week was a holiday.
func (f *figure) reported() (v ref.Val, wanted bool) {
	if f.said() {
		return types.True, true
	}
	if f.exempt() || f.nothing() {
		return types.False, false
	}
	due := f.w.due(f.period)
	if u := f.w.silenceOn("", kindReport, due); u != nil {
		return f.w.unknown(f.attribute("reported"), *u), true
	}
	if f.v == nil || !f.v.Has && f.v.Unknown != "" && f.v.Timeliness != measure.Never {
		reason := "whether there was anything to report could not be computed"
		if f.v != nil {
			reason += ": " + cleanText(f.v.Unknown, 160)
		}
		return f.w.unknown(f.attribute("reported"), Unknown{Stream: f.info.id, Reason: reason}), true
	}
	return types.False, true
}

func (f *figure) reportLate() bool {
	return f.v != nil && f.said() && (f.v.Timeliness == measure.Late || f.v.Timeliness == measure.Backfill)
}

func (f *figure) label() string { return f.period.String() + ": " + f.info.title }

// text writes the figure with its unit.
func (f *figure) text(v float64) string {
	unit := ""
	if f.v != nil {
		unit = f.v.Unit
	}
	return withUnit(v, unit)
}

func withUnit(v float64, unit string) string {
	if unit == "" {
		return formatNumber(v)
	}
	return formatNumber(v) + " " + unit
}

// shown says the recomputed and the reported value side by side.
func (f *figure) shown() string {
	var parts []string
	switch {
	case f.v == nil:
		return "not computed"
	case f.v.Has:
		parts = append(parts, "recomputed "+f.text(f.v.Value))
	case f.v.Unknown != "":
		parts = append(parts, "not computable")
	default:
		parts = append(parts, "nothing to compute from")
	}
	switch {
	case f.v.HasReported:
		r := "reported " + f.text(f.v.Reported)
		if f.v.Differs {
			r += " (differs)"
		}
		parts = append(parts, r)
	case f.v.NothingSaid:
		parts = append(parts, "reported as nothing to report")
	}
	return strings.Join(parts, ", ")
}

func (f *figure) docs() []evidence.Ref {
	if f.v == nil {
		return nil
	}
	return slices.Concat(f.v.ReportedBy, f.v.Docs)
}

// answers reports whether the action was decided for this figure: it names the
// metric, or the review or meeting in which the metric was looked at.
func (f *figure) answers(a *evidence.Action) bool {
	on := a.On
	if on.IsZero() {
		on = evidence.DateIn(a.Created, f.w.loc)
	}
	if on.Before(f.period.First()) || on.After(f.period.Last().AddDays(actionReach)) || !f.w.happened(on) || f.w.late(a.Ref) {
		return false
	}
	return f.w.names(a, f.info.id, f.v)
}

// names reports whether an action is about the metric.
func (w *world) names(a *evidence.Action, metric string, v *measure.Value) bool {
	if a.Metric != "" {
		return a.Metric == metric
	}
	if a.Review.Name == "" {
		return false
	}
	if r := w.reviews[a.Review.Key()]; r != nil && r.Metric != "" {
		return r.Metric == metric
	}
	if v != nil {
		for _, r := range v.ReportedBy {
			if r.Key() == a.Review.Key() {
				return true
			}
		}
	}
	forum := w.forums[a.Review.Key()]
	return forum[metric] || forum["*"]
}

func (f *figure) actions(kind evidence.ActionKind) []*evidence.Action {
	var out []*evidence.Action
	for i := range f.w.s.Actions {
		a := &f.w.s.Actions[i]
		if (kind == "" || a.Kind == kind) && f.answers(a) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *evidence.Action) int { return a.Ref.Compare(b.Ref) })
	return out
}

// later are the figures of the periods that began after the day.
func (m *metric) later(day evidence.Date) []ref.Val {
	var out []ref.Val
	for _, f := range m.figures {
		if f.period.First().After(day) && f.v != nil && (f.v.Has || f.v.HasReported) {
			out = append(out, figureType.of(f))
		}
	}
	return out
}

func (m *metric) preventive() ref.Val {
	var as []*evidence.Action
	from := measure.FullWeeks(m.w.today, windowWeeks)[0].Monday()
	for i := range m.w.s.Actions {
		a := &m.w.s.Actions[i]
		on := a.On
		if on.IsZero() {
			on = evidence.DateIn(a.Created, m.w.loc)
		}
		if a.Kind != evidence.Preventive || !m.w.happened(on) || on.Before(from) || m.w.late(a.Ref) {
			continue
		}
		named := m.w.names(a, m.info.id, nil)
		for _, f := range m.figures {
			named = named || f.answers(a)
		}
		if named {
			as = append(as, a)
		}
	}
	if len(as) == 0 {
		if u := m.w.silence("", kindAction); u != nil {
			return m.w.unknown(m.info.id+".preventive", *u)
		}
	}
	slices.SortFunc(as, func(a, b *evidence.Action) int { return a.Ref.Compare(b.Ref) })
	out := make([]ref.Val, 0, len(as))
	for _, a := range as {
		out = append(out, actionType.of(&action{m.w, a, m}))
	}
	return listVal(out)
}

// departments

func (d *department) readable(streams ...string) *Unknown {
	for _, st := range streams {
		if u := d.w.readable("", st); u != nil && u.Kind != evidence.Absent {
			return u
		}
	}
	return nil
}

func (d *department) short() string {
	switch d.id {
	case evidence.Sales:
		return "sales"
	case evidence.Implementation:
		return "implementation"
	case evidence.Support:
		return "support"
	}
	return string(d.id)
}

func (d *department) procedures() ref.Val {
	var out []ref.Val
	for i := range d.w.s.Procedures {
		p := &d.w.s.Procedures[i]
		if p.Department == d.id && !d.w.late(p.Ref) {
			out = append(out, procedureType.of(&procedure{p}))
		}
	}
	if len(out) == 0 {
		if u := d.w.readableKind("", "procedure."+d.short()); u != nil && u.Kind != evidence.Unmapped {
			return d.w.unknown("department.procedures", *u)
		}
	}
	return listVal(out)
}

func (d *department) dashboards() ref.Val {
	var out []ref.Val
	for i := range d.w.s.Dashboards {
		b := &d.w.s.Dashboards[i]
		if !b.Standard && slices.Contains(b.Departments, d.id) && !d.w.late(b.Ref) {
			out = append(out, dashboardType.of(&dashboard{b}))
		}
	}
	if len(out) == 0 {
		if u := d.w.silence("", "dashboard."+d.short()); u != nil {
			return d.w.unknown("department.dashboards", *u)
		}
	}
	return listVal(out)
}

func (d *department) controls() ref.Val {
	n := 0
	for _, c := range d.w.s.Controls {
		if c.Department == d.id && c.Enabled {
			n++
		}
	}
	if n == 0 {
		if u := d.readable("Service Level Agreement", "Assignment Rule", "Notification"); u != nil {
			return d.w.unknown("department.controls", *u)
		}
	}
	return types.Int(n)
}

func (d *department) feedbackKinds() []evidence.FeedbackKind {
	switch d.id {
	case evidence.Sales:
		return []evidence.FeedbackKind{evidence.FeedbackDemo, evidence.FeedbackSales}
	case evidence.Implementation:
		return []evidence.FeedbackKind{evidence.FeedbackSatisfaction}
	case evidence.Support:
		return []evidence.FeedbackKind{evidence.FeedbackTicket}
	}
	return nil
}

// from is the first day of the window.
func (w *world) from() evidence.Date { return measure.FullWeeks(w.today, windowWeeks)[0].Monday() }

func (w *world) inWindow(d evidence.Date) bool { return w.happened(d) && !d.Before(w.from()) }

func (d *department) answers() ref.Val {
	n := 0
	kinds := d.feedbackKinds()
	for _, f := range d.w.s.Feedback {
		if slices.Contains(kinds, f.Kind) && d.w.inWindow(f.On) && !d.w.late(f.Ref) && (f.Rated || f.Text) {
			n++
		}
	}
	if d.id == evidence.Support {
		for _, t := range d.w.s.Tickets {
			if t.Rated && t.Stars > 0 && !t.Merged && d.w.inWindow(evidence.DateIn(t.Opened, d.w.loc)) {
				n++
			}
		}
	}
	if n == 0 {
		for _, k := range kinds {
			if u := d.w.silence("", "feedback."+string(k)); u != nil {
				return d.w.unknown("department.answers", *u)
			}
		}
	}
	return types.Int(n)
}

// occasions counts what customers could have been asked about in the window.
func (d *department) occasions() ref.Val {
	w := d.w
	n := 0
	kind := ""
	switch d.id {
	case evidence.Sales:
		kind = kindDeal
		for _, x := range w.s.Deals {
			if w.inWindow(x.Opened) || w.inWindow(x.Closed) {
				n++
			}
		}
		for _, q := range w.s.Quotations {
			if !q.Cancelled && (w.inWindow(q.On) || w.inWindow(q.Won) || w.inWindow(q.Lost)) {
				n++
			}
		}
	case evidence.Implementation:
		for _, p := range w.projects {
			if p.p.Status == "Open" {
				n++
			}
		}
		if n == 0 {
			if u := w.readable("", streamProject); u != nil {
				return w.unknown("department.occasions", *u)
			}
		}
		return types.Int(n)
	case evidence.Support:
		kind = kindTicket
		for _, t := range w.s.Tickets {
			if !t.Merged && (w.inWindow(evidence.DateIn(t.Opened, w.loc)) || w.inWindow(evidence.DateIn(t.Resolved, w.loc))) {
				n++
			}
		}
	}
	if n == 0 {
		if u := w.readableKind("", kind); u != nil {
			return w.unknown("department.occasions", *u)
		}
	}
	return types.Int(n)
}

// certificates counts the partner's valid product certificates, as the PRM
// keeps them.
func (w *world) certificates() ref.Val {
	const attribute = "partner.certificates"
	n := 0
	for i := range w.s.Certificates {
		c := &w.s.Certificates[i]
		if (c.Site == sitePRM || c.Doctype == streamCertificate) && !c.Issued.After(w.today) && (c.Expires.IsZero() || !c.Expires.Before(w.today)) {
			n++
		}
	}
	if w.in.CertifiedMembers != nil {
		return types.Int(max(n, *w.in.CertifiedMembers))
	}
	if n < 2 {
		if u := w.readable("", streamCertificate); u != nil {
			return w.unknown(attribute, *u)
		}
	}
	return types.Int(n)
}

// feedbackMeans are the means of each source of customer feedback over the
// window, for sources that have ratings.
func (w *world) feedbackMeans() ref.Val {
	sums := map[evidence.FeedbackKind]float64{}
	counts := map[evidence.FeedbackKind]int{}
	add := func(k evidence.FeedbackKind, stars float64) {
		if stars > 0 && stars <= 5 {
			sums[k] += stars
			counts[k]++
		}
	}
	for _, f := range w.s.Feedback {
		if f.Rated && w.inWindow(f.On) && !w.late(f.Ref) && f.Kind != evidence.FeedbackDemo {
			add(f.Kind, f.Stars)
		}
	}
	for _, t := range w.s.Tickets {
		if t.Rated && !t.Merged && w.inWindow(evidence.DateIn(t.Resolved, w.loc)) {
			add(evidence.FeedbackTicket, t.Stars)
		}
	}
	var out []ref.Val
	for _, k := range []evidence.FeedbackKind{evidence.FeedbackTicket, evidence.FeedbackSatisfaction, evidence.FeedbackSales} {
		if counts[k] > 0 {
			out = append(out, types.Double(sums[k]/float64(counts[k])))
		}
	}
	if len(out) == 0 {
		return w.unknown("partner.feedback_means", Unknown{Stream: "kind:feedback", Reason: "no customer rated anything in the window", Remedy: "ask customers for a rating"})
	}
	return listVal(out)
}

// preventiveDone counts the preventive actions completed in the last three
// months.
func (w *world) preventiveDone() ref.Val {
	n := 0
	since := w.today.AddMonths(-3)
	for i := range w.s.Actions {
		a := &w.s.Actions[i]
		if a.Kind != evidence.Preventive || !a.Completed || w.late(a.Ref) {
			continue
		}
		on := a.Closed
		if on.IsZero() {
			on = evidence.DateIn(a.Modified, w.loc)
		}
		if w.happened(on) && !on.Before(since) {
			n++
		}
	}
	if n == 0 {
		if u := w.silence("", kindAction); u != nil {
			return w.unknown("partner.preventive_done", *u)
		}
	}
	return types.Int(n)
}

// answeredInTime is the share of the window's queries that were answered in
// time, in percent.
func (w *world) answeredInTime() ref.Val {
	const attribute = "partner.answered_in_time"
	w.indexMetrics()
	var vs []measure.Value
	var why ref.Val
	for _, f := range w.figures[measure.Response] {
		if v := f.value(); types.IsUnknown(v) {
			why = v
		}
		if f.v != nil {
			vs = append(vs, *f.v)
		}
	}
	num, den, ok := measure.Pool(vs)
	switch {
	case ok:
		return types.Double(100 * num / den)
	case why != nil:
		return why
	}
	return absent(attribute)
}

// queries counts the leads received in the window.
func (w *world) queries() ref.Val {
	n := 0
	for _, l := range w.s.Leads {
		if w.inWindow(evidence.DateIn(l.Received, w.loc)) && !w.late(l.Ref) {
			n++
		}
	}
	if n == 0 {
		crm, lead := w.readable("", "CRM Lead"), w.readable("", "Lead")
		if crm != nil && lead != nil {
			u := lead
			if lead.Kind == evidence.Absent && crm.Reason != "it was never read" {
				u = crm
			}
			return w.unknown("partner.queries", *u)
		}
	}
	return types.Int(n)
}

func (w *world) present() (missing []string, known bool) {
	if w.in.Present == nil {
		return nil, false
	}
	for role, there := range w.in.Present {
		if !there {
			missing = append(missing, cleanText(strings.ReplaceAll(role, "_", " "), 40))
		}
	}
	slices.Sort(missing)
	return missing, true
}

// population returns what a for_each names; ok is false for a word that is none.
func (w *world) population(name string) *population {
	if p, ok := w.pops[name]; ok {
		return p
	}
	p := populations[name].build(w)
	w.pops[name] = p
	return p
}

// popDef is one word that for_each understands.
type popDef struct {
	t     *factType
	doc   string
	build func(*world) *population
}

var populations map[string]popDef

func declarePopulations() {
	populations = map[string]popDef{
		"projects": {projectType, "customer projects that are running or ended within twelve months", func(w *world) *population {
			pop := &population{t: projectType}
			refs, _ := ProjectPopulation(w.s)
			in := map[evidence.Key]bool{}
			for _, r := range refs {
				in[r.Key()] = true
			}
			for _, p := range w.projects {
				if in[p.p.Key()] {
					pop.items = append(pop.items, p.subject())
				}
			}
			pop.incomplete(w.readable("", streamProject))
			return pop
		}},
		"sampled_projects": {projectType, "the projects drawn for the sample", func(w *world) *population {
			return w.sampled("Project", projectType, func(r evidence.Ref) (ref.Val, string) {
				if p := w.byProject[r.Key()]; p != nil {
					return projectType.of(p), p.title()
				}
				return nil, ""
			})
		}},
		"sampled_deals": {dealType, "the deals drawn for the sample", func(w *world) *population {
			w.indexSales()
			return w.sampled("Deal", dealType, func(r evidence.Ref) (ref.Val, string) {
				if d := w.deals[site2name{r.Site, r.Name}]; d != nil && d.Doctype == r.Doctype {
					x := w.dealOf(d, nil)
					return dealType.of(x), x.customer()
				}
				if q := w.quotations[site2name{r.Site, r.Name}]; q != nil && q.Doctype == r.Doctype {
					x := w.dealOf(nil, q)
					return dealType.of(x), x.customer()
				}
				return nil, ""
			})
		}},
		"sampled_tickets": {ticketType, "the tickets drawn for the sample", func(w *world) *population {
			at := map[evidence.Key]*evidence.Ticket{}
			for i := range w.s.Tickets {
				at[w.s.Tickets[i].Key()] = &w.s.Tickets[i]
			}
			return w.sampled("Ticket", ticketType, func(r evidence.Ref) (ref.Val, string) {
				if t := at[r.Key()]; t != nil {
					return ticketType.of(&ticket{w, t}), cleanText(t.Subject, 60)
				}
				return nil, ""
			})
		}},
		"escalated_project": {projectType, "the one project under escalation", func(w *world) *population {
			pop := &population{t: projectType}
			for _, p := range w.projects {
				if p.p.Name == w.in.Target.Project && (w.in.Target.Site == "" || p.p.Site == w.in.Target.Site) && w.in.Target.Project != "" {
					pop.items = append(pop.items, p.subject())
				}
			}
			if len(pop.items) != 1 {
				u := Unknown{Attribute: "project", Stream: streamProject, Site: w.in.Target.Site, Reason: "the escalated project is not among the partner's records", Remedy: "name the project by its record on the partner's site"}
				if g := w.readable(w.in.Target.Site, streamProject); g != nil {
					g := *g
					g.Attribute = "project"
					u = g
				}
				pop.items = nil
				pop.blocks = append(pop.blocks, u)
			}
			return pop
		}},
		"departments": {departmentType, "sales, implementation and support", func(w *world) *population {
			pop := &population{t: departmentType}
			for _, d := range []evidence.Department{evidence.Sales, evidence.Implementation, evidence.Support} {
				pop.items = append(pop.items, subject{val: departmentType.of(&department{w, d}), label: deptTitle(d)})
			}
			return pop
		}},
		"weeks": {weekType, "the twelve full ISO weeks of the window whose grace has passed", func(w *world) *population {
			pop := &population{t: weekType}
			weeks := measure.FullWeeks(w.today, windowWeeks)
			for _, wk := range weeks {
				p := evidence.Period{Week: wk}
				if !w.began.IsZero() && p.Last().Before(w.began) || !w.today.After(w.due(p)) || measure.Exempt(w.s, wk) {
					continue
				}
				pop.items = append(pop.items, subject{val: weekType.of(&week{w, wk}), label: wk.String()})
			}
			if u := w.young(weeks[0].Monday()); u != nil {
				pop.blocks = append(pop.blocks, *u)
			}
			return pop
		}},
		"periods": {periodType, "each department's weeks and months of the window in which reports were owed and their grace has passed", func(w *world) *population {
			w.indexMetrics()
			pop := &population{t: periodType}
			by := map[string]*period{}
			var order []string
			for _, info := range metricCatalogue {
				if !info.cadence {
					continue
				}
				for _, f := range w.figures[info.id] {
					if !w.today.After(w.due(f.period)) {
						continue
					}
					key := string(info.dept) + "\x00" + f.period.String()
					if by[key] == nil {
						by[key] = &period{w: w, dept: info.dept, period: f.period}
						order = append(order, key)
					}
					by[key].figures = append(by[key].figures, f)
				}
			}
			slices.SortFunc(order, func(a, b string) int {
				return cmp.Or(by[a].period.First().Compare(by[b].period.First()), cmp.Compare(a, b))
			})
			for _, key := range order {
				p := by[key]
				pop.items = append(pop.items, subject{val: periodType.of(p), label: p.period.String()})
			}
			if u := w.young(measure.FullWeeks(w.today, windowWeeks)[0].Monday()); u != nil {
				pop.blocks = append(pop.blocks, *u)
			}
			return pop
		}},
		"figures": {figureType, "each metric in each full week or month of the window", func(w *world) *population {
			w.indexMetrics()
			pop := &population{t: figureType}
			for _, info := range metricCatalogue {
				for _, f := range w.figures[info.id] {
					pop.items = append(pop.items, f.subject())
				}
			}
			return pop
		}},
		"owed_figures": {figureType, "each metric in each full week or month in which its report was owed and the grace has passed", func(w *world) *population {
			w.indexMetrics()
			pop := &population{t: figureType}
			for _, info := range metricCatalogue {
				for _, f := range w.figures[info.id] {
					if _, wanted := f.reported(); wanted && w.today.After(w.due(f.period)) {
						pop.items = append(pop.items, f.subject())
					}
				}
			}
			if u := w.young(w.from()); u != nil {
				pop.blocks = append(pop.blocks, *u)
			}
			return pop
		}},
		"metrics": {metricType, "each metric over the window", func(w *world) *population {
			w.indexMetrics()
			pop := &population{t: metricType}
			for _, info := range metricCatalogue {
				pop.items = append(pop.items, subject{val: metricType.of(&metric{w, info, w.figures[info.id]}), label: info.title})
			}
			return pop
		}},
	}
}

func (f *figure) subject() subject {
	s := subject{val: figureType.of(f), label: f.label()}
	if f.v != nil {
		if len(f.v.ReportedBy) > 0 {
			s.ref = f.v.ReportedBy[0]
		}
	}
	return s
}

// incomplete notes why the population may lack entries.
func (p *population) incomplete(u *Unknown) {
	if u != nil {
		v := *u
		if v.Attribute == "" {
			v.Attribute = p.t.name
		}
		p.open = append(p.open, v)
	}
}

// sampled looks up the drawn items. One that is no longer there stays in the
// sample and is unknown: it is not drawn again (edge case 23).
func (w *world) sampled(stream string, t *factType, find func(evidence.Ref) (ref.Val, string)) *population {
	pop := &population{t: t}
	drawn := false
	for i := range w.in.Samples {
		sm := &w.in.Samples[i]
		if sm.Stream != stream {
			continue
		}
		drawn = true
		if !sm.Complete {
			pop.open = append(pop.open, Unknown{Attribute: strings.ToLower(stream) + " sample", Stream: stream, Reason: "the sample was drawn from a list that had not been read whole", Remedy: "wait for a complete read"})
		}
		for _, it := range sm.Items {
			v, label := find(it.Ref)
			if v == nil {
				v = w.unknown(strings.ToLower(stream), Unknown{Stream: it.Ref.Doctype, Site: it.Ref.Site, Reason: "the sampled record " + cleanText(it.Ref.Name, 80) + " can no longer be read", Remedy: "see whether it was moved, renamed or deleted"})
			}
			pop.items = append(pop.items, subject{val: v, ref: it.Ref, label: cmp.Or(cleanText(it.Label, 80), label, cleanText(it.Ref.Name, 80)), site: it.Ref.Site})
		}
	}
	if !drawn {
		pop.blocks = append(pop.blocks, Unknown{Attribute: strings.ToLower(stream) + " sample", Stream: stream, Reason: "no sample has been drawn", Remedy: "wait for the next cycle"})
	}
	slices.SortStableFunc(pop.items, func(a, b subject) int { return a.ref.Compare(b.ref) })
	return pop
}

func declareCompanyFacts() {
	p := partnerType
	addDate(p, "today", "the day of judgement in the partner's zone", func(w *world) evidence.Date { return w.today })
	addDate(p, "window_start", "first day of the window of twelve full weeks", (*world).from)
	add(p, "calendar", calendarType.typ, "working days, for working_days()", func(w *world) ref.Val { return calendarType.of(w.cal) })
	add(p, "certificates", cel.IntType, "valid product certificates on the PRM", (*world).certificates)
	add(p, "feedback_means", cel.ListType(cel.DoubleType), "mean stars of each source of customer feedback in the window; unknown when nobody rated", (*world).feedbackMeans)
	add(p, "preventive_done", cel.IntType, "preventive actions completed within three months", (*world).preventiveDone)
	add(p, "list_readable", cel.BoolType, "the list of improvements could be read", func(w *world) ref.Val { return types.Bool(w.readableKind("", kindAction) == nil) })
	add(p, "answered_in_time", cel.DoubleType, "percent of the window's queries answered in time", (*world).answeredInTime)
	add(p, "queries", cel.IntType, "queries received in the window", (*world).queries)
	add(p, "reports", cel.IntType, "figures that the partner reported in the window", func(w *world) ref.Val {
		n := 0
		for _, r := range w.s.Reports {
			if w.inWindow(r.On) && !w.late(r.Ref) {
				n++
			}
		}
		if n == 0 {
			if u := w.readableKind("", kindReport); u != nil {
				return w.unknown("partner.reports", *u)
			}
		}
		return types.Int(n)
	})
	addString(p, "stage", "department in which an escalation arose; empty otherwise", func(w *world) string { return string(w.in.Target.Stage) })
	add(p, "frozen", cel.BoolType, "the evidence is frozen: what came after the cutoff does not count", func(w *world) ref.Val { return types.Bool(!w.in.Cutoff.IsZero()) })
	add(p, "still_open", cel.BoolType, "evidence may still be handed in: unknown until it is frozen, no afterwards", func(w *world) ref.Val {
		if w.in.Cutoff.IsZero() {
			return w.unknown("partner.still_open", Unknown{Reason: "it was not found so far, and can still be handed in", Remedy: "hand it in before the evidence is frozen"})
		}
		return types.False
	})
	add(p, "attendance_known", cel.BoolType, "the PRM says who was there", func(w *world) ref.Val { _, ok := w.present(); return types.Bool(ok) })
	add(p, "absentees", cel.ListType(cel.StringType), "required people not ticked as present", func(w *world) ref.Val { m, _ := w.present(); return stringsVal(m) })

	d := departmentType
	addString(d, "id", "sales, implementation or support", func(d *department) string { return string(d.id) })
	add(d, "procedures", procedureType.list(), "its written processes", (*department).procedures)
	add(d, "dashboards", dashboardType.list(), "its dashboards, without those that every site has", (*department).dashboards)
	add(d, "controls", cel.IntType, "enabled agreements, assignment rules and own notifications", (*department).controls)
	add(d, "answers", cel.IntType, "answers from customers in the window", (*department).answers)
	add(d, "occasions", cel.IntType, "deals, projects or tickets about which customers could be asked", (*department).occasions)

	w := weekType
	addString(w, "label", "2026-W07", func(w *week) string { return w.week.String() })
	add(w, "all_hands", cel.BoolType, "a weekly review was held", func(k *week) ref.Val {
		found := slices.ContainsFunc(k.w.s.Meetings, func(m evidence.Meeting) bool {
			return m.Kind == evidence.MeetingAllHands && m.Held && m.On.Week() == k.week && k.w.happened(m.On) && !k.w.late(m.Ref)
		})
		if found {
			return types.True
		}
		if u := k.w.silenceOn("", kindAllHands, k.w.due(evidence.Period{Week: k.week})); u != nil {
			return k.w.unknown("week.all_hands", *u)
		}
		return types.False
	})

	q := periodType
	addString(q, "department", "whose it is", func(q *period) string { return string(q.dept) })
	addBool(q, "month", "a month rather than a week", func(q *period) bool { return q.period.Week.IsZero() })
	add(q, "reports", cel.ListType(cel.BoolType), "for each metric owed: it was reported", func(q *period) ref.Val {
		var out []ref.Val
		for _, f := range q.figures {
			if v, wanted := f.reported(); wanted {
				out = append(out, v)
			}
		}
		return listVal(out)
	})
	add(q, "unreported", cel.ListType(cel.StringType), "the metrics that were owed and not found", func(q *period) ref.Val {
		var out []string
		for _, f := range q.figures {
			if v, wanted := f.reported(); wanted && v != types.True {
				out = append(out, f.info.title)
			}
		}
		return stringsVal(out)
	})
	add(q, "late", cel.ListType(cel.StringType), "the metrics that were reported after the grace", func(q *period) ref.Val {
		var out []string
		for _, f := range q.figures {
			if f.reportLate() {
				out = append(out, f.info.title)
			}
		}
		return stringsVal(out)
	})
	add(q, "figures", figureType.list(), "its figures", func(q *period) ref.Val { return figureVals(q.figures) })

	f := figureType
	addString(f, "metric", "metric id", func(f *figure) string { return f.info.id })
	addString(f, "department", "whose it is", func(f *figure) string { return string(f.info.dept) })
	addString(f, "title", "the metric in words", func(f *figure) string { return f.info.title })
	addDate(f, "first", "first day of the period", func(f *figure) evidence.Date { return f.period.First() })
	addDate(f, "last", "last day of the period", func(f *figure) evidence.Date { return f.period.Last() })
	addBool(f, "due", "the grace for its report has passed", func(f *figure) bool { return f.w.today.After(f.w.due(f.period)) })
	add(f, "value", cel.DoubleType, "the recomputed value; unknown where its evidence could not be read, not there where nothing happened", (*figure).value)
	add(f, "number", cel.DoubleType, "the recomputed value, or the reported one where none can be computed", (*figure).number)
	addBool(f, "nothing", "there was nothing to measure", (*figure).nothing)
	addBool(f, "said", "the partner reported it, or that there was nothing to report", (*figure).said)
	add(f, "reported", cel.BoolType, "the partner reported it", func(f *figure) ref.Val { v, _ := f.reported(); return v })
	addBool(f, "late", "it was reported after the grace", (*figure).reportLate)
	add(f, "own_mean", cel.DoubleType, "the partner's own mean of the twelve weeks before", func(f *figure) ref.Val {
		if f.v != nil {
			if m, ok := f.v.Counts[measure.CountMean]; ok {
				return types.Double(m)
			}
		}
		return absent(f.attribute("own_mean"))
	})
	addString(f, "shown", "recomputed and reported value side by side", (*figure).shown)
	add(f, "corrective", cel.BoolType, "a corrective action was decided for it", func(f *figure) ref.Val {
		return f.w.lookup(len(f.actions(evidence.Corrective)) > 0, f.attribute("corrective"), "", kindAction)
	})
	addBool(f, "in_forum", "that action stands in the record of the review", func(f *figure) bool {
		return slices.ContainsFunc(f.actions(evidence.Corrective), func(a *evidence.Action) bool { return a.Review.Name != "" })
	})
	add(f, "acted", cel.BoolType, "a corrective or preventive action was decided for it", func(f *figure) ref.Val {
		return f.w.lookup(len(f.actions("")) > 0, f.attribute("acted"), "", kindAction)
	})
	add(f, "cause", cel.BoolType, "an action for it names the cause", func(f *figure) ref.Val {
		found := slices.ContainsFunc(f.actions(""), func(a *evidence.Action) bool { return strings.TrimSpace(a.Cause) != "" })
		return f.w.lookup(found, f.attribute("cause"), "", kindAction)
	})

	m := metricType
	addString(m, "metric", "metric id", func(m *metric) string { return m.info.id })
	addString(m, "department", "whose it is", func(m *metric) string { return string(m.info.dept) })
	add(m, "figures", figureType.list(), "its figures in the window, oldest first", func(m *metric) ref.Val { return figureVals(m.figures) })
	add(m, "latest", figureType.typ, "the figure of the latest full period in which there was something to measure", func(m *metric) ref.Val {
		if len(m.figures) == 0 {
			return m.w.unknown(m.info.id, Unknown{Stream: m.info.id, Reason: "no full period has ended since the partner's first record", Remedy: "wait for the first full period"})
		}
		for i := len(m.figures) - 1; i >= 0; i-- {
			if f := m.figures[i]; !f.nothing() || f.said() {
				return figureType.of(f)
			}
		}
		return figureType.of(m.figures[len(m.figures)-1])
	})
	addBool(m, "idle", "nothing to measure happened in the whole window", func(m *metric) bool {
		return len(m.figures) > 0 && !slices.ContainsFunc(m.figures, func(f *figure) bool { return !f.nothing() || f.said() })
	})
	add(m, "authoritative", cel.BoolType, "silence about its ratings counts; unknown where it does not", func(m *metric) ref.Val { return m.authoritative() })
	add(m, "preventive", actionType.list(), "preventive actions for it decided in the window", (*metric).preventive)

	a := actionType
	addBool(a, "has_owner", "somebody is responsible", func(a *action) bool { return strings.TrimSpace(a.a.Owner) != "" })
	addBool(a, "described", "it says what is done", func(a *action) bool { return strings.TrimSpace(a.a.Resolution) != "" })
	add(a, "done", cel.BoolType, "it is completed; unknown while it may still be", func(a *action) ref.Val {
		switch {
		case a.a.Completed:
			return types.True
		case !a.a.Due.IsZero() && a.a.Due.Before(a.w.today):
			return types.False
		}
		return a.w.unknown("action.done", Unknown{Stream: "kind:" + kindAction, Site: a.a.Site, Reason: "the action " + cleanText(a.a.Name, 60) + " is still running", Remedy: "complete it"})
	})
	add(a, "later", figureType.list(), "figures of its metric in periods that began after it was completed; unknown while there is none", func(a *action) ref.Val {
		closed := a.a.Closed
		if closed.IsZero() {
			closed = evidence.DateIn(a.a.Modified, a.w.loc)
		}
		if a.metric != nil && a.a.Completed && !closed.IsZero() {
			if fs := a.metric.later(closed); len(fs) > 0 {
				return listVal(fs)
			}
		}
		return a.w.unknown("action.later", Unknown{Stream: "kind:" + kindAction, Site: a.a.Site, Reason: "no full period with a figure has ended since the action", Remedy: "wait for the next figure"})
	})

	r := procedureType
	addString(r, "title", "its title", func(r *procedure) string { return cleanText(r.p.Title, 80) })
	addInt(r, "steps", "steps written down", func(r *procedure) int { return r.p.Steps })
	addBool(r, "has_owner", "somebody owns it", func(r *procedure) bool { return r.p.Owner != "" })

	b := dashboardType
	addString(b, "title", "its title", func(b *dashboard) string { return cleanText(b.d.Title, 80) })
	addInt(b, "charts", "charts on it", func(b *dashboard) int { return b.d.Charts })
	addBool(b, "link_only", "only a link was declared; nobody could look", func(b *dashboard) bool { return b.d.LinkOnly })
}

func figureVals(fs []*figure) ref.Val {
	out := make([]ref.Val, len(fs))
	for i, f := range fs {
		out[i] = figureType.of(f)
	}
	return listVal(out)
}

// authoritative answers whether a missing figure of the metric proves that it is
// not measured.
func (m *metric) authoritative() ref.Val {
	kind := ""
	switch m.info.id {
	case measure.DemoFeedback:
		kind = "feedback.demo"
	case measure.SalesFeedback:
		kind = "feedback.sales"
	case measure.Satisfaction:
		kind = "feedback.satisfaction"
	case measure.TicketFeedback:
		kind = "feedback.ticket"
	case measure.Conversion:
		kind = kindDeal
	case measure.SLA:
		kind = kindTicket
	case measure.SupportTAT:
		kind = kindToSupport
	case measure.ReadyTAT:
		kind = "training.consultant"
	case measure.OverduePct:
		if u := m.w.readable("", streamTask); u != nil {
			return m.w.unknown(m.info.id, *u)
		}
		return types.True
	default:
		return types.True
	}
	if u := m.w.silence("", kind); u != nil {
		return m.w.unknown(m.info.id, *u)
	}
	if u := m.w.silence("", kindReport); u != nil {
		return m.w.unknown(m.info.id, *u)
	}
	return types.True
}
