package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prmsync/prmsync/connector/frappe"
)

// Options say how a PRM is provisioned.
type Options struct {
	Deployment string // bare or press
	DryRun     bool   // look only
	// Progress is told of each step when it is settled; nil tells nobody.
	Progress func(done, total int, item Item)
}

// Result is what a run found and did.
type Result struct {
	Version string `json:"schema_version"`
	Items   []Item `json:"items"`
}

// Count returns how many items have the verb.
func (r Result) Count(v Verb) int {
	n := 0
	for _, i := range r.Items {
		if i.Verb == v {
			n++
		}
	}
	return n
}

// Provision compares the PRM with the schema and, unless DryRun, makes and
// changes what differs, in order. It may be run again at any time and after any
// interruption. A step that the site refuses is tried again after all others; if
// it is refused still, it is an item with Cannot and the schema version is not
// written. The error is one that ends the run: no answer, a refused key, a
// missing role.
func Provision(ctx context.Context, c *frappe.Client, o Options) (Result, error) {
	s := Load()
	r := &run{c: c, o: o, s: s, steps: s.For(o.Deployment)}
	if err := r.roles(ctx); err != nil {
		return Result{}, err
	}
	if err := r.suits(ctx); err != nil {
		return Result{}, err
	}
	res := Result{Version: s.Version}
	refused := map[int]Step{} // by position among the items
	try := func(st Step) (Item, error) {
		item, err := r.step(ctx, st)
		switch {
		case err == nil:
		case ends(err):
			return item, fmt.Errorf("%s %s: %w", st.Doctype, st.Name, err)
		default:
			item = Item{Doctype: st.Doctype, Name: st.Name, Verb: Cannot, Reason: reason(err)}
		}
		return item, nil
	}
	for i, st := range r.steps {
		if st.Action == "single" { // the version, last
			for _, at := range slices.Sorted(maps.Keys(refused)) {
				// What it leaned on may have come after it: a field of another
				// doctype that people had deleted.
				var err error
				if res.Items[at], err = try(refused[at]); err != nil {
					return res, err
				}
			}
			r.failed = slices.ContainsFunc(res.Items, func(i Item) bool { return i.Verb == Cannot })
		}
		item, err := try(st)
		if err != nil {
			return res, err
		}
		if item.Verb == Cannot && !o.DryRun {
			refused[len(res.Items)] = st
		}
		res.Items = append(append(res.Items, item), r.more...)
		r.more = nil
		if o.Progress != nil {
			o.Progress(i+1, len(r.steps), item)
		}
	}
	return res, nil
}

// ends reports whether going on makes no sense.
func ends(err error) bool {
	switch frappe.CategoryOf(err) {
	case frappe.Unauthorized, frappe.Unreachable, frappe.Timeout, frappe.Cancelled, frappe.BreakerOpen, frappe.Unavailable,
		frappe.RefusedAddress, frappe.BadCertificate, frappe.LoginPage, frappe.Redirected, frappe.RateLimited, frappe.Uncertain:
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func reason(err error) string {
	if e, ok := errors.AsType[*frappe.Error](err); ok {
		s := e.Error()
		if len(e.Messages) > 0 {
			s += " (" + strings.Join(e.Messages, "; ") + ")"
		}
		return s
	}
	return err.Error()
}

type run struct {
	c      *frappe.Client
	o      Options
	s      *Schema
	steps  []Step
	user   string
	have   []string                // the user's roles
	grants map[string][]frappe.Doc // Custom DocPerm rows by doctype; nil until asked
	custom map[string][]frappe.Doc // what people set in Customize Form, by doctype; nil until asked
	more   []Item                  // what the step at hand found besides
	failed bool
}

// roles refuses a user who cannot provision, naming the role.
func (r *run) roles(ctx context.Context) error {
	var err error
	if r.user, err = r.c.Whoami(ctx); err != nil {
		return fmt.Errorf("who provisions: %w", err)
	}
	if r.have, err = r.c.Roles(ctx, r.user); err != nil {
		return fmt.Errorf("roles of the provisioning user: %w", err)
	}
	var lack []string
	for _, role := range r.s.ProvisioningRoles {
		if role != "Website Manager" && !slices.Contains(r.have, role) {
			lack = append(lack, role)
		}
	}
	if r.user != "Administrator" && len(lack) > 0 {
		return fmt.Errorf("the provisioning user lacks the role %s; give it to that user on the PRM, or use another user's key", strings.Join(lack, " and "))
	}
	return nil
}

// suits refuses a deployment that the PRM is not: made as bare, a press site's
// own doctypes would be overwritten, and as press a bare one would get none.
func (r *run) suits(ctx context.Context) error {
	const mark = "Partner Audit"
	meta, err := r.c.Meta(ctx, mark)
	switch frappe.CategoryOf(err) {
	case "":
		r.c.Forget(mark)
	case frappe.NotFound, frappe.Forbidden:
		meta = nil
	default:
		return fmt.Errorf("what the PRM has already: %w", err)
	}
	have, err := version(ctx, r.c)
	if err != nil {
		return fmt.Errorf("which schema the PRM has: %w", err)
	}
	if newer(have, r.s.Version) {
		return fmt.Errorf("the PRM has schema version %s, and this prmsync makes version %s: provision with the newer prmsync that made it", have, r.s.Version)
	}
	switch theirs := meta != nil && !meta.Custom; {
	case r.o.Deployment == "bare" && theirs:
		return fmt.Errorf("the PRM brings its own doctype %s, as press does, and prm.deployment is bare: set it to press", mark)
	case r.o.Deployment == "press" && !theirs:
		return fmt.Errorf("the PRM does not bring the doctype %s, and prm.deployment is press: set it to bare, or install press there first", mark)
	}
	return nil
}

// version is that of the last whole run; "" where there was none.
func version(ctx context.Context, c *frappe.Client) (string, error) {
	doc, err := c.Get(ctx, status, status)
	if err != nil && !ends(err) {
		return "", nil // nothing was provisioned yet
	}
	return doc.Text("schema_version"), err
}

const status = "PMM Sync Status"

func newer(a, b string) bool {
	x, err1 := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	return err1 == nil && err2 == nil && x > y
}

func (r *run) step(ctx context.Context, st Step) (Item, error) {
	switch st.Action {
	case "ensure", "merge":
		item, err := r.ensure(ctx, st)
		if err == nil && st.Doctype == "DocType" && item.Verb != Create {
			err = r.peoples(ctx, st)
		}
		return item, err
	case "permission":
		return r.permission(ctx, st)
	case "single":
		return r.single(ctx, st)
	}
	return Item{}, fmt.Errorf("schema.json: unknown action %q", st.Action)
}

// leaveIfFound are records that a press site brings and that stay as they are.
func (st Step) leaveIfFound() bool { return strings.Contains(st.Note, "left as found") }

func (r *run) ensure(ctx context.Context, st Step) (Item, error) {
	item := Item{Doctype: st.Doctype, Name: st.Name}
	if st.Doctype == "Web Form" && r.user != "Administrator" && !slices.Contains(r.have, "Website Manager") {
		item.Verb, item.Reason = Skipped, "the provisioning user lacks the role Website Manager; without it customers have no form on the PRM"
		return item, nil
	}
	meta, err := r.c.Meta(ctx, st.Doctype)
	switch frappe.CategoryOf(err) {
	case "":
	case frappe.NotFound, frappe.Forbidden:
		item.Verb, item.Reason = Skipped, "this version of Frappe has no "+st.Doctype
		return item, nil
	default:
		return item, err
	}
	body := known(meta, st.Body)
	maps.Copy(body, known(meta, st.BodyWhereKnown))
	if st.Doctype == "Workspace" {
		withoutMissingBlocks(meta, body)
	}
	doc, err := r.c.Get(ctx, st.Doctype, st.Name)
	if frappe.CategoryOf(err) == frappe.NotFound {
		if st.Action == "merge" {
			if r.o.DryRun {
				item.Verb = Change
				return item, nil
			}
			return item, fmt.Errorf("%s %s is not there to be extended", st.Doctype, st.Name)
		}
		item.Verb = Create
		if r.o.DryRun {
			return item, nil
		}
		if strings.EqualFold(meta.Autoname, "prompt") {
			body["name"] = st.Name
		}
		if _, err := r.c.Insert(ctx, st.Doctype, "", body); err != nil {
			if c := frappe.CategoryOf(err); c != frappe.Uncertain && c != frappe.Duplicate {
				return item, err
			}
			// Its answer was lost, or somebody was faster: look.
			if ok, err2 := r.c.Exists(ctx, st.Doctype, st.Name); err2 != nil || !ok {
				return item, errors.Join(err, err2)
			}
		}
		r.forget(st, body)
		return item, nil
	}
	if err != nil {
		return item, err
	}
	if st.leaveIfFound() {
		item.Verb = Unchanged
		return item, nil
	}
	change, err := r.diff(st.Doctype, meta, body, doc)
	if err != nil {
		return item, err
	}
	if len(change) == 0 {
		item.Verb = Unchanged
		return item, nil
	}
	item.Fields = slices.Sorted(maps.Keys(change))
	if st.Doctype == "Custom Field" && !r.ours(doc) {
		// How a field looks is people's; what it is stays ours.
		maps.DeleteFunc(change, func(k string, _ any) bool { return slices.Contains(looks, k) })
		if len(change) > 0 {
			item.Fields = slices.Sorted(maps.Keys(change))
		}
	}
	if (desk(st.Doctype) || len(change) == 0) && !r.ours(doc) {
		item.Verb, item.Reason = Left, "edited by "+doc.Text("modified_by")+" since; delete it and provision again to have ours back"
		return item, nil
	}
	item.Verb = Change
	if r.o.DryRun {
		return item, nil
	}
	if _, err := r.c.Update(ctx, st.Doctype, st.Name, doc.Modified(), change); err != nil {
		return item, err
	}
	r.forget(st, body)
	return item, nil
}

// forget drops what the client remembers of a doctype that was just changed.
func (r *run) forget(st Step, body map[string]any) {
	switch st.Doctype {
	case "DocType":
		r.c.Forget(st.Name)
	case "Custom Field":
		if dt, ok := body["dt"].(string); ok {
			r.c.Forget(dt)
		}
	}
}

// looks are the properties of a field that only the desk shows.
var looks = []string{
	"label", "description", "insert_after", "in_list_view", "in_standard_filter", "in_preview", "in_global_search", "bold", "columns", "width", "print_width",
	"print_hide", "report_hide", "collapsible", "depends_on", "translatable", "placeholder",
}

// desk reports whether people edit such records in the desk.
func desk(doctype string) bool {
	switch doctype {
	case "Report", "Number Card", "Dashboard Chart", "Dashboard", "List View Settings", "Kanban Board", "Calendar View", "Client Script",
		"Notification", "Print Format", "Web Form", "Custom HTML Block", "Workspace", "Workflow", "Workflow State":
		return true
	}
	return false
}

// ours reports whether the record was last saved by the user that provisions.
// A record whose modified_by is somebody else's carries that person's wishes.
func (r *run) ours(doc frappe.Doc) bool {
	by := doc.Text("modified_by")
	return by == "" || by == r.user
}

// known keeps the keys of a body, and of its child rows, that the live meta knows.
func known(meta *frappe.Meta, body map[string]any) map[string]any {
	out := make(map[string]any, len(body))
	for k, v := range body {
		if k == "name" {
			out[k] = v
			continue
		}
		f, ok := meta.Field(k)
		if !ok {
			continue
		}
		rows, isTable := v.([]any)
		child := meta.Children[f.Options]
		if !isTable || child == nil {
			out[k] = v
			continue
		}
		kept := make([]any, 0, len(rows))
		for _, row := range rows {
			m, ok := row.(map[string]any)
			if !ok {
				continue
			}
			keep := make(map[string]any, len(m))
			for ck, cv := range m {
				if _, ok := child.Field(ck); ok {
					keep[ck] = cv
				}
			}
			kept = append(kept, keep)
		}
		out[k] = kept
	}
	return out
}

// withoutMissingBlocks cuts from a workspace what the version cannot show: 14
// has neither custom blocks nor a Kanban view of shortcuts.
func withoutMissingBlocks(meta *frappe.Meta, body map[string]any) {
	if _, ok := meta.Field("custom_blocks"); !ok {
		var blocks []map[string]any
		if text, ok := body["content"].(string); ok && json.Unmarshal([]byte(text), &blocks) == nil {
			blocks = slices.DeleteFunc(blocks, func(b map[string]any) bool { return b["type"] == "custom_block" })
			if b, err := json.Marshal(blocks); err == nil {
				body["content"] = string(b)
			}
		}
	}
	f, ok := meta.Field("shortcuts")
	if !ok {
		return
	}
	child := meta.Children[f.Options]
	if child == nil {
		return
	}
	view, ok := child.Field("doc_view")
	if !ok || strings.Contains(view.Options, "Kanban") {
		return
	}
	rows, _ := body["shortcuts"].([]any)
	for _, row := range rows {
		if m, ok := row.(map[string]any); ok && m["doc_view"] == "Kanban" {
			m["doc_view"] = ""
		}
	}
}

// diff returns the keys of body that the document lacks or has otherwise, in
// the form to be sent: a table is merged with the rows that are there.
func (r *run) diff(doctype string, meta *frappe.Meta, body map[string]any, doc frappe.Doc) (map[string]any, error) {
	out := map[string]any{}
	for k, want := range body {
		if k == "name" {
			continue
		}
		rows, isTable := want.([]any)
		if !isTable {
			f, _ := meta.Field(k)
			if want = widen(k, want, doc[k]); !same(f, want, doc[k]) {
				out[k] = want
			}
			continue
		}
		f, _ := meta.Field(k)
		merged, changed := r.merge(doctype+"."+k, meta.Children[f.Options], rows, doc.Rows(k))
		if changed {
			out[k] = merged
		}
	}
	return out, nil
}

// merge lays wanted child rows over those that are there. Where the schema
// names the columns that tell rows apart, rows found keep their name and what
// we do not mention, and the rows of others stay behind the row that they stood
// behind; elsewhere rows are compared by position and the table is replaced.
func (r *run) merge(table string, child *frappe.Meta, want []any, have []frappe.Doc) (merged []any, changed bool) {
	field := func(k string) frappe.Field {
		if child == nil {
			return frappe.Field{}
		}
		f, _ := child.Field(k)
		return f
	}
	keys := r.s.rowKeys[table]
	if keys == nil {
		changed = len(want) != len(have)
		for i, w := range want {
			row, _ := w.(map[string]any)
			out := maps.Clone(row)
			if i < len(have) {
				for k, v := range row {
					if !same(field(k), v, have[i][k]) {
						changed = true
					}
				}
			}
			merged = append(merged, out)
		}
		return merged, changed
	}
	key := func(m map[string]any) string {
		var parts []string
		for _, k := range keys {
			parts = append(parts, text(m[k]))
		}
		return strings.Join(parts, "\x00")
	}
	found := map[string]frappe.Doc{}
	followers := map[string][]frappe.Doc{} // rows of others, by the wanted row they stand behind
	wanted := map[string]bool{}
	for _, w := range want {
		if m, ok := w.(map[string]any); ok {
			wanted[key(m)] = true
		}
	}
	last := ""
	for _, h := range have {
		k := key(h)
		if _, dup := found[k]; wanted[k] && !dup {
			found[k], last = h, k
			continue
		}
		followers[last] = append(followers[last], h)
	}
	add := func(rows []frappe.Doc) {
		for _, h := range rows {
			merged = append(merged, map[string]any(h))
		}
	}
	add(followers[""])
	for _, w := range want {
		m, _ := w.(map[string]any)
		k := key(m)
		h, ok := found[k]
		if !ok {
			changed = true
			merged = append(merged, maps.Clone(m))
		} else {
			row := maps.Clone(map[string]any(h))
			for c, v := range m {
				if table == "DocType.permissions" && text(v) == "0" && text(h[c]) == "1" {
					continue // a right that people added
				}
				if v = widen(c, v, h[c]); !same(field(c), v, h[c]) {
					changed = true
					row[c] = v
				}
			}
			merged = append(merged, row)
		}
		add(followers[k])
	}
	// A changed order of our own rows is not worth a write.
	return merged, changed
}

// widen keeps Select options that people added or that an older schema had, in
// the order that they have: a document holding an option that vanished could
// never be saved again.
func widen(column string, want, have any) any {
	if column != "options" {
		return want
	}
	w, ok1 := want.(string)
	h, ok2 := have.(string)
	if !ok1 || !ok2 || h == "" || !strings.Contains(w, "\n") {
		return want
	}
	lines := strings.Split(h, "\n")
	for i, l := range strings.Split(w, "\n") {
		switch {
		case slices.Contains(lines, l):
		case i == 0: // what a new document starts with
			lines = slices.Insert(lines, 0, l)
		default:
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "1"
		}
		return "0"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return string(b)
}

// same compares as Frappe stores: null, "" and absent are one, a number may
// arrive as text, an unset number is 0.
func same(f frappe.Field, want, have any) bool {
	w, h := text(want), text(have)
	if w == h {
		return true
	}
	switch f.Type {
	case "Check", "Int", "Float", "Percent", "Currency":
		return (w == "" || w == "0") && (h == "" || h == "0")
	case "JSON", "Code", "Small Text", "Text", "Long Text", "Data":
		return sameJSON(w, h) || strings.TrimRight(w, "\n ") == strings.TrimRight(h, "\n ")
	}
	return false
}

// sameJSON compares two texts that both hold a JSON list or object.
func sameJSON(a, b string) bool {
	if a == "" || b == "" || (a[0] != '[' && a[0] != '{') {
		return false
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return text(x) == text(y)
}

// single writes the schema's version, last: its presence proves a whole run.
func (r *run) single(ctx context.Context, st Step) (Item, error) {
	item := Item{Doctype: st.Doctype, Name: st.Name, Verb: Unchanged}
	doc, err := r.c.Get(ctx, st.Doctype, st.Name)
	if err != nil {
		if r.o.DryRun && frappe.CategoryOf(err) != "" && !ends(err) {
			item.Verb = Create
			return item, nil
		}
		return item, err
	}
	change := map[string]any{}
	for k, v := range st.Body {
		if !same(frappe.Field{Type: "Data"}, v, doc[k]) {
			change[k] = v
		}
	}
	if len(change) == 0 {
		return item, nil
	}
	item.Verb, item.Fields = Change, slices.Sorted(maps.Keys(change))
	if r.failed {
		item.Verb, item.Reason = Cannot, "steps before it were refused; provision again when they are settled"
		return item, nil
	}
	if r.o.DryRun {
		return item, nil
	}
	_, err = r.c.Update(ctx, st.Doctype, st.Name, doc.Modified(), change)
	return item, err
}
