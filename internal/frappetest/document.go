package frappetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// document is a document in the hands of a request, as Frappe's Document: the
// values may be anything a client sent until they are stored.
type document struct {
	q      *session
	m      *meta
	vals   map[string]any
	kids   map[string][]*document
	isNew  bool
	parent *document // of a child row

	before           *document // as stored, loaded by save
	original         any       // modified as the caller sent or read it
	action           string    // save, submit, cancel, update_after_submit
	ignoreMandatory  bool
	ignorePermlevels bool
}

func (d *document) name() string { return cstr(d.vals["name"]) }

func (d *document) str(k string) string { return cstr(d.vals[k]) }
func (d *document) is(k string) bool    { return cint(d.vals[k]) != 0 }
func (d *document) children() []*document {
	var out []*document
	for _, f := range d.m.tables {
		out = append(out, d.kids[f.name]...)
	}
	return out
}

// getDoc loads a document; a Single that was never saved has its defaults.
func (q *session) getDoc(doctype, name string) (*document, error) {
	m, err := q.meta(doctype)
	if err != nil {
		return nil, err
	}
	if m.single {
		return q.getSingle(m)
	}
	t := q.site.table(doctype)
	r := t.find(name)
	if r == nil {
		return nil, q.notFound(doctype, name)
	}
	return q.load(m, t, r), nil
}

func (q *session) getSingle(m *meta) (*document, error) {
	t := q.site.table(m.name)
	if r := t.find(m.name); r != nil {
		return q.load(m, t, r), nil
	}
	d := q.blank(m)
	q.applyDefaults(d)
	d.vals["name"] = m.name
	d.isNew = false
	return d, nil
}

func (q *session) load(m *meta, t *table, r *row) *document {
	d := &document{q: q, m: m, vals: t.values(r), kids: map[string][]*document{}}
	for _, f := range m.tables {
		cm := q.site.metaOf(f.options)
		if cm == nil {
			continue
		}
		ct := q.site.table(f.options)
		for _, c := range ct.childRows(m.name, r.name, f.name) {
			k := q.load(cm, ct, c)
			k.parent = d
			d.kids[f.name] = append(d.kids[f.name], k)
		}
	}
	return d
}

func (q *session) blank(m *meta) *document {
	return &document{q: q, m: m, vals: map[string]any{"docstatus": int64(0), "idx": int64(0)}, kids: map[string][]*document{}, isNew: true}
}

// newDocument makes an unsaved document from what a client sent.
func (q *session) newDocument(doctype string, data *object) (*document, error) {
	m, err := q.meta(doctype)
	if err != nil {
		return nil, err
	}
	d := q.blank(m)
	if err := d.update(data); err != nil {
		return nil, err
	}
	return d, nil
}

// update takes over the keys a client sent; a table is replaced whole.
func (d *document) update(data *object) error {
	if data == nil {
		return nil
	}
	for _, k := range data.keys {
		v := data.vals[k]
		if f := d.m.byName[k]; f != nil && tableTypes[f.typ] {
			if err := d.setTable(f, v); err != nil {
				return err
			}
			continue
		}
		if k == "doctype" || k == "flags" {
			continue
		}
		d.vals[k] = v
	}
	return nil
}

func (d *document) setTable(f *field, v any) error {
	d.kids[f.name] = nil
	var list []any
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		list = x
	case string:
		if x == "" {
			return nil
		}
		return raise("TypeError", "'str' object does not support item assignment")
	case *object:
		if len(x.keys) == 0 {
			return nil
		}
		return raise("TypeError", "'str' object does not support item assignment")
	default:
		if !truthy(v) {
			return nil
		}
		return raise("ValueError", "")
	}
	cm, err := d.q.meta(f.options)
	if err != nil {
		return err
	}
	for _, item := range list {
		o, ok := item.(*object)
		if !ok {
			return raise("TypeError", "'%s' object does not support item assignment", pyType(item))
		}
		d.appendRow(f, cm, o)
	}
	return nil
}

func (d *document) appendRow(f *field, cm *meta, o *object) *document {
	c := &document{q: d.q, m: cm, vals: maps.Clone(o.vals), kids: map[string][]*document{}, parent: d}
	c.vals["parent"], c.vals["parenttype"], c.vals["parentfield"] = d.name(), d.m.name, f.name
	if cint(c.vals["idx"]) == 0 {
		c.vals["idx"] = int64(len(d.kids[f.name]) + 1)
	}
	if c.vals["docstatus"] == nil {
		c.vals["docstatus"] = int64(0)
	}
	c.isNew = c.name() == ""
	d.kids[f.name] = append(d.kids[f.name], c)
	return c
}

func pyType(v any) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []any:
		return "list"
	}
	return "dict"
}

// valid gives the columns with the coercions that Frappe applies whenever it
// hands a document out or to the database.
func (d *document) valid(col string) (any, error) {
	v := d.vals[col]
	f := d.m.byName[col]
	if f == nil {
		switch col {
		case "docstatus", "idx":
			return cint(v), nil
		}
		return v, nil
	}
	if _, isList := v.([]any); isList {
		return nil, d.q.throw("ValidationError", "Value for %s cannot be a list", f.label)
	}
	switch {
	case f.typ == "Check":
		if cint(v) != 0 {
			return int64(1), nil
		}
		return int64(0), nil
	case f.typ == "Int":
		if _, ok := v.(int64); !ok {
			return cint(v), nil
		}
	case floatTypes[f.typ]:
		if _, ok := v.(float64); !ok {
			return flt(v), nil
		}
	case f.typ == "JSON":
		if o, ok := v.(*object); ok {
			if d.q.site.version.indentedJSONFields {
				return dumps(o, jsonStyle{item: ",", key: ": ", indent: 4}), nil
			}
			return dumps(o, compactJSON), nil
		}
	case f.typ == "Date" || f.typ == "Datetime" || f.typ == "Time":
		if v == "" {
			return nil, nil
		}
	}
	if f.unique && v != nil && strings.TrimSpace(cstr(v)) == "" {
		return nil, nil
	}
	return v, nil
}

// asObject is as_dict: what a reply shows of a document. With nulls left out
// it is what GET answers.
func (d *document) asObject(noNulls bool) (*object, error) {
	o := newObject()
	for _, c := range d.m.columns {
		v, err := d.valid(c)
		if err != nil {
			return nil, err
		}
		if v == nil && noNulls {
			continue
		}
		o.set(c, v)
	}
	for _, k := range []string{"_user_tags", "_comments", "_assign", "_liked_by"} {
		if v := d.vals[k]; v != nil && !noNulls {
			o.set(k, v)
		}
	}
	o.set("doctype", d.m.name)
	for _, f := range d.m.tables {
		list := []any{}
		for _, c := range d.kids[f.name] {
			co, err := c.asObject(noNulls)
			if err != nil {
				return nil, err
			}
			list = append(list, co)
		}
		o.set(f.name, list)
	}
	if d.isNew {
		o.set("__islocal", int64(1))
	}
	return o, nil
}

// hideLevels removes what the user may not read by permlevel: text becomes
// absent, numbers become 0.
func (d *document) hideLevels() {
	if d.q.isAdmin() {
		return
	}
	levels := d.q.levels(d.m, "read")
	if d.m.child && d.vals["parenttype"] != nil {
		if pm := d.q.site.metaOf(d.str("parenttype")); pm != nil {
			levels = d.q.levels(pm, "read")
		}
	}
	hide := func(x *document) {
		for _, f := range x.m.fields {
			if f.permlevel > 0 && !slices.Contains(levels, f.permlevel) {
				delete(x.vals, f.name)
				if tableTypes[f.typ] {
					delete(x.kids, f.name)
				}
			}
		}
	}
	hide(d)
	for _, c := range d.children() {
		hide(c)
	}
}

// applyDefaults fills what is null from the defaults of a new document.
func (q *session) applyDefaults(d *document) {
	ups := q.userPermissions()
	for _, c := range d.m.columns {
		f := d.m.byName[c]
		if f == nil || d.vals[c] != nil {
			continue
		}
		if v := q.defaultFor(d.m, f, ups); v != nil {
			d.vals[c] = v
		}
	}
}

func (q *session) defaultFor(m *meta, f *field, ups map[string][]userPermission) any {
	var v any
	if f.typ == "Link" && f.options != "User" && !f.ignoreUP {
		var allowed []userPermission
		for _, p := range ups[f.options] {
			if p.applicable == "" || p.applicable == m.name {
				allowed = append(allowed, p)
			}
		}
		for _, p := range allowed {
			if p.isDefault || len(allowed) == 1 {
				if q.exists(f.options, p.value) {
					return p.value
				}
			}
		}
	}
	if f.typ == "Link" && f.options != "" {
		if ud := q.userDefault(f.name); ud != "" && q.exists(f.options, ud) {
			return ud
		}
	}
	switch {
	case f.name == m.titleField:
	case f.def == "__user":
		v = q.user
	case f.def == "Today":
		v = q.site.today().Format(dateLayout)
	case f.def != "" && !strings.HasPrefix(f.def, ":"):
		v = f.def
		if f.typ == "Link" && len(ups[f.options]) > 0 {
			ok := false
			for _, p := range ups[f.options] {
				ok = ok || p.value == f.def
			}
			if !ok {
				v = nil
			}
		}
	case f.typ == "Select" && f.options != "" && f.options != "[Select]" && f.options != "Loading...":
		first, _, _ := strings.Cut(f.options, "\n")
		v = first
	}
	if f.def != "" {
		if f.typ == "Datetime" && strings.EqualFold(f.def, "now") {
			v = q.site.localNow()
		}
	}
	if f.typ == "Time" && (f.def == "" || strings.EqualFold(f.def, "now")) && q.site.version.major >= 14 {
		v = strings.SplitN(q.site.localNow(), " ", 2)[1]
	}
	switch {
	case f.typ == "Check" || f.typ == "Int":
		return cint(v)
	case floatTypes[f.typ]:
		return flt(v)
	}
	return v
}

func (q *session) userDefault(field string) string {
	t := q.site.tableMap()["DefaultValue"]
	if t == nil {
		return ""
	}
	for _, parent := range []string{q.user, "__default"} {
		for _, r := range t.matching("parent", parent) {
			if t.str(r, "defkey") == field {
				return t.str(r, "defvalue")
			}
		}
	}
	return ""
}

func (d *document) setDefaults() {
	if d.isNew {
		d.q.applyDefaults(d)
	}
	for _, c := range d.children() {
		if c.isNew {
			c.q.applyDefaults(c)
		}
	}
}

// stamp is set_user_and_timestamp.
func (d *document) stamp() {
	d.original = d.vals["modified"]
	now := d.q.site.localNow()
	d.vals["modified"], d.vals["modified_by"] = now, d.q.user
	if d.isNew {
		d.vals["creation"], d.vals["owner"] = now, d.q.user
	}
	for _, c := range d.children() {
		c.vals["modified"], c.vals["modified_by"] = now, d.q.user
		if !truthy(c.vals["owner"]) {
			c.vals["owner"] = d.vals["owner"]
		}
		if !truthy(c.vals["creation"]) {
			c.vals["creation"] = d.vals["creation"]
		}
	}
}

func (d *document) spreadDocstatus() {
	d.vals["docstatus"] = cint(d.vals["docstatus"])
	for _, c := range d.children() {
		c.vals["docstatus"] = d.vals["docstatus"]
	}
}

// checkLatest is the optimistic lock and the docstatus transition.
func (d *document) checkLatest() error {
	d.action = "save"
	if d.isNew {
		return d.transition(0)
	}
	if err := d.q.lockRow(d.m.name, d.name()); err != nil {
		return err
	}
	before, err := d.q.getDoc(d.m.name, d.name())
	if err != nil {
		return err
	}
	d.before = before
	if cstr(before.vals["modified"]) != cstr(d.original) {
		return d.q.throw("TimestampMismatchError", "Error: Document has been modified after you have opened it (%s, %s). Please refresh to get the latest document.",
			cstr(before.vals["modified"]), d.str("modified"))
	}
	if !d.m.single {
		return d.transition(cint(before.vals["docstatus"]))
	}
	return nil
}

func (d *document) transition(from int64) error {
	to := cint(d.vals["docstatus"])
	switch from {
	case 0:
		switch to {
		case 0:
			d.action = "save"
		case 1:
			d.action = "submit"
			return d.q.checkPermission(d, "submit")
		case 2:
			return raise("DocstatusTransitionError", "Cannot change docstatus from 0 (Draft) to 2 (Cancelled)")
		default:
			return raise("ValueError", "%d is not a valid DocStatus", to)
		}
	case 1:
		switch to {
		case 1:
			d.action = "update_after_submit"
			return d.q.checkPermission(d, "submit")
		case 2:
			d.action = "cancel"
			return d.q.checkPermission(d, "cancel")
		case 0:
			return raise("DocstatusTransitionError", "Cannot change docstatus from 1 (Submitted) to 0 (Draft)")
		default:
			return raise("ValueError", "%d is not a valid DocStatus", to)
		}
	default:
		return raise("ValidationError", "Cannot edit cancelled document")
	}
	return nil
}

// insert is Document.insert with its order of checks.
func (d *document) insert() error {
	q := d.q
	d.isNew = true
	d.setDefaults()
	d.stamp()
	d.spreadDocstatus()
	if err := d.checkLatest(); err != nil {
		return err
	}
	if err := d.checkLinks(); err != nil {
		return err
	}
	if err := q.checkPermission(d, "create"); err != nil {
		return err
	}
	c := controllers[d.m.name]
	if c.beforeInsert != nil {
		if err := c.beforeInsert(d); err != nil {
			return err
		}
	}
	if err := d.setName(); err != nil {
		return err
	}
	for _, k := range d.children() {
		k.vals["name"] = q.site.newHash()
		k.vals["parent"], k.vals["parenttype"] = d.name(), d.m.name
		k.isNew = true
	}
	d.resetHigherLevels()
	if err := d.runValidate(); err != nil {
		return err
	}
	if err := d.validate(); err != nil {
		return err
	}
	d.spreadDocstatus()
	if err := d.write(); err != nil {
		return err
	}
	if c.afterInsert != nil {
		if err := c.afterInsert(d); err != nil {
			return err
		}
	}
	if from := d.str("amended_from"); from != "" && d.m.stores("amended_from") {
		if cint(q.value(d.m.name, from, "docstatus")) != 2 {
			return q.throw("ValidationError", "%s cannot be amended because it is not cancelled. Please cancel the document before creating an amendment.", from)
		}
	}
	if err := d.postSave(true); err != nil {
		return err
	}
	d.isNew = false
	return nil
}

// save is Document.save with its order of checks.
func (d *document) save() error {
	if d.isNew || d.name() == "" {
		return d.insert()
	}
	q := d.q
	d.setDefaults()
	if err := q.checkPermission(d, "write"); err != nil {
		return err
	}
	d.stamp()
	d.spreadDocstatus()
	if err := d.checkLatest(); err != nil {
		return err
	}
	for _, c := range d.children() {
		c.vals["parent"], c.vals["parenttype"] = d.name(), d.m.name
		if c.name() == "" {
			c.vals["name"] = q.site.newHash()
			c.isNew = true
		}
	}
	d.resetHigherLevels()
	if d.action != "cancel" {
		if err := d.checkLinks(); err != nil {
			return err
		}
	}
	if err := d.runValidate(); err != nil {
		return err
	}
	if d.action != "cancel" {
		if err := d.validate(); err != nil {
			return err
		}
	}
	if d.action == "update_after_submit" {
		if err := d.checkSubmittedFields(); err != nil {
			return err
		}
	}
	d.spreadDocstatus()
	if err := d.write(); err != nil {
		return err
	}
	if d.action == "cancel" {
		if err := q.checkBackLinks(d, "cancel"); err != nil {
			return err
		}
	}
	return d.postSave(false)
}

func (d *document) runValidate() error {
	if d.action == "cancel" {
		return nil
	}
	c := controllers[d.m.name]
	if c.validate != nil && (d.action == "save" || d.action == "submit") {
		return c.validate(d)
	}
	return nil
}

// write puts the document and its rows into the tables.
func (d *document) write() error {
	q := d.q
	vals, err := d.storable()
	if err != nil {
		return err
	}
	t := q.site.table(d.m.name)
	old := t.find(d.name())
	if d.isNew && !d.m.single {
		if old != nil {
			q.messages = append(q.messages, message{text: d.m.name + " " + bold(d.name()) + " already exists", title: "Duplicate Name", indicator: "red"})
			return raise("DuplicateEntryError", "('%s', '%s', IntegrityError(1062, \"Duplicate entry '%s' for key 'PRIMARY'\"))", d.m.name, d.name(), d.name())
		}
	}
	if err := d.checkUnique(t, old, vals); err != nil {
		return err
	}
	if old == nil {
		if err := q.store(d.m.name, nil, t.make(vals)); err != nil {
			return err
		}
	} else {
		delete(vals, "name") // the case of a name survives an update
		n := t.with(old, vals)
		if err := q.store(d.m.name, old, n); err != nil {
			return err
		}
		d.vals["name"] = old.name
	}
	for _, f := range d.m.tables {
		if err := d.writeRows(f); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) storable() (map[string]any, error) {
	vals := make(map[string]any, len(d.m.columns))
	for _, c := range d.m.columns {
		v, err := d.valid(c)
		if err != nil {
			return nil, err
		}
		if vals[c], err = d.q.stored(d.m, c, v); err != nil {
			return nil, err
		}
	}
	return vals, nil
}

func (d *document) writeRows(f *field) error {
	q := d.q
	t := q.site.table(f.options)
	keep := map[string]bool{}
	for _, c := range d.kids[f.name] {
		if !c.isNew {
			keep[fold(c.name())] = true
		}
	}
	for _, r := range t.childRows(d.m.name, d.name(), f.name) {
		if !keep[fold(r.name)] {
			if err := q.removeRow(f.options, r); err != nil {
				return err
			}
		}
	}
	for _, c := range d.kids[f.name] {
		c.vals["parent"], c.vals["parenttype"], c.vals["parentfield"] = d.name(), d.m.name, f.name
		vals, err := c.storable()
		if err != nil {
			return err
		}
		old := t.find(c.name())
		if err := c.checkUnique(t, old, vals); err != nil {
			return err
		}
		switch {
		case c.isNew && old == nil:
			if err := q.store(f.options, nil, t.make(vals)); err != nil {
				return err
			}
			c.isNew = false
		case old != nil:
			delete(vals, "name")
			if err := q.store(f.options, old, t.with(old, vals)); err != nil {
				return err
			}
		}
		// A name that is not in the table updates no row: it is lost.
	}
	return nil
}

func (d *document) checkUnique(t *table, old *row, vals map[string]any) error {
	for _, f := range d.m.fields {
		if !f.unique || layoutTypes[f.typ] || tableTypes[f.typ] {
			continue
		}
		v := vals[f.name]
		if v == nil {
			continue
		}
		if strings.EqualFold(d.m.autoname, "field:"+f.name) {
			continue // the primary key answers for it
		}
		c, ok := t.cols[f.name]
		if !ok {
			continue
		}
		if old != nil && equalValues(t.get(old, f.name), v) {
			continue
		}
		clash := false
		t.byName.ascend(nil, func(r *row) bool {
			if r != old && c < len(r.vals) && r.vals[c] != nil && equalValues(r.vals[c], v) {
				clash = true
			}
			return !clash
		})
		if clash {
			d.q.notify("%s must be unique", f.label)
			return raise("UniqueValidationError", "('%s', '%s', IntegrityError(1062, \"Duplicate entry '%s' for key '%s'\"))", d.m.name, d.name(), cstr(v), f.name)
		}
	}
	return nil
}

func equalValues(a, b any) bool {
	as, aok := a.(string)
	bs, bok := b.(string)
	if aok && bok {
		return fold(as) == fold(bs)
	}
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if aok || bok {
		return cstr(a) == cstr(b)
	}
	return flt(a) == flt(b)
}

// checkLinks is _validate_links: targets must exist, the case of the name is
// taken from them, fetched fields are filled.
func (d *document) checkLinks() error {
	var missing, cancelled []string
	for _, x := range append([]*document{d}, d.children()...) {
		for _, f := range x.m.links {
			v := x.vals[f.name]
			if !truthy(v) {
				continue
			}
			name := cstr(v)
			target := f.options
			if f.typ == "Dynamic Link" {
				if target = x.str(f.options); target == "" {
					return d.q.throw("ValidationError", "%s must be set first", x.m.label(f.options))
				}
			}
			if target == "" {
				return d.q.throw("ValidationError", "Options not set for link field %s", f.name)
			}
			tm := d.q.site.metaOf(target)
			if tm == nil {
				if f.typ == "Link" {
					continue // an app's DocType that this small site leaves out
				}
				_, err := d.q.meta(target)
				return err
			}
			label := f.label + ": " + name
			if x.parent != nil {
				label = fmt.Sprintf("Row #%d: %s", cint(x.vals["idx"]), label)
			}
			t := d.q.site.table(target)
			r := t.find(name)
			if tm.virtual {
				continue
			}
			if r == nil {
				if tm.single {
					x.vals[f.name] = target
					continue
				}
				missing = append(missing, label)
				continue
			}
			x.vals[f.name] = r.name
			for _, ff := range x.m.fetches[f.name] {
				if ff.fetchIfEmpty && truthy(x.vals[ff.name]) {
					continue
				}
				if x.isNew || cint(x.vals["docstatus"]) != 1 || ff.onSubmit {
					_, source, _ := strings.Cut(ff.fetchFrom, ".")
					x.vals[ff.name] = t.get(r, source)
				}
			}
			if f.name != "amended_from" && d.m.submittable && tm.submittable && cint(t.get(r, "docstatus")) == 2 {
				cancelled = append(cancelled, label)
			}
		}
	}
	if len(missing) > 0 {
		return d.q.throw("LinkValidationError", "Could not find %s", strings.Join(missing, ", "))
	}
	if len(cancelled) > 0 {
		return d.q.throw("CancelledLinkError", "Cannot link cancelled document: %s", strings.Join(cancelled, ", "))
	}
	return nil
}

// resetHigherLevels silently undoes writes to permlevels without right.
func (d *document) resetHigherLevels() {
	if d.q.isAdmin() || d.ignorePermlevels {
		return
	}
	levels := d.q.levels(d.m, "write")
	for _, f := range d.m.fields {
		if f.permlevel == 0 || slices.Contains(levels, f.permlevel) || layoutTypes[f.typ] {
			continue
		}
		if d.isNew {
			delete(d.kids, f.name)
			if !tableTypes[f.typ] {
				d.vals[f.name] = d.q.defaultFor(d.m, f, d.q.userPermissions())
			}
			continue
		}
		if tableTypes[f.typ] {
			d.kids[f.name] = nil
			for _, c := range d.before.kids[f.name] {
				k := *c
				k.vals = maps.Clone(c.vals)
				k.parent = d
				d.kids[f.name] = append(d.kids[f.name], &k)
			}
			continue
		}
		d.vals[f.name] = d.before.vals[f.name]
	}
	if d.isNew {
		return
	}
	for _, tf := range d.m.tables {
		for _, c := range d.kids[tf.name] {
			for _, f := range c.m.fields {
				if f.permlevel == 0 || slices.Contains(levels, f.permlevel) || layoutTypes[f.typ] {
					continue
				}
				if c.isNew {
					c.vals[f.name] = d.q.defaultFor(c.m, f, nil)
					continue
				}
				for _, b := range d.before.kids[tf.name] {
					if b.name() == c.name() {
						c.vals[f.name] = b.vals[f.name]
					}
				}
			}
		}
	}
}

// validate is _validate: mandatory, select, negative, length, sanitising,
// workflow, constants.
func (d *document) validate() error {
	q := d.q
	if err := d.checkMandatory(); err != nil {
		return err
	}
	for i, x := range append([]*document{d}, d.children()...) {
		if err := x.checkFormats(); err != nil {
			return err
		}
		if err := x.checkSelects(); err != nil {
			return err
		}
		if err := x.checkNonNegative(); err != nil {
			return err
		}
		if err := x.checkLengths(); err != nil {
			return err
		}
		for _, f := range x.m.fields {
			if f.typ == "Rating" && x.vals[f.name] != nil {
				x.vals[f.name] = max(0, min(1, flt(x.vals[f.name])))
			}
		}
		if by, ok := strings.CutPrefix(x.m.autoname, "field:"); ok && x.name() != "" && x.str(by) != x.name() {
			x.vals[by] = x.name()
		}
		if err := x.sanitize(); err != nil {
			return err
		}
		x.hidePasswords()
		if i == 0 {
			if err := q.checkWorkflow(d); err != nil {
				return err
			}
		}
	}
	if d.isNew {
		for _, k := range optionalColumns {
			delete(d.vals, k)
		}
		return nil
	}
	return d.checkConstants()
}

func (d *document) checkMandatory() error {
	if d.ignoreMandatory {
		return nil
	}
	var fields []string
	for _, x := range append([]*document{d}, d.children()...) {
		for _, f := range x.m.fields {
			if !f.reqd || layoutTypes[f.typ] {
				continue
			}
			where := ""
			if x.parent != nil {
				where = fmt.Sprintf("Error: %s Row #%d: Value missing for: %s", bold(x.m.name), cint(x.vals["idx"]), bold(f.label))
			}
			if tableTypes[f.typ] {
				if len(x.kids[f.name]) == 0 {
					d.q.notify("Error: Data missing in table: %s", f.label)
					fields = append(fields, f.name)
				}
				continue
			}
			v := x.vals[f.name]
			if strings.TrimSpace(stripTags(cstr(v))) != "" || v != nil && isNumeric(f.typ) {
				continue
			}
			if f.typ == "Text Editor" && strings.Contains(cstr(v), "<img") {
				continue
			}
			if where == "" {
				where = fmt.Sprintf("Error: Value missing for %s: %s", x.m.name, f.label)
			}
			d.q.notify("%s", where)
			fields = append(fields, f.name)
		}
	}
	if len(fields) > 0 {
		return raise("MandatoryError", "[%s, %s]: %s", d.m.name, d.name(), strings.Join(fields, ", "))
	}
	return nil
}

// checkFormats is _validate_data_fields: mail addresses and links in Data.
func (d *document) checkFormats() error {
	for _, f := range d.m.fields {
		v := d.str(f.name)
		if f.typ != "Data" || v == "" {
			continue
		}
		switch f.options {
		case "Email":
			for _, a := range strings.Split(v, ",") {
				a = strings.TrimSpace(a)
				if i, j := strings.IndexByte(a, '<'), strings.IndexByte(a, '>'); i >= 0 && j > i {
					a = a[i+1 : j]
				}
				local, domain, ok := strings.Cut(a, "@")
				if v == "Administrator" || v == "Guest" || v == "admin@example.com" || v == "guest@example.com" {
					continue
				}
				if !ok || local == "" || !strings.Contains(domain, ".") || strings.ContainsAny(a, " ;") || strings.Contains(domain, "@") {
					return d.q.throw("InvalidEmailAddressError", "%s is not a valid Email Address", a)
				}
			}
		case "URL":
			if !strings.Contains(v, "://") {
				return d.q.throw("ValidationError", "'%s' is not a valid URL", v)
			}
		}
	}
	return nil
}

func (d *document) checkSelects() error {
	for _, f := range d.m.fields {
		if f.typ != "Select" || f.name == "naming_series" || f.options == "" || !truthy(d.vals[f.name]) {
			continue
		}
		options := strings.Split(f.options, "\n")
		any := false
		for _, o := range options {
			any = any || o != ""
		}
		if !any {
			continue
		}
		v := strings.TrimSpace(cstr(d.vals[f.name]))
		d.vals[f.name] = v
		if slices.Contains(options, v) {
			continue
		}
		prefix := ""
		if d.parent != nil {
			prefix = fmt.Sprintf("Row #%d:", cint(d.vals["idx"]))
		}
		return d.q.throw("ValidationError", `%s %s cannot be "%s". It should be one of "%s"`, prefix, f.label, v, strings.Join(options, `", "`))
	}
	return nil
}

func (d *document) checkNonNegative() error {
	for _, f := range d.m.fields {
		if f.nonNegative && flt(d.vals[f.name]) < 0 {
			if d.parent != nil {
				return d.q.throw("NonNegativeError", "%s Row #%d: Value cannot be negative for %s", bold(d.m.name), cint(d.vals["idx"]), bold(f.label))
			}
			return d.q.throw("NonNegativeError", "Value cannot be negative for %s: %s", d.m.name, bold(f.label))
		}
	}
	return nil
}

func (f *field) maxLength() int {
	if !varcharTypes[f.typ] {
		return 0
	}
	if f.length > 0 {
		return f.length
	}
	return 140
}

func (d *document) checkLengths() error {
	if d.m.single {
		return nil
	}
	for _, f := range d.m.fields {
		if !d.m.stores(f.name) || isDefaultColumn(f.name) {
			continue
		}
		v, err := d.valid(f.name)
		if err != nil {
			return err
		}
		limit := int64(f.maxLength())
		switch {
		case limit > 0:
			if int64(utf8.RuneCountInString(cstr(v))) <= limit {
				continue
			}
		case f.typ == "Int":
			limit = 1<<31 - 1
			if f.length > 11 {
				limit = 1<<63 - 1
			}
			if n := cint(v); n <= limit && n >= -limit {
				continue
			}
		default:
			continue
		}
		ref := d.m.name + " " + d.name()
		if d.parent != nil {
			ref = fmt.Sprintf("%s, Row %d", d.m.name, cint(d.vals["idx"]))
		}
		return d.q.throw("CharacterLengthExceededError", "%s: '%s' (%s) will get truncated, as max characters allowed is %d", ref, bold(f.label), cstr(v), limit)
	}
	return nil
}

func (d *document) hidePasswords() {
	for _, f := range d.m.fields {
		if f.typ != "Password" {
			continue
		}
		v := cstr(d.vals[f.name])
		if v == "" || strings.Trim(v, "*") == "" {
			continue
		}
		d.q.site.secrets[d.m.name+"\x00"+d.name()+"\x00"+f.name] = v
		d.vals[f.name] = strings.Repeat("*", utf8.RuneCountInString(v))
	}
}

func (d *document) checkConstants() error {
	for _, k := range []string{"owner", "creation"} {
		if cstr(d.vals[k]) != cstr(d.before.vals[k]) {
			return d.q.throw("CannotChangeConstantError", "Value cannot be changed for %s", bold(titleCase(k)))
		}
	}
	for _, f := range d.m.fields {
		if !f.setOnce {
			continue
		}
		same := true
		if tableTypes[f.typ] {
			a, b := d.kids[f.name], d.before.kids[f.name]
			same = len(a) == len(b)
			for i := 0; same && i < len(a); i++ {
				for _, c := range a[i].m.columns {
					if isDefaultColumn(c) && c != "idx" {
						continue
					}
					va, _ := a[i].valid(c)
					vb, _ := b[i].valid(c)
					same = same && cstr(va) == cstr(vb)
				}
			}
		} else {
			va, vb := d.vals[f.name], d.before.vals[f.name]
			if isNumeric(f.typ) {
				same = flt(va) == flt(vb)
			} else {
				same = cstr(va) == cstr(vb) && (va == nil) == (vb == nil)
			}
		}
		if !same {
			return d.q.throw("CannotChangeConstantError", "Value cannot be changed for %s", bold(f.label))
		}
	}
	return nil
}

func (d *document) checkSubmittedFields() error {
	stored, err := d.q.getDoc(d.m.name, d.name())
	if err != nil {
		return err
	}
	compare := func(a, b *document) error {
		for _, f := range a.m.fields {
			if f.onSubmit || layoutTypes[f.typ] || f.fetchFrom != "" && f.readOnly {
				continue
			}
			differs := false
			if tableTypes[f.typ] {
				differs = len(a.kids[f.name]) != len(b.kids[f.name])
			} else {
				va, err := a.valid(f.name)
				if err != nil {
					return err
				}
				sa, err := d.q.stored(a.m, f.name, va)
				if err != nil {
					return err
				}
				vb, _ := b.valid(f.name)
				differs = cstr(sa) != cstr(vb)
			}
			if differs {
				row := ""
				if a.parent != nil {
					row = fmt.Sprintf("Row #%d:", cint(a.vals["idx"]))
				}
				return d.q.throw("UpdateAfterSubmitError", "%s Not allowed to change %s after submission from %s to %s",
					row, bold(f.label), bold(cstr(b.vals[f.name])), bold(cstr(a.vals[f.name])))
			}
		}
		return nil
	}
	if err := compare(d, stored); err != nil {
		return err
	}
	for _, f := range d.m.tables {
		if f.onSubmit {
			continue
		}
		for i, c := range d.kids[f.name] {
			if i < len(stored.kids[f.name]) {
				if err := compare(c, stored.kids[f.name][i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// postSave runs what follows a successful write: the controller, the
// timeline, notifications, rules of the schema.
func (d *document) postSave(inserted bool) error {
	q := d.q
	c := controllers[d.m.name]
	if c.onUpdate != nil && d.action != "cancel" {
		if err := c.onUpdate(d); err != nil {
			return err
		}
	}
	if err := q.saveVersion(d, inserted); err != nil {
		return err
	}
	if schemaTypes[d.m.name] {
		q.site.forget("")
		q.tx.undo = append(q.tx.undo, func() { q.site.forget("") })
	}
	return q.runNotifications(d, inserted)
}
