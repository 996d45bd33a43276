// Package measure recomputes the partners' metrics from evidence and sets the
// reported figure beside each. What a value means for a verdict is for rules.
package measure
