package main

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/internal/demo"
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
