package objecttest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// nobody notes a failure if anything of a file can be seen: the file, its chunks, or any key of the bucket.
func (e *env) nobody(what string, data []byte, f xet.Reconstruction) {
	e.Helper()
	_, err := e.driver.OpenFile(e.Context(), f.Hash)
	e.is("open the file of "+what, err, fs.ErrNotExist)
	s := e.begin()
	for _, p := range e.known(s, chunksOf(e, data)) {
		if !p.Xorb.IsZero() {
			e.Errorf("a chunk of %s is known to others", what)
			break
		}
	}
	e.ok(s.Close())
	if n := e.count("bucket"); n != 0 {
		e.Errorf("%d keys are listed after %s", n, what)
	}
}

func testUncommitted(e *env) {
	e.bucket("bucket")
	data := random(70, 300_000)
	s := e.begin()
	f := e.stage(s, data)
	e.nobody("an open session", data, f)
	e.ok(s.Close())
	e.nobody("a closed session", data, f)

	s = e.begin()
	x, err := s.NewXorb(e.Context())
	e.ok(err)
	raw := random(71, 10_000)
	chunk := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
	e.ok(x.Add(e.Context(), chunk, xet.AppendRecord(nil, raw, xet.SchemeLZ4)))
	e.ok(s.Close()) // with an open xorb
	e.nobody("a session with an open xorb", raw, xet.Reconstruction{Hash: xet.FileHash([]xet.Chunk{chunk})})
	e.ok(s.Close())

	e.ok(e.begin().Close()) // that was never used
	f = e.commitFile("key", data)
	e.contentIs("what was staged again", e.file(f.Hash), data)
}

// placed notes a failure unless each chunk is where its place says, by the terms of a file.
func (e *env) placed(what string, places []object.Place, f xet.Reconstruction) {
	e.Helper()
	var want []object.Place
	for _, t := range f.Terms {
		for i := t.Range.Start; i < t.Range.End; i++ {
			want = append(want, object.Place{Xorb: t.Xorb, Index: i})
		}
	}
	if !slices.Equal(places, want) {
		e.Errorf("%s: chunks are not at the places where they were put", what)
	}
}

func testKnown(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(72, 500_000)
	chunks := chunksOf(e, data)
	unknown := make([]object.Place, len(chunks))
	one, two := e.begin(), e.begin()
	if got := e.known(one, chunks); !slices.Equal(got, unknown) {
		e.Error("chunks are known to an empty store")
	}
	e.ok(one.Known(ctx, nil, nil))

	// Not known while their xorb is open, then to its own session only.
	x, err := one.NewXorb(ctx)
	e.ok(err)
	for _, raw := range cut(e, data) {
		c := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
		e.ok(x.Add(ctx, c, xet.AppendRecord(nil, raw, xet.SchemeLZ4)))
	}
	if got := e.known(one, chunks); !slices.Equal(got, unknown) {
		e.Error("chunks of an open xorb are known")
	}
	hash, err := x.Close(ctx)
	e.ok(err)
	if want := xet.XorbHash(chunks); hash != want {
		e.Errorf("the xorb is called %v, want %v", hash, want)
	}
	f := xet.Reconstruction{Hash: xet.FileHash(chunks), Size: uint64(len(data)), Terms: []xet.Term{{
		Xorb: hash, Range: xet.Range{End: uint32(len(chunks))}, Bytes: uint32(len(data)),
		Verification: xet.VerificationHash(hashes(chunks)),
	}}}
	e.placed("staged", e.known(one, chunks), f)
	if got := e.known(two, chunks); !slices.Equal(got, unknown) {
		e.Error("staged chunks are known to another session")
	}
	e.ok(one.PutFile(ctx, f))
	e.ok(one.Commit(ctx, []object.Change{change("bucket", "key", f)}))

	// Known to all: to the same session, one that began before, and one that begins now.
	e.placed("after the commit", e.known(one, chunks), f)
	e.placed("after another session's commit", e.known(two, chunks), f)
	e.placed("to a new session", e.known(e.begin(), chunks), f)
	mixed := slices.Concat(chunks[3:], chunksOf(e, random(73, 100)), chunks[:3])
	got := e.known(two, mixed)
	for i, c := range mixed {
		if p := got[i]; p.Xorb.IsZero() != (i == len(chunks)-3) || !p.Xorb.IsZero() && chunks[p.Index] != c {
			e.Errorf("chunk %d of a mixed question is at %v", i, p)
		}
	}
	// What Known has said can be used.
	g := xet.Reconstruction{Hash: xet.FileHash(chunks[2:4]), Terms: []xet.Term{{Xorb: hash, Range: xet.Range{Start: 2, End: 4}}}}
	g.Terms[0].Bytes = chunks[2].Size + chunks[3].Size
	g.Size = uint64(g.Terms[0].Bytes)
	e.ok(two.PutFile(ctx, g))
	e.ok(two.Commit(ctx, []object.Change{change("bucket", "part", g)}))
	from := int(chunks[0].Size + chunks[1].Size)
	e.contentIs("a file of known chunks", e.file(g.Hash), data[from:from+int(g.Size)])
}

// testKnownRuns stores some chunks twice, in different runs: the answers must be usable, wherever they point.
func testKnownRuns(e *env) {
	e.bucket("bucket")
	a, b := random(74, 300_000), random(75, 300_000)
	files := [][]byte{slices.Concat(a, b), slices.Concat(b, a)}
	for i, data := range files {
		e.commitFile(fmt.Sprint(i), data) // stage does not deduplicate
	}
	for i, data := range files {
		chunks := chunksOf(e, data)[1:] // a file that is not stored yet
		rest := xet.Reconstruction{Hash: xet.FileHash(chunks)}
		s := e.begin()
		for i, p := range e.known(s, chunks) {
			if p.Xorb.IsZero() {
				e.Fatalf("chunk %d is not known", i)
			}
			rest.Terms = append(rest.Terms, xet.Term{
				Xorb: p.Xorb, Range: xet.Range{Start: p.Index, End: p.Index + 1}, Bytes: chunks[i].Size,
			})
			rest.Size += uint64(chunks[i].Size)
		}
		e.ok(s.PutFile(e.Context(), rest))
		e.ok(s.Commit(e.Context(), []object.Change{change("bucket", fmt.Sprint("rest of ", i), rest)}))
		e.ok(s.Close())
		e.contentIs("a file made from places", e.file(rest.Hash), data[len(data)-int(rest.Size):])
	}
}

// testTwinSessions has two sessions stage the same content before either commits.
func testTwinSessions(e *env) {
	e.bucket("bucket")
	data := random(76, 400_000)
	one, two := e.begin(), e.begin()
	f, g := e.stage(one, data), e.stage(two, data)
	e.ok(two.Commit(e.Context(), []object.Change{change("bucket", "two", g)}))
	e.ok(two.Close())
	e.ok(one.Commit(e.Context(), []object.Change{change("bucket", "one", f)}))
	e.ok(one.Close())
	e.holds("bucket", "one", data)
	e.holds("bucket", "two", data)
	e.ok(e.store.Delete(e.Context(), "bucket", "two", object.Condition{}))
	e.holds("bucket", "one", data)
}

// testXorbLimits fills xorbs with as many chunks, and as many bytes, as they take.
func testXorbLimits(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	s := e.begin()
	for _, size := range []int{16, xet.MaxChunkSize} {
		x, err := s.NewXorb(ctx)
		e.ok(err)
		var f xet.Reconstruction
		var chunks []xet.Chunk
		var record []byte
		raw := make([]byte, size)
		for x.Fits(size) {
			copy(raw, fmt.Sprintf("%d", len(chunks)))
			c := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(size)}
			record = xet.AppendRecord(record[:0], raw, xet.SchemeLZ4)
			e.ok(x.Add(ctx, c, record))
			chunks = append(chunks, c)
		}
		if want := min(xet.MaxXorbChunks, xet.MaxXorbSize/size); len(chunks) != want {
			e.Errorf("%d chunks of %d bytes fit into a xorb, want %d", len(chunks), size, want)
		}
		if x.Fits(1) {
			e.Error("a full xorb takes one byte more")
		}
		h, err := x.Close(ctx)
		e.ok(err)
		if want := xet.XorbHash(chunks); h != want {
			e.Errorf("a full xorb is called %v, want %v", h, want)
		}
		f.Hash, f.Size = xet.FileHash(chunks), uint64(len(chunks)*size)
		f.Terms = []xet.Term{{Xorb: h, Range: xet.Range{End: uint32(len(chunks))}, Bytes: uint32(f.Size)}}
		e.ok(s.PutFile(ctx, f))
		e.ok(s.Commit(ctx, []object.Change{change("bucket", fmt.Sprint(size), f)}))
		c := e.file(f.Hash)
		for _, i := range []int{0, 1, len(chunks) / 2, len(chunks) - 1} {
			b, err := c.Block(ctx, int64(i*size), int64(size))
			e.ok(err)
			if len(b) == size && xet.ChunkHash(b) != chunks[i].Hash {
				e.Errorf("chunk %d of a full xorb is another", i)
			}
		}
		e.ok(c.Close())
	}
	e.ok(s.Close())
}

// testRaces has sessions commit to the same keys at the same time, each of them two keys that belong together.
func testRaces(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	const writers, rounds = 6, 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for round := range rounds {
				if err := e.commitPair(w*rounds + round); err != nil {
					e.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	// Of the last commit both keys have come through, or of neither any has.
	a, err := e.driver.Stat(ctx, "bucket", "a")
	e.ok(err)
	b, err := e.driver.Stat(ctx, "bucket", "b")
	e.ok(err)
	if a.File != b.File || a.ETag != b.ETag {
		e.Error("two keys that were always written in one commit differ")
	}
	page, _, err := e.driver.List(ctx, "bucket", object.Page{Prefix: "once/", Limit: 1000})
	e.ok(err)
	if len(page) != writers*rounds {
		e.Errorf("%d keys were created, want %d", len(page), writers*rounds)
	}
}

// commitPair writes one file to two keys, and a third key that is its own.
func (e *env) commitPair(i int) (err error) {
	ctx := e.Context()
	s, err := e.driver.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	raw := random(uint64(i), 1000)
	c := xet.Chunk{Hash: xet.ChunkHash(raw), Size: 1000}
	x, err := s.NewXorb(ctx)
	if err != nil {
		return err
	}
	if err := x.Add(ctx, c, xet.AppendRecord(nil, raw, xet.SchemeLZ4)); err != nil {
		return err
	}
	h, err := x.Close(ctx)
	if err != nil {
		return err
	}
	f := xet.Reconstruction{Hash: xet.FileHash([]xet.Chunk{c}), Size: 1000}
	f.Terms = []xet.Term{{Xorb: h, Range: xet.Range{End: 1}, Bytes: 1000}}
	if err := s.PutFile(ctx, f); err != nil {
		return err
	}
	once := change("bucket", fmt.Sprintf("once/%d", i), f)
	once.If = object.Condition{IfNoneMatch: []string{"*"}}
	return s.Commit(ctx, []object.Change{change("bucket", "a", f), once, change("bucket", "b", f)})
}
