package store_test

import (
	"path/filepath"
	"testing"

	"github.com/prmsync/prmsync/store"
	"github.com/prmsync/prmsync/store/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		url := "sqlite:" + filepath.Join(t.TempDir(), "a b?#%.db") // a path that needs escaping
		return func(t *testing.T) *store.Store { return open(t, url, store.Options{}) }
	})
}

func open(t testing.TB, url string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatalf("Open(%q): %v", url, err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
