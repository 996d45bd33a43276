package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// prefix stands before the name of every variable.
const prefix = "PRMSYNC_"

// credentialsDirectory is set by systemd for a service with LoadCredential=.
const credentialsDirectory = "CREDENTIALS_DIRECTORY"

// variables is the environment as it stands there. Everything is text, so that
// reading it cannot fail at the first mistake and hide the others.
type variables struct {
	Config             string `env:"CONFIG, default=prmsync.yaml" doc:"file of partners, sites and mappings"`
	DatabaseURL        string `env:"DATABASE_URL, default=sqlite:prmsync.db" secret:"yes" doc:"sqlite:PATH or postgres://…"`
	PRMURL             string `env:"PRM_URL" doc:"address of the PRM; required wherever the PRM is read or written"`
	PRMAPIKey          string `env:"PRM_API_KEY" secret:"yes" doc:"API key of the PRM's runtime user; required with the address"`
	PRMAPISecret       string `env:"PRM_API_SECRET" secret:"yes" doc:"API secret of the PRM's runtime user; required with the address"`
	ProvisionAPIKey    string `env:"PROVISION_API_KEY" secret:"yes" doc:"API key of the provisioning user, for provision only"`
	ProvisionAPISecret string `env:"PROVISION_API_SECRET" secret:"yes" doc:"API secret of the provisioning user, for provision only"`
	SiteAPIKey         string `env:"SITE_API_KEY" secret:"yes" doc:"API key for check --url and doctor --url, which need no file"`
	SiteAPISecret      string `env:"SITE_API_SECRET" secret:"yes" doc:"API secret for check --url and doctor --url"`
	Listen             string `env:"LISTEN, default=127.0.0.1:9464" doc:"where metrics and the status page are served"`
	ProbeListen        string `env:"PROBE_LISTEN, default=127.0.0.1:9465" doc:"where /healthz and /readyz are served"`
	WebConfig          string `env:"WEB_CONFIG" doc:"exporter-toolkit file with TLS and users for the first listener"`
	Schedule           string `env:"SCHEDULE, default=@every 15m" doc:"when a site is polled that names no schedule of its own"`
	LogFormat          string `env:"LOG_FORMAT, default=auto" doc:"auto (text on a terminal, else json), json or text"`
	LogLevel           string `env:"LOG_LEVEL, default=info" doc:"debug, info, warn or error"`
}

// Variable describes one environment variable.
type Variable struct {
	Name    string // PRMSYNC_CONFIG
	Default string // "" for none
	Secret  bool   // may also come from NAME_FILE or a systemd credential
	Meaning string
}

// Variables returns every variable that prmsync reads, in the order of the
// documentation.
func Variables() []Variable {
	var out []Variable
	for f := range fields(reflect.TypeFor[variables]()) {
		name, fallback, _ := strings.Cut(f.Tag.Get("env"), ", default=")
		out = append(out, Variable{
			Name:    prefix + name,
			Default: fallback,
			Secret:  f.Tag.Get("secret") != "",
			Meaning: f.Tag.Get("doc"),
		})
	}
	return out
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// environment looks variables up and remembers what was wrong and what is secret.
type environment struct {
	lookuper envconfig.Lookuper
	errs     *Errors
	secrets  []string // every secret seen, so that no message can repeat one
}

func (e *environment) wrong(variable, problem, remedy string) {
	*e.errs = append(*e.errs, Mistake{Subject: variable, Problem: problem, Remedy: remedy})
}

// get is a variable that is set to something: an empty one counts as absent, as
// compose files and unit files leave many of them empty.
func (e *environment) get(name string) (string, bool) {
	text, ok := e.lookuper.Lookup(name)
	return text, ok && text != ""
}

// secret is the value of name from the variable, the file that NAME_FILE names,
// or the systemd credential of that name, in this order. ok is false where it is
// set nowhere; a problem never repeats what it found.
func (e *environment) secret(name string) (text string, ok bool, problem, remedy string) {
	text, direct := e.get(name)
	path, filed := e.get(name + "_FILE")
	switch {
	case direct && filed:
		e.secrets = append(e.secrets, text)
		return "", true, name + " and " + name + "_FILE are both set", "keep one of them"
	case direct:
	case filed:
		var err error
		if text, err = secretFile(path); err != nil {
			return "", true, fmt.Sprintf("%s_FILE names %s, which %v", name, shown(path), err), "name a file with the secret and nothing else"
		}
	default:
		dir, set := e.get(credentialsDirectory)
		if !set {
			return "", false, "", ""
		}
		var err error
		text, err = secretFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return "", false, "", ""
		}
		if err != nil {
			return "", true, "the credential " + name + " " + err.Error(), "give the unit a credential with the secret and nothing else"
		}
	}
	e.secrets = append(e.secrets, text)
	return text, true, "", ""
}

// fileError says about a file what follows the words "which" or "the file".
type fileError struct {
	text  string
	cause error
}

func (e fileError) Error() string { return e.text }
func (e fileError) Unwrap() error { return e.cause }

// secretFile is a file's text without the line end that editors and echo add.
func secretFile(path string) (string, error) {
	b, err := readFile(path, 64<<10)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fileError{text: "is empty"}
	}
	return text, nil
}

// readFile reads a file of at most limit bytes; its error reads on after the
// file's name ("does not exist").
func readFile(path string, limit int64) ([]byte, error) {
	// Opening a pipe would wait for somebody to write to it.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fileError{text: "does not exist", cause: err}
	case err != nil:
		return nil, fileError{text: "cannot be read", cause: err}
	case info.IsDir():
		return nil, fileError{text: "is a folder"}
	case !info.Mode().IsRegular():
		return nil, fileError{text: "is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		text := "cannot be read"
		if errors.Is(err, fs.ErrPermission) {
			text += " by this user"
		}
		return nil, fileError{text: text, cause: err}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fileError{text: "cannot be read", cause: err}
	case int64(len(b)) > limit:
		return nil, fileError{text: fmt.Sprintf("is larger than %d KiB", limit>>10)}
	}
	return b, nil
}

// read fills in everything that the environment says. PRM's private network is
// known only once the file was read, so its address is checked by prmAddress.
func (e *environment) read(ctx context.Context, needs Needs) (Settings, PRM) {
	secret := make(map[string]bool)
	for _, v := range Variables() {
		secret[v.Name] = v.Secret
	}
	unreadable := make(map[string]bool) // already reported, so not missing too
	var v variables
	err := envconfig.ProcessWith(ctx, &envconfig.Config{
		Target: &v,
		Lookuper: envconfig.PrefixLookuper(prefix, envconfig.LookuperFunc(func(name string) (string, bool) {
			if !secret[name] {
				return e.get(name)
			}
			text, ok, problem, remedy := e.secret(name)
			if problem != "" {
				unreadable[name] = true
				e.wrong(name, problem, remedy)
				return "", false
			}
			return text, ok
		})),
	})
	if err != nil {
		// Texts cannot fail to decode; whatever else it is, it must not be lost.
		e.wrong(strings.TrimSuffix(prefix, "_"), "the environment cannot be read", "report this as a bug")
	}

	s := Settings{
		ConfigPath:  v.Config,
		DatabaseURL: e.database(v.DatabaseURL),
		Listen:      e.listen("LISTEN", v.Listen),
		ProbeListen: e.listen("PROBE_LISTEN", v.ProbeListen),
		WebConfig:   v.WebConfig,
		LogFormat:   e.oneOf("LOG_FORMAT", v.LogFormat, "auto", "json", "text"),
		LogLevel:    e.level(v.LogLevel),
	}
	if s.Listen == s.ProbeListen && !strings.HasSuffix(s.Listen, ":0") {
		e.wrong(prefix+"PROBE_LISTEN", "it is the same as "+prefix+"LISTEN", "give the probes a port of their own")
	}
	if s.WebConfig != "" {
		if _, err := readFile(s.WebConfig, 1<<20); err != nil {
			e.wrong(prefix+"WEB_CONFIG", shown(s.WebConfig)+" "+err.Error(), "name an exporter-toolkit file, or unset it")
		}
	}
	when, problem, remedy := parseCron(v.Schedule)
	if problem != "" {
		e.wrong(prefix+"SCHEDULE", problem, remedy)
	}
	s.Schedule = Schedule{expression: v.Schedule, when: when}

	token := func(name, text string, needed bool) Secret {
		switch problem, remedy := tokenProblem(text); {
		case text == "" && needed && !unreadable[prefix+name]:
			e.wrong(prefix+name, "it is not set", "set it, "+prefix+name+"_FILE, or a systemd credential of that name")
		case text != "" && problem != "":
			e.wrong(prefix+name, problem, remedy)
		}
		return NewSecret(text)
	}
	s.SiteAPIKey = token("SITE_API_KEY", v.SiteAPIKey, needs.Site)
	s.SiteAPISecret = token("SITE_API_SECRET", v.SiteAPISecret, needs.Site)
	p := PRM{
		URL:                v.PRMURL,
		APIKey:             token("PRM_API_KEY", v.PRMAPIKey, needs.PRM),
		APISecret:          token("PRM_API_SECRET", v.PRMAPISecret, needs.PRM),
		ProvisionAPIKey:    token("PROVISION_API_KEY", v.ProvisionAPIKey, needs.Provisioning),
		ProvisionAPISecret: token("PROVISION_API_SECRET", v.ProvisionAPISecret, needs.Provisioning),
	}
	return s, p
}

// prmAddress checks the PRM's address and returns it in its one form.
func (e *environment) prmAddress(text string, private bool, needs Needs) string {
	name := prefix + "PRM_URL"
	if text == "" {
		if needs.PRM || needs.Provisioning {
			e.wrong(name, "it is not set", "set it to the PRM's address, as in https://prm.example.com")
		}
		return ""
	}
	if !needs.PRM && !needs.Provisioning && !needs.Partners {
		return text // the file, which may allow a private address, is not read
	}
	address, problem, remedy := siteAddress(text, private)
	if problem != "" {
		e.wrong(name, problem, strings.Replace(remedy, "allow_private_network", "prm.allow_private_network in the file", 1))
	}
	return address
}

// database never repeats its text, as it may hold a password.
func (e *environment) database(text string) Secret {
	const name, example = prefix + "DATABASE_URL", "write sqlite:PATH or postgres://user@host/database"
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		e.wrong(name, "it is not a database URL", example)
	case scheme == "sqlite":
		if strings.Trim(rest, "/") == "" {
			e.wrong(name, "it names no file", example)
		}
	case scheme == "postgres" || scheme == "postgresql":
		if u, err := url.Parse(text); err != nil || u.Host == "" && !u.Query().Has("host") {
			e.wrong(name, "it is not a PostgreSQL URL", example+", with % codes for marks in a password")
		}
	default:
		e.wrong(name, "it names a database that prmsync does not know", example)
	}
	return NewSecret(text)
}

func (e *environment) listen(name, text string) string {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		e.wrong(prefix+name, shown(text)+" is not host:port", "write it as in 127.0.0.1:9464, or :9464 for every address")
	}
	return text
}

func (e *environment) oneOf(name, text string, words ...string) string {
	if !slices.Contains(words, text) {
		e.wrong(prefix+name, shown(text)+" is unknown", "use "+orList(words))
	}
	return text
}

func (e *environment) level(text string) slog.Level {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return levels[e.oneOf("LOG_LEVEL", text, "debug", "info", "warn", "error")]
}

var tokenText = regexp.MustCompile(`^[!-9;-~]+$`) // printable ASCII without space and colon

// tokenProblem says what keeps text from being half of a Frappe token, which
// travels as "key:secret" in a header.
func tokenProblem(text string) (problem, remedy string) {
	switch {
	case len(text) > 1000:
		return "it is longer than any key", "copy the key again from the user's settings"
	case !tokenText.MatchString(text):
		return "it holds a space, a colon or another mark that no key has", "copy the key again from the user's settings"
	}
	return "", ""
}

// orList writes words as "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
