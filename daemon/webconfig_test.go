package daemon_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prmsync/prmsync/daemon"
)

// Users of the web configuration: bcrypt of "open sesame" and of "another", at
// the lowest cost.
const (
	sesame  = "basic_auth_users:\n  reader: $2a$04$Sp16NVZ6/0RgICr3Rn3I8ealerpLz73UKo0BTObAbNOdIV.QsKT2u\n"
	another = "basic_auth_users:\n  reader: $2a$04$4G7S.0x.ljCnp.X7uROGbepxykjKYI97PSWKGc6yqSK5VLpQYFlJ.\n"
	overTLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
)

// certificate writes cert.pem and key.pem into the folder and returns a client
// that trusts them alone.
func certificate(t *testing.T, dir string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "prmsync"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), string(cert))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serving runs servers with the web configuration until the test ends.
func serving(t *testing.T, file string, log *slog.Logger) *daemon.Servers {
	t.Helper()
	s := &daemon.Servers{
		Listen: "127.0.0.1:0", Probe: "127.0.0.1:0", WebConfig: file, Gatherer: prometheus.NewRegistry(), Logger: log,
		Pages: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a page") }),
		Ready: func(context.Context) error { return nil },
	}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask returns the status of an answer; 0 is none.
func ask(t *testing.T, c *http.Client, url, password string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		req.SetBasicAuth("reader", password)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestTLSAndUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	client := certificate(t, dir)
	file := filepath.Join(dir, "web.yaml")
	write(t, file, overTLS+sesame)
	var log bytes.Buffer
	t.Cleanup(func() { // after the server has ended
		if strings.Contains(log.String(), "sesame") || strings.Contains(log.String(), "$2a$") {
			t.Errorf("the log shows a password: %s", &log)
		}
	})
	s := serving(t, file, slog.New(slog.NewTextHandler(&log, nil)))
	for _, path := range []string{"/metrics", "/", "/api/fleet"} {
		if got := ask(t, client, s.URL()+path, ""); got != http.StatusUnauthorized {
			t.Errorf("%s without a password answers %d", path, got)
		}
		if got := ask(t, client, s.URL()+path, "wrong"); got != http.StatusUnauthorized {
			t.Errorf("%s with a wrong password answers %d", path, got)
		}
		if got := ask(t, client, s.URL()+path, "open sesame"); got != http.StatusOK {
			t.Errorf("%s with the password answers %d", path, got)
		}
	}
	if got := ask(t, http.DefaultClient, s.URL()+"/metrics", "open sesame"); got != 0 {
		t.Errorf("a stranger to the certificate gets %d", got)
	}
	if got := ask(t, http.DefaultClient, strings.Replace(s.URL(), "https", "http", 1)+"/metrics", "open sesame"); got != http.StatusBadRequest {
		t.Errorf("without TLS it answers %d", got)
	}
	// Whoever watches the process has no password.
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := ask(t, http.DefaultClient, s.ProbeURL()+path, ""); got != http.StatusOK {
			t.Errorf("%s answers %d", path, got)
		}
	}
}

// What holds goes on to hold while the file is wrong, and a right one counts from
// the reload on.
func TestWebConfigIsReloadedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	client := certificate(t, dir)
	file := filepath.Join(dir, "web.yaml")
	write(t, file, overTLS+sesame)
	s := serving(t, file, nil)
	for _, bad := range []string{
		"basic_auth_users: [", overTLS + "basic_auth_users: {reader: plain}", "nobody_knows: 1", overTLS + "rate_limit: {interval: soon}",
		"tls_server_config: {cert_file: absent.pem, key_file: key.pem}\n" + sesame,
		sesame, // without TLS
	} {
		write(t, file, bad)
		if err := s.Reload(); !errors.Is(err, daemon.ErrWebConfig) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q is taken with %v", bad, err)
		}
		if got := ask(t, client, s.URL()+"/", "open sesame"); got != http.StatusOK {
			t.Errorf("after %q the old password answers %d", bad, got)
		}
		if got := ask(t, client, s.URL()+"/", ""); got != http.StatusUnauthorized {
			t.Errorf("after %q no password answers %d", bad, got)
		}
	}
	write(t, file, overTLS+another)
	if got := ask(t, client, s.URL()+"/", "another"); got != http.StatusUnauthorized {
		t.Errorf("before the reload the new password answers %d", got)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, client, s.URL()+"/", "another"); got != http.StatusOK {
		t.Errorf("the new password answers %d", got)
	}
	if got := ask(t, client, s.URL()+"/", "open sesame"); got != http.StatusUnauthorized {
		t.Errorf("the old password answers %d", got)
	}
	// A renewed certificate needs no reload.
	renewed := certificate(t, dir)
	if got := ask(t, renewed, s.URL()+"/", "another"); got != http.StatusOK {
		t.Errorf("with the renewed certificate it answers %d", got)
	}
}

// A wrong file is an error before anything is served, and repeats nothing of it.
func TestAWrongWebConfigEndsTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct{ give, want string }{
		"broken.yaml":  {"basic_auth_users: [", "line 1"},
		"plain.yaml":   {"basic_auth_users: {reader: hunter2}", "too short"},
		"misput.yaml":  {"basic_auth_users: hunter2", "a value"},
		"unknown.yaml": {"users: {}", "users"},
		"cert.yaml":    {overTLS, "cert.pem"},
		"half.yaml":    {"tls_server_config: {cert_file: cert.pem}", "missing one of key"},
		"head.yaml":    {"http_server_config: {headers: {X-Mine: hello}}", "X-Mine"},
	} {
		file := filepath.Join(dir, name)
		write(t, file, tt.give)
		s := &daemon.Servers{Listen: "127.0.0.1:0", Probe: "127.0.0.1:0", WebConfig: file}
		err := s.Open()
		if !errors.Is(err, daemon.ErrWebConfig) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error is %q, want %q in it", name, err, tt.want)
		}
	}
	s := &daemon.Servers{Listen: "127.0.0.1:0", Probe: "127.0.0.1:0", WebConfig: filepath.Join(dir, "absent")}
	if err := s.Open(); !errors.Is(err, daemon.ErrWebConfig) {
		t.Errorf("a file that is not there: %v", err)
	}
}
