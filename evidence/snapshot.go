package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Site is one partner site as it was at the snapshot's instant.
type Site struct {
	Key      string            `json:"key"`
	URL      string            `json:"url"`
	Zone     string            `json:"zone"` // IANA name
	Purpose  string            `json:"purpose"`
	Versions map[string]string `json:"versions,omitempty"` // app → version
}

// Link returns the address at which a person opens the record on its site, or
// "" when the site's URL is not http(s).
func (s Site) Link(r Ref) string {
	u, err := url.Parse(s.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	slug := strings.ToLower(strings.ReplaceAll(r.Doctype, " ", "-"))
	return strings.TrimRight(s.URL, "/") + "/app/" + url.PathEscape(slug) + "/" + url.PathEscape(r.Name)
}

// Channel says, for one mapped kind of evidence, whether it is mapped at all
// and whether silence in it counts.
type Channel struct {
	Mapped        bool     `json:"mapped"`
	Authoritative bool     `json:"authoritative"`
	Streams       []string `json:"streams,omitempty"` // doctypes it is read from
	// Ruling are those of Streams in which silence counts; empty: all of them.
	// What cannot be read of the others does not make silence meaningless.
	Ruling []string `json:"ruling,omitempty"`
}

// Snapshot is everything known about one partner at AsOf. Slices are sorted by
// Ref; two snapshots of the same store as of the same instant are equal byte
// for byte.
type Snapshot struct {
	Partner string    `json:"partner"`
	AsOf    time.Time `json:"as_of"` // UTC
	Zone    string    `json:"zone"`  // IANA name: in which days and weeks are counted
	Sites   []Site    `json:"sites"`

	Projects     []Project      `json:"projects,omitempty"`
	Tasks        []Task         `json:"tasks,omitempty"`
	SignOffs     []SignOff      `json:"sign_offs,omitempty"`
	Tickets      []Ticket       `json:"tickets,omitempty"`
	Reports      []MetricReport `json:"reports,omitempty"`
	Meetings     []Meeting      `json:"meetings,omitempty"`
	Reviews      []Review       `json:"reviews,omitempty"`
	Actions      []Action       `json:"actions,omitempty"`
	Messages     []Message      `json:"messages,omitempty"`
	Leads        []Lead         `json:"leads,omitempty"`
	Deals        []Deal         `json:"deals,omitempty"`
	Quotations   []Quotation    `json:"quotations,omitempty"`
	Orders       []Order        `json:"orders,omitempty"`
	Invoices     []Invoice      `json:"invoices,omitempty"`
	Contracts    []Contract     `json:"contracts,omitempty"`
	Customers    []Customer     `json:"customers,omitempty"`
	Attachments  []Attachment   `json:"attachments,omitempty"`
	Procedures   []Procedure    `json:"procedures,omitempty"`
	Agreements   []Agreement    `json:"agreements,omitempty"`
	Calendars    []Calendar     `json:"calendars,omitempty"`
	Certificates []Certificate  `json:"certificates,omitempty"`
	People       []Person       `json:"people,omitempty"`
	Trainings    []Training     `json:"trainings,omitempty"`
	Dashboards   []Dashboard    `json:"dashboards,omitempty"`
	Controls     []Control      `json:"controls,omitempty"`
	Feedback     []Feedback     `json:"feedback,omitempty"`
	Changes      []Change       `json:"changes,omitempty"`
	Deletions    []Deletion     `json:"deletions,omitempty"`

	// Channels says which kinds of evidence the partner's mapping covers;
	// its keys are the kinds of config.Mapping.
	Channels map[string]Channel `json:"channels,omitempty"`
	Gaps     []Gap              `json:"gaps,omitempty"`
	Coverage []Coverage         `json:"coverage,omitempty"`
}

// Location returns the zone in which the partner's days and weeks are counted;
// UTC when the name is unknown to this build.
func (s *Snapshot) Location() *time.Location {
	loc, err := time.LoadLocation(s.Zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// Today returns the civil date of AsOf in the partner's zone.
func (s *Snapshot) Today() Date { return DateIn(s.AsOf, s.Location()) }

// Missing returns the first gap in the stream, on any site, that makes silence
// in it meaningless. A Drifted gap does so as well: a field of it is unknown.
func (s *Snapshot) Missing(stream string) (Gap, bool) {
	i := slices.IndexFunc(s.Gaps, func(g Gap) bool { return g.Stream == stream })
	if i < 0 {
		return Gap{}, false
	}
	return s.Gaps[i], true
}

// Link returns the address of the record, or "" for an unknown site.
func (s *Snapshot) Link(r Ref) string {
	for _, site := range s.Sites {
		if site.Key == r.Site {
			return site.Link(r)
		}
	}
	return ""
}

// Digest is the SHA-256 of the snapshot's JSON in lower-case hex: equal digests
// mean equal evidence, gaps and coverage included.
func (s *Snapshot) Digest() (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("digest of %s's snapshot: %w", s.Partner, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
