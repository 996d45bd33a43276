package evidence

import "time"

// Department is one of the three that the maturity model judges, or General.
type Department string

// The departments, spelled as in criterion ids and JSON.
const (
	General        Department = "general"
	Sales          Department = "sales"
	Implementation Department = "implementation"
	Support        Department = "support"
)

// Project is a piece of work for a customer, or an internal one.
type Project struct {
	Ref
	Title    string
	Status   string // Open, Completed, Cancelled; the site derives it from tasks
	Customer string // "" for an internal project
	Internal bool   // not a customer project by the partner's mapping
	Type     string
	Template string // Project Template it was made from
	// TemplateTasks names the tasks of that template, which are Task records
	// themselves; empty when the template cannot be read.
	TemplateTasks []string
	SalesOrder    string
	ExpectedStart Date
	ExpectedEnd   Date
	Members       []string // user ids
}

// Task is a unit of work. Overdue is never read from its label, which sites
// write once a day without touching `modified`: it is computed from the dates.
type Task struct {
	Ref
	Project      string // "" for a task of no project
	Subject      string
	Type         string
	Status       string // Open, Working, Pending Review, Overdue, Template, Completed, Cancelled
	Group        bool   // a heading over other tasks
	Milestone    bool
	Template     bool // belongs to a project template, is no work itself
	TemplateTask string
	Parent       string
	DependsOn    []string
	Start        Date
	Due          Date      // last day on which it is in time
	DueAt        time.Time // sites that keep a time of day (v16); zero elsewhere
	Completed    Date      // zero while open, and where the site kept no date
	Review       Date      // Pending Review is spared until then
	Assignees    []string
	Ticket       string // Issue it was made for
}

// SignOffKind is what a customer accepts.
type SignOffKind string

// The kinds of sign-off, in the order of a project.
const (
	SignOffBRD             SignOffKind = "BRD"
	SignOffUAT             SignOffKind = "UAT"
	SignOffTraining        SignOffKind = "Training"
	SignOffGoLive          SignOffKind = "Go-live"
	SignOffScope           SignOffKind = "Scope"
	SignOffSchedule        SignOffKind = "Schedule"
	SignOffInvoiceSchedule SignOffKind = "Invoice Schedule"
)

// SignOff is a customer's dated acceptance of a stage, or the place where it
// should stand: a record that is not Done is known to be missing its signature.
type SignOff struct {
	Ref
	Project string
	Kind    SignOffKind
	Done    bool // the record says so
	Refused bool // the customer declined
	On      Date
	Proven  bool   // something of the customer's own stands behind it
	ProofBy string // file, mail, contract, field; none: the record is its own proof; "" without proof
	Proof   []Ref
	// Replaced tells that a proof seen earlier has changed content or vanished.
	Replaced bool
}

// Ticket is a support request: an ERPNext Issue or a Helpdesk ticket.
type Ticket struct {
	Ref
	Subject         string
	Customer        string
	Project         string
	Type            string
	Priority        string
	Status          string // as the site has it
	Closed          bool   // resolved or closed
	OnHold          bool   // the clock is paused (waiting for the customer)
	Merged          bool   // folded into another ticket: not counted
	Opened          time.Time
	FirstResponse   time.Time // zero: none yet
	ResponseDue     time.Time // zero: no agreement or paused
	Resolved        time.Time // zero while open, and where the site lost the date
	ResolutionDue   time.Time
	Hold            time.Duration // time the clock stood still
	Agreement       string        // Service Level Agreement; "" when none applies
	AgreementStatus string        // the site's own word: Fulfilled, Failed, …
	Assignees       []string
	Stars           float64 // 0 to 5; meaningful only if Rated
	Rated           bool
	// Unusable names the stamps that were left unset because they lie before the
	// ticket's creation: some are written in the zone of the ticket's owner.
	Unusable []string
}

// MetricReport is a figure that the partner itself wrote down for a period.
type MetricReport struct {
	Ref
	Metric    string // metric id, "impl.metric.overdue_pct"
	Period    Period
	Project   string // "" for the company's figure
	Value     float64
	HasValue  bool // false: the report says that there is nothing to report
	Target    float64
	HasTarget bool
	On        Date   // day it was reported, by its own date and not before its creation
	Forum     Ref    // the review or meeting it was entered for, if any
	Remark    string // at most 140 characters
}

// MeetingKind is the purpose of a meeting or hand-over.
type MeetingKind string

// The kinds of meeting that criteria ask for.
const (
	MeetingHandover          MeetingKind = "handover"            // from sales to delivery
	MeetingKickOff           MeetingKind = "kick_off"            // first formal one with the customer
	MeetingSteering          MeetingKind = "steering"            // monthly, with the customer
	MeetingAllHands          MeetingKind = "all_hands"           // weekly review of metrics
	MeetingHandoverToSupport MeetingKind = "handover_to_support" // after go-live
	MeetingOther             MeetingKind = "other"
)

// Meeting is something held, or planned to be held, at a date.
type Meeting struct {
	Ref
	Kind     MeetingKind
	Title    string
	Project  string
	Customer string
	On       Date
	At       time.Time // zero when only the date is known
	Held     bool      // false: planned, cancelled or not completed
	Minutes  int       // rows of minutes or agenda with text
}

// ActionKind says what an action is meant to do.
type ActionKind string

// The two kinds of action of ISO 9001.
const (
	Corrective ActionKind = "Corrective"
	Preventive ActionKind = "Preventive"
)

// Action is a measure against a problem that occurred or might.
type Action struct {
	Ref
	Kind       ActionKind
	Metric     string // metric id where the goal or text names one
	Goal       string
	Review     Ref    // review or meeting in which it was decided; zero: elsewhere
	Cause      string // what was found to be the cause, at most 140 characters
	Resolution string // what is done about it, at most 140 characters
	Owner      string // responsible user; "" when nobody is named
	On         Date   // decided
	Due        Date
	Completed  bool
	Closed     Date // first seen completed, or the date the site keeps
}

// Review is one session in which a metric was looked at: a Quality Review or
// a mapped record. A session without text is one that a scheduler made.
type Review struct {
	Ref
	Goal   string
	Metric string // metric id; "" when the goal is not mapped
	On     Date
	Filled bool // somebody wrote in it
	By     string
	Status string
}

// Message is a mail or another communication, without its body: who to whom,
// when, about which record, and which of the mapped patterns it matched.
type Message struct {
	Ref
	Sent        bool // by the partner; false: received
	At          time.Time
	Medium      string // Email, Meeting, Phone, …
	FromDomain  string
	ToDomains   []string
	ToCustomer  bool // a recipient is outside the partner's own domains
	Template    string
	About       Ref      // record it hangs on
	Project     string   // where it hangs on a project or one of its tasks
	Kinds       []string // mapped kinds it matched, "weekly_status"
	Subject     string   // at most 140 characters
	Attachments int
}

// Lead is a query from somebody who might buy.
type Lead struct {
	Ref
	Customer      string // organisation's name
	Owner         string
	Status        string
	Qualified     bool
	QualifiedOn   Date
	Budget        bool // the four answers of BANT
	Authority     bool
	Need          bool
	Timeline      bool
	BANTMapped    bool      // the mapping says where the four answers stand
	Received      time.Time // first query; zero when unknown
	FirstResponse time.Time
	ResponseDue   time.Time // zero: the house default decides
	Domain        string    // of the lead's mail address
}

// Deal is an opportunity, won, lost or open.
type Deal struct {
	Ref
	Lead        string
	Customer    string
	Owner       string // salesperson's user id
	Status      string // as the site has it
	Won         bool
	Lost        bool
	Opened      Date
	Closed      Date // zero: open, or the site keeps no date and we saw none
	Project     string
	Quotations  []string
	StageMoves  int // rows of a status log
	Qualified   bool
	QualifiedOn Date
}

// Quotation is an offer.
type Quotation struct {
	Ref
	Party     string // lead or customer
	PartyType string
	Deal      string
	Owner     string
	Status    string
	Submitted bool
	Cancelled bool
	On        Date
	Expires   Date
	Estimate  []Ref  // price estimate behind it; empty: none found
	Scope     []Ref  // requirement documents dated on or before it
	Order     string // first submitted order made from it
	Won       Date   // date of that order
	Lost      Date   // first seen lost
}

// Order is a customer's order.
type Order struct {
	Ref
	Customer    string
	Project     string
	Quotations  []string
	On          Date
	Submitted   bool
	Cancelled   bool
	AmendedFrom string
	Total       float64
	Schedule    string // digest of the payment schedule; "" without one
}

// Invoice is a bill. Kick-off and hand-over are counted from the first
// submitted one that is neither a return nor an opening entry.
type Invoice struct {
	Ref
	Customer  string
	Projects  []string // by the invoice, its items, or the order behind it
	Orders    []string
	On        Date
	Submitted bool
	Cancelled bool
	Return    bool
	Opening   bool
}

// Contract is an agreement with a party about a record.
type Contract struct {
	Ref
	Party    string
	Signed   bool
	SignedOn Date
	About    Ref
}

// Customer is a company that buys from the partner.
type Customer struct {
	Ref
	Title   string
	Lead    string
	Domains []string // mail domains of its contacts
	Sponsor string   // contact's mail address by mapping
}

// Attachment is a file on a record. On is its upload, not its signature.
type Attachment struct {
	Ref
	FileName    string
	URL         string
	On          Ref
	ContentHash string
	Uploaded    time.Time
	Kinds       []string // mapped kinds its name matches: "plan", "sign_off.brd", …
}

// Procedure is a process written down.
type Procedure struct {
	Ref
	Title      string
	Department Department
	Owner      string
	Steps      int
}

// Hours is one weekday's working time, in minutes from midnight.
type Hours struct{ From, To int }

// Agreement is a service level agreement.
type Agreement struct {
	Ref
	Doctype     string // of what it governs: Issue, HD Ticket, Lead, …
	Enabled     bool
	Default     bool
	Hours       [7][]Hours // by time.Weekday; empty: no work that day
	HolidayList string
	Priorities  []AgreementPriority
}

// AgreementPriority is the promise for one priority.
type AgreementPriority struct {
	Priority   string
	Response   time.Duration
	Resolution time.Duration
}

// Calendar is a holiday list.
type Calendar struct {
	Ref
	From, To Date
	Holidays []Date // sorted; weekly days off included
	Default  bool   // the company's own
}

// Certificate is a person's passed product certification.
type Certificate struct {
	Ref
	Member  string // mail address
	Course  string
	Version string
	Issued  Date
	Expires Date // zero: does not expire
}

// Person is a member of the partner's staff.
type Person struct {
	Ref
	User        string
	Designation string
	Department  string
	Joined      Date
	Left        Date
	Active      bool
}

// Training is a course held, with those who were there.
type Training struct {
	Ref
	Title     string
	Kinds     []string // mapped kinds: "training.sales", "training.consultant"
	On        Date     // last day
	Held      bool
	Present   []string // names of Person records
	Absent    []string
	Certifies bool // a skill map or result rather than an event
}

// Dashboard is a page of charts.
type Dashboard struct {
	Ref
	Title       string
	Departments []Department
	Charts      int
	Standard    bool // shipped with the product: proves nothing
	LinkOnly    bool // declared by the partner, not readable by us
}

// Control is something that shows a departure from the process while it
// happens: an agreement, an assignment rule, a notification.
type Control struct {
	Ref
	Kind       string // Service Level Agreement, Assignment Rule, Notification
	On         string // doctype it watches
	Department Department
	Enabled    bool
}

// FeedbackKind is what a customer was asked about.
type FeedbackKind string

// The kinds of feedback.
const (
	FeedbackSatisfaction FeedbackKind = "satisfaction" // with a project
	FeedbackDemo         FeedbackKind = "demo"
	FeedbackSales        FeedbackKind = "sales" // won and lost deals
	FeedbackTicket       FeedbackKind = "ticket"
)

// Feedback is a customer's answer. Unrated answers carry no stars and are not
// zero stars.
type Feedback struct {
	Ref
	Kind      FeedbackKind
	Project   string
	Customer  string
	Quotation string
	Ticket    string
	On        Date
	Stars     float64 // 0 to 5
	Rated     bool
	Text      bool // there are words with it
}

// Change is one field of one record that was seen to change: from the site's
// own versions, or from two captures of ours.
type Change struct {
	Ref          // the record that changed
	Field string // "sla_reset" for the comment that a reset leaves on a ticket
	From  string
	To    string
	At    time.Time // when it changed; for captures, when we saw it
	By    string    // user; "" when unknown
	Own   bool      // from our own captures, which nobody on the site can edit
}

// Deletion is a record that is no longer there.
type Deletion struct {
	Ref
	At        time.Time
	By        string
	Permanent bool // no Deleted Document remains: vanished without a trace
	RenamedTo string
}
