package disk

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"slices"

	"hugbucket/internal/object"
)

// What a request brings to a pack is made durable in one of two ways. The bytes of large ones are synced before their rows are
// written. Those of small ones are written to the pack, and once more into the catalog, in the transaction that names them: they
// cost one sync in place of two. The pack is synced when redoKept such bytes have come together, when it is ended, and once a
// minute; the rows of redo go with the next transaction. If it does not come to that, they are replayed into the pack by who opens
// the store next, or sweeps.
//
// Only two things can take from the pack what was written to it. A power cut ends all processes, so that nobody reads a place
// before it was replayed. A sync that fails, or tells that what the system wrote by itself has failed, ends the pack, and it is replayed
// at once, and again once a minute until that works.
const (
	// redoRequest is how much a request may bring for that, redoGroup how much all of a group: what is larger is not worth being
	// written twice.
	redoRequest = 16 << 10
	redoGroup   = 512 << 10
	// redoKept is how much of a pack may be waiting for its sync.
	redoKept = 2 << 20
)

// redoSum is the checksum of a row of redo: CRC-32C of the file's name, u64 off, and the bytes.
func redoSum(file string, off int64, b []byte) uint32 {
	head := binary.LittleEndian.AppendUint64([]byte(file), uint64(off))
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b)
}

// writeRedo writes into the transaction under way what of a pack may not be durable yet, or that all of it is.
func (c *committer) writeRedo(ctx context.Context, a *addition) error {
	if a.synced {
		return c.dropRedo(ctx, a.pack)
	}
	if len(a.copied) == 0 {
		return nil
	}
	_, err := c.st.putRedo.ExecContext(ctx, a.pack.name, a.off, redoSum(a.pack.name, a.off, a.copied), a.copied)
	if err = c.withoutRedo(err); errors.Is(err, errAgain) {
		if err := a.pack.sync(); err != nil {
			return ioError(err)
		}
		a.copied = nil
	}
	return err
}

// dropRedo takes away, in the transaction under way, what is kept of a pack.
func (c *committer) dropRedo(ctx context.Context, p *pack) error {
	if p.torn || !c.few.redo {
		return nil
	}
	_, err := c.st.delRedo.ExecContext(ctx, p.name)
	return c.withoutRedo(err)
}

// withoutRedo goes on without redo when its rows are damaged, and asks for the transaction to be begun again: packs are synced from
// now on, and rows that stay say nothing that is not true.
func (c *committer) withoutRedo(err error) error {
	damaged := sqlError(err)
	if !errors.Is(damaged, object.ErrCorrupt) {
		return err
	}
	c.few.redo = false
	c.warnOfRedo(damaged)
	return errAgain
}

const ofDamage = "damage"

// warnOfRedo warns once of damaged rows, and once of anything else.
func (c *committer) warnOfRedo(err error) {
	what := ofDamage
	if !errors.Is(err, object.ErrCorrupt) {
		what = err.Error()
	}
	c.warnOnce(what, err.Error())
}

func (c *committer) warnOnce(what, text string) {
	if _, before := c.redoWarned.LoadOrStore(what, true); !before {
		c.d.warn("catalog.db: small objects that were stored last may not be where they belong: " + text + "; run file-bucketctl check")
	}
}

// settle makes durable what is waiting for that, in a transaction of its own.
func (c *committer) settle(ctx context.Context) error {
	if !c.owes.Load() {
		return nil
	}
	return c.submit(ctx, &request{sess: &session{}, rows: func(ctx context.Context) error {
		p := c.few.cur
		if p == nil || p.unsynced == 0 {
			return nil
		}
		if !p.torn {
			if err := p.sync(); err != nil { // commit ends the pack, when it knows whether rows of this group name it
				c.d.warn(fmt.Sprintf("%s: the disk failed to keep what was written, which is written again: %v", p.name, err))
			}
		}
		return c.dropRedo(ctx, p)
	}})
}

// endTorn ends the pack of small requests when a sync of it has failed.
func (c *committer) endTorn() {
	if p := c.few.cur; p != nil && p.torn {
		_ = c.few.seal() // what has failed is what is replayed
		c.retire(c.few.ended())
	}
}

// heal replays packs of this process when a sync of one has just failed, before that is answered.
func (c *committer) heal(ctx context.Context) {
	if !c.hurt {
		return
	}
	c.hurt = false
	if err := c.replay(context.WithoutCancel(ctx)); err != nil {
		c.warnOfRedo(err)
	}
}

// replay writes to packs what may not have got there: to those of other processes that have died, and to those of this one of which
// a sync has failed. After a power cut, it comes before anything is read. What is damaged is left out, and told: who reads compares
// hashes.
func (c *committer) replay(ctx context.Context) error {
	files, err := collect(brief(ctx), c.d.reads.db, scanName, `SELECT DISTINCT file FROM redo`)
	if err != nil && !errors.Is(err, object.ErrCorrupt) {
		return err
	}
	if err == nil && !slices.ContainsFunc(files, func(file string) bool { return !c.growing(file) }) {
		return nil
	}
	var failed error
	err = c.tx(ctx, func(ctx context.Context) error {
		var done []int64
		done, failed = c.replayAll(ctx)
		for _, id := range done {
			if _, err := c.conn.ExecContext(ctx, `DELETE FROM redo WHERE id = ?`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, object.ErrCorrupt) {
		c.warnOfRedo(err)
		err = nil
	}
	return errors.Join(failed, err)
}

// growing says whether a pack is one of this process to which nothing is to be replayed.
func (c *committer) growing(file string) bool {
	_, torn := c.torn.Load(file)
	return c.d.proc != nil && maker(file) == c.d.proc.id && !torn
}

// replayAll replays what can be read, and returns the rows that are not needed any more, also beside an error. The caller holds the
// lock of the catalog.
func (c *committer) replayAll(ctx context.Context) (done []int64, err error) {
	src := c.redoSource()
	alive := make(map[int64]bool)
	wanted := func(file string) (bool, error) {
		if _, torn := c.torn.Load(file); torn {
			return true, nil
		}
		by := maker(file)
		is, known := alive[by]
		if !known {
			var err error
			if is, err = c.d.livesLocked(by); err != nil {
				return false, err
			}
			alive[by] = is
		}
		return !is, nil
	}
	var failed []error
	err = src.redo(ctx, wanted, func(rows []redoRow) error {
		kept, err := c.replayPack(ctx, rows)
		if err != nil { // the others may do
			failed = append(failed, err)
			return nil
		}
		if !kept {
			c.torn.Delete(rows[0].file)
			for _, r := range rows {
				done = append(done, r.id)
			}
		}
		return nil
	})
	return done, errors.Join(append(failed, err)...)
}

// replayPack writes rows of one pack. They are kept when somebody has taken that away, for when it is there again, and when it cannot be
// written to.
func (c *committer) replayPack(ctx context.Context, rows []redoRow) (kept bool, err error) {
	written, err := c.secure(rows)
	if !errors.Is(err, errNoPack) {
		return !written, err
	}
	err = sqlError(c.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM packs WHERE file = ?)`, rows[0].file).Scan(&kept))
	if kept {
		c.warnOfRedo(fmt.Errorf("%s is missing", rows[0].file))
	}
	return kept, err
}

// secure makes durable what rows of one pack say. That it cannot be written to is no error if their bytes are in it.
func (c *committer) secure(rows []redoRow) (written bool, err error) {
	err = c.d.rewrite(rows)
	if err == nil || errors.Is(err, errNoPack) || !c.d.holds(rows) {
		return err == nil, err
	}
	c.warnOfRedo(err)
	return false, nil
}

// holds says whether the bytes of rows of one pack are where they belong, and makes them durable there without writing.
func (d *Driver) holds(rows []redoRow) bool {
	f, err := d.fs.open(rows[0].file)
	if err != nil {
		return false
	}
	held := f.sync() == nil
	for _, r := range rows {
		b := make([]byte, len(r.bytes))
		_, err := f.ReadAt(b, r.off)
		held = held && err == nil && bytes.Equal(b, r.bytes)
	}
	return f.Close() == nil && held
}

// errNoPack is returned for a pack that is gone.
var errNoPack = errors.New("there is no such pack")

// rewrite writes rows of one pack, and makes all of it durable. It writes also what is there already: after a sync that has failed,
// the system keeps bytes in memory that it does not write any more.
func (d *Driver) rewrite(rows []redoRow) (err error) {
	name := rows[0].file
	f, err := d.fs.edit(name)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoPack
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("replay %s: %w", name, ioError(err))
		}
	}()
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := f.WriteAt(r.bytes, r.off); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.sync(), f.Close())
}

const redoColumns = `file, off, sum, bytes`

// redoRow is a row of redo: bytes and where they belong.
type redoRow struct {
	id    int64
	file  string
	off   int64
	bytes []byte
}

// readRedo makes a row of redoColumns; an object.ErrCorrupt unless it is one that was written.
func readRedo(id int64, row []any) (r redoRow, err error) {
	r.id = id
	var sum int64
	if r.file, err = column[string](row, 0, "the pack of a row of redo"); err != nil {
		return r, err
	}
	if r.off, err = column[int64](row, 1, "an offset in redo"); err != nil {
		return r, err
	}
	if sum, err = column[int64](row, 2, "a checksum in redo"); err != nil {
		return r, err
	}
	if r.bytes, err = column[[]byte](row, 3, "the bytes of a row of redo"); err != nil {
		return r, err
	}
	if sum != int64(redoSum(r.file, r.off, r.bytes)) {
		return r, corrupt("catalog.db: a row of redo, of %s+%d, has another checksum", r.file, r.off)
	}
	return r, nil
}

// eachRedo calls f with rows of redo that can be read, and damaged with what it meets where one cannot. An error of either ends it. Ids are
// never given again, and rows are few: what lies behind a damaged page is not looked for id by id.
func eachRedo(ctx context.Context, db *sql.DB, f func(redoRow) error, damaged func(error) error) error {
	ids := func(from int64, limit int) ([][]any, error) {
		return anyRows(brief(ctx), db, `SELECT id FROM redo WHERE id >= ? ORDER BY id LIMIT ?`, from, limit)
	}
	each := func(id int64) error {
		rows, err := anyRows(brief(ctx), db, `SELECT `+redoColumns+` FROM redo WHERE id = ?`, id)
		if err == nil && len(rows) == 0 {
			return nil // it has gone meanwhile
		}
		var r redoRow
		if err == nil {
			r, err = readRedo(id, rows[0])
		}
		if err != nil {
			return damaged(err)
		}
		return f(r)
	}
	for from := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := ids(from, checkPage)
		for _, one := range page {
			id, _ := one[0].(int64) // SQLite knows no other ids
			from = id + 1
			if err := each(id); err != nil {
				return err
			}
		}
		switch {
		case len(page) > 0: // an error is met again
		case errors.Is(err, object.ErrCorrupt):
			if err := damaged(err); err != nil {
				return err
			}
			more := false
			from, more = behind(from, func(id int64) bool {
				_, err := ids(id, 1)
				return errors.Is(err, object.ErrCorrupt)
			})
			if !more {
				return nil
			}
		default:
			return err
		}
	}
}

// behind returns the first id that is not bad behind one that is, if there is any. It takes ids that are bad for one stretch.
func behind(id int64, bad func(int64) bool) (int64, bool) {
	step := int64(1)
	for ; bad(id + step); step *= 2 {
		if id += step; step > math.MaxInt64/8 {
			return 0, false
		}
	}
	good := id + step
	for good-id > 1 {
		if mid := id + (good-id)/2; bad(mid) {
			id = mid
		} else {
			good = mid
		}
	}
	return good, true
}

// redo calls f once for each pack that is wanted, with all its rows that can be read.
func (s *source) redo(ctx context.Context, wanted func(file string) (bool, error), f func([]redoRow) error) error {
	rows := make(map[string][]redoRow) // each process has up to redoKept
	var files []string
	err := eachRedo(ctx, s.db, func(r redoRow) error {
		if yes, err := wanted(r.file); err != nil || !yes {
			return err
		}
		if rows[r.file] == nil {
			files = append(files, r.file)
		}
		rows[r.file] = append(rows[r.file], r)
		return nil
	}, func(err error) error { return s.damage(err, "some of redo") })
	for _, file := range files {
		if err == nil {
			err = f(rows[file])
		}
	}
	return err
}

func anyPack(string) (bool, error) { return true, nil }

// settleAll makes durable what rows of redo keep of packs, whoever makes them: their bytes are written once, and do not change.
func (d *Driver) settleAll(ctx context.Context) error {
	return d.commit.redoSource().redo(ctx, anyPack, func(rows []redoRow) error {
		_, err := d.commit.secure(rows)
		if errors.Is(err, errNoPack) {
			return nil
		}
		return err
	})
}

// redoSource reads redo of the catalog that is open.
func (c *committer) redoSource() *source {
	return &source{name: "catalog.db", db: c.d.reads.db, report: func(p Problem) { c.warnOnce(ofDamage, p.What) }}
}

// replay does for the store's own catalog what opening it would do, as far as it can be read and packs can be written to. A backup has
// nothing to replay: its packs were settled, and those of the store may be others of the same names.
func (b *builder) replay(ctx context.Context) error {
	if len(b.sources) == 0 || !b.sources[0].now {
		return nil
	}
	src := *b.sources[0] // what is missing of redo is no key
	return src.redo(ctx, anyPack, func(rows []redoRow) error {
		err := b.d.rewrite(rows)
		if errors.Is(err, object.ErrNoSpace) {
			return fmt.Errorf("make room on the file system of the store: %w", err)
		}
		if err != nil && !errors.Is(err, errNoPack) {
			b.opts.Report(Problem{What: err.Error()})
		}
		return nil
	})
}

// checkRedo looks at what would be replayed.
func (c *checker) checkRedo(ctx context.Context) error {
	return eachRedo(ctx, c.db, func(redoRow) error { return nil }, func(err error) error {
		if errors.Is(err, object.ErrCorrupt) {
			c.problem(Problem{What: fmt.Sprintf("catalog.db: some of redo cannot be read: %v", err)})
			return nil
		}
		return err
	})
}
