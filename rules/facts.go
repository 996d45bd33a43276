package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules/measure"
)

// Kinds of evidence that facts ask for, spelled as in a partner's mapping.
const (
	kindHandover  = "handover"
	kindKickOff   = "kick_off"
	kindSteering  = "steering"
	kindToSupport = "to_support"
	kindAllHands  = "all_hands"
	kindAction    = "action"
	kindPlan      = "plan"
	kindStatus    = "status"
	kindReport    = "report"
	kindBANT      = "bant"
	kindScope     = "scope"
	kindTicket    = "ticket"
	kindDeal      = "deal"
)

// Doctypes that facts read without a mapping.
const (
	streamProject     = "Project"
	streamTask        = "Task"
	streamInvoice     = "Sales Invoice"
	streamOrder       = "Sales Order"
	streamMail        = "Communication"
	streamCertificate = "Partner Certificate"
	sitePRM           = "prm"
)

// world is the evidence of one judgement with what facts need to find their way
// in it: who belongs to which project, what could be read, which unknowns were
// met. It lives as long as one call of Judge and is not shared.
type world struct {
	in    *Input
	s     *evidence.Snapshot
	loc   *time.Location
	asOf  time.Time     // the cutoff where there is one, else the snapshot's instant
	today evidence.Date // of asOf
	began evidence.Date // first day of the partner's own work; zero when unknown
	cal   *calendar

	unknowns []Unknown
	ids      map[Unknown]int64
	readMemo map[site2stream]*Unknown
	kindMemo map[site2stream]*Unknown
	coverage map[string][]*evidence.Coverage // by stream
	gaps     map[string][]*evidence.Gap      // by stream; "" holds those of whole sites

	projects  []*project
	byProject map[evidence.Key]*project
	pops      map[string]*population
	customers map[site2name]*evidence.Customer

	indexed struct {
		sales, people, metrics bool
	}
	orders     map[site2name]*evidence.Order
	quotations map[site2name]*evidence.Quotation
	deals      map[site2name]*evidence.Deal
	leads      map[site2name]*evidence.Lead
	persons    map[string]*evidence.Person // by user
	reviews    map[evidence.Key]*evidence.Review
	forums     map[evidence.Key]map[string]bool // metrics reported for a review or meeting; "*" for an all-hands
	templates  map[site2name]string
	values     map[valueKey]*measure.Value
	figures    map[string][]*figure // by metric, in order of period
}

type site2stream struct{ site, stream string }

type site2name struct{ site, name string }

type valueKey struct {
	metric string
	period evidence.Period
}

func newWorld(in *Input) *world {
	s := in.Snapshot
	w := &world{
		in: in, s: s, loc: s.Location(), asOf: s.AsOf,
		ids: map[Unknown]int64{}, readMemo: map[site2stream]*Unknown{}, kindMemo: map[site2stream]*Unknown{},
		coverage: map[string][]*evidence.Coverage{}, gaps: map[string][]*evidence.Gap{},
		byProject: map[evidence.Key]*project{}, pops: map[string]*population{},
	}
	if !in.Cutoff.IsZero() && in.Cutoff.Before(w.asOf) {
		w.asOf = in.Cutoff
	}
	w.today = evidence.DateIn(w.asOf, w.loc)
	w.began = measure.Began(s)
	for i := range s.Coverage {
		c := &s.Coverage[i]
		w.coverage[c.Stream] = append(w.coverage[c.Stream], c)
	}
	for i := range s.Gaps {
		g := &s.Gaps[i]
		stream := g.Stream
		if stream == "*" {
			stream = ""
		}
		w.gaps[stream] = append(w.gaps[stream], g)
	}
	for _, gs := range w.gaps {
		slices.SortFunc(gs, func(a, b *evidence.Gap) int {
			return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Kind, b.Kind), a.Since.Compare(b.Since), cmp.Compare(a.Reason, b.Reason))
		})
	}
	for _, cs := range w.coverage {
		slices.SortFunc(cs, func(a, b *evidence.Coverage) int {
			return cmp.Or(cmp.Compare(a.Site, b.Site), a.LastSuccess.Compare(b.LastSuccess))
		})
	}
	w.cal = newCalendar(s)
	w.indexProjects()
	return w
}

// late reports whether the record came to be after the cutoff: it is kept, but
// does not count (S88).
func (w *world) late(r evidence.Ref) bool {
	if w.in.Cutoff.IsZero() {
		return false
	}
	if r.Created.IsZero() {
		return !r.Seen.IsZero() && r.Seen.After(w.in.Cutoff)
	}
	return r.Created.After(w.in.Cutoff)
}

// happened reports whether the day is set and not after the day of judgement.
func (w *world) happened(d evidence.Date) bool { return !d.IsZero() && !d.After(w.today) }

// unknown makes the CEL value for a fact that could not be had.
func (w *world) unknown(attribute string, u Unknown) ref.Val {
	u.Attribute = attribute
	return types.NewUnknown(w.unknownID(u), types.NewAttributeTrail(attribute))
}

func (w *world) unknownID(u Unknown) int64 {
	id, ok := w.ids[u]
	if !ok {
		w.unknowns = append(w.unknowns, u)
		id = int64(len(w.unknowns))
		w.ids[u] = id
	}
	return id
}

// known returns the unknowns behind a CEL unknown, sorted.
func (w *world) known(v *types.Unknown) []Unknown {
	var out []Unknown
	for _, id := range v.IDs() {
		if id >= 1 && int(id) <= len(w.unknowns) {
			out = append(out, w.unknowns[id-1])
		}
	}
	sortUnknowns(out)
	return out
}

func sortUnknowns(us []Unknown) {
	slices.SortFunc(us, func(a, b Unknown) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Site, b.Site),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Remedy, b.Remedy), a.Since.Compare(b.Since))
	})
}

func fromGap(g *evidence.Gap) *Unknown {
	reason := cleanText(g.Reason, 200)
	if reason == "" {
		reason = strings.ToLower(string(g.Kind))
	}
	return &Unknown{Stream: g.Stream, Site: g.Site, Kind: g.Kind, Reason: reason, Remedy: cmp.Or(g.Remedy, gapRemedy(g.Kind, g.Stream)), Since: g.Since}
}

func gapRemedy(k evidence.GapKind, stream string) string {
	switch k {
	case evidence.Unreachable:
		return "bring the site back; the next cycle reads on"
	case evidence.Unauthorized:
		return "give prmsync a valid API key"
	case evidence.Forbidden:
		return "grant the reader's role read on " + stream
	case evidence.Absent:
		return "say in the mapping where this is kept instead"
	case evidence.Unmapped:
		return "name a place for it in the partner's mapping"
	case evidence.Drifted:
		return "adjust the mapping to the site's fields"
	case evidence.Hidden:
		return "remove the restriction that hides rows of " + stream + " from the reader"
	case evidence.Stale:
		return "see why the stream is no longer read"
	case evidence.Braked:
		return "look at what vanished and release the brake"
	}
	return ""
}

// readable tells why silence in the stream proves nothing, or nil when it has
// been read whole. An empty site asks about all of the partner's sites: one
// that lacks the doctype does not matter while another has it.
func (w *world) readable(site, stream string) *Unknown {
	key := site2stream{site, stream}
	if u, ok := w.readMemo[key]; ok {
		return u
	}
	u := w.readableUncached(site, stream)
	w.readMemo[key] = u
	return u
}

func (w *world) readableUncached(site, stream string) *Unknown {
	var absentHere *Unknown
	for _, name := range []string{stream, ""} {
		for _, g := range w.gaps[name] {
			if site != "" && g.Site != "" && g.Site != site {
				continue
			}
			u := fromGap(g)
			u.Stream = stream
			if g.Kind == evidence.Absent {
				absentHere = u
				continue
			}
			return u
		}
	}
	found := false
	for _, c := range w.coverage[stream] {
		if site != "" && c.Site != site {
			continue
		}
		found = true
		switch {
		case !c.Complete:
			return &Unknown{Stream: stream, Site: c.Site, Reason: "it has not been read completely yet", Remedy: "wait for the first complete read"}
		case w.stale(c):
			return &Unknown{
				Stream: stream, Site: c.Site, Kind: evidence.Stale, Reason: "the last complete read is older than " + spanText(w.in.StaleAfter),
				Remedy: gapRemedy(evidence.Stale, stream), Since: c.LastSuccess,
			}
		}
	}
	switch {
	case found:
		return nil
	case absentHere != nil:
		return absentHere
	}
	return &Unknown{Stream: stream, Site: site, Reason: "it was never read", Remedy: "run prmsync doctor to see which reads are missing"}
}

func (w *world) stale(c *evidence.Coverage) bool {
	last := c.LastSuccess
	if c.LastComplete.After(last) {
		last = c.LastComplete
	}
	return !last.IsZero() && w.s.AsOf.Sub(last) > w.in.StaleAfter
}

// readThrough returns the instant up to which silence in the kind's places is
// proven: the oldest of their last reads; zero when none is recorded.
func (w *world) readThrough(streams []string) time.Time {
	var out time.Time
	for _, st := range streams {
		for _, c := range w.coverage[st] {
			last := c.LastSuccess
			if c.LastComplete.After(last) {
				last = c.LastComplete
			}
			if !last.IsZero() && (out.IsZero() || last.Before(out)) {
				out = last
			}
		}
	}
	return out
}

// readableKind tells why silence about a kind of evidence proves nothing as far
// as reading goes: nobody said where it is kept, or a place was not readable.
func (w *world) readableKind(site, kind string) *Unknown {
	key := site2stream{site, kind}
	if u, ok := w.kindMemo[key]; ok {
		return u
	}
	u := w.readableKindUncached(site, kind)
	w.kindMemo[key] = u
	return u
}

func (w *world) readableKindUncached(site, kind string) *Unknown {
	ch, ok := w.s.Channels[kind]
	if !ok || !ch.Mapped {
		for _, g := range w.gaps["kind:"+kind] {
			return fromGap(g)
		}
		return &Unknown{Stream: "kind:" + kind, Kind: evidence.Unmapped, Reason: "nobody has said where " + kindWords(kind) + " is kept", Remedy: "name a place for " + kind + " in the partner's mapping"}
	}
	streams := ch.Ruling
	if len(streams) == 0 {
		streams = ch.Streams
	}
	var missing *Unknown
	have := false
	for _, st := range streams {
		u := w.readable(site, st)
		switch {
		case u == nil:
			have = true
		case u.Kind == evidence.Absent:
			missing = u
		default:
			return u
		}
	}
	if have || missing == nil && len(streams) > 0 {
		return nil
	}
	if missing != nil {
		return missing
	}
	return &Unknown{Stream: "kind:" + kind, Reason: "the mapping of " + kindWords(kind) + " names no place", Remedy: "name a place for " + kind + " in the partner's mapping"}
}

func kindWords(kind string) string { return strings.NewReplacer("_", " ", ".", " ").Replace(kind) }

// silence judges that nothing of a kind was found: nil when that proves that
// there is nothing, else why it does not. Silence counts only in a channel that
// the partner declared complete (authoritative) and that could be read whole.
func (w *world) silence(site, kind string) *Unknown {
	if u := w.readableKind(site, kind); u != nil {
		return u
	}
	if !w.s.Channels[kind].Authoritative {
		return &Unknown{
			Stream: "kind:" + kind, Site: site, Reason: "nothing was found, and the partner has not declared that all " + kindWords(kind) + " records are kept there",
			Remedy: "enter it there, or declare the channel authoritative for " + kind + " in the mapping",
		}
	}
	return nil
}

// silenceOn is silence about something that was due on a day: a read that is
// older than the end of that day proves nothing about it.
func (w *world) silenceOn(site, kind string, due evidence.Date) *Unknown {
	if u := w.silence(site, kind); u != nil {
		return u
	}
	ch := w.s.Channels[kind]
	if t := w.readThrough(ch.Streams); !t.IsZero() && t.Before(due.AddDays(1).Start(w.loc)) && w.asOf.After(t) {
		return &Unknown{Stream: "kind:" + kind, Site: site, Reason: "its places were last read before it was due", Remedy: "wait for the next complete read", Since: t}
	}
	return nil
}

// lookup answers with yes where something was found; otherwise with no where
// silence counts, and with an unknown where it does not.
func (w *world) lookup(found bool, attribute, site, kind string) ref.Val {
	if found {
		return types.True
	}
	if u := w.silence(site, kind); u != nil {
		return w.unknown(attribute, *u)
	}
	return types.False
}

// population is what a criterion's for_each walks over.
type population struct {
	t     *factType
	items []subject
	// open names why the list may lack entries; a miss among those seen still is one.
	open []Unknown
	// blocks names why nothing can be said at all, whatever the entries show.
	blocks []Unknown
}

// subject is one element of a population.
type subject struct {
	val   ref.Val
	ref   evidence.Ref // zero for a week or a department
	label string
	site  string // "" for what belongs to the company
}

// calendar counts working days by the partner's holiday list.
type calendar struct {
	agreement evidence.Agreement
	list      evidence.Calendar
	has       bool
}

func newCalendar(s *evidence.Snapshot) *calendar {
	c := &calendar{}
	c.list, c.has = measure.HouseCalendar(s)
	for _, a := range s.Agreements {
		if a.Enabled && a.Default {
			c.agreement = a
			break
		}
	}
	return c
}

func (c *calendar) workingDays(from, to evidence.Date) int {
	return measure.WorkingDays(c.agreement, c.list, from, to)
}

var calendarType = newFactType("Calendar", "The partner's working days; an argument of working_days().")

// cleanText makes foreign text safe to show: valid UTF-8, no control
// characters, no direction marks, at most n runes.
func cleanText(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0xfeff:
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	count := 0
	for i := range s {
		if count == n {
			return strings.TrimSpace(s[:i]) + "…"
		}
		count++
	}
	return s
}

func spanText(d time.Duration) string {
	if d >= time.Hour && d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return d.String()
}
