package frappetest

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// listArgs are the arguments of a list before they are understood.
type listArgs struct {
	doctype, parent   string
	fields            any
	filters           any
	orFilters         any
	groupBy, orderBy  any
	start, limit      any
	asList            bool
	distinct          bool
	debug             bool
	desk              bool // reportview: default order is modified desc, no strict patterns
	ignorePermissions bool
}

// selection is one column of the answer.
type selection struct {
	key  string
	col  *column
	fn   string // aggregate or scalar function
	star bool
	dist bool
}

type orderKey struct {
	col  *column
	desc bool
	sel  int // index into the selections where an alias is sorted, else -1
}

// query is a list ready to run.
type query struct {
	q       *session
	m       *meta
	tables  []joined
	sels    []selection
	preds   []predicate
	ors     []predicate
	match   func(*row) bool
	order   []orderKey
	group   []*column
	start   int
	limit   int // -1 = all
	asList  bool
	dist    bool
	empty   bool // no field is left: the answer is empty
	lower   string
	parents []string
	names   []string
}

type joined struct {
	doctype string
	m       *meta
	t       *table
	link    string // column of the base that holds the name; "" joins child rows
}

// rowsOut is the result of a list.
type rowsOut struct {
	keys   []string
	rows   [][]any
	asList bool
}

func (o *rowsOut) appendJSON(b []byte) []byte {
	var prefixes [][]byte
	idx := make([]int, 0, len(o.keys))
	if !o.asList {
		last := map[string]int{}
		for i, k := range o.keys {
			last[k] = i
		}
		seen := map[string]bool{}
		for _, k := range o.keys {
			if !seen[k] {
				seen[k] = true
				prefixes = append(prefixes, append(appendQuoted(nil, k), ':'))
				idx = append(idx, last[k])
			}
		}
	}
	b = append(b, '[')
	for i, r := range o.rows {
		if i > 0 {
			b = append(b, ',')
		}
		if o.asList {
			b = append(b, '[')
			for j, v := range r {
				if j > 0 {
					b = append(b, ',')
				}
				b = appendValue(b, v)
			}
			b = append(b, ']')
			continue
		}
		b = append(b, '{')
		for j, p := range prefixes {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(b, p...)
			b = appendValue(b, r[idx[j]])
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendValue(b []byte, v any) []byte { return appendJSON(b, v, compactJSON, 0) }

var plainField = regexp.MustCompile(`^\w+$`)

// fieldExpr is a field text taken apart.
type fieldExpr struct {
	text, alias string
	fn          string
	distinct    bool
	table, col  string // table as written, without quotes
	star        bool
	columns     []string // what extract_fieldnames finds
	bad         bool
}

var (
	aliasPattern = regexp.MustCompile("(?i)^(.*?)\\s+as\\s+[`'\"]?([\\w: -]+?)[`'\"]?$")
	callPattern  = regexp.MustCompile(`(?is)^([a-z_]\w*)\s*\((.*)\)$`)
	refPattern   = regexp.MustCompile("(?i)^(?:[`\"]?([\\w -]+)[`\"]?\\.)?[`\"]?(\\w+|\\*)[`\"]?$")
	wordPattern  = regexp.MustCompile("`[^`]*`\\.`?\\w+`?|[A-Za-z_]\\w*(?:\\.\\w+)?|'[^']*'|\"[^\"]*\"")
)

func parseField(s string) fieldExpr {
	e := fieldExpr{text: s}
	body := strings.TrimSpace(s)
	if plainField.MatchString(body) {
		e.col, e.columns = body, []string{body}
		return e
	}
	if p := aliasPattern.FindStringSubmatch(body); p != nil {
		body, e.alias = strings.TrimSpace(p[1]), p[2]
	}
	if p := callPattern.FindStringSubmatch(body); p != nil {
		e.fn = strings.ToLower(p[1])
		body = strings.TrimSpace(p[2])
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(body), "distinct "); ok {
		e.distinct = true
		body = strings.TrimSpace(body[len(body)-len(rest):])
	}
	if p := refPattern.FindStringSubmatch(body); p != nil {
		e.table, e.col = p[1], p[2]
		if e.col == "*" {
			e.star, e.col = true, ""
			e.columns = []string{"*"}
			return e
		}
		name := e.col
		if e.table != "" {
			name = e.table + "." + e.col
		}
		e.columns = []string{name}
		return e
	}
	e.bad = true
	for _, w := range wordPattern.FindAllString(body, -1) {
		if w[0] != '\'' && w[0] != '"' && !sqlWords[strings.ToLower(w)] {
			e.columns = append(e.columns, strings.ReplaceAll(w, "`", ""))
		}
	}
	return e
}

func (q *session) invalidField(name string) error {
	return q.throw("DataError", "Field not permitted in query: %s", name)
}

// resolveName is get_parenttype_and_fieldname: where a dotted name points.
func (q *session) resolveName(m *meta, name string) (*meta, *field, error) {
	table, col, dotted := strings.Cut(name, ".")
	if !dotted {
		return m, m.field(strings.Trim(name, "`")), nil
	}
	target := ""
	if f := m.field(table); f != nil {
		target = f.options
	} else if rest, ok := strings.CutPrefix(table, "tab"); ok {
		target = rest
	} else {
		return nil, nil, raise("AttributeError", "'NoneType' object has no attribute 'options'")
	}
	tm, err := q.meta(target)
	if err != nil {
		return nil, nil, err
	}
	return tm, tm.field(col), nil
}

func standardName(name string) bool {
	if _, col, dotted := strings.Cut(name, "."); dotted {
		name = strings.Trim(col, "`")
	}
	return name == "doctype" || isStandardColumn(name)
}

// sqlWords are words of an expression that name no column.
var sqlWords = map[string]bool{"select": true, "from": true, "where": true, "as": true, "distinct": true, "and": true, "or": true, "not": true, "null": true}

// understand validates list arguments as reportview.validate_args does and
// plans the query as DatabaseQuery does.
func (q *session) understand(a listArgs) (*query, error) {
	filters, err := q.jsonArg(a.filters)
	if err != nil {
		return nil, err
	}
	orFilters, err := q.jsonArg(a.orFilters)
	if err != nil {
		return nil, err
	}
	var fieldsIn any = a.fields
	if s, ok := a.fields.(string); ok && s != "" {
		if s == "*" {
			fieldsIn = []any{"*"}
		} else if fieldsIn, err = q.jsonArg(s); err != nil {
			return nil, err
		}
	}
	m, err := q.meta(a.doctype)
	if err != nil {
		return nil, err
	}
	var fields []string
	switch x := fieldsIn.(type) {
	case nil:
	case []any:
		for _, f := range x {
			s, ok := f.(string)
			if !ok {
				if f == nil {
					continue
				}
				if _, isObj := f.(*object); isObj && q.site.version.major >= 14 {
					return nil, raise("TypeError", "unhashable type: 'dict'")
				}
				return nil, raise("TypeError", "expected string or bytes-like object")
			}
			fields = append(fields, s)
		}
	case string:
		if x != "" {
			return nil, raise("JSONDecodeError", "Expecting value: line 1 column 1 (char 0)")
		}
	case *object:
		fields = append(fields, x.keys...)
	default:
		return nil, raise("TypeError", "'%s' object is not iterable", pyType(x))
	}
	wildcard := len(fields) == 1 && fields[0] == "*"
	if wildcard {
		fields = slices.Clone(q.permittedColumns(m, a.parent))
	}
	kept := fields[:0:0]
	for _, f := range fields {
		e := parseField(f)
		if len(e.columns) == 0 {
			return nil, raise("IndexError", "list index out of range")
		}
		name := e.columns[0]
		if name == "" {
			return nil, q.invalidField(name)
		}
		if standardName(name) {
			kept = append(kept, f)
			continue
		}
		fm, df, err := q.resolveName(m, name)
		if err != nil {
			return nil, err
		}
		if df == nil {
			if wildcard {
				kept = append(kept, f)
				continue
			}
			return nil, q.invalidField(name)
		}
		if df.permlevel > 0 && !a.ignorePermissions {
			pm := fm
			if fm.child {
				pm = m
			}
			if !slices.Contains(q.levels(pm, "read"), df.permlevel) {
				continue
			}
		}
		kept = append(kept, f)
	}
	for _, fl := range []any{filters, orFilters} {
		if !truthy(fl) {
			continue
		}
		if err := q.validateFilters(m, fl); err != nil {
			return nil, err
		}
	}
	a.filters, a.orFilters = filters, orFilters
	return q.planList(a, m, kept)
}

func (q *session) jsonArg(v any) (any, error) {
	s, ok := v.(string)
	if !ok || s == "" {
		return v, nil
	}
	out, err := parseJSON(s)
	if err != nil {
		return nil, asPython(err)
	}
	return out, nil
}

func (q *session) validateFilters(m *meta, filters any) error {
	switch x := filters.(type) {
	case []any:
		for _, c := range x {
			var parts []any
			switch cc := c.(type) {
			case []any:
				parts = cc
			case string:
				for _, r := range cc {
					parts = append(parts, string(r))
				}
			case *object:
				for _, k := range cc.keys {
					parts = append(parts, k)
				}
				if len(parts) != 3 {
					return raise("KeyError", "1")
				}
			default:
				return raise("TypeError", "object of type '%s' has no len()", pyType(c))
			}
			if len(parts) == 3 {
				name, ok := parts[0].(string)
				if !ok {
					return raise("TypeError", "argument of type '%s' is not iterable", pyType(parts[0]))
				}
				if standardName(name) {
					continue
				}
				_, df, err := q.resolveName(m, name)
				if err != nil {
					return err
				}
				if df == nil {
					return q.invalidField(name)
				}
				continue
			}
			if len(parts) < 2 {
				return raise("IndexError", "list index out of range")
			}
			name, ok := parts[1].(string)
			if !ok {
				return raise("TypeError", "argument of type '%s' is not iterable", pyType(parts[1]))
			}
			if standardName(name) {
				continue
			}
			fm, err := q.meta(cstr(parts[0]))
			if err != nil {
				return err
			}
			if fm.field(name) == nil {
				return q.invalidField(name)
			}
		}
	case *object:
		for _, name := range x.keys {
			if standardName(name) {
				continue
			}
			_, df, err := q.resolveName(m, name)
			if err != nil {
				return err
			}
			if df == nil {
				return q.invalidField(name)
			}
		}
	case string:
		return raise("KeyError", "'%s'", x)
	default:
		return raise("TypeError", "'%s' object is not iterable", pyType(x))
	}
	return nil
}

var illegalOrder = regexp.MustCompile("[^a-z0-9-_ ,`'\"\\.\\(\\)]")

var restrictedFunctions = map[string]bool{
	"concat": true, "concat_ws": true, "if": true, "ifnull": true, "nullif": true, "coalesce": true, "connection_id": true,
	"current_user": true, "database": true, "last_insert_id": true, "session_user": true, "system_user": true, "user": true,
	"version": true, "global": true,
}

var restrictedWords = []string{"select", "create", "insert", "delete", "drop", "update", "case", "show"}

var commaField = regexp.MustCompile(`^[0-9a-zA-Z_]+\s*,`)

func (q *session) sanitizeField(f string) error {
	lower := strings.ToLower(strings.TrimSpace(f))
	restricted := func() error { return q.throw("DataError", "Use of sub-query or function is restricted") }
	if strings.ContainsAny(f, ",();@") {
		if _, inner, ok := strings.Cut(lower, "("); ok {
			token, _, _ := strings.Cut(strings.TrimLeft(inner, " \t\n"), " ")
			for _, w := range restrictedWords {
				if strings.Contains(token, w) {
					return restricted()
				}
			}
		}
		fn, _, _ := strings.Cut(lower, "(")
		if fn = strings.TrimRight(fn, " "); restrictedFunctions[fn] {
			return q.throw("DataError", "Use of function %s in field is restricted", fn)
		}
		if strings.Contains(lower, "@") {
			return restricted()
		}
	}
	if commaField.MatchString(f) {
		return restricted()
	}
	for _, w := range []string{" from ", " group by ", " order by ", " where ", " join "} {
		if strings.Contains(lower, w) {
			return restricted()
		}
	}
	if strings.Contains(f, "/*") {
		return q.throw("ValidationError", "Illegal SQL Query")
	}
	return nil
}

// planList resolves columns, joins, filters, order and permissions.
func (q *session) planList(a listArgs, m *meta, fields []string) (*query, error) {
	if !a.ignorePermissions {
		if err := q.mustList(a.doctype, parentOr(a.parent, m)); err != nil {
			return nil, err
		}
	}
	qu := &query{q: q, m: m, asList: a.asList, dist: a.distinct, limit: -1}
	if m.single {
		return nil, raise("ProgrammingError", "('DocType', '%s')", a.doctype)
	}
	qu.tables = []joined{{doctype: m.name, m: m, t: q.site.table(m.name)}}
	if len(fields) == 0 {
		fields = []string{"name"}
	}
	if n := cint(a.limit); a.limit != nil && truthy(a.limit) && n != 0 {
		qu.limit = int(n)
		qu.start = int(cint(a.start))
	} else if cint(a.limit) == 0 {
		qu.limit, qu.start = -1, 0
	}
	if qu.limit < -1 || qu.limit == -1 && cint(a.limit) < 0 || qu.start < 0 {
		return nil, sqlSyntaxError()
	}
	for _, f := range fields {
		if err := q.sanitizeField(f); err != nil {
			return nil, err
		}
	}
	permitted := map[int]map[string]bool{}
	may := func(ti int, col string) bool {
		if a.ignorePermissions || isOptionalColumn(col) {
			return true
		}
		set := permitted[ti]
		if set == nil {
			set = map[string]bool{}
			parent := a.parent
			if ti > 0 {
				parent = m.name
			}
			for _, c := range q.permittedColumns(qu.tables[ti].m, parent) {
				set[c] = true
			}
			permitted[ti] = set
		}
		return set[col]
	}
	for _, f := range fields {
		e := parseField(f)
		if e.star && e.fn == "" {
			for _, c := range q.permittedColumns(m, a.parent) {
				qu.sels = append(qu.sels, selection{key: c, col: qu.column(0, c)})
			}
			continue
		}
		if e.bad {
			return nil, raise("OperationalError", `(1305, "FUNCTION %s does not exist")`, strings.ToUpper(e.fn))
		}
		sel := selection{fn: e.fn, star: e.star, dist: e.distinct && e.fn != ""}
		if e.distinct && e.fn == "" {
			qu.dist = true
		}
		sel.key = e.alias
		if !e.star {
			ti, err := qu.tableFor(e.table, true)
			if err != nil {
				return nil, err
			}
			if isOptionalColumn(e.col) && ti == 0 && m.single {
				continue
			}
			if !may(ti, e.col) {
				continue
			}
			sel.col = qu.column(ti, e.col)
			if sel.col.ord == ordMissing && !qu.tables[ti].m.stores(e.col) && !isOptionalColumn(e.col) {
				return nil, unknownColumn(e.col, "SELECT")
			}
		}
		if sel.key == "" {
			sel.key = e.col
			if e.fn != "" {
				sel.key = strings.TrimSpace(f)
			}
		}
		switch sel.fn {
		case "", "count", "sum", "avg", "min", "max", "date", "year", "month", "day", "lower", "upper", "length", "char_length", "group_concat":
		default:
			return nil, raise("OperationalError", `(1305, "FUNCTION %s.%s does not exist")`, q.site.dbName(), strings.ToUpper(sel.fn))
		}
		qu.sels = append(qu.sels, sel)
	}
	if err := qu.addFilters(a.filters, &qu.preds, a.ignorePermissions && a.desk); err != nil {
		return nil, err
	}
	if err := qu.addFilters(a.orFilters, &qu.ors, false); err != nil {
		return nil, err
	}
	if !a.ignorePermissions {
		match, err := q.matchRows(m, qu.tables[0].t)
		if err != nil {
			return nil, err
		}
		qu.match = match
	}
	if len(qu.sels) == 0 {
		qu.empty = true
		return qu, nil
	}
	if err := qu.setOrder(a); err != nil {
		return nil, err
	}
	return qu, nil
}

// mustList refuses a list to those who may neither read nor select.
func (q *session) mustList(doctype, parent string) error {
	before := len(q.messages)
	ok, err := q.canType(doctype, "read", parent)
	if err != nil || ok {
		return err
	}
	refused := len(q.messages)
	if ok, _ = q.canType(doctype, "select", parent); ok {
		q.messages = q.messages[:before]
		return nil
	}
	q.messages = q.messages[:refused]
	q.errorMessage = "No permission for " + doctype
	return raise("PermissionError", "")
}

func parentOr(parent string, m *meta) string {
	if parent != "" {
		return parent
	}
	return m.name
}

// tableFor finds or joins the table that a field text names.
func (qu *query) tableFor(table string, withLink bool) (int, error) {
	q, m := qu.q, qu.m
	if table == "" || table == "tab"+m.name {
		return 0, nil
	}
	target, link := "", ""
	if f := m.field(table); f != nil && withLink {
		target = f.options
		if f.typ == "Link" {
			link = f.name
		}
	} else if rest, ok := strings.CutPrefix(table, "tab"); ok {
		target = rest
	} else {
		return 0, unknownColumn(table, "SELECT")
	}
	for i, j := range qu.tables {
		if i > 0 && j.doctype == target && j.link == link {
			return i, nil
		}
	}
	jm, err := q.meta(target)
	if err != nil {
		return 0, err
	}
	if err := q.mustList(target, m.name); err != nil {
		return 0, err
	}
	if link == "" && !jm.child {
		return 0, unknownColumn("tab"+target+".parenttype", "ON")
	}
	qu.tables = append(qu.tables, joined{doctype: target, m: jm, t: q.site.table(target), link: link})
	return len(qu.tables) - 1, nil
}

func (qu *query) column(ti int, name string) *column {
	j := qu.tables[ti]
	c := &column{ti: ti, name: name, t: j.t, f: j.m.field(name)}
	switch name {
	case "name":
		c.ord = ordName
	case "modified":
		c.ord = ordModified
	default:
		ord, ok := j.t.cols[name]
		if !ok {
			ord = ordMissing
		}
		c.ord = ord
	}
	if isDefaultColumn(name) {
		c.f = nil
	}
	return c
}

func (qu *query) addFilters(filters any, into *[]predicate, plain bool) error {
	q, m := qu.q, qu.m
	var conds []condition
	tuple := func(key string, value any) condition {
		c := condition{doctype: m.name, field: key, op: "=", value: value}
		if l, ok := value.([]any); ok {
			c.op, c.value = "", nil
			if len(l) > 0 {
				c.op = cstr(l[0])
			}
			if len(l) > 1 {
				c.value = l[1]
			}
		}
		return c
	}
	switch x := filters.(type) {
	case nil:
		return nil
	case *object:
		if plain {
			break
		}
		for _, k := range x.keys {
			if l, ok := x.vals[k].([]any); ok && len(l) < 2 {
				return raise("IndexError", "list index out of range")
			}
			conds = append(conds, tuple(k, x.vals[k]))
		}
	case []any:
		if plain {
			break
		}
		for _, item := range x {
			switch l := item.(type) {
			case []any:
				switch {
				case len(l) == 3:
					conds = append(conds, condition{m.name, cstr(l[0]), opText(l[1]), l[2]})
				case len(l) >= 4:
					conds = append(conds, condition{cstr(l[0]), cstr(l[1]), opText(l[2]), l[3]})
				default:
					return q.throw("ValidationError", "Filter must have 4 values (doctype, fieldname, operator, value): %s", pyRepr(l))
				}
			case *object:
				if len(l.keys) == 0 {
					return raise("StopIteration", "")
				}
				conds = append(conds, tuple(l.keys[0], l.vals[l.keys[0]]))
			default:
				return q.throw("ValidationError", "Filter must be a tuple or list (in a list)")
			}
		}
	case string:
		if x == "" {
			return nil
		}
		conds = append(conds, condition{m.name, "name", "=", x})
	}
	if plain {
		var err error
		if conds, err = q.countConditions(m.name, filters); err != nil {
			return err
		}
	}
	for _, c := range conds {
		if c.op == "" {
			c.op = "="
		}
		if !slices.Contains(operators, strings.ToLower(c.op)) {
			return q.throw("ValidationError", "Operator must be one of %s", strings.Join(operators, ", "))
		}
		if isOptionalColumn(c.field) && qu.tables[0].t.cols[c.field] == 0 && qu.tables[0].t.len() == 0 {
			continue
		}
		dm, err := q.meta(c.doctype)
		if err != nil {
			return err
		}
		if !isStandardColumn(c.field) && dm.field(c.field) == nil {
			for _, tf := range dm.tables {
				if cm := q.site.metaOf(tf.options); cm != nil && cm.field(c.field) != nil {
					c.doctype, dm = cm.name, cm
					break
				}
			}
		}
		ti, err := qu.tableFor("tab"+c.doctype, false)
		if err != nil {
			return err
		}
		if !dm.stores(c.field) && !isOptionalColumn(c.field) {
			return unknownColumn("tab"+c.doctype+"."+c.field, "WHERE")
		}
		col := qu.column(ti, c.field)
		p, err := q.compileCondition(col, c, plain)
		if err != nil {
			return err
		}
		*into = append(*into, p)
		if into == &qu.preds && ti == 0 {
			qu.note(c)
		}
	}
	return nil
}

func opText(v any) string {
	if v == nil {
		return ""
	}
	return cstr(v)
}

// note remembers conditions that narrow the rows to look at.
func (qu *query) note(c condition) {
	op := strings.ToLower(c.op)
	switch c.field {
	case "modified":
		if op == ">" || op == ">=" {
			if t, ok := parseDatetime(cstr(c.value)); ok {
				if b := formatTime(t); b > qu.lower {
					qu.lower = b
				}
			}
		}
	case "name", "parent":
		var list []string
		switch op {
		case "=":
			if s := cstr(c.value); s != "" {
				list = []string{s}
			}
		case "in":
			l, ok := c.value.([]any)
			if !ok {
				return
			}
			for _, v := range l {
				if s := strings.TrimSpace(cstr(v)); s != "" {
					list = append(list, s)
				}
			}
			if len(list) != len(l) {
				return
			}
		}
		if list == nil {
			return
		}
		if c.field == "name" && qu.names == nil {
			qu.names = list
		}
		if c.field == "parent" && qu.m.child && qu.parents == nil {
			qu.parents = list
		}
	}
}

func (qu *query) setOrder(a listArgs) error {
	q, m := qu.q, qu.m
	if g, ok := a.groupBy.(string); ok && g != "" && !q.site.version.groupByHidden {
		if err := q.checkOrderText(g); err != nil {
			return err
		}
		for _, part := range strings.Split(g, ",") {
			c, err := qu.orderColumn(strings.TrimSpace(part), "GROUP BY")
			if err != nil {
				return err
			}
			if c.col == nil {
				c.col = qu.sels[c.sel].col
			}
			qu.group = append(qu.group, c.col)
		}
	}
	text, _ := a.orderBy.(string)
	if text == "" {
		switch {
		case strings.Contains(m.sortField, ","):
			text = m.sortField
		case a.desk && !qu.aggregates():
			text = parentOr(m.sortField, &meta{name: "modified"}) + " " + parentOr(m.sortOrder, &meta{name: "desc"})
		default:
			return nil
		}
	} else if err := q.checkOrderText(text); err != nil {
		return err
	}
	for _, part := range strings.Split(text, ",") {
		words := strings.Fields(strings.TrimSpace(part))
		if len(words) == 0 {
			return sqlSyntaxError()
		}
		desc := false
		ref := strings.TrimSpace(part)
		if last := strings.ToLower(words[len(words)-1]); len(words) > 1 && (last == "asc" || last == "desc") {
			desc = last == "desc"
			ref = strings.TrimSpace(ref[:len(ref)-len(last)])
		}
		k, err := qu.orderColumn(ref, "ORDER BY")
		if err != nil {
			return err
		}
		k.desc = desc
		qu.order = append(qu.order, k)
	}
	return nil
}

func (q *session) checkOrderText(s string) error {
	lower := strings.ToLower(s)
	if strings.Contains(lower, "select") && strings.Contains(lower, "from") {
		return q.throw("ValidationError", "Cannot use sub-query in order by")
	}
	if illegalOrder.MatchString(lower) {
		return q.throw("ValidationError", "Illegal SQL Query")
	}
	return nil
}

func (qu *query) orderColumn(ref, clause string) (orderKey, error) {
	e := parseField(ref)
	if e.fn != "" {
		for i, s := range qu.sels {
			if s.fn == e.fn && (s.col == nil || s.col.name == e.col) {
				return orderKey{sel: i}, nil
			}
		}
		return orderKey{}, raise("OperationalError", `(1056, "Can't group on '%s'")`, ref)
	}
	if e.bad || e.star || strings.ContainsAny(strings.TrimSpace(ref), " ") && !strings.Contains(ref, "`") {
		return orderKey{}, sqlSyntaxError()
	}
	if lower := strings.ToLower(e.col); e.table == "" && !qu.m.stores(e.col) && qu.m.stores(lower) {
		e.col = lower // column names know no case
	}
	if e.table == "" {
		// ORDER BY looks among the selected columns first, GROUP BY among
		// those of the tables.
		for i, s := range qu.sels {
			if s.key == e.col && (s.fn != "" || s.col != nil && (s.col.name != e.col || len(qu.tables) > 1 && clause == "ORDER BY")) {
				return orderKey{sel: i, col: nil}, nil
			}
		}
		if len(qu.tables) > 1 {
			in := 0
			for _, j := range qu.tables {
				if j.m.stores(e.col) {
					in++
				}
			}
			if in > 1 {
				return orderKey{}, raise("OperationalError", `(1052, "Column '%s' in %s is ambiguous")`, e.col, clause)
			}
			for ti, j := range qu.tables {
				if j.m.stores(e.col) {
					return orderKey{col: qu.column(ti, e.col), sel: -1}, nil
				}
			}
		}
		if !qu.m.stores(e.col) && !isOptionalColumn(e.col) {
			return orderKey{}, unknownColumn(e.col, clause)
		}
		return orderKey{col: qu.column(0, e.col), sel: -1}, nil
	}
	for ti, j := range qu.tables {
		if "tab"+j.doctype == e.table && j.link == "" || j.link != "" && e.table == fmt.Sprintf("tab%s_%d", j.doctype, ti) {
			if !j.m.stores(e.col) {
				return orderKey{}, unknownColumn(e.table+"."+e.col, clause)
			}
			return orderKey{col: qu.column(ti, e.col), sel: -1}, nil
		}
	}
	if strings.HasPrefix(ref, "`tab") {
		return orderKey{}, qu.q.throw("ValidationError", "Please select atleast 1 column from %s to sort/group", strings.TrimPrefix(e.table, "tab"))
	}
	return orderKey{}, unknownColumn(e.table+"."+e.col, clause)
}

func (qu *query) aggregates() bool {
	for _, s := range qu.sels {
		switch s.fn {
		case "count", "sum", "avg", "min", "max", "group_concat":
			return true
		}
	}
	return false
}

// run evaluates the query.
func (qu *query) run() *rowsOut {
	out := &rowsOut{asList: qu.asList}
	for _, s := range qu.sels {
		out.keys = append(out.keys, s.key)
	}
	if qu.empty {
		return out
	}
	if qu.aggregates() || qu.group != nil {
		qu.runGroups(out)
		return out
	}
	if len(qu.tables) == 1 && !qu.dist && qu.indexed() {
		qu.runIndexed(out)
		return out
	}
	var tuples [][]*row
	qu.each(func(tuple []*row) bool {
		tuples = append(tuples, slices.Clone(tuple))
		return true
	})
	if len(qu.order) > 0 {
		sort.SliceStable(tuples, func(i, j int) bool { return qu.compare(tuples[i], tuples[j]) < 0 })
	}
	seen := map[string]bool{}
	skipped := 0
	for _, tp := range tuples {
		vals := qu.pick(tp)
		if qu.dist {
			key := dumps(vals, compactJSON)
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		if skipped < qu.start {
			skipped++
			continue
		}
		if qu.limit >= 0 && len(out.rows) >= qu.limit {
			break
		}
		out.rows = append(out.rows, vals)
	}
	return out
}

// indexed says whether an index already gives the asked order.
func (qu *query) indexed() bool {
	if qu.names != nil || qu.parents != nil {
		return false
	}
	switch len(qu.order) {
	case 0:
		return true
	case 1, 2:
	default:
		return false
	}
	first := qu.order[0]
	if first.sel >= 0 || first.col == nil {
		return false
	}
	if first.col.name == "name" && len(qu.order) == 1 {
		return true
	}
	if first.col.name != "modified" {
		return false
	}
	if len(qu.order) == 1 {
		return true
	}
	second := qu.order[1]
	return second.sel < 0 && second.col != nil && second.col.name == "name" && second.desc == first.desc
}

func (qu *query) runIndexed(out *rowsOut) {
	t := qu.tables[0].t
	tuple := make([]*row, 1)
	skipped := 0
	width := len(qu.sels)
	if qu.limit > 0 {
		out.rows = make([][]any, 0, min(qu.limit, t.len()))
	}
	visit := func(r *row) bool {
		tuple[0] = r
		if !qu.passes(tuple) {
			return true
		}
		if skipped < qu.start {
			skipped++
			return true
		}
		if qu.limit >= 0 && len(out.rows) >= qu.limit {
			return false
		}
		vals := make([]any, width)
		for i := range qu.sels {
			vals[i] = qu.sels[i].value(tuple)
		}
		out.rows = append(out.rows, vals)
		return qu.limit < 0 || len(out.rows) < qu.limit
	}
	switch {
	case len(qu.order) == 0:
		t.byName.ascend(nil, visit)
	case qu.order[0].col.name == "name" && qu.order[0].desc:
		t.byName.descend(visit)
	case qu.order[0].col.name == "name":
		t.byName.ascend(nil, visit)
	case qu.order[0].desc:
		t.byModified.descend(func(r *row) bool { return r.modified >= qu.lower && visit(r) })
	default:
		t.byModified.ascend(func(r *row) bool { return r.modified < qu.lower }, visit)
	}
}

func (qu *query) passes(tuple []*row) bool {
	for _, p := range qu.preds {
		if !p(tuple) {
			return false
		}
	}
	if len(qu.ors) > 0 {
		ok := false
		for _, p := range qu.ors {
			if p(tuple) {
				ok = true
				break
			}
		}
		if !ok {
			return false
		}
	}
	return qu.match == nil || qu.match(tuple[0])
}

// each walks the joined rows that pass, in the order of the primary key.
func (qu *query) each(visit func([]*row) bool) {
	base := qu.tables[0].t
	tuple := make([]*row, len(qu.tables))
	var join func(i int) bool
	join = func(i int) bool {
		if i == len(qu.tables) {
			return !qu.passes(tuple) || visit(tuple)
		}
		j := qu.tables[i]
		if j.link != "" {
			tuple[i] = j.t.find(cstr(base.get(tuple[0], j.link)))
			return join(i + 1)
		}
		rows := j.t.childRows(qu.m.name, tuple[0].name, "")
		if len(rows) == 0 {
			tuple[i] = nil
			return join(i + 1)
		}
		for _, r := range rows {
			tuple[i] = r
			if !join(i + 1) {
				return false
			}
		}
		return true
	}
	one := func(r *row) bool {
		tuple[0] = r
		return join(1)
	}
	switch {
	case qu.names != nil:
		var rows []*row
		for _, n := range qu.names {
			if r := base.find(n); r != nil && !slices.Contains(rows, r) {
				rows = append(rows, r)
			}
		}
		sort.Slice(rows, func(i, j int) bool { return nameLess(rows[i], rows[j]) })
		for _, r := range rows {
			if !one(r) {
				return
			}
		}
	case qu.parents != nil:
		done := map[string]bool{}
		for _, p := range qu.parents {
			k := fold(p)
			if done[k] {
				continue
			}
			done[k] = true
			for _, r := range base.children[k] {
				if !one(r) {
					return
				}
			}
		}
	case qu.lower != "":
		base.byModified.ascend(func(r *row) bool { return r.modified < qu.lower }, one)
	default:
		base.byName.ascend(nil, one)
	}
}

func (qu *query) compare(a, b []*row) int {
	for _, k := range qu.order {
		c := k.col
		if k.sel >= 0 {
			c = qu.sels[k.sel].col
		}
		n := compareValues(c.of(a), c.of(b), c.kind())
		if n != 0 {
			if k.desc {
				return -n
			}
			return n
		}
	}
	return 0
}

func compareValues(a, b any, kind string) int {
	if kind == "number" {
		switch x, y := flt(a), flt(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	if a == nil || b == nil {
		switch {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return -1
		}
		return 1
	}
	if kind == "time" {
		return compareValues(seconds(cstr(a)), seconds(cstr(b)), "number")
	}
	if kind != "text" {
		return strings.Compare(cstr(a), cstr(b))
	}
	return collate(cstr(a), cstr(b))
}

func (qu *query) pick(tuple []*row) []any {
	vals := make([]any, len(qu.sels))
	for i := range qu.sels {
		vals[i] = qu.sels[i].value(tuple)
	}
	return vals
}

func (s *selection) value(tuple []*row) any {
	v := s.col.of(tuple)
	if s.fn == "" {
		if v == nil && s.col.f != nil && tuple[s.col.ti] != nil && isNumeric(s.col.f.typ) {
			// A numeric column is NOT NULL; a row stored before it existed
			// has the default.
			if floatTypes[s.col.f.typ] {
				return float64(0)
			}
			return int64(0)
		}
		return v
	}
	if v == nil {
		return nil
	}
	text := cstr(v)
	switch s.fn {
	case "date":
		return strings.SplitN(text, " ", 2)[0]
	case "year", "month", "day":
		t, ok := parseDatetime(text)
		if !ok {
			return nil
		}
		switch s.fn {
		case "year":
			return int64(t.Year())
		case "month":
			return int64(t.Month())
		}
		return int64(t.Day())
	case "lower":
		return strings.ToLower(text)
	case "upper":
		return strings.ToUpper(text)
	case "length", "char_length":
		return int64(len(text))
	}
	return v
}

func (qu *query) runGroups(out *rowsOut) {
	type bucket struct {
		first []*row
		rows  [][]*row
	}
	var order []*bucket
	byKey := map[string]*bucket{}
	qu.each(func(tuple []*row) bool {
		key := ""
		for _, c := range qu.group {
			key += fold(cstr(c.of(tuple))) + "\x00"
		}
		b := byKey[key]
		if b == nil {
			b = &bucket{first: slices.Clone(tuple)}
			byKey[key] = b
			order = append(order, b)
		}
		b.rows = append(b.rows, slices.Clone(tuple))
		return true
	})
	if len(order) == 0 && qu.group == nil {
		order = []*bucket{{}}
	}
	type result struct {
		vals  []any
		first []*row
	}
	var results []result
	for _, b := range order {
		r := result{first: b.first, vals: make([]any, len(qu.sels))}
		for i := range qu.sels {
			s := &qu.sels[i]
			switch s.fn {
			case "count", "sum", "avg", "min", "max", "group_concat":
				r.vals[i] = s.aggregate(b.rows)
			default:
				if b.first != nil {
					r.vals[i] = s.value(b.first)
				}
			}
		}
		results = append(results, r)
	}
	if len(qu.order) > 0 {
		sort.SliceStable(results, func(i, j int) bool {
			for _, k := range qu.order {
				n := 0
				switch {
				case k.sel >= 0:
					kind := "text"
					if _, isText := results[i].vals[k.sel].(string); !isText {
						kind = "number"
					}
					n = compareValues(results[i].vals[k.sel], results[j].vals[k.sel], kind)
				case results[i].first != nil && results[j].first != nil:
					n = compareValues(k.col.of(results[i].first), k.col.of(results[j].first), k.col.kind())
				}
				if n != 0 {
					return (n < 0) != k.desc
				}
			}
			return false
		})
	}
	for i, r := range results {
		if i < qu.start {
			continue
		}
		if qu.limit >= 0 && len(out.rows) >= qu.limit {
			break
		}
		out.rows = append(out.rows, r.vals)
	}
}

func (s *selection) aggregate(rows [][]*row) any {
	var n int64
	var sum float64
	var best any
	var texts []string
	seen := map[string]bool{}
	for _, tuple := range rows {
		if s.star {
			n++
			continue
		}
		v := s.col.of(tuple)
		if v == nil && s.col.f != nil && isNumeric(s.col.f.typ) && tuple[s.col.ti] != nil {
			v = int64(0)
		}
		if v == nil {
			continue
		}
		if s.dist {
			k := fold(cstr(v))
			if seen[k] {
				continue
			}
			seen[k] = true
		}
		n++
		sum += flt(v)
		texts = append(texts, cstr(v))
		if best == nil || s.fn == "min" && compareValues(v, best, s.col.kind()) < 0 || s.fn == "max" && compareValues(v, best, s.col.kind()) > 0 {
			best = v
		}
	}
	switch s.fn {
	case "count":
		return n
	case "min", "max":
		return best
	case "group_concat":
		if n == 0 {
			return nil
		}
		return strings.Join(texts, ",")
	}
	if n == 0 {
		return nil
	}
	if s.fn == "avg" {
		return roundTo(sum/float64(n), 4)
	}
	return sum
}

// sql is the text that debug shows: the query as Frappe would have written it.
func (qu *query) sql() string {
	var cols []string
	for _, s := range qu.sels {
		if s.col != nil {
			cols = append(cols, "`tab"+qu.tables[s.col.ti].doctype+"`.`"+s.col.name+"`")
		}
	}
	limit := ""
	if qu.limit >= 0 {
		limit = fmt.Sprintf("limit %d offset %d", qu.limit, qu.start)
	}
	return "select " + strings.Join(cols, ", ") + "\nfrom `tab" + qu.m.name + "`\n\n\n\n" + limit
}
