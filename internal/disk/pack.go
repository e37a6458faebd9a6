package disk

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// packSize is the size at which a pack is sealed.
const packSize = 64 << 20

// pack is a pack that this process appends to. It only grows; after any doubt it is sealed and another begins.
type pack struct {
	name   string
	f      file
	size   int64
	redone int64 // how much of it only rows of redo keep
	torn   bool  // a sync has failed: what of it is durable nobody can know any more
	// named says that a row may name it. Until then nobody knows of it. It is for retire and those before it alone.
	named bool
}

// sync makes all of the pack durable.
func (p *pack) sync() error {
	if p.torn {
		return nil // the next sync would find nothing wrong, because the system has given up the bytes
	}
	if err := p.f.sync(); err != nil {
		p.torn = true
		return err
	}
	p.redone = 0
	return nil
}

// packs appends to packs, for one goroutine alone.
type packs struct {
	d      *Driver
	redo   bool // what is small is made durable by rows of redo
	cur    *pack
	sealed []*pack     // that were ended and not handed on
	doubt  atomic.Bool // a commit has failed: what is in the pack nobody can know
}

// append writes a group's bytes into the pack and makes them durable, unless the group is to do that. It tells the group where they
// went, and returns where they begin. A pack that there is doubt about, or that is full, is ended first, and handed on with the group:
// no commit that comes after refers to it.
func (p *packs) append(g *group, body []byte) (off int64, err error) {
	defer func() { g.sealed, p.sealed = p.sealed, nil }()
	if err := p.d.room(int64(len(body))); err != nil {
		return 0, err
	}
	full := p.cur != nil && p.cur.size > 0 && p.cur.size+int64(len(body)) > p.d.pack
	if p.doubt.Swap(false) || full {
		if err := p.seal(); err != nil {
			return 0, err
		}
	}
	if p.cur == nil {
		name := p.d.proc.name("packs/")
		f, err := p.d.fs.create(name)
		if err != nil {
			return 0, ioError(err)
		}
		p.cur = &pack{name: name, f: f}
		if err := p.d.fs.syncDir("packs"); err != nil {
			return 0, p.fail(err)
		}
	}
	off = p.cur.size
	if _, err := p.cur.f.WriteAt(body, off); err != nil {
		return 0, p.fail(err)
	}
	n := int64(len(body))
	if p.redo && n <= redoGroup && p.cur.redone+n <= p.d.redo {
		p.cur.redone += n
		g.redo = body
	} else {
		g.synced = p.cur.redone > 0
		if err := p.cur.sync(); err != nil {
			return 0, p.fail(err)
		}
	}
	p.cur.size += n
	g.pack, g.size = p.cur, p.cur.size
	return off, nil
}

// fail seals the pack after a failed write or sync: what of it has lasted nobody can know.
func (p *packs) fail(err error) error {
	if serr := p.seal(); serr != nil {
		return fmt.Errorf("%w (and %w)", ioError(err), serr)
	}
	return ioError(err)
}

// seal ends the current pack, and makes durable what of it is not.
func (p *packs) seal() error {
	if p.cur == nil {
		return nil
	}
	cur := p.cur
	p.cur = nil
	p.sealed = append(p.sealed, cur)
	var errs []error
	if cur.redone > 0 {
		errs = append(errs, cur.sync())
	}
	if err := cur.f.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close pack: %w", err))
	}
	return ioError(errors.Join(errs...))
}
