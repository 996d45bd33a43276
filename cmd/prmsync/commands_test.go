package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"
)

// TestCommandsThatNeedNoConfiguration runs what a newcomer can type at once.
func TestCommandsThatNeedNoConfiguration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		code int
		want []string // in stdout
	}{
		{name: "criteria", args: []string{"rules", "list"}, want: []string{"impl.followed", "esc.sales.m1"}},
		{name: "one criterion", args: []string{"rules", "explain", "impl.followed"}, want: []string{"level 3", "S32", "threshold"}},
		{name: "an unknown criterion", args: []string{"rules", "explain", "impl.nothing"}, code: exitUsage},
		{name: "the packs' own tests", args: []string{"rules", "test"}, want: []string{"passed, 0 failed"}},
		{name: "a site examined", args: []string{"doctor", "--data", recorded}, code: exitNotMet, want: []string{"PMM Evidence Reader", "Event", "Hidden"}},
		{name: "a mapping proposed", args: []string{"doctor", "--data", recorded, "--suggest-mapping"}, want: []string{"evidence:", "custom_bant_budget"}},
		{name: "one site judged", args: []string{"check", "--data", recorded}, code: exitNotMet, want: []string{"impl.followed", "TASK-2026-00165"}},
		{name: "one criterion judged", args: []string{"check", "--data", recorded, "--explain", "gen.allhands"}, want: []string{"gen.allhands"}},
		{name: "readiness for a level", args: []string{"check", "--data", recorded, "--level", "9"}, code: exitUsage},
		{name: "an impossible instant", args: []string{"check", "--data", recorded, "--as-of", "yesterday"}, code: exitUsage},
		{name: "no folder", args: []string{"check", "--data", "testdata"}, code: exitUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, envconfig.MapLookuper(nil), &stdout, &stderr); code != tt.code {
				t.Fatalf("run(%q) = %d, want %d; stderr: %s", tt.args, code, tt.code, &stderr)
			}
			for _, w := range tt.want {
				if !strings.Contains(stdout.String(), w) {
					t.Errorf("run(%q): stdout lacks %q:\n%.1500s", tt.args, w, &stdout)
				}
			}
		})
	}
}

// TestJSONIsOneDocument: whatever prints JSON prints one document and nothing else.
func TestJSONIsOneDocument(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"rules", "list", "--json"},
		{"rules", "explain", "gen.allhands", "--json"},
		{"doctor", "--data", recorded, "--json"},
		{"check", "--data", recorded, "--json"},
		{"version", "--json"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			run(t.Context(), args, envconfig.MapLookuper(nil), &stdout, &stderr)
			d := json.NewDecoder(&stdout)
			var v any
			if err := d.Decode(&v); err != nil {
				t.Fatalf("%v; stderr: %s", err, &stderr)
			}
			if d.More() {
				t.Error("more than one document")
			}
		})
	}
}
