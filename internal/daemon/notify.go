package daemon

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// notifier speaks the notify protocol of systemd. Without systemd it says
// nothing.
type notifier struct {
	send func(state string) error
	log  zerolog.Logger
}

func systemdNotify(state string) error {
	_, err := daemon.SdNotify(false, state)
	return err
}

func (n notifier) notify(state string) {
	if err := n.send(state); err != nil {
		n.log.Warn().Err(err).Msg("systemd was not notified")
	}
}

// ready says that the door serves. It ends a start as well as a reload.
func (n notifier) ready(status string) { n.notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// status replaces the status and says nothing else.
func (n notifier) status(text string) { n.notify("STATUS=" + text) }

func (n notifier) reloading() {
	n.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

func (n notifier) stopping() { n.notify(daemon.SdNotifyStopping + "\nSTATUS=draining") }

// watch tells the watchdog at half its interval that the process lives, until
// ctx ends. An interval of 0 is no watchdog.
func (n notifier) watch(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			n.notify(daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}
