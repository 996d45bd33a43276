package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Sizes tells how much the database holds, for metrics.
type Sizes struct {
	FileBytes   int64 // the database file; 0 in memory
	WALBytes    int64 // its write-ahead log
	Versions    int64 // captures
	Records     int64 // records with at least one capture
	Assessments int64
	Known       int64 // records on the PRM
	Outbox      int64 // changes in any state
}

// Sizes measures the database.
func (s *Store) Sizes(ctx context.Context) (Sizes, error) {
	var z Sizes
	err := s.read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM documents), (SELECT COUNT(*) FROM heads),
		(SELECT COUNT(*) FROM assessments), (SELECT COUNT(*) FROM known), (SELECT COUNT(*) FROM outbox)`).
		Scan(&z.Versions, &z.Records, &z.Assessments, &z.Known, &z.Outbox)
	if err != nil {
		return Sizes{}, s.fail("measure", err)
	}
	if s.path != "" {
		for suffix, n := range map[string]*int64{"": &z.FileBytes, "-wal": &z.WALBytes} {
			if fi, err := os.Stat(s.path + suffix); err == nil { // the WAL may not be there
				*n = fi.Size()
			}
		}
	}
	return z, nil
}

// Space returns the bytes that the database takes on disk, and those that are
// free beside it: -1 in memory, or where the system does not say.
func (s *Store) Space() (taken, free int64) {
	if s.path == "" {
		return 0, -1
	}
	for _, suffix := range []string{"", "-wal"} {
		if fi, err := os.Stat(s.path + suffix); err == nil { // the WAL may not be there
			taken += fi.Size()
		}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(s.path), &fs); err != nil {
		return taken, -1
	}
	return taken, int64(min(uint64(fs.Bavail)*uint64(fs.Bsize), math.MaxInt64)) //nolint:gosec // both are counts
}

// Retention says how long history is kept: each kind is cut before its instant,
// and kept whole when that is zero.
type Retention struct {
	// Captures, reach and inputs: what held at the instant stays, so that
	// snapshots as of it and later are the same bytes as before. Records that
	// were gone by then go entirely.
	Captures time.Time
	// Assessments, resolved alerts and released brakes.
	Assessments time.Time
	// Outbox: changes that were sent or replaced. A person's drop is kept as
	// long as Assessments, because it still holds.
	Outbox time.Time
}

// Retained counts the rows that a cut removed.
type Retained struct {
	Captures    int64
	Assessments int64
	Outbox      int64
}

// retainRows is how many rows one transaction of Retain removes, so that a
// first cut of a big history keeps nobody waiting.
const retainRows = 1000

// Retain removes what is older than r says, in many small transactions: cut
// off in the middle, it has removed less. The file keeps its size and reuses
// the room.
func (s *Store) Retain(ctx context.Context, r Retention) (Retained, error) {
	var n Retained
	cut := func(count *int64, before time.Time, text string) error {
		for !before.IsZero() {
			var some int64
			err := s.tx(ctx, "cut history", func(tx *sql.Tx) error {
				res, err := tx.ExecContext(ctx, text, micros(before), retainRows)
				if err != nil {
					return err
				}
				some, err = res.RowsAffected()
				return err
			})
			*count += some
			if err != nil || some == 0 {
				return err
			}
		}
		return nil
	}
	steps := []struct {
		count  *int64
		before time.Time
		text   string
	}{
		// Versions whose successor held already.
		{&n.Captures, r.Captures, `DELETE FROM documents WHERE (partner, site, doctype, name, version) IN (
			SELECT d.partner, d.site, d.doctype, d.name, d.version FROM documents AS n JOIN documents AS d
			ON d.partner = n.partner AND d.site = n.site AND d.doctype = n.doctype AND d.name = n.name AND d.version = n.version - 1
			WHERE n.seen <= $1 LIMIT $2)`},
		// What is left of records that were gone is their tombstone; its head
		// goes last, so that a cut between the two is finished by the next.
		{&n.Captures, r.Captures, `DELETE FROM documents WHERE (partner, site, doctype, name, version) IN (
			SELECT d.partner, d.site, d.doctype, d.name, d.version FROM heads AS h JOIN documents AS d
			ON d.partner = h.partner AND d.site = h.site AND d.doctype = h.doctype AND d.name = h.name
			WHERE h.gone = 1 AND h.seen <= $1 LIMIT $2)`},
		{new(int64), r.Captures, `DELETE FROM heads WHERE (partner, site, doctype, name) IN (
			SELECT partner, site, doctype, name FROM heads WHERE gone = 1 AND seen <= $1 LIMIT $2)`},
		{new(int64), r.Captures, `DELETE FROM reach WHERE (partner, site, seen) IN (
			SELECT o.partner, o.site, o.seen FROM reach AS o WHERE o.seen < (
				SELECT MAX(n.seen) FROM reach AS n WHERE n.partner = o.partner AND n.site = o.site AND n.seen <= $1) LIMIT $2)`},
		{new(int64), r.Captures, `DELETE FROM reach_bodies WHERE $1 > 0 AND sha256 IN (
			SELECT b.sha256 FROM reach_bodies AS b WHERE NOT EXISTS (SELECT 1 FROM reach AS r WHERE r.sha256 = b.sha256) LIMIT $2)`},
		{new(int64), r.Captures, `DELETE FROM inputs WHERE (kind, subject, seen) IN (
			SELECT o.kind, o.subject, o.seen FROM inputs AS o WHERE o.seen < (
				SELECT MAX(n.seen) FROM inputs AS n WHERE n.kind = o.kind AND n.subject = o.subject AND n.seen <= $1) LIMIT $2)`},
		{&n.Assessments, r.Assessments, `DELETE FROM assessments WHERE id IN (SELECT id FROM assessments WHERE held_until < $1 LIMIT $2)`},
		{new(int64), r.Assessments, `DELETE FROM alerts WHERE key IN (SELECT key FROM alerts WHERE resolved <> 0 AND resolved < $1 LIMIT $2)`},
		{new(int64), r.Assessments, `DELETE FROM brakes WHERE id IN (SELECT id FROM brakes WHERE released <> 0 AND released < $1 LIMIT $2)`},
		{&n.Outbox, r.Assessments, `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state = 'dropped' AND ended < $1 LIMIT $2)`},
		{&n.Outbox, r.Outbox, `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state IN ('sent', 'replaced') AND ended < $1 LIMIT $2)`},
	}
	for _, st := range steps {
		if err := cut(st.count, st.before, st.text); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Check reads the whole database and fails with ErrCorrupt, naming the first
// fault, when a part of it is damaged. It may take seconds for each gigabyte.
func (s *Store) Check(ctx context.Context) error {
	return s.fail("check", checkSQLite(ctx, s.read))
}

func checkSQLite(ctx context.Context, db *sql.DB) error {
	faults, err := query(ctx, db, scanString, `PRAGMA integrity_check(1)`)
	if err != nil {
		return err
	}
	if len(faults) != 1 || faults[0] != "ok" {
		return fmt.Errorf("%w: %v; stop prmsync, keep the file for inspection and restore a backup with `prmsync restore`", ErrCorrupt, faults)
	}
	return nil
}

// Backup writes a checked copy of the database, as of one instant, to a new
// file at path, while others go on reading and writing. It appears there whole
// or not at all.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	op := "back up to " + path
	if _, err := os.Lstat(path); err == nil {
		return s.fail(op, fmt.Errorf("%w: choose a path where nothing is yet", os.ErrExist))
	}
	part := path + ".partial"
	if err := os.Remove(part); err != nil && !os.IsNotExist(err) {
		return s.fail(op, pathCause(err))
	}
	// Created first, for its permissions: it holds what partners' sites said.
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return s.fail(op, pathCause(err))
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	if _, err := s.read.ExecContext(ctx, `VACUUM INTO $1`, part); err != nil {
		return s.fail(op, err)
	}
	copied, err := openReader(part)
	if err != nil {
		return s.fail(op, err)
	}
	err = checkSQLite(ctx, copied)
	_ = copied.Close()
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = moveInto(part, path)
	}
	return s.fail(op, err)
}

// Restore puts the backup in the place of the database that url names, after
// checking that it is whole and that this build knows its tables. Nobody may
// have the database open for writing (ErrInUse). What it replaces stays beside
// it as PATH.replaced.
func Restore(ctx context.Context, backup, url string) (err error) {
	path, err := sqlitePath(url)
	if err != nil {
		return err
	}
	if path == memory {
		return fmt.Errorf("restore: %s is kept nowhere; set PRMSYNC_DATABASE_URL to a path", memory)
	}
	_, statErr := os.Stat(path)
	src, err := readSQLiteAny(ctx, backup)
	if err != nil {
		return err
	}
	err = src.Check(ctx)
	_ = src.Close()
	if err != nil {
		return err
	}
	lock, err := takeLock(path)
	if err != nil {
		return err
	}
	defer func() { _ = lock.release() }()
	fail := (&Store{name: path}).fail
	part := path + ".restoring"
	if err := copyFile(backup, part); err != nil {
		return fail("restore "+backup, err)
	}
	if statErr == nil {
		if err := setAside(ctx, path, path+".replaced"); err != nil {
			return fail("restore "+backup, err)
		}
	}
	return fail("restore "+backup, moveInto(part, path))
}
