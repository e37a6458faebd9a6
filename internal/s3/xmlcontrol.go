package s3

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Keys may hold control characters, U+FFFE and U+FFFF, which XML 1.0 cannot say and encoding/xml refuses. Clients send them
// all the same, raw or as references, and Amazon takes them. They are carried through the decoder under a disguise: a rune
// of the private use area stands for the character. Where a client uses such a rune itself, another one goes before it, so
// that no two keys look alike.
const (
	disguiseBase = '\uE000' // plus the control character
	literal      = '\uE020' // the next rune is no disguise
	lastChar     = '\uFFFD' // what is one or two above it is disguised as what is as much above literal
)

// maxXMLToken is how many bytes of a document one tag, comment or run of text may take: a key of 1,024 bytes has room for
// each of them as a reference of 16.
const maxXMLToken = 16 << 10

var (
	cdataBegin, cdataEnd     = []byte("<![CDATA["), []byte("]]>")
	commentBegin, commentEnd = []byte("<!--"), []byte("-->")
	procBegin, procEnd       = []byte("<?"), []byte("?>")
)

// controlHider reads a document that is valid UTF-8 and disguises control characters and references to them as they go by.
type controlHider struct {
	data   []byte // what was not read yet
	hidden []byte // what goes before data: the rest of a disguise
	space  [2 * utf8.UTFMax]byte
	end    []byte // ends the CDATA section, comment or instruction that data is in; nil in none
	open   int    // bytes of data that still begin it: "<!-->" does not end
	token  int    // bytes of the document that the current token took
}

var _ interface {
	io.Reader
	io.ByteReader // else the decoder would read ahead, and what a token takes could not be counted
} = (*controlHider)(nil)

// ReadByte implements io.ByteReader.
func (h *controlHider) ReadByte() (byte, error) {
	if len(h.hidden) == 0 {
		if len(h.data) == 0 {
			return 0, io.EOF
		}
		h.track()
		c, n := h.next()
		if h.token += n; h.token > maxXMLToken {
			return 0, errors.New("a tag or text is too long")
		}
		if utf16.IsSurrogate(c) {
			return 0, errors.New("a reference to a surrogate is no character") // the decoder would take U+FFFD for it: another key
		}
		if !needsDisguise(c) {
			b := h.data[0]
			h.data = h.data[1:]
			return b, nil
		}
		h.data = h.data[n:]
		h.hidden = disguised(h.space[:0], c)
	}
	b := h.hidden[0]
	h.hidden = h.hidden[1:]
	return b, nil
}

// Read implements io.Reader. The decoder asks for single bytes.
func (h *controlHider) Read(p []byte) (int, error) {
	for i := range p {
		b, err := h.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = b
	}
	return len(p), nil
}

// track notes where sections begin and end in which "&#1;" is no reference, and in which others do not begin.
func (h *controlHider) track() {
	switch {
	case h.open > 1:
		h.open--
	case h.end != nil:
		if bytes.HasPrefix(h.data, h.end) {
			h.end = nil
		}
	case h.data[0] != '<':
	case bytes.HasPrefix(h.data, cdataBegin):
		h.end, h.open = cdataEnd, len(cdataBegin)
	case bytes.HasPrefix(h.data, commentBegin):
		h.end, h.open = commentEnd, len(commentBegin)
	case bytes.HasPrefix(h.data, procBegin):
		h.end, h.open = procEnd, len(procBegin)
	}
}

// next is the character that data begins with and the bytes that it would take to replace it; where it need not be
// replaced, it is some character that needs no disguise, and one byte.
func (h *controlHider) next() (rune, int) {
	switch b := h.data[0]; {
	case b == '&' && h.end == nil:
		if c, n := charRef(h.data); needsDisguise(c) || utf16.IsSurrogate(c) {
			return c, n
		}
	case b < ' ':
		return rune(b), 1
	case b >= utf8.RuneSelf:
		if c, n := utf8.DecodeRune(h.data); needsDisguise(c) {
			return c, n
		}
	}
	return ' ', 1
}

// charRef reads the reference to a character that data begins with. Without one, and for characters that are far from
// needing a disguise, it returns a space.
func charRef(data []byte) (rune, int) {
	s, base := data[1:min(len(data), maxXMLToken)], rune(10)
	if len(s) == 0 || s[0] != '#' {
		return ' ', 1
	}
	if s = s[1:]; len(s) > 0 && s[0] == 'x' {
		s, base = s[1:], 16
	}
	head := min(len(data), maxXMLToken) - len(s)
	var c rune
	for i, b := range s {
		d := rune(-1)
		switch {
		case '0' <= b && b <= '9':
			d = rune(b - '0')
		case base == 16 && 'a' <= b|0x20 && b|0x20 <= 'f':
			d = rune(b|0x20-'a') + 10
		case b == ';' && i > 0:
			return c, head + i + 1
		}
		if d < 0 {
			break
		}
		if c = c*base + d; c > utf8.MaxRune {
			break
		}
	}
	return ' ', 1
}

func needsDisguise(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || disguiseBase <= c && c <= literal+2 || lastChar < c && c <= lastChar+2
}

// disguised appends what stands for a character that needs it.
func disguised(b []byte, c rune) []byte {
	switch {
	case c < ' ':
		return utf8.AppendRune(b, disguiseBase+c)
	case c > lastChar:
		return utf8.AppendRune(b, literal+c-lastChar)
	}
	return utf8.AppendRune(utf8.AppendRune(b, literal), c)
}

// showControls takes the disguise off.
func showControls(s string) string {
	if !strings.ContainsFunc(s, needsDisguise) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	asIs := false
	for _, c := range s {
		switch {
		case asIs || !needsDisguise(c):
			b.WriteRune(c)
			asIs = false
		case c == literal:
			asIs = true
		case c > literal:
			b.WriteRune(lastChar + c - literal)
		default:
			b.WriteRune(c - disguiseBase)
		}
	}
	return b.String()
}

// xmlKey is an object key in a document of a request.
type xmlKey string

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *xmlKey) UnmarshalText(text []byte) error {
	*k = xmlKey(showControls(string(text)))
	return nil
}
