package prm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
)

const (
	// wholeEvery is how many reads pass between two that read everything again:
	// rows that were deleted leave no other trace. With a read every two minutes
	// that is about once an hour.
	wholeEvery = 30
	// overlap is read again each time, for rows that were committed late.
	overlap = 5 * time.Minute
	// silentReads is after how many reads without news a row can no longer come
	// late: they are two minutes apart. From then on nothing is read twice.
	silentReads = 3
)

// stream is one doctype that people write on the PRM.
type stream struct {
	doctype string
	key     string // what it is held by, where that is not the doctype
	fields  []string
	filters []frappe.Filter
	// child is a table read along whenever a row of the doctype is new.
	child        string
	childFields  []string
	childFilters []frappe.Filter
	// small marks few rows whose removal must be seen at once: all are read each
	// time.
	small bool
}

func (s stream) name() string { return cmp.Or(s.key, s.doctype) }

var streams = []stream{
	{doctype: "PMM Partner", fields: []string{
		"creation", "partner_name", "partner_manager", "awarded_pmm", "awarded_tier", "engagement_days", "activity_override", "master_doctype", "master_name", "email", "website",
	}},
	{doctype: "PMM Site", fields: []string{"partner", "purpose", "enabled", "partner_manager"}},
	{doctype: "PMM Criterion", fields: []string{"enabled", "severity_override", "threshold_override"}},
	{doctype: "Partner Tier", fields: []string{"enabled", "target_in_usd", "target_in_inr", "certificates_required", "pmm_required"}},
	{doctype: "Partner Certificate", fields: []string{"team", "course", "version", "partner_member_email", "issue_date"}},
	{
		doctype: "PMM Assessment", fields: []string{"partner", "kind", "finalised", "partner_manager"},
		child: "PMM Criterion Override", childFields: []string{"criterion", "verdict", "reason", "valid_until", "decided_by", "decided_on"},
	},
	{doctype: "Partner Audit", fields: []string{
		"partner_team", "mode_of_audit", "requested_on", "proposed_audit_date", "audit_date", "conducted_by", "status", "custom_pmm_partner", "custom_kind",
		"custom_pmm_level", "custom_outcome", "custom_proposed_outcome", "custom_escalation", "custom_previous_audit", "custom_assessment",
		"custom_founder_present", "custom_sales_present", "custom_implementation_present", "custom_support_present", "custom_delivery_head_present",
		"custom_sales_head_present", "custom_project_manager_present", "custom_partner_manager", "custom_partner_name",
	}},
	{doctype: "Partner Non Conformance", fields: []string{
		"creation", "partner_team", "partner_audit", "department", "nc_statement", "status", "expected_closure", "closed_on", "custom_pmm_partner", "custom_escalation",
		"custom_criterion", "custom_source_key", "custom_disputed", "custom_recheck", "custom_overdue", "custom_partner_manager", "custom_partner_name",
	}},
	{
		doctype: "Partner Escalation", fields: []string{
			"creation", "customer", "partner", "project_ref", "project_site", "status", "nc_state", "stage", "severity", "received_on", "source", "warning_sent_on",
			"customer_call_on", "reaudit", "checklist_shared_on", "reaudit_on", "source_key", "partner_manager", "partner_name",
		},
		child: "PMM Escalation Point",
	},
	{doctype: "PMM Escalation Request", fields: []string{
		"creation", "status", "customer", "contact_name", "contact_email", "partner_text", "project_text", "stage", "partner", "escalation",
	}},
	{doctype: "PMM Alert", fields: []string{"acknowledged", "snooze_until", "partner", "partner_manager"}, filters: []frappe.Filter{frappe.Where("status", "=", "Firing")}},
	{
		doctype: "Event", fields: []string{"starts_on", "event_category", "status"},
		child: "Event Participants", childFields: []string{"reference_docname"},
		childFilters: []frappe.Filter{frappe.Where("reference_doctype", "=", "PMM Partner")},
	},
	// What confines partners' users to their own partner; see users.go.
	{
		doctype: "User Permission", fields: []string{"user", "for_value", "apply_to_all_doctypes"}, small: true,
		filters: []frappe.Filter{frappe.Where("allow", "=", "PMM Partner")},
	},
}

// teams are press's own records of partners; those of customers are not read.
var teams = stream{
	doctype: "Team", fields: []string{"partner_email", "partner_tier", "frappe_partnership_date"}, filters: []frappe.Filter{frappe.Where("erpnext_partner", "=", 1)},
}

// held is what the last reads left of a stream.
type held struct {
	rows   map[string]frappe.Doc
	child  []frappe.Doc
	cursor frappe.Cursor
	silent int // reads in a row that brought nothing new
	gaps   []evidence.Gap
}

// Read returns what people decided, as it stands now. It asks each doctype only
// for what changed since the last call, and for everything on the first and
// every thirtieth: one request a doctype, however many partners there are. last
// is what the previous call returned; first sightings are not carried over, see
// programme.Carry. What the runtime user may not read is a gap, and what was
// read of it before no longer counts; only a PRM that does not answer is an error.
func (p *PRM) Read(ctx context.Context, _ programme.Input) (programme.Input, error) {
	zone, err := p.Zone(ctx)
	if err != nil {
		return programme.Input{}, err
	}
	p.readMu.Lock()
	defer p.readMu.Unlock()
	whole := p.held == nil || p.reads%wholeEvery == 0
	all := p.streams()
	next := make(map[string]*held, len(all))
	for _, s := range all {
		h, err := p.follow(ctx, s, whole, zone)
		if err != nil {
			return programme.Input{}, fmt.Errorf("read %s on the PRM: %w", s.doctype, err)
		}
		next[s.name()] = h
	}
	users, err := p.partnersUsers(ctx, whole)
	if err != nil {
		return programme.Input{}, fmt.Errorf("read User on the PRM: %w", err)
	}
	next[doctypeUser] = users
	p.held = next
	p.reads++
	return p.input(zone), nil
}

// streams are all that is read: what every PRM has, and what the configuration
// maps.
func (p *PRM) streams() []stream {
	out := slices.Clone(streams)
	if p.deployment == "press" {
		out = append(out, teams)
	}
	for _, i := range p.intake {
		out = append(out, intakeStream(i))
	}
	return out
}

// follow brings one stream up to date. What is held already is left alone, so
// that a read that fails half way loses nothing.
func (p *PRM) follow(ctx context.Context, s stream, whole bool, zone *time.Location) (*held, error) {
	h := &held{rows: map[string]frappe.Doc{}}
	old := p.held[s.name()]
	if !whole && !s.small && old != nil && len(old.gaps) == 0 {
		h.rows, h.child, h.cursor, h.silent = maps.Clone(old.rows), old.child, old.cursor, old.silent+1
	}
	fresh := whole || s.small || old == nil
	again := overlap
	if h.silent > silentReads {
		again = 0
	}
	for page, err := range p.c.Scan(ctx, s.doctype, frappe.ScanOptions{Fields: s.fields, Filters: s.filters, Since: h.cursor, Overlap: again, Zone: zone}) {
		if err != nil {
			return p.unread(s.doctype, err)
		}
		for _, d := range page.Rows {
			if had, ok := h.rows[d.Name()]; !ok || had.Modified() != d.Modified() {
				h.rows[d.Name()], h.silent, fresh = d, 0, true
			}
		}
		if page.Cursor != (frappe.Cursor{}) {
			h.cursor = page.Cursor
		}
		for _, f := range append(slices.Clone(page.Unknown), page.Hidden...) {
			g := evidence.Gap{
				Site: "prm", Stream: s.doctype, Kind: evidence.Drifted, Field: f, Reason: "the PRM does not show us the field " + f + " of " + s.doctype,
				Remedy: "run prmsync provision",
			}
			if !slices.ContainsFunc(h.gaps, func(o evidence.Gap) bool { return o.Field == f }) {
				h.gaps = append(h.gaps, g)
			}
		}
	}
	if s.child == "" || !fresh {
		return h, nil
	}
	rows, err := p.c.List(ctx, frappe.ListQuery{
		Doctype: s.child, Parent: s.doctype, Fields: append([]string{"name", "parent", "idx"}, s.childFields...), Filters: s.childFilters,
		OrderBy: "parent asc, idx asc", Limit: frappe.All,
	})
	if err != nil {
		return p.unread(s.doctype, err)
	}
	h.child = rows
	return h, nil
}

// unread turns a refusal into a gap.
func (p *PRM) unread(doctype string, err error) (*held, error) {
	switch frappe.CategoryOf(err) {
	case frappe.Forbidden, frappe.NotFound, frappe.Invalid:
		return &held{gaps: []evidence.Gap{{
			Site: "prm", Stream: doctype, Kind: evidence.Forbidden, Reason: "the PRM does not let us read " + doctype,
			Remedy: "run prmsync provision, and give the runtime user the role PMM Sync Agent",
		}}}, nil
	default:
		return nil, err
	}
}

// each yields a stream's rows by name, so that equal data gives equal input.
func (p *PRM) each(stream string, take func(d frappe.Doc)) {
	h := p.held[stream]
	for _, name := range slices.Sorted(maps.Keys(h.rows)) {
		take(h.rows[name])
	}
}

// input reads the held rows.
func (p *PRM) input(zone *time.Location) programme.Input {
	in := programme.Input{Zone: zone.String(), CertPartner: map[string]string{}, Finalised: map[string]bool{}}
	when := func(d frappe.Doc, f string) time.Time {
		t, err := frappe.ParseTime(d.Text(f), zone)
		if err != nil {
			return time.Time{}
		}
		return t.UTC()
	}
	team := map[string]string{} // a master's name → the partner
	p.each("PMM Partner", func(d frappe.Doc) {
		var master programme.Master
		var since evidence.Date
		if h := p.held[teams.doctype]; h != nil && d.Text("master_doctype") == teams.doctype {
			if m, ok := h.rows[d.Text("master_name")]; ok {
				master = programme.Master{Read: true, Email: m.Text("partner_email"), Tier: m.Text("partner_tier")}
				since = day(m, "frappe_partnership_date")
			}
		}
		in.Partners = append(in.Partners, programme.Partner{
			Key: d.Name(), Name: d.Text("partner_name"), Manager: d.Text("partner_manager"), AwardedTier: d.Text("awarded_tier"), Activity: d.Text("activity_override"),
			AwardedLevel: whole(d, "awarded_pmm"), Engagement: whole(d, "engagement_days"), MailDomains: domains(d), Master: master, Contract: programme.Span{From: since}, Modified: when(d, "modified"),
			Since: day(d, "creation"),
		})
		team[d.Name()] = d.Name()
	})
	p.each("PMM Partner", func(d frappe.Doc) {
		if m := d.Text("master_name"); m != "" {
			team[m] = d.Name()
		}
	})
	partner := func(d frappe.Doc) string {
		return cmp.Or(d.Text("custom_pmm_partner"), team[d.Text("partner_team")], d.Text("partner_team"))
	}
	p.each("PMM Site", func(d frappe.Doc) {
		in.Sites = append(in.Sites, programme.Site{Key: d.Name(), Partner: d.Text("partner"), Purpose: d.Text("purpose"), Enabled: d.Bool("enabled")})
	})
	p.each("PMM Criterion", func(d frappe.Doc) {
		s := rules.Setting{Criterion: d.Name(), Enabled: d.Bool("enabled"), Severity: rules.Severity(d.Text("severity_override")), Thresholds: thresholds(d.Text("threshold_override"))}
		if s.Enabled && s.Severity == "" && s.Thresholds == nil {
			return // as the pack has it
		}
		in.Settings = append(in.Settings, s)
	})
	p.each("Partner Tier", func(d frappe.Doc) {
		t := programme.Tier{Name: d.Name(), Enabled: d.Bool("enabled"), Certs: whole(d, "certificates_required"), PMMRequired: whole(d, "pmm_required")}
		t.TargetUSD, _ = d.Float("target_in_usd")
		t.TargetINR, _ = d.Float("target_in_inr")
		in.Tiers = append(in.Tiers, t)
	})
	p.each("Partner Certificate", func(d frappe.Doc) {
		c := evidence.Certificate{Ref: evidence.Ref{Site: "prm", Doctype: "Partner Certificate", Name: d.Name()}, Member: d.Text("partner_member_email"), Course: d.Text("course"), Version: d.Text("version")}
		c.Issued = day(d, "issue_date")
		in.Certs = append(in.Certs, c)
		in.CertPartner[d.Name()] = cmp.Or(team[d.Text("team")], d.Text("team"))
	})
	p.each("PMM Assessment", func(d frappe.Doc) {
		if d.Bool("finalised") {
			in.Finalised[d.Name()] = true
		}
	})
	assessments := p.held["PMM Assessment"]
	for _, r := range assessments.child {
		a, ok := assessments.rows[r.Text("parent")]
		if !ok {
			continue
		}
		o := rules.Override{
			ID: r.Name(), Partner: a.Text("partner"), Criterion: r.Text("criterion"), Kind: rules.Kind(a.Text("kind")), Reason: r.Text("reason"), By: r.Text("decided_by"),
			On: when(r, "decided_on"), ValidUntil: day(r, "valid_until"),
		}
		if o.Outcome.UnmarshalText([]byte(r.Text("verdict"))) != nil || o.Criterion == "" {
			continue // an option of people's own decides nothing
		}
		in.Overrides = append(in.Overrides, o)
	}
	p.each("Partner Audit", func(d frappe.Doc) {
		a := programme.Audit{
			Name: d.Name(), Partner: partner(d), Unlinked: d.Text("custom_pmm_partner") == "", Kind: cmp.Or(d.Text("custom_kind"), programme.KindPMM), Level: whole(d, "custom_pmm_level"), Status: d.Text("status"), Mode: d.Text("mode_of_audit"),
			Requested: day(d, "requested_on"), Proposed: day(d, "proposed_audit_date"), On: day(d, "audit_date"), Outcome: d.Text("custom_outcome"),
			ProposedOutcome: d.Text("custom_proposed_outcome"), Present: map[string]bool{}, Escalation: d.Text("custom_escalation"), Previous: d.Text("custom_previous_audit"),
			Assessment: d.Text("custom_assessment"), Auditor: d.Text("conducted_by"), Modified: when(d, "modified"),
		}
		for _, who := range []string{
			programme.RoleFounder, programme.RoleSales, programme.RoleImplementation, programme.RoleSupport, programme.RoleDeliveryHead,
			programme.RoleSalesHead, programme.RoleProjectManager,
		} {
			a.Present[who] = d.Bool("custom_" + who + "_present")
		}
		in.Audits = append(in.Audits, a)
	})
	p.each("Partner Non Conformance", func(d frappe.Doc) {
		n := programme.NC{
			Name: d.Name(), Partner: partner(d), Unlinked: d.Text("custom_pmm_partner") == "", Audit: d.Text("partner_audit"), Escalation: d.Text("custom_escalation"), Department: d.Text("department"),
			Criterion: d.Text("custom_criterion"), SourceKey: d.Text("custom_source_key"), Status: d.Text("status"), Expected: day(d, "expected_closure"),
			ClosedOn: day(d, "closed_on"), Statement: d.Text("nc_statement"), Disputed: d.Bool("custom_disputed"), Recheck: d.Text("custom_recheck"),
			Overdue: d.Bool("custom_overdue"), Modified: when(d, "modified"),
		}
		if t := when(d, "creation"); !t.IsZero() {
			n.Raised = evidence.DateIn(t, zone)
		}
		in.NCs = append(in.NCs, n)
	})
	points := map[string]int{}
	for _, r := range p.held["Partner Escalation"].child {
		points[r.Text("parent")]++
	}
	p.each("Partner Escalation", func(d frappe.Doc) {
		in.Escalations = append(in.Escalations, programme.Escalation{
			Name: d.Name(), Partner: d.Text("partner"), SourceKey: d.Text("source_key"), Site: d.Text("project_site"), Project: d.Text("project_ref"), Customer: d.Text("customer"),
			Stage: d.Text("stage"), Status: d.Text("status"), Received: when(d, "creation"), ReceivedOn: day(d, "received_on"), ReauditOn: day(d, "reaudit_on"),
			ChecklistShared: day(d, "checklist_shared_on"), Audit: d.Text("reaudit"), Points: points[d.Name()], WarningSent: day(d, "warning_sent_on"),
			CustomerCall: day(d, "customer_call_on"), NCState: d.Text("nc_state"), Severity: d.Text("severity"), Source: d.Text("source"), Modified: when(d, "modified"),
		})
	})
	p.each("PMM Escalation Request", func(d frappe.Doc) {
		in.Requests = append(in.Requests, programme.Request{
			Name: d.Name(), Partner: d.Text("partner"), Company: d.Text("partner_text"), Email: d.Text("contact_email"), Status: d.Text("status"), Escalation: d.Text("escalation"),
			Created: when(d, "creation"), Customer: d.Text("customer"), Contact: d.Text("contact_name"), Project: d.Text("project_text"), Stage: d.Text("stage"),
		})
	})
	for _, i := range p.intake {
		in.Requests = append(in.Requests, p.requests(i, team, when)...)
	}
	p.each("PMM Alert", func(d frappe.Doc) {
		if s := (programme.Snooze{Alert: d.Name(), Acknowledged: d.Bool("acknowledged"), Until: day(d, "snooze_until")}); s.Acknowledged || !s.Until.IsZero() {
			in.Snoozes = append(in.Snoozes, s)
		}
	})
	events := p.held["Event"]
	for _, r := range events.child {
		e, ok := events.rows[r.Text("parent")]
		if !ok || e.Text("status") == "Cancelled" {
			continue
		}
		in.Contacts = append(in.Contacts, programme.Contact{
			Partner: r.Text("reference_docname"), Kind: strings.ToLower(e.Text("event_category")), At: when(e, "starts_on"), Planned: e.Text("status") == "Open",
			Ref: evidence.Ref{Site: "prm", Doctype: "Event", Name: e.Name()},
		})
	}
	in.Unrestricted = p.unrestricted()
	if skew := p.c.Stats().Skew; skew.Abs() > time.Minute {
		in.Skew = skew.Round(time.Minute)
	}
	in.Stale = p.stale(in)
	for _, s := range p.streams() {
		in.Gaps = append(in.Gaps, p.held[s.name()].gaps...)
	}
	in.Gaps = append(in.Gaps, p.held[doctypeUser].gaps...)
	return in
}

// copies are the doctypes whose records copy something of their partner when they
// are saved.
var copies = []struct{ doctype, partner, manager, name string }{
	{"PMM Site", "partner", "partner_manager", ""},
	{"PMM Assessment", "partner", "partner_manager", ""},
	{"Partner Audit", "custom_pmm_partner", "custom_partner_manager", "custom_partner_name"},
	{"Partner Non Conformance", "custom_pmm_partner", "custom_partner_manager", "custom_partner_name"},
	{"Partner Escalation", "partner", "partner_manager", "partner_name"},
	{"PMM Alert", "partner", "partner_manager", ""},
}

// stale finds the open records that show a manager or name of before.
func (p *PRM) stale(in programme.Input) []programme.Stale {
	partners := map[string]programme.Partner{}
	for _, x := range in.Partners {
		partners[x.Key] = x
	}
	closed := map[[2]string]bool{}
	over := func(doctype, name string, is bool) {
		if is {
			closed[[2]string{doctype, name}] = true
		}
	}
	for _, a := range in.Audits {
		over("Partner Audit", a.Name, !a.Live() && (a.Status != programme.AuditCompleted || a.Outcome == programme.Awarded || a.Outcome == programme.NotAwarded))
	}
	for _, n := range in.NCs {
		over("Partner Non Conformance", n.Name, n.Resolved())
	}
	for _, e := range in.Escalations {
		over("Partner Escalation", e.Name, e.Ended())
	}
	newest := map[string]string{} // partner → the assessment of its latest week
	p.each("PMM Assessment", func(d frappe.Doc) {
		if d.Text("kind") == string(rules.Continuous) {
			newest[d.Text("partner")] = max(newest[d.Text("partner")], d.Name())
		}
	})
	p.each("PMM Assessment", func(d frappe.Doc) {
		over("PMM Assessment", d.Name(), d.Bool("finalised") || d.Text("kind") == string(rules.Continuous) && newest[d.Text("partner")] != d.Name())
	})
	var out []programme.Stale
	for _, k := range copies {
		hidden := slices.ContainsFunc(p.held[k.doctype].gaps, func(g evidence.Gap) bool { return g.Field == k.manager || g.Field == k.name && k.name != "" })
		if hidden {
			continue
		}
		p.each(k.doctype, func(d frappe.Doc) {
			x, known := partners[d.Text(k.partner)]
			if !known || closed[[2]string{k.doctype, d.Name()}] || d.Text(k.manager) == x.Manager && (k.name == "" || d.Text(k.name) == x.Name) {
				return
			}
			shows := x.Manager
			if k.name != "" {
				shows += "/" + x.Name
			}
			out = append(out, programme.Stale{Doctype: k.doctype, Name: d.Name(), Partner: x.Key, Shows: shows})
		})
	}
	return out
}

func whole(d frappe.Doc, field string) int {
	if n, ok := d.Int(field); ok {
		return int(n)
	}
	n, err := strconv.Atoi(strings.TrimSpace(d.Text(field)))
	if err != nil {
		return 0
	}
	return n
}

func day(d frappe.Doc, field string) evidence.Date {
	text, _, _ := strings.Cut(d.Text(field), " ")
	v, err := evidence.ParseDate(text)
	if err != nil {
		return evidence.Date{}
	}
	return v
}

// thresholds reads "name=80, other=5"; a bare number is the threshold called
// "value". What cannot be read changes nothing.
func thresholds(s string) map[string]float64 {
	var out map[string]float64
	for part := range strings.SplitSeq(s, ",") {
		name, number, ok := strings.Cut(part, "=")
		if !ok {
			name, number = "value", part
		}
		v, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(number), "%"), 64)
		if err != nil || v != v || v > 1e12 || v < -1e12 {
			continue
		}
		if out == nil {
			out = map[string]float64{}
		}
		out[strings.TrimSpace(name)] = v
	}
	return out
}

// mailProviders lend one domain to everybody: it names no partner.
var mailProviders = []string{"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "proton.me", "zoho.com", "gmx.net"}

// domains are the partner's own mail and web domains.
func domains(d frappe.Doc) []string {
	var out []string
	if _, host, ok := strings.Cut(strings.ToLower(d.Text("email")), "@"); ok && !slices.Contains(mailProviders, host) {
		out = append(out, host)
	}
	site := d.Text("website")
	if site != "" && !strings.Contains(site, "://") {
		site = "https://" + site
	}
	if u, err := url.Parse(site); err == nil && u.Hostname() != "" {
		out = append(out, strings.TrimPrefix(strings.ToLower(u.Hostname()), "www."))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
