package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
)

// files are the files on the PRM: what each hangs on, and its name.
func (l *life) files() []string {
	var out []string
	for _, f := range l.site.Docs("File") {
		if f["attached_to_name"] == nil || f["attached_to_name"] == "" {
			continue
		}
		if fmt.Sprint(f["is_private"]) != "1" {
			l.t.Errorf("%v is public", f["file_name"])
		}
		out = append(out, fmt.Sprintf("%s/%s/%s", f["attached_to_doctype"], f["attached_to_name"], f["file_name"]))
	}
	slices.Sort(out)
	return out
}

// answerless loses the answer to each upload once, after it was done.
type answerless struct {
	daemon.PRM

	mu   sync.Mutex
	lost map[string]bool
}

func (a *answerless) Apply(ctx context.Context, c plan.Change) (daemon.Applied, error) {
	done, err := a.PRM.Apply(ctx, c)
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.Op == plan.Attach && err == nil && !a.lost[c.FileName] {
		a.lost[c.FileName] = true
		return daemon.Applied{}, errors.New("the answer was lost")
	}
	return done, err
}

// The evidence pack hangs on the audit when it is scheduled and when it is under
// way, the checklist on the escalation before its re-audit: each once, privately,
// also when answers are lost and the daemon starts anew.
func TestDocumentsAreAttachedOnce(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	lossy := &answerless{PRM: l.options.PRM, lost: map[string]bool{}}
	l.options.PRM = lossy
	l.start()
	audit := l.create("Partner Audit", map[string]any{
		"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Requested", "requested_on": "2026-10-01", "proposed_audit_date": "2026-10-20",
	})
	settle := func() {
		for range 3 {
			l.cycle()
			l.start()
		}
	}
	settle()
	if got := l.files(); len(got) != 0 {
		t.Errorf("attached before anything is collected: %v", got)
	}
	l.person("Partner Audit", audit, map[string]any{"status": "Scheduled", "audit_date": "2026-10-20", "mode_of_audit": "Online"})
	settle()
	before := "Partner Audit/" + audit + "/evidence-pack-" + audit + "-before.html"
	if diff := cmp.Diff([]string{before}, l.files()); diff != "" {
		t.Errorf("scheduled (-want +got):\n%s", diff)
	}
	l.person("Partner Audit", audit, map[string]any{"status": "In Progress"})
	settle()
	l.person("Partner Audit", audit, map[string]any{"status": "Completed"})
	settle()
	frozen := "Partner Audit/" + audit + "/evidence-pack-" + audit + ".html"
	if diff := cmp.Diff([]string{before, frozen}, l.files()); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
	if len(lossy.lost) != 2 {
		t.Errorf("%d answers were lost: the test tests less than it says", len(lossy.lost))
	}
}

func TestTheChecklistIsThereBeforeTheReaudit(t *testing.T) {
	t.Parallel()
	l := newLife(t, programme.Policy{})
	esc, _ := l.escalate("impl.rca")
	l.cycle()
	var lists []string
	for _, f := range l.files() {
		if strings.HasPrefix(f, "Partner Escalation/") {
			lists = append(lists, f)
		}
	}
	if diff := cmp.Diff([]string{"Partner Escalation/" + esc + "/checklist-" + esc + ".html"}, lists); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
