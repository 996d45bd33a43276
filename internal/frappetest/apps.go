package frappetest

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed meta/erpnext.json
var erpnextJSON []byte

//go:embed meta/press.json
var pressJSON []byte

//go:embed meta/helpdesk.json
var helpdeskJSON []byte

//go:embed meta/crm.json
var crmJSON []byte

//go:embed meta/lms.json
var lmsJSON []byte

var apps = map[string]struct {
	app   App
	meta  []byte
	setUp func(s *Site) // what the app brings besides DocTypes; under the lock
}{
	"erpnext":  {App{"erpnext", "ERPNext", "ERP made simple", "15.71.1"}, erpnextJSON, nil},
	"hrms":     {App{"hrms", "Frappe HR", "Modern HR and Payroll Software", "15.47.8"}, nil, nil}, // its DocTypes come with erpnext
	"press":    {App{"press", "Press", "Managed Frappe Hosting", "0.7.0"}, pressJSON, setUpPress},
	"helpdesk": {App{"helpdesk", "Helpdesk", "Open Source Customer Service Software", "1.14.0"}, helpdeskJSON, nil},
	"crm":      {App{"crm", "Frappe CRM", "Kick-ass Open Source CRM", "2.0.0-dev"}, crmJSON, nil},
	"lms":      {App{"lms", "Frappe LMS", "Frappe LMS App", "2.45.2"}, lmsJSON, nil},
}

// setUpPress gives a site what its owner finds besides press's DocTypes: users
// of its dashboard without a desk, modules of the app's own, and the hook that
// shuts /api/ to all but desk users.
func setUpPress(s *Site) {
	for _, module := range []string{"Partner", "Press"} {
		s.rawSet("Module Def", module, map[string]any{"app_name": "press"})
	}
	s.rawSet("Role", "Press User", map[string]any{"desk_access": int64(0)})
	s.apiGuard = pressGuard
}

// openOnPress are the methods, of those that a site in memory knows, that press
// lets a Website User or a guest call.
var openOnPress = []string{
	"login", "logout", "ping", "upload_file", "frappe.website.doctype.web_form.web_form.accept", "frappe.desk.form.utils.add_comment",
}

func pressGuard(q *session) error {
	method, called := rpcName(q.req.URL.Path)
	if cmd := cstr(q.params.get("cmd")); cmd != "" {
		method, called = cmd, true
	}
	if !called && !strings.HasPrefix(q.req.URL.Path, "/api/") || q.value("User", q.user, "user_type") == "System User" {
		return nil
	}
	if called && (slices.Contains(openOnPress, method) || strings.HasPrefix(method, "press.api.")) {
		return nil
	}
	return q.throw("AuthenticationError", "Access not allowed for this URL")
}

// Install adds the DocTypes of apps, as far as prmsync reads them, and names
// the apps in get_versions: erpnext, hrms, press, helpdesk, crm, lms.
func (s *Site) Install(names ...string) error {
	installed := []App{}
	for _, n := range names {
		a, ok := apps[n]
		if !ok {
			return fmt.Errorf("install %s: no such app; there are crm, erpnext, helpdesk, hrms, lms, press", n)
		}
		if a.meta != nil {
			if err := s.DefineJSON(a.meta); err != nil {
				return fmt.Errorf("install %s: %w", n, err)
			}
		}
		installed = append(installed, a.app)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if setUp := apps[n].setUp; setUp != nil {
			setUp(s)
		}
	}
	have := newObject()
	if v, err := parseJSON(string(s.versions)); err == nil {
		if o, ok := v.(*object); ok {
			have = o
		}
	}
	if !have.has("frappe") {
		have.set("frappe", newObject("title", "Frappe Framework", "description", "Full stack web framework with Python, Javascript, MariaDB, Redis, Node", "branch", "", "version", s.version.name))
	}
	for _, a := range installed {
		have.set(a.Name, newObject("title", a.Title, "description", a.Description, "branch", "", "version", a.Version))
	}
	s.versions = rawJSON(dumps(have, compactJSON))
	return nil
}
