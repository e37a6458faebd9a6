package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/ftp"
	"hugbucket/internal/object"
)

const name = "hugbucket-ftpd"

func program() daemon.Program {
	return daemon.Program{
		Name:    name,
		Summary: "the FTP door of file-bucket",
		Socket:  "ftp",
		Address: func(cfg *config.Config) (string, int) { return cfg.FTP.Host, cfg.FTP.Port },
		Check: func(cfg *config.Config) error {
			if err := ftpConfig(cfg).Validate(); err != nil {
				return fmt.Errorf("ftp: %w", err)
			}
			return nil
		},
		Settings: func(cfg *config.Config) []daemon.Setting {
			ftp := cfg.FTP
			ftp.Host, ftp.Port = "", 0 // the address is compared by itself
			return []daemon.Setting{{Name: "ftp", Value: ftp}}
		},
		Open: open,
	}
}

func open(cfg *config.Config, store *object.Store, log zerolog.Logger) (*daemon.Door, error) {
	status := ""
	if cfg.FTP.Username == "" {
		log.Warn().Msg("no username is configured: everybody may read, write and delete everything")
		status = "ANONYMOUS: everybody may read, write and delete everything"
	}
	makeBuckets(cfg.Buckets, store, log)
	return &daemon.Door{Status: status, Server: func(m daemon.Means) (daemon.Server, error) {
		c := ftpConfig(cfg)
		c.TLS = m.TLS
		c.Observe = func(e ftp.Event) { m.Observe(event(e)) }
		return ftp.New(c, store, log)
	}}, nil
}

// makeTime is how long the buckets may take. Without them the door opens too.
const makeTime = 10 * time.Second

// makeBuckets makes those of the configuration into which nobody has pushed yet: a scanner is told a directory, and cannot make a bucket.
func makeBuckets(buckets []config.Bucket, store *object.Store, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), makeTime)
	defer cancel()
	for i := range buckets {
		name := buckets[i].Name
		if name == "" {
			continue // a bare token's files are not in the store
		}
		if err := store.CreateBucket(ctx, name, ""); err != nil && !errors.Is(err, object.ErrBucketExists) {
			log.Warn().Str("bucket", name).Err(err).Msg("could not make a bucket of the configuration")
		}
	}
}

func ftpConfig(cfg *config.Config) ftp.Config {
	return ftp.Config{
		Username: cfg.FTP.Username, Password: cfg.FTP.Password, PublicHost: cfg.FTP.PublicHost,
		FirstPort: cfg.FTP.PassivePorts.First, LastPort: cfg.FTP.PassivePorts.Last,
	}
}

// event is what metrics count of an event of the door.
func event(e ftp.Event) daemon.Event {
	outcome := e.Outcome
	switch {
	case e.Outcome == ftp.Aborted:
		outcome = "cut"
	case e.Outcome == ftp.Refused && e.Verb == "PASS":
		outcome = "denied"
	}
	return daemon.Event{
		Method: e.Verb, Outcome: outcome, Received: e.BytesIn, Sent: e.BytesOut, Hidden: e.Hidden, Took: e.Duration,
	}
}
