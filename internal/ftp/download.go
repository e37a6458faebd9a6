package ftp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	ftpserver "github.com/fclairamb/ftpserverlib"

	"hugbucket/internal/object"
)

// download is a file on its way out.
type download struct {
	*operation
	file *object.File
	err  error
}

var (
	_ ftpserver.FileTransfer      = (*download)(nil)
	_ ftpserver.FileTransferError = (*download)(nil)
	_ io.WriterTo                 = (*download)(nil)
)

func (d *driver) download(name string, offset int64) (ftpserver.FileTransfer, error) {
	o, err := d.begin("RETR", name)
	if err != nil {
		return nil, err
	}
	t := &download{operation: o}
	if err := safely(func() error { return t.open(d, offset) }); err != nil {
		if t.file != nil {
			_ = t.file.Close()
		}
		return nil, o.end(err)
	}
	return t, nil
}

func (t *download) open(d *driver, offset int64) (err error) {
	if err := d.mayBegin(); err != nil {
		return err
	}
	found, err := d.stat(t.ctx, t.at, false)
	switch {
	case err != nil:
		return err
	case found.IsDir():
		return errIsDir
	}
	if t.file, err = d.s.store.Open(t.ctx, t.at.bucket, t.at.key); err != nil {
		return err
	}
	if offset < 0 || offset > t.file.Info().Size {
		return errRest
	}
	_, err = t.file.Seek(offset, io.SeekStart)
	return err
}

// WriteTo implements io.WriterTo.
func (t *download) WriteTo(w io.Writer) (n int64, err error) {
	to := &sink{w: w}
	t.err = safely(func() (err error) {
		n, err = t.file.WriteTo(to)
		return err
	})
	switch {
	case to.err != nil:
		t.err = dataError(to.err)
	case t.err != nil:
		reset(w)
	}
	t.out += n
	if t.err != nil {
		return n, errorReply(t.err)
	}
	return n, nil
}

// reset breaks a data connection off: what was sent would look like the whole file to a client that does not read the answer.
func reset(w io.Writer) {
	if c, ok := dataConnOf(w); ok {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// dataConnOf is the connection that a transfer reads or writes, below TLS.
func dataConnOf(rw any) (*dataConn, bool) {
	if t, ok := rw.(*tls.Conn); ok {
		rw = t.NetConn()
	}
	c, ok := rw.(*dataConn)
	return c, ok
}

// sink tells an error of the data connection from one of the store.
type sink struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

// Read implements io.Reader; WriteTo is called in its place.
func (t *download) Read([]byte) (int, error) {
	return 0, fmt.Errorf("read: %w", errors.ErrUnsupported)
}

// Write implements io.Writer.
func (t *download) Write([]byte) (int, error) {
	return 0, fmt.Errorf("write: %w", errors.ErrUnsupported)
}

// Seek implements io.Seeker.
func (t *download) Seek(offset int64, whence int) (int64, error) {
	n, err := t.file.Seek(offset, whence)
	if err != nil {
		t.err = err
		return n, errorReply(err)
	}
	return n, nil
}

// TransferError implements ftpserver.FileTransferError.
func (t *download) TransferError(err error) {
	if t.err == nil {
		t.err = because(errAborted, err)
	}
}

// Close implements io.Closer.
func (t *download) Close() error {
	if err := t.file.Close(); t.err == nil {
		t.err = err
	}
	return t.end(t.err)
}
