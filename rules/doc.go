// Package rules judges a snapshot against criteria: outcomes, verdicts,
// assessments, levels, and the engine that reads the packs.
// It takes values and returns values; where evidence comes from is not its business.
package rules

//go:generate go run ../internal/gen/criteria -o ../docs
