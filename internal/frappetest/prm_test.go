package frappetest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/internal/frappetest"
)

// object decodes an answer.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return o
}

// TestRuntimeUser holds what a PRM lets the user of the daemon do, and what it
// refuses or silently undoes.
func TestRuntimeUser(t *testing.T) {
	t.Parallel()
	s := prmSite(t, frappetest.V15, "bare")
	provision(t, s, "bare")
	key, secret := s.AddUser("sync@prm.test", "PMM Sync Agent")
	agent := key + ":" + secret
	key, secret = s.AddUser("manager@prm.test", "Partner Manager")
	manager := key + ":" + secret
	post := func(token, path string, body any, want int) map[string]any {
		t.Helper()
		st, text := call(t, s, token, http.MethodPost, path, body)
		if st != want {
			t.Errorf("POST %s %v: %d, want %d: %.400s", path, body, st, want, text)
		}
		return object(t, text)
	}
	put := func(token, doctype, name string, body any, want int) map[string]any {
		t.Helper()
		st, text := call(t, s, token, http.MethodPut, resource(doctype, name), body)
		if st != want {
			t.Errorf("PUT %s %s %v: %d, want %d: %.400s", doctype, name, body, st, want, text)
		}
		return object(t, text)
	}
	m := func(kv ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}

	post(agent, "/api/resource/PMM Partner", m("partner_key", "meridian", "partner_name", "Meridian", "status", "Watch", "notes", "by the daemon"), 200)
	if d := s.Doc("PMM Partner", "meridian"); d["notes"] != nil && d["notes"] != "" {
		t.Errorf("a human's field came through an insert: %v", d["notes"])
	}
	put(manager, "PMM Partner", "meridian", m("partner_manager", "manager@prm.test", "insight", "overwritten"), 200)
	if d := s.Doc("PMM Partner", "meridian"); d["insight"] == "overwritten" || d["partner_manager"] != "manager@prm.test" {
		t.Errorf("levels 1 and 2 after the manager's write: %v, %v", d["partner_manager"], d["insight"])
	}
	put(agent, "PMM Partner", "meridian", m("insight", "two tasks late", "partner_manager", ""), 200)
	if d := s.Doc("PMM Partner", "meridian"); d["insight"] != "two tasks late" || d["partner_manager"] != "manager@prm.test" {
		t.Errorf("after the daemon's write: %v, %v", d["insight"], d["partner_manager"])
	}
	// What the manager may not read is absent as text and 0 as number.
	key, secret = s.AddUser("boss@partner.example", "Partner")
	_, text := get(t, s, key+":"+secret, resource("PMM Partner", "meridian"))
	if d := object(t, text)["data"].(map[string]any); d["insight"] != nil || d["awarded_pmm"] != nil && d["awarded_pmm"] != 0.0 && d["awarded_pmm"] != "" {
		t.Errorf("a partner reads %v, %v", d["insight"], d["awarded_pmm"])
	}

	nc := post(agent, "/api/resource/Partner Non Conformance", m(
		"nc_statement", "Overdue tasks", "custom_pmm_partner", "meridian", "partner_team", "meridian", "status", "Closed", "department", "Implementation",
		"custom_source_key", "k1", "custom_overdue", 1), 200)["data"].(map[string]any)["name"].(string)
	if d := s.Doc("Partner Non Conformance", nc); d["status"] != "Open" {
		t.Errorf("an NC born Closed came out %v", d["status"])
	} else if d["custom_partner_manager"] != "manager@prm.test" || d["custom_partner_name"] != "Meridian" {
		t.Errorf("fetched: %v, %v", d["custom_partner_manager"], d["custom_partner_name"])
	}
	put(agent, "Partner Non Conformance", nc, m("status", "Closed"), 200)
	if d := s.Doc("Partner Non Conformance", nc); d["status"] != "Open" {
		t.Errorf("the daemon closed an NC: %v", d["status"])
	}
	put(manager, "Partner Non Conformance", nc, m("status", "Closed", "closed_on", "2026-11-24"), 200)
	if d := s.Doc("Partner Non Conformance", nc); d["status"] != "Closed" {
		t.Errorf("the manager could not close an NC: %v", d["status"])
	}
	twice := post(agent, "/api/resource/Partner Non Conformance", m("nc_statement", "x", "custom_pmm_partner", "meridian", "partner_team", "meridian", "custom_source_key", "k1"), 417)
	if twice["exc_type"] != "UniqueValidationError" {
		t.Errorf("a second NC of one source: %v", twice["exc_type"])
	}
	post(agent, "/api/resource/PMM Partner", m("partner_key", "MERIDIAN", "partner_name", "x"), 409)

	for _, refused := range []struct {
		method, path string
		body         any
	}{
		{http.MethodDelete, resource("Partner Non Conformance", nc), nil},
		{http.MethodPost, "/api/resource/DocType", m("name", "X", "module", "Partner", "custom", 1)},
		{http.MethodPost, "/api/resource/Custom Field", m("dt", "PMM Partner", "fieldname", "x", "fieldtype", "Data", "label", "X")},
		{http.MethodPost, "/api/resource/User Permission", m("user", "sync@prm.test", "allow", "PMM Partner", "for_value", "meridian")},
		{http.MethodPost, "/api/resource/Comment", m("comment_type", "Comment", "reference_doctype", "PMM Partner", "reference_name", "meridian", "content", "x")},
		{http.MethodPost, "/api/resource/Notification Log", m("subject", "x", "for_user", "manager@prm.test")},
	} {
		if st, text := call(t, s, agent, refused.method, refused.path, refused.body); st != 403 {
			t.Errorf("%s %s: %d, want 403: %.200s", refused.method, refused.path, st, text)
		}
	}

	post(agent, "/api/resource/PMM Evidence", m("evidence_key", strings.Repeat("a", 64), "title", "Scan", "partner", "meridian"), 200)
	put(agent, "PMM Evidence", strings.Repeat("a", 64), m("title", "Other"), 403)
	many := []map[string]any{}
	for i := range 3 {
		many = append(many, m("doctype", "PMM Metric Snapshot", "snapshot_key", fmt.Sprintf("meridian-erp-x-%d", i), "title", "x", "partner", "meridian", "metric", "impl.metric.overdue_pct", "period_start", "2026-11-16"))
	}
	post(agent, "/api/method/frappe.client.insert_many", m("docs", many), 200)
	post(agent, "/api/method/frappe.client.insert_many", m("docs", []map[string]any{m("doctype", "PMM Metric Snapshot", "snapshot_key", "new-one", "title", "x", "partner", "meridian", "metric", "impl.metric.overdue_pct", "period_start", "2026-11-16"), many[0]}), 409)
	if n := s.Count("PMM Metric Snapshot"); n != 3 {
		t.Errorf("%d snapshots after a batch with a known key, want 3", n)
	}

	for range 2 {
		post(agent, "/api/method/frappe.desk.form.assign_to.add", m("assign_to", `["manager@prm.test"]`, "doctype", "PMM Partner", "name", "meridian", "description", "decide"), 200)
	}
	if n := s.Count("ToDo"); n != 1 {
		t.Errorf("%d ToDos after assigning twice, want 1", n)
	}
	before := s.Doc("PMM Partner", "meridian")["modified"]
	post(agent, "/api/method/frappe.desk.form.utils.add_comment", m("reference_doctype", "PMM Partner", "reference_name", "meridian", "content", "seen", "comment_email", "sync@prm.test", "comment_by", "Sync"), 200)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	fw, _ := w.CreateFormFile("file", "manifest.json")
	_, _ = fw.Write([]byte("{}"))
	for k, v := range map[string]string{"is_private": "1", "doctype": "PMM Partner", "docname": "meridian"} {
		_ = w.WriteField(k, v)
	}
	_ = w.Close()
	req, err := http.NewRequest(http.MethodPost, s.URL()+"/api/method/upload_file", &form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+agent)
	req.Header.Set("Content-Type", w.FormDataContentType())
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || s.Doc("PMM Partner", "meridian")["modified"] != before {
		t.Errorf("upload: %d; comment or upload moved modified", res.StatusCode)
	}

	post(agent, "/api/resource/PMM Assessment", m("assessment_key", "meridian-cont-2026w47", "partner", "meridian", "kind", "Continuous"), 200)
	pdf := "/api/method/frappe.utils.print_format.download_pdf?doctype=" + url.QueryEscape("PMM Assessment") + "&name=meridian-cont-2026w47&format=" + url.QueryEscape("Audit Evidence Pack")
	if st, text := get(t, s, agent, pdf); st != 200 || !strings.HasPrefix(text, "%PDF") {
		t.Errorf("PDF: %d %.100s", st, text)
	}
}

// TestEscalation follows one from the web form through the workflow.
func TestEscalation(t *testing.T) {
	t.Parallel()
	s := prmSite(t, frappetest.V15, "bare")
	provision(t, s, "bare")
	key, secret := s.AddUser("sync@prm.test", "PMM Sync Agent")
	agent := key + ":" + secret
	key, secret = s.AddUser("manager@prm.test", "Partner Manager")
	manager := key + ":" + secret

	form := map[string]any{"web_form": "raise-an-escalation", "data": map[string]any{
		"customer": "Buyer Ltd", "contact_name": "Bea", "contact_email": "bea@buyer.example", "partner_text": "Meridian", "what_happened": "Nothing works",
		"status": "Linked", "partner": "forged",
	}}
	st, text := call(t, s, "", http.MethodPost, "/api/method/frappe.website.doctype.web_form.web_form.accept", form)
	if st != 200 {
		t.Fatalf("the form answers a guest %d: %s", st, text)
	}
	name := object(t, text)["message"].(map[string]any)["name"].(string)
	if d := s.Doc("PMM Escalation Request", name); d["status"] != "New" || d["partner"] == "forged" || d["what_happened"] != "Nothing works" {
		t.Errorf("the request is %v, %v", d["status"], d["partner"])
	}
	logs := s.Docs("Notification Log")
	if len(logs) != 1 || logs[0]["for_user"] != "manager@prm.test" || !strings.Contains(logs[0]["subject"].(string), "Buyer Ltd") {
		t.Errorf("the manager's notifications: %v", logs)
	}
	st, text = call(t, s, manager, http.MethodPut, resource("PMM Escalation Request", name), map[string]any{"what_happened": "All is well"})
	if st != 417 || object(t, text)["exc_type"] != "CannotChangeConstantError" {
		t.Errorf("changing the customer's text: %d %s", st, text)
	}
	if st, _ := get(t, s, "", resource("PMM Escalation Request", name)); st != 403 {
		t.Errorf("a guest reads the request: %d", st)
	}

	if st, text := call(t, s, agent, http.MethodPost, "/api/resource/PMM Partner", map[string]any{"partner_key": "meridian", "partner_name": "Meridian"}); st != 200 {
		t.Fatalf("partner: %d %s", st, text)
	}
	st, text = call(t, s, agent, http.MethodPost, "/api/resource/Partner Escalation", map[string]any{
		"partner": "meridian", "customer": "Buyer Ltd", "source_key": name, "received_on": "2026-11-24",
	})
	if st != 200 {
		t.Fatalf("escalation: %d %s", st, text)
	}
	esc := object(t, text)["data"].(map[string]any)["name"].(string)
	if d := s.Doc("Partner Escalation", esc); d["status"] != "Received" {
		t.Errorf("it starts as %v", d["status"])
	}
	st, text = call(t, s, manager, http.MethodPut, resource("Partner Escalation", esc), map[string]any{"status": "Resolved"})
	if st != 417 || object(t, text)["exc_type"] != "WorkflowPermissionError" {
		t.Errorf("a jump: %d %.300s", st, text)
	}
	if st, text = call(t, s, manager, http.MethodPut, resource("Partner Escalation", esc), map[string]any{"status": "Warning Sent"}); st != 200 {
		t.Errorf("the next state: %d %.300s", st, text)
	}
	if st, text = call(t, s, agent, http.MethodPut, resource("Partner Escalation", esc), map[string]any{"reaudit_on": "2026-12-20"}); st != 200 {
		t.Errorf("the daemon's own field: %d %.300s", st, text)
	}
	if st, text = call(t, s, agent, http.MethodPut, resource("Partner Escalation", esc), map[string]any{"modified": "2001-01-01 00:00:00", "reaudit_on": "2026-12-21"}); st != 417 || object(t, text)["exc_type"] != "TimestampMismatchError" {
		t.Errorf("a stale write: %d %.300s", st, text)
	}
}

// TestSilentTraps are answers with status 200 that leave something out.
func TestSilentTraps(t *testing.T) {
	t.Parallel()
	s := meridian(t)
	const reader = "meridian-reader:meridian-reader-secret"
	number := func(path string) float64 {
		t.Helper()
		st, text := get(t, s, reader, path)
		if st != 200 {
			t.Fatalf("%s: %d %.200s", path, st, text)
		}
		n, _ := object(t, text)["message"].(float64)
		return n
	}
	const count = "/api/method/frappe.client.get_count?doctype="
	const deskCount = "/api/method/frappe.desk.reportview.get_count?doctype="
	for _, doctype := range []string{"Event", "Communication"} {
		if all, seen := number(count+doctype), number(deskCount+doctype); all <= seen {
			t.Errorf("%s: client.get_count %v, reportview %v; the first must see through", doctype, all, seen)
		}
	}
	if err := s.Grant("File", "PMM Evidence Reader", 0, "re"); err != nil {
		t.Fatal(err)
	}
	_, text := get(t, s, reader, "/api/resource/File?limit_page_length=0")
	if l := object(t, text)["data"].([]any); len(l) != 0 {
		t.Errorf("a Website User lists %d files of others", len(l))
	}
	if err := s.Install("helpdesk"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.InsertRaw("HD Ticket", map[string]any{"name": "1", "subject": "x", "raised_by": "a@b.example"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Grant("HD Ticket", "PMM Evidence Reader", 0, "re"); err != nil {
		t.Fatal(err)
	}
	st, text := get(t, s, reader, "/api/resource/HD Ticket")
	if st != 200 || len(object(t, text)["data"].([]any)) != 0 {
		t.Errorf("HD Ticket without Agent: %d %s, want an empty list", st, text)
	}
	if st, _ := get(t, s, reader, "/api/resource/HD Ticket/1"); st != 403 {
		t.Errorf("HD Ticket 1 without Agent: %d", st)
	}
	// Hidden numbers read as 0, lists drop the column.
	sheet := s.Docs("Timesheet")[0]["name"].(string)
	_, text = get(t, s, reader, resource("Timesheet", sheet))
	for _, row := range object(t, text)["data"].(map[string]any)["time_logs"].([]any) {
		if v := row.(map[string]any)["billing_amount"]; v != 0.0 {
			t.Errorf("billing_amount %v, want 0 at permlevel 1", v)
		}
	}
	if err := s.SetTimeZone("America/New_York"); err != nil {
		t.Fatal(err)
	}
	_, text = get(t, s, "", "/login")
	_, caller := get(t, s, reader, "/api/method/frappe.client.get_time_zone")
	if !strings.Contains(text, `"system": "America/New_York"`) || !strings.Contains(caller, "Europe/Berlin") {
		t.Errorf("zones: page lacks New York, or the caller's zone is %s", caller)
	}
}

// TestLoneCustomPermission shows why rights on standard DocTypes go through
// the permission manager.
func TestLoneCustomPermission(t *testing.T) {
	t.Parallel()
	s, sm := vecSite(t)
	key, secret := s.AddUser("new@vec.test", "Vec Reader", "Report Manager")
	reader := key + ":" + secret
	add := map[string]any{"parent": "Vec Task", "role": "Report Manager", "permlevel": 0}
	if st, text := call(t, s, sm, http.MethodPost, "/api/method/frappe.core.page.permission_manager.permission_manager.add", add); st != 200 {
		t.Fatalf("add: %d %s", st, text)
	}
	if st, _ := get(t, s, reader, "/api/resource/Vec Task/T01"); st != 200 {
		t.Errorf("after the permission manager: %d", st)
	}
	upd := map[string]any{"doctype": "Vec Task", "role": "Vec Reader", "permlevel": 0, "ptype": "read", "value": 0}
	if st, text := call(t, s, sm, http.MethodPost, "/api/method/frappe.core.page.permission_manager.permission_manager.update", upd); st != 417 || !strings.Contains(text, "No basic permissions set") {
		t.Errorf("taking the last right of a row: %d %s", st, text)
	}
	if st, text := call(t, s, sm, http.MethodPost, "/api/method/frappe.core.page.permission_manager.permission_manager.remove", upd); st != 200 {
		t.Fatalf("remove: %d %s", st, text)
	}
	key, secret = s.AddUser("only@vec.test", "Vec Reader")
	if st, _ := get(t, s, key+":"+secret, "/api/resource/Vec Task/T01"); st != 403 {
		t.Errorf("after the row was removed: %d", st)
	}
}
