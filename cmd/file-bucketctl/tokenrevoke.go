package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hugbucket/internal/config"
)

func tokenRevokeCommand() command {
	return command{
		name:    "token revoke",
		args:    "TOKEN",
		summary: "take a token away, so that nobody can push with it",
		details: `
TOKEN is the token, or its SHA-256 where the file has only that; "-" reads it
from stdin, so that it does not appear in a list of processes. What was pushed
with it stays. The rest of the file stays as it is, to the byte, and
file-bucketd takes the new list at once when systemd runs it; pushes under way
end as they would.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			asJSON := flags.Bool("json", false, "print JSON, for scripts")
			last := flags.Bool("last", false, "also the last token of a bucket, whose entry goes with it and all that it says")
			return func(ctx context.Context, e env, args []string) error {
				token, err := oneArg("token revoke", "TOKEN", args)
				if err != nil {
					return err
				}
				if token == "-" {
					if token, err = readLine(os.Stdin); err != nil {
						return err
					}
				}
				r := &revocation{token: token, last: *last}
				if _, err := editConfig(*path, r.apply); err != nil {
					return err
				}
				reloaded, note, failed := newSystemd().reloadPushDoor(ctx, *path)
				if *asJSON {
					return errors.Join(encodeAll(e.stdout, revokeResult{r.bucket, r.left, reloaded}), failed)
				}
				text := r.text(*path)
				if note != "" {
					text += fmt.Sprintf("%s is changed; %s\n", *path, note)
				}
				_, err = io.WriteString(e.stdout, text)
				return errors.Join(err, failed)
			}
		},
	}
}

// readLine reads a word, such as a token, from a pipe or what somebody types.
func readLine(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, 4096))
	return strings.TrimSpace(string(text)), err
}

// revokeResult is what scripts get of token revoke.
type revokeResult struct {
	Bucket   string `json:"bucket,omitempty"` // empty for a bare token
	Left     int    `json:"left"`             // tokens of the bucket
	Reloaded bool   `json:"reloaded"`         // the push door has taken it
}

// revocation takes a token away.
type revocation struct {
	token string
	last  bool // also the last one of a bucket

	bucket string // that it was of; empty for a bare token
	dir    string // of a bare token's files
	left   int    // tokens of the bucket
}

// apply changes a draft. An error never holds the token.
func (r *revocation) apply(cfg *config.Config, d *config.Draft) error {
	i, key, j := r.find(cfg)
	if i < 0 {
		return errors.New("there is no such token")
	}
	b := cfg.Buckets[i]
	r.bucket = b.Name
	r.left = len(b.Tokens) + len(b.TokenSHA256) - 1
	if b.Token != "" {
		r.left++
	}
	switch {
	case b.Name == "":
		r.dir = filepath.Join(cfg.Home, b.Token)
	case r.left > 0:
		return d.RemoveToken(i, key, j)
	case !r.last:
		return fmt.Errorf("it is the only token of bucket %s: make another first, with token new %s, or have the bucket's entry go with it, with --last", b.Name, b.Name)
	}
	return d.RemoveBucket(i)
}

// find returns the index of the token's bucket, or -1, the key there that has the token, and the index in its list. A token comes
// before the digest of another that is written the same.
func (r *revocation) find(cfg *config.Config) (bucket int, key string, token int) {
	for i, b := range cfg.Buckets {
		switch j := slices.Index(b.Tokens, r.token); {
		case j >= 0:
			return i, "tokens", j
		case b.Token == "" || b.Token != r.token:
		case b.TokenFile != "":
			return i, "token_file", 0
		default:
			return i, "token", 0
		}
	}
	sum := sha256.Sum256([]byte(r.token))
	for i, b := range cfg.Buckets {
		for j, digest := range b.TokenSHA256 {
			if digest == hex.EncodeToString(sum[:]) || digest == strings.ToLower(r.token) {
				return i, "token_sha256", j
			}
		}
	}
	return -1, "", 0
}

func (r *revocation) text(config string) string {
	switch {
	case r.bucket == "":
		return fmt.Sprintf("the token is revoked; its files stay in %s\n", r.dir)
	case r.left == 0:
		return fmt.Sprintf("the token is revoked, and bucket %s is no longer in %s: nobody can push to it; its objects stay\n", r.bucket, config)
	}
	return fmt.Sprintf("the token of bucket %s is revoked; it has %s left\n", r.bucket, things(int64(r.left), "token"))
}
