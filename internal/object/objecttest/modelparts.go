package objecttest

import "hugbucket/internal/object"

// putParts uploads in parts, some of which come again, or are copied.
func (m *model) putParts() {
	bucket, key, attrs := m.bucketName(), m.key(), m.attrs()
	cur, want := m.cur(bucket, key)
	u, err := m.store.CreateUpload(m.Context(), bucket, key, object.UploadOptions{Attrs: attrs})
	if m.is("create upload", err, want); err != nil || want != nil {
		return
	}
	up := &multi{m.env, object.UploadName{Bucket: bucket, Key: key, ID: u.ID}, make(map[int][]byte), make(map[int]string)}
	var numbers []int
	for n := 1 + m.r.IntN(3); len(numbers) == 0 || m.r.IntN(3) != 0; n += 1 + m.r.IntN(3) {
		numbers = append(numbers, n)
		for first := true; first || m.r.IntN(4) == 0; first = false {
			data := m.data()
			off := m.r.IntN(len(data) + 1)
			up.put(n, data[off:])
		}
		from := m.oldKey(bucket)
		if src, ok := m.buckets[bucket][from]; ok && m.r.IntN(3) == 0 {
			off := m.r.Int64N(src.info.Size + 1)
			o := object.CopyPartOptions{FromBucket: bucket, FromKey: from, Off: off, Len: m.r.Int64N(src.info.Size - off + 1)}
			p, err := m.store.CopyPart(m.Context(), up.name, n, o)
			m.ok(err)
			up.note(p, n, src.data[off:off+o.Len])
		}
	}
	opts := object.CompleteOptions{If: m.condition(cur), ModTime: m.time()}
	want = kind(opts.If.Check(cur))
	info, err := m.store.Complete(m.Context(), up.name, up.refs(numbers...), opts)
	if m.is("complete upload", err, want); err != nil || want != nil {
		m.is("abort upload", m.store.AbortUpload(m.Context(), up.name), nil)
		return
	}
	expect, data := up.want(numbers...)
	expect.Attrs, expect.ModTime = attrs, opts.ModTime
	m.sameInfo("complete upload", info, expect)
	m.buckets[bucket][key] = entry{data, expect}
}
