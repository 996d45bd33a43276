package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/connector/prm"
	"github.com/prmsync/prmsync/internal/demo"
)

type doctorCmd struct {
	Partner        []string `help:"Only these partners (repeatable)." placeholder:"KEY"`
	URL            string   `help:"Examine the site at this address without a configuration; the key comes from PRMSYNC_SITE_API_KEY and PRMSYNC_SITE_API_SECRET." name:"url"`
	Data           string   `help:"Examine a folder of recorded documents." type:"existingdir" placeholder:"DIR"`
	Private        bool     `help:"With --url: the site may have a private address and plain http." name:"allow-private-network"`
	SuggestMapping bool     `help:"Print a mapping proposed from what the site holds." name:"suggest-mapping"`
	JSON           bool     `help:"Print one JSON document." name:"json"`
}

// Help is shown by --help.
func (doctorCmd) Help() string {
	return `Asks each site whether it answers, who the key is, what it may not read and which
criteria that costs, what it may do and should not, where the mapping does not
fit, and what a poll will cost. Where the file maps doctypes of the PRM in
prm.intake, it looks with the runtime user's key whether they fit; what does not
is printed after the sites, or with --json on stderr. Sends GET requests alone
and keeps nothing.

Exit code 3 says that something degrades the judgement, 1 that a site cannot be
read at all.`
}

var errSiteFailed = errors.New("a site cannot be read; see above")

// Run examines sites.
func (c doctorCmd) Run(p process) error {
	partners, central, closeAll, err := c.partners(p)
	if err != nil {
		return err
	}
	defer closeAll()
	reports := []partnersite.Report{}
	worst := partnersite.OK
	for _, q := range partners {
		for _, s := range q.Sites {
			client, err := frappe.New(siteClient(s, p.quiet()))
			if err != nil {
				return fmt.Errorf("site %s of %s: %w", s.Key, q.Key, err)
			}
			site := partnersite.New(client, partnersite.Options{
				Partner: q.Key, Key: s.Key, URL: s.URL, Zone: s.TimeZone, Purpose: s.Purpose, Mapping: s.Mapping, MailDomains: q.MailDomains,
			})
			if c.SuggestMapping {
				text, err := site.SuggestMapping(p.ctx)
				client.Close()
				if err != nil {
					return fmt.Errorf("site %s of %s: %w", s.Key, q.Key, err)
				}
				fmt.Fprintf(p.stdout, "# Proposed for %s/%s; read it before use.\n%s", q.Key, s.Key, text)
				continue
			}
			r, err := site.Doctor(p.ctx)
			client.Close()
			if err != nil {
				return fmt.Errorf("site %s of %s: %w", s.Key, q.Key, err)
			}
			reports = append(reports, r)
			if r.Health == partnersite.Failed || worst == partnersite.OK {
				worst = r.Health
			}
			if !c.JSON {
				if err := r.WriteTable(p.stdout, p.colour(p.stdout)); err != nil {
					return err
				}
				fmt.Fprintln(p.stdout)
			}
		}
	}
	if c.JSON && !c.SuggestMapping {
		if err := writeJSON(p.stdout, reports); err != nil {
			return err
		}
	}
	if unfit, err := c.intake(p, central); err != nil {
		return err
	} else if unfit && worst == partnersite.OK {
		worst = partnersite.Degraded
	}
	switch worst {
	case partnersite.Failed:
		return errSiteFailed
	case partnersite.Degraded:
		return errNotMet
	default:
		return nil
	}
}

// intake says what of the mapped doctypes of the PRM does not fit.
func (c doctorCmd) intake(p process, central config.PRM) (unfit bool, err error) {
	if len(central.Intake) == 0 || c.SuggestMapping {
		return false, nil
	}
	if central.URL == "" || central.APIKey.Reveal() == "" || central.APISecret.Reveal() == "" {
		fmt.Fprintln(p.stderr, "prm.intake was not examined: set PRMSYNC_PRM_URL, PRMSYNC_PRM_API_KEY and PRMSYNC_PRM_API_SECRET")
		return false, nil
	}
	client, err := prmClient(central, central.APIKey, central.APISecret, p.quiet())
	if err != nil {
		return false, err
	}
	defer client.Close()
	found, err := prm.VerifyIntake(p.ctx, client, central.Intake)
	if err != nil {
		return false, fmt.Errorf("PRM: %w", err)
	}
	out := p.stdout
	if c.JSON {
		out = p.stderr
	}
	for _, f := range found {
		fmt.Fprintln(out, f)
	}
	return len(found) > 0, nil
}

// partners are those to examine, and the PRM of the file.
func (c doctorCmd) partners(p process) ([]config.Partner, config.PRM, func(), error) {
	nothing := func() {}
	none := config.PRM{}
	if c.URL != "" && c.Data != "" {
		return nil, none, nothing, usage(errors.New("--url and --data exclude each other"))
	}
	if c.URL == "" && c.Data == "" {
		cfg, err := config.Load(p.ctx, p.env, config.Needs{Partners: true})
		if err != nil {
			return nil, none, nothing, usage(err)
		}
		if err := knownPartners(cfg, c.Partner...); err != nil {
			return nil, none, nothing, err
		}
		if len(c.Partner) > 0 {
			cfg.Partners = slices.DeleteFunc(cfg.Partners, func(q config.Partner) bool { return !slices.Contains(c.Partner, q.Key) })
		}
		return cfg.Partners, cfg.PRM, nothing, nil
	}
	every, err := config.ParseSchedule("@hourly")
	if err != nil {
		return nil, none, nothing, err
	}
	if c.Data != "" {
		m, err := demo.ServeFolder(c.Data)
		if err != nil {
			return nil, none, nothing, usage(err)
		}
		return []config.Partner{memberConfig(m, every)}, none, m.Close, nil
	}
	cfg, err := config.Load(p.ctx, p.env, config.Needs{Site: true})
	if err != nil {
		return nil, none, nothing, usage(err)
	}
	return []config.Partner{urlPartner(c.URL, c.Private, cfg.Settings, every)}, none, nothing, nil
}

// urlPartner is a partner of one site that no configuration names.
func urlPartner(url string, private bool, s config.Settings, every config.Schedule) config.Partner {
	return config.Partner{Key: siteName(url), Name: url, Sites: []config.Site{{
		Key: "erp", URL: strings.TrimRight(url, "/"), APIKey: s.SiteAPIKey, APISecret: s.SiteAPISecret,
		Schedule: every, Purpose: config.AllPurposes, AllowPrivateNetwork: private,
	}}}
}

// siteName is a partner key made from a site's address.
func siteName(url string) string {
	host := strings.TrimPrefix(strings.TrimPrefix(url, "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	var b strings.Builder
	for _, r := range strings.ToLower(host) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

// clockAt is a clock that stands.
func clockAt(t time.Time) func() time.Time { return func() time.Time { return t } }
