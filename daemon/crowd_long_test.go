//go:build long

package daemon_test

const crowdSize = 200
