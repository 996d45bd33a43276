package frappetest

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Versions of Frappe whose dialect a site can speak.
const (
	V14      = "14.27.0"
	V15      = "15.72.4"
	V16      = "16.0.0-dev"
	V16Later = "16.0.0-dev-2508"
)

// SiteOptions says what a new site is like. The zero value is a Frappe
// 15.72.4 site in Asia/Kolkata that answers to every host.
type SiteOptions struct {
	Host     string           // the name by which requests choose the site; "" = site.localhost
	Version  string           // one of the constants; "" = V15
	TimeZone string           // IANA name; "" = Asia/Kolkata, which is Frappe's own fallback
	Now      func() time.Time // the clock; nil = time.Now
	// Apps are the installed applications beside frappe with their versions,
	// for get_versions.
	Apps []App
}

// App is one installed application.
type App struct{ Name, Title, Description, Version string }

// Site is one Frappe site in memory. All its methods may be called at any
// time, also while it serves requests.
type Site struct {
	host    string
	version dialect
	zone    *time.Location
	now     func() time.Time

	mu sync.RWMutex // data; requests that may write hold it whole
	// tables is replaced, never written to: readers, who share a lock, make
	// the table of a doctype that has none yet.
	tables   atomic.Pointer[map[string]*table]
	tablesMu sync.Mutex // held to replace tables
	metaMu   sync.Mutex
	metas    map[string]*meta
	series   map[string]int64
	secrets  map[string]string // user → API secret
	blobs    map[string][]byte // stored files by path
	config   map[string]any
	locked   map[string]bool // rows another transaction holds
	tracing  bool            // allow_error_traceback
	bare     bool            // no web server before the app server
	sids     map[string]string
	apiGuard func(q *session) error // an app's hook after authentication, nil: none
	versions rawJSON                // answer of get_versions, when a folder gave one
	lastNow  time.Time
	hashes   uint64
	asOf     string

	statMu   sync.Mutex
	log      []Request
	logging  bool
	limitAt  int64 // window of the rate limiter
	limitUse time.Duration

	faults faultSet
	server *Server
}

// NewSite makes a site with Frappe's own DocTypes, roles and the users
// Administrator and Guest.
func NewSite(o SiteOptions) (*Site, error) {
	if o.Host == "" {
		o.Host = "site.localhost"
	}
	if o.Version == "" {
		o.Version = V15
	}
	d, err := dialectOf(o.Version)
	if err != nil {
		return nil, err
	}
	if o.TimeZone == "" {
		o.TimeZone = "Asia/Kolkata"
	}
	zone, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("site %s: time zone %q: %w", o.Host, o.TimeZone, err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Site{
		host: o.Host, version: d, zone: zone, now: o.Now, metas: map[string]*meta{}, series: map[string]int64{},
		secrets: map[string]string{}, blobs: map[string][]byte{}, config: map[string]any{}, locked: map[string]bool{},
		sids: map[string]string{}, tracing: true, logging: true,
	}
	if err := s.boot(); err != nil {
		return nil, fmt.Errorf("site %s: %w", o.Host, err)
	}
	if len(o.Apps) > 0 {
		s.versions = appVersions(append([]App{{"frappe", "Frappe Framework", "Full stack web framework with Python, Javascript, MariaDB, Redis, Node", o.Version}}, o.Apps...))
	}
	s.rawSet("System Settings", "System Settings", map[string]any{"time_zone": o.TimeZone})
	return s, nil
}

func appVersions(apps []App) rawJSON {
	o := newObject()
	for _, a := range apps {
		o.set(a.Name, newObject("title", a.Title, "description", a.Description, "branch", "", "version", a.Version))
	}
	return rawJSON(dumps(o, compactJSON))
}

// Host is the name by which requests choose the site.
func (s *Site) Host() string { return s.host }

// Version is the Frappe version whose dialect the site speaks.
func (s *Site) Version() string { return s.version.name }

// URL is the address of the server that carries the site, without a slash at
// the end; empty before it has one.
func (s *Site) URL() string {
	if s.server == nil {
		return ""
	}
	return s.server.URL()
}

func (s *Site) dbName() string { return "_" + hashText(s.host)[:16] }

func hashText(s string) string {
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

// localNow is the site's civil time, made to move on at least a microsecond
// with each call, as no two writes of a site ever share one.
func (s *Site) localNow() string {
	t := s.now().In(s.zone).Truncate(time.Microsecond)
	if off := s.faults.clockOffset(); off != 0 {
		t = t.Add(off)
	}
	if !t.After(s.lastNow) && s.lastNow.Sub(t) < time.Second {
		t = s.lastNow.Add(time.Microsecond)
	}
	s.lastNow = t
	return formatTime(t)
}

func (s *Site) today() time.Time {
	t := s.now().In(s.zone)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// newHash makes a name as Frappe's "hash" naming does: ten characters.
func (s *Site) newHash() string {
	s.hashes++
	h := md5.Sum([]byte(s.host + strconv.FormatUint(s.hashes, 10)))
	const digits = "0123456789abcdefghijklmnopqrstuv"
	b := []byte("       " + "   ")
	n := s.hashes
	b[0] = digits[10+int(h[9])%22]
	for i := 3; i >= 1; i-- {
		b[i] = digits[n>>5&31]
		n >>= 5
	}
	for i := 4; i < 10; i++ {
		b[i] = digits[h[i]&31]
	}
	return string(b)
}

var standardRoles = []string{
	"Administrator", "Guest", "All", "System Manager", "Desk User", "Website Manager", "Workspace Manager", "Script Manager",
	"Report Manager", "Dashboard Manager", "Inbox User", "Prepared Report User", "Translator", "Blogger", "Newsletter Manager",
	"Knowledge Base Contributor", "Knowledge Base Editor", "Super Email User", "Sales User", "Sales Manager", "Maintenance User",
	"Maintenance Manager", "Purchase User", "Purchase Manager", "Accounts User", "Accounts Manager", "Sales Master Manager", "Purchase Master Manager",
}

var standardModules = []string{
	"Core", "Website", "Workflow", "Email", "Custom", "Geo", "Desk", "Integrations", "Printing", "Contacts", "Social", "Automation",
}

// bootStamp is the creation of everything a fresh site brings along.
const bootStamp = "2024-01-01 00:00:00"

func (s *Site) boot() error {
	base, err := baseFor(s.version.major)
	if err != nil {
		return err
	}
	tables := make(map[string]*table, len(base))
	for name, t := range base {
		tables[name] = t.clone()
	}
	s.setTables(tables)
	return nil
}

// baseFor builds the tables of a fresh site once per major version.
func baseFor(major int) (map[string]*table, error) {
	baseTables.Lock()
	defer baseTables.Unlock()
	if t, ok := baseTables.byMajor[major]; ok {
		return t, nil
	}
	defs, err := coreDefinitions(major)
	if err != nil {
		return nil, err
	}
	s := &Site{metas: map[string]*meta{}, host: "base", version: dialect{major: major}}
	for _, t := range []string{"DocType", "DocField", "DocPerm", "Custom Field", "Property Setter", "Custom DocPerm"} {
		s.table(t)
	}
	for _, d := range defs {
		s.defineRaw(d)
	}
	for _, r := range standardRoles {
		if r == "Desk User" && major < 15 {
			continue
		}
		vals := map[string]any{"role_name": r, "desk_access": int64(1)}
		if r == "Guest" || r == "All" {
			vals["desk_access"] = int64(0)
		}
		s.rawInsert("Role", r, vals)
	}
	for _, m := range standardModules {
		s.rawInsert("Module Def", m, map[string]any{"module_name": m, "app_name": "frappe"})
	}
	s.rawInsert("User", "Administrator", map[string]any{"email": "admin@example.com", "first_name": "Administrator", "full_name": "Administrator", "enabled": int64(1), "user_type": "System User", "username": "administrator"})
	s.rawInsert("User", "Guest", map[string]any{"email": "guest@example.com", "first_name": "Guest", "full_name": "Guest", "enabled": int64(1), "user_type": "Website User", "username": "guest"})
	s.rawInsert("File", "Home", map[string]any{"file_name": "Home", "is_folder": int64(1), "is_home_folder": int64(1)})
	s.rawInsert("File", "Home/Attachments", map[string]any{"file_name": "Attachments", "is_folder": int64(1), "is_attachments_folder": int64(1), "folder": "Home"})
	for _, l := range [][2]string{{"en", "English"}, {"de", "Deutsch"}} {
		s.rawInsert("Language", l[0], map[string]any{"language_code": l[0], "language_name": l[1], "enabled": int64(1)})
	}
	baseTables.byMajor[major] = s.tableMap()
	return s.tableMap(), nil
}

// rawInsert stores a document without any check, as an installer does.
func (s *Site) rawInsert(doctype, name string, vals map[string]any) *row {
	t := s.table(doctype)
	if old := t.find(name); old != nil {
		t.unlink(old)
	}
	v := map[string]any{
		"name": name, "owner": "Administrator", "modified_by": "Administrator", "creation": bootStamp, "modified": bootStamp,
		"docstatus": int64(0), "idx": int64(0),
	}
	maps.Copy(v, vals)
	r := t.make(v)
	t.link(r)
	return r
}

// rawSet changes values of a document without any check; a Single that was
// never saved is made.
func (s *Site) rawSet(doctype, name string, vals map[string]any) {
	t := s.table(doctype)
	old := t.find(name)
	if old == nil {
		s.rawInsert(doctype, name, vals)
		return
	}
	n := t.with(old, vals)
	t.unlink(old)
	t.link(n)
}

// table is the doctype's table, which is made when there is none.
func (s *Site) table(doctype string) *table {
	if t := s.tableMap()[doctype]; t != nil {
		return t
	}
	s.tablesMu.Lock()
	defer s.tablesMu.Unlock()
	old := s.tableMap()
	if t := old[doctype]; t != nil {
		return t
	}
	next := maps.Clone(old)
	if next == nil {
		next = map[string]*table{}
	}
	t := newTable()
	next[doctype] = t
	s.tables.Store(&next)
	return t
}

// tableMap is every table by doctype; do not change it.
func (s *Site) tableMap() map[string]*table {
	if p := s.tables.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Site) setTables(tables map[string]*table) {
	s.tablesMu.Lock()
	defer s.tablesMu.Unlock()
	s.tables.Store(&tables)
}

// defineRaw stores a DocType definition as rows, replacing one of that name.
func (s *Site) defineRaw(def *object) {
	name := cstr(def.get("name"))
	vals := map[string]any{"module": "Core"}
	for _, k := range def.keys {
		v := def.vals[k]
		switch v.(type) {
		case []any, *object, nil:
			continue
		}
		if strings.HasPrefix(k, "_") || k == "doctype" {
			continue
		}
		if b, ok := v.(bool); ok {
			v = cint(b)
		}
		vals[k] = v
	}
	if vals["sort_field"] == nil {
		vals["sort_field"] = "modified"
	}
	if vals["sort_order"] == nil {
		vals["sort_order"] = "DESC"
	}
	if vals["engine"] == nil && vals["issingle"] == nil {
		vals["engine"] = "InnoDB"
	}
	delete(vals, "name")
	s.rawInsert("DocType", name, vals)
	for field, child := range map[string]string{
		"fields": "DocField", "permissions": "DocPerm", "states": "DocType State", "links": "DocType Link", "actions": "DocType Action",
	} {
		t := s.table(child)
		for _, old := range t.childRows("DocType", name, field) {
			t.unlink(old)
		}
		list, _ := def.get(field).([]any)
		for i, item := range list {
			o, ok := item.(*object)
			if !ok {
				continue
			}
			v := map[string]any{"parent": name, "parenttype": "DocType", "parentfield": field, "idx": int64(i + 1)}
			for _, k := range []string{"creation", "modified", "owner", "modified_by"} {
				if vals[k] != nil {
					v[k] = vals[k]
				}
			}
			for _, k := range o.keys {
				switch x := o.vals[k].(type) {
				case []any, *object, nil:
				case bool:
					v[k] = cint(x)
				default:
					v[k] = x
				}
			}
			v["parent"], v["parenttype"], v["parentfield"], v["idx"] = name, "DocType", field, int64(i+1)
			if child == "DocField" {
				if cint(o.get("is_custom_field")) != 0 {
					continue // it comes from its Custom Field
				}
				if v["label"] == nil && !layoutTypes[cstr(v["fieldtype"])] {
					v["label"] = titleCase(cstr(v["fieldname"]))
				}
				if v["default"] != nil {
					v["default"] = cstr(v["default"])
				}
			}
			rowName := cstr(v["name"])
			if rowName == "" || t.find(rowName) != nil {
				rowName = hashText(child + name + field + strconv.Itoa(i))[:10]
			}
			delete(v, "name")
			s.rawInsert(child, rowName, v)
		}
	}
	if vals["issingle"] == nil || cint(vals["issingle"]) == 0 {
		s.table(name)
	}
	s.forget(name)
}

// Define adds a DocType as an installed app brings it: standard, with its
// table, without a check. It replaces one of that name.
func (s *Site) Define(types ...DocType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range types {
		if d.Module == "" {
			d.Module = "Custom"
		}
		s.ensureModule(d.Module)
		for _, p := range d.Perms {
			s.ensureRole(p.Role)
		}
		s.defineRaw(d.definition())
	}
}

// DefineJSON adds DocTypes from the compact JSON form, one object or a list:
// the properties and the fields and permissions as lists of objects, each
// with only what differs from Frappe's defaults. Full answers of getdoctype
// (its docs[0]) are accepted as well.
func (s *Site) DefineJSON(text []byte) error {
	v, err := parseJSON(string(text))
	if err != nil {
		return fmt.Errorf("doctype definition: %w", err)
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range list {
		def, ok := d.(*object)
		if !ok || cstr(def.get("name")) == "" {
			return fmt.Errorf("doctype definition: an object with a name is needed")
		}
		s.ensureModule(cstr(def.get("module")))
		if perms, ok := def.get("permissions").([]any); ok {
			for _, p := range perms {
				if o, ok := p.(*object); ok {
					s.ensureRole(cstr(o.get("role")))
				}
			}
		}
		s.defineRaw(def)
	}
	return nil
}

func (s *Site) ensureModule(module string) {
	if module == "" {
		return
	}
	if t := s.table("Module Def"); t.find(module) == nil {
		s.rawInsert("Module Def", module, map[string]any{"module_name": module, "app_name": "frappe"})
	}
}

// metaOf compiles a DocType; nil where there is none.
func (s *Site) metaOf(doctype string) *meta {
	s.metaMu.Lock()
	defer s.metaMu.Unlock()
	if m, ok := s.metas[doctype]; ok {
		return m
	}
	m := s.compile(doctype)
	if m != nil {
		s.metas[doctype] = m
	}
	return m
}

// forget drops compiled metas after a change of schema.
func (s *Site) forget(doctype string) {
	s.metaMu.Lock()
	defer s.metaMu.Unlock()
	if doctype == "" {
		clear(s.metas)
		return
	}
	delete(s.metas, doctype)
}

// AddRole makes a role unless there is one of that name.
func (s *Site) AddRole(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureRole(name)
}

func (s *Site) ensureRole(name string) {
	if name != "" && s.table("Role").find(name) == nil {
		s.rawInsert("Role", name, map[string]any{"role_name": name, "desk_access": int64(1)})
	}
}

// AddUser makes an enabled user with the roles (made where they are missing)
// and an API key. It is a System User if a role gives desk access. The name
// is its e-mail address.
func (s *Site) AddUser(name string, roles ...string) (key, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	userType := "Website User"
	for _, r := range roles {
		s.ensureRole(r)
		if isTrue(s.table("Role").get(s.table("Role").find(r), "desk_access")) {
			userType = "System User"
		}
	}
	key = hashText("key" + s.host + name)[:15]
	secret = hashText("secret" + s.host + name)[:15]
	first, _, _ := strings.Cut(name, "@")
	s.rawInsert("User", name, map[string]any{
		"email": name, "first_name": first, "full_name": first, "username": first, "enabled": int64(1), "user_type": userType, "api_key": key,
		"api_secret": "***************", "send_welcome_email": int64(0),
	})
	s.setRoles(name, roles)
	s.secrets[name] = secret
	return key, secret
}

func (s *Site) setRoles(user string, roles []string) {
	t := s.table("Has Role")
	for _, old := range t.childRows("User", user, "roles") {
		t.unlink(old)
	}
	for i, r := range roles {
		s.rawInsert("Has Role", s.newHash(), map[string]any{"parent": user, "parenttype": "User", "parentfield": "roles", "idx": int64(i + 1), "role": r})
	}
}

// SetRoles replaces the roles of a user, without a trace.
func (s *Site) SetRoles(user string, roles ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range roles {
		s.ensureRole(r)
	}
	s.setRoles(user, roles)
}

// SetKey gives a user the key and secret that a configuration expects.
func (s *Site) SetKey(user, key, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rawSet("User", user, map[string]any{"api_key": key})
	s.secrets[user] = secret
}

// RevokeKey takes the user's API key away: its requests get 401 from now on.
func (s *Site) RevokeKey(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rawSet("User", user, map[string]any{"api_key": nil})
	delete(s.secrets, user)
}

// Configure sets values of the site configuration: maintenance_mode,
// allow_reads_during_maintenance, rate_limit {limit, window},
// rate_limit_used, max_file_size, lock_row [doctype, name]. A nil value
// removes one; a nil map resets all.
func (s *Site) Configure(values map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statMu.Lock()
	defer s.statMu.Unlock()
	if values == nil {
		clear(s.config)
		clear(s.locked)
		s.limitUse, s.limitAt = 0, 0
		return
	}
	for k, v := range values {
		switch k {
		case "rate_limit_used":
			s.limitUse = time.Duration(flt(v) * float64(time.Second))
			s.limitAt = -1
		case "lock_row":
			if l, ok := v.([]any); ok && len(l) == 2 {
				s.locked[cstr(l[0])+"\x00"+fold(cstr(l[1]))] = true
			}
		default:
			if v == nil {
				delete(s.config, k)
			} else {
				s.config[k] = v
			}
		}
	}
}

// Request is one line of the request log.
type Request struct {
	At       time.Time
	Method   string
	Path     string // unescaped
	Query    string // as sent
	User     string
	Status   int
	BodySize int // bytes received
	Sent     int // bytes of the answer
	Took     time.Duration
}

// Requests gives the requests answered since the last reset, oldest first.
func (s *Site) Requests() []Request {
	s.statMu.Lock()
	defer s.statMu.Unlock()
	return slices.Clone(s.log)
}

// ResetRequests empties the request log.
func (s *Site) ResetRequests() {
	s.statMu.Lock()
	defer s.statMu.Unlock()
	s.log = nil
}

// KeepLog switches the request log on or off; benchmarks switch it off.
func (s *Site) KeepLog(on bool) {
	s.statMu.Lock()
	defer s.statMu.Unlock()
	s.logging = on
	s.log = nil
}

func (s *Site) record(r Request) {
	s.statMu.Lock()
	defer s.statMu.Unlock()
	if s.logging {
		s.log = append(s.log, r)
	}
}

// ServeHTTP answers a request to this site, whatever its host.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r) }
