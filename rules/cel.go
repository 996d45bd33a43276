package rules

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/prmsync/prmsync/evidence"
)

// A fact is one attribute that a criterion may read: a name, a CEL type, a
// sentence for rule authors, and the Go function behind it. A function answers
// with a value; with an unknown where the evidence could not be had; or with an
// error where the thing is known not to exist, which has() turns into false.
type fact struct {
	name string
	typ  *cel.Type
	doc  string
	get  func(*object) ref.Val
}

// factType is one kind of object that expressions can name.
type factType struct {
	name  string
	doc   string
	typ   *cel.Type
	facts map[string]*fact
	order []string
}

func newFactType(name, doc string) *factType {
	return &factType{name: name, doc: doc, typ: cel.ObjectType(name), facts: map[string]*fact{}}
}

func (t *factType) list() *cel.Type { return cel.ListType(t.typ) }

// add declares one fact whose Go value is a *T.
func add[T any](t *factType, name string, typ *cel.Type, doc string, get func(*T) ref.Val) {
	t.facts[name] = &fact{name: name, typ: typ, doc: doc, get: func(o *object) ref.Val {
		v, ok := o.v.(*T)
		if !ok {
			return types.NewErr("%s.%s: not a %s", t.name, name, t.name)
		}
		return get(v)
	}}
	t.order = append(t.order, name)
}

func addString[T any](t *factType, name, doc string, get func(*T) string) {
	add(t, name, cel.StringType, doc, func(v *T) ref.Val { return types.String(get(v)) })
}

func addBool[T any](t *factType, name, doc string, get func(*T) bool) {
	add(t, name, cel.BoolType, doc, func(v *T) ref.Val { return types.Bool(get(v)) })
}

func addInt[T any](t *factType, name, doc string, get func(*T) int) {
	add(t, name, cel.IntType, doc, func(v *T) ref.Val { return types.Int(get(v)) })
}

func addDate[T any](t *factType, name, doc string, get func(*T) evidence.Date) {
	add(t, name, cel.TimestampType, doc, func(v *T) ref.Val { return dateVal(get(v), t.name+"."+name) })
}

// object is a fact object as CEL sees it.
type object struct {
	t *factType
	v any
}

func (t *factType) of(v any) ref.Val { return &object{t: t, v: v} }

// ConvertToNative is refused: facts stay inside the engine.
func (o *object) ConvertToNative(typ reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s cannot become a %s", o.t.name, typ)
}

// ConvertToType is refused but for the type itself.
func (o *object) ConvertToType(typ ref.Type) ref.Val {
	if typ.TypeName() == o.t.name {
		return o
	}
	return types.NewErr("a %s cannot become a %s", o.t.name, typ.TypeName())
}

// Equal compares identity: two facts are the same when they are one object.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && p.v == o.v)
}

// Type returns the CEL type.
func (o *object) Type() ref.Type { return o.t.typ }

// Value returns the object itself, so that field access reaches its facts.
func (o *object) Value() any { return o }

// notSet is the answer for something known not to exist.
type notSet struct{ attribute string }

func (e *notSet) Error() string { return e.attribute + " is not there; guard it with has()" }

func absent(attribute string) ref.Val { return types.WrapErr(&notSet{attribute}) }

func dateVal(d evidence.Date, attribute string) ref.Val {
	if d.IsZero() {
		return absent(attribute)
	}
	return types.Timestamp{Time: d.Start(time.UTC)}
}

func stringsVal(ss []string) ref.Val {
	vs := make([]ref.Val, len(ss))
	for i, s := range ss {
		vs[i] = types.String(s)
	}
	return listVal(vs)
}

func listVal(vs []ref.Val) ref.Val { return types.NewRefValList(types.DefaultTypeAdapter, vs) }

// provider resolves fact types for the checker and the planner.
type provider struct {
	*types.Registry
	byName map[string]*factType
}

func newProvider(ts []*factType) (*provider, error) {
	reg, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("types of facts: %w", err)
	}
	p := &provider{Registry: reg, byName: map[string]*factType{}}
	for _, t := range ts {
		p.byName[t.name] = t
	}
	return p, nil
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if t, ok := p.byName[name]; ok {
		return types.NewTypeTypeWithParam(t.typ), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if t, ok := p.byName[name]; ok {
		return slices.Clone(t.order), true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := p.byName[name]
	if !ok {
		return p.Registry.FindStructFieldType(name, field)
	}
	f, ok := t.facts[field]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:  f.typ,
		IsSet: func(any) bool { return true },
		GetFrom: func(target any) (any, error) {
			if u, ok := target.(*types.Unknown); ok {
				return u, nil // what is not known has no known parts
			}
			o, ok := target.(*object)
			if !ok {
				return nil, fmt.Errorf("%s.%s: not a %s", name, field, name)
			}
			v := f.get(o)
			if e, ok := v.(*types.Err); ok {
				return nil, e
			}
			return v, nil
		},
	}, true
}

// Functions that packs may call, with a line each for `rules explain`.
var functionDocs = [][2]string{
	{"has(x)", "whether x exists; unknown when nobody could look"},
	{"days(n)", "a span of n calendar days"},
	{"within(event, from, span)", "whether event happened no later than from + span; earlier counts, the last day too"},
	{"working_days(calendar, from, to)", "working days after from up to and including to, by the partner's holiday list"},
	{"at_least(list, percent)", "whether at least so many percent of a list of yes/no are yes; unknown entries leave it open only while they could decide it"},
	{"count_true(list)", "how many of a list of yes/no are yes for certain"},
	{"average(list)", "mean of a list of numbers; not there for an empty list"},
	{"lowest(list)", "smallest of a list of numbers; not there for an empty list"},
	{"join(list, separator)", "a list of texts as one text"},
	{"number(x)", "a number as text, without needless zeros"},
	{"date(t)", "a date as text, YYYY-MM-DD"},
	{"span_days(duration)", "a span in whole days"},
}

const isSet = "_is_set"

func baseOptions() []cel.EnvOption {
	boolList := cel.ListType(cel.BoolType)
	doubleList := cel.ListType(cel.DoubleType)
	t := cel.TypeParamType("T")
	return []cel.EnvOption{
		cel.ClearMacros(),
		cel.Macros(
			cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.FilterMacro, cel.MapMacro,
			cel.GlobalMacro("has", 1, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
				if args[0].Kind() != ast.SelectKind {
					return nil, f.NewError(args[0].ID(), "has() wants a fact, as in has(project.kick_off)")
				}
				return f.NewCall(isSet, f.Copy(args[0])), nil
			}),
		),
		cel.Function(isSet, cel.Overload("is_set", []*cel.Type{t}, cel.BoolType, cel.OverloadIsNonStrict(), cel.UnaryBinding(func(v ref.Val) ref.Val {
			if e, ok := v.(*types.Err); ok {
				var ns *notSet
				if errors.As(e, &ns) {
					return types.False
				}
				return v
			}
			if types.IsUnknown(v) {
				return v
			}
			if s, ok := v.(types.String); ok {
				return types.Bool(s != "")
			}
			return types.True
		}))),
		cel.Function("days",
			cel.Overload("days_double", []*cel.Type{cel.DoubleType}, cel.DurationType, cel.UnaryBinding(func(v ref.Val) ref.Val { return daysOf(float64(v.(types.Double))) })),
			cel.Overload("days_int", []*cel.Type{cel.IntType}, cel.DurationType, cel.UnaryBinding(func(v ref.Val) ref.Val { return daysOf(float64(v.(types.Int))) })),
		),
		cel.Function("within", cel.Overload("within", []*cel.Type{cel.TimestampType, cel.TimestampType, cel.DurationType}, cel.BoolType,
			cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				at, from, span := a[0].(types.Timestamp), a[1].(types.Timestamp), a[2].(types.Duration)
				return types.Bool(!at.Time.After(from.Time.Add(span.Duration)))
			}))),
		cel.Function("working_days", cel.Overload("working_days", []*cel.Type{calendarType.typ, cel.TimestampType, cel.TimestampType}, cel.IntType,
			cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				o, ok := a[0].(*object)
				if !ok {
					return types.NewErr("working_days wants partner.calendar")
				}
				c, ok := o.v.(*calendar)
				if !ok {
					return types.NewErr("working_days wants partner.calendar")
				}
				return types.Int(c.workingDays(evidence.DateIn(a[1].(types.Timestamp).Time, time.UTC), evidence.DateIn(a[2].(types.Timestamp).Time, time.UTC)))
			}))),
		cel.Function("at_least",
			cel.Overload("at_least_double", []*cel.Type{boolList, cel.DoubleType}, cel.BoolType, cel.BinaryBinding(atLeast)),
		),
		cel.Function("count_true", cel.Overload("count_true", []*cel.Type{boolList}, cel.IntType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			yes, _, _ := tally(v)
			return types.Int(yes)
		}))),
		cel.Function("average", cel.Overload("average", []*cel.Type{doubleList}, cel.DoubleType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			return overNumbers(v, "average", func(fs []float64) float64 {
				sum := 0.0
				for _, f := range fs {
					sum += f
				}
				return sum / float64(len(fs))
			})
		}))),
		cel.Function("lowest", cel.Overload("lowest", []*cel.Type{doubleList}, cel.DoubleType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			return overNumbers(v, "lowest", slices.Min[[]float64])
		}))),
		cel.Function("join", cel.Overload("join", []*cel.Type{cel.ListType(cel.StringType), cel.StringType}, cel.StringType, cel.BinaryBinding(func(l, sep ref.Val) ref.Val {
			var ss []string
			for _, v := range elements(l) {
				if types.IsUnknownOrError(v) {
					return v
				}
				ss = append(ss, string(v.(types.String)))
			}
			return types.String(strings.Join(ss, string(sep.(types.String))))
		}))),
		cel.Function("number",
			cel.Overload("number_double", []*cel.Type{cel.DoubleType}, cel.StringType, cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(formatNumber(float64(v.(types.Double)))) })),
			cel.Overload("number_int", []*cel.Type{cel.IntType}, cel.StringType, cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(formatNumber(float64(v.(types.Int)))) })),
		),
		cel.Function("date", cel.Overload("date", []*cel.Type{cel.TimestampType}, cel.StringType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			return types.String(v.(types.Timestamp).Format(time.DateOnly))
		}))),
		cel.Function("span_days", cel.Overload("span_days", []*cel.Type{cel.DurationType}, cel.IntType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			return types.Int(v.(types.Duration).Hours() / 24)
		}))),
	}
}

func daysOf(n float64) ref.Val {
	if math.IsNaN(n) || math.Abs(n) > 36525 {
		return types.NewErr("days(%v) is no span of days", n)
	}
	return types.Duration{Duration: time.Duration(n * 24 * float64(time.Hour))}
}

func elements(v ref.Val) []ref.Val {
	l, ok := v.(interface {
		Size() ref.Val
		Get(ref.Val) ref.Val
	})
	if !ok {
		return nil
	}
	n, _ := l.Size().(types.Int)
	out := make([]ref.Val, 0, n)
	for i := types.Int(0); i < n; i++ {
		out = append(out, l.Get(i))
	}
	return out
}

// tally counts a list of yes/no: yes, no, and the entries that are unknown.
func tally(v ref.Val) (yes, no int, open []ref.Val) {
	for _, e := range elements(v) {
		switch {
		case e == types.True:
			yes++
		case e == types.False:
			no++
		default:
			open = append(open, e)
		}
	}
	return yes, no, open
}

func atLeast(l, pct ref.Val) ref.Val {
	yes, no, open := tally(l)
	need := float64(pct.(types.Double)) / 100
	total := float64(yes + no + len(open))
	const rounding = 1e-9
	switch {
	case math.IsNaN(need):
		return types.NewErr("at_least: the share is not a number")
	case total == 0:
		return absent("at_least of an empty list")
	case float64(yes)+rounding >= need*total:
		return types.True
	case float64(yes+len(open))+rounding < need*total:
		return types.False
	}
	var all *types.Unknown
	for _, o := range open {
		u, ok := o.(*types.Unknown)
		if !ok {
			return o
		}
		all = types.MergeUnknowns(all, u)
	}
	return all
}

func overNumbers(l ref.Val, name string, f func([]float64) float64) ref.Val {
	var fs []float64
	for _, v := range elements(l) {
		d, ok := v.(types.Double)
		if !ok {
			return v
		}
		fs = append(fs, float64(d))
	}
	if len(fs) == 0 {
		return absent(name + " of an empty list")
	}
	return types.Double(f(fs))
}

// formatNumber prints at most two decimals and no needless zeros.
func formatNumber(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "no number"
	}
	s := fmt.Sprintf("%.2f", f)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// Limits of what a pack may cost. A list of facts is taken to hold listSize
// entries when a pack is loaded; an expression dearer than maxCost over such
// lists is refused, because over a real partner's evidence it could run away.
const (
	listSize = 1000
	maxCost  = 20_000_000
)

type sizes struct{}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	switch n.Type().Kind() {
	case types.ListKind:
		most := uint64(listSize)
		if ps := n.Type().Parameters(); len(ps) == 1 && ps[0].TypeName() == figureType.name {
			most = windowWeeks // a metric never has more figures than the window has weeks
		}
		return &cost.SizeEstimate{Min: 0, Max: most}
	case types.StringKind:
		return &cost.SizeEstimate{Min: 0, Max: 140}
	default:
		return nil
	}
}

// EstimateCallCost implements cost.Estimator: own functions walk their list once.
func (sizes) EstimateCallCost(name, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	switch name {
	case "at_least", "count_true", "average", "lowest", "join":
		return &cost.CallEstimate{CostEstimate: cost.Estimate{Min: 1, Max: listSize}}
	case "working_days":
		return &cost.CallEstimate{CostEstimate: cost.Estimate{Min: 1, Max: 5000}}
	}
	return nil
}
