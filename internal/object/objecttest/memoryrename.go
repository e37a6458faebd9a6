package objecttest

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/object"
)

// Rename implements object.Session.
func (s *session) Rename(ctx context.Context, opts object.RenameOptions, leave *object.Info) (int, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	n, err := s.m.rename(opts)
	if err != nil {
		return 0, s.fail(err)
	}
	s.m.buckets[opts.FromBucket].leave(leave)
	return n, nil
}

// leave makes a marker when there is no key below it. The caller holds the lock.
func (b *bucket) leave(marker *object.Info) {
	if marker != nil && len(b.under(marker.Key, true)) == 0 {
		b.put(marker.Key, marker)
	}
}

// rename is Session.Rename. The caller holds the lock.
func (m *Memory) rename(opts object.RenameOptions) (int, error) {
	from, to := m.buckets[opts.FromBucket], m.buckets[opts.ToBucket]
	if from == nil || to == nil {
		return 0, object.ErrNoBucket
	}
	keys := from.under(opts.From, opts.Many())
	switch {
	case len(keys) == 0:
		return 0, fs.ErrNotExist
	case len(keys) > object.MaxRename:
		return 0, object.ErrTooMany
	}
	for _, key := range keys {
		if err := opts.Fits(len(key)); err != nil {
			return 0, err
		}
	}
	if opts.Same() {
		return len(keys), nil
	}
	if opts.Many() && len(to.under(opts.To, true)) > 0 {
		return 0, object.ErrTaken
	}
	for _, key := range keys {
		info := from.infos[key]
		info.Bucket, info.Key = opts.ToBucket, opts.NewKey(key)
		from.put(key, nil)
		to.put(info.Key, &info)
	}
	if from != to {
		to.arrived = time.Now().UTC()
	}
	return len(keys), nil
}

// under returns a key, if it is there, or all keys with a prefix.
func (b *bucket) under(name string, many bool) (keys []string) {
	i, _ := slices.BinarySearch(b.keys, name)
	for _, key := range b.keys[i:] {
		if key != name && (!many || !strings.HasPrefix(key, name)) {
			break
		}
		keys = append(keys, key)
	}
	return keys
}
