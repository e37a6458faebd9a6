package daemon

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// LoadConfig loads a configuration and checks the rules that the object store
// knows. Every error is a ConfigError.
func LoadConfig(path string) (*config.Config, error) { return checked(config.Load(path)) }

// LoadConfigInShell is LoadConfig for programs that people run in shells of their own, as config.LoadInShell is.
func LoadConfigInShell(path string) (*config.Config, error) { return checked(config.LoadInShell(path)) }

// checked checks what the object store knows rules for.
func checked(cfg *config.Config, err error) (*config.Config, error) {
	if err != nil {
		return nil, &ConfigError{err}
	}
	var errs []error
	check := func(key, bucket string) {
		var invalid *object.InvalidError
		if err := object.ValidBucket(bucket); errors.As(err, &invalid) {
			errs = append(errs, cfg.Problem(key, "%q is no bucket name: %s", bucket, invalid.Rule))
		}
	}
	for i, b := range cfg.Buckets {
		if b.Name != "" {
			check(config.Index("buckets", i)+".name", b.Name)
		}
	}
	for i, k := range cfg.S3.Keys {
		for j, b := range k.Buckets {
			check(config.Index(config.Index("s3.keys", i)+".buckets", j), b)
		}
		if len(k.Prefix) > object.MaxKeyLen { // the file is UTF-8
			errs = append(errs, cfg.Problem(config.Index("s3.keys", i)+".prefix", "must be at most %d bytes", object.MaxKeyLen))
		}
	}
	if len(errs) > 0 {
		return nil, &ConfigError{errors.Join(errs...)}
	}
	return cfg, nil
}

// OpenStore opens the store that the configuration names. ctx bounds the
// opening. What the store warns of goes to log.
func OpenStore(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*object.Store, error) {
	d, err := disk.Open(ctx, cfg.Storage.Path, disk.Options{
		MinFree: int64(cfg.Storage.MinFree),
		Warn:    func(text string) { log.Warn().Msg(text) },
	})
	if err != nil {
		return nil, err
	}
	return object.New(d, object.Config{}), nil
}
