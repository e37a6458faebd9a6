package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"

	"hugbucket/internal/object"
)

// digestField is the field of a form, before its file, that holds the file's SHA-256.
const digestField = "sha256"

// fileDigest returns the SHA-256 that X-Checksum-Sha256 says the file has, or nil.
func fileDigest(h http.Header) (out []byte, err error) {
	for _, v := range h.Values("X-Checksum-Sha256") {
		sum, err := parseDigest(v)
		if err == nil {
			out, err = agree(out, sum)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bodyDigest returns the SHA-256 that Content-Digest or Repr-Digest (RFC 9530), or Digest (RFC 3230) before them, says the body of
// the request has, or nil. Other algorithms that stand there are not for us.
func bodyDigest(h http.Header) (out []byte, err error) {
	for _, name := range []string{"Content-Digest", "Repr-Digest"} {
		for _, line := range h.Values(name) { // RFC 8941 has the last of all lines count, which would hide that they differ
			sum, err := dictDigest(name, line)
			if err == nil {
				out, err = agree(out, sum)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	for member := range strings.SplitSeq(strings.Join(h.Values("Digest"), ","), ",") {
		algorithm, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		if !strings.EqualFold(algorithm, "sha-256") {
			continue
		}
		sum, err := parseDigest(value)
		if err == nil {
			out, err = agree(out, sum)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// dictDigest returns the SHA-256 in a line of a header of RFC 9530, or nil.
func dictDigest(name, line string) ([]byte, error) {
	dict, err := httpsfv.UnmarshalDictionary([]string{line})
	if err != nil {
		return nil, badDigest(name + " is not a dictionary of RFC 8941")
	}
	member, ok := dict.Get("sha-256")
	if !ok {
		return nil, nil
	}
	item, _ := member.(httpsfv.Item) // or a list
	sum, ok := item.Value.([]byte)
	if !ok || len(sum) != sha256.Size {
		return nil, badDigest("sha-256 in " + name + " is not 32 bytes in base64 between colons")
	}
	return sum, nil
}

// noLateDigest returns an InvalidError when a request announces a digest behind its body, and has the body end with one when a digest
// comes there that was not announced.
func (b *body) noLateDigest(r *http.Request) error {
	b.behind = func() error { return lateDigest(r.Trailer) }
	return b.behind()
}

// lateDigest returns an InvalidError for a digest behind the body: who sends it must not believe that it was checked.
func lateDigest(trailer http.Header) error {
	for _, name := range []string{"X-Checksum-Sha256", "Content-Digest", "Repr-Digest", "Digest"} {
		if _, ok := trailer[name]; ok {
			return badDigest(name + " goes before the content, not into the trailer")
		}
	}
	return nil
}

// parseDigest reads a SHA-256 in hex or in base64, alone or at the beginning of what sha256sum prints.
func parseDigest(s string) ([]byte, error) {
	if fields := strings.Fields(s); len(fields) > 0 {
		s = fields[0]
	}
	sum, err := hex.DecodeString(s)
	if err != nil {
		sum, err = base64.StdEncoding.DecodeString(s)
	}
	if err != nil || len(sum) != sha256.Size {
		return nil, badDigest("a SHA-256 is 64 hex digits, or base64")
	}
	return sum, nil
}

// agree returns what both of two digests say; nil says nothing.
func agree(a, b []byte) ([]byte, error) {
	if a == nil {
		return b, nil
	}
	if b != nil && !bytes.Equal(a, b) {
		return nil, badDigest("two that were sent are not the same")
	}
	return a, nil
}

// checkDigest returns object.ErrDigest unless what came is what was announced, if anything was.
func checkDigest(announced, got []byte) error {
	if announced != nil && !bytes.Equal(announced, got) {
		return fmt.Errorf("%w: SHA-256 %x announced, %x received", object.ErrDigest, announced, got)
	}
	return nil
}

func badDigest(rule string) error { return &object.InvalidError{Field: "digest", Rule: rule} }
