package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// extras is what programs do beside copying trees. It prints a line for each check.
func (p program) extras(ctx context.Context, args []string) error {
	bucket, key, text := args[0], "extra/ä +%.bin", bytes.Repeat([]byte("0123456789"), 100)
	put := func(key string, body io.Reader, change func(*s3.PutObjectInput)) error {
		in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body}
		if change != nil {
			change(in)
		}
		_, err := p.PutObject(ctx, in)
		return err
	}
	// get reads with checksums compared, which is the library's default.
	get := func(key string, change func(*s3.GetObjectInput)) (*s3.GetObjectOutput, []byte, error) {
		in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
		if change != nil {
			change(in)
		}
		out, err := p.GetObject(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		defer out.Body.Close()
		body, err := io.ReadAll(out.Body)
		return out, body, err
	}
	reads := func(what, key string) {
		_, body, err := get(key, nil)
		check(what, err == nil && bytes.Equal(body, text), err)
	}

	err := put(key, bytes.NewReader(text), func(in *s3.PutObjectInput) {
		in.ContentType, in.CacheControl, in.Metadata = aws.String("text/x"), aws.String("no-cache"), map[string]string{"a": "b c"}
	})
	check("put", err == nil, err)
	out, body, err := get(key, nil)
	good := err == nil && bytes.Equal(body, text) && out.ChecksumCRC32 != nil
	check("an object and its checksum, which the library compares", good, err)
	good = err == nil && out.Metadata["a"] == "b c" && *out.ContentType == "text/x" && *out.CacheControl == "no-cache"
	check("metadata and headers", good, out)
	_, body, err = get(key, func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=5-14") })
	check("a range", err == nil && bytes.Equal(body, text[5:15]), err)
	for _, a := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	} {
		err := put("extra/"+string(a), bytes.NewReader(text), func(in *s3.PutObjectInput) { in.ChecksumAlgorithm = a })
		check("put with "+string(a), err == nil, err)
		reads("get with "+string(a), "extra/"+string(a))
	}
	if strings.HasPrefix(os.Getenv("S3_URL"), "https:") { // over http the library refuses what it cannot read twice
		err := put("extra/stream", io.MultiReader(bytes.NewReader(text)), func(in *s3.PutObjectInput) { in.ContentLength = aws.Int64(int64(len(text))) })
		check("put a stream", err == nil, err)
		reads("get the stream", "extra/stream")
	}
	err = put(key, bytes.NewReader(text), func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
	check("If-None-Match", code(err) == "PreconditionFailed", err)
	_, err = p.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("extra/copy"), CopySource: aws.String(bucket + "/extra/%C3%A4%20%2B%25.bin")})
	check("copy", err == nil, err)
	reads("the copy", "extra/copy")
	all, err := p.objects(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("extra/")})
	check("listing", err == nil && len(all) >= 6, err)
	paged, err := p.objects(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("extra/"), MaxKeys: aws.Int32(2)})
	check("pages of two", err == nil && len(paged) == len(all), fmt.Sprint(paged, err))
	_, _, err = get("extra/none", nil)
	check("what is not there", code(err) == "NoSuchKey", err)
	err = p.presignedUpload(ctx, bucket, text)
	check("presigned upload", err == nil, err)
	reads("what was uploaded so", "extra/put link")
	err = p.removeAll(ctx, bucket, "extra/")
	check("many deleted at once", err == nil, err)
	all, err = p.objects(ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
	check("nothing is left", err == nil && len(all) == 0, all)
	return nil
}

func (p program) presignedUpload(ctx context.Context, bucket string, text []byte) error {
	link, err := s3.NewPresignClient(p.Client).PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("extra/put link")})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, link.Method, link.URL, bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, err := io.ReadAll(answer.Body)
		return errors.Join(fmt.Errorf("%s: %s", answer.Status, body), err)
	}
	return nil
}

func code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

func check(what string, good bool, why any) {
	if good {
		fmt.Println("ok: " + what)
	} else {
		fmt.Printf("FAILED: %s: %v\n", what, why)
	}
}
