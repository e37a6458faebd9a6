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
	sess  *session
	files []*plannedFile
	keys  []plannedKey
	part  *plannedPart
	done  []plannedUpload

	rename *plannedRename
	begun  *uploadRow // nil for none
	aborts string     // empty for none

	byHash map[xet.Hash]*plannedFile
	xorbs  map[xet.Hash]*plannedXorb // that the rows of staged files refer to
	stored []*plannedXorb            // those that got a row, or took the place of one
}

// plannedFile is a file that a row will stand for. One that is staged is first tried to be inserted: it is new more often
// than not.
type plannedFile struct {
	hash   xet.Hash
	id     int64 // 0 until it is known
	size   int64
	doomed bool
	staged bool
	rec    xet.Reconstruction // of a staged one
}

// plannedXorb is a xorb that a staged file refers to.
type plannedXorb struct {
	id      int64 // 0 until it is known
	doomed  bool
	damaged bool
	staged  *stagedXorb // nil when it can only be one that is stored
}

// planFor evaluates a request against the catalog as the transaction sees it.
func (c *committer) planFor(ctx context.Context, r *request) (*plan, error) {
	p := &plan{sess: r.sess, byHash: make(map[xet.Hash]*plannedFile), xorbs: make(map[xet.Hash]*plannedXorb)}
	var err error
	switch {
	case r.part != nil:
		err = c.planPart(ctx, p, r.part)
	case r.rename != nil:
		err = c.planRename(ctx, p, r)
	case r.begins != nil:
		err = c.planUpload(ctx, p, *r.begins)
	case r.aborts != "":
		err = c.planAbort(ctx, p, r.aborts)
	default:
		err = c.planKeys(ctx, p, r)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range r.sess.files {
		if err := c.planFile(ctx, p, f.Hash); err != nil {
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
	changed := make(map[name]*object.Info) // by the changes before
	for i, ch := range r.changes {
		fail := func(err error) error { return &object.ChangeError{Index: i, Err: err} }
		id, err := c.bucketID(ctx, ch.Bucket)
		if errors.Is(err, object.ErrNoBucket) {
			return fail(err)
		}
		if err != nil {
			return err
		}
		at := name{id, ch.Key}
		if ch.Complete != nil {
			if err := c.planCompletion(ctx, p, ch); err != nil {
				return fail(err)
			}
		}
		if !ch.If.IsZero() || ch.Amends != nil {
			cur, ok := changed[at]
			if !ok {
				if cur, err = c.current(ctx, keyName{ch.Bucket, id, ch.Key}); err != nil {
					return err
				}
			}
			if err := ch.If.Check(cur); err != nil {
				return fail(err)
			}
			if ch.Amends != nil && (cur == nil || !cur.Same(ch.Amends)) {
				return fail(object.ErrPrecondition)
			}
		}
		changed[at] = ch.New
		k := plannedKey{bucket: id, key: []byte(ch.Key)}
		if k.leave, err = planMarker(id, ch.Leave); err != nil {
			return fail(err)
		}
		if ch.New != nil {
			k.brings = ch.Amends == nil && !ch.New.IsMarker()
			if err := c.planFile(ctx, p, ch.New.File); err != nil {
				return fail(err)
			}
			if k.file = p.byHash[ch.New.File]; k.file.size != ch.New.Size {
				return fail(&object.InvalidError{
					Field: "size", Rule: fmt.Sprintf("file %s has %d bytes, not %d", ch.New.File, k.file.size, ch.New.Size),
				})
			}
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

// bucketID finds a bucket; each is asked for once in a transaction.
func (c *committer) bucketID(ctx context.Context, name string) (id int64, err error) {
	if id, ok := c.buckets[name]; ok {
		return id, nil
	}
	err = c.st.bucketID.QueryRowContext(ctx, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, object.ErrNoBucket
	}
	if err != nil {
		return 0, sqlError(err)
	}
	c.buckets[name] = id
	return id, nil
}

// planFile sees that a file is stored, or staged with all that it refers to.
func (c *committer) planFile(ctx context.Context, p *plan, h xet.Hash) error {
	if p.byHash[h] != nil {
		return nil
	}
	f := &plannedFile{hash: h}
	rec, ok := p.sess.files[h]
	if ok || h.IsZero() { // the empty file needs no staging
		f.staged, f.rec, f.size = true, rec, int64(rec.Size)
		f.rec.Hash = h
		for _, x := range termXorbs(rec.Terms) {
			if err := c.planXorb(ctx, p, x); err != nil {
				return err
			}
		}
	} else {
		err := c.fileRow(ctx, f)
		if errors.Is(err, sql.ErrNoRows) {
			return &object.InvalidError{Field: "file", Rule: fmt.Sprintf("file %s is neither stored nor staged", h)}
		}
		if err != nil {
			return err
		}
	}
	p.byHash[h] = f
	p.files = append(p.files, f)
	return nil
}

// fileRow reads the row of a file; sql.ErrNoRows when there is none.
func (c *committer) fileRow(ctx context.Context, f *plannedFile) error {
	return sqlError(c.st.fileByHash.QueryRowContext(ctx, f.hash[:]).Scan(&f.id, &f.size, &f.doomed))
}

// planXorb sees that a xorb is stored or staged.
func (c *committer) planXorb(ctx context.Context, p *plan, h xet.Hash) error {
	if p.xorbs[h] != nil {
		return nil
	}
	x := &plannedXorb{staged: p.sess.find(h)}
	if x.staged == nil {
		err := c.xorbRow(ctx, x, h)
		if errors.Is(err, sql.ErrNoRows) {
			return &object.InvalidError{Field: "file", Rule: fmt.Sprintf("xorb %s is neither stored nor staged", h)}
		}
		if err == nil && x.damaged { // since the session was told of it
			err = fmt.Errorf("%w: xorb %s", object.ErrCorrupt, h)
		}
		if err != nil {
			return err
		}
	}
	p.xorbs[h] = x
	return nil
}

// xorbRow reads the row of a xorb; sql.ErrNoRows when there is none.
func (c *committer) xorbRow(ctx context.Context, x *plannedXorb, h xet.Hash) error {
	return sqlError(c.st.xorbByHash.QueryRowContext(ctx, h[:]).Scan(&x.id, &x.doomed, &x.damaged))
}

// write makes the plan's rows.
func (c *committer) write(ctx context.Context, p *plan) error {
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
		if err == nil {
			err = c.writeMarker(ctx, p, k.leave)
		}
		if err != nil {
			return err
		}
	}
	if p.rename != nil {
		if err := c.renameKeys(ctx, p); err != nil {
			return err
		}
	}
	return c.writeUploads(ctx, p)
}

// writeFile makes the row of a file, or finds it. A row that exists wins over what is staged, unless it is known to be
// damaged: somebody who stores a damaged file again expects it to be whole then.
func (c *committer) writeFile(ctx context.Context, p *plan, f *plannedFile) (err error) {
	if !f.staged {
		return c.undoom(ctx, f)
	}
	terms := encodeTerms(&f.rec)
	if f.id, err = insert(ctx, c.st.insertFile, f.hash[:], f.size, terms); err != nil {
		return err
	}
	if f.id == 0 {
		var damaged bool
		if err := c.fileRow(ctx, f); err != nil {
			return err
		}
		if err := c.st.fileDamaged.QueryRowContext(ctx, f.id).Scan(&damaged); err != nil {
			return err
		}
		if !damaged || p.sess.whole[f.hash] { // what comes instead of a whole file was not appended
			return errors.Join(c.readable(ctx, f), c.undoom(ctx, f))
		}
		f.size, f.doomed = int64(f.rec.Size), true // whatever it refers to now may be doomed
		if _, err := c.st.moveFile.ExecContext(ctx, f.size, terms, f.id); err != nil {
			return err
		}
		if _, err := c.st.delRefs.ExecContext(ctx, f.id); err != nil {
			return err
		}
	}
	for _, h := range termXorbs(f.rec.Terms) {
		x := p.xorbs[h]
		if err := c.writeXorb(ctx, p, x); err != nil {
			return err
		}
		f.doomed = f.doomed || x.doomed
		if _, err := c.st.insertRef.ExecContext(ctx, x.id, f.id); err != nil {
			return err
		}
	}
	return c.undoom(ctx, f)
}

// readable returns an object.ErrCorrupt unless the rows can be read that a reader of a file will need: who stores a file again
// must not be told that it is stored when it is only known.
func (c *committer) readable(ctx context.Context, f *plannedFile) error {
	var yes bool
	err := c.st.fileReadable.QueryRowContext(ctx, f.id).Scan(&yes)
	if err == nil && !yes {
		err = fmt.Errorf("%w: file %s: a row of its xorbs is missing", object.ErrCorrupt, f.hash)
	}
	return err
}

// undoom takes back that a file and its xorbs may go.
func (c *committer) undoom(ctx context.Context, f *plannedFile) error {
	if !f.doomed {
		return nil
	}
	if _, err := c.st.undoomFile.ExecContext(ctx, f.id); err != nil {
		return err
	}
	_, err := c.st.undoomXorbs.ExecContext(ctx, f.id)
	return err
}

// writeXorb makes the row of a xorb, or finds it. A row that exists wins, but a staged xorb takes the place of a damaged one.
func (c *committer) writeXorb(ctx context.Context, p *plan, x *plannedXorb) (err error) {
	if x.id != 0 {
		return nil // it was there already, or an other file of the plan has brought it
	}
	at := x.staged.at
	if at.file == "" {
		return fmt.Errorf("xorb %s lies nowhere", x.staged.hash) // a row must never name bytes that are not there
	}
	x.id, err = insert(ctx, c.st.insertXorb, x.staged.hash[:], at.file, at.off, at.len, x.staged.chunks, x.staged.raw)
	if err != nil {
		return err
	}
	if x.id == 0 {
		if err := c.xorbRow(ctx, x, x.staged.hash); err != nil || !x.damaged {
			return err
		}
		if err := c.replaceXorb(ctx, x); err != nil {
			return err
		}
	}
	p.stored = append(p.stored, x)
	return nil
}

// replaceXorb gives a damaged xorb the place of a staged one.
func (c *committer) replaceXorb(ctx context.Context, x *plannedXorb) error {
	var epoch, told int64
	if err := c.st.epoch.QueryRowContext(ctx, c.d.proc.id).Scan(&epoch, &told); err != nil {
		return err
	}
	if _, err := c.st.trash.ExecContext(ctx, epoch+1, x.id); err != nil {
		return err
	}
	if _, err := c.st.moveXorb.ExecContext(ctx, x.staged.at.file, x.staged.at.off, x.staged.at.len, x.id); err != nil {
		return err
	}
	_, err := c.st.mended.ExecContext(ctx, x.id)
	return err
}

// insert returns the id of the new row; 0 when the statement found one in its way and left it.
func insert(ctx context.Context, st *sql.Stmt, args ...any) (int64, error) {
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// landed tells session, caches and index what a commit has stored, so that the next one finds it.
func (d *Driver) landed(p *plan) {
	for _, x := range p.stored {
		x.staged.row = true
		d.sound.all(x.id)
		d.damaged.Delete(x.staged.hash)
		d.xorbs.drop(x.staged.hash)
		if info := x.staged.info; info != nil {
			d.xorbs.put(&xorbRef{id: x.id, place: x.staged.at, info: info})
			d.index.add(x.id, info)
		} else {
			d.index.miss() // its footer is read again for that
		}
	}
}

// last is the highest row of the xorbs that were stored.
func (p *plan) last() (id int64) {
	for _, x := range p.stored {
		id = max(id, x.id)
	}
	return id
}
