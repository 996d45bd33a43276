package programme

import (
	"fmt"
	"strings"

	"github.com/prmsync/prmsync/rules"
)

// Stand sums up a partner for the list and the form of the PRM: how urgent it
// is, why, and where the level stands.
func Stand(p Partner, a rules.Assessment, alerts []Alert) Standing {
	s := Standing{Activity: "Active", EffectiveLevel: p.AwardedLevel, EffectiveTier: p.AwardedTier}
	if p.Activity != "" {
		s.Activity = p.Activity
	}
	if p.AwardedLevel > 0 {
		s.Text = fmt.Sprint(p.AwardedLevel)
		s.LevelText = fmt.Sprintf("PMM %d", p.AwardedLevel)
	} else {
		s.Text, s.LevelText = "–", "Not awarded"
	}
	missed, unknown := 0, 0
	first := ""
	for _, v := range a.Verdicts {
		if v.Severity != rules.SeverityNC {
			continue
		}
		switch v.Effective() {
		case rules.NotMet:
			missed++
			if first == "" {
				first = v.Title
			}
		case rules.Insufficient:
			unknown++
		case rules.Met, rules.NotApplicable, rules.Manual:
		}
	}
	critical := ""
	for _, al := range alerts {
		if al.Firing && al.Severity == Critical {
			critical = al.Message
			break
		}
	}
	switch {
	case s.Activity == "Inactive":
		s.Status, s.Reason, s.Insight, s.InsightCode = "Inactive", "Inactive", "Set inactive by a person.", "inactive"
	case critical != "":
		s.Status, s.Reason, s.Insight, s.InsightCode, s.Attention = "Act Now", "Site", critical, "site", 80
	case missed > 0:
		s.Status, s.Reason, s.Attention = "Watch", fmt.Sprintf("%d missed", missed), min(40+missed, 70)
		s.Insight = fmt.Sprintf("%d statements are not met; first: %s.", missed, strings.TrimSuffix(first, "."))
		s.InsightCode = "missed"
	case unknown > len(a.Verdicts)/2:
		s.Status, s.Reason, s.Attention = "Unknown", "No evidence", 30
		s.Insight, s.InsightCode = fmt.Sprintf("%d statements cannot be judged from what we may read.", unknown), "unknown"
	default:
		s.Status, s.Reason, s.Insight, s.InsightCode = "On Track", "", fmt.Sprintf("The evidence shows level %d.", a.LevelLow), "on_track"
	}
	return s
}
