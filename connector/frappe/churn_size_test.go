//go:build !long

package frappe_test

// The usual size of the churn test; build tag long has the full one.
const (
	churnSeeds = 3
	churnRows  = 5000
	churnPage  = 100
	churnTies  = 1000
)
