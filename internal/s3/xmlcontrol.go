package s3

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// Keys may hold control characters, which XML 1.0 cannot say and encoding/xml refuses. Clients send them all the same, raw
// or as references, and Amazon takes them. They are carried through the decoder under a disguise: a rune of the private
// use area, then one that stands for the character. The disguise itself, where a client uses it, is doubled.
const (
	disguise     = '\uF8FF'
	disguiseBase = 0xF700 // plus the character
)

// charRef is a reference to a character.
var charRef = regexp.MustCompile(`&#(?:x[0-9a-fA-F]+|[0-9]+);`)

// hideControls disguises control characters and references to them.
func hideControls(data []byte) []byte {
	if !bytes.ContainsFunc(data, needsDisguise) && !bytes.Contains(data, []byte("&#")) {
		return data
	}
	var out bytes.Buffer
	for _, c := range bytes.Runes(data) {
		hide(&out, c)
	}
	if bytes.Contains(data, []byte("<![CDATA[")) {
		return out.Bytes() // what looks like a reference may be none
	}
	return charRef.ReplaceAllFunc(out.Bytes(), func(ref []byte) []byte {
		digits, base := string(ref[2:len(ref)-1]), 10
		if digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		c, err := strconv.ParseUint(digits, base, 16)
		if err != nil || !needsDisguise(rune(c)) {
			return ref
		}
		var b bytes.Buffer
		hide(&b, rune(c))
		return b.Bytes()
	})
}

func hide(out *bytes.Buffer, c rune) {
	switch {
	case c == disguise:
		out.WriteRune(disguise)
		out.WriteRune(disguise)
	case needsDisguise(c):
		out.WriteRune(disguise)
		out.WriteRune(disguiseBase + c)
	default:
		out.WriteRune(c)
	}
}

func needsDisguise(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == disguise
}

// showControls takes the disguise off.
func showControls(s string) string {
	if !strings.ContainsRune(s, disguise) {
		return s
	}
	var b strings.Builder
	hidden := false
	for _, c := range s {
		switch {
		case hidden && c != disguise:
			b.WriteRune(c - disguiseBase)
			hidden = false
		case hidden:
			b.WriteRune(c)
			hidden = false
		case c == disguise:
			hidden = true
		default:
			b.WriteRune(c)
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
