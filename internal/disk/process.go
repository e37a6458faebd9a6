package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// process is what the catalog knows of this process: its id, which its files carry, and how far collection may go.
type process struct {
	id   int64
	lock *os.File // procs/<id>, locked as long as the process lives
	seq  atomic.Int64

	warned atomic.Bool // of tick: that the catalog does not know it any more

	mu    sync.Mutex
	epoch int64         // the catalog's, as last read; what new pins note
	pins  map[int64]int // how many pins noted which epoch
}

// pin keeps what is stored now from being deleted until it is released.
type pin struct {
	p     *process
	epoch int64
}

func (p *process) pin() *pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pins[p.epoch]++
	return &pin{p, p.epoch}
}

// release may be called more than once.
func (n *pin) release() {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	if n.epoch == 0 {
		return
	}
	if n.p.pins[n.epoch]--; n.p.pins[n.epoch] == 0 {
		delete(n.p.pins, n.epoch)
	}
	n.epoch = 0
}

// past takes note of the catalog's epoch, read in the transaction under way, and returns what procs.epoch may be set to
// in the same transaction: the oldest epoch that is pinned, or epoch. Pins made from now on note epoch, so what they see
// doomed at their first look, they see as doomed.
func (p *process) past(epoch int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch = max(p.epoch, epoch)
	oldest := p.epoch
	for e := range p.pins {
		oldest = min(oldest, e)
	}
	return oldest
}

// name returns a name in dir that was never used: prefix, process and number.
func (p *process) name(prefix string) string {
	return fmt.Sprintf("%s%d.%d", prefix, p.id, p.seq.Add(1))
}

// register makes this process known to the catalog: it gets an id that was never used, and holds the lock that shows it
// to be alive before anybody can see the id.
func (c *committer) register(ctx context.Context) (*process, error) {
	p := &process{pins: make(map[int64]int)}
	err := c.tx(ctx, func(ctx context.Context) error {
		// From here on, nobody replaces the catalog any more; until now somebody may have.
		if inode, err := inodeOf(filepath.Join(c.d.dir, "catalog.db")); err != nil || inode != c.d.catalog {
			return errors.Join(errors.New("catalog.db was replaced meanwhile: try again"), ioError(err))
		}
		if err := c.conn.QueryRowContext(ctx, `SELECT epoch FROM meta`).Scan(&p.epoch); err != nil {
			return err
		}
		return c.newID(ctx, p)
	})
	if err != nil {
		if p.lock != nil {
			err = errors.Join(err, p.lock.Close())
		}
		return nil, fmt.Errorf("register with the store: %w", err)
	}
	return p, nil
}

// lastProc is the file that has the highest id that a process of this store ever had, in decimal.
const lastProc = "lastproc"

// passOver sees that ids go on behind those that were given when the catalog was a newer one than this: files of these
// processes may lie about, and names are never used again.
func (c *committer) passOver(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(c.d.dir, lastProc))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioError(err)
	}
	// What a power cut has left of it may be nothing: then it is as if it had not been written.
	last, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // 0 on an error
	_, err = c.conn.ExecContext(ctx, raiseProcs, nil, last)
	return err
}

// keepLast writes down the id of a process that is being registered.
func (d *Driver) keepLast(id int64) error {
	tmp, name := filepath.Join(d.dir, lastProc+".new"), filepath.Join(d.dir, lastProc)
	if err := os.WriteFile(tmp, fmt.Appendln(nil, id), 0o600); err != nil {
		return ioError(err)
	}
	return ioError(os.Rename(tmp, name))
}

// newID inserts the row of a process and takes its lock. An id whose lock file exists was given to somebody whom this
// catalog does not know: one that died before it was registered, or one of a newer catalog than this. It is passed over.
func (c *committer) newID(ctx context.Context, p *process) (err error) {
	if err := c.passOver(ctx); err != nil {
		return err
	}
	for {
		if p.id, err = insert(ctx, c.st.insertProc, p.epoch); err != nil {
			return err
		}
		p.lock, err = os.OpenFile(c.d.procLock(p.id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return errors.Join(flock(p.lock, unix.LOCK_EX|unix.LOCK_NB), c.d.keepLast(p.id))
		}
		if !errors.Is(err, fs.ErrExist) {
			return ioError(err)
		}
		if _, err := c.st.deleteProc.ExecContext(ctx, p.id); err != nil {
			return err
		}
	}
}

func (d *Driver) procLock(id int64) string {
	return filepath.Join(d.dir, "procs", fmt.Sprint(id))
}

// unregister seals the packs and takes this process out of the catalog.
func (c *committer) unregister() error {
	p := c.d.proc
	var errs []error
	for _, a := range []*appender{&c.large, &c.few} {
		errs = append(errs, a.seal())
		c.retire(a.ended())
	}
	c.heal(context.Background())
	if err := c.d.syncLeft(); err != nil {
		c.d.litter.Store(true)
		errs = append(errs, err)
	}
	errs = append(errs, c.txAgain(context.Background(), func(ctx context.Context) error {
		if err := c.sealPacks(ctx); err != nil {
			return err
		}
		if c.d.litter.Load() {
			return nil
		}
		_, err := c.st.deleteProc.ExecContext(ctx, p.id)
		return errors.Join(err, os.Remove(p.lock.Name()))
	}))
	return errors.Join(append(errs, p.lock.Close())...)
}

// tick tells the catalog how far this process is, when that has changed. An error is left to the next tick or commit.
func (c *committer) tick(ctx context.Context) {
	p := c.d.proc
	var epoch, told int64
	err := c.d.reads.epoch.QueryRowContext(brief(ctx), p.id).Scan(&epoch, &told)
	if errors.Is(err, sql.ErrNoRows) && !p.warned.Swap(true) {
		c.d.warn(fmt.Sprintf("the store does not know this process (%d) any more, because its file in procs was removed: "+
			"nothing more can be stored until it is started again", p.id))
	}
	if err != nil {
		return
	}
	if p.past(epoch) == told {
		return
	}
	c.d.forgetRemoved()
	_ = c.tx(ctx, c.tellEpoch)
}

// forgetRemoved lets go of what collection may have removed by now.
func (d *Driver) forgetRemoved() {
	d.files.closeRemoved()
	d.damaged.Clear() // of a xorb that is gone; it may come again
}

// tellEpoch brings procs.epoch up to date in the transaction under way. A process that the catalog does not know must not
// write: others take its files for garbage.
func (c *committer) tellEpoch(ctx context.Context) error {
	p := c.d.proc
	var epoch, told int64
	if err := c.st.epoch.QueryRowContext(ctx, p.id).Scan(&epoch, &told); err != nil {
		return fmt.Errorf("process %d in the catalog: %w", p.id, err)
	}
	past := p.past(epoch)
	if past == told {
		return nil
	}
	_, err := c.st.tellEpoch.ExecContext(ctx, past, p.id)
	return err
}
