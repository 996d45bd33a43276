//go:build !long

package rules_test

// everyMutant: a quick run tries one mutant in ten.
const everyMutant = 10
