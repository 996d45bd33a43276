package partnersite

import (
	"encoding/json"
	"time"

	"github.com/prmsync/prmsync/evidence"
)

// deletedFields reads what a Deleted Document holds of the record; nil when the
// connector did not keep it or it is no object.
func deletedFields(r *record) map[string]any {
	switch v := r.value("data").(type) {
	case map[string]any:
		return v
	case string:
		if len(v) > 1<<20 {
			return nil
		}
		var out map[string]any
		if json.Unmarshal([]byte(v), &out) != nil {
			return nil
		}
		return out
	}
	return nil
}

// resurrect gives back, to instants before their deletion, the records of which
// only a Deleted Document was ever seen.
func (s *site) resurrect(docs []evidence.Document, deleted []int32) []evidence.Document {
	var out []evidence.Document
	for _, i := range deleted {
		d := &docs[i]
		if d.Gone || !d.Created.After(s.asOf) || !d.Seen.After(s.asOf) {
			continue
		}
		r := record{Document: *d, site: s}
		was := deletedFields(&r)
		doctype, name := r.str("deleted_doctype"), r.str("deleted_name")
		if was == nil || doctype == "" || name == "" || doctype == doctypeDeleted {
			continue
		}
		back := evidence.Document{Fields: was, Ref: evidence.Ref{
			Site: s.in.Site.Key, Doctype: doctype, Name: name, Seen: d.Seen, Hash: d.Hash,
			Created: s.moment(was["creation"]), Modified: s.moment(was["modified"]),
		}}
		back.Stamp, _ = was["modified"].(string)
		back.Ref.Owner, _ = was["owner"].(string)
		if !back.Created.IsZero() {
			out = append(out, back)
		}
	}
	return out
}

func (s *site) moment(v any) time.Time {
	text, _ := v.(string)
	t, err := s.instant(text)
	if err != nil {
		return time.Time{}
	}
	return t
}
