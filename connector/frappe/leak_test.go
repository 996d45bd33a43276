package frappe_test

import (
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/prmsync/prmsync/connector/frappe"
)

// TestNothingStaysBehind: after Close no goroutine of a client lives on, also
// when its last exchange failed half-way. It does not run in parallel, so that
// what it sees is its own.
func TestNothingStaysBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := script(t, "u", status(200, oneRow), halfBody(t), reset(t), page(502, "<html>"), status(200, oneRow))
	c := client(t, s.URL, func(cfg *frappe.Config) { cfg.Retries = -1 })
	for range 5 {
		_ = list(t, c)
	}
	ctx, cancel := withCancel(t)
	cancel()
	if _, err := c.List(ctx, frappe.ListQuery{Doctype: "Task"}); frappe.CategoryOf(err) != frappe.Cancelled {
		t.Errorf("got %v, want cancelled", err)
	}
	slow := newStub(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	d := client(t, slow.URL, func(cfg *frappe.Config) { cfg.ReplyTimeout = 20 * time.Millisecond })
	if err := list(t, d); frappe.CategoryOf(err) != frappe.Timeout {
		t.Errorf("got %v, want a timeout", err)
	}
	c.Close()
	d.Close()
	s.Close()
	slow.Close()
	goleak.VerifyNone(t, before)
}
