package push

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"hugbucket/internal/object"
)

// maxName is the longest file name in bytes: what file systems take. Objects keep to it too, so that a bare token can
// become a named bucket without a client noticing.
const maxName = 255

// lastName is what follows the last separator of a path, be it one of Unix or of Windows. Logs have no more of what a client sent:
// there may be tokens in front.
func lastName(sent string) string {
	name := strings.TrimRight(sent, `/\`)
	return name[strings.LastIndexAny(name, `/\`)+1:]
}

// baseName returns the name under which a file is stored: the last in the path that the client sent. It returns an
// InvalidError for a name that is no good to whoever has to handle the file: hidden (our temporaries begin with a dot),
// looking like an option, or hard to print. Escapes of the client, such as curl's %22 for a quote, are part of the name:
// what they stand for cannot be told from the same characters in a name.
func baseName(sent string) (string, error) {
	name := lastName(sent)
	bad := func(rule string) (string, error) { return "", &object.InvalidError{Field: "file name", Rule: rule} }
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > maxName:
		return bad("it is longer than 255 bytes")
	case !utf8.ValidString(name):
		return bad("it is not valid UTF-8")
	case strings.ContainsFunc(name, isControl):
		return bad("it has a control character, or what Unicode says is no character")
	case name[0] == '.':
		return bad("it begins with a dot")
	case name[0] == '-':
		return bad("it begins with a dash")
	}
	return name, nil
}

// isControl says whether a name must not have a character. XML cannot say most control characters, U+FFFE and U+FFFF, so some clients
// cannot read a listing with one in it; the other noncharacters are not for interchange either.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r)
}
