package programme

import (
	"fmt"
	"strings"
	"time"
)

//go:generate go test -run "TestAlertsDocument|TestCoverage" . -update

// programmeRules are the rules about audits, NCs, escalations, engagement and
// the daemon's own work.
func programmeRules() []AlertRule {
	both := OnPRM | InPrometheus
	return []AlertRule{
		{ID: RuleAuditAttendance, Title: "Audit without attendance", Severity: Warning, Subject: "audit", Channels: both, Requirements: []string{"S15", "S16", "S17", "S18", "S79", "S115"}, Runbook: "audit-attendance", Says: "An audit takes place tomorrow or is under way and somebody who must attend is not ticked."},
		{ID: RuleAuditUnreadable, Title: "Audit with unreadable evidence", Severity: Warning, Subject: "audit", Channels: both, Requirements: []string{"S33", "S36", "S40"}, Runbook: "audit-evidence-unreadable", Says: "An audit is within two weeks and evidence it needs cannot be read."},
		{ID: RuleAuditFlagged, Title: "Audit request to be put right", Severity: Warning, Subject: "audit", Channels: both, Requirements: []string{"S11", "S12"}, Runbook: "audit-flagged", Says: "An audit names no level, asks for the same as another, has dates in the wrong order or stands in a state whose conditions do not hold."},
		{ID: RuleAuditWithoutPartner, Title: "Audit without a partner", Severity: Warning, Subject: "audit", Channels: both, Requirements: []string{"S11"}, Runbook: "audit-flagged", Says: "An audit names no partner that is known."},
		{ID: RuleNCDue7, Title: "NC due within a week", Severity: Info, Subject: "nc", Channels: both, Requirements: []string{"S45", "S157"}, Runbook: "nc-due", Says: "An NC is due in seven days or less."},
		{ID: RuleNCDue1, Title: "NC due tomorrow", Severity: Warning, Subject: "nc", Channels: both, Requirements: []string{"S45", "S157"}, Runbook: "nc-due", Says: "An NC is due tomorrow or today."},
		{ID: RuleNCOverdue, Title: "NC overdue", Severity: Critical, Subject: "nc", Channels: both, Requirements: []string{"S45", "S157", "S158"}, Runbook: "nc-overdue", Says: "An NC is not closed after its due date; consequences may follow."},
		{ID: RuleNCOrphan, Title: "NC that belongs to nothing", Severity: Warning, Subject: "nc", Channels: both, Requirements: []string{"S44"}, Runbook: "nc-orphan", Says: "An NC has no audit or no partner that is known."},
		{ID: RuleNCUndated, Title: "NC closed without a date", Severity: Info, Subject: "nc", Channels: both, Requirements: []string{"S45"}, Runbook: "nc-closed-undated", Says: "An NC is closed and nobody entered when; the day it was first seen closed counts."},
		{ID: RuleEscalationUnattended, Title: "Escalation unattended", Severity: Critical, Subject: "escalation", Channels: both, Requirements: []string{"S102", "S105"}, Runbook: "escalation-unattended", Says: "Nobody took the first step on an escalation for more than two working days."},
		{ID: RuleWarningOutstanding, Title: "Warning outstanding", Severity: Warning, Subject: "escalation", Channels: both, Requirements: []string{"S105"}, Runbook: "escalation-unattended", Says: "The partner has not been told of an escalation for more than one working day."},
		{ID: RuleCallOutstanding, Title: "Customer call outstanding", Severity: Warning, Subject: "escalation", Channels: both, Requirements: []string{"S102", "S107"}, Runbook: "escalation-unattended", Says: "The partner was warned more than two working days ago and the customer was not called."},
		{ID: RuleEscalationStuck, Title: "Escalation without a next step", Severity: Warning, Subject: "escalation", Channels: both, Requirements: []string{"S64", "S102"}, Runbook: "escalation-unattended", Says: "An escalation has stood in its state for longer than it should."},
		{ID: RuleEscalationUnknown, Title: "Escalation about something unknown", Severity: Warning, Subject: "escalation", Channels: both, Requirements: []string{"S74", "S75"}, Runbook: "escalation-unknown", Says: "An escalation names no project, or a site that is not the partner's; nothing can be judged until a person says which project it is."},
		{ID: RuleRequestUnmatched, Title: "Customer's request fits no partner", Severity: Warning, Subject: "request", Channels: both, Requirements: []string{"S98", "S102"}, Runbook: "request-unmatched", Says: "A customer asked for help and what was written fits no partner, or several; a person decides."},
		{ID: RuleChecklistUnshared, Title: "Checklist not shared", Severity: Warning, Subject: "escalation", Channels: both, Requirements: []string{"S113", "S114"}, Runbook: "checklist-unshared", Says: "A re-audit is at most two days off and the checklist was not shared."},
		{ID: RuleDowngrade, Title: "Another level applies", Severity: Critical, Subject: "partner", Channels: both, Requirements: []string{"S103", "S104", "S155", "S159", "S160", "S161", "S162"}, Runbook: "downgrade", Says: "An escalation's NC is overdue and a level below the awarded one applies until it is closed."},
		{ID: RuleDecisionNeeded, Title: "Decision needed", Severity: Warning, Subject: "partner", Channels: both, Requirements: []string{"S154", "S203"}, Runbook: "decision-needed", Says: "Something follows from what is known that only a person can decide."},
		{ID: RuleNoContact, Title: "A year without contact", Severity: Warning, Subject: "partner", Channels: both, Requirements: []string{"S202"}, Runbook: "no-contact", Says: "There was no audit, meeting or call for 365 days."},
		{ID: RuleEngagementOverdue, Title: "Engagement overdue", Severity: Info, Subject: "partner", Channels: both, Requirements: []string{"S236", "S262"}, Runbook: "engagement-overdue", Says: "The last contact is longer ago than the partner's interval and none is planned."},
		{ID: RuleInactive, Title: "Partner would count as inactive", Severity: Info, Subject: "partner", Channels: both, Requirements: []string{"S235", "S236"}, Runbook: "partner-inactive", Says: "The contract ended or there was no contact for twice the interval."},
		{ID: RuleBusinessDown, Title: "Business is down", Severity: Info, Subject: "partner", Channels: both, Requirements: []string{"S263"}, Runbook: "business-down", Says: "Revenue or leads of the last quarter are at least 30 % below those of the one before."},
		{ID: RulePartnerMissing, Title: "Partner is not on the PRM", Severity: Warning, Subject: "partner", Channels: InPrometheus, Runbook: "partner-missing", Says: "A partner that was there is gone from the PRM, deleted or merged."},
		{ID: RulePartnerDuplicate, Title: "Two records for one partner", Severity: Warning, Subject: "partner", Channels: both, Runbook: "partner-duplicate", Says: "Two partners have the same mail domain; a person decides whether they are one."},
		{ID: RuleUserUnrestricted, Title: "Partner's user sees every partner", Severity: Critical, Subject: "prm", Channels: both, Runbook: "partner-user-unrestricted", Says: "A partner's user has no User Permission and may see all partners."},
		{ID: RuleHandoverLate, Title: "Hand-over late", Severity: Warning, Subject: "project", Channels: both, Requirements: []string{"S126"}, Runbook: "project-late", Says: "A project was not handed over to delivery within a week of its invoice."},
		{ID: RuleKickoffLate, Title: "Kick-off late", Severity: Warning, Subject: "project", Channels: both, Requirements: []string{"S132"}, Runbook: "project-late", Says: "A project had no kick-off within a week of its invoice."},
		{ID: RuleWeeklyMailMissing, Title: "Weekly status mail missing", Severity: Warning, Subject: "project", Channels: both, Requirements: []string{"S139"}, Runbook: "project-late", Says: "Weeks of a project have no status mail to the customer."},
		{ID: RuleSteeringMissing, Title: "Steering meeting missing", Severity: Warning, Subject: "project", Channels: both, Requirements: []string{"S140"}, Runbook: "project-late", Says: "Months of a project have no steering meeting with the customer."},
		{ID: RuleMilestoneLate, Title: "Plan not watched", Severity: Warning, Subject: "project", Channels: both, Requirements: []string{"S185"}, Runbook: "project-late", Says: "A project's plan is missing, was not shared, or its milestones are not looked after."},
		{ID: RuleAnswersSlow, Title: "Queries answered late", Severity: Warning, Hold: time.Hour, Subject: "partner", Channels: both, Requirements: []string{"S182"}, Runbook: "answers-slow", Says: "Too few sales queries are answered in time."},
		{ID: RuleOutboxStuck, Title: "Changes wait for the PRM", Severity: Critical, Hold: 15 * time.Minute, Subject: "prmsync", Channels: both, Runbook: "outbox-stuck", Says: "Changes for the PRM wait for hours, or wait for a person."},
		{ID: RuleChangeBrake, Title: "Too many verdicts would change", Severity: Critical, Subject: "prmsync", Channels: both, Runbook: "change-brake", Says: "Writing to the PRM stopped, because more verdicts would flip than a person allowed."},
		{ID: RulePRMUnreadable, Title: "PRM does not show us something", Severity: Warning, Hold: 10 * time.Minute, Subject: "prm", Channels: both, Runbook: "prm-unreadable", Says: "The runtime user may not read a doctype or a field on the PRM; what people decide there has no effect until it may."},
		{ID: RuleClockSkew, Title: "Clocks differ", Severity: Warning, Hold: 10 * time.Minute, Subject: "prmsync", Channels: both, Runbook: "clock-skew", Says: "This machine's clock and the PRM's differ by more than a minute; dates may fall on the wrong day."},
	}
}

// CatalogueText is docs/alerts.md: every alert, what it means and where it shows.
func CatalogueText() string {
	var b strings.Builder
	b.WriteString("# Alerts\n\nEvery alert that can be raised. Made from the catalogue in `rules/programme`\nby `go generate ./rules/programme`; a test compares them.\n\n")
	b.WriteString("An alert fires when its condition has held for the time under *hold*, and resolves\nwhen it no longer does; if it comes back, that is a new episode. On the PRM it is a\n`PMM Alert`, for Prometheus a series of `prmsync_alert_firing`. The text is neutral:\nit says what was found, a person decides.\n\n")
	b.WriteString("Who enters a date under *Snooze until* of a `PMM Alert` hears nothing of it before\nthat day: it stays on the PRM with the date, but counts neither in the desk nor in\n`prmsync_alert_firing` nor for the partner's standing, and where it resolves and\ncomes back within a week no new one is raised before that day. On that day it\ncounts again. Taking the date away ends the snooze at once.\n\n")
	b.WriteString("| rule | severity | hold | about | shown | what it says | requirements | runbook |\n|---|---|--:|---|---|---|---|---|\n")
	for _, r := range Catalogue() {
		hold := "0"
		if r.Hold > 0 {
			hold = strings.Replace(strings.TrimSuffix(r.Hold.String(), "0s"), "h0m", "h", 1)
		}
		var shown []string
		if r.Channels&OnPRM != 0 {
			shown = append(shown, "PRM")
		}
		if r.Channels&InPrometheus != 0 {
			shown = append(shown, "Prometheus")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | `%s` |\n", r.ID, r.Severity, hold, r.Subject, strings.Join(shown, ", "), r.Says, strings.Join(r.Requirements, ", "), r.Runbook)
	}
	return b.String()
}
