//go:build long

package store_test

const (
	kills = 150
	cuts  = 300
)
