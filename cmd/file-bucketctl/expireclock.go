package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"hugbucket/internal/daemon"
)

// clockTrust is how far the clock may have gone on since expire last went by it. One that has gone on further may be wrong, and
// everything too old by it, or the machine was off: it is believed when it is still so after as long again.
const clockTrust = 7 * 24 * time.Hour

// expireClock is what is remembered of the clock between one expire and the next, in a file beside the store.
type expireClock struct {
	Trusted time.Time `json:"trusted"` // it was, and ages were told by it
	Doubted time.Time `json:"doubted"` // since when it is too far on; zero when it is not
}

// see looks at the clock, and says whether ages can be told by it.
func (c expireClock) see(now time.Time) (next expireClock, ok bool) {
	switch {
	case c.Trusted.IsZero(), now.Sub(c.Trusted) <= clockTrust:
		return expireClock{Trusted: now}, true
	case c.Doubted.IsZero(), now.Before(c.Doubted):
		c.Doubted = now
	case now.Sub(c.Doubted) >= clockTrust:
		return expireClock{Trusted: now}, true
	}
	return c, false
}

// doubt returns an error when the clock is not to be believed. What it saw is remembered, unless this is a dry run.
func (k *keeper) doubt(ctx context.Context, store expiring, o expireOptions) error {
	path := filepath.Join(k.dir, "expire.json")
	var was expireClock
	text, err := daemon.ReadBeside(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if json.Unmarshal(text, &was) != nil || was.Trusted.IsZero() {
		if was, err = firstClock(ctx, store); err != nil {
			return err
		}
	}
	next, ok := was.see(o.now)
	if o.trustClock {
		next, ok = expireClock{Trusted: o.now}, true
	}
	var failed error
	if !o.dryRun {
		failed = saveBeside(path, next)
	}
	if !ok {
		return errors.Join(fmt.Errorf("nothing is deleted by max_age: the clock says %s, %s after expire last went by it or something came. "+
			"If it is right, run expire --trust-clock; else it is believed when it has been so for a week",
			timeText(o.now), ageText(o.now.Sub(was.Trusted))), failed)
	}
	return failed
}

// firstClock is what is known of the clock before expire has ever run: when something last came into any bucket.
func firstClock(ctx context.Context, store expiring) (c expireClock, err error) {
	for b, err := range store.AllBuckets(ctx, "", bucketPage) {
		if err != nil {
			return c, err
		}
		// A bucket that cannot be asked after says nothing for the clock.
		if at, err := store.Arrived(ctx, b.Name); err == nil && at.After(c.Trusted) {
			c.Trusted = at
		}
	}
	return c, nil
}
