package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/rules"
	"github.com/prmsync/prmsync/rules/plan"
)

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func none(string, string) (plan.Known, bool) { return plan.Known{}, false }

func knowing(records []plan.Record, written time.Time) plan.Lookup {
	m := map[string]plan.Known{}
	for _, r := range records {
		m[r.Doctype+"/"+r.Key] = plan.Known{Doctype: r.Doctype, Key: r.Key, Fields: r.Fields, Written: written}
	}
	return func(doctype, key string) (plan.Known, bool) {
		k, ok := m[doctype+"/"+key]
		return k, ok
	}
}

func input() plan.Input {
	return plan.Input{
		Now: now, Zone: time.UTC, Partner: plan.PartnerFacts{Key: "acme", Name: "Acme <b>& Co"},
		Sites: []plan.SiteFacts{{Key: "erp", URL: "https://erp.acme.example", Status: "Healthy", LastSuccess: now}},
		Assessments: []rules.Assessment{{
			Key: "acme-cont-2026w48", Partner: "acme", Kind: rules.Continuous, AsOf: now, LevelLow: 2, LevelHigh: 3,
			Verdicts: []rules.Verdict{{Criterion: "impl.followed", Level: 3, Severity: rules.SeverityNC, Outcome: rules.Met, Measured: "8 of 8"}},
		}},
	}
}

func TestWhatIsKnownIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	wanted := plan.Wanted(input())
	first := plan.Diff(wanted, none, now)
	if len(first) != len(wanted) {
		t.Fatalf("%d changes for %d unknown records", len(first), len(wanted))
	}
	if diff := cmp.Diff(first, plan.Diff(plan.Wanted(input()), none, now)); diff != "" {
		t.Errorf("planning twice differs:\n%s", diff)
	}
	if again := plan.Diff(wanted, knowing(wanted, now), now); len(again) != 0 {
		t.Errorf("%d changes where nothing changed: %+v", len(again), again)
	}
}

func TestNewsIsWrittenAtOnceFiguresDailyAndTheAgeHourly(t *testing.T) {
	t.Parallel()
	old := plan.Wanted(input())
	edit := func(f func(*plan.Input)) []plan.Record {
		in := input()
		f(&in)
		return plan.Wanted(in)
	}
	tests := []struct {
		name  string
		want  []plan.Record
		after time.Duration
		kinds []plan.Kind
	}{
		{
			name:  "a flipped outcome at once",
			want:  edit(func(in *plan.Input) { in.Assessments[0].Verdicts[0].Outcome = rules.NotMet }),
			kinds: []plan.Kind{plan.Measure, plan.Outcome}, after: 25 * time.Hour,
		},
		{
			name: "a figure alone waits for a day", after: 23 * time.Hour,
			want: edit(func(in *plan.Input) { in.Assessments[0].Verdicts[0].Measured = "9 of 9" }),
		},
		{
			name: "a figure alone after a day", after: 24 * time.Hour,
			want:  edit(func(in *plan.Input) { in.Assessments[0].Verdicts[0].Measured = "9 of 9" }),
			kinds: []plan.Kind{plan.Measure, plan.Measure},
		},
		{
			name: "the age of the data waits for an hour", after: 59 * time.Minute,
			want: edit(func(in *plan.Input) { in.Sites[0].LastSuccess = now.Add(time.Minute) }),
		},
		{
			name: "the age of the data after an hour", after: time.Hour,
			want:  edit(func(in *plan.Input) { in.Sites[0].LastSuccess = now.Add(time.Minute) }),
			kinds: []plan.Kind{plan.Heartbeat},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []plan.Kind
			for _, c := range plan.Diff(tt.want, knowing(old, now), now.Add(tt.after)) {
				got = append(got, c.Kind)
			}
			if diff := cmp.Diff(tt.kinds, got); diff != "" {
				t.Errorf("kinds of change (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTextsAreSafeBeforeTheyAreCompared(t *testing.T) {
	t.Parallel()
	for give, want := range map[string]string{
		"<script>x</script>":     "‹script›x‹/script›",
		"a & b \"c\" 'd'":        "a & b \"c\" 'd'",
		"a\n\tb  c\u202e":        "a b c",
		"bad \xff byte":          "bad � byte",
		strings.Repeat("é", 200): strings.Repeat("é", 139) + "…",
	} {
		if got := plan.Data(give); got != want {
			t.Errorf("Data(%q) = %q, want %q", give, got, want)
		}
		if again := plan.Data(plan.Data(give)); again != plan.Data(give) {
			t.Errorf("Data(%q) does not settle: %q", give, again)
		}
	}
}

func FuzzPlainSettles(f *testing.F) {
	for _, s := range []string{"", "<a>", "a\u202eb", "é…", strings.Repeat("x", 300), "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := plan.Data(s)
		if twice := plan.Data(once); twice != once {
			t.Errorf("Data(%q) = %q, then %q", s, once, twice)
		}
		if n := len([]rune(once)); n > 140 {
			t.Errorf("Data(%q) has %d characters", s, n)
		}
		if strings.ContainsAny(once, "<>\n") {
			t.Errorf("Data(%q) = %q keeps a tag or line end", s, once)
		}
	})
}

// MariaDB compares names without regard to case.
func TestEdge36NamesThatDifferByCase(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, site := range []string{"erp", "ERP", "Erp", "e rp", "e_rp", "ärp"} {
		k := plan.SiteKey("acme", site)
		if k != strings.ToLower(k) || len(k) > 140 {
			t.Errorf("%q has the key %q", site, k)
		}
		if other, ok := seen[strings.ToLower(k)]; ok {
			t.Errorf("%q and %q have the same key %q", site, other, k)
		}
		seen[strings.ToLower(k)] = site
	}
}
