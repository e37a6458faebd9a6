package disk

import (
	"container/list"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// place is where a xorb lies.
type place struct {
	file string
	off  int64
	len  int64
}

// xorbRef is a stored xorb: its row and its proven footer.
type xorbRef struct {
	id    int64
	place place
	info  *xet.XorbInfo
}

// xorbCacheBytes bounds what the footers in memory take.
const xorbCacheBytes = 24 << 20

// xorbCache keeps stored xorbs that were used lately, by hash. It can be wrong about nothing but whether the file is still
// there: names are never reused. Whoever refers to a xorb in something new asks the catalog.
type xorbCache struct {
	mu    sync.Mutex
	refs  map[xet.Hash]*list.Element // of *xorbRef
	order *list.List                 // front is the last used
	bytes int
}

func newXorbCache() *xorbCache {
	return &xorbCache{refs: make(map[xet.Hash]*list.Element), order: list.New()}
}

func (r *xorbRef) cost() int { return 300 + 40*len(r.info.Chunks) }

func (c *xorbCache) get(h xet.Hash) *xorbRef {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.refs[h]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*xorbRef) //nolint:errcheck,forcetypeassert // the list holds nothing else
}

func (c *xorbCache) put(r *xorbRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(r.info.Hash)
	c.refs[r.info.Hash] = c.order.PushFront(r)
	c.bytes += r.cost()
	for c.bytes > xorbCacheBytes && c.order.Len() > 1 {
		c.removeLocked(c.order.Back().Value.(*xorbRef).info.Hash) //nolint:errcheck,forcetypeassert // as above
	}
}

func (c *xorbCache) drop(h xet.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(h)
}

func (c *xorbCache) removeLocked(h xet.Hash) {
	if e, ok := c.refs[h]; ok {
		c.bytes -= c.order.Remove(e).(*xorbRef).cost() //nolint:errcheck,forcetypeassert // as above
		delete(c.refs, h)
	}
}

// xorb returns a stored xorb by hash, from the cache or from the catalog and its footer.
func (d *Driver) xorb(ctx context.Context, h xet.Hash) (*xorbRef, error) {
	if ref := d.xorbs.get(h); ref != nil {
		return ref, nil
	}
	ref := &xorbRef{}
	err := d.reads.byHash.QueryRowContext(brief(ctx), h[:]).Scan(&ref.id, &ref.place.file, &ref.place.off, &ref.place.len)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: xorb %s", errNoXorb, h)
	}
	if err != nil {
		return nil, sqlError(err)
	}
	return d.proved(ctx, h, ref)
}

// errNoXorb is an ErrCorrupt where a stored file refers to the xorb.
var errNoXorb = fmt.Errorf("%w: no such row", object.ErrCorrupt)

// proved reads the footer of a xorb whose row was read, and caches both.
func (d *Driver) proved(ctx context.Context, h xet.Hash, ref *xorbRef) (*xorbRef, error) {
	var err error
	if ref.info, err = d.readFooter(h, ref.place); err != nil {
		d.noteDamage(ctx, h, err)
		return nil, err
	}
	d.xorbs.put(ref)
	return ref, nil
}

// noteDamage writes down that a xorb could not be read, when that is what err says. Its chunks do not count as known from
// then on, so that whoever stores them again mends it.
func (d *Driver) noteDamage(ctx context.Context, h xet.Hash, err error) {
	d.note(ctx, h, err, `SELECT id FROM xorbs WHERE hash = ?`, h[:])
}

// noteDamageAt is noteDamage of a xorb that somebody may have stored elsewhere since.
func (d *Driver) noteDamageAt(ctx context.Context, h xet.Hash, at place, err error) {
	d.note(ctx, h, err, `SELECT id FROM xorbs WHERE hash = ? AND file = ? AND off = ?`, h[:], at.file, at.off)
}

func (d *Driver) note(ctx context.Context, h xet.Hash, err error, which string, args ...any) {
	if !errors.Is(err, object.ErrCorrupt) {
		return
	}
	if _, noted := d.damaged.LoadOrStore(h, true); noted {
		return
	}
	d.xorbs.drop(h)
	terr := d.commit.tx(context.WithoutCancel(ctx), func(ctx context.Context) error {
		_, err := d.commit.conn.ExecContext(ctx,
			`INSERT INTO damaged `+which+` ON CONFLICT (xorb) DO NOTHING`, args...)
		return err
	})
	if terr != nil {
		d.damaged.Delete(h) // the next one who meets it tries again
	}
	keys, _ := d.hurtBy(context.WithoutCancel(ctx), h) // err is what matters
	d.warn(Problem{What: err.Error(), Keys: keys}.String())
}

// xorbByID returns the xorb of a row that is not doomed, read anew; nil when there is none.
func (d *Driver) xorbByID(ctx context.Context, id int64) (*xorbRef, error) {
	ref := &xorbRef{id: id}
	var hash []byte
	err := d.reads.byID.QueryRowContext(brief(ctx), id).Scan(&hash, &ref.place.file, &ref.place.off, &ref.place.len)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // no such xorb is an answer, not an error
	}
	if err != nil {
		return nil, sqlError(err)
	}
	h, err := hashOf(hash)
	if err != nil {
		return nil, fmt.Errorf("xorb row %d: %w", id, err)
	}
	if cached := d.xorbs.get(h); cached != nil && cached.id == id {
		return cached, nil
	}
	return d.proved(ctx, h, ref)
}

// hashOf is the hash in a column.
func hashOf(column []byte) (h xet.Hash, err error) {
	if len(column) != len(h) {
		return h, fmt.Errorf("%w: hash of %d bytes", object.ErrCorrupt, len(column))
	}
	return xet.Hash(column), nil
}

// readFooter reads and proves the footer of the xorb at a place.
func (d *Driver) readFooter(h xet.Hash, at place) (*xet.XorbInfo, error) {
	f, err := d.files.open(at.file)
	if err != nil {
		return nil, damaged(h, at, err)
	}
	defer f.release()
	info, err := xet.ReadXorbInfo(io.NewSectionReader(f, at.off, at.len), at.len)
	if err != nil {
		return nil, damaged(h, at, err)
	}
	if info.Hash != h {
		return nil, damaged(h, at, fmt.Errorf("it holds xorb %s: %w", info.Hash, xet.ErrHash))
	}
	return info, nil
}

// verifyXorb reads a whole xorb and compares each chunk with the footer.
func (d *Driver) verifyXorb(h xet.Hash, at place) error {
	info, err := d.readFooter(h, at)
	if err != nil {
		return err
	}
	f, err := d.files.open(at.file)
	if err != nil {
		return damaged(h, at, err)
	}
	defer f.release()
	if err := hasChunks(io.NewSectionReader(f, at.off, info.BodySize()), info); err != nil {
		return damaged(h, at, err)
	}
	return nil
}

// hasChunks reads the body of a xorb, and returns an error unless it has the chunks that the footer says.
func hasChunks(body io.Reader, info *xet.XorbInfo) error {
	scanned, err := xet.ScanXorb(body, nil)
	if err == nil && !slices.Equal(scanned.Chunks, info.Chunks) {
		err = fmt.Errorf("its chunks are not what its footer says: %w", xet.ErrHash)
	}
	return err
}

// warnKeys is how many damaged keys a warning names.
const warnKeys = 10

// damaged says that a xorb cannot be read where its row says it lies.
func damaged(h xet.Hash, at place, err error) error {
	where := fmt.Sprintf("xorb %s at %s+%d", h, at.file, at.off)
	for _, is := range []error{
		xet.ErrFormat, xet.ErrHash, xet.ErrTooLarge, xet.ErrVersion, io.EOF, io.ErrUnexpectedEOF, object.ErrCorrupt,
		unix.EIO, unix.EBADMSG, unix.EUCLEAN, // a bad sector, or what a file system that has checksums says of one
	} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w: %s: %v", object.ErrCorrupt, where, err) //nolint:errorlint // io.EOF would be taken for the end
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: no such file", object.ErrCorrupt, where) // fs.ErrNotExist would speak of a key
	}
	return fmt.Errorf("read %s: %w", where, ioError(err))
}

// hurtByHash asks for the first keys that a xorb hurts, by the xorb's hash, and behind them for the parts of uploads.
const hurtByHash = `SELECT b.name, k.key, '' FROM xorbs x JOIN refs r ON r.xorb = x.id JOIN keys k ON k.file = r.file
		JOIN buckets b ON b.id = k.bucket WHERE x.hash = ?1
	UNION ALL SELECT b.name, u.key, ' (part ' || p.number || ' of upload ' || u.id || ')' FROM xorbs x
		JOIN refs r ON r.xorb = x.id JOIN parts p ON p.file = r.file JOIN uploads u ON u.id = p.upload
		JOIN buckets b ON b.id = u.bucket WHERE x.hash = ?1 LIMIT ?2`

// hurtBy returns the first keys that a damaged xorb hurts, as bucket/key, and of uploads under way the parts.
func (d *Driver) hurtBy(ctx context.Context, h xet.Hash) (keys []string, err error) {
	rows, err := anyRows(ctx, d.reads.db, hurtByHash, h[:], warnKeys)
	for _, r := range rows {
		keys = append(keys, fmt.Sprintf("%s/%s%s", r[0], r[1], r[2]))
	}
	return keys, err
}
