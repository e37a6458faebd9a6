package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A node is one JSON value and where it stands. Its value is a string, a
// json.Number, a bool, nil, a []*node for a list or a []member for an object.
type node struct {
	key   string // dotted path from the root, which is ""
	line  int
	value any
}

// A member of an object. The line of its node is that of the name.
type member struct {
	name string
	node *node
}

// treeParser turns bytes into nodes. They are known to be one JSON value, so
// the tokens need no checking.
type treeParser struct {
	dec      *json.Decoder
	newlines []int // offsets
}

// parseTree parses a file that must hold one JSON value and nothing after it.
func parseTree(file string, data []byte) (*node, error) {
	p := &treeParser{}
	for i, c := range data {
		if c == '\n' {
			p.newlines = append(p.newlines, i)
		}
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		line := p.lineAt(len(data) - 1)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line = p.lineAt(int(syntax.Offset) - 1)
		}
		return nil, &Error{File: file, Line: line, Rule: err.Error()}
	}
	if !utf8.Valid(data) {
		valid := bytes.ToValidUTF8(data, nil)
		at := 0
		for at < len(valid) && valid[at] == data[at] {
			at++
		}
		return nil, &Error{File: file, Line: p.lineAt(at), Rule: "not UTF-8"}
	}
	p.dec = json.NewDecoder(bytes.NewReader(data))
	p.dec.UseNumber()
	root, err := p.value("")
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	return root, nil
}

// lineAt returns the line, from 1, of the byte at an offset.
func (p *treeParser) lineAt(offset int) int {
	return 1 + sort.SearchInts(p.newlines, offset)
}

// here is the line of the token just read; tokens do not span lines.
func (p *treeParser) here() int { return p.lineAt(int(p.dec.InputOffset()) - 1) }

func (p *treeParser) value(key string) (*node, error) {
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{key: key, line: p.here(), value: tok}
	switch tok {
	case json.Delim('{'):
		n.value, err = p.object(key)
	case json.Delim('['):
		n.value, err = p.list(key)
	}
	return n, err
}

func (p *treeParser) object(key string) ([]member, error) {
	members := []member{}
	for {
		tok, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := tok.(string)
		if !ok {
			return members, nil // the closing brace
		}
		line := p.here()
		n, err := p.value(join(key, name))
		if err != nil {
			return nil, err
		}
		n.line = line
		members = append(members, member{name, n})
	}
}

func (p *treeParser) list(key string) ([]*node, error) {
	elems := []*node{}
	for p.dec.More() {
		n, err := p.value(key + "[" + strconv.Itoa(len(elems)) + "]")
		if err != nil {
			return nil, err
		}
		elems = append(elems, n)
	}
	if _, err := p.dec.Token(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return elems, nil
}

// join appends a name to a key.
func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// parent cuts the last step off a key.
func parent(key string) string {
	if i := strings.LastIndexAny(key, ".["); i >= 0 {
		return key[:i]
	}
	return ""
}

// line returns the line of a key, or of the nearest one around it.
func (c *Config) line(key string) int {
	for ; key != ""; key = parent(key) {
		if line, ok := c.lines[key]; ok {
			return line
		}
	}
	return 1
}
