// Package prmsync_test holds the house's rules: which room may import which, and
// which rooms take values and return values. What a room does is tested there.
package prmsync_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/prmsync/prmsync"

// rooms says what each room may import of ours. A folder belongs to the nearest
// room above it; within a room everything may import everything. A room that is
// not here may not exist: give it a place in this table first.
var rooms = map[string][]string{
	"config":              nil,
	"internal/frappetest": nil,

	// Pure rooms: values in, values out.
	"evidence":        nil,
	"rules/measure":   {"evidence"},
	"rules/packs":     nil, // data alone
	"rules":           {"evidence", "rules/measure", "rules/packs"},
	"rules/programme": {"evidence", "rules/measure", "rules"},
	"rules/plan":      {"evidence", "rules/measure", "rules", "rules/programme"},

	// Rooms that touch the world.
	"connector/frappe":      nil,
	"connector/partnersite": {"config", "connector/frappe", "evidence"},
	"connector/prm":         {"config", "connector/frappe", "evidence", "rules/measure", "rules", "rules/programme", "rules/plan"},
	"store":                 {"config", "evidence", "rules/measure", "rules", "rules/programme", "rules/plan"},
	"report":                {"config", "evidence", "rules/measure", "rules", "rules/programme", "rules/plan"},
	"metrics":               {"config", "evidence", "rules/measure", "rules", "rules/programme", "rules/plan"},
	"daemon": {
		"config", "evidence", "rules/measure", "rules/packs", "rules", "rules/programme", "rules/plan",
		"connector/frappe", "connector/prm", "store", "report", "metrics",
	},

	// Only these wire, and nobody imports them.
	"cmd":           {"*"},
	"internal/gen":  {"*"},
	"internal/demo": {"config", "evidence", "internal/frappetest"}, // what demo serves; imported by cmd
}

// pure reports whether a room takes values and returns values.
func pure(room string) bool {
	return room == "evidence" || room == "rules" || strings.HasPrefix(room, "rules/")
}

// impure are packages that bring in a clock, a network, a disk, a log or chance.
// A name ending in /... covers what is below it.
var impure = []string{
	"net", "net/http/...", "net/rpc/...", "net/smtp", "net/textproto",
	"os/...", "io/ioutil", "syscall", "plugin", "runtime/...",
	"log/...", "math/rand/...", "crypto/rand", "database/sql/...",
}

// clock are the names in package time that look at the clock, or at the zone
// that happens to be set on the machine.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local"}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, v := range violations(t, os.DirFS(".")) {
		t.Error(v)
	}
}

// TestImportsReported breaks each rule on purpose: a guard that was never seen
// to bark may not be one. The fixture's folders stand for the rooms.
func TestImportsReported(t *testing.T) {
	t.Parallel()
	want := []string{
		`config/clean.go:3: config imports evidence, which it may not`,
		`connector/prm/schema/schema.go:3: connector/prm imports store, which it may not`,
		`evidence/clock.go:6: evidence imports os/exec: it takes values and returns values`,
		`evidence/clock.go:7: evidence imports time without its name, which hides the clock`,
		`evidence/clock.go:12: evidence uses time.Now: take the instant as an argument`,
		`evidence/clock.go:13: evidence uses time.Since: take the instant as an argument`,
		`helper/helper.go:1: helper is a folder without a room: give it a place in imports_test.go`,
		`internal/frappetest/sites/sites.go:4: internal/frappetest imports evidence, which it may not`,
		`rules/measure/up.go:3: rules/measure imports rules, which it may not`,
		`rules/packs/packs.go:4: rules/packs imports log/slog: it takes values and returns values`,
		`rules/packs/packs.go:5: rules/packs imports math/rand/v2: it takes values and returns values`,
		`rules/packs/packs.go:6: rules/packs imports net/http: it takes values and returns values`,
		`store/store.go:6: store imports cmd/prmsync, which it may not`,
		`store/store.go:7: store imports metrics, which it may not`,
	}
	got := violations(t, os.DirFS("testdata/imports"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// violations parses every Go file below root but tests, and says what breaks
// the rules, sorted.
func violations(t *testing.T, root fs.FS) []string {
	t.Helper()
	type found struct {
		file string
		line int
		text string
	}
	var all []found
	files := 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files++
		report := func(at token.Pos, format string, args ...any) {
			all = append(all, found{name, set.Position(at).Line, fmt.Sprintf(format, args...)})
		}
		room, ok := roomOf(path.Dir(name))
		if !ok {
			report(file.Pos(), "%s is a folder without a room: give it a place in imports_test.go", path.Dir(name))
			return nil
		}
		names := make(map[string]bool) // what package time is called in this file
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				if to, known := roomOf(ours); !known || !may(room, to) {
					report(spec.Pos(), "%s imports %s, which it may not", room, ours)
				}
			}
			if !pure(room) {
				continue
			}
			if slices.ContainsFunc(impure, func(pattern string) bool { return covers(pattern, imported) }) {
				report(spec.Pos(), "%s imports %s: it takes values and returns values", room, imported)
			}
			if imported == "time" {
				switch {
				case spec.Name == nil:
					names["time"] = true
				case spec.Name.Name == ".":
					report(spec.Pos(), "%s imports time without its name, which hides the clock", room)
				default:
					names[spec.Name.Name] = true
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && names[pkg.Name] && slices.Contains(clock, sel.Sel.Name) {
				report(sel.Pos(), "%s uses time.%s: take the instant as an argument", room, sel.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no Go files were found, so nothing was checked")
	}
	slices.SortStableFunc(all, func(a, b found) int {
		if a.file != b.file {
			return strings.Compare(a.file, b.file)
		}
		return a.line - b.line
	})
	var out []string
	for _, f := range all {
		out = append(out, fmt.Sprintf("%s:%d: %s", f.file, f.line, f.text))
	}
	return out
}

// roomOf is the nearest room at or above a folder.
func roomOf(folder string) (string, bool) {
	for ; folder != "."; folder = path.Dir(folder) {
		if _, ok := rooms[folder]; ok {
			return folder, true
		}
	}
	return "", false
}

func may(from, to string) bool {
	return from == to || slices.Contains(rooms[from], to) || slices.Contains(rooms[from], "*") && to != "cmd"
}

func covers(pattern, imported string) bool {
	below, deep := strings.CutSuffix(pattern, "/...")
	return imported == below || deep && strings.HasPrefix(imported, below+"/")
}

// TestEveryPackageSaysWhatItIsFor: each room has one package comment, and it
// says both what belongs there and what does not.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	comments := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := filepath.Base(name)
		if d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(name))
		comments[folder] = append(comments[folder], "")
		if file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != "" {
			comments[folder][len(comments[folder])-1] = strings.TrimSpace(file.Doc.Text())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, all := range comments {
		all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
		switch {
		case len(all) != 1:
			t.Errorf("%s has %d package comments, want one", folder, len(all))
		case len(strings.Split(all[0], "\n")) < 2:
			t.Errorf("%s: its package comment has one line, want what belongs here and what does not:\n%s", folder, all[0])
		}
	}
}
