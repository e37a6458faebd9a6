package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	// maxXMLDepth is deeper than any document of the protocol, and maxXMLAttrs more than any of its elements has.
	maxXMLDepth = 16
	maxXMLAttrs = 8
	// maxXMLFields is how many elements a row may have, each once.
	maxXMLFields = 16
	// maxXMLTokens is for each row that a document may have: for all its elements, and the space between them.
	maxXMLTokens = 32
	// maxXMLText is how much character data may come in one piece, in disguise: more than a key can be.
	maxXMLText = 8 << 10

	// largeXML is how long a body may be without being counted, maxLargeXML how many larger ones are held at a time, and
	// largeOfKey how many of them one key's: the others must find a place.
	largeXML    = 256 << 10
	maxLargeXML = 3
	largeOfKey  = maxLargeXML - 1
)

// document is what a request's body may be.
type document struct {
	root  string
	limit int64  // bytes
	row   string // the element that it has many of
	rows  int    // how many
	flat  bool   // its rows have elements of text, and none within these
}

// readXML reads the body, which may be empty, checks its digests, and decodes it into v when it is not. It says whether
// there was a document.
func (q *request) readXML(doc document, v any) (bool, error) {
	limit := doc.limit
	tooLong := messageTooLong.err("MaxMessageLengthBytes", strconv.FormatInt(limit, 10))
	if q.r.ContentLength > limit {
		return false, tooLong
	}
	p, err := q.openPayload()
	if err != nil {
		return false, err
	}
	p.hashHere()
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(p, min(largeXML, limit)+1))
	if err == nil && n > largeXML {
		give, full := q.takeLarge()
		if full != nil {
			return false, full
		}
		defer give()
		err = p.body.whileOthersWait(func() error {
			_, err := body.ReadFrom(io.LimitReader(p, limit+1-n))
			return err
		})
	}
	switch {
	case err != nil:
		return false, err
	case int64(body.Len()) > limit:
		return false, tooLong
	case body.Len() == 0:
		return false, nil
	}
	if err := decodeXML(body.Bytes(), doc, v); err != nil {
		return false, malformedXML.err().because(err)
	}
	return true, nil
}

// decodeXML decodes one document. It takes no DOCTYPE, no other encoding than UTF-8, nothing deep, and
// nothing after the root.
func decodeXML(data []byte, doc document, v any) error {
	if !utf8.Valid(data) {
		return errors.New("it is not valid UTF-8")
	}
	in := &controlHider{data: data}
	d := xml.NewTokenDecoder(&soberTokens{in: in, d: xml.NewDecoder(in), doc: doc})
	start, err := rootElement(d)
	if err != nil {
		return err
	}
	if start.Name.Local != doc.root {
		return fmt.Errorf("the root is %q, not %q", start.Name.Local, doc.root)
	}
	if err := d.DecodeElement(v, start); err != nil {
		return fmt.Errorf("decode %s: %w", doc.root, err)
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

// soberTokens refuses what a request has no use for, before more is made of it: a document must not take much more memory
// than its bytes.
type soberTokens struct {
	in    *controlHider
	d     *xml.Decoder
	doc   document
	depth int
	n     int      // tokens
	rows  int      // elements that may be rows
	row   int      // depth of the row that this is in; 0 outside
	seen  []string // names of its elements so far
}

var _ xml.TokenReader = (*soberTokens)(nil)

// Token implements xml.TokenReader.
func (s *soberTokens) Token() (xml.Token, error) {
	s.in.token = 0
	if s.n++; s.n > maxXMLTokens*max(s.doc.rows, maxXMLDepth) {
		return nil, errors.New("there are too many tags")
	}
	t, err := s.d.RawToken()
	switch t := t.(type) {
	case xml.Directive:
		return nil, errors.New("a DOCTYPE is not allowed")
	case xml.StartElement:
		if s.depth++; s.depth > maxXMLDepth {
			return nil, errors.New("elements are too deep")
		}
		if len(t.Attr) > maxXMLAttrs {
			return nil, errors.New("an element has too many attributes")
		}
		if t.Name.Local == s.doc.row {
			if s.rows++; s.rows > s.doc.rows {
				return nil, errors.New("there are too many rows")
			}
			if s.row == 0 {
				s.row, s.seen = s.depth, s.seen[:0]
			}
		}
		if s.row > 0 && s.depth == s.row+1 {
			if slices.Contains(s.seen, t.Name.Local) || len(s.seen) == maxXMLFields {
				return nil, fmt.Errorf("one %s has more than one %s, or too many elements", s.doc.row, t.Name.Local) // which of them is meant?
			}
			s.seen = append(s.seen, t.Name.Local)
		}
		if s.row > 0 && s.depth > s.row+1 && s.doc.flat {
			// The decoder would leave it out: of a key that its client forgot to escape, another one would remain.
			return nil, fmt.Errorf("there is a %s within an element of a %s", t.Name.Local, s.doc.row)
		}
	case xml.CharData:
		if len(t) > maxXMLText {
			return nil, errors.New("text is too long")
		}
	case xml.EndElement:
		if s.depth == s.row {
			s.row = 0
		}
		s.depth--
	}
	return t, err
}
