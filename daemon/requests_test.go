package daemon_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/rules/plan"
)

// A first sync costs a partner no more than twelve requests, reads included.
func TestAFirstSyncIsCheap(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, crowdSize, aPack)
	c.once(0)
	a := c.taken()
	if each := float64(a.reads+a.writes+a.many) / float64(len(c.keys)); each > 12 {
		t.Errorf("%.1f requests a partner: %v", each, a)
	} else {
		t.Logf("%.1f requests a partner: %v", each, a)
	}
	c.stands()
	c.inOrder()
}

// Without news nothing is written but, once an hour, that the sites still
// answer; and no more than three requests a partner are spent to learn it.
func TestACycleWithoutNewsWritesHeartbeatsAlone(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 20, aPack)
	c.once(0)
	c.once(15 * time.Minute) // sees what the first one wrote
	c.taken()
	for i := range 8 { // two hours
		c.once(15 * time.Minute)
		a := c.taken()
		t.Logf("after %d minutes: %v", 15*(i+2), a)
		if a.reads > 3*len(c.keys) {
			t.Errorf("after %d minutes: %v of %d partners", 15*(i+2), a, len(c.keys))
		}
		for doctype, n := range a.of {
			beats := doctype == plan.DoctypeSite && n == len(c.keys) || doctype == plan.DoctypeStatus && n == 1
			if !beats || (i+2)%4 != 0 {
				t.Errorf("after %d minutes: %v", 15*(i+2), a)
			}
		}
	}
}

// A verdict that flips costs its partner three writes and one insert_many at
// most, the others none.
func TestOneFlippedVerdictCostsThreeWrites(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 10, aPack)
	c.once(0)
	c.once(15 * time.Minute)
	c.taken()
	c.judge.flip(c.keys[4], 0)
	c.once(15 * time.Minute)
	a := c.taken()
	t.Log(a)
	if a.writes > 3 || a.many > 1 || a.of[plan.DoctypeAssessment] != 1 {
		t.Errorf("one verdict flipped: %v", a)
	}
	for doc := range a.docs {
		if !strings.Contains(doc, c.keys[4]) {
			t.Errorf("%s was written for a verdict of %s", doc, c.keys[4])
		}
	}
	c.stands()
}

// A whole day on which figures and explanations move with every cycle, and no
// verdict does, writes no form that people have open more than once.
func TestAQuietDayWritesEachFormOnce(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 2, aPack)
	c.once(0)
	c.taken()
	written := map[string]int{}
	for i := range 96 {
		for _, k := range c.keys {
			c.judge.say(k, fmt.Sprint("figure ", i))
		}
		c.once(15 * time.Minute)
		for doc, n := range c.taken().docs {
			written[doc] += n
		}
	}
	forms := 0
	for doc, n := range written {
		doctype, _, _ := strings.Cut(doc, "/")
		switch doctype {
		case plan.DoctypePartner, plan.DoctypeAssessment:
			forms++
			if n > 1 {
				t.Errorf("%s was written %d times in a quiet day", doc, n)
			}
		case plan.DoctypeSite, plan.DoctypeStatus:
			if n > 24 {
				t.Errorf("%s was written %d times in a day, want once an hour at most", doc, n)
			}
		}
	}
	if forms == 0 {
		t.Errorf("nothing was written in a day: %v", written)
	}
}

// Text that Frappe would store otherwise than it was sent settles at once.
func TestAnyTextSettles(t *testing.T) {
	t.Parallel()
	texts := []string{
		`<b>late</b> <script>alert(1)</script> <img src=x onerror=y>`,
		`R&D &amp; sales &lt;b&gt; &nbsp;`,
		`"no" it's 'so' “quoted” \" \\`,
		"two\n\nlines\tand  a tab \u00a0 and\r\nmore  ",
		strings.Repeat("äß… ", 400),
		"half a \xc3 rune, a NUL \x00 and \u202eright to left",
		`=HYPERLINK("http://x") {{ frappe.session }} {% raw %}`,
		" ",
		`[{"a": 1}]`,
	}
	c := newCrowd(t, len(texts), aPack)
	for i, k := range c.keys {
		c.judge.say(k, texts[i])
		c.judge.flip(k, 3)
	}
	c.once(0)
	c.stands()
	for _, k := range c.keys {
		c.judge.flip(k, 4) // as a change it settles too
	}
	c.once(time.Hour)
	c.stands()
}
