package metrics

import "embed"

// Rules holds the alert rules, their tests and the Alertmanager example, as an
// operator imports them.
//
//go:embed rules/*.yaml alertmanager.example.yaml
var Rules embed.FS
