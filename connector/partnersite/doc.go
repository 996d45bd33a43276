// Package partnersite reads a partner's doctypes into evidence: which exist, how they are mapped, and one stream for each.
// HTTP and Frappe's dialect belong to connector/frappe, judging to rules; nothing here ever writes to a site.
package partnersite
