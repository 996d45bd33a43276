package partnersite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// prepared is what a read sets out with.
type prepared struct {
	plans    []plan
	gaps     []evidence.Gap
	warnings []string
	mapping  config.Mapping
}

// prepare discovers the site and fits every stream to it. What cannot be read
// is a gap; an error means that the site as a whole cannot be read.
func (s *Site) prepare(ctx context.Context, h History) (prepared, error) {
	var out prepared
	if err := s.discover(ctx, h, false); err != nil {
		return out, err
	}
	out.mapping = s.mapping()
	mapped := out.mapping.Doctypes()
	wanted := s.wanted(out.mapping)
	if err := s.askMetas(ctx, h, wanted); err != nil {
		return out, err
	}
	for _, st := range wanted {
		var meta *frappe.Meta
		if s.installed(st) {
			meta = s.metas[st.doctype].meta
		}
		if meta == nil {
			if st.core || slices.Contains(mapped, st.doctype) {
				out.gaps = append(out.gaps, s.absent(st))
			}
			continue
		}
		if meta.Table || meta.Virtual {
			out.gaps = append(out.gaps, s.gap(st.doctype, evidence.Absent, st.doctype+" is no doctype that can be listed on this site", "name the doctype that holds it in the mapping"))
			continue
		}
		if meta.Single {
			st.single = true
		}
		p := fit(st, out.mapping.Evidence, meta, s.found.Roles)
		p.timeline = s.timelineOf(out.mapping, st.doctype)
		p.sign()
		out.plans = append(out.plans, p)
		out.gaps = append(out.gaps, s.drift(p)...)
		out.gaps = append(out.gaps, s.traps(p)...)
	}
	metas := map[string]*frappe.Meta{}
	for name, k := range s.metas {
		metas[name] = k.meta
	}
	for _, problem := range CheckMapping(s.o.Mapping, metas) {
		out.warnings = append(out.warnings, problem.String())
	}
	for name, meta := range metas {
		out.gaps = append(out.gaps, s.misfits(name, meta)...)
	}
	return out, nil
}

// misfits are the gaps of rules that the partner's own mapping has for the
// doctype and that can find nothing there.
func (s *Site) misfits(doctype string, meta *frappe.Meta) []evidence.Gap {
	var out []evidence.Gap
	for _, p := range CheckMapping(s.o.Mapping, map[string]*frappe.Meta{doctype: meta}) {
		if p.Fatal {
			g := s.gap("kind:"+string(p.Kind), evidence.Unmapped, p.Text, p.Remedy)
			g.Field = p.Field
			out = append(out, g)
		}
	}
	return out
}

// installed reports whether the app that brings the doctype is there. Without
// an answer about versions everything may be.
func (s *Site) installed(st stream) bool {
	if st.app == "" || st.app == framework || len(s.found.Versions) == 0 {
		return true
	}
	_, ok := s.found.Versions[st.app]
	return ok
}

// askMetas sees to it that the meta of every wanted stream is known, two
// requests at a time. h may be nil.
func (s *Site) askMetas(ctx context.Context, h History, wanted []stream) error {
	if h != nil && len(s.metas) == 0 {
		if err := s.recallMetas(ctx, h); err != nil {
			return err
		}
	}
	budget := refreshes
	var missing []string
	for _, st := range wanted {
		if s.installed(st) && !s.fresh(st.doctype, &budget) {
			missing = append(missing, st.doctype)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found := make([]*frappe.Meta, len(missing))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(side)
	for i, name := range missing {
		g.Go(func() (err error) {
			found[i], err = s.askMeta(gctx, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, name := range missing {
		s.metas[name] = knownMeta{found[i], s.now().UTC()}
	}
	if h == nil {
		return nil
	}
	return s.keepMetas(ctx, h)
}

func (s *Site) gap(stream string, kind evidence.GapKind, reason, remedy string) evidence.Gap {
	return evidence.Gap{Site: s.o.Key, Stream: stream, Kind: kind, Reason: reason, Remedy: remedy}
}

func (s *Site) absent(st stream) evidence.Gap {
	reason := fmt.Sprintf("the site has no doctype %s", st.doctype)
	remedy := "name in the mapping where this evidence is kept instead"
	if st.app != "" && !s.installed(st) {
		reason += fmt.Sprintf("; the app %s is not installed", st.app)
	}
	return s.gap(st.doctype, evidence.Absent, reason, remedy)
}

// drift reports essential fields that are gone or hidden.
func (s *Site) drift(p plan) []evidence.Gap {
	var out []evidence.Gap
	for _, f := range p.lacking {
		g := s.gap(p.doctype, evidence.Drifted, fmt.Sprintf("%s has no field %s on this site", p.doctype, f),
			"tell us under which name the site keeps it; a mapping may name it")
		g.Field = f
		out = append(out, g)
	}
	for _, f := range p.levels {
		if !slices.ContainsFunc(columns(p.stream.fields), func(c column) bool { return c.name == f && c.essential }) && !s.mapped(p, f) {
			continue
		}
		g := s.gap(p.doctype, evidence.Drifted, fmt.Sprintf("the field %s of %s stands at a permission level that this key may not read", f, p.doctype),
			fmt.Sprintf("add a row for %s at that level to the reader's role in Role Permissions Manager", p.doctype))
		g.Field = f
		out = append(out, g)
	}
	return out
}

func (s *Site) mapped(p plan, field string) bool {
	for _, k := range p.kinds {
		for _, r := range s.mapping().Evidence[k] {
			if r.Doctype == p.doctype && slices.Contains(r.FieldNames(), field) {
				return true
			}
		}
	}
	return false
}

// traps finds what makes a list short at status 200, where it can be known
// without counting.
func (s *Site) traps(p plan) []evidence.Gap {
	var out []evidence.Gap
	d := &s.found
	if d.User == "Administrator" || d.has("System Manager") {
		return nil
	}
	hide := func(reason, remedy string) { out = append(out, s.gap(p.doctype, evidence.Hidden, reason, remedy)) }
	if by := confinedBy(d.Confined, p.meta); by != "" {
		hide(fmt.Sprintf("a User Permission on %s confines the key's user: %s shows only part of its records", by, p.doctype),
			fmt.Sprintf("remove the User Permission on %s from the reading user", by))
	}
	owner, free := false, false
	for _, perm := range p.meta.Permissions {
		if perm.Read && perm.Permlevel == 0 && slices.Contains(d.Roles, perm.Role) {
			owner, free = owner || perm.IfOwner, free || !perm.IfOwner
		}
	}
	if owner && !free && !slices.Contains(selfService, p.doctype) {
		hide(fmt.Sprintf("the key's roles may read only their own records of %s (if_owner)", p.doctype),
			fmt.Sprintf("add a row for %s without \"Only if Creator\" to the reader's role", p.doctype))
	}
	if p.doctype == "HD Ticket" && d.Roles != nil && !d.has("Agent", "Agent Manager") {
		hide("without the role Agent the site answers an empty list of HD Ticket at status 200", "give the reading user the role Agent")
	}
	if p.doctype == "CRM Lead" || p.doctype == "CRM Deal" {
		if d.Roles != nil && d.major(crm) >= 2 && !d.has("Sales Manager") {
			hide(fmt.Sprintf("Frappe CRM 2 shows %s only to owner and assignee unless the user is Sales Manager", p.doctype),
				"give the reading user the role Sales Manager")
		}
	}
	if p.doctype == "Event" && d.major(framework) >= 16 {
		hide("private Events of others are hidden from this key, and this version does not tell how many", "ask for meetings to be entered as Public, or name another place for them in the mapping")
	}
	return out
}

// selfService doctypes give everybody their own records. Files and mails of
// others come from timelines, Events are counted.
var selfService = []string{"File", "Event", "Communication"}

// confinedBy returns the doctype by whose User Permission the records are cut.
func confinedBy(confined map[string][]string, meta *frappe.Meta) string {
	for _, d := range sortedKeys(confined) {
		if d == meta.Name {
			return d
		}
		if slices.ContainsFunc(meta.Fields, func(f frappe.Field) bool { return f.Type == "Link" && f.Options == d }) {
			return d
		}
	}
	return ""
}

// grant is the remedy for a doctype that the key may not read.
func grant(st stream) string {
	if st.doctype == "HD Ticket" {
		return "give the reading user the role Agent and add a row for HD Ticket to the reader's role in Role Permissions Manager"
	}
	return fmt.Sprintf("in Role Permissions Manager add a row for %s with read at level 0 to the reader's role", st.doctype)
}

// refused turns an error about one stream into its gap. stop reports that the
// site as a whole will not answer, so that nothing more is asked.
func (s *Site) refused(st stream, err error) (g evidence.Gap, stop bool) {
	reason := describe(err)
	switch frappe.CategoryOf(err) {
	case frappe.Forbidden:
		return s.gap(st.doctype, evidence.Forbidden, "the key may not read "+st.doctype, grant(st)), false
	case frappe.NotFound:
		return s.absent(st), false
	case frappe.Unauthorized, frappe.LoginPage:
		return s.gap(st.doctype, evidence.Unauthorized, "the site refuses the key: "+reason, "make a new key for the reading user and put it into the configuration"), true
	case frappe.Invalid, frappe.Misuse, frappe.Failed, frappe.Malformed, frappe.Oversized:
		return s.gap(st.doctype, evidence.Unreachable, fmt.Sprintf("%s could not be read: %s", st.doctype, reason), ""), false
	}
	return s.gap(st.doctype, evidence.Unreachable, "the site did not answer: "+reason, "see whether the site is up, and what stands between it and us"), true
}

// describe gives the error's own words without the site's address, which the
// gap names already.
func describe(err error) string {
	text := err.Error()
	if i := strings.Index(text, ": "); i >= 0 && strings.Contains(text[:i], "://") {
		text = text[i+2:]
	} else if i := strings.Index(text, " on http"); i >= 0 {
		if j := strings.Index(text[i:], ": "); j >= 0 {
			text = text[i+j+2:]
		}
	}
	return short(text, 200)
}
