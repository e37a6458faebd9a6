package disk

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// crashEnv tells the test binary to be the process that is killed.
const crashEnv = "DISK_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // the child process has no test framework around it
		}
	}
	os.Exit(m.Run()) //nolint:forbidigo // what TestMain is for
}

// writeUntilKilled puts objects and says which are acknowledged, for as long as it lives.
func writeUntilKilled(dir string) error {
	ctx := context.Background()
	d, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	s := object.New(d, object.Config{})
	if err := s.CreateBucket(ctx, "bucket", ""); err != nil {
		return err
	}
	for i := 0; ; i++ {
		key := fmt.Sprint("key-", i)
		if _, err := s.Put(ctx, "bucket", key, bytes.NewReader(crashBody(i)), object.PutOptions{}); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, "ok", i); err != nil {
			return err
		}
	}
}

// crashBody alternates between what goes into packs and what gets a file of its own.
func crashBody(i int) []byte { return randomBytes([]int{300, 90_000, 2_500_000}[i%3], uint64(i)) }

// TestKill kills a process while it writes: what it acknowledged is whole, nothing else is visible, and the next process
// sweeps what it left.
func TestKill(t *testing.T) {
	for _, after := range []int{1, 8} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			dir := t.TempDir()
			acked := killAfter(t, dir, after)
			d := openTest(t, dir) // checks on cleanup, which fails on anything left
			if err := d.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := object.New(d, object.Config{})
			for i := range acked {
				if !bytes.Equal(get(t, s, fmt.Sprint("key-", i)), crashBody(i)) {
					t.Errorf("key-%d was acknowledged and differs", i)
				}
			}
			left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left in tmp: %v %v", left, err)
			}
			locks, err := filepath.Glob(filepath.Join(dir, "procs", "*"))
			if err != nil || len(locks) != 1 {
				t.Errorf("in procs: %v %v, want this process alone", locks, err)
			}
		})
	}
}

// killAfter starts a writer and kills it after so many acknowledgements. It returns how many objects are acknowledged.
func killAfter(t *testing.T, dir string, after int) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := 0
	for lines := bufio.NewScanner(out); lines.Scan() && strings.HasPrefix(lines.Text(), "ok "); {
		if acked++; acked == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || acked < after {
		t.Fatalf("the writer ended by itself after %d objects: %v", acked, err)
	}
	return acked
}
