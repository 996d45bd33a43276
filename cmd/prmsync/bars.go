package main

import (
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/prmsync/prmsync/connector/partnersite"
)

// bars shows progress on a terminal and nothing elsewhere.
type bars struct {
	p *mpb.Progress

	mu   sync.Mutex
	byID map[string]*mpb.Bar
}

func newBars(p process) *bars {
	if !terminal(p.stderr) {
		return &bars{}
	}
	return &bars{p: mpb.NewWithContext(p.ctx, mpb.WithOutput(p.stderr), mpb.WithWidth(40)), byID: map[string]*mpb.Bar{}}
}

// close ends the display.
func (b *bars) close() {
	if b.p != nil {
		b.p.Shutdown()
	}
}

// step sets a bar to done of total.
func (b *bars) step(name string, done, total int) {
	if b.p == nil {
		return
	}
	bar := b.bar(name, int64(total))
	bar.SetCurrent(int64(done))
}

func (b *bars) bar(name string, total int64) *mpb.Bar {
	b.mu.Lock()
	defer b.mu.Unlock()
	bar, ok := b.byID[name]
	if !ok {
		bar = b.p.AddBar(total, mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)), mpb.AppendDecorators(decor.CountersNoUnit("%d of %d")), mpb.BarRemoveOnComplete())
		b.byID[name] = bar
	}
	return bar
}

// site is the progress of one site's read.
func (b *bars) site(partner, site string) partnersite.Progress {
	if b.p == nil {
		return nil
	}
	return &siteBars{b: b, name: partner + "/" + site}
}

type siteBars struct {
	b    *bars
	name string
}

// Stream implements partnersite.Progress.
func (s *siteBars) Stream(name string, total int) {
	s.b.bar(s.name+" "+name, int64(max(total, 0)))
}

// Rows implements partnersite.Progress.
func (s *siteBars) Rows(name string, n int) {
	s.b.bar(s.name+" "+name, 0).IncrBy(n)
}

// Done implements partnersite.Progress.
func (s *siteBars) Done(name string, _ error) {
	bar := s.b.bar(s.name+" "+name, 0)
	bar.SetTotal(-1, true)
}
