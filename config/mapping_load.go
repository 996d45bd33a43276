package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxMappingBytes bounds a mapping file; the largest real ones hold a few
// hundred lines.
const maxMappingBytes = 1 << 20

// maxMappingMistakes is how many mistakes of form are named at once.
const maxMappingMistakes = 20

// LoadMapping reads a partner's mapping file. The error joins every mistake,
// one a line, as file:line:column: what is wrong; what to do.
func LoadMapping(file string) (Mapping, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Mapping{}, fmt.Errorf("mapping: %w", err)
	}
	return ParseMapping(file, b)
}

// ParseMapping reads a mapping from text; file is its name in messages.
func ParseMapping(file string, text []byte) (Mapping, error) {
	if len(text) > maxMappingBytes {
		return Mapping{}, fmt.Errorf("%s: %d bytes is too large for a mapping; the limit is %d", file, len(text), maxMappingBytes)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return Mapping{}, nil
	}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return Mapping{}, yamlMistake(file, err)
	}
	m, errs := decodeMapping(file, tree)
	if len(errs) > 0 {
		return Mapping{}, errors.Join(errs...)
	}
	for _, p := range m.problems() {
		errs = append(errs, fmt.Errorf("%s: %s; %s", position(file, text, p.path), p.problem, p.remedy))
	}
	if err := errors.Join(errs...); err != nil {
		return Mapping{}, err
	}
	return m, nil
}

// decodeMapping decodes strictly. The decoder stops at its first mistake, so
// what it names is taken out and the rest is decoded again.
func decodeMapping(file string, tree *ast.File) (m Mapping, errs []error) {
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return m, nil
	}
	body := tree.Docs[0].Body
	for range maxMappingMistakes {
		m = Mapping{}
		err := yaml.NodeToValue(body, &m, yaml.Strict())
		if err == nil {
			return m, errs
		}
		errs = append(errs, yamlMistake(file, err))
		var y yaml.Error
		if !errors.As(err, &y) || y.GetToken() == nil {
			return m, errs
		}
		p := pruner{at: *y.GetToken().Position}
		if ast.Walk(&p, body); !p.done {
			return m, errs
		}
	}
	return m, append(errs, fmt.Errorf("%s: more mistakes may follow; mend these first", file))
}

// pruner takes the entry of a map or list out whose key or value stands at a
// place.
type pruner struct {
	at   token.Position
	done bool
}

// Visit makes it an ast.Visitor.
func (p *pruner) Visit(n ast.Node) ast.Visitor {
	hit := func(n ast.Node) bool {
		if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
			return false
		}
		at := n.GetToken().Position
		return at.Line == p.at.Line && at.Column == p.at.Column
	}
	var before, after int
	switch n := n.(type) {
	case *ast.MappingNode:
		before = len(n.Values)
		n.Values = slices.DeleteFunc(n.Values, func(e *ast.MappingValueNode) bool { return hit(e.Key) || hit(e.Value) })
		after = len(n.Values)
	case *ast.SequenceNode:
		before = len(n.Values)
		n.Values = slices.DeleteFunc(n.Values, hit)
		after = len(n.Values)
	}
	p.done = p.done || after < before
	if p.done {
		return nil
	}
	return p
}

// yamlMistake turns the parser's error into file:line:column: message.
func yamlMistake(file string, err error) error {
	var y yaml.Error
	if t := (*yaml.TypeError)(nil); errors.As(err, &t) && t.Token != nil {
		return fmt.Errorf("%s:%d:%d: it must be %s, not %s", file, t.Token.Position.Line, t.Token.Position.Column, kindOf(t.DstType), kindOf(t.SrcType))
	}
	if n := (*yaml.UnexpectedNodeTypeError)(nil); errors.As(err, &n) && n.Token != nil {
		return fmt.Errorf("%s:%d:%d: it must be a %s", file, n.Token.Position.Line, n.Token.Position.Column, listOrMap.Replace(n.Expected.YAMLName()))
	}
	if errors.As(err, &y) {
		if tk := y.GetToken(); tk != nil {
			return fmt.Errorf("%s:%d:%d: %s", file, tk.Position.Line, tk.Position.Column, y.GetMessage())
		}
		return fmt.Errorf("%s: %s", file, y.GetMessage())
	}
	return fmt.Errorf("%s: %s", file, strings.ReplaceAll(err.Error(), "\n", " "))
}

var listOrMap = strings.NewReplacer("mapping", "map", "sequence", "list")

// kindOf names a type to someone who writes YAML.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Map, reflect.Struct:
		return "a map"
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "a number"
	}
}

// position finds the place of a YAML path; the file alone when it has none.
func position(file string, text []byte, at string) string {
	p, err := yaml.PathString(at)
	if err != nil {
		return file
	}
	ast, err := parser.ParseBytes(text, 0)
	if err != nil {
		return file
	}
	node, err := p.FilterFile(ast)
	if err != nil || node == nil {
		return file
	}
	tk := node.GetToken()
	return fmt.Sprintf("%s:%d:%d", file, tk.Position.Line, tk.Position.Column)
}
