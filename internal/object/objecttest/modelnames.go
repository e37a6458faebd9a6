package objecttest

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"hugbucket/internal/object"
)

// renameKeys renames a key, or all below a directory.
func (m *model) renameKeys() {
	o := object.RenameOptions{FromBucket: m.bucketName(), ToBucket: m.bucketName(), To: m.key(), KeepDir: m.r.IntN(2) == 0}
	if m.r.IntN(2) == 0 {
		o.ToBucket = o.FromBucket
	}
	o.From = m.oldKey(o.FromBucket)
	if i := strings.LastIndexByte(o.From, '/'); i >= 0 && m.r.IntN(2) == 0 {
		o.From = o.From[:i+1]
	}
	if o.To = strings.TrimRight(o.To, "/"); o.Many() || o.To == "" {
		o.To += "/"
	}
	if m.r.IntN(8) == 0 {
		o.To = m.oldKey(o.ToBucket)
	}
	moved, want := m.renamed(o)
	n, err := m.store.Rename(m.Context(), o)
	if m.is(fmt.Sprintf("rename %+v", o), err, want); n != len(moved) {
		m.Errorf("rename %+v: %d keys, want %d", o, n, len(moved))
	}
	for _, key := range moved {
		e := m.buckets[o.FromBucket][key]
		delete(m.buckets[o.FromBucket], key)
		e.info.Bucket, e.info.Key = o.ToBucket, o.NewKey(key)
		m.buckets[o.ToBucket][e.info.Key] = e
	}
	if want == nil && o.KeepDir {
		m.leave(o.FromBucket, o.From)
	}
}

// renamed gives the keys that a rename moves, or why it must fail.
func (m *model) renamed(o object.RenameOptions) (keys []string, err error) {
	below := o.FromBucket == o.ToBucket && o.From != o.To && strings.HasPrefix(o.To, o.From)
	if o.Many() != strings.HasSuffix(o.To, "/") || o.Many() && below {
		return nil, object.ErrInvalid
	}
	_, from := m.cur(o.FromBucket, "")
	_, to := m.cur(o.ToBucket, "")
	if err := cmp.Or(from, to); err != nil {
		return nil, err
	}
	under := func(bucket, name string) (keys []string) {
		for _, key := range slices.Sorted(maps.Keys(m.buckets[bucket])) {
			if key == name || o.Many() && strings.HasPrefix(key, name) {
				keys = append(keys, key)
			}
		}
		return keys
	}
	keys = under(o.FromBucket, o.From)
	switch {
	case len(keys) == 0:
		return nil, fs.ErrNotExist
	case o.Many() && !o.Same() && len(under(o.ToBucket, o.To)) > 0:
		return nil, object.ErrTaken
	}
	return keys, nil
}

// removeFile deletes as a file system does.
func (m *model) removeFile() {
	bucket := m.bucketName()
	key := m.oldKey(bucket)
	cur, want := m.cur(bucket, key)
	if want == nil && cur == nil {
		want = fs.ErrNotExist
	}
	if m.is(fmt.Sprintf("remove %s/%q", bucket, key), m.store.Remove(m.Context(), bucket, key, object.Condition{}), want); want == nil {
		delete(m.buckets[bucket], key)
		m.leave(bucket, key)
	}
}

// leave has the directory stay that a key was in.
func (m *model) leave(bucket, key string) {
	dir, _ := path.Split(strings.TrimSuffix(key, "/"))
	for key := range m.buckets[bucket] {
		if strings.HasPrefix(key, dir) {
			return
		}
	}
	if info, err := m.store.Stat(m.Context(), bucket, dir); dir != "" {
		m.is("marker of "+dir, err, nil)
		expect := m.infoOf(bucket, dir, nil)
		expect.ModTime = info.ModTime // now
		m.sameInfo("marker", info, expect)
		m.buckets[bucket][dir] = entry{nil, expect}
	}
}

// amend changes attributes.
func (m *model) amend() {
	bucket := m.bucketName()
	key, attrs := m.oldKey(bucket), m.attrs()
	cur, want := m.cur(bucket, key)
	if want == nil && cur == nil {
		want = fs.ErrNotExist
	}
	info, err := m.store.Amend(m.Context(), bucket, key, func(a *object.Attrs) { *a = attrs })
	if m.is(fmt.Sprintf("amend %s/%q", bucket, key), err, want); want != nil {
		return
	}
	e := m.buckets[bucket][key]
	e.info.Attrs = attrs
	m.sameInfo("amend", info, e.info)
	m.buckets[bucket][key] = e
}

// appendTo goes on from anywhere in what a key names.
func (m *model) appendTo() {
	bucket := m.bucketName()
	key, more := m.oldKey(bucket), m.data()
	if m.r.IntN(5) == 0 {
		more = nil
	}
	cur, want := m.cur(bucket, key)
	opts := object.PutOptions{Attrs: m.attrs(), ModTime: m.time(), If: m.condition(cur)}
	if want == nil {
		want = kind(opts.If.Check(cur))
	}
	was := m.buckets[bucket][key]
	at := m.r.Int64N(int64(len(was.data)) + 1)
	if m.r.IntN(3) == 0 {
		at = int64(len(was.data))
	}
	data := slices.Concat(was.data[:at], more)
	if at == int64(len(was.data)) && m.r.IntN(2) == 0 {
		at = -1
	}
	info, err := m.store.Append(m.Context(), bucket, key, at, bytes.NewReader(more), opts)
	if m.is(fmt.Sprintf("append to %s/%q at %d", bucket, key, at), err, want); err != nil || want != nil {
		return
	}
	expect := m.appendedInfo(bucket, key, data)
	switch {
	case len(more) == len(data):
		expect = m.infoOf(bucket, key, data)
	case len(more) == 0 && len(data) == len(was.data):
		expect = was.info
	}
	expect.Attrs, expect.ModTime, expect.Note = opts.Attrs, opts.ModTime, ""
	m.sameInfo("append", info, expect)
	m.buckets[bucket][key] = entry{data, expect}
}
