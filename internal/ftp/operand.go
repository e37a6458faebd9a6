package ftp

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
)

// operand is the path that a command which lists is about: the name that ftpserverlib made of all that the command said, or, where
// nothing has that name, what stands behind the options of ls in it. They change nothing here. The library takes off some itself.
func (d *driver) operand(ctx context.Context, o *operation, name string) (string, error) {
	bare, ok := withoutOptions(d.cc.Path(), name)
	if !ok {
		return name, nil
	}
	if _, err := d.stat(ctx, o.at, true); !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	at, err := placeOf("/", bare)
	if err != nil {
		return name, err
	}
	o.at = at
	d.cc.SetListPath(bare)
	return bare, nil
}

// withoutOptions takes the options off an absolute path into the current directory; false when there are none. That path was cleaned: where
// nothing is left of the operand but a space it may have been the root, and is left alone.
func withoutOptions(cwd, name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(cwd, "/")+"/")
	if !ok || !isOptions(rest) {
		return name, false
	}
	for isOptions(rest) {
		_, after, more := strings.Cut(rest, " ")
		if more && after == "" {
			return name, false
		}
		rest = after
	}
	if !strings.HasPrefix(rest, "/") {
		rest = cwd + "/" + rest
	}
	return path.Clean(rest), true
}

// isOptions says whether what was said begins with options: those that clients send, lest a name be taken for some.
func isOptions(said string) bool {
	word, _, _ := strings.Cut(said, " ")
	flags, ok := strings.CutPrefix(word, "-")
	return ok && flags != "" && strings.Trim(flags, "1AaCFhLlnRrSsTt") == ""
}
