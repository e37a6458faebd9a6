package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// plan is what a request is going to write, found out without writing, so that a request that fails leaves the
// transaction to the others of its group.
type plan struct {
	files []*plannedFile
	xorbs []*plannedXorb // that get a row
	keys  []plannedKey

	byHash map[xet.Hash]*plannedFile
	xorb   map[xet.Hash]*plannedXorb
}

type plannedFile struct {
	hash   xet.Hash
	id     int64 // 0 until it is inserted
	mend   bool  // it is stored, but damaged: what is staged takes its place
	size   int64
	doomed bool
	rec    xet.Reconstruction // of one to insert
	terms  []byte
}

type plannedXorb struct {
	id     int64 // 0 until it is inserted
	mend   bool  // it is stored, but damaged: what is staged takes its place
	doomed bool
	staged *stagedXorb // nil when it is stored and stays as it is
	// forgotten says that the session kept no footer of it.
	forgotten bool
}

type plannedKey struct {
	bucket int64
	key    []byte
	info   []byte // nil deletes
	file   *plannedFile
}

// planFor evaluates a request against the catalog as the transaction sees it.
func (c *committer) planFor(ctx context.Context, r *request) (*plan, error) {
	p := &plan{byHash: make(map[xet.Hash]*plannedFile), xorb: make(map[xet.Hash]*plannedXorb)}
	if err := c.planKeys(ctx, p, r); err != nil {
		return nil, err
	}
	for _, f := range r.sess.files {
		if err := c.planFile(ctx, p, r.sess, f.Hash); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (c *committer) planKeys(ctx context.Context, p *plan, r *request) error {
	type name struct {
		bucket int64
		key    string
	}
	buckets := make(map[string]int64, 1)
	changed := make(map[name]*object.Info) // by the changes before
	for i, ch := range r.changes {
		fail := func(err error) error { return &object.ChangeError{Index: i, Err: err} }
		id, ok := buckets[ch.Bucket]
		if !ok {
			err := c.st.bucketID.QueryRowContext(ctx, ch.Bucket).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				return fail(object.ErrNoBucket)
			}
			if err != nil {
				return sqlError(err)
			}
			buckets[ch.Bucket] = id
		}
		at := name{id, ch.Key}
		if !ch.If.IsZero() {
			cur, ok := changed[at]
			if !ok {
				var err error
				if cur, err = c.current(ctx, keyName{ch.Bucket, id, ch.Key}); err != nil {
					return err
				}
			}
			if err := ch.If.Check(cur); err != nil {
				return fail(err)
			}
		}
		changed[at] = ch.New
		k := plannedKey{bucket: id, key: []byte(ch.Key)}
		if ch.New != nil {
			if err := c.planFile(ctx, p, r.sess, ch.New.File); err != nil {
				return fail(err)
			}
			if k.file = p.byHash[ch.New.File]; k.file.size != ch.New.Size {
				return fail(&object.InvalidError{
					Field: "size", Rule: fmt.Sprintf("file %s has %d bytes, not %d", ch.New.File, k.file.size, ch.New.Size),
				})
			}
			var err error
			info := *ch.New
			info.Key = ch.Key
			if k.info, err = encodeInfo(keyName{ch.Bucket, id, ch.Key}, &info); err != nil {
				return fail(err)
			}
		}
		p.keys = append(p.keys, k)
	}
	return nil
}

// current returns what a key names, nil if nothing.
func (c *committer) current(ctx context.Context, at keyName) (*object.Info, error) {
	var row []byte
	err := c.st.keyInfo.QueryRowContext(ctx, at.bucketID, []byte(at.key)).Scan(&row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // a missing key is an answer
	}
	if err != nil {
		return nil, sqlError(err)
	}
	info, err := decodeInfo(at, row)
	return &info, err
}

// planFile finds the row of a file, or what is needed to insert it. A row that exists wins over what is staged, unless it is
// known to be damaged: somebody who stores a damaged file again expects it to be whole then.
func (c *committer) planFile(ctx context.Context, p *plan, s *session, h xet.Hash) error {
	if p.byHash[h] != nil {
		return nil
	}
	f := &plannedFile{hash: h}
	rec, staged := s.files[h]
	var doomed int64
	err := c.st.fileByHash.QueryRowContext(ctx, h[:]).Scan(&f.id, &f.size, &doomed)
	if err == nil && staged {
		err = c.st.fileDamaged.QueryRowContext(ctx, f.id).Scan(&f.mend)
	}
	switch {
	case err == nil && !f.mend:
		f.doomed = doomed != 0
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return sqlError(err)
	default:
		if !staged && !h.IsZero() {
			return &object.InvalidError{Field: "file", Rule: fmt.Sprintf("file %s is neither stored nor staged", h)}
		}
		f.rec, f.rec.Hash, f.size = rec, h, int64(rec.Size)
		f.terms = encodeTerms(&f.rec)
		for _, x := range termXorbs(rec.Terms) {
			if err := c.planXorb(ctx, p, s, x); err != nil {
				return err
			}
		}
	}
	p.byHash[h] = f
	p.files = append(p.files, f)
	return nil
}

func (c *committer) planXorb(ctx context.Context, p *plan, s *session, h xet.Hash) error {
	if p.xorb[h] != nil {
		return nil
	}
	x := &plannedXorb{}
	var doomed, damaged int64
	err := c.st.xorbByHash.QueryRowContext(ctx, h[:]).Scan(&x.id, &doomed, &damaged)
	switch {
	case err == nil:
		x.doomed = doomed != 0
		if x.mend = damaged != 0; x.mend {
			if x.staged = s.find(h); x.staged != nil {
				p.xorbs = append(p.xorbs, x)
			}
		}
	case !errors.Is(err, sql.ErrNoRows):
		return sqlError(err)
	default:
		if x.staged = s.find(h); x.staged == nil {
			return &object.InvalidError{Field: "file", Rule: fmt.Sprintf("xorb %s is neither stored nor staged", h)}
		}
		p.xorbs = append(p.xorbs, x)
	}
	p.xorb[h] = x
	return nil
}

// write makes the plan's rows: xorbs, then files, then keys.
func (c *committer) write(ctx context.Context, p *plan) error {
	for _, x := range p.xorbs {
		if err := c.writeXorb(ctx, x); err != nil {
			return err
		}
	}
	for _, f := range p.files {
		if err := c.writeFile(ctx, p, f); err != nil {
			return err
		}
	}
	for _, k := range p.keys {
		var err error
		if k.info == nil {
			_, err = c.st.delKey.ExecContext(ctx, k.bucket, k.key)
		} else {
			_, err = c.st.putKey.ExecContext(ctx, k.bucket, k.key, k.file.id, k.info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *committer) writeXorb(ctx context.Context, x *plannedXorb) (err error) {
	at := x.staged.at
	if !x.mend {
		x.id, err = insert(ctx, c.st.insertXorb, x.staged.hash[:], at.file, at.off, at.len)
		return err
	}
	var epoch, told int64
	if err := c.st.epoch.QueryRowContext(ctx, c.d.proc.id).Scan(&epoch, &told); err != nil {
		return err
	}
	if _, err := c.st.trash.ExecContext(ctx, epoch+1, x.id); err != nil {
		return err
	}
	if _, err := c.st.moveXorb.ExecContext(ctx, at.file, at.off, at.len, x.id); err != nil {
		return err
	}
	_, err = c.st.mended.ExecContext(ctx, x.id)
	return err
}

func (c *committer) writeFile(ctx context.Context, p *plan, f *plannedFile) (err error) {
	undoom := f.doomed || f.mend
	if f.id == 0 || f.mend {
		if f.mend {
			_, err = c.st.moveFile.ExecContext(ctx, f.size, f.terms, f.id)
			if err == nil {
				_, err = c.st.delRefs.ExecContext(ctx, f.id)
			}
		} else {
			f.id, err = insert(ctx, c.st.insertFile, f.hash[:], f.size, f.terms)
		}
		if err != nil {
			return err
		}
		for _, h := range termXorbs(f.rec.Terms) {
			x := p.xorb[h]
			undoom = undoom || x.doomed
			if _, err := c.st.insertRef.ExecContext(ctx, x.id, f.id); err != nil {
				return err
			}
		}
	}
	if !undoom {
		return nil
	}
	if _, err := c.st.undoomFile.ExecContext(ctx, f.id); err != nil {
		return err
	}
	_, err = c.st.undoomXorbs.ExecContext(ctx, f.id)
	return err
}

func insert(ctx context.Context, st *sql.Stmt, args ...any) (int64, error) {
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// landed tells session, caches and index what a commit has stored, so that the next one finds it.
func (d *Driver) landed(p *plan) {
	for _, x := range p.xorbs {
		x.staged.row = true
		d.damaged.Delete(x.staged.hash)
		d.xorbs.drop(x.staged.hash)
		x.forgotten = x.staged.info == nil
		if info := x.staged.info; info != nil {
			d.xorbs.put(&xorbRef{id: x.id, place: x.staged.at, info: info})
			d.index.add(x.id, info)
		}
	}
}

// remember indexes the xorbs that their session had forgotten: their footers are read for that, after the answer. It returns
// the last row of the plan's xorbs.
func (d *Driver) remember(p *plan) (last int64) {
	for _, x := range p.xorbs {
		last = max(last, x.id)
		if x.forgotten {
			if info, err := d.readFooter(x.staged.hash, x.staged.at); err == nil {
				d.index.add(x.id, info) // the index is derived; who reads the xorb meets the same error
			}
		}
	}
	return last
}
