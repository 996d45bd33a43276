package frappetest

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"strings"
)

// page answers what is not under /api: the login page, whose boot JSON holds
// the site's zone, and 404 for the rest.
func (q *session) page(path string) error {
	s := q.site
	switch strings.Trim(path, "/") {
	case "login":
		zone := cstr(q.value("System Settings", "System Settings", "time_zone"))
		if zone == "" {
			zone = "Asia/Kolkata"
		}
		format := cstr(q.value("System Settings", "System Settings", "date_format"))
		if format == "" {
			format = "yyyy-mm-dd"
		}
		timeFormat := cstr(q.value("System Settings", "System Settings", "time_format"))
		if timeFormat == "" {
			timeFormat = "HH:mm:ss"
		}
		boot := newObject(
			"lang", "en",
			"sysdefaults", newObject("float_precision", int64(3), "date_format", format, "time_format", timeFormat),
			"time_zone", newObject("system", zone, "user", zone),
			"assets_json", newObject(), "read_only", q.readOnly,
			"sitename", s.host,
		)
		body := "<!DOCTYPE html>\n<!-- Built on Frappe Framework. https://frappe.io/ -->\n<html lang=\"en\">\n<head>\n\t<meta charset=\"utf-8\">\n" +
			"\t<meta name=\"generator\" content=\"frappe\">\n\t<title>Login</title>\n</head>\n<body frappe-session-status=\"logged-out\" data-path=\"login\">\n" +
			"<script>\n\tfrappe.boot = " + dumps(boot, indentedJSON) + "\n\t// for backward compatibility of some libs\n\tfrappe.sys_defaults = frappe.boot.sysdefaults;\n</script>\n" +
			"<form class=\"form-signin form-login\" role=\"form\"></form>\n</body>\n</html>\n"
		q.raw = &rawReply{status: http.StatusOK, contentType: "text/html; charset=utf-8", body: []byte(body)}
		return nil
	case "", "index":
		q.raw = &rawReply{status: http.StatusMovedPermanently, contentType: "text/html; charset=utf-8", headers: map[string]string{"Location": "/login"}}
		return nil
	case "printview":
		h, err := q.printDoc(q.params)
		if err != nil {
			return err
		}
		q.raw = &rawReply{status: http.StatusOK, contentType: "text/html; charset=utf-8", body: []byte(h)}
		return nil
	}
	if strings.HasPrefix(path, "/app") {
		q.raw = page(http.StatusOK, "Desk", "")
		return nil
	}
	if t := s.tableMap()["Web Form"]; t != nil {
		for _, r := range t.matching("route", strings.TrimSuffix(strings.Trim(path, "/"), "/new")) {
			if isTrue(t.get(r, "published")) {
				q.raw = page(http.StatusOK, t.str(r, "title"), html.EscapeString(t.str(r, "introduction_text")))
				return nil
			}
		}
	}
	q.raw = page(http.StatusNotFound, "Not Found", "The page you are looking for has gone missing.")
	return nil
}

// webFormAccept is the guest door of a published Web Form: only the form's
// fields are taken.
func (q *session) webFormAccept(p *object) (any, error) {
	if err := need("accept", p, "web_form", "data"); err != nil {
		return nil, err
	}
	name := cstr(p.get("web_form"))
	form, err := q.getDoc("Web Form", name)
	if err != nil {
		return nil, err
	}
	data, err := docArg(p.get("data"))
	if err != nil {
		return nil, err
	}
	if form.is("login_required") && q.user == "Guest" {
		return nil, q.throw("PermissionError", "You must login to submit this form")
	}
	if !form.is("published") {
		return nil, q.throw("PermissionError", "Web Form is not published")
	}
	o := newObject()
	for _, f := range form.kids["web_form_fields"] {
		key := f.str("fieldname")
		v := data.get(key)
		if f.is("reqd") && strings.TrimSpace(cstr(v)) == "" {
			return nil, q.throw("MandatoryError", "Mandatory Information missing:<br><br>%s", f.str("label"))
		}
		if data.has(key) {
			o.set(key, v)
		}
	}
	existing := cstr(data.get("name"))
	if existing != "" {
		if !form.is("allow_edit") {
			return nil, q.throw("PermissionError", "You are not allowed to update this Web Form Document")
		}
	}
	d, err := q.newDocument(form.str("doc_type"), o)
	if err != nil {
		return nil, err
	}
	// The form acts with full rights; the fields it lists are its guard.
	q.ignorePerms = true
	defer func() { q.ignorePerms = false }()
	if err := d.insert(); err != nil {
		return nil, err
	}
	return d.asObject(true)
}

func (q *session) printDoc(p *object) (string, error) {
	d, err := q.getDoc(cstr(p.get("doctype")), cstr(p.get("name")))
	if err != nil {
		return "", err
	}
	if !q.can(d, "print") && !q.can(d, "read") {
		return "", q.denied(d, "print")
	}
	d.hideLevels()
	o, err := d.asObject(true)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1><table>", html.EscapeString(d.name()), html.EscapeString(d.m.name+" "+d.name()))
	for _, k := range o.keys {
		if v := o.vals[k]; v != nil {
			if _, isList := v.([]any); !isList {
				fmt.Fprintf(&b, "<tr><th>%s</th><td>%s</td></tr>", html.EscapeString(d.m.label(k)), html.EscapeString(cstr(v)))
			}
		}
	}
	b.WriteString("</table></body></html>")
	return b.String(), nil
}

func (q *session) printHTML(p *object) (any, error) {
	if v := p.get("doc"); v != nil && !p.has("doctype") {
		if o, ok := v.(*object); ok {
			p = o
		} else {
			p.set("doctype", v)
		}
	}
	h, err := q.printDoc(p)
	if err != nil {
		return nil, err
	}
	return newObject("html", h, "style", ""), nil
}

// downloadPDF answers a small true PDF with the document's name in it.
func (q *session) downloadPDF(p *object) (any, error) {
	if err := need("download_pdf", p, "doctype", "name"); err != nil {
		return nil, err
	}
	if format := cstr(p.get("format")); format != "" && format != "Standard" && !q.exists("Print Format", format) {
		return nil, q.notFound("Print Format", format)
	}
	if _, err := q.printDoc(p); err != nil {
		return nil, err
	}
	name := cstr(p.get("name"))
	q.raw = &rawReply{
		status: http.StatusOK, contentType: "application/pdf", body: simplePDF(cstr(p.get("doctype")) + " " + name),
		headers: map[string]string{"Content-Disposition": `filename="` + strings.NewReplacer(" ", "-", "/", "-", `"`, "").Replace(name) + `.pdf"`},
	}
	return nil, nil
}

func simplePDF(text string) []byte {
	text = strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(text)
	stream := "BT /F1 12 Tf 60 760 Td (" + text + ") Tj ET"
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(stream), stream),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, at)
	return b.Bytes()
}

// serverScript answers API Server Scripts: they are stored and found, their
// Python is not run.
func (q *session) serverScript(name string) (any, error, bool) {
	t := q.site.tableMap()["Server Script"]
	if t == nil {
		return nil, nil, false
	}
	for _, r := range t.matching("api_method", name) {
		if t.str(r, "script_type") != "API" || isTrue(t.get(r, "disabled")) {
			continue
		}
		if q.user == "Guest" && !isTrue(t.get(r, "allow_guest")) {
			return nil, raise("PermissionError", ""), true
		}
		return nil, nil, true
	}
	return nil, nil, false
}
