package frappe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/prmsync/prmsync/connector/frappe"
)

// names is a DNS server on the loopback that answers A and AAAA with the next
// of the given addresses each time, the last for ever.
func names(t testing.TB, answers ...string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		n := map[dnsmessage.Type]int{}
		for {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			ip := net.ParseIP(answers[min(n[q.Type], len(answers)-1)])
			n[q.Type]++
			h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
			switch {
			case q.Type == dnsmessage.TypeA && ip.To4() != nil:
				m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte(ip.To4())}}}
			case q.Type == dnsmessage.TypeAAAA && ip.To4() == nil:
				m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip)}}}
			}
			if out, err := m.Pack(); err == nil {
				pc.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func guarded(t testing.TB, url string, r *net.Resolver) *frappe.Client {
	return client(t, url, func(c *frappe.Config) {
		c.AllowPrivateNetwork, c.Resolver, c.ConnectTimeout, c.Retries = false, r, 300*time.Millisecond, -1
	})
}

// TestRefusedAddresses: whatever name a site has, the address behind it decides.
func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{
		"127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.1.1", "100.64.0.1",
		"100.127.255.254", "0.0.0.0", "192.0.0.8", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
		"::1", "fe80::1", "fc00::1", "fd00:ec2::254", "::", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
		"2002:7f00:1::", "2001::1", "::127.0.0.1", "fec0::1", "2001:db8::1",
	} {
		t.Run(ip, func(t *testing.T) {
			t.Parallel()
			err := list(t, guarded(t, "https://site.example", names(t, ip)))
			if frappe.CategoryOf(err) != frappe.RefusedAddress {
				t.Errorf("got %v, want the address refused", err)
			}
		})
	}
}

// TestRefusedLiterals: an address written into the configuration is refused at
// once, in every spelling.
func TestRefusedLiterals(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:8.8.8.8]", "169.254.169.254", "[64:ff9b::a00:1]", "192.168.0.1:8000", "[fe80::1%25eth0]"} {
		if _, err := frappe.New(frappe.Config{URL: "https://" + host, Key: "k", Secret: "s"}); err == nil || !strings.Contains(err.Error(), "public internet") {
			t.Errorf("New with %s: %v, want it refused", host, err)
		}
	}
	for _, bad := range []string{"http://site.example", "ftp://site.example", "site.example", "", "https://", "https://u:p@site.example", "https://site.example/app", "https://site.example/?x=1"} {
		_, err := frappe.New(frappe.Config{URL: bad, Key: "k", Secret: "s"})
		if err == nil {
			t.Errorf("New with %q succeeds, want it refused", bad)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error repeats credentials: %v", err)
		}
	}
	_, err := frappe.New(frappe.Config{URL: "x", Proxy: "::", CAFile: "/nowhere"})
	for _, want := range []string{"url:", "key:", "secret:", "proxy:", "ca_file:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

// TestDNSRebind: a name that was public when it was first looked at and leads
// to the loopback afterwards is refused when it is dialled.
func TestDNSRebind(t *testing.T) {
	t.Parallel()
	inside := script(t, "u", status(200, oneRow))
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	// 192.0.2.0/24 is refused too, so a public address that nobody answers at
	// stands for the first look.
	c := guarded(t, "https://site.example:"+port, names(t, "93.184.215.14", "127.0.0.1"))
	first := frappe.CategoryOf(list(t, c))
	if first == frappe.RefusedAddress || first == "" {
		t.Errorf("first look: got %q, want a failure to connect", first)
	}
	if err := list(t, c); frappe.CategoryOf(err) != frappe.RefusedAddress {
		t.Errorf("second look: got %v, want the address refused", err)
	}
	if n := len(inside.requests()); n != 0 {
		t.Errorf("%d requests reached the inside", n)
	}
}

// TestMetadataAddress: where a site's private network is allowed, the metadata
// service of a cloud still is not.
func TestMetadataAddress(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{"169.254.169.254", "fd00:ec2::254", "100.100.100.200"} {
		c := client(t, "http://site.example", func(cfg *frappe.Config) { cfg.Resolver, cfg.ConnectTimeout = names(t, ip), 300*time.Millisecond })
		if err := list(t, c); frappe.CategoryOf(err) != frappe.RefusedAddress {
			t.Errorf("%s: got %v, want the address refused", ip, err)
		}
	}
}

// TestRedirectIsNotFollowed: neither inside nor elsewhere, and the token stays
// here.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := newStub(t, func(http.ResponseWriter, *http.Request) {})
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := script(t, "u", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/api/resource/Task?token="+testSecret)
			w.WriteHeader(code)
		})
		c := client(t, s.URL, writable)
		err := list(t, c)
		if frappe.CategoryOf(err) != frappe.Redirected || !strings.Contains(err.Error(), elsewhere.URL) || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%d: got %v, want a refused redirect naming its host alone", code, err)
		}
		if _, err := c.Insert(t.Context(), "Task", "", map[string]any{"subject": "x"}); frappe.CategoryOf(err) != frappe.Redirected {
			t.Errorf("%d: a write got %v, want a refused redirect", code, err)
		}
	}
	if n := len(elsewhere.requests()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestNoProxyFromTheEnvironment(t *testing.T) {
	proxy := newStub(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	for _, v := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(v, proxy.URL)
	}
	// The loopback is never proxied by the environment, so ask a name.
	s := script(t, "u", status(200, oneRow))
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c := client(t, "http://site.example:"+port, func(cfg *frappe.Config) { cfg.Resolver = names(t, "127.0.0.1") })
	if err := list(t, c); err != nil {
		t.Error(err)
	}
	if n := len(proxy.requests()); n != 0 {
		t.Errorf("%d requests went through the environment's proxy", n)
	}
}

func TestExplicitProxy(t *testing.T) {
	t.Parallel()
	var host string
	proxy := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		host = r.Host
		answer(w, 200, oneRow)
	})
	if err := list(t, client(t, "http://site.example", func(cfg *frappe.Config) { cfg.Proxy = proxy.URL })); err != nil {
		t.Fatal(err)
	}
	if host != "site.example" {
		t.Errorf("the proxy was asked for %q", host)
	}
}

// TestReadOnlyTransport: on a read-only client no verb but GET leaves the
// process, whichever way it is tried.
func TestReadOnlyTransport(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("%s reached the site", r.Method)
		}
		answer(w, 200, `{"data":{"name":"T1","modified":"2026-11-01 10:00:00"}}`)
	})
	c := client(t, s.URL)
	ctx := t.Context()
	tries := map[string]func() error{
		"insert": func() error { _, err := c.Insert(ctx, "Task", "", map[string]any{"a": "b"}); return err },
		"update": func() error {
			_, err := c.Update(ctx, "Task", "T1", "2026-11-01 10:00:00", map[string]any{"a": "b"})
			return err
		},
		"merge": func() error {
			_, _, err := c.UpdateMerged(ctx, "Task", "T1", func(frappe.Doc) (map[string]any, error) { return map[string]any{"a": "b"}, nil })
			return err
		},
		"many": func() error {
			_, err := c.InsertMany(ctx, "Task", "code", []map[string]any{{"code": "1"}})
			return err
		},
		"call": func() error { _, err := c.CallPost(ctx, "frappe.client.delete", nil); return err },
	}
	for name, try := range tries {
		if err := try(); frappe.CategoryOf(err) != frappe.ReadOnly {
			t.Errorf("%s: got %v, want it refused by the transport", name, err)
		}
	}
}

// TestNoCookies: Frappe sets a guest's sid on every answer, which would replace
// the key if it were sent back.
func TestNoCookies(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Cookie"); got != "" {
			t.Errorf("Cookie %q was sent", got)
		}
		if got, want := r.Header.Get("Authorization"), "token "+testKey+":"+testSecret; got != want {
			t.Errorf("Authorization %q, want %q", got, want)
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "Guest", Path: "/"})
		answer(w, 200, oneRow)
	})
	c := client(t, s.URL)
	for range 3 {
		if err := list(t, c); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGuestSendsNoKey: the login page is asked without the token.
func TestGuestSendsNoKey(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the key was sent to the login page")
		}
		page(200, `<script>frappe.boot = {"time_zone":{"system":"Europe/Berlin"}}</script>`)(w, r)
	})
	if _, err := client(t, s.URL).Locale(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCanary plants a key and a secret and looks for them in everything that
// can be printed: errors of every kind, debug logs, formatted values, JSON.
func TestCanary(t *testing.T) {
	var out bytes.Buffer
	var mu sync.Mutex
	write := func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&out, format+"\n", a...)
	}
	// What the standard log prints would be printed by a library behind our back.
	logs := &lockedWriter{w: &out, mu: &mu}
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(old)
	t.Setenv("GODEBUG", "http2debug=2,netdns=go")

	echo := func(w http.ResponseWriter, r *http.Request) {
		// A site in debug mode may repeat the header anywhere.
		h := r.Header.Get("Authorization")
		msg, _ := json.Marshal(map[string]string{"message": "you sent " + h})
		msgs, _ := json.Marshal([]string{string(msg)})
		body, _ := json.Marshal(map[string]any{"exc_type": "ValidationError", "exception": "ValidationError: " + h, "exc": h, "_server_messages": string(msgs), "_debug_messages": h, "_error_message": h, "message": h})
		answer(w, 417, string(body))
	}
	handlers := map[string]http.HandlerFunc{
		"echo": echo, "reset": reset(t), "half": halfBody(t), "502": page(502, "<html>"), "401": status(401, `{}`), "html": page(200, "<html>"),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x?"+r.Header.Get("Authorization"), http.StatusFound)
		},
		"ok": status(200, oneRow), "kind": func(w http.ResponseWriter, r *http.Request) {
			answer(w, 500, `{"exc_type":"`+r.Header.Get("Authorization")+`","exception":"`+r.Header.Get("Authorization")+`: x"}`)
		},
	}
	for name, h := range handlers {
		s := script(t, "", h)
		c := client(t, s.URL, writable, func(cfg *frappe.Config) {
			cfg.Logger = slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug - 8, AddSource: true}))
		})
		_, lerr := c.List(t.Context(), frappe.ListQuery{Doctype: "Task"})
		_, ierr := c.Insert(t.Context(), "Task", "code", map[string]any{"code": "1"})
		_, _, uerr := c.Upload(t.Context(), frappe.Attachment{Name: "a", Content: []byte("b"), Doctype: "Task", Docname: "T1"})
		_, derr := c.Download(t.Context(), "/private/files/a", io.Discard)
		for _, err := range []error{lerr, ierr, uerr, derr} {
			write("%s: %v %+v %#v %s", name, err, err, err, err)
			var e *frappe.Error
			if asError(err, &e) {
				write("%v %+v %#v %q", *e, *e, *e, e.Messages)
				slog.Error("x", "err", err, "e", *e)
			}
		}
		write("%v %+v %#v %s", c, c, c, c)
		write("%+v", struct{ c *frappe.Client }{c})
		write("%+v", c.Stats())
		slog.Info("x", "client", c)
	}
	cfg := frappe.Config{URL: "https://u:" + testSecret + "@x", Key: testKey, Secret: testSecret, Proxy: "http://u:" + testSecret + "@["}
	write("%v %+v %#v %s", cfg, cfg, cfg, cfg)
	slog.Info("x", "cfg", cfg, "key", cfg.Key, "secret", cfg.Secret)
	write("%v %+v %#v %s %q %x", cfg.Secret, cfg.Secret, cfg.Secret, cfg.Secret, cfg.Secret, cfg.Secret)
	if b, err := json.Marshal(cfg.Secret); err == nil {
		write("%s", b)
	}
	_, err := frappe.New(cfg)
	write("%v", err)

	mu.Lock()
	defer mu.Unlock()
	text := out.String()
	if len(text) < 5000 || !strings.Contains(text, "exchange") {
		t.Fatalf("only %d bytes were printed; the canary had nowhere to sing", len(text))
	}
	for _, secret := range []string{testSecret, testKey, fmt.Sprintf("%x", testSecret)} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("the canary sings: …%s…", text[max(0, i-200):min(len(text), i+60)])
		}
	}
}

type lockedWriter struct {
	w  io.Writer
	mu *sync.Mutex
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
