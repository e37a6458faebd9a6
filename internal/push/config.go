package push

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"hugbucket/internal/object"
)

const (
	minToken = 8
	maxToken = 128
	// oldLength is how many characters of any kind an earlier file-bucket took for a token.
	oldLength = 32
	// maxShown is how many characters of a token logs may hold, and not more than a quarter of it.
	maxShown = 6
)

// Config of a Server. The zero value is a door that nobody has a token for.
type Config struct {
	// Home is the directory of the plain files of bare tokens, an absolute path. It may be empty when there are none, and no hooks.
	Home string
	// Buckets are the entries that tokens name.
	Buckets []Bucket
	// Hooks are the scripts that run before and after a push; nil is none. Copies for them are made under Home.
	Hooks Hooks
	// AllowFailedHooks lets a push through when pre-push.sh cannot be run, is killed, or ends with a code that means nothing.
	AllowFailedHooks bool
	// UploadExpiry is after how long without content Expire drops a resumable upload; 0 is never.
	UploadExpiry time.Duration
	// Outlast returns a request's context without the end that its client puts to it; context.WithoutCancel when nil.
	Outlast func(context.Context) context.Context
	// MinFree is how many bytes are kept free on the file system of Home; 0 is 1 % of it, at most 2 GiB.
	MinFree int64
	// Now is the clock of log lines; time.Now when nil.
	Now func() time.Time
}

// Bucket is an entry of the bucket list.
type Bucket struct {
	// Name of the bucket in the object store. Empty makes the entry a bare token: plain files under Home/<token>/.
	Name string
	// Token, Tokens and TokenSHA256 say which tokens are valid: all of them, at least one. A token is 8 to 128 of
	// A-Z, a-z, 0-9, '_' and '-'; TokenSHA256 are the SHA-256 of some in hex. A bare token is a Token and nothing else; with 32
	// characters it may have '+', '=', '~' and, but for the first, '.' as well.
	Token       string
	TokenSHA256 []string
	Tokens      []string
	// MaxSize is the largest file in bytes; 0 is no limit.
	MaxSize int64
	// Quota is how many bytes all files of the bucket may have together, pushed or not; 0 is no limit. Only pushes keep to it.
	Quota int64
	// Overwrite lets a push replace a file.
	Overwrite bool
	// Stamp puts the time of the push before the name of each file, in UTC and to the millisecond, such as
	// 20261122T081500.123Z-dump.sql. Such a file never replaces another.
	Stamp bool
}

// Validate returns an error that names the entry and what is wrong with it, and holds no token.
func (c Config) Validate() error {
	_, err := c.access()
	return err
}

// access checks the configuration and builds what requests look up.
func (c Config) access() (access, error) {
	var out access
	names := make(map[string]bool)
	seen := make(map[[sha256.Size]byte]bool)
	for i, b := range c.Buckets {
		digests, err := b.digests()
		if err == nil {
			err = c.allows(b)
		}
		if err == nil && b.Name != "" && names[b.Name] {
			err = errors.New("the name is listed twice")
		}
		names[b.Name] = true
		for _, d := range digests {
			if err == nil && seen[d] {
				err = errors.New("a token is listed twice")
			}
			seen[d] = true
			out = append(out, grant{digest: d, bucket: b})
		}
		if err != nil {
			return nil, fmt.Errorf("bucket %d (%s): %w", i+1, b.label(), err)
		}
	}
	return out, nil
}

// allows checks what has nothing to do with tokens.
func (c Config) allows(b Bucket) error {
	switch {
	case b.MaxSize < 0:
		return errors.New("max_size is negative")
	case b.Quota < 0:
		return errors.New("quota is negative")
	case c.MinFree < 0:
		return errors.New("min_free is negative")
	case b.Name != "":
		return object.ValidBucket(b.Name)
	case !filepath.IsAbs(c.Home):
		return errors.New("a bucket without a name needs home, an absolute path")
	}
	return nil
}

// digests returns the SHA-256 of each valid token.
func (b Bucket) digests() ([][sha256.Size]byte, error) {
	if b.Name == "" && (b.Token == "" || len(b.TokenSHA256) > 0 || len(b.Tokens) > 0) {
		return nil, errors.New("a bucket without a name has exactly one token, in the clear: it is the directory's name")
	}
	tokens := b.Tokens
	if b.Token != "" {
		tokens = append([]string{b.Token}, tokens...)
	}
	var out [][sha256.Size]byte
	for _, t := range tokens {
		if !validToken(t) && (b.Name != "" || !oldToken(t)) {
			return nil, errors.New("a token is 8 to 128 characters of A-Z, a-z, 0-9, '_' and '-'")
		}
		out = append(out, sha256.Sum256([]byte(t)))
	}
	for _, digest := range b.TokenSHA256 {
		raw, err := hex.DecodeString(digest)
		if err != nil || len(raw) != sha256.Size {
			return nil, errors.New("token_sha256 is not 64 hex digits")
		}
		out = append(out, [sha256.Size]byte(raw))
	}
	if len(out) == 0 {
		return nil, errors.New("it has no token")
	}
	return out, nil
}

// label names the bucket in logs and errors. It never holds a whole token.
func (b Bucket) label() string {
	switch {
	case b.Name != "":
		return b.Name
	case validToken(b.Token), oldToken(b.Token):
		return shown(b.Token) + "…" // as daemon.TokenLabel has it
	default:
		return "?"
	}
}

// overwrites says whether its pushes replace files. What is stamped never does.
func (b Bucket) overwrites() bool { return b.Overwrite && !b.Stamp }

// key tells the bucket from every other of a list, and from itself after a reload.
func (b Bucket) key() string {
	if b.Name != "" {
		return b.Name
	}
	return "/" + b.Token // no name begins so
}

// shown is the beginning of a token: enough to tell which, too little to be of use. fail2ban reads it: it has what is in every token.
func shown(token string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(oldMarks, r) {
			return '?'
		}
		return r
	}, token[:min(len(token)/4, maxShown)])
}

// access is who may push where. It never changes; SetBuckets makes a new one.
type access []grant

type grant struct {
	digest [sha256.Size]byte
	bucket Bucket
}

// find returns the bucket that a token names. equal is subtle.ConstantTimeCompare; it sees every grant, whichever matches
// and whether one does, so that the time tells nothing.
func (a access) find(token string, equal func(x, y []byte) int) (Bucket, bool) {
	given := sha256.Sum256([]byte(token))
	found := -1
	for i := range a {
		found = subtle.ConstantTimeSelect(equal(given[:], a[i].digest[:]), i, found)
	}
	if found < 0 {
		return Bucket{}, false
	}
	return a[found].bucket, true
}

// oldMarks are what a token of an earlier file-bucket may have beside what tokens have: base64 and what no URL escapes.
const oldMarks = "+=.~"

func validToken(s string) bool { return len(s) >= minToken && len(s) <= maxToken && madeOf(s, "_-") }

// oldToken says whether s may be a bare token that an earlier file-bucket made do with. It is a directory's name, too.
func oldToken(s string) bool { return len(s) == oldLength && s[0] != '.' && madeOf(s, "_-"+oldMarks) }

// madeOf says whether a token has nothing but letters, digits and marks.
func madeOf(s, marks string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(marks, c) >= 0:
		default:
			return false
		}
	}
	return true
}
