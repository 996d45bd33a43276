package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-json"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/programme"
)

// The doctypes that the daemon writes.
const (
	DoctypePartner    = "PMM Partner"
	DoctypeSite       = "PMM Site"
	DoctypeCriterion  = "PMM Criterion"
	DoctypeAssessment = "PMM Assessment"
	DoctypeSnapshot   = "PMM Metric Snapshot"
	DoctypeAlert      = "PMM Alert"
	DoctypeEvidence   = "PMM Evidence"
	DoctypeStatus     = "PMM Sync Status"
)

// Input is everything that one partner's records on the PRM follow from.
type Input struct {
	Now         time.Time
	Zone        *time.Location // the PRM site's: Frappe keeps naive local times
	Partner     PartnerFacts
	Sites       []SiteFacts
	Standing    programme.Standing
	Assessments []rules.Assessment // Continuous first
	Alerts      []programme.Alert
	// Collected is the evidence of the partner's audits and escalations.
	Collected []Collected
	// Captured are the partner's PMM Evidence records: those that the PRM holds
	// and those on their way to it.
	Captured []Known
}

// PartnerFacts is what the configuration says of a partner.
type PartnerFacts struct {
	Key, Name     string
	MasterDoctype string // press deployments: Team
	MasterName    string
	Master        programme.Master // what that record says
}

// SiteFacts is the state of one partner site.
type SiteFacts struct {
	Key         string // of the configuration; the PRM's is "<partner>-<key>"
	URL         string
	Purpose     string // All, Delivery, Support, Sales: seeds the PRM once
	Status      string // New, Healthy, Degraded, Unreachable, Unauthorized
	LastSuccess time.Time
	LastError   string
	Versions    map[string]string
	Zone        string
	Unreadable  []string
	Lost        []string // of them, what was once read
}

// SiteKey is the name of a site's record on the PRM.
func SiteKey(partner, site string) string { return key(partner, site) }

// Wanted returns the partner's records as they should stand on the PRM, those
// that others link to first. Every text in them is safe for Frappe.
func Wanted(in Input) []Record {
	if in.Zone == nil {
		in.Zone = time.UTC
	}
	out := []Record{partner(in)}
	for _, s := range in.Sites {
		out = append(out, site(in, s))
	}
	var rows []Record
	var notes map[string]string
	if len(in.Collected) > 0 {
		notes = map[string]string{}
	}
	for _, c := range in.Collected {
		found, note := Evidence(in, c)
		rows = append(rows, found...)
		if note != "" {
			notes[c.Assessment.Key] = " " + note
		}
	}
	for _, a := range in.Assessments {
		out = append(out, assessment(in, a, notes[a.Key]))
		for _, v := range a.Metrics {
			if r, ok := snapshot(in, v); ok {
				out = append(out, r)
			}
		}
	}
	out = append(out, alerts(in, in.Alerts)...)
	return append(out, rows...)
}

// alerts leaves out those that the PRM is not to show.
func alerts(in Input, all []programme.Alert) []Record {
	var out []Record
	for _, a := range all {
		if programme.ShownOnPRM(a.Rule) {
			out = append(out, alert(in, a))
		}
	}
	return out
}

// key joins parts to a document name: lower case, ASCII, at most 140
// characters; what does not fit is replaced by a digest, so that names that
// differ stay different (MariaDB compares names without regard to case).
func key(parts ...string) string {
	raw := strings.Join(parts, "-")
	var b strings.Builder
	lossy := false
	for _, r := range raw {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.':
			b.WriteRune(r)
		case r >= 'A' && r <= 'Z':
			b.WriteRune(r + 'a' - 'A')
			lossy = true
		default:
			b.WriteByte('_')
			lossy = true
		}
	}
	s := b.String()
	if !lossy && len(s) <= dataLimit {
		return s
	}
	sum := sha256.Sum256([]byte(raw))
	return s[:min(len(s), dataLimit-13)] + "-" + hex.EncodeToString(sum[:6])
}

func partner(in Input) Record {
	s := in.Standing
	f := map[string]any{
		"status": s.Status, "reason": Plain(s.Reason, 11), "insight": Plain(s.Insight, 240), "insight_code": s.InsightCode, "attention": s.Attention,
		"standing": s.Text, "standing_level": s.LevelText, "effective_pmm": s.EffectiveLevel, "effective_tier": orNull(s.EffectiveTier),
		"activity": s.Activity, "needs_decision": s.NeedsDecision, "decision_note": Plain(s.DecisionNote, 240),
		"open_ncs": s.OpenNCs, "overdue_ncs": s.OverdueNCs, "next_nc_due": date(s.NextNCDue), "open_escalations": s.OpenEscalations,
		"last_engaged_on": date(s.LastEngaged), "last_engagement_type": s.LastEngagedKind,
		"next_engagement_on": orNull(Datetime(s.NextEngaged, in.Zone)), "next_engagement_type": s.NextEngagedKind,
	}
	r := Record{
		Doctype: DoctypePartner, Key: in.Partner.Key, Partner: in.Partner.Key, Fields: f, Kind: Outcome,
		Once:   map[string]any{"partner_key": in.Partner.Key, "partner_name": Data(in.Partner.Name)},
		Reason: "partner " + in.Partner.Key,
		Soft: map[string]Kind{
			"evidence_as_of": Measure, "verdicts_json": Measure, "attention": Measure, "latest_assessment": Measure, "insight": Measure,
			"last_engaged_on": Measure, "last_engagement_type": Measure, "next_engagement_on": Measure, "next_engagement_type": Measure,
		},
	}
	if in.Partner.MasterDoctype != "" {
		r.Once["master_doctype"], r.Once["master_name"] = in.Partner.MasterDoctype, in.Partner.MasterName
	}
	if m := in.Partner.Master; m.Read {
		f["email"], f["tier_mirror"] = mail(m.Email), Data(m.Tier)
	}
	for _, a := range in.Assessments {
		if a.Kind == rules.Continuous {
			f["level_low"], f["level_high"] = a.LevelLow, a.LevelHigh
			f["latest_assessment"] = a.Key
			f["evidence_as_of"] = orNull(Datetime(a.AsOf, in.Zone))
			f["verdicts_json"] = verdictsJSON(a)
			break
		}
	}
	return r
}

// plainMail is an address that every Frappe takes for one; for any other it
// refuses the whole record.
var plainMail = regexp.MustCompile(`^[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}$`)

func mail(s string) any {
	if s = strings.TrimSpace(s); len(s) > dataLimit || !plainMail.MatchString(s) {
		return nil
	}
	return s
}

// verdictsJSON is what the form script of PMM Partner draws: the latest
// verdicts, failing first within each level.
func verdictsJSON(a rules.Assessment) string {
	type row struct {
		Criterion   string `json:"criterion"`
		Statement   string `json:"statement"`
		Department  string `json:"department"`
		Level       int    `json:"level"`
		Severity    string `json:"severity"`
		Verdict     string `json:"verdict"`
		Measured    string `json:"measured"`
		Expected    string `json:"expected"`
		Explanation string `json:"explanation"`
		URL         string `json:"evidence_url"`
		Count       int    `json:"evidence_count"`
		Flag        string `json:"flag"`
	}
	rows := make([]row, 0, len(a.Verdicts))
	for _, v := range inOrder(a.Verdicts) {
		rows = append(rows, row{
			v.Criterion, Plain(v.Title, 300), Department(v.Department), v.Level, string(v.Severity), v.counts.String(), Data(v.Measured), Data(v.Expected),
			Plain(v.Explanation, 300), firstURL(v.Items), len(v.Evidence), Data(v.Flag),
		})
	}
	b, err := json.Marshal(rows)
	if err != nil {
		return "[]"
	}
	return string(b)
}

// ranked is a verdict where it stands (a verdict is large) and what counts of it.
type ranked struct {
	*rules.Verdict
	counts rules.Outcome
	rank   int
}

// ranks ranks the verdicts, and leaves them where they are.
func ranks(vs []rules.Verdict) []ranked {
	worst := [...]rules.Outcome{rules.NotMet, rules.Insufficient, rules.Manual, rules.Met, rules.NotApplicable}
	order := make([]ranked, len(vs))
	for i := range vs {
		o := vs[i].Effective()
		order[i] = ranked{&vs[i], o, slices.Index(worst[:], o)}
	}
	return order
}

// inOrder sorts verdicts as people read them: by level, the failing ones first.
func inOrder(vs []rules.Verdict) []ranked {
	order := ranks(vs)
	slices.SortStableFunc(order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.rank, b.rank), cmp.Compare(a.Criterion, b.Criterion))
	})
	return order
}

// firstURL is the record that a person should open first: the first failing one.
func firstURL(items []rules.Item) string {
	for _, it := range items {
		if it.URL != "" && len(it.URL) <= dataLimit {
			return it.URL
		}
	}
	return ""
}

func site(in Input, s SiteFacts) Record {
	var versions []string
	for app, v := range s.Versions {
		versions = append(versions, app+" "+v)
	}
	slices.Sort(versions)
	return Record{
		Doctype: DoctypeSite, Key: SiteKey(in.Partner.Key, s.Key), Partner: in.Partner.Key, Kind: Outcome,
		Reason: fmt.Sprintf("site %s of %s is %s", s.Key, in.Partner.Key, s.Status),
		Fields: map[string]any{
			"status": s.Status, "last_success_on": orNull(Datetime(s.LastSuccess, in.Zone)), "last_error": Plain(s.LastError, 300),
			"versions": Plain(strings.Join(versions, ", "), 300), "time_zone": Data(s.Zone), "unreadable_doctypes": Plain(strings.Join(s.Unreadable, ", "), 500),
		},
		Once: map[string]any{
			"site_key": SiteKey(in.Partner.Key, s.Key), "site_url": Data(s.URL), "partner": in.Partner.Key, "purpose": cmp.Or(s.Purpose, "All"), "enabled": 1,
		},
		Soft: map[string]Kind{"last_success_on": Heartbeat, "last_error": Heartbeat, "versions": Measure},
	}
}

// resultColumns are what we write of each verdict, in the order of its cells.
var resultColumns = []string{
	"criterion", "verdict", "measured", "expected", "evidence_count", "proposed_nc",
	"department", "level", "severity", "flag", "statement", "explanation", "evidence_url",
}

func assessment(in Input, a rules.Assessment, note string) Record {
	var met, missed, unknown int
	results := table{columns: resultColumns, cells: make([]any, 0, len(a.Verdicts)*len(resultColumns))}
	verdicts := inOrder(a.Verdicts)
	if a.Kind == rules.Escalation {
		verdicts = ranks(a.Verdicts) // those of the stage in which it arose come first
	}
	for _, v := range verdicts {
		switch v.counts {
		case rules.Met, rules.NotApplicable:
			met++
		case rules.NotMet:
			missed++
		case rules.Insufficient, rules.Manual:
			unknown++
		}
		results.cells = append(
			results.cells,
			v.Criterion, v.Outcome.String(), Data(v.Measured), Data(v.Expected), len(v.Evidence), b2i(proposesNC(a.Kind, v.Severity, v.counts)),
			Department(v.Department), v.Level, string(v.Severity), Data(v.Flag), Plain(v.Title, 300), Lines(v.Explanation, 500), firstURL(v.Items),
		)
	}
	from, to := period(a)
	f := map[string]any{
		"title": Data(title(in, a)), "status": "Ready", "target_level": a.Target.Level, "level_range": levelRange(a), "level_low": a.LevelLow, "level_high": a.LevelHigh,
		"met": met, "not_met": missed, "unknown": unknown, "period_from": date(from), "period_to": date(to), "cutoff": orNull(Datetime(a.Cutoff, in.Zone)),
		"rule_set": Data(fmt.Sprintf("%s %s (%.12s)", a.Pack.Name, a.Pack.Version, a.Pack.SHA256)), "summary": Lines(summary(a, met, missed, unknown)+note+contradictions(a), 2000),
		"results": results, "samples": samples(in, a), "sample_note": Lines(sampleNote(a)+"\n"+collectedNote(a), 2000),
	}
	once := map[string]any{"assessment_key": a.Key, "partner": in.Partner.Key, "kind": string(a.Kind)}
	switch a.Kind {
	case rules.Audit:
		once["partner_audit"] = a.Target.Record
	case rules.Escalation:
		once["escalation"] = a.Target.Record
	case rules.Continuous:
	}
	return Record{
		Doctype: DoctypeAssessment, Key: a.Key, Partner: in.Partner.Key, Kind: Outcome, Fields: f, Once: once,
		Reason: fmt.Sprintf("%s assessment %s", strings.ToLower(string(a.Kind)), a.Key),
		Soft:   map[string]Kind{"summary": Measure, "sample_note": Measure, "period_from": Measure, "period_to": Measure},
		Tables: map[string][]string{"results": {"criterion", "verdict", "flag", "proposed_nc", "severity"}, "samples": {"source_name", "kind"}},
	}
}

// proposesNC: only an audit or escalation may lead to an NC, and only by a
// missed NC criterion (domain.md C).
func proposesNC(kind rules.Kind, severity rules.Severity, o rules.Outcome) bool {
	return kind != rules.Continuous && severity == rules.SeverityNC && o == rules.NotMet
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func title(in Input, a rules.Assessment) string {
	switch a.Kind {
	case rules.Audit:
		return fmt.Sprintf("%s, audit %s", in.Partner.Name, a.Target.Record)
	case rules.Escalation:
		return fmt.Sprintf("%s, escalation %s", in.Partner.Name, a.Target.Record)
	case rules.Continuous:
	}
	_, w, _ := strings.Cut(a.Key, "-cont-")
	return fmt.Sprintf("%s, week %s", in.Partner.Name, strings.ToUpper(w))
}

func levelRange(a rules.Assessment) string {
	if a.Kind == rules.Escalation {
		return ""
	}
	if a.LevelLow == a.LevelHigh {
		return fmt.Sprintf("PMM %d", a.LevelLow)
	}
	return fmt.Sprintf("PMM %d to %d", a.LevelLow, a.LevelHigh)
}

func period(a rules.Assessment) (from, to evidence.Date) {
	for _, m := range a.Metrics {
		if m.Period.Week.IsZero() {
			continue
		}
		if f := m.Period.First(); from.IsZero() || f.Before(from) {
			from = f
		}
		if l := m.Period.Last(); l.After(to) {
			to = l
		}
	}
	return from, to
}

func summary(a rules.Assessment, met, missed, unknown int) string {
	s := fmt.Sprintf("%d statements shown, %d missed, %d not known.", met, missed, unknown)
	for _, m := range a.Missing {
		if m.Outcome == rules.NotMet {
			s += fmt.Sprintf(" Next: %s at level %d.", m.Criterion, m.Level)
			break
		}
	}
	return s
}

// contradictions are pairs of facts that a person looks into; none of them
// changes a verdict.
func contradictions(a rules.Assessment) string {
	if a.Kind == rules.Continuous {
		return ""
	}
	s := ""
	for i, x := range a.Signals {
		if i == contradictionsShown {
			s += fmt.Sprintf("\nAnd %d more pairs of facts to look into.", len(a.Signals)-i)
			break
		}
		s += fmt.Sprintf("\nTo look into: %s %s. %s But: %s", x.Subject.Doctype, x.Subject.Name, x.Says[0], x.Says[1])
	}
	return s
}

// contradictionsShown is how many contradictions an assessment's summary spells
// out.
const contradictionsShown = 6

func samples(in Input, a rules.Assessment) []map[string]any {
	out := []map[string]any{}
	kinds := map[string]string{"Project": "Project", "Quotation": "Deal", "Opportunity": "Deal", "CRM Deal": "Deal", "Issue": "Ticket", "HD Ticket": "Ticket"}
	for _, s := range a.Samples {
		for i, it := range s.Items {
			if it.Removed {
				continue // the note says so
			}
			out = append(out, map[string]any{
				"kind": cmp.Or(kinds[it.Ref.Doctype], "Project"), "title": Data(it.Label), "source_name": Data(it.Ref.Name), "source_doctype": Data(it.Ref.Doctype),
				"site": Data(it.Ref.Site), "population": s.Population, "rank": i + 1, "source_url": within(recordURL(in, it.Ref), dataLimit),
			})
		}
	}
	return out
}

// recordURL opens the record on the partner's site; "" when that has no address.
func recordURL(in Input, r evidence.Ref) string {
	for _, s := range in.Sites {
		if s.Key == r.Site {
			return evidence.Site{URL: s.URL}.Link(r)
		}
	}
	return ""
}

// within is the address where the field can hold it, else "".
func within(url string, limit int) string {
	if len(url) > limit {
		return ""
	}
	return url
}

// sampleNote says how the sample was drawn.
func sampleNote(a rules.Assessment) string {
	var lines []string
	for _, s := range a.Samples {
		drawn := 0
		for _, it := range s.Items {
			if !it.Added {
				drawn++
			}
		}
		lines = append(lines, fmt.Sprintf("%s: %d of %d drawn by HMAC-SHA256 over the source key; %d left out; SHA-256 of the seed %s", s.Stream, drawn, s.Population, s.LeftOut, s.SeedHash))
		for _, it := range s.Items {
			switch key := rules.SourceKey(it.Ref); {
			case it.Removed:
				lines = append(lines, fmt.Sprintf("Taken out by a person: %s: %s", key, it.Reason))
			case it.Added:
				lines = append(lines, fmt.Sprintf("Added by a person: %s: %s", key, it.Reason))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// snapshot is one point of a chart. Weeks and months that are over only: the
// running one would be written again and again.
func snapshot(in Input, v measure.Value) (Record, bool) {
	last := v.Period.Last()
	if last.IsZero() || !last.Before(evidence.DateIn(in.Now, in.Zone)) || (!v.Has && !v.HasReported) {
		return Record{}, false
	}
	kind, per := "Week", strings.ToLower(strings.ReplaceAll(v.Period.String(), "-W", "w"))
	if v.Period.Week.IsZero() {
		kind, per = "Month", v.Period.String()
	}
	dept, _, _ := strings.Cut(v.Metric, ".")
	name := Data(strings.TrimSpace(v.Metric + " " + v.Period.String() + " " + v.Title))
	parts := []string{in.Partner.Key, cmp.Or(v.Site, "all"), v.Metric, per}
	if v.Project != "" {
		parts = append(parts, v.Project)
	}
	attainment := 0.0
	if v.HasTarget && v.Target > 0 && v.Has {
		attainment = round(100 * v.Value / v.Target)
	}
	var siteLink any
	if v.Site != "" {
		siteLink = SiteKey(in.Partner.Key, v.Site)
	}
	return Record{
		Doctype: DoctypeSnapshot, Key: key(parts...), Partner: in.Partner.Key, Kind: Append,
		Reason: fmt.Sprintf("%s of %s in %s", v.Metric, in.Partner.Key, v.Period),
		Once:   map[string]any{"snapshot_key": key(parts...)},
		Fields: map[string]any{
			"title": name, "partner": in.Partner.Key, "metric": v.Metric, "department": Department(departmentOf(dept)), "period_type": kind,
			"period_start": date(v.Period.First()), "period_end": date(last), "status": timeliness(v.Timeliness), "has_value": b2i(v.Has), "value": round(v.Value),
			"unit": v.Unit, "target": round(v.Target), "attainment": attainment, "numerator": round(v.Numerator), "denominator": round(v.Denominator),
			"origin": "Computed", "has_reported": b2i(v.HasReported), "reported_value": round(v.Reported), "reported_on": date(v.ReportedOn),
			"site": siteLink, "project": Data(v.Title),
		},
		Soft: map[string]Kind{"value": Measure, "numerator": Measure, "denominator": Measure, "attainment": Measure, "target": Measure, "title": Measure, "project": Measure},
	}, true
}

// round cuts a figure to what a Frappe Float keeps.
func round(v float64) float64 {
	if v != v || v > 1e15 || v < -1e15 { // NaN and infinities are no figures
		return 0
	}
	n := v * 1e6
	if n < 0 {
		return float64(int64(n-0.5)) / 1e6
	}
	return float64(int64(n+0.5)) / 1e6
}

func departmentOf(prefix string) evidence.Department {
	switch prefix {
	case "impl":
		return evidence.Implementation
	case "sales":
		return evidence.Sales
	case "support":
		return evidence.Support
	default:
		return evidence.General
	}
}

func timeliness(t measure.Timeliness) string {
	switch t {
	case measure.Late:
		return "Late"
	case measure.Backfill:
		return "Backfilled"
	case measure.Never, measure.Unknown:
		return "Missing"
	default:
		return "On Time"
	}
}

func alert(in Input, a programme.Alert) Record {
	status, seen := "Firing", a.Since
	if !a.Firing {
		status, seen = "Resolved", a.Resolved
	}
	return Record{
		Doctype: DoctypeAlert, Key: a.Key, Partner: in.Partner.Key, Kind: Outcome,
		Reason: fmt.Sprintf("alert %s of %s: %s", a.Rule, in.Partner.Key, status),
		Once: map[string]any{
			"alert_key": a.Key, "partner": orNull(a.Partner), "rule": a.Rule, "subject_doctype": orNull(a.SubjectDoctype), "subject_name": orNull(a.SubjectName),
			"first_seen": orNull(Datetime(a.Since, in.Zone)),
		},
		Fields: map[string]any{"message": Data(a.Message), "status": status, "severity": string(a.Severity), "last_seen": orNull(Datetime(seen, in.Zone))},
		Soft:   map[string]Kind{"message": Measure, "last_seen": Measure},
	}
}

// Criteria returns the catalogue of criteria as PMM Criterion records; what
// people set there (enabled, overrides) is theirs and only seeded.
func Criteria(list []CriterionFacts, ruleVersion string) []Record {
	out := make([]Record, 0, len(list))
	for _, c := range list {
		out = append(out, Record{
			Doctype: DoctypeCriterion, Key: c.ID, Kind: Outcome, Reason: "criterion " + c.ID,
			Once: map[string]any{"criterion_id": c.ID, "enabled": 1},
			Fields: map[string]any{
				"statement": Plain(c.Title, 300), "title": Data(c.Title), "level": c.Level, "department": Department(c.Department), "severity": string(c.Severity),
				"method": c.Method, "threshold": Data(c.Threshold), "source": Data(c.Source), "rule_version": Data(ruleVersion),
			},
			Soft: map[string]Kind{"rule_version": Measure},
		})
	}
	return out
}

// CriterionFacts is what the PRM shows of one criterion of a pack.
type CriterionFacts struct {
	ID         string
	Title      string
	Level      int
	Department evidence.Department
	Severity   rules.Severity
	Method     string // Automatic, Assisted, Manual
	Threshold  string
	Source     string
}

// Status is the heartbeat that the desk shows as the age of the data.
func Status(now time.Time, zone *time.Location, total, healthy int, version, note string) Record {
	return Record{
		Doctype: DoctypeStatus, Key: DoctypeStatus, Kind: Heartbeat, Reason: "age of the data",
		Fields: map[string]any{
			"last_cycle_on": orNull(Datetime(now, zone)), "sites_total": total, "sites_healthy": healthy, "daemon_version": Data(version), "note": Plain(note, 300),
		},
		Soft: map[string]Kind{"last_cycle_on": Heartbeat, "sites_total": Measure, "daemon_version": Measure, "note": Measure},
	}
}
