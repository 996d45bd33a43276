package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/goccy/go-json"

	"github.com/prmsync/prmsync/evidence"
)

// Cursor tells where one stream of one site stands.
type Cursor struct {
	Site   string
	Stream string // doctype
	// Stamp and Name are those of the last row read, as the site spelled them.
	Stamp string
	Name  string
	// Fields is the digest of the field list that was asked for: another one
	// means reading again from the start.
	Fields       string
	LastSuccess  time.Time // last read that reached the end
	LastComplete time.Time // last comparison of all names
}

// Batch is what one read of one partner brought; it is kept whole or not at all.
type Batch struct {
	Partner string
	// Seen is the instant of the read. A version is never seen before the one
	// that it follows: a clock set back is held at the earlier version's instant.
	Seen time.Time
	// Documents need Site, Doctype and Name. Their own Seen and Reconstructed
	// are ignored. Hash may be left empty: it is then the SHA-256 of Fields as
	// JSON. A document with Gone set is a tombstone: it needs nothing else but
	// RenamedTo, and takes the rest from the version before it.
	Documents []evidence.Document
	Cursors   []Cursor
}

// Committed counts what became of a batch's documents.
type Committed struct {
	New       int // first version of a record, or back after it was gone
	Changed   int
	Gone      int
	Unchanged int // nothing stored; also tombstones of records not held
}

// Head is the newest version of a record that is there, without its fields.
type Head struct {
	Name    string
	Stamp   string
	Hash    string
	Version int64
	Seen    time.Time
}

const (
	documentColumns = 15
	documentRows    = 8 // measured: flat from 5 to 14, slower beyond about 20
	headColumns     = 9
	headRows        = 12
	lookupNames     = 20

	insertDocuments = `INSERT INTO documents (partner, site, doctype, name, version, stamp, modified, created, owner, seen, gone, renamed_to, sha256, body, leaf) VALUES `
	insertHeads     = `INSERT INTO heads (partner, site, doctype, name, version, stamp, seen, gone, sha256) VALUES `
	updateHeads     = ` ON CONFLICT (partner, site, doctype, name) DO UPDATE SET version = excluded.version, stamp = excluded.stamp, seen = excluded.seen, gone = excluded.gone, sha256 = excluded.sha256`
	selectHeads     = `SELECT name, version, stamp, seen, gone, sha256 FROM heads WHERE partner = $1 AND site = $2 AND doctype = $3 AND name IN `
	upsertCursor    = `INSERT INTO cursors (partner, site, stream, stamp, name, fields, last_success, last_complete) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)
		ON CONFLICT (partner, site, stream) DO UPDATE SET stamp = excluded.stamp, name = excluded.name, fields = excluded.fields,
		last_success = excluded.last_success, last_complete = excluded.last_complete`
)

var (
	insertDocumentsFull = insertDocuments + tuples(documentRows, documentColumns)
	insertHeadsFull     = insertHeads + tuples(headRows, headColumns) + updateHeads
	selectHeadsFull     = selectHeads + nameList()
)

func nameList() string {
	b := []byte("(")
	for i := range lookupNames {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "$%d", i+4)
	}
	return string(append(b, ')'))
}

func hotStatements() []string {
	return []string{insertDocumentsFull, insertHeadsFull, selectHeadsFull, upsertCursor}
}

// head is a row of heads.
type head struct {
	version int64
	stamp   string
	seen    int64
	gone    bool
	sha256  string
	dirty   bool
}

// Commit keeps the versions of the batch that are new, and its cursors, in one
// transaction. A record whose stamp and hash are those of its newest version
// costs one look and stores nothing.
func (s *Store) Commit(ctx context.Context, b Batch) (Committed, error) {
	op := "commit captures of " + b.Partner
	if b.Partner == "" || b.Seen.IsZero() {
		return Committed{}, fmt.Errorf("%s: %s: a batch needs its partner and the instant it was seen", s.name, op)
	}
	for _, d := range b.Documents {
		if d.Site == "" || d.Doctype == "" || d.Name == "" {
			return Committed{}, fmt.Errorf("%s: %s: document %q of %q on site %q: all three are needed", s.name, op, d.Name, d.Doctype, d.Site)
		}
	}
	var n Committed
	err := s.tx(ctx, op, func(tx *sql.Tx) error {
		n = Committed{}
		if err := s.commitDocuments(ctx, tx, b, &n); err != nil {
			return err
		}
		for _, c := range b.Cursors {
			if err := s.exec(ctx, tx, upsertCursor, b.Partner, c.Site, c.Stream, text(c.Stamp), text(c.Name), c.Fields,
				micros(c.LastSuccess), micros(c.LastComplete)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Committed{}, err
	}
	return n, nil
}

func (s *Store) commitDocuments(ctx context.Context, tx *sql.Tx, b Batch, n *Committed) error {
	heads, err := s.lookUp(ctx, tx, b)
	if err != nil {
		return err
	}
	documents := rows{s: s, tx: tx, head: insertDocuments, width: documentColumns, full: insertDocumentsFull, limit: documentRows}
	log := leaf{seq: -1}
	var order []evidence.Key // of changed heads: map order must not reach the file
	for _, d := range b.Documents {
		key := textKey(d)
		h := heads[key]
		known := h != nil
		if !known {
			h = &head{}
		}
		var body string
		if d.Gone {
			if !known || h.gone {
				n.Unchanged++
				continue
			}
			if err := s.tombstone(ctx, tx, &documents, b.Partner, key, h, &d); err != nil {
				return err
			}
			body = "{}"
			n.Gone++
		} else {
			d.Stamp, d.Hash = text(d.Stamp), text(d.Hash)
			if known && !h.gone && d.Hash != "" && d.Hash == h.sha256 && d.Stamp == h.stamp {
				n.Unchanged++
				continue
			}
			if d.Fields == nil {
				d.Fields = map[string]any{}
			}
			if body, err = encode(d.Fields); err != nil {
				return fmt.Errorf("%s %q of site %s: %w", d.Doctype, d.Name, d.Site, err)
			}
			if d.Hash == "" {
				d.Hash = digest(body)
			}
			switch {
			case !known || h.gone:
				n.New++
			case d.Hash == h.sha256 && d.Stamp == h.stamp:
				n.Unchanged++
				continue
			default:
				n.Changed++
			}
		}
		if !h.dirty {
			h.dirty = true
			order = append(order, key)
		}
		heads[key] = h
		h.version++
		h.stamp, h.gone, h.sha256, h.seen = d.Stamp, d.Gone, d.Hash, max(h.seen, micros(b.Seen))
		if err := log.begin(ctx, tx, b); err != nil {
			return err
		}
		row := []any{
			b.Partner, key.Site, key.Doctype, key.Name, h.version, h.stamp, micros(d.Modified), micros(d.Created),
			text(d.Owner), h.seen, flag(h.gone), text(d.RenamedTo), h.sha256, body,
		}
		log.add(captureDigest(row))
		if err := documents.add(ctx, append(row, log.seq)...); err != nil {
			return err
		}
	}
	if err := log.end(ctx, s, tx); err != nil {
		return err
	}
	if err := documents.flush(ctx); err != nil {
		return err
	}
	changed := rows{s: s, tx: tx, head: insertHeads, tail: updateHeads, width: headColumns, full: insertHeadsFull, limit: headRows}
	for _, key := range order {
		h := heads[key]
		if err := changed.add(ctx, b.Partner, key.Site, key.Doctype, key.Name, h.version, h.stamp, h.seen, flag(h.gone), h.sha256); err != nil {
			return err
		}
	}
	return changed.flush(ctx)
}

// tombstone fills in what a vanished record can no longer say about itself.
func (s *Store) tombstone(ctx context.Context, tx *sql.Tx, pending *rows, partner string, key evidence.Key, h *head, d *evidence.Document) error {
	// The version before it may still wait in this batch.
	if err := pending.flush(ctx); err != nil {
		return err
	}
	var modified, created int64
	err := tx.QueryRowContext(ctx, `SELECT modified, created, owner FROM documents
		WHERE partner = $1 AND site = $2 AND doctype = $3 AND name = $4 AND version = $5`,
		partner, key.Site, key.Doctype, key.Name, h.version).Scan(&modified, &created, &d.Owner)
	if err != nil {
		return fmt.Errorf("last version of %s %q: %w", key.Doctype, key.Name, err)
	}
	d.Stamp, d.Modified, d.Created, d.Hash = h.stamp, instant(modified), instant(created), h.sha256
	return nil
}

func textKey(d evidence.Document) evidence.Key {
	return evidence.Key{Site: d.Site, Doctype: d.Doctype, Name: text(d.Name)}
}

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// lookUp reads the heads of the batch's records, twenty names at a time.
func (s *Store) lookUp(ctx context.Context, tx *sql.Tx, b Batch) (map[evidence.Key]*head, error) {
	heads := make(map[evidence.Key]*head, len(b.Documents))
	st := tx.StmtContext(ctx, s.stmts[selectHeadsFull])
	args := make([]any, 3+lookupNames)
	for i := 0; i < len(b.Documents); {
		first := b.Documents[i]
		args[0], args[1], args[2] = b.Partner, first.Site, first.Doctype
		n := 0
		for ; i < len(b.Documents) && n < lookupNames; i++ {
			d := b.Documents[i]
			if d.Site != first.Site || d.Doctype != first.Doctype {
				break
			}
			args[3+n] = text(d.Name)
			n++
		}
		for j := n; j < lookupNames; j++ {
			args[3+j] = args[3]
		}
		if err := readHeads(ctx, st, heads, first.Site, first.Doctype, args); err != nil {
			return nil, err
		}
	}
	return heads, nil
}

func readHeads(ctx context.Context, st *sql.Stmt, heads map[evidence.Key]*head, site, doctype string, args []any) (err error) {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, rows.Close()) }()
	for rows.Next() {
		var h head
		var name string
		var gone int64
		if err := rows.Scan(&name, &h.version, &h.stamp, &h.seen, &gone, &h.sha256); err != nil {
			return err
		}
		h.gone = gone != 0
		heads[evidence.Key{Site: site, Doctype: doctype, Name: name}] = &h
	}
	return rows.Err()
}

// rows gathers tuples for INSERTs of many rows.
type rows struct {
	s          *Store
	tx         *sql.Tx
	head, tail string
	width      int
	full       string // the prepared text for limit rows
	limit      int
	args       []any
}

func (r *rows) add(ctx context.Context, args ...any) error {
	r.args = append(r.args, args...)
	if len(r.args) < r.limit*r.width {
		return nil
	}
	err := r.s.exec(ctx, r.tx, r.full, r.args...)
	r.args = r.args[:0]
	return err
}

func (r *rows) flush(ctx context.Context) error {
	if len(r.args) == 0 {
		return nil
	}
	err := r.s.exec(ctx, r.tx, r.head+tuples(len(r.args)/r.width, r.width)+r.tail, r.args...)
	r.args = r.args[:0]
	return err
}

const selectCursors = `SELECT site, stream, stamp, name, fields, last_success, last_complete FROM cursors WHERE partner = $1`

// Cursor returns where the stream stands, and false when it was never read.
func (s *Store) Cursor(ctx context.Context, partner, site, stream string) (Cursor, bool, error) {
	cs, err := query(ctx, s.read, scanCursor, selectCursors+` AND site = $2 AND stream = $3`, partner, site, stream)
	if err != nil || len(cs) == 0 {
		return Cursor{}, false, s.fail("read cursor of "+partner, err)
	}
	return cs[0], true, nil
}

// Cursors returns where all streams of the partner stand, by site and stream.
func (s *Store) Cursors(ctx context.Context, partner string) ([]Cursor, error) {
	cs, err := query(ctx, s.read, scanCursor, selectCursors+` ORDER BY site, stream`, partner)
	return cs, s.fail("read cursors of "+partner, err)
}

func scanCursor(r *sql.Rows) (c Cursor, err error) {
	var success, complete int64
	err = r.Scan(&c.Site, &c.Stream, &c.Stamp, &c.Name, &c.Fields, &success, &complete)
	c.LastSuccess, c.LastComplete = instant(success), instant(complete)
	return c, err
}

// Heads returns the newest versions of the doctype's records that are there, by
// name: what a scan compares with the site.
func (s *Store) Heads(ctx context.Context, partner, site, doctype string) ([]Head, error) {
	hs, err := query(ctx, s.read, func(r *sql.Rows) (h Head, err error) {
		var seen int64
		err = r.Scan(&h.Name, &h.Stamp, &h.Hash, &h.Version, &seen)
		h.Seen = instant(seen)
		return h, err
	}, `SELECT name, stamp, sha256, version, seen FROM heads WHERE partner = $1 AND site = $2 AND doctype = $3 AND gone = 0 ORDER BY name`,
		partner, site, doctype)
	return hs, s.fail("read heads of "+partner, err)
}

// Versions yields what a snapshot of the partner as of t is made from, ordered
// by site, doctype, name and version: all versions seen at or before t; and for
// a record that was seen only later but created at or before t, its earliest
// version, with Reconstructed set and its dates as they were when it was seen.
// A site's Deleted Documents come whenever they were made, the same way: they
// hold what was there before.
// The last version of a record is the one that held at t; those before it are
// its history; one with Gone set has no fields.
//
// Versions never change, so the sequence is the same whenever it is read (until
// Retain cuts it) although it holds no transaction: other calls may be made
// while it runs. After an error it ends.
func (s *Store) Versions(ctx context.Context, partner string, t time.Time) iter.Seq2[evidence.Document, error] {
	return func(yield func(evidence.Document, error) bool) {
		asOf := micros(t)
		// The next page is read while this one is decoded and used.
		ctx, cancel := context.WithCancel(ctx)
		stop, pages := make(chan struct{}), make(chan versionPage)
		go s.readVersions(ctx, partner, asOf, pages, stop)
		defer func() {
			cancel()
			close(stop)
			for range pages {
			}
		}()
		fail := func(err error) { yield(evidence.Document{}, s.fail("read captures of "+partner, err)) }
		var last evidence.Key
		for page := range pages {
			if page.err != nil {
				fail(page.err)
				return
			}
			for _, v := range page.versions {
				first := v.doc.Key() != last
				last = v.doc.Key()
				if v.seen > asOf && (!first || v.doc.Gone) {
					continue
				}
				v.doc.Reconstructed = v.seen > asOf
				if !v.doc.Gone {
					// goccy's decoder: encoding/json took two thirds of a snapshot's
					// time. Its input is our own encoding, never a site's.
					if err := json.Unmarshal(v.body, &v.doc.Fields); err != nil {
						fail(errors.Join(ErrCorrupt, fmt.Errorf("%s %q of site %s, version %d: %w", v.doc.Doctype, v.doc.Name, v.doc.Site, v.version, err)))
						return
					}
				}
				if !yield(v.doc, nil) {
					return
				}
			}
		}
	}
}

// versionsPage bounds memory and how long a reader holds back the WAL.
const versionsPage = 1000

type version struct {
	doc     evidence.Document
	version int64
	seen    int64
	body    []byte
}

type versionPage struct {
	versions []version
	err      error // then the last page
}

// readVersions sends page after page until the last, an error or stop, and
// closes pages.
func (s *Store) readVersions(ctx context.Context, partner string, asOf int64, pages chan<- versionPage, stop <-chan struct{}) {
	defer close(pages)
	names := map[string]string{} // one copy of each site, doctype and owner
	var last version
	for {
		var p versionPage
		p.versions, p.err = s.versionsAfter(ctx, partner, last, asOf, names)
		select {
		case pages <- p:
		case <-stop:
			return
		}
		if p.err != nil || len(p.versions) < versionsPage {
			return
		}
		last = p.versions[versionsPage-1]
	}
}

func (s *Store) versionsAfter(ctx context.Context, partner string, after version, asOf int64, names map[string]string) ([]version, error) {
	intern := func(b sql.RawBytes) string {
		if v, ok := names[string(b)]; ok {
			return v
		}
		v := string(b)
		names[v] = v
		return v
	}
	return query(ctx, s.read, func(r *sql.Rows) (v version, err error) {
		var site, doctype, owner sql.RawBytes
		var modified, created, gone int64
		d := &v.doc
		if err := r.Scan(&site, &doctype, &d.Name, &v.version, &d.Stamp, &modified, &created, &owner, &v.seen, &gone,
			&d.RenamedTo, &d.Hash, &v.body); err != nil {
			return v, err
		}
		d.Site, d.Doctype, d.Owner = intern(site), intern(doctype), intern(owner)
		d.Modified, d.Created, d.Seen, d.Gone = instant(modified), instant(created), instant(v.seen), gone != 0
		return v, nil
	}, `SELECT site, doctype, name, version, stamp, modified, created, owner, seen, gone, renamed_to, sha256, body FROM documents
		WHERE partner = $1 AND (site, doctype, name, version) > ($2, $3, $4, $5) AND (seen <= $6 OR (created <> 0 AND created <= $6) OR doctype = 'Deleted Document')
		ORDER BY site, doctype, name, version LIMIT $7`,
		partner, after.doc.Site, after.doc.Doctype, after.doc.Name, after.version, asOf, versionsPage)
}
