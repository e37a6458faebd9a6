package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"hugbucket/internal/object"
)

// memoryEnv sets how many MiB each stream of TestMemory brings.
const memoryEnv = "DISK_MEMORY_MIB"

const (
	memoryStreams = 64
	memoryBound   = 256 << 20
)

// TestMemory puts 64 streams of new content at the same time, in a process of its own: what is resident at any moment stays
// below 256 MiB.
func TestMemory(t *testing.T) {
	mib := size(t, memoryEnv, 8/stride)
	dir := t.TempDir()
	var before, peak int64
	err := startChild(t, "memory", dir, fmt.Sprint(mib)).end(func(line string) {
		if _, err := fmt.Sscan(line, &before, &peak); err != nil {
			t.Errorf("the process said %q: %v", line, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d streams of %d MiB: %d MiB resident before, %d MiB at most", memoryStreams, mib, before>>20, peak>>20)
	if peak == 0 || peak >= memoryBound && stride == 1 { // the race detector takes several times as much
		t.Errorf("%d bytes were resident, the bound is %d", peak, memoryBound)
	}
	if stored := diskUse(t, dir); stored < int64(mib)*memoryStreams<<20 {
		t.Errorf("%d bytes are stored: the streams were not new content", stored)
	}
	openTest(t, dir) // checks on cleanup
}

// memoryChild is the process that TestMemory measures. It prints VmRSS before and VmHWM after, in bytes.
func memoryChild(dir, size string) error {
	mib, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(160 << 20) // as the daemons do
	s, err := newChildStore(context.Background(), dir)
	if err != nil {
		return err
	}
	before, err := procStatus("VmRSS")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(context.Background())
	for i := range memoryStreams {
		g.Go(func() error {
			_, err := s.Put(ctx, "bucket", fmt.Sprint(i), newContentOf(mib<<20, uint64(i)), object.PutOptions{})
			return err
		})
	}
	if err := errors.Join(g.Wait(), s.Close()); err != nil {
		return err
	}
	peak, err := procStatus("VmHWM")
	if err == nil {
		_, err = fmt.Fprintln(os.Stdout, before, peak)
	}
	return err
}

// procStatus returns a size from /proc/self/status in bytes.
func procStatus(field string) (n int64, err error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			_, err := fmt.Sscanf(value, "%d kB", &n)
			return n << 10, err
		}
	}
	return 0, errors.Join(fmt.Errorf("no %s in /proc/self/status", field), lines.Err())
}

// newContentOf yields n bytes that nobody has stored, made as they are read; the same for the same seed.
func newContentOf(n int64, seed uint64) io.Reader {
	key := [32]byte{31: 1} // others of randomBytes end with 0
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), n)
}
