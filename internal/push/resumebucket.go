package push

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"

	"hugbucket/internal/object"
)

// bucketUpload is an upload in parts of the object store. It grows by its last part until that has the size of a step, so that it never
// runs out of parts, and is as durable, deduplicated and readable by tools for S3 as any.
type bucketUpload struct {
	place bucketPlace
	name  object.UploadName
	plan  plan
	parts []object.PartRef
	last  int64 // bytes of the last part
	link  link
	when  time.Time
	done  *object.Info

	litter int64 // see progress
}

// largestChunk is how many bytes a chunk of the object store has at the most.
const largestChunk = 128 << 10

var (
	_ resumable = (*bucketUpload)(nil)
	_ uploads   = bucketPlace{}
)

// link is kept with a part. Parts whose links do not fit together are as if they had not come: somebody else had his hand in them, or
// another process, which was about to end, has stored the one before anew. A later part then takes their number.
type link struct {
	End    int64  `json:"end"`    // bytes of this part and all before
	Before string `json:"before"` // ETag of the part before
	Steps  int64  `json:"steps"`  // how often the client went on so far
	SHA256 []byte `json:"sha256"` // state of all bytes to End
}

func (p bucketPlace) begin(ctx context.Context, pl plan) (id string, err error) {
	opts := object.UploadOptions{Attrs: attrsOf(pl.Type), Note: string(marshal(pl))}
	u, err := p.store.CreateUpload(ctx, p.bucket, pl.Name, opts)
	return u.ID, err
}

func (p bucketPlace) resume(ctx context.Context, id string) (resumable, error) {
	u, err := p.store.FindUpload(ctx, p.bucket, id)
	if errors.Is(err, object.ErrNoBucket) {
		err = object.ErrNoUpload
	}
	if err != nil {
		return nil, err
	}
	pl, ok := planOf(u)
	if !ok {
		return nil, object.ErrNoUpload // one of another door
	}
	up := &bucketUpload{place: p, name: object.UploadName{Bucket: p.bucket, Key: u.Key, ID: id}, plan: pl, when: u.Created, done: u.Done}
	if u.Done == nil {
		err = up.load(ctx)
	} else {
		up.when = u.Done.ModTime
	}
	return up, err
}

// planOf returns the plan of an upload; false when it is not one of this door.
func planOf(u object.Upload) (plan, bool) {
	var p plan
	err := json.Unmarshal([]byte(u.Note), &p)
	return p, err == nil && p.Version == planVersion && p.Name == u.Key && p.Length >= 0
}

// load follows the parts as far as they fit together.
func (u *bucketUpload) load(ctx context.Context) error {
	for more := true; more; {
		var page []object.Part
		var err error
		if page, more, err = u.place.store.Parts(ctx, u.name, len(u.parts), 1000); err != nil {
			return err
		}
		for _, part := range page {
			l, ok := linkOf(part)
			if !ok || part.Number != len(u.parts)+1 || l.Before != u.tail() || l.End != u.link.End+part.Size {
				return nil
			}
			u.add(part, l)
		}
	}
	return nil
}

// linkOf returns what is kept with a part; false when it is nothing of this door.
func linkOf(part object.Part) (link, bool) {
	var l link
	err := json.Unmarshal([]byte(part.Note), &l)
	return l, err == nil
}

// tail is the ETag of the last part.
func (u *bucketUpload) tail() string {
	if len(u.parts) == 0 {
		return ""
	}
	return u.parts[len(u.parts)-1].ETag
}

func (u *bucketUpload) add(part object.Part, l link) {
	u.parts = append(u.parts, object.PartRef{Number: part.Number, ETag: part.ETag()})
	u.last, u.link, u.when = part.Size, l, part.ModTime
}

func (u *bucketUpload) progress() progress {
	p := progress{plan: u.plan, offset: u.link.End, when: u.when, litter: u.litter}
	if u.done != nil {
		p.done, p.offset, p.sha256 = true, u.plan.Length, hex.EncodeToString(u.done.Digests.SHA256)
	}
	return p
}

func (u *bucketUpload) write(ctx context.Context, r io.Reader) error {
	if err := u.plan.allows(u.link.Steps); err != nil {
		return err
	}
	sum, err := goOn(u.link.SHA256)
	if err != nil {
		return err
	}
	in := &counted{r: io.TeeReader(r, sum)}
	before, put, litter := u.parts, u.place.store.PutPart, int64(0)
	if n := len(before); n > 0 && u.last < u.plan.Step {
		// The last chunk of the part is cut anew.
		before, put, litter = before[:n-1], u.place.store.AppendPart, min(u.last, largestChunk)
	}
	l := link{Steps: u.link.Steps + 1}
	if n := len(before); n > 0 {
		l.Before = before[n-1].ETag
	}
	note := func() string {
		l.End, l.SHA256 = u.link.End+in.n, sum.state()
		return string(marshal(l))
	}
	part, err := put(ctx, u.name, len(before)+1, in, object.PartOptions{Note: note})
	if err != nil {
		return err
	}
	u.parts = before
	u.litter += litter
	u.add(part, l)
	return nil
}

func (u *bucketUpload) complete(ctx context.Context, overwrite bool) (receipt, error) {
	if len(u.parts) == 0 { // an empty file has one too
		if err := u.write(ctx, eof{}); err != nil {
			return receipt{}, err
		}
	}
	sum, err := goOn(u.link.SHA256)
	if err != nil {
		return receipt{}, err
	}
	digest, err := sum.verify(&u.plan)
	if err != nil {
		return receipt{}, err
	}
	opts := object.CompleteOptions{If: ifFree(overwrite || u.plan.Replace), SHA256: sum.Sum(nil)}
	info, err := u.place.store.Complete(ctx, u.name, u.parts, opts)
	if err != nil {
		return receipt{}, err
	}
	u.done = &info
	if old := u.place.ended.add(u.name.Bucket, u.name.ID); len(old) > 0 {
		_ = u.place.store.ForgetUploads(ctx, old) // else they expire
	}
	return receipt{Bucket: u.name.Bucket, Name: u.name.Key, Size: info.Size, SHA256: digest}, nil
}

func (u *bucketUpload) abort(ctx context.Context) error {
	err := u.place.store.AbortUpload(ctx, u.name)
	if err == nil {
		u.litter += u.link.End
	}
	return err
}

func (u *bucketUpload) close() {}

func (p bucketPlace) unfinished(ctx context.Context) ([]begun, error) {
	var out []begun
	q := object.UploadPage{Limit: 1000}
	for more := true; more; {
		var page []object.Upload
		var err error
		page, more, err = p.store.ListUploads(ctx, p.bucket, q)
		if errors.Is(err, object.ErrNoBucket) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, u := range page {
			if pl, ok := planOf(u); ok {
				out = append(out, begun{id: u.ID, plan: pl, left: pl.Length})
			}
			q.AfterKey, q.AfterID = u.Key, u.ID
		}
	}
	return out, nil
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// eof is an empty content.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
