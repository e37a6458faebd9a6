package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
)

func lsCommand() command {
	return command{
		name:    "ls",
		args:    "[BUCKET[/PREFIX]]",
		summary: "list buckets, or objects",
		details: `
Without an argument it lists buckets, each with the time it was made and its
owner; with one, the objects whose keys begin with PREFIX, each with the time
it came, its size and its key. What keys have in common up to a slash is one
line, as a directory is.

Names that hold what a terminal would take amiss are quoted as in C. The plain
files of bare tokens are no objects: they lie in home/TOKEN.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, one bucket, object or prefix a line", "print nothing of buckets and objects but their names")
			recursive := flags.Bool("recursive", false, "list every object, also behind slashes")
			return func(ctx context.Context, e env, args []string) error {
				arg := ""
				if len(args) > 0 {
					arg, args = args[0], args[1:]
				}
				if err := noArgs(args); err != nil {
					return err
				}
				bucket, prefix, _ := strings.Cut(arg, "/")
				if arg != "" && bucket == "" {
					return &daemon.UsageError{Err: fmt.Errorf("ls: %q is no BUCKET/PREFIX", arg)}
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, true, func(s *object.Store) error {
						if bucket == "" {
							return k.listBuckets(ctx, s)
						}
						opts := object.ListOptions{Prefix: prefix, Delimiter: "/"}
						if *recursive {
							opts.Delimiter = ""
						}
						return explain(k.list(ctx, s, bucket, opts), bucket)
					})
				})
			}
		},
	}
}

// bucketLine is what scripts get of a bucket.
type bucketLine struct {
	Name    string    `json:"bucket"`
	Owner   string    `json:"owner"` // empty for the default one
	Created time.Time `json:"created"`
}

// objectLine is what scripts get of an object, or of what the keys of several begin with.
type objectLine struct {
	Bucket   string     `json:"bucket"`
	Key      string     `json:"key,omitempty"`
	Prefix   string     `json:"prefix,omitempty"`
	Size     *int64     `json:"size,omitempty"` // bytes
	Modified *time.Time `json:"modified,omitempty"`
	ETag     string     `json:"etag,omitempty"`
	XetHash  string     `json:"xet_hash,omitempty"`
}

func newObjectLine(i object.Info) objectLine {
	return objectLine{Bucket: i.Bucket, Key: i.Key, Size: &i.Size, Modified: &i.ModTime, ETag: i.ETag, XetHash: i.File.String()}
}

// bucketPage is how many buckets the store is asked for at a time.
const bucketPage = 1000

func (k *keeper) listBuckets(ctx context.Context, s *object.Store) error {
	for b, err := range s.AllBuckets(ctx, "", bucketPage) {
		switch {
		case err != nil:
		case *k.json:
			err = k.encode(bucketLine(b))
		case *k.quiet:
			err = k.print(b.Name + "\n")
		default:
			err = k.print(strings.TrimRight(fmt.Sprintf("%s  %-30s  %s", timeText(b.Created), b.Name, keyTextOf(b.Owner)), " ") + "\n")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyTextOf is keyText of a name that may be missing.
func keyTextOf(name string) string {
	if name == "" {
		return ""
	}
	return keyText(name)
}

// list lists a bucket. That nothing is behind a prefix is an error: somebody has mistyped it, more often than not.
func (k *keeper) list(ctx context.Context, s *object.Store, bucket string, opts object.ListOptions) error {
	found := false
	for more := true; more; {
		l, err := s.List(ctx, bucket, opts)
		if err != nil {
			return err
		}
		found = found || len(l.Objects)+len(l.Prefixes) > 0
		if err := k.listPage(bucket, l); err != nil {
			return err
		}
		opts.Start, more = l.Next, l.Truncated
	}
	if !found && opts.Prefix != "" {
		return errors.New("no key in bucket " + bucket + " begins with " + keyText(opts.Prefix))
	}
	return nil
}

// listPage prints objects and prefixes in one order, that of their names.
func (k *keeper) listPage(bucket string, l object.Listing) error {
	for len(l.Objects)+len(l.Prefixes) > 0 {
		var line objectLine
		var text, name string
		if len(l.Objects) == 0 || len(l.Prefixes) > 0 && l.Prefixes[0] < l.Objects[0].Key {
			name, l.Prefixes = l.Prefixes[0], l.Prefixes[1:]
			line = objectLine{Bucket: bucket, Prefix: name}
			text = fmt.Sprintf("%19s  %9s  ", "", "")
		} else {
			info := l.Objects[0]
			name, l.Objects = info.Key, l.Objects[1:]
			line = newObjectLine(info)
			text = fmt.Sprintf("%s  %9s  ", timeText(info.ModTime), bytesText(info.Size))
		}
		if *k.quiet {
			text = ""
		}
		var err error
		if *k.json {
			err = k.encode(line)
		} else {
			err = k.print(text + keyText(name) + "\n")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
