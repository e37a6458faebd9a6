package disk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// errClosed is returned for the use of a session that is closed or has failed.
var errClosed = errors.New("session is closed")

// remembered is how many staged xorbs a session looks for known chunks in: the newest ones, so that an upload of any
// length takes bounded memory.
const remembered = 32

// session implements object.Session.
type session struct {
	d   *Driver
	pin *pin
	err error // the first failure, or errClosed

	open   *xorbWriter         // the xorb in the making
	staged []*stagedXorb       // in the order of staging
	places map[uint64]staged64 // chunks of the last remembered staged xorbs, by the first 64 bits of their hashes
	files  map[xet.Hash]xet.Reconstruction

	rows map[int64]*xorbRef // xorbs whose rows this session has seen undoomed; nil: seen missing or doomed
	last *xorbRef           // where the chunk before was found,
	next int                // and the index behind it
}

// staged64 is a chunk in a staged xorb.
type staged64 struct {
	xorb  int // in session.staged
	index uint32
}

// stagedXorb is a xorb that is written but that no row names yet.
type stagedXorb struct {
	hash xet.Hash
	info *xet.XorbInfo // nil once forgotten
	body []byte        // whole xorb, when it is small enough for a pack
	at   place         // where it lies; for a small one once it is appended
	own  bool          // it lies in a file of its own
	done <-chan error  // of making the own file durable; nil when waited for
	row  bool          // a commit gave it a row
}

var _ object.Session = (*session)(nil)

// Begin implements object.Contents.
func (d *Driver) Begin(context.Context) (object.Session, error) {
	return &session{d: d, pin: d.proc.pin()}, nil
}

// Known implements object.Session.
func (s *session) Known(ctx context.Context, chunks []xet.Hash, places []object.Place) error {
	if s.err != nil {
		return s.err
	}
	if len(places) != len(chunks) {
		s.err = fmt.Errorf("%d places for %d chunks", len(places), len(chunks))
		return s.err
	}
	for i, h := range chunks {
		p, err := s.known(ctx, h)
		if err != nil {
			s.err = err
			return err
		}
		places[i] = p
	}
	return nil
}

func (s *session) known(ctx context.Context, h xet.Hash) (object.Place, error) {
	if s.last != nil && s.next < len(s.last.info.Chunks) && s.last.info.Chunks[s.next].Hash == h {
		s.next++
		return object.Place{Xorb: s.last.info.Hash, Index: uint32(s.next - 1)}, nil
	}
	if at, ok := s.places[h.Truncated()]; ok {
		if x := s.staged[at.xorb]; x.info != nil && x.info.Chunks[at.index].Hash == h {
			return object.Place{Xorb: x.hash, Index: at.index}, nil
		}
	}
	loc, ok, err := s.d.index.lookup(ctx, h.Truncated())
	if err != nil || !ok {
		return object.Place{}, err
	}
	id, n := loc.split()
	ref, seen := s.rows[id]
	if !seen {
		if ref, err = s.d.xorbByID(ctx, id); err != nil {
			if !errors.Is(err, object.ErrCorrupt) {
				return object.Place{}, err
			}
			ref = nil // a damaged xorb knows nothing; its chunks are stored anew
		}
		if s.rows == nil {
			s.rows = make(map[int64]*xorbRef)
		}
		s.rows[id] = ref
	}
	if ref == nil || n >= len(ref.info.Chunks) || ref.info.Chunks[n].Hash != h {
		return object.Place{}, nil
	}
	s.last, s.next = ref, n+1
	return object.Place{Xorb: ref.info.Hash, Index: uint32(n)}, nil
}

// NewXorb implements object.Session.
func (s *session) NewXorb(context.Context) (object.Xorb, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.open != nil {
		s.err = errors.New("a xorb is open already")
		return nil, s.err
	}
	s.open = newXorbWriter(s)
	return s.open, nil
}

// stage takes over a finished xorb.
func (s *session) stage(x *stagedXorb) {
	s.open = nil
	if s.places == nil {
		s.places = make(map[uint64]staged64)
	}
	n := len(s.staged)
	s.staged = append(s.staged, x)
	for i, c := range x.info.Chunks {
		s.places[c.Hash.Truncated()] = staged64{n, uint32(i)}
	}
	if n >= remembered {
		s.forget(n - remembered)
	}
}

// forget drops what is remembered of the chunks of a staged xorb, but only if it lies in a file of its own, where its
// footer can be read again.
func (s *session) forget(n int) {
	x := s.staged[n]
	if !x.own {
		return
	}
	for _, c := range x.info.Chunks {
		if at, ok := s.places[c.Hash.Truncated()]; ok && at.xorb == n {
			delete(s.places, c.Hash.Truncated())
		}
	}
	x.info = nil
}

// PutFile implements object.Session.
func (s *session) PutFile(ctx context.Context, f xet.Reconstruction) error {
	if s.err != nil {
		return s.err
	}
	if err := s.checkTerms(ctx, f); err != nil {
		s.err = fmt.Errorf("stage file %s: %w", f.Hash, err)
		return s.err
	}
	if s.files == nil {
		s.files = make(map[xet.Hash]xet.Reconstruction)
	}
	s.files[f.Hash] = f
	return nil
}

// checkTerms returns an error unless the terms of a file name chunks that are stored or staged, and add up to its size.
func (s *session) checkTerms(ctx context.Context, f xet.Reconstruction) error {
	var sum uint64
	infos := make(map[xet.Hash]*xet.XorbInfo)
	for _, t := range f.Terms {
		sum += uint64(t.Bytes)
		info, seen := infos[t.Xorb]
		if !seen {
			var err error
			if info, err = s.shape(ctx, t.Xorb); err != nil {
				return err
			}
			infos[t.Xorb] = info
		}
		if err := fits(t, info); err != nil {
			return &object.InvalidError{Field: "file", Rule: err.Error()}
		}
	}
	if sum != f.Size {
		return &object.InvalidError{Field: "file", Rule: fmt.Sprintf("its terms have %d bytes, not %d", sum, f.Size)}
	}
	return nil
}

// shape returns what is in a xorb that is staged or stored.
func (s *session) shape(ctx context.Context, h xet.Hash) (*xet.XorbInfo, error) {
	if x := s.find(h); x != nil {
		if x.info != nil {
			return x.info, nil
		}
		if err := x.wait(); err != nil {
			return nil, err
		}
		return s.d.readFooter(h, x.at)
	}
	ref, err := s.d.xorb(ctx, h)
	if err != nil {
		return nil, err
	}
	return ref.info, nil
}

// Commit implements object.Session.
func (s *session) Commit(ctx context.Context, changes []object.Change) error {
	if s.err != nil {
		return s.err
	}
	if s.err = s.commit(ctx, changes); s.err != nil {
		return s.err
	}
	return nil
}

func (s *session) commit(ctx context.Context, changes []object.Change) error {
	if s.open != nil {
		return errors.New("commit with an open xorb")
	}
	for _, x := range s.staged {
		if err := x.wait(); err != nil {
			return err
		}
	}
	return s.d.commit.submit(ctx, &request{sess: s, changes: changes})
}

// wait waits until the xorb's own file is durable.
func (x *stagedXorb) wait() error {
	if x.done == nil {
		return nil
	}
	err := <-x.done
	x.done = nil
	return err
}

// Close implements object.Session. What was staged and got no row is removed, unless a commit may have given it one
// without our knowing: that is left to the sweep.
func (s *session) Close() error {
	if errors.Is(s.err, errClosed) {
		return nil
	}
	var errs []error
	if s.open != nil {
		errs = append(errs, s.open.abort())
	}
	unsure := errors.Is(s.err, errUnsure)
	for _, x := range s.staged {
		waited := x.wait()
		switch {
		case !x.own || x.row:
		case unsure || waited != nil:
			s.d.litter.Store(true)
		default:
			errs = append(errs, s.d.fs.remove(x.at.file))
		}
	}
	if err := errors.Join(errs...); err != nil {
		s.d.litter.Store(true)
	}
	s.err = errClosed
	s.pin.release()
	s.staged, s.places, s.files, s.rows, s.last = nil, nil, nil, nil, nil
	return errors.Join(errs...)
}

// find finds a staged xorb by hash; nil when there is none.
func (s *session) find(h xet.Hash) *stagedXorb {
	for _, x := range slices.Backward(s.staged) {
		if x.hash == h {
			return x
		}
	}
	return nil
}
