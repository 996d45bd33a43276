package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prmsync/prmsync/rules/plan"
)

// State is what has become of a change in the outbox.
type State string

// The states. Waiting and Parked changes are open; the others are history.
const (
	Waiting  State = "waiting"  // to be sent, now or at NextAt
	Parked   State = "parked"   // a person must act: requeue or drop it
	Sent     State = "sent"     // the PRM has it
	Dropped  State = "dropped"  // a person decided against it
	Replaced State = "replaced" // a newer change of the same record took its place
)

// Queued is one change in the outbox.
type Queued struct {
	ID       int64 // stable; what `outbox retry` and `outbox drop` take
	Change   plan.Change
	Created  time.Time // when it was first queued
	Attempts int
	NextAt   time.Time // not to be sent before; zero: at once
	State    State
	Ended    time.Time // when it was sent, dropped or replaced
	Error    string    // of the last attempt, or why it is parked
}

// Order of delivery, decided here once:
//
//   - Within a partner, changes go in the order of the partner's newest plan,
//     because later records link to earlier ones.
//   - A change that backs off holds back everything after it of the same
//     partner; other partners go on.
//   - A parked change holds back only later changes of the same record: it may
//     wait for days, and the rest must not.
//   - A newer change of a record takes the place of one that is still open
//     (attachments: of the same file name), even if parked: it is new matter and
//     deserves an attempt. A change with the same key keeps its attempts.
//   - A dropped change stays dropped while it is planned again unaltered and
//     nothing else happened to its record.

// enqueue adds the changes of one plan in its order and returns how many were
// not there before.
func (s *Store) enqueue(ctx context.Context, tx *sql.Tx, partner string, changes []plan.Change, whole bool, now time.Time) (int, error) {
	open, err := query(ctx, tx, func(r *sql.Rows) (o openRow, err error) {
		err = r.Scan(&o.id, &o.key, &o.doctype, &o.name, &o.file)
		return o, err
	}, `SELECT id, idem_key, doctype, name, file FROM outbox WHERE partner = $1 AND state IN ('waiting', 'parked')`, partner)
	if err != nil {
		return 0, err
	}
	if len(changes) == 0 && (!whole || len(open) == 0) {
		return 0, nil
	}
	byKey := map[string]openRow{}
	for _, o := range open {
		byKey[o.key] = o
	}
	seq, err := number(ctx, tx, "outbox.seq", max(len(changes), 1))
	if err != nil {
		return 0, err
	}
	planned := map[string]bool{}
	targets := map[target]bool{}
	added := 0
	for i, c := range changes {
		if c.Key == "" || c.Doctype == "" {
			return 0, fmt.Errorf("change %q of %q: a change needs its key and doctype", c.Key, c.Doctype)
		}
		if planned[c.Key] {
			continue
		}
		planned[c.Key] = true
		to := target{c.Doctype, c.Name, fileOf(c)}
		targets[to] = true
		if o, ok := byKey[c.Key]; ok {
			if err := s.exec(ctx, tx, `UPDATE outbox SET seq = $1 WHERE id = $2`, seq+int64(i), o.id); err != nil {
				return 0, err
			}
			continue
		}
		refused, err := dropped(ctx, tx, to, c.Key)
		if err != nil {
			return 0, err
		}
		if refused {
			continue
		}
		body, err := encode(c)
		if err != nil {
			return 0, fmt.Errorf("change %s: %w", c.Key, err)
		}
		id, err := number(ctx, tx, "outbox.id", 1)
		if err != nil {
			return 0, err
		}
		// The key may be open in another partner's queue: a record of no partner
		// that two plans want. Once is enough.
		err = tx.QueryRowContext(ctx, `INSERT INTO outbox (id, seq, partner, idem_key, doctype, name, file, body, created, attempts, next_at, state, ended, last_error)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,0,0,'waiting',0,'') ON CONFLICT DO NOTHING RETURNING id`,
			id, seq+int64(i), partner, c.Key, c.Doctype, c.Name, to.file, body, micros(now)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("change %s: %w", c.Key, err)
		}
		added++
	}
	for _, o := range open {
		// Rows of this very plan are kept beside each other: an update and an
		// attachment, an insert and the save that follows it.
		if planned[o.key] || (!whole && !targets[target{o.doctype, o.name, o.file}]) {
			continue
		}
		if err := s.exec(ctx, tx, `UPDATE outbox SET state = 'replaced', ended = $1 WHERE id = $2`, micros(now), o.id); err != nil {
			return 0, err
		}
	}
	return added, nil
}

type openRow struct {
	id                       int64
	key, doctype, name, file string
}

type target struct{ doctype, name, file string }

func fileOf(c plan.Change) string {
	if c.Op == plan.Attach || c.Op == plan.Assign {
		return c.FileName
	}
	return ""
}

// dropped reports whether a person's refusal of this very change still stands.
func dropped(ctx context.Context, tx *sql.Tx, to target, key string) (bool, error) {
	var lastKey string
	var state State
	err := tx.QueryRowContext(ctx, `SELECT idem_key, state FROM outbox WHERE doctype = $1 AND name = $2 AND file = $3 ORDER BY id DESC LIMIT 1`,
		to.doctype, to.name, to.file).Scan(&lastKey, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return state == Dropped && lastKey == key, err
}

const selectQueued = `SELECT id, body, created, attempts, next_at, state, ended, last_error FROM outbox `

func scanQueued(r *sql.Rows) (q Queued, err error) {
	var body string
	var created, next, ended int64
	if err := r.Scan(&q.ID, &body, &created, &q.Attempts, &next, &q.State, &ended, &q.Error); err != nil {
		return q, err
	}
	q.Created, q.NextAt, q.Ended = instant(created), instant(next), instant(ended)
	if err := json.Unmarshal([]byte(body), &q.Change); err != nil {
		return q, errors.Join(ErrCorrupt, fmt.Errorf("outbox change %d: %w", q.ID, err))
	}
	return q, nil
}

// Waiting returns up to limit changes of the partner ("" for records of no
// partner) that may be sent at now, in the order in which they must be sent: it
// ends before the first change that backs off, and leaves out those behind a
// parked change of the same record. Values in Fields are those of JSON: float64
// for numbers, []any of map[string]any for tables.
func (s *Store) Waiting(ctx context.Context, partner string, now time.Time, limit int) ([]Queued, error) {
	qs, err := query(ctx, s.read, scanQueued, selectQueued+`AS o WHERE state = 'waiting' AND partner = $1
		AND seq < COALESCE((SELECT MIN(seq) FROM outbox AS b WHERE b.state = 'waiting' AND b.partner = $1 AND b.next_at > $2), 9223372036854775807)
		AND NOT EXISTS (SELECT 1 FROM outbox AS p WHERE p.doctype = o.doctype AND p.name = o.name AND p.state = 'parked' AND p.seq < o.seq)
		ORDER BY seq LIMIT $3`, partner, micros(now), limit)
	return qs, s.fail("read outbox of "+partner, err)
}

// WaitingPartners returns the partners whose first waiting change may be sent
// at now, the one that has waited longest first.
func (s *Store) WaitingPartners(ctx context.Context, now time.Time) ([]string, error) {
	ps, err := query(ctx, s.read, scanString, `SELECT o.partner FROM outbox AS o WHERE o.state = 'waiting'
		AND o.seq = (SELECT MIN(f.seq) FROM outbox AS f WHERE f.state = 'waiting' AND f.partner = o.partner) AND o.next_at <= $1
		ORDER BY o.created, o.seq`, micros(now))
	return ps, s.fail("read outbox", err)
}

func scanString(r *sql.Rows) (v string, err error) {
	err = r.Scan(&v)
	return v, err
}

// Delivery is a change that the PRM has, with what it then held.
type Delivery struct {
	ID int64
	// Known, when not nil, becomes what is known of the record: its Fields are
	// laid over those known before, Name, Modified and Written replace them.
	Known *plan.Known
}

// Sent marks changes as sent and records what the PRM holds since, in one
// transaction. Telling it twice changes nothing; a change that was replaced or
// dropped while it was under way counts as sent, because it was.
func (s *Store) Sent(ctx context.Context, at time.Time, done ...Delivery) error {
	return s.tx(ctx, "mark as sent", func(tx *sql.Tx) error {
		for _, d := range done {
			var partner string
			err := tx.QueryRowContext(ctx, `UPDATE outbox SET state = 'sent', ended = $1, attempts = attempts + 1, last_error = ''
				WHERE id = $2 AND state <> 'sent' RETURNING partner`, micros(at), d.ID).Scan(&partner)
			if errors.Is(err, sql.ErrNoRows) {
				continue // sent before, and known then
			}
			if err != nil {
				return err
			}
			if d.Known == nil {
				continue
			}
			if err := s.overlayKnown(ctx, tx, partner, *d.Known); err != nil {
				return err
			}
		}
		return nil
	})
}

// Retry has the change wait until next after a failed attempt; message is kept
// for people and must hold no secret. It does nothing to a change that is no
// longer waiting.
func (s *Store) Retry(ctx context.Context, id int64, next time.Time, message string) error {
	return s.tx(ctx, "retry later", func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `UPDATE outbox SET attempts = attempts + 1, next_at = $1, last_error = $2 WHERE id = $3 AND state = 'waiting'`,
			micros(next), text(message), id)
	})
}

// Hasten makes every waiting change due. A restart calls it: what made the PRM
// refuse (a key, an address) may be what the restart has mended.
func (s *Store) Hasten(ctx context.Context) error {
	return s.tx(ctx, "hasten", func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `UPDATE outbox SET next_at = 0 WHERE state = 'waiting' AND next_at > 0`)
	})
}

// Park sets the change aside until a person requeues or drops it, or a newer
// one takes its place.
func (s *Store) Park(ctx context.Context, id int64, reason string) error {
	return s.tx(ctx, "park", func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `UPDATE outbox SET attempts = attempts + 1, state = 'parked', last_error = $1 WHERE id = $2 AND state = 'waiting'`,
			text(reason), id)
	})
}

// List returns the changes in the state, of one partner or of all ("*"), in the
// order in which they are or were to be sent; at most limit, 0 for all.
func (s *Store) List(ctx context.Context, partner string, state State, limit int) ([]Queued, error) {
	if limit <= 0 {
		limit = 1 << 30
	}
	qs, err := query(ctx, s.read, scanQueued, selectQueued+`WHERE state = $1 AND (partner = $2 OR $2 = '*') ORDER BY seq LIMIT $3`, state, partner, limit)
	return qs, s.fail("list outbox", err)
}

// OpenChanges returns the partner's changes of one doctype that are not sent yet,
// parked ones included, in the order in which they are to be sent.
func (s *Store) OpenChanges(ctx context.Context, partner, doctype string) ([]plan.Change, error) {
	qs, err := query(ctx, s.read, scanQueued, selectQueued+`WHERE state IN ('waiting', 'parked') AND partner = $1 AND doctype = $2 ORDER BY seq`, partner, doctype)
	if err != nil {
		return nil, s.fail("read open changes of "+partner, err)
	}
	out := make([]plan.Change, len(qs))
	for i, q := range qs {
		out[i] = q.Change
	}
	return out, nil
}

// Requeue makes open changes due at once, with their attempts counted anew. It
// fails with ErrNotFound, and changes nothing, when one of them is not open.
func (s *Store) Requeue(ctx context.Context, ids ...int64) error {
	return s.tx(ctx, "requeue", func(tx *sql.Tx) error {
		for _, id := range ids {
			if err := changedOne(id, tx.QueryRowContext(ctx, `UPDATE outbox SET state = 'waiting', attempts = 0, next_at = 0
				WHERE id = $1 AND state IN ('waiting', 'parked') RETURNING id`, id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Drop gives open changes up: they are not sent, and not queued again while
// they are planned unaltered. It fails with ErrNotFound, and changes nothing,
// when one of them is not open.
func (s *Store) Drop(ctx context.Context, at time.Time, ids ...int64) error {
	return s.tx(ctx, "drop", func(tx *sql.Tx) error {
		for _, id := range ids {
			if err := changedOne(id, tx.QueryRowContext(ctx, `UPDATE outbox SET state = 'dropped', ended = $1
				WHERE id = $2 AND state IN ('waiting', 'parked') RETURNING id`, micros(at), id)); err != nil {
				return err
			}
		}
		return nil
	})
}

func changedOne(id int64, row *sql.Row) error {
	err := row.Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("change %d: %w among the open ones; `prmsync outbox list` shows them", id, ErrNotFound)
	}
	return err
}

// Depth is how full one partner's outbox is.
type Depth struct {
	Partner string
	Waiting int
	Parked  int
	Oldest  time.Time // when the longest waiting change was queued; zero when none waits
}

// Depths returns how full the outbox is, for each partner with an open change.
func (s *Store) Depths(ctx context.Context) ([]Depth, error) {
	ds, err := query(ctx, s.read, func(r *sql.Rows) (d Depth, err error) {
		var oldest int64
		err = r.Scan(&d.Partner, &d.Waiting, &d.Parked, &oldest)
		d.Oldest = instant(oldest)
		return d, err
	}, `SELECT partner, SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), SUM(CASE WHEN state = 'parked' THEN 1 ELSE 0 END),
		COALESCE(MIN(CASE WHEN state = 'waiting' THEN created END), 0)
		FROM outbox WHERE state IN ('waiting', 'parked') GROUP BY partner ORDER BY partner`)
	return ds, s.fail("measure outbox", err)
}

// Known returns what the PRM is believed to hold for the partner ("" for
// records of no partner), by doctype and key.
func (s *Store) Known(ctx context.Context, partner string) ([]plan.Known, error) {
	ks, err := query(ctx, s.read, scanKnown, selectKnown+`WHERE partner = $1 ORDER BY doctype, key`, partner)
	return ks, s.fail("read known records of "+partner, err)
}

// KnownRecord returns what the PRM is believed to hold of one record.
func (s *Store) KnownRecord(ctx context.Context, doctype, key string) (plan.Known, bool, error) {
	ks, err := query(ctx, s.read, scanKnown, selectKnown+`WHERE doctype = $1 AND key = $2`, doctype, key)
	if err != nil || len(ks) == 0 {
		return plan.Known{}, false, s.fail("read known record", err)
	}
	return ks[0], true, nil
}

// PutKnown records what was read back from the PRM: it replaces what was known.
func (s *Store) PutKnown(ctx context.Context, partner string, known ...plan.Known) error {
	if len(known) == 0 {
		return nil
	}
	return s.tx(ctx, "keep known records of "+partner, func(tx *sql.Tx) error {
		for _, k := range known {
			if err := s.putKnown(ctx, tx, partner, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// Forget removes what is known of a record that is no longer on the PRM.
func (s *Store) Forget(ctx context.Context, doctype, key string) error {
	return s.tx(ctx, "forget known record", func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `DELETE FROM known WHERE doctype = $1 AND key = $2`, doctype, key)
	})
}

const selectKnown = `SELECT doctype, key, name, modified, written, body FROM known `

func scanKnown(r *sql.Rows) (k plan.Known, err error) {
	var written int64
	var body string
	if err := r.Scan(&k.Doctype, &k.Key, &k.Name, &k.Modified, &written, &body); err != nil {
		return k, err
	}
	k.Written = instant(written)
	if err := json.Unmarshal([]byte(body), &k.Fields); err != nil {
		return k, errors.Join(ErrCorrupt, fmt.Errorf("known %s %q: %w", k.Doctype, k.Key, err))
	}
	return k, nil
}

func (s *Store) overlayKnown(ctx context.Context, tx *sql.Tx, partner string, k plan.Known) error {
	before, err := query(ctx, tx, scanKnown, selectKnown+`WHERE doctype = $1 AND key = $2`, k.Doctype, k.Key)
	if err != nil {
		return err
	}
	if len(before) == 1 && before[0].Fields != nil {
		fields := before[0].Fields
		for f, v := range k.Fields {
			fields[f] = v
		}
		k.Fields = fields
	}
	return s.putKnown(ctx, tx, partner, k)
}

func (s *Store) putKnown(ctx context.Context, tx *sql.Tx, partner string, k plan.Known) error {
	if k.Fields == nil {
		k.Fields = map[string]any{}
	}
	body, err := encode(k.Fields)
	if err != nil {
		return fmt.Errorf("known %s %q: %w", k.Doctype, k.Key, err)
	}
	return s.exec(ctx, tx, `INSERT INTO known (doctype, key, partner, name, modified, written, body) VALUES ($1,$2,$3,$4,$5,$6,$7)
		ON CONFLICT (doctype, key) DO UPDATE SET partner = excluded.partner, name = excluded.name, modified = excluded.modified,
		written = excluded.written, body = excluded.body`,
		k.Doctype, k.Key, partner, k.Name, k.Modified, micros(k.Written), body)
}
