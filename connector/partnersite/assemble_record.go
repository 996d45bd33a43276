package partnersite

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// Bounds on what a site may put into a snapshot.
const (
	maxRunes     = 140      // runes of a subject, a remark, a link
	maxScan      = 64 << 10 // bytes of a long text that are looked at
	maxNumber    = 1e15     // in either direction
	maxTableRows = 5000     // rows of one child table
)

// site is one site at the instant of the snapshot.
type site struct {
	in    *SiteInput
	asOf  time.Time
	today evidence.Date
	loc   *time.Location
	all   []evidence.Document
	docs  map[string][]record // live ones by doctype, sorted by name

	gone   [][]*evidence.Document // histories that end in a disappearance
	edited [][]*evidence.Document // histories of more than one version

	domains []string                     // the partner's own mail domains
	bad     map[fieldKey]map[string]bool // records whose value could not be read
	index   siteIndex                    // who belongs to whom
	trade   trade                        // who sold what to whom
	metrics map[string]string            // goal → metric id, from the report rules
	status  map[string][]string          // doctype → statuses that pause its tickets' clock
}

type fieldKey struct{ doctype, field string }

// record is a document as of the instant, with what was seen of it before.
type record struct {
	*evidence.Document
	site    *site
	history []*evidence.Document // oldest first; nil when only one version was seen
}

// find returns the live record, or nil.
func (s *site) find(doctype, name string) *record {
	i, ok := s.position(doctype, name)
	if !ok {
		return nil
	}
	return &s.docs[doctype][i]
}

// position is the record's place among those of its doctype.
func (s *site) position(doctype, name string) (int, bool) {
	docs := s.docs[doctype]
	return sort.Find(len(docs), func(i int) int { return cmp.Compare(name, docs[i].Name) })
}

// ref names a record, with its version where it is visible.
func (s *site) ref(doctype, name string) evidence.Ref {
	if r := s.find(doctype, name); r != nil {
		return r.Ref
	}
	if doctype == "" || name == "" {
		return evidence.Ref{}
	}
	return evidence.Ref{Site: s.in.Site.Key, Doctype: doctype, Name: name}
}

// value is a field as it came; the columns that every record has are in Ref
// where the connector did not keep them among the fields.
func (r *record) value(field string) any {
	if v, ok := r.Fields[field]; ok {
		return v
	}
	switch field {
	case "name":
		return r.Name
	case "sent_or_received":
		// Timelines do not say it; rules that ask for it must find it all the same.
		if sent, known := r.site.senderIsOwn(r); known && r.Doctype == doctypeMail {
			if sent {
				return "Sent"
			}
			return "Received"
		}
	case "owner":
		return r.Ref.Owner
	case "doctype":
		return r.Doctype
	case "modified":
		return r.Stamp
	case "creation":
		if !r.Created.IsZero() {
			return r.Created.In(r.site.loc).Format(time.DateTime)
		}
	}
	return nil
}

func (r *record) drift(field string) {
	k := fieldKey{r.Doctype, field}
	if r.site.bad[k] == nil {
		r.site.bad[k] = map[string]bool{}
	}
	r.site.bad[k][r.Name] = true
}

// str is a link, a status or another short text.
func (r *record) str(field string) string {
	s, ok := spell(r.value(field))
	if !ok {
		r.drift(field)
	}
	return cut(s)
}

// plain is a text for people: no HTML, one line, at most 140 runes.
func (r *record) plain(field string) string {
	s, ok := spell(r.value(field))
	if !ok {
		r.drift(field)
	}
	return plainText(s)
}

// flag is a Check field.
func (r *record) flag(field string) bool {
	v := r.value(field)
	if v == nil {
		return false
	}
	n, ok := number(v)
	if !ok {
		r.drift(field)
	}
	return n != 0
}

// num is a number; ok is false when it is not set.
func (r *record) num(field string) (float64, bool) {
	v := r.value(field)
	if v == nil || v == "" {
		return 0, false
	}
	n, ok := number(v)
	if !ok {
		r.drift(field)
	}
	return n, ok
}

// date is a Date, or the day of a Datetime.
func (r *record) date(field string) evidence.Date {
	v := r.value(field)
	if v == nil {
		return evidence.Date{}
	}
	s, ok := v.(string)
	d, err := evidence.ParseDate(s)
	if !ok || err != nil {
		r.drift(field)
		return evidence.Date{}
	}
	return d
}

// instant is a Datetime in UTC; a Date alone is none.
func (r *record) instant(field string) time.Time {
	v := r.value(field)
	if v == nil {
		return time.Time{}
	}
	s, ok := v.(string)
	t, err := r.site.instant(s)
	if !ok || err != nil {
		r.drift(field)
	}
	return t
}

// rows are a child table.
func (r *record) rows(table string) []row {
	v := r.value(table)
	if v == nil || v == "" {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.drift(table)
		return nil
	}
	list = list[:min(len(list), maxTableRows)]
	out := make([]row, 0, len(list))
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, row{m, r, table})
		} else {
			r.drift(table)
		}
	}
	return out
}

// row is one row of a child table.
type row struct {
	fields map[string]any
	parent *record
	table  string
}

func (w row) drift(field string) { w.parent.drift(w.table + "." + field) }

func (w row) str(field string) string {
	s, ok := spell(w.fields[field])
	if !ok {
		w.drift(field)
	}
	return cut(s)
}

func (w row) plain(field string) string {
	s, ok := spell(w.fields[field])
	if !ok {
		w.drift(field)
	}
	return plainText(s)
}

func (w row) num(field string) (float64, bool) {
	v := w.fields[field]
	if v == nil || v == "" {
		return 0, false
	}
	n, ok := number(v)
	if !ok {
		w.drift(field)
	}
	return n, ok
}

func (w row) date(field string) evidence.Date {
	v := w.fields[field]
	if v == nil {
		return evidence.Date{}
	}
	s, ok := v.(string)
	d, err := evidence.ParseDate(s)
	if !ok || err != nil {
		w.drift(field)
		return evidence.Date{}
	}
	return d
}

// instant reads a site's Datetime. Years that sites use for "never" are the
// zero time.
func (s *site) instant(text string) (time.Time, error) {
	t, err := frappe.ParseTime(text, s.loc)
	if err != nil || t.Year() < 1900 || t.Year() > 2200 {
		return time.Time{}, err
	}
	return t, nil
}

// spell is the text of a JSON value as Frappe would show it; false for a list or
// an object, which no text field holds.
func spell(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// number reads a JSON number, a Check or a number in text. What no site counts
// is none: later sums must stay finite.
func number(v any) (float64, bool) {
	n, ok := parseNumber(v)
	if !ok || n != n || n > maxNumber || n < -maxNumber {
		return 0, false
	}
	return n, true
}

func parseNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case string:
		if v == "" {
			return 0, true
		}
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

// cut shortens a link or status to what Frappe's own Data fields can hold.
func cut(s string) string {
	if len(s) <= maxRunes {
		if utf8.ValidString(s) {
			return s
		}
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return cutRunes(strings.ToValidUTF8(s[:min(len(s), maxRunes*utf8.UTFMax)], "\uFFFD"))
}

func cutRunes(s string) string {
	n := 0
	for i := range s {
		if n == maxRunes {
			return s[:i]
		}
		n++
	}
	return s
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// plainText takes the tags out of a site's text. Only the beginning of a long
// one is looked at.
func plainText(s string) string {
	s = clip(s, maxScan)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.ContainsAny(s, "<&") {
		s = html.UnescapeString(stripTags(s))
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') || c == 0xc2 {
			s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xa0 }), " ")
			break
		}
	}
	return cutRunes(s)
}

// stripTags drops what looks like a tag; a lone "<" as in "a < b" stays. A tag
// ends a word, so that "<p>a</p><p>b</p>" does not read "ab".
func stripTags(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 || i+1 >= len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		c := s[i+1] | 0x20
		if c >= 'a' && c <= 'z' || s[i+1] == '/' || s[i+1] == '!' {
			j := strings.IndexByte(s[i:], '>')
			if j < 0 { // an unclosed tag hides the rest in a browser, too
				return b.String()
			}
			b.WriteByte(' ')
			s = s[i+j+1:]
			continue
		}
		b.WriteByte('<')
		s = s[i+1:]
	}
}

// drifted names the fields that many records hold in a form we cannot read: a
// changed type, not somebody's typing error. Only fields without which the
// stream proves nothing make a gap of it: those that its table calls essential,
// its child tables, and what the mapping reads.
func (s *site) drifted() []evidence.Gap {
	var out []evidence.Gap
	for k, names := range s.bad {
		n := len(names)
		if n < 3 || n*10 < len(s.docs[k.doctype]) || !s.essential(k) {
			continue
		}
		out = append(out, evidence.Gap{
			Site: s.in.Site.Key, Stream: k.doctype, Kind: evidence.Drifted, Field: k.field,
			Reason: fmt.Sprintf("%d records hold %s in a form that we do not read", n, k.field),
			Remedy: "look at the field in the site's Customize Form, then at the mapping",
		})
	}
	return out
}

func (s *site) essential(k fieldKey) bool {
	field, _, _ := strings.Cut(k.field, ".")
	if st, ok := streamOf(k.doctype); ok {
		if _, table := st.children[field]; table {
			return true
		}
		for _, c := range columns(st.fields) {
			if c.essential && (c.name == field || slices.Contains(c.older, field)) {
				return true
			}
		}
	}
	for _, rules := range s.in.Mapping.Evidence {
		for _, r := range rules {
			if r.Doctype == k.doctype && slices.Contains(r.FieldNames(), field) {
				return true
			}
		}
	}
	return false
}

// domain is the part of a mail address after the @, lower case; "" without one.
// "Name <a@b>" is read too.
func domain(address string) string {
	address = clip(address, 4096)
	if i := strings.LastIndexByte(address, '<'); i >= 0 {
		address, _, _ = strings.Cut(address[i+1:], ">")
	}
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return ""
	}
	return strings.ToLower(strings.Trim(address[i+1:], " \t\r\n\"'.,;>"))
}

// domainsOf lists the domains in comma-separated addresses, sorted.
func domainsOf(lists ...string) []string {
	var out []string
	for _, l := range lists {
		for a := range strings.FieldsFuncSeq(clip(l, maxScan), func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
			if d := domain(a); d != "" {
				out = append(out, d)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unique sorts names and drops empty and repeated ones.
func unique(names []string) []string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 0 && names[0] == "" {
		names = names[1:]
	}
	if len(names) == 0 {
		return nil
	}
	return names
}
