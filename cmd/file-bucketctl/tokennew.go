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
token gets a further one; when all clients use it, revoke the old one: the
output has the line for it. The rest of the file stays as it is, to the byte,
and file-bucketd takes the new list at once when systemd runs it.

The output holds the token: it is what to send to whoever is to push.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			digest := flags.Bool("digest", false, "write only the token's SHA-256 to the file, as for a bucket of which it has no other: it is shown this once")
			file := flags.String("file", "backup.tar", "`NAME` of the file in the line")
			host := flags.String("host", "", "`NAME` of this machine in the line")
			asJSON := flags.Bool("json", false, "print JSON, for scripts")
			return func(ctx context.Context, e env, args []string) error {
				bucket, err := newBucketArg("token new", args)
				if err != nil {
					return err
				}
				add := addition{bucket: bucket, token: newToken(), digest: *digest}
				cfg, err := editConfig(*path, add.apply)
				if err != nil {
					return err
				}
				// A reload that fails takes nothing back: who asked for the token is told it all the same.
				reloaded, note, failed := newSystemd().reloadPushDoor(ctx, *path)
				made := newGuide(cfg, *host).withToken(bucket, add.token)
				if *asJSON {
					return errors.Join(encodeAll(e.stdout, newTokenResult{made, reloaded}), failed)
				}
				var b strings.Builder
				made.push(&b, *file)
				add.next(&b, *path)
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

// addition gives a bucket a token, and makes the bucket when it is not there.
type addition struct {
	bucket, token string
	digest        bool // the file has only the token's SHA-256

	before []string // the tokens that the bucket has had, or their digests
}

func (a *addition) apply(cfg *config.Config, d *config.Draft) error {
	sum := sha256.Sum256([]byte(a.token))
	sha := hex.EncodeToString(sum[:])
	i := slices.IndexFunc(cfg.Buckets, func(b config.Bucket) bool { return b.Name == a.bucket })
	if i < 0 && a.digest {
		return d.AddBucket(config.Member{Name: "name", Value: a.bucket}, config.Member{Name: "token_sha256", Value: sha})
	}
	if i < 0 {
		return d.AddBucket(config.Member{Name: "name", Value: a.bucket}, config.Member{Name: "token", Value: a.token})
	}
	b := cfg.Buckets[i]
	shown := b.Tokens
	if b.Token != "" {
		shown = []string{b.Token}
	}
	a.before = slices.Concat(shown, b.TokenSHA256)
	// Who keeps no token in the file wants none there by a slip.
	a.digest = a.digest || len(shown) == 0
	switch {
	case a.digest:
		return d.AddDigest(i, sha)
	case b.TokenFile != "":
		return fmt.Errorf("bucket %s has its token in %s, which stands alone: change it there, or add one with --digest", a.bucket, b.TokenFile)
	}
	return d.AddToken(i, a.token)
}

// next says what is to be done with the new token.
func (a *addition) next(b *strings.Builder, path string) {
	if a.digest {
		fmt.Fprintf(b, "%s has only the token's SHA-256: nobody can show it again\n", path)
	}
	if len(a.before) == 0 {
		return
	}
	flag := ""
	if path != config.DefaultPath {
		flag = " --config " + quote(path)
	}
	b.WriteString("When all clients use it, take away what they used before:\n")
	for _, old := range a.before {
		fmt.Fprintf(b, "  file-bucketctl token revoke%s %s\n", flag, quote(old))
	}
}
