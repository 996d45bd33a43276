package measure

import (
	"cmp"
	"slices"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// closing is a deal that can be or was decided.
type closing struct {
	ref    evidence.Ref
	opened evidence.Date
	won    evidence.Date
	lost   evidence.Date
	// undated is a deal that is lost and has no date for it.
	undated bool
}

// closings returns every deal once. On a site that sells by quotation the
// quotation is the deal: won on the date of its first order, lost on the day it
// was first seen lost; its opportunity then does not count again. Elsewhere (a
// CRM deal, a mapped doctype) the deal itself counts, and the quotations made
// for it do not. A cancelled quotation, or an order without one, is no deal.
func (m *meter) closings() []closing {
	deals := inOrder(m.s.Deals, func(d *evidence.Deal) *evidence.Ref { return &d.Ref })
	quotes := inOrder(m.s.Quotations, func(q *evidence.Quotation) *evidence.Ref { return &q.Ref })
	byKey := make(map[evidence.Key]bool)   // quotations that count themselves
	quoted := make(map[projectKey]bool)    // opportunities with a quotation
	crmQuotes := make(map[projectKey]bool) // quotations of deals that count themselves
	crm := make(map[projectKey]bool)
	for _, d := range deals {
		if !isOwnDeal(*d) {
			continue
		}
		crm[projectKey{d.Site, d.Name}] = true
		for _, q := range d.Quotations {
			crmQuotes[projectKey{d.Site, q}] = true
		}
	}
	var out []closing
	for _, q := range quotes {
		own := projectKey{q.Site, q.Name}
		if crmQuotes[own] || q.Deal != "" && crm[projectKey{q.Site, q.Deal}] {
			continue
		}
		if q.Deal != "" {
			quoted[projectKey{q.Site, q.Deal}] = true
		}
		byKey[q.Key()] = true
		if q.Cancelled || !q.Submitted && q.Won.IsZero() && q.Lost.IsZero() {
			continue
		}
		c := closing{ref: q.Ref, opened: q.On, won: q.Won, lost: q.Lost}
		c.undated = q.Status == "Lost" && q.Lost.IsZero() && q.Won.IsZero()
		out = append(out, c)
	}
	for _, d := range deals {
		if byKey[d.Key()] || d.Doctype == "Opportunity" && (quoted[projectKey{d.Site, d.Name}] || len(d.Quotations) > 0) {
			continue
		}
		c := closing{ref: d.Ref, opened: d.Opened}
		switch {
		case d.Won:
			c.won = d.Closed
		case d.Lost:
			c.lost = d.Closed
		}
		c.undated = (d.Won || d.Lost) && d.Closed.IsZero()
		out = append(out, c)
	}
	// What was ordered after it had been given up was won after all.
	for i := range out {
		if !out[i].won.IsZero() {
			out[i].lost = evidence.Date{}
		}
	}
	slices.SortFunc(out, func(a, b closing) int { return a.ref.Compare(b.ref) })
	return out
}

// isOwnDeal reports whether a deal is decided in its own record, not by the
// quotations made for it.
func isOwnDeal(d evidence.Deal) bool { return d.Doctype != "Opportunity" && d.Doctype != "Quotation" }

// sales measures conversion and the feedback on demos and deals.
//
// Conversion is won ÷ (won + lost) of the deals closed in the week. A week in
// which none was closed has no value. Beside it stands the pooled share of the
// window that ends with the week (the partner's own mean), and the cohort: how
// the deals opened in that week have ended so far.
func (m *meter) sales() {
	gap := m.unknown("deal", "Quotation", "Opportunity", "CRM Deal")
	if gap == "" && !slices.ContainsFunc(m.s.Deals, isOwnDeal) {
		gap = m.unknown("", "Sales Order") // tells which quotations were won
	}
	closings := m.closings()
	demoGap := m.feedbackGap(evidence.FeedbackDemo)
	salesGap := m.feedbackGap(evidence.FeedbackSales)
	demos, answers := m.feedback(evidence.FeedbackDemo), m.feedback(evidence.FeedbackSales)
	for _, sp := range m.weeks {
		v := Value{Metric: Conversion, Unit: UnitPercent}
		var won, lost, meanWon, meanLost, undated, opened, cWon, cLost int
		from := sp.First().AddDays(-7 * (m.o.Weeks - 1))
		recent := func(d evidence.Date) bool { return !d.IsZero() && !d.Before(from) && !d.After(sp.t) }
		for _, c := range closings {
			switch {
			case sp.in(c.won):
				won++
				m.behind(&v, &c.ref)
				m.counted(&v, &c.ref)
			case sp.in(c.lost):
				lost++
				m.counted(&v, &c.ref)
			}
			switch {
			case recent(c.won):
				meanWon++
			case recent(c.lost):
				meanLost++
			}
			if c.undated && !c.opened.After(sp.t) {
				undated++
			}
			if sp.in(c.opened) {
				opened++
				switch {
				case !c.won.IsZero():
					cWon++
				case !c.lost.IsZero() || c.undated:
					cLost++
				}
			}
		}
		if gap != "" {
			v = Value{Metric: Conversion, Unit: UnitPercent, Unknown: gap}
		} else {
			v.ratio(won, won+lost)
			v.count(CountWon, float64(won))
			v.count(CountLost, float64(lost))
			v.count(CountLostWithoutDate, float64(undated))
			v.count(CountOccasions, float64(won+lost))
			v.count(CountMeanClosed, float64(meanWon+meanLost))
			if meanWon+meanLost > 0 {
				v.count(CountMean, 100*float64(meanWon)/float64(meanWon+meanLost))
			}
			v.count(CountCohortWon, float64(cWon))
			v.count(CountCohortLost, float64(cLost))
			v.count(CountCohortOpen, float64(opened-cWon-cLost))
			if cWon+cLost > 0 {
				v.count(CountCohort, 100*float64(cWon)/float64(cWon+cLost))
			}
		}
		m.emit(v, sp)
		m.weeklyFeedback(DemoFeedback, demos, demoGap, opened, sp)
		m.weeklyFeedback(SalesFeedback, answers, salesGap, won+lost, sp)
	}
}

// weeklyFeedback measures the mean of the answers given in the week; occasions
// is the number of deals on which customers could have been asked.
func (m *meter) weeklyFeedback(metric string, answers []*evidence.Feedback, gap string, occasions int, sp span) {
	v := Value{Metric: metric, Unit: UnitStars}
	var r ratings
	for _, f := range answers {
		if sp.in(f.On) {
			r.add(m, &v, &f.Ref, f.Stars, f.Rated)
		}
	}
	if gap != "" {
		v = Value{Metric: metric, Unit: UnitStars, Unknown: gap}
	} else {
		r.set(&v)
		v.count(CountOccasions, float64(max(occasions, r.rated+r.unrated)))
	}
	m.emit(v, sp)
}

// feedbackGap names what keeps answers of the kind from being read.
func (m *meter) feedbackGap(kind evidence.FeedbackKind) string {
	channel := "feedback." + string(kind)
	if ch, ok := m.s.Channels[channel]; ok || len(m.gaps("kind:"+channel)) > 0 {
		return m.unknown(channel, ch.Streams...)
	}
	if slices.ContainsFunc(m.s.Feedback, func(f evidence.Feedback) bool { return f.Kind == kind }) {
		return ""
	}
	return m.unknown(channel)
}

// response measures in what share of the queries received in the week the first
// answer came in time: by the agreement's due date where the lead has one, else
// within the house's working hours. Left out are queries that may still be
// answered in time, and those whose answer precedes the question.
func (m *meter) response() {
	leads := inOrder(m.s.Leads, func(l *evidence.Lead) *evidence.Ref { return &l.Ref })
	gap := m.unknown("", "Lead", "CRM Lead")
	a, c := WorkingHours(m.s, "Lead", "CRM Lead", "CRM Deal", "Opportunity")
	type query struct {
		lead                   *evidence.Lead
		on                     evidence.Date
		hours                  time.Duration
		answered, inTime, wait bool
		invalid                bool
	}
	var queries []query
	for _, l := range leads {
		if l.Received.IsZero() || l.Received.After(m.s.AsOf) {
			continue
		}
		q := query{lead: l, on: evidence.DateIn(l.Received, m.loc)}
		q.answered = !l.FirstResponse.IsZero() && !l.FirstResponse.After(m.s.AsOf)
		until := m.s.AsOf
		if q.answered {
			until = l.FirstResponse
			q.invalid = before(l.FirstResponse, l.Received)
		}
		q.hours = BusinessTime(a, c, l.Received, until, m.loc)
		within := q.hours <= m.o.ResponseWithin
		if !l.ResponseDue.IsZero() {
			within = !until.After(l.ResponseDue)
		}
		q.inTime, q.wait = q.answered && within, !q.answered && within
		queries = append(queries, q)
	}
	slices.SortFunc(queries, func(a, b query) int {
		return cmp.Or(a.on.Compare(b.on), a.lead.Ref.Compare(b.lead.Ref))
	})
	for _, sp := range m.weeks {
		v := Value{Metric: Response, Unit: UnitPercent}
		var all, answered, inTime, waiting, invalid int
		var sum, longest time.Duration
		for _, q := range queries {
			switch {
			case !sp.in(q.on):
				continue
			case q.invalid:
				invalid++
				continue
			case q.wait:
				waiting++
				continue
			}
			all++
			m.counted(&v, &q.lead.Ref)
			if q.answered {
				answered++
				sum, longest = sum+q.hours, max(longest, q.hours)
			}
			if q.inTime {
				inTime++
				m.behind(&v, &q.lead.Ref)
			}
		}
		if gap != "" {
			m.emit(Value{Metric: Response, Unit: UnitPercent, Unknown: gap}, sp)
			continue
		}
		v.ratio(inTime, all)
		v.count(CountAnswered, float64(answered))
		v.count(CountUnanswered, float64(all-answered))
		v.count(CountPending, float64(waiting))
		v.count(CountInvalid, float64(invalid))
		v.count(CountOccasions, float64(all))
		if answered > 0 {
			v.count(CountAnsweredRate, 100*float64(inTime)/float64(answered))
			v.count(CountMeanHours, sum.Hours()/float64(answered))
			v.count(CountMaxHours, longest.Hours())
		}
		m.emit(v, sp)
	}
}
