package frappetest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// rpcMethod is one whitelisted function.
type rpcMethod struct {
	fn    func(q *session, p *object) (any, error)
	verbs []string // nil = any
	guest bool
	reads bool // never writes, so it may run beside other readers
}

var writeVerbs = []string{http.MethodPost, http.MethodPut}

// known but not callable functions answer 403 instead of 417.
var privateFunctions = map[string]bool{
	"frappe.utils.data.now": true, "frappe.utils.now": true, "frappe.get_doc": true, "frappe.get_all": true, "frappe.get_list": true,
	"frappe.db.sql": true, "frappe.utils.nowdate": true, "frappe.utils.data.nowdate": true, "frappe.utils.data.getdate": true, "frappe.sendmail": true,
	"frappe.delete_doc": true, "frappe.rename_doc": true, "frappe.utils.data.cint": true, "frappe.set_user": true, "frappe.client.insert_doc": true,
	"frappe.client.delete_doc": true, "frappe.client.check_parent_permission": true, "frappe.utils.cint": true, "frappe.utils.data.add_days": true,
}

var methods map[string]rpcMethod

func init() {
	methods = map[string]rpcMethod{
		"ping":        {fn: func(*session, *object) (any, error) { return "pong", nil }, guest: true, reads: true},
		"frappe.ping": {fn: func(*session, *object) (any, error) { return "pong", nil }, guest: true, reads: true},
		"version":     {fn: func(q *session, _ *object) (any, error) { return q.site.version.name, nil }, guest: true, reads: true},
		"login":       {fn: func(q *session, _ *object) (any, error) { return q.login() }, guest: true},
		"logout": {fn: func(q *session, _ *object) (any, error) {
			if c, err := q.req.Cookie("sid"); err == nil {
				delete(q.site.sids, c.Value)
			}
			return nil, nil
		}, guest: true},
		"upload_file":                {fn: (*session).uploadFile, guest: true},
		"frappe.handler.upload_file": {fn: (*session).uploadFile, guest: true},
		"download_file":              {fn: (*session).downloadFile, guest: true},
		"frappe.core.doctype.file.file.download_file": {fn: (*session).downloadFile, guest: true},
		"run_doc_method":                                                              {fn: (*session).runDocMethod},
		"frappe.auth.get_logged_user":                                                 {fn: func(q *session, _ *object) (any, error) { return q.user, nil }, reads: true},
		"frappe.realtime.get_user_info":                                               {fn: (*session).userInfo, guest: true, reads: true},
		"frappe.client.get_time_zone":                                                 {fn: (*session).callerZone, guest: true, reads: true},
		"frappe.client.get_list":                                                      {fn: func(q *session, p *object) (any, error) { return q.rpcList(p) }, reads: true},
		"frappe.client.get_count":                                                     {fn: (*session).clientCount, reads: true},
		"frappe.client.get":                                                           {fn: (*session).clientGet, reads: true},
		"frappe.client.get_value":                                                     {fn: (*session).clientValue, reads: true},
		"frappe.client.get_single_value":                                              {fn: (*session).singleValue, reads: true},
		"frappe.client.set_value":                                                     {fn: (*session).clientSetValue, verbs: writeVerbs},
		"frappe.client.insert":                                                        {fn: (*session).clientInsert, verbs: writeVerbs},
		"frappe.client.insert_many":                                                   {fn: (*session).insertMany, verbs: writeVerbs},
		"frappe.client.save":                                                          {fn: (*session).clientSave, verbs: writeVerbs},
		"frappe.client.submit":                                                        {fn: (*session).clientSubmit, verbs: writeVerbs},
		"frappe.client.cancel":                                                        {fn: (*session).clientCancel, verbs: writeVerbs},
		"frappe.client.rename_doc":                                                    {fn: (*session).clientRename, verbs: writeVerbs},
		"frappe.client.bulk_update":                                                   {fn: (*session).bulkUpdate, verbs: writeVerbs},
		"frappe.client.attach_file":                                                   {fn: (*session).attachFile, verbs: writeVerbs},
		"frappe.client.has_permission":                                                {fn: (*session).hasPermission, reads: true},
		"frappe.client.get_doc_permissions":                                           {fn: (*session).docPermissions, reads: true},
		"frappe.client.get_password":                                                  {fn: (*session).getPassword, reads: true},
		"frappe.client.validate_link":                                                 {fn: (*session).validateLink, reads: true},
		"frappe.client.is_document_amended":                                           {fn: (*session).isAmended, reads: true},
		"frappe.client.delete":                                                        {fn: (*session).rpcDelete, verbs: []string{http.MethodPost, http.MethodDelete}},
		"frappe.desk.reportview.get":                                                  {fn: (*session).deskGet, reads: true},
		"frappe.desk.reportview.get_list":                                             {fn: (*session).deskList, reads: true},
		"frappe.desk.reportview.get_count":                                            {fn: (*session).deskCount, reads: true},
		"frappe.desk.form.load.getdoctype":                                            {fn: (*session).getDocType, reads: true},
		"frappe.desk.form.load.getdoc":                                                {fn: (*session).getDocWithInfo},
		"frappe.desk.form.load.get_docinfo":                                           {fn: (*session).getDocInfo, reads: true},
		"frappe.desk.form.load.get_communications":                                    {fn: (*session).getCommunications, reads: true},
		"frappe.desk.form.utils.add_comment":                                          {fn: (*session).rpcAddComment, verbs: writeVerbs},
		"frappe.desk.form.assign_to.add":                                              {fn: (*session).assignAdd},
		"frappe.desk.form.assign_to.remove":                                           {fn: (*session).assignRemove},
		"frappe.desk.form.assign_to.get":                                              {fn: (*session).assignGet, reads: true},
		"frappe.share.add":                                                            {fn: (*session).shareAdd},
		"frappe.share.remove":                                                         {fn: (*session).shareRemove},
		"frappe.utils.change_log.get_versions":                                        {fn: func(q *session, _ *object) (any, error) { return q.site.getVersions(), nil }, reads: true},
		"frappe.core.doctype.user.user.get_roles":                                     {fn: (*session).getRoles, reads: true},
		"frappe.core.doctype.user.user.generate_keys":                                 {fn: (*session).generateKeys, verbs: []string{http.MethodPost}},
		"frappe.model.workflow.apply_workflow":                                        {fn: (*session).applyWorkflow},
		"frappe.model.workflow.get_transitions":                                       {fn: (*session).getTransitions, reads: true},
		"frappe.core.page.permission_manager.permission_manager.add":                  {fn: (*session).permAdd},
		"frappe.core.page.permission_manager.permission_manager.update":               {fn: (*session).permUpdate},
		"frappe.core.page.permission_manager.permission_manager.remove":               {fn: (*session).permRemove},
		"frappe.core.page.permission_manager.permission_manager.reset":                {fn: (*session).permReset},
		"frappe.core.page.permission_manager.permission_manager.get_permissions":      {fn: (*session).permList, reads: true},
		"frappe.website.doctype.web_form.web_form.accept":                             {fn: (*session).webFormAccept, guest: true, verbs: []string{http.MethodPost}},
		"frappe.utils.print_format.download_pdf":                                      {fn: (*session).downloadPDF, guest: true, reads: true},
		"frappe.www.printview.get_html_and_style":                                     {fn: (*session).printHTML, reads: true},
		"frappe.desk.form.save.savedocs":                                              {fn: (*session).saveDocs, verbs: writeVerbs},
		"frappe.desk.form.save.cancel":                                                {fn: (*session).clientCancel, verbs: writeVerbs},
		"frappe.desk.doctype.notification_log.notification_log.get_notification_logs": {fn: (*session).notificationLogs, reads: true},
		"frappe.desk.doctype.number_card.number_card.get_result":                      {fn: (*session).numberCard, reads: true},
		"frappe.desk.doctype.dashboard_chart.dashboard_chart.get":                     {fn: (*session).dashboardChart, reads: true},
		"frappe.desk.search.search_link":                                              {fn: (*session).searchLink, reads: true},
	}
}

// callMethod is the RPC handler: Server Scripts, then whitelisted functions.
func (q *session) callMethod(name string) (any, error) {
	m, ok := methods[name]
	if !ok {
		if v, err, found := q.serverScript(name); found {
			return v, err
		}
		if privateFunctions[name] {
			return nil, q.notWhitelisted(name)
		}
		module := name
		if i := strings.LastIndexByte(name, '.'); i > 0 {
			module = name[:i]
		}
		cause := "module '" + module + "' has no attribute '" + name[strings.LastIndexByte(name, '.')+1:] + "'"
		if !strings.Contains(name, ".") {
			cause = "not enough values to unpack (expected 2, got 1)"
		}
		return nil, q.throw("ValidationError", "Failed to get method for command %s with %s", name, cause)
	}
	if !m.guest && q.user == "Guest" {
		return nil, q.notWhitelisted(name)
	}
	if m.verbs != nil && !slices.Contains(m.verbs, q.method) {
		e := q.throw("PermissionError", "Not permitted")
		return nil, e
	}
	v, err := m.fn(q, q.params)
	if err != nil {
		return nil, err
	}
	if r, done := v.(rpcResult); done {
		return r, nil
	}
	return rpcResult{v}, nil
}

func (q *session) notWhitelisted(name string) error {
	if q.user == "Guest" {
		q.notify("Login to access")
	}
	q.messages = nil
	return q.throw("PermissionError", "Function %s is not whitelisted.", bold(name))
}

// need checks that arguments are there; Python says TypeError when not.
func need(fn string, p *object, names ...string) error {
	var missing []string
	for _, n := range names {
		if !p.has(n) {
			missing = append(missing, "'"+n+"'")
		}
	}
	if len(missing) == 0 {
		return nil
	}
	word := "argument"
	if len(missing) > 1 {
		word = "arguments"
	}
	list := strings.Join(missing, ", ")
	if n := len(missing); n > 1 {
		list = strings.Join(missing[:n-1], ", ") + " and " + missing[n-1]
	}
	return raise("TypeError", "%s() missing %d required positional %s: %s", fn, len(missing), word, list)
}

// parsed is frappe.parse_json: texts that are JSON become values.
func parsed(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return v, nil
	}
	out, err := parseJSON(s)
	if err != nil {
		return nil, asPython(err)
	}
	return out, nil
}

// docArg reads a document argument, an object or its JSON text.
func docArg(v any) (*object, error) {
	x, err := parsed(v)
	if err != nil {
		return nil, err
	}
	o, ok := x.(*object)
	if !ok {
		return nil, raise("TypeError", "'%s' object is not iterable", pyType(x))
	}
	return o, nil
}

func (q *session) rpcList(p *object) (any, error) {
	if err := need("get_list", p, "doctype"); err != nil {
		return nil, err
	}
	return q.getList(cstr(p.get("doctype")), p)
}

func (q *session) clientCount(p *object) (any, error) {
	if err := need("get_count", p, "doctype"); err != nil {
		return nil, err
	}
	filters := safeFilters(p.get("filters"))
	return q.countRows(cstr(p.get("doctype")), filters, !q.site.version.countIgnoresPerms)
}

func safeFilters(v any) any {
	if s, ok := v.(string); ok {
		if x, err := parseJSON(s); err == nil {
			switch n := x.(type) {
			case int64, float64:
				return cstr(n)
			}
			return x
		}
	}
	return v
}

func (q *session) countRows(doctype string, filters any, permissions bool) (any, error) {
	m, err := q.meta(doctype)
	if err != nil {
		// The query builder asks the table, not the meta.
		q.messages = nil
		return nil, raise("ProgrammingError", `(1146, "Table '%s.tab%s' doesn't exist")`, q.site.dbName(), doctype)
	}
	if m.single {
		return nil, raise("ProgrammingError", "('DocType', '%s')", doctype)
	}
	qu := &query{q: q, m: m, limit: -1, tables: []joined{{doctype: m.name, m: m, t: q.site.table(m.name)}}}
	qu.sels = []selection{{key: "n", fn: "count", star: true}}
	if truthy(filters) {
		keep := q.user
		q.ignorePerms = true
		err := qu.addFilters(filters, &qu.preds, true)
		q.ignorePerms = false
		q.user = keep
		if err != nil {
			return nil, err
		}
	}
	if permissions {
		if qu.match, err = q.matchRows(m, qu.tables[0].t); err != nil {
			return nil, err
		}
	}
	if len(qu.preds) == 0 && qu.match == nil {
		return int64(qu.tables[0].t.len()), nil
	}
	return qu.run().rows[0][0], nil
}

func (q *session) clientGet(p *object) (any, error) {
	if err := need("get", p, "doctype"); err != nil {
		return nil, err
	}
	doctype := cstr(p.get("doctype"))
	if err := q.checkParent(doctype, cstr(p.get("parent"))); err != nil {
		return nil, err
	}
	name := cstr(p.get("name"))
	if name == "" && p.has("filters") {
		f, err := parsed(p.get("filters"))
		if err != nil {
			return nil, err
		}
		if name, err = q.firstMatch(doctype, f); err != nil {
			return nil, err
		}
	}
	if _, err := q.docMeta(doctype); err != nil {
		return nil, err
	}
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	if err := q.checkPermission(d, "read"); err != nil {
		return nil, err
	}
	d.hideLevels()
	return d.asObject(q.site.version.major >= 16 && q.site.version.omitNullsInGet)
}

func (q *session) firstMatch(doctype string, filters any) (string, error) {
	m, err := q.meta(doctype)
	if err != nil {
		return "", err
	}
	if m.single {
		return doctype, nil
	}
	qu := &query{q: q, m: m, limit: 1, tables: []joined{{doctype: m.name, m: m, t: q.site.table(m.name)}}}
	qu.sels = []selection{{key: "name", col: qu.column(0, "name")}}
	q.ignorePerms = true
	err = qu.addFilters(filters, &qu.preds, false)
	q.ignorePerms = false
	if err != nil {
		return "", err
	}
	rows := qu.run().rows
	if len(rows) == 0 {
		return "", q.notFound(doctype, pyRepr(filters))
	}
	return cstr(rows[0][0]), nil
}

func (q *session) clientValue(p *object) (any, error) {
	if err := need("get_value", p, "doctype", "fieldname"); err != nil {
		return nil, err
	}
	doctype := cstr(p.get("doctype"))
	parent := cstr(p.get("parent"))
	if err := q.checkParent(doctype, parent); err != nil {
		return nil, err
	}
	ok, err := q.canType(doctype, "read", parent)
	if err != nil {
		return nil, err
	}
	if !ok {
		q.messages = nil
		return nil, q.throw("PermissionError", "No permission for %s", doctype)
	}
	filters := safeFilters(p.get("filters"))
	if s, isText := filters.(string); isText {
		if s == "" {
			filters = nil
		} else {
			filters = newObject("name", s)
		}
	}
	if !truthy(filters) {
		filters = nil
	}
	var fields []any
	switch f := p.get("fieldname").(type) {
	case string:
		if v, err := parseJSON(f); err == nil {
			if l, isList := v.([]any); isList {
				fields = l
				break
			}
			if s, isText := v.(string); isText {
				fields = []any{s}
				break
			}
		}
		fields = []any{f}
	case []any:
		fields = f
	default:
		fields = []any{f}
	}
	asDict := true
	if p.has("as_dict") {
		asDict = truthy(sbool(p.get("as_dict")))
	}
	m, err := q.meta(doctype)
	if err != nil {
		return nil, err
	}
	if m.single {
		d, err := q.getSingle(m)
		if err != nil {
			return nil, err
		}
		o := newObject()
		stored := q.site.table(doctype).find(doctype)
		for _, f := range fields {
			k := cstr(f)
			if stored == nil {
				continue
			}
			v := d.vals[k]
			if v != nil && !q.site.version.typedSingles {
				v = singleText(v)
			}
			o.set(k, v)
		}
		if !asDict {
			if len(o.keys) == 0 {
				return nil, nil
			}
			return o.vals[o.keys[0]], nil
		}
		return o, nil
	}
	args := newObject("doctype", doctype, "fields", fields, "filters", filters, "limit_page_length", int64(1), "parent", p.get("parent"))
	out, err := q.getList(doctype, args)
	if err != nil {
		return nil, err
	}
	rows := out.(*rowsOut)
	if len(rows.rows) == 0 {
		if asDict {
			return newObject(), nil
		}
		return nil, nil
	}
	if !asDict {
		if len(fields) > 1 {
			return rows.rows[0], nil
		}
		return rows.rows[0][0], nil
	}
	o := newObject()
	for i, k := range rows.keys {
		o.set(k, rows.rows[0][i])
	}
	return o, nil
}

func singleText(v any) any {
	if f, ok := v.(float64); ok {
		return cstr(f)
	}
	return cstr(v)
}

func (q *session) singleValue(p *object) (any, error) {
	if err := need("get_single_value", p, "doctype", "field"); err != nil {
		return nil, err
	}
	doctype := cstr(p.get("doctype"))
	ok, err := q.canType(doctype, "read", "")
	if err != nil {
		return nil, err
	}
	if !ok {
		q.messages = nil
		return nil, q.throw("PermissionError", "No permission for %s", doctype)
	}
	m, err := q.meta(doctype)
	if err != nil {
		return nil, err
	}
	field := cstr(p.get("field"))
	f := m.field(field)
	if f == nil {
		if isDefaultColumn(field) {
			return q.value(doctype, doctype, field), nil
		}
		return nil, q.throw("ValidationError", "Field %s does not exist on %s", bold(field), bold(doctype))
	}
	v := q.value(doctype, doctype, field)
	if v == nil && isNumeric(f.typ) {
		if floatTypes[f.typ] {
			return float64(0), nil
		}
		return int64(0), nil
	}
	return v, nil
}

func (q *session) clientSetValue(p *object) (any, error) {
	if err := need("set_value", p, "doctype", "name", "fieldname"); err != nil {
		return nil, err
	}
	doctype, name := cstr(p.get("doctype")), cstr(p.get("name"))
	fieldname, value := p.get("fieldname"), p.get("value")
	if s, ok := fieldname.(string); ok && (isDefaultColumn(s) || isChildColumn(s)) {
		return nil, q.throw("ValidationError", "Cannot edit standard fields")
	}
	var vals *object
	if !truthy(value) {
		switch f := fieldname.(type) {
		case *object:
			vals = f
		case string:
			v, err := parseJSON(f)
			if err != nil {
				vals = newObject(f, "")
				break
			}
			o, ok := v.(*object)
			if !ok {
				return nil, raise("TypeError", "'%s' object is not iterable", pyType(v))
			}
			vals = o
		default:
			return nil, raise("TypeError", "unhashable type: '%s'", pyType(fieldname))
		}
	} else {
		s, ok := fieldname.(string)
		if !ok {
			return nil, raise("TypeError", "unhashable type: 'dict'")
		}
		vals = newObject(s, value)
	}
	m, err := q.meta(doctype)
	if err != nil {
		return nil, err
	}
	if !m.child {
		d, err := q.getDoc(doctype, name)
		if err != nil {
			return nil, err
		}
		if err := d.update(vals); err != nil {
			return nil, err
		}
		if err := d.save(); err != nil {
			return nil, err
		}
		return d.asObject(false)
	}
	t := q.site.table(doctype)
	r := t.find(name)
	if r == nil {
		return nil, raise("AttributeError", "'NoneType' object has no attribute 'parenttype'")
	}
	d, err := q.getDoc(t.str(r, "parenttype"), t.str(r, "parent"))
	if err != nil {
		return nil, err
	}
	for _, c := range d.children() {
		if c.m.name == doctype && c.name() == r.name {
			if err := c.update(vals); err != nil {
				return nil, err
			}
		}
	}
	if err := d.save(); err != nil {
		return nil, err
	}
	return d.asObject(false)
}

// insertDoc is client.insert_doc: a child row is appended to its parent.
func (q *session) insertDoc(o *object) (*document, error) {
	doctype := cstr(o.get("doctype"))
	if doctype == "" {
		return nil, raise("ValueError", "\"doctype\" is a required key")
	}
	m := q.site.metaOf(doctype)
	if m == nil {
		_, err := q.docMeta(doctype)
		return nil, err
	}
	if m.child {
		if !truthy(o.get("parenttype")) || !truthy(o.get("parent")) || !truthy(o.get("parentfield")) {
			return nil, q.throw("ValidationError", "Parenttype, Parent and Parentfield are required to insert a child record")
		}
		d, err := q.getDoc(cstr(o.get("parenttype")), cstr(o.get("parent")))
		if err != nil {
			return nil, err
		}
		f := d.m.field(cstr(o.get("parentfield")))
		if f == nil || !tableTypes[f.typ] {
			return nil, raise("AttributeError", "%s", cstr(o.get("parentfield")))
		}
		d.appendRow(f, m, o)
		return d, d.save()
	}
	d, err := q.newDocument(doctype, o)
	if err != nil {
		return nil, err
	}
	return d, d.insert()
}

func (q *session) clientInsert(p *object) (any, error) {
	o, err := docArg(p.get("doc"))
	if err != nil {
		return nil, err
	}
	d, err := q.insertDoc(o)
	if err != nil {
		return nil, err
	}
	return d.asObject(false)
}

func (q *session) insertMany(p *object) (any, error) {
	v, err := parsed(p.get("docs"))
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, raise("TypeError", "object of type '%s' has no len()", pyType(v))
	}
	if len(list) > 200 {
		return nil, q.throw("ValidationError", "Only 200 inserts allowed in one request")
	}
	names := []any{}
	for _, item := range list {
		o, err := docArg(item)
		if err != nil {
			return nil, err
		}
		d, err := q.insertDoc(o)
		if err != nil {
			return nil, err
		}
		names = append(names, d.name())
	}
	return names, nil
}

// rebuilt makes a document from a client's whole dict: what is missing in it
// is blank.
func (q *session) rebuilt(v any) (*document, error) {
	o, err := docArg(v)
	if err != nil {
		return nil, err
	}
	doctype := cstr(o.get("doctype"))
	if doctype == "" {
		return nil, raise("ValueError", "\"doctype\" is a required key")
	}
	if _, err := q.docMeta(doctype); err != nil {
		return nil, err
	}
	d, err := q.newDocument(doctype, o)
	if err != nil {
		return nil, err
	}
	d.isNew = truthy(o.get("__islocal")) || d.name() == ""
	return d, nil
}

func (q *session) clientSave(p *object) (any, error) {
	if err := need("save", p, "doc"); err != nil {
		return nil, err
	}
	d, err := q.rebuilt(p.get("doc"))
	if err != nil {
		return nil, err
	}
	if err := d.save(); err != nil {
		return nil, err
	}
	return d.asObject(false)
}

func (q *session) clientSubmit(p *object) (any, error) {
	if err := need("submit", p, "doc"); err != nil {
		return nil, err
	}
	d, err := q.rebuilt(p.get("doc"))
	if err != nil {
		return nil, err
	}
	d.vals["docstatus"] = int64(1)
	if err := d.save(); err != nil {
		return nil, err
	}
	return d.asObject(false)
}

func (q *session) saveDocs(p *object) (any, error) {
	if err := need("savedocs", p, "doc", "action"); err != nil {
		return nil, err
	}
	d, err := q.rebuilt(p.get("doc"))
	if err != nil {
		return nil, err
	}
	switch cstr(p.get("action")) {
	case "Submit":
		d.vals["docstatus"] = int64(1)
	case "Cancel":
		d.vals["docstatus"] = int64(2)
	}
	if err := d.save(); err != nil {
		return nil, err
	}
	o, err := d.asObject(false)
	if err != nil {
		return nil, err
	}
	q.extra.set("docs", []any{o})
	return nil, nil
}

func (q *session) clientCancel(p *object) (any, error) {
	if err := need("cancel", p, "doctype", "name"); err != nil {
		return nil, err
	}
	d, err := q.getDoc(cstr(p.get("doctype")), cstr(p.get("name")))
	if err != nil {
		return nil, err
	}
	d.vals["docstatus"] = int64(2)
	if err := d.save(); err != nil {
		return nil, err
	}
	return d.asObject(false)
}

func (q *session) clientRename(p *object) (any, error) {
	if err := need("rename_doc", p, "doctype", "old_name", "new_name"); err != nil {
		return nil, err
	}
	return q.renameDoc(cstr(p.get("doctype")), cstr(p.get("old_name")), cstr(p.get("new_name")), truthy(sbool(p.get("merge"))))
}

func (q *session) bulkUpdate(p *object) (any, error) {
	if err := need("bulk_update", p, "docs"); err != nil {
		return nil, err
	}
	s, ok := p.get("docs").(string)
	if !ok {
		return nil, raise("TypeError", "the JSON object must be str, bytes or bytearray, not %s", pyType(p.get("docs")))
	}
	v, err := parseJSON(s)
	if err != nil {
		return nil, asPython(err)
	}
	list, ok := v.([]any)
	if !ok {
		return nil, raise("TypeError", "'%s' object is not iterable", pyType(v))
	}
	failed := []any{}
	for _, item := range list {
		o, ok := item.(*object)
		if !ok {
			return nil, raise("AttributeError", "'%s' object has no attribute 'pop'", pyType(item))
		}
		o.del("flags")
		err := func() error {
			if !o.has("doctype") {
				return raise("KeyError", "'doctype'")
			}
			if !o.has("docname") {
				return raise("KeyError", "'docname'")
			}
			d, err := q.getDoc(cstr(o.get("doctype")), cstr(o.get("docname")))
			if err != nil {
				return err
			}
			if err := d.update(o); err != nil {
				return err
			}
			return d.save()
		}()
		if err != nil {
			failed = append(failed, newObject("doc", o, "exc", traceback(asPython(err))))
		}
	}
	return newObject("failed_docs", failed), nil
}

func (q *session) clientDelete(doctype, name string) error {
	m := q.site.metaOf(doctype)
	if m != nil && m.child {
		t := q.site.table(doctype)
		r := t.find(name)
		if r == nil {
			e := raise("DoesNotExistError", "")
			e.doctype = doctype
			return e
		}
		d, err := q.getDoc(t.str(r, "parenttype"), t.str(r, "parent"))
		if err != nil {
			return err
		}
		if !q.can(d, "write") {
			e := raise("DoesNotExistError", "")
			e.doctype = doctype
			return e
		}
		field := t.str(r, "parentfield")
		d.kids[field] = slices.DeleteFunc(d.kids[field], func(c *document) bool { return c.name() == r.name })
		for i, c := range d.kids[field] {
			c.vals["idx"] = int64(i + 1)
		}
		return d.save()
	}
	return q.deleteDoc(doctype, name)
}

func (q *session) rpcDelete(p *object) (any, error) {
	if err := need("delete", p, "doctype", "name"); err != nil {
		return nil, err
	}
	return nil, q.clientDelete(cstr(p.get("doctype")), cstr(p.get("name")))
}

func (q *session) hasPermission(p *object) (any, error) {
	if err := need("has_permission", p, "doctype", "docname"); err != nil {
		return nil, err
	}
	right := "read"
	if p.has("perm_type") {
		right = strings.ToLower(cstr(p.get("perm_type")))
	}
	before := len(q.messages)
	ok := false
	if name := cstr(p.get("docname")); name != "" {
		d, err := q.getDoc(cstr(p.get("doctype")), name)
		if err != nil {
			return nil, err
		}
		ok = q.can(d, right)
	} else {
		var err error
		if ok, err = q.canType(cstr(p.get("doctype")), right, ""); err != nil {
			return nil, err
		}
	}
	q.messages = q.messages[:before] // asked without raising, so nothing is said
	return newObject("has_permission", ok), nil
}

func (q *session) docPermissions(p *object) (any, error) {
	if err := need("get_doc_permissions", p, "doctype", "docname"); err != nil {
		return nil, err
	}
	d, err := q.getDoc(cstr(p.get("doctype")), cstr(p.get("docname")))
	if err != nil {
		return nil, err
	}
	return newObject("permissions", q.permObject(d)), nil
}

// permObject writes the rights on a document as get_doc_permissions does.
func (q *session) permObject(d *document) *object {
	o := newObject()
	perms := q.docPerms(d)
	rp := q.rolePerms(d.m)
	if !q.isAdmin() {
		own := newObject()
		for _, r := range rights {
			if rp.owner[r] {
				own.set(r, cint(perms[r]))
			}
		}
		o.set("if_owner", own)
		o.set("has_if_owner_enabled", rp.anyOwner)
	}
	for _, r := range []string{"select", "read", "write", "create", "delete", "submit", "cancel", "amend", "print", "email", "report", "import", "export", "share"} {
		v := perms[r]
		if r == "import" && !d.m.allowImport {
			v = false
		}
		o.set(r, cint(v))
	}
	return o
}

func (q *session) getPassword(p *object) (any, error) {
	if err := need("get_password", p, "doctype", "name", "fieldname"); err != nil {
		return nil, err
	}
	if !q.hasRole("System Manager") {
		return nil, q.throw("PermissionError", "This action is only allowed for %s", bold("System Manager"))
	}
	doctype, name, field := cstr(p.get("doctype")), cstr(p.get("name")), cstr(p.get("fieldname"))
	if doctype == "User" && field == "api_secret" {
		if v, ok := q.site.secrets[name]; ok {
			return v, nil
		}
	}
	if v, ok := q.site.secrets[doctype+"\x00"+name+"\x00"+field]; ok {
		return v, nil
	}
	return nil, q.throw("AuthenticationError", "Password not found for %s %s %s", doctype, name, field)
}

func (q *session) validateLink(p *object) (any, error) {
	if err := need("validate_link", p, "doctype", "docname"); err != nil {
		return nil, err
	}
	o := newObject("name", q.value(cstr(p.get("doctype")), cstr(p.get("docname")), "name"))
	return o, nil
}

func (q *session) isAmended(p *object) (any, error) {
	t := q.site.tableMap()[cstr(p.get("doctype"))]
	if t == nil {
		return false, nil
	}
	for _, r := range t.matching("amended_from", cstr(p.get("docname"))) {
		return r.name, nil
	}
	return nil, nil
}

func (q *session) userInfo(*object) (any, error) {
	o := newObject("user", q.user, "user_type", nil)
	switch {
	case q.user == "Guest":
		o.set("user_type", "Website User")
	case q.site.version.tokenUserType:
		o.set("user_type", q.value("User", q.user, "user_type"))
	}
	if q.site.version.major >= 15 {
		o.set("installed_apps", []any{"frappe"})
	}
	return o, nil
}

func (q *session) callerZone(*object) (any, error) {
	zone := q.value("User", q.user, "time_zone")
	if zone == nil || q.user == "Guest" {
		// Not the site's zone: the defaults of a session without a user.
		zone = q.userDefault("time_zone")
		if zone == "" {
			zone = "Asia/Kolkata"
		}
	}
	return newObject("time_zone", zone), nil
}

func (q *session) getRoles(p *object) (any, error) {
	if err := need("get_roles", p, "uid"); err != nil && q.site.version.major >= 14 {
		if q.site.version.major >= 15 || !p.has("uid") {
			return nil, err
		}
	}
	set := q.rolesOf(cstr(p.get("uid")))
	var out []any
	for _, r := range sortedKeys(set) {
		if r != "Guest" && r != "All" && r != "Desk User" {
			out = append(out, r)
		}
	}
	for _, r := range []string{"All", "Guest", "Desk User"} {
		if set[r] {
			out = append(out, r)
		}
	}
	return out, nil
}

func (q *session) generateKeys(p *object) (any, error) {
	if err := need("generate_keys", p, "user"); err != nil {
		return nil, err
	}
	if !q.hasRole("System Manager") {
		return nil, q.throw("PermissionError", "This action is only allowed for %s", bold("System Manager"))
	}
	user := cstr(p.get("user"))
	d, err := q.getDoc("User", user)
	if err != nil {
		return nil, err
	}
	q.site.hashes++
	secret := hashText("gen" + user + q.site.newHash())[:15]
	vals := map[string]any{"modified": q.site.localNow(), "modified_by": q.user}
	if d.str("api_key") == "" {
		vals["api_key"] = hashText("genkey" + user + q.site.newHash())[:15]
	}
	if err := q.setDirect("User", user, vals); err != nil {
		return nil, err
	}
	q.site.secrets[user] = secret
	return newObject("api_secret", secret), nil
}

// runDocMethod is run_doc_method with dt and dn.
func (q *session) runDocMethod(p *object) (any, error) {
	method := cstr(p.get("method"))
	if p.has("dt") {
		name := cstr(p.get("dn"))
		if name == "" {
			name = cstr(p.get("dt"))
		}
		v, err := q.runOn(cstr(p.get("dt")), name, method)
		return rpcResult{v}, err
	}
	d, err := q.rebuilt(p.get("docs"))
	if err != nil {
		return nil, err
	}
	v, err := q.runOn(d.m.name, d.name(), method)
	return rpcResult{v}, err
}

// runOn calls a whitelisted method of a document.
func (q *session) runOn(doctype, name, method string) (any, error) {
	if _, err := q.docMeta(doctype); err != nil {
		return nil, err
	}
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	fn := docMethods[method]
	if fn == nil {
		return nil, httpError(http.StatusNotFound)
	}
	right := "write"
	if q.method == http.MethodGet || q.method == http.MethodHead {
		right = "read"
	}
	before := len(q.messages)
	if !q.can(d, right) {
		q.messages = q.messages[:before]
		return nil, q.throw("PermissionError", "Not permitted")
	}
	return fn(d, q.params)
}

// docMethods are the whitelisted methods that every document has.
var docMethods = map[string]func(d *document, p *object) (any, error){
	"submit": func(d *document, _ *object) (any, error) {
		d.vals["docstatus"] = int64(1)
		if err := d.save(); err != nil {
			return nil, err
		}
		return d.asObject(true)
	},
	"cancel": func(d *document, _ *object) (any, error) {
		d.vals["docstatus"] = int64(2)
		if err := d.save(); err != nil {
			return nil, err
		}
		return d.asObject(true)
	},
	"save": func(d *document, _ *object) (any, error) {
		if err := d.save(); err != nil {
			return nil, err
		}
		return d.asObject(true)
	},
	"rename": func(d *document, p *object) (any, error) {
		if err := need("Document.rename", p, "name"); err != nil {
			return nil, err
		}
		if _, err := d.q.renameDoc(d.m.name, d.name(), cstr(p.get("name")), truthy(sbool(p.get("merge")))); err != nil {
			return nil, err
		}
		return nil, nil
	},
	"add_comment": func(d *document, p *object) (any, error) {
		kind := "Comment"
		if p.has("comment_type") {
			kind = cstr(p.get("comment_type"))
		}
		c, err := d.q.addComment(d.m.name, d.name(), kind, cstr(p.get("text")))
		if err != nil {
			return nil, err
		}
		return c.asObject(true)
	},
	"get_title": func(d *document, _ *object) (any, error) {
		if v := d.vals[d.m.titleField]; v != nil {
			return v, nil
		}
		return d.name(), nil
	},
	"queue_action": nil,
}

func (q *session) attachFile(p *object) (any, error) {
	data := []byte(cstr(p.get("filedata")))
	if truthy(sbool(p.get("decode_base64"))) {
		raw := string(data)
		if i := strings.Index(raw, ","); i >= 0 && strings.HasPrefix(raw, "data:") {
			raw = raw[i+1:]
		}
		dec, err := base64.StdEncoding.DecodeString(raw)
		if err != nil {
			return nil, raise("ValueError", "Incorrect padding")
		}
		data = dec
	}
	d, err := q.getDoc(cstr(p.get("doctype")), cstr(p.get("docname")))
	if err != nil {
		return nil, err
	}
	if err := q.checkPermission(d, "read"); err != nil {
		return nil, err
	}
	f, err := q.saveFile(fileArgs{
		name: cstr(p.get("filename")), data: data, private: truthy(sbool(p.get("is_private"))), doctype: d.m.name, docname: d.name(),
		field: cstr(p.get("docfield")), folder: cstr(p.get("folder")),
	})
	if err != nil {
		return nil, err
	}
	if field := cstr(p.get("docfield")); field != "" {
		d.vals[field] = f.vals["file_url"]
		if err := d.save(); err != nil {
			return nil, err
		}
	}
	return f.asObject(true)
}
