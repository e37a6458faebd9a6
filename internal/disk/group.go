package disk

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"modernc.org/sqlite"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const (
	// groupRequests and groupBytes bound what is committed together.
	groupRequests = 256
	groupBytes    = 32 << 20
	// keepBody is how large a buffer may be that is kept for the next group.
	keepBody = 2 << 20
	// othersFresh is for how long what another process has stored may not be in the index yet, and othersLook for how long
	// it is believed that there is no such process.
	othersFresh = 2 * time.Second
	othersLook  = 10 * time.Millisecond
)

// request is one session's commit.
type request struct {
	sess    *session
	changes []object.Change
	part    *partRequest                    // to be stored, in place of changes
	rename  *object.RenameOptions           // to be done, in place of changes
	begins  *object.Upload                  // to be begun, in place of changes
	aborts  string                          // the id of an upload to be aborted, in place of changes
	leave   *object.Info                    // the marker that goes with it; nil for none
	rows    func(ctx context.Context) error // writes rows in place of changes and files; of collection
	done    chan struct{}                   // closed when err is set
	err     error
	plan    *plan
}

// bytes returns how much the request brings that is not durable yet.
func (r *request) bytes() int {
	n := 0
	for _, x := range r.sess.staged {
		if x.forPack() {
			n += len(x.body)
		}
	}
	return n
}

// adds says whether the request makes a key name something, or an upload or a part be there.
func (r *request) adds() bool {
	return r.part != nil || r.rename != nil || r.begins != nil || slices.ContainsFunc(r.changes, func(ch object.Change) bool { return ch.New != nil })
}

// submit commits a request and waits for the outcome.
func (c *committer) submit(ctx context.Context, r *request) error {
	if err := live(ctx); err != nil { // select would toss a coin
		return err
	}
	r.done = make(chan struct{})
	queue := c.small
	if r.bytes() > redoRequest {
		queue = c.bodies
	}
	select {
	case queue <- r:
	case <-c.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	<-r.done // from here on it is decided by the disk, not by ctx
	return r.err
}

// group is what is committed together.
type group struct {
	requests []*request
	added    []*addition         // what it brought to packs
	sealed   []*pack             // that were ended before
	turn     bool                // it was appended, and the next may not be yet
	arrived  map[int64]time.Time // what it says of buckets into which something comes
}

// appendBodies makes groups of what is submitted to bodies, and makes the bytes durable, until ctx ends. It begins when the transaction
// of the group before is about to be synced: both syncs then take one time, and groups are as large as can be.
func (c *committer) appendBodies(ctx context.Context) {
	defer close(c.appended)
	for {
		var first *request
		select {
		case first = <-c.bodies:
		case <-ctx.Done():
			return
		}
		<-c.turn
		g := &group{turn: true}
		c.syncing.Store(true)
		c.appendBytes(ctx, g, gather(first, c.bodies), &c.large)
		c.appended <- g
		c.syncing.Store(false)
	}
}

// yield lets the next group be appended, once for each that was: there is one token.
func (c *committer) yield(g *group) {
	if g.turn {
		g.turn = false
		c.turn <- struct{}{}
	}
}

// gather adds to a request those that are waiting, within bounds.
func gather(r *request, queue <-chan *request) []*request {
	out, n := []*request{r}, r.bytes()
	for len(out) < groupRequests && n < groupBytes {
		select {
		case r := <-queue:
			out = append(out, r)
			n += r.bytes()
		default:
			return out
		}
	}
	return out
}

// run commits groups that were appended, and what brings few bytes or none, until no more come. What is there of both becomes one
// transaction.
func (c *committer) run(ctx context.Context) {
	defer close(c.stopped)
	var p patience
	answered := time.Now()
	for {
		var g *group
		var first *request
		more, waiting := true, true
		select {
		case g, more = <-c.appended:
		case first = <-c.small:
		default:
			waiting = false
			select {
			case g, more = <-c.appended:
			case first = <-c.small:
			}
		}
		if !more {
			return
		}
		var small []*request
		if first != nil {
			small, g = c.await(gather(first, c.small), &p, time.Since(answered), waiting)
		} else {
			select {
			case first = <-c.small:
				small = gather(first, c.small)
			default:
			}
		}
		if g == nil {
			g = &group{}
		}
		c.appendBytes(ctx, g, small, &c.few)
		begun := time.Now()
		c.commit(ctx, g)
		answered = time.Now()
		p.got(len(small), answered.Sub(begun))
	}
}

// await adds to small requests those that come soon. It ends when large ones are ready, and returns these, too; for large ones of which
// the bytes are being synced, it waits as long as for others.
func (c *committer) await(small []*request, p *patience, passed time.Duration, waiting bool) ([]*request, *group) {
	want, most := p.wants(len(small), passed, waiting)
	if c.syncing.Load() {
		want, most = groupRequests, p.most(passed)
	}
	if most <= 0 {
		select {
		case g := <-c.appended:
			return small, g
		default:
			return small, nil
		}
	}
	t := time.NewTimer(most)
	defer t.Stop()
	for len(small) < want {
		select {
		case r := <-c.small:
			small = append(small, r)
		case g := <-c.appended:
			return small, g
		case <-t.C:
			return small, nil
		}
	}
	return small, nil
}

// commit makes one transaction of a group's rows and keys, and answers all of it.
func (c *committer) commit(ctx context.Context, g *group) {
	c.retire(g.sealed)
	c.heal(ctx)
	noRoom := c.d.room(0)
	err := c.txAgain(ctx, func(ctx context.Context) error { return c.writeGroup(ctx, g, noRoom) })
	c.yield(g) // when writeGroup has not come to it
	unsure := errors.Is(err, errUnsure)
	for _, a := range g.added {
		a.pack.named = a.pack.named || err == nil || unsure
	}
	if err == nil {
		c.sealing = c.sealing[:0]
		maps.Copy(c.arrived, g.arrived)
	} else {
		c.large.doubt.Store(true)
		c.few.doubt.Store(true)
		if unsure {
			c.d.litter.Store(true) // a pack that no row names
		} else {
			err = ioError(err)
		}
	}
	c.endTorn()
	c.heal(ctx)
	c.owes.Store(c.few.cur != nil && c.few.cur.unsynced > 0)
	c.answer(g, err)
}

// writeGroup writes a group's rows in the transaction under way. A request that fails is left out. When it failed on a damaged
// page, SQLite may have rolled the transaction back: the others then begin again, without it.
func (c *committer) writeGroup(ctx context.Context, g *group, noRoom error) error {
	if err := c.lookForOthers(ctx); err != nil {
		return err
	}
	for _, r := range g.requests {
		if r.err == nil && noRoom != nil && r.adds() {
			r.err = noRoom // rows take room, too; what is kept free is for deletions
		}
		if r.err != nil {
			continue
		}
		if r.rows != nil {
			err := r.rows(ctx)
			if damaged := sqlError(err); errors.Is(damaged, object.ErrCorrupt) {
				r.err = damaged
				return errAgain
			}
			if err != nil {
				return err
			}
			continue
		}
		var fromSQLite *sqlite.Error
		if r.plan, r.err = c.planFor(ctx, r); errors.As(r.err, &fromSQLite) {
			return errAgain
		}
		if r.err != nil {
			continue
		}
		err := c.write(ctx, r.plan)
		if damaged := sqlError(err); errors.Is(damaged, object.ErrCorrupt) {
			r.err = damaged
			return errAgain
		}
		if err != nil {
			return err
		}
	}
	if err := c.writeArrivals(ctx, g); err != nil {
		return err
	}
	for _, a := range g.added {
		if _, err := c.st.putPack.ExecContext(ctx, a.pack.name, c.d.proc.id, a.size); err != nil {
			return err
		}
		if err := c.writeRedo(ctx, a); err != nil {
			return err
		}
	}
	if err := c.sealPacks(ctx); err != nil {
		return err
	}
	if err := c.tellEpoch(ctx); err != nil {
		return err
	}
	if err := c.st.lastID.QueryRowContext(ctx, "xorbs").Scan(&c.ownXorb); err != nil {
		return err
	}
	c.yield(g)
	return nil
}

// lookForOthers takes note in the transaction under way of whether another process has stored something.
func (c *committer) lookForOthers(ctx context.Context) error {
	var last int64
	if err := c.st.lastID.QueryRowContext(ctx, "xorbs").Scan(&last); err != nil {
		return err
	}
	now := time.Now()
	if last != c.ownXorb {
		c.ownXorb = last
		c.othersAt.Store(&now)
	}
	c.lookedAt.Store(&now)
	return nil
}

// others says whether another process may have stored something that is not in the index yet. It does not ask the catalog for
// that while transactions come one after the other: reading after each of them is expensive.
func (c *committer) others() bool {
	looked, at := c.lookedAt.Load(), c.othersAt.Load()
	return looked == nil || time.Since(*looked) > othersLook || at != nil && time.Since(*at) < othersFresh
}

// retire takes over packs that were ended. One that no row can name is removed at once: a full disk must not be filled up by
// attempts. The others are marked with the next transaction.
func (c *committer) retire(sealed []*pack) {
	for _, p := range sealed {
		if p.named {
			c.sealing = append(c.sealing, p)
			if p.torn && p.unsynced > 0 {
				c.torn.Store(p.name, true)
				c.hurt = true
			}
		} else if c.d.remove(p.name) != nil {
			c.d.litter.Store(true)
		}
	}
}

// answer tells each request of a group what came of it.
func (c *committer) answer(g *group, err error) {
	var last int64
	for _, r := range g.requests {
		if r.err == nil {
			r.err = err
		}
		if r.err == nil && r.plan != nil {
			c.d.landed(r.plan)
			last = max(last, r.plan.last())
		}
		if errors.Is(r.err, object.ErrNoBucket) {
			c.d.buckets.Clear()
		}
		close(r.done)
	}
	c.d.index.note(last)
}

// appender appends what groups bring, for one goroutine alone.
type appender struct {
	packs
	body []byte // of the group before, to be used again
}

// appendBytes adds requests to a group, and puts their small xorbs into a pack, with one write and at most one sync. An error is that
// of the requests that brought some.
func (c *committer) appendBytes(ctx context.Context, g *group, requests []*request, to *appender) {
	g.requests = append(g.requests, requests...)
	c.spare(ctx, requests)
	body := to.body[:0]
	var xorbs []*stagedXorb
	placed := make(map[xet.Hash]place)
	for _, r := range requests {
		for _, x := range r.sess.staged {
			if !x.forPack() {
				continue
			}
			at, ok := placed[x.hash]
			if !ok {
				at = place{off: int64(len(body)), len: int64(len(x.body))}
				placed[x.hash] = at
				body = append(body, x.body...)
			}
			x.at = at
			xorbs = append(xorbs, x)
		}
	}
	if len(xorbs) == 0 {
		return
	}
	added, err := to.append(body)
	if to.body = body; cap(body) > keepBody {
		to.body = nil
	}
	g.sealed = append(g.sealed, to.ended()...)
	if err != nil {
		for _, r := range requests {
			if r.bytes() > 0 {
				r.err = err
			}
		}
		return
	}
	g.added = append(g.added, added)
	for _, x := range xorbs {
		x.at.file = added.pack.name
		x.at.off += added.off
	}
}

// spare keeps out of the pack what only files need that are stored already: another process may have stored the same content
// just now, and the index does not know its chunks yet. The sessions' pins keep those files.
func (c *committer) spare(ctx context.Context, requests []*request) {
	if !c.others() {
		return
	}
	var files []xet.Hash
	for _, r := range requests {
		files = slices.AppendSeq(files, maps.Keys(r.sess.files))
	}
	whole, err := c.d.wholeFiles(ctx, files)
	if err != nil {
		whole = nil // it only saves space
	}
	for _, r := range requests {
		if r.rows == nil {
			r.sess.spare(whole)
		}
	}
}
