package disk

import (
	"context"
	"errors"

	"hugbucket/internal/object"
)

// uploads takes over the uploads of an old catalog. One that cannot be read is lost, and its parts with it.
func (b *builder) uploads(ctx context.Context, src *source) error {
	for last := any(""); ; { // an id that is no text is read, too, and found to be damaged: the next page must begin behind it
		page, err := src.rows(ctx, `SELECT id, '', bucket, key, created, done, info FROM uploads WHERE id > ? ORDER BY id LIMIT ?`, last, checkPage)
		for _, row := range page {
			last = row[0]
			if err := b.upload(ctx, src, row); err != nil {
				return err
			}
		}
		if err != nil || len(page) == 0 {
			return src.damage(err, "uploads")
		}
		if err := live(ctx); err != nil {
			return err
		}
	}
}

// upload takes over an upload, into the bucket that is called what its own was.
func (b *builder) upload(ctx context.Context, src *source, row []any) error {
	u, err := uploadOf(row)
	if err != nil {
		return src.damage(err, "an upload")
	}
	bucket, now, err := b.bucketOf(ctx, src, u.at)
	if err != nil {
		return err
	}
	u.bucket = bucket
	up, err := u.upload()
	if err == nil && u.at != now {
		u.at = now
		err = u.seal(up)
	}
	if err != nil {
		return src.damage(err, "an upload")
	}
	_, err = b.put(ctx, b.st.insertUpload, u.id, u.at, u.key, u.created, u.done, u.info)
	return err
}

// parts takes over the parts of open uploads whose files are there.
func (b *builder) parts(ctx context.Context, src *source) error {
	return src.byID(ctx, "parts", "upload, number, file, info", func(row []any) error {
		files, err := src.rows(ctx, `SELECT hash FROM files WHERE id = ?`, row[3])
		if err == nil && len(files) != 1 {
			err = errNoFile
		}
		var p object.Part
		if err == nil {
			p, err = partOf(row[1], row[2], row[4], files[0][0])
		}
		if err != nil {
			return src.damage(err, "a part")
		}
		taken, err := b.put(ctx, b.st.insertPart, row[1], p.Number, p.File[:], row[4])
		b.missing = b.missing || !taken && src.now
		return err
	})
}

// errNoFile is damage: a part whose file has no row.
var errNoFile = errors.Join(object.ErrCorrupt, errors.New("its file has no row"))
