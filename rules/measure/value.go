package measure

import "github.com/prmsync/prmsync/evidence"

// The metric ids: keys of snapshots, JSON and charts (domain.md B).
const (
	DemoFeedback   = "sales.metric.demo_feedback"
	Conversion     = "sales.metric.conversion"
	SalesFeedback  = "sales.metric.sales_feedback"
	Response       = "sales.metric.response"
	OverduePct     = "impl.metric.overdue_pct"
	Satisfaction   = "impl.metric.satisfaction"
	SupportTAT     = "impl.metric.support_tat"
	ReadyTAT       = "impl.metric.ready_tat"
	SLA            = "support.metric.sla"
	TicketFeedback = "support.metric.feedback"
)

// Timeliness says how a partner's own report of a period came.
type Timeliness string

// The kinds of timeliness (domain edge case 16).
const (
	NotDue   Timeliness = "Not Due"  // the period's grace has not passed
	OnTime   Timeliness = "On Time"  // by period end plus three days
	Late     Timeliness = "Late"     // later, but before the next period's was due
	Backfill Timeliness = "Backfill" // entered long after, or several at once
	Never    Timeliness = "Never"    // due and not there, in a channel where silence counts
	Unknown  Timeliness = "Unknown"  // not there, in a channel where silence proves nothing
)

// Value is one metric for one period: recomputed, and beside it what the
// partner reported.
type Value struct {
	Metric  string
	Site    string // site key; "" when several sites were joined
	Period  evidence.Period
	Project string // "" for the whole partner; else the project's name (its key)
	Title   string // the project's title

	Has         bool // false: nothing to compute from; Value is then 0 and means nothing
	Value       float64
	Numerator   float64
	Denominator float64
	Unit        string // "%", "stars", "days", "hours"

	HasReported bool
	Reported    float64
	ReportedOn  evidence.Date
	ReportedBy  []evidence.Ref
	Timeliness  Timeliness
	NothingSaid bool // the report says that there was nothing to report
	Differs     bool // beyond 2 points or 0.1 star
	HasTarget   bool
	Target      float64 // the partner's own

	// Docs are the records behind the numerator; Population those behind the
	// denominator, capped at 500 with PopulationMore beyond.
	Docs           []evidence.Ref
	Population     []evidence.Ref
	PopulationMore int
	// Counts holds further figures by name: "without_end_date", "open_and_late",
	// "closed_without_date", "rated", "response_rate", "erpnext" (the site's own).
	Counts map[string]float64
	// Reconstructed: worked out from a later capture; moved dates are invisible.
	Reconstructed bool
	// Unknown names what is missing when Has is false because of a gap.
	Unknown string
}
