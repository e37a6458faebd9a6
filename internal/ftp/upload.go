package ftp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"

	"hugbucket/internal/object"
)

// settleTime is how long after the end of its data connection a client is looked for. One that is killed ends both connections in the
// same moment, but not in an order that can be relied on.
const settleTime = 20 * time.Millisecond

// firstPart is how many bytes an upload may hold before it has a place.
const firstPart = 64 << 10

// atEnd is the offset of an upload that goes on where the file ends.
const atEnd = -1

// GetHandle implements ftpserver.ClientDriverExtentionFileTransfer.
func (d *driver) GetHandle(name string, flags int, offset int64) (ftpserver.FileTransfer, error) {
	switch {
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
	offset int64 // of the file that is stored, where what comes follows; or atEnd
	err    error // why nothing is stored
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
	if err := safely(func() error { return d.mayStore(o.ctx, o.at, offset) }); err != nil {
		return nil, o.end(err)
	}
	return &upload{operation: o, cc: d.cc, offset: offset}, nil
}

// mayStore spares the client an upload that could not be stored.
func (d *driver) mayStore(ctx context.Context, at place, offset int64) error {
	switch {
	case d.s.isClosing():
		return errClosing
	case at.key == "":
		return errNoUpload
	}
	cur, err := d.stat(ctx, at, false)
	switch {
	case errors.Is(err, object.ErrNoBucket):
		return err
	case errors.Is(err, fs.ErrNotExist):
		cur = &entry{}
	case err != nil:
		return err
	case cur.dir:
		return errDirUpload
	}
	if offset > cur.size || offset != 0 && d.s.broken.has(at) {
		return errRest
	}
	return nil
}

// ReadFrom implements io.ReaderFrom: it stores what a data connection yields.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	u.err = safely(func() error { return u.store(r) })
	return u.in, nil
}

// store takes one of the places for uploads when the first part, or all of it, has come. Until then it holds no more memory than that:
// clients that send next to nothing keep nobody out.
func (u *upload) store(r io.Reader) error {
	content := bufio.NewReaderSize(&source{u: u, r: r}, firstPart)
	if _, err := content.Peek(firstPart); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	select {
	case u.s.uploads <- struct{}{}:
		defer func() { <-u.s.uploads }()
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	if u.offset == 0 {
		_, err := u.s.store.Put(u.ctx, u.at.bucket, u.at.key, content, object.PutOptions{})
		return err
	}
	was, err := u.s.store.Stat(u.ctx, u.at.bucket, u.at.key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(was.Attrs.Meta, metaTime) // it is not the file of that time any more
	_, err = u.s.store.Append(u.ctx, u.at.bucket, u.at.key, u.offset, content, object.PutOptions{Attrs: was.Attrs})
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
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		s.err = s.u.ended()
	default:
		s.err = dataError(err)
	}
	return n, s.err
}

// ended is io.EOF when the client is still there some time after its data connection has ended.
func (u *upload) ended() error {
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	if u.conn.gone() {
		return errGone
	}
	if u.cc.GetLastCommand() == "ABOR" {
		return errAborted // which ftpserverlib has answered already, though there was no connection left to break off
	}
	return io.EOF
}

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
		u.err = errors.Join(errAborted, err)
	}
}

// Close implements io.Closer.
func (u *upload) Close() error {
	switch {
	case u.offset != 0:
	case u.err == nil:
		u.s.broken.forget(u.at)
	default:
		u.s.broken.add(u.at)
	}
	return u.end(u.err)
}
