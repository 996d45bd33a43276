package frappe

import (
	"context"
	"encoding/json"
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

// wireMeta names what is kept of an answer that may be half a megabyte; the rest
// is skipped and never built. Values are any because they are foreign.
type wireMeta struct {
	Name         any `json:"name"`
	Module       any `json:"module"`
	Autoname     any `json:"autoname"`
	Modified     any `json:"modified"`
	Custom       any `json:"custom"`
	Single       any `json:"issingle"`
	Table        any `json:"istable"`
	Submittable  any `json:"is_submittable"`
	TrackChanges any `json:"track_changes"`
	Virtual      any `json:"is_virtual"`
	Fields       []wireField
	Permissions  []wirePermission
}

type wireField struct {
	Name      any `json:"fieldname"`
	Label     any `json:"label"`
	Type      any `json:"fieldtype"`
	Options   any `json:"options"`
	Permlevel any `json:"permlevel"`
	Required  any `json:"reqd"`
	Unique    any `json:"unique"`
	Hidden    any `json:"hidden"`
	ReadOnly  any `json:"read_only"`
	Custom    any `json:"is_custom_field"`
}

type wirePermission struct {
	Role      any `json:"role"`
	Permlevel any `json:"permlevel"`
	IfOwner   any `json:"if_owner"`
	Read      any `json:"read"`
	Write     any `json:"write"`
	Create    any `json:"create"`
	Delete    any `json:"delete"`
}

func decodeMeta(body []byte, doctype string) (*Meta, error) {
	if _, err := weigh(body); err != nil {
		return nil, err
	}
	var outer struct{ Docs []wireMeta }
	if err := json.Unmarshal(body, &outer); err != nil {
		return nil, err
	}
	if len(outer.Docs) == 0 {
		return nil, errShape
	}
	m := metaOf(&outer.Docs[0])
	if !strings.EqualFold(m.Name, doctype) {
		return nil, errShape
	}
	m.Children = map[string]*Meta{}
	for i := range outer.Docs[1:] {
		child := metaOf(&outer.Docs[1+i])
		m.Children[child.Name] = child
	}
	return m, nil
}

func metaOf(d *wireMeta) *Meta {
	m := &Meta{
		Name: text(d.Name), Module: text(d.Module), Autoname: text(d.Autoname), Modified: text(d.Modified),
		Custom: check(d.Custom), Single: check(d.Single), Table: check(d.Table),
		Submittable: check(d.Submittable), TrackChanges: check(d.TrackChanges), Virtual: check(d.Virtual),
		Fields: make([]Field, len(d.Fields)), Permissions: make([]Permission, len(d.Permissions)),
	}
	for i, f := range d.Fields {
		level, _ := whole(f.Permlevel)
		m.Fields[i] = Field{
			Name: text(f.Name), Label: text(f.Label), Type: text(f.Type), Options: text(f.Options),
			Permlevel: int(level), Required: check(f.Required), Unique: check(f.Unique), Hidden: check(f.Hidden), ReadOnly: check(f.ReadOnly),
			Custom: check(f.Custom),
		}
	}
	for i, p := range d.Permissions {
		level, _ := whole(p.Permlevel)
		m.Permissions[i] = Permission{
			Role: text(p.Role), Permlevel: int(level), IfOwner: check(p.IfOwner),
			Read: check(p.Read), Write: check(p.Write), Create: check(p.Create), Delete: check(p.Delete),
		}
	}
	return m
}
