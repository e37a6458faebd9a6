package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"hugbucket/internal/object"
)

const (
	// expireSlice is how many rows of uploads and parts a transaction deletes, so that others get their turn; an upload goes
	// whole.
	expireSlice = 1000
	// hurtUploads is how many damaged uploads an error names.
	hurtUploads = 10
)

// oldUpload is an upload that was created long ago, and where the next one goes on.
type oldUpload struct {
	created int64
	id      string
}

// ExpireUploads implements object.Uploads. It gives others a turn now and then; on an error it returns how many were deleted
// before. A transaction that met damage is gone, whole: its uploads are then taken one by one, so that only the damaged ones stay.
func (d *Driver) ExpireUploads(ctx context.Context, before time.Time) (int, error) {
	n := 0
	var hurt damagedUploads
	for last := (oldUpload{created: math.MinInt64}); ; {
		old, err := d.oldUploads(ctx, before, last)
		if err != nil {
			return n, errors.Join(hurt.err(), err)
		}
		if len(old) == 0 {
			return n, hurt.err()
		}
		last = old[len(old)-1]
		for len(old) > 0 {
			open, looked, err := d.expire(ctx, before, old)
			if errors.Is(err, object.ErrCorrupt) {
				open, err = d.expireEach(ctx, before, old, &hurt)
				looked = len(old)
			}
			n += open
			if err != nil {
				return n, errors.Join(hurt.err(), err)
			}
			old = old[looked:]
		}
	}
}

// oldUploads returns the next uploads that were created before a time.
func (d *Driver) oldUploads(ctx context.Context, before time.Time, last oldUpload) ([]oldUpload, error) {
	if err := live(ctx); err != nil {
		return nil, err
	}
	// Of the index alone: a damaged row is met when it is its turn.
	return collect(brief(ctx), d.reads.db, func(rows *sql.Rows) (u oldUpload, err error) {
		err = rows.Scan(&u.created, &u.id)
		return u, err
	}, `SELECT created, id FROM uploads WHERE created < ? AND (created, id) > (?, ?) ORDER BY created, id LIMIT ?`,
		before.UnixMilli(), last.created, last.id, expireSlice)
}

// expireEach is expire with a transaction for each upload; it goes on behind those that are damaged.
func (d *Driver) expireEach(ctx context.Context, before time.Time, old []oldUpload, hurt *damagedUploads) (open int, err error) {
	for u := range slices.Chunk(old, 1) {
		n, _, err := d.expire(ctx, before, u)
		if errors.Is(err, object.ErrCorrupt) {
			hurt.add(u[0].id, err)
			continue
		}
		if err != nil {
			return open, err
		}
		open += n
	}
	return open, nil
}

// expire deletes in one transaction the first of some uploads to which nothing has happened since a time. It returns how many it
// has looked at, and how many of those it deleted were open.
func (d *Driver) expire(ctx context.Context, before time.Time, old []oldUpload) (open, looked int, err error) {
	err = d.commit.tx(ctx, func(ctx context.Context) error {
		for deleted := 0; looked < len(old) && deleted < expireSlice; looked++ {
			id := old[looked].id
			at, done, err := d.lastOf(ctx, id)
			if err != nil {
				return err
			}
			if !at.Before(before) {
				continue
			}
			n, err := d.deleteUpload(ctx, id)
			if err != nil {
				return err
			}
			deleted += n
			if n > 0 && !done { // else somebody else has deleted it meanwhile
				open++
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return open, looked, nil
}

// lastOf returns when the last part of an upload came, or when it was completed, and whether it was. The time is zero when it has no
// part. What a damaged part says is not known, and then neither is the time: an ErrCorrupt. A damaged row of one that is done is old:
// there is nothing to lose in it.
func (d *Driver) lastOf(ctx context.Context, id string) (at time.Time, done bool, err error) {
	var number int
	var info []byte
	err = d.commit.st.lastPart.QueryRowContext(ctx, id).Scan(&number, &info)
	if err == nil {
		part, err := readPart(id, number, info)
		return part.ModTime, false, err
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return at, false, sqlError(err)
	}
	row, err := scanUpload(d.commit.st.anyUpload.QueryRowContext(ctx, id))
	if errors.Is(err, sql.ErrNoRows) { // it has gone, or its bucket has
		return at, false, nil
	}
	if err != nil {
		return at, false, sqlError(err)
	}
	if up, err := row.upload(); err == nil && row.done {
		at = up.Done.ModTime
	}
	return at, row.done, nil
}

// deleteUploads deletes a slice of a bucket's uploads, in the transaction under way, and returns whether there are more.
func (d *Driver) deleteUploads(ctx context.Context, bucket int64) (more bool, err error) {
	rows, err := d.commit.conn.QueryContext(ctx, `SELECT id FROM uploads WHERE bucket = ? LIMIT ?`, bucket, expireSlice)
	if err != nil {
		return false, err
	}
	ids, err := scanAll(rows, func(rows *sql.Rows) (id string, err error) {
		err = rows.Scan(&id)
		return id, err
	})
	if err != nil {
		return false, err
	}
	deleted := 0
	for i, id := range ids {
		n, err := d.deleteUpload(ctx, id)
		if err != nil {
			return false, fmt.Errorf("delete upload %s: %w", id, err)
		}
		if deleted += n; deleted >= expireSlice {
			return i+1 < len(ids) || len(ids) == expireSlice, nil
		}
	}
	return false, nil
}

// deleteUpload deletes an upload and its parts, in the transaction under way. It returns how many rows these were.
func (d *Driver) deleteUpload(ctx context.Context, id string) (int, error) {
	gone, err := d.commit.st.delUpload.ExecContext(ctx, id)
	if err != nil {
		return 0, err
	}
	parts, err := d.commit.st.delParts.ExecContext(ctx, id)
	if err != nil {
		return 0, err
	}
	n, err := gone.RowsAffected()
	if err != nil {
		return 0, err
	}
	m, err := parts.RowsAffected()
	return int(n + m), err
}

// damagedUploads are the uploads that were met damaged.
type damagedUploads struct {
	n    int
	errs []error // of the first of them
}

func (h *damagedUploads) add(id string, err error) {
	if h.n++; len(h.errs) < hurtUploads {
		h.errs = append(h.errs, fmt.Errorf("upload %s: %w", id, err))
	}
}

func (h *damagedUploads) err() error {
	if h.n == 0 {
		return nil
	}
	return fmt.Errorf("%d damaged uploads are kept: %w", h.n, errors.Join(h.errs...))
}
