//go:build !long

package daemon_test

import "flag"

// How many partners the tests of many have, and how often those of any order
// are tried; more under the build tag long.
const crowdSize = 10

func init() {
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
}
