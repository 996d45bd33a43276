package plan

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/prmsync/prmsync/rules/programme"
)

// Marks stand among the fields of a Known and are no fields: no name of Frappe's
// holds a colon.
const (
	markSaved = "saved:partner" // what the record was last saved for
	MarkFile  = "file:"         // before the name of a file that hangs on the record; its address
	MarkToDo  = "todo:"         // before the user who got a ToDo about the record
)

// WithMarks returns what was read of a record with the marks that we noted of it.
func WithMarks(read, ours Known) Known {
	var out map[string]any
	for f, v := range ours.Fields {
		if strings.Contains(f, ":") {
			if out == nil {
				out = maps.Clone(read.Fields)
			}
			if out == nil {
				out = map[string]any{}
			}
			out[f] = v
		}
	}
	if out != nil {
		read.Fields = out
	}
	return read
}

// Refresh returns an empty save for each open record that shows a manager or a
// name of the partner that is no longer so: Frappe copies both when a record is
// saved and never again. A record that is written anyway needs none, and each
// change is saved once. Of assessments only those under the keys of current are
// open; read is when the records were read.
func Refresh(c *programme.Case, planned []Change, current map[string]bool, known Lookup, read, now time.Time) []Change {
	var out []Change
	for _, s := range c.Stale {
		if s.Doctype == DoctypeAssessment && !current[s.Name] || written(planned, s.Doctype, s.Name) {
			continue
		}
		if k, ok := known(s.Doctype, s.Name); ok && (Same(k.Fields[markSaved], s.Shows) || k.Written.After(read)) {
			continue
		}
		w := Record{Doctype: s.Doctype, Key: s.Name, Partner: c.Key}
		out = append(out, change(w, Save, map[string]any{markSaved: s.Shows}, nil, Measure, fmt.Sprintf("%s %s shows the partner as it was before", s.Doctype, s.Name), now))
	}
	return out
}

func written(planned []Change, doctype, name string) bool {
	for _, c := range planned {
		if c.Doctype == doctype && c.Name == name && c.Op != Attach && c.Op != Assign {
			return true
		}
	}
	return false
}
