package daemon

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestExpireUploads has a door asked at once and each hour, and a failure is not the end of it.
func TestExpireUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		var asked []time.Duration
		begun := time.Now()
		door := &Door{Expire: func(context.Context) (int, error) {
			asked = append(asked, time.Since(begun))
			switch len(asked) {
			case 1:
				return 0, errors.New("cause")
			case 3:
				return 7, errors.New("of others")
			}
			return 0, nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Minute)
		defer cancel()
		expireUploads(ctx, door, zerolog.New(&logs))
		if len(asked) != 3 || asked[0] != 0 || asked[1] != time.Hour || asked[2] != 2*time.Hour {
			t.Errorf("asked after %v", asked)
		}
		if lines := strings.Count(logs.String(), "\n"); lines != 3 {
			t.Errorf("logged %d lines, want 3: %s", lines, &logs)
		}
		for _, want := range []string{`"error":"cause"`, `"error":"of others"`, `"uploads":7`} {
			if !strings.Contains(logs.String(), want) {
				t.Errorf("the log does not say %s: %s", want, &logs)
			}
		}
		expireUploads(t.Context(), &Door{}, zerolog.Nop()) // has nothing to wait for
	})
}

// TestExpireUploadsIsCutShort: what fails because the door ends is no failure.
func TestExpireUploadsIsCutShort(t *testing.T) {
	var logs bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	expireUploads(ctx, &Door{Expire: func(ctx context.Context) (int, error) {
		cancel()
		return 0, ctx.Err()
	}}, zerolog.New(&logs))
	if logs.Len() > 0 {
		t.Errorf("logged %s", &logs)
	}
}
