//go:build long

package rules_test

// everyMutant: a long run tries all.
const everyMutant = 1
