package frappe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Category says what a failed exchange means for the caller. The set is closed,
// so it can label a metric; what the site itself calls the error is Error.Kind.
type Category string

// The categories. Unauthorized: the key is not accepted. Forbidden: the user
// may not do this. Duplicate: the name or a unique value is taken. Conflict:
// the document changed since it was read. Invalid: the site refuses the content
// of the request. Failed: the site's own error. Unavailable: the site, or what
// stands before it, is down for now. Uncertain: a write was sent and its answer
// lost. The rest speak for themselves.
const (
	Unauthorized   Category = "unauthorized"
	Forbidden      Category = "forbidden"
	NotFound       Category = "not_found"
	Duplicate      Category = "duplicate"
	Conflict       Category = "conflict"
	Invalid        Category = "invalid"
	RateLimited    Category = "rate_limited"
	Failed         Category = "failed"
	Unavailable    Category = "unavailable"
	Unreachable    Category = "unreachable"
	Timeout        Category = "timeout"
	Cancelled      Category = "cancelled"
	Uncertain      Category = "uncertain"
	LoginPage      Category = "login_page"
	Malformed      Category = "malformed"
	Oversized      Category = "oversized"
	Redirected     Category = "redirected"
	RefusedAddress Category = "refused_address"
	BadCertificate Category = "bad_certificate"
	BreakerOpen    Category = "breaker_open"
	ReadOnly       Category = "read_only"
	Misuse         Category = "misuse"
)

// Error is a refusal by a site, or a failure to reach it. Its text names no
// secret, no query and nothing a customer wrote.
type Error struct {
	Op         string        // "list Task"
	Site       string        // "https://acme.example"
	Status     int           // HTTP status; 0 when there was no answer
	Kind       string        // Frappe's exc_type, "PermissionError"; may be empty
	Category   Category      // what it means for the caller
	Hint       string        // what the operator can do; may be empty
	RetryAfter time.Duration // zero when nobody named one

	// Messages is what the site told its user, as plain text. It may quote
	// documents, so it is for the person at the terminal and not for logs; Error
	// and LogValue leave it out.
	Messages []string

	cause error
}

// Error says what was tried, where, what came of it and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	b.WriteString(" on ")
	b.WriteString(e.Site)
	b.WriteString(": ")
	switch {
	case e.Kind != "":
		b.WriteString(e.Kind)
	default:
		b.WriteString(strings.ReplaceAll(string(e.Category), "_", " "))
	}
	if e.Status != 0 {
		b.WriteString(" (HTTP " + strconv.Itoa(e.Status) + ")")
	}
	if e.Hint != "" {
		b.WriteString(": ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause, a context or network error, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Temporary reports whether trying the same request later can help.
func (e *Error) Temporary() bool {
	switch e.Category {
	case RateLimited, Unavailable, Unreachable, Timeout, BreakerOpen, Uncertain, Failed:
		return true
	}
	return false
}

// LogValue logs the facts of the error and nothing the site wrote.
func (e *Error) LogValue() slog.Value {
	a := []slog.Attr{
		slog.String("op", e.Op), slog.String("site", e.Site), slog.String("category", string(e.Category)),
	}
	if e.Status != 0 {
		a = append(a, slog.Int("status", e.Status))
	}
	if e.Kind != "" {
		a = append(a, slog.String("kind", e.Kind))
	}
	if e.Hint != "" {
		a = append(a, slog.String("hint", e.Hint))
	}
	if e.RetryAfter > 0 {
		a = append(a, slog.Duration("retry_after", e.RetryAfter))
	}
	return slog.GroupValue(a...)
}

// CategoryOf returns the category of the Error in err's chain, or "" when there
// is none.
func CategoryOf(err error) Category {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Category
	}
	return ""
}

// sick reports whether err says that the site cannot serve anybody just now.
// Only that moves the breaker: a refusal is an answer of a healthy site.
func sick(err error) bool {
	switch CategoryOf(err) {
	case Unavailable, Unreachable, Timeout:
		return true
	}
	return false
}

// ours reports whether err says nothing about the site, because the exchange was
// stopped or refused on our side.
func ours(err error) bool {
	switch CategoryOf(err) {
	case Cancelled, ReadOnly, RefusedAddress, Misuse:
		return true
	}
	return false
}

// Kinds of Frappe whose status says too little.
var kindCategory = map[string]Category{
	"AuthenticationError":       Unauthorized,
	"SessionExpired":            Unauthorized,
	"InvalidAuthorizationToken": Unauthorized,
	"PermissionError":           Forbidden,
	"WorkflowPermissionError":   Forbidden,
	"DoesNotExistError":         NotFound,
	"PageDoesNotExistError":     NotFound,
	"DuplicateEntryError":       Duplicate,
	"UniqueValidationError":     Duplicate,
	"TimestampMismatchError":    Conflict,
	"TooManyRequestsError":      RateLimited,
	"RateLimitExceededError":    RateLimited,
	"QueryDeadlockError":        Unavailable,
	"QueryTimeoutError":         Unavailable,
	"DocumentLockedError":       Unavailable,
	"SessionStopped":            Unavailable,
	"InReadOnlyMode":            Unavailable,
	"QueueOverloaded":           Unavailable,
}

func categoryOfStatus(status int) Category {
	switch {
	case status == http.StatusUnauthorized:
		return Unauthorized
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusConflict:
		return Duplicate
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusRequestEntityTooLarge, status == http.StatusBadRequest,
		status == http.StatusExpectationFailed, status == http.StatusMethodNotAllowed:
		return Invalid
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return Unavailable
	case status >= 300 && status < 400:
		return Redirected
	case status >= 500:
		return Failed
	}
	return Invalid
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,253}$`)

var className = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// kindOf cleans what the site calls an error class: a bare identifier or nothing.
func kindOf(s string) string {
	s = s[strings.LastIndexByte(s, '.')+1:]
	if !className.MatchString(s) {
		return ""
	}
	return s
}

// parseError reads class and messages out of an error body of any version, v1
// or v2. Both are empty for a body that is not Frappe's.
func parseError(body []byte) (kind string, messages []string) {
	var v struct {
		ExcType        any             `json:"exc_type"`
		Exception      any             `json:"exception"`
		ServerMessages any             `json:"_server_messages"`
		ErrorMessage   any             `json:"_error_message"`
		Message        any             `json:"message"`
		Errors         json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(body, &v) != nil {
		return "", nil
	}
	if s, ok := v.ExcType.(string); ok {
		kind = kindOf(s)
	}
	if s, ok := v.Exception.(string); ok && kind == "" {
		// Version 14 often sends the class only here, before the colon.
		class, _, _ := strings.Cut(s, ":")
		kind = kindOf(strings.TrimSpace(class))
	}
	if s, ok := v.ServerMessages.(string); ok {
		messages = serverMessages(s)
	}
	if s, ok := v.ErrorMessage.(string); ok && len(messages) == 0 {
		messages = append(messages, plain(s))
	}
	var errs []struct {
		Type    any `json:"type"`
		Message any `json:"message"`
	}
	if len(v.Errors) > 0 && json.Unmarshal(v.Errors, &errs) == nil {
		for i, e := range errs {
			if i == maxMessages {
				break
			}
			if s, ok := e.Type.(string); ok && kind == "" {
				kind = kindOf(s)
			}
			if s, ok := e.Message.(string); ok && s != "" {
				messages = append(messages, plain(s))
			}
		}
	}
	if s, ok := v.Message.(string); ok && s != "" && len(messages) == 0 {
		messages = append(messages, plain(s))
	}
	return kind, messages
}

const (
	maxMessages   = 20
	maxMessageLen = 500
)

// serverMessages unpacks Frappe's _server_messages: JSON text of a list of JSON
// texts, each an object with a message in HTML.
func serverMessages(s string) []string {
	var list []json.RawMessage
	if json.Unmarshal([]byte(s), &list) != nil {
		return nil
	}
	var out []string
	for _, raw := range list {
		if len(out) == maxMessages {
			break
		}
		var text string
		if json.Unmarshal(raw, &text) == nil {
			raw = []byte(text)
		}
		var m struct {
			Message any `json:"message"`
		}
		if json.Unmarshal(raw, &m) == nil {
			if t, ok := m.Message.(string); ok {
				out = append(out, plain(t))
			}
			continue
		}
		if text != "" {
			out = append(out, plain(text))
		}
	}
	return out
}

var tag = regexp.MustCompile(`<[^<>]*>`)

// plain turns a message of the site into one line of text without markup or
// control characters.
func plain(s string) string {
	if len(s) > 8*maxMessageLen {
		s = s[:8*maxMessageLen]
	}
	s = html.UnescapeString(tag.ReplaceAllString(s, " "))
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return r <= ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
	}), " ")
	if r := []rune(s); len(r) > maxMessageLen {
		s = string(r[:maxMessageLen-1]) + "…"
	}
	return s
}

// netError turns what the transport returned into an Error. The text of a
// *url.Error repeats the query, so only what it wraps is kept.
func (c *Client) netError(ctx context.Context, op string, err error) *Error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	e := &Error{Op: op, Site: c.site, Category: Unreachable, cause: err}
	if own, ok := errors.AsType[*refusal](err); ok {
		e.Category, e.Hint, e.cause = own.category, own.hint, nil
		return e
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		e.Category, e.Hint, e.cause = Cancelled, "the work was stopped", context.Canceled
	case ctx.Err() != nil:
		// The caller's limit says nothing about the site.
		e.Category, e.Hint, e.cause = Cancelled, "the time given to the work ran out", context.DeadlineExceeded
	case isDNS(err):
		e.Hint = "the host name does not resolve; check the site's address"
	case errors.As(err, &unknown):
		e.Category, e.Hint = BadCertificate, "the certificate's issuer is not trusted; give ca_file if it is a private one"
	case errors.As(err, &host):
		e.Category, e.Hint = BadCertificate, "the certificate is for another host; check the site's address"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Category, e.Hint = BadCertificate, "the certificate has expired or is not valid yet; the site must renew it"
	case errors.As(err, &invalid), errors.As(err, &verify):
		e.Category, e.Hint = BadCertificate, "the certificate cannot be verified"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		e.Category, e.Hint = BadCertificate, "the site does not speak TLS at this address"
	case isDial(err):
		e.Hint = "no connection; the site is down, its host name is wrong or the way to it is blocked"
	case isTimeout(err):
		e.Category, e.Hint = Timeout, "no complete answer in time; the site is slow or the way to it is blocked"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), isCorrupt(err):
		e.Category, e.Hint = Malformed, "the compressed answer is damaged"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Hint = "the connection broke in the middle"
	default:
		e.Hint = "the connection failed; the site is down or the way to it is blocked"
	}
	return e
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && t.Timeout()
}

func isDNS(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func isCorrupt(err error) bool {
	_, ok := errors.AsType[flate.CorruptInputError](err)
	return ok
}

// statusError reads the Error out of an answer that is no success.
func (c *Client) statusError(r *request, status int, header http.Header, body []byte) *Error {
	kind, messages := parseError(body)
	e := &Error{Op: r.op, Site: c.site, Status: status, Kind: kind, RetryAfter: retryAfter(header, c.now())}
	for _, m := range messages {
		e.Messages = append(e.Messages, c.redact(m))
	}
	var known bool
	if e.Category, known = kindCategory[kind]; !known {
		e.Category = categoryOfStatus(status)
	}
	switch {
	case e.Category == Duplicate && kind == "" && !isJSON(header):
		e.Category = Invalid
	case e.Category == Forbidden && status == http.StatusUnauthorized:
		e.Category = Unauthorized
	}
	e.Hint = hint(r, e, isJSON(header))
	if e.Category == Redirected {
		if u, err := url.Parse(header.Get("Location")); err == nil && hostName.MatchString(u.Host) && (u.Scheme == "http" || u.Scheme == "https") {
			e.Hint += " (it points to " + u.Scheme + "://" + u.Host + ")"
		}
	}
	return e
}

// hint names the remedy. It uses nothing but what we asked and the class of the
// answer, never the site's own text.
func hint(r *request, e *Error, fromFrappe bool) string {
	right := r.right
	if right == "" {
		right = "read"
	}
	switch e.Kind {
	case "SessionStopped":
		return "the site is in maintenance mode; wait, or ask its administrator"
	case "InReadOnlyMode":
		return "the site accepts reads only for now"
	case "QueryDeadlockError", "QueryTimeoutError", "DocumentLockedError":
		return "the document is locked by another transaction; it is tried again"
	case "UpdateAfterSubmitError":
		return "the document is submitted; only fields allowed on submit can change"
	case "MandatoryError":
		return "a mandatory field is missing; compare the doctype on the site with what we send"
	case "LinkValidationError", "CancelledLinkError":
		return "a linked document does not exist or is cancelled"
	case "DataError":
		return "the site does not know a field or a filter; its doctype differs from what we expect"
	case "CSRFTokenError":
		return "a session cookie was used; only keys are supported"
	case "MaxFileSizeReachedError":
		return "the file is larger than the site allows"
	}
	switch e.Category {
	case Unauthorized:
		return "key or secret is not accepted, or its user is disabled; check them under User > Settings > API Access"
	case Forbidden:
		if r.denied != "" {
			return r.denied
		}
		if r.doctype != "" {
			return "user lacks " + right + " on " + r.doctype + ": add a row for it in Role Permissions Manager, or the doctype is not installed"
		}
		return "user lacks the right to call this method"
	case NotFound:
		if !fromFrappe {
			return "nothing answers at this address; check that the host name is the one of the site"
		}
		if r.name != "" {
			return "the document does not exist, or was renamed or deleted"
		}
		return "the doctype or method does not exist; check which apps are installed"
	case Duplicate:
		return "the name or a unique value is taken already"
	case Conflict:
		return "the document changed since it was read; read it again and repeat"
	case RateLimited:
		return "the site's time budget is used up; poll less often or raise rate_limit in its site_config"
	case Unavailable:
		return "the site is restarting or overloaded; it is tried again"
	case Redirected:
		return "the site redirects, which is refused; give the final address as url"
	case LoginPage:
		return "a web page came instead of data: a login or proxy page stands before the API, or the key is not accepted"
	case Failed:
		return "the site failed while answering; look into its Error Log"
	case Invalid:
		switch e.Status {
		case http.StatusRequestEntityTooLarge:
			return "the request is larger than the site allows"
		case http.StatusMethodNotAllowed:
			return "the site does not allow this verb here"
		case http.StatusBadRequest:
			return "the site could not read the request; a proxy may limit its length"
		}
		return "the site refuses the content of the request"
	}
	return ""
}

// retryAfter reads the header in both its forms. It returns zero for none and
// at most a day.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.ParseFloat(v, 64); err == nil {
		if !(n > 0) {
			return 0
		}
		d = time.Duration(min(n, 86400) * float64(time.Second))
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), 24*time.Hour)
}

func isJSON(h http.Header) bool {
	ct, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(ct), "application/json")
}

// redact removes the credentials from text of the site, which may echo headers.
func (c *Client) redact(s string) string {
	key, secret, _ := strings.Cut(strings.TrimPrefix(c.token(), "token "), ":")
	return strings.NewReplacer(secret, "redacted", key, "redacted").Replace(s)
}

// looksLikePage reports whether body begins like an HTML document.
func looksLikePage(body []byte) bool {
	b := bytes.TrimLeft(body[:min(len(body), 256)], " \t\r\n\ufeff")
	return len(b) > 0 && b[0] == '<'
}
