package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// Outcome is the answer to one criterion.
type Outcome uint8

// The outcomes. The zero value is the safe one: nobody has shown anything.
const (
	Insufficient  Outcome = iota // the evidence could not be read, or there is too little
	Met                          // the evidence shows that it was done
	NotMet                       // the evidence shows that it was not done
	NotApplicable                // the question does not arise
	Manual                       // only a person can judge
)

var outcomeNames = [...]string{"Insufficient Evidence", "Met", "Not Met", "Not Applicable", "Manual"}

// Outcomes returns all outcomes in a fixed order.
func Outcomes() []Outcome { return []Outcome{Insufficient, Met, NotMet, NotApplicable, Manual} }

// String is the outcome's word, the same on the PRM, in JSON and in labels.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return outcomeNames[Insufficient]
}

// MarshalText writes String.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *Outcome) UnmarshalText(b []byte) error {
	for i, n := range outcomeNames {
		if n == string(b) {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not an outcome", b)
}

// Severity says what a miss means.
type Severity string

// The severities. Only NC criteria decide a level (S43).
const (
	SeverityNC          Severity = "NC"
	SeverityObservation Severity = "Observation"
)

// Verdict is the answer to one criterion for one partner, with what it rests on.
type Verdict struct {
	Criterion  string
	Title      string
	Department evidence.Department
	Level      int // 2 to 5; 0 for escalation checks
	Severity   Severity
	Outcome    Outcome
	Measured   string // "14 of 16 sign-offs"
	Expected   string // "all four sign-offs of every sampled project"
	// Explanation is one or two neutral sentences for a person.
	Explanation string
	Remedy      string // what would change the answer
	Items       []Item // failing first, then unknown, then good; capped
	MoreItems   int    // how many items the cap left out
	Evidence    []evidence.Ref
	Unknowns    []Unknown
	// Observation is advice that goes with a Met verdict ("one week missed").
	Observation string
	// Flag asks a person to look, without changing the outcome.
	Flag string
	// Override is a person's word that stands beside the machine's outcome.
	Override *Override
	// Repeat marks a miss that an earlier audit or escalation found (S53).
	Repeat bool
	// Since is when the outcome was last different; zero when never seen before.
	Since time.Time
	// Carried is set when the verdict is an earlier one kept through an outage:
	// the instant of the assessment that made it.
	Carried time.Time
}

// Effective returns the outcome that counts: a person's valid word where there
// is one, else the machine's.
func (v Verdict) Effective() Outcome {
	if v.Override != nil {
		return v.Override.Outcome
	}
	return v.Outcome
}

// Item is one thing that a criterion looked at.
type Item struct {
	Ref     evidence.Ref
	URL     string // opens the record on the partner's site
	Label   string // a person's name for it: "Kranz rollout: UAT"
	OK      bool
	Unknown bool // neither good nor bad: a fact is missing
	Manual  bool // only a person can say
	Note    string
}

// Unknown is a fact that could not be had.
type Unknown struct {
	Attribute string // "project.first_invoice", or the stream
	Stream    string
	Site      string
	Kind      evidence.GapKind // "" when the stream was readable but too thin
	Reason    string
	Remedy    string
	Since     time.Time
}

// Override is a person's judgement of a criterion: an override of the machine's
// outcome, or the answer to a Manual one. It holds for the partner and the kind
// of assessment until it expires (domain edge case 26).
type Override struct {
	ID         string // row on the PRM
	Partner    string
	Criterion  string
	Kind       Kind
	Outcome    Outcome
	Reason     string
	By         string
	On         time.Time
	ValidUntil evidence.Date // zero: until changed
	// EvidenceHash is what the person saw; when the evidence differs now, the
	// override stays and Review asks them to look again.
	EvidenceHash string
	Review       bool
}

// Setting is what people changed about a criterion on the PRM.
type Setting struct {
	Criterion  string
	Enabled    bool
	Severity   Severity // "" keeps the pack's
	Thresholds map[string]float64
}

// Kind is the kind of an assessment.
type Kind string

// The kinds of assessment.
const (
	Continuous Kind = "Continuous"
	Audit      Kind = "Audit"
	Escalation Kind = "Escalation"
)

// Target is what an assessment is about beyond its partner.
type Target struct {
	Level   int    // PMM level applied for; Audit only
	Record  string // name of the audit or escalation on the PRM
	Project string // project key on the partner's site; Escalation only (S75)
	Site    string // site of that project
	Stage   evidence.Department
	Suffix  int // how often the escalation was re-opened
}

// Sample is the frozen draw of one department's items.
type Sample struct {
	Department evidence.Department
	Stream     string   // what was drawn: Project, Deal, Ticket
	Population int      // how many there were
	Names      []string // the population's keys, in drawing order of HMAC(seed, key)
	LeftOut    int      // internal or never invoiced
	SeedHash   string   // SHA-256 of the seed, stored at once
	Seed       string   // "" until it is revealed
	Drawn      time.Time
	Items      []SampleItem
	Complete   bool // the population's stream was complete when it was drawn
}

// SampleItem is one drawn or added item.
type SampleItem struct {
	Ref   evidence.Ref
	Label string
	Added bool // by a person, with Reason
	// Removed by a person, with Reason: still listed, no longer judged.
	Removed bool
	Reason  string
}

// Assessment is all verdicts of one kind for one partner at an instant.
type Assessment struct {
	Key     string // stable: "meridian-cont-2026w47", "-audit-ADT-0001", "-esc-ESC-00001"
	Partner string
	Kind    Kind
	AsOf    time.Time
	Target  Target
	// Cutoff freezes the evidence: what was seen later is kept and marked late,
	// and does not count (S88). Zero: none.
	Cutoff    time.Time
	LevelLow  int
	LevelHigh int
	Verdicts  []Verdict // by level, department, criterion
	Metrics   []measure.Value
	Samples   []Sample
	Missing   []Missing // what stands between the partner and each next level
	Signals   []Signal
	// Collected tells what was found on each item of the sample, or on the
	// escalated project; nil until evidence is collected.
	Collected []Collection `json:",omitempty"`
	Gaps      []evidence.Gap
	Coverage  []evidence.Coverage
	Pack      PackID
	Snapshot  string // digest of the evidence
	// Shown is the share of enabled criteria that a machine could answer, 0 to 1.
	Shown float64
}

// PackID names the criteria that were used.
type PackID struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Missing is one criterion that keeps a level from holding.
type Missing struct {
	Level      int
	Department evidence.Department
	Criterion  string
	Outcome    Outcome
	Remedy     string
}

// Signal is a contradiction that a person should look at; never a verdict
// (S69, S70, domain.md D).
type Signal struct {
	Rule    string // "signoff_replaced"
	Subject evidence.Ref
	Project string
	Says    [2]string // the two facts that contradict each other, neutrally
	Refs    []evidence.Ref
	At      time.Time
}

// alertLimit is how much of an alert's text the PRM keeps.
const alertLimit = 140

// Alert says both facts in the space that an alert has; what does not fit of
// either is cut, never one of the two.
func (s Signal) Alert() string {
	head := []rune(s.Subject.Doctype + " " + s.Subject.Name + ": ")
	if len(head) > alertLimit/3 {
		head = append(head[:alertLimit/3-3], []rune("…: ")...)
	}
	a, b := []rune(strings.TrimRight(s.Says[0], ". ")), []rune(strings.TrimRight(s.Says[1], ". "))
	const between = "; but "
	left := alertLimit - len(head) - len(between)
	na, nb := len(a), len(b)
	switch {
	case na+nb <= left:
	case na <= left/2:
		nb = left - na
	case nb <= left/2:
		na = left - nb
	default:
		na, nb = left/2, left-left/2
	}
	cut := func(r []rune, n int) string {
		if len(r) <= n {
			return string(r)
		}
		return strings.TrimRight(string(r[:n-1]), " ,.") + "…"
	}
	return string(head) + cut(a, na) + between + cut(b, nb)
}
