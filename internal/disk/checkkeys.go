package disk

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hugbucket/internal/object"
)

// bucketName is the name of a bucket, and why it cannot be found by its name, if it cannot.
type bucketName struct {
	name string
	err  error
}

// foundKeyName is where a key stands in both orders.
type foundKeyName struct {
	file, bucket int64
	key          []byte
}

// keyRow is all that a key is made of but the terms of its file.
type keyRow struct {
	foundKeyName
	info   []byte
	hash   []byte // of the file's row; nil when there is none
	size   sql.NullInt64
	byFile bool // it stands in the index of files, too
}

// keyColumns are those of scanKey; byFile has to be asked for.
const keyColumns = `k.file, k.bucket, k.key, k.info, f.hash, f.size`

// keyByFile says whether a key stands in the index of files: collection takes away the file of one that does not.
const keyByFile = `EXISTS (SELECT 1 FROM keys i INDEXED BY keys_file
	WHERE i.file = k.file AND i.bucket = k.bucket AND i.key = k.key AND i.version = k.version)`

func scanKey(rows *sql.Rows) (k keyRow, err error) {
	err = rows.Scan(&k.file, &k.bucket, &k.key, &k.info, &k.hash, &k.size, &k.byFile)
	return k, err
}

// checkKeys reads each key as a reader does. The keys are found in their table; when a page of that is damaged, those behind
// it are found in the index of files, which names each key, too.
func (c *checker) checkKeys(ctx context.Context) error {
	if err := c.buckets(ctx); err != nil {
		return err
	}
	c.begin(Step{Name: "opening keys"})
	at, broken := foundKeyName{key: []byte{}}, false
	next := func(limit int) (bool, error) {
		page, err := collect(brief(ctx), c.db, scanKey, `SELECT `+keyColumns+`, `+keyByFile+` FROM keys k LEFT JOIN files f ON f.id = k.file
			WHERE k.version = 0 AND (k.bucket, k.key) > (?, ?) ORDER BY k.bucket, k.key LIMIT ?`, at.bucket, at.key, limit)
		if err == nil {
			for _, k := range page {
				if err := c.key(ctx, k); err != nil {
					return false, err
				}
				at = k.foundKeyName
			}
			return len(page) > 0, nil
		}
		if !errors.Is(err, object.ErrCorrupt) {
			return false, err
		}
		// Something of one of them is damaged: each is looked at by itself.
		names, err := c.keyNames(ctx, `SELECT file, bucket, key FROM keys
			WHERE (bucket, key) > (?, ?) AND version = 0 ORDER BY bucket, key LIMIT ?`, at.bucket, at.key, limit)
		for _, at = range names {
			if err := c.keyAlone(ctx, at); err != nil {
				return false, err
			}
		}
		return len(names) > 0, err
	}
	skip := func() bool { broken = true; return false }
	if err := pages(ctx, next, skip); err != nil || !broken {
		return err
	}
	return c.keysByFile(ctx, func(k foundKeyName) error {
		if k.bucket < at.bucket || k.bucket == at.bucket && bytes.Compare(k.key, at.key) <= 0 {
			return nil // found before
		}
		return c.keyAlone(ctx, k)
	})
}

func (c *checker) keyNames(ctx context.Context, query string, args ...any) (out []foundKeyName, err error) {
	return collect(brief(ctx), c.db, func(rows *sql.Rows) (at foundKeyName, err error) {
		err = rows.Scan(&at.file, &at.bucket, &at.key)
		return at, err
	}, query, args...)
}

// keysByFile calls f for each key that the index of files names.
func (c *checker) keysByFile(ctx context.Context, f func(foundKeyName) error) error {
	last, err := c.d.lastID(ctx, "files")
	if err != nil {
		return err
	}
	at := foundKeyName{key: []byte{}}
	next := func(limit int) (bool, error) {
		page, err := c.keyNames(ctx, `SELECT file, bucket, key FROM keys INDEXED BY keys_file
			WHERE (file, bucket, key) > (?, ?, ?) ORDER BY file, bucket, key LIMIT ?`, at.file, at.bucket, at.key, limit)
		for _, at = range page {
			if err := f(at); err != nil {
				return false, err
			}
		}
		return len(page) > 0, err
	}
	skipped := false
	skip := func() bool {
		at, skipped = foundKeyName{file: at.file + 1, key: []byte{}}, true
		return at.file <= last
	}
	err = pages(ctx, next, skip)
	if skipped {
		c.problem(Problem{What: "catalog.db: more keys may be damaged than can be named"})
	}
	return err
}

// buckets reads the names of buckets, as far as they can be read in one order or the other, and whether each is found by its name.
func (c *checker) buckets(ctx context.Context) error {
	c.names = make(map[int64]bucketName)
	for query, last := range map[string]any{
		`SELECT id, name, id FROM buckets WHERE id > ? ORDER BY id LIMIT ?`:                                             int64(0),
		`SELECT id, name, name FROM buckets INDEXED BY sqlite_autoindex_buckets_1 WHERE name > ? ORDER BY name LIMIT ?`: "",
	} {
		for {
			page, err := anyRows(brief(ctx), c.db, query, last, checkPage)
			if fatal(err) {
				return err
			}
			for _, row := range page {
				id, _ := row[0].(int64)
				name, _ := row[1].(string)
				c.names[id], last = bucketName{name: name}, row[2]
			}
			if err != nil || len(page) == 0 {
				break
			}
		}
	}
	for id, b := range c.names {
		var found int64
		err := sqlError(c.db.QueryRowContext(brief(ctx), `SELECT id FROM buckets WHERE name = ?`, b.name).Scan(&found))
		switch {
		case err == nil && found != id, errors.Is(err, sql.ErrNoRows):
			b.err = corrupt("catalog.db: bucket %s is not found by its name", b.name)
		case fatal(err):
			return err
		default:
			b.err = err
		}
		c.names[id] = b
	}
	return nil
}

// key looks at a key, and if something is wrong again by itself: it may be another by now, or gone.
func (c *checker) key(ctx context.Context, k keyRow) error {
	wrong, err := c.wrongKey(ctx, k)
	if err != nil {
		return err
	}
	if wrong != nil {
		return c.keyAlone(ctx, k.foundKeyName)
	}
	c.done.Keys++
	c.move(c.done.Keys, checkPage)
	return nil
}

// keyAlone reads a key and reports it when it cannot be read. One that is gone is not.
func (c *checker) keyAlone(ctx context.Context, at foundKeyName) error {
	if err := live(ctx); err != nil {
		return err
	}
	wrong, err := c.readKey(ctx, at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	c.done.Keys++
	if wrong != nil && err == nil {
		name := c.names[at.bucket].name
		if name == "" {
			name = fmt.Sprint("bucket ", at.bucket)
		}
		c.problem(Problem{What: wrong.Error(), Keys: []string{fmt.Sprintf("%s/%s", name, at.key)}})
	}
	c.move(c.done.Keys, checkPage)
	return err
}

// readKey says what is wrong with a key; sql.ErrNoRows when there is none.
func (c *checker) readKey(ctx context.Context, at foundKeyName) (wrong, err error) {
	ask := func(byFile string) (k keyRow, err error) {
		err = c.db.QueryRowContext(brief(ctx), `SELECT `+keyColumns+`, `+byFile+` FROM keys k LEFT JOIN files f ON f.id = k.file
			WHERE k.bucket = ? AND k.key = ? AND k.version = 0`, at.bucket, at.key).
			Scan(&k.file, &k.bucket, &k.key, &k.info, &k.hash, &k.size, &k.byFile)
		return k, sqlError(err)
	}
	if _, ok := c.names[at.bucket]; !ok { // it came meanwhile
		if err := c.buckets(ctx); err != nil {
			return nil, err
		}
	}
	k, err := ask(keyByFile)
	if errors.Is(err, object.ErrCorrupt) { // of the index: that hurts no key
		k, err = ask("1")
	}
	if errors.Is(err, object.ErrCorrupt) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	return c.wrongKey(ctx, k)
}

// wrongKey says what is wrong with a key, by what was read of it. The second error says that it could not be told.
func (c *checker) wrongKey(ctx context.Context, k keyRow) (wrong, err error) {
	b, ok := c.names[k.bucket]
	if !ok {
		return corrupt("catalog.db: there is no bucket in row %d", k.bucket), nil
	}
	if b.err != nil {
		return b.err, nil
	}
	info, err := decodeInfo(keyName{b.name, k.bucket, string(k.key)}, k.info)
	if err != nil {
		return err, nil
	}
	if string(k.hash) != string(info.File[:]) {
		return corrupt("key %s/%q: its file row is missing or another's", b.name, k.key), nil
	}
	if k.size.Int64 != info.Size {
		return corrupt("key %s/%q has %d bytes, its file %d", b.name, k.key, info.Size, k.size.Int64), nil
	}
	if !k.byFile {
		return corrupt("key %s/%q does not stand in the index of files", b.name, k.key), nil
	}
	return c.fileOf(ctx, k.file)
}
