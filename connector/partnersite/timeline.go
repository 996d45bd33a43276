package partnersite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// A key without desk access is shown neither the files nor the mails of others
// in lists, but both in the timeline of every record that it may read. So
// timelines of the records that matter are read instead: projects, leads, and
// whatever the mapping names as a place of proof.

// timeline is what is known of the timelines of one doctype.
type timeline struct {
	Records map[string]*entry `json:"records"`
	dirty   bool
}

// entry is one record whose timeline is followed.
type entry struct {
	Stamp string   `json:"s"`           // modified of the record when it was last seen
	Read  string   `json:"r,omitempty"` // the same when its timeline was last read
	At    int64    `json:"t,omitempty"` // Unix seconds of that reading
	Open  bool     `json:"o,omitempty"` // it may still get mails and files
	Files []string `json:"f,omitempty"` // names of its attachments then
	Mail  string   `json:"m,omitempty"` // time of its newest mail then
}

// together is how many timelines go into one batch.
const together = 25

// mailsInForm is how many mails the timeline itself holds; more have to be
// asked for.
const mailsInForm = 20

// timelineOf reports whether timelines of the doctype's records are followed.
func (s *Site) timelineOf(m config.Mapping, doctype string) bool {
	if s.found.seesFiles() && s.found.seesMails() {
		return false
	}
	switch doctype {
	case "Project", "Lead":
		return true
	case "File", "Communication", "Comment", "Version", "Deleted Document":
		return false
	}
	for _, rules := range m.Evidence {
		for _, r := range rules {
			if r.Doctype == doctype && proven(r) || slices.Contains(holders(r), doctype) {
				return true
			}
		}
	}
	return false
}

// proven reports whether what proves the rule's finds hangs on them.
func proven(r config.Rule) bool {
	return slices.ContainsFunc(r.Proof, func(p string) bool { return p == "file" || p == "mail" || strings.HasPrefix(p, "field:") })
}

// holders are the doctypes on which a rule about files or mails finds them.
func holders(r config.Rule) []string {
	switch r.Doctype {
	case "File":
		return r.Where["attached_to_doctype"]
	case "Communication":
		return r.Where["reference_doctype"]
	}
	return nil
}

// followed reports whether the timeline of a record matters.
func followed(m config.Mapping, d *evidence.Document) bool {
	if d.Doctype == "Project" || d.Doctype == "Lead" {
		return true
	}
	for _, rules := range m.Evidence {
		for _, r := range rules {
			if slices.Contains(holders(r), d.Doctype) {
				return true
			}
			if r.Doctype == d.Doctype && proven(r) && mayMatch(r.Where, d) {
				return true
			}
		}
	}
	return false
}

// mayMatch reports whether the record satisfies the conditions on its own
// fields; conditions on child rows are taken as met.
func mayMatch(where config.Conditions, d *evidence.Document) bool {
	for f, match := range where {
		if strings.Contains(f, ".") {
			continue
		}
		text := ""
		switch v := d.Fields[f].(type) {
		case string:
			text = v
		case float64:
			text = frappe.Doc{"v": v}.Text("v")
		case nil:
			if f == "name" {
				text = d.Name
			}
		}
		if !match.Holds(text) {
			return false
		}
	}
	return true
}

// closed are the states in which a record of each doctype gets no more post.
var closed = map[string][]string{
	"Project": {"Completed", "Cancelled"},
	"Task":    {"Completed", "Cancelled", "Template"},
	"Lead":    {"Converted", "Do Not Contact", "Lost Quotation"},
}

func open(d *evidence.Document) bool {
	states, ok := closed[d.Doctype]
	if !ok {
		return false
	}
	status, _ := d.Fields["status"].(string)
	return !slices.Contains(states, status)
}

func timelineItem(doctype string) string { return "timeline:" + doctype }

// recallTimelines loads what earlier runs knew.
func (r *run) recallTimelines(ctx context.Context) error {
	c, ok, err := r.h.Cached(ctx, "timelines")
	if err != nil || !ok {
		return err
	}
	for doctype := range strings.SplitSeq(c.Body, "\n") {
		if r.timelines[doctype] != nil || doctype == "" {
			continue
		}
		c, ok, err := r.h.Cached(ctx, timelineItem(doctype))
		if err != nil {
			return err
		}
		t := &timeline{}
		if ok && json.Unmarshal([]byte(c.Body), t) == nil && t.Records != nil {
			r.timelines[doctype] = t
		}
	}
	return nil
}

// keepTimelines keeps what has changed since.
func (r *run) keepTimelines(ctx context.Context) error {
	for _, doctype := range sortedKeys(r.timelines) {
		t := r.timelines[doctype]
		if !t.dirty {
			continue
		}
		body, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if err := r.h.Keep(ctx, timelineItem(doctype), Cached{Fetched: r.now().UTC(), Body: string(body)}); err != nil {
			return err
		}
		t.dirty = false
	}
	return nil
}

// noteTimelines takes note of records whose timelines are to be followed. It is
// kept before the cursor that passes them, so that none is forgotten.
func (r *run) noteTimelines(ctx context.Context, p plan, docs []evidence.Document) error {
	if !p.timeline {
		return nil
	}
	t := r.timelines[p.doctype]
	if t == nil {
		t = &timeline{Records: map[string]*entry{}}
		r.timelines[p.doctype] = t
		err := r.h.Keep(ctx, "timelines", Cached{Fetched: r.now().UTC(), Body: strings.Join(sortedKeys(r.timelines), "\n")})
		if err != nil {
			return err
		}
		t.dirty = true
	}
	for i := range docs {
		d := &docs[i]
		if !followed(r.prep.mapping, d) {
			continue
		}
		e := t.Records[d.Name]
		if e == nil {
			e = &entry{}
			t.Records[d.Name] = e
		}
		if e.Stamp != d.Stamp || e.Open != open(d) {
			e.Stamp, e.Open = d.Stamp, open(d)
			t.dirty = true
		}
	}
	return r.keepTimelines(ctx)
}

// due is a timeline to be read.
type due struct {
	doctype, name string
	e             *entry
}

// dueTimelines lists the timelines whose time has come: of records that were
// changed, got a file, are open and were not looked at for a while, or are
// closed and were not looked at for long.
func (r *run) dueTimelines() []due {
	now := r.now()
	var out []due
	for _, doctype := range sortedKeys(r.timelines) {
		if !r.ok[doctype] {
			continue
		}
		for _, name := range sortedKeys(r.timelines[doctype].Records) {
			e := r.timelines[doctype].Records[name]
			age := now.Sub(time.Unix(e.At, 0))
			switch {
			case e.At == 0, e.Read != e.Stamp, r.hints[doctype][name], r.all, age < -time.Hour,
				e.Open && age >= r.o.TimelineEvery,
				age >= r.closedEvery(doctype):
				out = append(out, due{doctype, name, e})
			}
		}
	}
	return out
}

// closedEvery is how often the timeline of a closed record is read again: what
// proves a sign-off may be filed late, so those are looked at daily.
func (r *run) closedEvery(doctype string) time.Duration {
	if doctype == "Lead" || doctype == "Opportunity" || doctype == "Quotation" {
		return 7 * r.o.ScanEvery
	}
	return r.o.ScanEvery
}

// readTimelines reads the timelines that are due, two at a time.
func (r *run) readTimelines(ctx context.Context) error {
	if r.found.seesFiles() && r.found.seesMails() {
		return nil
	}
	var plans []plan
	for _, p := range r.prep.plans {
		if p.timeline && r.ok[p.doctype] {
			plans = append(plans, p)
		}
	}
	list := r.dueTimelines()
	const name = "timelines"
	var err error
	if len(list) > together && r.o.Progress != nil {
		r.o.Progress.Stream(name, len(list))
		defer func() { r.done(name, err) }()
	}
	failed := ""
	for chunk := range slices.Chunk(list, together) {
		if r.stop {
			break
		}
		results := make([][]evidence.Document, len(chunk))
		entries := make([]entry, len(chunk))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(side)
		for i, d := range chunk {
			g.Go(func() error {
				docs, e, err := r.readTimeline(gctx, d)
				if c := frappe.CategoryOf(err); c == frappe.Forbidden || c == frappe.NotFound {
					// Gone or hidden since it was listed; a comparison will tell.
					e, err = *d.e, nil
					e.Read, e.At = e.Stamp, r.now().Unix()
				}
				results[i], entries[i] = docs, e
				return err
			})
		}
		if err = g.Wait(); err != nil {
			if !refusal(err) {
				return err
			}
			failed = describe(err)
			if _, stop := r.refused(stream{doctype: "File"}, err); stop {
				r.refuse(stream{doctype: "File"}, err)
				r.refuse(stream{doctype: "Communication"}, err)
			}
			break
		}
		docs := slices.Concat(results...)
		if len(docs) > 0 {
			if err = r.sink(ctx, Batch{Documents: docs}); err != nil {
				return err
			}
		}
		r.work.Documents += len(docs)
		for i, d := range chunk {
			*d.e = entries[i]
			r.timelines[d.doctype].dirty = true
		}
		if err = r.keepTimelines(ctx); err != nil {
			return err
		}
		if len(list) > together && r.o.Progress != nil {
			r.o.Progress.Rows(name, len(chunk))
		}
	}
	r.closeTimelines(plans, failed)
	return nil
}

// closeTimelines books what the timelines stand for: files, and mails.
func (r *run) closeTimelines(plans []plan, failed string) {
	now := r.now().UTC()
	whole := failed == "" && len(plans) > 0
	for _, st := range []string{"File", "Communication"} {
		if st == "File" && r.found.seesFiles() || st == "Communication" && r.found.seesMails() {
			continue
		}
		switch {
		case len(plans) == 0:
			r.gaps = append(r.gaps, r.gap(st, evidence.Hidden,
				fmt.Sprintf("lists of %s hide what is not the key's own, and no record was readable from whose timeline it could be taken", st),
				"let the key read Project and Task, or give it a user with desk access"))
		case failed != "" && !r.stop:
			r.gaps = append(r.gaps, r.gap(st, evidence.Unreachable, "timelines could not be read: "+failed, ""))
		}
	}
	if !whole {
		return
	}
	if !r.found.seesFiles() {
		c := Cursor{Stream: "File", Fields: "timeline", LastSuccess: now, LastComplete: now}
		r.cursors["File"] = c
		r.idle = append(r.idle, c)
	}
}

// readTimeline reads the files, mails and, where their own lists are closed to
// the key, versions and comments of one record.
func (r *run) readTimeline(ctx context.Context, d due) ([]evidence.Document, entry, error) {
	info, err := r.client.DocInfo(ctx, d.doctype, d.name)
	if err != nil {
		return nil, entry{}, err
	}
	e := *d.e
	e.Read, e.At = e.Stamp, r.now().Unix()
	var out []evidence.Document
	if !r.found.seesFiles() {
		docs, names, err := r.timelineFiles(ctx, d, info)
		if err != nil {
			return nil, entry{}, err
		}
		out = append(out, docs...)
		e.Files = names
	}
	if !r.found.seesMails() {
		docs, newest, err := r.timelineMails(ctx, d, info)
		if err != nil {
			return nil, entry{}, err
		}
		out = append(out, docs...)
		e.Mail = max(e.Mail, newest)
	}
	if !r.ok["Version"] {
		for _, v := range info.Versions {
			v["ref_doctype"], v["docname"] = d.doctype, d.name
			out = append(out, r.synthetic("Version", v))
		}
	}
	if !r.ok["Comment"] {
		for _, list := range [][]frappe.Doc{info.Comments, info.AttachmentLogs, info.InfoLogs, info.AssignmentLogs} {
			for _, c := range list {
				c["reference_doctype"], c["reference_name"] = d.doctype, d.name
				out = append(out, r.synthetic("Comment", c))
			}
		}
	}
	return out, e, nil
}

// synthetic makes the document of a row that came with a timeline. Where it
// lacks modified, creation stands for it: these records do not change.
func (r *run) synthetic(doctype string, row frappe.Doc) evidence.Document {
	st, _ := streamOf(doctype)
	p := plan{stream: st}
	for _, c := range columns(st.fields) {
		p.fields = append(p.fields, fitted{from: c.name, to: []string{c.name}, kind: "Data", mail: c.mail, presence: c.presence})
	}
	if row.Modified() == "" {
		row["modified"] = row.Text("creation")
	}
	if _, ok := row["docstatus"]; !ok {
		row["docstatus"] = 0.0
	}
	return p.document(r.o.Key, r.found.zone, row, nil)
}

var linked = regexp.MustCompile(`>([^<>]*)</a>`)

// timelineFiles makes documents of the attachments, and tombstones of those
// that were there at the last reading. Each is asked for by name, since its
// date and content hash do not stand in the timeline; where that is refused the
// date is that in the log of its coming, and the hash stays unknown.
func (r *run) timelineFiles(ctx context.Context, d due, info frappe.DocInfo) ([]evidence.Document, []string, error) {
	came := map[string]frappe.Doc{}
	for _, log := range info.AttachmentLogs {
		if log.Text("comment_type") != "Attachment" {
			continue
		}
		name := ""
		if m := linked.FindStringSubmatch(log.Text("content")); m != nil {
			name = plain(m[1])
		}
		// The newest log of a name is that of the file that is there now.
		if old := came[name]; name != "" && (old == nil || old.Text("creation") < log.Text("creation")) {
			came[name] = log
		}
	}
	var out []evidence.Document
	var names []string
	for _, f := range info.Attachments {
		if f.Name() == "" {
			continue
		}
		names = append(names, f.Name())
		whole, err := r.client.Get(ctx, "File", f.Name())
		if err == nil {
			out = append(out, r.synthetic("File", whole))
			continue
		}
		if c := frappe.CategoryOf(err); c != frappe.Forbidden && c != frappe.NotFound {
			return nil, nil, err
		}
		f["attached_to_doctype"], f["attached_to_name"], f["is_folder"] = d.doctype, d.name, 0.0
		if log, ok := came[plain(f.Text("file_name"))]; ok {
			f["creation"], f["owner"] = log.Text("creation"), log.Text("owner")
		}
		out = append(out, r.synthetic("File", f))
	}
	slices.Sort(names)
	for _, was := range d.e.Files {
		if !slices.Contains(names, was) {
			out = append(out, evidence.Document{Ref: evidence.Ref{Site: r.o.Key, Doctype: "File", Name: was}, Gone: true})
		}
	}
	return out, names, nil
}

// timelineMails makes documents of the mails. The form holds the newest ones;
// older ones are asked for until those of the last reading are met.
func (r *run) timelineMails(ctx context.Context, d due, info frappe.DocInfo) ([]evidence.Document, string, error) {
	var out []evidence.Document
	seen := map[string]bool{}
	newest, oldest := "", ""
	take := func(rows []frappe.Doc, kind string) {
		for _, m := range rows {
			if m.Name() == "" || seen[m.Name()] {
				continue
			}
			seen[m.Name()] = true
			when := cmp.Or(m.Text("communication_date"), m.Text("creation"))
			newest = max(newest, when)
			if oldest == "" || when < oldest {
				oldest = when
			}
			if list, ok := m.JSON("attachments").([]any); ok && len(list) > 0 {
				m["has_attachment"] = 1.0
			}
			if !m.Has("communication_type") {
				m["communication_type"] = kind
			}
			if !m.Has("reference_name") {
				m["reference_doctype"], m["reference_name"] = d.doctype, d.name
			}
			r.direct(m)
			out = append(out, r.synthetic("Communication", m))
		}
	}
	take(info.Communications, "Communication")
	take(info.Automated, "Automated Message")
	if len(info.Communications) < mailsInForm {
		return out, newest, nil
	}
	back := frappe.FormatTime(horizon(r.now()), r.found.zone)
	if d.e.Mail != "" {
		back = d.e.Mail
	}
	if oldest < back {
		return out, newest, nil
	}
	for rows, err := range r.client.Communications(ctx, d.doctype, d.name) {
		if err != nil {
			return nil, "", err
		}
		take(rows, "Communication")
		if oldest < back {
			break
		}
	}
	return out, newest, nil
}

// direct says whether a mail was sent or received, which timelines leave out,
// by the sender's domain. Without known domains it stays open.
func (r *run) direct(m frappe.Doc) {
	if m.Has("sent_or_received") || len(r.o.MailDomains) == 0 {
		return
	}
	from := strings.TrimPrefix(domains(m.Text("sender")), "@")
	m["sent_or_received"] = "Received"
	if from == "" || slices.Contains(r.o.MailDomains, from) {
		m["sent_or_received"] = "Sent"
	}
}
