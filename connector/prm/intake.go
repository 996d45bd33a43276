package prm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/programme"
)

// intakeStream is how a mapped doctype is read.
func intakeStream(i config.Intake) stream {
	s := stream{doctype: i.Doctype, key: "intake:" + i.Doctype, fields: []string{"creation"}}
	for _, f := range []string{i.Partner, i.Customer, i.Contact, i.Email, i.Project, i.Stage} {
		if f != "" && !slices.Contains(s.fields, f) {
			s.fields = append(s.fields, f)
		}
	}
	s.filters = append(s.filters, frappe.Where("creation", ">=", i.Since.Format(time.DateOnly)+" 00:00:00"))
	for _, f := range slices.Sorted(maps.Keys(i.Where)) {
		s.filters = append(s.filters, frappe.Where(f, "=", i.Where[f]))
	}
	return s
}

// sources are the escalation's options for where a request came from.
var sources = map[config.IntakeSource]string{config.FormSource: "Partner Listing Form", config.PortalSource: "Customer Portal"}

// requests reads what stands in a mapped doctype. Without the field that names
// the partner nothing in it can be used; the gap says so.
func (p *PRM) requests(i config.Intake, team map[string]string, when func(d frappe.Doc, f string) time.Time) []programme.Request {
	s := intakeStream(i)
	h := p.held[s.name()]
	if slices.ContainsFunc(h.gaps, func(g evidence.Gap) bool { return g.Field == i.Partner }) {
		return nil
	}
	var out []programme.Request
	p.each(s.name(), func(d frappe.Doc) {
		text := func(field string) string {
			if field == "" {
				return ""
			}
			return strings.TrimSpace(d.Text(field))
		}
		r := programme.Request{
			Doctype: i.Doctype, Name: d.Name(), Company: text(i.Partner), Email: text(i.Email), Created: when(d, "creation"), Customer: text(i.Customer),
			Contact: text(i.Contact), Project: text(i.Project), Source: cmp.Or(sources[i.Source], "Other"),
		}
		r.Partner = team[r.Company]
		for _, stage := range []string{"Sales", "Implementation", "Support"} {
			if strings.EqualFold(text(i.Stage), stage) {
				r.Stage = stage
			}
		}
		out = append(out, r)
	})
	return out
}

// VerifyIntake compares the mapped doctypes with the live PRM, as the runtime
// user sees it: doctypes that it may not read, fields that are not there, options
// that do not exist. It writes nothing. The error is one of a PRM that does not
// answer.
func VerifyIntake(ctx context.Context, runtime *frappe.Client, intake []config.Intake) ([]schema.Finding, error) {
	var out []schema.Finding
	for _, i := range intake {
		say := func(field, problem, remedy string) {
			out = append(out, schema.Finding{Doctype: i.Doctype, Field: field, Problem: problem, Remedy: remedy})
		}
		meta, err := runtime.Meta(ctx, i.Doctype)
		if err == nil {
			_, err = runtime.List(ctx, frappe.ListQuery{Doctype: i.Doctype, Fields: []string{"name"}, Limit: 1})
		}
		switch frappe.CategoryOf(err) {
		case frappe.Forbidden, frappe.NotFound, frappe.Invalid:
			say("", "prm.intake names it, and it is missing or the runtime user may not read it", "correct the name, or let the role PMM Sync Agent read it")
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("what %s looks like: %w", i.Doctype, err)
		}
		named := []struct{ key, field string }{
			{"partner", i.Partner}, {"customer", i.Customer}, {"contact", i.Contact}, {"email", i.Email}, {"project", i.Project}, {"stage", i.Stage},
		}
		for _, f := range slices.Sorted(maps.Keys(i.Where)) {
			named = append(named, struct{ key, field string }{"where", f})
		}
		for _, n := range named {
			if n.field == "" {
				continue
			}
			f, ok := meta.Field(n.field)
			if !ok {
				say(n.field, "prm.intake reads it as "+n.key+", and the doctype has no such field", "name a field that it has")
				continue
			}
			if v := i.Where[n.field]; n.key == "where" && f.Type == "Select" && !slices.Contains(strings.Split(f.Options, "\n"), v) {
				say(n.field, fmt.Sprintf("prm.intake asks for %q, which is not among its options", v), "name one of its options")
			}
		}
	}
	return out, nil
}
