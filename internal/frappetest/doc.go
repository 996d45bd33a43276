// Package frappetest is a Frappe site in memory that answers over HTTP as the
// real one does, for tests and for the demo: documents, permissions, naming,
// schema over REST, errors, dialects, faults.
//
// What belongs here: how Frappe behaves. What does not: what prmsync does
// with it, and anything from the testing package, because the demo links this.
package frappetest
