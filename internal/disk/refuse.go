package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hugbucket/internal/disk/sumvfs"
)

// Refused returns why Open would refuse the store in dir, if that can be told without changing anything there: nil does not
// promise that it opens.
func Refused(dir string) error { return refuse(dir, fsKind(dir)) }

// refuse returns why a store in dir must not be opened, if it can tell without changing anything there; kind is that of the
// file system. What only SQLite can tell is refused later.
func refuse(dir string, kind int64) error {
	if err := refuseRemote(kind); err != nil {
		return err
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, unix.ENOTDIR) || err == nil && !st.IsDir():
		return errors.New("it is not a directory: set storage.path to the directory of the store, or to one to be made")
	case errors.Is(err, fs.ErrNotExist):
		return refuseWrite(existing(dir))
	case err != nil:
		return err
	}
	for _, name := range []string{"catalog.db", "index.db"} {
		version, err := peekFormat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, errNoDatabase) && name == "index.db":
			continue // it is derived: a new one is begun
		case err != nil:
			return err
		case version > format:
			return newerFormat(name, version)
		case version == 0 && name == "catalog.db":
			if err := refuseLost(dir); err != nil {
				return err
			}
		}
	}
	return refuseWrite(dir)
}

// mendCatalog says what to do about a catalog.db that is damaged.
const mendCatalog = "restore catalog.db from a backup with file-bucketctl rebuild --catalog FILE, " +
	"or without one save what can be read with file-bucketctl rebuild"

// refuseLost refuses a store that has lost its catalog: there is content, or index.db, which is made after the catalog. The
// catalog is looked at once more after that, so that a store that somebody makes meanwhile is not taken for one.
func refuseLost(dir string) error {
	content, err := hasContent(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "index.db")); err != nil && !content {
		return nil
	}
	if version, err := peekFormat(filepath.Join(dir, "catalog.db")); err != nil || version != 0 {
		return err
	}
	return errors.New("catalog.db is missing or empty, but there is content or index.db, which a new one would give up: " +
		"restore catalog.db from a backup with file-bucketctl restore FILE, or set storage.path to another directory")
}

// refuseWrite refuses a directory that cannot be written to.
func refuseWrite(dir string) error {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	if errors.Is(err, unix.EROFS) {
		return fmt.Errorf("%s is mounted read-only: mount it for writing, or set storage.path to another directory", dir)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written to (%w): give it to the user of this program", dir, err)
	}
	return nil
}

// existing returns dir or the nearest directory above it that exists.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// hasContent says whether there are xorbs or packs.
func hasContent(dir string) (bool, error) {
	for _, sub := range contentDirs() {
		if sub == "tmp" {
			continue
		}
		d, err := os.Open(filepath.Join(dir, sub))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		names, err := d.Readdirnames(1)
		if err := d.Close(); err != nil {
			return false, err
		}
		if len(names) > 0 {
			return true, nil
		}
		if !errors.Is(err, io.EOF) {
			return false, err
		}
	}
	return false, nil
}

// errNoDatabase is returned for a file that SQLite did not write.
var errNoDatabase = errors.New("not a database of this program")

// peekFormat reads the format of a database from its header, without opening it: to open one changes its directory. 0 is
// one that is missing or empty, and -1 one whose format may be in its log alone.
func peekFormat(path string) (int, error) {
	wal, err := os.Stat(path + "-wal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	header := make([]byte, pageSize)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // to open a FIFO would wait for a writer
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n := 0
	st, err := f.Stat()
	if err == nil && !st.IsDir() && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file: move it away", filepath.Base(path))
	}
	if err == nil {
		n, err = io.ReadFull(f, header)
	}
	_ = f.Close() // it was only read
	switch {
	case errors.Is(err, unix.EISDIR):
		return 0, fmt.Errorf("%s is a directory where a file of the store belongs: move it away", filepath.Base(path))
	case ignoreEnd(err) != nil:
		return 0, err
	}
	version := int(int32(binary.BigEndian.Uint32(header[60:64]))) // user_version
	// A page that somebody is writing just now may look damaged. One that is, and bears a version, does not bear that one.
	if n > 0 && !isOurs(header) || version != 0 && version != format && !sumvfs.Whole(header, 0) {
		return 0, fmt.Errorf("%s is damaged (%w): %s; or set storage.path to another directory",
			filepath.Base(path), errNoDatabase, mendCatalog) // of index.db nobody is told
	}
	if version == 0 && wal != nil && wal.Size() > 0 {
		return -1, nil
	}
	return version, nil
}
