package s3

import (
	"encoding/base64"

	"hugbucket/internal/object"
)

const (
	// tokenVersion begins a continuation token; another layout takes another number.
	tokenVersion = 1
	// tokenMAC is how many bytes of a token prove that it is ours.
	tokenMAC = 16
	// maxToken is longer than any token: a listing goes on at a key, or right behind one.
	maxToken = 4 * (1 + tokenMAC + object.MaxKeyLen + 16) / 3
)

// sealToken makes the continuation token for a listing that goes on at start. It is made with the caller's secret, so that
// it survives a restart, is good at every door of the same configuration, and not for anybody else.
func (q *request) sealToken(start string) string {
	raw := make([]byte, 0, 1+tokenMAC+len(start))
	raw = append(raw, tokenVersion)
	raw = append(raw, q.tokenMAC(start)...)
	raw = append(raw, start...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// openToken is the way back; false for a token that is not ours, or not for this listing.
func (q *request) openToken(token string) (start string, ok bool) {
	if len(token) > maxToken {
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 1+tokenMAC || raw[0] != tokenVersion {
		return "", false
	}
	start = string(raw[1+tokenMAC:])
	return start, sameSignature(token, q.sealToken(start)) // the decoder also takes other spellings
}

// tokenMAC covers where the listing goes on and which bucket it is of.
func (q *request) tokenMAC(start string) []byte {
	secret := ""
	if q.id.key != nil {
		secret = q.id.key.SecretKey
	}
	return hmacSHA256([]byte("continuation token\x00"+secret), q.bucket+"\x00"+start)[:tokenMAC]
}
