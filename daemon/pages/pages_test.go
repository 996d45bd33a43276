package pages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/daemon/pages"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// hostile is what a site or a person may put into any text: markup, both quotes,
// text that turns the direction round, and two hundred letters without a break.
var hostile = `<script>alert("x")</script>'"><img src=x onerror=alert(1)>` + " שלום\u202e " + strings.Repeat("W", 200)

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func get(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w
}

// sample is an assessment in which every text is hostile.
func sample(partner string) rules.Assessment {
	week := func(day int) evidence.Period {
		return evidence.Period{Week: evidence.Date{Year: 2026, Month: 11, Day: day}.Week()}
	}
	return rules.Assessment{
		Key: partner + "-cont-2026w48", Partner: partner, Kind: rules.Continuous, AsOf: now, LevelLow: 1, LevelHigh: 2,
		Verdicts: []rules.Verdict{
			{
				Criterion: "gen.control", Title: hostile, Level: 2, Outcome: rules.NotMet, Measured: hostile, Expected: hostile, Explanation: hostile, Remedy: hostile,
				Items: []rules.Item{
					{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: hostile}, URL: "javascript:alert(1)", Note: hostile},
					{Ref: evidence.Ref{Site: "erp", Doctype: "Task", Name: "T-1"}, URL: "https://erp.example/app/task/T-1", Label: "good one", OK: true},
				},
			},
			{
				Criterion: "gen.certified", Title: "Certified", Level: 2, Outcome: rules.Insufficient,
				Unknowns: []rules.Unknown{{Attribute: "a", Reason: "the key may not read Task", Remedy: "Give the role PRM Reader " + hostile}},
			},
			{
				Criterion: "gen.site", Title: "Site", Level: 2, Outcome: rules.Met,
				Override: &rules.Override{Outcome: rules.NotMet, Reason: hostile, By: hostile},
			},
			{Criterion: "gen.rest", Title: "Rest", Level: 3, Outcome: rules.Met},
		},
		Missing: []rules.Missing{{Level: 3, Criterion: "gen.later", Remedy: hostile}, {Level: 2, Criterion: "gen.control", Outcome: rules.NotMet, Remedy: hostile}},
		Metrics: []measure.Value{
			{Metric: measure.OverduePct, Period: week(16), Has: true, Value: 12.5},
			{Metric: measure.OverduePct, Period: week(9)},
		},
		Gaps:     []evidence.Gap{{Site: "erp", Stream: "Issue", Kind: evidence.Forbidden, Reason: hostile, Remedy: hostile}},
		Coverage: []evidence.Coverage{{Site: "erp", Stream: "Task", Rows: 7, LastSuccess: now.Add(-3 * time.Hour)}},
	}
}

// seed fills a store with one partner and everything that a page shows.
func seed(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), "sqlite::memory:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if _, err := st.CommitAssessment(t.Context(), store.Judgement{
		Partner: "meridian", At: now, Assessments: []rules.Assessment{sample("meridian")},
		Alerts: []store.Episode{{
			Alert:   programme.Alert{Key: "a", Rule: "site_down", Partner: "meridian", Severity: programme.Critical, Message: hostile, Firing: true, Since: now},
			Pending: now, Fired: now,
		}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := st.EnsureJobs(t.Context(), []store.Job{{Name: "poll:meridian", Spec: "15m", NextDue: now}}); err != nil {
		t.Fatal(err)
	}
	if err := st.Finish(t.Context(), "poll:meridian", now, now.Add(time.Hour), errors.New(hostile)); err != nil {
		t.Fatal(err)
	}
	return st
}

func options(t testing.TB) pages.Options {
	return pages.Options{
		Store: seed(t), Keys: func() []string { return []string{"meridian", "unread"} }, Version: "test", Now: func() time.Time { return now },
		Name: func(key string) string {
			if key == "meridian" {
				return hostile
			}
			return ""
		},
		Links: func(context.Context, string) (*evidence.Snapshot, error) {
			return &evidence.Snapshot{Sites: []evidence.Site{{Key: "erp", URL: "javascript:alert(1)"}}}, nil
		},
	}
}

func handler(t testing.TB, o pages.Options) http.Handler {
	t.Helper()
	h, err := pages.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var all = []string{"/", "/partner/meridian", "/partner/unread", "/partner/meridian/site/erp", "/operations"}

func TestNoPageRunsWhatASiteWrote(t *testing.T) {
	t.Parallel()
	h := handler(t, options(t))
	for _, path := range all {
		w := get(t, h, path)
		body := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(body, "</html>") {
			t.Errorf("%s answers %d: %.200s", path, w.Code, body)
		}
		for _, bad := range []string{"<script", "<img", "javascript:alert(1)\"", "onerror=alert(1)>", " style=", "#ZgotmplZ"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
	got := get(t, h, "/partner/meridian").Body.String()
	for _, want := range []string{"&lt;script&gt;", "the key may not read Task", "Give the role PRM Reader", `href="https://erp.example/app/task/T-1"`, "Missing for level 2", "by the evidence: Met"} {
		if !strings.Contains(got, want) {
			t.Errorf("the partner's page does not show %s", want)
		}
	}
}

// Text that turns the direction round must not reach beyond its own place.
func TestForeignTextIsIsolated(t *testing.T) {
	t.Parallel()
	h := handler(t, options(t))
	loose := regexp.MustCompile(`<bdi>[^<]*</bdi>|<title>[^<]*</title>`)
	for _, path := range []string{"/", "/partner/meridian/site/erp", "/operations"} {
		if rest := loose.ReplaceAllString(get(t, h, path).Body.String(), ""); strings.Contains(rest, "\u202e") {
			t.Errorf("%s shows foreign text outside of a bdi", path)
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	h := handler(t, options(t))
	for _, path := range append([]string{"/nope", "/api/nope", "/api/fleet", "/style.css", "/icon.svg", "//evil.example/"}, all...) {
		head := get(t, h, path).Header()
		csp := head.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s has a policy without %s: %s", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || head.Get("X-Content-Type-Options") != "nosniff" || head.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s is not guarded: %v", path, head)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/partner/meridian", strings.NewReader("x=1")))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a POST answers %d", w.Code)
	}
}

func TestTheProgramSeesWhatThePersonSees(t *testing.T) {
	t.Parallel()
	h := handler(t, options(t))
	var fleet pages.Fleet
	if err := json.Unmarshal(get(t, h, "/api/fleet").Body.Bytes(), &fleet); err != nil {
		t.Fatal(err)
	}
	if len(fleet.Partners) != 2 || len(fleet.Alerts) != 1 || fleet.Failing != 1 || fleet.Unsure != 2 {
		t.Fatalf("fleet is %+v", fleet)
	}
	p := fleet.Partners[0]
	if p.LevelLow != 1 || p.LevelHigh != 2 || p.Met != 1 || p.NotMet != 2 || p.Unknown != 1 || p.Alerts != 1 || p.Fails != "gen.control: "+hostile || !p.Evidence.Equal(now.Add(-3*time.Hour)) {
		t.Errorf("meridian is %+v", p)
	}
	var partner pages.Partner
	if err := json.Unmarshal(get(t, h, "/api/partner/meridian").Body.Bytes(), &partner); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, v := range partner.Report.Verdicts {
		order = append(order, v.Criterion)
	}
	// A person's word counts: gen.site stands with what is not met.
	if want := []string{"gen.control", "gen.site", "gen.certified", "gen.rest"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	if got := partner.Trends[0].Points; len(got) != 2 || got[0].Has || !got[1].Has || got[1].Value != 12.5 {
		t.Errorf("the trend is %+v", got)
	}
	var ops pages.Operations
	if err := json.Unmarshal(get(t, h, "/api/operations").Body.Bytes(), &ops); err != nil {
		t.Fatal(err)
	}
	if len(ops.Jobs) != 1 || ops.Jobs[0].Failures != 1 || ops.Failing != 1 || ops.Store.Assessments != 1 {
		t.Errorf("operations are %+v", ops)
	}
	for path, words := range map[string][]string{
		"/":                          {"gen.control: ", "3 hours ago", "not judged yet"},
		"/partner/unread":            {"was not judged yet"},
		"/partner/meridian":          {"Level 1 is certain, up to 2 possible", "2026-W46 not known, 2026-W47 12.5", "12.5 %"},
		"/partner/meridian/site/erp": {"Not read since prmsync was started", "Issue", "Forbidden", "Task", "3 hours ago"},
		"/operations":                {"poll:meridian", "Nothing waits for the PRM", "None holds"},
	} {
		for _, word := range words {
			if got := get(t, h, path).Body.String(); !strings.Contains(got, word) {
				t.Errorf("%s does not say %q", path, word)
			}
		}
	}
}

// Whoever needs a person first stands first, however the configuration has them.
func TestTheWorstStandsFirst(t *testing.T) {
	t.Parallel()
	verdict := func(o rules.Outcome) metrics.Partner {
		return metrics.Partner{
			Assessment: rules.Assessment{AsOf: now, Verdicts: []rules.Verdict{{Criterion: "gen.one", Title: "One thing is done", Outcome: o, Measured: "0 of 1"}}},
			Sites:      map[string]metrics.Site{"erp": {Up: true, LastSuccess: now}},
		}
	}
	dark := verdict(rules.Met)
	dark.Sites = map[string]metrics.Site{"erp": {}}
	held := map[string]metrics.Partner{
		"well": verdict(rules.Met), "asks": verdict(rules.Insufficient), "fails": verdict(rules.NotMet), "dark": dark, "meridian": verdict(rules.Met), "warned": verdict(rules.Met),
	}
	o := options(t)
	if _, err := o.Store.(*store.Store).CommitAssessment(t.Context(), store.Judgement{At: now, Alerts: []store.Episode{{
		Alert:   programme.Alert{Key: "w", Rule: programme.RuleKickoffLate, Partner: "warned", Severity: programme.Warning, Message: "late", Firing: true, Since: now},
		Pending: now, Fired: now,
	}}}); err != nil {
		t.Fatal(err)
	}
	o.Keys = func() []string { return []string{"well", "warned", "asks", "unread", "fails", "dark", "meridian"} }
	o.Live = func(key string) (metrics.Partner, bool) { p, ok := held[key]; return p, ok }
	h := handler(t, o)
	var f pages.Fleet
	if err := json.Unmarshal(get(t, h, "/api/fleet").Body.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, p := range f.Partners {
		order = append(order, p.Partner)
	}
	if want := []string{"meridian", "dark", "fails", "asks", "unread", "warned", "well"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	if f.Well != 1 || f.Dark != 1 || f.Failing != 1 || f.Critical != 1 {
		t.Errorf("%d are well, %d dark, %d fail and %d alerts are critical, want 1 each", f.Well, f.Dark, f.Failing, f.Critical)
	}
	body := get(t, h, "/").Body.String()
	for _, want := range []string{"One thing is done", "gen.one: 0 of 1", "<b>2</b> alerts fire, 1 critical", "<b>Kick-off late</b>", "/docs/runbooks/project-late.md", "<b>Site does not answer</b>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the first page does not say %q", want)
		}
	}
}

// A dead site hides forty streams for one reason, which is said once; and what is
// not known is marked as neither kept nor missed.
func TestOneReasonIsSaidOnce(t *testing.T) {
	t.Parallel()
	o := options(t)
	a := sample("meridian")
	a.Gaps = nil
	for _, stream := range []string{"Task", "Issue", "Lead"} {
		a.Gaps = append(a.Gaps, evidence.Gap{Site: "erp", Stream: stream, Kind: evidence.Unreachable, Reason: "no connection", Remedy: "see whether it is up", Since: now.Add(-time.Hour)})
	}
	a.Gaps = append(a.Gaps, evidence.Gap{Site: "erp", Stream: "Event", Kind: evidence.Forbidden, Reason: "not allowed"})
	a.Verdicts[1].Items = []rules.Item{{Ref: evidence.Ref{Name: "T-2"}, Label: "who knows", Unknown: true}}
	o.Live = func(key string) (metrics.Partner, bool) { return metrics.Partner{Assessment: a}, key == "meridian" }
	h := handler(t, o)
	site := get(t, h, "/partner/meridian/site/erp").Body.String()
	if n := strings.Count(site, "no connection"); n != 1 || !strings.Contains(site, "<bdi>Task</bdi>, <bdi>Issue</bdi>, <bdi>Lead</bdi>") || !strings.Contains(site, "not allowed") {
		t.Errorf("the reason is said %d times in %s", n, site)
	}
	if got := get(t, h, "/partner/meridian").Body.String(); !strings.Contains(got, `<li class="ask"><bdi>who knows</bdi>`) {
		t.Error("a record of which nothing is known is not marked as such")
	}
}

// What the exporter holds comes before the store, and brings what a site cost.
func TestASiteShowsWhatItCost(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Live = func(key string) (metrics.Partner, bool) {
		return metrics.Partner{Assessment: sample(key), Sites: map[string]metrics.Site{"erp": {Requests: 1234, ServerSeconds: 5.25, Bytes: 3 << 20, Errors: map[string]int64{"timeout": 2}}}}, key == "meridian"
	}
	h := handler(t, o)
	got := get(t, h, "/partner/meridian/site/erp").Body.String()
	for _, want := range []string{"<b>1234</b> requests, 3.0 MiB", "5.2 s", "no answer", "key rejected", "timeout 2"} {
		if !strings.Contains(got, want) {
			t.Errorf("the site's page does not say %q", want)
		}
	}
	var site pages.Site
	if err := json.Unmarshal(get(t, h, "/api/partner/meridian/site/erp").Body.Bytes(), &site); err != nil {
		t.Fatal(err)
	}
	if site.Cost == nil || site.Cost.Requests != 1234 || site.Cost.Errors["timeout"] != 2 {
		t.Errorf("the cost is %+v", site.Cost)
	}
	if got := get(t, h, "/").Body.String(); !strings.Contains(got, `<td class="n bad" data-label="Evidence">`) {
		t.Error("the first page does not mark the evidence of a site that does not answer")
	}
}

func TestAStrangeAddressIsNotFound(t *testing.T) {
	t.Parallel()
	h := handler(t, options(t))
	for path, want := range map[string]string{
		"/partner/nobody": "no such partner", "/partner/meridian/site/none": "no such site", "/favicon.ico": "there is no such page",
		"/api/partner/nobody": `{"error":"no such partner"}`, "/api/nothing": `{"error":"there is no such document"}`,
		"/partner/%2e%2e%2f%2e%2e%2fetc%2fpasswd": "no such partner", "/partner/meridian/site/..%2f..%2fstyle.css": "no such site",
		"/page.html": "there is no such page", "/pages.go": "there is no such page", "/%00": "there is no such page",
		"/partner/" + strings.Repeat("a", 5000): "no such partner",
	} {
		if w := get(t, h, path); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.60s answers %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
}

func TestNoAddressLeadsElsewhere(t *testing.T) {
	t.Parallel()
	h := handler(t, options(t))
	for _, path := range []string{
		"//evil.example", "//evil.example/..", "/\\evil.example", "/%2f%2fevil.example", "/partner//evil.example", "/./\\evil.example/", "/..//evil.example",
		"/?next=https://evil.example", "/partner/..//evil.example/%2e%2e",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		u, err := r.URL.Parse("http://prmsync.example" + path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = u.Path, u.RawPath, u.RawQuery
		h.ServeHTTP(w, r)
		if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\")) {
			t.Errorf("%s leads to %s", path, to)
		}
	}
}

// Whatever is asked for, the answer is guarded, leads nowhere else, shows no file of
// ours or of the machine, and is one of few.
func FuzzAddress(f *testing.F) {
	for _, path := range append(slices.Clone(all), "/../../etc/passwd", "/%2e%2e/style.css", "//evil.example", "/\\evil.example", "/partner/%00", "/api//fleet", "/partner/\xff", "/style.css/", "/partner/meridian/site/../../..") {
		f.Add(path)
	}
	h := handler(f, options(f))
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		u, err := r.URL.Parse("http://prmsync.example/" + strings.TrimPrefix(path, "/"))
		if err != nil {
			return // no browser could ask for it
		}
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = u.Path, u.RawPath, u.RawQuery
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusNotFound, http.StatusBadRequest:
		default:
			t.Errorf("%q answers %d", path, w.Code)
		}
		if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\")) {
			t.Errorf("%q leads to %q", path, to)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%q is not guarded", path)
		}
		for _, bad := range []string{"root:x:", "{{define", "package pages", "<script"} {
			if strings.Contains(w.Body.String(), bad) {
				t.Errorf("%q shows %s", path, bad)
			}
		}
	})
}

// A fault of the store is told to the log and not to who asked.
func TestAFaultIsNotTold(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Links = func(context.Context, string) (*evidence.Snapshot, error) {
		return nil, errors.New("open /var/lib/canary.db: denied")
	}
	h := handler(t, o)
	for _, path := range []string{"/partner/meridian", "/partner/meridian/site/erp", "/api/partner/meridian"} {
		if w := get(t, h, path); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "canary") || !strings.Contains(w.Body.String(), "the log says why") {
			t.Errorf("%s answers %d %s", path, w.Code, w.Body)
		}
	}
}

// Two hundred partners of sixty criteria each, with ten alerts firing for each.
func BenchmarkFirstPage(b *testing.B) {
	var keys []string
	held := map[string]metrics.Partner{}
	for i := range 200 {
		key := fmt.Sprintf("partner-%03d", i)
		a := sample(key)
		for len(a.Verdicts) < 60 {
			a.Verdicts = append(a.Verdicts, a.Verdicts[len(a.Verdicts)%4])
		}
		keys = append(keys, key)
		held[key] = metrics.Partner{Assessment: a, Sites: map[string]metrics.Site{"erp": {Up: true, LastSuccess: now}}}
	}
	o := options(b)
	o.Keys = func() []string { return keys }
	st := seed(b)
	o.Store = st
	var firing []store.Episode
	for _, key := range keys {
		for i := range 10 {
			firing = append(firing, store.Episode{
				Alert:   programme.Alert{Key: fmt.Sprint(key, i), Rule: "kickoff_late", Partner: key, Severity: programme.Warning, Message: "held 2026-11-06, invoiced 2026-10-25", Firing: true, Since: now},
				Pending: now, Fired: now,
			})
		}
	}
	if _, err := st.CommitAssessment(b.Context(), store.Judgement{At: now, Alerts: firing}); err != nil {
		b.Fatal(err)
	}
	o.Live = func(key string) (metrics.Partner, bool) { p, ok := held[key]; return p, ok }
	h := handler(b, o)
	b.ReportAllocs()
	for b.Loop() {
		if w := get(b, h, "/"); w.Code != http.StatusOK {
			b.Fatalf("answers %d", w.Code)
		}
	}
}
