package frappetest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/prmsync/prmsync/internal/frappetest"
)

func benchSite(b *testing.B, tasks int) (*frappetest.Site, string) {
	b.Helper()
	s := frappetest.New(b)
	s.KeepLog(false)
	s.Define(frappetest.DocType{
		Name: "Row", Autoname: "field:code", Fields: []frappetest.Field{
			{Fieldname: "code", Fieldtype: "Data", Reqd: true},
			{Fieldname: "subject", Fieldtype: "Data"},
			{Fieldname: "status", Fieldtype: "Select", Options: "Open\nDone"},
			{Fieldname: "priority", Fieldtype: "Int"},
			{Fieldname: "progress", Fieldtype: "Percent"},
			{Fieldname: "due", Fieldtype: "Date"},
			{Fieldname: "done_on", Fieldtype: "Date"},
		}, Perms: []frappetest.Perm{{Role: "System Manager", Rights: "rwcd"}},
	})
	for i := range tasks {
		at := fmt.Sprintf("2026-01-%02d %02d:%02d:%02d.%06d", 1+i%28, i/28%24, i/672%60, i%60, i)
		if _, err := s.InsertRaw("Row", map[string]any{
			"name": fmt.Sprintf("R%06d", i), "code": fmt.Sprintf("R%06d", i), "subject": fmt.Sprintf("Prepare the warehouse move, part %d", i),
			"status": "Open", "priority": i % 5, "progress": 12.5, "due": "2026-03-01", "creation": at, "modified": at,
		}); err != nil {
			b.Fatal(err)
		}
	}
	key, secret := s.AddUser("sm@bench.test", "System Manager")
	return s, key + ":" + secret
}

// BenchmarkPage500 reads pages of 500 rows and 10 fields out of 50,000 rows
// by keyset, over HTTP.
func BenchmarkPage500(b *testing.B) {
	s, token := benchSite(b, 50_000)
	q := url.Values{
		"fields":            {`["name","subject","status","priority","progress","due","done_on","owner","creation","modified"]`},
		"filters":           {`[["modified",">=","2026-01-20 00:00:00"]]`},
		"order_by":          {"modified asc, name asc"},
		"limit_page_length": {"500"},
	}
	u := s.URL() + "/api/resource/Row?" + q.Encode()
	for b.Loop() {
		req, err := http.NewRequest(http.MethodGet, u, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+token)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		n, _ := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK || n < 50_000 {
			b.Fatalf("status %d, %d bytes", res.StatusCode, n)
		}
	}
}

// BenchmarkInsert makes documents with all checks, in the process.
func BenchmarkInsert(b *testing.B) {
	s, _ := benchSite(b, 50_000)
	i := 0
	for b.Loop() {
		i++
		if _, err := s.Insert("Row", map[string]any{"code": fmt.Sprintf("N%08d", i), "subject": "new"}); err != nil {
			b.Fatal(err)
		}
	}
}
