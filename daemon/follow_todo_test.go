package daemon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/programme"
)

// Where NCs are proposed, the findings of a completed audit become one ToDo for
// its auditor, else for the partner's manager: once, and not again when closed.
func TestFindingsToDecideAreAToDo(t *testing.T) {
	t.Parallel()
	for auditor, want := range map[string]string{"": "manager@prm.test", "olga@prm.test": "olga@prm.test"} {
		t.Run("auditor "+auditor, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, programme.Policy{})
			l.site.AddUser("olga@prm.test", "PMM Auditor")
			l.person("PMM Partner", "vale", map[string]any{"partner_manager": "manager@prm.test"})
			l.judge.set("impl.followed", rules.NotMet)
			l.judge.set("impl.cadence", rules.NotMet)
			audit := l.create("Partner Audit", map[string]any{
				"partner_team": "vale", "custom_pmm_partner": "vale", "custom_kind": "PMM", "custom_pmm_level": "4", "status": "Scheduled", "audit_date": "2026-10-02", "mode_of_audit": "Online",
			})
			if auditor != "" {
				l.person("Partner Audit", audit, map[string]any{"conducted_by": auditor})
			}
			todos := func() (out []map[string]any) {
				for _, d := range l.site.Docs("ToDo") {
					if d["reference_name"] == audit {
						out = append(out, d)
					}
				}
				return out
			}
			l.on("2026-10-02")
			if len(todos()) != 0 {
				t.Error("a ToDo before the audit")
			}
			l.person("Partner Audit", audit, map[string]any{"status": "In Progress", "custom_founder_present": 1, "custom_sales_present": 1, "custom_implementation_present": 1, "custom_support_present": 1})
			l.cycle()
			l.person("Partner Audit", audit, map[string]any{"status": "Completed"})
			l.on("2026-10-03")
			got := todos()
			if len(got) != 1 || got[0]["allocated_to"] != want || !strings.Contains(fmt.Sprint(got[0]["description"]), "2 findings wait for a decision") ||
				!strings.Contains(fmt.Sprint(got[0]["description"]), "measured 1 of 2; expected 2 of 2") {
				t.Fatalf("ToDos %v, want one of %s", got, want)
			}
			l.start()
			l.on("2026-10-04")
			if err := l.site.Set("ToDo", fmt.Sprint(got[0]["name"]), map[string]any{"status": "Closed"}); err != nil {
				t.Fatal(err)
			}
			l.on("2026-10-05")
			l.on("2026-10-20")
			if n := len(todos()); n != 1 {
				t.Errorf("%d ToDos at the end: who closed it gets it again", n)
			}
			if n := len(l.names("Partner Non Conformance")); n != 0 {
				t.Errorf("%d NCs were raised although they are to be proposed", n)
			}
		})
	}
}
