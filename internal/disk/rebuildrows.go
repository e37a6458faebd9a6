package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// files takes over the files of an old catalog whose terms make them.
func (b *builder) files(ctx context.Context, src *source) error {
	last, err := src.number(ctx, lastIDQuery, "files")
	if err != nil {
		return err
	}
	return src.byID(ctx, "files", "hash, size, terms, keep_until", func(row []any) error {
		id, _ := row[0].(int64)
		b.opts.Progress.tell(Step{Name: "checking the files of " + src.name, Done: id, Total: max(id, last)})
		keep, _ := row[4].(int64)
		h, err := hashColumn(row, 1)
		if err == nil {
			err = b.file(ctx, h, row[1:], keep)
		}
		if errors.Is(err, errNotThere) {
			b.missing = b.missing || src.now
			return nil // the keys that it hurts are named
		}
		return src.damage(err, "a file")
	})
}

// errNotThere is the error of a file that its terms do not make of the xorbs that are there.
var errNotThere = errors.New("is not what its terms make")

// file makes the row of a file: hash, size, terms.
func (b *builder) file(ctx context.Context, h xet.Hash, row []any, keep int64) error {
	id, _, err := b.fileRow(ctx, h)
	if err == nil && keep > 0 {
		_, err = b.put(ctx, b.st.dateFile, keep, id)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	f, err := termsColumn(h, row)
	if err != nil {
		return err
	}
	if size, ok := row[1].(int64); !ok || uint64(size) != f.Size {
		return fmt.Errorf("%w: file %s has %v bytes by its row, %d by its terms", object.ErrCorrupt, h, row[1], f.Size)
	}
	xorbs, err := b.made(ctx, f)
	if err != nil {
		return err
	}
	return b.insertFile(ctx, f, xorbs, keep)
}

// fileRow returns the row of a file; sql.ErrNoRows when there is none.
func (b *builder) fileRow(ctx context.Context, h xet.Hash) (id, size int64, err error) {
	err = b.st.file.QueryRowContext(brief(ctx), h[:]).Scan(&id, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, err
	}
	return id, size, b.failed(err)
}

// insertFile makes the row of a file, and those that say which xorbs it refers to.
func (b *builder) insertFile(ctx context.Context, f xet.Reconstruction, xorbs []int64, keep int64) error {
	if err := b.slice(ctx); err != nil {
		return err
	}
	id, err := insert(brief(ctx), b.st.insertFile, f.Hash[:], int64(f.Size), encodeTerms(&f), keep)
	if err != nil {
		return b.failed(err)
	}
	for _, x := range xorbs {
		if _, err := b.put(ctx, b.st.insertRef, x, id); err != nil {
			return err
		}
	}
	return nil
}

// made checks that the terms of a file make it, and returns the rows of the xorbs that they refer to.
func (b *builder) made(ctx context.Context, f xet.Reconstruction) (xorbs []int64, err error) {
	var tree xet.TreeHash
	seen := make(map[int64]bool)
	for _, t := range f.Terms {
		ref, err := b.shape(ctx, t.Xorb)
		if errors.Is(err, sql.ErrNoRows) || err == nil && fits(t, ref.info) != nil {
			return nil, fmt.Errorf("file %s %w", f.Hash, errNotThere)
		}
		if err != nil {
			return nil, err
		}
		addTerm(&tree, t, ref.info)
		if !seen[ref.id] {
			seen[ref.id] = true
			xorbs = append(xorbs, ref.id)
		}
	}
	if tree.FileHash() != f.Hash {
		return nil, fmt.Errorf("file %s %w", f.Hash, errNotThere)
	}
	return xorbs, nil
}

// shape returns what is in a xorb that has a row; sql.ErrNoRows when it has none.
func (b *builder) shape(ctx context.Context, h xet.Hash) (*xorbRef, error) {
	if ref := b.d.xorbs.get(h); ref != nil {
		return ref, nil
	}
	ref := &xorbRef{}
	err := b.st.xorbAt.QueryRowContext(brief(ctx), h[:]).Scan(&ref.id, &ref.place.file, &ref.place.off, &ref.place.len)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if err != nil {
		return nil, b.failed(err)
	}
	if ref.info, err = b.d.readFooter(h, ref.place); err != nil {
		b.opts.Report(Problem{What: err.Error()}) // it could be read a moment ago
		return nil, fmt.Errorf("xorb %s %w", h, errNotThere)
	}
	b.d.xorbs.put(ref)
	return ref, nil
}

// buckets takes over the buckets of an old catalog. Those of which only the name can be read get no owner.
func (b *builder) buckets(ctx context.Context, src *source) error {
	err := src.readBuckets(ctx, func(row []any) error {
		owner, _ := row[2].(string)
		created, _ := row[3].(int64)
		versioning, _ := row[4].(int64)
		arrived, _ := row[5].(int64)
		_, err := b.put(ctx, b.st.insertBucket, row[0], row[1], owner, created, versioning, arrived)
		return err
	})
	if err != nil || src != b.sources[len(b.sources)-1] {
		return err
	}
	for _, src := range b.sources {
		for id, name := range src.buckets {
			if err := b.bucket(ctx, id, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket makes a bucket unless there is one of that name, with the id if there is one and it is free.
func (b *builder) bucket(ctx context.Context, id any, name string) error {
	_, err := b.put(ctx, b.st.insertBucket, id, name, "", time.Now().UnixMilli(), 0, 0)
	return err
}

// bucketOf returns the bucket that an old catalog means by an id. Where nobody knows the name any more, it gets one.
func (b *builder) bucketOf(ctx context.Context, src *source, id int64) (name string, now int64, err error) {
	for _, other := range append([]*source{src}, b.sources...) {
		if name == "" {
			name = other.buckets[id]
		}
	}
	if name == "" {
		name = fmt.Sprint("recovered-", id)
		src.buckets[id] = name
		b.opts.Report(Problem{What: fmt.Sprintf("%s: the name of a bucket is lost: it is called %s now", src.name, name)})
		if err := b.bucket(ctx, id, name); err != nil {
			return "", 0, err
		}
	}
	now, err = b.bucketID(ctx, name)
	return name, now, err
}

// bucketID returns the id of a bucket that there is.
func (b *builder) bucketID(ctx context.Context, name string) (id int64, err error) {
	if id, ok := b.bucketIDs[name]; ok {
		return id, nil
	}
	if err := b.st.bucketID.QueryRowContext(brief(ctx), name).Scan(&id); err != nil {
		return 0, b.failed(err)
	}
	b.bucketIDs[name] = id
	return id, nil
}

// keys takes over the keys of an old catalog whose files are there and whose names are free.
func (b *builder) keys(ctx context.Context, src *source) error {
	done := int64(0)
	return src.keys(ctx, func(k oldKey) error {
		done++
		b.opts.Progress.tell(Step{Name: "checking the keys of " + src.name, Done: done})
		bucket, id, err := b.bucketOf(ctx, src, k.bucket)
		if err != nil {
			return err
		}
		file, info, err := b.keyFile(ctx, keyName{bucket, k.bucket, string(k.key)}, k.info)
		if err == nil && id != k.bucket {
			k.info, err = encodeInfo(keyName{bucket, id, string(k.key)}, &info)
		}
		if errors.Is(err, object.ErrCorrupt) || errors.Is(err, errNotThere) {
			b.missing = b.missing || src.now
			_, err := b.put(ctx, b.st.lost, bucket, k.key)
			return err
		}
		if err != nil {
			return err
		}
		taken, err := b.put(ctx, b.st.insertKey, id, k.key, k.version, file, k.info)
		if !taken || err != nil {
			return err
		}
		older, err := b.put(ctx, b.st.found, bucket, k.key)
		if older {
			b.opts.Report(Problem{
				What: fmt.Sprintf("what the key named last is lost: it names again what it did in %s", src.name),
				Keys: []string{fmt.Sprintf("%s/%s", bucket, k.key)},
			})
		}
		return err
	})
}

// keyFile returns the file that a key names.
func (b *builder) keyFile(ctx context.Context, at keyName, row []byte) (int64, object.Info, error) {
	info, err := decodeInfo(at, row)
	if err != nil {
		return 0, info, err
	}
	id, size, err := b.fileRow(ctx, info.File)
	if errors.Is(err, sql.ErrNoRows) || err == nil && size != info.Size {
		err = fmt.Errorf("file %s %w", info.File, errNotThere)
	}
	return id, info, err
}

// lost names the keys that are in none of the catalogs with content that is there.
func (b *builder) lost(ctx context.Context) error {
	last := keyName{}
	for {
		page, err := rowsOf(ctx, b, func(rows *sql.Rows) (k keyName, err error) {
			var key []byte
			err = rows.Scan(&k.bucket, &key)
			k.key = string(key)
			return k, err
		}, `SELECT bucket, key FROM lost WHERE (bucket, key) > (?, ?) ORDER BY bucket, key LIMIT ?`, last.bucket, blob(last.key), checkPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, last = range page {
			b.done.Lost++
			if b.opts.LostKey != nil {
				b.opts.LostKey(last.bucket + "/" + last.key)
			}
		}
		if err := live(ctx); err != nil {
			return err
		}
	}
}
