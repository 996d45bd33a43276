package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/rules"
)

func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	want, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join("../../../docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(got)); diff != "" {
			t.Errorf("docs/%s is stale; run go generate ./rules (-wanted +found):\n%s", name, diff)
		}
	}
}

// TestTheDocumentedPackLoads: what a newcomer copies from the page must be
// accepted as it stands there.
func TestTheDocumentedPackLoads(t *testing.T) {
	t.Parallel()
	_, example, found := strings.Cut(packsIntro, "```yaml\n")
	example, _, closed := strings.Cut(example, "```")
	if !found || !closed {
		t.Fatal("the page has no example")
	}
	if _, err := rules.ParsePack("example.yaml", []byte(example)); err != nil {
		t.Errorf("the example is refused:\n%v", err)
	}
}
