package ftp

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/throttle"
)

// overwrites are the places that whole uploads are under way to, and what is written down of those where there is a file already. A
// client whose upload broke off goes on with what is there, and believes that it is the beginning of what it sent: that would make the
// beginning of the one file with the end of the other. So there is a record in the store before the client hears that it may send, and it
// outlives a process that is killed. It names the file that was there, so it means nothing where another door has put something else.
type overwrites struct {
	store *object.Store
	every time.Duration // renewEvery

	mu  sync.Mutex // guards all, and the uploads of each
	all map[place]*target
}

// target is a place that whole uploads are under way to.
type target struct {
	of      *overwrites
	at      place
	uploads []*overwrite // in the order in which they began

	// mu guards what follows, and the records of the place. What follows holds as well for an upload that begins before the last one has
	// left.
	mu     sync.Mutex
	made   string // the id of the record that was last made here
	broke  bool   // one of the uploads, or one before them, broke off, and none was stored since
	stored bool   // one of the uploads was stored
}

// overwrite is a whole upload that is under way.
type overwrite struct {
	*target
	from netip.Prefix // the network of the client
	// settled says that a later upload of the same client was stored, and that nothing has come of this one since. Its client has lost it,
	// and has come again: nobody will go on with it.
	settled atomic.Bool
}

// result is what became of an upload.
type result int

const (
	resultUnsent result = iota // there was no data connection
	resultBroken
	resultStored
)

func newOverwrites(store *object.Store) *overwrites {
	return &overwrites{store: store, every: renewEvery, all: make(map[place]*target)}
}

// begin is for a whole upload that is about to be allowed. What it returns is told the end, once.
func (w *overwrites) begin(ctx context.Context, at place, from netip.Addr) (_ *overwrite, err error) {
	o := w.take(at, &overwrite{from: throttle.Network(from)})
	begun := false
	defer func() { // also when the store panics
		if !begun {
			err = errors.Join(err, o.end(context.WithoutCancel(ctx), resultUnsent))
		}
	}()
	if err := o.renew(ctx); err != nil {
		return nil, err
	}
	begun = true
	return o, nil
}

// heard is for content that has come.
func (o *overwrite) heard(ctx context.Context) error {
	if o.settled.CompareAndSwap(true, false) { // its client is there after all
		return o.renew(ctx)
	}
	return nil
}

// end is for a whole upload that has ended. When one was stored, and no other is under way, the file is whole. Where one broke off, what is
// there must not be gone on with, even if another was stored meanwhile: the client of the first one may be about to.
func (o *overwrite) end(ctx context.Context, how result) error {
	defer o.leave()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch how {
	case resultStored:
		o.broke, o.stored = false, true
		o.settle()
	case resultBroken:
		if o.settled.Load() {
			return nil
		}
		o.broke = true
	case resultUnsent:
	}
	switch {
	case o.broke || o.underWay(o):
		return o.note(ctx)
	case o.stored:
		return o.clear(ctx)
	case o.made != "":
		return o.drop(ctx, []record{{id: o.made}})
	}
	return nil
}

// changed is for a file that was deleted, or replaced by one that was renamed. What comes back by another rename is what it was.
func (w *overwrites) changed(ctx context.Context, at place) error {
	o := &overwrite{}
	o.settled.Store(true) // it is no upload, and none that ends must wait for it
	w.take(at, o)
	defer o.leave()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.underWay(o) {
		return o.note(ctx)
	}
	return o.tidy(ctx)
}

// has says whether what is at a place must not be gone on with: a whole upload to it is under way, or the last one did not end.
func (w *overwrites) has(ctx context.Context, at place) (bool, error) {
	if at.key == "" { // a bucket
		return false, nil
	}
	if w.underWay(at) {
		return true, nil
	}
	records, err := w.records(ctx, at)
	if err != nil || len(records) == 0 {
		return false, err
	}
	file, err := w.file(ctx, at)
	names := func(r record) bool { return r.File == file }
	return file != "" && slices.ContainsFunc(records, names), err
}

// renewEvery is how often the records of uploads that are under way are made anew. An hour is the shortest time after which another door may
// drop them.
const renewEvery = 20 * time.Minute

// tend keeps the records of uploads that take long from expiring before these have ended, until ctx ends.
func (w *overwrites) tend(ctx context.Context, log zerolog.Logger) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, t := range w.targets() {
			if err := safely(func() error { return t.renew(ctx) }); err != nil && ctx.Err() == nil {
				log.Error().Str("bucket", t.at.bucket).Str("key", t.at.key).Err(err).Msg("what an upload is about to overwrite could not be noted")
			}
		}
	}
}

func (w *overwrites) targets() []*target {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.all))
}

// renew does nothing when the uploads have ended meanwhile.
func (t *target) renew(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.underWay(nil) {
		return t.note(ctx)
	}
	return nil
}

// take adds o to those of a place.
func (w *overwrites) take(at place, o *overwrite) *overwrite {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.all[at]
	if t == nil {
		t = &target{of: w, at: at}
		w.all[at] = t
	}
	o.target = t
	t.uploads = append(t.uploads, o)
	return o
}

func (o *overwrite) leave() {
	w := o.of
	w.mu.Lock()
	defer w.mu.Unlock()
	o.uploads = slices.DeleteFunc(o.uploads, func(one *overwrite) bool { return one == o })
	if len(o.uploads) == 0 {
		delete(w.all, o.at)
	}
}

// settle settles the uploads of the same client that began before this one.
func (o *overwrite) settle() {
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	for _, one := range o.uploads[:slices.Index(o.uploads, o)] {
		if one.from == o.from {
			one.settled.Store(true)
		}
	}
}

// underWay says whether uploads are that are not settled, beside one.
func (t *target) underWay(beside *overwrite) bool {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	return slices.ContainsFunc(t.uploads, func(o *overwrite) bool { return o != beside && !o.settled.Load() })
}

func (w *overwrites) underWay(at place) bool {
	w.mu.Lock()
	t := w.all[at]
	w.mu.Unlock()
	return t != nil && t.underWay(nil)
}
