package frappetest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// asPython turns any error into an exception.
func asPython(err error) *exception {
	var e *exception
	if errors.As(err, &e) {
		return e
	}
	var syn *syntaxError
	if errors.As(err, &syn) {
		return raise("JSONDecodeError", "%s", syn.Error())
	}
	return raise("ValueError", "%s", err.Error())
}

// maxRequestLine is gunicorn's limit for "GET /path?query HTTP/1.1".
const maxRequestLine = 4094

// serve is the application: it answers one request in Frappe's order of
// steps, unless a fault gets in the way.
func (s *Site) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := Request{At: start, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	f := s.faults.pick(r)
	logged := false
	defer func() {
		rec.Took = time.Since(start)
		if !logged {
			s.record(rec)
		}
		s.faults.answered(s, f, rec)
	}()
	if f != nil {
		if !f.pause(r, f.Latency.Duration) {
			return
		}
		if f.answerInstead(s, w, r, &rec) {
			return
		}
	}
	if len(r.Method)+len(r.RequestURI)+len(r.Proto)+2 > maxRequestLine {
		writeRaw(w, &rawReply{status: 400, contentType: "text/html", body: []byte(
			"<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n    <h1><p>Bad Request</p></h1>\n    Request Line is too large (" +
				strconv.Itoa(len(r.RequestURI)) + " &gt; 4094)\n  </body>\n</html>\n")}, &rec, nil)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 256<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away
	}
	rec.BodySize = len(body)
	q := s.newSession("Guest")
	q.req, q.method, q.body = r, r.Method, string(body)
	q.isV2 = s.version.v2 && strings.HasPrefix(r.URL.Path, "/api/v2")

	reply, limits := s.handle(q, f)
	rec.User = q.user
	headers := map[string]string{}
	for k, v := range limits {
		headers[k] = v
	}
	headers["Set-Cookie"] = "sid=Guest; Expires=" + time.Now().Add(240*time.Hour).UTC().Format(http.TimeFormat) + "; Max-Age=864000; HttpOnly; Path=/; SameSite=Lax"
	if f != nil {
		if !f.pause(r, f.PerRow.Duration*time.Duration(q.rows)) {
			return
		}
		if f.deliver(w, r, reply, &rec, headers) {
			return
		}
	}
	// Logged before it leaves: who has an answer finds its request in the log.
	rec.Status, rec.Sent, rec.Took, logged = reply.status, len(reply.body), time.Since(start), true
	s.record(rec)
	writeRaw(w, reply, &rec, headers)
}

func writeRaw(w http.ResponseWriter, r *rawReply, rec *Request, headers map[string]string) {
	h := w.Header()
	for k, v := range headers {
		h.Set(k, v)
	}
	for k, v := range r.headers {
		h.Set(k, v)
	}
	if r.contentType != "" {
		h.Set("Content-Type", r.contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
	n, _ := w.Write(r.body)
	rec.Status, rec.Sent = r.status, n
}

// handle runs the request under the right lock.
func (s *Site) handle(q *session, f *Fault) (*rawReply, map[string]string) {
	began := time.Now()
	writes := q.mayWrite()
	if writes {
		s.mu.Lock()
		defer s.mu.Unlock()
	} else {
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	data, err := s.application(q)
	var reply *rawReply
	limited := s.rateLimited()
	if err != nil {
		if writes {
			q.tx.rollback()
		}
		reply = s.errorReply(q, asPython(err))
	} else {
		if q.method == http.MethodGet || q.method == http.MethodHead {
			if writes && len(q.tx.undo) > 0 {
				q.tx.rollback()
				s.forget("")
			}
		} else {
			q.commit()
		}
		reply = q.raw
		if reply == nil {
			reply = s.jsonReply(q, data)
		}
	}
	var headers map[string]string
	if limited {
		took := time.Since(began)
		if f != nil {
			took += f.Latency.Duration + f.PerRow.Duration*time.Duration(q.rows)
		}
		headers = s.limitHeaders(took, reply)
	}
	if reply.headers == nil {
		reply.headers = map[string]string{}
	}
	return reply, headers
}

// mayWrite says whether a request needs the data for itself. A GET may call a
// method that writes and has it undone.
func (q *session) mayWrite() bool {
	p := q.req.URL.Path
	if m, ok := rpcName(p); ok {
		if rpc, known := methods[m]; known {
			return !rpc.reads
		}
		return q.method != http.MethodGet
	}
	if q.method != http.MethodGet && q.method != http.MethodHead {
		return true
	}
	return strings.Contains(q.req.URL.RawQuery, "run_method") || strings.Contains(q.req.URL.RawQuery, "cmd=") || strings.Contains(p, "/method/") || len(q.body) > 0
}

func rpcName(path string) (string, bool) {
	for _, prefix := range []string{"/api/method/", "/api/v1/method/", "/api/v2/method/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name, true
		}
	}
	return "", false
}

// application is frappe.app.application up to the answer's data.
func (s *Site) application(q *session) (any, error) {
	if isTrue(s.config["maintenance_mode"]) {
		if !isTrue(s.config["allow_reads_during_maintenance"]) {
			return nil, raise("SessionStopped", "Session Stopped")
		}
		q.readOnly = true
	}
	limit := int64(25 << 20)
	if s.version.major == 14 {
		limit = 10 << 20
	}
	if v := cint(s.config["max_file_size"]); v > 0 {
		limit = v
	}
	ct, ctParams, _ := mime.ParseMediaType(q.req.Header.Get("Content-Type"))
	q.isJSON = ct == "application/json" || strings.HasPrefix(ct, "application/") && strings.HasSuffix(ct, "+json")
	if int64(len(q.body)) > limit && (!s.version.unlimitedJSON || !q.isJSON) {
		return nil, httpError(http.StatusRequestEntityTooLarge)
	}
	if err := q.parseParams(ct, ctParams); err != nil {
		return nil, err
	}
	q.readCookies()
	if err := s.checkRate(); err != nil {
		return nil, err
	}
	if err := q.authenticate(); err != nil {
		return nil, err
	}
	if s.apiGuard != nil {
		if err := s.apiGuard(q); err != nil {
			return nil, err
		}
	}
	path := q.req.URL.Path
	switch {
	case q.method == http.MethodOptions:
		q.raw = &rawReply{status: 200, contentType: "text/plain; charset=utf-8"}
		return nil, nil
	case truthy(q.params.get("cmd")):
		return q.callMethod(cstr(q.params.get("cmd")))
	case strings.HasPrefix(path, "/api/"):
		return q.route(path)
	case strings.HasPrefix(path, "/private/files/"):
		return nil, q.privateFile(path)
	case strings.HasPrefix(path, "/files/"):
		if s.bare {
			return nil, q.page(path) // nginx serves them, the app server does not
		}
		return nil, q.publicFile(path)
	case q.method == http.MethodGet || q.method == http.MethodHead || q.method == http.MethodPost:
		return nil, q.page(path)
	}
	return nil, httpError(http.StatusNotFound)
}

// parseParams builds the parameters: a JSON body alone, or query and form.
func (q *session) parseParams(ct string, ctParams map[string]string) error {
	if q.body != "" && q.isJSON {
		v, err := parseJSON(q.body)
		if err != nil {
			return asPython(err)
		}
		switch x := v.(type) {
		case *object:
			q.params = x
			q.params.del("_")
		case []any:
			q.params = newObject("data", x)
		default:
			return q.throw("ValidationError", "Invalid request arguments")
		}
		return nil
	}
	add := func(vals url.Values) {
		for _, k := range sortedKeys(vals) {
			q.params.set(k, vals[k][0])
		}
	}
	vals, _ := url.ParseQuery(q.req.URL.RawQuery)
	add(vals)
	switch ct {
	case "application/x-www-form-urlencoded":
		if form, err := url.ParseQuery(q.body); err == nil {
			add(form)
		}
	case "multipart/form-data":
		if err := q.parseMultipart(ctParams["boundary"]); err != nil {
			return err
		}
	}
	q.params.del("_")
	return nil
}

// route is /api: versions, documents, methods.
func (q *session) route(path string) (any, error) {
	rest := strings.TrimPrefix(path, "/api/")
	if q.site.version.v2 {
		if r, ok := strings.CutPrefix(rest, "v1/"); ok {
			rest = r
		} else if r, ok := strings.CutPrefix(rest, "v2/"); ok {
			return q.routeV2(r)
		}
	}
	missing := func() error { return raise("DoesNotExistError", "") }
	kind, rest, _ := strings.Cut(rest, "/")
	switch kind {
	case "method":
		if rest == "" {
			return nil, missing()
		}
		name, _, _ := strings.Cut(rest, "/")
		return q.callMethod(name)
	case "resource":
		doctype, name, hasName := strings.Cut(rest, "/")
		if doctype == "" {
			return nil, missing()
		}
		verb := q.method
		if verb == http.MethodHead {
			verb = http.MethodGet
		}
		if !hasName || name == "" {
			switch verb {
			case http.MethodGet:
				return q.resourceList(doctype)
			case http.MethodPost:
				return q.resourceCreate(doctype)
			}
			return q.wrongVerb(true)
		}
		if q.site.version.major >= 15 && strings.HasPrefix(name, "/") {
			return nil, missing()
		}
		slash := strings.HasSuffix(name, "/") && len(name) > 1
		if q.site.version.v2 {
			name = strings.TrimSuffix(name, "/") // v14 takes it for a part of the name
		}
		switch verb {
		case http.MethodGet:
			return q.resourceRead(doctype, name)
		case http.MethodPut:
			return q.resourceUpdate(doctype, name)
		case http.MethodDelete:
			return q.resourceDelete(doctype, name)
		case http.MethodPost:
			return q.resourceMethod(doctype, name)
		}
		return q.wrongVerb(slash)
	}
	return nil, missing()
}

// wrongVerb answers a verb without a route.
func (q *session) wrongVerb(page bool) (any, error) {
	if q.site.version.wrongVerbDoesNone {
		return nil, nil
	}
	if page {
		return nil, httpError(http.StatusMethodNotAllowed)
	}
	return nil, raise("DoesNotExistError", "")
}

func (q *session) routeV2(rest string) (any, error) {
	missing := func() error { return raise("DoesNotExistError", "") }
	kind, rest, _ := strings.Cut(rest, "/")
	verb := q.method
	if verb == http.MethodHead {
		verb = http.MethodGet
	}
	switch kind {
	case "method":
		switch rest {
		case "":
			return nil, missing()
		case "login":
			return nil, nil // login happens elsewhere; this route does nothing
		}
		name := strings.TrimSuffix(rest, "/")
		if dt, fn, ok := strings.Cut(name, "/"); ok {
			m, err := q.meta(dt)
			if err != nil {
				return nil, err
			}
			slug := strings.ToLower(strings.ReplaceAll(dt, " ", "_"))
			name = strings.ToLower(m.module) + ".doctype." + slug + "." + slug + "." + fn
			if m.module == "Core" || m.module == "Desk" || m.module == "Custom" {
				name = "frappe." + name
			}
		}
		return q.callMethod(name)
	case "document":
		doctype, name, hasName := strings.Cut(rest, "/")
		if doctype == "" {
			return nil, missing()
		}
		if !hasName || name == "" {
			switch verb {
			case http.MethodGet:
				return q.v2List(doctype)
			case http.MethodPost:
				return q.v2Create(doctype)
			}
			return nil, httpError(http.StatusMethodNotAllowed)
		}
		slash := strings.HasSuffix(name, "/") && len(name) > 1
		name = strings.TrimSuffix(name, "/")
		if n, ok := strings.CutSuffix(name, "/copy"); ok && verb == http.MethodGet {
			return q.copyDoc(doctype, n)
		}
		if i := strings.LastIndex(name, "/method/"); i > 0 && (verb == http.MethodGet || verb == http.MethodPost) {
			return q.runOn(doctype, name[:i], name[i+len("/method/"):])
		}
		switch verb {
		case http.MethodGet:
			return q.resourceRead(doctype, name)
		case http.MethodPut, http.MethodPatch:
			return q.v2Update(doctype, name)
		case http.MethodDelete:
			return q.resourceDelete(doctype, name)
		}
		return q.wrongVerb(slash)
	case "doctype":
		i := strings.LastIndexByte(rest, '/')
		if i <= 0 || verb != http.MethodGet {
			return nil, missing()
		}
		doctype, what := rest[:i], rest[i+1:]
		switch what {
		case "meta":
			if q.user == "Guest" {
				return nil, raise("PermissionError", "")
			}
			m, err := q.meta(doctype)
			if err != nil {
				return nil, err
			}
			return q.metaObject(m), nil
		case "count":
			q.params.set("doctype", doctype)
			return q.deskCount(q.params)
		}
	}
	return nil, missing()
}

// jsonReply writes a successful answer.
func (s *Site) jsonReply(q *session, data any) *rawReply {
	o := newObject()
	if q.sessionEnd {
		o.set("session_expired", int64(1))
	}
	for _, k := range q.extra.keys {
		o.set(k, q.extra.vals[k])
	}
	if data != nil {
		key := "data"
		if _, rpc := data.(rpcResult); rpc {
			data = data.(rpcResult).value
			if !q.isV2 {
				key = "message"
			}
		}
		if data != nil {
			if x, ok := data.(*rowsOut); ok {
				q.rows = len(x.rows)
				data = rawJSON(x.appendJSON(nil))
			}
			o.set(key, data)
		}
	}
	status := http.StatusOK
	if q.status != 0 {
		status = q.status
	}
	q.logs(o)
	return &rawReply{status: status, contentType: "application/json", body: appendJSON(nil, o, compactJSON, 0)}
}

// rpcResult marks what a method returned, which v1 puts under "message".
type rpcResult struct{ value any }

// logs adds the message and debug logs to an answer.
func (q *session) logs(o *object) {
	if q.isV2 {
		if len(q.messages) > 0 {
			list := make([]any, len(q.messages))
			for i, m := range q.messages {
				list[i] = m.object()
			}
			o.set("messages", list)
		}
		if len(q.debug) > 0 {
			list := make([]any, len(q.debug))
			for i, m := range q.debug {
				list[i] = newObject("message", m)
			}
			o.set("debug", list)
		}
		return
	}
	if len(q.messages) > 0 {
		texts := make([]any, len(q.messages))
		for i, m := range q.messages {
			texts[i] = dumps(m.object(), pythonJSON)
		}
		o.set("_server_messages", dumps(texts, pythonJSON))
	}
	if len(q.debug) > 0 {
		o.set("_debug_messages", dumps(q.debug, pythonJSON))
	}
	if q.errorMessage != "" {
		o.set("_error_message", q.errorMessage)
	}
}

// errorReply is handle_exception: JSON or a page, with or without traceback.
func (s *Site) errorReply(q *session, e *exception) *rawReply {
	if e.html {
		return page(e.status, http.StatusText(e.status), "")
	}
	traced := e.status != 404
	// A missing document is a permission matter for those who may not read its
	// DocType.
	if s.version.hideMissing && e.class == "DoesNotExistError" && e.doctype != "" && q.user != "Administrator" {
		if refused := q.typeRefused(e.doctype, "read"); refused != nil {
			e = refused
		}
	}
	traced = traced && !e.untraced
	accept := q.req.Header.Get("Accept")
	asJSON := strings.Contains(accept, "application/json") || accept != "" && q.req.Header.Get("X-Requested-With") == "XMLHttpRequest" ||
		strings.HasPrefix(q.req.URL.Path, "/api/") && !strings.HasPrefix(accept, "text")
	if !asJSON {
		switch {
		case e.status == 429:
			return &rawReply{status: 429, contentType: "text/plain; charset=utf-8", body: []byte("Too Many Requests")}
		case e.class == "SessionStopped":
			return page(503, "Updating", "The system is being updated. Please refresh again after a few moments.")
		}
		status := e.status
		if s.version.textErrorsAre200 {
			status = 200
		}
		text := "Server Error"
		switch e.status {
		case 401:
			text = "Session Expired"
		case 403:
			text = "Not Permitted"
		case 404:
			text = "Not Found"
		}
		detail := ""
		if s.tracing && e.status != 401 && e.status != 403 && e.status != 404 {
			detail = "<pre>" + traceback(e) + "</pre>"
		}
		return page(status, text, detail)
	}
	o := newObject()
	if q.sessionEnd {
		o.set("session_expired", int64(1))
	}
	if m := q.extra.get("message"); m != nil {
		o.set("message", m)
	}
	traced = traced && s.tracing
	switch {
	case q.isV2:
		item := newObject("type", e.class)
		if traced {
			item.set("exception", traceback(e))
		}
		if e.thrown {
			for i, m := range q.messages {
				if m.id == e.id && e.id != "" {
					mo := m.object()
					mo.del("raise_exception")
					mo.del("__frappe_exc_id")
					for _, k := range mo.keys {
						item.set(k, mo.vals[k])
					}
					q.messages = append(q.messages[:i:i], q.messages[i+1:]...)
					break
				}
			}
		}
		o.set("errors", []any{item})
	default:
		if traced {
			o.set("exception", e.Error())
		}
		if s.version.excTypeAlways || e.thrown {
			o.set("exc_type", e.class)
		}
		if traced {
			o.set("exc", dumps([]any{traceback(e)}, pythonJSON))
		}
	}
	q.logs(o)
	r := &rawReply{status: e.status, contentType: "application/json", body: appendJSON(nil, o, compactJSON, 0), headers: map[string]string{}}
	for k, v := range e.headers {
		r.headers[k] = v
	}
	return r
}

// page is an HTML page of the site.
func page(status int, title, detail string) *rawReply {
	body := fmt.Sprintf("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>%s</title></head>\n<body><div class=\"page-card\"><h5>%s</h5><div>%s</div></div></body>\n</html>\n", title, title, detail)
	return &rawReply{status: status, contentType: "text/html; charset=utf-8", body: []byte(body)}
}
