package partnersite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// Report is what Doctor found out about one site. It holds no secret and
// nothing of a customer's.
type Report struct {
	Partner string    `json:"partner"`
	Site    string    `json:"site"`
	URL     string    `json:"url"`
	At      time.Time `json:"at"`
	// Health is OK, Degraded or Failed: see there.
	Health Health `json:"health"`
	// Failure says why the site could not be examined; "" when it could.
	Failure string `json:"failure,omitempty"`
	Remedy  string `json:"remedy,omitempty"`

	TLS                bool              `json:"tls"`
	CertificateExpires time.Time         `json:"certificate_expires,omitzero"`
	SkewSeconds        float64           `json:"skew_seconds"` // how far the site's clock is ahead of ours
	Zone               string            `json:"zone,omitempty"`
	Versions           map[string]string `json:"versions,omitempty"`
	User               string            `json:"user,omitempty"`
	UserType           string            `json:"user_type,omitempty"`
	Roles              []string          `json:"roles,omitempty"`

	Streams  []StreamReport `json:"streams,omitempty"` // in the order of reading
	Excess   []string       `json:"excess,omitempty"`  // what the key can do and need not
	Warnings []string       `json:"warnings,omitempty"`
	Mapping  []Problem      `json:"mapping,omitempty"`
	Degraded []string       `json:"degraded,omitempty"` // criteria that lack evidence, sorted
	Steps    []string       `json:"steps,omitempty"`    // what a person does in the desk, in order

	First Cost `json:"first_read"` // of the first read
	Poll  Cost `json:"poll"`       // of a read that finds nothing new
	// Spent is what this examination cost.
	Spent Cost `json:"spent"`
}

// Health sums a Report up.
type Health string

// The healths. OK: everything that checks ask for can be read. Degraded: some
// criteria cannot be judged, or the mapping has rules that find nothing.
// Failed: the site cannot be read at all.
const (
	OK       Health = "ok"
	Degraded Health = "degraded"
	Failed   Health = "failed"
)

// Cost is an expectation of what a read costs the site.
type Cost struct {
	Requests      int     `json:"requests"`
	ServerSeconds float64 `json:"server_seconds"`
}

// StreamReport is what Doctor says of one stream.
type StreamReport struct {
	Stream string `json:"stream"`
	// Gap is the kind of what is missing; "" when the stream is whole.
	Gap    evidence.GapKind `json:"gap,omitempty"`
	Reason string           `json:"reason,omitempty"`
	Remedy string           `json:"remedy,omitempty"`
	// Timeline says that its records come from the timelines of others.
	Timeline bool     `json:"timeline,omitempty"`
	Rows     int      `json:"rows"`             // that the key is shown in lists
	Hidden   int      `json:"hidden,omitempty"` // that exist besides, where the site tells
	Degrades []string `json:"degrades,omitempty"`
	Millis   float64  `json:"poll_ms"` // of the site's time for an idle read

	plan plan
}

// Doctor examines the site: whether it answers and is who it should be, what the
// key may and may not read and which criteria that costs, what it may do
// besides, where the mapping does not fit, and what reading will cost. It sends
// GET requests alone and keeps nothing.
func (s *Site) Doctor(ctx context.Context) (Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Report{Partner: s.o.Partner, Site: s.o.Key, URL: s.o.URL, At: s.now().UTC(), TLS: strings.HasPrefix(s.o.URL, "https:")}
	before := s.client.Stats()
	err := s.examine(ctx, &out)
	st := s.client.Stats()
	out.CertificateExpires = st.CertificateExpires
	if st.SkewKnown {
		out.SkewSeconds = st.Skew.Seconds()
	}
	out.Spent = Cost{int(st.Requests - before.Requests), st.ServerSeconds - before.ServerSeconds}
	switch {
	case err != nil && !refusal(err):
		return Report{}, err
	case err != nil:
		g, _ := s.refused(stream{doctype: "the site"}, err)
		out.Health, out.Failure, out.Remedy = Failed, g.Reason, g.Remedy
		return out, nil
	}
	s.advise(&out, st)
	return out, nil
}

func (s *Site) examine(ctx context.Context, out *Report) error {
	if err := s.discover(ctx, nil, true); err != nil {
		return err
	}
	d := &s.found
	out.Zone, out.Versions, out.User, out.UserType, out.Roles = d.Zone, d.Versions, d.User, d.UserType, d.Roles
	s.metas = map[string]knownMeta{}
	metaStart := s.client.Stats()
	prep, err := s.prepare(ctx, nil)
	if err != nil {
		return err
	}
	spent := s.client.Stats()
	out.First.Requests += int(spent.Requests - metaStart.Requests)
	out.First.ServerSeconds += spent.ServerSeconds - metaStart.ServerSeconds
	out.Streams = make([]StreamReport, len(prep.plans))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(side)
	for i, p := range prep.plans {
		g.Go(func() error {
			r, err := s.probeStream(gctx, p)
			out.Streams[i] = r
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, gap := range prep.gaps {
		if strings.HasPrefix(gap.Stream, "kind:") {
			continue
		}
		i := slices.IndexFunc(out.Streams, func(r StreamReport) bool { return r.Stream == gap.Stream })
		if i < 0 {
			st, _ := streamOf(gap.Stream)
			st.doctype = gap.Stream
			out.Streams = append(out.Streams, StreamReport{Stream: gap.Stream, Degrades: s.degrades(st, prep.mapping), plan: plan{stream: st}})
			i = len(out.Streams) - 1
		}
		if r := &out.Streams[i]; r.Gap == "" {
			r.Gap, r.Reason, r.Remedy = gap.Kind, gap.Reason, gap.Remedy
			r.Degrades = s.degrades(r.plan.stream, prep.mapping)
		}
	}
	metas := map[string]*frappe.Meta{}
	for name, k := range s.metas {
		metas[name] = k.meta
	}
	out.Mapping = CheckMapping(s.o.Mapping, metas)
	s.expect(out)
	return nil
}

// degrades lists the criteria that a stream carries.
func (s *Site) degrades(st stream, m config.Mapping) []string {
	out := append(strings.Fields(st.degrades), kindCriteria(m, st.doctype)...)
	slices.Sort(out)
	return slices.Compact(out)
}

// probeStream asks what the key is shown of a stream and how long an idle read
// of it takes. Only an answer that speaks of the site as a whole is an error.
func (s *Site) probeStream(ctx context.Context, p plan) (StreamReport, error) {
	out := StreamReport{Stream: p.doctype, plan: p}
	out.Timeline = p.doctype == "File" && !s.found.seesFiles() || p.doctype == "Communication" && !s.found.seesMails()
	missing := func(g evidence.Gap) {
		out.Gap, out.Reason, out.Remedy = g.Kind, g.Reason, g.Remedy
		out.Degrades = s.degrades(p.stream, s.mapping())
	}
	start := time.Now() // a duration of this machine, whatever the clock of a test
	var err error
	if p.single {
		_, err = s.client.Get(ctx, p.doctype, p.doctype)
		out.Rows = 1
	} else {
		_, err = s.client.List(ctx, frappe.ListQuery{
			Doctype: p.doctype, Fields: p.ask, Limit: 1,
			Filters: []frappe.Filter{frappe.Where("modified", ">", frappe.FormatTime(s.now(), s.found.zone))},
		})
		if frappe.CategoryOf(err) == frappe.Invalid {
			q := p.without(sortedKeys(optional))
			_, err = s.client.List(ctx, frappe.ListQuery{Doctype: p.doctype, Fields: q.ask, Limit: 1})
		}
	}
	out.Millis = float64(time.Since(start).Microseconds()) / 1000
	if err != nil {
		if !refusal(err) {
			return out, err
		}
		g, stop := s.refused(p.stream, err)
		if stop {
			return out, err
		}
		out.Rows = 0
		missing(g)
		return out, nil
	}
	if p.single {
		return out, nil
	}
	seen, all, err := s.client.Hidden(ctx, p.doctype)
	if err != nil {
		if !refusal(err) {
			return out, err
		}
		// Some versions take "Deleted" for SQL in the one count; the other is left.
		v, err := s.client.Call(ctx, "frappe.client.get_count", map[string]any{"doctype": p.doctype})
		if err != nil {
			return out, onlyFatal(err)
		}
		n, _ := frappe.Doc{"n": v}.Int("n")
		seen, all = int(n), int(n)
	}
	out.Rows, out.Hidden = seen, max(all-seen, 0)
	if out.Hidden > 0 && !out.Timeline {
		missing(s.gap(p.doctype, evidence.Hidden, fmt.Sprintf("the key is shown %d of %d records", seen, all), hiddenRemedy(p.doctype)))
	}
	return out, nil
}

func hiddenRemedy(doctype string) string {
	if doctype == "Event" {
		return "private Events are shown to their owner alone: ask for meetings to be entered as Public"
	}
	return "see whether the reading user has a User Permission, or the doctype a rule that hides rows from it"
}

// expect works out what reading costs from the sizes and the probes.
func (s *Site) expect(out *Report) {
	const page, chunk = 500, 100
	timelines := 0
	for i := range out.Streams {
		r := &out.Streams[i]
		if len(r.plan.ask) == 0 {
			continue
		}
		per := r.Millis / 1000
		if r.plan.doctype == "File" && !s.found.seesFiles() {
			continue
		}
		out.Poll.Requests++
		out.Poll.ServerSeconds += per
		pages := 1 + r.Rows/page
		children := len(r.plan.tables) * ((r.Rows + chunk - 1) / chunk)
		if r.Gap == evidence.Forbidden {
			pages, children = 1, 0
		}
		counts := 2
		if r.plan.grows || r.plan.single || r.Gap == evidence.Forbidden {
			counts = 0
		}
		out.First.Requests += pages + children + counts
		// A full page takes some 25 ms more than an empty one (500 rows of ten
		// fields), a chunk of child rows about as long as an idle read.
		out.First.ServerSeconds += float64(pages)*per + float64(r.Rows)/page*0.025 + float64(children+counts)*per
		if r.plan.timeline && r.plan.doctype != "Task" {
			timelines += r.Rows
		} else if r.plan.timeline {
			timelines += r.Rows / 10 // sign-offs among tasks
		}
	}
	out.First.Requests += timelines
	out.First.ServerSeconds += float64(timelines) * 0.09 // measured on version 15
}

// automatic roles are given to everybody of a kind.
var automatic = []string{"All", "Guest", "Desk User"}

// advise draws the conclusions.
func (s *Site) advise(out *Report, st frappe.Stats) {
	d := &s.found
	var missing []string
	degraded := map[string]bool{}
	for _, r := range out.Streams {
		if r.Gap == "" {
			continue
		}
		for _, c := range r.Degrades {
			degraded[c] = true
		}
		if r.Gap == evidence.Forbidden {
			missing = append(missing, r.Stream)
		}
	}
	for _, p := range out.Mapping {
		if p.Fatal {
			for c := range strings.FieldsSeq(criteriaOf[p.Kind]) {
				degraded[c] = true
			}
		}
	}
	out.Degraded = sortedKeys(degraded)
	slices.Sort(missing)

	if d.User == "Administrator" {
		out.Excess = append(out.Excess, "the key is Administrator's: it can do everything")
	}
	if d.has("System Manager") {
		out.Excess = append(out.Excess, "the user has the role System Manager: it can change users, rights and settings")
	}
	if d.User != "Administrator" {
		out.Excess = append(out.Excess, s.writes(out.Streams)...)
	}
	own := slices.DeleteFunc(slices.Clone(d.Roles), func(r string) bool { return slices.Contains(automatic, r) })
	if d.Roles != nil && len(own) == 0 && d.User != "Administrator" {
		out.Warnings = append(out.Warnings, "the user has no role besides the automatic ones; a Role Profile on the user discards roles that are added by hand: empty that field, or add the role to the profile")
	}
	for _, by := range sortedKeys(d.Confined) {
		out.Warnings = append(out.Warnings, fmt.Sprintf("a User Permission confines the user to %d records of %s: lists come shortened at status 200", len(d.Confined[by]), by))
	}
	if !d.seesMails() {
		out.Warnings = append(out.Warnings, "lists hide e-mails from this user; they are read from the timelines of projects, leads and sign-offs instead (the role Super Email User would save those requests)")
	}
	if !d.seesFiles() {
		out.Warnings = append(out.Warnings, "lists show a Website User only its own files; attachments are read from timelines instead")
	}
	if st.SkewKnown && (st.Skew > 5*time.Minute || st.Skew < -5*time.Minute) {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the site's clock is %s off ours", st.Skew))
	}
	if !out.TLS {
		out.Warnings = append(out.Warnings, "the site is read without TLS: the key can be read by anybody on the way")
	}
	if left := st.CertificateExpires.Sub(s.now()); !st.CertificateExpires.IsZero() && left < 21*24*time.Hour {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the site's certificate ends on %s", st.CertificateExpires.Format(time.DateOnly)))
	}
	out.Steps = steps(d, missing, len(out.Excess) > 0)
	out.Health = OK
	fatal := slices.ContainsFunc(out.Mapping, func(p Problem) bool { return p.Fatal })
	if len(out.Degraded) > 0 || fatal {
		out.Health = Degraded
	}
}

// writes lists what the user's roles may change.
func (s *Site) writes(streams []StreamReport) []string {
	byRole := map[string][]string{}
	for _, r := range streams {
		meta := r.plan.meta
		if meta == nil {
			continue
		}
		for _, p := range meta.Permissions {
			if (p.Write || p.Create || p.Delete) && !p.IfOwner && p.Role != "All" && p.Role != "Guest" && slices.Contains(s.found.Roles, p.Role) &&
				!slices.Contains(byRole[p.Role], r.Stream) {
				byRole[p.Role] = append(byRole[p.Role], r.Stream)
			}
		}
	}
	var out []string
	for _, role := range sortedKeys(byRole) {
		slices.Sort(byRole[role])
		list := byRole[role]
		more := ""
		if len(list) > 8 {
			more = fmt.Sprintf(" and %d more", len(list)-8)
			list = list[:8]
		}
		out = append(out, fmt.Sprintf("the role %s may change %s%s: reading needs none of it", role, strings.Join(list, ", "), more))
	}
	return out
}

// readerRole is the name of the role in the steps below.
const readerRole = "PMM Evidence Reader"

// steps are what a person of the partner does in the desk. A key that reads all
// it should and no more needs none.
func steps(d *discovery, missing []string, excess bool) []string {
	var out []string
	role := readerRole
	for _, r := range d.Roles {
		if strings.Contains(r, "Evidence") || strings.Contains(r, "Reader") {
			role = r
		}
	}
	if excess || !d.has(role) {
		role = readerRole
		out = append(out,
			"Open Role List, New: name \""+role+"\", take the tick out of Desk Access, save.",
			"Open User List, New: an address made for this purpose, no welcome mail; under Roles tick \""+role+"\" alone. Leave Role Profile empty: it would discard the role. Save.")
	}
	for i, doctype := range missing {
		if i == 0 {
			out = append(out, fmt.Sprintf("Open Role Permissions Manager, Add a New Rule: Document Type %s, Role \"%s\", Permission Level 0; then take out every tick but Read.", doctype, role))
			continue
		}
		out = append(out, fmt.Sprintf("The same for %s.", doctype))
	}
	if slices.Contains(missing, "HD Ticket") || d.Versions[helpdesk] != "" && d.Roles != nil && !d.has("Agent", "Agent Manager", "System Manager") {
		out = append(out, "Give the user the role Agent besides: without it Helpdesk shows no ticket, and says so to nobody.")
	}
	if excess || !d.has(role) {
		out = append(out, "Open the user, Settings, API Access, Generate Keys; put key and secret into the configuration.")
	}
	for i, by := range sortedKeys(d.Confined) {
		if i == 0 {
			out = append(out, fmt.Sprintf("Open User Permission List, filter by the user, delete the rows on %s.", by))
		}
	}
	return out
}
