package frappe_test

import (
	"fmt"
	"testing"

	"github.com/prmsync/prmsync/connector/frappe"
)

// TestEveryErrorClass: each class that Frappe raises means the same to a caller
// in every form a version gives it, and names a remedy.
func TestEveryErrorClass(t *testing.T) {
	t.Parallel()
	classes := []struct {
		status int
		class  string
		want   frappe.Category
		bare   frappe.Category // where only the status is left, as on version 14 without tracebacks
	}{
		{400, "CSRFTokenError", frappe.Invalid, frappe.Invalid},
		{400, "InvalidAuthorizationToken", frappe.Unauthorized, frappe.Invalid},
		{401, "AuthenticationError", frappe.Unauthorized, frappe.Unauthorized},
		{401, "SessionExpired", frappe.Unauthorized, frappe.Unauthorized},
		{403, "PermissionError", frappe.Forbidden, frappe.Forbidden},
		{404, "DoesNotExistError", frappe.NotFound, frappe.NotFound},
		{404, "PageDoesNotExistError", frappe.NotFound, frappe.NotFound},
		{409, "NameError", frappe.Duplicate, frappe.Duplicate},
		{409, "DuplicateEntryError", frappe.Duplicate, frappe.Duplicate},
		{410, "LinkExpired", frappe.Invalid, frappe.Invalid},
		{415, "UnsupportedMediaType", frappe.Invalid, frappe.Invalid},
		{417, "ValidationError", frappe.Invalid, frappe.Invalid},
		{417, "MandatoryError", frappe.Invalid, frappe.Invalid},
		{417, "LinkValidationError", frappe.Invalid, frappe.Invalid},
		{417, "CancelledLinkError", frappe.Invalid, frappe.Invalid},
		{417, "TimestampMismatchError", frappe.Conflict, frappe.Invalid},
		{417, "UniqueValidationError", frappe.Duplicate, frappe.Invalid},
		{417, "LinkExistsError", frappe.Invalid, frappe.Invalid},
		{417, "UpdateAfterSubmitError", frappe.Invalid, frappe.Invalid},
		{417, "CannotChangeConstantError", frappe.Invalid, frappe.Invalid},
		{417, "DocstatusTransitionError", frappe.Invalid, frappe.Invalid},
		{417, "CharacterLengthExceededError", frappe.Invalid, frappe.Invalid},
		{417, "DataError", frappe.Invalid, frappe.Invalid},
		{417, "NonNegativeError", frappe.Invalid, frappe.Invalid},
		{417, "DocumentLockedError", frappe.Unavailable, frappe.Invalid},
		{417, "WorkflowPermissionError", frappe.Forbidden, frappe.Invalid},
		{417, "MaxFileSizeReachedError", frappe.Invalid, frappe.Invalid},
		{417, "FrappeTypeError", frappe.Invalid, frappe.Invalid},
		{429, "TooManyRequestsError", frappe.RateLimited, frappe.RateLimited},
		{429, "RateLimitExceededError", frappe.RateLimited, frappe.RateLimited},
		{500, "QueryDeadlockError", frappe.Unavailable, frappe.Failed},
		{500, "QueryTimeoutError", frappe.Unavailable, frappe.Failed},
		{500, "SecurityException", frappe.Failed, frappe.Failed},
		{500, "TypeError", frappe.Failed, frappe.Failed},
		{500, "OperationalError", frappe.Failed, frappe.Failed},
		{501, "OutgoingEmailError", frappe.Failed, frappe.Failed},
		{503, "SessionStopped", frappe.Unavailable, frappe.Unavailable},
		{503, "InReadOnlyMode", frappe.Unavailable, frappe.Unavailable},
		{503, "QueueOverloaded", frappe.Unavailable, frappe.Unavailable},
	}
	forms := map[string]string{
		"version 15":          `{"exc_type":"%s","exception":"frappe.exceptions.%[1]s: words","exc":"[\"Traceback\"]"}`,
		"version 15, no exc":  `{"exc_type":"%s"}`,
		"version 14":          `{"exception":"frappe.exceptions.%s: words: more words"}`,
		"version 14, no text": `{"exception":"frappe.exceptions.%s"}`,
		"api version 2":       `{"errors":[{"type":"%s","message":"words","indicator":"red"}]}`,
		"only the status":     `{}`,
		"a page":              "",
	}
	for _, cl := range classes {
		for form, body := range forms {
			t.Run(fmt.Sprint(cl.class, " ", form), func(t *testing.T) {
				t.Parallel()
				h := page(cl.status, "<!DOCTYPE html><title>"+cl.class+"</title>")
				want, kind := cl.bare, ""
				if body != "" {
					h = status(cl.status, sprintf(body, cl.class))
				}
				if body != "" && body != "{}" {
					want, kind = cl.want, cl.class
				}
				if form == "a page" && cl.status == 409 {
					want = frappe.Invalid // no page of Frappe says so; a proxy's does
				}
				c := client(t, script(t, "u", h).URL, func(cfg *frappe.Config) { cfg.Retries = -1 })
				err := list(t, c)
				var e *frappe.Error
				if !asError(err, &e) || e.Category != want || e.Kind != kind || e.Status != cl.status {
					t.Fatalf("got %s (%v), want %s", outcome(err), err, want)
				}
				if e.Hint == "" {
					t.Error("no hint")
				}
				if later := e.Temporary(); later != (want == frappe.RateLimited || want == frappe.Unavailable || want == frappe.Failed) {
					t.Errorf("Temporary is %v", later)
				}
			})
		}
	}
}

func sprintf(format, class string) string {
	if format == "{}" {
		return format
	}
	return fmt.Sprintf(format, class)
}
