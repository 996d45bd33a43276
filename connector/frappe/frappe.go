// Package frappe speaks to one Frappe site over REST: authentication, lists,
// paging, pacing, time zones, timelines, writes and typed errors. It knows
// nothing of partners, evidence or the PRM; what documents mean belongs above.
package frappe

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// Secret is a string that prints and logs as "redacted".
type Secret string

// String returns "redacted".
func (Secret) String() string { return "redacted" }

// GoString returns a redacted Go expression.
func (Secret) GoString() string { return `frappe.Secret("redacted")` }

// LogValue returns "redacted".
func (Secret) LogValue() slog.Value { return slog.StringValue("redacted") }

// MarshalText returns "redacted", so that no encoder writes the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("redacted"), nil }

// Config is what New needs to know about a site. URL, Key and Secret are
// required; every other zero value stands for the default beside it.
type Config struct {
	URL    string // "https://erp.acme.example": scheme and host, nothing behind
	Key    Secret // API key of the user to read or write as
	Secret Secret // API secret of that user

	// ReadOnly makes the transport refuse every verb but GET, whatever the
	// caller asks for. It is how partners' sites are opened.
	ReadOnly bool
	// AllowPrivateNetwork permits plain http and addresses that are not on the
	// public internet: loopback, RFC 1918, link-local, CGNAT, ULA. Without it
	// they are refused when the connection is dialled.
	AllowPrivateNetwork bool
	CAFile              string        // PEM bundle trusted beside the system's roots
	Proxy               string        // explicit proxy URL; the environment's proxies are never used
	Resolver            *net.Resolver // nil is the system's

	Logger *slog.Logger     // nil is silent
	Clock  func() time.Time // nil is time.Now

	Concurrency int // requests in flight, 2

	ConnectTimeout time.Duration // TCP and TLS, 10 s each
	ReplyTimeout   time.Duration // a whole exchange, 130 s (Frappe gives up after 120 s)
	MaxBody        int64         // bytes of a reply after decompression, 16 MiB
	MaxFile        int64         // bytes of a downloaded file, 64 MiB

	Retries  int           // repetitions of a failed read, 3; negative is none
	MaxWait  time.Duration // longest pause before a repetition, 30 s; a longer one is an error with RetryAfter
	MinWait  time.Duration // first pause before a repetition, 500 ms, doubled each time, with jitter
	PageSize int           // rows of the first page, 500; it adapts between 20 and 2,000

	ServerSeconds float64       // seconds of the site's time to use per second, 1
	ServerBurst   time.Duration // how much of the site's time may be used at once, 30 s

	BreakerFailures uint32        // consecutive failures that open the breaker, 5
	BreakerPause    time.Duration // how long it stays open, 1 min
	CredentialPause time.Duration // silence after the key was refused, 15 min

	MetaTTL time.Duration // how long a doctype's meta is remembered, 1 h
}

// String names the site and no credential.
func (c Config) String() string { return "frappe.Config(" + siteName(c.URL) + ")" }

// GoString is String: a Config never prints its credentials.
func (c Config) GoString() string { return c.String() }

// LogValue logs the site alone.
func (c Config) LogValue() slog.Value { return slog.StringValue(siteName(c.URL)) }

// A Client talks to one site. It is safe for concurrent use; Close releases
// its connections.
type Client struct {
	cfg   Config        // without Key and Secret
	token func() string // the Authorization header; a function, because no formatting verb looks into one
	site  string        // scheme and host, as errors and logs name the site
	http  *resty.Client
	idle  func()
	log   *slog.Logger
	now   func() time.Time

	slots   chan struct{} // one per request in flight
	pace    *rate.Limiter // milliseconds of the site's time
	retries *rate.Limiter // budget of repetitions
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]

	quota quota
	gate  gate
	stats counters

	flight singleflight.Group
	mu     sync.Mutex
	metas  map[string]metaEntry
	pages  map[string]int
}

// New returns a client for the site of cfg. It sends nothing. All that is wrong
// with cfg is reported at once.
func New(cfg Config) (*Client, error) {
	var bad []error
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		bad = append(bad, errors.New("url: not an http(s) address; write it as https://host"))
	case u.User != nil:
		bad = append(bad, errors.New("url: carries a user name; give key and secret in their own fields"))
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		bad = append(bad, errors.New("url: has a path or a query; only scheme and host belong there"))
	case u.Scheme == "http" && !cfg.AllowPrivateNetwork:
		bad = append(bad, errors.New("url: plain http is refused; use https, or allow the private network for this site"))
	default:
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !cfg.AllowPrivateNetwork && !public(ip) {
			bad = append(bad, errors.New("url: the address is not on the public internet; allow the private network for this site if that is meant"))
		}
	}
	if cfg.Key == "" {
		bad = append(bad, errors.New("key: empty; create one under User > Settings > API Access"))
	}
	if cfg.Secret == "" {
		bad = append(bad, errors.New("secret: empty; create one under User > Settings > API Access"))
	}
	if strings.ContainsFunc(string(cfg.Key+cfg.Secret), func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
		bad = append(bad, errors.New("key or secret: holds a space, a colon, a line break or no ASCII; check how it was copied"))
	}
	var proxy *url.URL
	if cfg.Proxy != "" {
		proxy, err = url.Parse(cfg.Proxy)
		if err != nil || proxy.Host == "" {
			bad = append(bad, errors.New("proxy: not an address; write it as http://host:port"))
		}
	}
	if cfg.negative() {
		bad = append(bad, errors.New("limits: one of the counts, sizes, pauses or budgets is negative"))
	}
	cfg.setDefaults()
	roots, err := loadRoots(cfg.CAFile)
	if err != nil {
		bad = append(bad, err)
	}
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}

	token := "token " + string(cfg.Key+":"+cfg.Secret)
	cfg.Key, cfg.Secret = "", ""
	c := &Client{
		cfg:     cfg,
		token:   func() string { return token },
		site:    u.Scheme + "://" + u.Host,
		log:     cfg.Logger,
		now:     cfg.Clock,
		slots:   make(chan struct{}, cfg.Concurrency),
		pace:    rate.NewLimiter(rate.Limit(cfg.ServerSeconds*1000), max(int(cfg.ServerBurst/time.Millisecond), 1)),
		retries: rate.NewLimiter(0.2, 20),
		metas:   map[string]metaEntry{},
		pages:   map[string]int{},
	}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        c.site,
		MaxRequests: 1,
		Timeout:     cfg.BreakerPause,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= cfg.BreakerFailures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			c.log.Warn("breaker changed", "site", c.site, "from", from.String(), "to", to.String())
		},
		IsSuccessful: func(err error) bool { return !sick(err) },
		IsExcluded:   ours,
	})
	c.http, c.idle = newTransport(cfg, roots, proxy)
	return c, nil
}

// Close drops the idle connections. Requests under way end by themselves.
func (c *Client) Close() { c.idle() }

// String names the site and no credential.
func (c *Client) String() string { return "frappe.Client(" + c.site + ")" }

// GoString is String: a Client never prints its credentials.
func (c *Client) GoString() string { return c.String() }

// Site returns scheme and host of the site, as errors name it.
func (c *Client) Site() string { return c.site }

// ReadOnly reports whether the client refuses every verb but GET.
func (c *Client) ReadOnly() bool { return c.cfg.ReadOnly }

// negative reports whether a limit is below zero. Retries may be.
func (c *Config) negative() bool {
	return min(int64(c.Concurrency), int64(c.PageSize), c.MaxBody, c.MaxFile) < 0 || c.ServerSeconds < 0 ||
		min(c.ConnectTimeout, c.ReplyTimeout, c.MaxWait, c.MinWait, c.ServerBurst, c.BreakerPause, c.CredentialPause, c.MetaTTL) < 0
}

func (c *Config) setDefaults() {
	def(&c.Concurrency, 2)
	def(&c.ConnectTimeout, 10*time.Second)
	def(&c.ReplyTimeout, 130*time.Second)
	def(&c.MaxBody, 16<<20)
	def(&c.MaxFile, 64<<20)
	def(&c.Retries, 3)
	c.Retries = max(c.Retries, 0)
	def(&c.MaxWait, 30*time.Second)
	def(&c.MinWait, 500*time.Millisecond)
	def(&c.PageSize, 500)
	def(&c.ServerSeconds, 1)
	def(&c.ServerBurst, 30*time.Second)
	def(&c.BreakerFailures, 5)
	def(&c.BreakerPause, time.Minute)
	def(&c.CredentialPause, 15*time.Minute)
	def(&c.MetaTTL, time.Hour)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// siteName reduces a URL to scheme and host, so that neither a user name nor a
// query can be printed.
func siteName(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "unknown site"
	}
	return u.Scheme + "://" + u.Host
}
