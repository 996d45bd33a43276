package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// The kinds of inputs in history that the programme keeps: the seed of an audit's
// sample by the audit's name, and when things on the PRM were first seen.
const (
	InputSeed      = "seed"
	InputSightings = "sightings"
	// InputSampleAdded holds the items that people added to an audit's sample, or
	// took out of it.
	InputSampleAdded = "sample_added"
)

// SampleAddition is an item that a person added to a frozen sample, or took out
// of it: it stays listed then, and is judged no more.
type SampleAddition struct {
	Key     string `json:"key"` // rules.SourceKey of the record
	Reason  string `json:"reason"`
	Removed bool   `json:"removed,omitempty"`
}

// sampleSize is how many projects, deals and tickets an audit looks at (S35).
const sampleSize = rules.MinSample

// targeted makes the assessments of the partner's audits and escalations that
// are to be made now, and finds the last ones of those that are not. Both are in
// c.Targeted afterwards; the new ones are returned.
func (d *Daemon) targeted(ctx context.Context, p *Partner, c *programme.Case, judged Judged, people programme.Input) ([]rules.Assessment, error) {
	key := p.Facts.Key
	siteKey := func(record string) (string, bool) {
		for _, s := range p.Sites {
			if plan.SiteKey(key, s.Key) == record || record == "" && len(p.Sites) == 1 {
				return s.Key, true
			}
		}
		return "", false
	}
	for record, k := range c.Records() {
		held, ok, err := d.o.Store.Latest(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("read assessment %s: %w", k, err)
		}
		if ok {
			c.Targeted[record] = held.Assessment
		}
	}
	var out []rules.Assessment
	for _, k := range c.Commissions(siteKey) {
		if k.Freeze {
			var last rules.Assessment
			if a, ok := c.Targeted[k.Target.Record]; ok {
				last = a
			}
			samples, err := d.frozen(ctx, k.Target.Record, last, &judged.Snapshot, c.Now)
			if err != nil {
				return nil, err
			}
			k.Samples = samples
		}
		a, err := d.o.Judge.Target(ctx, judged, people, k)
		if err != nil {
			return nil, fmt.Errorf("judge %s: %w", k.Target.Record, err)
		}
		c.Targeted[k.Target.Record] = a
		out = append(out, a)
	}
	return out, nil
}

// collect gathers the evidence of the audits and escalations for which it is
// written down, and says in the assessments just made what was found.
func collect(c *programme.Case, snap *evidence.Snapshot, made []rules.Assessment) []plan.Collected {
	var out []plan.Collected
	for _, record := range c.Collecting() {
		a := c.Targeted[record]
		pieces, items := rules.Collect(snap, a)
		for i := range made {
			if made[i].Key == a.Key {
				made[i].Collected, a.Collected = items, items
				c.Targeted[record] = a
			}
		}
		out = append(out, plan.Collected{Assessment: a, Pieces: pieces, Deleted: snap.Deletions})
	}
	return out
}

// frozen returns an audit's sample. Its seed is drawn once and kept before
// anything is drawn with it; the sample is the one that the last assessment
// holds, as long as it is the one that the seed gave.
func (d *Daemon) frozen(ctx context.Context, audit string, last rules.Assessment, snap *evidence.Snapshot, now time.Time) ([]rules.Sample, error) {
	seed, err := d.seed(ctx, audit, now)
	if err != nil {
		return nil, err
	}
	samples := last.Samples
	if len(samples) == 0 || samples[0].SeedHash != rules.SeedHash(seed) {
		samples = rules.Samples(snap, seed, sampleSize)
	}
	return d.added(ctx, audit, samples, now)
}

// added puts into the samples what people added to them since, and marks what
// they took out.
func (d *Daemon) added(ctx context.Context, audit string, samples []rules.Sample, now time.Time) ([]rules.Sample, error) {
	in, ok, err := d.o.Store.InputAt(ctx, InputSampleAdded, audit, now)
	if err != nil || !ok {
		return samples, err
	}
	var adds []SampleAddition
	if err := json.Unmarshal(in.Body, &adds); err != nil {
		return nil, fmt.Errorf("additions to the sample of %s in history: %w", audit, err)
	}
	samples = slices.Clone(samples)
	for _, a := range adds {
		parts := strings.SplitN(a.Key, "/", 3)
		for i, s := range samples {
			if len(parts) != 3 || !slices.Contains(s.Names, a.Key) {
				continue
			}
			ref := evidence.Ref{Site: parts[0], Doctype: parts[1], Name: parts[2]}
			change := func() (rules.Sample, error) { return rules.AddToSample(s, ref, parts[2], a.Reason) }
			if a.Removed {
				change = func() (rules.Sample, error) { return rules.RemoveFromSample(s, ref, a.Reason) }
			}
			// One that is there already, or is not there, stays as it is.
			if changed, err := change(); err == nil {
				samples[i] = changed
			}
		}
	}
	return samples, nil
}

// seed returns the seed of an audit's sample, drawn at the first call.
func (d *Daemon) seed(ctx context.Context, audit string, now time.Time) ([]byte, error) {
	for range 2 {
		in, ok, err := d.o.Store.InputAt(ctx, InputSeed, audit, now)
		if err != nil {
			return nil, fmt.Errorf("seed of %s: %w", audit, err)
		}
		if ok {
			seed, err := hex.DecodeString(string(in.Body))
			if err != nil {
				return nil, fmt.Errorf("seed of %s in history: %w", audit, err)
			}
			return seed, nil
		}
		drawn := make([]byte, 32)
		rand.Read(drawn) // never fails
		if _, err := d.o.Store.PutInput(ctx, store.Input{Kind: InputSeed, Subject: audit, Seen: now, Body: []byte(hex.EncodeToString(drawn))}); err != nil {
			return nil, fmt.Errorf("keep the seed of %s: %w", audit, err)
		}
	}
	return nil, fmt.Errorf("the seed of %s was kept and cannot be read", audit)
}

// caseOf is everything known of the partner.
func (d *Daemon) caseOf(key string, now time.Time, people *programme.Input, judged Judged) programme.Case {
	c := programme.CaseOf(people, key, now)
	c.Continuous, c.LevelOf, c.Policy = judged.Assessments[0], d.levelOf, d.o.Programme
	c.Over = map[evidence.Key]bool{}
	for _, p := range judged.Snapshot.Projects {
		if p.Status == "Completed" || p.Status == "Cancelled" {
			c.Over[p.Ref.Key()] = true
		}
	}
	return c
}

// levelOf is the level of a criterion of the packs; 0 for one that has none.
func (d *Daemon) levelOf(criterion string) int {
	for _, c := range d.o.Criteria {
		if c.ID == criterion {
			return c.Level
		}
	}
	return 0
}

// withPeople finds known records; of those that people keep, what was read last
// counts, unless we wrote after that. What we noted beside the fields stays.
func withPeople(known []plan.Known, c *programme.Case, read time.Time) plan.Lookup {
	find := lookup(known)
	theirs := lookup(plan.ProgrammeKnown(c))
	return func(doctype, key string) (plan.Known, bool) {
		k, ok := theirs(doctype, key)
		ours, written := find(doctype, key)
		switch {
		case !ok:
			return ours, written
		case written && ours.Written.After(read):
			fields := maps.Clone(k.Fields)
			maps.Copy(fields, ours.Fields)
			ours.Fields = fields
			return ours, true
		}
		return plan.WithMarks(k, ours), true
	}
}

// unfinished leaves out the assessments that people have finalised.
func unfinished(as []rules.Assessment, c *programme.Case) []rules.Assessment {
	out := make([]rules.Assessment, 0, len(as))
	for _, a := range as {
		if !c.Finalised[a.Key] {
			out = append(out, a)
		}
	}
	return out
}

// carry adds to what was just read since when things stand as they do, which
// survives a restart.
func (d *Daemon) carry(ctx context.Context, in programme.Input) programme.Input {
	last := d.people
	if last.AsOf.IsZero() {
		kept, ok, err := d.o.Store.InputAt(ctx, InputSightings, "prm", d.now())
		if err == nil && ok {
			err = json.Unmarshal(kept.Body, &last)
		}
		if err != nil {
			d.log.Warn("first sightings cannot be read; what stands on the PRM counts from now", "err", err)
			last = programme.Input{}
		}
	}
	in = programme.Carry(last, in, cmp.Or(in.AsOf, d.now()))
	body, err := json.Marshal(in.Sightings())
	if err == nil {
		_, err = d.o.Store.PutInput(ctx, store.Input{Kind: InputSightings, Subject: "prm", Seen: d.now(), Body: body})
	}
	if err != nil {
		d.log.Warn("first sightings cannot be kept", "err", err)
	}
	return in
}

// fleet returns the records and episodes of what is true across partners.
func (d *Daemon) fleet(ctx context.Context, now time.Time) ([]plan.Record, []store.Episode, error) {
	w := programme.Work{Now: now, Partners: d.Keys()}
	depths, err := d.o.Store.Depths(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range depths {
		w.Parked += q.Parked
		if !q.Oldest.IsZero() {
			w.OutboxOld = max(w.OutboxOld, now.Sub(q.Oldest))
		}
	}
	brakes, err := d.o.Store.Brakes(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range brakes {
		if b.Released.IsZero() && b.Kind == BrakeChange {
			w.ChangeBrake = whyStopped(b)
		}
	}
	open, err := d.o.Store.Alerts(ctx, "", now.Add(-7*24*time.Hour))
	if err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	people := d.people
	d.mu.Unlock()
	if people.AsOf.IsZero() && len(open) > 0 {
		return nil, nil, nil // nothing was read yet: what fires may still be true
	}
	episodes := make([]programme.Episode, len(open))
	for i, e := range open {
		episodes[i] = programme.Episode(e)
	}
	changed, shown := programme.Advance(episodes, programme.FleetConditions(&people, w), "", now, programme.HushOf(&people, now))
	var out []store.Episode
	for _, e := range changed {
		out = append(out, store.Episode(e))
	}
	d.mu.Lock()
	d.alerts = shown
	d.mu.Unlock()
	return plan.Alerts(d.prmZone(ctx), shown), out, nil
}

// once leaves out records that are wanted twice: all assessments of a partner
// show the same metrics.
func once(records []plan.Record) []plan.Record {
	seen := make(map[[2]string]bool, len(records))
	out := records[:0]
	for _, r := range records {
		if k := [2]string{r.Doctype, r.Key}; !seen[k] {
			seen[k] = true
			out = append(out, r)
		}
	}
	return out
}
