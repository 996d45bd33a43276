package prm

import (
	"context"
	"fmt"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
)

// Read returns what people decided, as it stands now. last is what the previous
// call returned. What the runtime user may not read is a gap; only a PRM that
// does not answer is an error.
func (p *PRM) Read(ctx context.Context, last programme.Input) (programme.Input, error) {
	zone, err := p.Zone(ctx)
	if err != nil {
		return programme.Input{}, err
	}
	in := programme.Input{Zone: zone.String(), CertPartner: map[string]string{}}
	for _, part := range append(programmeParts(&in, zone), []part{
		{"PMM Partner", []string{"name", "partner_name", "partner_manager", "awarded_pmm", "awarded_tier", "engagement_days", "activity_override", "modified"}, func(d frappe.Doc) {
			q := programme.Partner{Key: d.Name(), Name: d.Text("partner_name"), Manager: d.Text("partner_manager"), AwardedTier: d.Text("awarded_tier"), Activity: d.Text("activity_override")}
			q.AwardedLevel, q.Engagement = whole(d, "awarded_pmm"), whole(d, "engagement_days")
			q.Modified, _ = frappe.ParseTime(d.Modified(), zone)
			in.Partners = append(in.Partners, q)
		}},
		{"PMM Site", []string{"name", "partner", "purpose", "enabled"}, func(d frappe.Doc) {
			in.Sites = append(in.Sites, programme.Site{Key: d.Name(), Partner: d.Text("partner"), Purpose: d.Text("purpose"), Enabled: d.Bool("enabled")})
		}},
		{"PMM Criterion", []string{"name", "enabled", "severity_override", "threshold_override"}, func(d frappe.Doc) {
			if d.Bool("enabled") && d.Text("severity_override") == "" {
				return // as the pack has it
			}
			in.Settings = append(in.Settings, rules.Setting{Criterion: d.Name(), Enabled: d.Bool("enabled"), Severity: rules.Severity(d.Text("severity_override"))})
		}},
		{"Partner Tier", []string{"name", "enabled", "target_in_usd", "target_in_inr", "certificates_required", "pmm_required"}, func(d frappe.Doc) {
			t := programme.Tier{Name: d.Name(), Enabled: d.Bool("enabled"), Certs: whole(d, "certificates_required"), PMMRequired: whole(d, "pmm_required")}
			t.TargetUSD, _ = d.Float("target_in_usd")
			t.TargetINR, _ = d.Float("target_in_inr")
			in.Tiers = append(in.Tiers, t)
		}},
		{"Partner Certificate", []string{"name", "team", "course", "version", "partner_member_email", "issue_date"}, func(d frappe.Doc) {
			c := evidence.Certificate{Ref: evidence.Ref{Site: "prm", Doctype: "Partner Certificate", Name: d.Name()}, Member: d.Text("partner_member_email"), Course: d.Text("course"), Version: d.Text("version")}
			c.Issued, _ = evidence.ParseDate(d.Text("issue_date"))
			in.Certs = append(in.Certs, c)
			in.CertPartner[d.Name()] = d.Text("team")
		}},
	}...) {
		rows, err := p.c.List(ctx, frappe.ListQuery{Doctype: part.doctype, Fields: part.fields, Filters: filters(part.doctype), OrderBy: "name asc", Limit: frappe.All})
		switch frappe.CategoryOf(err) {
		case "":
			if err != nil {
				return programme.Input{}, err
			}
		case frappe.Forbidden, frappe.NotFound, frappe.Invalid:
			in.Gaps = append(in.Gaps, evidence.Gap{
				Site: "prm", Stream: part.doctype, Kind: evidence.Forbidden, Reason: fmt.Sprintf("the PRM does not let us read %s", part.doctype),
				Remedy: "run prmsync provision, and give the runtime user the role PMM Sync Agent",
			})
			continue
		default:
			return programme.Input{}, fmt.Errorf("read %s on the PRM: %w", part.doctype, err)
		}
		for _, d := range rows {
			part.take(d)
		}
	}
	in.AsOf = time.Time{} // the caller's clock dates it
	return in, nil
}

func whole(d frappe.Doc, field string) int {
	n, _ := d.Int(field)
	return int(n)
}
