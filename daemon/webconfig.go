package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/exporter-toolkit/web"
)

// ErrWebConfig is what Open and Reload return for a web configuration that is
// wrong.
var ErrWebConfig = errors.New("PRMSYNC_WEB_CONFIG")

// webConfig hands the exporter toolkit its file. The toolkit reads it at every
// request and shuts everybody out while it is wrong; so it is given a copy, which
// is replaced by what was found right. Certificates stay where they are: the
// toolkit reads them at every connection, and a renewed one counts at once.
type webConfig struct {
	from string // the operator's file
	dir  string // of the copy; only this user can read it
	tls  bool
}

// openWebConfig checks and copies the file; the empty path is no configuration.
func openWebConfig(path string) (*webConfig, error) {
	c := &webConfig{from: path}
	if path == "" {
		return c, nil
	}
	if err := c.read(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// path is what the toolkit reads; "" is none.
func (c *webConfig) path() string {
	if c.dir == "" {
		return ""
	}
	return filepath.Join(c.dir, "web.yaml")
}

func (c *webConfig) close() {
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

// quoted is what an error of the toolkit repeats of the file: it may be a
// password at the wrong place.
var quoted = regexp.MustCompile("(?s)`.*`")

// read takes the operator's file over when it is right.
func (c *webConfig) read() error {
	wrong := func(err error) error {
		return fmt.Errorf("%w: %s: %s; docs/web.md tells what it may hold", ErrWebConfig, c.from, quoted.ReplaceAllString(err.Error(), "a value"))
	}
	if err := web.Validate(c.from); err != nil {
		return wrong(err)
	}
	text, err := os.ReadFile(c.from)
	if err != nil {
		return wrong(err)
	}
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return wrong(errors.New("it is no mapping of YAML"))
	}
	// Relative paths are meant from the operator's folder.
	dir, err := filepath.Abs(filepath.Dir(c.from))
	if err != nil {
		return wrong(err)
	}
	tls, _ := all["tls_server_config"].(map[string]any)
	for _, key := range []string{"cert_file", "key_file", "client_ca_file"} {
		if p, ok := tls[key].(string); ok && p != "" && !filepath.IsAbs(p) {
			tls[key] = filepath.Join(dir, p)
		}
	}
	if c.dir != "" && (len(tls) > 0) != c.tls {
		return wrong(errors.New("TLS is switched on or off by a restart, not while it runs"))
	}
	if text, err = yaml.Marshal(all); err != nil {
		return wrong(err)
	}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "prmsync-web-"); err != nil {
			return fmt.Errorf("copy of the web configuration: %w; name a folder that can be written in TMPDIR", err)
		}
	}
	next := c.path() + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("copy of the web configuration: %w", err)
	}
	if err := web.Validate(next); err != nil { // it may have changed meanwhile
		return wrong(err)
	}
	c.tls = len(tls) > 0
	return os.Rename(next, c.path())
}
