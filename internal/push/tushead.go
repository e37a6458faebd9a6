package push

import (
	"crypto/sha1" //nolint:gosec // tus demands it
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

const (
	// maxMetadata is how many bytes Upload-Metadata may have: it is kept with the upload.
	maxMetadata = 4 << 10
	// checksumNames are the algorithms of Upload-Checksum.
	checksumNames = "sha1,sha256"
)

func badHeader(name, rule string) error { return &object.InvalidError{Field: name, Rule: rule} }

// number returns the value of a header, which must be there. Errors: InvalidError.
func number(h http.Header, name string) (int64, error) {
	n, err := strconv.ParseUint(h.Get(name), 10, 63)
	if err != nil {
		return 0, badHeader(name, "it must be a number of bytes")
	}
	return int64(n), nil
}

// offerOf reads what is offered by the creation of an upload, and its metadata as they were sent. Errors: InvalidError.
func offerOf(h http.Header) (o offer, metadata string, err error) {
	if len(h.Values("Upload-Concat")) > 0 { // or a fragment would be stored under the name of the file
		return o, "", badHeader("Upload-Concat", "a file is one upload here; with tus-js-client, parallelUploads must be 1")
	}
	if h.Get("Upload-Defer-Length") != "" {
		return o, "", badHeader("Upload-Defer-Length", "the length must be known from the beginning; send Upload-Length")
	}
	if o.size, err = number(h, headLength); err != nil {
		return o, "", err
	}
	if o.size > object.MaxSize {
		return o, "", errTooLarge
	}
	o.exact = true
	metadata = h.Get(headMetadata)
	meta, err := parseMetadata(metadata)
	if err != nil {
		return o, "", err
	}
	o.name, o.contentType = either(meta, "filename", "name"), either(meta, "filetype", "type")
	if !goodType(o.contentType) {
		o.contentType = "" // nor is it kept with the upload
	}
	if o.name == "" {
		return o, "", badHeader(headMetadata, "it must have a filename, in base64")
	}
	// This header is about the file, and others are about the body of the request.
	if o.sha256, err = fileDigest(h); err != nil {
		return o, "", err
	}
	if said, ok := meta[digestField]; ok {
		sum, err := parseDigest(said)
		if err == nil {
			o.sha256, err = agree(o.sha256, sum)
		}
		if err != nil {
			return o, "", err
		}
	}
	return o, metadata, nil
}

// either is the value of a key, or, when that is missing or empty, of another: clients differ.
func either(meta map[string]string, key, other string) string {
	if v := meta[key]; v != "" {
		return v
	}
	return meta[other]
}

// parseMetadata reads Upload-Metadata: pairs with commas between them, each a key, a space, and a value in base64, which may be missing with
// the space.
func parseMetadata(s string) (map[string]string, error) {
	out := make(map[string]string)
	if len(s) > maxMetadata {
		return nil, badHeader(headMetadata, "it has more than 4 KiB")
	}
	if s == "" {
		return out, nil
	}
	for pair := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		raw, err := base64.StdEncoding.DecodeString(value)
		switch {
		case err != nil:
			return nil, badHeader(headMetadata, "a value is not base64")
		case key == "":
			return nil, badHeader(headMetadata, "a key is empty")
		case strings.ContainsFunc(key, strangeKey):
			return nil, badHeader(headMetadata, "a key has other characters than A-Z a-z 0-9 . _ -")
		}
		if _, twice := out[key]; twice {
			return nil, badHeader(headMetadata, "a key is there twice")
		}
		out[key] = string(raw)
	}
	return out, nil
}

// strangeKey says whether a key should not have a character: kept as JSON, some would take six times as much as they were sent.
func strangeKey(r rune) bool {
	return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", r)
}

// pieceSumOf reads what sum the body of a request has: Upload-Checksum, an algorithm, a space, and the sum in base64, or else
// Content-Digest. It is nil without one. Errors: InvalidError.
func pieceSumOf(h http.Header) (*pieceSum, error) {
	s := h.Get(headChecksum)
	if s == "" {
		want, err := bodyDigest(h)
		if want == nil {
			return nil, err
		}
		return &pieceSum{hash: sha256.New(), want: want}, nil
	}
	name, value, _ := strings.Cut(s, " ")
	var sum hash.Hash
	switch name {
	case "sha1":
		sum = sha1.New() //nolint:gosec // tus demands it
	case "sha256":
		sum = sha256.New()
	default:
		return nil, badHeader(headChecksum, "the algorithms are "+checksumNames)
	}
	want, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(want) != sum.Size() {
		return nil, badHeader(headChecksum, "it is not a checksum of that kind in base64")
	}
	return &pieceSum{hash: sum, want: want}, nil
}
