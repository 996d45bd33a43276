package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Document returns the schema as a page for people: each doctype with its
// fields, who owns them, and who may do what.
func Document() string {
	s := Load()
	var b strings.Builder
	var brought []string
	for _, st := range s.Steps {
		if st.Doctype == "DocType" && st.Action == "ensure" && st.When == "bare" {
			brought = append(brought, st.Name)
		}
	}
	fmt.Fprintf(&b, `# What stands on the PRM

Version %s of the schema. `+"`prmsync provision`"+` makes all of this; this page is generated from the same data.
Owners: **daemon** writes it and no form lets a person change it; **daemon, internal** is hidden from partners as well;
**people** write it and the daemon's role cannot; **once** is set with the record and stays.

Provisioning makes %d documents on a bare site and %d on one with frappe/press. The difference: press brings %s
itself. They keep their fields and rights; the fields named custom_… are added on both, and on press the rights below
and what its doctypes do not track or title by themselves. `+"`Partner Manager`, `Partner`"+` and the module `+"`Partner`"+` stay as they are found.

What people add stays: fields, rows of rights, Select options, desk items of their own. A desk item that a person has
saved since is left and reported; delete it and provision again to have ours back. So give provisioning a user of its
own, and keep to that one: what another user saved counts as edited.

`, s.Version, len(s.For("bare")), len(s.For("press")), strings.Join(brought, ", "))
	// Rows belong to whom their table belongs.
	tables := map[string]string{}
	for _, st := range s.Steps {
		rows, _ := st.Body["fields"].([]any)
		for _, row := range rows {
			if f, _ := row.(map[string]any); text(f["fieldtype"]) == "Table" {
				tables[text(f["options"])] = owner(f, anybody)
			}
		}
	}
	for _, st := range s.Steps {
		if st.Doctype != "DocType" || st.Action != "ensure" {
			continue
		}
		fmt.Fprintf(&b, "## %s\n\n", st.Name)
		switch {
		case st.When != "always":
			fmt.Fprintf(&b, "On a %s site; fields named custom_… on both.\n\n", st.When)
		case text(st.Body["istable"]) == "1":
			b.WriteString("Rows of a table.\n\n")
		}
		b.WriteString("| field | type | owner |\n|---|---|---|\n")
		rows, _ := st.Body["fields"].([]any)
		for _, row := range rows {
			documentField(&b, row, cmp.Or(tables[st.Name], anybody))
		}
		for _, cf := range s.Steps {
			if cf.Doctype == "Custom Field" && text(cf.Body["dt"]) == st.Name {
				documentField(&b, cf.Body, anybody)
			}
		}
		b.WriteString("\n")
		documentRights(&b, st)
	}
	b.WriteString("## Rights on a site with press's own doctypes\n\n| doctype | role | level | rights |\n|---|---|---|---|\n")
	for _, st := range s.Steps {
		if st.Action == "permission" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", text(st.Body["doctype"]), text(st.Body["role"]), text(st.Body["permlevel"]), strings.Join(st.rights(), ", "))
		}
	}
	b.WriteString("\n## Desk\n\n| kind | name | where |\n|---|---|---|\n")
	for _, st := range s.Steps {
		if desk(st.Doctype) {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", st.Doctype, st.Name, st.When)
		}
	}
	return b.String()
}

const anybody = "anybody with write"

// owner says who writes a field; otherwise is said of one that nothing guards.
func owner(f map[string]any, otherwise string) string {
	switch {
	case text(f["permlevel"]) == "2":
		return "daemon, internal"
	case text(f["permlevel"]) == "1":
		return "people"
	case text(f["set_only_once"]) == "1":
		return "once"
	case text(f["read_only"]) == "1":
		return "daemon"
	}
	return otherwise
}

func documentField(b *strings.Builder, row any, otherwise string) {
	f, _ := row.(map[string]any)
	kind := text(f["fieldtype"])
	if f == nil || slices.Contains(layout, kind) {
		return
	}
	if kind == "Link" || kind == "Table" {
		kind += " " + text(f["options"])
	}
	fmt.Fprintf(b, "| %s | %s | %s |\n", text(f["fieldname"]), kind, owner(f, otherwise))
}

func documentRights(b *strings.Builder, st Step) {
	rows, _ := st.Body["permissions"].([]any)
	if len(rows) == 0 {
		return
	}
	b.WriteString("| role | level | rights |\n|---|---|---|\n")
	for _, row := range rows {
		p, _ := row.(map[string]any)
		var can []string
		for _, right := range []string{"read", "write", "create", "delete", "export", "report", "print", "email", "share", "import"} {
			if text(p[right]) == "1" {
				can = append(can, right)
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", text(p["role"]), cmp.Or(text(p["permlevel"]), "0"), strings.Join(can, ", "))
	}
	b.WriteString("\n")
}
