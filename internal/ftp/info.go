package ftp

import (
	"io/fs"
	"strconv"
	"strings"
	"time"

	"hugbucket/internal/object"
)

// entry is a line of a listing. There may be a million of them.
type entry struct {
	name string
	size int64 // bytes; isDir for a directory
	unix int64 // when it was last changed, seconds
}

// isDir is the size of a directory.
const isDir = -1

var _ fs.FileInfo = (*entry)(nil)

// Name implements fs.FileInfo.
func (e *entry) Name() string { return e.name }

// Size implements fs.FileInfo.
func (e *entry) Size() int64 { return max(e.size, 0) }

// Mode implements fs.FileInfo.
func (e *entry) Mode() fs.FileMode {
	if e.IsDir() {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// ModTime implements fs.FileInfo.
func (e *entry) ModTime() time.Time { return time.Unix(e.unix, 0).UTC() }

// IsDir implements fs.FileInfo.
func (e *entry) IsDir() bool { return e.size == isDir }

// Sys implements fs.FileInfo.
func (e *entry) Sys() any { return nil }

func fileEntry(name string, info *object.Info) *entry {
	return &entry{name: name, size: info.Size, unix: changed(info).Unix()}
}

func dirEntry(name string, at time.Time) *entry {
	return &entry{name: name, size: isDir, unix: at.Unix()}
}

// metaTime is the user metadata in which rclone keeps the time of a file, also over S3: seconds since 1970, with a fraction.
const metaTime = "mtime"

// changed is the time that a file bears: the one that a client gave it, else that of its arrival.
func changed(info *object.Info) time.Time {
	if t, ok := parseTime(info.Attrs.Meta[metaTime]); ok {
		return t
	}
	return info.ModTime
}

// Times that have four digits of a year.
const minUnix, maxUnix = -62135596800, 253402300799

// parseTime reads seconds since 1970. Digits below a nanosecond are dropped.
func parseTime(s string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec < minUnix || sec > maxUnix {
		return time.Time{}, false
	}
	fraction = fraction[:min(len(fraction), 9)]
	nsec, err := strconv.ParseUint("0"+fraction+"000000000"[len(fraction):], 10, 32)
	if err != nil {
		return time.Time{}, false
	}
	if strings.HasPrefix(whole, "-") {
		return time.Unix(sec, -int64(nsec)).UTC(), true
	}
	return time.Unix(sec, int64(nsec)).UTC(), true
}

// formatTime writes seconds since 1970. FTP knows whole ones.
func formatTime(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
