package config_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sethvargo/go-envconfig"

	"github.com/prmsync/prmsync/config"
)

// zones are equal when their names are.
var zones = cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })

// TestLoad reads a file with every key set to something other than its default.
func TestLoad(t *testing.T) {
	t.Parallel()
	got, err := config.Load(t.Context(), environment(
		"PRMSYNC_CONFIG", "testdata/prmsync.yaml",
		"PRMSYNC_PRM_URL", "http://127.0.0.1:8000",
		"PRMSYNC_DATABASE_URL", "postgres://prmsync:canary@db/prmsync",
		"PRMSYNC_LISTEN", ":9464",
		"PRMSYNC_PROBE_LISTEN", "[::1]:9465",
		"PRMSYNC_SCHEDULE", "@hourly",
		"PRMSYNC_LOG_FORMAT", "json",
		"PRMSYNC_LOG_LEVEL", "debug",
	), all)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	schedule := func(s string) config.Schedule {
		parsed, err := config.ParseSchedule(s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := config.LoadMapping("testdata/meridian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key, secret := config.NewSecret("meridiankey"), config.NewSecret("canary-meridian-secret")
	want := config.Config{
		Settings: config.Settings{
			ConfigPath:  "testdata/prmsync.yaml",
			DatabaseURL: config.NewSecret("postgres://prmsync:canary@db/prmsync"),
			Listen:      ":9464",
			ProbeListen: "[::1]:9465",
			Schedule:    schedule("@hourly"),
			LogFormat:   "json",
			LogLevel:    slog.LevelDebug,
		},
		PRM: config.PRM{
			URL:                 "http://127.0.0.1:8000",
			APIKey:              config.NewSecret("prmkey"),
			APISecret:           config.NewSecret("canary-prm-secret"),
			Deployment:          config.Press,
			AllowPrivateNetwork: true,
			Intake: []config.Intake{{
				Doctype: "Partner Feedback", Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Where: map[string]string{"kind": "Complaint", "rating": "1", "open": "1"},
				Partner: "about", Customer: "company", Contact: "full_name", Email: "address", Project: "project", Stage: "department", Source: config.PortalSource,
			}},
		},
		Policy: config.Policy{
			StaleAfter:       48 * time.Hour,
			DeleteBrake:      0.1,
			ChangeBrake:      0.125,
			RetentionMonths:  36,
			NCMode:           config.Raise,
			LateReportDays:   7,
			MonthlyWindow:    6,
			PopulationMonths: 18,
			RepeatMonths:     12,
			UnattendedDays:   3,
			EngagementDays:   map[string]int{"gold": 5, "silver": 14, "bronze": 30, "emerging": 60, "entry": 60, "platinum": 3},
			Inactive:         config.Inactive{RevenueMonths: 3, RevenueUSD: 250, EngagementIntervals: 1.5},
			Poor:             config.Poor{Overdue: 0.15, SLA: 0.95, Rating: 4.2, ConversionDrop: 0.3},
			Differ:           config.Differ{Points: 1, Stars: 0.2},
		},
		Partners: []config.Partner{
			{
				Key: "meridian", Name: "Meridian Systems",
				Master:      config.Master{Doctype: "Team", Name: "meridian"},
				MailDomains: []string{"meridian.example", "meridian.example.net"},
				Sites: []config.Site{
					{
						Key: "erp", URL: "https://erp.meridian.example", APIKey: key, APISecret: secret,
						Schedule: schedule("*/10 * * * *"), Purpose: config.Delivery, TimeZone: berlin,
						CAFile: "testdata/ca.pem", Proxy: "http://proxy.example:3128",
						MappingPath: "testdata/meridian.yaml", Mapping: mapping,
					},
					{
						Key: "desk", URL: "http://10.0.0.7:8000", APIKey: key, APISecret: secret,
						Schedule: schedule("CRON_TZ=Asia/Kolkata 30 6 * * *"), Purpose: config.Support,
						AllowPrivateNetwork: true, TimeZone: berlin,
						MappingPath: "testdata/meridian.yaml", Mapping: mapping,
					},
				},
			},
			{
				Key: "cobalt", Name: "cobalt",
				Sites: []config.Site{{
					Key: "erp", URL: "https://cobalt.example", APIKey: key, APISecret: secret,
					Schedule: schedule("@hourly"), Purpose: config.AllPurposes,
				}},
			},
		},
	}
	if diff := cmp.Diff(want, got, zones, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// TestLoadDefaults reads a file that names nothing but one site.
func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	path := file(t, "")
	got, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", path), all)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	want := config.Policy{
		StaleAfter: 24 * time.Hour, DeleteBrake: 0.2, ChangeBrake: 0.2, RetentionMonths: 36, NCMode: config.Propose,
		LateReportDays: 3, MonthlyWindow: 3, PopulationMonths: 12, RepeatMonths: 24, UnattendedDays: 2,
		EngagementDays: map[string]int{"gold": 7, "silver": 14, "bronze": 30, "emerging": 60, "entry": 60},
		Inactive:       config.Inactive{RevenueMonths: 2, RevenueUSD: 100, EngagementIntervals: 2},
		Poor:           config.Poor{Overdue: 0.2, SLA: 0.9, Rating: 4, ConversionDrop: 0.25},
		Differ:         config.Differ{Points: 2, Stars: 0.1},
	}
	if diff := cmp.Diff(want, got.Policy, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("Policy (-want +got):\n%s", diff)
	}
	if got.PRM.Deployment != config.Bare {
		t.Errorf("Deployment = %q, want bare", got.PRM.Deployment)
	}
	s := got.Settings
	if s.DatabaseURL.Reveal() != "sqlite:prmsync.db" || s.Listen != "127.0.0.1:9464" || s.ProbeListen != "127.0.0.1:9465" ||
		s.LogFormat != "auto" || s.LogLevel != slog.LevelInfo {
		t.Errorf("Settings = %+v, want the documented defaults", s)
	}
	if got := got.Partners[0].Sites[0].Schedule.String(); got != "@every 15m" {
		t.Errorf("schedule = %q, want that of the settings", got)
	}
}

// TestFiveMistakes is the file that an operator gets wrong in five places.
func TestFiveMistakes(t *testing.T) {
	t.Parallel()
	_, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", "testdata/five.yaml"), all)
	errs, ok := errors.AsType[config.Errors](err)
	if !ok || len(errs) != 5 {
		t.Fatalf("Load = %v, want 5 mistakes", err)
	}
	golden(t, "five.golden", errs.Error()+"\n")
	noSecret(t, errs.Error())
}

// TestTenMistakes is an environment with ten, and a file on top.
func TestTenMistakes(t *testing.T) {
	t.Parallel()
	_, err := config.Load(t.Context(), environment(
		"PRMSYNC_CONFIG", "testdata/five.yaml",
		"PRMSYNC_DATABASE_URL", "mysql://root:canary@db/prmsync",
		"PRMSYNC_PRM_URL", "http://prm",
		"PRMSYNC_PRM_API_KEY", "",
		"PRMSYNC_PRM_API_SECRET", "canary secret with spaces",
		"PRMSYNC_LISTEN", "9464",
		"PRMSYNC_PROBE_LISTEN", "127.0.0.1:99999",
		"PRMSYNC_WEB_CONFIG", "testdata/absent.yml",
		"PRMSYNC_SCHEDULE", "@every 1s",
		"PRMSYNC_LOG_FORMAT", "xml",
		"PRMSYNC_LOG_LEVEL", "loud",
	), all)
	errs, ok := errors.AsType[config.Errors](err)
	if !ok || len(errs) != 15 {
		t.Fatalf("Load = %v, want 15 mistakes", err)
	}
	golden(t, "ten.golden", errs.Error()+"\n")
	noSecret(t, errs.Error())
}

// TestEnvironmentMistakes pairs a variable's value with the message, which must
// be the only one; a message of "" accepts the value.
func TestEnvironmentMistakes(t *testing.T) {
	t.Parallel()
	const databases = "; write sqlite:PATH or postgres://user@host/database"
	tests := []struct{ variable, give, want string }{
		{"DATABASE_URL", "sqlite:/var/lib/prmsync.db", ""},
		{"DATABASE_URL", "postgresql://db.example/prmsync", ""},
		{"DATABASE_URL", "postgres:///prmsync?host=/run/postgresql", ""},
		{"DATABASE_URL", "canary.db", "it is not a database URL" + databases},
		{"DATABASE_URL", "sqlite:", "it names no file" + databases},
		{"DATABASE_URL", "postgres:///prmsync", "it is not a PostgreSQL URL" + databases + ", with % codes for marks in a password"},
		{"DATABASE_URL", "postgres://u:canary%@db/prmsync", "it is not a PostgreSQL URL" + databases + ", with % codes for marks in a password"},
		{"LISTEN", ":0", ""},
		{"LISTEN", "[::1]:9000", ""},
		{"LISTEN", "127.0.0.1:http", `"127.0.0.1:http" is not host:port; write it as in 127.0.0.1:9464, or :9464 for every address`},
		{"PROBE_LISTEN", "127.0.0.1:9464", "it is the same as PRMSYNC_LISTEN; give the probes a port of their own"},
		{"WEB_CONFIG", "testdata", `"testdata" is a folder; name an exporter-toolkit file, or unset it`},
		{"WEB_CONFIG", "/dev/zero", `"/dev/zero" is not a regular file; name an exporter-toolkit file, or unset it`},
		{"WEB_CONFIG", "testdata/five.yaml", ""},
		{"SCHEDULE", "0 0 30 2 *", `"0 0 30 2 *" never comes; name a day that the month has`},
		{"PRM_URL", "https://PRM.example:443/", ""},
		{"PRM_URL", "prm.example", `"prm.example" is not an https URL; use https`},
		{"PRM_URL", "https://x:canary@prm.example", "a user name or password stands in the address; give only scheme and host, and the key in its own setting"},
		{"PRM_URL", "https://127.0.0.1", `"https://127.0.0.1" lies in a private network; set prm.allow_private_network in the file if that is meant`},
		{"PRM_URL", "https://100.64.3.2", `"https://100.64.3.2" lies in a private network; set prm.allow_private_network in the file if that is meant`},
		{"PRM_URL", "https://desk.localhost", `"https://desk.localhost" lies in a private network; set prm.allow_private_network in the file if that is meant`},
		{"PRM_URL", "https://bücher.example", "its host is not a name that DNS or IP can hold; write an international name in its xn-- form"},
		{"PRM_API_SECRET", strings.Repeat("canary", 200), "it is longer than any key; copy the key again from the user's settings"},
		{"PRM_API_KEY", "can:ary", "it holds a space, a colon or another mark that no key has; copy the key again from the user's settings"},
		{"PRM_API_KEY", "can\r\nary", "it holds a space, a colon or another mark that no key has; copy the key again from the user's settings"},
		{"LOG_LEVEL", "\xff", "a text that is not UTF-8 is unknown; use debug, info, warn or error"},
	}
	for _, tt := range tests {
		t.Run(tt.variable+" "+tt.give[:min(len(tt.give), 20)], func(t *testing.T) {
			t.Parallel()
			name := "PRMSYNC_" + tt.variable
			_, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", file(t, ""), name, tt.give), all)
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), name+": ")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
			noSecret(t, got)
		})
	}
}

// site is a valid file of one site whose lines may be replaced.
const site = `partners:
  - key: meridian
    sites:
      - key: erp
        url: https://erp.meridian.example
        api_key: ${MERIDIAN_KEY}
        api_secret: ${MERIDIAN_SECRET}
`

// file writes the valid file with text before or behind it (where the text
// begins with a space) and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	content := text + site
	if strings.HasPrefix(text, " ") {
		content = site + text
	}
	return written(t, content)
}

func written(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prmsync.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFileMistakes pairs what is wrong with the message, which must be the only one.
func TestFileMistakes(t *testing.T) {
	t.Parallel()
	const (
		indent  = "        " // of a site's keys
		another = "\n  - key: other\n    sites:\n      - {key: erp, api_key: k, api_secret: s, url: "
	)
	tests := []struct {
		name string
		give string // what file takes
		want string // behind the path
	}{
		{"unknown key", "polcy: {}\n", `:1:1: polcy: this key is unknown; did you mean policy?`},
		{"unknown key far from any", "zebra: 1\n", `:1:1: zebra: this key is unknown; use prm, policy or partners`},
		{"key twice", "prm: {}\nprm: {}\n", `:2:1: prm: this key stands here twice, first in line 1; keep one of them`},
		{"tab", "prm:\n\tdeployment: bare\n", `:2:1: this is not YAML: found character '\t' that cannot start any token; check indentation, colons and quotes here and in the line above`},
		{"a list for keys", "prm: [bare]\n", `:1:6: prm: it is a list, not keys with values; indent the keys below it`},
		{"a word for keys", "policy: strict\n", `:1:9: policy: it is a text, not keys with values; indent the keys below it`},
		{"truth in quotes", `prm: {allow_private_network: "yes"}` + "\n", `:1:30: allow_private_network: it is a text, not true or false; write true or false without quotes`},
		{"share without sign", "policy: {delete_brake: 0.2}\n", `:1:24: delete_brake: 0.2 has no percent sign; write it as in 20%`},
		{"share below zero", "policy: {delete_brake: -1%}\n", `:1:24: delete_brake: -1% is outside 0% to 100%; choose a value within`},
		{"share of nothing", "policy: {delete_brake: .nan}\n", `:1:24: delete_brake: ".nan" is not a percentage; write it as in 20%`},
		{"duration", "policy: {stale_after: soon}\n", `:1:23: stale_after: "soon" is not a length of time; write it as in 24h or 2 days`},
		{"duration out of range", "policy: {stale_after: 10s}\n", `:1:23: stale_after: 10s is outside 1m to 8784h; choose a value within`},
		{"days without unit", "policy: {late_report: 3}\n", `:1:23: late_report: "3" is not a number of days; write it as in "3 days"`},
		{"months out of range", "policy: {retention: 0 months}\n", `:1:21: retention: 0 months is outside 1 to 1200 months; choose a value within`},
		{"rating out of range", "policy: {poor: {rating: 6}}\n", `:1:25: rating: 6 is outside 0 to 5; choose a value within`},
		{"tier in capitals", "policy: {engagement: {Gold: 7 days}}\n", `:1:23: Gold: it is not a tier's title in lower case; write it as in gold`},
		{"alias of nothing", "prm: *nowhere\n", `:1:6: prm: it is an alias of nothing, not keys with values; indent the keys below it`},
		{"second document", " \n---\nprm: {}\n", `:10:1: a second document begins here; keep one document in the file`},
		{"number for a schedule", " " + indent[1:] + "schedule: 5\n", `:8:19: schedule: it is a number, not a text; put it in quotes`},
		{"schedule too quick", " " + indent[1:] + "schedule: '@every 30s'\n", `:8:19: schedule: @every 30s is too short; use 1m or more`},
		{"schedule that makes cron panic", " " + indent[1:] + "schedule: TZ=UTC\n", `:8:19: schedule: "TZ=UTC" is not a schedule; write five fields as in "*/15 * * * *", or "@every 15m"`},
		{"schedule that never comes", " " + indent[1:] + "schedule: 0 0 31 2 *\n", `:8:19: schedule: "0 0 31 2 *" never comes; name a day that the month has`},
		{"zone", " " + indent[1:] + "time_zone: Mars/Olympus\n", `:8:20: time_zone: "Mars/Olympus" is not a time zone; write it as in Europe/Berlin`},
		{"the machine's zone", " " + indent[1:] + "time_zone: Local\n", `:8:20: time_zone: "Local" is not a time zone; write it as in Europe/Berlin`},
		{"purpose", " " + indent[1:] + "purpose: fun\n", `:8:18: purpose: "fun" is unknown; use all, delivery, support or sales`},
		{"absent CA", " " + indent[1:] + "ca_file: no.pem\n", `:8:18: ca_file: "no.pem" does not exist; name a PEM file, from this file's folder`},
		{"proxy with password", " " + indent[1:] + "proxy: http://me:canary@proxy:3128\n", `:8:16: proxy: a user name or password stands in the address; use a proxy that knows this machine by its address`},
		{"proxy of another kind", " " + indent[1:] + "proxy: ftp://proxy\n", `:8:16: proxy: "ftp://proxy" is not an http, https or socks5 proxy; write it as in http://proxy.example.com:3128`},
		{"intake without a partner", "prm: {intake: [{doctype: Feedback, since: 2026-11-01}]}\n", `:1:16: partner: this key is missing here; add it: field with the partner: its key or own record on the PRM, or the name or mail domain that the customer wrote`},
		{"intake of our own doctype", "prm: {intake: [{doctype: Partner Escalation, since: 2026-11-01, partner: p}]}\n", `:1:16: doctype: Partner Escalation is read without being named here; take it out`},
		{"intake twice", "prm: {intake: [{doctype: F, since: 2026-11-01, partner: p}, {doctype: F, since: 2026-11-01, partner: p}]}\n", `:1:61: doctype: F stands here twice, first in line 1; keep one of them`},
		{"intake by a label", "prm: {intake: [{doctype: F, since: 2026-11-01, partner: Partner Name}]}\n", `:1:57: partner: "Partner Name" is not a field's name; write the name, not the label, as in partner_name`},
		{"intake since a word", "prm: {intake: [{doctype: F, since: always, partner: p}]}\n", `:1:36: since: "always" is not a date; write it as in 2026-11-01`},
		{"intake where a list", "prm: {intake: [{doctype: F, since: 2026-11-01, partner: p, where: {kind: [a, b]}}]}\n", `:1:74: kind: it is a list, not a value; write it as in Complaint`},
		{"intake with a typo", "prm: {intake: [{doctype: F, since: 2026-11-01, partner: p, custmer: c}]}\n", `:1:60: custmer: this key is unknown; did you mean customer?`},
		{"absent mapping", " " + indent[1:] + "mapping: no.yaml\n", `:8:18: mapping: "no.yaml" does not exist; name a mapping, from this file's folder`},
		{"site twice", "      - {key: erp, url: 'https://b.example', api_key: k, api_secret: s}\n", `:8:9: key: the site erp stands here twice, first in line 4; give each site of a partner a key of its own`},
		{"one site for two partners", another + "'https://ERP.meridian.example/'}\n", `:11:9: url: it also serves partner meridian, in line 4; keep one site for one partner, as nobody could tell whose evidence it holds`},
		{"one address twice", "      - {key: b, url: 'https://erp.meridian.example', api_key: k, api_secret: s}\n", `:8:9: url: the site in line 4 has the same address; keep one site for one partner, as nobody could tell whose evidence it holds`},
		{"partner twice", "\n  - key: meridian\n    sites: [{key: x, url: 'https://x.example', api_key: k, api_secret: s}]\n", `:9:5: key: the partner meridian stands here twice, first in line 2; give each partner a key of its own`},
		{"keys that join alike", "      - {key: b-c, url: 'https://a.example', api_key: k, api_secret: s}\n  - key: meridian-b\n    sites: [{key: c, url: 'https://b.example', api_key: k, api_secret: s}]\n", `:10:13: key: meridian-b-c and the site in line 8 get the same key on the PRM; rename one of them`},
		{"key in capitals", "\n  - key: Other\n    sites: [{key: x, url: 'https://x.example', api_key: k, api_secret: s}]\n", `:9:10: key: "Other" is not a key; use up to 40 lower-case letters, digits and dashes`},
		{"no sites", "\n  - {key: other, sites: []}\n", `:9:25: sites: a partner needs at least one site; add one, or take the partner out`},
		{"missing sites", "\n  - {key: other}\n", `:9:5: sites: this key is missing here; add it: one element for each site`},
		{"empty key", "\n  - key:\n    sites: [{key: x, url: 'https://x.example', api_key: k, api_secret: s}]\n", `:9:9: key: it is empty; give it a value`},
		{"mail domain", "\n  - key: other\n    mail_domains: [x@other.example]\n    sites: [{key: x, url: 'https://x.example', api_key: k, api_secret: s}]\n", `:10:20: mail_domains: "x@other.example" is not a mail domain; write what follows the @, as in meridian.example`},
		{"half a master", "\n  - key: other\n    master: {doctype: Team}\n    sites: [{key: x, url: 'https://x.example', api_key: k, api_secret: s}]\n", `:10:13: name: this key is missing here; add it: the record's name`},
		{"plain http", another + "'http://other.example'}\n", `:11:52: url: "http://other.example" is not an https URL; use https, or set allow_private_network where the network is your own`},
		{"private network", another + "'https://192.168.1.4'}\n", `:11:52: url: "https://192.168.1.4" lies in a private network; set allow_private_network if that is meant`},
		{"mapped loopback", another + "'https://[::ffff:127.0.0.1]'}\n", `:11:52: url: "https://[::ffff:127.0.0.1]" lies in a private network; set allow_private_network if that is meant`},
		{"user in the address", another + "'https://me:canary@other.example'}\n", `:11:52: url: a user name or password stands in the address; give only scheme and host, and the key in its own setting`},
		{"query in the address", another + "'https://other.example/?token=canary'}\n", `:11:52: url: it goes on after the host; give only scheme and host`},
		{"path in the address", another + "'https://other.example/desk'}\n", `:11:52: url: "https://other.example/desk" goes on after the host; give only scheme and host`},
		{"no host", another + "'https://'}\n", `:11:52: url: "https://" names no host; write it as https://erp.example.com`},
		{"port", another + "'https://other.example:70000'}\n", `:11:52: url: "https://other.example:70000" has no usable port; use 1 to 65535, or none`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			give := tt.give
			if strings.HasPrefix(give, "\n") {
				give = " " + give // behind the valid file
			}
			path := file(t, give)
			_, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", path), all)
			if err == nil {
				t.Fatal("Load = nil, want a mistake")
			}
			got := strings.TrimPrefix(err.Error(), path)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
			noSecret(t, got)
		})
	}
}

// TestKeysOfASite is where a site's token may come from.
func TestKeysOfASite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"from-file": "filed-canary\n", "empty": "\n", "BY_CREDENTIAL": "credential-canary", "spaced": "two canaries",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := func(pairs ...string) envconfig.Lookuper {
		return environment(append([]string{"CREDENTIALS_DIRECTORY", dir}, pairs...)...)
	}
	tests := []struct {
		name    string
		write   string // api_secret in the file
		env     envconfig.Lookuper
		want    string // the secret
		problem string // or the message behind line and column
	}{
		{name: "variable", write: "${A}", env: env("A", "plain"), want: "plain"},
		{name: "file", write: "${A}", env: env("A_FILE", filepath.Join(dir, "from-file")), want: "filed-canary"},
		{name: "credential", write: "${BY_CREDENTIAL}", env: env(), want: "credential-canary"},
		{name: "variable before credential", write: "${BY_CREDENTIAL}", env: env("BY_CREDENTIAL", "plain"), want: "plain"},
		{name: "empty variable counts as unset", write: "${BY_CREDENTIAL}", env: env("BY_CREDENTIAL", ""), want: "credential-canary"},
		{name: "as it stands", write: "verbatim-canary", env: env(), want: "verbatim-canary"},
		{name: "nowhere", write: "${A}", env: env(), problem: "A is not set; set it, A_FILE, or a systemd credential of that name"},
		{name: "both", write: "${A}", env: env("A", "canary", "A_FILE", "x"), problem: "A and A_FILE are both set; keep one of them"},
		{name: "absent file", write: "${A}", env: env("A_FILE", "/nowhere"), problem: `A_FILE names "/nowhere", which does not exist; name a file with the secret and nothing else`},
		{name: "folder", write: "${A}", env: env("A_FILE", "/"), problem: `A_FILE names "/", which is a folder; name a file with the secret and nothing else`},
		{name: "empty file", write: "${empty}", env: env(), problem: "the credential empty is empty; give the unit a credential with the secret and nothing else"},
		{name: "blank in it", write: "${spaced}", env: env(), problem: "it holds a space, a colon or another mark that no key has; copy the key again from the user's settings"},
		{name: "name that leaves the folder", write: "${../spaced}", env: env(), problem: "it is neither ${NAME} nor a key; write ${NAME} and set the variable NAME"},
		{name: "reference within a text", write: "canary${A}", env: env("A", "x"), problem: "it is neither ${NAME} nor a key; write ${NAME} and set the variable NAME"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := written(t, strings.Replace(site, "${MERIDIAN_SECRET}", tt.write, 1))
			chained := envconfig.MultiLookuper(tt.env, envconfig.MapLookuper(map[string]string{"PRMSYNC_CONFIG": path}))
			c, err := config.Load(t.Context(), chained, all)
			if tt.problem != "" {
				if err == nil {
					t.Fatal("Load = nil, want a mistake")
				}
				if want := path + ":7:21: api_secret: " + tt.problem; err.Error() != want {
					t.Errorf("Load = %v\nwant   %s", err, want)
				}
				noSecret(t, err.Error())
				return
			}
			if err != nil {
				t.Fatalf("Load: %v", err)
			}
			if got := c.Partners[0].Sites[0].APISecret.Reveal(); got != tt.want {
				t.Errorf("api_secret = %q, want %q", got, tt.want)
			}
			if warned := len(c.Warnings) == 1; warned != (tt.name == "as it stands") {
				t.Errorf("Warnings = %v", c.Warnings)
			}
			noSecret(t, config.Errors(c.Warnings).Error())
		})
	}
}

// TestSettingsFromFiles covers what is true of every secret of the environment.
func TestSettingsFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"PRMSYNC_PRM_API_KEY", "secret", "PRMSYNC_DATABASE_URL"} {
		text := "from-" + name
		if name == "PRMSYNC_DATABASE_URL" {
			text = "sqlite:/var/lib/prmsync/prmsync.db"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(t.Context(), environment(
		"PRMSYNC_CONFIG", file(t, ""), "CREDENTIALS_DIRECTORY", dir, "PRMSYNC_PRM_API_KEY", "",
		"PRMSYNC_PRM_API_SECRET", "", "PRMSYNC_PRM_API_SECRET_FILE", filepath.Join(dir, "secret"),
	), all)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	got := []string{c.PRM.APIKey.Reveal(), c.PRM.APISecret.Reveal(), c.Settings.DatabaseURL.Reveal()}
	if diff := cmp.Diff([]string{"from-PRMSYNC_PRM_API_KEY", "from-secret", "sqlite:/var/lib/prmsync/prmsync.db"}, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

// TestNeeds: what a command does not need may be absent.
func TestNeeds(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "prmsync.yaml")
	bare := []string{"PRMSYNC_PRM_URL", "", "PRMSYNC_PRM_API_KEY", "", "PRMSYNC_PRM_API_SECRET", ""}
	tests := []struct {
		name  string
		needs config.Needs
		want  string
	}{
		{name: "demo", needs: config.Needs{}},
		{name: "check --url", needs: config.Needs{Site: true}, want: `PRMSYNC_SITE_API_KEY: it is not set; set it, PRMSYNC_SITE_API_KEY_FILE, or a systemd credential of that name
PRMSYNC_SITE_API_SECRET: it is not set; set it, PRMSYNC_SITE_API_SECRET_FILE, or a systemd credential of that name`},
		{name: "provision", needs: config.Needs{Provisioning: true}, want: `PRMSYNC_PRM_URL: it is not set; set it to the PRM's address, as in https://prm.example.com
PRMSYNC_PROVISION_API_KEY: it is not set; set it, PRMSYNC_PROVISION_API_KEY_FILE, or a systemd credential of that name
PRMSYNC_PROVISION_API_SECRET: it is not set; set it, PRMSYNC_PROVISION_API_SECRET_FILE, or a systemd credential of that name`},
		{name: "check", needs: config.Needs{Partners: true}, want: `PRMSYNC_CONFIG: the file "` + absent + `" does not exist; name the file of partners and sites`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(t.Context(), environment(append(bare, "PRMSYNC_CONFIG", absent)...), tt.needs)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEmptyFiles: a file cut to nothing must not look like "no partners".
func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, give, want string }{
		{"empty", "", ": the file holds nothing; name at least one partner"},
		{"comment", "# nothing\n", ": the file holds nothing; name at least one partner"},
		{"without partners", "prm: {}\n", ":1:1: partners: this key is missing; name at least one partner, or write partners: [] while there is none"},
		{"partners without value", "partners:\n", ":1:1: partners: this key is missing; name at least one partner, or write partners: [] while there is none"},
		{"a list", "- key: x\n", ":1:1: it is a list, not keys with values; indent the keys below it"},
		{"none on purpose", "partners: []\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := written(t, tt.give)
			_, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", path), all)
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), path)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAliasesOfAliases: a small file that stands for a thousand million sites is
// refused instead of being unfolded.
func TestAliasesOfAliases(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("*a,", 999) + "*a"
	for name, text := range map[string]string{
		"lists":  "x: &a {key: erp}\ny: &b {key: p, sites: [" + many + "]}\npartners: [" + strings.ReplaceAll(many, "*a", "*b") + "]\n",
		"merges": "x: &a {key: erp}\ny: &b {<<: [" + many + "]}\nz: &c {<<: [" + strings.ReplaceAll(many, "*a", "*b") + "]}\npolicy: {<<: [" + strings.ReplaceAll(many, "*a", "*c") + "]}\npartners: []\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", written(t, text)), all)
			if err == nil || !strings.Contains(err.Error(), "aliases make the file too large") {
				errs, _ := errors.AsType[config.Errors](err)
				t.Errorf("Load = %d mistakes, none of them about aliases", len(errs))
			}
		})
	}
}

// TestMistakesOfAMapping come with the mapping's own name and place.
func TestMistakesOfAMapping(t *testing.T) {
	t.Parallel()
	path := file(t, "        mapping: m.yaml\n")
	mapping := filepath.Join(filepath.Dir(path), "m.yaml")
	if err := os.WriteFile(mapping, []byte("evidence:\n  sign_of.brd:\n    - {doctype: Task}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", path), all)
	errs, ok := errors.AsType[config.Errors](err)
	if !ok || len(errs) != 1 || errs[0].Source != mapping || errs[0].Line != 3 || !strings.Contains(errs[0].Problem, "sign_of.brd") {
		t.Errorf("Load = %v, want one mistake in %s", err, mapping)
	}
}

// TestThePRMAsAPartnersSite is a warning, as a person may mean it in a trial.
func TestThePRMAsAPartnersSite(t *testing.T) {
	t.Parallel()
	c, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", file(t, ""), "PRMSYNC_PRM_URL", "https://erp.meridian.example"), all)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Problem, "the PRM itself") {
		t.Errorf("Warnings = %v, want one about the PRM", c.Warnings)
	}
}

// FuzzFile: any text is read or refused, without panic and without repeating a
// secret, and every mistake says where.
func FuzzFile(f *testing.F) {
	for _, path := range []string{"testdata/prmsync.yaml", "testdata/five.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(site)
	f.Add("a: &a [*a]\npartners: *a\n")
	f.Add("partners: &p\n  - <<: *p\n    key: k\n")
	f.Add("? [a, b]\n: c\n!!str x: !!int y\n")
	path := filepath.Join(f.TempDir(), "prmsync.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "canary") {
			return
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(t.Context(), environment("PRMSYNC_CONFIG", path), all)
		errs, ok := errors.AsType[config.Errors](err)
		if err != nil && !ok {
			t.Fatalf("Load = %T %v, want Errors", err, err)
		}
		for _, m := range errs {
			if m.Problem == "" || m.Source == "" && m.Subject == "" {
				t.Errorf("a mistake that says nothing: %+v", m)
			}
			if m.Source == path && m.Line < 0 {
				t.Errorf("a mistake at line %d: %+v", m.Line, m)
			}
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("a secret shows in:\n%v", err)
		}
	})
}
