package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

func rmCommand() command {
	return command{
		name:    "rm",
		args:    "BUCKET/KEY...",
		summary: "delete objects",
		details: `
With --recursive an argument that ends with a slash stands for every object
whose key begins with it, "BUCKET/" for all in the bucket. An object that is
not there is an error, and the rest is deleted all the same. The room that
objects took is free after the next gc.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print nothing unless something is wrong")
			dryRun := flags.Bool("dry-run", false, "delete nothing, only say what would be")
			recursive := flags.Bool("recursive", false, "delete all that is behind an argument that ends with a slash")
			return func(ctx context.Context, e env, args []string) error {
				if len(args) == 0 {
					return &daemon.UsageError{Err: errors.New("rm: BUCKET/KEY... is missing")}
				}
				for _, arg := range args {
					bucket, key, found := strings.Cut(arg, "/")
					if bucket == "" || !found || key == "" && !*recursive {
						return &daemon.UsageError{Err: fmt.Errorf("rm: %q is no BUCKET/KEY", arg)}
					}
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, *dryRun, func(s *object.Store) error {
						r := removal{k: k, s: s, dryRun: *dryRun, recursive: *recursive}
						return r.run(ctx, args)
					})
				})
			}
		},
	}
}

// removal is rm at work.
type removal struct {
	k                 *keeper
	s                 *object.Store
	dryRun, recursive bool

	result rmResult
}

// rmResult is what scripts get of rm.
type rmResult struct {
	DryRun  bool  `json:"dry_run"`
	Objects int64 `json:"objects"` // that were deleted, or would be,
	Bytes   int64 `json:"bytes"`   // and how long they were, as clients see it
}

func (r *removal) run(ctx context.Context, args []string) error {
	r.result.DryRun = r.dryRun
	var errs []error
	for _, arg := range args {
		bucket, key, _ := strings.Cut(arg, "/")
		var err error
		if r.recursive && (key == "" || strings.HasSuffix(key, "/")) {
			err = r.all(ctx, bucket, key)
		} else {
			err = r.one(ctx, bucket, key)
		}
		if err != nil {
			errs = append(errs, explain(err, bucket))
		}
		if ctx.Err() != nil {
			break
		}
	}
	k := r.k
	k.meter.end()
	if *k.json {
		errs = append(errs, encodeAll(k.stdout, r.result))
	} else if !*k.quiet {
		verb := "deleted"
		if r.dryRun {
			verb = "would delete"
		}
		errs = append(errs, k.print(fmt.Sprintf("%s %s, %s\n", verb, things(r.result.Objects, "object"), bytesText(r.result.Bytes))))
	}
	return errors.Join(errs...)
}

// one deletes an object, which must be there.
func (r *removal) one(ctx context.Context, bucket, key string) error {
	info, err := r.s.Stat(ctx, bucket, key)
	if err != nil {
		return err
	}
	return r.remove(ctx, bucket, []object.Info{info})
}

// all deletes what begins with a prefix. What comes meanwhile may be left.
func (r *removal) all(ctx context.Context, bucket, prefix string) error {
	opts := object.ListOptions{Prefix: prefix}
	for found := false; ; found = true {
		l, err := r.s.List(ctx, bucket, opts)
		if err != nil {
			return err
		}
		if len(l.Objects) == 0 && !found && prefix != "" {
			return fmt.Errorf("no key in bucket %s begins with %s", bucket, keyText(prefix))
		}
		if err := r.remove(ctx, bucket, l.Objects); err != nil || !l.Truncated {
			return err
		}
		opts.Start = l.Next
	}
}

func (r *removal) remove(ctx context.Context, bucket string, objects []object.Info) error {
	keys := make([]string, len(objects))
	for i, info := range objects {
		keys[i] = info.Key
	}
	var errs []error
	if !r.dryRun && len(keys) > 0 {
		var err error
		if errs, err = r.s.DeleteMany(ctx, bucket, keys); err != nil {
			return err
		}
	}
	for i, info := range objects {
		if errs == nil || errs[i] == nil {
			r.result.Objects++
			r.result.Bytes += info.Size
		}
	}
	r.k.meter.show(disk.Step{Name: "deleting", Done: r.result.Objects})
	return errors.Join(errs...)
}
