package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/config"
)

var update = flag.Bool("update", false, "rewrite golden files")

// all is what run needs.
var all = config.Needs{PRM: true, Partners: true}

// environment is a valid one, changed by the given pairs; a pair with an empty
// value takes its variable out.
func environment(pairs ...string) envconfig.Lookuper {
	env := map[string]string{
		"PRMSYNC_PRM_URL":        "https://prm.example",
		"PRMSYNC_PRM_API_KEY":    "prmkey",
		"PRMSYNC_PRM_API_SECRET": "canary-prm-secret",
		"MERIDIAN_KEY":           "meridiankey",
		"MERIDIAN_SECRET":        "canary-meridian-secret",
	}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return envconfig.MapLookuper(env)
}

// golden compares text with a file, which -update rewrites.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// noSecret fails when a planted secret shows up in a text.
func noSecret(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "canary") {
		t.Errorf("a secret shows in:\n%s", text)
	}
}
