package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// Reach is what was known about one site's reach at an instant: what could not
// be seen, and how far each stream was read.
type Reach struct {
	Site     evidence.Site
	Seen     time.Time
	Gaps     []evidence.Gap
	Coverage []evidence.Coverage
	// Notes holds what else a snapshot needs to know of the site, by name.
	Notes map[string]string
}

// reachBody is a Reach without its instant: coverage times that equal Seen are
// zero and named in Now, so that a quiet poll's body is the one of the poll
// before.
type reachBody struct {
	Site     evidence.Site       `json:"site"`
	Gaps     []evidence.Gap      `json:"gaps,omitempty"`
	Coverage []evidence.Coverage `json:"coverage,omitempty"`
	Success  []int               `json:"success,omitempty"`  // coverage rows whose LastSuccess is Seen
	Complete []int               `json:"complete,omitempty"` // … whose LastComplete is Seen
	Notes    map[string]string   `json:"notes,omitempty"`
}

// PutReach adds to the history of the partner's site. Polls that differ only in
// Seen, and in coverage times equal to it, share one body: a poll of all
// streams should date them with its own Seen.
func (s *Store) PutReach(ctx context.Context, partner string, r Reach) error {
	seen := instant(micros(r.Seen))
	b := reachBody{Site: r.Site, Gaps: r.Gaps, Coverage: make([]evidence.Coverage, len(r.Coverage)), Notes: r.Notes}
	for i, c := range r.Coverage {
		c.LastSuccess, c.LastComplete = instant(micros(c.LastSuccess)), instant(micros(c.LastComplete))
		if c.LastSuccess.Equal(seen) {
			c.LastSuccess = time.Time{}
			b.Success = append(b.Success, i)
		}
		if c.LastComplete.Equal(seen) {
			c.LastComplete = time.Time{}
			b.Complete = append(b.Complete, i)
		}
		b.Coverage[i] = c
	}
	body, err := encode(b)
	if err != nil {
		return s.fail("keep reach of "+partner, err)
	}
	sum := digest(body)
	return s.tx(ctx, "keep reach of "+partner, func(tx *sql.Tx) error {
		if err := s.exec(ctx, tx, `INSERT INTO reach_bodies (sha256, body) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING`, sum, body); err != nil {
			return err
		}
		return s.exec(ctx, tx, `INSERT INTO reach (partner, site, seen, sha256) VALUES ($1,$2,$3,$4)
			ON CONFLICT (partner, site, seen) DO UPDATE SET sha256 = excluded.sha256`, partner, r.Site.Key, micros(seen), sum)
	})
}

// Reach returns what was known about the site's reach at t: the newest entry
// seen at or before t, or else the earliest of all, whose Seen then tells. False
// when the site was never polled.
func (s *Store) Reach(ctx context.Context, partner, site string, t time.Time) (Reach, bool, error) {
	op := "read reach of " + partner
	type row struct {
		seen int64
		body string
	}
	rows, err := asOf(ctx, s.read, func(r *sql.Rows) (v row, err error) {
		err = r.Scan(&v.seen, &v.body)
		return v, err
	}, `SELECT r.seen, b.body FROM reach AS r JOIN reach_bodies AS b ON b.sha256 = r.sha256 WHERE r.partner = $1 AND r.site = $2 AND r.seen `, partner, site, t)
	if err != nil || len(rows) == 0 {
		return Reach{}, false, s.fail(op, err)
	}
	var b reachBody
	if err := json.Unmarshal([]byte(rows[0].body), &b); err != nil {
		return Reach{}, false, s.fail(op, errors.Join(ErrCorrupt, err))
	}
	seen := instant(rows[0].seen)
	for _, i := range b.Success {
		b.Coverage[i].LastSuccess = seen
	}
	for _, i := range b.Complete {
		b.Coverage[i].LastComplete = seen
	}
	return Reach{Site: b.Site, Seen: seen, Gaps: b.Gaps, Coverage: b.Coverage, Notes: b.Notes}, true, nil
}

// asOf runs the query for the newest row at or before t, and when there is none
// for the earliest. text ends where the comparison of seen goes.
func asOf[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), text, a, b string, t time.Time) ([]T, error) {
	rows, err := query(ctx, q, scan, text+`<= $3 ORDER BY seen DESC LIMIT 1`, a, b, micros(t))
	if err != nil || len(rows) > 0 {
		return rows, err
	}
	return query(ctx, q, scan, text+`> $3 ORDER BY seen LIMIT 1`, a, b, micros(t))
}

// Input is something besides evidence that a verdict rests on, as it was from
// Seen on: a pack, a mapping, what people decided, a policy.
type Input struct {
	Kind    string // pack, mapping, people, policy, partner
	Subject string // the pack's name, the partner's key, …
	Seen    time.Time
	SHA256  string // of Body, lower-case hex
	Body    []byte // text; leave the time of reading out of it
}

// PutInput keeps the input when its body differs from the newest one of its
// kind and subject, and reports whether it did. SHA256 is computed. The newest
// one's instant is never passed by an older clock: Seen is then held there.
func (s *Store) PutInput(ctx context.Context, in Input) (changed bool, err error) {
	sum := digest(string(in.Body))
	err = s.tx(ctx, "keep "+in.Kind+" "+in.Subject, func(tx *sql.Tx) error {
		var seen int64
		var before string
		err := tx.QueryRowContext(ctx, `SELECT seen, sha256 FROM inputs WHERE kind = $1 AND subject = $2 ORDER BY seen DESC LIMIT 1`,
			in.Kind, in.Subject).Scan(&seen, &before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if changed = before != sum; !changed {
			return nil
		}
		at := micros(in.Seen)
		if err == nil {
			at = max(at, seen+1)
		}
		return s.exec(ctx, tx, `INSERT INTO inputs (kind, subject, seen, sha256, body) VALUES ($1,$2,$3,$4,$5)`,
			in.Kind, in.Subject, at, sum, text(string(in.Body)))
	})
	return changed && err == nil, err
}

// InputAt returns the input that held at t: the newest seen at or before t, or
// else the earliest of all, whose Seen then tells. False when there is none.
func (s *Store) InputAt(ctx context.Context, kind, subject string, t time.Time) (Input, bool, error) {
	ins, err := asOf(ctx, s.read, func(r *sql.Rows) (in Input, err error) {
		var seen int64
		err = r.Scan(&in.Kind, &in.Subject, &seen, &in.SHA256, &in.Body)
		in.Seen = instant(seen)
		return in, err
	}, `SELECT kind, subject, seen, sha256, body FROM inputs WHERE kind = $1 AND subject = $2 AND seen `, kind, subject, t)
	if err != nil || len(ins) == 0 {
		return Input{}, false, s.fail("read "+kind+" "+subject, err)
	}
	return ins[0], true, nil
}

// Cached is something of a site that is asked seldom: a doctype's meta, the
// installed versions. It is no evidence and may be dropped at any time.
type Cached struct {
	Item    string // "meta:Task"
	Stamp   string // the site's own mark of its version
	Fetched time.Time
	Body    []byte // text
}

// PutCached keeps or replaces an item of the site.
func (s *Store) PutCached(ctx context.Context, partner, site string, c Cached) error {
	return s.tx(ctx, "cache "+c.Item, func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `INSERT INTO cache (partner, site, item, stamp, fetched, body) VALUES ($1,$2,$3,$4,$5,$6)
			ON CONFLICT (partner, site, item) DO UPDATE SET stamp = excluded.stamp, fetched = excluded.fetched, body = excluded.body`,
			partner, site, c.Item, text(c.Stamp), micros(c.Fetched), text(string(c.Body)))
	})
}

// Cached returns an item of the site; ok is false when it is not kept.
func (s *Store) Cached(ctx context.Context, partner, site, item string) (c Cached, ok bool, err error) {
	cs, err := query(ctx, s.read, func(r *sql.Rows) (c Cached, err error) {
		var fetched int64
		err = r.Scan(&c.Item, &c.Stamp, &fetched, &c.Body)
		c.Fetched = instant(fetched)
		return c, err
	}, `SELECT item, stamp, fetched, body FROM cache WHERE partner = $1 AND site = $2 AND item = $3`, partner, site, item)
	if err != nil || len(cs) == 0 {
		return Cached{}, false, s.fail("read cache of "+partner, err)
	}
	return cs[0], true, nil
}

// Brake is a stop that waits for a person.
type Brake struct {
	ID       string
	Kind     string // delete, change
	Subject  string // what it holds: "meridian/erp/Task", "fleet"
	Tripped  time.Time
	Released time.Time // zero while it holds
	By       string    // who released it
	Body     []byte    // JSON of what it holds back, for people
}

// PutBrake keeps a brake that tripped. One of the same ID is left as it is, so
// that a cycle which finds it again does not undo a release.
func (s *Store) PutBrake(ctx context.Context, b Brake) error {
	return s.tx(ctx, "trip brake "+b.ID, func(tx *sql.Tx) error {
		return s.exec(ctx, tx, `INSERT INTO brakes (id, kind, subject, tripped, released, by_whom, body) VALUES ($1,$2,$3,$4,$5,$6,$7)
			ON CONFLICT (id) DO NOTHING`, b.ID, b.Kind, b.Subject, micros(b.Tripped), micros(b.Released), text(b.By), text(string(b.Body)))
	})
}

// ReleaseBrake records that a person lets pass what the brake holds. It fails
// with ErrNotFound when no such brake holds.
func (s *Store) ReleaseBrake(ctx context.Context, id, by string, at time.Time) error {
	return s.tx(ctx, "release brake", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE brakes SET released = $1, by_whom = $2 WHERE id = $3 AND released = 0 RETURNING id`,
			micros(at), text(by), id).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("brake %q: %w among those that hold", id, ErrNotFound)
		}
		return err
	})
}

// Brakes returns the brakes that hold, and those released at or after since,
// the newest first.
func (s *Store) Brakes(ctx context.Context, since time.Time) ([]Brake, error) {
	bs, err := query(ctx, s.read, func(r *sql.Rows) (b Brake, err error) {
		var tripped, released int64
		err = r.Scan(&b.ID, &b.Kind, &b.Subject, &tripped, &released, &b.By, &b.Body)
		b.Tripped, b.Released = instant(tripped), instant(released)
		return b, err
	}, `SELECT id, kind, subject, tripped, released, by_whom, body FROM brakes WHERE released = 0 OR released >= $1 ORDER BY tripped DESC, id`, micros(since))
	return bs, s.fail("read brakes", err)
}
