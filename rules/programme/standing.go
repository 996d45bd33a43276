package programme

import (
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// Standing is what a partner manager sees first of one partner: how urgent it
// is, why, and where level and tier stand.
type Standing struct {
	Status      string // Act Now, Watch, Unknown, On Track, Inactive
	Reason      string // at most 11 characters, for a list's column
	Insight     string // one sentence
	InsightCode string
	Attention   int // 0 to 100, the order of the list

	EffectiveLevel int
	EffectiveTier  string
	Text           string // "5 → 4", "4"
	LevelText      string // "PMM 4", for charts
	Activity       string // Active, Inactive
	NeedsDecision  bool
	DecisionNote   string

	OpenNCs         int
	OverdueNCs      int
	NextNCDue       evidence.Date
	OpenEscalations int

	LastEngaged     evidence.Date
	LastEngagedKind string
	NextEngaged     time.Time
	NextEngagedKind string
}
