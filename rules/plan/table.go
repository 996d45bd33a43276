package plan

import (
	"iter"

	"github.com/goccy/go-json"
)

// table is a child table as it is wanted: its cells row by row. Most tables are
// planned to be found unchanged, and maps cost five times as much; a Change, in
// which the rows are written, holds them as []map[string]any.
type table struct {
	columns []string
	cells   []any
}

func (t table) len() int { return len(t.cells) / len(t.columns) }

func (t table) all() iter.Seq2[int, []any] {
	return func(yield func(int, []any) bool) {
		for i := range t.len() {
			if !yield(i, t.cells[i*len(t.columns):(i+1)*len(t.columns)]) {
				return
			}
		}
	}
}

func (t table) maps() []map[string]any {
	out := make([]map[string]any, t.len())
	for i, cells := range t.all() {
		row := make(map[string]any, len(cells))
		for j, c := range t.columns {
			row[c] = cells[j]
		}
		out[i] = row
	}
	return out
}

// MarshalJSON writes the rows as Frappe takes them.
func (t table) MarshalJSON() ([]byte, error) { return json.Marshal(t.maps()) }

// alike compares with n rows of another shape, as alike does.
func (t table) alike(n int, row func(int) any) (equal, sure bool) {
	if t.len() != n {
		return false, true
	}
	for i, cells := range t.all() {
		m, ok := row(i).(map[string]any)
		if !ok {
			return false, false
		}
		if len(m) != len(cells) {
			return false, true
		}
		for j, c := range t.columns {
			v, ok := m[c]
			if !ok {
				return false, true
			}
			if equal, sure := alike(cells[j], v); !equal {
				return false, sure
			}
		}
	}
	return true, true
}

// unfold makes tables what a Change holds.
func unfold(fields map[string]any) map[string]any {
	for k, v := range fields {
		if t, ok := v.(table); ok {
			fields[k] = t.maps()
		}
	}
	return fields
}
