package partnersite

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"html"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

// minimised numbers the rules below. Whoever changes what a stored document
// holds raises it, so that every stream is read again.
const minimised = 1

const (
	maxText    = 300     // runes of a text that is kept
	maxSubject = 140     // runes of a subject
	maxRows    = 2000    // rows of one child table of one record
	maxMarkup  = 1 << 16 // bytes of a text in which tags are looked for
)

// document makes what is kept of a row: the fields that checks use, in canonical
// form, with their digest. rows holds the child rows by table field.
func (p *plan) document(site string, zone *time.Location, row frappe.Doc, rows map[string][]frappe.Doc) evidence.Document {
	fields := make(map[string]any, len(p.fields)+5)
	put := func(name string, v any) {
		if v != nil && v != "" {
			fields[name] = v
		}
	}
	for _, f := range p.fields {
		v := minimise(f, row[f.from])
		for _, to := range f.to {
			put(to, v)
		}
	}
	for _, f := range []string{"owner", "creation", "modified_by"} {
		put(f, short(row.Text(f), maxSubject))
	}
	if n, ok := row.Float("docstatus"); ok {
		fields["docstatus"] = n
	}
	if p.dependsOn {
		put("depends_on", predecessors(row.Text("depends_on_tasks")))
		delete(fields, "depends_on_tasks")
	}
	for _, t := range p.tables {
		put(t.field, t.rows(rows[t.field]))
	}
	p.special(row, fields)
	return seal(evidence.Document{
		Ref: evidence.Ref{
			Site: site, Doctype: p.doctype, Name: row.Name(), Owner: short(row.Text("owner"), maxSubject),
			Modified: instant(row.Modified(), zone), Created: instant(row.Text("creation"), zone),
		},
		Stamp: row.Modified(), Fields: fields,
	})
}

// seal computes the digest of a document's fields.
func seal(d evidence.Document) evidence.Document {
	b, err := json.Marshal(d.Fields)
	if err != nil { // only values of JSON are ever put in
		b = nil
	}
	sum := sha256.Sum256(b)
	d.Hash = hex.EncodeToString(sum[:])
	return d
}

// instant reads a site's time; one that cannot be read is not known.
func instant(text string, zone *time.Location) time.Time {
	t, err := frappe.ParseTime(text, zone)
	if err != nil {
		return time.Time{}
	}
	return t
}

// minimise brings one value into the form in which it is kept. What is neither
// text, number nor flag is dropped: a site that sends a list where a date
// belongs has told nothing.
func minimise(f fitted, v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return v
	case bool:
		if v {
			return 1.0
		}
		return 0.0
	case string:
		switch {
		case f.mail:
			return domains(v)
		case f.presence:
			if strings.TrimSpace(plain(v)) == "" {
				return nil
			}
			return "1"
		}
		switch f.kind {
		case "Text Editor", "HTML Editor", "Long Text", "Text", "Small Text", "Markdown Editor":
			v = plain(v)
		}
		if f.from == "subject" {
			return short(v, maxSubject)
		}
		return short(v, maxText)
	}
	return nil
}

func (t childTable) rows(rows []frappe.Doc) any {
	if len(rows) > maxRows {
		rows = rows[:maxRows]
	}
	var out []any
	for _, r := range rows {
		m := map[string]any{}
		for _, f := range t.fields {
			if v := minimise(f, r[f.from]); v != nil && v != "" {
				m[f.to[0]] = v
			}
		}
		out = append(out, m)
	}
	if out == nil {
		return nil
	}
	return out
}

// predecessors turns the list that a task keeps as text into child rows.
func predecessors(text string) any {
	var out []any
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" && len(out) < maxRows {
			out = append(out, map[string]any{"task": short(name, maxSubject)})
		}
	}
	if out == nil {
		return nil
	}
	return out
}

// short cuts a text to n runes. The mark at the end tells two long texts apart
// that begin alike, without keeping either.
func short(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	cut, left := 0, max(n-14, 0)
	for i := range s {
		if left == 0 {
			cut = i
			break
		}
		left--
	}
	return s[:cut] + "… #" + hex.EncodeToString(sum[:])[:10]
}

var tag = regexp.MustCompile(`<[^<>]*>`)

// plain takes the tags out of HTML and joins what is left with single spaces.
func plain(s string) string {
	if !strings.ContainsAny(s, "<&") {
		return strings.TrimSpace(s)
	}
	whole := s
	if len(s) > maxMarkup {
		s = strings.ToValidUTF8(s[:maxMarkup], "")
	}
	s = strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(s, " "))), " ")
	if len(whole) > maxMarkup {
		sum := sha256.Sum256([]byte(whole))
		s += " #" + hex.EncodeToString(sum[:])[:10]
	}
	return s
}

// domains keeps of a list of mail addresses the domains alone, each once, as
// "@acme.example, @globex.example". They stay in the order of the list.
func domains(s string) string {
	var out []string
	if len(s) > maxMarkup {
		s = s[:maxMarkup]
	}
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(",; \t\r\n<>\"'", r) }) {
		if i := strings.LastIndexByte(part, '@'); i >= 0 && i < len(part)-1 && len(out) < 50 {
			d := "@" + strings.ToLower(strings.Trim(part[i+1:], "."))
			if len(d) <= 255 && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return strings.ToValidUTF8(strings.Join(out, ", "), "\uFFFD")
}

// talk are the comments that Frappe itself writes; they hold no words of people.
var talk = []string{"Edit", "Info", "Attachment", "Attachment Removed", "Deleted", "Label", "Assigned", "Assignment Completed"}

// special treats the few doctypes whose content hides in one text.
func (p *plan) special(row frappe.Doc, fields map[string]any) {
	switch p.doctype {
	case "Comment":
		// What a person wrote is kept only where the mapping reads comments.
		text := plain(row.Text("content"))
		delete(fields, "content")
		if text != "" && (slices.Contains(talk, row.Text("comment_type")) || len(p.kinds) > 0) {
			fields["content"] = short(text, maxText)
		}
	case "Version":
		delete(fields, "data")
		if data := versionData(row.Text("data")); data != "" {
			fields["data"] = data
		}
	case "Deleted Document":
		delete(fields, "data")
		if data := deletedData(row.Text("data"), p.remains[row.Text("deleted_doctype")]); data != "" {
			fields["data"] = data
		}
	}
}

// versionData keeps of a version the fields that streams read, as JSON of the
// same form: changed holds [field, from, to], row_changed the same by row.
func versionData(text string) string {
	if len(text) > 4<<20 {
		return ""
	}
	var v struct {
		Changed    [][]any `json:"changed"`
		RowChanged [][]any `json:"row_changed"`
		Added      [][]any `json:"added"`
		Removed    [][]any `json:"removed"`
	}
	if json.Unmarshal([]byte(text), &v) != nil {
		return ""
	}
	out := map[string]any{}
	if changed := changes(v.Changed); len(changed) > 0 {
		out["changed"] = changed
	}
	var rows []any
	for _, r := range v.RowChanged {
		if len(rows) == 100 || len(r) < 4 {
			continue
		}
		field, _ := r[0].(string)
		idx, _ := r[1].(float64)
		list, _ := r[3].([]any)
		var inner [][]any
		for _, c := range list {
			if t, ok := c.([]any); ok {
				inner = append(inner, t)
			}
		}
		if ch := changes(inner); len(ch) > 0 {
			rows = append(rows, []any{short(field, maxSubject), idx, "", ch})
		}
	}
	if len(rows) > 0 {
		out["row_changed"] = rows
	}
	for key, list := range map[string][][]any{"added": v.Added, "removed": v.Removed} {
		var kept []any
		for _, r := range list {
			if field, _ := first(r).(string); field != "" && len(kept) < 100 {
				kept = append(kept, []any{short(field, maxSubject)})
			}
		}
		if len(kept) > 0 {
			out[key] = kept
		}
	}
	if len(out) == 0 {
		return ""
	}
	b, err := json.Marshal(out)
	if err != nil {
		return ""
	}
	return string(b)
}

func first(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// changes keeps [field, from, to] with texts cut short; long prose, which no
// check compares, becomes its mark.
func changes(list [][]any) []any {
	var out []any
	for _, c := range list {
		field, _ := first(c).(string)
		if len(c) < 3 || field == "" || len(out) == 100 || private[field] {
			continue
		}
		out = append(out, []any{short(field, maxSubject), scalar(c[1]), scalar(c[2])})
	}
	return out
}

// private fields hold words or addresses of people that no check asks for.
var private = map[string]bool{
	"description": true, "content": true, "notes": true, "resolution_details": true, "contact_email": true,
	"contact_mobile": true, "contact_display": true, "address_display": true, "phone": true, "mobile_no": true,
	"email_id": true, "raised_by": true, "terms": true, "first_name": true, "last_name": true, "full_name": true,
}

func scalar(v any) any {
	switch v := v.(type) {
	case string:
		return short(plain(v), maxSubject)
	case float64, bool, nil:
		return v
	}
	return nil
}

// remains are the fields kept of any record that was deleted.
var remains = []string{
	"creation", "modified", "owner", "docstatus", "project", "status", "type", "customer",
	"attached_to_doctype", "attached_to_name", "file_name", "content_hash", "reference_doctype", "reference_name",
}

// deletedData keeps of a deleted record what would have been kept of the record
// itself, as a JSON object.
func deletedData(text string, fields []string) string {
	if len(text) > 4<<20 {
		return ""
	}
	var doc map[string]any
	if json.Unmarshal([]byte(text), &doc) != nil {
		return ""
	}
	out := map[string]any{}
	for _, f := range slices.Concat(remains, fields) {
		if v := scalar(doc[f]); v != nil && v != "" && !private[f] {
			out[f] = v
		}
	}
	if len(out) == 0 {
		return ""
	}
	b, err := json.Marshal(out)
	if err != nil {
		return ""
	}
	return string(b)
}
