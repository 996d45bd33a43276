package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/connector/frappe"
)

// Finding is a difference between the live PRM and what prmsync needs there.
type Finding struct {
	Doctype string `json:"doctype"`
	Field   string `json:"field,omitempty"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
	// Warning marks what does not keep prmsync from working: the runtime user
	// can do more than it should.
	Warning bool `json:"warning,omitempty"`
}

// String is the finding on one line.
func (f Finding) String() string {
	kind, what := "missing", f.Doctype
	if f.Warning {
		kind = "warning"
	}
	if f.Field != "" {
		what += "." + f.Field
	}
	return fmt.Sprintf("%s: %s: %s; %s", kind, what, f.Problem, f.Remedy)
}

const (
	again  = "run prmsync provision"
	tooFar = "take it away on the PRM"
)

// harmless are roles that every user has, or that Frappe gives a desk user.
var harmless = []string{"All", "Guest", "Desk User"}

// Verify compares the live doctypes and rights with what prmsync needs, as the
// runtime user sees them: doctypes and fields that are gone, other types and
// levels, options that were removed, rights that lack. It warns of rights that
// the runtime user should not have. It writes nothing. The error is one of a
// PRM that does not answer.
func Verify(ctx context.Context, runtime *frappe.Client, deployment string) ([]Finding, error) {
	s := Load()
	var out []Finding
	user, err := runtime.Whoami(ctx)
	if err != nil {
		return nil, fmt.Errorf("who the runtime user is: %w", err)
	}
	roles, err := runtime.Roles(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("roles of the runtime user: %w", err)
	}
	for _, role := range s.RuntimeRoles {
		if !slices.Contains(roles, role) {
			out = append(out, Finding{Doctype: "User", Problem: "the runtime user lacks the role " + role, Remedy: "give it that role on the PRM"})
		}
	}
	for _, role := range roles {
		if !slices.Contains(s.RuntimeRoles, role) && !slices.Contains(harmless, role) {
			out = append(out, Finding{Doctype: "User", Problem: "the runtime user also has the role " + role, Remedy: tooFar, Warning: true})
		}
	}
	have, err := version(ctx, runtime)
	if err != nil {
		return nil, err
	}
	switch {
	case newer(have, s.Version):
		out = append(out, Finding{Doctype: status, Field: "schema_version", Problem: fmt.Sprintf("the PRM has schema version %s, and this prmsync knows %s", have, s.Version), Remedy: "run the newer prmsync"})
	case have != s.Version:
		out = append(out, Finding{Doctype: status, Field: "schema_version", Problem: fmt.Sprintf("no whole run of version %s was seen (it holds %q)", s.Version, have), Remedy: again})
	}
	for _, st := range s.Steps {
		if st.When != "always" && st.When != deployment && !(deployment == "press" && st.Doctype == "DocType" && st.Action == "ensure") {
			continue
		}
		found, err := verify(ctx, runtime, st, deployment, s.RuntimeRoles)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// verify compares what one step makes.
func verify(ctx context.Context, runtime *frappe.Client, st Step, deployment string, roles []string) ([]Finding, error) {
	doctype, theirs := st.Name, false
	switch {
	case st.Doctype == "DocType" && st.Action == "ensure":
		theirs = st.When != "always" && st.When != deployment // press brings it with the same field names
	case st.Doctype == "Custom Field":
		doctype = text(st.Body["dt"])
	case st.Action == "permission" && slices.Contains(roles, text(st.Body["role"])):
		doctype = text(st.Body["doctype"])
	default:
		return nil, nil
	}
	meta, err := runtime.Meta(ctx, doctype)
	if err != nil {
		if ends(err) {
			return nil, err
		}
		if st.Doctype != "DocType" || text(st.Body["istable"]) == "1" {
			return nil, nil // reported with the doctype, or with its parent's field
		}
		return []Finding{{Doctype: doctype, Problem: "it is missing, or the runtime user may not read it", Remedy: again}}, nil
	}
	switch {
	case st.Action == "permission":
		want := map[string]any{"role": st.Body["role"], "permlevel": st.Body["permlevel"]}
		for _, right := range st.rights() {
			want[right] = "1"
		}
		return permissions(meta, []any{want}, roles), nil
	case st.Doctype == "Custom Field":
		return field(meta, doctype, st.Body), nil
	}
	var out []Finding
	rows, _ := st.Body["fields"].([]any)
	for _, row := range rows {
		want, ok := row.(map[string]any)
		if !ok {
			continue
		}
		if !theirs {
			out = append(out, field(meta, doctype, want)...)
			continue
		}
		if name := text(want["fieldname"]); !slices.Contains(layout, text(want["fieldtype"])) {
			if _, ok := meta.Field(name); !ok {
				out = append(out, Finding{Doctype: doctype, Field: name, Problem: "press does not have the field", Remedy: "use a press that has it, or do without what rests on it"})
			}
		}
	}
	if !meta.Table && !theirs {
		rows, _ := st.Body["permissions"].([]any)
		out = append(out, permissions(meta, rows, roles)...)
		out = append(out, demanded(meta)...)
	}
	return out, nil
}

// demanded are fields that people made mandatory: prmsync fills none but its
// own, so that what it inserts is refused.
func demanded(meta *frappe.Meta) []Finding {
	var out []Finding
	for _, f := range meta.Fields {
		if f.Custom && f.Required {
			out = append(out, Finding{
				Doctype: meta.Name, Field: f.Name, Problem: "people made this field of theirs mandatory, and prmsync does not fill it", Remedy: "make it optional, or give it a default", Warning: true,
			})
		}
	}
	return out
}

// layout are fieldtypes that hold nothing.
var layout = []string{"Section Break", "Column Break", "Tab Break", "HTML", "Heading", "Button"}

// field compares one field.
func field(meta *frappe.Meta, doctype string, want map[string]any) []Finding {
	name, kind := text(want["fieldname"]), text(want["fieldtype"])
	if slices.Contains(layout, kind) {
		return nil
	}
	say := func(problem string) Finding {
		return Finding{Doctype: doctype, Field: name, Problem: problem, Remedy: again}
	}
	have, ok := meta.Field(name)
	if !ok {
		return []Finding{say("the field is gone")}
	}
	var out []Finding
	if have.Type != kind {
		out = append(out, say("it is "+have.Type+", and should be "+kind))
	}
	level := text(want["permlevel"])
	if level == "" {
		level = "0"
	}
	if fmt.Sprint(have.Permlevel) != level {
		out = append(out, say(fmt.Sprintf("its permission level is %d, and should be %s", have.Permlevel, level)))
	}
	if text(want["read_only"]) == "1" && !have.ReadOnly {
		out = append(out, say("people can edit it, so that what prmsync writes there is taken for theirs"))
	}
	if kind == "Select" {
		options := strings.Split(have.Options, "\n")
		for o := range strings.SplitSeq(text(want["options"]), "\n") {
			if o != "" && !slices.Contains(options, o) {
				out = append(out, say("the option "+o+" is gone"))
			}
		}
	}
	return out
}

// permissions compares the runtime user's rows of one doctype.
func permissions(meta *frappe.Meta, rows []any, roles []string) []Finding {
	var out []Finding
	for _, row := range rows {
		want, ok := row.(map[string]any)
		if !ok || !slices.Contains(roles, text(want["role"])) {
			continue
		}
		role, level := text(want["role"]), text(want["permlevel"])
		if level == "" {
			level = "0"
		}
		var have frappe.Permission
		for _, p := range meta.Permissions {
			if p.Role == role && fmt.Sprint(p.Permlevel) == level && !p.IfOwner {
				have.Read, have.Write = have.Read || p.Read, have.Write || p.Write
				have.Create, have.Delete = have.Create || p.Create, have.Delete || p.Delete
			}
		}
		for _, right := range []struct {
			name string
			has  bool
		}{{"read", have.Read}, {"write", have.Write}, {"create", have.Create}, {"delete", have.Delete}} {
			wants := text(want[right.name]) == "1"
			switch {
			case wants && !right.has:
				out = append(out, Finding{Doctype: meta.Name, Problem: fmt.Sprintf("%s may not %s at level %s", role, right.name, level), Remedy: again})
			case !wants && right.has:
				out = append(out, Finding{Doctype: meta.Name, Problem: fmt.Sprintf("%s may %s at level %s, and should not", role, right.name, level), Remedy: tooFar, Warning: true})
			}
		}
	}
	return out
}
