package frappetest_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/internal/frappetest"
)

func generated(t testing.TB, p frappetest.Partner) (*frappetest.Site, frappetest.Credentials) {
	t.Helper()
	s := frappetest.New(t, frappetest.SiteOptions{TimeZone: "Europe/Berlin"})
	p.End = time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	c, err := s.Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestGeneratedPartnersAreBelievable(t *testing.T) {
	t.Parallel()
	late := func(p frappetest.Partner) (share float64, tasks int) {
		s, _ := generated(t, p)
		overdue, due := 0, 0
		for _, d := range s.Docs("Task") {
			if end, _ := d["exp_end_date"].(string); end < "2026-11-20" && end > "2026-10-06" {
				due++
				if d["status"] == "Overdue" {
					overdue++
				}
			}
			if d["status"] == "Completed" && d["completed_on"] == nil {
				t.Errorf("%v is completed without a date", d["name"])
			}
		}
		return float64(overdue) / float64(max(1, due)), s.Count("Task")
	}
	good, n := late(frappetest.Healthy)
	bad, _ := late(frappetest.Failing)
	if good > 0.2 || bad < 0.4 || n < 120 || n > 180 {
		t.Errorf("%d tasks; late: healthy %.2f, failing %.2f", n, good, bad)
	}
	s, reader := generated(t, frappetest.Healthy)
	for _, dt := range []string{"Project", "Customer", "Issue", "Sales Invoice", "Quality Review", "Quality Meeting", "Communication", "File", "Training Event", "Employee"} {
		if s.Count(dt) == 0 {
			t.Errorf("no %s", dt)
		}
	}
	st, body := get(t, s, reader.Key+":"+reader.Secret, `/api/resource/Task?fields=["name","status"]&limit_page_length=0`)
	var out struct{ Data []any }
	if err := json.Unmarshal([]byte(body), &out); err != nil || st != 200 || len(out.Data) != s.Count("Task") {
		t.Errorf("the reader lists %d of %d tasks, status %d", len(out.Data), s.Count("Task"), st)
	}
	if st, body := get(t, s, reader.Key+":"+reader.Secret, "/api/resource/Payment Entry"); st != 403 {
		t.Errorf("the reader opens Payment Entry: %d %s", st, body)
	}
}

func TestSameSeedSamePartner(t *testing.T) {
	t.Parallel()
	p := frappetest.Failing
	p.Seed = 7
	a, _ := generated(t, p)
	b, _ := generated(t, p)
	p.Seed = 8
	c, _ := generated(t, p)
	if diff := cmp.Diff(a.Docs("Task"), b.Docs("Task")); diff != "" {
		t.Errorf("one seed, two histories:\n%s", diff)
	}
	if cmp.Equal(a.Docs("Task"), c.Docs("Task")) {
		t.Error("two seeds give one history")
	}
}

func TestStoredTypesOfAGeneratedSite(t *testing.T) {
	t.Parallel()
	s, _ := generated(t, frappetest.Healthy)
	dir := t.TempDir()
	if err := s.SaveDir(dir); err != nil {
		t.Fatal(err)
	}
	again := frappetest.New(t)
	if err := again.LoadFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, dt := range []string{"Task", "Issue", "Sales Invoice", "Quality Review"} {
		for i, d := range again.Docs(dt) {
			if diff := cmp.Diff(s.Docs(dt)[i]["modified"], d["modified"]); diff != "" {
				t.Fatalf("%s %v: %s", dt, d["name"], diff)
			}
			if i > 20 {
				break
			}
		}
	}
}

func BenchmarkGenerate20k(b *testing.B) {
	p := frappetest.Healthy
	p.Tasks = 20_000
	for b.Loop() {
		s, _ := generated(b, p)
		if n := s.Count("Task"); n < 19_000 {
			b.Fatal(n)
		}
	}
}
