package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
	"hugbucket/internal/xet"
)

// dropping is a driver that keeps names, in memory, and no content.
type dropping struct {
	*objecttest.Memory // for buckets

	mu    sync.RWMutex // guards what follows
	keys  []name       // sorted
	infos map[name]object.Info
}

type name struct{ bucket, key string }

func compare(a, b name) int {
	if c := strings.Compare(a.bucket, b.bucket); c != 0 {
		return c
	}
	return strings.Compare(a.key, b.key)
}

func newDropping() *dropping {
	return &dropping{Memory: objecttest.NewMemory(), infos: make(map[name]object.Info)}
}

func (d *dropping) Stat(ctx context.Context, bucket, key string) (object.Info, error) {
	if _, err := d.Bucket(ctx, bucket); err != nil {
		return object.Info{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	info, ok := d.infos[name{bucket, key}]
	if !ok {
		return object.Info{}, fs.ErrNotExist
	}
	return info, nil
}

func (d *dropping) List(ctx context.Context, bucket string, q object.Page) ([]object.Info, bool, error) {
	if _, err := d.Bucket(ctx, bucket); err != nil {
		return nil, false, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(d.keys, name{bucket, max(q.Start, q.Prefix)}, compare)
	var page []object.Info
	for _, n := range d.keys[i:] {
		if n.bucket != bucket || !strings.HasPrefix(n.key, q.Prefix) {
			break
		}
		if len(page) == q.Limit {
			return page, true, nil
		}
		page = append(page, d.infos[n])
	}
	return page, false, nil
}

func (d *dropping) Open(ctx context.Context, bucket, key string) (object.Info, object.Content, error) {
	info, err := d.Stat(ctx, bucket, key)
	return info, zeros(info.Size), err
}

func (d *dropping) Begin(context.Context) (object.Session, error) { return session{d}, nil }

// session knows every chunk, so that no xorb is made.
type session struct{ d *dropping }

func (session) Known(_ context.Context, _ []xet.Hash, places []object.Place) error {
	for i := range places {
		places[i] = object.Place{Xorb: xet.Hash{1}, Index: uint32(i)}
	}
	return nil
}

func (session) PutFile(context.Context, xet.Reconstruction) error { return nil }

func (s session) Commit(ctx context.Context, changes []object.Change) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	for _, c := range changes {
		if err := s.d.change(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// change makes a change. The caller holds the lock.
func (d *dropping) change(ctx context.Context, c object.Change) error {
	if _, err := d.Bucket(ctx, c.Bucket); err != nil {
		return err
	}
	n := name{c.Bucket, c.Key}
	i, found := slices.BinarySearchFunc(d.keys, n, compare)
	switch {
	case c.New == nil && found:
		d.keys = slices.Delete(d.keys, i, i+1)
		delete(d.infos, n)
	case c.New == nil:
	case !found:
		d.keys = slices.Insert(d.keys, i, n)
		fallthrough
	default:
		d.infos[n] = *c.New
	}
	return nil
}

var errBytes = errors.New("this store has no bytes")

func (session) NewXorb(context.Context) (object.Xorb, error) { return nil, errBytes }

func (session) Rename(context.Context, object.RenameOptions, *object.Info) (int, error) {
	return 0, errBytes
}

func (session) CommitPart(context.Context, string, object.Part) error { return errBytes }

func (session) Close() error { return nil }
