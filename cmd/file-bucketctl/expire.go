package main

import (
	"container/heap"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

func expireCommand() command {
	return command{
		name:    "expire",
		summary: "delete the objects that keep and max_age let go",
		details: `
Applies to the buckets of the configuration that say keep, max_age or both:

  keep     the newest so many objects never expire
  max_age  what is younger does not expire

An object goes when all that is said of its bucket lets it go: with keep alone
what is older than the newest so many, with max_age alone what is older than
that, with both what is neither among the newest nor younger. The newest object
of a bucket never goes, nor does an upload that is under way. The age is that of
the object's last modification; one in the future, of a clock that was ahead,
stays and does not count among the newest.

Nothing goes by max_age when the clock has gone on by more than a week since
expire last ran, for it may be wrong: that is an error, until it has been so for
a week, or with --trust-clock. What is wrong with one bucket does not keep the
others from being done.

The room comes back with the next gc. A timer runs this once a day.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print nothing unless something is wrong")
			x := expireOptions{}
			flags.BoolVar(&x.dryRun, "dry-run", false, "delete nothing, only say what would be deleted")
			flags.BoolVar(&x.trustClock, "trust-clock", false, "the clock is right, however far it has gone on")
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				x.now = time.Now()
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error { return k.expire(ctx, x) })
			}
		},
	}
}

type expireOptions struct {
	dryRun     bool
	trustClock bool
	now        time.Time
}

// expiring is as much of a store as is needed.
type expiring interface {
	AllBuckets(ctx context.Context, start string, page int) iter.Seq2[object.Bucket, error]
	Arrived(ctx context.Context, bucket string) (time.Time, error)
	List(ctx context.Context, bucket string, opts object.ListOptions) (object.Listing, error)
	Delete(ctx context.Context, bucket, key string, cond object.Condition) error
}

var _ expiring = (*object.Store)(nil)

// expireResult is what scripts get of expire.
type expireResult struct {
	DryRun  bool           `json:"dry_run"`
	Buckets []expireBucket `json:"buckets"`
}

// expireBucket is one bucket. Kept and Deleted are how many objects; Bytes is what the deleted ones were long.
type expireBucket struct {
	Name    string   `json:"name"`
	Kept    int64    `json:"kept"`
	Deleted int64    `json:"deleted"`
	Bytes   int64    `json:"bytes"`
	Keys    []string `json:"keys"` // that were deleted
	Error   string   `json:"error,omitempty"`
}

func (k *keeper) expire(ctx context.Context, o expireOptions) error {
	r := expireResult{DryRun: o.dryRun, Buckets: []expireBucket{}}
	err := k.open(ctx, true, func(d *disk.Driver) error { return k.expireBuckets(ctx, object.New(d, object.Config{}), o, &r) })
	// Also after an error: what was deleted stays deleted.
	switch {
	case err != nil && len(r.Buckets) == 0:
		return err
	case *k.json:
		return errors.Join(err, encodeAll(k.stdout, r))
	case *k.quiet:
		return err
	}
	return errors.Join(err, k.print(r.text(k.cfg.Buckets)))
}

// expireBuckets goes through the buckets that say something of it. What is wrong with one, or with the clock, does not keep the
// others from being done.
func (k *keeper) expireBuckets(ctx context.Context, store expiring, o expireOptions, r *expireResult) error {
	var errs []error
	byAge := true
	if slices.ContainsFunc(k.cfg.Buckets, func(b config.Bucket) bool { return b.MaxAge > 0 }) {
		if err := k.doubt(ctx, store, o); err != nil && o.dryRun {
			k.warn(err.Error())
		} else if err != nil {
			errs = append(errs, err)
			byAge = false
		}
	}
	for _, b := range k.cfg.Buckets {
		if !expires(b) || b.MaxAge > 0 && !byAge {
			continue
		}
		x := newExpirer(store, b, o.now)
		x.dryRun, x.tell = o.dryRun, func(a agedObject) error { return k.tellExpired(o.dryRun, b.Name, a) }
		if err := x.run(ctx); err != nil && !errors.Is(err, object.ErrNoBucket) {
			x.result.Error = err.Error()
			errs = append(errs, fmt.Errorf("expire objects of bucket %s: %w", b.Name, err))
		}
		r.Buckets = append(r.Buckets, x.result)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// expires says whether a bucket lets anything go.
func expires(b config.Bucket) bool { return b.Keep > 0 || b.MaxAge > 0 }

// tellExpired prints what is deleted, one object a line.
func (k *keeper) tellExpired(dryRun bool, bucket string, o agedObject) error {
	if *k.json || *k.quiet {
		return nil
	}
	did := "deleted"
	if dryRun {
		did = "would delete"
	}
	return k.print(fmt.Sprintf("%s %s/%s, %s, of %s\n", did, bucket, o.key, bytesText(o.size), timeText(o.modified)))
}

func (r expireResult) text(buckets []config.Bucket) string {
	if !slices.ContainsFunc(buckets, expires) {
		return "no bucket says keep or max_age\n"
	}
	deleted := "deleted"
	if r.DryRun {
		deleted = "would delete"
	}
	var b strings.Builder
	for _, x := range r.Buckets {
		fmt.Fprintf(&b, "%s: %s %s, %s; %s stay\n", x.Name, deleted, things(x.Deleted, "object"), bytesText(x.Bytes), count(x.Kept))
	}
	return b.String()
}

// expirer deletes what may go of a bucket, in one pass over its keys: it remembers the newest objects so far, and each that is
// pushed out by newer ones is not among the newest of all either.
type expirer struct {
	store  expiring
	bucket string
	keep   int       // at least 1
	now    time.Time // when it began
	before time.Time // what is as new or newer stays; no later than the second of now
	dryRun bool
	tell   func(agedObject) error
	newest newestObjects
	result expireBucket
}

func newExpirer(store expiring, b config.Bucket, now time.Time) *expirer {
	// What comes under a key while this runs is of a later second than what may go, and so Delete can tell them apart.
	x := &expirer{
		store: store, bucket: b.Name, keep: max(b.Keep, 1), now: now, before: now.Truncate(time.Second),
		result: expireBucket{Name: b.Name, Keys: []string{}},
	}
	if b.MaxAge > 0 {
		x.before = now.Add(-time.Duration(b.MaxAge))
	}
	return x
}

func (x *expirer) run(ctx context.Context) error {
	for opts := (object.ListOptions{}); ; {
		page, err := x.store.List(ctx, x.bucket, opts)
		if err != nil {
			return err
		}
		for _, info := range page.Objects {
			if err := x.see(ctx, info); err != nil {
				return err
			}
		}
		if !page.Truncated {
			x.result.Kept += int64(x.newest.Len())
			return nil
		}
		opts.Start = page.Next
	}
}

// see takes one more object, and deletes the one that it pushes out.
func (x *expirer) see(ctx context.Context, info object.Info) error {
	// A directory is no backup: as one of the newest it would push one out.
	if info.IsMarker() {
		x.result.Kept++
		return nil
	}
	// A clock was wrong, or it has only just come. As one of the newest it would push out what is newer in truth, day after day.
	if info.ModTime.After(x.now) {
		x.result.Kept++
		return nil
	}
	heap.Push(&x.newest, agedObject{info.Key, info.Size, info.ModTime})
	if x.newest.Len() <= x.keep {
		return nil
	}
	old, _ := heap.Pop(&x.newest).(agedObject)
	if !old.modified.Before(x.before) {
		x.result.Kept++
		return nil
	}
	if !x.dryRun {
		// What has come under the key since it was listed stays.
		err := x.store.Delete(ctx, x.bucket, old.key, object.Condition{IfUnmodifiedSince: old.modified.Truncate(time.Second)})
		if errors.Is(err, object.ErrPrecondition) || errors.Is(err, fs.ErrNotExist) && !errors.Is(err, object.ErrNoBucket) {
			x.result.Kept++
			return nil
		}
		if err != nil {
			return err
		}
	}
	x.result.Deleted++
	x.result.Bytes += old.size
	x.result.Keys = append(x.result.Keys, old.key)
	return x.tell(old)
}

// agedObject is as much of an object as has to be remembered.
type agedObject struct {
	key      string
	size     int64
	modified time.Time
}

// newestObjects is a heap.Interface with the oldest object on top.
type newestObjects []agedObject

func (h newestObjects) Len() int { return len(h) }

func (h newestObjects) Less(i, j int) bool { return h[i].modified.Before(h[j].modified) }

func (h newestObjects) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *newestObjects) Push(x any) { *h = append(*h, x.(agedObject)) } //nolint:errcheck,forcetypeassert // of ours alone

// Pop implements heap.Interface.
func (h *newestObjects) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
