package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// allGarbage is what to collect when not a byte is to stay that nothing refers to.
var allGarbage = CollectOptions{Live: 1, Backups: -1}

func collectNow(t *testing.T, d *Driver, opts CollectOptions) Collected {
	t.Helper()
	got, err := d.Collect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// leftovers returns what is in a store that nothing refers to. Nobody else may have it open.
func leftovers(t *testing.T, d *Driver) (out []string) {
	t.Helper()
	for what, query := range map[string]string{
		"doomed files":         `SELECT count(*) FROM files WHERE doomed <> 0`,
		"doomed xorbs":         `SELECT count(*) FROM xorbs WHERE doomed <> 0`,
		"nameless files":       `SELECT count(*) FROM files WHERE id NOT IN (SELECT file FROM keys) AND id NOT IN (SELECT file FROM parts)`,
		"parts of no upload":   `SELECT count(*) FROM parts WHERE upload NOT IN (SELECT id FROM uploads WHERE done = 0)`,
		"unreferred xorbs":     `SELECT count(*) FROM xorbs WHERE id NOT IN (SELECT xorb FROM refs)`,
		"refs of no file":      `SELECT count(*) FROM refs WHERE file NOT IN (SELECT id FROM files)`,
		"refs to no xorb":      `SELECT count(*) FROM refs WHERE xorb NOT IN (SELECT id FROM xorbs)`,
		"files in the trash":   `SELECT count(*) FROM trash`,
		"packs without a xorb": `SELECT count(*) FROM packs WHERE sealed <> 0 AND file NOT IN (SELECT file FROM xorbs)`,
		"damage of no xorb":    `SELECT count(*) FROM damaged WHERE xorb NOT IN (SELECT id FROM xorbs)`,
	} {
		if n := count(t, d, query); n > 0 {
			out = append(out, fmt.Sprint(n, " ", what))
		}
	}
	xorbs, err := collect(t.Context(), d.reads.db, scanStored, storedColumns+`ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	used, err := (&collector{d: d}).used(t.Context(), xorbs, fileStays)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[int64]bool)
	named := make(map[string]int64)
	for _, x := range xorbs {
		known[x.id] = true
		named[x.at.file] += x.at.len
		if set := used[x.id]; set != nil {
			out = append(out, fmt.Sprintf("%d of %d chunks of xorb %d", x.chunks-set.rank(x.chunks), x.chunks, x.id))
		}
	}
	for _, dir := range contentDirs() {
		names, err := d.fs.list(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			name = dir + "/" + name
			if size, err := d.fs.size(name); err != nil || size != named[name] {
				out = append(out, fmt.Sprintf("%d of %d bytes of %s, %v", size-named[name], size, name, err))
			}
		}
	}
	hints, err := collect(t.Context(), d.index.db.Load().read, scanID, `SELECT loc FROM chunks`)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range hints {
		if id, _ := loc(at).split(); !known[id] {
			out = append(out, fmt.Sprint("a row of the index that leads to xorb ", id))
		}
	}
	return out
}

// bare closes a store and looks, opened anew, for what nothing refers to after collections.
func bare(t *testing.T, dir string) {
	t.Helper()
	d, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ExpireUploads(context.Background(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := d.Collect(context.Background(), allGarbage); err != nil {
			t.Error(err)
		}
		d = openAgain(t, d)
	}
	for _, what := range leftovers(t, d) {
		t.Error("left over: ", what)
	}
	checkClean(t, d)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func openAgain(t *testing.T, d *Driver) *Driver {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	d, err := Open(context.Background(), d.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCollectFreesWhatIsDeleted keeps what other keys name, whole or in part.
func TestCollectFreesWhatIsDeleted(t *testing.T) {
	for _, size := range []int{10, 5_000, 400_000, 5 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir := t.TempDir()
			d := opened(t, dir, Options{})
			s := newStore(t, d)
			bodies := map[string][]byte{}
			for i := range uint64(6) {
				bodies[fmt.Sprint("k", i)] = randomBytes(size, i)
			}
			bodies["half of 0"] = bodies["k0"][:size/2]
			bodies["ends of 1 and 2"] = append(bytes.Clone(bodies["k1"][size/3:]), bodies["k2"][size/2:]...)
			bodies["k3 again"] = bodies["k3"]
			for key, body := range bodies {
				put(t, s, key, body)
			}
			for _, key := range []string{"k0", "k1", "k2", "k3", "k4"} {
				if err := s.Delete(t.Context(), "bucket", key, object.Condition{}); err != nil {
					t.Fatal(err)
				}
				delete(bodies, key)
			}
			d = openAgain(t, d) // its pack is sealed
			before := diskUse(t, dir)
			dry := allGarbage
			dry.DryRun = true
			want := collectNow(t, d, dry)
			got := collectNow(t, d, allGarbage)
			if got != want {
				t.Errorf("done %+v, announced %+v", got, want)
			}
			t.Logf("%+v", got)
			if got.Files == 0 || got.Xorbs == 0 || got.Freed <= 0 {
				t.Errorf("nothing was freed: %+v", got)
			}
			if freed := before - diskUse(t, dir); freed != got.Freed {
				t.Errorf("freed %d bytes, told %d", freed, got.Freed)
			}
			s = newStore(t, d)
			for key, body := range bodies {
				if !bytes.Equal(get(t, s, key), body) {
					t.Errorf("%s has other bytes", key)
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			bare(t, dir)
		})
	}
}

// TestCollectWaits leaves what an open content or a session may need, and takes it once they are closed.
func TestCollectWaits(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	opts := allGarbage
	opts.Wait = -1
	for name, hold := range map[string]func() io.Closer{
		"content": func() io.Closer {
			f, err := s.Open(t.Context(), "bucket", "key")
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
		"session": func() io.Closer {
			sess, err := d.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return sess
		},
	} {
		put(t, s, "key", randomBytes(3<<20, 1))
		held := hold()
		if err := s.Delete(t.Context(), "bucket", "key", object.Condition{}); err != nil {
			t.Fatal(err)
		}
		if got := collectNow(t, d, opts); got.Files+got.Xorbs+got.Packs != 0 || got.Waiting < 3<<20 {
			t.Errorf("%s: collected beside it: %+v", name, got)
		}
		if f, ok := held.(io.Reader); ok {
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, randomBytes(3<<20, 1)) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		if got := collectNow(t, d, opts); got.Files != 1 || got.Xorbs == 0 || got.Freed < 3<<20 || got.Waiting != 0 {
			t.Errorf("%s: collected after it: %+v", name, got)
		}
	}
}

// TestCollectedContentComesAgain commits, in sessions that are older than a collection, what that has doomed.
func TestCollectedContentComesAgain(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	body := randomBytes(3<<20, 1)
	info := put(t, s, "key", body)
	sess, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(t.Context(), "bucket", "key")
	if err != nil {
		t.Fatal(err)
	}
	var places [1]object.Place
	first := xet.ChunkHash(body[:firstChunk(t, body)])
	if err := sess.Known(t.Context(), []xet.Hash{first}, places[:]); err != nil || places[0].Xorb.IsZero() {
		t.Fatal(places, err)
	}
	if err := errors.Join(f.Close(), s.Delete(t.Context(), "bucket", "key", object.Condition{})); err != nil {
		t.Fatal(err)
	}
	opts := allGarbage
	opts.Wait = -1
	collectNow(t, d, opts)
	if n := count(t, d, `SELECT count(*) FROM files WHERE doomed <> 0`); n != 1 {
		t.Fatalf("%d files are doomed", n)
	}
	again := info
	again.Key = "again"
	if err := sess.Commit(t.Context(), []object.Change{{Bucket: "bucket", Key: "again", New: &again}}); err != nil {
		t.Fatal(err)
	}
	if err := sess.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		collectNow(t, d, opts)
	}
	if !bytes.Equal(get(t, s, "again"), body) {
		t.Error("other bytes")
	}
}

// TestThinToWhatIsThere thins a xorb to chunks that another one is made of already: that one is used, and the copy leaves nothing.
func TestThinToWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{})
	s := newStore(t, d)
	long, known := randomBytes(5<<20, 1), randomBytes(300_000, 2)
	cut := 0
	for cut < 2<<20 {
		cut += firstChunk(t, long[cut:])
	}
	put(t, s, "known", known)
	put(t, s, "long", long)
	put(t, s, "front", long[:cut]) // by reference
	d.index.flush(t.Context())
	if _, err := d.index.db.Load().write.ExecContext(t.Context(), `DELETE FROM chunks WHERE loc / 8192 =
		(SELECT max(loc) / 8192 FROM chunks)`); err != nil {
		t.Fatal(err)
	}
	put(t, s, "front and known", append(bytes.Clone(long[:cut]), known...))
	if n := count(t, d, `SELECT count(*) FROM xorbs`); n != 3 {
		t.Fatalf("%d xorbs, not known, long and front", n)
	}
	if err := s.Delete(t.Context(), "bucket", "long", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	collectNow(t, d, allGarbage)
	if n := count(t, d, `SELECT count(*) FROM xorbs`); n != 2 {
		t.Errorf("%d xorbs, not known and front", n)
	}
	if !bytes.Equal(get(t, s, "front"), long[:cut]) {
		t.Error("front has other bytes")
	}
	for _, what := range leftovers(t, d) {
		t.Error("left over: ", what)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	bare(t, dir)
}

func firstChunk(t *testing.T, body []byte) int {
	t.Helper()
	chunk, err := xet.NewChunker(bytes.NewReader(body)).Next()
	if err != nil {
		t.Fatal(err)
	}
	return len(chunk)
}

// TestOneCollectsAtATime also when another looks at the store.
func TestOneCollectsAtATime(t *testing.T) {
	dir := t.TempDir()
	a, b := openTest(t, dir), openTest(t, dir)
	for _, alone := range []bool{true, false} {
		release, err := a.holdStill(alone)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Collect(t.Context(), CollectOptions{}); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	collectNow(t, b, CollectOptions{})
}
