package partnersite_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

// many multiplies the sample site to about n documents in as many versions as
// a year leaves: every eighth record was changed once.
func many(t testing.TB, n int) partnersite.AssembleInput {
	t.Helper()
	in := meridian(t)
	base := in.Sites[0].Documents
	var docs []evidence.Document
	for round := 0; len(docs) < n; round++ {
		for _, d := range base {
			if d.Doctype == "Holiday List" || d.Doctype == "Service Level Agreement" || d.Doctype == "Company" {
				if round > 0 {
					continue
				}
			}
			if round > 0 {
				d.Name = fmt.Sprintf("%s~%d", d.Name, round)
				d.Fields = maps.Clone(d.Fields)
				for _, f := range []string{"project", "reference_name", "attached_to_name", "docname", "party_name"} {
					if v, ok := d.Fields[f].(string); ok {
						d.Fields[f] = fmt.Sprintf("%s~%d", v, round)
					}
				}
			}
			docs = append(docs, d)
			if len(docs)%8 == 0 {
				d.Seen = d.Seen.Add(30 * time.Minute)
				d.Hash += "2"
				d.Fields = maps.Clone(d.Fields)
				d.Fields["status"] = "Overdue"
				docs = append(docs, d)
			}
			if len(docs) >= n {
				break
			}
		}
	}
	in.Sites[0].Documents = docs
	return in
}

func BenchmarkAssemble(b *testing.B) {
	for _, n := range []int{5_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := many(b, n)
			b.ReportAllocs()
			for b.Loop() {
				partnersite.Assemble(in)
			}
		})
	}
}
