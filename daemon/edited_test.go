package daemon_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

// alter edits a field of a doctype as a System Manager does; nil removes it. It
// returns what puts the doctype back.
func (c *crowd) alter(doctype, field string, values map[string]any) (repair func()) {
	c.t.Helper()
	var before, after []any
	for _, f := range c.site.Doc("DocType", doctype)["fields"].([]map[string]any) {
		before = append(before, f)
		row := maps.Clone(f)
		if row["fieldname"] == field {
			if values == nil {
				delete(f, "name") // it comes back as a new one
				continue
			}
			maps.Copy(row, values)
		}
		after = append(after, row)
	}
	set := func(rows []any) {
		c.t.Helper()
		if err := c.site.Set("DocType", doctype, map[string]any{"fields": rows}); err != nil {
			c.t.Fatal(err)
		}
	}
	set(after)
	return func() { set(before) }
}

// retryParked is prmsync outbox retry --all.
func (c *crowd) retryParked() {
	c.t.Helper()
	parked, err := c.store.List(c.t.Context(), "*", store.Parked, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, q := range parked {
		if err := c.store.Requeue(c.t.Context(), q.ID); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Doctypes that people edited: what no longer fits is parked under a name and
// with what helps, everything else goes on, and after the repair it is sent.
func TestDoctypesThatPeopleEdited(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit   func(c *crowd) (repair func())
		parked string // the doctype of what is parked; "" is all
		says   []string
	}{
		"a removed field": {
			func(c *crowd) func() { return c.alter(plan.DoctypePartner, "reason", nil) },
			plan.DoctypePartner,
			[]string{"PMM Partner", "the field reason is gone", "prmsync provision"},
		},
		"a changed type": {
			func(c *crowd) func() {
				return c.alter(plan.DoctypeAssessment, "summary", map[string]any{"fieldtype": "Int"})
			},
			plan.DoctypeAssessment,
			[]string{"PMM Assessment", "the field summary takes text with us, and is Int now", "prmsync provision verify"},
		},
		"a renamed option": {
			func(c *crowd) func() {
				return c.alter("PMM Criterion Result", "verdict", map[string]any{"options": "Met\nMissed\nInsufficient Evidence\nNot Applicable\nManual"})
			},
			plan.DoctypeAssessment,
			[]string{"PMM Assessment", "the field verdict has no option Not Met", "prmsync provision verify"},
		},
		"a deleted role": {
			func(c *crowd) func() {
				if err := c.site.DeleteRaw("Role", "PMM Sync Agent"); err != nil {
					c.t.Fatal(err)
				}
				c.site.SetRoles("agent@prm.test")
				return func() { c.site.SetRoles("agent@prm.test", "PMM Sync Agent") } // made anew
			},
			"",
			[]string{"HTTP 403", "user lacks", "give the runtime user the role PMM Sync Agent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, 3, aFew)
			c.once(0)
			c.stands()
			repair := tt.edit(c)
			for _, k := range c.keys {
				c.judge.flip(k, 4)
				c.judge.say(k, "since then")
			}
			c.judge.figures(5)
			c.once(10 * time.Minute) // what is remembered of the doctypes is an hour old at most

			parked, err := c.store.List(t.Context(), "*", store.Parked, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(parked) < len(c.keys) {
				t.Fatalf("%d changes are parked, want one of each partner", len(parked))
			}
			for _, q := range parked {
				for _, says := range tt.says {
					if !strings.Contains(q.Error, says) {
						t.Errorf("%s %s is parked with %q, which lacks %q", q.Change.Doctype, q.Change.Name, q.Error, says)
					}
				}
				if tt.parked != "" && q.Change.Doctype != tt.parked {
					t.Errorf("%s %s is parked: %s", q.Change.Doctype, q.Change.Name, q.Error)
				}
			}
			if n := c.open(store.Waiting); n != 0 {
				t.Errorf("%d changes are held up by those that are parked", n)
			}
			// Everything else goes on.
			for _, k := range c.keys {
				held, ok, err := c.store.LatestOf(t.Context(), k, rules.Continuous)
				if err != nil || !ok || !held.Assessment.AsOf.Equal(c.clock()) {
					t.Errorf("%s is not judged any more: %v (%v)", k, held.Assessment.AsOf, err)
				}
			}
			if n := c.site.Count(plan.DoctypeSnapshot); tt.parked != "" && n != 5*len(c.keys) {
				t.Errorf("%d figures on the PRM, want %d", n, 5*len(c.keys))
			}
			// They are not tried again and again.
			c.taken()
			c.once(15 * time.Minute)
			if a := c.taken(); tt.parked != "" && a.of[tt.parked] != 0 {
				t.Errorf("what is parked was tried again: %v", a)
			}

			repair()
			c.retryParked()
			c.once(15 * time.Minute)
			c.settle()
			c.once(15 * time.Minute)
			c.stands()
		})
	}
}
