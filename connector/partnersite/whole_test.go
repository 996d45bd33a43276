package partnersite_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

// What is read through the eyes of a least-privilege reader means the same as
// the documents themselves.
func TestWhatIsReadMeansWhatTheSiteHolds(t *testing.T) {
	t.Parallel()
	b := served(t)
	b.now = meridianAsOf.Add(-time.Hour)
	r := b.poll()
	in := meridian(t)
	want := partnersite.Assemble(in)
	in.Sites[0].Documents = nil
	for _, vs := range b.memory.versions {
		in.Sites[0].Documents = append(in.Sites[0].Documents, vs...)
	}
	in.Sites[0].DateFormat = r.DateFormat
	in.Sites[0].Site = r.Site
	in.Sites[0].Gaps, in.Sites[0].Coverage = r.Gaps, r.Coverage
	got := partnersite.Assemble(in)
	// What hangs on records whose timelines no check needs is left where it is.
	want.Messages = slices.DeleteFunc(want.Messages, func(m evidence.Message) bool { return m.About.Doctype == "Training Event" })
	want.Attachments = slices.DeleteFunc(want.Attachments, func(a evidence.Attachment) bool { return a.On.Doctype == "Issue" })
	// Prose is not kept.
	want.Changes = slices.DeleteFunc(want.Changes, func(c evidence.Change) bool { return c.Field == "resolution_details" || c.Field == "description" })
	same := cmp.Options{
		// A timeline does not tell the template of a mail, the name of a lead
		// without company is not kept, and of two equal wall times the first is as
		// good as the second.
		cmpopts.IgnoreFields(evidence.Lead{}, "Customer"),
		// The reader has no row for Company.
		cmpopts.IgnoreFields(evidence.Calendar{}, "Default"),
		cmpopts.IgnoreFields(evidence.Ref{}, "Hash", "Seen", "Modified", "Owner", "Created"),
		cmpopts.IgnoreFields(evidence.Message{}, "Template"),
		cmpopts.IgnoreFields(evidence.Snapshot{}, "Gaps", "Coverage", "Sites"),
		cmpopts.EquateEmpty(),
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-documents +read):\n%s", diff)
	}
}
