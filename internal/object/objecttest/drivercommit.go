package objecttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// has notes a failure unless the bucket holds just these keys.
func (e *env) has(what string, keys ...string) {
	e.Helper()
	page, _, err := e.driver.List(e.Context(), "bucket", object.Page{Limit: 1000})
	e.ok(err)
	got := make([]string, 0, len(page))
	for _, info := range page {
		got = append(got, info.Key)
	}
	e.sameStrings(what, got, keys)
}

// changeFails notes a failure unless err says that change i failed because of want.
func (e *env) changeFails(what string, err error, i int, want error) {
	e.Helper()
	e.is(what, err, want)
	if c, ok := errors.AsType[*object.ChangeError](err); !ok || c.Index != i {
		e.Errorf("%s: %v does not say that change %d failed", what, err, i)
	}
}

// testCommit commits everything that a commit may hold.
func testCommit(e *env) {
	ctx := e.Context()
	e.bucket("bucket", "other")
	e.ok(e.begin().Commit(ctx, nil))
	one, two := random(80, 100_000), random(81, 200_000)
	s := e.begin()
	f, g := e.stage(s, one), e.stage(s, two)
	e.ok(s.PutFile(ctx, f)) // twice is once
	e.ok(s.PutFile(ctx, xet.Reconstruction{}))
	e.ok(s.Commit(ctx, []object.Change{
		change("bucket", "one", f), change("bucket", "two", g), change("other", "one", f),
		change("bucket", "empty", xet.Reconstruction{}),
	}))
	e.ok(s.Close())
	e.ok(s.Close())
	e.has("after a commit of four keys", "empty", "one", "two")
	e.holds("bucket", "one", one)
	e.holds("bucket", "two", two)
	e.holds("other", "one", one)

	// By reference, without staging; overwriting, deleting, and deleting what is not there.
	s = e.begin()
	e.ok(s.Commit(ctx, []object.Change{
		{Bucket: "bucket", Key: "one"}, {Bucket: "bucket", Key: "missing"}, change("bucket", "empty", g), change("bucket", "new", f),
	}))
	e.ok(s.Close())
	e.has("after a commit by reference", "empty", "new", "two")
	e.holds("bucket", "empty", two)
	e.holds("bucket", "new", one)

	s = e.begin()
	err := s.Commit(ctx, []object.Change{change("bucket", "x", f), change("nowhere", "x", f)})
	e.is("commit to no bucket", err, object.ErrNoBucket)
	e.ok(s.Close())
	s = e.begin()
	e.is("delete from no bucket", s.Commit(ctx, []object.Change{{Bucket: "nowhere", Key: "x"}}), object.ErrNoBucket)
	e.ok(s.Close())
	e.has("after commits to no bucket", "empty", "new", "two")
}

// testCommitOrder changes one key several times in a commit.
func testCommitOrder(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	f := e.commitFile("source", random(82, 100))
	absent := object.Condition{IfNoneMatch: []string{"*"}}
	present := object.Condition{IfMatch: []string{"*"}}
	put := func(key string, c object.Condition) object.Change {
		out := change("bucket", key, f)
		out.If = c
		return out
	}
	del := func(key string, c object.Condition) object.Change {
		return object.Change{Bucket: "bucket", Key: key, If: c}
	}
	commit := func(changes ...object.Change) error {
		s := e.begin()
		defer e.closeLater(s)
		return s.Commit(ctx, changes)
	}
	e.changeFails("create twice", commit(put("a", absent), put("a", absent)), 1, object.ErrNotModified)
	e.changeFails("delete, then demand", commit(del("source", present), put("source", present)), 1, fs.ErrNotExist)
	err := commit(put("a", absent), del("a", present), put("b", absent), del("a", present))
	e.changeFails("create, delete, demand", err, 3, fs.ErrNotExist)
	e.has("after refused commits", "source")
	e.ok(commit(put("a", absent), del("a", present), put("a", absent), put("a", present)))
	e.ok(commit(put("b", absent), del("b", present)))
	e.ok(commit(del("source", present), put("source", absent)))
	e.has("after commits of many steps", "a", "source")
	moved := put("c", absent)
	e.ok(commit(moved, del("a", present)))
	e.has("after a rename", "c", "source")
}

// testCommitAtomic fails the last change of a commit, for every reason there is.
func testCommitAtomic(e *env) {
	e.bucket("bucket")
	data := random(83, 200_000)
	for name, last := range map[string]object.Change{
		"no bucket":   {Bucket: "nowhere", Key: "x"},
		"a condition": {Bucket: "bucket", Key: "x", If: object.Condition{IfMatch: []string{"*"}}},
		"no file":     change("bucket", "x", xet.Reconstruction{Hash: xet.ChunkHash([]byte("no file")), Size: 5}),
	} {
		s := e.begin()
		f := e.stage(s, data)
		err := s.Commit(e.Context(), []object.Change{
			change("bucket", "a", f), {Bucket: "bucket", Key: "b"}, change("bucket", "c", f), last,
		})
		if err == nil {
			e.Errorf("a commit with %s succeeds", name)
		}
		e.nobody("a commit refused for "+name, data, f)
		e.ok(s.Close())
		e.nobody("a session refused for "+name, data, f)
	}
	s := e.begin()
	f := e.stage(s, data)
	if err := s.Commit(e.canceled(), []object.Change{change("bucket", "a", f)}); err == nil {
		e.Error("a canceled commit succeeds")
	}
	e.ok(s.Close())
	e.nobody("a canceled commit", data, f)
}

// testCommitConditions tries every combination in the commit itself.
func testCommitConditions(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	mod := time.Date(2020, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	there := change("bucket", "there", xet.Reconstruction{})
	there.New.ETag, there.New.ModTime = "right", mod
	reset := func() {
		s := e.begin()
		e.ok(s.Commit(ctx, []object.Change{there, {Bucket: "bucket", Key: "missing"}}))
		e.ok(s.Close())
	}
	reset()
	for _, c := range someConditions("right", mod, 120) {
		for _, cur := range []*object.Info{there.New, nil} {
			key := "there"
			if cur == nil {
				key = "missing"
			}
			ch := change("bucket", key, xet.Reconstruction{})
			ch.New.ETag, ch.If = "new", c
			want := kind(c.Check(cur))
			s := e.begin()
			err := s.Commit(ctx, []object.Change{ch})
			if want != nil {
				e.changeFails(fmt.Sprintf("commit if %+v", c), err, 0, want)
			} else {
				e.ok(err)
				reset()
			}
			e.ok(s.Close())
		}
	}
	e.has("after all conditions", "there")
}

func testCommitMany(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	const n = 3000
	var changes, deletions []object.Change
	for i := range n {
		changes = append(changes, change("bucket", fmt.Sprintf("%05d", i*7919%n), xet.Reconstruction{}))
		deletions = append(deletions, object.Change{Bucket: "bucket", Key: fmt.Sprintf("%05d", i)})
	}
	s := e.begin()
	e.ok(s.Commit(ctx, changes))
	e.ok(s.Close())
	if got := e.count("bucket"); got != n {
		e.Errorf("%d keys are listed, want %d", got, n)
	}
	s = e.begin()
	e.ok(s.Commit(ctx, deletions[:n-1]))
	e.ok(s.Close())
	e.has("after deleting all but the last", fmt.Sprintf("%05d", n-1))
}

// testDangling stages files that are not made of what there is.
func testDangling(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(84, 300_000)
	chunks := chunksOf(e, data)
	stranger := e.begin()
	elsewhere := e.stageXorbs(stranger, random(85, 300_000)) // staged, but in another session
	for name, spoil := range map[string]func(f *xet.Reconstruction){
		"an unknown xorb":       func(f *xet.Reconstruction) { f.Terms[0].Xorb = xet.ChunkHash([]byte("no xorb")) },
		"another session's":     func(f *xet.Reconstruction) { *f = elsewhere },
		"chunks behind the end": func(f *xet.Reconstruction) { f.Terms[0].Range.Start++; f.Terms[0].Range.End++ },
		"far behind the end":    func(f *xet.Reconstruction) { f.Terms[0].Range = xet.Range{Start: 1 << 30, End: 1<<30 + 1} },
		"no chunks":             func(f *xet.Reconstruction) { f.Terms = append(f.Terms, f.Terms[0]); f.Terms[1].Range.End = 0 },
		"a term too small":      func(f *xet.Reconstruction) { f.Terms[0].Bytes--; f.Size-- },
		"a size too large":      func(f *xet.Reconstruction) { f.Size++ },
		"no terms":              func(f *xet.Reconstruction) { f.Terms = nil },
	} {
		s := e.begin()
		f := e.stageXorbs(s, data)
		f.Terms = slices.Clone(f.Terms)
		spoil(&f)
		err := s.PutFile(ctx, f)
		if err == nil {
			err = s.Commit(ctx, []object.Change{change("bucket", "key", f)})
		}
		if err == nil {
			e.Errorf("a file with %s is stored", name)
		}
		e.ok(s.Close())
		e.nobody("a file with "+name, data, f)
	}
	e.ok(stranger.Close())

	s := e.begin()
	err := s.Commit(ctx, []object.Change{change("bucket", "key", xet.Reconstruction{Hash: xet.FileHash(chunks), Size: 300_000})})
	if err == nil {
		e.Error("a key names a file that is not stored")
	}
	e.ok(s.Close())
	s = e.begin()
	f := e.stageXorbs(s, data) // staged chunks, but not the file
	if err := s.Commit(ctx, []object.Change{change("bucket", "key", f)}); err == nil {
		e.Error("a key names a file that was not put")
	}
	e.ok(s.Close())
	e.nobody("a key without a file", data, f)
}

// testAfterFailure goes on after an error, where only Close is allowed.
func testAfterFailure(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(86, 100_000)
	s := e.begin()
	f := e.stage(s, data)
	e.changeFails("a refused commit", s.Commit(ctx, []object.Change{{
		Bucket: "bucket", Key: "x", If: object.Condition{IfMatch: []string{"*"}},
	}}), 0, fs.ErrNotExist)
	if err := s.Commit(ctx, []object.Change{change("bucket", "key", f)}); err == nil {
		e.Error("a session commits after a refused commit")
	}
	e.ok(s.Close())
	e.nobody("a failed session", data, f)

	s = e.begin()
	if err := s.Known(ctx, make([]xet.Hash, 2), make([]object.Place, 1)); err == nil {
		e.Error("two chunks are asked for with one place")
	}
	e.ok(s.Close())
}

func testAfterClose(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	s := e.begin()
	f := e.stage(s, random(87, 1000))
	e.ok(s.Close())
	for name, err := range map[string]error{
		"Known":   s.Known(ctx, make([]xet.Hash, 1), make([]object.Place, 1)),
		"PutFile": s.PutFile(ctx, f),
		"Commit":  s.Commit(ctx, nil),
		"NewXorb": func() error { _, err := s.NewXorb(ctx); return err }(),
	} {
		if err == nil {
			e.Errorf("%s of a closed session has no error", name)
		}
	}
	e.ok(s.Close())
	_, err := e.driver.Begin(e.canceled())
	if err != nil {
		e.is("begin with a canceled context", err, context.Canceled)
	}
}

// testAfterCommit stages on after a commit; without another one that leaves nothing.
func testAfterCommit(e *env) {
	e.bucket("bucket")
	one, two := random(88, 100_000), random(89, 100_000)
	s := e.begin()
	f := e.stage(s, one)
	e.ok(s.Commit(e.Context(), []object.Change{change("bucket", "one", f)}))
	e.placed("after the commit", e.known(s, chunksOf(e, one)), f)
	g := e.stage(s, two)
	e.placed("staged after the commit", e.known(s, chunksOf(e, two)), g)
	e.ok(s.Close())
	e.has("after a commit and more", "one")
	_, err := e.driver.OpenFile(e.Context(), g.Hash)
	e.is("what was staged after the commit", err, fs.ErrNotExist)
	e.holds("bucket", "one", one)
}
