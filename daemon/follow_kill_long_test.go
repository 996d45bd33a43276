//go:build long

package daemon_test

const killStep = 1
