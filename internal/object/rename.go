package object

import (
	"context"
	"strings"
)

// RenameOptions say what a Rename renames to what.
type RenameOptions struct {
	FromBucket, From string
	ToBucket, To     string
	// KeepDir has the directory stay that From is in, when nothing is left in it: its marker is made, in the same commit.
	KeepDir bool
}

// Rename makes what one name stands for that of another, in one commit; no content is read. It returns how many keys that
// were. When both From and To end in "/", all keys that begin with From begin with To instead; there must be none yet that
// do. Otherwise neither may end so, and it is one key, which replaces what To names. What is known of the objects stays, their times
// included. A rename to the same name changes nothing. Uploads in parts stay what they are: each becomes an object of the key
// that it was begun for. Errors: InvalidError, also when To lies below From and when a new key would be too long, ErrNoBucket,
// fs.ErrNotExist when there is nothing, ErrTaken, ErrTooMany for more than MaxRename keys, ErrNoSpace.
func (s *Store) Rename(ctx context.Context, opts RenameOptions) (int, error) {
	n, err := s.rename(ctx, opts)
	return n, wrap("rename", opts.FromBucket, opts.From, err)
}

func (s *Store) rename(ctx context.Context, opts RenameOptions) (int, error) {
	if err := validName(opts.FromBucket, opts.From); err != nil {
		return 0, err
	}
	if err := validName(opts.ToBucket, opts.To); err != nil {
		return 0, err
	}
	if opts.Many() != strings.HasSuffix(opts.To, "/") {
		return 0, &InvalidError{"new name", `both names end in "/", or none`}
	}
	if opts.Many() && !opts.Same() && opts.FromBucket == opts.ToBucket && strings.HasPrefix(opts.To, opts.From) {
		return 0, &InvalidError{"new name", "it lies below the old one"}
	}
	var leave *Info
	if opts.KeepDir {
		leave = s.marker(opts.FromBucket, opts.From)
	}
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return 0, err
	}
	n, err := sess.Rename(ctx, opts, leave)
	return n, closeAfter(sess, err)
}

// Many says whether the names are prefixes of keys.
func (o *RenameOptions) Many() bool { return strings.HasSuffix(o.From, "/") }

// Same says whether both names are the same.
func (o *RenameOptions) Same() bool { return o.FromBucket == o.ToBucket && o.From == o.To }

// NewKey returns what becomes of a key that is renamed.
func (o *RenameOptions) NewKey(key string) string { return o.To + key[len(o.From):] }

// Fits returns an InvalidError when a key of so many bytes would become too long.
func (o *RenameOptions) Fits(key int) error {
	if key-len(o.From)+len(o.To) > MaxKeyLen {
		return &InvalidError{"new name", "a key would be longer than 1024 bytes"}
	}
	return nil
}
