package evidence

import "time"

// GapKind says why something could not be seen.
type GapKind string

// The kinds of gap.
const (
	Unreachable  GapKind = "Unreachable"  // the site did not answer
	Unauthorized GapKind = "Unauthorized" // the key was refused
	Forbidden    GapKind = "Forbidden"    // the role lacks read on the doctype
	Absent       GapKind = "Absent"       // the site has no such doctype
	Unmapped     GapKind = "Unmapped"     // nobody has said where this evidence lies
	Drifted      GapKind = "Drifted"      // a field that we read is gone or has another type
	Hidden       GapKind = "Hidden"       // rows exist that the key is not shown, at status 200
	Stale        GapKind = "Stale"        // the last complete read is too old
	Braked       GapKind = "Braked"       // too much vanished at once: held until a person looks
)

// Gap is a part of the evidence that could not be seen. Silence inside a gap
// proves nothing, so a criterion that needs the stream is Insufficient Evidence.
type Gap struct {
	Site   string    `json:"site"`
	Stream string    `json:"stream"` // doctype, or "kind:sign_off.brd" for Unmapped
	Kind   GapKind   `json:"kind"`
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason"`
	Remedy string    `json:"remedy,omitempty"` // what a person can do
	Field  string    `json:"field,omitempty"`  // for Drifted
}

// Coverage tells how much of a stream has been read. Only a complete stream
// can prove that something is not there.
type Coverage struct {
	Site         string    `json:"site"`
	Stream       string    `json:"stream"`
	Rows         int       `json:"rows"`
	Oldest       time.Time `json:"oldest,omitzero"` // earliest creation held
	Newest       time.Time `json:"newest,omitzero"` // latest modification held
	LastSuccess  time.Time `json:"last_success,omitzero"`
	LastComplete time.Time `json:"last_complete,omitzero"` // whole stream compared by names
	Complete     bool      `json:"complete"`
}
