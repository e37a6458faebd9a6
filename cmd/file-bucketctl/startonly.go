package main

import (
	"context"

	"hugbucket/internal/config"
)

// old says whether a service that runs lacks something that only a start brings.
func (s systemd) old(ctx context.Context, u unit, cfg *config.Config) (bool, error) {
	return s.shutOut(ctx, u.name, cfg)
}
