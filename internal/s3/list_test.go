package s3

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// listed is a ListBucketResult of either version.
type listed struct {
	Name, Prefix, Delimiter, Marker, NextMarker, StartAfter, EncodingType string
	ContinuationToken                                                     *string
	NextContinuationToken                                                 string
	KeyCount, MaxKeys                                                     int
	IsTruncated                                                           bool
	Contents                                                              []struct {
		Key, ETag, StorageClass, LastModified string
		Size                                  int64
		Owner                                 *struct{ ID, DisplayName string }
	}
	CommonPrefixes []struct{ Prefix string }
}

func (w *world) list(query string) *listed {
	w.t.Helper()
	re := w.want(200, "", http.MethodGet, "/bkt?"+query, "")
	var l listed
	if err := xml.Unmarshal([]byte(re.body), &l); err != nil {
		w.t.Fatalf("%v: %s", err, re.body)
	}
	return &l
}

// rows are keys and prefixes of a page together, sorted, and decoded when they came encoded.
func (l *listed) rows(t *testing.T) []string {
	t.Helper()
	var rows []string
	for _, c := range l.Contents {
		rows = append(rows, c.Key)
	}
	for _, p := range l.CommonPrefixes {
		rows = append(rows, p.Prefix)
	}
	if l.EncodingType == "url" {
		for i, row := range rows {
			var err error
			if rows[i], err = url.QueryUnescape(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(rows)
	return rows
}

// modelList is a listing by the book: filter, roll up, sort.
func modelList(keys []string, prefix, delimiter, after string) []string {
	var rows []string
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) || k <= after {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			k = k[:len(prefix)+i+len(delimiter)]
		}
		rows = append(rows, k)
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}

func TestListModel(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	rnd := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "b", "/", "//", "-", "+", " ", "%", "ü", "\U0001F600", "\x01", ".", "..", "x/y", "&", "\uFFFF", "foo"}
	random := func(n int) string {
		var b strings.Builder
		for range rnd.IntN(n) + 1 {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		return b.String()
	}
	set := map[string]bool{}
	for range 150 {
		set[random(6)] = true
	}
	var keys []string
	for k := range set {
		keys = append(keys, k)
		w.want(200, "", http.MethodPut, "/bkt/"+url.PathEscape(k), "")
	}
	for range 30 {
		prefix, delimiter, after := "", "", ""
		if rnd.IntN(2) == 0 {
			prefix = random(2)
		}
		if rnd.IntN(3) > 0 {
			delimiter = pieces[rnd.IntN(len(pieces))]
		}
		if rnd.IntN(4) == 0 {
			after = random(3)
		}
		maxKeys := rnd.IntN(7) + 1
		query := "encoding-type=url&prefix=" + url.QueryEscape(prefix) + "&delimiter=" + url.QueryEscape(delimiter) + fmt.Sprint("&max-keys=", maxKeys)
		what := fmt.Sprintf("prefix %q delimiter %q after %q max %d", prefix, delimiter, after, maxKeys)
		if want, got := modelList(keys, prefix, delimiter, after), w.pages(query+"&list-type=2&start-after="+url.QueryEscape(after), maxKeys); !slices.Equal(got, want) {
			t.Fatalf("v2 %s:\n got %q\nwant %q", what, got, want)
		}
		if want, got := modelList(keys, prefix, delimiter, ""), w.pages(query, maxKeys); !slices.Equal(got, want) {
			t.Fatalf("v1 %s:\n got %q\nwant %q", what, got, want)
		}
	}
}

// pages follows a listing to its end, by token or marker.
func (w *world) pages(query string, maxKeys int) []string {
	w.t.Helper()
	var all []string
	more := ""
	for range 1000 {
		l := w.list(query + more)
		rows := l.rows(w.t)
		all = append(all, rows...)
		if l.IsTruncated && len(rows) != maxKeys || strings.Contains(query, "list-type") && l.KeyCount != len(rows) {
			w.t.Fatalf("%s%s: %d rows, count %d", query, more, len(rows), l.KeyCount)
		}
		switch {
		case !l.IsTruncated:
			if l.NextContinuationToken != "" || l.NextMarker != "" {
				w.t.Fatalf("%s: the last page says where it goes on", query)
			}
			return all
		case strings.Contains(query, "list-type"):
			more = "&continuation-token=" + l.NextContinuationToken
		case l.NextMarker != "":
			marker, err := url.QueryUnescape(l.NextMarker)
			if err != nil {
				w.t.Fatal(err)
			}
			more = "&marker=" + url.QueryEscape(marker)
		default:
			more = "&marker=" + url.QueryEscape(rows[len(rows)-1])
		}
	}
	w.t.Fatalf("%s: it does not end", query)
	return nil
}

func TestListParameters(t *testing.T) {
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret, Owner: "alice"}}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for _, k := range []string{"asdf%2Bb", "foo%2B1/bar", "quux%20ab/c", "plain", "x%01y"} {
		w.want(200, "", http.MethodPut, "/bkt/"+k, "1")
	}
	l := w.list("list-type=2&encoding-type=url&delimiter=/&prefix=&start-after=a%2B")
	if l.Delimiter != "/" || l.StartAfter != "a%2B" || l.EncodingType != "url" || l.MaxKeys != 1000 ||
		l.Contents[0].Key != "asdf%2Bb" || l.CommonPrefixes[0].Prefix != "foo%2B1/" || l.CommonPrefixes[1].Prefix != "quux%20ab/" {
		t.Errorf("%+v", l)
	}
	if c := l.Contents[1]; c.Owner != nil || c.ETag != `"c4ca4238a0b923820dcc509a6f75849b"` || c.Size != 1 || c.StorageClass != "STANDARD" || c.LastModified != "2026-03-14T15:09:26.000Z" {
		t.Errorf("%+v", c)
	}
	if l := w.list("list-type=2&encoding-type=url&fetch-owner=true"); l.Contents[0].Owner == nil || l.Contents[0].Owner.ID != "alice" {
		t.Errorf("%+v", l.Contents[0])
	}
	if l := w.list("encoding-type=url"); l.Contents[0].Owner == nil {
		t.Error("version 1 tells no owner")
	}
	if l := w.list("list-type=2&encoding-type=url&continuation-token="); l.ContinuationToken == nil || *l.ContinuationToken != "" {
		t.Error("an empty token is not given back")
	}
	if l := w.list("list-type=2&max-keys=0"); l.IsTruncated || l.KeyCount != 0 || l.MaxKeys != 0 {
		t.Errorf("%+v", l)
	}
	if l := w.list("list-type=2&encoding-type=url&max-keys=2147483647"); l.KeyCount != 5 {
		t.Errorf("%+v", l)
	}
	if re := w.do(http.MethodGet, "/bkt?prefix=x", ""); !strings.Contains(re.body, "<Key>x&#x1;y</Key>") {
		t.Error(re.body)
	}
	for _, query := range []string{
		"max-keys=-1", "max-keys=a", "max-keys=2147483648", "encoding-type=base64", "list-type=2&continuation-token=junk", "list-type=3", "list-type",
	} {
		w.want(400, "InvalidArgument", http.MethodGet, "/bkt?"+query, "")
	}
	token := w.list("list-type=2&max-keys=1").NextContinuationToken
	for i := range len(token) {
		changed := []byte(token)
		changed[i] = "AB"[(strings.IndexByte("AB", changed[i])+1)%2]
		if string(changed) != token {
			w.want(400, "InvalidArgument", http.MethodGet, "/bkt?list-type=2&continuation-token="+string(changed), "")
		}
	}
	w.want(200, "", http.MethodPut, "/other", "")
	w.want(400, "InvalidArgument", http.MethodGet, "/other?list-type=2&continuation-token="+token, "")
}

func TestListBuckets(t *testing.T) {
	a, b := Key{AccessKey: "AKA", SecretKey: "sa", Owner: "a"}, Key{AccessKey: "AKB", SecretKey: "sb", Owner: "b"}
	scoped := Key{AccessKey: "AKS", SecretKey: "ss", Owner: "a", Buckets: []string{"a-02", "b-01"}}
	w := newWorld(t, Config{Keys: []Key{a, b, scoped}})
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("a-%02d", i)
		want = append(want, name)
		w.as(a).want(200, "", http.MethodPut, "/"+name, "")
		w.as(b).want(200, "", http.MethodPut, fmt.Sprintf("/b-%02d", i), "")
	}
	names := func(w *world, query string) (found []string, token string) {
		re := w.want(200, "", http.MethodGet, "/?"+query, "")
		var doc struct {
			Owner   struct{ ID string }
			Buckets struct {
				Bucket []struct{ Name, CreationDate, BucketRegion string }
			}
			ContinuationToken string
		}
		if err := xml.Unmarshal([]byte(re.body), &doc); err != nil || doc.Owner.ID != "a" {
			t.Errorf("%v: %s", err, re.body)
		}
		for _, b := range doc.Buckets.Bucket {
			found = append(found, b.Name)
		}
		return found, doc.ContinuationToken
	}
	if got, token := names(w.as(a), ""); !slices.Equal(got, want) || token != "" {
		t.Errorf("%q, token %q", got, token)
	}
	if got, _ := names(w.as(scoped), ""); !slices.Equal(got, []string{"a-02"}) {
		t.Errorf("in scope: %q", got)
	}
	if got, _ := names(w.as(a), "prefix=a-03"); !slices.Equal(got, []string{"a-03"}) {
		t.Errorf("with prefix: %q", got)
	}
	if got, _ := names(w.as(a), "bucket-region=mars"); got != nil {
		t.Errorf("elsewhere: %q", got)
	}
	var got []string
	for token := "x"; token != ""; {
		query := "max-buckets=3"
		if token != "x" {
			query += "&continuation-token=" + token
		}
		var page []string
		page, token = names(w.as(a), query)
		got = append(got, page...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("in pages: %q", got)
	}
	for _, query := range []string{"max-buckets=0", "max-buckets=10001", "max-buckets=x", "continuation-token=x"} {
		w.as(a).want(400, "InvalidArgument", http.MethodGet, "/?"+query, "")
	}
}
