package frappe

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"reflect"
)

// writeTries bounds how often a write is repeated after its answer was lost, or
// merged again after somebody else was faster.
const writeTries = 4

// lost reports whether err leaves open if the write was done: it was sent, and
// no answer of the site itself came back.
func lost(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Category {
	case Unreachable, Timeout, Malformed, Oversized:
		return true
	case Unavailable:
		// A proxy's page says nothing about the site; Frappe's own error means
		// that the transaction was rolled back.
		return e.Kind == ""
	}
	return false
}

// busy reports whether the site itself put the write off and did not do it.
func busy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Category == Unavailable && (e.Kind == "QueryDeadlockError" || e.Kind == "QueryTimeoutError" || e.Kind == "DocumentLockedError")
}

// mute reports whether the site refused a write without saying why: version 14
// with tracebacks switched off sends the status alone, for a taken key and a
// changed document as for anything else.
func mute(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == "" && e.Status == http.StatusExpectationFailed
}

// pauseBeforeRepeat waits a little, and longer each time.
func (c *Client) pauseBeforeRepeat(ctx context.Context, op string, try int) error {
	return c.sleep(ctx, op, c.backoff(try))
}

// Inserted is what Insert found or made.
type Inserted struct {
	Name     string
	Modified string // raw text, for the next update
	Existing bool   // the document was there already; its fields are untouched
}

// Insert makes a document whose key field holds a value that no other may have:
// its naming field or a unique one. Where the key is taken (409 or 417), or the
// answer of an earlier try was lost, the document that holds it is looked up
// and returned as Existing, so inserting twice makes one. A lost answer is
// never followed by a second POST before that look. With key "" a lost answer
// is an error of category Uncertain.
func (c *Client) Insert(ctx context.Context, doctype, key string, fields map[string]any) (Inserted, error) {
	r := &request{
		op: "insert " + doctype, doctype: doctype, right: "create", method: http.MethodPost,
		path: resourcePath(doctype), body: fields,
	}
	if key != "" {
		if s, ok := fields[key].(string); !ok || s == "" {
			return Inserted{}, c.misuse(r.op, "the key field "+key+" holds no text")
		}
	}
	for try := 0; ; try++ {
		var doc Doc
		err := c.do(ctx, r, func(body []byte) (err error) {
			doc, err = decodeDoc(body, "data")
			return err
		})
		if err == nil && doc.Name() != "" {
			return Inserted{Name: doc.Name(), Modified: doc.Modified()}, nil
		}
		if err == nil {
			err = c.count(&Error{Op: r.op, Site: c.site, Status: http.StatusOK, Category: Malformed, Hint: "the site did not name the document it made"})
		}
		taken := CategoryOf(err) == Duplicate || mute(err)
		if !taken && !lost(err) && !busy(err) {
			return Inserted{}, err
		}
		if key == "" {
			if !lost(err) {
				return Inserted{}, err
			}
			return Inserted{}, c.uncertain(r.op, err)
		}
		if !busy(err) {
			found, ferr := c.find(ctx, doctype, key, fields[key])
			if ferr != nil && taken {
				return Inserted{}, ferr // nothing was written; the look can be repeated
			}
			if ferr != nil {
				return Inserted{}, c.uncertain(r.op, errors.Join(err, ferr))
			}
			if found != nil {
				return Inserted{Name: found.Name(), Modified: found.Modified(), Existing: true}, nil
			}
		}
		if taken || try == writeTries-1 {
			return Inserted{}, err
		}
		if err := c.pauseBeforeRepeat(ctx, r.op, try); err != nil {
			return Inserted{}, err
		}
	}
}

func (c *Client) uncertain(op string, cause error) error {
	return c.count(&Error{
		Op: op, Site: c.site, Category: Uncertain, cause: cause,
		Hint: "the answer was lost and what became of the write is not known; look before repeating it",
	})
}

// find looks up the one document whose field has a value.
func (c *Client) find(ctx context.Context, doctype, field string, value any) (Doc, error) {
	rows, err := c.List(ctx, ListQuery{
		Doctype: doctype, Fields: with([]string{field}, "name", "modified"),
		Filters: []Filter{Where(field, "=", value)}, OrderBy: "name asc", Limit: 1,
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// Update sets fields of a document that was read with this raw modified, and
// returns the new one. If it changed since, the error is of category Conflict
// and nothing is written. A lost answer is settled by reading the document: the
// write is repeated only if it is untouched, and counts as done if it carries
// the fields. Table fields replace whole tables.
func (c *Client) Update(ctx context.Context, doctype, name, modified string, fields map[string]any) (string, error) {
	r := &request{op: "update " + doctype, doctype: doctype, name: name, right: "write", method: http.MethodPut}
	if doctype == "" || name == "" || modified == "" && name != doctype {
		return "", c.misuse(r.op, "doctype, name and the modified that was read are all needed")
	}
	if awkward(name) {
		return "", c.misuse(r.op, "a web server would redirect the address of this name")
	}
	body := maps.Clone(fields)
	if body == nil {
		body = map[string]any{}
	}
	delete(body, "name") // another name would point the write at another document
	if modified != "" {
		body["modified"] = modified
	}
	r.path, r.body = documentPath(doctype, name), body
	for try := 0; ; try++ {
		var doc Doc
		err := c.do(ctx, r, func(b []byte) (err error) {
			doc, err = decodeDoc(b, "data")
			return err
		})
		if err == nil {
			return doc.Modified(), nil
		}
		if !lost(err) && !busy(err) && !mute(err) || try == writeTries-1 {
			return "", err
		}
		if lost(err) || mute(err) {
			now, gerr := c.Get(ctx, doctype, name)
			if gerr != nil && mute(err) {
				return "", err
			}
			if gerr != nil {
				return "", c.uncertain(r.op, errors.Join(err, gerr))
			}
			if now.Modified() != modified {
				if lost(err) && holds(now, fields) {
					return now.Modified(), nil
				}
				e := &Error{Op: r.op, Site: c.site, Category: Conflict}
				e.Hint = hint(r, e, true)
				return "", c.count(e)
			}
			if mute(err) {
				return "", err
			}
		}
		if err := c.pauseBeforeRepeat(ctx, r.op, try); err != nil {
			return "", err
		}
	}
}

// holds reports whether a document as read carries the scalar fields as they
// were written. What Frappe may rewrite, tables and markup, is not compared.
func holds(d Doc, fields map[string]any) bool {
	for k, want := range fields {
		switch w := want.(type) {
		case nil:
			if d[k] != nil && d[k] != "" && d[k] != 0.0 {
				return false
			}
		case string:
			if looksLikePage([]byte(w)) || k == "modified" || k == "name" {
				continue
			}
			if d.Text(k) != w {
				return false
			}
		case bool:
			if d.Bool(k) != w {
				return false
			}
		default:
			if f, ok := number(want); ok {
				if g, ok := d.Float(k); !ok || f != g {
					return false
				}
			}
		}
	}
	return true
}

func number(v any) (float64, bool) {
	switch rv := reflect.ValueOf(v); {
	case rv.CanInt():
		return float64(rv.Int()), true
	case rv.CanUint():
		return float64(rv.Uint()), true
	case rv.CanFloat():
		return rv.Float(), true
	}
	return 0, false
}

// UpdateMerged reads a document, asks merge what to write and writes it with
// the modified that was read; when somebody was faster it begins again, a few
// times. merge returns no fields when there is nothing to do; then nothing is
// written, since every write moves modified. The document returned is the one
// merge last saw, with wrote telling whether fields were written.
func (c *Client) UpdateMerged(ctx context.Context, doctype, name string, merge func(current Doc) (map[string]any, error)) (current Doc, wrote bool, err error) {
	for try := 0; ; try++ {
		current, err = c.Get(ctx, doctype, name)
		if err != nil {
			return nil, false, err
		}
		fields, err := merge(maps.Clone(current))
		if err != nil || len(fields) == 0 {
			return current, false, err
		}
		_, err = c.Update(ctx, doctype, name, current.Modified(), fields)
		if err == nil {
			return current, true, nil
		}
		if CategoryOf(err) != Conflict || try == writeTries-1 {
			return current, false, err
		}
		if err := c.pauseBeforeRepeat(ctx, "update "+doctype, try); err != nil {
			return current, false, err
		}
	}
}

// MaxInsertMany is how many documents Frappe takes in one InsertMany.
const MaxInsertMany = 200

// InsertMany makes up to MaxInsertMany documents in one transaction of the
// site and returns one result for each, in order. key is as for Insert. If some
// keys are taken or the answer was lost, those that exist are looked up and only
// the others are sent again, so the documents may then come from more than one
// transaction.
func (c *Client) InsertMany(ctx context.Context, doctype, key string, docs []map[string]any) ([]Inserted, error) {
	op := "insert " + doctype
	if len(docs) == 0 {
		return nil, nil
	}
	if len(docs) > MaxInsertMany {
		return nil, c.misuse(op, "more documents at once than Frappe takes")
	}
	at := map[string]int{}
	for i, d := range docs {
		k, _ := d[key].(string)
		if _, twice := at[k]; k == "" || twice {
			return nil, c.misuse(op, "the key field "+key+" is empty or repeated")
		}
		at[k] = i
	}
	out := make([]Inserted, len(docs))
	for try := 0; ; try++ {
		var send []map[string]any
		var index []int
		for i, d := range docs {
			if out[i].Name == "" {
				one := maps.Clone(d)
				one["doctype"] = doctype
				send, index = append(send, one), append(index, i)
			}
		}
		if len(send) == 0 {
			return out, nil
		}
		r := &request{op: op, doctype: doctype, right: "create", method: http.MethodPost}
		v, err := c.call(ctx, r, "frappe.client.insert_many", map[string]any{"docs": send})
		names := texts(v)
		if err == nil && len(names) == len(send) {
			for i, n := range names {
				out[index[i]].Name = n
			}
			return out, nil
		}
		if err == nil {
			err = c.count(&Error{Op: op, Site: c.site, Status: 200, Category: Malformed, Hint: "the site did not name every document it made"})
		}
		if CategoryOf(err) != Duplicate && !lost(err) && !busy(err) || try == writeTries-1 {
			return nil, err
		}
		found := 0
		if !busy(err) {
			keys := make([]string, 0, len(send))
			for _, d := range send {
				keys = append(keys, d[key].(string))
			}
			for rows, ferr := range c.ListIn(ctx, ListQuery{Doctype: doctype, Fields: with([]string{key}, "name", "modified"), OrderBy: "name asc"}, key, keys) {
				if ferr != nil {
					return nil, c.uncertain(op, errors.Join(err, ferr))
				}
				for _, row := range rows {
					if i, ok := at[row.Text(key)]; ok {
						out[i] = Inserted{Name: row.Name(), Modified: row.Modified(), Existing: true}
						found++
					}
				}
			}
			if CategoryOf(err) == Duplicate && found == 0 {
				return nil, err // another unique field is taken; repeating cannot help
			}
		}
		if err := c.pauseBeforeRepeat(ctx, op, try); err != nil {
			return nil, err
		}
	}
}

// CallPost calls a method that changes something and returns its message. It is
// sent once: a lost answer is an error of category Uncertain, and the caller
// looks before repeating.
func (c *Client) CallPost(ctx context.Context, method string, args map[string]any) (any, error) {
	r := &request{op: "call " + method, method: http.MethodPost, right: "write"}
	v, err := c.call(ctx, r, method, args)
	if lost(err) {
		return nil, c.uncertain(r.op, err)
	}
	return v, err
}

func resourcePath(doctype string) string { return "/api/resource/" + url.PathEscape(doctype) }
