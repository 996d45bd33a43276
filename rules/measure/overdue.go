package measure

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// overdue measures the share of overdue tasks, in all and per project.
//
// Counted are the tasks of projects that are open today and have a customer:
// that field decides, not a project's type, so a project without customer is
// internal and left out, and one with a customer cannot be hidden by calling it
// internal. Headings, template tasks and cancelled tasks are no work; a task of
// no project, or of one we do not know, is left out. A task was overdue at T
// when its last day lay before T, it was not completed by T (completed without
// a date: taken as completed), and no review spared it. Tasks without an end
// date are in the denominator and are counted apart. The total is the sum over
// all tasks, not the mean of the projects' shares.
//
// A past week is worked out from today's documents: what was created after T
// did not exist, what was completed after T was open. Moved end dates and
// projects closed since are invisible in that, so such a figure is marked as
// reconstructed unless every version was seen by then; the figure by the end
// dates that the site's versions, or our own captures, show for T stands beside
// it. Where a site tracks no changes the two are the same.
func (m *meter) overdue() {
	gap := m.unknown("", "Project")
	if gap == "" {
		gap = m.unknown("", "Task")
	}
	if g := m.gaps("kind:project"); gap == "" && len(g) > 0 {
		gap = gapText(g[0])
	}
	var open []*evidence.Project
	for _, p := range m.projects {
		if p.Status == "Open" && p.Customer != "" {
			open = append(open, p)
		}
	}
	slices.SortFunc(open, func(a, b *evidence.Project) int { return a.Ref.Compare(b.Ref) })
	index := make(map[projectKey]int, len(open))
	for i, p := range open {
		index[projectKey{p.Site, p.Name}] = i
	}
	moves := m.endDates()
	var work []workItem
	for _, t := range inOrder(m.s.Tasks, func(t *evidence.Task) *evidence.Ref { return &t.Ref }) {
		if i, ok := index[projectKey{t.Site, t.Project}]; ok && !t.Group && !t.Template && t.Status != "Cancelled" && t.Status != "Template" {
			work = append(work, workItem{task: t, project: i, moves: moves[t.Key()]})
		}
	}
	blank := func(i int) Value {
		p := open[i]
		return Value{Metric: OverduePct, Unit: UnitPercent, Site: p.Site, Project: p.Name, Title: p.Title}
	}
	for _, sp := range m.weeks {
		total := Value{Metric: OverduePct, Unit: UnitPercent}
		var sum overdueSum
		// A project seen later than T may have been in another state then.
		reconstructed := false
		for i := range m.s.Projects {
			p := &m.s.Projects[i]
			reconstructed = reconstructed || !sp.current && p.Customer != "" && sp.later(&p.Ref)
		}
		// Judged first and listed afterwards, when it is known how many there
		// are: lists that grow cost more than everything else here.
		values, sums := make([]Value, len(open)), make([]overdueSum, len(open))
		for i := range work {
			w := &work[i]
			w.now = overdueSum{}
			if sp.existed(w.task.Created) {
				w.now = m.judge(w, sp)
				sums[w.project].add(w.now)
			}
		}
		for i := range open {
			values[i] = blank(i)
			m.room(&values[i], sums[i])
			sum.add(sums[i])
		}
		m.room(&total, sum)
		for i := range work {
			w := &work[i]
			if w.now.all == 0 {
				continue
			}
			m.counted(&total, &w.task.Ref)
			m.counted(&values[w.project], &w.task.Ref)
			if w.now.late > 0 {
				m.behind(&total, &w.task.Ref)
				m.behind(&values[w.project], &w.task.Ref)
			}
		}
		for i, p := range open {
			if sums[i].all == 0 && !sp.existed(p.Created) {
				continue // neither the project nor any task of it was there yet
			}
			v := values[i]
			v.Reconstructed = reconstructed || sums[i].later
			if g := m.siteGap(p.Site, "Project", "Task"); g != "" {
				v = blank(i)
				v.Unknown = g
			} else {
				sums[i].set(&v)
			}
			m.emit(v, sp)
		}
		if gap != "" {
			total = Value{Metric: OverduePct, Unit: UnitPercent, Unknown: gap}
		} else {
			total.Reconstructed = reconstructed || sum.later
			sum.set(&total)
		}
		m.emit(total, sp)
	}
}

// workItem is a task that counts, the number of its project and the end dates
// that it had before.
type workItem struct {
	task    *evidence.Task
	project int
	moves   []endDate
	now     overdueSum // of the period at hand
}

// room makes the lists of a value as long as they will be.
func (m *meter) room(v *Value, s overdueSum) {
	if n := min(s.all, m.o.PopulationCap); n > 0 {
		v.Population = make([]evidence.Ref, 0, n)
	}
	if n := min(s.late, m.o.PopulationCap); n > 0 {
		v.Docs = make([]evidence.Ref, 0, n)
	}
}

type overdueSum struct {
	late, lateThen, all, open, undated, moved, oldest int
	later                                             bool
}

func (o *overdueSum) add(b overdueSum) {
	o.late += b.late
	o.lateThen += b.lateThen
	o.all += b.all
	o.open += b.open
	o.undated += b.undated
	o.moved += b.moved
	o.oldest = max(o.oldest, b.oldest)
	o.later = o.later || b.later
}

func (o overdueSum) set(v *Value) {
	v.ratio(o.late, o.all)
	v.count(CountWithoutEndDate, float64(o.undated))
	v.count(CountOpen, float64(o.open))
	v.count(CountMovedDates, float64(o.moved))
	v.count(CountOccasions, float64(o.all))
	v.count(CountOldestOverdue, float64(o.oldest))
	if o.all > 0 {
		v.count(CountVersionsLate, float64(o.lateThen))
		v.count(CountWithVersions, 100*float64(o.lateThen)/float64(o.all))
	}
}

// judge counts one task at the end of the period; nothing when it does not
// count then.
func (m *meter) judge(w *workItem, sp span) (sum overdueSum) {
	t := w.task
	done := t.Status == "Completed" && (t.Completed.IsZero() || !t.Completed.After(sp.t))
	if done && m.o.OpenOnly {
		return sum
	}
	sum.all = 1
	sum.later = !sp.current && sp.later(&t.Ref)
	if t.Due.IsZero() {
		sum.undated = 1
	}
	due, at := t.Due, t.DueAt
	if i := slices.IndexFunc(w.moves, func(e endDate) bool { return !e.moved.Before(sp.end) }); i >= 0 {
		sum.moved = 1
		due, at = w.moves[i].from, time.Time{}
	}
	if done {
		return sum
	}
	sum.open = 1
	if t.Status == "Pending Review" && t.Review.After(sp.t) {
		return sum
	}
	if m.late(t.Due, t.DueAt, sp) {
		sum.late = 1
		sum.oldest = max(0, sp.t.DaysSince(t.Due))
	}
	if m.late(due, at, sp) {
		sum.lateThen = 1
	}
	return sum
}

// late tells whether an end date had passed. Days are compared: what is due on
// T is in time. Only as of now, and only where the site keeps a time of day,
// the hour decides.
func (m *meter) late(due evidence.Date, at time.Time, sp span) bool {
	if sp.current && !at.IsZero() {
		return at.Before(m.s.AsOf)
	}
	return !due.IsZero() && due.Before(sp.t)
}

// later reports whether the version at hand was first seen after the period,
// so that what it says of then is worked out and not seen.
func (sp span) later(r *evidence.Ref) bool {
	return r.Reconstructed || r.Seen.IsZero() || !r.Seen.Before(sp.end)
}

// siteGap names the first gap of the site in one of the streams; "" without.
func (m *meter) siteGap(site string, streams ...string) string {
	for _, st := range streams {
		for _, g := range m.gaps(st) {
			if g.Site == site || g.Site == "" {
				return gapText(g)
			}
		}
	}
	return ""
}

type endDate struct {
	moved time.Time
	from  evidence.Date
}

// endDates returns, for each task, the end dates that it had before, by the
// instant at which each was replaced. Where the site keeps versions of a task
// they are used alone: they know the instant of the move, our own captures only
// that of seeing it. A text that is no date is left out.
func (m *meter) endDates() map[evidence.Key][]endDate {
	out := make(map[evidence.Key][]endDate)
	versioned := make(map[evidence.Key]bool)
	for i := range m.s.Changes {
		c := &m.s.Changes[i]
		if c.Doctype != "Task" || c.Field != "exp_end_date" || c.At.IsZero() {
			continue
		}
		from, err := evidence.ParseDate(c.From)
		if err != nil || from.IsZero() && c.From != "" {
			continue
		}
		if strings.HasSuffix(c.From, " 00:00:00") {
			from = from.AddDays(-1) // an end at midnight is the end of the day before
		}
		if k := c.Key(); !c.Own && !versioned[k] {
			versioned[k] = true
			out[k] = nil
		} else if c.Own && versioned[k] {
			continue
		}
		out[c.Key()] = append(out[c.Key()], endDate{c.At, from})
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b endDate) int {
			return cmp.Or(a.moved.Compare(b.moved), a.from.Compare(b.from))
		})
	}
	return out
}
