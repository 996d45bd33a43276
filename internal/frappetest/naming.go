package frappetest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// setName is set_new_name: amended documents, Singles, the controller's own
// rule, the autoname of the DocType, a hash.
func (d *document) setName() error {
	q, m := d.q, d.m
	autoname := m.autoname
	given := d.name()
	if q.apiNameSet && given != "" && strings.ToLower(autoname) != "autoincrement" {
		// The flag is global to the request: whatever is inserted with a name
		// keeps it.
		return d.useName(given)
	}
	if !strings.EqualFold(autoname, "prompt") {
		d.vals["name"] = nil
	}
	if autoname == "autoincrement" {
		d.vals["name"] = fmt.Sprint(q.nextInSeries("autoincrement:"+m.name, 1))
		return nil
	}
	switch {
	case d.str("amended_from") != "":
		from := d.str("amended_from")
		n, prefix := int64(1), from
		if q.value(m.name, from, "amended_from") != nil {
			if i := strings.LastIndexByte(from, '-'); i >= 0 {
				n, prefix = cint(from[i+1:])+1, from[:i]
			}
		}
		d.vals["name"] = fmt.Sprintf("%s-%d", prefix, n)
		return nil
	case m.single:
		d.vals["name"] = m.name
	}
	if d.name() == "" {
		if fn := controllers[m.name].autoname; fn != nil {
			if err := fn(d, given); err != nil {
				return err
			}
		}
	}
	if d.name() == "" && autoname != "" {
		if err := d.nameByRule(autoname); err != nil {
			return err
		}
	}
	if d.name() == "" {
		d.vals["name"] = q.site.newHash()
		return nil
	}
	return d.useName(d.name())
}

// useName is validate_name.
func (d *document) useName(name string) error {
	q := d.q
	if strings.HasPrefix(name, "New "+d.m.name) {
		return q.throw("NameError", "There were some errors setting the name, please contact the administrator")
	}
	name = strings.TrimSpace(name)
	if !d.m.single && d.m.name == name && name != "DocType" {
		return q.throw("NameError", "Name of %s cannot be %s", d.m.name, name)
	}
	if strings.ContainsAny(name, "<>") {
		return q.throw("NameError", "Name cannot contain special characters like '<', '>'")
	}
	d.vals["name"] = name
	return nil
}

var bracedParam = regexp.MustCompile(`\{[^{}]+\}`)

func (d *document) nameByRule(autoname string) error {
	q := d.q
	lower := strings.ToLower(autoname)
	switch {
	case strings.HasPrefix(lower, "field:"):
		by := autoname[len("field:"):]
		name := strings.TrimSpace(cstr(d.vals[by]))
		if name == "" {
			return q.throw("ValidationError", "%s is required", d.m.label(by))
		}
		d.vals["name"] = name
	case strings.HasPrefix(lower, "naming_series:"):
		series := d.str("naming_series")
		if series == "" {
			if f := d.m.byName["naming_series"]; f != nil {
				for _, o := range strings.Split(f.options, "\n") {
					if o != "" && series == "" {
						series = o
					}
				}
			}
			d.vals["naming_series"] = series
		}
		if series == "" {
			return q.throw("ValidationError", "Naming Series mandatory")
		}
		d.vals["name"] = d.series(series + ".#####")
	case strings.HasPrefix(lower, "prompt"):
		if d.name() == "" {
			return q.throw("ValidationError", "Please set the document name")
		}
	case strings.HasPrefix(lower, "format:"):
		d.vals["name"] = bracedParam.ReplaceAllStringFunc(autoname[len("format:"):], func(p string) string {
			return d.seriesParts([]string{p[1 : len(p)-1]})
		})
	case strings.Contains(autoname, "#"):
		d.vals["name"] = d.series(autoname)
	}
	return nil
}

func (d *document) series(key string) string { return d.seriesParts(strings.Split(key, ".")) }

func (d *document) seriesParts(parts []string) string {
	var b strings.Builder
	counted := false
	now := d.q.site.now().In(d.q.site.zone)
	for _, p := range parts {
		if p == "" {
			continue
		}
		switch {
		case strings.HasPrefix(p, "#"):
			if !counted {
				counted = true
				n := d.q.nextInSeries(b.String(), 1)
				fmt.Fprintf(&b, "%0*d", len(p), n)
			}
		case p == "YY":
			b.WriteString(now.Format("06"))
		case p == "YYYY":
			b.WriteString(now.Format("2006"))
		case p == "MM":
			b.WriteString(now.Format("01"))
		case p == "DD":
			b.WriteString(now.Format("02"))
		case p == "WW":
			b.WriteString(seriesWeek(now))
		case p == "timestamp":
			b.WriteString(formatTime(now))
		case strings.HasPrefix(p, "{") || d.hasKey(p):
			b.WriteString(strings.TrimSpace(cstr(d.vals[strings.NewReplacer("{", "", "}", "").Replace(p)])))
		default:
			b.WriteString(p)
		}
	}
	return b.String()
}

func (d *document) hasKey(k string) bool {
	if _, ok := d.vals[k]; ok {
		return true
	}
	return d.m.stores(k)
}

func seriesWeek(t time.Time) string {
	_, w := t.ISOWeek()
	switch {
	case t.Month() == time.January && w >= 52:
		return "00"
	case t.Month() == time.December && w <= 1:
		return "53"
	}
	return fmt.Sprintf("%02d", w)
}

// nextInSeries advances a counter; an undo takes the step back.
func (q *session) nextInSeries(key string, step int64) int64 {
	s := q.site
	s.series[key] += step
	q.tx.undo = append(q.tx.undo, func() { s.series[key] -= step })
	return s.series[key]
}

// numberedName appends "-1", "-2", … to a name that exists.
func (q *session) numberedName(doctype, name string) string {
	if !q.exists(doctype, name) {
		return name
	}
	n := int64(0)
	q.site.table(doctype).byName.ascend(nil, func(r *row) bool {
		if rest, ok := strings.CutPrefix(r.name, name+"-"); ok && rest != "" && strings.Trim(rest, "0123456789") == "" {
			n = max(n, cint(rest))
		}
		return true
	})
	return fmt.Sprintf("%s-%d", name, n+1)
}
