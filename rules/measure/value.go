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

// The units of values.
const (
	UnitPercent = "%"
	UnitStars   = "stars"
	UnitDays    = "days"
)

// The names of the further figures in Value.Counts. A name that is absent was
// not measured, which is not 0.
const (
	// Of every metric.
	CountExempt    = "exempt"    // 1: a week without a working day, which needs no report
	CountReports   = "reports"   // reports of the same period, where there are several
	CountOccasions = "occasions" // things that happened and should have led to a figure
	CountInvalid   = "invalid"   // records left out because they contradict themselves

	// Overdue tasks.
	CountWithoutEndDate = "without_end_date"
	CountWithVersions   = "with_versions" // the percentage by the end dates that tasks had at the time
	CountVersionsLate   = "with_versions_overdue"
	CountMovedDates     = "moved_dates"         // tasks whose end date was moved after the period
	CountOpen           = "open"                // tasks of the population that are not completed
	CountOldestOverdue  = "oldest_overdue_days" // since the earliest end date among the overdue ones

	// Tickets. The site's own figure is a percentage of the same tickets.
	CountERPNext           = "erpnext"
	CountERPNextFulfilled  = "erpnext_fulfilled"
	CountResponseLate      = "response_late"
	CountResolutionLate    = "resolution_late"
	CountWithoutAgreement  = "without_agreement"
	CountOpenAndLate       = "open_and_late"
	CountClosedWithoutDate = "closed_without_date"
	CountNotMeasurable     = "not_measurable" // resolved, but a due date is missing

	// Ratings.
	CountRated        = "rated"
	CountUnrated      = "unrated"
	CountResponseRate = "response_rate" // percent
	CountLow          = "low"           // answers below 4 stars
	CountMin          = "min"

	// Conversion.
	CountWon             = "won"
	CountLost            = "lost"
	CountMean            = "own_mean"        // percent over the window that ends with this week
	CountMeanClosed      = "own_mean_closed" // deals closed in that window
	CountCohort          = "cohort"          // percent won of the deals opened in the period and closed since
	CountCohortWon       = "cohort_won"
	CountCohortLost      = "cohort_lost"
	CountCohortOpen      = "cohort_open"
	CountLostWithoutDate = "closed_without_date"

	// Response to queries.
	CountAnswered     = "answered"
	CountUnanswered   = "unanswered" // and beyond the limit
	CountPending      = "pending"    // unanswered, still within the limit
	CountMeanHours    = "mean_hours" // working hours until the answer
	CountMaxHours     = "max_hours"
	CountAnsweredRate = "value_of_answered" // percent in time of those answered

	// Days until support, days until ready.
	CountNotReady       = "not_ready"
	CountNotReadyOldest = "not_ready_oldest_days"
	CountWithoutStart   = "without_start" // handed over, but the date it counts from is unknown
	CountNegative       = "negative"      // ended before it began: left out
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
	Metric string
	Site   string // site key; "" when several sites were joined
	Period evidence.Period
	// Current marks the running period, measured as of the snapshot's instant:
	// "today". Its figure will still change.
	Current bool
	Project string // "" for the whole partner; else the project's name (its key)
	Title   string // the project's title

	Has         bool // false: nothing to compute from; Value is then 0 and means nothing
	Value       float64
	Numerator   float64
	Denominator float64
	Unit        string // UnitPercent, UnitStars or UnitDays

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
	// denominator. Each is capped (at 500), with DocsMore and PopulationMore beyond.
	Docs           []evidence.Ref
	DocsMore       int
	Population     []evidence.Ref
	PopulationMore int
	// Counts holds further figures by the names above: what was left out of the
	// value and why, the site's own figure, other ways to count.
	Counts map[string]float64
	// Reconstructed: worked out from a later capture; moved dates are invisible.
	Reconstructed bool
	// Unknown names what is missing when Has is false because of a gap.
	Unknown string
}
