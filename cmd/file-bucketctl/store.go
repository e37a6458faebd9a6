package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
)

// storeFlags are those of every command that looks after the store.
type storeFlags struct {
	config      *string
	json, quiet *bool
}

func newStoreFlags(flags *flag.FlagSet, json, quiet string) storeFlags {
	return storeFlags{config: configFlag(flags), json: flags.Bool("json", false, json), quiet: flags.Bool("quiet", false, quiet)}
}

// keeper is a command that is looking after the store.
type keeper struct {
	env
	storeFlags

	dir   string // of the store
	cfg   *config.Config
	owner *owner
	meter *meter
}

// errStopped is the error of a command that a signal ended.
var errStopped = errors.New("stopped by a signal before it was done; start it again")

// keep runs a command that looks after the store, with the rights of the store's owner. The first SIGINT or SIGTERM ends ctx,
// the second one the process; so does the first one when it comes before the configuration was read.
func keep(ctx context.Context, e env, o storeFlags, f func(context.Context, *keeper) error) (err error) {
	cfg, err := daemon.LoadConfigInShell(*o.config)
	if err != nil {
		return err
	}
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)
	daemon.LimitMemory()
	k := &keeper{env: e, storeFlags: o, dir: cfg.Storage.Path, cfg: cfg}
	k.meter = newMeter(e.stderr, *o.quiet || *o.json)
	if k.owner, err = becomeOwner(k.dir); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, k.owner.leave())
	}()
	err = f(ctx, k)
	k.meter.end()
	// A CodeError tells how work has ended that a signal came too late for.
	if _, ended := errors.AsType[*daemon.CodeError](err); err != nil && !ended && ctx.Err() != nil {
		return errStopped
	}
	return err
}

// open opens the store, which must be there, and calls f with it.
func (k *keeper) open(ctx context.Context, quiet bool, f func(*disk.Driver) error) error {
	d, err := disk.Open(ctx, k.dir, disk.Options{
		MinFree: int64(k.cfg.Storage.MinFree), Warn: k.warn, Existing: true, Quiet: quiet,
	})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the daemons make it when they first start; is storage.path in %s right?", err, *k.config)
	}
	if err != nil {
		return err
	}
	err = f(d)
	k.meter.end()
	return errors.Join(err, d.Close())
}

// warn tells what the store warns of.
func (k *keeper) warn(text string) {
	_ = k.meter.print(k.stderr, fmt.Sprintf("%s: warning: %s\n", name, text)) // there is nobody left to tell
}

// print writes lines of the result.
func (k *keeper) print(text string) error { return k.meter.print(k.stdout, text) }

// encode writes JSON on one line.
func (k *keeper) encode(v any) error { return json.NewEncoder(k.stdout).Encode(v) }

// encodeAll writes JSON on lines that people can read.
func encodeAll(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
