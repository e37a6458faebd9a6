package daemon

import (
	"context"
	"os"
	"syscall"
	"time"
)

// sameStop is the time in which a stop signal that comes again is still the
// first: when the process that started us is killed, the kernel may send its
// death signal once for each of its threads.
const sameStop = 200 * time.Millisecond

// control turns signals into what a daemon waits for.
type control struct {
	running context.Context //nolint:containedctx // ends at the first SIGTERM or SIGINT, or with the caller's
	forced  context.Context //nolint:containedctx // ends at the second, with errForced
	reload  <-chan struct{} // one for any number of SIGUSR2 that nobody has looked at

	stop context.CancelFunc
	done chan struct{}
}

func newControl(ctx context.Context, signals <-chan os.Signal) *control {
	running, stop := context.WithCancel(ctx)
	forced, force := context.WithCancelCause(context.WithoutCancel(ctx))
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	reload := make(chan struct{}, 1)
	c := &control{running: running, forced: forced, reload: reload, stop: end, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer stop()
		defer force(nil)
		var first os.Signal
		var at time.Time
		for {
			select {
			case sig := <-signals:
				switch {
				case sig == syscall.SIGUSR2:
					select {
					case reload <- struct{}{}:
					default:
					}
				case running.Err() == nil:
					first, at = sig, time.Now()
					stop()
				case sig == first && time.Since(at) < sameStop:
				default:
					force(errForced)
				}
			case <-ended.Done():
				return
			}
		}
	}()
	return c
}

// end stops listening to signals.
func (c *control) end() {
	c.stop()
	<-c.done
}
