package frappetest

import (
	"net/http"
)

// session is one request (or one act through a door): who acts, the undo log,
// and what Frappe collects for the answer on the way.
type session struct {
	site    *Site
	user    string
	tx      *tx
	req     *http.Request
	method  string // HTTP verb
	params  *object
	body    string
	isJSON  bool
	isV2    bool
	files   map[string]upload
	extra   *object // keys of the answer beside message or data: docs, docinfo, …
	status  int     // answer status when it is not 200
	roleSet map[string]bool

	messages     []message
	debug        []any
	errorMessage string
	sessionEnd   bool // a dead sid was sent
	apiNameSet   bool
	readOnly     bool // maintenance with reads allowed
	ignorePerms  bool // inside controllers that act with full rights
	after        []func()
	raw          *rawReply
	rows         int // of a list answer
}

// upload is one file of a multipart form.
type upload struct {
	name string
	data []byte
}

// rawReply is an answer that is not JSON.
type rawReply struct {
	status      int
	contentType string
	body        []byte
	headers     map[string]string
}

func (s *Site) newSession(user string) *session {
	return &session{site: s, user: user, tx: &tx{}, params: newObject(), extra: newObject()}
}

// become changes who acts.
func (q *session) become(user string) {
	q.user = user
	q.roleSet = nil
}

// commit makes the changes last and runs what waits for it.
func (q *session) commit() {
	q.tx.undo = nil
	for _, fn := range q.after {
		fn()
	}
	q.after = nil
}

// meta gives a DocType or DoesNotExistError.
func (q *session) meta(doctype string) (*meta, error) {
	if m := q.site.metaOf(doctype); m != nil {
		return m, nil
	}
	e := q.throw("DoesNotExistError", "DocType %s not found", doctype)
	e.doctype = "DocType"
	return nil, e
}

// store puts a row in place of another and can be undone.
func (q *session) store(doctype string, old, n *row) error {
	if q.readOnly {
		return q.throw("InReadOnlyMode", "Site is running in read only mode for maintenance or site update, this action can not be performed right now. Please try again later.")
	}
	t := q.site.table(doctype)
	if old == nil {
		q.tx.insert(t, n)
		return nil
	}
	if q.site.locked[doctype+"\x00"+fold(old.name)] {
		return raise("QueryTimeoutError", "(1205, 'Lock wait timeout exceeded; try restarting transaction')")
	}
	q.tx.replace(t, old, n)
	return nil
}

// lockRow is SELECT … FOR UPDATE.
func (q *session) lockRow(doctype, name string) error {
	if q.site.locked[doctype+"\x00"+fold(name)] {
		return raise("QueryTimeoutError", "(1205, 'Lock wait timeout exceeded; try restarting transaction')")
	}
	return nil
}

func (q *session) removeRow(doctype string, r *row) error {
	if q.readOnly {
		return q.throw("InReadOnlyMode", "Site is running in read only mode for maintenance or site update, this action can not be performed right now. Please try again later.")
	}
	q.tx.remove(q.site.table(doctype), r)
	return nil
}

// setDirect is frappe.db.set_value without modified: columns change and
// nothing is checked.
func (q *session) setDirect(doctype, name string, vals map[string]any) error {
	t := q.site.table(doctype)
	r := t.find(name)
	if r == nil {
		return nil
	}
	return q.store(doctype, r, t.with(r, vals))
}

// value reads one column of one row as the database does; nil where absent.
func (q *session) value(doctype, name, col string) any {
	t := q.site.tableMap()[doctype]
	if t == nil {
		return nil
	}
	r := t.find(name)
	if r == nil {
		return nil
	}
	return t.get(r, col)
}

func (q *session) exists(doctype, name string) bool {
	t := q.site.tableMap()[doctype]
	return t != nil && t.find(name) != nil
}
