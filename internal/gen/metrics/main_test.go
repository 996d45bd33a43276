package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/prmsync/prmsync/metrics"
)

// What the page says is what a scrape of the whole fleet brings.
func TestThePageCountsWhatAScrapeBrings(t *testing.T) {
	t.Parallel()
	text, err := page()
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	if err := fleet(reg, partners, criteria, someone); err != nil {
		t.Fatal(err)
	}
	n := scraped(t, reg)
	if n > 15000 {
		t.Errorf("a scrape of %d partners brings %d series; 15000 is what we promise", partners, n)
	}
	if !strings.Contains(string(text), fmt.Sprintf(" | %d |\n", n)) || n == 0 {
		t.Errorf("a scrape brings %d series; the page ends with %s", n, text[len(text)-120:])
	}
	for _, m := range metrics.Catalogue() {
		if !strings.Contains(string(text), "| `"+m.Name+"` |") {
			t.Errorf("the page lacks %s", m.Name)
		}
	}
}

func scraped(t testing.TB, reg *prometheus.Registry) int {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	n := 0
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "prmsync_") {
			n++
		}
	}
	return n
}

// A scrape of two hundred partners, and the series in it.
func BenchmarkScrape(b *testing.B) {
	for _, criteria := range []int{45, 60} {
		b.Run(fmt.Sprint(criteria, "-criteria"), func(b *testing.B) {
			reg := prometheus.NewRegistry()
			if err := fleet(reg, partners, criteria, someone); err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				n = scraped(b, reg)
			}
			b.ReportMetric(float64(n), "series")
		})
	}
}
