package s3

import (
	"context"
	"time"
)

// expireEvery is how often uploads are looked at that are to expire.
const expireEvery = time.Hour

// Tend drops multipart uploads that were begun, and got their last part, longer than Config.UploadExpiry ago, now and once an hour,
// until ctx ends. What was completed so long ago is forgotten, too: its completion is not repeated any more. Several doors on one
// store may do it.
func (s *Server) Tend(ctx context.Context) {
	if s.cfg.UploadExpiry == 0 {
		return
	}
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		n, err := s.store.ExpireUploads(ctx, s.cfg.UploadExpiry)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.Error().Err(err).Msg("abandoned uploads could not be dropped")
		}
		if n > 0 { // also when others were damaged
			s.log.Info().Int("uploads", n).Msg("dropped abandoned uploads")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
