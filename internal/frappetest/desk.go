package frappetest

import (
	"slices"
	"sort"
	"strings"
)

// deskArgs reads the parameters of reportview; an argument that the query
// does not know is a TypeError.
func (q *session) deskArgs(p *object) (listArgs, error) {
	a := listArgs{desk: true}
	for _, k := range p.keys {
		v := p.vals[k]
		switch k {
		case "doctype":
			a.doctype = cstr(v)
		case "fields":
			a.fields = v
		case "filters":
			a.filters = v
		case "or_filters":
			a.orFilters = v
		case "group_by":
			a.groupBy = v
		case "order_by":
			a.orderBy = v
		case "start", "limit_start":
			if truthy(v) {
				a.start = v
			}
		case "page_length", "limit_page_length", "limit":
			if truthy(v) {
				a.limit = v
			}
		case "distinct":
			a.distinct = truthy(sbool(v))
		case "parent_doctype", "parenttype":
			a.parent = cstr(v)
		case "as_list":
			a.asList = truthy(sbool(v))
		case "cmd", "data", "ignore_permissions", "view", "user", "csrf_token", "join", "docstatus", "with_childnames", "debug",
			"with_comment_count", "ignore_ifnull", "save_user_settings", "save_user_settings_fields", "update", "add_total_row", "user_settings",
			"reference_doctype", "run", "strict", "pluck", "ignore_ddl":
		default:
			return a, raise("TypeError", "DatabaseQuery.execute() got an unexpected keyword argument '%s'", k)
		}
	}
	if a.doctype == "" {
		return a, raise("AttributeError", "'NoneType' object has no attribute 'lower'")
	}
	return a, nil
}

func (q *session) deskRows(p *object) (*rowsOut, error) {
	a, err := q.deskArgs(p)
	if err != nil {
		return nil, err
	}
	qu, err := q.understand(a)
	if err != nil {
		return nil, err
	}
	return qu.run(), nil
}

func (q *session) deskList(p *object) (any, error) { return q.deskRowsAny(p) }

func (q *session) deskRowsAny(p *object) (any, error) {
	rows, err := q.deskRows(p)
	if err != nil {
		return nil, err
	}
	return rawJSON(rows.appendJSON(nil)), nil
}

func (q *session) deskGet(p *object) (any, error) {
	rows, err := q.deskRows(p)
	if err != nil {
		return nil, err
	}
	if len(rows.rows) == 0 {
		return []any{}, nil
	}
	keys := make([]any, len(rows.keys))
	for i, k := range rows.keys {
		keys[i] = k
	}
	return newObject("keys", keys, "values", rawJSON((&rowsOut{keys: rows.keys, rows: rows.rows, asList: true}).appendJSON(nil)), "user_info", newObject()), nil
}

func (q *session) deskCount(p *object) (any, error) {
	a, err := q.deskArgs(p)
	if err != nil {
		return nil, err
	}
	limit := cint(a.limit)
	field := "`tab" + a.doctype + "`.name"
	if limit > 0 {
		a.fields, a.orderBy, a.desk = []any{field}, nil, false
		if a.distinct {
			a.fields = []any{"distinct " + field}
		}
		qu, err := q.understand(a)
		if err != nil {
			return nil, err
		}
		return int64(len(qu.run().rows)), nil
	}
	expr := "count(" + field + ") as total_count"
	if a.distinct {
		expr = "count(distinct " + field + ") as total_count"
	}
	a.fields, a.orderBy, a.limit, a.distinct = []any{expr}, nil, nil, false
	qu, err := q.understand(a)
	if err != nil {
		return nil, err
	}
	out := qu.run()
	if len(out.rows) == 0 {
		return int64(0), nil
	}
	return out.rows[0][0], nil
}

func (q *session) getDocType(p *object) (any, error) {
	if err := need("getdoctype", p, "doctype"); err != nil {
		return nil, err
	}
	m, err := q.meta(cstr(p.get("doctype")))
	if err != nil {
		return nil, err
	}
	docs := []any{q.metaObject(m)}
	seen := map[string]bool{m.name: true}
	for _, f := range m.tables {
		if cm := q.site.metaOf(f.options); cm != nil && !seen[cm.name] {
			seen[cm.name] = true
			docs = append(docs, q.metaObject(cm))
		}
	}
	q.extra.set("docs", docs)
	q.extra.set("user_settings", "{}")
	return nil, nil
}

func (q *session) getDocWithInfo(p *object) (any, error) {
	if err := need("getdoc", p, "doctype", "name"); err != nil {
		return nil, err
	}
	d, err := q.getDoc(cstr(p.get("doctype")), cstr(p.get("name")))
	if err != nil {
		return nil, err
	}
	if !q.can(d, "read") {
		q.errorMessage = "Insufficient Permission for " + bold(d.m.name+" "+d.name())
		return nil, raise("PermissionError", "('read', '%s', '%s')", d.m.name, d.name())
	}
	info := q.docInfo(d)
	d.hideLevels()
	o, err := d.asObject(true)
	if err != nil {
		return nil, err
	}
	q.extra.set("docs", []any{o})
	q.extra.set("docinfo", info)
	return nil, nil
}

func (q *session) getDocInfo(p *object) (any, error) {
	doctype, name := cstr(p.get("doctype")), cstr(p.get("name"))
	if doctype == "" || name == "" {
		return nil, raise("TypeError", "get_docinfo() needs doctype and name")
	}
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	if !q.can(d, "read") {
		return nil, raise("PermissionError", "")
	}
	q.extra.set("docinfo", q.docInfo(d))
	return nil, nil
}

// pick makes an object of some columns of a row; others follow as given.
func pickRow(t *table, r *row, cols ...string) *object {
	o := newObject()
	for _, c := range cols {
		o.set(c, t.get(r, c))
	}
	return o
}

// byCreation sorts rows by creation, then name.
func byCreation(t *table, rows []*row, desc bool) []*row {
	sort.SliceStable(rows, func(i, j int) bool {
		a, b := t.str(rows[i], "creation"), t.str(rows[j], "creation")
		if a == b {
			return nameLess(rows[i], rows[j])
		}
		return (a < b) != desc
	})
	return rows
}

func (q *session) referring(doctype, by, at, refType, refName string) (*table, []*row) {
	t := q.site.tableMap()[doctype]
	if t == nil {
		return newTable(), nil
	}
	var out []*row
	for _, r := range t.matching(at, refName) {
		if t.str(r, by) == refType {
			out = append(out, r)
		}
	}
	return t, out
}

var communicationColumns = []string{
	"name", "communication_type", "communication_medium", "comment_type", "communication_date", "content", "sender", "sender_full_name",
	"cc", "bcc", "creation", "subject", "delivery_status", "_liked_by", "reference_doctype", "reference_name", "read_by_recipient", "rating", "recipients",
}

// communications are the mails and messages on a document, newest first.
func (q *session) communications(doctype, name string, start, limit int, automated bool) []any {
	t, rows := q.referring("Communication", "reference_doctype", "reference_name", doctype, name)
	links, linked := q.referring("Communication Link", "link_doctype", "link_name", doctype, name)
	for _, l := range linked {
		if r := t.find(links.str(l, "parent")); r != nil && !slices.Contains(rows, r) {
			rows = append(rows, r)
		}
	}
	kept := rows[:0:0]
	for _, r := range rows {
		kind := t.str(r, "communication_type")
		if automated && kind == "Automated Message" || !automated && (kind == "Communication" || kind == "Feedback") {
			kept = append(kept, r)
		}
	}
	sort.SliceStable(kept, func(i, j int) bool {
		a, b := t.str(kept[i], "communication_date"), t.str(kept[j], "communication_date")
		return a > b
	})
	out := []any{}
	ft := q.site.table("File")
	for i, r := range kept {
		if i < start || i >= start+limit {
			continue
		}
		o := pickRow(t, r, communicationColumns...)
		files := []any{}
		for _, f := range ft.matching("attached_to_name", r.name) {
			if ft.str(f, "attached_to_doctype") == "Communication" {
				files = append(files, pickRow(ft, f, "file_url", "is_private"))
			}
		}
		o.set("attachments", dumps(files, pythonJSON))
		for _, k := range []string{"read_by_recipient", "rating"} {
			o.set(k, cint(o.get(k)))
		}
		out = append(out, o)
	}
	return out
}

func (q *session) getCommunications(p *object) (any, error) {
	if err := need("get_communications", p, "doctype", "name"); err != nil {
		return nil, err
	}
	d, err := q.getDoc(cstr(p.get("doctype")), cstr(p.get("name")))
	if err != nil {
		return nil, err
	}
	if !q.can(d, "read") {
		return nil, raise("PermissionError", "")
	}
	limit := 20
	if p.has("limit") {
		limit = int(cint(p.get("limit")))
	}
	return q.communications(d.m.name, d.name(), int(cint(p.get("start"))), limit, false), nil
}

func (q *session) docInfo(d *document) *object {
	doctype, name := d.m.name, d.name()
	o := newObject()
	users := newObject()
	o.set("user_info", users)
	see := func(u string) {
		if u == "" || users.has(u) {
			return
		}
		t := q.site.table("User")
		r := t.find(u)
		if r == nil {
			return
		}
		users.set(u, newObject("fullname", t.get(r, "full_name"), "image", t.get(r, "user_image"), "name", r.name, "email", t.get(r, "email"), "time_zone", t.get(r, "time_zone")))
	}
	groups := map[string][]any{}
	ct, comments := q.referring("Comment", "reference_doctype", "reference_name", doctype, name)
	for _, r := range byCreation(ct, comments, false) {
		kind := ct.str(r, "comment_type")
		key := map[string]string{
			"Comment": "comments", "Shared": "shared", "Unshared": "shared", "Assigned": "assignment_logs", "Assignment Completed": "assignment_logs",
			"Attachment": "attachment_logs", "Attachment Removed": "attachment_logs", "Info": "info_logs", "Edit": "info_logs", "Label": "info_logs",
			"Like": "like_logs", "Workflow": "workflow_logs",
		}[kind]
		if key == "" {
			continue
		}
		co := pickRow(ct, r, "name", "creation", "content", "owner", "comment_type")
		co.set("published", cint(ct.get(r, "published")))
		if kind == "Comment" {
			co.set("content", markdown(cstr(co.get("content"))))
		}
		groups[key] = append(groups[key], co)
	}
	for _, key := range []string{"comments", "shared", "assignment_logs", "attachment_logs", "info_logs", "like_logs", "workflow_logs"} {
		l := groups[key]
		if l == nil {
			l = []any{}
		}
		o.set(key, l)
	}
	st, shares := q.referring("DocShare", "share_doctype", "share_name", doctype, name)
	sharedList := []any{}
	for _, r := range shares {
		so := pickRow(st, r, "user", "read", "write", "submit", "share", "everyone", "owner", "creation")
		for _, k := range []string{"read", "write", "submit", "share", "everyone"} {
			so.set(k, cint(so.get(k)))
		}
		sharedList = append(sharedList, so)
		see(st.str(r, "user"))
	}
	if len(sharedList) > 0 {
		o.set("shared", sharedList)
	}
	o.set("doctype", doctype)
	o.set("name", name)
	ft, files := q.referring("File", "attached_to_doctype", "attached_to_name", doctype, name)
	attachments := []any{}
	for _, r := range byCreation(ft, files, false) {
		fo := pickRow(ft, r, "name", "file_name", "file_url", "is_private")
		fo.set("is_private", cint(fo.get("is_private")))
		attachments = append(attachments, fo)
	}
	o.set("attachments", attachments)
	mails := q.communications(doctype, name, 0, 21, false)
	o.set("communications", mails)
	o.set("automated_messages", q.communications(doctype, name, 0, 21, true))
	vt, versions := q.referring("Version", "ref_doctype", "docname", doctype, name)
	list := []any{}
	for i, r := range byCreation(vt, versions, true) {
		if i < 10 {
			list = append(list, pickRow(vt, r, "name", "owner", "creation", "data"))
		}
	}
	if !d.m.trackChanges && len(list) == 0 {
		list = []any{}
	}
	o.set("versions", list)
	tt, todos := q.referring("ToDo", "reference_type", "reference_name", doctype, name)
	assigned := []any{}
	for _, r := range byCreation(tt, todos, false) {
		if s := tt.str(r, "status"); s == "Cancelled" || s == "Closed" {
			continue
		}
		assigned = append(assigned, newObject("name", r.name, "owner", tt.get(r, "allocated_to"), "description", tt.get(r, "description"), "status", tt.get(r, "status")))
		see(tt.str(r, "allocated_to"))
	}
	o.set("assignments", assigned)
	o.set("permissions", q.permObject(d))
	o.set("views", []any{})
	if q.site.version.major <= 15 {
		o.set("energy_point_logs", []any{})
	}
	o.set("additional_timeline_content", []any{})
	o.set("milestones", []any{})
	o.set("is_document_followed", nil)
	o.set("tags", "")
	o.set("document_email", nil)
	for _, l := range [][]any{groups["comments"], groups["assignment_logs"], groups["attachment_logs"], groups["info_logs"], list} {
		for _, x := range l {
			see(cstr(x.(*object).get("owner")))
		}
	}
	for _, x := range mails {
		see(cstr(x.(*object).get("sender")))
	}
	return o
}

// markdown is what the desk's converter makes of a comment: paragraphs, with
// HTML blocks left as they are.
func markdown(s string) string {
	var b strings.Builder
	for _, p := range strings.Split(strings.TrimSpace(s), "\n\n") {
		p = strings.TrimSpace(p)
		switch {
		case p == "":
		case strings.HasPrefix(p, "<"):
			b.WriteString(p + "\n\n")
		default:
			b.WriteString("<p>" + p + "</p>\n\n")
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (q *session) rpcAddComment(p *object) (any, error) {
	if err := need("add_comment", p, "reference_doctype", "reference_name", "content", "comment_email", "comment_by"); err != nil {
		return nil, err
	}
	d, err := q.getDoc(cstr(p.get("reference_doctype")), cstr(p.get("reference_name")))
	if err != nil {
		return nil, err
	}
	if err := q.checkPermission(d, "read"); err != nil {
		return nil, err
	}
	c, err := q.addComment(d.m.name, d.name(), "Comment", sanitizeHTML(cstr(p.get("content"))))
	if err != nil {
		return nil, err
	}
	return c.asObject(true)
}

// assignAdd is assign_to.add: one open ToDo per user and document, a repeat
// only tells so.
func (q *session) assignAdd(p *object) (any, error) {
	users, err := parsed(p.get("assign_to"))
	if err != nil {
		return nil, err
	}
	list, _ := users.([]any)
	doctype, name := cstr(p.get("doctype")), cstr(p.get("name"))
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	var already []string
	for _, u := range list {
		user := cstr(u)
		t, rows := q.referring("ToDo", "reference_type", "reference_name", doctype, name)
		open := false
		for _, r := range rows {
			open = open || t.str(r, "allocated_to") == user && t.str(r, "status") == "Open"
		}
		if open {
			already = append(already, user)
			continue
		}
		if !q.exists("User", user) {
			return nil, q.throw("LinkValidationError", "Could not find Allocated To: %s", user)
		}
		description := cstr(p.get("description"))
		if description == "" {
			description = "Assignment for " + doctype + " " + name
		}
		vals := map[string]any{
			"allocated_to": user, "reference_type": doctype, "reference_name": name, "description": sanitizeHTML(description), "status": "Open",
			"priority": "Medium", "assigned_by": q.user, "date": q.site.today().Format(dateLayout),
		}
		if v := cstr(p.get("priority")); v != "" {
			vals["priority"] = v
		}
		if v := cstr(p.get("date")); v != "" {
			vals["date"] = v
		}
		todo := q.site.newHash()
		if err := q.insertPlain("ToDo", todo, vals); err != nil {
			return nil, err
		}
		full := func(u string) string {
			if f := cstr(q.value("User", u, "full_name")); f != "" {
				return f
			}
			return u
		}
		if _, err := q.addComment(doctype, name, "Assigned", full(q.user)+" assigned "+full(user)+": "+description); err != nil {
			return nil, err
		}
		if err := q.notifyUser(user, "Assignment", doctype, name, bold(full(q.user))+" assigned a new task "+bold(doctype)+" "+bold(name)+" to you"); err != nil {
			return nil, err
		}
	}
	if err := q.syncAssign(doctype, name); err != nil {
		return nil, err
	}
	if len(already) > 0 {
		q.notify("Already in the following Users ToDo list:%s", "<br><br>"+strings.Join(already, "<br>"))
	}
	_ = d
	return q.assignments(doctype, name), nil
}

func (q *session) assignments(doctype, name string) []any {
	t, rows := q.referring("ToDo", "reference_type", "reference_name", doctype, name)
	out := []any{}
	for _, r := range byCreation(t, rows, false) {
		if s := t.str(r, "status"); s != "Cancelled" && s != "Closed" {
			out = append(out, newObject("owner", t.get(r, "allocated_to"), "name", r.name))
		}
	}
	return out
}

// syncAssign keeps the _assign column, without touching modified.
func (q *session) syncAssign(doctype, name string) error {
	users := []any{}
	for _, a := range q.assignments(doctype, name) {
		users = append(users, a.(*object).get("owner"))
	}
	return q.setDirect(doctype, name, map[string]any{"_assign": dumps(users, pythonJSON)})
}

func (q *session) assignRemove(p *object) (any, error) {
	doctype, name, user := cstr(p.get("doctype")), cstr(p.get("name")), cstr(p.get("assign_to"))
	t, rows := q.referring("ToDo", "reference_type", "reference_name", doctype, name)
	for _, r := range rows {
		if t.str(r, "allocated_to") == user && t.str(r, "status") == "Open" {
			if err := q.setDirect("ToDo", r.name, map[string]any{"status": "Cancelled", "modified": q.site.localNow(), "modified_by": q.user}); err != nil {
				return nil, err
			}
		}
	}
	if err := q.syncAssign(doctype, name); err != nil {
		return nil, err
	}
	return q.assignments(doctype, name), nil
}

func (q *session) assignGet(p *object) (any, error) {
	return q.assignments(cstr(p.get("doctype")), cstr(p.get("name"))), nil
}

func (q *session) shareAdd(p *object) (any, error) {
	doctype, name, user := cstr(p.get("doctype")), cstr(p.get("name")), cstr(p.get("user"))
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	if !q.can(d, "share") {
		return nil, q.throw("PermissionError", "No permission to %s %s %s", "share", doctype, name)
	}
	flag := func(k string, def bool) int64 {
		if !p.has(k) {
			return cint(def)
		}
		return cint(truthy(sbool(p.get(k))))
	}
	vals := map[string]any{
		"share_doctype": doctype, "share_name": name, "user": user, "read": flag("read", true), "write": flag("write", false),
		"submit": flag("submit", false), "share": flag("share", false), "everyone": flag("everyone", false),
	}
	t, rows := q.referring("DocShare", "share_doctype", "share_name", doctype, name)
	for _, r := range rows {
		if t.str(r, "user") == user {
			if err := q.setDirect("DocShare", r.name, vals); err != nil {
				return nil, err
			}
			s, err := q.getDoc("DocShare", r.name)
			if err != nil {
				return nil, err
			}
			return s.asObject(true)
		}
	}
	id := q.site.newHash()
	if err := q.insertPlain("DocShare", id, vals); err != nil {
		return nil, err
	}
	if _, err := q.addComment(doctype, name, "Shared", "shared this document with "+user); err != nil {
		return nil, err
	}
	s, err := q.getDoc("DocShare", id)
	if err != nil {
		return nil, err
	}
	return s.asObject(true)
}

func (q *session) shareRemove(p *object) (any, error) {
	t, rows := q.referring("DocShare", "share_doctype", "share_name", cstr(p.get("doctype")), cstr(p.get("name")))
	for _, r := range rows {
		if t.str(r, "user") == cstr(p.get("user")) {
			if err := q.removeRow("DocShare", r); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

func (s *Site) getVersions() any {
	if s.versions != nil {
		return s.versions
	}
	return appVersions([]App{{"frappe", "Frappe Framework", "Full stack web framework with Python, Javascript, MariaDB, Redis, Node", s.version.name}})
}

func (q *session) notificationLogs(p *object) (any, error) {
	t := q.site.table("Notification Log")
	out := []any{}
	for _, r := range byCreation(t, t.matching("for_user", q.user), true) {
		if len(out) < 20 {
			o := newObject()
			for _, c := range append(append([]string{}, defaultColumns...), "subject", "email_content", "for_user", "from_user", "type", "document_type", "document_name", "read") {
				o.set(c, t.get(r, c))
			}
			out = append(out, o)
		}
	}
	return newObject("notification_logs", out, "user_info", newObject()), nil
}

func (q *session) numberCard(p *object) (any, error) {
	doc, err := docArg(p.get("doc"))
	if err != nil {
		return nil, err
	}
	filters, err := q.jsonArg(p.get("filters"))
	if err != nil {
		return nil, err
	}
	if filters == nil {
		if filters, err = q.jsonArg(doc.get("filters_json")); err != nil {
			return nil, err
		}
	}
	expr := "count(name) as result"
	if fn := strings.ToLower(cstr(doc.get("function"))); fn == "sum" || fn == "average" || fn == "minimum" || fn == "maximum" {
		expr = map[string]string{"sum": "sum", "average": "avg", "minimum": "min", "maximum": "max"}[fn] + "(" + cstr(doc.get("aggregate_function_based_on")) + ") as result"
	}
	qu, err := q.understand(listArgs{doctype: cstr(doc.get("document_type")), fields: []any{expr}, filters: filters})
	if err != nil {
		return nil, err
	}
	out := qu.run()
	if len(out.rows) == 0 {
		return int64(0), nil
	}
	return out.rows[0][0], nil
}

func (q *session) dashboardChart(p *object) (any, error) {
	name := cstr(p.get("chart_name"))
	d, err := q.getDoc("Dashboard Chart", name)
	if err != nil {
		return nil, err
	}
	if err := q.checkPermission(d, "read"); err != nil {
		return nil, err
	}
	filters, err := q.jsonArg(d.vals["filters_json"])
	if err != nil {
		return nil, err
	}
	by := d.str("group_by_based_on")
	if by == "" {
		by = d.str("based_on")
	}
	qu, err := q.understand(listArgs{doctype: d.str("document_type"), fields: []any{by, "count(name) as count"}, filters: filters, groupBy: by})
	if err != nil {
		return nil, err
	}
	labels, values := []any{}, []any{}
	for _, r := range qu.run().rows {
		labels = append(labels, cstr(r[0]))
		values = append(values, r[1])
	}
	return newObject("labels", labels, "datasets", []any{newObject("name", name, "values", values)}), nil
}

func (q *session) searchLink(p *object) (any, error) {
	if err := need("search_link", p, "doctype", "txt"); err != nil {
		return nil, err
	}
	a := listArgs{doctype: cstr(p.get("doctype")), fields: []any{"name"}, filters: []any{[]any{"name", "like", "%" + cstr(p.get("txt")) + "%"}}, limit: int64(10)}
	qu, err := q.understand(a)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, r := range qu.run().rows {
		out = append(out, newObject("value", r[0], "description", ""))
	}
	return out, nil
}
