package partnersite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
)

// quality adds the figures that the partner reports, the sessions in which they
// are looked at, the actions decided there and what customers answered.
func (s *site) quality(snap *evidence.Snapshot) {
	s.reports(snap)
	s.reviews(snap)
	s.actions(snap)
	s.feedback(snap)
}

// monthly are the metrics that are reported by the month; all others are weekly.
var monthly = map[string]bool{
	"impl.metric.satisfaction": true, "impl.metric.support_tat": true, "impl.metric.ready_tat": true,
}

// metricOf is the metric that a text stands for under the rule; "" when it
// stands for none.
func metricOf(rule *config.Rule, text string) string {
	var ids []string
	for id, t := range rule.Metrics {
		if config.Like(t, text) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return slices.Min(ids)
}

// goalMetrics says which metric a Quality Goal stands for: what the report
// rules say of the doctypes that name a goal.
func (s *site) goalMetrics() map[string]string {
	out := map[string]string{}
	rules := s.in.Mapping.Evidence[config.KindReport]
	for i := range slices.Backward(rules) {
		if rules[i].Metric == "goal" {
			for id, goal := range rules[i].Metrics {
				if old, ok := out[goal]; !ok || id < old {
					out[goal] = id
				}
			}
		}
	}
	return out
}

func (s *site) metricOfGoal(goal string) string {
	if id, ok := s.metrics[goal]; ok {
		return id
	}
	for _, g := range sortedKeys(s.metrics) {
		if config.Like(g, goal) {
			return s.metrics[g]
		}
	}
	return ""
}

func (s *site) reports(snap *evidence.Snapshot) {
	forum := s.minutes()
	for _, f := range s.findAll(config.KindReport) {
		rule := f.rule
		m := evidence.MetricReport{Ref: f.Ref, Project: f.project, On: f.on, Forum: forum[owner{f.Doctype, f.Name}]}
		if rule.Metric == "" && len(rule.Metrics) == 1 {
			m.Metric = sortedKeys(rule.Metrics)[0]
		} else {
			m.Metric = metricOf(rule, f.str(rule.Metric))
		}
		if m.Metric == "" {
			continue
		}
		if f.Doctype == doctypeReview && m.Forum == (evidence.Ref{}) {
			m.Forum = f.Ref
		}
		created := evidence.DateIn(f.Created, s.loc)
		if created.After(m.On) {
			m.On = created
		}
		var ok bool
		if m.Period, ok = s.period(f, m.Metric); !ok {
			continue
		}
		said := false
		m.Value, m.HasValue, said = f.figure(rule.Value)
		if rule.Scale != 0 {
			m.Value *= rule.Scale
		}
		if !said {
			continue // nobody wrote anything: a scheduler made the record
		}
		if when := f.firstFigure(rule.Value); when.After(m.On) {
			m.On = when
		}
		if len(rule.NoValue) > 0 && holds(compile(rule.NoValue), f.record) {
			m.Value, m.HasValue = 0, false
		}
		m.Target, m.HasTarget, _ = f.figure(rule.Target)
		m.Remark = f.plain(cmp.Or(rule.Fields["remark"], "remark"))
		snap.Reports = append(snap.Reports, m)
	}
}

// period is the week or month that a report describes: the one that it names,
// else the last that was over on its day.
func (s *site) period(f found, metric string) (evidence.Period, bool) {
	if f.rule.Period != "" {
		text := f.str(f.rule.Period)
		if w, err := evidence.ParseWeek(text); err == nil {
			return evidence.Period{Week: w}, true
		}
		if m, err := evidence.ParseMonth(clip(text, 7)); err == nil {
			if monthly[metric] || len(text) == 7 {
				return evidence.Period{Month: m}, true
			}
			if d, err := evidence.ParseDate(text); err == nil && !d.IsZero() { // a day of the week
				return evidence.Period{Week: d.Week()}, true
			}
		}
		if w := s.weekIn(text, f); !w.IsZero() {
			return evidence.Period{Week: w}, true
		}
		f.drift(f.rule.Period)
		return evidence.Period{}, false
	}
	on := f.on
	if on.IsZero() {
		on = evidence.DateIn(f.Created, s.loc)
	}
	if on.IsZero() {
		return evidence.Period{}, false
	}
	if monthly[metric] {
		return evidence.Period{Month: on.YearMonth().Add(-1)}, true
	}
	return evidence.Period{Week: on.Week().Add(-1)}, true
}

// weekIn reads a week as people write it: "CW 45/2026", "Week 7, 2026", "KW 45".
// Without a year it is the last week of that number that had begun when the
// record was made.
func (s *site) weekIn(text string, f found) evidence.Week {
	numbers := strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	marked := strings.ContainsAny(text, "wW")
	year, week := "", ""
	for _, n := range numbers {
		switch {
		case len(n) == 4 && year == "":
			year = n
		case len(n) <= 2 && week == "":
			week = n
		default:
			return evidence.Week{}
		}
	}
	if week == "" || !marked {
		return evidence.Week{}
	}
	if year != "" {
		w, err := evidence.ParseWeek(year + "-W" + week)
		if err != nil {
			return evidence.Week{}
		}
		return w
	}
	made := evidence.DateIn(f.Created, s.loc)
	for y := made.Year + 1; y >= made.Year-1 && !made.IsZero(); y-- {
		if w, err := evidence.ParseWeek(fmt.Sprintf("%04d-W%s", y, week)); err == nil && !w.Monday().After(made) {
			return w
		}
	}
	return evidence.Week{}
}

// figure reads a number from a field or from the first row of a child table
// that holds one. said tells that something was written at all.
func (f found) figure(field string) (v float64, ok, said bool) {
	if field == "" {
		return 0, false, false
	}
	if table, child, isTable := strings.Cut(field, "."); isTable {
		for _, w := range f.rows(table) {
			v, rowOK, rowSaid := figureIn(w.fields[child])
			said = said || rowSaid
			if rowOK {
				return v, true, true
			}
		}
		return 0, false, said
	}
	value := f.value(field)
	v, ok, said = figureIn(value)
	if text, isText := value.(string); value != nil && !said && !(isText && plainText(text) == "") {
		f.drift(field)
	}
	return v, ok, said
}

// number reads the figure alone.
func (f found) number(field string) (float64, bool) {
	v, ok, _ := f.figure(field)
	return v, ok
}

func figureIn(v any) (n float64, ok, said bool) {
	switch v := v.(type) {
	case nil:
		return 0, false, false
	case string:
		text := plainText(v)
		n, ok = numberIn(text)
		return n, ok, text != ""
	}
	n, ok = number(v)
	return n, ok, ok
}

// numberIn finds the figure in a text: the one before a "%", else the first.
// "4,33" and "1.234,5" are read as well as "4.33"; a number that is part of a
// word ("CW46", "Q3") is none.
func numberIn(text string) (float64, bool) {
	var firstFound float64
	have := false
	for i := 0; i < len(text); {
		c := text[i]
		if c < '0' || c > '9' {
			i++
			continue
		}
		j := i
		for j < len(text) && (text[j] >= '0' && text[j] <= '9' || (text[j] == '.' || text[j] == ',') && j+1 < len(text) && text[j+1] >= '0' && text[j+1] <= '9') {
			j++
		}
		word := i > 0 && (text[i-1]|0x20 >= 'a' && text[i-1]|0x20 <= 'z' || text[i-1] >= 0x80 || text[i-1] == '.' || text[i-1] == '/')
		if n, ok := decimal(text[i:j]); ok && !word && !afterWeek(text[:i]) {
			if i > 0 && text[i-1] == '-' && (i == 1 || text[i-2] == ' ') {
				n = -n
			}
			if strings.HasPrefix(strings.TrimLeft(text[j:], " \u00a0"), "%") {
				return n, true
			}
			if !have {
				firstFound, have = n, true
			}
		}
		i = j
	}
	return firstFound, have
}

// afterWeek tells that the text ends in a word for "week", whose number is no
// figure.
func afterWeek(before string) bool {
	before = strings.ToLower(strings.TrimRight(before, " .:#"))
	for _, w := range []string{"cw", "kw", "week"} {
		if strings.HasSuffix(before, w) {
			return true
		}
	}
	return false
}

// decimal reads digits with points and commas: the last of the two kinds is the
// decimal mark, a mark that repeats separates thousands.
func decimal(s string) (float64, bool) {
	dot, comma := strings.LastIndexByte(s, '.'), strings.LastIndexByte(s, ',')
	switch {
	case dot >= 0 && comma >= 0:
		if dot > comma {
			s = strings.ReplaceAll(s, ",", "")
		} else {
			s = strings.Replace(strings.ReplaceAll(s, ".", ""), ",", ".", 1)
		}
	case strings.Count(s, ",") == 1:
		s = strings.Replace(s, ",", ".", 1)
	case strings.Count(s, ",") > 1:
		s = strings.ReplaceAll(s, ",", "")
	case strings.Count(s, ".") > 1: // a date, a version or thousands: not a figure of ours
		return 0, false
	}
	return number(s)
}

// firstFigure is the day on which our own captures first saw the report filled,
// if they saw it empty before; else the zero date.
func (f found) firstFigure(field string) evidence.Date {
	empty := false
	for _, v := range f.history {
		if v.Gone {
			continue
		}
		old := found{record: &record{Document: v, site: f.site}, rule: f.rule}
		if _, _, said := old.figure(field); !said {
			empty = true
		} else if empty {
			return evidence.DateIn(v.Modified, f.site.loc)
		}
	}
	return evidence.Date{}
}

// minutes says which meeting a record was dealt with in, by the links in
// Quality Meetings' minutes.
func (s *site) minutes() map[owner]evidence.Ref {
	out := map[owner]evidence.Ref{}
	docs := s.docs[doctypeMeeting]
	for i := range docs {
		for _, w := range docs[i].rows("minutes") {
			on := owner{w.str("document_type"), w.str("document_name")}
			if _, ok := out[on]; !ok && on.name != "" {
				out[on] = docs[i].Ref
			}
		}
	}
	return out
}

func (s *site) reviews(snap *evidence.Snapshot) {
	for _, f := range s.findAll(config.KindReview) {
		v := evidence.Review{
			Ref: f.Ref, Goal: f.str(cmp.Or(f.rule.Fields["goal"], "goal")), On: f.on, By: f.str("modified_by"), Status: f.str("status"),
		}
		if v.On.IsZero() {
			v.On = evidence.DateIn(f.Created, s.loc)
		}
		v.Metric = s.metricOfGoal(v.Goal)
		// The daily job makes reviews that are born "Passed" and empty.
		field := cmp.Or(f.rule.Value, "reviews.review")
		if f.Doctype == doctypeReview || f.rule.Value != "" {
			_, _, v.Filled = f.figure(field)
		} else {
			v.Filled = true
		}
		if f.Doctype == doctypeReview && (v.By == "Administrator" || v.By == "") {
			v.Filled = false
		}
		snap.Reviews = append(snap.Reviews, v)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// actions adds measures against problems: Quality Actions, Non Conformances and
// what else the mapping names.
func (s *site) actions(snap *evidence.Snapshot) {
	forum := s.minutes()
	done := map[owner]bool{}
	for _, f := range s.findAll(config.KindAction) {
		on := owner{f.Doctype, f.Name}
		if done[on] {
			continue
		}
		done[on] = true
		a := evidence.Action{
			Ref: f.Ref, Goal: f.str(cmp.Or(f.rule.Fields["goal"], "goal")), On: f.dated(), Owner: f.str(cmp.Or(f.rule.Fields["owner"], "process_owner")),
			Review: forum[on],
		}
		a.Metric = s.metricOfGoal(a.Goal)
		if review := f.str("review"); review != "" {
			a.Review = s.ref(doctypeReview, review)
		}
		switch f.Doctype {
		case doctypeAction:
			s.qualityAction(snap, f, a)
		case "Non Conformance":
			s.nonConformance(snap, f, a)
		default:
			a.Kind = evidence.Corrective
			if strings.EqualFold(f.str(cmp.Or(f.rule.Fields["kind"], "corrective_preventive")), string(evidence.Preventive)) {
				a.Kind = evidence.Preventive
			}
			a.Cause, a.Resolution = f.plain(cmp.Or(f.rule.Fields["cause"], "cause")), f.plain(cmp.Or(f.rule.Fields["resolution"], "resolution"))
			a.Due = f.date(cmp.Or(f.rule.Fields["due"], "due_date"))
			a.Completed = len(f.rule.Done) > 0 && f.done
			if a.Completed {
				a.Closed = evidence.DateIn(f.Modified, s.loc)
			}
			snap.Actions = append(snap.Actions, a)
		}
	}
}

func (s *site) qualityAction(snap *evidence.Snapshot, f found, a evidence.Action) {
	a.Kind = evidence.Corrective // the site's own default
	if f.str("corrective_preventive") == string(evidence.Preventive) {
		a.Kind = evidence.Preventive
	}
	rows := f.rows("resolutions")
	// One without rows is saved as Completed by the site: nothing was done yet.
	a.Completed = f.str("status") == "Completed" && len(rows) > 0
	for _, w := range rows {
		a.Cause = cmp.Or(a.Cause, w.plain("problem"))
		a.Resolution = cmp.Or(a.Resolution, w.plain("resolution"))
		a.Owner = cmp.Or(a.Owner, w.str("responsible"))
		if due := w.date("completion_by"); due.After(a.Due) {
			a.Due = due
		}
		if status := w.str("status"); status != "" && status != "Completed" {
			a.Completed = false
		}
	}
	if a.Metric == "" {
		if review := s.find(doctypeReview, f.str("review")); review != nil {
			a.Metric = s.metricOfGoal(review.str("goal"))
		}
	}
	if a.Completed {
		a.Closed = f.since("status", "Completed")
	}
	snap.Actions = append(snap.Actions, a)
}

// nonConformance holds up to two measures, one of each kind.
func (s *site) nonConformance(snap *evidence.Snapshot, f found, a evidence.Action) {
	a.Cause = cmp.Or(f.plain("details"), f.plain("subject"))
	if f.str("status") == "Resolved" {
		a.Completed, a.Closed = true, f.since("status", "Resolved")
	}
	for _, k := range []struct {
		kind  evidence.ActionKind
		field string
	}{{evidence.Corrective, "corrective_action"}, {evidence.Preventive, "preventive_action"}} {
		if a.Resolution = f.plain(k.field); a.Resolution != "" {
			a.Kind = k.kind
			snap.Actions = append(snap.Actions, a)
		}
	}
}

var feedbackKinds = []struct {
	kind config.Kind
	is   evidence.FeedbackKind
}{
	{config.KindDemoFeedback, evidence.FeedbackDemo},
	{config.KindSalesFeedback, evidence.FeedbackSales},
	{config.KindSatisfaction, evidence.FeedbackSatisfaction},
	{config.KindTicketFeedback, evidence.FeedbackTicket},
}

// feedback adds customers' answers.
func (s *site) feedback(snap *evidence.Snapshot) {
	for _, k := range feedbackKinds {
		for _, f := range s.findAll(k.kind) {
			ticket := f.Doctype == doctypeIssue || f.Doctype == doctypeHDTicket
			v := evidence.Feedback{Ref: f.Ref, Kind: k.is, Project: f.project, On: f.dated()}
			v.Stars, v.Rated = f.stars()
			if ticket {
				v.Ticket, v.On = f.Name, f.on
				if v.On.IsZero() && (!v.Rated || f.Reconstructed) {
					continue // still open: nobody was asked yet
				}
			}
			if v.On.After(s.today) {
				continue
			}
			v.Quotation = f.str(cmp.Or(f.rule.Fields["quotation"], "quotation"))
			v.Ticket = cmp.Or(v.Ticket, f.str(cmp.Or(f.rule.Fields["ticket"], "ticket")))
			v.Customer = cmp.Or(f.str(cmp.Or(f.rule.Fields["customer"], "customer")), s.customerOf(f.record, f.project))
			if v.Customer == "" {
				if q := s.find(doctypeQuote, v.Quotation); q != nil && q.str("quotation_to") == doctypeCustomer {
					v.Customer = q.str("party_name")
				}
			}
			for _, field := range []string{cmp.Or(f.rule.Fields["remark"], "remark"), "feedback_extra", "feedback", "comment"} {
				if text, _ := spell(f.value(field)); text != "" {
					v.Text = true
				}
			}
			snap.Feedback = append(snap.Feedback, v)
		}
	}
}
