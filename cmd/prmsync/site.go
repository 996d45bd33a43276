package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/partnersite"
	"github.com/prmsync/prmsync/daemon"
	"github.com/prmsync/prmsync/evidence"
	"github.com/prmsync/prmsync/metrics"
	"github.com/prmsync/prmsync/store"
)

// siteReader reads one partner site into the store: partnersite knows the
// site, store the history, and neither the other.
type siteReader struct {
	partner string
	key     string
	client  *frappe.Client
	site    *partnersite.Site
	store   *store.Store
	now     func() time.Time
	last    time.Time // of the last read that got an answer
}

var _ daemon.Site = (*siteReader)(nil)

// Poll implements daemon.Site.
func (r *siteReader) Poll(ctx context.Context) (daemon.SiteState, error) {
	began := r.now()
	reach, err := r.site.Poll(ctx, history{r}, r.keep)
	if err != nil {
		return daemon.SiteState{}, err
	}
	if err := r.store.PutReach(ctx, r.partner, store.Reach{
		Site: reach.Site, Seen: r.now(), Gaps: reach.Gaps, Coverage: reach.Coverage,
		Notes: map[string]string{noteDateFormat: reach.DateFormat},
	}); err != nil {
		return daemon.SiteState{}, err
	}
	if err := r.brake(ctx, reach.Gaps); err != nil {
		return daemon.SiteState{}, err
	}
	st := daemon.SiteState{Site: reach.Site, Gaps: reach.Gaps, Coverage: reach.Coverage, Metrics: metrics.Site{Up: true, KeyAccepted: true, Errors: map[string]int64{}}}
	// One doctype that fails is a gap in a site that is up.
	answered := slices.ContainsFunc(reach.Coverage, func(c evidence.Coverage) bool { return !c.LastSuccess.Before(began) })
	for _, g := range reach.Gaps {
		switch g.Kind {
		case evidence.Unreachable:
			st.Metrics.Up = st.Metrics.Up && answered
		case evidence.Unauthorized:
			st.Metrics.KeyAccepted = false
		case evidence.Forbidden, evidence.Absent, evidence.Unmapped, evidence.Drifted, evidence.Hidden, evidence.Stale, evidence.Braked:
		}
	}
	if st.Metrics.Up && st.Metrics.KeyAccepted {
		r.last = r.now()
	}
	if r.last.IsZero() {
		for _, c := range reach.Coverage {
			if c.LastSuccess.After(r.last) {
				r.last = c.LastSuccess
			}
		}
	}
	st.Metrics.LastSuccess = r.last
	stats := r.client.Stats()
	st.Metrics.Requests, st.Metrics.ServerSeconds, st.Metrics.Bytes = stats.Requests, stats.ServerSeconds, stats.BytesReceived
	st.Metrics.ClockSkew = stats.Skew
	st.Metrics.BreakerOpen = stats.Breaker == "open"
	for category, n := range stats.Errors {
		st.Metrics.Errors[string(category)] = n
	}
	return st, nil
}

// noteDateFormat names, among a site's notes, how it displays dates: its
// versions keep them so.
const noteDateFormat = "date_format"

// keep is the sink of a read: documents and cursors in one transaction.
func (r *siteReader) keep(ctx context.Context, b partnersite.Batch) error {
	batch := store.Batch{Partner: r.partner, Seen: r.now(), Documents: b.Documents}
	for _, c := range b.Cursors {
		batch.Cursors = append(batch.Cursors, store.Cursor{
			Site: r.key, Stream: c.Stream, Stamp: c.Stamp, Name: c.Name, Fields: c.Fields, LastSuccess: c.LastSuccess, LastComplete: c.LastComplete,
		})
	}
	if _, err := r.store.Commit(ctx, batch); err != nil {
		return fmt.Errorf("keep what was read: %w", err)
	}
	return nil
}

// history is the store as a site reader sees it.
type history struct{ r *siteReader }

var _ partnersite.History = history{}

// Cursor implements partnersite.History.
func (h history) Cursor(ctx context.Context, stream string) (partnersite.Cursor, bool, error) {
	c, ok, err := h.r.store.Cursor(ctx, h.r.partner, h.r.key, stream)
	return partnersite.Cursor{Stream: c.Stream, Stamp: c.Stamp, Name: c.Name, Fields: c.Fields, LastSuccess: c.LastSuccess, LastComplete: c.LastComplete}, ok, err
}

// Heads implements partnersite.History.
func (h history) Heads(ctx context.Context, doctype string) ([]partnersite.Head, error) {
	heads, err := h.r.store.Heads(ctx, h.r.partner, h.r.key, doctype)
	if err != nil {
		return nil, err
	}
	out := make([]partnersite.Head, len(heads))
	for i, head := range heads {
		out[i] = partnersite.Head{Name: head.Name, Stamp: head.Stamp, Hash: head.Hash}
	}
	return out, nil
}

// Cached implements partnersite.History.
func (h history) Cached(ctx context.Context, item string) (partnersite.Cached, bool, error) {
	c, ok, err := h.r.store.Cached(ctx, h.r.partner, h.r.key, item)
	return partnersite.Cached{Stamp: c.Stamp, Fetched: c.Fetched, Body: string(c.Body)}, ok, err
}

// Keep implements partnersite.History.
func (h history) Keep(ctx context.Context, item string, c partnersite.Cached) error {
	return h.r.store.PutCached(ctx, h.r.partner, h.r.key, store.Cached{Item: item, Stamp: c.Stamp, Fetched: c.Fetched, Body: []byte(c.Body)})
}

// Released implements partnersite.History.
func (h history) Released(ctx context.Context, stream string, since time.Time) (bool, error) {
	id := brakeID(h.r.partner, h.r.key, stream, since)
	brakes, err := h.r.store.Brakes(ctx, since)
	if err != nil {
		return false, err
	}
	for _, b := range brakes {
		if b.ID == id {
			return !b.Released.IsZero(), nil
		}
	}
	return false, nil
}

// brakeID names the deletions of one stream that have waited for a person since
// that instant: a later brake on the stream is another one.
func brakeID(partner, site, stream string, since time.Time) string {
	return "delete:" + partner + "/" + site + "/" + stream + "@" + since.UTC().Format(time.RFC3339)
}

// brake puts what a read holds back where a person can release it.
func (r *siteReader) brake(ctx context.Context, gaps []evidence.Gap) error {
	for _, g := range gaps {
		if g.Kind != evidence.Braked {
			continue
		}
		body, err := json.Marshal(g)
		if err != nil {
			return err
		}
		if err := r.store.PutBrake(ctx, store.Brake{
			ID: brakeID(r.partner, r.key, g.Stream, g.Since), Kind: "delete",
			Subject: r.partner + "/" + r.key + "/" + g.Stream, Tripped: g.Since, Body: body,
		}); err != nil {
			return err
		}
	}
	return nil
}
