package plan

import "time"

// Op is what a change does to the PRM.
type Op string

// The operations. There is no delete: the daemon never deletes.
const (
	Insert Op = "insert" // a new document under its key field
	Update Op = "update" // daemon-owned fields of an existing one
	Attach Op = "attach" // a private file on an existing one
	Save   Op = "save"   // an empty update, so that fetched fields refresh
	Assign Op = "assign" // a ToDo about an existing one
)

// Kind says how urgent a change is, because each write blocks a person who has
// the form open.
type Kind string

// The kinds of change, most urgent first.
const (
	Outcome   Kind = "outcome"   // an outcome, level, alert or proposal: at once
	Measure   Kind = "measure"   // a figure alone: at most daily
	Append    Kind = "append"    // snapshots and evidence: append-only, at once
	Heartbeat Kind = "heartbeat" // the age of the data: at most hourly
)

// Record is one document as it should stand on the PRM: only the fields that
// the daemon owns. Child tables are []map[string]any, or cells that become that in
// a Change; they stand whole or not at all, and one that people edit is never
// among them.
type Record struct {
	Doctype string
	// Key is the document's name, or the value of KeyField where Frappe makes
	// the name itself (series doctypes).
	Key      string
	KeyField string // "" when the document is named by Key
	Partner  string // "" for records of no partner
	Fields   map[string]any
	// Once holds fields that are sent with the insert and never again
	// (set_only_once, seeds that people then own).
	Once map[string]any
	Kind Kind
	// Reason is one line for a person: why this record is wanted like this.
	Reason string
	// InsertOnly records are never updated: evidence.
	InsertOnly bool
	// Soft names fields whose change alone is no news: a Measure is written at
	// most daily, a Heartbeat at most hourly. All other fields are written at once.
	Soft map[string]Kind
	// Tables names, for each child table, the columns whose change is news; a
	// change in other columns alone is a Measure.
	Tables map[string][]string
	// After lists keys of records that must exist first ("PMM Partner/meridian").
	After []string
}

// Change is one write that turns what is known into what is wanted.
type Change struct {
	// Key is the same however often the change is planned:
	// "<doctype>/<record key>#<digest of the fields, or of the file's name>".
	Key     string
	Partner string
	Doctype string
	// Name and KeyField: as in Record.
	Name     string
	KeyField string
	Op       Op
	Fields   map[string]any // daemon-owned only
	// Once names the fields of an Insert that are not sent again when the record
	// turns out to be there: seeds that are people's by now, and what is set once.
	Once []string
	// Base holds, for an Update, the values that were last known for these
	// fields: the third side of a three-way merge.
	Base   map[string]any
	Kind   Kind
	Reason string // "impl.followed: Met → Not Met"
	// File is the content of an Attach; FileName its name on the PRM, and for an
	// Assign the user who gets the ToDo.
	File     []byte
	FileName string
	// Planned is the instant of the cycle that planned it.
	Planned time.Time
}

// Known is what the PRM is believed to hold of one record: what was last
// written, or read back.
type Known struct {
	Doctype  string
	Key      string
	Name     string         // the document's name on the PRM
	Fields   map[string]any // daemon-owned, as last written
	Modified string         // as last read; "" when never
	Written  time.Time
}
