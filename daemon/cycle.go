package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// peopleEvery is how old people's decisions may be when a cycle uses them: all
// partners of a round share one read of the PRM.
const peopleEvery = 2 * time.Minute

// Cycle reads the partner's sites, judges what is known, and commits the
// assessment together with the changes that the PRM needs. It does not deliver.
func (d *Daemon) Cycle(ctx context.Context, key string) (err error) {
	p, lock, ok := d.partner(key)
	if !ok {
		return nil // removed by a reload meanwhile
	}
	lock.Lock()
	defer lock.Unlock()
	began := time.Now()
	defer func() {
		if d.o.Metrics != nil {
			d.o.Metrics.Cycle(time.Since(began), err != nil)
		}
	}()

	people := d.decided(ctx)
	var facts []plan.SiteFacts
	for _, s := range p.Sites {
		if off(people, key, s.Key) {
			continue
		}
		state, err := s.Read.Poll(ctx)
		if err != nil {
			return fmt.Errorf("read site %s: %w", s.Key, err)
		}
		d.export(key, s.Key, func(m *metrics.Set) { m.SetSite(key, s.Key, state.Metrics) })
		facts = append(facts, siteFacts(s, state))
	}
	now := d.now()
	if p.Clock != nil {
		now = p.Clock()
	}
	// Reading waits for sites, so many read at once; judging works.
	d.judging <- struct{}{}
	defer func() { <-d.judging }()
	judged, err := d.o.Judge.Assess(ctx, key, now, people)
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	as, err := d.conclude(ctx, p, now, people, facts, judged)
	if err != nil {
		return err
	}
	for _, a := range as {
		d.log.Info("judged", "partner", key, "assessment", a.Key, "level_low", a.LevelLow, "level_high", a.LevelHigh,
			"gaps", len(a.Gaps), "took", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// Read reads the partner's sites into history and judges nothing.
func (d *Daemon) Read(ctx context.Context, key string) error {
	p, lock, ok := d.partner(key)
	if !ok {
		return fmt.Errorf("partner %s is not among the configured ones", key)
	}
	lock.Lock()
	defer lock.Unlock()
	for _, s := range p.Sites {
		if _, err := s.Read.Poll(ctx); err != nil {
			return fmt.Errorf("read site %s: %w", s.Key, err)
		}
	}
	return nil
}

// Plan returns the changes that a cycle at the instant would queue for the
// partner, from what is known now. It writes nothing.
func (d *Daemon) Plan(ctx context.Context, key string, now time.Time, people programme.Input) ([]plan.Change, error) {
	p, _, ok := d.partner(key)
	if !ok {
		return nil, fmt.Errorf("partner %s is not among the configured ones", key)
	}
	judged, err := d.o.Judge.Assess(ctx, key, now, people)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	open, err := d.o.Store.Alerts(ctx, key, now.Add(-7*24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	known, err := d.knows(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read what the PRM holds: %w", err)
	}
	var sites []plan.SiteFacts
	for _, s := range p.Sites {
		reach, ok, err := d.o.Store.Reach(ctx, key, s.Key, now)
		if err != nil {
			return nil, err
		}
		if ok {
			st := SiteState{Site: reach.Site, Gaps: reach.Gaps, Coverage: reach.Coverage}
			st.Metrics.LastSuccess = reach.Seen
			sites = append(sites, siteFacts(s, st))
		}
	}
	drawn, err := d.wanted(ctx, p, now, people, sites, judged, open, known)
	if err != nil {
		return nil, err
	}
	return drawn.changes, nil
}

// off reports whether people have switched the site off on the PRM.
func off(people programme.Input, partner, site string) bool {
	return slices.ContainsFunc(people.Sites, func(s programme.Site) bool {
		return s.Key == plan.SiteKey(partner, site) && !s.Enabled
	})
}

// siteFacts is how the PRM shows the state of a site.
func siteFacts(s PartnerSite, st SiteState) plan.SiteFacts {
	f := plan.SiteFacts{
		Key: s.Key, URL: s.URL, Purpose: s.Purpose, Status: "Healthy", LastSuccess: st.Metrics.LastSuccess, Versions: st.Site.Versions, Zone: st.Site.Zone,
	}
	for _, g := range st.Gaps {
		switch g.Kind {
		case evidence.Unreachable:
			f.Status, f.LastError = "Unreachable", g.Reason
			if st.Metrics.Up { // a part of it failed
				f.Status = "Degraded"
			}
		case evidence.Unauthorized:
			if f.Status != "Unreachable" {
				f.Status, f.LastError = "Unauthorized", g.Reason
			}
		case evidence.Forbidden, evidence.Hidden:
			if f.Status == "Healthy" {
				f.Status, f.LastError = "Degraded", g.Reason
			}
			f.Unreadable = append(f.Unreadable, g.Stream)
			if slices.ContainsFunc(st.Coverage, func(c evidence.Coverage) bool { return c.Stream == g.Stream && !c.LastSuccess.IsZero() }) {
				f.Lost = append(f.Lost, g.Stream)
			}
		case evidence.Drifted, evidence.Braked:
			if f.Status == "Healthy" {
				f.Status, f.LastError = "Degraded", g.Reason
			}
		case evidence.Absent, evidence.Unmapped, evidence.Stale:
		}
	}
	slices.Sort(f.Unreadable)
	f.Unreadable = slices.Compact(f.Unreadable)
	slices.Sort(f.Lost)
	f.Lost = slices.Compact(f.Lost)
	return f
}

// conclude plans what the PRM needs and commits it with the assessments, which
// it returns.
func (d *Daemon) conclude(ctx context.Context, p *Partner, now time.Time, people programme.Input, sites []plan.SiteFacts, judged Judged) ([]rules.Assessment, error) {
	key := p.Facts.Key
	open, err := d.o.Store.Alerts(ctx, key, now.Add(-7*24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	known, err := d.knows(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read what the PRM holds: %w", err)
	}
	w, err := d.wanted(ctx, p, now, people, sites, judged, open, known)
	if err != nil {
		return nil, err
	}
	held, err := d.brake(ctx, p, now, w.assessments[0])
	if err != nil {
		return nil, fmt.Errorf("change brake: %w", err)
	}
	if held {
		_, made := lookup(known.records)(plan.DoctypePartner, key)
		w.changes = passing(w.changes, made)
	}
	if _, err := d.o.Store.CommitAssessment(ctx, store.Judgement{
		Partner: key, At: now, Assessments: w.assessments, Changes: w.changes, Whole: true, Alerts: w.out.episodes,
	}); err != nil {
		return nil, fmt.Errorf("commit assessment: %w", err)
	}
	if held {
		d.show(key, w.assessments, w.out, people)
		return w.assessments, nil
	}
	d.mu.Lock()
	d.tally.Unchanged += w.records - len(w.changes)
	d.mu.Unlock()
	d.show(key, w.assessments, w.out, people)
	return w.assessments, nil
}

// wantedNow is what a cycle concludes for one partner.
type wantedNow struct {
	assessments []rules.Assessment // Continuous first
	out         followed
	records     int
	changes     []plan.Change
}

// wanted runs the programme over what was judged and plans the writes.
func (d *Daemon) wanted(ctx context.Context, p *Partner, now time.Time, people programme.Input, sites []plan.SiteFacts, judged Judged, open []store.Episode, known knownNow) (wantedNow, error) {
	w := wantedNow{assessments: slices.Clone(judged.Assessments)}
	c := d.caseOf(p.Facts.Key, now, &people, judged)
	if k, was := lookup(known.records)(plan.DoctypePartner, p.Facts.Key); was && !c.Known && k.Written.Before(people.AsOf) {
		c.Gone = true
	}
	more, err := d.targeted(ctx, p, &c, judged, people)
	if err != nil {
		return w, err
	}
	collected := collect(&c, &judged.Snapshot, more)
	w.assessments = append(w.assessments, more...)
	w.out = d.follow(&c, sites, open)
	zone := d.prmZone(ctx)
	find := withPeople(known.records, &c, people.AsOf)
	facts := p.Facts
	facts.Master = c.Partner.Master
	in := plan.Input{
		Now: now, Zone: zone, Partner: facts, Sites: sites, Standing: w.out.standing, Assessments: unfinished(w.assessments, &c), Alerts: w.out.shown,
		Collected: collected,
	}
	if len(collected) > 0 {
		in.Captured = known.captured()
	}
	records := once(append(plan.Wanted(in), plan.Programme(&c, zone, find)...))
	w.records = len(records) + len(known.captures)
	w.changes = plan.Diff(records, find, now)
	current := make(map[string]bool, len(in.Assessments))
	for _, a := range in.Assessments {
		current[a.Key] = true
	}
	saves := plan.Refresh(&c, w.changes, current, find, people.AsOf, now)
	var files []plan.Change
	if len(collected) > 0 {
		var captured []map[string]any
		for _, k := range in.Captured {
			captured = append(captured, k.Fields)
		}
		for _, ch := range w.changes {
			if ch.Doctype == plan.DoctypeEvidence {
				captured = append(captured, ch.Fields)
			}
		}
		files = plan.Attachments(p.Facts.Key, d.documents(p, &c, collected, captured, find), find, now)
	}
	todos := plan.Assignments(p.Facts.Key, plan.ToDecide(&c), find, now)
	w.records += len(saves) + len(files) + len(todos)
	w.changes = slices.Concat(w.changes, saves, known.captures, files, todos)
	return w, nil
}

// knownNow is what the PRM holds for a partner, and the captures of evidence on
// their way to it: those are never planned anew, as what they captured may have
// changed since.
type knownNow struct {
	records  []plan.Known
	captures []plan.Change
}

// knows reads the captures first: one that is delivered meanwhile is then in both
// and not in neither.
func (d *Daemon) knows(ctx context.Context, key string) (k knownNow, err error) {
	if k.captures, err = d.o.Store.OpenChanges(ctx, key, plan.DoctypeEvidence); err != nil {
		return k, err
	}
	if k.records, err = d.o.Store.Known(ctx, key); err != nil || len(k.captures) == 0 {
		return k, err
	}
	find := lookup(k.records)
	k.captures = slices.DeleteFunc(k.captures, func(c plan.Change) bool {
		_, there := find(c.Doctype, c.Name)
		return there
	})
	return k, nil
}

// captured are the captures of evidence, delivered or not.
func (k knownNow) captured() []plan.Known {
	var out []plan.Known
	for _, r := range k.records {
		if r.Doctype == plan.DoctypeEvidence {
			out = append(out, r)
		}
	}
	for _, c := range k.captures {
		out = append(out, plan.Known{Doctype: c.Doctype, Key: c.Name, Name: c.Name, Fields: c.Fields, Written: c.Planned})
	}
	return out
}

// lookup finds known records; the values come back from JSON.
func lookup(known []plan.Known) plan.Lookup {
	m := make(map[[2]string]plan.Known, len(known))
	for _, k := range known {
		m[[2]string{k.Doctype, k.Key}] = k
	}
	return func(doctype, key string) (plan.Known, bool) {
		k, ok := m[[2]string{doctype, key}]
		return k, ok
	}
}

// show hands the committed figures to the exporter.
func (d *Daemon) show(key string, as []rules.Assessment, out followed, people programme.Input) {
	if d.o.Metrics == nil || len(as) == 0 {
		return
	}
	escalations := map[string]int{}
	for _, e := range people.Escalations {
		if e.Partner == key {
			escalations[e.Status]++
		}
	}
	d.export(key, "", func(m *metrics.Set) {
		m.SetPartner(key, metrics.Partner{Assessment: as[0], People: !people.AsOf.IsZero(), Standing: out.standing, Escalations: escalations, Alerts: out.shown})
	})
}

// export shows something of a partner, or of a site of it, unless a reload has
// taken it away meanwhile: a cycle that was under way does not bring it back.
func (d *Daemon) export(key, site string, show func(*metrics.Set)) {
	if d.o.Metrics == nil {
		return
	}
	d.mu.Lock() // replace changes the partners and what is exported under it
	defer d.mu.Unlock()
	p, ok := d.partners[key]
	if ok && (site == "" || slices.ContainsFunc(p.Sites, func(s PartnerSite) bool { return s.Key == site })) {
		show(d.o.Metrics)
	}
}

// restore shows the last committed assessments, with the alerts that fire and the
// state in which the sites were left, so that a restart neither blanks the metrics
// nor resolves an alert.
func (d *Daemon) restore(ctx context.Context) error {
	now := d.now()
	for _, key := range d.Keys() {
		held, ok, err := d.o.Store.LatestOf(ctx, key, rules.Continuous)
		if err != nil {
			return fmt.Errorf("read the last assessment of %s: %w", key, err)
		}
		if !ok {
			continue
		}
		open, err := d.o.Store.Alerts(ctx, key, now)
		if err != nil {
			return fmt.Errorf("read alerts: %w", err)
		}
		var out followed
		for _, e := range open {
			if e.Alert.Firing {
				out.shown = append(out.shown, e.Alert)
			}
		}
		if !d.o.People.AsOf.IsZero() {
			c := d.caseOf(key, now, &d.o.People, Judged{Assessments: []rules.Assessment{held.Assessment}})
			out.standing = c.Stand(out.shown)
		}
		d.show(key, []rules.Assessment{held.Assessment}, out, d.o.People)
		if p, _, ok := d.partner(key); ok {
			for _, s := range p.Sites {
				if st, seen := left(held.Assessment, s.Key); seen {
					d.export(key, s.Key, func(m *metrics.Set) { m.SetSite(key, s.Key, st) })
				}
			}
		}
	}
	return nil
}

// left is the state in which an assessment's read left a site; false when the
// assessment says nothing of it.
func left(a rules.Assessment, site string) (metrics.Site, bool) {
	st, seen := metrics.Site{Up: true, KeyAccepted: true}, false
	for _, c := range a.Coverage {
		if c.Site == site {
			seen = true
			if t := c.LastSuccess; !t.IsZero() && (st.LastSuccess.IsZero() || t.Before(st.LastSuccess)) {
				st.LastSuccess = t
			}
		}
	}
	for _, g := range a.Gaps {
		if g.Site != site {
			continue
		}
		seen = true
		switch g.Kind {
		case evidence.Unreachable:
			st.Up = false
		case evidence.Unauthorized:
			st.KeyAccepted = false
		case evidence.Forbidden, evidence.Absent, evidence.Unmapped, evidence.Drifted, evidence.Hidden, evidence.Stale, evidence.Braked:
		}
	}
	return st, seen
}

// decided returns what people decided, read at most every two minutes. When
// the PRM does not answer, the last known decisions stand.
func (d *Daemon) decided(ctx context.Context) programme.Input {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.readOn.IsZero() && d.now().Sub(d.readOn) < peopleEvery {
		return d.people
	}
	in, err := d.o.PRM.Read(ctx, d.people)
	d.prmUp = err == nil
	if err != nil {
		d.log.Warn("people's decisions cannot be read; the last known ones stand", "err", err)
		return d.people
	}
	in = d.carry(ctx, in)
	d.people, d.readOn, d.ready = in, d.now(), true
	return in
}

// prmZone returns the PRM's zone; UTC until it was once read.
func (d *Daemon) prmZone(ctx context.Context) *time.Location {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.zone != nil {
		return d.zone
	}
	zone, err := d.o.PRM.Zone(ctx)
	if err != nil {
		d.log.Warn("the PRM's time zone cannot be read yet", "err", err)
		return time.UTC
	}
	d.zone = zone
	return zone
}

// heartbeat plans the age of the data and the catalogue of criteria.
func (d *Daemon) heartbeat(ctx context.Context) error {
	now := d.now()
	total, healthy := 0, 0
	for _, key := range d.Keys() {
		p, _, ok := d.partner(key)
		if !ok {
			continue
		}
		known, err := d.o.Store.Known(ctx, key)
		if err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
		find := lookup(known)
		for _, s := range p.Sites {
			total++
			if k, ok := find(plan.DoctypeSite, plan.SiteKey(key, s.Key)); ok && k.Fields["status"] == "Healthy" {
				healthy++
			}
		}
	}
	known, err := d.o.Store.Known(ctx, "")
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	wanted := append(plan.Criteria(d.o.Criteria, d.o.RuleVersion), plan.Status(now, d.prmZone(ctx), total, healthy, d.o.Version, ""))
	alerts, episodes, err := d.fleet(ctx, now)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	wanted = append(wanted, alerts...)
	_, err = d.o.Store.CommitAssessment(ctx, store.Judgement{At: now, Changes: plan.Diff(wanted, lookup(known), now), Whole: true, Alerts: episodes})
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}

// publish shows the daemon's own state.
func (d *Daemon) publish(ctx context.Context) {
	if d.o.Metrics == nil || ctx.Err() != nil {
		return
	}
	st := metrics.State{Brakes: map[string]bool{}, PRMRequests: d.o.PRM.Requests()}
	st.StoreBytes, st.StoreFree = d.o.Store.Space()
	depths, err := d.o.Store.Depths(ctx)
	if err != nil {
		d.log.Warn("outbox cannot be counted", "err", err)
	}
	for _, q := range depths {
		st.OutboxWaiting += q.Waiting
		st.OutboxParked += q.Parked
		if !q.Oldest.IsZero() {
			st.OutboxOldest = max(st.OutboxOldest, d.now().Sub(q.Oldest))
		}
	}
	brakes, err := d.o.Store.Brakes(ctx, d.now())
	if err != nil {
		d.log.Warn("brakes cannot be read", "err", err)
	}
	for _, b := range brakes {
		if b.Released.IsZero() {
			st.Brakes[b.Kind] = true
		}
	}
	d.mu.Lock()
	st.Alerts = d.alerts
	st.PRMUp, st.ReloadSucceeded, st.Reloaded, st.ScheduleLag = d.prmUp, d.reloadOK, d.reload, d.lag
	d.mu.Unlock()
	d.o.Metrics.SetState(st)
}
