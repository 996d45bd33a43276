// Package store keeps what must survive a restart: history, cursors, due times, assessments, the outbox and the log of captures.
// It decides nothing about partners: rebuilding a snapshot belongs to evidence, judging to rules, retrying to daemon.
//
// All SQL keeps to what SQLite and PostgreSQL share: $1 placeholders whose
// numbers first occur in order, TEXT and BIGINT, ON CONFLICT, RETURNING and row
// values. Instants are BIGINT microseconds since 1970 UTC and arguments: the
// package has no clock. The zero time is stored as 0 and read back as zero.
//
// One process writes; a file lock beside the database keeps a second one out.
// Any number may read beside it. Every call that changes something is one
// transaction, durable when it returns: a kill at any instant leaves either all
// of it or nothing.
package store
