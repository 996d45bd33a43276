package daemon

import (
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
func (d *Daemon) follow(c *programme.Case, sites []plan.SiteFacts, open []store.Episode) followed {
	key, now := c.Key, c.Now
	facts := programme.AlertFacts{Now: now, Partner: key, Poor: d.o.Poor, Assessment: c.Continuous, Case: c}
	for _, s := range sites {
		facts.Sites = append(facts.Sites, programme.SiteFacts{
			Key: s.Key, Record: plan.SiteKey(key, s.Key), Status: s.Status, LastError: s.LastError, LastSuccess: s.LastSuccess, Lost: s.Lost,
		})
	}
	episodes := make([]programme.Episode, len(open))
	for i, e := range open {
		episodes[i] = programme.Episode(e)
	}
	changed, shown := programme.Advance(episodes, programme.Conditions(facts), key, now, programme.HushOf(c.Everyone, now))
	out := followed{shown: shown}
	for _, e := range changed {
		out.episodes = append(out.episodes, store.Episode(e))
	}
	out.standing = c.Stand(shown)
	return out
}
