package frappetest

import (
	"net/http"
	"strings"
)

// resourceList is GET /api/resource/{doctype}.
func (q *session) resourceList(doctype string) (any, error) {
	p := q.params
	if f := p.get("fields"); truthy(f) {
		s, ok := f.(string)
		if !ok {
			return nil, raise("TypeError", "the JSON object must be str, bytes or bytearray, not %s", pyType(f))
		}
		v, err := parseJSON(s)
		if err != nil {
			return nil, asPython(err)
		}
		p.set("fields", v)
	}
	if !p.has("limit_page_length") {
		limit := p.get("limit")
		if !truthy(limit) {
			limit = int64(20)
		}
		p.set("limit_page_length", limit)
	}
	if p.has("doctype") && q.site.version.major >= 15 {
		return nil, raise("TypeError", "frappe.call() got multiple values for argument 'doctype'")
	}
	for _, k := range []string{"as_dict", "debug"} {
		if p.has(k) {
			p.set(k, sbool(p.get(k)))
		}
	}
	if !q.site.version.debugInLists {
		p.del("debug")
	}
	return q.getList(doctype, p)
}

// sbool is frappe.utils.sbool.
func sbool(v any) any {
	if s, ok := v.(string); ok {
		switch strings.ToLower(s) {
		case "true", "1":
			return true
		case "false", "0":
			return false
		}
	}
	return v
}

// getList is frappe.client.get_list.
func (q *session) getList(doctype string, p *object) (any, error) {
	a := listArgs{
		doctype: doctype, parent: cstr(p.get("parent")), fields: p.get("fields"), filters: p.get("filters"), orFilters: p.get("or_filters"),
		groupBy: p.get("group_by"), orderBy: p.get("order_by"), start: p.get("limit_start"), limit: p.get("limit_page_length"),
	}
	if !p.has("limit_page_length") {
		a.limit = int64(20)
	}
	for _, k := range []string{"as_dict", "debug"} {
		if !p.has(k) {
			continue
		}
		v, ok := asBool(p.get(k))
		if !ok {
			if q.site.version.major >= 15 {
				return nil, raise("FrappeTypeError", "Argument '%s' should be of type 'bool' but got '%s' instead.", k, pyType(p.get(k)))
			}
			v = truthy(p.get(k))
		}
		if k == "as_dict" {
			a.asList = !v
		} else {
			a.debug = v
		}
	}
	if err := q.checkParent(doctype, a.parent); err != nil {
		return nil, err
	}
	qu, err := q.understand(a)
	if err != nil {
		return nil, err
	}
	out := qu.run()
	if a.debug {
		q.debug = append(q.debug, qu.sql(), "Execution time: 0.0 sec")
	}
	return out, nil
}

// asBool is what the type check of arguments accepts as bool.
func asBool(v any) (value, ok bool) {
	switch x := v.(type) {
	case bool:
		return x, true
	case int64:
		return x != 0, x == 0 || x == 1
	case float64:
		return x != 0, x == 0 || x == 1
	case string:
		switch strings.ToLower(x) {
		case "1", "true", "yes", "on", "t", "y":
			return true, true
		case "0", "false", "no", "off", "f", "n":
			return false, true
		}
	}
	return false, false
}

// checkParent is check_parent_permission: child DocTypes are listed only with
// a parent that has such a table and that the caller may read.
func (q *session) checkParent(doctype, parent string) error {
	m := q.site.metaOf(doctype)
	if m == nil || !m.child {
		return nil
	}
	if parent != "" {
		pm := q.site.metaOf(parent)
		if pm == nil || !hasTable(pm, doctype) {
			return raise("PermissionError", "")
		}
		if ok, err := q.canType(parent, "read", ""); err != nil {
			return err
		} else if ok {
			return nil
		}
	}
	return raise("PermissionError", "")
}

// formData is get_request_form_data: the value of a key "data", else the raw
// body as JSON whatever its type says, else the parameters.
func (q *session) formData() (*object, error) {
	src := q.params.get("data")
	if src == nil {
		src = q.body
	}
	if s, ok := src.(string); ok {
		v, err := parseJSON(s)
		if err != nil {
			return q.params, nil
		}
		src = v
	}
	switch x := src.(type) {
	case *object:
		return x, nil
	case []any:
		if q.site.version.major == 14 {
			return nil, q.throw("ValidationError", "Invalid request arguments")
		}
		return nil, raise("TypeError", "pop expected at most 1 argument, got 2")
	}
	return nil, raise("AttributeError", "'%s' object has no attribute 'pop'", pyType(src))
}

// docType loads a meta for reading or writing documents; a missing DocType is
// an ImportError here, not a 404.
func (q *session) docMeta(doctype string) (*meta, error) {
	if m := q.site.metaOf(doctype); m != nil {
		return m, nil
	}
	if q.site.version.major >= 16 && q.site.version.name != V16 {
		_, err := q.meta(doctype)
		return nil, err
	}
	e := raise("ImportError", "Module import failed for %s, the DocType you're trying to open might be deleted. Error: No module named 'frappe.core.doctype.%s'",
		doctype, strings.ToLower(strings.ReplaceAll(doctype, " ", "_")))
	return nil, e
}

func (q *session) resourceCreate(doctype string) (any, error) {
	data, err := q.formData()
	if err != nil {
		return nil, err
	}
	return q.create(doctype, data)
}

func (q *session) create(doctype string, data *object) (any, error) {
	if _, err := q.docMeta(doctype); err != nil {
		return nil, err
	}
	data.del("doctype")
	if q.site.version.major >= 15 {
		// Arguments of new_doc are no fields.
		if truthy(data.get("as_dict")) {
			return nil, raise("AttributeError", "'dict' object has no attribute 'insert'")
		}
		for _, k := range []string{"as_dict", "parent_doc", "parentfield"} {
			data.del(k)
		}
	}
	if s, ok := data.get("name").(string); ok && s != "" && q.site.version.apiNameSet {
		q.apiNameSet = true
	}
	d, err := q.newDocument(doctype, data)
	if err != nil {
		return nil, err
	}
	if err := d.insert(); err != nil {
		return nil, err
	}
	return d.asObject(q.site.version.major >= 15)
}

func (q *session) resourceRead(doctype, name string) (any, error) {
	if q.params.has("run_method") && !q.isV2 {
		method := cstr(q.params.get("run_method"))
		q.params.del("run_method")
		return q.runOn(doctype, name, method)
	}
	if _, err := q.docMeta(doctype); err != nil {
		return nil, err
	}
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	if !q.can(d, "read") {
		if q.isV2 {
			return nil, q.denied(d, "read")
		}
		return nil, raise("PermissionError", "")
	}
	if q.site.version.filterReadByLevel || isTrue(q.value("System Settings", "System Settings", "apply_perm_level_on_api_calls")) {
		d.hideLevels()
	}
	return d.asObject(true)
}

func (q *session) resourceUpdate(doctype, name string) (any, error) {
	data, err := q.formData()
	if err != nil {
		return nil, err
	}
	return q.updateDoc(doctype, name, data)
}

func (q *session) updateDoc(doctype, name string, data *object) (any, error) {
	if _, err := q.docMeta(doctype); err != nil {
		return nil, err
	}
	if err := q.lockRow(doctype, name); err != nil {
		return nil, err
	}
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	data.del("flags")
	if err := d.update(data); err != nil {
		return nil, err
	}
	if err := d.save(); err != nil {
		return nil, err
	}
	if pt := d.str("parenttype"); pt != "" && d.m.child {
		p, err := q.getDoc(pt, d.str("parent"))
		if err != nil {
			return nil, err
		}
		if err := p.save(); err != nil {
			return nil, err
		}
	}
	if q.isV2 {
		d.hideLevels()
	}
	return d.asObject(true)
}

func (q *session) resourceDelete(doctype, name string) (any, error) {
	if q.site.metaOf(doctype) == nil {
		if q.site.version.htmlDeleteMissing {
			return nil, httpError(http.StatusInternalServerError)
		}
		_, err := q.meta(doctype)
		return nil, err
	}
	var err error
	if q.isV2 {
		err = q.clientDelete(doctype, name)
	} else {
		err = q.deleteDoc(doctype, name)
	}
	if err != nil {
		return nil, err
	}
	q.status = http.StatusAccepted
	if q.site.version.deleteSaysMessage {
		return rpcResult{"ok"}, nil
	}
	return "ok", nil
}

func (q *session) resourceMethod(doctype, name string) (any, error) {
	if !q.params.has("run_method") {
		if !q.site.version.methodNeedsBody {
			// v14 looks into the query string as well, and a POST without a
			// method does nothing.
			method := q.req.URL.Query().Get("run_method")
			if method == "" {
				return nil, nil
			}
			return nil, nil
		}
		return nil, raise("KeyError", "'run_method'")
	}
	method := cstr(q.params.get("run_method"))
	q.params.del("run_method")
	return q.runOn(doctype, name, method)
}

// v2List is GET /api/v2/document/{doctype}.
func (q *session) v2List(doctype string) (any, error) {
	p := q.params
	if f := p.get("fields"); truthy(f) {
		if s, ok := f.(string); ok {
			v, err := parseJSON(s)
			if err != nil {
				return nil, asPython(err)
			}
			p.set("fields", v)
		}
	}
	limit := p.get("limit")
	if q.site.version.v2Start {
		if !p.has("limit") {
			limit = int64(20)
		}
		n := cint(limit)
		p.set("limit_start", cint(p.get("start")))
		p.set("limit_page_length", n+1)
		if n == 0 {
			q.extra.set("has_next_page", true)
			return &rowsOut{}, nil
		}
		out, err := q.getList(doctype, p)
		if err != nil {
			return nil, err
		}
		rows := out.(*rowsOut)
		more := int64(len(rows.rows)) > n
		if more {
			rows.rows = rows.rows[:n]
		}
		q.extra.set("has_next_page", more)
		return rows, nil
	}
	if !truthy(limit) {
		limit = int64(20)
	}
	p.set("limit_page_length", limit)
	return q.getList(doctype, p)
}

func (q *session) v2Create(doctype string) (any, error) { return q.create(doctype, q.params) }

func (q *session) v2Update(doctype, name string) (any, error) {
	return q.updateDoc(doctype, name, q.params)
}

func (q *session) copyDoc(doctype, name string) (any, error) {
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return nil, err
	}
	if err := q.checkPermission(d, "read"); err != nil {
		return nil, err
	}
	d.hideLevels()
	o, err := d.asObject(true)
	if err != nil {
		return nil, err
	}
	strip := func(o *object) {
		for _, k := range []string{"name", "owner", "creation", "modified", "modified_by", "parent"} {
			o.del(k)
		}
		o.set("docstatus", int64(0))
	}
	strip(o)
	for _, f := range d.m.fields {
		if f.noCopy {
			o.del(f.name)
		}
	}
	for _, f := range d.m.tables {
		if l, ok := o.get(f.name).([]any); ok {
			for _, c := range l {
				strip(c.(*object))
			}
		}
	}
	return o, nil
}
