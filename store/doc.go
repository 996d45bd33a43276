// Package store keeps what must survive a restart: history, cursors, due times, assessments, the outbox and the log of captures.
// It decides nothing about partners: rebuilding a snapshot belongs to evidence, judging to rules, retrying to daemon.
package store
