package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/config"
)

// TestTheDocumentedExample: what a newcomer copies from the page must be
// accepted as it stands there, and every variable and key must be on the page.
func TestTheDocumentedExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```yaml\n")
	example, _, closed := strings.Cut(example, "```")
	if !found || !closed {
		t.Fatal("docs/settings.md has no example")
	}
	path := written(t, example)
	mapping := filepath.Join(filepath.Dir(path), "mappings", "meridian.yaml")
	if err := os.MkdirAll(filepath.Dir(mapping), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mapping, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", path), all)
	if err != nil {
		t.Errorf("the example is refused:\n%v", err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("the example gives warnings: %v", c.Warnings)
	}
	for _, v := range config.Variables() {
		if v.Meaning == "" || !strings.Contains(string(page), "`"+v.Name+"`") {
			t.Errorf("%s is not explained", v.Name)
		}
	}
	for _, k := range config.Keys() {
		if k.Meaning == "" || !strings.Contains(string(page), "`"+k.Path+"`") {
			t.Errorf("%s is not explained", k.Path)
		}
	}
}
