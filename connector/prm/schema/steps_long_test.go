//go:build long

package schema_test

// step cuts a run off after each single request.
func step(int) int { return 1 }
