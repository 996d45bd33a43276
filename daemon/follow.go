package daemon

import (
	"time"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
	"github.com/prmsync/prmsync/rules/programme"
	"github.com/prmsync/prmsync/store"
)

// followed is what the programme concludes for one partner.
type followed struct {
	standing programme.Standing
	episodes []store.Episode // changed ones
	shown    []programme.Alert
}

// follow runs the programme's rules over one partner.
func (d *Daemon) follow(key string, now time.Time, people programme.Input, sites []plan.SiteFacts, as []rules.Assessment, open []store.Episode) followed {
	facts := programme.AlertFacts{Now: now, Partner: key, Poor: d.o.Poor}
	if len(as) > 0 {
		facts.Assessment = as[0]
	}
	c := d.caseOf(key, now, &people, as)
	facts.Case = &c
	for _, s := range sites {
		facts.Sites = append(facts.Sites, programme.SiteFacts{
			Key: s.Key, Record: plan.SiteKey(key, s.Key), Status: s.Status, LastError: s.LastError, LastSuccess: s.LastSuccess, Unreadable: s.Unreadable,
		})
	}
	episodes := make([]programme.Episode, len(open))
	for i, e := range open {
		episodes[i] = programme.Episode(e)
	}
	changed, shown := programme.Advance(episodes, programme.Conditions(facts), key, now)
	out := followed{shown: shown}
	for _, e := range changed {
		out.episodes = append(out.episodes, store.Episode(e))
	}
	out.standing = c.Stand(shown)
	return out
}

// caseOf is everything known of the partner, with its assessments.
func (d *Daemon) caseOf(key string, now time.Time, people *programme.Input, as []rules.Assessment) programme.Case {
	c := programme.CaseOf(people, key, now)
	for _, a := range as {
		if a.Kind == rules.Continuous {
			c.Continuous = a
		} else {
			c.Targeted[a.Target.Record] = a
		}
	}
	c.LevelOf = d.levelOf
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
