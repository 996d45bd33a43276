package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

// Episode is one alert from the moment its condition was first true.
type Episode struct {
	Alert    programme.Alert
	Pending  time.Time // when its condition was first seen true
	Fired    time.Time // zero while it is held down
	Resolved time.Time // zero while its condition is true
}

// Judgement is what one cycle of one partner concluded; it is kept whole or not
// at all.
type Judgement struct {
	Partner     string // "" for what belongs to no partner
	At          time.Time
	Assessments []rules.Assessment
	// Changes is the plan, in the order in which it must reach the PRM.
	Changes []plan.Change
	// Whole says that Changes are all that is wanted for the partner: open
	// changes that are not among them are no longer wanted and are replaced.
	Whole  bool
	Known  []plan.Known // read back from the PRM: replaces what was known
	Alerts []Episode    // new, or changed since they were last kept
}

// Judged tells what a Judgement brought.
type Judged struct {
	// News holds the keys of assessments that say something else than the last
	// one of their key: another outcome, figure, item or gap, not mere ages.
	News []string
	// Queued counts the changes that were not waiting already.
	Queued int
}

// CommitAssessment keeps assessments, alerts and known records and queues the
// changes, in one transaction: the PRM is told of all that was decided, once.
// The same Judgement again changes nothing.
func (s *Store) CommitAssessment(ctx context.Context, j Judgement) (Judged, error) {
	var out Judged
	err := s.tx(ctx, "commit assessment of "+j.Partner, func(tx *sql.Tx) error {
		out = Judged{}
		for _, a := range j.Assessments {
			news, err := s.putAssessment(ctx, tx, a)
			if err != nil {
				return fmt.Errorf("assessment %s: %w", a.Key, err)
			}
			if news {
				out.News = append(out.News, a.Key)
			}
		}
		for _, k := range j.Known {
			if err := s.putKnown(ctx, tx, j.Partner, k); err != nil {
				return err
			}
		}
		for _, e := range j.Alerts {
			if err := s.putEpisode(ctx, tx, e); err != nil {
				return err
			}
		}
		var err error
		out.Queued, err = s.enqueue(ctx, tx, j.Partner, j.Changes, j.Whole, j.At)
		return err
	})
	if err != nil {
		return Judged{}, err
	}
	return out, nil
}

func (s *Store) putAssessment(ctx context.Context, tx *sql.Tx, a rules.Assessment) (news bool, err error) {
	body, err := encode(a)
	if err != nil {
		return false, err
	}
	says, err := encode(withoutAges(a))
	if err != nil {
		return false, err
	}
	sum := digest(says)
	var id, until int64
	var before string
	err = tx.QueryRowContext(ctx, `SELECT id, held_until, sha256 FROM assessments WHERE key = $1 ORDER BY id DESC LIMIT 1`, a.Key).Scan(&id, &until, &before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	at := micros(a.AsOf)
	if err == nil && before == sum {
		if at < until {
			return false, nil
		}
		return false, s.exec(ctx, tx, `UPDATE assessments SET held_until = $1, body = $2 WHERE id = $3`, at, body, id)
	}
	if id, err = number(ctx, tx, "assessments.id", 1); err != nil {
		return false, err
	}
	return true, s.exec(ctx, tx, `INSERT INTO assessments (id, key, partner, kind, as_of, held_until, sha256, body) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)`,
		id, a.Key, a.Partner, string(a.Kind), at, at, sum, body)
}

// withoutAges is the assessment without what differs in every cycle though
// nothing happened.
func withoutAges(a rules.Assessment) rules.Assessment {
	a.AsOf, a.Snapshot = time.Time{}, ""
	coverage := make([]evidence.Coverage, len(a.Coverage))
	for i, c := range a.Coverage {
		c.LastSuccess, c.LastComplete = time.Time{}, time.Time{}
		coverage[i] = c
	}
	a.Coverage = coverage
	return a
}

// Held is an assessment with the stretch of time in which it held.
type Held struct {
	From       time.Time        // AsOf of the first that said so
	Until      time.Time        // AsOf of the last that said so
	Assessment rules.Assessment // the last
}

const selectHeld = `SELECT as_of, held_until, body FROM assessments `

func scanHeld(r *sql.Rows) (h Held, err error) {
	var from, until int64
	var body []byte
	if err := r.Scan(&from, &until, &body); err != nil {
		return h, err
	}
	h.From, h.Until = instant(from), instant(until)
	if err := json.Unmarshal(body, &h.Assessment); err != nil {
		return h, errors.Join(ErrCorrupt, fmt.Errorf("assessment as of %s: %w", h.From.Format(time.RFC3339), err))
	}
	return h, nil
}

// Latest returns the newest assessment of the key.
func (s *Store) Latest(ctx context.Context, key string) (Held, bool, error) {
	hs, err := query(ctx, s.read, scanHeld, selectHeld+`WHERE key = $1 ORDER BY id DESC LIMIT 1`, key)
	if err != nil || len(hs) == 0 {
		return Held{}, false, s.fail("read assessment "+key, err)
	}
	return hs[0], true, nil
}

// LatestOf returns the partner's newest assessment of the kind, whatever its key.
func (s *Store) LatestOf(ctx context.Context, partner string, kind rules.Kind) (Held, bool, error) {
	hs, err := query(ctx, s.read, scanHeld, selectHeld+`WHERE partner = $1 AND kind = $2 ORDER BY as_of DESC, id DESC LIMIT 1`, partner, string(kind))
	if err != nil || len(hs) == 0 {
		return Held{}, false, s.fail("read assessment of "+partner, err)
	}
	return hs[0], true, nil
}

// HeldAt returns the partner's assessment of the kind that held at the instant;
// when there was none yet, the first one after it.
func (s *Store) HeldAt(ctx context.Context, partner string, kind rules.Kind, at time.Time) (Held, bool, error) {
	for _, q := range []string{
		`WHERE partner = $1 AND kind = $2 AND as_of <= $3 ORDER BY as_of DESC, id DESC LIMIT 1`,
		`WHERE partner = $1 AND kind = $2 AND as_of > $3 ORDER BY as_of, id LIMIT 1`,
	} {
		hs, err := query(ctx, s.read, scanHeld, selectHeld+q, partner, string(kind), micros(at))
		if err != nil {
			return Held{}, false, s.fail("read assessment of "+partner, err)
		}
		if len(hs) == 1 {
			return hs[0], true, nil
		}
	}
	return Held{}, false, nil
}

// Assessments returns the partner's assessments of the kind that held at or
// after since, oldest first: what trends are drawn from.
func (s *Store) Assessments(ctx context.Context, partner string, kind rules.Kind, since time.Time) ([]Held, error) {
	hs, err := query(ctx, s.read, scanHeld, selectHeld+`WHERE partner = $1 AND kind = $2 AND held_until >= $3 ORDER BY as_of, id`,
		partner, string(kind), micros(since))
	return hs, s.fail("read assessments of "+partner, err)
}

func (s *Store) putEpisode(ctx context.Context, tx *sql.Tx, e Episode) error {
	body, err := encode(e.Alert)
	if err != nil {
		return fmt.Errorf("alert %s: %w", e.Alert.Key, err)
	}
	return s.exec(ctx, tx, `INSERT INTO alerts (key, rule, partner, subject, pending, fired, resolved, body) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)
		ON CONFLICT (key) DO UPDATE SET pending = excluded.pending, fired = excluded.fired, resolved = excluded.resolved, body = excluded.body`,
		e.Alert.Key, e.Alert.Rule, e.Alert.Partner, text(e.Alert.SubjectName), micros(e.Pending), micros(e.Fired), micros(e.Resolved), body)
}

// Alerts returns the partner's episodes, those of all partners for "*": the
// open ones, and those resolved at or after since, by key.
func (s *Store) Alerts(ctx context.Context, partner string, since time.Time) ([]Episode, error) {
	es, err := query(ctx, s.read, func(r *sql.Rows) (e Episode, err error) {
		var pending, fired, resolved int64
		var body []byte
		if err := r.Scan(&pending, &fired, &resolved, &body); err != nil {
			return e, err
		}
		e.Pending, e.Fired, e.Resolved = instant(pending), instant(fired), instant(resolved)
		if err := json.Unmarshal(body, &e.Alert); err != nil {
			return e, errors.Join(ErrCorrupt, fmt.Errorf("alert: %w", err))
		}
		return e, nil
	}, `SELECT pending, fired, resolved, body FROM alerts WHERE (partner = $1 OR $1 = '*') AND (resolved = 0 OR resolved >= $2) ORDER BY key`,
		partner, micros(since))
	return es, s.fail("read alerts", err)
}
