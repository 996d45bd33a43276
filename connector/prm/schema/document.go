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
	fmt.Fprintf(&b, `# What stands on the PRM

Version %s of the schema. `+"`prmsync provision`"+` makes all of this; this page is generated from the same data.
Owners: **daemon** writes it and no form lets a person change it; **daemon, internal** is hidden from partners as well;
**people** write it and the daemon's role cannot; **once** is set with the record and stays.

`, s.Version)
	for _, st := range s.Steps {
		if st.Doctype != "DocType" || st.Action != "ensure" {
			continue
		}
		fmt.Fprintf(&b, "## %s\n\n", st.Name)
		switch {
		case st.When != "always":
			fmt.Fprintf(&b, "On a %s site.\n\n", st.When)
		case text(st.Body["istable"]) == "1":
			b.WriteString("Rows of a table.\n\n")
		}
		b.WriteString("| field | type | owner |\n|---|---|---|\n")
		rows, _ := st.Body["fields"].([]any)
		for _, row := range rows {
			documentField(&b, row)
		}
		for _, cf := range s.Steps {
			if cf.Doctype == "Custom Field" && text(cf.Body["dt"]) == st.Name {
				documentField(&b, cf.Body)
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

func documentField(b *strings.Builder, row any) {
	f, _ := row.(map[string]any)
	kind := text(f["fieldtype"])
	if f == nil || slices.Contains(layout, kind) {
		return
	}
	if kind == "Link" || kind == "Table" {
		kind += " " + text(f["options"])
	}
	owner := "anybody with write"
	switch {
	case text(f["permlevel"]) == "2":
		owner = "daemon, internal"
	case text(f["permlevel"]) == "1":
		owner = "people"
	case text(f["set_only_once"]) == "1":
		owner = "once"
	case text(f["read_only"]) == "1":
		owner = "daemon"
	}
	fmt.Fprintf(b, "| %s | %s | %s |\n", text(f["fieldname"]), kind, owner)
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
