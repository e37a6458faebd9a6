package object_test

import (
	"errors"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

func TestValidKey(t *testing.T) {
	tests := map[string]bool{
		"a": true, " ": true, "/": true, "//": true, "a/": true, "../x": true, ".": true, "a\x00b": true, "\n": true, "\x7f": true,
		"é": true, "e\u0301": true, "\U0010ffff": true, "\ufffd": true, "\ufeff": true,
		strings.Repeat("a", 1024): true, strings.Repeat("é", 512): true, strings.Repeat("\U0010ffff", 256): true,

		"": false, strings.Repeat("a", 1025): false, strings.Repeat("é", 512) + "a": false,
		"\xff": false, "a\x80": false, "\xc3": false, "\xc0\xaf": false, "\xed\xa0\x80": false, "\xf4\x90\x80\x80": false,
	}
	for key, want := range tests {
		checkValid(t, "key", key, object.ValidKey(key), want)
	}
}

func TestValidBucket(t *testing.T) {
	tests := map[string]bool{
		"abc": true, "123": true, "a-b": true, "a.b": true, "a.b.c": true, "a--b": true, "a.-b": true, "my-bucket.v2": true,
		strings.Repeat("a", 63): true, "1.2.3": true, "1.2.3.4.5": true, "1.2.3.x": true, "xn-a": true, "a-s3alias-b": true,

		"": false, "ab": false, strings.Repeat("a", 64): false,
		"Abc": false, "a_b": false, "a b": false, "a/b": false, "äbc": false, "abc\x00": false, "a\nb": false,
		"-ab": false, "ab-": false, ".ab": false, "ab.": false, "a..b": false, "...": false,
		"1.2.3.4": false, "192.168.100.200": false, "999.999.999.999": false,
		"xn--a": false, "sthree-a": false, "sthree-configurator": false, "amzn-s3-demo-bucket": false,
		"a-s3alias": false, "a--ol-s3": false, "a.mrap": false, "a--x-s3": false, "a--table-s3": false,
	}
	for name, want := range tests {
		checkValid(t, "bucket", name, object.ValidBucket(name), want)
	}
}

// checkValid notes a failure unless err is nil or an InvalidError of the field, as wanted.
func checkValid(t *testing.T, field, name string, err error, want bool) {
	t.Helper()
	if want {
		if err != nil {
			t.Errorf("%.40q: %v", name, err)
		}
		return
	}
	invalid, ok := errors.AsType[*object.InvalidError](err)
	if !ok || !errors.Is(err, object.ErrInvalid) || invalid.Field != field || invalid.Rule == "" {
		t.Errorf("%.40q: got %v, want a rule for %ss", name, err, field)
	}
}

func TestETagOf(t *testing.T) {
	var file xet.Hash
	for i := range file {
		file[i] = byte(i)
	}
	tests := []struct {
		md5  []byte
		want string
	}{
		{[]byte("0123456789abcdef"), "30313233343536373839616263646566"},
		{nil, "07060504030201000f0e0d0c0b0a0908-1"},
		{[]byte{}, "07060504030201000f0e0d0c0b0a0908-1"},
		{[]byte("too short"), "07060504030201000f0e0d0c0b0a0908-1"},
	}
	for _, test := range tests {
		if got := object.ETagOf(test.md5, file); got != test.want {
			t.Errorf("MD5 %x: got %s, want %s", test.md5, got, test.want)
		}
	}
}
