package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxXMLDepth is deeper than any document of the protocol.
const maxXMLDepth = 16

// readXML reads the body, which may be empty, checks its digests, and decodes it into v when it is not. It says whether
// there was a document.
func (q *request) readXML(root string, limit int64, v any) (bool, error) {
	tooLong := messageTooLong.err("MaxMessageLengthBytes", strconv.FormatInt(limit, 10))
	if q.r.ContentLength > limit {
		return false, tooLong
	}
	p, err := q.openPayload()
	if err != nil {
		return false, err
	}
	p.hashHere()
	data, err := io.ReadAll(io.LimitReader(p, limit+1))
	switch {
	case err != nil:
		return false, err
	case int64(len(data)) > limit:
		return false, tooLong
	case len(data) == 0:
		return false, nil
	}
	if err := decodeXML(data, root, v); err != nil {
		return false, malformedXML.err().because(err)
	}
	return true, nil
}

// decodeXML decodes one document with the given root. It takes no DOCTYPE, no other encoding than UTF-8, nothing deep, and
// nothing after the root.
func decodeXML(data []byte, root string, v any) error {
	if !utf8.Valid(data) {
		return errors.New("it is not valid UTF-8")
	}
	d := xml.NewTokenDecoder(&soberTokens{d: xml.NewDecoder(bytes.NewReader(hideControls(data)))})
	start, err := rootElement(d)
	if err != nil {
		return err
	}
	if start.Name.Local != root {
		return fmt.Errorf("the root is %q, not %q", start.Name.Local, root)
	}
	if err := d.DecodeElement(v, start); err != nil {
		return fmt.Errorf("decode %s: %w", root, err)
	}
	for {
		switch t, err := d.Token(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("after the root: %w", err)
		case !isFiller(t):
			return errors.New("there is more after the root")
		}
	}
}

// rootElement reads up to the first element.
func rootElement(d *xml.Decoder) (*xml.StartElement, error) {
	for {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("before the root: %w", err)
		}
		if start, ok := t.(xml.StartElement); ok {
			return &start, nil
		}
		if !isFiller(t) {
			return nil, errors.New("there is text before the root")
		}
	}
}

// isFiller says whether a token may stand outside of the root.
func isFiller(t xml.Token) bool {
	switch t := t.(type) {
	case xml.Comment, xml.ProcInst:
		return true
	case xml.CharData:
		return len(bytes.TrimSpace(t)) == 0
	}
	return false
}

// soberTokens refuses what a request has no use for.
type soberTokens struct {
	d     *xml.Decoder
	depth int
}

var _ xml.TokenReader = (*soberTokens)(nil)

// Token implements xml.TokenReader.
func (s *soberTokens) Token() (xml.Token, error) {
	t, err := s.d.RawToken()
	switch t.(type) {
	case xml.Directive:
		return nil, errors.New("a DOCTYPE is not allowed")
	case xml.StartElement:
		if s.depth++; s.depth > maxXMLDepth {
			return nil, errors.New("elements are too deep")
		}
	case xml.EndElement:
		s.depth--
	}
	return t, err
}
