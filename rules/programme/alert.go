package programme

import (
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// AlertSeverity says how soon a person must act.
type AlertSeverity string

// The severities, as PMM Alert and Prometheus have them.
const (
	Critical AlertSeverity = "Critical"
	Warning  AlertSeverity = "Warning"
	Info     AlertSeverity = "Info"
)

// Channel says where an alert is shown.
type Channel uint8

// The channels, to be combined.
const (
	OnPRM Channel = 1 << iota
	InPrometheus
)

// AlertRule is one entry of the catalogue: every alert that can be raised.
type AlertRule struct {
	ID           string // "site_down"; part of keys, never renamed
	Title        string
	Severity     AlertSeverity
	Hold         time.Duration // how long the condition must last first
	Subject      string        // what it is about: partner, site, project, audit, nc, escalation
	Channels     Channel
	Requirements []string // "S168"
	Runbook      string   // page under docs/runbooks, without ending
	Says         string   // one plain sentence
}

// Alert is one firing or resolved episode of a rule.
type Alert struct {
	Key      string // "<rule>-<partner>-<subject>-<episode>"
	Rule     string
	Partner  string
	Severity AlertSeverity
	// SubjectDoctype and SubjectName are the Dynamic Link on the PRM; the record
	// must exist there before the alert is written.
	SubjectDoctype string
	SubjectName    string
	Message        string
	Firing         bool
	Since          time.Time
	Resolved       time.Time
	Refs           []evidence.Ref
	// Until is the PRM date on which a person wants to hear of it again; it stays
	// when that day has come. Quiet is set before: the alert fires, is shown on the
	// PRM, and counts nowhere.
	Until evidence.Date `json:",omitzero"`
	Quiet bool          `json:",omitempty"`
}

// Counts reports whether the alert fires and nobody has put it off.
func (a Alert) Counts() bool { return a.Firing && !a.Quiet }
