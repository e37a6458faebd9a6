package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// fsys is the file system as the store uses it, for tests to fail or stop at any call. Names are relative to the store.
type fsys interface {
	// create makes a file that must not exist, for reading and writing.
	create(name string) (file, error)
	// open opens a file for reading.
	open(name string) (file, error)
	// edit opens a file that is there, for reading and writing.
	edit(name string) (file, error)
	// rename fails when to exists.
	rename(from, to string) error
	remove(name string) error
	mkdir(name string) error
	// syncDir makes creations, renames and removals in a directory durable.
	syncDir(name string) error
	// size returns the length of a file in bytes.
	size(name string) (int64, error)
	// list returns the names in a directory.
	list(name string) ([]string, error)
	// free returns how many bytes may still be written, and the size of the file system.
	free() (free, size int64, err error)
	// reach is called before each step of a transaction, which goes to the file system past this interface.
	reach(step string) error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	// sync makes the file's bytes durable.
	sync() error
	io.Closer
}

// osFS is the file system below a directory.
type osFS string

func (root osFS) path(name string) string { return filepath.Join(string(root), name) }

func (root osFS) create(name string) (file, error) {
	f, err := os.OpenFile(root.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (root osFS) open(name string) (file, error) {
	f, err := os.Open(root.path(name))
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (root osFS) edit(name string) (file, error) {
	f, err := os.OpenFile(root.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (root osFS) rename(from, to string) error {
	from, to = root.path(from), root.path(to)
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system knows the flag
		if err := os.Link(from, to); err != nil {
			return err
		}
		return os.Remove(from)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (root osFS) remove(name string) error { return os.Remove(root.path(name)) }

func (root osFS) size(name string) (int64, error) {
	st, err := os.Stat(root.path(name))
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (root osFS) mkdir(name string) error { return os.Mkdir(root.path(name), 0o700) }

func (root osFS) syncDir(name string) error {
	d, err := os.Open(root.path(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (root osFS) list(name string) ([]string, error) {
	d, err := os.Open(root.path(name))
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

func (root osFS) free() (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(string(root), &st); err != nil {
		return 0, 0, fmt.Errorf("statfs: %w", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil //nolint:unconvert // 32 bits on some
}

func (root osFS) reach(string) error { return nil }

type osFile struct{ *os.File }

func (f osFile) sync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// remoteFS names the file systems that a store is refused on: their locks and syncs do not promise what is needed.
var remoteFS = map[int64]string{
	0x6969:     "NFS",
	0x517B:     "SMB",
	0xFF534D42: "CIFS",
	0xFE534D42: "SMB2",
	0x564C:     "NCP",
	0x6B414653: "AFS",
	0x00C36400: "Ceph",
	0x01021997: "9P",
	0x0BD00BD0: "Lustre",
	0x01161970: "GFS2",
	0x7461636F: "OCFS2",
	0x786F4256: "a folder shared with a virtual machine",
}

// refuseRemote returns an error when a store would lie on a network file system.
func refuseRemote(kind int64) error {
	if name, ok := remoteFS[kind&0xFFFFFFFF]; ok {
		return fmt.Errorf("it lies on %s; a store needs a local file system (ext4, xfs, btrfs, zfs): set storage.path to one", name)
	}
	return nil
}

// fsKind returns the kind of the file system that dir lies on, or will once it is made.
func fsKind(dir string) int64 {
	var st unix.Statfs_t
	at := dir
	for errors.Is(unix.Statfs(at, &st), unix.ENOENT) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
	}
	return int64(st.Type) //nolint:unconvert // 32 bits on some
}

// ioError turns "no room" of any kind into object.ErrNoSpace, and hides what else an error of the file system is: to a door,
// fs.ErrExist and its like speak of keys.
func ioError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %v", object.ErrNoSpace, err) //nolint:errorlint // see above
	}
	for _, sentinel := range []error{fs.ErrExist, fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(err, sentinel) {
			return fmt.Errorf("file system: %v", err) //nolint:errorlint // see above
		}
	}
	return err
}
