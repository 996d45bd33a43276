package partnersite_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

// meridianAsOf is the moment for which the sample site was made.
var meridianAsOf = time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)

// document makes a stored version out of a document as a site answers it.
func document(t testing.TB, site string, zone *time.Location, line []byte, seen time.Time) evidence.Document {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		t.Fatal(err)
	}
	text := func(f string) string { s, _ := fields[f].(string); return s }
	moment := func(f string) time.Time {
		at, err := time.ParseInLocation(time.DateTime, text(f), zone)
		if err != nil {
			return time.Time{}
		}
		return at.UTC()
	}
	sum := sha256.Sum256(line)
	return evidence.Document{
		Ref: evidence.Ref{
			Site: site, Doctype: text("doctype"), Name: text("name"), Owner: text("owner"),
			Created: moment("creation"), Modified: moment("modified"), Seen: seen, Hash: hex.EncodeToString(sum[:]),
		},
		Stamp: text("modified"), Fields: fields,
	}
}

// folder reads a folder of docs/*.jsonl, all seen at one moment.
func folder(t testing.TB, dir, site string, zone *time.Location, seen time.Time) []evidence.Document {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents in %s: %v", dir, err)
	}
	var out []evidence.Document
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(bytes.NewReader(b))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			out = append(out, document(t, site, zone, lines.Bytes(), seen))
		}
		if lines.Err() != nil {
			t.Fatal(lines.Err())
		}
	}
	return out
}

var berlin = sync.OnceValue(func() *time.Location {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return loc
})

// meridian is the sample site's input, first read an hour before its moment.
func meridian(t testing.TB) partnersite.AssembleInput {
	t.Helper()
	mapping, err := config.LoadMapping("../../config/testdata/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return partnersite.AssembleInput{
		Partner: "meridian", MailDomains: []string{"meridian.example"}, AsOf: meridianAsOf,
		Sites: []partnersite.SiteInput{{
			Site:       evidence.Site{Key: "erp", URL: "https://erp.meridian.example", Zone: "Europe/Berlin", Purpose: "all"},
			DateFormat: "dd.mm.yyyy", Mapping: mapping,
			Documents: folder(t, "testdata/meridian/docs", "erp", berlin(), meridianAsOf.Add(-time.Hour)),
		}},
	}
}

func TestMeridiansCounts(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"projects", len(s.Projects), 7},
		{"tasks", len(s.Tasks), 174},
		{"tickets", len(s.Tickets), 45},
		{"attachments", len(s.Attachments), 29}, // two of the 31 files are folders
		{"reviews", len(s.Reviews), 11},
		{"reports", len(s.Reports), 72 + 11},
		{"messages", len(s.Messages), 199},
		{"customers", len(s.Customers), 20},
	} {
		if c.got != c.want {
			t.Errorf("%d %s, want %d", c.got, c.what, c.want)
		}
	}
	internal := 0
	for _, p := range s.Projects {
		if p.Internal {
			internal++
		}
	}
	if internal != 1 {
		t.Errorf("%d internal projects, want 1 (the office move)", internal)
	}
	for _, g := range s.Gaps {
		if g.Kind != evidence.Unmapped {
			t.Errorf("unexpected gap: %+v", g)
		}
	}
}

func TestMeridiansSignOffs(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	title := map[string]string{}
	for _, p := range s.Projects {
		title[p.Name] = p.Title
	}
	var got []string
	for _, so := range s.SignOffs {
		line := title[so.Project] + ": " + string(so.Kind)
		switch {
		case so.Refused:
			line += " refused " + so.On.String()
		case !so.Done:
			line += " open"
		case so.Proven:
			line += " " + so.On.String() + " by " + so.ProofBy
		default:
			line += " " + so.On.String() + " without proof"
		}
		if so.Replaced {
			line += ", proof lost"
		}
		got = append(got, line+" ("+so.Name+")")
	}
	want := strings.Split(strings.TrimSpace(meridiansSignOffs), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sign-offs (-want +got):\n%s", diff)
	}
}

// Nord/West signs in Customer Acceptance where it has something there, and on
// its sign-off tasks for the rest; the bootyard's UAT was accepted by mail; the
// scan of the printer's training sign-off was deleted in October; L'Atelier's
// dates were moved after they had lapsed, and nobody signed a new schedule.
const meridiansSignOffs = `
Nord/West Spedition ERP: BRD 2026-08-21 by field (ACC-0001)
Nord/West Spedition ERP: BRD refused 2026-08-14 (ACC-0002)
Birkenfeld Optik ERP: BRD 2026-03-30 by file (TASK-2026-00029)
Birkenfeld Optik ERP: UAT 2026-06-12 by file (TASK-2026-00038)
Birkenfeld Optik ERP: Training 2026-06-25 by file (TASK-2026-00040)
Birkenfeld Optik ERP: Go-live 2026-07-03 by file (TASK-2026-00042)
Müggelsee Bootsbau ERP: BRD 2026-06-08 by file (TASK-2026-00051)
Müggelsee Bootsbau ERP: UAT 2026-08-21 by mail (TASK-2026-00060)
Müggelsee Bootsbau ERP: Training 2026-09-01 by file (TASK-2026-00062)
Müggelsee Bootsbau ERP: Go-live 2026-09-11 by file (TASK-2026-00064)
L'Atelier Kranz rollout: BRD 2026-07-10 by file (TASK-2026-00073)
L'Atelier Kranz rollout: UAT 2026-10-23 by file (TASK-2026-00082)
L'Atelier Kranz rollout: Training 2026-11-03 by file (TASK-2026-00084)
L'Atelier Kranz rollout: Go-live open (TASK-2026-00086)
L'Atelier Kranz rollout: Scope 2026-09-11 by file (TASK-2026-00091)
Nord/West Spedition ERP: UAT open (TASK-2026-00112)
Nord/West Spedition ERP: Training open (TASK-2026-00114)
Nord/West Spedition ERP: Go-live open (TASK-2026-00116)
Talbach Stadtwerke service desk: BRD open (TASK-2026-00131)
Talbach Stadtwerke service desk: UAT open (TASK-2026-00140)
Talbach Stadtwerke service desk: Training open (TASK-2026-00142)
Talbach Stadtwerke service desk: Go-live open (TASK-2026-00144)
Zeidler Druck ERP: BRD 2026-05-08 by file (TASK-2026-00154)
Zeidler Druck ERP: UAT 2026-07-24 by file (TASK-2026-00163)
Zeidler Druck ERP: Training 2026-08-05 without proof, proof lost (TASK-2026-00165)
Zeidler Druck ERP: Go-live 2026-08-14 by file (TASK-2026-00167)
`

func TestMeridiansInvoicesAreFoundThreeWays(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	var got []string
	for _, v := range s.Invoices {
		line := v.Name + " " + v.On.String() + " " + strings.Join(v.Projects, ",")
		if v.Return {
			line += " credit note"
		}
		got = append(got, line)
	}
	want := []string{
		"ACC-SINV-2026-00001 2026-02-16 PROJ-0001", // by project
		"ACC-SINV-2026-00002 2026-04-27 PROJ-0002", // only by its item
		"ACC-SINV-2026-00003 2026-05-11 PROJ-0002 credit note",
		"ACC-SINV-2026-00004 2026-05-18 PROJ-0003",
		"ACC-SINV-2026-00005 2026-07-06 PROJ-0004", // only by the order
		"ACC-SINV-2026-00006 2026-10-12 PROJ-0005",
		"ACC-SINV-2026-00007 2026-03-23 PROJ-0006", // only by the order
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("invoices (-want +got):\n%s", diff)
	}
}

func TestMeridiansReports(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	byName := map[string]evidence.MetricReport{}
	for _, r := range s.Reports {
		byName[r.Name] = r
	}
	tests := []struct {
		name, metric, period, on string
		value                    float64
		has                      bool
		remark                   string
	}{
		{"WM-2026-W41-043", "sales.metric.sales_feedback", "2026-W41", "2026-10-17", 4, true, ""}, // entered late, on Saturday
		{"WM-2026-W36-038", "sales.metric.sales_feedback", "2026-W36", "2026-09-07", 0, false, "Nothing to report this week"},
		{"WM-2026-W39-029", "sales.metric.demo_feedback", "2026-W39", "2026-09-28", 0, false, "Nothing to report this week"},
		{"WM-2026-W40-006", "impl.metric.overdue_pct", "2026-W40", "2026-10-05", 0, true, ""}, // a true zero
		{"WM-2026-W40-054", "support.metric.sla", "2026-W40", "2026-10-05", 75, true, "See action of this week"},
		{"QA-REV-00080", "impl.metric.satisfaction", "2026-10", "2026-11-02", 4.333, true, ""},
		{"QA-REV-00087", "impl.metric.ready_tat", "2026-09", "2026-10-02", 0, false, ""}, // "None this month."
		{"QA-REV-00076", "support.metric.sla", "2026-W45", "2026-11-09", 75, true, ""},   // "<p>75 %</p>"
	}
	for _, tt := range tests {
		r, ok := byName[tt.name]
		if !ok {
			t.Errorf("%s is missing", tt.name)
			continue
		}
		if r.Metric != tt.metric || r.Period.String() != tt.period || r.On.String() != tt.on || r.Value != tt.value || r.HasValue != tt.has || r.Remark != tt.remark {
			t.Errorf("%s: %s %s on %v, %v (%t) %q; want %+v", tt.name, r.Metric, r.Period, r.On, r.Value, r.HasValue, r.Remark, tt)
		}
	}
	if r := byName["QA-REV-00080"]; !r.HasTarget || r.Target != 4 || r.Forum.Name == "" {
		t.Errorf("QA-REV-00080: target %v (%t), forum %q; want 4 out of \">= 4\" and a forum", r.Target, r.HasTarget, r.Forum.Name)
	}
}

func TestMeridiansSlippedDates(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	var got []string
	for _, c := range s.Changes {
		if c.Doctype == "Task" && c.Field == "exp_end_date" && c.At.After(time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)) {
			got = append(got, c.Name+" "+c.From+" to "+c.To+" by "+c.By)
		}
	}
	want := []string{ // the site shows them as 06.11.2026
		"TASK-2026-00085 2026-11-06 to 2026-11-27 by d.aksoy@meridian.example",
		"TASK-2026-00086 2026-11-09 to 2026-11-30 by d.aksoy@meridian.example",
		"TASK-2026-00093 2026-10-23 to 2026-10-30 by d.aksoy@meridian.example",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("moved end dates (-want +got):\n%s", diff)
	}
}

func TestMeridiansDeletions(t *testing.T) {
	t.Parallel()
	s := partnersite.Assemble(meridian(t))
	var got []string
	for _, d := range s.Deletions {
		if d.Permanent {
			t.Errorf("%s is Permanent, but the site keeps it among its deleted documents", d.Name)
		}
		got = append(got, d.Doctype+" "+d.Name+" "+evidence.DateIn(d.At, berlin()).String())
	}
	want := []string{"Event EV00025 2026-08-31", "File 5f2e665cec 2026-10-20", "Task TASK-2026-00173 2026-09-22", "Weekly Metric WM-2026-W42-073 2026-10-19"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deletions (-want +got):\n%s", diff)
	}
}

func TestMeridianBeforeADeletionHadWhatWasDeleted(t *testing.T) {
	t.Parallel()
	in := meridian(t)
	in.AsOf = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	s := partnersite.Assemble(in)
	for _, so := range s.SignOffs {
		if so.Name == "TASK-2026-00165" && (!so.Proven || so.ProofBy != "file" || so.Replaced || !so.Reconstructed) {
			t.Errorf("training sign-off of the printer on 1 October: %+v; want proven by the scan, reconstructed", so)
		}
		if so.Name == "TASK-2026-00082" && so.Done {
			t.Error("L'Atelier's UAT was signed on 23 October, not before")
		}
	}
	for _, c := range s.Changes {
		if c.At.After(in.AsOf) {
			t.Errorf("a change of %v is known on %v", c.At, in.AsOf)
		}
	}
}
