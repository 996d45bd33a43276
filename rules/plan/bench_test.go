package plan_test

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

// BenchmarkUnchanged plans 200 partners of 60 verdicts of which none changed.
func BenchmarkUnchanged(b *testing.B) {
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	inputs := make([]plan.Input, 200)
	known := map[string]plan.Known{}
	for i := range inputs {
		key := fmt.Sprintf("partner%03d", i)
		a := rules.Assessment{Partner: key, Key: key + "-cont-2026w12", Kind: rules.Continuous, AsOf: now, LevelLow: 3, LevelHigh: 4}
		for j := range 60 {
			a.Verdicts = append(a.Verdicts, rules.Verdict{
				Criterion: fmt.Sprintf("impl.c%02d", j), Title: "Plans are followed", Level: 3, Department: evidence.Implementation, Severity: rules.SeverityNC,
				Outcome: rules.Met, Measured: "97 %", Expected: "at least 90 %", Explanation: "Of 34 tasks 33 were closed in the week that the plan names.",
			})
		}
		inputs[i] = plan.Input{Now: now, Zone: time.UTC, Partner: plan.PartnerFacts{Key: key, Name: key}, Assessments: []rules.Assessment{a}}
		for _, c := range plan.Diff(plan.Wanted(inputs[i]), func(string, string) (plan.Known, bool) { return plan.Known{}, false }, now) {
			text, err := json.Marshal(c.Fields)
			if err != nil {
				b.Fatal(err)
			}
			k := plan.Known{Doctype: c.Doctype, Key: c.Name, Name: c.Name, Written: now}
			if err := json.Unmarshal(text, &k.Fields); err != nil { // as the store returns it
				b.Fatal(err)
			}
			known[c.Doctype+"/"+c.Name] = k
		}
	}
	find := func(doctype, key string) (plan.Known, bool) {
		k, ok := known[doctype+"/"+key]
		return k, ok
	}
	b.ReportAllocs()
	began := cpu(b)
	for b.Loop() {
		for _, in := range inputs {
			if changes := plan.Diff(plan.Wanted(in), find, now); len(changes) != 0 {
				b.Fatalf("%d changes: %+v", len(changes), changes[0].Fields)
			}
		}
	}
	b.ReportMetric(float64((cpu(b)-began).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// cpu is the processor time that this process has used, the collector's too: on
// a machine with other work it says more than the wall clock.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEvidenceUnchanged plans one audit with as much evidence as is written
// down, of which none changed.
func BenchmarkEvidenceUnchanged(b *testing.B) {
	at := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	in := plan.Input{Now: at, Zone: time.UTC, Partner: plan.PartnerFacts{Key: "acme", Name: "Acme"}, Sites: []plan.SiteFacts{{Key: "erp"}}}
	c := plan.Collected{Assessment: rules.Assessment{Key: "acme-audit-adt-0001", Kind: rules.Audit}}
	for i := range plan.MaxPieces {
		c.Pieces = append(c.Pieces, piece(fmt.Sprintf("T%04d", i), "h", "impl.followed"))
	}
	records, _ := plan.Evidence(in, c)
	for _, ch := range plan.Diff(records, none, at) {
		in.Captured = append(in.Captured, plan.Known{Doctype: ch.Doctype, Key: ch.Name, Fields: ch.Fields, Written: at})
	}
	b.ReportAllocs()
	for b.Loop() {
		if again, note := plan.Evidence(in, c); len(again) != 0 || note != "" {
			b.Fatalf("%d records, %q", len(again), note)
		}
	}
}
