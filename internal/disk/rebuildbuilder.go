package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"

	"hugbucket/internal/disk/sumvfs"
	"hugbucket/internal/object"
)

// builder fills a new catalog. Nobody else has it open, and what it has written is worth nothing before it is whole: nothing
// is synced on the way.
type builder struct {
	successor
	opts    RebuildOptions
	d       *Driver // that reads content, and has no catalog
	sources []*source
	blind   bool // the store's own catalog is there, and nothing of it can be read
	missing bool // a file that the store's own catalog knows could not be taken
	done    Rebuilt

	bucketIDs map[string]int64 // that were asked for

	db   *sql.DB
	conn *sql.Conn
	n    int // changes in the transaction under way
	st   buildStatements
}

type buildStatements struct {
	insertXorb, insertTwin, xorbAt                    *sql.Stmt
	noteXorb, moveXorb, damaged, undamaged            *sql.Stmt
	file, insertFile, insertRef, dateFile, undateFile *sql.Stmt
	insertKey, lost, found, keepXorb                  *sql.Stmt
	insertBucket, bucketID, insertPart                *sql.Stmt
	insertUpload, insertPack                          *sql.Stmt
}

// buildSlice is how many changes make a transaction.
const buildSlice = 500

func newBuilder(ctx context.Context, s successor, opts RebuildOptions) (_ *builder, err error) {
	b := &builder{successor: s, opts: opts, bucketIDs: make(map[string]int64)}
	b.d = &Driver{dir: s.dir, fs: s.fs, files: newFileCache(s.fs), xorbs: newXorbCache()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if err := b.openSources(ctx); err != nil {
		return nil, err
	}
	at := database{path: s.path(successorName), vfs: sums, synchronous: "OFF"}
	if err := registerSums(); err != nil {
		return nil, err
	}
	if err := sumvfs.Create(at.path, at.vfs); err != nil {
		return nil, ioError(err)
	}
	if b.db, err = at.open(1, writeCacheKiB); err != nil {
		return nil, err
	}
	if err := prepareDB(ctx, b.db, successorName, catalogSchema); err != nil {
		return nil, err
	}
	if b.conn, err = b.db.Conn(ctx); err != nil {
		return nil, sqlError(err)
	}
	// What is found twice, and what is not found: hashes and names, of which there may be many.
	err = b.exec(ctx, `BEGIN;
		CREATE TEMP TABLE twins (hash BLOB NOT NULL, file TEXT NOT NULL, off INTEGER NOT NULL, len INTEGER NOT NULL,
			chunks INTEGER NOT NULL, raw INTEGER NOT NULL, PRIMARY KEY (hash, file, off)) WITHOUT ROWID;
		CREATE TEMP TABLE lost (bucket TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID`)
	if err != nil {
		return nil, err
	}
	return b, prepare(ctx, b.conn, b.queries())
}

func (b *builder) queries() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&b.st.insertXorb: `INSERT INTO xorbs (hash, file, off, len, chunks, raw) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (hash) DO NOTHING`,
		&b.st.insertTwin: `INSERT INTO twins (hash, file, off, len, chunks, raw) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (hash, file, off) DO NOTHING`,
		&b.st.xorbAt: `SELECT id, file, off, len FROM xorbs WHERE hash = ?`,
		&b.st.noteXorb: `UPDATE xorbs SET keep_until = max(keep_until, ?1),
			packed = CASE WHEN file = ?2 AND off = ?3 THEN ?4 ELSE packed END WHERE hash = ?5`,
		&b.st.moveXorb:   `UPDATE xorbs SET file = ?, off = ?, len = ? WHERE hash = ?`,
		&b.st.damaged:    `INSERT INTO damaged SELECT id FROM xorbs WHERE hash = ? ON CONFLICT (xorb) DO NOTHING`,
		&b.st.undamaged:  `DELETE FROM damaged WHERE xorb = (SELECT id FROM xorbs WHERE hash = ?)`,
		&b.st.file:       `SELECT id, size FROM files WHERE hash = ?`,
		&b.st.insertFile: `INSERT INTO files (hash, size, terms, keep_until) VALUES (?, ?, ?, ?)`,
		&b.st.insertRef:  `INSERT INTO refs (xorb, file) VALUES (?, ?)`,
		&b.st.dateFile:   `UPDATE files SET keep_until = max(keep_until, ?) WHERE id = ?`,
		&b.st.undateFile: `UPDATE files SET keep_until = 0 WHERE id = ?`,
		&b.st.keepXorb:   `UPDATE xorbs SET keep_until = ? WHERE id = ?`,
		&b.st.insertKey: `INSERT INTO keys (bucket, key, version, file, info) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (bucket, key, version) DO NOTHING`,
		&b.st.lost:  `INSERT INTO lost (bucket, key) VALUES (?, ?) ON CONFLICT (bucket, key) DO NOTHING`,
		&b.st.found: `DELETE FROM lost WHERE bucket = ? AND key = ?`,
		&b.st.insertBucket: `INSERT INTO buckets (id, name, owner, created, versioning, arrived)
			VALUES (iif(EXISTS (SELECT 1 FROM buckets WHERE id = ?1), NULL, ?1), ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO NOTHING`,
		&b.st.bucketID: `SELECT id FROM buckets WHERE name = ?`,
		&b.st.insertUpload: `INSERT INTO uploads (id, bucket, key, created, done, info) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO NOTHING`,
		&b.st.insertPart: `INSERT INTO parts (upload, number, file, info)
			SELECT ?1, ?2, f.id, ?4 FROM files f WHERE f.hash = ?3 AND EXISTS (SELECT 1 FROM uploads WHERE id = ?1 AND done = 0)
			ON CONFLICT (upload, number) DO NOTHING`,
		&b.st.insertPack: `INSERT INTO packs (file, proc, sealed, size) VALUES (?, ?, 1, ?)`,
	}
}

// openSources opens the old catalogs that there are, the store's own first.
func (b *builder) openSources(ctx context.Context) error {
	own := b.path("catalog.db")
	if st, err := os.Stat(own); err == nil && st.Size() > 0 {
		if err := b.openSource(ctx, own); err != nil {
			return err
		}
		b.blind = len(b.sources) == 0
	}
	if b.opts.Catalog == "" {
		return nil
	}
	if _, err := os.Stat(b.opts.Catalog); err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	n := len(b.sources)
	if err := b.openSource(ctx, b.opts.Catalog); err != nil {
		return err
	}
	if len(b.sources) == n {
		return fmt.Errorf("%w: %s is no backup of a catalog that can be read", object.ErrCorrupt, b.opts.Catalog)
	}
	return nil
}

func (b *builder) openSource(ctx context.Context, path string) error {
	src, err := openSource(ctx, path, b.opts.Report)
	if src == nil || err != nil {
		return err
	}
	mark, err := database{path: path}.fresh()
	src.now = mark != freshBackup && len(b.sources) == 0 && path == b.path("catalog.db")
	b.sources = append(b.sources, src)
	return err
}

// garbage returns the store's own catalog when that is whole and all of its files are there: what it knows and no key of its
// names is not needed any more. Nil when there is no such catalog: then nobody can tell.
func (b *builder) garbage() *source {
	if len(b.sources) == 0 || !b.sources[0].now || !b.sources[0].whole || b.missing {
		return nil
	}
	return b.sources[0]
}

// all makes the catalog.
func (b *builder) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{b.sequences, b.replay, b.content, b.twins} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, *source) error{b.dates, b.files, b.buckets, b.keys, b.uploads, b.parts} {
		for _, src := range b.sources {
			if err := step(ctx, src); err != nil {
				return err
			}
		}
	}
	for _, step := range []func(context.Context) error{b.lost, b.orphans, b.finish} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	none := len(b.sources) == 0 && b.done.Xorbs > 0
	b.done.Blind = none || b.blind || slices.ContainsFunc(b.sources, func(s *source) bool { return !s.whole })
	return nil
}

// sequences sees that no id is given again that one of the sources has given. What names of files bear is seen to by who opens
// the catalog first.
func (b *builder) sequences(ctx context.Context) error {
	epoch := int64(0)
	for _, table := range []string{"procs", "buckets", "xorbs", "files", "parts"} {
		seq := int64(0)
		for _, src := range b.sources {
			n, err := src.number(ctx, lastIDQuery, table)
			if err != nil {
				return err
			}
			m, err := src.number(ctx, `SELECT ifnull(max(id), 0) FROM `+table)
			if err != nil {
				return err
			}
			e, err := src.number(ctx, `SELECT epoch FROM meta`)
			if err != nil {
				return err
			}
			seq, epoch = max(seq, n, m), max(epoch, e)
		}
		if err := b.exec(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, table, seq); err != nil {
			return err
		}
	}
	return b.exec(ctx, `UPDATE meta SET epoch = ?`, epoch+1)
}

// finish closes what is left to do in the new catalog, and counts what is in it.
func (b *builder) finish(ctx context.Context) error {
	for what, query := range map[*int64]string{
		&b.done.Buckets: `SELECT count(*) FROM buckets`, &b.done.Keys: `SELECT count(*) FROM keys`,
		&b.done.Files: `SELECT count(*) FROM files`, &b.done.Xorbs: `SELECT count(*) FROM xorbs`,
	} {
		if err := b.conn.QueryRowContext(ctx, query).Scan(what); err != nil {
			return b.failed(err)
		}
	}
	return b.exec(ctx, fmt.Sprintf(`DELETE FROM packs WHERE file NOT IN (SELECT file FROM xorbs);
		PRAGMA application_id = %d; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)`, freshNew))
}

// failed is an error of the new catalog. It is never an object.ErrCorrupt, which speaks of an old one.
func (b *builder) failed(err error) error {
	if err = sqlError(err); errors.Is(err, object.ErrCorrupt) {
		return fmt.Errorf("%s: %v", successorName, err) //nolint:errorlint // see above
	}
	if err != nil {
		return fmt.Errorf("%s: %w", successorName, err)
	}
	return nil
}

func (b *builder) exec(ctx context.Context, query string, args ...any) error {
	_, err := b.conn.ExecContext(brief(ctx), query, args...)
	return b.failed(err)
}

// slice begins another transaction when the one under way is long enough.
func (b *builder) slice(ctx context.Context) error {
	if b.n++; b.n%buildSlice > 0 {
		return nil
	}
	return b.exec(ctx, `COMMIT; BEGIN`)
}

// put runs a statement that changes something, and says whether it did.
func (b *builder) put(ctx context.Context, st *sql.Stmt, args ...any) (bool, error) {
	if err := b.slice(ctx); err != nil {
		return false, err
	}
	res, err := st.ExecContext(brief(ctx), args...)
	if err != nil {
		return false, b.failed(err)
	}
	n, err := res.RowsAffected()
	return n > 0, b.failed(err)
}

// rowsOf returns what a query of the new catalog answers, which is to be one page.
func rowsOf[T any](ctx context.Context, b *builder, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := b.conn.QueryContext(brief(ctx), query, args...)
	if err != nil {
		return nil, b.failed(err)
	}
	out, err := scanAll(rows, scan)
	return out, b.failed(err)
}

// close closes everything; what was not finished is lost.
func (b *builder) close() error {
	var errs []error
	for stmt := range b.queries() {
		if *stmt != nil {
			errs = append(errs, (*stmt).Close())
		}
	}
	if b.conn != nil {
		errs = append(errs, b.conn.Close())
	}
	if b.db != nil {
		errs = append(errs, b.db.Close())
	}
	for _, src := range b.sources {
		errs = append(errs, src.close())
	}
	return errors.Join(append(errs, b.d.files.close())...)
}
