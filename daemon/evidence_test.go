package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

// sited is a judge whose evidence a test changes: each project has one task.
type sited struct {
	*scripted

	mu      sync.Mutex
	hash    string
	deleted bool
}

func (s *sited) Assess(ctx context.Context, partner string, at time.Time, people programme.Input) (daemon.Judged, error) {
	j, err := s.scripted.Assess(ctx, partner, at, people)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range j.Snapshot.Projects {
		r := evidence.Ref{Site: "erp", Doctype: "Task", Name: "T-" + p.Name, Hash: s.hash, Created: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)}
		if s.deleted {
			j.Snapshot.Deletions = append(j.Snapshot.Deletions, evidence.Deletion{Ref: r, At: at})
			continue
		}
		j.Snapshot.Tasks = append(j.Snapshot.Tasks, evidence.Task{Ref: r, Project: p.Name, Subject: "Sign-off"})
	}
	return j, err
}

func (s *sited) becomes(hash string, deleted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hash, s.deleted = hash, deleted
}

// broken is a PRM that takes nothing while it is down, and of which every other
// answer to a write of many is lost after the work is done.
type broken struct {
	daemon.PRM

	mu     sync.Mutex
	down   bool
	writes int
}

var errDown = errors.New("no answer")

func (b *broken) Apply(ctx context.Context, c plan.Change) (daemon.Applied, error) {
	b.mu.Lock()
	down := b.down
	b.mu.Unlock()
	if down {
		return daemon.Applied{}, errDown
	}
	return b.PRM.Apply(ctx, c)
}

func (b *broken) ApplyMany(ctx context.Context, cs []plan.Change) ([]daemon.Applied, error) {
	b.mu.Lock()
	down := b.down
	b.writes++
	lost := b.writes%2 == 1
	b.mu.Unlock()
	if down {
		return nil, errDown
	}
	as, err := b.PRM.ApplyMany(ctx, cs)
	if err == nil && lost {
		return nil, errDown
	}
	return as, err
}

func (b *broken) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// captured is the history of the tasks' evidence: "T-P1 Clean h1".
func (l *life) captured() []string {
	var out []string
	for _, d := range l.site.Docs("PMM Evidence") {
		if d["source_doctype"] == "Task" {
			out = append(out, strings.TrimSpace(fmt.Sprint(d["source_name"], " ", d["status"], " ", d["content_hash"])))
		}
	}
	slices.Sort(out)
	return out
}

// What was captured while the PRM was down is written afterwards, though the
// partner has changed it since; nothing is doubled by lost answers or by a daemon
// that is killed between any two steps.
func TestNoCaptureIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	judge := &sited{scripted: l.judge, hash: "h1"}
	central := &broken{PRM: l.options.PRM}
	l.options.PRM, l.options.Judge = central, judge
	l.start()
	audit := l.create("Partner Audit", map[string]any{
		"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Scheduled", "audit_date": "2026-10-20", "mode_of_audit": "Online",
	})
	look := func() { // a cycle after which the daemon is killed
		t.Helper()
		l.pass()
		if err := l.daemon.Cycle(t.Context(), "vale"); err != nil {
			t.Fatal(err)
		}
		l.start()
	}
	deliver := func() {
		t.Helper()
		for range 4 {
			l.mu.Lock()
			l.now = l.now.Add(20 * time.Minute) // any pause is over
			l.mu.Unlock()
			if err := l.daemon.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.start()
		}
	}
	central.set(true)
	look()
	deliver()
	judge.becomes("h2", false)
	look()
	look()
	central.set(false)
	if n := len(l.captured()); n != 0 {
		t.Fatalf("%d records while the PRM is down", n)
	}
	deliver()
	look()
	deliver()
	sample := l.sample("vale-audit-" + audit)
	if len(sample) != 2 {
		t.Fatalf("sample %v", sample)
	}
	var want []string
	for _, p := range sample {
		want = append(want, "T-"+p+" Clean h1", "T-"+p+" Changed h2")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, l.captured()); diff != "" {
		t.Errorf("after the outage (-want +got):\n%s", diff)
	}
	judge.becomes("h2", true)
	look()
	deliver()
	look()
	deliver()
	for _, p := range sample {
		want = append(want, "T-"+p+" Missing")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, l.captured()); diff != "" {
		t.Errorf("after the deletion (-want +got):\n%s", diff)
	}
	// On hold the collection goes on; decided, it ends.
	l.person("Partner Audit", audit, map[string]any{"status": "On Hold"})
	judge.becomes("h3", false)
	look()
	deliver()
	for _, p := range sample {
		want = append(want, "T-"+p+" Changed h3")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, l.captured()); diff != "" {
		t.Errorf("on hold (-want +got):\n%s", diff)
	}
	l.person("Partner Audit", audit, map[string]any{"status": "Cancelled"})
	judge.becomes("h4", false)
	look()
	deliver()
	if diff := cmp.Diff(want, l.captured()); diff != "" {
		t.Errorf("cancelled (-want +got):\n%s", diff)
	}
	if central.writes < 4 {
		t.Errorf("%d writes of many: the test tests less than it says", central.writes)
	}
}
