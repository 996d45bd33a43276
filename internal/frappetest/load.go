package frappetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// siteFile is site.json of a folder.
type siteFile struct {
	URL       string             `json:"url"`
	AsOf      string             `json:"as_of"`
	TimeZone  string             `json:"time_zone"`
	Version   string             `json:"version,omitempty"`
	Host      string             `json:"host,omitempty"`
	Versions  json.RawMessage    `json:"versions,omitempty"`
	Users     []siteUser         `json:"users"`
	APIKeys   map[string]siteKey `json:"api_keys"`
	Role      map[string]any     `json:"role,omitempty"`
	Perms     []map[string]any   `json:"custom_permissions,omitempty"`
	Series    map[string]int64   `json:"series,omitempty"`
	Config    map[string]any     `json:"config,omitempty"`
	Passwords map[string]string  `json:"passwords,omitempty"`
}

type siteUser struct {
	Name     string   `json:"name"`
	UserType string   `json:"user_type"`
	Enabled  int      `json:"enabled"`
	Roles    []string `json:"roles"`
}

type siteKey struct {
	User   string `json:"user"`
	Secret string `json:"secret"`
}

// LoadFS loads a folder: site.json, meta/<DocType>.json (answers of
// getdoctype, or the compact form; meta.json may hold many in a list),
// docs/<DocType>.jsonl and files/<content_hash>. What the folder does not
// mention stays.
func (s *Site) LoadFS(dir fs.FS) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.loadFS(dir); err != nil {
		return fmt.Errorf("load site %s: %w", s.host, err)
	}
	return nil
}

func (s *Site) loadFS(dir fs.FS) error {
	var site siteFile
	text, err := fs.ReadFile(dir, "site.json")
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &site); err != nil {
			return fmt.Errorf("site.json: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if site.TimeZone != "" {
		zone, err := time.LoadLocation(site.TimeZone)
		if err != nil {
			return fmt.Errorf("site.json: time_zone %q: %w", site.TimeZone, err)
		}
		s.zone = zone
		s.rawSet("System Settings", "System Settings", map[string]any{"time_zone": site.TimeZone})
	}
	s.asOf = site.AsOf
	if len(site.Versions) > 0 {
		v, err := parseJSON(string(site.Versions))
		if err != nil {
			return fmt.Errorf("site.json: versions: %w", err)
		}
		s.versions = rawJSON(dumps(v, compactJSON))
	}
	if err := s.loadMeta(dir); err != nil {
		return err
	}
	if err := s.loadDocs(dir); err != nil {
		return err
	}
	if err := s.loadUsers(site); err != nil {
		return err
	}
	if err := s.loadAnswers(dir); err != nil {
		return err
	}
	s.stubApps()
	for k, n := range site.Series {
		s.series[k] = max(s.series[k], n)
	}
	if err := s.loadFiles(dir); err != nil {
		return err
	}
	s.forget("")
	return nil
}

// AsOf is the moment at which the loaded folder is meant to be judged, zero
// where it names none.
func (s *Site) AsOf() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := time.Parse(time.RFC3339, s.asOf)
	if err != nil {
		return time.Time{}
	}
	return t
}

// SetClock replaces the site's clock.
func (s *Site) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
	s.lastNow = time.Time{}
}

// SetTimeZone moves the site to another zone, as a change of System Settings
// does: stored times stay as they are written.
func (s *Site) SetTimeZone(name string) error {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return fmt.Errorf("site %s: time zone %q: %w", s.host, name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = zone
	s.lastNow = time.Time{}
	s.rawSet("System Settings", "System Settings", map[string]any{"time_zone": name})
	return nil
}

func (s *Site) loadMeta(dir fs.FS) error {
	files, err := fs.Glob(dir, "meta/*.json")
	if err != nil {
		return err
	}
	if _, err := fs.Stat(dir, "meta.json"); err == nil {
		files = append(files, "meta.json")
	}
	for _, f := range files {
		text, err := fs.ReadFile(dir, f)
		if err != nil {
			return err
		}
		v, err := parseJSON(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, item := range list {
			def, ok := item.(*object)
			if !ok || cstr(def.get("name")) == "" {
				return fmt.Errorf("%s: not a DocType: an object with a name is needed", f)
			}
			s.loadDefinition(def)
		}
	}
	return nil
}

// loadDefinition takes one DocType, in full or in compact form. Custom Fields
// and custom permissions among its rows go to the tables they come from.
func (s *Site) loadDefinition(def *object) {
	name := cstr(def.get("name"))
	s.ensureModule(cstr(def.get("module")))
	plain := newObject()
	for _, k := range def.keys {
		plain.set(k, def.vals[k])
	}
	var own []any
	fields, _ := def.get("fields").([]any)
	prev := ""
	for i, f := range fields {
		o, ok := f.(*object)
		if !ok {
			continue
		}
		if !isTrue(o.get("is_custom_field")) && o.get("doctype") != "Custom Field" {
			own = append(own, o)
			prev = cstr(o.get("fieldname"))
			continue
		}
		vals := map[string]any{"dt": name, "idx": int64(i + 1), "insert_after": prev}
		for _, k := range o.keys {
			switch v := o.vals[k].(type) {
			case []any, *object, nil:
			case bool:
				vals[k] = cint(v)
			default:
				vals[k] = v
			}
		}
		for _, k := range []string{"name", "parent", "parenttype", "parentfield", "doctype", "is_custom_field", "search_fields", "linked_document_type"} {
			delete(vals, k)
		}
		if vals["default"] != nil {
			vals["default"] = cstr(vals["default"])
		}
		prev = cstr(o.get("fieldname"))
		s.rawInsert("Custom Field", name+"-"+prev, vals)
	}
	plain.set("fields", own)
	var std, custom []any
	perms, _ := def.get("permissions").([]any)
	for _, p := range perms {
		o, ok := p.(*object)
		if !ok {
			continue
		}
		s.ensureRole(cstr(o.get("role")))
		if o.get("doctype") == "Custom DocPerm" || isTrue(o.get("custom")) {
			custom = append(custom, o)
		} else {
			std = append(std, o)
		}
	}
	plain.set("permissions", std)
	s.defineRaw(plain)
	t := s.table("Custom DocPerm")
	for _, r := range t.matching("parent", name) {
		t.unlink(r)
	}
	for i, p := range custom {
		o := p.(*object)
		vals := map[string]any{"parent": name, "permlevel": cint(o.get("permlevel")), "if_owner": cint(o.get("if_owner")), "role": o.get("role"), "idx": cint(o.get("idx"))}
		for _, k := range []string{"creation", "modified", "owner", "modified_by"} {
			if v := o.get(k); v != nil {
				vals[k] = v
			}
		}
		for _, r := range rights {
			vals[r] = cint(o.get(r))
		}
		id := cstr(o.get("name"))
		if id == "" {
			id = fmt.Sprintf("%s%03d", hashText("perm" + name)[:7], i)
		}
		s.rawInsert("Custom DocPerm", id, vals)
	}
	s.forget("")
}

func (s *Site) loadDocs(dir fs.FS) error {
	files, err := fs.Glob(dir, "docs/*.jsonl")
	if err != nil {
		return err
	}
	for _, f := range files {
		doctype := strings.TrimSuffix(path.Base(f), ".jsonl")
		if s.metaOf(doctype) == nil {
			return fmt.Errorf("%s: the folder has documents of %s but no meta/%s.json", f, doctype, doctype)
		}
		r, err := dir.Open(f)
		if err != nil {
			return err
		}
		err = s.loadLines(doctype, r)
		_ = r.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

func (s *Site) loadLines(doctype string, r io.Reader) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), 64<<20)
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		v, err := parseJSON(sc.Text())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		o, ok := v.(*object)
		if !ok {
			return fmt.Errorf("line %d: not an object", n)
		}
		if _, err := s.insertRaw(doctype, o.vals); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return sc.Err()
}

func (s *Site) loadUsers(site siteFile) error {
	if site.Role != nil {
		name := cstr(site.Role["role_name"])
		if name == "" {
			name = cstr(site.Role["name"])
		}
		vals := map[string]any{}
		for k, v := range site.Role {
			if f, ok := v.(float64); ok {
				v = int64(f)
			}
			if k != "name" && k != "doctype" {
				vals[k] = v
			}
		}
		vals["role_name"] = name
		s.rawInsert("Role", name, vals)
	}
	for _, u := range site.Users {
		vals := map[string]any{"user_type": u.UserType, "enabled": int64(u.Enabled)}
		if s.table("User").find(u.Name) == nil {
			first, _, _ := strings.Cut(u.Name, "@")
			maps.Copy(vals, map[string]any{"email": u.Name, "first_name": first, "full_name": first})
		}
		s.rawSet("User", u.Name, vals)
		for _, r := range u.Roles {
			s.ensureRole(r)
		}
		s.setRoles(u.Name, u.Roles)
	}
	for _, key := range sortedKeys(site.APIKeys) {
		k := site.APIKeys[key]
		if s.table("User").find(k.User) == nil {
			return fmt.Errorf("site.json: api_keys: %s belongs to %s, who is not among users", key, k.User)
		}
		s.rawSet("User", k.User, map[string]any{"api_key": key})
		s.secrets[k.User] = k.Secret
	}
	for u, p := range site.Passwords {
		s.secrets["password\x00"+u] = p
	}
	q := s.newSession("Administrator")
	for _, p := range site.Perms {
		doctype, role := cstr(p["parent"]), cstr(p["role"])
		m := s.metaOf(doctype)
		if m == nil {
			continue
		}
		level := int(flt(p["permlevel"]))
		if slices.ContainsFunc(m.perms, func(x permRow) bool { return x.role == role && x.permlevel == level }) {
			continue
		}
		letters := ""
		for l, r := range rightLetters {
			if flt(p[r]) != 0 {
				letters += string(l)
			}
		}
		if err := q.grant(doctype, role, level, letters); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) loadFiles(dir fs.FS) error {
	t := s.table("File")
	var err error
	t.byName.ascend(nil, func(r *row) bool {
		hash, url := t.str(r, "content_hash"), t.str(r, "file_url")
		if hash == "" || url == "" || strings.ContainsAny(hash, `/\`) {
			return true
		}
		data, e := fs.ReadFile(dir, "files/"+hash)
		switch {
		case e == nil:
			s.blobs[url] = data
		case !errors.Is(e, fs.ErrNotExist):
			err = e
			return false
		}
		return true
	})
	return err
}

// noteSeries moves the counters past a name that was not made by them.
func (s *Site) noteSeries(m *meta, name string) {
	cut := len(name)
	for cut > 0 && name[cut-1] >= '0' && name[cut-1] <= '9' {
		cut--
	}
	digits := name[cut:]
	if digits == "" || len(digits) > 15 {
		return
	}
	key := name[:cut]
	switch {
	case m.autoname == "autoincrement" || m.name == "HD Ticket":
		key = "autoincrement:" + m.name
	case strings.HasPrefix(m.autoname, "format:"):
		key = ""
	case !strings.Contains(m.autoname, "#") && !strings.HasPrefix(m.autoname, "naming_series"):
		return
	}
	s.series[key] = max(s.series[key], cint(digits))
}

// loadAnswers takes documents that stand only in a recorded answer: a private
// one that was shared with the reader is in no export.
func (s *Site) loadAnswers(dir fs.FS) error {
	files, err := fs.Glob(dir, "answers/*.json")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := fs.ReadFile(dir, f)
		if err != nil {
			return err
		}
		var a struct {
			Request struct{ Path string }
			Status  int
			Body    string
		}
		if err := json.Unmarshal(text, &a); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		if a.Status != 200 || strings.Count(a.Request.Path, "/") < 4 || !strings.HasPrefix(a.Request.Path, "/api/resource/") {
			continue
		}
		v, err := parseJSON(a.Body)
		if err != nil {
			return fmt.Errorf("%s: body: %w", f, err)
		}
		o, _ := v.(*object)
		doc, _ := o.get("data").(*object)
		doctype, name := cstr(doc.get("doctype")), cstr(doc.get("name"))
		if s.metaOf(doctype) == nil || name == "" || s.table(doctype).find(name) != nil {
			continue
		}
		if _, err := s.insertRaw(doctype, doc.vals); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

// appTypes are DocTypes that an installed app always brings, with the role
// that may read them: a site has them even where the folder does not say so.
var appTypes = map[string]map[string]string{
	"erpnext": {
		"Payment Entry": "Accounts User", "Journal Entry": "Accounts User", "GL Entry": "Accounts User", "Purchase Invoice": "Accounts User", "Account": "Accounts User",
		"Cost Center": "Accounts User", "Payment Request": "Accounts User", "Supplier": "Purchase User", "Purchase Order": "Purchase User", "Purchase Receipt": "Stock User",
		"Delivery Note": "Stock User", "Stock Entry": "Stock User", "Warehouse": "Stock User", "Bin": "Stock User", "Stock Ledger Entry": "Stock User",
		"BOM": "Manufacturing User", "Work Order": "Manufacturing User", "Asset": "Accounts User", "Customer Group": "Sales User", "Territory": "Sales User",
		"Sales Person": "Sales User", "Sales Partner": "Sales User", "Prospect": "Sales User", "Campaign": "Sales User", "Supplier Quotation": "Purchase User",
		"Material Request": "Stock User", "Request for Quotation": "Purchase User", "Maintenance Visit": "Maintenance User", "Maintenance Schedule": "Maintenance User",
		"Warranty Claim": "Maintenance User", "Project": "Projects User", "Task": "Projects User", "Issue": "Support Team", "Timesheet": "Projects User",
		"Customer": "Sales User", "Lead": "Sales User", "Opportunity": "Sales User", "Quotation": "Sales User", "Sales Order": "Sales User",
		"Sales Invoice": "Accounts User", "Contract": "Sales User", "Company": "Accounts User", "Item": "Stock User", "Quality Review": "Desk User",
		"Quality Goal": "Desk User", "Quality Action": "Desk User", "Quality Meeting": "Desk User", "Quality Procedure": "Desk User", "Quality Feedback": "Desk User",
		"Non Conformance": "Employee", "Service Level Agreement": "Desk User", "Selling Settings": "System Manager", "Accounts Settings": "System Manager",
		"Project Template": "System Manager", "Project Update": "Projects User", "Fiscal Year": "Accounts User", "Currency Exchange": "Accounts User",
	},
	"hrms": {
		"Leave Application": "Employee", "Attendance": "HR User", "Salary Slip": "HR User", "Expense Claim": "Employee", "Appraisal": "HR User", "Job Opening": "HR User",
		"Job Applicant": "HR User", "Training Result": "HR Manager", "Training Event": "HR Manager", "Training Program": "HR Manager", "Employee Checkin": "Employee",
		"Payroll Entry": "HR Manager", "Shift Type": "HR User", "Leave Type": "HR User", "Employee Skill Map": "HR Manager", "HR Settings": "System Manager",
	},
	"helpdesk": {"HD Ticket": "Agent", "HD Customer": "Agent", "HD Agent": "Agent", "HD Team": "Agent", "HD Service Level Agreement": "Agent"},
	"crm":      {"CRM Lead": "Sales User", "CRM Deal": "Sales User", "CRM Organization": "Sales User"},
}

// stubApps adds what the installed apps bring and the folder leaves out.
func (s *Site) stubApps() {
	v, err := parseJSON(string(s.versions))
	if err != nil {
		return
	}
	installed, _ := v.(*object)
	for app, types := range appTypes {
		if !installed.has(app) {
			continue
		}
		for _, name := range sortedKeys(types) {
			if s.table("DocType").find(name) != nil {
				continue
			}
			s.ensureRole(types[name])
			perm := newObject("role", types[name])
			for _, r := range []string{"read", "write", "create"} {
				perm.set(r, int64(1))
			}
			s.defineRaw(newObject("name", name, "module", titleCase(app), "fields", []any{newObject("fieldname", "title", "fieldtype", "Data", "label", "Title")}, "permissions", []any{perm}))
		}
	}
}
