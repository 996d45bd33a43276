package frappe

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	gojson "github.com/goccy/go-json"
)

// Doc is a document or a row as the site sent it: strings, float64 for every
// number, bool, nil, []any for a table and map[string]any for what is nested.
// Its accessors survive wrong types, since everything in it is foreign.
type Doc map[string]any

// Has reports whether the key came with a value other than null. A column that
// the user may not see does not come at all.
func (d Doc) Has(key string) bool { return d[key] != nil }

// Text returns a string as it came, a number in its shortest form, and "" for
// anything else.
func (d Doc) Text(key string) string { return text(d[key]) }

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		if v {
			return "1"
		}
		return "0"
	}
	return ""
}

// Name returns the document's name.
func (d Doc) Name() string { return d.Text("name") }

// Modified returns the raw text of modified: what a lock must repeat unchanged.
func (d Doc) Modified() string { return d.Text("modified") }

// Float returns a finite number; a text that reads as one counts.
func (d Doc) Float(key string) (float64, bool) { return float(d[key]) }

func float(v any) (float64, bool) {
	var f float64
	switch v := v.(type) {
	case float64:
		f = v
	case bool:
		if v {
			f = 1
		}
	case string:
		var err error
		if f, err = strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// Int returns a whole number within ±2^53; a fraction is not one.
func (d Doc) Int(key string) (int64, bool) { return whole(d[key]) }

func whole(v any) (int64, bool) {
	f, ok := float(v)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// Bool reads a Check: true for any number but 0, for true, and for the texts
// "1" and "true".
func (d Doc) Bool(key string) bool { return check(d[key]) }

func check(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v == "1" || strings.EqualFold(v, "true")
	}
	return false
}

// Rows returns the rows of a table field, leaving out what is not an object.
func (d Doc) Rows(key string) []Doc {
	list, _ := d[key].([]any)
	out := make([]Doc, 0, len(list))
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// JSON returns a JSON field, which arrives as text, decoded: a map, a list or
// nil when it is empty or no JSON.
func (d Doc) JSON(key string) any {
	switch v := d[key].(type) {
	case string:
		var out any
		if json.Unmarshal([]byte(v), &out) == nil {
			return out
		}
	case map[string]any, []any:
		return v
	}
	return nil
}

var errShape = errors.New("unexpected shape")

// decodeDoc reads the object under key, "data" or "message".
func decodeDoc(body []byte, key string) (Doc, error) {
	v, err := decodeUnder(body, key)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errShape
	}
	return m, nil
}

// decodeUnder reads the value under key of the outer object. A missing key is
// nil: version 1 leaves it out where the result is null.
func decodeUnder(body []byte, key string) (any, error) {
	if _, err := weigh(body); err != nil {
		return nil, err
	}
	var outer map[string]json.RawMessage
	if err := json.Unmarshal(body, &outer); err != nil {
		return nil, err
	}
	raw, ok := outer[key]
	if !ok {
		return nil, nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	return v, nil
}

// Bounds on what is built from an answer. Frappe's own answers nest below ten
// deep; a page of 2,000 rows with 100 fields is 200,000 values.
const (
	maxDepth  = 64
	maxValues = 1_000_000
)

var (
	errDeep = &Error{Category: Malformed, Hint: "the answer is nested deeper than any document"}
	errBig  = &Error{Category: Oversized, Hint: "the answer holds more values than we accept; ask for fewer rows or fields"}
	errMany = &Error{Category: Malformed, Hint: "more rows came than were asked for; the site ignores our page length"}
)

// weigh measures a JSON text before anything is built from it: rows counts the
// objects inside the list of a page. It stops once a bound is passed.
func weigh(b []byte) (rows int, err error) {
	depth, values := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return rows, refuse(errDeep)
			}
			values++
			if depth == 3 {
				rows++
			}
		case '}', ']':
			depth--
		case ',':
			if values++; values > maxValues {
				return rows, refuse(errBig)
			}
		}
	}
	return rows, nil
}

// refuse copies a prepared error, since whoever reports it fills in the rest.
func refuse(e *Error) error {
	c := *e
	return &c
}

// decodeRows reads {"data":[{…},…]} or {"message":[{…},…]}. The standard
// scanner first proves the text to be JSON of bounded depth; only then does
// go-json build the maps, three times as fast as encoding/json would.
//
// More rows than atMost, when that is not 0, are refused.
func decodeRows(body []byte, atMost int) (rows []Doc, err error) {
	defer func() {
		// go-json works on raw memory. What it cannot cope with is a bad answer of
		// one site and must not end the daemon.
		if recover() != nil {
			rows, err = nil, errShape
		}
	}()
	n, err := weigh(body)
	if err != nil {
		return nil, err
	}
	if atMost > 0 && n > atMost {
		return nil, refuse(errMany)
	}
	if !json.Valid(body) {
		return nil, errShape
	}
	var page struct {
		Data    *[]map[string]any `json:"data"`
		Message *[]map[string]any `json:"message"`
	}
	if err := gojson.Unmarshal(body, &page); err != nil {
		return nil, errShape
	}
	list := page.Data
	if list == nil {
		list = page.Message
	}
	if list == nil {
		return nil, errShape
	}
	rows = make([]Doc, len(*list))
	for i, m := range *list {
		if m == nil {
			return nil, errShape
		}
		rows[i] = m
	}
	return rows, nil
}

// encode writes v as JSON without escaping HTML: Frappe decides what it
// sanitises, and a comparison needs the text as it was meant.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// compact is encode for filters and field lists, as text.
func compact(v any) string {
	b, err := encode(v)
	if err != nil || !utf8.Valid(b) {
		return "[]"
	}
	return string(b)
}
