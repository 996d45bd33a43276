package measure

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/evidence"
)

// satisfaction measures the mean of the ratings that customers gave to their
// projects in the month, in all and per project. Answers about an internal
// project, or one without customer, do not count; one about a project that we
// do not know does. The response rate is the share of the customer projects
// running in the month that were rated.
func (m *meter) satisfaction() {
	gap := m.feedbackGap(evidence.FeedbackSatisfaction)
	answers := m.feedback(evidence.FeedbackSatisfaction)
	lastDone := make(map[projectKey]evidence.Date)
	for i := range m.s.Tasks {
		t := &m.s.Tasks[i]
		if k := (projectKey{t.Site, t.Project}); t.Completed.After(lastDone[k]) {
			lastDone[k] = t.Completed
		}
	}
	for _, sp := range m.months {
		total := Value{Metric: Satisfaction, Unit: UnitStars}
		var all ratings
		running, rated := 0, 0
		byProject := make(map[projectKey][]*evidence.Feedback)
		for _, f := range answers {
			if !sp.in(f.On) {
				continue
			}
			k := projectKey{f.Site, f.Project}
			if p, ok := m.projects[k]; ok {
				if p.Customer == "" || p.Internal {
					continue
				}
				byProject[k] = append(byProject[k], f)
			}
			all.add(m, &total, &f.Ref, f.Stars, f.Rated)
		}
		for _, p := range m.customerProjects() {
			k := projectKey{p.Site, p.Name}
			// A project's end is not kept: the last completed task stands for it.
			over := p.Status != "Open" && lastDone[k].Before(sp.First())
			list := byProject[k]
			if over && len(list) == 0 || !sp.existed(p.Created) {
				continue
			}
			running++
			if len(list) == 0 {
				continue
			}
			v := Value{Metric: Satisfaction, Unit: UnitStars, Site: p.Site, Project: p.Name, Title: p.Title}
			var r ratings
			for _, f := range list {
				r.add(m, &v, &f.Ref, f.Stars, f.Rated)
			}
			if r.rated > 0 {
				rated++
			}
			if gap != "" {
				continue
			}
			r.set(&v)
			v.count(CountOccasions, 1)
			m.emit(v, sp)
		}
		if gap != "" {
			m.emit(Value{Metric: Satisfaction, Unit: UnitStars, Unknown: gap}, sp)
			continue
		}
		all.set(&total)
		total.count(CountOccasions, float64(running))
		if running > 0 {
			total.count(CountResponseRate, 100*float64(rated)/float64(running))
		}
		m.emit(total, sp)
	}
}

// customerProjects returns the projects that are for a customer, sorted.
func (m *meter) customerProjects() []*evidence.Project {
	var out []*evidence.Project
	for _, p := range m.projects {
		if p.Customer != "" && !p.Internal {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *evidence.Project) int { return a.Ref.Compare(b.Ref) })
	return out
}

// supportTAT measures the days from the go-live sign-off to the hand-over to
// support, by the month of the hand-over, as the mean over the projects handed
// over and per project. A hand-over before the go-live contradicts itself, one
// without a dated go-live cannot be measured: both are left out and counted. A
// month without hand-over has no value.
func (m *meter) supportTAT() {
	gap := m.unknown("to_support", "Task")
	if gap == "" {
		// The day of the go-live is on the record that is signed; what stands
		// behind it as proof (mails, files, contracts) is not needed for it.
		gap = m.unknownBut("sign_off.go_live", []string{"Communication", "File", "Contract"}, "Task")
	}
	type done struct {
		on  evidence.Date
		ref evidence.Ref
	}
	first := func(into map[projectKey]done, k projectKey, d done) {
		if have, ok := into[k]; !ok || cmp.Or(d.on.Compare(have.on), d.ref.Compare(have.ref)) < 0 {
			into[k] = d
		}
	}
	live, over := make(map[projectKey]done), make(map[projectKey]done)
	for i := range m.s.SignOffs {
		so := &m.s.SignOffs[i]
		if so.Kind == evidence.SignOffGoLive && so.Done && !so.On.IsZero() {
			first(live, projectKey{so.Site, so.Project}, done{so.On, so.Ref})
		}
	}
	for i := range m.s.Meetings {
		me := &m.s.Meetings[i]
		if me.Kind == evidence.MeetingHandoverToSupport && me.Held && !me.On.IsZero() && me.Project != "" {
			first(over, projectKey{me.Site, me.Project}, done{me.On, me.Ref})
		}
	}
	for _, sp := range m.months {
		total := Value{Metric: SupportTAT, Unit: UnitDays}
		sum, n, negative, withoutStart := 0, 0, 0, 0
		for _, p := range m.customerProjects() {
			k := projectKey{p.Site, p.Name}
			h, ok := over[k]
			if !ok || !sp.in(h.on) {
				continue
			}
			l, ok := live[k]
			switch {
			case !ok:
				withoutStart++
				continue
			case h.on.Before(l.on):
				negative++
				continue
			}
			days := h.on.DaysSince(l.on)
			sum, n = sum+days, n+1
			docs := []evidence.Ref{l.ref, h.ref}
			for i := range docs {
				m.behind(&total, &docs[i])
			}
			m.counted(&total, &p.Ref)
			if gap == "" {
				v := Value{Metric: SupportTAT, Unit: UnitDays, Site: p.Site, Project: p.Name, Title: p.Title, Docs: docs, Population: []evidence.Ref{p.Ref}}
				v.mean(float64(days), 1)
				v.count(CountOccasions, 1)
				m.emit(v, sp)
			}
		}
		if gap != "" {
			m.emit(Value{Metric: SupportTAT, Unit: UnitDays, Unknown: gap}, sp)
			continue
		}
		total.mean(float64(sum), n)
		total.count(CountNegative, float64(negative))
		total.count(CountWithoutStart, float64(withoutStart))
		total.count(CountOccasions, float64(n+negative+withoutStart))
		m.emit(total, sp)
	}
}

// readyTAT measures the days from joining to ready, by the month in which staff
// became ready: the mean over those whose designation asks for it. Ready is who
// was present at a course of the mapped kind, or passed one; of several the
// first counts. Who is not ready yet is counted with the longest wait, as of
// the period's end; who has left is not.
func (m *meter) readyTAT() {
	gap := m.unknown("", "Employee")
	if gap == "" {
		gap = m.unknown("training.consultant", "Training Event")
	}
	type course struct {
		on  evidence.Date
		ref evidence.Ref
	}
	ready := make(map[projectKey]course)
	for _, t := range inOrder(m.s.Trainings, func(t *evidence.Training) *evidence.Ref { return &t.Ref }) {
		if !t.Held || t.On.IsZero() || t.On.After(m.today) || !slices.Contains(t.Kinds, "training.consultant") {
			continue
		}
		for _, p := range t.Present {
			k := projectKey{t.Site, p}
			if have, ok := ready[k]; !ok || t.On.Before(have.on) {
				ready[k] = course{t.On, t.Ref}
			}
		}
	}
	people := inOrder(m.s.People, func(p *evidence.Person) *evidence.Ref { return &p.Ref })
	for _, sp := range m.months {
		v := Value{Metric: ReadyTAT, Unit: UnitDays}
		sum, n, negative, waiting, oldest := 0, 0, 0, 0, 0
		for _, p := range people {
			if !m.mustBeReady(p) || p.Joined.IsZero() {
				continue
			}
			c, ok := ready[projectKey{p.Site, p.Name}]
			if !ok || c.on.After(sp.t) {
				gone := !p.Left.IsZero() && !p.Left.After(sp.t) || p.Left.IsZero() && !p.Active
				if !gone && !p.Joined.After(sp.t) {
					waiting, oldest = waiting+1, max(oldest, sp.t.DaysSince(p.Joined))
				}
				continue
			}
			if !sp.in(c.on) {
				continue
			}
			if c.on.Before(p.Joined) {
				negative++
				continue
			}
			sum, n = sum+c.on.DaysSince(p.Joined), n+1
			m.behind(&v, &c.ref)
			m.behind(&v, &p.Ref)
			m.counted(&v, &p.Ref)
		}
		if gap != "" {
			m.emit(Value{Metric: ReadyTAT, Unit: UnitDays, Unknown: gap}, sp)
			continue
		}
		v.mean(float64(sum), n)
		v.count(CountNegative, float64(negative))
		v.count(CountOccasions, float64(n+negative))
		v.count(CountNotReady, float64(waiting))
		if waiting > 0 {
			v.count(CountNotReadyOldest, float64(oldest))
		}
		m.emit(v, sp)
	}
}

func (m *meter) mustBeReady(p *evidence.Person) bool {
	d := strings.ToLower(p.Designation)
	return slices.ContainsFunc(m.o.ReadyRoles, func(r string) bool { return r != "" && strings.Contains(d, strings.ToLower(r)) })
}
