// Package daemon runs the cycle: what is due is read, judged, committed and delivered, and one partner's trouble stays its own.
// It declares the small interfaces it calls; opening sites, stores and files belongs to cmd, deciding to rules.
package daemon
