package frappetest

import (
	"sort"
	"strings"
)

// row is one stored document (without its child rows). Rows never change: an
// update puts another row in their place, so that a reader may keep one after
// the lock is gone and an undo is a pointer.
type row struct {
	name     string
	modified string
	vals     []any // by column ordinal; may be shorter than the table is wide
}

// table is the rows of one DocType with the two orders that lists ask for.
type table struct {
	cols       map[string]int
	colNames   []string
	byKey      map[string]*row // by folded name
	byModified ordered
	byName     ordered
	children   map[string][]*row // of child DocTypes: rows by folded parent
}

func newTable() *table {
	t := &table{cols: map[string]int{}, byKey: map[string]*row{}, children: map[string][]*row{}}
	t.byModified.less = func(a, b *row) bool {
		if a.modified != b.modified {
			return a.modified < b.modified
		}
		return nameLess(a, b)
	}
	t.byName.less = nameLess
	return t
}

func nameLess(a, b *row) bool {
	if c := collate(a.name, b.name); c != 0 {
		return c < 0
	}
	return a.name < b.name
}

// clone copies the table's indices; the rows are shared.
func (t *table) clone() *table {
	n := newTable()
	n.colNames = append([]string(nil), t.colNames...)
	for k, v := range t.cols {
		n.cols[k] = v
	}
	for k, v := range t.byKey {
		n.byKey[k] = v
	}
	for k, v := range t.children {
		n.children[k] = append([]*row(nil), v...)
	}
	n.byModified.chunks = t.byModified.copyChunks()
	n.byName.chunks = t.byName.copyChunks()
	return n
}

func (t *table) len() int { return len(t.byKey) }

// column gives the ordinal of a column, making it where it is new.
func (t *table) column(name string) int {
	c, ok := t.cols[name]
	if !ok {
		c = len(t.colNames)
		t.cols[name] = c
		t.colNames = append(t.colNames, name)
	}
	return c
}

func (t *table) get(r *row, col string) any {
	switch col {
	case "name":
		return r.name
	case "modified":
		return r.modified
	}
	if c, ok := t.cols[col]; ok && c < len(r.vals) {
		return r.vals[c]
	}
	return nil
}

func (t *table) str(r *row, col string) string {
	s, _ := t.get(r, col).(string)
	return s
}

// make builds a row from values; name and modified are taken out of them.
func (t *table) make(vals map[string]any) *row {
	r := &row{}
	r.name, _ = vals["name"].(string)
	r.modified, _ = vals["modified"].(string)
	width := 0
	for k, v := range vals {
		if v == nil || k == "name" || k == "modified" {
			continue
		}
		width = max(width, t.column(k)+1)
	}
	r.vals = make([]any, width)
	for k, v := range vals {
		if v != nil && k != "name" && k != "modified" {
			r.vals[t.cols[k]] = v
		}
	}
	return r
}

// with gives a copy of r with some values changed.
func (t *table) with(r *row, changes map[string]any) *row {
	n := &row{name: r.name, modified: r.modified, vals: append([]any(nil), r.vals...)}
	for k, v := range changes {
		switch k {
		case "name":
			n.name, _ = v.(string)
			continue
		case "modified":
			n.modified, _ = v.(string)
			continue
		}
		c, known := t.cols[k]
		if !known {
			if v == nil {
				continue
			}
			c = t.column(k)
		}
		for len(n.vals) <= c {
			if v == nil {
				break
			}
			n.vals = append(n.vals, nil)
		}
		if c < len(n.vals) {
			n.vals[c] = v
		}
	}
	return n
}

func (t *table) values(r *row) map[string]any {
	m := make(map[string]any, len(r.vals)+2)
	m["name"], m["modified"] = r.name, nil
	if r.modified != "" {
		m["modified"] = r.modified
	}
	for i, v := range r.vals {
		if v != nil {
			m[t.colNames[i]] = v
		}
	}
	return m
}

func (t *table) find(name string) *row { return t.byKey[fold(name)] }

func (t *table) childKey(r *row) (string, bool) {
	p := t.str(r, "parent")
	if p == "" {
		return "", false
	}
	return fold(p), true
}

func (t *table) link(r *row) {
	t.byKey[fold(r.name)] = r
	t.byModified.insert(r)
	t.byName.insert(r)
	if k, ok := t.childKey(r); ok {
		t.children[k] = append(t.children[k], r)
	}
}

func (t *table) unlink(r *row) {
	delete(t.byKey, fold(r.name))
	t.byModified.remove(r)
	t.byName.remove(r)
	if k, ok := t.childKey(r); ok {
		kids := t.children[k]
		for i, c := range kids {
			if c == r {
				t.children[k] = append(append([]*row(nil), kids[:i]...), kids[i+1:]...)
				break
			}
		}
		if len(t.children[k]) == 0 {
			delete(t.children, k)
		}
	}
}

// childRows lists the rows of one table field of one parent by idx.
func (t *table) childRows(parenttype, parent, field string) []*row {
	var out []*row
	for _, r := range t.children[fold(parent)] {
		if t.str(r, "parenttype") == parenttype && (field == "" || t.str(r, "parentfield") == field) {
			out = append(out, r)
		}
	}
	idx := t.cols["idx"]
	sort.SliceStable(out, func(i, j int) bool { return intAt(out[i], idx) < intAt(out[j], idx) })
	return out
}

func intAt(r *row, c int) int64 {
	if c < len(r.vals) {
		n, _ := r.vals[c].(int64)
		return n
	}
	return 0
}

// ordered keeps rows sorted in chunks, so that an insertion moves a few
// hundred pointers however large the table is.
type ordered struct {
	less   func(a, b *row) bool
	chunks [][]*row
}

const chunkSize = 512

func (o *ordered) copyChunks() [][]*row {
	out := make([][]*row, len(o.chunks))
	for i, c := range o.chunks {
		out[i] = append([]*row(nil), c...)
	}
	return out
}

// at finds the chunk and the place of the first row that is not before r.
func (o *ordered) at(before func(*row) bool) (chunk, place int) {
	chunk = sort.Search(len(o.chunks), func(i int) bool { c := o.chunks[i]; return !before(c[len(c)-1]) })
	if chunk == len(o.chunks) {
		return chunk, 0
	}
	c := o.chunks[chunk]
	return chunk, sort.Search(len(c), func(i int) bool { return !before(c[i]) })
}

func (o *ordered) insert(r *row) {
	ci, at := o.at(func(x *row) bool { return o.less(x, r) })
	if ci == len(o.chunks) {
		if ci == 0 || len(o.chunks[ci-1]) >= chunkSize {
			o.chunks = append(o.chunks, append(make([]*row, 0, chunkSize), r))
			return
		}
		o.chunks[ci-1] = append(o.chunks[ci-1], r)
		return
	}
	c := append(o.chunks[ci], nil)
	copy(c[at+1:], c[at:])
	c[at] = r
	o.chunks[ci] = c
	if len(c) > 2*chunkSize {
		half := len(c) / 2
		right := append(make([]*row, 0, chunkSize+half), c[half:]...)
		o.chunks[ci] = c[:half:half]
		o.chunks = append(o.chunks, nil)
		copy(o.chunks[ci+2:], o.chunks[ci+1:])
		o.chunks[ci+1] = right
	}
}

func (o *ordered) remove(r *row) {
	ci, at := o.at(func(x *row) bool { return o.less(x, r) })
	for ; ci < len(o.chunks); ci, at = ci+1, 0 {
		c := o.chunks[ci]
		for ; at < len(c); at++ {
			if c[at] == r {
				copy(c[at:], c[at+1:])
				c[len(c)-1] = nil
				o.chunks[ci] = c[:len(c)-1]
				if len(c) == 1 {
					o.chunks = append(o.chunks[:ci], o.chunks[ci+1:]...)
				}
				return
			}
		}
	}
}

// ascend walks the rows from the first that is not before the bound.
func (o *ordered) ascend(before func(*row) bool, visit func(*row) bool) {
	ci, at := 0, 0
	if before != nil {
		ci, at = o.at(before)
	}
	for ; ci < len(o.chunks); ci, at = ci+1, 0 {
		for _, r := range o.chunks[ci][at:] {
			if !visit(r) {
				return
			}
		}
	}
}

// descend walks all rows backwards.
func (o *ordered) descend(visit func(*row) bool) {
	for ci := len(o.chunks) - 1; ci >= 0; ci-- {
		c := o.chunks[ci]
		for i := len(c) - 1; i >= 0; i-- {
			if !visit(c[i]) {
				return
			}
		}
	}
}

// tx collects what undoes the changes of one request.
type tx struct{ undo []func() }

func (x *tx) rollback() {
	for i := len(x.undo) - 1; i >= 0; i-- {
		x.undo[i]()
	}
	x.undo = nil
}

func (x *tx) insert(t *table, r *row) {
	t.link(r)
	x.undo = append(x.undo, func() { t.unlink(r) })
}

func (x *tx) replace(t *table, old, r *row) {
	t.unlink(old)
	t.link(r)
	x.undo = append(x.undo, func() { t.unlink(r); t.link(old) })
}

func (x *tx) remove(t *table, r *row) {
	t.unlink(r)
	x.undo = append(x.undo, func() { t.link(r) })
}

// interner shares equal texts, which keeps large generated sites small.
type interner map[string]any

func (in interner) str(s string) any {
	if len(s) > 64 || strings.IndexByte(s, '\n') >= 0 {
		return s
	}
	if v, ok := in[s]; ok {
		return v
	}
	if len(in) > 200_000 {
		return s
	}
	v := any(strings.Clone(s))
	in[s] = v
	return v
}
