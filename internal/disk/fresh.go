package disk

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hugbucket/internal/disk/sumvfs"
)

// A catalog that Backup or Rebuild wrote is marked as fresh until somebody opens it as that of a store. Nobody has written to
// it since, so a log that lies beside it belongs to the catalog that lay there before: SQLite would play it into this one. And
// the processes in its rows are none whose files may be swept: what they stored after the backup has no rows in it.
const (
	freshAt     = 68         // of the first page: SQLite's application_id
	freshBackup = 0x68624662 // "hbFb", of Backup
	freshNew    = 0x6862466e // "hbFn", of Rebuild
)

// fresh returns how a catalog is marked in its file, 0 when it is not. Of a page that is torn, its log has the right one.
func (b database) fresh() (mark uint32, err error) {
	f, err := os.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, ioError(err)
	}
	page := make([]byte, pageSize)
	_, err = io.ReadFull(f, page)
	_ = f.Close() // it was only read
	if err != nil {
		return 0, ioError(ignoreEnd(err))
	}
	mark = binary.BigEndian.Uint32(page[freshAt:])
	if !sumvfs.Whole(page, 0) || mark != freshBackup && mark != freshNew {
		return 0, nil
	}
	return mark, nil
}

// dropForeignLog removes the log beside a fresh catalog, and says whether it is one. The mark is in the file itself until
// settleFresh has written all of its log into it. The caller holds the lock of the catalog.
func (d *Driver) dropForeignLog() (fresh bool, err error) {
	at := d.catalogDB()
	if mark, err := at.fresh(); mark == 0 || err != nil {
		return false, err
	}
	if err := nobodyLives(d.dir, d.fs); err != nil {
		return false, fmt.Errorf("catalog.db was replaced: %w", err)
	}
	if err := at.removeLog(); err != nil {
		return false, ioError(err)
	}
	return true, d.fs.syncDir(".")
}

// settleFresh makes a fresh catalog that of the store: no process is known that could be swept after, packs only grow under
// those who made them, nothing is replayed (Backup has settled its packs, and these may be others of the same names), ids go on
// behind those that names of files bear, and all of that is in the file when it returns. The caller holds the lock of the
// database, and nobody else has it open.
func (d *Driver) settleFresh(ctx context.Context, db *sql.DB) error {
	last, err := lastNamed(d.fs)
	if err != nil {
		return ioError(err)
	}
	var mark int64
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&mark); err != nil {
		return fmt.Errorf("catalog.db: %w", sqlError(err))
	}
	sealed := 1
	if mark == freshBackup {
		sealed = 2 // what came after the backup may be in them, and has no rows
	}
	if _, err := db.ExecContext(ctx, `BEGIN IMMEDIATE; DELETE FROM procs; DELETE FROM redo; UPDATE packs SET sealed = max(?1, sealed);
		PRAGMA application_id = 0; `+raiseProcs+` COMMIT`, sealed, last); err != nil {
		return fmt.Errorf("catalog.db: %w", sqlError(err))
	}
	var busy, log, done int
	err = db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &done)
	if err == nil && busy != 0 {
		err = errors.New("somebody else has it open")
	}
	if err != nil {
		return fmt.Errorf("catalog.db: write what is new to it: %w", sqlError(err))
	}
	return nil
}

// raiseProcs sees that ids of processes go on behind ?2.
const raiseProcs = `UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = 'procs';
	INSERT INTO sqlite_sequence (name, seq)
		SELECT 'procs', ?2 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'procs');`

// nobodyLives returns an error when a process has the store open. The caller holds the lock of the catalog, so that none comes.
func nobodyLives(dir string, root fsys) error {
	names, err := root.list("procs")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioError(err)
	}
	for _, name := range names {
		lock, err := tryLock(filepath.Join(dir, "procs", name))
		if err != nil {
			return ioError(err)
		}
		if lock == nil {
			return fmt.Errorf("process %s of the store (a daemon or a tool) is running: stop all of them, then try again", name)
		}
		if err := lock.Close(); err != nil {
			return ioError(err)
		}
	}
	return nil
}

// lastNamed returns the highest id of a process that the name of a file bears.
func lastNamed(root fsys) (last int64, err error) {
	for _, dir := range append(contentDirs(), "procs") {
		names, err := root.list(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for _, name := range names {
			if dir == "procs" {
				name += ".0"
			}
			last = max(last, maker(name))
		}
	}
	return last, nil
}

// maker returns the id of the process that made a file, by its name, packs/<id>.<n>, tmp/<id>.<n> or xorbs/ab/cdef….<id>.<n>; 0 when
// that does not say so.
func maker(name string) int64 {
	parts := strings.Split(name[strings.LastIndexByte(name, '/')+1:], ".")
	if len(parts) < 2 {
		return 0
	}
	id, err := strconv.ParseInt(parts[len(parts)-2], 10, 64)
	if err != nil {
		return 0
	}
	return id
}
