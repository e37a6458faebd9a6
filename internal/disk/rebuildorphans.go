package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// unnamed is something that nothing refers to.
type unnamed struct {
	id     int64
	column []byte // its hash
	hash   xet.Hash
	size   int64
	place  place
	keep   int64
}

// String says where it lies.
func (at place) String() string { return fmt.Sprintf("%s+%d", at.file, at.off) }

// orphans lists what no key names, and keeps or adopts it. What the store's own catalog, as long as that is whole, knows and
// does not name is garbage and no orphan, unless it was one before.
func (b *builder) orphans(ctx context.Context) error {
	if b.opts.Adopt != "" {
		if err := b.bucket(ctx, nil, b.opts.Adopt); err != nil {
			return err
		}
	}
	// What was an orphan once may have got a name.
	err := b.exec(ctx, `UPDATE files SET keep_until = 0 WHERE keep_until = ?1
			AND (EXISTS (SELECT 1 FROM keys WHERE file = files.id) OR EXISTS (SELECT 1 FROM parts WHERE file = files.id));
		UPDATE xorbs SET keep_until = 0 WHERE keep_until = ?1 AND EXISTS (SELECT 1 FROM refs WHERE xorb = xorbs.id)`, keepOrphan)
	if err != nil {
		return err
	}
	files := func(rows *sql.Rows) (u unnamed, err error) {
		err = rows.Scan(&u.id, &u.column, &u.size, &u.keep, &u.place.file, &u.place.off)
		return u, err
	}
	err = b.unnamed(ctx, b.orphanFile, files, `SELECT f.id, f.hash, f.size, f.keep_until, ifnull(x.file, ''), ifnull(x.off, 0)
		FROM files f LEFT JOIN xorbs x ON x.id = (SELECT min(xorb) FROM refs WHERE file = f.id)
		WHERE f.id > ? AND f.size > 0 AND NOT EXISTS (SELECT 1 FROM keys WHERE file = f.id)
		AND NOT EXISTS (SELECT 1 FROM parts WHERE file = f.id) ORDER BY f.id LIMIT ?`)
	if err != nil {
		return err
	}
	xorbs := func(rows *sql.Rows) (u unnamed, err error) {
		err = rows.Scan(&u.id, &u.column, &u.keep, &u.place.file, &u.place.off, &u.place.len)
		return u, err
	}
	return b.unnamed(ctx, b.orphanXorb, xorbs, `SELECT id, hash, keep_until, file, off, len FROM xorbs x
		WHERE id > ? AND NOT EXISTS (SELECT 1 FROM refs WHERE xorb = x.id) ORDER BY id LIMIT ?`)
}

// unnamed calls f for each row that a query finds, page by page.
func (b *builder) unnamed(ctx context.Context, f func(context.Context, unnamed) error,
	scan func(*sql.Rows) (unnamed, error), query string,
) error {
	last := int64(0)
	for {
		page, err := rowsOf(ctx, b, scan, query, last, checkPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, u := range page {
			last = u.id
			b.opts.Progress.tell(Step{Name: "looking for orphans", Done: b.done.Orphans})
			if u.hash, err = hashOf(u.column); err == nil {
				err = f(ctx, u)
			}
			if err == nil {
				err = live(ctx)
			}
			if err != nil {
				return err
			}
		}
	}
}

// orphanFile lists a file that no key names, and keeps it or gives it a key.
func (b *builder) orphanFile(ctx context.Context, u unnamed) error {
	if b.garbage() != nil && u.keep < keepOrphan {
		return nil
	}
	b.orphan(Orphan{Hash: u.hash, Size: u.size, Place: u.place.String()})
	if b.opts.Adopt != "" {
		return b.adopt(ctx, u)
	}
	_, err := b.put(ctx, b.st.dateFile, keepOrphan, u.id)
	return err
}

// orphanXorb lists a xorb that no file refers to, and keeps it or makes a file of it that has a key.
func (b *builder) orphanXorb(ctx context.Context, u unnamed) error {
	if src := b.garbage(); src != nil && u.keep < keepOrphan {
		known, err := src.number(ctx, `SELECT count(*) FROM xorbs WHERE hash = ?`, u.column)
		if known > 0 || err != nil {
			return err
		}
	}
	ref, err := b.shape(ctx, u.hash)
	if errors.Is(err, errNotThere) {
		_, err = b.put(ctx, b.st.keepXorb, keepOrphan, u.id)
		return err
	}
	if err != nil {
		return b.failed(err)
	}
	x := u.hash
	term := xet.Term{Xorb: x, Range: xet.Range{End: uint32(len(ref.info.Chunks))}, Bytes: uint32(ref.info.RawSize())}
	var tree xet.TreeHash
	addTerm(&tree, term, ref.info)
	u.hash, u.size = tree.FileHash(), ref.info.RawSize()
	b.orphan(Orphan{Hash: u.hash, Size: u.size, Place: u.place.String()})
	whole := b.opts.Adopt != ""
	if whole {
		if err := b.d.verifyXorb(x, u.place); err != nil { // of an append that was torn, only the footer may be whole
			whole = false
			if err := b.noteDamaged(ctx, x, err); err != nil {
				return err
			}
		}
	}
	if !whole {
		_, err := b.put(ctx, b.st.keepXorb, keepOrphan, ref.id)
		return err
	}
	if _, _, err := b.fileRow(ctx, u.hash); !errors.Is(err, sql.ErrNoRows) { // its content is there in other pieces, too
		if err == nil {
			_, err = b.put(ctx, b.st.keepXorb, keepOrphan, ref.id)
		}
		if err == nil {
			err = b.adopt(ctx, u)
		}
		return err
	}
	if _, err := b.put(ctx, b.st.keepXorb, 0, ref.id); err != nil {
		return err
	}
	f := xet.Reconstruction{Hash: u.hash, Size: uint64(u.size), Terms: []xet.Term{term}}
	if err := b.insertFile(ctx, f, []int64{ref.id}, 0); err != nil {
		return err
	}
	return b.adopt(ctx, u)
}

func (b *builder) orphan(o Orphan) {
	b.done.Orphans++
	if b.opts.Orphan != nil {
		b.opts.Orphan(o)
	}
}

// adopt makes a key that names a file, and is called like its hash. It is as old as what it lies in.
func (b *builder) adopt(ctx context.Context, u unnamed) error {
	st, err := os.Stat(b.path(u.place.file))
	if err != nil {
		return ioError(err)
	}
	at := keyName{bucket: b.opts.Adopt, key: u.hash.String()}
	if at.bucketID, err = b.bucketID(ctx, at.bucket); err != nil {
		return err
	}
	id, size, err := b.fileRow(ctx, u.hash)
	if err != nil {
		return b.failed(err)
	}
	row, err := encodeInfo(at, &object.Info{
		Bucket: at.bucket, Key: at.key, Size: size, ModTime: st.ModTime(), ETag: object.ETagOf(nil, u.hash), File: u.hash,
	})
	if err != nil {
		return err
	}
	if _, err := b.put(ctx, b.st.insertKey, at.bucketID, []byte(at.key), 0, id, row); err != nil {
		return err
	}
	_, err = b.put(ctx, b.st.undateFile, id)
	return err
}
