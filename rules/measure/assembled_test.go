package measure_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// assembled reads Meridian as the daemon does: all documents, by its mapping.
func assembled(t testing.TB) *evidence.Snapshot {
	t.Helper()
	mapping, err := config.LoadMapping("../../config/testdata/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../connector/partnersite/testdata/meridian/docs/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents of Meridian: %v", err)
	}
	var docs []evidence.Document
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(bytes.NewReader(b))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			var r row
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			moment := func(f string) time.Time {
				at, _ := time.ParseInLocation(time.DateTime, r.str(f), berlin(t))
				return at.UTC()
			}
			docs = append(docs, evidence.Document{
				Ref:   evidence.Ref{Site: "erp", Doctype: r.str("doctype"), Name: r.str("name"), Owner: r.str("owner"), Created: moment("creation"), Modified: moment("modified"), Seen: meridianAsOf(t)},
				Stamp: r.str("modified"), Fields: r,
			})
		}
		if sc.Err() != nil {
			t.Fatal(sc.Err())
		}
	}
	s := partnersite.Assemble(partnersite.AssembleInput{
		Partner: "meridian", MailDomains: []string{"meridian.example"}, AsOf: meridianAsOf(t),
		Sites: []partnersite.SiteInput{{
			Site:       evidence.Site{Key: "erp", URL: "https://erp.meridian.example", Zone: "Europe/Berlin", Purpose: "all"},
			DateFormat: "dd.mm.yyyy", Mapping: mapping, Documents: docs,
		}},
	})
	return &s
}

// What the daemon reads from the site gives the figures that the plain reading
// gives, which are those published.
func TestMeridianReadByTheDaemonGivesTheSame(t *testing.T) {
	t.Parallel()
	names := cmp.Transformer("names", func(r evidence.Ref) evidence.Key { return r.Key() })
	want, got := measure.All(meridian(t), measure.Options{}), measure.All(assembled(t), measure.Options{})
	if diff := cmp.Diff(want, got, names, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("plain reading against the daemon's (-want +got):\n%s", diff)
	}
}
