package schema_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/prm/schema"
	"github.com/prmsync/prmsync/internal/frappetest"
)

// volatile keys differ between two sites that hold the same.
var volatile = []string{"name", "creation", "modified", "owner", "modified_by", "parent", "idx", "_liked_by"}

func lasting(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if !slices.Contains(volatile, k) && x != nil && x != "" {
				out[k] = lasting(x)
			}
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = lasting(x)
		}
		return out
	}
	return v
}

// stateOf is everything that provisioning makes, without what differs between
// two sites that hold the same.
func stateOf(site *frappetest.Site, deployment string) map[string]any {
	out := map[string]any{}
	for _, st := range schema.Load().For(deployment) {
		if site.Has(st.Doctype) {
			out[st.Doctype+" "+st.Name] = lasting(site.Doc(st.Doctype, st.Name))
			out["how many "+st.Doctype] = site.Count(st.Doctype)
		}
	}
	for _, p := range site.Docs("Custom DocPerm") {
		out[fmt.Sprint("right ", p["parent"], p["role"], p["permlevel"], p["if_owner"])] = lasting(p)
	}
	return out
}

// each runs a test for places from first to total, in two groups side by side:
// a finished test that ran in parallel by itself would keep its site until the
// last one ends.
func each(t *testing.T, name string, first, total int, test func(t *testing.T, n int)) {
	t.Helper()
	by := step(total)
	for group := range 2 {
		t.Run(fmt.Sprintf("%s/%d", name, group), func(t *testing.T) {
			t.Parallel()
			for n := first + group*by; n < total; n += 2 * by {
				t.Run(fmt.Sprintf("%d of %d", n, total), func(t *testing.T) { test(t, n) })
			}
		})
	}
}

// TestCutOffRunsEndTheSame stops a run after one request, for requests all over
// it, and starts it again.
func TestCutOffRunsEndTheSame(t *testing.T) {
	t.Parallel()
	for _, deployment := range deployments {
		whole := prmSite(t, frappetest.V15, deployment)
		whole.KeepLog(true)
		provision(t, provisioner(t, whole), deployment)
		total, want := len(whole.Requests()), stateOf(whole, deployment)
		each(t, deployment, 1, total, func(t *testing.T, n int) {
			site := prmSite(t, frappetest.V15, deployment)
			c := provisioner(t, site)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			site.AfterRequests(n, cancel)
			if _, err := schema.Provision(ctx, c, schema.Options{Deployment: deployment}); err == nil {
				t.Fatal("the run was not cut off")
			}
			res := provision(t, c, deployment)
			for _, i := range res.Items {
				if i.Verb == schema.Cannot || i.Verb == schema.Left {
					t.Errorf("resumed: %s", i)
				}
			}
			if diff := cmp.Diff(want, stateOf(site, deployment)); diff != "" {
				t.Errorf("differs from a run that was not cut off (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLostAnswersEndTheSame loses the answer of one write, for writes all over a
// run: what was made is found again, not made twice.
func TestLostAnswersEndTheSame(t *testing.T) {
	t.Parallel()
	for _, deployment := range deployments {
		whole := prmSite(t, frappetest.V15, deployment)
		whole.KeepLog(true)
		provision(t, provisioner(t, whole), deployment)
		want, writes := stateOf(whole, deployment), 0
		for _, r := range whole.Requests() {
			if r.Method != "GET" {
				writes++
			}
		}
		each(t, deployment, 0, writes, func(t *testing.T, n int) {
			site := prmSite(t, frappetest.V15, deployment)
			c := provisioner(t, site)
			for _, method := range []string{"POST", "PUT"} {
				site.Break(frappetest.Fault{Method: method, Path: "*", After: n, Times: 1, DropAnswer: true})
			}
			for try := 0; ; try++ {
				_, err := schema.Provision(t.Context(), c, schema.Options{Deployment: deployment})
				if err == nil {
					break
				}
				if try == 4 {
					t.Fatal(err)
				}
			}
			site.Heal()
			provision(t, c, deployment)
			if diff := cmp.Diff(want, stateOf(site, deployment)); diff != "" {
				t.Errorf("differs from a run that lost nothing (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAStepThatIsRefusedKeepsTheVersionBack: the schema's version stands for a
// whole run.
func TestAStepThatIsRefusedKeepsTheVersionBack(t *testing.T) {
	t.Parallel()
	site := frappetest.New(t)
	c := provisioner(t, site)
	heal := site.Break(frappetest.Fault{Method: "POST", Path: "/api/resource/Number Card", Status: 417, ExcType: "ValidationError", Times: 9})
	res := provision(t, c, "bare")
	heal()
	refused := 0
	for _, i := range res.Items {
		if i.Verb == schema.Cannot {
			refused++
			if !strings.Contains(i.Doctype, "Number Card") && i.Doctype != "PMM Sync Status" && i.Doctype != "Dashboard" && i.Doctype != "Workspace" {
				t.Errorf("also refused: %s", i)
			}
		}
	}
	if refused < 2 {
		t.Errorf("%d refused, want the card and the version", refused)
	}
	if v := site.Doc("PMM Sync Status", "PMM Sync Status")["schema_version"]; text(v) == schema.Load().Version {
		t.Error("the version was written although a step was refused")
	}
	provision(t, c, "bare")
	if v := site.Doc("PMM Sync Status", "PMM Sync Status")["schema_version"]; text(v) != schema.Load().Version {
		t.Errorf("the version is %v after all was settled", v)
	}
}

// TestAStepWaitsForWhatComesAfterIt: connections name fields of other doctypes,
// and people can delete those.
func TestAStepWaitsForWhatComesAfterIt(t *testing.T) {
	t.Parallel()
	site, c := provisioned(t, frappetest.V15, "bare")
	want := stateOf(site, "bare")
	if err := site.Delete("Custom Field", "Partner Audit-custom_pmm_partner"); err != nil {
		t.Fatal(err)
	}
	if err := site.SetSilently("DocType", "PMM Partner", map[string]any{"search_fields": ""}); err != nil {
		t.Fatal(err)
	}
	for _, i := range provision(t, c, "bare").Items {
		if i.Verb == schema.Cannot {
			t.Errorf("%s", i)
		}
	}
	if diff := cmp.Diff(want, stateOf(site, "bare")); diff != "" {
		t.Errorf("after one run (-want +got):\n%s", diff)
	}
}

// TestNoFormWithoutItsRole: the web form alone needs Website Manager.
func TestNoFormWithoutItsRole(t *testing.T) {
	t.Parallel()
	site := frappetest.New(t)
	c := clientOf(t, site, "p@prm.test", "System Manager", "Workspace Manager")
	if i := item(t, provision(t, c, "bare"), "Web Form", "raise-an-escalation"); i.Verb != schema.Skipped || !strings.Contains(i.Reason, "Website Manager") {
		t.Errorf("the form: %s", i)
	}
	if v := site.Doc("PMM Sync Status", "PMM Sync Status")["schema_version"]; text(v) != schema.Load().Version {
		t.Errorf("the version is %v, want all else to count as done", v)
	}
}
