package partnersite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/evidence"
)

const (
	// probes is how many vanished records are asked for by name before any is
	// called deleted.
	probes = 10
	// brakeAtLeast keeps the brake from a handful of records, where one deletion
	// is already a large share; each of so few is asked for by name.
	brakeAtLeast = 3
)

// compareIfDue compares a stream with the site where that is due: after a day,
// when a deletion or renaming was announced, when a person released a brake, or
// when the user's rights have changed and something was hidden.
func (r *run) compareIfDue(ctx context.Context, p plan) error {
	if !r.ok[p.doctype] || r.stop || p.single || p.grows {
		return nil
	}
	cur := r.cursors[p.doctype]
	since := r.now().Sub(cur.LastComplete)
	due := r.all || r.suspects[p.doctype] || r.otherRights && len(r.held[p.doctype]) > 0 || since >= r.o.ScanEvery || since < -r.o.ScanEvery
	if !due {
		released, err := r.released(ctx, p.doctype)
		if err != nil {
			return err
		}
		due = released
	}
	if !due {
		return nil
	}
	err := r.compare(ctx, p)
	if err != nil && refusal(err) {
		r.refuse(p.stream, err)
		return nil
	}
	return err
}

// released reports whether a person has released the brake that holds the
// stream. A release is for what was held then: the next brake asks again.
func (r *run) released(ctx context.Context, stream string) (bool, error) {
	if !braked(r.heldBefore[stream]) {
		return false, nil
	}
	since := r.since[gapKey(evidence.Gap{Stream: stream, Kind: evidence.Braked})]
	return r.h.Released(ctx, stream, since)
}

func braked(gaps []evidence.Gap) bool {
	return slices.ContainsFunc(gaps, func(g evidence.Gap) bool { return g.Kind == evidence.Braked })
}

// newcomer is a record that the site has and history has not.
type newcomer struct{ name, stamp, hash string }

// compare walks all records of the stream by name, keeps what differs from
// history, and looks into what is missing.
func (r *run) compare(ctx context.Context, p plan) error {
	heads, err := r.h.Heads(ctx, p.doctype)
	if err != nil {
		return err
	}
	at := make(map[string]int32, len(heads))
	for i, h := range heads {
		at[h.Name] = int32(i)
	}
	found := make([]bool, len(heads))
	var newcomers []newcomer
	rows := 0
	for page, err := range r.client.Scan(ctx, p.doctype, frappe.ScanOptions{Fields: p.ask, ByName: true}) {
		if err != nil {
			return err
		}
		docs, err := r.documents(ctx, p, page.Rows, nil, map[string]mark{})
		if err != nil {
			return err
		}
		rows += len(docs)
		changed := docs[:0]
		for _, d := range docs {
			i, known := at[d.Name]
			if known {
				found[i] = true
				if heads[i].Stamp == d.Stamp && heads[i].Hash == d.Hash {
					continue
				}
			} else {
				newcomers = append(newcomers, newcomer{d.Name, d.Stamp, d.Hash})
			}
			changed = append(changed, d)
		}
		if len(changed) == 0 {
			continue
		}
		if err := r.noteTimelines(ctx, p, changed); err != nil {
			return err
		}
		if err := r.sink(ctx, Batch{Documents: changed}); err != nil {
			return err
		}
		r.work.Documents += len(changed)
	}
	r.work.Rows += rows
	delete(r.held, p.doctype)
	var missing []Head
	for i, h := range heads {
		if !found[i] {
			missing = append(missing, h)
		}
	}
	if p.doctype == "Communication" && !r.found.seesMails() {
		missing = nil // mails come from timelines and stand in no list
	}
	whole, err := r.vanished(ctx, p, missing, newcomers, len(heads))
	if err != nil {
		return err
	}
	if err := r.checkHidden(ctx, p); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	cur := r.cursors[p.doctype]
	cur.LastComplete = r.now().UTC()
	r.cursors[p.doctype] = cur
	r.idle = slices.DeleteFunc(r.idle, func(c Cursor) bool { return c.Stream == cur.Stream })
	r.idle = append(r.idle, cur)
	return nil
}

// vanished decides what became of records that the site lists no more: renamed,
// hidden from the key, or deleted. whole reports that nothing is left open.
func (r *run) vanished(ctx context.Context, p plan, missing []Head, newcomers []newcomer, of int) (whole bool, err error) {
	if len(missing) == 0 {
		return true, nil
	}
	renamed, err := r.renamed(ctx, p, missing, newcomers)
	if err != nil {
		return false, err
	}
	var gone []evidence.Document
	tombstone := func(name, to string) {
		gone = append(gone, evidence.Document{Ref: evidence.Ref{Site: r.o.Key, Doctype: p.doctype, Name: name}, Gone: true, RenamedTo: to})
	}
	var lost []string
	for _, h := range missing {
		if to := renamed[h.Name]; to != "" {
			tombstone(h.Name, to)
		} else {
			lost = append(lost, h.Name)
		}
	}
	whole = true
	if len(lost) > 0 {
		there, err := r.probe(ctx, p, lost)
		if err != nil {
			return false, err
		}
		released := false
		tooMany := len(lost) > brakeAtLeast && float64(len(lost)) > r.o.DeleteBrake*float64(of)
		if tooMany {
			if released, err = r.released(ctx, p.doctype); err != nil {
				return false, err
			}
		}
		switch {
		case len(there) > 0:
			r.hold(r.gap(p.doctype, evidence.Hidden,
				fmt.Sprintf("%d of %d records of %s are shown to the key no more, though they are still there", len(lost), of, p.doctype),
				"see whether the reading user got a User Permission, lost a role, or its role a row"))
			whole = false
			if len(lost) <= probes {
				for _, name := range lost {
					if !there[name] {
						tombstone(name, "")
					}
				}
			}
		case tooMany && !released:
			r.hold(r.gap(p.doctype, evidence.Braked,
				fmt.Sprintf("%d of %d records of %s vanished at once; none of them was marked as deleted (brake at %.0f %%)", len(lost), of, p.doctype, 100*r.o.DeleteBrake),
				"look at the site: if they were deleted on purpose release the brake, if access was lost restore it"))
			whole = false
		default:
			for _, name := range lost {
				tombstone(name, "")
			}
		}
	}
	if len(gone) == 0 {
		return whole, nil
	}
	if t := r.timelines[p.doctype]; t != nil {
		for _, d := range slices.Clone(gone) {
			e := t.Records[d.Name]
			delete(t.Records, d.Name)
			if e == nil || d.RenamedTo != "" || r.found.seesFiles() {
				continue
			}
			// A site deletes the files of a record with it, and they stand in no
			// list that we are shown.
			for _, f := range e.Files {
				gone = append(gone, evidence.Document{Ref: evidence.Ref{Site: r.o.Key, Doctype: "File", Name: f}, Gone: true})
			}
		}
		t.dirty = true
	}
	r.work.Documents += len(gone)
	r.log.Info("records vanished", "stream", p.doctype, "gone", len(gone), "renamed", len(renamed), "of", of)
	return whole, r.sink(ctx, Batch{Documents: gone})
}

// hold books a finding that stands until the next comparison of the stream.
func (r *run) hold(g evidence.Gap) {
	r.held[g.Stream] = append(r.held[g.Stream], g)
	r.log.Warn("comparison found a gap", "stream", g.Stream, "gap", string(g.Kind), "reason", g.Reason)
}

// probe asks for vanished records by name, the first and last and some between,
// and returns those that are there after all. A refusal means the same: of a
// doctype that it may read, the site refuses only what exists.
func (r *run) probe(ctx context.Context, p plan, names []string) (map[string]bool, error) {
	ask := names
	if len(names) > probes {
		ask = nil
		for i := range probes {
			ask = append(ask, names[i*(len(names)-1)/(probes-1)])
		}
	}
	there := map[string]bool{}
	for _, name := range ask {
		_, err := r.client.Get(ctx, p.doctype, name)
		switch frappe.CategoryOf(err) {
		case "":
			if err != nil {
				return nil, err
			}
			there[name] = true
		case frappe.Forbidden:
			there[name] = true
		case frappe.NotFound:
		default:
			return nil, err
		}
	}
	return there, nil
}

// renamed finds, for vanished names, the newcomers that they are called now. A
// site says so in a comment on the record; where comments are closed to the key,
// a newcomer with the very stamp and content of one record that vanished is it,
// since renaming leaves both alone.
func (r *run) renamed(ctx context.Context, p plan, missing []Head, newcomers []newcomer) (map[string]string, error) {
	out := map[string]string{}
	if len(newcomers) == 0 {
		return out, nil
	}
	gone := make(map[string]bool, len(missing))
	for _, h := range missing {
		gone[h.Name] = true
	}
	taken := map[string]bool{}
	if r.ok["Comment"] {
		names := make([]string, 0, len(newcomers))
		for _, n := range newcomers[:min(len(newcomers), 500)] {
			names = append(names, n.name)
		}
		q := frappe.ListQuery{Doctype: "Comment", Fields: []string{"name", "reference_name", "content"}, Filters: []frappe.Filter{
			frappe.Where("reference_doctype", "=", p.doctype), frappe.Where("comment_type", "=", "Edit"), frappe.Where("content", "like", "%renamed from%"),
		}}
		for rows, err := range r.client.ListIn(ctx, q, "reference_name", names) {
			if err != nil {
				if frappe.CategoryOf(err) == frappe.Forbidden {
					break
				}
				return nil, err
			}
			for _, row := range rows {
				text, now := plain(row.Text("content")), row.Text("reference_name")
				for name := range gone {
					if out[name] == "" && strings.HasPrefix(text, "renamed from "+name+" to ") {
						out[name], taken[now] = now, true
					}
				}
			}
		}
	}
	same := map[mark][]string{}
	for _, n := range newcomers {
		if !taken[n.name] {
			same[mark{n.stamp, n.hash}] = append(same[mark{n.stamp, n.hash}], n.name)
		}
	}
	twins := map[mark]int{}
	for _, h := range missing {
		twins[mark{h.Stamp, h.Hash}]++
	}
	for _, h := range missing {
		m := mark{h.Stamp, h.Hash}
		if out[h.Name] == "" && twins[m] == 1 && len(same[m]) == 1 && h.Stamp != "" {
			out[h.Name] = same[m][0]
		}
	}
	return out, nil
}

// checkHidden compares how many rows the key is shown with how many there are,
// where the site still counts without permissions (versions 14 and 15).
func (r *run) checkHidden(ctx context.Context, p plan) error {
	if p.doctype == "Communication" && !r.found.seesMails() || r.found.User == "Administrator" || r.found.has("System Manager") {
		return nil
	}
	seen, all, err := r.client.Hidden(ctx, p.doctype)
	if err != nil {
		if refusal(err) { // a count that is refused proves nothing either way
			return nil
		}
		return err
	}
	if all <= seen {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.held[p.doctype], func(g evidence.Gap) bool { return g.Kind == evidence.Hidden }) {
		return nil
	}
	r.hold(r.gap(p.doctype, evidence.Hidden, fmt.Sprintf("the key is shown %d of %d records of %s", seen, all, p.doctype), hiddenRemedy(p.doctype)))
	return nil
}
