package s3

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the protocol has it
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"net/http"
	"strings"

	"github.com/minio/crc64nvme"
)

// checksumPrefix begins the names of headers and trailers that carry checksums.
const checksumPrefix = "x-amz-checksum-"

// castagnoli is the table of CRC32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is an x-amz-checksum-… that a client announced.
type checksum struct {
	name string // of the algorithm, lower case
	hash hash.Hash
	want []byte // nil until the trailer came
}

// newChecksum returns nil for an algorithm that is not known.
func newChecksum(name string) *checksum {
	c := &checksum{name: name}
	switch name {
	case "crc32":
		c.hash = crc32.NewIEEE()
	case "crc32c":
		c.hash = crc32.New(castagnoli)
	case "crc64nvme":
		c.hash = crc64nvme.New()
	case "sha1":
		c.hash = sha1.New() //nolint:gosec // the protocol has it
	case "sha256":
		c.hash = sha256.New()
	default:
		return nil
	}
	return c
}

// set takes the announced value. What cannot be a checksum matches nothing: so say other servers, where Amazon says
// InvalidRequest.
func (c *checksum) set(value string) error {
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(b) != c.hash.Size() {
		return badDigest.says("Value for %s%s header is invalid.", checksumPrefix, c.name).err()
	}
	c.want = b
	return nil
}

func (c *checksum) verify(got []byte) error {
	if !bytes.Equal(got, c.want) {
		return badDigest.says("The %s you specified did not match the calculated checksum.", strings.ToUpper(c.name)).err()
	}
	return nil
}

// keep takes the value that was computed for the one that is wanted: nobody announced one.
func (c *checksum) keep(got []byte) error {
	c.want = got
	return nil
}

// announcedChecksum finds the one checksum that a request announces as a header, or names as its trailer.
func announcedChecksum(h http.Header) (*checksum, error) {
	var c *checksum
	for key, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(key), checksumPrefix)
		if !ok || name == "mode" || name == "type" || name == "algorithm" {
			continue
		}
		if c != nil || len(values) != 1 {
			return nil, invalidRequest.says("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.").err()
		}
		if c = newChecksum(name); c == nil {
			return nil, notImplemented.err("Header", checksumPrefix+name)
		}
		if err := c.set(values[0]); err != nil {
			return nil, err
		}
	}
	if trailer := h["X-Amz-Trailer"]; trailer != nil {
		name, ok := strings.CutPrefix(strings.ToLower(strings.Join(trailer, ",")), checksumPrefix)
		if !ok {
			return nil, invalidRequest.says("The value specified in the x-amz-trailer header is not supported").err()
		}
		if c != nil {
			return nil, invalidRequest.says("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.").err()
		}
		if c = newChecksum(name); c == nil {
			return nil, notImplemented.err("Header", "x-amz-trailer")
		}
	}
	if alg := h.Get("X-Amz-Sdk-Checksum-Algorithm"); alg != "" {
		if c == nil {
			return nil, invalidRequest.says("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.").err()
		}
		if !strings.EqualFold(alg, c.name) {
			return nil, invalidRequest.says("Value for x-amz-sdk-checksum-algorithm header is invalid.").err()
		}
	}
	return c, nil
}

// emptyChecksum says whether a header is the checksum of no bytes at all.
func emptyChecksum(header, value string) bool {
	name, ok := strings.CutPrefix(strings.ToLower(header), checksumPrefix)
	if !ok {
		return false
	}
	c := newChecksum(name)
	return c != nil && value == base64.StdEncoding.EncodeToString(c.hash.Sum(nil))
}
