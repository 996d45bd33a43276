package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// The rules of signals: each names two facts that do not go together. They are
// parts of keys on the PRM and never renamed.
const (
	SignalBackdated        = "backdated"             // entered after the escalation or announcement, dated before
	SignalAfterCutoff      = "after_cutoff"          // produced after the evidence was frozen
	SignalReportsAtOnce    = "reports_at_once"       // figures of several periods typed in one go
	SignalDueMovedLate     = "due_moved_after_lapse" // an end date moved when it had passed
	SignalDueMovedUnsigned = "due_moved_unsigned"    // an end date moved ahead, unsigned, which lowered the overdue share
	SignalMassCompletion   = "mass_completion"       // many tasks completed just before an audit
	SignalFeedbackEdited   = "feedback_edited"       // a customer's rating changed after it was given
	SignalSLAReset         = "sla_reset"             // a ticket's clock was started anew
	SignalDeleted          = "deleted"               // a record that was evidence is gone
	SignalSeriesGap        = "series_gap"            // a number of a series is missing without a trace
	SignalTrackingOff      = "tracking_off"          // changes stopped being recorded
	SignalSignOffReplaced  = "signoff_replaced"      // a sign-off's proof is not what it was
	SignalContentChanged   = "content_changed"       // a file's content is not what it was
)

// House defaults of the signals.
const (
	signalBurst      = 15 * time.Minute // reports typed within it are typed at once
	signalCorrection = time.Hour        // who deletes within it corrects a slip
	signalPlanning   = 7                // days after a task's creation in which dates are still being set
	signalSigned     = 30               // days between a move and the schedule sign-off that covers it
	signalMass       = 10               // completions in 48 hours that are many, if three times the usual
	signalSeries     = 5                // records that make a series
	signalCap        = 100              // signals of one rule that are listed
	signalRefs       = 50               // records that one signal lists
)

// Occasion is what a partner may have acted upon: an escalation or an audit.
// The zero Occasion is none; the signals that need one are then not looked for.
type Occasion struct {
	Escalated time.Time // the escalation was received
	Site      string    // of the escalated project
	Project   string    // its key; only it and the company's own reports are looked at (S75)
	Announced time.Time // the partner learnt of the audit
	Audit     evidence.Date
	Cutoff    time.Time // the evidence was frozen
}

// Signals returns the contradictions in the snapshot that a person should look
// at (S69, S70): each with its two facts in neutral words and the records that
// show them. None of them changes an outcome. A miss that the partner itself
// wrote down is no contradiction and has no signal (S73). They are sorted, and
// at most 100 of a rule are listed; the last then says how many more there are.
func Signals(s *evidence.Snapshot, o Occasion) []Signal {
	if s == nil {
		return nil
	}
	d := newDetector(s, o)
	d.afterwards()
	d.reportsAtOnce()
	d.movedDates()
	d.massCompletion()
	d.editedFeedback()
	d.slaResets()
	d.deletions()
	d.seriesGaps()
	d.trackingOff()
	d.replacedProofs()
	slices.SortFunc(d.out, func(a, b Signal) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Project, b.Project), a.Subject.Compare(b.Subject),
			a.At.Compare(b.At), slices.Compare(a.Says[:], b.Says[:]))
	})
	return capped(slices.CompactFunc(d.out, func(a, b Signal) bool {
		return a.Rule == b.Rule && a.Subject.Key() == b.Subject.Key() && a.Says == b.Says
	}))
}

func capped(in []Signal) []Signal {
	out := in[:0:0]
	for i := 0; i < len(in); {
		j := i
		for j < len(in) && in[j].Rule == in[i].Rule {
			j++
		}
		out = append(out, in[i:min(j, i+signalCap)]...)
		if more := j - i - signalCap; more > 0 {
			out[len(out)-1].Says[1] += fmt.Sprintf(" (And %d more of this kind.)", more)
		}
		i = j
	}
	return out
}

type detector struct {
	s       *evidence.Snapshot
	o       Occasion
	loc     *time.Location
	tasks   map[evidence.Key]*evidence.Task
	tickets map[evidence.Key]*evidence.Ticket
	// customer projects, and the days of their schedule sign-offs.
	customer map[place]bool
	schedule map[place][]evidence.Date
	changes  []evidence.Change // sorted, each move once
	out      []Signal
}

type place struct{ site, name string }

func newDetector(s *evidence.Snapshot, o Occasion) *detector {
	d := &detector{
		s: s, o: o, loc: s.Location(), tasks: make(map[evidence.Key]*evidence.Task, len(s.Tasks)),
		tickets: make(map[evidence.Key]*evidence.Ticket, len(s.Tickets)), customer: make(map[place]bool), schedule: make(map[place][]evidence.Date),
	}
	for i := range s.Tasks {
		d.tasks[s.Tasks[i].Key()] = &s.Tasks[i]
	}
	for i := range s.Tickets {
		d.tickets[s.Tickets[i].Key()] = &s.Tickets[i]
	}
	for _, p := range s.Projects {
		d.customer[place{p.Site, p.Name}] = p.Customer != ""
	}
	for _, so := range s.SignOffs {
		if so.Kind == evidence.SignOffSchedule && so.Done && !so.On.IsZero() {
			k := place{so.Site, so.Project}
			d.schedule[k] = append(d.schedule[k], so.On)
		}
	}
	d.changes = slices.Clone(s.Changes)
	slices.SortFunc(d.changes, func(a, b evidence.Change) int {
		own := func(c evidence.Change) int {
			if c.Own {
				return 1
			}
			return 0
		}
		return cmp.Or(a.Ref.Compare(b.Ref), cmp.Compare(a.Field, b.Field), cmp.Compare(own(a), own(b)), a.At.Compare(b.At),
			cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return d
}

// signal adds one contradiction.
func (d *detector) signal(rule string, subject evidence.Ref, project string, at time.Time, first, second string, refs ...evidence.Ref) {
	refs = append([]evidence.Ref{subject}, refs...)
	slices.SortFunc(refs, evidence.Ref.Compare)
	refs = slices.CompactFunc(refs, func(a, b evidence.Ref) bool { return a.Key() == b.Key() })
	if len(refs) > signalRefs {
		second += fmt.Sprintf(" (%d more records.)", len(refs)-signalRefs)
		refs = refs[:signalRefs:signalRefs]
	}
	d.out = append(d.out, Signal{Rule: rule, Subject: subject, Project: project, Says: [2]string{first, second}, Refs: refs, At: at})
}

func (d *detector) when(t time.Time) string { return t.In(d.loc).Format("2006-01-02 15:04") }

// called names a record in a sentence.
func called(r evidence.Ref) string { return r.Doctype + " " + short(r.Name, 80) }

func short(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// admits reports whether a text says by itself that the record came late or
// that something was missed.
func admits(texts ...string) bool {
	for _, t := range texts {
		t = strings.ToLower(t)
		for _, w := range []string{"entered late", "late entry", "belated", "afterwards", "retrospectiv", "missed", "forgot", "not reported in time", "nachgetragen", "verspätet", "vergessen", "versäumt"} {
			if strings.Contains(t, w) {
				return true
			}
		}
	}
	return false
}

// admitted reports whether an action about the metric, with words in it, was
// recorded between the two days: the partner has owned up to the miss.
func (d *detector) admitted(metric string, from, to evidence.Date) bool {
	return metric != "" && slices.ContainsFunc(d.s.Actions, func(a evidence.Action) bool {
		return a.Metric == metric && (a.Cause != "" || a.Resolution != "") && !a.On.IsZero() && !a.On.Before(from) && !a.On.After(to)
	})
}

// dated is a record that says when something happened.
type dated struct {
	ref     evidence.Ref
	on      evidence.Date
	project string
	company bool // about the company, so in scope of every escalation
	text    string
	metric  string
}

func (d *detector) datedRecords() (out []dated) {
	s := d.s
	for _, m := range s.Meetings {
		if m.Held {
			out = append(out, dated{ref: m.Ref, on: m.On, project: m.Project, company: m.Kind == evidence.MeetingAllHands, text: m.Title})
		}
	}
	for _, so := range s.SignOffs {
		if so.Done {
			out = append(out, dated{ref: so.Ref, on: so.On, project: so.Project})
		}
	}
	for _, a := range s.Actions {
		out = append(out, dated{ref: a.Ref, on: a.On, company: true, text: a.Cause + "\n" + a.Resolution})
	}
	for _, r := range s.Reviews {
		if r.Filled {
			out = append(out, dated{ref: r.Ref, on: r.On, company: true})
		}
	}
	for _, r := range s.Reports {
		// A report is made for its period: typed after the escalation, it cannot
		// have been there when the period's was due.
		out = append(out, dated{ref: r.Ref, on: r.Period.Last(), project: r.Project, company: r.Project == "", text: r.Remark, metric: r.Metric})
	}
	for _, t := range s.Trainings {
		if t.Held {
			out = append(out, dated{ref: t.Ref, on: t.On, company: true, text: t.Title})
		}
	}
	for _, f := range s.Feedback {
		out = append(out, dated{ref: f.Ref, on: f.On, project: f.Project})
	}
	for _, m := range s.Messages {
		out = append(out, dated{ref: m.Ref, on: evidence.DateIn(m.At, d.loc), project: m.Project, text: m.Subject})
	}
	for _, c := range s.Contracts {
		out = append(out, dated{ref: c.Ref, on: c.SignedOn, project: projectOf(c.About)})
	}
	for _, i := range s.Invoices {
		project := d.o.Project
		if !slices.Contains(i.Projects, project) {
			project = strings.Join(i.Projects[:min(1, len(i.Projects))], "")
		}
		out = append(out, dated{ref: i.Ref, on: i.On, project: project})
	}
	return out
}

func projectOf(r evidence.Ref) string {
	if r.Doctype == "Project" {
		return r.Name
	}
	return ""
}

// inScope reports whether a record is of the escalated project, or about the
// company; without an escalated project everything is in scope.
func (d *detector) inScope(site, project string, company bool) bool {
	if d.o.Project == "" {
		return true
	}
	return company || project == d.o.Project && (d.o.Site == "" || site == d.o.Site)
}

// afterwards finds records entered after an occasion and dated before it, and
// what was produced after the cutoff.
func (d *detector) afterwards() {
	type moment struct {
		at   time.Time
		rule string
		says string // "before …"
	}
	var moments []moment
	add := func(at time.Time, rule, says string) {
		if !at.IsZero() {
			moments = append(moments, moment{at, rule, says + d.when(at)})
		}
	}
	add(d.o.Escalated, SignalBackdated, "before the escalation was received on ")
	add(d.o.Announced, SignalBackdated, "before the audit was announced on ")
	add(d.o.Cutoff, SignalAfterCutoff, "before the evidence was frozen on ")
	if len(moments) == 0 {
		return
	}
	records := d.datedRecords()
	for _, mo := range moments {
		day := evidence.DateIn(mo.at, d.loc)
		for _, r := range records {
			if r.on.IsZero() || !r.on.Before(day) || !r.ref.Created.After(mo.at) || !d.inScope(r.ref.Site, r.project, r.company) {
				continue
			}
			made := evidence.DateIn(r.ref.Created, d.loc)
			if r.metric != "" && made.DaysSince(r.on) <= 3 {
				continue // a report within its grace
			}
			if admits(r.text) || d.admitted(r.metric, r.on, made) {
				continue
			}
			first := fmt.Sprintf("%s is dated %s, %s.", called(r.ref), r.on, mo.says)
			if r.metric != "" {
				first = fmt.Sprintf("%s is the figure of a period that ended on %s, %s.", called(r.ref), r.on, mo.says)
			}
			d.signal(mo.rule, r.ref, r.project, r.ref.Created, first, fmt.Sprintf("It was created on %s.", d.when(r.ref.Created)))
		}
		for _, c := range d.changes {
			t := d.tasks[c.Key()]
			if t == nil || c.Field != "completed_on" || !c.At.After(mo.at) || !d.inScope(t.Site, t.Project, false) {
				continue
			}
			if on, err := evidence.ParseDate(c.To); err == nil && !on.IsZero() && on.Before(day) {
				d.signal(mo.rule, t.Ref, t.Project, c.At, fmt.Sprintf("%s says that it was completed on %s, %s.", called(t.Ref), on, mo.says),
					fmt.Sprintf("That day was entered on %s.", d.when(c.At)))
			}
		}
		d.lateProofs(mo.at, mo.rule, day, mo.says)
	}
}

// lateProofs finds what stands behind a sign-off of before but came after, and,
// for a cutoff, every mapped document that came after it.
func (d *detector) lateProofs(at time.Time, rule string, day evidence.Date, says string) {
	proof := make(map[evidence.Key]bool)
	for _, so := range d.s.SignOffs {
		if !so.Done || so.On.IsZero() || !so.On.Before(day) || !d.inScope(so.Site, so.Project, false) {
			continue
		}
		for _, p := range so.Proof {
			if p.Created.After(at) {
				proof[p.Key()] = true
				d.signal(rule, p, so.Project, p.Created, fmt.Sprintf("The %s sign-off in %s is dated %s, %s.", so.Kind, called(so.Ref), so.On, says),
					fmt.Sprintf("Its proof, %s, was created on %s.", called(p), d.when(p.Created)), so.Ref)
			}
		}
	}
	if rule != SignalAfterCutoff {
		return
	}
	for _, a := range d.s.Attachments {
		project := projectOf(a.On)
		if t := d.tasks[a.On.Key()]; t != nil {
			project = t.Project
		}
		if len(a.Kinds) > 0 && a.Uploaded.After(at) && !proof[a.Key()] && d.inScope(a.Site, project, false) {
			d.signal(rule, a.Ref, project, a.Uploaded, fmt.Sprintf("The evidence was frozen on %s.", d.when(at)),
				fmt.Sprintf("%s was uploaded on %s.", called(a.Ref), d.when(a.Uploaded)))
		}
	}
}

// reportsAtOnce finds figures of one metric for several periods that were typed
// within minutes: at most one of them can have been made for its own week.
func (d *detector) reportsAtOnce() {
	type lane struct {
		site, metric, project string
		weekly                bool
	}
	lanes := make(map[lane][]evidence.MetricReport)
	for _, r := range d.s.Reports {
		if !r.Created.IsZero() {
			l := lane{r.Site, r.Metric, r.Project, !r.Period.Week.IsZero()}
			lanes[l] = append(lanes[l], r)
		}
	}
	for l, rs := range lanes {
		slices.SortFunc(rs, func(a, b evidence.MetricReport) int {
			return cmp.Or(a.Created.Compare(b.Created), a.Ref.Compare(b.Ref))
		})
		for i := 0; i < len(rs); {
			j := i + 1
			for j < len(rs) && rs[j].Created.Sub(rs[j-1].Created) <= signalBurst {
				j++
			}
			run := slices.Clone(rs[i:j])
			i = j
			first, last := run[0], run[len(run)-1]
			slices.SortFunc(run, func(a, b evidence.MetricReport) int {
				return cmp.Or(a.Period.First().Compare(b.Period.First()), a.Ref.Compare(b.Ref))
			})
			open, periods := 0, 0
			var refs []evidence.Ref
			for k, r := range run {
				refs = append(refs, r.Ref)
				if k > 0 && r.Period == run[k-1].Period {
					continue
				}
				periods++
				if !admits(r.Remark) && !d.admitted(r.Metric, r.Period.First(), evidence.DateIn(r.Created, d.loc)) {
					open++
				}
			}
			// The latest period may be in time; one other has to stay unexplained.
			if periods < 2 || open < 2 || !d.inScope(l.site, l.project, l.project == "") {
				continue
			}
			d.signal(SignalReportsAtOnce, run[0].Ref, l.project, last.Created,
				fmt.Sprintf("%s was reported for %d periods, %s to %s.", l.metric, periods, run[0].Period, run[len(run)-1].Period),
				fmt.Sprintf("All of these reports were created between %s and %s.", d.when(first.Created), d.when(last.Created)), refs...)
		}
	}
}

// movedDates finds end dates moved when they had passed, and such as were moved
// ahead so that a task did not become overdue; neither when the customer signed
// a new schedule around that day, nor when the task followed another that moved.
func (d *detector) movedDates() {
	moved := make(map[evidence.Key][]time.Time)
	for _, c := range d.changes {
		if c.Field == "exp_end_date" {
			moved[c.Key()] = append(moved[c.Key()], c.At)
		}
	}
	type move struct {
		key      evidence.Key
		from, to string
	}
	seen := make(map[move]bool)
	today := d.s.Today()
	for _, c := range d.changes {
		t, m := d.tasks[c.Key()], move{c.Key(), c.From, c.To}
		// A move that the site's versions tell is not told again by our captures.
		if t == nil || c.Field != "exp_end_date" || c.At.IsZero() || seen[m] && c.Own {
			continue
		}
		seen[m] = true
		from, err1 := evidence.ParseDate(c.From)
		to, err2 := evidence.ParseDate(c.To)
		if err1 != nil || err2 != nil || from.IsZero() || !to.IsZero() && !to.After(from) || t.Group || t.Template ||
			!d.customer[place{t.Site, t.Project}] || !d.inScope(t.Site, t.Project, false) || d.followed(t, c.At, moved) {
			continue
		}
		on := evidence.DateIn(c.At, d.loc)
		if slices.ContainsFunc(d.schedule[place{t.Site, t.Project}], func(s evidence.Date) bool {
			n := s.DaysSince(on)
			return n <= signalSigned && n >= -signalSigned
		}) {
			continue
		}
		then := "moved to " + to.String()
		if to.IsZero() {
			then = "removed"
		}
		switch {
		case on.After(from) && (t.Completed.IsZero() || t.Completed.After(from) && !t.Completed.Before(on)):
			d.signal(SignalDueMovedLate, t.Ref, t.Project, c.At, fmt.Sprintf("%s was to end on %s and was not completed by then.", called(t.Ref), from),
				fmt.Sprintf("Its end date was %s on %s, without a signed schedule change.", then, d.when(c.At)))
		case !on.After(from) && from.Before(today) && (t.Completed.IsZero() || t.Completed.After(from)) &&
			(t.Created.IsZero() || on.DaysSince(evidence.DateIn(t.Created, d.loc)) > signalPlanning):
			d.signal(SignalDueMovedUnsigned, t.Ref, t.Project, c.At, fmt.Sprintf("%s was to end on %s; left so, it would have become overdue.", called(t.Ref), from),
				fmt.Sprintf("Its end date was %s on %s, without a signed schedule change.", then, d.when(c.At)))
		}
	}
}

// followed reports whether the site itself moved the task, because one that it
// depends on had moved in the same minute.
func (d *detector) followed(t *evidence.Task, at time.Time, moved map[evidence.Key][]time.Time) bool {
	for _, dep := range t.DependsOn {
		k := evidence.Key{Site: t.Site, Doctype: t.Doctype, Name: dep}
		if k != t.Key() && slices.ContainsFunc(moved[k], func(o time.Time) bool { return at.Sub(o).Abs() <= time.Minute }) {
			return true
		}
	}
	return false
}

// massCompletion finds that far more tasks than usual were completed in the 48
// hours before an audit.
func (d *detector) massCompletion() {
	if d.o.Audit.IsZero() {
		return
	}
	end := d.o.Audit.Start(d.loc)
	begin := end.Add(-48 * time.Hour)
	done := make(map[evidence.Key]time.Time)
	for _, c := range d.changes {
		if t := d.tasks[c.Key()]; t != nil && c.Field == "status" && c.To == "Completed" && c.At.After(done[c.Key()]) {
			done[c.Key()] = c.At
		}
	}
	var refs []evidence.Ref
	usual := 0
	from, to := d.o.Audit.AddDays(-2), d.o.Audit.AddDays(-1)
	for i := range d.s.Tasks {
		t := &d.s.Tasks[i]
		if t.Status != "Completed" || t.Group || t.Template || !d.inScope(t.Site, t.Project, false) {
			continue
		}
		at := done[t.Key()]
		if at.IsZero() && t.Completed.IsZero() {
			at = t.Modified // completed in bulk, without a date
		}
		switch {
		case !at.IsZero() && !at.Before(begin) && at.Before(end),
			at.IsZero() && !t.Completed.Before(from) && !t.Completed.After(to):
			refs = append(refs, t.Ref)
		case !t.Completed.IsZero() && t.Completed.Before(from) && !t.Completed.Before(from.AddDays(-84)):
			usual++
		}
	}
	mean := float64(usual) / 42
	if len(refs) < signalMass || float64(len(refs)) <= 3*mean {
		return
	}
	slices.SortFunc(refs, evidence.Ref.Compare)
	d.signal(SignalMassCompletion, refs[0], d.o.Project, end, fmt.Sprintf("In the twelve weeks before, %.1f tasks were completed in two days.", mean),
		fmt.Sprintf("In the 48 hours before the audit of %s it was %d.", d.o.Audit, len(refs)), refs...)
}

// editedFeedback finds customers' ratings that were changed after they had been
// given.
func (d *detector) editedFeedback() {
	answers := make(map[evidence.Key]*evidence.Feedback)
	for i := range d.s.Feedback {
		answers[d.s.Feedback[i].Key()] = &d.s.Feedback[i]
	}
	for _, c := range d.changes {
		f, t := answers[c.Key()], d.tickets[c.Key()]
		// A ticket holds other numbers beside its rating: its clock, for one.
		if t != nil && !ratingField(c.Field) || t == nil && f == nil {
			continue
		}
		from, err1 := strconv.ParseFloat(strings.TrimSpace(c.From), 64)
		to, err2 := strconv.ParseFloat(strings.TrimSpace(c.To), 64)
		if err1 != nil || from <= 0 || err2 == nil && to == from || err2 != nil && strings.TrimSpace(c.To) != "" {
			continue
		}
		project := ""
		if f != nil {
			project = f.Project
		} else {
			project = t.Project
		}
		if !d.inScope(c.Site, project, false) {
			continue
		}
		now := "reads " + short(c.To, 20)
		if err2 != nil {
			now = "is empty"
		}
		d.signal(SignalFeedbackEdited, c.Ref, project, c.At, fmt.Sprintf("The customer's answer in %s read %s in the field %s.", called(c.Ref), short(c.From, 20), short(c.Field, 60)),
			fmt.Sprintf("Since %s it %s.", d.when(c.At), now))
	}
}

func ratingField(f string) bool {
	f = strings.ToLower(f)
	return strings.Contains(f, "star") || strings.Contains(f, "rating")
}

// slaResets finds tickets whose agreement was started anew, or whose due date
// was moved when it had passed.
func (d *detector) slaResets() {
	for _, c := range d.changes {
		t := d.tickets[c.Key()]
		if t == nil || !d.inScope(t.Site, t.Project, false) {
			continue
		}
		says := ""
		switch c.Field {
		case "sla_reset":
			says = "Its service level agreement was reset on " + d.when(c.At) + "."
		case "service_level_agreement_creation":
			if c.From == "" {
				continue
			}
			says = "The clock of its agreement was started anew on " + d.when(c.At) + "."
		case "response_by", "resolution_by", "sla_resolution_by":
			from, ok1 := d.siteTime(c.From)
			to, ok2 := d.siteTime(c.To)
			// A date that was moved ahead of its lapse, or back, favours nobody.
			if !ok1 || !ok2 || !c.At.After(from) || !to.After(from) || t.Hold > 0 {
				continue
			}
			says = fmt.Sprintf("On %s, when that had passed, it was moved to %s.", d.when(c.At), d.when(to))
		default:
			continue
		}
		first := fmt.Sprintf("%s was opened on %s under the agreement %s.", called(t.Ref), d.when(t.Opened), short(t.Agreement, 60))
		if strings.HasPrefix(says, "On ") {
			first = fmt.Sprintf("%s was due on %s.", called(t.Ref), short(c.From, 20))
		}
		d.signal(SignalSLAReset, t.Ref, t.Project, c.At, first, says)
	}
	for _, m := range d.s.Messages {
		if t := d.tickets[m.About.Key()]; t != nil && slices.Contains(m.Kinds, "sla_reset") && d.inScope(t.Site, t.Project, false) {
			d.signal(SignalSLAReset, t.Ref, t.Project, m.At, fmt.Sprintf("%s was opened on %s under the agreement %s.", called(t.Ref), d.when(t.Opened), short(t.Agreement, 60)),
				"Its service level agreement was reset on "+d.when(m.At)+".", m.Ref)
		}
	}
}

func (d *detector) siteTime(s string) (time.Time, bool) {
	if len(s) > len(time.DateTime) {
		s = s[:len(time.DateTime)]
	}
	t, err := time.ParseInLocation(time.DateTime, s, d.loc)
	return t, err == nil && t.Year() >= 1900 && t.Year() <= 2200
}

// deletions finds records that are gone. Who deletes a record within the hour
// corrects a slip; a renamed record is not gone.
func (d *detector) deletions() {
	proofOf := make(map[evidence.Key]evidence.SignOff)
	for _, so := range d.s.SignOffs {
		for _, p := range so.Proof {
			proofOf[p.Key()] = so
		}
	}
	for _, x := range d.s.Deletions {
		if x.RenamedTo != "" || !x.Permanent && !x.Created.IsZero() && !x.At.IsZero() && x.At.Sub(x.Created) < signalCorrection {
			continue
		}
		so, isProof := proofOf[x.Key()]
		if !d.inScope(x.Site, so.Project, d.reporting(x.Doctype)) {
			continue
		}
		first := called(x.Ref) + " was there."
		switch {
		case !x.Created.IsZero():
			first = fmt.Sprintf("%s was created on %s.", called(x.Ref), d.when(x.Created))
		case !x.Seen.IsZero():
			first = fmt.Sprintf("%s was seen on %s.", called(x.Ref), d.when(x.Seen))
		}
		second := "It is gone"
		if !x.At.IsZero() {
			second += " since " + d.when(x.At)
		}
		if x.By != "" {
			second += ", deleted by " + short(x.By, 80)
		}
		if x.Permanent {
			second += ", and no record of the deletion remains"
		}
		if isProof {
			d.signal(SignalDeleted, x.Ref, so.Project, x.At, first, second+".", so.Ref)
			continue
		}
		d.signal(SignalDeleted, x.Ref, "", x.At, first, second+".")
	}
}

// reporting reports whether records of the doctype are the company's own
// figures, reviews or actions, which every escalation looks at.
func (d *detector) reporting(doctype string) bool {
	return strings.HasPrefix(doctype, "Quality ") || slices.Contains(d.s.Channels["report"].Streams, doctype)
}

// seriesGaps finds numbers that are missing from the series of tickets and
// tasks though no deletion is on record. A series is looked at only where it
// could be read whole; one with more holes than a fifth is no series.
func (d *detector) seriesGaps() {
	type series struct{ site, doctype, prefix string }
	type member struct {
		n   int
		ref evidence.Ref
	}
	all := make(map[series][]member)
	known := make(map[evidence.Key]bool)
	see := func(r evidence.Ref) {
		known[r.Key()] = true
		if p, n, ok := numbered(r.Name); ok {
			k := series{r.Site, r.Doctype, p}
			all[k] = append(all[k], member{n, r})
		}
	}
	for i := range d.s.Tickets {
		see(d.s.Tickets[i].Ref)
	}
	for i := range d.s.Tasks {
		see(d.s.Tasks[i].Ref)
	}
	for _, x := range d.s.Deletions {
		known[x.Key()] = true
	}
	amended := make(map[evidence.Key]bool) // TASK-0007 of TASK-0007-A
	for k := range known {
		if i := strings.LastIndexByte(k.Name, '-'); i > 0 {
			amended[evidence.Key{Site: k.Site, Doctype: k.Doctype, Name: k.Name[:i]}] = true
		}
	}
	for k, ms := range all {
		if len(ms) < signalSeries || d.o.Project != "" || !d.whole(k.site, k.doctype) {
			continue
		}
		slices.SortFunc(ms, func(a, b member) int { return cmp.Compare(a.n, b.n) })
		holes := ms[len(ms)-1].n - ms[0].n + 1 - len(ms)
		if holes <= 0 || holes*5 > len(ms) {
			continue
		}
		padded := slices.ContainsFunc(ms, func(m member) bool { return m.ref.Name[len(k.prefix)] == '0' })
		var missing []string
		for i := 1; i < len(ms); i++ {
			for n := ms[i-1].n + 1; n < ms[i].n; n++ {
				name := k.prefix + strconv.Itoa(n)
				if padded {
					name = k.prefix + fmt.Sprintf("%0*d", len(ms[i].ref.Name)-len(k.prefix), n)
				}
				if key := (evidence.Key{Site: k.site, Doctype: k.doctype, Name: name}); !known[key] && !amended[key] {
					missing = append(missing, name)
				}
			}
		}
		if len(missing) == 0 {
			continue
		}
		shown := missing[:min(5, len(missing))]
		more := ""
		if n := len(missing) - len(shown); n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		first, last := ms[0].ref, ms[len(ms)-1].ref
		d.signal(SignalSeriesGap, first, "", last.Created, fmt.Sprintf("The series of %s runs from %s to %s.", k.doctype, short(first.Name, 60), short(last.Name, 60)),
			fmt.Sprintf("%s%s are not there, and no deletion is on record.", short(strings.Join(shown, ", "), 300), more), last)
	}
}

func numbered(name string) (prefix string, n int, ok bool) {
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	if i == len(name) || len(name)-i > 9 {
		return "", 0, false
	}
	n, err := strconv.Atoi(name[i:])
	return name[:i], n, err == nil
}

// whole reports whether everything of the doctype on the site could be read.
func (d *detector) whole(site, doctype string) bool {
	for _, g := range d.s.Gaps {
		if g.Site == site && (g.Stream == doctype || g.Stream == "Deleted Document") {
			return false
		}
	}
	return slices.ContainsFunc(d.s.Coverage, func(c evidence.Coverage) bool {
		return c.Site == site && c.Stream == doctype && c.Complete
	})
}

// trackingOff finds that a site stopped recording changes: it was told to, or a
// change that our captures saw, of a field whose changes it used to record, has
// no version.
func (d *detector) trackingOff() {
	type field struct{ site, doctype, field string }
	since := make(map[field]time.Time)
	until := make(map[field]time.Time)
	versions := make(map[evidence.Key][]evidence.Change)
	for _, c := range d.changes {
		if c.Field == "track_changes" && (c.To == "0" || c.To == "" || strings.EqualFold(c.To, "false")) {
			d.signal(SignalTrackingOff, c.Ref, "", c.At, fmt.Sprintf("%s recorded changes until %s.", called(c.Ref), d.when(c.At)), "Since then it does not.")
		}
		if c.Own || c.At.IsZero() {
			continue
		}
		k := field{c.Site, c.Doctype, c.Field}
		if at, ok := since[k]; !ok || c.At.Before(at) {
			since[k] = c.At
		}
		if c.At.After(until[k]) {
			until[k] = c.At
		}
		versions[c.Key()] = append(versions[c.Key()], c)
	}
	if _, gap := d.s.Missing("Version"); gap {
		return
	}
	unseen := make(map[field][]evidence.Change)
	for _, c := range d.changes {
		k := field{c.Site, c.Doctype, c.Field}
		first, ok := since[k]
		// Sites write the label Overdue once a day, past every version.
		if !c.Own || !ok || c.At.Sub(first) < 24*time.Hour || c.Field == "status" && c.To == "Overdue" {
			continue
		}
		if !slices.ContainsFunc(versions[c.Key()], func(v evidence.Change) bool { return v.Field == c.Field && v.To == c.To && !v.At.After(c.At) }) {
			unseen[k] = append(unseen[k], c)
		}
	}
	for k, cs := range unseen {
		slices.SortFunc(cs, func(a, b evidence.Change) int { return cmp.Or(a.At.Compare(b.At), a.Ref.Compare(b.Ref)) })
		var refs []evidence.Ref
		for _, c := range cs {
			refs = append(refs, c.Ref)
		}
		project := ""
		if t := d.tasks[cs[0].Key()]; t != nil {
			project = t.Project
		}
		if !d.inScope(k.site, project, false) {
			continue
		}
		d.signal(SignalTrackingOff, cs[0].Ref, project, cs[0].At, fmt.Sprintf("The site recorded changes of %s in %s, the last on %s.", short(k.field, 60), k.doctype, d.when(until[k])),
			fmt.Sprintf("Our captures saw %d such changes of which it has no version, the first by %s in %s.", len(cs), d.when(cs[0].At), called(cs[0].Ref)), refs...)
	}
}

// replacedProofs finds sign-offs whose proof is not what an earlier capture
// showed, and other files whose content changed.
func (d *detector) replacedProofs() {
	covered := make(map[evidence.Key]bool)
	for _, so := range d.s.SignOffs {
		if !so.Replaced {
			continue
		}
		at := time.Time{}
		for _, p := range so.Proof {
			covered[p.Key()] = true
			for _, c := range d.changes {
				if c.Key() == p.Key() && c.At.After(at) {
					at = c.At
				}
			}
			for _, x := range d.s.Deletions {
				if x.Key() == p.Key() && x.At.After(at) {
					at = x.At
				}
			}
		}
		if !d.inScope(so.Site, so.Project, false) {
			continue
		}
		d.signal(SignalSignOffReplaced, so.Ref, so.Project, at, fmt.Sprintf("The %s sign-off in %s, dated %s, was proven by a document that an earlier capture holds.", so.Kind, called(so.Ref), so.On),
			"That document has another content now, or is gone.", so.Proof...)
	}
	for _, c := range d.changes {
		if c.Field != "content_hash" || c.From == "" || c.From == c.To || covered[c.Key()] || !d.inScope(c.Site, "", false) {
			continue
		}
		d.signal(SignalContentChanged, c.Ref, "", c.At, fmt.Sprintf("The content of %s had the hash %s.", called(c.Ref), short(c.From, 12)),
			fmt.Sprintf("Since %s it has %s.", d.when(c.At), cmp.Or(short(c.To, 12), "none")))
	}
}
