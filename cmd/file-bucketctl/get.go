package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

func getCommand() command {
	return command{
		name:    "get",
		args:    "BUCKET/KEY [FILE]",
		summary: "get an object back as a file",
		details: `
FILE is the last part of KEY unless it is given; "-" is stdout, and in a
directory the file is called as the last part of KEY is. It appears once it is
whole and every byte has been verified, with the rights of the caller and mode
0600. What goes to stdout ends at the first damaged byte, with an exit code.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print nothing unless something is wrong")
			force := flags.Bool("force", false, "replace FILE when it exists")
			return func(ctx context.Context, e env, args []string) error {
				g, err := newDownload(args)
				if err != nil {
					return err
				}
				g.force = *force
				if g.path == "-" && *o.json {
					return &daemon.UsageError{Err: errors.New("get: --json and FILE cannot both go to stdout")}
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, true, func(s *object.Store) error { return explain(k.get(ctx, s, g), g.bucket) })
				})
			}
		},
	}
}

// download is what get is to do.
type download struct {
	bucket, key string
	path        string // "-" is stdout
	force       bool
}

func newDownload(args []string) (g download, err error) {
	if len(args) > 1 {
		g.path, args = args[1], append(args[:1:1], args[2:]...)
	}
	arg, err := oneArg("get", "BUCKET/KEY", args)
	if err != nil {
		return g, err
	}
	if g.bucket, g.key, err = objectArg("get", arg); err != nil {
		return g, err
	}
	if g.path == "" && lastPart(g.key) == "" {
		return g, &daemon.UsageError{Err: fmt.Errorf("get: %s does not end like a file name: say FILE", keyText(g.key))}
	}
	return g, nil
}

// getResult is what scripts get of get.
type getResult struct {
	objectLine

	File string `json:"file"`
}

func (k *keeper) get(ctx context.Context, s *object.Store, g download) (err error) {
	from, err := s.Open(ctx, g.bucket, g.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	info := from.Info()
	t := &transfer{ctx, k.meter.show, disk.Step{Name: "reading", Total: info.Size, Bytes: true}}
	if g.path == "-" {
		return copyWhole(transferWriter{t, k.stdout}, from)
	}
	var to *newFile
	if err := k.owner.asCaller(func() error {
		if st, err := os.Stat(g.path); g.path == "" || err == nil && st.IsDir() {
			if lastPart(g.key) == "" {
				return fmt.Errorf("%s does not end like a file name, and %s is a directory", keyText(g.key), g.path)
			}
			g.path = filepath.Join(cmp.Or(g.path, "."), lastPart(g.key))
		}
		if err := notWithin(k.dir, g.path); err != nil {
			return err
		}
		to, err = createFile(g.path, g.force)
		return err
	}); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: choose another FILE, or replace it with --force", g.path)
	} else if err != nil {
		return err
	}
	if err := copyWhole(transferWriter{t, to}, from); err != nil {
		return errors.Join(err, k.owner.asCaller(to.abandon))
	}
	if err := k.owner.asCaller(to.finish); err != nil {
		return err
	}
	k.meter.end()
	switch {
	case *k.json:
		return encodeAll(k.stdout, getResult{newObjectLine(info), g.path})
	case *k.quiet:
		return nil
	}
	return k.print(fmt.Sprintf("wrote %s, %s\n", g.path, bytesText(info.Size)))
}

// copyWhole writes an object, or says that it is not all of it.
func copyWhole(w io.Writer, f *object.File) error {
	n, err := f.WriteTo(w)
	if err == nil && n != f.Info().Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
