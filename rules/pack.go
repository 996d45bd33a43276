package rules

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"github.com/goccy/go-yaml"
	yamlast "github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/packs"
)

// Pack is a set of criteria, compiled and checked. It is safe for concurrent
// use.
type Pack struct {
	ID       PackID
	Title    string
	criteria []*criterion
	byID     map[string]*criterion
	// weights orders an escalation's departments by the stage it arose in.
	weights map[string]map[string]float64
	source  packFile
}

// packFile is the YAML of a pack.
type packFile struct {
	Name       string                        `yaml:"name"`
	Version    string                        `yaml:"version"`
	Title      string                        `yaml:"title"`
	Thresholds map[string]thresholdFile      `yaml:"thresholds"`
	Define     map[string]defineFile         `yaml:"define"`
	Weights    map[string]map[string]float64 `yaml:"weights"`
	Criteria   []criterionFile               `yaml:"criteria"`
}

type thresholdFile struct {
	Value *float64 `yaml:"value"`
	Unit  string   `yaml:"unit"`
	House bool     `yaml:"house"`
	About string   `yaml:"about"`
}

// defineFile is a named yes/no question about one fact object.
type defineFile struct {
	As    string `yaml:"as"`
	Type  string `yaml:"type"`
	Is    string `yaml:"is"`
	About string `yaml:"about"`
}

type sourceFile struct {
	Requirements []string `yaml:"requirements"`
	Procedure    string   `yaml:"procedure"`
}

type criterionFile struct {
	ID         string                   `yaml:"id"`
	Title      string                   `yaml:"title"`
	Level      int                      `yaml:"level"`
	Department string                   `yaml:"department"`
	Severity   string                   `yaml:"severity"`
	Source     sourceFile               `yaml:"source"`
	Remedy     string                   `yaml:"remedy"`
	Needs      []string                 `yaml:"needs"`
	Thresholds map[string]thresholdFile `yaml:"thresholds"`

	Applies       string      `yaml:"applies"`
	NotApplicable string      `yaml:"not_applicable"`
	ForEach       string      `yaml:"for_each"`
	As            string      `yaml:"as"`
	Checks        []checkFile `yaml:"checks"`
	// A criterion with a single question writes it without `checks`.
	Check checkFile `yaml:",inline"`

	Judge       string     `yaml:"judge"`
	Observation string     `yaml:"observation"`
	Measured    string     `yaml:"measured"`
	Expected    string     `yaml:"expected"`
	Accept      acceptFile `yaml:"accept"`
}

type checkFile struct {
	Name    string `yaml:"name"`
	Only    string `yaml:"only"`
	Pass    string `yaml:"pass"`
	Manual  string `yaml:"manual"`
	Observe string `yaml:"observe"`
	Shows   string `yaml:"shows"`
	About   string `yaml:"about"`
}

// acceptFile says how many misses a Met verdict bears.
type acceptFile struct {
	Missed  string `yaml:"missed"`  // number or threshold; Met with an observation up to it
	Share   string `yaml:"share"`   // number or threshold: percent that must pass
	Minimum string `yaml:"minimum"` // number or threshold: fewer entries are Insufficient Evidence
	Any     bool   `yaml:"any"`     // one that passes suffices
	Empty   string `yaml:"empty"`   // na, insufficient, manual, not_met: what no entry means
}

// criterion is one compiled criterion.
type criterion struct {
	f          criterionFile
	at         string // its YAML path
	department evidence.Department
	severity   Severity
	thresholds map[string]thresholdFile // those that its expressions may read
	used       map[string]bool          // those that they do read
	applies    *expr
	only       *expr // which entries count at all, where there are several checks
	checks     []check
	pop        string
	as         string
	measured   *template
	expected   *template
	missed     *limit
	share      *limit
	minimum    *limit
}

type check struct {
	name                                      string
	only, pass, manual, observe, shows, about *expr
}

// limit is a number or the name of a threshold.
type limit struct {
	name  string
	value float64
}

// expr is one compiled expression.
type expr struct {
	src  string
	prg  cel.Program
	kind types.Kind
}

// PackError is one mistake in a pack.
type PackError struct {
	File    string
	Line    int
	Column  int
	Where   string // "impl.plan.pass"
	Problem string
	Excerpt string // the line, and a mark under the place
	Remedy  string
}

// Error is file:line:column: where: what is wrong; what to do, and the excerpt.
func (e *PackError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Where != "" {
		b.WriteString(e.Where + ": ")
	}
	b.WriteString(e.Problem)
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

const maxPackBytes = 2 << 20

// LoadBuiltin returns the packs that come with prmsync, sorted by name.
func LoadBuiltin() ([]*Pack, error) { return builtin() }

var builtin = sync.OnceValues(func() ([]*Pack, error) { return Load(packs.Files) })

// Load reads every pack of a folder: the files *.yaml but *_test.yaml. The error
// joins every mistake of every file, each a *PackError.
func Load(fsys fs.FS) ([]*Pack, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("packs: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "_test.yaml") })
	// Packs know nothing of each other, so that two cores halve the wait.
	read, errs := make([]*Pack, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				errs[i] = fmt.Errorf("pack %s: %w", name, err)
				return
			}
			read[i], errs[i] = ParsePack(name, text)
		})
	}
	wg.Wait()
	out := slices.DeleteFunc(read, func(p *Pack) bool { return p == nil })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("packs: the folder holds no *.yaml")
	}
	slices.SortFunc(out, func(a, b *Pack) int { return cmp.Compare(a.ID.Name, b.ID.Name) })
	return out, nil
}

// PackNamed returns the pack of that name, or nil.
func PackNamed(ps []*Pack, name string) *Pack {
	for _, p := range ps {
		if p.ID.Name == name {
			return p
		}
	}
	return nil
}

// ParsePack reads one pack; file is its name in messages. The error joins every
// mistake, each a *PackError.
func ParsePack(file string, text []byte) (*Pack, error) {
	l := &loader{file: path.Base(file), text: text}
	if len(text) > maxPackBytes {
		return nil, &PackError{File: l.file, Problem: fmt.Sprintf("%d bytes is too large for a pack", len(text)), Remedy: fmt.Sprintf("the limit is %d", maxPackBytes)}
	}
	if err := yaml.UnmarshalWithOptions(text, &l.f, yaml.Strict()); err != nil {
		return nil, l.yamlMistake(err)
	}
	p := l.pack()
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return p, nil
}

type loader struct {
	file string
	text []byte
	f    packFile
	tree *yamlast.File
	errs []error

	base   *cel.Env
	envs   map[string]*cel.Env
	types  *provider
	cached map[string]*expr
	reads  map[string]map[string]bool // by cached expression
}

func (l *loader) yamlMistake(err error) error {
	var y yaml.Error
	e := &PackError{File: l.file, Problem: strings.ReplaceAll(err.Error(), "\n", " "), Remedy: "see docs/packs.md for the form of a pack"}
	if errors.As(err, &y) {
		e.Problem = y.GetMessage()
		if tk := y.GetToken(); tk != nil {
			e.Line, e.Column = tk.Position.Line, tk.Position.Column
			e.Excerpt = l.excerpt(e.Line, e.Column)
		}
	}
	return e
}

// fail records a mistake at a YAML path.
func (l *loader) fail(at, where, problem, remedy string) {
	l.failAt(at, where, problem, remedy, 0, false)
}

func (l *loader) failAt(at, where, problem, remedy string, offset int, inText bool) {
	line, col := l.position(at, offset, inText)
	l.errs = append(l.errs, &PackError{File: l.file, Line: line, Column: col, Where: where, Problem: problem, Remedy: remedy, Excerpt: l.excerpt(line, col)})
}

func (l *loader) excerpt(line, col int) string {
	lines := strings.Split(string(l.text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	text := strings.ReplaceAll(strings.TrimRight(lines[line-1], "\r"), "\t", " ")
	const most = 160
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	num := fmt.Sprintf("%5d | ", line)
	return num + text + "\n" + strings.Repeat(" ", len(num)+max(0, min(col, len(text)+1)-1)) + "^"
}

// position finds the place of a YAML path, and inside its text the place of an
// offset in the value, whichever way the text was folded.
func (l *loader) position(at string, offset int, inText bool) (line, col int) {
	if l.tree == nil {
		tree, err := parser.ParseBytes(l.text, 0)
		if err != nil {
			return 0, 0
		}
		l.tree = tree
	}
	p, err := yaml.PathString(at)
	if err != nil {
		return 0, 0
	}
	node, err := p.FilterFile(l.tree)
	if err != nil || node == nil {
		if i := strings.LastIndexAny(at, ".["); i > 0 {
			return l.position(at[:i], 0, false)
		}
		return 0, 0
	}
	if a, ok := node.(*yamlast.AliasNode); ok {
		tk := a.GetToken()
		return tk.Position.Line, tk.Position.Column
	}
	if a, ok := node.(*yamlast.AnchorNode); ok {
		node = a.Value
	}
	if !inText {
		tk := node.GetToken()
		return tk.Position.Line, tk.Position.Column
	}
	lines := strings.Split(string(l.text), "\n")
	if lit, ok := node.(*yamlast.LiteralNode); ok {
		n := lit.Start.Position.Line // the next line is index n
		seen := 0
		for i := n; i < len(lines); i++ {
			trimmed := strings.TrimLeft(lines[i], " ")
			length := len(strings.TrimRight(trimmed, " \r"))
			if offset <= seen+length {
				return i + 1, len(lines[i]) - len(trimmed) + offset - seen + 1
			}
			seen += length + 1
		}
		return n, 1
	}
	tk := node.GetToken()
	line, col = tk.Position.Line, tk.Position.Column
	if s, ok := node.(*yamlast.StringNode); ok && line <= len(lines) && col-1 < len(lines[line-1]) {
		if c := lines[line-1][max(0, col-1)]; (c == '"' || c == '\'') && s.Value != "" {
			col++
		}
	}
	return line, col + offset
}

var (
	identPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	idPattern    = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$`)
	reqPattern   = regexp.MustCompile(`^S[1-9][0-9]{0,2}$`)
)

// Words that expressions may use for how a criterion's entries came out.
var countNames = []string{"ok", "missed", "unknown", "manual", "total"}

func (l *loader) pack() *Pack {
	f := &l.f
	if f.Name == "" || !identPattern.MatchString(f.Name) {
		l.fail("$.name", "name", fmt.Sprintf("%q is no name for a pack", f.Name), "use lower-case letters")
	}
	if f.Version == "" {
		l.fail("$.version", "version", "the pack has no version", `write version: "1" and raise it with every change of meaning`)
	}
	if len(f.Criteria) == 0 {
		l.fail("$.criteria", "criteria", "the pack has no criteria", "add at least one")
	}
	l.checkThresholds("$.thresholds", "thresholds", f.Thresholds)
	if err := l.environment(); err != nil {
		l.errs = append(l.errs, &PackError{File: l.file, Problem: err.Error()})
		return nil
	}
	sum := sha256.Sum256(l.text)
	p := &Pack{ID: PackID{Name: f.Name, Version: f.Version, SHA256: hex.EncodeToString(sum[:])}, Title: f.Title, byID: map[string]*criterion{}, weights: f.Weights, source: *f}
	for i := range f.Criteria {
		c := l.criterion(i)
		if p.byID[c.f.ID] != nil {
			l.fail(c.at+".id", c.f.ID, "this id is already taken", "give every criterion its own id")
			continue
		}
		p.byID[c.f.ID] = c
		p.criteria = append(p.criteria, c)
	}
	for stage, ws := range f.Weights {
		for d, v := range ws {
			if !validDepartment(stage) || !validDepartment(d) || math.IsNaN(v) || v < 0 {
				l.fail("$.weights."+stage, "weights."+stage, fmt.Sprintf("%s: %v is no weight of a department", d, v), "name general, sales, implementation or support, with a number from 0")
			}
		}
	}
	slices.SortFunc(p.criteria, func(a, b *criterion) int {
		return cmp.Or(cmp.Compare(a.f.Level, b.f.Level), cmp.Compare(deptRank(a.department), deptRank(b.department)), cmp.Compare(a.f.ID, b.f.ID))
	})
	return p
}

func validDepartment(s string) bool {
	switch evidence.Department(s) {
	case evidence.General, evidence.Sales, evidence.Implementation, evidence.Support:
		return true
	}
	return false
}

func deptRank(d evidence.Department) int {
	switch d {
	case evidence.General:
		return 0
	case evidence.Sales:
		return 1
	case evidence.Implementation:
		return 2
	}
	return 3
}

func (l *loader) checkThresholds(at, where string, ts map[string]thresholdFile) {
	for _, name := range sortedKeys(ts) {
		t := ts[name]
		switch {
		case !identPattern.MatchString(name) || slices.Contains(countNames, name):
			l.fail(at+"."+name, where+"."+name, "this is no name for a threshold", "use lower-case letters and underscores, and none of the words "+strings.Join(countNames, ", "))
		case t.Value == nil:
			l.fail(at+"."+name, where+"."+name, "the threshold has no value", "write value: NUMBER")
		case math.IsNaN(*t.Value) || math.IsInf(*t.Value, 0):
			l.fail(at+"."+name+".value", where+"."+name, "the value is no finite number", "write a number")
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// factTypes returns all kinds of fact object, declared once.
var factTypes = sync.OnceValue(func() []*factType {
	declareProjectFacts()
	declareSalesFacts()
	declareCompanyFacts()
	declarePopulations()
	return []*factType{
		partnerType, calendarType, departmentType, projectType, signOffType, meetingType, ticketType, dealType, personType,
		weekType, periodType, figureType, metricType, actionType, procedureType, dashboardType,
	}
})

// shared is the environment that all packs extend: facts and functions.
var shared = sync.OnceValues(func() (*sharedEnv, error) {
	prov, err := newProvider(factTypes())
	if err != nil {
		return nil, err
	}
	opts := []cel.EnvOption{
		cel.CustomTypeProvider(prov), cel.CustomTypeAdapter(prov), cel.CrossTypeNumericComparisons(true),
		cel.Variable("partner", partnerType.typ),
	}
	for _, n := range countNames {
		opts = append(opts, cel.Variable(n, cel.IntType))
	}
	env, err := cel.NewEnv(append(opts, baseOptions()...)...)
	if err != nil {
		return nil, fmt.Errorf("expression language: %w", err)
	}
	return &sharedEnv{env, prov}, nil
})

type sharedEnv struct {
	env  *cel.Env
	prov *provider
}

// environment builds the pack's own: the shared one, its thresholds, and its
// definitions as macros.
func (l *loader) environment() error {
	sh, err := shared()
	if err != nil {
		return err
	}
	l.types = sh.prov
	l.envs = map[string]*cel.Env{}
	l.cached = map[string]*expr{}
	l.reads = map[string]map[string]bool{}
	var opts []cel.EnvOption
	seen := map[string]bool{}
	variable := func(name string) {
		if !seen[name] && identPattern.MatchString(name) && !slices.Contains(countNames, name) {
			seen[name] = true
			opts = append(opts, cel.Variable(name, cel.DoubleType))
		}
	}
	for _, n := range sortedKeys(l.f.Thresholds) {
		variable(n)
	}
	for i := range l.f.Criteria {
		for _, n := range sortedKeys(l.f.Criteria[i].Thresholds) {
			variable(n)
		}
	}
	if l.base, err = sh.env.Extend(opts...); err != nil {
		return fmt.Errorf("thresholds: %w", err)
	}
	var macros []cel.Macro
	for _, name := range sortedKeys(l.f.Define) {
		d := l.f.Define[name]
		at, where := "$.define."+name, "define."+name
		t := sh.prov.byName[d.Type]
		if t == nil || !identPattern.MatchString(d.As) || !identPattern.MatchString(name) {
			l.fail(at, where, fmt.Sprintf("a definition needs as: a name and type: one of %s", strings.Join(typeNames(), ", ")), "see docs/packs.md")
			continue
		}
		env, err := l.base.Extend(cel.Variable(d.As, t.typ))
		if err != nil {
			l.fail(at, where, err.Error(), "")
			continue
		}
		if l.compile(env, "define "+name, at+".is", where, d.Is, cel.BoolType) == nil {
			continue
		}
		parsed, iss := env.Parse(d.Is)
		if iss.Err() != nil {
			continue
		}
		body := parsed.NativeRep().Expr()
		macros = append(macros, cel.GlobalMacro(name, 1, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
			return f.NewComprehension(f.NewList(), "#unused", d.As, args[0], f.NewLiteral(types.False), f.NewIdent(d.As), f.Copy(body)), nil
		}))
	}
	if len(macros) > 0 {
		if l.base, err = l.base.Extend(cel.Macros(macros...)); err != nil {
			return fmt.Errorf("definitions: %w", err)
		}
	}
	return nil
}

func typeNames() []string {
	var out []string
	for _, t := range factTypes() {
		out = append(out, t.name)
	}
	slices.Sort(out)
	return out
}

// envFor returns the environment with the entry of a population by its name.
func (l *loader) envFor(pop, as string) (*cel.Env, error) {
	if pop == "" {
		return l.base, nil
	}
	key := pop + " " + as
	if e, ok := l.envs[key]; ok {
		return e, nil
	}
	e, err := l.base.Extend(cel.Variable(as, populations[pop].t.typ))
	if err != nil {
		return nil, fmt.Errorf("for_each %s: %w", pop, err)
	}
	l.envs[key] = e
	return e, nil
}

// compile type-checks an expression; nil after recording what is wrong. A nil
// want accepts any fact object.
func (l *loader) compile(env *cel.Env, envKey, at, where, src string, want *cel.Type) *expr {
	if strings.TrimSpace(src) == "" {
		l.fail(at, where, "the expression is empty", "write one, or leave the key out")
		return nil
	}
	key := envKey + "\x00" + src
	if e, ok := l.cached[key]; ok {
		return e
	}
	checked, iss := env.Compile(src)
	if iss != nil && iss.Err() != nil {
		for i, e := range iss.Errors() {
			if i == 3 {
				break
			}
			l.failAt(at, where, celProblem(e.Message), l.celRemedy(e.Message), offsetOf(src, e.Location.Line(), e.Location.Column()), true)
		}
		return nil
	}
	kind := checked.OutputType()
	if want != nil && !kind.IsEquivalentType(want) {
		l.fail(at, where, fmt.Sprintf("the expression gives %s, wanted is %s", kind, want), "compare, or use a function that gives "+want.String())
		return nil
	}
	if want == nil && l.types.byName[kind.TypeName()] == nil {
		l.fail(at, where, fmt.Sprintf("the expression gives %s, wanted is a fact object", kind), "name one, as in project.kick_off")
		return nil
	}
	est, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		l.fail(at, where, "its cost cannot be estimated: "+err.Error(), "make it simpler")
		return nil
	}
	if est.Max > maxCost {
		l.fail(at, where, fmt.Sprintf("the expression could run away: up to %.0e steps over lists of %d entries, allowed are %.0e", float64(est.Max), listSize, float64(maxCost)),
			"nest fewer exists, all, filter and map")
		return nil
	}
	prg, err := env.Program(checked)
	if err != nil {
		l.fail(at, where, err.Error(), "")
		return nil
	}
	e := &expr{src: src, prg: prg, kind: kind.Kind()}
	l.cached[key] = e
	reads := map[string]bool{}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.IdentKind {
			reads[x.AsIdent()] = true
		}
	}))
	l.reads[key] = reads
	return e
}

func offsetOf(src string, line, col int) int {
	off := 0
	for i, s := range strings.Split(src, "\n") {
		if i == line-1 {
			return off + col
		}
		off += len(s) + 1
	}
	return off
}

func celProblem(msg string) string {
	msg = strings.ReplaceAll(msg, " (in container '')", "")
	return strings.ReplaceAll(msg, isSet, "has")
}

var undefinedField = regexp.MustCompile(`undefined field '([^']+)'`)

// celRemedy suggests the nearest fact to one that does not exist.
func (l *loader) celRemedy(msg string) string {
	switch m := undefinedField.FindStringSubmatch(msg); {
	case m != nil:
		best, dist := "", 4
		for _, t := range factTypes() {
			for _, name := range t.order {
				if d := editDistance(m[1], name); d < dist {
					best, dist = t.name+"."+name, d
				}
			}
		}
		if best != "" {
			return "is " + best + " meant?"
		}
		return "prmsync rules explain lists the facts"
	case strings.Contains(msg, "undeclared reference"):
		return "name the entry as `as` does, a fact of partner, a threshold of this criterion or pack, or a function of docs/packs.md"
	case strings.Contains(msg, "no matching overload"):
		return "the two sides have different types"
	}
	return "see docs/packs.md for the expressions"
}

func editDistance(a, b string) int {
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			c := 1
			if a[i-1] == b[j-1] {
				c = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+c)
		}
		prev = cur
	}
	return prev[len(b)]
}

func (l *loader) criterion(i int) *criterion {
	f := l.f.Criteria[i]
	c := &criterion{f: f, at: fmt.Sprintf("$.criteria[%d]", i), department: evidence.Department(f.Department), severity: Severity(f.Severity), pop: f.ForEach, as: f.As, used: map[string]bool{}}
	id := f.ID
	if !idPattern.MatchString(id) {
		l.fail(c.at+".id", id, fmt.Sprintf("%q is no id", id), "write it as in impl.metric.overdue_pct")
		id = fmt.Sprintf("criteria[%d]", i)
	}
	if f.Title == "" {
		l.fail(c.at, id, "the criterion has no title", "say in one line what is asked")
	}
	if f.Level != 0 && (f.Level < 2 || f.Level > 5) {
		l.fail(c.at+".level", id+".level", fmt.Sprintf("%d is no level", f.Level), "levels with criteria are 2 to 5; leave it out for a check that belongs to no level")
	}
	if !validDepartment(f.Department) {
		l.fail(c.at+".department", id+".department", fmt.Sprintf("%q is no department", f.Department), "use general, sales, implementation or support")
	}
	if c.severity != SeverityNC && c.severity != SeverityObservation {
		l.fail(c.at+".severity", id+".severity", fmt.Sprintf("%q is no severity", f.Severity), "use NC or Observation")
	}
	if f.Expected == "" {
		l.fail(c.at, id, "the criterion does not say what is expected", "write expected:")
	}
	for j, r := range f.Source.Requirements {
		if !reqPattern.MatchString(r) {
			l.fail(fmt.Sprintf("%s.source.requirements[%d]", c.at, j), id+".source", fmt.Sprintf("%q is no requirement id", r), "write S and a number")
		}
	}
	for j, n := range f.Needs {
		if !validNeed(n) {
			l.fail(fmt.Sprintf("%s.needs[%d]", c.at, j), id+".needs", fmt.Sprintf("%q is neither a doctype nor a kind of evidence", n), "doctypes begin with a capital letter; kinds are "+strings.Join(knownKinds, ", "))
		}
	}
	l.checkThresholds(c.at+".thresholds", id+".thresholds", f.Thresholds)
	c.thresholds = map[string]thresholdFile{}
	for n, t := range l.f.Thresholds {
		c.thresholds[n] = t
	}
	for n, t := range f.Thresholds {
		c.thresholds[n] = t
	}
	if _, ok := populations[c.pop]; c.pop != "" && !ok {
		l.fail(c.at+".for_each", id+".for_each", fmt.Sprintf("%q is nothing to walk over", c.pop), "use one of "+strings.Join(sortedKeys(populations), ", "))
		return c
	}
	if (c.pop == "") != (c.as == "") || c.as != "" && (!identPattern.MatchString(c.as) || c.as == "partner" || slices.Contains(countNames, c.as)) {
		l.fail(c.at, id, "for_each and as go together, and as is a name of its own", "write as: project or the like")
		return c
	}
	env, err := l.envFor(c.pop, c.as)
	if err != nil {
		l.fail(c.at, id, err.Error(), "")
		return c
	}
	envKey := c.pop + " " + c.as
	get := func(at, where, src string, want *cel.Type, e *cel.Env, key string) *expr {
		if src == "" {
			return nil
		}
		x := l.compile(e, key, at, where, src, want)
		if x != nil {
			for name := range l.reads[key+"\x00"+src] {
				l.threshold(c, at, where, name)
			}
		}
		return x
	}
	c.applies = get(c.at+".applies", id+".applies", f.Applies, cel.BoolType, l.base, "")
	one := func(at string, k checkFile) check {
		return check{
			name:    k.Name,
			only:    get(at+".only", id+".only", k.Only, cel.BoolType, env, envKey),
			pass:    get(at+".pass", id+".pass", k.Pass, cel.BoolType, env, envKey),
			manual:  get(at+".manual", id+".manual", k.Manual, cel.BoolType, env, envKey),
			observe: get(at+".observe", id+".observe", k.Observe, cel.BoolType, env, envKey),
			shows:   get(at+".shows", id+".shows", k.Shows, cel.StringType, env, envKey),
			about:   get(at+".about", id+".about", k.About, nil, env, envKey),
		}
	}
	switch {
	case len(f.Checks) > 0 && (f.Check.Pass != "" || f.Check.Manual != ""):
		l.fail(c.at+".pass", id, "a criterion has either checks or pass", "move it into a check")
	case len(f.Checks) > 0:
		c.only = get(c.at+".only", id+".only", f.Check.Only, cel.BoolType, env, envKey)
		for j, k := range f.Checks {
			at := fmt.Sprintf("%s.checks[%d]", c.at, j)
			if k.Name == "" || k.Pass == "" {
				l.fail(at, id, "a check needs a name and pass", "write both")
			}
			c.checks = append(c.checks, one(at, k))
		}
	case f.Check.Pass == "":
		l.fail(c.at, id, "the criterion has no pass", "say what must hold")
	default:
		c.checks = []check{one(c.at, f.Check)}
	}
	lim := func(name, v string, whole bool) *limit {
		if v == "" {
			return nil
		}
		at := c.at + ".accept." + name
		var n float64
		if _, err := fmt.Sscanf(v, "%g", &n); err == nil && !identPattern.MatchString(v) {
			if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
				l.fail(at, id+".accept."+name, v+" is no such number", "write a number from 0")
			}
			return &limit{value: n}
		}
		if t, ok := c.thresholds[v]; ok {
			c.used[v] = true
			if t.Value != nil {
				return &limit{name: v, value: *t.Value}
			}
			return nil
		}
		l.fail(at, id+".accept."+name, fmt.Sprintf("%q is neither a number nor a threshold", v), "name one of "+strings.Join(sortedKeys(c.thresholds), ", "))
		return nil
	}
	c.missed, c.share, c.minimum = lim("missed", f.Accept.Missed, true), lim("share", f.Accept.Share, false), lim("minimum", f.Accept.Minimum, true)
	if c.missed != nil && c.share != nil || c.share != nil && f.Accept.Any || c.missed != nil && f.Accept.Any {
		l.fail(c.at+".accept", id+".accept", "missed, share and any exclude each other", "keep one")
	}
	switch f.Accept.Empty {
	case "", "na", "insufficient", "manual", "not_met":
	default:
		l.fail(c.at+".accept.empty", id+".accept.empty", fmt.Sprintf("%q is no outcome", f.Accept.Empty), "use na, insufficient, manual or not_met")
	}
	c.measured = l.template(c, c.at+".measured", id+".measured", f.Measured)
	c.expected = l.template(c, c.at+".expected", id+".expected", f.Expected)
	for _, n := range sortedKeys(f.Thresholds) {
		if !c.used[n] {
			l.fail(c.at+".thresholds."+n, id+".thresholds."+n, "no expression reads this threshold", "use it or leave it out")
		}
	}
	return c
}

// threshold notes that an expression reads a threshold, and refuses one that
// belongs to another criterion.
func (l *loader) threshold(c *criterion, at, where, name string) {
	if _, ok := c.thresholds[name]; ok {
		c.used[name] = true
		return
	}
	for i := range l.f.Criteria {
		if _, ok := l.f.Criteria[i].Thresholds[name]; ok {
			l.fail(at, where, fmt.Sprintf("threshold %s belongs to %s", name, l.f.Criteria[i].ID), "declare it for the pack, or for this criterion too")
			return
		}
	}
}

// knownKinds are the kinds of evidence that needs may name, as in a mapping.
var knownKinds = []string{
	"action", "all_hands", "bant", "dashboard.implementation", "dashboard.sales", "dashboard.support", "deal", "estimate",
	"feedback.demo", "feedback.sales", "feedback.satisfaction", "feedback.ticket", "handover", "kick_off", "plan",
	"procedure.implementation", "procedure.sales", "procedure.support", "project", "report", "review", "scope",
	"sign_off.brd", "sign_off.go_live", "sign_off.invoice_schedule", "sign_off.schedule", "sign_off.scope", "sign_off.training", "sign_off.uat",
	"sponsor", "status", "steering", "ticket", "to_support", "training.consultant", "training.sales",
}

func validNeed(n string) bool {
	if n == "" {
		return false
	}
	if n[0] >= 'A' && n[0] <= 'Z' {
		return true
	}
	return slices.Contains(knownKinds, n)
}

// template is a text with expressions in braces.
type template struct {
	parts []part
}

type part struct {
	text string
	name string // a count or a threshold, read without the expression language
	expr *expr
}

func (l *loader) template(c *criterion, at, where, src string) *template {
	if src == "" {
		return nil
	}
	t := &template{}
	rest := src
	for rest != "" {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			t.parts = append(t.parts, part{text: rest})
			break
		}
		if i > 0 {
			t.parts = append(t.parts, part{text: rest[:i]})
		}
		j := strings.IndexByte(rest[i:], '}')
		if j < 0 {
			l.fail(at, where, "a brace is not closed", "write {expression}")
			return nil
		}
		inner := strings.TrimSpace(rest[i+1 : i+j])
		rest = rest[i+j+1:]
		if _, ok := c.thresholds[inner]; ok {
			c.used[inner] = true
			t.parts = append(t.parts, part{name: inner})
			continue
		}
		if slices.Contains(countNames, inner) {
			t.parts = append(t.parts, part{name: inner})
			continue
		}
		e := l.compile(l.base, "", at, where, inner, cel.StringType)
		if e == nil {
			return nil
		}
		for name := range l.reads["\x00"+inner] {
			l.threshold(c, at, where, name)
		}
		t.parts = append(t.parts, part{expr: e})
	}
	return t
}

// trimText is the text of a pack as people read it: one line.
func trimText(s string) string {
	return string(bytes.TrimSpace([]byte(strings.Join(strings.Fields(s), " "))))
}
