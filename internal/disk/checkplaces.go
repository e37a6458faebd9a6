package disk

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// placed is where the xorb of a row lies in its file.
type placed struct{ id, off, len int64 }

func (p placed) end() int64 { return p.off + p.len }

// survey is what is in a file of content, by the rows that name it.
type survey struct {
	name   string
	named  bool // some row names it
	size   int64
	places []placed // by offset
}

// checkPlaces looks at each file of content: whether rows name it and all that is in it, and that no two xorbs lie in one
// place.
func (c *checker) checkPlaces(ctx context.Context) error {
	dirs := contentDirs()
	c.begin(Step{Name: "looking for orphans", Total: int64(len(dirs))})
	if c.blind {
		return nil // nobody can tell; that the catalog is damaged was reported
	}
	for _, dir := range dirs {
		names, err := c.d.fs.list(dir)
		if err != nil {
			return ioError(err)
		}
		slices.Sort(names)
		for _, name := range names {
			err := c.contentFile(ctx, dir+"/"+name)
			if fatal(err) {
				return err
			}
		}
		c.mu.Lock()
		c.moveLocked(c.step.Done+1, 1)
		c.mu.Unlock()
	}
	return nil
}

// contentFile looks at a file. What nobody names, or names twice, is looked at again: it may be that of somebody at work. An
// object.ErrCorrupt is one of the catalog, and was reported.
func (c *checker) contentFile(ctx context.Context, name string) error {
	s, err := c.survey(ctx, name)
	if err != nil || s == nil || s.named && len(s.gaps(s.size)) == 0 && len(s.overlaps()) == 0 {
		return err
	}
	// First it is found out whether the owner lives, then up to where the pack has been decided about, and only then the rows
	// are read: what comes between can only make orphans fewer.
	alive, err := c.lives(name)
	if err != nil {
		return err
	}
	var decided int64
	err = c.db.QueryRowContext(brief(ctx), `SELECT size FROM packs WHERE file = ?`, name).Scan(&decided)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return sqlError(err)
	}
	if s, err = c.survey(ctx, name); err != nil || s == nil {
		return err
	}
	if alive {
		s.size = min(s.size, decided)
	}
	for _, pair := range s.overlaps() {
		c.overlap(name, pair)
	}
	switch {
	case !s.named && alive:
		return nil
	case !s.named && s.size == 0:
		c.problem(Problem{What: "orphan: no row names " + name + ", which is empty", Orphan: true})
		return nil
	}
	for _, gap := range s.gaps(s.size) {
		if err := c.orphan(ctx, s, gap); err != nil {
			return err
		}
	}
	return nil
}

// survey reads the rows that name a file; nil when there is no such file any more.
func (c *checker) survey(ctx context.Context, name string) (*survey, error) {
	s := &survey{name: name}
	scan := func(rows *sql.Rows) (p placed, err error) {
		err = rows.Scan(&p.id, &p.off, &p.len)
		return p, err
	}
	for last := int64(0); ; {
		if err := live(ctx); err != nil {
			return nil, err
		}
		page, err := collect(brief(ctx), c.db, scan, `SELECT id, off, len FROM xorbs WHERE file = ? AND id > ? ORDER BY id LIMIT ?`,
			name, last, checkPage)
		if err != nil {
			return nil, err
		}
		s.places = append(s.places, page...)
		if len(page) < checkPage {
			break
		}
		last = page[len(page)-1].id
	}
	slices.SortFunc(s.places, func(a, b placed) int { return cmp.Compare(a.off, b.off) })
	s.named = len(s.places) > 0
	if !s.named {
		err := c.db.QueryRowContext(brief(ctx), `SELECT EXISTS (SELECT 1 FROM packs WHERE file = ?1)
			OR EXISTS (SELECT 1 FROM trash WHERE file = ?1)`, name).Scan(&s.named)
		if err != nil {
			return nil, sqlError(err)
		}
	}
	if len(s.places) == 0 && s.named { // it is going to be removed, or begun
		var trashed bool
		err := c.db.QueryRowContext(brief(ctx), `SELECT EXISTS (SELECT 1 FROM trash WHERE file = ?)`, name).Scan(&trashed)
		if err != nil || trashed {
			return nil, sqlError(err)
		}
	}
	var err error
	s.size, err = c.d.fs.size(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // that it is gone is an answer
	}
	return s, ioError(err)
}

// gap is a piece of a file that no row names.
type gap struct{ from, to int64 }

// gaps are the pieces of the file up to an offset that no row names.
func (s *survey) gaps(to int64) (out []gap) {
	at := int64(0)
	for _, p := range s.places {
		if p.off > at && at < to {
			out = append(out, gap{at, min(p.off, to)})
		}
		at = max(at, p.end())
	}
	if at < to {
		out = append(out, gap{at, to})
	}
	return out
}

// overlaps are pairs of xorbs that share bytes: each that begins before one ends that begins no later, with that one.
func (s *survey) overlaps() (out [][2]placed) {
	for i, last := 1, 0; i < len(s.places); i++ {
		if s.places[i].off < s.places[last].end() {
			out = append(out, [2]placed{s.places[last], s.places[i]})
		}
		if s.places[i].end() > s.places[last].end() {
			last = i
		}
	}
	return out
}

// overlap reports two xorbs that share bytes. Which of them is damaged was found out when they were read; when the check is
// quick, either may be.
func (c *checker) overlap(name string, pair [2]placed) {
	a, b := pair[0], pair[1]
	err := corrupt("catalog.db: the xorbs of rows %d and %d overlap in %s, at %d+%d and %d+%d",
		a.id, b.id, name, a.off, a.len, b.off, b.len)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problemLocked(Problem{What: err.Error()})
	if c.opts.Quick {
		for _, p := range pair {
			c.whole.remove(p.id)
			c.bad[p.id] = err
		}
	}
}

// lives says whether the process lives that a file bears the id of.
func (c *checker) lives(name string) (bool, error) {
	id := maker(name)
	if id <= 0 || c.dead.has(id) {
		return false, nil
	}
	alive, err := c.d.lives(id)
	if err == nil && !alive {
		c.dead.add(id) // for ever
	}
	return alive, err
}

// lives says whether a process lives that had a file once. The lock of the catalog keeps those out who are just being
// registered: they must not find the lock of an id in somebody's hands.
func (d *Driver) lives(id int64) (alive bool, err error) {
	if id == d.proc.id {
		return true, nil
	}
	d.commit.mu.Lock()
	defer d.commit.mu.Unlock()
	if err := d.commit.lock.lock(); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, d.commit.lock.unlock()) }()
	return d.livesLocked(id)
}

// livesLocked is lives for another process, for who holds the lock of the catalog.
func (d *Driver) livesLocked(id int64) (alive bool, err error) {
	lock, err := tryLock(d.procLock(id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, ioError(err)
	case lock == nil:
		return true, nil
	}
	return false, lock.Close()
}

// orphan reports what is in a piece of a file that no row names: xorb by xorb, as far as there are whole ones and the check is
// not quick.
func (c *checker) orphan(ctx context.Context, s *survey, g gap) error {
	for !c.opts.Quick && g.from < g.to {
		h, n, err := c.orphanXorb(ctx, s.name, g)
		if fatal(err) {
			return err
		}
		if err != nil {
			break
		}
		what := fmt.Sprintf("orphan: no row names xorb %s of %d bytes at %s+%d", h, n, s.name, g.from)
		if !s.named {
			what = fmt.Sprintf("orphan: no row names %s; there is xorb %s of %d bytes at %d", s.name, h, n, g.from)
		}
		c.problem(Problem{What: what, Orphan: true, Size: n, File: s.name, Xorb: h})
		g.from += n
	}
	if g.from == g.to {
		return nil
	}
	what := fmt.Sprintf("orphan: no row names %d bytes at %s+%d", g.to-g.from, s.name, g.from)
	if !s.named {
		what = fmt.Sprintf("orphan: no row names %s; there are %d bytes at %d", s.name, g.to-g.from, g.from)
	}
	c.problem(Problem{What: what, Orphan: true, Size: g.to - g.from, File: s.name})
	return nil
}

// orphanXorb verifies the xorb that a piece of a file begins with, and returns its hash and length. An object.ErrCorrupt says
// that there is none.
func (c *checker) orphanXorb(ctx context.Context, name string, g gap) (h xet.Hash, size int64, err error) {
	f, err := c.files.open(name)
	if err != nil {
		return h, 0, damaged(h, place{file: name, off: g.from}, err)
	}
	defer f.release()
	src := io.NewSectionReader(checkedFile{ctx, c, f}, g.from, g.to-g.from)
	scanned, err := xet.ScanXorb(src, nil)
	if err != nil {
		return h, 0, damaged(h, place{file: name, off: g.from}, err)
	}
	size = scanned.BodySize() + scanned.FooterSize()
	info, err := xet.ReadXorbInfo(src, size)
	if err == nil && !slices.Equal(info.Chunks, scanned.Chunks) {
		err = object.ErrCorrupt
	}
	if err != nil {
		return h, 0, damaged(h, place{file: name, off: g.from}, err)
	}
	return info.Hash, size, nil
}
