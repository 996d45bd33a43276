package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

// put commits one batch of n documents with a cursor and, apart, one change
// for the outbox; i numbers it. Together they are what a cycle keeps.
func put(ctx context.Context, s *store.Store, i, n int) error {
	docs := make([]evidence.Document, n)
	for j := range docs {
		docs[j] = taskDoc(j, fmt.Sprintf("%04d", i))
	}
	_, err := s.Commit(ctx, store.Batch{
		Partner: "meridian", Seen: seen, Documents: docs,
		Cursors: []store.Cursor{{Site: "erp", Stream: "Task", Stamp: fmt.Sprint(i)}},
	})
	if err != nil {
		return err
	}
	_, err = s.CommitAssessment(ctx, store.Judgement{Partner: "meridian", At: seen, Changes: []plan.Change{
		{Key: fmt.Sprint("k", i), Doctype: "PMM Metric Snapshot", Name: fmt.Sprint(i), Op: plan.Insert},
	}})
	return err
}

// held reads back what put wrote: the number of whole batches, of the cursor
// and of changes. It fails the test when a batch is there in part or twice.
func held(t *testing.T, s *store.Store, n int) (batches, cursor, changes int) {
	t.Helper()
	perStamp := map[string]int{}
	for d, err := range s.Versions(t.Context(), "meridian", seen) {
		if err != nil {
			t.Fatal(err)
		}
		perStamp[d.Stamp]++
	}
	for stamp, got := range perStamp {
		if got != n {
			t.Fatalf("batch %s has %d of %d documents", stamp, got, n)
		}
	}
	c, ok, err := s.Cursor(t.Context(), "meridian", "erp", "Task")
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		if _, err := fmt.Sscan(c.Stamp, &cursor); err != nil {
			t.Fatal(err)
		}
		cursor++ // numbers begin at 0
	}
	qs, err := s.List(t.Context(), "meridian", store.Waiting, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, q := range qs {
		keys[q.Change.Key] = true
	}
	if len(keys) != len(qs) {
		t.Fatalf("%d changes under %d keys", len(qs), len(keys))
	}
	return len(perStamp), cursor, len(qs)
}

func newFile(t *testing.T) (path, url string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "prmsync.db")
	return path, "sqlite:" + path
}

func TestSecondInstanceIsRefused(t *testing.T) {
	t.Parallel()
	path, url := newFile(t)
	s := open(t, url, store.Options{})
	_, err := store.Open(t.Context(), url, store.Options{})
	want := fmt.Sprintf("%s: in use by another process: another prmsync (process %d) writes it", path, os.Getpid())
	if !errors.Is(err, store.ErrInUse) || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("second Open = %v, want %q…", err, want)
	}
	// Others read beside it, and see what is committed meanwhile.
	r, err := store.OpenReadOnly(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := put(t.Context(), s, 0, 3); err != nil {
		t.Fatal(err)
	}
	if b, c, o := held(t, r, 3); b != 1 || c != 1 || o != 1 {
		t.Errorf("read beside the writer: %d batches, cursor %d, %d changes, want one of each", b, c, o)
	}
	if err := put(t.Context(), r, 1, 3); !errors.Is(err, store.ErrReadOnly) || !strings.Contains(err.Error(), path) {
		t.Errorf("Commit on a reader = %v, want ErrReadOnly naming the file", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, url, store.Options{})
	for _, p := range []string{path, path + ".lock"} {
		if fi, err := os.Stat(p); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", p, fi.Mode(), err)
		}
	}
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	s := open(t, "sqlite::memory:", store.Options{})
	other := open(t, "sqlite::memory:", store.Options{})
	for i := range 3 {
		if err := put(t.Context(), s, i, 5); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := put(ctx, s, i, 5); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled put = %v", err)
		}
		for range s.Versions(ctx, "meridian", seen) {
		}
	}
	if b, _, o := held(t, s, 5); b != 3 || o != 3 {
		t.Errorf("%d batches, %d changes, want 3: a cancelled call must not lose the memory", b, o)
	}
	if b, _, _ := held(t, other, 5); b != 0 {
		t.Errorf("another memory holds %d batches, want none", b)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                            "no path",
		"sqlite:":                     "no path",
		"prmsync.db":                  "no path",
		"postgres://u:geheim@h/db":    `"postgres" is not supported`,
		"sqlite:/nirgends/x/prm.db":   "/nirgends/x/prm.db: lock: no such file or directory; create its directory",
		"sqlite:" + os.DevNull + "/x": "/x: lock: not a directory",
	} {
		_, err := store.Open(t.Context(), url, store.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("Open(%q) = %v, want %q", url, err, want)
		}
	}
	if _, err := store.OpenReadOnly(t.Context(), "sqlite::memory:"); err == nil {
		t.Error("OpenReadOnly of a memory succeeded")
	}
	path, url := newFile(t)
	if _, err := store.OpenReadOnly(t.Context(), url); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("OpenReadOnly of a missing file = %v, want an error naming it", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("OpenReadOnly created the file")
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	edit := func(statements ...string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", "file:"+path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, st := range statements {
				if _, err := db.ExecContext(t.Context(), st); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	write := func(b []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours := func(then func(t *testing.T, path string)) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := open(t, "sqlite:"+path, store.Options{}).Close(); err != nil {
				t.Fatal(err)
			}
			then(t, path)
		}
	}
	tests := map[string]struct {
		make func(t *testing.T, path string)
		want error
		says string
	}{
		"text file":     {write([]byte("partners:\n  - key: meridian\n")), store.ErrCorrupt, "does not begin as an SQLite database"},
		"five bytes":    {write([]byte("SQLit")), store.ErrCorrupt, "prmsync restore"},
		"other program": {edit(`CREATE TABLE tabTask (name TEXT)`), store.ErrForeign, "PRMSYNC_DATABASE_URL"},
		"newer": {
			ours(edit(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (900, 1)`)),
			store.ErrNewer, "version 900, this build knows",
		},
		"torn first page": {ours(func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(append(b[:100], bytes.Repeat([]byte{0xff}, len(b)-100)...))(t, path)
		}), store.ErrCorrupt, "restore a backup"},
		"cut short": {ours(func(t *testing.T, path string) {
			if err := os.Truncate(path, 3000); err != nil {
				t.Fatal(err)
			}
		}), store.ErrCorrupt, "restore a backup"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, url := newFile(t)
			tt.make(t, path)
			before, _ := os.ReadFile(path)
			for what, open := range map[string]func() (*store.Store, error){
				"Open":         func() (*store.Store, error) { return store.Open(t.Context(), url, store.Options{}) },
				"OpenReadOnly": func() (*store.Store, error) { return store.OpenReadOnly(t.Context(), url) },
			} {
				_, err := open()
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s = %v, want %v naming %s and saying %q", what, err, tt.want, path, tt.says)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			if s, err := store.OpenReadOnly(t.Context(), url); err == nil {
				_ = s.Close()
			}
		})
	}
	t.Run("older, for reading", func(t *testing.T) {
		t.Parallel()
		path, url := newFile(t)
		ours(edit(`UPDATE goose_db_version SET version_id = 0 WHERE version_id > 0`))(t, path)
		if _, err := store.OpenReadOnly(t.Context(), url); !errors.Is(err, store.ErrOutdated) {
			t.Errorf("OpenReadOnly = %v, want ErrOutdated", err)
		}
	})
}

// TestDamagedPages breaks pages in the middle: every read either gives what was
// written or an error that names the file; Check finds the damage.
func TestDamagedPages(t *testing.T) {
	t.Parallel()
	path, url := newFile(t)
	s := open(t, url, store.Options{})
	if err := put(t.Context(), s, 0, 2000); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("Check of a sound database: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 6 {
		b := bytes.Clone(whole)
		for range 40 {
			at := (20 + r.IntN(len(b)/4096-20)) * 4096 // beyond the schema
			copy(b[at:at+64], bytes.Repeat([]byte{byte(r.IntN(256))}, 64))
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("Open = %v, want ErrCorrupt", err)
			}
			found++
			continue
		}
		for d, err := range s.Versions(t.Context(), "meridian", seen) {
			if err != nil {
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) {
					t.Errorf("Versions = %v, want ErrCorrupt naming the file", err)
				}
			} else if d.Site != "erp" {
				t.Errorf("Versions gave %+v", d.Ref)
			}
		}
		if err := s.Check(t.Context()); errors.Is(err, store.ErrCorrupt) && strings.Contains(err.Error(), path) {
			found++
		} else {
			t.Errorf("Check = %v, want ErrCorrupt naming the file", err)
		}
		_ = s.Close()
	}
	if found != 6 {
		t.Errorf("damage found in %d of 6", found)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	path, url := newFile(t)
	s := open(t, url, store.Options{MaxBytes: 1 << 20})
	i := 0
	var err error
	for ; i < 1000 && err == nil; i++ {
		err = put(t.Context(), s, i, 100)
	}
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), path) {
		t.Fatalf("put %d = %v, want ErrFull naming the file", i, err)
	}
	b, c, _ := held(t, s, 100)
	if b != c || b < i-1 {
		t.Errorf("after the disk was full: %d batches, cursor %d, want the %d that were acknowledged", b, c, i-1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, url, store.Options{}) // there is room again
	if err := put(t.Context(), s, c, 100); err != nil {
		t.Errorf("put with room: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	path, url := newFile(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	s := open(t, url, store.Options{})
	for i := range 3 {
		if err := put(t.Context(), s, i, 10); err != nil {
			t.Fatal(err)
		}
	}
	// While the daemon runs, from a process that only reads.
	r, err := store.OpenReadOnly(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), backup); !errors.Is(err, os.ErrExist) {
		t.Errorf("Backup over a file = %v, want os.ErrExist", err)
	}
	if fi, err := os.Stat(backup); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("backup: %v, %v; want mode 0600", fi, err)
	}
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "no", "b.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Backup into no directory = %v", err)
	}
	for i := 3; i < 5; i++ {
		if err := put(t.Context(), s, i, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Restore(t.Context(), backup, url); !errors.Is(err, store.ErrInUse) {
		t.Errorf("Restore under a running writer = %v, want ErrInUse", err)
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.db")
	if err := os.WriteFile(bad, []byte("no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), bad, url); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), bad) {
		t.Errorf("Restore of no database = %v, want ErrCorrupt naming it", err)
	}
	count := func(url string) int {
		s := open(t, url, store.Options{})
		defer s.Close()
		b, c, o := held(t, s, 10)
		if b != c || b != o {
			t.Errorf("%s: %d batches, cursor %d, %d changes", url, b, c, o)
		}
		return b
	}
	if n := count(url); n != 5 {
		t.Errorf("%d batches before Restore, want 5", n)
	}
	if err := store.Restore(t.Context(), backup, url); err != nil {
		t.Fatal(err)
	}
	if n := count(url); n != 3 {
		t.Errorf("%d batches after Restore, want 3", n)
	}
	if n := count("sqlite:" + path + ".replaced"); n != 5 {
		t.Errorf("%d batches in what was replaced, want 5", n)
	}
	// Where nothing was, and over a damaged file.
	fresh, freshURL := newFile(t)
	if err := store.Restore(t.Context(), backup, freshURL); err != nil {
		t.Fatal(err)
	}
	if n := count(freshURL); n != 3 {
		t.Errorf("%d batches restored into nothing, want 3", n)
	}
	if err := os.WriteFile(fresh, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), backup, freshURL); err != nil {
		t.Fatal(err)
	}
	if n := count(freshURL); n != 3 {
		t.Errorf("%d batches restored over a damaged file, want 3", n)
	}
}

// TestTampering alters the database behind the store's back, as somebody with
// the file could: the log tells each.
func TestTampering(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a field":         `UPDATE documents SET body = REPLACE(body, 'Working', 'Completed') WHERE name = 'TASK-2026-00003' AND version = 1`,
		"an instant":      `UPDATE documents SET seen = seen - 1 WHERE name = 'TASK-2026-00003'`,
		"a new capture":   `INSERT INTO documents SELECT partner, site, doctype, 'NEW', version, stamp, modified, created, owner, seen, gone, renamed_to, sha256, body, leaf FROM documents WHERE name = 'TASK-2026-00003' AND version = 1`,
		"its leaf":        `UPDATE documents SET leaf = 1 WHERE name = 'TASK-2026-00003' AND version = 1`,
		"beyond the log":  `UPDATE documents SET leaf = 99 WHERE name = 'TASK-2026-00003'`,
		"a leaf":          `UPDATE log_leaves SET body = body || 'x' WHERE seq = 1`,
		"a missing leaf":  `DELETE FROM log_leaves WHERE seq = 1`,
		"the last leaf":   `DELETE FROM log_leaves WHERE seq = 2`,
		"a hash":          `UPDATE log_hashes SET hash = (SELECT hash FROM log_hashes WHERE idx = 0) WHERE idx = 2`,
		"a missing hash":  `DELETE FROM log_hashes WHERE idx = (SELECT MAX(idx) FROM log_hashes)`,
		"a hash too many": `INSERT INTO log_hashes SELECT MAX(idx) + 1, 'x' FROM log_hashes`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, url := newFile(t)
			s := open(t, url, store.Options{})
			for i := range 3 {
				if err := put(t.Context(), s, i, 5); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.VerifyLog(t.Context()); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if err := s.VerifyLog(t.Context()); !errors.Is(err, store.ErrTampered) || !strings.Contains(err.Error(), path) {
				t.Errorf("VerifyLog = %v, want ErrTampered naming the file", err)
			}
		})
	}
}

// TestCloseGivesTheLockUp opens anew at once while other programs are started: a
// child that is not its program yet still holds every file of ours.
func TestCloseGivesTheLockUp(t *testing.T) {
	t.Parallel()
	_, url := newFile(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command(os.Args[0], "-test.run", "^$").Run()
				}
			}
		})
	}
	defer wg.Wait()
	defer close(stop)
	for range 60 {
		s, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
