package prm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/rules/plan"
)

// Applied is what the PRM holds after a change.
type Applied struct {
	Known     plan.Known
	Unchanged bool // the record stood as wanted already: nothing was written
	Conflicts int  // fields left to the person who had changed them
}

// Apply makes one change. Applying it again finds the record as wanted and
// writes nothing. The error is a *Refused that a person must settle, or a
// *Later.
func (p *PRM) Apply(ctx context.Context, c plan.Change) (Applied, error) {
	var a Applied
	var err error
	switch c.Op {
	case plan.Insert:
		a, err = p.insert(ctx, c)
	case plan.Update:
		a, err = p.update(ctx, c)
	case plan.Save:
		a, err = p.save(ctx, c)
	case plan.Attach:
		a, err = p.attach(ctx, c)
	case plan.Assign:
		a, err = p.assign(ctx, c)
	default:
		return Applied{}, &Refused{Doctype: c.Doctype, Name: c.Name, Remedy: "drop it", err: fmt.Errorf("unknown operation %q", c.Op)}
	}
	if err != nil {
		err = classify(c.Doctype, c.Name, err)
		if _, parked := errors.AsType[*Refused](err); parked {
			p.c.Forget(c.Doctype) // a person will change it; the next try looks again
			if frappe.CategoryOf(err) == frappe.Invalid && (c.Op == plan.Insert || c.Op == plan.Update) {
				// The PRM says that it does not fit, and its schema says what.
				if _, ferr := p.fits(ctx, c.Doctype, c.Fields); frappe.CategoryOf(ferr) == frappe.Invalid {
					err = classify(c.Doctype, c.Name, ferr)
				}
			}
		}
		return Applied{}, err
	}
	return a, nil
}

// keyField is the field that makes an insert of the doctype safe to repeat.
func keyField(c plan.Change) string {
	if c.KeyField != "" {
		return c.KeyField
	}
	switch c.Doctype {
	case plan.DoctypePartner:
		return "partner_key"
	case plan.DoctypeSite:
		return "site_key"
	case plan.DoctypeCriterion:
		return "criterion_id"
	case plan.DoctypeAssessment:
		return "assessment_key"
	case plan.DoctypeSnapshot:
		return "snapshot_key"
	case plan.DoctypeAlert:
		return "alert_key"
	case plan.DoctypeEvidence:
		return "evidence_key"
	}
	return ""
}

func (p *PRM) insert(ctx context.Context, c plan.Change) (Applied, error) {
	if c.Doctype == c.Name { // a Single is there from the start
		return p.update(ctx, c)
	}
	if _, err := p.fits(ctx, c.Doctype, c.Fields); err != nil {
		return Applied{}, err
	}
	in, err := p.c.Insert(ctx, c.Doctype, keyField(c), c.Fields)
	if err != nil {
		return Applied{}, err
	}
	if in.Existing {
		// Somebody else's, or ours from a run that was cut off: bring it to what
		// is wanted, leaving what is set only once and what people own as it is.
		key, all := keyOf(c), c.Fields
		c.Name, c.Fields = in.Name, maps.Clone(all)
		for _, f := range c.Once {
			delete(c.Fields, f)
		}
		a, err := p.update(ctx, c)
		if err == nil {
			a.Known.Key, a.Known.Fields = key, all
		}
		return a, err
	}
	return Applied{Known: p.known(c, in.Name, in.Modified, c.Fields)}, nil
}

func (p *PRM) known(c plan.Change, name, modified string, fields map[string]any) plan.Known {
	return plan.Known{Doctype: c.Doctype, Key: keyOf(c), Name: name, Modified: modified, Fields: fields, Written: c.Planned}
}

// keyOf is the record's key, which for series doctypes is not its name.
func keyOf(c plan.Change) string {
	if c.KeyField != "" {
		if k, ok := c.Fields[c.KeyField].(string); ok {
			return k
		}
	}
	return c.Name
}

func (p *PRM) update(ctx context.Context, c plan.Change) (Applied, error) {
	meta, err := p.fits(ctx, c.Doctype, c.Fields)
	if err != nil {
		return Applied{}, err
	}
	var a Applied
	looked := false
	doc, wrote, err := p.c.UpdateMerged(ctx, c.Doctype, c.Name, func(have frappe.Doc) (map[string]any, error) {
		a.Conflicts = 0
		if !looked && altered(meta, c, have) {
			looked = true // by a person, or their schema is not the remembered one
			p.c.Forget(c.Doctype)
			if meta, err = p.fits(ctx, c.Doctype, c.Fields); err != nil {
				return nil, err
			}
		}
		send := map[string]any{}
		for k, want := range c.Fields {
			f, _ := meta.Field(k)
			child := meta.Children[f.Options]
			if holds(f, child, want, have[k]) {
				continue
			}
			base, planned := c.Base[k]
			if peoples(f) && !(planned && holds(f, child, base, have[k])) {
				a.Conflicts++ // a person was here since: theirs stays
				continue
			}
			send[k] = want
		}
		return send, nil
	})
	if err != nil {
		return Applied{}, err
	}
	a.Unchanged = !wrote
	a.Known = p.known(c, c.Name, doc.Modified(), c.Fields)
	return a, nil
}

// altered reports whether a field does not hold any more what was last written.
func altered(meta *frappe.Meta, c plan.Change, have frappe.Doc) bool {
	for k, base := range c.Base {
		f, _ := meta.Field(k)
		if child := meta.Children[f.Options]; !holds(f, child, base, have[k]) && !holds(f, child, c.Fields[k], have[k]) {
			return true
		}
	}
	return false
}

// peoples reports whether people edit the field on the PRM. What is read-only
// or internal there is ours alone: a value that came in by REST is put back.
func peoples(f frappe.Field) bool { return f.Permlevel == 1 || f.Permlevel == 0 && !f.ReadOnly }

// saveTries is how often an empty update begins again when people are faster.
const saveTries = 4

// save updates nothing, so that Frappe fetches again what the record copies
// from others.
func (p *PRM) save(ctx context.Context, c plan.Change) (Applied, error) {
	for try := 1; ; try++ {
		doc, err := p.c.Get(ctx, c.Doctype, c.Name)
		if err != nil {
			return Applied{}, err
		}
		modified, err := p.c.Update(ctx, c.Doctype, c.Name, doc.Modified(), map[string]any{})
		if err == nil {
			return Applied{Known: p.known(c, c.Name, modified, c.Fields)}, nil
		}
		if frappe.CategoryOf(err) != frappe.Conflict || try == saveTries {
			return Applied{}, err
		}
	}
}

// fits refuses what the live doctype cannot hold. Frappe itself drops a field
// that it does not know and turns a text in a number's place into 0, both in
// silence; a renamed option makes the whole document unsavable.
func (p *PRM) fits(ctx context.Context, doctype string, fields map[string]any) (*frappe.Meta, error) {
	meta, err := p.c.Meta(ctx, doctype)
	if err != nil || misfit(meta, fields) == "" {
		return meta, err
	}
	// What is remembered may be older than the repair.
	p.c.Forget(doctype)
	if meta, err = p.c.Meta(ctx, doctype); err != nil {
		return nil, err
	}
	if why := misfit(meta, fields); why != "" {
		return nil, p.drift(doctype, why)
	}
	return meta, nil
}

// misfit says which field cannot hold what is wanted, and why.
func misfit(meta *frappe.Meta, fields map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		f, ok := meta.Field(k)
		if !ok {
			return "the field " + k + " is gone"
		}
		if why := unfit(f, fields[k]); why != "" {
			return why
		}
		rows, isTable := asRows(fields[k])
		child := meta.Children[f.Options]
		if !isTable {
			continue
		}
		if child == nil {
			return "the field " + k + " is a table no more, but " + f.Type
		}
		for _, r := range rows {
			for _, ck := range slices.Sorted(maps.Keys(r)) {
				cf, ok := child.Field(ck)
				if !ok {
					return "the field " + ck + " of " + f.Options + " is gone"
				}
				if why := unfit(cf, r[ck]); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

// drift is a difference between the live schema and ours; it names no value
// but an option of our own.
func (p *PRM) drift(doctype, why string) error {
	return &frappe.Error{Op: "write " + doctype, Site: p.c.Site(), Category: frappe.Invalid, Hint: why}
}

func unfit(f frappe.Field, v any) string {
	s, text := v.(string)
	if !text || s == "" {
		return ""
	}
	switch f.Type {
	case "Check", "Int", "Float", "Percent", "Currency":
		if _, err := strconv.ParseFloat(s, 64); err != nil {
			return "the field " + f.Name + " takes text with us, and is " + f.Type + " now"
		}
	case "Select":
		if f.Options != "" && !slices.Contains(strings.Split(f.Options, "\n"), s) {
			return "the field " + f.Name + " has no option " + s
		}
	case "Table":
		return "the field " + f.Name + " takes text with us, and is a table now"
	}
	return ""
}

// holds reports whether the PRM has the wanted value. Of child rows only the
// columns that we write are compared; Frappe adds its own.
func holds(f frappe.Field, child *frappe.Meta, want, have any) bool {
	rows, ok := asRows(want)
	if !ok {
		return plan.Same(want, have) || zero(f.Type, want) && zero(f.Type, have)
	}
	hs, _ := asRows(have)
	if len(rows) != len(hs) {
		return false
	}
	for i, r := range rows {
		for k, v := range r {
			var cf frappe.Field
			if child != nil {
				cf, _ = child.Field(k)
			}
			if !plan.Same(v, hs[i][k]) && !(zero(cf.Type, v) && zero(cf.Type, hs[i][k])) {
				return false
			}
		}
	}
	return true
}

// zero reports whether a number field holds nothing or 0, which are one to Frappe.
func zero(fieldtype string, v any) bool {
	switch fieldtype {
	case "Check", "Int", "Float", "Percent", "Currency":
		return plan.Same(v, nil) || plan.Same(v, 0)
	}
	return false
}

func asRows(v any) ([]map[string]any, bool) {
	switch v := v.(type) {
	case []map[string]any:
		return v, true
	case []any:
		out := make([]map[string]any, 0, len(v))
		for _, e := range v {
			m, ok := e.(map[string]any)
			if !ok {
				return nil, false
			}
			out = append(out, m)
		}
		return out, true
	}
	return nil, false
}

// attach hangs a private file on a record. One that bears the name is there
// already, whatever it holds: from a run that was cut off, or from before a backup
// was restored.
func (p *PRM) attach(ctx context.Context, c plan.Change) (Applied, error) {
	rows, err := p.c.List(ctx, frappe.ListQuery{
		Doctype: "File", Fields: []string{"name", "file_url"}, OrderBy: "name asc", Limit: 1,
		Filters: []frappe.Filter{
			frappe.Where("attached_to_doctype", "=", c.Doctype), frappe.Where("attached_to_name", "=", c.Name), frappe.Where("file_name", "=", c.FileName),
		},
	})
	if err != nil {
		return Applied{}, err
	}
	if len(rows) > 0 {
		return Applied{Known: p.attached(c, rows[0].Text("file_url")), Unchanged: true}, nil
	}
	_, url, err := p.c.Upload(ctx, frappe.Attachment{Name: c.FileName, Content: c.File, Doctype: c.Doctype, Docname: c.Name})
	if err != nil {
		return Applied{}, err
	}
	return Applied{Known: p.attached(c, url)}, nil
}

func (p *PRM) attached(c plan.Change, url string) plan.Known {
	return p.known(c, c.Name, "", map[string]any{plan.MarkFile + c.FileName: url})
}

// assign gives a person a ToDo about a record. Repeating it is harmless: who has
// an open one about it gets no second.
func (p *PRM) assign(ctx context.Context, c plan.Change) (Applied, error) {
	users, err := json.Marshal([]string{c.FileName})
	if err != nil {
		return Applied{}, err
	}
	_, err = p.c.CallPost(ctx, "frappe.desk.form.assign_to.add", map[string]any{
		"assign_to": string(users), "doctype": c.Doctype, "name": c.Name, "description": c.Fields["description"],
	})
	if err != nil {
		return Applied{}, err
	}
	return Applied{Known: p.known(c, c.Name, "", map[string]any{plan.MarkToDo + c.FileName: true})}, nil
}

// ApplyMany inserts records of one doctype that nobody edits, in as few
// requests as Frappe allows. Results are in the order of the changes; records
// that are there already are left as they are. All or an error.
func (p *PRM) ApplyMany(ctx context.Context, cs []plan.Change) ([]Applied, error) {
	if len(cs) == 0 {
		return nil, nil
	}
	docs := make([]map[string]any, len(cs))
	for i, c := range cs {
		docs[i] = c.Fields
		if _, err := p.fits(ctx, c.Doctype, c.Fields); err != nil {
			p.c.Forget(c.Doctype)
			return nil, classify(c.Doctype, c.Name, err)
		}
	}
	in, err := p.c.InsertMany(ctx, cs[0].Doctype, keyField(cs[0]), docs)
	if err != nil {
		return nil, classify(cs[0].Doctype, cs[0].Name, err)
	}
	out := make([]Applied, len(cs))
	for i, c := range cs {
		out[i] = Applied{Known: p.known(c, in[i].Name, in[i].Modified, c.Fields), Unchanged: in[i].Existing}
	}
	return out, nil
}
