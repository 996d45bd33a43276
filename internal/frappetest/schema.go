package frappetest

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// controller is the Python class of a DocType: what runs besides the generic
// pipeline.
type controller struct {
	autoname     func(d *document, given string) error
	beforeInsert func(d *document) error
	validate     func(d *document) error
	afterInsert  func(d *document) error
	onUpdate     func(d *document) error
	onTrash      func(d *document) error
}

// schemaTypes change what a meta is; compiled ones are dropped on a write.
var schemaTypes = map[string]bool{
	"DocType": true, "DocField": true, "DocPerm": true, "Custom Field": true, "Property Setter": true, "Custom DocPerm": true, "Workflow": true,
	"DocType State": true, "DocType Link": true, "DocType Action": true,
}

var controllers map[string]controller

func init() {
	controllers = map[string]controller{
		"DocType":         {autoname: keepGivenName, validate: validateDocType, onUpdate: updateDocType, onTrash: trashDocType},
		"Custom Field":    {autoname: nameCustomField, validate: validateCustomField},
		"Property Setter": {autoname: namePropertySetter, validate: validatePropertySetter},
		"Custom DocPerm":  {},
		"Role":            {validate: validateRole, onUpdate: updateRole},
		"User":            {autoname: nameUser, validate: validateUser, onUpdate: updateUser},
		"Module Def":      {validate: validateModule},
		"Number Card":     {autoname: nameNumberCard, validate: validateNumberCard},
		"Dashboard Chart": {validate: validateDashboardChart},
		"Dashboard":       {},
		"Workspace":       {validate: validateWorkspace},
		"Report":          {validate: validateReport},
		"Server Script":   {autoname: keepGivenName},
		"Client Script":   {autoname: keepGivenName, validate: validateClientScript},
		"Notification":    {validate: validateNotification},
		"Webhook":         {autoname: nameWebhook, validate: validateWebhook},
		"Workflow":        {validate: validateWorkflow, onUpdate: updateWorkflow},
		"Kanban Board":    {validate: validateKanban},
		"Web Form":        {autoname: nameWebForm, validate: validateWebForm},
		"Print Format":    {validate: validatePrintFormat},
		"File":            {autoname: nameFile, validate: validateFile, afterInsert: fileComment, onTrash: trashFile},
		"User Permission": {validate: validateUserPermission},
		"Event":           {validate: validateEvent},
		"ToDo":            {validate: validateToDo, onUpdate: updateToDo},
		"Task":            {validate: validateTask},
		"HD Ticket":       {autoname: nameCounter},
		"Calendar View":   {autoname: keepGivenName},
	}
}

func keepGivenName(d *document, given string) error {
	if given == "" && d.name() == "" {
		return d.q.throw("ValidationError", "Please set the document name")
	}
	d.vals["name"] = given
	return nil
}

func nameCounter(d *document, _ string) error {
	d.vals["name"] = cstr(d.q.nextInSeries("autoincrement:"+d.m.name, 1))
	return nil
}

var (
	docTypeName = regexp.MustCompile(`^[\w][\w \-]*$`)
	badField    = regexp.MustCompile(`[^\w]`)
)

// Names that fields may not have: columns and attributes of every document.
var (
	restrictedFields = []string{"name", "parent", "creation", "owner", "modified", "modified_by", "parentfield", "parenttype", "file_list", "flags", "docstatus"}
	reservedFields   = []string{"doctype", "meta", "flags", "parent_doc", "_table_fields", "_valid_columns", "_doc_before_save", "dont_update_if_missing"}
	illegalInField   = regexp.MustCompile(`['",./%@()<>{}]`)
)

// validateDocType holds the rules of §8: who, what is custom, what the fields
// and permission rows may be.
func validateDocType(d *document) error {
	q := d.q
	if !d.is("custom") && !isTrue(q.site.config["developer_mode"]) && q.user != "Administrator" {
		if d.isNew {
			return q.throw("CannotCreateStandardDoctypeError", "Not in Developer Mode! Set in site_config.json or make 'Custom' DocType.")
		}
		return q.throw("CannotCreateStandardDoctypeError", "Cannot edit a standard DocType outside of developer mode, use Customize Form instead")
	}
	name := d.name()
	if d.isNew {
		if utf8.RuneCountInString(name) > 61 {
			return q.throw("NameError", "Doctype name is limited to 61 characters (%s)", name)
		}
		if !docTypeName.MatchString(name) || name[0] >= '0' && name[0] <= '9' || name[0] == '_' {
			return q.throw("NameError", "A DocType's name should start with a letter and can only consist of letters, numbers, spaces, underscores and hyphens")
		}
	}
	if d.str("module") == "" {
		return nil // the mandatory check says so
	}
	if d.is("is_virtual") {
		return nil
	}
	seen := map[string]bool{}
	for _, f := range d.kids["fields"] {
		if err := validateDocField(d, f, seen); err != nil {
			return err
		}
	}
	if d.isNew && d.is("is_submittable") && !seen["amended_from"] {
		o := newObject("fieldname", "amended_from", "label", "Amended From", "fieldtype", "Link", "options", name, "no_copy", int64(1), "print_hide", int64(1), "read_only", int64(1), "search_index", int64(1))
		cm := q.site.metaOf("DocField")
		c := d.appendRow(d.m.byName["fields"], cm, o)
		q.applyDefaults(c)
		c.vals["name"], c.isNew = q.site.newHash(), true
		c.vals["modified"], c.vals["modified_by"], c.vals["owner"], c.vals["creation"] = d.vals["modified"], q.user, q.user, d.vals["modified"]
	}
	for _, k := range []string{"title_field", "image_field"} {
		if v := d.str(k); v != "" && !seen[v] && v != "name" {
			return q.throw("InvalidFieldNameError", "%s must be a valid fieldname", titleCase(k))
		}
	}
	if s := d.str("search_fields"); s != "" {
		for _, f := range splitFields(s) {
			if !seen[f] && !isDefaultColumn(f) {
				return q.throw("ValidationError", "Search field %s is not valid", f)
			}
		}
	}
	if by, ok := strings.CutPrefix(d.str("autoname"), "field:"); ok && !seen[by] && by != "name" {
		return q.throw("ValidationError", "Invalid fieldname '%s' in autoname", by)
	}
	if by, ok := strings.CutPrefix(d.str("autoname"), "field:"); ok {
		for _, f := range d.kids["fields"] {
			if f.str("fieldname") == by {
				f.vals["unique"] = int64(1)
			}
		}
	}
	for i, p := range d.kids["permissions"] {
		if d.is("istable") {
			break
		}
		if err := validateDocPerm(d, p, i); err != nil {
			return err
		}
	}
	if d.is("istable") {
		d.kids["permissions"] = nil
	} else if len(d.kids["permissions"]) > 0 || !d.isNew {
		if err := checkPermSet(d); err != nil {
			return err
		}
	}
	if isTrue(d.vals["issingle"]) {
		for _, p := range d.kids["permissions"] {
			if p.is("report") {
				q.notify("Report cannot be set for Single types")
				p.vals["report"], p.vals["import"], p.vals["export"] = int64(0), int64(0), int64(0)
			}
		}
	}
	for _, l := range d.kids["links"] {
		lm := q.site.metaOf(l.str("link_doctype"))
		if lm == nil {
			return q.throw("DoctypeLinkError", "Document Links Row #%d: Could not find field %s in %s DocType", cint(l.vals["idx"]), l.str("link_fieldname"), l.str("link_doctype"))
		}
		if lm.field(l.str("link_fieldname")) == nil {
			return q.throw("DoctypeLinkError", "Document Links Row #%d: Could not find field %s in %s DocType", cint(l.vals["idx"]), l.str("link_fieldname"), l.str("link_doctype"))
		}
	}
	return nil
}

func validateDocField(d, f *document, seen map[string]bool) error {
	q := d.q
	typ := f.str("fieldtype")
	if !slices.Contains(allFieldtypes, typ) {
		return nil // the select check names it
	}
	if f.str("fieldname") == "" {
		label := f.str("label")
		isBreak := typ == "Section Break" || typ == "Column Break" || typ == "Tab Break"
		switch {
		case label != "":
			name := strings.Trim(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(label)), " ", "_"), "?")
			if slices.Contains(restrictedFields, name) {
				name += "1"
			}
			if isBreak {
				name += "_" + strings.ToLower(strings.TrimSuffix(typ, " Break"))
			}
			f.vals["fieldname"] = name
		case isBreak:
			f.vals["fieldname"] = strings.ToLower(strings.ReplaceAll(typ, " ", "_")) + "_" + q.site.newHash()[6:]
		default:
			return q.throw("ValidationError", "Row #%d: Fieldname is required", cint(f.vals["idx"]))
		}
	} else if slices.Contains(restrictedFields, f.str("fieldname")) {
		return q.throw("InvalidFieldNameError", "Fieldname %s is restricted", f.str("fieldname"))
	}
	name := strings.ToLower(illegalInField.ReplaceAllString(f.str("fieldname"), ""))
	f.vals["fieldname"] = name
	if badField.MatchString(name) {
		return q.throw("InvalidColumnName", "Fieldname %s cannot have special characters like %s", bold(name), `"`+strings.Join(badField.FindAllString(name, -1), `", "`)+`"`)
	}
	if slices.Contains(reservedFields, name) {
		return q.throw("ValidationError", "%s: fieldname cannot be set to reserved keyword %s", bold(d.name()), bold(name))
	}
	if seen[name] {
		return q.throw("UniqueFieldnameError", "%s: Fieldname %s appears multiple times in rows", d.name(), name)
	}
	seen[name] = true
	if utf8.RuneCountInString(name) > 64 {
		return q.throw("ValidationError", "Fieldname is limited to 64 characters (%s)", name)
	}
	options := f.str("options")
	switch typ {
	case "Link", "Table", "Table MultiSelect":
		if options == "" {
			return q.throw("DoctypeLinkError", "%s: Options required for Link or Table type field %s in row %d", d.name(), f.str("label"), cint(f.vals["idx"]))
		}
		if typ == "Link" && options == "[Select]" {
			break
		}
		if options == d.name() {
			break
		}
		tm := q.site.metaOf(options)
		if tm == nil {
			return q.throw("WrongOptionsDoctypeLinkError", "%s: Options must be a valid DocType for field %s in row %d", d.name(), f.str("label"), cint(f.vals["idx"]))
		}
		if tableTypes[typ] && !tm.child {
			return q.throw("ValidationError", "Option %s for field %s is not a child table", bold(options), bold(name))
		}
		if tm.name != options {
			return q.throw("DoctypeLinkError", "%s: Options %s must be the same as doctype name %s for the field %s", d.name(), options, tm.name, f.str("label"))
		}
	case "Dynamic Link":
		pointer := (*document)(nil)
		for _, x := range d.kids["fields"] {
			if x.str("fieldname") == options {
				pointer = x
			}
		}
		custom := false
		if m := q.site.metaOf(d.name()); m != nil && pointer == nil && m.field(options) != nil {
			custom = true
		}
		if !custom && (pointer == nil || pointer.str("fieldtype") != "Link" && pointer.str("fieldtype") != "Select" || pointer.str("fieldtype") == "Link" && pointer.str("options") != "DocType") {
			return q.throw("ValidationError", "Options Dynamic Link type of field must point to another Link Field with options as 'DocType'")
		}
	case "HTML":
		// The desk's templates do not survive here.
		if options != "" && !f.is("ignore_xss_filter") {
			f.vals["options"] = sanitizeHTML(options)
		}
	}
	if f.is("hidden") && f.is("reqd") && f.str("default") == "" {
		return q.throw("HiddenAndMandatoryWithoutDefaultError", "%s: Field %s in row %d cannot be hidden and mandatory without default", d.name(), f.str("label"), cint(f.vals["idx"]))
	}
	if f.is("unique") && !slices.Contains([]string{"Data", "Link", "Read Only", "Int"}, typ) {
		return q.throw("NonUniqueError", "%s: Fieldtype %s for %s cannot be unique", d.name(), typ, f.str("label"))
	}
	if f.is("search_index") && slices.Contains([]string{"Text", "Long Text", "Small Text", "Code", "Text Editor"}, typ) {
		return q.throw("CannotIndexedError", "%s: Fieldtype %s for %s cannot be indexed", d.name(), typ, f.str("label"))
	}
	if f.is("reqd") && layoutTypes[typ] {
		return q.throw("IllegalMandatoryError", "%s: Field %s of type %s cannot be mandatory", d.name(), f.str("label"), typ)
	}
	if typ == "Check" {
		if v := f.str("default"); v != "" && v != "0" && v != "1" {
			return q.throw("ValidationError", "Default for 'Check' type of field %s must be either '0' or '1'", bold(name))
		}
		if f.str("default") == "" {
			f.vals["default"] = "0"
		}
	}
	if typ == "Select" {
		if v := f.str("default"); v != "" && options != "" && !slices.Contains(strings.Split(options, "\n"), v) {
			return q.throw("ValidationError", "Default value for %s must be in the list of options.", bold(f.str("label")))
		}
	}
	if n := cint(f.vals["length"]); varcharTypes[typ] && n != 0 && (n < 1 || n > 1000) {
		return q.throw("ValidationError", "Length of %s should be between 1 and 1000", name)
	}
	if p := f.str("precision"); p != "" && (cint(p) < 1 || cint(p) > 6) && p != "0" {
		return q.throw("ValidationError", "Precision should be between 1 and 6")
	}
	if from := f.str("fetch_from"); from != "" {
		f.vals["fetch_from"] = strings.TrimSpace(from)
	}
	return nil
}

// automaticRoles may not stand in a custom DocType unless the Administrator
// puts them there.
var automaticRoles = []string{"Guest", "All", "Desk User", "Administrator"}

func validateDocPerm(d, p *document, _ int) error {
	q := d.q
	role := p.str("role")
	if role == "" {
		return nil
	}
	if !q.isAdmin() && d.is("custom") {
		if slices.Contains(automaticRoles, role) || isTrue(q.value("Role", role, "is_custom")) {
			return q.throw("ValidationError", "Row # %d: Non administrator user can not set the role %s to the custom doctype", cint(p.vals["idx"]), bold(role))
		}
	}
	level := cint(p.vals["permlevel"])
	if !p.is("select") && !p.is("read") && !p.is("write") && !p.is("submit") && !p.is("cancel") && !p.is("create") {
		return q.throw("ValidationError", "For %s at level %d in %s in row %d: No basic permissions set", role, level, d.name(), cint(p.vals["idx"]))
	}
	if p.is("submit") && !d.is("is_submittable") || (p.is("cancel") || p.is("amend")) && !d.is("is_submittable") {
		return q.throw("ValidationError", "For %s at level %d in %s in row %d: Cannot set Assign Submit if not Submittable", role, level, d.name(), cint(p.vals["idx"]))
	}
	if level > 0 {
		for _, r := range []string{"create", "submit", "cancel", "amend"} {
			p.vals[r] = int64(0)
		}
	}
	if p.is("cancel") && !p.is("submit") || (p.is("submit") || p.is("cancel") || p.is("amend")) && !p.is("write") {
		return q.throw("ValidationError", "For %s at level %d in %s in row %d: Cannot set Submit, Cancel, Amend without Write", role, level, d.name(), cint(p.vals["idx"]))
	}
	if p.is("import") && !d.is("allow_import") {
		return q.throw("ValidationError", "For %s at level %d in %s in row %d: Cannot set import as %s is not importable", role, level, d.name(), cint(p.vals["idx"]), d.name())
	}
	return nil
}

func checkPermSet(d *document) error {
	type key struct {
		role  string
		level int64
		owner bool
	}
	seen := map[key]bool{}
	zero := map[string]bool{}
	for _, p := range d.kids["permissions"] {
		k := key{p.str("role"), cint(p.vals["permlevel"]), p.is("if_owner")}
		if seen[k] {
			return d.q.throw("ValidationError", "For %s at level %d in %s in row %d: Only one rule allowed with the same Role, Level and If Owner", k.role, k.level, d.name(), cint(p.vals["idx"]))
		}
		seen[k] = true
		if k.level == 0 {
			zero[k.role] = true
		}
	}
	for k := range seen {
		if k.level > 0 && !zero[k.role] {
			return d.q.throw("ValidationError", "For %s at level %d in %s: Permission at level 0 must be set before higher levels are set", k.role, k.level, d.name())
		}
	}
	return nil
}

func updateDocType(d *document) error {
	if !d.is("issingle") {
		d.q.site.table(d.name())
	}
	d.q.site.forget("")
	return nil
}

func trashDocType(d *document) error {
	t := d.q.site.table("Custom Field")
	for _, r := range t.matching("dt", d.name()) {
		d.q.tx.remove(t, r)
	}
	return nil
}

func nameCustomField(d *document, _ string) error {
	q := d.q
	if d.str("fieldname") == "" {
		label := d.str("label")
		if label == "" {
			if typ := d.str("fieldtype"); typ == "Section Break" || typ == "Column Break" || typ == "Tab Break" {
				label = typ + " " + cstr(q.nextInSeries("custom field "+d.str("dt"), 1))
			} else {
				return q.throw("ValidationError", "Label is mandatory")
			}
		}
		name := strings.Trim(badField.ReplaceAllString(strings.ToLower(strings.ReplaceAll(label, " ", "_")), ""), "_")
		if q.site.version.customPrefix {
			name = "custom_" + name
		}
		d.vals["fieldname"] = name
	}
	d.vals["fieldname"] = strings.ToLower(d.str("fieldname"))
	d.vals["name"] = d.str("dt") + "-" + d.str("fieldname")
	return nil
}

func validateCustomField(d *document) error {
	q := d.q
	m := q.site.metaOf(d.str("dt"))
	if m == nil {
		return nil // the link check says so
	}
	name := d.str("fieldname")
	if d.isNew {
		if m.field(name) != nil || isStandardColumn(name) {
			return q.throw("ValidationError", "A field with the name %s already exists in %s", bold(name), m.name)
		}
		if after := d.str("insert_after"); after == "" && len(m.fields) > 0 {
			d.vals["insert_after"] = m.fields[len(m.fields)-1].name
		} else if after != "" && m.field(after) == nil && after != "append" {
			d.vals["insert_after"] = nil
		}
		t := q.site.table("Custom Field")
		d.vals["idx"] = int64(len(t.matching("dt", m.name)) + len(m.fields) + 1)
	} else if d.before.str("fieldtype") != d.str("fieldtype") && !compatibleTypes(d.before.str("fieldtype"), d.str("fieldtype")) {
		return q.throw("ValidationError", "Fieldtype cannot be changed from %s to %s", d.before.str("fieldtype"), d.str("fieldtype"))
	}
	dt := &document{q: q, m: q.site.metaOf("DocType"), vals: map[string]any{"name": m.name}, kids: map[string][]*document{}}
	if d.str("fieldtype") == "" {
		d.vals["fieldtype"] = "Data"
	}
	return validateDocField(dt, d, map[string]bool{})
}

func compatibleTypes(a, b string) bool {
	for _, g := range [][]string{
		{"Currency", "Float", "Percent"},
		{"Small Text", "Data"},
		{"Text", "Data"},
		{"Text", "Text Editor", "Code", "Signature", "HTML Editor", "Small Text", "Long Text"},
		{"Data", "Select"},
		{"Text", "Small Text"},
		{"Table", "Table MultiSelect"},
		{"Data", "Link"},
		{"Data", "Read Only"},
	} {
		if slices.Contains(g, a) && slices.Contains(g, b) {
			return true
		}
	}
	return false
}

func namePropertySetter(d *document, _ string) error {
	field := d.str("field_name")
	if field == "" {
		field = d.str("row_name")
	}
	if field == "" {
		field = "main"
	}
	d.vals["name"] = d.str("doc_type") + "-" + field + "-" + d.str("property")
	return nil
}

func validatePropertySetter(d *document) error {
	q := d.q
	if d.isNew {
		// A second setter of the same property replaces the first.
		t := q.site.table("Property Setter")
		if r := t.find(d.name()); r != nil {
			if err := q.removeRow("Property Setter", r); err != nil {
				return err
			}
		}
	}
	if m := q.site.metaOf(d.str("doc_type")); m != nil && d.str("doctype_or_field") == "DocField" && m.field(d.str("field_name")) == nil {
		return nil // stored, without effect
	}
	return nil
}

func validateRole(d *document) error {
	if slices.Contains([]string{"Administrator", "Guest", "All", "Desk User"}, d.name()) && d.is("disabled") {
		return d.q.throw("ValidationError", "Standard roles cannot be disabled")
	}
	return nil
}

// updateRole makes desk users of the role's users, or the reverse.
func updateRole(d *document) error {
	if d.isNew || d.before == nil || d.is("desk_access") == d.before.is("desk_access") {
		return nil
	}
	q := d.q
	t, users := q.site.table("Has Role"), q.site.table("User")
	for _, r := range t.matching("role", d.name()) {
		user := users.find(t.str(r, "parent"))
		if user == nil || user.name == "Administrator" || user.name == "Guest" {
			continue
		}
		typ := "Website User"
		for _, other := range t.matching("parent", user.name) {
			role := t.str(other, "role")
			if role == d.name() && d.is("desk_access") || role != d.name() && isTrue(q.value("Role", role, "desk_access")) {
				typ = "System User"
			}
		}
		if err := q.store("User", user, users.with(user, map[string]any{"user_type": typ})); err != nil {
			return err
		}
	}
	return nil
}

func nameUser(d *document, _ string) error {
	if e := strings.ToLower(strings.TrimSpace(d.str("email"))); e != "" {
		d.vals["email"], d.vals["name"] = e, e
	}
	return nil
}

func validateUser(d *document) error {
	q := d.q
	if d.str("email") != "" && !strings.Contains(d.str("email"), "@") && d.name() != "Administrator" && d.name() != "Guest" {
		return q.throw("InvalidEmailAddressError", "%s is not a valid Email Address", d.str("email"))
	}
	full := strings.TrimSpace(d.str("first_name") + " " + d.str("last_name"))
	if full != "" {
		d.vals["full_name"] = full
	}
	typ := "Website User"
	seen := map[string]bool{}
	d.kids["roles"] = slices.DeleteFunc(d.kids["roles"], func(r *document) bool {
		twice := seen[r.str("role")]
		seen[r.str("role")] = true
		return twice
	})
	for _, r := range d.kids["roles"] {
		if isTrue(q.value("Role", r.str("role"), "desk_access")) {
			typ = "System User"
		}
	}
	if d.name() != "Administrator" && d.name() != "Guest" {
		d.vals["user_type"] = typ
	}
	return nil
}

func updateUser(d *document) error {
	d.q.roleSet = nil
	return nil
}

func validateModule(d *document) error {
	if d.str("app_name") == "" && !d.is("custom") {
		return nil
	}
	return nil
}

func nameNumberCard(d *document, given string) error {
	name := given
	if name == "" {
		name = d.str("label")
	}
	if name == "" {
		return nil
	}
	d.vals["name"] = d.q.numberedName("Number Card", name)
	return nil
}

func validateNumberCard(d *document) error {
	q := d.q
	if d.str("type") == "" || d.str("type") == "Document Type" {
		if d.str("document_type") == "" || d.str("function") == "" {
			return q.throw("ValidationError", "Document Type and Function are required to create a number card")
		}
		if d.str("function") != "Count" && d.str("aggregate_function_based_on") == "" {
			return q.throw("ValidationError", "Aggregate Field is required to create a number card")
		}
		if m := q.site.metaOf(d.str("document_type")); m != nil && m.child && d.str("parent_document_type") == "" {
			return q.throw("ValidationError", "Parent Document Type is required to create a number card")
		}
	}
	if d.str("type") == "Report" && (d.str("report_name") == "" || d.str("report_field") == "" || d.str("function") == "") {
		return q.throw("ValidationError", "Report Name, Report Field and Fucntion are required to create a number card")
	}
	if d.str("type") == "Custom" && d.str("method") == "" {
		return q.throw("ValidationError", "Method is required to create a number card")
	}
	for _, k := range []string{"filters_json", "dynamic_filters_json"} {
		if s := d.str(k); s != "" {
			v, err := parseJSON(s)
			if err != nil {
				return asPython(err)
			}
			if l, ok := v.([]any); ok && q.site.version.major >= 16 {
				for _, f := range l {
					if x, ok := f.([]any); ok && len(x) > 4 {
						return q.throw("ValidationError", "Filter must have 3 or 4 elements")
					}
				}
			}
		}
	}
	return nil
}

func validateDashboardChart(d *document) error {
	q := d.q
	switch d.str("chart_type") {
	case "Custom", "Report":
		return nil
	case "Group By":
		if d.str("document_type") == "" {
			return q.throw("ValidationError", "Document type is required to create a dashboard chart")
		}
		if d.str("group_by_based_on") == "" {
			return q.throw("ValidationError", "Group By field is required to create a dashboard chart")
		}
		if (d.str("group_by_type") == "Sum" || d.str("group_by_type") == "Average") && d.str("aggregate_function_based_on") == "" {
			return q.throw("ValidationError", "Aggregate Function field is required to create a dashboard chart")
		}
	default:
		if d.str("document_type") == "" {
			return q.throw("ValidationError", "Document type is required to create a dashboard chart")
		}
		if d.str("based_on") == "" {
			return q.throw("ValidationError", "Time series based on is required to create a dashboard chart")
		}
	}
	if m := q.site.metaOf(d.str("document_type")); m != nil && m.single {
		return q.throw("ValidationError", "You cannot create a dashboard chart from single DocTypes")
	}
	return nil
}

func validateWorkspace(d *document) error {
	q := d.q
	if d.is("public") && !q.hasRole("Workspace Manager") {
		if q.site.version.workspaceMsg {
			return q.throw("ValidationError", "You need to be Workspace Manager to edit this document")
		}
		return raise("PermissionError", "")
	}
	if d.str("title") == "" {
		d.vals["title"] = d.vals["label"]
	}
	s := d.str("content")
	if s == "" {
		s = "[]"
		d.vals["content"] = s
	}
	v, err := parseJSON(s)
	if err != nil {
		return q.throw("ValidationError", "Content data shoud be a list")
	}
	list, ok := v.([]any)
	if !ok {
		return q.throw("ValidationError", "Content data shoud be a list")
	}
	_ = list
	if q.site.version.major >= 16 && d.m.field("app") != nil {
		if mod := d.str("module"); mod != "" && d.str("app") == "" && isTrue(q.value("Module Def", mod, "custom")) {
			return q.throw("DoesNotExistError", "Module %s not found", mod)
		}
	}
	return nil
}

func validateReport(d *document) error {
	q := d.q
	if d.str("module") == "" {
		if m := q.site.metaOf(d.str("ref_doctype")); m != nil {
			d.vals["module"] = m.module
		}
	}
	if d.str("is_standard") == "" {
		d.vals["is_standard"] = "No"
	}
	if d.str("is_standard") == "No" {
		if t := d.str("report_type"); t != "Report Builder" && t != "Custom Report" && !q.hasRole("Script Manager") {
			return q.throw("PermissionError", "Only users with role %s can create %s", bold("Script Manager"), t)
		}
	} else if !isTrue(q.site.config["developer_mode"]) && q.user != "Administrator" {
		return q.throw("ValidationError", "Only Administrator can save a standard report. Please rename and save.")
	}
	if d.isNew && len(d.kids["roles"]) == 0 {
		if m := q.site.metaOf(d.str("ref_doctype")); m != nil {
			seen := map[string]bool{}
			for _, p := range m.perms {
				if !seen[p.role] && p.permlevel == 0 && q.exists("Role", p.role) {
					seen[p.role] = true
					c := d.appendRow(d.m.byName["roles"], q.site.metaOf("Has Role"), newObject("role", p.role))
					c.vals["name"], c.isNew = q.site.newHash(), true
					c.vals["modified"], c.vals["modified_by"], c.vals["owner"], c.vals["creation"] = d.vals["modified"], q.user, q.user, d.vals["modified"]
				}
			}
		}
	}
	return nil
}

func validateClientScript(d *document) error {
	if !d.isNew && (d.before.str("dt") != d.str("dt") || d.before.str("view") != d.str("view")) {
		return nil // set_only_once says no
	}
	return nil
}

func validateNotification(d *document) error {
	q := d.q
	if d.str("channel") == "" {
		d.vals["channel"] = "Email"
	}
	if d.str("channel") != "Slack" && d.str("channel") != "SMS" && utf8.RuneCountInString(d.str("subject")) > 140 {
		return q.throw("CharacterLengthExceededError", "Notification %s: 'Subject' will get truncated, as max characters allowed is 140", d.name())
	}
	switch d.str("event") {
	case "Days Before", "Days After":
		if d.str("date_changed") == "" {
			return q.throw("ValidationError", "Please specify which date field must be checked")
		}
	case "Value Change":
		if d.str("value_changed") == "" {
			return q.throw("ValidationError", "Please specify which value field must be checked")
		}
	}
	m := q.site.metaOf(d.str("document_type"))
	if m == nil {
		return nil
	}
	if m.child && d.str("event") != "Days Before" && d.str("event") != "Days After" {
		return q.throw("ValidationError", "Cannot set Notification with event %s on Document Type %s", d.str("event"), m.name)
	}
	if d.is("is_standard") && d.is("enabled") && !isTrue(q.site.config["developer_mode"]) {
		return q.throw("ValidationError", "Cannot edit Standard Notification. To edit, please disable this and duplicate it")
	}
	return nil
}

func nameWebhook(d *document, given string) error {
	if given != "" {
		d.vals["name"] = given
		return nil
	}
	t := d.q.site.table("Webhook")
	d.vals["name"] = d.q.numberedName("Webhook", "HOOK-"+cstr(int64(10000 + t.len()))[1:])
	return nil
}

func validateWebhook(d *document) error {
	q := d.q
	if m := q.site.metaOf(d.str("webhook_doctype")); m != nil && !m.submittable {
		if slices.Contains([]string{"on_submit", "on_cancel", "on_update_after_submit"}, d.str("webhook_docevent")) {
			return q.throw("ValidationError", "DocType must be Submittable for the selected Doc Event")
		}
	}
	if u := d.str("request_url"); u != "" && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
		return q.throw("ValidationError", "Check Request URL")
	}
	return nil
}

func validateKanban(d *document) error {
	q := d.q
	m := q.site.metaOf(d.str("reference_doctype"))
	if m == nil {
		return nil
	}
	f := m.field(d.str("field_name"))
	if f == nil {
		return q.throw("ValidationError", "Field %s does not exist on %s", bold(d.str("field_name")), m.name)
	}
	if s := d.str("filters"); s == "[]" && d.isNew {
		return raise("OperationalError", `(4025, 'CONSTRAINT `+"`tabKanban Board.filters`"+` failed for `+"`%s`.`tabKanban Board`"+`')`, q.site.dbName())
	}
	for _, c := range d.kids["columns"] {
		if c.str("column_name") == "" {
			return q.throw("ValidationError", "Column Name cannot be empty")
		}
	}
	return nil
}

func nameWebForm(d *document, given string) error {
	if given != "" {
		d.vals["name"] = given
		return nil
	}
	d.vals["name"] = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(d.str("title")), "-"), "-")
	return nil
}

func validateWebForm(d *document) error {
	q := d.q
	m := q.site.metaOf(d.str("doc_type"))
	if m == nil {
		return nil
	}
	var missing []string
	for _, f := range d.kids["web_form_fields"] {
		typ := f.str("fieldtype")
		if layoutTypes[typ] || typ == "Page Break" {
			continue
		}
		if m.field(f.str("fieldname")) == nil {
			missing = append(missing, f.str("fieldname"))
		}
	}
	if len(missing) > 0 {
		return q.throw("ValidationError", "Following fields are missing:<br>%s", strings.Join(missing, "<br>"))
	}
	return nil
}

func validatePrintFormat(d *document) error {
	q := d.q
	if d.str("module") == "" {
		if m := q.site.metaOf(d.str("doc_type")); m != nil {
			d.vals["module"] = m.module
		}
	}
	if d.is("custom_format") && d.is("raw_printing") && d.str("raw_commands") == "" {
		return q.throw("MandatoryError", "%s are required", bold("Raw Commands"))
	}
	if d.str("standard") == "Yes" && !isTrue(q.site.config["developer_mode"]) && q.user != "Administrator" {
		return q.throw("ValidationError", "Standard Print Format cannot be updated")
	}
	if d.is("custom_format") && d.str("html") == "" && !d.is("raw_printing") && d.str("standard") != "Yes" {
		return q.throw("MandatoryError", "%s is required", bold("HTML"))
	}
	return nil
}

func nameFile(d *document, _ string) error {
	if d.is("is_folder") {
		name := d.str("file_name")
		if f := d.str("folder"); f != "" {
			name = f + "/" + name
		}
		d.vals["name"] = name
		return nil
	}
	d.vals["name"] = hashText("file" + d.q.site.newHash())[:10]
	return nil
}

func validateFile(d *document) error {
	if d.str("attached_to_doctype") != "" && d.str("attached_to_name") == "" {
		return d.q.throw("ValidationError", "Attached To Name must be a string or an integer")
	}
	if u := d.str("file_url"); u != "" && !strings.HasPrefix(u, "/files/") && !strings.HasPrefix(u, "/private/files/") && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") && !d.is("is_folder") {
		return d.q.throw("ValidationError", "URL must start with http:// or https://")
	}
	if d.isNew && !d.is("is_folder") && d.str("file_url") == "" && d.str("content") == "" && d.str("content_hash") == "" || d.isNew && d.str("file_name") == "." {
		return d.q.throw("ValidationError", "There is some problem with the file url: %s", d.str("file_url"))
	}
	if d.isNew && !d.is("is_folder") && d.str("file_name") == "" && d.str("file_url") != "" {
		u := d.str("file_url")
		d.vals["file_name"] = u[strings.LastIndexByte(u, '/')+1:]
	}
	if c := d.str("content"); d.isNew && c != "" && d.str("content_hash") == "" {
		d.q.keepBytes(d, fileArgs{name: d.str("file_name"), data: []byte(c), private: d.is("is_private")})
	}
	return nil
}

func fileComment(d *document) error {
	dt, dn := d.str("attached_to_doctype"), d.str("attached_to_name")
	if dt == "" || dn == "" || !d.q.exists(dt, dn) {
		return nil
	}
	icon := ""
	if d.is("is_private") {
		icon = ` <i class="fa fa-lock text-warning"></i>`
	}
	_, err := d.q.addComment(dt, dn, "Attachment", `<a href='`+d.str("file_url")+`' target='_blank'>`+d.str("file_name")+`</a>`+icon)
	return err
}

func trashFile(d *document) error {
	if d.is("is_home_folder") || d.is("is_attachments_folder") {
		return d.q.throw("ValidationError", "Cannot delete Home and Attachments folders")
	}
	url := d.str("file_url")
	name := d.name()
	q := d.q
	t := q.site.table("File")
	shared := false
	for _, r := range t.matching("file_url", url) {
		shared = shared || r.name != name
	}
	if !shared {
		if data, ok := q.site.blobs[url]; ok {
			delete(q.site.blobs, url)
			q.tx.undo = append(q.tx.undo, func() { q.site.blobs[url] = data })
		}
	}
	if dt, dn := d.str("attached_to_doctype"), d.str("attached_to_name"); dt != "" && q.exists(dt, dn) {
		_, err := q.addComment(dt, dn, "Attachment Removed", d.str("file_name"))
		return err
	}
	return nil
}

func validateUserPermission(d *document) error {
	q := d.q
	allow, value := d.str("allow"), d.str("for_value")
	if q.site.metaOf(allow) != nil && value != "" && !q.exists(allow, value) {
		return q.throw("LinkValidationError", "Could not find For Value: %s", value)
	}
	if !d.is("apply_to_all_doctypes") && d.str("applicable_for") == "" && d.vals["apply_to_all_doctypes"] == nil {
		d.vals["apply_to_all_doctypes"] = int64(1)
	}
	t := q.site.table("User Permission")
	for _, r := range t.matching("user", d.str("user")) {
		if r.name != d.name() && t.str(r, "allow") == allow && t.str(r, "for_value") == value && t.str(r, "applicable_for") == d.str("applicable_for") {
			return q.throw("DuplicateEntryError", "User permission already exists")
		}
	}
	return nil
}

func validateEvent(d *document) error {
	if d.str("starts_on") != "" && d.str("ends_on") != "" {
		a, okA := parseDatetime(d.str("starts_on"))
		b, okB := parseDatetime(d.str("ends_on"))
		if okA && okB && b.Before(a) {
			return d.q.throw("ValidationError", "Event end must be after start")
		}
	}
	return nil
}

func validateToDo(d *document) error {
	if d.isNew && d.str("assigned_by") == "" {
		d.vals["assigned_by"] = d.q.user
	}
	return nil
}

func updateToDo(d *document) error {
	if dt, dn := d.str("reference_type"), d.str("reference_name"); dt != "" && dn != "" && d.q.exists(dt, dn) {
		return d.q.syncAssign(dt, dn)
	}
	return nil
}

// validateTask is the little of ERPNext's Task that a reader can see: a
// completed task has a completion date that is not in the future.
func validateTask(d *document) error {
	if d.m.field("completed_on") == nil {
		return nil
	}
	if s := d.str("completed_on"); s != "" {
		if t, ok := parseDatetime(s); ok && t.After(d.q.site.today()) {
			return d.q.throw("ValidationError", "Completed On cannot be greater than Today")
		}
	}
	return nil
}

// grant gives rights on a DocType to a role, as the permission manager does.
func (q *session) grant(doctype, role string, permlevel int, letters string) error {
	if q.site.metaOf(doctype) == nil {
		return q.notFound("DocType", doctype)
	}
	if err := q.copyPerms(doctype); err != nil {
		return err
	}
	t := q.site.table("Custom DocPerm")
	var old *row
	for _, r := range t.matching("parent", doctype) {
		if t.str(r, "role") == role && int(cint(t.get(r, "permlevel"))) == permlevel && !isTrue(t.get(r, "if_owner")) {
			old = r
		}
	}
	vals := map[string]any{}
	for _, r := range rights {
		vals[r] = int64(0)
	}
	for i := range len(letters) {
		if r, ok := rightLetters[letters[i]]; ok {
			vals[r] = int64(1)
		}
	}
	if old != nil {
		if err := q.store("Custom DocPerm", old, t.with(old, vals)); err != nil {
			return err
		}
	} else {
		vals["parent"], vals["parenttype"], vals["parentfield"] = doctype, "DocType", "permissions"
		vals["role"], vals["permlevel"] = role, int64(permlevel)
		if err := q.insertPlain("Custom DocPerm", q.site.newHash(), vals); err != nil {
			return err
		}
	}
	q.forgetSchema()
	return nil
}

func (q *session) forgetSchema() {
	q.site.forget("")
	q.tx.undo = append(q.tx.undo, func() { q.site.forget("") })
}

// copyPerms is setup_custom_perms: the standard rows become custom ones, once.
func (q *session) copyPerms(doctype string) error {
	t := q.site.table("Custom DocPerm")
	if len(t.matching("parent", doctype)) > 0 {
		return nil
	}
	p := q.site.table("DocPerm")
	for _, r := range p.childRows("DocType", doctype, "permissions") {
		vals := map[string]any{
			"parent": doctype, "parenttype": "DocType", "parentfield": "permissions", "role": p.get(r, "role"),
			"permlevel": cint(p.get(r, "permlevel")), "if_owner": cint(p.get(r, "if_owner")),
		}
		for _, right := range rights {
			vals[right] = cint(p.get(r, right))
		}
		if err := q.insertPlain("Custom DocPerm", q.site.newHash(), vals); err != nil {
			return err
		}
	}
	q.forgetSchema()
	return nil
}

func (q *session) onlySystemManager() error {
	if q.hasRole("System Manager") {
		return nil
	}
	return q.throw("PermissionError", "This action is only allowed for %s", bold("System Manager"))
}

func (q *session) permAdd(p *object) (any, error) {
	if err := need("add", p, "parent", "role", "permlevel"); err != nil {
		return nil, err
	}
	if err := q.onlySystemManager(); err != nil {
		return nil, err
	}
	doctype, role, level := cstr(p.get("parent")), cstr(p.get("role")), cint(p.get("permlevel"))
	if _, err := q.meta(doctype); err != nil {
		return nil, err
	}
	if !q.exists("Role", role) {
		return nil, q.throw("LinkValidationError", "Could not find Role: %s", role)
	}
	if err := q.copyPerms(doctype); err != nil {
		return nil, err
	}
	t := q.site.table("Custom DocPerm")
	for _, r := range t.matching("parent", doctype) {
		if t.str(r, "role") == role && cint(t.get(r, "permlevel")) == level && !isTrue(t.get(r, "if_owner")) {
			return nil, nil
		}
	}
	id := q.site.newHash()
	vals := map[string]any{"parent": doctype, "parenttype": "DocType", "parentfield": "permissions", "role": role, "permlevel": level, "if_owner": int64(0)}
	m := q.site.metaOf("Custom DocPerm")
	for _, r := range rights {
		f := m.field(r)
		vals[r] = int64(0)
		if r == "read" || f != nil && f.def == "1" { // export comes along
			vals[r] = int64(1)
		}
	}
	if err := q.insertPlain("Custom DocPerm", id, vals); err != nil {
		return nil, err
	}
	q.forgetSchema()
	return nil, q.checkCustomPerms(doctype)
}

// checkCustomPerms is validate_permissions over the rows that people keep.
func (q *session) checkCustomPerms(doctype string) error {
	t := q.site.table("Custom DocPerm")
	rows := t.matching("parent", doctype)
	zero := map[string]bool{}
	for _, r := range rows {
		if cint(t.get(r, "permlevel")) == 0 {
			zero[t.str(r, "role")] = true
		}
	}
	for i, r := range rows {
		role, level := t.str(r, "role"), cint(t.get(r, "permlevel"))
		some := false
		for _, right := range []string{"select", "read", "write", "submit", "cancel", "create"} {
			some = some || isTrue(t.get(r, right))
		}
		switch {
		case !some:
			return q.throw("ValidationError", "For %s at level %d in %s in row %d: No basic permissions set", role, level, doctype, i+1)
		case level > 0 && role != "All" && !zero[role]:
			return q.throw("ValidationError", "For %s at level %d in %s in row %d: Permission at level 0 must be set before higher levels are set", role, level, doctype, i+1)
		case isTrue(t.get(r, "import")) && !isTrue(t.get(r, "create")):
			return q.throw("ValidationError", "For %s at level %d in %s in row %d: Cannot set Import without Create", role, level, doctype, i+1)
		}
	}
	return nil
}

func (q *session) findPerm(doctype, role string, level int64, ifOwner bool) *row {
	t := q.site.table("Custom DocPerm")
	for _, r := range t.matching("parent", doctype) {
		if t.str(r, "role") == role && cint(t.get(r, "permlevel")) == level && isTrue(t.get(r, "if_owner")) == ifOwner {
			return r
		}
	}
	return nil
}

func (q *session) permUpdate(p *object) (any, error) {
	if err := need("update", p, "doctype", "role", "permlevel", "ptype"); err != nil {
		return nil, err
	}
	if err := q.onlySystemManager(); err != nil {
		return nil, err
	}
	doctype, role, ptype := cstr(p.get("doctype")), cstr(p.get("role")), cstr(p.get("ptype"))
	if err := q.copyPerms(doctype); err != nil {
		return nil, err
	}
	r := q.findPerm(doctype, role, cint(p.get("permlevel")), truthy(sbool(p.get("if_owner"))))
	if r == nil {
		return nil, raise("DoesNotExistError", "")
	}
	if !slices.Contains(rights, ptype) && ptype != "if_owner" {
		return nil, unknownColumn(ptype, "SET")
	}
	value := p.get("value")
	t := q.site.table("Custom DocPerm")
	if err := q.store("Custom DocPerm", r, t.with(r, map[string]any{ptype: cint(value), "modified": q.site.localNow(), "modified_by": q.user})); err != nil {
		return nil, err
	}
	q.forgetSchema()
	return nil, q.checkCustomPerms(doctype)
}

func (q *session) permRemove(p *object) (any, error) {
	if err := q.onlySystemManager(); err != nil {
		return nil, err
	}
	doctype := cstr(p.get("doctype"))
	if err := q.copyPerms(doctype); err != nil {
		return nil, err
	}
	if r := q.findPerm(doctype, cstr(p.get("role")), cint(p.get("permlevel")), truthy(sbool(p.get("if_owner")))); r != nil {
		if len(q.site.table("Custom DocPerm").matching("parent", doctype)) == 1 {
			return nil, q.throw("ValidationError", "There must be atleast one permission rule.")
		}
		if err := q.removeRow("Custom DocPerm", r); err != nil {
			return nil, err
		}
	}
	q.forgetSchema()
	return nil, nil
}

func (q *session) permReset(p *object) (any, error) {
	if err := q.onlySystemManager(); err != nil {
		return nil, err
	}
	for _, r := range q.site.table("Custom DocPerm").matching("parent", cstr(p.get("doctype"))) {
		if err := q.removeRow("Custom DocPerm", r); err != nil {
			return nil, err
		}
	}
	q.forgetSchema()
	return nil, nil
}

func (q *session) permList(p *object) (any, error) {
	if err := q.onlySystemManager(); err != nil {
		return nil, err
	}
	out := []any{}
	doctype := cstr(p.get("doctype"))
	t, rows, _ := q.site.permRows(doctype)
	for _, r := range rows {
		if role := cstr(p.get("role")); role != "" && t.str(r, "role") != role {
			continue
		}
		o := newObject("name", r.name, "parent", doctype, "role", t.get(r, "role"), "permlevel", cint(t.get(r, "permlevel")), "if_owner", cint(t.get(r, "if_owner")))
		for _, right := range rights {
			o.set(right, cint(t.get(r, right)))
		}
		out = append(out, o)
	}
	return out, nil
}
