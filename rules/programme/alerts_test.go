package programme_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/rules/programme"
)

var update = flag.Bool("update", false, "write the generated documents")

func TestAlertsDocument(t *testing.T) {
	t.Parallel()
	document(t, "../../docs/alerts.md", programme.CatalogueText())
}

// document compares a generated document with the file, or writes it.
func document(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a document for everybody
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says: go generate ./rules/programme", file)
	}
}

func TestCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	id := regexp.MustCompile(`^[a-z][a-z0-9_]{2,30}$`)
	page := regexp.MustCompile(`^[a-z][a-z-]+$`)
	for _, r := range programme.Catalogue() {
		if seen[r.ID] || !id.MatchString(r.ID) {
			t.Errorf("id %q is doubled or odd", r.ID)
		}
		seen[r.ID] = true
		if r.Title == "" || r.Says == "" || r.Subject == "" || r.Channels == 0 || !page.MatchString(r.Runbook) {
			t.Errorf("%s lacks something: %+v", r.ID, r)
		}
		text, err := os.ReadFile("../../docs/runbooks/" + r.Runbook + ".md")
		if err != nil {
			t.Errorf("%s: no runbook: %v", r.ID, err)
		}
		for _, part := range []string{"**Meaning.**", "**First look.**", "**Remedy.**"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s: runbook %s lacks %s", r.ID, r.Runbook, part)
			}
		}
		switch r.Severity {
		case programme.Critical, programme.Warning, programme.Info:
		default:
			t.Errorf("%s: severity %q", r.ID, r.Severity)
		}
	}
}
