package object

import (
	"context"
	"fmt"
	"io"
	"iter"

	"hugbucket/internal/xet"
)

// File is an open object. Every byte it gives was verified against the hash of its chunk. Its methods are not safe for
// concurrent use. It must be closed.
type File struct {
	//nolint:containedctx // Read cannot take one; a File lives for one request
	ctx     context.Context
	info    Info
	content Content
	off     int64
}

var (
	_ io.ReadSeekCloser = (*File)(nil)
	_ io.WriterTo       = (*File)(nil)
)

// Info describes the object as it was when it was opened.
func (f *File) Info() Info { return f.info }

// Terms are where the file's chunks lie, in order. The caller must not change them.
func (f *File) Terms() []xet.Term { return f.content.Terms() }

// Chunks yields the file's chunks in order, from the one that holds off.
func (f *File) Chunks(off int64) iter.Seq2[xet.Chunk, error] { return f.content.Chunks(f.ctx, off) }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := f.content.Block(f.ctx, f.off, int64(len(p)))
	if err != nil {
		return 0, f.fail(err)
	}
	n := copy(p, b)
	f.off += int64(n)
	return n, nil
}

// Seek implements io.Seeker. It costs nothing.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.off
	case io.SeekEnd:
		offset += f.content.Size()
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, f.fail(&InvalidError{"offset", "it is before the start of the object"})
	}
	f.off = offset
	return offset, nil
}

// WriteTo implements io.WriterTo: it writes what is left.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	n, err := f.WriteRange(w, f.off, f.content.Size()-f.off)
	f.off += n
	return n, err
}

// WriteRange writes n bytes from off on to w and returns how many were written. It does not move the offset of Read.
// Less than n bytes is io.ErrUnexpectedEOF.
func (f *File) WriteRange(w io.Writer, off, n int64) (int64, error) {
	var done int64
	for done < n {
		b, err := f.content.Block(f.ctx, off+done, n-done)
		if err == io.EOF { //nolint:errorlint // a bare one is the end; one inside another error is not
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return done, f.fail(err)
		}
		m, err := w.Write(b[:min(int64(len(b)), n-done)])
		done += int64(m)
		if err != nil {
			return done, fmt.Errorf("write %s/%q to the client: %w", f.info.Bucket, f.info.Key, err)
		}
	}
	return done, nil
}

// Close lets go of the content.
func (f *File) Close() error { return f.fail(f.content.Close()) }

func (f *File) fail(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // as above
		return err
	}
	return wrap("read", f.info.Bucket, f.info.Key, err)
}
