package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"hugbucket/internal/disk"
)

func statsCommand() command {
	return command{
		name:    "stats",
		summary: "what is stored, what it takes, and what gc would free",
		details: `
Changes nothing, and may run beside the daemons.

  SIZE         what the objects hold, as clients see it
  UNIQUE       what is left of that when each chunk is counted once
  STORED       what that takes, compressed
  DEDUP        SIZE / UNIQUE
  COMPRESSION  UNIQUE / STORED

A chunk that several buckets hold counts in each of them, and once in the total.
The row (all) also has under UNIQUE, STORED and COMPRESSION what no object needs
any more, until gc removes it; its DEDUP does not.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, and no progress", "print no progress")
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error { return k.stats(ctx) })
			}
		},
	}
}

func (k *keeper) stats(ctx context.Context) error {
	return k.open(ctx, true, func(d *disk.Driver) error {
		s, err := d.Stats(ctx, k.meter.show)
		if err != nil {
			return err
		}
		r := newStatsResult(s)
		g, err := d.Collect(ctx, disk.CollectOptions{DryRun: true, Wait: -1, Progress: k.meter.show})
		k.meter.end()
		switch {
		case err == nil:
			gc := newGCResult(g, true)
			r.GC = &gc
		case !errors.Is(err, disk.ErrBusy):
			return err
		}
		if *k.json {
			return encodeAll(k.stdout, r)
		}
		return k.print(r.text())
	})
}

// statsBucket is what scripts get of a bucket. Sizes are bytes.
type statsBucket struct {
	Name    string `json:"name"`
	Owner   string `json:"owner"`
	Objects int64  `json:"objects"`
	Logical int64  `json:"logical"`
	Unique  int64  `json:"unique"`
	Stored  int64  `json:"stored"`
}

// statsResult is what scripts get of stats.
type statsResult struct {
	Buckets []statsBucket `json:"buckets"`
	Objects int64         `json:"objects"`
	Logical int64         `json:"logical"`
	Uploads int64         `json:"uploads"`    // multipart ones under way, which objects, logical and in_use do not count
	Parts   int64         `json:"parts"`      // that have come for them,
	Pending int64         `json:"part_bytes"` // and what these are long
	Unique  int64         `json:"unique"`
	InUse   int64         `json:"in_use"` // of unique, what objects need
	Stored  int64         `json:"stored"`
	OnDisk  int64         `json:"on_disk"`
	Catalog int64         `json:"catalog"`
	Index   int64         `json:"index"`
	Free    int64         `json:"free"`
	GC      *gcResult     `json:"gc"` // null while somebody else looks after the store
}

func newStatsResult(s disk.Stats) statsResult {
	r := statsResult{
		Buckets: []statsBucket{}, Objects: s.Objects, Logical: s.Logical, Uploads: s.Uploads, Parts: s.Parts, Pending: s.PartBytes,
		Unique: s.Unique, InUse: s.Referenced, Stored: s.Stored, OnDisk: s.OnDisk, Catalog: s.Catalog, Index: s.Index, Free: s.Free,
	}
	for _, b := range s.Buckets {
		r.Buckets = append(r.Buckets, statsBucket(b))
	}
	return r
}

func (r statsResult) text() string {
	// The names, which are to begin at the margin, come last: all else is aligned to the right.
	rows := []string{"OBJECTS\tSIZE\tUNIQUE\tSTORED\tDEDUP\tCOMPRESSION\t  BUCKET\n"}
	row := func(name string, objects, logical, unique, used, stored int64) {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t  %s\n", count(objects), bytesText(logical), bytesText(unique),
			bytesText(stored), times(logical, used), times(unique, stored), name))
	}
	for _, s := range r.Buckets {
		row(s.Name, s.Objects, s.Logical, s.Unique, s.Unique, s.Stored)
	}
	row("(all)", r.Objects, r.Logical, r.Unique, r.InUse, r.Stored)
	var b strings.Builder // which takes everything
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = io.WriteString(w, strings.Join(rows, ""))
	_ = w.Flush()
	if r.Uploads > 0 {
		fmt.Fprintf(&b, "\nuploads in parts under way: %s, of which %s parts of %s in all have come\n",
			count(r.Uploads), count(r.Parts), bytesText(r.Pending))
	}
	fmt.Fprintf(&b, "\non disk: %s of content, %s of catalog, %s of index; %s of the file system are free\n",
		bytesText(r.OnDisk), bytesText(r.Catalog), bytesText(r.Index), bytesText(r.Free))
	if r.GC == nil {
		fmt.Fprintf(&b, "what gc would free is not known: %s\n", disk.ErrBusy)
		return b.String()
	}
	fmt.Fprintf(&b, "gc would free %s", bytesText(r.GC.Freed))
	if r.GC.Waiting > 0 {
		fmt.Fprintf(&b, ", and %s more once nobody needs them", bytesText(r.GC.Waiting))
	}
	b.WriteByte('\n')
	return b.String()
}
