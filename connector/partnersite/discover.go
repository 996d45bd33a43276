package partnersite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prmsync/prmsync/config"
	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// discovery is what a site says about itself and about the key's user.
type discovery struct {
	User       string              `json:"user"`
	UserType   string              `json:"user_type"` // Website User, System User; "" when the site does not tell
	Roles      []string            `json:"roles"`     // sorted, the automatic ones included
	Versions   map[string]string   `json:"versions"`  // app → version
	Zone       string              `json:"zone"`      // IANA name
	DateFormat string              `json:"date_format,omitempty"`
	Confined   map[string][]string `json:"confined,omitempty"` // User Permissions: doctype → names
	At         time.Time           `json:"at"`                 // when versions and zone were asked for
	Checked    time.Time           `json:"checked"`            // when user, roles and User Permissions were

	zone *time.Location
}

// major returns the major version of an app; 0 when it is not installed.
func (d *discovery) major(app string) int {
	n, _, _ := strings.Cut(d.Versions[app], ".")
	m, _ := strconv.Atoi(n)
	return m
}

// has reports whether the user has any of the roles.
func (d *discovery) has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(d.Roles, r) })
}

// seesMails reports whether the list of Communication shows e-mail to the user.
func (d *discovery) seesMails() bool {
	return d.User == "Administrator" || d.has("System Manager", "Super Email User")
}

// seesFiles reports whether the list of File shows the files of others.
func (d *discovery) seesFiles() bool { return d.UserType == "System User" || d.User == "Administrator" }

var errZone = errors.New("the site's time zone is unknown here")

const (
	// placeTTL is for what the site says of itself: naming its versions makes it
	// run git for every app. userTTL is for the user, whose rights people change
	// and then wait to see the difference.
	placeTTL  = 24 * time.Hour
	userTTL   = time.Hour
	metaTTL   = 24 * time.Hour
	absentTTL = time.Hour
	// refreshes bounds how many metas that have merely grown old are asked for
	// in one read, so that an idle poll stays cheap.
	refreshes = 3
)

// knownMeta is a doctype's meta with the time it was asked for; nil: the site
// has no such doctype.
type knownMeta struct {
	meta    *frappe.Meta
	fetched time.Time
}

// old reports whether what was asked for at that time is to be asked for again.
func (s *Site) old(at time.Time, ttl time.Duration) bool {
	age := s.now().Sub(at)
	return at.IsZero() || age >= ttl || age <= -ttl
}

// discover asks the site who it is: versions and zone once a day, the user, the
// roles and what confines them once an hour. The answer is remembered, in h
// between runs; h may be nil.
func (s *Site) discover(ctx context.Context, h History, anew bool) error {
	const item = "discovery"
	if s.found.At.IsZero() && h != nil && !anew {
		c, ok, err := h.Cached(ctx, item)
		if err != nil {
			return err
		}
		var d discovery
		if ok && json.Unmarshal([]byte(c.Body), &d) == nil && s.locate(&d) {
			s.found = d
		}
	}
	place := anew || s.old(s.found.At, placeTTL)
	if !place && !s.old(s.found.Checked, userTTL) {
		s.locate(&s.found)
		return nil
	}
	now := s.now().UTC()
	d := discovery{At: now, Checked: now}
	if !place {
		d.At, d.Versions, d.Zone, d.DateFormat = s.found.At, s.found.Versions, s.found.Zone, s.found.DateFormat
	}
	var err error
	if d.User, err = s.client.Whoami(ctx); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	g.Go(func() error {
		if !place {
			return nil
		}
		apps, err := s.client.Versions(gctx)
		if err != nil {
			return fmt.Errorf("read versions: %w", err)
		}
		d.Versions = make(map[string]string, len(apps))
		for key, a := range apps {
			d.Versions[key] = a.Version
		}
		return nil
	})
	g.Go(func() error {
		if !place {
			return nil
		}
		l, err := s.client.Locale(gctx)
		if err != nil {
			if s.o.Zone != nil {
				return nil // the zone is known without the site
			}
			return fmt.Errorf("read the site's zone: %w; set time_zone for the site", err)
		}
		d.Zone, d.DateFormat = l.Zone.String(), l.DateFormat
		return nil
	})
	g.Go(func() error {
		roles, err := s.client.Roles(gctx, d.User)
		if err == nil {
			slices.Sort(roles)
			d.Roles = slices.Compact(roles)
		}
		return onlyFatal(err)
	})
	g.Go(func() error {
		v, err := s.client.Call(gctx, "frappe.realtime.get_user_info", nil)
		if m, ok := v.(map[string]any); ok && err == nil {
			d.UserType = frappe.Doc(m).Text("user_type")
		}
		return onlyFatal(err)
	})
	g.Go(func() error {
		confined, err := s.client.UserPermissions(gctx)
		d.Confined = confined
		return onlyFatal(err)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if d.UserType == "" {
		switch { // version 14 does not say it under a token
		case d.User == "Administrator", d.has("Desk User", "System Manager"):
			d.UserType = "System User"
		}
	}
	if !s.locate(&d) {
		return fmt.Errorf("%w: %q; set time_zone for the site", errZone, d.Zone)
	}
	if !maps.Equal(d.Versions, s.found.Versions) {
		for name, m := range s.metas { // an upgrade may have changed any doctype
			m.fetched = time.Time{}
			s.metas[name] = m
			s.client.Forget(name)
		}
	}
	if !slices.Equal(d.Roles, s.found.Roles) || !maps.EqualFunc(d.Confined, s.found.Confined, slices.Equal[[]string]) {
		s.otherRights = !s.found.At.IsZero()
	}
	s.found = d
	if h == nil {
		return nil
	}
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return h.Keep(ctx, item, Cached{Fetched: d.At, Body: string(body)})
}

// locate sets the zone; the configured one is above the site's own word.
func (s *Site) locate(d *discovery) bool {
	if s.o.Zone != nil {
		d.zone, d.Zone = s.o.Zone, s.o.Zone.String()
		return true
	}
	if d.Zone == "" {
		return false
	}
	zone, err := time.LoadLocation(d.Zone)
	d.zone = zone
	return err == nil
}

// onlyFatal lets refusals pass: what a site does not tell is not known, and the
// rest of the discovery goes on.
func onlyFatal(err error) error {
	switch frappe.CategoryOf(err) {
	case frappe.Forbidden, frappe.NotFound, frappe.Invalid, frappe.Failed, frappe.Malformed:
		return nil
	}
	return err
}

// fresh reports whether a doctype's meta needs no asking. budget counts the
// refreshes of aged ones that are still allowed.
func (s *Site) fresh(doctype string, budget *int) bool {
	k, ok := s.metas[doctype]
	ttl := metaTTL
	if k.meta == nil {
		ttl = absentTTL
	}
	switch {
	case !ok || k.fetched.IsZero():
		return false
	case s.now().Sub(k.fetched) < ttl:
		return true
	case k.meta == nil:
		return false
	case *budget <= 0:
		return true
	}
	*budget--
	return false
}

// askMeta asks for the meta now; nil: the site has no such doctype.
func (s *Site) askMeta(ctx context.Context, doctype string) (*frappe.Meta, error) {
	s.client.Forget(doctype)
	m, err := s.client.Meta(ctx, doctype)
	switch frappe.CategoryOf(err) {
	case frappe.Forbidden, frappe.NotFound:
		return nil, nil
	}
	return m, err
}

// keptMetas are the metas as they are kept between runs.
type keptMetas struct {
	Release string              `json:"release"` // of the site that they are from
	Metas   map[string]keptMeta `json:"metas"`
}

type keptMeta struct {
	Meta    *frappe.Meta `json:"meta"`
	Fetched time.Time    `json:"fetched"`
}

const metasItem = "metas"

// recallMetas loads what earlier runs knew. Those of another release of the
// site serve until they are asked for again, which is at once.
func (s *Site) recallMetas(ctx context.Context, h History) error {
	c, ok, err := h.Cached(ctx, metasItem)
	if err != nil || !ok {
		return err
	}
	var kept keptMetas
	if json.Unmarshal([]byte(c.Body), &kept) != nil {
		return nil
	}
	for name, k := range kept.Metas {
		if kept.Release != s.release() {
			k.Fetched = time.Time{}
		}
		s.metas[name] = knownMeta{k.Meta, k.Fetched}
	}
	return nil
}

// keepMetas keeps all metas together: they are asked for together.
func (s *Site) keepMetas(ctx context.Context, h History) error {
	kept := keptMetas{Release: s.release(), Metas: make(map[string]keptMeta, len(s.metas))}
	for name, k := range s.metas {
		kept.Metas[name] = keptMeta{k.meta, k.fetched}
	}
	body, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return h.Keep(ctx, metasItem, Cached{Stamp: kept.Release, Fetched: s.now().UTC(), Body: string(body)})
}

// release names the versions of all apps: metas change with them.
func (s *Site) release() string {
	var b strings.Builder
	for _, app := range slices.Sorted(maps.Keys(s.found.Versions)) {
		b.WriteString(app + "=" + s.found.Versions[app] + " ")
	}
	return strings.TrimSpace(b.String())
}

// mapping returns the partner's mapping over the defaults for the site's apps.
func (s *Site) mapping() config.Mapping { return s.o.Mapping.Over(DefaultMapping(s.found.Versions)) }

// wanted returns the streams to be read from the site: those of the table that
// serve its purpose, and the doctypes that only the mapping names.
func (s *Site) wanted(m config.Mapping) []stream {
	serves := purposes(string(s.o.Purpose))
	own := s.o.Mapping.Doctypes() // the defaults alone make no site of sales read tasks
	var out []stream
	for _, st := range streams {
		if slices.Contains(own, st.doctype) || st.serves&serves != 0 {
			out = append(out, st)
		}
	}
	for _, d := range m.Doctypes() {
		if _, ok := streamOf(d); !ok {
			out = append(out, stream{
				doctype: d, serves: anywhere, role: "a role with a read row on " + d,
				degrades: strings.Join(kindCriteria(m, d), " "),
			})
		}
	}
	return out
}

// evidenceSite describes the site for snapshots.
func (s *Site) evidenceSite() evidence.Site {
	return evidence.Site{Key: s.o.Key, URL: s.o.URL, Zone: s.found.Zone, Purpose: string(s.o.Purpose), Versions: maps.Clone(s.found.Versions)}
}
