//go:build unix

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// fileLock is a lock on a file beside the database. The kernel gives it up with
// the process, so a kill leaves nothing behind to clean away.
type fileLock struct{ f *os.File }

// takeLock locks path's lock file, or fails with ErrInUse naming who holds it.
// It also creates the database file, readable to its owner alone: it holds
// what partners' sites said.
func takeLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: lock: %w", path, pathCause(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: lock: %w", path, err)
		}
		who := "another prmsync"
		b, _ := io.ReadAll(io.LimitReader(f, 20)) // without it the message says less
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			who = fmt.Sprintf("another prmsync (process %d)", pid)
		}
		return nil, fmt.Errorf("%s: %w: %s writes it; stop that one, or use a command that only reads", path, ErrInUse, who)
	}
	l := &fileLock{f: f}
	// Only for the other's message; a full disk must not keep us from opening.
	if f.Truncate(0) == nil {
		_, _ = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	db, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: open: %w", path, pathCause(err)), l.release())
	}
	return l, nil
}

func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	// Closing alone would leave the lock to a child that was just forked and has
	// not become its program yet: both hold the same open file.
	return errors.Join(syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN), l.f.Close())
}
