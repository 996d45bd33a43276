package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Errors that callers can match. Each comes wrapped in a message that names the
// database, what is wrong and what helps.
var (
	ErrInUse    = errors.New("in use by another process")
	ErrCorrupt  = errors.New("damaged")
	ErrFull     = errors.New("no space left")
	ErrReadOnly = errors.New("not writable")
	ErrNewer    = errors.New("written by a newer prmsync")
	ErrForeign  = errors.New("not a database of prmsync")
	ErrOutdated = errors.New("written by an older prmsync")
	ErrNotFound = errors.New("not found")
)

// Options changes how a store is opened. The zero value is right for a daemon.
type Options struct {
	// MaxBytes bounds the database file; writes beyond it fail with ErrFull and
	// leave what is there readable. 0 sets no bound.
	MaxBytes int64
}

// Store is an open database. It is safe for concurrent use; writers queue.
type Store struct {
	name  string  // the database as people know it, for errors
	path  string  // of the SQLite file; "" in memory
	write *sql.DB // nil when opened for reading
	read  *sql.DB
	lock  *fileLock

	stmts map[string]*sql.Stmt // hot ones on write, by their text; fixed after Open
}

// Open opens the database for writing, creates it when it is not there and
// brings its tables up to date. The url is "sqlite:PATH", or "sqlite::memory:"
// for one that is forgotten at Close. A second Open of the same file, by this
// or another process, fails with ErrInUse; a file of a newer prmsync with
// ErrNewer; something else than our database with ErrForeign or ErrCorrupt.
// The caller closes the Store.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	return openSQLite(ctx, path, o)
}

// OpenBeside opens an existing database for the small decisions of a person
// (Requeue, Drop, ReleaseBrake) beside the process that runs it: no lock is
// taken, and tables of another version are refused. The caller closes the Store.
func OpenBeside(ctx context.Context, url string) (*Store, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	return besideSQLite(ctx, path)
}

// OpenReadOnly opens an existing database beside the process that writes it.
// Calls that write fail with ErrReadOnly. The caller closes the Store.
func OpenReadOnly(ctx context.Context, url string) (*Store, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	return readSQLite(ctx, path)
}

// Close ends the use of the database and gives up the lock.
func (s *Store) Close() error {
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	if s.read != nil && s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		// Last, so that the final checkpoint finds no reader.
		errs = append(errs, s.write.Close())
	}
	errs = append(errs, s.lock.release())
	return s.fail("close", errors.Join(errs...))
}

// Name returns the database as errors name it: a path or ":memory:".
func (s *Store) Name() string { return s.name }

// migrate brings the tables up to date. A database that knows more migrations
// than this build is refused: its rows may mean something else.
func (s *Store) migrate(ctx context.Context, d goose.Dialect) error {
	dir, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d, s.write, dir)
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if err := s.checkVersion(have, true); err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// newest is the number of the last migration that this build carries.
func newest() (int64, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	var last int64
	for _, n := range names {
		v, err := goose.NumericComponent(n)
		if err != nil {
			return 0, err
		}
		last = max(last, v)
	}
	return last, nil
}

func (s *Store) checkVersion(have int64, mayMigrate bool) error {
	want, err := newest()
	if err != nil {
		return err
	}
	switch {
	case have > want:
		return fmt.Errorf("%w: its tables are version %d, this build knows %d; run the newer prmsync, or restore the backup that was made before the upgrade", ErrNewer, have, want)
	case have < want && !mayMigrate:
		return fmt.Errorf("%w: its tables are version %d, this build needs %d; start `prmsync run` or `prmsync once` with this build first", ErrOutdated, have, want)
	}
	return nil
}

// fail wraps err with what was being done and the database's name, and adds
// what a person can do where the database's own error says too little.
func (s *Store) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", s.name, op, explain(err))
}

// tx runs fn in one write transaction; an error of fn undoes all of it.
func (s *Store) tx(ctx context.Context, op string, fn func(tx *sql.Tx) error) error {
	if s.write == nil {
		return fmt.Errorf("%s: %s: %w: it was opened for reading", s.name, op, ErrReadOnly)
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.fail(op, err)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback() // the error that led here says more
		return s.fail(op, err)
	}
	return s.fail(op, tx.Commit())
}

// prepare makes the statements of hot paths ready once per Store.
func (s *Store) prepare(ctx context.Context, queries ...string) error {
	for _, q := range queries {
		st, err := s.write.PrepareContext(ctx, q)
		if err != nil {
			return err
		}
		s.stmts[q] = st
	}
	return nil
}

// exec runs text in the transaction, through its prepared statement if it has
// one.
func (s *Store) exec(ctx context.Context, tx *sql.Tx, text string, args ...any) error {
	var err error
	if st := s.stmts[text]; st != nil {
		_, err = tx.StmtContext(ctx, st).ExecContext(ctx, args...)
	} else {
		_, err = tx.ExecContext(ctx, text, args...)
	}
	return err
}

// number hands out n consecutive numbers of a series and returns the first.
func number(ctx context.Context, tx *sql.Tx, series string, n int) (int64, error) {
	var last int64
	err := tx.QueryRowContext(ctx, `INSERT INTO counters (name, last) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET last = counters.last + excluded.last RETURNING last`, series, n).Scan(&last)
	return last - int64(n) + 1, err
}

// query reads all rows with scan, so that no connection stays held.
func query[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), text string, args ...any) (_ []T, err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, rows.Close()) }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tuples returns n row values of width placeholders: ($1,$2),($3,$4).
func tuples(n, width int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for j := range width {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(i*width + j + 1))
		}
		b.WriteByte(')')
	}
	return b.String()
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// text makes foreign text fit for TEXT columns: PostgreSQL refuses broken UTF-8
// and NUL, and a name that cannot be stored must not stop a stream.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// encode returns v as JSON without the escapes that only HTML needs.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
