package store_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/store"
)

const benchDocs = 50_000

var seen = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// taskDoc is a Task as streams cut it down: some 400 bytes of fields.
func taskDoc(i int, round string) evidence.Document {
	return evidence.Document{
		Ref: evidence.Ref{
			Site: "erp", Doctype: "Task", Name: fmt.Sprintf("TASK-2026-%05d", i), Owner: fmt.Sprintf("user%d@meridian.example", i%40),
			Modified: seen, Created: seen.AddDate(0, 0, -i%400),
		},
		Stamp: "2026-11-20 10:00:00.12345" + round,
		Fields: map[string]any{
			"project": fmt.Sprintf("PROJ-%04d", i%200), "subject": fmt.Sprintf("Configure workflow %d for the warehouse", i), "type": "Delivery",
			"status": "Working", "is_group": 0.0, "is_milestone": 0.0, "is_template": 0.0, "parent_task": "", "exp_start_date": "2026-11-01",
			"exp_end_date": "2026-11-28", "completed_on": nil, "review_date": nil, "progress": 40.0, "issue": nil,
			"_assign": "[\"asha@meridian.example\"]", "depends_on": []any{map[string]any{"task": fmt.Sprintf("TASK-2026-%05d", i/2)}},
		},
	}
}

func taskDocs(n int, round string) []evidence.Document {
	docs := make([]evidence.Document, n)
	for i := range docs {
		docs[i] = taskDoc(i, round)
	}
	return docs
}

func ingest(b *testing.B, s *store.Store, docs []evidence.Document, at time.Time) {
	b.Helper()
	const page = 500
	for i := 0; i < len(docs); i += page {
		p := docs[i:min(i+page, len(docs))]
		last := p[len(p)-1]
		_, err := s.Commit(b.Context(), store.Batch{
			Partner: "meridian", Seen: at, Documents: p,
			Cursors: []store.Cursor{{Site: "erp", Stream: "Task", Stamp: last.Stamp, Name: last.Name, LastSuccess: at}},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func benchStore(b *testing.B) *store.Store {
	return open(b, "sqlite:"+filepath.Join(b.TempDir(), "bench.db"), store.Options{})
}

// reportCPU adds the processor time of an operation, all threads and the
// collector together: on a shared machine it says more than the wall clock.
func reportCPU(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Milliseconds())/float64(b.N), "cpu-ms/op") }
}

// BenchmarkIngest is a first backfill of 50,000 documents in pages of 500.
func BenchmarkIngest(b *testing.B) {
	docs := taskDocs(benchDocs, "0")
	cpu := reportCPU(b)
	for b.Loop() {
		b.StopTimer()
		s := benchStore(b)
		b.StartTimer()
		ingest(b, s, docs, seen)
		b.StopTimer()
		z, err := s.Sizes(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(z.FileBytes+z.WALBytes)/benchDocs, "B/doc")
		_ = s.Close()
		b.StartTimer()
	}
	cpu()
	b.ReportMetric(float64(benchDocs)*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}

// BenchmarkUnchanged reads the same 50,000 documents again.
func BenchmarkUnchanged(b *testing.B) {
	docs := taskDocs(benchDocs, "0")
	s := benchStore(b)
	ingest(b, s, docs, seen)
	cpu := reportCPU(b)
	for b.Loop() {
		ingest(b, s, docs, seen)
	}
	cpu()
	b.ReportMetric(float64(benchDocs)*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}

// BenchmarkVersions reads what a snapshot of 50,000 documents is made from.
func BenchmarkVersions(b *testing.B) {
	s := benchStore(b)
	ingest(b, s, taskDocs(benchDocs, "0"), seen)
	b.ReportAllocs()
	cpu := reportCPU(b)
	for b.Loop() {
		n := 0
		for d, err := range s.Versions(b.Context(), "meridian", seen) {
			if err != nil || d.Fields["status"] != "Working" {
				b.Fatal(err, d)
			}
			n++
		}
		if n != benchDocs {
			b.Fatalf("%d versions, want %d", n, benchDocs)
		}
	}
	cpu()
}

// BenchmarkChanges changes 1,000 of 50,000 documents and tells by how much the
// file grew.
func BenchmarkChanges(b *testing.B) {
	s := benchStore(b)
	ingest(b, s, taskDocs(benchDocs, "0"), seen)
	size := func() int64 {
		part := filepath.Join(b.TempDir(), "copy.db")
		if err := s.Backup(b.Context(), part); err != nil {
			b.Fatal(err)
		}
		c, err := store.OpenReadOnly(b.Context(), "sqlite:"+part)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		z, err := c.Sizes(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		return z.FileBytes
	}
	before, rounds := size(), 0
	for b.Loop() {
		rounds++
		docs := taskDocs(1000, fmt.Sprint(rounds))
		ingest(b, s, docs, seen.Add(time.Duration(rounds)*time.Minute))
	}
	b.ReportMetric(float64(size()-before)/float64(rounds), "B/1000-changes")
}
