// Package plan compares what the PRM should hold with what it is known to hold
// and returns the difference as Changes, with texts made safe for Frappe.
// It sends nothing and keeps nothing.
package plan
