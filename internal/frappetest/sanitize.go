package frappetest

import (
	"html"
	"regexp"
	"strings"
)

var tagPattern = regexp.MustCompile(`(?s)<!--.*?-->|</?[a-zA-Z][^<>]*>`)

func stripTags(s string) string {
	if !strings.Contains(s, "<") {
		return s
	}
	return html.UnescapeString(tagPattern.ReplaceAllString(s, ""))
}

// sanitize is _sanitize_content: text with tags keeps the harmless ones and
// has the others escaped.
func (d *document) sanitize() error {
	for _, c := range d.m.columns {
		v, ok := d.vals[c].(string)
		if !ok || !strings.ContainsAny(v, "<>") || strings.Contains(v, "<!-- markdown -->") {
			continue
		}
		f := d.m.byName[c]
		if f != nil {
			switch {
			case f.ignoreXSS, f.options == "Email" && (f.typ == "Data" || f.typ == "Small Text" || f.typ == "Text"):
				continue
			case f.typ == "Attach" || f.typ == "Attach Image" || f.typ == "Barcode" || f.typ == "Code":
				continue
			case cint(d.vals["docstatus"]) == 2, cint(d.vals["docstatus"]) == 1 && !f.onSubmit:
				continue
			}
		}
		d.vals[c] = sanitizeHTML(v)
	}
	return nil
}

var allowedTags = func() map[string]bool {
	m := map[string]bool{}
	for _, t := range strings.Fields(`a abbr acronym address area article aside audio b big blink blockquote br button canvas caption
		center cite code col colgroup command datagrid datalist dd del details dfn dialog dir div dl dt em event-source fieldset
		figcaption figure footer font form header h1 h2 h3 h4 h5 h6 hr i img input ins keygen kbd label legend li m map menu meter
		multicol nav nextid ol output optgroup option p pre progress q s samp section select small sound source spacer span strike
		strong sub sup table tbody td textarea time tfoot th thead tr tt u ul var video html head body meta link style o:p
		svg circle path rect line polygon polyline g text use defs clippath lineargradient radialgradient stop mark iframe`) {
		m[t] = true
	}
	delete(m, "iframe")
	return m
}()

var entityPattern = regexp.MustCompile(`^&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);`)

// sanitizeHTML cleans text as bleach does: JSON and text without a tag stay
// as they are.
func sanitizeHTML(s string) string {
	if t := strings.TrimSpace(s); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") || strings.HasPrefix(t, `"`) {
		if _, err := parseJSON(t); err == nil {
			return s
		}
	}
	if !tagPattern.MatchString(s) {
		return s
	}
	var b strings.Builder
	for s != "" {
		loc := tagPattern.FindStringIndex(s)
		if loc == nil {
			escapeText(&b, s)
			break
		}
		escapeText(&b, s[:loc[0]])
		tag := s[loc[0]:loc[1]]
		s = s[loc[1]:]
		if strings.HasPrefix(tag, "<!--") {
			continue
		}
		name := strings.ToLower(strings.Trim(strings.FieldsFunc(tag, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })[0], "</>"))
		if allowedTags[name] {
			b.WriteString(cleanTag(tag, name))
		} else {
			escapeText(&b, tag)
		}
	}
	return b.String()
}

var attrPattern = regexp.MustCompile(`([a-zA-Z_:][-a-zA-Z0-9_:.]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?`)

func cleanTag(tag, name string) string {
	if strings.HasPrefix(tag, "</") {
		return "</" + name + ">"
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(tag, "<"), ">")
	inner = strings.TrimSuffix(inner, "/")
	rest := inner[len(name):]
	var b strings.Builder
	b.WriteString("<" + name)
	for _, a := range attrPattern.FindAllStringSubmatch(rest, -1) {
		key := strings.ToLower(a[1])
		val := strings.Trim(a[2], `"'`)
		if strings.HasPrefix(key, "on") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(html.UnescapeString(val))), "javascript:") {
			continue
		}
		b.WriteString(` ` + key + `="` + strings.ReplaceAll(val, `"`, "&quot;") + `"`)
	}
	b.WriteString(">")
	return b.String()
}

func escapeText(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '&':
			if entityPattern.MatchString(s[i:]) {
				b.WriteByte('&')
			} else {
				b.WriteString("&amp;")
			}
		default:
			b.WriteByte(s[i])
		}
	}
}
