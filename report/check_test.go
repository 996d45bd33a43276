package report_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/report"
	"github.com/prmsync/prmsync/rules"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", file, diff)
	}
}

const nasty = `<script>alert(1)</script> "q" & |*_[x](javascript:y)` + "\x1b[31m\u202e`"

func sample(text string) rules.Report {
	item := func(name, note string, ok bool) rules.ReportItem {
		return rules.ReportItem{Ref: rules.ReportRef{Site: "erp", Doctype: "Task", Name: name, URL: "https://erp.example/app/task/" + name}, Label: text + " " + name, OK: ok, Note: note}
	}
	return rules.Report{
		Partner: "meridian", AsOf: time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC), Kind: rules.Continuous, LevelLow: 2, LevelHigh: 3,
		Pack: rules.PackID{Name: "pmm", Version: "1"},
		Verdicts: []rules.ReportVerdict{
			{Criterion: "impl.process", Title: "Process", Department: evidence.Implementation, Level: 2, Severity: rules.SeverityNC, Outcome: rules.Met, Measured: "How we deliver", Expected: "a process"},
			{
				Criterion: "impl.followed", Title: "Followed", Department: evidence.Implementation, Level: 4, Severity: rules.SeverityNC, Outcome: rules.NotMet, Measured: "1 of 6 points", Expected: "every point", Remedy: "close the gaps", Repeat: true,
				Items: []rules.ReportItem{item("T1", "not signed", false), item("T2", "not signed", false), item("T3", "", false), item("T4", "late", false), item("T5", "late", false), item("T6", "signed", true)}, MoreItems: 2,
			},
			{Criterion: "impl.plan", Title: "Plan", Department: evidence.Implementation, Level: 3, Severity: rules.SeverityNC, Outcome: rules.Insufficient, Measured: "not known", Expected: "a plan", Unknowns: []rules.ReportUnknown{{Attribute: "Task", Stream: "Task", Site: "erp", Reason: "permission denied", Remedy: "grant read on Task"}}},
			{Criterion: "impl.metric.overdue_pct", Title: "Overdue", Department: evidence.Implementation, Level: 3, Severity: rules.SeverityNC, Outcome: rules.Insufficient, Expected: "a value", Unknowns: []rules.ReportUnknown{{Attribute: "Task", Stream: "Task", Site: "erp", Reason: "permission denied", Remedy: "grant read on Task"}}},
			{Criterion: "sales.dashboard", Title: "Dashboard", Department: evidence.Sales, Level: 3, Severity: rules.SeverityNC, Outcome: rules.Manual, Expected: "a dashboard", Explanation: "A person has to judge this: open the link."},
			{Criterion: "gen.allhands", Title: "All-hands", Department: evidence.General, Level: 4, Severity: rules.SeverityNC, Outcome: rules.Met, Measured: "11 of 12", Expected: "12", Observation: "A week was missed: 2026-W40."},
			{Criterion: "sales.rca", Title: "Cause", Department: evidence.Sales, Level: 5, Severity: rules.SeverityNC, Outcome: rules.NotApplicable, Expected: "a cause"},
		},
		Missing: []rules.ReportMissing{
			{Level: 3, Department: evidence.Sales, Criterion: "sales.dashboard", Outcome: rules.Manual, Remedy: "open the link"},
			{Level: 3, Department: evidence.Implementation, Criterion: "impl.plan", Outcome: rules.Insufficient, Remedy: "grant read on Task"},
			{Level: 4, Department: evidence.Implementation, Criterion: "impl.followed", Outcome: rules.NotMet},
		},
	}
}

func TestCheckIsAsAgreed(t *testing.T) {
	t.Parallel()
	var text, colour, mark, page bytes.Buffer
	if err := report.CheckText(&text, sample("Kranz"), false); err != nil {
		t.Fatal(err)
	}
	if err := report.CheckText(&colour, sample("Kranz"), true); err != nil {
		t.Fatal(err)
	}
	if err := report.CheckMarkdown(&mark, sample("Kranz")); err != nil {
		t.Fatal(err)
	}
	if err := report.CheckHTML(&page, sample("Kranz")); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/check.txt", text.Bytes())
	golden(t, "testdata/check.md", mark.Bytes())
	golden(t, "testdata/check.html", page.Bytes())
	if bytes.Contains(text.Bytes(), []byte("\x1b")) || !bytes.Contains(colour.Bytes(), []byte("\x1b[31m")) {
		t.Error("colours are written when and only when they are asked for")
	}
	if n := strings.Count(text.String(), "\n"); n > 50 {
		t.Errorf("%d lines are more than one screen", n)
	}
}

func TestForeignTextStaysText(t *testing.T) {
	t.Parallel()
	rep := sample(nasty)
	rep.Partner = nasty
	for i := range rep.Verdicts {
		rep.Verdicts[i].Measured = nasty
	}
	rep.Verdicts[1].Items[0].Ref.URL = "javascript:alert(1)"
	var text, mark, page bytes.Buffer
	if err := report.CheckText(&text, rep, false); err != nil {
		t.Fatal(err)
	}
	if err := report.CheckMarkdown(&mark, rep); err != nil {
		t.Fatal(err)
	}
	if err := report.CheckHTML(&page, rep); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ where, text, never string }{
		{"text", text.String(), "\x1b"},
		{"text", text.String(), "\u202e"},
		{"markdown", mark.String(), "<script"},
		{"markdown", mark.String(), "](javascript:"},
		{"html", page.String(), "<script"},
		{"html", page.String(), `href="javascript:`},
		{"html", page.String(), "\u202e"},
	} {
		if strings.Contains(c.text, c.never) {
			t.Errorf("%s holds %q", c.where, c.never)
		}
	}
	if strings.Contains(page.String(), "src=") || strings.Contains(page.String(), "@import") {
		t.Error("the page asks for something from outside")
	}
}

func BenchmarkCheckHTML(b *testing.B) {
	rep := sample("Kranz")
	for b.Loop() {
		var page bytes.Buffer
		if err := report.CheckHTML(&page, rep); err != nil {
			b.Fatal(err)
		}
	}
}
