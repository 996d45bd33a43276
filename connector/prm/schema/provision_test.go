package schema_test

import (
	"net/http"
	"sync"
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

// prmSite is a site before provisioning: empty, or with press's own doctypes,
// roles and module.
func prmSite(t *testing.T, version, deployment string) *frappetest.Site {
	t.Helper()
	site := frappetest.New(t, frappetest.SiteOptions{Version: version, TimeZone: "Asia/Kolkata"})
	if deployment == "press" {
		if err := site.Install("press"); err != nil {
			t.Fatal(err)
		}
		site.AddRole("Partner Manager")
	}
	return site
}

// made holds what provisioning leaves, by version and deployment: a test that
// begins there need not provision first.
var made sync.Map

// provisioned is a site that was provisioned, and the client that did it.
func provisioned(t *testing.T, version, deployment string) (*frappetest.Site, *frappe.Client) {
	t.Helper()
	site := prmSite(t, version, deployment)
	c := provisioner(t, site)
	once, _ := made.LoadOrStore(version+deployment, sync.OnceValue(func() *frappetest.State {
		provision(t, c, deployment)
		return site.Snapshot()
	}))
	site.Restore(once.(func() *frappetest.State)())
	return site, c
}

var deployments = []string{"bare", "press"}

func TestASecondRunHasNothingToDo(t *testing.T) {
	t.Parallel()
	for _, version := range []string{frappetest.V14, frappetest.V15, frappetest.V16, frappetest.V16Later} {
		for _, deployment := range deployments {
			t.Run(version+"/"+deployment, func(t *testing.T) {
				t.Parallel()
				site := prmSite(t, version, deployment)
				site.KeepLog(true)
				c := provisioner(t, site)
				for _, i := range provision(t, c, deployment).Items {
					if i.Verb == schema.Cannot || i.Verb == schema.Left {
						t.Errorf("first run: %s", i)
					}
				}
				site.ResetRequests()
				for _, i := range provision(t, c, deployment).Items {
					if i.Verb != schema.Unchanged && i.Verb != schema.Skipped {
						t.Errorf("second run: %s", i)
					}
				}
				for _, r := range site.Requests() {
					if r.Method != http.MethodGet {
						t.Errorf("second run: %s %s", r.Method, r.Path)
					}
				}
			})
		}
	}
}
