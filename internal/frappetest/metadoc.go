package frappetest

import "strings"

// metaObject writes a DocType as the desk's meta, with the keys and their
// order of a live answer.
func (q *session) metaObject(m *meta) *object {
	s := q.site
	o := newObject("doctype", "DocType", "name", m.name)
	dt := s.table("DocType")
	r := dt.find(m.name)
	for _, k := range []string{"creation", "modified", "modified_by", "owner", "docstatus", "idx"} {
		o.set(k, dt.get(r, k))
	}
	o.set("docstatus", cint(o.get("docstatus")))
	o.set("idx", cint(o.get("idx")))
	core := s.metaOf("DocType")
	for _, f := range core.fields {
		if layoutTypes[f.typ] || tableTypes[f.typ] {
			continue
		}
		v := m.doc[f.name]
		switch {
		case f.typ == "Check" || f.typ == "Int":
			v = cint(v)
		case v == nil:
			continue
		}
		o.set(f.name, v)
	}
	extras := func(x *object) {
		for _, k := range []string{"fields", "permissions", "actions", "links", "states"} {
			x.set(k, []any{})
		}
	}
	fields := []any{}
	df := s.metaOf("DocField")
	for _, f := range m.fields {
		fo := newObject("doctype", "DocField")
		if isTrue(f.row["is_custom_field"]) {
			fo.set("doctype", "Custom Field")
		}
		for _, k := range []string{"name", "creation", "modified", "modified_by", "owner"} {
			fo.set(k, f.row[k])
		}
		fo.set("docstatus", cint(f.row["docstatus"]))
		fo.set("parent", m.name)
		fo.set("parentfield", "fields")
		fo.set("parenttype", "DocType")
		fo.set("idx", f.row["idx"])
		for _, p := range df.fields {
			if layoutTypes[p.typ] {
				continue
			}
			v := f.row[p.name]
			if p.typ == "Check" || p.typ == "Int" {
				v = cint(v)
			}
			if v == nil {
				continue
			}
			fo.set(p.name, v)
		}
		extras(fo)
		fo.set("search_fields", nil)
		fo.set("is_custom_field", nil)
		if isTrue(f.row["is_custom_field"]) {
			fo.set("is_custom_field", int64(1))
		}
		fo.set("linked_document_type", nil)
		if f.typ == "Link" {
			if lm := s.metaOf(f.options); lm != nil {
				fo.set("linked_document_type", cstr(lm.doc["document_type"]))
				if lm.searchFields != "" {
					fo.set("search_fields", searchFields(lm))
				}
			}
		}
		fields = append(fields, fo)
	}
	o.set("fields", fields)
	perms := []any{}
	pt, rows, kind := s.permRows(m.name)
	for _, pr := range rows {
		po := newObject("doctype", kind, "name", pr.name)
		for _, k := range []string{"creation", "modified", "modified_by", "owner"} {
			po.set(k, pt.get(pr, k))
		}
		po.set("docstatus", cint(pt.get(pr, "docstatus")))
		po.set("idx", cint(pt.get(pr, "idx")))
		po.set("parent", m.name)
		po.set("role", pt.get(pr, "role"))
		for _, k := range []string{"if_owner", "permlevel", "select", "read", "write", "create", "delete", "submit", "cancel", "amend", "report", "export", "import", "share", "print", "email"} {
			po.set(k, cint(pt.get(pr, k)))
		}
		extras(po)
		perms = append(perms, po)
	}
	o.set("permissions", perms)
	o.set("is_large_table", false)
	for _, k := range []string{"__custom_js", "__custom_list_js"} {
		o.set(k, nil)
	}
	o.set("__assets_loaded", true)
	for k, child := range map[string]string{"actions": "DocType Action", "links": "DocType Link", "states": "DocType State"} {
		list := []any{}
		ct := s.table(child)
		cm := s.metaOf(child)
		for _, c := range ct.childRows("DocType", m.name, k) {
			if cm == nil {
				break
			}
			if co, err := q.load(cm, ct, c).asObject(true); err == nil {
				list = append(list, co)
			}
		}
		o.set(k, list)
	}
	for _, k := range []string{"__js", "__css", "__list_js", "__calendar_js", "__map_js", "__linked_with", "__messages"} {
		o.set(k, nil)
	}
	o.set("__print_formats", []any{})
	o.set("__workflow_docs", []any{})
	for _, k := range []string{"__form_grid_templates", "__listview_template", "__tree_js"} {
		o.set(k, nil)
	}
	o.set("__dashboard", newObject("transactions", []any{}, "non_standard_fieldnames", newObject(), "internal_links", newObject()))
	o.set("__kanban_column_fields", []any{})
	o.set("__templates", nil)
	return o
}

func searchFields(m *meta) []any {
	var out []any
	for _, f := range splitFields(m.searchFields) {
		out = append(out, f)
	}
	return out
}

func splitFields(s string) []string {
	var out []string
	for _, f := range strings.Split(s, ",") {
		f = strings.TrimSpace(f)
		if f != "" {
			out = append(out, f)
		}
	}
	return out
}

// permRows gives the effective permission rows of a DocType: the custom ones
// where there are any.
func (s *Site) permRows(doctype string) (*table, []*row, string) {
	if t := s.tables["Custom DocPerm"]; t != nil {
		if rows := t.matching("parent", doctype); len(rows) > 0 {
			return t, rows, "Custom DocPerm"
		}
	}
	t := s.table("DocPerm")
	return t, t.childRows("DocType", doctype, "permissions"), "DocPerm"
}
