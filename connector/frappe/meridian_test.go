package frappe_test

import (
	"encoding/json"
	"io/fs"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/internal/frappetest/sites"
)

// TestMeridian reads a real site's documents whole, as the evidence reader who
// may see only a part of them: every stream is complete or refused by name,
// every time in it can be read, and what is hidden shows by the counts.
func TestMeridian(t *testing.T) {
	t.Parallel()
	s := frappetest.New(t, frappetest.SiteOptions{})
	if err := s.LoadFS(sites.Meridian()); err != nil {
		t.Fatal(err)
	}
	c := client(t, s.URL(), func(cfg *frappe.Config) {
		cfg.Key, cfg.Secret, cfg.ServerSeconds = "meridian-reader", "meridian-reader-secret", 100
	})
	ctx := t.Context()
	loc, err := c.Locale(ctx)
	if err != nil || loc.Zone.String() != "Europe/Berlin" || loc.DateFormat != "dd.mm.yyyy" {
		t.Fatalf("Locale = %v, %v", loc, err)
	}
	text, err := fs.ReadFile(sites.Meridian(), "counts.json")
	if err != nil {
		t.Fatal(err)
	}
	var counts map[string]int
	if err := json.Unmarshal(text, &counts); err != nil {
		t.Fatal(err)
	}
	read, refused, times := 0, 0, 0
	for doctype, n := range counts {
		meta, err := c.Meta(ctx, doctype)
		if err != nil || meta.Single || n == 0 {
			continue
		}
		var fields []string
		for _, f := range meta.Fields {
			switch f.Type {
			case "Date", "Datetime", "Time":
				fields = append(fields, f.Name)
			}
		}
		rows := 0
		for page, err := range c.Scan(ctx, doctype, frappe.ScanOptions{Fields: with(fields, "creation"), PageSize: 37}) {
			if frappe.CategoryOf(err) == frappe.Forbidden {
				refused++
				rows = -1
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", doctype, err)
			}
			rows += len(page.Rows)
			for _, r := range page.Rows {
				for _, f := range append(fields, "creation", "modified") {
					df, _ := meta.Field(f)
					if err := readable(df.Type, r.Text(f), loc.Zone); err != nil {
						t.Errorf("%s %s: %s %q: %v", doctype, r.Name(), f, r.Text(f), err)
					}
					times++
				}
			}
		}
		if rows < 0 {
			continue
		}
		read += rows
		seen, all, err := c.Hidden(ctx, doctype)
		if err != nil || seen != rows {
			t.Errorf("%s: %d rows read, %d counted (%v)", doctype, rows, seen, err)
		}
		if doctype == "Task" && (rows != n || all != n) {
			t.Errorf("Task: %d of %d rows, %d in all", rows, n, all)
		}
		if doctype == "Event" && all < seen {
			t.Errorf("Event: %d seen of %d", seen, all)
		}
	}
	if read < 800 || refused == 0 || times < 2000 {
		t.Errorf("read %d rows with %d times, %d doctypes refused: the site was not really read", read, times, refused)
	}
}

func with(fields []string, more ...string) []string {
	return append(append([]string{}, fields...), more...)
}

func readable(fieldtype, text string, zone *time.Location) error {
	var err error
	switch {
	case text == "":
	case fieldtype == "Date":
		_, err = time.Parse(time.DateOnly, text)
	case fieldtype == "Time":
		_, err = frappe.ParseClock(text)
	default:
		_, err = frappe.ParseTime(text, zone)
	}
	return err
}
