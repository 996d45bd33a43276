package pages

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/rules"
)

// Trend is one metric over the last weeks, oldest first.
type Trend struct {
	Title  string       `json:"title"`
	Unit   string       `json:"unit"`
	Points []TrendPoint `json:"points"`
}

// TrendPoint is one week; Has is false where nothing could be computed.
type TrendPoint struct {
	Week  string  `json:"week"`
	Has   bool    `json:"has_value"`
	Value float64 `json:"value"`
}

// weeks is how far back a trend goes.
const weeks = 12

func trend(a rules.Assessment, metric, title string) Trend {
	t := Trend{Title: title, Unit: "%", Points: []TrendPoint{}}
	for _, v := range a.Metrics {
		if v.Metric == metric && v.Project == "" && !v.Period.Week.IsZero() && !v.Current {
			t.Points = append(t.Points, TrendPoint{v.Period.String(), v.Has, v.Value})
		}
	}
	slices.SortFunc(t.Points, func(x, y TrendPoint) int { return strings.Compare(x.Week, y.Week) })
	if n := len(t.Points); n > weeks {
		t.Points = t.Points[n-weeks:]
	}
	return t
}

// First and Until are the weeks at both ends.
func (t Trend) First() string {
	if len(t.Points) == 0 {
		return ""
	}
	return t.Points[0].Week
}

// Until is the newest week.
func (t Trend) Until() string {
	if len(t.Points) == 0 {
		return ""
	}
	return t.Points[len(t.Points)-1].Week
}

// Last is the newest week's figure in words.
func (t Trend) Last() string {
	if n := len(t.Points); n > 0 && t.Points[n-1].Has {
		return fmt.Sprintf("%.1f %s", t.Points[n-1].Value, t.Unit)
	}
	return "not known"
}

// Known tells whether any week has a figure.
func (t Trend) Known() bool {
	return slices.ContainsFunc(t.Points, func(p TrendPoint) bool { return p.Has })
}

// Top is the upper end of the scale: a share that stays small is drawn larger.
func (t Trend) Top() int {
	most := 0.0
	for _, p := range t.Points {
		if p.Has {
			most = max(most, p.Value)
		}
	}
	if most <= 20 {
		return 20
	}
	return 100
}

// Line draws the weeks; one without a value is a gap and not a fall to zero.
func (t Trend) Line() template.HTML {
	const width, height = 300.0, 80.0
	var path, dots, words strings.Builder
	pen := false
	step := width / float64(max(len(t.Points)-1, 1))
	for i, p := range t.Points {
		if !p.Has || math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			pen = false
			fmt.Fprintf(&words, ", %s not known", p.Week)
			continue
		}
		x, y := float64(i)*step, height-min(max(p.Value/float64(t.Top()), 0), 1)*height
		verb := 'M'
		if pen {
			verb = 'L'
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", verb, x, y)
		fmt.Fprintf(&dots, "M%.1f %.1fh.01", x, y)
		fmt.Fprintf(&words, ", %s %.1f", p.Week, p.Value)
		pen = true
	}
	label := template.HTMLEscapeString(t.Title + " in " + t.Unit + " by week" + words.String())
	return template.HTML(fmt.Sprintf( //nolint:gosec // numbers and escaped text alone
		`<svg class="line" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s"><path class="grid" d="M0 0H%g M0 %gH%g M0 %gH%g"/><path class="data" d="%s"/><path class="data dots" d="%s"/></svg>`,
		width, height, label, width, height/2, width, height, width, path.String(), dots.String()))
}

// meter draws levels 1 to 5: those that hold filled, those not refuted dashed.
func meter(low, high int) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="meter" viewBox="0 0 64 14" role="img" aria-label="level %s of 5">`, levels(low, high))
	for l := 1; l <= 5; l++ {
		class := "off"
		switch {
		case l <= low:
			class = "on"
		case l <= high:
			class = "may"
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%g" y="1" width="11" height="12" rx="2"/>`, class, float64(l-1)*13+.5)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers alone
}

func levels(low, high int) string {
	if low == high {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

func at(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func (s *server) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := s.o.Now().Sub(t)
	if d < 2*time.Minute {
		return "just now"
	}
	return span(d) + " ago"
}

// span is a duration in the one unit that a reader cares for.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(max(d, 0).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func size(n int64) string {
	f, unit := float64(max(n, 0)), "B"
	for _, next := range []string{"KiB", "MiB", "GiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%.0f B", f)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// class is a style for an outcome or a severity.
func class(v any) string {
	switch fmt.Sprint(v) {
	case "Not Met", "Critical":
		return "bad"
	case "Insufficient Evidence", "Manual", "Warning":
		return "open"
	}
	return "good"
}

// web lets only addresses of the web become links.
func web(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}
