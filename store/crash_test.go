package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prmsync/prmsync/store"
)

// The test binary, begun again with one of these set, plays another process.
const (
	asWriter = "STORE_TEST_WRITER" // commits for ever, tells each on stdout
	asNobody = "STORE_TEST_NOBODY" // opens without the right to write, tells the error
)

const batchSize = 60

func TestMain(m *testing.M) {
	ctx := context.Background()
	switch {
	case os.Getenv(asWriter) != "":
		if err := writer(ctx, os.Getenv(asWriter)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case os.Getenv(asNobody) != "":
		if os.Geteuid() == 0 {
			if err := syscall.Setuid(65534); err != nil {
				fmt.Println("setuid:", err)
				os.Exit(1)
			}
		}
		s, err := store.Open(ctx, os.Getenv(asNobody), store.Options{})
		if err == nil {
			_ = s.Close()
		}
		fmt.Println(errors.Is(err, store.ErrReadOnly), err)
	default:
		os.Exit(m.Run())
	}
}

func writer(ctx context.Context, url string) error {
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	c, ok, err := s.Cursor(ctx, "meridian", "erp", "Task")
	if err != nil {
		return err
	}
	i := 0
	if ok { // resume where the cursor stands, as a stream does
		if i, err = strconv.Atoi(c.Stamp); err != nil {
			return err
		}
	}
	for ; ; i++ {
		if err := put(ctx, s, i, batchSize); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// TestKill kills a writer at random instants, again and again over the same
// file: what it acknowledged is there, once; the rest is there whole or not.
func TestKill(t *testing.T) {
	t.Parallel()
	_, url := newFile(t)
	r := rand.New(rand.NewPCG(5, 6))
	acked := -1
	for round := range kills {
		last := killWriter(t, url, 1+r.IntN(6), time.Duration(r.IntN(6000))*time.Microsecond)
		if last <= acked {
			t.Fatalf("round %d: batch %d acknowledged after %d", round, last, acked)
		}
		acked = last
		s := open(t, url, store.Options{})
		b, c, o := held(t, s, batchSize)
		if b != c {
			t.Errorf("round %d: %d batches, cursor at %d", round, b, c)
		}
		// Between the captures and their change lies the second transaction.
		if b < acked+1 || b > acked+2 || o < acked+1 || o > b {
			t.Errorf("round %d: %d batches and %d changes after %d were acknowledged", round, b, o, acked+1)
		}
		if err := errors.Join(s.Check(t.Context()), s.Close()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

// killWriter lets a writer acknowledge some more batches, kills it a moment
// later and returns the last batch that it acknowledged.
func killWriter(t *testing.T, url string, some int, later time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asWriter+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		last = n
		if i == some {
			time.AfterFunc(later, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // killed
	if last < 0 {
		t.Fatal("the writer acknowledged nothing")
	}
	return last
}

// TestPowerCut copies the files of a running store as a power cut would leave
// them, with the end of the log torn off anywhere: what opens is a prefix of
// what was committed, each batch whole.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	path, url := newFile(t)
	s := open(t, url, store.Options{})
	const batches = 12
	for i := range batches {
		if err := put(t.Context(), s, i, batchSize); err != nil {
			t.Fatal(err)
		}
	}
	db, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 8))
	shorter := 0
	for i := range cuts {
		cut := r.IntN(len(wal) + 1)
		torn := append([]byte(nil), wal[:cut]...)
		if i%2 == 0 { // the last page written in part, or with noise
			for j := max(0, cut-100); j < cut; j++ {
				torn[j] = byte(r.IntN(256))
			}
		}
		copied, copiedURL := newFile(t)
		if err := errors.Join(os.WriteFile(copied, db, 0o600), os.WriteFile(copied+"-wal", torn, 0o600)); err != nil {
			t.Fatal(err)
		}
		s := open(t, copiedURL, store.Options{})
		b, c, o := held(t, s, batchSize)
		if b != c || o > b || o < b-1 {
			t.Errorf("log cut at %d of %d: %d batches, cursor %d, %d changes", cut, len(wal), b, c, o)
		}
		if b < batches {
			shorter++
		}
		if err := errors.Join(put(t.Context(), s, c, batchSize), s.Check(t.Context()), s.Close()); err != nil {
			t.Errorf("log cut at %d: %v", cut, err)
		}
	}
	if shorter == 0 {
		t.Error("no cut lost a batch: the test cut nothing")
	}
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	path, url := newFile(t)
	if err := open(t, url, store.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	// Nobody may enter, but not write; the directory above belongs to the test.
	for p, mode := range map[string]os.FileMode{filepath.Dir(filepath.Dir(path)): 0o755, filepath.Dir(path): 0o555, path: 0o444, path + ".lock": 0o444} {
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(path), 0o755) })
	for name, u := range map[string]string{path: url, filepath.Join(filepath.Dir(path), "new.db"): "sqlite:" + filepath.Join(filepath.Dir(path), "new.db")} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asNobody+"="+u)
		out, err := cmd.CombinedOutput()
		got := strings.TrimSpace(string(out))
		if err != nil || !strings.HasPrefix(got, "true "+name+": ") || !strings.Contains(got, "not writable") {
			t.Errorf("Open without the right to write = %q, %v; want ErrReadOnly naming %s", got, err, name)
		}
	}
}
