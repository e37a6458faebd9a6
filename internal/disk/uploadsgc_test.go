package disk

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// TestCollectKeepsParts collects with uploads open, aborted, expired with their bucket and done: what is announced is done, what is
// open can be completed, and when that is gone, too, nothing is left.
func TestCollectKeepsParts(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{})
	s := newStore(t, d)
	shared := randomBytes(3<<20, 1)
	one, two := shared[:2<<20], randomBytes(2<<20, 2) // of the xorb of shared, only the first part is going to be used
	put(t, s, "shared", shared)
	open, refs := uploadIn(t, s, "open", one, two)
	aborted, _ := uploadIn(t, s, "aborted", randomBytes(2<<20, 3), randomBytes(9_000, 4))
	done, doneRefs := uploadIn(t, s, "done", randomBytes(2<<20, 5), randomBytes(9_000, 6))
	uploadIn(t, s, "replaced", randomBytes(2<<20, 7))
	if _, err := s.Complete(t.Context(), done, doneRefs, object.CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	replaced, err := s.PutPart(t.Context(), open, 2, bytes.NewReader(two[1000:]), object.PartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	refs[1].ETag = replaced.ETag()
	if err := s.AbortUpload(t.Context(), aborted); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"shared", "done"} {
		if err := s.Delete(t.Context(), "bucket", key, object.Condition{}); err != nil {
			t.Fatal(err)
		}
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
	if freed := before - diskUse(t, dir); freed != got.Freed || freed < 4<<20 {
		t.Errorf("freed %d bytes, told %d", freed, got.Freed)
	}
	for _, what := range leftovers(t, d) {
		t.Error("left over: ", what)
	}
	checkClean(t, d)
	s = object.New(d, object.Config{})
	if _, err := s.Complete(t.Context(), open, refs, object.CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, s, "open"), slices.Concat(one, two[1000:])) {
		t.Error("the object has other bytes than its parts")
	}
	if err := s.Delete(t.Context(), "bucket", "open", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	bare(t, dir)
}

// duringJoin calls a function whenever a part has been opened.
type duringJoin struct {
	*Driver
	do func()
}

func (d *duringJoin) OpenFile(ctx context.Context, h xet.Hash) (object.Content, error) {
	c, err := d.Driver.OpenFile(ctx, h)
	d.do()
	return c, err
}

// TestCollectBesideComplete collects, and stores anew, while parts are joined whose places were read before: the object has the
// bytes of its parts.
func TestCollectBesideComplete(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{idle: true})
	shared := [][]byte{randomBytes(3<<20, 1), randomBytes(200_000, 2), randomBytes(2<<20, 3)}
	s := newStore(t, d)
	var bodies [][]byte
	for i, body := range shared {
		key := string(rune('a' + i))
		put(t, s, key, body)
		bodies = append(bodies, body[:len(body)/3])
	}
	name, refs := uploadIn(t, s, "key", bodies...)
	for i := range shared {
		if err := s.Delete(t.Context(), "bucket", string(rune('a'+i)), object.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	d = openAgain(t, d)
	collected := 0
	opts := allGarbage
	opts.Wait = -1
	s = object.New(&duringJoin{d, func() {
		for range 2 {
			collected += int(collectNow(t, d, opts).Rewritten)
		}
	}}, object.Config{})
	if _, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if collected == 0 {
		t.Error("nothing was stored anew meanwhile")
	}
	if !bytes.Equal(get(t, s, "key"), slices.Concat(bodies...)) {
		t.Error("the object has other bytes than its parts")
	}
	checkClean(t, d)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	bare(t, dir)
}

// TestDamagedPart completes an upload of which a part has rotted: that fails and tells whom it hurts, and succeeds when the part has
// come again.
func TestDamagedPart(t *testing.T) {
	dir := t.TempDir()
	var told []string
	d := opened(t, dir, Options{idle: true})
	one, two := randomBytes(3<<20, 1), randomBytes(2<<20, 2)
	name, refs := uploadIn(t, newStore(t, d), "key", one, two)
	closed(t, d)
	names, err := filepath.Glob(filepath.Join(dir, "xorbs/*/*"))
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	for _, file := range names {
		flip(t, file, func(n int) int { return n - 9_000 }) // in the last chunk
	}
	d = opened(t, dir, Options{idle: true, Warn: func(text string) { told = append(told, text) }})
	s := object.New(d, object.Config{})
	// The end of the first part is read for the seam.
	if _, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{}); err == nil {
		body, err := readAll(t.Context(), s, "key")
		t.Fatalf("completed: %d bytes, %v", len(body), err)
	}
	if !strings.Contains(strings.Join(told, "\n"), "part 1 of upload "+name.ID) {
		t.Errorf("told %q", told)
	}
	for i, body := range [][]byte{one, two} {
		p, err := s.PutPart(t.Context(), name, i+1, bytes.NewReader(body), object.PartOptions{})
		if err != nil || p.ETag() != refs[i].ETag {
			t.Fatal(p, err)
		}
	}
	if _, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, s, "key"), slices.Concat(one, two)) {
		t.Error("the object has other bytes than its parts")
	}
	checkClean(t, d)
	closed(t, d)
	bare(t, dir)
}
