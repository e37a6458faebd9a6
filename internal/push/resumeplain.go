package push

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// An upload to a directory of plain files is uploadPrefix and its id, partialRandom characters of base32: the file that grows, locked
// (flock) by who works on it; and the same with stateSuffix: what is known of it. They are in a directory of their own, or who begins one
// would have to read the names of all files. The state is made last and removed first, so a file
// without a state is garbage. A state with a mark and without a file is an upload that is done, for its file was renamed.
const (
	uploadDir    = ".uploads"
	uploadPrefix = uploadDir + "/"
	stateSuffix  = ".state"
	newSuffix    = ".new" // of a state that is being written
	maxState     = 64 << 10
)

// plainUpload is an upload to a directory of plain files.
type plainUpload struct {
	plainState

	place plainPlace
	part  partial // its file is nil when the upload is done
	name  string
	when  time.Time
}

var (
	_ resumable = (*plainUpload)(nil)
	_ uploads   = plainPlace{}
)

func (p plainPlace) begin(_ context.Context, pl plan) (id string, err error) {
	_ = p.forgetDone() // else the next one does
	id = strings.ToLower(rand.Text())
	u, err := p.upload(uploadPrefix + id)
	if err != nil {
		return "", dirError(err)
	}
	defer u.close()
	u.plan = pl
	if err = writable(u.part.dir); err == nil { // uploadDir may be, where it is not, and that would show when all has come
		err = u.makeUploads()
	}
	if err == nil {
		err = u.openFile(os.O_CREATE | os.O_EXCL)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errLocked // by one that sweeps, which has removed it
	}
	if err == nil {
		err = u.keep()
	}
	if err != nil {
		_ = u.remove() // else the next start does
		return "", dirError(err)
	}
	return id, nil
}

func (p plainPlace) resume(_ context.Context, id string) (resumable, error) {
	if !oursName(uploadPrefix+id, uploadPrefix) {
		return nil, object.ErrNoUpload
	}
	u, err := p.upload(uploadPrefix + id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, object.ErrNoUpload
	}
	if err != nil {
		return nil, plainError(err)
	}
	err = u.load()
	if errors.Is(err, errState) && u.remove() == nil {
		// Nobody can go on with it: its client begins anew, and the log says why.
		err = fmt.Errorf("%w: %w", object.ErrNoUpload, err)
	}
	if err != nil {
		u.close()
		return nil, plainError(err)
	}
	return u, nil
}

// makeUploads makes uploadDir, durably, where it is missing.
func (u *plainUpload) makeUploads() error {
	err := u.part.root.Mkdir(uploadDir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = syncDir(u.part.dir)
	}
	return err
}

// syncUploads makes the names in uploadDir durable.
func (u *plainUpload) syncUploads() error {
	dir, err := u.part.root.Open(uploadDir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only read
	return syncDir(dir)
}

// upload opens the directory of an upload.
func (p plainPlace) upload(name string) (*plainUpload, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, err
	}
	u := &plainUpload{place: p, name: name, part: partial{root: root}}
	if u.part.dir, err = root.Open("."); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// openFile opens and locks the file that grows. Errors: those of lock, and fs.ErrNotExist.
func (u *plainUpload) openFile(flags int) error {
	f, err := u.part.root.OpenFile(u.name, flags|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	u.part.file = f
	return u.lock()
}

// lock locks the file. Errors: errLocked, and fs.ErrNotExist when it has lost its name before; then it is closed.
func (u *plainUpload) lock() error {
	err := unix.Flock(int(u.part.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked // by a process that is about to end, or one that sweeps
	}
	if err != nil {
		return err
	}
	named, err := isNamed(u.part.root, u.name, u.part.file)
	if err == nil && !named {
		_ = unlocked(u.part.file) // nothing was written
		u.part.file = nil
		err = fs.ErrNotExist
	}
	return err
}

func (u *plainUpload) load() error {
	// The file is locked before the state is read: who had the lock before may have changed both.
	err := u.openFile(0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if u.plainState, u.when, err = readState(u.part.root, u.name); errors.Is(err, fs.ErrNotExist) {
		return object.ErrNoUpload
	}
	if err == nil && u.part.file == nil && !u.Naming {
		err = errState // somebody has removed the file
	}
	if err != nil || u.part.file == nil {
		return err
	}
	info, err := u.part.file.Stat()
	if err == nil && info.Size() < u.Offset {
		err = errState // to go on would put zeros into it
	}
	if err != nil || !u.Naming {
		return err
	}
	named, err := isNamed(u.part.root, u.Name, u.part.file)
	if named {
		err = u.unlink()
	}
	return err
}

// unlink takes the second name from a file that has its own: a process died between the two steps of partial.linkNew. Then it is done.
func (u *plainUpload) unlink() error {
	if err := syncDir(u.part.dir); err != nil {
		return err // its own name may not last yet
	}
	if err := u.part.root.Remove(u.name); err != nil {
		return err
	}
	_ = unlocked(u.part.file) // synced
	u.part.file = nil
	return u.syncUploads()
}

func (u *plainUpload) progress() progress {
	p := progress{plan: u.plan, offset: u.Offset, when: u.when}
	if u.part.file == nil {
		p.done, p.offset = true, u.Length
		if sum, err := goOn(u.State); err == nil {
			p.sha256, _ = sum.verify(&plan{})
		}
	}
	return p
}

func (u *plainUpload) write(_ context.Context, r io.Reader) error {
	if err := u.allows(u.Steps); err != nil {
		return err
	}
	sum, err := goOn(u.State)
	if err != nil {
		return err
	}
	n, err := u.fill(r, sum)
	named := false
	if err == nil {
		named, err = isNamed(u.part.root, u.name, u.part.file)
	}
	if err != nil {
		_ = u.part.file.Truncate(u.Offset) // room for others; what lies behind the offset counts for nothing
		return plainError(err)
	}
	if !named {
		// Somebody has removed it meanwhile. Its state would be that of one that is done.
		_ = u.remove()
		return object.ErrNoUpload
	}
	was := u.plainState
	u.Offset, u.State = u.Offset+n, sum.state()
	u.Steps++
	if err := u.keep(); err != nil {
		u.plainState = was
		return plainError(err)
	}
	return nil
}

// fill writes what r yields behind the offset, durably.
func (u *plainUpload) fill(r io.Reader, sum running) (n int64, err error) {
	if err := u.place.room(0); err != nil {
		return 0, err // small steps never come to the next look
	}
	f := u.part.file
	if _, err := f.Seek(u.Offset, io.SeekStart); err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(io.MultiWriter(sum, f), plainBuffer)
	n, err = w.ReadFrom(u.place.floor.above(u.place.dir, r))
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return n, err
}

func (u *plainUpload) complete(_ context.Context, overwrite bool) (receipt, error) {
	sum, err := goOn(u.State)
	if err != nil {
		return receipt{}, err
	}
	digest, err := sum.verify(&u.plan)
	if err != nil {
		return receipt{}, err
	}
	// A step that a crash cut short may have been longer.
	if err := u.part.file.Truncate(u.Offset); err != nil {
		return receipt{}, plainError(err)
	}
	u.part.name = u.name
	if err = u.mark(true); err == nil {
		err = u.part.publish(u.Name, overwrite || u.Replace)
	}
	if err != nil && u.part.name != u.name {
		// It has its name, but that may not last. Nothing of it must look like an upload that is done.
		_ = u.remove()
		_ = u.part.root.Remove(u.part.name)
	} else if err != nil {
		_ = u.mark(false) // else it is done for who removes the file only
	}
	u.part.name = "" // else close removes it
	if errors.Is(err, fs.ErrNotExist) {
		_ = u.remove()
		return receipt{}, object.ErrNoUpload // see write
	}
	if err != nil {
		return receipt{}, plainError(err)
	}
	_ = u.syncUploads()       // else it may have both names after a crash
	_ = unlocked(u.part.file) // synced
	u.part.file = nil
	return receipt{Name: u.Name, Size: u.Length, SHA256: digest}, nil
}

func (u *plainUpload) abort(context.Context) error { return plainError(u.remove()) }

// remove removes what there is of an upload.
func (u *plainUpload) remove() error {
	for _, name := range []string{u.name + stateSuffix, u.name + stateSuffix + newSuffix, u.name} {
		if err := u.part.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (u *plainUpload) close() { u.part.close() }

func (p plainPlace) unfinished(context.Context) (out []begun, err error) {
	err = states(p.dir, func(root *os.Root, name string) error {
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return nil // done
		}
		s, _, err := readState(root, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errState) {
			return nil // it ended just now, or nobody can go on with it
		}
		out = append(out, begun{id: strings.TrimPrefix(name, uploadPrefix), plan: s.plan, left: s.Length - s.Offset})
		return err
	})
	return out, err
}
