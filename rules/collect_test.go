package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

var (
	collectedAt = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	frozenAt    = time.Date(2026, 11, 18, 9, 0, 0, 0, time.UTC)
)

func recordOf(doctype, name string) evidence.Ref {
	at := collectedAt.AddDate(0, -2, 0)
	return evidence.Ref{Site: "erp", Doctype: doctype, Name: name, Created: at, Modified: at, Seen: at, Hash: "h-" + name}
}

// twoProjects is a site with two projects that have the same kinds of records.
func twoProjects() *evidence.Snapshot {
	s := &evidence.Snapshot{Partner: "acme", AsOf: collectedAt, Zone: "UTC", Sites: []evidence.Site{{Key: "erp", URL: "https://erp.acme.example", Zone: "UTC"}}}
	for _, p := range []string{"P1", "P2"} {
		project := recordOf("Project", p)
		task, scan := recordOf("Task", p+"-brd"), recordOf("File", p+"-scan")
		s.Projects = append(s.Projects, evidence.Project{Ref: project, Title: "Rollout " + p, Status: "Open", Customer: "Kranz " + p})
		s.Tasks = append(s.Tasks, evidence.Task{Ref: task, Project: p, Subject: "BRD sign-off"}, evidence.Task{Ref: recordOf("Task", p+"-work"), Project: p, Subject: "Work"})
		s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: task, Project: p, Kind: evidence.SignOffBRD, Done: true, Proof: []evidence.Ref{scan}})
		s.Attachments = append(s.Attachments,
			evidence.Attachment{Ref: scan, FileName: p + " signed.pdf", On: task}, evidence.Attachment{Ref: recordOf("File", p+"-plan"), FileName: p + " plan.pdf", On: project})
		s.Messages = append(s.Messages, evidence.Message{Ref: recordOf("Communication", p+"-mail"), Project: p, About: project, Subject: "Weekly status"})
		s.Tickets = append(s.Tickets, evidence.Ticket{Ref: recordOf("Issue", p+"-issue"), Subject: "Printer", Customer: "Kranz " + p})
		s.Reports = append(s.Reports, evidence.MetricReport{Ref: recordOf("Quality Review", p+"-report"), Metric: "impl.metric.overdue_pct", Project: p})
	}
	late := recordOf("Communication", "P1-late")
	late.Created = frozenAt.Add(time.Hour)
	s.Messages = append(s.Messages, evidence.Message{Ref: late, Project: "P1", Subject: "Sent afterwards"})
	for _, stream := range []string{"File", "Communication", "Task", "Issue", "Quality Review"} {
		s.Coverage = append(s.Coverage, evidence.Coverage{Site: "erp", Stream: stream, LastSuccess: collectedAt, LastComplete: collectedAt, Complete: true})
	}
	return s
}

func pieceNames(ps []rules.Piece, keep func(rules.Piece) bool) []string {
	var out []string
	for _, p := range ps {
		if keep == nil || keep(p) {
			out = append(out, fmt.Sprintf("%s %s", p.Kind, p.Ref.Name))
		}
	}
	slices.Sort(out)
	return out
}

func projectSample(names ...string) []rules.Sample {
	s := rules.Sample{Stream: "Project", Department: evidence.Implementation, SeedHash: "x"}
	for _, n := range names {
		s.Items = append(s.Items, rules.SampleItem{Ref: evidence.Ref{Site: "erp", Doctype: "Project", Name: n}})
	}
	return []rules.Sample{s}
}

var ofP1 = []string{
	"document P1-plan", "document P1-scan", "mail P1-late", "mail P1-mail", "project P1", "report P1-report", "sign-off P1-brd", "task P1-work", "ticket P1-issue",
}

func TestASampledProjectIsCollectedDownToItsRecords(t *testing.T) {
	t.Parallel()
	pieces, items := rules.Collect(twoProjects(), rules.Assessment{Key: "a", Kind: rules.Audit, Cutoff: frozenAt, Samples: projectSample("P1")})
	if diff := cmp.Diff(ofP1, pieceNames(pieces, nil)); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"mail P1-late"}, pieceNames(pieces, func(p rules.Piece) bool { return p.Late })); diff != "" {
		t.Errorf("late (-want +got):\n%s", diff)
	}
	if pieces[0].Ref.Name != "P1-late" || pieces[0].Of != "Rollout P1" {
		t.Errorf("first piece %+v, want the one that a person has to look at", pieces[0])
	}
	if len(items) != 1 || items[0].Late != 1 || len(items[0].Lacking) != 0 || items[0].Counts[rules.PieceDocument] != 2 {
		t.Errorf("items %+v", items)
	}
}

func TestAnEscalationIsCollectedFromItsProjectAlone(t *testing.T) {
	t.Parallel()
	pieces, _ := rules.Collect(twoProjects(), rules.Assessment{Key: "e", Kind: rules.Escalation, Target: rules.Target{Record: "ESC-1", Site: "erp", Project: "P1"}})
	if diff := cmp.Diff(ofP1, pieceNames(pieces, nil)); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
}

// What a verdict names comes under it, with what it does for the statement, and
// not again under the sample.
func TestVerdictsNameTheirEvidence(t *testing.T) {
	t.Parallel()
	s := twoProjects()
	good, bad, open := recordOf("Task", "P1-brd"), recordOf("Task", "P1-work"), recordOf("Issue", "P1-issue")
	v := rules.Verdict{
		Criterion: "impl.followed", Department: evidence.Implementation, Evidence: []evidence.Ref{good, open},
		Items: []rules.Item{{Ref: bad}, {Ref: open, Unknown: true}, {Ref: good, OK: true}},
	}
	pieces, _ := rules.Collect(s, rules.Assessment{Key: "a", Kind: rules.Audit, Samples: projectSample("P1"), Verdicts: []rules.Verdict{v}})
	got := map[string]string{}
	for _, p := range pieces {
		got[p.Ref.Name] += strings.TrimSpace(p.Criterion + " " + string(p.Effect))
	}
	for name, want := range map[string]string{
		"P1-brd": "impl.followed Supports", "P1-work": "impl.followed Contradicts", "P1-issue": "impl.followed Context", "P1-plan": "Context",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

func TestWhatIsLackingSaysWhy(t *testing.T) {
	t.Parallel()
	s := twoProjects()
	s.Messages, s.Attachments = nil, nil
	s.SignOffs[0].Proof = nil
	s.Gaps = append(s.Gaps, evidence.Gap{Site: "erp", Stream: "File", Kind: evidence.Forbidden, Reason: "the key may not read File", Remedy: "grant it"})
	_, items := rules.Collect(s, rules.Assessment{Key: "a", Kind: rules.Audit, Samples: projectSample("P1")})
	var got []string
	for _, l := range items[0].Lacking {
		got = append(got, fmt.Sprintf("%s: %s; %s", l.Kind, l.Reason, l.Remedy))
	}
	want := []string{"document: File cannot be read: the key may not read File; grant it", "mail: none was found; send mails from the record, or link them to it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lacking (-want +got):\n%s", diff)
	}
	_, items = rules.Collect(s, rules.Assessment{Key: "a", Kind: rules.Audit, Samples: projectSample("moved away")})
	if len(items) != 1 || len(items[0].Lacking) != 6 {
		t.Errorf("a project that is gone: %+v", items)
	}
}

func TestWhatWasProducedAfterTheCutoffIsKept(t *testing.T) {
	t.Parallel()
	s := twoProjects()
	report := recordOf("Quality Review", "P2-report")
	a := rules.Assessment{Key: "a", Kind: rules.Audit, Cutoff: frozenAt, Samples: projectSample("P1"), Signals: []rules.Signal{{Rule: rules.SignalAfterCutoff, Subject: report}}}
	pieces, _ := rules.Collect(s, a)
	if !slices.ContainsFunc(pieces, func(p rules.Piece) bool { return p.Ref.Name == "P2-report" && p.Late }) {
		t.Errorf("%v lacks the report", pieceNames(pieces, nil))
	}
}

// A verdict as of the cutoff names a record that was deleted since.
func TestANamedRecordThatIsGoneIsSaidToBe(t *testing.T) {
	t.Parallel()
	s := twoProjects()
	was := recordOf("File", "deleted")
	s.Deletions = append(s.Deletions, evidence.Deletion{Ref: was, At: collectedAt})
	v := rules.Verdict{Criterion: "impl.followed", Evidence: []evidence.Ref{was, recordOf("Task", "P1-brd"), recordOf("File", "unread")}}
	pieces, _ := rules.Collect(s, rules.Assessment{Key: "a", Kind: rules.Audit, Verdicts: []rules.Verdict{v}})
	if diff := cmp.Diff([]string{"record deleted"}, pieceNames(pieces, func(p rules.Piece) bool { return p.Gone })); diff != "" {
		t.Errorf("gone (-want +got):\n%s", diff)
	}
}

func TestCollectingDependsOnNoOrder(t *testing.T) {
	t.Parallel()
	a := rules.Assessment{Key: "a", Kind: rules.Audit, Cutoff: frozenAt, Samples: projectSample("P1", "P2")}
	want, items := rules.Collect(twoProjects(), a)
	for seed := range uint64(20) {
		s, r := twoProjects(), rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(s.Messages), func(i, j int) { s.Messages[i], s.Messages[j] = s.Messages[j], s.Messages[i] })
		r.Shuffle(len(s.Tasks), func(i, j int) { s.Tasks[i], s.Tasks[j] = s.Tasks[j], s.Tasks[i] })
		r.Shuffle(len(s.Attachments), func(i, j int) { s.Attachments[i], s.Attachments[j] = s.Attachments[j], s.Attachments[i] })
		r.Shuffle(len(s.Tickets), func(i, j int) { s.Tickets[i], s.Tickets[j] = s.Tickets[j], s.Tickets[i] })
		got, gotItems := rules.Collect(s, a)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(items, gotItems); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}
