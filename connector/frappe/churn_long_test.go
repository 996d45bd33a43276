//go:build long

package frappe_test

// The full size of the churn test: some four minutes on two quiet cores, so give
// go test -timeout 30m where they are not.
const (
	churnSeeds = 100
	churnRows  = 50_000
	churnPage  = 1000
	churnTies  = 10_000
)
