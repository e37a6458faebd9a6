package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
)

// longestShare is for how long a link may be signed.
const longestShare = config.Duration(7 * 24 * time.Hour)

func shareCommand() command {
	return command{
		name:    "share",
		args:    "BUCKET/KEY",
		summary: "print a link that gives an object to whoever has it",
		details: `
The link is for the S3 door, which must run, and works until it expires or the
access key that signed it is taken out of the configuration. Without --host it
uses the address that the S3 door listens on, or this machine's address in the
LAN when that is all of them.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts", "print the link alone")
			expires := config.Duration(24 * time.Hour)
			flags.Var(&expires, "expires", "`TIME` for which the link works, at most 7d")
			host := flags.String("host", "", "`NAME` of this machine in the link")
			return func(ctx context.Context, e env, args []string) error {
				arg, err := oneArg("share", "BUCKET/KEY", args)
				if err != nil {
					return err
				}
				l := link{expires: time.Duration(expires).Truncate(time.Second)}
				if l.bucket, l.key, err = objectArg("share", arg); err != nil {
					return err
				}
				if expires > longestShare || l.expires < time.Second {
					return &daemon.UsageError{Err: errors.New("share: a link can work for 1s to 7d")}
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, true, func(s *object.Store) error {
						l.endpoint = newGuide(k.cfg, *host).S3.Endpoint
						return explain(k.share(ctx, s, l), l.bucket)
					})
				})
			}
		},
	}
}

// link is what share is to make.
type link struct {
	endpoint    string // URL of the S3 door
	bucket, key string
	expires     time.Duration // whole seconds
}

// shareResult is what scripts get of share.
type shareResult struct {
	URL string `json:"url"`
	// Expires is null when the link never does.
	Expires   *time.Time `json:"expires"`
	AccessKey string     `json:"access_key"` // that signed it; empty when the S3 door is open to everybody
}

func (k *keeper) share(ctx context.Context, s *object.Store, l link) error {
	b, err := s.Bucket(ctx, l.bucket)
	if err != nil {
		return err
	}
	if _, err := s.Stat(ctx, l.bucket, l.key); err != nil {
		return err
	}
	key, err := keyFor(k.cfg.S3, b, l.key)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	r := shareResult{AccessKey: key.AccessKey}
	note := "which works for everybody: the S3 door has no access key"
	if key.AccessKey == "" {
		r.URL = l.url()
	} else {
		until := now.Add(l.expires)
		r.Expires = &until
		note = "which works until " + timeText(until)
		if r.URL, err = l.sign(ctx, key, k.cfg.S3.Region, now); err != nil {
			return err
		}
	}
	switch {
	case *k.json:
		return encodeAll(k.stdout, r)
	case *k.quiet:
		return k.print(r.URL + "\n")
	}
	return k.print(r.URL + "\n" + note + "\n")
}

// keyFor returns the first access key that the S3 door lets read an object; one without a name when the door asks for none.
func keyFor(s3 config.S3, b object.Bucket, key string) (config.S3Key, error) {
	list := s3.Keys
	if s3.SecretKey != "" {
		list = append([]config.S3Key{{AccessKey: s3.AccessKey, SecretKey: s3.SecretKey}}, list...)
	}
	if s3.AccessKey == "" && len(list) == 0 && b.Owner == "" {
		return config.S3Key{}, nil
	}
	for _, k := range list {
		if k.Mode != "create" && k.Owner == b.Owner && strings.HasPrefix(key, k.Prefix) && (k.Buckets == nil || slices.Contains(k.Buckets, b.Name)) {
			return k, nil
		}
	}
	if s3.AccessKey != "" && s3.SecretKey == "" && b.Owner == "" {
		return config.S3Key{}, fmt.Errorf("the link cannot be signed: the secret of %s is in %s, which only the S3 door gets", s3.AccessKey, config.S3SecretPlace())
	}
	return config.S3Key{}, fmt.Errorf("no access key in the configuration may read %s, whose bucket is of the owner %q",
		keyText(b.Name+"/"+key), cmp.Or(b.Owner, "default"))
}

// url is the link without a signature.
func (l link) url() string { return l.endpoint + "/" + l.bucket + "/" + escape(l.key) }

// sign returns the link with a signature in its query.
func (l link) sign(ctx context.Context, key config.S3Key, region string, now time.Time) (string, error) {
	query := url.Values{"X-Amz-Expires": {strconv.FormatInt(int64(l.expires/time.Second), 10)}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url()+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return "", err
	}
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, aws.Credentials{AccessKeyID: key.AccessKey, SecretAccessKey: key.SecretKey}, r,
		"UNSIGNED-PAYLOAD", "s3", region, now, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	return signed, err
}
