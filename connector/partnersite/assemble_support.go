package partnersite

import (
	"cmp"
	"slices"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
)

// support adds tickets.
func (s *site) support(snap *evidence.Snapshot) {
	ratings := map[owner]found{}
	for _, f := range s.findAll(config.KindTicketFeedback) {
		if on := (owner{f.Doctype, f.Name}); ratings[on].record == nil {
			ratings[on] = f
		}
	}
	seen := map[owner]bool{}
	for _, f := range s.findAll(config.KindTicket) {
		on := owner{f.Doctype, f.Name}
		if seen[on] { // two rules may let one ticket through
			continue
		}
		seen[on] = true
		t := s.ticket(f)
		if rating, ok := ratings[on]; ok {
			t.Stars, t.Rated = rating.stars()
		}
		if t.Reconstructed && !t.Closed { // the customer answered when it was closed
			t.Stars, t.Rated = 0, false
		}
		snap.Tickets = append(snap.Tickets, t)
	}
}

// ticketFields are the names under which the two kinds of ticket keep the same
// thing; the first that is set counts. Versions differ: before 15.54 an Issue
// had the shorter names.
var ticketFields = map[string]struct{ resolved, due, agreement, kind []string }{
	doctypeIssue: {
		resolved: []string{"sla_resolution_date", "resolution_date"}, due: []string{"sla_resolution_by", "resolution_by"},
		agreement: []string{"service_level_agreement"}, kind: []string{"issue_type"},
	},
	doctypeHDTicket: {
		resolved: []string{"resolution_date"}, due: []string{"resolution_by"},
		agreement: []string{"sla"}, kind: []string{"ticket_type"},
	},
}

func (s *site) ticket(f found) evidence.Ticket {
	r := f.record
	fields, stock := ticketFields[r.Doctype]
	if !stock {
		fields.resolved = []string{f.rule.Date}
	}
	t := evidence.Ticket{
		Ref: r.Ref, Subject: cmp.Or(r.plain("subject"), r.plain("title")), Customer: r.str("customer"), Project: f.project,
		Type: firstSet(r, fields.kind), Priority: r.str("priority"), Status: r.str("status"), Merged: r.flag("is_merged"),
		Agreement: firstSet(r, fields.agreement), Assignees: s.assignees(r),
	}
	if c := s.find("HD Customer", t.Customer); r.Doctype == doctypeHDTicket && c != nil {
		t.Customer = cmp.Or(c.str("erpnext_customer"), t.Customer) // projects know it by that name
	}
	switch category := r.str("status_category"); {
	case category != "":
		t.Closed, t.OnHold = category == "Resolved", category == "Paused"
	case stock:
		t.Closed = t.Status == "Resolved" || t.Status == "Closed"
		t.OnHold = slices.Contains(s.status[r.Doctype], t.Status)
	default:
		t.Closed = len(f.rule.Done) > 0 && f.done
	}
	t.Opened = r.Created
	if day := r.str("opening_date"); day != "" {
		clock := cmp.Or(r.str("opening_time"), "0:00:00")
		if len(clock) > 1 && clock[1] == ':' {
			clock = "0" + clock
		}
		if opened, err := s.instant(clip(day, 10) + " " + clock); err != nil {
			r.drift("opening_date")
		} else if !opened.IsZero() {
			t.Opened = opened
		}
	}
	if t.Agreement != "" { // "First Response Due" stands even where no agreement applies
		t.AgreementStatus = r.str("agreement_status")
		t.ResponseDue = r.instant("response_by")
		t.ResolutionDue = firstInstant(r, fields.due)
		if hold, ok := r.num("total_hold_time"); ok && hold > 0 && hold < 1e9 {
			t.Hold = time.Duration(hold * float64(time.Second))
		}
	}
	// These two are in the personal zone of the ticket's owner, the creation in
	// the site's. Before its creation nothing can have happened to a ticket, so
	// such a stamp is unusable and stays unset.
	stamp := func(name string, at time.Time) time.Time {
		if !at.IsZero() && at.Before(r.Created.Add(-time.Second)) {
			t.Unusable = append(t.Unusable, name)
			return time.Time{}
		}
		return at
	}
	t.FirstResponse = stamp("first_responded_on", r.instant("first_responded_on"))
	if t.Closed {
		t.Resolved = stamp(cmp.Or(fields.resolved...), firstInstant(r, fields.resolved))
	}
	if r.Doctype == doctypeHDTicket {
		if v, ok := r.num("feedback_rating"); ok && v > 0 && v <= 1 {
			t.Stars, t.Rated = v*5, true
		}
	}
	return t
}

// stars reads a rating: 0 is "not rated", not zero stars.
func (f found) stars() (float64, bool) {
	v, ok := f.number(f.rule.Value)
	if !ok {
		return 0, false
	}
	if f.rule.Scale != 0 {
		v *= f.rule.Scale
	}
	if v <= 0 || v > 5 {
		return 0, false
	}
	return v, true
}

func firstSet(r *record, fields []string) string {
	for _, f := range fields {
		if v := r.str(f); v != "" {
			return v
		}
	}
	return ""
}

func firstInstant(r *record, fields []string) time.Time {
	for _, f := range fields {
		if f == "" {
			continue
		}
		if t := r.instant(f); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// pausing lists the statuses in which the clock stands still: those that an
// enabled agreement names, else the stock ones.
func (s *site) pausing() map[string][]string {
	out := map[string][]string{doctypeIssue: nil, doctypeHDTicket: {"Replied"}}
	docs := s.docs["Service Level Agreement"]
	for i := range docs {
		r := &docs[i]
		if r.flag("enabled") && cmp.Or(r.str("document_type"), doctypeIssue) == doctypeIssue {
			for _, w := range r.rows("pause_sla_on") {
				out[doctypeIssue] = append(out[doctypeIssue], w.str("status"))
			}
		}
	}
	if out[doctypeIssue] = unique(out[doctypeIssue]); out[doctypeIssue] == nil {
		out[doctypeIssue] = []string{"On Hold", "Replied"}
	}
	return out
}
