package main

import (
	"bytes"
	"log/slog"
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
