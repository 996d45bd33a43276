package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/internal/demo"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/store"
)

// shop is two partners of the demo and their PRM, as an operator configures them.
type shop struct {
	t     *testing.T
	world *demo.World
	vars  map[string]string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	day := time.Now()
	world, err := demo.NewWorld(func() time.Time { return day })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	world.Members = world.Members[:2]
	if err := provisionDemo(t.Context(), world, &bytes.Buffer{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, world: world, vars: map[string]string{"PRMSYNC_LOG_LEVEL": "error"}}
	for _, kv := range realConfig(t, world, t.TempDir()) {
		k, v, _ := strings.Cut(kv, "=")
		s.vars[k] = v
	}
	return s
}

// run types a command and wants the exit code.
func (s *shop) run(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	if got := run(s.t.Context(), args, envconfig.MapLookuper(s.vars), &out, &errs); got != code {
		s.t.Fatalf("prmsync %s = %d, want %d\n%s%s", strings.Join(args, " "), got, code, &out, &errs)
	}
	return out.String(), errs.String()
}

// store opens the state that the commands use.
func (s *shop) open(use func(ctx context.Context, st *store.Store)) {
	s.t.Helper()
	st, err := store.Open(s.t.Context(), s.vars["PRMSYNC_DATABASE_URL"], store.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer st.Close()
	use(s.t.Context(), st)
}

// A rule that turns every verdict round stops all writing; a person looks at the
// plan, lets it pass by its ID, and the writes go out.
func TestAPersonLooksAtTheBrakeAndLetsItPass(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	blank := s.world.PRM.Snapshot()
	s.run(exitNotMet, "once")
	var turned []rules.Assessment
	s.open(func(ctx context.Context, st *store.Store) {
		for _, m := range s.world.Members {
			held, ok, err := st.LatestOf(ctx, m.Key, rules.Continuous)
			if err != nil || !ok {
				t.Fatalf("no assessment of %s: %v", m.Key, err)
			}
			a := held.Assessment
			for i, v := range a.Verdicts {
				switch v.Outcome {
				case rules.Met:
					a.Verdicts[i].Outcome = rules.NotMet
				case rules.NotMet:
					a.Verdicts[i].Outcome = rules.Met
				case rules.Insufficient, rules.NotApplicable, rules.Manual:
				}
			}
			turned = append(turned, a)
		}
	})

	// The same partners a day ago, judged the other way round.
	s.world.PRM.Restore(blank)
	s.vars["PRMSYNC_DATABASE_URL"] = "sqlite:" + t.TempDir() + "/other.db"
	s.open(func(ctx context.Context, st *store.Store) {
		for _, a := range turned {
			if _, err := st.CommitAssessment(ctx, store.Judgement{Partner: a.Partner, At: time.Now().Add(-25 * time.Hour), Assessments: []rules.Assessment{a}}); err != nil {
				t.Fatal(err)
			}
		}
	})
	written := func() int { return s.world.PRM.Count(plan.DoctypeAssessment) }
	_, logged := s.run(exitNotMet, "once")
	if n := written(); n != 0 || !strings.Contains(logged, "writing to the PRM stopped") {
		t.Fatalf("%d assessments were written past the brake; logged: %s", n, logged)
	}

	people, _ := s.run(exitOK, "plan")
	out, _ := s.run(exitOK, "plan", "--json")
	doc := decode[planDocument](t, []byte(out))
	if len(doc.Held) != 1 || len(doc.Held[0].Flips) < 20 || len(doc.Changes) == 0 {
		t.Fatalf("plan --json: %.600s", out)
	}
	held := doc.Held[0]
	for _, want := range []string{
		s.world.Members[0].Key + "\n", "insert  PMM Partner " + s.world.Members[0].Key, "Held back by the change brake", "would flip between Met and Not Met",
		held.Flips[0], "prmsync plan --approve " + held.ID,
	} {
		if !strings.Contains(people, want) {
			t.Errorf("plan lacks %q:\n%s", want, people)
		}
	}
	if _, complaint := s.run(exitUsage, "plan", "--approve", "change-of-mind"); !strings.Contains(complaint, "change-of-mind") {
		t.Errorf("an unknown ID: %s", complaint)
	}
	if out, _ := s.run(exitOK, "plan", "--approve", held.ID); !strings.Contains(out, held.ID+" may pass") {
		t.Errorf("approved: %s", out)
	}
	s.run(exitUsage, "plan", "--approve", held.ID) // only once

	s.run(exitNotMet, "once")
	if n := written(); n < len(s.world.Members) {
		t.Errorf("%d assessments were written after the approval, want one of each partner", n)
	}
	out, _ = s.run(exitOK, "plan", "--json")
	if doc := decode[planDocument](t, []byte(out)); len(doc.Held) != 0 {
		t.Errorf("still held: %+v", doc.Held)
	}
}
