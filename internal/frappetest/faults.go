package frappetest

import (
	"net/http"
	"sync"
	"time"
)

// faultSet is what goes wrong on a site, see Fault.
type faultSet struct {
	mu     sync.Mutex
	offset time.Duration
}

func (f *faultSet) clockOffset() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.offset
}

func (f *faultSet) before(_ *Site, w http.ResponseWriter, _ *http.Request, _ *Request) http.ResponseWriter {
	return w
}

func (f *faultSet) after(*Site, *session, *Request, int) {}
