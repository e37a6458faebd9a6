package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

// maxBuckets is how many buckets the page and the metrics show.
const maxBuckets = 1000

// bucketState is a bucket, and when something last came into it.
type bucketState struct {
	Name    string        // never a whole token
	Last    time.Time     // zero for never
	Expect  time.Duration // 0 when nobody expects anything
	Overdue bool
	Err     error // of looking at it
}

// ExpectText is Expect as it is written in the configuration.
func (s bucketState) ExpectText() string { return config.Duration(s.Expect).String() }

// arrivals finds out when something last came into buckets.
type arrivals struct {
	store *object.Store
	home  string

	mu    sync.Mutex // guards the following
	plain map[string]plainDir
}

// plainDir is what was seen of the directory of a bare token.
type plainDir struct {
	changed time.Time // of the directory itself
	newest  time.Time
}

// list returns the buckets of the configuration, in its order, and then those that only the store has, by name; whether there are
// more than maxBuckets of these, too.
func (a *arrivals) list(ctx context.Context, cfg *config.Config, now time.Time) (out []bucketState, more bool, err error) {
	watch, err := LoadWatch(cfg)
	if err != nil {
		return nil, false, err
	}
	seen := make(map[string]bool)
	for i := range cfg.Buckets {
		b := &cfg.Buckets[i]
		s := bucketState{Name: b.Name, Expect: time.Duration(b.Expect)}
		if b.Name != "" {
			s.Last, s.Err = a.named(ctx, b.Name)
		} else {
			s.Name = TokenLabel(b.Token)
			s.Last, s.Err = a.bare(b.Token, now)
		}
		for n, name := 2, s.Name; seen[s.Name]; n++ {
			s.Name = fmt.Sprintf("%s #%d", name, n) // two bare tokens may begin alike
		}
		seen[s.Name] = true
		s.Overdue = s.Err == nil && s.Expect > 0 && expectedOf(b, s.Last, watch, now).Overdue(now)
		out = append(out, s)
	}
	if len(out) >= maxBuckets {
		return out, true, nil
	}
	for b, err := range a.store.AllBuckets(ctx, "", maxBuckets) {
		switch {
		case err != nil:
			return out, false, err
		case seen[b.Name]:
			continue
		case len(out) == maxBuckets:
			return out, true, nil
		}
		s := bucketState{Name: b.Name}
		s.Last, s.Err = a.named(ctx, b.Name)
		out = append(out, s)
	}
	return out, false, nil
}

// named is when something came into a bucket of the store. One that is not there yet has got nothing.
func (a *arrivals) named(ctx context.Context, name string) (time.Time, error) {
	last, err := a.store.Arrived(ctx, name)
	if errors.Is(err, object.ErrNoBucket) {
		return time.Time{}, nil
	}
	return last, err
}

// TokenLabel is how a bare token is called where others may read: by its beginning, of the length that the push door logs. No
// bucket of the store can have such a name.
func TokenLabel(token string) string { return token[:min(len(token)/4, 6)] + "…" }

// bare is when the newest of a token's plain files was written. A directory is read again when something in it has changed.
func (a *arrivals) bare(token string, now time.Time) (time.Time, error) {
	dir := filepath.Join(a.home, token)
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, sansToken(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// What changed just now may change again without getting another time.
	if known, ok := a.plain[dir]; ok && known.changed.Equal(st.ModTime()) && now.Sub(known.changed) > time.Second {
		return known.newest, nil
	}
	newest, err := NewestFile(dir)
	if err != nil {
		return time.Time{}, err
	}
	if a.plain == nil {
		a.plain = make(map[string]plainDir)
	}
	a.plain[dir] = plainDir{st.ModTime(), newest}
	return newest, nil
}

// NewestFile is when the newest file in the directory of a bare token was written, leaving out those that are still coming; zero when
// there is none. An error does not hold the path, which holds the token.
func NewestFile(dir string) (newest time.Time, err error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0) // to open a FIFO would wait for a writer
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, sansToken(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	for {
		entries, err := f.ReadDir(1000) // of which there may be any number
		if errors.Is(err, io.EOF) {
			return newest, nil
		}
		if err != nil {
			return time.Time{}, sansToken(err)
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".partial-") {
				continue
			}
			st, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has gone meanwhile
			}
			if err != nil {
				return time.Time{}, sansToken(err)
			}
			if st.ModTime().After(newest) {
				newest = st.ModTime()
			}
		}
	}
}

// sansToken drops the path from an error of os: it holds the token.
func sansToken(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	return err
}
