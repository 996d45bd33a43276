// Package metrics names every metric with its help, unit and labels, and ships the alert rules and dashboards that use them.
// Computing a figure belongs to rules/measure, serving the page to daemon; no label ever comes from a document.
package metrics

//go:generate go run ../internal/gen/metrics -o ../docs/metrics.md
