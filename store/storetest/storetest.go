// Package storetest holds what every database under store must do, as tests that take an opener: SQLite now, others as they join.
// What only one database can show (files, locks, torn pages) is tested beside that database, not here.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/store"
)

// Opener opens one database; called again after Close, it opens the same one.
type Opener func(t *testing.T) *store.Store

// Run runs the suite. fresh returns the opener of a new, empty database.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	tests := map[string]func(t *testing.T, open Opener){
		"Captures":       captures,
		"Tombstones":     tombstones,
		"AsOf":           asOf,
		"ClockSetBack":   clockSetBack,
		"ForeignText":    foreignText,
		"BatchIsWhole":   batchIsWhole,
		"Partners":       partners,
		"ManyVersions":   manyVersions,
		"Cursors":        cursors,
		"Shuffled":       shuffled,
		"Cancelled":      cancelled,
		"Log":            captureLog,
		"Schedule":       schedule,
		"Assessments":    assessments,
		"Outbox":         outboxOrder,
		"OutboxReplay":   outboxReplay,
		"OutboxReplaced": outboxReplaced,
		"OutboxBackOff":  outboxBackOff,
		"OutboxParked":   outboxParked,
		"OutboxDropped":  outboxDropped,
		"OutboxWhole":    outboxWhole,
		"OutboxInFlight": outboxInFlight,
		"Known":          known,
		"Alerts":         alerts,
		"Reach":          reach,
		"Inputs":         inputs,
		"Cache":          cache,
		"Brakes":         brakes,
		"Retention":      retention,
		"Sizes":          sizes,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

var day = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return day.Add(time.Duration(minutes) * time.Minute) }

func task(name, stamp string, fields map[string]any) evidence.Document {
	return evidence.Document{
		Ref: evidence.Ref{
			Site: "erp", Doctype: "Task", Name: name, Owner: "ravi@meridian.example",
			Modified: day, Created: day.AddDate(0, -1, 0),
		},
		Stamp:  stamp,
		Fields: fields,
	}
}

func commit(t *testing.T, s *store.Store, seen time.Time, docs ...evidence.Document) store.Committed {
	t.Helper()
	n, err := s.Commit(t.Context(), store.Batch{Partner: "meridian", Seen: seen, Documents: docs})
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return n
}

func versions(t *testing.T, s *store.Store, partner string, asOf time.Time) []evidence.Document {
	t.Helper()
	var out []evidence.Document
	for d, err := range s.Versions(t.Context(), partner, asOf) {
		if err != nil {
			t.Fatalf("Versions: %v", err)
		}
		out = append(out, d)
	}
	return out
}

// must returns v or fails the test.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, s *store.Store, open Opener) *store.Store {
	t.Helper()
	check(t, s.Close())
	return open(t)
}

func canceledContext(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
