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
	MailDomains  []string
	Modified     time.Time
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
	Name       string
	Partner    string
	Kind       string // PMM, Re-audit, Follow-up
	Level      int    // 0 when the request names none
	Status     string // Requested, Scheduled, In Progress, Completed, On Hold, Cancelled
	Mode       string
	Requested  evidence.Date
	Proposed   evidence.Date
	On         evidence.Date
	Outcome    string // people's; "" or Pending, Awarded, Withheld, Not Awarded
	Present    map[string]bool
	Escalation string
	Previous   string
	Assessment string
	Auditor    string
	Modified   time.Time
	// InProgressSince is when we first saw the status In Progress: the cutoff.
	InProgressSince time.Time
}

// NC is one `Partner Non Conformance`.
type NC struct {
	Name       string
	Partner    string
	Audit      string
	Escalation string
	Department string
	Criterion  string
	SourceKey  string
	Status     string        // Open, WIP, On Hold, Closed, Discarded
	Raised     evidence.Date // PRM date of its creation
	Expected   evidence.Date // people's date; zero: computed
	ClosedOn   evidence.Date
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
}

// Request is one `PMM Escalation Request` from the web form.
type Request struct {
	Name       string
	Partner    string // set by people; "" from the form
	Company    string
	Email      string
	Status     string // New, Linked, Rejected
	Escalation string
	Created    time.Time
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
	Until        evidence.Date
}
