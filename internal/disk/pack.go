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
	name     string
	f        file
	size     int64
	unsynced int64 // how much of it only rows of redo keep
	torn     bool  // a sync has failed: what of it is durable nobody can know any more
	// named says that a row may name it. Until then nobody knows of it. It is for retire and those before it alone.
	named bool
}

// sync makes all of the pack durable. Once it has failed, it is not to be called again: the system has given up the bytes, and would
// find nothing wrong.
func (p *pack) sync() error {
	if err := p.f.sync(); err != nil {
		p.torn = true
		return err
	}
	p.unsynced = 0
	return nil
}

// addition is what was appended to a pack for a group.
type addition struct {
	pack   *pack
	off    int64  // where it begins
	size   int64  // of the pack then
	copied []byte // what was appended, when it may not be durable; valid until the next is
	synced bool   // all of the pack is durable that was not
}

// packs appends to packs, for one goroutine alone.
type packs struct {
	d      *Driver
	redo   bool // what is small is made durable by rows of redo
	cur    *pack
	sealed []*pack     // that were ended and not handed on
	doubt  atomic.Bool // a commit has failed: what is in the pack nobody can know
}

// ended hands on the packs that were ended.
func (p *packs) ended() []*pack {
	sealed := p.sealed
	p.sealed = nil
	return sealed
}

// append writes bytes into the pack and makes them durable, unless that is left to rows of redo. A pack that there is doubt about, or
// that is full, is ended first: no commit that comes after refers to it. So this may fail because that one cannot be synced.
func (p *packs) append(body []byte) (*addition, error) {
	if err := p.d.room(int64(len(body))); err != nil {
		return nil, err
	}
	full := p.cur != nil && p.cur.size > 0 && p.cur.size+int64(len(body)) > p.d.pack
	if p.doubt.Swap(false) || full {
		if err := p.seal(); err != nil {
			return nil, err
		}
	}
	if p.cur == nil {
		name := p.d.proc.name("packs/")
		f, err := p.d.fs.create(name)
		if err != nil {
			return nil, ioError(err)
		}
		p.cur = &pack{name: name, f: f}
		if err := p.d.fs.syncDir("packs"); err != nil {
			return nil, p.fail(err)
		}
	}
	a := &addition{pack: p.cur, off: p.cur.size}
	if _, err := p.cur.f.WriteAt(body, a.off); err != nil {
		return nil, p.fail(err)
	}
	n := int64(len(body))
	if p.redo && n <= redoGroup && p.cur.unsynced+n <= p.d.mayWait {
		p.cur.unsynced += n
		a.copied = body
	} else {
		a.synced = p.cur.unsynced > 0
		if err := p.cur.sync(); err != nil {
			return nil, p.fail(err)
		}
	}
	p.cur.size += n
	a.size = p.cur.size
	return a, nil
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
	if cur.unsynced > 0 && !cur.torn {
		errs = append(errs, cur.sync())
	}
	if err := cur.f.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close pack: %w", err))
	}
	return ioError(errors.Join(errs...))
}
