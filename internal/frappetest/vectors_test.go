package frappetest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/internal/frappetest"
)

var versions = []string{frappetest.V14, frappetest.V15, frappetest.V16, frappetest.V16Later}

type vector struct {
	ID       string         `json:"id"`
	Before   []vecRequest   `json:"before"`
	Request  vecRequest     `json:"request"`
	Expect   expectation    `json:"expect"`
	Verified []string       `json:"verified"`
	Config   map[string]any `json:"config"`
	Differs  map[string]struct {
		Expect expectation `json:"expect"`
	} `json:"differs"`
}

type vecRequest struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   map[string]any    `json:"query"`
	Body    map[string]any    `json:"body"`
	Auth    string            `json:"auth"`
	Headers map[string]string `json:"headers"`
}

type expectation struct {
	Status       int                `json:"status"`
	Headers      map[string]*string `json:"headers"`
	BodyContains []string           `json:"body_contains"`
	JSON         []struct {
		Path  string `json:"path"`
		Op    string `json:"op"`
		Value any    `json:"value"`
	} `json:"json"`
}

type missingValue struct{}

var (
	pathStep    = regexp.MustCompile(`\.([^.\[\]]+)|\[(\*|-?\d+)\]`)
	placeholder = regexp.MustCompile(`\{(T\d\d|sm|low|edit|off)((?:\.\w+|\[\d+\])+)(\|iso)?\}`)
	docRef      = regexp.MustCompile(`\{(T\d\d)[.\[]`)
)

func find(doc any, path string) any {
	cur, many := doc, false
	for _, m := range pathStep.FindAllStringSubmatch(path, -1) {
		key, idx := m[1], m[2]
		if idx == "*" {
			many = true
			if _, ok := cur.([]any); !ok {
				return missingValue{}
			}
			continue
		}
		step := func(c any) any {
			if key != "" {
				if o, ok := c.(map[string]any); ok {
					if v, ok := o[key]; ok {
						return v
					}
				}
				return missingValue{}
			}
			n, _ := strconv.Atoi(idx)
			l, ok := c.([]any)
			if ok && n < 0 {
				n += len(l)
			}
			if !ok || n < 0 || n >= len(l) {
				return missingValue{}
			}
			return l[n]
		}
		if many {
			var out []any
			for _, c := range cur.([]any) {
				out = append(out, step(c))
			}
			cur = out
			continue
		}
		cur = step(cur)
	}
	return cur
}

func holds(op string, got, want any) bool {
	_, missing := got.(missingValue)
	if op == "absent" {
		return missing
	}
	if missing {
		return false
	}
	switch op {
	case "exists":
		return true
	case "eq":
		return reflect.DeepEqual(got, want)
	case "ne":
		return !reflect.DeepEqual(got, want)
	case "type":
		switch got.(type) {
		case string:
			return want == "string"
		case float64:
			return want == "number"
		case []any:
			return want == "array"
		case map[string]any:
			return want == "object"
		case bool:
			return want == "bool"
		}
		return false
	case "len", "len_gte":
		n := -1
		switch x := got.(type) {
		case string:
			n = len(x)
		case []any:
			n = len(x)
		case map[string]any:
			n = len(x)
		}
		w := int(want.(float64))
		return n == w || op == "len_gte" && n > w
	case "contains":
		switch x := got.(type) {
		case string:
			return strings.Contains(x, want.(string))
		case []any:
			return slices.ContainsFunc(x, func(e any) bool { return reflect.DeepEqual(e, want) })
		}
		return false
	case "matches":
		s, ok := got.(string)
		rx := want.(string)
		if neg, found := strings.CutPrefix(rx, "^(?!"); found { // Go has no lookahead
			return ok && !strings.HasPrefix(s, strings.TrimSuffix(neg, ")"))
		}
		return ok && regexp.MustCompile(rx).MatchString(s)
	}
	return false
}

// runner runs vectors against one site as tools/run-vectors does.
type runner struct {
	site  *frappetest.Site
	start *frappetest.State
	url   string
	creds map[string]frappetest.VectorCredentials
}

func newRunner(t *testing.T, version string) *runner {
	t.Helper()
	site, creds, err := frappetest.VectorSite(version)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := frappetest.NewServer(frappetest.ServerOptions{}, site)
	if err != nil {
		t.Fatal(err)
	}
	srv.StrictHosts()
	t.Cleanup(srv.Close)
	return &runner{site: site, start: site.Snapshot(), url: srv.URL(), creds: creds}
}

func (r *runner) fill(v any, docs map[string]any) any {
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			out[r.fill(k, docs).(string)] = r.fill(e, docs)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = r.fill(e, docs)
		}
		return out
	case string:
		return placeholder.ReplaceAllStringFunc(x, func(m string) string {
			p := placeholder.FindStringSubmatch(m)
			if c, ok := r.creds[p[1]]; ok {
				switch p[2] {
				case ".key":
					return c.Key
				case ".secret":
					return c.Secret
				case ".user":
					return c.User
				case ".basic":
					return base64.StdEncoding.EncodeToString([]byte(c.Key + ":" + c.Secret))
				}
			}
			out := fmt.Sprint(find(docs[p[1]], "$"+p[2]))
			if p[3] != "" {
				out = strings.ReplaceAll(out, " ", "T")
			}
			return out
		})
	}
	return v
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (r *runner) send(q vecRequest, docs map[string]any) (*answer, error) {
	path := r.fill(q.Path, docs).(string)
	u := r.url + (&url.URL{Path: path}).EscapedPath()
	if len(q.Query) > 0 {
		vals := url.Values{}
		for k, v := range r.fill(q.Query, docs).(map[string]any) {
			vals.Set(k, fmt.Sprint(v))
		}
		u += "?" + vals.Encode()
	}
	var body io.Reader
	ct := ""
	filled, _ := r.fill(q.Body, docs).(map[string]any)
	if q.Body == nil {
		filled = nil
	}
	switch {
	case filled["json"] != nil:
		b, err := json.Marshal(filled["json"])
		if err != nil {
			return nil, err
		}
		body, ct = bytes.NewReader(b), "application/json"
	case filled["raw"] != nil:
		body, ct = strings.NewReader(filled["raw"].(string)), "application/json"
		if s, ok := filled["content_type"].(string); ok {
			ct = s
		}
	case filled["multipart"] != nil:
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		parts := filled["multipart"].(map[string]any)
		for _, k := range sortedKeys(parts) {
			if f, ok := parts[k].(map[string]any); ok {
				fw, err := w.CreateFormFile(k, f["filename"].(string))
				if err != nil {
					return nil, err
				}
				_, _ = io.WriteString(fw, f["content"].(string))
				continue
			}
			_ = w.WriteField(k, fmt.Sprint(parts[k]))
		}
		_ = w.Close()
		body, ct = &buf, w.FormDataContentType()
	}
	req, err := http.NewRequest(q.Method, u, body)
	if err != nil {
		return nil, err
	}
	req.Host = "vec.localhost"
	req.Header.Set("Accept", "application/json")
	if ct != "" {
		req.Header.Set("Content-Type", ct)
	}
	switch {
	case q.Auth == "none" || q.Auth == "":
	case strings.HasPrefix(q.Auth, "raw:"):
		req.Header.Set("Authorization", r.fill(q.Auth[4:], docs).(string))
	case q.Auth == "sm-badsecret":
		req.Header.Set("Authorization", "token "+r.creds["sm"].Key+":not-the-secret")
	default:
		req.Header.Set("Authorization", "token "+r.creds[q.Auth].Key+":"+r.creds[q.Auth].Secret)
	}
	for k, v := range q.Headers {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return &answer{res.StatusCode, res.Header, b}, err
}

func sortedKeys(m map[string]any) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// run gives the problems of one vector; none is a pass.
func (r *runner) run(v vector, want expectation) []string {
	r.site.Restore(r.start)
	r.site.Configure(v.Config)
	docs := map[string]any{}
	text, _ := json.Marshal([]any{v.Before, v.Request, want})
	for _, m := range docRef.FindAllStringSubmatch(string(text), -1) {
		if docs[m[1]] != nil {
			continue
		}
		a, err := r.send(vecRequest{Method: "GET", Path: "/api/resource/Vec Task/" + m[1], Auth: "sm"}, nil)
		if err != nil {
			return []string{err.Error()}
		}
		var o map[string]any
		_ = json.Unmarshal(a.body, &o)
		docs[m[1]] = o["data"]
	}
	for _, b := range v.Before {
		if _, err := r.send(b, docs); err != nil {
			return []string{err.Error()}
		}
	}
	got, err := r.send(v.Request, docs)
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	if got.status != want.Status {
		bad = append(bad, fmt.Sprintf("status: want %d, got %d", want.Status, got.status))
	}
	for h, rx := range want.Headers {
		val, has := got.header[http.CanonicalHeaderKey(h)]
		switch {
		case rx == nil && has:
			bad = append(bad, fmt.Sprintf("header %s: want none, got %q", h, val))
		case rx != nil && (!has || !regexp.MustCompile(*rx).MatchString(strings.Join(val, ", "))):
			bad = append(bad, fmt.Sprintf("header %s: want %q, got %q", h, *rx, val))
		}
	}
	for _, s := range want.BodyContains {
		if !strings.Contains(string(got.body), s) {
			bad = append(bad, fmt.Sprintf("body lacks %q", s))
		}
	}
	if len(want.JSON) > 0 {
		var doc any
		if err := json.Unmarshal(got.body, &doc); err != nil {
			bad = append(bad, "body is not JSON")
		} else {
			for _, c := range want.JSON {
				val := find(doc, c.Path)
				if !holds(c.Op, val, r.fill(c.Value, docs)) {
					shown, _ := json.Marshal(val)
					bad = append(bad, fmt.Sprintf("%s %s %v: got %.200s", c.Path, c.Op, c.Value, shown))
				}
			}
		}
	}
	if len(bad) > 0 {
		bad = append(bad, fmt.Sprintf("BODY %.300s", got.body))
	}
	return bad
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/frappe-rest-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVectors(t *testing.T) {
	t.Parallel()
	all := loadVectors(t)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			r := newRunner(t, version)
			passed, failed := 0, 0
			for _, v := range all {
				want := v.Expect
				if d, ok := v.Differs[version]; ok {
					want = d.Expect
				} else if !slices.Contains(v.Verified, version) {
					continue
				}
				if bad := r.run(v, want); bad != nil {
					failed++
					t.Errorf("%s: %s", v.ID, strings.Join(bad, "; "))
					continue
				}
				passed++
			}
			t.Logf("%s: %d vectors passed, %d failed", version, passed, failed)
			if passed < 200 {
				t.Errorf("only %d vectors ran for %s", passed, version)
			}
		})
	}
}

// TestVectorsCanFail proves that the check of a vector is able to fail: each
// way in which an answer can differ is reported.
func TestVectorsCanFail(t *testing.T) {
	t.Parallel()
	r := newRunner(t, frappetest.V15)
	byID := map[string]vector{}
	for _, v := range loadVectors(t) {
		byID[v.ID] = v
	}
	spoil := map[string]func(*expectation){
		"status":  func(e *expectation) { e.Status++ },
		"header":  func(e *expectation) { rx := "^nothing$"; e.Headers = map[string]*string{"Content-Type": &rx} },
		"absence": func(e *expectation) { e.Headers = map[string]*string{"Content-Type": nil} },
		"text":    func(e *expectation) { e.BodyContains = []string{"no answer holds this"} },
		"value":   func(e *expectation) { e.JSON[0].Value = "another value" },
		"path":    func(e *expectation) { e.JSON[0].Path = "$.nowhere" },
	}
	for what, fn := range spoil {
		v := byID["READ-01"]
		want := v.Expect
		want.JSON = slices.Clone(want.JSON)
		if bad := r.run(v, want); bad != nil {
			t.Fatalf("the vector fails before it is spoilt: %v", bad)
		}
		fn(&want)
		if bad := r.run(v, want); bad == nil {
			t.Errorf("a spoilt %s is not noticed", what)
		}
	}
	// A site of another version must not pass either.
	v := byID["READ-02"]
	if bad := r.run(v, v.Differs[frappetest.V14].Expect); bad == nil {
		t.Error("15.72.4 passes for 14.27.0 where the two differ")
	}
}
