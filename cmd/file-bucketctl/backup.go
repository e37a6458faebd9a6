package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
)

func backupCommand() command {
	return command{
		name:    "backup",
		args:    "FILE [-- COMMAND [ARGUMENT...]]",
		runs:    true,
		summary: "copy the catalog while daemons write, and the content with it",
		details: `
Writes a consistent copy of the catalog, which holds every name, to FILE; "-" is
stdout. The store is that copy and, of its directory, xorbs, packs and lastproc,
copied after it: content that the catalog names is there before the catalog
names it. No gc may run between the two. COMMAND makes sure of that: it is run
once FILE is complete, and until it ends gc is refused, while daemons go on.

  file-bucketctl backup --force /mnt/catalog.new -- rsync -a --delete-after \
      STORE/xorbs STORE/packs STORE/lastproc /mnt/store/ &&
  mv /mnt/catalog.new /mnt/catalog.db

so that the backup before is whole until this one is. COMMAND runs with the rights of the caller. See restore for the way back.`,
		codes: `Exit codes:
  0   success
  1   failure; also when COMMAND fails, but then FILE is complete
` + daemon.UsageCodes,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print nothing unless something is wrong")
			force := flags.Bool("force", false, "replace FILE when it exists")
			return func(ctx context.Context, e env, args []string) error {
				b, err := newBackup(args, *force)
				if err != nil {
					return err
				}
				if b.path == "-" && *o.json {
					return &daemon.UsageError{Err: errors.New("backup: --json and FILE cannot both go to stdout")}
				}
				if f, ok := e.stdout.(*os.File); ok && b.path == "-" && isatty.IsTerminal(f.Fd()) {
					return &daemon.UsageError{Err: errors.New("backup: stdout is a terminal, where nobody can read a catalog")}
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error { return k.backup(ctx, b) })
			}
		},
	}
}

// backup is what backup is to do.
type backup struct {
	path    string
	force   bool
	command []string // to be run while content stays; nil for none
}

func newBackup(args []string, force bool) (backup, error) {
	b := backup{force: force}
	if i := slices.Index(args, "--"); i >= 0 {
		args, b.command = args[:i], args[i+1:]
		if len(b.command) == 0 {
			return b, &daemon.UsageError{Err: errors.New(`backup: there is no COMMAND behind "--"`)}
		}
	}
	var err error
	b.path, err = oneArg("backup", "FILE", args)
	return b, err
}

// backupResult is what scripts get of backup.
type backupResult struct {
	File string `json:"file"`
	Size int64  `json:"size"` // bytes
}

func (k *keeper) backup(ctx context.Context, b backup) (err error) {
	w := k.stdout
	var file *newFile
	if b.path != "-" {
		err := k.owner.asCaller(func() error {
			if err := notWithin(k.dir, b.path); err != nil {
				return err
			}
			file, err = createFile(b.path, b.force)
			return err
		})
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists: choose another FILE, or replace it with --force", b.path)
		}
		if err != nil {
			return err
		}
		w = file
		defer func() {
			if file != nil {
				err = errors.Join(err, k.owner.asCaller(file.abandon))
			}
		}()
	}
	return k.open(ctx, true, func(d *disk.Driver) error {
		if len(b.command) > 0 {
			release, err := d.HoldStill()
			if err != nil {
				return err
			}
			defer release() //nolint:errcheck // it ends with the process at the latest
		}
		counted := &counter{w: w}
		if err := d.Backup(ctx, counted, k.meter.show); err != nil {
			return err
		}
		k.meter.end()
		if file != nil {
			f := file
			file = nil
			if err := k.owner.asCaller(f.finish); err != nil {
				return err
			}
		}
		if err := k.backedUp(b, counted.n); err != nil || len(b.command) == 0 {
			return err
		}
		return k.command(ctx, b)
	})
}

// backedUp says that the copy of the catalog is complete.
func (k *keeper) backedUp(b backup, size int64) error {
	switch {
	case *k.json:
		return encodeAll(k.stdout, backupResult{b.path, size})
	case *k.quiet:
		return nil
	case b.path == "-":
		return k.meter.print(k.stderr, fmt.Sprintf("%s: wrote the catalog, %s\n", name, bytesText(size)))
	}
	return k.print(fmt.Sprintf("wrote the catalog to %s, %s\n", b.path, bytesText(size)))
}

// command runs a program with the caller's rights. When stdout has the result, it gets stderr instead.
func (k *keeper) command(ctx context.Context, b backup) error {
	var cmd *exec.Cmd
	if err := k.owner.asCaller(func() error { // it is looked for in directories that perhaps only the caller may see
		cmd = exec.CommandContext(ctx, b.command[0], b.command[1:]...)
		return cmd.Err
	}); err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, k.stdout, k.stderr
	if b.path == "-" || *k.json {
		cmd.Stdout = k.stderr
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	k.owner.asCallerRuns(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(b.command[0]), err)
	}
	return nil
}

// notWithin refuses a file in the store's own directory, where it might replace the catalog itself.
func notWithin(dir, path string) error {
	store, err := os.Stat(dir)
	if err != nil {
		return nil //nolint:nilerr // opening it says more
	}
	at, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if os.SameFile(store, at) {
		return fmt.Errorf("%s lies in the store: choose a FILE elsewhere", path)
	}
	return nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
