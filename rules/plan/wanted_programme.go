package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
)

// The doctypes in which people decide; the daemon owns a few fields of each.
const (
	DoctypeAudit      = "Partner Audit"
	DoctypeNC         = "Partner Non Conformance"
	DoctypeEscalation = "Partner Escalation"
	DoctypeRequest    = "PMM Escalation Request"
)

// Programme returns what the PRM should hold of a partner's audits, NCs,
// escalations and customers' requests: proposals, due and overdue, rechecks. Of
// records that people keep only the daemon's fields are among them; whole
// records are only NCs that the policy lets it raise and escalations that a
// customer asked for. known tells which records are there.
func Programme(c *programme.Case, zone *time.Location, known Lookup) []Record {
	var out []Record
	for _, a := range c.Audits {
		out = append(out, auditRecord(c, a))
		if r, ok := superseded(c, a, known); ok {
			out = append(out, r)
		}
		if c.Policy.Raise && a.Status == programme.AuditCompleted {
			for _, v := range c.Undecided(a) {
				out = append(out, raised(c, a, v))
			}
		}
	}
	for _, n := range c.NCs {
		recheck := n.Recheck
		if !n.Resolved() && n.Criterion != "" {
			recheck = c.Recheck(n)
		}
		out = append(out, Record{
			Doctype: DoctypeNC, Key: n.Name, Partner: c.Key, Kind: Outcome, Reason: "NC " + n.Name,
			Fields: linked(c, n.Unlinked, map[string]any{"custom_overdue": b2i(n.OverdueOn(c.Today)), "custom_recheck": cmp.Or(recheck, "Unchecked")}),
		})
	}
	for _, e := range c.Escalations {
		out = append(out, Record{
			Doctype: DoctypeEscalation, Key: e.Name, Partner: c.Key, Kind: Outcome, Reason: "escalation " + e.Name,
			Fields: map[string]any{"nc_state": c.NCStateOf(e), "reaudit_on": date(c.ReauditOn(e))},
		})
	}
	for _, r := range c.Requests {
		if rec, ok := request(c, zone, r); ok {
			out = append(out, rec)
		}
	}
	return out
}

// ProgrammeKnown returns what the PRM holds of the records of Programme that
// people keep, as it was read: nothing is written where it stands already.
func ProgrammeKnown(c *programme.Case) []Known {
	var out []Known
	add := func(doctype, name string, fields map[string]any) {
		out = append(out, Known{Doctype: doctype, Key: name, Name: name, Fields: fields})
	}
	for _, a := range c.Audits {
		add(DoctypeAudit, a.Name, map[string]any{"custom_proposed_outcome": a.ProposedOutcome, "custom_assessment": orNull(a.Assessment)})
	}
	for _, n := range c.NCs {
		add(DoctypeNC, n.Name, map[string]any{"custom_overdue": b2i(n.Overdue), "custom_recheck": cmp.Or(n.Recheck, "Unchecked")})
	}
	for _, e := range c.Escalations {
		add(DoctypeEscalation, e.Name, map[string]any{"nc_state": cmp.Or(e.NCState, "None"), "reaudit_on": date(e.ReauditOn)})
	}
	for _, r := range c.Requests {
		add(cmp.Or(r.Doctype, DoctypeRequest), r.Name, map[string]any{"escalation": orNull(r.Escalation)})
	}
	return out
}

func auditRecord(c *programme.Case, a programme.Audit) Record {
	outcome, why := c.Propose(a)
	assessment := a.Assessment
	record := a.Name
	if a.Kind == programme.KindReaudit && a.Escalation != "" {
		record = a.Escalation
	}
	if as, ok := c.Targeted[record]; ok && as.Key != "" {
		assessment = as.Key
	}
	return Record{
		Doctype: DoctypeAudit, Key: a.Name, Partner: c.Key, Kind: Outcome, Reason: strings.TrimSuffix(fmt.Sprintf("audit %s: %s", a.Name, why), ": "),
		Fields: linked(c, a.Unlinked, map[string]any{"custom_proposed_outcome": outcome, "custom_assessment": orNull(assessment)}),
	}
}

// linked adds the partner to a record that press's own forms made, which know
// its team alone: without it nobody is notified and everybody sees it.
func linked(c *programme.Case, unlinked bool, fields map[string]any) map[string]any {
	if unlinked {
		fields["custom_pmm_partner"] = c.Key
	}
	return fields
}

// superseded is the assessment of a cancelled audit; it is kept.
func superseded(c *programme.Case, a programme.Audit, known Lookup) (Record, bool) {
	key := c.Records()[a.Name]
	if a.Status != programme.AuditCancelled || key == "" || c.Finalised[key] {
		return Record{}, false
	}
	if _, ok := known(DoctypeAssessment, key); !ok {
		return Record{}, false
	}
	return Record{
		Doctype: DoctypeAssessment, Key: key, Partner: c.Key, Kind: Outcome, Reason: "audit " + a.Name + " was cancelled",
		Fields: map[string]any{"status": "Superseded"},
	}, true
}

// raised is the NC of a miss: a person can read it without opening anything
// else. Its source key lets it exist once.
func raised(c *programme.Case, a programme.Audit, v rules.Verdict) Record {
	key := programme.SourceKey(a.Name, v.Criterion)
	due := c.Today.AddMonths(1)
	lines := []string{
		fmt.Sprintf("Finding of %s: %s", a.Name, v.Title),
		"Measured: " + v.Measured,
		"Expected: " + v.Expected,
		v.Explanation,
	}
	if v.Repeat {
		lines = append(lines, "An earlier audit or escalation found the same.")
	}
	for i, it := range v.Items {
		if it.OK || i == 10 {
			break
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s: %s %s", cmp.Or(it.Label, it.Ref.Name), it.Note, it.URL)))
	}
	if v.Remedy != "" {
		lines = append(lines, "What would satisfy it: "+v.Remedy)
	}
	lines = append(lines, "Due on "+due.String())
	return Record{
		Doctype: DoctypeNC, Key: key, KeyField: "custom_source_key", Partner: c.Key, Kind: Outcome, InsertOnly: true,
		Reason: fmt.Sprintf("NC for %s in %s", v.Criterion, a.Name), After: []string{DoctypeAudit + "/" + a.Name},
		Once: map[string]any{
			"custom_source_key": key, "partner_audit": a.Name, "custom_pmm_partner": c.Key, "department": Department(v.Department), "status": "Open",
			"nc_statement": Data(v.Title), "nc_description": Lines(strings.Join(lines, "\n"), 2000), "expected_closure": date(due),
			"custom_criterion": Data(v.Criterion), "custom_evidence_url": firstURL(v.Items), "custom_escalation": orNull(a.Escalation), "custom_recheck": "Unchecked",
		},
	}
}

// request is the escalation that a customer's request becomes, or, once that is
// there, the request's link to it. What the customer calls the project is not
// taken for one of the partner's: a person links it.
func request(c *programme.Case, zone *time.Location, r programme.Request) (Record, bool) {
	doctype := cmp.Or(r.Doctype, DoctypeRequest)
	for _, e := range c.Escalations {
		if e.SourceKey == r.Key() && e.SourceKey != "" {
			if doctype != DoctypeRequest { // another form has no such field of ours
				return Record{}, false
			}
			return Record{
				Doctype: doctype, Key: r.Name, Partner: c.Key, Kind: Outcome, Reason: r.Name + " became " + e.Name,
				Fields: map[string]any{"escalation": e.Name},
			}, true
		}
	}
	if r.Escalation != "" || r.Status == "Rejected" {
		return Record{}, false
	}
	source := cmp.Or(r.Source, "Partner Listing Form")
	return Record{
		Doctype: DoctypeEscalation, Key: r.Key(), KeyField: "source_key", Partner: c.Key, Kind: Outcome, InsertOnly: true,
		Reason: "escalation asked for in " + r.Name,
		Once: map[string]any{
			"source_key": r.Key(), "customer": Data(cmp.Or(r.Customer, r.Contact, r.Name)), "partner": c.Key, "stage": r.Stage, "status": "Received",
			"nc_state": "None", "source": source, "received_on": date(evidence.DateIn(cmp.Or(r.Created, c.Now), zone)), "severity": "",
		},
	}, true
}

// Alerts returns the alerts of no partner as they should stand on the PRM.
func Alerts(zone *time.Location, all []programme.Alert) []Record {
	return alerts(Input{Zone: zone}, all)
}
