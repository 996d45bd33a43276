package frappe_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/frappe"
)

// recorded is one whole answer of a live site.
type recorded struct {
	Request struct {
		Method, Path string
		Query        map[string]any
		Body         map[string]any
	}
	Status     int
	Headers    map[string]string
	Body       string
	BodyBase64 string `json:"body_base64"`
}

func loadAnswers(t testing.TB) map[string]recorded {
	t.Helper()
	files, err := filepath.Glob("testdata/answers/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded answers: %v", err)
	}
	out := map[string]recorded{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var a recorded
		if err := json.Unmarshal(b, &a); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		name := filepath.Base(f)
		out[name[:len(name)-len(".json")]] = a
	}
	return out
}

func (a recorded) bytes() []byte {
	if a.BodyBase64 != "" {
		b, _ := base64.StdEncoding.DecodeString(a.BodyBase64)
		return b
	}
	return []byte(a.Body)
}

// replay answers every request with the recorded bytes.
func replay(t testing.TB, a recorded) *stub {
	return newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/method/frappe.auth.get_logged_user" && a.Status >= 400 {
			if a.Status == 401 {
				answer(w, 401, `{"exc_type":"AuthenticationError"}`)
			} else {
				answer(w, 200, `{"message":"prm.reader@meridian.example"}`)
			}
			return
		}
		for k, v := range a.Headers {
			if k != "content-length" {
				w.Header().Set(k, v)
			}
		}
		w.WriteHeader(a.Status)
		w.Write(a.bytes())
	})
}

// TestRecordedAnswers decodes every recorded answer through the call that asks
// for it, and checks the address that the call used against the recorded one.
func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	answers := loadAnswers(t)
	type use struct {
		ask  func(c *frappe.Client) (any, error)
		want any
	}
	list := func(doctype string, show ...string) func(c *frappe.Client) (any, error) {
		return func(c *frappe.Client) (any, error) {
			rows, err := c.List(t.Context(), frappe.ListQuery{Doctype: doctype, Limit: 5})
			var out []string
			for _, r := range rows {
				s := r.Name()
				for _, f := range show {
					s += "|" + r.Text(f)
				}
				out = append(out, s)
			}
			return out, err
		}
	}
	refused := func(doctype string) func(c *frappe.Client) (any, error) {
		return func(c *frappe.Client) (any, error) {
			_, err := c.List(t.Context(), frappe.ListQuery{Doctype: doctype})
			return outcome(err), nil
		}
	}
	uses := map[string]use{
		"ping":        {func(c *frappe.Client) (any, error) { return nil, c.Ping(t.Context()) }, nil},
		"logged-user": {func(c *frappe.Client) (any, error) { return c.Whoami(t.Context()) }, "prm.reader@meridian.example"},
		"login-failed": {
			func(c *frappe.Client) (any, error) { return outcome(c.Ping(t.Context())), nil },
			"unauthorized AuthenticationError 401",
		},
		"forbidden":       {refused("Payment Entry"), "forbidden PermissionError 403"},
		"unknown-doctype": {refused("HD Ticket"), "forbidden PermissionError 403"},
		"unknown-field":   {refused("Task"), "invalid DataError 417"},
		"not-found": {func(c *frappe.Client) (any, error) {
			_, err := c.Get(t.Context(), "Task", "TASK-2026-99999")
			return outcome(err), nil
		}, "not_found DoesNotExistError 404"},
		"caller-zone": {func(c *frappe.Client) (any, error) {
			return c.Call(t.Context(), "frappe.client.get_time_zone", nil)
		}, map[string]any{"time_zone": "Europe/Berlin"}},
		"count-permitted": {func(c *frappe.Client) (any, error) { return c.Count(t.Context(), "Event") }, 23},
		"count": {func(c *frappe.Client) (any, error) {
			return c.Call(t.Context(), "frappe.client.get_count", map[string]any{"doctype": "Task"})
		}, 9.0},
		"versions": {func(c *frappe.Client) (any, error) { return c.Versions(t.Context()) }, map[string]frappe.App{
			"frappe":  {Title: "Frappe Framework", Version: "15.72.4"},
			"erpnext": {Title: "ERPNext", Version: "15.71.1"},
			"hrms":    {Title: "Frappe HR", Version: "15.47.8"},
		}},
		"login-page": {func(c *frappe.Client) (any, error) {
			l, err := c.Locale(t.Context())
			return fmt.Sprint(l.Zone, " ", l.DateFormat), err
		}, "Europe/Berlin dd.mm.yyyy"},
		"customer-slash": {func(c *frappe.Client) (any, error) {
			d, err := c.Get(t.Context(), "Customer", "Nord/West Spedition")
			return []any{d.Name(), d.Text("customer_type"), d.Bool("disabled"), len(d.Rows("accounts"))}, err
		}, []any{"Nord/West Spedition", "Company", false, 0}},
		"task": {func(c *frappe.Client) (any, error) {
			d, err := c.Get(t.Context(), "Task", "TASK-2026-00111")
			n, ok := d.Int("lft")
			return []any{d.Modified(), d.Text("status"), d.Has("type"), n, ok}, err
		}, []any{"2026-07-06 09:40:58.695746", "Overdue", false, int64(221), true}},
		"event-shared": {func(c *frappe.Client) (any, error) {
			d, err := c.Get(t.Context(), "Event", "EV00020")
			return []any{d.Text("event_type"), d.Rows("event_participants")[0].Text("reference_docname")}, err
		}, []any{"Private", "PROJ-0005"}},
		"event-list": {list("Event", "starts_on"), []string{
			"EV00015|2026-10-12 13:30:00", "EV00019|2026-10-12 13:30:00", "EV00014|2026-09-14 13:30:00",
		}},
		"task-list": {list("Task", "modified"), []string{
			"TASK-2026-00023|2026-02-18 16:45:02.006694", "TASK-2026-00024|2026-02-20 16:45:16.216152",
			"TASK-2026-00025|2026-02-23 16:45:30.425610", "TASK-2026-00026|2026-03-04 16:45:44.635068",
			"TASK-2026-00027|2026-03-13 16:45:58.844526",
		}},
		"task-keyset-page": {list("Task", "type"), []string{
			"TASK-2026-00027|", "TASK-2026-00028|", "TASK-2026-00148|Handover from Sales", "TASK-2026-00149|Kick-off",
			"TASK-2026-00029|BRD Sign-off",
		}},
		"task-list-project-columns": {list("Task", "customer", "project_status"), []string{
			"TASK-2026-00097|Nord/West Spedition|Open", "TASK-2026-00098|Nord/West Spedition|Open",
			"TASK-2026-00099|Nord/West Spedition|Open",
		}},
		"child-table-list": {func(c *frappe.Client) (any, error) {
			var out []string
			for rows, err := range c.Children(t.Context(), frappe.ChildQuery{Doctype: "Sales Invoice Item", Parent: "Sales Invoice", Parents: []string{"x"}}) {
				if err != nil {
					return nil, err
				}
				for _, r := range rows {
					amount, _ := r.Float("amount")
					out = append(out, fmt.Sprint(r.Text("parent"), " ", amount))
				}
			}
			return out, nil
		}, []string{"ACC-SINV-2026-00001 14400", "ACC-SINV-2026-00002 18300", "ACC-SINV-2026-00003 -3050", "ACC-SINV-2026-00004 11850"}},
		"post-get-list": {list("Issue", "custom_stars", "response_by"), []string{
			"ISS-2026-00001|1|2026-08-24 11:07:00", "ISS-2026-00002|0.8|2026-08-25 10:08:00",
			"ISS-2026-00003|1|2026-08-26 16:09:00", "ISS-2026-00004|0|2026-08-31 14:10:00",
		}},
		"communication-list": {func(c *frappe.Client) (any, error) {
			rows, err := c.List(t.Context(), frappe.ListQuery{Doctype: "Communication"})
			return len(rows) > 0 && rows[0].Name() != "", err
		}, true},
		"communications-project": {func(c *frappe.Client) (any, error) {
			var out []string
			for rows, err := range c.Communications(t.Context(), "Project", "PROJ-0004") {
				if err != nil {
					return nil, err
				}
				for _, r := range rows {
					out = append(out, r.Text("communication_date"))
				}
			}
			return out, nil
		}, []string{"2026-11-12 16:30:57", "2026-11-05 16:30:50", "2026-10-29 16:30:43"}},
		"docinfo-task": {func(c *frappe.Client) (any, error) {
			d, err := c.DocInfo(t.Context(), "Task", "TASK-2026-00111")
			changed, _ := d.Versions[0].JSON("data").(map[string]any)
			return []any{len(d.Comments), len(d.Versions), len(d.Assignments), len(d.Communications), d.Rights.Bool("read"), len(changed["changed"].([]any))}, err
		}, []any{1, 2, 1, 0, true, 3}},
		"getdoctype": {func(c *frappe.Client) (any, error) {
			m, err := c.Meta(t.Context(), "Weekly Metric")
			if err != nil {
				return nil, err
			}
			f, _ := m.Field("week")
			return []any{m.Name, m.Autoname, m.TrackChanges, m.Custom, f.Type, f.Required}, nil
		}, []any{"Weekly Metric", "format:WM-{week}-{###}", true, true, "Data", true}},
		"file-download": {func(c *frappe.Client) (any, error) {
			var b bytes.Buffer
			d, err := c.Download(t.Context(), "/private/files/BRD accepted M3.pdf", &b)
			return []any{d.ContentType, b.String()[:8], d.Bytes == int64(b.Len())}, err
		}, []any{"application/pdf", "%PDF-1.4", true}},
	}
	for name, a := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, ok := uses[name]
			if !ok {
				t.Fatalf("recorded answer %s is used by no test", name)
			}
			s := replay(t, a)
			got, err := u.ask(client(t, s.URL))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(u.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if a.Request.Method == http.MethodGet {
				if path, _ := url.PathUnescape(a.Request.Path); s.requests()[0] != "GET "+path {
					t.Errorf("asked %q, want %q", s.requests()[0], "GET "+path)
				}
			}
		})
	}
	for name := range uses {
		if _, ok := answers[name]; !ok {
			t.Errorf("no recorded answer %s", name)
		}
	}
}

// outcome reduces an error to what a caller branches on.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	var e *frappe.Error
	if !asError(err, &e) {
		return "untyped: " + err.Error()
	}
	s := string(e.Category)
	if e.Kind != "" {
		s += " " + e.Kind
	}
	if e.Status != 0 {
		s += fmt.Sprint(" ", e.Status)
	}
	return s
}
