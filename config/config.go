package config

import (
	"context"
	"log/slog"
	"time"
	_ "time/tzdata" // zones must be known on a machine or in an image that has none

	"github.com/sethvargo/go-envconfig"
)

// Config is everything that a person can set, checked. It is a plain value:
// rooms receive the parts they need.
type Config struct {
	Settings Settings
	PRM      PRM
	Policy   Policy
	Partners []Partner // in the order of the file
	// Warnings are worth a line in the log; nothing is refused for them.
	Warnings []Mistake
}

// Settings is what the environment alone decides.
type Settings struct {
	ConfigPath  string // the partners' file
	DatabaseURL Secret // sqlite:PATH or postgres://…, a secret for its password
	Listen      string // host:port of metrics and status page
	ProbeListen string // host:port of the probes
	WebConfig   string // exporter-toolkit file; "" serves plainly
	Schedule    Schedule
	LogFormat   string // auto, json or text
	LogLevel    slog.Level
	// SiteAPIKey and SiteAPISecret serve check and doctor against one URL.
	SiteAPIKey    Secret
	SiteAPISecret Secret
}

// PRM is the site to which results are written.
type PRM struct {
	URL                 string // scheme and host
	APIKey              Secret // of the runtime user
	APISecret           Secret
	ProvisionAPIKey     Secret // of the provisioning user; unset but for provision
	ProvisionAPISecret  Secret
	Deployment          Deployment
	AllowPrivateNetwork bool
	Intake              []Intake // further doctypes in which customers ask for help
}

// Intake maps a doctype of the PRM, such as a feedback form or what a customer
// portal keeps, to requests for an escalation. The fields are names in it; all
// but Partner may be empty.
type Intake struct {
	Doctype string
	Since   time.Time // records created on earlier days are left alone; UTC midnight of a civil date
	// Where holds the values that a record must have to be a request, by field.
	Where map[string]string
	// Partner names the field with the partner: its key or own record on the PRM,
	// or the name or mail domain that the customer wrote.
	Partner  string
	Customer string
	Contact  string
	Email    string
	Project  string // as the customer calls it
	Stage    string // Sales, Implementation or Support; other values count as none
	Source   IntakeSource
}

// IntakeSource says where the requests of an intake come from.
type IntakeSource string

// The sources.
const (
	FormSource   IntakeSource = "form"   // the feedback form of the partner listing
	PortalSource IntakeSource = "portal" // the customer portal
	OtherSource  IntakeSource = "other"
)

// Deployment says which doctypes the PRM brings.
type Deployment string

// The deployments.
const (
	Bare  Deployment = "bare"  // a Frappe or ERPNext site; provision creates everything
	Press Deployment = "press" // a site with the doctypes of frappe/press
)

// NCMode says what happens with a non-conformance that an audit finds.
type NCMode string

// The modes.
const (
	Propose NCMode = "propose" // a row in the assessment and a ToDo; a person raises it
	Raise   NCMode = "raise"   // the non-conformance is created, open
)

// Purpose says which departments' evidence a site holds.
type Purpose string

// The purposes.
const (
	AllPurposes Purpose = "all"
	Delivery    Purpose = "delivery"
	Support     Purpose = "support"
	Sales       Purpose = "sales"
)

// Policy holds the thresholds that are no criterion's own. Shares are 0 to 1.
type Policy struct {
	StaleAfter       time.Duration // age of the last complete read after which verdicts are unknown
	DeleteBrake      float64       // share of a stream that may vanish at once
	ChangeBrake      float64       // share of verdicts that may flip within 24 hours
	RetentionMonths  int           // how long history is kept
	NCMode           NCMode
	LateReportDays   int // days after the week's end until a report is late
	MonthlyWindow    int // months that monthly metrics are judged over
	PopulationMonths int // months back in which a project must have been active to be sampled
	RepeatMonths     int // months in which a criterion missed again is a repeat
	UnattendedDays   int // working days an escalation may wait for a person
	// EngagementDays is the longest time between two engagements by tier, the
	// tier's title in lower case.
	EngagementDays map[string]int
	Inactive       Inactive
	Poor           Poor
	Differ         Differ
}

// Inactive says when a partner counts as inactive.
type Inactive struct {
	RevenueMonths       int     // months in a row below RevenueUSD
	RevenueUSD          float64 // a month, in US dollars
	EngagementIntervals float64 // engagement intervals without any engagement
}

// Poor says from where on a metric calls for an action. Shares are 0 to 1.
type Poor struct {
	Overdue        float64 // share of overdue tasks above which it is poor
	SLA            float64 // share of tickets within their agreement below which it is poor
	Rating         float64 // stars of 5 below which satisfaction and feedback are poor
	ConversionDrop float64 // share below the partner's own mean of 12 weeks
}

// Differ says from where on a reported value differs from the recomputed one.
type Differ struct {
	Points float64 // percentage points
	Stars  float64 // stars of 5
}

// Partner is one implementation company.
type Partner struct {
	Key         string // stable, lower case; part of every key on the PRM
	Name        string
	Master      Master
	MailDomains []string // lower case; they tell sent from received
	Sites       []Site
}

// Master is the record on the PRM that the partner already has; zero for none.
type Master struct {
	Doctype string
	Name    string
}

// Site is one Frappe site of a partner.
type Site struct {
	Key                 string // stable while the URL may move
	URL                 string // scheme and host
	APIKey              Secret
	APISecret           Secret
	Schedule            Schedule // the site's own, or that of Settings
	Purpose             Purpose
	AllowPrivateNetwork bool
	TimeZone            *time.Location // nil: ask the site
	CAFile              string         // path of a PEM file; "" trusts the system's
	Proxy               string         // URL; "" connects directly
	MappingPath         string         // path of the mapping; "" for the defaults
	Mapping             Mapping        // what stands there; zero for the defaults
}

// Needs names what the calling command cannot do without. What is not needed
// may be absent, and the file is read only for partners or the PRM.
type Needs struct {
	PRM          bool // address and runtime user
	Partners     bool // the file
	Provisioning bool // address and provisioning user
	Site         bool // the key for a single URL
}

// Load reads the environment and the file and returns a Config, or Errors that
// hold every mistake in both. Relative paths in the file are read from its folder.
// Nothing is cached: a reload is another Load.
func Load(ctx context.Context, env envconfig.Lookuper, needs Needs) (Config, error) {
	var errs Errors
	e := &environment{lookuper: env, errs: &errs}
	var c Config
	c.Settings, c.PRM = e.read(ctx, needs)

	f := &reader{path: c.Settings.ConfigPath, env: e, errs: &errs}
	doc := f.document(needs)
	c.PRM.Deployment, c.PRM.AllowPrivateNetwork, c.PRM.Intake = doc.prm.Deployment, doc.prm.AllowPrivateNetwork, doc.prm.Intake
	c.PRM.URL = e.prmAddress(c.PRM.URL, c.PRM.AllowPrivateNetwork, needs)
	c.Policy = doc.policy
	c.Partners = doc.partners
	for i := range c.Partners {
		for j := range c.Partners[i].Sites {
			if s := &c.Partners[i].Sites[j]; s.Schedule.when == nil {
				s.Schedule = c.Settings.Schedule
			}
		}
	}
	f.together(c)
	if len(errs) > 0 {
		return Config{}, errs.settle(e.secrets)
	}
	c.Warnings = f.warnings.settle(e.secrets)
	return c, nil
}
