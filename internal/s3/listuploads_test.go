package s3

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestListParts pages through parts.
func TestListParts(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/a%20%01+")
	type doc struct {
		Bucket, Key, UploadId, EncodingType, StorageClass string
		PartNumberMarker, NextPartNumberMarker, MaxParts  int
		IsTruncated                                       bool
		Initiator, Owner                                  struct{ ID string }
		Part                                              []struct {
			PartNumber, Size   int
			ETag, LastModified string
		}
	}
	list := func(query string) (d doc) {
		t.Helper()
		re := w.want(200, "", http.MethodGet, "/bkt/a%20%01+?"+up+query, "")
		if err := xml.Unmarshal([]byte(strings.ReplaceAll(re.body, "&#x1;", "~")), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := list(""); len(d.Part) != 0 || d.IsTruncated || d.Key != "a ~+" || d.StorageClass != "STANDARD" || d.Owner.ID != "default" || d.Initiator.ID != "default" {
		t.Errorf("%+v", d)
	}
	etags := map[int]string{}
	for _, n := range []int{10000, 2, 7, 5} {
		etags[n] = w.part("/bkt/a%20%01+", up, n, strings.Repeat("x", n))
	}
	var got []int
	for marker, pages := 0, 0; ; pages++ {
		d := list(fmt.Sprintf("&max-parts=2&part-number-marker=%d", marker))
		for _, p := range d.Part {
			got = append(got, p.PartNumber)
			if p.Size != p.PartNumber || p.ETag != etags[p.PartNumber] || p.LastModified != "2026-03-14T15:09:26.000Z" {
				t.Errorf("%+v", p)
			}
		}
		if d.PartNumberMarker != marker || d.MaxParts != 2 || "uploadId="+d.UploadId != up || d.IsTruncated != (pages == 0) {
			t.Errorf("page %d: %+v", pages, d)
		}
		if marker = d.NextPartNumberMarker; !d.IsTruncated {
			break
		}
	}
	if !slices.Equal(got, []int{2, 5, 7, 10000}) {
		t.Errorf("parts %v", got)
	}
	if d := list("&max-parts=5000&encoding-type=url"); d.MaxParts != 1000 || d.Key != "a%20%01%2B" || d.EncodingType != "url" || len(d.Part) != 4 {
		t.Errorf("%+v", d)
	}
	if d := list("&max-parts=0"); len(d.Part) != 0 || d.IsTruncated {
		t.Errorf("%+v", d)
	}
	for _, q := range []string{"&max-parts=-1", "&max-parts=x", "&part-number-marker=-1", "&encoding-type=x"} {
		w.want(400, "InvalidArgument", http.MethodGet, "/bkt/a%20%01+?"+up+q, "")
	}
}

// TestListUploads compares all pages of a listing with what they must hold together.
func TestListUploads(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/other", "")
	type doc struct {
		Bucket, KeyMarker, UploadIdMarker, NextKeyMarker, NextUploadIdMarker, Prefix, Delimiter, EncodingType string
		MaxUploads                                                                                            int
		IsTruncated                                                                                           bool
		Upload                                                                                                []struct {
			Key, UploadId, Initiated, StorageClass string
			Owner, Initiator                       struct{ ID string }
		}
		CommonPrefixes []struct{ Prefix string }
	}
	list := func(query string) (d doc) {
		t.Helper()
		re := w.want(200, "", http.MethodGet, "/bkt?uploads"+query, "")
		if err := xml.Unmarshal([]byte(re.body), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := list(""); d.Bucket != "bkt" || d.IsTruncated || d.MaxUploads != 1000 || d.Upload != nil {
		t.Errorf("%+v", d)
	}
	ids := map[string][]string{} // of uploads, by key
	for _, key := range []string{"a/1", "a/2", "b", "b", "b", "a/2", "a", "c/d/1", "c/e", "z\U0010FFFF/x", "zz"} {
		up := w.begin("/bkt/" + (&url.URL{Path: key}).EscapedPath())
		ids[key] = append(ids[key], strings.TrimPrefix(up, "uploadId="))
	}
	w.begin("/other/b")
	w.want(204, "", http.MethodDelete, "/bkt/gone?"+w.begin("/bkt/gone"), "")
	done := w.begin("/bkt/done")
	w.want(200, "", http.MethodPost, "/bkt/done?"+done, completed("1", w.part("/bkt/done", done, 1, "x")))
	for _, c := range []struct {
		prefix, delimiter string
		want              []string
	}{
		{"", "", []string{"a", "a/1", "a/2", "a/2", "b", "b", "b", "c/d/1", "c/e", "zz", "z\U0010FFFF/x"}},
		{"", "/", []string{"a", "a/", "b", "b", "b", "c/", "zz", "z\U0010FFFF/"}},
		{"a/", "", []string{"a/1", "a/2", "a/2"}},
		{"c/", "/", []string{"c/d/", "c/e"}},
		{"c", "/", []string{"c/"}},
		{"a", "1", []string{"a", "a/1", "a/2", "a/2"}},
		{"nothing", "", nil},
	} {
		for limit := 1; limit <= len(c.want)+1; limit++ {
			var got []string
			seen := map[string]bool{}
			key, id := "", ""
			for range 20 {
				q := url.Values{"prefix": {c.prefix}, "delimiter": {c.delimiter}, "max-uploads": {fmt.Sprint(limit)}, "key-marker": {key}, "upload-id-marker": {id}}
				d := list("&" + strings.ReplaceAll(q.Encode(), "+", "%20"))
				var page []string
				for _, u := range d.Upload {
					page = append(page, u.Key)
					if seen[u.UploadId] || !slices.Contains(ids[u.Key], u.UploadId) || u.Initiated == "" || u.StorageClass != "STANDARD" || u.Owner.ID != "default" {
						t.Errorf("%+v", u)
					}
					seen[u.UploadId] = true
				}
				for _, p := range d.CommonPrefixes {
					page = append(page, p.Prefix)
				}
				slices.Sort(page)
				if len(page) > limit || d.KeyMarker != key || d.UploadIdMarker != id || d.Prefix != c.prefix || d.Delimiter != c.delimiter || d.IsTruncated != (d.NextKeyMarker != "") {
					t.Errorf("%+v", d)
				}
				got = append(got, page...)
				if key, id = d.NextKeyMarker, d.NextUploadIdMarker; !d.IsTruncated {
					break
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("prefix %q, delimiter %q, %d a page: %q, want %q", c.prefix, c.delimiter, limit, got, c.want)
			}
		}
	}
	if d := list("&key-marker=b"); len(d.Upload) != 4 || d.Upload[0].Key != "c/d/1" {
		t.Errorf("%+v", d)
	}
	if d := list("&upload-id-marker=" + ids["b"][0]); len(d.Upload) != 11 { // it says nothing without a key
		t.Errorf("%+v", d)
	}
	if d := list("&encoding-type=url&prefix=z&delimiter=/"); d.EncodingType != "url" || d.Upload[0].Key != "zz" || d.CommonPrefixes[0].Prefix != "z%F4%8F%BF%BF/" {
		t.Errorf("%+v", d)
	}
	if d := list("&max-uploads=0"); d.Upload != nil || d.IsTruncated || d.MaxUploads != 0 {
		t.Errorf("%+v", d)
	}
	for _, q := range []string{"max-uploads=x", "max-uploads=-1", "encoding-type=x", "prefix=a&prefix=b"} {
		w.want(400, "InvalidArgument", http.MethodGet, "/bkt?uploads&"+q, "")
	}
}
