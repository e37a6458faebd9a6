package s3

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestTend: what is older than the expiry is dropped within the hour, and nothing else; a failure is not the end of it.
func TestTend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := objecttest.NewMemory()
		broken := &brokenUploads{Driver: mem}
		store := object.New(broken, object.Config{})
		logs := &logBuffer{}
		s, err := New(store, Config{UploadExpiry: 24 * time.Hour}, zerolog.New(logs))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := store.CreateBucket(ctx, "bkt", ""); err != nil {
			t.Fatal(err)
		}
		begin := func(key string) {
			t.Helper()
			if _, err := store.CreateUpload(ctx, "bkt", key, object.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		left := func() (keys string) {
			t.Helper()
			page, _, err := store.ListUploads(ctx, "bkt", object.UploadPage{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page {
				keys += u.Key
			}
			return keys
		}
		begin("a")
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Tend(ctx)
		}()
		at := func(d time.Duration, want string) {
			t.Helper()
			<-time.After(d) // the clock is the bubble's
			synctest.Wait()
			if got := left(); got != want {
				t.Errorf("%v later there are %q, want %q", d, got, want)
			}
		}
		at(12*time.Hour, "a")
		begin("b")
		at(11*time.Hour, "ab")
		broken.fails.Store(true)
		at(2*time.Hour, "ab")
		broken.fails.Store(false)
		at(time.Hour, "b")
		at(13*time.Hour, "")
		cancel()
		<-done
		for _, want := range []string{errBroken.Error(), `"uploads":1`} {
			if !strings.Contains(logs.String(), want) {
				t.Errorf("the log does not say %s: %s", want, logs)
			}
		}
		s.cfg.UploadExpiry = 0
		s.Tend(t.Context()) // has nothing to wait for
	})
}

// brokenUploads fails to expire uploads for a while.
type brokenUploads struct {
	object.Driver
	fails atomic.Bool
}

func (d *brokenUploads) ExpireUploads(ctx context.Context, before time.Time) (int, error) {
	if d.fails.Load() {
		return 0, errBroken
	}
	return d.Driver.ExpireUploads(ctx, before)
}
