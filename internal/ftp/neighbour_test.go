package ftp

import (
	"context"
	"slices"
	"testing"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// rottenNeighbours has damaged uploads of all keys but one: who lists them gets an error.
type rottenNeighbours struct {
	object.Driver
	whole string
}

func (d rottenNeighbours) ListUploads(ctx context.Context, bucket string, q object.UploadPage) ([]object.Upload, bool, error) {
	page, more, err := d.Driver.ListUploads(ctx, bucket, q)
	if slices.ContainsFunc(page, func(u object.Upload) bool { return u.Key != d.whole }) {
		return nil, false, object.ErrCorrupt
	}
	return page, more, err
}

// TestOverwriteBesideDamagedUploads overwrites a file when uploads of keys that begin with its name are damaged.
func TestOverwriteBesideDamagedUploads(t *testing.T) {
	d, err := disk.Open(t.Context(), t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOver(t, rottenNeighbours{d, "f"})
	r.put("f", "old content")
	for _, key := range []string{"f2", "f/x", "e"} {
		if _, err := r.store.CreateUpload(t.Context(), "bkt", key, object.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c := r.login()
	c.cut("STOR /bkt/f", "new")
	r.isUnended("/bkt/f")
	c.stor("STOR /bkt/f", "new content")
	r.isWhole("/bkt/f", "11")
}
