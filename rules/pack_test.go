package rules_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/rules"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", file, diff)
	}
}

func TestWrongPacksAreRefusedByName(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d wrong packs: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = rules.ParsePack(file, text)
			if err == nil {
				t.Fatal("ParsePack took it")
			}
			var pe *rules.PackError
			if !errors.As(err, &pe) {
				t.Errorf("the error is a %T, want a *PackError in it", err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestLoadJoinsTheMistakesOfEveryFile(t *testing.T) {
	t.Parallel()
	_, err := rules.Load(fstest.MapFS{
		"a.yaml":      {Data: []byte("name: a\n")},
		"b.yaml":      {Data: []byte("name: [\n")},
		"a_test.yaml": {Data: []byte("not: read\n")},
	})
	if err == nil || !strings.Contains(err.Error(), "a.yaml") || !strings.Contains(err.Error(), "b.yaml") {
		t.Errorf("Load = %v, want the mistakes of both files", err)
	}
	if _, err := rules.Load(fstest.MapFS{}); err == nil {
		t.Error("Load of an empty folder = nil, want an error")
	}
}

func TestHashFollowsTheText(t *testing.T) {
	t.Parallel()
	const text = "name: a\nversion: \"1\"\ncriteria:\n  - {id: gen.x, title: x, department: general, severity: NC, pass: 'true', expected: x}\n"
	a, err := rules.ParsePack("a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := rules.ParsePack("b.yaml", []byte(text+"# a remark\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a.ID.SHA256 == b.ID.SHA256 || len(a.ID.SHA256) != 64 {
		t.Errorf("hashes %q and %q: want two different SHA-256", a.ID.SHA256, b.ID.SHA256)
	}
}

func FuzzParsePack(f *testing.F) {
	files, _ := filepath.Glob("testdata/wrong/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := rules.ParsePack("fuzz.yaml", text)
		if (p == nil) == (err == nil) {
			t.Errorf("ParsePack = %v, %v: want a pack or an error", p, err)
		}
	})
}
