package object

import (
	"context"
	"errors"
	"maps"
)

// Amend changes what is said of an object, in one commit: change gets its attributes, with maps that are not nil, to change them.
// Content, ETag, ModTime and the rest stay. When something else changes the object meanwhile, change is called again, with what it
// has then. Errors: InvalidError, ErrNoBucket, fs.ErrNotExist, ErrNoSpace.
func (s *Store) Amend(ctx context.Context, bucket, key string, change func(*Attrs)) (Info, error) {
	if err := validName(bucket, key); err != nil {
		return Info{}, wrap("amend", bucket, key, err)
	}
	for {
		info, err := s.amendOnce(ctx, bucket, key, change)
		if errors.Is(err, ErrPrecondition) {
			continue
		}
		return info, wrap("amend", bucket, key, err)
	}
}

func (s *Store) amendOnce(ctx context.Context, bucket, key string, change func(*Attrs)) (_ Info, err error) {
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = closeAfter(sess, err) }()
	was, err := s.driver.Stat(ctx, bucket, key)
	if err != nil {
		return Info{}, err
	}
	info := was
	if info.Attrs, err = was.Attrs.amended(change); err != nil {
		return Info{}, err
	}
	return info, sess.Commit(ctx, []Change{{Bucket: bucket, Key: key, New: &info, Amends: &was}})
}

// amended returns attributes as change leaves a copy of them.
func (a Attrs) amended(change func(*Attrs)) (Attrs, error) {
	b := Attrs{Headers: make(map[string]string), Meta: make(map[string]string)}
	maps.Copy(b.Headers, a.Headers)
	maps.Copy(b.Meta, a.Meta)
	change(&b)
	return b, validAttrs(b)
}
