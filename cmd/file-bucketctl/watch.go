package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// warnAgain is after how long a bucket is warned of again that is still overdue.
const warnAgain = 24 * time.Hour

func watchCommand() command {
	return command{
		name:    "watch",
		summary: "warn of buckets into which nothing came for too long",
		details: `
A timer runs it. It logs a warning for each bucket that got nothing within the
time that expect says, once and then once a day, and runs alert.sh BUCKET LAST
HOURS once for each lapse; again when that failed. With --failed it looks at
nothing, and runs alert.sh - LAST HOURS once until a watch works again.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			failed := flags.Bool("failed", false, "alert somebody that the watch itself fails; systemd runs it")
			no := false
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				log := daemon.NewLogger(e.stderr, name, "info")
				if *failed {
					return failedWatch{config: *path, health: healthFile(), now: time.Now(), log: log}.run(ctx)
				}
				w := watch{storeFlags: storeFlags{path, &no, &no}, now: time.Now, log: log, spare: spareFile()}
				err := w.run(ctx, e)
				switch {
				case errors.Is(err, errStopped):
					return nil // whoever stopped it is not to be alerted of that
				case err != nil:
					return err
				}
				return watchHealth{Looked: time.Now()}.save(healthFile())
			}
		},
	}
}

// watch is one look at the buckets that something is expected of.
type watch struct {
	storeFlags

	now   func() time.Time
	log   zerolog.Logger
	hooks hooks  // nil is those of the configuration
	spare string // where what is remembered is also kept; see spareFile
}

// run looks with the rights of the store's owner, and alerts with the caller's: hooks know how to give these up themselves. When a
// bucket cannot be asked after, or the whole store not be opened or found, that is an error in the end; who waits for a bucket is
// alerted by what the last watch saw, for nothing may come because of just that.
func (w watch) run(ctx context.Context, e env) error {
	next := &daemon.Watch{Looked: w.now(), Buckets: make(map[string]daemon.Watched)} // without those of which nothing is expected any more
	cfg, err := daemon.LoadConfigInShell(*w.config)
	if err != nil {
		return err
	}
	m := watchMemory{beside: daemon.WatchFile(cfg), spare: w.spare}
	spare, spareErr := m.loadSpare()
	state, list, err := w.ask(ctx, e, spare, next.Looked)
	if errors.Is(err, errStopped) {
		return err
	}
	if err != nil && list == nil {
		m.storeGone = errors.Is(err, fs.ErrNotExist)
		// Where there is no store yet, nothing is to be left behind.
		if state == nil || m.storeGone && state.Looked.IsZero() {
			return errors.Join(err, spareErr)
		}
		list, _ = daemon.ExpectedBuckets(ctx, cfg, func(context.Context, string) (time.Time, error) { return time.Time{}, err }, state, next.Looked) // the same, of each
	}
	if w.hooks == nil {
		var failed error
		if w.hooks, failed = newHooks(cfg, w.log); failed != nil {
			return errors.Join(err, failed)
		}
	}
	for _, x := range list {
		next.Buckets[x.Bucket] = w.look(ctx, x, state.Buckets[x.Bucket], next.Looked)
	}
	return errors.Join(err, spareErr, m.saveSpare(next), keep(ctx, e, w.storeFlags, func(context.Context, *keeper) error { return m.saveBeside(next) }))
}

// ask returns what is remembered, the newer of what lies beside the store and of a spare one, which may be nil; and what came into
// the buckets. Beside an error there may be no list, when nothing could be asked, and no state either.
func (w watch) ask(ctx context.Context, e env, spare *daemon.Watch, now time.Time) (state *daemon.Watch, list []daemon.Expected, err error) {
	state = spare
	err = keep(ctx, e, w.storeFlags, func(ctx context.Context, k *keeper) (err error) {
		beside, failed := daemon.LoadWatch(k.cfg)
		if beside != nil && (spare == nil || !spare.Looked.After(beside.Looked)) {
			state = beside
		}
		if state == nil {
			return failed
		}
		return errors.Join(failed, k.open(ctx, true, func(d *disk.Driver) (err error) {
			list, err = daemon.ExpectedBuckets(ctx, k.cfg, object.New(d, object.Config{}).Arrived, state, now)
			return err
		}))
	})
	return state, list, err
}

// look warns of a bucket if it is overdue, and returns what is to be remembered of it. Before it is remembered somebody is told:
// twice is better than never.
func (w watch) look(ctx context.Context, x daemon.Expected, was daemon.Watched, now time.Time) daemon.Watched {
	if was.Since.IsZero() {
		was.Since = now
		if x.Last.IsZero() {
			was.Since = x.Since
		}
	}
	was.Last = x.Last
	if !x.Overdue(now) {
		if !was.Warned.IsZero() {
			w.log.Info().Str("event", "came").Str("bucket", x.Bucket).Time("last", x.Last).Msg("something comes into the bucket again")
		}
		was.Alerted, was.Warned, was.Unheard = time.Time{}, time.Time{}, false
		return was
	}
	told := was.Alerted.Equal(x.Since)
	if !told || now.Sub(was.Warned).Abs() >= warnAgain {
		w.log.Warn().Str("event", "overdue").Str("bucket", x.Bucket).Str("last", lastText(x.Last)).
			Int("hours", int(x.Waited(now).Hours())).Str("expect", config.Duration(x.Every).String()).
			Msg("nothing came into the bucket for too long")
		was.Warned = now
	}
	if told && !was.Unheard {
		return was
	}
	err := alert(ctx, w.hooks, x, now)
	missing := errors.Is(err, daemon.ErrNoHook) // which may be put in place any moment
	if err != nil && !missing {
		w.log.Error().Err(err).Str("event", "alert-failed").Str("bucket", x.Bucket).Msg("nobody was alerted; the next watch tries again")
		return was
	}
	was.Alerted, was.Unheard = x.Since, missing
	return was
}

// lastText is a time as it is logged.
func lastText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// saveBeside makes durable what is to be remembered, in a file beside what the store keeps.
func saveBeside(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what is to be remembered: %w", err)
	}
	f, err := createFile(path, true)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		return errors.Join(err, f.abandon())
	}
	return f.finish()
}
