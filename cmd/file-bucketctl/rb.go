package main

import (
	"context"
	"flag"

	"hugbucket/internal/object"
)

func rbCommand() command {
	return command{
		name:    "rb",
		args:    "BUCKET",
		summary: "delete a bucket that is empty",
		details: `
The next push with a token for the bucket makes it again: revoke the token
first.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts", "print nothing unless something is wrong")
			return func(ctx context.Context, e env, args []string) error {
				bucket, err := oneArg("rb", "BUCKET", args)
				if err != nil {
					return err
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, false, func(s *object.Store) error {
						b, err := s.Bucket(ctx, bucket)
						if err == nil {
							err = s.DeleteBucket(ctx, bucket)
						}
						if err != nil {
							return explain(err, bucket)
						}
						if *k.json {
							return encodeAll(k.stdout, bucketLine(b))
						}
						return k.tell("deleted bucket " + bucket)
					})
				})
			}
		},
	}
}
