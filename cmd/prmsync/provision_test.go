package main

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/internal/frappetest"
)

// TestVerifySeesThePRMAsTheRuntimeUser looks with the key that writes later:
// the provisioning user may do everything, so that its view proves nothing.
func TestVerifySeesThePRMAsTheRuntimeUser(t *testing.T) {
	t.Parallel()
	day := time.Now()
	world, err := demo.NewWorld(func() time.Time { return day })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	if err := provisionDemo(t.Context(), world, &bytes.Buffer{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, pair := range realConfig(t, world, t.TempDir()) {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	verify := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"provision", "verify"}, args...), envconfig.MapLookuper(vars), &stdout, &stderr); code != want {
			t.Fatalf("provision verify = %d, want %d: %s%s", code, want, &stdout, &stderr)
		}
		return stdout.String()
	}
	if got := verify(exitOK); !strings.Contains(got, "0 missing") {
		t.Errorf("after provisioning: %s", got)
	}
	// What the file maps is compared too, by doctor as well.
	text := string(mustRead(t, vars["PRMSYNC_CONFIG"]))
	mapped := strings.Replace(text, "prm: {", "prm: {intake: [{doctype: PMM Contribution, since: 2026-01-01, partner: partner, customer: firm}], ", 1)
	if err := os.WriteFile(vars["PRMSYNC_CONFIG"], []byte(mapped), 0o600); err != nil {
		t.Fatal(err)
	}
	const unfit = "PMM Contribution.firm: prm.intake reads it as customer"
	if got := verify(exitNotMet); !strings.Contains(got, unfit) {
		t.Errorf("with a mapping that does not fit: %s", got)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"doctor", "--partner", world.Members[0].Key}, envconfig.MapLookuper(vars), &stdout, &stderr); code != exitNotMet || !strings.Contains(stdout.String(), unfit) {
		t.Errorf("doctor = %d: %s%s", code, &stdout, &stderr)
	}
	if err := os.WriteFile(vars["PRMSYNC_CONFIG"], []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := world.PRM.Revoke("PMM Site", "PMM Sync Agent"); err != nil {
		t.Fatal(err)
	}
	if got := verify(exitNotMet); !strings.Contains(got, "PMM Site") || strings.Contains(got, vars["PRMSYNC_PRM_API_SECRET"]) {
		t.Errorf("without a right: %s", got)
	}
	if got := decode[struct {
		Findings []struct{ Doctype string }
	}](t, []byte(verify(exitNotMet, "--json"))); len(got.Findings) == 0 || got.Findings[0].Doctype == "" {
		t.Errorf("as JSON: %+v", got)
	}
}

// TestProvisionSaysWhatIsWrong tries what an operator meets: each message names
// the thing and what helps, none a secret.
func TestProvisionSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	site := frappetest.New(t)
	key, secret := site.AddUser("provision@prm.test", "System Manager", "Workspace Manager", "Website Manager")
	otherKey, otherSecret := site.AddUser("other@prm.test", "System Manager")
	agentKey, agentSecret := site.AddUser("sync@prm.test", "PMM Sync Agent")
	file := filepath.Join(t.TempDir(), "prmsync.yaml")
	if err := os.WriteFile(file, []byte("prm: {allow_private_network: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	press := filepath.Join(t.TempDir(), "press.yaml")
	if err := os.WriteFile(press, []byte("prm: {deployment: press, allow_private_network: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	provision := func(want int, change map[string]string, args ...string) (stdout, stderr string) {
		t.Helper()
		vars := map[string]string{
			"PRMSYNC_CONFIG": file, "PRMSYNC_PRM_URL": site.URL(), "PRMSYNC_PROVISION_API_KEY": key, "PRMSYNC_PROVISION_API_SECRET": secret, "PRMSYNC_LOG_LEVEL": "error",
		}
		maps.Copy(vars, change)
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"provision"}, args...), envconfig.MapLookuper(vars), &out, &errs); code != want {
			t.Errorf("provision %q with %v = %d, want %d: %s%s", args, change, code, want, &out, &errs)
		}
		for _, s := range []string{secret, otherSecret, agentSecret} {
			if strings.Contains(out.String()+errs.String(), s) {
				t.Errorf("provision %q shows a secret", args)
			}
		}
		return out.String(), errs.String()
	}
	for name, tt := range map[string]struct {
		vars map[string]string
		code int
		want []string
	}{
		"wrong secret":       {map[string]string{"PRMSYNC_PROVISION_API_SECRET": "wrong"}, exitFailed, []string{"key or secret is not accepted", "API Access"}},
		"no key":             {map[string]string{"PRMSYNC_PROVISION_API_KEY": ""}, exitUsage, []string{"PRMSYNC_PROVISION_API_KEY: it is not set", "_FILE"}},
		"nobody there":       {map[string]string{"PRMSYNC_PRM_URL": "http://127.0.0.1:1"}, exitFailed, []string{"no connection", "127.0.0.1:1"}},
		"a role is missing":  {map[string]string{"PRMSYNC_PROVISION_API_KEY": otherKey, "PRMSYNC_PROVISION_API_SECRET": otherSecret}, exitFailed, []string{"lacks the role Workspace Manager", "give it to that user"}},
		"the daemon's key":   {map[string]string{"PRMSYNC_PROVISION_API_KEY": agentKey, "PRMSYNC_PROVISION_API_SECRET": agentSecret}, exitFailed, []string{"lacks the role System Manager and Workspace Manager"}},
		"another deployment": {map[string]string{"PRMSYNC_CONFIG": press}, exitFailed, []string{"prm.deployment is press", "set it to bare"}},
		"nobody to ask":      {nil, exitUsage, []string{"say --yes", "--dry-run"}},
	} {
		_, stderr := provision(tt.code, tt.vars)
		for _, want := range tt.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: %q lacks %q", name, stderr, want)
			}
		}
	}
	if n := site.Count("Custom Field"); n != 0 {
		t.Errorf("%d Custom Fields were made by runs that were refused", n)
	}
	if out, _ := provision(exitOK, nil, "--dry-run"); !strings.Contains(out, "to create") || site.Count("Custom Field") != 0 {
		t.Errorf("a look: %s", out)
	}
	plan := decode[schema.Result](t, []byte(first(provision(exitOK, nil, "--dry-run", "--json"))))
	if plan.Version == "" || plan.Count(schema.Create) == 0 {
		t.Errorf("a look as JSON: %+v", plan)
	}

	// One document is refused: all others are made, and the run says which.
	heal := site.Break(frappetest.Fault{Method: "POST", Path: "/api/resource/Report", Status: 403, ExcType: "PermissionError"})
	out, stderr := provision(exitFailed, nil, "--yes")
	heal()
	if !strings.Contains(out, "cannot    Report NC Register") || !strings.Contains(stderr, "refused; see above") {
		t.Errorf("a refused document: %s%s", out, stderr)
	}
	if out, _ := provision(exitOK, nil, "--yes"); !strings.Contains(out, "done: 6 created") || !strings.Contains(out, "0 refused") {
		t.Errorf("after the refusal was settled: %s", out)
	}
	// A person edited a card, and the schema wants another: theirs stays.
	site.AddUser("mary@prm.test", "System Manager")
	if err := site.As("mary@prm.test").Set("Number Card", "Alerts Firing", map[string]any{"color": "#123456"}); err != nil {
		t.Fatal(err)
	}
	out, _ = provision(exitOK, nil, "--yes")
	if !strings.Contains(out, "left      Number Card Alerts Firing [color]: edited by mary@prm.test since") || !strings.Contains(out, "1 left to people") {
		t.Errorf("an edited card: %s", out)
	}
}

func first(a, _ string) string { return a }
