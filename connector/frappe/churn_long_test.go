//go:build long

package frappe_test

const (
	churnSeeds = 100
	churnRows  = 50_000
	churnPage  = 1000
	churnTies  = 10_000
)
