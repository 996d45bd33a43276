package partnersite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

const (
	// overlap is read again before each cursor, for rows that were committed
	// late; a change of clocks adds its hour.
	overlap = 30 * time.Minute
	// settled is the silence after which a stream's last row cannot have late
	// company any more. It exceeds every error that a wrong zone could make.
	settled = 48 * time.Hour
	// side is how many streams of a site are read side by side. The client
	// bounds the requests in flight as well.
	side = 2
	// remembered bounds the rows of an overlap whose state is kept in memory.
	remembered = 5000
)

// Poll reads what has changed on the site since the last read and hands it to
// sink, batch by batch, each with its cursors. A stream that cannot be read is
// a gap, and the others go on; a site that does not answer, or refuses the key,
// is a gap in every stream. Records are compared with the site as a whole where
// that is due (Options.ScanEvery) or a deletion was announced.
//
// An error is that of h or sink, or the context's: what was handed over until
// then stays true, and the next Poll goes on from there.
func (s *Site) Poll(ctx context.Context, h History, sink Sink) (Reach, error) {
	return s.read(ctx, h, sink, false)
}

// Scan is Poll with a comparison of all records of every stream, whether due or
// not: it finds what changed silently, was deleted, renamed or committed late.
func (s *Site) Scan(ctx context.Context, h History, sink Sink) (Reach, error) {
	return s.read(ctx, h, sink, true)
}

// run is one read of a site.
type run struct {
	*Site
	h    History
	sink Sink
	all  bool // compare every stream
	prep prepared

	mu       sync.Mutex // guards what follows, sink, progress and timelines
	gaps     []evidence.Gap
	idle     []Cursor // of streams that brought nothing
	cursors  map[string]Cursor
	ok       map[string]bool            // streams read to their end
	held     map[string][]evidence.Gap  // what the last comparison found, by stream
	suspects map[string]bool            // doctypes of which something was deleted or renamed
	hints    map[string]map[string]bool // records that got or lost a file
	work     Work
	stop     bool // the site does not answer any more
	stopGap  evidence.Gap
}

func (s *Site) read(ctx context.Context, h History, sink Sink, all bool) (Reach, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start, before := s.now(), s.client.Stats()
	r := &run{
		Site: s, h: h, sink: sink, all: all, cursors: map[string]Cursor{}, ok: map[string]bool{},
		held: map[string][]evidence.Gap{}, suspects: map[string]bool{}, hints: map[string]map[string]bool{},
	}
	err := r.proceed(ctx)
	if err != nil && !refusal(err) {
		return Reach{}, fmt.Errorf("read site %s of %s: %w", s.o.Key, s.o.Partner, err)
	}
	if err != nil {
		r.refuseAll(err)
	}
	after := s.client.Stats()
	r.work.Requests = int(after.Requests - before.Requests)
	r.work.ServerSeconds = after.ServerSeconds - before.ServerSeconds
	r.work.Took = s.now().Sub(start)
	return r.reach(ctx)
}

// refusal reports whether err is the site's, which makes gaps, and not ours.
func refusal(err error) bool {
	c := frappe.CategoryOf(err)
	return c != "" && c != frappe.Cancelled || errors.Is(err, errZone)
}

// proceed makes the read. The error of a site that does not answer is returned
// when nothing could be set out with.
func (r *run) proceed(ctx context.Context) error {
	if err := r.recall(ctx); err != nil {
		return err
	}
	prep, err := r.prepare(ctx, r.h)
	if err != nil {
		return err
	}
	r.prep = prep
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(side)
	var last []plan
	for _, p := range r.prep.plans {
		if p.doctype == "Deleted Document" {
			last = append(last, p)
			continue
		}
		g.Go(func() error { return r.stream(gctx, p) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, p := range last {
		if err := r.stream(ctx, p); err != nil {
			return err
		}
	}
	if err := r.readTimelines(ctx); err != nil {
		return err
	}
	for _, p := range r.prep.plans {
		if err := r.compareIfDue(ctx, p); err != nil {
			return err
		}
	}
	r.otherRights = false
	if len(r.idle) > 0 {
		if err := r.sink(ctx, Batch{Cursors: r.idle}); err != nil {
			return err
		}
	}
	return r.remember(ctx)
}

// stream reads one stream to its end and books what came of it.
func (r *run) stream(ctx context.Context, p plan) error {
	r.mu.Lock()
	stopped := r.stop
	r.mu.Unlock()
	if p.doctype == "File" && !r.found.seesFiles() {
		return nil // from timelines
	}
	if stopped {
		r.refuse(p.stream, nil)
		return nil
	}
	err := r.readStream(ctx, p)
	if err != nil && drifted(err) {
		// The doctype changed since its meta was read: fit the stream anew.
		meta, merr := r.refit(ctx, p.doctype)
		if merr == nil && meta != nil {
			q := fit(p.stream, r.prep.mapping.Evidence, meta, r.found.Roles)
			q.timeline = p.timeline
			q.sign()
			if q.digest == p.digest { // the meta knows of nothing: the columns it never lists
				q = q.without(sortedKeys(optional))
			}
			if q.digest != p.digest {
				r.book(r.drift(q)...)
				r.book(r.misfits(p.doctype, meta)...)
				err = r.readStream(ctx, q)
			}
		} else if merr != nil {
			err = merr
		}
	}
	if err != nil && !refusal(err) {
		return err
	}
	if err != nil {
		r.refuse(p.stream, err)
		return nil
	}
	r.mu.Lock()
	r.ok[p.doctype] = true
	r.mu.Unlock()
	return nil
}

// refit asks for the meta of one doctype while others are read.
func (r *run) refit(ctx context.Context, doctype string) (*frappe.Meta, error) {
	m, err := r.askMeta(ctx, doctype)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.metas[doctype] = knownMeta{m, r.now().UTC()}
	return m, r.keepMetas(ctx, r.h)
}

// errDrift ends a stream whose fields turned out to be others than its meta
// said.
var errDrift = errors.New("the fields have changed")

func drifted(err error) bool {
	return errors.Is(err, errDrift) || frappe.CategoryOf(err) == frappe.Invalid
}

func (r *run) book(gaps ...evidence.Gap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps = append(r.gaps, gaps...)
}

// refuse books the gap of a stream that was not read; err nil: because the site
// had stopped answering before.
func (r *run) refuse(st stream, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		g := r.stopGap
		g.Stream = st.doctype
		r.gaps = append(r.gaps, g)
		return
	}
	g, stop := r.refused(st, err)
	r.gaps = append(r.gaps, g)
	// One line for a state that is new: a refusal that lasts is in the gaps.
	_, known := r.since[gapKey(g)]
	switch {
	case stop && !r.stop:
		r.stop, r.stopGap = true, g
		r.log.Warn("site stopped answering", "stream", st.doctype, "err", err)
	case !r.stop && !known:
		r.log.Warn("stream not read", "stream", st.doctype, "gap", string(g.Kind), "err", err)
	}
}

// refuseAll books a gap for every stream of a site that could not be entered.
func (r *run) refuseAll(err error) {
	m := r.mapping()
	mapped := m.Doctypes()
	for _, st := range r.wanted(m) {
		if st.core || st.app == framework || slices.Contains(mapped, st.doctype) {
			if r.installed(st) {
				r.refuse(st, err)
			}
		}
	}
}

// readStream reads a stream from its cursor to its end.
func (r *run) readStream(ctx context.Context, p plan) (err error) {
	cur, known, err := r.h.Cursor(ctx, p.doctype)
	if err != nil {
		return err
	}
	r.mu.Lock()
	before := r.recent[p.doctype]
	unfollowed := p.timeline && r.timelines[p.doctype] == nil
	r.mu.Unlock()
	if !known || cur.Fields != p.digest || unfollowed {
		cur = Cursor{Fields: p.digest}
	}
	cur.Stream = p.doctype
	if p.single {
		return r.readSingle(ctx, p, cur, before)
	}
	first := cur.LastComplete.IsZero()
	rows, begun := 0, false
	defer func() {
		if begun {
			r.done(p.doctype, err)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := map[string]mark{}
	for page := range r.pages(ctx, p, cur) {
		if page.err != nil {
			return page.err
		}
		if len(page.Unknown) > 0 {
			return fmt.Errorf("%w: %s", errDrift, strings.Join(page.Unknown, ", "))
		}
		if first && !begun {
			begun = true
			r.begin(ctx, p)
		}
		if len(page.Hidden) > 0 {
			r.bookHidden(p, page.Hidden)
		}
		docs, err := r.documents(ctx, p, page.Rows, before, news)
		if err != nil {
			return err
		}
		now := r.now().UTC()
		cur.Stamp, cur.Name = page.Cursor.Modified, page.Cursor.Name
		if page.Last {
			cur.LastSuccess = now
			if first {
				cur.LastComplete = now
			}
		}
		rows += len(page.Rows)
		if err := r.commit(ctx, p, docs, cur, len(page.Rows), first); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.recent[p.doctype] = news
	r.mu.Unlock()
	if first && !p.grows {
		if err := r.checkHidden(ctx, p); err != nil {
			return err
		}
	}
	if first {
		r.log.Info("stream read", "stream", p.doctype, "rows", rows)
	}
	return nil
}

// page is a page or the error that ends the pages.
type page struct {
	frappe.Page
	err error
}

// pages reads one page ahead, so that the site works on the next one while this
// one is kept. Memory is bounded by three pages.
func (r *run) pages(ctx context.Context, p plan, cur Cursor) <-chan page {
	o := frappe.ScanOptions{Fields: p.ask, Zone: r.found.zone, Since: frappe.Cursor{Modified: cur.Stamp, Name: cur.Name}}
	switch {
	case cur.Stamp == "" && p.grows:
		o.Since = frappe.Cursor{Modified: frappe.FormatTime(horizon(r.now()), r.found.zone)}
	case cur.Stamp != "" && !r.quiet(cur):
		o.Overlap = overlap
	}
	out := make(chan page, 1)
	go func() {
		defer close(out)
		for pg, err := range r.client.Scan(ctx, p.doctype, o) {
			select {
			case out <- page{pg, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// quiet reports whether the stream had been silent for long when it was last
// read to its end, so that nothing can have been committed late behind its
// cursor, and reading the overlap again would only repeat a mass change for
// ever.
func (r *run) quiet(cur Cursor) bool {
	at := instant(cur.Stamp, r.found.zone)
	return !at.IsZero() && !cur.LastComplete.IsZero() && cur.LastSuccess.Sub(at) > settled
}

// documents makes documents of rows, with their child rows. Rows that before
// knows as unchanged are left out; news takes note of those of the overlap.
func (r *run) documents(ctx context.Context, p plan, rows []frappe.Doc, before, news map[string]mark) ([]evidence.Document, error) {
	changed := rows[:0:0]
	for _, row := range rows {
		if m, ok := before[row.Name()]; ok && m.stamp == row.Modified() && len(p.tables) > 0 {
			news[row.Name()] = m // its child rows are not worth a request
			continue
		}
		changed = append(changed, row)
	}
	children, err := r.children(ctx, p, changed)
	if err != nil {
		return nil, err
	}
	docs := make([]evidence.Document, 0, len(changed))
	recently := frappe.FormatTime(r.now().Add(-settled), r.found.zone)
	for _, row := range changed {
		name := row.Name()
		d := p.document(r.o.Key, r.found.zone, row, children[name])
		if d.Stamp >= recently && len(news) < remembered {
			news[name] = mark{d.Stamp, d.Hash}
		}
		if m, ok := before[name]; ok && m == (mark{d.Stamp, d.Hash}) {
			continue
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// children reads the child rows of a page, by parent and table field.
func (r *run) children(ctx context.Context, p plan, rows []frappe.Doc) (map[string]map[string][]frappe.Doc, error) {
	out := make(map[string]map[string][]frappe.Doc)
	if len(p.tables) == 0 || len(rows) == 0 {
		return out, nil
	}
	parents := make([]string, len(rows))
	for i, row := range rows {
		parents[i] = row.Name()
	}
	for _, t := range p.tables {
		q := frappe.ChildQuery{Doctype: t.doctype, Parent: p.doctype, Field: t.field, Parents: parents, Fields: t.ask}
		for list, err := range r.client.Children(ctx, q) {
			if err != nil {
				return nil, fmt.Errorf("read %s of %s: %w", t.field, p.doctype, err)
			}
			for _, row := range list {
				parent := row.Text("parent")
				if out[parent] == nil {
					out[parent] = map[string][]frappe.Doc{}
				}
				if len(out[parent][t.field]) < maxRows {
					out[parent][t.field] = append(out[parent][t.field], row)
				}
			}
		}
	}
	return out, nil
}

// commit hands a page to the sink. A page without news waits for the end of the
// read, so that idle streams cost one transaction together.
func (r *run) commit(ctx context.Context, p plan, docs []evidence.Document, cur Cursor, rows int, first bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cursors[p.doctype] = cur
	r.work.Rows += rows
	if len(docs) == 0 && !first {
		r.idle = slices.DeleteFunc(r.idle, func(c Cursor) bool { return c.Stream == cur.Stream })
		r.idle = append(r.idle, cur)
		return nil
	}
	r.overhear(docs, first)
	if err := r.noteTimelines(ctx, p, docs); err != nil {
		return err
	}
	if err := r.sink(ctx, Batch{Documents: docs, Cursors: []Cursor{cur}}); err != nil {
		return err
	}
	r.idle = slices.DeleteFunc(r.idle, func(c Cursor) bool { return c.Stream == cur.Stream })
	r.work.Documents += len(docs)
	if first && r.o.Progress != nil {
		r.o.Progress.Rows(p.doctype, rows)
	}
	return nil
}

// overhear learns from one stream what happened in another.
func (r *run) overhear(docs []evidence.Document, first bool) {
	for i := range docs {
		d := &docs[i]
		text := func(f string) string { s, _ := d.Fields[f].(string); return s }
		switch d.Doctype {
		case "Deleted Document":
			if !first {
				r.suspects[text("deleted_doctype")] = true
			}
		case "Comment":
			on, name := text("reference_doctype"), text("reference_name")
			switch text("comment_type") {
			case "Attachment", "Attachment Removed":
				if r.hints[on] == nil {
					r.hints[on] = map[string]bool{}
				}
				r.hints[on][name] = true
			case "Edit":
				if !first && strings.HasPrefix(text("content"), "renamed from ") {
					r.suspects[on] = true
				}
			}
		}
	}
}

// readSingle reads a doctype that has one record.
func (r *run) readSingle(ctx context.Context, p plan, cur Cursor, recent map[string]mark) error {
	row, err := r.client.Get(ctx, p.doctype, p.doctype)
	if err != nil {
		return err
	}
	row["name"] = p.doctype
	delete(row, "creation") // that of the answer, not of the settings
	d := p.document(r.o.Key, r.found.zone, row, nil)
	before, known := recent[d.Name]
	now := r.now().UTC()
	cur.Stamp, cur.Name, cur.LastSuccess, cur.LastComplete = d.Stamp, d.Name, now, now
	var docs []evidence.Document
	if m := (mark{d.Stamp, d.Hash}); !known || before != m {
		docs = []evidence.Document{d}
		r.mu.Lock()
		r.recent[p.doctype] = map[string]mark{d.Name: m}
		r.mu.Unlock()
	}
	return r.commit(ctx, p, docs, cur, 1, false)
}

// bookHidden reports essential fields that did not come though they were asked
// for.
func (r *run) bookHidden(p plan, fields []string) {
	for _, f := range fields {
		if i := slices.IndexFunc(p.fields, func(x fitted) bool { return x.from == f }); i < 0 || !p.fields[i].essential && !r.mapped(p, f) {
			continue
		}
		g := r.gap(p.doctype, evidence.Drifted, fmt.Sprintf("the field %s of %s is not shown to this key", f, p.doctype),
			fmt.Sprintf("add a row for %s at the field's permission level to the reader's role", p.doctype))
		g.Field = f
		r.mu.Lock()
		if !slices.ContainsFunc(r.gaps, func(x evidence.Gap) bool { return x.Stream == g.Stream && x.Field == f }) {
			r.gaps = append(r.gaps, g)
		}
		r.mu.Unlock()
	}
}

func (r *run) begin(ctx context.Context, p plan) {
	if r.o.Progress == nil {
		return
	}
	total, err := r.client.Count(ctx, p.doctype)
	if err != nil {
		total = -1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.o.Progress.Stream(p.doctype, total)
}

func (r *run) done(name string, err error) {
	if r.o.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.o.Progress.Done(name, err)
}

// notes are what a read keeps for the next one besides cursors.
type notes struct {
	Since map[string]time.Time      `json:"since"` // gap → when it was first seen
	Held  map[string][]evidence.Gap `json:"held"`  // stream → what its last comparison found
}

const notesItem = "reach"

// recall loads what earlier processes noted, once.
func (r *run) recall(ctx context.Context) error {
	r.held = maps.Clone(r.heldBefore)
	if r.recalled {
		return nil
	}
	c, ok, err := r.h.Cached(ctx, notesItem)
	if err != nil {
		return err
	}
	var n notes
	if ok && json.Unmarshal([]byte(c.Body), &n) == nil {
		if n.Since != nil {
			r.since = n.Since
		}
		if n.Held != nil {
			r.held, r.heldBefore = n.Held, maps.Clone(n.Held)
		}
	}
	if err := r.recallTimelines(ctx); err != nil {
		return err
	}
	r.recalled = true
	return nil
}

// remember keeps what the next run needs.
func (r *run) remember(ctx context.Context) error { return r.keepTimelines(ctx) }

func gapKey(g evidence.Gap) string {
	return string(g.Kind) + "|" + g.Stream + "|" + g.Field
}

// reach sums up the read.
func (r *run) reach(ctx context.Context) (Reach, error) {
	out := Reach{Site: r.evidenceSite(), DateFormat: r.found.DateFormat, Warnings: r.prep.warnings, Work: r.work}
	gaps := slices.Concat(r.prep.gaps, r.gaps)
	for _, stream := range sortedKeys(r.held) {
		gaps = append(gaps, r.held[stream]...)
	}
	now := r.now().UTC()
	since := map[string]time.Time{}
	seen := map[string]bool{}
	for _, g := range gaps {
		k := gapKey(g)
		if seen[k] {
			continue
		}
		seen[k] = true
		since[k] = now
		if t, ok := r.since[k]; ok {
			since[k] = t
		}
		g.Since = since[k]
		out.Gaps = append(out.Gaps, g)
	}
	slices.SortFunc(out.Gaps, func(a, b evidence.Gap) int { return strings.Compare(gapOrder(a), gapOrder(b)) })

	for _, name := range r.covered() {
		c, ok := r.cursors[name]
		if !ok {
			var known bool
			var err error
			if c, known, err = r.h.Cursor(ctx, name); err != nil {
				return Reach{}, err
			}
			if !known && len(r.prep.plans) == 0 {
				continue
			}
		}
		whole := !c.LastComplete.IsZero()
		for _, g := range out.Gaps {
			whole = whole && (g.Stream != name || g.Kind == evidence.Drifted || g.Kind == evidence.Unreachable)
		}
		out.Coverage = append(out.Coverage, evidence.Coverage{
			Site: r.o.Key, Stream: name,
			LastSuccess: c.LastSuccess, LastComplete: c.LastComplete, Complete: whole,
		})
	}
	slices.SortFunc(out.Coverage, func(a, b evidence.Coverage) int { return strings.Compare(a.Stream, b.Stream) })

	if !maps.Equal(since, r.since) || !maps.EqualFunc(r.held, r.heldBefore, slices.Equal[[]evidence.Gap]) {
		r.since = since
		body, err := json.Marshal(notes{Since: since, Held: r.held})
		if err != nil {
			return Reach{}, err
		}
		if err := r.h.Keep(ctx, notesItem, Cached{Fetched: now, Body: string(body)}); err != nil {
			return Reach{}, err
		}
		r.heldBefore = maps.Clone(r.held)
	}
	return out, nil
}

// covered names the streams that the read was about. A site that could not be
// entered still has what was read of it before.
func (r *run) covered() []string {
	var out []string
	for _, p := range r.prep.plans {
		out = append(out, p.doctype)
	}
	if len(out) > 0 {
		return out
	}
	for _, st := range r.wanted(r.mapping()) {
		out = append(out, st.doctype)
	}
	return out
}

func gapOrder(g evidence.Gap) string { return g.Stream + "|" + string(g.Kind) + "|" + g.Field }
