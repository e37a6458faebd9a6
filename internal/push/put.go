package push

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// isPut says whether a request has its file as the body.
func isPut(r *http.Request) bool { return r.Method == http.MethodPut && boundaryOf(r) == "" }

// openPut reads what a PUT to /<token>/<name> says of its file; the file is all of the body, of which nothing is read yet.
// Errors: errNoFile, errNoName, errNoLength, InvalidError.
func openPut(r *http.Request, b *body) (offer, io.Reader, error) {
	typ, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be parsed is kept by nobody
	if typ == "multipart/form-data" {
		return offer{}, nil, errNoFile // a form that nobody can read, not a file
	}
	name, err := putName(r.URL)
	if err != nil {
		return offer{}, nil, err
	}
	size, err := sizeOf(r)
	if err != nil {
		return offer{}, nil, err
	}
	if strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ",")), "aws-chunked") {
		// What clients of S3 send has the sizes and signatures of its chunks in it. Any other encoding is part of the file.
		return offer{}, nil, &object.InvalidError{Field: "Content-Encoding", Rule: "aws-chunked is for the S3 door"}
	}
	if r.ContentLength == 0 && r.Header.Get("Content-Length") == "" {
		return offer{}, nil, errNoLength // no file, which is not the same as an empty one
	}
	if err := b.noLateDigest(r); err != nil {
		return offer{}, nil, err
	}
	sum, err := putDigest(r.Header)
	if err != nil {
		return offer{}, nil, err
	}
	o := offer{name: name, sha256: sum, size: size, exact: size >= 0}
	if typ != "application/x-www-form-urlencoded" { // what curl --data-binary says of everything
		o.contentType = r.Header.Get("Content-Type")
	}
	return o, b, nil
}

// putDigest returns the SHA-256 that the file is said to have, or nil. The file is the body, so that all headers are about the same.
func putDigest(h http.Header) ([]byte, error) {
	file, err := fileDigest(h)
	if err != nil {
		return nil, err
	}
	whole, err := bodyDigest(h)
	if err != nil {
		return nil, err
	}
	return agree(file, whole)
}

// sizeOf is how many bytes a PUT says that its file has, or -1. It returns an InvalidError for a part of a file: stored, that would
// look like the file. curl -C - -T sends a file's end with its range, and so all of a file where it finds none to go on with,
// as "bytes 0-6/7", "bytes 0--1/0" when it is empty, or "bytes 0--2/-1" from a pipe.
func sizeOf(r *http.Request) (int64, error) {
	ranges := r.Header.Values("Content-Range")
	if len(ranges) == 0 {
		return r.ContentLength, nil
	}
	all := strings.Join(ranges, ", ")
	_, total, _ := strings.Cut(all, "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if err != nil || n < -1 || all != fmt.Sprintf("bytes 0-%d/%d", n-1, n) || r.ContentLength >= 0 && r.ContentLength != n {
		return 0, &object.InvalidError{Field: "Content-Range", Rule: "only whole files are stored"}
	}
	return n, nil
}

// putName returns the one segment of a path that follows the token, unescaped, or an error, with what there is instead. A separator in it would be cut off with all before
// it: whoever puts a\x and b\x means two files.
func putName(u *url.URL) (string, error) {
	_, rest, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if rest == "" {
		return "", errNoName
	}
	name, err := url.PathUnescape(rest)
	if err != nil || strings.ContainsAny(name, `/\`) {
		return name, &object.InvalidError{Field: "file name", Rule: "it is one segment of the path, after the token, without a slash or backslash"}
	}
	return name, nil
}
