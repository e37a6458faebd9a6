package disk

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
)

// What a request brings to a pack is made durable in one of two ways. The bytes of large ones are synced before their rows are
// written. Those of small ones are written to the pack, and once more into the catalog, in the transaction that names them: they
// cost one sync in place of two. The pack is synced when redoKept such bytes have come together, or when it is ended; the rows of redo
// go with the next transaction. If the process does not come to that, they are replayed by who opens the store next, or sweeps.
//
// Only a power cut can take from the pack what was written to it, and it ends all processes; so nobody ever reads a place that was
// not replayed yet.
const (
	// redoRequest is how much a request may bring for that, redoGroup how much all of a group: what is larger is not worth being
	// written twice.
	redoRequest = 16 << 10
	redoGroup   = 512 << 10
	// redoKept is how much of a pack may be waiting for its sync.
	redoKept = 2 << 20
)

// redoSum is the checksum of a row of redo: CRC-32C of the file's name, u64 off, and the bytes.
func redoSum(file string, off int64, b []byte) uint32 {
	head := binary.LittleEndian.AppendUint64([]byte(file), uint64(off))
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b)
}

// writeRedo writes into the transaction under way what of the group's bytes may not be durable yet, or that all of the pack is.
func (c *committer) writeRedo(ctx context.Context, g *group) (err error) {
	switch {
	case len(g.redo) > 0:
		off := g.size - int64(len(g.redo))
		_, err = c.st.putRedo.ExecContext(ctx, g.pack.name, off, redoSum(g.pack.name, off, g.redo), g.redo)
	case g.synced:
		_, err = c.st.delRedo.ExecContext(ctx, g.pack.name)
	}
	return err
}

// replay writes to the packs of other processes, those that have died, what they may not have made durable. After a power cut, it
// comes before anything is read from them.
func (c *committer) replay(ctx context.Context) error {
	files, err := c.redoFiles(ctx)
	files = slices.DeleteFunc(files, func(file string) bool { return c.d.proc != nil && maker(file) == c.d.proc.id })
	if err != nil || len(files) == 0 {
		return err
	}
	return c.tx(ctx, func(ctx context.Context) error {
		for _, file := range files {
			alive, err := c.d.livesLocked(maker(file))
			if err == nil && !alive {
				err = c.replayPack(ctx, file)
			}
			if err != nil {
				return fmt.Errorf("replay %s: %w", file, err)
			}
		}
		return nil
	})
}

// redoFiles returns the packs that have rows in redo.
func (c *committer) redoFiles(ctx context.Context) ([]string, error) {
	return collect(brief(ctx), c.d.reads.db, func(rows *sql.Rows) (file string, err error) {
		err = rows.Scan(&file)
		return file, err
	}, `SELECT DISTINCT file FROM redo`)
}

// replayPack replays one pack in the transaction under way. It writes also what is there already: after a sync that has failed, the
// system keeps bytes in memory that it does not write any more.
func (c *committer) replayPack(ctx context.Context, file string) error {
	rows, err := c.conn.QueryContext(ctx, `SELECT `+redoColumns+` FROM redo WHERE file = ? ORDER BY id`, file)
	if err != nil {
		return sqlError(err)
	}
	pieces, err := scanAll(rows, func(rows *sql.Rows) (redoPiece, error) {
		row := make([]any, 4)
		if err := rows.Scan(&row[0], &row[1], &row[2], &row[3]); err != nil {
			return redoPiece{}, err
		}
		return readRedo(row)
	})
	if err != nil {
		return err
	}
	if err := c.d.rewrite(file, pieces); err != nil {
		return err
	}
	_, err = c.st.delRedo.ExecContext(ctx, file)
	return err
}

// rewrite writes pieces of a pack and makes all of it durable. A pack that is gone needs none: its rows went before it.
func (d *Driver) rewrite(file string, pieces []redoPiece) error {
	f, err := d.fs.edit(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioError(err)
	}
	for _, p := range pieces {
		if _, err := f.WriteAt(p.bytes, p.off); err != nil {
			return ioError(errors.Join(err, f.Close()))
		}
	}
	return ioError(errors.Join(f.sync(), f.Close()))
}

const redoColumns = `file, off, sum, bytes`

// redoPiece is a row of redo: bytes and where they belong.
type redoPiece struct {
	file  string
	off   int64
	bytes []byte
}

// readRedo makes a piece of redoColumns; an object.ErrCorrupt unless it is one that was written.
func readRedo(row []any) (p redoPiece, err error) {
	var sum int64
	if p.file, err = column[string](row, 0, "the pack of a row of redo"); err != nil {
		return p, err
	}
	if p.off, err = column[int64](row, 1, "an offset in redo"); err != nil {
		return p, err
	}
	if sum, err = column[int64](row, 2, "a checksum in redo"); err != nil {
		return p, err
	}
	if p.bytes, err = column[[]byte](row, 3, "what is to be replayed"); err != nil {
		return p, err
	}
	if sum != int64(redoSum(p.file, p.off, p.bytes)) {
		return p, corrupt("catalog.db: what is to be replayed at %s+%d has another checksum", p.file, p.off)
	}
	return p, nil
}

// replay does for the store's own catalog what opening it would do, as far as it can be read. A backup has nothing to replay: packs are
// copied after it, with all that was in them then.
func (b *builder) replay(ctx context.Context) error {
	if len(b.sources) == 0 || !b.sources[0].now {
		return nil
	}
	src := b.sources[0]
	return src.byID(ctx, "redo", redoColumns, func(row []any) error {
		p, err := readRedo(row[1:])
		if err != nil {
			return src.damage(err, "what was to be replayed into a pack")
		}
		return b.d.rewrite(p.file, []redoPiece{p})
	})
}

// checkRedo looks at what would be replayed.
func (c *checker) checkRedo(ctx context.Context) error {
	_, err := c.byID(ctx, "redo", redoColumns, func(_ int64, row []any) error {
		if _, err := readRedo(row); err != nil {
			c.problem(Problem{What: err.Error()})
		}
		return nil
	})
	return err // pages that cannot be read are reported elsewhere
}
