package programme

import (
	"cmp"
	"slices"
	"strings"
)

// DefaultTiers returns the tiers to go by where the PRM's own cannot be read;
// house defaults. The PRM's live records are always preferred.
func DefaultTiers() []Tier {
	return []Tier{
		{Name: "Entry", Enabled: true},
		{Name: "Emerging", Enabled: true, TargetINR: 30000, TargetUSD: 350, PMMRequired: 2},
		{Name: "Bronze", Enabled: true, TargetINR: 63000, TargetUSD: 750, PMMRequired: 3},
		{Name: "Silver", Enabled: true, TargetINR: 250000, TargetUSD: 3150, PMMRequired: 4},
		{Name: "Gold", Enabled: true, TargetINR: 630000, TargetUSD: 7500, PMMRequired: 5},
	}
}

// ranked returns the tiers from the lowest to the highest: by monthly target in
// USD, then INR, then the level required, then name.
func ranked(tiers []Tier) []Tier {
	out := slices.Clone(tiers)
	slices.SortFunc(out, func(a, b Tier) int {
		return cmp.Or(cmp.Compare(a.TargetUSD, b.TargetUSD), cmp.Compare(a.TargetINR, b.TargetINR), cmp.Compare(a.PMMRequired, b.PMMRequired), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// EffectiveTier returns the tier in force: the highest enabled one, not above the
// awarded, whose required level is not above the level in force. A tier that
// requires no level imposes nothing. While no level is awarded (0) the awarded
// tier stands as people granted it, and so does a tier that is not among the
// records. Without records DefaultTiers apply. "" means that no tier is awarded
// or none fits.
func EffectiveTier(tiers []Tier, awarded string, level int) string {
	if awarded == "" || level < 1 {
		return awarded
	}
	if len(tiers) == 0 {
		tiers = DefaultTiers()
	}
	rs := ranked(tiers)
	top := slices.IndexFunc(rs, func(t Tier) bool { return t.Name == awarded })
	if top < 0 {
		return awarded
	}
	for _, t := range slices.Backward(rs[:top+1]) {
		if t.Enabled && t.PMMRequired <= level {
			return t.Name
		}
	}
	return ""
}

// EngagementDays is how many days may pass between two contacts with the
// partner: what people set, else by the awarded tier.
func (c *Case) EngagementDays() int {
	tier := strings.ToLower(c.Partner.AwardedTier)
	return cmp.Or(c.Partner.Engagement, c.Policy.Engagement[tier], map[string]int{"gold": 7, "silver": 14, "bronze": 30}[tier], 60)
}
