package frappetest

import (
	"fmt"
)

// VectorCredentials are the keys of one user of the vector fixture.
type VectorCredentials struct {
	User   string `json:"user"`
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

// VectorSite makes the site that the recorded request vectors were run
// against, for one version, with the keys of its users by short name.
func VectorSite(version string) (*Site, map[string]VectorCredentials, error) {
	s, err := NewSite(SiteOptions{Host: "vec.localhost", Version: version})
	if err != nil {
		return nil, nil, err
	}
	s.bare = true
	creds := map[string]VectorCredentials{}
	for _, u := range []struct {
		name  string
		roles []string
	}{
		{"sm", []string{"System Manager"}}, {"low", []string{"Vec Reader"}}, {"edit", []string{"Vec Editor"}}, {"off", []string{"Vec Reader"}},
	} {
		user := u.name + "@vec.test"
		key, secret := s.AddUser(user, u.roles...)
		creds[u.name] = VectorCredentials{user, key, secret}
	}
	if err := s.SetSilently("User", "off@vec.test", map[string]any{"enabled": 0}); err != nil {
		return nil, nil, err
	}
	if err := s.buildVectors(); err != nil {
		return nil, nil, fmt.Errorf("vector fixture: %w", err)
	}
	return s, creds, nil
}

type values = map[string]any

func (s *Site) buildVectors() error {
	field := func(name, typ string, more ...any) values {
		f := values{"fieldname": name, "label": titleCase(name), "fieldtype": typ}
		for i := 0; i+1 < len(more); i += 2 {
			f[more[i].(string)] = more[i+1]
		}
		return f
	}
	rights := func(role string, level int, on ...string) values {
		p := values{"role": role, "permlevel": level}
		for _, r := range []string{"read", "write", "create", "delete", "report", "export", "share", "print", "email"} {
			p[r] = 0
		}
		for _, r := range on {
			p[r] = 1
		}
		return p
	}
	all := []string{"read", "write", "create", "delete", "report", "export", "share", "print", "email"}
	sm := rights("System Manager", 0, all...)
	types := []values{
		{"name": "Vec Step", "istable": 1, "fields": []values{field("title", "Data", "reqd", 1), field("done", "Check"), field("note", "Data")}},
		{"name": "Vec Project", "autoname": "field:code", "fields": []values{field("code", "Data", "reqd", 1), field("title", "Data")}, "permissions": []values{sm}},
		{"name": "Vec Task", "autoname": "field:code", "track_changes": 1, "fields": []values{
			field("code", "Data", "reqd", 1), field("subject", "Data", "reqd", 1), field("status", "Select", "options", "Open\nWorking\nDone"),
			field("kind", "Select", "options", "\nA\nB"), field("priority", "Int"), field("score", "Float"), field("due", "Date"),
			field("project", "Link", "options", "Vec Project"), field("locked", "Data", "set_only_once", 1), field("budget", "Currency", "permlevel", 1),
			field("steps", "Table", "options", "Vec Step"), field("payload", "JSON"),
		}, "permissions": []values{sm, rights("System Manager", 1, "read", "write"), rights("Vec Reader", 0, "read"), rights("Vec Editor", 0, "read", "write", "create")}},
		{"name": "Vec Signoff", "autoname": "field:code", "is_submittable": 1, "fields": []values{
			field("code", "Data", "reqd", 1), field("remark", "Data"), field("public_note", "Data", "allow_on_submit", 1),
		}, "permissions": []values{rights("System Manager", 0, append([]string{"submit", "cancel", "amend"}, all...)...)}},
		{"name": "Vec Settings", "issingle": 1, "fields": []values{field("threshold", "Int")}, "permissions": []values{sm}},
		{"name": "Vec Note", "autoname": "prompt", "allow_rename": 1, "fields": []values{field("title", "Data")}, "permissions": []values{sm}},
	}
	for _, t := range types {
		t["module"], t["custom"], t["sort_field"] = "Custom", 1, "modified"
		if _, err := s.Insert("DocType", t); err != nil {
			return err
		}
	}
	by := s.As("sm@vec.test")
	if _, err := by.Insert("Vec Project", values{"code": "P1", "title": "Project One"}); err != nil {
		return err
	}
	for i := 1; i <= 25; i++ {
		v := values{"code": fmt.Sprintf("T%02d", i), "subject": fmt.Sprintf("s%02d", i), "status": "Open"}
		if i > 10 {
			v["status"] = "Working"
		}
		switch i {
		case 1:
			v["budget"], v["locked"] = 500, "L"
			v["steps"] = []values{{"title": "a", "done": 1}, {"title": "b", "done": 1}}
		case 2:
			v["steps"] = []values{{"title": "c", "done": 0}}
		}
		if _, err := by.Insert("Vec Task", v); err != nil {
			return err
		}
	}
	return nil
}

// State is a copy of everything a site holds, for Restore.
type State struct {
	tables  map[string]*table
	series  map[string]int64
	secrets map[string]string
	blobs   map[string][]byte
	hashes  uint64
}

// Snapshot copies the site's data. The rows are shared, so it is cheap.
func (s *Site) Snapshot() *State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := &State{tables: map[string]*table{}, series: map[string]int64{}, secrets: map[string]string{}, blobs: map[string][]byte{}, hashes: s.hashes}
	for k, v := range s.tableMap() {
		st.tables[k] = v.clone()
	}
	for k, v := range s.series {
		st.series[k] = v
	}
	for k, v := range s.secrets {
		st.secrets[k] = v
	}
	for k, v := range s.blobs {
		st.blobs[k] = v
	}
	return st
}

// Restore brings the site's data back to a snapshot, its own or another site's of
// the same options, and clears configuration and faults; users, keys and schema
// are data too.
func (s *Site) Restore(st *State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tables := make(map[string]*table, len(st.tables))
	for k, v := range st.tables {
		tables[k] = v.clone()
	}
	s.setTables(tables)
	clear(s.series)
	for k, v := range st.series {
		s.series[k] = v
	}
	clear(s.secrets)
	for k, v := range st.secrets {
		s.secrets[k] = v
	}
	clear(s.blobs)
	for k, v := range st.blobs {
		s.blobs[k] = v
	}
	s.hashes = max(s.hashes, st.hashes) // a snapshot of another site brings its names
	clear(s.config)
	clear(s.locked)
	clear(s.sids)
	s.statMu.Lock()
	s.limitAt, s.limitUse = 0, 0
	s.statMu.Unlock()
	s.forget("")
}
