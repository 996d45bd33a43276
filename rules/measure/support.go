package measure

import (
	"github.com/prmsync/prmsync/evidence"
)

// support measures the share of tickets inside their agreement and the
// customers' ratings of tickets.
//
// Counted are tickets resolved in the week that have an agreement and were not
// folded into another. One is inside its agreement when both the first response
// and the resolution came in time; the site's own word, which forgives a late
// response, stands beside it as CountERPNext. A ticket whose stamps precede its
// opening (they are kept in its owner's personal zone), or that has lost a due
// date, cannot be measured: it is left out and counted. Ratings are those of tickets resolved in the period, with or without
// agreement; 0 stars means not rated.
func (m *meter) support() {
	tickets := inOrder(m.s.Tickets, func(t *evidence.Ticket) *evidence.Ref { return &t.Ref })
	gap := m.unknown("ticket", "Issue")
	ratingGap := gap
	if ch, ok := m.s.Channels["feedback.ticket"]; ratingGap == "" && (ok || len(m.gaps("kind:feedback.ticket")) > 0) {
		ratingGap = m.unknown("feedback.ticket", ch.Streams...)
	}
	apart := make(map[projectKey][]*evidence.Feedback) // ratings kept outside the ticket
	var loose []*evidence.Feedback
	known := make(map[projectKey]bool, len(tickets))
	for _, t := range tickets {
		known[projectKey{t.Site, t.Name}] = true
	}
	for _, f := range m.feedback(evidence.FeedbackTicket) {
		k := projectKey{f.Site, f.Ticket}
		if f.Ticket != "" && known[k] {
			apart[k] = append(apart[k], f)
			continue
		}
		loose = append(loose, f)
	}
	resolutionOnly, responseOnly := m.promises()
	for _, sp := range m.weeks {
		sla := Value{Metric: SLA, Unit: UnitPercent}
		rating := Value{Metric: TicketFeedback, Unit: UnitStars}
		var all, good, fulfilled, without, openLate, undated, invalid, unmeasurable, lateFR, lateRes int
		var r ratings
		resolved := 0
		for _, t := range tickets {
			if t.Merged {
				continue
			}
			if t.Agreement != "" && sp.existed(t.Opened) {
				open := !t.Closed && t.Resolved.IsZero() || !t.Resolved.IsZero() && !t.Resolved.Before(sp.end)
				if open && !t.ResolutionDue.IsZero() && t.ResolutionDue.Before(sp.end) {
					openLate++
				}
				if t.Closed && t.Resolved.IsZero() {
					undated++
				}
			}
			if t.Resolved.IsZero() || !sp.existed(t.Resolved) || !sp.in(evidence.DateIn(t.Resolved, m.loc)) {
				continue
			}
			resolved++
			r.addTicket(m, &rating, t, apart[projectKey{t.Site, t.Name}])
			switch {
			case t.Agreement == "":
				without++
				continue
			case len(t.Unusable) > 0, before(t.Resolved, t.Opened), before(t.FirstResponse, t.Opened):
				invalid++
				continue
			}
			needResponse, needResolution := !resolutionOnly[t.Agreement], !responseOnly[t.Agreement]
			if needResponse && t.ResponseDue.IsZero() || needResolution && t.ResolutionDue.IsZero() {
				unmeasurable++
				continue
			}
			all++
			m.counted(&sla, &t.Ref)
			response := !needResponse || !t.FirstResponse.IsZero() && !t.FirstResponse.After(t.ResponseDue)
			resolution := !needResolution || !t.Resolved.After(t.ResolutionDue)
			if !response {
				lateFR++
			}
			if !resolution {
				lateRes++
			}
			if response && resolution {
				good++
				m.behind(&sla, &t.Ref)
			}
			if t.AgreementStatus == "Fulfilled" {
				fulfilled++
			}
		}
		for _, f := range loose {
			if sp.in(f.On) {
				r.add(m, &rating, &f.Ref, f.Stars, f.Rated)
			}
		}
		if gap != "" {
			sla = Value{Metric: SLA, Unit: UnitPercent, Unknown: gap}
		} else {
			sla.ratio(good, all)
			if all > 0 {
				sla.count(CountERPNext, 100*float64(fulfilled)/float64(all))
				sla.count(CountERPNextFulfilled, float64(fulfilled))
			}
			sla.count(CountResponseLate, float64(lateFR))
			sla.count(CountResolutionLate, float64(lateRes))
			sla.count(CountWithoutAgreement, float64(without))
			sla.count(CountOpenAndLate, float64(openLate))
			sla.count(CountClosedWithoutDate, float64(undated))
			sla.count(CountNotMeasurable, float64(unmeasurable))
			sla.count(CountInvalid, float64(invalid))
			sla.count(CountOccasions, float64(all))
		}
		m.emit(sla, sp)
		if ratingGap != "" {
			rating = Value{Metric: TicketFeedback, Unit: UnitStars, Unknown: ratingGap}
		} else {
			r.set(&rating)
			rating.count(CountOccasions, float64(resolved))
			if resolved > 0 {
				rating.count(CountResponseRate, 100*min(1, float64(r.rated)/float64(resolved)))
			}
		}
		m.emit(rating, sp)
	}
}

// promises tells which agreements, by name, promise only a resolution and which
// only a response: their tickets have one due date by right.
func (m *meter) promises() (resolutionOnly, responseOnly map[string]bool) {
	resolutionOnly, responseOnly = make(map[string]bool), make(map[string]bool)
	for i := range m.s.Agreements {
		a := &m.s.Agreements[i]
		var response, resolution bool
		for _, p := range a.Priorities {
			response = response || p.Response > 0
			resolution = resolution || p.Resolution > 0
		}
		if resolution && !response {
			resolutionOnly[a.Name] = true
		}
		if response && !resolution {
			responseOnly[a.Name] = true
		}
	}
	return resolutionOnly, responseOnly
}
