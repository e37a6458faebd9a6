package s3

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	// maxChunkLine is the longest line that aws-chunked framing may have: sizes, signatures and checksums are shorter.
	maxChunkLine = 256
	// minChunk is the least that a chunk may hold, unless it is the last.
	minChunk = 8192

	chunkSignature   = ";chunk-signature="
	trailerSignature = "x-amz-trailer-signature"
)

// streamMode is a kind of aws-chunked framing.
type streamMode struct{ signed, trailer bool }

// streamModes are the values of x-amz-content-sha256 that announce framing.
var streamModes = map[string]streamMode{
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD":         {signed: true},
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": {signed: true, trailer: true},
	"STREAMING-UNSIGNED-PAYLOAD-TRAILER":         {trailer: true},
}

// chunkReader takes aws-chunked framing off a body:
//
//	hex-size [";chunk-signature=" 64hex] CRLF data CRLF … "0" […] CRLF [trailers] CRLF
//
// It passes data on as it comes, before its signature is proved. That is safe because whoever stores it does so at io.EOF,
// which comes only after the last chunk and the trailer were in order.
type chunkReader struct {
	r    *bufio.Reader
	mode streamMode
	seal seal      // its signature is that of the chunk before
	sum  *checksum // comes in the trailer; nil when none was named
	left int64     // bytes of content that have not been announced by a chunk yet

	chunk  int64 // bytes of the current chunk that were not read yet
	small  bool  // the current chunk is too small to be followed by another
	begun  bool  // there is a current chunk
	sig    string
	digest hash.Hash // of the current chunk; nil when chunks are not signed
	err    error     // the end, once it is known
}

var _ io.Reader = (*chunkReader)(nil)

func newChunkReader(r io.Reader, mode streamMode, size int64, s seal) *chunkReader {
	c := &chunkReader{r: bufio.NewReader(r), mode: mode, seal: s, left: size}
	if mode.signed && s.key != nil {
		c.digest = sha256.New()
	}
	return c
}

// decodedLength is the length of the content inside the framing.
func decodedLength(h http.Header) (int64, error) {
	v := h.Get("X-Amz-Decoded-Content-Length")
	if v == "" {
		return 0, missingLength.err()
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, badArgument("x-amz-decoded-content-length", v, "The length is not a number.")
	}
	return int64(n), nil
}

// expectTrailer tells which checksum the trailer has to bring, if any.
func (c *chunkReader) expectTrailer(h http.Header, sum *checksum) error {
	named := h["X-Amz-Trailer"] != nil
	if named && !c.mode.trailer {
		return invalidRequest.says("The x-amz-trailer header goes with a payload that has a trailer.").err()
	}
	if named {
		c.sum = sum
	}
	return nil
}

// Read implements io.Reader.
func (c *chunkReader) Read(p []byte) (int, error) {
	for c.err == nil {
		if c.chunk == 0 {
			c.err = c.next()
			continue
		}
		n, err := c.r.Read(p[:min(int64(len(p)), c.chunk)])
		c.chunk -= int64(n)
		if c.digest != nil {
			c.digest.Write(p[:n])
		}
		if err != nil {
			c.err = cutOff(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, c.err
}

// next ends the current chunk and begins the next one, or ends the body.
func (c *chunkReader) next() error {
	if c.begun {
		if err := c.crlf(); err != nil {
			return err
		}
		if err := c.checkChunk(); err != nil {
			return err
		}
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	size, err := c.parseSize(line)
	if err != nil {
		return err
	}
	if size == 0 {
		return c.end()
	}
	if c.begun && c.small {
		return invalidChunkSize.err()
	}
	if size > c.left {
		return incompleteBody.err()
	}
	c.begun, c.small, c.chunk = true, size < minChunk, size
	c.left -= size
	return nil
}

// parseSize reads the line that begins a chunk. Its signature is kept for the chunk's end.
func (c *chunkReader) parseSize(line []byte) (int64, error) {
	digits := line
	if c.mode.signed {
		i := bytes.Index(line, []byte(chunkSignature))
		if i < 0 || len(line)-i-len(chunkSignature) != signatureLen {
			return 0, incompleteBody.says("The chunk has no signature.").err()
		}
		digits, c.sig = line[:i], string(line[i+len(chunkSignature):])
	}
	if len(digits) == 0 || len(digits) > 16 {
		return 0, incompleteBody.err()
	}
	for _, d := range digits {
		if (d < '0' || d > '9') && (d < 'a' || d > 'f') && (d < 'A' || d > 'F') {
			return 0, incompleteBody.err()
		}
	}
	n, err := strconv.ParseUint(string(digits), 16, 63)
	if err != nil {
		return 0, incompleteBody.err()
	}
	return int64(n), nil
}

// checkChunk proves the signature of the chunk that was read, which goes into that of the next.
func (c *chunkReader) checkChunk() error {
	if c.digest == nil {
		return nil
	}
	sum := hex.EncodeToString(c.digest.Sum(nil))
	c.digest.Reset()
	return c.checkSignature(c.sig, algorithm+"-PAYLOAD\n", emptySHA256+"\n"+sum)
}

func (c *chunkReader) checkSignature(sig, kind, what string) error {
	toSign := kind + c.seal.date + "\n" + c.seal.scope + "\n" + c.seal.signature + "\n" + what
	want := hexHMAC(c.seal.key, toSign)
	if !sameSignature(sig, want) {
		return signatureDoesNotMatch.err("StringToSign", toSign, "SignatureProvided", sig)
	}
	c.seal.signature = want
	return nil
}

// end reads what follows the last chunk: its own signature, the trailer, and nothing more.
func (c *chunkReader) end() error {
	if c.left != 0 {
		return incompleteBody.err()
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	last := c.crlf
	if c.mode.trailer {
		last = c.trailer
	}
	if err := last(); err != nil {
		return err
	}
	switch _, err := c.r.ReadByte(); {
	case err == nil:
		return incompleteBody.says("There is data after the last chunk.").err()
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

// trailer reads the checksum, the signature over it, and the empty line after them.
func (c *chunkReader) trailer() error {
	lines := ""
	if c.sum != nil {
		name, value, err := c.trailerLine()
		if err != nil {
			return err
		}
		if name != checksumPrefix+c.sum.name {
			return malformedTrailer.err()
		}
		if err := c.sum.set(value); err != nil {
			return err
		}
		lines = name + ":" + value + "\n"
	}
	if c.mode.signed {
		name, value, err := c.trailerLine()
		if err != nil {
			return err
		}
		if name != trailerSignature {
			return malformedTrailer.err()
		}
		if err := c.checkTrailer(lines, value); err != nil {
			return err
		}
	}
	switch line, err := c.line(); {
	case err != nil:
		return err
	case len(line) > 0:
		return malformedTrailer.err()
	}
	return nil
}

func (c *chunkReader) trailerLine() (name, value string, err error) {
	line, err := c.line()
	if err != nil {
		return "", "", err
	}
	// Some clients end the checksum's line with LF CRLF.
	name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
	if !ok {
		return "", "", malformedTrailer.err()
	}
	return strings.ToLower(name), strings.TrimSpace(value), nil
}

func (c *chunkReader) checkTrailer(lines, sig string) error {
	if c.digest == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(lines))
	return c.checkSignature(sig, algorithm+"-TRAILER\n", hex.EncodeToString(sum[:]))
}

// crlf reads the end of a line.
func (c *chunkReader) crlf() error {
	var b [2]byte
	if _, err := io.ReadFull(c.r, b[:]); err != nil {
		return cutOff(err)
	}
	if b != [2]byte{'\r', '\n'} {
		return incompleteBody.err()
	}
	return nil
}

// line reads a line and takes off its CRLF. It is valid until the next read.
func (c *chunkReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := c.r.ReadSlice('\n')
		if len(line)+len(part) > maxChunkLine || errors.Is(err, bufio.ErrBufferFull) {
			return nil, incompleteBody.err()
		}
		if err != nil {
			return nil, cutOff(err)
		}
		if line == nil && bytes.HasSuffix(part, []byte("\r\n")) {
			return part[:len(part)-2], nil
		}
		line = append(line, part...)
		if bytes.HasSuffix(line, []byte("\r\n")) {
			return line[:len(line)-2], nil
		}
	}
}

// cutOff is the error for framing that ends too early.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return incompleteBody.err()
	}
	return err
}
