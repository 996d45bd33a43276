package partnersite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/partnersite"
)

// metasOf reads the metas of doctypes from the sample site.
func metasOf(b *bench, doctypes ...string) map[string]*frappe.Meta {
	b.t.Helper()
	client, err := frappe.New(frappe.Config{URL: b.site.URL(), Key: frappe.Secret(b.key), Secret: frappe.Secret(b.secret), ReadOnly: true, AllowPrivateNetwork: true})
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	out := map[string]*frappe.Meta{}
	for _, d := range doctypes {
		m, err := client.Meta(b.t.Context(), d)
		if c := frappe.CategoryOf(err); err != nil && c != frappe.Forbidden && c != frappe.NotFound {
			b.t.Fatal(err)
		}
		out[d] = m
	}
	return out
}

func mapping(t testing.TB, text string) config.Mapping {
	t.Helper()
	m, err := config.ParseMapping("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMeridiansMappingFitsItsSite(t *testing.T) {
	t.Parallel()
	b := served(t)
	m := meridianMapping(t)
	for _, p := range partnersite.CheckMapping(m, metasOf(b, m.Doctypes()...)) {
		t.Error(p)
	}
}

func TestDefaultsFitAStockSite(t *testing.T) {
	t.Parallel()
	b := served(t)
	m := partnersite.DefaultMapping(map[string]string{"frappe": "15.72.4", "erpnext": "15.71.1", "hrms": "15.47.8"})
	for _, p := range partnersite.CheckMapping(m, metasOf(b, m.Doctypes()...)) {
		t.Error(p)
	}
	for _, d := range m.Doctypes() {
		if strings.HasPrefix(d, "HD ") || strings.HasPrefix(d, "CRM ") {
			t.Errorf("the defaults of a site without the app name %s", d)
		}
	}
	m = partnersite.DefaultMapping(map[string]string{"frappe": "15.72.4", "helpdesk": "1.14.0", "crm": "2.0.0"})
	if d := m.Evidence[config.KindTicket]; len(d) != 1 || d[0].Doctype != "HD Ticket" {
		t.Errorf("tickets of a Helpdesk site: %+v", d)
	}
	if d := m.Evidence[config.KindDeal]; len(d) != 1 || d[0].Doctype != "CRM Deal" {
		t.Errorf("deals of a CRM site: %+v", d)
	}
}

func TestProblemsAConsultantUnderstands(t *testing.T) {
	t.Parallel()
	b := served(t)
	for _, tt := range []struct{ name, give, want string }{
		{"a typing mistake", "kick_off: [{doctype: Task, where: {typ: Kick-off}}]", "kick_off: Task has no field `typ`; did you mean `type`?"},
		{"a label for a name", "kick_off: [{doctype: Task, date: Completed On}]", "kick_off: Task has no field `Completed On`; the field labelled `Completed On` is called `completed_on`"},
		{"no such doctype", "kick_off: [{doctype: Taks}]", "kick_off: the site has no doctype `Taks`; did you mean `Task`?"},
		{"a child table", "kick_off: [{doctype: Event Participants}]", "kick_off: `Event Participants` is a child table and has no list of its own; name the doctype that holds it, and reach into it with `table_field.field`"},
		{"a field of a child table", "report: [{doctype: Quality Review, value: reviews.reviw}]", "report: the rows in `reviews` of Quality Review have no field `reviw`; did you mean `review`?"},
		{"no table before the dot", "report: [{doctype: Quality Review, value: goal.review}]", "report: `goal` of Quality Review is no child table but Link; leave out what stands behind the dot, or name the table field"},
		{"an option that is none", "kick_off: [{doctype: Task, done: {status: Complete}}]", "kick_off: the field `status` of `Task` never holds `Complete`; did you mean `Completed`? its options are Open, Working, Pending Review, Overdue, Template, Completed, Cancelled"},
		{"no way to the project", "sign_off.brd: [{doctype: Quotation}]", "sign_off.brd: `Quotation` has no field `project`, so nothing found there belongs to a project; add `project:` with the field that names the project"},
		{"a date that is none", "kick_off: [{doctype: Task, date: type}]", "kick_off: the field `type` of `Task` is no date but Link; name a Date or Datetime field"},
		{"a rating without scale", "feedback.ticket: [{doctype: Issue, value: custom_stars}]", "feedback.ticket: `custom_stars` of `Issue` is a Rating, which Frappe keeps as 0 to 1; add `scale: 5` to get stars"},
		{"a figure that is none", "report: [{doctype: Weekly Metric, value: metric}]", ""},
		{"a proof that is no document", "sign_off.brd: [{doctype: Customer Acceptance, proof: ['field:decision']}]", "sign_off.brd: the field `decision` of `Customer Acceptance` holds no document: it is Select; name an Attach field"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mapping(t, "evidence:\n  "+tt.give+"\n")
			asked := metasOf(b, append(m.Doctypes(), "Task", "Event")...)
			var got []string
			for _, p := range partnersite.CheckMapping(m, asked) {
				got = append(got, p.String())
			}
			if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Contains(got, tt.want) {
				t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), tt.want)
			}
		})
	}
}

func TestAProposalFindsWhatThePartnerDeclares(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"reader", "export"} {
		b := served(t)
		b.key, b.secret = "meridian-"+who, "meridian-"+who+"-secret"
		b.opts.Mapping = config.Mapping{}
		b.open()
		text, err := b.reader.SuggestMapping(t.Context())
		must(t, err)
		m := mapping(t, text)
		want := map[config.Kind]string{
			config.KindSignOffBRD: "Customer Acceptance", config.KindSignOffGoLive: "Customer Acceptance", config.KindTicketFeedback: "Issue", config.KindBANT: "Lead", config.KindEstimate: "Quotation",
			config.KindKickOff: "Task", config.KindHandover: "Task", config.KindToSupport: "Task", config.KindReport: "Weekly Metric",
		}
		if who == "export" { // may list the doctypes; nothing that the reader sees speaks of this one
			want[config.KindSatisfaction], want[config.KindDemoFeedback], want[config.KindSalesFeedback] = "Customer Survey", "Customer Survey", "Customer Survey"
		}
		for kind, doctype := range want {
			if !slices.ContainsFunc(m.Evidence[kind], func(r config.Rule) bool { return r.Doctype == doctype }) {
				t.Errorf("%s: %s is not proposed in %s:\n%s", who, kind, doctype, text)
			}
		}
		for _, p := range partnersite.CheckMapping(m, metasOf(b, m.Doctypes()...)) {
			t.Errorf("%s: the proposal does not fit its own site: %s", who, p)
		}
		if again, _ := b.reader.SuggestMapping(t.Context()); again != text {
			t.Errorf("%s: a second proposal differs", who)
		}
	}
}

// Names that are hostile to YAML come back as they went in.
func TestAProposalSurvivesOddNames(t *testing.T) {
	t.Parallel()
	odd := "No: \"it's\" {[#&*!|>%@`\nUAT sign-off 日本"
	text := partnersite.SuggestMapping(partnersite.Clues{TaskTypes: []string{odd, "UAT Sign-off"}})
	m := mapping(t, text)
	if r := m.Evidence[config.KindSignOffUAT]; len(r) != 2 || r[0].Where["type"][0] != strings.ReplaceAll(odd, "\n", " ") {
		t.Errorf("rules %+v from\n%s", r, text)
	}
	if got := partnersite.SuggestMapping(partnersite.Clues{}); len(mapping(t, got).Evidence) != 0 {
		t.Errorf("nothing found, yet proposed:\n%s", got)
	}
}
