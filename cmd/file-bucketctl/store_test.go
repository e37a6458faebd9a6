package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// testStore is a store with a configuration, in a directory that every user may enter.
type testStore struct {
	config, dir string
}

func newTestStore(t *testing.T) testStore {
	t.Helper()
	top := t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil {
		t.Fatal(err)
	}
	s := testStore{filepath.Join(top, "config.json"), filepath.Join(top, "store")}
	text := fmt.Sprintf(`{"storage": {"path": %q, "min_free": "1MiB"}}`, s.dir)
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// use opens the store as the daemons do.
func (s testStore) use(t *testing.T, f func(*object.Store)) {
	t.Helper()
	cfg, err := daemon.LoadConfig(s.config)
	if err != nil {
		t.Fatal(err)
	}
	store, err := daemon.OpenStore(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	f(store)
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// put makes the store and stores objects in bucket "backup": n random bytes for each key.
func (s testStore) put(t *testing.T, n int, keys ...string) map[string][]byte {
	t.Helper()
	stored := make(map[string][]byte)
	s.use(t, func(store *object.Store) {
		if err := store.CreateBucket(t.Context(), "backup", ""); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		for _, key := range keys {
			stored[key] = noise(key, n)
			if _, err := store.Put(t.Context(), "backup", key, bytes.NewReader(stored[key]), object.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	return stored
}

// noise is n bytes that differ for each name.
func noise(name string, n int) []byte {
	var seed [32]byte
	copy(seed[:], name)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(data) // never fails
	return data
}

// whole fails the test unless the store has these objects.
func (s testStore) whole(t *testing.T, want map[string][]byte) {
	t.Helper()
	s.use(t, func(store *object.Store) {
		for key, data := range want {
			f, err := store.Open(t.Context(), "backup", key)
			if err != nil {
				t.Error(err)
				continue
			}
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, want %d: %v", key, len(got), len(data), err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// ctl runs a command with the configuration of the store.
func (s testStore) ctl(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return ctl(t, append(args, "--config", s.config)...)
}

// child is the tool in a process of its own.
func child(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "FB_TEST_CTL=ctl")
	return cmd
}

// keepers are the command lines that look after a store.
func keepers(t *testing.T) map[string][]string {
	t.Helper()
	dir := t.TempDir()
	return map[string][]string{
		"status": {"status"}, "expire": {"expire"}, "watch": {"watch"}, "stats": {"stats"}, "gc": {"gc"}, "check": {"check"}, "rebuild": {"rebuild"},
		"backup": {"backup", filepath.Join(dir, "backup")}, "restore": {"restore", filepath.Join(dir, "file")},
		"ls": {"ls"}, "get": {"get", "backup/key", filepath.Join(dir, "got")}, "put": {"put", "words.go", "backup/put"},
		"rm": {"rm", "backup/key"}, "mb": {"mb", "made"}, "rb": {"rb", "empty"},
	}
}

// codeOf is the exit code of a command that could not do its work.
func codeOf(command string) int {
	if command == "check" {
		return 2
	}
	return 1
}

func TestKeepersSayWhenThereIsNoStore(t *testing.T) {
	for command, args := range keepers(t) {
		s := newTestStore(t)
		for _, made := range []bool{false, true} {
			if made {
				if err := os.Mkdir(s.dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			code, out, fail := s.ctl(t, args...)
			advice := "is storage.path in " + s.config + " right?"
			switch {
			case command == "restore" && made:
				advice = "file: no such file"
			case command == "rebuild" && made:
				continue // what it makes of an empty directory is the store's business
			case command == "restore" || command == "rebuild":
				advice = "correct storage.path in " + s.config
			}
			if code != codeOf(command) || out != "" || !strings.Contains(fail, s.dir) && !made || !strings.Contains(fail, advice) {
				t.Errorf("%s: %d %q %q", command, code, out, fail)
			}
			entries, err := os.ReadDir(s.dir)
			if made && (err != nil || len(entries) > 0) || !made && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: made %v %v", command, entries, err)
			}
			if _, err := os.Stat(args[len(args)-1]); err == nil {
				t.Errorf("%s: left its file", command)
			}
		}
		missing := append(args, "--config", s.config+"x")
		if code, _, fail := ctl(t, missing...); code != 78 || !strings.Contains(fail, "read configuration") {
			t.Errorf("%s: %d %q", command, code, fail)
		}
	}
}

func TestKeepersSayWhatIsWrongWithAStore(t *testing.T) {
	for command, args := range keepers(t) {
		if command == "restore" || command == "rebuild" {
			continue // it is what they are for
		}
		s := newTestStore(t)
		s.put(t, 10, "key")
		if err := os.WriteFile(filepath.Join(s.dir, "catalog.db"), bytes.Repeat([]byte("x"), 9000), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, fail := s.ctl(t, args...)
		if code != codeOf(command) || out != "" || !strings.Contains(fail, "restore catalog.db from a backup with file-bucketctl rebuild --catalog FILE, or ") {
			t.Errorf("%s: %d %q %q", command, code, out, fail)
		}
		if code, out, fail = s.ctl(t, "rebuild"); code != 2 || !strings.HasPrefix(out, "damaged: catalog.db: nothing of it can be read: not a database of this program\n") {
			t.Errorf("what it says: %d %q %q", code, out, fail)
		}
	}
}

// TestKeepersWaitForNoDatabaseThatIsNone puts FIFOs in the place of databases. Where one is waited for, the test never ends.
func TestKeepersWaitForNoDatabaseThatIsNone(t *testing.T) {
	for _, name := range []string{"catalog.db", "index.db"} {
		s := newTestStore(t)
		s.put(t, 10, "key")
		path := filepath.Join(s.dir, name)
		if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
			t.Fatal(err)
		}
		if code, _, fail := s.ctl(t, "status"); code != 1 || !strings.Contains(fail, name+" is not a file: move it away") {
			t.Errorf("%s: %d %q", name, code, fail)
		}
	}
}

// TestKeepersLimitTheirMemory sees that a long command makes do with as much memory as a daemon, unless somebody gives it more.
func TestKeepersLimitTheirMemory(t *testing.T) {
	s := newTestStore(t)
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for given, want := range map[string]int64{"": daemon.MemoryLimit, "1GiB": math.MaxInt64} {
		t.Setenv("GOMEMLIMIT", given)
		debug.SetMemoryLimit(math.MaxInt64)
		err := keep(t.Context(), env{io.Discard, io.Discard}, testFlags(s), func(context.Context, *keeper) error { return nil })
		if got := debug.SetMemoryLimit(-1); err != nil || got != want {
			t.Errorf("GOMEMLIMIT=%s: %d, want %d; %v", given, got, want, err)
		}
	}
}

// TestFirstSignalEndsTheWork sees that the work hears of a signal and ends as it wants to.
func TestFirstSignalEndsTheWork(t *testing.T) {
	s := newTestStore(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cleaned := false
		err := keep(t.Context(), env{io.Discard, io.Discard}, testFlags(s), func(ctx context.Context, _ *keeper) error {
			if err := syscall.Kill(os.Getpid(), sig); err != nil {
				return err
			}
			<-ctx.Done()
			cleaned = true
			return fmt.Errorf("work: %w", ctx.Err())
		})
		if !errors.Is(err, errStopped) || !cleaned {
			t.Errorf("%v: got %v, cleaned up: %v", sig, err, cleaned)
		}
	}
}

func testFlags(s testStore) storeFlags {
	no := false
	return storeFlags{config: &s.config, json: &no, quiet: &no}
}

// beStubborn is work that does not hear of the first signal.
func beStubborn() {
	path, no := os.Args[1], false
	err := keep(context.Background(), env{io.Discard, io.Discard}, storeFlags{&path, &no, &no}, func(ctx context.Context, _ *keeper) error {
		// The second one comes when the first has been seen; then more, until one counts. Not too many at once: each that finds
		// the process about to die takes stack.
		tick := time.Tick(time.Millisecond)
		for range 10_000 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				return err
			}
			<-ctx.Done()
			<-tick
		}
		return errors.New("lives on")
	})
	os.Exit(daemon.Report(os.Stderr, name, err)) //nolint:forbidigo // this is a main
}

func TestSecondSignalEndsTheProcess(t *testing.T) {
	cmd := child(t, newTestStore(t).config)
	cmd.Env = append(cmd.Env, "FB_TEST_CTL=stubborn")
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !terminated(exit) {
		t.Errorf("got %v", err)
	}
}

// TestWarningsComeThrough sees that what the store warns of is told, also by a quiet command.
func TestWarningsComeThrough(t *testing.T) {
	var fail bytes.Buffer
	s := newTestStore(t)
	o := testFlags(s)
	*o.quiet = true
	err := keep(t.Context(), env{io.Discard, &fail}, o, func(_ context.Context, k *keeper) error {
		k.meter.show(disk.Step{Name: "reading"})
		k.warn("it is damaged")
		return nil
	})
	if err != nil || fail.String() != "file-bucketctl: warning: it is damaged\n" {
		t.Errorf("got %v %q", err, &fail)
	}
}
