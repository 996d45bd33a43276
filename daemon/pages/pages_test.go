package pages_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/daemon/pages"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

const hostile = `<script>alert("x")</script>`

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w
}

func handler(t *testing.T) http.Handler {
	t.Helper()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	st, err := store.Open(t.Context(), "sqlite::memory:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	ref := evidence.Ref{Site: "erp", Doctype: "Task", Name: hostile}
	week := evidence.Date{Year: 2026, Month: 11, Day: 16}.Week()
	before := evidence.Date{Year: 2026, Month: 11, Day: 9}.Week()
	_, err = st.CommitAssessment(t.Context(), store.Judgement{
		Partner: "meridian", At: now,
		Assessments: []rules.Assessment{{
			Key: "meridian-cont-2026w48", Partner: "meridian", Kind: rules.Continuous, AsOf: now, LevelLow: 1, LevelHigh: 2,
			Verdicts: []rules.Verdict{
				{Criterion: "gen.control", Title: hostile, Outcome: rules.NotMet, Measured: hostile, Remedy: hostile, Evidence: []evidence.Ref{ref}},
				{Criterion: "gen.certified", Title: "Certified", Outcome: rules.Insufficient},
				{Criterion: "gen.site", Title: "Site", Outcome: rules.Met},
			},
			Metrics: []measure.Value{
				{Metric: measure.OverduePct, Period: evidence.Period{Week: week}, Has: true, Value: 12.5},
				{Metric: measure.OverduePct, Period: evidence.Period{Week: before}},
			},
		}},
		Alerts: []store.Episode{{
			Alert:   programme.Alert{Key: "a", Rule: "site_down", Partner: "meridian", Severity: programme.Critical, Message: hostile, Firing: true, Since: now},
			Pending: now, Fired: now,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := pages.New(pages.Options{
		Store: st, Keys: func() []string { return []string{"meridian", "unread"} }, Version: "test", Now: func() time.Time { return now },
		Links: func(context.Context, string) (*evidence.Snapshot, error) {
			return &evidence.Snapshot{Sites: []evidence.Site{{Key: "erp", URL: "javascript:alert(1)"}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNoPageRunsWhatASiteWrote(t *testing.T) {
	t.Parallel()
	h := handler(t)
	for _, path := range []string{"/", "/partner/meridian", "/partner/meridian/site/erp", "/operations"} {
		w := get(t, h, path)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "</html>") {
			t.Errorf("%s answers %d: %.200s", path, w.Code, w.Body)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s has the policy %q", path, csp)
		}
		for _, bad := range []string{"<script", `href="javascript:`, " onclick", " style="} {
			if strings.Contains(w.Body.String(), bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
	if got := get(t, h, "/partner/meridian").Body.String(); !strings.Contains(got, "&lt;script&gt;") {
		t.Error("the partner's page does not show what the site wrote")
	}
}

func TestTheProgramSeesWhatThePersonSees(t *testing.T) {
	t.Parallel()
	h := handler(t)
	var fleet pages.Fleet
	if err := json.Unmarshal(get(t, h, "/api/fleet").Body.Bytes(), &fleet); err != nil {
		t.Fatal(err)
	}
	if len(fleet.Partners) != 2 || len(fleet.Alerts) != 1 {
		t.Fatalf("fleet is %+v", fleet)
	}
	if p := fleet.Partners[0]; p.LevelLow != 1 || p.LevelHigh != 2 || p.Met != 1 || p.NotMet != 1 || p.Unknown != 1 || p.Alerts != 1 || p.Fails != "gen.control: "+hostile {
		t.Errorf("meridian is %+v", p)
	}
	var partner pages.Partner
	if err := json.Unmarshal(get(t, h, "/api/partner/meridian").Body.Bytes(), &partner); err != nil {
		t.Fatal(err)
	}
	if partner.Report.Verdicts[0].Outcome != rules.NotMet {
		t.Errorf("what is not met does not stand first but %s", partner.Report.Verdicts[0].Criterion)
	}
	if got := partner.Trends[0].Points; len(got) != 2 || got[0].Has || !got[1].Has || got[1].Value != 12.5 {
		t.Errorf("the trend is %+v", got)
	}
}

func TestAStrangeAddressIsNotFound(t *testing.T) {
	t.Parallel()
	h := handler(t)
	for path, want := range map[string]string{
		"/partner/nobody": "no such partner", "/partner/unread": "nothing is known of this partner yet",
		"/partner/meridian/site/none": "no such site", "/api/partner/nobody": "no such partner", "/favicon.ico": "not found",
	} {
		if w := get(t, h, path); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s answers %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
}
