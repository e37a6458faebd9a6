package s3

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"hugbucket/internal/object"
)

// DefaultRegion is the region of a door whose Config names none.
const DefaultRegion = "us-east-1"

// Config of the door. The zero value is a door without keys: anybody may do anything.
type Config struct {
	// Region is what the door says its region is; DefaultRegion when empty.
	Region string
	// StrictRegion refuses signatures and location constraints for other regions.
	StrictRegion bool
	// Keys are the access keys that may sign requests. With none, requests are not authenticated at all.
	Keys []Key
	// Domains turn on virtual-host style addressing: a request whose Host is a name below one of them is about the bucket that
	// the rest of the name is. All other requests name their bucket in the path, those whose Host is a domain itself too.
	Domains []string
	// UploadExpiry is how long a multipart upload may get no part before Expire drops it; 0 is for ever.
	UploadExpiry time.Duration
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Key is an access key and what it may be used for.
type Key struct {
	AccessKey, SecretKey string
	// Owner owns the buckets that this key makes, and may touch no others. Empty is the default owner, which answers call
	// "default".
	Owner string
	// Buckets limits the key to these buckets; nil is all of its owner's.
	Buckets []string
	// Prefix limits the key to object keys that begin with it, and forbids it to make or delete buckets.
	Prefix string
	// Mode is one of:
	//
	//   - "": everything
	//   - "read": list and read
	//   - "write": list, read, write and delete objects, make buckets
	//   - "create": put objects under keys that do not exist yet, in parts too, and ask whether a bucket is there; neither read,
	//     list, overwrite, delete nor make buckets. Of multipart uploads it gets at those that it began itself, which it may
	//     also abort
	Mode string
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	for _, d := range c.Domains {
		if d == "" || strings.ContainsAny(d, ":/ ") || d[0] == '.' || d[len(d)-1] == '.' {
			return fmt.Errorf("domain %q: it must be a host name without a port", d)
		}
	}
	if c.UploadExpiry < 0 {
		return fmt.Errorf("upload expiry %v: it must not be negative", c.UploadExpiry)
	}
	if strings.ContainsAny(c.Region, "/, ") {
		return fmt.Errorf("region %q: it must not hold '/', ',' or spaces", c.Region)
	}
	seen := make(map[string]bool, len(c.Keys))
	for i, k := range c.Keys {
		if err := k.validate(); err != nil {
			return fmt.Errorf("keys[%d]: %w", i, err)
		}
		if seen[k.AccessKey] {
			return fmt.Errorf("keys[%d]: access_key %q is there twice", i, k.AccessKey)
		}
		seen[k.AccessKey] = true
	}
	return nil
}

func (k *Key) validate() error {
	switch {
	case k.AccessKey == "" && k.SecretKey == "":
		return errors.New("access_key and secret_key are empty")
	case k.AccessKey == "":
		return errors.New("secret_key is set but access_key is empty")
	case k.SecretKey == "":
		return errors.New("access_key is set but secret_key is empty")
	}
	for _, c := range []byte(k.AccessKey) {
		if c <= ' ' || c >= 0x7F || c == '/' || c == ',' || c == '=' {
			return fmt.Errorf("access_key %q: it must be printable ASCII without '/', ',', '=' and spaces", k.AccessKey)
		}
	}
	for _, b := range k.Buckets {
		if err := object.ValidBucket(b); err != nil {
			return fmt.Errorf("buckets: %q: %w", b, err)
		}
	}
	if k.Owner == defaultOwner {
		return fmt.Errorf("owner %q: this is what the owner of keys without one is called", k.Owner)
	}
	if len(k.Prefix) > object.MaxKeyLen || !utf8.ValidString(k.Prefix) {
		return fmt.Errorf("prefix %q: it must be at most %d bytes of UTF-8", k.Prefix, object.MaxKeyLen)
	}
	if _, ok := modes[k.Mode]; !ok {
		return fmt.Errorf("mode %q: it must be empty, read, write or create", k.Mode)
	}
	return nil
}
