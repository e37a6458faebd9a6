package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math"
	"strings"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/disk"
)

func gcCommand() command {
	return command{
		name:    "gc",
		summary: "give back the room of what was deleted",
		details: `
Removes content that no object refers to any more, beside running daemons:
what an upload or a download still needs waits for it. Packs and xorbs of which
less than --live is in use are copied without the rest, which needs room for
the copy. It may be stopped at any moment and started again. While a check, a
backup with a COMMAND or another gc runs, it fails and changes nothing.

What is left of a xorb after a copy stays for --backups, because older backups
of the catalog name it: its room comes back with a later gc.

--dry-run changes nothing and says what a run would do.

--orphans also removes files in the store's directory that its catalog does not
name and nobody is writing. After a catalog was restored that is what had been
stored since its backup, and then it is gone for good: see check and rebuild
--adopt before.

--recompress packs content tighter, slowly, while no daemon writes and nothing
else wants the processor or the disk. What it holds does not change.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print nothing unless something is wrong")
			g := gcOptions{live: 0.5, wait: config.Duration(time.Minute), backups: config.Duration(7 * 24 * time.Hour)}
			flags.BoolVar(&g.dryRun, "dry-run", false, "change nothing, only say what would be done")
			flags.Var(&g.live, "live", "copy what is alive of packs and xorbs of which less than `PERCENT` is")
			flags.Var(&g.wait, "wait", "how long to wait for those who still need what is to be removed, a `TIME` like 10m; 0s waits for nobody")
			flags.Var(&g.backups, "backups", "how old a `TIME` backups of the catalog are that must stay of use, like 7d; 0s when there are none")
			flags.BoolVar(&g.recompress, "recompress", false, "compress cold content as well as can be")
			flags.BoolVar(&g.orphans, "orphans", false, "also remove files that the catalog does not name")
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error { return k.gc(ctx, g) })
			}
		},
	}
}

// gcOptions are flags of gc.
type gcOptions struct {
	dryRun, recompress, orphans bool

	live    percent
	wait    config.Duration
	backups config.Duration
}

// of returns the options as the store takes them, to which 0 is a default.
func (g gcOptions) of(progress disk.Progress) disk.CollectOptions {
	return disk.CollectOptions{
		DryRun: g.dryRun, Recompress: g.recompress, Orphans: g.orphans, Progress: progress,
		Live: cmp.Or(float64(g.live), math.SmallestNonzeroFloat64),
		Wait: cmp.Or(time.Duration(g.wait), -1), Backups: cmp.Or(time.Duration(g.backups), -1),
	}
}

func (k *keeper) gc(ctx context.Context, g gcOptions) error {
	return k.open(ctx, g.dryRun, func(d *disk.Driver) error {
		idle := !g.recompress
		c, err := d.Collect(ctx, g.of(func(s disk.Step) {
			if !idle && s.Name == disk.Compressing { // not before: all who write wait for what is deleted under the lock
				idle = true
				if err := beIdle(); err != nil {
					k.warn(fmt.Sprintf("cannot make way for others: %v", err))
				}
			}
			k.meter.show(s)
		}))
		k.meter.end()
		if err != nil && c == (disk.Collected{}) {
			return err
		}
		// Also after an error: what was freed stays freed.
		switch {
		case *k.json:
			return cmp.Or(err, encodeAll(k.stdout, newGCResult(c, g.dryRun)))
		case *k.quiet:
			return err
		}
		return cmp.Or(err, k.print(collectedText(c, g)))
	})
}

// gcResult is what scripts get of gc. Sizes are bytes.
type gcResult struct {
	DryRun       bool  `json:"dry_run"`
	Files        int64 `json:"files"`
	Xorbs        int64 `json:"xorbs"`
	Packs        int64 `json:"packs"`
	Freed        int64 `json:"freed"`
	Rewritten    int64 `json:"rewritten"`
	Waiting      int64 `json:"waiting"`
	Recompressed int64 `json:"recompressed"`
	Saved        int64 `json:"saved"`
	Orphans      int64 `json:"orphans"`
	OrphanBytes  int64 `json:"orphan_bytes"`
}

func newGCResult(c disk.Collected, dryRun bool) gcResult {
	return gcResult{
		DryRun: dryRun, Files: c.Files, Xorbs: c.Xorbs, Packs: c.Packs, Freed: c.Freed, Rewritten: c.Rewritten, Waiting: c.Waiting,
		Recompressed: c.Recompressed, Saved: c.Saved, Orphans: c.Orphans, OrphanBytes: c.OrphanBytes,
	}
}

// collectedText says in words what gc did, or would do.
func collectedText(c disk.Collected, g gcOptions) string {
	freed, copied, deleted, removed, recompressed := "freed", "copied", "deleted", "removed", "recompressed"
	if g.dryRun {
		freed, copied, deleted, removed, recompressed = "would free", "would copy", "would delete", "would remove", "would recompress"
	}
	var b strings.Builder
	switch {
	case c.Freed > 0:
		fmt.Fprintf(&b, "%s %s", freed, bytesText(c.Freed))
		if c.Packs > 0 {
			fmt.Fprintf(&b, " in %s of the store", things(c.Packs, "file"))
		}
		if c.Rewritten > 0 {
			fmt.Fprintf(&b, ", for which %s are copied", bytesText(c.Rewritten))
		}
	case c.Rewritten > 0: // what was copied waits for those who read the old copy, or for backups that name it
		fmt.Fprintf(&b, "%s nothing yet\n%s %s", freed, copied, bytesText(c.Rewritten))
		if c.Freed < 0 {
			fmt.Fprintf(&b, ": the store takes %s more until a later gc removes what that was copied from", bytesText(-c.Freed))
		}
	case c.Xorbs > 0:
		fmt.Fprintf(&b, "%s nothing yet: packs that hold what was deleted hold more that is in use, or are still written to", freed)
	case c.Waiting > 0:
		fmt.Fprintf(&b, "%s nothing yet", freed)
	default:
		b.WriteString("nothing to free")
	}
	b.WriteByte('\n')
	if c.Files+c.Xorbs > 0 {
		fmt.Fprintf(&b, "%s the content of %s and %s that nothing refers to\n", deleted, things(c.Files, "file"), things(c.Xorbs, "xorb"))
	}
	if c.Recompressed > 0 || g.recompress {
		fmt.Fprintf(&b, "%s %s, which saves %s\n", recompressed, things(c.Recompressed, "xorb"), bytesText(c.Saved))
	}
	if c.Orphans > 0 || g.orphans {
		fmt.Fprintf(&b, "%s %s that the catalog does not name, %s\n", removed, things(c.Orphans, "file"), bytesText(c.OrphanBytes))
	}
	if c.Waiting > 0 {
		fmt.Fprintf(&b, "%s are not in use, but uploads, downloads or older backups of the catalog may still need them: a later gc frees them\n",
			bytesText(c.Waiting))
	}
	return b.String()
}
