package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/internal/frappetest/sites"
)

// Access is a user's token on a site.
type Access struct{ Key, Secret string }

// Member is one partner of a world with its site.
type Member struct {
	Key, Name, About string
	Site             *frappetest.Site // nil where the site does not answer
	URL              string
	Reader           Access
	Mapping          config.Mapping
	MailDomains      []string
	Partner          *Partner // nil for a partner that serves a folder
	// AsOf is the instant to judge a folder at; zero: now.
	AsOf time.Time

	server  *frappetest.Server
	local   func() time.Time // the site's wall clock
	granted map[string]bool  // rights given while the demo runs
}

// World is a PRM and the partners' sites, each on a loopback port of its own.
type World struct {
	PRM       *frappetest.Site
	PRMURL    string
	Provision Access // System Manager of the PRM
	Agent     Access // the runtime user
	Members   []*Member

	now     func() time.Time
	servers []*frappetest.Server
}

// reader is the role that a partner gives to prmsync's user.
const reader = "PMM Evidence Reader"

// NewWorld starts the PRM and the six partners as of now. The caller closes it.
func NewWorld(now func() time.Time) (*World, error) {
	w := &World{now: now}
	if err := w.startPRM(); err != nil {
		w.Close()
		return nil, err
	}
	mapping, err := Mapping()
	if err != nil {
		w.Close()
		return nil, err
	}
	for _, p := range Partners() {
		if err := w.start(p, mapping); err != nil {
			w.Close()
			return nil, fmt.Errorf("demo partner %s: %w", p.Key, err)
		}
	}
	return w, nil
}

// Close ends all servers.
func (w *World) Close() {
	for _, s := range w.servers {
		s.Close()
	}
}

func (w *World) serve(site *frappetest.Site) (*frappetest.Server, error) {
	srv, err := frappetest.NewServer(frappetest.ServerOptions{}, site)
	if err != nil {
		return nil, err
	}
	w.servers = append(w.servers, srv)
	return srv, nil
}

func (w *World) startPRM() error {
	site, err := frappetest.NewSite(frappetest.SiteOptions{Host: "prm.localhost", TimeZone: "Asia/Kolkata", Now: w.now})
	if err != nil {
		return fmt.Errorf("demo PRM: %w", err)
	}
	srv, err := w.serve(site)
	if err != nil {
		return fmt.Errorf("demo PRM: %w", err)
	}
	w.PRM, w.PRMURL = site, srv.URL()
	w.Provision.Key, w.Provision.Secret = site.AddUser("provision@prm.example", "System Manager", "Workspace Manager", "Website Manager")
	return nil
}

// MakeAgent gives the PRM its runtime user; its role comes with provisioning.
func (w *World) MakeAgent() {
	w.Agent.Key, w.Agent.Secret = w.PRM.AddUser("prmsync@prm.example", "PMM Sync Agent")
	w.PRM.AddUser(manager, "Partner Manager")
}

const manager = "manager@prm.example"

// auditsAsked are the partners that have asked for an audit, and for which level;
// one forgot to say.
var auditsAsked = map[string]string{"eastgate": "4", "brackwater": ""}

// People enters what people keep on a provisioned PRM: tiers, the partners'
// awarded levels, certificates, requests for an audit, and the customer's
// complaint.
func (w *World) People() error {
	for _, t := range []struct {
		name     string
		usd, inr float64
		pmm      int
	}{{"Entry", 0, 0, 0}, {"Emerging", 350, 30000, 2}, {"Bronze", 750, 63000, 3}, {"Silver", 3150, 250000, 4}, {"Gold", 7500, 630000, 5}} {
		if _, err := w.PRM.Insert("Partner Tier", map[string]any{"title": t.name, "enabled": 1, "target_in_usd": t.usd, "target_in_inr": t.inr, "pmm_required": t.pmm}); err != nil {
			return err
		}
	}
	today := evidence.DateIn(w.now(), time.UTC)
	for _, m := range w.Members {
		if m.Partner == nil {
			continue
		}
		if _, err := w.PRM.Insert("PMM Partner", map[string]any{
			"partner_key": m.Key, "partner_name": m.Name, "partner_manager": manager, "awarded_pmm": m.Partner.AwardedLevel, "awarded_tier": m.Partner.AwardedTier,
		}); err != nil {
			return err
		}
		for i := range m.Partner.Certificates {
			if _, err := w.PRM.Insert("Partner Certificate", map[string]any{
				"team": m.Key, "course": []string{"frappe-developer-certification", "erpnext-distribution"}[i%2], "version": "15",
				"issue_date": today.AddDays(-200 - 10*i).String(), "partner_member_email": fmt.Sprintf("consultant%d@%s.example", i+1, m.Key), "partner_member_name": fmt.Sprintf("Consultant %d", i+1),
			}); err != nil {
				return err
			}
		}
		if level, asks := auditsAsked[m.Key]; asks {
			if _, err := w.PRM.As(manager).Insert("Partner Audit", map[string]any{
				"partner_team": m.Key, "custom_pmm_partner": m.Key, "custom_kind": "PMM", "custom_pmm_level": level, "status": "Requested", "mode_of_audit": "Online",
				"requested_on": today.AddDays(-3).String(), "proposed_audit_date": today.AddDays(18).String(),
			}); err != nil {
				return err
			}
		}
		if m.Partner.Trouble == Escalated {
			if _, err := w.PRM.As(manager).Insert("Partner Escalation", map[string]any{
				"customer": customers[0], "partner": m.Key, "project_ref": "PROJ-0001", "status": "Received", "stage": "Implementation", "severity": "High",
				"received_on": today.AddDays(-2).String(), "source": "Partner Listing Form",
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) start(p Partner, mapping config.Mapping) error {
	m := &Member{Key: p.Key, Name: p.Name, About: p.About, Partner: &p, Mapping: mapping, MailDomains: []string{p.mailDomain()}}
	w.Members = append(w.Members, m)
	zone, err := time.LoadLocation(p.Zone)
	if err != nil {
		return err
	}
	m.local = func() time.Time { return w.now().In(zone) }
	site, err := frappetest.NewSite(frappetest.SiteOptions{
		Host: p.Key + ".localhost", TimeZone: p.Zone, Now: w.now,
		Apps: []frappetest.App{{Name: "erpnext", Title: "ERPNext", Version: "15.71.1"}, {Name: "hrms", Title: "Frappe HR", Version: "15.47.8"}},
	})
	if err != nil {
		return err
	}
	metas, err := fs.ReadFile(sites.Meridian(), "meta.json")
	if err != nil {
		return err
	}
	if err := site.DefineJSON(metas); err != nil {
		return err
	}
	if err := addOwnFields(site); err != nil {
		return err
	}
	for doctype, docs := range p.Write(evidence.DateIn(w.now(), zone)) {
		for _, d := range docs {
			if _, err := site.InsertRaw(doctype, d); err != nil {
				return err
			}
		}
	}
	m.Reader.Key, m.Reader.Secret = site.AddUser("prm.reader@"+p.mailDomain(), reader, "Super Email User")
	srv, err := w.serve(site)
	if err != nil {
		return err
	}
	m.Site, m.URL, m.server = site, srv.URL(), srv
	switch p.Trouble {
	case Down:
		srv.Close()
		m.Site = nil
	case NoRights:
		for _, doctype := range []string{"Sales Invoice", "Issue", "Employee", "Training Event"} {
			if err := site.Revoke(doctype, reader); err != nil {
				return err
			}
		}
	case None, Escalated:
	}
	return nil
}

// addOwnFields gives a site the fields that the recorded partner added to
// ERPNext's doctypes; the demo's partners added the same.
func addOwnFields(site *frappetest.Site) error {
	lines, err := fs.ReadFile(sites.Meridian(), "docs/Custom Field.jsonl")
	if err != nil {
		return err
	}
	for line := range bytes.Lines(lines) {
		var field map[string]any
		if err := json.Unmarshal(line, &field); err != nil {
			return fmt.Errorf("own fields: %w", err)
		}
		if _, err := site.InsertRaw("Custom Field", field); err != nil {
			return err
		}
	}
	return nil
}

// AddFolder adds a partner whose site serves a folder of recorded documents,
// judged at the instant of their recording. Its key is the folder's name; its
// mapping is mapping.yaml in the folder, else one that this package knows by
// that key, else none.
func (w *World) AddFolder(dir string) (*Member, error) {
	m, err := ServeFolder(dir)
	if err != nil {
		return nil, err
	}
	w.servers = append(w.servers, m.server)
	w.Members = append(w.Members, m)
	return m, nil
}

// ServeFolder serves a folder on a loopback port; the caller closes the member.
func ServeFolder(dir string) (*Member, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(abs, "site.json")); err != nil {
		return nil, fmt.Errorf("%s: no site.json there; a folder holds site.json, meta, docs and files", dir)
	}
	key := filepath.Base(abs)
	site, err := frappetest.NewSite(frappetest.SiteOptions{Host: key + ".localhost"})
	if err != nil {
		return nil, err
	}
	if err := site.LoadFS(os.DirFS(abs)); err != nil {
		return nil, err
	}
	m := &Member{Key: key, Name: key, About: "serves " + filepath.Base(dir), Site: site, AsOf: site.AsOf()}
	if !m.AsOf.IsZero() {
		at := m.AsOf
		site.SetClock(func() time.Time { return at })
	}
	if m.Reader, err = folderReader(os.DirFS(abs)); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if m.Mapping, err = folderMapping(abs, key); err != nil {
		return nil, err
	}
	if m.server, err = frappetest.NewServer(frappetest.ServerOptions{}, site); err != nil {
		return nil, err
	}
	m.URL = m.server.URL()
	return m, nil
}

// Close ends the member's server.
func (m *Member) Close() { m.server.Close() }
