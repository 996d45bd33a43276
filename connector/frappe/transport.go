package frappe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/go-resty/resty/v2"
)

// refusal is the transport's own no. It reaches the caller as an Error.
type refusal struct {
	category Category
	hint     string
}

func (r *refusal) Error() string { return r.hint }

// newTransport builds the only way to the site: no cookie jar, no redirects, no
// proxy but the configured one, HTTP/1.1 (so that two connections are two
// requests, and no header is printed by HTTP/2's own debugging), every address
// checked when it is dialled. The function returned closes idle connections.
func newTransport(cfg Config, roots *x509.CertPool, proxy *url.URL) (*resty.Client, func()) {
	guard := egress{private: cfg.AllowPrivateNetwork}
	dialer := &net.Dialer{
		Timeout:        cfg.ConnectTimeout,
		KeepAlive:      30 * time.Second,
		Resolver:       cfg.Resolver,
		ControlContext: guard.control,
	}
	dial := dialer.DialContext
	if proxy != nil {
		// A person named this proxy, and it resolves the site's name itself, so
		// the addresses dialled here are the proxy's own.
		dial = (&net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: 30 * time.Second, Resolver: cfg.Resolver}).DialContext
	}
	h1 := new(http.Protocols)
	h1.SetHTTP1(true)
	tr := &http.Transport{
		Proxy:                  http.ProxyURL(proxy), // nil: none, whatever the environment says
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    cfg.ConnectTimeout,
		ResponseHeaderTimeout:  cfg.ReplyTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        10 * time.Second, // nginx closes after 15 s
		MaxConnsPerHost:        cfg.Concurrency,
		MaxIdleConnsPerHost:    cfg.Concurrency,
		MaxIdleConns:           cfg.Concurrency,
		MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize:         32 << 10,
		Protocols:              h1,
	}
	if proxy == nil {
		tr.Proxy = nil
	}
	hc := &http.Client{
		Transport:     verbs{next: tr, readOnly: cfg.ReadOnly},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// Retries are ours: resty would repeat a POST whose connection dropped, and
	// leave open the bodies of failed tries. Nothing of it is ever logged, since
	// its log holds the header with the token.
	rc := resty.NewWithClient(hc).
		SetLogger(quiet{}).
		SetDisableWarn(true).
		SetDoNotParseResponse(true).
		SetHeader("User-Agent", "prmsync")
	return rc, tr.CloseIdleConnections
}

// quiet swallows resty's own log.
type quiet struct{}

func (quiet) Errorf(string, ...any) {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Debugf(string, ...any) {}

// verbs refuses what a read-only client must never send, at the last point that
// every request passes.
type verbs struct {
	next     http.RoundTripper
	readOnly bool
}

func (v verbs) RoundTrip(r *http.Request) (*http.Response, error) {
	if v.readOnly && r.Method != http.MethodGet {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, &refusal{ReadOnly, r.Method + " is refused: this site is opened for reading only"}
	}
	return v.next.RoundTrip(r)
}

// egress decides which addresses may be dialled. It runs after name resolution
// on every dial, so a name that changes its address between two looks gains
// nothing.
type egress struct{ private bool }

func (g egress) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6":
	default:
		return &refusal{RefusedAddress, "only TCP is dialled"}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &refusal{RefusedAddress, "the address to dial cannot be read"}
	}
	if metadata[unwrap(ap.Addr())] {
		return &refusal{RefusedAddress, "the site's name leads to a cloud metadata service"}
	}
	if !g.private && !public(ap.Addr()) {
		return &refusal{RefusedAddress, "the site's name leads to an address that is not on the public internet; set allow_private_network for this site if that is meant"}
	}
	return nil
}

// metadata addresses hand out credentials of the machine we run on. No site is
// ever there, so they stay refused where the private network is allowed.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.169.254"): true,
	netip.MustParseAddr("169.254.170.2"):   true,
	netip.MustParseAddr("100.100.100.200"): true,
	netip.MustParseAddr("fd00:ec2::254"):   true,
}

// notPublic lists what netip has no predicate for: IANA's special-purpose
// registries, and the prefixes that carry an IPv4 address inside.
var notPublic = func() (out []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
		"2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// unwrap strips the zone and the IPv4-mapped form.
func unwrap(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// public reports whether a belongs to the public unicast internet. Mapped,
// NAT64, 6to4 and Teredo forms of IPv4 addresses never do: they could name a
// private one, and no site needs them.
func public(a netip.Addr) bool {
	if a.Is4In6() {
		return false
	}
	a = unwrap(a)
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// loadRoots returns the system's roots with those of file added; nil, the
// system's alone, when file is empty.
func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM form", file)
	}
	return pool, nil
}
