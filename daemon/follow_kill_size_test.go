//go:build !long

package daemon_test

// killStep is how many points of a cycle the plain test passes over between two
// at which the program dies; with -tags long it dies at each.
const killStep = 6
