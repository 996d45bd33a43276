package daemon_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/store"
)

// BenchmarkDrain sends what 200 partners have queued while the PRM was away,
// 5,000 changes, to a site that takes 20 ms for each request. floor is the time
// that the site alone would need with two requests in flight all the time.
func BenchmarkDrain(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		c := newCrowd(b, 200, aPack)
		c.judge.figures(22)
		heal := c.site.Break(frappetest.Fault{Status: http.StatusBadGateway})
		c.once(0)
		heal()
		c.site.Break(frappetest.Fault{Latency: frappetest.Duration{Duration: 20 * time.Millisecond}})
		c.pass(time.Hour)
		c.taken()
		queued := c.open(store.Waiting)
		b.StartTimer()
		began := time.Now()
		if err := c.d.Deliver(b.Context()); err != nil {
			b.Fatal(err)
		}
		wall := time.Since(began)
		b.StopTimer()
		if n := c.open(store.Waiting); n != 0 || queued < 5000 {
			b.Fatalf("%d of %d changes still wait", n, queued)
		}
		var busy time.Duration
		requests := c.site.Requests()
		for _, r := range requests {
			busy += r.Took
		}
		floor := busy / 2
		b.ReportMetric(float64(queued), "changes/op")
		b.ReportMetric(float64(len(requests)), "requests/op")
		b.ReportMetric(floor.Seconds(), "floor-s/op")
		b.ReportMetric(wall.Seconds()/floor.Seconds(), "wall/floor")
		b.StartTimer()
	}
}
