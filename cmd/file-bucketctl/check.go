package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
)

func checkCommand() command {
	return command{
		name:    "check",
		summary: "read and verify everything that is stored",
		details: `
Changes nothing, and may run beside the daemons, but not beside gc. Each problem
is a line on stdout when it is found, but all orphans of one pack are one:

  damaged: "BUCKET/KEY": WHY    for each object that cannot be read whole
  damaged: WHY                  for what hurts no object, the index for example
  orphan: WHAT (SIZE)           for a file, or a piece of a pack, that the
                                catalog does not name

Content that is damaged is mended by storing it again. Orphans are no damage:
they are what came after the backup that a catalog was restored from, what a
crash left, and what gc has freed in a pack that is still written to. rebuild
--adopt names them, gc --orphans removes them.

--quick compares indexes and places and reads no content.`,
		codes: `Exit codes:
  0   everything is whole; there may be orphans
  1   something is damaged
  2   it could not be checked
` + daemon.UsageCodes,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts, one object a line, the last one a summary; no progress",
				"print nothing but what is damaged")
			quick := flags.Bool("quick", false, "compare indexes and places only")
			var rate config.Size
			flags.Var(&rate, "rate", "read at most `SIZE` in a second, like 50MiB; 0 is no limit, and the default")
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				err := keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.check(ctx, disk.CheckOptions{Quick: *quick, Rate: int64(rate), Progress: k.meter.show})
				})
				if _, ok := errors.AsType[*daemon.CodeError](err); ok || err == nil {
					return err
				}
				return &daemon.CodeError{Code: 2, Err: err}
			}
		},
	}
}

// problemLine is what scripts get of a problem, or of an object of the store that rebuild tells of.
type problemLine struct {
	Type string   `json:"type"` // "damaged", "orphan" or "lost"
	What string   `json:"what,omitempty"`
	Keys []string `json:"keys,omitempty"` // as bucket/key
	Hash string   `json:"hash,omitempty"`
	File string   `json:"file,omitempty"`
	Size int64    `json:"size,omitempty"` // bytes
}

// checkResult is what scripts get at the end. Sizes are bytes.
type checkResult struct {
	Type        string  `json:"type"` // "summary"
	Quick       bool    `json:"quick"`
	Keys        int64   `json:"keys"`
	Files       int64   `json:"files"`
	Xorbs       int64   `json:"xorbs"`
	Bytes       int64   `json:"bytes"`
	Seconds     float64 `json:"seconds"`
	Damaged     int64   `json:"damaged"` // problems that are damage
	Orphans     int64   `json:"orphans"`
	OrphanBytes int64   `json:"orphan_bytes"`
}

func (k *keeper) check(ctx context.Context, o disk.CheckOptions) error {
	return k.open(ctx, true, func(d *disk.Driver) error {
		start := time.Now()
		r := checkResult{Type: "summary", Quick: o.Quick}
		tell := &teller{k: k}
		c, err := d.Check(ctx, o, func(p disk.Problem) {
			if p.Orphan {
				r.Orphans++
				r.OrphanBytes += p.Size
			} else {
				r.Damaged++
			}
			tell.problem(p)
		})
		tell.flush()
		k.meter.end()
		if err := cmp.Or(err, tell.failed); err != nil {
			return err
		}
		r.Keys, r.Files, r.Xorbs, r.Bytes, r.Seconds = c.Keys, c.Files, c.Xorbs, c.Bytes, time.Since(start).Seconds()
		switch {
		case *k.json:
			err = k.encode(r)
		case !*k.quiet:
			err = k.print(r.text())
		}
		if err == nil && r.Damaged > 0 {
			err = &daemon.CodeError{Code: 1, Err: fmt.Errorf("the store in %s is damaged: %s", k.dir, things(r.Damaged, "problem"))}
		}
		return err
	})
}

// teller tells of problems at once, but for orphans of one file, which come one after the other: of a pack that daemons write
// to there may be thousands.
type teller struct {
	k      *keeper
	pieces disk.Problem // those that were not told yet, with their size
	n      int64        // how many they are
	failed error        // the first one
}

func (t *teller) problem(p disk.Problem) {
	switch {
	case t.failed != nil:
	case *t.k.json:
		line := problemLine{Type: "damaged", What: p.What, Keys: p.Keys}
		if p.Orphan {
			line.Type, line.File, line.Size = "orphan", p.File, p.Size
		}
		t.failed = t.k.encode(line)
	case p.Orphan && *t.k.quiet:
	case p.Orphan && t.n > 0 && p.File == t.pieces.File:
		t.n++
		t.pieces.Size += p.Size
	case p.Orphan && p.File != "":
		t.flush()
		t.pieces, t.n = p, 1
	default:
		t.flush()
		t.print(p)
	}
}

// flush tells of the orphans that were not told yet.
func (t *teller) flush() {
	if t.n > 1 {
		t.pieces.What = fmt.Sprintf("no row names %s of %s", things(t.n, "piece"), t.pieces.File)
	}
	if t.n > 0 {
		t.print(t.pieces)
	}
	t.n = 0
}

func (t *teller) print(p disk.Problem) {
	if t.failed != nil {
		return
	}
	text := problemText(p)
	if !p.Orphan && toJournal(t.k.stdout) {
		text = "<3>" + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n<3>") + "\n" // sd-daemon(3): an error
	}
	t.failed = t.k.print(text)
}

// toJournal says whether what is written goes to the journal, which takes the priority of a line from its beginning.
func toJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// problemText has one line for each object, so that they can be cut out, and all lines are whole whatever the keys hold.
func problemText(p disk.Problem) string {
	what := strings.ReplaceAll(p.What, "\n", " ")
	if p.Orphan {
		return fmt.Sprintf("orphan: %s (%s)\n", strings.TrimPrefix(what, "orphan: "), bytesText(p.Size))
	}
	if len(p.Keys) == 0 {
		return "damaged: " + what + "\n"
	}
	var b strings.Builder
	for _, key := range p.Keys {
		fmt.Fprintf(&b, "damaged: %q: %s\n", key, what)
	}
	return b.String()
}

func (r checkResult) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "checked %s, %s and %s", things(r.Keys, "object"), things(r.Files, "file"), things(r.Xorbs, "xorb"))
	if r.Bytes > 0 && r.Seconds > 0 {
		fmt.Fprintf(&b, ": %s at %.1f MiB/s", bytesText(r.Bytes), float64(r.Bytes)/r.Seconds/(1<<20))
	}
	b.WriteByte('\n')
	if r.Orphans > 0 {
		fmt.Fprintf(&b, "%s that the catalog does not name, %s\n", things(r.Orphans, "orphan"), bytesText(r.OrphanBytes))
	}
	if r.Damaged > 0 {
		fmt.Fprintf(&b, "DAMAGED: %s\n", things(r.Damaged, "problem"))
	} else {
		b.WriteString("no damage\n")
	}
	return b.String()
}
