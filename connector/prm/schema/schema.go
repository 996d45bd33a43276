// Package schema brings a PRM's doctypes, permissions and desk to the state that
// schema.json describes, step by step over REST, adding and changing, never removing.
package schema

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
)

//go:embed schema.json
var schemaJSON []byte

// Step is one document of the schema, in the order in which they are made.
type Step struct {
	Action  string         `json:"action"` // ensure, merge, permission, single
	Doctype string         `json:"doctype"`
	Name    string         `json:"name"`
	When    string         `json:"when"` // always, bare, press
	Note    string         `json:"note"`
	Body    map[string]any `json:"body"`
	// BodyWhereKnown holds keys that only newer versions have and then need.
	BodyWhereKnown map[string]any `json:"body_where_known"`
}

// Schema is the whole of it.
type Schema struct {
	Version           string              `json:"schema_version"`
	Steps             []Step              `json:"steps"`
	ProvisioningRoles []string            `json:"provisioning_roles"`
	RuntimeRoles      []string            `json:"runtime_roles"`
	ChildRows         childRows           `json:"child_rows"`
	Ownership         map[string]string   `json:"ownership"`
	rowKeys           map[string][]string // "DocType.fields" → key columns
}

type childRows struct {
	MatchedBy map[string][]string `json:"matched_by"`
}

// Load returns the schema that this build provisions.
var Load = sync.OnceValue(func() *Schema {
	s := &Schema{}
	d := json.NewDecoder(bytes.NewReader(schemaJSON))
	if err := d.Decode(s); err != nil {
		panic("connector/prm/schema: schema.json: " + err.Error()) // embedded: cannot happen outside a test
	}
	s.rowKeys = s.ChildRows.MatchedBy
	return s
})

// For returns the steps of a deployment, "bare" or "press".
func (s *Schema) For(deployment string) []Step {
	var out []Step
	for _, st := range s.Steps {
		if st.When == "always" || st.When == deployment {
			out = append(out, st)
		}
	}
	return out
}

// Verb says what a step needs.
type Verb string

// The verbs.
const (
	Create    Verb = "create"
	Change    Verb = "change"
	Unchanged Verb = "unchanged"
	Left      Verb = "left"   // a person edited it since; theirs stays
	Skipped   Verb = "skip"   // the site's version has no such thing, or the user has no right to it
	Cannot    Verb = "cannot" // a right is missing or the site refuses
)

// Item is what one step needs or needed.
type Item struct {
	Doctype string   `json:"doctype"`
	Name    string   `json:"name"`
	Verb    Verb     `json:"verb"`
	Fields  []string `json:"fields,omitempty"` // keys that differ
	Reason  string   `json:"reason,omitempty"`
}

// String is the item on one line.
func (i Item) String() string {
	s := fmt.Sprintf("%-9s %s %s", i.Verb, i.Doctype, i.Name)
	if len(i.Fields) > 0 {
		s += fmt.Sprintf(" %v", i.Fields)
	}
	if i.Reason != "" {
		s += ": " + i.Reason
	}
	return s
}
