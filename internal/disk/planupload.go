package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"hugbucket/internal/object"
)

// partRequest is a part to be stored.
type partRequest struct {
	upload string
	part   object.Part
}

// plannedPart is a row of parts to be made.
type plannedPart struct {
	upload string
	number int
	info   []byte
	file   *plannedFile
}

// plannedUpload is an upload to be marked as done.
type plannedUpload struct {
	id   string
	info []byte
}

// CommitPart implements object.Session.
func (s *session) CommitPart(ctx context.Context, upload string, p object.Part) error {
	if s.err != nil {
		return s.err
	}
	s.err = s.commit(ctx, &request{sess: s, part: &partRequest{upload, p}})
	return s.err
}

// openUpload reads the row of an upload that is not done; object.ErrNoUpload when there is none.
func (c *committer) openUpload(ctx context.Context, id string) (uploadRow, object.Upload, error) {
	row, err := scanUpload(c.st.openUpload.QueryRowContext(ctx, id))
	if err := foundUpload(err); err != nil {
		return row, object.Upload{}, err
	}
	up, err := row.upload()
	return row, up, err
}

// planUpload sees that there is the bucket of an upload to be begun, and no upload of its id.
func (c *committer) planUpload(ctx context.Context, p *plan, u object.Upload) error {
	at, err := c.bucketID(ctx, u.Bucket)
	if err != nil {
		return err
	}
	_, err = scanUpload(c.st.anyUpload.QueryRowContext(ctx, u.ID))
	if err := foundUpload(err); err == nil {
		return fmt.Errorf("there is an upload %s", u.ID)
	} else if !errors.Is(err, object.ErrNoUpload) {
		return err
	}
	u.Done = nil
	p.begun = &uploadRow{id: u.ID, bucket: u.Bucket, at: at, key: []byte(u.Key)}
	return p.begun.seal(u)
}

// planAbort sees that an upload is open; what its row says may be damaged.
func (c *committer) planAbort(ctx context.Context, p *plan, id string) error {
	p.aborts = id
	_, err := scanUpload(c.st.openUpload.QueryRowContext(ctx, id))
	return foundUpload(err)
}

// planPart sees that an upload is open, and the file of its part stored or staged.
func (c *committer) planPart(ctx context.Context, p *plan, r *partRequest) error {
	if _, _, err := c.openUpload(ctx, r.upload); err != nil {
		return err
	}
	if err := c.planFile(ctx, p, r.part.File); err != nil {
		return err
	}
	f := p.byHash[r.part.File]
	if f.size != r.part.Size {
		return &object.InvalidError{Field: "size", Rule: fmt.Sprintf("file %s has %d bytes, not %d", f.hash, f.size, r.part.Size)}
	}
	info, err := encodePart(r.upload, &r.part)
	p.part = &plannedPart{r.upload, r.part.Number, info, f}
	return err
}

// planCompletion sees that an upload is open, of the key that is changed, and has the parts that it is made of.
func (c *committer) planCompletion(ctx context.Context, p *plan, ch object.Change) error {
	if ch.New == nil {
		return &object.InvalidError{Field: "completion", Rule: "it makes an object"}
	}
	id := ch.Complete.Upload
	if slices.ContainsFunc(p.done, func(u plannedUpload) bool { return u.id == id }) {
		return object.ErrNoUpload
	}
	row, up, err := c.openUpload(ctx, id)
	if err == nil && (up.Bucket != ch.Bucket || up.Key != ch.Key) {
		err = object.ErrNoUpload
	}
	if err == nil {
		err = c.sameParts(ctx, ch.Complete)
	}
	if err != nil {
		return err
	}
	up.Done = ch.New
	err = row.seal(up)
	p.done = append(p.done, plannedUpload{id, row.info})
	return err
}

// sameParts returns an object.PartError unless the parts are as they were.
func (c *committer) sameParts(ctx context.Context, want *object.Completion) (err error) {
	rows, err := c.st.partFiles.QueryContext(ctx, want.Upload)
	if err != nil {
		return sqlError(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	left := want.Parts
	for len(left) > 0 && rows.Next() {
		var number int
		var file sql.RawBytes
		if err := rows.Scan(&number, &file); err != nil {
			return sqlError(err)
		}
		if number < left[0].Number {
			continue
		}
		if number > left[0].Number || string(file) != string(left[0].File[:]) {
			break
		}
		left = left[1:]
	}
	if err := rows.Err(); err != nil {
		return sqlError(err)
	}
	if len(left) > 0 {
		return &object.PartError{Number: left[0].Number}
	}
	return nil
}

// writeUploads makes the plan's rows of a part and of uploads that are begun, aborted and done.
func (c *committer) writeUploads(ctx context.Context, p *plan) error {
	if u := p.begun; u != nil {
		if _, err := c.st.putUpload.ExecContext(ctx, u.id, u.at, u.key, u.created, u.info); err != nil {
			return err
		}
	}
	if p.aborts != "" {
		if _, err := c.st.delUpload.ExecContext(ctx, p.aborts); err != nil {
			return err
		}
		if _, err := c.st.delParts.ExecContext(ctx, p.aborts); err != nil {
			return err
		}
	}
	if r := p.part; r != nil {
		if _, err := c.st.putPart.ExecContext(ctx, r.upload, r.number, r.file.id, r.info); err != nil {
			return err
		}
	}
	for _, u := range p.done {
		if _, err := c.st.doneUpload.ExecContext(ctx, u.info, u.id); err != nil {
			return err
		}
		if _, err := c.st.delParts.ExecContext(ctx, u.id); err != nil {
			return err
		}
	}
	return nil
}
