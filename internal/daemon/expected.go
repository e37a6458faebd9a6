package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

// Expected is a bucket into which something has to come again and again.
type Expected struct {
	Bucket string
	Every  time.Duration
	Last   time.Time // something came, up to object.ArrivedWithin early; zero when nothing ever did
	Since  time.Time // from when on something is waited for: Last, or when the watch first saw the bucket; see LoadWatch
}

// Overdue says whether nothing came for too long. What came in the future was told by a wrong clock, and is no news for ever.
func (x Expected) Overdue(now time.Time) bool { return now.Sub(x.Since).Abs() > x.Every }

// Waited is for how long nothing came.
func (x Expected) Waited(now time.Time) time.Duration { return max(0, now.Sub(x.Since)) }

// Arrived tells when something last came into a bucket, as object.Store does.
type Arrived func(ctx context.Context, bucket string) (time.Time, error)

// ExpectedBuckets returns what the configuration expects of buckets, in its order. A bucket that nobody has made yet is one into
// which nothing ever came. Beside an error the list is whole all the same: of a bucket that cannot be asked after, it tells what
// the watch remembers.
func ExpectedBuckets(ctx context.Context, cfg *config.Config, arrived Arrived, w *Watch, now time.Time) ([]Expected, error) {
	var list []Expected
	var errs []error
	for _, b := range cfg.Buckets {
		if b.Expect == 0 {
			continue
		}
		last, err := arrived(ctx, b.Name)
		if err != nil && !errors.Is(err, object.ErrNoBucket) {
			errs = append(errs, err)
			last = w.Buckets[b.Name].Last
		}
		list = append(list, expectedOf(&b, last, w, now))
	}
	return list, errors.Join(errs...)
}

// expectedOf is what is expected of a bucket into which something last came at a time.
func expectedOf(b *config.Bucket, last time.Time, w *Watch, now time.Time) Expected {
	x := Expected{Bucket: b.Name, Every: time.Duration(b.Expect), Last: last, Since: last}
	if last.IsZero() {
		x.Since = now
		if seen, ok := w.Buckets[b.Name]; ok {
			x.Since = seen.Since
		} else if !w.configured.IsZero() && w.configured.Before(now) {
			x.Since = w.configured
		}
	}
	return x
}

// Watch is what is remembered between one look at the expected buckets and the next, in a file beside the store.
type Watch struct {
	Looked  time.Time          `json:"looked"` // last
	Buckets map[string]Watched `json:"buckets"`

	configured time.Time // the configuration was last changed; zero when something is remembered
}

// Watched is what is remembered of a bucket.
type Watched struct {
	Since   time.Time `json:"since"`   // it was first seen
	Last    time.Time `json:"last"`    // Expected.Last
	Alerted time.Time `json:"alerted"` // Expected.Since of the lapse that somebody was alerted of last
	Warned  time.Time `json:"warned"`  // last
	Unheard bool      `json:"unheard"` // there was no hook to alert anybody with
}

// WatchFile is where what is remembered lies.
func WatchFile(cfg *config.Config) string { return filepath.Join(cfg.Storage.Path, "watch.json") }

// LoadWatch reads what was remembered: nothing when nobody has looked yet, nor when the file is damaged. Then somebody is alerted once
// more, which is better than never again: also of a bucket that never got anything, which is expected to since the configuration was
// last changed.
func LoadWatch(cfg *config.Config) (*Watch, error) {
	text, err := ReadBeside(WatchFile(cfg))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	w := new(Watch)
	if json.Unmarshal(text, w) != nil || w.Buckets == nil {
		w = &Watch{Buckets: make(map[string]Watched)}
		if fi, err := os.Stat(cfg.File()); err == nil {
			w.configured = fi.ModTime()
		}
	}
	return w, nil
}
