package daemon_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

// forgetful writes and then loses the answer, once for each change of a record
// that people keep: what a kill between the two leaves behind.
type forgetful struct {
	daemon.PRM

	mu   sync.Mutex
	lost map[string]bool
	then func(c plan.Change)
}

func (f *forgetful) Apply(ctx context.Context, c plan.Change) (daemon.Applied, error) {
	a, err := f.PRM.Apply(ctx, c)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch c.Doctype {
	case plan.DoctypeAudit, plan.DoctypeNC, plan.DoctypeEscalation, plan.DoctypeRequest, plan.DoctypeAssessment:
		if err == nil && !f.lost[c.Key] {
			f.lost[c.Key] = true
			if f.then != nil {
				f.then(c)
			}
			return daemon.Applied{}, errors.New("the answer was lost")
		}
	}
	return a, err
}

// A cycle that is cut off after each write, a daemon that starts anew each time,
// and a person who edits in between: one assessment, one NC for each finding, one
// escalation for the request, and what people entered stays.
func TestNothingIsDoneTwiceWhenAnswersAreLost(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{Raise: true})
	edited := map[string]bool{}
	f := &forgetful{PRM: l.options.PRM, lost: map[string]bool{}}
	f.then = func(c plan.Change) {
		for _, n := range l.names("Partner Non Conformance") {
			if c.Doctype == plan.DoctypeNC && !edited[n] {
				edited[n] = true
				l.person("Partner Non Conformance", n, map[string]any{"expected_closure": "2026-12-24", "measures_to_close_nc": "Ours.", "status": "WIP"})
			}
		}
		for _, n := range l.names("Partner Escalation") {
			if c.Doctype == plan.DoctypeEscalation && !edited[n] {
				edited[n] = true
				l.person("Partner Escalation", n, map[string]any{"stage": "Support", "severity": "High"})
			}
		}
	}
	l.options.PRM = f
	l.start()
	l.judge.set("impl.followed", rules.NotMet)
	l.judge.set("impl.cadence", rules.NotMet)
	audit := l.create("Partner Audit", map[string]any{
		"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Scheduled", "audit_date": "2026-10-20", "mode_of_audit": "Online",
	})
	l.ask()
	l.cycle()
	redeliver(l) // before anything is read anew
	l.person("Partner Audit", audit, map[string]any{"status": "In Progress"})
	l.cycle()
	l.person("Partner Audit", audit, map[string]any{"status": "Completed"})
	for range 8 {
		l.start()
		l.once()
		redeliver(l)
	}
	l.cycle()
	if n := len(l.names("Partner Escalation")); n != 1 {
		t.Errorf("%d escalations for one request", n)
	}
	ncs := l.names("Partner Non Conformance")
	if len(ncs) != 2 {
		t.Fatalf("%d NCs for two findings", len(ncs))
	}
	for _, n := range ncs {
		l.wants("Partner Non Conformance", n, map[string]any{"expected_closure": "2026-12-24", "measures_to_close_nc": "Ours.", "status": "WIP"})
	}
	l.wants("Partner Escalation", l.names("Partner Escalation")[0], map[string]any{"stage": "Support", "severity": "High"})
	l.wants("Partner Audit", audit, map[string]any{"custom_proposed_outcome": "Withheld"})
	if len(edited) != 3 || len(f.lost) < 6 {
		t.Errorf("%d records edited, %d answers lost: the test tests less than it says", len(edited), len(f.lost))
	}
	assessments := 0
	for _, d := range l.site.Docs("PMM Assessment") {
		if d["kind"] == "Audit" {
			assessments++
		}
	}
	if assessments != 1 {
		t.Errorf("%d assessments of one audit", assessments)
	}
}

func redeliver(l *life) {
	l.t.Helper()
	l.pass()
	if err := l.daemon.Deliver(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}
