package partnersite_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

// seen is a version of a document as it was read at a moment.
func seen(t testing.TB, at time.Time, fields doc) evidence.Document {
	t.Helper()
	line, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return document(t, "erp", berlin(), line, at)
}

func with(fields doc, changes doc) doc {
	out := maps.Clone(fields)
	maps.Copy(out, changes)
	return out
}

// history assembles versions as of a moment.
func history(t testing.TB, asOf time.Time, mapping string, versions ...evidence.Document) evidence.Snapshot {
	t.Helper()
	m, err := config.ParseMapping("mapping", []byte(mapping))
	if err != nil {
		t.Fatal(err)
	}
	return partnersite.Assemble(partnersite.AssembleInput{
		Partner: "p", AsOf: asOf,
		Sites: []partnersite.SiteInput{{Site: evidence.Site{Key: "erp", Zone: "Europe/Berlin"}, Mapping: m, Documents: versions}},
	})
}

func changes(s evidence.Snapshot) []string {
	var out []string
	for _, c := range s.Changes {
		by := "site"
		if c.Own {
			by = "us"
		}
		out = append(out, fmt.Sprintf("%s %s: %q to %q on %s, seen by %s", c.Name, c.Field, c.From, c.To, c.At.Format("01-02 15:04"), by))
	}
	return out
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var nov = func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }

// The daily job relabels late tasks and leaves modified alone. Nothing of the
// evidence hangs on the label, but the flip is part of the history.
func TestSilentOverdueFlip(t *testing.T) {
	t.Parallel()
	task := doc{"doctype": "Task", "name": "T", "status": "Open", "exp_end_date": "2026-11-09", "creation": "2026-11-02 09:00:00", "modified": "2026-11-02 09:00:00"}
	before, after := seen(t, nov(3, 8), task), seen(t, nov(10, 8), with(task, doc{"status": "Overdue"}))
	s := history(t, nov(9, 12), "", before, after)
	if s.Tasks[0].Status != "Open" || len(s.Changes) != 0 {
		t.Errorf("on the 9th: %s, %v", s.Tasks[0].Status, changes(s))
	}
	s = history(t, nov(11, 12), "", before, after)
	if s.Tasks[0].Status != "Overdue" || s.Tasks[0].Due != day("2026-11-09") {
		t.Errorf("on the 11th: %+v", s.Tasks[0])
	}
	wantLines(t, "history", changes(s), `T status: "Open" to "Overdue" on 11-10 08:00, seen by us`)
}

func TestSilentSLAFlip(t *testing.T) {
	t.Parallel()
	issue := doc{"doctype": "Issue", "name": "I", "status": "Open", "service_level_agreement": "SLA", "agreement_status": "First Response Due", "response_by": "2026-11-09 12:00:00", "creation": "2026-11-09 09:00:00", "modified": "2026-11-09 09:00:00"}
	s := history(t, nov(10, 12), "evidence: {ticket: [{doctype: Issue}]}",
		seen(t, nov(9, 9), issue), seen(t, nov(9, 13), with(issue, doc{"agreement_status": "Failed"})))
	if got := s.Tickets[0]; got.AgreementStatus != "Failed" || !got.ResponseDue.Equal(nov(9, 11)) {
		t.Errorf("%+v", got)
	}
	wantLines(t, "history", changes(s), `I agreement_status: "First Response Due" to "Failed" on 11-09 13:00, seen by us`)
}

func TestRawDelete(t *testing.T) {
	t.Parallel()
	task := doc{"doctype": "Task", "name": "T", "status": "Open", "creation": "2026-11-02 09:00:00"}
	gone := seen(t, nov(12, 8), doc{"doctype": "Task", "name": "T"})
	gone.Gone = true
	admitted := seen(t, nov(12, 8), doc{"doctype": "Deleted Document", "name": "x", "deleted_doctype": "Task", "deleted_name": "Other", "creation": "2026-11-11 10:00:00", "owner": "m@p.example"})
	versions := []evidence.Document{seen(t, nov(3, 8), task), gone, admitted}

	s := history(t, nov(11, 23), "", versions...)
	if len(s.Tasks) != 1 {
		t.Error("the task was there until it was seen to be gone")
	}
	s = history(t, nov(12, 9), "", versions...)
	if len(s.Tasks) != 0 {
		t.Errorf("a deleted task counts: %+v", s.Tasks)
	}
	var got []string
	for _, d := range s.Deletions {
		got = append(got, fmt.Sprintf("%s %s by %q, permanent %t", d.Name, d.At.Format("01-02 15:04"), d.By, d.Permanent))
	}
	wantLines(t, "deletions", got, `Other 11-11 09:00 by "m@p.example", permanent false`, `T 11-12 08:00 by "", permanent true`)
}

// Where nobody may read the list of deletions, its silence is no trace.
func TestADeletionIsNotCalledPermanentUnread(t *testing.T) {
	t.Parallel()
	gone := seen(t, nov(12, 8), doc{"doctype": "Task", "name": "T"})
	gone.Gone = true
	s := history(t, nov(13, 8), "", seen(t, nov(3, 8), doc{"doctype": "Task", "name": "T", "creation": "2026-11-02 09:00:00"}), gone)
	if len(s.Deletions) != 1 || s.Deletions[0].Permanent {
		t.Errorf("%+v, want one deletion of which nothing more is known", s.Deletions)
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	task := doc{"doctype": "Task", "name": "T", "subject": "Import", "status": "Open", "creation": "2026-11-02 09:00:00"}
	gone := seen(t, nov(12, 8), doc{"doctype": "Task", "name": "T"})
	gone.Gone, gone.RenamedTo = true, "T-A"
	s := history(t, nov(13, 8), "", gone, seen(t, nov(3, 8), task), seen(t, nov(12, 8), with(task, doc{"name": "T-A"})))
	if len(s.Tasks) != 1 || s.Tasks[0].Name != "T-A" || s.Tasks[0].Subject != "Import" {
		t.Errorf("tasks %+v, want the one under its new name", s.Tasks)
	}
	if len(s.Deletions) != 1 || s.Deletions[0].RenamedTo != "T-A" || s.Deletions[0].Permanent {
		t.Errorf("deletions %+v, want a renaming", s.Deletions)
	}
}

// A transaction that commits late brings a record whose times are older than
// what was read before it. As of then nobody had seen it: it is reconstructed.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	late := seen(t, nov(9, 12), doc{"doctype": "Task", "name": "Late", "status": "Completed", "completed_on": "2026-11-09", "creation": "2026-11-08 09:30:00", "modified": "2026-11-09 10:00:00"})
	s := history(t, nov(8, 20), "", late)
	if len(s.Tasks) != 1 || !s.Tasks[0].Reconstructed || s.Tasks[0].Status != "Open" || !s.Tasks[0].Completed.IsZero() {
		t.Errorf("as of the evening of its creation: %+v, want it open and reconstructed", s.Tasks)
	}
	s = history(t, nov(9, 12), "", late)
	if s.Tasks[0].Reconstructed || s.Tasks[0].Status != "Completed" {
		t.Errorf("once it was seen: %+v", s.Tasks[0])
	}
	if s = history(t, nov(8, 8), "", late); len(s.Tasks) != 0 {
		t.Error("it was there before its creation")
	}
}

// A figure that was corrected after the audit had been announced: the figure of
// today counts, and both are shown.
func TestEditAfterAnnouncement(t *testing.T) {
	t.Parallel()
	const mapping = "evidence: {report: [{doctype: Weekly Metric, period: week, value: value, metric: metric, metrics: {impl.metric.overdue_pct: Overdue}}]}"
	figure := doc{"doctype": "Weekly Metric", "name": "W", "week": "2026-W45", "metric": "Overdue", "value": 26.5, "creation": "2026-11-09 08:20:00", "modified": "2026-11-09 08:20:00", "modified_by": "h@p.example"}
	edited := with(figure, doc{"value": 6.5, "modified": "2026-11-18 17:00:00", "modified_by": "o@p.example"})
	versions := []evidence.Document{seen(t, nov(18, 17), edited), seen(t, nov(9, 8), figure)}
	if s := history(t, nov(18, 12), mapping, versions...); s.Reports[0].Value != 26.5 || len(s.Changes) != 0 {
		t.Errorf("before: %v %v", s.Reports[0].Value, s.Changes)
	}
	s := history(t, nov(19, 12), mapping, versions...)
	if r := s.Reports[0]; r.Value != 6.5 || r.On != day("2026-11-09") {
		t.Errorf("after: %v on %v; a correction does not make a punctual report late", r.Value, r.On)
	}
	wantLines(t, "history", changes(s), `W value: "26.5" to "6.5" on 11-18 17:00, seen by us`)
	if s.Changes[0].By != "o@p.example" {
		t.Errorf("changed by %q", s.Changes[0].By)
	}
}

// A review that a scheduler made on time and that was filled weeks later is a
// late report, if we saw it empty.
func TestAReviewFilledLater(t *testing.T) {
	t.Parallel()
	const mapping = "evidence: {report: [{doctype: Quality Review, date: date, value: reviews.review, metric: goal, metrics: {support.metric.sla: SLA}}]}"
	empty := doc{"doctype": "Quality Review", "name": "R", "goal": "SLA", "date": "2026-11-02", "creation": "2026-11-02 00:10:00", "modified": "2026-11-02 00:10:00", "reviews": []doc{{"objective": "SLA"}}}
	filled := with(empty, doc{"modified": "2026-11-19 16:00:00", "reviews": []doc{{"objective": "SLA", "review": "95 %"}}})
	s := history(t, nov(20, 8), mapping, seen(t, nov(2, 8), empty), seen(t, nov(19, 17), filled))
	if r := s.Reports[0]; r.On != day("2026-11-19") || r.Period.String() != "2026-W44" || r.Value != 95 {
		t.Errorf("reported %v for %v on %v, want W44 on the 19th", r.Value, r.Period, r.On)
	}
	wantLines(t, "history", changes(s), `R reviews.review: "" to "95 %" on 11-19 17:00, seen by us`)
}

func TestAReplacedScan(t *testing.T) {
	t.Parallel()
	const mapping = "evidence: {sign_off.brd: [{doctype: Task, where: {type: BRD}, done: {status: Completed}, proof: [file]}]}"
	task := seen(t, nov(3, 8), doc{"doctype": "Task", "name": "T", "project": "P", "type": "BRD", "status": "Completed", "completed_on": "2026-11-02", "creation": "2026-11-01 09:00:00"})
	file := doc{"doctype": "File", "name": "f", "file_name": "brd.pdf", "attached_to_doctype": "Task", "attached_to_name": "T", "content_hash": "aa", "creation": "2026-11-02 09:00:00"}
	s := history(t, nov(20, 8), mapping, task, seen(t, nov(3, 8), file))
	if so := s.SignOffs[0]; !so.Proven || so.Replaced {
		t.Errorf("at first: %+v", so)
	}
	s = history(t, nov(20, 8), mapping, task, seen(t, nov(3, 8), file), seen(t, nov(19, 8), with(file, doc{"content_hash": "bb"})))
	if so := s.SignOffs[0]; !so.Proven || !so.Replaced {
		t.Errorf("after the file was exchanged: %+v", so)
	}
	gone := seen(t, nov(19, 8), doc{"doctype": "File", "name": "f"})
	gone.Gone = true
	s = history(t, nov(20, 8), mapping, task, seen(t, nov(3, 8), file), gone)
	if so := s.SignOffs[0]; so.Proven || !so.Replaced {
		t.Errorf("after the file vanished: %+v", so)
	}
}

// A field that we began to read is not a change on the site.
func TestANewFieldIsNoChange(t *testing.T) {
	t.Parallel()
	task := doc{"doctype": "Task", "name": "T", "status": "Open", "creation": "2026-11-02 09:00:00", "modified": "2026-11-02 09:00:00"}
	s := history(t, nov(20, 8), "", seen(t, nov(3, 8), task), seen(t, nov(4, 8), with(task, doc{"priority": "High"})))
	if len(s.Changes) != 0 {
		t.Errorf("changes %v", changes(s))
	}
}

func TestDisplayedDatesOfAmericans(t *testing.T) {
	t.Parallel()
	in := partnersite.AssembleInput{Partner: "p", AsOf: nov(20, 8), Sites: []partnersite.SiteInput{{
		Site: evidence.Site{Key: "erp", Zone: "America/New_York"}, DateFormat: "mm-dd-yyyy",
		Documents: []evidence.Document{seen(t, nov(19, 8), doc{
			"doctype": "Version", "name": "v", "ref_doctype": "Task", "docname": "T", "owner": "u@p.example", "creation": "2026-11-18 10:00:00",
			"data": `{"changed":[["exp_end_date","08-09-2026","10-04-2026"],["started","08-09-2026 17:30:00",null],["subject","12-13-14","08-09-2026x"],["note","13-13-2026","<b>a</b>"]],"row_changed":[["users",0,"r",[["view","0","1"]]]],"added":[["users",{}]],"removed":[["depends_on",{}]]}`,
		})},
	}}}
	wantLines(t, "changes", changes(partnersite.Assemble(in)),
		`T exp_end_date: "2026-08-09" to "2026-10-04" on 11-18 09:00, seen by site`,
		`T started: "2026-08-09 17:30:00" to "" on 11-18 09:00, seen by site`,
		`T subject: "12-13-14" to "08-09-2026x" on 11-18 09:00, seen by site`,
		`T note: "13-13-2026" to "a" on 11-18 09:00, seen by site`,
		`T users.view: "0" to "1" on 11-18 09:00, seen by site`,
		`T users: "" to "row added" on 11-18 09:00, seen by site`,
		`T depends_on: "row removed" to "" on 11-18 09:00, seen by site`)
}

// What was judged once is judged again to the byte, although the store has
// grown: by new versions, by records that came to light, by deletions.
func TestReplayIsClosed(t *testing.T) {
	t.Parallel()
	in := meridian(t)
	in.Sites[0].KnownAt = in.AsOf
	first := digest(t, partnersite.Assemble(in))

	docs := in.Sites[0].Documents
	var later []evidence.Document
	for i, d := range docs {
		d.Seen = in.AsOf.Add(time.Duration(i+1) * time.Minute)
		d.Hash += "'"
		switch i % 3 {
		case 0:
			d.Fields = with(d.Fields, doc{"status": "Cancelled", "value": 99.0})
		case 1:
			d.Gone, d.Fields = true, nil
		case 2: // created long ago and not seen until now
			d.Name += "-new"
		}
		later = append(later, d)
	}
	in.Sites[0].Documents = append(later, docs...)
	if again := digest(t, partnersite.Assemble(in)); again != first {
		t.Error("the snapshot of then has other bytes now")
	}
	in.Sites[0].KnownAt = time.Time{}
	if again := digest(t, partnersite.Assemble(in)); again == first {
		t.Error("records that came to light later change nothing: the test proves nothing")
	}
	in.Sites[0].Documents = append(later[:0:0], docs...)
	for _, d := range later {
		if !strings.HasSuffix(d.Name, "-new") {
			in.Sites[0].Documents = append(in.Sites[0].Documents, d)
		}
	}
	if again := digest(t, partnersite.Assemble(in)); again != first {
		t.Error("newer versions of known records alone change the snapshot of then")
	}
}

func digest(t testing.TB, s evidence.Snapshot) string {
	t.Helper()
	d, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestShuffledArrivalGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	in := meridian(t)
	var base []evidence.Document
	for i, d := range in.Sites[0].Documents {
		// Most of what there is much of adds time and no case.
		if d.Doctype != "Comment" && d.Doctype != "Holiday List" && (d.Doctype != "Version" && d.Doctype != "Communication" || i%5 == 0) {
			base = append(base, d)
		}
	}
	// Versions seen at one moment, as overlapping pages bring them, and deletions.
	for i, d := range base {
		if i%11 == 0 {
			d.Fields = with(d.Fields, doc{"status": "Overdue", "subject": "again"})
			d.Hash += "'"
			base = append(base, d)
		}
		if i%37 == 0 {
			d.Seen = d.Seen.Add(time.Minute)
			d.Gone = true
			base = append(base, d)
		}
	}
	moments := []time.Time{in.AsOf, time.Date(2026, 9, 15, 12, 0, 0, 0, time.UTC)}
	assemble := func(asOf time.Time, docs []evidence.Document) string {
		in, site := in, in.Sites[0]
		in.AsOf, site.Documents = asOf, docs
		in.Sites = []partnersite.SiteInput{site}
		return digest(t, partnersite.Assemble(in))
	}
	want := map[time.Time]string{}
	for _, asOf := range moments {
		want[asOf] = assemble(asOf, base)
	}
	rapid.Check(t, func(rt *rapid.T) {
		asOf := rapid.SampledFrom(moments).Draw(rt, "as of")
		if got := assemble(asOf, rapid.Permutation(base).Draw(rt, "arrival")); got != want[asOf] {
			rt.Fatalf("as of %v: %s, want %s", asOf, got, want[asOf])
		}
	})
}

func TestASLAResetLeavesAComment(t *testing.T) {
	t.Parallel()
	s := history(t, nov(20, 8), "evidence: {ticket: [{doctype: Issue}]}",
		seen(t, nov(3, 8), doc{"doctype": "Issue", "name": "I", "status": "Open", "creation": "2026-11-02 09:00:00"}),
		seen(t, nov(9, 8), doc{
			"doctype": "Comment", "name": "c", "comment_type": "Info", "reference_doctype": "Issue", "reference_name": "I", "owner": "k@p.example",
			"content": " resetted Service Level Agreement - wrong priority", "creation": "2026-11-09 08:30:00",
		}),
		seen(t, nov(9, 8), doc{"doctype": "Comment", "name": "d", "comment_type": "Comment", "reference_doctype": "Issue", "reference_name": "I", "content": "Please reset it", "creation": "2026-11-09 08:31:00"}))
	wantLines(t, "changes", changes(s), `I sla_reset: "" to "resetted Service Level Agreement - wrong priority" on 11-09 07:30, seen by site`)
}

// A site keeps no date of a loss: the day on which we first saw it counts, and
// not that of a later edit.
func TestLostIsTheFirstSighting(t *testing.T) {
	t.Parallel()
	const mapping = "evidence: {deal: [{doctype: Quotation}], action: [{doctype: Quality Action}]}"
	quote := doc{"doctype": "Quotation", "name": "Q", "docstatus": 1, "status": "Open", "transaction_date": "2026-11-02", "creation": "2026-11-02 09:00:00", "modified": "2026-11-02 09:00:00"}
	lost := with(quote, doc{"status": "Lost", "modified": "2026-11-05 09:00:00"})
	edited := with(lost, doc{"order_lost_reason": "1", "modified": "2026-11-18 09:00:00"})
	action := doc{"doctype": "Quality Action", "name": "A", "status": "Open", "date": "2026-11-02", "creation": "2026-11-02 09:00:00", "modified": "2026-11-02 09:00:00", "resolutions": []doc{{"status": "Open"}}}
	done := with(action, doc{"status": "Completed", "modified": "2026-11-06 09:00:00", "resolutions": []doc{{"status": "Completed"}}})
	s := history(t, nov(20, 8), mapping, seen(t, nov(3, 8), quote), seen(t, nov(5, 10), lost), seen(t, nov(18, 10), edited),
		seen(t, nov(3, 8), action), seen(t, nov(6, 10), done), seen(t, nov(18, 10), with(done, doc{"modified": "2026-11-18 09:00:00"})))
	if q, d, a := s.Quotations[0], s.Deals[0], s.Actions[0]; q.Lost != day("2026-11-05") || !d.Lost || d.Closed != q.Lost || !a.Completed || a.Closed != day("2026-11-06") {
		t.Errorf("lost on %v, deal closed on %v, action on %v; want the 5th, the 5th and the 6th", q.Lost, d.Closed, a.Closed)
	}
	// Ordered after all: won on the day of the order that was not cancelled.
	order := doc{"doctype": "Sales Order", "name": "O", "docstatus": 2, "transaction_date": "2026-11-10", "creation": "2026-11-10 09:00:00", "items": []doc{{"prevdoc_docname": "Q"}}}
	s = history(t, nov(20, 8), mapping, seen(t, nov(5, 10), lost), seen(t, nov(12, 8), order),
		seen(t, nov(13, 8), with(order, doc{"name": "O-1", "docstatus": 1, "transaction_date": "2026-11-12", "amended_from": "O"})),
		seen(t, nov(13, 8), with(order, doc{"name": "O-2", "docstatus": 1, "transaction_date": "2026-11-16"})))
	if q, d := s.Quotations[0], s.Deals[0]; q.Order != "O-1" || q.Won != day("2026-11-12") || !d.Won || d.Lost || d.Closed != q.Won {
		t.Errorf("order %s of %v, deal %+v; want the amended order's day", q.Order, q.Won, d)
	}
}
