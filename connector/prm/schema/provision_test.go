package schema_test

import (
	"context"
	"testing"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
)

func provisioner(t *testing.T, site *frappetest.Site) *frappe.Client {
	t.Helper()
	key, secret := site.AddUser("provision@prm.test", "System Manager", "Workspace Manager", "Website Manager")
	c, err := frappe.New(frappe.Config{URL: site.URL(), Key: frappe.Secret(key), Secret: frappe.Secret(secret), AllowPrivateNetwork: true, ServerSeconds: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestASecondRunHasNothingToDo(t *testing.T) {
	t.Parallel()
	for _, version := range []string{frappetest.V14, frappetest.V15, frappetest.V16, frappetest.V16Later} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			site := frappetest.New(t, frappetest.SiteOptions{Version: version})
			c := provisioner(t, site)
			first, err := schema.Provision(context.Background(), c, schema.Options{Deployment: "bare"})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range first.Items {
				if i.Verb == schema.Cannot {
					t.Errorf("first run: %s", i)
				}
			}
			second, err := schema.Provision(context.Background(), c, schema.Options{Deployment: "bare"})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range second.Items {
				if i.Verb != schema.Unchanged && i.Verb != schema.Skipped {
					t.Errorf("second run: %s", i)
				}
			}
		})
	}
}
