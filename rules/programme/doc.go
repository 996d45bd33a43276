// Package programme holds what people decide on the PRM and what follows from
// it: partners, audits, non-conformances, escalations, tiers, clocks, alerts.
// It judges no evidence and writes nothing; texts and changes are rules/plan's.
package programme
