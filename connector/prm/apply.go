package prm

import (
	"context"
	"fmt"
	"maps"

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
	case plan.Update, plan.Save:
		a, err = p.update(ctx, c)
	case plan.Attach:
		a, err = p.attach(ctx, c)
	default:
		return Applied{}, &Refused{Doctype: c.Doctype, Name: c.Name, Remedy: "drop it", err: fmt.Errorf("unknown operation %q", c.Op)}
	}
	if err != nil {
		return Applied{}, classify(c.Doctype, c.Name, err)
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
	in, err := p.c.Insert(ctx, c.Doctype, keyField(c), c.Fields)
	if err != nil {
		return Applied{}, err
	}
	if in.Existing {
		// Somebody else's, or ours from a run that was cut off: bring it to what
		// is wanted, leaving what is set only once as it is.
		c.Name = in.Name
		return p.update(ctx, c)
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
	meta, err := p.c.Meta(ctx, c.Doctype)
	if err != nil {
		return Applied{}, err
	}
	applied := Applied{Unchanged: true}
	doc, wrote, err := p.c.UpdateMerged(ctx, c.Doctype, c.Name, func(have frappe.Doc) (map[string]any, error) {
		send := map[string]any{}
		for k, want := range c.Fields {
			f, ok := meta.Field(k)
			if !ok {
				return nil, &frappe.Error{Op: "update " + c.Doctype, Site: p.c.Site(), Category: frappe.Invalid, Hint: "the field " + k + " is gone"}
			}
			if !holds(f, meta.Children[f.Options], want, have[k]) {
				send[k] = want
			}
		}
		return send, nil
	})
	if err != nil {
		return Applied{}, err
	}
	applied.Unchanged = !wrote
	applied.Known = p.known(c, c.Name, doc.Modified(), c.Fields)
	return applied, nil
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

func (p *PRM) attach(ctx context.Context, c plan.Change) (Applied, error) {
	_, url, err := p.c.Upload(ctx, frappe.Attachment{Name: c.FileName, Content: c.File, Doctype: c.Doctype, Docname: c.Name})
	if err != nil {
		return Applied{}, err
	}
	fields := maps.Clone(c.Fields)
	if fields == nil {
		fields = map[string]any{}
	}
	fields["file:"+c.FileName] = url
	return Applied{Known: p.known(c, c.Name, "", fields)}, nil
}

// ApplyMany inserts records of one doctype that nobody edits, in as few
// requests as Frappe allows. Results are in the order of the changes; records
// that are there already are left as they are. All or an error.
func (p *PRM) ApplyMany(ctx context.Context, cs []plan.Change) ([]Applied, error) {
	docs := make([]map[string]any, len(cs))
	for i, c := range cs {
		docs[i] = c.Fields
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
