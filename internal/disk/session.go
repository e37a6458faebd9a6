package disk

import (
	"context"
	"errors"
	"fmt"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// errClosed is returned for the use of a session that is closed or has failed.
var errClosed = errors.New("session is closed")

// A session looks for known chunks also in the xorbs that it has staged, the newest ones, so that an upload of any length takes
// bounded memory: some 90 bytes for each chunk. rememberAll is how many chunks of those all sessions know together, rememberEach how
// many each may know whatever the others do.
const (
	rememberAll  = 512 << 10
	rememberEach = 4 << 10
)

// session implements object.Session.
type session struct {
	d   *Driver
	pin *pin
	err error // the first failure, or errClosed

	open   *xorbWriter         // the xorb in the making
	staged []*stagedXorb       // in the order of staging
	byHash map[xet.Hash]int    // the last of that hash in staged
	bodies int64               // bytes of those that are kept in memory,
	most   int64               // and how many that may be
	places map[uint64]staged64 // chunks of the staged xorbs from oldest on, by the first 64 bits of their hashes
	oldest int                 // before it, xorbs with files of their own are forgotten
	chunks int                 // in staged xorbs that are not forgotten; counted in Driver.remembered
	files  map[xet.Hash]xet.Reconstruction
	whole  map[xet.Hash]bool // files that were stored, and not damaged, when the last commit began

	rows map[int64]*xorbRef // rows that this session has read lately; nil is one that must not be referred to
	last *xorbRef           // where the chunk before was found,
	next int                // and the index behind it

	used, proved int64 // bytes of known chunks, about, and of xorbs that were read to know that they can be
}

// bodyBytes is how much of staged xorbs an upload's session keeps in memory for the pack; what comes after gets files of its own. There
// is more than one only where 500 MiB compress to less than packLimit.
const bodyBytes = 2 << 20

// rowsKept is how many rows a session remembers.
const rowsKept = 256

// staged64 is a chunk in a staged xorb.
type staged64 struct {
	xorb  int // in session.staged
	index uint32
}

// stagedXorb is a xorb that is written but that no row names yet.
type stagedXorb struct {
	hash   xet.Hash
	chunks int
	raw    int64         // bytes of the chunks, not compressed
	info   *xet.XorbInfo // nil once forgotten
	body   []byte        // whole xorb, when it is small enough for a pack
	at     place         // where it lies; for a small one once it is appended
	own    bool          // it lies in a file of its own
	done   <-chan error  // of making the own file durable; nil when waited for
	err    error         // that came of it
	row    bool          // a commit gave it a row
	idle   bool          // all files that need it are stored already
}

var _ object.Session = (*session)(nil)

// Begin implements object.Contents.
func (d *Driver) Begin(ctx context.Context) (object.Session, error) {
	if err := live(ctx); err != nil {
		return nil, err
	}
	return &session{d: d, pin: d.proc.pin(), most: bodyBytes}, nil
}

// ready returns why the session cannot go on, if it cannot.
func (s *session) ready(ctx context.Context) error {
	if s.err == nil {
		s.err = live(ctx)
	}
	return s.err
}

// Known implements object.Session.
func (s *session) Known(ctx context.Context, chunks []xet.Hash, places []object.Place) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if len(places) != len(chunks) {
		s.err = fmt.Errorf("%d places for %d chunks", len(places), len(chunks))
		return s.err
	}
	for i, h := range chunks {
		places[i] = s.known(ctx, h)
	}
	return nil
}

// known answers with the zero Place also when it cannot tell, because something could not be read: the chunk is stored anew
// then.
func (s *session) known(ctx context.Context, h xet.Hash) object.Place {
	if s.last != nil && s.next < len(s.last.info.Chunks) && s.last.info.Chunks[s.next].Hash == h && s.sounds(ctx, s.last, s.next) {
		s.next++
		return object.Place{Xorb: s.last.info.Hash, Index: uint32(s.next - 1)}
	}
	if at, ok := s.places[h.Truncated()]; ok {
		if x := s.staged[at.xorb]; x.info != nil && x.info.Chunks[at.index].Hash == h {
			return object.Place{Xorb: x.hash, Index: at.index}
		}
	}
	at, ok := s.d.index.lookup(ctx, h.Truncated())
	if !ok {
		return object.Place{}
	}
	id, n := at.split()
	ref := s.row(ctx, id)
	if ref == nil || n >= len(ref.info.Chunks) || ref.info.Chunks[n].Hash != h {
		return object.Place{}
	}
	if !s.sounds(ctx, ref, n) {
		s.rows[id], s.last = nil, nil // nothing of it counts any more
		return object.Place{}
	}
	s.last, s.next = ref, n+1
	return object.Place{Xorb: ref.info.Hash, Index: uint32(n)}
}

// row returns the xorb of a row that may be referred to; nil when it may not.
func (s *session) row(ctx context.Context, id int64) *xorbRef {
	ref, seen := s.rows[id]
	if seen {
		return ref
	}
	ref, err := s.d.xorbByID(ctx, id)
	if err != nil {
		ref = nil
	}
	if s.rows == nil || len(s.rows) >= rowsKept {
		s.rows = make(map[int64]*xorbRef)
	}
	s.rows[id] = ref
	return ref
}

// NewXorb implements object.Session.
func (s *session) NewXorb(ctx context.Context) (object.Xorb, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
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
		s.places, s.byHash = make(map[uint64]staged64), make(map[xet.Hash]int)
	}
	n := len(s.staged)
	s.staged = append(s.staged, x)
	s.byHash[x.hash] = n
	s.bodies += int64(len(x.body))
	for i, c := range x.info.Chunks {
		s.places[c.Hash.Truncated()] = staged64{n, uint32(i)}
	}
	s.remember(len(x.info.Chunks))
	for ; s.oldest < n && s.chunks > rememberEach && s.d.remembered.Load() > s.d.mayRemember; s.oldest++ {
		s.forget(s.oldest)
	}
}

// remember counts chunks that are remembered from now on, or no more.
func (s *session) remember(chunks int) {
	s.chunks += chunks
	s.d.remembered.Add(int64(chunks))
}

// forget drops what is remembered of the chunks of a staged xorb, but only if it lies in a file of its own, where its
// footer can be read again.
func (s *session) forget(n int) {
	x := s.staged[n]
	if !x.own {
		return
	}
	s.remember(-len(x.info.Chunks))
	for _, c := range x.info.Chunks {
		if at, ok := s.places[c.Hash.Truncated()]; ok && at.xorb == n {
			delete(s.places, c.Hash.Truncated())
		}
	}
	x.info = nil
}

// PutFile implements object.Session.
func (s *session) PutFile(ctx context.Context, f xet.Reconstruction) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := object.CheckFile(f)
	if err == nil {
		err = s.checkTerms(ctx, f)
	}
	if err != nil {
		s.err = fmt.Errorf("stage file %s: %w", f.Hash, err)
		return s.err
	}
	if s.files == nil {
		s.files = make(map[xet.Hash]xet.Reconstruction)
	}
	s.files[f.Hash] = f
	return nil
}

// checkTerms returns an error unless the terms of a file name chunks that are stored or staged, and make that file.
func (s *session) checkTerms(ctx context.Context, f xet.Reconstruction) error {
	var sum uint64
	var tree xet.TreeHash
	var info *xet.XorbInfo // of the term before
	for _, t := range f.Terms {
		if info == nil || info.Hash != t.Xorb {
			var err error
			if info, err = s.shape(ctx, t.Xorb); err != nil {
				return err
			}
		}
		if err := fits(t, info); err != nil {
			return &object.InvalidError{Field: "file", Rule: err.Error()}
		}
		addTerm(&tree, t, info)
		sum += uint64(t.Bytes)
	}
	if got := tree.FileHash(); got != f.Hash || sum != f.Size {
		return &object.InvalidError{
			Field: "file", Rule: fmt.Sprintf("its terms make file %s of %d bytes, not %s of %d", got, sum, f.Hash, f.Size),
		}
	}
	return nil
}

// addTerm adds the chunks of a term that fits to the tree of its file.
func addTerm(tree *xet.TreeHash, t xet.Term, info *xet.XorbInfo) {
	for i := int(t.Range.Start); i < int(t.Range.End); i++ {
		start, end := info.Raw(i)
		tree.Add(info.Chunks[i].Hash, uint64(end-start))
	}
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
	if errors.Is(err, errNoXorb) {
		return nil, &object.InvalidError{Field: "file", Rule: fmt.Sprintf("xorb %s is neither stored nor staged", h)}
	}
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
	s.err = s.commit(ctx, &request{sess: s, changes: changes})
	return s.err
}

func (s *session) commit(ctx context.Context, r *request) error {
	if s.open != nil {
		return errors.New("commit with an open xorb")
	}
	for _, x := range s.staged {
		if err := x.wait(); err != nil {
			return err
		}
		x.idle = false
	}
	s.whole = nil // what was spared the commit before may be needed now
	if err := s.d.mayName(ctx, r); err != nil {
		return err
	}
	s.d.index.catchUp(ctx)
	return s.d.commit.submit(ctx, r)
}

// mayName refuses, before any bytes are appended for them, changes in buckets that do not exist, and parts of uploads that do
// not: attempts must not fill the disk. What it knows of a bucket can be out of date; the commit decides.
func (d *Driver) mayName(ctx context.Context, r *request) error {
	if r.sess.bodies == 0 {
		return nil
	}
	if r.part != nil {
		u, err := d.Upload(ctx, r.part.upload)
		if err == nil && u.Done != nil {
			err = object.ErrNoUpload
		}
		return err
	}
	for i, ch := range r.changes {
		if _, seen := d.buckets.Load(ch.Bucket); seen {
			continue
		}
		if _, _, err := d.bucket(ctx, ch.Bucket); err != nil {
			return &object.ChangeError{Index: i, Err: err}
		}
		d.buckets.Store(ch.Bucket, true)
	}
	return nil
}

// spare takes note of which files are stored already, and of what is not needed therefore.
func (s *session) spare(whole map[xet.Hash]bool) {
	s.whole = whole
	needed := make(map[xet.Hash]bool)
	for h, f := range s.files {
		if whole[h] {
			continue
		}
		for _, t := range f.Terms {
			needed[t.Xorb] = true
		}
	}
	for _, x := range s.staged {
		x.idle = !needed[x.hash]
	}
}

// forPack says whether the xorb has to be appended to a pack before a row can name it.
func (x *stagedXorb) forPack() bool { return !x.own && !x.idle && x.at.file == "" }

// wait waits until the xorb's own file is durable.
func (x *stagedXorb) wait() error {
	if x.done != nil {
		x.err = <-x.done
		x.done = nil
	}
	return x.err
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
			errs = append(errs, s.d.remove(x.at.file))
		}
	}
	if err := errors.Join(errs...); err != nil {
		s.d.litter.Store(true)
	}
	s.err = errClosed
	s.remember(-s.chunks)
	s.pin.release()
	s.staged, s.byHash, s.places, s.files, s.whole, s.rows, s.last = nil, nil, nil, nil, nil, nil, nil
	return errors.Join(errs...)
}

// find finds a staged xorb by hash; nil when there is none.
func (s *session) find(h xet.Hash) *stagedXorb {
	if n, ok := s.byHash[h]; ok {
		return s.staged[n]
	}
	return nil
}
