package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/internal/frappetest"
)

// Sites that say our own credentials back to us, in every field of an error that
// is shown to people, do not get them shown; nor is what customers wrote, nor a
// failed site's page, in any page, twin, metric or line of the log.
func TestNoPageMetricOrLogShowsASecret(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w, world := newWorksLogging(t, &clock{t: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}, logger)
	const written = "canary-of-what-a-customer-wrote"
	for _, m := range world.Members {
		if m.Site == nil {
			continue
		}
		for doctype, field := range map[string]string{"Issue": "description", "Communication": "content", "Task": "description"} {
			docs := m.Site.Docs(doctype)
			for _, d := range docs[:min(20, len(docs))] {
				name, _ := d["name"].(string)
				if err := m.Site.SetSilently(doctype, name, map[string]any{field: "<p>" + written + "</p>"}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	secrets := []string{world.Agent.Key, world.Agent.Secret, world.Provision.Key, world.Provision.Secret}
	var echoed atomic.Int64
	for i, m := range world.Members {
		secrets = append(secrets, m.Reader.Key, m.Reader.Secret)
		if m.Site == nil {
			continue
		}
		token := "token " + m.Reader.Key + ":" + m.Reader.Secret
		body := `{"exc_type":"ValidationError","exception":"frappe.exceptions.ValidationError: ` + token + `","_server_messages":"[\"{\\\"message\\\": \\\"` + token + `\\\"}\"]"}`
		status := []int{500, 403, 417, 401}[i%4]
		m.Site.Break(frappetest.Fault{Path: "/api/resource/Issue", Status: status, Body: body, ContentType: "application/json", Hook: func(*frappetest.Site, frappetest.Request) { echoed.Add(1) }})
	}
	for _, s := range secrets {
		if len(s) < 10 {
			t.Fatalf("the secret %q is too short to be looked for", s)
		}
	}
	secrets = append(secrets, written)
	once(t, w)
	if echoed.Load() == 0 {
		t.Fatal("no site said the credentials back")
	}
	ui, err := w.pages(logger)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(w.registry, promhttp.HandlerOpts{}))
	mux.Handle("/", ui)
	seen := ""
	for _, at := range addresses(world) {
		code, body := fetch(t.Context(), mux, at)
		if code != http.StatusOK {
			t.Errorf("%s answers %d", at, code)
		}
		seen += body
		for _, s := range secrets {
			if strings.Contains(body, s) {
				t.Errorf("%s shows a secret", at)
			}
		}
	}
	if !strings.Contains(seen, "Issue") {
		t.Error("no page tells of the stream that failed")
	}
	for line := range strings.Lines(log.String()) {
		for _, s := range secrets {
			if strings.Contains(line, s) {
				t.Errorf("the log shows a secret: %s", line)
			}
		}
	}
	if log.Len() == 0 {
		t.Error("nothing was logged, so nothing was looked at")
	}
}

// addresses are all pages of the demo's world with their twins, and the metrics.
func addresses(world *demo.World) []string {
	out := []string{"/", "/api/fleet", "/metrics"}
	for _, api := range []string{"", "/api"} {
		out = append(out, api+"/operations")
		for _, m := range world.Members {
			out = append(out, api+"/partner/"+m.Key, api+"/partner/"+m.Key+"/site/erp")
		}
	}
	return out
}

func fetch(ctx context.Context, h http.Handler, path string) (int, string) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}
