package partnersite_test

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
)

// Whatever text a site puts where people, figures, dates, addresses or its own
// versions stand: it stays short and valid, and nothing is made up from it.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{
		"", "75 %", "<p>4,33</p>", "KW 45/2026", "2026-11-09 10:00:00", "a < b <i>c", "&#x110000;&lt;", "9999-12-31", "\xff\xfe",
		`{"changed":[["exp_end_date","16.11.2026","2026-11-17"]],"row_changed":[["t",0,"r",[["f","1","2"]]]],"added":[["t",{}]]}`,
		"Ann <ann@acme.example>, b@c", `["a@b"]`, "QA-MEET-26-11-09", "1.234,5 -7 CW 3",
	} {
		f.Add(s)
	}
	mapping, err := config.ParseMapping("m", []byte(`evidence:
  report: [{doctype: R, period: text, value: text, target: text, metrics: {support.metric.sla: x}}, {doctype: R, date: text, value: rows.text, metrics: {impl.metric.overdue_pct: x}}]
  all_hands: [{doctype: R, date: name}]
  feedback.demo: [{doctype: R, date: text, value: text, scale: 5}]
  sign_off.brd: [{doctype: R, date: text, proof: [mail, "field:text"], done: {text: "*"}}]
  ticket: [{doctype: Issue}]`))
	if err != nil {
		f.Fatal(err)
	}
	asOf := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		record := func(doctype string, fields doc) evidence.Document {
			return evidence.Document{
				Ref: evidence.Ref{Doctype: doctype, Name: text, Created: asOf.AddDate(0, 0, -9), Modified: asOf.AddDate(0, 0, -9), Seen: asOf}, Fields: fields,
			}
		}
		rows := []any{doc{"text": text, "task": text, "review": text, "workday": text, "email_id": text}}
		s := partnersite.Assemble(partnersite.AssembleInput{Partner: "p", AsOf: asOf, MailDomains: []string{"p.example"}, Sites: []partnersite.SiteInput{{
			Site: evidence.Site{Key: "erp", Zone: "Europe/Berlin"}, DateFormat: "dd.mm.yyyy", Mapping: mapping,
			Documents: []evidence.Document{
				record("R", doc{"text": text, "rows": rows, "project": text}),
				record("Task", doc{"subject": text, "exp_end_date": text, "status": text, "_assign": text, "depends_on": rows, "parent_task": text}),
				record("Issue", doc{"subject": text, "opening_date": text, "opening_time": text, "first_responded_on": text, "service_level_agreement": text, "total_hold_time": text}),
				record("Communication", doc{"subject": text, "sender": text, "recipients": text, "communication_date": text, "reference_doctype": "R", "reference_name": text}),
				record("Version", doc{"ref_doctype": "Task", "docname": text, "data": text}),
				record("Deleted Document", doc{"deleted_doctype": text, "deleted_name": text, "data": text}),
				record("Service Level Agreement", doc{"support_and_resolution": rows, "enabled": text}),
				record("Contact", doc{"email_id": text, "email_ids": rows}),
			},
		}}})
		if _, err := s.Digest(); err != nil {
			t.Fatal(err)
		}
		short := func(what, got string) {
			if utf8.RuneCountInString(got) > 140 || !utf8.ValidString(got) {
				t.Fatalf("%s: %d runes, valid %t", what, utf8.RuneCountInString(got), utf8.ValidString(got))
			}
		}
		sane := func(what string, d evidence.Date) {
			if !d.IsZero() && (d.Year < 1900 || d.Year > 2200 || d != evidence.NewDate(d.Year, d.Month, d.Day)) {
				t.Fatalf("%s: %v", what, d)
			}
		}
		for _, v := range s.Tasks {
			short("subject", v.Subject)
			short("status", v.Status)
			sane("due", v.Due)
		}
		for _, v := range s.Messages {
			short("subject", v.Subject)
		}
		for _, v := range s.Changes {
			short("from", v.From)
			short("to", v.To)
		}
		for _, v := range s.Reports {
			sane("reported", v.On)
			if v.Value-v.Value != 0 || v.Target-v.Target != 0 {
				t.Fatalf("figure %v, target %v", v.Value, v.Target)
			}
		}
		for _, v := range s.Feedback {
			if v.Stars < 0 || v.Stars > 5 {
				t.Fatalf("%v stars", v.Stars)
			}
		}
		for _, v := range s.SignOffs {
			sane("signed", v.On)
			if v.Done && v.On.After(evidence.NewDate(2026, 11, 20)) {
				t.Fatalf("signed in the future: %v", v.On)
			}
		}
	})
}
