package objecttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

const (
	// modelSeeds are run always, and one more that is new each time. MODEL_SEED in the environment has one seed run
	// alone: that of a failure, which is in the name of the subtest.
	modelSeeds = 3
	modelSteps = 300
)

// TestModel does random operations on a store over a driver, and the same on a map, and compares after each. open gives
// an empty driver each time; the suite closes it.
func TestModel(t *testing.T, open func(t *testing.T) object.Driver) {
	t.Helper()
	var seeds []uint64
	if s := os.Getenv("MODEL_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	} else {
		for seed := range uint64(modelSeeds) {
			seeds = append(seeds, seed)
		}
		seeds = append(seeds, rand.Uint64())
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			m := newModel(start(t, open), seed)
			for step := range modelSteps {
				m.step()
				if t.Failed() {
					t.Fatalf("at step %d; again by MODEL_SEED=%d", step, seed)
				}
			}
			m.compareAll()
		})
	}
}

// entry is what the model has under a key.
type entry struct {
	data []byte
	info object.Info // but for what content alone decides
}

// model is a store as a map of maps.
type model struct {
	*env
	r       *rand.Rand
	pool    [][]byte // contents, so that the same ones come again
	buckets map[string]map[string]entry
}

func newModel(e *env, seed uint64) *model {
	m := &model{env: e, r: rand.New(rand.NewPCG(seed, 100)), buckets: make(map[string]map[string]entry)}
	for i, size := range []int{0, 1, 100, 8192, 40_000, 200_000, 450_000} {
		m.pool = append(m.pool, random(uint64(i), size), text(uint64(i), size))
	}
	return m
}

func (m *model) pick(of ...string) string { return of[m.r.IntN(len(of))] }

// bucketName is one of two mostly, that exist mostly.
func (m *model) bucketName() string { return m.pick("one", "one", "one", "two", "two", "three") }

func (m *model) key() string {
	var key strings.Builder
	for first := true; first || m.r.IntN(3) != 0; first = false {
		key.WriteString(m.pick("a", "b", "/", "/", "é", "\x00", "\U0010ffff"))
	}
	return key.String()
}

// oldKey is a key that is there, mostly.
func (m *model) oldKey(bucket string) string {
	keys := slices.Sorted(maps.Keys(m.buckets[bucket]))
	if len(keys) == 0 || m.r.IntN(8) == 0 {
		return m.key()
	}
	return keys[m.r.IntN(len(keys))]
}

func (m *model) data() []byte {
	data := m.pool[m.r.IntN(len(m.pool))]
	if m.r.IntN(3) == 0 {
		data = slices.Concat(data, m.pool[m.r.IntN(len(m.pool))])
	}
	return data
}

func (m *model) attrs() object.Attrs {
	if m.r.IntN(2) == 0 {
		return object.Attrs{}
	}
	return object.Attrs{Meta: map[string]string{"n": strconv.Itoa(m.r.IntN(5))}}
}

func (m *model) time() time.Time {
	return time.UnixMilli(1_000_000_000_000 + m.r.Int64N(1_000_000)).UTC()
}

// condition is none mostly, or one that may hold of the entry.
func (m *model) condition(cur *object.Info) object.Condition {
	etag := "other"
	if cur != nil && m.r.IntN(2) == 0 {
		etag = cur.ETag
	}
	switch m.r.IntN(8) {
	case 0:
		return object.Condition{IfNoneMatch: []string{"*"}}
	case 1:
		return object.Condition{IfMatch: []string{etag}}
	case 2:
		return object.Condition{IfNoneMatch: []string{etag}}
	case 3:
		return object.Condition{IfUnmodifiedSince: m.time()}
	}
	return object.Condition{}
}

// cur gives what a key names in the model, and why an operation on its bucket must fail.
func (m *model) cur(bucket, key string) (*object.Info, error) {
	b, ok := m.buckets[bucket]
	if !ok {
		return nil, object.ErrNoBucket
	}
	if e, ok := b[key]; ok {
		return &e.info, nil
	}
	return nil, nil
}

func (m *model) step() {
	steps := []func(){
		m.put, m.put, m.put, m.put, m.putParts, m.copyKey, m.copyKey, m.renameKeys, m.renameKeys, m.amend, m.appendTo, m.appendTo, m.remove, m.removeFile, m.removeFile, m.removeMany, m.listKeys, m.listKeys, m.listKeys,
		m.stat, m.readRange, m.readRange, m.changeBuckets,
	}
	steps[m.r.IntN(len(steps))]()
}

func (m *model) put() {
	bucket, key, data := m.bucketName(), m.key(), m.data()
	if m.r.IntN(3) == 0 {
		key = m.oldKey(bucket)
	}
	cur, want := m.cur(bucket, key)
	opts := object.PutOptions{Attrs: m.attrs(), If: m.condition(cur), ModTime: m.time(), WantSHA256: m.r.IntN(2) == 0}
	var body io.Reader = bytes.NewReader(data)
	if want == nil {
		want = kind(opts.If.Check(cur))
	}
	if m.r.IntN(10) == 0 {
		opts.Size, opts.Sized = int64(len(data))+1, true
		if want == nil {
			want = object.ErrDigest
		}
	}
	if m.r.IntN(3) == 0 {
		body = onlyReader{body}
	}
	info, err := m.store.Put(m.Context(), bucket, key, body, opts)
	m.is(fmt.Sprintf("put %s/%q", bucket, key), err, want)
	if err != nil || want != nil {
		return
	}
	expect := m.infoOf(bucket, key, data)
	expect.Attrs, expect.ModTime = opts.Attrs, opts.ModTime
	if opts.WantSHA256 {
		expect.Digests.SHA256 = sha256Of(data)
	}
	m.sameInfo("put", info, expect)
	m.buckets[bucket][key] = entry{data, expect}
}

func (m *model) copyKey() {
	o := object.CopyOptions{FromBucket: m.bucketName(), ToBucket: m.bucketName(), ToKey: m.key(), ModTime: m.time()}
	o.FromKey = m.oldKey(o.FromBucket)
	switch m.r.IntN(4) {
	case 0:
		o.ToBucket, o.ToKey = o.FromBucket, o.FromKey
	case 1:
		o.ToKey = m.oldKey(o.ToBucket)
	}
	if m.r.IntN(2) == 0 {
		attrs := m.attrs()
		o.Attrs = &attrs
	}
	from, want := m.cur(o.FromBucket, o.FromKey)
	if from == nil && want == nil {
		want = fs.ErrNotExist
	}
	o.FromIf = m.condition(from)
	if want == nil {
		want = kind(o.FromIf.Check(from))
	}
	to, err := m.cur(o.ToBucket, o.ToKey)
	o.If = m.condition(to)
	if want == nil {
		if want = err; want == nil {
			want = kind(o.If.Check(to))
		}
	}
	info, err := m.store.Copy(m.Context(), o)
	m.is(fmt.Sprintf("copy %+v", o), err, want)
	if err != nil || want != nil {
		return
	}
	src := m.buckets[o.FromBucket][o.FromKey]
	src.info.Bucket, src.info.Key, src.info.ModTime = o.ToBucket, o.ToKey, o.ModTime
	if o.Attrs != nil {
		src.info.Attrs = *o.Attrs
	}
	m.sameInfo("copy", info, src.info)
	m.buckets[o.ToBucket][o.ToKey] = src
}

func (m *model) remove() {
	bucket := m.bucketName()
	key := m.oldKey(bucket)
	cur, want := m.cur(bucket, key)
	cond := m.condition(cur)
	if want == nil {
		want = kind(cond.Check(cur))
	}
	m.is(fmt.Sprintf("delete %s/%q", bucket, key), m.store.Delete(m.Context(), bucket, key, cond), want)
	if want == nil {
		delete(m.buckets[bucket], key)
	}
}

func (m *model) removeMany() {
	bucket := m.bucketName()
	var keys []string
	for range m.r.IntN(4) {
		keys = append(keys, m.oldKey(bucket))
	}
	_, want := m.cur(bucket, "")
	errs, err := m.store.DeleteMany(m.Context(), bucket, keys)
	m.is(fmt.Sprintf("delete %q of %s", keys, bucket), err, want)
	if want != nil {
		return
	}
	m.is("delete many", errors.Join(errs...), nil)
	for _, key := range keys {
		delete(m.buckets[bucket], key)
	}
}

func (m *model) listKeys() {
	bucket := m.bucketName()
	o := object.ListOptions{Delimiter: m.pick("", "/", "/", "a", "//", "é"), Limit: 1 + m.r.IntN(6)}
	if m.r.IntN(2) == 0 {
		o.Prefix = m.key()
	}
	if m.r.IntN(3) == 0 {
		o.StartAfter = m.key()
	}
	if m.r.IntN(3) == 0 {
		o.Limit = 0
	}
	_, want := m.cur(bucket, "")
	if want != nil {
		_, err := m.store.List(m.Context(), bucket, o)
		m.is("list "+bucket, err, want)
		return
	}
	m.listIs(m.store, bucket, slices.Sorted(maps.Keys(m.buckets[bucket])), o)
}

func (m *model) stat() {
	bucket := m.bucketName()
	key := m.oldKey(bucket)
	cur, want := m.cur(bucket, key)
	if want == nil && cur == nil {
		want = fs.ErrNotExist
	}
	info, err := m.store.Stat(m.Context(), bucket, key)
	m.is(fmt.Sprintf("stat %s/%q", bucket, key), err, want)
	if want == nil {
		m.sameInfo("stat", info, *cur)
	}
}

func (m *model) readRange() {
	bucket := m.bucketName()
	key := m.oldKey(bucket)
	cur, want := m.cur(bucket, key)
	if want == nil && cur == nil {
		want = fs.ErrNotExist
	}
	f, err := m.store.Open(m.Context(), bucket, key)
	if m.is(fmt.Sprintf("open %s/%q", bucket, key), err, want); err != nil || want != nil {
		return
	}
	data := m.buckets[bucket][key].data
	off := m.r.IntN(len(data) + 1)
	n := m.r.IntN(len(data) - off + 1)
	var out bytes.Buffer
	if _, err := f.WriteRange(&out, int64(off), int64(n)); err != nil {
		m.Errorf("range %d+%d of %s/%q: %v", off, n, bucket, key, err)
	}
	m.same(key, out.Bytes(), data[off:off+n])
	m.sameInfo("open", f.Info(), *cur)
	m.ok(f.Close())
}

func (m *model) changeBuckets() {
	bucket := m.bucketName()
	b, exists := m.buckets[bucket]
	if m.r.IntN(3) > 0 {
		var want error
		if exists {
			want = object.ErrBucketExists
		} else {
			m.buckets[bucket] = make(map[string]entry)
		}
		m.is("create "+bucket, m.store.CreateBucket(m.Context(), bucket, ""), want)
		return
	}
	want := object.ErrNoBucket
	switch {
	case exists && len(b) > 0:
		want = object.ErrBucketNotEmpty
	case exists:
		want = nil
		delete(m.buckets, bucket)
	}
	m.is("delete "+bucket, m.store.DeleteBucket(m.Context(), bucket), want)
}

// compareAll reads everything.
func (m *model) compareAll() {
	page, more, err := m.store.Buckets(m.Context(), "", 1000)
	m.ok(err)
	var names []string
	for _, b := range page {
		names = append(names, b.Name)
	}
	m.sameStrings("buckets", names, slices.Sorted(maps.Keys(m.buckets)))
	if more {
		m.Error("there are more buckets")
	}
	for bucket, b := range m.buckets {
		m.listIs(m.store, bucket, slices.Sorted(maps.Keys(b)), object.ListOptions{})
		for key, want := range b {
			m.sameInfo("open", m.holds(bucket, key, want.data), want.info)
		}
	}
}
