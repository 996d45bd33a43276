package frappetest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// exception is a Python exception on its way to the client: a class that the
// answer names, the status that Frappe gives it, and whether it was "thrown"
// (with a message for the user) or merely raised.
type exception struct {
	class  string
	status int
	msg    string
	thrown bool
	// id links the exception with its message in the log, as API v2 needs it.
	id string
	// doctype is set on DoesNotExistError where Frappe knows what was missing,
	// so that a caller without read right gets 403 instead.
	doctype string
	// html asks for a web page whatever the caller accepts (werkzeug's own
	// HTTP exceptions).
	html bool
	// untraced keeps exception and exc out of the answer.
	untraced bool
	headers  map[string]string
}

func (e *exception) Error() string {
	if e.msg == "" {
		return e.qualified()
	}
	return e.qualified() + ": " + e.msg
}

// statuses holds what each exception class answers; absent classes are 500.
var statuses = map[string]int{
	"ValidationError": 417, "FrappeTypeError": 417, "AuthenticationError": 401, "SessionExpired": 401,
	"PermissionError": 403, "DoesNotExistError": 404, "PageDoesNotExistError": 404, "NameError": 409,
	"OutgoingEmailError": 501, "SessionStopped": 503, "UnsupportedMediaType": 415, "CSRFTokenError": 400,
	"InvalidAuthorizationToken": 400, "TooManyRequestsError": 429, "DuplicateEntryError": 409, "DataError": 417,
	"MandatoryError": 417, "NonNegativeError": 417, "RateLimitExceededError": 429, "CannotChangeConstantError": 417,
	"CharacterLengthExceededError": 417, "UpdateAfterSubmitError": 417, "LinkValidationError": 417,
	"CancelledLinkError": 417, "DocstatusTransitionError": 417, "TimestampMismatchError": 417, "EmptyTableError": 417,
	"LinkExistsError": 417, "InvalidEmailAddressError": 417, "InvalidNameError": 417, "InvalidPhoneNumberError": 417,
	"UniqueValidationError": 417, "DocumentLockedError": 417, "AttachmentLimitReached": 417, "InReadOnlyMode": 503,
	"QueueOverloaded": 503, "LinkExpired": 410, "MaxFileSizeReachedError": 417, "FolderNotEmpty": 417,
	"CannotCreateStandardDoctypeError": 417, "WrongOptionsDoctypeLinkError": 417, "HiddenAndMandatoryWithoutDefaultError": 417,
	"NonUniqueError": 417, "CannotIndexedError": 417, "UniqueFieldnameError": 417, "IllegalMandatoryError": 417,
	"DoctypeLinkError": 417, "InvalidFieldNameError": 417, "WorkflowPermissionError": 417, "WorkflowTransitionError": 417,
	"WorkflowStateError": 417, "DuplicateRowError": 417, "OverlapError": 417, "InvalidNamingSeriesError": 417,
	"InvalidColumnName": 417, "CircularLinkingError": 417, "InvalidDates": 417,
}

// modules are the Python modules of classes that do not live in
// frappe.exceptions; classes without a module are builtins.
var modules = map[string]string{
	"TypeError": "", "KeyError": "", "ValueError": "", "AttributeError": "", "RecursionError": "", "ImportError": "", "IndexError": "",
	"UnicodeDecodeError": "", "JSONDecodeError": "json.decoder.",
	"OperationalError": "pymysql.err.", "ProgrammingError": "pymysql.err.", "IntegrityError": "pymysql.err.",
	"CannotCreateStandardDoctypeError": "frappe.core.doctype.doctype.doctype.", "WrongOptionsDoctypeLinkError": "frappe.core.doctype.doctype.doctype.",
	"HiddenAndMandatoryWithoutDefaultError": "frappe.core.doctype.doctype.doctype.", "NonUniqueError": "frappe.core.doctype.doctype.doctype.",
	"CannotIndexedError": "frappe.core.doctype.doctype.doctype.", "UniqueFieldnameError": "frappe.core.doctype.doctype.doctype.",
	"IllegalMandatoryError": "frappe.core.doctype.doctype.doctype.", "DoctypeLinkError": "frappe.core.doctype.doctype.doctype.",
	"InvalidFieldNameError":   "frappe.core.doctype.doctype.doctype.",
	"MaxFileSizeReachedError": "frappe.core.doctype.file.exceptions.", "FolderNotEmpty": "frappe.core.doctype.file.exceptions.",
	"WorkflowPermissionError": "frappe.model.workflow.", "WorkflowTransitionError": "frappe.model.workflow.", "WorkflowStateError": "frappe.model.workflow.",
}

func (e *exception) qualified() string {
	if m, ok := modules[e.class]; ok {
		return m + e.class
	}
	return "frappe.exceptions." + e.class
}

func classStatus(class string) int {
	if st, ok := statuses[class]; ok {
		return st
	}
	return 500
}

// raise makes a bare exception: no message for the user, and in v14 no
// exc_type in the answer.
func raise(class, msg string, args ...any) *exception {
	if len(args) > 0 {
		msg = fmt.Sprintf(msg, args...)
	}
	return &exception{class: class, status: classStatus(class), msg: msg}
}

// httpError is an HTTP exception of the web server library, always a page.
func httpError(status int) *exception {
	return &exception{class: "HTTPException", status: status, html: true}
}

// message is one entry of the message log, shown to the user by the desk.
type message struct {
	text, title, indicator string
	raised, alert          bool
	id                     string
}

func (m message) object() *object {
	o := newObject("message", m.text, "title", m.title)
	if m.indicator != "" {
		o.set("indicator", m.indicator)
	}
	if m.alert {
		o.set("alert", 1)
	}
	if m.raised {
		o.set("raise_exception", 1)
		o.set("__frappe_exc_id", m.id)
	}
	return o
}

// throw is frappe.throw: it logs a message for the user and raises.
func (q *session) throw(class, msg string, args ...any) *exception {
	e := raise(class, msg, args...)
	e.thrown = true
	b := make([]byte, 28)
	_, _ = rand.Read(b) // never fails
	e.id = hex.EncodeToString(b)
	q.messages = append(q.messages, message{text: e.msg, title: "Message", indicator: "red", raised: true, id: e.id})
	return e
}

// notify is frappe.msgprint without an exception.
func (q *session) notify(msg string, args ...any) {
	if len(args) > 0 {
		msg = fmt.Sprintf(msg, args...)
	}
	q.messages = append(q.messages, message{text: msg, title: "Message"})
}

func bold(s string) string { return "<strong>" + s + "</strong>" }

// notFound is DoesNotExistError for a document.
func (q *session) notFound(doctype, name string) *exception {
	e := q.throw("DoesNotExistError", "%s %s not found", doctype, name)
	e.doctype = doctype
	return e
}

// traceback imitates the text that Frappe sends with an error.
func traceback(e *exception) string {
	var b strings.Builder
	b.WriteString("Traceback (most recent call last):\n  File \"apps/frappe/frappe/app.py\", line 115, in application\n    response = frappe.api.handle(request)\n")
	b.WriteString("  File \"apps/frappe/frappe/api/__init__.py\", line 49, in handle\n    data = endpoint(**arguments)\n")
	b.WriteString(e.Error())
	b.WriteString("\n")
	return b.String()
}
