package partnersite

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/evidence"
)

// AssembleInput is everything that a snapshot is made from. Nothing else goes
// in: the same input gives the same bytes, whatever order the documents come in.
type AssembleInput struct {
	Partner string
	// Zone is the IANA zone in which the partner's days and weeks are counted;
	// "": that of the first site.
	Zone  string
	Sites []SiteInput // in the order of the configuration
	// PRM holds versions of the PRM's own documents about this partner, such as
	// Partner Certificate; their Ref.Site is "prm".
	PRM []evidence.Document
	// MailDomains are the partner's own domains, lower case; they tell sent from
	// received mails. Empty: those of the staff's user ids.
	MailDomains []string
	// AsOf is the instant that is described.
	AsOf time.Time
	// StaleAfter is the age of a stream's last successful read from which its
	// silence proves nothing; until then a site that does not answer is no gap.
	// Zero: neither.
	StaleAfter time.Duration
}

// SiteInput is what is held of one site.
type SiteInput struct {
	Site evidence.Site
	// DateFormat is the site's display format (System Settings), "dd.mm.yyyy":
	// its versions keep dates so. Empty: those texts are left as they are.
	DateFormat string
	// Documents are versions of records, in any order.
	Documents []evidence.Document
	// KnownAt hides versions seen after it; zero: all are used. A site that was
	// being read at AsOf is judged again to the byte with KnownAt set to AsOf,
	// although records created before it have come to light since. One that was
	// first read later has only what came later.
	KnownAt time.Time
	// Mapping is the partner's, already laid over the defaults.
	Mapping  config.Mapping
	Gaps     []evidence.Gap      // reach as known at AsOf
	Coverage []evidence.Coverage // reach as known at AsOf
}

// Assemble turns stored versions into the typed evidence of one partner as of
// an instant. It is pure and never fails: what cannot be read stays unset, and a
// field that is unreadable in many records is a Drifted gap.
func Assemble(in AssembleInput) evidence.Snapshot {
	snap := evidence.Snapshot{Partner: in.Partner, AsOf: in.AsOf.UTC(), Zone: in.Zone, Channels: channels(in.Sites)}
	if snap.Zone == "" && len(in.Sites) > 0 {
		snap.Zone = in.Sites[0].Site.Zone
	}
	for i := range in.Sites {
		s := newSite(&in, &in.Sites[i])
		snap.Sites = append(snap.Sites, s.in.Site)
		s.assemble(&snap)
		snap.Gaps = append(snap.Gaps, s.drifted()...)
		gaps, coverage := s.reach(in.StaleAfter)
		snap.Gaps = append(snap.Gaps, gaps...)
		snap.Coverage = append(snap.Coverage, coverage...)
	}
	if len(in.PRM) > 0 {
		s := newSite(&in, &SiteInput{Site: evidence.Site{Key: prmSite, Zone: snap.Zone}, Documents: in.PRM})
		s.certificates(&snap)
	}
	snap.Gaps = append(snap.Gaps, unmapped(snap.Channels)...)
	sortSnapshot(&snap)
	return snap
}

// prmSite is the key under which documents of the PRM are stored.
const prmSite = "prm"

// proofStreams are the doctypes that hold what stands behind a sign-off.
var proofStreams = map[string]string{proofFile: doctypeFile, proofMail: doctypeMail, proofContract: doctypeContract}

// channels joins the sites' mappings: one of them is enough to map a kind and
// to make its silence count.
func channels(sites []SiteInput) map[string]evidence.Channel {
	out := make(map[string]evidence.Channel, len(config.Kinds()))
	for _, kind := range config.Kinds() {
		var c evidence.Channel
		for i := range sites {
			for _, r := range sites[i].Mapping.Evidence[kind] {
				c.Mapped = true
				c.Authoritative = c.Authoritative || r.Authoritative
				streams := []string{r.Doctype}
				for _, p := range proofs(kind, r) {
					if doctype, ok := proofStreams[p]; ok {
						streams = append(streams, doctype)
					}
				}
				c.Streams = append(c.Streams, streams...)
				if r.Authoritative {
					c.Ruling = append(c.Ruling, streams...)
				}
			}
		}
		if c.Streams, c.Ruling = unique(c.Streams), unique(c.Ruling); len(c.Ruling) == len(c.Streams) {
			c.Ruling = nil
		}
		out[string(kind)] = c
	}
	return out
}

func unmapped(chs map[string]evidence.Channel) []evidence.Gap {
	var out []evidence.Gap
	for _, kind := range config.Kinds() {
		if !chs[string(kind)].Mapped {
			out = append(out, evidence.Gap{
				Stream: "kind:" + string(kind), Kind: evidence.Unmapped,
				Reason: fmt.Sprintf("nobody has said where %s is kept", kind),
				Remedy: fmt.Sprintf("name a doctype for %s in the partner's mapping", kind),
			})
		}
	}
	return out
}

// reach passes on what is known about the streams, with the extent of what is
// held of them. A site that did not answer is a gap only when the last good read
// has become too old; then every stream that is too old is one, whatever the
// cause.
func (s *site) reach(staleAfter time.Duration) ([]evidence.Gap, []evidence.Coverage) {
	stale := map[string]bool{}
	fresh := map[string]bool{}
	var gaps []evidence.Gap
	coverage := slices.Clone(s.in.Coverage)
	for i := range coverage {
		c := &coverage[i]
		c.Site = s.in.Site.Key
		docs := s.docs[c.Stream]
		c.Rows, c.Oldest, c.Newest = len(docs), time.Time{}, time.Time{}
		for j := range docs {
			d := docs[j].Document
			if !d.Created.IsZero() && (c.Oldest.IsZero() || d.Created.Before(c.Oldest)) {
				c.Oldest = d.Created
			}
			if d.Modified.After(c.Newest) {
				c.Newest = d.Modified
			}
		}
		if staleAfter <= 0 || c.LastSuccess.IsZero() {
			continue
		}
		if age := s.asOf.Sub(c.LastSuccess); age > staleAfter {
			stale[c.Stream] = true
			gaps = append(gaps, evidence.Gap{
				Site: s.in.Site.Key, Stream: c.Stream, Kind: evidence.Stale, Since: c.LastSuccess.Add(staleAfter).UTC(),
				Reason: fmt.Sprintf("last read %s ago, more than %s", age.Round(time.Minute), staleAfter),
				Remedy: "see why the site is not read",
			})
		} else {
			fresh[c.Stream] = true
		}
	}
	for _, g := range s.each(s.in.Gaps) {
		if g.Kind == evidence.Unreachable && fresh[g.Stream] || g.Kind == evidence.Stale && stale[g.Stream] {
			continue
		}
		g.Site = s.in.Site.Key
		gaps = append(gaps, g)
	}
	return gaps, coverage
}

// each spells out a gap of the whole site ("*" or no stream) as one of each
// stream that is read there: whoever asks for a stream need not know of it.
func (s *site) each(gaps []evidence.Gap) []evidence.Gap {
	var out []evidence.Gap
	for _, g := range gaps {
		if g.Stream != "*" && g.Stream != "" {
			out = append(out, g)
			continue
		}
		mapped := s.in.Mapping.Doctypes()
		doctypes := slices.Clone(mapped)
		for _, st := range streams {
			if st.serves&purposes(s.in.Site.Purpose) != 0 {
				doctypes = append(doctypes, st.doctype)
			}
		}
		for _, d := range unique(doctypes) {
			g.Stream = d
			out = append(out, g)
		}
	}
	return out
}

// newSite sorts out which version of each record holds as of the instant.
func newSite(in *AssembleInput, si *SiteInput) *site {
	s := &site{in: si, asOf: in.AsOf, loc: location(si.Site.Zone), docs: map[string][]record{}, bad: map[fieldKey]map[string]bool{}}
	s.today = evidence.DateIn(in.AsOf, s.loc)
	byDoctype := map[string][]int32{}
	for i := range si.Documents {
		if d := &si.Documents[i]; si.KnownAt.IsZero() || !d.Seen.After(si.KnownAt) {
			byDoctype[d.Doctype] = append(byDoctype[d.Doctype], int32(i))
		}
	}
	s.all = si.Documents
	if extra := s.resurrect(si.Documents, byDoctype[doctypeDeleted]); len(extra) > 0 {
		s.all = slices.Concat(si.Documents, extra) // the caller's slice stays as it is
		for i := len(si.Documents); i < len(s.all); i++ {
			byDoctype[s.all[i].Doctype] = append(byDoctype[s.all[i].Doctype], int32(i))
		}
	}
	for doctype, idx := range byDoctype {
		s.docs[doctype] = s.live(idx)
	}
	slices.SortFunc(s.gone, compareHistory)
	slices.SortFunc(s.edited, compareHistory)
	s.domains = in.MailDomains
	s.prepare()
	return s
}

// live groups versions by name and keeps the record that stood at the instant.
func (s *site) live(idx []int32) []record {
	docs := s.all
	slices.SortFunc(idx, func(a, b int32) int {
		x, y := &docs[a], &docs[b]
		if c := cmp.Compare(x.Name, y.Name); c != 0 {
			return c
		}
		if c := x.Seen.Compare(y.Seen); c != 0 {
			return c
		}
		return evidence.CompareVersions(*x, *y)
	})
	out := make([]record, 0, len(idx))
	var scratch []evidence.Document
	for i := 0; i < len(idx); {
		j := i + 1
		for j < len(idx) && docs[idx[j]].Name == docs[idx[i]].Name {
			j++
		}
		versions := idx[i:j]
		i = j
		doc, ok := &docs[versions[0]], true
		if len(versions) > 1 || doc.Seen.After(s.asOf) {
			scratch = scratch[:0]
			for _, k := range versions {
				scratch = append(scratch, docs[k])
			}
			var d evidence.Document
			if d, ok = evidence.AsOf(scratch, s.asOf, s.loc); !ok {
				continue
			}
			doc = &d
		}
		var history []*evidence.Document
		if len(versions) > 1 && !docs[versions[1]].Seen.After(s.asOf) {
			for _, k := range versions {
				if !docs[k].Seen.After(s.asOf) {
					history = append(history, &docs[k])
				}
			}
			s.edited = append(s.edited, history)
		}
		if doc.Gone {
			if history == nil {
				history = []*evidence.Document{doc}
			}
			s.gone = append(s.gone, history)
			continue
		}
		if doc.Site != s.in.Site.Key { // the caller's documents stay as they are
			d := *doc
			d.Site = s.in.Site.Key
			doc = &d
		}
		out = append(out, record{Document: doc, site: s, history: history})
	}
	return out
}

func compareHistory(a, b []*evidence.Document) int { return compareRefs(&a[0].Ref, &b[0].Ref) }

func location(zone string) *time.Location {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// assemble adds all that the site shows to the snapshot.
func (s *site) assemble(snap *evidence.Snapshot) {
	s.delivery(snap)
	s.support(snap)
	s.selling(snap)
	s.quality(snap)
	s.house(snap)
	s.people(snap)
	s.history(snap)
}

func sortSnapshot(s *evidence.Snapshot) {
	byRef(s.Projects, func(d *evidence.Project) *evidence.Ref { return &d.Ref })
	byRef(s.Tasks, func(d *evidence.Task) *evidence.Ref { return &d.Ref })
	byRef(s.SignOffs, func(d *evidence.SignOff) *evidence.Ref { return &d.Ref })
	byRef(s.Tickets, func(d *evidence.Ticket) *evidence.Ref { return &d.Ref })
	byRef(s.Reports, func(d *evidence.MetricReport) *evidence.Ref { return &d.Ref })
	byRef(s.Meetings, func(d *evidence.Meeting) *evidence.Ref { return &d.Ref })
	byRef(s.Reviews, func(d *evidence.Review) *evidence.Ref { return &d.Ref })
	byRef(s.Actions, func(d *evidence.Action) *evidence.Ref { return &d.Ref })
	byRef(s.Messages, func(d *evidence.Message) *evidence.Ref { return &d.Ref })
	byRef(s.Leads, func(d *evidence.Lead) *evidence.Ref { return &d.Ref })
	byRef(s.Deals, func(d *evidence.Deal) *evidence.Ref { return &d.Ref })
	byRef(s.Quotations, func(d *evidence.Quotation) *evidence.Ref { return &d.Ref })
	byRef(s.Orders, func(d *evidence.Order) *evidence.Ref { return &d.Ref })
	byRef(s.Invoices, func(d *evidence.Invoice) *evidence.Ref { return &d.Ref })
	byRef(s.Contracts, func(d *evidence.Contract) *evidence.Ref { return &d.Ref })
	byRef(s.Customers, func(d *evidence.Customer) *evidence.Ref { return &d.Ref })
	byRef(s.Attachments, func(d *evidence.Attachment) *evidence.Ref { return &d.Ref })
	byRef(s.Procedures, func(d *evidence.Procedure) *evidence.Ref { return &d.Ref })
	byRef(s.Agreements, func(d *evidence.Agreement) *evidence.Ref { return &d.Ref })
	byRef(s.Calendars, func(d *evidence.Calendar) *evidence.Ref { return &d.Ref })
	byRef(s.Certificates, func(d *evidence.Certificate) *evidence.Ref { return &d.Ref })
	byRef(s.People, func(d *evidence.Person) *evidence.Ref { return &d.Ref })
	byRef(s.Trainings, func(d *evidence.Training) *evidence.Ref { return &d.Ref })
	byRef(s.Dashboards, func(d *evidence.Dashboard) *evidence.Ref { return &d.Ref })
	byRef(s.Controls, func(d *evidence.Control) *evidence.Ref { return &d.Ref })
	byRef(s.Feedback, func(d *evidence.Feedback) *evidence.Ref { return &d.Ref })
	byRef(s.Deletions, func(d *evidence.Deletion) *evidence.Ref { return &d.Ref })
	stable(s.Changes, func(a, b *evidence.Change) int {
		if c := compareRefs(&a.Ref, &b.Ref); c != 0 {
			return c
		}
		return a.At.Compare(b.At)
	})
	slices.SortFunc(s.Gaps, func(a, b evidence.Gap) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Field, b.Field), a.Since.Compare(b.Since), cmp.Compare(a.Reason, b.Reason))
	})
	s.Gaps = slices.Compact(s.Gaps)
	slices.SortFunc(s.Coverage, func(a, b evidence.Coverage) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Stream, b.Stream))
	})
}

// byRef sorts documents by Ref. Several documents of one record keep the order
// in which they were made, which is that of the mapping's kinds and rules.
func byRef[T any](docs []T, ref func(*T) *evidence.Ref) {
	stable(docs, func(a, b *T) int { return compareRefs(ref(a), ref(b)) })
}

// compareRefs is Ref.Compare without copying.
func compareRefs(a, b *evidence.Ref) int {
	if c := cmp.Compare(a.Site, b.Site); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Doctype, b.Doctype); c != 0 {
		return c
	}
	return cmp.Compare(a.Name, b.Name)
}

// stable sorts large values by moving each of them once. Most slices come
// sorted already, as records are read in the order of their names.
func stable[T any](docs []T, compare func(a, b *T) int) {
	sorted := true
	for i := 1; i < len(docs) && sorted; i++ {
		sorted = compare(&docs[i-1], &docs[i]) <= 0
	}
	if sorted {
		return
	}
	order := make([]int, len(docs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(compare(&docs[a], &docs[b]), a-b) })
	out := make([]T, len(docs))
	for i, from := range order {
		out[i] = docs[from]
	}
	copy(docs, out)
}
