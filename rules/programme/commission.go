package programme

import (
	"slices"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// Commission asks for one assessment of an audit or an escalation. Who carries
// it out adds what the PRM cannot know: the seed and the frozen sample.
type Commission struct {
	Kind   rules.Kind
	Target rules.Target
	// Freeze is set when the audit's sample must be drawn and frozen, or was.
	Freeze   bool
	Cutoff   time.Time
	Present  map[string]bool
	Findings []rules.Finding
	Occasion rules.Occasion
	// Samples are the frozen ones; nil: a readiness view over the month's sample.
	Samples []rules.Sample
}

// Commissions returns the assessments to make now: one for each audit that is
// not over, not on hold and no repetition of another request, and one for each
// escalation whose project is known. A finalised assessment is made no more.
// siteKey turns a PMM Site into the key that evidence bears; false when the
// partner has no such site.
func (c *Case) Commissions(siteKey func(record string) (string, bool)) []Commission {
	var out []Commission
	for _, a := range c.Audits {
		if !c.assessed(a) {
			continue
		}
		k := Commission{
			Kind: rules.Audit, Target: rules.Target{Level: a.Level, Record: a.Name}, Present: a.Attendance(), Findings: c.Findings(a.Name),
			Freeze: a.Status == AuditScheduled || a.Status == AuditInProgress || a.Status == AuditCompleted,
		}
		if a.Status != AuditScheduled && a.Status != AuditRequested {
			k.Cutoff = a.InProgressSince
		}
		k.Occasion = rules.Occasion{Announced: a.ScheduledSince, Audit: a.Day(), Cutoff: k.Cutoff}
		if c.done(rules.Audit, k.Target) {
			continue
		}
		out = append(out, k)
	}
	for _, e := range c.Escalations {
		if e.Ended() || e.Project == "" {
			continue
		}
		site, ok := siteKey(e.Site)
		if !ok {
			continue
		}
		k := Commission{
			Kind:     rules.Escalation,
			Target:   rules.Target{Record: e.Name, Project: e.Project, Site: site, Stage: departmentOf(e.Stage), Suffix: e.Reopened},
			Findings: c.Findings(e.Name), Occasion: rules.Occasion{Escalated: c.received(e), Site: site, Project: e.Project},
		}
		if a, ok := c.reaudit(e); ok {
			k.Present = a.Attendance()
			if a.Status == AuditInProgress || a.Status == AuditCompleted {
				k.Cutoff = a.InProgressSince
			}
			k.Occasion.Announced, k.Occasion.Audit, k.Occasion.Cutoff = a.ScheduledSince, a.Day(), k.Cutoff
		}
		if c.done(rules.Escalation, k.Target) {
			continue
		}
		out = append(out, k)
	}
	return out
}

// assessed reports whether the audit has an assessment of its own that is still
// to be kept current. A re-audit is judged by its escalation's.
func (c *Case) assessed(a Audit) bool {
	if a.Kind == KindReaudit && a.Escalation != "" {
		return false
	}
	switch a.Status {
	case AuditRequested:
		return !c.inactive() && !slices.ContainsFunc(c.Flags(a), func(f Flag) bool { return f.Code == FlagDuplicate })
	case AuditScheduled, AuditInProgress:
		return true
	case AuditCompleted:
		return a.Outcome != Awarded && a.Outcome != NotAwarded
	}
	return false
}

// Collecting returns the audits and escalations for which evidence is collected
// and written down, sorted: an audit from the day it is scheduled until its
// outcome is decided, On Hold included, and an escalation whose project is known
// until it ends. Only those that have an assessment which nobody finalised.
func (c *Case) Collecting() []string {
	var out []string
	add := func(record string) {
		if a, ok := c.Targeted[record]; ok && a.Key != "" && !c.Finalised[a.Key] {
			out = append(out, record)
		}
	}
	for _, a := range c.Audits {
		if a.Kind == KindReaudit && a.Escalation != "" {
			continue
		}
		if a.Status == AuditOnHold && !a.ScheduledSince.IsZero() || a.Status != AuditRequested && c.assessed(a) {
			add(a.Name)
		}
	}
	for _, e := range c.Escalations {
		if !e.Ended() && e.Project != "" {
			add(e.Name)
		}
	}
	slices.Sort(out)
	return out
}

func (c *Case) done(k rules.Kind, t rules.Target) bool {
	return c.Finalised[rules.AssessmentKey(c.Key, k, c.Today, t)]
}

func (c *Case) received(e Escalation) time.Time {
	if !e.Received.IsZero() {
		return e.Received
	}
	return e.ReceivedOn.Start(c.Zone)
}

// Records returns the audits and escalations whose last assessment still
// matters, with its key: those not judged anew are looked up by it.
func (c *Case) Records() map[string]string {
	out := map[string]string{}
	for _, a := range c.Audits {
		if a.Kind != KindReaudit || a.Escalation == "" {
			out[a.Name] = rules.AssessmentKey(c.Key, rules.Audit, c.Today, rules.Target{Record: a.Name})
		}
	}
	for _, e := range c.Escalations {
		out[e.Name] = rules.AssessmentKey(c.Key, rules.Escalation, c.Today, rules.Target{Record: e.Name, Suffix: e.Reopened})
	}
	return out
}

// departmentOf is the stage of an escalation as the packs weigh it.
func departmentOf(stage string) evidence.Department {
	switch stage {
	case "Sales":
		return evidence.Sales
	case "Implementation":
		return evidence.Implementation
	case "Support":
		return evidence.Support
	}
	return ""
}

// Policy is what the configuration says about the programme. The zero Policy
// has the house defaults.
type Policy struct {
	Raise      bool           // misses become NCs at once; else people raise them
	Unattended int            // working days an escalation may wait for its first step
	Engagement map[string]int // days between contacts, by tier in lower case
}
