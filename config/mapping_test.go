package config_test

import (
	"strings"
	"testing"

	"github.com/prmsync/prmsync/config"
)

func TestMeridiansMappingReads(t *testing.T) {
	t.Parallel()
	m, err := config.LoadMapping("testdata/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	brd := m.Evidence[config.KindSignOffBRD]
	if len(brd) != 2 || brd[0].Doctype != "Customer Acceptance" || brd[1].Doctype != "Task" {
		t.Fatalf("BRD sign-offs are tried in %+v, want Customer Acceptance, then Task", brd)
	}
	if got := brd[0].Where["docstatus"]; len(got) != 1 || got[0] != "1" {
		t.Errorf("docstatus condition = %q, want 1", got)
	}
	if r, ok := m.Evidence[config.KindSignOffInvoiceSchedule]; !ok || len(r) != 0 {
		t.Errorf("invoice schedule = %v, %t; want a kind that is named and switched off", r, ok)
	}
	if got := m.Evidence[config.KindReport][0].NoValue["value"]; len(got) != 1 || got[0] != "0" {
		t.Errorf("no_value = %q, want 0", got)
	}
}

func TestMappingMistakesAreNamedTogether(t *testing.T) {
	t.Parallel()
	_, err := config.ParseMapping("m.yaml", []byte(`evidence:
  sign_of.brd:
    - {doctype: Task}
  feedback.demo:
    - {doctype: Survey}
  report:
    - doctype: ""
      value: v
      metrics: {overdue: x}
  sign_off.uat:
    - {doctype: Task, proof: [scan]}
`))
	if err == nil {
		t.Fatal("no error for a wrong mapping")
	}
	for _, want := range []string{
		"sign_of.brd is not a kind of evidence", "m.yaml:5:", "a rating without value",
		"a rule without doctype", `"overdue" is not a metric id`, `proof "scan" is unknown`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestMappingMistakesOfFormAreNamedTogether(t *testing.T) {
	t.Parallel()
	_, err := config.ParseMapping("m.yaml", []byte(`evidence:
  handover:
    - doctyp: Event
      where: {status: Open}
  steering:
    - doctype: Event
      scale: abc
    - 5
  kick_off: Event
targets:
  satisfaction: high
`))
	want := strings.Join([]string{
		`m.yaml:3:7: unknown field "doctyp"`,
		`m.yaml:7:14: it must be a number, not a text`,
		`m.yaml:8:7: it must be a map`,
		`m.yaml:9:13: it must be a list`,
		`m.yaml:11:17: it must be a number, not a text`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestLike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"Kick-off*", "kick-off Kranz", true},
		{"Kick-off*", "A kick-off", false},
		{"*sign*", "Design.pdf", true},
		{"a*b*c", "aXbYc", true},
		{"a*bc*c", "abc", false},
		{"", "", true},
		{"*", "", true},
	} {
		if got := config.Like(tt.pattern, tt.text); got != tt.want {
			t.Errorf("Like(%q, %q) = %t, want %t", tt.pattern, tt.text, got, tt.want)
		}
	}
}
