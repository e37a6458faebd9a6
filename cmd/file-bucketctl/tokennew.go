package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"hugbucket/internal/config"
)

func tokenNewCommand() command {
	return command{
		name:    "token new",
		args:    "BUCKET",
		summary: "make a token to push to a bucket with",
		details: `
A bucket that is not in the configuration yet is added to it. One that has a
token gets a further one; when all clients use it, revoke the old one. The rest
of the file stays as it is, to the byte, and file-bucketd takes the new list at
once when systemd runs it.

The output holds the token: it is what to send to whoever is to push.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			digest := flags.Bool("digest", false, "write only the token's SHA-256 to the file: it is shown this once")
			file := flags.String("file", "backup.tar", "`NAME` of the file in the line")
			host := flags.String("host", "", "`NAME` of this machine in the line")
			asJSON := flags.Bool("json", false, "print JSON, for scripts")
			return func(ctx context.Context, e env, args []string) error {
				bucket, err := newBucketArg("token new", args)
				if err != nil {
					return err
				}
				token := newToken()
				cfg, err := editConfig(*path, func(cfg *config.Config, d *config.Draft) error {
					return addToken(cfg, d, bucket, token, *digest)
				})
				if err != nil {
					return err
				}
				// A reload that fails takes nothing back: who asked for the token is told it all the same.
				reloaded, note, failed := newSystemd().reloadPushDoor(ctx, *path)
				made := newGuide(cfg, *host).withToken(bucket, token)
				if *asJSON {
					return errors.Join(encodeAll(e.stdout, newTokenResult{made, reloaded}), failed)
				}
				var b strings.Builder
				made.push(&b, *file)
				if note != "" {
					fmt.Fprintf(&b, "%s is changed; %s\n", *path, note)
				}
				_, err = io.WriteString(e.stdout, b.String())
				return errors.Join(err, failed)
			}
		},
	}
}

// newTokenResult is what scripts get of token new.
type newTokenResult struct {
	guideBucket

	Reloaded bool `json:"reloaded"` // the push door has taken it
}

func newToken() string {
	var token [16]byte
	_, _ = rand.Read(token[:]) // never fails
	return hex.EncodeToString(token[:])
}

// addToken gives a bucket a token, and makes the bucket when it is not there.
func addToken(cfg *config.Config, d *config.Draft, bucket, token string, digest bool) error {
	i := slices.IndexFunc(cfg.Buckets, func(b config.Bucket) bool { return b.Name == bucket })
	switch {
	case i < 0 && digest:
		sum := sha256.Sum256([]byte(token))
		return d.AddBucket(config.Member{Name: "name", Value: bucket}, config.Member{Name: "token_sha256", Value: hex.EncodeToString(sum[:])})
	case i < 0:
		return d.AddBucket(config.Member{Name: "name", Value: bucket}, config.Member{Name: "token", Value: token})
	case digest:
		return fmt.Errorf("bucket %s has a token already, and a digest stands alone: revoke that first, with --last", bucket)
	case cfg.Buckets[i].TokenSHA256 != "":
		return fmt.Errorf("bucket %s has token_sha256, which stands alone: revoke that first, with --last", bucket)
	case cfg.Buckets[i].TokenFile != "":
		return fmt.Errorf("bucket %s has its token in %s, which stands alone: change it there", bucket, cfg.Buckets[i].TokenFile)
	}
	return d.AddToken(i, token)
}
