package prm_test

import (
	"cmp"
	"context"
	"testing"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
)

const manager = "mary@prm.test"

// house is a provisioned PRM with its runtime user.
type house struct {
	site *frappetest.Site
	prm  *prm.PRM
	c    *frappe.Client
}

func client(t testing.TB, site *frappetest.Site, key, secret string) *frappe.Client {
	t.Helper()
	c, err := frappe.New(frappe.Config{
		URL: site.URL(), Key: frappe.Secret(key), Secret: frappe.Secret(secret), AllowPrivateNetwork: true, ServerSeconds: 1000, MinWait: 1, MaxWait: 2, BreakerFailures: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func provisioned(t testing.TB, version string) house {
	t.Helper()
	site := frappetest.New(t, frappetest.SiteOptions{Version: cmp.Or(version, frappetest.V15)})
	key, secret := site.AddUser("provision@prm.test", "System Manager", "Workspace Manager", "Website Manager")
	res, err := schema.Provision(context.Background(), client(t, site, key, secret), schema.Options{Deployment: "bare"})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range res.Items {
		if i.Verb == schema.Cannot {
			t.Fatalf("provision: %s", i)
		}
	}
	site.AddUser(manager, "Partner Manager")
	key, secret = site.AddUser("sync@prm.test", "PMM Sync Agent")
	c := client(t, site, key, secret)
	return house{site: site, c: c, prm: prm.New(c, "bare")}
}

func (h house) insert(t testing.TB, doctype string, values map[string]any) string {
	t.Helper()
	name, err := h.site.Insert(doctype, values)
	if err != nil {
		t.Fatalf("insert %s: %v", doctype, err)
	}
	return name
}

func (h house) set(t testing.TB, doctype, name string, values map[string]any) {
	t.Helper()
	if err := h.site.As(manager).Set(doctype, name, values); err != nil {
		t.Fatalf("set %s %s: %v", doctype, name, err)
	}
}

// writes counts the requests of the log that may have changed something.
func (h house) writes() (reads, writes int) {
	for _, r := range h.site.Requests() {
		if r.Method == "GET" {
			reads++
		} else {
			writes++
		}
	}
	return reads, writes
}
