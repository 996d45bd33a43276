package frappe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Get reads one document with its tables. The site leaves null fields out, and
// answers 0 for a number the user may not see: compare Meta before taking a 0
// for a fact.
func (c *Client) Get(ctx context.Context, doctype, name string) (Doc, error) {
	op := "read " + doctype
	if doctype == "" || name == "" {
		return nil, c.misuse(op, "no document is named")
	}
	r := &request{op: op, doctype: doctype, name: name}
	key := "data"
	if awkward(name) {
		r.path, key = "/api/method/frappe.client.get", "message"
		r.query = params{{"doctype", doctype}, {"name", name}}
	} else {
		r.path = documentPath(doctype, name)
	}
	var doc Doc
	err := c.do(ctx, r, func(body []byte) (err error) {
		doc, err = decodeDoc(body, key)
		return err
	})
	if err == nil && key == "message" {
		for k, v := range doc {
			if v == nil {
				delete(doc, k) // the method answers nulls, the resource leaves them out
			}
		}
	}
	return doc, err
}

func documentPath(doctype, name string) string {
	return "/api/resource/" + url.PathEscape(doctype) + "/" + url.PathEscape(name)
}

// awkward reports whether a name cannot stand at the end of a path: web servers
// redirect a trailing slash and .html, and resolve dots, even when escaped.
func awkward(name string) bool {
	if strings.HasSuffix(name, "/") || strings.HasPrefix(name, "/") || strings.HasSuffix(strings.ToLower(name), ".html") || strings.Contains(name, "//") {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return strings.ContainsAny(name, "\\\x00\r\n")
}

// Exists reports whether a document exists and may be seen. It is false for one
// that is hidden from the user.
func (c *Client) Exists(ctx context.Context, doctype, name string) (bool, error) {
	rows, err := c.List(ctx, ListQuery{Doctype: doctype, Fields: []string{"name"}, Filters: []Filter{Where("name", "=", name)}, OrderBy: "name asc", Limit: 1})
	return len(rows) > 0, err
}

// Call asks a method by GET and returns its message: nil where the method has
// no result. A method that changes something needs CallPost, since Frappe rolls
// back after every GET. Arguments that are neither text nor number go as JSON.
func (c *Client) Call(ctx context.Context, method string, args map[string]any) (any, error) {
	return c.call(ctx, &request{op: "call " + method, method: http.MethodGet}, method, args)
}

func (c *Client) call(ctx context.Context, r *request, method string, args map[string]any) (any, error) {
	if !methodName.MatchString(method) {
		return nil, c.misuse(r.op, "not the name of a method")
	}
	r.path = "/api/method/" + method
	if r.verb() == http.MethodGet {
		for _, k := range slices.Sorted(maps.Keys(args)) {
			text := ""
			switch v := args[k].(type) {
			case string:
				text = v
			case int:
				text = strconv.Itoa(v)
			default:
				text = compact(v)
			}
			r.query = append(r.query, [2]string{url.QueryEscape(k), text})
		}
		if r.tooLong() {
			return nil, c.misuse(r.op, "the arguments are longer than a request line may be")
		}
	} else {
		r.body = args
		if args == nil {
			r.body = map[string]any{}
		}
	}
	var out any
	err := c.do(ctx, r, func(body []byte) (err error) {
		out, err = decodeUnder(body, "message")
		return err
	})
	return out, err
}

var methodName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// Ping reports whether the site routes and accepts the key.
func (c *Client) Ping(ctx context.Context) error {
	v, err := c.Call(ctx, "ping", nil)
	if err == nil && v != "pong" {
		return c.count(&Error{Op: "call ping", Site: c.site, Status: 200, Category: Malformed, Hint: "the answer is not Frappe's; something else lives at this address"})
	}
	return err
}

// Whoami returns the user whom the key belongs to.
func (c *Client) Whoami(ctx context.Context) (string, error) { return c.whoami(ctx, false) }

func (c *Client) whoami(ctx context.Context, probe bool) (string, error) {
	const method = "frappe.auth.get_logged_user"
	r := &request{op: "call " + method, probe: probe, once: probe}
	v, err := c.call(ctx, r, method, nil)
	if err != nil {
		return "", err
	}
	user, _ := v.(string)
	if user == "" || user == "Guest" {
		e := &Error{Op: r.op, Site: c.site, Status: 200, Category: Unauthorized}
		e.Hint = hint(r, e, true)
		return "", c.count(e)
	}
	return user, nil
}

// Roles returns the roles of a user, the automatic ones included.
func (c *Client) Roles(ctx context.Context, user string) ([]string, error) {
	v, err := c.Call(ctx, "frappe.core.doctype.user.user.get_roles", map[string]any{"uid": user})
	if err != nil {
		return nil, err
	}
	return texts(v), nil
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// An App is one installed application.
type App struct{ Title, Version, Branch string }

// Versions returns the installed apps by name. It is dear for the site (it
// starts git for every app), so ask once a day at most.
func (c *Client) Versions(ctx context.Context) (map[string]App, error) {
	v, err := c.Call(ctx, "frappe.utils.change_log.get_versions", nil)
	if err != nil {
		return nil, err
	}
	m, _ := v.(map[string]any)
	out := make(map[string]App, len(m))
	for name, a := range m {
		if d, ok := a.(map[string]any); ok {
			out[name] = App{Doc(d).Text("title"), Doc(d).Text("version"), Doc(d).Text("branch")}
		}
	}
	return out, nil
}

// Locale is how a site reads its clock and writes its dates.
type Locale struct {
	Zone *time.Location
	// DateFormat is the site's display format ("dd.mm.yyyy"), in which Version
	// documents keep their dates. Empty when it is not known.
	DateFormat string
}

// Locale reads the site's zone from its login page, as a guest, or from System
// Settings where the page does not tell. The method named get_time_zone is not
// asked: it answers the caller's own zone.
func (c *Client) Locale(ctx context.Context) (Locale, error) {
	var zone, format string
	r := &request{op: "read login page", path: "/login", guest: true, accept: "text/html"}
	pageErr := c.do(ctx, r, func(body []byte) error {
		zone, format = boot(body)
		return nil
	})
	if CategoryOf(pageErr) == Cancelled {
		return Locale{}, pageErr
	}
	if zone == "" {
		v, err := c.Call(ctx, "frappe.client.get_single_value", map[string]any{"doctype": "System Settings", "field": "time_zone"})
		if err != nil {
			if pageErr != nil {
				err = pageErr
			}
			return Locale{}, err
		}
		zone, _ = v.(string)
		if zone == "" {
			zone = "Asia/Kolkata" // what Frappe takes when nothing is set
		}
	}
	loc, err := loadZone(zone)
	if err != nil {
		return Locale{}, c.count(&Error{
			Op: r.op, Site: c.site, Category: Malformed,
			Hint: "the site names a time zone that does not exist; set time_zone for it",
		})
	}
	return Locale{Zone: loc, DateFormat: format}, nil
}

func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" || len(name) > 64 {
		return nil, errTime
	}
	return time.LoadLocation(name)
}

var (
	zoneInBoot   = regexp.MustCompile(`"time_zone"\s*:\s*\{[^{}]*"system"\s*:\s*"([A-Za-z0-9_+/-]{1,64})"`)
	formatInBoot = regexp.MustCompile(`"date_format"\s*:\s*"([a-z./-]{6,10})"`)
)

// boot finds zone and date format in the page's boot object, by decoding it or,
// where a version writes it otherwise, by their names.
func boot(page []byte) (zone, format string) {
	if _, rest, ok := bytes.Cut(page, []byte("frappe.boot = ")); ok {
		var b struct {
			TimeZone struct {
				System string `json:"system"`
			} `json:"time_zone"`
			Sysdefaults struct {
				DateFormat string `json:"date_format"`
			} `json:"sysdefaults"`
		}
		if json.NewDecoder(bytes.NewReader(rest)).Decode(&b) == nil {
			zone, format = b.TimeZone.System, b.Sysdefaults.DateFormat
		}
	}
	if m := zoneInBoot.FindSubmatch(page); zone == "" && m != nil {
		zone = string(m[1])
	}
	if m := formatInBoot.FindSubmatch(page); format == "" && m != nil {
		format = string(m[1])
	}
	return zone, format
}

// Count returns how many documents the user may see. Where the doctype's name
// holds a word that Frappe takes for SQL inside count(), as in "Deleted
// Document", the names are walked and counted.
func (c *Client) Count(ctx context.Context, doctype string, filters ...Filter) (int, error) {
	n, err := c.countBy(ctx, "frappe.desk.reportview.get_count", doctype, filters)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != "DataError" {
		return n, err
	}
	n = 0
	for page, err := range c.Names(ctx, doctype, filters...) {
		if err != nil {
			return 0, err
		}
		n += len(page.Rows)
	}
	return n, nil
}

// Hidden compares the rows that the user may see with all that exist. It works
// where the site's version still counts without permissions, as 14 and 15 do;
// elsewhere both are equal, so a difference proves hidden rows and equality
// proves nothing.
func (c *Client) Hidden(ctx context.Context, doctype string) (seen, all int, err error) {
	if seen, err = c.Count(ctx, doctype); err != nil {
		return 0, 0, err
	}
	all, err = c.countBy(ctx, "frappe.client.get_count", doctype, nil)
	return seen, all, err
}

func (c *Client) countBy(ctx context.Context, method, doctype string, filters []Filter) (int, error) {
	args := map[string]any{"doctype": doctype}
	if len(filters) > 0 {
		args["filters"] = filters
	}
	r := &request{op: "count " + doctype, doctype: doctype}
	v, err := c.call(ctx, r, method, args)
	if err != nil {
		return 0, err
	}
	n, ok := Doc{"n": v}.Int("n")
	if !ok || n < 0 {
		return 0, c.count(&Error{Op: r.op, Site: c.site, Status: 200, Category: Malformed, Hint: "the count is no number"})
	}
	return int(n), nil
}

// HasPermission reports whether the user has a right ("read", "write", …) on a
// document, or on the doctype when name is empty.
func (c *Client) HasPermission(ctx context.Context, doctype, name, right string) (bool, error) {
	if name == "" {
		if right != "read" {
			return false, c.misuse("check rights on "+doctype, "only read can be checked without a document")
		}
		_, err := c.List(ctx, ListQuery{Doctype: doctype, Fields: []string{"name"}, OrderBy: "name asc", Limit: 1})
		if CategoryOf(err) == Forbidden {
			return false, nil
		}
		return err == nil, err
	}
	v, err := c.Call(ctx, "frappe.client.has_permission", map[string]any{"doctype": doctype, "docname": name, "perm_type": right})
	if err != nil {
		return false, err
	}
	m, _ := v.(map[string]any)
	return Doc(m).Bool("has_permission"), nil
}

// UserPermissions returns, by doctype, the names to which the user is confined.
// An empty map is a user who sees everything that the roles allow.
func (c *Client) UserPermissions(ctx context.Context) (map[string][]string, error) {
	v, err := c.Call(ctx, "frappe.core.doctype.user_permission.user_permission.get_user_permissions", nil)
	if err != nil {
		return nil, err
	}
	m, _ := v.(map[string]any)
	out := make(map[string][]string, len(m))
	for doctype := range m {
		for _, row := range Doc(m).Rows(doctype) {
			out[doctype] = append(out[doctype], row.Text("doc"))
		}
	}
	return out, nil
}
