package daemon

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// expireEvery is how often uploads are looked at that are to expire.
const expireEvery = time.Hour

// expireUploads lets a door drop abandoned uploads, now and once an hour, until ctx ends.
func expireUploads(ctx context.Context, door *Door, log zerolog.Logger) {
	if door.Expire == nil {
		return
	}
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		n, err := door.Expire(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			log.Error().Err(err).Msg("abandoned uploads could not be dropped")
		}
		if n > 0 { // also when others were damaged
			log.Info().Int("uploads", n).Msg("dropped abandoned uploads")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
