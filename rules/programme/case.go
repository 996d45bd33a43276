package programme

import (
	"cmp"
	"slices"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
)

// Case is everything that is known of one partner at an instant: what people
// decided and what the evidence was found to show. All that the programme
// concludes about the partner follows from it.
type Case struct {
	Now     time.Time
	Today   evidence.Date // on the PRM
	Zone    *time.Location
	Key     string
	Partner Partner
	// Known is false when the PRM has no such partner (yet).
	Known bool
	// Gone is set when it had one: somebody deleted or merged it.
	Gone        bool
	Sites       []Site
	Tiers       []Tier
	Audits      []Audit
	NCs         []NC
	Escalations []Escalation
	Requests    []Request // of the partner, or taken to be about it
	Contacts    []Contact
	Stale       []Stale
	Certs       int
	Calendar    evidence.Calendar
	Finalised   map[string]bool

	Continuous rules.Assessment
	// Targeted holds the assessments of audits and escalations, by the record
	// that they are about.
	Targeted map[string]rules.Assessment
	// LevelOf returns the level of a criterion of the packs; nil knows none.
	LevelOf func(criterion string) int
	Policy  Policy
	// Over holds the projects of the partner's sites that are completed or
	// cancelled.
	Over map[evidence.Key]bool
	// Everyone is the whole input, for what can only be seen across partners.
	Everyone *Input
}

// CaseOf picks what concerns the partner. The zone is the PRM's; one that is not
// known counts as UTC.
func CaseOf(in *Input, partner string, now time.Time) Case {
	c := Case{
		Now: now, Zone: zoneOf(in.Zone), Key: partner, Tiers: in.Tiers, Calendar: in.Calendar, Finalised: in.Finalised,
		Targeted: map[string]rules.Assessment{}, Everyone: in,
	}
	c.Today = evidence.DateIn(now, c.Zone)
	for _, p := range in.Partners {
		if p.Key == partner {
			c.Partner, c.Known = p, true
		}
	}
	c.Partner.Key = partner
	c.Sites = pick(in.Sites, func(s Site) bool { return s.Partner == partner })
	c.Audits = pick(in.Audits, func(a Audit) bool { return a.Partner == partner })
	c.NCs = pick(in.NCs, func(n NC) bool { return n.Partner == partner })
	c.Escalations = pick(in.Escalations, func(e Escalation) bool { return e.Partner == partner })
	c.Stale = pick(in.Stale, func(s Stale) bool { return s.Partner == partner })
	c.Contacts = pick(in.Contacts, func(k Contact) bool { return k.Partner == partner })
	for _, r := range in.Requests {
		if to, _ := Match(in.Partners, r); to == partner {
			c.Requests = append(c.Requests, r)
		}
	}
	for _, p := range in.CertPartner {
		if p == partner {
			c.Certs++
		}
	}
	slices.SortFunc(c.Audits, func(a, b Audit) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.NCs, func(a, b NC) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SourceKey, b.SourceKey)) })
	slices.SortFunc(c.Escalations, func(a, b Escalation) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Requests, func(a, b Request) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

func pick[T any](in []T, mine func(T) bool) []T {
	var out []T
	for _, v := range in {
		if mine(v) {
			out = append(out, v)
		}
	}
	return out
}

func zoneOf(name string) *time.Location {
	if l, err := time.LoadLocation(name); err == nil {
		return l
	}
	return time.UTC
}

// working counts the PRM's working days after from up to and including today.
func (c *Case) working(from evidence.Date) int {
	return measure.WorkingDays(evidence.Agreement{}, c.Calendar, from, c.Today)
}

func (c *Case) audit(name string) (Audit, bool) {
	for _, a := range c.Audits {
		if a.Name == name && name != "" {
			return a, true
		}
	}
	return Audit{}, false
}

// ncsOf returns the NCs that came out of an audit.
func (c *Case) ncsOf(audit string) []NC {
	return pick(c.NCs, func(n NC) bool { return n.Audit == audit && audit != "" })
}

// ncsAgainst returns the NCs that belong to an escalation: named by it, or
// raised in its re-audit.
func (c *Case) ncsAgainst(e Escalation) []NC {
	return pick(c.NCs, func(n NC) bool {
		if n.Escalation != "" {
			return n.Escalation == e.Name
		}
		if n.Audit == "" {
			return false
		}
		if n.Audit == e.Audit {
			return true
		}
		a, ok := c.audit(n.Audit)
		return ok && a.Escalation == e.Name
	})
}

// inactive reports whether no new audit is due to the partner: people set it
// inactive, or its contract has ended.
func (c *Case) inactive() bool {
	return c.Partner.Activity == "Inactive" || c.Partner.Activity == "" && !c.Partner.Contract.To.IsZero() && c.Partner.Contract.To.Before(c.Today)
}
