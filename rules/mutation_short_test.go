//go:build !long

package rules_test

// everyMutant: a quick run tries one mutant in six.
const everyMutant = 6
