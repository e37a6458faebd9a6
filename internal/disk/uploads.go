package disk

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"hugbucket/internal/object"
)

// uploadColumns are those of scanUpload; u is uploads, b is buckets.
const uploadColumns = `u.id, b.name, u.bucket, u.key, u.created, u.done, u.info`

type scanner interface{ Scan(dest ...any) error }

func scanUpload(row scanner) (u uploadRow, err error) {
	err = row.Scan(&u.id, &u.bucket, &u.at, &u.key, &u.created, &u.done, &u.info)
	return u, err
}

// CreateUpload implements object.Uploads.
func (d *Driver) CreateUpload(ctx context.Context, u object.Upload) error {
	return d.commit.submit(ctx, &request{sess: &session{}, begins: &u})
}

// Upload implements object.Uploads.
func (d *Driver) Upload(ctx context.Context, id string) (object.Upload, error) {
	if err := live(ctx); err != nil {
		return object.Upload{}, err
	}
	row, err := scanUpload(d.reads.upload.QueryRowContext(brief(ctx), id))
	if err := foundUpload(err); err != nil {
		return object.Upload{}, err
	}
	return row.upload()
}

func foundUpload(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return object.ErrNoUpload
	}
	return sqlError(err)
}

// ListUploads implements object.Uploads.
func (d *Driver) ListUploads(ctx context.Context, bucket string, q object.UploadPage) (page []object.Upload, more bool, err error) {
	id, _, err := d.bucket(ctx, bucket)
	if err != nil {
		return nil, false, err
	}
	first := q.Prefix
	end, bounded := object.PrefixEnd(q.Prefix)
	if q.Key != "" {
		first, end, bounded = q.Key, q.Key+"\x00", true
	}
	// It goes on behind this place in the order of the listing.
	after := struct {
		key     string
		created int64
		id      string
	}{q.AfterKey, math.MinInt64, ""}
	switch {
	case q.AfterKey < first || q.AfterKey == "":
		after.key = first
	case q.AfterID == "":
		after.created = math.MaxInt64
	default:
		u, err := d.Upload(ctx, q.AfterID)
		if err == nil && u.Bucket == bucket && u.Key == q.AfterKey {
			after.created, after.id = u.Created.UnixMilli(), u.ID
		} else if err != nil && !errors.Is(err, object.ErrNoUpload) {
			return nil, false, err
		}
	}
	rows, err := d.reads.uploads.QueryContext(brief(ctx), id, blob(after.key), after.created, after.id, blob(end), !bounded, q.Limit+1)
	if err != nil {
		return nil, false, sqlError(err)
	}
	found, err := scanAll(rows, func(rows *sql.Rows) (uploadRow, error) { return scanUpload(rows) })
	if err != nil {
		return nil, false, err
	}
	if more = len(found) > q.Limit; more {
		found = found[:q.Limit]
	}
	for _, row := range found {
		u, err := row.upload()
		if err != nil {
			return nil, false, err
		}
		page = append(page, u)
	}
	return page, more, nil
}

// Parts implements object.Uploads.
func (d *Driver) Parts(ctx context.Context, id string, after, limit int) (page []object.Part, more bool, err error) {
	if err := live(ctx); err != nil {
		return nil, false, err
	}
	rows, err := d.reads.parts.QueryContext(brief(ctx), id, after, limit+1)
	if err != nil {
		return nil, false, sqlError(err)
	}
	page, err = scanAll(rows, func(rows *sql.Rows) (object.Part, error) {
		var number int
		var info, file []byte
		if err := rows.Scan(&number, &info, &file); err != nil {
			return object.Part{}, err
		}
		return decodePart(id, number, info, file)
	})
	if err != nil {
		return nil, false, err
	}
	if len(page) == 0 {
		_, err := d.Upload(ctx, id)
		return nil, false, err
	}
	if len(page) > limit {
		page, more = page[:limit], true
	}
	return page, more, nil
}

// ForgetUploads implements object.Uploads.
func (d *Driver) ForgetUploads(ctx context.Context, ids []string) error {
	return d.commit.tx(ctx, func(ctx context.Context) error {
		for _, id := range ids {
			if _, err := d.commit.conn.ExecContext(ctx, `DELETE FROM uploads WHERE id = ? AND done = 1`, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// AbortUpload implements object.Uploads.
func (d *Driver) AbortUpload(ctx context.Context, id string) error {
	return d.commit.submit(ctx, &request{sess: &session{}, aborts: id})
}
