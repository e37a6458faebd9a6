package objecttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// Memory is a driver that keeps everything in memory, and nothing twice. Xorbs are kept encoded, so that reads decode
// and verify as they do from a disk. Content that no key names any more stays until the Memory is gone.
type Memory struct {
	mu      sync.RWMutex // guards the fields below; a xorb and a reconstruction never change once they are in
	names   []string     // of buckets, sorted
	buckets map[string]*bucket
	xorbs   map[xet.Hash]*xorb
	files   map[xet.Hash]xet.Reconstruction
	chunks  map[xet.Hash]object.Place // one place of each chunk
	uploads map[string]*upload        // by id
	users   int                       // sessions and contents that are not closed
}

var _ object.Driver = (*Memory)(nil)

// bucket is a bucket and what its keys name.
type bucket struct {
	object.Bucket
	keys    []string // sorted
	infos   map[string]object.Info
	arrived time.Time
}

// NewMemory gives an empty Memory.
func NewMemory() *Memory {
	return &Memory{
		buckets: make(map[string]*bucket),
		xorbs:   make(map[xet.Hash]*xorb),
		files:   map[xet.Hash]xet.Reconstruction{{}: {}}, // the empty file is always there
		chunks:  make(map[xet.Hash]object.Place),
		uploads: make(map[string]*upload),
	}
}

// Close tells of sessions and contents that were not closed. The Memory stays as it is.
func (m *Memory) Close() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.users != 0 {
		return fmt.Errorf("close memory: %d sessions or contents are open", m.users)
	}
	return nil
}

// leave counts off a session or a content.
func (m *Memory) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users--
}

// Buckets implements object.Catalog.
func (m *Memory) Buckets(ctx context.Context, start string, limit int) ([]object.Bucket, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, _ := slices.BinarySearch(m.names, start)
	var page []object.Bucket
	for _, name := range m.names[i:] {
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, m.buckets[name].Bucket)
	}
	return page, false, nil
}

// Bucket implements object.Catalog.
func (m *Memory) Bucket(ctx context.Context, name string) (object.Bucket, error) {
	if err := ctx.Err(); err != nil {
		return object.Bucket{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, ok := m.buckets[name]
	if !ok {
		return object.Bucket{}, object.ErrNoBucket
	}
	return b.Bucket, nil
}

// Arrived implements object.Catalog.
func (m *Memory) Arrived(ctx context.Context, bucket string) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, ok := m.buckets[bucket]
	if !ok {
		return time.Time{}, object.ErrNoBucket
	}
	return b.arrived, nil
}

// CreateBucket implements object.Catalog.
func (m *Memory) CreateBucket(ctx context.Context, b object.Bucket) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, taken := slices.BinarySearch(m.names, b.Name)
	if taken {
		return object.ErrBucketExists
	}
	m.names = slices.Insert(m.names, i, b.Name)
	m.buckets[b.Name] = &bucket{Bucket: b, infos: make(map[string]object.Info)}
	return nil
}

// DeleteBucket implements object.Catalog.
func (m *Memory) DeleteBucket(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.buckets[name]
	switch {
	case !ok:
		return object.ErrNoBucket
	case len(b.keys) != 0:
		return object.ErrBucketNotEmpty
	}
	i, _ := slices.BinarySearch(m.names, name)
	m.names = slices.Delete(m.names, i, i+1)
	delete(m.buckets, name)
	maps.DeleteFunc(m.uploads, func(_ string, u *upload) bool { return u.Bucket == name })
	return nil
}

// Stat implements object.Catalog.
func (m *Memory) Stat(ctx context.Context, bucket, key string) (object.Info, error) {
	if err := ctx.Err(); err != nil {
		return object.Info{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.stat(bucket, key)
}

// stat is Stat for callers that hold the lock.
func (m *Memory) stat(bucket, key string) (object.Info, error) {
	b, ok := m.buckets[bucket]
	if !ok {
		return object.Info{}, object.ErrNoBucket
	}
	info, ok := b.infos[key]
	if !ok {
		return object.Info{}, fs.ErrNotExist
	}
	return cloneInfo(info), nil
}

// List implements object.Catalog.
func (m *Memory) List(ctx context.Context, bucket string, q object.Page) ([]object.Info, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, false, fmt.Errorf("list: a page of %d rows", q.Limit)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, ok := m.buckets[bucket]
	if !ok {
		return nil, false, object.ErrNoBucket
	}
	i, _ := slices.BinarySearch(b.keys, max(q.Start, q.Prefix))
	var page []object.Info
	for _, key := range b.keys[i:] {
		if !strings.HasPrefix(key, q.Prefix) {
			break
		}
		if len(page) == q.Limit {
			return page, true, nil
		}
		info := cloneInfo(b.infos[key])
		info.Parts = nil
		page = append(page, info)
	}
	return page, false, nil
}

// Open implements object.Contents.
func (m *Memory) Open(ctx context.Context, bucket, key string) (object.Info, object.Content, error) {
	if err := ctx.Err(); err != nil {
		return object.Info{}, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := m.stat(bucket, key)
	if err != nil {
		return object.Info{}, nil, err
	}
	c, err := m.open(info.File)
	if err != nil {
		return object.Info{}, nil, errors.Join(object.ErrCorrupt, err)
	}
	return info, c, nil
}

// OpenFile implements object.Contents.
func (m *Memory) OpenFile(ctx context.Context, file xet.Hash) (object.Content, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open(file)
}

// put makes a key name info, or nothing when info is nil. The caller holds the lock.
func (b *bucket) put(key string, info *object.Info) {
	i, found := slices.BinarySearch(b.keys, key)
	switch {
	case info == nil && found:
		b.keys = slices.Delete(b.keys, i, i+1)
		delete(b.infos, key)
	case info != nil && !found:
		b.keys = slices.Insert(b.keys, i, key)
		fallthrough
	case info != nil:
		b.infos[key] = cloneInfo(*info)
	}
}

// cloneInfo copies the maps and slices of an Info too, so that nobody shares them with the store.
func cloneInfo(i object.Info) object.Info {
	i.Digests = cloneDigests(i.Digests)
	i.Attrs = cloneAttrs(i.Attrs)
	i.Parts = slices.Clone(i.Parts)
	return i
}

func cloneAttrs(a object.Attrs) object.Attrs {
	return object.Attrs{Headers: maps.Clone(a.Headers), Meta: maps.Clone(a.Meta)}
}

func cloneDigests(d object.Digests) object.Digests {
	return object.Digests{MD5: slices.Clone(d.MD5), SHA256: slices.Clone(d.SHA256), CRC64NVME: slices.Clone(d.CRC64NVME)}
}
