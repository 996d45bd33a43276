package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/store"
)

// recorded is the folder of the partner whose documents were recorded on a live
// site.
const recorded = "../../internal/frappetest/sites/meridian"

// TestMain lets a test run the whole program in a process of its own, to be
// killed there.
func TestMain(m *testing.M) {
	if os.Getenv("PRMSYNC_TEST_AS_PROGRAM") != "" {
		os.Exit(run(context.Background(), os.Args[1:], envconfig.OsLookuper(), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func decode[T any](t *testing.T, b []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %.300s", err, b)
	}
	return v
}

func TestDemoDoesTheWholeJob(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--once", "--json", "--data", recorded}, envconfig.MapLookuper(nil), &stdout, &stderr); code != exitOK {
		t.Fatalf("demo = %d, want 0; stderr: %s", code, &stderr)
	}
	doc := decode[cycleDocument](t, stdout.Bytes())
	if doc.PRM.Created == 0 || doc.PRM.Requests == 0 {
		t.Errorf("prm = %+v, want records created", doc.PRM)
	}
	got := map[string]rules.Report{}
	for _, r := range doc.Partners {
		got[r.Partner] = r
	}
	if len(got) != 7 {
		t.Fatalf("%d partners, want the six of the demo and the recorded one", len(got))
	}
	if r := got["amberline"]; r.LevelLow < 4 {
		t.Errorf("the healthy partner's level is %d to %d, want 4 at least: %s", r.LevelLow, r.LevelHigh, openOf(r))
	}
	if r := got["brackwater"]; r.LevelHigh > 2 {
		t.Errorf("the failing partner's level is %d to %d, want 2 at most", r.LevelLow, r.LevelHigh)
	}
	for _, v := range got["dunmore"].Verdicts {
		if v.Outcome == rules.NotMet {
			t.Errorf("%s is %s for a site that never answered", v.Criterion, v.Outcome)
		}
	}
	for _, v := range got["eastgate"].Verdicts {
		if v.Outcome == rules.NotMet {
			t.Errorf("%s is %s where only rights are missing: %s", v.Criterion, v.Outcome, v.Explanation)
		}
	}
	for _, v := range got["foxglove"].Verdicts {
		if v.Level == 4 && v.Outcome == rules.NotMet {
			t.Errorf("%s is %s for a partner that is three weeks old: %s", v.Criterion, v.Outcome, v.Explanation)
		}
		for _, u := range v.Unknowns {
			if u.Remedy == "" {
				t.Errorf("%s: %s names no remedy", v.Criterion, u.Reason)
			}
		}
	}
	expectedFigures(t, got["meridian"])
}

func openOf(r rules.Report) string {
	var open []string
	for _, v := range r.Verdicts {
		if v.Outcome != rules.Met && v.Outcome != rules.NotApplicable {
			open = append(open, v.Criterion+" "+v.Outcome.String())
		}
	}
	return strings.Join(open, ", ")
}

// expectedFigures compares with figures that were computed from the tables
// which the site was made from, and with a few plain lines over its documents.
func expectedFigures(t *testing.T, r rules.Report) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(recorded, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	type share struct {
		Numerator   float64 `json:"numerator"`
		Denominator float64 `json:"denominator"`
	}
	want := decode[struct {
		Overdue map[string]struct {
			Total    share            `json:"total"`
			Projects map[string]share `json:"projects"`
		} `json:"overdue_pct"`
		Tickets map[string]struct {
			Resolved float64 `json:"resolved_with_sla"`
			Strict   share   `json:"strict"`
		} `json:"tickets"`
	}](t, b)
	titles := map[string]string{}
	for _, p := range documents(t, "Project") {
		titles[p["name"].(string)] = p["project_name"].(string)
	}
	found := map[string]bool{}
	for _, m := range r.Metrics {
		switch m.Metric {
		case "impl.metric.overdue_pct":
			w, ok := want.Overdue[m.Period]
			if !ok {
				continue
			}
			s := w.Total
			if m.Project != "" {
				s = w.Projects[titles[m.Project]]
			}
			if m.Numerator != s.Numerator || m.Denominator != s.Denominator {
				t.Errorf("overdue of %s %s = %g of %g, want %g of %g", m.Period, m.Project, m.Numerator, m.Denominator, s.Numerator, s.Denominator)
			}
			found[m.Period+m.Project] = true
			if m.Period == "2026-W46" {
				num, den := overdueByHand(t, "2026-11-15", m.Project)
				if m.Numerator != num || m.Denominator != den {
					t.Errorf("overdue of %s %s = %g of %g, by hand %g of %g", m.Period, m.Project, m.Numerator, m.Denominator, num, den)
				}
			}
		case "support.metric.sla":
			w, ok := want.Tickets[m.Period]
			if !ok || m.Project != "" {
				continue
			}
			if m.Numerator != w.Strict.Numerator || m.Denominator != w.Resolved {
				t.Errorf("SLA of %s = %g of %g, want %g of %g", m.Period, m.Numerator, m.Denominator, w.Strict.Numerator, w.Resolved)
			}
			found["sla "+m.Period] = true
			num, den := slaByHand(t, m.Period)
			if m.Numerator != num || m.Denominator != den {
				t.Errorf("SLA of %s = %g of %g, by hand %g of %g", m.Period, m.Numerator, m.Denominator, num, den)
			}
		}
	}
	for _, k := range []string{"2026-W46", "2026-W46PROJ-0003", "2026-W46PROJ-0004", "2026-W46PROJ-0005", "sla 2026-W46"} {
		if !found[k] {
			t.Errorf("no figure for %s", k)
		}
	}
	for _, v := range r.Verdicts {
		if v.Criterion == "impl.followed" && !strings.Contains(fmt.Sprint(v.Items), "TASK-2026-00165") {
			t.Errorf("impl.followed does not name the training sign-off that lost its scan: %+v", v.Items)
		}
	}
}

func documents(t *testing.T, doctype string) []map[string]any {
	t.Helper()
	f, err := os.Open(filepath.Join(recorded, "docs", doctype+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []map[string]any
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		out = append(out, decode[map[string]any](t, sc.Bytes()))
	}
	return out
}

func field(d map[string]any, name string) string {
	s, _ := d[name].(string)
	return s
}

// overdueByHand is the formula in a few lines: tasks of open customer projects,
// no groups, templates or cancelled ones, entered by the day; overdue when the
// end date is before it and the task neither completed by then nor in review
// until later.
func overdueByHand(t *testing.T, day, project string) (num, den float64) {
	t.Helper()
	open := map[string]bool{}
	for _, p := range documents(t, "Project") {
		open[field(p, "name")] = field(p, "status") == "Open" && field(p, "customer") != ""
	}
	for _, k := range documents(t, "Task") {
		status := field(k, "status")
		if !open[field(k, "project")] || project != "" && field(k, "project") != project || k["is_group"] == 1.0 || k["is_template"] == 1.0 ||
			status == "Cancelled" || status == "Template" || field(k, "creation")[:10] > day {
			continue
		}
		den++
		end, done := field(k, "exp_end_date"), field(k, "completed_on")
		if end != "" && end < day && !(status == "Completed" && (done == "" || done <= day)) && !(status == "Pending Review" && field(k, "review_date") > day) {
			num++
		}
	}
	return num, den
}

// slaByHand counts the tickets with an agreement that were resolved in the week,
// and those of them whose first reply and resolution were in time.
func slaByHand(t *testing.T, week string) (num, den float64) {
	t.Helper()
	for _, k := range documents(t, "Issue") {
		done := field(k, "sla_resolution_date")
		if done == "" || field(k, "service_level_agreement") == "" {
			continue
		}
		at, err := time.Parse(time.DateOnly, done[:10])
		if err != nil {
			t.Fatal(err)
		}
		if y, w := at.ISOWeek(); fmt.Sprintf("%d-W%02d", y, w) != week {
			continue
		}
		den++
		if field(k, "first_responded_on") <= field(k, "response_by") && done <= field(k, "sla_resolution_by") {
			num++
		}
	}
	return num, den
}

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// newWorks provisions a demo's PRM and wires the daemon to it.
func newWorks(t testing.TB, c *clock) (*works, *demo.World) {
	t.Helper()
	return newWorksLogging(t, c, slog.New(slog.DiscardHandler))
}

func newWorksLogging(t testing.TB, c *clock, log *slog.Logger) (*works, *demo.World) {
	t.Helper()
	world, err := demo.NewWorld(c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	if err := provisionDemo(t.Context(), world, &bytes.Buffer{}, log); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	w, err := demoWorks(t.Context(), st, world, log, c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w, world
}

func once(t testing.TB, w *works) {
	t.Helper()
	if err := w.daemon.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// writes are the requests that could have changed something on the PRM.
func writes(world *demo.World) []string {
	var out []string
	for _, r := range world.PRM.Requests() {
		if r.Method != http.MethodGet {
			out = append(out, r.Method+" "+r.Path)
		}
	}
	return out
}

func TestASecondCycleWithoutNewsWritesNothing(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}
	w, world := newWorks(t, c)
	once(t, w)
	for _, p := range world.Members {
		if p.Site == nil {
			continue
		}
		for _, r := range p.Site.Requests() {
			if r.Method != http.MethodGet {
				t.Errorf("%s %s was sent to the partner %s", r.Method, r.Path, p.Key)
			}
		}
	}
	world.PRM.ResetRequests()
	c.add(5 * time.Minute)
	once(t, w)
	if got := writes(world); len(got) != 0 {
		t.Errorf("%d writes in a cycle without news: %q", len(got), got)
	}
}

func TestMetricsOfACycle(t *testing.T) {
	t.Parallel()
	w, _ := newWorks(t, &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)})
	once(t, w)
	problems, err := testutil.GatherAndLint(w.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, name := range []string{
		"prmsync_tasks_overdue_ratio", "prmsync_sla_fulfilled_ratio", "prmsync_criterion_outcome",
		"prmsync_store_bytes", "prmsync_store_free_bytes", "prmsync_site_oldest_stream_timestamp_seconds", "prmsync_site_last_success_timestamp_seconds",
	} {
		if n, err := testutil.GatherAndCount(w.registry, name); err != nil || n == 0 {
			t.Errorf("%s has %d series (%v)", name, n, err)
		}
	}
}

func outcomes(t *testing.T, w *works, partner string) map[string]rules.Outcome {
	t.Helper()
	held, ok, err := w.store.LatestOf(t.Context(), partner, rules.Continuous)
	if err != nil || !ok {
		t.Fatalf("no assessment of %s: %v", partner, err)
	}
	out := map[string]rules.Outcome{}
	for _, v := range held.Assessment.Verdicts {
		out[v.Criterion] = v.Outcome
	}
	return out
}

func TestADeadSiteKeepsItsVerdictsForADayAndIsOneAlert(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}
	w, world := newWorks(t, c)
	once(t, w)
	before := outcomes(t, w, "amberline")
	for _, m := range world.Members {
		if m.Key == "amberline" {
			m.Close()
		}
	}
	c.add(time.Hour)
	once(t, w)
	if diff := cmp.Diff(before, outcomes(t, w, "amberline")); diff != "" {
		t.Errorf("an hour after the site died verdicts differ (-before +after):\n%s", diff)
	}
	c.add(24 * time.Hour)
	once(t, w)
	for id, o := range outcomes(t, w, "amberline") {
		if o == rules.NotMet {
			t.Errorf("%s became %s because the site is down", id, o)
		}
	}
	if got := outcomes(t, w, "amberline")["impl.followed"]; got != rules.Insufficient {
		t.Errorf("impl.followed is %s a day after the site died, want %s", got, rules.Insufficient)
	}
	episodes, err := w.store.Alerts(t.Context(), "amberline", c.now())
	if err != nil {
		t.Fatal(err)
	}
	var firing []string
	for _, e := range episodes {
		if e.Alert.Firing {
			firing = append(firing, e.Alert.Rule)
		}
	}
	if diff := cmp.Diff([]string{"site_down"}, firing); diff != "" {
		t.Errorf("alerts firing (-want +got):\n%s", diff)
	}
}

// realConfig writes a partners' file for the world, as an operator would.
func realConfig(t *testing.T, world *demo.World, dir string) []string {
	t.Helper()
	var b strings.Builder
	b.WriteString("prm: {deployment: bare, allow_private_network: true}\npartners:\n")
	env := []string{
		"PRMSYNC_CONFIG=" + filepath.Join(dir, "prmsync.yaml"), "PRMSYNC_DATABASE_URL=sqlite:" + filepath.Join(dir, "state.db"),
		"PRMSYNC_PRM_URL=" + world.PRMURL, "PRMSYNC_PRM_API_KEY=" + world.Agent.Key, "PRMSYNC_PRM_API_SECRET=" + world.Agent.Secret,
	}
	if err := os.WriteFile(filepath.Join(dir, "demo.yaml"), mustRead(t, "../../internal/demo/mapping.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range world.Members {
		up := strings.ToUpper(m.Key)
		fmt.Fprintf(&b, "  - key: %s\n    name: %s\n    mail_domains: [%s.example]\n    sites:\n      - {key: erp, url: %q, api_key: \"${%s_KEY}\", api_secret: \"${%s_SECRET}\", allow_private_network: true, mapping: demo.yaml}\n",
			m.Key, m.Name, m.Key, m.URL, up, up)
		env = append(env, up+"_KEY="+m.Reader.Key, up+"_SECRET="+m.Reader.Secret)
	}
	if err := os.WriteFile(filepath.Join(dir, "prmsync.yaml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return env
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKilledInTheMiddleOfACycle kills the program at several instants and then
// lets it finish: the PRM must hold what a run that was never killed leaves.
func TestKilledInTheMiddleOfACycle(t *testing.T) {
	t.Parallel()
	day := time.Now()
	counts := func(kills []time.Duration) map[string]int {
		world, err := demo.NewWorld(func() time.Time { return day })
		if err != nil {
			t.Fatal(err)
		}
		defer world.Close()
		if err := provisionDemo(t.Context(), world, &bytes.Buffer{}, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		env := append(os.Environ(), realConfig(t, world, t.TempDir())...)
		env = append(env, "PRMSYNC_TEST_AS_PROGRAM=1", "PRMSYNC_LOG_LEVEL=error")
		program := func(ctx context.Context) ([]byte, error) {
			cmd := exec.CommandContext(ctx, os.Args[0], "once", "--json")
			cmd.Env = env
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil && ctx.Err() == nil && cmd.ProcessState.ExitCode() != exitNotMet {
				t.Errorf("once: %v: %s", err, &stderr)
			}
			return out, err
		}
		for _, after := range kills {
			ctx, cancel := context.WithTimeout(t.Context(), after) // CommandContext kills with SIGKILL
			_, _ = program(ctx)
			cancel()
		}
		program(t.Context())
		out := map[string]int{}
		for _, doctype := range []string{"PMM Partner", "PMM Site", "PMM Assessment", "PMM Metric Snapshot", "PMM Criterion"} {
			out[doctype] = world.PRM.Count(doctype)
		}
		return out
	}
	want := counts(nil)
	got := counts([]time.Duration{400 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records on the PRM after kills (-never killed +killed):\n%s", diff)
	}
	if want["PMM Assessment"] != 9 {
		t.Errorf("%d assessments, want one for each partner, the escalation and the two audits asked for", want["PMM Assessment"])
	}
}

func TestMistakesAreNamedTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "prmsync.yaml")
	if err := os.WriteFile(path, []byte(`policy: {delete_brake: 120%}
partners:
  - key: acme
    sites:
      - {key: erp, url: "http://erp.acme.example", api_key: "${ACME_KEY}", api_secret: "canary-in-the-file", schedule: "61 * * * *", purpose: everything}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := envconfig.MapLookuper(map[string]string{
		"PRMSYNC_CONFIG": path, "PRMSYNC_PRM_URL": "https://prm.example", "PRMSYNC_PRM_API_KEY": "k", "PRMSYNC_PRM_API_SECRET": "canary-in-the-environment",
	})
	for _, args := range [][]string{{"run"}, {"once"}, {"check"}, {"plan"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, env, &stdout, &stderr); code != exitUsage {
			t.Errorf("%s = %d, want 2", args, code)
		}
		for _, want := range []string{"delete_brake", "ACME_KEY", "http://erp.acme.example", "61 * * * *", "everything"} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%s: stderr lacks %q:\n%s", args, want, &stderr)
			}
		}
		if strings.Contains(stdout.String()+stderr.String(), "canary") {
			t.Errorf("%s: a secret is printed:\n%s", args, &stderr)
		}
	}
}

func TestAnUnknownPartnerNamesTheKnownOnes(t *testing.T) {
	t.Parallel()
	world, err := demo.NewWorld(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	vars := map[string]string{}
	for _, kv := range realConfig(t, world, t.TempDir()) {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"check", "--partner", "amberlin"}, envconfig.MapLookuper(vars), &stdout, &stderr)
	if code != exitUsage || !strings.Contains(stderr.String(), "amberline, brackwater") {
		t.Errorf("check = %d, %s; want 2 and the known partners", code, &stderr)
	}
}

func TestFiguresAreFinite(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"check", "--data", recorded, "--json"}, envconfig.MapLookuper(nil), &stdout, &stderr)
	if code != exitNotMet {
		t.Fatalf("check = %d, want 3 (something is not met); %s", code, &stderr)
	}
	r := decode[rules.Report](t, stdout.Bytes())
	for _, m := range r.Metrics {
		if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
			t.Errorf("%s of %s is %g", m.Metric, m.Period, m.Value)
		}
	}
}
