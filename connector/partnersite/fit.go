package partnersite

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
)

// plan is a stream fitted to one site: the fields that this version of the
// doctype has, those of the mapping included.
type plan struct {
	stream
	kinds  []config.Kind // that the mapping reads from it
	fields []fitted
	tables []childTable
	// ask is the field list of the request; digest changes with it and with
	// everything else that decides what a stored document holds.
	ask    []string
	digest string
	// lacking are essential fields the site does not have.
	lacking []string
	// levels are fields at a permission level that the user may not read.
	levels []string
	// dependsOn says that the site keeps the predecessors of a task in a text
	// beside the child table, which saves reading that.
	dependsOn bool
	// timeline says that files or mails of its records come from their
	// timelines.
	timeline bool
	// remains are, for Deleted Document, the fields kept of each doctype.
	remains map[string][]string
	meta    *frappe.Meta
}

// fitted is one column of a plan.
type fitted struct {
	from      string   // the site's own field
	to        []string // what it is stored as
	kind      string   // fieldtype
	mail      bool
	presence  bool
	essential bool
}

// childTable is one child table of a plan.
type childTable struct {
	field   string
	doctype string
	fields  []fitted
	ask     []string
}

// rows of a record that every stored document has besides its own fields.
var always = []string{"name", "owner", "creation", "modified", "modified_by", "docstatus"}

// isTable reports whether a field of that type holds rows.
func isTable(fieldtype string) bool {
	return fieldtype == "Table" || fieldtype == "Table MultiSelect"
}

// noColumn are the fieldtypes of which the site keeps nothing.
var noColumn = map[string]bool{
	"Section Break": true, "Column Break": true, "Tab Break": true, "HTML": true, "Button": true,
	"Heading": true, "Image": true, "Fold": true,
}

// optional columns stand in the tables of most doctypes but in no meta.
var optional = map[string]bool{"_assign": true, "_user_tags": true, "_comments": true, "_liked_by": true, "_seen": true}

// fit makes the plan for a stream out of the site's meta and what the mapping
// reads there. roles are those of the key's user; nil: unknown.
func fit(s stream, rules map[config.Kind][]config.Rule, meta *frappe.Meta, roles []string) plan {
	p := plan{stream: s, meta: meta}
	wanted := columns(s.fields)
	children := map[string][]column{}
	for f, spec := range s.children {
		children[f] = columns(spec)
	}
	for _, kind := range sortedKinds(rules) {
		for _, r := range rules[kind] {
			if r.Doctype != s.doctype {
				continue
			}
			if !slices.Contains(p.kinds, kind) {
				p.kinds = append(p.kinds, kind)
			}
			own, rows := ruleFields(r)
			for _, f := range own {
				wanted = append(wanted, column{name: f})
			}
			for f, names := range rows {
				for _, n := range names {
					children[f] = append(children[f], column{name: n})
				}
			}
		}
	}
	if len(p.kinds) > 0 {
		// A rule without project means the field called project.
		wanted = append(wanted, column{name: "project"}, column{name: "amended_from"})
	}
	readable := func(f frappe.Field) bool {
		return f.Permlevel == 0 || roles == nil || slices.Contains(meta.Levels(roles), f.Permlevel)
	}

	for _, c := range wanted {
		if slices.Contains(always, c.name) {
			continue
		}
		if optional[c.name] {
			p.add(fitted{from: c.name, to: []string{c.name}, kind: "Text"})
			continue
		}
		field, ok := pick(meta, c)
		switch {
		case !ok:
			if c.essential {
				p.lacking = append(p.lacking, c.name)
			}
		case isTable(field.Type):
			if _, planned := children[field.Name]; !planned {
				children[field.Name] = nil
			}
		case noColumn[field.Type]:
		case !readable(field):
			p.levels = append(p.levels, field.Name)
		default:
			to := []string{c.name}
			if field.Name != c.name {
				to = append(to, field.Name)
			}
			p.add(fitted{from: field.Name, to: to, kind: field.Type, mail: c.mail, presence: c.presence, essential: c.essential})
		}
	}
	if _, ok := meta.Field("depends_on_tasks"); ok && s.doctype == "Task" {
		p.dependsOn = true
		delete(children, "depends_on")
	}
	for _, name := range slices.Sorted(maps.Keys(children)) {
		field, ok := meta.Field(name)
		if !ok || !isTable(field.Type) || !readable(field) {
			continue
		}
		t := childTable{field: name, doctype: field.Options}
		child := meta.Children[field.Options]
		for _, c := range children[name] {
			f := frappe.Field{Name: c.name}
			if child != nil {
				var ok bool
				if f, ok = pick(child, c); !ok || isTable(f.Type) || noColumn[f.Type] {
					continue
				}
			}
			if !slices.ContainsFunc(t.fields, func(x fitted) bool { return x.from == f.Name }) {
				t.fields = append(t.fields, fitted{from: f.Name, to: []string{c.name}, kind: f.Type, mail: c.mail, presence: c.presence})
				t.ask = append(t.ask, f.Name)
			}
		}
		p.tables = append(p.tables, t)
	}
	p.ask = append(slices.Clone(always), p.own()...)
	p.sign()
	return p
}

// add takes a column once; a later wish for the same field adds the names under
// which it is stored.
func (p *plan) add(f fitted) {
	i := slices.IndexFunc(p.fields, func(x fitted) bool { return x.from == f.from })
	if i < 0 {
		p.fields = append(p.fields, f)
		return
	}
	for _, to := range f.to {
		if !slices.Contains(p.fields[i].to, to) {
			p.fields[i].to = append(p.fields[i].to, to)
		}
	}
	// What the partner declares as evidence is kept as it stands; addresses on
	// mails are nobody's evidence.
	if !f.presence {
		p.fields[i].presence = false
	}
	if !f.mail && p.doctype != "Communication" {
		p.fields[i].mail = false
	}
}

func (p *plan) own() []string {
	out := make([]string, len(p.fields))
	for i, f := range p.fields {
		out[i] = f.from
	}
	return out
}

// sign computes the digest of all that decides what a stored document holds.
func (p *plan) sign() {
	h := sha256.New()
	fmt.Fprintln(h, minimised, p.doctype, p.dependsOn, p.timeline)
	for _, f := range p.fields {
		fmt.Fprintln(h, f.from, f.to, f.kind, f.mail, f.presence)
	}
	for _, t := range p.tables {
		fmt.Fprintln(h, t.field, t.doctype)
		for _, f := range t.fields {
			fmt.Fprintln(h, f.from, f.kind, f.mail, f.presence)
		}
	}
	p.digest = hex.EncodeToString(h.Sum(nil))[:16]
}

// without returns the plan with fields taken out that turned out to be missing.
func (p plan) without(fields []string) plan {
	gone := func(f string) bool { return slices.Contains(fields, f) }
	var kept []fitted
	for _, f := range p.fields {
		if !gone(f.from) {
			kept = append(kept, f)
		} else if f.essential {
			p.lacking = append(slices.Clone(p.lacking), f.from)
		}
	}
	p.fields = kept
	p.ask = append(slices.Clone(always), p.own()...)
	p.sign()
	return p
}

// pick finds the column under its newest name that the site knows.
func pick(meta *frappe.Meta, c column) (frappe.Field, bool) {
	for _, n := range append([]string{c.name}, c.older...) {
		if f, ok := meta.Field(n); ok {
			return f, true
		}
	}
	return frappe.Field{}, false
}

// ruleFields returns the fields that a rule reads: the record's own, and those
// of child tables by table field.
func ruleFields(r config.Rule) (own []string, rows map[string][]string) {
	rows = map[string][]string{}
	add := func(text string) {
		for part := range strings.SplitSeq(text, ":") {
			field, child, dotted := strings.Cut(part, ".")
			switch {
			case field == "":
			case dotted:
				rows[field] = append(rows[field], child)
			default:
				own = append(own, field)
			}
		}
	}
	for _, c := range []config.Conditions{r.Where, r.Done, r.Refused, r.NoValue} {
		for _, f := range slices.Sorted(maps.Keys(c)) {
			add(f)
		}
	}
	for _, f := range []string{r.Project, r.Date, r.Value, r.Metric, r.Period, r.Target} {
		add(f)
	}
	for _, role := range slices.Sorted(maps.Keys(r.Fields)) {
		add(r.Fields[role])
	}
	for _, p := range r.Proof {
		if f, ok := strings.CutPrefix(p, "field:"); ok {
			add(f)
		}
	}
	return own, rows
}

func sortedKinds(rules map[config.Kind][]config.Rule) []config.Kind {
	return slices.Sorted(maps.Keys(rules))
}

// horizon is how far back the streams that only grow are read at first: a year
// and a quarter covers every window that criteria look at.
func horizon(now time.Time) time.Time { return now.AddDate(0, -15, 0) }
