package frappe_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prmsync/prmsync/connector/frappe"
)

// seeds adds every recorded answer's body.
func seeds(f *testing.F) {
	f.Helper()
	for _, a := range loadAnswers(f) {
		if len(a.Body) < 8000 {
			f.Add(a.bytes())
		}
	}
}

// FuzzParseTime: what parses prints back to the same instant's text, and no
// text is read as more than two instants a day apart.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-11-20 18:00:00", "2026-11-20 18:00:00.000001", "2026-10-25 02:30:00", "2026-03-29 02:30:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "", "2026-11-20", "0:00:00,0000001", "2011-12-30 12:00:00", "6001-01-01 00:00:00", "2040-12-31 12:00:00"} {
		f.Add(s)
	}
	zones := []*time.Location{time.UTC}
	for _, z := range []string{"Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns"} {
		zones = append(zones, zone(f, z))
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, z := range zones {
			first, last, err := frappe.ParseTimes(s, z)
			if err != nil || s == "" {
				continue
			}
			if last.Before(first) || last.Sub(first) > 25*time.Hour {
				t.Fatalf("%q in %v: %v to %v", s, z, first, last)
			}
			for _, at := range []time.Time{first, last} {
				if at.IsZero() {
					continue
				}
				text := frappe.FormatTime(at, z)
				f2, l2, err := frappe.ParseTimes(text, z)
				if err != nil || !f2.Equal(at) && !l2.Equal(at) {
					t.Fatalf("%q in %v: %v prints as %q, which is %v or %v (%v)", s, z, at, text, f2, l2, err)
				}
			}
		}
		if d, err := frappe.ParseClock(s); err == nil && (d < 0 || d >= 24*time.Hour) {
			t.Fatalf("ParseClock(%q) = %v", s, d)
		}
		frappe.Overlap(s, zones[1], time.Minute)
	})
}

// FuzzRows: the fast decoder agrees with encoding/json on everything it accepts.
func FuzzRows(f *testing.F) {
	seeds(f)
	for _, s := range []string{
		`{"data":[]}`, `{"data":[{}]}`, `{"message":[{"a":[1,{"b":null}]}]}`, `{"data":[{"a":1e400}]}`, `{"data":[{"a":-0}]}`,
		`{"data":[{"a":1,"a":2}]}`, `{"DATA":[{"a":1}]}`, `{"data":[{"\u0061":"\ud83e\udd12"}],"data":null}`, `{"data":[{"a":"\ud800"}]}`,
		`{"data":[{"a":12345678901234567890}]}`, ` {"data" : [ {"a":true} , {"b":false} ] } `, `{"data":[null]}`, `{"data":[1]}`, `[{"a":1}]`,
		`{"message":[{"a":1}],"data":[{"b":2}]}`, `{"data":[{"":""}]}`, "{\"data\":[{\"a\":\"\xff\"}]}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) {
			return // refused before
		}
		keep := bytes.Clone(body)
		rows, err := frappe.DecodeRows(body, 0)
		if !bytes.Equal(keep, body) {
			t.Fatal("the decoder changed its input")
		}
		if err != nil {
			return
		}
		var want struct {
			Data    []map[string]any `json:"data"`
			Message []map[string]any `json:"message"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v\n%s", err, body)
		}
		list := want.Data
		if list == nil {
			list = want.Message
		}
		if len(list) != len(rows) {
			t.Fatalf("%d rows, want %d\n%s", len(rows), len(list), body)
		}
		for i := range rows {
			if !reflect.DeepEqual(map[string]any(rows[i]), list[i]) {
				t.Fatalf("row %d is %#v, want %#v\n%s", i, rows[i], list[i], body)
			}
		}
		for _, r := range rows {
			touch(r)
		}
	})
}

// touch uses every accessor on every key.
func touch(d frappe.Doc) {
	d.Name()
	d.Modified()
	for k := range d {
		d.Text(k)
		d.Float(k)
		d.Int(k)
		d.Bool(k)
		d.JSON(k)
		d.Has(k)
		for _, r := range d.Rows(k) {
			r.Name()
		}
	}
}

// FuzzDocument: a document either decodes or is refused, and survives every use.
func FuzzDocument(f *testing.F) {
	seeds(f)
	f.Fuzz(func(_ *testing.T, body []byte) {
		for _, key := range []string{"data", "message", "docinfo"} {
			if d, err := frappe.DecodeDoc(body, key); err == nil {
				touch(d)
			}
		}
		frappe.Boot(body)
	})
}

// FuzzMeta: whatever claims to be a doctype splits field names without loss.
func FuzzMeta(f *testing.F) {
	seeds(f)
	f.Add([]byte(`{"docs":[{"name":"Weekly Metric","fields":[{"fieldname":7},{"fieldname":"a","permlevel":1e99},3]},{"name":"C"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := frappe.DecodeMeta(body, "Weekly Metric")
		if err != nil {
			return
		}
		want := []string{"name", "no such", "a"}
		for _, df := range m.Fields {
			want = append(want, df.Name)
		}
		known, unknown := m.Known(want)
		if len(known)+len(unknown) != len(want) {
			t.Fatalf("%d known, %d unknown of %d", len(known), len(unknown), len(want))
		}
		m.Levels([]string{"All"})
	})
}

// FuzzServerMessages: an error body of any shape gives a clean class and short,
// plain, printable messages.
func FuzzServerMessages(f *testing.F) {
	seeds(f)
	for _, s := range []string{
		`{"exc_type":"X","_server_messages":"[\"{\\\"message\\\":\\\"<b>a</b>\\\"}\"]"}`, `{"_server_messages":"[\"plain\",{\"message\":\"obj\"},7,null]"}`,
		`{"exception":"frappe.exceptions.LinkValidationError: Could not find"}`, `{"errors":[{"type":"ValidationError","message":"m"}]}`,
		`{"exc_type":"a b","_error_message":"\u202enope\u0000"}`, `{"errors":{"type":1}}`, `{"exc_type":["x"],"message":{"a":1}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kind, messages := frappe.ParseError(body)
		if strings.ContainsFunc(kind, func(r rune) bool { return r != '_' && (r > 127 || !unicode.IsLetter(r) && !unicode.IsDigit(r)) }) || len(kind) > 64 {
			t.Fatalf("kind %q", kind)
		}
		for _, m := range messages {
			if !utf8.ValidString(m) || utf8.RuneCountInString(m) > 500 || strings.ContainsFunc(m, unicode.IsControl) {
				t.Fatalf("message %q", m)
			}
		}
	})
}
