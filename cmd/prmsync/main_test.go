package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"
)

// TestRun holds exit codes and which stream carries what.
func TestRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // contained; empty means the stream stays empty
	}{
		{name: "version", args: []string{"version"}, code: exitOK, stdout: "prmsync "},
		{name: "version as JSON", args: []string{"version", "--json"}, code: exitOK, stdout: `"version"`},
		{name: "help", args: []string{"--help"}, code: exitOK, stdout: "Usage: prmsync"},
		{name: "help of a subcommand", args: []string{"version", "--help"}, code: exitOK, stdout: "Usage: prmsync version"},
		{name: "no subcommand", code: exitUsage, stderr: "Try: prmsync --help"},
		{name: "unknown subcommand", args: []string{"vesrion"}, code: exitUsage, stderr: "vesrion"},
		{name: "unknown flag", args: []string{"version", "--nope"}, code: exitUsage, stderr: "--nope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tt.args, envconfig.MapLookuper(nil), &stdout, &stderr)
			if code != tt.code {
				t.Errorf("run(%q) = %d, want %d; stderr: %s", tt.args, code, tt.code, &stderr)
			}
			for _, s := range []struct{ name, got, want string }{
				{"stdout", stdout.String(), tt.stdout},
				{"stderr", stderr.String(), tt.stderr},
			} {
				if s.want == "" && s.got != "" || !strings.Contains(s.got, s.want) {
					t.Errorf("run(%q): %s is %q, want %q in it", tt.args, s.name, s.got, s.want)
				}
			}
		})
	}
}

// TestVersionJSON holds the field names, which scripts read.
func TestVersionJSON(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"version", "--json"}, envconfig.MapLookuper(nil), &stdout, &stderr); code != exitOK {
		t.Fatalf("run = %d, want 0; stderr: %s", code, &stderr)
	}
	var got map[string]string
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("version --json prints %q: %v", stdout.String(), err)
	}
	for _, key := range []string{"version", "go", "platform"} {
		if got[key] == "" {
			t.Errorf("version --json: %s is empty in %s", key, &stdout)
		}
	}
}
