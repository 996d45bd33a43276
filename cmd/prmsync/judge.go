package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/measure"
	"github.com/prmsync/prmsync/rules/packs"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// The kinds of inputs that stand in history beside the evidence.
const (
	inputPack    = "pack"
	inputMapping = "mapping"
	inputPeople  = "people"
	inputPartner = "partner"
)

// judge assesses partners from history. Everything a verdict rests on is read
// from the store as it was at the instant: documents, reach, mapping, pack and
// people's decisions; so an assessment can be repeated to the byte.
type judge struct {
	store *store.Store

	mu    sync.Mutex
	packs map[string]*rules.Pack // by hash of their text
}

var _ daemon.Judge = (*judge)(nil)

func newJudge(s *store.Store) *judge { return &judge{store: s, packs: map[string]*rules.Pack{}} }

// partnerInput is what a partner's assessment needs of the configuration.
type partnerInput struct {
	Sites       []siteInput `json:"sites"`
	MailDomains []string    `json:"mail_domains"`
	StaleAfter  string      `json:"stale_after"`
}

type siteInput struct {
	Key     string `json:"key"`
	URL     string `json:"url"`
	Purpose string `json:"purpose"`
}

// remember puts the configuration's part of the inputs into history.
func (j *judge) remember(ctx context.Context, p config.Partner, policy config.Policy, at time.Time) error {
	in := partnerInput{MailDomains: p.MailDomains, StaleAfter: policy.StaleAfter.String()}
	for _, s := range p.Sites {
		in.Sites = append(in.Sites, siteInput{Key: s.Key, URL: s.URL, Purpose: string(s.Purpose)})
		body, err := json.Marshal(s.Mapping)
		if err != nil {
			return fmt.Errorf("mapping of %s/%s: %w", p.Key, s.Key, err)
		}
		if _, err := j.store.PutInput(ctx, store.Input{Kind: inputMapping, Subject: p.Key + "/" + s.Key, Seen: at, Body: body}); err != nil {
			return err
		}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("partner %s: %w", p.Key, err)
	}
	if _, err := j.store.PutInput(ctx, store.Input{Kind: inputPartner, Subject: p.Key, Seen: at, Body: body}); err != nil {
		return err
	}
	names, err := packNames()
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := packs.Files.ReadFile(name + ".yaml")
		if err != nil {
			return err
		}
		if _, err := j.store.PutInput(ctx, store.Input{Kind: inputPack, Subject: name, Seen: at, Body: text}); err != nil {
			return err
		}
	}
	return nil
}

// packNames are the packs that come with prmsync.
func packNames() ([]string, error) {
	all, err := rules.LoadBuiltin()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range all {
		names = append(names, p.ID.Name)
	}
	return names, nil
}

// links is a snapshot that holds only the partner's sites: enough to link its
// records.
func (j *judge) links(ctx context.Context, partner string) (*evidence.Snapshot, error) {
	in, ok, err := j.store.InputAt(ctx, inputPartner, partner, time.Now())
	if err != nil || !ok {
		return &evidence.Snapshot{}, err
	}
	var pi partnerInput
	if err := json.Unmarshal(in.Body, &pi); err != nil {
		return nil, fmt.Errorf("partner %s in history: %w", partner, err)
	}
	s := &evidence.Snapshot{Partner: partner}
	for _, site := range pi.Sites {
		s.Sites = append(s.Sites, evidence.Site{Key: site.Key, URL: site.URL})
	}
	return s, nil
}

// pack returns a pack as it was at the instant.
func (j *judge) pack(ctx context.Context, name string, at time.Time) (*rules.Pack, error) {
	in, ok, err := j.store.InputAt(ctx, inputPack, name, at)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("no pack %s is known", name)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if p, ok := j.packs[in.SHA256]; ok {
		return p, nil
	}
	p, err := rules.ParsePack(name+".yaml", in.Body)
	if err != nil {
		return nil, err
	}
	j.packs[in.SHA256] = p
	return p, nil
}

// snapshot is the partner's evidence as of the instant.
func (j *judge) snapshot(ctx context.Context, partner string, at time.Time) (evidence.Snapshot, error) {
	asm, err := j.input(ctx, partner, at)
	if err != nil {
		return evidence.Snapshot{}, err
	}
	return partnersite.Assemble(asm), nil
}

// input is what the partner's evidence as of the instant is made from.
func (j *judge) input(ctx context.Context, partner string, at time.Time) (partnersite.AssembleInput, error) {
	in, ok, err := j.store.InputAt(ctx, inputPartner, partner, at)
	if err != nil {
		return partnersite.AssembleInput{}, err
	}
	if !ok {
		return partnersite.AssembleInput{}, fmt.Errorf("nothing is known of partner %s; run a cycle first", partner)
	}
	var pi partnerInput
	if err := json.Unmarshal(in.Body, &pi); err != nil {
		return partnersite.AssembleInput{}, fmt.Errorf("partner %s in history: %w", partner, err)
	}
	stale, err := time.ParseDuration(pi.StaleAfter)
	if err != nil {
		return partnersite.AssembleInput{}, fmt.Errorf("partner %s in history: %w", partner, err)
	}
	asm := partnersite.AssembleInput{Partner: partner, MailDomains: pi.MailDomains, AsOf: at, StaleAfter: stale}
	index := map[string]int{}
	for _, s := range pi.Sites {
		si := partnersite.SiteInput{Site: evidence.Site{Key: s.Key, URL: s.URL, Purpose: s.Purpose, Zone: "UTC"}}
		reach, ok, err := j.store.Reach(ctx, partner, s.Key, at)
		if err != nil {
			return partnersite.AssembleInput{}, err
		}
		if ok {
			si.Site = reach.Site
			si.Site.Key, si.Site.URL, si.Site.Purpose = s.Key, s.URL, s.Purpose
			si.Gaps, si.Coverage, si.DateFormat = reach.Gaps, reach.Coverage, reach.Notes[noteDateFormat]
			if !reach.Seen.After(at) {
				si.KnownAt = at // it was being read then: what was judged once stays so
			}
		} else {
			si.Gaps = []evidence.Gap{{Site: s.Key, Stream: "*", Kind: evidence.Unreachable, Reason: "the site was never read"}}
		}
		m, ok, err := j.store.InputAt(ctx, inputMapping, partner+"/"+s.Key, at)
		if err != nil {
			return partnersite.AssembleInput{}, err
		}
		var own config.Mapping
		if ok {
			if err := json.Unmarshal(m.Body, &own); err != nil {
				return partnersite.AssembleInput{}, fmt.Errorf("mapping of %s/%s in history: %w", partner, s.Key, err)
			}
		}
		si.Mapping = own.Over(partnersite.DefaultMapping(si.Site.Versions))
		index[s.Key] = len(asm.Sites)
		asm.Sites = append(asm.Sites, si)
	}
	rows := map[[2]string]int{}
	for d, err := range j.store.Versions(ctx, partner, at) {
		if err != nil {
			return partnersite.AssembleInput{}, err
		}
		if i, ok := index[d.Site]; ok {
			s := &asm.Sites[i]
			if n := len(s.Documents); !d.Gone {
				if n == 0 || s.Documents[n-1].Key() != d.Key() || s.Documents[n-1].Gone {
					rows[[2]string{d.Site, d.Doctype}]++
				}
			} else if n > 0 && s.Documents[n-1].Key() == d.Key() {
				rows[[2]string{d.Site, d.Doctype}]--
			}
			s.Documents = append(s.Documents, d)
		}
	}
	for i := range asm.Sites {
		cov := slices.Clone(asm.Sites[i].Coverage)
		for k := range cov {
			cov[k].Rows = rows[[2]string{asm.Sites[i].Site.Key, cov[k].Stream}]
		}
		asm.Sites[i].Coverage = cov
	}
	return asm, nil
}

// frozen is the partner's evidence as it stood at the cutoff, by what is known
// now: what was changed, deleted or made after it does not count. A version that
// was read later but that its site had by then counts as it is.
func (j *judge) frozen(ctx context.Context, now *evidence.Snapshot, cutoff time.Time) (evidence.Snapshot, error) {
	asm, err := j.input(ctx, now.Partner, now.AsOf)
	if err != nil {
		return evidence.Snapshot{}, err
	}
	asm.AsOf = cutoff
	for i := range asm.Sites {
		asm.Sites[i].KnownAt = time.Time{}
		docs := asm.Sites[i].Documents
		for k := range docs {
			if d := &docs[k]; d.Seen.After(cutoff) && !d.Gone && !d.Modified.IsZero() && !d.Modified.After(cutoff) {
				d.Seen = cutoff
			}
		}
	}
	return partnersite.Assemble(asm), nil
}

// Assess implements daemon.Judge.
func (j *judge) Assess(ctx context.Context, partner string, at time.Time, people programme.Input) (daemon.Judged, error) {
	snap, err := j.snapshot(ctx, partner, at)
	if err != nil {
		return daemon.Judged{}, err
	}
	certified(&snap, people)
	pack, err := j.pack(ctx, "pmm", at)
	if err != nil {
		return daemon.Judged{}, err
	}
	in := rules.Input{
		Snapshot: &snap, Metrics: measure.All(&snap, measure.Options{}), Kind: rules.Continuous, Samples: rules.ContinuousSamples(&snap),
		Settings: people.Settings, Overrides: people.Overrides, Signals: rules.Signals(&snap, rules.Occasion{}),
	}
	last, ok, err := j.store.LatestOf(ctx, partner, rules.Continuous)
	if err != nil {
		return daemon.Judged{}, err
	}
	if ok && last.Assessment.AsOf.Before(at) {
		in.Previous = &last.Assessment
	}
	a, err := rules.Judge(pack, in)
	if err != nil {
		return daemon.Judged{}, err
	}
	return daemon.Judged{Snapshot: snap, Assessments: []rules.Assessment{a}}, nil
}

// Target implements daemon.Judge. An audit before its sample is frozen is judged
// on the month's sample, as a view of readiness.
func (j *judge) Target(ctx context.Context, judged daemon.Judged, people programme.Input, c programme.Commission) (rules.Assessment, error) {
	snap := judged.Snapshot
	name := "pmm"
	if c.Kind == rules.Escalation {
		name = "escalation"
	}
	key := rules.AssessmentKey(snap.Partner, c.Kind, snap.Today(), c.Target)
	last, ok, err := j.store.Latest(ctx, key)
	if err != nil {
		return rules.Assessment{}, err
	}
	pack, err := j.pack(ctx, name, snap.AsOf)
	if err != nil {
		return rules.Assessment{}, err
	}
	metrics := judged.Assessments[0].Metrics
	if !c.Cutoff.IsZero() && c.Cutoff.Before(snap.AsOf) {
		if snap, err = j.frozen(ctx, &judged.Snapshot, c.Cutoff); err != nil {
			return rules.Assessment{}, err
		}
		certified(&snap, people)
		metrics = measure.All(&snap, measure.Options{})
	}
	in := rules.Input{
		Snapshot: &snap, Metrics: metrics, Kind: c.Kind, Target: c.Target, Samples: c.Samples, Cutoff: c.Cutoff,
		Settings: people.Settings, Overrides: people.Overrides, Findings: c.Findings, Present: c.Present, Signals: rules.Signals(&judged.Snapshot, c.Occasion),
	}
	if c.Kind == rules.Audit && in.Samples == nil {
		in.Samples = rules.ContinuousSamples(&snap)
	}
	if ok && last.Assessment.AsOf.Before(judged.Snapshot.AsOf) {
		in.Previous = &last.Assessment
	}
	a, err := rules.Judge(pack, in)
	a.AsOf = judged.Snapshot.AsOf.UTC() // when it was judged; Cutoff says as of when
	return a, err
}

// certified adds the certificates that the PRM holds for the partner, and the
// gaps where the PRM itself could not be read.
func certified(snap *evidence.Snapshot, people programme.Input) {
	for _, c := range people.Certs {
		if people.CertPartner[c.Name] == snap.Partner {
			snap.Certificates = append(snap.Certificates, c)
		}
	}
	if people.AsOf.IsZero() {
		snap.Gaps = append(snap.Gaps, evidence.Gap{
			Site: "prm", Stream: "Partner Certificate", Kind: evidence.Unreachable, Reason: "the PRM's register of certificates was not read",
			Remedy: "set PRMSYNC_PRM_URL and the runtime user's key",
		})
	}
	for _, g := range people.Gaps {
		// Of other doctypes of the PRM no verdict takes evidence, and partners' sites
		// have doctypes of the same names.
		if g.Stream == "Partner Certificate" {
			snap.Gaps = append(snap.Gaps, g)
		}
	}
	if !people.AsOf.IsZero() && !slices.ContainsFunc(people.Gaps, func(g evidence.Gap) bool { return g.Stream == "Partner Certificate" }) {
		snap.Coverage = append(snap.Coverage, evidence.Coverage{
			Site: "prm", Stream: "Partner Certificate", Rows: len(snap.Certificates), LastSuccess: people.AsOf, LastComplete: people.AsOf, Complete: true,
		})
	}
	slices.SortFunc(snap.Certificates, func(a, b evidence.Certificate) int { return a.Compare(b.Ref) })
}

// rememberPeople puts people's decisions into history, so that a past verdict
// can be repeated with those of then.
func (j *judge) rememberPeople(ctx context.Context, in programme.Input) error {
	at := in.AsOf
	in.AsOf = time.Time{}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("people's decisions: %w", err)
	}
	_, err = j.store.PutInput(ctx, store.Input{Kind: inputPeople, Subject: "prm", Seen: at, Body: body})
	return err
}

// peopleAt returns people's decisions as they were at the instant.
func (j *judge) peopleAt(ctx context.Context, at time.Time) (programme.Input, error) {
	in, ok, err := j.store.InputAt(ctx, inputPeople, "prm", at)
	if err != nil || !ok {
		return programme.Input{}, err
	}
	var p programme.Input
	if err := json.Unmarshal(in.Body, &p); err != nil {
		return programme.Input{}, fmt.Errorf("people's decisions in history: %w", err)
	}
	p.AsOf = in.Seen
	return p, nil
}
