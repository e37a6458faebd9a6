package ftp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"

	"hugbucket/internal/object"
	"hugbucket/internal/throttle"
)

// settleTime is how long after the end of its data connection a client is looked for, and two round trips more, up to maxSettle in all.
// The kernel of one that is killed ends both connections within 0.3 ms, but not in an order that can be relied on, and they may take
// different times on the way. A program that ends by an error of its own, such as one that cannot read its source any more, closes the
// data connection first: with Python's ftplib the other one follows 3 to 6 ms later.
const (
	settleTime = 20 * time.Millisecond
	maxSettle  = time.Second
)

// firstPart is how many bytes an upload may hold before its turn.
const firstPart = 64 << 10

// atEnd is the offset of an upload that goes on where the file ends.
const atEnd = -1

// GetHandle implements ftpserver.ClientDriverExtentionFileTransfer.
func (d *driver) GetHandle(name string, flags int, offset int64) (ftpserver.FileTransfer, error) {
	switch {
	case d.restart.lost() && offset != 0:
		verb := "RETR"
		if flags&os.O_WRONLY != 0 {
			verb = "STOR"
		}
		return nil, d.do(verb, name, func(context.Context, *operation) error { return errRestLost })
	case flags&os.O_WRONLY == 0:
		return d.download(name, offset)
	case flags&os.O_APPEND != 0:
		return d.upload("APPE", name, atEnd)
	case offset < 0:
		return nil, d.do("STOR", name, func(context.Context, *operation) error { return errRest })
	default:
		return d.upload("STOR", name, offset)
	}
}

// upload is a file on its way in. All of it happens in ReadFrom: what the client sends is stored as it comes, and committed after
// its end. ReadFrom does not fail; Close says what went wrong, in words that ftpserverlib passes on as they are.
type upload struct {
	*operation
	cc     ftpserver.ClientContext
	offset int64            // of the file that is stored, where what comes follows; or atEnd
	onto   object.Condition // holds of that file, and of no other content
	over   *overwrite       // nil when it goes on with a file
	began  bool             // there was a data connection
	err    error            // why nothing is stored
}

var (
	_ ftpserver.FileTransfer      = (*upload)(nil)
	_ ftpserver.FileTransferError = (*upload)(nil)
	_ io.ReaderFrom               = (*upload)(nil)
)

func (d *driver) upload(verb, name string, offset int64) (ftpserver.FileTransfer, error) {
	o, err := d.begin(verb, name)
	if err != nil {
		return nil, err
	}
	u := &upload{operation: o, cc: d.cc, offset: offset}
	if err := safely(func() (err error) {
		if err = d.mayStore(o.ctx, o.at); err != nil {
			return err
		}
		if offset == 0 {
			u.over, err = d.s.overwrites.begin(o.ctx, o.at, d.remote)
		} else {
			u.onto, err = d.mayGoOn(o.ctx, o.at, offset)
		}
		return err
	}); err != nil {
		return nil, o.end(err)
	}
	return u, nil
}

// mayStore spares the client an upload that could not be stored.
func (d *driver) mayStore(ctx context.Context, at place) error {
	if err := d.mayBegin(); err != nil {
		return err
	}
	if at.key == "" {
		return errNoUpload
	}
	// How little a file takes that resembles what is stored shows when it comes: what is looked for is whether there is room at all.
	if err := d.s.store.Room(1); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	cur, err := d.stat(ctx, at, false)
	switch {
	case errors.Is(err, object.ErrNoBucket):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case cur.IsDir():
		return errDirUpload
	}
	return nil
}

// mayGoOn says whether what comes may follow the first bytes of a file, and of which one. Others may replace it before there is anything
// to store, and until the upload has its turn: what they stored is not what the client goes on with.
func (d *driver) mayGoOn(ctx context.Context, at place, offset int64) (object.Condition, error) {
	onto := object.Condition{IfNoneMatch: []string{"*"}}
	was, err := d.s.store.Stat(ctx, at.bucket, at.key)
	switch {
	case err == nil:
		onto = object.Condition{IfMatch: []string{was.ETag}}
	case errors.Is(err, object.ErrNoBucket) || !errors.Is(err, fs.ErrNotExist):
		return onto, err
	}
	unended, err := d.s.overwrites.has(ctx, at)
	switch {
	case err != nil:
		return onto, err
	case unended:
		return onto, errUnended
	case offset > was.Size:
		return onto, errRest
	}
	return onto, nil
}

// ReadFrom implements io.ReaderFrom: it stores what a data connection yields.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	u.began = true
	u.err = safely(func() error { return u.store(r) })
	if _, outcome := replyTo(u.err); u.err != nil && outcome != Aborted {
		if c, ok := dataConnOf(r); ok {
			c.refused = true
		}
	}
	return u.in, nil
}

// store takes a turn when the first part, or all of it, has come. Until then it holds no more memory than that: clients that send next
// to nothing keep nobody out, and who has sent all of a small file waits for no slow client.
func (u *upload) store(r io.Reader) error {
	content := bufio.NewReaderSize(&source{u: u, r: r}, firstPart)
	queue := u.s.uploads
	switch _, err := content.Peek(firstPart); {
	case errors.Is(err, io.EOF):
		queue = u.s.small
	case err != nil:
		return err
	}
	give, err := queue.take(u.ctx, throttle.Network(u.remote))
	if err != nil {
		return err
	}
	defer give()
	if err := u.givenUp(r); err != nil { // while it waited
		return err
	}
	if u.offset == 0 {
		_, err := u.s.store.Put(u.ctx, u.at.bucket, u.at.key, content, object.PutOptions{})
		return err
	}
	_, err = u.s.store.Append(u.ctx, u.at.bucket, u.at.key, u.offset, content, object.PutOptions{If: u.onto, Amend: grown})
	return err
}

// source is the content of an upload. It ends well only when the client has ended it.
type source struct {
	u   *upload
	r   io.Reader
	err error // what Read says from now on
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.u.in += int64(n)
	if n > 0 && s.u.over != nil {
		if s.err = s.u.over.heard(s.u.ctx); s.err != nil {
			return n, s.err
		}
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		if s.err = cutOff(s.r); s.err == nil {
			s.err = s.u.ended(s.r)
		}
	default:
		s.err = dataError(err)
	}
	return n, s.err
}

// cutOff is an error when a data connection was encrypted and has ended without the alert that says so (close_notify), which anybody on
// the way can bring about. crypto/tls takes such an end for a good one when it comes between two records; after the alert it reads no further.
func cutOff(r io.Reader) error {
	if _, ok := r.(*tls.Conn); !ok {
		return nil
	}
	if c, ok := dataConnOf(r); ok && c.ended {
		return errNotify
	}
	return nil
}

// ended is io.EOF when the client is still there some time after its data connection has ended.
func (u *upload) ended(r io.Reader) error {
	timer := time.NewTimer(settleFor(u.conn.roundTrip()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	if u.conn.gone() {
		return errGone
	}
	if err := u.givenUp(r); err != nil {
		return err
	}
	return io.EOF
}

// givenUp is not nil when the client has said that it does not wait for the file to be stored. ftpserverlib reads these commands, and no
// others, while a transfer goes on. To QUIT, which a program sends that cleans up after an error of its own, the end of the session is all
// the answer: another one would take the place of that error.
func (u *upload) givenUp(r io.Reader) error {
	data, ok := dataConnOf(r)
	switch command := u.cc.GetLastCommand(); {
	case ok && data.isClosed(): // ABOR did that, whatever came since
		return errAborted
	case command == "ABOR":
		// ftpserverlib closes the data connection and answers 426 and 226. A transfer that ended by itself before that would be answered
		// as one that failed.
		if ok {
			select {
			case <-data.closed:
			case <-u.ctx.Done():
				return context.Cause(u.ctx)
			}
		}
		return errAborted
	case command == "QUIT":
		_ = u.cc.Close()
		return errQuit
	}
	return nil
}

// settleFor is how long a client is looked for whose round trip takes so long.
func settleFor(roundTrip time.Duration) time.Duration { return min(settleTime+2*roundTrip, maxSettle) }

// Write implements io.Writer. ftpserverlib calls it without bytes for an empty file, after ReadFrom.
func (u *upload) Write(p []byte) (int, error) {
	if len(p) > 0 {
		return 0, fmt.Errorf("write: %w", errors.ErrUnsupported)
	}
	return 0, nil
}

// Read implements io.Reader.
func (u *upload) Read([]byte) (int, error) { return 0, fmt.Errorf("read: %w", errors.ErrUnsupported) }

// Seek implements io.Seeker. ftpserverlib seeks to where GetHandle was told to begin.
func (u *upload) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset != max(u.offset, 0) {
		u.err = errRest
		return 0, errorReply(errRest)
	}
	return offset, nil
}

// TransferError implements ftpserver.FileTransferError: there was no data connection.
func (u *upload) TransferError(err error) {
	if u.err == nil {
		u.err = because(errAborted, err)
	}
}

// Close implements io.Closer.
func (u *upload) Close() error {
	if u.over != nil {
		how := resultStored
		switch {
		case !u.began:
			how = resultUnsent
		case u.err != nil:
			how = resultBroken
		}
		ctx := context.WithoutCancel(u.ctx) // the client may be gone
		u.unnoted(safely(func() error { return u.over.end(ctx, how) }))
	}
	return u.end(u.err)
}
