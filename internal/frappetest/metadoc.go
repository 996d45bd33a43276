package frappetest

import "strings"

// metaObject writes a DocType as the desk's meta, with the keys and their
// order of a live answer.
func (q *session) metaObject(m *meta) *object {
	s := q.site
	o := newObject("doctype", "DocType", "name", m.name)
	dt := s.table("DocType")
	r := dt.find(m.name)
	for _, k := range []string{"creation", "modified", "modified_by", "owner"} {
		o.set(k, dt.get(r, k))
	}
	o.set("docstatus", cint(dt.get(r, "docstatus")))
	o.set("idx", cint(dt.get(r, "idx")))
	q.setProperties(o, s.metaOf("DocType"), docTypeOrder, m.doc)
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
		q.setProperties(fo, df, docFieldOrder, f.row)
		if isTrue(f.row["is_custom_field"]) {
			fo.set("dt", m.name)
			if v := f.row["insert_after"]; v != nil {
				fo.set("insert_after", v)
			}
			fo.set("is_system_generated", cint(f.row["is_system_generated"]))
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
	slug := strings.ToLower(strings.ReplaceAll(m.name, " ", "_"))
	for _, k := range []string{"__custom_js", "__custom_list_js"} {
		o.set(k, "\n\n//# sourceURL="+slug+k)
	}
	o.set("__assets_loaded", true)
	for _, kc := range [][2]string{{"actions", "DocType Action"}, {"links", "DocType Link"}, {"states", "DocType State"}} {
		k, child := kc[0], kc[1]
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
	if t := s.tableMap()["Custom DocPerm"]; t != nil {
		if rows := t.matching("parent", doctype); len(rows) > 0 {
			return t, rows, "Custom DocPerm"
		}
	}
	t := s.table("DocPerm")
	return t, t.childRows("DocType", doctype, "permissions"), "DocPerm"
}

// The columns of tabDocType and tabDocField in the order of a live site.
var docTypeOrder = strings.Fields(`search_fields issingle is_virtual is_tree istable editable_grid track_changes module restrict_to_domain app autoname
	naming_rule title_field image_field timeline_field sort_field sort_order description read_only in_create allow_copy allow_rename allow_import hide_toolbar
	track_seen max_attachments document_type icon color engine default_print_format is_submittable show_name_in_global_search custom beta has_web_view
	allow_guest_to_view route is_published_field website_search_field email_append_to subject_field sender_field sender_name_field show_title_field_in_link
	migration_hash translated_doctype is_calendar_and_gantt quick_entry grid_page_length track_views queue_in_background documentation nsm_parent_field
	allow_events_in_timeline allow_auto_repeat make_attachments_public default_view force_re_route_to_default_view show_preview_popup default_email_template
	protect_attached_files index_web_pages_for_search row_format`)

var docFieldOrder = strings.Fields(`fieldname label oldfieldname fieldtype oldfieldtype options search_index show_dashboard hidden set_only_once
	allow_in_quick_entry print_hide report_hide reqd bold in_global_search collapsible unique no_copy allow_on_submit show_preview_popup
	collapsible_depends_on mandatory_depends_on read_only_depends_on depends_on permlevel ignore_user_permissions width print_width columns default description
	in_list_view fetch_if_empty in_filter remember_last_selected_value ignore_xss_filter print_hide_if_no_value allow_bulk_edit in_standard_filter in_preview
	read_only precision max_height length translatable hide_border hide_days hide_seconds documentation_url placeholder non_negative is_virtual sort_options
	link_filters fetch_from show_on_timeline make_attachment_public`)

// setProperties writes the properties that the version knows; what was never
// set has the default of a new row, and texts without value are left out.
func (q *session) setProperties(o *object, pm *meta, order []string, vals map[string]any) {
	write := func(f *field) {
		v := vals[f.name]
		if v == nil {
			v = defaultText(f)
		}
		if f.typ == "Check" || f.typ == "Int" {
			v = cint(v)
		}
		if v != nil {
			o.set(f.name, v)
		}
	}
	for _, k := range order {
		if k == "show_preview_popup" && pm.name == "DocField" {
			o.set(k, int64(0)) // a column that outlived its field
			continue
		}
		if f := pm.field(k); f != nil && !layoutTypes[f.typ] && !tableTypes[f.typ] {
			write(f)
		}
	}
	for _, f := range pm.fields {
		if !layoutTypes[f.typ] && !tableTypes[f.typ] && !o.has(f.name) {
			write(f)
		}
	}
}

// defaultText is the default of a property in a new row.
func defaultText(f *field) any {
	switch {
	case f.def != "":
		return f.def
	case f.typ == "Select" && f.options != "":
		first, _, _ := strings.Cut(f.options, "\n")
		return first
	}
	return nil
}
