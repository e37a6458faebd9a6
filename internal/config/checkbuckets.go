package config

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

var (
	pushToken = regexp.MustCompile(`^[A-Za-z0-9_-]{8,128}$`)
	oldToken  = regexp.MustCompile(`^[A-Za-z0-9_+=~-][A-Za-z0-9_+=.~-]{31}$`) // of an earlier file-bucket: base64, mostly
	hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// buckets checks the push buckets. A token is never part of an error.
func (c *checker) buckets() {
	names := make(map[string]string) // name to the key that has it
	tokens := make(map[string]string)
	for i := range c.cfg.Buckets {
		b, key := &c.cfg.Buckets[i], Index("buckets", i)
		if c.has(key+".name") && b.Name == "" {
			c.fail(key+".name", "must not be empty")
		}
		if first, ok := names[b.Name]; ok && b.Name != "" {
			c.fail(key+".name", "%q is also %s", b.Name, first)
		}
		names[b.Name] = key + ".name"
		c.aging(b, key)
		for _, t := range c.bucketTokens(b, key) {
			if first, ok := tokens[t.digest]; ok {
				c.fail(t.key, "is the same token as %s", first)
				continue
			}
			tokens[t.digest] = t.key
		}
	}
}

// keyedToken is a token by its SHA-256 and the key that has it.
type keyedToken struct{ key, digest string }

// bucketTokens checks a bucket's tokens and returns them.
func (c *checker) bucketTokens(b *Bucket, key string) []keyedToken {
	var given []string
	for _, name := range []string{"token", "token_file", "tokens"} {
		if c.has(key + "." + name) {
			given = append(given, name)
		}
	}
	switch {
	case b.bare:
		return c.tokenDigest(key, b.Token, oldToken)
	case !c.has(key + ".name"):
		c.fail(key, "has no name; a token without a name is written as a string")
		return nil
	case len(given) > 1:
		c.fail(key, "must have only one of token, token_file and tokens")
		return nil
	case len(given) == 0 && !c.has(key+".token_sha256"):
		c.fail(key, "has no token: it takes token, token_file or tokens, and token_sha256")
		return nil
	}
	list := c.digests(b, key+".token_sha256")
	if len(given) == 0 {
		return list
	}
	key += "." + given[0]
	if given[0] != "tokens" {
		return append(list, c.tokenDigest(key, b.Token, nil)...)
	}
	if len(b.Tokens) == 0 {
		c.fail(key, "must not be empty")
	}
	for i, t := range b.Tokens {
		list = append(list, c.tokenDigest(Index(key, i), t, nil)...)
	}
	return list
}

// digests checks the tokens that a bucket has as digests, makes them lower case, and returns them.
func (c *checker) digests(b *Bucket, key string) (list []keyedToken) {
	if c.has(key) && len(b.TokenSHA256) == 0 {
		c.fail(key, "must not be empty")
	}
	single := !c.has(Index(key, 0))
	for i, digest := range b.TokenSHA256 {
		at := Index(key, i)
		if single {
			at = key
		}
		b.TokenSHA256[i] = strings.ToLower(digest)
		if !hexDigest.MatchString(b.TokenSHA256[i]) {
			c.fail(at, "must be the 64 hex digits of a SHA-256")
			continue
		}
		list = append(list, keyedToken{at, b.TokenSHA256[i]})
	}
	return list
}

// tokenDigest checks a token, which may also be as another rule has it, if there is one.
func (c *checker) tokenDigest(key, token string, other *regexp.Regexp) []keyedToken {
	if !pushToken.MatchString(token) && (other == nil || !other.MatchString(token)) {
		c.fail(key, "must be 8 to 128 of A-Z, a-z, 0-9, \"_\" and \"-\"")
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	return []keyedToken{{key, hex.EncodeToString(sum[:])}}
}
