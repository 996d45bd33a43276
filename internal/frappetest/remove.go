package frappetest

import (
	"fmt"
	"strings"
)

// deleteDoc is delete_doc: right, docstatus, links, then the rows, the
// attachments and a Deleted Document.
func (q *session) deleteDoc(doctype, name string) error {
	m := q.site.metaOf(doctype)
	if m == nil {
		e := raise("ImportError", "Module import failed for %s, the DocType you're trying to open might be deleted.", doctype)
		return e
	}
	t := q.site.table(doctype)
	r := t.find(name)
	if m.single {
		name = doctype
	} else if r == nil {
		if q.site.version.major == 14 {
			e := raise("DoesNotExistError", "")
			e.doctype = doctype
			return e
		}
		return q.notFound(doctype, name)
	}
	if err := q.lockRow(doctype, name); err != nil {
		return err
	}
	d, err := q.getDoc(doctype, name)
	if err != nil {
		return err
	}
	if doctype == "DocType" && !d.is("custom") {
		return q.throw("ValidationError", "Standard DocType can not be deleted.")
	}
	before := len(q.messages)
	if !q.can(d, "delete") {
		q.messages = q.messages[:before]
		return q.throw("PermissionError", "User not allowed to delete %s: %s", doctype, d.name())
	}
	if m.submittable && cint(d.vals["docstatus"]) == 1 {
		e := q.throw("ValidationError", "%s %s: Submitted Record cannot be deleted. You must <a href='https://docs.erpnext.com//docs/user/manual/en/setting-up/articles/delete-submitted-document' target='_blank'> Cancel </a> it first.", doctype, d.name())
		e.thrown = q.site.version.excTypeAlways
		return e
	}
	if c := controllers[doctype]; c.onTrash != nil {
		if err := c.onTrash(d); err != nil {
			return err
		}
	}
	if err := q.checkBackLinks(d, "delete"); err != nil {
		return err
	}
	text, err := d.asObject(false)
	if err != nil {
		return err
	}
	if r != nil {
		if err := q.removeRow(doctype, r); err != nil {
			return err
		}
	}
	for _, f := range m.tables {
		ct := q.site.table(f.options)
		for _, c := range ct.childRows(doctype, d.name(), f.name) {
			if err := q.removeRow(f.options, c); err != nil {
				return err
			}
		}
	}
	q.removeAttachments(doctype, d.name())
	for _, link := range []struct{ doctype, by, name string }{
		{"Comment", "reference_doctype", "reference_name"},
		{"ToDo", "reference_type", "reference_name"},
		{"DocShare", "share_doctype", "share_name"},
		{"Tag Link", "document_type", "document_name"},
	} {
		ct := q.site.tableMap()[link.doctype]
		if ct == nil || ct.len() == 0 || doctype == link.doctype {
			continue
		}
		for _, c := range ct.matching(link.name, d.name()) {
			if ct.str(c, link.by) == doctype {
				if err := q.removeRow(link.doctype, c); err != nil {
					return err
				}
			}
		}
	}
	if doctype != "Deleted Document" {
		err = q.insertPlain("Deleted Document", q.site.newHash(), map[string]any{
			"deleted_doctype": doctype, "deleted_name": d.name(), "data": dumps(text, indentedJSON), "restored": int64(0),
		})
		if err != nil {
			return err
		}
	}
	if schemaTypes[doctype] {
		q.site.forget("")
		q.tx.undo = append(q.tx.undo, func() { q.site.forget("") })
	}
	return nil
}

// unlinked are the DocTypes whose references never hold a document back.
var unlinked = map[string]bool{
	"Communication": true, "ToDo": true, "DocShare": true, "Email Unsubscribe": true, "Activity Log": true, "File": true, "Version": true,
	"Document Follow": true, "Comment": true, "View Log": true, "Tag Link": true, "Notification Log": true, "Email Queue": true,
	"Deleted Document": true, "Error Log": true,
}

// checkBackLinks refuses to delete or cancel what other documents point to.
func (q *session) checkBackLinks(d *document, method string) error {
	target := d.m.name
	refuse := func(t *table, r *row, dt string, dynamic bool) error {
		name, owner := r.name, dt
		if p := t.str(r, "parent"); p != "" {
			name, owner = p, t.str(r, "parenttype")
		}
		if owner == target && fold(name) == fold(d.name()) || unlinked[owner] {
			return nil
		}
		switch status := cint(t.get(r, "docstatus")); {
		case method == "cancel" && status != 1, method == "delete" && dynamic && status == 2:
			return nil
		}
		if method == "delete" && (d.m.field("enabled") != nil || d.m.field("disabled") != nil) {
			return q.throw("LinkExistsError", "You can disable this %s instead of deleting it.", target)
		}
		return q.throw("LinkExistsError", "Cannot delete or cancel because %s %s is linked with %s %s", target, d.name(), owner, name)
	}
	for dt, t := range q.site.tableMap() {
		if t.len() == 0 || unlinked[dt] || schemaTypes[dt] {
			continue
		}
		m := q.site.metaOf(dt)
		if m == nil {
			continue
		}
		for _, f := range m.links {
			if f.typ == "Link" && f.options == target && (f.name != "amended_from" || method == "delete") {
				for _, r := range t.matching(f.name, d.name()) {
					if err := refuse(t, r, dt, false); err != nil {
						return err
					}
				}
			}
			if f.typ == "Dynamic Link" {
				for _, r := range t.matching(f.name, d.name()) {
					if t.str(r, f.options) == target {
						if err := refuse(t, r, dt, true); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}

// renameDoc is rename_doc: the row, its children, the links to it and the
// naming field change; modified does not.
func (q *session) renameDoc(doctype, old, name string, merge bool) (string, error) {
	m := q.site.metaOf(doctype)
	if m == nil {
		_, err := q.meta(doctype)
		return "", err
	}
	t := q.site.table(doctype)
	r := t.find(old)
	if r == nil {
		return "", q.notFound(doctype, old)
	}
	d := q.load(m, t, r)
	name = strings.TrimSpace(name)
	if name == "" {
		return "", q.throw("ValidationError", "Document Name must not be empty")
	}
	taken := t.find(name)
	if !merge && taken != nil && taken != r {
		return "", q.throw("ValidationError", "Another %s with name %s exists, select another name", doctype, name)
	}
	if old == name {
		return "", q.throw("ValidationError", "No changes made because old and new name are the same.")
	}
	before := len(q.messages)
	if !q.can(d, "write") || doctype == "User" && !q.hasRole("System Manager") {
		q.messages = q.messages[:before]
		return "", q.throw("ValidationError", "You need write permission on %s %s to rename", doctype, old)
	}
	q.messages = q.messages[:before]
	if !m.allowRename && !m.custom && q.site.version.major >= 14 {
		return "", q.throw("ValidationError", "%s not allowed to be renamed", doctype)
	}
	if strings.ContainsAny(name, "<>") {
		return "", q.throw("NameError", "Name cannot contain special characters like '<', '>'")
	}
	if merge && taken == nil {
		return "", q.throw("ValidationError", "%s %s does not exist, select a new target to merge", doctype, name)
	}
	oldName := r.name
	if merge {
		if err := q.removeRow(doctype, r); err != nil {
			return "", err
		}
	} else {
		changes := map[string]any{"name": name}
		if by, ok := strings.CutPrefix(m.autoname, "field:"); ok {
			changes[by] = name
		}
		if err := q.store(doctype, r, t.with(r, changes)); err != nil {
			return "", err
		}
	}
	for _, f := range m.tables {
		ct := q.site.table(f.options)
		for _, c := range ct.childRows(doctype, oldName, f.name) {
			q.tx.replace(ct, c, ct.with(c, map[string]any{"parent": name}))
		}
	}
	q.repoint(doctype, oldName, name)
	_, err := q.addComment(doctype, name, "Edit", fmt.Sprintf("renamed from %s to %s", bold(oldName), bold(name)))
	if schemaTypes[doctype] {
		q.site.forget("")
	}
	return name, err
}

// repoint rewrites every Link and Dynamic Link to a renamed document, without
// touching modified.
func (q *session) repoint(doctype, old, name string) {
	for dt, t := range q.site.tableMap() {
		m := q.site.metaOf(dt)
		if m == nil || t.len() == 0 {
			continue
		}
		for _, f := range m.links {
			dynamic := f.typ == "Dynamic Link"
			if !dynamic && f.options != doctype {
				continue
			}
			for _, r := range t.matching(f.name, old) {
				if !dynamic || t.str(r, f.options) == doctype {
					q.tx.replace(t, r, t.with(r, map[string]any{f.name: name}))
				}
			}
		}
	}
	// References that are no Link fields.
	for dt, cols := range map[string][2]string{"Version": {"ref_doctype", "docname"}, "File": {"attached_to_doctype", "attached_to_name"}} {
		t := q.site.tableMap()[dt]
		if t == nil {
			continue
		}
		for _, r := range t.matching(cols[1], old) {
			if t.str(r, cols[0]) == doctype {
				q.tx.replace(t, r, t.with(r, map[string]any{cols[1]: name}))
			}
		}
	}
}

// descendants are the nodes below one in a tree DocType.
func (q *session) descendants(doctype, name string) []string {
	t := q.site.tableMap()[doctype]
	if t == nil {
		return nil
	}
	r := t.find(name)
	if r == nil {
		return nil
	}
	l, rt := cint(t.get(r, "lft")), cint(t.get(r, "rgt"))
	var out []string
	t.byName.ascend(nil, func(x *row) bool {
		if xl, xr := cint(t.get(x, "lft")), cint(t.get(x, "rgt")); xl > l && xr < rt {
			out = append(out, x.name)
		}
		return true
	})
	return out
}

func (q *session) ancestors(doctype, name string) []string {
	t := q.site.tableMap()[doctype]
	if t == nil {
		return nil
	}
	r := t.find(name)
	if r == nil {
		return nil
	}
	l, rt := cint(t.get(r, "lft")), cint(t.get(r, "rgt"))
	var out []string
	t.byName.ascend(nil, func(x *row) bool {
		if xl, xr := cint(t.get(x, "lft")), cint(t.get(x, "rgt")); xl < l && xr > rt {
			out = append(out, x.name)
		}
		return true
	})
	return out
}
