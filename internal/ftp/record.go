package ftp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"hugbucket/internal/object"
)

// recordVersion tells records from what others keep with uploads.
const recordVersion = 1

// record is what is written down of a place that whole uploads are under way to, or where one broke off. It is the note of an open upload in
// parts of the same key, of which no part comes: it is durable, goes with its bucket, is listed for who looks after the store, and expires
// some time after it was made.
type record struct {
	Version int    `json:"ftp"`
	File    string `json:"file"` // the hash of the file that was there

	id string
}

// note makes a record of the file that is there, and then drops those that there were: a record is as young as what it is about, and there
// is one at any time. Where there is nothing to go on with there is none.
func (t *target) note(ctx context.Context) error {
	file, err := t.of.file(ctx, t.at)
	if err != nil {
		return err
	}
	if file == "" {
		t.made, t.broke = "", false
		return t.clear(ctx)
	}
	old, err := t.of.records(ctx, t.at)
	if err != nil {
		return err
	}
	for _, r := range old {
		if r.File == file && r.id != t.made { // nothing that is under way has left it
			t.broke = true
		}
	}
	text, err := json.Marshal(record{Version: recordVersion, File: file})
	if err != nil {
		return fmt.Errorf("note of an upload: %w", err)
	}
	u, err := t.of.store.CreateUpload(ctx, t.at.bucket, t.at.key, object.UploadOptions{Note: string(text)})
	if err != nil {
		return err
	}
	t.made = u.ID
	return t.drop(ctx, old)
}

// tidy drops the records of other files than the one that is there.
func (t *target) tidy(ctx context.Context) error {
	file, err := t.of.file(ctx, t.at)
	if err != nil {
		return err
	}
	all, err := t.of.records(ctx, t.at)
	if err != nil {
		return err
	}
	return t.drop(ctx, slices.DeleteFunc(all, func(r record) bool { return r.File == file }))
}

// file is the hash of the file at a place; empty when there is none, or nothing in it.
func (w *overwrites) file(ctx context.Context, at place) (string, error) {
	info, err := w.store.Stat(ctx, at.bucket, at.key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size == 0 {
		return "", nil
	}
	return info.File.String(), err
}

// records returns those of a place.
func (w *overwrites) records(ctx context.Context, at place) (found []record, err error) {
	q := object.UploadPage{Key: at.key, Limit: 100}
	for more := true; more; {
		var page []object.Upload
		if page, more, err = w.store.ListUploads(ctx, at.bucket, q); err != nil {
			return nil, err
		}
		for _, u := range page {
			r := record{id: u.ID}
			if json.Unmarshal([]byte(u.Note), &r) == nil && r.Version == recordVersion {
				found = append(found, r)
			}
			q.AfterKey, q.AfterID = u.Key, u.ID
		}
	}
	return found, nil
}

// clear drops all records of the place.
func (t *target) clear(ctx context.Context) error {
	all, err := t.of.records(ctx, t.at)
	if err != nil {
		return err
	}
	return t.drop(ctx, all)
}

// drop is content when somebody else has dropped them.
func (t *target) drop(ctx context.Context, records []record) (err error) {
	for _, r := range records {
		gone := t.of.store.AbortUpload(ctx, object.UploadName{Bucket: t.at.bucket, Key: t.at.key, ID: r.id})
		if !errors.Is(gone, object.ErrNoUpload) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
