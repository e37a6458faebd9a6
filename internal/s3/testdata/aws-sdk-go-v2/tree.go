package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func (p program) makeBucket(ctx context.Context, args []string) error {
	_, err := p.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &args[0]})
	return err
}

// up makes the bucket args[1] like the directory args[0].
func (p program) up(ctx context.Context, args []string) error {
	here, err := files(args[0])
	if err != nil {
		return err
	}
	there, err := p.objects(ctx, &s3.ListObjectsV2Input{Bucket: &args[1]})
	if err != nil {
		return err
	}
	for key, size := range here {
		at, ok := there[key]
		delete(there, key)
		if ok && at == size {
			continue
		}
		if err := p.upload(ctx, filepath.Join(args[0], key), args[1], key); err != nil {
			return err
		}
	}
	for key := range there {
		if err := p.remove(ctx, []string{args[1], key}); err != nil {
			return err
		}
	}
	return nil
}

// down makes the directory args[1] like the bucket args[0].
func (p program) down(ctx context.Context, args []string) error {
	here, err := files(args[1])
	if err != nil {
		return err
	}
	there, err := p.objects(ctx, &s3.ListObjectsV2Input{Bucket: &args[0]})
	if err != nil {
		return err
	}
	for key, size := range there {
		at, ok := here[key]
		delete(here, key)
		if strings.HasSuffix(key, "/") || ok && at == size {
			continue
		}
		if err := p.download(ctx, args[0], key, filepath.Join(args[1], key)); err != nil {
			return err
		}
	}
	for key := range here {
		if err := os.Remove(filepath.Join(args[1], key)); err != nil {
			return err
		}
	}
	return nil
}

func (p program) ls(ctx context.Context, args []string) error {
	there, err := p.objects(ctx, &s3.ListObjectsV2Input{Bucket: &args[0]})
	for key := range there {
		fmt.Println(key)
	}
	return err
}

func (p program) link(ctx context.Context, args []string) error {
	link, err := s3.NewPresignClient(p.Client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &args[0], Key: &args[1]},
		s3.WithPresignExpires(10*time.Minute))
	if err != nil {
		return err
	}
	fmt.Println(link.URL)
	return nil
}

func (p program) remove(ctx context.Context, args []string) error {
	_, err := p.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &args[0], Key: &args[1]})
	return err
}

func (p program) drop(ctx context.Context, args []string) error {
	if err := p.removeAll(ctx, args[0], ""); err != nil {
		return err
	}
	_, err := p.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &args[0]})
	return err
}

func (p program) removeAll(ctx context.Context, bucket, prefix string) error {
	there, err := p.objects(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil || len(there) == 0 {
		return err
	}
	var all types.Delete
	for key := range there {
		all.Objects = append(all.Objects, types.ObjectIdentifier{Key: aws.String(key)})
	}
	out, err := p.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &all})
	if err == nil && len(out.Errors) > 0 {
		err = fmt.Errorf("%s: %s", *out.Errors[0].Key, *out.Errors[0].Message)
	}
	return err
}

// objects returns the sizes of what is listed.
func (p program) objects(ctx context.Context, in *s3.ListObjectsV2Input) (map[string]int64, error) {
	found := map[string]int64{}
	for pages := s3.NewListObjectsV2Paginator(p.Client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			found[*o.Key] = *o.Size
		}
	}
	return found, nil
}

func (p program) upload(ctx context.Context, path, bucket, key string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = transfermanager.New(p.Client).UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &bucket, Key: &key, Body: f})
	return err
}

func (p program) download(ctx context.Context, bucket, key, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = transfermanager.New(p.Client).DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: &bucket, Key: &key, WriterAt: f})
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// files returns the sizes of the files under a directory.
func files(dir string) (map[string]int64, error) {
	found := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, path)
		found[key] = info.Size()
		return err
	})
	return found, err
}
