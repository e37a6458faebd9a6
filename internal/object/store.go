package object

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"time"

	"hugbucket/internal/xet"
)

// Store is the object store that doors use. It is safe for concurrent use.
type Store struct {
	driver Driver
	now    func() time.Time
	intake counters
}

// Config of a Store. The zero value is ready to use.
type Config struct {
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// New returns a store over a driver. Close closes the driver.
func New(d Driver, cfg Config) *Store {
	s := &Store{driver: d, now: cfg.Now}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Close closes the driver. Files must be closed before.
func (s *Store) Close() error { return s.driver.Close() }

// stamp is the time that objects and buckets get: UTC, to the millisecond, as S3 prints it.
func (s *Store) stamp() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// CreateBucket makes a bucket. Errors: InvalidError, ErrBucketExists.
func (s *Store) CreateBucket(ctx context.Context, name, owner string) error {
	err := ValidBucket(name)
	if err == nil {
		err = s.driver.CreateBucket(ctx, Bucket{Name: name, Owner: owner, Created: s.stamp()})
	}
	return wrap("create bucket", name, "", err)
}

// Bucket returns a bucket. Errors: ErrNoBucket.
func (s *Store) Bucket(ctx context.Context, name string) (Bucket, error) {
	if ValidBucket(name) != nil {
		return Bucket{}, wrap("stat bucket", name, "", ErrNoBucket)
	}
	b, err := s.driver.Bucket(ctx, name)
	return b, wrap("stat bucket", name, "", err)
}

// Arrived returns when something last came into a bucket, by whatever door and in whatever way: put, copied, completed from
// parts, or renamed from another bucket; the zero time when nothing ever did. Deleting is no arrival, nor is a part alone, nor what makes
// no more than a name or attributes new: Rename within the bucket, and Amend. It is up to ArrivedWithin early.
// When the clock was wrong, it may be in the future. Errors: ErrNoBucket.
func (s *Store) Arrived(ctx context.Context, bucket string) (time.Time, error) {
	if ValidBucket(bucket) != nil {
		return time.Time{}, wrap("arrivals", bucket, "", ErrNoBucket)
	}
	at, err := s.driver.Arrived(ctx, bucket)
	return at, wrap("arrivals", bucket, "", err)
}

// Buckets returns up to limit buckets in byte order, from the first name >= start on, and whether there are more.
func (s *Store) Buckets(ctx context.Context, start string, limit int) ([]Bucket, bool, error) {
	page, more, err := s.driver.Buckets(ctx, start, min(max(limit, 1), maxPage))
	return page, more, wrap("list buckets", "", "", err)
}

// AllBuckets yields the buckets in byte order, from the first name >= start on, asking for so many at a time. It ends after the
// first error.
func (s *Store) AllBuckets(ctx context.Context, start string, page int) iter.Seq2[Bucket, error] {
	return func(yield func(Bucket, error) bool) {
		for more := true; more; {
			var found []Bucket
			var err error
			if found, more, err = s.Buckets(ctx, start, page); err != nil {
				yield(Bucket{}, err)
				return
			}
			for _, b := range found {
				if !yield(b, nil) {
					return
				}
				start = b.Name + "\x00" // the next name in byte order
			}
		}
	}
}

// DeleteBucket deletes an empty bucket. Errors: ErrNoBucket, ErrBucketNotEmpty.
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	err := ErrNoBucket
	if ValidBucket(name) == nil {
		err = s.driver.DeleteBucket(ctx, name)
	}
	return wrap("delete bucket", name, "", err)
}

// Stat returns what a key names. Errors: ErrNoBucket, fs.ErrNotExist.
func (s *Store) Stat(ctx context.Context, bucket, key string) (Info, error) {
	if err := validName(bucket, key); err != nil {
		return Info{}, wrap("stat", bucket, key, err)
	}
	info, err := s.driver.Stat(ctx, bucket, key)
	return info, wrap("stat", bucket, key, err)
}

// Open opens an object for reading. ctx bounds the File's whole life. Errors: ErrNoBucket, fs.ErrNotExist, ErrCorrupt.
func (s *Store) Open(ctx context.Context, bucket, key string) (*File, error) {
	if err := validName(bucket, key); err != nil {
		return nil, wrap("open", bucket, key, err)
	}
	info, content, err := s.driver.Open(ctx, bucket, key)
	if err != nil {
		return nil, wrap("open", bucket, key, err)
	}
	return &File{ctx: ctx, info: info, content: content}, nil
}

// PutOptions say more about a Put. The zero value stores the bytes under the key, whatever was there.
type PutOptions struct {
	Attrs   Attrs
	If      Condition // evaluated at the commit, and once before the body is read
	ModTime time.Time // zero means now
	// Size is the announced length in bytes, or 0 when it is not known (Sized tells an announced 0). Another length is
	// ErrDigest.
	Size  int64
	Sized bool
	// MD5 and SHA256 are what the content must have, else ErrDigest; nil asks nothing.
	MD5    []byte
	SHA256 []byte
	// WantSHA256 has the SHA-256 computed and kept. It is implied by SHA256.
	WantSHA256 bool
	// Amend is for Append: when it is not nil, the attributes are those that the key has when the body was read to its end, with maps
	// that are not nil, as Amend changes them, and Attrs are not used.
	Amend func(*Attrs)
	// Note is asked for Info.Note when the body was read to its end; nil leaves it empty.
	Note func() string
}

// Put stores what r yields until io.EOF and returns the new object. Any other error of r is returned, wrapped, and nothing
// is stored: a door checks signatures and digests of its own in the reader. Memory is bounded, whatever the size.
// Errors: InvalidError, ErrTooLarge, ErrNoBucket, ErrPrecondition, ErrDigest, ErrNoSpace, r's own.
func (s *Store) Put(ctx context.Context, bucket, key string, r io.Reader, opts PutOptions) (Info, error) {
	err := ValidKey(key)
	if err == nil {
		err = validAttrs(opts.Attrs)
	}
	if err != nil {
		return Info{}, wrap("put", bucket, key, err)
	}
	info, err := s.put(ctx, bucket, key, r, opts)
	return info, wrap("put", bucket, key, err)
}

// CopyOptions name the two ends of a Copy.
type CopyOptions struct {
	FromBucket, FromKey string
	ToBucket, ToKey     string
	FromIf              Condition // of the source
	If                  Condition // of the destination, evaluated at the commit
	Attrs               *Attrs    // instead of the source's; nil keeps them
	ModTime             time.Time // zero means now
}

// Copy makes the destination name the source's content, in one commit, whatever the size; no data is read. Parts and Note are
// those of the source.
// Errors: InvalidError, ErrNoBucket, fs.ErrNotExist, ErrPrecondition.
func (s *Store) Copy(ctx context.Context, opts CopyOptions) (Info, error) {
	info, err := s.copy(ctx, opts)
	return info, wrap("copy", opts.ToBucket, opts.ToKey, err)
}

// Delete deletes a key; a missing key is deleted with success. Errors: ErrNoBucket, ErrPrecondition.
func (s *Store) Delete(ctx context.Context, bucket, key string, cond Condition) error {
	if err := validName(bucket, key); err != nil {
		return wrap("delete", bucket, key, err)
	}
	return wrap("delete", bucket, key, s.commit(ctx, []Change{{Bucket: bucket, Key: key, If: cond}}))
}

// Remove is Delete as a file system has it: a missing key is fs.ErrNotExist, and a directory stays when the last is taken out of it.
// When no key is left below the directory that the key is in, its marker is made, in the same commit. Errors: ErrNoBucket,
// fs.ErrNotExist, ErrPrecondition.
func (s *Store) Remove(ctx context.Context, bucket, key string, cond Condition) error {
	if err := validName(bucket, key); err != nil {
		return wrap("remove", bucket, key, err)
	}
	if cond.IfMatch == nil {
		cond.IfMatch = []string{"*"}
	}
	return wrap("remove", bucket, key, s.commit(ctx, []Change{{Bucket: bucket, Key: key, If: cond, Leave: s.marker(bucket, key)}}))
}

// marker returns that of the directory that a key is in; nil when it is in none.
func (s *Store) marker(bucket, key string) *Info {
	dir, _ := path.Split(strings.TrimSuffix(key, "/"))
	if dir == "" {
		return nil
	}
	none := newDigester(false).sum()
	return &Info{Bucket: bucket, Key: dir, ModTime: s.stamp(), ETag: ETagOf(none.MD5, xet.Hash{}), Digests: none}
}

// DeleteMany deletes keys and returns an error for each, nil where it was deleted or missing. Each is deleted or not on
// its own. The second result is an error that befell all of them, such as ErrNoBucket.
func (s *Store) DeleteMany(ctx context.Context, bucket string, keys []string) ([]error, error) {
	errs, err := s.deleteMany(ctx, bucket, keys)
	return errs, wrap("delete", bucket, "", err)
}

func (s *Store) deleteMany(ctx context.Context, bucket string, keys []string) ([]error, error) {
	if ValidBucket(bucket) != nil {
		return nil, ErrNoBucket
	}
	errs := make([]error, len(keys))
	changes := make([]Change, 0, len(keys))
	for i, key := range keys {
		if errs[i] = ValidKey(key); errs[i] == nil {
			changes = append(changes, Change{Bucket: bucket, Key: key})
		}
	}
	if len(changes) == 0 {
		_, err := s.driver.Bucket(ctx, bucket)
		return errs, err
	}
	return errs, s.commit(ctx, changes)
}

// commit makes changes of names that bring no content.
func (s *Store) commit(ctx context.Context, changes []Change) error {
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return err
	}
	return closeAfter(sess, sess.Commit(ctx, changes))
}

func (s *Store) copy(ctx context.Context, opts CopyOptions) (Info, error) {
	if err := ValidKey(opts.ToKey); err != nil {
		return Info{}, err
	}
	if err := validName(opts.FromBucket, opts.FromKey); err != nil {
		return Info{}, err
	}
	if ValidBucket(opts.ToBucket) != nil {
		return Info{}, ErrNoBucket
	}
	if opts.Attrs != nil {
		if err := validAttrs(*opts.Attrs); err != nil {
			return Info{}, err
		}
	}
	for {
		info, err := s.copyOnce(ctx, opts)
		if errors.Is(err, errCopyRaced) {
			continue // somebody has put something new under the key: that is what is copied now
		}
		return info, err
	}
}

// errCopyRaced says that an object changed between being read and being copied onto itself.
var errCopyRaced = errors.New("the object changed while it was copied onto itself")

func (s *Store) copyOnce(ctx context.Context, opts CopyOptions) (_ Info, err error) {
	// The session begins before the source is read, so that its content cannot be collected before the commit.
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = closeAfter(sess, err) }()
	info, err := s.driver.Stat(ctx, opts.FromBucket, opts.FromKey)
	if err == nil {
		err = opts.FromIf.Check(&info)
	}
	if err != nil {
		return Info{}, wrap("copy from", opts.FromBucket, opts.FromKey, err)
	}
	cond := opts.If
	onto := opts.FromBucket == opts.ToBucket && opts.FromKey == opts.ToKey
	if onto {
		if err := cond.Check(&info); err != nil {
			return Info{}, err
		}
		// An upload that is acknowledged before this commit must not be undone by it.
		cond = Condition{IfMatch: []string{info.ETag}}
	}
	info.Bucket, info.Key, info.ModTime = opts.ToBucket, opts.ToKey, s.modTime(opts.ModTime)
	if opts.Attrs != nil {
		info.Attrs = *opts.Attrs
	}
	err = sess.Commit(ctx, []Change{{Bucket: info.Bucket, Key: info.Key, New: &info, If: cond}})
	if onto && (errors.Is(err, ErrPrecondition) || errors.Is(err, fs.ErrNotExist)) {
		err = errCopyRaced
	}
	return info, err
}

func (s *Store) modTime(t time.Time) time.Time {
	if t.IsZero() {
		return s.stamp()
	}
	return t.UTC().Truncate(time.Millisecond)
}

// OpenFile opens content by its file hash, whatever keys name it. Errors: fs.ErrNotExist, ErrCorrupt.
func (s *Store) OpenFile(ctx context.Context, file xet.Hash) (*File, error) {
	content, err := s.driver.OpenFile(ctx, file)
	if err != nil {
		return nil, wrap("open file "+file.String(), "", "", err)
	}
	return &File{ctx: ctx, info: Info{File: file, Size: content.Size()}, content: content}, nil
}

func validName(bucket, key string) error {
	if ValidBucket(bucket) != nil {
		return ErrNoBucket // no bucket can have such a name
	}
	return ValidKey(key)
}

// closeAfter closes a session and returns err, or the error of closing when there is none.
func closeAfter(c io.Closer, err error) error {
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

func wrap(op, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Bucket: bucket, Key: key, Err: err}
}
