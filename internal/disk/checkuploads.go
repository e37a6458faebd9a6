package disk

import (
	"context"
	"errors"
	"fmt"

	"hugbucket/internal/object"
)

// uploadOf makes an uploadRow of its columns, in the order of uploadColumns, whatever they are.
func uploadOf(row []any) (u uploadRow, err error) {
	var errs [7]error
	var done int64
	u.id, errs[0] = column[string](row, 0, "the id of an upload")
	u.bucket, errs[1] = column[string](row, 1, "the bucket of an upload")
	u.at, errs[2] = column[int64](row, 2, "the bucket of an upload")
	u.key, errs[3] = column[[]byte](row, 3, "the key of an upload")
	u.created, errs[4] = column[int64](row, 4, "the time of an upload")
	done, errs[5] = column[int64](row, 5, "the state of an upload")
	u.done = done != 0
	u.info, errs[6] = column[[]byte](row, 6, "what an upload is")
	return u, errors.Join(errs[:]...)
}

// checkUploads reads each upload as a door does.
func (c *checker) checkUploads(ctx context.Context) error {
	for last := ""; ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := anyRows(brief(ctx), c.db, `SELECT id FROM uploads WHERE id > ? ORDER BY id LIMIT ?`, last, checkPage)
		if fatal(err) {
			return err
		}
		for _, row := range page {
			if last, err = column[string](row, 0, "the id of an upload"); err != nil {
				break
			}
			if err := c.upload(ctx, last); err != nil {
				return err
			}
		}
		if err != nil {
			c.problem(Problem{What: "uploads: " + err.Error()})
			page = nil
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// upload looks at an upload, and if something is wrong again: it may be gone.
func (c *checker) upload(ctx context.Context, id string) error {
	wrong, err := c.wrongUpload(ctx, id)
	if wrong != nil && err == nil {
		wrong, err = c.wrongUpload(ctx, id)
	}
	if wrong != nil && err == nil {
		c.problem(Problem{What: wrong.Error()})
	}
	return err
}

// wrongUpload says what is wrong with an upload, if it is still there.
func (c *checker) wrongUpload(ctx context.Context, id string) (wrong, err error) {
	page, err := anyRows(brief(ctx), c.db, `SELECT `+uploadColumns+`,
		EXISTS (SELECT 1 FROM uploads i INDEXED BY uploads_bucket
			WHERE (i.bucket, i.done, i.key, i.created, i.id) = (u.bucket, u.done, u.key, u.created, u.id))
		AND EXISTS (SELECT 1 FROM uploads i INDEXED BY uploads_created WHERE i.created = u.created AND i.id = u.id)
		FROM uploads u LEFT JOIN buckets b ON b.id = u.bucket WHERE u.id = ?`, id)
	switch {
	case fatal(err):
		return nil, err
	case err != nil:
		return fmt.Errorf("upload %s: %w", id, err), nil
	case len(page) == 0:
		return nil, nil
	}
	row := page[0]
	if row[1] == nil {
		return corrupt("catalog.db: upload %s is in bucket %v, which is not there", id, row[2]), nil
	}
	u, err := uploadOf(row)
	if err == nil {
		_, err = u.upload()
	}
	if err == nil && row[7] != int64(1) {
		err = corrupt("catalog.db: upload %s does not stand in the indexes", id)
	}
	return err, nil
}

// checkParts looks at the parts of uploads that are under way: at their files, and for their uploads.
func (c *checker) checkParts(ctx context.Context) error {
	_, err := c.byID(ctx, "parts", "number", func(id int64, _ []any) error {
		wrong, err := c.part(ctx, id)
		if wrong != nil && err == nil {
			wrong, err = c.part(ctx, id)
		}
		if wrong != nil && err == nil {
			c.problem(Problem{What: wrong.Error()})
		}
		return err
	})
	return err
}

// part says what is wrong with a part, if it is still there. Collection takes away the file of one that does not stand in the index
// of files.
func (c *checker) part(ctx context.Context, id int64) (wrong, err error) {
	page, err := anyRows(brief(ctx), c.db, `SELECT p.upload, p.number, p.file, u.done, CAST(u.key AS TEXT), p.info, f.hash,
		EXISTS (SELECT 1 FROM parts i INDEXED BY parts_file WHERE i.file = p.file AND i.id = p.id)
		AND EXISTS (SELECT 1 FROM parts i INDEXED BY sqlite_autoindex_parts_1
			WHERE i.upload = p.upload AND i.number = p.number AND i.id = p.id)
		FROM parts p LEFT JOIN uploads u ON u.id = p.upload LEFT JOIN files f ON f.id = p.file WHERE p.id = ?`, id)
	switch {
	case fatal(err):
		return nil, err
	case err != nil:
		return fmt.Errorf("row %d of parts: %w", id, err), nil
	case len(page) == 0:
		return nil, nil
	}
	row := page[0]
	if row[3] != int64(0) {
		return corrupt("catalog.db: part %v is of upload %v, which is not there or done", row[1], row[0]), nil
	}
	file, err := column[int64](row, 2, "a file")
	if err != nil {
		return err, nil
	}
	if wrong, err = c.fileOf(ctx, file); wrong == nil && err == nil {
		_, wrong = partOf(row[0], row[1], row[5], row[6])
	}
	if wrong == nil && err == nil && row[7] != int64(1) {
		wrong = corrupt("it does not stand in the indexes")
	}
	if wrong != nil {
		wrong = fmt.Errorf("part %v of the upload %v of %v: %w", row[1], row[0], row[4], wrong)
	}
	return wrong, err
}

// partOf reads a part by its columns, whatever they are.
func partOf(upload, number, info, file any) (object.Part, error) {
	row := []any{upload, number, info, file}
	var errs [4]error
	var id string
	var n int64
	var what, hash []byte
	id, errs[0] = column[string](row, 0, "the upload of a part")
	n, errs[1] = column[int64](row, 1, "the number of a part")
	what, errs[2] = column[[]byte](row, 2, "what a part is")
	hash, errs[3] = column[[]byte](row, 3, "the file of a part")
	if err := errors.Join(errs[:]...); err != nil {
		return object.Part{}, err
	}
	return decodePart(id, int(n), what, hash)
}
