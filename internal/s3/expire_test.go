package s3

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestExpire: what is older than the expiry is dropped, and nothing else, and without an expiry nothing.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := object.New(objecttest.NewMemory(), object.Config{})
		s, err := New(store, Config{UploadExpiry: 24 * time.Hour}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.CreateBucket(t.Context(), "bkt", ""); err != nil {
			t.Fatal(err)
		}
		begin := func(key string) {
			t.Helper()
			if _, err := store.CreateUpload(t.Context(), "bkt", key, object.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		drops := func(want int, left string) {
			t.Helper()
			if n, err := s.Expire(t.Context()); n != want || err != nil {
				t.Errorf("dropped %d, %v, want %d", n, err, want)
			}
			page, _, err := store.ListUploads(t.Context(), "bkt", object.UploadPage{Limit: 10})
			keys := ""
			for _, u := range page {
				keys += u.Key
			}
			if err != nil || keys != left {
				t.Errorf("%q is left, want %q: %v", keys, left, err)
			}
		}
		begin("a")
		<-time.After(12 * time.Hour) // the clock is the bubble's
		begin("b")
		drops(0, "ab")
		<-time.After(13 * time.Hour)
		drops(1, "b")
		s.cfg.UploadExpiry = 0
		<-time.After(100 * time.Hour)
		drops(0, "b")
	})
}
