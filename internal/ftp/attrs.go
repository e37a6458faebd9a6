package ftp

import (
	"slices"
	"strings"

	"hugbucket/internal/object"
)

// metaMD5 is the user metadata in which rclone keeps the MD5 of a file that it uploads in parts over S3, in base64. It compares it with
// what it reads, and calls the file corrupted.
const metaMD5 = "md5chksum"

// metaFields are the user metadata in which s3cmd and MinIO's mc keep several things of a file: "mode:33188/mtime:1700000000/md5:…".
var metaFields = [...]string{"s3cmd-attrs", "mc-attrs"}

// grown takes out of what clients have said of a file what does not hold any more when other bytes follow: its time and its digests.
func grown(a *object.Attrs) {
	delete(a.Meta, metaTime)
	delete(a.Meta, metaMD5)
	for _, name := range metaFields {
		said, ok := a.Meta[name]
		if !ok {
			continue
		}
		fields := slices.DeleteFunc(strings.Split(said, "/"), func(field string) bool {
			key, _, _ := strings.Cut(field, ":")
			return key == "md5" || key == "mtime" || key == "ctime"
		})
		if a.Meta[name] = strings.Join(fields, "/"); len(fields) == 0 {
			delete(a.Meta, name)
		}
	}
}
