package config

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// fileLimit is far above what a thousand partners need.
const fileLimit = 4 << 20

// reader walks the file's tree instead of decoding it into structs, because a
// decoder stops at the first mistake.
type reader struct {
	path     string // as it was given; messages begin with it
	env      *environment
	errs     *Errors
	warnings Errors
	anchors  map[string]ast.Node
	defaults map[string]ast.Node // by their text
	sites    []siteAt
	mappings map[string]Mapping // by path
	unfolded int                // keys and elements looked at so far
}

// value is a node with the key that it stands under.
type value struct {
	node ast.Node
	key  string
}

// field says how one key is read, and documents it.
type field[T any] struct {
	key      string
	fallback string // what an absent key means, as YAML; "" for nothing
	required bool
	meaning  string
	read     func(r *reader, v value, into *T)
}

// position is where v begins; a value from a fallback has none.
func (v value) position() (line, column int) {
	if v.node == nil {
		return 0, 0
	}
	// A block mapping's own token is its first colon, which nobody looks for.
	if m, ok := v.node.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		return place(m.Values[0].Key.GetToken())
	}
	return place(v.node.GetToken())
}

func place(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 0, 0
	}
	return t.Position.Line, t.Position.Column
}

func (r *reader) wrong(v value, problem, remedy string) {
	*r.errs = append(*r.errs, r.mistake(v, problem, remedy))
}

func (r *reader) mistake(v value, problem, remedy string) Mistake {
	line, column := v.position()
	return Mistake{Source: r.path, Line: line, Column: column, Subject: v.key, Problem: problem, Remedy: remedy}
}

// parse returns the file's one document, or nil when it holds nothing; syntax
// is reported as a single mistake, since what follows it cannot be trusted.
func (r *reader) parse(text []byte) (root ast.Node) {
	defer func() {
		// The parser is not ours and the file is anybody's.
		if recover() != nil {
			*r.errs = append(*r.errs, Mistake{Source: r.path, Problem: "this is not YAML that can be read", Remedy: "compare it with the example in the documentation"})
			root = nil
		}
	}()
	tree, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		m := Mistake{Source: r.path, Problem: "this is not YAML", Remedy: "check indentation, colons and quotes here and in the line above"}
		if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
			m.Line, m.Column = place(syntax.Token)
			// A message that quotes the file might quote a secret.
			if !strings.ContainsAny(syntax.Message, "\"`\n") {
				m.Problem += ": " + strings.ReplaceAll(syntax.Message, "\t", `\t`)
			}
		}
		*r.errs = append(*r.errs, m)
		return nil
	}
	var bodies []ast.Node
	for _, d := range tree.Docs {
		if d.Body != nil && d.Body.Type() != ast.NullType && d.Body.Type() != ast.CommentType {
			bodies = append(bodies, d.Body)
		}
	}
	if len(bodies) > 1 {
		r.wrong(value{node: bodies[1]}, "a second document begins here", "keep one document in the file")
	}
	if len(bodies) == 0 {
		return nil
	}
	r.anchors = make(map[string]ast.Node)
	ast.Walk(r, bodies[0])
	return bodies[0]
}

// Visit notes the anchors; it makes the reader an ast.Visitor.
func (r *reader) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil && a.Value != nil {
		r.anchors[a.Name.GetToken().Value] = a.Value
	}
	return r
}

// bare is n without anchors, aliases and tags; nil for an alias of nothing.
func (r *reader) bare(n ast.Node) ast.Node {
	for range 20 { // an alias may lead to itself
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.AliasNode:
			if t.Value == nil {
				return nil
			}
			n = r.anchors[t.Value.GetToken().Value]
		case *ast.TagNode:
			n = t.Value
		default:
			return n
		}
		if n == nil {
			return nil
		}
	}
	return nil
}

// unset reports whether v stands for nothing: null, or an empty text.
func (r *reader) unset(v value) bool {
	switch n := r.bare(v.node).(type) {
	case nil:
		// An alias of nothing is reported where its value is read.
		_, alias := v.node.(*ast.AliasNode)
		return !alias
	case *ast.NullNode:
		return true
	case *ast.StringNode:
		return n.Value == ""
	default:
		return false
	}
}

// read fills into from the mapping v by its table of keys.
func read[T any](r *reader, v value, table []field[T], into *T) {
	found := make(map[string]value)
	for _, pair := range r.pairs(v, 0) {
		i := slices.IndexFunc(table, func(f field[T]) bool { return f.key == pair.key })
		if i < 0 {
			known := make([]string, len(table))
			for i, f := range table {
				known[i] = f.key
			}
			r.wrong(value{node: pair.name, key: shownKey(pair.key)}, "this key is unknown", suggestion(pair.key, known))
			continue
		}
		if earlier, ok := found[pair.key]; ok && !pair.merged {
			line, _ := earlier.position()
			r.wrong(value{node: pair.name, key: pair.key}, fmt.Sprintf("this key stands here twice, first in line %d", line), "keep one of them")
			continue
		} else if ok {
			continue
		}
		found[pair.key] = pair.value
	}
	for _, f := range table {
		switch got, ok := found[f.key]; {
		case ok && !r.unset(got):
			f.read(r, got, into)
		case f.required && ok:
			r.wrong(got, "it is empty", "give it a value")
		case f.required:
			r.wrong(value{node: v.node, key: f.key}, "this key is missing here", "add it: "+f.meaning)
		case f.fallback != "":
			f.read(r, r.fallback(f.key, f.fallback), into)
		}
	}
}

// fallback is the value that an absent key stands for.
func (r *reader) fallback(key, text string) value {
	n, ok := r.defaults[text]
	if !ok {
		tree, err := parser.ParseBytes([]byte(text), 0)
		if err != nil || len(tree.Docs) != 1 {
			panic("config: the default of " + key + " is not YAML")
		}
		n = tree.Docs[0].Body
		if r.defaults == nil {
			r.defaults = make(map[string]ast.Node)
		}
		r.defaults[text] = n
	}
	return value{node: n, key: key}
}

// pair is one entry of a mapping.
type pair struct {
	value
	name   ast.Node // the key's node
	merged bool     // from <<, so a key of the mapping's own prevails
}

// unfoldLimit is more than twice what a thousand partners need without aliases.
const unfoldLimit = 100_000

// unfold counts n more keys or elements and reports whether they may be looked
// at: a few lines of aliases of aliases can stand for more than memory holds.
func (r *reader) unfold(v value, n int) bool {
	if r.unfolded > unfoldLimit {
		return false
	}
	if r.unfolded += n; r.unfolded > unfoldLimit {
		r.wrong(v, "aliases make the file too large", "write out what they stand for, or use fewer")
		return false
	}
	return true
}

// pairs lists the entries of a mapping, its own first.
func (r *reader) pairs(v value, depth int) []pair {
	m, ok := r.bare(v.node).(ast.MapNode)
	if !ok {
		r.wrong(v, "it is "+r.form(v)+", not keys with values", "indent the keys below it")
		return nil
	}
	var own, merged []pair
	for it := m.MapRange(); it.Next(); {
		if !r.unfold(v, 1) {
			return nil
		}
		name := it.Key()
		if name.IsMergeKey() {
			if depth > 5 {
				continue // a merge that leads to itself adds nothing
			}
			bases := []ast.Node{it.Value()}
			if list, ok := r.bare(it.Value()).(*ast.SequenceNode); ok {
				bases = list.Values
			}
			for _, b := range bases {
				for _, p := range r.pairs(value{node: b, key: "<<"}, depth+1) {
					p.merged = true
					merged = append(merged, p)
				}
			}
			continue
		}
		key := name.GetToken().Value
		own = append(own, pair{value: value{node: it.Value(), key: key}, name: name})
	}
	return append(own, merged...)
}

// form names what v is, for a message.
func (r *reader) form(v value) string {
	switch r.bare(v.node).(type) {
	case nil:
		return "an alias of nothing"
	case *ast.NullNode:
		return "empty"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "keys with values"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	default:
		return "a text"
	}
}

// items lists the elements of a sequence.
func (r *reader) items(v value) []value {
	list, ok := r.bare(v.node).(*ast.SequenceNode)
	if !ok {
		r.wrong(v, "it is "+r.form(v)+", not a list", "begin each element with a dash")
		return nil
	}
	if !r.unfold(v, len(list.Values)) {
		return nil
	}
	out := make([]value, len(list.Values))
	for i, n := range list.Values {
		out[i] = value{node: n, key: v.key}
	}
	return out
}

// text reads a text. What YAML takes for a number or a truth is refused, as it
// is easily not what was meant (a key 0123, a name no).
func (r *reader) text(v value) (string, bool) {
	switch n := r.bare(v.node).(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	}
	remedy := "write one text"
	switch r.form(v) {
	case "a number", "true or false":
		remedy = "put it in quotes"
	}
	r.wrong(v, "it is "+r.form(v)+", not a text", remedy)
	return "", false
}

// scalar is what stands there, text or number, for values with a unit.
func (r *reader) scalar(v value, example string) (string, bool) {
	switch n := r.bare(v.node).(type) {
	case *ast.StringNode:
		return strings.TrimSpace(n.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	r.wrong(v, "it is "+r.form(v)+", not a value", "write it as in "+example)
	return "", false
}

func (r *reader) truth(v value, into *bool) {
	n, ok := r.bare(v.node).(*ast.BoolNode)
	if !ok {
		r.wrong(v, "it is "+r.form(v)+", not true or false", "write true or false without quotes")
		return
	}
	*into = n.Value
}

// share reads a percentage as 0 to 1.
func (r *reader) share(v value, into *float64) {
	text, ok := r.scalar(v, "20%")
	if !ok {
		return
	}
	number, marked := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || math.IsNaN(n):
		r.wrong(v, shown(text)+" is not a percentage", "write it as in 20%")
	case !marked:
		r.wrong(v, text+" has no percent sign", "write it as in 20%")
	case n < 0 || n > 100:
		r.wrong(v, text+" is outside 0% to 100%", "choose a value within")
	default:
		*into = n / 100
	}
}

// number reads a number from least to most.
func (r *reader) number(v value, least, most float64, into *float64) {
	example := strconv.FormatFloat(most, 'g', -1, 64)
	text, ok := r.scalar(v, example)
	if !ok {
		return
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	switch {
	case err != nil || math.IsNaN(n):
		r.wrong(v, shown(text)+" is not a number", fmt.Sprintf("choose one from %g to %g", least, most))
	case n < least || n > most:
		r.wrong(v, fmt.Sprintf("%s is outside %g to %g", text, least, most), "choose a value within")
	default:
		*into = n
	}
}

// count reads "3 days" and the like: a whole number from 0 or 1 up with one of
// the units, whose value says how many of the wanted ones it is.
func (r *reader) count(v value, least, most int, units []unit, into *int) {
	example := `"3 ` + units[0].name + `s"`
	text, ok := r.scalar(v, example)
	if !ok {
		return
	}
	number, name, _ := strings.Cut(text, " ")
	name = strings.TrimSuffix(strings.TrimSpace(name), "s")
	i := slices.IndexFunc(units, func(u unit) bool { return u.name == name })
	n, err := strconv.ParseInt(number, 10, 32)
	switch {
	case err != nil || i < 0:
		r.wrong(v, shown(text)+" is not a number of "+units[0].name+"s", "write it as in "+example)
	case int(n)*units[i].worth < least || int(n)*units[i].worth > most:
		r.wrong(v, fmt.Sprintf("%s is outside %d to %d %ss", text, least, most, units[0].name), "choose a value within")
	default:
		*into = int(n) * units[i].worth
	}
}

type unit struct {
	name  string
	worth int
}

var (
	inDays   = []unit{{"day", 1}, {"week", 7}}
	inMonths = []unit{{"month", 1}, {"year", 12}}
)

// duration reads "24h" or "2 days" (of 24 hours).
func (r *reader) duration(v value, least, most time.Duration, into *time.Duration) {
	text, ok := r.scalar(v, "24h")
	if !ok {
		return
	}
	d, err := time.ParseDuration(text)
	if number, found := strings.CutSuffix(strings.TrimSuffix(text, "s"), " day"); found {
		var n int64
		n, err = strconv.ParseInt(number, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	switch {
	case err != nil:
		r.wrong(v, shown(text)+" is not a length of time", "write it as in 24h or 2 days")
	case d < least || d > most:
		r.wrong(v, fmt.Sprintf("%s is outside %s to %s", text, short(least), short(most)), "choose a value within")
	default:
		*into = d
	}
}

// short is a duration without trailing zero units: 24h, not 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// word reads one of the given words.
func word[T ~string](r *reader, v value, into *T, words ...T) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	if !slices.Contains(words, T(text)) {
		known := make([]string, len(words))
		for i, w := range words {
			known[i] = string(w)
		}
		r.wrong(v, shown(text)+" is unknown", "use "+orList(known))
		return
	}
	*into = T(text)
}

// beside is a path of the file, read from the file's own folder.
func (r *reader) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.path), path)
}

func shownKey(key string) string {
	return strings.Trim(shown(key), `"`)
}

// suggestion names the known key that a typo is nearest to, or all of them.
func suggestion(key string, known []string) string {
	best, least := "", 3 // more than two slips are another word
	for _, k := range known {
		if d := slips(key, k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "use " + orList(known)
}

// slips is the number of letters to insert, drop or change to get from a to b.
func slips(a, b string) int {
	if len(a) > 60 {
		return 60
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
