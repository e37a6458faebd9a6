package disk

import (
	"bytes"
	"context"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// write runs a statement in a transaction of the committer, as collection would.
func write(t *testing.T, d *Driver, query string, args ...any) {
	t.Helper()
	err := d.commit.tx(t.Context(), func(ctx context.Context) error {
		_, err := d.commit.conn.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, d *Driver, query string) (n int64) {
	t.Helper()
	if err := d.reads.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPins holds a session, and then an open file, while the epoch moves on: procs.epoch stays behind until they are closed.
func TestPins(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	put(t, s, "k", []byte("content"))
	told := func() int64 {
		d.commit.tick(t.Context())
		return count(t, d, `SELECT epoch FROM procs`)
	}
	for _, hold := range []func() func() error{
		func() func() error {
			sess, err := d.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return sess.Close
		},
		func() func() error {
			f, err := s.Open(t.Context(), "bucket", "k")
			if err != nil {
				t.Fatal(err)
			}
			return f.Close
		},
	} {
		write(t, d, `UPDATE meta SET epoch = epoch + 1`)
		before := told()
		if epoch := count(t, d, `SELECT epoch FROM meta`); before != epoch {
			t.Fatalf("with no pin the process is at epoch %d of %d", before, epoch)
		}
		release := hold()
		write(t, d, `UPDATE meta SET epoch = epoch + 1`)
		put(t, s, "other", []byte("a commit writes the epoch, too"))
		if now := told(); now != before {
			t.Errorf("with a pin of epoch %d the process says %d", before, now)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		if now := told(); now != before+1 {
			t.Errorf("with the pin gone the process says %d, not %d", now, before+1)
		}
	}
}

// TestUndoom stores content again whose rows are doomed: they must not be, from that commit on.
func TestUndoom(t *testing.T) {
	const doomed = `SELECT (SELECT count(*) FROM files WHERE doomed <> 0) + (SELECT count(*) FROM xorbs WHERE doomed <> 0)`
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	body := randomBytes(300_000, 9)
	doom := func() {
		write(t, d, `UPDATE files SET doomed = 2`)
		write(t, d, `UPDATE xorbs SET doomed = 2`)
	}
	put(t, s, "k", body)
	if err := s.Delete(t.Context(), "bucket", "k", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	doom()
	put(t, s, "k", body)
	if n := count(t, d, doomed); n != 0 {
		t.Errorf("%d rows of stored content are doomed after the same content came again", n)
	}

	// A session that was told of chunks before they were doomed refers to them in a new file.
	sess, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := xet.NewChunker(bytes.NewReader(body))
	raw, err := first.Next()
	if err != nil {
		t.Fatal(err)
	}
	chunk := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
	var places [1]object.Place
	if err := sess.Known(t.Context(), []xet.Hash{chunk.Hash}, places[:]); err != nil || places[0].Xorb.IsZero() {
		t.Fatal(places, err)
	}
	doom()
	at := places[0]
	file := xet.Reconstruction{
		Hash: xet.FileHash([]xet.Chunk{chunk}), Size: uint64(chunk.Size),
		Terms: []xet.Term{{Xorb: at.Xorb, Range: xet.Range{Start: at.Index, End: at.Index + 1}, Bytes: chunk.Size}},
	}
	if err := sess.PutFile(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	info := object.Info{Bucket: "bucket", Key: "part", Size: int64(chunk.Size), File: file.Hash}
	if err := sess.Commit(t.Context(), []object.Change{{Bucket: "bucket", Key: "part", New: &info}}); err != nil {
		t.Fatal(err)
	}
	if err := sess.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, `SELECT count(*) FROM xorbs WHERE doomed <> 0`); n != 0 {
		t.Errorf("%d xorbs that a new file refers to are doomed", n)
	}
	if !bytes.Equal(get(t, s, "part"), raw) {
		t.Error("the new file reads as something else")
	}
	write(t, d, `UPDATE files SET doomed = 0`)
	// New sessions are not told of what is doomed.
	doom()
	sess, err = d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Known(t.Context(), []xet.Hash{chunk.Hash}, places[:]); err != nil || !places[0].Xorb.IsZero() {
		t.Errorf("a doomed chunk is known: %v %v", places, err)
	}
	if err := sess.Close(); err != nil {
		t.Fatal(err)
	}
}
