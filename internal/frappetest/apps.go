package frappetest

import (
	_ "embed"
	"fmt"
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
	app  App
	meta []byte
}{
	"erpnext":  {App{"erpnext", "ERPNext", "ERP made simple", "15.71.1"}, erpnextJSON},
	"hrms":     {App{"hrms", "Frappe HR", "Modern HR and Payroll Software", "15.47.8"}, nil}, // its DocTypes come with erpnext
	"press":    {App{"press", "Press", "Managed Frappe Hosting", "0.7.0"}, pressJSON},
	"helpdesk": {App{"helpdesk", "Helpdesk", "Open Source Customer Service Software", "1.14.0"}, helpdeskJSON},
	"crm":      {App{"crm", "Frappe CRM", "Kick-ass Open Source CRM", "2.0.0-dev"}, crmJSON},
	"lms":      {App{"lms", "Frappe LMS", "Frappe LMS App", "2.45.2"}, lmsJSON},
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
