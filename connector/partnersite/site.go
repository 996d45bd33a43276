package partnersite

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// Options say which site is read, and how. Key and Mapping are required.
type Options struct {
	Partner string         // for log lines
	Key     string         // of the site in the configuration; goes into every Ref
	URL     string         // for links
	Zone    *time.Location // nil: the site is asked
	Purpose config.Purpose // "" is all
	// Mapping is the partner's own; the defaults for the site's apps stand
	// beneath it.
	Mapping config.Mapping
	// MailDomains are the partner's own, lower case. They tell sent from
	// received where the site does not; without any, such a mail has no
	// direction.
	MailDomains []string

	DeleteBrake   float64       // share (0 to 1) of a stream that may vanish at once; 0 is 0.2
	ScanEvery     time.Duration // how often all records are compared; 0 is 24 h
	TimelineEvery time.Duration // how often timelines of open records are read again; 0 is 6 h

	Logger   *slog.Logger     // nil is silent
	Clock    func() time.Time // nil is time.Now
	Progress Progress         // nil: nobody is told
}

// Progress is told how far a read has come. Its methods are called one at a
// time.
type Progress interface {
	// Stream begins a stream of about total rows; total is negative when nobody
	// knows.
	Stream(name string, total int)
	// Rows tells that n more rows of the stream were read and kept.
	Rows(name string, n int)
	// Done ends the stream; err says why it ended early, nil that it is whole.
	Done(name string, err error)
}

// Cursor tells where a stream stands. Stamp and Name are those of the last row,
// as the site spelled them.
type Cursor struct {
	Stream       string
	Stamp        string
	Name         string
	Fields       string    // digest of what is kept of a row; another one means reading anew
	LastSuccess  time.Time // last read that reached the end
	LastComplete time.Time // last read or comparison of all rows; zero: the first is not done
}

// Batch is a part of what was read. It is kept whole or not at all: documents
// without their cursor are read again, a cursor without its documents loses them.
type Batch struct {
	Documents []evidence.Document
	Cursors   []Cursor
}

// Sink keeps a batch in one transaction. An error ends the read of the site.
// It is called by one goroutine at a time.
type Sink func(ctx context.Context, b Batch) error

// Head is the newest version of a record that history holds as present.
type Head struct{ Name, Stamp, Hash string }

// Cached is something asked seldom, kept between runs.
type Cached struct {
	Stamp   string
	Fetched time.Time
	Body    string
}

// History is what earlier reads of this site left behind. Its methods may be
// called by several goroutines at once.
type History interface {
	// Cursor returns where a stream stands; false when it was never read.
	Cursor(ctx context.Context, stream string) (Cursor, bool, error)
	// Heads returns the records of the doctype that are held as present.
	Heads(ctx context.Context, doctype string) ([]Head, error)
	// Cached returns what Keep kept under the item; false when there is nothing.
	Cached(ctx context.Context, item string) (Cached, bool, error)
	// Keep remembers a cached item.
	Keep(ctx context.Context, item string, c Cached) error
	// Released reports whether a person has let through the deletions of the
	// stream that a Braked gap has held since that instant.
	Released(ctx context.Context, stream string, since time.Time) (bool, error)
}

// Reach is what a read could see of its site, and what it cost.
type Reach struct {
	Site evidence.Site `json:"site"`
	// DateFormat is the site's display format, in which its versions keep dates.
	DateFormat string `json:"date_format,omitempty"`
	// Gaps are sorted by stream. An Unreachable gap says that the newest read
	// failed; whether what is held is too old is for the reader of the gap.
	Gaps []evidence.Gap `json:"gaps,omitempty"`
	// Coverage holds one entry for each stream, sorted. Rows, Oldest and Newest
	// are for whoever holds the documents to fill in.
	Coverage []evidence.Coverage `json:"coverage,omitempty"`
	Warnings []string            `json:"warnings,omitempty"`
	Work     Work                `json:"-"`
}

// Work is what a read cost.
type Work struct {
	Requests      int
	ServerSeconds float64 // of the site's time, as seen from here
	Rows          int     // read, those of child tables left out
	Documents     int     // handed to the sink
	Took          time.Duration
}

// Site reads one site of a partner. It is made for one read at a time: Poll,
// Scan and Doctor wait for each other. Nothing that it does writes to the site.
type Site struct {
	client *frappe.Client
	o      Options
	now    func() time.Time
	log    *slog.Logger

	mu        sync.Mutex // one read at a time
	found     discovery
	metas     map[string]knownMeta
	recent    map[string]map[string]mark // rows of the overlap that were read before
	timelines map[string]*timeline       // by doctype; those read from timelines
	since     map[string]time.Time       // when a gap was first seen
	// heldBefore is what the last read kept of comparisons.
	heldBefore map[string][]evidence.Gap
	recalled   bool // what earlier processes noted was loaded
	// otherRights: the user's rights have changed since the last read, so that
	// what was hidden may be shown.
	otherRights bool
}

// mark is what tells that a row has not changed since it was read.
type mark struct{ stamp, hash string }

// New returns a reader for the site that client speaks to. It sends nothing.
func New(client *frappe.Client, o Options) *Site {
	s := &Site{
		client: client, o: o, now: o.Clock, log: o.Logger,
		metas: map[string]knownMeta{}, recent: map[string]map[string]mark{},
		timelines: map[string]*timeline{}, since: map[string]time.Time{}, heldBefore: map[string][]evidence.Gap{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("partner", o.Partner, "site", o.Key)
	if s.o.DeleteBrake <= 0 {
		s.o.DeleteBrake = 0.2
	}
	if s.o.ScanEvery <= 0 {
		s.o.ScanEvery = 24 * time.Hour
	}
	if s.o.TimelineEvery <= 0 {
		s.o.TimelineEvery = 6 * time.Hour
	}
	return s
}
