package config

import (
	"fmt"
	"slices"
	"strings"
)

// Mapping says where one partner keeps each kind of evidence and in which
// channels silence counts. It is what a consultant fills in; a kind that it
// does not name keeps the default of DefaultMapping.
type Mapping struct {
	// Evidence holds, for each kind, the places it may be found, in the order
	// in which they are tried. For kinds that belong to a project the first
	// rule that finds anything for that project wins and the later ones are
	// not asked; for all others the finds of every rule are joined.
	Evidence map[Kind][]Rule `yaml:"evidence"`
	// Targets are the partner's own targets by metric id; shown, never judged by.
	Targets map[string]float64 `yaml:"targets"`
}

// Kind names one kind of evidence.
type Kind string

// The kinds. Each comment says what one find stands for; kinds marked (project)
// belong to a project.
const (
	KindProject   Kind = "project"    // a customer project; others are internal
	KindHandover  Kind = "handover"   // (project) hand-over from sales to delivery
	KindKickOff   Kind = "kick_off"   // (project) first formal meeting with the customer
	KindSteering  Kind = "steering"   // (project) a steering meeting
	KindToSupport Kind = "to_support" // (project) hand-over to support
	KindAllHands  Kind = "all_hands"  // a weekly review of metrics
	KindReview    Kind = "review"     // a session in which a metric was looked at
	KindAction    Kind = "action"     // a corrective or preventive action
	KindPlan      Kind = "plan"       // (project) a plan document or its dispatch
	KindStatus    Kind = "status"     // (project) a weekly status mail
	KindReport    Kind = "report"     // a figure that the partner wrote down
	KindBANT      Kind = "bant"       // the four answers on a lead
	KindScope     Kind = "scope"      // a requirement document behind a quotation
	KindEstimate  Kind = "estimate"   // a price estimate behind a quotation
	KindSponsor   Kind = "sponsor"    // the customer's sponsor: fields.email of a Customer
	KindTicket    Kind = "ticket"     // a support request
	KindDeal      Kind = "deal"       // an opportunity, won or lost

	KindSignOffBRD             Kind = "sign_off.brd"              // (project)
	KindSignOffUAT             Kind = "sign_off.uat"              // (project)
	KindSignOffTraining        Kind = "sign_off.training"         // (project)
	KindSignOffGoLive          Kind = "sign_off.go_live"          // (project)
	KindSignOffScope           Kind = "sign_off.scope"            // (project)
	KindSignOffSchedule        Kind = "sign_off.schedule"         // (project)
	KindSignOffInvoiceSchedule Kind = "sign_off.invoice_schedule" // (project)

	KindSatisfaction   Kind = "feedback.satisfaction" // a customer's rating of a project
	KindDemoFeedback   Kind = "feedback.demo"
	KindSalesFeedback  Kind = "feedback.sales"
	KindTicketFeedback Kind = "feedback.ticket"

	KindSalesTraining      Kind = "training.sales"      // makes a salesperson trained
	KindConsultantTraining Kind = "training.consultant" // makes a consultant ready

	KindSalesProcedure          Kind = "procedure.sales"
	KindImplementationProcedure Kind = "procedure.implementation"
	KindSupportProcedure        Kind = "procedure.support"
	KindSalesDashboard          Kind = "dashboard.sales"
	KindImplementationDashboard Kind = "dashboard.implementation"
	KindSupportDashboard        Kind = "dashboard.support"
)

// Kinds returns every kind, sorted.
func Kinds() []Kind {
	ks := []Kind{
		KindProject, KindHandover, KindKickOff, KindSteering, KindToSupport, KindAllHands, KindReview, KindAction,
		KindPlan, KindStatus, KindReport, KindBANT, KindScope, KindEstimate, KindSponsor, KindTicket, KindDeal,
		KindSignOffBRD, KindSignOffUAT, KindSignOffTraining, KindSignOffGoLive, KindSignOffScope, KindSignOffSchedule,
		KindSignOffInvoiceSchedule, KindSatisfaction, KindDemoFeedback, KindSalesFeedback, KindTicketFeedback,
		KindSalesTraining, KindConsultantTraining, KindSalesProcedure, KindImplementationProcedure,
		KindSupportProcedure, KindSalesDashboard, KindImplementationDashboard, KindSupportDashboard,
	}
	slices.Sort(ks)
	return ks
}

// Rule is one place where a kind of evidence is found. Field names are those
// of the site's doctype; `child_table.field` reaches into a child table.
type Rule struct {
	Doctype string `yaml:"doctype"`
	// Where must hold for a record to be looked at at all.
	Where Conditions `yaml:"where"`
	// Done must hold for it to count as done (signed, held, completed); without
	// Done every record that Where lets through is done.
	Done Conditions `yaml:"done"`
	// Refused marks a record as the customer's "no".
	Refused Conditions `yaml:"refused"`
	// Project is the field that names the project. "" means `project` where the
	// doctype has it; a Dynamic Link pair is written `reference_doctype:reference_name`.
	Project string `yaml:"project"`
	// Date is the field that says when it happened (Date or Datetime).
	Date string `yaml:"date"`
	// Value is the field that holds the number; Scale multiplies it (a Frappe
	// Rating of 0 to 1 becomes stars with 5). Without Scale: 1. A number inside
	// text is found.
	Value string  `yaml:"value"`
	Scale float64 `yaml:"scale"`
	// NoValue marks records whose number means "nothing to report": all of
	// these conditions hold.
	NoValue Conditions `yaml:"no_value"`
	// Metric is the field that names the metric, Metrics says which of its
	// texts stands for which metric id.
	Metric  string            `yaml:"metric"`
	Metrics map[string]string `yaml:"metrics"`
	// Period is the field that names the week or month ("2026-W07", "2026-10").
	// Without it the figure is for the last full week (or month, for monthly
	// metrics) before Date.
	Period string `yaml:"period"`
	// Target is the field that holds the partner's target.
	Target string `yaml:"target"`
	// Fields names further fields by role: budget, authority, need, timeline
	// (bant); email (sponsor); customer, quotation, remark, owner, title.
	Fields map[string]string `yaml:"fields"`
	// Proof lists what may stand behind a sign-off, any one of which suffices:
	// file (an attachment), mail (received from the customer's domain), contract,
	// field:NAME (an attached document in that field), none (the record itself).
	Proof []string `yaml:"proof"`
	// File is the pattern that an attachment's name must match ("*sign*").
	File string `yaml:"file"`
	// Authoritative says that the partner keeps everything of this kind here,
	// so that silence means "not done".
	Authoritative bool `yaml:"authoritative"`
}

// Conditions are field → allowed values; all must hold.
type Conditions map[string]Match

// Match is the set of values that a field may have. In YAML it is one value or
// a list; a text may hold `*` for any run of characters and is compared without
// regard to case. An empty list means "set to anything".
type Match []string

// UnmarshalYAML reads a scalar or a list of scalars.
func (m *Match) UnmarshalYAML(decode func(any) error) error {
	var v any
	if err := decode(&v); err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make(Match, 0, len(list))
	for _, e := range list {
		switch e.(type) {
		case map[string]any, []any, nil:
			return fmt.Errorf("a condition is a value or a list of values, not %T", e)
		}
		if b, ok := e.(bool); ok { // Frappe's Check fields are 0 and 1
			e = 0
			if b {
				e = 1
			}
		}
		out = append(out, fmt.Sprint(e))
	}
	*m = out
	return nil
}

// Holds reports whether the text of a field satisfies the match.
func (m Match) Holds(text string) bool {
	if len(m) == 0 {
		return text != ""
	}
	return slices.ContainsFunc(m, func(p string) bool { return Like(p, text) })
}

// Like compares text with a pattern in which `*` stands for any run of
// characters, without regard to case.
func Like(pattern, text string) bool {
	pattern, text = strings.ToLower(pattern), strings.ToLower(text)
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return strings.HasSuffix(text, last)
}

// FieldNames returns the doctype's own fields that the rule reads, sorted and
// without repeats; `table.field` counts as `table`.
func (r Rule) FieldNames() []string {
	var out []string
	add := func(names ...string) {
		for _, n := range names {
			for part := range strings.SplitSeq(n, ":") {
				part, _, _ = strings.Cut(part, ".")
				if part != "" {
					out = append(out, part)
				}
			}
		}
	}
	for _, c := range []Conditions{r.Where, r.Done, r.Refused, r.NoValue} {
		for f := range c {
			add(f)
		}
	}
	add(r.Project, r.Date, r.Value, r.Metric, r.Period, r.Target)
	for _, f := range r.Fields {
		add(f)
	}
	for _, p := range r.Proof {
		if f, ok := strings.CutPrefix(p, "field:"); ok {
			add(f)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Doctypes returns the doctypes that the mapping reads, sorted.
func (m Mapping) Doctypes() []string {
	var out []string
	for _, rules := range m.Evidence {
		for _, r := range rules {
			out = append(out, r.Doctype)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Over returns the mapping with every kind that m does not name taken from
// base. A kind that m names with an empty list is switched off.
func (m Mapping) Over(base Mapping) Mapping {
	out := Mapping{Evidence: map[Kind][]Rule{}, Targets: m.Targets}
	for k, r := range base.Evidence {
		out.Evidence[k] = r
	}
	for k, r := range m.Evidence {
		out.Evidence[k] = r
	}
	return out
}

// problems lists what is wrong with the mapping by itself; whether its doctypes
// and fields exist is for connector/partnersite to ask the site.
func (m Mapping) problems() []mappingProblem {
	var out []mappingProblem
	known := Kinds()
	for _, kind := range sortedKinds(m.Evidence) {
		at := "$.evidence." + quotedKind(kind)
		if !slices.Contains(known, kind) {
			out = append(out, mappingProblem{at, fmt.Sprintf("%s is not a kind of evidence", kind), "known kinds: " + joinKinds(known)})
			continue
		}
		for i, r := range m.Evidence[kind] {
			where := fmt.Sprintf("%s[%d]", at, i)
			if r.Doctype == "" {
				out = append(out, mappingProblem{where, string(kind) + ": a rule without doctype", "name the doctype it is kept in"})
			}
			for _, p := range r.Proof {
				if p != "file" && p != "mail" && p != "contract" && p != "none" && !strings.HasPrefix(p, "field:") {
					out = append(out, mappingProblem{where + ".proof", fmt.Sprintf("%s: proof %q is unknown", kind, p), "use file, mail, contract, field:NAME or none"})
				}
			}
			if strings.HasPrefix(string(kind), "feedback.") && r.Value == "" {
				out = append(out, mappingProblem{where, string(kind) + ": a rating without value", "name the field that holds the stars"})
			}
			if kind == KindReport && r.Value == "" {
				out = append(out, mappingProblem{where, "report: a figure without value", "name the field that holds the number"})
			}
			for metric := range r.Metrics {
				if !strings.Contains(metric, ".metric.") {
					out = append(out, mappingProblem{where + ".metrics", fmt.Sprintf("report: %q is not a metric id", metric), "metric ids look like impl.metric.overdue_pct"})
				}
			}
		}
	}
	return out
}

type mappingProblem struct{ path, problem, remedy string }

func sortedKinds(m map[Kind][]Rule) []Kind {
	ks := make([]Kind, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

func quotedKind(k Kind) string {
	if strings.Contains(string(k), ".") {
		return "'" + string(k) + "'"
	}
	return string(k)
}

func joinKinds(ks []Kind) string {
	ss := make([]string, len(ks))
	for i, k := range ks {
		ss[i] = string(k)
	}
	return strings.Join(ss, ", ")
}
