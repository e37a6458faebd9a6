package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// readPool reads catalog.db. Every question is one statement, and so one snapshot; no read outlives a page.
type readPool struct {
	db      *sql.DB // closes the statements, too
	bucket  *sql.Stmt
	buckets *sql.Stmt
	arrived *sql.Stmt
	stat    *sql.Stmt
	open    *sql.Stmt
	list    *sql.Stmt
	file    *sql.Stmt
	whole   *sql.Stmt
	byHash  *sql.Stmt
	byID    *sql.Stmt
	epoch   *sql.Stmt
	upload  *sql.Stmt
	uploads *sql.Stmt
	parts   *sql.Stmt
}

func openReadPool(ctx context.Context, catalog database) (*readPool, error) {
	db, err := catalog.open(readers, catalogCacheKiB)
	if err != nil {
		return nil, err
	}
	p := &readPool{db: db}
	err = prepare(ctx, db, map[**sql.Stmt]string{
		&p.bucket:  `SELECT id, owner, created FROM buckets WHERE name = ?`,
		&p.buckets: `SELECT name, owner, created FROM buckets WHERE name >= ? ORDER BY name LIMIT ?`,
		&p.arrived: `SELECT arrived FROM buckets WHERE name = ?`,
		&p.stat: `SELECT b.id, k.info FROM buckets b LEFT JOIN keys k ON k.bucket = b.id AND k.key = ? AND k.version = 0
			WHERE b.name = ?`,
		&p.open: `SELECT b.id, k.info, f.hash, f.terms FROM buckets b
			LEFT JOIN keys k ON k.bucket = b.id AND k.key = ? AND k.version = 0
			LEFT JOIN files f ON f.id = k.file WHERE b.name = ?`,
		&p.list: `SELECT key, info FROM keys WHERE bucket = ? AND key >= ? AND (key < ? OR ?) AND version = 0
			ORDER BY key LIMIT ?`,
		&p.file: `SELECT terms FROM files WHERE hash = ?`,
		&p.whole: `SELECT hash FROM files f WHERE hash IN (?` + strings.Repeat(", ?", wholeAtOnce-1) + `) AND doomed = 0
			AND NOT EXISTS (SELECT 1 FROM damaged d JOIN refs r ON r.xorb = d.xorb WHERE r.file = f.id)`,
		&p.byHash: `SELECT id, file, off, len FROM xorbs WHERE hash = ?`,
		&p.byID: `SELECT hash, file, off, len FROM xorbs WHERE id = ? AND doomed = 0
			AND id NOT IN (SELECT xorb FROM damaged)`,
		&p.epoch:  `SELECT m.epoch, p.epoch FROM meta m, procs p WHERE p.id = ? AND p.epoch <> 0`,
		&p.upload: `SELECT ` + uploadColumns + ` FROM uploads u JOIN buckets b ON b.id = u.bucket WHERE u.id = ?`,
		&p.uploads: `SELECT ` + uploadColumns + ` FROM uploads u JOIN buckets b ON b.id = u.bucket
			WHERE u.bucket = ? AND u.done = 0 AND (u.key, u.created, u.id) > (?, ?, ?) AND (u.key < ? OR ?)
			ORDER BY u.key, u.created, u.id LIMIT ?`,
		&p.parts: `SELECT p.number, p.info, f.hash FROM parts p LEFT JOIN files f ON f.id = p.file
			WHERE p.upload = ? AND p.number > ? ORDER BY p.number LIMIT ?`,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// prepare fills in the statements. Those of an sql.DB are closed with it, those of an sql.Conn are not.
func prepare(ctx context.Context, db preparer, queries map[**sql.Stmt]string) error {
	for at, query := range queries {
		stmt, err := db.PrepareContext(ctx, query) //nolint:sqlclosecheck // see above
		if err != nil {
			return fmt.Errorf("prepare %q: %w", query, sqlError(err))
		}
		*at = stmt
	}
	return nil
}

func (p *readPool) close() error { return p.db.Close() }

// brief returns ctx without its cancellation: a read of the catalog takes microseconds, and watching a context in
// database/sql costs a goroutine each time.
func brief(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// live returns the cause of a ctx that has ended. It is asked once before each operation.
func live(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (d *Driver) bucket(ctx context.Context, name string) (id int64, b object.Bucket, err error) {
	if err := live(ctx); err != nil {
		return 0, b, err
	}
	var created int64
	err = d.reads.bucket.QueryRowContext(brief(ctx), name).Scan(&id, &b.Owner, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, b, object.ErrNoBucket
	}
	b.Name, b.Created = name, time.UnixMilli(created).UTC()
	return id, b, sqlError(err)
}

// Bucket implements object.Catalog.
func (d *Driver) Bucket(ctx context.Context, name string) (object.Bucket, error) {
	_, b, err := d.bucket(ctx, name)
	return b, err
}

// Buckets implements object.Catalog.
func (d *Driver) Buckets(ctx context.Context, start string, limit int) (page []object.Bucket, more bool, err error) {
	if err := live(ctx); err != nil {
		return nil, false, err
	}
	rows, err := d.reads.buckets.QueryContext(brief(ctx), start, limit+1)
	if err != nil {
		return nil, false, sqlError(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var b object.Bucket
		var created int64
		if err := rows.Scan(&b.Name, &b.Owner, &created); err != nil {
			return nil, false, sqlError(err)
		}
		b.Created = time.UnixMilli(created).UTC()
		page = append(page, b)
	}
	if len(page) > limit {
		page, more = page[:limit], true
	}
	return page, more, sqlError(rows.Err())
}

// CreateBucket implements object.Catalog.
func (d *Driver) CreateBucket(ctx context.Context, b object.Bucket) error {
	if err := d.room(0); err != nil {
		return err
	}
	return d.commit.tx(ctx, func(ctx context.Context) error {
		res, err := d.commit.conn.ExecContext(ctx,
			`INSERT INTO buckets (name, owner, created) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING`,
			b.Name, b.Owner, b.Created.UnixMilli())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			err = object.ErrBucketExists
		}
		return err
	})
}

// DeleteBucket implements object.Catalog. Uploads go first, a slice in each transaction, and the bucket with the last of them; each
// looks anew whether the bucket is there and empty.
func (d *Driver) DeleteBucket(ctx context.Context, name string) error {
	var id int64
	for more := true; more; {
		err := d.commit.tx(ctx, func(ctx context.Context) error {
			now, err := d.emptyBucket(ctx, name)
			if err != nil {
				return err
			}
			if id != 0 && now != id {
				return object.ErrNoBucket // somebody else has deleted it, and the name is another's
			}
			id = now
			if more, err = d.deleteUploads(ctx, id); err != nil || more {
				return err
			}
			_, err = d.commit.conn.ExecContext(ctx, `DELETE FROM buckets WHERE id = ?`, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// emptyBucket returns the row of a bucket without keys, in the transaction under way.
func (d *Driver) emptyBucket(ctx context.Context, name string) (id int64, err error) {
	var used bool
	err = d.commit.conn.QueryRowContext(ctx,
		`SELECT id, EXISTS (SELECT 1 FROM keys WHERE bucket = b.id) FROM buckets b WHERE name = ?`, name).Scan(&id, &used)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, object.ErrNoBucket
	case err == nil && used:
		return 0, object.ErrBucketNotEmpty
	}
	return id, err
}

// Stat implements object.Catalog.
func (d *Driver) Stat(ctx context.Context, bucket, key string) (object.Info, error) {
	if err := live(ctx); err != nil {
		return object.Info{}, err
	}
	at := keyName{bucket: bucket, key: key}
	var row []byte
	err := d.reads.stat.QueryRowContext(brief(ctx), []byte(key), bucket).Scan(&at.bucketID, &row)
	if err := foundKey(err, row); err != nil {
		return object.Info{}, err
	}
	return decodeInfo(at, row)
}

// foundKey tells a missing bucket (no row at all) from a missing key (a row without info).
func foundKey(err error, info []byte) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return object.ErrNoBucket
	case err != nil:
		return sqlError(err)
	case info == nil:
		return fs.ErrNotExist
	}
	return nil
}

// List implements object.Catalog. One damaged row fails the page that it is on: a listing that leaves a key out would be
// taken for the truth.
func (d *Driver) List(ctx context.Context, bucket string, q object.Page) (page []object.Info, more bool, err error) {
	id, _, err := d.bucket(ctx, bucket)
	if err != nil {
		return nil, false, err
	}
	end, bounded := object.PrefixEnd(q.Prefix)
	rows, err := d.reads.list.QueryContext(brief(ctx), id, blob(max(q.Start, q.Prefix)), blob(end), !bounded, q.Limit+1)
	if err != nil {
		return nil, false, sqlError(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var key, row []byte
		if err := rows.Scan(&key, &row); err != nil {
			return nil, false, sqlError(err)
		}
		info, err := decodeListed(keyName{bucket, id, string(key)}, row)
		if err != nil {
			return nil, false, err
		}
		page = append(page, info)
	}
	if len(page) > q.Limit {
		page, more = page[:q.Limit], true
	}
	return page, more, sqlError(rows.Err())
}

// blob is a string as SQLite shall bind it: never NULL.
func blob(s string) []byte { return append(make([]byte, 0, len(s)), s...) }

// Open implements object.Contents.
func (d *Driver) Open(ctx context.Context, bucket, key string) (object.Info, object.Content, error) {
	n := d.proc.pin()
	info, c, err := d.openKey(ctx, n, bucket, key)
	if err != nil {
		n.release()
		return object.Info{}, nil, err
	}
	return info, c, nil
}

func (d *Driver) openKey(ctx context.Context, n *pin, bucket, key string) (object.Info, *content, error) {
	if err := live(ctx); err != nil {
		return object.Info{}, nil, err
	}
	at := keyName{bucket: bucket, key: key}
	var row, hash, terms []byte
	err := d.reads.open.QueryRowContext(brief(ctx), []byte(key), bucket).Scan(&at.bucketID, &row, &hash, &terms)
	if err := foundKey(err, row); err != nil {
		return object.Info{}, nil, err
	}
	info, err := decodeInfo(at, row)
	if err != nil {
		return object.Info{}, nil, err
	}
	if string(hash) != string(info.File[:]) {
		return object.Info{}, nil, fmt.Errorf("%w: key %s/%q: its file row is missing or another's", object.ErrCorrupt, bucket, key)
	}
	file, err := decodeTerms(info.File, terms)
	if err == nil && int64(file.Size) != info.Size {
		err = fmt.Errorf("%w: key %s/%q has %d bytes, its file %d", object.ErrCorrupt, bucket, key, info.Size, file.Size)
	}
	if err != nil {
		return object.Info{}, nil, err
	}
	return info, newContent(d, n, file), nil
}

// OpenFile implements object.Contents.
func (d *Driver) OpenFile(ctx context.Context, hash xet.Hash) (object.Content, error) {
	n := d.proc.pin()
	file, err := d.reconstruction(ctx, hash)
	if err != nil {
		n.release()
		return nil, err
	}
	return newContent(d, n, file), nil
}

func (d *Driver) reconstruction(ctx context.Context, hash xet.Hash) (xet.Reconstruction, error) {
	if err := live(ctx); err != nil {
		return xet.Reconstruction{}, err
	}
	if hash.IsZero() {
		return xet.Reconstruction{}, nil
	}
	var terms []byte
	err := d.reads.file.QueryRowContext(brief(ctx), hash[:]).Scan(&terms)
	if errors.Is(err, sql.ErrNoRows) {
		return xet.Reconstruction{}, fs.ErrNotExist
	}
	if err != nil {
		return xet.Reconstruction{}, sqlError(err)
	}
	return decodeTerms(hash, terms)
}

// wholeAtOnce is how many files one statement asks for.
const wholeAtOnce = 16

// wholeFiles returns which files are stored, stay stored for those who have a pin, and are not known to be damaged.
func (d *Driver) wholeFiles(ctx context.Context, files []xet.Hash) (map[xet.Hash]bool, error) {
	whole := make(map[xet.Hash]bool)
	for some := range slices.Chunk(files, wholeAtOnce) {
		args := make([]any, wholeAtOnce)
		for i := range args {
			args[i] = some[min(i, len(some)-1)][:]
		}
		rows, err := d.reads.whole.QueryContext(brief(ctx), args...)
		if err != nil {
			return nil, sqlError(err)
		}
		found, err := scanAll(rows, func(rows *sql.Rows) (column []byte, err error) {
			err = rows.Scan(&column)
			return column, err
		})
		if err != nil {
			return nil, err
		}
		for _, column := range found {
			h, err := hashOf(column)
			if err != nil {
				return nil, err
			}
			whole[h] = true
		}
	}
	return whole, nil
}
