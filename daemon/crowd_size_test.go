//go:build !long

package daemon_test

// How many partners the tests of many have; more under the build tag long.
const crowdSize = 20
