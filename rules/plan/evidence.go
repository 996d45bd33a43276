package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/rules"
)

// The integrity of a PMM Evidence record, in the words of the PRM.
const (
	IntegrityClean      = "Clean"
	IntegrityChanged    = "Changed"    // its content is unlike an earlier capture
	IntegrityBackfilled = "Backfilled" // entered later than it is dated
	IntegrityMissing    = "Missing"    // it was captured, and is gone
	IntegrityLate       = "Late"       // it came after the cutoff: kept, and does not count
)

// The bounds on PMM Evidence of one assessment. What they leave out is said in
// the assessment's summary.
const (
	// MaxPieces is how many pieces are written down.
	MaxPieces = 800
	// MaxCaptures is how many records they may become as they change and vanish.
	MaxCaptures = 1600
	// maxURL is the length of the PRM's field.
	maxURL = 500
)

// Collected is the evidence of one audit or escalation.
type Collected struct {
	Assessment rules.Assessment
	Pieces     []rules.Piece // in the order in which a bound should leave them out last
	Deleted    []evidence.Deletion
}

// EvidenceKey is the key of a PMM Evidence record: the SHA-256, in lower-case
// hex, of what was captured and for what. hash is that of the record's content,
// "" for one that is gone.
func EvidenceKey(site, doctype, name, hash, assessment, criterion string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q", site, doctype, name, hash, assessment, criterion))
	return hex.EncodeToString(sum[:])
}

// capture is what one PMM Evidence record says of a piece, as the PRM has it.
type capture struct {
	key, status, hash, before string
	at                        time.Time
	fields                    map[string]any
}

type source struct{ site, doctype, name string }

// history holds the captures of one assessment.
type history struct {
	keys     map[string]bool
	of       map[source]map[string][]capture // by record, then by criterion; oldest first
	captured int                             // pieces: records under a criterion
	rows     int
}

func historyOf(assessment string, captured []Known) *history {
	h := &history{keys: map[string]bool{}, of: map[source]map[string][]capture{}}
	for _, k := range captured {
		text := func(f string) string { s, _ := k.Fields[f].(string); return s }
		if k.Doctype != DoctypeEvidence || text("assessment") != assessment {
			continue
		}
		if h.keys[k.Key] {
			continue
		}
		h.keys[k.Key] = true
		h.rows++
		src := source{text("site"), text("source_doctype"), text("source_name")}
		if h.of[src] == nil {
			h.of[src] = map[string][]capture{}
		}
		crit := text("criterion")
		if len(h.of[src][crit]) == 0 {
			h.captured++
		}
		h.of[src][crit] = append(h.of[src][crit], capture{k.Key, text("status"), text("content_hash"), text("previous_hash"), k.Written, k.Fields})
	}
	for _, byCrit := range h.of {
		for _, cs := range byCrit {
			slices.SortFunc(cs, func(a, b capture) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.key, b.key)) })
		}
	}
	return h
}

// last is the newest capture of the record under the criterion.
func (h *history) last(src source, criterion string) (capture, bool) {
	cs := h.of[src][criterion]
	if len(cs) == 0 {
		return capture{}, false
	}
	return cs[len(cs)-1], true
}

// elsewhere is the newest capture of the record under any criterion.
func (h *history) elsewhere(src source) (capture, bool) {
	var best capture
	found := false
	for _, cs := range h.of[src] {
		c := cs[len(cs)-1]
		if !found || cmp.Or(c.at.Compare(best.at), cmp.Compare(c.key, best.key)) > 0 {
			best, found = c, true
		}
	}
	return best, found
}

// sampleCriterion stands where no criterion names the piece.
const sampleCriterion = "sample"

// Evidence returns the PMM Evidence records that the captures so far lack: one
// for each new piece, another for each whose content changed since it was last
// captured, and one for each that is gone from its site. captured are the records
// of the partner that the PRM holds or that wait to be written; nothing is ever
// changed about those. note says what a bound left out; "" when nothing.
func Evidence(in Input, c Collected) (out []Record, note string) {
	h := historyOf(c.Assessment.Key, in.Captured)
	renamed := map[evidence.Key]evidence.Ref{} // new name → what it was
	for _, d := range c.Deleted {
		if d.RenamedTo != "" {
			renamed[evidence.Key{Site: d.Site, Doctype: d.Doctype, Name: d.RenamedTo}] = d.Ref
		}
	}
	left, unkept := 0, 0
	for _, p := range c.Pieces {
		criterion := cmp.Or(Data(p.Criterion), sampleCriterion)
		src := sourceOf(in, p.Ref)
		hash := p.Ref.Hash
		key := EvidenceKey(p.Ref.Site, p.Ref.Doctype, p.Ref.Name, hash, c.Assessment.Key, criterion)
		if h.keys[key] {
			continue
		}
		last, again := h.last(src, criterion)
		if again && p.Gone {
			continue // captured before it went
		}
		if !again {
			if h.captured >= MaxPieces {
				left++
				continue
			}
			var known bool
			if last, known = h.elsewhere(src); !known {
				if old, ok := renamed[p.Ref.Key()]; ok {
					last, _ = h.elsewhere(sourceOf(in, old))
				}
			}
		}
		if h.rows >= MaxCaptures {
			unkept++
			continue
		}
		status, before := integrity(p, last)
		if !again {
			h.captured++
		}
		h.rows++
		h.keys[key] = true
		out = append(out, Record{
			Doctype: DoctypeEvidence, Key: key, Partner: in.Partner.Key, Kind: Append, InsertOnly: true,
			Reason: fmt.Sprintf("evidence for %s: %s %s is %s", c.Assessment.Key, p.Ref.Doctype, Plain(p.Ref.Name, 60), strings.ToLower(status)),
			After:  []string{DoctypeAssessment + "/" + c.Assessment.Key},
			Once: map[string]any{
				"evidence_key": key, "title": Data(cmp.Or(p.Label, p.Ref.Doctype+" "+p.Ref.Name)), "partner": in.Partner.Key, "assessment": c.Assessment.Key,
				"criterion": criterion, "department": Department(p.Department), "effect": string(cmp.Or(p.Effect, rules.Context)), "status": status,
				"source_url": orNull(address(recordURL(in, p.Ref))), "site": orNull(src.site), "source_doctype": src.doctype, "source_name": src.name,
				"source_owner": Data(p.Ref.Owner), "source_created": orNull(Datetime(p.Ref.Created, in.Zone)), "source_modified": orNull(Datetime(p.Ref.Modified, in.Zone)),
				"captured_on": orNull(Datetime(cmp.Or(p.Ref.Seen, in.Now), in.Zone)), "excerpt": excerpt(p), "content_hash": hash, "previous_hash": before,
			},
		})
	}
	gone, more := vanished(in, c, h)
	return append(out, gone...), bounded(len(c.Pieces), left, unkept+more)
}

func sourceOf(in Input, r evidence.Ref) source {
	src := source{doctype: Data(r.Doctype), name: Data(r.Name)}
	if slices.ContainsFunc(in.Sites, func(s SiteFacts) bool { return s.Key == r.Site }) { // others have no record on the PRM
		src.site = SiteKey(in.Partner.Key, r.Site)
	}
	return src
}

// integrity compares a piece with its last capture; the zero capture is none.
func integrity(p rules.Piece, last capture) (status, before string) {
	before = cmp.Or(last.hash, last.before)
	switch {
	case p.Gone:
		return IntegrityMissing, last.before
	case p.Late:
		if before == p.Ref.Hash {
			before = ""
		}
		return IntegrityLate, before
	case before != "" && before != p.Ref.Hash:
		return IntegrityChanged, before
	case last.status != "" && last.status != IntegrityMissing:
		return last.status, last.before // captured already, for another statement
	case p.ChangedAfter, p.Signal == rules.SignalContentChanged, p.Signal == rules.SignalSignOffReplaced, p.Signal == rules.SignalFeedbackEdited:
		return IntegrityChanged, ""
	case p.Signal != "":
		return IntegrityBackfilled, ""
	}
	return IntegrityClean, ""
}

// vanished returns a record for each captured piece whose record its site no
// longer has; more counts those that the bound leaves out. What merely could not
// be read is not gone.
func vanished(in Input, c Collected, h *history) (out []Record, more int) {
	here := make(map[source]bool, len(c.Pieces))
	for _, p := range c.Pieces {
		if !p.Gone {
			here[sourceOf(in, p.Ref)] = true
		}
	}
	seen := map[source]bool{}
	for _, d := range c.Deleted {
		src := sourceOf(in, d.Ref)
		byCrit := h.of[src]
		if d.RenamedTo != "" || len(byCrit) == 0 || seen[src] || here[src] {
			continue
		}
		seen[src] = true
		crits := make([]string, 0, len(byCrit))
		for crit := range byCrit {
			crits = append(crits, crit)
		}
		slices.Sort(crits)
		for _, crit := range crits {
			last := byCrit[crit][len(byCrit[crit])-1]
			key := EvidenceKey(d.Site, d.Doctype, d.Name, "", c.Assessment.Key, crit)
			if h.keys[key] || last.status == IntegrityMissing {
				continue
			}
			if h.rows >= MaxCaptures {
				more++
				continue
			}
			h.rows++
			h.keys[key] = true
			fields := map[string]any{
				"evidence_key": key, "status": IntegrityMissing, "content_hash": "", "previous_hash": cmp.Or(last.hash, last.before),
				"captured_on": orNull(Datetime(cmp.Or(d.At, in.Now), in.Zone)), "excerpt": excerptGone(d, in.Zone),
			}
			for _, f := range []string{
				"title", "partner", "assessment", "criterion", "department", "effect", "source_url", "site", "source_doctype", "source_name", "source_owner",
				"source_created", "source_modified",
			} {
				fields[f] = last.fields[f]
			}
			out = append(out, Record{
				Doctype: DoctypeEvidence, Key: key, Partner: in.Partner.Key, Kind: Append, InsertOnly: true, Once: fields,
				Reason: fmt.Sprintf("evidence for %s: %s %s is gone", c.Assessment.Key, d.Doctype, Plain(d.Name, 60)),
				After:  []string{DoctypeAssessment + "/" + c.Assessment.Key},
			})
		}
	}
	return out, more
}

func bounded(pieces, left, unkept int) string {
	var out []string
	if left > 0 {
		out = append(out, fmt.Sprintf("%d of %d pieces of evidence are not listed: at most %d are.", left, pieces, MaxPieces))
	}
	if unkept > 0 {
		out = append(out, fmt.Sprintf("%d later versions of evidence are not listed: at most %d records are.", unkept, MaxCaptures))
	}
	return strings.Join(out, " ")
}

// address is a link that the PRM's field takes, or none.
func address(url string) string {
	if strings.ContainsAny(url, "<>\" \n\r\t") {
		return ""
	}
	return within(url, maxURL)
}

// excerpt is what the PRM keeps of the piece: names and days, no content.
func excerpt(p rules.Piece) string {
	m := map[string]any{"kind": string(p.Kind)}
	put := func(k, v string) {
		if v != "" {
			m[k] = v
		}
	}
	put("title", Plain(p.Label, 200))
	put("dated", p.On.String())
	put("found_on", Data(p.Of))
	put("signal", strings.ReplaceAll(p.Signal, "_", " "))
	if p.Late {
		m["after_cutoff"] = true
	}
	if p.Ref.Reconstructed {
		m["reconstructed"] = true
	}
	return jsonText(m)
}

func excerptGone(d evidence.Deletion, zone *time.Location) string {
	m := map[string]any{"kind": "gone", "gone_on": Datetime(d.At, zone)}
	if d.By != "" {
		m["by"] = Data(d.By)
	}
	if d.Permanent {
		m["note"] = "the site keeps no record of the deletion"
	}
	return jsonText(m)
}

func jsonText(m map[string]any) string {
	b, err := json.Marshal(m) // keys are sorted
	if err != nil {
		return "{}"
	}
	return string(b)
}

// collectedNote says on a line for each item of a sample what was found on it,
// and what was not.
func collectedNote(a rules.Assessment) string {
	var lines []string
	for _, c := range a.Collected {
		lines = append(lines, CollectedLine(c))
	}
	return strings.Join(lines, "\n")
}

// pieceOrder is the order in which people ask for evidence.
var pieceOrder = []rules.PieceKind{
	rules.PieceDocument, rules.PieceSignOff, rules.PieceMail, rules.PieceTicket, rules.PieceReport, rules.PieceMeeting, rules.PieceFeedback, rules.PieceTask,
	rules.PieceDeal, rules.PieceProject, rules.PieceRecord,
}

// CollectedLine says on one line what was found on an item of a sample, and what
// was not: "Kranz rollout: 3 documents, 1 sign-off; lacking: mails (none was found)".
func CollectedLine(c rules.Collection) string {
	var found, lacking []string
	for _, k := range pieceOrder {
		if n := c.Counts[k]; n > 0 && k != rules.PieceProject {
			found = append(found, fmt.Sprintf("%d %s", n, pieceWord(k, n)))
		}
	}
	for _, l := range c.Lacking {
		lacking = append(lacking, fmt.Sprintf("%s (%s)", pieceWord(l.Kind, 2), l.Reason))
	}
	line := fmt.Sprintf("%s %s: %s", c.Stream, Plain(cmp.Or(c.Label, c.Item.Name), 60), cmp.Or(strings.Join(found, ", "), "nothing found"))
	if c.Late > 0 {
		line += fmt.Sprintf("; %d after the cutoff", c.Late)
	}
	if len(lacking) > 0 {
		line += "; lacking: " + strings.Join(lacking, ", ")
	}
	return line
}

func pieceWord(k rules.PieceKind, n int) string {
	if n == 1 || k == rules.PieceFeedback {
		return string(k)
	}
	return string(k) + "s"
}
