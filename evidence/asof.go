package evidence

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// AsOf returns the record as it was known at t. versions are the stored
// versions of one record in any order; zone is that of its site, in whose days
// the dates of Fields are counted (nil: UTC).
//
// The newest version seen at or before t is the answer as it stands, even if
// the site had changed the record by then: what we had not read we did not
// know. Where the record was first seen after t but existed at t, the answer is
// its earliest version with everything undone that its dates put after t, marked
// Reconstructed. A first read can so judge past weeks; what left no date behind
// (a moved due date, an overwritten text) stays as it was found.
//
// A record that had disappeared by t is returned with Gone set. ok is false for
// one that was not there yet, and for one of which nothing but its disappearance
// was ever seen. The versions themselves are never changed.
func AsOf(versions []Document, t time.Time, zone *time.Location) (doc Document, ok bool) {
	newest, earliest := -1, -1
	for i := range versions {
		v := &versions[i]
		if !v.Seen.After(t) {
			if newest < 0 || CompareVersions(versions[newest], *v) < 0 {
				newest = i
			}
		} else if !v.Gone && (earliest < 0 || CompareVersions(versions[earliest], *v) > 0) {
			earliest = i
		}
	}
	switch {
	case newest >= 0:
		return versions[newest], true
	case earliest < 0 || versions[earliest].Created.IsZero() || versions[earliest].Created.After(t):
		return Document{}, false
	}
	return reconstruct(versions[earliest], t, zone), true
}

// CompareVersions orders the versions of one record by the time at which they
// were seen; of those seen at once, its disappearance comes last and the others
// (two pages that overlap) as the site dates them.
func CompareVersions(a, b Document) int {
	return cmp.Or(a.Seen.Compare(b.Seen), cmp.Compare(boolRank(a.Gone), boolRank(b.Gone)), cmp.Compare(a.Stamp, b.Stamp),
		a.Modified.Compare(b.Modified), cmp.Compare(a.Hash, b.Hash))
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// event is something that happens to a record of a doctype and that the record
// dates, so that it can be taken back.
type event struct {
	at    string   // field with the date or time; "modified" is the record's own
	clear []string // further fields that came with it
	// status goes back from one of these values to that one. With at "modified"
	// nothing is done unless the field has one of them: such a state is the last
	// thing that happens to a record, so its modification dates it.
	field string
	from  []string
	to    string
	rows  [2]string // child table and the field that is emptied in each of its rows
	// log names a child table of status moves (from, from_date, to, to_date).
	log string
}

// events are the dates to undo, by doctype. Planned dates (a due date, the next
// review, the end of an offer) are not among them: they are no events.
var events = map[string][]event{
	"Task": {
		{at: "completed_on", clear: []string{"completed_by"}, field: "status", from: []string{"Completed"}, to: "Open"},
	},
	"Project": {
		{at: "modified", field: "status", from: []string{"Completed", "Cancelled"}, to: "Open"},
	},
	"Issue": {
		{at: "sla_resolution_date", clear: []string{"resolution_time", "user_resolution_time"}, field: "status", from: []string{"Resolved", "Closed"}, to: "Open"},
		{at: "resolution_date", clear: []string{"resolution_time", "user_resolution_time"}, field: "status", from: []string{"Resolved", "Closed"}, to: "Open"},
		{at: "sla_resolution_date", field: "agreement_status", from: []string{"Fulfilled", "Failed"}, to: "Resolution Due"},
		{at: "resolution_date", field: "agreement_status", from: []string{"Fulfilled", "Failed"}, to: "Resolution Due"},
		{at: "first_responded_on", clear: []string{"first_response_time"}, field: "agreement_status", from: []string{"Resolution Due"}, to: "First Response Due"},
		{at: "on_hold_since"},
	},
	"HD Ticket": {
		{at: "resolution_date", clear: []string{"resolution_time", "user_resolution_time", "feedback_rating", "feedback", "feedback_extra", "status_category"}, field: "status", from: []string{"Resolved", "Closed"}, to: "Open"},
		{at: "resolution_date", field: "agreement_status", from: []string{"Fulfilled", "Failed"}, to: "Resolution Due"},
		{at: "first_responded_on", clear: []string{"first_response_time"}, field: "agreement_status", from: []string{"Resolution Due"}, to: "First Response Due"},
		{at: "on_hold_since"},
	},
	"Lead": {
		{at: "qualified_on", clear: []string{"qualified_by"}, field: "qualification_status", from: []string{"Qualified"}, to: "Unqualified"},
		{at: "first_responded_on"},
	},
	"Opportunity": {
		{at: "modified", field: "status", from: []string{"Lost", "Converted", "Closed"}, to: "Open"},
	},
	"CRM Lead": {
		{at: "first_responded_on", field: "sla_status", from: []string{"Fulfilled", "Failed"}, to: "First Response Due"},
		{at: "from_date", log: "status_change_log"},
	},
	"CRM Deal": {
		{at: "first_responded_on", field: "sla_status", from: []string{"Fulfilled", "Failed"}, to: "First Response Due"},
		{at: "from_date", log: "status_change_log"},
		{at: "closed_date", clear: []string{"lost_reason"}, field: "status", from: []string{"Won", "Lost"}, to: "Open"},
	},
	"Quotation": {
		{at: "modified", field: "status", from: []string{"Lost", "Ordered", "Partially Ordered", "Cancelled"}, to: "Open"},
		{at: "modified", field: "docstatus", from: []string{"2"}, to: "1"},
	},
	"Sales Order": {
		{at: "modified", field: "docstatus", from: []string{"2"}, to: "1"},
		{at: "modified", field: "status", from: []string{"Cancelled"}, to: "To Deliver and Bill"},
	},
	"Sales Invoice": {
		{at: "modified", field: "docstatus", from: []string{"2"}, to: "1"},
		{at: "modified", field: "status", from: []string{"Cancelled"}, to: "Unpaid"},
	},
	"Contract": {
		{at: "signed_on", clear: []string{"signee", "is_signed"}, field: "status", from: []string{"Active"}, to: "Unsigned"},
	},
	"Quality Action": {
		{at: "modified", rows: [2]string{"resolutions", "status"}, field: "status", from: []string{"Completed"}, to: "Open"},
	},
	"Non Conformance": {
		{at: "modified", field: "status", from: []string{"Resolved"}, to: "Open"},
	},
	"Event": {
		{at: "starts_on", field: "status", from: []string{"Completed", "Closed"}, to: "Open"},
	},
	"Training Event": {
		{at: "end_time", rows: [2]string{"employees", "attendance"}, field: "event_status", from: []string{"Completed"}, to: "Scheduled"},
	},
	"Employee": {
		{at: "relieving_date", field: "status", from: []string{"Left"}, to: "Active"},
	},
	"ToDo": {
		{at: "modified", field: "status", from: []string{"Closed", "Cancelled"}, to: "Open"},
	},
}

// reconstruct takes back what happened after t. A site's dates and times are
// texts that sort like time, so they are compared as such: an unreadable one
// undoes nothing, and nothing is made up.
func reconstruct(d Document, t time.Time, zone *time.Location) Document {
	if zone == nil {
		zone = time.UTC
	}
	d.Reconstructed = true
	local := t.In(zone)
	now, today := local.Format("2006-01-02 15:04:05.999999"), local.Format(time.DateOnly)
	later := func(v any) bool {
		s, _ := v.(string)
		switch {
		case len(s) == len(today):
			return s > today
		case len(s) > len(today) && (s[10] == ' ' || s[10] == 'T'):
			return s[:10] > now[:10] || s[:10] == now[:10] && s[11:] > now[11:]
		}
		return false
	}
	var own map[string]any // copied before the first change
	set := func(field string, v any) {
		if own == nil {
			own = maps.Clone(d.Fields)
			d.Fields = own
		}
		own[field] = v
	}
	for _, e := range events[d.Doctype] {
		switch {
		case e.log != "":
			undoLog(&d, e.log, later, set)
			continue
		case e.at == "modified":
			if !d.Modified.After(t) || !slices.Contains(e.from, text(d.Fields[e.field])) {
				continue
			}
		default:
			if !later(d.Fields[e.at]) {
				continue
			}
		}
		if old := d.Fields[e.field]; slices.Contains(e.from, text(old)) {
			if _, number := old.(float64); number {
				set(e.field, float64(e.to[0]-'0'))
			} else {
				set(e.field, e.to)
			}
		}
		for _, f := range e.clear {
			if _, ok := d.Fields[f]; ok {
				set(f, nil)
			}
		}
		if e.rows[0] != "" {
			if rows, ok := d.Fields[e.rows[0]].([]any); ok {
				set(e.rows[0], emptied(rows, e.rows[1]))
			}
		}
	}
	// The dates go last: two events may be told by one of them.
	for _, e := range events[d.Doctype] {
		if e.at != "modified" && e.log == "" && e.at != "starts_on" && e.at != "end_time" && later(d.Fields[e.at]) {
			set(e.at, nil)
		}
	}
	return d
}

// undoLog drops the moves after t and puts the status back to where the last
// one that remains had led.
func undoLog(d *Document, table string, later func(any) bool, set func(string, any)) {
	rows, _ := d.Fields[table].([]any)
	var kept []any
	var status any
	undone := false
	for _, r := range rows {
		row, ok := r.(map[string]any)
		if !ok {
			continue
		}
		if later(row["from_date"]) {
			undone = true
			continue
		}
		if later(row["to_date"]) {
			row = maps.Clone(row)
			row["to"], row["to_date"], row["to_type"] = nil, nil, nil
			status, undone = row["from"], true
		}
		kept = append(kept, row)
	}
	if !undone {
		return
	}
	set(table, kept)
	if status != nil {
		set("status", status)
	}
}

func emptied(rows []any, field string) []any {
	out := make([]any, len(rows))
	for i, r := range rows {
		out[i] = r
		if row, ok := r.(map[string]any); ok {
			row = maps.Clone(row)
			row[field] = nil
			out[i] = row
		}
	}
	return out
}

// text spells a status for comparison; docstatus is a number in JSON.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		switch v {
		case 0:
			return "0"
		case 1:
			return "1"
		case 2:
			return "2"
		}
	case int:
		return text(float64(v))
	}
	return ""
}
