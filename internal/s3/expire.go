package s3

import "context"

// Expire drops multipart uploads that were begun, and got their last part, longer than Config.UploadExpiry ago, and returns how many
// that were, also beside an error. What was completed so long ago is forgotten, too: its completion is not repeated any more. Several
// doors on one store may do it.
func (s *Server) Expire(ctx context.Context) (int, error) {
	if s.cfg.UploadExpiry == 0 {
		return 0, nil
	}
	return s.store.ExpireUploads(ctx, s.cfg.UploadExpiry)
}
