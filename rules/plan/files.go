package plan

import "time"

// MaxFile is the largest file that is attached, in bytes.
const MaxFile = 4 << 20

// File is a document for people that hangs privately on a record of the PRM.
type File struct {
	Doctype string
	Record  string // its name
	Name    string // of the file: one record holds one file of a name
	Content []byte
	Reason  string
}

// Attached reports whether the PRM is known to hold the file.
func Attached(known Lookup, doctype, record, file string) bool {
	k, ok := known(doctype, record)
	return ok && k.Fields[MarkFile+file] != nil
}

// Attachments returns a change for each file that the PRM is not known to hold.
// Its key is that of the file's name: as long as it waits, the content stays what
// it was when it was planned first.
func Attachments(partner string, files []File, known Lookup, now time.Time) []Change {
	var out []Change
	for _, f := range files {
		if Attached(known, f.Doctype, f.Record, f.Name) || len(f.Content) > MaxFile {
			continue
		}
		c := change(Record{Doctype: f.Doctype, Key: f.Record, Partner: partner}, Attach, map[string]any{MarkFile + f.Name: true}, nil, Append, f.Reason, now)
		c.Fields, c.File, c.FileName = nil, f.Content, f.Name
		out = append(out, c)
	}
	return out
}
