package disk

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hugbucket/internal/disk/sumvfs"
)

// HoldStill keeps content from being deleted or moved until release is called: gc is refused meanwhile. It is ErrBusy while gc
// runs. Who copies content holds it from before Backup until the last file is copied.
func (d *Driver) HoldStill() (release func() error, err error) { return d.holdStill(false) }

// Backup writes a copy of catalog.db to w, all of it of one moment, while others go on writing. It is a database that Open
// and Rebuild take, and that SQLite reads.
//
// It is the catalog alone. What its rows name is there when Backup returns, and only gc takes it away or elsewhere: so the
// catalog is saved first, then xorbs and packs are copied by any means and in any order, and gc is held off (HoldStill) from
// the one to the end of the other. Packs may grow while they are copied. Content that was copied before the backup does not
// suffice. When gc has run between the two, Rebuild still finds what it moved; what it deleted is gone, with the keys that
// were deleted or overwritten since, and, when the backup is older than CollectOptions.Backups, with keys that shared xorbs with these.
//
// A page that cannot be read is an object.ErrCorrupt. This is the one read of the catalog that outlives a page: as long as it
// takes w to accept everything, the write-ahead log grows.
func (d *Driver) Backup(ctx context.Context, w io.Writer, p Progress) (err error) {
	if err := live(ctx); err != nil {
		return err
	}
	db, err := d.catalogDB().open(1, backupCacheKiB)
	if err != nil {
		return fmt.Errorf("back up catalog.db: %w", err)
	}
	defer func() { err = errors.Join(err, sqlError(db.Close())) }()
	tx, err := db.BeginTx(brief(ctx), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("back up catalog.db: %w", sqlError(err))
	}
	defer func() { err = errors.Join(err, sqlError(tx.Rollback())) }()
	if err := writePages(ctx, tx, w, p); err != nil {
		return fmt.Errorf("back up catalog.db: %w", err)
	}
	// What the copy names may be durable by rows of redo alone, which are not replayed from a backup.
	if err := d.settleAll(ctx); err != nil {
		return fmt.Errorf("back up catalog.db: make durable what it names: %w", err)
	}
	return nil
}

const (
	// backupCacheKiB is little: each page is read once.
	backupCacheKiB = 256
	// lockPage is where SQLite keeps its locks, in databases that are so large: no page lies there.
	lockPage = 1<<30/pageSize + 1
)

// writePages writes all pages of the snapshot of a transaction.
func writePages(ctx context.Context, tx *sql.Tx, w io.Writer, p Progress) error {
	var pages int64
	if err := tx.QueryRowContext(brief(ctx), `PRAGMA page_count`).Scan(&pages); err != nil {
		return sqlError(err)
	}
	read, err := tx.PrepareContext(brief(ctx), `SELECT data FROM sqlite_dbpage WHERE pgno = ?`)
	if err != nil {
		return sqlError(err)
	}
	defer func() { _ = read.Close() }()
	free, err := freePages(ctx, read, pages)
	if err != nil {
		return err
	}
	blank := make([]byte, pageSize)
	for n := int64(1); n <= pages; n++ {
		if err := live(ctx); err != nil {
			return err
		}
		page := blank
		if n != lockPage && !free[n] {
			if page, err = readPage(ctx, read, n); err != nil {
				return err
			}
		}
		if n == 1 {
			binary.BigEndian.PutUint32(page[freshAt:], freshBackup)
		}
		sumvfs.Stamp(page, (n-1)*pageSize)
		if _, err := w.Write(page); err != nil {
			return err
		}
		p.tell(Step{Name: "copying catalog.db", Done: n * pageSize, Total: pages * pageSize, Bytes: true})
	}
	return nil
}

func readPage(ctx context.Context, read *sql.Stmt, n int64) (page []byte, err error) {
	err = read.QueryRowContext(brief(ctx), n).Scan(&page)
	if err == nil && len(page) != pageSize {
		err = fmt.Errorf("%d bytes", len(page))
	}
	if err != nil {
		return nil, fmt.Errorf("page %d: %w", n, sqlError(err))
	}
	return page, nil
}

// freePages returns the pages that hold nothing: they need not be readable, and what was deleted does not get into a backup, but for
// small objects of the last minute, which redo may still have.
// They hang on trunk pages (https://www.sqlite.org/fileformat2.html#the_freelist): u32 next trunk, u32 n, n × u32 page.
func freePages(ctx context.Context, read *sql.Stmt, pages int64) (map[int64]bool, error) {
	head, err := readPage(ctx, read, 1)
	if err != nil {
		return nil, err
	}
	free := make(map[int64]bool)
	next := int64(binary.BigEndian.Uint32(head[32:]))
	for trunks := int64(0); next != 0 && next <= pages && trunks < pages; trunks++ {
		trunk, err := readPage(ctx, read, next)
		if err != nil {
			return nil, err
		}
		n := min(int(binary.BigEndian.Uint32(trunk[4:])), (pageSize-sumvfs.Reserved-8)/4)
		for i := range n {
			free[int64(binary.BigEndian.Uint32(trunk[8+4*i:]))] = true
		}
		next = int64(binary.BigEndian.Uint32(trunk))
	}
	delete(free, 1) // whatever the list says
	return free, nil
}
