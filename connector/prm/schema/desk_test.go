package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

// desk is a provisioned site as the desk's own items lean on it.
type desk struct {
	t     *testing.T
	c     *frappe.Client
	where string // the item at hand
}

func (d *desk) errorf(format string, args ...any) {
	d.t.Helper()
	d.t.Errorf("%s: %s", d.where, fmt.Sprintf(format, args...))
}

func (d *desk) meta(doctype string) *frappe.Meta {
	d.t.Helper()
	m, err := d.c.Meta(d.t.Context(), doctype)
	if err != nil {
		d.errorf("doctype %s: %v", doctype, err)
		return nil
	}
	return m
}

var columns = []string{"name", "owner", "creation", "modified", "modified_by", "docstatus", "idx", "parent"}

// field returns a field of a doctype; "" as its type is a column that all have.
func (d *desk) field(doctype, name string) (frappe.Field, bool) {
	d.t.Helper()
	m := d.meta(doctype)
	if m == nil {
		return frappe.Field{}, false
	}
	if f, ok := m.Field(name); ok {
		return f, true
	}
	if slices.Contains(columns, name) {
		return frappe.Field{Name: name}, true
	}
	d.errorf("%s has no field %s", doctype, name)
	return frappe.Field{}, false
}

func (d *desk) options(doctype, name string) []string {
	f, _ := d.field(doctype, name)
	return strings.Split(f.Options, "\n")
}

// filters checks [doctype, field, operator, value] or [field, operator, value].
func (d *desk) filters(doctype, raw string) {
	d.t.Helper()
	if raw == "" {
		return
	}
	var list [][]any
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		d.errorf("filters %s: %v", raw, err)
		return
	}
	for _, f := range list {
		if len(f) > 4 {
			d.errorf("filter %v has more than four parts, which Frappe 16 refuses", f)
		}
		doctype := doctype
		if len(f) == 4 {
			if m := d.meta(doctype); m != nil && f[0] != doctype && m.Children[text(f[0])] == nil {
				d.errorf("filter %v is of another doctype than %s", f, doctype)
			}
			doctype, f = text(f[0]), f[1:]
		}
		if len(f) != 3 {
			d.errorf("filter %v", f)
			continue
		}
		field, ok := d.field(doctype, text(f[0]))
		if !ok || field.Type != "Select" {
			continue
		}
		values, isList := f[2].([]any)
		if !isList {
			values = []any{f[2]}
		}
		for _, v := range values {
			if f[1] != "is" && !slices.Contains(strings.Split(field.Options, "\n"), text(v)) {
				d.errorf("filter on %s.%s: there is no option %v", doctype, field.Name, v)
			}
		}
	}
}

var (
	jinja     = regexp.MustCompile(`(?s)\{\{(.*?)\}\}|\{%-?(.*?)-?%\}`)
	quoted    = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	reference = regexp.MustCompile(`(?:^|[^\w.])([a-z]\w*)(?:\[[^\]]*\])?\.([a-z_]\w*)`)
	attribute = regexp.MustCompile(`(?:selectattr|rejectattr)\("(\w+)"|attribute="(\w+)"`)
	numbers   = []string{"Int", "Float", "Check", "Currency", "Percent", "Date", "Datetime", "Select"}
)

// jinja checks that a template names fields that there are, and that it escapes
// each text that people or partners wrote.
func (d *desk) jinja(template string, of map[string]string) {
	d.t.Helper()
	for _, m := range jinja.FindAllStringSubmatch(template, -1) {
		code := quoted.ReplaceAllString(m[1]+m[2], `""`)
		types := []string{}
		for _, ref := range reference.FindAllStringSubmatch(code, -1) {
			if ref[1] == "frappe" || ref[2] == "get" || ref[2] == "update" {
				continue
			}
			doctype, ok := of[ref[1]]
			if !ok {
				d.errorf("%s.%s in %q: whose field is that?", ref[1], ref[2], m[0])
				continue
			}
			f, _ := d.field(doctype, ref[2])
			types = append(types, f.Type)
		}
		out := strings.TrimSpace(m[1])
		if strings.Contains(code, " or ") && strings.HasSuffix(out, "| e") && !strings.HasPrefix(out, "(") {
			d.errorf("%q escapes its last part alone", m[0])
		}
		safe := strings.HasSuffix(out, "| e") || strings.HasPrefix(out, "frappe.format_date(") || strings.HasSuffix(out, "|length") || strings.HasPrefix(out, "cls.get(") ||
			!slices.ContainsFunc(types, func(typ string) bool { return !slices.Contains(numbers, typ) }) || quoted.ReplaceAllString(out, "") == ""
		if m[1] != "" && !safe && len(types) > 0 {
			d.errorf("%q is not escaped", m[0])
		}
	}
}

var script = regexp.MustCompile(`[^\w.]([a-z]\w*)\.([a-z_]\w*)(\()?`)

// javascript checks the fields that a script names of some variables, and that
// none of them goes into HTML as it is unless it is a number.
func (d *desk) javascript(code string, of map[string]func(field string) (typ string, ok bool)) {
	d.t.Helper()
	n := 0
	for _, m := range script.FindAllStringSubmatch(code, -1) {
		known, ok := of[m[1]]
		if !ok || m[3] != "" || m[2] == "length" {
			continue
		}
		n++
		if _, ok := known(m[2]); !ok {
			d.errorf("the script names %s.%s, which is not there", m[1], m[2])
		}
	}
	if n == 0 && len(of) > 0 {
		d.errorf("no field was found in the script")
	}
	for _, m := range regexp.MustCompile(`\$\{\s*([a-z]\w*)\.(\w+)\s*\}`).FindAllStringSubmatch(code, -1) {
		known, ok := of[m[1]]
		if !ok {
			d.errorf("${%s.%s}: whose field is that?", m[1], m[2])
			continue
		}
		if typ, _ := known(m[2]); !slices.Contains([]string{"Int", "Check", "Float"}, typ) {
			d.errorf("%s.%s (%s) is drawn without escaping", m[1], m[2], typ)
		}
	}
	for _, bad := range []string{"eval(", "javascript:", "onclick=", "onerror=", "document.write"} {
		if strings.Contains(code, bad) {
			d.errorf("the script uses %s", bad)
		}
	}
}

// fieldsOf knows the fields of a doctype, and some names besides.
func (d *desk) fieldsOf(doctype string, besides ...string) func(string) (string, bool) {
	m := d.meta(doctype)
	return func(name string) (string, bool) {
		if f, ok := m.Field(name); ok {
			return f.Type, true
		}
		return "", slices.Contains(columns, name) || slices.Contains(besides, name)
	}
}

// verdictKeys are the keys of a row of verdicts_json, as the plan writes them.
func verdictKeys(t *testing.T) map[string]any {
	t.Helper()
	for _, r := range plan.Wanted(plan.Input{
		Now: time.Now(), Partner: plan.PartnerFacts{Key: "acme", Name: "Acme"},
		Assessments: []rules.Assessment{{Key: "k", Partner: "acme", Kind: rules.Continuous, Verdicts: []rules.Verdict{{Criterion: "impl.followed", Title: "Plans are kept", Level: 3}}}},
	}) {
		if r.Doctype != plan.DoctypePartner {
			continue
		}
		var rows []map[string]any
		if err := json.Unmarshal([]byte(r.Fields["verdicts_json"].(string)), &rows); err != nil || len(rows) != 1 {
			t.Fatalf("verdicts_json: %v", err)
		}
		return rows[0]
	}
	t.Fatal("no partner is planned")
	return nil
}

// TestTheDeskNamesWhatIsThere reads every report, card, chart, list, board,
// calendar, script, notification, form, print format and workspace of the desk:
// all doctypes, fields and options that they name exist, on both deployments.
func TestTheDeskNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, deployment := range deployments {
		t.Run(deployment, func(t *testing.T) {
			t.Parallel()
			_, c := provisioned(t, frappetest.V15, deployment)
			d := &desk{t: t, c: c}
			made := map[string]bool{}
			for _, st := range schema.Load().For(deployment) {
				made[st.Doctype+" "+st.Name] = true
			}
			for _, st := range schema.Load().For(deployment) {
				d.where = st.Doctype + " " + st.Name
				d.item(st, made)
			}
		})
	}
}

func rowsOf(body map[string]any, key string) []map[string]any {
	list, _ := body[key].([]any)
	var out []map[string]any
	for _, r := range list {
		out = append(out, r.(map[string]any))
	}
	return out
}

func (d *desk) item(st schema.Step, made map[string]bool) {
	b := st.Body
	switch st.Doctype {
	case "DocType":
		d.doctype(st)
	case "Property Setter":
		if b["doctype_or_field"] == "DocField" {
			d.field(text(b["doc_type"]), text(b["field_name"]))
		} else if b["property"] == "title_field" {
			d.field(text(b["doc_type"]), text(b["value"]))
		}
	case "Report":
		var view struct {
			Fields  [][]string `json:"fields"`
			Filters [][]any    `json:"filters"`
			OrderBy string     `json:"order_by"`
		}
		if err := json.Unmarshal([]byte(text(b["json"])), &view); err != nil {
			d.errorf("json: %v", err)
		}
		for _, f := range view.Fields {
			d.field(f[1], f[0])
		}
		filters, _ := json.Marshal(view.Filters)
		d.filters(text(b["ref_doctype"]), string(filters))
		for _, m := range regexp.MustCompile("`tab([^`]+)`.`(\\w+)`").FindAllStringSubmatch(view.OrderBy, -1) {
			d.field(m[1], m[2])
		}
	case "Number Card":
		d.filters(text(b["document_type"]), text(b["filters_json"]))
	case "Dashboard Chart":
		doctype := text(b["document_type"])
		d.filters(doctype, text(b["filters_json"]))
		for _, k := range []string{"based_on", "value_based_on", "group_by_based_on"} {
			if v := text(b[k]); v != "" {
				d.field(doctype, v)
			}
		}
		if text(b["timeseries"]) == "1" && b["type"] != "Bar" {
			d.errorf("a %v draws a week without data as a fall", b["type"])
		}
	case "Dashboard":
		for _, r := range rowsOf(b, "charts") {
			d.wants(made, "Dashboard Chart", r["chart"])
		}
		for _, r := range rowsOf(b, "cards") {
			d.wants(made, "Number Card", r["card"])
		}
	case "List View Settings":
		var list []struct{ Fieldname string }
		if err := json.Unmarshal([]byte(text(b["fields"])), &list); err != nil {
			d.errorf("fields: %v", err)
		}
		for _, f := range list {
			if f.Fieldname != "status_field" {
				d.field(st.Name, f.Fieldname)
			}
		}
	case "Kanban Board":
		doctype := text(b["reference_doctype"])
		var shown []string
		for _, r := range rowsOf(b, "columns") {
			shown = append(shown, text(r["column_name"]))
		}
		if want := d.options(doctype, text(b["field_name"])); !slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(shown))) {
			d.errorf("columns %q, options %q", shown, want)
		}
		var fields []string
		if err := json.Unmarshal([]byte(text(b["fields"])), &fields); err != nil {
			d.errorf("fields: %v", err)
		}
		for _, f := range fields {
			d.field(doctype, f)
		}
	case "Calendar View":
		for _, k := range []string{"subject_field", "start_date_field", "end_date_field"} {
			d.field(text(b["reference_doctype"]), text(b[k]))
		}
	case "Workflow":
		doctype := text(b["document_type"])
		options := d.options(doctype, text(b["workflow_state_field"]))
		for _, r := range rowsOf(b, "states") {
			d.wants(made, "Workflow State", r["state"])
			if !slices.Contains(options, text(r["state"])) {
				d.errorf("state %v is no option of %s", r["state"], doctype)
			}
		}
		for _, r := range rowsOf(b, "transitions") {
			d.wants(made, "Workflow Action Master", r["action"])
		}
	case "Notification":
		d.notification(b)
	case "Client Script":
		d.clientScript(st)
	case "Custom HTML Block":
		partner, sync := "PMM Partner", "PMM Sync Status"
		code := text(b["script"])
		d.javascript(code, map[string]func(string) (string, bool){"x": d.fieldsOf(partner), "s": d.fieldsOf(sync)})
		for _, m := range regexp.MustCompile(`fields: (\[[^\]]*\])|Sync Status", (\[[^\]]*\])`).FindAllStringSubmatch(code, -1) {
			var names []string
			if err := json.Unmarshal([]byte(m[1]+m[2]), &names); err != nil {
				d.errorf("%s: %v", m[0], err)
			}
			for _, n := range names {
				d.field(map[bool]string{true: partner, false: sync}[m[1] != ""], n)
			}
		}
	case "Print Format":
		d.printFormat(b)
	case "Web Form":
		d.webForm(b)
	case "Workspace":
		d.workspace(b, made)
	}
}

func (d *desk) wants(made map[string]bool, doctype string, name any) {
	if !made[doctype+" "+text(name)] {
		d.errorf("%s %v is not made", doctype, name)
	}
}

func (d *desk) doctype(st schema.Step) {
	b := st.Body
	for _, name := range strings.Split(text(b["search_fields"])+","+text(b["title_field"])+","+text(b["sort_field"]), ",") {
		if name = strings.TrimSpace(name); name != "" {
			d.field(st.Name, name)
		}
	}
	for _, f := range rowsOf(b, "fields") {
		for _, k := range []string{"depends_on", "mandatory_depends_on", "read_only_depends_on", "collapsible_depends_on"} {
			for _, m := range regexp.MustCompile(`doc\.(\w+)`).FindAllStringSubmatch(text(f[k]), -1) {
				d.field(st.Name, m[1])
			}
		}
		if by, from, ok := strings.Cut(text(f["fetch_from"]), "."); ok {
			if link, ok := d.field(st.Name, by); ok {
				d.field(link.Options, from)
			}
		}
	}
	if states := rowsOf(b, "states"); len(states) > 0 {
		options := d.options(st.Name, "status")
		for _, s := range states {
			if !slices.Contains(options, text(s["title"])) {
				d.errorf("state %v is no option of status", s["title"])
			}
		}
	}
	for _, l := range rowsOf(b, "links") {
		d.field(text(l["link_doctype"]), text(l["link_fieldname"]))
	}
}

func (d *desk) notification(b map[string]any) {
	doctype := text(b["document_type"])
	if f := text(b["date_changed"]); f != "" {
		if field, ok := d.field(doctype, f); ok && field.Type != "Date" {
			d.errorf("%s is %s", f, field.Type)
		}
	}
	if f := text(b["value_changed"]); f != "" {
		d.field(doctype, f)
	}
	if n := len([]rune(text(b["subject"]))); n > 140 {
		d.errorf("the subject has %d characters, and may have 140", n)
	}
	d.jinja(text(b["subject"])+"\n"+text(b["message"]), map[string]string{"doc": doctype})
	for _, m := range regexp.MustCompile(`doc\.(\w+)(?: (?:==|in) (\(?"[^)]*"\)?))?`).FindAllStringSubmatch(text(b["condition"]), -1) {
		field, ok := d.field(doctype, m[1])
		for _, v := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			if ok && field.Type == "Select" && !slices.Contains(strings.Split(field.Options, "\n"), v[1]) {
				d.errorf("condition: %s has no option %s", m[1], v[1])
			}
		}
	}
	recipients := rowsOf(b, "recipients")
	if len(recipients) == 0 {
		d.errorf("nobody receives it")
	}
	for _, r := range recipients {
		if f := text(r["receiver_by_document_field"]); f != "" {
			if field, ok := d.field(doctype, f); ok && field.Options != "User" {
				d.errorf("%s names no user", f)
			}
		}
	}
}

func (d *desk) clientScript(st schema.Step) {
	doctype, code := text(st.Body["dt"]), text(st.Body["script"])
	own := d.fieldsOf(doctype)
	of := map[string]func(string) (string, bool){}
	switch {
	case st.Name == "PMM Partner Form":
		keys := verdictKeys(d.t)
		verdict := func(name string) (string, bool) {
			v, ok := keys[name]
			if _, number := v.(float64); number {
				return "Int", true
			}
			return "Data", ok || name == "decided" // the assessment's alone
		}
		of = map[string]func(string) (string, bool){"doc": own, "r": verdict, "row": verdict, "a": verdict, "b": verdict}
	case st.Name == "PMM Assessment Form":
		result := d.fieldsOf("PMM Criterion Result", "decided")
		of = map[string]func(string) (string, bool){"doc": own, "r": result, "row": result, "a": result, "b": result, "o": d.fieldsOf("PMM Criterion Override")}
		for _, m := range regexp.MustCompile(`decided\.(\w+)`).FindAllStringSubmatch(code, -1) {
			d.field("PMM Criterion Override", m[1])
		}
	case strings.Contains(code, "doc."):
		of["doc"] = own
	}
	d.javascript(code, of)
	for _, m := range regexp.MustCompile(`get_field\("(\w+)"\)|formatters: \{(\w+):|\}, (custom_\w+): \(v\)|frm\.doc\.(\w+)`).FindAllStringSubmatch(code, -1) {
		d.field(doctype, m[1]+m[2]+m[3]+m[4])
	}
	if m := regexp.MustCompile(`filters: (\[\[.*?\]\]),?\n`).FindStringSubmatch(code); m != nil {
		d.filters(doctype, m[1])
	}
	if m := regexp.MustCompile(`get_indicator: .*?(\{.*?\})`).FindStringSubmatch(code); m != nil {
		var colours map[string]string
		if err := json.Unmarshal([]byte(m[1]), &colours); err != nil {
			d.errorf("%s: %v", m[1], err)
		}
		for _, option := range d.options(doctype, "status") {
			if colours[option] == "" {
				d.errorf("status %s has no colour", option)
			}
		}
	}
}

func (d *desk) printFormat(b map[string]any) {
	doctype, html := text(b["doc_type"]), text(b["html"])
	of := map[string]string{"doc": doctype, "partner": "PMM Partner", "evid": "PMM Evidence", "v": "PMM Evidence", "n": "Partner Non Conformance", "ncs": "Partner Non Conformance"}
	m := d.meta(doctype)
	for name, field := range map[string]string{"r": "results", "s": "samples", "o": "overrides", "ov": "overrides"} {
		f, _ := m.Field(field)
		of[name] = f.Options
	}
	d.jinja(html, of)
	for _, q := range regexp.MustCompile(`get_all\("([^"]+)", filters=\{"(\w+)": [^}]*\}, fields=(\[[^\]]*\]), order_by="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		var names []string
		if err := json.Unmarshal([]byte(q[3]), &names); err != nil {
			d.errorf("%s: %v", q[3], err)
		}
		for _, part := range strings.Split(q[4], ", ") {
			name, _, _ := strings.Cut(part, " ")
			names = append(names, name)
		}
		for _, name := range append(names, q[2]) {
			d.field(q[1], name)
		}
	}
	for _, m := range attribute.FindAllStringSubmatch(html, -1) {
		d.field(of["r"], m[1]+m[2])
	}
	for _, want := range []string{"partner_name", "cutoff", "rule_set", "measured", "expected", "reason", "sample_note", "expected_closure", "content_hash", "Suggestions", "not an inspection"} {
		if !strings.Contains(html, want) {
			d.errorf("the pack does not show %s", want)
		}
	}
}

func (d *desk) webForm(b map[string]any) {
	doctype := text(b["doc_type"])
	m := d.meta(doctype)
	asked := map[string]bool{}
	for _, r := range rowsOf(b, "web_form_fields") {
		name := text(r["fieldname"])
		asked[name] = true
		f, ok := d.field(doctype, name)
		switch {
		case !ok:
		case f.Type != r["fieldtype"] || f.Options != text(r["options"]):
			d.errorf("%s is %s %q on the form, and %s %q in the doctype", name, r["fieldtype"], r["options"], f.Type, f.Options)
		case f.Permlevel > 0 || f.ReadOnly:
			d.errorf("%s is not a customer's to fill", name)
		case f.Required && text(r["reqd"]) != "1":
			d.errorf("%s is mandatory, and optional on the form", name)
		}
	}
	for _, f := range m.Fields {
		if f.Required && !asked[f.Name] {
			d.errorf("%s is mandatory, and not on the form", f.Name)
		}
	}
	for _, kept := range []string{"status", "partner", "escalation"} {
		if asked[kept] {
			d.errorf("a customer could set %s", kept)
		}
	}
	for key, want := range map[string]string{"login_required": "0", "anonymous": "0", "published": "1", "allow_edit": "", "allow_delete": "", "show_list": "", "route": "escalate"} {
		if got := text(b[key]); got != want && (want != "" || got != "0") {
			d.errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func (d *desk) workspace(b map[string]any, made map[string]bool) {
	var blocks []struct {
		Type string
		Data map[string]any
	}
	if err := json.Unmarshal([]byte(text(b["content"])), &blocks); err != nil {
		d.errorf("content: %v", err)
	}
	for kind, in := range map[string]struct{ key, table, column, doctype, target string }{
		"chart":        {"chart_name", "charts", "label", "Dashboard Chart", "chart_name"},
		"number_card":  {"number_card_name", "number_cards", "label", "Number Card", "number_card_name"},
		"custom_block": {"custom_block_name", "custom_blocks", "label", "Custom HTML Block", "custom_block_name"},
		"shortcut":     {"shortcut_name", "shortcuts", "label", "", ""},
		"quick_list":   {"quick_list_name", "quick_lists", "label", "", ""},
		"card":         {"card_name", "links", "label", "", ""},
	} {
		rows := map[string]map[string]any{}
		for _, r := range rowsOf(b, in.table) {
			if kind == "card" && r["type"] != "Card Break" {
				continue
			}
			rows[text(r[in.column])] = r
			if in.doctype != "" {
				d.wants(made, in.doctype, r[in.target])
			}
		}
		shown := map[string]bool{}
		for _, block := range blocks {
			if block.Type == kind {
				name := text(block.Data[in.key])
				shown[name] = true
				if rows[name] == nil {
					d.errorf("the %s %q has no row in %s", kind, name, in.table)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(rows)) {
			if !shown[name] {
				d.errorf("%s %q is in the table, and not in the content", kind, name)
			}
		}
	}
	for _, r := range rowsOf(b, "links") {
		switch {
		case r["type"] == "Card Break":
		case r["link_type"] == "DocType":
			d.meta(text(r["link_to"]))
		default:
			d.wants(made, text(r["link_type"]), r["link_to"])
		}
	}
	for _, r := range rowsOf(b, "quick_lists") {
		d.filters(text(r["document_type"]), text(r["quick_list_filter"]))
	}
	for _, r := range rowsOf(b, "shortcuts") {
		if r["type"] != "DocType" {
			continue
		}
		doctype := text(r["link_to"])
		// stats_filter is JavaScript: the user's name stands unquoted.
		d.filters(doctype, strings.ReplaceAll(text(r["stats_filter"]), "frappe.session.user", `"x"`))
		if board := text(r["kanban_board"]); board != "" {
			d.wants(made, "Kanban Board", board)
		}
	}
}

// judging are words that pass sentence on a partner: an audit is no exam, and
// what prmsync writes is a finding with its evidence.
var judging = regexp.MustCompile(`(?i)\b(fail(s|ed|ure|ing)?|inspection|examination|exam|score|grade|punish\w*|penalt\w*|violat\w*|guilty|blame|defaulter|offen[cs]e|negligen\w*|incompetent|sanction|culprit|fraud\w*)\b`)

func TestTheDeskIsWordedNeutrally(t *testing.T) {
	t.Parallel()
	var look func(where string, v any)
	look = func(where string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				look(where+"."+k, x)
			}
		case []any:
			for _, x := range v {
				look(where, x)
			}
		case string:
			v = strings.ReplaceAll(v, "not an inspection", "")
			if word := judging.FindString(v); word != "" {
				t.Errorf("%s says %q", where, word)
			}
		}
	}
	for _, st := range schema.Load().Steps {
		look(st.Doctype+" "+st.Name, st.Body)
	}
}
