//go:build e2e

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/store"
)

// faster divides every duration of the shipped rules and of the Alertmanager
// example: a hold-down of ten minutes takes half a second.
const faster = 1200

var duration = regexp.MustCompile(`(for|interval|group_wait|group_interval|repeat_interval): (\d+)([smhd])\b`)

func hurry(text []byte) []byte {
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	return duration.ReplaceAllFunc(text, func(m []byte) []byte {
		p := duration.FindSubmatch(m)
		n, err := strconv.Atoi(string(p[2]))
		if err != nil {
			panic(err)
		}
		return fmt.Appendf(nil, "%s: %dms", p[1], max(time.Duration(n)*unit[string(p[3])]/faster, 25*time.Millisecond).Milliseconds())
	})
}

// pager collects what Alertmanager sends.
type pager struct {
	mu   sync.Mutex
	seen map[string]int // "receiver status alert partner"
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Receiver string
		Alerts   []struct {
			Status string
			Labels map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range body.Alerts {
		p.seen[strings.Join([]string{body.Receiver, a.Status, a.Labels["alertname"], a.Labels["partner"]}, " ")]++
	}
}

func (p *pager) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.seen))
}

// A partner's tasks fall overdue and another's site dies: a person is told of
// both and of nothing that follows from the dead site; then of both recoveries.
// Prometheus and Alertmanager are real.
func TestAPersonIsPaged(t *testing.T) {
	world, err := demo.NewWorld(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	log := slog.New(slog.DiscardHandler)
	if err := provisionDemo(t.Context(), world, &bytes.Buffer{}, log); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	w, err := demoWorks(t.Context(), st, world, log, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	once(t, w)

	const dead, late = "brackwater", "amberline"
	heal := memberOf(t, world, dead).Site.Break(frappetest.Fault{Reset: true})
	target := runDaemon(t, w)
	eventually(t, "the dead site is seen", time.Minute, func() bool {
		p, ok := w.metrics.Partner(dead)
		return ok && !p.Sites["erp"].Up
	})

	hook := &pager{seen: map[string]int{}}
	alertmanager, prometheus := startPaging(t, target, hook)
	told := func(want ...string) func() bool {
		return func() bool {
			got := hook.got()
			return !slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(got, s) })
		}
	}
	eventually(t, "the dead site is told of", time.Minute, told("page firing PrmsyncSiteDown "+dead))
	if told("mail firing PrmsyncTasksOverdue " + late)() {
		t.Errorf("a person was told of tasks of %s that are not overdue yet", late)
	}
	finish := burden(t, memberOf(t, world, late))
	eventually(t, "the late tasks are told of", time.Minute, told("mail firing PrmsyncTasksOverdue "+late))
	// What follows from the dead site fires too, and is held back.
	var held []string
	eventually(t, "alerts are inhibited", time.Minute, func() bool {
		held = inhibited(t, alertmanager, dead)
		return slices.Contains(held, "PrmsyncReportMissing") && slices.Contains(held, "PrmsyncCriterionNotMet")
	})
	everyPanelHasData(t, prometheus, []string{late, dead, "cinderpeak", "eastgate"})
	// Of these two partners a person was told the right two things and no other,
	// except that a criterion of the late one is no longer met, and that the other
	// asked for an audit without a level, which has nothing to do with its site.
	var of []string
	for _, got := range hook.got() {
		f := strings.Fields(got)
		if f[3] == dead && f[2] != "PrmsyncProgramme" || f[3] == late && f[2] != "PrmsyncCriterionNotMet" {
			of = append(of, got)
		}
	}
	if want := []string{"mail firing PrmsyncTasksOverdue " + late, "page firing PrmsyncSiteDown " + dead}; !slices.Equal(of, want) {
		t.Errorf("a person was told %v, want %v", of, want)
	}

	heal()
	finish()
	eventually(t, "both recoveries arrive", 3*time.Minute, told("page resolved PrmsyncSiteDown "+dead, "mail resolved PrmsyncTasksOverdue "+late))
	t.Logf("inhibited: %v; told: %v", held, hook.got())
}

// burden gives every open task of a partner's projects two more that are overdue;
// finish completes them.
func burden(t *testing.T, m *demo.Member) (finish func()) {
	t.Helper()
	var names []string
	day := func(ago int) string { return time.Now().AddDate(0, 0, -ago).Format(time.DateOnly) }
	for _, d := range m.Site.Docs("Task") {
		project, _ := d["project"].(string)
		if project == "" || d["status"] == "Completed" || d["status"] == "Cancelled" || d["status"] == "Template" {
			continue
		}
		for range 2 {
			name, err := m.Site.Insert("Task", map[string]any{
				"subject": "Late", "project": project, "status": "Overdue", "exp_start_date": day(20), "exp_end_date": day(10),
			})
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s has no open task", m.Key)
	}
	return func() {
		for _, name := range names {
			if err := m.Site.Set("Task", name, map[string]any{"status": "Completed", "completed_on": day(0)}); err != nil {
				t.Error(err)
			}
		}
	}
}

// runDaemon runs the daemon and its server until the test ends, and returns the
// server's address.
func runDaemon(t *testing.T, w *works) string {
	t.Helper()
	srv := &daemon.Servers{Listen: "127.0.0.1:0", Probe: "127.0.0.1:0", Gatherer: w.registry, Ready: w.daemon.Ready}
	if err := srv.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.daemon.Run(ctx) })
	wg.Go(func() { _ = srv.Serve(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return strings.TrimPrefix(srv.URL(), "http://")
}

// startPaging starts both with the shipped rules and the shipped example, and
// returns their addresses.
func startPaging(t *testing.T, target string, hook http.Handler) (alertmanager, prometheus string) {
	t.Helper()
	receiver := httptest.NewServer(hook)
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	shipped := func(name string) []byte {
		b, err := metrics.Rules.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return hurry(b)
	}
	am, prom := freePort(t), freePort(t)
	for name, text := range map[string][]byte{
		"rules.yaml":        shipped("rules/prmsync.yaml"),
		"alertmanager.yaml": bytes.ReplaceAll(shipped("alertmanager.example.yaml"), []byte("http://127.0.0.1:9099"), []byte(receiver.URL)),
		"prometheus.yaml": fmt.Appendf(nil, `global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ['%s']}]}]}
scrape_configs: [{job_name: prmsync, static_configs: [{targets: ['%s']}]}]
`, am, target),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	launch(t, "prometheus-alertmanager", "--config.file="+dir+"/alertmanager.yaml", "--storage.path="+dir+"/am", "--web.listen-address="+am, "--cluster.listen-address=", "--log.level=warn")
	launch(t, "prometheus", "--config.file="+dir+"/prometheus.yaml", "--storage.tsdb.path="+dir+"/prom", "--web.listen-address="+prom, "--rules.alert.resend-delay=1s", "--log.level=warn")
	for _, url := range []string{"http://" + am + "/-/ready", "http://" + prom + "/-/ready"} {
		eventually(t, url, time.Minute, func() bool {
			resp, err := http.Get(url)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	}
	return "http://" + am, "http://" + prom
}

// launch runs a program until the test ends; what it says is shown when the test fails.
func launch(t *testing.T, name string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v; install Debian's package of that name", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %.4000s", name, said.String())
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v: %.300s", url, err, b)
	}
}

// inhibited are the partner's alerts that Alertmanager holds back.
func inhibited(t *testing.T, alertmanager, partner string) []string {
	t.Helper()
	var all []struct {
		Labels map[string]string
		Status struct {
			State       string
			InhibitedBy []string
		}
	}
	getJSON(t, alertmanager+"/api/v2/alerts", &all)
	var out []string
	for _, a := range all {
		if a.Labels["partner"] == partner && a.Status.State == "suppressed" && len(a.Status.InhibitedBy) > 0 {
			out = append(out, a.Labels["alertname"])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// everyPanelHasData asks Prometheus each query of the dashboards.
func everyPanelHasData(t *testing.T, prometheus string, partners []string) {
	t.Helper()
	files, err := filepath.Glob("../../metrics/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	asked := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				asked++
				if !slices.ContainsFunc(partners, func(key string) bool {
					return answers(t, prometheus, strings.NewReplacer("$partner", key, "$__rate_interval", "1m").Replace(q.Expr))
				}) {
					t.Errorf("%s: %q has no data: %s", filepath.Base(file), p.Title, q.Expr)
				}
			}
		}
	}
	t.Logf("%d queries of dashboards", asked)
}

func answers(t *testing.T, prometheus, expr string) bool {
	t.Helper()
	var r struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	getJSON(t, prometheus+"/api/v1/query?query="+url.QueryEscape(expr), &r)
	if r.Status != "success" {
		t.Errorf("%s: %s", expr, r.Error)
	}
	return len(r.Data.Result) > 0
}
