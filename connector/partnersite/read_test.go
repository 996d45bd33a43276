package partnersite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/internal/frappetest"
	"github.com/prmsync/prmsync/internal/frappetest/sites"
)

// memory is a history in memory, with the rules of the real one: a batch is
// kept whole, an unchanged version is not kept twice.
type memory struct {
	mu       sync.Mutex
	versions map[evidence.Key][]evidence.Document
	cursors  map[string]partnersite.Cursor
	cache    map[string]partnersite.Cached
	released map[string]time.Time // stream → since when what is let through was held
	batches  int
	commits  int // documents that made a new version
	largest  int // documents of one batch
	failAt   int // the batch that fails, counted from 1
	seen     time.Time
}

func newMemory() *memory {
	return &memory{
		versions: map[evidence.Key][]evidence.Document{}, cursors: map[string]partnersite.Cursor{},
		cache: map[string]partnersite.Cached{}, released: map[string]time.Time{},
	}
}

func (m *memory) Cursor(_ context.Context, stream string) (partnersite.Cursor, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.cursors[stream]
	return c, ok, nil
}

func (m *memory) Heads(_ context.Context, doctype string) ([]partnersite.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []partnersite.Head
	for k, vs := range m.versions {
		if last := vs[len(vs)-1]; k.Doctype == doctype && !last.Gone {
			out = append(out, partnersite.Head{Name: k.Name, Stamp: last.Stamp, Hash: last.Hash})
		}
	}
	return out, nil
}

func (m *memory) Cached(_ context.Context, item string) (partnersite.Cached, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.cache[item]
	return c, ok, nil
}

func (m *memory) Keep(_ context.Context, item string, c partnersite.Cached) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cache[item] = c
	return nil
}

func (m *memory) Released(_ context.Context, stream string, since time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.released[stream]
	return ok && at.Equal(since), nil
}

var errDisk = errors.New("disk full")

func (m *memory) sink(_ context.Context, b partnersite.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	if m.batches == m.failAt {
		return errDisk
	}
	m.largest = max(m.largest, len(b.Documents))
	for _, d := range b.Documents {
		vs := m.versions[d.Key()]
		switch {
		case d.Gone && len(vs) == 0:
			continue
		case len(vs) > 0 && vs[len(vs)-1].Gone == d.Gone && vs[len(vs)-1].Hash == d.Hash && vs[len(vs)-1].Stamp == d.Stamp:
			continue
		case d.Gone:
			d.Hash, d.Stamp = vs[len(vs)-1].Hash, vs[len(vs)-1].Stamp
		}
		m.commits++
		d.Seen = m.seen
		m.versions[d.Key()] = append(vs, d)
	}
	for _, c := range b.Cursors {
		m.cursors[c.Stream] = c
	}
	return nil
}

// live returns the newest versions of the records of a doctype that are there.
func (m *memory) live(doctype string) map[string]evidence.Document {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]evidence.Document{}
	for k, vs := range m.versions {
		if last := vs[len(vs)-1]; k.Doctype == doctype && !last.Gone {
			out[k.Name] = last
		}
	}
	return out
}

func (m *memory) history(doctype, name string) []evidence.Document {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.versions[evidence.Key{Site: "erp", Doctype: doctype, Name: name}]
}

// bench is a site in memory with a reader at it.
type bench struct {
	t      testing.TB
	site   *frappetest.Site
	memory *memory
	now    time.Time
	reader *partnersite.Site
	opts   partnersite.Options
	key    string
	secret string
}

// loaded is the sample site's data, loaded once for all tests.
var loaded = sync.OnceValues(func() (*frappetest.State, error) {
	site, err := frappetest.NewSite(frappetest.SiteOptions{})
	if err != nil {
		return nil, err
	}
	if err := site.LoadFS(sites.Meridian()); err != nil {
		return nil, err
	}
	return site.Snapshot(), nil
})

func meridianMapping(t testing.TB) config.Mapping {
	t.Helper()
	m, err := config.LoadMapping("../../config/testdata/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// served serves the sample site and opens it as its reader, who knows its metas
// from an earlier visit and nothing else.
func served(t testing.TB) *bench {
	t.Helper()
	b := unknown(t)
	b.memory.cache["metas"] = visit(t).cache["metas"]
	return b
}

// unknown is served to a reader who has never been there.
func unknown(t testing.TB) *bench {
	t.Helper()
	state, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	site := frappetest.New(t, frappetest.SiteOptions{Host: "erp.meridian.example", TimeZone: "Europe/Berlin", Apps: []frappetest.App{
		{Name: "erpnext", Version: "15.71.1"}, {Name: "hrms", Version: "15.47.8"},
	}})
	site.Restore(state)
	b := &bench{
		t: t, site: site, memory: newMemory(), now: meridianAsOf, key: "meridian-reader", secret: "meridian-reader-secret",
		opts: partnersite.Options{Partner: "meridian", Key: "erp", Mapping: meridianMapping(t), MailDomains: []string{"meridian.example"}},
	}
	site.SetClock(func() time.Time { return b.now })
	b.open()
	return b
}

// once is what a first poll of the sample site left behind.
var once struct {
	sync.Once
	memory *memory
}

func visit(t testing.TB) *memory {
	t.Helper()
	once.Do(func() {
		b := unknown(t)
		b.poll()
		once.memory = b.memory
	})
	if once.memory == nil {
		t.Fatal("the first poll failed")
	}
	return once.memory
}

// polled is served after a first poll and a restart.
func polled(t testing.TB) *bench {
	t.Helper()
	b := unknown(t)
	b.memory = visit(t).clone()
	return b
}

func (m *memory) clone() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := newMemory()
	for k, vs := range m.versions {
		out.versions[k] = slices.Clip(vs)
	}
	out.cursors, out.cache = maps.Clone(m.cursors), maps.Clone(m.cache)
	return out
}

// open starts a reader anew, as a restart does.
func (b *bench) open() {
	b.t.Helper()
	client, err := frappe.New(frappe.Config{
		URL: b.site.URL(), Key: frappe.Secret(b.key), Secret: frappe.Secret(b.secret), ReadOnly: true,
		AllowPrivateNetwork: true, MinWait: time.Millisecond, Retries: -1, ServerSeconds: 1000, ServerBurst: time.Hour,
		Clock: func() time.Time { return b.now },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	o := b.opts
	o.URL, o.Clock = b.site.URL(), func() time.Time { return b.now }
	b.reader = partnersite.New(client, o)
}

func (b *bench) poll() partnersite.Reach {
	b.t.Helper()
	b.memory.seen = b.now
	r, err := b.reader.Poll(b.t.Context(), b.memory, b.memory.sink)
	if err != nil {
		b.t.Fatalf("Poll: %v", err)
	}
	return r
}

func (b *bench) scan() partnersite.Reach {
	b.t.Helper()
	b.memory.seen = b.now
	r, err := b.reader.Scan(b.t.Context(), b.memory, b.memory.sink)
	if err != nil {
		b.t.Fatalf("Scan: %v", err)
	}
	return r
}

func (b *bench) later(d time.Duration) { b.now = b.now.Add(d) }

// gapsOf returns the kinds of the stream's gaps.
func gapsOf(r partnersite.Reach, stream string) []evidence.GapKind {
	var out []evidence.GapKind
	for _, g := range r.Gaps {
		if g.Stream == stream {
			out = append(out, g.Kind)
		}
	}
	return out
}

// names reads the names in a file of documents.
func namesIn(t testing.TB, doctype string) []string {
	t.Helper()
	f, err := os.Open("testdata/meridian/docs/" + doctype + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var d struct{ Name string }
		if err := json.Unmarshal(s.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		out = append(out, d.Name)
	}
	slices.Sort(out)
	return out
}

func TestEveryStreamHoldsWhatTheSiteShows(t *testing.T) {
	t.Parallel()
	b := unknown(t)
	r := b.poll()
	for _, doctype := range []string{
		"Project", "Task", "Issue", "Quality Review", "Quality Action", "Quality Meeting", "Quality Goal", "Quality Procedure", "Non Conformance",
		"Customer Acceptance", "Customer Survey", "Weekly Metric", "Lead", "Opportunity", "Quotation", "Sales Order", "Sales Invoice",
		"Customer", "Contact", "Comment", "Version", "Deleted Document", "Event", "Project Template", "Project Update", "Task Type",
		"Timesheet", "Service Level Agreement", "Holiday List", "Assignment Rule", "Notification", "Dashboard", "Dashboard Chart",
		"Training Event", "ToDo", "Employee", "Support Settings",
	} {
		got := slices.Sorted(maps.Keys(b.memory.live(doctype)))
		if want := namesIn(t, doctype); !slices.Equal(got, want) {
			t.Errorf("%s: read %d records, the site holds %d; gaps %v", doctype, len(got), len(want), gapsOf(r, doctype))
		}
	}
}

func TestTheSecondPollReadsOnlyTheOverlap(t *testing.T) {
	t.Parallel()
	b := served(t)
	first := b.poll()
	commits := b.memory.commits
	b.later(15 * time.Minute)
	b.site.ResetRequests()
	second := b.poll()
	if b.memory.commits != commits {
		t.Errorf("the second poll committed %d documents, want none", b.memory.commits-commits)
	}
	readable := 0
	for _, c := range second.Coverage {
		if !c.LastSuccess.IsZero() && c.Stream != "File" {
			readable++
		}
		if c.Stream == "Task" && (!c.Complete || !c.LastSuccess.Equal(b.now)) {
			t.Errorf("coverage of Task = %+v, want complete and read just now", c)
		}
	}
	refused := 0
	for _, g := range second.Gaps {
		if g.Kind == evidence.Forbidden {
			refused++
		}
	}
	// The first refusal makes the client ask once who it is, to tell a lost key
	// from a lost right.
	if got, want := len(b.site.Requests()), readable+refused+1; got != want {
		t.Errorf("the idle poll sent %d requests, want %d: one for each stream, and the probe", got, want)
	}
	if second.Work.Rows > first.Work.Rows/20 {
		t.Errorf("the second poll read %d rows of %d, want the overlap alone", second.Work.Rows, first.Work.Rows)
	}
}
