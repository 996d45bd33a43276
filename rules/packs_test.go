package rules_test

import (
	"testing"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/packs"
)

func TestPacksOwnTestsHold(t *testing.T) {
	t.Parallel()
	ps, err := rules.LoadBuiltin()
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rules.TestFolder(ps, packs.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if r.Problem != "" {
			t.Errorf("%s: %s: %s: %s", r.File, r.Test, r.Criterion, r.Problem)
		}
	}
	if len(rs) == 0 {
		t.Error("the packs come without tests")
	}
}
