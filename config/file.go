package config

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// document is what the file says.
type document struct {
	prm      PRM // deployment, private network and intake only
	policy   Policy
	partners []Partner
}

// The keys of the file. A default is written as a person would write it and
// read like any other value, so that the documentation cannot differ from it.

var documentKeys = []field[document]{
	{key: "prm", fallback: "{}", meaning: "how the PRM is built", read: func(r *reader, v value, d *document) { read(r, v, prmKeys, &d.prm) }},
	{key: "policy", fallback: "{}", meaning: "thresholds that are no criterion's own", read: func(r *reader, v value, d *document) { read(r, v, policyKeys, &d.policy) }},
	{key: "partners", meaning: "one element for each partner", read: func(r *reader, v value, d *document) { d.partners = r.partners(v) }},
}

var prmKeys = []field[PRM]{
	{key: "deployment", fallback: "bare", meaning: "bare (provision creates every doctype) or press (a site with frappe/press)", read: func(r *reader, v value, p *PRM) { word(r, v, &p.Deployment, Bare, Press) }},
	{key: "allow_private_network", fallback: "false", meaning: "the PRM may have a loopback or private address, and plain http", read: func(r *reader, v value, p *PRM) { r.truth(v, &p.AllowPrivateNetwork) }},
	{key: "intake", meaning: "further doctypes of the PRM in which customers ask for help; each record becomes one Partner Escalation", read: func(r *reader, v value, p *PRM) { p.Intake = r.intake(v) }},
}

var intakeKeys = []field[Intake]{
	{key: "doctype", required: true, meaning: "the doctype, such as that of a feedback form or a customer portal; the runtime user must be allowed to read it", read: func(r *reader, v value, i *Intake) { i.Doctype = r.doctype(v) }},
	{key: "since", required: true, meaning: "records created before this date are left alone, as in 2026-11-01", read: func(r *reader, v value, i *Intake) { r.date(v, &i.Since) }},
	{key: "partner", required: true, meaning: "field with the partner: its key or own record on the PRM, or the name or mail domain that the customer wrote", read: func(r *reader, v value, i *Intake) { i.Partner = r.fieldname(v) }},
	{key: "where", meaning: "values that a record must have to be a request, by field; without it every record is one", read: func(r *reader, v value, i *Intake) { i.Where = r.where(v) }},
	{key: "customer", meaning: "field with the customer's company; without it the contact's name", read: func(r *reader, v value, i *Intake) { i.Customer = r.fieldname(v) }},
	{key: "contact", meaning: "field with the contact's name", read: func(r *reader, v value, i *Intake) { i.Contact = r.fieldname(v) }},
	{key: "email", meaning: "field with the contact's address", read: func(r *reader, v value, i *Intake) { i.Email = r.fieldname(v) }},
	{key: "project", meaning: "field with the project as the customer calls it", read: func(r *reader, v value, i *Intake) { i.Project = r.fieldname(v) }},
	{key: "stage", meaning: "field that holds Sales, Implementation or Support", read: func(r *reader, v value, i *Intake) { i.Stage = r.fieldname(v) }},
	{key: "source", fallback: "other", meaning: "what the escalation names as its source: form (of the partner listing), portal or other", read: func(r *reader, v value, i *Intake) { word(r, v, &i.Source, FormSource, PortalSource, OtherSource) }},
}

var policyKeys = []field[Policy]{
	{key: "stale_after", fallback: "24h", meaning: "age of the last complete read after which verdicts turn to Insufficient Evidence", read: func(r *reader, v value, p *Policy) { r.duration(v, time.Minute, 366*24*time.Hour, &p.StaleAfter) }},
	{key: "delete_brake", fallback: "20%", meaning: "share of a doctype's records that may vanish at once before their removal is believed", read: func(r *reader, v value, p *Policy) { r.share(v, &p.DeleteBrake) }},
	{key: "change_brake", fallback: "20%", meaning: "share of verdicts that may flip between Met and Not Met within 24 hours before writing stops", read: func(r *reader, v value, p *Policy) { r.share(v, &p.ChangeBrake) }},
	{key: "retention", fallback: "36 months", meaning: "how long history is kept", read: func(r *reader, v value, p *Policy) { r.count(v, 1, 1200, inMonths, &p.RetentionMonths) }},
	{key: "nc_mode", fallback: "propose", meaning: "what an audit's finding becomes: propose (a person raises it) or raise", read: func(r *reader, v value, p *Policy) { word(r, v, &p.NCMode, Propose, Raise) }},
	{key: "late_report", fallback: "3 days", meaning: "time after a week's end until its report is late (house default)", read: func(r *reader, v value, p *Policy) { r.count(v, 0, 31, inDays, &p.LateReportDays) }},
	{key: "monthly_window", fallback: "3 months", meaning: "calendar months that monthly metrics are judged over (house default)", read: func(r *reader, v value, p *Policy) { r.count(v, 1, 24, inMonths, &p.MonthlyWindow) }},
	{key: "population", fallback: "12 months", meaning: "time within which a project was active to be drawn into a sample (house default)", read: func(r *reader, v value, p *Policy) { r.count(v, 1, 120, inMonths, &p.PopulationMonths) }},
	{key: "repeat_within", fallback: "24 months", meaning: "time within which a criterion missed again is a repeat finding (house default)", read: func(r *reader, v value, p *Policy) { r.count(v, 1, 120, inMonths, &p.RepeatMonths) }},
	{key: "unattended_after", fallback: "2 days", meaning: "working days an escalation may wait for a person (house default)", read: func(r *reader, v value, p *Policy) { r.count(v, 0, 60, inDays, &p.UnattendedDays) }},
	{key: "engagement", fallback: "{}", meaning: "longest time between two engagements, by the tier's title in lower case", read: func(r *reader, v value, p *Policy) { r.engagement(v, p) }},
	{key: "inactive", fallback: "{}", meaning: "when a partner counts as inactive", read: func(r *reader, v value, p *Policy) { read(r, v, inactiveKeys, &p.Inactive) }},
	{key: "poor", fallback: "{}", meaning: "from where on a metric calls for an action", read: func(r *reader, v value, p *Policy) { read(r, v, poorKeys, &p.Poor) }},
	{key: "differ", fallback: "{}", meaning: "from where on a reported value differs from the recomputed one", read: func(r *reader, v value, p *Policy) { read(r, v, differKeys, &p.Differ) }},
}

// engagementDefaults are the house's, as further tiers may be named beside them.
var engagementDefaults = []struct{ tier, every string }{
	{"gold", "7 days"}, {"silver", "14 days"}, {"bronze", "30 days"}, {"emerging", "60 days"}, {"entry", "60 days"},
}

var inactiveKeys = []field[Inactive]{
	{key: "revenue_below_usd", fallback: "100", meaning: "monthly revenue in US dollars that counts as too little (house default)", read: func(r *reader, v value, i *Inactive) { r.number(v, 0, 1e9, &i.RevenueUSD) }},
	{key: "revenue_for", fallback: "2 months", meaning: "months in a row with too little revenue (house default)", read: func(r *reader, v value, i *Inactive) { r.count(v, 1, 60, inMonths, &i.RevenueMonths) }},
	{key: "engagement_intervals", fallback: "2", meaning: "engagement intervals that passed without one (house default)", read: func(r *reader, v value, i *Inactive) { r.number(v, 1, 100, &i.EngagementIntervals) }},
}

var poorKeys = []field[Poor]{
	{key: "overdue", fallback: "20%", meaning: "share of overdue tasks above which it is poor (house default)", read: func(r *reader, v value, p *Poor) { r.share(v, &p.Overdue) }},
	{key: "sla", fallback: "90%", meaning: "share of tickets within their agreement below which it is poor (house default)", read: func(r *reader, v value, p *Poor) { r.share(v, &p.SLA) }},
	{key: "rating", fallback: "4", meaning: "stars of 5 below which satisfaction and feedback are poor (house default)", read: func(r *reader, v value, p *Poor) { r.number(v, 0, 5, &p.Rating) }},
	{key: "conversion_drop", fallback: "25%", meaning: "fall below the partner's own mean of 12 weeks (house default)", read: func(r *reader, v value, p *Poor) { r.share(v, &p.ConversionDrop) }},
}

var differKeys = []field[Differ]{
	{key: "points", fallback: "2", meaning: "percentage points (house default)", read: func(r *reader, v value, d *Differ) { r.number(v, 0, 100, &d.Points) }},
	{key: "stars", fallback: "0.1", meaning: "stars of 5 (house default)", read: func(r *reader, v value, d *Differ) { r.number(v, 0, 5, &d.Stars) }},
}

var partnerKeys = []field[Partner]{
	{key: "key", required: true, meaning: "stable name in lower case, part of every key on the PRM", read: func(r *reader, v value, p *Partner) { p.Key = r.stableKey(v) }},
	{key: "name", meaning: "the company's name; without it the key", read: func(r *reader, v value, p *Partner) { p.Name, _ = r.text(v) }},
	{key: "master", meaning: "the partner's own record on the PRM", read: func(r *reader, v value, p *Partner) { read(r, v, masterKeys, &p.Master) }},
	{key: "mail_domains", meaning: "the partner's mail domains; they tell sent from received", read: func(r *reader, v value, p *Partner) { p.MailDomains = r.mailDomains(v) }},
	{key: "sites", required: true, meaning: "one element for each site", read: func(r *reader, v value, p *Partner) { p.Sites = r.partnerSites(v) }},
}

var masterKeys = []field[Master]{
	{key: "doctype", required: true, meaning: "such as Team or Sales Partner", read: func(r *reader, v value, m *Master) { m.Doctype, _ = r.text(v) }},
	{key: "name", required: true, meaning: "the record's name", read: func(r *reader, v value, m *Master) { m.Name, _ = r.text(v) }},
}

var siteKeys = []field[Site]{
	{key: "key", required: true, meaning: "stable name in lower case, while the address may change", read: func(r *reader, v value, s *Site) { s.Key = r.stableKey(v) }},
	// Before url, which depends on it.
	{key: "allow_private_network", fallback: "false", meaning: "the site may have a loopback or private address, and plain http", read: func(r *reader, v value, s *Site) { r.truth(v, &s.AllowPrivateNetwork) }},
	{key: "url", required: true, meaning: "the site's address, https://host", read: func(r *reader, v value, s *Site) { r.siteURL(v, s) }},
	{key: "api_key", required: true, meaning: "${NAME} of the variable, NAME_FILE or credential with the API key", read: func(r *reader, v value, s *Site) { s.APIKey = r.token(v) }},
	{key: "api_secret", required: true, meaning: "${NAME} of the variable, NAME_FILE or credential with the API secret", read: func(r *reader, v value, s *Site) { s.APISecret = r.token(v) }},
	{key: "schedule", meaning: "when the site is polled; without it PRMSYNC_SCHEDULE", read: func(r *reader, v value, s *Site) { r.schedule(v, s) }},
	{key: "purpose", fallback: "all", meaning: "whose evidence the site holds: all, delivery, support or sales", read: func(r *reader, v value, s *Site) { word(r, v, &s.Purpose, AllPurposes, Delivery, Support, Sales) }},
	{key: "time_zone", meaning: "the site's zone, as in Europe/Berlin; without it the site is asked", read: func(r *reader, v value, s *Site) { r.zone(v, s) }},
	{key: "ca_file", meaning: "PEM file of a private certificate authority", read: func(r *reader, v value, s *Site) { r.caFile(v, s) }},
	{key: "proxy", meaning: "proxy's address; the environment's proxy variables are ignored", read: func(r *reader, v value, s *Site) { r.proxy(v, s) }},
	{key: "mapping", meaning: "file that says where this partner keeps its evidence; without it the defaults", read: func(r *reader, v value, s *Site) { r.mapping(v, s) }},
}

// Key describes one key of the file.
type Key struct {
	Path     string // partners[].sites[].url
	Default  string // as YAML; "" for none
	Required bool
	Meaning  string
}

// Keys returns every key of the file, in the order of the documentation.
func Keys() []Key {
	var out []Key
	out = append(out, describe("prm.", prmKeys)...)
	out = append(out, describe("prm.intake[].", intakeKeys)...)
	for _, k := range describe("policy.", policyKeys) {
		out = append(out, k)
		switch k.Path {
		case "policy.engagement":
			for _, e := range engagementDefaults {
				out = append(out, Key{Path: k.Path + "." + e.tier, Default: e.every, Meaning: "interval of tier " + e.tier + " (house default)"})
			}
		case "policy.inactive":
			out = append(out, describe(k.Path+".", inactiveKeys)...)
		case "policy.poor":
			out = append(out, describe(k.Path+".", poorKeys)...)
		case "policy.differ":
			out = append(out, describe(k.Path+".", differKeys)...)
		}
	}
	for _, k := range describe("partners[].", partnerKeys) {
		out = append(out, k)
		switch k.Path {
		case "partners[].master":
			out = append(out, describe(k.Path+".", masterKeys)...)
		case "partners[].sites":
			out = append(out, describe(k.Path+"[].", siteKeys)...)
		}
	}
	return out
}

func describe[T any](path string, table []field[T]) []Key {
	out := make([]Key, len(table))
	for i, f := range table {
		out[i] = Key{Path: path + f.key, Default: f.fallback, Required: f.required, Meaning: f.meaning}
		if f.fallback == "{}" {
			out[i].Default = ""
		}
	}
	return out
}

// document reads the file as far as it is needed.
func (r *reader) document(needs Needs) document {
	var d document
	defaults := func() document {
		read(r, r.fallback("", "{}"), documentKeys, &d)
		return d
	}
	if !needs.Partners && !needs.PRM && !needs.Provisioning {
		return defaults()
	}
	text, err := readFile(r.path, fileLimit)
	if err != nil {
		if needs.Partners {
			r.env.wrong(prefix+"CONFIG", "the file "+shown(r.path)+" "+err.Error(), "name the file of partners and sites")
		}
		return defaults()
	}
	root := r.parse(text)
	if root == nil {
		if needs.Partners && len(*r.errs) == 0 {
			*r.errs = append(*r.errs, Mistake{Source: r.path, Problem: "the file holds nothing", Remedy: "name at least one partner"})
		}
		return defaults()
	}
	top := value{node: root}
	read(r, top, documentKeys, &d)
	if _, ok := r.bare(root).(ast.MapNode); ok && needs.Partners && d.partners == nil && !r.has(top, "partners") {
		r.wrong(value{node: root, key: "partners"}, "this key is missing", "name at least one partner, or write partners: [] while there is none")
	}
	return d
}

// has reports whether the mapping v has the key, set to something.
func (r *reader) has(v value, key string) bool {
	return slices.ContainsFunc(r.pairs(v, 0), func(p pair) bool { return p.key == key && !r.unset(p.value) })
}

func (r *reader) engagement(v value, p *Policy) {
	p.EngagementDays = make(map[string]int)
	for _, e := range engagementDefaults {
		days := 0
		r.count(r.fallback(e.tier, e.every), 1, 366, inDays, &days)
		p.EngagementDays[e.tier] = days
	}
	seen := make(map[string]bool)
	for _, pair := range r.pairs(v, 0) {
		tier := pair.key
		if tier == "" || tier != strings.ToLower(tier) {
			r.wrong(value{node: pair.name, key: shownKey(tier)}, "it is not a tier's title in lower case", "write it as in gold")
			continue
		}
		if seen[tier] {
			if !pair.merged {
				r.wrong(value{node: pair.name, key: tier}, "this key stands here twice", "keep one of them")
			}
			continue
		}
		seen[tier] = true
		days := p.EngagementDays[tier]
		r.count(pair.value, 1, 366, inDays, &days)
		p.EngagementDays[tier] = days
	}
}

// ownDoctypes are read in any case: mapped again, a request would count twice.
var ownDoctypes = []string{"PMM Escalation Request", "Partner Escalation"}

func (r *reader) intake(v value) []Intake {
	var out []Intake
	first := make(map[string]int) // doctype → line
	for _, item := range r.items(v) {
		var i Intake
		read(r, item, intakeKeys, &i)
		line, _ := item.position()
		switch at, ok := first[i.Doctype]; {
		case i.Doctype == "":
		case slices.ContainsFunc(ownDoctypes, func(own string) bool { return strings.EqualFold(own, i.Doctype) }):
			r.wrong(value{node: item.node, key: "doctype"}, i.Doctype+" is read without being named here", "take it out")
		case ok:
			r.wrong(value{node: item.node, key: "doctype"}, fmt.Sprintf("%s stands here twice, first in line %d", i.Doctype, at), "keep one of them")
		default:
			first[i.Doctype] = line
		}
		out = append(out, i)
	}
	return out
}

var (
	doctypeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9 _-]{0,60}$`)
	fieldName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

func (r *reader) doctype(v value) string {
	text, ok := r.text(v)
	if ok && !doctypeName.MatchString(text) {
		r.wrong(v, shown(text)+" is not the name of a doctype", "write it as the PRM shows it, as in Partner Feedback")
		return ""
	}
	return text
}

func (r *reader) fieldname(v value) string {
	text, ok := r.text(v)
	if ok && !fieldName.MatchString(text) {
		r.wrong(v, shown(text)+" is not a field's name", "write the name, not the label, as in partner_name")
		return ""
	}
	return text
}

func (r *reader) date(v value, into *time.Time) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		r.wrong(v, shown(text)+" is not a date", "write it as in 2026-11-01")
		return
	}
	*into = t
}

// where reads values by field: texts, whole numbers, and true or false for a
// checked box.
func (r *reader) where(v value) map[string]string {
	out := make(map[string]string)
	for _, p := range r.pairs(v, 0) {
		if !fieldName.MatchString(p.key) {
			r.wrong(value{node: p.name, key: shownKey(p.key)}, "it is not a field's name", "write the name, not the label, as in kind")
			continue
		}
		if _, ok := out[p.key]; ok {
			if !p.merged {
				r.wrong(value{node: p.name, key: p.key}, "this key stands here twice", "keep one of them")
			}
			continue
		}
		if _, ok := r.bare(p.node).(*ast.BoolNode); ok {
			checked := false
			r.truth(p.value, &checked)
			out[p.key] = map[bool]string{false: "0", true: "1"}[checked]
			continue
		}
		if text, ok := r.scalar(p.value, "Complaint"); ok {
			out[p.key] = text
		}
	}
	return out
}

func (r *reader) partners(v value) []Partner {
	out := []Partner{}
	first := make(map[string]int)   // partner key → line
	masters := make(map[Master]int) // master → line
	for _, item := range r.items(v) {
		before := len(r.sites)
		var p Partner
		read(r, item, partnerKeys, &p)
		if p.Name == "" {
			p.Name = p.Key
		}
		line, _ := item.position()
		if at, ok := first[p.Key]; ok && p.Key != "" {
			r.wrong(value{node: item.node, key: "key"}, fmt.Sprintf("the partner %s stands here twice, first in line %d", p.Key, at), "give each partner a key of its own")
		} else {
			first[p.Key] = line
		}
		if at, ok := masters[p.Master]; ok && p.Master != (Master{}) {
			r.wrong(value{node: item.node, key: "master"}, fmt.Sprintf("another partner, in line %d, has the same master", at), "keep one partner for each record on the PRM")
		} else {
			masters[p.Master] = line
		}
		for i := before; i < len(r.sites); i++ {
			r.sites[i].partner = p.Key
		}
		out = append(out, p)
	}
	return out
}

func (r *reader) partnerSites(v value) []Site {
	items := r.items(v)
	if len(items) == 0 && r.form(v) == "a list" {
		r.wrong(v, "a partner needs at least one site", "add one, or take the partner out")
	}
	var out []Site
	first := make(map[string]int)
	for _, item := range items {
		var s Site
		read(r, item, siteKeys, &s)
		line, _ := item.position()
		if at, ok := first[s.Key]; ok && s.Key != "" {
			r.wrong(value{node: item.node, key: "key"}, fmt.Sprintf("the site %s stands here twice, first in line %d", s.Key, at), "give each site of a partner a key of its own")
		} else {
			first[s.Key] = line
		}
		r.sites = append(r.sites, siteAt{site: s, value: item})
		out = append(out, s)
	}
	return out
}

// siteAt is a site with its place in the file.
type siteAt struct {
	value
	partner string
	site    Site
}

// together checks what only the whole file shows.
func (r *reader) together(c Config) {
	byURL := make(map[string]siteAt)
	byKey := make(map[string]siteAt)
	for _, s := range r.sites {
		line := func(a siteAt) int { l, _ := a.position(); return l }
		if at, ok := byURL[s.site.URL]; ok && s.site.URL != "" {
			problem := fmt.Sprintf("the site in line %d has the same address", line(at))
			if at.partner != s.partner {
				problem = fmt.Sprintf("it also serves partner %s, in line %d", at.partner, line(at))
			}
			r.wrong(value{node: s.node, key: "url"}, problem, "keep one site for one partner, as nobody could tell whose evidence it holds")
		} else {
			byURL[s.site.URL] = s
		}
		if s.site.URL != "" && s.site.URL == c.PRM.URL {
			r.warnings = append(r.warnings, r.mistake(value{node: s.node, key: "url"},
				"the PRM itself stands here as a partner's site", "prmsync writes to the PRM; name the partner's own site"))
		}
		// Keys on the PRM join both with a dash, so a-b and c look like a and b-c.
		joined := s.partner + "-" + s.site.Key
		if at, ok := byKey[joined]; ok && at.partner != s.partner && s.site.Key != "" {
			r.wrong(value{node: s.node, key: "key"}, fmt.Sprintf("%s and the site in line %d get the same key on the PRM", joined, line(at)), "rename one of them")
		} else {
			byKey[joined] = s
		}
	}
}

var stableKey = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?$`)

func (r *reader) stableKey(v value) string {
	text, ok := r.text(v)
	if !ok {
		return ""
	}
	if !stableKey.MatchString(text) {
		r.wrong(v, shown(text)+" is not a key", "use up to 40 lower-case letters, digits and dashes")
		return ""
	}
	return text
}

func (r *reader) mailDomains(v value) []string {
	var out []string
	for _, item := range r.items(v) {
		text, ok := r.text(item)
		if !ok {
			continue
		}
		domain := strings.ToLower(strings.TrimSuffix(text, "."))
		if !plainHost(domain) || !strings.Contains(domain, ".") {
			r.wrong(item, shown(text)+" is not a mail domain", "write what follows the @, as in meridian.example")
			continue
		}
		out = append(out, domain)
	}
	return out
}

func (r *reader) siteURL(v value, s *Site) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	address, problem, remedy := siteAddress(text, s.AllowPrivateNetwork)
	if problem != "" {
		r.wrong(v, problem, remedy)
		return
	}
	s.URL = address
}

var reference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// token reads half of a site's token. Nothing of it is ever repeated.
func (r *reader) token(v value) Secret {
	text, ok := r.text(v)
	if !ok {
		return Secret{}
	}
	name := reference.FindStringSubmatch(text)
	if name == nil {
		if problem, _ := tokenProblem(text); problem != "" || strings.Contains(text, "${") {
			r.wrong(v, "it is neither ${NAME} nor a key", "write ${NAME} and set the variable NAME")
			return Secret{}
		}
		r.env.secrets = append(r.env.secrets, text)
		r.warnings = append(r.warnings, r.mistake(v, "it stands in the file as it is", "write ${NAME} and set the variable NAME, NAME_FILE or a systemd credential"))
		return NewSecret(text)
	}
	text, ok, problem, remedy := r.env.secret(name[1])
	if problem == "" && ok {
		problem, remedy = tokenProblem(text)
	}
	switch {
	case problem != "":
		r.wrong(v, problem, remedy)
		return Secret{}
	case !ok:
		r.wrong(v, name[1]+" is not set", "set it, "+name[1]+"_FILE, or a systemd credential of that name")
		return Secret{}
	}
	return NewSecret(text)
}

func (r *reader) schedule(v value, s *Site) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	when, problem, remedy := parseCron(text)
	if problem != "" {
		r.wrong(v, problem, remedy)
		return
	}
	s.Schedule = Schedule{expression: text, when: when}
}

func (r *reader) zone(v value, s *Site) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	zone, err := time.LoadLocation(text)
	if err != nil || text == "Local" {
		r.wrong(v, shown(text)+" is not a time zone", "write it as in Europe/Berlin")
		return
	}
	s.TimeZone = zone
}

func (r *reader) caFile(v value, s *Site) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	pem, err := readFile(r.beside(text), 1<<20)
	if err != nil {
		r.wrong(v, shown(text)+" "+err.Error(), "name a PEM file, from this file's folder")
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		r.wrong(v, shown(text)+" holds no certificate", "name a file in PEM form")
		return
	}
	s.CAFile = r.beside(text)
}

func (r *reader) proxy(v value, s *Site) {
	const example = "write it as in http://proxy.example.com:3128"
	text, ok := r.text(v)
	if !ok {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		r.wrong(v, "it is not a proxy's address", example)
	case u.User != nil:
		r.wrong(v, "a user name or password stands in the address", "use a proxy that knows this machine by its address")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		r.wrong(v, shown(text)+" is not an http, https or socks5 proxy", example)
	default:
		s.Proxy = u.Scheme + "://" + u.Host
	}
}

func (r *reader) mapping(v value, s *Site) {
	text, ok := r.text(v)
	if !ok {
		return
	}
	path := r.beside(text)
	s.MappingPath = path
	if m, ok := r.mappings[path]; ok {
		s.Mapping = m
		return
	}
	b, err := readFile(path, maxMappingBytes)
	if err != nil {
		r.wrong(v, shown(text)+" "+err.Error(), "name a mapping, from this file's folder")
		return
	}
	s.Mapping, err = ParseMapping(path, b)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			*r.errs = append(*r.errs, mappingMistake(line))
		}
	}
	if r.mappings == nil {
		r.mappings = make(map[string]Mapping)
	}
	// A mapping that several sites share is read, and complained about, once.
	r.mappings[path] = s.Mapping
}

var placed = regexp.MustCompile(`^(.*?):([0-9]+):([0-9]+): (.*)$`)

// mappingMistake takes a line of ParseMapping's error apart, so that it is
// sorted among the others.
func mappingMistake(line string) Mistake {
	m := placed.FindStringSubmatch(line)
	if m == nil {
		return Mistake{Problem: line}
	}
	at := func(digits string) int {
		n, _ := strconv.Atoi(digits) // digits by the pattern
		return n
	}
	return Mistake{Source: m[1], Line: at(m[2]), Column: at(m[3]), Problem: m[4]}
}
