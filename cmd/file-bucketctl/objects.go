package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hugbucket/internal/daemon"
	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// objects opens the store as doors do, beside them, and calls f with it. look is for commands that change nothing. These
// commands are often short, and used in pipes: where there is no terminal they show no progress.
func (k *keeper) objects(ctx context.Context, look bool, f func(*object.Store) error) error {
	if !k.meter.bars {
		k.meter.out = nil
	}
	return k.open(ctx, look, func(d *disk.Driver) error { return f(object.New(d, object.Config{})) })
}

// tell prints a line unless the command is quiet.
func (k *keeper) tell(line string) error {
	if *k.quiet {
		return nil
	}
	return k.print(line + "\n")
}

// objectArg splits BUCKET/KEY.
func objectArg(command, arg string) (bucket, key string, err error) {
	bucket, key, _ = strings.Cut(arg, "/")
	if bucket == "" || key == "" {
		return "", "", &daemon.UsageError{Err: fmt.Errorf("%s: %q is no BUCKET/KEY", command, arg)}
	}
	return bucket, key, nil
}

// newBucketArg returns the one argument of a command, which names a bucket that is to be made.
func newBucketArg(command string, args []string) (string, error) {
	bucket, err := oneArg(command, "BUCKET", args)
	if err != nil {
		return "", err
	}
	if invalid, ok := errors.AsType[*object.InvalidError](object.ValidBucket(bucket)); ok {
		return "", &daemon.UsageError{Err: fmt.Errorf("%s: %q is no bucket name: %s", command, bucket, invalid.Rule)}
	}
	return bucket, nil
}

// lastPart returns what comes behind the last slash of a key, which may be a name in a directory; "" if it may not.
func lastPart(key string) string {
	name := key[strings.LastIndexByte(key, '/')+1:]
	if name == "." || name == ".." || strings.ContainsRune(name, 0) {
		return ""
	}
	return name
}

// explain says what to do about an error of the store where that is not plain.
func explain(err error, bucket string) error {
	switch {
	case errors.Is(err, object.ErrNoBucket):
		return fmt.Errorf("there is no bucket %s", keyText(bucket))
	case errors.Is(err, object.ErrBucketNotEmpty):
		return fmt.Errorf("bucket %s is not empty: rm --recursive %s/ deletes what is in it", bucket, bucket)
	}
	if e, ok := errors.AsType[*object.Error](err); ok && e.Key != "" && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no object %s", keyText(e.Bucket+"/"+e.Key))
	}
	return err
}

// keyText is a name for people: quoted when a terminal would take it amiss, or nobody could tell where it ends.
func keyText(key string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if key == "" || strings.ContainsFunc(key, odd) || strings.HasPrefix(key, `"`) || strings.TrimSpace(key) != key {
		return strconv.Quote(key)
	}
	return key
}

// timeText is a time for people, in the zone of this machine.
func timeText(t time.Time) string { return t.Local().Format(time.DateTime) }

// transfer shows how much of a content has gone by. It ends with its context: nothing that came after that is taken for the
// whole.
type transfer struct {
	//nolint:containedctx // Read and Write cannot take one; it lives for one transfer
	ctx  context.Context
	show disk.Progress
	step disk.Step
}

func (t *transfer) add(n int) {
	t.step.Done += int64(n)
	t.show(t.step)
}

// transferReader is a transfer of what is read.
type transferReader struct {
	*transfer

	r io.Reader
}

// Read implements io.Reader.
func (t transferReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if t.ctx.Err() != nil {
		return 0, t.ctx.Err()
	}
	t.add(n)
	return n, err
}

// transferWriter is a transfer of what is written.
type transferWriter struct {
	*transfer

	w io.Writer
}

// Write implements io.Writer.
func (t transferWriter) Write(p []byte) (int, error) {
	if t.ctx.Err() != nil {
		return 0, t.ctx.Err()
	}
	n, err := t.w.Write(p)
	t.add(n)
	return n, err
}
