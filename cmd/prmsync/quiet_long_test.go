//go:build long

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/internal/demo"
)

// TestAQuietDay lets the sites of the demo stand still for a day, in which time
// alone passes: no form that people have open is written twice.
func TestAQuietDay(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Date(2026, 11, 24, 0, 5, 0, 0, time.UTC)}
	w, world := newWorks(t, c)
	once(t, w)
	c.add(15 * time.Minute)
	once(t, w) // sees what people and the first cycle wrote
	world.PRM.ResetRequests()
	written := map[string]int{}
	for range 24 {
		c.add(time.Hour)
		once(t, w)
		for _, doc := range puts(world) {
			written[doc]++
		}
		world.PRM.ResetRequests()
	}
	for doc, n := range written {
		if n > 1 && (strings.HasPrefix(doc, "PMM Partner/") || strings.HasPrefix(doc, "PMM Assessment/")) {
			t.Errorf("%s was written %d times in a day without news", doc, n)
		}
	}
}

// puts are the documents on the PRM that were written to.
func puts(world *demo.World) []string {
	var out []string
	for _, r := range world.PRM.Requests() {
		if r.Method != http.MethodGet {
			out = append(out, strings.TrimPrefix(r.Path, "/api/resource/"))
		}
	}
	return out
}
