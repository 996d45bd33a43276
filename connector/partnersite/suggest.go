package partnersite

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
)

// Clues are what a site shows of where its partner keeps evidence.
type Clues struct {
	Doctypes  []*frappe.Meta // those that no app brings, and those with custom fields
	TaskTypes []string
	Goals     []string // Quality Goals
}

// SuggestMapping looks at the site and proposes a mapping as YAML text, for a
// person to correct: of its own doctypes, custom fields, task types and quality
// goals those whose names look like sign-offs, figures, feedback or the four
// answers of BANT. It sends GET requests alone.
func (s *Site) SuggestMapping(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.discover(ctx, nil, false); err != nil {
		return "", err
	}
	clues, err := s.clues(ctx)
	if err != nil {
		return "", err
	}
	return SuggestMapping(clues), nil
}

// clues collects doctypes by every way that a key of little right has: the list
// of doctypes, what is linked to the doctypes we know, and what versions,
// comments and deletions speak of.
func (s *Site) clues(ctx context.Context) (Clues, error) {
	var out Clues
	names := map[string]bool{}
	take := func(field string, rows []frappe.Doc) {
		for _, r := range rows {
			names[r.Text(field)] = true
		}
	}
	for _, q := range []frappe.ListQuery{
		{Doctype: "DocType", Fields: []string{"name"}, Filters: []frappe.Filter{frappe.Where("custom", "=", 1), frappe.Where("istable", "=", 0)}, OrderBy: "name asc", Limit: 500},
		{Doctype: "Version", Fields: []string{"ref_doctype"}, GroupBy: "ref_doctype", OrderBy: "ref_doctype asc", Limit: 500},
		{Doctype: "Comment", Fields: []string{"reference_doctype"}, GroupBy: "reference_doctype", OrderBy: "reference_doctype asc", Limit: 500},
		{Doctype: "Deleted Document", Fields: []string{"deleted_doctype"}, GroupBy: "deleted_doctype", OrderBy: "deleted_doctype asc", Limit: 500},
		{Doctype: "Communication", Fields: []string{"reference_doctype"}, GroupBy: "reference_doctype", OrderBy: "reference_doctype asc", Limit: 500},
	} {
		rows, err := s.client.List(ctx, q)
		if err = onlyFatal(err); err != nil {
			return out, err
		}
		take(q.Fields[0], rows)
	}
	for _, known := range []string{"Project", "Task", "Issue", "Customer", "Quotation", "Opportunity", "Lead", "Employee"} {
		v, err := s.client.Call(ctx, "frappe.desk.form.linked_with.get_linked_doctypes", map[string]any{"doctype": known})
		if err = onlyFatal(err); err != nil {
			return out, err
		}
		if m, ok := v.(map[string]any); ok {
			for name := range m {
				names[name] = true
			}
		}
	}
	for _, d := range s.o.Mapping.Doctypes() {
		names[d] = true
	}
	for _, st := range streams { // their custom fields
		if st.app != framework && s.installed(st) {
			names[st.doctype] = true
		}
	}
	delete(names, "")
	list := sortedKeys(names)
	metas := make([]*frappe.Meta, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(side)
	for i, name := range list[:min(len(list), 300)] {
		g.Go(func() error {
			m, err := s.client.Meta(gctx, name)
			metas[i] = m
			return onlyFatal(err)
		})
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	for _, m := range metas {
		if m != nil && !m.Table && !m.Single {
			out.Doctypes = append(out.Doctypes, m)
		}
	}
	for doctype, into := range map[string]*[]string{"Task Type": &out.TaskTypes, "Quality Goal": &out.Goals} {
		rows, err := s.client.List(ctx, frappe.ListQuery{Doctype: doctype, Fields: []string{"name"}, OrderBy: "name asc", Limit: 500})
		if err = onlyFatal(err); err != nil {
			return out, err
		}
		for _, r := range rows {
			*into = append(*into, r.Name())
		}
	}
	return out, nil
}

// words tell what a name speaks of. They are tried in order.
type words struct {
	kind    config.Kind
	pattern *regexp.Regexp
}

func w(kind config.Kind, pattern string) words {
	return words{kind, regexp.MustCompile(`(?i)` + pattern)}
}

// phases are the words of sign-offs, by what is signed.
var phases = []words{
	w(config.KindSignOffInvoiceSchedule, `invoice.?schedule|payment.?schedule|billing.?plan`),
	w(config.KindSignOffSchedule, `schedule|timeline|re-?plan`),
	w(config.KindSignOffScope, `scope|change.?(request|order)|\bcr\b`),
	w(config.KindSignOffBRD, `\bbrd\b|\bfrd\b|requirement|blueprint|specification`),
	w(config.KindSignOffUAT, `\buat\b|acceptance.?test|user.?test`),
	w(config.KindSignOffTraining, `training`),
	w(config.KindSignOffGoLive, `go.?live|cut.?over`),
}

// stages are the words of task types that are no sign-offs.
var stages = []words{
	w(config.KindToSupport, `hand.?over.*support|support.*hand.?over`),
	w(config.KindHandover, `hand.?over`),
	w(config.KindKickOff, `kick.?off`),
	w(config.KindSteering, `steering`),
}

// figures are the words of metrics, with their ids.
var figures = []struct {
	metric  string
	pattern *regexp.Regexp
}{
	{"impl.metric.overdue_pct", regexp.MustCompile(`(?i)overdue`)},
	{"support.metric.sla", regexp.MustCompile(`(?i)\bsla\b`)},
	{"sales.metric.conversion", regexp.MustCompile(`(?i)conversion|win.?rate`)},
	{"sales.metric.demo_feedback", regexp.MustCompile(`(?i)demo`)},
	{"support.metric.feedback", regexp.MustCompile(`(?i)ticket.*(rating|feedback|csat|satisf)|support.*(feedback|rating)`)},
	{"sales.metric.sales_feedback", regexp.MustCompile(`(?i)(deal|sales).*(rating|feedback)`)},
	{"impl.metric.satisfaction", regexp.MustCompile(`(?i)satisf|csat|\bnps\b`)},
	{"impl.metric.support_tat", regexp.MustCompile(`(?i)to support|support.*(tat|handover|days)`)},
	{"impl.metric.ready_tat", regexp.MustCompile(`(?i)joining|ready`)},
}

var (
	signing   = regexp.MustCompile(`(?i)sign.?off|signed|accept|approval|protocol|milestone.?(sign|confirm)`)
	counting  = regexp.MustCompile(`(?i)metric|kpi|scorecard|weekly|report`)
	rating    = regexp.MustCompile(`(?i)star|rating|score|csat|nps|satisf|feedback`)
	accepting = regexp.MustCompile(`(?i)^(accepted|approved|signed|done|completed|yes|passed)`)
	refusing  = regexp.MustCompile(`(?i)^(refused|rejected|declined|no|failed|not accepted)`)
	dated     = regexp.MustCompile(`(?i)(sign|decid|accept|approv|answer|held|complet).*(on|date|at)$|date`)
	weekly    = regexp.MustCompile(`(?i)week|period|month`)
	noting    = regexp.MustCompile(`(?i)remark|note|comment`)
	estimated = regexp.MustCompile(`(?i)estimat`)
)

// bant are the words of the four answers on a lead.
var bant = []struct {
	role    string
	pattern *regexp.Regexp
}{
	{"budget", regexp.MustCompile(`(?i)budget`)},
	{"authority", regexp.MustCompile(`(?i)authority|decision`)},
	{"need", regexp.MustCompile(`(?i)need|pain`)},
	{"timeline", regexp.MustCompile(`(?i)timeline|timing|time.?frame`)},
}

// SuggestMapping proposes a mapping as YAML text from clues. It is the same for
// the same clues, and config.ParseMapping reads it.
func SuggestMapping(c Clues) string {
	p := proposal{rules: map[config.Kind][]string{}}
	doctypes := slices.SortedFunc(slices.Values(c.Doctypes), func(a, b *frappe.Meta) int { return cmp.Compare(a.Name, b.Name) })
	for _, m := range doctypes {
		if _, known := streamOf(m.Name); known {
			p.customFields(m)
			continue
		}
		// A doctype may be of one sort alone: what has stars is asked for first,
		// since feedback may name the phase that it is about.
		if !p.feedback(m) && !p.signOffs(m) {
			p.figures(m)
		}
	}
	p.taskTypes(c.TaskTypes)
	p.goals(c.Goals)
	return p.text()
}

// proposal gathers rules as lines of YAML, by kind.
type proposal struct{ rules map[config.Kind][]string }

func (p *proposal) add(kind config.Kind, rule ...string) {
	p.rules[kind] = append(p.rules[kind], "    - {"+strings.Join(rule, ", ")+"}")
}

func (p *proposal) text() string {
	var b strings.Builder
	b.WriteString("# Proposed from the names that were found on the site; nothing here is certain.\n" +
		"# Correct it, drop what is wrong, and add `authoritative: true` to a rule only\n" +
		"# where everything of its kind is kept there, so that silence means \"not done\".\n")
	if len(p.rules) == 0 {
		b.WriteString("# Nothing was found whose name looks like evidence: the defaults apply.\nevidence: {}\n")
		return b.String()
	}
	b.WriteString("evidence:\n")
	for _, kind := range config.Kinds() {
		if rules := p.rules[kind]; len(rules) > 0 {
			fmt.Fprintf(&b, "  %s:\n%s\n", kind, strings.Join(rules, "\n"))
		}
	}
	return b.String()
}

var bare = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_ ./()-]*$`)

// quoted is a text as YAML; anything that could be read otherwise is quoted.
func quoted(s string) string {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off", "true", "false", "null", "y", "n":
	default:
		if bare.MatchString(s) && strings.TrimSpace(s) == s {
			return s
		}
	}
	return "'" + strings.ReplaceAll(strings.Map(printable, s), "'", "''") + "'"
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\u0085' {
		return ' '
	}
	return r
}

// field finds the first field of one of the types whose name or label matches.
func field(m *frappe.Meta, pattern *regexp.Regexp, types ...string) (frappe.Field, bool) {
	for _, f := range m.Fields {
		if slices.Contains(types, f.Type) && (pattern == nil || pattern.MatchString(f.Name) || pattern.MatchString(f.Label)) {
			return f, true
		}
	}
	return frappe.Field{}, false
}

func options(f frappe.Field) []string { return trimmed(strings.Split(f.Options, "\n")) }

// dates names the date of the doctype's records.
func dates(m *frappe.Meta) []string {
	f, ok := field(m, dated, "Date", "Datetime")
	if !ok {
		if f, ok = field(m, nil, "Date", "Datetime"); !ok {
			return nil
		}
	}
	return []string{"date: " + quoted(f.Name)}
}

// project names the field that links to a project, unless it is called so.
func project(m *frappe.Meta) []string {
	n := linkTo(m, "Project")
	if n == "" || n == "project" {
		return nil
	}
	return []string{"project: " + quoted(n)}
}

func kindOf(list []words, text string) (config.Kind, bool) {
	for _, x := range list {
		if x.pattern.MatchString(text) {
			return x.kind, true
		}
	}
	return "", false
}

// signOffs proposes a doctype that holds acceptances of a project's stages.
func (p *proposal) signOffs(m *frappe.Meta) bool {
	if linkTo(m, "Project") == "" {
		return false
	}
	common := append(project(m), dates(m)...)
	var where, done, refused []string
	if m.Submittable {
		where = append(where, "docstatus: 1")
	}
	for _, f := range m.Fields {
		if f.Type != "Select" {
			continue
		}
		for _, o := range options(f) {
			switch {
			case accepting.MatchString(o) && len(done) == 0:
				done = append(done, "done: {"+quoted(f.Name)+": "+quoted(o)+"}")
			case refusing.MatchString(o) && len(refused) == 0:
				refused = append(refused, "refused: {"+quoted(f.Name)+": "+quoted(o)+"}")
			}
		}
	}
	if f, ok := field(m, nil, "Attach", "Attach Image", "Signature"); ok {
		common = append(common, "proof: ['field:"+f.Name+"']")
	} else {
		common = append(common, "proof: [file, mail]")
	}
	found := false
	for _, f := range m.Fields {
		if f.Type != "Select" {
			continue
		}
		for _, o := range options(f) {
			kind, ok := kindOf(phases, o)
			if !ok {
				continue
			}
			found = true
			rule := []string{"doctype: " + quoted(m.Name), "where: {" + strings.Join(append([]string{quoted(f.Name) + ": " + quoted(o)}, where...), ", ") + "}"}
			p.add(kind, slices.Concat(rule, done, refused, common)...)
		}
	}
	if kind, ok := kindOf(phases, m.Name); !found && ok && signing.MatchString(m.Name) {
		rule := []string{"doctype: " + quoted(m.Name)}
		if len(where) > 0 {
			rule = append(rule, "where: {"+strings.Join(where, ", ")+"}")
		}
		p.add(kind, slices.Concat(rule, done, refused, common)...)
		return true
	}
	return found
}

// feedback proposes a doctype that holds customers' ratings.
func (p *proposal) feedback(m *frappe.Meta) bool {
	stars, ok := field(m, nil, "Rating")
	scale := "scale: 5"
	if !ok {
		if !rating.MatchString(m.Name) && !strings.Contains(strings.ToLower(m.Name), "survey") {
			return false
		}
		if stars, ok = field(m, rating, "Float", "Int", "Percent", "Select", "Data"); !ok {
			return false
		}
		scale = ""
	}
	rest := append([]string{"value: " + quoted(stars.Name)}, dates(m)...)
	if scale != "" {
		rest = append(rest, scale)
	}
	if n := linkTo(m, "Quotation"); n != "" {
		rest = append(rest, "fields: {quotation: "+quoted(n)+"}")
	}
	found := false
	for _, f := range m.Fields {
		if f.Type != "Select" {
			continue
		}
		for _, o := range options(f) {
			var kind config.Kind
			switch lower := strings.ToLower(o); {
			case strings.Contains(lower, "demo"):
				kind = config.KindDemoFeedback
			case strings.Contains(lower, "deal") || strings.Contains(lower, "sales"):
				kind = config.KindSalesFeedback
			case strings.Contains(lower, "project") || strings.Contains(lower, "implementation"):
				kind = config.KindSatisfaction
			case strings.Contains(lower, "ticket") || strings.Contains(lower, "support"):
				kind = config.KindTicketFeedback
			default:
				continue
			}
			found = true
			p.add(kind, append([]string{"doctype: " + quoted(m.Name), "where: {" + quoted(f.Name) + ": " + quoted(o) + "}"}, rest...)...)
		}
	}
	if found {
		return true
	}
	kind := config.KindSatisfaction
	switch {
	case linkTo(m, "Project") != "":
		rest = append(rest, project(m)...)
	case linkTo(m, "Quotation") != "" || linkTo(m, "Opportunity") != "":
		kind = config.KindSalesFeedback
	case linkTo(m, "Issue") != "" || linkTo(m, "HD Ticket") != "":
		kind = config.KindTicketFeedback
	default:
		return false
	}
	p.add(kind, append([]string{"doctype: " + quoted(m.Name)}, rest...)...)
	return true
}

// figures proposes a doctype in which figures are written down.
func (p *proposal) figures(m *frappe.Meta) {
	if !counting.MatchString(m.Name) {
		return
	}
	value, ok := field(m, regexp.MustCompile(`(?i)value|figure|result|actual|score|number`), "Float", "Percent", "Int", "Currency")
	if !ok {
		if value, ok = field(m, nil, "Float", "Percent"); !ok {
			return
		}
	}
	rule := []string{"doctype: " + quoted(m.Name)}
	for _, f := range m.Fields {
		if f.Type != "Select" {
			continue
		}
		var metrics []string
		taken := map[string]bool{}
		for _, o := range options(f) {
			if id := metricLike(o); id != "" && !taken[id] {
				taken[id] = true
				metrics = append(metrics, id+": "+quoted(o))
			}
		}
		if len(metrics) > 0 {
			rule = append(rule, "metric: "+quoted(f.Name), "metrics: {"+strings.Join(metrics, ", ")+"}")
			break
		}
	}
	if f, ok := field(m, weekly, "Data", "Select", "Link"); ok {
		rule = append(rule, "period: "+quoted(f.Name))
	} else {
		rule = append(rule, dates(m)...)
	}
	rule = append(rule, "value: "+quoted(value.Name))
	if f, ok := field(m, noting, "Data", "Small Text", "Text"); ok {
		rule = append(rule, "fields: {remark: "+quoted(f.Name)+"}")
	}
	p.add(config.KindReport, rule...)
}

func metricLike(text string) string {
	for _, f := range figures {
		if f.pattern.MatchString(text) {
			return f.metric
		}
	}
	return ""
}

// customFields proposes fields that the partner has put on doctypes of ours.
func (p *proposal) customFields(m *frappe.Meta) {
	custom := func(pattern *regexp.Regexp, types ...string) (frappe.Field, bool) {
		for _, f := range m.Fields {
			if (f.Custom || strings.HasPrefix(f.Name, "custom_")) && (len(types) == 0 || slices.Contains(types, f.Type)) &&
				(pattern.MatchString(f.Name) || pattern.MatchString(f.Label)) {
				return f, true
			}
		}
		return frappe.Field{}, false
	}
	switch m.Name {
	case "Lead", "CRM Lead":
		var answers []string
		for _, b := range bant {
			if f, ok := custom(b.pattern); ok {
				answers = append(answers, b.role+": "+quoted(f.Name))
			}
		}
		if len(answers) > 0 {
			p.add(config.KindBANT, "doctype: "+quoted(m.Name), "fields: {"+strings.Join(answers, ", ")+"}")
		}
	case "Issue":
		if f, ok := custom(rating, "Rating", "Float", "Int"); ok {
			rule := []string{"doctype: Issue", "value: " + quoted(f.Name)}
			for _, name := range []string{"sla_resolution_date", "resolution_date"} {
				if _, ok := m.Field(name); ok {
					rule = append(rule, "date: "+name)
					break
				}
			}
			if f.Type == "Rating" {
				rule = append(rule, "scale: 5")
			}
			p.add(config.KindTicketFeedback, rule...)
		}
	case "Project":
		if f, ok := custom(rating, "Rating", "Float", "Int"); ok {
			rule := []string{"doctype: Project", "project: name", "value: " + quoted(f.Name)}
			if f.Type == "Rating" {
				rule = append(rule, "scale: 5")
			}
			p.add(config.KindSatisfaction, rule...)
		}
	case "Quotation", "Opportunity":
		if f, ok := custom(estimated); ok {
			p.add(config.KindEstimate, "doctype: "+m.Name, "where: {"+quoted(f.Name)+": []}")
		}
	case "Customer":
		if f, ok := custom(regexp.MustCompile(`(?i)sponsor`), "Data"); ok {
			p.add(config.KindSponsor, "doctype: Customer", "fields: {email: "+quoted(f.Name)+"}")
		}
	}
}

// taskTypes proposes types of tasks that stand for stages or sign-offs.
func (p *proposal) taskTypes(types []string) {
	for _, t := range slices.Sorted(slices.Values(types)) {
		rule := []string{"doctype: Task", "where: {type: " + quoted(t) + "}", "done: {status: Completed}", "date: completed_on"}
		if signing.MatchString(t) {
			if kind, ok := kindOf(phases, t); ok {
				p.add(kind, append(rule, "proof: [file, mail]")...)
			}
		} else if kind, ok := kindOf(stages, t); ok {
			p.add(kind, rule...)
		}
	}
}

// goals proposes quality goals that stand for metrics.
func (p *proposal) goals(goals []string) {
	var metrics []string
	taken := map[string]bool{}
	for _, g := range slices.Sorted(slices.Values(goals)) {
		if id := metricLike(g); id != "" && !taken[id] {
			taken[id] = true
			metrics = append(metrics, id+": "+quoted(g))
		}
	}
	if len(metrics) > 0 {
		p.add(config.KindReport, "doctype: Quality Review", "date: date", "metric: goal", "metrics: {"+strings.Join(metrics, ", ")+"}",
			"value: reviews.review", "target: reviews.target")
	}
}
