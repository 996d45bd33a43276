// Package config turns the environment and the partners' file into one Config, whole or refused, and owns the mapping grammar.
// Whether a mapping fits a site belongs to connector/partnersite; using a setting belongs to the room it is passed to.
package config

//go:generate go run ../internal/gen/settings -o ../docs/settings.md
