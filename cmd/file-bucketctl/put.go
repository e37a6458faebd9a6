package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

func putCommand() command {
	return command{
		name:    "put",
		args:    "FILE BUCKET/KEY",
		summary: "store a file as an object",
		details: `
FILE is read with the rights of the caller; "-" is stdin. A KEY that is left out
or ends with a slash is completed with the name of the file. The bucket must
exist, see mb. Nothing is stored unless all of FILE is, safe on disk. What
comes from a program that fails on its way is all that came: use a shell's
pipefail, and rm.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print nothing unless something is wrong")
			force := flags.Bool("force", false, "replace the object when it exists")
			return func(ctx context.Context, e env, args []string) error {
				u, err := newUpload(args)
				if err != nil {
					return err
				}
				u.force = *force
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, false, func(s *object.Store) error { return explain(k.put(ctx, s, u), u.bucket) })
				})
			}
		},
	}
}

// upload is what put is to do.
type upload struct {
	path        string // "-" is stdin
	bucket, key string
	force       bool
}

func newUpload(args []string) (u upload, err error) {
	missing := func(what string) error { return &daemon.UsageError{Err: fmt.Errorf("put: %s is missing", what)} }
	switch {
	case len(args) == 0 || args[0] == "":
		return u, missing("FILE")
	case len(args) == 1:
		return u, missing("BUCKET/KEY")
	}
	u.path = args[0]
	u.bucket, u.key, _ = strings.Cut(args[1], "/")
	if u.path != "-" && (u.key == "" || strings.HasSuffix(u.key, "/")) {
		u.key += filepath.Base(u.path)
	}
	if u.bucket == "" || u.key == "" {
		return u, &daemon.UsageError{Err: fmt.Errorf("put: %q is no BUCKET/KEY", args[1])}
	}
	return u, noArgs(args[2:])
}

// putResult is what scripts get of put.
type putResult struct {
	objectLine

	SHA256 string `json:"sha256"`
}

func (k *keeper) put(ctx context.Context, s *object.Store, u upload) (err error) {
	var from io.Reader = os.Stdin
	step := disk.Step{Name: "storing", Bytes: true}
	if u.path != "-" {
		var f *os.File
		if err := k.owner.asCaller(func() error {
			f, err = os.Open(u.path)
			return err
		}); err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was only read
		st, err := f.Stat()
		if err != nil {
			return err
		}
		from, step.Total = f, st.Size()
	}
	opts := object.PutOptions{WantSHA256: true}
	if !u.force {
		opts.If.IfNoneMatch = []string{"*"}
	}
	info, err := s.Put(ctx, u.bucket, u.key, transferReader{&transfer{ctx, k.meter.show, step}, from}, opts)
	k.meter.end()
	name := keyText(u.bucket + "/" + u.key)
	if errors.Is(err, object.ErrPrecondition) {
		return fmt.Errorf("%s exists: choose another KEY, or replace it with --force", name)
	}
	if err != nil {
		return err
	}
	digest := hex.EncodeToString(info.Digests.SHA256)
	switch {
	case *k.json:
		return encodeAll(k.stdout, putResult{newObjectLine(info), digest})
	case *k.quiet:
		return nil
	}
	return k.print(fmt.Sprintf("stored %s, %s, sha256:%s\n", name, bytesText(info.Size), digest))
}
