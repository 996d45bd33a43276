package schema_test

import (
	"strings"
	"testing"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
)

var roles = []string{"Partner Manager", "PMM Auditor", "PMM Sync Agent", "Partner"}

// levelZero is who may do what, in the order of roles: read, write, create.
var levelZero = map[string][4]string{
	"PMM Partner":             {"RWC", "RW", "RWC", "R"},
	"Partner Escalation":      {"RWC", "RW", "RWC", "R"},
	"PMM Site":                {"RWC", "RW", "RWC", ""},
	"PMM Assessment":          {"R", "RW", "RWC", ""},
	"PMM Criterion":           {"R", "RW", "RWC", "R"},
	"PMM Evidence":            {"R", "R", "RC", ""},
	"PMM Metric Snapshot":     {"R", "R", "RWC", ""},
	"PMM Alert":               {"RW", "RW", "RWC", ""},
	"PMM Sync Status":         {"R", "R", "RW", ""},
	"Partner Audit":           {"RWC", "RWC", "RWC", "R"},
	"Partner Non Conformance": {"RWC", "RWC", "RWC", "R"},
	"Partner Tier":            {"RW", "R", "R", "R"},
	"Partner Certificate":     {"RWC", "RWC", "R", "R"},
	"Partner Lead":            {"RWC", "RWC", "R", "R"},
	"PMM Contribution":        {"RWC", "RWC", "R", "R"},
	"PMM Escalation Request":  {"RWC", "R", "RW", ""},
}

// onPressZero is what a press site's own doctypes give besides, or less.
var onPressZero = map[string][4]string{
	"Partner Tier":        {"R", "R", "R", ""},
	"Partner Certificate": {"", "R", "R", ""},
	"Partner Lead":        {"", "", "R", ""},
	"Team":                {"", "", "R", ""},
}

func granted(m *frappe.Meta, role string, level int) (letters string, deletes bool) {
	for _, p := range m.Permissions {
		if p.Role != role || p.Permlevel != level || p.IfOwner {
			continue
		}
		for _, r := range []struct {
			letter string
			has    bool
		}{{"R", p.Read}, {"W", p.Write}, {"C", p.Create}} {
			if r.has && !strings.Contains(letters, r.letter) {
				letters += r.letter
			}
		}
		deletes = deletes || p.Delete
	}
	return letters, deletes
}

// TestWhoMayDoWhat reads the live rights of both deployments against a table
// that shares nothing with the schema.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	for _, deployment := range deployments {
		t.Run(deployment, func(t *testing.T) {
			t.Parallel()
			_, c := provisioned(t, frappetest.V15, deployment)
			want := map[string][4]string{}
			for doctype, row := range levelZero {
				want[doctype] = row
			}
			if deployment == "press" {
				for doctype, row := range onPressZero {
					want[doctype] = row
				}
			}
			for doctype, row := range want {
				m, err := c.Meta(t.Context(), doctype)
				if err != nil {
					t.Fatal(err)
				}
				pressOwn := deployment == "press" && (strings.HasPrefix(doctype, "Partner ") && doctype != "Partner Escalation" || doctype == "Team")
				for i, role := range roles {
					got, deletes := granted(m, role, 0)
					if got != row[i] {
						t.Errorf("%s, %s: %q at level 0, want %q", doctype, role, got, row[i])
					}
					if deletes && (!pressOwn || role == "PMM Sync Agent" || role == "PMM Auditor") {
						t.Errorf("%s: %s may delete", doctype, role)
					}
				}
				if _, deletes := granted(m, "System Manager", 0); !deletes {
					t.Errorf("%s: System Manager may not delete", doctype)
				}
				levelOne(t, m, row, pressOwn)
			}
			m, err := c.Meta(t.Context(), "PMM Partner")
			if err != nil {
				t.Fatal(err)
			}
			for role, letters := range map[string]string{"PMM Sync Agent": "RW", "Partner Manager": "R", "PMM Auditor": "R", "System Manager": "R", "Partner": ""} {
				if got, _ := granted(m, role, 2); got != letters {
					t.Errorf("PMM Partner, %s: %q at level 2, want %q", role, got, letters)
				}
			}
		})
	}
}

// levelOne is what people decide: they write it where they write the record,
// the daemon only reads it, and a partner sees no more than an audit's and an
// NC's state.
func levelOne(t *testing.T, m *frappe.Meta, row [4]string, pressOwn bool) {
	t.Helper()
	used := false
	for _, f := range m.Fields {
		used = used || f.Permlevel == 1
	}
	if !used {
		return
	}
	audited := m.Name == "Partner Audit" || m.Name == "Partner Non Conformance"
	for i, role := range roles {
		want := "R"
		switch {
		case role == "Partner" && (!audited || pressOwn), m.Name == "PMM Escalation Request" && role == "PMM Auditor":
			want = ""
		case i < 2 && strings.Contains(row[i], "W"):
			want = "RW"
		}
		if got, _ := granted(m, role, 1); got != want {
			t.Errorf("%s, %s: %q at level 1, want %q", m.Name, role, got, want)
		}
	}
}

// TestOwnersHoldOnTheSite reads each field's guard on the live doctypes, on
// both deployments: level, read-only, set once.
func TestOwnersHoldOnTheSite(t *testing.T) {
	t.Parallel()
	for _, deployment := range deployments {
		t.Run(deployment, func(t *testing.T) {
			t.Parallel()
			site, _ := provisioned(t, frappetest.V15, deployment)
			n := 0
			for _, st := range schema.Load().For(deployment) {
				want, doctype := rowsOf(st.Body, "fields"), st.Name
				switch {
				case st.Doctype == "DocType" && st.Action == "ensure":
				case st.Doctype == "Custom Field":
					want, doctype = []map[string]any{st.Body}, text(st.Body["dt"])
				default:
					continue
				}
				live := map[string]map[string]any{}
				for _, f := range site.Doc("DocType", doctype)["fields"].([]map[string]any) {
					live[text(f["fieldname"])] = f
				}
				for _, f := range site.Docs("Custom Field") {
					if f["dt"] == doctype {
						live[text(f["fieldname"])] = f
					}
				}
				for _, w := range want {
					have := live[text(w["fieldname"])]
					if have == nil {
						t.Errorf("%s.%s is not there", doctype, w["fieldname"])
						continue
					}
					n++
					for _, k := range []string{"fieldtype", "options", "permlevel", "read_only", "set_only_once", "unique", "reqd", "hidden"} {
						a, b := text(w[k]), text(have[k])
						if a != b && (a != "" || b != "0") && (k != "unique" || b != "1") {
							t.Errorf("%s.%s: %s is %q, want %q", doctype, w["fieldname"], k, b, a)
						}
					}
				}
			}
			if n < 300 {
				t.Errorf("only %d fields were looked at", n)
			}
		})
	}
}
