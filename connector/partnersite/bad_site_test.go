package partnersite_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
)

func TestBadInputFromASite(t *testing.T) {
	t.Parallel()
	b := stock(t, frappetest.V15, []string{"erpnext"})
	million := strings.Repeat("x", 1<<20)
	b.insert("Task", map[string]any{"name": "HTML", "subject": "<script>alert(1)</script> <b>bold</b>", "status": "Open"})
	b.insert("Task", map[string]any{"name": "YEAR-1", "subject": "y", "status": "Open", "exp_end_date": "0001-01-01", "creation": "0001-01-01 00:00:00", "modified": "2026-11-01 00:00:00"})
	b.insert("Task", map[string]any{"name": "YEAR-9999", "subject": "y", "status": "Open", "exp_end_date": "9999-12-31", "creation": "9999-12-31 23:59:59.999999", "modified": "2026-11-02 00:00:00"})
	b.insert("Task", map[string]any{"name": "A", "subject": "cycle", "status": "Open", "parent_task": "B", "depends_on_tasks": "B,"})
	b.insert("Task", map[string]any{"name": "B", "subject": "cycle", "status": "Open", "parent_task": "A", "depends_on_tasks": "A,"})
	b.insert("Task", map[string]any{"name": "WIDE", "subject": "wide", "status": "Open", "depends_on_tasks": strings.Repeat("TASK-0001,", 100_000)})
	b.insert("Non Conformance", map[string]any{"name": "LONG-1", "subject": "long", "status": "Open", "details": "<p>" + million + "1</p>"})
	b.insert("Non Conformance", map[string]any{"name": "LONG-2", "subject": "long", "status": "Open", "details": "<p>" + million + "2</p>"})
	for i := range 1000 {
		b.insert("Project", map[string]any{"name": fmt.Sprintf("PROJ-%04d", i), "project_name": "The Same", "status": "Completed"})
	}
	for _, odd := range []string{"a/b", "100% done", "O'Keeffe & Söhne", "日本 🤖", `quote"d`, "trailing/", "x.html"} {
		b.insert("Quality Goal", map[string]any{"name": odd, "goal": odd, "objectives": []map[string]any{{"objective": "o", "target": "1"}}})
	}
	r := b.poll()
	for _, g := range r.Gaps {
		if g.Stream == "Task" || g.Stream == "Project" || g.Stream == "Quality Goal" || g.Stream == "Non Conformance" {
			t.Errorf("gap %+v", g)
		}
	}
	tasks := b.memory.live("Task")
	if len(tasks) != 6 || len(b.memory.live("Project")) != 1000 || len(b.memory.live("Quality Goal")) != 7 {
		t.Errorf("%d tasks, %d projects, %d goals; want 6, 1000, 7", len(tasks), len(b.memory.live("Project")), len(b.memory.live("Quality Goal")))
	}
	for name, g := range b.memory.live("Quality Goal") {
		if rows, _ := g.Fields["objectives"].([]any); len(rows) != 1 {
			t.Errorf("goal %q: %d objectives, want 1", name, len(rows))
		}
	}
	if d := tasks["YEAR-1"]; d.Fields["exp_end_date"] != "0001-01-01" || d.Created.Year() > 1 {
		t.Errorf("year 1: %+v", d)
	}
	for _, d := range tasks {
		if j, err := json.Marshal(d); err != nil || len(j) > 200<<10 {
			t.Errorf("%s: %d bytes of JSON, %v", d.Name, len(j), err)
		}
	}
	one, two := b.memory.live("Non Conformance")["LONG-1"], b.memory.live("Non Conformance")["LONG-2"]
	if a, z := one.Fields["details"].(string), two.Fields["details"].(string); len(a) > 2000 || a == z {
		t.Errorf("long texts are %d bytes; equal: %v; want short and different", len(a), a == z)
	}
	b.later(time.Hour)
	b.scan() // by name, over all the odd ones
	if b.memory.commits != len(b.memory.versions) {
		t.Errorf("a comparison made new versions of records that did not change")
	}
}

// A site that answers nonsense makes a gap, never a half-read stream.
func TestNonsenseInsteadOfAList(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]frappetest.Fault{
		"a page at status 200": {Path: "/api/resource/Issue", HTML: true},
		"half an answer":       {Path: "/api/resource/Issue", Cut: -1},
		"no UTF-8":             {Path: "/api/resource/Issue", BadUTF8: true},
		"nested too deep":      {Path: "/api/resource/Issue", Deep: 10_000},
		"an internal error":    {Path: "/api/resource/Issue", Status: 500},
	} {
		b := polled(t)
		heal := b.site.Break(f)
		b.later(time.Hour)
		r := b.poll()
		g := gapsOf(r, "Issue")
		if len(g) != 1 || g[0] != evidence.Unreachable && g[0] != evidence.Unauthorized {
			t.Errorf("%s: gaps %v, want one", name, g)
		}
		if len(b.memory.live("Issue")) != 45 {
			t.Errorf("%s: %d tickets are held, want 45", name, len(b.memory.live("Issue")))
		}
		heal()
		b.later(time.Hour)
		if g := gapsOf(b.poll(), "Issue"); len(g) != 0 {
			t.Errorf("%s: gaps %v after it is healed", name, g)
		}
	}
}

// Whatever stands in a field, what is kept of it is short, valid and the same
// each time.
func TestAnythingInARowStaysSmall(t *testing.T) {
	t.Parallel()
	b := stock(t, frappetest.V15, []string{"erpnext"})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		name := fmt.Sprintf("NC-%d", n)
		text := rapid.String().Draw(rt, "text")
		b.insert("Non Conformance", map[string]any{"name": name, "subject": text, "details": text, "status": rapid.String().Draw(rt, "status")})
		if n%25 != 0 {
			return
		}
		b.poll()
		for _, d := range b.memory.live("Non Conformance") {
			for f, v := range d.Fields {
				if s, ok := v.(string); ok && (!utf8.ValidString(s) || utf8.RuneCountInString(s) > 320) {
					rt.Fatalf("%s of %s: %q", f, d.Name, s)
				}
			}
		}
	})
	b.later(tomorrow)
	b.scan()
	for k, vs := range b.memory.versions {
		if len(vs) != 1 {
			t.Errorf("%s %s has %d versions", k.Doctype, k.Name, len(vs))
		}
	}
}
