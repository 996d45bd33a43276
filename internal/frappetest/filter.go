package frappetest

import (
	"slices"
	"strings"
	"time"
)

// column points at a column of one of the joined tables of a query.
type column struct {
	ti   int // which table
	ord  int // ordinal, or one of the constants below
	name string
	f    *field // nil for standard columns
	t    *table
}

const (
	ordName     = -1
	ordModified = -2
	ordMissing  = -3
)

func (c *column) of(tuple []*row) any {
	r := tuple[c.ti]
	if r == nil {
		return nil
	}
	switch c.ord {
	case ordName:
		return r.name
	case ordModified:
		if r.modified == "" {
			return nil
		}
		return r.modified
	case ordMissing:
		return nil
	}
	if c.ord < len(r.vals) {
		return r.vals[c.ord]
	}
	return nil
}

// kind says how the database compares the column.
func (c *column) kind() string {
	if c.f != nil {
		switch {
		case isNumeric(c.f.typ):
			return "number"
		case c.f.typ == "Date":
			return "date"
		case c.f.typ == "Datetime":
			return "datetime"
		case c.f.typ == "Time":
			return "time"
		}
		return "text"
	}
	switch c.name {
	case "docstatus", "idx":
		return "number"
	case "creation", "modified":
		return "datetime"
	}
	return "text"
}

type predicate func(tuple []*row) bool

var operators = []string{
	"=", "!=", ">", "<", ">=", "<=", "like", "not like", "in", "not in", "is", "between", "timespan", "previous", "next",
	"ancestors of", "descendants of", "descendants of (inclusive)", "not ancestors of", "not descendants of",
}

// condition is one filter as get_filter leaves it.
type condition struct {
	doctype, field, op string
	value              any
}

func sqlSyntaxError() error {
	return raise("ProgrammingError", `(1064, "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use")`)
}

func unknownColumn(name, clause string) error {
	return raise("OperationalError", `(1054, "Unknown column '%s' in '%s'")`, name, clause)
}

// compileCondition turns a filter into a predicate with Frappe's rules about
// nulls: they are compared as an empty text, 0 or the year 1, except where
// Frappe thinks that a null cannot matter. plain compares nulls as SQL does.
func (q *session) compileCondition(c *column, cond condition, plain bool) (predicate, error) {
	op := strings.ToLower(cond.op)
	value := cond.value
	kind := c.kind()
	if plain && value == nil && (op == "=" || op == "!=" || op == "like") {
		return func(tuple []*row) bool { return c.of(tuple) == nil }, nil
	}
	numericField := c.f != nil && isNumeric(c.f.typ) && c.f.typ != "Rating" && c.f.typ != "Duration"
	nullable := c.name != "name" && c.name != "modified" && c.name != "creation"
	stamp := c.name == "creation" || c.name == "modified"
	dateField := c.f != nil && (c.f.typ == "Date" || c.f.typ == "Datetime")

	if strings.HasSuffix(op, "of") || strings.HasSuffix(op, "(inclusive)") {
		ref := cond.doctype
		if c.f != nil && c.f.options != "" {
			ref = c.f.options
		}
		var nodes []string
		if strings.Contains(op, "descendants") {
			nodes = q.descendants(ref, cstr(value))
			if op == "descendants of (inclusive)" {
				nodes = append(nodes, cstr(value))
			}
		} else {
			nodes = q.ancestors(ref, cstr(value))
		}
		return inPredicate(c, nodes, strings.HasPrefix(op, "not "), nullable, kind), nil
	}

	if op == "in" || op == "not in" {
		var values []string
		switch x := value.(type) {
		case []any:
			for _, v := range x {
				values = append(values, strings.TrimSpace(cstr(v)))
			}
		case nil:
		case string:
			for _, v := range strings.Split(x, ",") {
				values = append(values, strings.TrimSpace(v))
			}
		default:
			if !truthy(x) {
				break
			}
			if q.site.version.major >= 14 {
				return nil, raise("TypeError", "'%s' object is not iterable", pyType(x))
			}
		}
		if op == "in" {
			nullable = nullable && (len(values) == 0 || slices.Contains(values, ""))
		}
		if plain {
			nullable = false
		}
		return inPredicate(c, values, op == "not in", nullable, kind), nil
	}

	if op == "previous" || op == "next" || op == "timespan" {
		from, to, err := q.dateRange(op, cstr(value))
		if err != nil {
			return nil, err
		}
		op, value = "between", []any{from, to}
	}
	if numericField {
		nullable = false
	}
	if (op == ">" || op == ">=") && (stamp || dateField) {
		nullable = false
	}
	nullAs := any("")
	text := kind == "text"
	never := false // the bound matches nothing
	switch {
	case (op == ">" || op == "<" || op == ">=" || op == "<=") && stamp:
		nullable = false
		raw := cstr(value)
		if strings.Contains(raw, "T") && !q.site.version.isoBoundsMatch {
			never = true
		}
		t, ok := parseDatetime(raw)
		if !ok {
			return func([]*row) bool { return false }, nil
		}
		value = formatTime(t)
	case op == "between" && (stamp || dateField):
		from, to, err := q.betweenBounds(value, c.f != nil && c.f.typ == "Date")
		if err != nil {
			return nil, err
		}
		return func(tuple []*row) bool {
			v, ok := c.of(tuple).(string)
			return ok && v != "" && v >= from && v <= to
		}, nil
	case op == "is":
		switch value {
		case "set":
			return func(tuple []*row) bool { return !emptyValue(c.of(tuple), kind) }, nil
		case "not set":
			return func(tuple []*row) bool {
				v := c.of(tuple)
				if v == nil {
					return nullable || c.ord == ordMissing
				}
				return emptyValue(v, kind)
			}, nil
		}
		return nil, sqlSyntaxError()
	case op == "between" && plain:
		l, ok := value.([]any)
		if !ok || len(l) < 2 {
			return nil, raise("TypeError", "slice expected at least 1 argument, got 0")
		}
		lo, hi := l[0], l[1]
		return func(tuple []*row) bool {
			v := c.of(tuple)
			return v != nil && compareValues(v, lo, kind) >= 0 && compareValues(v, hi, kind) <= 0
		}, nil
	case op == "between":
		return nil, sqlSyntaxError()
	case c.f != nil && c.f.typ == "Date":
		nullAs = "0001-01-01"
		if !truthy(value) {
			value = q.site.today().Format(dateLayout)
			break
		}
		if op == "like" || op == "not like" {
			break
		}
		t, ok := parseLoose(cstr(value))
		if !ok {
			return nil, q.throw("ValidationError", "%s is not a valid date string.", bold(cstr(value)))
		}
		value = t.Format(dateLayout)
	case c.f != nil && c.f.typ == "Datetime":
		nullAs = "0001-01-01 00:00:00"
		if !truthy(value) {
			value = nullAs
			break
		}
		t, ok := parseLoose(cstr(value))
		if !ok {
			return nil, q.throw("ValidationError", "%s is not a valid datetime string.", bold(cstr(value)))
		}
		value = formatTime(t)
	case c.f != nil && c.f.typ == "Time":
		s, ok := canonicalTime(cstr(value))
		if !ok {
			s = "0:00:00"
		}
		value, nullAs = s, "0:00:00"
	case op == "like" || op == "not like":
		value = cstr(value)
	case numericField:
		value = flt(value)
		nullAs = float64(0)
	case kind == "datetime":
		raw := cstr(value)
		if strings.Contains(raw, "T") && !q.site.version.isoBoundsMatch {
			never = true
		}
		t, ok := parseDatetime(raw)
		if !ok {
			return func([]*row) bool { return op == "!=" }, nil
		}
		value = formatTime(t)
	case kind == "number":
		if s, ok := value.(string); ok {
			value = flt(s)
		} else {
			value = flt(value)
		}
		nullAs = float64(0)
	default:
		value = cstr(value)
	}
	if never {
		return func([]*row) bool { return op == "!=" }, nil
	}
	if op == "like" || op == "not like" {
		match := likeMatcher(cstr(value))
		not := op == "not like"
		withNull := nullable && (not || value == "") && !plain
		return func(tuple []*row) bool {
			v := c.of(tuple)
			if v == nil {
				if !withNull {
					return false
				}
				v = ""
			}
			return match(cstr(v)) != not
		}, nil
	}
	useFallback := nullable && (!truthy(cond.value) || op != "=") && !plain
	if useFallback && op == "!=" && equalValues(nullAs, value) {
		useFallback = false
	}
	want := value
	var compare func(v any) int
	switch {
	case text:
		ws := cstr(want)
		if op == "=" || op == "!=" {
			wf := fold(ws)
			compare = func(v any) int {
				if s, ok := v.(string); ok && s == ws {
					return 0
				} else if fold(cstr(v)) == wf {
					return 0
				}
				return 1
			}
		} else {
			compare = func(v any) int { return collate(cstr(v), ws) }
		}
	case kind == "number":
		wf := flt(want)
		compare = func(v any) int {
			switch f := flt(v); {
			case f < wf:
				return -1
			case f > wf:
				return 1
			}
			return 0
		}
	case kind == "time":
		wf := seconds(cstr(want))
		compare = func(v any) int {
			switch f := seconds(cstr(v)); {
			case f < wf:
				return -1
			case f > wf:
				return 1
			}
			return 0
		}
	default:
		ws := cstr(want)
		compare = func(v any) int { return strings.Compare(cstr(v), ws) }
	}
	var holds func(int) bool
	switch op {
	case "=":
		holds = func(n int) bool { return n == 0 }
	case "!=":
		holds = func(n int) bool { return n != 0 }
	case ">":
		holds = func(n int) bool { return n > 0 }
	case "<":
		holds = func(n int) bool { return n < 0 }
	case ">=":
		holds = func(n int) bool { return n >= 0 }
	default:
		holds = func(n int) bool { return n <= 0 }
	}
	return func(tuple []*row) bool {
		v := c.of(tuple)
		if v == nil {
			if kind == "number" && c.ord != ordMissing && tuple[c.ti] != nil && !plain {
				v = float64(0) // numeric columns are never null in the table
			} else if !useFallback {
				return false
			} else {
				v = nullAs
			}
		}
		return holds(compare(v))
	}, nil
}

func emptyValue(v any, kind string) bool {
	if v == nil {
		return true
	}
	if kind == "number" {
		return flt(v) == 0
	}
	return strings.TrimRight(cstr(v), " ") == ""
}

func inPredicate(c *column, values []string, not, nullable bool, kind string) predicate {
	if len(values) == 0 {
		values = []string{""}
	}
	set := make(map[string]bool, len(values))
	var numbers []float64
	for _, v := range values {
		set[fold(v)] = true
		if kind == "number" {
			numbers = append(numbers, flt(v))
		}
	}
	return func(tuple []*row) bool {
		v := c.of(tuple)
		if v == nil {
			if kind == "number" && tuple[c.ti] != nil && c.ord != ordMissing {
				v = int64(0)
			} else {
				return nullable && set[""] != not
			}
		}
		if kind == "number" {
			f := flt(v)
			return slices.Contains(numbers, f) != not
		}
		return set[fold(cstr(v))] != not
	}
}

// likeMatcher compiles a LIKE pattern: % and _, \ escapes, without regard to
// case and accents.
func likeMatcher(pattern string) func(string) bool {
	type token struct {
		r    rune
		kind byte // 'c' character, '_' any, '%' any number
	}
	var tokens []token
	esc := false
	for _, r := range pattern {
		switch {
		case esc:
			tokens = append(tokens, token{r, 'c'})
			esc = false
		case r == '\\':
			esc = true
		case r == '%':
			tokens = append(tokens, token{0, '%'})
		case r == '_':
			tokens = append(tokens, token{0, '_'})
		default:
			tokens = append(tokens, token{r, 'c'})
		}
	}
	var folded []token
	for _, t := range tokens {
		if t.kind != 'c' {
			folded = append(folded, t)
			continue
		}
		for _, r := range foldRune(t.r) {
			folded = append(folded, token{r, 'c'})
		}
	}
	return func(s string) bool {
		var text []rune
		for _, r := range s {
			text = append(text, []rune(foldRune(r))...)
		}
		i, j, star, mark := 0, 0, -1, 0
		for i < len(text) {
			switch {
			case j < len(folded) && (folded[j].kind == '_' || folded[j].kind == 'c' && folded[j].r == text[i]):
				i++
				j++
			case j < len(folded) && folded[j].kind == '%':
				star, mark = j, i
				j++
			case star >= 0:
				mark++
				i, j = mark, star+1
			default:
				return false
			}
		}
		for j < len(folded) && folded[j].kind == '%' {
			j++
		}
		return j == len(folded)
	}
}

func foldRune(r rune) string {
	if r == ' ' {
		return " "
	}
	return fold(string(r))
}

// betweenBounds gives both ends of a between filter on a date or datetime.
func (q *session) betweenBounds(value any, isDate bool) (from, to string, err error) {
	bounds := [2]string{q.site.today().Format(dateLayout), q.site.today().Format(dateLayout)}
	if l, ok := value.([]any); ok {
		for i := range min(2, len(l)) {
			bounds[i] = cstr(l[i])
		}
	}
	var out [2]string
	for i, b := range bounds {
		t, ok := parseLoose(b)
		if !ok {
			return "", "", q.throw("ValidationError", "%s is not a valid date string.", bold(b))
		}
		dateOnly := !strings.Contains(strings.TrimSpace(b), " ")
		switch {
		case isDate:
			out[i] = t.Format(dateLayout)
		case (dateOnly || q.site.version.wholeDayBetween) && i == 0:
			out[i] = t.Format(dateLayout) + " 00:00:00"
		case dateOnly || q.site.version.wholeDayBetween:
			out[i] = t.Format(dateLayout) + " 23:59:59.999999"
		default:
			out[i] = formatTime(t)
		}
	}
	return out[0], out[1], nil
}

// dateRange resolves timespan, previous and next.
func (q *session) dateRange(op, value string) (from, to string, err error) {
	span := value
	if op != "timespan" {
		unit, ok := map[string]string{"1 week": "week", "1 month": "month", "3 months": "quarter", "6 months": "6 months", "1 year": "year"}[value]
		if !ok {
			return "", "", raise("KeyError", "'%s'", value)
		}
		span = map[string]string{"previous": "last ", "next": "next "}[op] + unit
	}
	today := q.site.today()
	week := func(t time.Time) (time.Time, time.Time) {
		first := int(time.Sunday)
		if d := cstr(q.value("System Settings", "System Settings", "first_day_of_the_week")); d == "Monday" {
			first = int(time.Monday)
		}
		start := t.AddDate(0, 0, -((int(t.Weekday()) - first + 7) % 7))
		return start, start.AddDate(0, 0, 6)
	}
	month := func(n int) (time.Time, time.Time) {
		start := time.Date(today.Year(), today.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 1, -1)
	}
	quarter := func(n int) (time.Time, time.Time) {
		q0 := (int(today.Month())-1)/3*3 + 1
		start := time.Date(today.Year(), time.Month(q0+3*n), 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 3, -1)
	}
	year := func(n int) (time.Time, time.Time) {
		start := time.Date(today.Year()+n, 1, 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(1, 0, -1)
	}
	var a, b time.Time
	switch span {
	case "last 7 days", "last 14 days", "last 30 days", "last 90 days":
		a, b = today.AddDate(0, 0, -int(cint(strings.Fields(span)[1]))), today
	case "next 7 days", "next 14 days", "next 30 days":
		a, b = today, today.AddDate(0, 0, int(cint(strings.Fields(span)[1])))
	case "last week":
		a, b = week(today.AddDate(0, 0, -7))
	case "this week":
		a, b = week(today)
	case "next week":
		a, b = week(today.AddDate(0, 0, 7))
	case "last month":
		a, b = month(-1)
	case "this month":
		a, b = month(0)
	case "next month":
		a, b = month(1)
	case "last quarter":
		a, b = quarter(-1)
	case "this quarter":
		a, b = quarter(0)
	case "next quarter":
		a, b = quarter(1)
	case "last 6 months":
		a, _ = quarter(-2)
		_, b = quarter(-1)
	case "next 6 months":
		a, _ = quarter(1)
		_, b = quarter(2)
	case "last year":
		a, b = year(-1)
	case "this year":
		a, b = year(0)
	case "next year":
		a, b = year(1)
	case "yesterday":
		a = today.AddDate(0, 0, -1)
		b = a
	case "today":
		a, b = today, today
	case "tomorrow":
		a = today.AddDate(0, 0, 1)
		b = a
	default:
		return "", "", raise("TypeError", "'NoneType' object is not subscriptable")
	}
	return a.Format(dateLayout), b.Format(dateLayout), nil
}

// countConditions reads filters as the query builder behind client.get_count
// does: pairs are equalities, a flat list is a list of names.
func (q *session) countConditions(doctype string, filters any) ([]condition, error) {
	var out []condition
	add := func(dt, field string, op any, value any) error {
		o := strings.ToLower(cstr(op))
		switch o {
		case "=<":
			o = "<="
		case "=>":
			o = ">="
		}
		if !slices.Contains(operators, o) {
			return raise("KeyError", "'%s'", o)
		}
		if strings.ContainsFunc(field, func(r rune) bool { return r != '_' && (r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z') }) {
			return q.throw("ValidationError", "Invalid filter: %s", field)
		}
		out = append(out, condition{dt, field, o, value})
		return nil
	}
	switch x := filters.(type) {
	case *object:
		for _, k := range x.keys {
			var op, v any = "=", x.vals[k]
			if l, ok := v.([]any); ok {
				if len(l) != 2 {
					return nil, raise("ValueError", "not enough values to unpack (expected 2, got %d)", len(l))
				}
				op, v = l[0], l[1]
			}
			if err := add(doctype, k, op, v); err != nil {
				return nil, err
			}
		}
	case []any:
		flat := len(x) > 0
		for _, e := range x {
			switch e.(type) {
			case string, int64:
			default:
				flat = false
			}
		}
		if flat {
			return []condition{{doctype, "name", "in", x}}, nil
		}
		for _, e := range x {
			var err error
			switch l := e.(type) {
			case []any:
				switch len(l) {
				case 2:
					err = add(doctype, cstr(l[0]), "=", l[1])
				case 3:
					err = add(doctype, cstr(l[0]), l[1], l[2])
				case 4:
					err = add(cstr(l[0]), cstr(l[1]), l[2], l[3])
				}
			case *object:
				var more []condition
				more, err = q.countConditions(doctype, l)
				out = append(out, more...)
			default:
				out = append(out, condition{doctype, "name", "=", e})
			}
			if err != nil {
				return nil, err
			}
		}
	default:
		out = append(out, condition{doctype, "name", "=", cstr(x)})
	}
	return out, nil
}
