// Package packs holds the criteria as YAML, each pack with the tests that its authors run against it.
// It is data alone: compiling and judging belong to rules, people's overrides to rules/programme.
package packs
