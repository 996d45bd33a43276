package rules_test

import (
	"strings"
	"testing"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// An alert has room for 140 characters; both facts are in it, whatever they say.
func TestAlertSaysBothFacts(t *testing.T) {
	t.Parallel()
	long := func(word string) string { return word + strings.Repeat(" and so on", 30) }
	for _, tt := range [][2]string{
		{"It was dated 3 May.", "It was made on 9 June."},
		{long("FIRST"), "SECOND."},
		{"FIRST.", long("SECOND")},
		{long("FIRST"), long("SECOND")},
	} {
		s := rules.Signal{Subject: evidence.Ref{Doctype: "Task", Name: strings.Repeat("T", 5)}, Says: tt}
		got := s.Alert()
		if n := len([]rune(got)); n > 140 {
			t.Errorf("%d characters: %s", n, got)
		}
		for _, fact := range tt {
			if first, _, _ := strings.Cut(strings.TrimRight(fact, "."), " and"); !strings.Contains(got, first) {
				t.Errorf("%q lacks %q", got, first)
			}
		}
	}
	s := rules.Signal{Subject: evidence.Ref{Doctype: "Communication", Name: strings.Repeat("ü", 200)}, Says: [2]string{long("FIRST"), long("SECOND")}}
	if got := s.Alert(); len([]rune(got)) > 140 || !strings.Contains(got, "SECOND") {
		t.Errorf("a long name: %q", got)
	}
}
