package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

func statusCommand() command {
	return command{
		name:    "status",
		summary: "doors, when something last came into each bucket, and the store",
		details: `
Changes nothing, and may run beside the daemons. Something is wrong when a door
does not answer that is meant to run, when a bucket got nothing within the time
that expect says, when nobody watches for that, when check, gc, expire or watch
failed when their timer last started them, and when there is no room.

Of the store it tells about how much gc would free; stats tells exactly, and
takes longer. --quick leaves both out: in a store of millions of objects they
take a while.`,
		codes: `Exit codes:
  0   all is well
  1   the status could not be found out
  2   something is wrong
` + daemon.UsageCodes,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print nothing unless something is wrong")
			quick := flags.Bool("quick", false, "leave out what all objects have to be counted for")
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.status(ctx, newProber(k.cfg), *quick, time.Now())
				})
			}
		},
	}
}

// statusResult is what scripts get of status. Sizes are bytes.
type statusResult struct {
	Doors   []doorState    `json:"doors"`
	Buckets []bucketStatus `json:"buckets"`
	Store   storeStatus    `json:"store"`
	Wrong   []string       `json:"wrong"` // in words; empty when all is well
}

// bucketStatus is a bucket of the store, or a bare token.
type bucketStatus struct {
	Name    string     `json:"name,omitempty"`
	Token   string     `json:"token,omitempty"` // the beginning of a bare token
	Last    *time.Time `json:"last"`            // something came; null when nothing ever did
	Expect  float64    `json:"expect"`          // hours within which something has to come; 0 is no matter when
	Overdue bool       `json:"overdue"`
}

// storeStatus is what is known of the store. What is counted is null when it was not.
type storeStatus struct {
	Path  string        `json:"path"`
	Free  int64         `json:"free"`  // of the file system,
	Floor int64         `json:"floor"` // of which so much is kept free
	Count *storeCounted `json:"count"`
}

type storeCounted struct {
	Objects int64   `json:"objects"`
	Logical int64   `json:"logical"`
	Stored  int64   `json:"stored"`
	Dedup   float64 `json:"dedup"` // 0 when there are no objects
	Loose   int64   `json:"loose"` // of stored, about what gc would free
}

func (r *statusResult) wrong(format string, args ...any) {
	r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
}

func (k *keeper) status(ctx context.Context, p prober, quick bool, now time.Time) error {
	r := &statusResult{Doors: p.doors(ctx, k.cfg), Store: storeStatus{Path: k.dir}, Wrong: append([]string{}, p.failed(ctx)...)}
	for _, d := range r.Doors {
		if d.State == "down" {
			r.wrong("%s does not serve at %s: %s", d.Name, d.Address, d.Error)
		}
	}
	err := k.open(ctx, true, func(d *disk.Driver) (err error) {
		if err := k.bucketsOf(ctx, r, object.New(d, object.Config{}), now); err != nil {
			return err
		}
		if r.Store.Free, r.Store.Floor, err = d.Free(); err != nil || quick {
			return err
		}
		g, err := d.Glance(ctx, k.meter.show)
		r.Store.Count = &storeCounted{g.Objects, g.Logical, g.Stored, g.DedupRatio(), g.Loose}
		return err
	})
	if err != nil {
		return err
	}
	if r.Store.Free <= r.Store.Floor {
		r.wrong("the file system of the store is full: %s are free, and %s are kept free for deletions", bytesText(r.Store.Free), bytesText(r.Store.Floor))
	}
	switch {
	case *k.json:
		err = encodeAll(k.stdout, r)
	case !*k.quiet:
		err = k.print(r.text(now))
	}
	if err == nil && len(r.Wrong) > 0 {
		err = &daemon.CodeError{Code: 2, Err: errors.New(strings.Join(r.Wrong, "\n"+name+": "))}
	}
	return err
}

// bucketsOf finds out when something last came into the buckets of the store and the bare tokens, and which are overdue.
func (k *keeper) bucketsOf(ctx context.Context, r *statusResult, store *object.Store, now time.Time) error {
	watch, err := daemon.LoadWatch(k.cfg)
	if err != nil {
		return err
	}
	expected, err := daemon.ExpectedBuckets(ctx, k.cfg, store.Arrived, watch, now)
	if err != nil {
		return err
	}
	waiting := make(map[string]daemon.Expected)
	for _, x := range expected {
		waiting[x.Bucket] = x
		if x.Overdue(now) {
			r.wrong("nothing came into bucket %s for %s, and something is expected every %s", x.Bucket, ageText(x.Waited(now)), config.Duration(x.Every))
		}
	}
	if age := now.Sub(watch.Looked); len(expected) > 0 && age.Abs() > watchEvery {
		r.wrong("nobody watches for buckets into which nothing comes: %s; is file-bucket-watch.timer enabled?", lookedText(watch.Looked, age))
	}
	names, err := k.bucketNames(ctx, store)
	if err != nil {
		return err
	}
	for _, name := range names {
		b := bucketStatus{Name: name}
		var last time.Time
		if x, ok := waiting[name]; ok {
			last, b.Expect, b.Overdue = x.Last, x.Every.Hours(), x.Overdue(now)
		} else if last, err = store.Arrived(ctx, name); err != nil && !errors.Is(err, object.ErrNoBucket) {
			return err
		}
		if !last.IsZero() {
			b.Last = &last
		}
		r.Buckets = append(r.Buckets, b)
	}
	for _, b := range k.cfg.Buckets {
		if b.Name != "" {
			continue
		}
		s := bucketStatus{Token: daemon.TokenLabel(b.Token)}
		last, err := daemon.NewestFile(filepath.Join(k.cfg.Home, b.Token))
		if err != nil {
			return fmt.Errorf("look for the files of token %s: %w", s.Token, err)
		}
		if last = last.UTC(); !last.IsZero() {
			s.Last = &last
		}
		r.Buckets = append(r.Buckets, s)
	}
	return nil
}

// watchEvery is how old the last watch may be: the timer comes four times as often.
const watchEvery = time.Hour

func lookedText(looked time.Time, age time.Duration) string {
	if looked.IsZero() {
		return name + " watch has never run"
	}
	return name + " watch last ran " + ageText(age) + " ago"
}

// bucketNames returns the buckets of the configuration, in its order, and then the others of the store.
func (k *keeper) bucketNames(ctx context.Context, store *object.Store) (names []string, err error) {
	known := make(map[string]bool)
	for _, b := range k.cfg.Buckets {
		if b.Name != "" {
			names = append(names, b.Name)
			known[b.Name] = true
		}
	}
	for b, err := range store.AllBuckets(ctx, "", bucketPage) {
		if err != nil {
			return nil, err
		}
		if !known[b.Name] {
			names = append(names, b.Name)
		}
	}
	return names, nil
}
