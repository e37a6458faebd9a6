package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"hugbucket/internal/xet"
)

// content makes the rows of all xorbs that lie in xorbs and packs.
func (b *builder) content(ctx context.Context) error {
	var dirs [][]string
	total, done := int64(0), int64(0)
	for _, dir := range contentDirs() {
		if dir == "tmp" {
			continue // what no row has ever named
		}
		names, err := b.fs.list(dir)
		if err != nil {
			return err
		}
		for i, name := range names {
			names[i] = dir + "/" + name
		}
		slices.Sort(names)
		dirs = append(dirs, names)
		total += int64(len(names))
	}
	for _, names := range dirs {
		for _, name := range names {
			err := live(ctx)
			if err == nil {
				err = b.contentFile(ctx, name)
			}
			if err != nil {
				return err
			}
			done++
			b.opts.Progress.tell(Step{Name: "reading xorbs and packs", Done: done, Total: total})
		}
	}
	return nil
}

// contentFile makes rows of what lies in one file.
func (b *builder) contentFile(ctx context.Context, name string) error {
	st, err := os.Stat(b.path(name))
	if err != nil || !st.Mode().IsRegular() {
		return ioError(err)
	}
	f, err := b.d.files.open(name)
	if err != nil {
		return ioError(err)
	}
	defer f.release()
	if strings.HasPrefix(name, "packs/") {
		return b.pack(ctx, name, f, st.Size())
	}
	info, err := xet.ReadXorbInfo(f, st.Size())
	if broken(err) {
		b.opts.Report(Problem{What: fmt.Sprintf("%s holds no xorb: %v", name, err)})
		return nil
	}
	if err != nil {
		return ioError(err)
	}
	return b.xorb(ctx, place{name, 0, st.Size()}, packed{info: info})
}

func (b *builder) pack(ctx context.Context, name string, f *cachedFile, size int64) error {
	if _, err := b.put(ctx, b.st.insertPack, name, maker(name), size); err != nil {
		return err
	}
	scan := packScan{
		r: f, size: size,
		starts: func() []int64 { return b.startsIn(ctx, name) },
		each: func(x packed) error {
			if err := live(ctx); err != nil {
				return err
			}
			return b.xorb(ctx, place{name, x.off, x.len}, x)
		},
		gap: func(from, to int64, why error) {
			b.opts.Report(Problem{What: fmt.Sprintf("%s: bytes %d to %d are no xorb: %v", name, from, to, why)})
		},
	}
	return ioError(scan.run())
}

// startsIn returns where xorbs begin in a pack by the rows of the old catalogs, as far as these can be read.
func (b *builder) startsIn(ctx context.Context, name string) (starts []int64) {
	for _, src := range b.sources {
		rows, _ := src.rows(ctx, `SELECT off FROM xorbs WHERE file = ? ORDER BY off`, name) // it is only a help
		for _, row := range rows {
			if off, ok := row[0].(int64); ok {
				starts = append(starts, off)
			}
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}

// xorb makes the row of a xorb whose footer was proved. Where one lies that has a row already is kept for later.
func (b *builder) xorb(ctx context.Context, at place, x packed) error {
	h := x.info.Hash
	args := []any{h[:], at.file, at.off, at.len, len(x.info.Chunks), x.info.RawSize()}
	inserted, err := b.put(ctx, b.st.insertXorb, args...)
	if err != nil {
		return err
	}
	if !inserted {
		_, err := b.put(ctx, b.st.insertTwin, args...)
		return err
	}
	if err = x.err; err == nil && b.opts.Verify {
		err = b.d.verifyXorb(h, at)
	}
	if err == nil {
		return nil
	}
	return b.noteDamaged(ctx, h, damaged(h, at, err))
}

// noteDamaged keeps a xorb that cannot be read whole from counting as known. Files may refer to those chunks that are whole.
func (b *builder) noteDamaged(ctx context.Context, h xet.Hash, err error) error {
	b.opts.Report(Problem{What: err.Error()})
	_, err = b.put(ctx, b.st.damaged, h[:])
	return err
}

// twins decides where the xorbs lie that are there more than once: where the old catalogs say, the store's own first, when it
// is whole there, else at the first place where it is. An append that a power cut has torn may have a whole footer.
func (b *builder) twins(ctx context.Context) error {
	last := []byte{}
	for {
		page, err := rowsOf(ctx, b, func(rows *sql.Rows) (h []byte, err error) {
			err = rows.Scan(&h)
			return h, err
		}, `SELECT DISTINCT hash FROM twins WHERE hash > ? ORDER BY hash LIMIT ?`, last, checkPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, column := range page {
			h, err := hashOf(column)
			if err == nil {
				err = b.chooseTwin(ctx, h)
			}
			if err == nil {
				err = live(ctx)
			}
			if err != nil {
				return err
			}
		}
		last = page[len(page)-1]
	}
}

func (b *builder) chooseTwin(ctx context.Context, h xet.Hash) error {
	places, err := rowsOf(ctx, b, func(rows *sql.Rows) (at place, err error) {
		err = rows.Scan(&at.file, &at.off, &at.len)
		return at, err
	}, `SELECT file, off, len FROM xorbs WHERE hash = ?1 UNION ALL SELECT file, off, len FROM twins WHERE hash = ?1`, h[:])
	if err != nil {
		return err
	}
	for _, src := range slices.Backward(b.sources) { // the first source has the last word
		rows, _ := src.rows(ctx, `SELECT file, off FROM xorbs WHERE hash = ?`, h[:]) // it is only a preference
		for _, row := range rows {
			i := slices.IndexFunc(places, func(at place) bool { return row[0] == any(at.file) && row[1] == any(at.off) })
			if i > 0 {
				first := places[i]
				places = slices.Insert(slices.Delete(places, i, i+1), 0, first)
			}
		}
	}
	var why error
	for _, at := range places {
		if err := b.d.verifyXorb(h, at); err != nil {
			why = errors.Join(why, err)
			continue
		}
		if _, err := b.put(ctx, b.st.undamaged, h[:]); err != nil {
			return err
		}
		_, err := b.put(ctx, b.st.moveXorb, at.file, at.off, at.len, h[:])
		return err
	}
	at := places[0]
	if _, err := b.put(ctx, b.st.moveXorb, at.file, at.off, at.len, h[:]); err != nil {
		return err
	}
	return b.noteDamaged(ctx, h, why)
}

// dates takes over what an old catalog says of xorbs beside their places: dates, how well they are packed, and damage.
func (b *builder) dates(ctx context.Context, src *source) error {
	err := src.byID(ctx, "xorbs", "hash, keep_until, packed, file, off", func(row []any) error {
		keep, ok := row[2].(int64)
		if packed, _ := row[3].(int64); ok && (keep > 0 || packed > 0) {
			_, err := b.put(ctx, b.st.noteXorb, keep, row[4], row[5], packed, row[1])
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	last := int64(0)
	for {
		rows, err := src.rows(ctx, `SELECT d.xorb, x.hash, x.file, x.off FROM damaged d JOIN xorbs x ON x.id = d.xorb
			WHERE d.xorb > ? ORDER BY d.xorb LIMIT ?`, last, checkPage)
		for _, row := range rows {
			last, _ = row[0].(int64)
			if err := b.stillDamaged(ctx, row); err != nil {
				return err
			}
		}
		if err != nil || len(rows) == 0 {
			return src.damage(err, "the list of damaged xorbs")
		}
	}
}

// stillDamaged notes the damage of a xorb that lies where it did when it was found to be damaged.
func (b *builder) stillDamaged(ctx context.Context, row []any) error {
	var at place
	var id int64
	err := b.st.xorbAt.QueryRowContext(brief(ctx), row[1]).Scan(&id, &at.file, &at.off, &at.len)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && row[2] == any(at.file) && row[3] == any(at.off) {
		_, err = b.put(ctx, b.st.damaged, row[1])
		return err
	}
	return b.failed(err)
}
