package main

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules/plan"
)

// gauges are the exported values about partners, by series; counters begin anew
// with the process and are left out.
func gauges(t *testing.T, w *works) map[string]float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if m.GetGauge() != nil && slices.ContainsFunc(labels, func(l string) bool { return strings.HasPrefix(l, "partner=") }) {
				out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}

// status tells at a glance how all stand; a restart blanks no value and resolves no alert, before anything was read again.
func TestARestartBlanksNothing(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}
	w, world := newWorks(t, c)
	once(t, w)
	if err := memberOf(t, world, "cinderpeak").Site.Revoke("Sales Invoice", "PMM Evidence Reader"); err != nil {
		t.Fatal(err)
	}
	c.add(time.Hour) // rights are looked at anew
	once(t, w)
	c.add(11 * time.Minute) // what is lost, and a dead site, is held down for ten
	once(t, w)
	statusAtAGlance(t, w)
	before := gauges(t, w)
	again, err := demoWorks(t.Context(), w.store, world, slog.New(slog.DiscardHandler), c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	if n := len(gauges(t, again)); n != 0 {
		t.Fatalf("a new process shows %d values before it looked into the store", n)
	}
	release := make(chan struct{}) // until then nobody answers
	wait := frappetest.Fault{Hook: func(*frappetest.Site, frappetest.Request) { <-release }}
	world.PRM.Break(wait)
	for _, m := range world.Members {
		if m.Site != nil {
			m.Site.Break(wait)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- again.daemon.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); len(gauges(t, again)) < len(before) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	after := gauges(t, again)
	close(release)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// What the last answers said of the connection is not kept.
	for k := range maps.Clone(before) {
		if strings.HasPrefix(k, "prmsync_site_clock_skew") || strings.HasPrefix(k, "prmsync_site_breaker") || strings.HasPrefix(k, "prmsync_site_last_success") {
			delete(before, k)
			delete(after, k)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after the restart (-before +after):\n%s", diff)
	}
	// What was never allowed was not lost.
	for k := range after {
		if strings.Contains(k, "rule=permission_lost") && !strings.Contains(k, "partner=cinderpeak") {
			t.Errorf("%s fires", k)
		}
	}
	for _, want := range []string{"prmsync_alert_firing{partner=cinderpeak,rule=permission_lost,severity=Warning}", "prmsync_alert_firing{partner=dunmore,rule=site_down,severity=Critical}", "prmsync_site_up{partner=dunmore,site=erp}", "prmsync_ncs_open{partner=cinderpeak}", "prmsync_escalations{partner=cinderpeak,status=Received}"} {
		if _, ok := after[want]; !ok {
			t.Errorf("%s is not there", want)
		}
	}
}

// A partner that is taken from the configuration is gone from the metrics with the
// reload, and the others stay.
func TestARemovedPartnerIsNoLongerExported(t *testing.T) {
	t.Parallel()
	w, world := newWorks(t, &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)})
	once(t, w)
	of := func(key string) (n int) {
		for k := range gauges(t, w) {
			if strings.Contains(k, "partner="+key+",") || strings.Contains(k, "partner="+key+"}") {
				n++
			}
		}
		return n
	}
	if of("amberline") == 0 || of("brackwater") == 0 {
		t.Fatal("the partners are not exported")
	}
	stays := of("brackwater")
	var partners []daemon.Partner
	for _, p := range w.daemon.Keys() {
		if p != "amberline" {
			partners = append(partners, daemon.Partner{Facts: plan.PartnerFacts{Key: p, Name: p}, Sites: []daemon.PartnerSite{{Key: "erp"}}, Spec: "1h", Schedule: func(after time.Time) time.Time { return after.Add(time.Hour) }})
		}
	}
	// A cycle of it is under way.
	asked, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	memberOf(t, world, "amberline").Site.Break(frappetest.Fault{Hook: func(*frappetest.Site, frappetest.Request) {
		first.Do(func() { close(asked) })
		<-release
	}})
	cycle := make(chan error, 1)
	go func() { cycle <- w.daemon.Cycle(t.Context(), "amberline") }()
	<-asked
	if err := w.daemon.Reload(t.Context(), partners); err != nil {
		t.Fatal(err)
	}
	if n := of("amberline"); n != 0 {
		t.Errorf("%d series of a partner that was removed", n)
	}
	if n := of("brackwater"); n != stays {
		t.Errorf("%d series of one that stays, of %d", n, stays)
	}
	close(release)
	if err := <-cycle; err != nil {
		t.Error(err)
	}
	if n := of("amberline"); n != 0 {
		t.Errorf("the cycle that was under way brought %d series back", n)
	}
}

func memberOf(t *testing.T, world *demo.World, key string) *demo.Member {
	t.Helper()
	for _, m := range world.Members {
		if m.Key == key {
			return m
		}
	}
	t.Fatalf("the demo has no partner %s", key)
	return nil
}

// The terminal says in its first line whether all is well, and what is urgent before
// what is not.
func statusAtAGlance(t *testing.T, w *works) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"status"}, envconfig.MapLookuper(map[string]string{"PRMSYNC_DATABASE_URL": "sqlite:" + w.store.Name()}), &out, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	got := out.String()
	if first, _, _ := strings.Cut(got, "\n"); !strings.HasPrefix(first, "6 partners: 1 all well, 3 fail something, 3 not fully known. ") || !strings.Contains(first, " 1 critical. The oldest verdict is ") {
		t.Errorf("the first line is %q", first)
	}
	critical, warning := strings.Index(got, "Critical site_down"), strings.Index(got, "Warning kickoff_late")
	if critical < 0 || warning < critical || strings.Count(got, "Warning kickoff_late") != 1 || !strings.Contains(got, "; and 5") {
		t.Errorf("alerts are not in order, or not together:\n%s", got)
	}
}
