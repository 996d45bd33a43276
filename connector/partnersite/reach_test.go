package partnersite_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

func TestARestartInTheMiddleResumes(t *testing.T) {
	t.Parallel()
	whole := served(t)
	whole.poll()
	for _, at := range []int{2, 19} {
		b := served(t)
		b.memory.failAt = at
		if _, err := b.reader.Poll(t.Context(), b.memory, b.memory.sink); !errors.Is(err, errDisk) {
			t.Fatalf("Poll = %v, want the sink's own error", err)
		}
		b.open()
		b.poll()
		if got, want := len(b.memory.versions), len(whole.memory.versions); got != want {
			t.Errorf("stopped at batch %d and resumed: %d records, want %d", at, got, want)
		}
		for k, vs := range b.memory.versions {
			if len(vs) != 1 || vs[0].Hash != whole.memory.versions[k][0].Hash {
				t.Errorf("stopped at batch %d: %s %s has %d versions", at, k.Doctype, k.Name, len(vs))
			}
		}
	}
}

func TestAMissingPermissionOnEachStream(t *testing.T) {
	t.Parallel()
	b := polled(t)
	before := b.memory
	for _, doctype := range []string{
		"Project", "Task", "Issue", "Quality Review", "Quality Action", "Quality Meeting", "Quality Goal", "Quality Procedure", "Non Conformance",
		"Customer Acceptance", "Customer Survey", "Weekly Metric", "Lead", "Opportunity", "Quotation", "Sales Order", "Sales Invoice", "Contract",
		"Customer", "Comment", "Version", "Deleted Document", "Project Template", "Project Update", "Task Type", "Timesheet",
		"Service Level Agreement", "Holiday List", "Assignment Rule", "Notification", "Dashboard", "Dashboard Chart", "Training Event",
		"Employee", "Support Settings",
	} {
		must(t, b.site.Revoke(doctype, "PMM Evidence Reader"))
		b.memory = before.clone()
		delete(b.memory.cursors, doctype) // as if it had never been readable
		maps.DeleteFunc(b.memory.versions, func(k evidence.Key, _ []evidence.Document) bool { return k.Doctype == doctype })
		b.open()
		r := b.poll()
		if g := gapsOf(r, doctype); !slices.Equal(g, []evidence.GapKind{evidence.Forbidden}) {
			t.Errorf("%s: gaps %v, want Forbidden alone", doctype, g)
		}
		for _, g := range r.Gaps {
			if g.Stream == doctype && (!strings.Contains(g.Remedy, doctype) || !strings.Contains(g.Remedy, "Role Permissions Manager")) {
				t.Errorf("%s: remedy %q names neither the doctype nor the page", doctype, g.Remedy)
			}
		}
		for _, other := range []string{"Task", "Issue", "Sales Order", "Weekly Metric", "Employee"} {
			if got, want := len(b.memory.live(other)), len(before.live(other)); other != doctype && (got != want || len(gapsOf(r, other)) != 0) {
				t.Errorf("without %s: %s has %d records and gaps %v, want %d and none", doctype, other, got, gapsOf(r, other), want)
			}
		}
		for _, c := range r.Coverage {
			if c.Stream == doctype && (c.Complete || !c.LastSuccess.IsZero()) {
				t.Errorf("%s: coverage %+v, want none", doctype, c)
			}
		}
		must(t, b.site.Grant(doctype, "PMM Evidence Reader", 0, "r"))
	}
}

// Contact gives everybody their own records, so a missing row answers 200.
func TestAStreamThatShowsOnlyOwnRecordsIsHidden(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.Revoke("Contact", "PMM Evidence Reader"))
	b.later(tomorrow)
	r := b.poll()
	if g := gapsOf(r, "Contact"); !slices.Contains(g, evidence.Hidden) {
		t.Errorf("gaps %v, want Hidden", g)
	}
	if got, want := len(b.memory.live("Contact")), len(namesIn(t, "Contact")); got != want {
		t.Errorf("%d contacts are held, want all %d", got, want)
	}
}

func TestPermissionLostAndRegained(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.Revoke("Task", "PMM Evidence Reader"))
	b.later(tomorrow)
	lost := b.now
	r := b.poll()
	if !slices.Contains(gapsOf(r, "Task"), evidence.Forbidden) || len(b.memory.live("Task")) != 174 {
		t.Fatalf("gaps %v, %d tasks held; want Forbidden and all 174", gapsOf(r, "Task"), len(b.memory.live("Task")))
	}
	b.later(time.Hour)
	r = b.poll()
	for _, g := range r.Gaps {
		if g.Stream == "Task" && !g.Since.Equal(lost) {
			t.Errorf("the gap is since %v, want %v, when it was first seen", g.Since, lost)
		}
	}
	must(t, b.site.Grant("Task", "PMM Evidence Reader", 0, "r"))
	b.later(15 * time.Minute)
	if r = b.poll(); len(gapsOf(r, "Task")) != 0 {
		t.Errorf("gaps %v after the row is back, want none", gapsOf(r, "Task"))
	}
}

func TestARefusedKeyIsOneGapInEveryStream(t *testing.T) {
	t.Parallel()
	b := polled(t)
	first := b.memory.cursors["Task"].LastSuccess
	b.site.RevokeKey("prm.reader@meridian.example")
	b.later(15 * time.Minute)
	b.site.ResetRequests()
	r := b.poll()
	for _, doctype := range []string{"Project", "Task", "Issue", "Weekly Metric"} {
		if g := gapsOf(r, doctype); !slices.Equal(g, []evidence.GapKind{evidence.Unauthorized}) {
			t.Errorf("%s: gaps %v, want Unauthorized", doctype, g)
		}
	}
	if n := len(b.site.Requests()); n > 4 {
		t.Errorf("%d requests with a refused key, want a probe and no storm", n)
	}
	for _, c := range r.Coverage {
		if c.Stream == "Task" && !c.LastSuccess.Equal(first) {
			t.Errorf("coverage of Task = %+v, want the last success kept", c)
		}
	}
}

func TestASiteThatNeverAnswered(t *testing.T) {
	t.Parallel()
	b := served(t)
	b.site.Configure(map[string]any{"maintenance_mode": 1})
	r := b.poll()
	for _, doctype := range []string{"Project", "Task", "Issue", "Weekly Metric", "Customer"} {
		if g := gapsOf(r, doctype); !slices.Equal(g, []evidence.GapKind{evidence.Unreachable}) {
			t.Errorf("%s: gaps %v, want Unreachable", doctype, g)
		}
	}
	b.site.Configure(nil)
	b.later(2 * time.Minute)
	if r := b.poll(); len(gapsOf(r, "Task")) != 0 || len(b.memory.live("Task")) != 174 {
		t.Errorf("when it is back: gaps %v, %d tasks", gapsOf(r, "Task"), len(b.memory.live("Task")))
	}
}

// A site that dies keeps what was read of it, with its age.
func TestASiteThatDiesLater(t *testing.T) {
	t.Parallel()
	b := polled(t)
	last := b.memory.cursors["Task"].LastSuccess
	b.site.Configure(map[string]any{"maintenance_mode": 1})
	for range 4 { // before and after the day for which a site's own words hold
		b.later(8 * time.Hour)
		r := b.poll()
		if g := gapsOf(r, "Task"); !slices.Equal(g, []evidence.GapKind{evidence.Unreachable}) {
			t.Errorf("gaps %v, want Unreachable", g)
		}
		i := slices.IndexFunc(r.Coverage, func(c evidence.Coverage) bool { return c.Stream == "Task" })
		if i < 0 || !r.Coverage[i].LastSuccess.Equal(last) || !r.Coverage[i].Complete {
			t.Errorf("coverage %v, want Task complete as of %v", r.Coverage, last)
		}
		if r.Site.Zone != "Europe/Berlin" || r.DateFormat != "dd.mm.yyyy" {
			t.Errorf("zone %q, dates %q are forgotten", r.Site.Zone, r.DateFormat)
		}
		b.open()
	}
}

func TestAFieldThatVanishedIsDrift(t *testing.T) {
	t.Parallel()
	b := polled(t)
	must(t, b.site.Delete("Custom Field", "Issue-custom_stars"))
	b.later(15 * time.Minute)
	r := b.poll()
	if got := len(b.memory.live("Issue")); got != 45 {
		t.Errorf("%d tickets, want 45: a lost field does not stop the stream", got)
	}
	var found bool
	for _, g := range r.Gaps {
		found = found || g.Stream == "kind:feedback.ticket" && g.Kind == evidence.Unmapped && strings.Contains(g.Reason, "custom_stars")
	}
	if !found {
		t.Errorf("no gap says that feedback.ticket has lost custom_stars: %v", r.Gaps)
	}
}

func TestTimelinesBringFilesAndMails(t *testing.T) {
	t.Parallel()
	b := served(t)
	r := b.poll()
	files, mails := b.memory.live("File"), b.memory.live("Communication")
	if f, ok := files["680a6e1a03"]; !ok || f.Fields["attached_to_name"] != "TASK-2026-00084" || f.Created.IsZero() || f.Fields["file_name"] != "Training accepted M3.pdf" {
		t.Errorf("the scan of a training sign-off = %+v", f)
	}
	if m, ok := mails["ebj5coco7e"]; !ok || m.Fields["sent_or_received"] != "Sent" || m.Fields["recipients"] != "@nordwest-sped.example" || m.Fields["sender"] != "@meridian.example" {
		t.Errorf("a weekly status mail = %+v, want it sent, with domains alone", m)
	}
	for _, m := range mails {
		if _, ok := m.Fields["content"]; ok {
			t.Fatalf("the body of mail %s was kept", m.Name)
		}
	}
	if g := append(gapsOf(r, "File"), gapsOf(r, "Communication")...); len(g) != 0 {
		t.Errorf("gaps %v, want none: timelines make up for the lists", g)
	}
	onProject := 0
	for _, m := range mails {
		if m.Fields["reference_doctype"] == "Project" {
			onProject++
		}
	}
	if onProject != 110 {
		t.Errorf("%d mails on projects, the folder has 110", onProject)
	}

	// A new scan on a closed task is announced by its comment; its removal, too.
	b.later(10 * time.Minute)
	_, err := b.site.InsertRaw("File", map[string]any{
		"name": "newscan", "file_name": "BRD accepted M9.pdf", "file_url": "/private/files/BRD accepted M9.pdf",
		"attached_to_doctype": "Task", "attached_to_name": "TASK-2026-00029", "is_private": 1,
	})
	must(t, err)
	must(t, b.site.DeleteRaw("File", "0be23edf6e"))
	_, err = b.site.InsertRaw("Comment", map[string]any{
		"comment_type": "Attachment", "reference_doctype": "Task", "reference_name": "TASK-2026-00029",
		"content": `added <a href="/private/files/BRD accepted M9.pdf">BRD accepted M9.pdf</a>`,
	})
	must(t, err)
	b.later(5 * time.Minute)
	b.site.ResetRequests()
	b.poll()
	if _, ok := b.memory.live("File")["newscan"]; !ok {
		t.Error("the new scan was not found")
	}
	if h := b.memory.history("File", "0be23edf6e"); len(h) != 2 || !h[1].Gone {
		t.Errorf("the replaced scan = %+v, want a tombstone", h)
	}
	info := 0
	for _, q := range b.site.Requests() {
		if strings.HasSuffix(q.Path, "get_docinfo") {
			info++
		}
	}
	if info != 1 {
		t.Errorf("%d timelines were read, want that of the one task", info)
	}
}

func TestSitesOfOnePurposeAreReadForItAlone(t *testing.T) {
	t.Parallel()
	b := served(t)
	b.opts.Purpose = "support"
	b.opts.Mapping.Evidence = nil
	b.open()
	b.poll()
	streams := slices.Sorted(maps.Keys(b.memory.cursors))
	if !slices.Contains(streams, "Issue") || slices.Contains(streams, "Project") || slices.Contains(streams, "Sales Invoice") {
		t.Errorf("streams of a support site: %v", streams)
	}
}

// told notes what a Progress was told.
type told struct {
	rows  map[string]int
	total map[string]int
	done  []string
}

func (p *told) Stream(name string, total int) { p.total[name] = total }
func (p *told) Rows(name string, n int)       { p.rows[name] += n }
func (p *told) Done(name string, _ error)     { p.done = append(p.done, name) }

func TestProgressAddsUp(t *testing.T) {
	t.Parallel()
	b := served(t)
	p := &told{rows: map[string]int{}, total: map[string]int{}}
	b.opts.Progress = p
	b.open()
	b.poll()
	if p.total["Task"] != 174 || p.rows["Task"] != 174 || !slices.Contains(p.done, "Task") {
		t.Errorf("Task: %d of %d rows, done %v; want 174 of 174", p.rows["Task"], p.total["Task"], p.done)
	}
	n := len(p.done)
	b.later(15 * time.Minute)
	b.poll()
	if len(p.done) != n {
		t.Errorf("an idle poll told of %v, want nothing", p.done[n:])
	}
}

var _ partnersite.History = (*memory)(nil)
