package frappe_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/internal/frappetest"
)

// The tests of this file run against a whole site, in each version's dialect.

func everyVersion(t *testing.T, run func(t *testing.T, s *site)) {
	for _, v := range []string{frappetest.V14, frappetest.V15, frappetest.V16, frappetest.V16Later} {
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			run(t, newSite(t, v))
		})
	}
}

type site struct {
	*frappetest.Site
	version     string
	key, secret string // of somebody who may do everything with the doctypes below
	reader      [2]string
}

func newSite(t testing.TB, version string) *site {
	s := &site{Site: frappetest.New(t, frappetest.SiteOptions{Version: version, TimeZone: "Europe/Berlin"}), version: version}
	all := []frappetest.Perm{{Role: "Delivery", Rights: "rwcd"}, {Role: "Reader", Rights: "r"}}
	s.Define(
		frappetest.DocType{Name: "Step", Child: true, Fields: []frappetest.Field{{Fieldname: "title", Fieldtype: "Data"}, {Fieldname: "done", Fieldtype: "Check"}}},
		frappetest.DocType{Name: "Job", Autoname: "field:code", TrackChanges: true, Perms: append(all, frappetest.Perm{Role: "Delivery", Permlevel: 1, Rights: "rw"}), Fields: []frappetest.Field{
			{Fieldname: "code", Fieldtype: "Data", Reqd: true, Unique: true},
			{Fieldname: "subject", Fieldtype: "Data"},
			{Fieldname: "status", Fieldtype: "Select", Options: "\nOpen\nDone"},
			{Fieldname: "budget", Fieldtype: "Currency", Permlevel: 1},
			{Fieldname: "score", Fieldtype: "Float"},
			{Fieldname: "due", Fieldtype: "Date"},
			{Fieldname: "steps", Fieldtype: "Table", Options: "Step"},
		}},
		frappetest.DocType{Name: "Ledger", Fields: []frappetest.Field{{Fieldname: "x", Fieldtype: "Data"}}},
	)
	s.key, s.secret = s.AddUser("writer@site.example", "Delivery")
	k, secret := s.AddUser("reader@site.example", "Reader")
	s.reader = [2]string{k, secret}
	return s
}

func (s *site) writer(t testing.TB) *frappe.Client {
	return client(t, s.URL(), writable, func(c *frappe.Config) { c.Key, c.Secret = frappe.Secret(s.key), frappe.Secret(s.secret) })
}

func (s *site) readerClient(t testing.TB) *frappe.Client {
	return client(t, s.URL(), func(c *frappe.Config) {
		c.Key, c.Secret = frappe.Secret(s.reader[0]), frappe.Secret(s.reader[1])
	})
}

func TestSiteScan(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		want := map[string]string{}
		at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
		for i := range 730 {
			// Ties, whole seconds and fractions, in an order that is not that of
			// the names.
			m := frappe.FormatTime(at.Add(time.Duration(i/40)*1500*time.Millisecond), time.UTC)
			name := fmt.Sprintf("J%04d", (i*389)%1000)
			if _, err := s.InsertRaw("Job", map[string]any{"name": name, "code": name, "subject": "s", "creation": m, "modified": m}); err != nil {
				t.Fatal(err)
			}
			want[name] = m
		}
		c := s.readerClient(t)
		for _, size := range []int{7, 100, 0} {
			got := map[string]string{}
			var cursor frappe.Cursor
			for page, err := range c.Scan(t.Context(), "Job", frappe.ScanOptions{Fields: []string{"subject"}, PageSize: size}) {
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Rows {
					if _, twice := got[r.Name()]; twice {
						t.Errorf("%s came twice", r.Name())
					}
					got[r.Name()] = r.Modified()
				}
				cursor = page.Cursor
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("pages of %d (-want +got):\n%s", size, diff)
			}
			// Nothing new: one short page.
			before := c.Stats().Requests
			for page, err := range c.Scan(t.Context(), "Job", frappe.ScanOptions{Since: cursor}) {
				if err != nil || len(page.Rows) != 0 || !page.Last || page.Cursor != cursor {
					t.Errorf("idle: %+v, %v", page, err)
				}
			}
			if n := c.Stats().Requests - before; n != 1 {
				t.Errorf("an idle poll took %d requests", n)
			}
		}
		names := 0
		for page, err := range c.Names(t.Context(), "Job") {
			if err != nil {
				t.Fatal(err)
			}
			names += len(page.Rows)
		}
		if n, err := c.Count(t.Context(), "Job"); err != nil || n != 730 || names != 730 {
			t.Errorf("%d names, count %d, %v", names, n, err)
		}
	})
}

func TestSiteWrites(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		c := s.writer(t)
		ctx := t.Context()
		for i := range 2 {
			in, err := c.Insert(ctx, "Job", "code", map[string]any{"code": "A/1", "subject": "first", "steps": []any{map[string]any{"title": "a"}, map[string]any{"title": "b", "done": 1}}})
			if err != nil || in.Name != "A/1" || in.Existing != (i == 1) {
				t.Fatalf("insert %d: %+v, %v", i, in, err)
			}
		}
		d, err := c.Get(ctx, "Job", "A/1")
		if err != nil || len(d.Rows("steps")) != 2 || !d.Rows("steps")[1].Bool("done") {
			t.Fatalf("Get: %v, %v", d, err)
		}
		modified, err := c.Update(ctx, "Job", "A/1", d.Modified(), map[string]any{"status": "Open", "score": 2.5})
		if err != nil || modified == d.Modified() {
			t.Fatalf("Update: %q, %v", modified, err)
		}
		if _, err := c.Update(ctx, "Job", "A/1", d.Modified(), map[string]any{"status": "Done"}); frappe.CategoryOf(err) != frappe.Conflict {
			t.Errorf("a second update of what was read once: %v, want a conflict", err)
		}
		edited := false
		_, wrote, err := c.UpdateMerged(ctx, "Job", "A/1", func(cur frappe.Doc) (map[string]any, error) {
			if !edited {
				edited = true
				if err := s.Set("Job", "A/1", map[string]any{"subject": "a person was here"}); err != nil {
					return nil, err
				}
			}
			return map[string]any{"status": "Done"}, nil
		})
		if err != nil || !wrote {
			t.Errorf("UpdateMerged: %v, %v", wrote, err)
		}
		if got := s.Doc("Job", "A/1"); got["subject"] != "a person was here" || got["status"] != "Done" {
			t.Errorf("document %v", got)
		}
		if _, err := c.Insert(ctx, "Job", "", map[string]any{"subject": "no code"}); frappe.CategoryOf(err) != frappe.Invalid {
			t.Errorf("without a mandatory field: %v", err)
		}
		if _, err := c.Update(ctx, "Job", "none", "2026-01-01 00:00:00", nil); frappe.CategoryOf(err) != frappe.NotFound {
			t.Errorf("update of nothing: %v", err)
		}
		var many []map[string]any
		for i := range 30 {
			many = append(many, map[string]any{"code": fmt.Sprintf("M%02d", i), "steps": []any{map[string]any{"title": fmt.Sprint(i)}}})
		}
		if err := s.Set("Job", "A/1", nil); err != nil {
			t.Fatal(err)
		}
		many[7]["code"] = "A/1"
		got, err := c.InsertMany(ctx, "Job", "code", many)
		if err != nil || len(got) != 30 || !got[7].Existing || got[8].Existing || s.Count("Job") != 30 {
			t.Errorf("InsertMany: %v, %d documents, %+v", err, s.Count("Job"), got)
		}
		parents := []string{"A/1", "M00", "M29", "none"}
		var titles []string
		for rows, err := range c.Children(ctx, frappe.ChildQuery{Doctype: "Step", Parent: "Job", Field: "steps", Parents: parents, Fields: []string{"title"}}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				titles = append(titles, r.Text("parent")+":"+r.Text("title"))
			}
		}
		if diff := cmp.Diff([]string{"A/1:a", "A/1:b", "M00:0", "M29:29"}, titles); diff != "" {
			t.Errorf("children (-want +got):\n%s", diff)
		}
		if _, err := c.CallPost(ctx, "frappe.client.delete", map[string]any{"doctype": "Job", "name": "M00"}); err != nil {
			t.Errorf("delete by method: %v", err)
		}
		if ok, err := c.Exists(ctx, "Job", "M00"); err != nil || ok {
			t.Errorf("Exists after delete = %v, %v", ok, err)
		}
		v, err := c.Call(ctx, "frappe.client.get_value", map[string]any{"doctype": "Job", "filters": map[string]any{"name": "A/1"}, "fieldname": "status"})
		if m, _ := v.(map[string]any); err != nil || m["status"] != "Done" {
			t.Errorf("Call: %v, %v", v, err)
		}
	})
}

func TestSiteFilesAndTimeline(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		c := s.writer(t)
		ctx := t.Context()
		if _, err := s.Insert("Job", map[string]any{"code": "J1"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Set("Job", "J1", map[string]any{"status": "Open"}); err != nil {
			t.Fatal(err)
		}
		content := []byte("%PDF-1.4 the pack " + strings.Repeat("x", 3000))
		a := frappe.Attachment{Name: "Pack 100% of J'1.pdf", Content: content, Doctype: "Job", Docname: "J1"}
		name, fileURL, err := c.Upload(ctx, a)
		if err != nil || !strings.HasPrefix(fileURL, "/private/files/") {
			t.Fatalf("Upload: %s, %s, %v", name, fileURL, err)
		}
		if again, _, err := c.Upload(ctx, a); err != nil || again != name {
			t.Errorf("a second upload made %s, %v, want %s", again, err, name)
		}
		var b bytes.Buffer
		if d, err := c.Download(ctx, fileURL, &b); err != nil || !bytes.Equal(b.Bytes(), content) || d.Bytes != int64(len(content)) {
			t.Errorf("Download: %+v, %v", d, err)
		}
		if _, err := c.Download(ctx, "/private/files/other.pdf", &b); frappe.CategoryOf(err) != frappe.Forbidden && frappe.CategoryOf(err) != frappe.NotFound {
			t.Errorf("a file that is not there: %v", err)
		}
		info, err := c.DocInfo(ctx, "Job", "J1")
		if err != nil || len(info.Versions) != 1 || len(info.Attachments) != 1 || len(info.AttachmentLogs) != 1 || !info.Rights.Bool("write") {
			t.Errorf("DocInfo: %+v, %v", info, err)
		}
		if _, err := s.Insert("Comment", map[string]any{"comment_type": "Comment", "reference_doctype": "Job", "reference_name": "J1", "content": "hm"}); err != nil {
			t.Fatal(err)
		}
		if info, err = c.DocInfo(ctx, "Job", "J1"); err != nil || len(info.Comments) != 1 || !strings.Contains(info.Comments[0].Text("content"), "hm") {
			t.Errorf("comments: %+v, %v", info.Comments, err)
		}
	})
}

func TestSiteIdentityAndRights(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		c := s.readerClient(t)
		ctx := t.Context()
		if err := c.Ping(ctx); err != nil {
			t.Error(err)
		}
		user, err := c.Whoami(ctx)
		if err != nil || user != "reader@site.example" {
			t.Errorf("Whoami = %s, %v", user, err)
		}
		roles, err := c.Roles(ctx, user)
		if err != nil || !slices.Contains(roles, "Reader") {
			t.Errorf("Roles = %v, %v", roles, err)
		}
		loc, err := c.Locale(ctx)
		if err != nil || loc.Zone.String() != "Europe/Berlin" {
			t.Errorf("Locale = %v, %v", loc, err)
		}
		apps, err := c.Versions(ctx)
		if err != nil || apps["frappe"].Version != s.version && !strings.HasPrefix(s.version, "16") {
			t.Errorf("Versions = %v, %v", apps, err)
		}
		_, err = c.List(ctx, frappe.ListQuery{Doctype: "Ledger"})
		if frappe.CategoryOf(err) != frappe.Forbidden || !strings.Contains(err.Error(), "user lacks read on Ledger") {
			t.Errorf("a doctype without a row: %v", err)
		}
		if ok, err := c.HasPermission(ctx, "Ledger", "", "read"); err != nil || ok {
			t.Errorf("HasPermission = %v, %v", ok, err)
		}
		if _, err := c.List(ctx, frappe.ListQuery{Doctype: "Nothing Here"}); frappe.CategoryOf(err) != frappe.Forbidden && frappe.CategoryOf(err) != frappe.NotFound {
			t.Errorf("a doctype that is not installed: %v", err)
		}
		if _, err := c.Get(ctx, "Job", "none"); frappe.CategoryOf(err) != frappe.NotFound {
			t.Errorf("a document that is not there: %v", err)
		}
		if _, err := s.Insert("Job", map[string]any{"code": "J1", "budget": 500}); err != nil {
			t.Fatal(err)
		}
		for page, err := range c.Scan(ctx, "Job", frappe.ScanOptions{Fields: []string{"subject", "budget", "gone", "steps"}}) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"gone", "steps"}, page.Unknown); diff != "" {
				t.Errorf("unknown (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"budget"}, page.Hidden); diff != "" {
				t.Errorf("hidden (-want +got):\n%s", diff)
			}
		}
		m, err := c.Meta(ctx, "Job")
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := m.Field("budget"); !ok || f.Permlevel != 1 || !slices.Equal(m.Levels(roles), []int{0}) || m.Children["Step"] == nil {
			t.Errorf("Meta: budget %+v, levels %v", f, m.Levels(roles))
		}
		if got := c.Stats(); got.Breaker != "closed" || got.KeyRefused {
			t.Errorf("refusals moved the breaker or the gate: %+v", got)
		}
		s.RevokeKey("reader@site.example")
		if err := func() error { _, err := c.List(ctx, frappe.ListQuery{Doctype: "Job"}); return err }(); frappe.CategoryOf(err) != frappe.Unauthorized {
			t.Errorf("after the key was revoked: %v", err)
		}
		before := c.Stats().Requests
		for range 5 {
			c.List(ctx, frappe.ListQuery{Doctype: "Job"})
		}
		if n := c.Stats().Requests - before; n != 0 || !c.Stats().KeyRefused {
			t.Errorf("%d requests with a key known to be refused", n)
		}
	})
}

// TestSiteBudget: the site's own limiter counts its time; we hear of it and
// stop before it has to refuse us.
func TestSiteBudget(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		s.Configure(map[string]any{"rate_limit": map[string]any{"limit": 1, "window": 86400}, "rate_limit_used": 2})
		c := s.readerClient(t)
		_, err := c.List(t.Context(), frappe.ListQuery{Doctype: "Job"})
		e := &frappe.Error{}
		if !asError(err, &e) || e.Category != frappe.RateLimited || e.RetryAfter <= 0 {
			t.Errorf("got %v, want the limiter's refusal with its time", err)
		}
		before := c.Stats().Requests
		c.List(t.Context(), frappe.ListQuery{Doctype: "Job"})
		if n := c.Stats().Requests - before; n != 0 {
			t.Errorf("%d requests were sent although the budget is known to be spent", n)
		}
	})
}

// TestSiteAwkwardNames takes names that need escaping through every call that
// carries one.
func TestSiteAwkwardNames(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		c := s.writer(t)
		ctx := t.Context()
		names := []string{"Nord/West Spedition", "L'Atelier Kranz", "50% off", `say "hi"`, "Zeidler & Söhne", "🤒 ill", "x+y", "#1", "q?x=1", "a;b,c", "%2F", `back\slash`, "index.html", "a{b}c"}
		for _, name := range names {
			in, err := c.Insert(ctx, "Job", "code", map[string]any{"code": name, "steps": []any{map[string]any{"title": "of " + name}}})
			if err != nil || in.Name != name {
				t.Errorf("Insert %q = %+v, %v", name, in, err)
				continue
			}
			if again, err := c.Insert(ctx, "Job", "code", map[string]any{"code": name}); err != nil || !again.Existing || again.Name != name {
				t.Errorf("Insert %q again = %+v, %v", name, again, err)
			}
			d, err := c.Get(ctx, "Job", name)
			if err != nil || d.Name() != name {
				t.Errorf("Get %q = %q, %v", name, d.Name(), err)
			}
			if ok, err := c.Exists(ctx, "Job", name); err != nil || !ok {
				t.Errorf("Exists %q = %v, %v", name, ok, err)
			}
			if info, err := c.DocInfo(ctx, "Job", name); err != nil || !info.Rights.Bool("read") {
				t.Errorf("DocInfo %q: %v", name, err)
			}
			_, err = c.Update(ctx, "Job", name, d.Modified(), map[string]any{"status": "Done"})
			if name == "index.html" || name == `back\slash` {
				if frappe.CategoryOf(err) != frappe.Misuse {
					t.Errorf("Update %q: %v, want it refused", name, err)
				}
			} else if err != nil || s.Doc("Job", name)["status"] != "Done" {
				t.Errorf("Update %q: %v", name, err)
			}
		}
		got := map[string]string{}
		for rows, err := range s.readerClient(t).Children(ctx, frappe.ChildQuery{Doctype: "Step", Parent: "Job", Parents: names, Fields: []string{"title"}}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				got[r.Text("parent")] = r.Text("title")
			}
		}
		for _, name := range names {
			if got[name] != "of "+name {
				t.Errorf("child of %q is %q", name, got[name])
			}
		}
		listed := 0
		for page, err := range s.readerClient(t).Scan(ctx, "Job", frappe.ScanOptions{ByName: true, PageSize: 3}) {
			if err != nil {
				t.Fatal(err)
			}
			listed += len(page.Rows)
		}
		if listed != len(names) {
			t.Errorf("a walk by name finds %d of %d", listed, len(names))
		}
	})
}
