package programme

import (
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// Input is what people have decided, as read from the PRM at AsOf. It enters
// history like any stream, so that a past verdict can be replayed with the
// decisions of then.
type Input struct {
	AsOf        time.Time
	Zone        string // the PRM site's, IANA name: its dates decide deadlines
	Partners    []Partner
	Sites       []Site
	Tiers       []Tier
	Settings    []rules.Setting
	Overrides   []rules.Override
	Audits      []Audit
	NCs         []NC
	Escalations []Escalation
	Requests    []Request
	Contacts    []Contact
	Certs       []evidence.Certificate // Ref.Site is "prm"; Partner by CertPartner
	CertPartner map[string]string      // certificate name → partner key
	Snoozes     []Snooze
	Gaps        []evidence.Gap // what of the PRM itself could not be read
	// Calendar is the PRM's own holiday list: its working days are those that
	// waiting times count in. The zero Calendar works Monday to Friday.
	Calendar evidence.Calendar
	// Finalised holds the keys of the assessments that people have finalised; the
	// daemon writes those no more.
	Finalised map[string]bool
	// Stale are the open records that show a partner's manager or name of before.
	Stale []Stale `json:",omitempty"`
	// Unrestricted are partners' users who have no User Permission on a partner:
	// they see every partner.
	Unrestricted []string `json:",omitempty"`
	// Skew is how far the PRM's clock is ahead of ours, to the minute; zero while
	// they differ by a minute or less.
	Skew time.Duration `json:",omitempty"`
}

// Partner is the human side of a PMM Partner.
type Partner struct {
	Key          string
	Name         string
	Manager      string // user id
	AwardedLevel int    // 0 when nobody has awarded one
	AwardedTier  string
	Activity     string // people's override; "" for none
	Engagement   int    // days between contacts; 0 for the tier's default
	Contract     Span
	Since        evidence.Date // when the PRM got its record
	MailDomains  []string
	Master       Master
	Modified     time.Time
}

// Master is what the partner's own record on the PRM says, where one is kept and
// could be read: on a press site its team.
type Master struct {
	Read  bool
	Email string
	Tier  string
}

// Span is a stretch of civil dates; either end may be open (zero).
type Span struct{ From, To evidence.Date }

// Site is the human side of a PMM Site.
type Site struct {
	Key     string // "<partner>-<site>"
	Partner string
	Purpose string // All, Delivery, Support, Sales
	Enabled bool
}

// Tier is one live `Partner Tier`.
type Tier struct {
	Name        string
	Enabled     bool
	TargetUSD   float64
	TargetINR   float64
	Certs       int
	PMMRequired int // 0 imposes nothing
}

// Audit is one `Partner Audit` with its custom fields.
type Audit struct {
	Name      string
	Partner   string
	Unlinked  bool   // it names the partner's record in press alone
	Kind      string // PMM, Re-audit, Follow-up
	Level     int    // 0 when the request names none
	Status    string // Requested, Scheduled, In Progress, Completed, On Hold, Cancelled
	Mode      string
	Requested evidence.Date
	Proposed  evidence.Date
	On        evidence.Date
	Outcome   string // people's; "" or Pending, Awarded, Withheld, Not Awarded
	// ProposedOutcome is the daemon's own, as the PRM holds it.
	ProposedOutcome string
	Present         map[string]bool
	Escalation      string
	Previous        string
	Assessment      string
	Auditor         string
	Modified        time.Time
	// InProgressSince is when we first saw the status In Progress: the cutoff.
	InProgressSince time.Time
	// ScheduledSince is when we first saw the status Scheduled: the partner knows.
	ScheduledSince time.Time
}

// NC is one `Partner Non Conformance`.
type NC struct {
	Name       string
	Partner    string
	Unlinked   bool // it names the partner's record in press alone
	Audit      string
	Escalation string
	Department string
	Criterion  string
	SourceKey  string
	Status     string        // Open, WIP, On Hold, Closed, Discarded
	Raised     evidence.Date // PRM date of its creation
	Expected   evidence.Date // people's date; zero: computed
	ClosedOn   evidence.Date
	// ClosedSeen is the PRM date on which we first saw it Closed without a date of
	// closing: it then stands for the missing one (edge case 4).
	ClosedSeen evidence.Date
	// EverClosed is the day of its first closing that we know of; it stays when
	// the NC is opened again.
	EverClosed evidence.Date
	Statement  string
	Disputed   bool
	Recheck    string
	Overdue    bool
	Modified   time.Time
}

// Resolved reports whether the NC no longer holds anything up.
func (n NC) Resolved() bool { return n.Status == "Closed" || n.Status == "Discarded" }

// Escalation is one `Partner Escalation`.
type Escalation struct {
	Name            string
	Partner         string
	SourceKey       string
	Site            string
	Project         string
	Customer        string
	Stage           string
	Status          string
	Received        time.Time
	StatusSince     time.Time
	ReauditOn       evidence.Date
	ChecklistShared evidence.Date
	Audit           string
	Points          int
	Modified        time.Time
	ReceivedOn      evidence.Date // as the form has it; Received is when we may first have known
	WarningSent     evidence.Date
	CustomerCall    evidence.Date
	NCState         string // the daemon's own, as the PRM holds it
	Severity        string
	Source          string
	// Reopened is how often we saw it opened again: each has an assessment of its
	// own (edge case 28).
	Reopened int
}

// Request is what a customer wrote to ask for help: a `PMM Escalation Request`
// from the web form, or a record of a doctype that the configuration maps.
type Request struct {
	Name       string
	Partner    string // set by people; "" from the form
	Company    string
	Email      string
	Status     string // New, Linked, Rejected
	Escalation string
	Created    time.Time
	Customer   string
	Contact    string
	Project    string // as the customer calls it
	Stage      string // Sales, Implementation, Support or ""
	// Doctype is where the request stands; "" is PMM Escalation Request. A mapped
	// feedback form has its own, and its name then tells requests apart.
	Doctype string
	// Source is the escalation's, as the PRM's options are; "" is the web form's.
	Source string
}

// Stale is a record that copied its partner's manager and name when it was last
// saved, and shows what is no longer so.
type Stale struct {
	Doctype string
	Name    string
	Partner string
	Shows   string // what it should show: the manager and the name
}

// Contact is one engagement with a partner: an Event, a call, an audit.
type Contact struct {
	Partner string
	Kind    string // call, e-mail, message, meeting, audit, …
	At      time.Time
	Planned bool
	Ref     evidence.Ref
}

// Snooze is a person's word on an alert.
type Snooze struct {
	Alert        string
	Acknowledged bool
	Until        evidence.Date // the PRM date on which it is back
}

// Snoozed returns until when people want to hear nothing of alerts, by the
// alert's key.
func (in *Input) Snoozed() map[string]evidence.Date {
	out := make(map[string]evidence.Date, len(in.Snoozes))
	for _, s := range in.Snoozes {
		if !s.Until.IsZero() {
			out[s.Alert] = s.Until
		}
	}
	return out
}
