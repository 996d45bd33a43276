package frappe

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Filter is one condition. Value is a string, number, bool, nil or a list.
// Doctype is set only to filter by a child table.
type Filter struct {
	Doctype string
	Field   string
	Op      string // = != > < >= <= like, not like, in, not in, is, between …
	Value   any
}

// Where returns the condition on the doctype that is listed.
func Where(field, op string, value any) Filter { return Filter{Field: field, Op: op, Value: value} }

// MarshalJSON writes the list form, the only one every version reads alike.
func (f Filter) MarshalJSON() ([]byte, error) { return encode(f.list()) }

func (f Filter) list() []any {
	if f.Doctype != "" {
		return []any{f.Doctype, f.Field, f.Op, f.Value}
	}
	return []any{f.Field, f.Op, f.Value}
}

// filterText is compact for filters, of which most are plain texts.
func filterText(filters []Filter) string {
	b := make([]byte, 0, 128)
	b = append(b, '[')
	for i, f := range filters {
		if i > 0 {
			b = append(b, ',')
		}
		if v, ok := f.Value.(string); ok && f.Doctype == "" && plainText(f.Field) && plainText(f.Op) && plainText(v) {
			b = append(b, `["`...)
			b = append(b, f.Field...)
			b = append(b, `","`...)
			b = append(b, f.Op...)
			b = append(b, `","`...)
			b = append(b, v...)
			b = append(b, `"]`...)
			continue
		}
		b = append(b, compact(f.list())...)
	}
	return string(append(b, ']'))
}

// plainText reports whether s stands in JSON as it is.
func plainText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// fieldText is compact for field names, nearly all of which need no quoting.
func fieldText(fields []string) string {
	if !plainFields(fields) {
		return compact(fields)
	}
	return `["` + strings.Join(fields, `","`) + `"]`
}

// ListQuery asks for one page.
type ListQuery struct {
	Doctype   string
	Parent    string // parent doctype; required when Doctype is a child table
	Fields    []string
	Filters   []Filter
	OrFilters []Filter // one group, of which one must hold
	OrderBy   string   // "modified asc, name asc" when empty; never left to the site
	GroupBy   string
	Start     int // rows to skip; prefer Scan, which loses none while rows change
	Limit     int // rows; Config.PageSize when 0. All asks for all.
}

// All as a Limit asks for every row in one answer. Use it only where something
// else bounds the rows.
const All = -1

const byModified = "modified asc, name asc"

func (c *Client) listRequest(q ListQuery) *request {
	limit := q.Limit
	switch {
	case limit == 0:
		limit = c.cfg.PageSize
	case limit < 0:
		limit = 0 // Frappe's way of saying all
	}
	order := q.OrderBy
	if order == "" {
		order = byModified
	}
	fields := q.Fields
	if len(fields) == 0 {
		fields = []string{"name", "modified"}
	}
	v := append(make(params, 0, 8), [][2]string{
		{"fields", fieldText(fields)},
		{"order_by", order},
		{"limit_page_length", strconv.Itoa(limit)},
	}...)
	if len(q.Filters) > 0 {
		v = append(v, [2]string{"filters", filterText(q.Filters)})
	}
	if len(q.OrFilters) > 0 {
		v = append(v, [2]string{"or_filters", filterText(q.OrFilters)})
	}
	if q.GroupBy != "" {
		v = append(v, [2]string{"group_by", q.GroupBy})
	}
	if q.Parent != "" {
		v = append(v, [2]string{"parent", q.Parent})
	}
	if q.Start > 0 {
		v = append(v, [2]string{"limit_start", strconv.Itoa(q.Start)})
	}
	r := &request{op: "list " + q.Doctype, doctype: q.Doctype, path: "/api/resource/" + url.PathEscape(q.Doctype), query: v}
	if q.Parent != "" {
		r.doctype = q.Parent
	}
	return r
}

// postList is the same list through the method that takes its arguments in the
// body. It alone is not bound by the length of a request line.
func (r *request) postList(doctype string) *request {
	body := map[string]any{"doctype": doctype}
	for _, kv := range r.query {
		switch k, v := kv[0], kv[1]; k {
		case "fields", "filters", "or_filters":
			body[k] = json.RawMessage(v)
		case "limit_page_length", "limit_start":
			n, _ := strconv.Atoi(v)
			body[k] = n
		default:
			body[k] = v
		}
	}
	p := *r
	p.reads, p.line = true, ""
	p.method, p.path, p.query, p.body = http.MethodPost, "/api/method/frappe.client.get_list", nil, body
	return &p
}

// List returns one page. A query too long for a request line is posted where
// the client may write; for a read-only client the fields are widened to all
// columns, and if that does not help the error is Misuse: use ListIn.
func (c *Client) List(ctx context.Context, q ListQuery) ([]Doc, error) {
	rows, _, err := c.list(ctx, q)
	return rows, err
}

func (c *Client) list(ctx context.Context, q ListQuery) (rows []Doc, took time.Duration, err error) {
	if q.Doctype == "" {
		return nil, 0, c.misuse("list", "no doctype is named")
	}
	r := c.listRequest(q)
	limit, _ := strconv.Atoi(r.query.get("limit_page_length"))
	if r.tooLong() {
		switch {
		case !c.cfg.ReadOnly:
			r = r.postList(q.Doctype)
		default:
			r.ask("fields", `["*"]`)
			if q.GroupBy != "" || !plainFields(q.Fields) || r.tooLong() {
				return nil, 0, c.misuse(r.op, "the query is longer than a request line may be; split its values")
			}
		}
	}
	err = c.do(ctx, r, func(body []byte) error {
		rows, err = decodeRows(body, limit)
		return err
	})
	if err != nil {
		return nil, r.took, err
	}
	if r.query.get("fields") == `["*"]` && len(q.Fields) > 0 {
		for _, row := range rows {
			for k := range row {
				if !slices.Contains(q.Fields, k) {
					delete(row, k)
				}
			}
		}
	}
	c.stats.rows(len(rows))
	return rows, r.took, nil
}

func (c *Client) misuse(op, what string) error {
	return c.count(&Error{Op: op, Site: c.site, Category: Misuse, Hint: what})
}

// plainField reports whether f is the bare name of a column.
func plainField(f string) bool {
	for i := range len(f) {
		ch := f[i]
		if ch != '_' && (ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z') && (i == 0 || ch < '0' || ch > '9') {
			return false
		}
	}
	return f != ""
}

func plainFields(fields []string) bool {
	return len(fields) > 0 && !slices.ContainsFunc(fields, func(f string) bool { return !plainField(f) })
}

// ListIn is List for a field with many values: the values go out in chunks that
// fit a request line, each answered by all its rows, and the rows come a chunk
// at a time. Limit and Start of q are ignored. An answer too large is asked for
// again in halves. Rows are not ordered across chunks.
func (c *Client) ListIn(ctx context.Context, q ListQuery, field string, values []string) iter.Seq2[[]Doc, error] {
	return func(yield func([]Doc, error) bool) {
		q.Limit, q.Start = All, 0
		filters := slices.Clip(slices.Clone(q.Filters))
		values := unique(values)
		atMost := 100
		for len(values) > 0 {
			n := c.fit(q, filters, field, values[:min(len(values), atMost)])
			if n == 0 {
				yield(nil, c.misuse("list "+q.Doctype, "the query is longer than a request line may be, even for one value"))
				return
			}
			q.Filters = append(filters, Where(field, "in", values[:n]))
			rows, _, err := c.list(ctx, q)
			if CategoryOf(err) == Oversized && n > 1 {
				atMost = n / 2
				continue
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(rows, nil) {
				return
			}
			values = values[n:]
		}
	}
}

// fit returns how many of values fit into one request.
func (c *Client) fit(q ListQuery, filters []Filter, field string, values []string) int {
	if !c.cfg.ReadOnly {
		return len(values)
	}
	q.Filters = filters
	q.Filters = append(slices.Clip(q.Filters), Where(field, "in", []string{}))
	r := c.listRequest(q)
	room := maxRequestLine - len(r.verb()) - len(r.target()) - len("  HTTP/1.1\r\n")
	for i, v := range values {
		room -= len(url.QueryEscape(compact(v))) + len("%2C")
		if room < 0 {
			return i
		}
	}
	return len(values)
}

func unique(values []string) []string {
	seen := make(map[string]bool, len(values))
	out := make([]string, 0, len(values))
	for _, v := range values {
		if v != "" && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// ChildQuery asks for the rows of one child table under many parents.
type ChildQuery struct {
	Doctype string // child doctype, "Sales Invoice Item"
	Parent  string // parent doctype, "Sales Invoice"
	Field   string // table field of the parent; "" for every one
	Parents []string
	Fields  []string // name, parent and idx are added
	Filters []Filter
}

// Children returns child rows in bulk, a chunk of parents at a time, ordered by
// parent and idx within it. The site does not apply User Permissions to the
// parents here, so pass only parents that were listed.
func (c *Client) Children(ctx context.Context, q ChildQuery) iter.Seq2[[]Doc, error] {
	fields := with(q.Fields, "name", "parent", "idx")
	filters := append(slices.Clone(q.Filters), Where("parenttype", "=", q.Parent))
	if q.Field != "" {
		filters = append(filters, Where("parentfield", "=", q.Field))
	}
	return c.ListIn(ctx, ListQuery{
		Doctype: q.Doctype, Parent: q.Parent, Fields: fields, Filters: filters,
		OrderBy: "parent asc, idx asc",
	}, "parent", q.Parents)
}

// with returns fields with each of more that is missing.
func with(fields []string, more ...string) []string {
	out := slices.Clone(fields)
	for _, f := range more {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// A Cursor is how far a stream was read: the modified text and the name of its
// last row. The zero Cursor is the beginning. Modified is the site's own text.
type Cursor struct {
	Modified string
	Name     string
}

// ScanOptions say what Scan reads.
type ScanOptions struct {
	Fields  []string // name and modified are added
	Filters []Filter
	Since   Cursor // where the last read ended; the zero value reads all
	// Overlap is read again before Since, for rows that were committed late. It
	// is widened around a change of clocks when Zone is given.
	Overlap time.Duration
	Zone    *time.Location // the site's zone
	// ByName walks the names instead of the times: every row that is there all
	// the while comes exactly once, however it changes. Since.Name alone counts.
	ByName   bool
	PageSize int // fixed rows a page; 0 adapts
}

// A Page is what Scan yields.
type Page struct {
	Rows []Doc
	// Cursor is where to go on after these rows. Store it with them.
	Cursor Cursor
	// Last reports that the stream ends here.
	Last bool
	// Unknown are fields the site does not have; they were left out. Hidden are
	// fields that did not come although they were asked for: the user may not
	// see them. Both are drift, and the same on every page.
	Unknown, Hidden []string
}

// Scan reads a doctype page by page by keyset, so that rows may come, go and
// change meanwhile without one being missed: a row changed behind the cursor
// comes again with its new time. Memory is bounded by one page. A row may come
// more than once over the whole read; the last one counts. After an error the
// iteration ends; the cursor of the page before it is where to resume. A site
// that changes faster than it answers is never read to its end: bound the read
// with ctx or by leaving the loop, and go on from the cursor the next time.
func (c *Client) Scan(ctx context.Context, doctype string, o ScanOptions) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		s, err := c.newScan(doctype, o)
		for err == nil {
			var page Page
			if page, err = s.next(ctx); err != nil {
				break
			}
			if !yield(page, nil) || page.Last {
				return
			}
		}
		yield(Page{}, err)
	}
}

// Names lists the name and modified of every row by name: what is needed to
// find deletions and renames.
func (c *Client) Names(ctx context.Context, doctype string, filters ...Filter) iter.Seq2[Page, error] {
	return c.Scan(ctx, doctype, ScanOptions{Filters: filters, ByName: true, PageSize: 2000})
}

const (
	minPage = 20
	maxPage = 2000
	// Frappe's own page length. A page of just as many may mean that ours was
	// lost on the way, so it does not end a read.
	frappePage = 20
)

type scan struct {
	c       *Client
	doctype string
	o       ScanOptions
	fields  []string
	unknown []string
	hidden  []string
	checked bool // hidden was determined

	at       Cursor // keyset position
	out      Cursor // what the caller may store: never behind Since nor in the future
	untimed  bool   // walking rows without modified, by name
	boundary map[string]bool
	size     int
}

func (c *Client) newScan(doctype string, o ScanOptions) (*scan, error) {
	if doctype == "" {
		return nil, c.misuse("list", "no doctype is named")
	}
	s := &scan{c: c, doctype: doctype, o: o, fields: with(o.Fields, "name", "modified"), at: o.Since, out: o.Since, size: o.PageSize}
	if s.size == 0 {
		s.size = c.pageSize(doctype)
	}
	if m := c.remembered(doctype); m != nil {
		s.fields, s.unknown = m.Known(s.fields)
	}
	if o.ByName {
		s.at.Modified = ""
		return s, nil
	}
	if o.Since.Modified != "" && o.Overlap > 0 {
		back := o.Overlap
		if o.Zone != nil {
			back = Overlap(o.Since.Modified, o.Zone, o.Overlap)
		}
		from, err := earlier(o.Since.Modified, back)
		if err != nil {
			return nil, c.misuse("list "+doctype, "the stored cursor cannot be read")
		}
		s.at = Cursor{Modified: from}
	}
	return s, nil
}

func (s *scan) query() ListQuery {
	q := ListQuery{Doctype: s.doctype, Fields: s.fields, Filters: slices.Clip(s.o.Filters), OrderBy: byModified, Limit: s.size}
	switch {
	case s.o.ByName:
		q.OrderBy = "name asc"
		if s.at.Name != "" {
			q.Filters = append(q.Filters, Where("name", ">", s.at.Name))
		}
	case s.untimed:
		q.OrderBy = "name asc"
		q.Filters = append(q.Filters, Where("modified", "is", "not set"), Where("name", ">", s.at.Name))
	case s.at.Modified != "":
		q.Filters = append(q.Filters, Where("modified", ">=", s.at.Modified))
		if s.at.Name != "" {
			// OR of AND, which filters cannot say, in the form that every version
			// understands: at or after M, and (after M or name beyond N). The site
			// compares the names, by its own collation.
			q.OrFilters = []Filter{Where("modified", ">", s.at.Modified), Where("name", ">", s.at.Name)}
		}
	}
	return q
}

func (s *scan) next(ctx context.Context) (Page, error) {
	rows, err := s.fetch(ctx)
	if err != nil {
		return Page{}, err
	}
	asked := s.size
	last := len(rows) < asked && len(rows) != frappePage
	if len(rows) > 0 {
		end := rows[len(rows)-1]
		name, modified := end.Name(), end.Modified()
		if name == "" {
			return Page{}, s.c.count(&Error{Op: "list " + s.doctype, Site: s.c.site, Category: Malformed, Hint: "a row came without a name"})
		}
		before := s.at
		switch {
		case s.o.ByName:
			s.at.Name = name
			s.out = Cursor{Name: name}
		case modified == "":
			// Rows without a time sort first and cannot be passed by time.
			s.untimed, s.at = true, Cursor{Name: name}
		default:
			s.untimed = false
			s.at = Cursor{Modified: modified, Name: name}
			if newer(s.at, s.out) && modified <= s.latest() {
				s.out = s.at
			}
		}
		if s.at == before {
			return Page{}, s.c.count(&Error{
				Op: "list " + s.doctype, Site: s.c.site, Category: Malformed,
				Hint: "the site answers the same rows again and again; it ignores our filters",
			})
		}
	}
	if s.untimed && last {
		// The untimed rows are done; the others begin.
		s.untimed, s.at, last = false, Cursor{Modified: "0001-01-01 00:00:00"}, false
	}
	rows = s.fresh(rows)
	if s.o.PageSize == 0 {
		s.size = s.c.pageSize(s.doctype)
	}
	return Page{Rows: rows, Cursor: s.out, Last: last, Unknown: s.unknown, Hidden: s.hidden}, nil
}

// latest is the newest modified that a stored cursor may take. Nothing can have
// been written later than now, wherever the site is: a cursor beyond that, from
// an import or a wrong clock, would hide every later change.
func (s *scan) latest() string {
	if s.o.Zone != nil {
		return FormatTime(s.c.now().Add(time.Hour), s.o.Zone)
	}
	return FormatTime(s.c.now().Add(farthest), time.UTC)
}

// newer orders cursors as far as texts can: by time, then by any new name.
func newer(a, b Cursor) bool {
	if a.Modified != b.Modified {
		// A fraction of zero is left out, so the shorter text of a shared prefix
		// is the earlier one, as the order of strings has it.
		return a.Modified > b.Modified
	}
	return a.Name != b.Name
}

// fresh drops rows that came with the same time already at the end of the page
// before, and rows that come twice in this one.
func (s *scan) fresh(rows []Doc) []Doc {
	seen := make(map[string]bool, len(rows))
	out := rows[:0]
	for _, r := range rows {
		k := r.Modified() + "\x00" + r.Name()
		if seen[k] || s.boundary[k] {
			continue
		}
		seen[k] = true
		out = append(out, r)
	}
	s.boundary = seen
	return out
}

// fetch reads a page, making it smaller when the answer is too large and
// leaving out fields the site does not know.
func (s *scan) fetch(ctx context.Context) ([]Doc, error) {
	for {
		rows, took, err := s.c.list(ctx, s.query())
		switch {
		case err == nil:
			if s.o.PageSize == 0 {
				s.c.adapt(s.doctype, s.size, len(rows), took)
			}
			s.look(rows)
			return rows, nil
		case CategoryOf(err) == Oversized && s.size > 1, CategoryOf(err) == Timeout && s.size > minPage:
			s.size /= 2
			if s.o.PageSize == 0 {
				s.c.setPageSize(s.doctype, s.size)
			}
		case s.mayBeUnknownField(err):
			dropped, merr := s.drop(ctx)
			if merr != nil || !dropped {
				return nil, err
			}
		default:
			return nil, err
		}
	}
}

func (s *scan) mayBeUnknownField(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Kind == "DataError" || e.Kind == "OperationalError" || e.Status == http.StatusExpectationFailed)
}

// drop asks the site's meta which fields it has and leaves out the others.
func (s *scan) drop(ctx context.Context) (bool, error) {
	s.c.Forget(s.doctype)
	m, err := s.c.Meta(ctx, s.doctype)
	if err != nil {
		return false, err
	}
	keep, unknown := m.Known(s.fields)
	if len(unknown) == 0 {
		return false, nil
	}
	s.fields = keep
	s.unknown = append(s.unknown, unknown...)
	s.c.log.Warn("fields are unknown to the site", "site", s.c.site, "doctype", s.doctype, "fields", strings.Join(unknown, ","))
	return true, nil
}

// look notes which fields stayed away: in a list a hidden column is absent,
// while an empty one is null.
func (s *scan) look(rows []Doc) {
	if s.checked || len(rows) == 0 {
		return
	}
	s.checked = true
	for _, f := range s.fields {
		if _, ok := rows[0][f]; !ok && plainField(f) {
			s.hidden = append(s.hidden, f)
		}
	}
}

func (c *Client) pageSize(doctype string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.pages[doctype]; n > 0 {
		return n
	}
	return c.cfg.PageSize
}

func (c *Client) setPageSize(doctype string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages[doctype] = n
}

// adapt sizes the next page by how long this one took: long enough to be worth
// a round trip, short enough not to hold one of the site's workers.
func (c *Client) adapt(doctype string, asked, got int, took time.Duration) {
	switch {
	case took > 3*time.Second && asked > minPage:
		c.setPageSize(doctype, max(asked/2, minPage))
	case got == asked && took < 500*time.Millisecond && asked < maxPage:
		c.setPageSize(doctype, min(asked*2, maxPage))
	}
}
