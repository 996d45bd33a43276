// Package evidence holds what was seen on partners' sites: typed documents, each
// with its Ref, the Snapshot they form at an instant, and the Gaps in it.
// Nothing here fetches, judges or stores; no clock, network, disk or randomness.
package evidence
