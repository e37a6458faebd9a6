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
	"strings"

	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// rebuildOutput is what both commands say of what they print.
const rebuildOutput = `
Lines on stdout, as they are found:

  lost: "BUCKET/KEY"            for each object whose content is not there
  orphan: HASH (SIZE) in FILE   for content that no object refers to
  damaged: WHAT                 for what could not be read

Content is told by what it says of itself, and not read through: run check
afterwards. At the end index.db is filled, by which content is known that comes
again; from then on it may be stopped, and the daemons do the rest.`

const rebuildCodes = `Exit codes:
  0   success; there may be orphans
  1   failure: the catalog is what it was
  2   rebuilt, but objects are lost, or may be: there was no catalog, or not all of one could be read
` + daemon.UsageCodes

func rebuildCommand() command {
	return command{
		name:    "rebuild",
		summary: "make the catalog and the index anew from the content",
		details: `
Makes catalog.db from all xorbs and packs, and from the names in the catalog that
is there, as far as it can be read, and in --catalog, a backup. What both know
is as the catalog that is there says; objects that were deleted since the
backup come back when their content is still there. The old catalog is put
aside, its new name is printed, and it may be deleted when all is well. The
daemons must not run.
` + rebuildOutput + `

Orphans stay until gc --orphans removes them. --adopt makes an object of each,
with its hash as its key: that is a whole file when it came in one piece and was
new, and a part of one when it was large or shared content with others.`,
		codes: rebuildCodes,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			var r rebuild
			o := r.flags(flags)
			flags.StringVar(&r.catalog, "catalog", "", "take names from `FILE`, a backup of the catalog")
			return func(ctx context.Context, e env, args []string) error {
				if err := cmp.Or(noArgs(args), r.check("rebuild")); err != nil {
					return err
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error { return k.rebuild(ctx, r) })
			}
		},
	}
}

func restoreCommand() command {
	return command{
		name:    "restore",
		args:    "FILE",
		summary: "make a store of copied content and a backup of its catalog",
		details: `
Before it, xorbs, packs and lastproc are copied to where storage.path says, and
belong to the user of the daemons; FILE is what backup wrote. What the backup
names is there again; what was stored after it is content that no object refers
to. It is rebuild --catalog FILE for a store that has no catalog, and refuses one
that has. The daemons must not run.
` + rebuildOutput + `

Orphans stay until gc --orphans removes them. --adopt, here or of rebuild later,
makes an object of each, with its hash as its key: a whole file, or a part of
one when it was large or shared content with others.`,
		codes: rebuildCodes,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			var r rebuild
			o := r.flags(flags)
			return func(ctx context.Context, e env, args []string) error {
				file, err := oneArg("restore", "FILE", args)
				if err = cmp.Or(err, r.check("restore")); err != nil {
					return err
				}
				r.catalog = file
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					_, err := os.Lstat(filepath.Join(k.dir, "catalog.db"))
					if err == nil {
						return fmt.Errorf("the store in %s has a catalog; to add to it what only FILE names: %s rebuild --catalog %s; to have only what FILE names, move catalog.db away before",
							k.dir, name, quote(file))
					}
					if !errors.Is(err, fs.ErrNotExist) {
						return err
					}
					return k.rebuild(ctx, r)
				})
			}
		},
	}
}

// rebuild is what rebuild is to do.
type rebuild struct {
	catalog, adopt string
}

// flags registers the flags that both commands have.
func (r *rebuild) flags(flags *flag.FlagSet) storeFlags {
	flags.StringVar(&r.adopt, "adopt", "", "give orphaned content names in `BUCKET`")
	return newStoreFlags(flags, "print JSON, for scripts, one object a line, the last one a summary; no progress", "print no progress")
}

func (r *rebuild) check(command string) error {
	var invalid *object.InvalidError
	if err := object.ValidBucket(r.adopt); r.adopt != "" && errors.As(err, &invalid) {
		return &daemon.UsageError{Err: fmt.Errorf("%s: %q is no bucket name: %s", command, r.adopt, invalid.Rule)}
	}
	return nil
}

// rebuildResult is what scripts get at the end.
type rebuildResult struct {
	Type    string `json:"type"` // "summary"
	Buckets int64  `json:"buckets"`
	Keys    int64  `json:"keys"`
	Files   int64  `json:"files"`
	Xorbs   int64  `json:"xorbs"`
	Orphans int64  `json:"orphans"`
	Lost    int64  `json:"lost"`
	Blind   bool   `json:"blind"`   // there was no catalog, or one that could not be read as a whole: there may have been objects that nobody can name
	Aside   string `json:"aside"`   // where the old catalog is; empty when there was none
	Indexed bool   `json:"indexed"` // index.db is filled; else the daemons do the rest
}

func (k *keeper) rebuild(ctx context.Context, r rebuild) (err error) {
	if _, err := os.Stat(k.dir); err != nil {
		return fmt.Errorf("%w: copy the content of the store there first, or correct storage.path in %s", err, *k.config)
	}
	catalog, remove, err := k.readable(r.catalog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	var failed error // of telling
	say := func(line problemLine, text string) {
		switch {
		case failed != nil:
		case *k.json:
			failed = k.encode(line)
		default:
			failed = k.print(text)
		}
	}
	done, err := disk.Rebuild(ctx, k.dir, disk.RebuildOptions{
		Catalog: catalog, Adopt: r.adopt, Progress: k.meter.show,
		Orphan: func(o disk.Orphan) {
			say(problemLine{Type: "orphan", Hash: o.Hash.String(), Size: o.Size, File: o.Place},
				fmt.Sprintf("orphan: %s (%s) in %s\n", o.Hash, bytesText(o.Size), o.Place))
		},
		Report: func(p disk.Problem) {
			say(problemLine{Type: "damaged", What: p.What, Keys: p.Keys}, problemText(p))
		},
		LostKey: func(key string) {
			say(problemLine{Type: "lost", Keys: []string{key}}, fmt.Sprintf("lost: %q\n", key))
		},
	})
	k.meter.end()
	if errors.Is(err, disk.ErrBusy) {
		return fmt.Errorf("%w; the daemons must be stopped", err)
	}
	if err != nil {
		return err
	}
	result := rebuildResult{"summary", done.Buckets, done.Keys, done.Files, done.Xorbs, done.Orphans, done.Lost, done.Blind, done.Aside, done.Index == nil}
	if done.Aside != "" && !filepath.IsAbs(done.Aside) {
		result.Aside = filepath.Join(k.dir, done.Aside)
	}
	if done.Index != nil {
		k.warn(fmt.Sprintf("index.db is not filled yet: %v; the daemons do the rest, and until then may store again what is stored", done.Index))
	}
	if *k.json {
		err = k.encode(result)
	} else {
		err = k.print(result.text())
	}
	switch err = errors.Join(failed, err); {
	case err != nil:
	case done.Lost > 0:
		err = &daemon.CodeError{Code: 2, Err: fmt.Errorf("the content of %s is not there", things(done.Lost, "object"))}
	case done.Blind:
		err = &daemon.CodeError{Code: 2, Err: errors.New("there may have been more objects, which nobody can name: there was no catalog, or not all of one could be read")}
	}
	return err
}

func (r rebuildResult) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rebuilt %s, %s, %s and %s\n",
		things(r.Buckets, "bucket"), things(r.Keys, "object"), things(r.Files, "file"), things(r.Xorbs, "xorb"))
	if r.Orphans > 0 {
		fmt.Fprintf(&b, "no object refers to %s of content; they stay until gc --orphans\n", things(r.Orphans, "piece"))
	}
	if r.Lost > 0 {
		fmt.Fprintf(&b, "LOST: %s\n", things(r.Lost, "object"))
	}
	if r.Blind {
		b.WriteString("there may have been more objects: there was no catalog, or not all of one could be read\n")
	}
	if r.Aside != "" {
		fmt.Fprintf(&b, "the old catalog is %s\n", r.Aside)
	}
	return b.String()
}

// readable returns a file that the store's owner can read: the given one, or a copy when only the caller can. remove removes
// the copy.
func (k *keeper) readable(path string) (name string, remove func() error, err error) {
	nothing := func() error { return nil }
	if path == "" {
		return "", nothing, nil
	}
	f, err := os.Open(path)
	if err == nil {
		return path, nothing, f.Close()
	}
	if !errors.Is(err, fs.ErrPermission) {
		return "", nil, err
	}
	if err := k.owner.asCaller(func() (err error) { f, err = os.Open(path); return err }); err != nil {
		return "", nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	to, err := os.CreateTemp(k.dir, "catalog.copy.*")
	if err != nil {
		return "", nil, err
	}
	_, err = io.Copy(to, f)
	if err = errors.Join(err, to.Close()); err != nil {
		return "", nil, errors.Join(err, os.Remove(to.Name()))
	}
	return to.Name(), func() error { return os.Remove(to.Name()) }, nil
}
