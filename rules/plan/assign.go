package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/prmsync/prmsync/rules/programme"
)

// Assignment asks a person for something about a record of the PRM: a ToDo.
type Assignment struct {
	Doctype string
	Record  string // its name
	User    string
	Text    string
	Reason  string
}

// Assignments returns a change for each ToDo that the PRM is not known to have
// got: a person gets one for a record, once, and closes it.
func Assignments(partner string, all []Assignment, known Lookup, now time.Time) []Change {
	var out []Change
	for _, a := range all {
		mark := MarkToDo + a.User
		if k, ok := known(a.Doctype, a.Record); ok && k.Fields[mark] != nil {
			continue
		}
		c := change(Record{Doctype: a.Doctype, Key: a.Record, Partner: partner}, Assign, map[string]any{mark: true}, nil, Append, a.Reason, now)
		c.Fields, c.FileName = map[string]any{"description": a.Text}, a.User
		out = append(out, c)
	}
	return out
}

// ToDecide returns what people are to decide by hand because the policy raises no
// NCs itself: the findings of each completed audit, for its auditor, else for the
// partner's manager. An audit that has neither has its alert alone.
func ToDecide(c *programme.Case) []Assignment {
	var out []Assignment
	if c.Policy.Raise {
		return nil
	}
	for _, a := range c.Audits {
		open := c.Undecided(a)
		user := c.Partner.Manager
		if strings.Contains(a.Auditor, "@") { // some PRMs keep a name there
			user = a.Auditor
		}
		if a.Status != programme.AuditCompleted || len(open) == 0 || user == "" {
			continue
		}
		text := fmt.Sprintf("%s: %d findings wait for a decision, as an NC or not.", a.Name, len(open))
		for i, v := range open {
			if i == 10 {
				text += fmt.Sprintf(" And %d more.", len(open)-i)
				break
			}
			text += fmt.Sprintf(" (%d) %s: measured %s; expected %s.", i+1, v.Title, cmp.Or(v.Measured, "nothing"), v.Expected)
		}
		out = append(out, Assignment{Doctype: DoctypeAudit, Record: a.Name, User: user, Text: Plain(text, 1500), Reason: fmt.Sprintf("%d findings of %s wait for %s", len(open), a.Name, user)})
	}
	return out
}
