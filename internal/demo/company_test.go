package demo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/demo"
)

func TestDocumentsFollowFromCompanyAndDay(t *testing.T) {
	t.Parallel()
	day := evidence.NewDate(2026, 11, 24)
	for _, p := range demo.Partners() {
		a, b := p.Write(day), p.Write(day)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: two runs of one day differ:\n%s", p.Key, diff)
		}
		if len(a["Task"]) == 0 || len(a["Project"]) == 0 {
			t.Errorf("%s: %d tasks, %d projects, want some", p.Key, len(a["Task"]), len(a["Project"]))
		}
	}
}

func TestMappingOfTheDemoReads(t *testing.T) {
	t.Parallel()
	if _, err := demo.Mapping(); err != nil {
		t.Fatal(err)
	}
}
