package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// life is a partner's life on a real PRM with a clock that the test moves: what
// people do goes over REST, and through the PRM's own permissions.
type life struct {
	t       *testing.T
	site    *frappetest.Site
	manager *frappe.Client // the partner manager's
	store   *store.Store
	daemon  *daemon.Daemon
	judge   *scripted
	options daemon.Options
	central *prm.PRM

	keys, agent [2]frappe.Secret // of the last user made; of the runtime user

	mu  sync.Mutex
	now time.Time
}

func (l *life) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// scripted answers as the test says.
type scripted struct {
	mu       sync.Mutex
	outcomes map[string]rules.Outcome
	targets  []programme.Commission
}

var levels = map[string]int{"impl.followed": 3, "impl.cadence": 4, "impl.corrective": 4, "impl.rca": 5}

func (s *scripted) verdicts() []rules.Verdict {
	var out []rules.Verdict
	for id, level := range levels {
		out = append(out, rules.Verdict{
			Criterion: id, Title: "Statement " + id, Level: level, Department: evidence.Implementation, Severity: rules.SeverityNC,
			Outcome: s.outcomes[id], Measured: "1 of 2", Expected: "2 of 2", Explanation: "One is missing.",
		})
	}
	slices.SortFunc(out, func(a, b rules.Verdict) int { return a.Level - b.Level })
	return out
}

func (s *scripted) set(id string, o rules.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[id] = o
}

func (s *scripted) Assess(_ context.Context, partner string, at time.Time, _ programme.Input) (daemon.Judged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := evidence.Snapshot{Partner: partner, AsOf: at}
	for i := range 5 {
		snap.Projects = append(snap.Projects, evidence.Project{
			Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: fmt.Sprintf("P%d", i)}, Status: "Open", Customer: "Kranz", Title: fmt.Sprintf("Project %d", i),
		})
	}
	a := rules.Assessment{Key: rules.AssessmentKey(partner, rules.Continuous, evidence.DateIn(at, time.UTC), rules.Target{}), Partner: partner, Kind: rules.Continuous, AsOf: at, Verdicts: s.verdicts()}
	a.LevelLow, a.LevelHigh = rules.Levels(a.Verdicts)
	return daemon.Judged{Snapshot: snap, Assessments: []rules.Assessment{a}}, nil
}

func (s *scripted) Target(_ context.Context, judged daemon.Judged, _ programme.Input, c programme.Commission) (rules.Assessment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = append(s.targets, c)
	return rules.Assessment{
		Key: rules.AssessmentKey(judged.Snapshot.Partner, c.Kind, judged.Snapshot.Today(), c.Target), Partner: judged.Snapshot.Partner, Kind: c.Kind, AsOf: judged.Snapshot.AsOf, Target: c.Target,
		Cutoff: c.Cutoff, Samples: c.Samples, Verdicts: s.verdicts(), LevelLow: 2, LevelHigh: 3,
	}, nil
}

// central is the PRM as cmd wires it.
type central struct {
	*prm.PRM
	now func() time.Time
}

func (c central) Read(ctx context.Context, last programme.Input) (programme.Input, error) {
	in, err := c.PRM.Read(ctx, last)
	in.AsOf = c.now()
	return in, err
}

func (c central) Apply(ctx context.Context, ch plan.Change) (daemon.Applied, error) {
	a, err := c.PRM.Apply(ctx, ch)
	return daemon.Applied(a), err
}

func (c central) ApplyMany(ctx context.Context, cs []plan.Change) ([]daemon.Applied, error) {
	as, err := c.PRM.ApplyMany(ctx, cs)
	out := make([]daemon.Applied, len(as))
	for i := range as {
		out[i] = daemon.Applied(as[i])
	}
	return out, err
}

func newLife(t *testing.T, policy programme.Policy) *life {
	t.Helper()
	l := &life{t: t, now: time.Date(2026, 10, 1, 6, 0, 0, 0, time.UTC), judge: &scripted{outcomes: map[string]rules.Outcome{}}}
	for id := range levels {
		l.judge.outcomes[id] = rules.Met
	}
	l.site = frappetest.New(t, frappetest.SiteOptions{TimeZone: "Asia/Kolkata", Now: l.clock})
	client := func(user string, roles ...string) *frappe.Client {
		key, secret := l.site.AddUser(user, roles...)
		l.keys = [2]frappe.Secret{frappe.Secret(key), frappe.Secret(secret)}
		c, err := frappe.New(frappe.Config{URL: l.site.URL(), Key: frappe.Secret(key), Secret: frappe.Secret(secret), AllowPrivateNetwork: true, ServerSeconds: 100})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	if _, err := schema.Provision(t.Context(), client("provision@prm.test", "System Manager", "Workspace Manager", "Website Manager"), schema.Options{Deployment: "bare"}); err != nil {
		t.Fatal(err)
	}
	agent := client("agent@prm.test", "PMM Sync Agent")
	l.agent = l.keys
	l.manager = client("manager@prm.test", "Partner Manager")
	for _, tier := range programme.DefaultTiers() {
		if _, err := l.site.Insert("Partner Tier", map[string]any{"title": tier.Name, "enabled": 1, "target_in_usd": tier.TargetUSD, "target_in_inr": tier.TargetINR, "pmm_required": tier.PMMRequired}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.Open(t.Context(), "sqlite::memory:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	l.store = st
	var criteria []plan.CriterionFacts
	for id, level := range levels {
		criteria = append(criteria, plan.CriterionFacts{ID: id, Title: id, Level: level, Department: evidence.Implementation, Severity: rules.SeverityNC, Method: "Automatic"})
	}
	l.central = prm.New(agent, "bare")
	l.options = daemon.Options{Store: st, PRM: central{l.central, l.clock}, Judge: l.judge, Clock: l.clock, Version: "test", Criteria: criteria, Programme: policy}
	l.start()
	l.cycle()
	l.person("PMM Partner", "vale", map[string]any{"awarded_pmm": 5, "awarded_tier": "Gold"})
	l.cycle()
	return l
}

// start begins the daemon anew, as after a restart.
func (l *life) start() {
	l.t.Helper()
	d, err := daemon.New(l.options, []daemon.Partner{{
		Facts: plan.PartnerFacts{Key: "vale", Name: "Vale GmbH"}, Sites: []daemon.PartnerSite{{Key: "erp", URL: "https://erp.vale.example", Purpose: "All", Read: silent{}}},
		Schedule: every, Spec: "hourly",
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.daemon = d
}

func every(after time.Time) time.Time { return after.Add(time.Hour) }

// silent is a site on which nothing changes.
type silent struct{}

func (silent) Poll(context.Context) (daemon.SiteState, error) {
	return daemon.SiteState{Site: evidence.Site{Key: "erp", Zone: "UTC"}}, nil
}

// cycle lets five minutes pass and the daemon look; what it wrote is seen, as
// people see it, at the second look.
func (l *life) cycle() {
	l.t.Helper()
	for range 2 {
		l.once()
	}
	parked, err := l.store.List(l.t.Context(), "vale", store.Parked, 10)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, q := range parked {
		l.t.Fatalf("%s %s is refused: %s", q.Change.Doctype, q.Change.Name, q.Error)
	}
}

// pass lets five minutes pass.
func (l *life) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(5 * time.Minute)
}

// once is one look of the daemon, five minutes later.
func (l *life) once() {
	l.t.Helper()
	l.pass()
	if err := l.daemon.Once(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// on moves the clock to a date and lets the daemon look.
func (l *life) on(date string) {
	l.t.Helper()
	d, err := time.Parse(time.DateOnly, date)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.now = d.Add(6 * time.Hour)
	l.mu.Unlock()
	l.cycle()
}

// person does something as the partner manager.
func (l *life) person(doctype, name string, values map[string]any) {
	l.t.Helper()
	if _, _, err := l.manager.UpdateMerged(l.t.Context(), doctype, name, func(frappe.Doc) (map[string]any, error) { return values, nil }); err != nil {
		l.t.Fatalf("%s %s: %v", doctype, name, err)
	}
}

func (l *life) create(doctype string, values map[string]any) string {
	l.t.Helper()
	in, err := l.manager.Insert(l.t.Context(), doctype, "", values)
	if err != nil {
		l.t.Fatalf("%s: %v", doctype, err)
	}
	return in.Name
}

// ask fills in the web form as a customer does, whom the PRM does not know.
func (l *life) ask() {
	l.t.Helper()
	form, err := json.Marshal(map[string]any{"web_form": "raise-an-escalation", "data": map[string]any{
		"customer": "Kranz", "contact_name": "A. Kranz", "contact_email": "a@kranz.example", "partner_text": "Vale GmbH", "project_text": "the rollout",
		"stage": "Implementation", "what_happened": "It stands still.",
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.site.URL()+"/api/method/frappe.website.doctype.web_form.web_form.accept", bytes.NewReader(form))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		l.t.Fatalf("the web form answers %s", resp.Status)
	}
}

func (l *life) wants(doctype, name string, want map[string]any) {
	l.t.Helper()
	d := l.site.Doc(doctype, name)
	if d == nil {
		l.t.Fatalf("no %s %s", doctype, name)
	}
	for k, v := range want {
		if !plan.Same(v, d[k]) && fmt.Sprint(v) != fmt.Sprint(d[k]) {
			l.t.Errorf("%s: %s %s: %s is %v, want %v", l.clock().Format(time.DateOnly), doctype, name, k, d[k], v)
		}
	}
}

func (l *life) firing(rule string) bool {
	return slices.ContainsFunc(l.site.Docs("PMM Alert"), func(d map[string]any) bool { return d["rule"] == rule && d["status"] == "Firing" })
}

func (l *life) names(doctype string) []string {
	var out []string
	for _, d := range l.site.Docs(doctype) {
		out = append(out, fmt.Sprint(d["name"]))
	}
	return out
}

// An audit for PMM 4 from the request to the award, with three NCs: one closed
// late, one opened again, one discarded.
func TestLifeOfAnAudit(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{Raise: true})
	l.person("PMM Partner", "vale", map[string]any{"awarded_pmm": 3, "awarded_tier": "Bronze"})
	request := map[string]any{"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Requested", "requested_on": "2026-10-01", "proposed_audit_date": "2026-10-20"}
	audit := l.create("Partner Audit", request)
	again := l.create("Partner Audit", request) // the same request twice
	l.on("2026-10-02")
	key := "vale-audit-adt-0001"
	for _, n := range l.names("PMM Assessment") {
		if n != "vale-cont-2026w40" {
			key = n
		}
	}
	if n := len(l.names("PMM Assessment")); n != 2 {
		t.Errorf("%d assessments (%v), want the week's and one of the audit", n, l.names("PMM Assessment"))
	}
	l.wants("Partner Audit", audit, map[string]any{"custom_proposed_outcome": "Pending", "custom_assessment": key})
	if !l.firing(programme.RuleAuditFlagged) {
		t.Error("the second request is not flagged")
	}
	l.person("Partner Audit", again, map[string]any{"status": "Cancelled"})
	l.person("Partner Audit", audit, map[string]any{"status": "Scheduled", "audit_date": "2026-10-20", "mode_of_audit": "Online"})
	l.on("2026-10-05")
	drawn := l.sample(key)
	if len(drawn) != 2 {
		t.Fatalf("%d projects drawn, want 2", len(drawn))
	}
	l.start() // a restart draws nothing anew
	l.on("2026-10-19")
	if got := l.sample(key); !slices.Equal(got, drawn) {
		t.Errorf("the sample changed from %v to %v", drawn, got)
	}
	if !l.firing(programme.RuleAuditAttendance) {
		t.Error("nobody is ticked and the audit is tomorrow")
	}
	l.person("Partner Audit", audit, map[string]any{"status": "In Progress", "custom_founder_present": 1, "custom_sales_present": 1, "custom_implementation_present": 1, "custom_support_present": 1})
	l.on("2026-10-20")
	if l.firing(programme.RuleAuditAttendance) {
		t.Error("everybody is ticked")
	}
	if c := l.judge.targets[len(l.judge.targets)-1]; c.Cutoff.IsZero() || c.Target.Level != 4 {
		t.Errorf("not frozen: %+v", c)
	}
	for _, id := range []string{"impl.followed", "impl.cadence", "impl.corrective", "impl.rca"} {
		l.judge.set(id, rules.NotMet)
	}
	l.person("Partner Audit", audit, map[string]any{"status": "Completed"})
	l.on("2026-10-21")
	ncs := l.names("Partner Non Conformance")
	if len(ncs) != 3 {
		t.Fatalf("%d NCs, want 3: PMM 5 is not asked for", len(ncs))
	}
	l.wants("Partner Non Conformance", ncs[0], map[string]any{"status": "Open", "expected_closure": "2026-11-21", "partner_audit": audit, "custom_overdue": 0, "custom_recheck": "Not Satisfied"})
	l.wants("Partner Audit", audit, map[string]any{"custom_proposed_outcome": "Withheld"})
	l.wants("PMM Partner", "vale", map[string]any{"open_ncs": 3, "overdue_ncs": 0, "next_nc_due": "2026-11-21", "effective_pmm": 3})
	l.person("Partner Non Conformance", ncs[1], map[string]any{"status": "Closed", "closed_on": "2026-11-02"})
	l.person("Partner Non Conformance", ncs[2], map[string]any{"status": "Discarded"})
	l.on("2026-11-15")
	l.person("Partner Non Conformance", ncs[1], map[string]any{"status": "Open"})
	l.on("2026-11-22")
	l.wants("Partner Non Conformance", ncs[0], map[string]any{"custom_overdue": 1, "status": "Open"})
	l.wants("Partner Non Conformance", ncs[1], map[string]any{"custom_overdue": 1, "expected_closure": "2026-11-21"})
	l.wants("Partner Non Conformance", ncs[2], map[string]any{"custom_overdue": 0, "status": "Discarded"})
	l.wants("PMM Partner", "vale", map[string]any{"overdue_ncs": 2, "status": "Act Now", "effective_pmm": 3, "effective_tier": "Bronze"})
	l.judge.set("impl.followed", rules.Met)
	l.judge.set("impl.cadence", rules.Met)
	l.judge.set("impl.corrective", rules.Met)
	l.on("2026-11-25")
	l.wants("Partner Non Conformance", ncs[0], map[string]any{"custom_recheck": "Satisfied", "status": "Open"}) // a person closes
	l.person("Partner Non Conformance", ncs[0], map[string]any{"status": "Closed", "closed_on": "2026-11-25"})
	l.person("Partner Non Conformance", ncs[1], map[string]any{"status": "Closed", "closed_on": "2026-11-25"})
	l.on("2026-11-26")
	l.wants("Partner Audit", audit, map[string]any{"custom_proposed_outcome": "Awarded", "custom_outcome": "Pending"})
	l.wants("PMM Partner", "vale", map[string]any{"needs_decision": 1, "awarded_pmm": 3, "open_ncs": 0})
	l.person("Partner Audit", audit, map[string]any{"custom_outcome": "Awarded"})
	l.person("PMM Partner", "vale", map[string]any{"awarded_pmm": 4, "awarded_tier": "Silver"})
	l.on("2026-11-27")
	l.wants("PMM Partner", "vale", map[string]any{"needs_decision": 0, "standing": "4", "effective_tier": "Silver", "awarded_pmm": 4})
	if text := fmt.Sprint(l.site.Doc("PMM Partner", "vale")["verdicts_json"]); !strings.Contains(text, `"criterion":"impl.rca"`) || !strings.Contains(text, `"expected":"2 of 2"`) {
		t.Errorf("people do not see what they decide by: %.200s", text)
	}
	if n := len(l.names("Partner Non Conformance")); n != 3 {
		t.Errorf("%d NCs at the end: something was raised twice", n)
	}
}

func (l *life) sample(key string) []string {
	var out []string
	rows, _ := l.site.Doc("PMM Assessment", key)["samples"].([]map[string]any)
	for _, r := range rows {
		out = append(out, fmt.Sprint(r["source_name"]))
	}
	if rows == nil {
		for _, r := range l.site.Doc("PMM Assessment", key)["samples"].([]any) {
			out = append(out, fmt.Sprint(r.(map[string]any)["source_name"]))
		}
	}
	return out
}

// escalate makes an escalation out of a customer's request and leads it to a
// completed re-audit.
func (l *life) escalate(criterion string) (escalation, nc string) {
	l.t.Helper()
	l.ask()
	l.on("2026-10-02")
	l.cycle()
	escs := l.names("Partner Escalation")
	if len(escs) != 1 {
		l.t.Fatalf("%d escalations for one request", len(escs))
	}
	escalation = escs[0]
	request := l.names("PMM Escalation Request")[0]
	l.wants("PMM Escalation Request", request, map[string]any{"escalation": escalation})
	l.wants("Partner Escalation", escalation, map[string]any{"status": "Received", "partner": "vale", "customer": "Kranz", "stage": "Implementation", "source_key": request})
	l.on("2026-10-08")
	if !l.firing(programme.RuleEscalationUnattended) {
		l.t.Error("four working days and nobody looked")
	}
	l.person("Partner Escalation", escalation, map[string]any{"project_ref": "P1", "project_site": "vale-erp"})
	l.person("Partner Escalation", escalation, map[string]any{"status": "Warning Sent", "warning_sent_on": "2026-10-08"})
	l.person("Partner Escalation", escalation, map[string]any{"status": "Customer Call Done", "customer_call_on": "2026-10-09"})
	if criterion == "" {
		return escalation, ""
	}
	reaudit := l.create("Partner Audit", map[string]any{
		"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "Re-audit", "status": "Scheduled", "audit_date": "2026-10-15", "mode_of_audit": "Online", "custom_escalation": escalation,
	})
	l.person("Partner Escalation", escalation, map[string]any{"status": "Re-audit Scheduled", "reaudit": reaudit})
	l.on("2026-10-14")
	l.wants("Partner Escalation", escalation, map[string]any{"reaudit_on": "2026-10-15", "nc_state": "None"})
	if !l.firing(programme.RuleChecklistUnshared) {
		l.t.Error("the checklist is not shared and the re-audit is tomorrow")
	}
	if c := l.judge.targets[len(l.judge.targets)-1]; c.Kind != rules.Escalation || c.Target.Project != "P1" || c.Target.Site != "erp" || c.Target.Stage != evidence.Implementation {
		l.t.Errorf("not strictly the project: %+v", c.Target)
	}
	l.person("Partner Escalation", escalation, map[string]any{"checklist_shared_on": "2026-10-14"})
	l.person("Partner Audit", reaudit, map[string]any{"status": "In Progress", "custom_delivery_head_present": 1, "custom_sales_head_present": 1, "custom_project_manager_present": 1})
	l.on("2026-10-15")
	l.person("Partner Audit", reaudit, map[string]any{"status": "Completed"})
	nc = l.create("Partner Non Conformance", map[string]any{
		"partner_audit": reaudit, "custom_pmm_partner": "vale", "department": "Implementation", "nc_statement": "A process was missed", "status": "Open", "custom_escalation": escalation,
	})
	// The criterion is the daemon's field; here a person names it by hand.
	if err := l.site.Set("Partner Non Conformance", nc, map[string]any{"custom_criterion": criterion}); err != nil {
		l.t.Fatal(err)
	}
	l.person("Partner Escalation", escalation, map[string]any{"status": "Re-audit Done"})
	l.person("Partner Escalation", escalation, map[string]any{"status": "NC Raised"})
	l.on("2026-10-16")
	l.wants("Partner Escalation", escalation, map[string]any{"nc_state": "Open"})
	l.wants("PMM Partner", "vale", map[string]any{"standing": "5", "effective_tier": "Gold", "open_ncs": 1})
	return escalation, nc
}

// Case 1 and case 2 from the web form to the restoration.
func TestLifeOfAnEscalation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		criterion, standing, tier string
		level                     int
	}{{"impl.rca", "5 → 4", "Silver", 4}, {"esc.impl.p5", "5 → 2", "Emerging", 2}} {
		t.Run(tt.tier, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, programme.Policy{})
			esc, nc := l.escalate(tt.criterion)
			l.on("2026-11-15") // the due day counts
			l.wants("PMM Partner", "vale", map[string]any{"standing": "5", "effective_tier": "Gold"})
			l.on("2026-11-16")
			l.wants("PMM Partner", "vale", map[string]any{"standing": tt.standing, "effective_pmm": tt.level, "effective_tier": tt.tier, "awarded_pmm": 5, "awarded_tier": "Gold", "overdue_ncs": 1, "status": "Act Now"})
			l.wants("Partner Escalation", esc, map[string]any{"nc_state": "Overdue"})
			l.wants("Partner Non Conformance", nc, map[string]any{"custom_overdue": 1, "status": "Open"})
			if !l.firing(programme.RuleDowngrade) || !l.firing(programme.RuleNCOverdue) {
				t.Error("nobody is told")
			}
			l.start()
			l.person("Partner Non Conformance", nc, map[string]any{"status": "Closed", "closed_on": "2026-11-20"})
			l.on("2026-11-20")
			l.wants("PMM Partner", "vale", map[string]any{"standing": "5", "effective_pmm": 5, "effective_tier": "Gold", "awarded_pmm": 5, "overdue_ncs": 0})
			l.wants("Partner Escalation", esc, map[string]any{"nc_state": "Closed"})
			if l.firing(programme.RuleDowngrade) || l.firing(programme.RuleNCOverdue) {
				t.Error("alerts of what is closed still fire")
			}
		})
	}
}

// Closed on the customer's side: no NC, no consequence, nothing more is asked.
func TestLifeClosedOnTheCustomersSide(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	esc, _ := l.escalate("")
	l.person("Partner Escalation", esc, map[string]any{"status": "Closed - Customer Side", "outcome_note": "The customer held the project."})
	l.on("2026-12-01")
	l.wants("Partner Escalation", esc, map[string]any{"nc_state": "None", "status": "Closed - Customer Side", "outcome_note": "The customer held the project."})
	l.wants("PMM Partner", "vale", map[string]any{"standing": "5", "open_escalations": 0, "open_ncs": 0})
	for _, rule := range []string{programme.RuleEscalationUnattended, programme.RuleCallOutstanding, programme.RuleEscalationStuck} {
		if l.firing(rule) {
			t.Errorf("%s still fires", rule)
		}
	}
}

// Withdrawn while NCs are open: they stand, and a person decides.
func TestLifeWithdrawn(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	esc, nc := l.escalate("impl.rca")
	l.person("Partner Escalation", esc, map[string]any{"status": "Withdrawn"})
	l.on("2026-11-20")
	l.wants("PMM Partner", "vale", map[string]any{"needs_decision": 1, "standing": "5 → 4", "open_ncs": 1})
	l.person("Partner Non Conformance", nc, map[string]any{"status": "Discarded"})
	l.on("2026-11-21")
	l.wants("PMM Partner", "vale", map[string]any{"needs_decision": 0, "standing": "5", "open_ncs": 0})
}
