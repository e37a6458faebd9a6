package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"

	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
)

func mbCommand() command {
	return command{
		name:    "mb",
		args:    "BUCKET",
		summary: "make a bucket",
		details: `
Whoever pushes needs none: the push door makes the buckets of its tokens. A
token to push to the bucket with is made by token new.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts", "print nothing unless something is wrong")
			owner := flags.String("owner", "", "`OWNER` of the bucket, as in s3.keys; the default one unless given")
			return func(ctx context.Context, e env, args []string) error {
				bucket, err := newBucketArg("mb", args)
				if err != nil {
					return err
				}
				if *owner == "default" {
					return &daemon.UsageError{Err: errors.New("mb: \"default\" is what the owner of keys without one is called; leave --owner out")}
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, false, func(s *object.Store) error {
						if err := s.CreateBucket(ctx, bucket, *owner); errors.Is(err, fs.ErrExist) {
							return fmt.Errorf("bucket %s exists", bucket)
						} else if err != nil {
							return err
						}
						b, err := s.Bucket(ctx, bucket)
						if err != nil {
							return err
						}
						if *k.json {
							return encodeAll(k.stdout, bucketLine(b))
						}
						return k.tell("made bucket " + bucket)
					})
				})
			}
		},
	}
}
