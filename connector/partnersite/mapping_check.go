package partnersite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
)

// Problem is one thing in a mapping that does not fit the site.
type Problem struct {
	Kind    config.Kind `json:"kind"`
	Doctype string      `json:"doctype"`
	Field   string      `json:"field,omitempty"`
	Text    string      `json:"text"`
	Remedy  string      `json:"remedy"`
	// Fatal says that the rule can find nothing as it stands, so that silence of
	// its kind proves nothing.
	Fatal bool `json:"fatal"`
}

// String is the problem on one line.
func (p Problem) String() string { return fmt.Sprintf("%s: %s; %s", p.Kind, p.Text, p.Remedy) }

// CheckMapping says what in a mapping does not fit the doctypes that a site has.
// metas holds them by name; one that is nil is known not to exist, one that is
// missing is not judged. The problems are in the order of kind and rule.
func CheckMapping(m config.Mapping, metas map[string]*frappe.Meta) []Problem {
	var out []Problem
	for _, kind := range sortedKinds(m.Evidence) {
		for _, r := range m.Evidence[kind] {
			out = append(out, checkRule(kind, r, metas)...)
		}
	}
	return out
}

func checkRule(kind config.Kind, r config.Rule, metas map[string]*frappe.Meta) []Problem {
	meta, asked := metas[r.Doctype]
	if !asked {
		return nil
	}
	problem := func(field, text, remedy string, fatal bool) Problem {
		return Problem{Kind: kind, Doctype: r.Doctype, Field: field, Text: text, Remedy: remedy, Fatal: fatal}
	}
	if meta == nil {
		var names []string
		for n, m := range metas {
			if m != nil {
				names = append(names, n)
			}
		}
		remedy := "check the spelling in the desk (search for the doctype's list)"
		if n := nearest(r.Doctype, names); n != "" {
			remedy = fmt.Sprintf("did you mean `%s`?", n)
		}
		return []Problem{problem("", fmt.Sprintf("the site has no doctype `%s`", r.Doctype), remedy, true)}
	}
	if meta.Table {
		return []Problem{problem("", fmt.Sprintf("`%s` is a child table and has no list of its own", r.Doctype),
			"name the doctype that holds it, and reach into it with `table_field.field`", true)}
	}
	if meta.Single {
		return []Problem{problem("", fmt.Sprintf("`%s` is a settings page with one record", r.Doctype), "name a doctype that has records", true)}
	}
	var out []Problem
	seen := map[string]bool{}
	field := func(name string, fatal bool) (frappe.Field, bool) {
		if name == "" || slices.Contains(everyRecord, name) {
			return frappe.Field{}, false
		}
		f, text, remedy := lookUp(meta, name)
		if text != "" && !seen[name] {
			seen[name] = true
			out = append(out, problem(name, text, remedy, fatal))
		}
		return f, text == ""
	}
	for _, c := range []config.Conditions{r.Where, r.Done, r.Refused, r.NoValue} {
		for _, name := range sortedKeys(c) {
			f, ok := field(name, true)
			if !ok || f.Type != "Select" {
				continue
			}
			options := strings.Split(f.Options, "\n")
			for _, want := range c[name] {
				if !slices.ContainsFunc(options, func(o string) bool { return config.Like(want, strings.TrimSpace(o)) }) && want != "" {
					remedy := "its options are " + short(strings.Join(trimmed(options), ", "), 200)
					if n := nearest(want, trimmed(options)); n != "" {
						remedy = fmt.Sprintf("did you mean `%s`? %s", n, remedy)
					}
					out = append(out, problem(name, fmt.Sprintf("the field `%s` of `%s` never holds `%s`", name, r.Doctype, want), remedy, false))
				}
			}
		}
	}
	for part := range strings.SplitSeq(r.Project, ":") {
		field(part, true)
	}
	if f, ok := field(r.Date, true); ok && !slices.Contains([]string{"Date", "Datetime", "Data", "Read Only"}, f.Type) {
		out = append(out, problem(r.Date, fmt.Sprintf("the field `%s` of `%s` is no date but %s", r.Date, r.Doctype, f.Type), "name a Date or Datetime field", true))
	}
	if f, ok := field(r.Value, true); ok {
		switch f.Type {
		case "Link", "Check", "Date", "Datetime", "Attach":
			out = append(out, problem(r.Value, fmt.Sprintf("the field `%s` of `%s` holds no number: it is %s", r.Value, r.Doctype, f.Type), "name the field that holds the figure", true))
		case "Rating":
			if r.Scale == 0 {
				out = append(out, problem(r.Value, fmt.Sprintf("`%s` of `%s` is a Rating, which Frappe keeps as 0 to 1", r.Value, r.Doctype), "add `scale: 5` to get stars", false))
			}
		}
	}
	field(r.Metric, true)
	field(r.Period, true)
	field(r.Target, false)
	for _, role := range sortedKeys(r.Fields) {
		field(r.Fields[role], false)
	}
	for _, p := range r.Proof {
		if name, ok := strings.CutPrefix(p, "field:"); ok {
			if f, ok := field(name, true); ok && !slices.Contains([]string{"Attach", "Attach Image", "Data", "Link", "Signature", "Small Text"}, f.Type) {
				out = append(out, problem(name, fmt.Sprintf("the field `%s` of `%s` holds no document: it is %s", name, r.Doctype, f.Type), "name an Attach field", false))
			}
		}
	}
	if projectKind(kind) && r.Project == "" && r.Doctype != "Project" {
		if _, ok := meta.Field("project"); !ok {
			remedy := "add `project:` with the field that names the project"
			if n := linkTo(meta, "Project"); n != "" {
				remedy = fmt.Sprintf("add `project: %s`", n)
			}
			out = append(out, problem("project", fmt.Sprintf("`%s` has no field `project`, so nothing found there belongs to a project", r.Doctype), remedy, true))
		}
	}
	return out
}

// everyRecord are the columns that stand in no meta.
var everyRecord = append([]string{"_assign", "_user_tags", "_comments", "_liked_by", "idx", "doctype"}, always...)

// lookUp finds a field, of the record or of a child table, or says what is
// wrong with the name.
func lookUp(meta *frappe.Meta, name string) (f frappe.Field, text, remedy string) {
	own, child, dotted := strings.Cut(name, ".")
	f, ok := meta.Field(own)
	if !ok {
		return f, fmt.Sprintf("%s has no field `%s`", meta.Name, own), suggestField(meta, own)
	}
	if !dotted {
		return f, "", ""
	}
	if !isTable(f.Type) {
		return f, fmt.Sprintf("`%s` of %s is no child table but %s", own, meta.Name, f.Type), "leave out what stands behind the dot, or name the table field"
	}
	rows := meta.Children[f.Options]
	if rows == nil || slices.Contains(everyRecord, child) {
		return frappe.Field{}, "", ""
	}
	if f, ok = rows.Field(child); !ok {
		return f, fmt.Sprintf("the rows in `%s` of %s have no field `%s`", own, meta.Name, child), suggestField(rows, child)
	}
	return f, "", ""
}

func suggestField(meta *frappe.Meta, name string) string {
	var names []string
	for _, f := range meta.Fields {
		if noColumn[f.Type] {
			continue
		}
		names = append(names, f.Name)
		if strings.EqualFold(f.Label, name) {
			return fmt.Sprintf("the field labelled `%s` is called `%s`", f.Label, f.Name)
		}
	}
	if n := nearest(name, names); n != "" {
		return fmt.Sprintf("did you mean `%s`?", n)
	}
	return fmt.Sprintf("open the form of %s, menu Customize, to see the names of its fields", meta.Name)
}

func linkTo(meta *frappe.Meta, doctype string) string {
	for _, f := range meta.Fields {
		if f.Type == "Link" && f.Options == doctype {
			return f.Name
		}
	}
	return ""
}

func trimmed(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// nearest returns the name most like want; "" when none is near.
func nearest(want string, names []string) string {
	best, at := "", 1+max(1, len(want)/3)
	slices.Sort(names)
	for _, n := range names {
		a, b := strings.ToLower(want), strings.ToLower(n)
		d := distance(a, b)
		if a != "" && len(a) >= 3 && (strings.HasPrefix(b, a) || strings.HasSuffix(b, "_"+a)) {
			d = min(d, 1)
		}
		if d < at {
			best, at = n, d
		}
	}
	return best
}

// distance counts the edits that turn a into b; a swap of neighbours is one.
func distance(a, b string) int {
	if len(a) > 140 || len(b) > 140 {
		return 140
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}

// projectKind reports whether finds of the kind belong to a project.
func projectKind(k config.Kind) bool {
	switch k {
	case config.KindHandover, config.KindKickOff, config.KindSteering, config.KindToSupport, config.KindPlan, config.KindStatus:
		return true
	}
	return strings.HasPrefix(string(k), "sign_off.")
}

// kindCriteria returns the criteria that cannot be judged without the doctype,
// by the kinds that the mapping reads there.
func kindCriteria(m config.Mapping, doctype string) []string {
	var out []string
	for kind, rules := range m.Evidence {
		if slices.ContainsFunc(rules, func(r config.Rule) bool { return r.Doctype == doctype }) {
			out = append(out, strings.Fields(criteriaOf[kind])...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// criteriaOf says which criteria each kind of evidence carries.
var criteriaOf = map[config.Kind]string{
	config.KindProject:                 implementation,
	config.KindHandover:                "sales.followed esc.sales.p5",
	config.KindKickOff:                 "impl.followed esc.impl.p3",
	config.KindSteering:                "esc.impl.p10",
	config.KindToSupport:               "impl.metric.support_tat",
	config.KindAllHands:                "gen.allhands",
	config.KindReview:                  cadence,
	config.KindAction:                  actions,
	config.KindPlan:                    "impl.plan",
	config.KindStatus:                  "impl.plan esc.impl.p9",
	config.KindReport:                  "sales.cadence impl.cadence support.cadence",
	config.KindBANT:                    "sales.followed esc.sales.p2",
	config.KindScope:                   "esc.sales.p3",
	config.KindEstimate:                "esc.sales.p4",
	config.KindSponsor:                 "esc.dep.c1",
	config.KindTicket:                  tickets,
	config.KindDeal:                    "sales.metric.conversion",
	config.KindSignOffBRD:              "impl.followed esc.impl.p5",
	config.KindSignOffUAT:              "impl.followed esc.impl.p6",
	config.KindSignOffTraining:         "impl.followed esc.impl.p7",
	config.KindSignOffGoLive:           "impl.followed esc.impl.p8",
	config.KindSignOffScope:            "esc.scope.s1 esc.delay.d1",
	config.KindSignOffSchedule:         "esc.delay.d2",
	config.KindSignOffInvoiceSchedule:  "esc.scope.s2 esc.delay.d3",
	config.KindSatisfaction:            "impl.metric.satisfaction gen.asks_feedback gen.feedback_avg",
	config.KindDemoFeedback:            "sales.metric.demo_feedback",
	config.KindSalesFeedback:           "sales.metric.sales_feedback gen.asks_feedback",
	config.KindTicketFeedback:          "support.metric.feedback gen.asks_feedback esc.support.p1",
	config.KindSalesTraining:           "esc.sales.p1",
	config.KindConsultantTraining:      "impl.metric.ready_tat",
	config.KindSalesProcedure:          "sales.process",
	config.KindImplementationProcedure: "impl.process",
	config.KindSupportProcedure:        "support.process",
	config.KindSalesDashboard:          "sales.dashboard",
	config.KindImplementationDashboard: "impl.dashboard",
	config.KindSupportDashboard:        "support.dashboard",
}
