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
	for _, st := range s.For(deployment) {
		switch {
		case st.Doctype == "DocType" && st.Action == "ensure":
		case st.Doctype == "Custom Field":
			meta, err := runtime.Meta(ctx, text(st.Body["dt"]))
			if err != nil {
				if ends(err) {
					return nil, err
				}
				continue // reported with the doctype, or press's own
			}
			out = append(out, field(meta, text(st.Body["dt"]), st.Body)...)
			continue
		default:
			continue
		}
		meta, err := runtime.Meta(ctx, st.Name)
		if err != nil {
			if ends(err) {
				return nil, err
			}
			if st.Body["istable"] == nil || text(st.Body["istable"]) == "0" {
				out = append(out, Finding{Doctype: st.Name, Problem: "it is missing, or the runtime user may not read it", Remedy: again})
			}
			continue
		}
		rows, _ := st.Body["fields"].([]any)
		for _, row := range rows {
			if want, ok := row.(map[string]any); ok {
				out = append(out, field(meta, st.Name, want)...)
			}
		}
		if !meta.Table {
			out = append(out, permissions(meta, st, s.RuntimeRoles)...)
		}
	}
	return out, nil
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
func permissions(meta *frappe.Meta, st Step, roles []string) []Finding {
	var out []Finding
	rows, _ := st.Body["permissions"].([]any)
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
				out = append(out, Finding{Doctype: st.Name, Problem: fmt.Sprintf("%s may not %s at level %s", role, right.name, level), Remedy: again})
			case !wants && right.has:
				out = append(out, Finding{Doctype: st.Name, Problem: fmt.Sprintf("%s may %s at level %s, and should not", role, right.name, level), Remedy: tooFar, Warning: true})
			}
		}
	}
	return out
}
