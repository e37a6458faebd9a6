package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Duration
		start := time.Now()
		n := notifier{func(state string) error {
			if state != "WATCHDOG=1" {
				t.Errorf("sent %q", state)
			}
			sent = append(sent, time.Since(start))
			return errors.New("nobody listens") // must not stop the watch
		}, zerolog.Nop()}
		ctx, stop := context.WithTimeout(t.Context(), 70*time.Second)
		defer stop()
		n.watch(ctx, time.Minute)
		if len(sent) != 2 || sent[0] != 30*time.Second || sent[1] != time.Minute {
			t.Errorf("sent at %v", sent)
		}
		n.watch(t.Context(), 0) // returns at once
	})
}
