package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/connector/frappe"
)

// rights are the letters of a permission step.
var rights = []struct{ letter, column string }{
	{"R", "read"}, {"W", "write"}, {"C", "create"}, {"T", "report"}, {"E", "export"}, {"P", "print"}, {"M", "email"},
}

// columns are the rights that a row of the schema may give.
var columns = []string{"read", "write", "create", "delete", "report", "export", "print", "email", "share", "import", "select"}

// rights are what a permission step gives.
func (st Step) rights() []string {
	var out []string
	for _, right := range rights {
		if strings.Contains(text(st.Body["rights"]), right.letter) {
			out = append(out, right.column)
		}
	}
	return out
}

// permission gives a role its rights on a doctype that the site brought itself.
func (r *run) permission(ctx context.Context, st Step) (Item, error) {
	item := Item{Doctype: "Custom DocPerm", Name: st.Name, Verb: Unchanged}
	want := st.rights()
	doctype, role, level := text(st.Body["doctype"]), text(st.Body["role"]), text(st.Body["permlevel"])
	have, err := r.granted(ctx, doctype, role, level)
	if err != nil {
		return item, err
	}
	lack := r.lack(role, want, have)
	if len(lack) == 0 {
		return item, nil
	}
	item.Verb, item.Fields = Change, lack
	if have == nil {
		item.Verb, item.Fields = Create, nil
	}
	return item, r.grant(ctx, doctype, role, level, want)
}

// runtime reports whether the daemon writes under this role.
func (r *run) runtime(role string) bool { return slices.Contains(r.s.RuntimeRoles, role) }

// lack returns the rights to set on a row. Rights that people gave beyond ours
// stay; only the export that Frappe adds to a row by itself is taken from the
// daemon's role again.
func (r *run) lack(role string, want []string, have frappe.Doc) []string {
	var out []string
	for _, column := range columns {
		wants := slices.Contains(want, column)
		if wants && !have.Bool(column) || !wants && column == "export" && r.runtime(role) && have.Bool(column) {
			out = append(out, column)
		}
	}
	return out
}

// granted returns the Custom DocPerm row of a role at a level; nil where there
// is none. All rows are asked for at once, the first time.
func (r *run) granted(ctx context.Context, doctype, role, level string) (frappe.Doc, error) {
	if r.grants == nil {
		var doctypes []string
		for _, st := range r.steps {
			switch {
			case st.Action == "permission":
				doctypes = append(doctypes, text(st.Body["doctype"]))
			case st.Doctype == "DocType":
				doctypes = append(doctypes, st.Name)
			}
		}
		slices.Sort(doctypes)
		rows, err := r.rows(ctx, frappe.Where("parent", "in", slices.Compact(doctypes)))
		if err != nil {
			return nil, err
		}
		r.grants = map[string][]frappe.Doc{}
		for _, row := range rows {
			r.grants[row.Text("parent")] = append(r.grants[row.Text("parent")], row)
		}
	}
	for _, row := range r.grants[doctype] {
		if row.Text("role") == role && level == text(row["permlevel"]) {
			return row, nil
		}
	}
	return nil, nil
}

func (r *run) rows(ctx context.Context, which frappe.Filter) ([]frappe.Doc, error) {
	return r.c.List(ctx, frappe.ListQuery{
		Doctype: "Custom DocPerm", Fields: append([]string{"name", "parent", "role", "permlevel"}, columns...), Limit: frappe.All,
		Filters: []frappe.Filter{which, frappe.Where("if_owner", "=", 0)},
	})
}

// grant sets what a role lacks. The permission manager copies the doctype's
// standard rows first; a row of our own alone would switch them all off.
func (r *run) grant(ctx context.Context, doctype, role, level string, want []string) error {
	if r.o.DryRun {
		return nil
	}
	const manager = "frappe.core.page.permission_manager.permission_manager."
	have, err := r.granted(ctx, doctype, role, level)
	if err != nil {
		return err
	}
	if have == nil {
		if _, err := r.c.CallPost(ctx, manager+"add", map[string]any{"parent": doctype, "role": role, "permlevel": level}); err != nil {
			return err
		}
		// Added rows come with rights of their own: look before changing them.
		rows, err := r.rows(ctx, frappe.Where("parent", "=", doctype))
		if err != nil {
			return err
		}
		r.grants[doctype] = rows
		if have, err = r.granted(ctx, doctype, role, level); err != nil || have == nil {
			return errors.Join(err, fmt.Errorf("the row that was added for %s on %s is not there", role, doctype))
		}
	}
	for _, column := range r.lack(role, want, have) {
		value := 0
		if slices.Contains(want, column) {
			value = 1
		}
		args := map[string]any{"doctype": doctype, "role": role, "permlevel": level, "ptype": column, "value": value}
		if _, err := r.c.CallPost(ctx, manager+"update", args); err != nil {
			return err
		}
		have[column] = float64(value)
	}
	return nil
}

// peoples looks at what people laid over one of our doctypes: rights set in the
// permission manager replace the doctype's own rows, and what is set in
// Customize Form hides the field's own. Both stay; what the schema needs is
// added where only adding is needed, and the rest is reported.
func (r *run) peoples(ctx context.Context, st Step) error {
	if err := r.overlaid(ctx, st); err != nil {
		return err
	}
	return r.customised(ctx, st)
}

func (r *run) overlaid(ctx context.Context, st Step) error {
	rows, _ := st.Body["permissions"].([]any)
	if len(rows) == 0 {
		return nil
	}
	if _, err := r.granted(ctx, st.Name, "", ""); err != nil {
		return err
	}
	if len(r.grants[st.Name]) == 0 {
		return nil
	}
	for _, row := range rows {
		m, _ := row.(map[string]any)
		role, level := text(m["role"]), text(m["permlevel"])
		var want []string
		for _, column := range columns {
			if text(m[column]) == "1" {
				want = append(want, column)
			}
		}
		have, err := r.granted(ctx, st.Name, role, level)
		if err != nil {
			return err
		}
		lack := r.lack(role, want, have)
		if len(lack) == 0 {
			continue
		}
		item := Item{Doctype: "Custom DocPerm", Name: st.Name + "/" + role + "/" + level, Verb: Change, Fields: lack}
		switch {
		case have == nil:
			item.Verb, item.Fields = Create, nil
		case !r.runtime(role):
			item.Verb, item.Reason = Left, "taken away in the permission manager; give it there again if it was not meant"
			r.more = append(r.more, item)
			continue
		}
		r.more = append(r.more, item)
		if err := r.grant(ctx, st.Name, role, level, want); err != nil {
			return err
		}
	}
	return nil
}

// customised looks at the settings of Customize Form that decide whether the
// daemon can write: the options of a Select and a field's permission level.
func (r *run) customised(ctx context.Context, st Step) error {
	if r.custom == nil {
		var doctypes []string
		for _, st := range r.steps {
			if st.Doctype == "DocType" {
				doctypes = append(doctypes, st.Name)
			}
		}
		slices.Sort(doctypes)
		rows, err := r.c.List(ctx, frappe.ListQuery{
			Doctype: "Property Setter", Fields: []string{"name", "modified", "doc_type", "field_name", "property", "value"}, Limit: frappe.All,
			Filters: []frappe.Filter{frappe.Where("doc_type", "in", slices.Compact(doctypes)), frappe.Where("property", "in", []string{"options", "permlevel"})},
		})
		if err != nil {
			return err
		}
		r.custom = map[string][]frappe.Doc{}
		for _, row := range rows {
			r.custom[row.Text("doc_type")] = append(r.custom[row.Text("doc_type")], row)
		}
	}
	fields, _ := st.Body["fields"].([]any)
	for _, set := range r.custom[st.Name] {
		for _, f := range fields {
			m, _ := f.(map[string]any)
			if text(m["fieldname"]) != set.Text("field_name") {
				continue
			}
			if err := r.overset(ctx, st.Name, m, set); err != nil {
				return err
			}
		}
	}
	return nil
}

// overset settles one setting of Customize Form on a field of ours.
func (r *run) overset(ctx context.Context, doctype string, field map[string]any, set frappe.Doc) error {
	item := Item{Doctype: "Property Setter", Name: set.Name(), Fields: []string{"value"}}
	have := set.Text("value")
	switch set.Text("property") {
	case "options":
		if text(field["fieldtype"]) != "Select" {
			return nil
		}
		want := text(widen("options", text(field["options"]), have))
		if len(strings.Split(want, "\n")) == len(strings.Split(have, "\n")) {
			return nil
		}
		item.Verb = Change
		r.more = append(r.more, item)
		if r.o.DryRun {
			return nil
		}
		_, err := r.c.Update(ctx, "Property Setter", set.Name(), set.Modified(), map[string]any{"value": want})
		r.c.Forget(doctype)
		return err
	case "permlevel":
		level := text(field["permlevel"])
		if level == "" {
			level = "0"
		}
		if have == level {
			return nil
		}
		item.Verb = Left
		item.Reason = fmt.Sprintf("the field %s has permission level %s by Customize Form, and needs %s; reset it there", set.Text("field_name"), have, level)
		r.more = append(r.more, item)
	}
	return nil
}
