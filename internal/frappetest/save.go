package frappetest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SaveDir writes the site into a folder that LoadFS reads: its DocTypes in
// compact form, documents, files, users and keys. What every site of the
// version has anyway is left out. The folder may exist; files of the same
// names are replaced.
func (s *Site) SaveDir(dir string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.saveDir(dir); err != nil {
		return fmt.Errorf("save site %s: %w", s.host, err)
	}
	return nil
}

func (s *Site) saveDir(dir string) error {
	for _, d := range []string{"docs", "files"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	base, err := baseFor(s.version.major)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "meta.json"))
	if err != nil {
		return err
	}
	if err := s.writeMeta(f, base); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.saveSite(dir); err != nil {
		return err
	}
	for _, doctype := range sortedKeys(s.tableMap()) {
		if err := s.saveDocs(dir, doctype, base[doctype]); err != nil {
			return err
		}
	}
	t := s.table("File")
	var failed error
	t.byName.ascend(nil, func(r *row) bool {
		hash := t.str(r, "content_hash")
		if data, ok := s.blobs[t.str(r, "file_url")]; ok && hash != "" {
			failed = os.WriteFile(filepath.Join(dir, "files", hash), data, 0o644)
		}
		return failed == nil
	})
	return failed
}

func (s *Site) saveSite(dir string) error {
	site := siteFile{TimeZone: s.zone.String(), AsOf: s.asOf, Version: s.version.name, Host: s.host, APIKeys: map[string]siteKey{}, Series: s.series, Passwords: map[string]string{}}
	if s.versions != nil {
		site.Versions = json.RawMessage(s.versions)
	}
	users, hr := s.table("User"), s.table("Has Role")
	users.byName.ascend(nil, func(r *row) bool {
		if r.name == "Administrator" || r.name == "Guest" {
			return true
		}
		u := siteUser{Name: r.name, UserType: users.str(r, "user_type"), Enabled: int(cint(users.get(r, "enabled"))), Roles: []string{}}
		for _, h := range hr.childRows("User", r.name, "roles") {
			u.Roles = append(u.Roles, hr.str(h, "role"))
		}
		site.Users = append(site.Users, u)
		if key := users.str(r, "api_key"); key != "" {
			site.APIKeys[key] = siteKey{r.name, s.secrets[r.name]}
		}
		if p, ok := s.secrets["password\x00"+r.name]; ok {
			site.Passwords[r.name] = p
		}
		return true
	})
	b, err := json.MarshalIndent(site, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "site.json"), append(b, '\n'), 0o600)
}

// notSaved are tables that site.json or meta.json already hold.
var notSaved = map[string]bool{
	"DocType": true, "DocField": true, "DocPerm": true, "DocType State": true, "DocType Link": true, "DocType Action": true, "Has Role": true,
	"Custom DocPerm": true,
}

func (s *Site) saveDocs(dir, doctype string, base *table) error {
	m, t := s.metaOf(doctype), s.tableMap()[doctype]
	if m == nil || m.child || notSaved[doctype] || t.len() == 0 {
		return nil
	}
	var f *os.File
	var w *bufio.Writer
	var failed error
	var keep []*row
	t.byName.ascend(nil, func(r *row) bool { keep = append(keep, r); return true })
	slices.SortStableFunc(keep, func(a, b *row) int { return strings.Compare(t.str(a, "creation"), t.str(b, "creation")) })
	for _, r := range keep {
		if base != nil && base.find(r.name) == r {
			continue
		}
		if f == nil {
			if f, failed = os.Create(filepath.Join(dir, "docs", strings.ReplaceAll(doctype, "/", "_")+".jsonl")); failed != nil {
				return failed
			}
			w = bufio.NewWriterSize(f, 1<<20)
		}
		b := appendJSON(nil, s.docObject(m, t, r), jsonStyle{item: ",", key: ":", sorted: true}, 0)
		if _, failed = w.Write(append(b, '\n')); failed != nil {
			break
		}
	}
	if f == nil {
		return nil
	}
	if failed == nil {
		failed = w.Flush()
	}
	if err := f.Close(); failed == nil {
		failed = err
	}
	return failed
}

func (s *Site) docObject(m *meta, t *table, r *row) *object {
	o := newObject()
	vals := t.values(r)
	for _, k := range sortedKeys(vals) {
		if vals[k] != nil {
			o.set(k, vals[k])
		}
	}
	o.set("doctype", m.name)
	for _, f := range m.tables {
		ct, cm := s.tableMap()[f.options], s.metaOf(f.options)
		if ct == nil || cm == nil {
			continue
		}
		list := []any{}
		for _, c := range ct.childRows(m.name, r.name, f.name) {
			list = append(list, s.docObject(cm, ct, c))
		}
		o.set(f.name, list)
	}
	return o
}

// plainProperties are what the compact form keeps of a DocType that a site
// did not make itself: what decides how it behaves, no prose.
var (
	plainProperties = strings.Fields(`module autoname issingle istable is_submittable is_tree track_changes track_seen allow_rename allow_import title_field
		sort_field sort_order max_attachments search_fields is_virtual document_type nsm_parent_field`)
	plainFieldProperties = strings.Fields(`fieldname fieldtype label options reqd unique permlevel default read_only hidden set_only_once allow_on_submit
		fetch_from fetch_if_empty ignore_user_permissions no_copy length non_negative in_list_view in_standard_filter is_virtual precision ignore_xss_filter
		search_index`)
)

// writeMeta writes the DocTypes that differ from those of a fresh site.
func (s *Site) writeMeta(f *os.File, base map[string]*table) error {
	w := bufio.NewWriter(f)
	dt, df := s.table("DocType"), s.table("DocField")
	first := true
	_, err := w.WriteString("[")
	var failed error = err
	dt.byName.ascend(nil, func(r *row) bool {
		custom := isTrue(dt.get(r, "custom"))
		fields := df.childRows("DocType", r.name, "fields")
		_, perms, permKind := s.permRows(r.name)
		if bt := base["DocType"]; bt.find(r.name) == r && permKind == "DocPerm" {
			same := true
			was := base["DocField"].childRows("DocType", r.name, "fields")
			same = len(was) == len(fields)
			for i := 0; same && i < len(fields); i++ {
				same = was[i] == fields[i]
			}
			if same {
				return true
			}
		}
		o := s.compactType(dt, r, custom)
		lines := []string{}
		for _, fr := range fields {
			if layoutTypes[df.str(fr, "fieldtype")] && !custom {
				continue
			}
			lines = append(lines, dumps(s.compactRow(df, fr, "DocField", custom, plainFieldProperties), pythonJSON))
		}
		if !first {
			_, _ = w.WriteString(",")
		}
		first = false
		head := strings.TrimSuffix(dumps(o, pythonJSON), "}")
		_, _ = fmt.Fprintf(w, "\n%s, \"fields\": [\n  %s],\n \"permissions\": [", head, strings.Join(lines, ",\n  "))
		pt, _, _ := s.permRows(r.name)
		for i, p := range perms {
			po := newObject("role", pt.get(p, "role"))
			if permKind == "Custom DocPerm" {
				po.set("custom", int64(1))
			}
			for _, k := range append([]string{"permlevel", "if_owner"}, rights...) {
				if n := cint(pt.get(p, k)); n != 0 {
					po.set(k, n)
				}
			}
			if i > 0 {
				_, _ = w.WriteString(",")
			}
			_, _ = w.WriteString("\n  " + dumps(po, pythonJSON))
		}
		_, failed = w.WriteString("]}")
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	if _, err := w.WriteString("\n]\n"); err != nil {
		return err
	}
	return w.Flush()
}

func (s *Site) compactType(dt *table, r *row, custom bool) *object {
	o := newObject("name", r.name)
	pm := s.metaOf("DocType")
	keys := plainProperties
	if custom {
		keys = append([]string{"custom"}, docTypeOrder...)
	}
	for _, k := range keys {
		f := pm.field(k)
		v := dt.get(r, k)
		if f == nil || v == nil || k == "migration_hash" {
			continue
		}
		if custom || k == "allow_rename" {
			if cstr(v) == cstr(typedDefault(f)) {
				continue
			}
		} else if v == int64(0) || v == "" {
			continue
		}
		o.set(k, v)
	}
	for _, k := range []string{"creation", "modified", "owner", "modified_by"} {
		if custom {
			o.set(k, dt.get(r, k))
		}
	}
	for field, child := range map[string]string{"states": "DocType State", "links": "DocType Link"} {
		t := s.table(child)
		var list []any
		for _, c := range t.childRows("DocType", r.name, field) {
			co := newObject()
			vals := t.values(c)
			for _, k := range sortedKeys(vals) {
				if !isStandardColumn(k) && vals[k] != nil {
					co.set(k, vals[k])
				}
			}
			list = append(list, co)
		}
		if custom && list != nil {
			o.set(field, list)
		}
	}
	return o
}

func typedDefault(f *field) any {
	v := defaultText(f)
	if f.typ == "Check" || f.typ == "Int" {
		return cint(v)
	}
	return v
}

func (s *Site) compactRow(t *table, r *row, doctype string, custom bool, plain []string) *object {
	o := newObject()
	pm := s.metaOf(doctype)
	keys := plain
	if custom {
		keys = docFieldOrder
	}
	for _, k := range keys {
		f := pm.field(k)
		v := t.get(r, k)
		if f == nil || v == nil {
			continue
		}
		switch {
		case k == "label" && v == titleCase(t.str(r, "fieldname")):
			continue
		case k != "fieldname" && k != "fieldtype" && cstr(v) == cstr(typedDefault(f)):
			continue
		}
		o.set(k, v)
	}
	return o
}
