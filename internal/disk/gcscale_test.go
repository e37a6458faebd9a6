package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// collectEnv sets how many objects TestCollectScale makes.
const collectEnv = "DISK_COLLECT"

const (
	collectBody    = 1000 // bytes of an object
	collectBatch   = 2000 // objects a commit
	collectWriters = 4    // beside the collection
	collectMemory  = 256 << 20
	collectLive    = "0.6" // else nothing is worth storing anew
)

// TestCollectScale deletes every second of many small objects, and collects in another process while this one writes. What it
// frees and how much memory it takes is asserted; what it costs, and how long writes take with and without it, is printed.
func TestCollectScale(t *testing.T) {
	n := size(t, collectEnv, 6000/stride)
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	start := time.Now()
	for from := 0; from < n; from += collectBatch {
		collectLoad(t, d, from, min(from+collectBatch, n))
	}
	t.Logf("%d objects stored in %v", n, time.Since(start).Round(time.Millisecond))
	for from := 0; from < n; from += 2 * 1000 {
		var keys []string
		for i := from; i < min(from+2*1000, n); i += 2 {
			keys = append(keys, collectKey(i))
		}
		errs, err := s.DeleteMany(t.Context(), "bucket", keys)
		if err = errors.Join(append(errs, err)...); err != nil {
			t.Fatal(err)
		}
	}
	alone := collectPuts(t, s, "alone", func() { collectMore(t, s, "warm", n/20+100) })

	c := startChild(t, "collectonce", d.dir, collectLive, "0s")
	c.hear() // it has opened the store
	var got Collected
	var peak int64
	var took time.Duration
	beside := collectPuts(t, s, "beside", func() {
		began := time.Now()
		c.tell("go\n")
		if _, err := fmt.Sscan(c.hear(), &got.Files, &got.Xorbs, &got.Packs, &got.Freed, &got.Rewritten, &peak); err != nil {
			t.Error(err)
		}
		took = time.Since(began)
	})
	if err := c.end(func(steps string) { t.Log(steps) }); err != nil {
		t.Fatal(err)
	}
	t.Logf("collected in %v: %+v, %d MiB resident at most", took.Round(time.Millisecond), got, peak>>20)
	t.Logf("puts of 4 KiB, %d writers: alone %s; beside the collection %s", collectWriters, alone, beside)
	if want := int64(n+1) / 2; got.Files != want || got.Xorbs != want {
		t.Errorf("%d files and %d xorbs were deleted, want %d", got.Files, got.Xorbs, want)
	}
	if peak >= collectMemory && stride == 1 {
		t.Errorf("%d bytes were resident, the bound is %d", peak, collectMemory)
	}
	for i := 1; i < n; i += max(2, n/500*2) {
		if !bytes.Equal(get(t, s, collectKey(i)), collectRaw(i)) {
			t.Fatalf("object %d has other bytes", i)
		}
	}
}

func collectKey(i int) string { return fmt.Sprintf("%08d", i) }

func collectRaw(i int) []byte {
	b := randomBytes(collectBody, 1)
	binary.LittleEndian.PutUint64(b, uint64(i))
	return b
}

// collectLoad stores objects, each in a xorb of its own as a small upload is, many in one commit.
func collectLoad(t *testing.T, d *Driver, from, to int) {
	t.Helper()
	ctx := t.Context()
	sess, err := d.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var changes []object.Change
	for i := from; i < to; i++ {
		raw := collectRaw(i)
		chunk := xet.Chunk{Hash: xet.ChunkHash(raw), Size: collectBody}
		x, err := sess.NewXorb(ctx)
		if err == nil {
			err = x.Add(ctx, chunk, xet.AppendRecord(nil, raw, xet.SchemeNone))
		}
		var h xet.Hash
		if err == nil {
			h, err = x.Close(ctx)
		}
		file := xet.Reconstruction{
			Hash: xet.FileHash([]xet.Chunk{chunk}), Size: collectBody,
			Terms: []xet.Term{{Xorb: h, Range: xet.Range{End: 1}, Bytes: collectBody}},
		}
		if err == nil {
			err = sess.PutFile(ctx, file)
		}
		if err != nil {
			t.Fatal(err)
		}
		info := object.Info{Size: collectBody, File: file.Hash, ETag: object.ETagOf(nil, file.Hash)}
		changes = append(changes, object.Change{Bucket: "bucket", Key: collectKey(i), New: &info})
	}
	if err := errors.Join(sess.Commit(ctx, changes), sess.Close()); err != nil {
		t.Fatal(err)
	}
}

// collectPuts has writers at work while f runs, and returns what their puts took.
func collectPuts(t *testing.T, s *object.Store, name string, f func()) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	start := time.Now()
	for w := range collectWriters {
		wg.Go(func() {
			body := randomBytes(4096, uint64(w*1000+len(name)))
			for i := uint64(0); ctx.Err() == nil; i++ {
				binary.LittleEndian.PutUint64(body, i)
				began := time.Now()
				_, err := s.Put(context.WithoutCancel(ctx), "bucket", fmt.Sprintf("%s/%d/%d", name, w, i), bytes.NewReader(body), object.PutOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	f()
	stop()
	wg.Wait()
	slices.Sort(took)
	at := func(p int) time.Duration {
		return took[min(len(took)*p/1000, len(took)-1)].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%.0f/s, p50 %v, p99 %v, p99.9 %v, at most %v",
		float64(len(took))/time.Since(start).Seconds(), at(500), at(990), at(999), at(1000))
}

// collectMore puts some objects.
func collectMore(t *testing.T, s *object.Store, prefix string, n int) {
	t.Helper()
	for i := range n {
		put(t, s, fmt.Sprintf("%s/%d", prefix, i), []byte(prefix))
	}
}

// collectOnceChild collects when it is told to, and says what that did. Its arguments are CollectOptions: Live and Backups.
func collectOnceChild(dir string, args []string) error {
	ctx := context.Background()
	part, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	backups, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(160 << 20) // as the tool does
	d, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	var word string
	if _, err := fmt.Fprintln(os.Stdout, "open"); err != nil {
		return err
	}
	if _, err := fmt.Scan(&word); err != nil {
		return err
	}
	var steps []string
	last, begun := "", time.Now()
	got, err := d.Collect(ctx, CollectOptions{Live: part, Backups: backups, Progress: func(s Step) {
		if s.Name != last {
			steps, last = append(steps, fmt.Sprintf("%.1f s %s", time.Since(begun).Seconds(), s.Name)), s.Name
		}
	}})
	peak, perr := procStatus("VmHWM")
	_, serr := fmt.Fprintln(os.Stdout, got.Files, got.Xorbs, got.Packs, got.Freed, got.Rewritten, peak)
	_, terr := fmt.Fprintln(os.Stdout, strings.Join(steps, "; "))
	return errors.Join(err, perr, serr, terr, d.Close())
}
