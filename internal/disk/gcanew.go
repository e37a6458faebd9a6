package disk

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// storedXorb is a row of xorbs.
type storedXorb struct {
	id     int64
	hash   xet.Hash
	at     place
	chunks int
}

func scanStored(rows *sql.Rows) (x storedXorb, err error) {
	var hash []byte
	if err := rows.Scan(&x.id, &hash, &x.at.file, &x.at.off, &x.at.len, &x.chunks); err != nil {
		return x, err
	}
	x.hash, err = hashOf(hash)
	return x, err
}

const storedColumns = `SELECT id, hash, file, off, len, chunks FROM xorbs `

// mover stores xorbs anew: as they are, or in other records. It uses the ways of an upload: large ones get files of their own,
// small ones are appended to the pack of this process.
type mover struct {
	c    *collector
	sess *session
	jobs []moverJob
	left map[string]bool // files that xorbs are moved out of
	size int64
}

// moverJob is what a staged xorb is for.
type moverJob struct {
	rows func(ctx context.Context) (used bool, err error) // in the transaction; not used is what is there already
	used bool
	done func() // after it, when it was used
}

// moverBytes and moverJobs bound what one transaction moves.
const (
	moverBytes = 4 << 20
	moverJobs  = 256
)

func (c *collector) newMover() *mover { return &mover{c: c, left: make(map[string]bool)} }

// session returns the session that stages what is moved next.
func (m *mover) session(ctx context.Context) (*session, error) {
	if m.sess == nil {
		s, err := m.c.d.Begin(ctx)
		if err != nil {
			return nil, err
		}
		m.sess = s.(*session)                //nolint:errcheck,forcetypeassert // Begin makes no other
		m.sess.most = moverBytes + packLimit // all that is small goes into packs again
	}
	return m.sess, nil
}

// add takes over a staged xorb, and what is to be written in the transaction that makes it count, and done after it.
func (m *mover) add(ctx context.Context, x *stagedXorb, rows func(ctx context.Context, at place) (used bool, err error), done func()) error {
	m.jobs = append(m.jobs, moverJob{
		rows: func(ctx context.Context) (bool, error) { return rows(ctx, x.at) }, done: done,
	})
	m.size += max(x.at.len, int64(len(x.body)))
	if m.size < moverBytes && len(m.jobs) < moverJobs && !x.own {
		return nil
	}
	return m.flush(ctx)
}

// flush makes what was staged durable, and then its rows.
func (m *mover) flush(ctx context.Context) (err error) {
	if m.sess == nil {
		return nil
	}
	s, jobs, size := m.sess, m.jobs, m.size
	m.sess, m.jobs, m.size = nil, nil, 0
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, x := range s.staged {
		if err := x.wait(); err != nil {
			return err
		}
	}
	start := time.Now()
	err = m.c.d.commit.submit(ctx, &request{sess: s, rows: func(ctx context.Context) error {
		for i := range jobs {
			var err error
			if jobs[i].used, err = jobs[i].rows(ctx); err != nil {
				return err
			}
		}
		for file := range m.left {
			if err := m.c.emptied(ctx, file, 1); err != nil { // places in it may be known to many
				return err
			}
		}
		return nil
	}})
	clear(m.left)
	if err != nil {
		s.err = err // Close must know whether it may have lasted
		return err
	}
	for i, x := range s.staged {
		if x.row = jobs[i].used; x.row { // else Close removes its file
			jobs[i].done()
		}
	}
	m.c.out.Rewritten += size
	m.c.out.Freed -= size
	return pause(ctx, time.Since(start)) // to give way, as slicesOf does
}

// close gives up what was not flushed.
func (m *mover) close() error {
	if m.sess == nil {
		return nil
	}
	return m.sess.Close()
}

// moving runs f with a mover, and flushes it. A lack of room ends it well.
func (c *collector) moving(ctx context.Context, f func(m *mover) error) (err error) {
	m := c.newMover()
	defer func() { err = errors.Join(err, m.close()) }()
	err = f(m)
	if err == nil {
		err = m.flush(ctx)
	}
	return c.roomFor(err)
}

// readRecords calls f for the records of some chunks of a stored xorb, in order, each with its chunk, verified. An error of
// reading is noted as damage and is an errUnreadable: such a xorb stays as it is.
func (c *collector) readRecords(ctx context.Context, x storedXorb, want func(i int) bool, f func(chunk xet.Chunk, record, raw []byte) error) error {
	bad := func(err error) error {
		err = damaged(x.hash, x.at, err)
		c.d.noteDamageAt(ctx, x.hash, x.at, err)
		if errors.Is(err, object.ErrCorrupt) {
			return errUnreadable
		}
		return err
	}
	info, err := c.d.readFooter(x.hash, x.at)
	if err != nil {
		c.d.noteDamageAt(ctx, x.hash, x.at, err)
		if errors.Is(err, object.ErrCorrupt) {
			return errUnreadable
		}
		return err
	}
	file, err := c.d.files.open(x.at.file)
	if err != nil {
		return bad(err)
	}
	defer file.release()
	var s chunkScratch
	for i := range info.Chunks {
		if !want(i) {
			continue
		}
		if err := live(ctx); err != nil {
			return err
		}
		raw, err := s.read(file, x.at, info, i)
		if err != nil {
			return bad(err)
		}
		if err := f(info.Chunk(i), s.record, raw); err != nil {
			return err
		}
	}
	return nil
}

// errUnreadable is the error of a xorb that is damaged: whoever stores its content again mends it.
var errUnreadable = errors.New("xorb is damaged")

// stage stages what f adds to a new xorb.
func (m *mover) stage(ctx context.Context, f func(w object.Xorb) error) (*stagedXorb, error) {
	s, err := m.session(ctx)
	if err != nil {
		return nil, err
	}
	w, err := s.NewXorb(ctx)
	if err != nil {
		return nil, err
	}
	if err := f(w); err != nil {
		aerr := s.open.abort()
		s.open = nil
		return nil, errors.Join(err, aerr)
	}
	if _, err := w.Close(ctx); err != nil {
		return nil, err
	}
	return s.staged[len(s.staged)-1], nil
}

func every(int) bool { return true }

// copyTo stages a xorb as it is, or with smaller records.
func (c *collector) copyTo(ctx context.Context, m *mover, x storedXorb, smaller bool) (*stagedXorb, error) {
	return m.stage(ctx, func(w object.Xorb) error {
		var small, decoded []byte
		return c.readRecords(ctx, x, every, func(chunk xet.Chunk, record, raw []byte) error {
			if smaller {
				if small = xet.AppendSmallRecord(small[:0], raw); len(small) < len(record) {
					var err error
					if decoded, err = isRecordOf(decoded, small, raw); err != nil {
						return err
					}
					record = small
				}
			}
			return w.Add(ctx, chunk, record)
		})
	})
}

// move gives a xorb the place where it was stored anew, unless it lies elsewhere by now.
func (c *collector) move(ctx context.Context, m *mover, x storedXorb, staged *stagedXorb, packed bool) error {
	rows := func(ctx context.Context, at place) (bool, error) {
		m.left[x.at.file] = true
		res, err := c.d.commit.conn.ExecContext(ctx, `UPDATE xorbs SET file = ?, off = ?, len = ?, packed = max(packed, ?)
			WHERE id = ? AND file = ? AND off = ?`, at.file, at.off, at.len, packed, x.id, x.at.file, x.at.off)
		if err != nil {
			return false, err
		}
		n, err := res.RowsAffected()
		return n > 0, err
	}
	return m.add(ctx, staged, rows, func() {
		c.d.xorbs.drop(x.hash)
		if staged.info != nil {
			c.d.index.add(x.id, staged.info) // reindex goes by who made the file
		}
	})
}

// repack stores anew what lives in packs of which less than opts.Live does.
func (c *collector) repack(ctx context.Context) error {
	ended, err := c.endedPacks(ctx) // before: nothing comes into them any more
	if err != nil {
		return err
	}
	lives, err := c.packsLive(ctx)
	if err != nil {
		return err
	}
	return c.moving(ctx, func(m *mover) error {
		return c.poorPacks(ctx, ended, lives, func(name string, size int64) error { return c.empty(ctx, m, name) })
	})
}

// packsLive returns how many bytes of each pack are needed.
func (c *collector) packsLive(ctx context.Context) (map[string]int64, error) {
	lives := make(map[string]int64)
	err := c.windows(ctx, "xorbs", "looking for packs of which little lives", func(ctx context.Context, from, to int64) error {
		page, err := collect(ctx, c.d.reads.db, scanStored, storedColumns+`WHERE id > ? AND id <= ? AND doomed = 0`, from, to)
		for _, x := range page {
			if strings.HasPrefix(x.at.file, "packs/") {
				lives[x.at.file] += x.at.len
			}
		}
		return err
	})
	return lives, err
}

// endedPacks returns the packs that do not grow any more.
func (c *collector) endedPacks(ctx context.Context) (names []string, err error) {
	type pack struct {
		name   string
		sealed int64
	}
	for from := ""; ; {
		page, err := collect(ctx, c.d.reads.db, func(rows *sql.Rows) (p pack, err error) {
			err = rows.Scan(&p.name, &p.sealed)
			return p, err
		}, `SELECT file, sealed FROM packs WHERE file > ? ORDER BY file LIMIT ?`, from, gcWindow)
		if err != nil || len(page) == 0 {
			return names, err
		}
		from = page[len(page)-1].name
		for _, p := range page {
			if c.ended(p.sealed) {
				names = append(names, p.name)
			}
		}
	}
}

// poorPacks calls f for each pack of which too little lives.
func (c *collector) poorPacks(ctx context.Context, packs []string, lives map[string]int64, f func(name string, size int64) error) error {
	for _, name := range packs {
		if err := live(ctx); err != nil {
			return err
		}
		size, err := c.d.fs.size(name)
		if err != nil {
			continue // it is missing; a check says whom that hurts
		}
		if float64(lives[name]) < c.opts.Live*float64(size) {
			if err := f(name, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty stores anew all that lives in a pack. What cannot be read stays, and so does the pack then.
func (c *collector) empty(ctx context.Context, m *mover, pack string) error {
	for from := int64(0); ; {
		page, err := collect(ctx, c.d.reads.db, scanStored,
			storedColumns+`WHERE file = ? AND id > ? AND doomed = 0 ORDER BY id LIMIT ?`, pack, from, gcWindow)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		from = page[len(page)-1].id
		for _, x := range page {
			staged, err := c.copyTo(ctx, m, x, false)
			if errors.Is(err, errUnreadable) {
				continue
			}
			if err == nil {
				err = c.move(ctx, m, x, staged, false)
			}
			if err != nil {
				return err
			}
			c.opts.Progress.tell(Step{Name: "storing packs anew", Done: c.out.Rewritten, Bytes: true})
		}
	}
	if err := m.flush(ctx); err != nil {
		return err
	}
	return c.d.commit.tx(ctx, func(ctx context.Context) error { return c.emptied(ctx, pack, 1) }) // when nothing lived in it
}

// drop gives up the xorb that was staged last.
func (m *mover) drop() error {
	n := len(m.sess.staged) - 1
	x := m.sess.staged[n]
	m.sess.staged = m.sess.staged[:n]
	m.sess.bodies -= int64(len(x.body))
	delete(m.sess.byHash, x.hash)
	if err := x.wait(); err != nil || !x.own {
		return err
	}
	return m.c.d.remove(x.at.file)
}
