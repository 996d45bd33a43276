package frappetest

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// cint, flt and cstr are Frappe's forgiving conversions.

func cint(v any) int64 {
	switch x := v.(type) {
	case nil:
		return 0
	case bool:
		if x {
			return 1
		}
		return 0
	case int:
		return int64(x)
	case int64:
		return x
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return 0
		}
		return int64(x)
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(x), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return n
		}
		return int64(f)
	}
	return 0
}

func flt(v any) float64 {
	switch x := v.(type) {
	case float64:
		return x
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(strings.ReplaceAll(x, ",", "")), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0
		}
		return f
	}
	return float64(cint(v))
}

func cstr(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case bool:
		if x {
			return "True"
		}
		return "False"
	case int:
		return strconv.Itoa(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return string(appendFloat(nil, x))
	case *object, []any:
		return pyRepr(x)
	}
	return fmt.Sprint(v)
}

// pyRepr writes a value as Python prints it.
func pyRepr(v any) string {
	switch x := v.(type) {
	case nil:
		return "None"
	case string:
		if strings.Contains(x, "'") && !strings.Contains(x, `"`) {
			return `"` + x + `"`
		}
		return "'" + strings.ReplaceAll(x, "'", `\'`) + "'"
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			parts[i] = pyRepr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *object:
		parts := make([]string, len(x.keys))
		for i, k := range x.keys {
			parts[i] = pyRepr(k) + ": " + pyRepr(x.vals[k])
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return cstr(v)
}

// truthy is Python's idea of a true value.
func truthy(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case string:
		return x != ""
	case int:
		return x != 0
	case int64:
		return x != 0
	case float64:
		return x != 0
	case []any:
		return len(x) > 0
	case *object:
		return x != nil && len(x.keys) > 0
	}
	return true
}

const (
	dateLayout     = "2006-01-02"
	datetimeLayout = "2006-01-02 15:04:05"
)

// formatTime writes a moment as Frappe does: local, six digits of fraction,
// none when they are zero.
func formatTime(t time.Time) string {
	t = t.Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format(datetimeLayout)
	}
	return t.Format(datetimeLayout + ".000000")
}

var datetimePattern = regexp.MustCompile(`^(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[ T]+(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?(?:\.(\d{1,9}))?)?$`)

// parseDatetime reads what MariaDB reads as a DATETIME or DATE literal.
func parseDatetime(s string) (time.Time, bool) {
	p := datetimePattern.FindStringSubmatch(strings.TrimSpace(s))
	if p == nil {
		return time.Time{}, false
	}
	n := func(i int) int { v, _ := strconv.Atoi(p[i]); return v }
	frac := p[7]
	for len(frac) < 6 {
		frac += "0"
	}
	us, _ := strconv.Atoi(frac[:6])
	y, m, d := n(1), n(2), n(3)
	if m < 1 || m > 12 || d < 1 || n(4) > 23 || n(5) > 59 || n(6) > 59 {
		return time.Time{}, false
	}
	t := time.Date(y, time.Month(m), d, n(4), n(5), n(6), us*1000, time.UTC)
	if t.Day() != d {
		return time.Time{}, false
	}
	return t, true
}

// parseLoose reads a moment as Python's dateutil would, which accepts zones
// and day-first forms that the database refuses.
func parseLoose(s string) (time.Time, bool) {
	if t, ok := parseDatetime(s); ok {
		return t, true
	}
	s = strings.TrimSpace(s)
	for _, layout := range []string{time.RFC3339Nano, "02-01-2006", "02/01/2006", "02.01.2006", "2006/01/02", "20060102", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC), true
		}
	}
	return time.Time{}, false
}

var timePattern = regexp.MustCompile(`^(\d{1,3}):(\d{1,2})(?::(\d{1,2}))?(\.\d{1,9})?$`)

// canonicalTime writes a TIME as Frappe prints it: H:MM:SS with the fraction
// where there is one.
func canonicalTime(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if _, after, ok := strings.Cut(s, " "); ok {
		s = after
	}
	p := timePattern.FindStringSubmatch(s)
	if p == nil {
		return "", false
	}
	n := func(i int) int { v, _ := strconv.Atoi(p[i]); return v }
	if n(2) > 59 || n(3) > 59 {
		return "", false
	}
	out := fmt.Sprintf("%d:%02d:%02d", n(1), n(2), n(3))
	if frac := strings.TrimRight(strings.TrimPrefix(p[4], "."), "0"); frac != "" {
		for len(frac) < 6 {
			frac += "0"
		}
		out += "." + frac[:6]
	}
	return out, true
}

func seconds(t string) float64 {
	p := strings.Split(t, ":")
	if len(p) < 2 {
		return flt(t)
	}
	total := flt(p[0])*3600 + flt(p[1])*60
	if len(p) > 2 {
		total += flt(p[2])
	}
	return total
}

// stored converts a value to what the column keeps, as the database does.
func (q *session) stored(m *meta, name string, v any) (any, error) {
	typ := ""
	f := m.byName[name]
	switch {
	case name == "docstatus" || name == "idx":
		return cint(v), nil
	case name == "creation" || name == "modified":
		typ = "Datetime"
	case f != nil:
		typ = f.typ
	}
	if v == nil {
		if typ == "Check" || typ == "Int" {
			return int64(0), nil
		}
		if floatTypes[typ] {
			return float64(0), nil
		}
		return nil, nil
	}
	switch {
	case typ == "Check":
		if cint(v) != 0 {
			return int64(1), nil
		}
		return int64(0), nil
	case typ == "Int":
		return cint(v), nil
	case floatTypes[typ]:
		return roundTo(flt(v), 9), nil
	case typ == "Date":
		s := cstr(v)
		if s == "" {
			return nil, nil
		}
		t, ok := parseDatetime(strings.TrimSuffix(s, "Z"))
		if !ok {
			return nil, raise("OperationalError", `(1292, "Incorrect date value: '%s' for column `+"`%s`.`tab%s`.`%s`"+` at row 1")`, s, q.site.dbName(), m.name, name)
		}
		return t.Format(dateLayout), nil
	case typ == "Datetime":
		s := cstr(v)
		if s == "" {
			return nil, nil
		}
		t, ok := parseDatetime(s)
		if !ok {
			return nil, raise("OperationalError", `(1292, "Incorrect datetime value: '%s' for column `+"`%s`.`tab%s`.`%s`"+` at row 1")`, s, q.site.dbName(), m.name, name)
		}
		return formatTime(t), nil
	case typ == "Time":
		s := cstr(v)
		if s == "" {
			return nil, nil
		}
		out, ok := canonicalTime(s)
		if !ok {
			return nil, raise("OperationalError", `(1292, "Incorrect time value: '%s' for column `+"`%s`.`tab%s`.`%s`"+` at row 1")`, s, q.site.dbName(), m.name, name)
		}
		return out, nil
	}
	if typ == "JSON" {
		if _, err := parseJSON(cstr(v)); err != nil {
			return nil, raise("OperationalError", "(4025, 'CONSTRAINT `tab%s.%s` failed for `%s`.`tab%s`')", m.name, name, q.site.dbName(), m.name)
		}
	}
	switch x := v.(type) {
	case string:
		return strings.ToValidUTF8(x, "�"), nil
	case bool:
		return strconv.FormatInt(cint(x), 10), nil
	case *object:
		return nil, raise("TypeError", "dict can not be used as parameter")
	}
	return cstr(v), nil
}

func roundTo(f float64, digits int) float64 {
	p := math.Pow(10, float64(digits))
	if math.Abs(f) > 1e15/p {
		return f
	}
	return math.Round(f*p) / p
}
