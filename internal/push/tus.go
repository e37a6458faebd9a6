package push

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// Resumable uploads by the protocol tus (https://tus.io/protocols/resumable-upload), with the extensions in tusExtensions. What is said
// there in capital letters is not repeated here.
const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,creation-with-upload,expiration,checksum,termination"
	tusContent    = "application/offset+octet-stream"
	// uploadsPath follows the token in the path of an upload, and its id follows that. No name of a file begins with a dot.
	uploadsPath = "/.uploads/"
)

// The headers of tus, in Go's spelling.
const (
	headVersion  = "Tus-Resumable"
	headOffset   = "Upload-Offset"
	headLength   = "Upload-Length"
	headMetadata = "Upload-Metadata"
	headChecksum = "Upload-Checksum"
	headExpires  = "Upload-Expires"
)

// isTus says whether a request is one of tus, and not a push. Who asks what the server can do does not say for which version.
func isTus(r *http.Request) bool {
	return r.Header.Get(headVersion) != "" || r.Method == http.MethodOptions
}

// transfer is one request of tus.
type transfer struct {
	*Server
	x      *exchange
	r      *http.Request
	caller caller
	head   http.Header // of the answer
	yields bool        // when the daemon ends: what has come is kept, and the client goes on with the next one
}

// tus answers a request of tus. The receipt is that of a file that it has stored.
func (s *Server) tus(r *http.Request, x *exchange, c caller) (receipt, error) {
	t := &transfer{Server: s, x: x, r: r, caller: c, head: make(http.Header)}
	x.head = t.head
	t.head.Set(headVersion, tusVersion)
	if r.Method == http.MethodOptions {
		t.describe()
		return receipt{}, nil
	}
	if r.Header.Get(headVersion) != tusVersion {
		t.head.Set("Tus-Version", tusVersion)
		return receipt{}, errVersion
	}
	// The body outlasts its client, so that what came of it is kept.
	ctx := s.outlast(r.Context())
	id, isUpload := t.upload()
	method := r.Method
	if other := r.Header.Get("X-HTTP-Method-Override"); other != "" {
		method = other // some proxies let no PATCH through
	}
	switch {
	case method == http.MethodPost && !isUpload:
		return t.create(ctx)
	case !isUpload:
		return receipt{}, errTusMethod
	case method == http.MethodHead:
		return t.look(ctx, id)
	case method == http.MethodPatch:
		return t.patch(ctx, id)
	case method == http.MethodDelete:
		return receipt{}, t.terminate(ctx, id)
	}
	return receipt{}, errTusMethod
}

// upload returns the id of the upload in the path.
func (t *transfer) upload() (id string, ok bool) {
	return strings.CutPrefix(t.r.URL.Path, "/"+t.caller.token+uploadsPath)
}

func (t *transfer) describe() {
	t.x.event, t.x.status = "asked", http.StatusNoContent
	t.head.Set("Tus-Version", tusVersion)
	t.head.Set("Tus-Extension", tusExtensions)
	t.head.Set("Tus-Checksum-Algorithm", checksumNames)
	if limit := t.caller.bucket.MaxSize; limit > 0 {
		t.head.Set("Tus-Max-Size", strconv.FormatInt(limit, 10))
	}
}

// create begins an upload, with the beginning of the content if the client has sent any. Nobody hears of an upload whose creation fails, so
// nothing stays of it.
func (t *transfer) create(ctx context.Context) (receipt, error) {
	offered, sent, err := offerOf(t.r.Header)
	if err != nil {
		return receipt{}, err
	}
	leave, err := t.slots.enter(t.caller.bucket.key())
	if err != nil {
		return receipt{}, err
	}
	defer leave()
	a, err := t.approve(ctx, t.x, t.caller, offered)
	if err != nil {
		return receipt{}, err
	}
	defer a.release()
	id, err := t.begin(ctx, a, plan{
		Version: planVersion, Name: a.told.name, Type: offered.contentType, Length: offered.size, Replace: a.granted,
		SHA256: offered.sha256, Metadata: sent, Step: stepOf(offered.size, t.step),
	})
	if err != nil {
		return receipt{}, err
	}
	t.x.event, t.x.status = "begun", http.StatusCreated
	t.head.Set("Location", "/"+t.caller.token+uploadsPath+id)
	got, err := t.fill(ctx, id, func(u resumable) error {
		if t.r.ContentLength == 0 {
			return nil
		}
		return t.take(ctx, u, 0)
	})
	if err != nil {
		for _, name := range []string{"Location", headOffset, headExpires} {
			t.head.Del(name)
		}
		_ = t.with(ctx, id, func(u resumable) error { return t.abort(ctx, u) }) // else it expires
	}
	return got, err
}

// begin notes an upload, unless too many have begun, and reserves what it takes of the quota. In one bucket they begin one after the
// other, or two would each not see the other one. Errors: errBusy, errManyUploads, errQuota, those of place.room and uploads.begin.
func (t *transfer) begin(ctx context.Context, a *admission, p plan) (id string, err error) {
	leave, err := t.begins.take(ctx, a.bucket.key(), func(error) {})
	if errors.Is(err, errLocked) {
		err = errBusy
	}
	if err != nil {
		return "", err
	}
	defer leave()
	to := t.uploads(a.bucket)
	list, err := to.unfinished(ctx)
	if err == nil && len(list) >= maxOpen {
		err = errManyUploads
	}
	if err != nil {
		return "", err
	}
	w, left := want{name: p.Name, size: p.Length}, p.Length
	for _, other := range list {
		left += other.left
		w.beside = w.beside || other.plan.Name == p.Name
	}
	if err := a.place.room(left); err != nil {
		return "", err
	}
	if a.claim, err = t.quotas.claim(ctx, a.bucket, a.place, w); err != nil {
		return "", err
	}
	if id, err = to.begin(ctx, p); err != nil {
		return "", err
	}
	a.claim.begun(p.Length) // also for the next process
	return id, nil
}

// look tells how far an upload has come. One that is whole and not done was interrupted just before, and is completed.
func (t *transfer) look(ctx context.Context, id string) (receipt, error) {
	t.x.event, t.x.status = "asked", http.StatusOK
	t.head.Set("Cache-Control", "no-store")
	return t.fill(ctx, id, func(u resumable) error {
		p := u.progress()
		t.head.Set(headLength, strconv.FormatInt(p.Length, 10))
		if p.Metadata != "" {
			t.head.Set(headMetadata, p.Metadata)
		}
		return nil
	})
}

// patch adds to an upload.
func (t *transfer) patch(ctx context.Context, id string) (receipt, error) {
	t.x.event, t.x.status = "continued", http.StatusNoContent
	offset, err := number(t.r.Header, headOffset)
	if err != nil {
		return receipt{}, err
	}
	leave, err := t.slots.enter(t.caller.bucket.key())
	if err != nil {
		return receipt{}, err
	}
	defer leave()
	sum, err := pieceSumOf(t.r.Header)
	if err != nil {
		return receipt{}, err
	}
	t.yields = sum == nil // else nothing of it is kept that has not all come
	if err := t.quotas.mayDrop(ctx, t.caller.bucket, t.place(t.caller.bucket)); err != nil {
		return receipt{}, err
	}
	return t.fill(ctx, id, func(u resumable) error { return t.take(ctx, u, offset) })
}

func (t *transfer) terminate(ctx context.Context, id string) error {
	t.x.event, t.x.status = "aborted", http.StatusNoContent
	return t.with(ctx, id, func(u resumable) error {
		if u.progress().done {
			return errFinished
		}
		return t.abort(ctx, u)
	})
}

func (t *transfer) abort(ctx context.Context, u resumable) error {
	defer t.quotas.ended(t.caller.bucket)
	return u.abort(ctx)
}

// stop ends the reading of the body.
func (t *transfer) stop(cause error) {
	if t.yields || !errors.Is(cause, errEnding) {
		t.x.body.stop(cause)
	}
}

// with calls f with an upload that nobody else works on.
func (t *transfer) with(ctx context.Context, id string, f func(resumable) error) error {
	free, err := t.locks.take(ctx, t.caller.bucket.key()+"/"+id, t.stop)
	if err != nil {
		return err
	}
	defer free()
	u, err := t.uploads(t.caller.bucket).resume(ctx, id)
	if err != nil {
		return err
	}
	defer u.close()
	t.x.file = u.progress().Name
	defer func() { t.quotas.dropped(t.caller.bucket, u.progress().litter) }()
	return f(u)
}

// fill has f add to an upload, and completes it when it is whole. post-push.sh runs when others may see that it is done, also if it should
// have for an earlier request, whose process died.
func (t *transfer) fill(ctx context.Context, id string, f func(resumable) error) (got receipt, err error) {
	var p progress
	var d *due
	stored := false
	err = t.with(ctx, id, func(u resumable) error {
		if err := t.allows(u.progress()); err != nil {
			return err
		}
		err := f(u)
		if p = u.progress(); !p.done && p.offset == p.Length {
			// Whatever f has met: all is there, and was not before.
			if err := t.renew(p); err != nil {
				t.tell(p)
				return err
			}
			d, stored = t.noteDue(t.caller.bucket, id, p.Name), true
			got, err = t.complete(ctx, u)
			if hopeless(err) {
				d.done()
				return err // there is nothing left to tell of
			}
			if err != nil {
				d.leave() // it may be stored all the same: the next request sees
			}
			p = u.progress()
		} else if err == nil && p.done {
			d = t.findDue(t.caller.bucket, id, p.Name)
			got = receipt{Bucket: t.caller.bucket.Name, Name: p.Name, Size: p.Length, SHA256: p.sha256}
		}
		t.tell(p)
		return err
	})
	if err != nil || !stored && d == nil {
		return receipt{}, err
	}
	b := t.caller.bucket
	a := &admission{bucket: b, place: t.place(b)}
	a.told = pushed{token: t.caller.token, bucket: b.Name, name: p.Name, size: p.Length, from: t.caller.from}
	var ended bool
	if stored {
		t.x.event = "stored"
		ended = t.finish(ctx, t.x, a, &got)
	} else {
		ended = t.finishOwed(ctx, a, &got)
	}
	if ended {
		d.done()
	} else {
		d.leave() // the daemon ends and has ended the hook, or somebody else has
	}
	return got, nil
}

// allows returns errTooLarge when the bucket does not allow files as large as an upload any more. The upload stays: what was a slip in the
// configuration may be repaired before it expires.
func (t *transfer) allows(p progress) error {
	if limit := t.caller.bucket.MaxSize; limit > 0 && p.Length > limit && !p.done {
		return errTooLarge
	}
	return nil
}

// renew has an upload that is whole judged by the bucket as it is now: the request may have taken hours. Errors: errToken, errTooLarge.
func (t *transfer) renew(p progress) error {
	b, ok := t.access.Load().find(t.caller.token, subtle.ConstantTimeCompare)
	if !ok || b.key() != t.caller.bucket.key() {
		return errToken
	}
	t.caller.bucket, t.x.limits = b, b
	return t.allows(p)
}

// finishOwed is finish for a file that an earlier request has stored, if that is what has the name now: another has had its own hook.
func (t *transfer) finishOwed(ctx context.Context, a *admission, got *receipt) (ended bool) {
	if !t.hooks.Has(postHook) {
		return true
	}
	sum, err := a.place.sha256(ctx, got.Name)
	if err == nil && sum == got.SHA256 {
		return t.finish(ctx, t.x, a, got)
	}
	got.HookFailed = true
	t.log.Warn().Err(err).Str("bucket", a.bucket.label()).Str("file", got.Name).Str("sha256", got.SHA256).
		Msg("post-push.sh is not run for a file that was stored before: there is another of its name now, or none, or it cannot be read")
	return err == nil
}

// complete stores what is whole. An upload of which nothing can become is forgotten: its client begins anew, and hears why not.
func (t *transfer) complete(ctx context.Context, u resumable) (receipt, error) {
	got, err := u.complete(ctx, t.caller.bucket.overwrites())
	t.quotas.ended(t.caller.bucket)
	if hopeless(err) {
		_ = t.abort(ctx, u) // else it expires
	}
	return got, err
}

// tell adds to the answer how far an upload has come.
func (t *transfer) tell(p progress) {
	t.head.Set(headOffset, strconv.FormatInt(p.offset, 10))
	if p.done {
		t.head.Set("X-Checksum-Sha256", p.sha256)
	} else if t.expiry > 0 {
		t.head.Set(headExpires, p.when.Add(t.expiry).UTC().Format(http.TimeFormat))
	}
}

// take adds the body of a request to an upload, in steps each of which lasts. What came before an error stays.
func (t *transfer) take(ctx context.Context, u resumable, offset int64) error {
	p := u.progress()
	if t.r.Header.Get("Content-Type") != tusContent {
		return errTusContent
	}
	if err := lateDigest(t.r.Trailer); err != nil {
		return err
	}
	if offset != p.offset {
		return errOffset
	}
	if t.r.ContentLength > p.Length-offset {
		return errLong
	}
	sum, err := pieceSumOf(t.r.Header)
	if err != nil {
		return err
	}
	if sum != nil && t.r.ContentLength > object.MaxPartSize {
		return errTooLarge // it could not be one step
	}
	in := &reader{r: bufio.NewReaderSize(t.x.body, bodyBuffer), left: p.Length - offset, sum: sum}
	for in.more(p.Step) {
		err := u.write(ctx, in)
		t.x.bytes = u.progress().offset - offset
		if err != nil {
			return err
		}
	}
	return in.failure()
}
