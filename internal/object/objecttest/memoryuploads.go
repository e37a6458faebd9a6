package objecttest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/object"
)

// upload is an upload and its parts, by number.
type upload struct {
	object.Upload
	parts map[int]object.Part
}

// complete makes u done. The caller holds the lock.
func (u *upload) complete(info object.Info) {
	info = cloneInfo(info)
	u.Done, u.parts = &info, nil
}

// last is when something last happened to u. The caller holds the lock.
func (u *upload) last() time.Time {
	at := u.Created
	if u.Done != nil && u.Done.ModTime.After(at) {
		at = u.Done.ModTime
	}
	for _, p := range u.parts {
		if p.ModTime.After(at) {
			at = p.ModTime
		}
	}
	return at
}

func cloneUpload(u object.Upload) object.Upload {
	u.Attrs = cloneAttrs(u.Attrs)
	if u.Done != nil {
		done := cloneInfo(*u.Done)
		u.Done = &done
	}
	return u
}

func clonePart(p object.Part) object.Part {
	p.Digests = cloneDigests(p.Digests)
	return p
}

// CreateUpload implements object.Uploads.
func (m *Memory) CreateUpload(ctx context.Context, u object.Upload) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.buckets[u.Bucket] == nil {
		return object.ErrNoBucket
	}
	if m.uploads[u.ID] != nil {
		return fmt.Errorf("create upload: %s exists", u.ID)
	}
	u.Done = nil
	m.uploads[u.ID] = &upload{cloneUpload(u), make(map[int]object.Part)}
	return nil
}

// Upload implements object.Uploads.
func (m *Memory) Upload(ctx context.Context, id string) (object.Upload, error) {
	if err := ctx.Err(); err != nil {
		return object.Upload{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	u, ok := m.uploads[id]
	if !ok {
		return object.Upload{}, object.ErrNoUpload
	}
	return cloneUpload(u.Upload), nil
}

func compareUploads(a, b object.Upload) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
}

// ListUploads implements object.Uploads.
func (m *Memory) ListUploads(ctx context.Context, bucket string, q object.UploadPage) ([]object.Upload, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, false, fmt.Errorf("list uploads: a page of %d rows", q.Limit)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.buckets[bucket] == nil {
		return nil, false, object.ErrNoBucket
	}
	after := m.uploads[q.AfterID]
	if after != nil && (after.Bucket != bucket || after.Key != q.AfterKey) {
		after = nil
	}
	var page []object.Upload
	for _, u := range m.uploads {
		switch {
		case u.Bucket != bucket || u.Done != nil || u.Key < q.AfterKey:
		case q.Key != "" && u.Key != q.Key || q.Key == "" && !strings.HasPrefix(u.Key, q.Prefix):
		case u.Key == q.AfterKey && q.AfterID == "":
		case after != nil && compareUploads(u.Upload, after.Upload) <= 0:
		default:
			page = append(page, cloneUpload(u.Upload))
		}
	}
	slices.SortFunc(page, compareUploads)
	if len(page) > q.Limit {
		return page[:q.Limit], true, nil
	}
	return page, false, nil
}

// Parts implements object.Uploads.
func (m *Memory) Parts(ctx context.Context, id string, after, limit int) ([]object.Part, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if limit < 1 || limit > 1000 {
		return nil, false, fmt.Errorf("parts: a page of %d rows", limit)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	u, ok := m.uploads[id]
	if !ok {
		return nil, false, object.ErrNoUpload
	}
	var page []object.Part
	for n, p := range u.parts {
		if n > after {
			page = append(page, clonePart(p))
		}
	}
	slices.SortFunc(page, func(a, b object.Part) int { return a.Number - b.Number })
	if len(page) > limit {
		return page[:limit], true, nil
	}
	return page, false, nil
}

// AbortUpload implements object.Uploads.
func (m *Memory) AbortUpload(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if u, ok := m.uploads[id]; !ok || u.Done != nil {
		return object.ErrNoUpload
	}
	delete(m.uploads, id)
	return nil
}

// ForgetUploads implements object.Uploads.
func (m *Memory) ForgetUploads(ctx context.Context, ids []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if u, ok := m.uploads[id]; ok && u.Done != nil {
			delete(m.uploads, id)
		}
	}
	return nil
}

// ExpireUploads implements object.Uploads.
func (m *Memory) ExpireUploads(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for id, u := range m.uploads {
		if u.last().Before(before) {
			delete(m.uploads, id)
			if u.Done == nil {
				n++
			}
		}
	}
	return n, nil
}

// CommitPart implements object.Session.
func (s *session) CommitPart(ctx context.Context, id string, p object.Part) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	u, ok := s.m.uploads[id]
	if !ok || u.Done != nil {
		return s.fail(object.ErrNoUpload)
	}
	if err := s.checkStored(p.File, p.Size); err != nil {
		return s.fail(err)
	}
	s.land()
	u.parts[p.Number] = clonePart(p)
	return nil
}

// checkCompletion says what forbids the completion of a change, if it has one. The caller holds the lock.
func (m *Memory) checkCompletion(c object.Change, done map[string]bool) error {
	if c.Complete == nil {
		return nil
	}
	if c.New == nil {
		return &object.InvalidError{Field: "completion", Rule: "it makes an object"}
	}
	id := c.Complete.Upload
	u, ok := m.uploads[id]
	if !ok || u.Done != nil || done[id] || u.Bucket != c.Bucket || u.Key != c.Key {
		return object.ErrNoUpload
	}
	for _, p := range c.Complete.Parts {
		if is, ok := u.parts[p.Number]; !ok || is.File != p.File {
			return &object.PartError{Number: p.Number}
		}
	}
	done[id] = true
	return nil
}
