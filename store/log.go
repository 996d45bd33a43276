package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/prmsync/prmsync/evidence"
)

// ErrTampered is what VerifyLog and Proof.Check fail with: a capture, a leaf or
// a hash is not what the log once recorded.
var ErrTampered = errors.New("altered since it was recorded")

// LogHead is the state of the log of captures at an instant. Kept elsewhere (on
// the PRM), it shows later that nothing before it was altered or left out.
type LogHead struct {
	Size int64  `json:"size"` // leaves
	Root string `json:"root"` // RFC 6962 tree hash, base64
}

// Proof shows that one capture is in the log: its digest is a line of Leaf, and
// Leaf is a record of the tree under Head.
type Proof struct {
	Head    LogHead  `json:"head"`
	Capture string   `json:"capture"` // digest of the stored version, base64
	Seq     int64    `json:"seq"`     // of the leaf, from 0
	Leaf    string   `json:"leaf"`
	Hashes  []string `json:"hashes"` // RFC 6962 audit path
}

// Check verifies the proof without the store. Whoever holds Head from another
// source must compare it as well. It fails with ErrTampered.
func (p Proof) Check() error {
	lines := strings.Split(p.Leaf, "\n")
	if p.Capture == "" || !slices.Contains(lines[1:], p.Capture) {
		return fmt.Errorf("proof of leaf %d: %w: the leaf does not hold the capture", p.Seq, ErrTampered)
	}
	root, err := tlog.ParseHash(p.Head.Root)
	if err != nil {
		return fmt.Errorf("proof of leaf %d: %w: %w", p.Seq, ErrTampered, err)
	}
	path := make(tlog.RecordProof, len(p.Hashes))
	for i, h := range p.Hashes {
		if path[i], err = tlog.ParseHash(h); err != nil {
			return fmt.Errorf("proof of leaf %d: %w: %w", p.Seq, ErrTampered, err)
		}
	}
	if err := tlog.CheckRecord(path, p.Head.Size, root, p.Seq, tlog.RecordHash([]byte(p.Leaf))); err != nil {
		return fmt.Errorf("proof of leaf %d: %w: %w", p.Seq, ErrTampered, err)
	}
	return nil
}

// leaf gathers the digests of one commit's versions. Its first line names the
// commit; each further line is a capture's digest.
type leaf struct {
	seq  int64 // -1 until the first version
	body strings.Builder
}

// begin takes the leaf's place in the log, once. The counter's row is locked
// until the commit ends, so leaves stand in the order of commits.
func (l *leaf) begin(ctx context.Context, tx *sql.Tx, b Batch) error {
	if l.seq >= 0 {
		return nil
	}
	n, err := number(ctx, tx, "log.leaf", 1)
	if err != nil {
		return err
	}
	l.seq = n - 1
	fmt.Fprintf(&l.body, "%s %s", strconv.Quote(b.Partner), b.Seen.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano))
	return nil
}

func (l *leaf) add(capture string) {
	l.body.WriteByte('\n')
	l.body.WriteString(capture)
}

// end writes the leaf and the hashes that it completes.
func (l *leaf) end(ctx context.Context, s *Store, tx *sql.Tx) error {
	if l.seq < 0 {
		return nil
	}
	if err := s.exec(ctx, tx, `INSERT INTO log_leaves (seq, body) VALUES ($1, $2)`, l.seq, l.body.String()); err != nil {
		return err
	}
	hashes, err := tlog.StoredHashes(l.seq, []byte(l.body.String()), hashReader(ctx, tx))
	if err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, l.seq)
	for i, h := range hashes {
		if err := s.exec(ctx, tx, `INSERT INTO log_hashes (idx, hash) VALUES ($1, $2)`, first+int64(i), h.String()); err != nil {
			return err
		}
	}
	return nil
}

// captureDigest is the digest of a row of documents, its leaf left out: each
// value with its length, so that none can run into the next.
func captureDigest(row []any) string {
	h := sha256.New()
	var b []byte
	for _, v := range row {
		b = b[:0]
		switch v := v.(type) {
		case string:
			b = append(strconv.AppendInt(b, int64(len(v)), 10), ':')
			b = append(b, v...)
		case int64:
			b = append(strconv.AppendInt(append(b, 'i'), v, 10), ':')
		}
		h.Write(b)
	}
	return base64.RawStdEncoding.EncodeToString(h.Sum(nil))
}

func hashReader(ctx context.Context, q querier) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, idx := range indexes {
			hs, err := query(ctx, q, scanString, `SELECT hash FROM log_hashes WHERE idx = $1`, idx)
			if err != nil {
				return nil, err
			}
			if len(hs) == 0 {
				return nil, fmt.Errorf("%w: hash %d of the log is missing", ErrTampered, idx)
			}
			if out[i], err = tlog.ParseHash(hs[0]); err != nil {
				return nil, fmt.Errorf("%w: hash %d of the log: %w", ErrTampered, idx, err)
			}
		}
		return out, nil
	})
}

// LogHead returns the state of the log now; the zero LogHead when it is empty.
func (s *Store) LogHead(ctx context.Context) (LogHead, error) {
	h, err := s.logHead(ctx)
	return h, s.fail("read head of log", err)
}

func (s *Store) logHead(ctx context.Context) (LogHead, error) {
	var size int64
	if err := s.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq) + 1, 0) FROM log_leaves`).Scan(&size); err != nil || size == 0 {
		return LogHead{}, err
	}
	root, err := tlog.TreeHash(size, hashReader(ctx, s.read))
	return LogHead{Size: size, Root: root.String()}, err
}

const selectCapture = `SELECT partner, site, doctype, name, version, stamp, modified, created, owner, seen, gone, renamed_to, sha256, body, leaf FROM documents `

// scanCapture returns a row of documents as captureDigest takes it, and its leaf.
func scanCapture(r *sql.Rows) (c capture, err error) {
	var partner, site, doctype, name, stamp, owner, renamed, sum, body string
	var version, modified, created, seen, gone int64
	err = r.Scan(&partner, &site, &doctype, &name, &version, &stamp, &modified, &created, &owner, &seen, &gone, &renamed, &sum, &body, &c.leaf)
	c.row = []any{partner, site, doctype, name, version, stamp, modified, created, owner, seen, gone, renamed, sum, body}
	return c, err
}

type capture struct {
	row  []any
	leaf int64
}

// Prove returns the proof that the version which r names (by site, doctype,
// name, Seen and Hash) was captured for the partner, under the log's head of
// now. ErrNotFound when no such version is held, or the log is younger than it.
func (s *Store) Prove(ctx context.Context, partner string, r evidence.Ref) (Proof, error) {
	op := fmt.Sprintf("prove capture of %s %q", r.Doctype, r.Name)
	cs, err := query(ctx, s.read, scanCapture, selectCapture+`WHERE partner = $1 AND site = $2 AND doctype = $3 AND name = $4 AND seen = $5 AND sha256 = $6
		ORDER BY version LIMIT 1`, partner, r.Site, r.Doctype, text(r.Name), micros(r.Seen), r.Hash)
	if err != nil {
		return Proof{}, s.fail(op, err)
	}
	if len(cs) == 0 || cs[0].leaf < 0 {
		return Proof{}, s.fail(op, ErrNotFound)
	}
	p := Proof{Capture: captureDigest(cs[0].row), Seq: cs[0].leaf}
	if p.Head, err = s.logHead(ctx); err != nil {
		return Proof{}, s.fail(op, err)
	}
	if err := s.read.QueryRowContext(ctx, `SELECT body FROM log_leaves WHERE seq = $1`, p.Seq).Scan(&p.Leaf); err != nil {
		return Proof{}, s.fail(op, err)
	}
	path, err := tlog.ProveRecord(p.Head.Size, p.Seq, hashReader(ctx, s.read))
	if err != nil {
		return Proof{}, s.fail(op, err)
	}
	for _, h := range path {
		p.Hashes = append(p.Hashes, h.String())
	}
	return p, nil
}

// VerifyLog computes the whole log again: every leaf and hash, every capture
// that is still held, and that the heads kept elsewhere are its beginnings. It
// fails with ErrTampered naming the first thing that differs.
func (s *Store) VerifyLog(ctx context.Context, kept ...LogHead) error {
	op := "verify log"
	var hashes []tlog.Hash
	inMemory := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, idx := range indexes {
			if idx >= int64(len(hashes)) {
				return nil, fmt.Errorf("%w: the log is shorter", ErrTampered)
			}
			out[i] = hashes[idx]
		}
		return out, nil
	})
	const page = 1000
	var size int64
	for more := true; more; {
		bodies, err := query(ctx, s.read, scanSeqText, `SELECT seq, body FROM log_leaves WHERE seq >= $1 ORDER BY seq LIMIT $2`, size, page)
		if err != nil {
			return s.fail(op, err)
		}
		for _, b := range bodies {
			if b.seq != size {
				return s.fail(op, fmt.Errorf("leaf %d: %w: it is missing", size, ErrTampered))
			}
			hs, err := tlog.StoredHashes(size, []byte(b.text), inMemory)
			if err != nil {
				return s.fail(op, err)
			}
			hashes = append(hashes, hs...)
			size++
		}
		more = len(bodies) == page
	}
	for from, more := int64(0), true; more; {
		stored, err := query(ctx, s.read, scanSeqText, `SELECT idx, hash FROM log_hashes WHERE idx >= $1 ORDER BY idx LIMIT $2`, from, page)
		if err != nil {
			return s.fail(op, err)
		}
		for _, h := range stored {
			if h.seq != from || from >= int64(len(hashes)) || h.text != hashes[from].String() {
				return s.fail(op, fmt.Errorf("hash %d: %w: it does not follow from the leaves", from, ErrTampered))
			}
			from++
		}
		if more = len(stored) == page; !more && from != int64(len(hashes)) {
			return s.fail(op, fmt.Errorf("hash %d: %w: it is missing", from, ErrTampered))
		}
	}
	for _, k := range kept {
		if k.Size == 0 {
			continue
		}
		var root tlog.Hash
		err := fmt.Errorf("%w: the log has %d leaves", ErrTampered, size)
		if k.Size <= size {
			root, err = tlog.TreeHash(k.Size, inMemory)
		}
		if err == nil && root.String() != k.Root {
			err = fmt.Errorf("%w: the root then was another", ErrTampered)
		}
		if err != nil {
			return s.fail(op, fmt.Errorf("head of %d leaves: %w", k.Size, err))
		}
	}
	return s.fail(op, s.verifyCaptures(ctx, size))
}

type seqText struct {
	seq  int64
	text string
}

func scanSeqText(r *sql.Rows) (v seqText, err error) {
	err = r.Scan(&v.seq, &v.text)
	return v, err
}

// verifyCaptures looks each held version up in its leaf. Versions arrive in the
// order of the key, so leaves are kept as sets while they fit.
func (s *Store) verifyCaptures(ctx context.Context, size int64) error {
	leaves := map[int64]map[string]bool{}
	held := 0
	lines := func(seq int64) (map[string]bool, error) {
		if set, ok := leaves[seq]; ok {
			return set, nil
		}
		var body string
		if err := s.read.QueryRowContext(ctx, `SELECT body FROM log_leaves WHERE seq = $1`, seq).Scan(&body); err != nil {
			return nil, err
		}
		set := map[string]bool{}
		for _, l := range strings.Split(body, "\n")[1:] {
			set[l] = true
		}
		if held += len(set); held > 200_000 {
			clear(leaves)
			held = len(set)
		}
		leaves[seq] = set
		return set, nil
	}
	last := capture{row: []any{"", "", "", "", int64(0)}}
	for {
		cs, err := query(ctx, s.read, scanCapture, selectCapture+`WHERE (partner, site, doctype, name, version) > ($1, $2, $3, $4, $5)
			ORDER BY partner, site, doctype, name, version LIMIT $6`, append(slices.Clone(last.row[:5]), versionsPage)...)
		if err != nil {
			return err
		}
		for _, c := range cs {
			last = c
			if c.leaf == -1 {
				continue // older than the log
			}
			what := fmt.Sprintf("version %d of %v %q on site %v of %v", c.row[4], c.row[2], c.row[3], c.row[1], c.row[0])
			if c.leaf < 0 || c.leaf >= size {
				return fmt.Errorf("%s: %w: no leaf %d", what, ErrTampered, c.leaf)
			}
			set, err := lines(c.leaf)
			if err != nil {
				return err
			}
			if !set[captureDigest(c.row)] {
				return fmt.Errorf("%s: %w: leaf %d does not hold it", what, ErrTampered, c.leaf)
			}
		}
		if len(cs) < versionsPage {
			return nil
		}
	}
}
