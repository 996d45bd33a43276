package frappetest

import (
	"strings"
)

// saveVersion writes the Version row of a save that changed something, where
// the DocType tracks changes.
func (q *session) saveVersion(d *document, inserted bool) error {
	if !d.m.trackChanges || inserted || d.before == nil || d.m.name == "Version" {
		return nil
	}
	diff := q.diff(d.before, d)
	if diff == nil {
		return nil
	}
	name := q.site.newHash()
	return q.insertPlain("Version", name, map[string]any{
		"ref_doctype": d.m.name, "docname": d.name(), "data": dumps(diff, indentedVersion(q.site.version)),
	})
}

// indentedVersion is how Version keeps its JSON: compact.
func indentedVersion(dialect) jsonStyle { return jsonStyle{item: ",", key: ":", sorted: true} }

// diff compares two states of a document as the Version controller does; nil
// where nothing changed.
func (q *session) diff(old, now *document) *object {
	var changed, added, removed, rows []any
	display := func(f *field, v any) any {
		if v == nil {
			return nil
		}
		switch f.typ {
		case "Date", "Datetime":
			return q.formatForUser(f.typ, cstr(v))
		case "Currency":
			return q.formatCurrency(flt(v))
		}
		return v
	}
	differs := func(a, b *document, f *field) (any, any, bool) {
		va, _ := a.valid(f.name)
		vb, _ := b.valid(f.name)
		sb, err := q.stored(b.m, f.name, vb)
		if err != nil {
			sb = vb
		}
		if isNumeric(f.typ) {
			return va, sb, flt(va) != flt(sb)
		}
		if !truthy(va) && !truthy(sb) {
			return va, sb, false
		}
		return va, sb, cstr(va) != cstr(sb)
	}
	for _, f := range now.m.fields {
		if layoutTypes[f.typ] {
			continue
		}
		if !tableTypes[f.typ] {
			if !now.m.stores(f.name) {
				continue
			}
			if a, b, yes := differs(old, now, f); yes {
				changed = append(changed, []any{f.name, display(f, a), display(f, b)})
			}
			continue
		}
		byName := map[string]*document{}
		for _, c := range old.kids[f.name] {
			byName[c.name()] = c
		}
		seen := map[string]bool{}
		for i, c := range now.kids[f.name] {
			seen[c.name()] = true
			was := byName[c.name()]
			if was == nil {
				o, _ := c.asObject(false)
				added = append(added, []any{f.name, o})
				continue
			}
			var cells []any
			for _, cf := range c.m.fields {
				if layoutTypes[cf.typ] || tableTypes[cf.typ] || !c.m.stores(cf.name) {
					continue
				}
				if a, b, yes := differs(was, c, cf); yes {
					cells = append(cells, []any{cf.name, display(cf, a), display(cf, b)})
				}
			}
			if cells != nil {
				rows = append(rows, []any{f.name, int64(i), c.name(), cells})
			}
		}
		for _, c := range old.kids[f.name] {
			if !seen[c.name()] {
				o, _ := c.asObject(false)
				removed = append(removed, []any{f.name, o})
			}
		}
	}
	if cint(old.vals["docstatus"]) != cint(now.vals["docstatus"]) {
		changed = append(changed, []any{"docstatus", cint(old.vals["docstatus"]), cint(now.vals["docstatus"])})
	}
	if changed == nil && added == nil && removed == nil && rows == nil {
		return nil
	}
	list := func(l []any) []any {
		if l == nil {
			return []any{}
		}
		return l
	}
	return newObject("added", list(added), "changed", list(changed), "data_import", nil, "removed", list(removed), "row_changed", list(rows), "updater_reference", nil)
}

// formatForUser writes a date in the site's display format, as versions do.
func (q *session) formatForUser(typ, v string) string {
	t, ok := parseDatetime(v)
	if !ok {
		return v
	}
	format := cstr(q.value("System Settings", "System Settings", "date_format"))
	if format == "" {
		format = "yyyy-mm-dd"
	}
	date := strings.NewReplacer("yyyy", t.Format("2006"), "mm", t.Format("01"), "dd", t.Format("02")).Replace(format)
	if typ == "Datetime" {
		return date + " " + t.Format("15:04:05")
	}
	return date
}

func (q *session) formatCurrency(f float64) string {
	s := strings.TrimSuffix(string(appendFloat(nil, roundTo(f, 2))), ".0")
	if !strings.Contains(s, ".") {
		s += ".00"
	}
	return s
}

// insertPlain stores a document of the machinery without checks, stamped now
// and owned by the caller.
func (q *session) insertPlain(doctype, name string, vals map[string]any) error {
	if q.site.metaOf(doctype) == nil {
		return nil
	}
	now := q.site.localNow()
	v := map[string]any{"name": name, "owner": q.user, "modified_by": q.user, "creation": now, "modified": now, "docstatus": int64(0), "idx": int64(0)}
	for k, x := range vals {
		v[k] = x
	}
	return q.store(doctype, nil, q.site.table(doctype).make(v))
}

// addComment puts an entry into the timeline of a document.
func (q *session) addComment(doctype, name, kind, content string) (*document, error) {
	id := q.site.newHash()
	full := cstr(q.value("User", q.user, "full_name"))
	err := q.insertPlain("Comment", id, map[string]any{
		"comment_type": kind, "reference_doctype": doctype, "reference_name": name, "content": content,
		"comment_email": q.user, "comment_by": full, "seen": int64(0), "published": int64(0),
	})
	if err != nil {
		return nil, err
	}
	return q.getDoc("Comment", id)
}
