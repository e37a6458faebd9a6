package disk

import (
	"fmt"
)

// packSize is the size at which a pack is sealed.
const packSize = 64 << 20

// pack is the pack that this process appends to. It only grows; after any doubt it is sealed and another begins.
type pack struct {
	name string
	f    file
	size int64
}

// packs appends to packs, for the committer alone.
type packs struct {
	d       *Driver
	cur     *pack
	sealing []string // packs to be marked sealed in the next transaction
}

// append writes bodies back to back and makes them durable. It returns the pack's name and where they begin.
func (p *packs) append(body []byte) (name string, off int64, err error) {
	if err := p.d.room(int64(len(body))); err != nil {
		return "", 0, err
	}
	if p.cur != nil && p.cur.size > 0 && p.cur.size+int64(len(body)) > p.d.pack {
		if err := p.seal(); err != nil {
			return "", 0, err
		}
	}
	if p.cur == nil {
		name := p.d.proc.name("packs/")
		f, err := p.d.fs.create(name)
		if err != nil {
			return "", 0, ioError(err)
		}
		p.cur = &pack{name: name, f: f}
		if err := p.d.fs.syncDir("packs"); err != nil {
			return "", 0, p.fail(err)
		}
	}
	off = p.cur.size
	if _, err := p.cur.f.WriteAt(body, off); err != nil {
		return "", 0, p.fail(err)
	}
	if err := p.cur.f.sync(); err != nil {
		return "", 0, p.fail(err)
	}
	p.cur.size += int64(len(body))
	return p.cur.name, off, nil
}

// fail seals the pack after a failed write, sync or commit: what of it has lasted nobody can know.
func (p *packs) fail(err error) error {
	p.d.litter.Store(true)
	if serr := p.seal(); serr != nil {
		return fmt.Errorf("%w (and %w)", ioError(err), serr)
	}
	return ioError(err)
}

// seal ends the current pack.
func (p *packs) seal() error {
	if p.cur == nil {
		return nil
	}
	cur := p.cur
	p.cur = nil
	p.sealing = append(p.sealing, cur.name)
	if err := cur.f.Close(); err != nil {
		return ioError(fmt.Errorf("close pack: %w", err))
	}
	return nil
}
