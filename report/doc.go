// Package report writes an assessment down for people and for verification: a page to read or print, and a manifest of hashes.
// It judges nothing and fetches nothing; the PDF is printed by the PRM.
package report
