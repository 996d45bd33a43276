package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/metrics"
)

var (
	labelValues = regexp.MustCompile(`^label_values\((prmsync_[a-z_]+)(?:\{[^}]*\})?, ?([a-z_]+)\)$`)
	braces      = regexp.MustCompile(`\{([^{}]*)\}`)
	matched     = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	grouped     = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	legend      = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}`)
	variable    = regexp.MustCompile(`\$[A-Za-z_]+`)
)

// usedLabels are the labels that a query or its legend names.
func usedLabels(expr, format string) []string {
	var out []string
	for _, b := range braces.FindAllStringSubmatch(expr, -1) {
		for _, m := range matched.FindAllStringSubmatch(b[1], -1) {
			out = append(out, m[1])
		}
	}
	for _, g := range grouped.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			out = append(out, strings.TrimSpace(l))
		}
	}
	for _, l := range legend.FindAllStringSubmatch(format, -1) {
		out = append(out, l[1])
	}
	return out
}

func TestUsedLabels(t *testing.T) {
	t.Parallel()
	got := usedLabels(`sum by (partner, le) (rate(a{site="x", kind=~"y"}[5m])) / on (team) b{}`, "{{rule}} and {{ severity }}")
	if want := []string{"site", "kind", "partner", "le", "team", "rule", "severity"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDashboardsUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	known, uids := map[string][]string{}, map[string]string{}
	for _, m := range metrics.Catalogue() {
		known[m.Name] = append([]string{}, m.Labels...)
		if m.Type == "histogram" {
			known[m.Name+"_bucket"] = append([]string{"le"}, m.Labels...)
		}
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
				Datasource         struct{ UID string }
				Targets            []struct {
					Expr, LegendFormat string
					Datasource         struct{ UID string }
				}
			}
			Templating struct {
				List []struct {
					Name, Type string
					Query      any
				}
			}
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if other, twice := uids[d.UID]; twice || d.UID == "" || d.Title == "" || len(d.Panels) == 0 {
			t.Errorf("%s: uid %q (also %q), title %q, %d panels", file, d.UID, other, d.Title, len(d.Panels))
		}
		uids[d.UID] = file
		vars := map[string]bool{}
		for _, v := range d.Templating.List {
			vars["$"+v.Name] = true
			query, _ := v.Query.(map[string]any)
			if v.Type != "query" {
				continue
			}
			m := labelValues.FindStringSubmatch(fmt.Sprint(query["query"]))
			if m == nil || !slices.Contains(known[m[1]], m[2]) {
				t.Errorf("%s: variable %s asks for no label of ours: %v", file, v.Name, v.Query)
			}
		}
		if !vars["$datasource"] {
			t.Errorf("%s: the reader cannot choose the data source", file)
		}
		for _, p := range d.Panels {
			if p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: panel %q lacks a title, a description or a query, or does not fit", file, p.Title)
			}
			for _, q := range p.Targets {
				names := metricName.FindAllString(q.Expr, -1)
				if len(names) == 0 {
					t.Errorf("%s: %q uses no metric of ours: %s", file, p.Title, q.Expr)
				}
				var has []string // labels of every metric in the query
				for i, n := range names {
					labels, ok := known[n]
					if !ok {
						t.Errorf("%s: %q uses %s, which is not exported", file, p.Title, n)
					}
					if i == 0 {
						has = slices.Clone(labels)
					}
					has = slices.DeleteFunc(has, func(l string) bool { return !slices.Contains(labels, l) })
				}
				for _, l := range usedLabels(q.Expr, q.LegendFormat) {
					if !slices.Contains(has, l) {
						t.Errorf("%s: %q uses the label %s, which %v do not have", file, p.Title, l, names)
					}
				}
				for _, v := range variable.FindAllString(q.Expr, -1) {
					if !vars[v] && v != "$__rate_interval" {
						t.Errorf("%s: %q uses the variable %s, which is not there", file, p.Title, v)
					}
				}
				if q.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}" {
					t.Errorf("%s: %q is bound to the data source %q", file, p.Title, q.Datasource.UID)
				}
			}
		}
	}
}
