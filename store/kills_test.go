//go:build !long

package store_test

// How often the crash tests strike; more under the build tag long.
const (
	kills = 5
	cuts  = 12
)
