package disk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const (
	checkWritersEnv = "DISK_CHECK_OPS"
	checkWriters    = 4 // of each driver
)

// TestCheckBesideWriters checks a store, again and again, while two others put, overwrite, copy and delete, and fail to commit
// what they have appended. Nothing is said of it but of pieces of packs, and no row names these. The second time content that is
// whole is noted as damaged, so that those who store it again move it.
func TestCheckBesideWriters(t *testing.T) {
	ops := int64(size(t, checkWritersEnv, 400/stride))
	for name, lose := range map[string]func(*mixWriter, context.Context, *Driver) error{
		"failing": (*mixWriter).fail, "moving": (*mixWriter).note,
	} {
		t.Run(name, func(t *testing.T) {
			b := &besideWriters{t: t, lose: lose, moving: name == "moving"}
			opts := Options{packSize: 1 << 20}
			dir := t.TempDir()
			drivers := []*Driver{openWith(t, dir, opts), openWith(t, dir, opts)}
			newStore(t, drivers[0])
			watch := openWith(t, dir, Options{Quiet: true})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			g, until := errgroup.WithContext(ctx)
			for i, d := range drivers {
				for n := range checkWriters {
					w := b.writer(d, fmt.Sprint(i, ".", n))
					g.Go(func() error {
						for until.Err() == nil {
							if err := b.step(context.WithoutCancel(ctx), w, d); err != nil {
								return err
							}
						}
						return nil
					})
				}
			}
			// Chance says when a piece of a pack is left over, and when a check sees it.
			for done := int64(0); (done < ops || len(b.pieces) == 0 && done < 100*ops) && until.Err() == nil; done = b.done.Load() {
				b.check(watch)
			}
			stop()
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			b.end(watch)
		})
	}
}

// besideWriters is what is known of checks beside writers.
type besideWriters struct {
	t      *testing.T
	lose   func(*mixWriter, context.Context, *Driver) error
	moving bool
	done   atomic.Int64 // operations

	checks int
	sum    Checked
	pieces []Problem
}

func (b *besideWriters) writer(d *Driver, id string) *mixWriter {
	w := &mixWriter{s: object.New(d, object.Config{}), out: io.Discard, rng: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	for k := range 6 {
		w.names = append(w.names, fmt.Sprint(id, "/", k))
	}
	w.names = append(w.names, inBucket+strings.ReplaceAll(id, ".", "-"))
	w.state = make(map[string]string)
	for _, name := range w.names {
		w.state[name] = nothing
	}
	return w
}

func (b *besideWriters) step(ctx context.Context, w *mixWriter, d *Driver) error {
	err := w.step(ctx)
	if b.moving && err != nil && strings.Contains(err.Error(), object.ErrCorrupt.Error()) {
		err = nil // it was noted after the session was told that it is known
	}
	if err == nil && w.rng.IntN(4) == 0 {
		err = b.lose(w, ctx, d)
	}
	b.done.Add(1)
	return err
}

// check checks the store, every other time quickly; a quick check believes what is noted.
func (b *besideWriters) check(d *Driver) {
	b.t.Helper()
	b.checks++
	done, err := d.Check(b.t.Context(), CheckOptions{Quick: !b.moving && b.checks%2 == 0}, func(p Problem) {
		if !isPiece(p) {
			b.t.Errorf("check %d: %v", b.checks, p)
		}
		b.pieces = append(b.pieces, p)
	})
	if err != nil {
		b.t.Error(err)
	}
	b.sum.Keys += done.Keys
	b.sum.Bytes += done.Bytes
}

// end looks for rows that name what was said to have none.
func (b *besideWriters) end(d *Driver) {
	b.t.Helper()
	for _, p := range b.pieces {
		at := p.What[strings.LastIndex(p.What, " at ")+len(" at "):]
		name, text, _ := strings.Cut(at, "+")
		var off int64
		if _, err := fmt.Sscan(text, &off); err != nil {
			b.t.Fatalf("%q: %v", p, err)
		}
		n := count(b.t, d, fmt.Sprintf(`SELECT count(*) FROM xorbs WHERE file = '%s' AND off < %d AND off + len > %d`,
			name, off+p.Size, off))
		if n > 0 {
			b.t.Errorf("%v, but %d rows name it", p, n)
		}
	}
	write(b.t, d, `DELETE FROM damaged`) // there is none
	b.t.Logf("%d operations beside %d checks of %d keys and %d MiB; %d pieces of packs",
		b.done.Load(), b.checks, b.sum.Keys, b.sum.Bytes>>20, len(b.pieces))
	if b.checks == 0 || b.sum.Keys == 0 || len(b.pieces) == 0 {
		b.t.Error("nothing was tried")
	}
	if b.moving && count(b.t, d, `SELECT count(*) FROM trash`)+int64(len(b.pieces)) == 0 {
		b.t.Error("nothing has moved")
	}
}

// note notes that a xorb is damaged, which it is not: the next one who stores it gives it another place.
func (w *mixWriter) note(ctx context.Context, d *Driver) error {
	return d.commit.tx(ctx, func(ctx context.Context) error {
		_, err := d.commit.conn.ExecContext(ctx, `INSERT INTO damaged SELECT id FROM xorbs ORDER BY random() LIMIT 1
			ON CONFLICT (xorb) DO NOTHING`)
		return err
	})
}

// fail appends something to a pack and fails to commit it.
func (w *mixWriter) fail(ctx context.Context, d *Driver) error {
	sess, err := d.Begin(ctx)
	if err != nil {
		return err
	}
	x, chunks, err := (&staging{Session: sess}).fill(ctx, randomBytes(1000+w.rng.IntN(20_000), w.rng.Uint64()))
	if err != nil {
		return err
	}
	h, err := x.Close(ctx)
	if err != nil {
		return err
	}
	file := xet.Reconstruction{Hash: xet.FileHash(chunks), Terms: []xet.Term{{Xorb: h, Range: xet.Range{End: uint32(len(chunks))}}}}
	for _, c := range chunks {
		file.Size += uint64(c.Size)
	}
	file.Terms[0].Bytes = uint32(file.Size)
	if err := sess.PutFile(ctx, file); err != nil {
		return err
	}
	info := object.Info{Size: int64(file.Size), File: file.Hash}
	never := object.Condition{IfMatch: []string{"none"}}
	err = sess.Commit(ctx, []object.Change{{Bucket: "bucket", Key: "never", New: &info, If: never}})
	if !errors.Is(err, object.ErrPrecondition) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("commit: %w", err)
	}
	return sess.Close()
}

// TestCheckChangesNothing checks a store that is damaged in several ways: all tables and files are as before.
func TestCheckChangesNothing(t *testing.T) {
	d := checkedStore(t)
	names, err := filepath.Glob(filepath.Join(d.dir, "xorbs/*/*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	flip(t, names[0], func(n int) int { return n - 60 }) // in the footer
	flip(t, filepath.Join(d.dir, "packs", "1.1"), func(int) int { return 1000 })
	write(t, d, `DELETE FROM refs WHERE file = 2`)
	if err := os.WriteFile(filepath.Join(d.dir, "tmp", "99.1"), []byte("litter"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := everything(t, d)
	for _, quick := range []bool{false, true} {
		if done, _, keys := problems(t, d, CheckOptions{Quick: quick}); len(keys) == 0 || done.Orphans == 0 {
			t.Errorf("quick: %v: %q are named, %d orphans", quick, keys, done.Orphans)
		}
		if after := everything(t, d); !maps.Equal(before, after) {
			t.Errorf("quick: %v: %v was before, %v is now", quick, before, after)
		}
	}
}

// everything is a sum of each table and each file of content.
func everything(t *testing.T, d *Driver) map[string]string {
	t.Helper()
	all := make(map[string]string)
	tables, err := anyRows(t.Context(), d.reads.db, `SELECT name FROM sqlite_schema WHERE type = 'table'`)
	if err != nil || len(tables) < 10 {
		t.Fatal(tables, err)
	}
	for _, table := range tables {
		rows, err := anyRows(t.Context(), d.reads.db, fmt.Sprintf(`SELECT * FROM %s`, table[0]))
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprint("table ", table[0])] = fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, rows)))
	}
	for _, dir := range []string{"packs", "xorbs", "tmp", "procs"} {
		err := filepath.WalkDir(filepath.Join(d.dir, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			all[path] = fmt.Sprintf("%x", sha256.Sum256(b))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}
