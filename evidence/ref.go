package evidence

import (
	"cmp"
	"time"
)

// Ref names one version of one record on one site. Every typed document embeds
// it, so that a fact can be opened, dated and compared with a later capture.
type Ref struct {
	Site     string    `json:"site"`    // key of the site in the configuration
	Doctype  string    `json:"doctype"` // as Frappe spells it
	Name     string    `json:"name"`    // as Frappe spells it; may hold any character
	Modified time.Time `json:"modified,omitzero"`
	Seen     time.Time `json:"seen,omitzero"` // when we first read this version
	Hash     string    `json:"hash,omitempty"`

	// Created is the record's creation on its site, in UTC.
	Created time.Time `json:"created,omitzero"`
	// Owner is the user who created the record.
	Owner string `json:"owner,omitempty"`
	// Reconstructed marks a state that was not seen at the time but worked out
	// from a later capture, by undoing dates after the instant asked for.
	Reconstructed bool `json:"reconstructed,omitempty"`
}

// Key identifies the record across its versions.
type Key struct{ Site, Doctype, Name string }

// Key returns the record's identity without version.
func (r Ref) Key() Key { return Key{Site: r.Site, Doctype: r.Doctype, Name: r.Name} }

// Compare orders refs by site, doctype and name.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Site, o.Site), cmp.Compare(r.Doctype, o.Doctype), cmp.Compare(r.Name, o.Name))
}

// Document is one stored version of one record, cut down to the fields that
// checks use. It is what a site said; the typed documents are what that means
// under a mapping. Values are those of JSON: string, float64, bool, nil, and
// []any of map[string]any for child tables. Times in Fields are the site's own
// text, without zone.
type Document struct {
	Ref
	// Stamp is `modified` exactly as the site spelled it; locks and cursors
	// compare it as text.
	Stamp string
	// Gone marks the version that records the record's disappearance.
	Gone bool
	// RenamedTo is the record's new name when it vanished by being renamed.
	RenamedTo string
	Fields    map[string]any
}
