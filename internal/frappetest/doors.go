package frappetest

import (
	"fmt"
	"maps"
	"net/http"
)

// The doors of this file act in the process, as the Administrator: they are
// how a test lets the people of a site do something.

// asAdmin runs fn as a committed request of the Administrator.
func (s *Site) asAdmin(fn func(q *session) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.newSession("Administrator")
	q.method = http.MethodPost
	if err := fn(q); err != nil {
		q.tx.rollback()
		s.forget("")
		return err
	}
	q.commit()
	return nil
}

// As runs one write as a user instead of the Administrator; it obeys the
// user's permissions. See Insert and Set.
func (s *Site) As(user string) Person { return Person{s, user} }

// Person is a user of the site who writes in the process.
type Person struct {
	site *Site
	user string
}

// Insert makes a document with all checks and gives its name.
func (p Person) Insert(doctype string, values map[string]any) (string, error) {
	var name string
	err := p.site.asAdmin(func(q *session) error {
		q.become(p.user)
		d, err := q.newDocument(doctype, fromGo(values).(*object))
		if err != nil {
			return err
		}
		if err := d.insert(); err != nil {
			return err
		}
		name = d.name()
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("insert %s: %w", doctype, err)
	}
	return name, nil
}

// Set changes fields of a document as a save in the desk does: all checks,
// and modified moves.
func (p Person) Set(doctype, name string, values map[string]any) error {
	err := p.site.asAdmin(func(q *session) error {
		q.become(p.user)
		d, err := q.getDoc(doctype, name)
		if err != nil {
			return err
		}
		if err := d.update(fromGo(values).(*object)); err != nil {
			return err
		}
		return d.save()
	})
	if err != nil {
		return fmt.Errorf("set %s %s: %w", doctype, name, err)
	}
	return nil
}

// Insert makes a document with all checks and gives its name.
func (s *Site) Insert(doctype string, values map[string]any) (string, error) {
	return s.As("Administrator").Insert(doctype, values)
}

// InsertRaw stores a document as given, without checks, defaults or stamps
// other than those missing: history that a test wants to exist. Child tables
// may be lists of maps. It gives the name.
func (s *Site) InsertRaw(doctype string, values map[string]any) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.insertRaw(doctype, values)
}

func (s *Site) insertRaw(doctype string, values map[string]any) (string, error) {
	m := s.metaOf(doctype)
	if m == nil {
		return "", fmt.Errorf("insert %s: the site has no such DocType", doctype)
	}
	name := cstr(values["name"])
	if m.single {
		name = doctype
	}
	if name == "" {
		name = s.newHash()
	}
	q := s.newSession("Administrator")
	vals := map[string]any{}
	kids := map[string][]any{}
	for k, v := range values {
		if f := m.byName[k]; f != nil && tableTypes[f.typ] {
			kids[k], _ = fromGo(v).([]any)
			continue
		}
		if isOptionalColumn(k) {
			vals[k] = v
			continue
		}
		if k == "name" || k == "doctype" || !m.stores(k) {
			continue
		}
		sv, err := q.stored(m, k, fromGo(v))
		if err != nil {
			return "", fmt.Errorf("insert %s %s: %w", doctype, name, err)
		}
		vals[k] = sv
	}
	if vals["creation"] == nil {
		vals["creation"] = s.localNow()
	}
	if vals["modified"] == nil {
		vals["modified"] = vals["creation"]
	}
	for _, c := range m.columns {
		if f := m.byName[c]; f != nil && isNumeric(f.typ) && vals[c] == nil {
			vals[c], _ = q.stored(m, c, nil)
		}
	}
	s.rawInsert(doctype, name, vals)
	s.noteSeries(m, name)
	for _, f := range m.tables {
		for i, item := range kids[f.name] {
			o, ok := item.(*object)
			if !ok {
				continue
			}
			child := maps.Clone(o.vals)
			for _, k := range []string{"creation", "modified", "owner", "modified_by"} {
				if child[k] == nil {
					child[k] = vals[k]
				}
			}
			child["parent"], child["parenttype"], child["parentfield"] = name, doctype, f.name
			if cint(child["idx"]) == 0 {
				child["idx"] = int64(i + 1)
			}
			if _, err := s.insertRaw(f.options, child); err != nil {
				return "", err
			}
		}
	}
	if schemaTypes[doctype] {
		s.forget("")
	}
	return name, nil
}

// Set changes fields of a document as a save in the desk does: all checks,
// and modified moves.
func (s *Site) Set(doctype, name string, values map[string]any) error {
	return s.As("Administrator").Set(doctype, name, values)
}

// SetSilently changes fields as raw SQL does: no checks and no new modified
// (give "modified" among the values to set it).
func (s *Site) SetSilently(doctype, name string, values map[string]any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, t := s.metaOf(doctype), s.tableMap()[doctype]
	if m == nil || t == nil || t.find(name) == nil {
		return fmt.Errorf("set %s %s silently: no such document", doctype, name)
	}
	q := s.newSession("Administrator")
	vals := map[string]any{}
	for k, v := range values {
		sv := fromGo(v)
		if m.stores(k) {
			var err error
			if sv, err = q.stored(m, k, sv); err != nil {
				return fmt.Errorf("set %s %s silently: %w", doctype, name, err)
			}
		}
		vals[k] = sv
	}
	s.rawSet(doctype, name, vals)
	if schemaTypes[doctype] {
		s.forget("")
	}
	return nil
}

// Delete deletes a document as the desk does: links are checked, a Deleted
// Document stays behind.
func (s *Site) Delete(doctype, name string) error {
	if err := s.asAdmin(func(q *session) error { return q.deleteDoc(doctype, name) }); err != nil {
		return fmt.Errorf("delete %s %s: %w", doctype, name, err)
	}
	return nil
}

// DeleteRaw removes a document and its child rows as raw SQL does: without
// checks and without a trace.
func (s *Site) DeleteRaw(doctype, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, t := s.metaOf(doctype), s.tableMap()[doctype]
	if m == nil || t == nil {
		return fmt.Errorf("delete %s %s: no such DocType", doctype, name)
	}
	r := t.find(name)
	if r == nil {
		return fmt.Errorf("delete %s %s: no such document", doctype, name)
	}
	t.unlink(r)
	for _, f := range m.tables {
		ct := s.table(f.options)
		for _, c := range ct.childRows(doctype, r.name, f.name) {
			ct.unlink(c)
		}
	}
	if schemaTypes[doctype] {
		s.forget("")
	}
	return nil
}

// Rename gives a document another name, as the desk does: links to it follow,
// modified stays.
func (s *Site) Rename(doctype, name, newName string) error {
	if err := s.asAdmin(func(q *session) error { _, err := q.renameDoc(doctype, name, newName, false); return err }); err != nil {
		return fmt.Errorf("rename %s %s: %w", doctype, name, err)
	}
	return nil
}

// Doc gives a stored document with its child tables ([]map[string]any under
// the field's name), nil where there is none. Nulls are left out.
func (s *Site) Doc(doctype, name string) map[string]any {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, t := s.metaOf(doctype), s.tableMap()[doctype]
	if m == nil || t == nil {
		return nil
	}
	if m.single && name == "" {
		name = doctype
	}
	r := t.find(name)
	if r == nil {
		return nil
	}
	return s.goDoc(m, t, r)
}

func (s *Site) goDoc(m *meta, t *table, r *row) map[string]any {
	out := t.values(r)
	out["doctype"] = m.name
	for _, f := range m.tables {
		kids := []map[string]any{}
		ct := s.tableMap()[f.options]
		cm := s.metaOf(f.options)
		if ct != nil && cm != nil {
			for _, c := range ct.childRows(m.name, r.name, f.name) {
				kids = append(kids, s.goDoc(cm, ct, c))
			}
		}
		out[f.name] = kids
	}
	return out
}

// Docs gives all documents of a DocType in the order of their names.
func (s *Site) Docs(doctype string) []map[string]any {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, t := s.metaOf(doctype), s.tableMap()[doctype]
	if m == nil || t == nil {
		return nil
	}
	out := make([]map[string]any, 0, t.len())
	t.byName.ascend(nil, func(r *row) bool {
		out = append(out, s.goDoc(m, t, r))
		return true
	})
	return out
}

// Count gives the number of stored documents of a DocType.
func (s *Site) Count(doctype string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.tableMap()[doctype]; t != nil {
		return t.len()
	}
	return 0
}

// Has says whether the site has a DocType of that name.
func (s *Site) Has(doctype string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.metaOf(doctype) != nil
}

// Grant gives a role rights on a DocType (letters as in Perm.Rights) as the
// permission manager does: the standard rows are kept.
func (s *Site) Grant(doctype, role string, permlevel int, letters string) error {
	return s.asAdmin(func(q *session) error {
		s.ensureRole(role)
		return q.grant(doctype, role, permlevel, letters)
	})
}

// Revoke takes every right on a DocType from a role.
func (s *Site) Revoke(doctype, role string) error {
	return s.asAdmin(func(q *session) error {
		if s.metaOf(doctype) == nil {
			return fmt.Errorf("revoke %s: no such DocType", doctype)
		}
		q.copyPerms(doctype)
		t := s.table("Custom DocPerm")
		for _, r := range t.matching("parent", doctype) {
			if t.str(r, "role") == role {
				q.tx.remove(t, r)
			}
		}
		s.forget(doctype)
		return nil
	})
}

// fromGo brings a Go value to the kinds the documents hold.
func fromGo(v any) any {
	switch x := v.(type) {
	case int:
		return int64(x)
	case int32:
		return int64(x)
	case float32:
		return float64(x)
	case map[string]any:
		o := newObject()
		for _, k := range sortedKeys(x) {
			o.set(k, fromGo(x[k]))
		}
		return o
	case []map[string]any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = fromGo(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = fromGo(e)
		}
		return out
	case []string:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = e
		}
		return out
	}
	return v
}
