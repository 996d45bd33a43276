package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/report"
	"github.com/prmsync/prmsync/rules"
)

const hostile = `<script>alert(1)</script>"><img src=x onerror=y>`

func judged(text string) rules.Assessment {
	at := time.Date(2026, 11, 18, 9, 0, 0, 0, time.UTC)
	v := func(id string, dept evidence.Department, o rules.Outcome, s rules.Severity) rules.Verdict {
		return rules.Verdict{
			Criterion: id, Title: "Statement " + id + text, Department: dept, Level: 3, Severity: s, Outcome: o, Measured: "1 of 2" + text, Expected: "2 of 2" + text,
			Explanation: "Why " + id + text, Remedy: "Bring " + id + text, Evidence: []evidence.Ref{{Name: "a"}, {Name: "b"}},
		}
	}
	return rules.Assessment{
		Key: "acme-audit-adt-0001", Kind: rules.Audit, AsOf: at, Cutoff: at, LevelLow: 2, LevelHigh: 3, Target: rules.Target{Level: 4, Record: "ADT-0001"},
		Pack: rules.PackID{Name: "pmm", Version: "1", SHA256: "0123456789abcdef"},
		Verdicts: []rules.Verdict{
			v("impl.a", evidence.Implementation, rules.Met, rules.SeverityNC), v("sales.b", evidence.Sales, rules.NotMet, rules.SeverityNC),
			v("support.c", evidence.Support, rules.Insufficient, rules.SeverityNC), v("support.d", evidence.Support, rules.NotMet, rules.SeverityObservation),
		},
		Samples: []rules.Sample{{Stream: "Project", Population: 7, SeedHash: "feed", Items: []rules.SampleItem{{
			Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: "P1"}, Label: "Rollout" + text, Added: true, Reason: "asked" + text,
		}}}},
		Collected: []rules.Collection{{
			Stream: "Project", Label: "Rollout" + text, Counts: map[rules.PieceKind]int{rules.PieceMail: 2}, Lacking: []rules.Lack{{Kind: rules.PieceSignOff, Reason: "none was found"}},
		}},
	}
}

func TestThePackHoldsWhatAnAuditorAsksFor(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := report.PackHTML(&b, report.Pack{
		Partner: "Acme", Record: "ADT-0001", State: "In Progress", Assessment: judged(""),
		Records: []report.PackRecord{{Criterion: "impl.a", Title: "Signed BRD", Source: "File f1", URL: "https://erp.acme.example/app/file/f1", Captured: "2026-11-18 14:30:00", Integrity: "Changed", Hash: "abcdef0123456789"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"evidence pack of ADT-0001", "applied for PMM 4", "evidence frozen on 2026-11-18 09:00 UTC", "support level 2 to 3", "Statements: 1 met, 1 not met, 1 open. Records of evidence: 1.",
		"Could not be judged from records", "To bring: Bring support.c", "Suggestions, without effect on the level", "1 of 7 drawn", "SHA-256 of the seed feed", "added: asked",
		"lacking: sign-offs (none was found)", `href="https://erp.acme.example/app/file/f1"`, "Changed", "abcdef012345", "Only people award a level",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the pack lacks %q", want)
		}
	}
	if i, j := strings.Index(page, "Statement support.d"), strings.Index(page, "Suggestions"); i < j {
		t.Error("an observation stands among the misses")
	}
}

// The checklist asks; it does not judge.
func TestTheChecklistHoldsNoVerdict(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := report.ChecklistHTML(&b, report.Checklist{
		Partner: "Acme", Escalation: "ESC-00001", Customer: "Kranz", Project: "Rollout", On: evidence.Date{Year: 2026, Month: 11, Day: 24}, Assessment: judged(""),
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, word := range []string{"Not Met", "not met", "Insufficient", "1 of 2", "Why "} {
		if strings.Contains(page, word) {
			t.Errorf("the checklist says %q", word)
		}
	}
	last := -1
	for _, want := range []string{"re-audit of Rollout", "for Kranz", "The re-audit is on 2026-11-24", "Implementation", "Statement impl.a", "Sales", "Bring sales.b", "Support", "lacking: sign-offs"} {
		i := strings.Index(page, want)
		if i <= last {
			t.Errorf("%q stands at %d, after what follows it or nowhere", want, i)
		}
		last = i
	}
}

func TestForeignTextStaysTextInDocuments(t *testing.T) {
	t.Parallel()
	var pack, list strings.Builder
	if err := report.PackHTML(&pack, report.Pack{
		Partner: hostile, Record: hostile, State: hostile, Assessment: judged(hostile),
		Records: []report.PackRecord{{Criterion: hostile, Title: hostile, Source: hostile, URL: "javascript:alert(1)", Captured: hostile, Integrity: hostile, Hash: hostile}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := report.ChecklistHTML(&list, report.Checklist{Partner: hostile, Escalation: hostile, Customer: hostile, Project: hostile, Assessment: judged(hostile)}); err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{"pack": pack.String(), "checklist": list.String()} {
		for _, bad := range []string{"<script", "<img", `href="javascript`} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: %q came through", name, bad)
			}
		}
	}
}
