package frappetest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/internal/frappetest"
)

type step struct {
	Action  string         `json:"action"`
	Doctype string         `json:"doctype"`
	Name    string         `json:"name"`
	When    string         `json:"when"`
	Body    map[string]any `json:"body"`
	Known   map[string]any `json:"body_where_known"`
}

type schemaFile struct {
	ChildRows struct {
		MatchedBy map[string][]string `json:"matched_by"`
	} `json:"child_rows"`
	Steps []step `json:"steps"`
}

// prm applies the schema of the PRM to a site by plain HTTP requests, with
// code that shares nothing with the product's own.
type prm struct {
	t      *testing.T
	site   *frappetest.Site
	token  string
	metas  map[string]map[string]map[string]any // doctype → fieldname → field
	match  map[string][]string
	writes int
}

func (p *prm) call(method, path string, body any) (int, map[string]any) {
	p.t.Helper()
	st, text := call(p.t, p.site, p.token, method, path, body)
	var o map[string]any
	_ = json.Unmarshal([]byte(text), &o)
	if method != http.MethodGet {
		p.writes++
	}
	return st, o
}

func resource(doctype, name string) string {
	return "/api/resource/" + url.PathEscape(doctype) + "/" + url.PathEscape(name)
}

// fields asks the live meta; nil where the site lacks the DocType.
func (p *prm) fields(doctype string) map[string]map[string]any {
	if m, ok := p.metas[doctype]; ok {
		return m
	}
	st, o := p.call(http.MethodGet, "/api/method/frappe.desk.form.load.getdoctype?doctype="+url.QueryEscape(doctype), nil)
	if st != http.StatusOK {
		return nil
	}
	for _, d := range o["docs"].([]any) {
		doc := d.(map[string]any)
		m := map[string]map[string]any{"name": {}, "doctype": {}}
		for _, f := range doc["fields"].([]any) {
			fo := f.(map[string]any)
			m[fo["fieldname"].(string)] = fo
		}
		p.metas[doc["name"].(string)] = m
	}
	return p.metas[doctype]
}

// known drops the keys that the live meta does not know, in child rows too.
func (p *prm) known(doctype string, body map[string]any) map[string]any {
	fields := p.fields(doctype)
	out := map[string]any{}
	for k, v := range body {
		f, ok := fields[k]
		if !ok {
			continue
		}
		if rows, isList := v.([]any); isList {
			child := f["options"].(string)
			p.fields(child)
			var kept []any
			for _, r := range rows {
				kept = append(kept, p.known(child, r.(map[string]any)))
			}
			v = kept
		}
		out[k] = v
	}
	return out
}

func same(a, b any) bool {
	if a == nil || b == nil {
		return fmt.Sprint(zero(a)) == fmt.Sprint(zero(b))
	}
	if fmt.Sprint(a) == fmt.Sprint(b) {
		return true
	}
	return strings.TrimSuffix(fmt.Sprint(a), ".0") == strings.TrimSuffix(fmt.Sprint(b), ".0")
}

func zero(v any) any {
	if v == nil || v == 0.0 || v == "0" {
		return ""
	}
	return v
}

// merge brings the wanted rows into the table that is there.
func (p *prm) merge(path string, have, want []any) ([]any, bool) {
	keys := p.match[path]
	out := []any{}
	changed := false
	if keys == nil {
		changed = len(have) != len(want)
		for i, w := range want {
			row := map[string]any{}
			if i < len(have) {
				row = have[i].(map[string]any)
			}
			for k, v := range w.(map[string]any) {
				if !same(row[k], v) {
					changed = true
				}
			}
		}
		return want, changed
	}
	out = append(out, have...)
	for _, w := range want {
		wr := w.(map[string]any)
		at := slices.IndexFunc(out, func(h any) bool {
			for _, k := range keys {
				if !same(h.(map[string]any)[k], wr[k]) {
					return false
				}
			}
			return true
		})
		if at < 0 {
			out = append(out, wr)
			changed = true
			continue
		}
		row := map[string]any{}
		for k, v := range out[at].(map[string]any) {
			row[k] = v
		}
		for k, v := range wr {
			if !same(row[k], v) {
				changed = true
				row[k] = v
			}
		}
		out[at] = row
	}
	return out, changed
}

func (p *prm) ensure(s step) {
	if p.fields(s.Doctype) == nil {
		return // the version lacks the DocType
	}
	body := s.Body
	if s.Known != nil {
		body = map[string]any{}
		for k, v := range s.Body {
			body[k] = v
		}
		for k, v := range s.Known {
			body[k] = v
		}
	}
	body = p.known(s.Doctype, body)
	if p.site.Version() == frappetest.V14 && s.Doctype == "Workspace" {
		for _, r := range body["shortcuts"].([]any) {
			row := r.(map[string]any)
			if row["doc_view"] == "Kanban" {
				row["doc_view"] = ""
			}
		}
	}
	st, o := p.call(http.MethodGet, resource(s.Doctype, s.Name), nil)
	if st == http.StatusNotFound {
		if _, ok := body["name"]; !ok && (s.Doctype == "List View Settings" || s.Doctype == "Web Form") {
			body["name"] = s.Name
		}
		if st, o := p.call(http.MethodPost, "/api/resource/"+url.PathEscape(s.Doctype), body); st != http.StatusOK {
			p.t.Errorf("%s %s: POST answers %d %v", s.Doctype, s.Name, st, o)
		}
		p.forget(s)
		return
	}
	if st != http.StatusOK {
		p.t.Errorf("%s %s: GET answers %d %v", s.Doctype, s.Name, st, o)
		return
	}
	have := o["data"].(map[string]any)
	put := map[string]any{}
	for k, v := range body {
		if rows, ok := v.([]any); ok {
			old, _ := have[k].([]any)
			if merged, changed := p.merge(s.Doctype+"."+k, old, rows); changed {
				put[k] = merged
			}
			continue
		}
		if !same(have[k], v) {
			put[k] = v
		}
	}
	if len(put) == 0 {
		return
	}
	put["modified"] = have["modified"]
	if st, o := p.call(http.MethodPut, resource(s.Doctype, s.Name), put); st != http.StatusOK {
		p.t.Errorf("%s %s: PUT of %v answers %d %v", s.Doctype, s.Name, put, st, o)
	}
	p.forget(s)
}

// forget drops the metas that a step has changed.
func (p *prm) forget(s step) {
	switch s.Doctype {
	case "DocType":
		delete(p.metas, s.Name)
	case "Custom Field":
		delete(p.metas, s.Body["dt"].(string))
	}
}

var letters = []struct{ letter, right string }{
	{"R", "read"}, {"W", "write"}, {"C", "create"}, {"T", "report"}, {"E", "export"}, {"P", "print"}, {"M", "email"},
}

func (p *prm) permission(s step) {
	doctype, role, level := s.Body["doctype"].(string), s.Body["role"].(string), s.Body["permlevel"]
	st, o := p.call(http.MethodGet, "/api/method/frappe.core.page.permission_manager.permission_manager.get_permissions?doctype="+url.QueryEscape(doctype)+"&role="+url.QueryEscape(role), nil)
	if st != http.StatusOK {
		p.t.Fatalf("permissions of %s: %d", doctype, st)
	}
	want := s.Body["rights"].(string)
	for _, r := range o["message"].([]any) {
		row := r.(map[string]any)
		if row["permlevel"] == level {
			has := ""
			for _, l := range letters {
				if row[l.right] == 1.0 && strings.Contains(want, l.letter) {
					has += l.letter
				}
			}
			if has == want {
				return
			}
		}
	}
	add := map[string]any{"parent": doctype, "role": role, "permlevel": level}
	if st, o := p.call(http.MethodPost, "/api/method/frappe.core.page.permission_manager.permission_manager.add", add); st != http.StatusOK {
		p.t.Errorf("%s: add answers %d %v", s.Name, st, o)
	}
	for _, l := range letters {
		if l.letter == "R" || !strings.Contains(want, l.letter) {
			continue
		}
		upd := map[string]any{"doctype": doctype, "role": role, "permlevel": level, "ptype": l.right, "value": 1}
		if st, o := p.call(http.MethodPost, "/api/method/frappe.core.page.permission_manager.permission_manager.update", upd); st != http.StatusOK {
			p.t.Errorf("%s: update answers %d %v", s.Name, st, o)
		}
	}
}

func loadSchema(t *testing.T) schemaFile {
	t.Helper()
	b, err := os.ReadFile("../../connector/prm/schema/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var f schemaFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// provision applies every step that a deployment has and gives how many.
func provision(t *testing.T, s *frappetest.Site, deployment string) (*prm, int) {
	t.Helper()
	f := loadSchema(t)
	key, secret := s.AddUser("provision@prm.test", "System Manager", "Workspace Manager", "Website Manager")
	p := &prm{t: t, site: s, token: key + ":" + secret, metas: map[string]map[string]map[string]any{}, match: f.ChildRows.MatchedBy}
	n := 0
	for _, st := range f.Steps {
		if st.When != "always" && st.When != deployment {
			continue
		}
		n++
		switch st.Action {
		case "ensure", "merge":
			p.ensure(st)
		case "permission":
			p.permission(st)
		case "single":
			p.ensure(st)
		default:
			t.Errorf("step %s %s: unknown action %q", st.Doctype, st.Name, st.Action)
		}
	}
	return p, n
}

func prmSite(t *testing.T, version, deployment string) *frappetest.Site {
	t.Helper()
	s := frappetest.New(t, frappetest.SiteOptions{Version: version, TimeZone: "Asia/Kolkata"})
	if deployment == "press" {
		if err := s.Install("press"); err != nil {
			t.Fatal(err)
		}
		s.AddRole("Partner Manager")
	}
	return s
}

func TestProvisioning(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		for deployment, steps := range map[string]int{"bare": 142, "press": 158} {
			if deployment == "press" && version == frappetest.V16 {
				continue // as its later sibling
			}
			t.Run(version+"/"+deployment, func(t *testing.T) {
				t.Parallel()
				s := prmSite(t, version, deployment)
				p, n := provision(t, s, deployment)
				if n != steps {
					t.Errorf("%d steps, want %d", n, steps)
				}
				if p.writes < steps/2 {
					t.Errorf("the first run wrote %d times", p.writes)
				}
				if v := s.Doc("PMM Sync Status", "")["schema_version"]; v != "1" {
					t.Errorf("schema_version = %v, want 1", v)
				}
				again, _ := provision(t, s, deployment)
				if again.writes != 0 {
					t.Errorf("a second run writes %d times", again.writes)
				}
			})
		}
	}
}

// TestPressShutsItsDoor: only desk users get past /api/, but for a few methods.
func TestPressShutsItsDoor(t *testing.T) {
	t.Parallel()
	s := prmSite(t, frappetest.V15, "press")
	provision(t, s, "press")
	s.AddRole("Partner Portal")
	if err := s.Set("Role", "Partner Portal", map[string]any{"desk_access": 0}); err != nil {
		t.Fatal(err)
	}
	key, secret := s.AddUser("boss@partner.example", "Partner Portal", "Press User")
	token := key + ":" + secret
	for _, path := range []string{"/api/resource/Partner Audit", "/api/method/frappe.client.get_count?doctype=Partner Audit", "/?cmd=frappe.client.get_list"} {
		if st, text := get(t, s, token, path); st != 401 || !strings.Contains(text, "Access not allowed for this URL") {
			t.Errorf("a website user, %s: %d %.200s", path, st, text)
		}
	}
	for _, who := range []string{"", token} {
		if st, text := get(t, s, who, "/api/method/ping"); st != 200 {
			t.Errorf("ping: %d %.200s", st, text)
		}
	}
	form := map[string]any{"web_form": "raise-an-escalation", "data": map[string]any{
		"customer": "Buyer Ltd", "contact_name": "Bea", "contact_email": "bea@buyer.example", "partner_text": "Meridian", "what_happened": "Nothing works",
	}}
	if st, text := call(t, s, "", http.MethodPost, "/api/method/frappe.website.doctype.web_form.web_form.accept", form); st != 200 {
		t.Errorf("a guest's web form: %d %.300s", st, text)
	}
	// Desk access makes a desk user, with a key to /api/ at once.
	if err := s.Set("Role", "Partner Portal", map[string]any{"desk_access": 1}); err != nil {
		t.Fatal(err)
	}
	if st, text := get(t, s, token, "/api/resource/Partner Audit"); st != 200 {
		t.Errorf("a desk user: %d %.200s", st, text)
	}
	if u := s.Doc("User", "boss@partner.example")["user_type"]; u != "System User" {
		t.Errorf("user_type %v after the role got desk access", u)
	}
}
