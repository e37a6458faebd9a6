package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"

	"hugbucket/internal/object"
)

func rbCommand() command {
	return command{
		name:    "rb",
		args:    "BUCKET",
		summary: "delete a bucket that is empty",
		details: `
The next push with a token for the bucket makes it again: revoke the token
first. A bucket with multipart uploads under way is deleted with --force only,
and they with it.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			o := newStoreFlags(flags, "print JSON, for scripts", "print nothing unless something is wrong")
			force := flags.Bool("force", false, "also drop multipart uploads that are under way")
			return func(ctx context.Context, e env, args []string) error {
				bucket, err := oneArg("rb", "BUCKET", args)
				if err != nil {
					return err
				}
				return keep(ctx, e, o, func(ctx context.Context, k *keeper) error {
					return k.objects(ctx, false, func(s *object.Store) error {
						return explain(k.deleteBucket(ctx, s, bucket, *force), bucket)
					})
				})
			}
		},
	}
}

// deletedBucket is what scripts get of a bucket that was deleted.
type deletedBucket struct {
	bucketLine

	Uploads int64 `json:"uploads"` // that were dropped
}

func (k *keeper) deleteBucket(ctx context.Context, s *object.Store, bucket string, force bool) error {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return err
	}
	uploads, err := countUploads(ctx, s, bucket)
	if err != nil {
		return err
	}
	if uploads > 0 && !force {
		return fmt.Errorf("%s under way in bucket %s: rb --force %s drops what has come of them", things(uploads, "multipart upload"), bucket, bucket)
	}
	if err := s.DeleteBucket(ctx, bucket); err != nil {
		return err
	}
	text := "deleted bucket " + bucket
	if uploads > 0 {
		text += ", and " + things(uploads, "multipart upload") + " under way"
	}
	if *k.json {
		return encodeAll(k.stdout, deletedBucket{bucketLine(b), uploads})
	}
	return k.tell(text)
}

// countUploads counts the uploads of a bucket that are not done. What the FTP door has noted is none.
func countUploads(ctx context.Context, s *object.Store, bucket string) (n int64, err error) {
	for page := (object.UploadPage{Limit: 1000}); ; {
		list, more, err := s.ListUploads(ctx, bucket, page)
		for _, u := range list {
			if !ftpRecord(u) {
				n++
			}
		}
		if err != nil || !more {
			return n, err
		}
		last := list[len(list)-1]
		page.AfterKey, page.AfterID = last.Key, last.ID
	}
}

// ftpRecord says whether an upload is a note of the FTP door about a file that was not overwritten to the end: no content comes to it, and
// with the file it means nothing.
func ftpRecord(u object.Upload) bool {
	var note struct {
		FTP int `json:"ftp"`
	}
	return json.Unmarshal([]byte(u.Note), &note) == nil && note.FTP > 0
}
