package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// Input is everything that an assessment follows from.
type Input struct {
	Snapshot *evidence.Snapshot
	// Metrics are those of measure.All over the same snapshot.
	Metrics []measure.Value
	Kind    Kind   // Continuous when empty
	Target  Target // what an audit or escalation is about
	Samples []Sample
	// Cutoff freezes the evidence; zero: none.
	Cutoff    time.Time
	Settings  []Setting
	Overrides []Override // of all partners and kinds; those that fit are taken
	// Previous is the last assessment under the same key or of the same kind:
	// its verdicts bridge an outage and date a change. Nil when there is none.
	Previous *Assessment
	// Findings are the misses of the partner's earlier audits and escalations.
	Findings []Finding
	// CertifiedMembers is the count that the partner's master record holds; nil
	// where there is none.
	CertifiedMembers *int
	// Present says for each required role whether the PRM has it ticked as
	// attending; nil where nobody was asked yet.
	Present map[string]bool
	// StaleAfter is how old the last complete read of a stream may be; 24 h when
	// zero.
	StaleAfter time.Duration
	Signals    []Signal
}

// Finding is a criterion that an earlier audit or escalation found not met.
type Finding struct {
	Criterion string
	On        evidence.Date
}

const (
	// maxItems is how many items a verdict lists; the rest is counted.
	maxItems = 50
	// maxEvidence is how many records a verdict names as what it rests on.
	maxEvidence = 500
	// maxUnknowns is how many missing facts a verdict names.
	maxUnknowns = 20
	// repeatMonths is how long an earlier finding makes a miss a repeat [H].
	repeatMonths = 24
)

// ErrNoSnapshot says that there is nothing to judge.
var ErrNoSnapshot = errors.New("judge: no snapshot")

// Judge answers every enabled criterion of the pack for one partner. It depends
// on its arguments alone and not on the order of their slices: equal input gives
// equal bytes. An error means that the input is none: evidence that is missing,
// contradictory or odd shows in the verdicts instead.
func Judge(p *Pack, in Input) (Assessment, error) {
	switch {
	case p == nil:
		return Assessment{}, errors.New("judge: no pack")
	case in.Snapshot == nil:
		return Assessment{}, ErrNoSnapshot
	case in.Snapshot.AsOf.IsZero():
		return Assessment{}, errors.New("judge: the snapshot has no instant")
	}
	if in.Kind == "" {
		in.Kind = Continuous
	}
	if in.StaleAfter <= 0 {
		in.StaleAfter = 24 * time.Hour
	}
	in.Snapshot = withoutNaN(in.Snapshot)
	s := in.Snapshot
	digest, err := s.Digest()
	if err != nil {
		return Assessment{}, err
	}
	w := newWorld(&in)
	j := &judge{p: p, in: &in, w: w, partner: partnerType.of(w), settings: map[string]Setting{}, previous: map[string]*Verdict{}, findings: map[string]bool{}}
	for _, set := range in.Settings {
		j.settings[set.Criterion] = set
	}
	if in.Previous != nil {
		for i := range in.Previous.Verdicts {
			v := &in.Previous.Verdicts[i]
			j.previous[v.Criterion] = v
		}
	}
	for _, f := range in.Findings {
		if f.On.Before(w.today) && !f.On.Before(w.today.AddMonths(-repeatMonths)) {
			j.findings[f.Criterion] = true
		}
	}
	a := Assessment{
		Key: AssessmentKey(s.Partner, in.Kind, w.today, in.Target), Partner: s.Partner, Kind: in.Kind, AsOf: s.AsOf.UTC(), Target: in.Target, Cutoff: in.Cutoff,
		Metrics: in.Metrics, Samples: in.Samples, Signals: in.Signals, Gaps: s.Gaps, Coverage: s.Coverage, Pack: p.ID, Snapshot: digest,
	}
	answered := 0
	for _, c := range p.criteria {
		set, ok := j.settings[c.f.ID]
		if ok && !set.Enabled {
			continue
		}
		v := j.verdict(c, set)
		if v.Outcome != Insufficient && v.Outcome != Manual {
			answered++
		}
		a.Verdicts = append(a.Verdicts, v)
	}
	if n := len(a.Verdicts); n > 0 {
		a.Shown = float64(answered) / float64(n)
	}
	if ws := p.weights[string(in.Target.Stage)]; in.Kind == Escalation && len(ws) > 0 {
		slices.SortStableFunc(a.Verdicts, func(x, y Verdict) int {
			return cmp.Compare(ws[string(y.Department)], ws[string(x.Department)])
		})
	}
	if in.Kind != Escalation {
		a.LevelLow, a.LevelHigh = Levels(a.Verdicts)
		a.Missing = MissingFor(a.Verdicts, a.LevelLow)
	}
	return a, nil
}

// withoutNaN returns the snapshot with every rating or figure that is no number
// taken back to "none given"; the snapshot itself when there is no such thing.
func withoutNaN(s *evidence.Snapshot) *evidence.Snapshot {
	bad := func(f float64) bool { return math.IsNaN(f) || math.IsInf(f, 0) }
	out := *s
	clean := func(found bool, copyAll, fix func()) {
		if found {
			copyAll()
			fix()
		}
	}
	clean(slices.ContainsFunc(s.Tickets, func(t evidence.Ticket) bool { return bad(t.Stars) }), func() { out.Tickets = slices.Clone(s.Tickets) }, func() {
		for i := range out.Tickets {
			if t := &out.Tickets[i]; bad(t.Stars) {
				t.Stars, t.Rated = 0, false
			}
		}
	})
	clean(slices.ContainsFunc(s.Feedback, func(f evidence.Feedback) bool { return bad(f.Stars) }), func() { out.Feedback = slices.Clone(s.Feedback) }, func() {
		for i := range out.Feedback {
			if f := &out.Feedback[i]; bad(f.Stars) {
				f.Stars, f.Rated = 0, false
			}
		}
	})
	clean(slices.ContainsFunc(s.Reports, func(r evidence.MetricReport) bool { return bad(r.Value) || bad(r.Target) }), func() { out.Reports = slices.Clone(s.Reports) }, func() {
		for i := range out.Reports {
			r := &out.Reports[i]
			if bad(r.Value) {
				r.Value, r.HasValue = 0, false
			}
			if bad(r.Target) {
				r.Target, r.HasTarget = 0, false
			}
		}
	})
	clean(slices.ContainsFunc(s.Orders, func(o evidence.Order) bool { return bad(o.Total) }), func() { out.Orders = slices.Clone(s.Orders) }, func() {
		for i := range out.Orders {
			if bad(out.Orders[i].Total) {
				out.Orders[i].Total = 0
			}
		}
	})
	return &out
}

// AssessmentKey returns the stable key of an assessment: of a week for
// Continuous ones, of the record on the PRM for the others.
func AssessmentKey(partner string, k Kind, today evidence.Date, t Target) string {
	var key string
	switch k {
	case Audit:
		key = partner + "-audit-" + t.Record
	case Escalation:
		key = partner + "-esc-" + t.Record
	default:
		w := today.Week()
		return fmt.Sprintf("%s-cont-%04dw%02d", partner, w.Year, w.Number)
	}
	if t.Suffix > 0 {
		key += fmt.Sprintf("-%d", t.Suffix)
	}
	return key
}

type judge struct {
	p        *Pack
	in       *Input
	w        *world
	partner  ref.Val
	settings map[string]Setting
	previous map[string]*Verdict
	findings map[string]bool
}

// scope is what an expression may name while it is evaluated.
type scope struct {
	partner    ref.Val
	as         string
	item       ref.Val
	thresholds map[string]ref.Val
	counts     *tallies
}

type tallies struct{ ok, missed, unknown, manual, total int }

// ResolveName implements cel.Activation.
func (s *scope) ResolveName(name string) (any, bool) {
	if name == s.as && s.item != nil {
		return s.item, true
	}
	if name == "partner" {
		return s.partner, true
	}
	if v, ok := s.thresholds[name]; ok {
		return v, true
	}
	if s.counts != nil {
		switch name {
		case "ok":
			return types.Int(s.counts.ok), true
		case "missed":
			return types.Int(s.counts.missed), true
		case "unknown":
			return types.Int(s.counts.unknown), true
		case "manual":
			return types.Int(s.counts.manual), true
		case "total":
			return types.Int(s.counts.total), true
		}
	}
	return nil, false
}

// Parent implements cel.Activation.
func (s *scope) Parent() cel.Activation { return nil }

// answer is a yes/no in three values.
type answer struct {
	yes  bool
	open []Unknown // not empty: unknown
}

// ask evaluates a yes/no expression. A failure is an unknown too, and names
// itself: nothing may pass or fail by accident.
func (j *judge) ask(e *expr, s *scope, where string) answer {
	v, _, err := e.prg.Eval(s)
	switch {
	case err != nil:
		return answer{open: []Unknown{{Attribute: where, Reason: cleanText(err.Error(), 200), Remedy: "let the pack's author look"}}}
	case types.IsUnknown(v):
		us := j.w.known(v.(*types.Unknown))
		if len(us) == 0 {
			us = []Unknown{{Attribute: where, Reason: "a fact is missing"}}
		}
		return answer{open: us}
	}
	return answer{yes: v == types.True}
}

func (j *judge) text(e *expr, s *scope) string {
	v, _, err := e.prg.Eval(s)
	if err != nil {
		return ""
	}
	t, ok := v.(types.String)
	if !ok {
		return ""
	}
	return cleanText(string(t), 300)
}

func (t *template) render(j *judge, s *scope, units map[string]thresholdFile) string {
	if t == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.expr != nil:
			v := j.text(p.expr, s)
			if v == "" {
				v = "not known"
			}
			b.WriteString(v)
		case p.name != "":
			v, _ := s.ResolveName(p.name)
			switch n := v.(type) {
			case types.Int:
				fmt.Fprint(&b, int64(n))
			case types.Double:
				b.WriteString(formatNumber(float64(n)))
				if u := units[p.name].Unit; u == "%" {
					b.WriteString(" %")
				}
			}
		default:
			b.WriteString(p.text)
		}
	}
	return trimText(b.String())
}

// need is what the criterion's streams allow to be said.
type need struct {
	all    []Unknown            // nothing was readable anywhere: no verdict at all
	bySite map[string][]Unknown // what could not be read where
}

func (n *need) any() []Unknown {
	var out []Unknown
	for _, s := range sortedKeys(n.bySite) {
		out = append(out, n.bySite[s]...)
	}
	return out
}

// needs finds what of the evidence that the criterion needs could not be read.
// A place that no site has left to read makes the whole criterion unknown; one
// dead site among several makes unknown only what it held (edge case 21).
func (j *judge) needs(c *criterion) *need {
	out := &need{bySite: map[string][]Unknown{}}
	for _, n := range c.f.Needs {
		var whole *Unknown
		kind := n[0] < 'A' || n[0] > 'Z'
		ask := func(site string) *Unknown {
			if kind {
				return j.w.readableKind(site, n)
			}
			return j.w.readable(site, n)
		}
		if u := ask(""); u != nil {
			readable := 0
			for _, site := range j.w.s.Sites {
				su := ask(site.Key)
				if su == nil {
					readable++
					continue
				}
				if su.Kind == evidence.Absent || su.Kind == "" && su.Reason == "it was never read" {
					continue // this site does not hold it at all
				}
				v := *su
				v.Attribute = n
				out.bySite[site.Key] = append(out.bySite[site.Key], v)
			}
			if readable == 0 {
				whole = u
			}
		}
		if whole != nil {
			v := *whole
			v.Attribute = n
			out.all = append(out.all, v)
		}
	}
	return out
}

// outcomeOf is one judged entry.
type outcomeOf struct {
	Item
	order   int
	open    []Unknown
	observe bool
	note    string
}

func (j *judge) verdict(c *criterion, set Setting) Verdict {
	v := Verdict{
		Criterion: c.f.ID, Title: trimText(c.f.Title), Department: c.department, Level: c.f.Level, Severity: c.severity, Remedy: trimText(c.f.Remedy),
	}
	if set.Severity == SeverityNC || set.Severity == SeverityObservation {
		v.Severity = set.Severity
	}
	th := make(map[string]ref.Val, len(c.used))
	for name := range c.used {
		t := c.thresholds[name]
		val := *t.Value
		if o, ok := set.Thresholds[name]; ok && !math.IsNaN(o) && !math.IsInf(o, 0) {
			val = o
		}
		th[name] = types.Double(val)
	}
	s := &scope{partner: j.partner, thresholds: th, counts: &tallies{}}
	v.Expected = c.expected.render(j, s, c.thresholds)
	j.decide(c, &v, s)
	j.finish(c, &v)
	return v
}

// decide fills in what the machine finds.
func (j *judge) decide(c *criterion, v *Verdict, s *scope) {
	if c.applies != nil {
		a := j.ask(c.applies, s, c.f.ID+".applies")
		if len(a.open) > 0 {
			j.insufficient(v, a.open)
			return
		}
		if !a.yes {
			v.Outcome = NotApplicable
			v.Explanation = sentence(cmp.Or(trimText(c.f.NotApplicable), "The question does not arise"))
			return
		}
	}
	n := j.needs(c)
	if len(n.all) > 0 {
		j.insufficient(v, n.all)
		return
	}
	pop := &population{items: []subject{{val: j.partner}}}
	if c.pop != "" {
		pop = j.w.population(c.pop)
	}
	if len(pop.blocks) > 0 {
		j.insufficient(v, pop.blocks)
		return
	}
	s.as = c.as
	var out []outcomeOf
	for i := range pop.items {
		for k := range c.checks {
			if o, counts := j.entry(c, &c.checks[k], &pop.items[i], s, n); counts {
				o.order = len(out)
				out = append(out, o)
			}
		}
	}
	s.item = nil
	j.conclude(c, v, s, pop, n, out)
}

// entry judges one check on one element. counts is false where the check does
// not arise.
func (j *judge) entry(c *criterion, k *check, el *subject, s *scope, n *need) (outcomeOf, bool) {
	o := outcomeOf{Item: Item{Ref: el.ref, Label: el.label}}
	if k.name != "" {
		if o.Label != "" {
			o.Label += ": "
		}
		o.Label += k.name
	}
	s.item = el.val
	if u, ok := el.val.(*types.Unknown); ok {
		o.open = j.w.known(u)
		return o, true
	}
	for _, only := range []*expr{c.only, k.only} {
		if only == nil {
			continue
		}
		a := j.ask(only, s, c.f.ID+".only")
		if len(a.open) > 0 {
			o.open = a.open
			return o, true
		}
		if !a.yes {
			return o, false
		}
	}
	if k.about != nil {
		if v, _, err := k.about.prg.Eval(s); err == nil {
			if r, ok := refOf(v); ok {
				o.Ref = r
			}
		}
	}
	if k.manual != nil {
		a := j.ask(k.manual, s, c.f.ID+".manual")
		switch {
		case len(a.open) > 0:
			o.open = a.open
		case a.yes:
			o.Manual = true
		}
	}
	if !o.Manual && len(o.open) == 0 {
		a := j.ask(k.pass, s, c.f.ID+".pass")
		o.OK, o.open = a.yes, a.open
	}
	// What the needed streams could not show: an element of a site that could
	// not be read is unknown; for the company's own, a miss is.
	if us := n.bySite[el.site]; el.site != "" && len(us) > 0 {
		o.OK, o.Manual, o.open = false, false, us
	} else if el.site == "" && !o.OK && !o.Manual && len(o.open) == 0 {
		o.open = n.any()
	}
	if k.shows != nil {
		o.note = j.text(k.shows, s)
	}
	if o.OK && k.observe != nil {
		a := j.ask(k.observe, s, c.f.ID+".observe")
		o.observe = a.yes && len(a.open) == 0
	}
	return o, true
}

// refOf returns the record behind a fact object.
func refOf(v ref.Val) (evidence.Ref, bool) {
	o, ok := v.(*object)
	if !ok {
		return evidence.Ref{}, false
	}
	switch x := o.v.(type) {
	case *project:
		return x.p.Ref, true
	case *signOff:
		if x.best != nil {
			return x.best.Ref, true
		}
		if t := x.task(); t != nil {
			return t.Ref, true
		}
	case *meeting:
		return x.m.Ref, true
	case *ticket:
		return x.t.Ref, true
	case *deal:
		return x.ref(), true
	case *person:
		return x.p.Ref, true
	case *action:
		return x.a.Ref, true
	case *procedure:
		return x.p.Ref, true
	case *dashboard:
		return x.d.Ref, true
	}
	return evidence.Ref{}, false
}

func (j *judge) insufficient(v *Verdict, us []Unknown) {
	v.Outcome = Insufficient
	j.addUnknowns(v, us)
	if v.Measured == "" {
		v.Measured = "not known"
	}
	v.Explanation = "This could not be decided: " + unknownText(v.Unknowns) + "."
	if len(v.Unknowns) > 0 && v.Unknowns[0].Remedy != "" {
		v.Remedy = v.Unknowns[0].Remedy
	}
}

func (j *judge) addUnknowns(v *Verdict, us []Unknown) {
	v.Unknowns = append(v.Unknowns, us...)
	sortUnknowns(v.Unknowns)
	v.Unknowns = slices.Compact(v.Unknowns)
	if len(v.Unknowns) > maxUnknowns {
		v.Unknowns = v.Unknowns[:maxUnknowns]
	}
}

func unknownText(us []Unknown) string {
	if len(us) == 0 {
		return "a fact is missing"
	}
	u := us[0]
	text := u.Attribute
	if u.Site != "" {
		text += " on " + u.Site
	}
	if text != "" {
		text += ": "
	}
	text += strings.TrimRight(u.Reason, ". ")
	if len(us) > 1 {
		text += fmt.Sprintf("; and %d more", len(us)-1)
	}
	return text
}

// sentence makes a text begin with a capital and end with a stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r := []rune(s)
	r[0] = []rune(strings.ToUpper(string(r[:1])))[0]
	s = string(r)
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// conclude turns the entries into one outcome.
func (j *judge) conclude(c *criterion, v *Verdict, s *scope, pop *population, n *need, out []outcomeOf) {
	var open []Unknown
	observed := 0
	k := s.counts
	for i := range out {
		o := &out[i]
		switch {
		case len(o.open) > 0:
			o.Unknown = true
			k.unknown++
			open = append(open, o.open...)
		case o.Manual:
			k.manual++
		case o.OK:
			k.ok++
			if o.observe {
				observed++
			}
		default:
			k.missed++
		}
	}
	k.total = k.ok + k.missed + k.unknown
	open = append(open, pop.open...)
	// A dead site among several may hold more entries than were seen.
	if c.pop != "" {
		open = append(open, n.any()...)
	}
	hidden := len(pop.open) > 0 || c.pop != "" && len(n.bySite) > 0

	v.Measured = c.measured.render(j, s, c.thresholds)
	j.list(c, v, out)
	if v.Measured == "" && len(out) == 1 && out[0].note != "" {
		v.Measured = out[0].note
	}
	switch {
	case k.total == 0 && k.manual == 0:
		v.Measured = ""
	case c.pop == "" && k.unknown > 0:
		v.Measured = "not known"
	}
	if v.Measured == "" && k.total > 0 {
		v.Measured = fmt.Sprintf("%d of %d", k.ok, k.total)
	}

	limit := func(l *limit, none float64) float64 {
		if l == nil {
			return none
		}
		if t, ok := s.thresholds[l.name]; ok && l.name != "" {
			return float64(t.(types.Double))
		}
		return l.value
	}
	const rounding = 1e-9
	minimum := limit(c.minimum, 0)
	switch {
	case k.total == 0 && k.manual > 0 && !hidden:
		v.Outcome = Manual
	case k.total == 0 && hidden:
		v.Outcome = Insufficient
	case k.total == 0:
		switch c.f.Accept.Empty {
		case "insufficient":
			v.Outcome = Insufficient
			open = append(open, Unknown{Attribute: cmp.Or(c.pop, c.f.ID), Reason: "there is nothing to look at", Remedy: trimText(c.f.Remedy)})
		case "manual":
			v.Outcome = Manual
		case "not_met":
			v.Outcome = NotMet
		default:
			v.Outcome = NotApplicable
		}
	case float64(len(pop.items)) < minimum:
		v.Outcome = Insufficient
		open = append(open, Unknown{Attribute: cmp.Or(c.pop, c.f.ID), Reason: fmt.Sprintf("%d looked at, at least %s are needed", len(pop.items), formatNumber(minimum)), Remedy: "let a person judge what there is"})
	case c.f.Accept.Any:
		switch {
		case k.ok > 0:
			v.Outcome = Met
		case k.unknown > 0 || hidden:
			v.Outcome = Insufficient
		default:
			v.Outcome = NotMet
		}
	case c.share != nil:
		need := limit(c.share, 100) / 100 * float64(k.total)
		switch {
		case float64(k.ok+k.unknown)+rounding < need && !hidden:
			v.Outcome = NotMet
		case float64(k.ok)+rounding >= need && !hidden:
			v.Outcome = Met
		default:
			v.Outcome = Insufficient
		}
	default:
		bears := limit(c.missed, 0)
		switch {
		case float64(k.missed) > bears:
			v.Outcome = NotMet
		case float64(k.missed+k.unknown) > bears || hidden:
			v.Outcome = Insufficient
		default:
			v.Outcome = Met
		}
	}
	if v.Outcome == Insufficient {
		j.insufficient(v, open)
	} else {
		// An unknown that did not decide is shown all the same.
		j.addUnknowns(v, open)
		v.Explanation = j.explain(c, v, k)
	}
	if v.Outcome == Met && (observed > 0 || k.missed > 0) {
		v.Observation = j.observation(c, v, out, observed)
	}
}

func (j *judge) observation(c *criterion, v *Verdict, out []outcomeOf, observed int) string {
	var names []string
	for i := range out {
		if o := &out[i]; (o.observe || !o.OK && !o.Unknown && !o.Manual) && o.Label != "" {
			names = append(names, o.Label)
		}
	}
	text := trimText(c.f.Observation)
	if text == "" {
		text = "Not everything was as expected"
	}
	return sentence(strings.TrimSuffix(text, ".") + listed(": ", names, 3))
}

// listed joins at most n names and counts the rest.
func listed(lead string, names []string, n int) string {
	if len(names) == 0 {
		return ""
	}
	text := lead + strings.Join(names[:min(n, len(names))], "; ")
	if more := len(names) - n; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// explain says in one or two sentences what was found.
func (j *judge) explain(c *criterion, v *Verdict, k *tallies) string {
	switch v.Outcome {
	case Met:
		return sentence(v.Measured)
	case NotMet:
		var names []string
		for _, it := range v.Items {
			if it.OK || it.Unknown || it.Manual {
				continue
			}
			name := it.Label
			if it.Note != "" && it.Note != v.Measured {
				name = strings.TrimPrefix(name+": "+it.Note, ": ")
			}
			if name != "" {
				names = append(names, name)
			}
		}
		text := sentence(v.Measured) + " Expected: " + strings.TrimRight(v.Expected, ".") + "."
		if len(names) > 0 {
			shown := names[:min(3, len(names))]
			text += " Not as expected: " + strings.Join(shown, "; ")
			if more := k.missed - len(shown); more > 0 {
				text += fmt.Sprintf("; and %d more", more)
			}
			text += "."
		}
		return strings.TrimSpace(text)
	case Manual:
		return sentence("A person has to judge this: " + cmp.Or(trimText(c.f.Judge), "the evidence does not decide"))
	case NotApplicable:
		return sentence(cmp.Or(trimText(c.f.NotApplicable), "The question does not arise"))
	case Insufficient:
	}
	return ""
}

// list fills the verdict's items: failing first, then unknown, then those for a
// person, then good; capped.
func (j *judge) list(c *criterion, v *Verdict, out []outcomeOf) {
	rank := func(o *outcomeOf) int {
		switch {
		case o.Unknown:
			return 1
		case o.Manual:
			return 2
		case o.OK && o.observe:
			return 3
		case o.OK:
			return 4
		}
		return 0
	}
	sorted := make([]*outcomeOf, len(out))
	for i := range out {
		sorted[i] = &out[i]
	}
	slices.SortStableFunc(sorted, func(a, b *outcomeOf) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.order, b.order)) })
	for _, o := range sorted {
		o.Note = o.note
		if o.Unknown {
			o.Note = unknownText(o.open)
		}
		if o.Ref.Name != "" && len(v.Evidence) < maxEvidence && (o.OK || !o.Unknown) {
			v.Evidence = append(v.Evidence, o.Ref)
		}
		if o.Label == "" && o.Ref.Name == "" {
			continue // the company as a whole: measured says it
		}
		if len(v.Items) == maxItems {
			v.MoreItems++
			continue
		}
		if o.Ref.Name != "" {
			o.URL = j.w.s.Link(o.Ref)
		}
		v.Items = append(v.Items, o.Item)
	}
	if c.pop == "figures" || c.pop == "metrics" || c.pop == "periods" {
		j.metricEvidence(c, v)
	}
	slices.SortFunc(v.Evidence, evidence.Ref.Compare)
	v.Evidence = slices.CompactFunc(v.Evidence, func(a, b evidence.Ref) bool { return a.Key() == b.Key() })
}

// metricEvidence adds the records behind the figures that a criterion rests on.
func (j *judge) metricEvidence(c *criterion, v *Verdict) {
	for _, el := range j.w.population(c.pop).items {
		var fs []*figure
		switch x := el.val.(*object).v.(type) {
		case *figure:
			fs = []*figure{x}
		case *metric:
			if len(x.figures) > 0 {
				fs = x.figures[len(x.figures)-1:]
			}
		case *period:
			fs = x.figures
		}
		for _, f := range fs {
			if f.info.dept != v.Department || c.pop == "metrics" && f.info.id != c.f.ID {
				continue
			}
			for _, r := range f.docs() {
				if len(v.Evidence) < maxEvidence {
					v.Evidence = append(v.Evidence, r)
				}
			}
		}
	}
}

// finish adds what time and people know about the verdict.
func (j *judge) finish(c *criterion, v *Verdict) {
	prev := j.previous[v.Criterion]
	if prev != nil && v.Outcome == Insufficient && prev.Outcome != Insufficient && j.outage(v) {
		kept := *prev
		kept.Title, kept.Severity, kept.Override, kept.Repeat = v.Title, v.Severity, nil, false
		kept.Unknowns = v.Unknowns
		if kept.Carried.IsZero() {
			kept.Carried = j.in.Previous.AsOf
		}
		kept.Flag = fmt.Sprintf("The site could not be read; this is the verdict of %s.", kept.Carried.UTC().Format("2006-01-02 15:04 UTC"))
		*v = kept
	}
	v.Repeat = v.Outcome == NotMet && j.findings[v.Criterion]
	j.override(v)
	if prev != nil {
		v.Since = prev.Since
		if prev.Effective() != v.Effective() {
			v.Since = j.in.Snapshot.AsOf.UTC()
		}
	}
	if v.Explanation == "" {
		v.Explanation = sentence(v.Measured)
	}
}

// outage reports whether the verdict is unknown only because a site does not
// answer, and its last complete read is young enough for the earlier verdict to
// stand.
func (j *judge) outage(v *Verdict) bool {
	seen := false
	for _, u := range v.Unknowns {
		if u.Kind != evidence.Unreachable {
			continue
		}
		var last time.Time
		for _, cov := range j.w.s.Coverage {
			if u.Site != "" && cov.Site != u.Site || cov.Stream != u.Stream && !strings.HasPrefix(u.Stream, "kind:") && u.Stream != "" {
				continue
			}
			for _, t := range []time.Time{cov.LastSuccess, cov.LastComplete} {
				if t.After(last) {
					last = t
				}
			}
		}
		if last.IsZero() || j.w.s.AsOf.Sub(last) > j.in.StaleAfter {
			return false
		}
		seen = true
	}
	return seen
}

// override puts a person's valid word beside the machine's outcome.
func (j *judge) override(v *Verdict) {
	var best *Override
	for i := range j.in.Overrides {
		o := &j.in.Overrides[i]
		if o.Criterion != v.Criterion || o.Partner != j.in.Snapshot.Partner || o.Kind != "" && o.Kind != j.in.Kind || !o.ValidUntil.IsZero() && o.ValidUntil.Before(j.w.today) {
			continue
		}
		if o.Kind == "" && j.in.Kind == Escalation || o.On.After(j.in.Snapshot.AsOf) {
			continue
		}
		if best == nil || cmp.Or(o.On.Compare(best.On), cmp.Compare(o.ID, best.ID)) > 0 {
			best = o
		}
	}
	if best == nil {
		return
	}
	o := *best
	if o.EvidenceHash != "" && o.EvidenceHash != EvidenceHash(*v) {
		o.Review = true
		v.Flag = strings.TrimSpace(v.Flag + " The evidence has changed since a person judged this; please look again.")
	}
	v.Override = &o
}

// EvidenceHash returns the SHA-256, in lower-case hex, of what a verdict rests
// on: the records with their content and the machine's outcome. A person's
// override keeps it, to notice when the ground shifts.
func EvidenceHash(v Verdict) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", v.Criterion, v.Outcome)
	for _, r := range v.Evidence {
		fmt.Fprintf(h, "%q %q %q %s\n", r.Site, r.Doctype, r.Name, r.Hash)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Levels returns the range of maturity levels that the verdicts allow: low is
// the highest that certainly holds, high the highest that does not certainly
// fail. Level 1 is the floor; only NC criteria decide, and a criterion that only
// a person can judge is open until one has (S24, S27, S43, S62).
func Levels(vs []Verdict) (low, high int) {
	low, high = 1, 5
	for level := 5; level >= 2; level-- {
		for _, v := range vs {
			if v.Level > level || v.Level < 2 || v.Severity != SeverityNC {
				continue
			}
			if v.Effective() == NotMet {
				high = level - 1
			}
		}
	}
	for level := 2; level <= high; level++ {
		for _, v := range vs {
			if v.Level == level && v.Severity == SeverityNC && v.Effective() != Met && v.Effective() != NotApplicable {
				return low, high
			}
		}
		low = level
	}
	return low, high
}

// MissingFor lists, for every level above low, the NC criteria that keep it from
// holding: those of the next level first, failing before open.
func MissingFor(vs []Verdict, low int) []Missing {
	var out []Missing
	for _, v := range vs {
		e := v.Effective()
		if v.Level <= low || v.Level < 2 || v.Severity != SeverityNC || e == Met || e == NotApplicable {
			continue
		}
		remedy := v.Remedy
		if e == Manual {
			remedy = strings.TrimPrefix(v.Explanation, "A person has to judge this: ")
		}
		out = append(out, Missing{Level: v.Level, Department: v.Department, Criterion: v.Criterion, Outcome: e, Remedy: remedy})
	}
	rank := map[Outcome]int{NotMet: 0, Insufficient: 1, Manual: 2}
	slices.SortStableFunc(out, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(deptRank(a.Department), deptRank(b.Department)), cmp.Compare(rank[a.Outcome], rank[b.Outcome]), cmp.Compare(a.Criterion, b.Criterion))
	})
	return out
}
