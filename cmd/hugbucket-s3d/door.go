package main

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
	"hugbucket/internal/s3"
)

const name = "hugbucket-s3d"

func program() daemon.Program {
	return daemon.Program{
		Name:    name,
		Summary: "the S3 door of file-bucket",
		Socket:  "s3",
		Address: func(cfg *config.Config) (string, int) { return cfg.S3.Host, cfg.S3.Port },
		Check: func(cfg *config.Config) error {
			if err := s3Config(cfg).Validate(); err != nil {
				return fmt.Errorf("s3: %w", err)
			}
			return nil
		},
		Settings: func(cfg *config.Config) []daemon.Setting {
			s3 := cfg.S3
			s3.Host, s3.Port = "", 0 // the address is compared by itself
			return []daemon.Setting{{Name: "s3", Value: s3}}
		},
		Open: open,
	}
}

func open(cfg *config.Config, store *object.Store, log zerolog.Logger) (*daemon.Door, error) {
	srv, err := s3.New(store, s3Config(cfg), log)
	if err != nil {
		return nil, err
	}
	status := ""
	if srv.Anonymous() {
		log.Warn().Msg("no access key is configured: everybody may read, write and delete everything")
		status = "ANONYMOUS: everybody may read, write and delete everything"
	}
	return &daemon.Door{Handler: srv, Expire: srv.Expire, Status: status}, nil
}

func s3Config(cfg *config.Config) s3.Config {
	out := s3.Config{
		Region: cfg.S3.Region, StrictRegion: cfg.S3.StrictRegion, Domains: cfg.S3.Domain, UploadExpiry: time.Duration(cfg.S3.UploadExpiry),
	}
	if cfg.S3.AccessKey != "" {
		out.Keys = append(out.Keys, s3.Key{AccessKey: cfg.S3.AccessKey, SecretKey: cfg.S3.SecretKey})
	}
	for _, k := range cfg.S3.Keys {
		out.Keys = append(out.Keys, s3.Key{
			AccessKey: k.AccessKey, SecretKey: k.SecretKey, Owner: k.Owner, Buckets: k.Buckets, Prefix: k.Prefix, Mode: k.Mode,
		})
	}
	return out
}
