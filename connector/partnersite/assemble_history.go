package partnersite

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// deletedFields reads what a Deleted Document holds of the record; nil when the
// connector did not keep it or it is no object.
func deletedFields(r *record) map[string]any {
	switch v := r.value("data").(type) {
	case map[string]any:
		return v
	case string:
		if len(v) > 1<<20 {
			return nil
		}
		var out map[string]any
		if json.Unmarshal([]byte(v), &out) != nil {
			return nil
		}
		return out
	}
	return nil
}

// resurrect gives back, to instants before their deletion, the records of which
// only a Deleted Document was ever seen.
func (s *site) resurrect(docs []evidence.Document, deleted []int32) []evidence.Document {
	var out []evidence.Document
	for _, i := range deleted {
		d := &docs[i]
		if d.Gone || !d.Created.After(s.asOf) || !d.Seen.After(s.asOf) {
			continue
		}
		r := record{Document: d, site: s}
		was := deletedFields(&r)
		doctype, name := r.str("deleted_doctype"), r.str("deleted_name")
		if was == nil || doctype == "" || name == "" || doctype == doctypeDeleted {
			continue
		}
		back := evidence.Document{Fields: was, Ref: evidence.Ref{
			Site: s.in.Site.Key, Doctype: doctype, Name: name, Seen: d.Seen, Hash: d.Hash,
			Created: s.moment(was["creation"]), Modified: s.moment(was["modified"]),
		}}
		back.Stamp, _ = was["modified"].(string)
		back.Ref.Owner, _ = was["owner"].(string)
		if !back.Created.IsZero() {
			out = append(out, back)
		}
	}
	return out
}

func (s *site) moment(v any) time.Time {
	text, _ := v.(string)
	t, err := s.instant(text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// history adds what was seen to change and to vanish.
func (s *site) history(snap *evidence.Snapshot) {
	s.changes(snap)
	s.deletions(snap)
}

// resets finds the comments that a site writes when somebody starts the clock of
// a ticket's agreement anew; no field keeps that.
func (s *site) resets(snap *evidence.Snapshot) {
	docs := s.docs["Comment"]
	for i := range docs {
		r := &docs[i]
		text := r.plain("content")
		if !strings.Contains(text, "Service Level Agreement") || !strings.Contains(text, "reset") {
			continue
		}
		if on := s.ref(r.str("reference_doctype"), r.str("reference_name")); on.Name != "" {
			snap.Changes = append(snap.Changes, evidence.Change{
				Ref: on, Field: "sla_reset", To: text, At: r.Created, By: cmp.Or(r.str("comment_email"), r.Ref.Owner),
			})
		}
	}
}

// tellsNothing are fields whose changes are bookkeeping of the site.
var tellsNothing = map[string]bool{
	"modified": true, "modified_by": true, "creation": true, "owner": true, "idx": true, "lft": true, "rgt": true, "old_parent": true,
	"name": true, "doctype": true, "_seen": true, "_liked_by": true, "_comments": true, "_user_tags": true, "__islocal": true,
	"depends_on_tasks": true, "parent": true, "parentfield": true, "parenttype": true,
}

func (s *site) changes(snap *evidence.Snapshot) {
	docs := s.docs[doctypeVersion]
	// By the record that changed, as the snapshot will be sorted.
	versions := make([]version, len(docs))
	for i := range docs {
		versions[i] = version{doctype: docs[i].str("ref_doctype"), name: docs[i].str("docname"), record: &docs[i]}
	}
	slices.SortFunc(versions, func(a, b version) int {
		return cmp.Or(cmp.Compare(a.doctype, b.doctype), cmp.Compare(a.name, b.name), a.record.Created.Compare(b.record.Created), cmp.Compare(a.record.Name, b.record.Name))
	})
	snap.Changes = slices.Grow(snap.Changes, 3*len(docs)+2*len(s.edited))
	for _, v := range versions {
		s.versionChanges(snap, v)
	}
	s.resets(snap)
	for _, h := range s.edited {
		last := -1
		for i := range h {
			if h[i].Gone {
				continue
			}
			if last >= 0 {
				s.captured(snap, h[last], h[i])
			}
			last = i
		}
	}
}

// version is a Version and the record whose change it tells.
type version struct {
	doctype, name string
	record        *record
}

// versionChanges reads one Version: what a user changed in one save.
func (s *site) versionChanges(snap *evidence.Snapshot, v version) {
	if v.name == "" || v.doctype == "Company" || v.doctype == "User" { // the site's own household
		return
	}
	var data struct {
		Changed    [][3]any `json:"changed"`     // field, from, to
		RowChanged [][4]any `json:"row_changed"` // table, row, name, changed
		Added      [][1]any `json:"added"`
		Removed    [][1]any `json:"removed"`
	}
	r := v.record
	text, _ := r.value("data").(string)
	if len(text) > 1<<20 || text != "" && json.Unmarshal([]byte(text), &data) != nil {
		r.drift("data")
		return
	}
	on := s.ref(v.doctype, v.name)
	add := func(field string, from, to any) {
		c := evidence.Change{Ref: on, Field: cut(field), From: s.shown(from), To: s.shown(to), At: r.Created, By: r.Ref.Owner}
		if field != "" && !tellsNothing[field] && c.From != c.To {
			snap.Changes = append(snap.Changes, c)
		}
	}
	for _, c := range bounded(data.Changed) {
		field, _ := c[0].(string)
		add(field, c[1], c[2])
	}
	for _, c := range bounded(data.RowChanged) {
		table, _ := c[0].(string)
		fields, _ := c[3].([]any)
		for _, f := range bounded(fields) {
			if c, ok := f.([]any); ok && len(c) >= 3 {
				if field, ok := c[0].(string); ok && !tellsNothing[field] {
					add(table+"."+field, c[1], c[2])
				}
			}
		}
	}
	for _, c := range bounded(data.Added) {
		table, _ := c[0].(string)
		add(table, "", "row added")
	}
	for _, c := range bounded(data.Removed) {
		table, _ := c[0].(string)
		add(table, "row removed", "")
	}
}

// bounded cuts a list that one save cannot have made.
func bounded[T any](list []T) []T { return list[:min(len(list), 500)] }

// shown is a value of a Version as it would be stored: versions keep dates in
// the site's display format.
func (s *site) shown(v any) string {
	text, _ := spell(v)
	if iso, ok := s.isoDate(text); ok {
		return iso
	}
	return plainText(text)
}

// isoDate reads a date or time in the site's display format and spells it as it
// is stored. A text that is not wholly one is left alone.
func (s *site) isoDate(text string) (string, bool) {
	form, ok := displayForms[s.in.DateFormat]
	if !ok || len(text) < len(form) || text[0] < '0' || text[0] > '9' {
		return "", false
	}
	d, err := time.Parse(form, text[:len(form)])
	if err != nil || d.Year() < 1900 || d.Year() > 2200 {
		return "", false
	}
	rest := text[len(form):]
	switch len(rest) {
	case 0:
		return d.Format(time.DateOnly), true
	case len(" 15:04"), len(" 15:04:05"), len(" 15:04:05.000000"):
		for _, clock := range []string{" 15:04:05", " 15:04"} {
			if t, err := time.Parse(clock, rest); err == nil {
				return d.Format(time.DateOnly) + t.Format(" 15:04:05"), true
			}
		}
	}
	return "", false
}

// displayForms are Frappe's date formats.
var displayForms = map[string]string{
	"yyyy-mm-dd": "2006-01-02", "dd-mm-yyyy": "02-01-2006", "dd/mm/yyyy": "02/01/2006", "dd.mm.yyyy": "02.01.2006",
	"mm/dd/yyyy": "01/02/2006", "mm-dd-yyyy": "01-02-2006",
}

// captured compares two versions that we saw ourselves. A field that only one of
// them has, of a record that the site did not touch, is one that we did not read
// before: no change.
func (s *site) captured(snap *evidence.Snapshot, a, b *evidence.Document) {
	if a.Hash == b.Hash && a.Hash != "" {
		return
	}
	ref := b.Ref
	ref.Site = s.in.Site.Key
	by, _ := b.Fields["modified_by"].(string)
	untouched := a.Stamp == b.Stamp || a.Stamp == "" || b.Stamp == "" // timelines give no stamp
	if untouched {
		by = "" // the site's own jobs leave no name
	}
	add := func(field, from, to string) {
		snap.Changes = append(snap.Changes, evidence.Change{Ref: ref, Field: cut(field), From: from, To: to, At: b.Seen, By: cut(by), Own: true})
	}
	for _, f := range differing(a.Fields, b.Fields) {
		x, inA := a.Fields[f]
		y, inB := b.Fields[f]
		if tellsNothing[f] || untouched && inA != inB {
			continue
		}
		xs, xIsTable := x.([]any)
		ys, yIsTable := y.([]any)
		if xIsTable || yIsTable {
			compareRows(add, f, xs, ys)
			continue
		}
		from, _ := spell(x)
		to, _ := spell(y)
		if !(blank(from) && blank(to)) {
			add(f, plainText(from), plainText(to))
		}
	}
}

// blank tells what Frappe does not tell apart: no value, an unticked box, zero.
func blank(s string) bool { return s == "" || s == "0" }

func compareRows(add func(field, from, to string), table string, a, b []any) {
	if len(a) != len(b) {
		add(table, rowCount(len(a)), rowCount(len(b)))
		return
	}
	for i := range min(len(a), maxTableRows) {
		x, _ := a[i].(map[string]any)
		y, _ := b[i].(map[string]any)
		for _, f := range differing(x, y) {
			from, _ := spell(x[f])
			to, _ := spell(y[f])
			if !tellsNothing[f] && !(blank(from) && blank(to)) {
				add(table+"."+f, plainText(from), plainText(to))
			}
		}
	}
}

func rowCount(n int) string {
	if n == 1 {
		return "1 row"
	}
	return strconv.Itoa(n) + " rows"
}

// differing lists the fields in which two versions may differ, sorted: tables
// always, as their rows are compared later.
func differing(a, b map[string]any) []string {
	var out []string
	for f, x := range a {
		if !same(x, b[f]) {
			out = append(out, f)
		}
	}
	for f, y := range b {
		if _, ok := a[f]; !ok && !same(nil, y) {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return out
}

func same(x, y any) bool {
	switch x := x.(type) {
	case string:
		if y, ok := y.(string); ok {
			return x == y
		}
	case float64:
		if y, ok := y.(float64); ok {
			return x == y
		}
	case []any:
		return false
	}
	from, ok1 := spell(x)
	to, ok2 := spell(y)
	return ok1 && ok2 && from == to
}

// deletions joins what the site admits with what we saw vanish.
func (s *site) deletions(snap *evidence.Snapshot) {
	admitted := map[owner]*record{}
	docs := s.docs[doctypeDeleted]
	readable := len(docs) > 0 || slices.ContainsFunc(s.in.Coverage, func(c evidence.Coverage) bool {
		return c.Stream == doctypeDeleted && !c.LastSuccess.IsZero()
	})
	for i := range docs {
		r := &docs[i]
		on := owner{r.str("deleted_doctype"), r.str("deleted_name")}
		if on.name == "" {
			continue
		}
		if old := admitted[on]; old == nil || old.Created.Before(r.Created) {
			admitted[on] = r
		}
	}
	for _, h := range s.gone {
		last := h[len(h)-1]
		d := evidence.Deletion{Ref: last.Ref, At: last.Seen, RenamedTo: last.RenamedTo}
		for _, v := range slices.Backward(h) {
			if !v.Gone { // the version that was there last says more than the one that was not
				d.Ref = v.Ref
				break
			}
		}
		d.Ref.Site = s.in.Site.Key
		on := owner{last.Doctype, last.Name}
		if r := admitted[on]; r != nil && d.RenamedTo == "" {
			d.At, d.By = r.Created, r.Ref.Owner
			if r.flag("restored") {
				d.RenamedTo = r.str("new_name")
			}
			delete(admitted, on)
		} else if d.RenamedTo == "" {
			d.Permanent = readable
		}
		snap.Deletions = append(snap.Deletions, d)
	}
	for i := range docs {
		r := &docs[i]
		on := owner{r.str("deleted_doctype"), r.str("deleted_name")}
		if admitted[on] != r {
			continue
		}
		d := evidence.Deletion{Ref: evidence.Ref{Site: s.in.Site.Key, Doctype: on.doctype, Name: on.name, Seen: r.Seen}, At: r.Created, By: r.Ref.Owner}
		if was := deletedFields(r); was != nil {
			d.Created, d.Modified = s.moment(was["creation"]), s.moment(was["modified"])
			d.Ref.Owner, _ = was["owner"].(string)
		}
		if r.flag("restored") {
			d.RenamedTo = r.str("new_name")
		}
		snap.Deletions = append(snap.Deletions, d)
	}
}
