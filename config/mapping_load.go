package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// maxMappingBytes bounds a mapping file; the largest real ones hold a few
// hundred lines.
const maxMappingBytes = 1 << 20

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
	var m Mapping
	if len(bytes.TrimSpace(text)) == 0 {
		return m, nil
	}
	if err := yaml.UnmarshalWithOptions(text, &m, yaml.Strict()); err != nil {
		return Mapping{}, yamlMistake(file, err)
	}
	var errs []error
	for _, p := range m.problems() {
		errs = append(errs, fmt.Errorf("%s: %s; %s", position(file, text, p.path), p.problem, p.remedy))
	}
	if err := errors.Join(errs...); err != nil {
		return Mapping{}, err
	}
	return m, nil
}

// yamlMistake turns the parser's error into file:line:column: message.
func yamlMistake(file string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) {
		if tk := y.GetToken(); tk != nil {
			return fmt.Errorf("%s:%d:%d: %s", file, tk.Position.Line, tk.Position.Column, y.GetMessage())
		}
		return fmt.Errorf("%s: %s", file, y.GetMessage())
	}
	return fmt.Errorf("%s: %s", file, strings.ReplaceAll(err.Error(), "\n", " "))
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
