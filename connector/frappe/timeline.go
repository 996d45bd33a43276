package frappe

import (
	"context"
	"iter"
)

// DocInfo is the timeline of one document, as its form shows it: at most the
// newest 10 versions and 21 mails. It needs only the right to read the document
// and marks nothing as seen.
type DocInfo struct {
	Comments       []Doc
	Communications []Doc // mails; Client.Communications has all
	Automated      []Doc // automated messages
	Versions       []Doc // data is JSON text of what changed
	Attachments    []Doc // files, without their dates
	AttachmentLogs []Doc // comments that say when a file came or went
	Assignments    []Doc
	AssignmentLogs []Doc
	InfoLogs       []Doc
	Shared         []Doc
	Rights         Doc // the user's rights on the document
}

// DocInfo reads the timeline of one document.
func (c *Client) DocInfo(ctx context.Context, doctype, name string) (DocInfo, error) {
	r := &request{
		op: "read timeline of " + doctype, doctype: doctype, name: name,
		path:  "/api/method/frappe.desk.form.load.get_docinfo",
		query: params{{"doctype", doctype}, {"name", name}},
	}
	var d Doc
	err := c.do(ctx, r, func(body []byte) (err error) {
		d, err = decodeDoc(body, "docinfo")
		return err
	})
	if err != nil {
		return DocInfo{}, err
	}
	rights, _ := d["permissions"].(map[string]any)
	return DocInfo{
		Comments: d.Rows("comments"), Communications: d.Rows("communications"), Automated: d.Rows("automated_messages"),
		Versions: d.Rows("versions"), Attachments: d.Rows("attachments"), AttachmentLogs: d.Rows("attachment_logs"),
		Assignments: d.Rows("assignments"), AssignmentLogs: d.Rows("assignment_logs"), InfoLogs: d.Rows("info_logs"),
		Shared: d.Rows("shared"), Rights: rights,
	}, nil
}

// mailPage and mailOverlap: pages of a timeline overlap, since a mail deleted
// meanwhile moves the next page up by one and would hide another.
const (
	mailPage    = 50
	mailOverlap = 5
)

// Communications reads every mail and message of a document, newest first, a
// page at a time. Each comes once.
func (c *Client) Communications(ctx context.Context, doctype, name string) iter.Seq2[[]Doc, error] {
	return func(yield func([]Doc, error) bool) {
		seen := map[string]bool{}
		for start, again, stale := 0, 0, 0; ; start += mailPage - mailOverlap {
			r := &request{op: "read mails of " + doctype, doctype: doctype, name: name}
			v, err := c.call(ctx, r, "frappe.desk.form.load.get_communications",
				map[string]any{"doctype": doctype, "name": name, "start": start, "limit": mailPage})
			if err != nil {
				yield(nil, err)
				return
			}
			rows := Doc{"m": v}.Rows("m")
			if start > 0 && len(rows) > 0 && !seen[rows[0].Name()] && again < 3 {
				// More went away than the pages overlap: read from the top again.
				again++
				start = mailOverlap - mailPage
				continue
			}
			fresh := make([]Doc, 0, len(rows))
			for _, m := range rows {
				if !seen[m.Name()] {
					seen[m.Name()] = true
					fresh = append(fresh, m)
				}
			}
			if len(fresh) > 0 && !yield(fresh, nil) {
				return
			}
			if stale++; len(fresh) > 0 {
				stale = 0
			}
			// Pages without anything new come after a restart, but no more of them
			// than were read before; beyond that the site ignores start.
			if len(rows) < mailPage || stale > 1+len(seen)/(mailPage-mailOverlap) {
				return
			}
		}
	}
}
