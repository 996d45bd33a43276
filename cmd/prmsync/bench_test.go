package main

import (
	"testing"
	"time"

	"github.com/prmsync/prmsync/internal/frappetest"
)

// BenchmarkIdleCycle is one cycle of the demo's sites in which nothing has
// changed, with 30 ms for each answer of a site.
func BenchmarkIdleCycle(b *testing.B) {
	c := &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}
	w, world := newWorks(b, c)
	once(b, w)
	requests := 0
	for _, m := range world.Members {
		if m.Site != nil {
			m.Site.Break(frappetest.Fault{Latency: frappetest.Duration{Duration: 30 * time.Millisecond}})
			m.Site.ResetRequests()
		}
	}
	for b.Loop() {
		c.add(time.Minute)
		once(b, w)
	}
	for _, m := range world.Members {
		if m.Site != nil {
			requests += len(m.Site.Requests())
		}
	}
	b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
}

// BenchmarkFirstCycle is the demo's first cycle: everything is read, judged and
// written to a provisioned PRM.
func BenchmarkFirstCycle(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w, _ := newWorks(b, &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)})
		b.StartTimer()
		once(b, w)
	}
}
