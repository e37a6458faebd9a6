package disk

import (
	"context"
	"database/sql"
	"io/fs"

	"hugbucket/internal/object"
)

// renamePage is how many keys are in memory at once when many are renamed.
const renamePage = 256

// plannedRename is a rename that can be done.
type plannedRename struct {
	object.RenameOptions
	from, to int64 // buckets
	keys     int
	leave    *plannedKey
}

// Rename implements object.Session.
func (s *session) Rename(ctx context.Context, opts object.RenameOptions, leave *object.Info) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	r := &request{sess: s, rename: &opts, leave: leave}
	if s.err = s.commit(ctx, r); s.err != nil {
		return 0, s.err
	}
	return r.plan.rename.keys, nil
}

// planRename sees that there is something to rename, and nothing in the way.
func (c *committer) planRename(ctx context.Context, p *plan, req *request) (err error) {
	opts := *req.rename
	r := &plannedRename{RenameOptions: opts}
	if r.from, err = c.bucketID(ctx, opts.FromBucket); err != nil {
		return err
	}
	if r.to, err = c.bucketID(ctx, opts.ToBucket); err != nil {
		return err
	}
	var longest int
	if r.keys, longest, err = c.countKeys(ctx, r.from, opts.From, object.MaxRename+1); err != nil {
		return err
	}
	switch {
	case r.keys == 0:
		return fs.ErrNotExist
	case r.keys > object.MaxRename:
		return object.ErrTooMany
	}
	if err := opts.Fits(longest); err != nil {
		return err
	}
	if opts.Many() && !opts.Same() {
		taken, _, err := c.countKeys(ctx, r.to, opts.To, 1)
		if err != nil {
			return err
		}
		if taken > 0 {
			return object.ErrTaken
		}
	}
	p.rename = r
	r.leave, err = planMarker(r.from, req.leave)
	return err
}

// span returns the first key that a name of a rename stands for, and the first behind them.
func span(name string, many bool) (first, end []byte) {
	if !many {
		return blob(name), blob(name + "\x00")
	}
	next, _ := object.PrefixEnd(name) // there is one: the name ends in a slash
	return blob(name), blob(next)
}

// countKeys returns how many keys a name stands for, most at most, and how long the longest of these is.
func (c *committer) countKeys(ctx context.Context, bucket int64, name string, most int) (n, longest int, err error) {
	first, end := span(name, name[len(name)-1] == '/')
	err = c.st.countKeys.QueryRowContext(ctx, bucket, first, end, most).Scan(&n, &longest)
	return n, longest, sqlError(err)
}

// renameKeys gives rows their new names, a page of them at a time. Those that have theirs are not found under the old one.
func (c *committer) renameKeys(ctx context.Context, p *plan) error {
	r := p.rename
	if r.Same() {
		return nil
	}
	first, end := span(r.From, r.Many())
	for {
		rows, err := c.st.someKeys.QueryContext(ctx, r.from, first, end, renamePage)
		if err != nil {
			return err
		}
		page, err := scanAll(rows, scanMoved)
		if err != nil {
			return err
		}
		for _, k := range page {
			if err := c.renameKey(ctx, r, k); err != nil {
				return err
			}
		}
		if len(page) < renamePage {
			return c.writeMarker(ctx, p, r.leave)
		}
	}
}

// renameKey moves a row. What it says of its object stays as it is, sealed for the new name.
func (c *committer) renameKey(ctx context.Context, r *plannedRename, k movedRow) error {
	at := keyName{r.FromBucket, r.from, string(k.key)}
	if _, err := openRow(k.info, at.salt()); err != nil {
		_, err := ofKey(at, object.Info{}, err)
		return err
	}
	to := keyName{r.ToBucket, r.to, r.NewKey(at.key)}
	_, err := c.st.renameKey.ExecContext(ctx, r.to, blob(to.key), sealRow(k.info, to.salt()), r.from, k.key)
	return err
}

// movedRow is a row of keys to be renamed.
type movedRow struct{ key, info []byte }

func scanMoved(rows *sql.Rows) (k movedRow, err error) {
	err = rows.Scan(&k.key, &k.info)
	return k, err
}
