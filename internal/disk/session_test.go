package disk

import (
	"errors"
	"fmt"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// hogChunks is how many chunks a hog stages in a xorb: more bytes than go into a pack.
const hogChunks = rememberEach / 2

// hog is a session that stages one xorb after the other.
type hog struct {
	*session
	t      *testing.T
	id     int
	chunks []xet.Chunk
	terms  []xet.Term
}

func newHog(t *testing.T, d *Driver, id int) *hog {
	t.Helper()
	s, err := d.Begin(t.Context())
	ours, ok := s.(*session)
	if err != nil || !ok {
		t.Fatal(err)
	}
	return &hog{session: ours, t: t, id: id}
}

func (h *hog) stage() {
	h.t.Helper()
	x, err := h.NewXorb(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	term := xet.Term{Range: xet.Range{End: hogChunks}}
	for range hogChunks {
		raw := randomBytes(600, uint64(h.id<<32|len(h.chunks)))
		c := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
		if err := x.Add(h.t.Context(), c, xet.AppendRecord(nil, raw, xet.SchemeNone)); err != nil {
			h.t.Fatal(err)
		}
		h.chunks = append(h.chunks, c)
		term.Bytes += c.Size
	}
	if term.Xorb, err = x.Close(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.terms = append(h.terms, term)
}

// knows says of a chunk whether the session knows where it is.
func (h *hog) knows(c xet.Chunk) bool {
	h.t.Helper()
	places := make([]object.Place, 1)
	if err := h.Known(h.t.Context(), []xet.Hash{c.Hash}, places); err != nil {
		h.t.Fatal(err)
	}
	return places[0] != object.Place{}
}

// commit makes a file of all that was staged.
func (h *hog) commit() {
	h.t.Helper()
	f := xet.Reconstruction{Hash: xet.FileHash(h.chunks), Terms: h.terms}
	for _, t := range h.terms {
		f.Size += uint64(t.Bytes)
	}
	info := &object.Info{
		Bucket: "bucket", Key: fmt.Sprint(h.id), Size: int64(f.Size), File: f.Hash, ETag: object.ETagOf(nil, f.Hash),
	}
	err := h.PutFile(h.t.Context(), f)
	if err == nil {
		err = h.Commit(h.t.Context(), []object.Change{{Bucket: info.Bucket, Key: info.Key, New: info}})
	}
	if err := errors.Join(err, h.Close()); err != nil {
		h.t.Fatal(err)
	}
}

// TestSessionsRememberSoMuchTogether lets two sessions stage more than they may remember: each knows its newest chunks, and not its
// oldest, which are stored all the same.
func TestSessionsRememberSoMuchTogether(t *testing.T) {
	d := openTest(t, t.TempDir()) // checks at the end
	d.mayRemember = rememberEach
	if err := object.New(d, object.Config{}).CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	hogs := []*hog{newHog(t, d, 0), newHog(t, d, 1)}
	for range 5 {
		for _, h := range hogs {
			h.stage()
		}
	}
	for _, h := range hogs {
		if h.knows(h.chunks[0]) || !h.knows(h.chunks[len(h.chunks)-1]) {
			t.Error("the oldest chunk is known, or the newest is not")
		}
		if h.session.chunks > rememberEach || len(h.places) != h.session.chunks {
			t.Errorf("%d chunks are remembered, %d places", h.session.chunks, len(h.places))
		}
	}
	if got := d.remembered.Load(); got != 2*rememberEach {
		t.Errorf("%d chunks are counted", got)
	}
	for _, h := range hogs {
		h.commit()
	}
	if got := d.remembered.Load(); got != 0 {
		t.Errorf("%d chunks are counted at the end", got)
	}
}

// TestOneSessionRemembersMore: what others do not need is for who has a large upload.
func TestOneSessionRemembersMore(t *testing.T) {
	h := newHog(t, openTest(t, t.TempDir()), 0)
	for range 5 {
		h.stage()
	}
	if !h.knows(h.chunks[0]) {
		t.Error("the oldest chunk is not known")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
