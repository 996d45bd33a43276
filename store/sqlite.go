package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const memory = ":memory:"

func sqlitePath(raw string) (string, error) {
	scheme, rest, ok := strings.Cut(raw, ":")
	switch {
	case ok && scheme == "sqlite" && rest == memory:
		return memory, nil
	case ok && scheme == "sqlite" && rest != "":
		return filepath.Clean(rest), nil
	case ok && scheme != "sqlite":
		// Only the scheme: the rest of a URL may hold a password.
		return "", fmt.Errorf("database url: %q is not supported by this build; use sqlite:PATH", scheme)
	}
	return "", errors.New("database url: no path; use sqlite:PATH")
}

// dsn builds the driver's name for the file. Pragmas are part of it because
// each new connection needs them again.
func dsn(path string, params url.Values, pragmas ...string) string {
	for _, p := range pragmas {
		params.Add("_pragma", p)
	}
	if path == memory {
		return "file::memory:?" + params.Encode()
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + params.Encode()
}

func openSQLite(ctx context.Context, path string, o Options) (_ *Store, err error) {
	s := &Store{name: path, stmts: map[string]*sql.Stmt{}}
	pragmas := []string{"busy_timeout(5000)", "temp_store(MEMORY)"}
	if o.MaxBytes > 0 {
		pragmas = append(pragmas, "max_page_count("+strconv.FormatInt(max(o.MaxBytes/4096, 64), 10)+")")
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if path != memory {
		s.path = path
		if s.lock, err = takeLock(path); err != nil {
			return nil, err
		}
		if err := checkHeader(path); err != nil {
			return nil, s.fail("open", err)
		}
		// FULL: an acknowledged capture must survive a power cut. The WAL is cut
		// back after a burst.
		pragmas = append(pragmas, "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)")
	}
	if path != memory {
		// Looked at through a reader first: opening for writing already turns a
		// stranger's file into one with a write-ahead log.
		if s.read, err = openReader(path); err != nil {
			return nil, s.fail("open", err)
		}
		if err := s.checkOurs(ctx, s.read, true); err != nil {
			return nil, s.fail("open", err)
		}
	}
	s.write, err = sql.Open("sqlite", dsn(path, url.Values{"_txlock": {"immediate"}}, pragmas...))
	if err != nil {
		return nil, s.fail("open", err)
	}
	s.write.SetMaxOpenConns(1)
	if path == memory {
		s.read = s.write
	}
	if err := s.migrate(ctx, goose.DialectSQLite3); err != nil {
		return nil, s.fail("open", err)
	}
	if err := s.prepare(ctx, hotStatements()...); err != nil {
		return nil, s.fail("open", err)
	}
	return s, nil
}

func openReader(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"ro"}}, "busy_timeout(5000)", "temp_store(MEMORY)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db, nil
}

func readSQLite(ctx context.Context, path string) (*Store, error) { return reader(ctx, path, false) }

// readSQLiteAny opens a backup, whose tables may be older than this build's.
func readSQLiteAny(ctx context.Context, path string) (*Store, error) { return reader(ctx, path, true) }

func reader(ctx context.Context, path string, mayBeOlder bool) (_ *Store, err error) {
	s := &Store{name: path, path: path}
	if path == memory {
		return nil, s.fail("open", errors.New("a database in memory cannot be read by another process"))
	}
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		return nil, s.fail("open", fmt.Errorf("%w: prmsync run or prmsync once makes it; or set PRMSYNC_DATABASE_URL to where it is", os.ErrNotExist))
	case err != nil:
		return nil, s.fail("open", pathCause(err))
	}
	if err := checkHeader(path); err != nil {
		return nil, s.fail("open", err)
	}
	if s.read, err = openReader(path); err != nil {
		return nil, s.fail("open", err)
	}
	if err := s.checkOurs(ctx, s.read, mayBeOlder); err != nil {
		_ = s.Close()
		return nil, s.fail("open", err)
	}
	return s, nil
}

// checkHeader tells a file of something else, or one whose first page is torn,
// before anything writes to it. An empty or missing file is a new database.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return pathCause(err)
	}
	defer f.Close()
	head := make([]byte, 16)
	switch n, err := io.ReadFull(f, head); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil
	case err != nil, string(head) != "SQLite format 3\x00":
		return fmt.Errorf("%w: the file does not begin as an SQLite database; if it was one, restore a backup with `prmsync restore`", ErrCorrupt)
	}
	return nil
}

// checkOurs refuses a database of another program, and of another version.
func (s *Store) checkOurs(ctx context.Context, db *sql.DB, mayMigrate bool) error {
	var tables, ours int64
	err := db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN name IN ('goose_db_version', 'documents') THEN 1 ELSE 0 END), 0)
		FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`).Scan(&tables, &ours)
	if err != nil {
		return err
	}
	if tables == 0 && s.lock != nil {
		return nil // new
	}
	if ours == 0 {
		return fmt.Errorf("%w; set PRMSYNC_DATABASE_URL to another path", ErrForeign)
	}
	var have int64
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied = 1`).Scan(&have); err != nil {
		return err
	}
	return s.checkVersion(have, mayMigrate)
}

// explain adds to SQLite's own words the error that callers match, and what a
// person can do.
func explain(err error) error {
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("%w: %w; stop prmsync, keep the file for inspection and restore a backup with `prmsync restore`", ErrCorrupt, err)
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("%w: %w; nothing of this step was kept, what was there is unharmed; free some space", ErrFull, err)
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			return fmt.Errorf("%w: %w; let prmsync's user write the file and its directory", ErrReadOnly, err)
		case sqlite3.SQLITE_CANTOPEN:
			return fmt.Errorf("%w; the directory must exist and prmsync's user must be able to write it", err)
		case sqlite3.SQLITE_BUSY:
			return fmt.Errorf("%w: %w; another program holds the file, a backup tool perhaps", ErrInUse, err)
		case sqlite3.SQLITE_IOERR:
			if errors.Is(err, syscall.ENOSPC) {
				return fmt.Errorf("%w: %w", ErrFull, err)
			}
		}
	}
	return err
}

// pathCause keeps the cause of a file error; the caller names the path.
func pathCause(err error) error {
	pe, ok := errors.AsType[*os.PathError](err)
	if !ok {
		return err
	}
	switch {
	case errors.Is(pe.Err, syscall.EROFS), errors.Is(pe.Err, os.ErrPermission):
		return fmt.Errorf("%w: %w; let prmsync's user write the file and its directory", ErrReadOnly, pe.Err)
	case errors.Is(pe.Err, os.ErrNotExist):
		return fmt.Errorf("%w; create its directory, or set PRMSYNC_DATABASE_URL to another path", pe.Err)
	case errors.Is(pe.Err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w; free some space", ErrFull, pe.Err)
	}
	return pe.Err
}

// copyFile copies a file durably to a path where nothing else is expected.
func copyFile(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return pathCause(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return pathCause(err)
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	return pathCause(errors.Join(err, dst.Close()))
}

// setAside gives the database at path a second name, and its write-ahead log,
// which must not meet the file that comes in its place, only that name.
func setAside(ctx context.Context, path, to string) error {
	// Most of the log gets into the file here; a damaged one is kept as it is.
	if db, err := sql.Open("sqlite", dsn(path, url.Values{}, "busy_timeout(5000)")); err == nil {
		_, _ = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
		_ = db.Close()
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(to + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return pathCause(err)
		}
	}
	if err := os.Link(path, to); err != nil {
		return err
	}
	if err := os.Rename(path+"-wal", to+"-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Remove(path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return pathCause(err)
	}
	return nil
}

// moveInto renames durably.
func moveInto(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return pathCause(err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// besideSQLite opens an existing database for small writes beside the process
// that runs: SQLite lets one transaction write at a time, whoever's it is.
func besideSQLite(ctx context.Context, path string) (*Store, error) {
	s, err := readSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	s.stmts = map[string]*sql.Stmt{}
	s.write, err = sql.Open("sqlite", dsn(path, url.Values{"_txlock": {"immediate"}}, "busy_timeout(5000)", "temp_store(MEMORY)", "synchronous(FULL)"))
	if err != nil {
		_ = s.Close()
		return nil, s.fail("open", err)
	}
	s.write.SetMaxOpenConns(1)
	return s, nil
}
