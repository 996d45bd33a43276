package frappe_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prmsync/prmsync/connector/frappe"
)

// ledger is a doctype that takes writes: it keeps the key unique and moves
// modified, and trouble can be put before or after any write.
type ledger struct {
	mu     sync.Mutex
	docs   map[string]map[string]any // by name
	clock  int
	writes int
	// before and after run around the n-th write, counted from 1. A handler that
	// returns true has answered itself.
	before, after func(n int, w http.ResponseWriter) bool
	duplicate     string // answer for a taken key; 409 when empty
}

func newLedger() *ledger {
	return &ledger{docs: map[string]map[string]any{}}
}

func (l *ledger) save(name string, doc map[string]any) map[string]any {
	l.clock++
	doc["name"], doc["modified"] = name, fmt.Sprintf("2026-11-01 10:00:00.%06d", l.clock)
	l.docs[name] = doc
	return doc
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Method == http.MethodGet {
		l.read(w, r)
		return
	}
	l.writes++
	n := l.writes
	if l.before != nil && l.before(n, w) {
		return
	}
	var body map[string]any
	raw, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(raw, &body); err != nil {
		answer(w, 500, `{"exc_type":"JSONDecodeError"}`)
		return
	}
	status, reply := l.write(r, body)
	if l.after != nil && l.after(n, w) {
		return
	}
	b, _ := json.Marshal(reply)
	answer(w, status, string(b))
}

func (l *ledger) write(r *http.Request, body map[string]any) (int, any) {
	taken := map[string]any{"exc_type": "DuplicateEntryError"}
	code := 409
	if l.duplicate != "" {
		taken["exc_type"], code = l.duplicate, 417
	}
	if strings.HasSuffix(r.URL.Path, "insert_many") {
		docs := body["docs"].([]any)
		for _, d := range docs {
			if _, ok := l.docs["V-"+d.(map[string]any)["code"].(string)]; ok {
				return code, taken
			}
		}
		var names []string
		for _, d := range docs {
			name := "V-" + d.(map[string]any)["code"].(string)
			l.save(name, d.(map[string]any))
			names = append(names, name)
		}
		return 200, map[string]any{"message": names}
	}
	name := strings.TrimPrefix(r.URL.Path, "/api/resource/Verdict")
	if name == "" {
		name = "V-" + body["code"].(string)
		if _, ok := l.docs[name]; ok {
			return code, taken
		}
		return 200, map[string]any{"data": l.save(name, body)}
	}
	doc, ok := l.docs[name[1:]]
	if !ok {
		return 404, map[string]any{"exc_type": "DoesNotExistError"}
	}
	if m, sent := body["modified"]; sent && m != doc["modified"] {
		return 417, map[string]any{"exc_type": "TimestampMismatchError"}
	}
	for k, v := range body {
		doc[k] = v
	}
	return 200, map[string]any{"data": l.save(name[1:], doc)}
}

func (l *ledger) read(w http.ResponseWriter, r *http.Request) {
	if name := strings.TrimPrefix(r.URL.Path, "/api/resource/Verdict/"); name != r.URL.Path {
		doc, ok := l.docs[name]
		if !ok {
			answer(w, 404, `{"exc_type":"DoesNotExistError"}`)
			return
		}
		b, _ := json.Marshal(map[string]any{"data": doc})
		answer(w, 200, string(b))
		return
	}
	var filters [][]any
	json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
	rows := []map[string]any{}
	for _, doc := range l.docs {
		ok := true
		for _, f := range filters {
			switch f[1] {
			case "=":
				ok = ok && doc[f[0].(string)] == f[2]
			case "in":
				in := false
				for _, v := range f[2].([]any) {
					in = in || doc[f[0].(string)] == v
				}
				ok = ok && in
			}
		}
		if ok {
			rows = append(rows, doc)
		}
	}
	b, _ := json.Marshal(map[string]any{"data": rows})
	answer(w, 200, string(b))
}

// The accessors take the lock, since a handler may still be ending when its
// answer is read.

func (l *ledger) posted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.docs)
}

func (l *ledger) field(name, field string) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.docs[name][field]
}

func (l *ledger) trouble(before func(int, http.ResponseWriter) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = before
}

func on(n int, h http.HandlerFunc) func(int, http.ResponseWriter) bool {
	return func(i int, w http.ResponseWriter) bool {
		if i != n {
			return false
		}
		h(w, nil)
		return true
	}
}

// TestKillBetweenWriteAndAck: the insert was done and its answer lost. Looking
// it up finds it, and no second one is made.
func TestKillBetweenWriteAndAck(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]http.HandlerFunc{
		"reset": reset(t), "half-body": halfBody(t), "502": page(502, "<html>"), "504": page(504, "<html>"), "not JSON": status(200, "<"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			l.after = on(1, trouble)
			c := client(t, newStub(t, l.ServeHTTP).URL, writable)
			got, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "1"})
			if err != nil || got.Name != "V-1" || !got.Existing || got.Modified == "" {
				t.Errorf("Insert = %+v, %v, want V-1 found", got, err)
			}
			if l.posted() != 1 || l.size() != 1 {
				t.Errorf("%d writes, %d documents, want one of each", l.posted(), l.size())
			}
		})
		t.Run("update "+name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			was := l.save("V-1", map[string]any{"code": "1", "outcome": "Met"})["modified"].(string)
			l.after = on(1, trouble)
			c := client(t, newStub(t, l.ServeHTTP).URL, writable)
			modified, err := c.Update(t.Context(), "Verdict", "V-1", was, map[string]any{"outcome": "Not Met"})
			if err != nil || modified == was || modified == "" {
				t.Errorf("Update = %q, %v, want the new modified", modified, err)
			}
			if l.posted() != 1 || l.field("V-1", "outcome") != "Not Met" {
				t.Errorf("%d writes, outcome %v", l.posted(), l.field("V-1", "outcome"))
			}
		})
	}
}

// TestLostBeforeTheWrite: the request never took effect. It is repeated, after
// a look.
func TestLostBeforeTheWrite(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.before = on(1, reset(t))
	s := newStub(t, l.ServeHTTP)
	c := client(t, s.URL, writable)
	got, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "1"})
	if err != nil || got.Existing || l.size() != 1 {
		t.Errorf("Insert = %+v, %v; %d documents", got, err, l.size())
	}
	want := []string{"POST /api/resource/Verdict", "GET /api/resource/Verdict", "POST /api/resource/Verdict"}
	if diff := cmp.Diff(want, s.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	l.trouble(on(3, reset(t)))
	if _, err := c.Update(t.Context(), "Verdict", "V-1", got.Modified, map[string]any{"outcome": "Met"}); err != nil || l.field("V-1", "outcome") != "Met" {
		t.Errorf("Update: %v, %v", err, l.field("V-1", "outcome"))
	}
}

// TestLostWithoutKey: where nothing tells one document from another, a lost
// answer is the caller's to settle.
func TestLostWithoutKey(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.after = on(1, reset(t))
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	if _, err := c.Insert(t.Context(), "Verdict", "", map[string]any{"code": "1"}); frappe.CategoryOf(err) != frappe.Uncertain || l.posted() != 1 {
		t.Errorf("got %v after %d writes, want uncertain after one", err, l.posted())
	}
	l.trouble(on(2, reset(t)))
	if _, err := c.CallPost(t.Context(), "frappe.client.rename_doc", nil); frappe.CategoryOf(err) != frappe.Uncertain || l.posted() != 2 {
		t.Errorf("got %v after %d writes, want uncertain after one more", err, l.posted())
	}
}

func TestInsertTwiceMakesOne(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "UniqueValidationError"} {
		l := newLedger()
		l.duplicate = kind
		c := client(t, newStub(t, l.ServeHTTP).URL, writable)
		for i := range 3 {
			got, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "1", "note": fmt.Sprint(i)})
			if err != nil || got.Name != "V-1" || got.Existing != (i > 0) {
				t.Errorf("%s: insert %d = %+v, %v", kind, i, got, err)
			}
		}
		if l.size() != 1 || l.field("V-1", "note") != "0" {
			t.Errorf("%s: %d documents", kind, l.size())
		}
	}
}

// TestMuteRefusals: a site that sends nothing but 417 is asked what it meant.
func TestMuteRefusals(t *testing.T) {
	t.Parallel()
	mute := func(_ int, w http.ResponseWriter) bool { answer(w, 417, `{}`); return true }
	l := newLedger()
	was := l.save("V-1", map[string]any{"code": "1", "outcome": "Met"})["modified"].(string)
	l.before = mute
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	if got, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "1"}); err != nil || !got.Existing {
		t.Errorf("a taken key: %+v, %v", got, err)
	}
	if _, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "2"}); frappe.CategoryOf(err) != frappe.Invalid {
		t.Errorf("something else: %v", err)
	}
	if _, err := c.Update(t.Context(), "Verdict", "V-1", "2026-01-01 00:00:00", map[string]any{"outcome": "Met"}); frappe.CategoryOf(err) != frappe.Conflict {
		t.Errorf("a changed document: %v", err)
	}
	if _, err := c.Update(t.Context(), "Verdict", "V-1", was, map[string]any{"outcome": "Met"}); frappe.CategoryOf(err) != frappe.Invalid {
		t.Errorf("an unchanged one: %v", err)
	}
	if n := l.posted(); n != 4 {
		t.Errorf("%d writes, want 4: none is repeated", n)
	}
}

// TestAnotherUniqueFieldTaken: the refusal is not about our key, so it stays an
// error.
func TestAnotherUniqueFieldTaken(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.before = func(_ int, w http.ResponseWriter) bool {
		answer(w, 417, `{"exc_type":"UniqueValidationError"}`)
		return true
	}
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	if _, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "1"}); frappe.CategoryOf(err) != frappe.Duplicate || l.posted() != 1 {
		t.Errorf("got %v after %d writes", err, l.posted())
	}
	if _, err := c.InsertMany(t.Context(), "Verdict", "code", []map[string]any{{"code": "1"}}); frappe.CategoryOf(err) != frappe.Duplicate || l.posted() != 2 {
		t.Errorf("many: got %v after %d writes", err, l.posted())
	}
}

func TestLockWaitIsRepeated(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.before = func(n int, w http.ResponseWriter) bool {
		if n > 2 {
			return false
		}
		answer(w, 500, `{"exc_type":"QueryDeadlockError"}`)
		return true
	}
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	got, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "1"})
	if err != nil || got.Existing || l.posted() != 3 {
		t.Errorf("Insert = %+v, %v after %d writes", got, err, l.posted())
	}
}

func TestRefusedWritesAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, answer := range []http.HandlerFunc{
		status(417, `{"exc_type":"MandatoryError"}`), status(403, `{"exc_type":"PermissionError"}`), status(500, `{"exc_type":"TypeError"}`),
		status(429, `{"exc_type":"TooManyRequestsError"}`, "Retry-After", "600"), status(503, `{"exc_type":"SessionStopped"}`),
	} {
		s := script(t, "u", answer)
		c := client(t, s.URL, writable)
		_, err := c.Insert(t.Context(), "Verdict", "code", map[string]any{"code": "1"})
		posts := 0
		for _, r := range s.requests() {
			if strings.HasPrefix(r, "POST") {
				posts++
			}
		}
		if err == nil || posts != 1 {
			t.Errorf("%v: %d POSTs, want 1", err, posts)
		}
	}
}

// TestManagerEditedTheField: somebody saves between our read and our write. The
// write is refused, merged anew, and their field stays.
func TestManagerEditedTheField(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.save("V-1", map[string]any{"code": "1", "outcome": "Met", "remark": ""})
	l.before = func(n int, _ http.ResponseWriter) bool {
		if n <= 2 {
			l.docs["V-1"]["remark"] = fmt.Sprint("seen ", n)
			l.save("V-1", l.docs["V-1"])
		}
		return false
	}
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	var saw []string
	_, wrote, err := c.UpdateMerged(t.Context(), "Verdict", "V-1", func(d frappe.Doc) (map[string]any, error) {
		saw = append(saw, d.Text("remark"))
		return map[string]any{"outcome": "Not Met"}, nil
	})
	if err != nil || !wrote {
		t.Fatalf("UpdateMerged: %v, %v", wrote, err)
	}
	if diff := cmp.Diff([]string{"", "seen 1", "seen 2"}, saw); diff != "" {
		t.Errorf("merged against (-want +got):\n%s", diff)
	}
	if remark, outcome := l.field("V-1", "remark"), l.field("V-1", "outcome"); remark != "seen 2" || outcome != "Not Met" {
		t.Errorf("remark %v, outcome %v", remark, outcome)
	}
}

// TestDocumentTimestampMismatch: a conflict that never ends is given up.
func TestDocumentTimestampMismatch(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.save("V-1", map[string]any{"code": "1"})
	l.before = func(int, http.ResponseWriter) bool { l.save("V-1", l.docs["V-1"]); return false }
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	_, wrote, err := c.UpdateMerged(t.Context(), "Verdict", "V-1", func(frappe.Doc) (map[string]any, error) { return map[string]any{"a": "b"}, nil })
	if wrote || frappe.CategoryOf(err) != frappe.Conflict || l.posted() > 5 {
		t.Errorf("got %v, %v after %d writes, want a conflict after a few", wrote, err, l.posted())
	}
}

// TestNothingToWrite: a merge that finds nothing to change writes nothing,
// because any write moves modified and two daemons would chase each other.
func TestNothingToWrite(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.save("V-1", map[string]any{"code": "1"})
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	_, wrote, err := c.UpdateMerged(t.Context(), "Verdict", "V-1", func(frappe.Doc) (map[string]any, error) { return nil, nil })
	if err != nil || wrote || l.posted() != 0 {
		t.Errorf("%v, %v, %d writes", wrote, err, l.posted())
	}
}

// TestLostUpdateOverwritten: our write was lost on the way, and somebody else
// saved meanwhile: that is a conflict and not a success.
func TestLostUpdateOverwritten(t *testing.T) {
	t.Parallel()
	l := newLedger()
	was := l.save("V-1", map[string]any{"code": "1", "outcome": "Met"})["modified"].(string)
	l.before = func(n int, w http.ResponseWriter) bool {
		l.save("V-1", l.docs["V-1"])
		reset(t)(w, nil)
		return true
	}
	c := client(t, newStub(t, l.ServeHTTP).URL, writable)
	if _, err := c.Update(t.Context(), "Verdict", "V-1", was, map[string]any{"outcome": "Not Met"}); frappe.CategoryOf(err) != frappe.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestInsertMany(t *testing.T) {
	t.Parallel()
	docs := func(n int) (out []map[string]any) {
		for i := range n {
			out = append(out, map[string]any{"code": fmt.Sprint(i)})
		}
		return out
	}
	t.Run("some are there already", func(t *testing.T) {
		t.Parallel()
		l := newLedger()
		for _, k := range []string{"3", "7"} {
			l.save("V-"+k, map[string]any{"code": k, "note": "theirs"})
		}
		c := client(t, newStub(t, l.ServeHTTP).URL, writable)
		got, err := c.InsertMany(t.Context(), "Verdict", "code", docs(10))
		if err != nil || l.size() != 10 {
			t.Fatalf("%v, %d documents", err, l.size())
		}
		for i, in := range got {
			if in.Name != fmt.Sprint("V-", i) || in.Existing != (i == 3 || i == 7) {
				t.Errorf("result %d is %+v", i, in)
			}
		}
		if l.field("V-3", "note") != "theirs" {
			t.Error("an existing document was overwritten")
		}
	})
	t.Run("the answer is lost", func(t *testing.T) {
		t.Parallel()
		l := newLedger()
		l.after = on(1, reset(t))
		c := client(t, newStub(t, l.ServeHTTP).URL, writable)
		if _, err := c.InsertMany(t.Context(), "Verdict", "code", docs(200)); err != nil || l.size() != 200 || l.posted() != 1 {
			t.Errorf("%v, %d documents in %d writes", err, l.size(), l.posted())
		}
	})
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		l := newLedger()
		c := client(t, newStub(t, l.ServeHTTP).URL, writable)
		if _, err := c.InsertMany(t.Context(), "Verdict", "code", docs(201)); frappe.CategoryOf(err) != frappe.Misuse || l.posted() != 0 {
			t.Errorf("%v after %d writes", err, l.posted())
		}
		if _, err := c.InsertMany(t.Context(), "Verdict", "code", []map[string]any{{"code": "1"}, {"code": "1"}}); frappe.CategoryOf(err) != frappe.Misuse {
			t.Errorf("a repeated key: %v", err)
		}
	})
}

// TestUploadTwiceStoresOne: by content and document, also when the answer was
// lost.
func TestUploadTwiceStoresOne(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	type file struct{ hash, docname, private, name string }
	var files []file
	uploads := 0
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			uploads++
			if err := r.ParseMultipartForm(1 << 20); err != nil {
				t.Error(err)
			}
			f, h, err := r.FormFile("file")
			if err != nil {
				t.Error(err)
				return
			}
			b, _ := io.ReadAll(f)
			if string(b) != "%PDF-1.4 pack" {
				t.Errorf("content %q", b)
			}
			files = append(files, file{"5d3d1b3e", r.FormValue("docname"), r.FormValue("is_private"), h.Filename})
			if uploads == 1 {
				reset(t)(w, r)
				return
			}
			answer(w, 200, `{"message":{"name":"F2","file_url":"/private/files/x.pdf"}}`)
			return
		}
		if len(files) == 0 {
			answer(w, 200, `{"data":[]}`)
			return
		}
		answer(w, 200, `{"data":[{"name":"F1","file_name":"pack.pdf","file_url":"/private/files/pack.pdf"}]}`)
	})
	c := client(t, s.URL, writable)
	for range 2 {
		name, url, err := c.Upload(t.Context(), frappe.Attachment{Name: "pack.pdf", Content: []byte("%PDF-1.4 pack"), Doctype: "Partner Audit", Docname: "A-1"})
		if err != nil || name != "F1" || url != "/private/files/pack.pdf" {
			t.Errorf("Upload = %s, %s, %v", name, url, err)
		}
	}
	if diff := cmp.Diff([]file{{"5d3d1b3e", "A-1", "1", "pack.pdf"}}, files, cmp.AllowUnexported(file{})); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAwkwardNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Nord/West", "50% off", "it's", `say "hi"`, "Ärger & Söhne", "🤒 ill", "a b", "x+y", "#1", "q?x=1", "a;b", "a,b", "%2F"} {
		l := newLedger()
		s := newStub(t, l.ServeHTTP)
		c := client(t, s.URL, writable)
		was := l.save(name, map[string]any{"code": name})["modified"].(string)
		d, err := c.Get(t.Context(), "Verdict", name)
		if err != nil || d.Name() != name {
			t.Errorf("Get %q = %v, %v", name, d, err)
		}
		if ok, err := c.Exists(t.Context(), "Verdict", name); err != nil || !ok {
			t.Errorf("Exists %q = %v, %v", name, ok, err)
		}
		if _, err := c.Update(t.Context(), "Verdict", name, was, map[string]any{"outcome": "Met"}); err != nil || l.field(name, "outcome") != "Met" {
			t.Errorf("Update %q: %v", name, err)
		}
	}
	// These cannot stand in a path: a web server would redirect or shorten it.
	for _, name := range []string{"..", ".", "a/../b", "index.html", "X.HTML", "dir/", "/root", "a//b"} {
		s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/method/frappe.client.get" || r.URL.Query().Get("name") != name {
				t.Errorf("%q asked as %s", name, r.URL)
			}
			answer(w, 200, `{"message":{"name":`+quote(name)+`,"type":null}}`)
		})
		c := client(t, s.URL, writable)
		d, err := c.Get(t.Context(), "Verdict", name)
		if err != nil || d.Name() != name {
			t.Errorf("Get %q = %v, %v", name, d, err)
		}
		if _, null := d["type"]; null {
			t.Errorf("Get %q kept a null", name)
		}
		if _, err := c.Update(t.Context(), "Verdict", name, "2026-11-01 10:00:00", nil); frappe.CategoryOf(err) != frappe.Misuse {
			t.Errorf("Update %q: %v, want misuse", name, err)
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent", r.URL) })
	c := client(t, s.URL, writable)
	ctx := t.Context()
	for name, try := range map[string]func() error{
		"get without name":      func() error { _, err := c.Get(ctx, "Task", ""); return err },
		"list without doctype":  func() error { _, err := c.List(ctx, frappe.ListQuery{}); return err },
		"update without lock":   func() error { _, err := c.Update(ctx, "Task", "T1", "", nil); return err },
		"insert without key":    func() error { _, err := c.Insert(ctx, "Task", "code", map[string]any{"a": 1}); return err },
		"method with a path":    func() error { _, err := c.Call(ctx, "../resource/User", nil); return err },
		"file elsewhere":        func() error { _, err := c.Download(ctx, "http://169.254.169.254/x", io.Discard); return err },
		"file with no scheme":   func() error { _, err := c.Download(ctx, "//evil.example/private/files/x", io.Discard); return err },
		"file out of its place": func() error { _, err := c.Download(ctx, "/private/files/../../api/method/x", io.Discard); return err },
		"arguments too long": func() error {
			_, err := c.Call(ctx, "ping", map[string]any{"x": strings.Repeat("y", 5000)})
			return err
		},
	} {
		if err := try(); frappe.CategoryOf(err) != frappe.Misuse {
			t.Errorf("%s: got %v, want misuse", name, err)
		}
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	var asked string
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		switch {
		case strings.HasSuffix(asked, "denied.pdf"):
			page(403, "<html>")(w, r)
		case strings.HasSuffix(asked, "login.pdf"):
			page(200, "<html>")(w, r)
		case strings.HasSuffix(asked, ".html"):
			page(200, "<html>")(w, r)
		case strings.HasSuffix(asked, "big.bin"):
			w.Write(make([]byte, 5000))
		default:
			w.Header().Set("Content-Type", "application/pdf")
			w.Write([]byte("%PDF"))
		}
	})
	c := client(t, s.URL, func(cfg *frappe.Config) { cfg.MaxFile = 4000 })
	for file, want := range map[string]string{
		"/private/files/BRD 50% #1?.pdf": "ok", "/files/Ä'.pdf": "ok", "/private/files/report.html": "ok",
		"/private/files/login.pdf": "login_page 200", "/private/files/big.bin": "oversized 200",
	} {
		var b strings.Builder
		_, err := c.Download(t.Context(), file, &b)
		if got := outcome(err); got != want && !(want == "login_page 200" && strings.HasPrefix(got, "login_page")) {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
		if asked != file && asked != "/api/method/frappe.auth.get_logged_user" {
			t.Errorf("asked %q for %q", asked, file)
		}
		c = client(t, s.URL, func(cfg *frappe.Config) { cfg.MaxFile = 4000 })
	}
	if _, err := c.Download(t.Context(), "/private/files/denied.pdf", io.Discard); frappe.CategoryOf(err) != frappe.Forbidden && frappe.CategoryOf(err) != frappe.Unauthorized {
		t.Errorf("denied: %v", err)
	}
}
