package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const (
	// checkReaders is how many xorbs are read and verified at once: one is hashed while another is read.
	checkReaders = 2
	// readWhole is up to which size a xorb is read at once.
	readWhole = 2 << 20
)

// xorbRow is the row of a xorb.
type xorbRow struct {
	id     int64
	hash   xet.Hash
	at     place
	chunks int64
	raw    int64
}

// wrong is an object.ErrCorrupt that names the xorb and its place.
func (x *xorbRow) wrong(format string, args ...any) error {
	return corrupt("xorb %s at %s+%d: %s", x.hash, x.at.file, x.at.off, fmt.Sprintf(format, args...))
}

// xorbColumns are those of parseXorb, behind the id.
const xorbColumns = "hash, file, off, len, chunks, raw"

func parseXorb(id int64, row []any) (x xorbRow, err error) {
	x.id = id
	if x.hash, err = hashColumn(row, 0); err != nil {
		return x, fmt.Errorf("row %d of xorbs: %w", id, err)
	}
	if x.at.file, err = column[string](row, 1, "a file's name"); err != nil {
		return x, fmt.Errorf("xorb %s: %w", x.hash, err)
	}
	for i, to := range []*int64{&x.at.off, &x.at.len, &x.chunks, &x.raw} {
		if *to, err = column[int64](row, 2+i, "a number"); err != nil {
			return x, fmt.Errorf("xorb %s: %w", x.hash, err)
		}
	}
	return x, nil
}

// checkXorbs looks at each xorb: at its row and its place, and unless it is to be quick at all of its bytes. Rows are in the
// order in which they came, and so are places.
func (c *checker) checkXorbs(ctx context.Context) error {
	rows, size, err := c.count(ctx, "xorbs", "len")
	if err != nil {
		return err
	}
	step := Step{Name: "reading content", Total: size, Bytes: true}
	if c.opts.Quick {
		step = Step{Name: "looking for content", Total: rows}
		if err := c.noted(ctx); err != nil {
			return err
		}
	}
	c.begin(step)
	g, gctx := errgroup.WithContext(ctx)
	jobs := make(chan xorbRow)
	var busy sync.WaitGroup // with jobs
	for range checkReaders {
		g.Go(func() error {
			r := newXorbReader(c)
			for x := range jobs {
				err := c.xorb(gctx, r, x)
				if c.opts.Quick {
					c.moved()
				}
				busy.Done()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	skipped, err := c.byID(gctx, "xorbs", xorbColumns, func(id int64, row []any) error {
		x, err := parseXorb(id, row)
		if err != nil {
			c.markBad(id, err)
			return nil
		}
		if c.full() {
			busy.Wait()
			if err := c.compareHints(gctx); err != nil {
				return err
			}
		}
		busy.Add(1)
		select {
		case jobs <- x:
			return nil
		case <-gctx.Done():
			busy.Done()
			return context.Cause(gctx)
		}
	})
	close(jobs)
	if gerr := g.Wait(); gerr != nil {
		err = gerr // it is the cause of err
	}
	if err == nil {
		err = c.compareHints(ctx)
	}
	if err != nil {
		return err
	}
	c.blind = skipped > 0
	if c.move(step.Total, 1); c.wrong > 0 {
		c.problem(Problem{What: fmt.Sprintf("index.db: %d of its rows lead to other chunks than they should (%s): "+
			"no key is hurt; delete index.db, and it is filled again", c.wrong, c.wrongWhat)})
	}
	return nil
}

// noted takes those for damaged that were found to be so by who read them.
func (c *checker) noted(ctx context.Context) error {
	for last := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := anyRows(brief(ctx), c.db, `SELECT d.xorb, x.hash FROM damaged d JOIN xorbs x ON x.id = d.xorb
			WHERE d.xorb > ? ORDER BY d.xorb LIMIT ?`, last, checkPage)
		if errors.Is(err, object.ErrCorrupt) || err == nil && len(page) == 0 {
			return nil // what is damaged of the catalog is reported elsewhere
		}
		if err != nil {
			return err
		}
		for _, row := range page {
			last, _ = row[0].(int64) // SQLite knows no other ids
			h, _ := hashColumn(row, 1)
			c.markBad(last, corrupt("xorb %s: it was noted that it cannot be read", h))
		}
	}
}

// markBad reports a xorb that is not whole.
func (c *checker) markBad(id int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.Xorbs++
	c.bad[id] = err
	c.problemLocked(Problem{What: err.Error()})
}

// xorb looks at a xorb, and if something is wrong looks again: others may have stored it anew meanwhile, in another place.
func (c *checker) xorb(ctx context.Context, r *xorbReader, x xorbRow) error {
	c.mu.Lock()
	_, known := c.bad[x.id]
	c.mu.Unlock()
	if known {
		return nil
	}
	info, err := r.look(ctx, x)
	if errors.Is(err, object.ErrCorrupt) {
		page, rerr := anyRows(brief(ctx), c.db, `SELECT `+xorbColumns+` FROM xorbs WHERE id = ?`, x.id)
		switch {
		case fatal(rerr):
			return rerr
		case rerr == nil && len(page) == 0:
			return nil // nothing takes it away while Check is at work; but then it is not there to be damaged
		case rerr == nil:
			if x, err = parseXorb(x.id, page[0]); err == nil {
				info, err = r.look(ctx, x)
			}
		}
	}
	if fatal(err) {
		return err
	}
	if err != nil {
		c.markBad(x.id, err)
		return nil
	}
	if info != nil && (x.chunks != int64(len(info.Chunks)) || x.raw != info.RawSize()) {
		c.problem(Problem{What: fmt.Sprintf("catalog.db: xorb %s has %d chunks of %d bytes by its row, %d of %d by its footer",
			x.hash, x.chunks, x.raw, len(info.Chunks), info.RawSize())})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.Xorbs++
	c.whole.add(x.id)
	if info == nil {
		return nil
	}
	c.seen.put(&seenXorb{xorbRow: x, info: info})
	if c.hints != nil {
		c.chunks.add(x.id, info)
	}
	return nil
}

// xorbReader looks at one xorb after the other.
type xorbReader struct {
	c      *checker
	buf    []byte
	stream *bufio.Reader
	// name and size are of the file that was asked for last: many xorbs lie in one pack.
	name string
	size int64
}

func newXorbReader(c *checker) *xorbReader {
	return &xorbReader{c: c, stream: bufio.NewReaderSize(nil, readAhead)}
}

// look returns an object.ErrCorrupt when a xorb is not what and where its row says. It returns what it has read of it.
func (r *xorbReader) look(ctx context.Context, x xorbRow) (*xet.XorbInfo, error) {
	switch {
	case x.at.off < 0 || x.at.len <= 0:
		return nil, x.wrong("it has %d bytes there", x.at.len)
	case !r.c.opts.Quick:
		return r.verify(ctx, x)
	case r.name == x.at.file && x.at.off+x.at.len <= r.size:
		return nil, nil //nolint:nilnil // nothing was read
	}
	size, err := r.c.d.fs.size(x.at.file)
	if err != nil {
		return nil, damaged(x.hash, x.at, err)
	}
	r.name, r.size = x.at.file, size
	if x.at.off+x.at.len > size {
		return nil, x.wrong("it has %d bytes, its file ends at %d", x.at.len, size)
	}
	return nil, nil //nolint:nilnil // nothing was read
}

// verify reads a whole xorb and compares each chunk with the footer.
func (r *xorbReader) verify(ctx context.Context, x xorbRow) (*xet.XorbInfo, error) {
	f, err := r.c.files.open(x.at.file)
	if err != nil {
		return nil, damaged(x.hash, x.at, err)
	}
	defer f.release()
	var src io.ReaderAt = io.NewSectionReader(checkedFile{ctx, r.c, f}, x.at.off, x.at.len)
	if x.at.len <= readWhole {
		r.buf = slices.Grow(r.buf[:0], int(x.at.len))[:x.at.len]
		if _, err := src.ReadAt(r.buf, 0); err != nil && !errors.Is(err, io.EOF) {
			return nil, damaged(x.hash, x.at, err)
		} else if err != nil {
			return nil, damaged(x.hash, x.at, io.ErrUnexpectedEOF)
		}
		src = bytes.NewReader(r.buf)
	}
	info, err := xet.ReadXorbInfo(src, x.at.len)
	if err != nil {
		return nil, damaged(x.hash, x.at, err)
	}
	if info.Hash != x.hash {
		return nil, x.wrong("there is xorb %s", info.Hash)
	}
	r.stream.Reset(io.NewSectionReader(src, 0, info.BodySize()))
	if err := hasChunks(r.stream, info); err != nil {
		return nil, damaged(x.hash, x.at, err)
	}
	return info, nil
}

// checkedFile is a file whose bytes are counted as they are read, and not read too fast.
type checkedFile struct {
	ctx context.Context //nolint:containedctx // io.ReaderAt has none; it lives for one xorb
	c   *checker
	f   io.ReaderAt
}

func (f checkedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.c.limit.wait(f.ctx, len(p)); err != nil {
		return 0, err
	}
	n, err := f.f.ReadAt(p, off)
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.c.done.Bytes += int64(n)
	if f.c.step.Bytes {
		f.c.moveLocked(f.c.done.Bytes, tellEvery)
	}
	return n, err
}

// seenXorb is a xorb that is whole: its row, and its footer unless the check is quick.
type seenXorb struct {
	xorbRow
	info  *xet.XorbInfo
	found bool // by its hash, as readers do
}

// seenXorbs are some of those, by hash. What is in it was true once; it takes no more than xorbCacheBytes, or so.
type seenXorbs struct {
	byHash map[xet.Hash]*seenXorb
	bytes  int
}

func (s *seenXorbs) put(x *seenXorb) {
	if s.byHash == nil || s.bytes > xorbCacheBytes {
		s.byHash, s.bytes = make(map[xet.Hash]*seenXorb), 0
	}
	s.byHash[x.hash] = x
	s.bytes += 400
	if x.info != nil {
		s.bytes += 40 * len(x.info.Chunks)
	}
}

// xorbOf finds a xorb that a file refers to, by hash, as a reader does. An object.ErrCorrupt says that it is missing or damaged,
// errLacking that this was reported.
func (c *checker) xorbOf(ctx context.Context, h xet.Hash) (*seenXorb, error) {
	seen := c.seen.byHash[h]
	if seen != nil && seen.found {
		return seen, nil
	}
	rows, err := c.byHash.QueryContext(brief(ctx), h[:])
	if err != nil {
		return nil, sqlError(err)
	}
	page, err := scanAny(rows)
	if err != nil {
		return nil, err
	}
	if len(page) == 0 {
		return nil, errNoXorb
	}
	id, _ := page[0][0].(int64) // SQLite knows no other ids
	x, err := parseXorb(id, page[0][1:])
	if err != nil {
		return nil, err
	}
	if c.reader == nil {
		c.reader = newXorbReader(c)
	}
	r := c.reader
	if !c.whole.has(id) { // it came after all were looked at
		if err := c.xorb(ctx, r, x); err != nil {
			return nil, err
		}
	}
	if !c.whole.has(id) {
		return nil, errLacking
	}
	if seen = c.seen.byHash[h]; seen != nil && seen.id == id {
		seen.found = true
		return seen, nil
	}
	seen = &seenXorb{xorbRow: x, found: true}
	if !c.opts.Quick {
		if seen.info, err = r.footer(ctx, x); err != nil {
			return nil, err
		}
	}
	c.seen.put(seen)
	return seen, nil
}

// footer reads the footer of a xorb that was verified.
func (r *xorbReader) footer(ctx context.Context, x xorbRow) (*xet.XorbInfo, error) {
	f, err := r.c.files.open(x.at.file)
	if err != nil {
		return nil, damaged(x.hash, x.at, err)
	}
	defer f.release()
	info, err := xet.ReadXorbInfo(io.NewSectionReader(checkedFile{ctx, r.c, f}, x.at.off, x.at.len), x.at.len)
	if err != nil {
		return nil, damaged(x.hash, x.at, err)
	}
	if info.Hash != x.hash {
		return nil, x.wrong("there is xorb %s", info.Hash)
	}
	return info, nil
}

// errLacking is the error of a file whose xorb was reported already.
var errLacking = fmt.Errorf("%w, or missing", object.ErrCorrupt)
