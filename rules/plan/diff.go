package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Lookup finds what is known of a record; false when it was never written.
type Lookup func(doctype, key string) (Known, bool)

// The pauses between writes that carry no news: each write blocks a person who
// has the form open.
const (
	MeasurePause   = 24 * time.Hour
	HeartbeatPause = time.Hour
)

// Diff returns the writes that turn what is known into what is wanted, in the
// order of wanted. Equal input gives equal changes with equal keys, however
// often it is planned. A record that people would not notice as changed
// (Measure, Heartbeat) waits out its pause since the last write.
func Diff(wanted []Record, known Lookup, now time.Time) []Change {
	var out []Change
	for _, w := range wanted {
		have, ok := known(w.Doctype, w.Key)
		if !ok {
			fields := maps.Clone(w.Fields)
			if fields == nil {
				fields = map[string]any{}
			}
			maps.Copy(fields, w.Once)
			c := change(w, Insert, fields, nil, w.Kind, w.Reason, now)
			c.Once = slices.Sorted(maps.Keys(w.Once))
			out = append(out, c)
			continue
		}
		if w.InsertOnly {
			continue
		}
		fields, base := map[string]any{}, map[string]any{}
		kind := Heartbeat
		var news []string
		for _, f := range slices.Sorted(maps.Keys(w.Fields)) {
			want, had := w.Fields[f], have.Fields[f]
			if Same(want, had) {
				continue
			}
			fields[f], base[f] = want, had
			switch k := weight(w, f, want, had); k {
			case Heartbeat:
			case Measure:
				if kind == Heartbeat {
					kind = Measure
				}
			default:
				kind = k
				news = append(news, f)
			}
		}
		if len(fields) == 0 {
			continue
		}
		if pause := pauseOf(kind); pause > 0 && now.Sub(have.Written) < pause {
			continue
		}
		reason := w.Reason
		if len(news) > 0 && len(news) <= 3 {
			reason = explain(w, have, news)
		}
		out = append(out, change(w, Update, fields, base, kind, reason, now))
	}
	return out
}

func pauseOf(k Kind) time.Duration {
	switch k {
	case Measure:
		return MeasurePause
	case Heartbeat:
		return HeartbeatPause
	default:
		return 0
	}
}

// weight says how much of a change a field's change is.
func weight(w Record, field string, want, had any) Kind {
	if k, soft := w.Soft[field]; soft {
		return k
	}
	if cols, table := w.Tables[field]; table && Same(project(want, cols), project(had, cols)) {
		return Measure
	}
	return w.Kind
}

// project cuts a child table down to some columns.
func project(v any, cols []string) any {
	var rows []map[string]any
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &rows) != nil {
		return v
	}
	out := make([][]any, len(rows))
	for i, r := range rows {
		for _, c := range cols {
			out[i] = append(out[i], r[c])
		}
	}
	return out
}

// explain says in one line what changed.
func explain(w Record, have Known, news []string) string {
	var parts []string
	for _, f := range news {
		if _, table := w.Tables[f]; table {
			parts = append(parts, w.Reason)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s: %s → %s", f, short(have.Fields[f]), short(w.Fields[f])))
	}
	return strings.Join(slices.Compact(parts), "; ")
}

func short(v any) string {
	switch v := v.(type) {
	case nil:
		return "(empty)"
	case string:
		if v == "" {
			return "(empty)"
		}
		return Plain(v, 40)
	case float64:
		return Number(v)
	case map[string]any, []any, []map[string]any:
		return "…"
	default:
		return fmt.Sprint(v)
	}
}

// Same reports whether two values are the same to Frappe, to which absent, null
// and "" are one, and true is 1.
func Same(a, b any) bool {
	if equal, sure := alike(a, b); sure {
		return equal
	}
	return canonical(a) == canonical(b)
}

// alike compares values of one shape without writing them down, which is most
// of what planning costs; sure is false where their texts must decide.
func alike(a, b any) (equal, sure bool) {
	switch x := a.(type) {
	case nil:
		return b == nil, b == nil
	case string:
		y, ok := b.(string)
		return x == y, ok
	case int:
		switch y := b.(type) {
		case int:
			return x == y, true
		case float64:
			return float64(x) == y, true
		}
	case float64:
		switch y := b.(type) {
		case int:
			return x == float64(y), true
		case float64:
			return x == y, true
		}
	case table:
		switch ys := b.(type) {
		case []map[string]any:
			return x.alike(len(ys), func(i int) any { return ys[i] })
		case []any:
			return x.alike(len(ys), func(i int) any { return ys[i] })
		}
	case []map[string]any:
		switch ys := b.(type) {
		case []map[string]any:
			return rowsAlike(x, len(ys), func(i int) any { return ys[i] })
		case []any:
			return rowsAlike(x, len(ys), func(i int) any { return ys[i] })
		}
	}
	return false, false
}

func rowsAlike(xs []map[string]any, n int, y func(int) any) (equal, sure bool) {
	if len(xs) != n {
		return false, true
	}
	for i, x := range xs {
		m, ok := y(i).(map[string]any)
		if !ok {
			return false, false
		}
		if len(x) != len(m) {
			return false, true
		}
		for k, v := range x {
			w, ok := m[k]
			if !ok {
				return false, true
			}
			if equal, sure := alike(v, w); !equal {
				return false, sure
			}
		}
	}
	return true, true
}

func canonical(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case bool:
		if x {
			return "1"
		}
		return "0"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return string(b)
}

func change(w Record, op Op, fields, base map[string]any, kind Kind, reason string, now time.Time) Change {
	fields, base = unfold(fields), unfold(base)
	c := Change{
		Partner: w.Partner, Doctype: w.Doctype, Name: w.Key, KeyField: w.KeyField, Op: op, Fields: fields, Base: base,
		Kind: kind, Reason: reason, Planned: now.UTC(),
	}
	h := sha256.New()
	h.Write([]byte(op))
	b, err := json.Marshal(fields) // map keys are sorted
	if err != nil {
		b = []byte(err.Error())
	}
	h.Write(b)
	c.Key = w.Doctype + "/" + w.Key + "#" + hex.EncodeToString(h.Sum(nil))[:16]
	return c
}
