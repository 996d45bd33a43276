package rules

import (
	"math"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// Report is the JSON of one partner: what `check --json` prints and `/api/`
// serves. Its field names are a contract.
type Report struct {
	Partner        string              `json:"partner"`
	AsOf           time.Time           `json:"as_of"`
	Kind           Kind                `json:"kind"`
	Key            string              `json:"key"`
	LevelLow       int                 `json:"level_low"`
	LevelHigh      int                 `json:"level_high"`
	Pack           PackID              `json:"pack"`
	SnapshotSHA256 string              `json:"snapshot_sha256"`
	Verdicts       []ReportVerdict     `json:"verdicts"`
	Metrics        []ReportMetric      `json:"metrics"`
	Missing        []ReportMissing     `json:"missing"`
	Signals        []ReportSignal      `json:"signals"`
	Samples        []ReportSample      `json:"samples"`
	Gaps           []evidence.Gap      `json:"gaps"`
	Coverage       []evidence.Coverage `json:"coverage"`
}

// ReportVerdict is one verdict of a Report.
type ReportVerdict struct {
	Criterion   string              `json:"criterion"`
	Title       string              `json:"title"`
	Department  evidence.Department `json:"department"`
	Level       int                 `json:"level"`
	Severity    Severity            `json:"severity"`
	Outcome     Outcome             `json:"outcome"`
	Measured    string              `json:"measured"`
	Expected    string              `json:"expected"`
	Explanation string              `json:"explanation"`
	Remedy      string              `json:"remedy,omitempty"`
	Items       []ReportItem        `json:"items"`
	MoreItems   int                 `json:"more_items,omitempty"`
	Unknowns    []ReportUnknown     `json:"unknowns"`
	Observation string              `json:"observation,omitempty"`
	Flag        string              `json:"flag,omitempty"`
	Override    *ReportOverride     `json:"override,omitempty"`
	Repeat      bool                `json:"repeat,omitempty"`
	Carried     time.Time           `json:"carried,omitzero"`
}

// ReportItem is one item of a verdict.
type ReportItem struct {
	Ref     ReportRef `json:"ref"`
	Label   string    `json:"label,omitempty"`
	OK      bool      `json:"ok"`
	Unknown bool      `json:"unknown,omitempty"`
	Manual  bool      `json:"manual,omitempty"`
	Note    string    `json:"note"`
}

// ReportRef names a record and where to open it.
type ReportRef struct {
	Site    string `json:"site"`
	Doctype string `json:"doctype"`
	Name    string `json:"name"`
	URL     string `json:"url,omitempty"`
}

// ReportUnknown is one fact that could not be had.
type ReportUnknown struct {
	Attribute string           `json:"attribute"`
	Stream    string           `json:"stream,omitempty"`
	Site      string           `json:"site,omitempty"`
	Kind      evidence.GapKind `json:"kind,omitempty"`
	Reason    string           `json:"reason"`
	Remedy    string           `json:"remedy,omitempty"`
}

// ReportOverride is a person's word beside a verdict.
type ReportOverride struct {
	Outcome    Outcome       `json:"outcome"`
	Reason     string        `json:"reason"`
	By         string        `json:"by"`
	On         time.Time     `json:"on,omitzero"`
	ValidUntil evidence.Date `json:"valid_until"`
	Review     bool          `json:"review,omitempty"`
}

// ReportMetric is one metric value of a Report.
type ReportMetric struct {
	Metric        string        `json:"metric"`
	Site          string        `json:"site"`
	Period        string        `json:"period"`
	Project       string        `json:"project"`
	HasValue      bool          `json:"has_value"`
	Value         float64       `json:"value"`
	Numerator     float64       `json:"numerator"`
	Denominator   float64       `json:"denominator"`
	Unit          string        `json:"unit"`
	HasReported   bool          `json:"has_reported"`
	ReportedValue float64       `json:"reported_value"`
	ReportedOn    evidence.Date `json:"reported_on"`
	Timeliness    string        `json:"timeliness,omitempty"`
	Differs       bool          `json:"differs"`
	Reconstructed bool          `json:"reconstructed"`
	// Current: the running period as of now; its figure will still change.
	Current bool `json:"current"`
	// NothingSaid: the partner's report says that there was nothing to report.
	NothingSaid bool   `json:"nothing_said,omitempty"`
	Unknown     string `json:"unknown,omitempty"`
	// Counts are further figures by the names of measure.Count…: what was left
	// out and why, the site's own figure, other ways to count.
	Counts map[string]float64 `json:"counts,omitempty"`
}

// ReportMissing is one criterion between the partner and a level.
type ReportMissing struct {
	Level      int                 `json:"level"`
	Department evidence.Department `json:"department"`
	Criterion  string              `json:"criterion"`
	Outcome    Outcome             `json:"outcome"`
	Remedy     string              `json:"remedy,omitempty"`
}

// ReportSignal is one contradiction for a person to look at.
type ReportSignal struct {
	Rule    string      `json:"rule"`
	Subject ReportRef   `json:"subject"`
	Says    [2]string   `json:"says"`
	Refs    []ReportRef `json:"refs"`
}

// ReportSample tells how a sample was drawn.
type ReportSample struct {
	Department evidence.Department `json:"department"`
	Stream     string              `json:"stream"`
	Population int                 `json:"population"`
	LeftOut    int                 `json:"left_out"`
	SeedSHA256 string              `json:"seed_sha256"`
	Items      []ReportRef         `json:"items"`
}

// Report returns the assessment in the form that programs read. Slices are
// never null; numbers are finite and rounded to six decimals.
func (a Assessment) Report(s *evidence.Snapshot) Report {
	ref := func(r evidence.Ref) ReportRef {
		return ReportRef{Site: r.Site, Doctype: r.Doctype, Name: r.Name, URL: s.Link(r)}
	}
	refs := func(rs []evidence.Ref) []ReportRef {
		out := make([]ReportRef, 0, len(rs))
		for _, r := range rs {
			out = append(out, ref(r))
		}
		return out
	}
	out := Report{
		Partner: a.Partner, AsOf: a.AsOf.UTC(), Kind: a.Kind, Key: a.Key, LevelLow: a.LevelLow, LevelHigh: a.LevelHigh,
		Pack: a.Pack, SnapshotSHA256: a.Snapshot,
		Verdicts: []ReportVerdict{}, Metrics: []ReportMetric{}, Missing: []ReportMissing{},
		Signals: []ReportSignal{}, Samples: []ReportSample{},
		Gaps: append([]evidence.Gap{}, a.Gaps...), Coverage: append([]evidence.Coverage{}, a.Coverage...),
	}
	for _, v := range a.Verdicts {
		rv := ReportVerdict{
			Criterion: v.Criterion, Title: v.Title, Department: v.Department, Level: v.Level, Severity: v.Severity,
			Outcome: v.Outcome, Measured: v.Measured, Expected: v.Expected, Explanation: v.Explanation, Remedy: v.Remedy,
			Items: []ReportItem{}, MoreItems: v.MoreItems, Unknowns: []ReportUnknown{}, Observation: v.Observation,
			Flag: v.Flag, Repeat: v.Repeat, Carried: v.Carried,
		}
		for _, it := range v.Items {
			r := ref(it.Ref)
			if it.URL != "" {
				r.URL = it.URL
			}
			rv.Items = append(rv.Items, ReportItem{Ref: r, Label: it.Label, OK: it.OK, Unknown: it.Unknown, Manual: it.Manual, Note: it.Note})
		}
		for _, u := range v.Unknowns {
			rv.Unknowns = append(rv.Unknowns, ReportUnknown{Attribute: u.Attribute, Stream: u.Stream, Site: u.Site, Kind: u.Kind, Reason: u.Reason, Remedy: u.Remedy})
		}
		if o := v.Override; o != nil {
			rv.Override = &ReportOverride{Outcome: o.Outcome, Reason: o.Reason, By: o.By, On: o.On, ValidUntil: o.ValidUntil, Review: o.Review}
		}
		out.Verdicts = append(out.Verdicts, rv)
	}
	for _, m := range a.Metrics {
		out.Metrics = append(out.Metrics, ReportMetric{
			Metric: m.Metric, Site: m.Site, Period: m.Period.String(), Project: m.Project, HasValue: m.Has, Value: finite(m.Value),
			Numerator: finite(m.Numerator), Denominator: finite(m.Denominator), Unit: m.Unit, HasReported: m.HasReported,
			ReportedValue: finite(m.Reported), ReportedOn: m.ReportedOn, Timeliness: string(m.Timeliness), Differs: m.Differs,
			Reconstructed: m.Reconstructed, Current: m.Current, NothingSaid: m.NothingSaid, Unknown: m.Unknown, Counts: counts(m.Counts),
		})
	}
	for _, m := range a.Missing {
		out.Missing = append(out.Missing, ReportMissing(m))
	}
	for _, sig := range a.Signals {
		out.Signals = append(out.Signals, ReportSignal{Rule: sig.Rule, Subject: ref(sig.Subject), Says: sig.Says, Refs: refs(sig.Refs)})
	}
	for _, sm := range a.Samples {
		items := make([]ReportRef, 0, len(sm.Items))
		for _, it := range sm.Items {
			items = append(items, ref(it.Ref))
		}
		out.Samples = append(out.Samples, ReportSample{
			Department: sm.Department, Stream: sm.Stream, Population: sm.Population, LeftOut: sm.LeftOut,
			SeedSHA256: sm.SeedHash, Items: items,
		})
	}
	return out
}

func counts(in map[string]float64) map[string]float64 {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]float64, len(in))
	for k, f := range in {
		out[k] = finite(f)
	}
	return out
}

func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return math.Round(f*1e6) / 1e6
}
