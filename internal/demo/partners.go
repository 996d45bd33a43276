package demo

import (
	_ "embed"

	"github.com/prmsync/prmsync/config"
)

// Trouble is what is wrong with a demo partner's site rather than its work.
type Trouble uint8

// The troubles.
const (
	None      Trouble = iota
	Down              // the site does not answer
	NoRights          // the key may not read everything
	Escalated         // a customer has complained about a project
)

// Partner is a company with its trouble and what people wrote about it on the PRM.
type Partner struct {
	Company
	Trouble      Trouble
	Certificates int
	AwardedLevel int
	AwardedTier  string
	Manager      string
	About        string // one line for the person who runs the demo
}

// Partners returns the six of the demo, in the order in which they are shown.
func Partners() []Partner {
	return []Partner{
		{
			Company: Company{Key: "amberline", Name: "Amberline Consulting", Zone: "Europe/Berlin", Seed: 11, Habits: Habits{
				Projects: 7, OverdueShare: 0.12, TicketsPerWeek: 4, LateTickets: 0,
			}},
			Certificates: 3, AwardedLevel: 4, AwardedTier: "Silver", About: "keeps its house in order",
		},
		{
			Company: Company{Key: "brackwater", Name: "Brackwater Systems", Zone: "Asia/Kolkata", Seed: 23, Habits: Habits{
				Projects: 6, OverdueShare: 0.9, TicketsPerWeek: 5, LateTickets: 0.35, SkippedReports: 4, SkippedAllHands: 3,
				NoScans: 3, LateKickOff: true, NoStatusMails: true, Untrained: true, NoPreventive: true, NoControls: true, LostDeals: true,
			}},
			Certificates: 2, AwardedLevel: 3, AwardedTier: "Bronze", About: "reports rarely and leaves tasks lying",
		},
		{
			Company: Company{Key: "cinderpeak", Name: "Cinder Peak Partners", Zone: "America/New_York", Seed: 37, Habits: Habits{
				Projects: 5, OverdueShare: 0.35, TicketsPerWeek: 3, LateTickets: 0.15, NoScans: 1, LostDeals: true,
			}},
			Trouble: Escalated, Certificates: 4, AwardedLevel: 5, AwardedTier: "Gold", About: "a customer has complained",
		},
		{
			Company: Company{Key: "dunmore", Name: "Dunmore Technologies", Zone: "Europe/London", Seed: 41, Habits: Habits{Projects: 3, TicketsPerWeek: 2}},
			Trouble: Down, Certificates: 2, AwardedLevel: 2, AwardedTier: "Emerging", About: "its site does not answer",
		},
		{
			Company: Company{Key: "eastgate", Name: "Eastgate Solutions", Zone: "Asia/Dubai", Seed: 53, Habits: Habits{
				Projects: 5, OverdueShare: 0.2, TicketsPerWeek: 3, LateTickets: 0.05,
			}},
			Trouble: NoRights, Certificates: 2, AwardedLevel: 3, AwardedTier: "Bronze", About: "its key may not read everything",
		},
		{
			Company: Company{Key: "foxglove", Name: "Foxglove Labs", Zone: "Asia/Singapore", Seed: 67, Habits: Habits{
				Age: 3, Projects: 1, TicketsPerWeek: 1,
			}},
			Certificates: 0, AwardedTier: "Entry", About: "three weeks old",
		},
	}
}

//go:embed mapping.yaml
var mappingYAML []byte

// Mapping is what the demo's partners declare.
func Mapping() (config.Mapping, error) { return config.ParseMapping("demo/mapping.yaml", mappingYAML) }
