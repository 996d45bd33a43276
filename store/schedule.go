package store

import (
	"context"
	"database/sql"
	"time"
)

// Job is one thing that comes due again and again. Its due time is this row,
// so a crash loses nothing: what was due stays due.
type Job struct {
	Name      string // "poll:meridian"
	Spec      string // the schedule it was computed from
	NextDue   time.Time
	LastStart time.Time // zero: never
	LastEnd   time.Time // zero: never; before LastStart: running, or killed
	Failures  int       // in a row; a start that never finished counts as one
	LastError string
}

const (
	selectJobs = `SELECT job, spec, next_due, last_start, last_end, failures, last_error FROM schedule `
	upsertJob  = `INSERT INTO schedule (job, spec, next_due, last_start, last_end, failures, last_error) VALUES ($1,$2,$3,0,0,0,'')
		ON CONFLICT (job) DO UPDATE SET spec = excluded.spec, next_due = excluded.next_due WHERE schedule.spec <> excluded.spec`
)

// EnsureJobs makes the schedule hold exactly these jobs. A new one, and one
// whose Spec changed, is due at its NextDue; the others keep their due times;
// jobs that are not among them are removed.
func (s *Store) EnsureJobs(ctx context.Context, jobs []Job) error {
	return s.tx(ctx, "set up schedule", func(tx *sql.Tx) error {
		wanted := map[string]bool{}
		for _, j := range jobs {
			wanted[j.Name] = true
			if err := s.exec(ctx, tx, upsertJob, j.Name, j.Spec, micros(j.NextDue)); err != nil {
				return err
			}
		}
		have, err := query(ctx, tx, scanString, `SELECT job FROM schedule`)
		if err != nil {
			return err
		}
		for _, name := range have {
			if wanted[name] {
				continue
			}
			if err := s.exec(ctx, tx, `DELETE FROM schedule WHERE job = $1`, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Due returns the jobs that are due at now, the one due longest first.
func (s *Store) Due(ctx context.Context, now time.Time) ([]Job, error) {
	js, err := query(ctx, s.read, scanJob, selectJobs+`WHERE next_due <= $1 ORDER BY next_due, job`, micros(now))
	return js, s.fail("read schedule", err)
}

// Jobs returns the whole schedule, by name.
func (s *Store) Jobs(ctx context.Context) ([]Job, error) {
	js, err := query(ctx, s.read, scanJob, selectJobs+`ORDER BY job`)
	return js, s.fail("read schedule", err)
}

func scanJob(r *sql.Rows) (j Job, err error) {
	var due, start, end int64
	err = r.Scan(&j.Name, &j.Spec, &due, &start, &end, &j.Failures, &j.LastError)
	j.NextDue, j.LastStart, j.LastEnd = instant(due), instant(start), instant(end)
	return j, err
}

// Start records that the job was begun at. It stays due until Finish, so that a
// kill has it run again; a start on top of one that never finished counts as a
// failure, so that a job which kills the process is noticed.
func (s *Store) Start(ctx context.Context, job string, at time.Time) error {
	return s.tx(ctx, "start "+job, func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `UPDATE schedule SET
			failures = CASE WHEN last_start > last_end THEN failures + 1 ELSE failures END,
			last_error = CASE WHEN last_start > last_end THEN 'the run before was cut off' ELSE last_error END,
			last_start = $1 WHERE job = $2`, micros(at), job)
	})
}

// Finish records the job's end and when it is due next. A nil cause counts as
// success; another one is kept as text, which must hold no secret. A job that
// was removed meanwhile stays removed.
func (s *Store) Finish(ctx context.Context, job string, at, next time.Time, cause error) error {
	message := ""
	if cause != nil {
		message = text(cause.Error())
	}
	return s.tx(ctx, "finish "+job, func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `UPDATE schedule SET last_end = $1, next_due = $2, last_error = $3,
			failures = CASE WHEN $3 = '' THEN 0 ELSE failures + 1 END WHERE job = $4`, micros(at), micros(next), message, job)
	})
}
