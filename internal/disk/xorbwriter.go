package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// packLimit is the size up to which a xorb goes into a pack.
const packLimit = 1 << 20

// writeSlice is how much is written at once to a xorb's own file.
const writeSlice = 256 << 10

// xorbWriter implements object.Xorb. It keeps the xorb in memory until it is too large for a pack, and in a file of its
// own from then on.
type xorbWriter struct {
	s    *session
	w    *xet.XorbWriter
	buf  bytes.Buffer // what is not in the file yet
	name string       // of the file in tmp
	f    file         // nil while all is in buf
	off  int64        // where buf goes
}

var _ object.Xorb = (*xorbWriter)(nil)

func newXorbWriter(s *session) *xorbWriter {
	x := &xorbWriter{s: s}
	x.w = xet.NewXorbWriter(&x.buf)
	return x
}

// Fits implements object.Xorb.
func (x *xorbWriter) Fits(raw int) bool { return x.w.Fits(raw) }

// Add implements object.Xorb.
func (x *xorbWriter) Add(ctx context.Context, c xet.Chunk, record []byte) error {
	if err := x.s.ready(ctx); err != nil {
		return err
	}
	err := x.w.Add(c, record)
	if err == nil && (x.f == nil && x.buf.Len() > packLimit || x.f != nil && x.buf.Len() >= writeSlice) {
		err = x.flush()
	}
	if err != nil {
		x.s.err = err
	}
	return err
}

// flush writes the buffer to the xorb's file, and makes one if need be.
func (x *xorbWriter) flush() error {
	d := x.s.d
	n := int64(x.buf.Len())
	if err := d.room(n); err != nil {
		return err
	}
	if x.f == nil {
		x.name = d.proc.name("tmp/")
		d.left.Store("tmp", true) // one way or the other it leaves
		f, err := d.fs.create(x.name)
		if err != nil {
			return ioError(err)
		}
		x.f = f
		defer func() { x.buf = *bytes.NewBuffer(make([]byte, 0, writeSlice+xet.MaxChunkSize)) }()
	}
	if _, err := x.f.WriteAt(x.buf.Bytes(), x.off); err != nil {
		return ioError(err)
	}
	x.off += n
	x.buf.Reset()
	return nil
}

// Close implements object.Xorb.
func (x *xorbWriter) Close(ctx context.Context) (xet.Hash, error) {
	if err := x.s.ready(ctx); err != nil {
		return xet.Hash{}, err
	}
	staged, err := x.finish()
	if err != nil {
		x.s.err = err
		return xet.Hash{}, err
	}
	x.s.stage(staged)
	return staged.hash, nil
}

func (x *xorbWriter) finish() (*stagedXorb, error) {
	info, err := x.w.Close()
	if err != nil {
		return nil, err
	}
	out := &stagedXorb{hash: info.Hash, chunks: len(info.Chunks), raw: info.RawSize(), info: info}
	if x.f == nil && x.s.bodies+int64(x.buf.Len()) <= x.s.most {
		out.body = slices.Clone(x.buf.Bytes()) // the buffer may be twice as large
		return out, nil
	}
	if err := x.flush(); err != nil {
		return nil, err
	}
	if n := len(x.s.staged); n > 0 { // one at a time, so that a sync that fails is found soon
		if err := x.s.staged[n-1].wait(); err != nil {
			return nil, err
		}
	}
	d := x.s.d
	hex := info.Hash.String()
	out.own = true
	out.at = place{file: d.proc.name("xorbs/" + hex[:2] + "/" + hex[2:] + "."), len: x.off}
	f, tmp := x.f, x.name
	x.f = nil
	// Syncing goes on while the next xorb fills; a commit waits for it.
	done := make(chan error, 1)
	out.done = done
	go func() { done <- settle(d.fs, f, tmp, out.at.file) }()
	return out, nil
}

// settle makes a file durable under its final name. On an error nothing stays.
func settle(fs fsys, f file, tmp, name string) error {
	err := f.sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		if err = fs.rename(tmp, name); err == nil {
			if err = fs.syncDir(name[:len("xorbs/ab")]); err == nil {
				return nil
			}
			tmp = name
		}
	}
	return ioError(errors.Join(fmt.Errorf("store xorb: %w", err), fs.remove(tmp)))
}

// abort gives up the xorb.
func (x *xorbWriter) abort() error {
	if x.f == nil {
		return nil
	}
	f := x.f
	x.f = nil
	return errors.Join(f.Close(), x.s.d.remove(x.name))
}
