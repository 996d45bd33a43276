package rules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// testFile is a pack's own test file: small snapshots and the verdicts that they
// must give.
type testFile struct {
	Pack  string                    `yaml:"pack"`
	AsOf  string                    `yaml:"as_of"`
	Bases map[string]map[string]any `yaml:"bases"`
	Tests []testCase                `yaml:"tests"`
}

type testCase struct {
	Name      string               `yaml:"name"`
	Use       []string             `yaml:"use"`
	AsOf      string               `yaml:"as_of"`
	Snapshot  map[string]any       `yaml:"snapshot"`
	Metrics   []map[string]any     `yaml:"metrics"`
	Samples   map[string][]string  `yaml:"samples"` // Project, Deal, Ticket → record names
	Kind      Kind                 `yaml:"kind"`
	Project   string               `yaml:"project"`
	Stage     string               `yaml:"stage"`
	Cutoff    string               `yaml:"cutoff"`
	Present   map[string]bool      `yaml:"present"`
	Certified *int                 `yaml:"certified"`
	Young     bool                 `yaml:"young"` // the partner's records begin inside the window
	Settings  []testSetting        `yaml:"settings"`
	Judged    map[string]string    `yaml:"judged"` // a person's word by criterion
	Expect    map[string]testWants `yaml:"expect"`
}

type testSetting struct {
	Criterion  string             `yaml:"criterion"`
	Disabled   bool               `yaml:"disabled"`
	Severity   Severity           `yaml:"severity"`
	Thresholds map[string]float64 `yaml:"thresholds"`
}

// testWants is an outcome, or an outcome with what else must be seen.
type testWants struct {
	Outcome  string `yaml:"outcome"`
	Observed *bool  `yaml:"observed"` // whether there is an observation
	Unknown  string `yaml:"unknown"`  // a missing fact that must be named
	Measured string `yaml:"measured"`
	Item     string `yaml:"item"` // part of a failing item's label or note
}

// UnmarshalYAML reads the outcome alone or the whole.
func (w *testWants) UnmarshalYAML(decode func(any) error) error {
	var s string
	if err := decode(&s); err == nil {
		w.Outcome = s
		return nil
	}
	type plain testWants
	return decode((*plain)(w))
}

// TestResult is one expectation of a pack's test file.
type TestResult struct {
	File      string
	Test      string
	Criterion string
	Want      string
	Got       Verdict
	Problem   string // "" when it holds
}

// TestFolder runs every *_test.yaml of a folder against the packs, by the name
// each file gives. The results are in order of file and test.
func TestFolder(ps []*Pack, fsys fs.FS) ([]TestResult, error) {
	names, err := fs.Glob(fsys, "*_test.yaml")
	if err != nil {
		return nil, fmt.Errorf("pack tests: %w", err)
	}
	var out []TestResult
	var errs []error
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("pack tests %s: %w", name, err))
			continue
		}
		t, err := parseTests(name, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p := PackNamed(ps, t.f.Pack)
		if p == nil {
			errs = append(errs, fmt.Errorf("%s: there is no pack %q; name one in `pack:`", name, t.f.Pack))
			continue
		}
		rs, err := t.run(p, name, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, rs...)
	}
	return out, errors.Join(errs...)
}

// parsedTests is a test file whose snapshots are built.
type parsedTests struct {
	f      testFile
	inputs []Input
}

func parseTests(file string, text []byte) (*parsedTests, error) {
	if len(text) > maxPackBytes {
		return nil, fmt.Errorf("%s: %d bytes is too large for pack tests; the limit is %d", file, len(text), maxPackBytes)
	}
	t := &parsedTests{}
	if err := yaml.UnmarshalWithOptions(text, &t.f, yaml.Strict()); err != nil {
		return nil, (&loader{file: file, text: text}).yamlMistake(err)
	}
	for i := range t.f.Tests {
		in, err := t.f.input(&t.f.Tests[i])
		if err != nil {
			return nil, fmt.Errorf("%s: test %q: %w", file, t.f.Tests[i].Name, err)
		}
		t.inputs = append(t.inputs, in)
	}
	return t, nil
}

// run judges the tests; with a set of ids only those of their criteria.
func (t *parsedTests) run(p *Pack, file string, only map[string]bool) ([]TestResult, error) {
	var out []TestResult
	for i := range t.f.Tests {
		c := &t.f.Tests[i]
		ids := slices.DeleteFunc(sortedKeys(c.Expect), func(id string) bool { return only != nil && !only[id] })
		if len(ids) == 0 {
			continue
		}
		for _, id := range ids {
			if p.byID[id] == nil {
				return nil, fmt.Errorf("%s: test %q: pack %s has no criterion %q", file, c.Name, p.ID.Name, id)
			}
		}
		a, err := Judge(p.pick(ids), t.inputs[i])
		if err != nil {
			return nil, fmt.Errorf("%s: test %q: %w", file, c.Name, err)
		}
		got := map[string]Verdict{}
		for _, v := range a.Verdicts {
			got[v.Criterion] = v
		}
		for _, id := range ids {
			r := TestResult{File: file, Test: c.Name, Criterion: id, Want: c.Expect[id].Outcome, Got: got[id]}
			r.Problem = c.Expect[id].problem(got[id])
			out = append(out, r)
		}
	}
	return out, nil
}

func (w testWants) problem(v Verdict) string {
	var ps []string
	if v.Criterion == "" {
		return "there is no verdict: the criterion is disabled"
	}
	if got := v.Effective().String(); got != w.Outcome {
		ps = append(ps, fmt.Sprintf("outcome is %s, wanted %s (%s)", got, w.Outcome, v.Explanation))
	}
	if w.Observed != nil && *w.Observed != (v.Observation != "") {
		ps = append(ps, fmt.Sprintf("observation is %q", v.Observation))
	}
	if w.Unknown != "" && !slices.ContainsFunc(v.Unknowns, func(u Unknown) bool {
		return strings.Contains(u.Attribute+" "+u.Stream+" "+string(u.Kind)+" "+u.Reason, w.Unknown)
	}) {
		ps = append(ps, fmt.Sprintf("unknown %q is not named: %s", w.Unknown, v.Explanation))
	}
	if w.Measured != "" && v.Measured != w.Measured {
		ps = append(ps, fmt.Sprintf("measured is %q, wanted %q", v.Measured, w.Measured))
	}
	if w.Item != "" && !slices.ContainsFunc(v.Items, func(it Item) bool {
		return !it.OK && !it.Unknown && !it.Manual && strings.Contains(it.Label+" "+it.Note, w.Item)
	}) {
		ps = append(ps, fmt.Sprintf("no failing item says %q: %+v", w.Item, v.Items))
	}
	return strings.Join(ps, "; ")
}

// pick returns the pack with some of its criteria.
func (p *Pack) pick(ids []string) *Pack {
	out := *p
	out.criteria = slices.DeleteFunc(slices.Clone(p.criteria), func(c *criterion) bool { return !slices.Contains(ids, c.f.ID) })
	return &out
}

// testDoctypes says for each list of a snapshot the doctype that its entries
// have unless they name one.
var testDoctypes = map[string]string{
	"projects": "Project", "tasks": "Task", "sign_offs": "Sign-off", "tickets": "Issue", "reports": "Weekly Metric", "meetings": "Meeting",
	"reviews": "Quality Review", "actions": "Quality Action", "messages": "Communication", "leads": "Lead", "deals": "CRM Deal", "quotations": "Quotation",
	"orders": "Sales Order", "invoices": "Sales Invoice", "contracts": "Contract", "customers": "Customer", "attachments": "File", "procedures": "Quality Procedure",
	"agreements": "Service Level Agreement", "calendars": "Holiday List", "certificates": "Partner Certificate", "people": "Employee", "trainings": "Training Event",
	"dashboards": "Dashboard", "controls": "Notification", "feedback": "Survey", "changes": "Project", "deletions": "Task",
}

// testStreams are read whole in a test unless it says otherwise.
var testStreams = []string{
	"Project", "Task", "Sign-off", "Issue", "Weekly Metric", "Meeting", "Quality Review", "Quality Action", "Communication", "Lead", "CRM Deal",
	"Quotation", "Sales Order", "Sales Invoice", "Customer", "File", "Quality Procedure", "Service Level Agreement", "Assignment Rule", "Notification",
	"Holiday List", "Partner Certificate", "Employee", "Training Event", "Dashboard", "Survey", "Event",
}

func testStream(kind string) string {
	switch {
	case kind == "project":
		return "Project"
	case kind == "ticket":
		return "Issue"
	case kind == "deal", kind == "scope", kind == "estimate":
		return "Quotation"
	case kind == "bant":
		return "Lead"
	case kind == "sponsor":
		return "Customer"
	case kind == "status", kind == "plan":
		return "Communication"
	case kind == "report":
		return "Weekly Metric"
	case kind == "review":
		return "Quality Review"
	case kind == "action":
		return "Quality Action"
	case strings.HasPrefix(kind, "sign_off."):
		return "Sign-off"
	case strings.HasPrefix(kind, "feedback."):
		return "Survey"
	case strings.HasPrefix(kind, "training."):
		return "Training Event"
	case strings.HasPrefix(kind, "procedure."):
		return "Quality Procedure"
	case strings.HasPrefix(kind, "dashboard."):
		return "Dashboard"
	}
	return "Meeting"
}

// input builds the input of one test. Unless the test says otherwise every
// stream is read whole, every kind of evidence is mapped and complete, there is
// one site, erp, and every record was created a year before.
func (f *testFile) input(c *testCase) (Input, error) {
	asOf, err := time.Parse(time.RFC3339, cmp.Or(c.AsOf, f.AsOf))
	if err != nil {
		return Input{}, fmt.Errorf("as_of: %q is no instant; write 2026-11-20T12:00:00Z", cmp.Or(c.AsOf, f.AsOf))
	}
	merged := map[string]any{}
	for _, name := range c.Use {
		base, ok := f.Bases[name]
		if !ok {
			return Input{}, fmt.Errorf("there is no base %q", name)
		}
		mergeSnapshot(merged, base)
	}
	mergeSnapshot(merged, c.Snapshot)
	list := func(key string) []string {
		var out []string
		raw, _ := merged[key].([]any)
		for _, v := range raw {
			out = append(out, fmt.Sprint(v))
		}
		delete(merged, key)
		return out
	}
	silent, unmapped, unread, absentStreams := list("silent"), list("unmapped"), list("unread"), list("absent")
	created := asOf.AddDate(-1, 0, 0)
	if c.Young {
		created = asOf.AddDate(0, 0, -20)
	}
	for key, doctype := range testDoctypes {
		raw, ok := merged[key].([]any)
		if !ok {
			continue
		}
		var docs []any
		for i, r := range raw {
			m, ok := r.(map[string]any)
			if !ok {
				return Input{}, fmt.Errorf("%s[%d] is no record", key, i)
			}
			for _, d := range expand(m, asOf) {
				docs = append(docs, testRecord(d, doctype, created, fmt.Sprintf("%s-%d", doctype, len(docs)+1)))
			}
		}
		merged[key] = docs
	}
	if merged["sites"] == nil {
		merged["sites"] = []any{map[string]any{"key": "erp", "url": "https://erp.example"}}
	}
	b, err := json.Marshal(merged)
	if err != nil {
		return Input{}, err
	}
	s := &evidence.Snapshot{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return Input{}, fmt.Errorf("snapshot: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	s.Partner, s.AsOf, s.Zone = cmp.Or(s.Partner, "test"), asOf, cmp.Or(s.Zone, "UTC")
	if s.Channels == nil {
		s.Channels = map[string]evidence.Channel{}
	}
	for _, k := range knownKinds {
		if _, ok := s.Channels[k]; !ok {
			s.Channels[k] = evidence.Channel{Mapped: !slices.Contains(unmapped, k), Authoritative: !slices.Contains(silent, k), Streams: []string{testStream(k)}}
		}
	}
	for _, site := range s.Sites {
		for _, st := range testStreams {
			if slices.ContainsFunc(s.Coverage, func(c evidence.Coverage) bool { return c.Stream == st && c.Site == site.Key }) {
				continue
			}
			switch name := site.Key + "/" + st; {
			case slices.Contains(absentStreams, st) || slices.Contains(absentStreams, name):
				s.Gaps = append(s.Gaps, evidence.Gap{Site: site.Key, Stream: st, Kind: evidence.Absent, Reason: "the site has no such doctype"})
			case slices.Contains(unread, st) || slices.Contains(unread, name):
				s.Gaps = append(s.Gaps, evidence.Gap{Site: site.Key, Stream: st, Kind: evidence.Forbidden, Reason: "permission denied"})
			default:
				s.Coverage = append(s.Coverage, evidence.Coverage{Site: site.Key, Stream: st, Complete: true, LastSuccess: asOf, LastComplete: asOf, Oldest: created})
			}
		}
	}
	in := Input{
		Snapshot: s, Kind: cmp.Or(c.Kind, Continuous), Present: c.Present, CertifiedMembers: c.Certified,
		Target: Target{Project: c.Project, Stage: evidence.Department(c.Stage), Record: "TEST-1"},
	}
	if c.Cutoff != "" {
		if in.Cutoff, err = time.Parse(time.RFC3339, c.Cutoff); err != nil {
			return Input{}, fmt.Errorf("cutoff: %q is no instant", c.Cutoff)
		}
	}
	for _, m := range c.Metrics {
		for _, e := range expand(m, asOf) {
			v, err := testValue(e)
			if err != nil {
				return Input{}, err
			}
			in.Metrics = append(in.Metrics, v)
		}
	}
	in.Metrics = append(in.Metrics, quietMetrics(in.Metrics, evidence.DateIn(asOf, time.UTC))...)
	for _, stream := range sortedKeys(c.Samples) {
		sm := Sample{Stream: stream, Population: len(c.Samples[stream]), Complete: true, SeedHash: "test"}
		for _, name := range c.Samples[stream] {
			sm.Items = append(sm.Items, SampleItem{Ref: evidence.Ref{Site: "erp", Doctype: map[string]string{"Project": "Project", "Deal": "Quotation", "Ticket": "Issue"}[stream], Name: name}})
		}
		in.Samples = append(in.Samples, sm)
	}
	for _, st := range c.Settings {
		in.Settings = append(in.Settings, Setting{Criterion: st.Criterion, Enabled: !st.Disabled, Severity: st.Severity, Thresholds: st.Thresholds})
	}
	for _, id := range sortedKeys(c.Judged) {
		var o Outcome
		if err := o.UnmarshalText([]byte(c.Judged[id])); err != nil {
			return Input{}, fmt.Errorf("judged %s: %w", id, err)
		}
		in.Overrides = append(in.Overrides, Override{ID: id, Partner: s.Partner, Criterion: id, Kind: in.Kind, Outcome: o, By: "auditor", Reason: "seen", On: asOf.AddDate(0, 0, -1)})
	}
	return in, nil
}

// quietMetrics are the values of a test that gives none: nothing happened that
// could have been measured.
func quietMetrics(have []measure.Value, today evidence.Date) []measure.Value {
	given := map[valueKey]bool{}
	for _, v := range have {
		given[valueKey{v.Metric, v.Period}] = true
	}
	var out []measure.Value
	for _, info := range metricCatalogue {
		var ps []evidence.Period
		for _, wk := range measure.FullWeeks(today, windowWeeks) {
			ps = append(ps, evidence.Period{Week: wk})
		}
		if info.monthly {
			ps = nil
			for _, mo := range measure.FullMonths(today, windowMonths) {
				ps = append(ps, evidence.Period{Month: mo})
			}
		}
		for _, p := range ps {
			if !given[valueKey{info.id, p}] {
				out = append(out, measure.Value{Metric: info.id, Period: p})
			}
		}
	}
	return out
}

// mergeSnapshot adds lists to lists and replaces the rest.
func mergeSnapshot(into, from map[string]any) {
	for k, v := range from {
		have, ok1 := into[k].([]any)
		more, ok2 := v.([]any)
		if ok1 && ok2 {
			into[k] = slices.Concat(have, more)
			continue
		}
		into[k] = v
	}
}

// expand repeats an entry that says `every: week` or `every: month` for each
// period of the window, but for those of `except`; $period, $first and $last
// stand for the period and its days.
func expand(m map[string]any, asOf time.Time) []map[string]any {
	every, _ := m["every"].(string)
	if every == "" {
		return []map[string]any{maps.Clone(m)}
	}
	today := evidence.DateIn(asOf, time.UTC)
	var ps []evidence.Period
	if every == "month" {
		for _, mo := range measure.FullMonths(today, windowMonths) {
			ps = append(ps, evidence.Period{Month: mo})
		}
	} else {
		for _, wk := range measure.FullWeeks(today, windowWeeks) {
			ps = append(ps, evidence.Period{Week: wk})
		}
	}
	skip := map[string]bool{}
	if l, ok := m["except"].([]any); ok {
		for _, e := range l {
			skip[fmt.Sprint(e)] = true
		}
	}
	var out []map[string]any
	for _, p := range ps {
		if skip[p.String()] {
			continue
		}
		r := strings.NewReplacer("$period", p.String(), "$first", p.First().String(), "$last", p.Last().String())
		e := map[string]any{}
		for k, v := range m {
			if s, ok := v.(string); ok {
				v = r.Replace(s)
			}
			e[k] = v
		}
		delete(e, "every")
		delete(e, "except")
		if _, isMetric := e["metric"]; isMetric && e["period"] == nil {
			e["period"] = p.String()
		}
		out = append(out, e)
	}
	return out
}

// testRecord completes one record and spells its keys as the types do.
func testRecord(m map[string]any, doctype string, created time.Time, name string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[fieldName(k)] = v
	}
	set := func(k string, v any) {
		if _, ok := out[k]; !ok {
			out[k] = v
		}
	}
	set("site", "erp")
	set("doctype", doctype)
	set("name", name)
	set("created", created)
	set("modified", created)
	set("seen", created)
	return out
}

// fieldName spells a key of a record as the types do: the record's identity in
// lower case, its own fields in Go's manner.
func fieldName(key string) string {
	switch key {
	case "site", "doctype", "name", "modified", "seen", "hash", "created":
		return key
	}
	var b strings.Builder
	for word := range strings.SplitSeq(key, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// testValue reads a metric value: metric, period, value, reported, nothing_said,
// timeliness, unknown, occasions, own_mean, unit.
func testValue(m map[string]any) (measure.Value, error) {
	v := measure.Value{Counts: map[string]float64{}}
	num := func(x any) (float64, error) {
		f, err := strconv.ParseFloat(fmt.Sprint(x), 64)
		if err != nil {
			return 0, fmt.Errorf("metrics: %v is no number", x)
		}
		return f, nil
	}
	for _, k := range sortedKeys(m) {
		x := m[k]
		var err error
		switch k {
		case "metric":
			v.Metric = fmt.Sprint(x)
		case "period":
			err = v.Period.UnmarshalText([]byte(fmt.Sprint(x)))
		case "value":
			v.Has = true
			v.Value, err = num(x)
		case "reported":
			v.HasReported = true
			v.Reported, err = num(x)
		case "nothing_said":
			v.NothingSaid = x == true
		case "timeliness":
			v.Timeliness = measure.Timeliness(fmt.Sprint(x))
		case "unknown":
			v.Unknown = fmt.Sprint(x)
		case "unit":
			v.Unit = fmt.Sprint(x)
		case "numerator":
			v.Numerator, err = num(x)
		case "denominator":
			v.Denominator, err = num(x)
		case "occasions":
			v.Counts[measure.CountOccasions], err = num(x)
		case "own_mean":
			v.Counts[measure.CountMean], err = num(x)
		default:
			err = fmt.Errorf("metrics: %q is no key of a value", k)
		}
		if err != nil {
			return v, err
		}
	}
	if v.Has && v.Counts[measure.CountOccasions] == 0 {
		v.Counts[measure.CountOccasions] = 1
	}
	return v, nil
}
