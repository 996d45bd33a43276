package metrics_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/metrics"
)

func TestDashboardsUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	known, uids := map[string]bool{}, map[string]string{}
	for _, m := range metrics.Catalogue() {
		known[m.Name] = true
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			UID, Title string
			Panels     []struct {
				Title, Description string
				GridPos            struct{ X, W int }
				Targets            []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if other, twice := uids[d.UID]; twice || d.UID == "" || d.Title == "" || len(d.Panels) == 0 {
			t.Errorf("%s: uid %q (also %q), title %q, %d panels", file, d.UID, other, d.Title, len(d.Panels))
		}
		uids[d.UID] = file
		for _, p := range d.Panels {
			if p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: panel %q lacks a title, a description or a query, or does not fit", file, p.Title)
			}
			for _, q := range p.Targets {
				names := metricName.FindAllString(q.Expr, -1)
				if len(names) == 0 {
					t.Errorf("%s: %q uses no metric of ours: %s", file, p.Title, q.Expr)
				}
				for _, n := range names {
					if !known[n] && !known[strings.TrimSuffix(n, "_bucket")] {
						t.Errorf("%s: %q uses %s, which is not exported", file, p.Title, n)
					}
				}
			}
		}
	}
}
