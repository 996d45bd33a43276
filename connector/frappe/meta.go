package frappe

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Meta is a doctype as the site has it.
type Meta struct {
	Name         string
	Module       string
	Autoname     string
	Modified     string // raw text, for caches
	Custom       bool
	Single       bool
	Table        bool // child table
	Submittable  bool
	TrackChanges bool
	Virtual      bool
	Fields       []Field
	Permissions  []Permission
	Children     map[string]*Meta // child doctypes of the Table fields, by doctype
}

// Field is one field of a doctype, Custom Fields included.
type Field struct {
	Name      string
	Label     string
	Type      string // fieldtype: Data, Link, Select, Table …
	Options   string // doctype of a Link or Table, lines of a Select
	Permlevel int
	Required  bool
	Unique    bool
	Hidden    bool
	Custom    bool
	ReadOnly  bool // no person edits it in the desk
}

// Permission is one row of a doctype's rights.
type Permission struct {
	Role      string
	Permlevel int
	IfOwner   bool
	Read      bool
	Write     bool
	Create    bool
	Delete    bool
}

// standard columns stand in every table but not among the fields.
var standard = []string{
	"name", "owner", "creation", "modified", "modified_by", "docstatus", "idx", "doctype",
	"_user_tags", "_comments", "_assign", "_liked_by", "_seen",
}

var childColumns = []string{"parent", "parenttype", "parentfield"}

// layout fieldtypes have no column.
var layout = map[string]bool{
	"Section Break": true, "Column Break": true, "Tab Break": true, "HTML": true, "Button": true,
	"Heading": true, "Image": true, "Fold": true, "Table": true, "Table MultiSelect": true,
}

// Field returns the field called name.
func (m *Meta) Field(name string) (Field, bool) {
	i := slices.IndexFunc(m.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return m.Fields[i], true
}

// Known splits wanted list fields into those the doctype has a column for and
// those it has not. Expressions and joined columns pass as known.
func (m *Meta) Known(want []string) (known, unknown []string) {
	for _, f := range want {
		ok := !plainField(f) || slices.Contains(standard, f) || m.Table && slices.Contains(childColumns, f)
		if !ok {
			df, has := m.Field(f)
			ok = has && !layout[df.Type]
		}
		if ok {
			known = append(known, f)
		} else {
			unknown = append(unknown, f)
		}
	}
	return known, unknown
}

// Levels returns the permission levels that a user with roles may read.
func (m *Meta) Levels(roles []string) []int {
	var out []int
	for _, p := range m.Permissions {
		if p.Read && slices.Contains(roles, p.Role) && !slices.Contains(out, p.Permlevel) {
			out = append(out, p.Permlevel)
		}
	}
	slices.Sort(out)
	return out
}

type metaEntry struct {
	meta *Meta
	at   time.Time
}

// Meta returns the doctype as the site has it, remembered for Config.MetaTTL.
// It needs no right on the doctype. What is returned is shared: do not change
// it. Forbidden and NotFound both mean that the site does not have the doctype.
func (c *Client) Meta(ctx context.Context, doctype string) (*Meta, error) {
	if m := c.remembered(doctype); m != nil {
		return m, nil
	}
	v, err, _ := c.flight.Do(doctype, func() (any, error) { return c.readMeta(ctx, doctype) })
	if err != nil {
		return nil, err
	}
	return v.(*Meta), nil
}

func (c *Client) readMeta(ctx context.Context, doctype string) (*Meta, error) {
	r := &request{
		op: "read meta of " + doctype, path: "/api/method/frappe.desk.form.load.getdoctype",
		query: params{{"doctype", doctype}},
	}
	var m *Meta
	err := c.do(ctx, r, func(body []byte) (err error) {
		m, err = decodeMeta(body, doctype)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.metas[doctype] = metaEntry{m, c.now()}
	c.mu.Unlock()
	return m, nil
}

// remembered returns a meta that is not too old, or nil.
func (c *Client) remembered(doctype string) *Meta {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.metas[doctype]; ok && c.now().Sub(e.at) < c.cfg.MetaTTL {
		return e.meta
	}
	return nil
}

// Forget drops what is remembered of a doctype, for a caller that has learnt of
// a change.
func (c *Client) Forget(doctype string) {
	c.mu.Lock()
	delete(c.metas, doctype)
	c.mu.Unlock()
}

func decodeMeta(body []byte, doctype string) (*Meta, error) {
	v, err := decodeUnder(body, "docs")
	if err != nil {
		return nil, err
	}
	docs := Doc{"docs": v}.Rows("docs")
	if len(docs) == 0 {
		return nil, errShape
	}
	m := metaOf(docs[0])
	if !strings.EqualFold(m.Name, doctype) {
		return nil, errShape
	}
	m.Children = map[string]*Meta{}
	for _, d := range docs[1:] {
		child := metaOf(d)
		m.Children[child.Name] = child
	}
	return m, nil
}

func metaOf(d Doc) *Meta {
	m := &Meta{
		Name: d.Name(), Module: d.Text("module"), Autoname: d.Text("autoname"), Modified: d.Modified(),
		Custom: d.Bool("custom"), Single: d.Bool("issingle"), Table: d.Bool("istable"),
		Submittable: d.Bool("is_submittable"), TrackChanges: d.Bool("track_changes"), Virtual: d.Bool("is_virtual"),
	}
	for _, f := range d.Rows("fields") {
		level, _ := f.Int("permlevel")
		m.Fields = append(m.Fields, Field{
			Name: f.Text("fieldname"), Label: f.Text("label"), Type: f.Text("fieldtype"), Options: f.Text("options"),
			Permlevel: int(level), Required: f.Bool("reqd"), Unique: f.Bool("unique"), Hidden: f.Bool("hidden"), ReadOnly: f.Bool("read_only"),
			Custom: f.Bool("is_custom_field"),
		})
	}
	for _, p := range d.Rows("permissions") {
		level, _ := p.Int("permlevel")
		m.Permissions = append(m.Permissions, Permission{
			Role: p.Text("role"), Permlevel: int(level), IfOwner: p.Bool("if_owner"),
			Read: p.Bool("read"), Write: p.Bool("write"), Create: p.Bool("create"), Delete: p.Bool("delete"),
		})
	}
	return m
}
