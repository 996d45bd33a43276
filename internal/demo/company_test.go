package demo_test

import (
	"os"
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

// The mapping of the recorded partner is embedded here and tested in config:
// embed cannot reach there, so this holds the two together.
func TestRecordedMappingIsTheTestedOne(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../config/testdata/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("mappings/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("mappings/meridian.yaml differs from config/testdata/meridian.yaml:\n%s", diff)
	}
}
