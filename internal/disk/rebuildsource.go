package disk

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"hugbucket/internal/object"
)

// source is an old catalog that is read as far as it can be, and not changed.
type source struct {
	name    string // for messages
	db      *sql.DB
	now     bool             // it is the store's own, and not one that somebody has put there from a backup
	whole   bool             // nothing was met so far that could not be read
	buckets map[int64]string // names by id, as far as they are known
	report  func(Problem)
}

// openSource opens an old catalog; nil when it is one of which nothing can be read, which it reports.
func openSource(ctx context.Context, path string, report func(Problem)) (*source, error) {
	if err := registerSums(); err != nil {
		return nil, err
	}
	q := url.Values{"vfs": {sums}, "mode": {"ro"}}
	if st, err := os.Stat(path + "-wal"); err != nil || st.Size() == 0 {
		q.Add("immutable", "1") // else SQLite would make a log beside it
	}
	name := filepath.Base(path)
	version, err := peekFormat(path)
	switch {
	case errors.Is(err, errNoDatabase): // of its text, what to do about it is being done
		report(Problem{What: fmt.Sprintf("%s: nothing of it can be read: %v", name, errNoDatabase)})
		return nil, nil //nolint:nilnil // a catalog that cannot be read is reported, and is no error
	case err != nil:
		return nil, err
	case version > format:
		return nil, newerFormat(name, version)
	case version > 0 && version < format:
		return nil, olderFormat(name, version)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	err = sqlError(db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version))
	if err == nil && version != format {
		err = fmt.Errorf("%w: %s has format %d, this program knows %d", object.ErrCorrupt, name, version, format)
	}
	if errors.Is(err, object.ErrCorrupt) {
		report(Problem{What: fmt.Sprintf("%s: nothing of it can be read: %v", name, err)})
		return nil, db.Close()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &source{name: name, db: db, whole: true, report: report}
	if err := s.damage(database{path: path}.checkLog(), "the end of its log"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// rows returns the answer to a question, whatever types its columns have, and on an error what came before it.
func (s *source) rows(ctx context.Context, query string, args ...any) ([][]any, error) {
	return anyRows(brief(ctx), s.db, query, args...)
}

// number returns the answer to a question for one number, 0 when it cannot be read or there is none.
func (s *source) number(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = sqlError(s.db.QueryRowContext(brief(ctx), query, args...).Scan(&n))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, s.damage(err, "")
}

// damage takes note of what cannot be read, and reports what is lost by it unless that is empty. Other errors it returns.
func (s *source) damage(err error, what string) error {
	if !errors.Is(err, object.ErrCorrupt) {
		return err
	}
	s.whole = false
	if what != "" {
		s.report(Problem{What: fmt.Sprintf("%s: %s cannot be read: %v", s.name, what, err)})
	}
	return nil
}

// byID calls f for each row of a table that can be read; row[0] is its id.
func (s *source) byID(ctx context.Context, table, columns string, f func(row []any) error) error {
	last, err := s.number(ctx, lastIDQuery, table)
	if err != nil {
		return err
	}
	from, skipped := int64(0), int64(0)
	var first error // that was met
	next := func(limit int) (bool, error) {
		page, err := s.rows(ctx, `SELECT id, `+columns+` FROM `+table+` WHERE id >= ? ORDER BY id LIMIT ?`, from, limit)
		for _, row := range page {
			if err := live(ctx); err != nil {
				return false, err
			}
			id, _ := row[0].(int64) // SQLite knows no other ids
			from = id + 1
			if err := f(row); err != nil {
				return false, err
			}
		}
		if err != nil && first == nil {
			first = err
		}
		return len(page) > 0, err
	}
	skip := func() bool {
		from++
		skipped++
		return from <= last
	}
	if err := pages(ctx, next, skip); err != nil || skipped == 0 {
		return err
	}
	return s.damage(first, fmt.Sprintf("rows of %s, as many as %d,", table, skipped))
}

// readBuckets calls f for each row of buckets that can be read (id, name, owner, created, versioning, arrived), and takes note of the
// names, also of those that only their index has.
func (s *source) readBuckets(ctx context.Context, f func(row []any) error) error {
	s.buckets = make(map[int64]string)
	err := s.byID(ctx, "buckets", "name, owner, created, versioning, arrived", func(row []any) error {
		id, _ := row[0].(int64)
		name, err := column[string](row, 1, "a bucket's name")
		if err != nil {
			return s.damage(err, "a bucket")
		}
		s.buckets[id] = name
		return f(row)
	})
	if err != nil || s.whole {
		return err
	}
	names, err := s.rows(ctx, `SELECT id, name FROM buckets INDEXED BY sqlite_autoindex_buckets_1 WHERE name >= ''`)
	for _, row := range names {
		id, _ := row[0].(int64)
		if name, ok := row[1].(string); ok {
			s.buckets[id] = name
		}
	}
	return s.damage(err, "")
}

// oldKey is a row of keys. info is nil where only the index of files names it.
type oldKey struct {
	bucket, version int64
	key, info       []byte
}

// keys calls f for each key that can be read, and, where a page of keys cannot be, for the name of each that the index of
// files knows to be there.
func (s *source) keys(ctx context.Context, f func(oldKey) error) error {
	last, broken := oldKey{version: -1}, error(nil)
	next := func(limit int) (bool, error) {
		page, err := s.rows(ctx, `SELECT bucket, key, version, info FROM keys
			WHERE (bucket, key, version) > (?, ?, ?) ORDER BY bucket, key, version LIMIT ?`, last.bucket, blob(string(last.key)), last.version, limit)
		for _, row := range page {
			if err := live(ctx); err != nil {
				return false, err
			}
			last = rowOfKey(row)
			if err := f(last); err != nil {
				return false, err
			}
		}
		if err != nil {
			broken = err
		}
		return len(page) > 0, err
	}
	gaveUp := false
	if err := pages(ctx, next, func() bool { gaveUp = true; return false }); err != nil || !gaveUp {
		return err
	}
	if err := s.damage(broken, "a page of keys"); err != nil {
		return err
	}
	return s.keysByFile(ctx, func(k oldKey) error {
		if k.bucket < last.bucket || k.bucket == last.bucket && bytes.Compare(k.key, last.key) <= 0 {
			return nil // it was found before
		}
		page, err := s.rows(ctx, `SELECT bucket, key, version, info FROM keys WHERE bucket = ? AND key = ? AND version = ?`,
			k.bucket, k.key, k.version)
		if err == nil && len(page) == 1 {
			k = rowOfKey(page[0])
		}
		if err = s.damage(err, ""); err != nil {
			return err
		}
		return f(k)
	})
}

func rowOfKey(row []any) (k oldKey) {
	k.bucket, _ = row[0].(int64)
	k.key, _ = row[1].([]byte)
	k.version, _ = row[2].(int64)
	k.info, _ = row[3].([]byte) // of any other type, it is damaged
	return k
}

// keysByFile calls f for each key that the index of files names, without its info.
func (s *source) keysByFile(ctx context.Context, f func(oldKey) error) error {
	last, err := s.number(ctx, lastIDQuery, "files")
	if err != nil {
		return err
	}
	file, at, broken := int64(0), oldKey{version: -1}, error(nil)
	next := func(limit int) (bool, error) {
		page, err := s.rows(ctx, `SELECT bucket, key, version, NULL, file FROM keys INDEXED BY keys_file
			WHERE (file, bucket, key, version) > (?, ?, ?, ?) ORDER BY file, bucket, key, version LIMIT ?`,
			file, at.bucket, blob(string(at.key)), at.version, limit)
		for _, row := range page {
			if err := live(ctx); err != nil {
				return false, err
			}
			at = rowOfKey(row)
			file, _ = row[4].(int64)
			if err := f(at); err != nil {
				return false, err
			}
		}
		if err != nil {
			broken = err
		}
		return len(page) > 0, err
	}
	skipped := false
	skip := func() bool {
		file, at, skipped = file+1, oldKey{version: -1}, true
		return file <= last
	}
	if err := pages(ctx, next, skip); err != nil || !skipped {
		return err
	}
	return s.damage(broken, "the index of keys, too: more keys may be lost than can be named; it")
}

func (s *source) close() error { return s.db.Close() }
