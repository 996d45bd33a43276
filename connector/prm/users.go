package prm

import (
	"context"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/connector/frappe"
)

const (
	doctypeUser       = "User"
	doctypePermission = "User Permission"
	// askPerRead is how many users' roles one read asks for at most: each is a
	// request, and a user whose record did not change is not asked for again.
	askPerRead = 25
)

// roles is what we last learnt of a user's roles.
type roles struct {
	modified string
	partner  bool // one of a partner's people, and none of ours besides
}

// ours are the roles of people who may see every partner.
var ours = []string{"System Manager", "Partner Manager", "PMM Auditor"}

// partnersUsers holds the users of partners who may use the desk. Nobody but a
// System Manager may list roles, so each user's are asked for once.
func (p *PRM) partnersUsers(ctx context.Context, whole bool) (*held, error) {
	rows, err := p.c.List(ctx, frappe.ListQuery{
		Doctype: doctypeUser, Fields: []string{"name", "modified"}, Limit: frappe.All, OrderBy: "name asc",
		Filters: []frappe.Filter{frappe.Where("enabled", "=", 1), frappe.Where("user_type", "=", "System User")},
	})
	if err != nil {
		h, err := p.unread(doctypeUser, err)
		if h != nil { // Frappe 14 lists users for System Managers alone
			h.gaps[0].Remedy = "let the role PMM Sync Agent read User in the Role Permissions Manager; until then nobody is told of a partner's user who sees every partner"
		}
		return h, err
	}
	next := make(map[string]roles, len(rows))
	h := &held{rows: map[string]frappe.Doc{}}
	asked := 0
	for _, d := range rows {
		r, ok := p.roles[d.Name()]
		if (!ok || r.modified != d.Modified() || whole) && asked < askPerRead {
			asked++
			has, err := p.c.Roles(ctx, d.Name())
			if err != nil {
				return p.unread(doctypeUser, err)
			}
			r = roles{modified: d.Modified(), partner: slices.Contains(has, "Partner") && !slices.ContainsFunc(has, func(r string) bool { return slices.Contains(ours, r) })}
		} else if !ok {
			continue
		}
		next[d.Name()] = r
		if r.partner {
			h.rows[d.Name()] = d
		}
	}
	p.roles = next
	return h, nil
}

// unrestricted are partners' users who see every partner: no User Permission on
// a PMM Partner confines them in all doctypes. Where those cannot be read nobody
// is named; the gap says so.
func (p *PRM) unrestricted() []string {
	if len(p.held[doctypePermission].gaps) > 0 {
		return nil
	}
	confined := map[string]bool{}
	p.each(doctypePermission, func(d frappe.Doc) {
		if d.Bool("apply_to_all_doctypes") && d.Text("for_value") != "" {
			confined[strings.ToLower(d.Text("user"))] = true
		}
	})
	var out []string
	p.each(doctypeUser, func(d frappe.Doc) {
		if !confined[strings.ToLower(d.Name())] {
			out = append(out, d.Name())
		}
	})
	return out
}
