package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sweep removes what processes that died have left: xorbs in the making, files that no row names, and their rows in the
// catalog. It never touches what belongs to a process that lives.
func (d *Driver) sweep(ctx context.Context) error {
	d.sweeping.Lock()
	defer d.sweeping.Unlock()
	ids, err := d.otherProcesses(ctx)
	if err != nil {
		return err
	}
	if err := d.commit.replay(ctx); err != nil && ctx.Err() == nil {
		d.commit.warnOfRedo(err) // it is no reason not to sweep
	}
	var errs []error
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, d.sweepProcess(ctx, id))
	}
	return errors.Join(append(errs, d.sweepLocks(ctx), d.index.sweep(ctx))...)
}

// sweepLocks removes the lock files of those who died before they were registered. A transaction keeps those out who are
// just being registered.
func (d *Driver) sweepLocks(ctx context.Context) error {
	names, err := d.fs.list("procs")
	if err != nil || len(names) < 2 {
		return err // at most this process's own
	}
	return d.commit.tx(ctx, func(ctx context.Context) error {
		for _, name := range names {
			var known bool
			err := d.commit.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM procs WHERE id = ?)`, name).Scan(&known)
			if err != nil {
				return err
			}
			if known {
				continue
			}
			lock, err := tryLock(filepath.Join(d.dir, "procs", name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if lock == nil {
				continue
			}
			if err := errors.Join(os.Remove(lock.Name()), lock.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *Driver) otherProcesses(ctx context.Context) ([]int64, error) {
	return collect(brief(ctx), d.reads.db, scanID, `SELECT id FROM procs WHERE id <> ?`, d.proc.id)
}

// sweepProcess sweeps after one process, if it is dead: only then can its lock be had. Its row goes after its files, so a
// sweep that is cut short is taken up again.
func (d *Driver) sweepProcess(ctx context.Context, id int64) error {
	lock, err := tryLock(d.procLock(id))
	switch {
	case errors.Is(err, fs.ErrNotExist): // a power cut can take the file and leave the row; or somebody has removed it
	case err != nil:
		return err
	case lock == nil:
		return nil // it lives
	default:
		defer func() { _ = lock.Close() }() // gives up the lock; nothing was written
	}
	if err := d.expel(ctx, id); err != nil {
		return err
	}
	if err := d.sweepFiles(ctx, id); err != nil {
		return fmt.Errorf("sweep after process %d: %w", id, err)
	}
	if err := d.forgetProcess(ctx, id); err != nil || lock == nil {
		return err
	}
	return os.Remove(lock.Name())
}

// expel keeps a process from ever committing again, before its files are taken for garbage: it may live, when somebody has
// removed its lock file. When it died within a COMMIT, this also writes over what of that is in the log and may come true
// after a power cut.
func (d *Driver) expel(ctx context.Context, id int64) error {
	return d.commit.tx(ctx, func(ctx context.Context) error {
		_, err := d.commit.st.tellEpoch.ExecContext(ctx, 0, id)
		return err
	})
}

// forgetProcess takes a process out of the catalog.
func (d *Driver) forgetProcess(ctx context.Context, id int64) error {
	if err := d.index.left(ctx, id); err != nil {
		d.index.warn(err)
	}
	return d.commit.tx(ctx, func(ctx context.Context) error {
		if _, err := d.commit.conn.ExecContext(ctx, `UPDATE packs SET sealed = 1 WHERE proc = ?`, id); err != nil {
			return err
		}
		_, err := d.commit.st.deleteProc.ExecContext(ctx, id)
		return err
	})
}

// sweepFiles removes the files of a dead process that no row names, so that they do not come again after a power cut: once the
// process is forgotten, nobody would sweep them.
func (d *Driver) sweepFiles(ctx context.Context, id int64) error {
	for _, dir := range contentDirs() {
		names, err := d.fs.list(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !madeBy(name, id) {
				continue
			}
			name = dir + "/" + name
			if named, err := d.named(ctx, name); err != nil {
				return err
			} else if named {
				continue
			}
			if err := d.fs.remove(name); err != nil {
				return err
			}
		}
		// Also when nothing was removed: whoever removed it may have died before this.
		if err := d.fs.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// named says whether a row names a file.
func (d *Driver) named(ctx context.Context, name string) (bool, error) {
	var yes bool
	err := d.reads.db.QueryRowContext(brief(ctx), `SELECT EXISTS (SELECT 1 FROM xorbs WHERE file = ?1)
		OR EXISTS (SELECT 1 FROM packs WHERE file = ?1) OR EXISTS (SELECT 1 FROM trash WHERE file = ?1)`, name).Scan(&yes)
	return yes, sqlError(err)
}

// contentDirs are the directories that hold content.
func contentDirs() []string {
	dirs := []string{"tmp", "packs"}
	for i := range 256 {
		dirs = append(dirs, fmt.Sprintf("xorbs/%02x", i))
	}
	return dirs
}
