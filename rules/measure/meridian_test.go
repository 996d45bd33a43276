package measure_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// row is one document as its site answered it.
type row map[string]any

func (r row) str(f string) string { s, _ := r[f].(string); return s }
func (r row) num(f string) float64 {
	n, _ := r[f].(float64)
	return n
}
func (r row) is(f string) bool { return r.num(f) == 1 }
func (r row) rows(f string) (out []row) {
	list, _ := r[f].([]any)
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func read(t testing.TB, doctype string) (out []row) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "meridian", doctype+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var r row
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", doctype, err)
		}
		out = append(out, r)
	}
	return out
}

func berlin(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func meridianAsOf(t testing.TB) time.Time {
	return time.Date(2026, 11, 20, 18, 0, 0, 0, berlin(t)).UTC()
}

// meridian reads Meridian's documents straight into evidence, by the site's
// mapping written out by hand, so that the figures do not rest on the code that
// reads sites.
func meridian(t testing.TB) *evidence.Snapshot {
	t.Helper()
	loc := berlin(t)
	asOf := meridianAsOf(t)
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		v, err := time.ParseInLocation("2006-01-02 15:04:05", s, loc)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	date := func(s string) evidence.Date {
		d, err := evidence.ParseDate(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ref := func(r row) evidence.Ref {
		return evidence.Ref{Site: "erp", Doctype: r.str("doctype"), Name: r.str("name"), Created: at(r.str("creation")), Modified: at(r.str("modified")), Owner: r.str("owner"), Seen: asOf}
	}
	clock := func(s string) int {
		p := strings.Split(s, ":")
		h, _ := strconv.Atoi(p[0])
		m, _ := strconv.Atoi(p[1])
		return 60*h + m
	}
	s := &evidence.Snapshot{Partner: "meridian", AsOf: asOf, Zone: "Europe/Berlin", Sites: []evidence.Site{{Key: "erp", URL: "https://erp.meridian.example", Zone: "Europe/Berlin"}}}
	s.Channels = map[string]evidence.Channel{
		"report":                {Mapped: true, Authoritative: true, Streams: []string{"Weekly Metric", "Quality Review"}},
		"ticket":                {Mapped: true, Authoritative: true, Streams: []string{"Issue"}},
		"deal":                  {Mapped: true, Authoritative: true, Streams: []string{"Quotation"}},
		"feedback.satisfaction": {Mapped: true, Authoritative: true, Streams: []string{"Customer Survey"}},
		"feedback.demo":         {Mapped: true, Authoritative: true, Streams: []string{"Customer Survey"}},
		"feedback.sales":        {Mapped: true, Authoritative: true, Streams: []string{"Customer Survey"}},
		"training.consultant":   {Mapped: true, Authoritative: true, Streams: []string{"Training Event"}},
	}
	for _, r := range read(t, "Project") {
		s.Projects = append(s.Projects, evidence.Project{
			Ref: ref(r), Title: r.str("project_name"), Status: r.str("status"), Customer: r.str("customer"),
			Internal: r.str("project_type") == "Internal", Type: r.str("project_type"), SalesOrder: r.str("sales_order"),
		})
	}
	for _, r := range read(t, "Task") {
		task := evidence.Task{
			Ref: ref(r), Project: r.str("project"), Subject: r.str("subject"), Type: r.str("type"), Status: r.str("status"),
			Group: r.is("is_group"), Template: r.is("is_template"), Due: date(r.str("exp_end_date")),
			Completed: date(r.str("completed_on")), Review: date(r.str("review_date")),
		}
		s.Tasks = append(s.Tasks, task)
		done := task.Status == "Completed"
		switch task.Type {
		case "Go-live Sign-off":
			s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: task.Ref, Project: task.Project, Kind: evidence.SignOffGoLive, Done: done, On: task.Completed})
		case "Handover to Support":
			s.Meetings = append(s.Meetings, evidence.Meeting{Ref: task.Ref, Kind: evidence.MeetingHandoverToSupport, Project: task.Project, On: task.Completed, Held: done})
		}
	}
	for _, r := range read(t, "Issue") {
		s.Tickets = append(s.Tickets, evidence.Ticket{
			Ref: ref(r), Subject: r.str("subject"), Status: r.str("status"), Priority: r.str("priority"),
			Closed: r.str("status") == "Closed" || r.str("status") == "Resolved",
			OnHold: r.str("status") == "Replied" || r.str("status") == "On Hold",
			Opened: at(r.str("creation")), FirstResponse: at(r.str("first_responded_on")), ResponseDue: at(r.str("response_by")),
			Resolved: at(r.str("sla_resolution_date")), ResolutionDue: at(r.str("sla_resolution_by")),
			Hold:      time.Duration(r.num("total_hold_time")) * time.Second,
			Agreement: r.str("service_level_agreement"), AgreementStatus: r.str("agreement_status"),
			Stars: 5 * r.num("custom_stars"), Rated: r.num("custom_stars") > 0,
		})
	}
	for _, r := range read(t, "Service Level Agreement") {
		a := evidence.Agreement{Ref: ref(r), Doctype: r.str("document_type"), Enabled: r.is("enabled"), Default: r.is("default_service_level_agreement"), HolidayList: r.str("holiday_list")}
		for _, d := range r.rows("support_and_resolution") {
			for w := range 7 {
				if time.Weekday(w).String() == d.str("workday") {
					a.Hours[w] = append(a.Hours[w], evidence.Hours{From: clock(d.str("start_time")), To: clock(d.str("end_time"))})
				}
			}
		}
		for _, p := range r.rows("priorities") {
			a.Priorities = append(a.Priorities, evidence.AgreementPriority{
				Priority: p.str("priority"), Response: time.Duration(p.num("response_time")) * time.Second,
				Resolution: time.Duration(p.num("resolution_time")) * time.Second,
			})
		}
		s.Agreements = append(s.Agreements, a)
	}
	for _, r := range read(t, "Holiday List") {
		c := evidence.Calendar{Ref: ref(r), From: date(r.str("from_date")), To: date(r.str("to_date")), Default: true}
		for _, h := range r.rows("holidays") {
			c.Holidays = append(c.Holidays, date(h.str("holiday_date")))
		}
		slices.SortFunc(c.Holidays, evidence.Date.Compare)
		s.Calendars = append(s.Calendars, c)
	}
	metric := map[string]string{
		"Overdue tasks (%)": measure.OverduePct, "Conversion (%)": measure.Conversion, "Demo rating": measure.DemoFeedback,
		"Deal rating": measure.SalesFeedback, "SLA fulfilled (%)": measure.SLA, "Ticket rating": measure.TicketFeedback,
	}
	for _, r := range read(t, "Weekly Metric") {
		w, err := evidence.ParseWeek(r.str("week"))
		if err != nil {
			t.Fatal(err)
		}
		s.Reports = append(s.Reports, evidence.MetricReport{
			Ref: ref(r), Metric: metric[r.str("metric")], Period: evidence.Period{Week: w}, Value: r.num("value"),
			HasValue: r.str("remark") != "Nothing to report this week", On: evidence.DateIn(at(r.str("creation")), loc),
		})
	}
	goal := map[string]string{
		"Tickets within SLA": measure.SLA, "Satisfied project customers": measure.Satisfaction,
		"Go-live to support, days": measure.SupportTAT, "Joining to ready, days": measure.ReadyTAT,
	}
	number := regexp.MustCompile(`\d+(\.\d+)?`)
	for _, r := range read(t, "Quality Review") {
		on := date(r.str("date"))
		rep := evidence.MetricReport{Ref: ref(r), Metric: goal[r.str("goal")], On: on}
		if rep.Metric == measure.SLA {
			rep.Period.Week = on.Week().Add(-1)
		} else {
			rep.Period.Month = on.YearMonth().Add(-1)
		}
		for _, o := range r.rows("reviews") {
			if n := number.FindString(o.str("review")); n != "" {
				rep.Value, _ = strconv.ParseFloat(n, 64)
				rep.HasValue = true
			}
			if n := number.FindString(o.str("target")); n != "" {
				rep.Target, _ = strconv.ParseFloat(n, 64)
				rep.HasTarget = true
			}
		}
		s.Reports = append(s.Reports, rep)
	}
	orders := make(map[string]evidence.Date)
	for _, r := range read(t, "Sales Order") {
		if r.num("docstatus") != 1 {
			continue
		}
		for _, i := range r.rows("items") {
			q, on := i.str("prevdoc_docname"), date(r.str("transaction_date"))
			if have, ok := orders[q]; q != "" && (!ok || on.Before(have)) {
				orders[q] = on
			}
		}
	}
	for _, r := range read(t, "Quotation") {
		q := evidence.Quotation{
			Ref: ref(r), Deal: r.str("opportunity"), Status: r.str("status"), Submitted: r.num("docstatus") == 1, Cancelled: r.num("docstatus") == 2,
			On: date(r.str("transaction_date")), Won: orders[r.str("name")],
		}
		if q.Status == "Lost" {
			q.Lost = evidence.DateIn(at(r.str("modified")), loc)
		}
		s.Quotations = append(s.Quotations, q)
	}
	received, sent := make(map[string]time.Time), make(map[string]time.Time)
	for _, r := range read(t, "Communication") {
		into := sent
		if r.str("sent_or_received") == "Received" {
			into = received
		}
		l, when := r.str("reference_name"), at(r.str("communication_date"))
		if have, ok := into[l]; !ok || when.Before(have) {
			into[l] = when
		}
	}
	for _, r := range read(t, "Lead") {
		s.Leads = append(s.Leads, evidence.Lead{Ref: ref(r), Received: received[r.str("name")], FirstResponse: sent[r.str("name")]})
	}
	kind := map[string]evidence.FeedbackKind{"Project": evidence.FeedbackSatisfaction, "Demo": evidence.FeedbackDemo, "Deal": evidence.FeedbackSales}
	for _, r := range read(t, "Customer Survey") {
		s.Feedback = append(s.Feedback, evidence.Feedback{
			Ref: ref(r), Kind: kind[r.str("occasion")], Project: r.str("project"), Quotation: r.str("quotation"),
			On: date(r.str("answered_on")), Stars: 5 * r.num("stars"), Rated: r.num("stars") > 0,
		})
	}
	for _, r := range read(t, "Customer Acceptance") {
		if r.str("phase") == "Go-live" {
			s.SignOffs = append(s.SignOffs, evidence.SignOff{Ref: ref(r), Project: r.str("project"), Kind: evidence.SignOffGoLive, Done: r.str("decision") == "Accepted", On: evidence.DateIn(at(r.str("decided_on")), loc)})
		}
	}
	for _, r := range read(t, "Training Event") {
		tr := evidence.Training{Ref: ref(r), Title: r.str("event_name"), Held: r.str("event_status") == "Completed", On: date(r.str("end_time"))}
		if strings.HasPrefix(tr.Title, "ERP consultant course") {
			tr.Kinds = []string{"training.consultant"}
		}
		for _, e := range r.rows("employees") {
			if e.str("attendance") == "Present" {
				tr.Present = append(tr.Present, e.str("employee"))
			} else {
				tr.Absent = append(tr.Absent, e.str("employee"))
			}
		}
		s.Trainings = append(s.Trainings, tr)
	}
	for _, r := range read(t, "Employee") {
		s.People = append(s.People, evidence.Person{
			Ref: ref(r), User: r.str("user_id"), Designation: r.str("designation"), Joined: date(r.str("date_of_joining")),
			Left: date(r.str("relieving_date")), Active: r.str("status") == "Active",
		})
	}
	for _, r := range read(t, "Version") {
		var data struct{ Changed [][]any }
		if err := json.Unmarshal([]byte(r.str("data")), &data); err != nil {
			t.Fatal(err)
		}
		iso := func(v any) string { // the site shows dates as dd.mm.yyyy
			d, err := time.Parse("02.01.2006", toText(v))
			if err != nil {
				return ""
			}
			return d.Format(time.DateOnly)
		}
		for _, c := range data.Changed {
			if len(c) == 3 && c[0] == "exp_end_date" {
				s.Changes = append(s.Changes, evidence.Change{
					Ref:   evidence.Ref{Site: "erp", Doctype: r.str("ref_doctype"), Name: r.str("docname")},
					Field: "exp_end_date", From: iso(c[1]), To: iso(c[2]), At: at(r.str("creation")), By: r.str("owner"),
				})
			}
		}
	}
	return s
}

func toText(v any) string { s, _ := v.(string); return s }

// expected holds the figures that were computed from the tables the site was
// made from.
type expected struct {
	Overdue      map[string]expectedOverdue `json:"overdue_pct"`
	WithVersions map[string]expectedOverdue `json:"overdue_pct_with_versions"`
	Tickets      map[string]struct {
		With    int `json:"resolved_with_sla"`
		Without int `json:"resolved_without_sla"`
		Strict  expectedRatio
		ERPNext expectedRatio
		Rated   int
		Rating  float64
	}
	Sales map[string]struct {
		Won, Lost  int
		Conversion float64
		DemosRated int      `json:"demos_rated"`
		DemoRating *float64 `json:"demo_rating"`
		DealsRated int      `json:"deals_rated"`
		DealRating *float64 `json:"deal_rating"`
	}
	Conversion12 struct {
		Won, Lost int
		Value     float64
	} `json:"conversion_12_weeks"`
	Satisfaction map[string]struct {
		N        int
		Stars    float64
		Projects map[string]float64
	}
	TAT      map[string]map[string]float64 `json:"implementation_to_support_days"`
	Ready    map[string]map[string]float64 `json:"joining_to_ready_days"`
	NotReady []struct {
		Days float64 `json:"days_since_joining"`
	} `json:"not_ready"`
	Lead struct {
		Enquiries, Answered int
		InTime              int     `json:"in_time"`
		OfAnswered          float64 `json:"value_of_answered"`
		OfAll               float64 `json:"value_of_all"`
		Hours               []*float64
	} `json:"lead_response"`
}

type expectedRatio struct {
	Numerator, Denominator, Value float64
	WithoutEndDate                float64 `json:"without_end_date"`
}

type expectedOverdue struct {
	Total    expectedRatio
	Projects map[string]expectedRatio
}

func readExpected(t testing.TB) (e expected) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "meridian", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// find returns the one value of the metric, period and project (by title).
func find(t testing.TB, values []measure.Value, metric, period, title string) measure.Value {
	t.Helper()
	var found []measure.Value
	for _, v := range values {
		if v.Metric == metric && v.Period.String() == period && v.Title == title {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s %s %q: %d values, want one", metric, period, title, len(found))
	}
	return found[0]
}

func round(f float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(f*p) / p
}

func TestMeridianOverdueIsAsPublished(t *testing.T) {
	t.Parallel()
	values, want := measure.All(meridian(t), measure.Options{}), readExpected(t)
	period := func(k string) string {
		if strings.HasPrefix(k, "as_of") {
			return "2026-W47"
		}
		return k
	}
	check := func(t *testing.T, v measure.Value, w expectedRatio) {
		t.Helper()
		if !v.Has || v.Numerator != w.Numerator || v.Denominator != w.Denominator || round(v.Value, 2) != w.Value {
			t.Errorf("%s %q = %v of %v = %v (has %v), want %v of %v = %v", v.Period, v.Title, v.Numerator, v.Denominator, v.Value, v.Has, w.Numerator, w.Denominator, w.Value)
		}
		if float64(len(v.Docs)) != v.Numerator || float64(len(v.Population)) != v.Denominator {
			t.Errorf("%s %q: %d docs, %d in the population, want %v and %v", v.Period, v.Title, len(v.Docs), len(v.Population), v.Numerator, v.Denominator)
		}
		if v.Current != (v.Period.String() == "2026-W47") || v.Reconstructed == v.Current {
			t.Errorf("%s %q: current %v, reconstructed %v", v.Period, v.Title, v.Current, v.Reconstructed)
		}
	}
	if len(want.Overdue) != 4 || len(want.WithVersions) != 4 {
		t.Fatalf("expected.json has %d and %d periods, want 4", len(want.Overdue), len(want.WithVersions))
	}
	for k, w := range want.Overdue {
		check(t, find(t, values, measure.OverduePct, period(k), ""), w.Total)
		for title, p := range w.Projects {
			v := find(t, values, measure.OverduePct, period(k), title)
			check(t, v, p)
			if got := v.Counts[measure.CountWithoutEndDate]; got != p.WithoutEndDate {
				t.Errorf("%s %q: %v without end date, want %v", k, title, got, p.WithoutEndDate)
			}
		}
		n := 0
		for _, v := range values {
			if v.Metric == measure.OverduePct && v.Period.String() == period(k) && v.Project != "" {
				n++
			}
		}
		if n != len(w.Projects) {
			t.Errorf("%s: %d projects, want %d", k, n, len(w.Projects))
		}
	}
	for k, w := range want.WithVersions {
		for title, p := range w.Projects {
			v := find(t, values, measure.OverduePct, period(k), title)
			if v.Counts[measure.CountVersionsLate] != p.Numerator || round(v.Counts[measure.CountWithVersions], 2) != p.Value {
				t.Errorf("%s %q with versions: %v = %v, want %v = %v", k, title, v.Counts[measure.CountVersionsLate], v.Counts[measure.CountWithVersions], p.Numerator, p.Value)
			}
		}
		v := find(t, values, measure.OverduePct, period(k), "")
		if v.Counts[measure.CountVersionsLate] != w.Total.Numerator || round(v.Counts[measure.CountWithVersions], 2) != w.Total.Value {
			t.Errorf("%s with versions: %v, want %v", k, v.Counts[measure.CountVersionsLate], w.Total.Numerator)
		}
	}
}

// The same figures in plain lines over the JSON, without any type of ours.
func TestMeridianOverdueIsWhatPlainLinesGive(t *testing.T) {
	t.Parallel()
	values := measure.All(meridian(t), measure.Options{})
	open := map[string]string{}
	for _, p := range read(t, "Project") {
		if p.str("status") == "Open" && p.str("customer") != "" {
			open[p.str("name")] = p.str("project_name")
		}
	}
	for sunday := time.Date(2026, 8, 30, 0, 0, 0, 0, time.UTC); sunday.Before(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)); sunday = sunday.AddDate(0, 0, 7) {
		day := sunday.Format(time.DateOnly)
		num, den := map[string]float64{}, map[string]float64{}
		for _, k := range read(t, "Task") {
			title, ok := open[k.str("project")]
			if !ok || k.num("is_group") != 0 || k.num("is_template") != 0 || k.str("status") == "Cancelled" || k.str("status") == "Template" || k.str("creation")[:10] > day {
				continue
			}
			den[title]++
			den[""]++
			end, done, review := k.str("exp_end_date"), k.str("completed_on"), k.str("review_date")
			completed := k.str("status") == "Completed" && done <= day
			if end != "" && end < day && !completed && !(k.str("status") == "Pending Review" && review > day) {
				num[title]++
				num[""]++
			}
		}
		y, w := sunday.ISOWeek()
		period := evidence.Week{Year: y, Number: w}.String()
		for title := range den {
			v := find(t, values, measure.OverduePct, period, title)
			if v.Numerator != num[title] || v.Denominator != den[title] {
				t.Errorf("%s %q: %v of %v, plain lines give %v of %v", period, title, v.Numerator, v.Denominator, num[title], den[title])
			}
		}
		if den[""] == 0 {
			t.Errorf("%s: plain lines find no task", period)
		}
	}
}

func TestMeridianTicketsAreAsPublished(t *testing.T) {
	t.Parallel()
	values, want := measure.All(meridian(t), measure.Options{}), readExpected(t)
	if len(want.Tickets) != 13 {
		t.Fatalf("expected.json has %d weeks of tickets, want 13", len(want.Tickets))
	}
	for week, w := range want.Tickets {
		v := find(t, values, measure.SLA, week, "")
		if !v.Has || v.Numerator != w.Strict.Numerator || v.Denominator != float64(w.With) || round(v.Value, 2) != w.Strict.Value {
			t.Errorf("%s strict = %v of %v = %v, want %v of %v = %v", week, v.Numerator, v.Denominator, v.Value, w.Strict.Numerator, w.With, w.Strict.Value)
		}
		if v.Counts[measure.CountERPNextFulfilled] != w.ERPNext.Numerator || round(v.Counts[measure.CountERPNext], 2) != w.ERPNext.Value {
			t.Errorf("%s the site's own = %v (%v), want %v (%v)", week, v.Counts[measure.CountERPNextFulfilled], v.Counts[measure.CountERPNext], w.ERPNext.Numerator, w.ERPNext.Value)
		}
		if v.Counts[measure.CountWithoutAgreement] != float64(w.Without) {
			t.Errorf("%s: %v without agreement, want %d", week, v.Counts[measure.CountWithoutAgreement], w.Without)
		}
		r := find(t, values, measure.TicketFeedback, week, "")
		if r.Denominator != float64(w.Rated) || round(r.Value, 3) != w.Rating {
			t.Errorf("%s rating = %v of %v, want %v of %d", week, r.Value, r.Denominator, w.Rating, w.Rated)
		}
	}
	now := find(t, values, measure.SLA, "2026-W47", "")
	if !now.Current || now.Counts[measure.CountOpenAndLate] != 1 {
		t.Errorf("open and late today = %v, want 1 (ISS-2026-00044)", now.Counts[measure.CountOpenAndLate])
	}
}

func TestMeridianTicketsAreWhatPlainLinesGive(t *testing.T) {
	t.Parallel()
	values := measure.All(meridian(t), measure.Options{})
	num, den := map[string]float64{}, map[string]float64{}
	for _, i := range read(t, "Issue") {
		resolved := i.str("sla_resolution_date")
		if resolved == "" || i.str("service_level_agreement") == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, resolved[:10])
		if err != nil {
			t.Fatal(err)
		}
		y, w := day.ISOWeek()
		week := evidence.Week{Year: y, Number: w}.String()
		den[week]++
		if i.str("first_responded_on") <= i.str("response_by") && resolved <= i.str("sla_resolution_by") {
			num[week]++
		}
	}
	if len(den) != 13 {
		t.Fatalf("plain lines find %d weeks, want 13", len(den))
	}
	for week := range den {
		if v := find(t, values, measure.SLA, week, ""); v.Numerator != num[week] || v.Denominator != den[week] {
			t.Errorf("%s: %v of %v, plain lines give %v of %v", week, v.Numerator, v.Denominator, num[week], den[week])
		}
	}
}

func TestMeridianSalesAreAsPublished(t *testing.T) {
	t.Parallel()
	values, want := measure.All(meridian(t), measure.Options{}), readExpected(t)
	if len(want.Sales) != 12 {
		t.Fatalf("expected.json has %d weeks of sales, want 12", len(want.Sales))
	}
	rating := func(metric, week string, n int, mean *float64) {
		v := find(t, values, metric, week, "")
		if v.Has != (mean != nil) || v.Denominator != float64(n) || mean != nil && round(v.Value, 3) != *mean {
			t.Errorf("%s %s = %v of %v (has %v), want %d answers", metric, week, v.Value, v.Denominator, v.Has, n)
		}
	}
	for week, w := range want.Sales {
		v := find(t, values, measure.Conversion, week, "")
		if v.Counts[measure.CountWon] != float64(w.Won) || v.Counts[measure.CountLost] != float64(w.Lost) || round(v.Value, 2) != w.Conversion {
			t.Errorf("conversion %s = %v (%v won, %v lost), want %v (%d, %d)", week, v.Value, v.Counts[measure.CountWon], v.Counts[measure.CountLost], w.Conversion, w.Won, w.Lost)
		}
		rating(measure.DemoFeedback, week, w.DemosRated, w.DemoRating)
		rating(measure.SalesFeedback, week, w.DealsRated, w.DealRating)
	}
	last := find(t, values, measure.Conversion, "2026-W46", "")
	if last.Counts[measure.CountMean] != want.Conversion12.Value || last.Counts[measure.CountMeanClosed] != float64(want.Conversion12.Won+want.Conversion12.Lost) {
		t.Errorf("own mean = %v of %v deals, want %v", last.Counts[measure.CountMean], last.Counts[measure.CountMeanClosed], want.Conversion12)
	}
}

func TestMeridianLeadResponseIsAsPublished(t *testing.T) {
	t.Parallel()
	s, want := meridian(t), readExpected(t).Lead
	var received, answered, late float64
	var inTime, all float64
	for _, v := range measure.All(s, measure.Options{}) {
		if v.Metric != measure.Response {
			continue
		}
		inTime, all = inTime+v.Numerator, all+v.Denominator
		received += v.Denominator + v.Counts[measure.CountPending]
		answered += v.Counts[measure.CountAnswered]
		late += v.Counts[measure.CountUnanswered]
	}
	if received != float64(want.Enquiries) || answered != float64(want.Answered) || inTime != float64(want.InTime) || late != 1 {
		t.Errorf("%v enquiries, %v answered, %v in time, %v late unanswered; want %+v and 1", received, answered, inTime, late, want)
	}
	if got := round(100*inTime/all, 2); got != want.OfAll {
		t.Errorf("in time of all = %v, want %v", got, want.OfAll)
	}
	if got := round(100*inTime/answered, 2); got != want.OfAnswered {
		t.Errorf("in time of the answered = %v, want %v", got, want.OfAnswered)
	}
	a, c := measure.WorkingHours(s, "Lead")
	var hours []*float64
	for _, l := range s.Leads {
		if l.Received.IsZero() {
			continue
		}
		if l.FirstResponse.IsZero() {
			hours = append(hours, nil)
			continue
		}
		h := measure.BusinessTime(a, c, l.Received, l.FirstResponse, s.Location()).Hours()
		hours = append(hours, &h)
	}
	if len(hours) != len(want.Hours) {
		t.Fatalf("%d enquiries, want %d", len(hours), len(want.Hours))
	}
	for i, w := range want.Hours {
		if (w == nil) != (hours[i] == nil) || w != nil && *w != *hours[i] {
			t.Errorf("enquiry %d: %v hours, want %v", i+1, hours[i], w)
		}
	}
}

// Every due date that the site computed itself lies as many working hours ahead
// as its agreement promised: hours, holidays and pauses count as on the site.
func TestMeridianDueDatesKeepThePromises(t *testing.T) {
	t.Parallel()
	s := meridian(t)
	a, c := measure.WorkingHours(s, "Issue")
	n := 0
	for _, k := range s.Tickets {
		for _, p := range a.Priorities {
			if k.Agreement == "" || p.Priority != k.Priority {
				continue
			}
			if !k.ResponseDue.IsZero() {
				n++
				if got := measure.BusinessTime(a, c, k.Opened, k.ResponseDue, s.Location()); got != p.Response {
					t.Errorf("%s: %v until the response is due, promised %v", k.Name, got, p.Response)
				}
			}
			if !k.ResolutionDue.IsZero() {
				n++
				if got := measure.BusinessTime(a, c, k.Opened, k.ResolutionDue.Add(-k.Hold), s.Location()); got != p.Resolution {
					t.Errorf("%s: %v until the resolution is due, promised %v", k.Name, got, p.Resolution)
				}
			}
		}
	}
	if n < 80 {
		t.Errorf("%d due dates compared, want at least 80", n)
	}
}

func TestMeridianMonthlyMetricsAreAsPublished(t *testing.T) {
	t.Parallel()
	s, want := meridian(t), readExpected(t)
	values := measure.All(s, measure.Options{})
	for month, w := range want.Satisfaction {
		v := find(t, values, measure.Satisfaction, month, "")
		if v.Denominator != float64(w.N) || round(v.Value, 3) != w.Stars {
			t.Errorf("satisfaction %s = %v of %v, want %v of %d", month, v.Value, v.Denominator, w.Stars, w.N)
		}
		for title, stars := range w.Projects {
			if p := find(t, values, measure.Satisfaction, month, title); round(p.Value, 3) != stars {
				t.Errorf("satisfaction %s %q = %v, want %v", month, title, p.Value, stars)
			}
		}
	}
	for month, projects := range want.TAT {
		for title, days := range projects {
			if v := find(t, values, measure.SupportTAT, month, title); v.Value != days {
				t.Errorf("to support %s %q = %v days, want %v", month, title, v.Value, days)
			}
			if v := find(t, values, measure.SupportTAT, month, ""); v.Value != days || v.Denominator != 1 {
				t.Errorf("to support %s = %v days, want %v", month, v.Value, days)
			}
		}
	}
	for month, people := range want.Ready {
		for user, days := range people {
			if v := find(t, values, measure.ReadyTAT, month, ""); v.Value != days || v.Denominator != 1 {
				t.Errorf("ready %s %s = %v days, want %v", month, user, v.Value, days)
			}
		}
	}
	if v := find(t, values, measure.ReadyTAT, "2026-09", ""); v.Has || v.Unknown != "" || !v.NothingSaid {
		t.Errorf("ready in a month without anybody = %+v, want no value, no gap, and the report that says so", v)
	}
	now := find(t, values, measure.ReadyTAT, "2026-11", "")
	if now.Counts[measure.CountNotReady] != 1 || now.Counts[measure.CountNotReadyOldest] != want.NotReady[0].Days {
		t.Errorf("not ready = %v, the longest for %v days, want 1 for %v", now.Counts[measure.CountNotReady], now.Counts[measure.CountNotReadyOldest], want.NotReady[0].Days)
	}
}

// What the partner wrote down stands beside what we compute: two figures were
// mistyped, one came late, two say that there was nothing.
func TestMeridianReportsStandBeside(t *testing.T) {
	t.Parallel()
	values := measure.All(meridian(t), measure.Options{})
	var differ, late, nothing []string
	for _, v := range values {
		id := v.Metric + " " + v.Period.String()
		if v.Project != "" {
			if v.HasReported {
				t.Errorf("%s %q has a report, want none per project", id, v.Title)
			}
			continue
		}
		if v.Differs {
			differ = append(differ, id)
		}
		if v.NothingSaid {
			nothing = append(nothing, id)
		}
		switch v.Timeliness {
		case measure.Late:
			late = append(late, id)
		case measure.OnTime:
		case measure.NotDue:
			if !v.Current {
				t.Errorf("%s is not due, though it is over", id)
			}
		case measure.Never, measure.Backfill, measure.Unknown:
			if v.Metric != measure.Response { // Meridian reports no response times
				t.Errorf("%s: %s", id, v.Timeliness)
			}
		}
	}
	if want := []string{measure.TicketFeedback + " 2026-W44"}; !slices.Equal(differ, want) {
		t.Errorf("differ: %v, want %v", differ, want)
	}
	if want := []string{measure.SalesFeedback + " 2026-W41"}; !slices.Equal(late, want) {
		t.Errorf("late: %v, want %v", late, want)
	}
	if want := []string{measure.ReadyTAT + " 2026-09", measure.DemoFeedback + " 2026-W39", measure.SalesFeedback + " 2026-W36"}; !slices.Equal(nothing, want) {
		t.Errorf("nothing to report: %v, want %v", nothing, want)
	}
	w43 := find(t, values, measure.OverduePct, "2026-W43", "")
	if diff := w43.Reported - w43.Value; !w43.HasReported || round(diff, 1) != 1.4 {
		t.Errorf("overdue W43: reported %v against %v, want 1.4 more", w43.Reported, w43.Value)
	}
	sla := find(t, values, measure.SLA, "2026-W45", "")
	if !sla.HasReported || sla.Reported != 75 || !sla.HasTarget || sla.Target != 90 || len(sla.ReportedBy) != 2 {
		t.Errorf("SLA W45 reported: %+v, want 75 of two reports with target 90", sla)
	}
}
