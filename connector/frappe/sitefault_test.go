package frappe_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/internal/frappetest"
)

// The named faults again, on a whole site that does its work before, while or
// after things go wrong.

func fill(t testing.TB, s *site, n int, at time.Time) {
	t.Helper()
	for i := range n {
		m := frappe.FormatTime(at.Add(time.Duration(i/10)*time.Second), time.UTC)
		name := fmt.Sprintf("J%05d", i)
		if _, err := s.InsertRaw("Job", map[string]any{"name": name, "code": name, "status": "Open", "creation": m, "modified": m}); err != nil {
			t.Fatal(err)
		}
	}
}

// truth is name → modified of every Job.
func truth(s *site) map[string]string {
	out := map[string]string{}
	for _, d := range s.Docs("Job") {
		out[d["name"].(string)] = d["modified"].(string)
	}
	return out
}

func follow(ctx context.Context, c *frappe.Client, o frappe.ScanOptions, got map[string]string) (frappe.Cursor, error) {
	at := o.Since
	for page, err := range c.Scan(ctx, "Job", o) {
		if err != nil {
			return at, err
		}
		for _, r := range page.Rows {
			got[r.Name()] = r.Modified()
		}
		at = page.Cursor
	}
	return at, nil
}

// missing returns the names that are absent from got or old in it.
func missing(want, got map[string]string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			out = append(out, name)
		}
	}
	return out
}

func TestSiteFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault frappetest.Fault
		want  string // outcome of reading and, if it is "ok", of one insert too
	}{
		{"429 with Retry-After", frappetest.Fault{Status: 429, RetryAfter: "1", Times: 1}, "ok"},
		{"429 without Retry-After", frappetest.Fault{Status: 429, Times: 2}, "ok"},
		{"502 burst", frappetest.Fault{Status: 502, Times: 2}, "ok"},
		{"504 burst", frappetest.Fault{Status: 504, Times: 2}, "ok"},
		{"reset", frappetest.Fault{Reset: true, Times: 2}, "ok"},
		{"half-body", frappetest.Fault{Cut: -1, Times: 1}, "ok"},
		{"answer lost", frappetest.Fault{DropAnswer: true, Times: 1}, "ok"},
		{"deadlock", frappetest.Fault{ExcType: "QueryDeadlockError", Times: 2}, "ok"},
		{"slow", frappetest.Fault{Latency: frappetest.Duration{Duration: 20 * time.Millisecond}}, "ok"},
		{"slow-loris", frappetest.Fault{Trickle: 1, TricklePause: frappetest.Duration{Duration: 20 * time.Millisecond}}, "timeout 200"},
		{"HTML login page with status 200", frappetest.Fault{HTML: true}, "login_page 200"},
		{"deep JSON", frappetest.Fault{Deep: 10_000}, "malformed 200"},
		{"invalid UTF-8", frappetest.Fault{BadUTF8: true}, "malformed 200"},
		{"huge body", frappetest.Fault{Huge: 3 << 20}, "oversized 200"},
		{"redirect to 169.254.169.254", frappetest.Fault{Status: 302, Location: "http://169.254.169.254/"}, "redirected 302"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, frappetest.V15)
			fill(t, s, 100, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
			tune := func(c *frappe.Config) { c.ReplyTimeout, c.MaxBody = 700*time.Millisecond, 1<<20 }
			read := client(t, s.URL(), tune, func(c *frappe.Config) { c.Key, c.Secret = frappe.Secret(s.reader[0]), frappe.Secret(s.reader[1]) })
			heal := s.Break(tt.fault)
			got := map[string]string{}
			_, err := follow(t.Context(), read, frappe.ScanOptions{PageSize: 40}, got)
			if o := outcome(err); o != tt.want {
				t.Fatalf("reading: %s (%v), want %s", o, err, tt.want)
			}
			heal()
			if tt.want != "ok" {
				return
			}
			if lost := missing(truth(s), got); lost != nil {
				t.Errorf("missed %v", lost)
			}
			write := client(t, s.URL(), tune, writable, func(c *frappe.Config) { c.Key, c.Secret = frappe.Secret(s.key), frappe.Secret(s.secret) })
			tt.fault.Path, tt.fault.Method = "/api/resource/Job*", "POST"
			s.Break(tt.fault)
			in, err := write.Insert(t.Context(), "Job", "code", map[string]any{"code": "NEW"})
			if frappe.CategoryOf(err) == frappe.RateLimited {
				// The site said no before doing anything, and a write is not
				// repeated behind the caller's back.
				in, err = write.Insert(t.Context(), "Job", "code", map[string]any{"code": "NEW"})
				if frappe.CategoryOf(err) == frappe.RateLimited {
					in, err = write.Insert(t.Context(), "Job", "code", map[string]any{"code": "NEW"})
				}
			}
			if err != nil || in.Name != "NEW" || s.Count("Job") != 101 {
				t.Errorf("writing: %+v, %v; %d documents, want 101", in, err, s.Count("Job"))
			}
		})
	}
}

// TestSiteLostAnswers: every kind of write, done by the site, its answer lost.
func TestSiteLostAnswers(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		c := s.writer(t)
		ctx := t.Context()
		lose := func() { s.Break(frappetest.Fault{Method: "POST", DropAnswer: true, Times: 1}) }
		lose()
		in, err := c.Insert(ctx, "Job", "code", map[string]any{"code": "A"})
		if err != nil || !in.Existing || s.Count("Job") != 1 {
			t.Errorf("insert: %+v, %v; %d documents", in, err, s.Count("Job"))
		}
		s.Break(frappetest.Fault{Method: "PUT", DropAnswer: true, Times: 1})
		modified, err := c.Update(ctx, "Job", "A", in.Modified, map[string]any{"status": "Done", "score": 1.5})
		if d := s.Doc("Job", "A"); err != nil || modified != d["modified"] || d["status"] != "Done" {
			t.Errorf("update: %q, %v; %v", modified, err, d)
		}
		lose()
		many, err := c.InsertMany(ctx, "Job", "code", []map[string]any{{"code": "B"}, {"code": "C"}, {"code": "A"}})
		if err != nil || s.Count("Job") != 3 || len(many) != 3 {
			t.Errorf("many: %+v, %v; %d documents", many, err, s.Count("Job"))
		}
		before := s.Count("File")
		lose()
		name, _, err := c.Upload(ctx, frappe.Attachment{Name: "a.pdf", Content: []byte("%PDF-1.4"), Doctype: "Job", Docname: "A"})
		if err != nil || name == "" || s.Count("File") != before+1 {
			t.Errorf("upload: %s, %v; %d files more", name, err, s.Count("File")-before)
		}
	})
}

// TestKillMidPage: a reader stopped in the middle goes on from its stored
// cursor without a gap.
func TestKillMidPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, frappetest.V15)
	fill(t, s, 300, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	c := s.readerClient(t)
	got := map[string]string{}
	var at frappe.Cursor
	kills := 0
	for {
		ctx, cancel := withCancel(t)
		s.AfterRequests(2, cancel)
		next, err := follow(ctx, c, frappe.ScanOptions{Since: at, PageSize: 25}, got)
		at = next
		if err == nil {
			break
		}
		if frappe.CategoryOf(err) != frappe.Cancelled {
			t.Fatal(err)
		}
		if kills++; kills > 50 {
			t.Fatal("no progress between kills")
		}
	}
	if kills == 0 {
		t.Error("nothing was killed")
	}
	if lost := missing(truth(s), got); lost != nil {
		t.Errorf("missed %v", lost)
	}
}

// TestSiteChurn changes the site after every page, as people and jobs do.
func TestSiteChurn(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		var tick atomic.Int64
		start := time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC)
		now := func() time.Time { return start.Add(time.Duration(tick.Add(1)) * 137 * time.Millisecond) }
		s.SetClock(now)
		fill(t, s, 600, start.Add(-48*time.Hour))
		r := rand.New(rand.NewPCG(1, 2))
		made := 0
		s.OnAnswer(func(frappetest.Request) {
			for range 6 {
				name := fmt.Sprintf("J%05d", r.IntN(600))
				if s.Doc("Job", name) == nil {
					continue
				}
				switch r.IntN(6) {
				case 0:
					if err := s.Delete("Job", name); err != nil {
						t.Error(err)
					}
				case 1: // committed late: the time has passed already
					made++
					m := frappe.FormatTime(now().Add(-time.Duration(r.IntN(25))*time.Minute), zone(t, "Europe/Berlin"))
					if _, err := s.InsertRaw("Job", map[string]any{"name": fmt.Sprint("LATE-", made), "code": fmt.Sprint("LATE-", made), "creation": m, "modified": m}); err != nil {
						t.Error(err)
					}
				default:
					if err := s.Set("Job", name, map[string]any{"subject": fmt.Sprint(r.Int())}); err != nil {
						t.Error(err)
					}
				}
			}
		})
		c := client(t, s.URL(), func(cfg *frappe.Config) {
			cfg.Key, cfg.Secret, cfg.Clock = frappe.Secret(s.reader[0]), frappe.Secret(s.reader[1]), func() time.Time { return start.Add(time.Hour) }
		})
		got := map[string]string{}
		berlin := zone(t, "Europe/Berlin")
		at, err := follow(t.Context(), c, frappe.ScanOptions{PageSize: 25}, got)
		if err != nil {
			t.Fatal(err)
		}
		s.Heal()
		if _, err := follow(t.Context(), c, frappe.ScanOptions{Since: at, Overlap: 30 * time.Minute, Zone: berlin}, got); err != nil {
			t.Fatal(err)
		}
		if lost := missing(truth(s), got); lost != nil {
			t.Errorf("missed %d of %d: %v", len(lost), s.Count("Job"), lost[:min(len(lost), 5)])
		}
	})
}

// TestSilentChanges: what moves no modified escapes a poll, by nature; the walk
// by name finds it, as it finds renames and deletions.
func TestSilentChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, frappetest.V15)
	fill(t, s, 120, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	c := s.readerClient(t)
	state := func() map[string]string {
		out := map[string]string{}
		for page, err := range c.Scan(t.Context(), "Job", frappe.ScanOptions{Fields: []string{"status"}, ByName: true, PageSize: 50}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Rows {
				out[r.Name()] = r.Modified() + " " + r.Text("status")
			}
		}
		return out
	}
	before := state()
	at, err := follow(t.Context(), c, frappe.ScanOptions{}, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetSilently("Job", "J00005", map[string]any{"status": "Done"}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteRaw("Job", "J00006"); err != nil {
		t.Fatal(err)
	}
	polled := map[string]string{}
	if _, err := follow(t.Context(), c, frappe.ScanOptions{Since: at}, polled); err != nil || len(polled) != 0 {
		t.Errorf("a poll sees %v, %v", polled, err)
	}
	after := state()
	var changed []string
	for name := range before {
		if after[name] != before[name] {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	if diff := cmp.Diff([]string{"J00005", "J00006"}, changed); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

// TestSitePermissionLost: the right goes while the stream is read.
func TestSitePermissionLost(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		fill(t, s, 100, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
		s.AfterRequests(2, func() {
			if err := s.Revoke("Job", "Reader"); err != nil {
				t.Error(err)
			}
		})
		c := s.readerClient(t)
		_, err := follow(t.Context(), c, frappe.ScanOptions{PageSize: 20}, map[string]string{})
		if frappe.CategoryOf(err) != frappe.Forbidden {
			t.Errorf("got %v, want forbidden", err)
		}
		if st := c.Stats(); st.KeyRefused || st.Breaker != "closed" {
			t.Errorf("a missing right was taken for a bad key or a sick site: %+v", st)
		}
	})
}

func TestSiteMaintenance(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, s *site) {
		s.Configure(map[string]any{"maintenance_mode": 1})
		c := s.readerClient(t)
		_, err := c.List(t.Context(), frappe.ListQuery{Doctype: "Job"})
		e := &frappe.Error{}
		if !asError(err, &e) || e.Category != frappe.Unavailable || e.Kind != "SessionStopped" || !e.Temporary() {
			t.Errorf("got %v, want maintenance named", err)
		}
	})
}

// TestSiteClockSkew: the site's clock is wrong, and is then put right.
func TestSiteClockSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		s := newSite(t, frappetest.V15)
		c := s.readerClient(t)
		s.OffsetClock(skew)
		if _, err := s.Insert("Job", map[string]any{"code": "A"}); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		o := frappe.ScanOptions{Overlap: 30 * time.Minute, Zone: zone(t, "Europe/Berlin")}
		at, err := follow(t.Context(), c, o, got)
		if err != nil {
			t.Fatal(err)
		}
		s.OffsetClock(0)
		if _, err := s.Insert("Job", map[string]any{"code": "B"}); err != nil {
			t.Fatal(err)
		}
		o.Since = at
		if _, err := follow(t.Context(), c, o, got); err != nil {
			t.Fatal(err)
		}
		if lost := missing(truth(s), got); lost != nil {
			t.Errorf("skew %v: missed %v", skew, lost)
		}
	}
}
