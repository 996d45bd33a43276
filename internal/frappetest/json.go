package frappetest

import (
	"bytes"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// object is a JSON object that remembers the order of its keys, because
// Frappe's answers and its stored JSON texts keep theirs.
type object struct {
	keys []string
	vals map[string]any
}

func newObject(pairs ...any) *object {
	o := &object{vals: make(map[string]any, len(pairs)/2)}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func (o *object) set(key string, v any) {
	if _, ok := o.vals[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.vals[key] = v
}

func (o *object) get(key string) any {
	if o == nil {
		return nil
	}
	return o.vals[key]
}

func (o *object) has(key string) bool {
	if o == nil {
		return false
	}
	_, ok := o.vals[key]
	return ok
}

func (o *object) del(key string) {
	if _, ok := o.vals[key]; !ok {
		return
	}
	delete(o.vals, key)
	for i, k := range o.keys {
		if k == key {
			o.keys = append(o.keys[:i:i], o.keys[i+1:]...)
			return
		}
	}
}

// syntaxError is what Python's json module raises as JSONDecodeError.
type syntaxError struct {
	msg string
	pos int
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("%s: line 1 column %d (char %d)", e.msg, e.pos+1, e.pos)
}

// maxJSONDepth is where Python's recursion limit stops its decoder.
const maxJSONDepth = 990

type jsonParser struct {
	s     string
	i     int
	depth int
}

// parseJSON decodes as Python's json.loads does: integers stay integers,
// object keys keep their order, NaN and Infinity are accepted.
func parseJSON(s string) (any, error) {
	p := &jsonParser{s: s}
	p.space()
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i != len(p.s) {
		return nil, &syntaxError{"Extra data", p.i}
	}
	return v, nil
}

func (p *jsonParser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *jsonParser) value() (any, error) {
	if p.i >= len(p.s) {
		return nil, &syntaxError{"Expecting value", p.i}
	}
	rest := p.s[p.i:]
	switch c := rest[0]; {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.str()
	case strings.HasPrefix(rest, "null"):
		p.i += 4
		return nil, nil
	case strings.HasPrefix(rest, "true"):
		p.i += 4
		return true, nil
	case strings.HasPrefix(rest, "false"):
		p.i += 5
		return false, nil
	case strings.HasPrefix(rest, "NaN"):
		p.i += 3
		return math.NaN(), nil
	case strings.HasPrefix(rest, "Infinity"):
		p.i += 8
		return math.Inf(1), nil
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	return nil, &syntaxError{"Expecting value", p.i}
}

func (p *jsonParser) number() (any, error) {
	start := p.i
	if p.s[p.i] == '-' {
		p.i++
	}
	digits := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	if p.i == digits {
		return nil, &syntaxError{"Expecting value", start}
	}
	whole := true
	if p.i+1 < len(p.s) && p.s[p.i] == '.' && p.s[p.i+1] >= '0' && p.s[p.i+1] <= '9' {
		whole = false
		p.i++
		for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
			p.i++
		}
	}
	if p.i < len(p.s) && (p.s[p.i] == 'e' || p.s[p.i] == 'E') {
		j := p.i + 1
		if j < len(p.s) && (p.s[j] == '+' || p.s[j] == '-') {
			j++
		}
		if j < len(p.s) && p.s[j] >= '0' && p.s[j] <= '9' {
			whole = false
			for j < len(p.s) && p.s[j] >= '0' && p.s[j] <= '9' {
				j++
			}
			p.i = j
		}
	}
	text := p.s[start:p.i]
	if whole {
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil {
			return n, nil
		}
		if text[0] == '-' {
			return int64(math.MinInt64), nil
		}
		return int64(math.MaxInt64), nil
	}
	f, _ := strconv.ParseFloat(text, 64)
	return f, nil
}

func (p *jsonParser) str() (string, error) {
	start := p.i
	p.i++
	for j := p.i; j < len(p.s); j++ {
		switch c := p.s[j]; {
		case c == '"':
			out := p.s[p.i:j]
			p.i = j + 1
			return out, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", &syntaxError{"Invalid control character at", j}
		}
	}
	return "", &syntaxError{"Unterminated string starting at", start}
}

func (p *jsonParser) escaped(start int) (string, error) {
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			return b.String(), nil
		case c < 0x20:
			return "", &syntaxError{"Invalid control character at", p.i}
		case c != '\\':
			b.WriteByte(c)
			p.i++
			continue
		}
		if p.i+1 >= len(p.s) {
			break
		}
		esc := p.s[p.i+1]
		p.i += 2
		if k := strings.IndexByte(`"\/bfnrt`, esc); k >= 0 {
			b.WriteByte("\"\\/\b\f\n\r\t"[k])
			continue
		}
		if esc != 'u' {
			return "", &syntaxError{"Invalid \\escape", p.i - 2}
		}
		r, err := p.hex4()
		if err != nil {
			return "", err
		}
		if utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.i:], `\u`) {
			save := p.i
			p.i += 2
			r2, err := p.hex4()
			if err != nil {
				return "", err
			}
			if dec := utf16.DecodeRune(r, r2); dec != utf8.RuneError {
				r = dec
			} else {
				p.i = save
			}
		}
		b.WriteRune(r)
	}
	return "", &syntaxError{"Unterminated string starting at", start}
}

func (p *jsonParser) hex4() (rune, error) {
	if p.i+4 > len(p.s) {
		return 0, &syntaxError{"Invalid \\uXXXX escape", p.i}
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 32)
	if err != nil {
		return 0, &syntaxError{"Invalid \\uXXXX escape", p.i}
	}
	p.i += 4
	return rune(n), nil
}

func (p *jsonParser) nest() error {
	if p.depth++; p.depth > maxJSONDepth {
		return raise("RecursionError", "maximum recursion depth exceeded while decoding a JSON object")
	}
	return nil
}

func (p *jsonParser) object() (any, error) {
	if err := p.nest(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	o := newObject()
	p.i++
	p.space()
	if p.i < len(p.s) && p.s[p.i] == '}' {
		p.i++
		return o, nil
	}
	for {
		if p.i >= len(p.s) || p.s[p.i] != '"' {
			return nil, &syntaxError{"Expecting property name enclosed in double quotes", p.i}
		}
		k, err := p.str()
		if err != nil {
			return nil, err
		}
		p.space()
		if p.i >= len(p.s) || p.s[p.i] != ':' {
			return nil, &syntaxError{"Expecting ':' delimiter", p.i}
		}
		p.i++
		p.space()
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		o.set(k, v)
		p.space()
		if p.i < len(p.s) && p.s[p.i] == ',' {
			p.i++
			p.space()
			continue
		}
		if p.i < len(p.s) && p.s[p.i] == '}' {
			p.i++
			return o, nil
		}
		return nil, &syntaxError{"Expecting ',' delimiter", p.i}
	}
}

func (p *jsonParser) array() (any, error) {
	if err := p.nest(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	out := []any{}
	p.i++
	p.space()
	if p.i < len(p.s) && p.s[p.i] == ']' {
		p.i++
		return out, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		p.space()
		if p.i < len(p.s) && p.s[p.i] == ',' {
			p.i++
			p.space()
			continue
		}
		if p.i < len(p.s) && p.s[p.i] == ']' {
			p.i++
			return out, nil
		}
		return nil, &syntaxError{"Expecting ',' delimiter", p.i}
	}
}

// jsonStyle says how Python was asked to write: its default separators have a
// blank, the ones of a reply do not; indent is the width of a level or 0.
type jsonStyle struct {
	item, key string
	indent    int
	sorted    bool
}

var (
	compactJSON  = jsonStyle{item: ",", key: ":"}
	pythonJSON   = jsonStyle{item: ", ", key: ": "}
	indentedJSON = jsonStyle{item: ",", key: ": ", indent: 1, sorted: true}
)

func dumps(v any, st jsonStyle) string { return string(appendJSON(nil, v, st, 0)) }

func appendJSON(b []byte, v any, st jsonStyle, level int) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendQuoted(b, x)
	case bool:
		return strconv.AppendBool(b, x)
	case int:
		return strconv.AppendInt(b, int64(x), 10)
	case int64:
		return strconv.AppendInt(b, x, 10)
	case float64:
		return appendFloat(b, x)
	case rawJSON:
		return append(b, x...)
	case []any:
		return appendList(b, len(x), func(b []byte, i int) []byte { return appendJSON(b, x[i], st, level+1) }, st, level)
	case []string:
		return appendList(b, len(x), func(b []byte, i int) []byte { return appendJSON(b, x[i], st, level+1) }, st, level)
	case []*object:
		return appendList(b, len(x), func(b []byte, i int) []byte { return appendJSON(b, x[i], st, level+1) }, st, level)
	case map[string]any:
		o := newObject()
		for _, k := range sortedKeys(x) {
			o.set(k, x[k])
		}
		return appendJSON(b, o, st, level)
	case *object:
		if x == nil {
			return append(b, "null"...)
		}
		keys := x.keys
		if st.sorted {
			keys = append([]string(nil), keys...)
			sort.Strings(keys)
		}
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, st.item...)
			}
			b = newline(b, st, level+1)
			b = appendQuoted(b, k)
			b = append(b, st.key...)
			b = appendJSON(b, x.vals[k], st, level+1)
		}
		if len(keys) > 0 {
			b = newline(b, st, level)
		}
		return append(b, '}')
	case fmt.Stringer:
		return appendQuoted(b, x.String())
	}
	return appendQuoted(b, fmt.Sprint(v))
}

// rawJSON is text that is JSON already.
type rawJSON []byte

func appendList(b []byte, n int, item func([]byte, int) []byte, st jsonStyle, level int) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, st.item...)
		}
		b = newline(b, st, level+1)
		b = item(b, i)
	}
	if n > 0 {
		b = newline(b, st, level)
	}
	return append(b, ']')
}

func newline(b []byte, st jsonStyle, level int) []byte {
	if st.indent == 0 {
		return b
	}
	b = append(b, '\n')
	return append(b, bytes.Repeat([]byte{' '}, st.indent*level)...)
}

// appendFloat writes a float as Python's repr does: shortest digits, always
// with a point or an exponent.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	n := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if bytes.IndexByte(b[n:], '.') < 0 {
		b = append(b, '.', '0')
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendQuoted writes a string with every character outside ASCII escaped.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		if c < utf8.RuneSelf {
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case 0x7f:
				b = append(b, c)
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= 0x10000 {
			r1, r2 := utf16.EncodeRune(r)
			b = appendU(appendU(b, r1), r2)
		} else {
			b = appendU(b, r)
		}
		i += n
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendU(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
