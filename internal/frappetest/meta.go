package frappetest

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Field is one field of a DocType in our compact form: what is not set has
// Frappe's default.
type Field struct {
	Fieldname string // required unless it is a layout field
	Fieldtype string // "Data", "Link", "Table", …
	Label     string // default: made from the fieldname
	Options   string // target DocType, or the lines of a Select
	Default   string
	FetchFrom string // "link_field.source_field"
	Permlevel int
	Length    int // of Data, default 140

	Reqd, Unique, ReadOnly, Hidden, SetOnlyOnce, AllowOnSubmit, FetchIfEmpty bool
	IgnoreUserPermissions, NoCopy, NonNegative, IgnoreXSSFilter              bool
}

// Perm is one permission row of a DocType. Rights are letters: r read,
// w write, c create, d delete, s submit, x cancel, a amend, t report,
// e export, i import, h share, p print, m email, l select.
type Perm struct {
	Role      string
	Permlevel int
	IfOwner   bool
	Rights    string
}

// DocType describes a document type in our compact form.
type DocType struct {
	Name, Module, Autoname           string
	Single, Child, Submittable, Tree bool
	TrackChanges, AllowRename        bool
	Custom                           bool
	MaxAttachments                   int
	TitleField                       string
	SortField, SortOrder             string
	Fields                           []Field
	Perms                            []Perm
}

var rightLetters = map[byte]string{
	'r': "read", 'w': "write", 'c': "create", 'd': "delete", 's': "submit", 'x': "cancel", 'a': "amend",
	't': "report", 'e': "export", 'i': "import", 'h': "share", 'p': "print", 'm': "email", 'l': "select",
}

// rights in the order in which Frappe lists them.
var rights = []string{
	"select", "read", "write", "create", "delete", "submit", "cancel", "amend",
	"print", "email", "report", "import", "export", "share",
}

func (d DocType) definition() *object {
	o := newObject("name", d.Name, "module", d.Module)
	setIf := func(key string, v any, on bool) {
		if on {
			o.set(key, v)
		}
	}
	setIf("autoname", d.Autoname, d.Autoname != "")
	setIf("issingle", int64(1), d.Single)
	setIf("istable", int64(1), d.Child)
	setIf("is_submittable", int64(1), d.Submittable)
	setIf("is_tree", int64(1), d.Tree)
	setIf("track_changes", int64(1), d.TrackChanges)
	setIf("allow_rename", int64(1), d.AllowRename)
	setIf("custom", int64(1), d.Custom)
	setIf("max_attachments", int64(d.MaxAttachments), d.MaxAttachments > 0)
	setIf("title_field", d.TitleField, d.TitleField != "")
	setIf("sort_field", d.SortField, d.SortField != "")
	setIf("sort_order", d.SortOrder, d.SortOrder != "")
	var fields, perms []any
	for _, f := range d.Fields {
		fo := newObject("fieldname", f.Fieldname, "fieldtype", f.Fieldtype)
		flag := func(key string, on bool) {
			if on {
				fo.set(key, int64(1))
			}
		}
		text := func(key, v string) {
			if v != "" {
				fo.set(key, v)
			}
		}
		text("label", f.Label)
		text("options", f.Options)
		text("default", f.Default)
		text("fetch_from", f.FetchFrom)
		if f.Permlevel > 0 {
			fo.set("permlevel", int64(f.Permlevel))
		}
		if f.Length > 0 {
			fo.set("length", int64(f.Length))
		}
		flag("reqd", f.Reqd)
		flag("unique", f.Unique)
		flag("read_only", f.ReadOnly)
		flag("hidden", f.Hidden)
		flag("set_only_once", f.SetOnlyOnce)
		flag("allow_on_submit", f.AllowOnSubmit)
		flag("fetch_if_empty", f.FetchIfEmpty)
		flag("ignore_user_permissions", f.IgnoreUserPermissions)
		flag("no_copy", f.NoCopy)
		flag("non_negative", f.NonNegative)
		flag("ignore_xss_filter", f.IgnoreXSSFilter)
		fields = append(fields, fo)
	}
	for _, p := range d.Perms {
		po := newObject("role", p.Role, "permlevel", int64(p.Permlevel))
		if p.IfOwner {
			po.set("if_owner", int64(1))
		}
		for i := range len(p.Rights) {
			if r, ok := rightLetters[p.Rights[i]]; ok {
				po.set(r, int64(1))
			}
		}
		perms = append(perms, po)
	}
	o.set("fields", fields)
	o.set("permissions", perms)
	return o
}

//go:embed meta/core.json
var coreJSON string

// coreDefinitions are the DocTypes every Frappe site has, without those and
// without the fields that the version does not know.
func coreDefinitions(major int) ([]*object, error) {
	v, err := parseJSON(coreJSON)
	if err != nil {
		return nil, fmt.Errorf("built-in DocTypes: %w", err)
	}
	known := func(o *object) bool {
		since, _ := o.get("since").(int64)
		until, hasUntil := o.get("until").(int64)
		o.del("since")
		o.del("until")
		return int(since) <= major && (!hasUntil || major <= int(until))
	}
	var out []*object
	for _, d := range v.([]any) {
		def := d.(*object)
		if !known(def) {
			continue
		}
		var fields []any
		for _, f := range def.get("fields").([]any) {
			if known(f.(*object)) {
				fields = append(fields, f)
			}
		}
		def.set("fields", fields)
		for _, k := range []string{"allow_rename", "editable_grid", "quick_entry", "index_web_pages_for_search"} {
			if !def.has(k) {
				def.set(k, int64(0)) // standard DocTypes say what they have
			}
		}
		out = append(out, def)
	}
	return out, nil
}

// Fieldtypes without a column.
var layoutTypes = map[string]bool{
	"Section Break": true, "Column Break": true, "Tab Break": true, "HTML": true, "Button": true,
	"Image": true, "Fold": true, "Heading": true,
}

var tableTypes = map[string]bool{"Table": true, "Table MultiSelect": true}

// allFieldtypes are those a DocField may have, in the order of its Select.
var allFieldtypes = []string{
	"Autocomplete", "Attach", "Attach Image", "Barcode", "Button", "Check", "Code", "Color", "Column Break", "Currency",
	"Data", "Date", "Datetime", "Duration", "Dynamic Link", "Float", "Fold", "Geolocation", "Heading", "HTML",
	"HTML Editor", "Icon", "Image", "Int", "JSON", "Link", "Long Text", "Markdown Editor", "Password", "Percent",
	"Phone", "Read Only", "Rating", "Section Break", "Select", "Signature", "Small Text", "Tab Break", "Table",
	"Table MultiSelect", "Text", "Text Editor", "Time",
}

// varcharTypes have a length limit, 140 unless the field says otherwise.
var varcharTypes = map[string]bool{
	"Data": true, "Link": true, "Dynamic Link": true, "Password": true, "Select": true, "Read Only": true,
	"Barcode": false, "Color": true, "Phone": true, "Autocomplete": true, "Icon": true,
}

var floatTypes = map[string]bool{"Float": true, "Currency": true, "Percent": true, "Rating": true, "Duration": true}

func isNumeric(typ string) bool { return typ == "Int" || typ == "Check" || floatTypes[typ] }

var (
	defaultColumns  = []string{"name", "owner", "creation", "modified", "modified_by", "docstatus", "idx"}
	childColumns    = []string{"parent", "parentfield", "parenttype"}
	optionalColumns = []string{"_user_tags", "_comments", "_assign", "_liked_by", "_seen"}
)

func isDefaultColumn(f string) bool  { return slices.Contains(defaultColumns, f) }
func isChildColumn(f string) bool    { return slices.Contains(childColumns, f) }
func isOptionalColumn(f string) bool { return slices.Contains(optionalColumns, f) }

func isStandardColumn(f string) bool {
	return isDefaultColumn(f) || isChildColumn(f) || isOptionalColumn(f)
}

// field is a compiled DocField.
type field struct {
	name, typ, label, options, def, fetchFrom string
	permlevel, length                         int
	reqd, unique, readOnly, hidden, setOnce   bool
	onSubmit, ignoreUP, noCopy, nonNegative   bool
	fetchIfEmpty, ignoreXSS, virtual          bool
	row                                       map[string]any
}

type permRow struct {
	role      string
	permlevel int
	ifOwner   bool
	rights    map[string]bool
}

// meta is a compiled DocType with its Custom Fields, Property Setters and
// permission rows.
type meta struct {
	name, module, autoname, titleField, sortField, sortOrder, searchFields string

	single, child, submittable, tree, trackChanges, allowRename, custom, virtual, allowImport bool

	maxAttachments int
	fields         []*field // layout fields included
	byName         map[string]*field
	tables         []*field
	links          []*field // Link and Dynamic Link
	fetches        map[string][]*field
	columns        []string // in the order of a document
	isColumn       map[string]bool
	perms          []permRow
	maxLevel       int
	workflow       *workflow
	doc            map[string]any
}

func (m *meta) field(name string) *field { return m.byName[name] }

func (m *meta) label(name string) string {
	if f := m.byName[name]; f != nil {
		return f.label
	}
	return titleCase(name)
}

func titleCase(s string) string {
	words := strings.Fields(strings.ReplaceAll(s, "_", " "))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}

func (m *meta) stores(col string) bool { return m.isColumn[col] }

// isTrue reads a Check from a document value.
func isTrue(v any) bool { return cint(v) != 0 }

// compile builds the meta of a DocType from the rows that define it.
func (s *Site) compile(name string) *meta {
	dt := s.tableMap()["DocType"]
	r := dt.find(name)
	if r == nil {
		return nil
	}
	d := dt.values(r)
	text := func(k string) string { v, _ := d[k].(string); return v }
	props := s.propertySetters(r.name)
	for _, p := range props {
		if p.field == "" {
			d[p.property] = p.value
		}
	}
	m := &meta{
		name: r.name, module: text("module"), autoname: text("autoname"), titleField: text("title_field"),
		sortField: text("sort_field"), sortOrder: text("sort_order"), searchFields: text("search_fields"),
		single: isTrue(d["issingle"]), child: isTrue(d["istable"]), submittable: isTrue(d["is_submittable"]),
		tree: isTrue(d["is_tree"]), trackChanges: isTrue(d["track_changes"]), allowRename: d["allow_rename"] == nil || isTrue(d["allow_rename"]),
		custom: isTrue(d["custom"]), virtual: isTrue(d["is_virtual"]), allowImport: isTrue(d["allow_import"]), maxAttachments: int(cint(d["max_attachments"])),
		byName: map[string]*field{}, fetches: map[string][]*field{}, isColumn: map[string]bool{}, doc: d,
	}
	fields := s.tableMap()["DocField"]
	for _, fr := range fields.childRows("DocType", r.name, "fields") {
		m.fields = append(m.fields, compileField(fields.values(fr)))
	}
	for _, cf := range s.customFields(r.name) {
		f := compileField(cf)
		f.row["is_custom_field"] = int64(1)
		at := len(m.fields)
		if after, _ := cf["insert_after"].(string); after != "" {
			for i, x := range m.fields {
				if x.name == after {
					at = i + 1
				}
			}
		}
		m.fields = slices.Insert(m.fields, at, f)
	}
	for _, p := range props {
		for i, f := range m.fields {
			if p.field != "" && f.name == p.field {
				row := f.row
				row[p.property] = p.value
				m.fields[i] = compileField(row)
			}
		}
	}
	m.columns = append(m.columns, defaultColumns...)
	for i, f := range m.fields {
		f.row["idx"] = int64(i + 1)
		if f.name != "" {
			if _, twice := m.byName[f.name]; !twice {
				m.byName[f.name] = f
			}
		}
		m.maxLevel = max(m.maxLevel, f.permlevel)
		switch {
		case tableTypes[f.typ]:
			m.tables = append(m.tables, f)
			continue
		case layoutTypes[f.typ] || f.virtual:
			continue
		}
		if !isDefaultColumn(f.name) && !isOptionalColumn(f.name) && !(m.child && isChildColumn(f.name)) {
			m.columns = append(m.columns, f.name)
		}
		if f.typ == "Link" || f.typ == "Dynamic Link" {
			m.links = append(m.links, f)
		}
		if link, _, ok := strings.Cut(f.fetchFrom, "."); ok {
			m.fetches[link] = append(m.fetches[link], f)
		}
	}
	if m.child {
		m.columns = append(m.columns, childColumns...)
	}
	for _, c := range m.columns {
		m.isColumn[c] = true
	}
	perms, rows, _ := s.permRows(r.name)
	for _, pr := range rows {
		v := perms.values(pr)
		p := permRow{permlevel: int(cint(v["permlevel"])), ifOwner: isTrue(v["if_owner"]), rights: map[string]bool{}}
		p.role, _ = v["role"].(string)
		for _, right := range rights {
			if isTrue(v[right]) {
				p.rights[right] = true
			}
		}
		m.perms = append(m.perms, p)
	}
	m.workflow = s.activeWorkflow(r.name)
	return m
}

func compileField(v map[string]any) *field {
	text := func(k string) string { s, _ := v[k].(string); return s }
	f := &field{
		name: text("fieldname"), typ: text("fieldtype"), label: text("label"), options: text("options"), fetchFrom: text("fetch_from"),
		permlevel: int(cint(v["permlevel"])), length: int(cint(v["length"])),
		reqd: isTrue(v["reqd"]), unique: isTrue(v["unique"]), readOnly: isTrue(v["read_only"]), hidden: isTrue(v["hidden"]),
		setOnce: isTrue(v["set_only_once"]), onSubmit: isTrue(v["allow_on_submit"]), ignoreUP: isTrue(v["ignore_user_permissions"]),
		noCopy: isTrue(v["no_copy"]), nonNegative: isTrue(v["non_negative"]), fetchIfEmpty: isTrue(v["fetch_if_empty"]),
		ignoreXSS: isTrue(v["ignore_xss_filter"]), virtual: isTrue(v["is_virtual"]), row: v,
	}
	f.def = cstr(v["default"])
	if f.label == "" {
		f.label = titleCase(f.name)
	}
	return f
}

type propertySetter struct {
	field, property string
	value           any
}

func (s *Site) propertySetters(doctype string) []propertySetter {
	t := s.tableMap()["Property Setter"]
	if t == nil {
		return nil
	}
	var out []propertySetter
	for _, r := range t.matching("doc_type", doctype) {
		p := propertySetter{property: t.str(r, "property"), value: t.get(r, "value")}
		if t.str(r, "doctype_or_field") != "DocType" {
			p.field = t.str(r, "field_name")
			if p.field == "" {
				continue
			}
		}
		switch t.str(r, "property_type") {
		case "Check", "Int":
			p.value = cint(p.value)
		}
		out = append(out, p)
	}
	return out
}

func (s *Site) customFields(doctype string) []map[string]any {
	t := s.tableMap()["Custom Field"]
	if t == nil {
		return nil
	}
	var out []map[string]any
	for _, r := range t.matching("dt", doctype) {
		out = append(out, t.values(r))
	}
	slices.SortStableFunc(out, func(a, b map[string]any) int {
		if d := cint(a["idx"]) - cint(b["idx"]); d != 0 {
			return int(d)
		}
		return strings.Compare(cstr(a["creation"]), cstr(b["creation"]))
	})
	return out
}

// matching lists the rows of a small table with a text in a column.
func (t *table) matching(col, value string) []*row {
	var out []*row
	c, ok := t.cols[col]
	if !ok {
		return nil
	}
	want := fold(value)
	t.byName.ascend(nil, func(r *row) bool {
		if c < len(r.vals) {
			if v, _ := r.vals[c].(string); v != "" && fold(v) == want {
				out = append(out, r)
			}
		}
		return true
	})
	return out
}

// baseTables are the built-in DocTypes as rows, made once per major version
// and shared by all sites.
var baseTables = struct {
	sync.Mutex
	byMajor map[int]map[string]*table
}{byMajor: map[int]map[string]*table{}}
